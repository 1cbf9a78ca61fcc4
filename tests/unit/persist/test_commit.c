/* From append to durable (commit.c): values of any size find their file, no
 * operation waits longer than its policy says, and a base of the program's keys
 * covers only what the program has. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include <unistd.h>

/* ---- sizes ----------------------------------------------------------------*/

/* Between "fits beside others" and "gets a file of its own" lie sizes of which
 * a file holds just one. */
static void test_commit_any_size_of_value_finds_its_file(void **state)
{
    enum { FILE_SIZE = 64 * 1024, STEP = 2048 - 1, MAX = 2 * FILE_SIZE };
    struct fixture *x = *state;
    char *value = malloc(MAX + 1);
    size_t n = 0;
    assert_non_null(value);
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FILE_SIZE), 0);
    fixture_open(x, 1);
    alarm(60); /* an append that waits for ever fails the test */
    for (size_t size = STEP; size < MAX; size += STEP) {
        memset(value, 'v', size);
        value[size] = '\0';
        fixture_set(x, "key", value);
        n++;
    }
    alarm(0);
    fixture_reopen(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(strlen(x->ops[i].value), (i + 1) * STEP);
    }
    free(value);
}

static char *value_of(size_t size)
{
    char *value = malloc(size + 1);
    assert_non_null(value);
    memset(value, 'v', size);
    value[size] = '\0';
    return value;
}

static void test_commit_large_value_stands_between_small_ones(void **state)
{
    struct fixture *x = *state;
    char *large = value_of(1000 * 1000);
    fixture_open(x, 0);
    alarm(60);
    for (unsigned round = 0; round < 3; round++) {
        fixture_set(x, "before", "1");
        fixture_set(x, "large", large);
        fixture_set(x, "after", "2");
        assert_int_equal(wal_force_sync(&x->wal), 0);
    }
    alarm(0);
    fixture_reopen(x, 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 9);
    fixture_check_op(x, 7, WAL_OP_SET, "large", large);
    fixture_check_op(x, 8, WAL_OP_SET, "after", "2");
    free(large);
}

/* ---- clocks of the tests' own ---------------------------------------------*/

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t fast_ns(void)
{
    return monotonic_ns() * 5000;
}

static uint64_t still_ns; /* stands until the test moves it */

static uint64_t read_still_ns(void)
{
    return still_ns;
}

static struct wal_private *open_with(struct fixture *x, bool threads,
                                     uint64_t (*now_ns)(void), bool sync)
{
    struct wal_environment environment = {threads, now_ns, NULL};
    struct err_info info;
    if (wal_private_open(&x->wal, x->path, sync, &environment,
                         &x->wal.wal_private, &info) != 0) {
        fail_msg("open: %s", info.message);
    }
    return x->wal.wal_private;
}

static struct entry entry_of(const char *key, const char *value)
{
    struct entry e = {ENTRY_SET, {NULL, 0}, {NULL, 0}};
    e.key.data = (const uint8_t *)key;
    e.key.size = strlen(key);
    e.value.data = (const uint8_t *)value;
    e.value.size = strlen(value);
    return e;
}

static void append(struct wal_private *w, const char *key, const char *value)
{
    struct entry e = entry_of(key, value);
    struct err_info info;
    if (commit_append(w, &e, &info) != 0) {
        fail_msg("append: %s", info.message);
    }
}

static int lead(struct wal_private *w)
{
    int rv;
    pthread_mutex_lock(&w->gather_lock);
    rv = commit_lead(w);
    pthread_mutex_unlock(&w->gather_lock);
    return rv;
}

/* Filling the file of a large value takes as long as it takes: a clock that
 * runs 5,000 times as fast sees minutes pass. */
static void test_commit_file_of_a_large_value_may_take_its_time(void **state)
{
    struct fixture *x = *state;
    struct wal_private *w = open_with(x, true, fast_ns, true);
    char *large = value_of(24 * 1024 * 1024);
    append(w, "large", large);
    assert_int_equal(w->durable_seq, 1);
    free(large);
}

/* What one durable write does not take has waited since before that write. */
static void test_commit_rest_of_a_full_write_keeps_its_time(void **state)
{
    enum { N = 70, SIZE = 65000 };
    struct fixture *x = *state;
    uint64_t interval_ns = INCREMENTAL_SYNC_INTERVAL * UINT64_C(1000000000);
    struct wal_private *w;
    char *value = value_of(SIZE);
    uint64_t at_ns;
    still_ns = interval_ns;
    w = open_with(x, false, read_still_ns, false);
    w->options[WAL_OPTION_SYNC_POLICY] = WAL_SYNC_INTERVAL;
    x->wal.incremental_running = 1;
    for (unsigned i = 0; i < N; i++) {
        append(w, "key", value);
    }
    still_ns += interval_ns / 2;
    assert_int_equal(lead(w), 0);
    assert_true(w->gather.n > 0 && w->gather.bytes < 1024 * 1024);
    assert_false(commit_due(w, still_ns, &at_ns));
    assert_true(at_ns == 2 * interval_ns);
    still_ns = at_ns;
    assert_true(commit_due(w, still_ns, &at_ns));
    assert_int_equal(lead(w), 0);
    assert_int_equal(w->gather.n, 0);
    free(value);
}

/* A program that clears incremental_running keeps the time itself. */
static void test_commit_interval_counts_while_the_field_is_set(void **state)
{
    struct fixture *x = *state;
    uint64_t interval_ns = INCREMENTAL_SYNC_INTERVAL * UINT64_C(1000000000);
    struct wal_private *w;
    uint64_t at_ns;
    still_ns = 1;
    w = open_with(x, false, read_still_ns, false);
    append(w, "key", "1");
    still_ns += interval_ns;
    assert_false(commit_due(w, still_ns, &at_ns));
    assert_true(at_ns == UINT64_MAX);
    assert_int_equal(wal_start_incremental_sync(&x->wal, NULL), 0);
    assert_true(commit_due(w, still_ns, &at_ns));
}

/* ---- where a base of the program's own keys may stand
 * ----------------------*/

/* The number of a refused append goes to the next one, which a base that was
 * to stand there would swallow. */
static void test_commit_refused_append_lowers_the_cut(void **state)
{
    struct fixture *x = *state;
    struct wal_private *w;
    struct waiter waiter = {false, 0};
    char *large = value_of(FIXTURE_FILE_SIZE);
    struct entry e = entry_of("large", large);
    int rv;
    still_ns = 1;
    w = open_with(x, false, read_still_ns, false);
    append(w, "before", "1");
    pthread_mutex_lock(&w->gather_lock);
    rv = gather_put(&w->gather, &e, ++w->n_given, &waiter);
    w->last_seq++;
    pthread_mutex_unlock(&w->gather_lock);
    assert_int_equal(rv, 0);
    assert_int_equal(commit_wait_returned(w), 2);
    fault_file_arm(FAULT_SIZE, 1, ERR_NOSPACE, FAULT_ONCE);
    assert_int_equal(lead(w), 0);
    assert_true(fault_file_disarm());
    assert_true(waiter.done);
    assert_int_equal(waiter.status, ERR_NOSPACE);
    assert_int_equal(w->last_seq, 1);
    assert_int_equal(w->cut_seq, 1);
    free(large);
}

/* A program with threads: its lock is held around an append and the change of
 * its own, and taken by the callbacks. */
struct race {
    wal_t *wal;
    pthread_barrier_t start;
    pthread_mutex_t lock;
    bool has_key;
};

static void *append_one(void *arg)
{
    struct race *r = arg;
    pthread_barrier_wait(&r->start);
    pthread_mutex_lock(&r->lock);
    r->has_key = wal_append(r->wal, WAL_OP_SET, "key", "1") == 0;
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static int list_key(void *engine, char ***keys, int *count)
{
    struct race *r = engine;
    pthread_mutex_lock(&r->lock);
    *count = r->has_key;
    pthread_mutex_unlock(&r->lock);
    *keys = calloc(1, sizeof **keys);
    (*keys)[0] = *count == 0 ? NULL : strdup("key");
    return 0;
}

static int get_one(void *engine, const char *key, char **value)
{
    (void)engine;
    (void)key;
    *value = strdup("1");
    return 0;
}

/* An empty log gets a mark for its base to stand at. */
static void test_commit_append_beside_the_first_base_stays(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, 64 * 1024), 0);
    for (unsigned i = 0; i < 30; i++) {
        struct race r = {.wal = &x->wal};
        pthread_t thread;
        fixture_open(x, 1);
        assert_int_equal(pthread_barrier_init(&r.start, NULL, 2), 0);
        pthread_mutex_init(&r.lock, NULL);
        assert_int_equal(pthread_create(&thread, NULL, append_one, &r), 0);
        pthread_barrier_wait(&r.start);
        assert_int_equal(wal_compact_logs(&x->wal, &r, list_key, get_one), 0);
        pthread_join(thread, NULL);
        pthread_barrier_destroy(&r.start);
        pthread_mutex_destroy(&r.lock);
        assert_true(r.has_key);
        fixture_reopen(x, 1);
        fixture_recover(x);
        assert_non_null(fixture_get(x, "key"));
        wal_destroy(&x->wal);
        temp_dir_remove_path(x->path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_commit_any_size_of_value_finds_its_file),
        fixture_test(test_commit_large_value_stands_between_small_ones),
        fixture_test(test_commit_file_of_a_large_value_may_take_its_time),
        fixture_test(test_commit_rest_of_a_full_write_keeps_its_time),
        fixture_test(test_commit_interval_counts_while_the_field_is_set),
        fixture_test(test_commit_refused_append_lowers_the_cut),
        fixture_test(test_commit_append_beside_the_first_base_stays),
    };
    return cmocka_run_group_tests_name("commit", tests, NULL, NULL);
}
