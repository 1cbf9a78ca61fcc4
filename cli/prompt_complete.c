/* Completion; see prompt_complete.h. */
#include "cli/prompt_complete.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/command_line.h"
#include "cli/command_names.h"
#include "cli/verb_table.h"

/* Take the candidate up if it begins with what was typed. Commands may be
 * typed in lower or upper case and are completed in the same. */
static void add(struct completion *c, const char *typed, const char *word,
                size_t word_size, bool any_case)
{
    char item[COMPLETE_WORD_MAX];
    size_t n = c->word_size;
    bool lower = n == 0 || !isupper((unsigned char)typed[n - 1]);
    if (c->n_items == COMPLETE_MAX || word_size >= sizeof(item) ||
        word_size < n) {
        return;
    }
    for (size_t i = 0; i < word_size; i++) {
        item[i] =
            any_case && lower ? (char)tolower((unsigned char)word[i]) : word[i];
    }
    item[word_size] = '\0';
    if (any_case ? strncasecmp(item, typed, n) != 0
                 : memcmp(item, typed, n) != 0) {
        return;
    }
    memcpy(item, typed, n);
    for (size_t i = 0; i < c->n_items; i++) {
        if (strcmp(c->items[i], item) == 0) {
            return;
        }
    }
    memcpy(c->items[c->n_items++], item, word_size + 1);
}

static void add_first(struct completion *c, const char *typed)
{
    static const char *const own[] = {"help", "exit", "quit", "clear"};
    for (size_t i = 0; command_names_get(i) != NULL; i++) {
        const char *name = command_names_get(i);
        add(c, typed, name, strlen(name), true);
    }
    for (size_t i = 0; i < verb_table_size; i++) {
        const char *name = verb_table[i].name;
        add(c, typed, name, strcspn(name, " "), false);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        add(c, typed, own[i], strlen(own[i]), false);
    }
}

/* The second words of verbs that begin with this one. */
static void add_second(struct completion *c, const char *typed,
                       const char *first, size_t first_size)
{
    for (size_t i = 0; i < verb_table_size; i++) {
        const char *name = verb_table[i].name;
        if (strncmp(name, first, first_size) == 0 && name[first_size] == ' ') {
            add(c, typed, name + first_size + 1, strlen(name + first_size + 1),
                false);
        }
    }
}

/* The verb that the line begins with; NULL: none. */
static const struct verb *find_verb(const char *line)
{
    const struct verb *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < verb_table_size; i++) {
        size_t size = strlen(verb_table[i].name);
        if (size > longest && strncmp(line, verb_table[i].name, size) == 0 &&
            line[size] == ' ') {
            found = &verb_table[i];
            longest = size;
        }
    }
    return found;
}

static void add_options(struct completion *c, const char *typed,
                        const struct verb *verb)
{
    uint64_t mask = command_line_options(verb);
    for (int i = 0; i < OPTION_N; i++) {
        char word[COMPLETE_WORD_MAX];
        if ((mask & (UINT64_C(1) << i)) != 0) {
            int size = snprintf(word, sizeof(word), "--%s",
                                option_name((enum option_id)i));
            add(c, typed, word, (size_t)size, false);
        }
    }
}

/* The words of the choice that the option before the cursor wants. */
static bool add_choices(struct completion *c, const char *typed,
                        const char *before, size_t before_size)
{
    for (int i = 0; i < OPTION_N; i++) {
        const char *name = option_name((enum option_id)i);
        const char *at = option_value((enum option_id)i);
        if (!option_is_choice((enum option_id)i) ||
            before_size != strlen(name) + 2 ||
            memcmp(before + 2, name, before_size - 2) != 0) {
            continue;
        }
        while (*at != '\0') {
            size_t size = strcspn(at, "|");
            add(c, typed, at, size, false);
            at += size + (at[size] == '|' ? 1 : 0);
        }
        return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

void prompt_complete(struct completion *c, const char *line)
{
    memset(c, 0, sizeof(*c));
    line += strspn(line, " ");
    bool help = strncmp(line, "help ", 5) == 0;
    if (help) {
        line += 5 + strspn(line + 5, " ");
    }
    const char *blank = strrchr(line, ' ');
    const char *typed = blank == NULL ? line : blank + 1;
    size_t first_size = strcspn(line, " ");
    c->word_size = strlen(typed);
    const struct verb *verb = find_verb(line);
    if (blank == NULL) {
        add_first(c, typed);
    } else {
        size_t end = (size_t)(blank - line);
        size_t begin = end;
        while (begin > 0 && line[begin - 1] != ' ') {
            begin--;
        }
        if (end == first_size) {
            add_second(c, typed, line, first_size);
        }
        if (verb != NULL && !help &&
            !(end - begin > 2 &&
              add_choices(c, typed, line + begin, end - begin)) &&
            typed[0] == '-') {
            add_options(c, typed, verb);
        }
    }
    qsort(c->items, c->n_items, sizeof(c->items[0]), by_name);
}

void completion_common(const struct completion *c, char *out)
{
    size_t size = c->n_items > 0 ? strlen(c->items[0]) : 0;
    for (size_t i = 1; i < c->n_items; i++) {
        size_t n = 0;
        while (n < size && c->items[i][n] == c->items[0][n]) {
            n++;
        }
        size = n;
    }
    memcpy(out, c->n_items > 0 ? c->items[0] : "", size);
    out[size] = '\0';
}
