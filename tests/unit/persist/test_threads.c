/* Many threads at one log: what each was told holds, nothing is doubled, order
 * within a thread stays, while compactions and replays go on. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include <unistd.h>

enum { THREADS = 4, APPENDS = 400 };

struct worker {
    pthread_t thread;
    struct fixture *x;
    unsigned number;
    unsigned n_ok;
};

static void *append_main(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < APPENDS; i++) {
        char key[32];
        char value[32];
        snprintf(key, sizeof key, "t%u-%u", w->number, i % 40);
        snprintf(value, sizeof value, "%u", i);
        if (wal_append(&w->x->wal, WAL_OP_SET, key, value) != 0) {
            break;
        }
        w->n_ok++;
    }
    return w;
}

static void start(struct fixture *x, struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].x = x;
        workers[i].number = i;
        workers[i].n_ok = 0;
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, append_main, &workers[i]),
            0);
    }
}

static void join(struct worker *workers)
{
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].n_ok, APPENDS);
    }
}

/* The last value of every key of every thread is there. */
static void check_last_values(struct fixture *x)
{
    fixture_recover(x);
    for (unsigned t = 0; t < THREADS; t++) {
        for (unsigned k = 0; k < 40; k++) {
            char key[32];
            char value[32];
            snprintf(key, sizeof key, "t%u-%u", t, k);
            snprintf(value, sizeof value, "%u", APPENDS - 40 + k);
            assert_non_null(fixture_get(x, key));
            assert_string_equal(fixture_get(x, key), value);
        }
    }
}

static void test_threads_appends_keep_their_order(void **state)
{
    struct fixture *x = *state;
    struct worker workers[THREADS];
    for (int sync = 0; sync < 2; sync++) {
        unsigned next[THREADS] = {0};
        temp_dir_remove_path(x->path);
        fixture_open(x, sync);
        start(x, workers);
        join(workers);
        assert_int_equal(wal_last_seq(&x->wal), THREADS * APPENDS);
        fixture_reopen(x, sync);
        fixture_recover(x);
        assert_int_equal(x->n_ops, THREADS * APPENDS);
        for (size_t i = 0; i < x->n_ops; i++) {
            unsigned t = (unsigned)(x->ops[i].key[1] - '0');
            char value[32];
            assert_true(t < THREADS);
            snprintf(value, sizeof value, "%u", next[t]++);
            assert_string_equal(x->ops[i].value, value);
        }
        wal_destroy(&x->wal);
    }
}

static void test_threads_syncs_are_shared(void **state)
{
    struct fixture *x = *state;
    struct worker workers[THREADS];
    persist_stats_t stats;
    fixture_open(x, 1);
    start(x, workers);
    join(workers);
    assert_int_equal(wal_get_stats(&x->wal, &stats), 0);
    assert_int_equal(stats.write_ops, THREADS * APPENDS);
    assert_int_equal(stats.durable_seq, THREADS * APPENDS);
    assert_true(stats.sync_ops <= THREADS * APPENDS);
}

static int no_keys(void *engine, char ***keys, int *count)
{
    (void)engine;
    (void)keys;
    *count = 0;
    return -1;
}

static int count_op(void *engine, uint8_t op, const char *key,
                    const char *value)
{
    (void)op;
    (void)key;
    (void)value;
    ++*(unsigned *)engine;
    return 0;
}

/* Everything at once. */
static void test_threads_compaction_and_replay_go_beside(void **state)
{
    struct fixture *x = *state;
    struct worker workers[THREADS];
    wal_file_info_t files[8];
    persist_stats_t stats;
    size_t n_files;
    for (int sync = 0; sync < 2; sync++) {
        temp_dir_remove_path(x->path);
        fixture_open(x, sync);
        assert_int_equal(
            wal_set_option(&x->wal, WAL_OPTION_COMPACT_THRESHOLD, 50), 0);
        assert_int_equal(
            wal_set_option(&x->wal, WAL_OPTION_COMPACT_PAUSE_MS, 0), 0);
        assert_int_equal(wal_start_compaction(&x->wal, x, no_keys), 0);
        start(x, workers);
        for (int i = 0; i < 20; i++) {
            unsigned n = 0;
            assert_int_equal(wal_recover(&x->wal, &n, count_op), 0);
            assert_int_equal(wal_force_sync(&x->wal), 0);
            assert_int_equal(wal_incremental_sync(&x->wal, NULL), 0);
            wal_cleanup_old_logs(&x->wal, wal_durable_seq(&x->wal));
            assert_int_equal(wal_get_stats(&x->wal, &stats), 0);
            assert_int_equal(wal_list_files(&x->wal, files, 8, &n_files), 0);
        }
        join(workers);
        check_last_values(x);
        fixture_reopen(x, sync);
        check_last_values(x);
        wal_destroy(&x->wal);
    }
}

/* Ends while the interval is an hour and a slow compaction is under way. */
static void test_threads_destroy_is_prompt(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_SYNC_INTERVAL_MS, 3600 * 1000), 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_COMPACT_RATE, 1000), 0);
    for (unsigned i = 0; i < 20000; i++) {
        fixture_set_numbered(x, i % 1000, i);
    }
    assert_int_equal(wal_start_compaction(&x->wal, x, no_keys), 0);
    for (unsigned i = 0; i < 5000; i++) { /* until it has begun, bounded */
        struct wal_private *w = x->wal.wal_private;
        if (pthread_mutex_trylock(&w->compact_lock) != 0) {
            break;
        }
        pthread_mutex_unlock(&w->compact_lock);
        usleep(1000);
    }
    wal_destroy(&x->wal); /* a test that hangs here fails by its time limit */
    fixture_open(x, 0);
    fixture_recover(x);
    assert_string_equal(fixture_get(x, "key-000999"), "value-999-19999");
}

/* A limit of entries that are not durable holds at every moment. */
static void test_threads_unsynced_limit_holds(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_UNSYNCED_MAX, 10), 0);
    for (unsigned i = 0; i < 2000; i++) {
        fixture_set_numbered(x, i, 1);
        assert_true(wal_last_seq(&x->wal) - wal_durable_seq(&x->wal) <= 10);
    }
}

/* Memory for what is not durable is bounded: an append waits. */
static void test_threads_back_pressure_bounds_memory(void **state)
{
    struct fixture *x = *state;
    persist_stats_t stats;
    char value[2001];
    memset(value, 'v', 2000);
    value[2000] = '\0';
    fixture_open(x, 0);
    x->wal.incremental_running = 0;
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_INTERVAL), 0);
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_PENDING_BYTES_MAX, 64 * 1024), 0);
    for (unsigned i = 0; i < 1000; i++) {
        fixture_set(x, "key", value);
        assert_int_equal(wal_get_stats(&x->wal, &stats), 0);
        assert_true(stats.pending_bytes <= 64 * 1024);
    }
    assert_true(stats.stalls > 0);
    assert_true(stats.stall_ms > 0);
    assert_int_equal(stats.stall.count, stats.stalls);
    assert_true(stats.stall.p50 > 0 && stats.stall.p50 <= stats.stall.max);
    assert_true(stats.stall.max <= stats.stall_ms * 1000 + 1);
    wal_reset_stats(&x->wal);
    assert_int_equal(wal_get_stats(&x->wal, &stats), 0);
    assert_int_equal(stats.stall.count, 0);
    assert_int_equal(stats.stalls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_threads_appends_keep_their_order),
        fixture_test(test_threads_syncs_are_shared),
        fixture_test(test_threads_compaction_and_replay_go_beside),
        fixture_test(test_threads_destroy_is_prompt),
        fixture_test(test_threads_unsynced_limit_holds),
        fixture_test(test_threads_back_pressure_bounds_memory),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
