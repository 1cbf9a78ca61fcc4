/* When the log is compacted, what it costs, and that a full disk is neither
 * caused nor made permanent by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/solo.h"

static struct solo s;

enum { SEGMENT = 4 * 1024 * 1024, VALUE = 20000 };

static char value[VALUE + 1];

/* The leader of itself alone. */
static void open_alone(void)
{
    memset(value, 'v', VALUE);
    solo_open(&s, 1, 1);
    solo_settle(&s);
    solo_advance(&s, 10);
    assert_true(replica_is_leader(s.r));
}

static void write_keys(unsigned n, unsigned n_keys)
{
    for (unsigned i = 0; i < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i % n_keys);
        solo_propose(&s, key, value);
        if (i % 32 == 31) {
            solo_settle(&s);
        }
    }
    solo_settle(&s);
}

static struct replica_compaction stats(void)
{
    return solo_compaction(&s);
}

static void tick(void)
{
    solo_advance(&s, TICK_MS + 1);
    solo_settle(&s);
}

static void test_compaction_counts_what_is_superseded(void **state)
{
    (void)state;
    open_alone();
    write_keys(10, 10);
    assert_int_equal(stats().superseded_percent, 0);
    assert_true(stats().gathered_bytes >= 10 * VALUE);
    write_keys(10, 10);
    assert_int_equal(stats().superseded_percent, 50);
    write_keys(20, 10);
    assert_int_equal(stats().superseded_percent, 75);
    solo_close(&s);
}

static void test_compaction_waits_for_threshold_ratio_and_a_segment(void **st)
{
    (void)st;
    open_alone();
    s.r->options.compact_threshold = 400;
    write_keys(300, 3); /* more than a segment */
    solo_advance(&s, 1000);
    assert_int_equal(stats().n_done, 0); /* entries */
    s.r->options.compact_threshold = 100;
    s.r->options.segment_bytes = 2 * SEGMENT;
    write_keys(60, 3);
    solo_advance(&s, 1000);
    assert_true(stats().superseded_percent > 90);
    assert_int_equal(stats().n_done, 0); /* less than a segment */
    s.r->options.segment_bytes = SEGMENT;
    write_keys(150, 3);
    tick();
    assert_int_equal(stats().n_done, 1);
    assert_true(stats().saved_bytes > 200 * (uint64_t)VALUE);
    assert_true(stats().gathered_entries < 150);
    solo_close(&s);
}

static void test_compaction_needs_its_share_of_superseded_bytes(void **state)
{
    (void)state;
    open_alone();
    s.r->options.compact_threshold = 100;
    s.r->options.compact_base_percent = 10;
    write_keys(400, 400); /* all alive: nothing to gain */
    solo_advance(&s, 1000);
    assert_int_equal(stats().superseded_percent, 0);
    assert_int_equal(stats().n_done, 0);
    s.r->options.compact_ratio_percent = 0;
    solo_advance(&s, 1000);
    assert_int_equal(stats().n_done, 1);
    solo_close(&s);
}

/* A large base is not written again for a little log. */
static void test_compaction_waits_for_its_share_of_the_live_data(void **state)
{
    (void)state;
    open_alone();
    s.r->options.compact_threshold = 100;
    write_keys(1000, 1000); /* 20 MB alive */
    assert_int_equal(replica_compact(s.r), 0);
    solo_advance(&s, 1000);
    assert_int_equal(stats().n_done, 1);
    write_keys(400, 3); /* 8 MB: more than a segment */
    solo_advance(&s, 1000);
    assert_true(stats().superseded_percent > 90);
    assert_int_equal(stats().n_done, 1);
    s.r->options.compact_base_percent = 10;
    solo_advance(&s, 1000);
    assert_int_equal(stats().n_done, 2);
    solo_close(&s);
}

static void test_compaction_comes_with_age(void **state)
{
    (void)state;
    open_alone();
    s.r->options.compact_age_ms = 5000;
    write_keys(1, 1);
    solo_advance(&s, 4000);
    assert_int_equal(stats().n_done, 0);
    solo_advance(&s, 2000);
    assert_int_equal(stats().n_done, 1);
    solo_advance(&s, 10000); /* nothing was written since */
    assert_int_equal(stats().n_done, 1);
    write_keys(1, 1);
    solo_advance(&s, 500);
    assert_int_equal(stats().n_done, 2);
    write_keys(1, 1);
    solo_advance(&s, 4000); /* the last one is not so old */
    assert_int_equal(stats().n_done, 2);
    solo_advance(&s, 2000);
    assert_int_equal(stats().n_done, 3);
    solo_close(&s);
}

static void test_compaction_by_hand_is_done_once(void **state)
{
    (void)state;
    open_alone();
    write_keys(5, 5);
    assert_int_equal(replica_compact(s.r), 0);
    assert_int_equal(replica_compact(s.r), 0);
    tick();
    assert_int_equal(stats().n_done, 1);
    assert_int_equal(replica_compact(s.r), ERR_NOTFOUND);
    solo_close(&s);
}

/* 20 MB at 1 MiB a second. */
static void test_compaction_is_measured_each_time(void **state)
{
    const struct replica_compactions *each;
    (void)state;
    open_alone();
    write_keys(20, 10);
    assert_int_equal(replica_compact(s.r), 0);
    tick();
    write_keys(30, 10);
    assert_int_equal(replica_compact(s.r), 0);
    tick();
    each = replica_compactions(s.r);
    assert_int_equal(each->us.n, 2);
    assert_int_equal(each->us.sum / 1000, stats().ms_total);
    assert_int_equal(each->saved_bytes.n, 2);
    assert_int_equal(each->saved_bytes.sum, stats().saved_bytes);
    assert_true(each->saved_bytes.min >= 10 * VALUE);
    assert_int_equal(each->written_bytes.sum, stats().written_bytes);
    assert_true(each->written_bytes.min > 0);
    replica_reset_stats(s.r);
    assert_int_equal(replica_compactions(s.r)->us.n, 0);
    assert_int_equal(replica_compactions(s.r)->saved_bytes.n, 0);
    solo_close(&s);
}

static void test_compaction_keeps_to_its_rate(void **state)
{
    (void)state;
    open_alone();
    s.r->options.compact_rate_bytes = 1024 * 1024;
    write_keys(1000, 1000);
    assert_int_equal(replica_compact(s.r), 0);
    solo_advance(&s, 10000);
    assert_true(solo_status(&s).snapshot_running);
    assert_int_equal(stats().n_done, 0);
    solo_advance(&s, 12000);
    assert_int_equal(stats().n_done, 1);
    solo_close(&s);
}

static void test_compaction_bounds_the_log_under_overwrites(void **state)
{
    struct raftlog_stats log;
    (void)state;
    open_alone();
    s.r->options.compact_threshold = 100;
    s.r->options.trailing_entries = 50;
    for (unsigned i = 0; i < 20; i++) {
        write_keys(300, 3);
        tick();
        replica_log_stats(s.r, &log);
        /* Live and pool: never more than a few segments. */
        assert_true(log.bytes_on_disk <= 8 * (uint64_t)SEGMENT);
    }
    assert_true(stats().n_done >= 10);
    solo_close(&s);
}

static void test_compaction_retention_by_bytes_cuts_the_trailing_log(void **st)
{
    struct raftlog_file files[64];
    size_t n;
    (void)st;
    open_alone();
    write_keys(2000, 3);
    s.r->options.inflight_entries = 10;
    s.r->options.log_retention_bytes = 2 * SEGMENT;
    assert_int_equal(replica_compact(s.r), 0);
    for (unsigned i = 0; i < 5; i++) {
        tick();
        write_keys(1, 1);
    }
    n = replica_log_files(s.r, files, 64);
    assert_true(n <= 3);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compaction_counts_what_is_superseded),
        cmocka_unit_test(
            test_compaction_waits_for_threshold_ratio_and_a_segment),
        cmocka_unit_test(test_compaction_needs_its_share_of_superseded_bytes),
        cmocka_unit_test(test_compaction_waits_for_its_share_of_the_live_data),
        cmocka_unit_test(test_compaction_comes_with_age),
        cmocka_unit_test(test_compaction_by_hand_is_done_once),
        cmocka_unit_test(test_compaction_is_measured_each_time),
        cmocka_unit_test(test_compaction_keeps_to_its_rate),
        cmocka_unit_test(test_compaction_bounds_the_log_under_overwrites),
        cmocka_unit_test(
            test_compaction_retention_by_bytes_cuts_the_trailing_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
