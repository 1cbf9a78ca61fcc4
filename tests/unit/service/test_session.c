/* Sessions: program order, replies in the order of the requests, limits, and
 * clients that go while their requests are under way. */
#include "tests/unit/service/service_fixture.h"

/* ---- order ---- */

static void test_session_write_on_leader_answers_when_applied(void **state)
{
    struct node *n = open_leader(state);
    assert_true(submit(n->a, "SET k v"));
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.entries[0].term, 5);
    expect(n->a, "");
    assert_int_equal(service_pending(n->service), 1);
    apply(n, 1);
    expect(n->a, OK);
    assert_int_equal(n->a->n_output, 1);
    assert_int_equal(service_pending(n->service), 0);
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
}

static void test_session_pipelined_writes_go_together(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "INCR n", "INCR n");
    submit(n->b, "INCR n");
    submit(n->a, "INCR n");
    assert_int_equal(n->replica.n_entries, 4);
    apply(n, 4);
    expect(n->a, ":1\r\n:2\r\n:4\r\n");
    expect(n->b, ":3\r\n");
}

static void test_session_read_after_write_waits_for_it(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "SET k v", "GET k", "GET k");
    assert_int_equal(n->replica.n_reads, 0);
    apply(n, 1);
    expect(n->a, OK);
    assert_int_equal(n->replica.n_reads, 2);
    confirm(n, 0);
    confirm(n, 0);
    expect(n->a, "$1\r\nv\r\n$1\r\nv\r\n");
}

static void test_session_write_after_read_waits_for_it(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "GET k", "SET k v", "GET k");
    assert_int_equal(n->replica.n_entries, 0);
    confirm(n, 0);
    expect(n->a, NONE);
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.n_reads, 1);
    apply(n, 1);
    confirm(n, 0);
    expect(n->a, "+OK\r\n$1\r\nv\r\n");
}

static void test_session_reads_run_in_order(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "GET k", "EXISTS k");
    n->replica.n_called = 1; /* the second is confirmed first */
    confirm(n, 0);
    expect(n->a, "");
    submit(n->b, "SET k v");
    apply(n, 1);
    n->replica.n_called = 0;
    confirm(n, 0);
    expect(n->a, "$1\r\nv\r\n:1\r\n");
    expect(n->b, OK);
}

static void test_session_local_replies_keep_their_place(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "SET k v", "PING", "NONSENSE", "SET k");
    submit(n->a, "INCR n"); /* none of them holds it up */
    assert_int_equal(n->replica.n_entries, 2);
    submit(n->b, "PING");
    expect(n->b, PONG);
    expect(n->a, "");
    apply(n, 2);
    expect(n->a, "+OK\r\n+PONG\r\n"
                 "-ERR unknown command 'NONSENSE', with args beginning with: "
                 "\r\n"
                 "-ERR wrong number of arguments for 'set' command\r\n"
                 ":1\r\n");
}

static void test_session_info_waits_for_its_turn(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "SET k v", "INFO keyspace", "CONFIG GET save");
    expect(n->a, "");
    apply(n, 1);
    assert_shows(n->a, "\r\nkeys:1\r\n");
    assert_shows(n->a, "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    expect_prefix(n->a, OK);
}

static void test_session_quit_ends_after_replies(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "SET k v");
    assert_false(submit(n->a, "QUIT"));
    assert_false(session_finished(n->a->session));
    assert_false(submit(n->a, "SET k w"));
    apply(n, 1);
    expect(n->a, OK OK);
    assert_true(session_finished(n->a->session));
    assert_int_equal(n->replica.n_entries, 1);
}

static void test_session_protocol_error_goes_out_last(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "SET k v");
    session_fail(n->a->session, "ERR Protocol error: bad");
    session_fail(n->a->session, "ERR Protocol error: bad");
    assert_false(session_ready(n->a->session));
    assert_false(session_finished(n->a->session));
    apply(n, 1);
    expect(n->a, "+OK\r\n-ERR Protocol error: bad\r\n");
    assert_true(session_finished(n->a->session));
}

static void test_session_not_attached_waits(void **state)
{
    struct node *n = open_detached(state, 1, 77, (struct service_options){0});
    submit(n->a, "SET k v");
    submit(n->b, "GET k");
    n->replica.leading = true;
    n->replica.leader_id = 1;
    attach(n);
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.n_reads, 1);
    apply(n, 1);
    confirm(n, 0);
    expect(n->a, OK);
    expect(n->b, "$1\r\nv\r\n");
}

static void test_session_drained_is_remembered(void **state)
{
    struct node *n = open_leader(state);
    assert_false(service_drained(n->service));
    n->events.drained(n->events.ctx);
    assert_true(service_drained(n->service));
}

/* ---- limits ---- */

enum { OUTPUT_MAX = 1000 };

static struct node *open_with_little_output(void **state)
{
    return open_node(state, 1,
                     (struct service_options){.session_bytes_max = OUTPUT_MAX});
}

static void fill_output(struct client *c)
{
    struct buffer *out = session_output(c->session);
    while (buffer_size(out) < OUTPUT_MAX) {
        buffer_append(out, "x", 1);
    }
}

static void test_session_full_output_makes_reads_wait(void **state)
{
    struct node *n = open_with_little_output(state);
    struct buffer *out = session_output(n->a->session);
    for (unsigned i = 0; i < 3; i++) {
        buffer_append(out, "x", 1);
        submit(n->a, "GET k");
    }
    fill_output(n->a);
    assert_false(session_ready(n->a->session));
    for (unsigned i = 0; i < 3; i++) {
        confirm(n, 0);
    }
    assert_int_equal(buffer_size(out), OUTPUT_MAX);
    pass(n, SERVICE_RETRY_MS); /* still full */
    assert_int_equal(buffer_size(out), OUTPUT_MAX);
    buffer_consume(out, OUTPUT_MAX);
    session_resume(n->a->session);
    expect(n->a, NONE NONE NONE);
}

static void test_session_full_output_goes_on_by_itself(void **state)
{
    struct node *n = open_with_little_output(state);
    submit(n->a, "GET k");
    fill_output(n->a);
    confirm(n, 0);
    buffer_consume(session_output(n->a->session), OUTPUT_MAX);
    pass(n, SERVICE_RETRY_MS);
    expect(n->a, NONE);
}

static void test_session_many_pending_stop_reading(void **state)
{
    struct node *n =
        open_node(state, 1, (struct service_options){.session_pending_max = 3});
    assert_true(submit(n->a, "INCR n"));
    assert_true(submit(n->a, "INCR n"));
    assert_false(submit(n->a, "INCR n"));
    assert_false(session_ready(n->a->session));
    assert_true(session_ready(n->b->session));
    apply(n, 1);
    assert_true(session_ready(n->a->session));
    for (unsigned i = 0; i < 5; i++) {
        submit(n->a, "INCR n"); /* an owner that does not listen */
    }
    assert_int_equal(n->replica.n_entries, 3 + 4);
    apply(n, 6);
    expect(n->a, ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n"
                 "-BUSY too many requests are waiting in this node; "
                 "try again\r\n");
}

static void test_session_many_bytes_are_busy(void **state)
{
    /* The second request goes over it, and the third finds it so. */
    const uint64_t max = sizeof(struct request) + 20;
    struct node *n =
        open_node(state, 1, (struct service_options){.pending_bytes_max = max});
    pipeline(n->a, "INCR n", "INCR n");
    submit(n->b, "INCR n");
    expect_prefix(n->b, "-BUSY");
    submit(n->b, "PING");
    expect_prefix(n->b, "-BUSY");
    apply(n, 2);
    expect(n->a, ":1\r\n:2\r\n");
    assert_int_equal(stats_of(n).n_refused, 2);
    assert_int_equal(stats_of(n).pending_bytes, 0);
}

/* ---- clients that go ---- */

static void test_session_closed_completes_quietly(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "SET k v", "PING", "GET k");
    pipeline(n->b, "GET k", "SET k w");
    hang_up(n->a);
    hang_up(n->b);
    assert_int_equal(service_pending(n->service), 2);
    apply(n, 1);
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 1); /* what was not begun is gone */
    assert_int_equal(service_pending(n->service), 0);
    assert_int_equal(stats_of(n).pending_bytes, 0);
    assert_int_equal(stats_of(n).n_sessions, 0);
}

static void test_session_closed_drops_unsent_write(void **state)
{
    struct node *n = open_follower(state);
    changed(n, 6, 0);
    submit(n->a, "SET k v");
    submit(n->b, "SET k w");
    hang_up(n->a);
    changed(n, 6, 1);
    assert_int_equal(n->replica.n_frames, 1);
}

static void test_session_closed_leaves_no_leak(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "SET k v"); /* in the ring for ever */
    submit(n->b, "GET k");   /* with the barrier for ever */
    pass(n, TIMEOUT_MS);
    expect_prefix(n->b, "-CLUSTERDOWN");
    submit(n->b, "GET k");
    hang_up(n->b);
    submit(n->a, "SET k v"); /* the sanitizer looks */
}

static void test_session_orphan_write_times_out(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "SET k v");
    hang_up(n->a);
    assert_int_equal(service_pending(n->service), 1);
    pass(n, TIMEOUT_MS);
    assert_int_equal(service_pending(n->service), 0);
}

static void test_session_close_inside_output(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "INCR n", "GET n");
    submit(n->b, "INCR n");
    n->a->close_in_output = true;
    apply(n, 2);
    assert_null(n->a->session);
    expect(n->b, ":2\r\n");
    confirm(n, 0);
    n->b->close_in_output = true;
    submit(n->b, "PING");
    assert_null(n->b->session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_session_write_on_leader_answers_when_applied),
        TEST(test_session_pipelined_writes_go_together),
        TEST(test_session_read_after_write_waits_for_it),
        TEST(test_session_write_after_read_waits_for_it),
        TEST(test_session_reads_run_in_order),
        TEST(test_session_local_replies_keep_their_place),
        TEST(test_session_info_waits_for_its_turn),
        TEST(test_session_quit_ends_after_replies),
        TEST(test_session_protocol_error_goes_out_last),
        TEST(test_session_not_attached_waits),
        TEST(test_session_drained_is_remembered),
        TEST(test_session_full_output_makes_reads_wait),
        TEST(test_session_full_output_goes_on_by_itself),
        TEST(test_session_many_pending_stop_reading),
        TEST(test_session_many_bytes_are_busy),
        TEST(test_session_closed_completes_quietly),
        TEST(test_session_closed_drops_unsent_write),
        TEST(test_session_closed_leaves_no_leak),
        TEST(test_session_orphan_write_times_out),
        TEST(test_session_close_inside_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
