/* One option of the configuration: its value from text, and as text. */
#include "node/config_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "node/trace.h"

static void *field_of(struct config *c, const struct config_option *o)
{
    return (char *)c + o->offset;
}

const void *config_field(const struct config *c, const struct config_option *o)
{
    return (const char *)c + o->offset;
}

bool config_is_number(const struct config_option *o)
{
    return o->kind == OPTION_COUNT || o->kind == OPTION_BYTES;
}

const struct config_option *config_find(const char *name, size_t size,
                                        int (*compare)(const char *a,
                                                       const char *b, size_t n))
{
    for (unsigned i = 0; i < config_n_options; i++) {
        const struct config_option *o = &config_options[i];
        if (strlen(o->name) == size && compare(o->name, name, size) == 0) {
            return o;
        }
    }
    return NULL;
}

/* "64m": bytes with the largest suffix that divides them. */
static void print_bytes(char *out, size_t out_size, uint64_t v)
{
    const char *suffix = "";

    if (v != 0 && v % GIB == 0) {
        v /= GIB;
        suffix = "g";
    } else if (v != 0 && v % MIB == 0) {
        v /= MIB;
        suffix = "m";
    } else if (v != 0 && v % KIB == 0) {
        v /= KIB;
        suffix = "k";
    }
    snprintf(out, out_size, "%llu%s", (unsigned long long)v, suffix);
}

void config_print_number(const struct config_option *o, char *out,
                         size_t out_size, uint64_t v)
{
    if (o->kind == OPTION_BYTES) {
        print_bytes(out, out_size, v);
    } else {
        snprintf(out, out_size, "%llu", (unsigned long long)v);
    }
}

static bool parse_number(const char *text, bool suffixes, uint64_t *out)
{
    unsigned long long v;
    uint64_t unit = 1;
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false; /* strtoull would take signs and spaces. */
    }
    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    if (suffixes && *end != '\0') {
        switch (*end | 0x20) {
        case 'k':
            unit = KIB;
            break;
        case 'm':
            unit = MIB;
            break;
        case 'g':
            unit = GIB;
            break;
        default:
            return false;
        }
        end++;
    }
    if (*end != '\0' || v > UINT64_MAX / unit) {
        return false;
    }
    *out = v * unit;
    return true;
}

static int set_number(struct config *c, const struct config_option *o,
                      const char *label, const char *text,
                      struct err_info *info)
{
    char low[32], high[32], shown[64];
    uint64_t v;

    if (parse_number(text, o->kind == OPTION_BYTES, &v) && v >= o->min &&
        v <= o->max) {
        memcpy(field_of(c, o), &v, sizeof v);
        return 0;
    }
    config_print_number(o, low, sizeof low, o->min);
    config_print_number(o, high, sizeof high, o->max);
    return err_set(info, ERR_INVALID,
                   "%s: \"%s\" is not a number of %s from "
                   "%s to %s%s",
                   label, err_escape(shown, sizeof shown, text, strlen(text)),
                   o->unit, low, high,
                   o->kind == OPTION_BYTES ? " (k, m and g are understood)"
                                           : "");
}

static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);

    for (;;) {
        size_t word = strcspn(choices, "|");
        if (word == size && strncmp(choices, text, size) == 0) {
            return true;
        }
        if (choices[word] == '\0') {
            return false;
        }
        choices += word + 1;
    }
}

static int set_text(struct config *c, const struct config_option *o,
                    const char *label, const char *text, struct err_info *info)
{
    size_t size = strlen(text);
    char *field = field_of(c, o);

    if (size < o->min) {
        return err_set(info, ERR_INVALID, "%s: must not be empty", label);
    }
    if (size >= o->size) {
        return err_set(info, ERR_INVALID, "%s: longer than %zu bytes", label,
                       o->size - 1);
    }
    memset(field, 0, o->size);
    memcpy(field, text, size);
    return 0;
}

int config_set_option(struct config *c, const struct config_option *o,
                      const char *label, const char *text,
                      struct err_info *info)
{
    struct err_info detail;
    struct address address;
    enum trace_level level;
    char shown[64];

    switch (o->kind) {
    case OPTION_COUNT:
    case OPTION_BYTES:
        return set_number(c, o, label, text, info);
    case OPTION_ADDRESS:
        if (text[0] != '\0' && address_parse(text, &address, &detail) != 0) {
            return err_set(info, ERR_INVALID, "%s: %.300s", label,
                           detail.message);
        }
        break;
    case OPTION_LEVEL:
        if (trace_level_parse(text, &level) != 0) {
            return err_set(info, ERR_INVALID,
                           "%s: \"%s\" is not one of error, warn, info, debug",
                           label,
                           err_escape(shown, sizeof shown, text, strlen(text)));
        }
        c->trace_max = level;
        break;
    case OPTION_CHOICE:
        if (!is_choice(o->unit, text)) {
            return err_set(
                info, ERR_INVALID, "%s: \"%s\" is not one of %s", label,
                err_escape(shown, sizeof shown, text, strlen(text)), o->unit);
        }
        break;
    case OPTION_TEXT:
        break;
    }
    return set_text(c, o, label, text, info);
}

int config_set(struct config *c, struct bytes name, struct bytes value,
               struct err_info *info)
{
    char text[CONFIG_VALUE_MAX];
    const struct config_option *o =
        config_find((const char *)name.data, name.size, strncasecmp);

    if (o == NULL) {
        return err_set(info, ERR_NOTFOUND, "no such option");
    }
    if (!o->live) {
        return err_set(info, ERR_ACCESS, "can't set immutable config");
    }
    if (value.size >= sizeof text ||
        (value.size > 0 && memchr(value.data, 0, value.size) != NULL)) {
        return err_set(info, ERR_INVALID, "%s: not a text of this option",
                       o->name);
    }
    if (value.size > 0) {
        memcpy(text, value.data, value.size);
    }
    text[value.size] = '\0';
    return config_set_option(c, o, o->name, text, info);
}

bool config_show(const struct config *c, unsigned i, const char **name,
                 char value[CONFIG_VALUE_MAX])
{
    const struct config_option *o = &config_options[i];
    uint64_t v;

    if (i >= config_n_options) {
        return false;
    }
    *name = o->name;
    if (config_is_number(o)) {
        memcpy(&v, config_field(c, o), sizeof v);
        snprintf(value, CONFIG_VALUE_MAX, "%llu", (unsigned long long)v);
    } else {
        snprintf(value, CONFIG_VALUE_MAX, "%s",
                 (const char *)config_field(c, o));
    }
    return true;
}
