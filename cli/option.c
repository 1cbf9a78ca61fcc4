/* Options of the command line; see option.h. */
#include "cli/option.h"

#include <stddef.h>
#include <string.h>

#include "cli/suggest.h"
#include "cli/text.h"

enum option_type { FLAG, TEXT, COUNT, TIME, CHOICE };

static const struct option_spec {
    const char *name;
    enum option_type type;
    size_t offset;
    const char *value;
    uint64_t min;
    uint64_t max;
    const char *help;
} specs[OPTION_N] = {
#define OPTION_ROW(id, name, type, field, value, min, max, help)               \
    {name, type, offsetof(struct options, field), value, min, max, help},
    OPTION_LIST(OPTION_ROW)
#undef OPTION_ROW
};

static const char *const names[OPTION_N] = {
#define OPTION_NAME(id, name, type, field, value, min, max, help) name,
    OPTION_LIST(OPTION_NAME)
#undef OPTION_NAME
};

/* The one-letter forms of the first options of the list. */
static const char letters[] = "heof";

const char *option_name(enum option_id id)
{
    return names[id];
}

char option_letter(enum option_id id)
{
    return (size_t)id < sizeof(letters) - 1 ? letters[id] : '\0';
}

const char *option_value(enum option_id id)
{
    return specs[id].value;
}

bool option_is_choice(enum option_id id)
{
    return specs[id].type == CHOICE;
}

const char *option_help(enum option_id id)
{
    return specs[id].help;
}

static int option_find(const char *name, size_t size)
{
    if (size == 1) {
        const char *at = strchr(letters, name[0]);
        return at == NULL ? -1 : (int)(at - letters);
    }
    for (int i = 0; i < OPTION_N; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], name, size) == 0) {
            return i;
        }
    }
    return -1;
}

/* The position of a word in "a|b|c", -1 if it is not there. */
static int choice_find(const char *choices, const char *word)
{
    size_t size = strlen(word);
    for (int i = 0;; i++) {
        size_t n = strcspn(choices, "|");
        if (n == size && memcmp(choices, word, size) == 0) {
            return i;
        }
        if (choices[n] == '\0') {
            return -1;
        }
        choices += n + 1;
    }
}

static int option_set_value(struct options *o, const struct option_spec *spec,
                            const char *value, struct err_info *info)
{
    char *field = (char *)o + spec->offset;
    char shown[80];
    uint64_t count = 0;
    int64_t ms = 0;
    int choice = 0;
    int rc = 0;
    err_escape(shown, sizeof(shown), value, strlen(value));
    switch (spec->type) {
    case FLAG:
        break;
    case TEXT:
        memcpy(field, &value, sizeof(value));
        break;
    case COUNT:
        if (text_parse_count(value, spec->min, spec->max, &count) != 0) {
            rc = err_set(info, ERR_INVALID,
                         "--%s needs a number from %llu to %llu, not '%s'",
                         spec->name, (unsigned long long)spec->min,
                         (unsigned long long)spec->max, shown);
        }
        memcpy(field, &count, sizeof(count));
        break;
    case TIME:
        if (text_parse_duration(value, &ms) != 0) {
            rc = err_set(info, ERR_INVALID,
                         "--%s needs a time from 1ms to 24 hours such as 5, "
                         "2.5, 300ms or 1m, not '%s'",
                         spec->name, shown);
        }
        memcpy(field, &ms, sizeof(ms));
        break;
    case CHOICE:
        choice = choice_find(spec->value, value);
        if (choice < 0) {
            rc = err_set(info, ERR_INVALID, "--%s is one of %s, not '%s'",
                         spec->name, spec->value, shown);
        }
        memcpy(field, &choice, sizeof(choice));
        break;
    }
    return rc;
}

static int option_fail_unknown(const char *arg, size_t size,
                               struct err_info *info)
{
    char shown[80];
    char word[64] = "";
    const char *guess = NULL;
    err_escape(shown, sizeof(shown), arg, size);
    size_t skip = strspn(arg, "-");
    if (skip < size && size - skip < sizeof(word)) {
        memcpy(word, arg + skip, size - skip);
        guess = suggest_nearest(word, names, OPTION_N);
    }
    if (guess != NULL) {
        return err_set(info, ERR_INVALID,
                       "unknown option '%s'; did you mean '--%s'?", shown,
                       guess);
    }
    return err_set(info, ERR_INVALID, "unknown option '%s'", shown);
}

int option_take(struct options *o, char **args, int n_args, int at,
                struct err_info *info)
{
    const char *arg = args[at];
    const char *value = strchr(arg, '=');
    size_t size = value == NULL ? strlen(arg) : (size_t)(value - arg);
    size_t dashes = arg[1] == '-' ? 2 : 1;
    int used = 1;
    /* "-output" is no option: one dash goes with one letter. */
    bool shape = (dashes == 2 && size > 3) || (dashes == 1 && size == 2);
    int id = shape ? option_find(arg + dashes, size - dashes) : -1;
    if (id < 0) {
        return option_fail_unknown(arg, size, info);
    }
    const struct option_spec *spec = &specs[id];
    o->seen |= UINT64_C(1) << id;
    if (spec->type == FLAG) {
        if (value != NULL) {
            return err_set(info, ERR_INVALID, "--%s takes no value",
                           spec->name);
        }
        *((bool *)((char *)o + spec->offset)) = true;
        return used;
    }
    if (value != NULL) {
        value++;
    } else if (at + 1 < n_args) {
        value = args[at + 1];
        used = 2;
    } else {
        return err_set(info, ERR_INVALID, "--%s needs a value: %s", spec->name,
                       spec->value);
    }
    int rc = option_set_value(o, spec, value, info);
    return rc != 0 ? rc : used;
}

/* Words of text from a column on, broken before column 80. */
static void print_wrapped(FILE *out, const char *text, int indent)
{
    int column = indent;
    while (*text != '\0') {
        int size = (int)strcspn(text, " ");
        if (column > indent && column + 1 + size > 79) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", size, text);
        column += size;
        text += size;
        text += *text == ' ' ? 1 : 0;
    }
    putc('\n', out);
}

void option_print_help(FILE *out, uint64_t mask)
{
    enum { INDENT = 30 };
    for (int i = 0; i < OPTION_N; i++) {
        if ((mask & (UINT64_C(1) << i)) == 0) {
            continue;
        }
        char letter = option_letter((enum option_id)i);
        int n = letter != '\0' ? fprintf(out, "  -%c, ", letter)
                               : fprintf(out, "  ");
        n += fprintf(out, "--%s%s%s", specs[i].name,
                     specs[i].value == NULL ? "" : " ",
                     specs[i].value == NULL ? "" : specs[i].value);
        if (n >= INDENT - 1) {
            fprintf(out, "\n%*s", INDENT, "");
        } else {
            fprintf(out, "%*s", INDENT - n, "");
        }
        print_wrapped(out, specs[i].help, INDENT);
    }
}
