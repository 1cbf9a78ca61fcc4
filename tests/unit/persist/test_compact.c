/* Compaction: by hand from callbacks, by itself from the log; what it keeps,
 * what it lets go, and what a failure at any point leaves. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "persist/compact.h"

/* A store of the test's own for the callbacks. */
struct store {
    unsigned n;
    unsigned round;
    bool keys_fail;
    unsigned value_fails_at; /* 0: never */
    unsigned n_values;
    bool skip_odd; /* get_value says that odd keys are gone */
};

static int list_keys(void *engine, char ***keys, int *count)
{
    struct store *s = engine;
    if (s->keys_fail) {
        return -1;
    }
    *keys = malloc((s->n + 1) * sizeof **keys);
    assert_non_null(*keys);
    for (unsigned i = 0; i < s->n; i++) { /* descending, the first one twice */
        char key[32];
        snprintf(key, sizeof key, "key-%06u", s->n - 1 - i);
        (*keys)[i] = strdup(key);
    }
    *count = (int)s->n;
    if (s->n > 0) {
        (*keys)[s->n] = strdup((*keys)[0]);
        *count = (int)s->n + 1;
    }
    return 0;
}

static int get_value(void *engine, const char *key, char **value)
{
    struct store *s = engine;
    unsigned i = (unsigned)strtoul(key + 4, NULL, 10);
    char text[64];
    if (++s->n_values == s->value_fails_at) {
        return -1;
    }
    if (s->skip_odd && i % 2 == 1) {
        *value = NULL;
        return 0;
    }
    snprintf(text, sizeof text, "value-%u-%u", i, s->round);
    *value = strdup(text);
    return 0;
}

static void set_rounds(struct fixture *x, unsigned n, unsigned n_rounds)
{
    for (unsigned round = 1; round <= n_rounds; round++) {
        for (unsigned i = 0; i < n; i++) {
            fixture_set_numbered(x, i, round);
        }
    }
}

/* All n keys are there with the value of this round, each once in the base. */
static void check_state(struct fixture *x, unsigned n, unsigned round)
{
    for (unsigned i = 0; i < n; i++) {
        char key[32];
        char value[64];
        snprintf(key, sizeof key, "key-%06u", i);
        snprintf(value, sizeof value, "value-%u-%u", i, round);
        assert_non_null(fixture_get(x, key));
        assert_string_equal(fixture_get(x, key), value);
    }
}

static void compact_or_fail(struct fixture *x)
{
    struct err_info info;
    if (compact_now(x->wal.wal_private, false, &info) != 0) {
        fail_msg("compact: %s", info.message);
    }
}

static persist_stats_t stats_of(struct fixture *x)
{
    persist_stats_t stats;
    assert_int_equal(wal_get_stats(&x->wal, &stats), 0);
    return stats;
}

static void test_compact_by_hand_callbacks_become_the_base(void **state)
{
    struct fixture *x = *state;
    struct store s = {.n = 100, .round = 3};
    fixture_open(x, 1);
    set_rounds(x, 100, 3);
    assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, get_value), 0);
    assert_int_equal(stats_of(x).compact_seq, 300);
    for (int life = 0; life < 2; life++) {
        fixture_recover(x);
        assert_int_equal(x->n_ops, 100);
        for (unsigned i = 0; i < 100; i++) {
            assert_int_equal(x->ops[i].op, WAL_OP_SET);
        }
        check_state(x, 100, 3);
        fixture_reopen(x, 1);
        assert_int_equal(wal_last_seq(&x->wal), 300);
    }
    fixture_set(x, "later", "1");
    assert_int_equal(wal_append(&x->wal, WAL_OP_DEL, "key-000000", NULL), 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 102);
    fixture_check_op(x, 100, WAL_OP_SET, "later", "1");
    fixture_check_op(x, 101, WAL_OP_DEL, "key-000000", NULL);
}

static void test_compact_by_hand_replaces_the_base_before(void **state)
{
    struct fixture *x = *state;
    struct store s = {.n = 50, .round = 1, .skip_odd = true};
    fixture_open(x, 0);
    set_rounds(x, 60, 1);
    assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, get_value), 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 25);
    s.n = 10;
    s.skip_odd = false;
    assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, get_value), 0);
    fixture_reopen(x, 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 10);
    s.n = 0;
    assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, get_value), 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 0);
}

static void test_compact_by_hand_of_an_empty_log_stores_the_keys(void **state)
{
    struct fixture *x = *state;
    struct store s = {.n = 5, .round = 1};
    fixture_open(x, 1);
    assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, get_value), 0);
    fixture_reopen(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 5);
    fixture_set(x, "a", "1");
    fixture_recover(x);
    assert_int_equal(x->n_ops, 6);
}

static void test_compact_by_hand_failing_callback_changes_nothing(void **state)
{
    struct fixture *x = *state;
    struct store s = {.n = 20, .round = 1, .keys_fail = true};
    fixture_open(x, 1);
    set_rounds(x, 20, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, get_value),
                         -1);
        assert_int_equal(errno, ECANCELED);
        fixture_recover(x);
        assert_int_equal(x->n_ops, 40);
        s.keys_fail = false;
        s.value_fails_at = 7;
    }
    assert_int_equal(stats_of(x).compact_failures, 0);
    assert_int_equal(wal_compact_logs(NULL, &s, list_keys, get_value), -1);
    assert_int_equal(wal_compact_logs(&x->wal, &s, NULL, get_value), -1);
    assert_int_equal(wal_compact_logs(&x->wal, &s, list_keys, NULL), -1);
    assert_int_equal(wal_start_compaction(&x->wal, &s, NULL), -1);
}

static void test_compact_log_keeps_the_last_state_of_each_key(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    set_rounds(x, 200, 5);
    assert_int_equal(wal_append(&x->wal, WAL_OP_DEL, "key-000003", NULL), 0);
    assert_int_equal(wal_append(&x->wal, WAL_OP_MOD, "key-000004", "m"), 0);
    compact_or_fail(x);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 199);
    assert_null(fixture_get(x, "key-000003"));
    assert_string_equal(fixture_get(x, "key-000004"), "m");
    assert_string_equal(fixture_get(x, "key-000199"), "value-199-5");
    assert_int_equal(stats_of(x).total_log_size, 0);
}

/* Small runs: a base, deltas behind it, and at last a merge. */
static void test_compact_deltas_and_merges_keep_the_state(void **state)
{
    struct fixture *x = *state;
    bool had_deltas = false;
    fixture_open(x, 0);
    for (unsigned round = 1; round <= 12; round++) {
        set_rounds(x, 150, 1);
        for (unsigned i = 0; i < 150; i++) {
            fixture_set_numbered(x, i, round);
        }
        assert_int_equal(wal_append(&x->wal, WAL_OP_DEL, "temporary", NULL), 0);
        compact_or_fail(x);
        had_deltas = had_deltas || x->wal.wal_private->chain.n_files > 1;
        fixture_set(x, "temporary", "1");
        if (round % 4 == 0) {
            fixture_reopen(x, 0);
        }
        fixture_recover(x);
        check_state(x, 150, round);
        assert_int_equal(x->n_ops, 151);
    }
    assert_true(had_deltas);
    assert_true(x->wal.wal_private->chain.n_files <= 9);
}

static void test_compact_range_larger_than_memory_is_done_in_runs(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_COMPACT_MEMORY, 256 * 1024), 0);
    set_rounds(x, 4000, 5);
    compact_or_fail(x);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 4000);
    check_state(x, 100, 5);
    assert_int_equal(stats_of(x).compact_seq, 20000);
}

static void test_compact_overwrites_save_most_of_the_log(void **state)
{
    struct fixture *x = *state;
    persist_stats_t before;
    persist_stats_t after;
    fixture_open(x, 0);
    set_rounds(x, 2000, 10);
    assert_int_equal(wal_force_sync(&x->wal), 0);
    before = stats_of(x);
    assert_true(before.superseded > 0.85 && before.superseded < 0.95);
    compact_or_fail(x);
    after = stats_of(x);
    assert_int_equal(after.total_log_size, 0);
    assert_true(after.compressed_log_size * 10 < before.total_log_size * 3);
    assert_int_equal(after.compact_ops, 1);
    assert_int_equal(after.compaction.count, 1);
    assert_int_equal((uint64_t)after.compact_size.max, after.compact_out);
    assert_int_equal(after.space_saved, after.compact_in - after.compact_out);
    assert_int_equal((uint64_t)after.compact_gain.max, after.space_saved);
    assert_true(after.space_saved * 10 > after.compact_in * 7);
    set_rounds(x, 100, 2);
    compact_or_fail(x);
    after = stats_of(x);
    assert_int_equal(after.compact_size.count, 2);
    assert_true(after.compact_size.p50 < after.compact_size.max);
    wal_reset_stats(&x->wal);
    after = stats_of(x);
    assert_int_equal(after.compact_gain.count, 0);
    assert_int_equal(after.space_saved, 0);
}

/* Poll, bounded, until the automatic compaction has covered so much. */
static void wait_covered(struct fixture *x, uint64_t seq)
{
    for (unsigned i = 0; i < 20000 && stats_of(x).compact_seq < seq; i++) {
        usleep(1000);
    }
    assert_true(stats_of(x).compact_seq >= seq);
}

static void test_compact_starts_by_itself_when_superseded(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(wal_start_compaction(&x->wal, x, list_keys), 0);
    assert_int_equal(x->wal.compact_running, 1);
    set_rounds(x, 100, WAL_COMPACT_THRESHOLD / 100);
    wait_covered(x, 1);
    fixture_recover(x);
    check_state(x, 100, WAL_COMPACT_THRESHOLD / 100);
}

static void test_compact_does_not_start_without_need(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_COMPACT_PAUSE_MS, 0),
                     0);
    set_rounds(x, 3 * WAL_COMPACT_THRESHOLD, 1); /* all different */
    assert_false(compact_is_due(x->wal.wal_private));
    assert_int_equal(wal_start_compaction(&x->wal, x, list_keys), 0);
    assert_int_equal(stats_of(x).compact_seq, 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_COMPACT_LOG_BYTES, 1),
                     0);
    wait_covered(x, 3 * WAL_COMPACT_THRESHOLD);
}

/* All but two are superseded. */
static void test_compact_waits_for_its_threshold(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    set_rounds(x, 1, WAL_COMPACT_THRESHOLD - 1);
    assert_false(compact_is_due(x->wal.wal_private));
    fixture_set(x, "another", "1");
    assert_true(compact_is_due(x->wal.wal_private));
}

static void test_compact_counts_entries_of_a_former_process(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    set_rounds(x, 100, 20);
    fixture_reopen(x, 0);
    assert_int_equal(wal_start_compaction(&x->wal, x, list_keys), 0);
    wait_covered(x, 2000);
}

static void test_compact_age_demands_it(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_COMPACT_AGE_S, 1), 0);
    fixture_set(x, "a", "1");
    assert_int_equal(wal_start_compaction(&x->wal, x, list_keys), 0);
    wait_covered(x, 1);
}

static void test_compact_cleared_field_stops_the_thread(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(wal_start_compaction(&x->wal, x, list_keys), 0);
    x->wal.compact_running = 0;
    set_rounds(x, 100, 20);
    assert_true(compact_is_due(x->wal.wal_private));
    assert_int_equal(stats_of(x).compact_seq, 0);
    assert_int_equal(wal_start_compaction(&x->wal, x, list_keys), 0);
    wait_covered(x, 2000);
}

/* What the service thread does each 100 ms: releases are written and done. */
static void tick(struct fixture *x)
{
    struct wal_private *w = x->wal.wal_private;
    pthread_mutex_lock(&w->gather_lock);
    for (int i = 0; i < 5; i++) {
        while (w->leading) {
            pthread_cond_wait(&w->settled, &w->gather_lock);
        }
        service_tick(w);
    }
    pthread_mutex_unlock(&w->gather_lock);
}

static size_t n_files(struct fixture *x, wal_file_info_t *files, size_t max)
{
    size_t n = 0;
    assert_int_equal(wal_list_files(&x->wal, files, max, &n), 0);
    return n;
}

/* 20 files of 256 KiB. */
static void fill_files(struct fixture *x)
{
    char value[3001];
    memset(value, 'v', 3000);
    value[3000] = '\0';
    for (unsigned i = 0; i < 1500; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%06u", i % 10);
        fixture_set(x, key, value);
    }
    assert_int_equal(wal_force_sync(&x->wal), 0);
}

/* Poll, bounded, until only so many files are left. */
static void wait_files(struct fixture *x, size_t n)
{
    wal_file_info_t files[64];
    for (unsigned i = 0; i < 5000 && n_files(x, files, 64) > n; i++) {
        tick(x);
        usleep(1000);
    }
    assert_true(n_files(x, files, 64) <= n);
}

static void test_compact_lets_segments_go(void **state)
{
    struct fixture *x = *state;
    wal_file_info_t files[64];
    fixture_open(x, 0);
    fill_files(x);
    assert_true(n_files(x, files, 64) > 15);
    compact_or_fail(x);
    wait_files(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 10);
}

static void test_cleanup_drops_only_what_a_base_covers(void **state)
{
    struct fixture *x = *state;
    wal_file_info_t files[64];
    size_t before;
    uint64_t third;
    fixture_open(x, 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_RETAIN_BYTES, 1 << 30),
                     0);
    fill_files(x);
    before = n_files(x, files, 64);
    third = files[2].last_seq;
    wal_cleanup_old_logs(&x->wal, UINT64_MAX); /* no base covers anything */
    tick(x);
    assert_int_equal(n_files(x, files, 64), before);
    compact_or_fail(x);
    tick(x);
    assert_int_equal(n_files(x, files, 64), before); /* retained */
    wal_cleanup_old_logs(&x->wal, third + 1);
    wait_files(x, before - 3);
    assert_int_equal(n_files(x, files, 64), before - 3);
    assert_int_equal(files[0].first_seq, third + 1);
    fixture_set(x, "later", "1");
    wal_cleanup_old_logs(&x->wal, UINT64_MAX);
    wait_files(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 11);
    wal_cleanup_old_logs(NULL, 1);
}

static void test_compact_retains_bytes(void **state)
{
    struct fixture *x = *state;
    wal_file_info_t files[64];
    fixture_open(x, 0);
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_RETAIN_BYTES, 4 * FIXTURE_FILE_SIZE),
        0);
    fill_files(x);
    compact_or_fail(x);
    wait_files(x, 5);
    assert_int_equal(n_files(x, files, 64), 5);
}

static void test_compact_damaged_base_is_refused(void **state)
{
    struct fixture *x = *state;
    char path[512];
    char byte;
    int fd;
    fixture_open(x, 0);
    set_rounds(x, 1000, 2);
    compact_or_fail(x);
    snprintf(path, sizeof path, "%.200s/snapshots/%.100s", x->path,
             x->wal.wal_private->chain.files[0].name);
    wal_destroy(&x->wal);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 2000), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, 2000), 1);
    close(fd);
    fixture_open(x, 0);
    assert_int_equal(wal_recover(&x->wal, x, fixture_apply), -1);
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(persist_errmsg(), "base-"));
    wal_destroy(&x->wal);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(wal_init(&x->wal, x->path, 0), -1);
    assert_int_equal(errno, EBADMSG);
}

/* Files that no state of the directory explains. */
static unsigned n_litter(struct fixture *x)
{
    char command[512];
    char line[512];
    unsigned n = 0;
    FILE *f;
    snprintf(command, sizeof command,
             "find %.200s -type f | grep -vE '/(identity|LOCK|reserve|"
             "hardstate\\.[01]|MANIFEST|[0-9-]+\\.seg|[0-9]+\\.free|"
             "snapshots/(base|delta)-[^/]*\\.lz4)$'",
             x->path);
    f = popen(command, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f) != NULL) {
        print_message("litter: %s", line);
        n++;
    }
    pclose(f);
    return n;
}

/* The n-th operation on storage fails and all after it do, for every n. */
static void sweep(struct fixture *x, enum fault_mode mode, int code)
{
    unsigned long n_struck = 0;
    char model[TEMP_DIR_MAX + 16];
    snprintf(model, sizeof model, "%s/model", x->dir.path);
    fixture_open(x, 0);
    set_rounds(x, 300, 2);
    compact_or_fail(x);
    set_rounds(x, 300, 3);
    wal_destroy(&x->wal);
    assert_int_equal(rename(x->path, model), 0);
    for (unsigned long n = 1; n < 2000; n++) {
        struct err_info info;
        int rv;
        fixture_copy(model, x->path);
        fixture_open(x, 0);
        fault_file_arm(FAULT_CHANGES | FAULT_READ, n, code, mode);
        rv = compact_now(x->wal.wal_private, false, &info);
        if (rv == 0) {
            struct pace pace;
            pthread_mutex_lock(&x->wal.wal_private->compact_lock);
            pace_start(&pace, x->wal.wal_private, false);
            rv = compact_merge(x->wal.wal_private, 0, &pace, &info);
            pthread_mutex_unlock(&x->wal.wal_private->compact_lock);
        }
        if (!fault_file_disarm()) {
            assert_int_equal(rv, 0);
            break;
        }
        n_struck++;
        if (mode == FAULT_ONCE) { /* the handle is as good as before */
            if (x->wal.wal_private->failed == 0) {
                fixture_set(x, "after", "1");
                fixture_recover(x);
                check_state(x, 300, 3);
            }
        }
        wal_destroy(&x->wal);
        fixture_open(x, 0);
        fixture_recover(x);
        check_state(x, 300, 3);
        wal_destroy(&x->wal);
        assert_int_equal(n_litter(x), 0);
        temp_dir_remove_path(x->path);
    }
    print_message("%lu operations failed\n", n_struck);
    assert_true(n_struck > 20 && n_struck < 1999);
}

static void test_compact_crash_anywhere_leaves_a_valid_state(void **state)
{
    sweep(*state, FAULT_CRASH, ERR_IO);
}

static void test_compact_torn_anywhere_leaves_a_valid_state(void **state)
{
    sweep(*state, FAULT_TORN, ERR_IO);
}

static void test_compact_full_disk_anywhere_leaves_a_valid_state(void **state)
{
    sweep(*state, FAULT_ONCE, ERR_NOSPACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_compact_by_hand_callbacks_become_the_base),
        fixture_test(test_compact_by_hand_replaces_the_base_before),
        fixture_test(test_compact_by_hand_of_an_empty_log_stores_the_keys),
        fixture_test(test_compact_by_hand_failing_callback_changes_nothing),
        fixture_test(test_compact_log_keeps_the_last_state_of_each_key),
        fixture_test(test_compact_deltas_and_merges_keep_the_state),
        fixture_test(test_compact_range_larger_than_memory_is_done_in_runs),
        fixture_test(test_compact_overwrites_save_most_of_the_log),
        fixture_test(test_compact_starts_by_itself_when_superseded),
        fixture_test(test_compact_does_not_start_without_need),
        fixture_test(test_compact_waits_for_its_threshold),
        fixture_test(test_compact_counts_entries_of_a_former_process),
        fixture_test(test_compact_age_demands_it),
        fixture_test(test_compact_cleared_field_stops_the_thread),
        fixture_test(test_compact_lets_segments_go),
        fixture_test(test_cleanup_drops_only_what_a_base_covers),
        fixture_test(test_compact_retains_bytes),
        fixture_test(test_compact_damaged_base_is_refused),
        fixture_test(test_compact_crash_anywhere_leaves_a_valid_state),
        fixture_test(test_compact_torn_anywhere_leaves_a_valid_state),
        fixture_test(test_compact_full_disk_anywhere_leaves_a_valid_state),
    };
    return cmocka_run_group_tests_name("compact", tests, NULL, NULL);
}
