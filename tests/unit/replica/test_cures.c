/* Each defect of the consensus library, and each rule it leaves to its driver,
 * met by a history that shows it: without the cure the assertion fails. The
 * names B1.. are those of the contract document and of replica_state.h. */
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

static struct replica_status status_of(void)
{
    struct replica_status st;
    replica_status(s.r, &st);
    return st;
}

/* A follower of node 2 in term 2 with entries 2..last of term 2, committed. */
static void follow(uint64_t last)
{
    char kinds[64];
    size_t n = (size_t)(last - 1);
    memset(kinds, 'c', n);
    kinds[n] = '\0';
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 1, 1, last, kinds, 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().commit_index, last);
    assert_int_equal(status_of().applied_index, last);
    solo_forget(&s);
}

/* ---- B1, B2: configurations ---- */

static void test_b1_leader_cuts_append_before_configuration(void **state)
{
    struct wire_message m;
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
    memset(&m, 0, sizeof m);
    m.type = WIRE_APPEND_ENTRIES_RESULT;
    m.as.raft.type = RAFT_APPEND_ENTRIES_RESULT;
    m.as.raft.append_entries_result.term = term;
    m.as.raft.append_entries_result.rejected = base + 3;
    m.as.raft.append_entries_result.last_log_index = base;
    solo_receive(&s, 3, &m);
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
    follow(3);
    solo_append(&s, 2, 2, 3, 2, 3, "cC", 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().last_index, 3);
    assert_int_equal(status_of().n_dropped_frames, 1);
    solo_close(&s);
}

static void test_b1_committed_change_closes_the_open_one(void **state)
{
    (void)state;
    follow(3);
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
    follow(3);
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

static void test_b3_append_below_compaction_adds_nothing(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.trailing_entries = 1;
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 1, 1, 9, "cccccccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(replica_snapshot(s.r), 0);
    solo_settle(&s);
    assert_int_equal(status_of().snapshot_index, 9);
    solo_forget(&s);
    /* The leader's retransmission from the start: acks were lost. */
    solo_append(&s, 2, 2, 1, 1, 9, "cccccccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().last_index, 9);
    assert_int_equal(raft_last_index(&s.r->raft), 9);
    assert_int_equal(solo_last(&s, 2, WIRE_APPEND_ENTRIES_RESULT)
                         ->as.raft.append_entries_result.last_log_index,
                     9);
    /* And one that reaches beyond: only what is new is appended. */
    solo_append(&s, 2, 2, 7, 2, 9, "ccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().last_index, 10);
    assert_int_equal(raft_last_index(&s.r->raft), 10);
    solo_close(&s);
}

static void test_b4_commit_index_does_not_go_back(void **state)
{
    (void)state;
    follow(9);
    solo_append(&s, 2, 2, 3, 2, 9, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().commit_index, 9);
    assert_true(raft_commit_index(&s.r->raft) >= 9);
    /* The core only looks at prev + n when the leader has committed more. */
    solo_append(&s, 2, 2, 3, 2, 12, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().commit_index, 9);
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
    solo_connect_all(&s);
    for (int i = 0; i < 2000 && raft_state(&s.r->raft) != RAFT_CANDIDATE; i++) {
        solo_advance(&s, 1);
    }
    solo_vote(&s, 2, replica_term(s.r) + 1, true);
    solo_settle(&s);
    solo_vote(&s, 2, replica_term(s.r), false);
    solo_settle(&s);
    assert_true(replica_is_leader(s.r));
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), ERR_BUSY);
    assert_int_equal(replica_propose(s.r, replica_term(s.r), NULL, 0),
                     ERR_AGAIN);
    solo_close(&s);
}

/* ---- B7, 1.8: membership
 * ----------------------------------------------------- */

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

static void test_membership_leader_does_not_remove_itself(void **state)
{
    struct err_info info;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    assert_int_equal(replica_member_remove(s.r, 1, &info), ERR_INVALID);
    assert_int_equal(replica_member_remove(s.r, 9, &info), ERR_NOTFOUND);
    assert_int_equal(replica_member_add(s.r, 2, "x:1", &info), ERR_EXISTS);
    solo_close(&s);
}

/* ---- B8: transfer
 * ------------------------------------------------------------ */

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

static void test_drain_gives_up_after_its_limit(void **state)
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

/* ---- B9, 1.6: timers
 * ---------------------------------------------------------- */

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

static void test_heartbeats_keep_a_fixed_cadence(void **state)
{
    size_t n;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    for (int i = 0; i < 10; i++) {
        solo_advance(&s, 10);
        solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
        solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    }
    solo_forget(&s);
    for (int i = 0; i < 30; i++) {
        solo_advance(&s, 10);
        solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
        solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    }
    /* Election timeout 300 ms: a follower hears us at least five times, but
     * not at each heartbeat timeout of the core (1.6). */
    n = solo_count(&s, 2, WIRE_APPEND_ENTRIES);
    assert_true(n >= 5 && n <= 12);
    solo_close(&s);
}

/* ---- B10, B11, B12: elections
 * ------------------------------------------------- */

static void test_b10_refused_pre_vote_tells_our_term(void **state)
{
    struct wire_message m;
    (void)state;
    follow(3);
    /* Our term is 2 and our log is longer than the candidate's. */
    solo_advance(&s, 400);
    solo_forget(&s);
    memset(&m, 0, sizeof m);
    m.type = WIRE_REQUEST_VOTE;
    m.as.raft.type = RAFT_REQUEST_VOTE;
    m.as.raft.request_vote.term = 1;
    m.as.raft.request_vote.last_log_index = 1;
    m.as.raft.request_vote.last_log_term = 1;
    m.as.raft.request_vote.pre_vote = true;
    solo_receive(&s, 3, &m);
    solo_settle(&s);
    assert_int_equal(solo_last(&s, 3, WIRE_REQUEST_VOTE_RESULT)
                         ->as.raft.request_vote_result.term,
                     2);
    assert_false(solo_last(&s, 3, WIRE_REQUEST_VOTE_RESULT)
                     ->as.raft.request_vote_result.vote_granted);
    solo_close(&s);
}

static void test_b11_isolated_candidate_keeps_its_term(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    for (int i = 0; i < 2000 && raft_state(&s.r->raft) != RAFT_CANDIDATE; i++) {
        solo_advance(&s, 1);
    }
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
    struct wire_message m;
    (void)state;
    follow(3);
    s.now_ms += 301; /* the election timeout, but not yet our random one */
    memset(&m, 0, sizeof m);
    m.type = WIRE_REQUEST_VOTE;
    m.as.raft.type = RAFT_REQUEST_VOTE;
    m.as.raft.request_vote.term = 3;
    m.as.raft.request_vote.last_log_index = 3;
    m.as.raft.request_vote.last_log_term = 2;
    solo_receive(&s, 3, &m);
    solo_settle(&s);
    assert_true(solo_last(&s, 3, WIRE_REQUEST_VOTE_RESULT)
                    ->as.raft.request_vote_result.vote_granted);
    solo_close(&s);
}

static void test_b12_agreed_loss_elects_at_once(void **state)
{
    struct wire_message m;
    (void)state;
    follow(3);
    replica_peer(s.r, 2, false);
    solo_advance(&s, 10);
    assert_int_equal(solo_count(&s, 3, WIRE_LEADER_LOST), 1);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    memset(&m, 0, sizeof m);
    m.type = WIRE_LEADER_LOST;
    m.as.leader_lost.term = 2;
    m.as.leader_lost.leader_id = 2;
    m.as.leader_lost.last_index = 3;
    m.as.leader_lost.last_term = 2;
    solo_receive(&s, 3, &m);
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
    struct wire_message m;
    (void)state;
    follow(3);
    replica_peer(s.r, 2, false);
    memset(&m, 0, sizeof m);
    m.type = WIRE_LEADER_LOST;
    m.as.leader_lost.term = 2;
    m.as.leader_lost.leader_id = 2;
    m.as.leader_lost.last_index = 4;
    m.as.leader_lost.last_term = 2;
    solo_receive(&s, 3, &m);
    solo_advance(&s, 20);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_close(&s);
}

static void test_b12_one_lost_connection_is_no_loss(void **state)
{
    (void)state;
    follow(3);
    replica_peer(s.r, 2, false);
    solo_advance(&s, 100);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
}

/* ---- B13, B15, section 2: messages
 * ------------------------------------------- */

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
    follow(3);
    dirty_stack();
    solo_append(&s, 3, 1, 1, 1, 1, "", 1, 3);
    solo_settle(&s);
    result = &solo_last(&s, 3, WIRE_APPEND_ENTRIES_RESULT)
                  ->as.raft.append_entries_result;
    assert_int_equal(result->term, 2);
    assert_int_equal(result->last_log_index, 0);
    solo_close(&s);
}

static void test_b15_late_reject_does_not_starve_the_follower(void **state)
{
    struct wire_message m;
    uint64_t term;
    uint64_t last;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    last = raftlog_last_index(s.r->log);
    solo_ack(&s, 3, term, last);
    memset(&m, 0, sizeof m);
    m.type = WIRE_APPEND_ENTRIES_RESULT;
    m.as.raft.type = RAFT_APPEND_ENTRIES_RESULT;
    m.as.raft.append_entries_result.term = term;
    m.as.raft.append_entries_result.rejected = last;
    m.as.raft.append_entries_result.last_log_index = last - 1;
    /* Nothing heard for a while: node 3 is in the probe state. */
    for (int i = 0; i < 4; i++) {
        solo_advance(&s, 100);
        solo_ack(&s, 2, term, last);
    }
    solo_receive(&s, 3, &m);
    solo_forget(&s);
    solo_propose(&s, "a", "1");
    solo_advance(&s, 60);
    {
        bool got = false;
        for (size_t i = 0; i < s.n_sent; i++) {
            got = got || (s.sent[i].to == 3 &&
                          s.sent[i].m.type == WIRE_APPEND_ENTRIES &&
                          s.sent[i].m.as.raft.append_entries.n_entries > 0);
        }
        assert_true(got);
    }
    solo_close(&s);
}

static void test_second_leader_of_a_term_is_ignored(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    solo_forget(&s);
    solo_append(&s, 2, term, 1, 1, 1, "c", term, 3);
    solo_settle(&s);
    assert_true(replica_is_leader(s.r));
    assert_int_equal(replica_term(s.r), term);
    /* Not even looked at: the core would write over the leader's state. */
    assert_int_equal(solo_count(&s, 2, WIRE_APPEND_ENTRIES_RESULT), 0);
    solo_propose(&s, "a", "1");
    solo_settle(&s);
    solo_ack(&s, 2, term, raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(s.r->commit, raftlog_last_index(s.r->log));
    solo_close(&s);
}

static void test_vote_result_as_follower_is_ignored(void **state)
{
    (void)state;
    follow(3);
    solo_vote(&s, 3, 2, false);
    solo_vote(&s, 3, 3, true);
    solo_settle(&s);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
    /* Without a leader, what the core reads for its own there is zero. */
    solo_open(&s, 1, 3);
    solo_vote(&s, 3, 5, false);
    assert_int_equal(replica_term(s.r), 1);
    solo_close(&s);
}

static void test_frame_from_own_id_is_dropped(void **state)
{
    (void)state;
    follow(3);
    solo_append(&s, 1, 2, 3, 2, 3, "c", 2, 3);
    assert_int_equal(status_of().n_dropped_frames, 1);
    assert_int_equal(status_of().last_index, 3);
    solo_close(&s);
}

/* ---- 1.3: order of durability
 * -------------------------------------------------- */

static void test_vote_leaves_only_after_it_is_durable(void **state)
{
    struct wire_message m;
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    memset(&m, 0, sizeof m);
    m.type = WIRE_REQUEST_VOTE;
    m.as.raft.type = RAFT_REQUEST_VOTE;
    m.as.raft.request_vote.term = 2;
    m.as.raft.request_vote.last_log_index = 1;
    m.as.raft.request_vote.last_log_term = 1;
    solo_receive(&s, 2, &m);
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

static void test_ack_leaves_only_after_entries_are_durable(void **state)
{
    (void)state;
    follow(3);
    solo_append(&s, 2, 2, 3, 2, 3, "c", 2, 3);
    for (size_t i = 0; i < s.n_sent; i++) {
        if (s.sent[i].m.type == WIRE_APPEND_ENTRIES_RESULT) {
            assert_true(
                s.sent[i].m.as.raft.append_entries_result.last_log_index < 4);
        }
    }
    solo_settle(&s);
    assert_int_equal(solo_last(&s, 2, WIRE_APPEND_ENTRIES_RESULT)
                         ->as.raft.append_entries_result.last_log_index,
                     4);
    solo_close(&s);
}

static void test_truncated_write_in_flight_is_not_acked(void **state)
{
    (void)state;
    follow(3);
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
    assert_int_equal(status_of().last_index, 4);
    assert_int_equal(raftlog_term(s.r->log, 4), 3);
    assert_int_equal(solo_last(&s, 3, WIRE_APPEND_ENTRIES_RESULT)
                         ->as.raft.append_entries_result.last_log_index,
                     4);
    solo_close(&s);
}

/* ---- 1.10: batching and the window
 * ---------------------------------------------- */

static void test_proposals_gather_while_a_batch_is_in_flight(void **state)
{
    uint64_t last;
    size_t n;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    last = raftlog_last_index(s.r->log);
    solo_forget(&s);
    solo_propose(&s, "a", "1");
    replica_flush(s.r);
    for (int i = 0; i < 20; i++) {
        solo_propose(&s, "b", "2");
        replica_flush(s.r);
    }
    n = solo_count(&s, 2, WIRE_APPEND_ENTRIES);
    assert_int_equal(n, 1);
    solo_settle(&s);
    solo_ack(&s, 2, replica_term(s.r), last + 1);
    solo_settle(&s);
    assert_int_equal(raftlog_last_index(s.r->log), last + 21);
    assert_int_equal(solo_count(&s, 2, WIRE_APPEND_ENTRIES), 2);
    solo_close(&s);
}

static void test_uncommitted_entries_are_bounded(void **state)
{
    int rv = 0;
    unsigned n = 0;
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.uncommitted_entries_max = 100;
    solo_lead(&s);
    for (n = 0; n < 1000 && rv == 0; n++) {
        void *payload = block_new(16);
        memset(payload, 0, 16);
        rv = replica_propose(s.r, replica_term(s.r), payload, 16);
        block_unref(payload);
    }
    assert_int_equal(rv, ERR_BUSY);
    assert_true(n <= 102);
    solo_close(&s);
}

static void test_log_behind_with_its_segments_is_busy_not_full(void **state)
{
    static uint8_t value[64 * 1024];
    int rv = 0;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    /* The write in flight never ends and nothing is full: what waits for a
     * segment must not be called a full disk. */
    for (unsigned n = 0; n < 1000 && rv == 0; n++) {
        void *payload = block_new(sizeof value);
        memcpy(payload, value, sizeof value);
        rv = replica_propose(s.r, replica_term(s.r), payload, sizeof value);
        block_unref(payload);
        replica_flush(s.r);
    }
    assert_int_equal(rv, ERR_BUSY);
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
        cmocka_unit_test(test_b4_commit_index_does_not_go_back),
        cmocka_unit_test(test_b5_single_voter_raises_term_at_each_start),
        cmocka_unit_test(test_b6_leader_commits_own_entry_first),
        cmocka_unit_test(test_b6_proposals_and_changes_wait_for_own_entry),
        cmocka_unit_test(test_b7_promotion_waits_until_caught_up),
        cmocka_unit_test(test_membership_leader_does_not_remove_itself),
        cmocka_unit_test(test_b8_transfer_waits_for_equal_logs),
        cmocka_unit_test(test_drain_gives_up_after_its_limit),
        cmocka_unit_test(test_b9_deadline_is_never_stuck_in_the_past),
        cmocka_unit_test(test_heartbeats_keep_a_fixed_cadence),
        cmocka_unit_test(test_b10_refused_pre_vote_tells_our_term),
        cmocka_unit_test(test_b11_isolated_candidate_keeps_its_term),
        cmocka_unit_test(test_b12_silent_leader_does_not_block_votes),
        cmocka_unit_test(test_b12_agreed_loss_elects_at_once),
        cmocka_unit_test(test_b12_shorter_log_leaves_it_to_the_other),
        cmocka_unit_test(test_b12_one_lost_connection_is_no_loss),
        cmocka_unit_test(test_b13_reply_to_lower_term_is_initialised),
        cmocka_unit_test(test_b15_late_reject_does_not_starve_the_follower),
        cmocka_unit_test(test_second_leader_of_a_term_is_ignored),
        cmocka_unit_test(test_vote_result_as_follower_is_ignored),
        cmocka_unit_test(test_frame_from_own_id_is_dropped),
        cmocka_unit_test(test_vote_leaves_only_after_it_is_durable),
        cmocka_unit_test(test_ack_leaves_only_after_entries_are_durable),
        cmocka_unit_test(test_truncated_write_in_flight_is_not_acked),
        cmocka_unit_test(test_proposals_gather_while_a_batch_is_in_flight),
        cmocka_unit_test(test_uncommitted_entries_are_bounded),
        cmocka_unit_test(test_log_behind_with_its_segments_is_busy_not_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
