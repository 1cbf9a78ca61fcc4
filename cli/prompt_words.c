/* A line to words; see prompt_words.h. */
#include "cli/prompt_words.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The byte of the escape at *at, which points behind the backslash and moves
 * on. Any other character stands for itself. */
static char take_escape(const char **at)
{
    static const char names[] = "nrtba";
    static const char meanings[] = "\n\r\t\b\a";
    char c = *(*at)++;
    const char *found = c == '\0' ? NULL : strchr(names, c);
    if (found != NULL) {
        return meanings[found - names];
    }
    if (c == 'x' && text_hex_value((*at)[0]) >= 0 &&
        text_hex_value((*at)[1]) >= 0) {
        c = (char)(text_hex_value((*at)[0]) * 16 + text_hex_value((*at)[1]));
        *at += 2;
    }
    return c;
}

/* One word at *at, which moves behind it; to moves behind its bytes. */
static int take_word(const char **at, char **to, struct err_info *info)
{
    char quote = '\0';
    for (;;) {
        char c = **at;
        if (c == '\0' && quote != '\0') {
            return err_set(info, ERR_INVALID, "a quote %c is not closed",
                           quote);
        }
        if (quote == '\0' && (c == '\0' || is_blank(c))) {
            return 0;
        }
        (*at)++;
        if (quote != '\0' && c == quote) {
            if (**at != '\0' && !is_blank(**at)) {
                return err_set(info, ERR_INVALID,
                               "a blank is missing behind a closing %c", quote);
            }
            return 0;
        }
        if (quote == '\0' && (c == '"' || c == '\'')) {
            quote = c;
        } else if (quote == '"' && c == '\\' && **at != '\0') {
            *(*to)++ = take_escape(at);
        } else if (quote == '\'' && c == '\\' && **at == '\'') {
            *(*to)++ = *(*at)++;
        } else {
            *(*to)++ = c;
        }
    }
}

int prompt_words_split(struct prompt_words *w, const char *line,
                       struct err_info *info)
{
    memset(w, 0, sizeof(*w));
    /* A word is never longer than what stands for it, and its NUL takes the
     * place of the blank or the end. */
    w->bytes = malloc(strlen(line) + 2);
    if (w->bytes == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    char *to = w->bytes;
    for (;;) {
        while (is_blank(*line)) {
            line++;
        }
        if (*line == '\0') {
            return 0;
        }
        if (w->n_words == PROMPT_WORDS_MAX) {
            prompt_words_close(w);
            return err_set(info, ERR_TOOBIG, "more than %d words",
                           (int)PROMPT_WORDS_MAX);
        }
        char *begin = to;
        int rc = take_word(&line, &to, info);
        if (rc != 0) {
            prompt_words_close(w);
            return rc;
        }
        w->words[w->n_words] = begin;
        w->sizes[w->n_words++] = (size_t)(to - begin);
        *to++ = '\0';
    }
}

void prompt_words_close(struct prompt_words *w)
{
    free(w->bytes);
    memset(w, 0, sizeof(*w));
}
