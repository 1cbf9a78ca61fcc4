/* What programs were written against: the names, types and defaults of the
 * API, which must never change. That each function does what it says is in the
 * other tests here, that it compiles as a program's C99 in tests/embed. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

typedef int (*keys_cb)(void *engine, char ***keys, int *count);
typedef int (*value_cb)(void *engine, const char *key, char **value);
typedef int (*apply_cb)(void *engine, uint8_t op, const char *key,
                        const char *value);
typedef int (*stream_cb)(void *engine, FILE *stream);
typedef int (*range_cb)(void *engine, FILE *stream, uint64_t from, uint64_t to);

/* An assignment to a pointer of another type does not compile here. */
static void test_contract_functions_have_their_types(void **state)
{
    int (*init)(wal_t *, const char *, int) = wal_init;
    int (*append)(wal_t *, uint8_t, const char *, const char *) = wal_append;
    int (*recover)(wal_t *, void *, apply_cb) = wal_recover;
    int (*force)(wal_t *) = wal_force_sync;
    int (*start_sync)(wal_t *, void *) = wal_start_incremental_sync;
    int (*sync)(wal_t *, void *) = wal_incremental_sync;
    int (*start_compaction)(wal_t *, void *, keys_cb) = wal_start_compaction;
    int (*compact)(wal_t *, void *, keys_cb, value_cb) = wal_compact_logs;
    void (*cleanup)(wal_t *, uint64_t) = wal_cleanup_old_logs;
    void (*destroy)(wal_t *) = wal_destroy;
    int (*snap_init)(snapshot_t *, const char *) = snapshot_init;
    void (*snap_destroy)(snapshot_t *) = snapshot_destroy;
    int (*create)(snapshot_t *, void *, stream_cb) = snapshot_create;
    int (*load)(snapshot_t *, void *, stream_cb) = snapshot_load;
    int (*increment)(snapshot_t *, void *, uint64_t, uint64_t, range_cb) =
        snapshot_create_incremental;
    int (*apply)(snapshot_t *, void *, stream_cb) = snapshot_apply_incremental;
    int (*both)(persist_state_t *, const char *, int) = persist_init;
    void (*both_destroy)(persist_state_t *) = persist_destroy;
    int (*stats)(persist_state_t *, persist_stats_t *) = persist_get_stats;
    void (*reset)(persist_state_t *) = persist_reset_stats;

    (void)state;
    assert_true(init && append && recover && force && start_sync && sync);
    assert_true(start_compaction && compact && cleanup && destroy);
    assert_true(snap_init && snap_destroy && create && load && increment);
    assert_true(apply && both && both_destroy && stats && reset);
}

static void test_contract_defaults_are_those_of_the_macros(void **state)
{
    struct fixture *x = *state;
    static const struct {
        enum wal_option option;
        uint64_t value;
    } defaults[] = {{WAL_OPTION_COMPACT_THRESHOLD, 1000},
                    {WAL_OPTION_COMPACT_RATIO, 30},
                    {WAL_OPTION_SYNC_INTERVAL_MS, 5000},
                    {WAL_OPTION_BATCH_SIZE, 100}};

    assert_int_equal(WAL_OP_SET, 1);
    assert_int_equal(WAL_OP_DEL, 2);
    assert_int_equal(WAL_OP_MOD, 3);
    assert_int_equal(WAL_COMPACT_THRESHOLD, 1000);
    assert_true(WAL_COMPACT_RATIO > 0.299 && WAL_COMPACT_RATIO < 0.301);
    assert_int_equal(WAL_MAX_FILE_SIZE, 64 * 1024 * 1024);
    assert_int_equal(INCREMENTAL_SYNC_INTERVAL, 5);
    assert_int_equal(INCREMENTAL_BATCH_SIZE, 100);
    fixture_open(x, 0);
    for (unsigned i = 0; i < sizeof defaults / sizeof *defaults; i++) {
        uint64_t value = 0;
        assert_int_equal(wal_get_option(&x->wal, defaults[i].option, &value),
                         0);
        assert_int_equal(value, defaults[i].value);
    }
}

/* Where the first programs found the figures. */
static void test_contract_statistics_stay_where_they_are(void **state)
{
    enum { NUMBER = 8, LATENCY = 6 * NUMBER };
    (void)state;
    assert_int_equal(offsetof(persist_stats_t, write_ops), 0);
    assert_int_equal(offsetof(persist_stats_t, avg_write_latency), 3 * NUMBER);
    assert_int_equal(offsetof(persist_stats_t, write_throughput), 7 * NUMBER);
    assert_int_equal(offsetof(persist_stats_t, total_log_size), 8 * NUMBER);
    assert_int_equal(offsetof(persist_stats_t, write), 11 * NUMBER);
    assert_int_equal(offsetof(persist_stats_t, write_bytes),
                     11 * NUMBER + 4 * LATENCY);
    assert_int_equal(offsetof(persist_stats_t, no_space),
                     23 * NUMBER + 4 * LATENCY);
}

/* The fields that a program may look at and clear. */
static void test_contract_handle_shows_what_runs(void **state)
{
    struct fixture *x = *state;
    int *compact = &x->wal.compact_running;
    int *incremental = &x->wal.incremental_running;

    fixture_open(x, 1);
    assert_int_equal(*compact, 0);
    assert_int_equal(*incremental, 0);
    assert_int_equal(wal_start_incremental_sync(&x->wal, NULL), 0);
    assert_int_equal(*incremental, 1);
    fixture_reopen(x, 0);
    assert_int_equal(*incremental, 1);
    wal_destroy(&x->wal);
    assert_int_equal(*incremental, 0);
    assert_int_equal(wal_start_incremental_sync(&x->wal, NULL), -1);
    assert_int_equal(wal_incremental_sync(&x->wal, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_contract_functions_have_their_types),
        fixture_test(test_contract_defaults_are_those_of_the_macros),
        fixture_test(test_contract_statistics_stay_where_they_are),
        fixture_test(test_contract_handle_shows_what_runs),
    };
    return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
