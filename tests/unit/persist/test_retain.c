/* Files of the log that stay although a base covers them: for how long, across
 * restarts, and not on a full disk. Time stands still unless a test moves it,
 * and nothing goes on by itself. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include "persist/compact.h"

enum {
    FILE_SIZE = 64 * 1024,
    MINUTE_S = 60,
    FILES_MAX = 256,
    VALUE_SIZE = 900
};

static uint64_t now;
static uint64_t wall;

static uint64_t now_ns(void)
{
    return now;
}

static uint64_t clock_ms(void)
{
    return wall;
}

static const struct wal_environment environment = {false, now_ns, clock_ms};

static void open_log(struct fixture *x)
{
    struct err_info info;
    memset(&x->wal, 0, sizeof x->wal);
    if (wal_private_open(&x->wal, x->path, true, &environment,
                         &x->wal.wal_private, &info) != 0) {
        fail_msg("open: %s", info.message);
    }
}

/* Handles opened from now on keep files for so many seconds. */
static void retain(uint64_t seconds)
{
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_RETAIN_SECONDS, seconds),
                     0);
}

static void open_new(struct fixture *x, uint64_t seconds)
{
    now = UINT64_C(5000000000);
    wall = UINT64_C(1700000000000);
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FILE_SIZE), 0);
    retain(seconds);
    open_log(x);
    retain(0);
}

static void pass(uint64_t seconds)
{
    now += seconds * 1000000000;
    wall += seconds * 1000;
}

static size_t n_files(struct fixture *x)
{
    wal_file_info_t files[FILES_MAX];
    size_t n;
    assert_int_equal(wal_list_files(&x->wal, files, FILES_MAX, &n), 0);
    return n;
}

/* Ticks, and what the log does in the background. */
static void settle(struct fixture *x)
{
    struct wal_private *w = x->wal.wal_private;
    for (unsigned i = 0; i < 4; i++) {
        pthread_mutex_lock(&w->gather_lock);
        service_tick(w);
        pthread_mutex_unlock(&w->gather_lock);
        pthread_mutex_lock(&w->log_lock);
        for (unsigned k = 0; k < 8; k++) {
            service_wait_log(w, 10);
        }
        pthread_mutex_unlock(&w->log_lock);
    }
}

/* Let go what may go: the release is logged, and then done. */
static void release(struct fixture *x)
{
    struct wal_private *w = x->wal.wal_private;
    pthread_mutex_lock(&w->compact_lock);
    compact_release(w);
    pthread_mutex_unlock(&w->compact_lock);
    settle(x);
}

static void compact(struct fixture *x)
{
    struct err_info info;
    if (compact_now(x->wal.wal_private, false, &info) != 0) {
        fail_msg("compact: %s", info.message);
    }
    release(x);
}

/* Append until the log has gone on in n more files. */
static void write_files(struct fixture *x, size_t n)
{
    char value[VALUE_SIZE + 1];
    wal_file_info_t files[FILES_MAX];
    char active[64] = "";
    memset(value, 'v', VALUE_SIZE);
    value[VALUE_SIZE] = '\0';
    for (size_t i = 0; i <= n;) {
        size_t count;
        fixture_set(x, "key", value);
        assert_int_equal(wal_list_files(&x->wal, files, FILES_MAX, &count), 0);
        if (strcmp(active, files[count - 1].name) != 0) {
            strcpy(active, files[count - 1].name);
            i++;
        }
    }
}

/* One active file, and four sealed 4, 3, 2 and 1 minutes ago, all covered. */
static void write_minutes(struct fixture *x)
{
    for (unsigned i = 0; i < 4; i++) {
        write_files(x, 1);
        pass(MINUTE_S);
    }
    assert_int_equal(n_files(x), 5);
    compact(x);
}

static void test_retain_seconds_keeps_what_is_younger(void **state)
{
    struct fixture *x = *state;
    open_new(x, 150);
    write_minutes(x);
    assert_int_equal(n_files(x), 3);
    pass(29);
    release(x);
    assert_int_equal(n_files(x), 3);
    pass(1);
    release(x);
    assert_int_equal(n_files(x), 2);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_RETAIN_SECONDS, 0), 0);
    release(x);
    assert_int_equal(n_files(x), 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 1);
}

static void test_retain_seconds_never_lets_go_of_what_no_base_covers(void **s)
{
    struct fixture *x = *s;
    open_new(x, 1);
    write_files(x, 4);
    pass(3600);
    release(x);
    assert_int_equal(n_files(x), 5);
}

static void test_retain_seconds_counts_across_restarts(void **state)
{
    struct fixture *x = *state;
    open_new(x, 3600);
    write_minutes(x);
    assert_int_equal(n_files(x), 5);
    wal_destroy(&x->wal);
    now = 1; /* the machine was started anew */
    wall += 57 * MINUTE_S * 1000;
    retain(3600);
    open_log(x);
    release(x);
    /* 61, 60, 59 and 58 minutes */
    assert_int_equal(n_files(x), 3);
    pass(MINUTE_S);
    release(x);
    assert_int_equal(n_files(x), 2);
    retain(0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 1);
}

/* However often the log is compacted meanwhile. */
static void test_retain_seconds_is_a_bound_too(void **state)
{
    struct fixture *x = *state;
    open_new(x, 40 * MINUTE_S);
    for (unsigned i = 0; i < 60; i++) {
        write_files(x, 1);
        pass(MINUTE_S);
        compact(x);
        assert_true(n_files(x) <= 41);
    }
    assert_int_equal(n_files(x), 40);
}

static void test_retain_bytes_and_seconds_keep_what_either_does(void **state)
{
    struct fixture *x = *state;
    open_new(x, 90);
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_RETAIN_BYTES, 3 * FILE_SIZE), 0);
    write_minutes(x);
    assert_int_equal(n_files(x), 4);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_RETAIN_BYTES, 1), 0);
    release(x);
    assert_int_equal(n_files(x), 2);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_RETAIN_SECONDS, 0), 0);
    release(x);
    assert_int_equal(n_files(x), 2);
}

/* The oldest file is used for what finds no room; the others stay. */
static void test_retain_yields_to_a_full_disk(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats log;
    open_new(x, 3600);
    write_minutes(x);
    fault_file_arm(FAULT_FILL, 1, ERR_NOSPACE, FAULT_ONCE);
    write_files(x, 1); /* takes the file that was ready */
    settle(x);
    assert_true(fault_file_disarm());
    raftlog_get_stats(x->wal.wal_private->log, &log);
    assert_true(log.no_space);
    assert_int_equal(n_files(x), 6);
    release(x);
    assert_int_equal(n_files(x), 5);
    release(x);
    assert_int_equal(n_files(x), 5);
    fixture_set(x, "key", "value");
    raftlog_get_stats(x->wal.wal_private->log, &log);
    assert_false(log.no_space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_retain_seconds_keeps_what_is_younger),
        fixture_test(test_retain_seconds_never_lets_go_of_what_no_base_covers),
        fixture_test(test_retain_seconds_counts_across_restarts),
        fixture_test(test_retain_seconds_is_a_bound_too),
        fixture_test(test_retain_bytes_and_seconds_keep_what_either_does),
        fixture_test(test_retain_yields_to_a_full_disk),
    };
    return cmocka_run_group_tests_name("retain", tests, NULL, NULL);
}
