/* MULTI and its kin on one node: the replies of Redis to two clients, what may
 * be queued, limits, and what ends a transaction. */
#include "tests/unit/service/service_fixture.h"
#include "tests/unit/service/transaction_table.h"

/* ---- as Redis ---- */

static void run_table(struct node *n, bool resp3)
{
    size_t n_steps = sizeof transaction_table / sizeof transaction_table[0];
    if (resp3) {
        submit(n->a, "HELLO 3");
        submit(n->b, "HELLO 3");
        expect_prefix(n->a, "%7\r\n");
        expect_prefix(n->b, "%7\r\n");
    }
    for (size_t i = 0; i < n_steps; i++) {
        const struct transaction_step *t = &transaction_table[i];
        struct client *c = t->client == 'a' ? n->a : n->b;
        char line[160];
        submit(c, t->line);
        settle(n);
        snprintf(line, sizeof line, "step %zu, %c: %s", i, t->client, t->line);
        if (resp3 && t->resp3 != NULL) {
            expect_bytes(c, line, t->resp3, t->resp3_size);
        } else {
            expect_bytes(c, line, t->resp2, t->resp2_size);
        }
    }
    assert_true(n_steps > 600);
}

static void test_transaction_resp2_replies_are_those_of_redis(void **state)
{
    run_table(open_leader(state), false);
}

static void test_transaction_resp3_replies_are_those_of_redis(void **state)
{
    run_table(open_leader(state), true);
}

static void test_transaction_differences_on_purpose(void **state)
{
    static const char *const refused[] = {
        "SCAN 0",       "KEYS *",      "INFO",          "HELLO 3",
        "CONFIG GET *", "CLIENT LIST", "COMMAND COUNT", "SCAN x"};
    struct node *n = open_leader(state);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        run(n->a, "MULTI", OK);
        run(n->a, refused[i],
            "-ERR Command not allowed inside a transaction\r\n");
        run(n->a, refused[i],
            "-ERR Command not allowed inside a transaction\r\n");
        run(n->a, "EXEC", ABORTED);
    }
}

/* ---- what it becomes ---- */

static void test_transaction_that_writes_is_one_entry(void **state)
{
    struct node *n = open_leader(state);
    struct proposal p;
    pipeline(n->a, "MULTI", "SET k v", "GET k", "INCR n");
    assert_int_equal(n->replica.n_entries, 0);
    expect(n->a, OK QUEUED QUEUED QUEUED);
    submit(n->a, "EXEC");
    assert_int_equal(n->replica.n_entries, 1);
    expect(n->a, "");
    decode_entry(n, 0, &p);
    assert_int_equal(p.kind, PROPOSAL_TRANSACTION);
    assert_int_equal(p.transaction.n_commands, 3);
    assert_int_equal(p.transaction.n_watches, 0);
    proposal_clear(&p);
    settle(n);
    expect(n->a, "*3\r\n+OK\r\n$1\r\nv\r\n:1\r\n");
}

static void test_transaction_that_reads_is_one_read(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k v", OK);
    pipeline(n->a, "MULTI", "GET k", "PING", "GET none", "EXEC");
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.n_reads, 1);
    expect(n->a, OK QUEUED QUEUED QUEUED);
    confirm(n, 0);
    expect(n->a, "*3\r\n$1\r\nv\r\n+PONG\r\n$-1\r\n");
}

/* The reply that a node makes of an entry. */
static void reply_of(const struct node *n, const struct proposal *p,
                     uint64_t random, struct buffer *reply)
{
    struct command_env env = {.now_ms = 1};
    env.store = n->replica.store;
    env.random = random;
    buffer_init(reply);
    proposal_run(p, &env, reply);
}

/* The leader tells the other nothing; each makes the reply itself. */
static void test_transaction_random_key_is_the_same_on_each_node(void **state)
{
    struct node *n = open_leader(state), *m = open_follower(state);
    char line[64];
    for (unsigned i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "SET key%u x", i);
        run(n->a, line, OK);
        apply_of(m, n, i);
    }
    for (unsigned i = 0; i < 50; i++) {
        struct proposal p;
        struct buffer one, two;
        multi(n->a, "SET mark 1");
        run(n->a, "RANDOMKEY", QUEUED);
        run(n->a, "RANDOMKEY", QUEUED);
        submit(n->a, "EXEC");
        assert_int_equal(n->replica.n_entries, 21 + i);
        decode_entry(n, 20 + i, &p);
        reply_of(n, &p, 0, &one);
        reply_of(m, &p, 1, &two); /* chance is not what decides */
        assert_int_equal(buffer_size(&one), buffer_size(&two));
        assert_memory_equal(buffer_data(&one), buffer_data(&two),
                            buffer_size(&one));
        buffer_close(&one);
        buffer_close(&two);
        proposal_clear(&p);
        settle(n);
        expect_prefix(n->a, "*3\r\n+OK\r\n");
    }
}

/* ---- what ends it ---- */

static void test_transaction_reset_drops_queue_and_watches(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "WATCH k", OK);
    multi(n->a, "SET mark 1");
    run(n->a, "RESET", "+RESET\r\n");
    assert_int_equal(stats_of(n).transaction_bytes, 0);
    run(n->a, "EXEC", "-ERR EXEC without MULTI\r\n");
    run(n->b, "SET k 1", OK);
    multi(n->a, "SET mark 2");
    run(n->a, "EXEC", EXECUTED);
}

static void test_transaction_quit_drops_the_queue(void **state)
{
    struct node *n = open_leader(state);
    multi(n->a, "SET k 1");
    run(n->a, "QUIT", OK);
    assert_true(session_finished(n->a->session));
    assert_int_equal(n->replica.n_entries, 0);
}

static void test_transaction_disconnect_drops_queue_and_watches(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "WATCH k j", OK);
    run(n->b, "WATCH k", OK);
    multi(n->a, "SET k 1");
    assert_true(stats_of(n).transaction_bytes > 0);
    hang_up(n->a);
    assert_int_equal(n->replica.n_entries, 0);
    hang_up(n->b);
}

static void test_transaction_sent_before_disconnect_is_completed(void **state)
{
    struct node *n = open_leader(state);
    multi(n->a, "SET k 1");
    submit(n->a, "EXEC");
    hang_up(n->a);
    settle(n);
    run(n->b, "GET k", "$1\r\n1\r\n");
}

static void test_transaction_beyond_its_time_limit_is_unknown(void **state)
{
    struct node *n = open_leader(state);
    multi(n->a, "SET k 1");
    submit(n->a, "EXEC");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-UNKNOWN the write may or may not have been applied: not "
                 "confirmed within 1000 ms\r\n");
}

static void test_transaction_without_a_leader_is_not_executed(void **state)
{
    struct node *n = open_leader(state);
    changed(n, 6, 0);
    pipeline(n->a, "WATCH k", "MULTI", "SET k 1", "EXEC", "UNWATCH");
    pass(n, TIMEOUT_MS);
    expect(n->a,
           "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n" OK QUEUED
           "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n" OK);
    changed(n, 7, 1);
    assert_int_equal(n->replica.n_entries, 0);
    multi(n->a, "SET k 1");
    run(n->a, "EXEC", EXECUTED);
}

static const char *leader_address(void *ctx, uint64_t id)
{
    (void)ctx;
    return id == 1 ? "host:1" : "";
}

/* As a node of a Redis cluster that has not the slot. */
static void test_transaction_with_redirection_is_moved(void **state)
{
    struct node *n =
        open_node(state, 2,
                  (struct service_options){.redirect = true,
                                           .client_address = leader_address});
    run(n->a, "WATCH k", "-MOVED 7629 host:1\r\n");
    multi(n->a, "PING");
    run(n->a, "SET k 1", "-MOVED 7629 host:1\r\n");
    run(n->a, "EXEC", ABORTED);
}

/* Stale reads are for single commands. */
static void test_transaction_after_readonly_asks_the_leader(void **state)
{
    struct node *n = open_node(
        state, 2, (struct service_options){.stale_read_max_ms = 1000});
    run(n->a, "GET k", NONE);
    run(n->a, "READONLY", OK);
    submit(n->a, "GET k");
    expect(n->a, NONE);
    submit(n->a, "WATCH k");
    expect(n->a, "");
    settle(n);
    expect(n->a, OK);
    pipeline(n->a, "MULTI", "GET k", "EXEC");
    expect(n->a, OK QUEUED);
    settle(n);
    expect(n->a, "*1\r\n$-1\r\n");
}

/* ---- limits ---- */

static void test_transaction_with_too_many_commands_is_refused(void **state)
{
    struct node *n =
        open_node(state, 1, (struct service_options){.queued_max = 2});
    multi(n->a, "SET k 1");
    run(n->a, "SET k 2", QUEUED);
    run(n->a, "SET k 3",
        "-ERR too many commands in a transaction (--client-queued-max)\r\n");
    assert_int_equal(stats_of(n).transaction_bytes, 0);
    run(n->a, "SET k 4", QUEUED); /* as Redis: EXEC tells */
    run(n->a, "EXEC", ABORTED);
    run(n->a, "GET k", NONE);
}

static void test_transaction_with_too_many_bytes_is_refused(void **state)
{
    /* SET k 1: code, count, two sizes, two bytes. */
    struct node *n =
        open_node(state, 1, (struct service_options){.queued_bytes_max = 14});
    multi(n->a, "SET k 1");
    run(n->a, "SET k 2", QUEUED);
    run(n->a, "EXEC", "*2\r\n+OK\r\n+OK\r\n");
    multi(n->a, "SET k 1");
    run(n->a, "SET k 12",
        "-ERR the commands of a transaction take too many bytes "
        "(--client-queued-bytes)\r\n");
    run(n->a, "DISCARD", OK);
}

static void test_transaction_memory_of_all_clients_is_bounded(void **state)
{
    static const char refused[] =
        "-BUSY too many watched keys and queued commands in this node "
        "(--transaction-bytes-max); try again\r\n";
    struct node *n = open_node(
        state, 1, (struct service_options){.transaction_bytes_max = 14});
    run(n->a, "MULTI", OK);
    run(n->b, "MULTI", OK);
    run(n->a, "SET k 1", QUEUED);
    run(n->b, "SET k 2", QUEUED);
    run(n->a, "SET k 3", refused);
    run(n->a, "EXEC", ABORTED);
    run(n->b, "EXEC", EXECUTED);
    run(n->a, "WATCH k", refused);
    multi(n->a, "SET k 3");
    run(n->a, "SET k 4", QUEUED);
    run(n->a, "EXEC", "*2\r\n+OK\r\n+OK\r\n");
}

static void test_transaction_beyond_pending_bytes_is_discarded(void **state)
{
    struct node *n =
        open_node(state, 1, (struct service_options){.pending_bytes_max = 1});
    multi(n->a, "SET k 1");
    submit(n->b, "SET j 1");
    submit(n->a, "EXEC");
    expect(n->a, "-EXECABORT Transaction discarded because of: too many "
                 "requests are waiting in this node\r\n");
    settle(n);
    expect(n->b, OK);
    run(n->a, "EXEC", "-ERR EXEC without MULTI\r\n");
    /* A command that is refused for it must not be missing unseen. */
    run(n->a, "MULTI", OK);
    submit(n->b, "SET j 2");
    submit(n->a, "SET k 1");
    expect(n->a, "-BUSY too many requests are waiting in this node; try "
                 "again\r\n");
    settle(n);
    run(n->a, "EXEC", ABORTED);
}

static void test_transaction_reply_beyond_the_limit_tells_so(void **state)
{
    struct node *n =
        open_node(state, 1, (struct service_options){.reply_bytes_max = 30});
    run(n->a, "SET k 0123456789", OK);
    multi(n->a, "GET k");
    run(n->a, "GET k", QUEUED);
    run(n->a, "EXISTS k", QUEUED);
    run(n->a, "EXEC",
        "*3\r\n$10\r\n0123456789\r\n-ERR reply is longer than the limit of 9 "
        "bytes\r\n:1\r\n");
}

/* ---- told about it ---- */

static void test_transaction_shows_in_client_info(void **state)
{
    struct node *n = open_leader(state);
    run(n->b, "WATCH k j", OK);
    multi(n->b, "SET k 1");
    submit(n->a, "CLIENT LIST");
    assert_shows(n->a, "flags=N db=0 multi=-1 watch=0 ");
    assert_shows(n->a, "flags=x db=0 multi=1 watch=2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_transaction_resp2_replies_are_those_of_redis),
        TEST(test_transaction_resp3_replies_are_those_of_redis),
        TEST(test_transaction_differences_on_purpose),
        TEST(test_transaction_that_writes_is_one_entry),
        TEST(test_transaction_that_reads_is_one_read),
        TEST(test_transaction_random_key_is_the_same_on_each_node),
        TEST(test_transaction_reset_drops_queue_and_watches),
        TEST(test_transaction_quit_drops_the_queue),
        TEST(test_transaction_disconnect_drops_queue_and_watches),
        TEST(test_transaction_sent_before_disconnect_is_completed),
        TEST(test_transaction_beyond_its_time_limit_is_unknown),
        TEST(test_transaction_without_a_leader_is_not_executed),
        TEST(test_transaction_with_redirection_is_moved),
        TEST(test_transaction_after_readonly_asks_the_leader),
        TEST(test_transaction_with_too_many_commands_is_refused),
        TEST(test_transaction_with_too_many_bytes_is_refused),
        TEST(test_transaction_memory_of_all_clients_is_bounded),
        TEST(test_transaction_beyond_pending_bytes_is_discarded),
        TEST(test_transaction_reply_beyond_the_limit_tells_so),
        TEST(test_transaction_shows_in_client_info),
    };
    return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
