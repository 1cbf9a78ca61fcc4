/* The agreed loss of a leader beyond the happy path (test_cures.c has that):
 * the chosen node does not win, a loss that was only an interruption, and the
 * end of the hurry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/solo.h"

static struct solo s;

enum { ELECTION_MS = 300 };

static void test_handover_chosen_stays_silent_others_hurry(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3,
                     4); /* it has more than we, so it is the chosen one */
    solo_advance(&s, 20);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    /* But it never asks for votes. */
    solo_advance(&s, 2 * ELECTION_MS / 3);
    assert_int_equal(raft_state(&s.r->raft), RAFT_CANDIDATE);
    solo_close(&s);
}

static void test_handover_chosen_loses_others_hurry(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3, 4);
    /* The chosen one asks, but its log turns out to be the shorter one. */
    assert_false(solo_gives_vote(&s, 3, 3, 2, 2, false));
    assert_int_equal(replica_term(s.r), 3);
    solo_advance(&s, 2 * ELECTION_MS / 3);
    assert_int_equal(raft_state(&s.r->raft), RAFT_CANDIDATE);
    solo_close(&s);
}

static void test_handover_agreed_loss_does_not_block_votes(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    assert_false(solo_gives_vote(
        &s, 3, 3, 4, 2, true)); /* only we have lost the leader: it may live */
    solo_leader_lost(&s, 3, 4);
    assert_true(solo_gives_vote(&s, 3, 3, 4, 2, true));
    solo_close(&s);
}

static void test_handover_new_leader_ends_hurry(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3, 4);
    assert_true(s.r->raft.election_timeout < ELECTION_MS);
    solo_append(&s, 3, 3, 3, 2, 3, "b", 3, 3);
    solo_settle(&s);
    assert_int_equal(s.r->raft.election_timeout, ELECTION_MS);
    solo_advance(&s, ELECTION_MS - 10);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_close(&s);
}

static void test_handover_leader_back_ends_hurry(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3, 4);
    replica_peer(s.r, 2, true);
    assert_int_equal(s.r->raft.election_timeout, ELECTION_MS);
    solo_close(&s);
}

static void test_handover_hurry_ends_by_itself(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3, 4);
    solo_advance(&s, ELECTION_MS + 1);
    assert_int_equal(s.r->raft.election_timeout, ELECTION_MS);
    assert_true(replica_deadline_ms(s.r) > s.now_ms);
    solo_close(&s);
}

static void test_handover_own_election_ends_hurry(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3, 3); /* equal logs: we are chosen */
    solo_advance(&s, 4);
    assert_int_equal(raft_state(&s.r->raft), RAFT_CANDIDATE);
    solo_vote(&s, 3, 3, false);
    assert_true(replica_is_leader(s.r));
    assert_int_equal(s.r->raft.election_timeout, ELECTION_MS);
    solo_close(&s);
}

static void test_handover_old_loss_does_not_count(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    /* The connection between 2 and 3 was interrupted; it came back. */
    solo_leader_lost(&s, 3, 3);
    for (int i = 0; i < 14; i++) {
        solo_advance(&s, 50);
        solo_append(&s, 2, 2, 3, 2, 3, "", 2, 3);
    }
    solo_forget(&s);
    /* Much later ours is interrupted: nobody else has lost the leader. */
    replica_peer(s.r, 2, false);
    solo_advance(&s, 20);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
}

/* ---- draining ---- */

static void test_handover_drain_of_single_voter_ends(void **state)
{
    (void)state;
    solo_open(&s, 1, 1);
    assert_true(replica_is_leader(s.r));
    solo_settle(&s);
    replica_drain(s.r, 0);
    solo_settle(&s);
    assert_int_equal(s.n_drained, 1);
    solo_close(&s);
}

static void test_handover_drain_of_follower_ends(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_drain(s.r, 0);
    solo_settle(&s);
    assert_int_equal(s.n_drained, 1);
    solo_close(&s);
}

static void test_handover_drain_gives_up_after_its_limit(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_propose(&s, "a", "1");
    solo_settle(&s);
    replica_drain(s.r, 0);
    for (int i = 0; i < 40; i++) {
        solo_advance(&s, 50);
        solo_ack(&s, 2, replica_term(s.r), 2); /* alive, but behind */
    }
    assert_int_equal(s.n_drained, 1);
    solo_close(&s);
}

static void test_handover_transfer_that_expires_is_tried_again(void **state)
{
    uint64_t last;
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    last = raftlog_last_index(s.r->log);
    solo_forget(&s);
    replica_drain(s.r, 2);
    /* TimeoutNow is lost; the follower lives on. */
    for (int i = 0; i < 10; i++) {
        solo_advance(&s, 50);
        solo_ack(&s, 2, term, last);
    }
    assert_true(solo_count(&s, 2, WIRE_TIMEOUT_NOW) >= 2);
    solo_close(&s);
}

/* ---- transfer on request ---- */

static void assert_refused(uint64_t target, int code, const char *words)
{
    struct err_info info;
    assert_int_equal(replica_transfer(s.r, target, &info), code);
    assert_string_equal(info.message, words);
}

static void test_handover_transfer_is_refused_with_words(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    assert_refused(3, ERR_NOTLEADER, "node 1 does not lead");
    solo_close(&s);
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    assert_refused(1, ERR_EXISTS, "node 1 leads already");
    assert_refused(9, ERR_NOTFOUND, "node 9 is not a member of this cluster");
    replica_peer(s.r, 2, false);
    assert_refused(2, ERR_AGAIN, "node 2 is not connected");
    replica_peer(s.r, 3, false);
    assert_refused(0, ERR_AGAIN,
                   "no other voter is connected and has caught "
                   "up; see INFO replication");
    assert_true(replica_accepts(s.r));
    solo_close(&s);
    solo_open(&s, 1, 1);
    solo_settle(&s);
    assert_refused(0, ERR_INVALID,
                   "node 1 is the only voter; nobody can follow it");
    solo_close(&s);
}

static void test_handover_transfer_to_laggard_is_refused(void **state)
{
    (void)state;
    memset(&s, 0, sizeof s);
    solo_open(&s, 1, 3);
    solo_lead(&s);
    s.r->options.inflight_entries = 2;
    for (int i = 0; i < 4; i++) {
        solo_propose(&s, "k", "v");
    }
    solo_settle(&s);
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(replica_transfer(s.r, 2, NULL), ERR_AGAIN);
    assert_int_equal(replica_transfer(s.r, 3, NULL), 0);
    assert_refused(3, ERR_BUSY, "leadership is being handed over already");
    solo_close(&s);
}

static void test_handover_transfer_tells_its_end(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    solo_propose(&s, "k", "v");
    assert_int_equal(replica_transfer(s.r, 3, NULL), 0);
    assert_false(replica_accepts(s.r));
    solo_settle(&s);
    /* What was proposed before went out; the target gets it first. */
    assert_int_equal(solo_count(&s, 3, WIRE_TIMEOUT_NOW), 0);
    solo_ack(&s, 3, term, raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 3, WIRE_TIMEOUT_NOW), 1);
    assert_int_equal(solo_count(&s, 2, WIRE_TIMEOUT_NOW), 0);
    assert_int_equal(s.n_transferred, 0);
    solo_append(&s, 3, term + 1, raftlog_last_index(s.r->log), term, 1, "b",
                term + 1, 3);
    solo_settle(&s);
    assert_int_equal(s.n_transferred, 1);
    assert_true(s.transferred);
    solo_close(&s);
}

static void test_handover_transfer_given_up_takes_proposals_again(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_propose(&s, "k", "v"); /* which nobody acknowledges */
    solo_settle(&s);
    assert_int_equal(replica_transfer(s.r, 2, NULL), 0);
    for (int i = 0; i < 60 && s.n_transferred == 0; i++) {
        /* Both are alive, but too slow. */
        solo_ack(&s, 2, replica_term(s.r), 1);
        solo_ack(&s, 3, replica_term(s.r), 1);
        solo_advance(&s, 50);
    }
    assert_int_equal(s.n_transferred, 1);
    assert_false(s.transferred);
    assert_true(replica_accepts(s.r));
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover_chosen_stays_silent_others_hurry),
        cmocka_unit_test(test_handover_chosen_loses_others_hurry),
        cmocka_unit_test(test_handover_agreed_loss_does_not_block_votes),
        cmocka_unit_test(test_handover_new_leader_ends_hurry),
        cmocka_unit_test(test_handover_leader_back_ends_hurry),
        cmocka_unit_test(test_handover_hurry_ends_by_itself),
        cmocka_unit_test(test_handover_own_election_ends_hurry),
        cmocka_unit_test(test_handover_old_loss_does_not_count),
        cmocka_unit_test(test_handover_drain_of_single_voter_ends),
        cmocka_unit_test(test_handover_drain_of_follower_ends),
        cmocka_unit_test(test_handover_drain_gives_up_after_its_limit),
        cmocka_unit_test(test_handover_transfer_that_expires_is_tried_again),
        cmocka_unit_test(test_handover_transfer_is_refused_with_words),
        cmocka_unit_test(test_handover_transfer_to_laggard_is_refused),
        cmocka_unit_test(test_handover_transfer_tells_its_end),
        cmocka_unit_test(test_handover_transfer_given_up_takes_proposals_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
