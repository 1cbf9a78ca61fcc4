/* The command table and what all commands share: lookup by name and code, the
 * checks before a command is queued or logged, common replies. What each
 * command does is in command_<group>.c. */
#include "node/command.h"

#include <assert.h>
#include <stdio.h>

#include "node/command_internal.h"
#include "node/proposal.h"
#include "raftlog/err.h"

static const struct command commands[] = {
#define COMMAND_ROW(code, name, arity, flags, first, last, step, check, run,   \
                    group, since, summary)                                     \
    {#name, code,  arity, flags, first, last,                                  \
     step,  check, run,   group, since, summary},
    COMMAND_LIST(COMMAND_ROW)
#undef COMMAND_ROW
};

enum {
    N_COMMANDS = sizeof commands / sizeof commands[0],
    COMMAND_BYTES_MAX = 512 * 1024 * 1024 /* of all arguments together */
};

const char command_error_syntax[] = "ERR syntax error";
const char command_error_integer[] =
    "ERR value is not an integer or out of range";

const char command_error_pattern[] = "ERR pattern is too long";
const char command_error_string_size[] =
    "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

static int upper(int c)
{
    return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
}

/* Order of a name in any case against an upper case word. */
static int name_compare(struct bytes name, const char *word)
{
    for (size_t i = 0; i < name.size; i++) {
        int c = upper(name.data[i]) - (unsigned char)word[i];
        /* Also ends at the end of the word, unless the name has a zero byte
         * there. */
        if (c != 0 || word[i] == '\0') {
            return c != 0 ? c : 1;
        }
    }
    return word[name.size] == '\0' ? 0 : -1;
}

bool command_is(struct bytes arg, const char *word)
{
    return name_compare(arg, word) == 0;
}

const struct command *command_find(struct bytes name)
{
    unsigned lo = 0;
    unsigned hi = N_COMMANDS;

    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int c = name_compare(name, commands[mid].name);
        if (c == 0) {
            return &commands[mid];
        }
        if (c < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return NULL;
}

const struct command *command_by_code(uint16_t code)
{
    for (unsigned i = 0; i < N_COMMANDS; i++) {
        if (commands[i].code == code) {
            return &commands[i];
        }
    }
    return NULL;
}

const struct command *command_table(unsigned *n)
{
    *n = N_COMMANDS;
    return commands;
}

/* ---- checks ---- */

/* The words of Redis for a name it does not know, with the beginning of what
 * was sent. Raw bytes are shown up to a zero byte; line ends are made blanks by
 * resp_error. */
static void command_reply_unknown(uint32_t argc, const struct bytes *argv,
                                  struct buffer *reply)
{
    struct resp_shown name = resp_shown(argv[0]);
    char args[RESP_SHOWN_MAX + 4] = "";
    size_t used = 0;

    for (uint32_t i = 1; i < argc && used < RESP_SHOWN_MAX; i++) {
        size_t max = RESP_SHOWN_MAX - used;
        size_t n = argv[i].size < max ? argv[i].size : max;
        int put = snprintf(args + used, sizeof args - used, "'%.*s' ", (int)n,
                           n > 0 ? (const char *)argv[i].data : "");
        /* At most n + 3 bytes: the array has room for the last of them. */
        used += (size_t)put;
    }
    resp_errorf(reply,
                "ERR unknown command '%.*s', with args beginning with: %s",
                name.size, name.text, args);
}

size_t command_name_lower(const char *name, char out[COMMAND_NAME_MAX])
{
    size_t n = 0;

    for (; name[n] != '\0' && n + 1 < COMMAND_NAME_MAX; n++) {
        out[n] = name[n] >= 'A' && name[n] <= 'Z' ? (char)(name[n] - 'A' + 'a')
                                                  : name[n];
    }
    out[n] = '\0';
    return n;
}

void command_reply_arity(struct buffer *reply, const char *name)
{
    char lower[COMMAND_NAME_MAX];

    (void)command_name_lower(name, lower);
    resp_errorf(reply, "ERR wrong number of arguments for '%s' command", lower);
}

void command_reply_subcommand(struct buffer *reply, const char *name,
                              struct bytes sub)
{
    struct resp_shown shown = resp_shown(sub);

    resp_errorf(reply, "ERR unknown subcommand '%.*s'. Try %s HELP.",
                shown.size, shown.text, name);
}

bool command_arity_fits(int arity, uint32_t argc)
{
    return arity >= 0 ? argc == (uint32_t)arity : argc >= (uint32_t)-arity;
}

uint32_t command_last_key(const struct command *c, uint32_t argc)
{
    return c->last_key >= 0 ? (uint32_t)c->last_key
                            : argc - (uint32_t)-c->last_key;
}

bool command_keys_fit(const struct command *c, uint32_t argc,
                      const struct bytes *argv, uint64_t size_max,
                      struct buffer *reply)
{
    uint32_t last = command_last_key(c, argc);
    uint32_t step = (uint32_t)c->key_step;

    for (uint32_t i = (uint32_t)c->first_key; i > 0 && i <= last; i += step) {
        if (argv[i].size > size_max) {
            resp_errorf(reply, "ERR key is larger than %llu bytes",
                        (unsigned long long)size_max);
            return false;
        }
    }
    return true;
}

/* Limits that hold for the arguments of every command. */
static bool command_check_sizes(const struct command *c, uint32_t argc,
                                const struct bytes *argv, struct buffer *reply)
{
    uint64_t n_bytes = 0;

    for (uint32_t i = 1; i < argc; i++) {
        if (argv[i].size > STORE_VALUE_MAX) {
            resp_errorf(reply, "ERR value is larger than %d bytes",
                        STORE_VALUE_MAX);
            return false;
        }
        n_bytes += argv[i].size;
    }
    if (argc > PROPOSAL_ARGS_MAX || n_bytes > COMMAND_BYTES_MAX) {
        resp_error(reply, "ERR command is larger than the limit");
        return false;
    }
    return command_keys_fit(c, argc, argv, STORE_KEY_MAX, reply);
}

bool command_writes(const struct command *c, uint32_t argc)
{
    return (c->flags & COMMAND_WRITE) != 0 &&
           (c->code != COMMAND_CODE_GETEX || argc > 2);
}

bool command_pattern_fits(struct bytes pattern, struct buffer *reply)
{
    if (pattern.size > COMMAND_PATTERN_MAX) {
        resp_error(reply, command_error_pattern);
        return false;
    }
    return true;
}

bool command_may_queue(const struct command *c)
{
    if ((c->flags & (COMMAND_READ | COMMAND_WRITE)) != 0) {
        return (c->flags & COMMAND_NO_MULTI) == 0;
    }
    return (c->flags & COMMAND_MULTI) != 0;
}

const struct command *command_check_form(uint32_t argc,
                                         const struct bytes *argv,
                                         struct buffer *reply)
{
    const struct command *c;

    assert(argc > 0);
    c = command_find(argv[0]);
    if (c == NULL) {
        command_reply_unknown(argc, argv, reply);
        return NULL;
    }
    if (!command_arity_fits(c->arity, argc)) {
        if (c->code == COMMAND_CODE_EXEC) {
            /* Whatever is wrong with EXEC ends the transaction. */
            resp_error(reply, "EXECABORT Transaction discarded because of: "
                              "wrong number of arguments for 'exec' command");
        } else {
            command_reply_arity(reply, c->name);
        }
        return NULL;
    }
    if (c->code == COMMAND_CODE_INCRBYFLOAT && !command_float_fits(reply)) {
        return NULL; /* To apply it here would stop the node. */
    }
    return command_check_sizes(c, argc, argv, reply) ? c : NULL;
}

const struct command *command_check(uint32_t argc, const struct bytes *argv,
                                    struct buffer *reply)
{
    const struct command *c = command_check_form(argc, argv, reply);

    if (c != NULL && c->check != NULL && !c->check(argc, argv, reply)) {
        return NULL;
    }
    return c;
}

/* ---- shared by the groups ---- */

void command_reply_too_long(const struct command_env *env, struct buffer *reply)
{
    resp_errorf(reply, "ERR reply is longer than the limit of %llu bytes",
                (unsigned long long)env->reply_max);
}

void command_reply_value(const struct command_env *env, struct bytes value,
                         struct buffer *reply)
{
    if (env->reply_max > 0 && value.size > env->reply_max) {
        command_reply_too_long(env, reply);
        return;
    }
    resp_bulk(reply, value.data, value.size);
}

bool command_is_live(struct command_env *env, const struct store_item *item)
{
    uint64_t expire_ms = store_item_expire_ms(item);

    if (expire_ms == 0) {
        return true;
    }
    if (expire_ms > env->now_ms && expire_ms <= env->leader_ms) {
        env->due = true;
    }
    return expire_ms > env->now_ms;
}

struct store_item *command_lookup(struct command_env *env, struct bytes key)
{
    struct store_item *item = store_get(env->store, key);

    return item != NULL && command_is_live(env, item) ? item : NULL;
}

bool command_lookup_string(struct command_env *env, struct bytes key,
                           struct store_item **item, struct buffer *reply)
{
    *item = command_lookup(env, key);
    if (*item != NULL && store_item_type(*item) != 0) {
        resp_error(reply, "WRONGTYPE Operation against a key holding the wrong "
                          "kind of value");
        return false;
    }
    return true;
}

bool command_store_string(struct command_env *env, struct bytes key,
                          struct bytes value, uint64_t expire_ms,
                          struct buffer *reply)
{
    int rc = store_set(env->store, key, value, 0, expire_ms);

    if (rc == 0) {
        return true;
    }
    if (rc == ERR_TOOBIG) {
        resp_error(reply, "ERR key or value is larger than the limit");
    } else {
        command_out_of_memory(env, reply);
    }
    return false;
}

void command_out_of_memory(struct command_env *env, struct buffer *reply)
{
    env->error = ERR_NOMEM;
    resp_error(reply, "ERR out of memory");
}
