/* AppendEntries on their way out: what is not sent at all, what is sent over
 * several turns of the loop, and what waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftlog/block.h"
#include "tests/lib/solo.h"

static struct solo s;

enum { VALUE_BYTES = 768 * 1024, N_VALUES = 8 };

/* Leader; all three logs are equal. */
static void lead(uint64_t cache_bytes)
{
    solo_open(&s, 1, 3);
    if (cache_bytes > 0) {
        s.options.cache_bytes = cache_bytes;
        solo_reopen(&s);
    }
    solo_lead(&s);
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    solo_forget(&s);
}

static void propose_large(unsigned n)
{
    static char value[VALUE_BYTES + 1];
    memset(value, 'v', VALUE_BYTES);
    for (unsigned i = 0; i < n; i++) {
        solo_propose(&s, "k", value);
    }
}

/* Entries sent to a peer, each behind the one before; *bytes of payload. */
static unsigned n_entries_to(uint64_t to, uint64_t first, size_t *bytes)
{
    uint64_t next = first;
    *bytes = 0;
    for (size_t i = 0; i < s.n_sent; i++) {
        const struct raft_append_entries *ae =
            &s.sent[i].m.as.raft.append_entries;
        if (s.sent[i].to != to || s.sent[i].m.type != WIRE_APPEND_ENTRIES ||
            ae->n_entries == 0) {
            continue;
        }
        assert_int_equal(ae->prev_log_index + 1, next);
        assert_int_equal(ae->prev_log_term,
                         raftlog_term(s.r->log, ae->prev_log_index));
        for (unsigned j = 0; j < ae->n_entries; j++) {
            *bytes += ae->entries[j].buf.len;
        }
        next += ae->n_entries;
    }
    return (unsigned)(next - first);
}

/* A window of entries, encoded again and again for a node that is down, would
 * hold the loop at every heartbeat. */
static void test_outbound_lost_peer_is_not_served(void **state)
{
    uint64_t last;
    (void)state;
    lead(0);
    last = raftlog_last_index(s.r->log);
    replica_peer(s.r, 3, false);
    propose_large(1);
    solo_settle(&s);
    for (int i = 0; i < 10; i++) {
        solo_ack(&s, 2, replica_term(s.r), last + 1);
        solo_advance(&s, 50);
    }
    assert_int_equal(solo_count(&s, 3, WIRE_APPEND_ENTRIES), 0);
    /* It comes back: heartbeats again, and by them its entries. */
    replica_peer(s.r, 3, true);
    solo_advance(&s, 60);
    assert_true(solo_count(&s, 3, WIRE_APPEND_ENTRIES) > 0);
    solo_close(&s);
}

static void test_outbound_large_window_takes_several_turns(void **state)
{
    uint64_t first;
    size_t bytes;
    (void)state;
    lead(0);
    first = raftlog_last_index(s.r->log) + 1;
    propose_large(N_VALUES);
    replica_flush(s.r);
    assert_true(n_entries_to(2, first, &bytes) > 0);
    assert_true(bytes <= OUTBOUND_TURN_BYTES + VALUE_BYTES + 64);
    /* Small ones behind them wait for their turn. */
    solo_propose(&s, "a", "1");
    solo_advance(&s, 10);
    assert_int_equal(n_entries_to(2, first, &bytes), N_VALUES + 1);
    assert_int_equal(n_entries_to(3, first, &bytes), N_VALUES + 1);
    solo_close(&s);
}

static unsigned n_refused;

static bool refuse_entries_to_2(void *ctx, uint64_t to,
                                const struct wire_frame *f)
{
    (void)ctx;
    if (to == 2 && f->body_size > 0) {
        n_refused++;
        return false;
    }
    return true;
}

static void test_outbound_refused_piece_stops_the_rest(void **state)
{
    (void)state;
    lead(0);
    n_refused = 0;
    propose_large(N_VALUES);
    s.r->io.send = refuse_entries_to_2;
    replica_flush(s.r);
    assert_int_equal(n_refused, 1);
    solo_close(&s);
}

/* Time goes by; both followers answer heartbeats. */
static void live(uint64_t ms, uint64_t match)
{
    for (uint64_t i = 0; i < ms; i += 10) {
        solo_advance(&s, 10);
        solo_ack(&s, 2, replica_term(s.r), match);
        solo_ack(&s, 3, replica_term(s.r), match);
    }
}

static bool full_after_first;

static uint64_t queued_bytes(void *ctx, uint64_t to, enum wire_lane lane)
{
    (void)ctx;
    (void)lane;
    return full_after_first && solo_count(&s, to, WIRE_APPEND_ENTRIES) > 0
               ? OUTBOUND_PEER_BYTES + 1
               : 0;
}

static void test_outbound_full_transport_makes_the_queue_wait(void **state)
{
    uint64_t first;
    uint64_t match;
    unsigned n;
    size_t bytes;
    (void)state;
    lead(0);
    match = raftlog_last_index(s.r->log);
    first = match + 1;
    s.r->io.queued_bytes = queued_bytes;
    full_after_first = true;
    propose_large(N_VALUES);
    replica_flush(s.r);
    n = n_entries_to(2, first, &bytes);
    assert_true(n > 0 && n < N_VALUES);
    live(60, match);
    assert_int_equal(n_entries_to(2, first, &bytes), n);
    /* Heartbeats pass by, where the follower agrees. */
    assert_int_equal(
        solo_last(&s, 2, WIRE_APPEND_ENTRIES)->as.raft.append_entries.n_entries,
        0);
    assert_int_equal(solo_last(&s, 2, WIRE_APPEND_ENTRIES)
                         ->as.raft.append_entries.prev_log_index,
                     match);
    full_after_first = false;
    live(60, match);
    assert_int_equal(n_entries_to(2, first, &bytes), N_VALUES);
    solo_close(&s);
}

static void test_outbound_entries_on_disk_are_read_back(void **state)
{
    uint64_t base;
    uint64_t term;
    size_t bytes;
    (void)state;
    lead(1);
    term = replica_term(s.r);
    base = raftlog_last_index(s.r->log);
    for (int i = 0; i < 50; i++) {
        solo_propose(&s, "key", "value");
        solo_settle(&s);
        solo_ack(&s, 2, term, base + 1 + (uint64_t)i);
    }
    solo_settle(&s);
    assert_int_equal(s.r->applied, base + 50);
    solo_forget(&s);
    /* Node 3 has lost everything behind base. */
    s.jobs_held = true;
    solo_reject(&s, 3, term, base + 50, base);
    assert_int_equal(n_entries_to(3, base + 1, &bytes), 0);
    s.jobs_held = false;
    solo_settle(&s);
    assert_int_equal(n_entries_to(3, base + 1, &bytes), 50);
    solo_close(&s);
}

/* 1.3.4: what a later leader has cut off must not go out any more. */
static void test_outbound_read_of_an_older_log_is_dropped(void **state)
{
    uint64_t base;
    uint64_t term;
    (void)state;
    lead(1);
    term = replica_term(s.r);
    base = raftlog_last_index(s.r->log);
    for (int i = 0; i < 20; i++) {
        solo_propose(&s, "key", "value");
        solo_advance(&s, 6); /* past the delay of a batch */
        solo_ack(&s, 2, term, base);
        solo_ack(&s, 3, term, base);
    }
    assert_int_equal(raftlog_last_index(s.r->log), base + 20);
    solo_forget(&s);
    s.jobs_held = true;
    solo_reject(&s, 3, term, base + 20, base);
    assert_non_null(replica_find_peer(s.r, 3)->queue);
    solo_append(&s, 2, term + 1, base, term, base, "b", term + 1, 3);
    s.jobs_held = false;
    solo_settle(&s);
    for (size_t i = 0; i < s.n_sent; i++) {
        assert_false(s.sent[i].m.type == WIRE_APPEND_ENTRIES &&
                     s.sent[i].m.as.raft.append_entries.n_entries > 0);
    }
    assert_null(replica_find_peer(s.r, 3)->queue);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outbound_lost_peer_is_not_served),
        cmocka_unit_test(test_outbound_large_window_takes_several_turns),
        cmocka_unit_test(test_outbound_refused_piece_stops_the_rest),
        cmocka_unit_test(test_outbound_full_transport_makes_the_queue_wait),
        cmocka_unit_test(test_outbound_entries_on_disk_are_read_back),
        cmocka_unit_test(test_outbound_read_of_an_older_log_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
