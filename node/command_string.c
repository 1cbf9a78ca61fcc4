/* Strings: GET, MSET and their kin. SET is in command_set.c, counters are in
 * command_counter.c. */
#include <stdlib.h>
#include <string.h>

#include "node/command_internal.h"

/* ---- reads ---- */

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
        struct store_item *item = command_lookup(env, argv[i]);
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

/* ---- writes ---- */

void command_setnx(struct command_env *env, uint32_t argc,
                   const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    if (command_lookup(env, argv[1]) != NULL) {
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
        if (command_lookup(env, argv[i]) != NULL) {
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
