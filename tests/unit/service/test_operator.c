/* CONCORDKV: subcommands by name, and leadership handed over through any node,
 * with every way in which that can end. */
#include "tests/unit/service/service_fixture.h"

static void test_operator_unknown_subcommand_is_refused(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CONCORDKV",
        "-ERR wrong number of arguments for 'concordkv' command\r\n");
    say(n->a, "CONCORDKV FOO",
        "-ERR unknown subcommand 'FOO'. Try CONCORDKV HELP.\r\n");
    say(n->a, "CONCORDKV LEADER",
        "-ERR unknown subcommand 'LEADER'. Try CONCORDKV HELP.\r\n");
    say(n->a, "CONCORDKV LEADER TRANSFER 1 2",
        "-ERR wrong number of arguments; it is CONCORDKV LEADER TRANSFER "
        "[<id>]\r\n");
    say(n->a, "CONCORDKV LEADER TRANSFER two",
        "-ERR node id is not a number from 1\r\n");
    say(n->a, "CONCORDKV LEADER TRANSFER 0",
        "-ERR node id is not a number from 1\r\n");
    assert_int_equal(n->replica.n_transfers, 0);
}

static void test_operator_help_names_each_subcommand(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "concordkv help");
    assert_shows(n->a, "+LEADER TRANSFER [<id>]\r\n");
    assert_shows(n->a, "+HELP\r\n");
    expect_prefix(n->a, "*");
}

static void test_operator_compact_answers_when_it_is_done(void **state)
{
    struct node *n = open_leader(state);
    n->replica.index = 7;
    submit(n->a, "concordkv compact");
    expect(n->a, "");
    pass(n, 20);
    expect(n->a, ":7\r\n");
    submit(n->a, "concordkv compact"); /* nothing has come since */
    expect(n->a, ":7\r\n");
}

static void test_operator_compact_that_fails_is_said(void **state)
{
    struct node *n = open_leader(state);
    n->replica.index = 7;
    n->replica.compact_rv = ERR_BUSY;
    submit(n->a, "concordkv compact");
    n->replica.compacted = 0;
    n->replica.n_compact_failed = 1;
    pass(n, 20);
    expect(n->a, "-ERR the snapshot failed; the node's event lines say why "
                 "(snapshot_failed)\r\n");
}

static void test_operator_log_list_names_each_file(void **state)
{
    struct node *n = open_leader(state);
    n->replica.index = 9;
    submit(n->a, "concordkv log list");
    expect(n->a, "*1\r\n$110\r\nfile=00000000000000000001-0000000002.seg "
                 "first=1 last=9 bytes=65536 used=8192 state=active,unsynced "
                 "sealed_s=0\r\n");
}

static void test_operator_log_list_leaves_no_file_out(void **state)
{
    struct node *n = open_leader(state);
    n->replica.n_log_files = 5000;
    submit(n->a, "CONCORDKV LOG LIST");
    expect_prefix(n->a, "*5000\r\n");
}

static void test_operator_leader_hands_over(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CONCORDKV LEADER TRANSFER 2", "");
    assert_int_equal(n->replica.transfer_to, 2);
    elect(n, 0);
    expect(n->a, "");
    elect(n, 2);
    expect(n->a, ":2\r\n");
    n->events.transferred(n->events.ctx, true);
    expect(n->a, "");
}

static void test_operator_transfer_to_anyone(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "concordkv leader transfer", "");
    assert_int_equal(n->replica.n_transfers, 1);
    assert_int_equal(n->replica.transfer_to, 0);
    elect(n, 3);
    expect(n->a, ":3\r\n");
}

static void test_operator_another_elected_is_said(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CONCORDKV LEADER TRANSFER 2", "");
    elect(n, 3);
    expect(n->a, "-ERR leadership was not handed over as asked: node 3 was "
                 "elected\r\n");
    elect(n, 1);
    say(n->a, "CONCORDKV LEADER TRANSFER", "");
    elect(n, 1); /* it came back */
    expect(n->a, "-ERR leadership was not handed over as asked: node 1 was "
                 "elected\r\n");
}

static void test_operator_refusal_of_leader_is_passed_on(void **state)
{
    struct node *n = open_leader(state);
    n->replica.transfer_rv = ERR_NOTFOUND;
    say(n->a, "CONCORDKV LEADER TRANSFER 9", "-ERR refused by the test\r\n");
}

static void test_operator_given_up_is_said(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CONCORDKV LEADER TRANSFER 2", "");
    n->events.transferred(n->events.ctx, false);
    expect(n->a, "-ERR leadership was not handed over in time; node 1 still "
                 "leads\r\n");
}

static void test_operator_requests_behind_wait_for_it(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "SET k v", "CONCORDKV LEADER TRANSFER", "PING", "SET k w");
    assert_int_equal(n->replica.n_transfers, 0);
    assert_int_equal(n->replica.n_entries, 1);
    settle(n);
    expect(n->a, OK);
    assert_int_equal(n->replica.n_transfers, 1);
    assert_int_equal(n->replica.n_entries, 1);
    n->events.transferred(n->events.ctx, false);
    assert_int_equal(n->replica.n_entries, 2);
    settle(n);
    expect(n->a, "-ERR leadership was not handed over in time; node 1 still "
                 "leads\r\n+PONG\r\n+OK\r\n");
}

static void test_operator_client_gone_forgets_it(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "CONCORDKV LEADER TRANSFER", "SET k w");
    hang_up(n->a);
    elect(n, 2);
    n->events.transferred(n->events.ctx, true);
    assert_int_equal(service_pending(n->service), 0);
}

/* ---- through another node ---- */

/* Only what is sent from now on counts. */
static void follow(struct node *n, uint64_t leader)
{
    elect(n, leader);
    n->replica.n_frames = 0;
}

/* What node `to` was asked last. */
static const struct wire_message *question(const struct node *n, uint64_t to)
{
    return last_frame(n, to, WIRE_TRANSFER);
}

/* Node 2 answers the question, or that of another request. */
static void refuse(struct node *n, const struct wire_message *question,
                   uint64_t request_id, int status, const char *text)
{
    struct wire_message m = {.type = WIRE_TRANSFER_RESULT, .from = 2};
    m.as.transfer.request_id = request_id;
    m.as.transfer.term = question->as.transfer.term;
    m.as.transfer.status = status;
    m.as.transfer.text.data = (const uint8_t *)text;
    m.as.transfer.text.size = strlen(text);
    receive(n, &m);
}

static void test_operator_follower_passes_it_to_the_leader(void **state)
{
    struct node *n = open_leader(state);
    const struct wire_message *m;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 1");
    m = question(n, 2);
    assert_int_equal(m->as.transfer.term, n->replica.term);
    assert_int_equal(m->as.transfer.target, 1);
    expect(n->a, "");
    elect(n, 1);
    expect(n->a, ":1\r\n");
}

static void test_operator_old_leader_of_new_term_is_not_believed(void **state)
{
    struct node *n = open_leader(state);
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 3");
    elect(n, 2); /* only voted */
    expect(n->a, "");
    changed(n, n->replica.term, 3);
    expect(n->a, ":3\r\n");
}

static void test_operator_same_leader_at_time_limit_is_said(void **state)
{
    struct node *n = open_leader(state);
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 3");
    elect(n, 2);
    pass(n, TIMEOUT_MS);
    expect(n->a, "-ERR leadership was not handed over as asked: node 2 was "
                 "elected\r\n");
}

static void test_operator_refusal_over_the_wire_is_escaped(void **state)
{
    struct node *n = open_leader(state);
    const struct wire_message *m;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 9");
    m = question(n, 2);
    refuse(n, m, m->as.transfer.request_id + 1, ERR_NOTFOUND,
           "of another request");
    expect(n->a, "");
    refuse(n, m, m->as.transfer.request_id, ERR_NOTFOUND, "no node 9\r\n+OK");
    expect(n->a, "-ERR no node 9\\x0d\\x0a+OK\r\n");
}

static void test_operator_leader_of_yesterday_is_asked_no_more(void **state)
{
    struct node *n = open_leader(state);
    const struct wire_message *m;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 3");
    m = question(n, 2);
    refuse(n, m, m->as.transfer.request_id, ERR_NOTLEADER,
           "the term has ended");
    expect(n->a, "");
    n->replica.leader_id = 4;
    pass(n, 100);
    assert_int_equal(question(n, 4)->as.transfer.target, 3);
    elect(n, 3);
    expect(n->a, ":3\r\n");
}

static void test_operator_time_limit_without_leader(void **state)
{
    struct node *n = open_leader(state);
    follow(n, 0);
    submit(n->a, "CONCORDKV LEADER TRANSFER");
    for (int i = 0; i < 60 && service_pending(n->service) > 0; i++) {
        assert_true(service_deadline_ms(n->service) <= n->now_ms + 20);
        pass(n, 20);
    }
    expect(n->a, "-CLUSTERDOWN no leader to be reached for 1000 ms; try "
                 "again\r\n");
}

static void test_operator_time_limit_after_it_was_asked(void **state)
{
    struct node *n = open_leader(state);
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-UNKNOWN leadership may or may not move: node 2 was asked "
                 "and no other was seen to lead within 1000 ms\r\n");
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

/* ---- as the leader that was asked by another node ---- */

static void ask(struct node *n, uint64_t from, uint64_t term, uint64_t target)
{
    struct wire_message m = {.type = WIRE_TRANSFER, .from = from};
    m.as.transfer.request_id = 77;
    m.as.transfer.term = term;
    m.as.transfer.target = target;
    receive(n, &m);
}

static void assert_refused(const struct node *n, uint64_t to, int status,
                           const char *text)
{
    const struct wire_message *m = last_frame(n, to, WIRE_TRANSFER_RESULT);
    assert_int_equal(m->as.transfer.request_id, 77);
    assert_int_equal(m->as.transfer.status, status);
    assert_int_equal(m->as.transfer.text.size, strlen(text));
    assert_memory_equal(m->as.transfer.text.data, text, strlen(text));
}

static void test_operator_leader_serves_other_nodes(void **state)
{
    struct node *n = open_leader(state);
    ask(n, 3, n->replica.term, 2);
    assert_int_equal(n->replica.transfer_to, 2);
    assert_int_equal(n->replica.n_frames, 0);
    n->events.transferred(n->events.ctx, false);
    assert_refused(n, 3, ERR_AGAIN,
                   "leadership was not handed over in time; "
                   "node 1 still leads");
    n->replica.transfer_rv = ERR_BUSY;
    ask(n, 2, n->replica.term, 0);
    assert_refused(n, 2, ERR_BUSY, "refused by the test");
    n->replica.transfer_rv = 0;
    ask(n, 2, n->replica.term - 1, 0);
    assert_refused(n, 2, ERR_NOTLEADER, "the term has ended");
    assert_int_equal(n->replica.n_transfers, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_operator_unknown_subcommand_is_refused),
        TEST(test_operator_help_names_each_subcommand),
        TEST(test_operator_compact_answers_when_it_is_done),
        TEST(test_operator_compact_that_fails_is_said),
        TEST(test_operator_log_list_names_each_file),
        TEST(test_operator_log_list_leaves_no_file_out),
        TEST(test_operator_leader_hands_over),
        TEST(test_operator_transfer_to_anyone),
        TEST(test_operator_another_elected_is_said),
        TEST(test_operator_refusal_of_leader_is_passed_on),
        TEST(test_operator_given_up_is_said),
        TEST(test_operator_requests_behind_wait_for_it),
        TEST(test_operator_client_gone_forgets_it),
        TEST(test_operator_follower_passes_it_to_the_leader),
        TEST(test_operator_old_leader_of_new_term_is_not_believed),
        TEST(test_operator_same_leader_at_time_limit_is_said),
        TEST(test_operator_refusal_over_the_wire_is_escaped),
        TEST(test_operator_leader_of_yesterday_is_asked_no_more),
        TEST(test_operator_time_limit_without_leader),
        TEST(test_operator_time_limit_after_it_was_asked),
        TEST(test_operator_leader_serves_other_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
