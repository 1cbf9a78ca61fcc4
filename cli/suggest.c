/* The nearest known word; see suggest.h. */
#include "cli/suggest.h"

#include <string.h>

enum { SUGGEST_WORD_MAX = 63 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: three rows, because a swap looks two rows back. */
size_t suggest_distance(const char *a, const char *b)
{
    size_t rows[3][SUGGEST_WORD_MAX + 1];
    size_t *before = rows[0];
    size_t *last = rows[1];
    size_t *now = rows[2];
    size_t a_size = strlen(a);
    size_t b_size = strlen(b);
    if (a_size > SUGGEST_WORD_MAX || b_size > SUGGEST_WORD_MAX) {
        return a_size + b_size;
    }
    for (size_t j = 0; j <= b_size; j++) {
        before[j] = j;
        last[j] = j;
    }
    for (size_t i = 1; i <= a_size; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t replace = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            now[j] = smaller(replace, smaller(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1]) {
                now[j] = smaller(now[j], before[j - 2] + 1);
            }
        }
        size_t *reuse = before;
        before = last;
        last = now;
        now = reuse;
    }
    return last[b_size];
}

const char *suggest_nearest(const char *word, const char *const *candidates,
                            size_t n_candidates)
{
    size_t size = strlen(word);
    size_t limit = size / 3 > 1 ? size / 3 : 1;
    size_t best_distance = limit + 1;
    const char *best = NULL;
    for (size_t i = 0; i < n_candidates; i++) {
        if (size >= 2 && strncmp(word, candidates[i], size) == 0) {
            return candidates[i];
        }
        size_t distance = suggest_distance(word, candidates[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}
