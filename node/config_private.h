/* What the files of the configuration share; nobody else includes it.
 *
 *   config_options.c  the table of options
 *   config_value.c    one option: its value from text and as text
 *   config.c          all of them at a start: environment, flags, what must fit
 *                     together
 *   config_help.c     the text of --help */
#ifndef NODE_CONFIG_PRIVATE_H
#define NODE_CONFIG_PRIVATE_H

#include "node/config.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

enum config_kind {
    OPTION_COUNT, /* a number of anything, or milliseconds */
    OPTION_BYTES, /* a number with an optional k, m or g */
    OPTION_TEXT,
    OPTION_ADDRESS,
    OPTION_LEVEL,
    OPTION_CHOICE /* one of the words of its unit, "this|that" */
};

struct config_option {
    const char *section; /* non-NULL starts a section of --help */
    const char *name;
    const char *unit;
    const char *value; /* default; NULL: a text that must be given */
    const char *help;
    enum config_kind kind;
    bool live;         /* a running node can take another value */
    uint64_t min, max; /* of numbers; min of a text: its length */
    size_t offset, size;
};

extern const struct config_option config_options[];
extern const unsigned config_n_options;

bool config_is_number(const struct config_option *o);

/* v as the option is written, "64m" for bytes. */
void config_print_number(const struct config_option *o, char *out,
                         size_t out_size, uint64_t v);

/* NULL: there is none of this name. compare is strncmp or strncasecmp. */
const struct config_option *
config_find(const char *name, size_t size,
            int (*compare)(const char *a, const char *b, size_t n));

/* Where its value is: a uint64_t, or a text that ends with NUL. */
const void *config_field(const struct config *c, const struct config_option *o);

/* Its value from text. label is what the person wrote: "--id" or
 * "CONCORDKV_ID". Errors: ERR_INVALID, with words. */
int config_set_option(struct config *c, const struct config_option *o,
                      const char *label, const char *text,
                      struct err_info *info);

#endif
