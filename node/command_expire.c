/* When keys expire: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST; TTL, PTTL,
 * EXPIRETIME, PEXPIRETIME; and the expiry options of other commands.
 *
 * A relative time counts from the clock of the state, which for a write is that
 * of its entry at least. A time to live is told by the leader's clock, when the
 * read brought one: the state's stands still while nothing is written. */
#include "node/command_internal.h"
#include "node/number.h"

static void reply_invalid(struct buffer *reply, const char *name)
{
    resp_errorf(reply, "ERR invalid expire time in '%s' command", name);
}

int command_expiry_option(struct command_expiry *e, uint32_t argc,
                          const struct bytes *argv, uint32_t i)
{
    static const struct {
        const char *word;
        bool seconds, absolute;
    } words[] = {{"EX", true, false},
                 {"PX", false, false},
                 {"EXAT", true, true},
                 {"PXAT", false, true}};

    for (unsigned k = 0; k < sizeof words / sizeof words[0]; k++) {
        bool other = e->time.data != NULL && (e->seconds != words[k].seconds ||
                                              e->absolute != words[k].absolute);
        if (!command_is(argv[i], words[k].word)) {
            continue;
        }
        /* The same one again is fine, the last one counts, as in Redis. */
        if (i + 1 >= argc || other) {
            return -1;
        }
        e->time = argv[i + 1];
        e->seconds = words[k].seconds;
        e->absolute = words[k].absolute;
        return 1;
    }
    return 0;
}

bool command_expiry_at(const struct command_expiry *e, uint64_t now_ms,
                       const char *name, uint64_t *at_ms, struct buffer *reply)
{
    int64_t base = e->absolute ? 0 : (int64_t)now_ms;
    int64_t n;

    if (!number_parse(e->time, &n)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    if (n <= 0 || (e->seconds && n > INT64_MAX / 1000)) {
        reply_invalid(reply, name);
        return false;
    }
    n = e->seconds ? n * 1000 : n;
    if (n > INT64_MAX - base) {
        reply_invalid(reply, name);
        return false;
    }
    *at_ms = (uint64_t)(n + base);
    return true;
}

/* Give a live item this expiry (0: none); its value stays. False after writing
 * an error reply. */
static bool set_expiry(struct command_env *env, struct store_item *item,
                       uint64_t at_ms, struct buffer *reply)
{
    bool done;

    store_item_ref(item);
    done = store_set(env->store, store_item_key(item), store_item_value(item),
                     store_item_type(item), at_ms) == 0;
    store_item_unref(item);
    if (!done) {
        command_out_of_memory(env, reply);
    }
    return done;
}

bool command_expire_item(struct command_env *env, struct store_item *item,
                         uint64_t at_ms, struct buffer *reply)
{
    if (at_ms != 0 && at_ms <= env->now_ms) {
        if (store_delete(env->store, store_item_key(item)) == 0) {
            return true;
        }
        command_out_of_memory(env, reply);
        return false;
    }
    return set_expiry(env, item, at_ms, reply);
}

/* ---- EXPIRE and its kin ---- */

enum expire_flags {
    EXPIRE_NX = 1,
    EXPIRE_XX = 2,
    EXPIRE_GT = 4,
    EXPIRE_LT = 8
};

/* The options behind key and time; -1 after writing an error reply. */
static int expire_options(uint32_t argc, const struct bytes *argv,
                          struct buffer *reply)
{
    int flags = 0;

    for (uint32_t i = 3; i < argc; i++) {
        if (command_is(argv[i], "NX")) {
            flags |= EXPIRE_NX;
        } else if (command_is(argv[i], "XX")) {
            flags |= EXPIRE_XX;
        } else if (command_is(argv[i], "GT")) {
            flags |= EXPIRE_GT;
        } else if (command_is(argv[i], "LT")) {
            flags |= EXPIRE_LT;
        } else {
            struct resp_shown shown = resp_shown(argv[i]);
            resp_errorf(reply, "ERR Unsupported option %.*s", shown.size,
                        shown.text);
            return -1;
        }
    }
    if ((flags & EXPIRE_NX) != 0 && flags != EXPIRE_NX) {
        resp_error(reply, "ERR NX and XX, GT or LT options at the same time "
                          "are not compatible");
        return -1;
    }
    if ((flags & EXPIRE_GT) != 0 && (flags & EXPIRE_LT) != 0) {
        resp_error(reply, "ERR GT and LT options at the same time are not "
                          "compatible");
        return -1;
    }
    return flags;
}

/* The row of the command by its name; times may lie in the past. */
static bool expire_parse(uint32_t argc, const struct bytes *argv,
                         uint64_t now_ms, int *flags, int64_t *at_ms,
                         struct buffer *reply)
{
    bool milliseconds =
        command_is(argv[0], "PEXPIRE") || command_is(argv[0], "PEXPIREAT");
    bool absolute =
        command_is(argv[0], "EXPIREAT") || command_is(argv[0], "PEXPIREAT");
    const char *name = milliseconds ? absolute ? "pexpireat" : "pexpire"
                       : absolute   ? "expireat"
                                    : "expire";
    int64_t base = absolute ? 0 : (int64_t)now_ms;

    *flags = expire_options(argc, argv, reply);
    if (*flags < 0) {
        return false;
    }
    if (!number_parse(argv[2], at_ms)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    if (!milliseconds &&
        (*at_ms > INT64_MAX / 1000 || *at_ms < INT64_MIN / 1000)) {
        reply_invalid(reply, name);
        return false;
    }
    *at_ms = milliseconds ? *at_ms : *at_ms * 1000;
    if (*at_ms > INT64_MAX - base) {
        reply_invalid(reply, name);
        return false;
    }
    *at_ms += base;
    return true;
}

bool command_check_expire(uint32_t argc, const struct bytes *argv,
                          struct buffer *reply)
{
    int64_t at_ms;
    int flags;

    return expire_parse(argc, argv, 0, &flags, &at_ms, reply);
}

/* Do the options allow a new expiry for a key that has this one (0: none, which
 * is later than any)? */
static bool expire_allowed(int flags, uint64_t has_ms, int64_t at_ms)
{
    bool later = has_ms != 0 && at_ms > (int64_t)has_ms;
    bool earlier = has_ms == 0 || at_ms < (int64_t)has_ms;

    return !((flags & EXPIRE_NX) != 0 && has_ms != 0) &&
           !((flags & EXPIRE_XX) != 0 && has_ms == 0) &&
           !((flags & EXPIRE_GT) != 0 && !later) &&
           !((flags & EXPIRE_LT) != 0 && !earlier);
}

void command_expire(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;
    int64_t at_ms = 0;
    int flags = 0;

    if (!expire_parse(argc, argv, env->now_ms, &flags, &at_ms, reply)) {
        return;
    }
    item = command_lookup(env, argv[1]);
    if (item == NULL ||
        !expire_allowed(flags, store_item_expire_ms(item), at_ms)) {
        resp_integer(reply, 0);
        return;
    }
    /* What lies before the clock is all one. */
    if (command_expire_item(env, item, at_ms > 0 ? (uint64_t)at_ms : 1,
                            reply)) {
        resp_integer(reply, 1);
    }
}

void command_persist(struct command_env *env, uint32_t argc,
                     const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item = command_lookup(env, argv[1]);

    (void)argc;
    if (item == NULL || store_item_expire_ms(item) == 0) {
        resp_integer(reply, 0);
    } else if (set_expiry(env, item, 0, reply)) {
        resp_integer(reply, 1);
    }
}

/* ---- TTL and its kin ---- */

/* -2: no such key; -1: it does not expire. */
static int64_t ttl_of(struct command_env *env, struct bytes key, bool absolute)
{
    const struct store_item *item = command_lookup(env, key);
    uint64_t now_ms =
        env->leader_ms > env->now_ms ? env->leader_ms : env->now_ms;
    uint64_t at_ms;

    if (item == NULL) {
        return -2;
    }
    at_ms = store_item_expire_ms(item);
    if (at_ms == 0) {
        return -1;
    }
    return (int64_t)(absolute ? at_ms : at_ms > now_ms ? at_ms - now_ms : 0);
}

static void reply_seconds(struct buffer *reply, int64_t ms)
{
    /* To the nearest, as Redis. */
    resp_integer(reply, ms < 0 ? ms : ms / 1000 + (ms % 1000 >= 500));
}

void command_ttl(struct command_env *env, uint32_t argc,
                 const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    reply_seconds(reply, ttl_of(env, argv[1], false));
}

void command_pttl(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    resp_integer(reply, ttl_of(env, argv[1], false));
}

void command_expiretime(struct command_env *env, uint32_t argc,
                        const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    reply_seconds(reply, ttl_of(env, argv[1], true));
}

void command_pexpiretime(struct command_env *env, uint32_t argc,
                         const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    resp_integer(reply, ttl_of(env, argv[1], true));
}
