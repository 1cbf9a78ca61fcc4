/* What may stand next on the prompt's line. Pure.
 *
 * The first word is a command, a verb, or help and exit; the second that of a
 * verb of two words; and where the verb is known, its options and the words
 * that an option can have. */
#ifndef CLI_PROMPT_COMPLETE_H
#define CLI_PROMPT_COMPLETE_H

#include <stdbool.h>
#include <stddef.h>

enum { COMPLETE_MAX = 256, COMPLETE_WORD_MAX = 64 };

struct completion {
    size_t word_size; /* of what has been typed of the word, as it is */
    size_t n_items;
    char items[COMPLETE_MAX][COMPLETE_WORD_MAX]; /* sorted, each once */
};

/* line is up to the cursor. */
void prompt_complete(struct completion *c, const char *line);

/* The beginning that all items share, into out of COMPLETE_WORD_MAX bytes. */
void completion_common(const struct completion *c, char *out);

#endif
