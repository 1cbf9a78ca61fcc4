/* The read barrier between nodes: a follower asks the leader for the index, and
 * what the leader answers when. */
#include "tests/unit/service/read_barrier_fixture.h"

/* ---- at the follower ---- */

static void test_read_barrier_follower_asks_leader(void **state)
{
    struct node *n = open_follower(state);
    ask(n, 0);
    ask_now(n, 1);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(sent(n, 0, 2, WIRE_READ_INDEX)->as.read_index.term, 5);
    result(n, 2, FIRST_ID, 13, 0);
    assert_int_equal(n->learned_term, 5);
    assert_int_equal(n->learned_index, 13);
    assert_int_equal(n->status[0], PENDING);
    apply(n, 13);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->status[1], 0);
}

static void test_read_barrier_learned_may_apply_at_once(void **state)
{
    struct node *n = open_follower(state);
    n->apply_learned = true;
    ask_now(n, 0);
    result(n, 2, FIRST_ID, 13, 0);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_strange_result_is_ignored(void **state)
{
    struct node *n = open_follower(state);
    ask_now(n, 0);
    result(n, 2, FIRST_ID - 1, 10, 0); /* of an older round */
    result(n, 3, FIRST_ID, 10, 0);     /* not whom we asked */
    assert_int_equal(n->status[0], PENDING);
    result(n, 2, FIRST_ID, 10, 0);
    assert_int_equal(n->status[0], 0);
    result(n, 2, FIRST_ID, 10, 0); /* again: nothing waits */
}

static void test_read_barrier_leader_refuses_read_fails(void **state)
{
    struct node *n = open_follower(state);
    struct read_barrier_stats stats;
    ask_now(n, 0);
    result(n, 2, FIRST_ID, 0, ERR_NOTLEADER);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    read_barrier_get_stats(n->barrier, &stats);
    assert_int_equal(stats.n_failed, 1);
}

static void test_read_barrier_no_leader_fails_at_flush(void **state)
{
    struct node *n = open_follower(state);
    n->leader_id = 0;
    ask(n, 0);
    assert_int_equal(n->status[0], PENDING);
    flush(n);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    assert_int_equal(n->n_sent, 0);
}

static void test_read_barrier_other_leader_fails_read(void **state)
{
    struct node *n = open_follower(state);
    ask_now(n, 0);
    read_barrier_changed(n->barrier); /* nothing of ours */
    assert_int_equal(n->status[0], PENDING);
    follow(n, 6, 3);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    n->n_sent = 0;
    ask_now(n, 1);
    sent(n, 0, 3, WIRE_READ_INDEX);
    result(n, 2, FIRST_ID, 10, 0); /* the old leader's, too late */
    assert_int_equal(n->status[1], PENDING);
    result(n, 3, FIRST_ID + 1, 10, 0);
    assert_int_equal(n->status[1], 0);
}

static void test_read_barrier_lost_request_is_sent_again(void **state)
{
    struct node *n = open_follower(state);
    ask_now(n, 0);
    resend(n);
    read_barrier_peer(n->barrier, 3, true);
    assert_int_equal(n->n_sent, 1);
    read_barrier_peer(n->barrier, 2, true);
    assert_int_equal(n->n_sent, 2);
    assert_int_equal(sent(n, 1, 2, WIRE_READ_INDEX)->as.read_index.id,
                     FIRST_ID);
    result(n, 2, FIRST_ID, 10, 0);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_callback_may_ask_again(void **state)
{
    struct node *n = open_follower(state);
    ask(n, 0);
    n->reads[0].again = true;
    n->leader_id = 0;
    flush(n);
    assert_int_equal(n->status[0], PENDING); /* queued, not called in a loop */
    n->leader_id = 2;
    flush(n);
    result(n, 2, FIRST_ID, 10, 0);
    assert_int_equal(n->status[0], 0);
}

/* ---- at the leader ---- */

static void test_read_barrier_leader_confirms_before_answering(void **state)
{
    struct node *n = open_leader(state);
    read_index(n, 2, 31, 5);
    flush(n);
    assert_int_equal(n->n_sent, 2); /* pings only */
    read_index(n, 2, 31, 5);        /* sent again: the round answers it */
    n->commit = 20;
    n->n_sent = 0;
    pong(n, 3, 5, FIRST_ID);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(sent(n, 0, 2, WIRE_READ_INDEX_RESULT)->as.read_index.id,
                     31);
    assert_int_equal(n->sent[0].m.as.read_index.index, 10);
    assert_int_equal(n->sent[0].m.as.read_index.term, 5);
    assert_int_equal(n->sent[0].m.as.read_index.status, 0);
    flush(n);
    assert_int_equal(n->n_sent, 1); /* the repetition started no round */
}

static void test_read_barrier_newer_request_replaces_older(void **state)
{
    struct node *n = open_leader(state);
    read_index(n, 2, 31, 5);
    read_index(n, 2, 32, 5);
    flush(n);
    n->n_sent = 0;
    pong(n, 3, 5, FIRST_ID);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(n->sent[0].m.as.read_index.id, 32);
}

static void test_read_barrier_no_leader_refuses_request(void **state)
{
    struct node *n = open_follower(state);
    read_index(n, 3, 31, 5);
    assert_answered(n, 0, 3, ERR_NOTLEADER);
    assert_int_equal(n->sent[0].m.as.read_index.id, 31);
    /* A leader that is asked in a later term is one no more. */
    n->leading = true;
    read_index(n, 3, 32, 6);
    assert_int_equal(n->sent[1].m.as.read_index.status, ERR_NOTLEADER);
}

static void test_read_barrier_queue_after_step_down_is_refused(void **state)
{
    struct node *n = open_leader(state);
    n->own_term_committed = false;
    ask(n, 0);
    read_index(n, 3, 31, 5);
    read_index(n, 2, 41, 5);
    flush(n);
    follow(n, 6, 2);
    flush(n);
    assert_int_equal(n->n_sent, 3);
    assert_answered(n, 0, 3, ERR_NOTLEADER);
    sent(n, 1, 2, WIRE_READ_INDEX_RESULT);
    sent(n, 2, 2, WIRE_READ_INDEX); /* our own read goes on there */
    result(n, 2, FIRST_ID, 10, 0);
    assert_int_equal(n->status[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(follower_asks_leader),
        TEST(learned_may_apply_at_once),
        TEST(strange_result_is_ignored),
        TEST(leader_refuses_read_fails),
        TEST(no_leader_fails_at_flush),
        TEST(other_leader_fails_read),
        TEST(lost_request_is_sent_again),
        TEST(callback_may_ask_again),
        TEST(leader_confirms_before_answering),
        TEST(newer_request_replaces_older),
        TEST(no_leader_refuses_request),
        TEST(queue_after_step_down_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
