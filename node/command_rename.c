/* A value under another key: RENAME, RENAMENX, COPY. Its expiry goes with it.
 *
 * As the value lies in the item, which the change of the store may free, a
 * reference is held meanwhile. */
#include "node/command_internal.h"
#include "node/store_item.h"
#include "raftlog/err.h"

static bool same_key(struct bytes a, struct bytes b)
{
    return store_key_compare(a, b) == 0;
}

/* Give dst what item holds; false after writing an error reply. */
static bool put_under(struct command_env *env, struct store_item *item,
                      struct bytes dst, struct buffer *reply)
{
    int rc = store_set(env->store, dst, store_item_value(item),
                       store_item_type(item), store_item_expire_ms(item));

    if (rc == ERR_TOOBIG) {
        resp_errorf(reply, "ERR key is larger than %d bytes", STORE_KEY_MAX);
    } else if (rc != 0) {
        command_out_of_memory(env, reply);
    }
    return rc == 0;
}

/* What is done: -1 no such key or an error, told; 0 dst is there; 1 done. */
static int rename_key(struct command_env *env, const struct bytes *argv,
                      bool replace, struct buffer *reply)
{
    struct store_item *item = command_lookup(env, argv[1]);
    int done = -1;

    if (item == NULL) {
        resp_error(reply, "ERR no such key");
        return -1;
    }
    if (same_key(argv[1], argv[2])) {
        return replace;
    }
    if (!replace && command_lookup(env, argv[2]) != NULL) {
        return 0;
    }
    store_item_ref(item);
    if (put_under(env, item, argv[2], reply)) {
        if (store_delete(env->store, argv[1]) == 0) {
            done = 1;
        } else {
            command_out_of_memory(env, reply);
        }
    }
    store_item_unref(item);
    return done;
}

void command_rename(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    if (rename_key(env, argv, true, reply) >= 0) {
        resp_simple(reply, "OK");
    }
}

void command_renamenx(struct command_env *env, uint32_t argc,
                      const struct bytes *argv, struct buffer *reply)
{
    int done = rename_key(env, argv, false, reply);

    (void)argc;
    if (done >= 0) {
        resp_integer(reply, done);
    }
}

/* ---- COPY ---- */

/* There is one database, number 0. */
static bool copy_options(uint32_t argc, const struct bytes *argv, bool *replace,
                         struct buffer *reply)
{
    *replace = false;
    for (uint32_t i = 3; i < argc; i++) {
        if (command_is(argv[i], "REPLACE")) {
            *replace = true;
        } else if (command_is(argv[i], "DB") && i + 1 < argc) {
            if (!command_check_db(argv[++i], reply)) {
                return false;
            }
        } else {
            resp_error(reply, command_error_syntax);
            return false;
        }
    }
    if (same_key(argv[1], argv[2])) {
        resp_error(reply, "ERR source and destination objects are the same");
        return false;
    }
    return true;
}

bool command_check_copy(uint32_t argc, const struct bytes *argv,
                        struct buffer *reply)
{
    bool replace;

    return copy_options(argc, argv, &replace, reply);
}

void command_copy(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;
    bool replace;

    if (!copy_options(argc, argv, &replace, reply)) {
        return;
    }
    item = command_lookup(env, argv[1]);
    if (item == NULL || (!replace && command_lookup(env, argv[2]) != NULL)) {
        resp_integer(reply, 0);
        return;
    }
    store_item_ref(item);
    if (put_under(env, item, argv[2], reply)) {
        resp_integer(reply, 1);
    }
    store_item_unref(item);
}
