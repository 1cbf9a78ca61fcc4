/* WAIT: what counts as reached, on the leader and through another node, when
 * it ends, and what it holds back. */
#include "tests/unit/service/service_fixture.h"

/* How far the disks of the two others are. */
static void others(struct node *n, uint64_t first, uint64_t second)
{
    n->replica.n_match = 2;
    n->replica.match[0] = first;
    n->replica.match[1] = second;
}

static void test_wait_reached_is_answered_at_once(void **state)
{
    struct node *n = open_leader(state);
    others(n, 1, 0);
    run(n->a, "SET k v", OK);
    say(n->a, "WAIT 1 0", ":1\r\n");
    say(n->a, "WAIT 0 0", ":1\r\n");
    say(n->a, "WAIT -3 0", ":1\r\n");
    others(n, 1, 1);
    say(n->a, "WAIT 1 0", ":2\r\n");
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

static void test_wait_blocks_until_reached(void **state)
{
    struct node *n = open_leader(state);
    others(n, 1, 0);
    run(n->a, "SET k v", OK);
    say(n->a, "WAIT 2 0", "");
    for (int i = 0; i < 50; i++) {
        pass(n, 10);
    }
    expect(n->a, "");
    others(n, 1, 1);
    assert_true(service_deadline_ms(n->service) <= n->now_ms + WAIT_POLL_MS);
    pass(n, WAIT_POLL_MS);
    expect(n->a, ":2\r\n");
}

static void test_wait_time_limit_answers_the_count_so_far(void **state)
{
    struct node *n = open_leader(state);
    others(n, 1, 0);
    run(n->a, "SET k v", OK);
    say(n->a, "WAIT 2 25", "");
    pass(n, 24);
    expect(n->a, "");
    pass(n, 1);
    expect(n->a, ":1\r\n");
}

/* Acknowledged by a majority is not yet on those who were not in it. */
static void test_wait_counts_what_was_written_before(void **state)
{
    struct node *n = open_leader(state);
    others(n, 1, 1);
    run(n->a, "SET k v", OK);
    run(n->a, "SET k v", OK);
    say(n->a, "WAIT 1 10", "");
    others(n, 2, 1);
    pass(n, 10);
    expect(n->a, ":1\r\n");
}

static void test_wait_without_writes_counts_who_is_there(void **state)
{
    struct node *n = open_leader(state);
    others(n, 1, 0);
    run(n->b, "SET k v", OK);
    run(n->b, "SET k v", OK);
    say(n->a, "WAIT 0 0", ":1\r\n");
    say(n->a, "WAIT 1 0", ":1\r\n");
}

static void test_wait_holds_its_own_session_only(void **state)
{
    struct node *n = open_leader(state);
    others(n, 0, 0);
    run(n->a, "SET k v", OK);
    pipeline(n->a, "WAIT 2 100", "SET k w", "PING");
    run(n->b, "SET k v", OK);
    assert_int_equal(n->replica.n_entries, 2);
    pass(n, 100);
    settle(n);
    expect(n->a, ":0\r\n+OK\r\n+PONG\r\n");
}

static void test_wait_client_gone_ends_it(void **state)
{
    struct node *n = open_leader(state);
    others(n, 0, 0);
    run(n->a, "SET k v", OK);
    say(n->a, "WAIT 2 0", "");
    hang_up(n->a);
    pass(n, 10);
    assert_int_equal(service_pending(n->service), 0);
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

static void test_wait_end_of_node_answers(void **state)
{
    struct node *n = open_leader(state);
    others(n, 1, 0);
    run(n->a, "SET k v", OK);
    say(n->a, "WAIT 2 0", "");
    n->events.drained(n->events.ctx);
    expect(n->a, ":1\r\n");
}

/* ---- through another node ---- */

/* The leader's answer: how far it has committed, and the disks of two. */
static void tell(struct node *n, uint64_t id, uint64_t commit, uint64_t first,
                 uint64_t second)
{
    uint8_t body[16];
    struct byte_writer w = byte_writer(body, sizeof body);
    struct wire_message m = {.type = WIRE_MATCH_RESULT, .from = 2};
    byte_put_u64(&w, first);
    byte_put_u64(&w, second);
    m.as.match.request_id = id;
    m.as.match.term = n->replica.term;
    m.as.match.commit = commit;
    m.as.match.body.data = body;
    m.as.match.body.size = sizeof body;
    receive(n, &m);
}

/* The request id of the last question to the leader. */
static uint64_t asked(const struct node *n)
{
    const struct wire_message *m = last_frame(n, 2, WIRE_MATCH);
    assert_int_equal(m->as.match.term, n->replica.term);
    return m->as.match.request_id;
}

static void test_wait_follower_asks_the_leader(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k v", OK);
    elect(n, 2);
    say(n->a, "WAIT 1 0", "");
    tell(n, asked(n), 7, 6, 7);
    expect(n->a, ":1\r\n");
}

static void test_wait_follower_keeps_the_index_of_the_first_answer(void **state)
{
    struct node *n = open_leader(state);
    unsigned n_frames;
    run(n->a, "SET k v", OK);
    elect(n, 2);
    say(n->a, "WAIT 2 0", "");
    tell(n, asked(n), 7, 6, 7);
    expect(n->a, "");
    n_frames = n->replica.n_frames;
    pass(n, WAIT_POLL_MS);
    assert_int_equal(n->replica.n_frames, n_frames + 1);
    tell(n, asked(n), 900, 7, 800); /* others write on */
    expect(n->a, ":2\r\n");
}

static void test_wait_answer_to_an_older_question_does_not_count(void **state)
{
    struct node *n = open_leader(state);
    uint64_t id;
    run(n->a, "SET k v", OK);
    elect(n, 2);
    say(n->b, "WAIT 2 0", "");
    id = asked(n);
    say(n->a, "WAIT 2 0", "");
    tell(n, id, 3, 3, 3);
    expect(n->b, ":2\r\n");
    expect(n->a, "");
    pass(n, WAIT_POLL_MS);
    tell(n, asked(n), 7, 7, 7);
    expect(n->a, ":2\r\n");
}

static void test_wait_many_sessions_ask_once(void **state)
{
    struct node *n = open_leader(state);
    elect(n, 2);
    submit(n->a, "WAIT 1 0");
    submit(n->b, "WAIT 2 0");
    assert_int_equal(n->replica.n_frames, 1);
    for (int i = 0; i < 10; i++) {
        pass(n, WAIT_POLL_MS);
    }
    assert_in_range(n->replica.n_frames, 10, 12);
}

static void test_wait_new_leader_is_asked(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k v", OK);
    elect(n, 2);
    say(n->a, "WAIT 2 0", "");
    tell(n, asked(n), 7, 6, 7);
    elect(n, 0);
    pass(n, 50);
    elect(n, 1); /* this one */
    others(n, 7, 7);
    pass(n, WAIT_POLL_MS);
    expect(n->a, ":2\r\n");
}

static void test_wait_zero_without_leader_ends(void **state)
{
    struct node *n = open_leader(state);
    elect(n, 0);
    say(n->a, "WAIT 0 0", "");
    for (int i = 0; i < TIMEOUT_MS / 10; i++) {
        pass(n, 10);
    }
    expect(n->a, ":0\r\n");
}

static void test_wait_leader_answers_other_nodes(void **state)
{
    struct node *n = open_leader(state);
    struct wire_message m = {.type = WIRE_MATCH, .from = 3};
    const struct wire_message *result;
    struct byte_reader r;
    run(n->a, "SET k v", OK);
    others(n, 1, 0);
    m.as.match.request_id = 5;
    m.as.match.term = n->replica.term - 1;
    receive(n, &m);
    assert_int_equal(n->replica.n_frames, 0);
    m.as.match.term = n->replica.term;
    receive(n, &m);
    assert_int_equal(n->replica.n_frames, 1);
    result = frame(n, 0, 3, WIRE_MATCH_RESULT);
    assert_int_equal(result->as.match.request_id, 5);
    assert_int_equal(result->as.match.commit, 1);
    r = byte_reader(result->as.match.body.data, result->as.match.body.size);
    assert_int_equal(byte_get_u64(&r), 1);
    assert_int_equal(byte_get_u64(&r), 0);
    assert_int_equal(byte_left(&r), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_wait_reached_is_answered_at_once),
        TEST(test_wait_blocks_until_reached),
        TEST(test_wait_time_limit_answers_the_count_so_far),
        TEST(test_wait_counts_what_was_written_before),
        TEST(test_wait_without_writes_counts_who_is_there),
        TEST(test_wait_holds_its_own_session_only),
        TEST(test_wait_client_gone_ends_it),
        TEST(test_wait_end_of_node_answers),
        TEST(test_wait_follower_asks_the_leader),
        TEST(test_wait_follower_keeps_the_index_of_the_first_answer),
        TEST(test_wait_answer_to_an_older_question_does_not_count),
        TEST(test_wait_many_sessions_ask_once),
        TEST(test_wait_new_leader_is_asked),
        TEST(test_wait_zero_without_leader_ends),
        TEST(test_wait_leader_answers_other_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
