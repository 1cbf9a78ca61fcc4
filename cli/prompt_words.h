/* A line typed at the prompt to words, as redis-cli splits it. Pure.
 *
 * Blanks part words. "..." takes the escapes \n \r \t \b \a \\ \" \xNN, '...'
 * takes \' alone; a closing quote ends its word. */
#ifndef CLI_PROMPT_WORDS_H
#define CLI_PROMPT_WORDS_H

#include <stddef.h>

#include "raftlog/err.h"

enum { PROMPT_WORDS_MAX = 1024 };

struct prompt_words {
    char *bytes; /* all words, each with a NUL behind it */
    char *words[PROMPT_WORDS_MAX + 1];
    size_t sizes[PROMPT_WORDS_MAX];
    int n_words;
};

/* Errors: ERR_INVALID (a quote that does not end, or goes on without a blank),
 * ERR_TOOBIG, ERR_NOMEM. */
int prompt_words_split(struct prompt_words *w, const char *line,
                       struct err_info *info);
void prompt_words_close(struct prompt_words *w);

#endif
