/* A node that may have forgotten what it acknowledged under a weaker sync
 * policy: no votes until that is here again. The simulator shows that nothing
 * is lost; here each rule is seen at work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftlog/hardstate.h"
#include "tests/lib/solo.h"

static struct solo s;

enum { ELECTION_MS = 300, LEADER = 2, OTHER = 3 };

/* The log was written under another boot of the machine. */
static void change_boot(void)
{
    struct raftlog_options o = {.node_id = s.options.id};
    struct hardstate_loaded loaded;
    struct hardstate h;
    struct err_info info;
    memcpy(o.cluster_id, s.options.cluster_id, sizeof o.cluster_id);
    assert_int_equal(hardstate_load(s.dir.path, &o, &loaded, &info), 0);
    h = loaded.state;
    memset(h.weak_boot, 0, sizeof h.weak_boot);
    memcpy(h.weak_boot, "another", 7);
    for (unsigned i = 0; i < HARDSTATE_SLOTS; i++) {
        assert_int_equal(hardstate_create(s.dir.path, &h, i, 4096, &info), 0);
    }
}

static void kill_process(void)
{
    replica_abandon(s.r);
    solo_run_jobs(&s);
    solo_forget(&s);
}

/* The machine stops and starts: what was synced is all there is, and the node
 * can not know that it was everything. */
static void lose_power(void)
{
    kill_process();
    change_boot();
    solo_restart(&s);
    solo_settle(&s);
    solo_forget(&s);
}

/* One of n voters that followed node 2 in term 2 through entry 3, under a
 * weaker policy, until the power went. */
static void forget(unsigned n)
{
    solo_open(&s, 1, n);
    s.options.sync.policy = RAFTLOG_SYNC_INTERVAL;
    solo_reopen(&s);
    solo_connect_all(&s);
    solo_append(&s, LEADER, 2, 1, 1, 3, "cc", 2, n);
    solo_settle(&s);
    lose_power();
    solo_connect_all(&s);
    solo_settle(&s);
    solo_forget(&s);
}

/* A voter tells where its log ends. */
static void tell(uint64_t from, uint64_t term, uint64_t index,
                 uint64_t last_term)
{
    struct wire_message m = solo_message(WIRE_LOG_ANSWER);
    m.as.log_end.term = term;
    m.as.log_end.last_index = index;
    m.as.log_end.last_term = last_term;
    solo_receive(&s, from, &m);
}

static void test_forgot_node_gives_no_vote_but_its_term(void **state)
{
    (void)state;
    forget(3);
    assert_true(solo_status(&s).forgot);
    assert_int_equal(replica_term(s.r), 3);
    assert_false(solo_gives_vote(&s, OTHER, 3, 100, 2, false));
    assert_false(solo_gives_vote(&s, OTHER, 2, 100, 2, true));
    assert_int_equal(solo_vote_result(&s, OTHER)->term, 3);
    assert_false(solo_gives_vote(&s, OTHER, 9, 100, 8, false));
    assert_int_equal(solo_vote_result(&s, OTHER)->term, 9);
    solo_close(&s);
}

static void test_forgot_node_does_not_campaign(void **state)
{
    struct wire_message m = solo_message(WIRE_TIMEOUT_NOW);
    (void)state;
    forget(3);
    solo_advance(&s, 5 * ELECTION_MS);
    assert_int_equal(solo_count(&s, 0, WIRE_REQUEST_VOTE), 0);
    assert_true(solo_count(&s, 0, WIRE_LOG_QUESTION) > 0);
    /* Not when it is told to, either. */
    solo_append(&s, LEADER, 3, 3, 2, 3, "", 3, 3);
    m.as.raft.timeout_now.term = 3;
    m.as.raft.timeout_now.last_log_index = 3;
    m.as.raft.timeout_now.last_log_term = 2;
    solo_receive(&s, LEADER, &m);
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 0, WIRE_REQUEST_VOTE), 0);
    solo_close(&s);
}

/* The old leader believes that we still hold what we acknowledged. */
static void test_forgot_old_leader_learns_the_new_term(void **state)
{
    (void)state;
    forget(3);
    solo_append(&s, LEADER, 2, 3, 2, 3, "c", 2, 3);
    solo_settle(&s);
    assert_int_equal(solo_append_result(&s, LEADER)->term, 3);
    assert_true(solo_append_result(&s, LEADER)->rejected > 0);
    solo_close(&s);
}

static void test_forgot_entries_of_the_old_terms_are_not_enough(void **state)
{
    (void)state;
    forget(3);
    solo_append(&s, LEADER, 4, 3, 2, 4, "cc", 2, 3);
    solo_settle(&s);
    raftlog_force_sync(s.r->log);
    solo_settle(&s);
    assert_true(raftlog_durable_index(s.r->log) >= 5);
    assert_true(solo_status(&s).forgot);
    assert_false(solo_gives_vote(&s, OTHER, 5, 100, 2, false));
    solo_close(&s);
}

static void test_forgot_entry_of_a_later_term_ends_it(void **state)
{
    (void)state;
    forget(3);
    solo_append(&s, LEADER, 4, 3, 2, 3, "b", 4, 3);
    solo_settle(&s);
    solo_advance(&s, 2 * TICK_MS);
    assert_false(solo_status(&s).forgot);
    assert_int_equal(raftlog_durable_index(s.r->log), 4);
    replica_peer(s.r, LEADER, false);
    solo_advance(&s, 3 * ELECTION_MS);
    assert_true(solo_count(&s, 0, WIRE_REQUEST_VOTE) > 0);
    solo_reopen(&s);
    assert_false(solo_status(&s).forgot);
    solo_close(&s);
}

/* Persisted is not durable: the next power cut would take it again. */
static void test_forgot_later_term_must_be_durable(void **state)
{
    (void)state;
    forget(3);
    solo_append(&s, LEADER, 4, 3, 2, 3, "b", 4, 3);
    for (unsigned i = 0; i < 1000 && raftlog_persisted_index(s.r->log) < 4;
         i++) {
        struct pollfd p = {replica_fd(s.r), POLLIN, 0};
        poll(&p, 1, 10);
        raftlog_poll(s.r->log); /* the sync it asks for is still under way */
    }
    assert_int_equal(raftlog_persisted_index(s.r->log), 4);
    assert_true(raftlog_durable_index(s.r->log) < 4);
    assert_true(solo_status(&s).forgot);
    solo_close(&s);
}

static void test_forgot_is_reported_again_after_each_crash(void **state)
{
    (void)state;
    forget(3);
    for (unsigned i = 0; i < 3; i++) {
        kill_process();
        solo_restart(&s);
        solo_settle(&s);
        assert_true(solo_status(&s).forgot);
        assert_int_equal(replica_term(s.r), 3); /* raised once */
    }
    lose_power();
    assert_true(solo_status(&s).forgot);
    assert_int_equal(replica_term(s.r), 4); /* what term 3 took is new */
    solo_close(&s);
}

static void test_forgot_all_answers_let_it_vote_for_the_best(void **state)
{
    (void)state;
    forget(3);
    tell(LEADER, 3, 7, 2);
    assert_false(
        solo_gives_vote(&s, LEADER, 4, 7, 2, false)); /* one is missing */
    tell(OTHER, 3, 9, 2);
    assert_false(solo_gives_vote(&s, LEADER, 5, 8, 2,
                                 false)); /* there is a better one */
    assert_true(solo_gives_vote(&s, OTHER, 6, 9, 2, false));
    assert_true(solo_status(&s).forgot);
    solo_close(&s);
}

static void test_forgot_answers_of_the_old_term_do_not_count(void **state)
{
    (void)state;
    forget(3);
    tell(LEADER, 3, 3, 2);
    tell(OTHER, 2, 3, 2); /* it may still acknowledge entries of term 2 */
    assert_false(solo_gives_vote(&s, OTHER, 4, 9, 2, false));
    tell(OTHER, 3, 3, 2);
    replica_peer(s.r, LEADER, false); /* who comes back may have forgotten */
    replica_peer(s.r, LEADER, true);
    assert_false(solo_gives_vote(&s, OTHER, 5, 9, 2, false));
    tell(LEADER, 3, 2, 2);
    assert_true(solo_gives_vote(&s, OTHER, 6, 9, 2, false));
    solo_close(&s);
}

static void test_forgot_best_of_all_campaigns(void **state)
{
    (void)state;
    forget(3);
    tell(LEADER, 3, 4, 2);
    tell(OTHER, 3, 2, 2);
    solo_advance(&s, 3 * ELECTION_MS);
    assert_int_equal(solo_count(&s, 0, WIRE_REQUEST_VOTE), 0);
    tell(LEADER, 3, 3, 2);
    solo_advance(&s, 3 * ELECTION_MS);
    assert_true(solo_count(&s, 0, WIRE_REQUEST_VOTE) > 0);
    solo_close(&s);
}

static void test_forgot_only_voter_goes_on(void **state)
{
    (void)state;
    solo_open(&s, 1, 1);
    s.options.sync.policy = RAFTLOG_SYNC_BATCH;
    solo_reopen(&s);
    solo_settle(&s);
    lose_power();
    assert_false(solo_status(&s).forgot);
    solo_advance(&s, ELECTION_MS);
    assert_true(replica_is_leader(s.r));
    solo_close(&s);
}

static void test_forgot_question_is_answered_in_its_term(void **state)
{
    const struct wire_message *told;
    struct wire_message m = solo_message(WIRE_LOG_QUESTION);
    (void)state;
    solo_follow(&s, 3);
    m.as.log_end.term = 7;
    solo_receive(&s, OTHER, &m);
    solo_settle(&s);
    /* There is a leader: it will come to terms with the other one. */
    told = solo_last(&s, OTHER, WIRE_LOG_ANSWER);
    assert_non_null(told);
    assert_int_equal(told->as.log_end.term, 2);
    assert_int_equal(told->as.log_end.last_index, 3);
    assert_int_equal(told->as.log_end.last_term, 2);
    solo_reopen(&s);
    solo_connect_all(&s);
    solo_receive(&s, OTHER, &m);
    solo_settle(&s);
    told = solo_last(&s, OTHER, WIRE_LOG_ANSWER);
    assert_non_null(told);
    assert_int_equal(told->as.log_end.term, 7);
    assert_false(solo_vote_result(&s, OTHER)->vote_granted);
    solo_close(&s);
}

/* A leader that it followed for a moment and whose entries never came: when too
 * many have forgotten, the others wait for its answer in their term. */
static void test_forgot_silent_leader_is_let_go(void **state)
{
    const struct wire_message *told;
    struct wire_message m = solo_message(WIRE_LOG_QUESTION);
    (void)state;
    forget(3);
    solo_append(&s, LEADER, 4, 9, 4, 3, "", 0, 3);
    solo_settle(&s);
    assert_true(solo_status(&s).forgot);
    assert_int_equal(replica_leader(s.r), LEADER);
    replica_peer(s.r, LEADER, false);
    solo_forget(&s);
    solo_advance(&s, 3 * ELECTION_MS);
    assert_int_equal(replica_leader(s.r), 0);
    assert_true(solo_count(&s, OTHER, WIRE_LOG_QUESTION) > 0);
    assert_int_equal(solo_count(&s, 0, WIRE_REQUEST_VOTE), 0);
    m.as.log_end.term = 7;
    solo_receive(&s, OTHER, &m);
    solo_settle(&s);
    told = solo_last(&s, OTHER, WIRE_LOG_ANSWER);
    assert_non_null(told);
    assert_int_equal(told->as.log_end.term, 7);
    solo_close(&s);
}

/* Others must not wait for a node that will not stand. */
static void test_forgot_node_is_never_the_chosen_one(void **state)
{
    const struct wire_message *m;
    (void)state;
    forget(3);
    solo_append(&s, LEADER, 3, 3, 2, 3, "", 3, 3);
    solo_settle(&s);
    assert_int_equal(replica_leader(s.r), LEADER);
    replica_peer(s.r, LEADER, false);
    solo_settle(&s);
    m = solo_last(&s, OTHER, WIRE_LEADER_LOST);
    assert_non_null(m);
    assert_int_equal(m->as.leader_lost.last_index, 0);
    assert_int_equal(m->as.leader_lost.last_term, 0);
    solo_close(&s);
}

static void test_forgot_configurations_are_durable_at_once(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.options.sync.policy = RAFTLOG_SYNC_INTERVAL;
    solo_reopen(&s);
    solo_connect_all(&s);
    solo_append(&s, LEADER, 2, 1, 1, 1, "cc", 2, 3);
    solo_settle(&s);
    assert_int_equal(raftlog_persisted_index(s.r->log), 3);
    assert_int_equal(raftlog_durable_index(s.r->log), 1);
    solo_append(&s, LEADER, 2, 3, 2, 3, "C", 2, 4);
    solo_settle(&s);
    assert_int_equal(raftlog_durable_index(s.r->log), 4);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forgot_node_gives_no_vote_but_its_term),
        cmocka_unit_test(test_forgot_node_does_not_campaign),
        cmocka_unit_test(test_forgot_old_leader_learns_the_new_term),
        cmocka_unit_test(test_forgot_entries_of_the_old_terms_are_not_enough),
        cmocka_unit_test(test_forgot_entry_of_a_later_term_ends_it),
        cmocka_unit_test(test_forgot_later_term_must_be_durable),
        cmocka_unit_test(test_forgot_is_reported_again_after_each_crash),
        cmocka_unit_test(test_forgot_all_answers_let_it_vote_for_the_best),
        cmocka_unit_test(test_forgot_answers_of_the_old_term_do_not_count),
        cmocka_unit_test(test_forgot_best_of_all_campaigns),
        cmocka_unit_test(test_forgot_only_voter_goes_on),
        cmocka_unit_test(test_forgot_question_is_answered_in_its_term),
        cmocka_unit_test(test_forgot_silent_leader_is_let_go),
        cmocka_unit_test(test_forgot_node_is_never_the_chosen_one),
        cmocka_unit_test(test_forgot_configurations_are_durable_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
