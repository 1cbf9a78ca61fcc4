/* CONCORDKV: subcommands by name, and leadership handed over through any node,
 * with every way in which that can end. */
#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/service_private.h"

struct node {
    struct replica replica;
    struct service *service;
    struct replica_events events;
    uint64_t now_ms;
    struct session *a, *b;
};

static uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static uint64_t io_clock_ms(void *ctx)
{
    (void)ctx;
    return 1700000000000;
}

static uint64_t io_random(void *ctx)
{
    (void)ctx;
    return 100;
}

/* INFO and CONFIG of the shell. */
static void local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)ctx;
    (void)session;
    (void)argc;
    (void)argv;
    if (command->code == COMMAND_CODE_INFO) {
        resp_bulk(reply, "text", 4);
    } else if (command->code == COMMAND_CODE_CONFIG) {
        resp_array(reply, 2);
        resp_bulk(reply, "a", 1);
        resp_bulk(reply, "1", 1);
    } else {
        resp_error(reply, "ERR none");
    }
}

static void output(void *ctx)
{
    (void)ctx;
}

static int setup(void **state)
{
    struct node *n = calloc(1, sizeof *n);
    struct service_options options;
    struct replica_io io;
    memset(&options, 0, sizeof options);
    memset(&io, 0, sizeof io);
    if (n == NULL) {
        return -1;
    }
    n->now_ms = 10000;
    io.ctx = n;
    io.now_ms = io_now_ms;
    io.clock_ms = io_clock_ms;
    io.random = io_random;
    fake_open(&n->replica, 1);
    if (service_new(&options, &io, local, n, &n->service) != 0) {
        return -1;
    }
    service_events(n->service, &n->events);
    if (session_open(n->service, output, n, &n->a) != 0 ||
        session_open(n->service, output, n, &n->b) != 0) {
        return -1;
    }
    service_attach(n->service, &n->replica);
    n->replica.term = 5;
    n->replica.leader_id = 1;
    n->replica.leading = true;
    n->events.changed(n->events.ctx);
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct node *n = *state;
    if (n->a != NULL) {
        session_close(n->a);
    }
    session_close(n->b);
    service_free(n->service);
    fake_close(&n->replica);
    free(n);
    return 0;
}

static void submit(struct session *session, const char *line)
{
    struct bytes argv[16];
    uint32_t argc = 0;
    char copy[256];
    char *save = NULL;
    assert_true(strlen(line) < sizeof copy);
    strcpy(copy, line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save)) {
        argv[argc].data = (const uint8_t *)w;
        argv[argc++].size = strlen(w);
    }
    session_submit(session, argc, argv);
}

static void expect(struct session *session, const char *text)
{
    struct buffer *out = session_output(session);
    char got[4096];
    size_t size = buffer_size(out);
    assert_true(size < sizeof got);
    if (size > 0) {
        memcpy(got, buffer_data(out), size);
    }
    got[size] = '\0';
    buffer_consume(out, size);
    assert_string_equal(got, text);
}

static void say(struct session *session, const char *line, const char *text)
{
    submit(session, line);
    expect(session, text);
}

/* Apply what was proposed, confirm what was asked. */
static void settle(struct node *n)
{
    struct replica *r = &n->replica;
    while (r->n_applied < r->n_entries) {
        struct fake_entry *e = &r->entries[r->n_applied++];
        fake_apply(r, &n->events, e->term, e->block, e->size);
    }
    while (r->n_called < r->n_reads) {
        r->n_called++;
        r->reads[r->n_called - 1].cb(r->reads[r->n_called - 1].ctx, 0, 0);
    }
}

static void test_operator_unknown_subcommand_is_refused(void **state)
{
    struct node *n = *state;
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
    struct node *n = *state;
    struct buffer *out = session_output(n->a);
    char text[4096];
    submit(n->a, "concordkv help");
    assert_in_range(buffer_size(out), 1, sizeof text - 1);
    memcpy(text, buffer_data(out), buffer_size(out));
    text[buffer_size(out)] = '\0';
    assert_int_equal(text[0], '*');
    assert_non_null(strstr(text, "+LEADER TRANSFER [<id>]\r\n"));
    assert_non_null(strstr(text, "+HELP\r\n"));
}

static void test_operator_compact_answers_when_it_is_done(void **state)
{
    struct node *n = *state;
    n->replica.index = 7;
    submit(n->a, "concordkv compact");
    expect(n->a, "");
    n->now_ms += 20;
    service_timer(n->service);
    expect(n->a, ":7\r\n");
    submit(n->a, "concordkv compact"); /* nothing has come since */
    expect(n->a, ":7\r\n");
}

static void test_operator_compact_that_fails_is_said(void **state)
{
    struct node *n = *state;
    n->replica.index = 7;
    n->replica.compact_rv = ERR_BUSY;
    submit(n->a, "concordkv compact");
    n->replica.compacted = 0;
    n->replica.n_compact_failed = 1;
    n->now_ms += 20;
    service_timer(n->service);
    expect(n->a, "-ERR the snapshot failed; the node's event lines say why "
                 "(snapshot_failed)\r\n");
}

static void test_operator_log_list_names_each_file(void **state)
{
    struct node *n = *state;
    n->replica.index = 9;
    submit(n->a, "concordkv log list");
    expect(n->a, "*1\r\n$99\r\nfile=00000000000000000001-0000000002.seg "
                 "first=1 last=9 bytes=65536 used=8192 state=active,unsynced"
                 "\r\n");
}

/* Another leads from now on. */
static void elect(struct node *n, uint64_t leader)
{
    n->replica.term++;
    n->replica.leader_id = leader;
    n->replica.leading = leader == n->replica.id;
    n->events.changed(n->events.ctx);
}

static void test_operator_log_list_leaves_no_file_out(void **state)
{
    struct node *n = *state;
    n->replica.n_log_files = 5000;
    submit(n->a, "CONCORDKV LOG LIST");
    assert_memory_equal(buffer_data(session_output(n->a)), "*5000\r\n", 7);
    buffer_clear(session_output(n->a));
}

static void test_operator_leader_hands_over(void **state)
{
    struct node *n = *state;
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
    struct node *n = *state;
    say(n->a, "concordkv leader transfer", "");
    assert_int_equal(n->replica.n_transfers, 1);
    assert_int_equal(n->replica.transfer_to, 0);
    elect(n, 3);
    expect(n->a, ":3\r\n");
}

static void test_operator_another_elected_is_said(void **state)
{
    struct node *n = *state;
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
    struct node *n = *state;
    n->replica.transfer_rv = ERR_NOTFOUND;
    say(n->a, "CONCORDKV LEADER TRANSFER 9", "-ERR refused by the test\r\n");
}

static void test_operator_given_up_is_said(void **state)
{
    struct node *n = *state;
    say(n->a, "CONCORDKV LEADER TRANSFER 2", "");
    n->events.transferred(n->events.ctx, false);
    expect(n->a, "-ERR leadership was not handed over in time; node 1 still "
                 "leads\r\n");
}

static void test_operator_requests_behind_wait_for_it(void **state)
{
    struct node *n = *state;
    submit(n->a, "SET k v");
    submit(n->a, "CONCORDKV LEADER TRANSFER");
    submit(n->a, "PING");
    submit(n->a, "SET k w");
    assert_int_equal(n->replica.n_transfers, 0);
    assert_int_equal(n->replica.n_entries, 1);
    settle(n);
    expect(n->a, "+OK\r\n");
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
    struct node *n = *state;
    submit(n->a, "CONCORDKV LEADER TRANSFER");
    submit(n->a, "SET k w");
    session_close(n->a);
    n->a = NULL;
    elect(n, 2);
    n->events.transferred(n->events.ctx, true);
    assert_int_equal(service_pending(n->service), 0);
}

/* ---- through another node ---- */

static void follow(struct node *n, uint64_t leader)
{
    elect(n, leader);
    n->replica.n_frames = 0;
}

static const struct wire_message *last_frame(const struct node *n, uint64_t to)
{
    const struct fake_frame *f = &n->replica.frames[n->replica.n_frames - 1];
    assert_true(n->replica.n_frames > 0);
    assert_int_equal(f->to, to);
    return &f->m;
}

static void refuse(struct node *n, uint64_t from, uint64_t id, uint64_t term,
                   int status, const char *text)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_TRANSFER_RESULT;
    m.from = from;
    m.as.transfer.request_id = id;
    m.as.transfer.term = term;
    m.as.transfer.status = status;
    m.as.transfer.text.data = (const uint8_t *)text;
    m.as.transfer.text.size = strlen(text);
    n->events.message(n->events.ctx, &m, NULL);
}

static void test_operator_follower_passes_it_to_the_leader(void **state)
{
    struct node *n = *state;
    const struct wire_message *m;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 1");
    m = last_frame(n, 2);
    assert_int_equal(m->type, WIRE_TRANSFER);
    assert_int_equal(m->as.transfer.term, n->replica.term);
    assert_int_equal(m->as.transfer.target, 1);
    expect(n->a, "");
    elect(n, 1);
    expect(n->a, ":1\r\n");
}

static void test_operator_old_leader_of_new_term_is_not_believed(void **state)
{
    struct node *n = *state;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 3");
    elect(n, 2); /* only voted */
    expect(n->a, "");
    n->replica.leader_id = 3;
    n->events.changed(n->events.ctx);
    expect(n->a, ":3\r\n");
}

static void test_operator_same_leader_at_time_limit_is_said(void **state)
{
    struct node *n = *state;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 3");
    elect(n, 2);
    n->now_ms += 5000;
    service_timer(n->service);
    expect(n->a, "-ERR leadership was not handed over as asked: node 2 was "
                 "elected\r\n");
}

static void test_operator_refusal_over_the_wire_is_escaped(void **state)
{
    struct node *n = *state;
    const struct wire_message *m;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 9");
    m = last_frame(n, 2);
    refuse(n, 2, m->as.transfer.request_id + 1, m->as.transfer.term,
           ERR_NOTFOUND, "of another request");
    expect(n->a, "");
    refuse(n, 2, m->as.transfer.request_id, m->as.transfer.term, ERR_NOTFOUND,
           "no node 9\r\n+OK");
    expect(n->a, "-ERR no node 9\\x0d\\x0a+OK\r\n");
}

static void test_operator_leader_of_yesterday_is_asked_no_more(void **state)
{
    struct node *n = *state;
    const struct wire_message *m;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER 3");
    m = last_frame(n, 2);
    refuse(n, 2, m->as.transfer.request_id, m->as.transfer.term, ERR_NOTLEADER,
           "the term has ended");
    expect(n->a, "");
    n->replica.leader_id = 4;
    n->now_ms += 100;
    service_timer(n->service);
    m = last_frame(n, 4);
    assert_int_equal(m->as.transfer.target, 3);
    elect(n, 3);
    expect(n->a, ":3\r\n");
}

static void test_operator_time_limit_without_leader(void **state)
{
    struct node *n = *state;
    follow(n, 0);
    submit(n->a, "CONCORDKV LEADER TRANSFER");
    for (int i = 0; i < 300 && service_pending(n->service) > 0; i++) {
        assert_true(service_deadline_ms(n->service) <= n->now_ms + 20);
        n->now_ms += 20;
        service_timer(n->service);
    }
    expect(n->a, "-CLUSTERDOWN no leader to be reached for 5000 ms; try "
                 "again\r\n");
}

static void test_operator_time_limit_after_it_was_asked(void **state)
{
    struct node *n = *state;
    follow(n, 2);
    submit(n->a, "CONCORDKV LEADER TRANSFER");
    n->now_ms += 5000;
    assert_true(service_deadline_ms(n->service) <= n->now_ms);
    service_timer(n->service);
    expect(n->a, "-UNKNOWN leadership may or may not move: node 2 was asked "
                 "and no other was seen to lead within 5000 ms\r\n");
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

/* ---- as the leader that was asked by another node ---- */

static void ask(struct node *n, uint64_t from, uint64_t term, uint64_t target)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_TRANSFER;
    m.from = from;
    m.as.transfer.request_id = 77;
    m.as.transfer.term = term;
    m.as.transfer.target = target;
    n->events.message(n->events.ctx, &m, NULL);
}

static void assert_refused(const struct node *n, uint64_t to, int status,
                           const char *text)
{
    const struct wire_message *m = last_frame(n, to);
    assert_int_equal(m->type, WIRE_TRANSFER_RESULT);
    assert_int_equal(m->as.transfer.request_id, 77);
    assert_int_equal(m->as.transfer.status, status);
    assert_int_equal(m->as.transfer.text.size, strlen(text));
    assert_memory_equal(m->as.transfer.text.data, text, strlen(text));
}

static void test_operator_leader_serves_other_nodes(void **state)
{
    struct node *n = *state;
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
