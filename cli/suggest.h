/* "Did you mean": the known word nearest to a mistyped one. Pure. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

/* Number of single-character insertions, deletions, replacements and swaps of
 * neighbours between two words; words longer than 63 bytes count as far. */
size_t suggest_distance(const char *a, const char *b);

/* The candidate that word most likely stands for: one that it begins, or the
 * nearest within a third of its length (at least one). NULL if none is near.
 * Candidates are borrowed. */
const char *suggest_nearest(const char *word, const char *const *candidates,
                            size_t n_candidates);

#endif
