/* MULTI and its kin on one node: the replies of Redis to two clients, what may
 * be queued, limits, and what ends a transaction. */
#include "tests/unit/service/transaction_fixture.h"
#include "tests/unit/service/transaction_table.h"

/* ---- as Redis ---- */

static void run_table(bool resp3)
{
    size_t n = sizeof transaction_table / sizeof transaction_table[0];
    struct node node, *at = make_leader(&node);
    at->replica.leader_clock_ms = io_clock_ms(NULL);
    if (resp3) {
        submit(at->a, "HELLO 3");
        submit(at->b, "HELLO 3");
        buffer_clear(session_output(at->a));
        buffer_clear(session_output(at->b));
    }
    for (size_t i = 0; i < n; i++) {
        const struct transaction_step *t = &transaction_table[i];
        struct session *session = t->client == 'a' ? at->a : at->b;
        char line[160];
        submit(session, t->line);
        settle(at);
        snprintf(line, sizeof line, "step %zu, %c: %s", i, t->client, t->line);
        if (resp3 && t->resp3 != NULL) {
            expect_bytes(session, line, t->resp3, t->resp3_size);
        } else {
            expect_bytes(session, line, t->resp2, t->resp2_size);
        }
    }
    assert_true(n > 600);
    end(at);
}

static void test_transaction_resp2_replies_are_those_of_redis(void **state)
{
    (void)state;
    run_table(false);
}

static void test_transaction_resp3_replies_are_those_of_redis(void **state)
{
    (void)state;
    run_table(true);
}

static void test_transaction_differences_on_purpose(void **state)
{
    static const char *const refused[] = {
        "SCAN 0",       "KEYS *",      "INFO",          "HELLO 3",
        "CONFIG GET *", "CLIENT LIST", "COMMAND COUNT", "SCAN x"};
    struct node node, *n = make_leader(&node);
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        say(n, n->a, "MULTI", OK);
        say(n, n->a, refused[i],
            "-ERR Command not allowed inside a transaction\r\n");
        say(n, n->a, refused[i],
            "-ERR Command not allowed inside a transaction\r\n");
        say(n, n->a, "EXEC", ABORTED);
    }
    end(n);
}

/* ---- what it becomes ---- */

static void test_transaction_that_writes_is_one_entry(void **state)
{
    struct node node, *n = make_leader(&node);
    struct proposal p;
    (void)state;
    submit(n->a, "MULTI");
    submit(n->a, "SET k v");
    submit(n->a, "GET k");
    submit(n->a, "INCR n");
    assert_int_equal(n->replica.n_entries, 0);
    expect(n->a, OK QUEUED QUEUED QUEUED);
    submit(n->a, "EXEC");
    assert_int_equal(n->replica.n_entries, 1);
    expect(n->a, "");
    assert_int_equal(proposal_decode(n->replica.entries[0].block,
                                     n->replica.entries[0].size, &p),
                     0);
    assert_int_equal(p.kind, PROPOSAL_TRANSACTION);
    assert_int_equal(p.transaction.n_commands, 3);
    assert_int_equal(p.transaction.n_watches, 0);
    proposal_clear(&p);
    settle(n);
    expect(n->a, "*3\r\n+OK\r\n$1\r\nv\r\n:1\r\n");
    end(n);
}

static void test_transaction_that_reads_is_one_read(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "SET k v", OK);
    submit(n->a, "MULTI");
    submit(n->a, "GET k");
    submit(n->a, "PING");
    submit(n->a, "GET none");
    submit(n->a, "EXEC");
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.n_reads, 1);
    expect(n->a, OK QUEUED QUEUED QUEUED);
    confirm(n, 0);
    expect(n->a, "*3\r\n$1\r\nv\r\n+PONG\r\n$-1\r\n");
    end(n);
}

static void test_transaction_random_key_is_the_same_on_each_node(void **state)
{
    struct node one, two, *n = make_leader(&one), *m = &two;
    char line[64];
    (void)state;
    make(m, 2, (struct service_options){0});
    for (unsigned i = 0; i < 20; i++) {
        snprintf(line, sizeof line, "SET key%u x", i);
        say(n, n->a, line, OK);
        apply_of(m, n, i);
    }
    for (unsigned i = 0; i < 50; i++) {
        say(n, n->a, "MULTI", OK);
        say(n, n->a, "SET mark 1", QUEUED);
        say(n, n->a, "RANDOMKEY", QUEUED);
        say(n, n->a, "RANDOMKEY", QUEUED);
        submit(n->a, "EXEC");
        assert_int_equal(n->replica.n_entries, 21 + i);
        /* The leader tells node 2 nothing; each makes the reply itself. */
        {
            struct proposal p;
            struct buffer replies[2];
            const struct fake_entry *e = &n->replica.entries[20 + i];
            assert_int_equal(proposal_decode(e->block, e->size, &p), 0);
            for (unsigned k = 0; k < 2; k++) {
                struct command_env env = {.now_ms = 1};
                env.store = k == 0 ? n->replica.store : m->replica.store;
                env.random = k; /* is not what decides */
                buffer_init(&replies[k]);
                proposal_run(&p, &env, &replies[k]);
            }
            assert_int_equal(buffer_size(&replies[0]),
                             buffer_size(&replies[1]));
            assert_memory_equal(buffer_data(&replies[0]),
                                buffer_data(&replies[1]),
                                buffer_size(&replies[0]));
            buffer_close(&replies[0]);
            buffer_close(&replies[1]);
            proposal_clear(&p);
        }
        settle(n);
        buffer_clear(session_output(n->a));
    }
    end(n);
    end(m);
}

/* ---- what ends it ---- */

static void test_transaction_reset_drops_queue_and_watches(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET mark 1", QUEUED);
    say(n, n->a, "RESET", "+RESET\r\n");
    assert_int_equal(transaction_bytes(n), 0);
    say(n, n->a, "EXEC", "-ERR EXEC without MULTI\r\n");
    say(n, n->b, "SET k 1", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET mark 2", QUEUED);
    say(n, n->a, "EXEC", "*1\r\n+OK\r\n");
    end(n);
}

static void test_transaction_quit_drops_the_queue(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    say(n, n->a, "QUIT", OK);
    assert_true(session_finished(n->a));
    assert_int_equal(n->replica.n_entries, 0);
    end(n);
}

static void test_transaction_disconnect_drops_queue_and_watches(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k j", OK);
    say(n, n->b, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    assert_true(transaction_bytes(n) > 0);
    session_close(n->a);
    n->a = NULL;
    assert_int_equal(n->replica.n_entries, 0);
    session_close(n->b);
    n->b = NULL;
    end(n);
}

static void test_transaction_sent_before_disconnect_is_completed(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    submit(n->a, "EXEC");
    session_close(n->a);
    n->a = NULL;
    settle(n);
    say(n, n->b, "GET k", "$1\r\n1\r\n");
    end(n);
}

static void test_transaction_beyond_its_time_limit_is_unknown(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    submit(n->a, "EXEC");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-UNKNOWN the write may or may not have been applied: not "
                 "confirmed within 1000 ms\r\n");
    end(n);
}

static void test_transaction_without_a_leader_is_not_executed(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    changed(n, 6, 0);
    submit(n->a, "WATCH k");
    submit(n->a, "MULTI");
    submit(n->a, "SET k 1");
    submit(n->a, "EXEC");
    submit(n->a, "UNWATCH");
    pass(n, TIMEOUT_MS);
    expect(n->a,
           "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n" OK QUEUED
           "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n" OK);
    changed(n, 7, 1);
    assert_int_equal(n->replica.n_entries, 0);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    say(n, n->a, "EXEC", "*1\r\n+OK\r\n");
    end(n);
}

static const char *leader_address(void *ctx, uint64_t id)
{
    (void)ctx;
    return id == 1 ? "host:1" : "";
}

/* As a node of a Redis cluster that has not the slot. */
static void test_transaction_with_redirection_is_moved(void **state)
{
    struct node node, *n = &node;
    (void)state;
    make(n, 2,
         (struct service_options){.redirect = true,
                                  .client_address = leader_address});
    say(n, n->a, "WATCH k", "-MOVED 7629 host:1\r\n");
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "PING", QUEUED);
    say(n, n->a, "SET k 1", "-MOVED 7629 host:1\r\n");
    say(n, n->a, "EXEC", ABORTED);
    end(n);
}

/* Stale reads are for single commands. */
static void test_transaction_after_readonly_asks_the_leader(void **state)
{
    struct node node, *n = &node;
    (void)state;
    make(n, 2, (struct service_options){.stale_read_max_ms = 1000});
    say(n, n->a, "GET k", NONE);
    say(n, n->a, "READONLY", OK);
    submit(n->a, "GET k");
    expect(n->a, NONE);
    submit(n->a, "WATCH k");
    expect(n->a, "");
    settle(n);
    expect(n->a, OK);
    submit(n->a, "MULTI");
    submit(n->a, "GET k");
    submit(n->a, "EXEC");
    expect(n->a, OK QUEUED);
    settle(n);
    expect(n->a, "*1\r\n$-1\r\n");
    end(n);
}

/* ---- limits ---- */

static void test_transaction_with_too_many_commands_is_refused(void **state)
{
    struct node node, *n = &node;
    (void)state;
    make(n, 1, (struct service_options){.queued_max = 2});
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    say(n, n->a, "SET k 2", QUEUED);
    say(n, n->a, "SET k 3",
        "-ERR too many commands in a transaction (--client-queued-max)\r\n");
    assert_int_equal(transaction_bytes(n), 0);
    say(n, n->a, "SET k 4", QUEUED); /* as Redis: EXEC tells */
    say(n, n->a, "EXEC", ABORTED);
    say(n, n->a, "GET k", NONE);
    end(n);
}

static void test_transaction_with_too_many_bytes_is_refused(void **state)
{
    /* SET k 1: code, count, two sizes, two bytes. */
    struct node node, *n = &node;
    (void)state;
    make(n, 1, (struct service_options){.queued_bytes_max = 14});
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    say(n, n->a, "SET k 2", QUEUED);
    say(n, n->a, "EXEC", "*2\r\n+OK\r\n+OK\r\n");
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    say(n, n->a, "SET k 12",
        "-ERR the commands of a transaction take too many bytes "
        "(--client-queued-bytes)\r\n");
    say(n, n->a, "DISCARD", OK);
    end(n);
}

static void test_transaction_memory_of_all_clients_is_bounded(void **state)
{
    static const char refused[] =
        "-BUSY too many watched keys and queued commands in this node "
        "(--transaction-bytes-max); try again\r\n";
    struct node node, *n = &node;
    (void)state;
    make(n, 1, (struct service_options){.transaction_bytes_max = 14});
    say(n, n->a, "MULTI", OK);
    say(n, n->b, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    say(n, n->b, "SET k 2", QUEUED);
    say(n, n->a, "SET k 3", refused);
    say(n, n->a, "EXEC", ABORTED);
    say(n, n->b, "EXEC", "*1\r\n+OK\r\n");
    say(n, n->a, "WATCH k", refused);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 3", QUEUED);
    say(n, n->a, "SET k 4", QUEUED);
    say(n, n->a, "EXEC", "*2\r\n+OK\r\n+OK\r\n");
    end(n);
}

static void test_transaction_beyond_pending_bytes_is_discarded(void **state)
{
    struct node node, *n = &node;
    (void)state;
    make(n, 1, (struct service_options){.pending_bytes_max = 1});
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k 1", QUEUED);
    submit(n->b, "SET j 1");
    submit(n->a, "EXEC");
    expect(n->a, "-EXECABORT Transaction discarded because of: too many "
                 "requests are waiting in this node\r\n");
    settle(n);
    expect(n->b, OK);
    say(n, n->a, "EXEC", "-ERR EXEC without MULTI\r\n");
    /* A command that is refused for it must not be missing unseen. */
    say(n, n->a, "MULTI", OK);
    submit(n->b, "SET j 2");
    submit(n->a, "SET k 1");
    expect(n->a, "-BUSY too many requests are waiting in this node; try "
                 "again\r\n");
    settle(n);
    say(n, n->a, "EXEC", ABORTED);
    end(n);
}

static void test_transaction_reply_beyond_the_limit_tells_so(void **state)
{
    struct node node, *n = &node;
    (void)state;
    make(n, 1, (struct service_options){.reply_bytes_max = 30});
    say(n, n->a, "SET k 0123456789", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "GET k", QUEUED);
    say(n, n->a, "GET k", QUEUED);
    say(n, n->a, "EXISTS k", QUEUED);
    say(n, n->a, "EXEC",
        "*3\r\n$10\r\n0123456789\r\n-ERR reply is longer than the limit of 9 "
        "bytes\r\n:1\r\n");
    end(n);
}

/* ---- told about it ---- */

static void test_transaction_shows_in_client_info(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->b, "WATCH k j", OK);
    say(n, n->b, "MULTI", OK);
    say(n, n->b, "SET k 1", QUEUED);
    submit(n->a, "CLIENT LIST");
    assert_non_null(memmem(buffer_data(session_output(n->a)),
                           buffer_size(session_output(n->a)),
                           "flags=N db=0 multi=-1 watch=0 ", 30));
    assert_non_null(memmem(buffer_data(session_output(n->a)),
                           buffer_size(session_output(n->a)),
                           "flags=x db=0 multi=1 watch=2 ", 29));
    end(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transaction_resp2_replies_are_those_of_redis),
        cmocka_unit_test(test_transaction_resp3_replies_are_those_of_redis),
        cmocka_unit_test(test_transaction_differences_on_purpose),
        cmocka_unit_test(test_transaction_that_writes_is_one_entry),
        cmocka_unit_test(test_transaction_that_reads_is_one_read),
        cmocka_unit_test(test_transaction_random_key_is_the_same_on_each_node),
        cmocka_unit_test(test_transaction_reset_drops_queue_and_watches),
        cmocka_unit_test(test_transaction_quit_drops_the_queue),
        cmocka_unit_test(test_transaction_disconnect_drops_queue_and_watches),
        cmocka_unit_test(test_transaction_sent_before_disconnect_is_completed),
        cmocka_unit_test(test_transaction_beyond_its_time_limit_is_unknown),
        cmocka_unit_test(test_transaction_without_a_leader_is_not_executed),
        cmocka_unit_test(test_transaction_with_redirection_is_moved),
        cmocka_unit_test(test_transaction_after_readonly_asks_the_leader),
        cmocka_unit_test(test_transaction_with_too_many_commands_is_refused),
        cmocka_unit_test(test_transaction_with_too_many_bytes_is_refused),
        cmocka_unit_test(test_transaction_memory_of_all_clients_is_bounded),
        cmocka_unit_test(test_transaction_beyond_pending_bytes_is_discarded),
        cmocka_unit_test(test_transaction_reply_beyond_the_limit_tells_so),
        cmocka_unit_test(test_transaction_shows_in_client_info),
    };
    return cmocka_run_group_tests_name("transaction", tests, NULL, NULL);
}
