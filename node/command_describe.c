/* COMMAND: what the server can do, for clients that ask. Answers COUNT, INFO,
 * DOCS, LIST, GETKEYS and HELP in the form of Redis. Also here: the check of
 * CONFIG's subcommands; the values are the node's. */
#include <string.h>

#include "node/command_internal.h"
#include "node/glob.h"

enum { NAME_MAX_BYTES = 32, NAMES_MAX = 1024 };

static bool subcommand_fits(const struct command_subcommand *s, uint32_t argc,
                            struct buffer *reply)
{
    if (s->arity >= 0 ? argc != (uint32_t)s->arity
                      : argc < (uint32_t)-s->arity) {
        command_reply_arity(reply, s->full_name);
        return false;
    }
    return true;
}

const struct command_subcommand *
command_subcommand_find(const struct command_subcommand *list, const char *name,
                        uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    for (; list->name != NULL; list++) {
        if (command_is(argv[1], list->name)) {
            return subcommand_fits(list, argc, reply) ? list : NULL;
        }
    }
    command_reply_subcommand(reply, name, argv[1]);
    return NULL;
}

/* A map of n pairs and a set of n: arrays in RESP2. */
static void reply_map(const struct command_env *env, struct buffer *reply,
                      size_t n)
{
    if (env->resp3) {
        resp_map(reply, n);
    } else {
        resp_array(reply, 2 * n);
    }
}

static void reply_set(const struct command_env *env, struct buffer *reply,
                      size_t n)
{
    if (env->resp3) {
        resp_set(reply, n);
    } else {
        resp_array(reply, n);
    }
}

static void reply_text(struct buffer *reply, const char *text)
{
    resp_bulk(reply, text, strlen(text));
}

static size_t name_lower(const struct command *c, char out[NAME_MAX_BYTES])
{
    size_t n = 0;

    for (; c->name[n] != '\0' && n + 1 < NAME_MAX_BYTES; n++) {
        out[n] = c->name[n] >= 'A' && c->name[n] <= 'Z'
                     ? (char)(c->name[n] - 'A' + 'a')
                     : c->name[n];
    }
    out[n] = '\0';
    return n;
}

static void reply_name(struct buffer *reply, const struct command *c)
{
    char name[NAME_MAX_BYTES];

    resp_bulk(reply, name, name_lower(c, name));
}

/* ---- COMMAND INFO
 * ----------------------------------------------------------*/

/* An array of the words whose condition holds. */
struct word {
    bool shown;
    const char *text;
};

static void reply_words(const struct command_env *env, struct buffer *reply,
                        const struct word *words, size_t n)
{
    size_t n_shown = 0;

    for (size_t i = 0; i < n; i++) {
        n_shown += words[i].shown;
    }
    reply_set(env, reply, n_shown);
    for (size_t i = 0; i < n; i++) {
        if (words[i].shown) {
            resp_simple(reply, words[i].text);
        }
    }
}

static void reply_flags(const struct command_env *env, struct buffer *reply,
                        const struct command *c)
{
    const struct word words[] = {
        {(c->flags & COMMAND_WRITE) != 0, "write"},
        {(c->flags & COMMAND_READ) != 0, "readonly"},
        {(c->flags & COMMAND_DENYOOM) != 0, "denyoom"},
        {(c->flags & COMMAND_FAST) != 0, "fast"},
        {(c->flags & COMMAND_NO_MULTI) != 0, "no_multi"},
    };

    reply_words(env, reply, words, sizeof words / sizeof words[0]);
}

static void reply_categories(const struct command_env *env,
                             struct buffer *reply, const struct command *c)
{
    const struct word words[] = {
        {(c->flags & COMMAND_KEYSPACE) != 0, "@keyspace"},
        {(c->flags & COMMAND_READ) != 0, "@read"},
        {(c->flags & COMMAND_WRITE) != 0, "@write"},
        {strcmp(c->group, "string") == 0, "@string"},
        {(c->flags & COMMAND_FAST) != 0, "@fast"},
        {(c->flags & COMMAND_FAST) == 0, "@slow"},
        {(c->flags & COMMAND_DANGEROUS) != 0, "@dangerous"},
        {strcmp(c->group, "connection") == 0 || c->code == COMMAND_CODE_COMMAND,
         "@connection"},
        {(c->flags & COMMAND_TRANSACTION) != 0, "@transaction"},
    };

    reply_words(env, reply, words, sizeof words / sizeof words[0]);
}

/* Where the keys are: one range that begins at a fixed place. */
static void reply_key_specs(const struct command_env *env, struct buffer *reply,
                            const struct command *c)
{
    bool reads = (c->flags & COMMAND_READ) != 0;

    if (c->first_key == 0) {
        reply_set(env, reply, 0);
        return;
    }
    reply_set(env, reply, 1);
    reply_map(env, reply, 3);
    reply_text(reply, "flags");
    reply_set(env, reply, 2);
    resp_simple(reply, reads ? "RO" : "RW");
    resp_simple(reply, reads ? "access" : "update");
    reply_text(reply, "begin_search");
    reply_map(env, reply, 2);
    reply_text(reply, "type");
    reply_text(reply, "index");
    reply_text(reply, "spec");
    reply_map(env, reply, 1);
    reply_text(reply, "index");
    resp_integer(reply, c->first_key);
    reply_text(reply, "find_keys");
    reply_map(env, reply, 2);
    reply_text(reply, "type");
    reply_text(reply, "range");
    reply_text(reply, "spec");
    reply_map(env, reply, 3);
    reply_text(reply, "lastkey");
    resp_integer(reply,
                 c->last_key < 0 ? c->last_key : c->last_key - c->first_key);
    reply_text(reply, "keystep");
    resp_integer(reply, c->key_step);
    reply_text(reply, "limit");
    resp_integer(reply, 0);
}

static void describe_info_one(const struct command_env *env,
                              const struct command *c, struct buffer *reply)
{
    if (c == NULL) {
        resp_null(reply);
        return;
    }
    resp_array(reply, 10);
    reply_name(reply, c);
    resp_integer(reply, c->arity);
    reply_flags(env, reply, c);
    resp_integer(reply, c->first_key);
    resp_integer(reply, c->last_key);
    resp_integer(reply, c->key_step);
    reply_categories(env, reply, c);
    reply_set(env, reply, 0); /* tips */
    reply_key_specs(env, reply, c);
    reply_set(env, reply, 0); /* subcommands */
}

static void describe_info_all(const struct command_env *env,
                              struct buffer *reply)
{
    unsigned n;
    const struct command *table = command_table(&n);

    resp_array(reply, n);
    for (unsigned i = 0; i < n; i++) {
        describe_info_one(env, &table[i], reply);
    }
}

/* More than any server has: a reply has to stay within bounds. */
static bool names_fit(uint32_t argc, struct buffer *reply)
{
    if (argc > 2 + NAMES_MAX) {
        resp_errorf(reply, "ERR more than %d command names", NAMES_MAX);
        return false;
    }
    return true;
}

static void describe_info(const struct command_env *env, uint32_t argc,
                          const struct bytes *argv, struct buffer *reply)
{
    if (!names_fit(argc, reply)) {
        return;
    }
    if (argc == 2) {
        describe_info_all(env, reply);
        return;
    }
    resp_array(reply, argc - 2);
    for (uint32_t i = 2; i < argc; i++) {
        describe_info_one(env, command_find(argv[i]), reply);
    }
}

/* ---- the other subcommands
 * -------------------------------------------------*/

static void describe_count(const struct command_env *env, uint32_t argc,
                           const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    unsigned n;

    (void)argc;
    (void)argv;
    (void)command_table(&n);
    resp_integer(reply, n);
}

static void describe_docs_one(const struct command_env *env,
                              const struct command *c, struct buffer *reply)
{
    reply_name(reply, c);
    reply_map(env, reply, 3);
    reply_text(reply, "summary");
    reply_text(reply, c->summary);
    reply_text(reply, "since");
    reply_text(reply, c->since);
    reply_text(reply, "group");
    reply_text(reply, c->group);
}

/* Names that are not known are left out. */
static void describe_docs(const struct command_env *env, uint32_t argc,
                          const struct bytes *argv, struct buffer *reply)
{
    unsigned n;
    const struct command *table = command_table(&n);
    size_t n_known = 0;

    if (!names_fit(argc, reply)) {
        return;
    }
    if (argc == 2) {
        reply_map(env, reply, n);
        for (unsigned i = 0; i < n; i++) {
            describe_docs_one(env, &table[i], reply);
        }
        return;
    }
    for (uint32_t i = 2; i < argc; i++) {
        n_known += command_find(argv[i]) != NULL;
    }
    reply_map(env, reply, n_known);
    for (uint32_t i = 2; i < argc; i++) {
        const struct command *c = command_find(argv[i]);
        if (c != NULL) {
            describe_docs_one(env, c, reply);
        }
    }
}

struct list_filter {
    bool all;
    struct bytes pattern;  /* of the name, when data is not NULL */
    struct bytes category; /* without the @, when data is not NULL */
};

static bool list_has_category(const struct command *c, struct bytes category)
{
    return ((c->flags & COMMAND_KEYSPACE) &&
            command_is(category, "KEYSPACE")) ||
           ((c->flags & COMMAND_READ) && command_is(category, "READ")) ||
           ((c->flags & COMMAND_WRITE) && command_is(category, "WRITE")) ||
           ((c->flags & COMMAND_FAST) && command_is(category, "FAST")) ||
           (!(c->flags & COMMAND_FAST) && command_is(category, "SLOW")) ||
           ((c->flags & COMMAND_DANGEROUS) &&
            command_is(category, "DANGEROUS")) ||
           (strcmp(c->group, "string") == 0 &&
            command_is(category, "STRING")) ||
           ((c->flags & COMMAND_TRANSACTION) &&
            command_is(category, "TRANSACTION")) ||
           (strcmp(c->group, "connection") == 0 &&
            command_is(category, "CONNECTION"));
}

static bool list_shows(const struct list_filter *f, const struct command *c)
{
    char name[NAME_MAX_BYTES];
    struct bytes bytes = {(const uint8_t *)name, name_lower(c, name)};

    if (f->pattern.data != NULL) {
        return glob_match(f->pattern, bytes, true, NULL);
    }
    if (f->category.data != NULL) {
        return list_has_category(c, f->category);
    }
    return f->all;
}

static void describe_list(const struct command_env *env, uint32_t argc,
                          const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    struct list_filter filter = {argc == 2, {NULL, 0}, {NULL, 0}};
    unsigned n;
    const struct command *table = command_table(&n);
    size_t n_shown = 0;

    if (argc == 5 && command_is(argv[2], "FILTERBY") &&
        command_is(argv[3], "PATTERN")) {
        if (!command_pattern_fits(argv[4], reply)) {
            return;
        }
        filter.pattern = argv[4];
    } else if (argc == 5 && command_is(argv[2], "FILTERBY") &&
               command_is(argv[3], "ACLCAT")) {
        filter.category = argv[4];
    } else if (argc != 2 && !(argc == 5 && command_is(argv[2], "FILTERBY") &&
                              command_is(argv[3], "MODULE"))) {
        resp_error(reply, command_error_syntax);
        return;
    }
    for (unsigned i = 0; i < n; i++) {
        n_shown += list_shows(&filter, &table[i]);
    }
    resp_array(reply, n_shown);
    for (unsigned i = 0; i < n; i++) {
        if (list_shows(&filter, &table[i])) {
            reply_name(reply, &table[i]);
        }
    }
}

static void describe_getkeys(const struct command_env *env, uint32_t argc,
                             const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    const struct command *c = command_find(argv[2]);
    uint32_t n_args = argc - 2;
    uint32_t first;
    uint32_t last;
    uint32_t step;

    if (c == NULL) {
        resp_error(reply, "ERR Invalid command specified");
        return;
    }
    if (c->first_key == 0) {
        resp_error(reply, "ERR The command has no key arguments");
        return;
    }
    if (c->arity >= 0 ? n_args != (uint32_t)c->arity
                      : n_args < (uint32_t)-c->arity) {
        resp_error(reply, "ERR Invalid number of arguments specified for "
                          "command");
        return;
    }
    first = (uint32_t)c->first_key;
    step = (uint32_t)c->key_step;
    last = c->last_key >= 0 ? (uint32_t)c->last_key
                            : n_args - (uint32_t)-c->last_key;
    resp_array(reply, (last - first) / step + 1);
    for (uint32_t i = first; i <= last; i += step) {
        resp_bulk(reply, argv[2 + i].data, argv[2 + i].size);
    }
}

static void describe_help(const struct command_env *env, uint32_t argc,
                          const struct bytes *argv, struct buffer *reply)
{
    (void)env;
    static const char *const lines[] = {
        "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about commands.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "INFO [<command-name> ...]",
        "    Return details about commands.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <cat>|PATTERN <pattern>)]",
        "    Return a list of command names.",
    };
    size_t n = sizeof lines / sizeof lines[0];

    (void)argc;
    (void)argv;
    resp_array(reply, n);
    for (size_t i = 0; i < n; i++) {
        resp_simple(reply, lines[i]);
    }
}

static const struct command_subcommand command_subcommands[] = {
    {"COUNT", "command|count", 2, describe_count},
    {"DOCS", "command|docs", -2, describe_docs},
    {"GETKEYS", "command|getkeys", -4, describe_getkeys},
    {"HELP", "command|help", 2, describe_help},
    {"INFO", "command|info", -2, describe_info},
    {"LIST", "command|list", -2, describe_list},
    {NULL, NULL, 0, NULL},
};

bool command_check_command(uint32_t argc, const struct bytes *argv,
                           struct buffer *reply)
{
    return argc == 1 || command_subcommand_find(command_subcommands, "COMMAND",
                                                argc, argv, reply) != NULL;
}

void command_command(struct command_env *env, uint32_t argc,
                     const struct bytes *argv, struct buffer *reply)
{
    const struct command_subcommand *s;

    if (argc == 1) {
        describe_info_all(env, reply);
        return;
    }
    s = command_subcommand_find(command_subcommands, "COMMAND", argc, argv,
                                reply);
    if (s != NULL) {
        s->run(env, argc, argv, reply);
    }
}

bool command_check_config(uint32_t argc, const struct bytes *argv,
                          struct buffer *reply)
{
    static const struct command_subcommand list[] = {
        {"GET", "config|get", -3, NULL},
        {"HELP", "config|help", 2, NULL},
        {"RESETSTAT", "config|resetstat", 2, NULL},
        {"REWRITE", "config|rewrite", 2, NULL},
        {"SET", "config|set", -4, NULL},
        {NULL, NULL, 0, NULL},
    };

    return command_subcommand_find(list, "CONFIG", argc, argv, reply) != NULL;
}
