/* A node that does not lead, and what its clients have chosen: to be sent to
 * the leader (--redirect moved), or to read what is here (READONLY). */
#include "tests/unit/service/service_fixture.h"

/* Where clients reach node 2; nobody knows of the others. */
static const char *client_address(void *ctx, uint64_t id)
{
    (void)ctx;
    return id == 2 ? "10.0.0.2:6379" : "";
}

/* A leader of now; what it reads later may be a second old. */
static struct node *open_bounded(void **state)
{
    return open_node(state, 1,
                     (struct service_options){
                         .stale_read_max_ms = 1000,
                         .client_address = client_address,
                     });
}

/* Give k the value v while this node leads; then node 2 leads. */
static void follow(struct node *n)
{
    run(n->b, "SET k v", OK);
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
    struct node *n = open_bounded(state);
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
    struct node *n = open_bounded(state);
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
    struct node *n = open_bounded(state);
    redirect_moved(n);
    follow(n);
    elect(n, 0);
    say(n->a, "GET foo",
        "-CLUSTERDOWN Hash slot not served: no leader is known; try "
        "again\r\n");
    elect(n, 3); /* which has not told its address yet */
    say(n->a, "GET foo",
        "-CLUSTERDOWN Hash slot not served: no leader is known; try "
        "again\r\n");
}

static void test_readonly_moved_leader_answers_itself(void **state)
{
    struct node *n = open_bounded(state);
    redirect_moved(n);
    pipeline(n->a, "SET k v", "GET k");
    settle(n);
    expect(n->a, "+OK\r\n$1\r\nv\r\n");
}

static void test_readonly_moved_passes_on_what_has_no_key(void **state)
{
    struct node *n = open_bounded(state);
    redirect_moved(n);
    follow(n);
    say(n->a, "FLUSHALL", "");
    assert_int_equal(n->replica.frames[0].m.type, WIRE_FORWARD);
    run(n->b, "DBSIZE", ":1\r\n");
}

static void test_readonly_moved_reads_here_when_allowed(void **state)
{
    struct node *n = open_bounded(state);
    redirect_moved(n);
    follow(n);
    say(n->a, "READONLY", OK);
    run(n->a, "GET k", "$1\r\nv\r\n");
    say(n->a, "SET k w", "-MOVED 7629 10.0.0.2:6379\r\n");
    say(n->a, "READWRITE", OK);
    say(n->a, "GET k", "-MOVED 7629 10.0.0.2:6379\r\n");
}

/* ---- READONLY ---- */

static void test_readonly_first_read_asks_the_leader(void **state)
{
    struct node *n = open_bounded(state);
    follow(n);
    pipeline(n->a, "READONLY", "GET k");
    expect(n->a, OK);
    assert_int_equal(n->replica.n_reads, 1);
    settle(n);
    expect(n->a, "$1\r\nv\r\n");
}

/* The bound counts from when the confirmed read was asked for. */
static void test_readonly_reads_here_within_the_bound(void **state)
{
    struct node *n = open_bounded(state);
    follow(n);
    say(n->a, "READONLY", OK);
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
    struct node *n = open_bounded(state);
    follow(n);
    say(n->a, "READONLY", OK);
    submit(n->a, "GET k");
    confirm(n, ERR_NOTLEADER);
    pipeline(n->b, "READONLY", "GET k");
    expect(n->b, OK);
    assert_true(n->replica.n_reads >= 2);
}

static void test_readonly_others_are_never_stale(void **state)
{
    struct node *n = open_bounded(state);
    follow(n);
    run(n->b, "GET k", "$1\r\nv\r\n");
    say(n->b, "GET k", "");
    settle(n);
    expect(n->b, "$1\r\nv\r\n");
    /* A read from before READONLY does not profit from it. */
    elect(n, 1);
    submit(n->a, "SET k w"); /* holds the read back */
    pipeline(n->a, "GET k", "READONLY");
    assert_int_equal(n->replica.n_reads, 2);
    n->replica.leading = false;
    n->replica.leader_id = 2;
    settle(n);
    assert_int_equal(n->replica.n_reads, 3);
    expect(n->a, "+OK\r\n$1\r\nw\r\n+OK\r\n");
}

static void test_readonly_leader_is_never_stale(void **state)
{
    struct node *n = open_bounded(state);
    pipeline(n->a, "READONLY", "GET k");
    settle(n);
    expect(n->a, "+OK\r\n$-1\r\n");
    say(n->a, "GET k", "");
    assert_int_equal(n->replica.n_reads, 2);
}

static void test_readonly_without_leader_says_how_old(void **state)
{
    struct node *n = open_bounded(state);
    follow(n);
    say(n->a, "READONLY", OK);
    run(n->a, "GET k", "$1\r\nv\r\n");
    elect(n, 0);
    say(n->a, "GET k", "$1\r\nv\r\n");
    n->now_ms += 1500;
    n->replica.read_rv = ERR_NOTLEADER;
    say(n->a, "GET k", "");
    pass(n, 5000);
    expect(n->a, "-STALE no leader has confirmed for 6500 ms what this node "
                 "has, and none did within 5000 ms; ask another node, or "
                 "raise --stale-read-max-ms\r\n");
}

/* A key that was due when the newest read was confirmed is not shown. */
static void test_readonly_expired_key_asks_the_leader(void **state)
{
    struct node *n = open_bounded(state);
    run(n->b, "SET k v PX 5000", OK);
    elect(n, 2);
    say(n->a, "READONLY", OK);
    n->leader_ms = n->replica.clock_ms;
    run(n->b, "DBSIZE", ":1\r\n");
    say(n->a, "GET k", "$1\r\nv\r\n");
    n->leader_ms = CLOCK_MS + 5000;
    n->now_ms += 10;
    run(n->b, "GET other", NONE);
    say(n->a, "GET k", "");
    assert_int_equal(n->replica.n_reads, n->replica.n_called + 1);
}

static void test_readonly_ends_with_reset(void **state)
{
    struct node *n = open_bounded(state);
    follow(n);
    submit(n->b, "GET k");
    settle(n);
    say(n->a, "READONLY", OK);
    say(n->a, "GET k", "$1\r\nv\r\n");
    say(n->a, "RESET", "+RESET\r\n");
    say(n->a, "GET k", "");
}

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
