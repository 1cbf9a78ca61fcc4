/* The growing byte run: contents, amortised moves, failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/buffer.h"

static void assert_contents(const struct buffer *b, const char *want)
{
    assert_int_equal(buffer_size(b), strlen(want));
    assert_memory_equal(buffer_data(b), want, strlen(want));
}

static void test_buffer_append_and_consume_keep_order(void **state)
{
    struct buffer b;

    (void)state;
    buffer_init(&b);
    assert_int_equal(buffer_size(&b), 0);
    buffer_append(&b, "hello ", 6);
    buffer_append(&b, NULL, 0);
    buffer_append(&b, "world", 5);
    assert_contents(&b, "hello world");
    buffer_consume(&b, 6);
    assert_contents(&b, "world");
    buffer_printf(&b, "-%d-%s", 42, "x");
    assert_contents(&b, "world-42-x");
    buffer_truncate(&b, 7);
    buffer_truncate(&b, 100);
    assert_contents(&b, "world-4");
    buffer_consume(&b, 7);
    assert_int_equal(buffer_size(&b), 0);
    assert_false(b.failed);
    buffer_close(&b);
}

static void test_buffer_reserved_room_counts_once_committed(void **state)
{
    struct buffer b;
    uint8_t *room;

    (void)state;
    buffer_init(&b);
    room = buffer_reserve(&b, 1000);
    assert_non_null(room);
    memset(room, 'x', 1000);
    assert_int_equal(buffer_size(&b), 0);
    buffer_commit(&b, 3);
    assert_contents(&b, "xxx");
    buffer_close(&b);
}

/* A queue that is fed and drained for ever stays as large as its contents. */
static void test_buffer_steady_flow_does_not_grow(void **state)
{
    struct buffer b;
    uint32_t next_in = 0;
    uint32_t next_out = 0;

    (void)state;
    buffer_init(&b);
    for (unsigned i = 0; i < 100000; i++) {
        uint32_t got;
        buffer_append(&b, &next_in, sizeof next_in);
        next_in++;
        if (i < 50) {
            continue;
        }
        memcpy(&got, buffer_data(&b), sizeof got);
        assert_int_equal(got, next_out);
        next_out++;
        buffer_consume(&b, sizeof got);
    }
    assert_in_range(b.capacity, 200, 1024);
    buffer_close(&b);
}

static void test_buffer_clear_keeps_little_and_frees_much(void **state)
{
    struct buffer b;

    (void)state;
    buffer_init(&b);
    buffer_append(&b, "abc", 3);
    buffer_clear(&b);
    assert_int_equal(buffer_size(&b), 0);
    assert_true(b.capacity > 0);
    assert_non_null(buffer_reserve(&b, 1000000));
    buffer_clear(&b);
    assert_int_equal(b.capacity, 0);
    buffer_append(&b, "abc", 3);
    assert_contents(&b, "abc");
    buffer_close(&b);
}

static void test_buffer_impossible_size_fails_and_says_so(void **state)
{
    struct buffer b;

    (void)state;
    buffer_init(&b);
    buffer_append(&b, "abc", 3);
    assert_null(buffer_reserve(&b, SIZE_MAX));
    assert_null(buffer_reserve(&b, SIZE_MAX / 2));
    assert_false(b.failed);
    assert_contents(&b, "abc");
    buffer_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_append_and_consume_keep_order),
        cmocka_unit_test(test_buffer_reserved_room_counts_once_committed),
        cmocka_unit_test(test_buffer_steady_flow_does_not_grow),
        cmocka_unit_test(test_buffer_clear_keeps_little_and_frees_much),
        cmocka_unit_test(test_buffer_impossible_size_fails_and_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
