/* Commands on keys whatever they hold: DEL and UNLINK, EXISTS and TOUCH, TYPE,
 * DBSIZE, FLUSHALL, FLUSHDB. SCAN is in command_scan.c, KEYS and RANDOMKEY in
 * command_keys.c, RENAME and COPY in command_rename.c. */
#include "node/command_internal.h"
#include "raftlog/err.h"

/* Keys that have expired count until they are swept, as in Redis. */
void command_dbsize(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    (void)argv;
    resp_integer(reply, (int64_t)store_count(env->store));
}

void command_del(struct command_env *env, uint32_t argc,
                 const struct bytes *argv, struct buffer *reply)
{
    int64_t n = 0;

    for (uint32_t i = 1; i < argc; i++) {
        bool live = command_lookup(env, argv[i]) != NULL;
        int rc = store_delete(env->store, argv[i]);
        if (rc == ERR_NOMEM) {
            command_out_of_memory(env, reply);
            return;
        }
        n += rc == 0 && live;
    }
    resp_integer(reply, n);
}

void command_type(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    const struct store_item *item = command_lookup(env, argv[1]);

    (void)argc;
    if (item == NULL) {
        resp_simple(reply, "none");
    } else {
        resp_simple(reply, store_item_type(item) == 0 ? "string" : "unknown");
    }
}

/* A key named twice counts twice, as in Redis. Also TOUCH: there is no time of
 * last use to be set. */
void command_exists(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    int64_t n = 0;

    for (uint32_t i = 1; i < argc; i++) {
        n += command_lookup(env, argv[i]) != NULL;
    }
    resp_integer(reply, n);
}

/* ASYNC and SYNC are both accepted: clearing is O(1) here either way. */
bool command_check_flush(uint32_t argc, const struct bytes *argv,
                         struct buffer *reply)
{
    if (argc > 2 || (argc == 2 && !command_is(argv[1], "ASYNC") &&
                     !command_is(argv[1], "SYNC"))) {
        resp_error(reply, command_error_syntax);
        return false;
    }
    return true;
}

void command_flush(struct command_env *env, uint32_t argc,
                   const struct bytes *argv, struct buffer *reply)
{
    if (!command_check_flush(argc, argv, reply)) {
        return;
    }
    if (store_clear(env->store) != 0) {
        command_out_of_memory(env, reply);
        return;
    }
    resp_simple(reply, "OK");
}
