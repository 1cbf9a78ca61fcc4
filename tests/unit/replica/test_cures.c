/* Each defect of the consensus library, met by a history that shows it: without
 * the cure the assertion fails. The names B1.. are those of node/REPLICA.md;
 * rules that the library leaves to its driver are in test_driver.c. */
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

/* ---- B1, B2: configurations ---- */

static void test_b1_leader_cuts_append_before_configuration(void **state)
{
    struct err_info info;
    uint64_t term;
    uint64_t base;
    uint64_t next;
    unsigned n_change = 0;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    base = raftlog_last_index(s.r->log);
    solo_ack(&s, 3, term, base);
    /* A command, a change, a command. */
    solo_propose(&s, "a", "1");
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), 0);
    solo_propose(&s, "b", "2");
    solo_advance(&s, 6);
    solo_ack(&s, 2, term, base + 3);
    solo_ack(&s, 3, term, base);
    solo_settle(&s);
    assert_int_equal(raftlog_last_index(s.r->log), base + 3);
    solo_forget(&s);
    /* Node 3 has got none of them: the core sends all of them at once. */
    solo_reject(&s, 3, term, base + 3, base);
    next = base + 1;
    for (size_t i = 0; i < s.n_sent; i++) {
        const struct raft_append_entries *ae =
            &s.sent[i].m.as.raft.append_entries;
        if (s.sent[i].to != 3 || s.sent[i].m.type != WIRE_APPEND_ENTRIES) {
            continue;
        }
        assert_int_equal(ae->prev_log_index + 1, next);
        for (unsigned k = 0; k < ae->n_entries; k++) {
            if (ae->entries[k].type == RAFT_CHANGE) {
                assert_int_equal(k, 0);
                n_change++;
            }
        }
        next += ae->n_entries;
    }
    assert_int_equal(n_change, 1);
    assert_int_equal(next, base + 4);
    solo_close(&s);
}

static void test_b1_receiver_refuses_configuration_behind_head(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    solo_append(&s, 2, 2, 3, 2, 3, "cC", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).last_index, 3);
    assert_int_equal(solo_status(&s).n_dropped_frames, 1);
    solo_close(&s);
}

static void test_b1_committed_change_closes_the_open_one(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    solo_append(&s, 2, 2, 3, 2, 3, "C", 2, 3);
    solo_settle(&s);
    assert_int_equal(s.r->raft.configuration_uncommitted_index, 4);
    solo_append(&s, 2, 2, 4, 2, 4, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(s.r->raft.configuration_uncommitted_index, 0);
    assert_int_equal(s.r->raft.configuration_committed_index, 4);
    solo_close(&s);
}

static void test_b2_second_change_finds_first_delivered(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    /* C1 at 4 (two servers), then, before this node was told that C1 is
     * committed, C2 at 5 (three servers), which is then truncated away. */
    solo_append(&s, 2, 2, 3, 2, 3, "C", 2, 2);
    solo_settle(&s);
    solo_append(&s, 2, 2, 4, 2, 3, "C", 2, 3);
    solo_settle(&s);
    assert_int_equal(s.r->raft.configuration_committed_index, 4);
    assert_int_equal(s.r->raft.configuration_uncommitted_index, 5);
    solo_append(&s, 3, 3, 4, 2, 4, "b", 3, 3);
    solo_settle(&s);
    /* The rollback goes to C1, not to the first configuration. */
    assert_int_equal(s.r->raft.configuration.n, 2);
    assert_int_equal(s.r->raft.configuration_uncommitted_index, 0);
    solo_close(&s);
}

/* ---- B3, B4: appends below the commit index ---- */

/* The voters have lost entries that this node has in its snapshot: to take the
 * leader's for the same would make another state of it for good. */
static void test_b3_other_entry_at_the_commit_index_ends_the_node(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.trailing_entries = 1;
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 1, 1, 9, "cccccccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(replica_snapshot(s.r), 0);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).snapshot_index, 9);
    /* Through the entry before it there is nothing to compare. */
    solo_append(&s, 3, 4, 6, 2, 6, "cc", 2, 3);
    solo_settle(&s);
    assert_false(s.fatal);
    solo_append(&s, 3, 4, 6, 2, 6, "ccccc", 4, 3);
    solo_settle(&s);
    assert_true(s.fatal);
    assert_non_null(strstr(s.fatal_message, "entry 9"));
    assert_int_equal(raftlog_last_index(s.r->log), 9);
    solo_close(&s);
}

static void test_b3_append_below_compaction_adds_nothing(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.trailing_entries = 1;
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 1, 1, 9, "cccccccc", 2, 3);
    solo_settle(&s);
    solo_snapshot(&s);
    assert_int_equal(solo_status(&s).snapshot_index, 9);
    solo_forget(&s);
    /* The leader's retransmission from the start: acks were lost. */
    solo_append(&s, 2, 2, 1, 1, 9, "cccccccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).last_index, 9);
    assert_int_equal(raft_last_index(&s.r->raft), 9);
    assert_int_equal(solo_append_result(&s, 2)->last_log_index, 9);
    /* And one that reaches beyond: only what is new is appended. */
    solo_append(&s, 2, 2, 7, 2, 9, "ccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).last_index, 10);
    assert_int_equal(raft_last_index(&s.r->raft), 10);
    solo_close(&s);
}

static void test_b4_commit_index_does_not_go_back(void **state)
{
    (void)state;
    solo_follow(&s, 9);
    solo_append(&s, 2, 2, 3, 2, 9, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).commit_index, 9);
    assert_true(raft_commit_index(&s.r->raft) >= 9);
    /* The core only looks at prev + n when the leader has committed more. */
    solo_append(&s, 2, 2, 3, 2, 12, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).commit_index, 9);
    assert_true(raft_commit_index(&s.r->raft) >= 9);
    solo_close(&s);
}

/* ---- B5, B6: the start of a leadership ---- */

static void test_b5_single_voter_raises_term_at_each_start(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 1);
    assert_true(replica_is_leader(s.r));
    term = replica_term(s.r);
    assert_int_equal(term, 2);
    solo_reopen(&s);
    assert_true(replica_is_leader(s.r));
    assert_int_equal(replica_term(s.r), term + 1);
    solo_close(&s);
}

static void test_b6_leader_commits_own_entry_first(void **state)
{
    uint64_t last;
    (void)state;
    solo_open(&s, 1, 3);
    last = raftlog_last_index(s.r->log);
    solo_lead(&s);
    /* Commit equalled last at the election, so the core appended nothing. */
    assert_int_equal(raftlog_last_index(s.r->log), last + 1);
    assert_int_equal(raftlog_term(s.r->log, last + 1), replica_term(s.r));
    assert_true(s.r->commit >= last + 1);
    solo_close(&s);
}

static void test_b6_proposals_and_changes_wait_for_own_entry(void **state)
{
    struct err_info info;
    (void)state;
    solo_open(&s, 1, 3);
    solo_elect(&s);
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), ERR_BUSY);
    assert_int_equal(replica_propose(s.r, replica_term(s.r), NULL, 0),
                     ERR_AGAIN);
    solo_close(&s);
}

/* ---- B7: membership ---- */

static void test_b7_promotion_waits_until_caught_up(void **state)
{
    struct err_info info;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), 0);
    solo_settle(&s);
    assert_int_equal(replica_member_add(s.r, 5, "node5:1", &info), ERR_BUSY);
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    /* Node 3 has not got the change: the next one has to wait. */
    assert_int_equal(replica_member_promote(s.r, 4, &info), ERR_BUSY);
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(replica_member_promote(s.r, 4, &info), ERR_AGAIN);
    solo_ack(&s, 4, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(replica_member_promote(s.r, 4, &info), 0);
    solo_settle(&s);
    assert_int_equal(replica_n_voters(s.r), 4);
    assert_int_equal(replica_member_remove(s.r, 1, &info), ERR_BUSY);
    solo_close(&s);
}

/* ---- B8: transfer ---- */

static void test_b8_transfer_waits_for_equal_logs(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_propose(&s, "a", "1");
    solo_propose(&s, "b", "2");
    solo_settle(&s);
    solo_forget(&s);
    term = replica_term(s.r);
    replica_drain(s.r, 0);
    solo_advance(&s, 20);
    /* Nobody has the last entry: nothing may go out yet, not even when a
     * follower moves on. */
    solo_ack(&s, 2, term, raftlog_last_index(s.r->log) - 1);
    solo_advance(&s, 20);
    assert_int_equal(solo_count(&s, 0, WIRE_TIMEOUT_NOW), 0);
    assert_int_equal(replica_propose(s.r, term, NULL, 0), ERR_AGAIN);
    solo_ack(&s, 2, term, raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 2, WIRE_TIMEOUT_NOW), 1);
    assert_int_equal(
        solo_last(&s, 2, WIRE_TIMEOUT_NOW)->as.raft.timeout_now.last_log_index,
        raftlog_last_index(s.r->log));
    assert_int_equal(s.n_drained, 0);
    /* The new leader speaks. */
    solo_append(&s, 2, term + 1, raftlog_last_index(s.r->log), term, 1, "b",
                term + 1, 3);
    solo_settle(&s);
    assert_int_equal(s.n_drained, 1);
    solo_close(&s);
}

/* ---- B9: timers ---- */

static void test_b9_deadline_is_never_stuck_in_the_past(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    for (int i = 0; i < 50; i++) {
        uint64_t deadline;
        s.now_ms += 1000;
        solo_settle(&s);
        deadline = replica_deadline_ms(s.r);
        assert_true(deadline > s.now_ms);
    }
    solo_close(&s);
}

/* ---- B10, B11, B12: elections ---- */

static void test_b10_refused_pre_vote_tells_our_term(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    /* Our term is 2 and our log is longer than the candidate's. */
    solo_advance(&s, 400);
    solo_forget(&s);
    assert_false(solo_gives_vote(&s, 3, 1, 1, 1, true));
    assert_int_equal(solo_vote_result(&s, 3)->term, 2);
    solo_close(&s);
}

static void test_b11_isolated_candidate_keeps_its_term(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_stand(&s);
    solo_vote(&s, 2, replica_term(s.r) + 1, true); /* pre-vote won */
    solo_settle(&s);
    term = replica_term(s.r);
    replica_peer(s.r, 2, false);
    replica_peer(s.r, 3, false);
    solo_advance(&s, 5000);
    assert_int_equal(replica_term(s.r), term);
    replica_peer(s.r, 2, true);
    solo_advance(&s, 2000);
    assert_true(replica_term(s.r) > term);
    solo_close(&s);
}

static void test_b12_silent_leader_does_not_block_votes(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    s.now_ms += 301; /* the election timeout, but not yet our random one */
    assert_true(solo_gives_vote(&s, 3, 3, 3, 2, false));
    solo_close(&s);
}

static void test_b12_agreed_loss_elects_at_once(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_advance(&s, 10);
    assert_int_equal(solo_count(&s, 3, WIRE_LEADER_LOST), 1);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_leader_lost(&s, 3, 3);
    solo_advance(&s, 4);
    /* Equal logs: the lowest id goes, without a pre-vote. */
    assert_int_equal(raft_state(&s.r->raft), RAFT_CANDIDATE);
    assert_int_equal(replica_term(s.r), 3);
    assert_false(
        solo_last(&s, 3, WIRE_REQUEST_VOTE)->as.raft.request_vote.pre_vote);
    solo_close(&s);
}

static void test_b12_shorter_log_leaves_it_to_the_other(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_leader_lost(&s, 3, 4);
    solo_advance(&s, 20);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_close(&s);
}

static void test_b12_one_lost_connection_is_no_loss(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    replica_peer(s.r, 2, false);
    solo_advance(&s, 100);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
}

/* ---- B13, B15: messages ---- */

/* What the core forgets to set shall not be zero by chance. */
static __attribute__((noinline)) void dirty_stack(void)
{
    volatile uint8_t bytes[64 * 1024];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 0x5a;
    }
}

static void test_b13_reply_to_lower_term_is_initialised(void **state)
{
    const struct raft_append_entries_result *result;
    (void)state;
    solo_follow(&s, 3);
    dirty_stack();
    solo_append(&s, 3, 1, 1, 1, 1, "", 1, 3);
    solo_settle(&s);
    result = solo_append_result(&s, 3);
    assert_int_equal(result->term, 2);
    assert_int_equal(result->last_log_index, 0);
    solo_close(&s);
}

static void test_b15_late_reject_does_not_starve_the_follower(void **state)
{
    uint64_t term;
    uint64_t last;
    bool got = false;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    last = raftlog_last_index(s.r->log);
    solo_ack(&s, 3, term, last);
    /* Nothing heard for a while: node 3 is in the probe state. */
    for (int i = 0; i < 4; i++) {
        solo_advance(&s, 100);
        solo_ack(&s, 2, term, last);
    }
    solo_reject(&s, 3, term, last, last - 1);
    solo_forget(&s);
    solo_propose(&s, "a", "1");
    solo_advance(&s, 60);
    for (size_t i = 0; i < s.n_sent; i++) {
        got = got ||
              (s.sent[i].to == 3 && s.sent[i].m.type == WIRE_APPEND_ENTRIES &&
               s.sent[i].m.as.raft.append_entries.n_entries > 0);
    }
    assert_true(got);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_b1_leader_cuts_append_before_configuration),
        cmocka_unit_test(test_b1_receiver_refuses_configuration_behind_head),
        cmocka_unit_test(test_b1_committed_change_closes_the_open_one),
        cmocka_unit_test(test_b2_second_change_finds_first_delivered),
        cmocka_unit_test(test_b3_append_below_compaction_adds_nothing),
        cmocka_unit_test(test_b3_other_entry_at_the_commit_index_ends_the_node),
        cmocka_unit_test(test_b4_commit_index_does_not_go_back),
        cmocka_unit_test(test_b5_single_voter_raises_term_at_each_start),
        cmocka_unit_test(test_b6_leader_commits_own_entry_first),
        cmocka_unit_test(test_b6_proposals_and_changes_wait_for_own_entry),
        cmocka_unit_test(test_b7_promotion_waits_until_caught_up),
        cmocka_unit_test(test_b8_transfer_waits_for_equal_logs),
        cmocka_unit_test(test_b9_deadline_is_never_stuck_in_the_past),
        cmocka_unit_test(test_b10_refused_pre_vote_tells_our_term),
        cmocka_unit_test(test_b11_isolated_candidate_keeps_its_term),
        cmocka_unit_test(test_b12_silent_leader_does_not_block_votes),
        cmocka_unit_test(test_b12_agreed_loss_elects_at_once),
        cmocka_unit_test(test_b12_shorter_log_leaves_it_to_the_other),
        cmocka_unit_test(test_b12_one_lost_connection_is_no_loss),
        cmocka_unit_test(test_b13_reply_to_lower_term_is_initialised),
        cmocka_unit_test(test_b15_late_reject_does_not_starve_the_follower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
