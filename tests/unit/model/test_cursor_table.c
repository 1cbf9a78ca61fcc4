/* SCAN cursors: numbers, limits, what is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "node/cursor_table.h"
#include "raftlog/err.h"

static struct bytes text(const char *s)
{
    struct bytes b = {(const uint8_t *)s, strlen(s)};

    return b;
}

static struct cursor_table *new_table(unsigned n_max)
{
    struct cursor_table *t = NULL;

    assert_int_equal(cursor_table_new(n_max, &t), 0);
    return t;
}

static void assert_key(struct cursor_table *t, uint64_t number,
                       const char *want)
{
    struct bytes key;

    assert_int_equal(cursor_table_get(t, number, &key), 0);
    assert_int_equal(key.size, strlen(want));
    assert_memory_equal(key.data, want, key.size);
}

static void test_cursor_gives_its_key_back(void **state)
{
    struct cursor_table *t = new_table(4);
    uint64_t a = cursor_table_put(t, text("a"));
    uint64_t b = cursor_table_put(t, text("b"));
    uint64_t empty = cursor_table_put(t, text(""));

    (void)state;
    assert_true(a != 0 && b != 0 && empty != 0);
    assert_true(a != b && b != empty && a != empty);
    assert_true(a < 1ull << 53);
    assert_key(t, a, "a");
    assert_key(t, b, "b");
    assert_key(t, empty, "");
    assert_key(t, a, "a");
    cursor_table_free(t);
}

static void test_cursor_unknown_number_is_not_found(void **state)
{
    struct cursor_table *t = new_table(4);
    uint64_t a = cursor_table_put(t, text("a"));
    struct bytes key;

    (void)state;
    assert_int_equal(cursor_table_get(t, 0, &key), ERR_NOTFOUND);
    assert_int_equal(cursor_table_get(t, a + 1, &key), ERR_NOTFOUND);
    assert_int_equal(cursor_table_get(t, UINT64_MAX, &key), ERR_NOTFOUND);
    cursor_table_free(t);
}

static void test_cursor_of_same_key_is_same_everywhere(void **state)
{
    struct cursor_table *t = new_table(4);
    struct cursor_table *other = new_table(9);
    uint64_t a = cursor_table_put(t, text("key"));

    (void)state;
    (void)cursor_table_put(other, text("something"));
    assert_true(cursor_table_put(t, text("key")) == a);
    assert_true(cursor_table_put(other, text("key")) == a);
    cursor_table_free(t);
    cursor_table_free(other);
}

static void test_cursor_least_recently_used_goes_first(void **state)
{
    struct cursor_table *t = new_table(3);
    uint64_t a = cursor_table_put(t, text("a"));
    uint64_t b = cursor_table_put(t, text("b"));
    uint64_t c = cursor_table_put(t, text("c"));
    uint64_t d;
    struct bytes key;

    (void)state;
    assert_key(t, a, "a");
    d = cursor_table_put(t, text("d"));
    assert_int_equal(cursor_table_get(t, b, &key), ERR_NOTFOUND);
    assert_key(t, a, "a");
    assert_key(t, c, "c");
    assert_key(t, d, "d");
    /* Putting one again counts as use. */
    assert_true(cursor_table_put(t, text("a")) == a);
    (void)cursor_table_put(t, text("e"));
    assert_int_equal(cursor_table_get(t, c, &key), ERR_NOTFOUND);
    assert_key(t, a, "a");
    cursor_table_free(t);
}

static void test_cursor_table_of_one_and_of_none(void **state)
{
    struct cursor_table *t = NULL;
    uint64_t a;
    struct bytes key;

    (void)state;
    assert_int_equal(cursor_table_new(0, &t), ERR_INVALID);
    assert_null(t);
    cursor_table_free(NULL);
    t = new_table(1);
    a = cursor_table_put(t, text("a"));
    (void)cursor_table_put(t, text("b"));
    assert_int_equal(cursor_table_get(t, a, &key), ERR_NOTFOUND);
    cursor_table_free(t);
}

static void test_cursor_many_keys_stay_apart(void **state)
{
    enum { N = 1000 };
    struct cursor_table *t = new_table(N);
    uint64_t numbers[3 * N];
    char name[16];
    struct bytes key;

    (void)state;
    for (unsigned i = 0; i < 3 * N; i++) {
        (void)snprintf(name, sizeof name, "key%u", i);
        numbers[i] = cursor_table_put(t, text(name));
    }
    for (unsigned i = 0; i < 2 * N; i++) {
        assert_int_equal(cursor_table_get(t, numbers[i], &key), ERR_NOTFOUND);
    }
    for (unsigned i = 2 * N; i < 3 * N; i++) {
        (void)snprintf(name, sizeof name, "key%u", i);
        assert_key(t, numbers[i], name);
    }
    cursor_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_gives_its_key_back),
        cmocka_unit_test(test_cursor_unknown_number_is_not_found),
        cmocka_unit_test(test_cursor_of_same_key_is_same_everywhere),
        cmocka_unit_test(test_cursor_least_recently_used_goes_first),
        cmocka_unit_test(test_cursor_table_of_one_and_of_none),
        cmocka_unit_test(test_cursor_many_keys_stay_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
