/* Rounds of the read barrier on a leader: what confirms a read, what fails it,
 * when the round is repeated. The points of C-RAFT.md section 4 are named at
 * their tests. */
#include "tests/unit/service/read_barrier_fixture.h"

static void test_read_barrier_majority_answers_read_runs(void **state)
{
    struct node *n = open_leader(state);
    uint64_t sequence;
    ask(n, 0);
    assert_int_equal(n->n_sent, 0);
    flush(n);
    assert_int_equal(n->n_sent, 2);
    sequence = sent(n, 0, 2, WIRE_BARRIER_PING)->as.barrier.sequence;
    assert_int_equal(sent(n, 1, 3, WIRE_BARRIER_PING)->as.barrier.term, 5);
    assert_int_equal(n->status[0], PENDING);
    pong(n, 3, 5, sequence);
    assert_int_equal(n->status[0], 0);
    pong(n, 2, 5, sequence); /* late, harmless */
    assert_true(read_barrier_deadline_ms(n->barrier) == UINT64_MAX);
}

/* Point 1. */
static void test_read_barrier_own_term_not_committed_waits(void **state)
{
    struct node *n = open_leader(state);
    n->own_term_committed = false;
    ask(n, 0);
    read_index(n, 2, 9, 5);
    flush(n);
    assert_int_equal(n->n_sent, 0);
    n->own_term_committed = true;
    n->commit = 11;
    n->applied = 11;
    flush(n);
    assert_int_equal(n->n_sent, 2);
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(sent(n, 2, 2, WIRE_READ_INDEX_RESULT)->as.read_index.index,
                     11);
}

/* Point 2: R is the commit index at the start of the round, and the read waits
 * for the store to reach it. */
static void test_read_barrier_store_behind_waits_for_index(void **state)
{
    struct node *n = open_leader(state);
    n->commit = 15;
    ask_now(n, 0);
    n->commit = 20; /* later commits need not be waited for */
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], PENDING);
    apply(n, 14);
    assert_int_equal(n->status[0], PENDING);
    apply(n, 15);
    assert_int_equal(n->status[0], 0);
}

/* Point 3: an answer to an older sequence proves nothing for this read. */
static void test_read_barrier_old_sequence_is_not_counted(void **state)
{
    struct node *n = open_leader(state);
    ask_now(n, 0);
    ask(n, 1); /* behind the start of the round */
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->status[1], PENDING);
    flush(n);
    pong(n, 3, 5, FIRST_ID);
    pong(n, 2, 5, FIRST_ID - 1);
    assert_int_equal(n->status[1], PENDING);
    pong(n, 3, 5, FIRST_ID + 1);
    assert_int_equal(n->status[1], 0);
}

static void test_read_barrier_many_reads_share_one_round(void **state)
{
    struct node *n = open_leader(state);
    struct read_barrier_stats stats;
    ask_now(n, 0);
    for (unsigned i = 1; i < 6; i++) {
        ask_now(n, i); /* one outstanding, one queued */
    }
    assert_int_equal(n->n_sent, 2);
    pong(n, 2, 5, FIRST_ID);
    flush(n);
    assert_int_equal(n->n_sent, 4);
    pong(n, 2, 5, FIRST_ID + 1);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(n->status[i], 0);
        assert_int_equal(n->order[i], i);
    }
    read_barrier_get_stats(n->barrier, &stats);
    assert_int_equal(stats.n_rounds, 2);
    assert_int_equal(stats.n_confirmed, 6);
    assert_int_equal(stats.n_waiting, 0);
}

/* Points 4 and 8: the answer is the term of the moment, whatever the role and
 * whoever asks. */
static void test_read_barrier_ping_answers_current_term(void **state)
{
    struct node *n = open_follower(state);
    /* From one whom we do not take for the leader. */
    struct wire_message m = {.type = WIRE_BARRIER_PING, .from = 3};
    m.as.barrier.term = 5;
    m.as.barrier.sequence = 44;
    read_barrier_message(n->barrier, &m);
    assert_int_equal(sent(n, 0, 3, WIRE_BARRIER_PONG)->as.barrier.term, 5);
    assert_int_equal(n->sent[0].m.as.barrier.sequence, 44);
    n->term = 6;
    n->leader_id = 0;
    read_barrier_message(n->barrier, &m);
    assert_int_equal(sent(n, 1, 3, WIRE_BARRIER_PONG)->as.barrier.term, 6);
}

/* Point 5: a majority of the voters of now, ourselves only as one of them. */
static void test_read_barrier_latest_voters_are_counted(void **state)
{
    struct node *n = open_leader(state);
    ask_now(n, 0);
    n->n_voters = 4;
    n->voters[3] = 4;
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], PENDING); /* 2 of 4 */
    pong(n, 9, 5, FIRST_ID);                 /* no voter */
    assert_int_equal(n->status[0], PENDING);
    resend(n);
    assert_int_equal(n->n_sent, 2); /* the new voter is asked as well */
    sent(n, 0, 3, WIRE_BARRIER_PING);
    sent(n, 1, 4, WIRE_BARRIER_PING);
    pong(n, 4, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_leader_no_voter_is_not_counted(void **state)
{
    struct node *n = open_leader(state);
    n->n_voters = 3;
    n->voters[0] = 4;
    ask_now(n, 0);
    assert_int_equal(n->n_sent, 3);
    pong(n, 2, 5, FIRST_ID);
    pong(n, 2, 5, FIRST_ID); /* twice the same voter is one */
    assert_int_equal(n->status[0], PENDING);
    pong(n, 3, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_voter_removed_completes_round(void **state)
{
    struct node *n = open_leader(state);
    n->n_voters = 4;
    n->voters[3] = 4;
    ask_now(n, 0);
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], PENDING);
    n->n_voters = 3;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[0], 0);
}

/* Point 6: a higher answer fails the round; so does leading again in a later
 * term, also when nobody said that something has changed. */
static void test_read_barrier_higher_term_fails_read(void **state)
{
    struct node *n = open_leader(state);
    ask_now(n, 0);
    pong(n, 2, 6, FIRST_ID);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    pong(n, 3, 5, FIRST_ID);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
}

static void test_read_barrier_leader_again_fails_read(void **state)
{
    struct node *n = open_leader(state);
    ask_now(n, 0);
    n->term = 7;
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    ask_now(n, 1);
    n->term = 8;
    pong(n, 2, 8, FIRST_ID + 1); /* the right term now, not then */
    assert_int_equal(n->status[1], ERR_NOTLEADER);
}

static void test_read_barrier_step_down_fails_read(void **state)
{
    struct node *n = open_leader(state);
    ask(n, 0);
    read_index(n, 3, 31, 5);
    flush(n);
    n->n_sent = 0;
    follow(n, 5, 0);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    assert_int_equal(n->n_sent, 1);
    assert_answered(n, 0, 3, ERR_NOTLEADER);
}

/* What is confirmed stays so when leadership is lost before it is applied. */
static void test_read_barrier_confirmed_survives_step_down(void **state)
{
    struct node *n = open_leader(state);
    n->commit = 12;
    ask_now(n, 0);
    pong(n, 2, 5, FIRST_ID);
    follow(n, 6, 0);
    flush(n);
    assert_int_equal(n->status[0], PENDING);
    apply(n, 12);
    assert_int_equal(n->status[0], 0);
}

/* Point 7: while leadership is being handed over the node is leader still
 * (is_leader stays true) though no leader is named. */
static void test_read_barrier_transfer_read_runs(void **state)
{
    struct node *n = open_leader(state);
    n->leader_id = 0;
    ask_now(n, 0);
    read_barrier_changed(n->barrier);
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_lower_term_is_asked_again(void **state)
{
    struct node *n = open_leader(state);
    ask_now(n, 0);
    pong(n, 2, 4, FIRST_ID);
    assert_int_equal(n->status[0], PENDING);
    resend(n);
    assert_int_equal(n->n_sent, 2);
    pong(n, 2, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_lost_ping_is_sent_again(void **state)
{
    struct node *n = open_leader(state);
    n->down = true;
    ask_now(n, 0);
    assert_int_equal(read_barrier_deadline_ms(n->barrier),
                     BEGIN_MS + READ_BARRIER_RESEND_MS);
    n->down = false;
    read_barrier_timer(n->barrier); /* too early */
    assert_int_equal(n->n_sent, 0);
    resend(n);
    assert_int_equal(n->n_sent, 2);
    assert_int_equal(read_barrier_deadline_ms(n->barrier),
                     BEGIN_MS + 2 * READ_BARRIER_RESEND_MS);
    read_barrier_peer(n->barrier, 3, false);
    assert_int_equal(n->n_sent, 2);
    read_barrier_peer(n->barrier, 3, true);
    assert_int_equal(n->n_sent, 3);
    assert_int_equal(sent(n, 2, 3, WIRE_BARRIER_PING)->as.barrier.sequence,
                     FIRST_ID);
    pong(n, 3, 5, FIRST_ID);
    assert_int_equal(n->status[0], 0);
}

static void test_read_barrier_single_voter_runs_at_flush(void **state)
{
    struct node *n = open_leader(state);
    n->n_voters = 1;
    ask(n, 0);
    assert_int_equal(n->status[0], PENDING); /* never from inside add */
    flush(n);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->n_sent, 0);
}

static void test_read_barrier_restart_uses_other_ids(void **state)
{
    struct node *n = open_leader(state);
    ask_now(n, 0);
    assert_int_equal(n->sent[0].m.as.barrier.sequence, FIRST_ID);
    read_barrier_abandon(n->barrier);
    assert_int_equal(n->status[0], PENDING); /* a crash calls nobody */
    boot(n, 90000);
    ask_now(n, 1);
    pong(n, 2, 5, FIRST_ID); /* meant for the boot before */
    assert_int_equal(n->status[1], PENDING);
    pong(n, 2, 5, 90001);
    assert_int_equal(n->status[1], 0);
    /* Leader's pings and follower's requests share the numbers. */
    follow(n, 5, 2);
    n->n_sent = 0;
    ask_now(n, 2);
    assert_int_equal(sent(n, 0, 2, WIRE_READ_INDEX)->as.read_index.id, 90002);
}

static void test_read_barrier_queued_read_wakes_the_loop(void **state)
{
    struct node *n = open_leader(state);
    assert_true(read_barrier_deadline_ms(n->barrier) == UINT64_MAX);
    n->own_term_committed = false;
    ask_now(n, 0);
    assert_true(read_barrier_deadline_ms(n->barrier) == UINT64_MAX);
    n->own_term_committed = true;
    assert_int_equal(read_barrier_deadline_ms(n->barrier), 0);
    read_barrier_timer(n->barrier);
    assert_int_equal(n->n_sent, 0); /* it is flush that begins */
    flush(n);
    assert_int_equal(read_barrier_deadline_ms(n->barrier),
                     BEGIN_MS + READ_BARRIER_RESEND_MS);
}

static void test_read_barrier_close_calls_everything(void **state)
{
    struct node *n = open_leader(state);
    n->commit = 12;
    ask_now(n, 0);
    pong(n, 2, 5, FIRST_ID);  /* confirmed, not applied */
    ask_now(n, 1);            /* in the round */
    ask(n, 2);                /* queued */
    n->reads[2].again = true; /* refused while closing */
    shut(n);
    assert_int_equal(n->status[0], ERR_STOPPED);
    assert_int_equal(n->status[1], ERR_STOPPED);
    assert_int_equal(n->status[2], PENDING);
}

static void ignore(void *ctx, int status, uint64_t clock_ms)
{
    assert_int_equal(clock_ms, 0);
    (*(uint64_t *)ctx)++;
    assert_int_equal(status, ERR_STOPPED);
}

static void test_read_barrier_too_many_reads_are_refused(void **state)
{
    struct node *n = open_leader(state);
    uint64_t n_called = 0;
    for (uint64_t i = 0; i < READ_BARRIER_READS_MAX; i++) {
        assert_int_equal(read_barrier_add(n->barrier, false, ignore, &n_called),
                         0);
    }
    assert_int_equal(read_barrier_add(n->barrier, false, ignore, &n_called),
                     ERR_BUSY);
    shut(n);
    assert_int_equal(n_called, READ_BARRIER_READS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(majority_answers_read_runs),
        TEST(own_term_not_committed_waits),
        TEST(store_behind_waits_for_index),
        TEST(old_sequence_is_not_counted),
        TEST(many_reads_share_one_round),
        TEST(ping_answers_current_term),
        TEST(latest_voters_are_counted),
        TEST(leader_no_voter_is_not_counted),
        TEST(voter_removed_completes_round),
        TEST(higher_term_fails_read),
        TEST(leader_again_fails_read),
        TEST(step_down_fails_read),
        TEST(confirmed_survives_step_down),
        TEST(transfer_read_runs),
        TEST(lower_term_is_asked_again),
        TEST(lost_ping_is_sent_again),
        TEST(single_voter_runs_at_flush),
        TEST(restart_uses_other_ids),
        TEST(queued_read_wakes_the_loop),
        TEST(close_calls_everything),
        TEST(too_many_reads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
