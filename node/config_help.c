/* The text of --help, out of the table of options. */
#include "node/config_private.h"

#include <stdio.h>
#include <string.h>

struct text {
    char *out;
    size_t size;
    size_t used; /* may pass size: then the rest was cut */
};

static void text_add(struct text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++, t->used++) {
        if (t->used + 1 < t->size) {
            t->out[t->used] = s[i];
        }
    }
}

static void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

/* Words of s in lines of at most 78 columns behind an indent of 6. */
static void text_wrap(struct text *t, const char *s)
{
    size_t column = 0;

    while (*s != '\0') {
        size_t word = strcspn(s, " ");

        if (column == 0 || column + 1 + word > 78) {
            text_puts(t, column == 0 ? "      " : "\n      ");
            column = 6;
        } else {
            text_puts(t, " ");
            column++;
        }
        text_add(t, s, word);
        column += word;
        s += word;
        s += strspn(s, " ");
    }
    text_puts(t, "\n");
}

static void help_option(struct text *t, const struct config_option *o)
{
    char line[256];
    char low[32], high[32];

    snprintf(line, sizeof line, "  --%s <%s>", o->name, o->unit);
    text_puts(t, line);
    if (o->value == NULL) {
        text_puts(t, "  (required");
    } else {
        snprintf(line, sizeof line, "  (default %s",
                 o->value[0] != '\0' ? o->value : "empty");
        text_puts(t, line);
    }
    if (config_is_number(o)) {
        config_print_number(o, low, sizeof low, o->min);
        config_print_number(o, high, sizeof high, o->max);
        snprintf(line, sizeof line, "; %s to %s", low, high);
        text_puts(t, line);
    }
    text_puts(t, ")\n");
    text_wrap(t, o->help);
}

size_t config_help(char *out, size_t out_size)
{
    struct text t = {out, out_size, 0};

    text_puts(&t, "concordkv: one node of a Raft-replicated key/value "
                  "cluster\n\n"
                  "Usage: concordkv --data-dir <path> --id <number> "
                  "--initial-cluster <list> ...\n\n"
                  "Each option is also read from the environment: "
                  "--data-dir is CONCORDKV_DATA_DIR,\nand so on; a flag wins. "
                  "Bytes take the suffixes k, m and g (1024-fold).\n");
    for (unsigned i = 0; i < config_n_options; i++) {
        if (config_options[i].section != NULL) {
            text_puts(&t, "\n");
            text_puts(&t, config_options[i].section);
            text_puts(&t, ":\n");
        }
        help_option(&t, &config_options[i]);
    }
    text_puts(&t, "\nOther:\n  --help\n      This text.\n"
                  "  --version\n      The version.\n");
    if (out_size > 0) {
        out[t.used < out_size ? t.used : out_size - 1] = '\0';
    }
    return t.used;
}
