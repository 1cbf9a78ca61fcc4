/* What a node says rests on its disk: votes and acknowledgements, at the
 * moments where a driver could say too much. Completions of writes are seen by
 * replica_poll only, so a test that does not call it holds every write in
 * flight; the tick is what makes the driver look at its log meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fault_file.h"
#include "tests/lib/solo.h"

static struct solo s;

/* A tick of the replica that sees no write complete. */
static void tick_blindly(void)
{
    s.now_ms += TICK_MS;
    replica_timer(s.r);
}

static void test_durable_vote_leaves_only_after_it_is_durable(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    solo_ask_vote(&s, 2, 2, 1, 1, false);
    /* The write has been handed over; its completion has not been seen. */
    assert_false(raftlog_hard_state_durable(s.r->log));
    assert_int_equal(solo_count(&s, 2, WIRE_REQUEST_VOTE_RESULT), 0);
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 2, WIRE_REQUEST_VOTE_RESULT), 1);
    solo_reopen(&s);
    assert_int_equal(raft_voted_for(&s.r->raft), 2);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
}

static void test_durable_ack_leaves_only_after_entries_are_durable(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    solo_append(&s, 2, 2, 3, 2, 3, "c", 2, 3);
    for (size_t i = 0; i < s.n_sent; i++) {
        if (s.sent[i].m.type == WIRE_APPEND_ENTRIES_RESULT) {
            assert_true(
                s.sent[i].m.as.raft.append_entries_result.last_log_index < 4);
        }
    }
    solo_settle(&s);
    assert_int_equal(solo_append_result(&s, 2)->last_log_index, 4);
    solo_close(&s);
}

static void test_durable_truncated_write_in_flight_is_not_acked(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    /* Entry 4 of term 2 is being written when the leader of term 3 replaces it
     * and its successors. */
    solo_append(&s, 2, 2, 3, 2, 3, "ccc", 2, 3);
    solo_append(&s, 3, 3, 3, 2, 3, "b", 3, 3);
    for (size_t i = 0; i < s.n_sent; i++) {
        if (s.sent[i].to == 3 &&
            s.sent[i].m.type == WIRE_APPEND_ENTRIES_RESULT) {
            assert_true(
                s.sent[i].m.as.raft.append_entries_result.last_log_index <= 3);
        }
    }
    solo_settle(&s);
    assert_int_equal(solo_status(&s).last_index, 4);
    assert_int_equal(raftlog_term(s.r->log, 4), 3);
    assert_int_equal(solo_append_result(&s, 3)->last_log_index, 4);
    solo_close(&s);
}

static void hear_pings(uint64_t from, uint64_t term)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BARRIER_PING;
    m.as.barrier.term = term;
    m.as.barrier.sequence = 1;
    solo_receive(&s, from, &m);
}

/* What waits for the disk is part of its connection: on the next one it would
 * come behind what was sent again (forward.c). */
static void test_durable_held_frames_go_with_their_connection(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    solo_append(&s, 2, 5, 1, 1, 1, "", 5, 3); /* a term for the disk */
    assert_false(raftlog_hard_state_durable(s.r->log));
    hear_pings(2, 5);
    hear_pings(3, 5);
    replica_peer(s.r, 3, false);
    hear_pings(3, 5); /* nobody is there to hear it */
    replica_peer(s.r, 3, true);
    assert_int_equal(solo_count(&s, 0, WIRE_BARRIER_PONG), 0);
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 2, WIRE_BARRIER_PONG), 1);
    assert_int_equal(solo_count(&s, 3, WIRE_BARRIER_PONG), 0);
    hear_pings(3, 5);
    assert_int_equal(solo_count(&s, 3, WIRE_BARRIER_PONG), 1);
    solo_close(&s);
}

/* A refusal has brought the term, so the vote comes without a new one. */
static void test_durable_vote_in_a_known_term_is_remembered(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    assert_false(solo_gives_vote(&s, 2, 7, 0, 0, false));
    assert_int_equal(replica_term(s.r), 7);
    assert_true(solo_gives_vote(&s, 3, 7, 1, 1, false));
    solo_reopen(&s);
    assert_int_equal(replica_term(s.r), 7);
    assert_int_equal(raft_voted_for(&s.r->raft), 3);
    assert_false(solo_gives_vote(&s, 2, 7, 9, 1, false));
    solo_close(&s);
}

static void test_durable_follower_acks_no_write_in_flight(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 1, 1, 1, "c", 2, 3);
    solo_settle(&s);
    solo_forget(&s);
    solo_append(&s, 2, 2, 2, 2, 1, "ccc", 2, 3);
    tick_blindly();
    assert_int_equal(raftlog_durable_index(s.r->log), 2);
    for (size_t i = 0; i < s.n_sent; i++) {
        if (s.sent[i].m.type == WIRE_APPEND_ENTRIES_RESULT) {
            assert_int_equal(
                s.sent[i].m.as.raft.append_entries_result.last_log_index, 2);
        }
    }
    solo_settle(&s);
    assert_int_equal(solo_append_result(&s, 2)->last_log_index, 5);
    solo_close(&s);
}

static void test_durable_leader_counts_no_own_write_in_flight(void **state)
{
    uint64_t last;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_propose(&s, "a", "1");
    replica_flush(s.r);
    last = raftlog_last_index(s.r->log);
    assert_true(raftlog_durable_index(s.r->log) < last);
    solo_ack(&s, 2, replica_term(s.r), last);
    tick_blindly();
    assert_int_equal(solo_status(&s).commit_index, last - 1);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).commit_index, last);
    solo_close(&s);
}

static void test_durable_single_voter_waits_for_its_own_disk(void **state)
{
    uint64_t last;
    (void)state;
    solo_open(&s, 1, 1);
    solo_settle(&s);
    solo_propose(&s, "a", "1");
    replica_flush(s.r);
    last = raftlog_last_index(s.r->log);
    assert_true(raftlog_durable_index(s.r->log) < last);
    tick_blindly();
    assert_int_equal(solo_status(&s).commit_index, last - 1);
    assert_int_equal(s.n_applied, 0);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).commit_index, last);
    assert_int_equal(s.n_applied, 1);
    solo_close(&s);
}

/* The last writes are made when everything else has ended: under a weaker sync
 * policy they are what was acknowledged. */
static void test_durable_write_that_fails_at_the_end_is_told(void **state)
{
    (void)state;
    solo_open(&s, 1, 1);
    solo_settle(&s);
    solo_propose(&s, "a", "1");
    replica_flush(s.r);
    assert_true(raftlog_durable_index(s.r->log) < raftlog_last_index(s.r->log));
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    replica_close(s.r);
    assert_true(fault_file_disarm());
    assert_true(s.fatal);
    s.fatal = false;
    solo_restart(&s);
    solo_close(&s);
}

/* What WAIT counts. */
static void test_durable_leader_knows_the_disks_of_others(void **state)
{
    uint64_t match[REPLICA_SERVERS_MAX];
    uint64_t commit, last;
    unsigned n = 0;
    (void)state;
    solo_open(&s, 1, 3);
    assert_int_equal(replica_match(s.r, &commit, match, &n), ERR_NOTLEADER);
    solo_lead(&s);
    solo_propose(&s, "k", "v");
    solo_settle(&s);
    last = raftlog_last_index(s.r->log);
    assert_int_equal(replica_match(s.r, &commit, match, &n), 0);
    assert_int_equal(commit, last - 1);
    assert_int_equal(n, 2);
    assert_true(match[0] < last && match[1] < last);
    solo_ack(&s, 3, replica_term(s.r), last);
    solo_settle(&s);
    assert_int_equal(replica_match(s.r, &commit, match, &n), 0);
    assert_int_equal(commit, last);
    assert_true(match[0] < last);
    assert_int_equal(match[1], last);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durable_vote_leaves_only_after_it_is_durable),
        cmocka_unit_test(
            test_durable_ack_leaves_only_after_entries_are_durable),
        cmocka_unit_test(test_durable_truncated_write_in_flight_is_not_acked),
        cmocka_unit_test(test_durable_vote_in_a_known_term_is_remembered),
        cmocka_unit_test(test_durable_held_frames_go_with_their_connection),
        cmocka_unit_test(test_durable_follower_acks_no_write_in_flight),
        cmocka_unit_test(test_durable_leader_counts_no_own_write_in_flight),
        cmocka_unit_test(test_durable_single_voter_waits_for_its_own_disk),
        cmocka_unit_test(test_durable_write_that_fails_at_the_end_is_told),
        cmocka_unit_test(test_durable_leader_knows_the_disks_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
