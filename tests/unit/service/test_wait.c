/* WAIT: what counts as reached, on the leader and through another node, when
 * it ends, and what it holds back. */
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

/* Another leads from now on. */
static void elect(struct node *n, uint64_t leader)
{
    n->replica.term++;
    n->replica.leader_id = leader;
    n->replica.leading = leader == n->replica.id;
    n->events.changed(n->events.ctx);
}

static void write_one(struct node *n, struct session *session)
{
    submit(session, "SET k v");
    settle(n);
    expect(session, "+OK\r\n");
}

static void pass(struct node *n, unsigned ms)
{
    n->now_ms += ms;
    service_timer(n->service);
}

static void others(struct node *n, uint64_t first, uint64_t second)
{
    n->replica.n_match = 2;
    n->replica.match[0] = first;
    n->replica.match[1] = second;
}

static void test_wait_reached_is_answered_at_once(void **state)
{
    struct node *n = *state;
    others(n, 1, 0);
    write_one(n, n->a);
    say(n->a, "WAIT 1 0", ":1\r\n");
    say(n->a, "WAIT 0 0", ":1\r\n");
    say(n->a, "WAIT -3 0", ":1\r\n");
    others(n, 1, 1);
    say(n->a, "WAIT 1 0", ":2\r\n");
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

static void test_wait_blocks_until_reached(void **state)
{
    struct node *n = *state;
    others(n, 1, 0);
    write_one(n, n->a);
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
    struct node *n = *state;
    others(n, 1, 0);
    write_one(n, n->a);
    say(n->a, "WAIT 2 25", "");
    pass(n, 24);
    expect(n->a, "");
    pass(n, 1);
    expect(n->a, ":1\r\n");
}

/* Acknowledged by a majority is not yet on those who were not in it. */
static void test_wait_counts_what_was_written_before(void **state)
{
    struct node *n = *state;
    others(n, 1, 1);
    write_one(n, n->a);
    write_one(n, n->a);
    say(n->a, "WAIT 1 10", "");
    others(n, 2, 1);
    pass(n, 10);
    expect(n->a, ":1\r\n");
}

static void test_wait_without_writes_counts_who_is_there(void **state)
{
    struct node *n = *state;
    others(n, 1, 0);
    write_one(n, n->b);
    write_one(n, n->b);
    say(n->a, "WAIT 0 0", ":1\r\n");
    say(n->a, "WAIT 1 0", ":1\r\n");
}

static void test_wait_holds_its_own_session_only(void **state)
{
    struct node *n = *state;
    others(n, 0, 0);
    write_one(n, n->a);
    submit(n->a, "WAIT 2 100");
    submit(n->a, "SET k w");
    submit(n->a, "PING");
    write_one(n, n->b);
    assert_int_equal(n->replica.n_entries, 2);
    pass(n, 100);
    settle(n);
    expect(n->a, ":0\r\n+OK\r\n+PONG\r\n");
}

static void test_wait_client_gone_ends_it(void **state)
{
    struct node *n = *state;
    others(n, 0, 0);
    write_one(n, n->a);
    say(n->a, "WAIT 2 0", "");
    session_close(n->a);
    n->a = NULL;
    pass(n, 10);
    assert_int_equal(service_pending(n->service), 0);
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

static void test_wait_end_of_node_answers(void **state)
{
    struct node *n = *state;
    others(n, 1, 0);
    write_one(n, n->a);
    say(n->a, "WAIT 2 0", "");
    n->events.drained(n->events.ctx);
    expect(n->a, ":1\r\n");
}

/* ---- through another node ---- */

/* The leader's answer to the last question. */
static void tell(struct node *n, uint64_t id, uint64_t commit, uint64_t first,
                 uint64_t second)
{
    uint8_t body[16];
    struct byte_writer w = byte_writer(body, sizeof body);
    struct wire_message m;
    byte_put_u64(&w, first);
    byte_put_u64(&w, second);
    memset(&m, 0, sizeof m);
    m.type = WIRE_MATCH_RESULT;
    m.from = 2;
    m.as.match.request_id = id;
    m.as.match.term = n->replica.term;
    m.as.match.commit = commit;
    m.as.match.body.data = body;
    m.as.match.body.size = sizeof body;
    n->events.message(n->events.ctx, &m, NULL);
}

static uint64_t asked(const struct node *n)
{
    const struct fake_frame *f = &n->replica.frames[n->replica.n_frames - 1];
    assert_true(n->replica.n_frames > 0);
    assert_int_equal(f->to, 2);
    assert_int_equal(f->m.type, WIRE_MATCH);
    assert_int_equal(f->m.as.match.term, n->replica.term);
    return f->m.as.match.request_id;
}

static void test_wait_follower_asks_the_leader(void **state)
{
    struct node *n = *state;
    write_one(n, n->a);
    elect(n, 2);
    say(n->a, "WAIT 1 0", "");
    tell(n, asked(n), 7, 6, 7);
    expect(n->a, ":1\r\n");
}

static void test_wait_follower_keeps_the_index_of_the_first_answer(void **state)
{
    struct node *n = *state;
    unsigned n_frames;
    write_one(n, n->a);
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
    struct node *n = *state;
    uint64_t id;
    write_one(n, n->a);
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
    struct node *n = *state;
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
    struct node *n = *state;
    write_one(n, n->a);
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
    struct node *n = *state;
    elect(n, 0);
    say(n->a, "WAIT 0 0", "");
    for (int i = 0; i < 500; i++) {
        pass(n, 10);
    }
    expect(n->a, ":0\r\n");
}

static void test_wait_leader_answers_other_nodes(void **state)
{
    struct node *n = *state;
    struct wire_message m;
    const struct fake_frame *f;
    struct byte_reader r;
    write_one(n, n->a);
    others(n, 1, 0);
    memset(&m, 0, sizeof m);
    m.type = WIRE_MATCH;
    m.from = 3;
    m.as.match.request_id = 5;
    m.as.match.term = n->replica.term - 1;
    n->events.message(n->events.ctx, &m, NULL);
    assert_int_equal(n->replica.n_frames, 0);
    m.as.match.term = n->replica.term;
    n->events.message(n->events.ctx, &m, NULL);
    assert_int_equal(n->replica.n_frames, 1);
    f = &n->replica.frames[0];
    assert_int_equal(f->to, 3);
    assert_int_equal(f->m.type, WIRE_MATCH_RESULT);
    assert_int_equal(f->m.as.match.request_id, 5);
    assert_int_equal(f->m.as.match.commit, 1);
    r = byte_reader(f->m.as.match.body.data, f->m.as.match.body.size);
    assert_int_equal(byte_get_u64(&r), 1);
    assert_int_equal(byte_get_u64(&r), 0);
    assert_int_equal(byte_left(&r), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
