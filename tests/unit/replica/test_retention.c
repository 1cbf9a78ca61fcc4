/* How much log stays below a snapshot: by age, across restarts, within the
 * bytes allowed, and less on a full disk; and what becomes of a follower that
 * needs what the log has let go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftlog/internal.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/solo.h"

static struct solo s;

enum { SEGMENT = 256 * 1024, VALUE = 10000, MINUTE = 60000, FILES_MAX = 64 };

static char value[VALUE + 1];

static void options(void)
{
    s.r->options.trailing_entries = 1;
    s.r->options.inflight_entries = 1;
    s.r->options.log_retention_ms = 150 * 1000;
}

/* The leader of itself alone, with small segments. */
static void open_alone(void)
{
    memset(value, 'v', VALUE);
    solo_open(&s, 1, 1);
    s.options.segment_bytes = SEGMENT;
    solo_reopen_blank(&s);
    solo_advance(&s, 10);
    assert_true(replica_is_leader(s.r));
    options();
}

static void pass(uint64_t ms)
{
    s.now_ms += ms;
    s.clock_ms += ms;
    /* A release is logged by one tick, and done when that is durable. */
    for (unsigned i = 0; i < 4; i++) {
        solo_advance(&s, TICK_MS + 1);
        while (s.r->log->frame.active || s.r->log->hard.in_flight) {
            assert_int_equal(raftlog_wait(s.r->log, 10000), 0);
            solo_settle(&s);
        }
    }
}

static size_t n_files(void)
{
    struct raftlog_file files[FILES_MAX];
    return replica_log_files(s.r, files, FILES_MAX);
}

/* Write until the log has this many files. */
static void write_files(size_t n)
{
    for (unsigned i = 0; n_files() < n; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i % 3);
        solo_propose(&s, key, value);
        solo_settle(&s);
        assert_true(i < 1000);
    }
}

static void compact(void)
{
    assert_int_equal(replica_compact(s.r), 0);
    pass(0);
    assert_int_equal(solo_status(&s).snapshot_index,
                     solo_status(&s).applied_index);
}

/* Six files, a minute between their ends; all but the last are covered. */
static void write_minutes(void)
{
    for (size_t n = 2; n <= 6; n++) {
        write_files(n);
        s.now_ms += MINUTE;
        s.clock_ms += MINUTE;
    }
}

static void test_retention_by_age_lets_go_of_the_old(void **state)
{
    (void)state;
    open_alone();
    write_minutes();
    compact();
    /* Sealed five, four, three, two and one minute ago. */
    assert_int_equal(n_files(), 3);
    assert_int_equal(solo_compaction(&s).kept_bytes, 2 * SEGMENT);
    assert_in_range(solo_compaction(&s).kept_ms, 2 * MINUTE, 150 * 1000);
    pass(20000);
    assert_int_equal(n_files(), 3);
    pass(20000);
    assert_int_equal(n_files(), 2); /* and no snapshot was taken for it */
    assert_int_equal(solo_compaction(&s).n_done, 1);
    pass(MINUTE);
    assert_int_equal(n_files(), 1);
    assert_int_equal(solo_compaction(&s).kept_bytes, 0);
    assert_int_equal(solo_compaction(&s).n_yielded, 0);
    solo_close(&s);
}

static void test_retention_lets_go_of_nothing_without_a_snapshot(void **st)
{
    (void)st;
    open_alone();
    s.r->options.log_retention_ms = 1;
    write_minutes();
    pass(MINUTE);
    assert_int_equal(n_files(), 6); /* no snapshot: every file is needed */
    solo_close(&s);
}

static void test_retention_changes_live(void **state)
{
    struct replica_options o;
    (void)state;
    open_alone();
    write_minutes();
    o = s.r->options;
    o.log_retention_ms = 3600 * 1000;
    replica_configure(s.r, &o, TRACE_DEBUG);
    compact();
    assert_int_equal(n_files(), 6);
    o.log_retention_ms = 200 * 1000;
    replica_configure(s.r, &o, TRACE_DEBUG);
    pass(0);
    assert_int_equal(n_files(), 4);
    o.log_retention_ms = 0;
    replica_configure(s.r, &o, TRACE_DEBUG);
    pass(0);
    assert_int_equal(n_files(), 1);
    solo_close(&s);
}

/* The machine's uptime begins anew; what stood still for an hour is older by
 * it. */
static void test_retention_survives_a_restart(void **state)
{
    (void)state;
    open_alone();
    s.r->options.log_retention_ms = 3600 * 1000;
    write_minutes();
    compact();
    assert_int_equal(n_files(), 6);
    s.options.log_retention_ms = 3600 * 1000;
    s.options.trailing_entries = 1;
    s.options.inflight_entries = 1;
    replica_close(s.r);
    s.now_ms = 1000;
    s.clock_ms += 56 * MINUTE;
    solo_restart(&s);
    solo_advance(&s, 10);
    pass(0);
    /* 61, 60, 59, 58 and 57 minutes. */
    assert_int_equal(n_files(), 4);
    pass(MINUTE);
    assert_int_equal(n_files(), 3);
    solo_close(&s);
}

static void test_retention_by_bytes_bounds_that_by_age(void **state)
{
    (void)state;
    open_alone();
    s.r->options.log_retention_ms = 3600 * 1000;
    s.r->options.log_retention_bytes = 3 * SEGMENT;
    write_minutes();
    compact();
    assert_int_equal(n_files(), 3);
    write_files(4); /* not covered: does not count */
    pass(0);
    assert_int_equal(n_files(), 4);
    solo_close(&s);
}

/* A file that can not be made: the oldest one is used instead, no more than two
 * go, and nothing is compacted for it. */
static void test_retention_yields_to_a_full_disk(void **state)
{
    size_t n;
    (void)state;
    open_alone();
    s.r->options.log_retention_ms = 3600 * 1000;
    write_minutes();
    compact();
    n = n_files();
    fault_file_arm(FAULT_FILL, 1, ERR_NOSPACE, FAULT_ONCE);
    write_files(n + 1);
    solo_settle(&s);
    assert_true(fault_file_disarm());
    assert_int_equal(solo_compaction(&s).n_yielded,
                     1); /* at once, not by a tick */
    pass(0);
    assert_in_range(n_files(), n - 1, n); /* two went, one came */
    assert_false(s.r->log->no_space);
    assert_int_equal(solo_compaction(&s).n_done, 1);
    n = n_files();
    pass(MINUTE);
    assert_int_equal(n_files(), n);
    assert_int_equal(solo_compaction(&s).n_yielded, 1);
    solo_close(&s);
}

/* What trailing_entries keep is not for a full disk to take. */
static void test_retention_yields_only_what_age_keeps(void **state)
{
    (void)state;
    open_alone();
    s.r->options.log_retention_ms = 3600 * 1000;
    s.r->options.trailing_entries = 1000;
    write_minutes();
    compact();
    s.r->log->no_space = true;
    pass(0);
    assert_int_equal(solo_compaction(&s).n_yielded, 0);
    assert_int_equal(n_files(), 6);
    solo_close(&s);
}

/* More of a long log than the core is told of at a start stays readable, and
 * the node works. */
static void test_retention_start_tells_the_core_of_the_newest_part(void **state)
{
    (void)state;
    open_alone();
    s.r->options.log_retention_ms = 3600 * 1000;
    write_minutes();
    compact();
    s.options.log_retention_ms = 3600 * 1000;
    s.options.trailing_entries = 1;
    s.options.inflight_entries = 1;
    s.options.loaded_entries_max = 20;
    solo_reopen(&s);
    solo_advance(&s, 10);
    assert_int_equal(s.r->raft.trail.offset,
                     solo_status(&s).snapshot_index - 20);
    assert_int_equal(raftlog_first_index(s.r->log), 1);
    assert_int_equal(n_files(), 6);
    solo_propose(&s, "k", value);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).applied_index, solo_status(&s).last_index);
    solo_close(&s);
}

/* The core's trail still has the entries that a follower asks for: it would
 * send them for ever. */
static void test_retention_offers_the_snapshot_for_what_it_let_go(void **state)
{
    const struct wire_message *offer;
    const struct wire_message *heartbeat;
    uint64_t snapshot;
    (void)state;
    memset(value, 'v', VALUE);
    solo_open(&s, 1, 3);
    options();
    s.r->options.log_retention_ms = 3600 * 1000;
    solo_lead(&s);
    replica_peer(s.r, 3, false);
    for (unsigned i = 0; i < 900; i++) {
        solo_propose(&s, "k", value);
        if (i % 32 == 31) {
            solo_settle(&s);
            solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
        }
        solo_forget(&s);
    }
    solo_settle(&s);
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    solo_snapshot(&s);
    snapshot = s.r->snapshot_index;
    assert_true(snapshot > 800);
    assert_true(n_files() > 2);
    assert_true(s.r->raft.trail.offset < 100);
    s.r->options.log_retention_ms = 0;
    for (unsigned i = 0; i < 10; i++) {
        solo_advance(&s, 20);
        solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    }
    assert_true(raftlog_first_index(s.r->log) > 800);
    assert_true(s.r->raft.trail.offset < 100); /* it does not know */
    /* Node 3 has nothing but the first configuration. */
    solo_forget(&s);
    replica_peer(s.r, 3, true);
    for (unsigned i = 0; i < 20; i++) {
        solo_reject(&s, 3, replica_term(s.r), snapshot, 1);
        solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
        solo_advance(&s, 50);
    }
    offer = solo_last(&s, 3, WIRE_INSTALL_SNAPSHOT);
    assert_non_null(offer);
    assert_int_equal(offer->as.raft.install_snapshot.last_index, snapshot);
    assert_null(solo_last(&s, 2, WIRE_INSTALL_SNAPSHOT));
    /* It hears of a leader all the same, and its answers are no reason to say
     * more. */
    assert_true(solo_count(&s, 3, WIRE_APPEND_ENTRIES) >= 20);
    solo_forget(&s);
    for (unsigned i = 0; i < 100; i++) {
        solo_ack(&s, 3, replica_term(s.r), 1);
    }
    solo_settle(&s);
    assert_true(solo_count(&s, 3, WIRE_APPEND_ENTRIES) < 3);
    solo_reject(&s, 3, replica_term(s.r), snapshot, 1);
    solo_settle(&s);
    heartbeat = solo_last(&s, 3, WIRE_APPEND_ENTRIES);
    assert_non_null(heartbeat);
    assert_int_equal(heartbeat->as.raft.append_entries.n_entries, 0);
    assert_int_equal(heartbeat->as.raft.append_entries.prev_log_index, 1);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retention_by_age_lets_go_of_the_old),
        cmocka_unit_test(test_retention_lets_go_of_nothing_without_a_snapshot),
        cmocka_unit_test(test_retention_changes_live),
        cmocka_unit_test(test_retention_survives_a_restart),
        cmocka_unit_test(test_retention_by_bytes_bounds_that_by_age),
        cmocka_unit_test(test_retention_yields_to_a_full_disk),
        cmocka_unit_test(test_retention_yields_only_what_age_keeps),
        cmocka_unit_test(
            test_retention_start_tells_the_core_of_the_newest_part),
        cmocka_unit_test(test_retention_offers_the_snapshot_for_what_it_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
