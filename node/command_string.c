/* Strings: GET, SET and their kin. Counters are in command_counter.c. */
#include <stdlib.h>
#include <string.h>

#include "node/command_internal.h"

/* ---- reads
 * -----------------------------------------------------------------*/

/* The value of an item, or null for none. */
static void string_reply(const struct command_env *env,
                         const struct store_item *item, struct buffer *reply)
{
    if (item == NULL) {
        resp_null(reply);
    } else {
        command_reply_value(env, store_item_value(item), reply);
    }
}

void command_get(struct command_env *env, uint32_t argc,
                 const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;

    (void)argc;
    if (command_lookup_string(env, argv[1], &item, reply)) {
        string_reply(env, item, reply);
    }
}

void command_strlen(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;

    (void)argc;
    if (command_lookup_string(env, argv[1], &item, reply)) {
        resp_integer(reply,
                     item != NULL ? (int64_t)store_item_value(item).size : 0);
    }
}

/* Null for keys that are absent or hold no string, as in Redis. */
void command_mget(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    size_t start = buffer_size(reply);

    resp_array(reply, argc - 1);
    for (uint32_t i = 1; i < argc; i++) {
        struct store_item *item = store_get(env->store, argv[i]);
        struct bytes value = {NULL, 0};
        if (item == NULL || store_item_type(item) != 0) {
            resp_null(reply);
            continue;
        }
        value = store_item_value(item);
        if (env->reply_max > 0 &&
            buffer_size(reply) - start + value.size > env->reply_max) {
            buffer_truncate(reply, start);
            command_reply_too_long(env, reply);
            return;
        }
        resp_bulk(reply, value.data, value.size);
    }
}

/* ---- writes
 * ----------------------------------------------------------------*/

enum set_options { SET_NX = 1, SET_XX = 2, SET_GET = 4, SET_KEEPTTL = 8 };

/* The options behind key and value; -1: not understood. */
static int set_options(uint32_t argc, const struct bytes *argv)
{
    int options = 0;

    for (uint32_t i = 3; i < argc; i++) {
        if (command_is(argv[i], "NX")) {
            options |= SET_NX;
        } else if (command_is(argv[i], "XX")) {
            options |= SET_XX;
        } else if (command_is(argv[i], "GET")) {
            options |= SET_GET;
        } else if (command_is(argv[i], "KEEPTTL")) {
            options |= SET_KEEPTTL;
        } else {
            return -1;
        }
    }
    return (options & SET_NX) != 0 && (options & SET_XX) != 0 ? -1 : options;
}

bool command_check_set(uint32_t argc, const struct bytes *argv,
                       struct buffer *reply)
{
    if (set_options(argc, argv) < 0) {
        resp_error(reply, command_error_syntax);
        return false;
    }
    return true;
}

void command_set(struct command_env *env, uint32_t argc,
                 const struct bytes *argv, struct buffer *reply)
{
    int options = set_options(argc, argv);
    size_t start = buffer_size(reply);
    struct store_item *item = NULL;
    uint64_t expire_ms = 0;
    bool refused;

    if (options < 0) {
        resp_error(reply, command_error_syntax);
        return;
    }
    if ((options & SET_GET) != 0) {
        if (!command_lookup_string(env, argv[1], &item, reply)) {
            return;
        }
        string_reply(env, item, reply);
    } else if (options != 0) {
        item = store_get(env->store, argv[1]);
    }
    refused = ((options & SET_NX) != 0 && item != NULL) ||
              ((options & SET_XX) != 0 && item == NULL);
    if ((options & SET_KEEPTTL) != 0 && item != NULL) {
        expire_ms = store_item_expire_ms(item);
    }
    if (!refused) {
        size_t before = buffer_size(reply);
        if (!command_store_string(env, argv[1], argv[2], expire_ms, reply)) {
            /* Only the error is the reply, not the old value before it. */
            size_t size = buffer_size(reply) - before;
            uint8_t *base = reply->base + reply->start;
            if (!reply->failed) {
                memmove(base + start, base + before, size);
                buffer_truncate(reply, start + size);
            }
            return;
        }
    }
    if ((options & SET_GET) == 0) {
        if (refused) {
            resp_null(reply);
        } else {
            resp_simple(reply, "OK");
        }
    }
}

void command_getset(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    static const uint8_t get[] = "GET";
    const struct bytes with_get[4] = {
        argv[0], argv[1], argv[2], {get, sizeof get - 1}};

    (void)argc;
    command_set(env, 4, with_get, reply);
}

void command_setnx(struct command_env *env, uint32_t argc,
                   const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    if (store_get(env->store, argv[1]) != NULL) {
        resp_integer(reply, 0);
    } else if (command_store_string(env, argv[1], argv[2], 0, reply)) {
        resp_integer(reply, 1);
    }
}

bool command_check_mset(uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    if (argc % 2 == 0) {
        command_reply_arity(reply,
                            command_is(argv[0], "MSETNX") ? "msetnx" : "mset");
        return false;
    }
    return true;
}

void command_mset(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    if (!command_check_mset(argc, argv, reply)) {
        return;
    }
    for (uint32_t i = 1; i + 1 < argc; i += 2) {
        if (!command_store_string(env, argv[i], argv[i + 1], 0, reply)) {
            return;
        }
    }
    resp_simple(reply, "OK");
}

/* All or none: nothing is set when one of the keys is there. */
void command_msetnx(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    if (!command_check_mset(argc, argv, reply)) {
        return;
    }
    for (uint32_t i = 1; i + 1 < argc; i += 2) {
        if (store_get(env->store, argv[i]) != NULL) {
            resp_integer(reply, 0);
            return;
        }
    }
    for (uint32_t i = 1; i + 1 < argc; i += 2) {
        if (!command_store_string(env, argv[i], argv[i + 1], 0, reply)) {
            return;
        }
    }
    resp_integer(reply, 1);
}

void command_getdel(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    size_t start = buffer_size(reply);
    struct store_item *item;

    (void)argc;
    if (!command_lookup_string(env, argv[1], &item, reply)) {
        return;
    }
    string_reply(env, item, reply);
    if (item != NULL && store_delete(env->store, argv[1]) != 0) {
        buffer_truncate(reply, start);
        command_out_of_memory(env, reply);
    }
}

void command_append(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;
    struct bytes old = {NULL, 0};
    struct bytes value = argv[2];
    uint64_t expire_ms = 0;
    uint8_t *joined = NULL;

    (void)argc;
    if (!command_lookup_string(env, argv[1], &item, reply)) {
        return;
    }
    if (item != NULL) {
        old = store_item_value(item);
        expire_ms = store_item_expire_ms(item);
    }
    if (old.size + argv[2].size > STORE_VALUE_MAX) {
        resp_error(reply, command_error_string_size);
        return;
    }
    if (old.size > 0) {
        joined = malloc(old.size + argv[2].size);
        if (joined == NULL) {
            command_out_of_memory(env, reply);
            return;
        }
        memcpy(joined, old.data, old.size);
        if (argv[2].size > 0) {
            memcpy(joined + old.size, argv[2].data, argv[2].size);
        }
        value.data = joined;
        value.size = old.size + argv[2].size;
    }
    if (command_store_string(env, argv[1], value, expire_ms, reply)) {
        resp_integer(reply, (int64_t)value.size);
    }
    free(joined);
}
