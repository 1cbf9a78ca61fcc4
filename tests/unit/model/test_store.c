/* The store against a sorted array, and its limits, hash and memory. */
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
    assert_non_null(s);
    return s;
}

static void set(struct store *s, const char *key, const char *value)
{
    assert_int_equal(store_set(s, text(key), text(value), 0, 0), 0);
}

static void assert_value(struct store *s, const char *key, const char *value)
{
    struct store_item *item = store_get(s, text(key));

    assert_non_null(item);
    assert_int_equal(store_item_value(item).size, strlen(value));
    assert_memory_equal(store_item_value(item).data, value, strlen(value));
}

static bool hash_equal(const struct store *a, const struct store *b)
{
    struct checksum128 x = store_hash(a);
    struct checksum128 y = store_hash(b);

    return x.low == y.low && x.high == y.high;
}

/* ---- single behaviours
 * -----------------------------------------------------*/

static void test_store_empty_has_nothing(void **state)
{
    struct store *s = new_store();

    (void)state;
    assert_null(store_get(s, text("a")));
    assert_null(store_get(s, text("")));
    assert_int_equal(store_delete(s, text("a")), ERR_NOTFOUND);
    assert_int_equal(store_count(s), 0);
    assert_int_equal(store_memory(s), 0);
    assert_int_equal(store_hash(s).low, 0);
    assert_int_equal(store_hash(s).high, 0);
    assert_false(store_reclaim(s, 1));
    store_free(s);
    store_free(NULL);
}

static void test_store_item_keeps_type_and_expiry(void **state)
{
    struct store *s = new_store();
    struct store_item *item;
    uint64_t when = 0x1122334455667788u;

    (void)state;
    assert_int_equal(store_set(s, text("k"), text("value"), 7, when), 0);
    item = store_get(s, text("k"));
    assert_int_equal(store_item_type(item), 7);
    assert_true(store_item_expire_ms(item) == when);
    assert_value(s, "k", "value");
    /* Dropping the expiry moves the key within the item. */
    assert_int_equal(store_set(s, text("k"), text("value"), 0, 0), 0);
    item = store_get(s, text("k"));
    assert_int_equal(store_item_type(item), 0);
    assert_int_equal(store_item_expire_ms(item), 0);
    assert_value(s, "k", "value");
    store_check(s);
    store_free(s);
}

static void test_store_empty_key_and_value_are_allowed(void **state)
{
    struct store *s = new_store();

    (void)state;
    set(s, "", "");
    set(s, "a", "");
    assert_value(s, "", "");
    set(s, "", "x");
    assert_value(s, "", "x");
    assert_int_equal(store_count(s), 2);
    assert_int_equal(store_delete(s, text("")), 0);
    assert_null(store_get(s, text("")));
    store_check(s);
    store_free(s);
}

static void test_store_sizes_at_limit_pass_beyond_fail(void **state)
{
    struct store *s = new_store();
    uint8_t *big = calloc(1, STORE_VALUE_MAX + 1);

    (void)state;
    assert_non_null(big);
    assert_int_equal(
        store_set(s, model_bytes(big, STORE_KEY_MAX + 1), text("v"), 0, 0),
        ERR_TOOBIG);
    assert_int_equal(
        store_set(s, text("k"), model_bytes(big, STORE_VALUE_MAX + 1u), 0, 0),
        ERR_TOOBIG);
    assert_int_equal(store_count(s), 0);
    assert_int_equal(store_set(s, model_bytes(big, STORE_KEY_MAX),
                               model_bytes(big, STORE_VALUE_MAX), 0, 0),
                     0);
    assert_int_equal(
        store_item_value(store_get(s, model_bytes(big, STORE_KEY_MAX))).size,
        STORE_VALUE_MAX);
    store_check(s);
    free(big);
    store_free(s);
}

static void test_store_held_item_stays_as_it_was(void **state)
{
    struct store *s = new_store();
    struct store_item *held;

    (void)state;
    set(s, "k", "one");
    held = store_item_ref(store_get(s, text("k")));
    set(s, "k", "two"); /* of the same size: would fit in place */
    assert_value(s, "k", "two");
    assert_memory_equal(store_item_value(held).data, "one", 3);
    assert_int_equal(store_delete(s, text("k")), 0);
    assert_memory_equal(store_item_key(held).data, "k", 1);
    store_item_unref(held);
    store_free(s);
}

static void test_store_unshared_item_is_overwritten_in_place(void **state)
{
    struct store *s = new_store();
    struct store_item *item;

    (void)state;
    set(s, "counter", "99");
    item = store_get(s, text("counter"));
    set(s, "counter", "100");
    assert_ptr_equal(store_get(s, text("counter")), item);
    assert_value(s, "counter", "100");
    store_check(s);
    store_free(s);
}

static void test_store_value_from_own_item_is_safe(void **state)
{
    struct store *s = new_store();
    struct store_item *item;
    struct bytes value;

    (void)state;
    set(s, "k", "abcdef");
    item = store_get(s, text("k"));
    value = store_item_value(item);
    value.data += 2;
    value.size -= 2;
    assert_int_equal(store_set(s, store_item_key(item), value, 0, 0), 0);
    assert_value(s, "k", "cdef");
    /* Deleting by the item's own key. */
    item = store_get(s, text("k"));
    assert_int_equal(store_delete(s, store_item_key(item)), 0);
    assert_int_equal(store_count(s), 0);
    store_check(s);
    store_free(s);
}

static void test_store_hash_depends_on_contents_not_history(void **state)
{
    struct store *a = new_store();
    struct store *b = new_store();

    (void)state;
    set(a, "x", "1");
    set(a, "y", "2");
    set(a, "z", "3");
    assert_int_equal(store_delete(a, text("z")), 0);
    set(b, "y", "0");
    set(b, "y", "2");
    set(b, "x", "1");
    assert_true(hash_equal(a, b));
    /* The same bytes cut otherwise, another type, another expiry. */
    set(b, "x", "2");
    assert_false(hash_equal(a, b));
    assert_int_equal(store_set(b, text("x"), text("1"), 1, 0), 0);
    assert_false(hash_equal(a, b));
    assert_int_equal(store_set(b, text("x"), text("1"), 0, 5), 0);
    assert_false(hash_equal(a, b));
    assert_int_equal(store_delete(b, text("x")), 0);
    set(b, "x1", "");
    assert_false(hash_equal(a, b));
    assert_int_equal(store_delete(b, text("x1")), 0);
    set(b, "x", "1");
    assert_true(hash_equal(a, b));
    store_free(a);
    store_free(b);
}

/* The hash goes into snapshots: it must never change for given contents. */
static void test_store_hash_of_known_contents_is_fixed(void **state)
{
    struct store *s = new_store();
    uint8_t body[] = {3, 0, 0, 0, 2, 0, 0, 0, 'k', 'e', 'y', 'v', '1'};
    struct checksum128 want = checksum128(body, sizeof body, 0);

    (void)state;
    set(s, "key", "v1");
    assert_true(store_hash(s).low == want.low);
    assert_true(store_hash(s).high == want.high);
    store_free(s);
}

struct visited {
    char text[64];
    unsigned stop_after;
};

static bool visit_cb(void *ctx, struct store_item *item)
{
    struct visited *v = ctx;
    struct bytes key = store_item_key(item);
    size_t n = strlen(v->text);

    memcpy(v->text + n, key.data, key.size);
    v->text[n + key.size] = ' ';
    return --v->stop_after > 0;
}

static void assert_visit(struct store *s, struct bytes after, unsigned n,
                         const char *want)
{
    struct visited v = {"", n};

    store_visit(s, after, visit_cb, &v);
    assert_string_equal(v.text, want);
}

static void test_store_visit_goes_in_order_from_behind_a_key(void **state)
{
    struct store *s = new_store();

    (void)state;
    assert_visit(s, model_bytes(NULL, 0), 9, "");
    set(s, "b", "");
    set(s, "", "");
    set(s, "ab", "");
    set(s, "a", "");
    assert_visit(s, model_bytes(NULL, 0), 9, " a ab b ");
    assert_visit(s, model_bytes(NULL, 0), 2, " a ");
    assert_visit(s, text(""), 9, "a ab b ");
    assert_visit(s, text("a"), 9, "ab b ");
    assert_visit(s, text("aa"), 9, "ab b ");
    assert_visit(s, text("b"), 9, "");
    assert_visit(s, text("c"), 9, "");
    store_free(s);
}

static void test_store_clear_leaves_nothing_and_memory_comes_back(void **state)
{
    struct store *s = new_store();
    uint64_t before;
    unsigned slices = 0;

    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "%u", i);
        set(s, key, key);
    }
    before = store_memory(s);
    assert_int_equal(store_clear(s), 0);
    assert_int_equal(store_count(s), 0);
    assert_int_equal(store_hash(s).low, 0);
    assert_null(store_get(s, text("1")));
    assert_int_equal(store_memory(s), before);
    set(s, "new", "1");
    while (store_reclaim(s, 100)) {
        slices++;
    }
    assert_in_range(slices, 90, 110);
    assert_value(s, "new", "1");
    assert_int_equal(store_delete(s, text("new")), 0);
    assert_int_equal(store_memory(s), 0);
    assert_int_equal(store_clear(s), 0);
    store_check(s);
    store_free(s);
}

static void test_store_mass_deletion_gives_memory_back(void **state)
{
    struct store *s = new_store();
    uint64_t full;
    char key[16];

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        (void)snprintf(key, sizeof key, "%06u", i * 7919 % 100000);
        set(s, key, "v");
    }
    full = store_memory(s);
    for (unsigned i = 0; i < 100000; i++) {
        if (i % 100 != 0) {
            (void)snprintf(key, sizeof key, "%06u", i);
            assert_int_equal(store_delete(s, text(key)), 0);
        }
    }
    store_check(s);
    assert_int_equal(store_count(s), 1000);
    /* Twice the share of what is left, at most. */
    assert_true(store_memory(s) < full / 50);
    for (unsigned i = 0; i < 100000; i += 100) {
        (void)snprintf(key, sizeof key, "%06u", i);
        assert_value(s, key, "v");
    }
    store_free(s);
}

/* ---- against the model
 * -----------------------------------------------------*/

struct compare {
    const struct model *model;
    size_t at;
};

static bool compare_cb(void *ctx, struct store_item *item)
{
    struct compare *c = ctx;

    assert_true(c->at < c->model->n);
    assert_true(model_pair_is(&c->model->pairs[c->at], item));
    c->at++;
    return true;
}

static void assert_same(struct store *s, const struct model *m,
                        struct bytes after)
{
    struct compare c = {m, 0};
    bool found;

    if (after.data != NULL) {
        c.at = model_lower(m, after, &found);
        c.at += found;
    }
    store_visit(s, after, compare_cb, &c);
    assert_int_equal(c.at, m->n);
    assert_int_equal(store_count(s), m->n);
}

static void model_step(struct store *s, struct model *m, uint64_t *random,
                       unsigned n_keys, unsigned sets_in_16)
{
    uint8_t key_room[MODEL_KEY_MAX];
    uint8_t value_room[MODEL_VALUE_MAX];
    struct bytes key = model_key(random, n_keys, key_room);
    struct bytes value;
    struct store_item *item;
    bool found;
    size_t i;

    if (model_random(random) % 16 < sets_in_16) {
        value = model_value(random, value_room);
        assert_int_equal(store_set(s, key, value, 0, 0), 0);
        model_set(m, key, value);
    } else {
        assert_int_equal(store_delete(s, key),
                         model_delete(m, key) ? 0 : ERR_NOTFOUND);
    }
    key = model_key(random, n_keys, key_room);
    i = model_lower(m, key, &found);
    item = store_get(s, key);
    assert_int_equal(item != NULL, found);
    assert_true(!found || model_pair_is(&m->pairs[i], item));
}

/* Grows, then shrinks to nothing, several times. */
static void test_store_random_changes_agree_with_model(void **state)
{
    static const unsigned universe[] = {20, 300, 5000, 60000};
    uint64_t random = 1;

    (void)state;
    for (unsigned u = 0; u < 4; u++) {
        struct store *s = new_store();
        struct model m = {NULL, 0, 0};
        for (unsigned round = 0; round < 6; round++) {
            unsigned sets = round % 2 == 0 ? 13 : 2;
            for (unsigned i = 0; i < 6000; i++) {
                model_step(s, &m, &random, universe[u], sets);
            }
            store_check(s);
            assert_same(s, &m, model_bytes(NULL, 0));
            for (unsigned i = 0; i < 10; i++) {
                uint8_t room[MODEL_KEY_MAX];
                assert_same(s, &m, model_key(&random, universe[u], room));
            }
        }
        while (m.n > 0) {
            size_t i = (size_t)(model_random(&random) % m.n);
            struct bytes key = model_bytes(m.pairs[i].key, m.pairs[i].key_size);
            assert_int_equal(store_delete(s, key), 0);
            model_delete(&m, key);
        }
        assert_int_equal(store_memory(s), 0);
        assert_int_equal(store_hash(s).low, 0);
        assert_int_equal(store_hash(s).high, 0);
        model_clear(&m);
        store_free(s);
    }
}

/* Rising, falling and alternating sequences are what splits unevenly. */
static void test_store_ordered_insertion_keeps_the_tree_right(void **state)
{
    (void)state;
    for (unsigned order = 0; order < 3; order++) {
        struct store *s = new_store();
        for (unsigned i = 0; i < 20000; i++) {
            unsigned k = order == 0   ? i
                         : order == 1 ? 20000 - i
                         : i % 2 == 0 ? i
                                      : 40000 - i;
            char key[16];
            (void)snprintf(key, sizeof key, "k%05u", k);
            set(s, key, "v");
            if (i % 1000 == 0) {
                store_check(s);
            }
        }
        store_check(s);
        assert_int_equal(store_count(s), 20000);
        /* Rising order fills leaves: little beyond 8 + 4 bytes a key. */
        if (order == 0) {
            assert_true(store_memory(s) < 20000ul * (40 + 16));
        }
        store_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_empty_has_nothing),
        cmocka_unit_test(test_store_item_keeps_type_and_expiry),
        cmocka_unit_test(test_store_empty_key_and_value_are_allowed),
        cmocka_unit_test(test_store_sizes_at_limit_pass_beyond_fail),
        cmocka_unit_test(test_store_held_item_stays_as_it_was),
        cmocka_unit_test(test_store_unshared_item_is_overwritten_in_place),
        cmocka_unit_test(test_store_value_from_own_item_is_safe),
        cmocka_unit_test(test_store_hash_depends_on_contents_not_history),
        cmocka_unit_test(test_store_hash_of_known_contents_is_fixed),
        cmocka_unit_test(test_store_visit_goes_in_order_from_behind_a_key),
        cmocka_unit_test(test_store_clear_leaves_nothing_and_memory_comes_back),
        cmocka_unit_test(test_store_mass_deletion_gives_memory_back),
        cmocka_unit_test(test_store_random_changes_agree_with_model),
        cmocka_unit_test(test_store_ordered_insertion_keeps_the_tree_right),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
