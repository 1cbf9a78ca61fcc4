/* CONFIG GET and SET over the table of options, with the words of Redis. */
#include "node/config_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "node/command.h"
#include "node/glob.h"
#include "node/number.h"
#include "node/resp.h"

/* What redis-benchmark and client libraries ask for, answered as it is here:
 * writes go to a log, and snapshots have no such schedule. */
static const struct {
    const char *name, *value;
} redis_names[] = {
    {"appendonly", "yes"},
    {"save", ""},
    {"databases", "1"},
};

/* Options of ours that Redis has under another name, which may be used too. */
static const struct alias {
    const char *name, *option;
    uint64_t unit; /* of Redis' value in ours */
} aliases[] = {
    {"maxclients", "max-clients", 1},
    {"timeout", "client-idle-timeout-ms", 1000},
    {"proto-max-bulk-len", "client-bulk-bytes", 1},
};

enum {
    N_REDIS_NAMES = sizeof redis_names / sizeof *redis_names,
    N_ALIASES = sizeof aliases / sizeof *aliases,
    GET_PATTERNS_MAX = 128, /* each is compared with each name */
    SET_PAIRS_MAX = 64      /* each is looked for among those before it */
};

struct answer {
    const struct bytes *patterns;
    uint32_t n_patterns;
    struct buffer pairs;
    size_t n;
};

static struct bytes bytes_of(const char *text)
{
    struct bytes b = {(const uint8_t *)text, strlen(text)};
    return b;
}

static bool is_glob(struct bytes pattern)
{
    return memchr(pattern.data, '*', pattern.size) != NULL ||
           memchr(pattern.data, '?', pattern.size) != NULL ||
           memchr(pattern.data, '[', pattern.size) != NULL;
}

/* A name that was asked for in other letters comes back in these. */
static void offer(struct answer *a, const char *name, const char *value)
{
    for (uint32_t i = 0; i < a->n_patterns; i++) {
        struct bytes pattern = a->patterns[i];
        struct bytes shown = bytes_of(name);
        if (pattern.size > 0 && glob_match(pattern, shown, true, NULL)) {
            if (!is_glob(pattern)) {
                shown = pattern;
            }
            resp_bulk(&a->pairs, shown.data, shown.size);
            resp_bulk(&a->pairs, value, strlen(value));
            a->n += 2;
            return;
        }
    }
}

static void answer(struct answer *a, const struct config *c)
{
    char value[CONFIG_VALUE_MAX];
    char number[32];
    const char *name;

    for (unsigned i = 0; config_show(c, i, &name, value); i++) {
        offer(a, name, value);
        for (unsigned k = 0; k < N_ALIASES; k++) {
            if (strcmp(name, aliases[k].option) == 0) {
                snprintf(number, sizeof number, "%llu",
                         strtoull(value, NULL, 10) / aliases[k].unit);
                offer(a, aliases[k].name, number);
            }
        }
    }
    for (unsigned i = 0; i < N_REDIS_NAMES; i++) {
        offer(a, redis_names[i].name, redis_names[i].value);
    }
    offer(a, "appendfsync",
          strcmp(c->sync, "always") == 0 ? "always" : "everysec");
}

static void get(const struct config *c, uint32_t argc, const struct bytes *argv,
                struct buffer *reply)
{
    struct answer a;

    if (argc > 2 + GET_PATTERNS_MAX) {
        resp_errorf(reply, "ERR more than %d patterns", GET_PATTERNS_MAX);
        return;
    }
    for (uint32_t i = 2; i < argc; i++) {
        if (!command_pattern_fits(argv[i], reply)) {
            return;
        }
    }
    memset(&a, 0, sizeof a);
    a.patterns = argv + 2;
    a.n_patterns = argc - 2;
    buffer_init(&a.pairs);
    answer(&a, c);
    if (a.pairs.failed) {
        resp_error(reply, "ERR out of memory");
    } else {
        resp_array(reply, a.n);
        buffer_append(reply, buffer_data(&a.pairs), buffer_size(&a.pairs));
    }
    buffer_close(&a.pairs);
}

/* ---- SET ---- */

static bool is_name(struct bytes given, const char *name)
{
    return given.size == strlen(name) &&
           strncasecmp((const char *)given.data, name, given.size) == 0;
}

static void refuse(struct bytes name, const char *why, struct buffer *reply)
{
    struct resp_shown shown = resp_shown(name);

    resp_errorf(reply,
                "ERR CONFIG SET failed (possibly related to argument '%.*s') "
                "- %s",
                shown.size, shown.text, why);
}

static int set_alias(struct config *c, const struct alias *alias,
                     struct bytes value, struct err_info *info)
{
    char text[32];
    int64_t n;

    if (alias->unit > 1) {
        if (!number_parse(value, &n) || n < 0 ||
            n > INT64_MAX / (int64_t)alias->unit) {
            return err_set(info, ERR_INVALID,
                           "argument couldn't be parsed into an integer");
        }
        snprintf(text, sizeof text, "%llu",
                 (unsigned long long)n * alias->unit);
        value = bytes_of(text);
    }
    return config_set(c, bytes_of(alias->option), value, info);
}

static int set_one(struct config *c, struct bytes name, struct bytes value,
                   struct err_info *info)
{
    for (unsigned i = 0; i < N_ALIASES; i++) {
        if (is_name(name, aliases[i].name)) {
            return set_alias(c, &aliases[i], value, info);
        }
    }
    for (unsigned i = 0; i < N_REDIS_NAMES; i++) {
        if (is_name(name, redis_names[i].name)) {
            return err_set(info, ERR_ACCESS, "can't set immutable config");
        }
    }
    return config_set(c, name, value, info);
}

static bool is_twice(const struct bytes *argv, uint32_t at)
{
    for (uint32_t i = 2; i < at; i += 2) {
        if (argv[i].size == argv[at].size &&
            strncasecmp((const char *)argv[i].data, (const char *)argv[at].data,
                        argv[at].size) == 0) {
            return true;
        }
    }
    return false;
}

/* All pairs into c; false after an error reply. */
static bool set_all(struct config *c, uint32_t argc, const struct bytes *argv,
                    struct buffer *reply)
{
    struct err_info info;

    for (uint32_t i = 2; i + 1 < argc; i += 2) {
        int rc = set_one(c, argv[i], argv[i + 1], &info);
        struct resp_shown shown = resp_shown(argv[i]);

        if (rc == ERR_NOTFOUND) {
            resp_errorf(reply,
                        "ERR Unknown option or number of arguments for CONFIG "
                        "SET - '%.*s'",
                        shown.size, shown.text);
            return false;
        }
        if (rc == 0 && is_twice(argv, i)) {
            rc = err_set(&info, ERR_INVALID, "duplicate parameter");
        }
        if (rc != 0) {
            refuse(argv[i], info.message, reply);
            return false;
        }
    }
    return true;
}

static void set(struct config *c, const struct config_hooks *hooks,
                uint32_t argc, const struct bytes *argv, struct buffer *reply)
{
    struct config *next;

    if (argc % 2 != 0) {
        resp_error(reply, "ERR syntax error");
        return;
    }
    if (argc > 2 + 2 * SET_PAIRS_MAX) {
        resp_errorf(reply, "ERR more than %d pairs", SET_PAIRS_MAX);
        return;
    }
    next = malloc(sizeof *next);
    if (next == NULL) {
        resp_error(reply, "ERR out of memory");
        return;
    }
    memcpy(next, c, sizeof *next);
    if (set_all(next, argc, argv, reply)) {
        memcpy(c, next, sizeof *c);
        if (hooks->changed != NULL) {
            hooks->changed(hooks->ctx);
        }
        resp_simple(reply, "OK");
    }
    free(next);
}

static void help(struct buffer *reply)
{
    static const char *const lines[] = {
        "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their "
        "values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        "HELP",
        "    Prints this help.",
    };

    resp_lines(reply, lines, sizeof lines / sizeof *lines);
}

void config_command(struct config *c, const struct config_hooks *hooks,
                    uint32_t argc, const struct bytes *argv,
                    struct buffer *reply)
{
    if (is_name(argv[1], "get")) {
        get(c, argc, argv, reply);
    } else if (is_name(argv[1], "set")) {
        set(c, hooks, argc, argv, reply);
    } else if (is_name(argv[1], "resetstat")) {
        if (hooks->reset_stats != NULL) {
            hooks->reset_stats(hooks->ctx);
        }
        resp_simple(reply, "OK");
    } else if (is_name(argv[1], "rewrite")) {
        /* Flags and the environment are where the options are kept. */
        resp_error(reply, "ERR The server is running without a config file");
    } else {
        help(reply);
    }
}
