/* COMMAND: what the server can do, for clients that ask. Answers COUNT, INFO,
 * DOCS, LIST, GETKEYS and HELP in the form of Redis. Also here: the check of
 * CONFIG's subcommands; the values are the node's. */
#include <string.h>

#include "node/command_internal.h"
#include "node/glob.h"

enum { NAMES_MAX = 1024 };

static bool subcommand_fits(const struct command_subcommand *s, uint32_t argc,
                            struct buffer *reply)
{
    if (!command_arity_fits(s->arity, argc)) {
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

/* n elements follow: an array in version 2. */
static void reply_set(const struct command_env *env, struct buffer *reply,
                      size_t n)
{
    if (env->resp3) {
        resp_set(reply, n);
    } else {
        resp_array(reply, n);
    }
}

static void reply_name(struct buffer *reply, const struct command *c)
{
    char name[COMMAND_NAME_MAX];

    resp_bulk(reply, name, command_name_lower(c->name, name));
}

/* ---- COMMAND INFO ---- */

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
    resp_pairs(reply, env->resp3, 3);
    resp_text(reply, "flags");
    reply_set(env, reply, 2);
    resp_simple(reply, reads ? "RO" : "RW");
    resp_simple(reply, reads ? "access" : "update");
    resp_text(reply, "begin_search");
    resp_pairs(reply, env->resp3, 2);
    resp_text(reply, "type");
    resp_text(reply, "index");
    resp_text(reply, "spec");
    resp_pairs(reply, env->resp3, 1);
    resp_text(reply, "index");
    resp_integer(reply, c->first_key);
    resp_text(reply, "find_keys");
    resp_pairs(reply, env->resp3, 2);
    resp_text(reply, "type");
    resp_text(reply, "range");
    resp_text(reply, "spec");
    resp_pairs(reply, env->resp3, 3);
    resp_text(reply, "lastkey");
    resp_integer(reply,
                 c->last_key < 0 ? c->last_key : c->last_key - c->first_key);
    resp_text(reply, "keystep");
    resp_integer(reply, c->key_step);
    resp_text(reply, "limit");
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

/* ---- the other subcommands ---- */

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
    resp_pairs(reply, env->resp3, 3);
    resp_text(reply, "summary");
    resp_text(reply, c->summary);
    resp_text(reply, "since");
    resp_text(reply, c->since);
    resp_text(reply, "group");
    resp_text(reply, c->group);
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
        resp_pairs(reply, env->resp3, n);
        for (unsigned i = 0; i < n; i++) {
            describe_docs_one(env, &table[i], reply);
        }
        return;
    }
    for (uint32_t i = 2; i < argc; i++) {
        n_known += command_find(argv[i]) != NULL;
    }
    resp_pairs(reply, env->resp3, n_known);
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
    char name[COMMAND_NAME_MAX];
    struct bytes bytes = {(const uint8_t *)name,
                          command_name_lower(c->name, name)};

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
    if (!command_arity_fits(c->arity, n_args)) {
        resp_error(reply, "ERR Invalid number of arguments specified for "
                          "command");
        return;
    }
    first = (uint32_t)c->first_key;
    step = (uint32_t)c->key_step;
    last = command_last_key(c, n_args);
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

    (void)argc;
    (void)argv;
    resp_lines(reply, lines, sizeof lines / sizeof *lines);
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
