/* Integers kept as text: INCR, DECR, INCRBY, DECRBY. */
#include "node/command_internal.h"
#include "node/number.h"

bool command_check_incrby(uint32_t argc, const struct bytes *argv,
                          struct buffer *reply)
{
    int64_t n;

    (void)argc;
    if (!number_parse(argv[2], &n)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    /* Negating it would overflow. */
    if (n == INT64_MIN && command_is(argv[0], "DECRBY")) {
        resp_error(reply, "ERR decrement would overflow");
        return false;
    }
    return true;
}

static void counter_add(struct command_env *env, struct bytes key, int64_t by,
                        struct buffer *reply)
{
    char text[NUMBER_TEXT_MAX];
    struct store_item *item;
    struct bytes value;
    uint64_t expire_ms = 0;
    int64_t n = 0;

    if (!command_lookup_string(env, key, &item, reply)) {
        return;
    }
    if (item != NULL) {
        expire_ms = store_item_expire_ms(item);
        if (!number_parse(store_item_value(item), &n)) {
            resp_error(reply, command_error_integer);
            return;
        }
    }
    if ((by < 0 && n < INT64_MIN - by) || (by > 0 && n > INT64_MAX - by)) {
        resp_error(reply, "ERR increment or decrement would overflow");
        return;
    }
    n += by;
    value.size = number_format(text, n);
    value.data = (const uint8_t *)text;
    if (command_store_string(env, key, value, expire_ms, reply)) {
        resp_integer(reply, n);
    }
}

void command_incr(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    counter_add(env, argv[1], 1, reply);
}

void command_decr(struct command_env *env, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)argc;
    counter_add(env, argv[1], -1, reply);
}

void command_incrby(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    int64_t by;

    if (command_check_incrby(argc, argv, reply) && number_parse(argv[2], &by)) {
        counter_add(env, argv[1], by, reply);
    }
}

void command_decrby(struct command_env *env, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    int64_t by;

    if (command_check_incrby(argc, argv, reply) && number_parse(argv[2], &by)) {
        counter_add(env, argv[1], -by, reply);
    }
}
