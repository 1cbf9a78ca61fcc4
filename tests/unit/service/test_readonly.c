/* A node that does not lead, and what its clients have chosen: to be sent to
 * the leader (--redirect moved), or to read what is here (READONLY). */
#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/service_private.h"

struct node {
    struct replica replica;
    struct service *service;
    struct replica_events events;
    uint64_t now_ms;
    uint64_t leader_ms; /* what a confirmed read is told */
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

/* Where clients reach node 2; nobody knows of the others. */
static const char *client_address(void *ctx, uint64_t id)
{
    (void)ctx;
    return id == 2 ? "10.0.0.2:6379" : "";
}

static int setup(void **state)
{
    struct node *n = calloc(1, sizeof *n);
    struct service_options options;
    struct replica_io io;
    memset(&options, 0, sizeof options);
    memset(&io, 0, sizeof io);
    options.stale_read_max_ms = 1000;
    options.client_address = client_address;
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
        r->reads[r->n_called - 1].cb(r->reads[r->n_called - 1].ctx, 0,
                                     n->leader_ms);
    }
}

static void elect(struct node *n, uint64_t leader)
{
    n->replica.term++;
    n->replica.leader_id = leader;
    n->replica.leading = leader == n->replica.id;
    n->events.changed(n->events.ctx);
}

/* Give k the value v while this node leads; then node 2 leads. */
static void follow(struct node *n)
{
    submit(n->b, "SET k v");
    settle(n);
    expect(n->b, "+OK\r\n");
    elect(n, 2);
}

static void redirect_moved(struct node *n)
{
    struct service_options o = n->service->options;
    o.redirect = true;
    service_configure(n->service, &o);
}

/* ---- --redirect moved ---- */

static void test_readonly_moved_names_slot_and_leader(void **state)
{
    struct node *n = *state;
    redirect_moved(n);
    follow(n);
    say(n->a, "GET foo", "-MOVED 12182 10.0.0.2:6379\r\n");
    say(n->a, "SET foo{bar} 1", "-MOVED 5061 10.0.0.2:6379\r\n");
    say(n->a, "MGET foo bar", "-MOVED 12182 10.0.0.2:6379\r\n");
    assert_int_equal(n->replica.n_frames, 0);
    assert_int_equal(n->replica.n_reads, 0);
}

static void test_readonly_moved_keeps_its_place_among_replies(void **state)
{
    struct node *n = *state;
    submit(n->a, "SET k v");
    redirect_moved(n);
    n->replica.leading = false;
    n->replica.leader_id = 2;
    submit(n->a, "GET k");
    expect(n->a, "");
    settle(n);
    expect(n->a, "+OK\r\n-MOVED 7629 10.0.0.2:6379\r\n");
}

static void test_readonly_moved_without_leader_is_clusterdown(void **state)
{
    struct node *n = *state;
    redirect_moved(n);
    follow(n);
    elect(n, 0);
    say(n->a, "GET foo",
        "-CLUSTERDOWN Hash slot not served: no leader is "
        "known; try again\r\n");
    elect(n, 3); /* which has not told its address yet */
    say(n->a, "GET foo",
        "-CLUSTERDOWN Hash slot not served: no leader is "
        "known; try again\r\n");
}

static void test_readonly_moved_leader_answers_itself(void **state)
{
    struct node *n = *state;
    redirect_moved(n);
    submit(n->a, "SET k v");
    submit(n->a, "GET k");
    settle(n);
    settle(n);
    expect(n->a, "+OK\r\n$1\r\nv\r\n");
}

static void test_readonly_moved_passes_on_what_has_no_key(void **state)
{
    struct node *n = *state;
    redirect_moved(n);
    follow(n);
    say(n->a, "FLUSHALL", "");
    assert_int_equal(n->replica.frames[0].m.type, WIRE_FORWARD);
    submit(n->b, "DBSIZE");
    settle(n);
    expect(n->b, ":1\r\n");
}

static void test_readonly_moved_reads_here_when_allowed(void **state)
{
    struct node *n = *state;
    redirect_moved(n);
    follow(n);
    say(n->a, "READONLY", "+OK\r\n");
    submit(n->a, "GET k");
    settle(n);
    expect(n->a, "$1\r\nv\r\n");
    say(n->a, "SET k w", "-MOVED 7629 10.0.0.2:6379\r\n");
    say(n->a, "READWRITE", "+OK\r\n");
    say(n->a, "GET k", "-MOVED 7629 10.0.0.2:6379\r\n");
}

/* ---- READONLY ---- */

static void test_readonly_first_read_asks_the_leader(void **state)
{
    struct node *n = *state;
    follow(n);
    submit(n->a, "READONLY");
    submit(n->a, "GET k");
    expect(n->a, "+OK\r\n");
    assert_int_equal(n->replica.n_reads, 1);
    settle(n);
    expect(n->a, "$1\r\nv\r\n");
}

/* The bound counts from when the confirmed read was asked for. */
static void test_readonly_reads_here_within_the_bound(void **state)
{
    struct node *n = *state;
    follow(n);
    say(n->a, "READONLY", "+OK\r\n");
    submit(n->b, "GET k"); /* of any connection */
    n->now_ms += 300;
    settle(n);
    expect(n->b, "$1\r\nv\r\n");
    n->now_ms += 699;
    say(n->a, "GET k", "$1\r\nv\r\n");
    assert_int_equal(n->replica.n_reads, 1);
    n->now_ms += 1;
    say(n->a, "GET k", "");
    assert_int_equal(n->replica.n_reads, 2);
    settle(n);
    expect(n->a, "$1\r\nv\r\n");
    say(n->a, "GET k", "$1\r\nv\r\n");
    assert_int_equal(n->replica.n_reads, 2);
}

static void test_readonly_refused_read_renews_nothing(void **state)
{
    struct node *n = *state;
    follow(n);
    say(n->a, "READONLY", "+OK\r\n");
    submit(n->a, "GET k");
    n->replica.n_called = 1;
    n->replica.reads[0].cb(n->replica.reads[0].ctx, ERR_NOTLEADER, 0);
    submit(n->b, "READONLY");
    submit(n->b, "GET k");
    expect(n->b, "+OK\r\n");
    assert_true(n->replica.n_reads >= 2);
}

static void test_readonly_others_are_never_stale(void **state)
{
    struct node *n = *state;
    follow(n);
    submit(n->b, "GET k");
    settle(n);
    expect(n->b, "$1\r\nv\r\n");
    say(n->b, "GET k", "");
    settle(n);
    expect(n->b, "$1\r\nv\r\n");
    /* A read from before READONLY does not profit from it. */
    elect(n, 1);
    submit(n->a, "SET k w"); /* holds the read back */
    submit(n->a, "GET k");
    submit(n->a, "READONLY");
    assert_int_equal(n->replica.n_reads, 2);
    n->replica.leading = false;
    n->replica.leader_id = 2;
    settle(n);
    assert_int_equal(n->replica.n_reads, 3);
    settle(n);
    expect(n->a, "+OK\r\n$1\r\nw\r\n+OK\r\n");
}

static void test_readonly_leader_is_never_stale(void **state)
{
    struct node *n = *state;
    submit(n->a, "READONLY");
    submit(n->a, "GET k");
    settle(n);
    expect(n->a, "+OK\r\n$-1\r\n");
    say(n->a, "GET k", "");
    assert_int_equal(n->replica.n_reads, 2);
}

static void test_readonly_without_leader_says_how_old(void **state)
{
    struct node *n = *state;
    follow(n);
    say(n->a, "READONLY", "+OK\r\n");
    submit(n->a, "GET k");
    settle(n);
    expect(n->a, "$1\r\nv\r\n");
    elect(n, 0);
    say(n->a, "GET k", "$1\r\nv\r\n");
    n->now_ms += 1500;
    n->replica.read_rv = ERR_NOTLEADER;
    say(n->a, "GET k", "");
    n->now_ms += 5000;
    service_timer(n->service);
    expect(n->a, "-STALE no leader has confirmed for 6500 ms what this node "
                 "has, and none did within 5000 ms; ask another node, or "
                 "raise --stale-read-max-ms\r\n");
}

/* A key that was due when the newest read was confirmed is not shown. */
static void test_readonly_expired_key_asks_the_leader(void **state)
{
    struct node *n = *state;
    submit(n->b, "SET k v PX 5000");
    settle(n);
    expect(n->b, "+OK\r\n");
    elect(n, 2);
    say(n->a, "READONLY", "+OK\r\n");
    n->leader_ms = n->replica.clock_ms;
    submit(n->b, "DBSIZE");
    settle(n);
    expect(n->b, ":1\r\n");
    say(n->a, "GET k", "$1\r\nv\r\n");
    n->leader_ms = UINT64_C(1700000005000);
    n->now_ms += 10;
    submit(n->b, "GET other");
    settle(n);
    expect(n->b, "$-1\r\n");
    n->replica.n_called = n->replica.n_reads;
    say(n->a, "GET k", "");
    assert_int_equal(n->replica.n_reads, n->replica.n_called + 1);
}

static void test_readonly_ends_with_reset(void **state)
{
    struct node *n = *state;
    follow(n);
    submit(n->b, "GET k");
    settle(n);
    say(n->a, "READONLY", "+OK\r\n");
    say(n->a, "GET k", "$1\r\nv\r\n");
    say(n->a, "RESET", "+RESET\r\n");
    say(n->a, "GET k", "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_readonly_moved_names_slot_and_leader),
        TEST(test_readonly_moved_keeps_its_place_among_replies),
        TEST(test_readonly_moved_without_leader_is_clusterdown),
        TEST(test_readonly_moved_leader_answers_itself),
        TEST(test_readonly_moved_passes_on_what_has_no_key),
        TEST(test_readonly_moved_reads_here_when_allowed),
        TEST(test_readonly_first_read_asks_the_leader),
        TEST(test_readonly_reads_here_within_the_bound),
        TEST(test_readonly_refused_read_renews_nothing),
        TEST(test_readonly_others_are_never_stale),
        TEST(test_readonly_leader_is_never_stale),
        TEST(test_readonly_without_leader_says_how_old),
        TEST(test_readonly_expired_key_asks_the_leader),
        TEST(test_readonly_ends_with_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
