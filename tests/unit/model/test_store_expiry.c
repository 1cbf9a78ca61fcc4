/* The index of keys that expire, against a model that looks at every key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/store_internal.h"
#include "raftlog/err.h"
#include "tests/unit/model/store_model.h"

enum { N_KEYS = 2000, N_STEPS = 60000 };

struct expiring {
    struct store *store;
    bool present[N_KEYS];
    uint64_t expire_ms[N_KEYS];
    uint64_t now_ms;
};

static struct bytes key_of(unsigned i, char out[16])
{
    /* Zero-padded: the order of numbers is that of keys. */
    return model_bytes((uint8_t *)out, (size_t)snprintf(out, 16, "key%06u", i));
}

/* The key that is the first to expire, N_KEYS: none. */
static unsigned model_first(const struct expiring *e)
{
    unsigned first = N_KEYS;

    for (unsigned i = 0; i < N_KEYS; i++) {
        if (e->present[i] && e->expire_ms[i] != 0 &&
            (first == N_KEYS || e->expire_ms[i] < e->expire_ms[first])) {
            first = i;
        }
    }
    return first;
}

static void compare(const struct expiring *e)
{
    unsigned first = model_first(e);
    uint64_t n = 0, n_expires = 0, sum = 0;
    char name[16];

    for (unsigned i = 0; i < N_KEYS; i++) {
        struct store_item *item = store_get(e->store, key_of(i, name));
        assert_int_equal(item != NULL, e->present[i]);
        if (item != NULL) {
            assert_int_equal(store_item_expire_ms(item), e->expire_ms[i]);
            n++;
        }
        if (item != NULL && e->expire_ms[i] != 0) {
            n_expires++;
            sum += e->expire_ms[i];
        }
    }
    assert_int_equal(store_count(e->store), n);
    assert_int_equal(store_n_expires(e->store), n_expires);
    assert_int_equal(store_next_expiry(e->store),
                     first < N_KEYS ? e->expire_ms[first] : 0);
    assert_int_equal(store_mean_ttl(e->store, 0),
                     n_expires > 0 ? sum / n_expires : 0);
    store_check(e->store);
}

static void expire(struct expiring *e, size_t n_max)
{
    size_t n;

    assert_int_equal(store_expire(e->store, e->now_ms, n_max, &n), 0);
    assert_true(n <= n_max);
    for (size_t i = 0; i < n; i++) {
        unsigned first = model_first(e);
        assert_true(first < N_KEYS && e->expire_ms[first] <= e->now_ms);
        e->present[first] = false;
    }
    if (n < n_max) {
        unsigned first = model_first(e);
        assert_true(first == N_KEYS || e->expire_ms[first] > e->now_ms);
    }
}

static void change(struct expiring *e, uint64_t *random)
{
    uint64_t r = model_random(random);
    unsigned i = (unsigned)(r % N_KEYS);
    uint64_t at_ms = (r >> 20) % 3 == 0 ? 0 : e->now_ms + 1 + (r >> 24) % 500;
    char name[16];
    struct bytes key = key_of(i, name);
    uint8_t value[MODEL_VALUE_MAX];

    if ((r >> 16) % 8 == 0) {
        assert_int_equal(store_delete(e->store, key),
                         e->present[i] ? 0 : ERR_NOTFOUND);
        e->present[i] = false;
        return;
    }
    assert_int_equal(
        store_set(e->store, key, model_value(random, value), 0, at_ms), 0);
    e->present[i] = true;
    e->expire_ms[i] = at_ms;
}

/* Random changes, sweeps and clears, with a view open half of the time, and
 * what a snapshot would load must be the same. */
static void test_store_expiry_agrees_with_model(void **state)
{
    struct expiring *e = calloc(1, sizeof *e);
    struct store_view *view = NULL;
    uint64_t random = 5;
    uint64_t n_swept = 0;

    (void)state;
    assert_non_null(e);
    assert_int_equal(store_new(&e->store), 0);
    e->now_ms = 1000;
    for (unsigned step = 0; step < N_STEPS; step++) {
        uint64_t before = store_count(e->store);
        change(e, &random);
        if (step % 50 == 0) {
            e->now_ms += model_random(&random) % 40;
            expire(e, step % 3 == 0 ? 5 : SIZE_MAX);
            n_swept += before > store_count(e->store);
        }
        if (step % 1000 == 0 && view == NULL) {
            assert_int_equal(store_view_open(e->store, &view), 0);
        } else if (step % 1000 == 500) {
            store_view_close(view);
            view = NULL;
        }
        if (step % 20000 == 19999) {
            assert_int_equal(store_clear(e->store), 0);
            memset(e->present, 0, sizeof e->present);
        }
        if (step % 500 == 0) {
            compare(e);
        }
        (void)store_reclaim(e->store, 50);
    }
    compare(e);
    assert_true(n_swept > 100);
    store_view_close(view);
    store_free(e->store);
    free(e);
}

static void test_store_expiry_earliest_goes_first(void **state)
{
    struct store *s;
    size_t n;
    char name[16];

    (void)state;
    assert_int_equal(store_new(&s), 0);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(store_set(s, key_of(i, name), key_of(i, name), 0,
                                   i == 3 ? UINT64_MAX : 40 - 10 * i),
                         0);
    }
    assert_int_equal(store_expire(s, 19, 10, &n), 0);
    assert_int_equal(n, 0); /* the earliest is 20 */
    assert_int_equal(store_expire(s, 30, 1, &n), 0);
    assert_int_equal(n, 1);
    assert_null(store_get(s, key_of(2, name)));
    assert_int_equal(store_next_expiry(s), 30);
    assert_int_equal(store_expire(s, UINT64_MAX, 10, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(store_n_expires(s), 0);
    store_check(s);
    store_free(s);
}

/* Keys that do not expire cost nothing; the largest key fits. */
static void test_store_expiry_memory_is_of_keys_that_expire(void **state)
{
    uint8_t *big = calloc(1, STORE_KEY_MAX);
    struct bytes key = model_bytes(big, STORE_KEY_MAX);
    struct store *s;
    uint64_t without;
    size_t n;

    (void)state;
    assert_non_null(big);
    assert_int_equal(store_new(&s), 0);
    assert_int_equal(store_set(s, key, key, 0, 0), 0);
    without = store_memory(s);
    assert_int_equal(store_set(s, key, key, 0, 7), 0);
    assert_true(store_memory(s) > without + STORE_KEY_MAX);
    assert_int_equal(store_set(s, key, key, 0, 0), 0);
    assert_int_equal(store_memory(s), without);
    assert_int_equal(store_set(s, key, key, 0, 7), 0);
    assert_int_equal(store_expire(s, 7, 1, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(store_memory(s), 0);
    store_free(s);
    free(big);
}

static void test_store_expiry_mean_ttl(void **state)
{
    struct store *s;
    char name[16];

    (void)state;
    assert_int_equal(store_new(&s), 0);
    assert_int_equal(store_mean_ttl(s, 10), 0);
    assert_int_equal(store_set(s, key_of(1, name), key_of(1, name), 0, 110), 0);
    assert_int_equal(store_set(s, key_of(2, name), key_of(2, name), 0, 310), 0);
    assert_int_equal(store_set(s, key_of(3, name), key_of(3, name), 0, 0), 0);
    assert_int_equal(store_mean_ttl(s, 10), 200);
    assert_int_equal(store_mean_ttl(s, 500), 0);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_expiry_agrees_with_model),
        cmocka_unit_test(test_store_expiry_earliest_goes_first),
        cmocka_unit_test(test_store_expiry_memory_is_of_keys_that_expire),
        cmocka_unit_test(test_store_expiry_mean_ttl),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
