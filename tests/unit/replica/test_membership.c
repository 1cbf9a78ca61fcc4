/* Servers that come and go: a joiner with nothing, a learner whose vote is
 * needed, a dead voter that is removed, many changes one after the other. */
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

/* Voters 2 and 3 have everything. */
static void ack_all(void)
{
    solo_settle(&s);
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    solo_forget(&s);
}

static void lead(void)
{
    solo_open(&s, 1, 3);
    solo_lead(&s);
    ack_all();
}

static void test_membership_joiner_with_nothing_answers(void **state)
{
    const struct raft_append_entries_result *result;
    (void)state;
    solo_open(&s, 4, 0);
    assert_int_equal(solo_status(&s).last_index, 0);
    replica_peer(s.r, 1, true);
    /* The leader looks for where the logs agree ... */
    solo_append(&s, 1, 2, 5, 2, 5, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 1, WIRE_APPEND_ENTRIES_RESULT), 1);
    result = solo_append_result(&s, 1);
    assert_int_equal(result->rejected, 5);
    assert_int_equal(result->last_log_index, 0);
    /* ... and sends everything. */
    solo_append(&s, 1, 2, 0, 0, 5, "C", 1, 3);
    solo_append(&s, 1, 2, 1, 1, 5, "cccc", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).applied_index, 5);
    assert_int_equal(solo_append_result(&s, 1)->last_log_index, 5);
    assert_int_equal(solo_status(&s).role, REPLICA_LEARNER);
    solo_advance(&s, 2000);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_reopen(&s);
    assert_int_equal(solo_status(&s).last_index, 5);
    assert_int_equal(solo_status(&s).n_servers, 3);
    solo_close(&s);
}

static void test_membership_peer_connected_before_it_is_known(void **state)
{
    struct err_info info;
    (void)state;
    lead();
    replica_peer(s.r, 4, true);
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), 0);
    solo_settle(&s);
    assert_true(replica_find_peer(s.r, 4)->connected);
    assert_string_equal(replica_find_peer(s.r, 4)->address, "node4:1");
    solo_close(&s);
}

static void test_membership_places_of_removed_peers_are_used_again(void **state)
{
    struct err_info info;
    (void)state;
    lead();
    for (uint64_t id = 4; id < 4 + 2 * REPLICA_SERVERS_MAX; id++) {
        assert_int_equal(replica_member_add(s.r, id, "elsewhere:1", &info), 0);
        ack_all();
        assert_non_null(replica_find_peer(s.r, id));
        assert_int_equal(replica_member_remove(s.r, id, &info), 0);
        ack_all();
    }
    assert_true(replica_find_peer(s.r, 2)->connected);
    assert_true(replica_find_peer(s.r, 3)->connected);
    solo_close(&s);
}

static void test_membership_leader_does_not_remove_itself(void **state)
{
    struct err_info info;
    (void)state;
    lead();
    assert_int_equal(replica_member_remove(s.r, 1, &info), ERR_INVALID);
    assert_int_equal(replica_member_remove(s.r, 9, &info), ERR_NOTFOUND);
    assert_int_equal(replica_member_add(s.r, 2, "x:1", &info), ERR_EXISTS);
    solo_close(&s);
}

static void test_membership_dead_voter_can_be_removed(void **state)
{
    struct err_info info;
    (void)state;
    lead();
    /* Node 3 dies, and a learner is added before anybody sees that. */
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), 0);
    solo_settle(&s);
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    /* No other change, but this one. */
    assert_int_equal(replica_member_remove(s.r, 4, &info), ERR_BUSY);
    assert_int_equal(replica_member_remove(s.r, 3, &info), 0);
    solo_settle(&s);
    assert_int_equal(replica_n_voters(s.r), 2);
    solo_close(&s);
}

/* B7: a learner that was made a voter without hearing of it. */
static void test_membership_learner_gives_its_vote(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    s.r->raft.configuration.servers[0].role = RAFT_STANDBY;
    solo_advance(&s, 301);
    solo_forget(&s);
    assert_true(solo_gives_vote(&s, 3, 3, 4, 2, false));
    /* It is a learner still: it asks for no votes, and gives one in a term. */
    assert_int_equal(s.r->raft.configuration.servers[0].role, RAFT_STANDBY);
    solo_forget(&s);
    assert_false(solo_gives_vote(&s, 2, 3, 4, 2, false));
    solo_advance(&s, 1000);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_close(&s);
}

enum { N_CHANGES = 20 };

/* A follower with many changes that it does not know to be committed. */
static void receive_changes(void)
{
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    for (uint64_t i = 0; i < N_CHANGES; i++) {
        solo_append(&s, 2, 2, 1 + i, i == 0 ? 1 : 2, 1, "C", 2,
                    i % 2 == 0 ? 2 : 3);
    }
    solo_settle(&s);
}

static void test_membership_many_changes_not_yet_applied(void **state)
{
    (void)state;
    receive_changes();
    assert_false(s.fatal);
    assert_int_equal(solo_status(&s).last_index, 1 + N_CHANGES);
    solo_append(&s, 2, 2, 1 + N_CHANGES, 2, 1 + N_CHANGES, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(s.r->configuration_index, 1 + N_CHANGES);
    assert_int_equal(s.r->n_changes, 0);
    solo_close(&s);
}

/* A snapshot names the configuration of its own index, not an older one. */
static void test_membership_many_changes_survive_restart(void **state)
{
    (void)state;
    receive_changes();
    solo_reopen(&s);
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 3, 2, 3, "", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).applied_index, 3);
    assert_int_equal(s.r->configuration_index, 3);
    assert_int_equal(s.r->n_changes, N_CHANGES - 2);
    solo_close(&s);
}

static void test_membership_removed_follower_stays_quiet(void **state)
{
    (void)state;
    solo_open(&s, 3, 3);
    solo_connect_all(&s);
    /* Configuration of servers 1 and 2 only. */
    solo_append(&s, 2, 2, 1, 1, 2, "C", 2, 2);
    solo_settle(&s);
    assert_int_equal(solo_status(&s).applied_index, 2);
    assert_int_equal(solo_status(&s).role, REPLICA_LEARNER);
    solo_forget(&s);
    solo_advance(&s, 3000);
    assert_int_equal(solo_count(&s, 0, WIRE_REQUEST_VOTE), 0);
    assert_int_equal(replica_term(s.r), 2);
    assert_true(replica_deadline_ms(s.r) > s.now_ms);
    solo_close(&s);
}

static void test_membership_single_voter_adds_and_promotes(void **state)
{
    struct err_info info;
    (void)state;
    solo_open(&s, 1, 1);
    solo_settle(&s);
    assert_true(replica_accepts(s.r));
    assert_int_equal(replica_member_add(s.r, 2, "node2:1", &info), 0);
    replica_peer(s.r, 2, true);
    solo_settle(&s);
    assert_int_equal(replica_member_promote(s.r, 2, &info), ERR_AGAIN);
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    assert_int_equal(replica_member_promote(s.r, 2, &info), 0);
    solo_settle(&s);
    assert_int_equal(replica_n_voters(s.r), 2);
    /* Two are the majority of two. */
    assert_true(s.r->commit < raftlog_last_index(s.r->log));
    solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(s.r->commit, raftlog_last_index(s.r->log));
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_membership_joiner_with_nothing_answers),
        cmocka_unit_test(test_membership_peer_connected_before_it_is_known),
        cmocka_unit_test(
            test_membership_places_of_removed_peers_are_used_again),
        cmocka_unit_test(test_membership_leader_does_not_remove_itself),
        cmocka_unit_test(test_membership_dead_voter_can_be_removed),
        cmocka_unit_test(test_membership_learner_gives_its_vote),
        cmocka_unit_test(test_membership_many_changes_not_yet_applied),
        cmocka_unit_test(test_membership_many_changes_survive_restart),
        cmocka_unit_test(test_membership_removed_follower_stays_quiet),
        cmocka_unit_test(test_membership_single_voter_adds_and_promotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
