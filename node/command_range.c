/* Parts of strings: GETRANGE, SUBSTR (its old name) and SETRANGE. */
#include <stdlib.h>
#include <string.h>

#include "node/command_internal.h"
#include "node/number.h"

bool command_check_getrange(uint32_t argc, const struct bytes *argv,
                            struct buffer *reply)
{
    int64_t n;

    (void)argc;
    if (!number_parse(argv[2], &n) || !number_parse(argv[3], &n)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    return true;
}

/* The part from start to end, both included, both counted from the end when
 * they are negative. */
static struct bytes range_of(struct bytes value, int64_t start, int64_t end)
{
    struct bytes none = {NULL, 0};
    int64_t size = (int64_t)value.size;

    if (start < 0 && end < 0 && start > end) {
        return none;
    }
    if (start < 0) {
        start = start + size > 0 ? start + size : 0;
    }
    if (end < 0) {
        end = end + size > 0 ? end + size : 0;
    }
    if (end >= size) {
        end = size - 1;
    }
    if (start > end) {
        return none;
    }
    value.data += start;
    value.size = (size_t)(end - start + 1);
    return value;
}

void command_getrange(struct command_env *env, uint32_t argc,
                      const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;
    struct bytes part = {NULL, 0};
    int64_t start = 0;
    int64_t end = 0;

    if (!command_check_getrange(argc, argv, reply) ||
        !command_lookup_string(env, argv[1], &item, reply)) {
        return;
    }
    (void)number_parse(argv[2], &start);
    (void)number_parse(argv[3], &end);
    if (item != NULL) {
        part = range_of(store_item_value(item), start, end);
    }
    command_reply_value(env, part, reply);
}

bool command_check_setrange(uint32_t argc, const struct bytes *argv,
                            struct buffer *reply)
{
    int64_t offset;

    (void)argc;
    if (!number_parse(argv[2], &offset)) {
        resp_error(reply, command_error_integer);
        return false;
    }
    if (offset < 0) {
        resp_error(reply, "ERR offset is out of range");
        return false;
    }
    return true;
}

/* Put part over old from offset on; a gap is filled with zero bytes. */
static void range_put(struct command_env *env, struct bytes key,
                      const struct store_item *item, size_t offset,
                      struct bytes part, struct buffer *reply)
{
    struct bytes old = {NULL, 0};
    struct bytes value;
    uint64_t expire_ms = 0;
    uint8_t *joined;

    if (item != NULL) {
        old = store_item_value(item);
        expire_ms = store_item_expire_ms(item);
    }
    value.size = offset + part.size > old.size ? offset + part.size : old.size;
    joined = malloc(value.size);
    if (joined == NULL) {
        command_out_of_memory(env, reply);
        return;
    }
    if (old.size > 0) {
        memcpy(joined, old.data, old.size);
    }
    memset(joined + old.size, 0, value.size - old.size);
    memcpy(joined + offset, part.data, part.size);
    value.data = joined;
    if (command_store_string(env, key, value, expire_ms, reply)) {
        resp_integer(reply, (int64_t)value.size);
    }
    free(joined);
}

void command_setrange(struct command_env *env, uint32_t argc,
                      const struct bytes *argv, struct buffer *reply)
{
    struct store_item *item;
    int64_t offset = 0;

    if (!command_check_setrange(argc, argv, reply) ||
        !command_lookup_string(env, argv[1], &item, reply)) {
        return;
    }
    (void)number_parse(argv[2], &offset);
    if (argv[3].size == 0) {
        /* Nothing to put: no key is made and no gap is filled. */
        resp_integer(reply,
                     item != NULL ? (int64_t)store_item_value(item).size : 0);
        return;
    }
    if ((uint64_t)offset + argv[3].size > STORE_VALUE_MAX) {
        resp_error(reply, command_error_string_size);
        return;
    }
    range_put(env, argv[1], item, (size_t)offset, argv[3], reply);
}
