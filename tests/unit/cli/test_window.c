/* The window of an import: order, limits, sending again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

#include "cli/window.h"
#include "raftlog/err.h"

static void push(struct window *w, const char *key, const char *value,
                 uint64_t line)
{
    struct record r = {.key = (char *)key,
                       .key_size = strlen(key),
                       .value = (char *)value,
                       .value_size = strlen(value)};
    assert_int_equal(window_push(w, &r, line, line * 10), 0);
}

static size_t unsent_bytes(const struct window *w)
{
    struct iovec parts[WINDOW_PARTS_MAX];
    int n = window_parts(w, parts, WINDOW_PARTS_MAX);
    size_t size = 0;
    for (int i = 0; i < n; i++) {
        size += parts[i].iov_len;
    }
    return size;
}

/* The next n lines in the order in which they would be sent. */
static void check_unsent(const struct window *w, const uint64_t *lines,
                         size_t n)
{
    const struct window_item *item = w->unsent.first;
    assert_int_equal(w->unsent.n_items, n);
    for (size_t i = 0; i < n; i++) {
        assert_non_null(item);
        assert_int_equal(item->line, lines[i]);
        item = item->next;
    }
    assert_null(item);
}

static void test_window_push_encodes_a_set(void **state)
{
    (void)state;
    static const char wanted[] = "*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$5\r\nv\0"
                                 "two\r\n";
    struct window w;
    struct iovec part;
    struct record r = {.key = (char *)"k1",
                       .key_size = 2,
                       .value = (char *)"v\0two",
                       .value_size = 5};
    assert_int_equal(window_init(&w, 4, 1000), 0);
    assert_int_equal(window_push(&w, &r, 1, 1), 0);
    assert_int_equal(window_parts(&w, &part, 1), 1);
    assert_int_equal(part.iov_len, sizeof(wanted) - 1);
    assert_memory_equal(part.iov_base, wanted, part.iov_len);
    assert_int_equal(w.bytes, part.iov_len);
    window_close(&w);
}

static void test_window_push_encodes_when_a_key_ends(void **state)
{
    (void)state;
    static const char wanted[] = "*5\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$4"
                                 "\r\nPXAT\r\n$13\r\n1234567890123\r\n";
    struct window w;
    struct iovec part;
    struct record r = {.key = (char *)"k",
                       .key_size = 1,
                       .value = (char *)"v",
                       .value_size = 1,
                       .expire_at_ms = UINT64_C(1234567890123)};
    assert_int_equal(window_init(&w, 4, 1000), 0);
    assert_int_equal(window_push(&w, &r, 1, 1), 0);
    assert_int_equal(window_parts(&w, &part, 1), 1);
    assert_int_equal(part.iov_len, sizeof(wanted) - 1);
    assert_memory_equal(part.iov_base, wanted, part.iov_len);
    window_close(&w);
}

static void test_window_push_takes_a_command_as_it_is(void **state)
{
    (void)state;
    static char text[] = "*2\r\n$3\r\nDEL\r\n$2\r\nk1\r\n";
    struct window w;
    struct iovec part;
    struct record r = {.key = strstr(text, "k1"),
                       .key_size = 2,
                       .command = text,
                       .command_size = sizeof(text) - 1};
    assert_int_equal(window_init(&w, 4, 1000), 0);
    assert_int_equal(window_push(&w, &r, 1, 1), 0);
    assert_true(window_has_key(&w, "k1", 2));
    assert_int_equal(window_parts(&w, &part, 1), 1);
    assert_int_equal(part.iov_len, sizeof(text) - 1);
    assert_memory_equal(part.iov_base, text, part.iov_len);
    window_close(&w);
}

static void test_window_room_ends_at_items_and_at_bytes(void **state)
{
    (void)state;
    struct window w;
    assert_int_equal(window_init(&w, 2, 1000), 0);
    assert_true(window_has_room(&w));
    push(&w, "a", "1", 1);
    push(&w, "b", "2", 2);
    assert_false(window_has_room(&w));
    window_close(&w);
    assert_int_equal(window_init(&w, 100, 50), 0);
    push(&w, "a", "1234567890123456789012345678901234567890", 1);
    assert_false(window_has_room(&w));
    window_close(&w);
}

static void test_window_advance_in_any_steps_sends_in_order(void **state)
{
    (void)state;
    for (size_t step = 1; step < 90; step++) {
        struct window w;
        uint64_t offset = 0;
        assert_int_equal(window_init(&w, 10, 1000), 0);
        push(&w, "a", "1", 1);
        push(&w, "b", "22", 2);
        push(&w, "c", "333", 3);
        while (unsent_bytes(&w) > 0) {
            size_t left = unsent_bytes(&w);
            window_advance(&w, left < step ? left : step);
        }
        assert_int_equal(w.sent.n_items, 3);
        for (uint64_t line = 1; line <= 3; line++) {
            assert_int_equal(window_first_line(&w), line);
            window_acknowledge(&w, &offset);
            assert_int_equal(offset, line * 10);
        }
        assert_int_equal(w.n_items, 0);
        assert_int_equal(w.bytes, 0);
        assert_int_equal(window_first_line(&w), 0);
        window_close(&w);
    }
}

static void test_window_rewind_after_a_lost_connection_keeps_order(void **state)
{
    (void)state;
    static const uint64_t lines[] = {2, 3, 4};
    struct window w;
    uint64_t offset;
    assert_int_equal(window_init(&w, 10, 1000), 0);
    for (uint64_t line = 1; line <= 4; line++) {
        char key[8];
        snprintf(key, sizeof(key), "k%d", (int)line);
        push(&w, key, "v", line);
    }
    size_t one = w.unsent.first->size;
    window_advance(&w, one * 2 + 5); /* the third went out in part */
    window_acknowledge(&w, &offset);
    assert_int_equal(window_rewind(&w), 2);
    check_unsent(&w, lines, 3);
    assert_int_equal(w.part_sent, 0);
    assert_int_equal(unsent_bytes(&w), one * 3);
    window_close(&w);
}

static void test_window_failed_items_go_out_before_new_ones(void **state)
{
    (void)state;
    static const uint64_t lines[] = {1, 3, 4, 5};
    struct window w;
    uint64_t offset;
    assert_int_equal(window_init(&w, 10, 1000), 0);
    push(&w, "a", "v", 1);
    push(&w, "b", "v", 2);
    push(&w, "c", "v", 3);
    push(&w, "d", "v", 4);
    size_t one = w.unsent.first->size;
    window_advance(&w, one * 4);
    push(&w, "e", "v", 5);
    window_fail(&w);
    window_acknowledge(&w, &offset);
    window_fail(&w);
    assert_int_equal(window_first_line(&w), 1);
    /* Line 4 is still without a reply. */
    assert_int_equal(window_rewind(&w), 3);
    check_unsent(&w, lines, 4);
    window_close(&w);
}

static void test_window_has_key_from_push_until_acknowledged(void **state)
{
    (void)state;
    struct window w;
    uint64_t offset;
    assert_int_equal(window_init(&w, 10, 1000), 0);
    push(&w, "same", "1", 1);
    push(&w, "other", "2", 2);
    assert_true(window_has_key(&w, "same", 4));
    assert_false(window_has_key(&w, "sam", 3));
    window_advance(&w, unsent_bytes(&w));
    window_fail(&w);
    assert_true(window_has_key(&w, "same", 4));
    window_rewind(&w);
    assert_true(window_has_key(&w, "same", 4));
    window_advance(&w, unsent_bytes(&w));
    window_acknowledge(&w, &offset);
    assert_false(window_has_key(&w, "same", 4));
    assert_true(window_has_key(&w, "other", 5));
    window_close(&w);
}

static void test_window_many_keys_share_buckets_without_harm(void **state)
{
    (void)state;
    struct window w;
    uint64_t offset;
    assert_int_equal(window_init(&w, 8, 100000), 0); /* 16 buckets */
    for (uint64_t i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", (int)i);
        assert_false(window_has_key(&w, key, strlen(key)));
        push(&w, key, "v", i + 1);
        assert_true(window_has_key(&w, key, strlen(key)));
    }
    for (int i = 0; i < 500; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key-%d", i);
        if (w.sent.n_items == 0) {
            window_advance(&w, unsent_bytes(&w));
        }
        assert_true(window_has_key(&w, key, strlen(key)));
        window_acknowledge(&w, &offset);
        assert_false(window_has_key(&w, key, strlen(key)));
    }
    window_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_window_push_encodes_a_set),
        cmocka_unit_test(test_window_push_encodes_when_a_key_ends),
        cmocka_unit_test(test_window_push_takes_a_command_as_it_is),
        cmocka_unit_test(test_window_room_ends_at_items_and_at_bytes),
        cmocka_unit_test(test_window_advance_in_any_steps_sends_in_order),
        cmocka_unit_test(
            test_window_rewind_after_a_lost_connection_keeps_order),
        cmocka_unit_test(test_window_failed_items_go_out_before_new_ones),
        cmocka_unit_test(test_window_has_key_from_push_until_acknowledged),
        cmocka_unit_test(test_window_many_keys_share_buckets_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
