/* The leader's clock that a confirmed read is told, and reads that wait until
 * the state's clock is there. */
#include "tests/unit/service/read_barrier_fixture.h"

/* Start the queued round; give its sequence. */
static uint64_t start(struct node *n)
{
    n->n_sent = 0;
    flush(n);
    assert_int_equal(n->n_sent, 2);
    return sent(n, 0, 2, WIRE_BARRIER_PING)->as.barrier.sequence;
}

static void test_read_barrier_clock_is_of_the_start(void **state)
{
    struct node *n = open_leader(state);
    uint64_t sequence;
    n->clock_ms = 500;
    ask(n, 0);
    read_index(n, 3, 9, 5);
    sequence = start(n);
    n->clock_ms = 600;
    pong(n, 2, 5, sequence);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->told_ms[0], 500);
    assert_int_equal(
        sent(n, 2, 3, WIRE_READ_INDEX_RESULT)->as.read_index.clock_ms, 500);
    assert_int_equal(n->settle_clock_ms, 0); /* nobody asked for it */
}

static void test_read_barrier_follower_is_told_the_clock(void **state)
{
    struct node *n = open_follower(state);
    const struct wire_message *m;
    ask_with(n, 0, true);
    flush(n);
    m = sent(n, 0, 2, WIRE_READ_INDEX);
    assert_true(m->as.read_index.settle);
    result_at(n, 2, m->as.read_index.id, 10, 0, 777);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->told_ms[0], 777);
}

static void test_read_barrier_settle_waits_others_pass(void **state)
{
    struct node *n = open_leader(state);
    n->clock_ms = 500;
    ask_with(n, 0, true);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->status[0], PENDING);
    assert_int_equal(n->settle_clock_ms, 500);
    /* A round behind it. */
    ask(n, 1);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->status[1], 0);
    assert_int_equal(n->status[0], PENDING);
    n->settled = true;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->told_ms[0], 500);
}

/* The asker has to apply the entry that settled the clock, too. */
static void test_read_barrier_asker_gets_the_settled_index(void **state)
{
    struct node *n = open_leader(state);
    const struct wire_message *m;
    n->clock_ms = 500;
    read_index_with(n, 3, 9, 5, true);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->n_sent, 2); /* the pings */
    n->settled = true;
    n->commit = 11;
    apply(n, 11);
    assert_int_equal(n->n_sent, 3);
    m = sent(n, 2, 3, WIRE_READ_INDEX_RESULT);
    assert_int_equal(m->as.read_index.index, 11);
    assert_int_equal(m->as.read_index.clock_ms, 500);
}

static void test_read_barrier_step_down_ends_settling(void **state)
{
    struct node *n = open_leader(state);
    n->clock_ms = 500;
    ask_with(n, 0, true);
    read_index(n, 3, 9, 5);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->status[0], PENDING);
    follow(n, 6, 0);
    assert_int_equal(n->status[0], 0); /* confirmed, but not settled */
    assert_answered(n, 2, 3, 0);
    /* Leader again, in another term: not that of the round. */
    n->term = 7;
    n->leading = true;
    ask_with(n, 1, true);
    pong(n, 2, 7, start(n));
    assert_int_equal(n->status[1], PENDING);
    n->term = 9;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(clock_is_of_the_start),    TEST(follower_is_told_the_clock),
        TEST(settle_waits_others_pass), TEST(asker_gets_the_settled_index),
        TEST(step_down_ends_settling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
