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

#include "tests/lib/solo.h"

static struct solo s;

static uint64_t commit_index(void)
{
    struct replica_status st;
    replica_status(s.r, &st);
    return st.commit_index;
}

/* A tick of the replica that sees no write complete. */
static void tick_blindly(void)
{
    s.now_ms += TICK_MS;
    replica_timer(s.r);
}

static void ask_for_vote(uint64_t from, uint64_t term, uint64_t last_index,
                         uint64_t last_term)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_REQUEST_VOTE;
    m.as.raft.type = RAFT_REQUEST_VOTE;
    m.as.raft.request_vote.term = term;
    m.as.raft.request_vote.last_log_index = last_index;
    m.as.raft.request_vote.last_log_term = last_term;
    solo_receive(&s, from, &m);
    solo_settle(&s);
}

static bool vote_given(uint64_t to)
{
    const struct wire_message *m = solo_last(&s, to, WIRE_REQUEST_VOTE_RESULT);
    assert_non_null(m);
    return m->as.raft.request_vote_result.vote_granted;
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
    ask_for_vote(2, 7, 0, 0);
    assert_false(vote_given(2));
    assert_int_equal(replica_term(s.r), 7);
    ask_for_vote(3, 7, 1, 1);
    assert_true(vote_given(3));
    solo_reopen(&s);
    assert_int_equal(replica_term(s.r), 7);
    assert_int_equal(raft_voted_for(&s.r->raft), 3);
    ask_for_vote(2, 7, 9, 1);
    assert_false(vote_given(2));
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
    assert_int_equal(solo_last(&s, 2, WIRE_APPEND_ENTRIES_RESULT)
                         ->as.raft.append_entries_result.last_log_index,
                     5);
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
    assert_int_equal(commit_index(), last - 1);
    solo_settle(&s);
    assert_int_equal(commit_index(), last);
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
    assert_int_equal(commit_index(), last - 1);
    assert_int_equal(s.n_applied, 0);
    solo_settle(&s);
    assert_int_equal(commit_index(), last);
    assert_int_equal(s.n_applied, 1);
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
        cmocka_unit_test(test_durable_vote_in_a_known_term_is_remembered),
        cmocka_unit_test(test_durable_held_frames_go_with_their_connection),
        cmocka_unit_test(test_durable_follower_acks_no_write_in_flight),
        cmocka_unit_test(test_durable_leader_counts_no_own_write_in_flight),
        cmocka_unit_test(test_durable_single_voter_waits_for_its_own_disk),
        cmocka_unit_test(test_durable_leader_knows_the_disks_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
