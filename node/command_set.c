/* SET with its options, and the commands that are short for some of them:
 * SETEX, PSETEX, GETSET; GETEX, which sets the expiry alone. */
#include <string.h>

#include "node/command_internal.h"
#include "node/store_item.h"
#include "raftlog/err.h"

/* ---- options ---- */

enum set_flags { SET_NX = 1, SET_XX = 2, SET_IFEQ = 4 };

struct set_options {
    int condition; /* at most one of set_flags */
    bool get;
    bool keep_ttl;
    bool persist;       /* GETEX */
    struct bytes match; /* IFEQ */
    struct command_expiry expiry;
};

/* A condition excludes the others, not itself, as in Redis; IFEQ (of Redis 8)
 * is taken once. */
static int set_condition(struct set_options *o, uint32_t argc,
                         const struct bytes *argv, uint32_t i)
{
    int flag = command_is(argv[i], "NX")     ? SET_NX
               : command_is(argv[i], "XX")   ? SET_XX
               : command_is(argv[i], "IFEQ") ? SET_IFEQ
                                             : 0;

    if (flag == 0) {
        return 0;
    }
    if ((o->condition & ~flag) != 0 ||
        (flag == SET_IFEQ && (o->condition != 0 || i + 1 >= argc))) {
        return -1;
    }
    o->condition = flag;
    if (flag == SET_IFEQ) {
        o->match = argv[i + 1];
        return 2;
    }
    return 1;
}

/* What to do with the expiry: at most one of a time, KEEPTTL (SET) and PERSIST
 * (GETEX). */
static int set_expiry_option(struct set_options *o, bool is_set, uint32_t argc,
                             const struct bytes *argv, uint32_t i)
{
    if (is_set ? command_is(argv[i], "KEEPTTL")
               : command_is(argv[i], "PERSIST")) {
        o->keep_ttl = is_set;
        o->persist = !is_set;
        return o->expiry.time.data != NULL ? -1 : 1;
    }
    switch (command_expiry_option(&o->expiry, argc, argv, i)) {
    case 0:
        return 0;
    case 1:
        return o->keep_ttl || o->persist ? -1 : 2;
    default:
        return -1;
    }
}

/* The options from argv[first] on; false: not understood. */
static bool set_parse(uint32_t argc, const struct bytes *argv, bool is_set,
                      struct set_options *o)
{
    uint32_t i = is_set ? 3 : 2;

    memset(o, 0, sizeof *o);
    while (i < argc) {
        int used = set_expiry_option(o, is_set, argc, argv, i);
        if (used == 0 && is_set) {
            used = set_condition(o, argc, argv, i);
        }
        if (used == 0 && is_set && command_is(argv[i], "GET")) {
            o->get = true;
            used = 1;
        }
        if (used <= 0) {
            return false;
        }
        i += (uint32_t)used;
    }
    return true;
}

/* ---- SET ---- */

/* The value of an item, or null for none. */
static void reply_item(const struct command_env *env,
                       const struct store_item *item, struct buffer *reply)
{
    if (item == NULL) {
        resp_null(reply);
    } else {
        command_reply_value(env, store_item_value(item), reply);
    }
}

static bool set_allowed(const struct set_options *o,
                        const struct store_item *item)
{
    switch (o->condition) {
    case SET_NX:
        return item == NULL;
    case SET_XX:
        return item != NULL;
    case SET_IFEQ:
        return item != NULL &&
               store_key_compare(store_item_value(item), o->match) == 0;
    default:
        return true;
    }
}

/* Set the key, or take it away when the time has passed already. False after
 * writing an error reply. */
static bool set_put(struct command_env *env, struct bytes key,
                    struct bytes value, uint64_t expire_ms,
                    struct buffer *reply)
{
    int rc;

    if (expire_ms == 0 || expire_ms > env->now_ms) {
        return command_store_string(env, key, value, expire_ms, reply);
    }
    rc = store_delete(env->store, key);
    if (rc == ERR_NOMEM) {
        command_out_of_memory(env, reply);
    }
    return rc != ERR_NOMEM;
}

/* Only the error behind `before` is the reply, not what stands from start. */
static void keep_error(struct buffer *reply, size_t start, size_t before)
{
    size_t size = buffer_size(reply) - before;
    uint8_t *base = reply->base + reply->start;

    if (!reply->failed) {
        memmove(base + start, base + before, size);
        buffer_truncate(reply, start + size);
    }
}

static void set_key(struct command_env *env, struct bytes key,
                    struct bytes value, const struct set_options *o,
                    uint64_t expire_ms, struct buffer *reply)
{
    size_t start = buffer_size(reply);
    struct store_item *item;
    size_t before;

    if (o->get || o->condition == SET_IFEQ) {
        if (!command_lookup_string(env, key, &item, reply)) {
            return;
        }
    } else {
        item = command_lookup(env, key);
    }
    if (o->get) {
        reply_item(env, item, reply);
    }
    before = buffer_size(reply);
    if (!set_allowed(o, item)) {
        if (!o->get) {
            resp_null(reply);
        }
        return;
    }
    if (o->keep_ttl && item != NULL) {
        expire_ms = store_item_expire_ms(item);
    }
    if (!set_put(env, key, value, expire_ms, reply)) {
        keep_error(reply, start, before);
    } else if (!o->get) {
        resp_simple(reply, "OK");
    }
}

/* When it is to expire (0: never); false after writing an error reply. */
static bool set_time(const struct set_options *o, uint64_t now_ms,
                     const char *name, uint64_t *at_ms, struct buffer *reply)
{
    *at_ms = 0;
    return o->expiry.time.data == NULL ||
           command_expiry_at(&o->expiry, now_ms, name, at_ms, reply);
}

bool command_check_set(uint32_t argc, const struct bytes *argv,
                       struct buffer *reply)
{
    struct set_options o;
    uint64_t at_ms;

    if (!set_parse(argc, argv, true, &o)) {
        resp_error(reply, command_error_syntax);
        return false;
    }
    return set_time(&o, 0, "set", &at_ms, reply);
}

void command_set(struct command_env *env, uint32_t argc,
                 const struct bytes *argv, struct buffer *reply)
{
    struct set_options o;
    uint64_t at_ms;

    if (!set_parse(argc, argv, true, &o)) {
        resp_error(reply, command_error_syntax);
    } else if (set_time(&o, env->now_ms, "set", &at_ms, reply)) {
        set_key(env, argv[1], argv[2], &o, at_ms, reply);
    }
}

void command_getset(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    static const struct set_options o = {.get = true};

    (void)argc;
    set_key(env, argv[1], argv[2], &o, 0, reply);
}

/* ---- SETEX, PSETEX: key, time, value ---- */

static bool setex_time(const struct bytes *argv, uint64_t now_ms,
                       uint64_t *at_ms, struct buffer *reply)
{
    bool seconds = command_is(argv[0], "SETEX");
    struct command_expiry expiry = {argv[2], seconds, false};

    return command_expiry_at(&expiry, now_ms, seconds ? "setex" : "psetex",
                             at_ms, reply);
}

bool command_check_setex(uint32_t argc, const struct bytes *argv,
                         struct buffer *reply)
{
    uint64_t at_ms;

    (void)argc;
    return setex_time(argv, 0, &at_ms, reply);
}

void command_setex(struct command_env *env, uint32_t argc,
                   const struct bytes *argv, struct buffer *reply)
{
    static const struct set_options o = {0};
    uint64_t at_ms;

    (void)argc;
    if (setex_time(argv, env->now_ms, &at_ms, reply)) {
        set_key(env, argv[1], argv[3], &o, at_ms, reply);
    }
}

/* ---- GETEX ---- */

/* Not the time: for a key that is absent it does not matter, as in Redis. */
bool command_check_getex(uint32_t argc, const struct bytes *argv,
                         struct buffer *reply)
{
    struct set_options o;

    if (!set_parse(argc, argv, false, &o)) {
        resp_error(reply, command_error_syntax);
        return false;
    }
    return true;
}

void command_getex(struct command_env *env, uint32_t argc,
                   const struct bytes *argv, struct buffer *reply)
{
    size_t start = buffer_size(reply);
    struct set_options o;
    struct store_item *item;
    uint64_t at_ms = 0;
    size_t before;

    if (!set_parse(argc, argv, false, &o)) {
        resp_error(reply, command_error_syntax);
        return;
    }
    if (!command_lookup_string(env, argv[1], &item, reply)) {
        return;
    }
    if (item != NULL && !set_time(&o, env->now_ms, "getex", &at_ms, reply)) {
        return;
    }
    reply_item(env, item, reply);
    before = buffer_size(reply);
    /* What has no expiry is not changed by taking it away. */
    if (item != NULL &&
        (o.expiry.time.data != NULL ||
         (o.persist && store_item_expire_ms(item) != 0)) &&
        !command_expire_item(env, item, at_ms, reply)) {
        keep_error(reply, start, before);
    }
}
