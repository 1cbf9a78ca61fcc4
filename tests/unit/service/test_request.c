/* Requests: their time limits, reads and their tickets, and keys that expire
 * between the leader's clock and the state's. */
#include "tests/unit/service/service_fixture.h"

/* ---- time limits ---- */

static void test_request_never_sent_write_times_out(void **state)
{
    struct node *n = open_follower(state);
    changed(n, 6, 0);
    submit(n->a, "SET k v");
    assert_int_equal(service_deadline_ms(n->service), BEGIN_MS + TIMEOUT_MS);
    n->now_ms += TIMEOUT_MS - 1;
    service_timer(n->service);
    expect(n->a, "");
    pass(n, 1);
    expect(n->a, "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n");
    changed(n, 6, 1);
    assert_int_equal(n->replica.n_frames, 0); /* and it is not sent later */
}

static void test_request_lower_time_limit_holds_behind_older_ones(void **state)
{
    struct service_options options = {.request_timeout_ms = TIMEOUT_MS / 10};
    struct node *n = open_follower(state);
    changed(n, 6, 0);
    submit(n->a, "SET k v");
    service_configure(n->service, &options);
    submit(n->b, "SET k v");
    assert_int_equal(service_deadline_ms(n->service),
                     BEGIN_MS + TIMEOUT_MS / 10);
    pass(n, TIMEOUT_MS / 10);
    expect_prefix(n->b, "-CLUSTERDOWN");
    expect_prefix(n->a, "-CLUSTERDOWN");
}

static void test_request_sent_write_times_out_unknown(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "SET k v");
    submit(n->b, "SET k v");
    answer(n, frame_id(n, 1), 5, ERR_NOTLEADER, ""); /* not executed */
    changed(n, 5, 0);
    pass(n, TIMEOUT_MS);
    expect_prefix(n->a, "-UNKNOWN the write may or may not have been applied");
    expect_prefix(n->b, "-CLUSTERDOWN");
    assert_int_equal(stats_of(n).n_unknown, 1);
    assert_int_equal(stats_of(n).n_clusterdown, 1);
    assert_int_equal(stats_of(n).pending_bytes, 0);
}

static void test_request_refused_after_reconnect_stays_unknown(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "SET k v");
    n->events.peer(n->events.ctx, 1, false);
    /* Sent twice, refused once: the other one may be in a log. */
    answer(n, frame_id(n, 0), 5, ERR_NOTLEADER, "");
    changed(n, 6, 3);
    assert_int_equal(n->replica.n_frames, 2);
    pass(n, TIMEOUT_MS);
    expect_prefix(n->a, "-UNKNOWN");
}

static void test_request_that_waits_times_out_too(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "GET k");
    n->now_ms += 10;
    pipeline(n->a, "SET k v", "PING");
    pass(n, TIMEOUT_MS - 10);
    expect(n->a, "-CLUSTERDOWN no leader could confirm a read for 1000 ms; "
                 "try again\r\n");
    assert_int_equal(n->replica.n_entries, 1); /* begun when it was its turn */
    pass(n, 10);
    expect_prefix(n->a, "-UNKNOWN");
    confirm(n, 0); /* the barrier is late */
    apply(n, 1);
    expect(n->a, "");
}

/* ---- reads ---- */

static void test_request_unconfirmed_read_is_asked_again(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "GET k");
    confirm(n, ERR_NOTLEADER);
    assert_int_equal(n->replica.n_reads, 1); /* not in a loop */
    changed(n, 6, 3);
    assert_int_equal(n->replica.n_reads, 2);
    confirm(n, ERR_NOTLEADER);
    pass(n, SERVICE_RETRY_MS);
    assert_int_equal(n->replica.n_reads, 3);
    confirm(n, 0);
    expect(n->a, NONE);
}

static void test_request_read_without_leader_times_out(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "GET k");
    changed(n, 6, 0);
    confirm(n, ERR_NOTLEADER);
    pass(n, SERVICE_RETRY_MS);
    assert_int_equal(n->replica.n_reads, 1); /* nobody to ask */
    pass(n, TIMEOUT_MS);
    expect(n->a, "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n");
}

static void test_request_read_not_taken_is_retried(void **state)
{
    struct node *n = open_leader(state);
    n->replica.read_rv = ERR_BUSY;
    submit(n->a, "GET k");
    n->replica.read_rv = 0;
    pass(n, SERVICE_RETRY_MS);
    confirm(n, 0);
    expect(n->a, NONE);
}

static void test_request_stopped_replica_fails_reads(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "GET k", "SET k v");
    confirm(n, ERR_STOPPED);
    expect(n->a, "-CLUSTERDOWN this node is stopping\r\n");
    assert_int_equal(n->replica.n_entries, 0); /* it is not called any more */
}

/* Nothing to be written: no entry, and no wait for a disk. */
static void test_request_getex_without_options_is_a_read(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k v", OK);
    submit(n->a, "GETEX k");
    assert_int_equal(n->replica.n_entries, 1);
    confirm(n, 0);
    expect(n->a, "$1\r\nv\r\n");
    submit(n->a, "GETEX k PERSIST");
    assert_int_equal(n->replica.n_entries, 2);
    apply(n, 1);
    expect(n->a, "$1\r\nv\r\n");
}

/* ---- keys that expire ---- */

/* When k expires. */
static const uint64_t DUE_MS = 1700000000100;

/* A leader with k, and the state's clock before its time. */
static struct node *open_with_expiring(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k v PX 100", OK);
    assert_int_equal(n->replica.clock_ms, DUE_MS - 100);
    return n;
}

static void test_request_read_before_the_expiry_runs(void **state)
{
    struct node *n = open_with_expiring(state);
    pipeline(n->a, "GET k", "PTTL k");
    assert_false(n->replica.reads[0].settle);
    n->leader_ms = DUE_MS - 1;
    confirm(n, 0);
    confirm(n, 0);
    expect(n->a, "$1\r\nv\r\n:1\r\n"); /* by the leader's clock */
}

/* Neither shown nor said to be gone before the state's clock says so: another
 * leader's clock might be behind. */
static void test_request_read_of_a_due_key_waits_for_the_clock(void **state)
{
    struct node *n = open_with_expiring(state);
    pipeline(n->a, "GET k", "GET other");
    n->leader_ms = DUE_MS;
    confirm(n, 0);
    confirm(n, 0);
    expect(n->a, "");
    assert_int_equal(n->replica.n_reads, 3);
    assert_true(n->replica.reads[2].settle);
    n->replica.clock_ms = n->leader_ms = DUE_MS + 1;
    confirm(n, 0);
    expect(n->a, NONE NONE);
    assert_int_equal(store_count(n->replica.store), 1); /* not swept yet */
}

static void test_request_every_read_looks_at_the_expiry(void **state)
{
    static const struct {
        const char *line, *reply;
    } cases[] = {
        {"GET k", NONE},         {"MGET a k", "*2\r\n$-1\r\n$-1\r\n"},
        {"EXISTS k", ":0\r\n"},  {"STRLEN k", ":0\r\n"},
        {"TYPE k", "+none\r\n"}, {"TTL k", ":-2\r\n"},
        {"KEYS *", "*0\r\n"},    {"SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"TOUCH k", ":0\r\n"},   {"GETRANGE k 0 1", "$0\r\n\r\n"},
        {"RANDOMKEY", NONE},
    };
    struct node *n = open_with_expiring(state);
    n->leader_ms = DUE_MS + 100;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        n->replica.clock_ms = DUE_MS - 100;
        submit(n->a, cases[i].line);
        confirm(n, 0);
        expect(n->a, "");
        n->replica.clock_ms = DUE_MS + 100;
        confirm(n, 0);
        expect(n->a, cases[i].reply);
    }
    /* What waits to be swept is there to be counted. */
    run(n->a, "DBSIZE", ":1\r\n");
}

/* The leader could make no entry: asked again after a while, not in a loop,
 * and not for ever. */
static void test_request_read_of_a_due_key_times_out(void **state)
{
    struct node *n = open_with_expiring(state);
    unsigned n_asked = 0;
    n->leader_ms = DUE_MS;
    submit(n->a, "GET k");
    confirm(n, 0);
    for (unsigned i = 0;
         i < 200 && buffer_size(session_output(n->a->session)) == 0; i++) {
        if (n->replica.n_called < n->replica.n_reads) {
            confirm(n, 0);
            n_asked++;
        }
        pass(n, 10);
    }
    assert_in_range(n_asked, 10, TIMEOUT_MS / 10);
    expect_prefix(n->a, "-CLUSTERDOWN a key has expired");
}

static void test_request_write_on_an_expired_key_finds_none(void **state)
{
    struct node *n = open_with_expiring(state);
    n->replica.leader_clock_ms = DUE_MS;
    submit(n->a, "DEL k");
    apply(n, 1);
    expect(n->a, ":0\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_request_never_sent_write_times_out),
        TEST(test_request_lower_time_limit_holds_behind_older_ones),
        TEST(test_request_sent_write_times_out_unknown),
        TEST(test_request_refused_after_reconnect_stays_unknown),
        TEST(test_request_that_waits_times_out_too),
        TEST(test_request_unconfirmed_read_is_asked_again),
        TEST(test_request_read_without_leader_times_out),
        TEST(test_request_read_not_taken_is_retried),
        TEST(test_request_stopped_replica_fails_reads),
        TEST(test_request_getex_without_options_is_a_read),
        TEST(test_request_read_before_the_expiry_runs),
        TEST(test_request_read_of_a_due_key_waits_for_the_clock),
        TEST(test_request_every_read_looks_at_the_expiry),
        TEST(test_request_read_of_a_due_key_times_out),
        TEST(test_request_write_on_an_expired_key_finds_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
