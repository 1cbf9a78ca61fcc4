/* Merging the files of a chain: what it keeps, how seldom a large base is
 * written again, and a chain that is full. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include "persist/compact.h"

static void compact(struct fixture *x)
{
    struct err_info info;
    if (compact_now(x->wal.wal_private, false, &info) != 0) {
        fail_msg("compact: %s", info.message);
    }
}

static int merge(struct fixture *x, unsigned first)
{
    struct wal_private *w = x->wal.wal_private;
    struct err_info info;
    struct pace pace;
    int rv;
    pthread_mutex_lock(&w->compact_lock);
    pace_start(&pace, w, false);
    rv = compact_merge(w, first, &pace, &info);
    pthread_mutex_unlock(&w->compact_lock);
    return rv;
}

static unsigned n_files(const struct fixture *x)
{
    return x->wal.wal_private->chain.n_files;
}

static void delete_key(struct fixture *x, const char *key)
{
    assert_int_equal(wal_append(&x->wal, WAL_OP_DEL, key, NULL), 0);
}

/* A key that only the base has stays deleted. */
static void test_merge_of_deltas_keeps_what_they_delete(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    fixture_set(x, "a", "1");
    fixture_set(x, "b", "1");
    compact(x);
    delete_key(x, "a");
    fixture_set(x, "c", "1");
    compact(x);
    fixture_set(x, "b", "2");
    delete_key(x, "c");
    compact(x);
    assert_int_equal(n_files(x), 3);
    for (unsigned first = 2; first > 0; first--) {
        assert_int_equal(merge(x, first), 0);
        assert_int_equal(n_files(x), first + 1);
        fixture_reopen(x, 0);
        fixture_recover(x);
        assert_int_equal(x->n_ops, 1);
        fixture_check_op(x, 0, WAL_OP_SET, "b", "2");
    }
    assert_int_equal(merge(x, 0), 0);
    assert_int_equal(n_files(x), 1);
    assert_int_equal(x->wal.wal_private->chain.files[0].n_records, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 1);
}

/* A value that does not compress. */
static void set_random(struct fixture *x, unsigned i, unsigned *random)
{
    char key[32];
    char value[301];
    snprintf(key, sizeof key, "key-%06u", i);
    for (unsigned k = 0; k < 300; k++) {
        *random = *random * 1103515245 + 12345;
        value[k] = (char)('!' + (*random >> 16) % 90);
    }
    value[300] = '\0';
    fixture_set(x, key, value);
}

static void test_merge_of_many_small_deltas_leaves_the_base_alone(void **state)
{
    enum { KEYS = 10000, ROUNDS = 60, CHANGED = 40 };
    struct fixture *x = *state;
    unsigned random = 1;
    uint64_t base_bytes;
    persist_stats_t stats;
    fixture_open(x, 0);
    for (unsigned i = 0; i < KEYS; i++) {
        set_random(x, i, &random);
    }
    compact(x);
    base_bytes = x->wal.wal_private->chain.files[0].size;
    wal_reset_stats(&x->wal);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < CHANGED; i++) {
            set_random(x, (round * 131 + i * 17) % KEYS, &random);
        }
        compact(x);
        assert_true(n_files(x) <= 9);
    }
    assert_int_equal(wal_get_stats(&x->wal, &stats), 0);
    /* 0.9 MB came, beside a base of 3 MB. */
    assert_true(stats.compact_out < 2 * base_bytes);
    fixture_recover(x);
    assert_int_equal(x->n_ops, KEYS);
}

/* Merges that found no room can leave a chain with no place left. */
static void test_merge_makes_a_place_in_a_full_chain(void **state)
{
    struct fixture *x = *state;
    struct wal_private *w;
    fixture_open(x, 0);
    w = x->wal.wal_private;
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++) {
        struct snapshot_record record = {.kind = SNAPSHOT_KEY};
        struct snapshot_writer *writer = NULL;
        struct err_info info;
        struct pace pace;
        char key[32];
        int rv;
        snprintf(key, sizeof key, "key-%u", i);
        record.key.data = (const uint8_t *)key;
        record.key.size = strlen(key);
        fixture_set(x, key, "");
        assert_int_equal(wal_force_sync(&x->wal), 0);
        pthread_mutex_lock(&w->compact_lock);
        pace_start(&pace, w, false);
        rv = compact_begin(w, i, i + 1, &writer, &info);
        rv = rv == 0 ? snapshot_writer_add(writer, &record) : rv;
        rv = rv == 0 ? compact_finish(w, writer, &pace, &info) : rv;
        pthread_mutex_unlock(&w->compact_lock);
        assert_int_equal(rv, 0);
    }
    assert_int_equal(n_files(x), SNAPSHOT_FILES_MAX);
    fixture_set(x, "more", "1");
    compact(x);
    assert_true(n_files(x) < SNAPSHOT_FILES_MAX);
    fixture_reopen(x, 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, SNAPSHOT_FILES_MAX + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_merge_of_deltas_keeps_what_they_delete),
        fixture_test(test_merge_of_many_small_deltas_leaves_the_base_alone),
        fixture_test(test_merge_makes_a_place_in_a_full_chain),
    };
    return cmocka_run_group_tests_name("merge", tests, NULL, NULL);
}
