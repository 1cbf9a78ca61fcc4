/* The store when an allocation fails: the n-th, for every n until none does.
 * The store's sources are compiled into this program with an allocator that
 * can be told to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static long allocations_left = -1; /* negative: no limit */

static int allocation_fails(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}

static void *failing_malloc(size_t size)
{
    return allocation_fails() ? NULL : (malloc)(size);
}

static void *failing_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : (calloc)(n, size);
}

#define malloc(size) failing_malloc(size)
#define calloc(n, size) failing_calloc(n, size)
#include "node/store.c"
#include "node/store_expiry.c"
#include "node/store_garbage.c"
#include "node/store_item.c"
#include "node/store_node.c"
#include "node/store_tree.c"
#include "node/store_view.c"
#undef malloc
#undef calloc

#include "tests/unit/model/store_model.h"

static void arm(long n)
{
    allocations_left = n;
}

static void disarm(void)
{
    allocations_left = -1;
}

enum { N_STEPS = 400 };

/* A change of the store; a failure must leave it as it was. */
static bool changed(struct store *s, struct model *m, unsigned i)
{
    struct checksum128 before = store_hash(s);
    uint8_t key[8] = {(uint8_t)(i * 37 % 251), (uint8_t)(i % 7)};
    uint8_t value[100] = {(uint8_t)i};
    struct bytes k = model_bytes(key, 2);
    struct bytes v = model_bytes(value, i * 13 % 100);
    bool drop = i % 5 == 4;
    int rc = drop ? store_delete(s, k) : store_set(s, k, v, 0, i % 3);

    if (rc == ERR_NOMEM) {
        long left = allocations_left;
        disarm();
        store_check(s);
        arm(left);
        assert_true(store_hash(s).low == before.low);
        assert_int_equal(store_count(s), m->n);
        return false;
    }
    if (drop) {
        assert_int_equal(rc, model_delete(m, k) ? 0 : ERR_NOTFOUND);
    } else {
        assert_int_equal(rc, 0);
        model_set(m, k, v);
    }
    return true;
}

/* The whole script with the n-th allocation failing; each step that failed is
 * done again. True when the failure was reached. */
static bool run(long n)
{
    struct store *s = NULL;
    struct store_view *v = NULL;
    struct model m = {NULL, 0, 0};
    bool failed = false;
    int rc;

    arm(n);
    rc = store_new(&s);
    if (rc != 0) {
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(s);
        disarm();
        return true;
    }
    for (unsigned i = 0; i < N_STEPS; i++) {
        if (i == N_STEPS / 2) {
            rc = store_view_open(s, &v);
            if (rc != 0) {
                assert_int_equal(rc, ERR_NOMEM);
                failed = true;
                assert_int_equal(store_view_open(s, &v), 0);
            }
        }
        if (!changed(s, &m, i)) {
            failed = true;
            assert_true(changed(s, &m, i));
        }
    }
    disarm();
    for (size_t i = 0; i < m.n; i++) {
        struct store_item *item =
            store_get(s, model_bytes(m.pairs[i].key, m.pairs[i].key_size));
        assert_non_null(item);
        assert_true(model_pair_is(&m.pairs[i], item));
    }
    store_check(s);
    store_view_close(v);
    store_free(s);
    model_clear(&m);
    return failed;
}

static void test_store_any_failed_allocation_changes_nothing(void **state)
{
    long n = 0;

    (void)state;
    while (run(n)) {
        n++;
    }
    /* Items, nodes, separators, view, aside: fewer would mean that the script
     * has not been there. */
    assert_in_range(n, 300, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_any_failed_allocation_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
