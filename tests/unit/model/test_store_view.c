/* The frozen view: whatever happens to the store meanwhile, it gives exactly
 * what was there when it was opened. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/store_internal.h"
#include "raftlog/err.h"
#include "tests/unit/model/store_model.h"

static struct bytes text(const char *s)
{
    return model_bytes(s, strlen(s));
}

static struct store *new_store(void)
{
    struct store *s = NULL;

    assert_int_equal(store_new(&s), 0);
    return s;
}

static void set(struct store *s, const char *key, const char *value)
{
    assert_int_equal(store_set(s, text(key), text(value), 0, 0), 0);
}

static void drop(struct store *s, const char *key)
{
    assert_int_equal(store_delete(s, text(key)), 0);
}

/* Keys of one letter each, with the value 1. */
static struct store *store_of(const char *letters)
{
    struct store *s = new_store();

    for (; *letters != '\0'; letters++) {
        char key[2] = {*letters, '\0'};
        set(s, key, "1");
    }
    return s;
}

/* Keys 0 .. n - 1, filled up with zeros to n_digits, and a value. */
static void set_numbers(struct store *s, unsigned n, int n_digits,
                        const char *value)
{
    char key[16];

    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(key, sizeof key, "%0*u", n_digits, i);
        set(s, key, value);
    }
}

static struct store_view *open_view(struct store *s)
{
    struct store_view *v = NULL;

    assert_int_equal(store_view_open(s, &v), 0);
    return v;
}

/* The next n items as "key=value ", a dot at the end of the view. */
static void assert_next(struct store_view *v, size_t n_items, const char *want)
{
    char got[256] = "";
    size_t at = 0;

    while (n_items-- > 0) {
        struct store_item *item = NULL;
        size_t n = 0;
        assert_int_equal(store_view_next(v, &item, 1, 1, &n), 0);
        if (n == 0) {
            got[at++] = '.';
            break;
        }
        at += (size_t)snprintf(got + at, sizeof got - at, "%.*s=%.*s ",
                               (int)store_item_key(item).size,
                               (const char *)store_item_key(item).data,
                               (int)store_item_value(item).size,
                               (const char *)store_item_value(item).data);
        store_item_unref(item);
    }
    got[at] = '\0';
    assert_string_equal(got, want);
}

static void assert_all_returned(struct store *s)
{
    assert_int_equal(store_clear(s), 0);
    while (store_reclaim(s, 3)) {
    }
    assert_int_equal(store_memory(s), 0);
    store_free(s);
}

/* The end of a test, with the view it has left: no memory may be kept. */
static void close_all(struct store *s, struct store_view *v)
{
    store_view_close(v);
    store_check(s);
    assert_all_returned(s);
}

static void test_store_view_of_empty_store_is_empty(void **state)
{
    struct store *s = new_store();
    struct store_view *v = open_view(s);

    (void)state;
    set(s, "a", "1");
    assert_next(v, 1, ".");
    assert_next(v, 1, ".");
    close_all(s, v);
}

static void test_store_view_second_one_is_busy(void **state)
{
    struct store *s = new_store();
    struct store_view *v = open_view(s);
    struct store_view *other = NULL;

    (void)state;
    assert_int_equal(store_view_open(s, &other), ERR_BUSY);
    assert_null(other);
    store_view_close(v);
    v = open_view(s);
    store_view_close(v);
    store_view_close(NULL);
    assert_all_returned(s);
}

static void test_store_view_changes_ahead_are_not_seen(void **state)
{
    struct store *s = store_of("bdf");
    struct store_view *v = open_view(s);

    (void)state;
    set(s, "a", "2");
    set(s, "b", "2");
    set(s, "b", "3");
    set(s, "c", "2");
    drop(s, "d");
    set(s, "d", "4");
    drop(s, "d");
    drop(s, "f");
    set(s, "g", "2");
    assert_next(v, 4, "b=1 d=1 f=1 .");
    close_all(s, v);
}

static void test_store_view_changes_behind_cost_nothing(void **state)
{
    struct store *s = store_of("abc");
    struct store_view *v = open_view(s);

    (void)state;
    assert_next(v, 2, "a=1 b=1 ");
    set(s, "a", "2");
    set(s, "b", "2");
    drop(s, "a");
    set(s, "aa", "2");
    assert_int_equal(store_view_memory(v), 0);
    set(s, "c", "2");
    assert_true(store_view_memory(v) > 0);
    assert_next(v, 2, "c=1 .");
    assert_int_equal(store_view_memory(v), 0);
    close_all(s, v);
}

static void test_store_view_at_the_end_keeps_nothing(void **state)
{
    struct store *s = store_of("a");
    struct store_view *v = open_view(s);

    (void)state;
    assert_next(v, 2, "a=1 .");
    set(s, "z", "1");
    drop(s, "a");
    assert_int_equal(store_view_memory(v), 0);
    assert_next(v, 1, ".");
    close_all(s, v);
}

static void test_store_view_survives_clear(void **state)
{
    struct store *s = store_of("abc");
    struct store_view *v = open_view(s);

    (void)state;
    assert_next(v, 1, "a=1 ");
    set(s, "b", "2");
    set(s, "bb", "2");
    assert_int_equal(store_clear(s), 0);
    assert_int_equal(store_count(s), 0);
    assert_int_equal(store_hash(s).low, 0);
    set(s, "c", "3");
    set(s, "b", "3");
    assert_int_equal(store_clear(s), 0);
    set(s, "d", "4");
    while (store_reclaim(s, 1)) {
    }
    assert_next(v, 3, "b=1 c=1 .");
    close_all(s, v);
}

static void test_store_view_closed_early_gives_all_back(void **state)
{
    struct store *s = new_store();
    struct store_view *v;

    (void)state;
    set_numbers(s, 1000, 0, "1");
    v = open_view(s);
    assert_next(v, 3, "0=1 1=1 10=1 ");
    set_numbers(s, 1000, 0, "2");
    close_all(s, v);
}

/* How many items a slice has; they are given back. */
static size_t slice(struct store_view *v, size_t n_max, size_t bytes_max)
{
    struct store_item *items[100];
    size_t n;

    assert_true(n_max <= sizeof items / sizeof items[0]);
    assert_int_equal(store_view_next(v, items, n_max, bytes_max, &n), 0);
    for (size_t i = 0; i < n; i++) {
        store_item_unref(items[i]);
    }
    return n;
}

static void test_store_view_slice_keeps_its_limits(void **state)
{
    struct store *s = new_store();
    struct store_view *v;

    (void)state;
    set_numbers(s, 100, 2, "0123456789012345678901234567890123456789");
    v = open_view(s);
    assert_int_equal(slice(v, 7, SIZE_MAX), 7);
    /* At least one item, and no more once the bytes are reached. */
    assert_int_equal(slice(v, 100, 1), 1);
    assert_in_range(slice(v, 100, 200), 2, 5);
    assert_int_equal(slice(v, 0, 200), 0);
    assert_in_range(slice(v, 100, SIZE_MAX), 87, 90);
    close_all(s, v);
}

/* A given item is the caller's: it outlives everything. */
static void test_store_view_item_given_outlives_the_store(void **state)
{
    struct store *s = new_store();
    struct store_view *v;
    struct store_item *item;
    size_t n;

    (void)state;
    set(s, "key", "value");
    v = open_view(s);
    assert_int_equal(store_view_next(v, &item, 1, 1, &n), 0);
    assert_int_equal(n, 1);
    set(s, "key", "other");
    store_view_close(v);
    store_free(s);
    assert_memory_equal(store_item_value(item).data, "value", 5);
    store_item_unref(item);
}

/* ---- a pool thread reads what the loop replaces ---- */

enum { N_SHARED = 2000 };

struct reader {
    struct store_item *items[N_SHARED];
    size_t n;
    uint64_t sum;
};

static void *reader_run(void *arg)
{
    struct reader *r = arg;

    for (size_t i = 0; i < r->n; i++) {
        struct bytes value = store_item_value(r->items[i]);
        for (size_t j = 0; j < value.size; j++) {
            r->sum += value.data[j];
        }
        store_item_unref(r->items[i]);
    }
    return NULL;
}

static void test_store_view_items_may_be_read_by_another_thread(void **state)
{
    struct store *s = new_store();
    struct reader *r = calloc(1, sizeof *r);
    struct store_view *v;
    pthread_t thread;

    (void)state;
    assert_non_null(r);
    set_numbers(s, N_SHARED, 0, "\1\1\1\1");
    v = open_view(s);
    assert_int_equal(store_view_next(v, r->items, N_SHARED, SIZE_MAX, &r->n),
                     0);
    assert_int_equal(r->n, N_SHARED);
    assert_int_equal(pthread_create(&thread, NULL, reader_run, r), 0);
    for (unsigned round = 0; round < 5; round++) {
        set_numbers(s, N_SHARED, 0, "\2\2\2\2");
    }
    store_view_close(v);
    assert_int_equal(store_clear(s), 0);
    while (store_reclaim(s, 100)) {
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(r->sum, 4 * N_SHARED);
    free(r);
    store_free(s);
}

/* The search through what was inserted meanwhile goes on where it stopped, in
 * bounded steps, and ends. */
static void test_store_view_many_new_keys_are_passed_over(void **state)
{
    struct store *s = store_of("amz");
    struct store_view *v = open_view(s);
    char key[16];

    (void)state;
    for (unsigned i = 0; i < 30000; i++) {
        (void)snprintf(key, sizeof key, "%c%05u", i % 2 == 0 ? 'b' : 'n',
                       i * 7919 % 30000);
        set(s, key, "2");
    }
    set(s, "z", "2");
    assert_next(v, 4, "a=1 m=1 z=1 .");
    close_all(s, v);
}

/* A slice ends early when the search through replaced items takes long; that
 * is not the end of the view. */
static void test_store_view_all_replaced_comes_in_several_slices(void **state)
{
    enum { N = 20000 };
    struct store *s = new_store();
    struct store_item **items = calloc(N + 1, sizeof(struct store_item *));
    struct store_view *v;
    char key[16];
    size_t total = 0;
    unsigned n_slices = 0;
    size_t n;

    (void)state;
    assert_non_null(items);
    set_numbers(s, N, 5, "old");
    v = open_view(s);
    set_numbers(s, N, 5, "new");
    do {
        assert_int_equal(store_view_next(v, items, N + 1, SIZE_MAX, &n), 0);
        for (size_t i = 0; i < n; i++) {
            (void)snprintf(key, sizeof key, "%05zu", total++);
            assert_memory_equal(store_item_key(items[i]).data, key, 5);
            assert_memory_equal(store_item_value(items[i]).data, "old", 3);
            store_item_unref(items[i]);
        }
        n_slices++;
    } while (n > 0);
    assert_int_equal(total, N);
    assert_in_range(n_slices, 3, 10);
    store_view_close(v);
    free(items);
    assert_all_returned(s);
}

/* A leaf of new items only takes in a neighbour with old ones. */
static void test_store_view_joined_leaves_show_their_old_items(void **state)
{
    struct store *s = store_of("yz");
    struct store_view *v = open_view(s);
    char key[16];

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "n%04u", i);
        set(s, key, "2");
    }
    for (unsigned i = 0; i < 999; i++) {
        (void)snprintf(key, sizeof key, "n%04u", i);
        drop(s, key);
        if (i % 10 == 0) {
            store_check(s);
        }
    }
    assert_next(v, 3, "y=1 z=1 .");
    close_all(s, v);
}

/* ---- against the model ---- */

struct run {
    struct store *store;
    struct model now;
    struct model frozen;
    struct store_view *view;
    size_t at; /* in frozen */
    uint64_t random;
    unsigned n_keys;
};

static void run_change(struct run *r)
{
    uint8_t key_room[MODEL_KEY_MAX];
    uint8_t value_room[MODEL_VALUE_MAX];
    struct bytes key = model_key(&r->random, r->n_keys, key_room);
    uint64_t what = model_random(&r->random) % 1000;

    if (what == 0) {
        assert_int_equal(store_clear(r->store), 0);
        model_clear(&r->now);
    } else if (what < 600) {
        struct bytes value = model_value(&r->random, value_room);
        assert_int_equal(store_set(r->store, key, value, 0, 0), 0);
        model_set(&r->now, key, value);
    } else {
        assert_int_equal(store_delete(r->store, key),
                         model_delete(&r->now, key) ? 0 : ERR_NOTFOUND);
    }
}

static void run_read(struct run *r)
{
    struct store_item *items[64];
    size_t n_max = 1 + model_random(&r->random) % 64;
    size_t bytes_max = 1 + model_random(&r->random) % 10000;
    size_t n;

    assert_int_equal(store_view_next(r->view, items, n_max, bytes_max, &n), 0);
    assert_int_equal(n == 0, r->at == r->frozen.n);
    for (size_t i = 0; i < n; i++) {
        assert_true(r->at < r->frozen.n);
        assert_true(model_pair_is(&r->frozen.pairs[r->at], items[i]));
        store_item_unref(items[i]);
        r->at++;
    }
}

static void run_one_view(struct run *r)
{
    unsigned changes = (unsigned)(model_random(&r->random) % 200);
    bool early = model_random(&r->random) % 8 == 0;
    unsigned n_slices = 0;

    assert_int_equal(store_view_open(r->store, &r->view), 0);
    model_clone(&r->frozen, &r->now);
    r->at = 0;
    while (r->at < r->frozen.n && !(early && n_slices == 3)) {
        for (unsigned i = 0; i < changes; i++) {
            run_change(r);
        }
        run_read(r);
        n_slices++;
        if (n_slices % 16 == 0) {
            store_check(r->store);
            (void)store_reclaim(r->store, 10);
        }
    }
    if (!early) {
        run_read(r);
    }
    store_view_close(r->view);
    model_clear(&r->frozen);
    store_check(r->store);
}

static void test_store_view_random_changes_agree_with_model(void **state)
{
    static const unsigned universe[] = {10, 200, 3000, 20000};

    (void)state;
    for (unsigned u = 0; u < 4; u++) {
        struct run r = {.random = u + 1, .n_keys = universe[u]};
        r.store = new_store();
        for (unsigned i = 0; i < universe[u]; i++) {
            run_change(&r);
        }
        for (unsigned views = 0; views < 25; views++) {
            run_one_view(&r);
            for (unsigned i = 0; i < universe[u] / 4; i++) {
                run_change(&r);
            }
        }
        assert_int_equal(store_count(r.store), r.now.n);
        model_clear(&r.now);
        assert_all_returned(r.store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_view_of_empty_store_is_empty),
        cmocka_unit_test(test_store_view_second_one_is_busy),
        cmocka_unit_test(test_store_view_changes_ahead_are_not_seen),
        cmocka_unit_test(test_store_view_changes_behind_cost_nothing),
        cmocka_unit_test(test_store_view_at_the_end_keeps_nothing),
        cmocka_unit_test(test_store_view_survives_clear),
        cmocka_unit_test(test_store_view_closed_early_gives_all_back),
        cmocka_unit_test(test_store_view_slice_keeps_its_limits),
        cmocka_unit_test(test_store_view_item_given_outlives_the_store),
        cmocka_unit_test(test_store_view_many_new_keys_are_passed_over),
        cmocka_unit_test(test_store_view_items_may_be_read_by_another_thread),
        cmocka_unit_test(test_store_view_all_replaced_comes_in_several_slices),
        cmocka_unit_test(test_store_view_joined_leaves_show_their_old_items),
        cmocka_unit_test(test_store_view_random_changes_agree_with_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
