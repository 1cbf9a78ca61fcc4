/* WATCH between sessions, nodes and leaders: what counts until EXEC, what
 * between EXEC and the index at which it is applied, and pipelines. */
#include "tests/unit/service/transaction_fixture.h"

/* ---- between EXEC and its index ---- */

static void test_watch_is_compared_where_the_entry_is_applied(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "SET k 1", OK);
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET k mine", QUEUED);
    say(n, n->a, "SET j mine", QUEUED);
    submit(n->b, "SET k theirs"); /* the entry before */
    submit_exec(n, n->a);
    assert_int_equal(n->replica.n_entries, 3);
    settle(n);
    expect(n->b, OK);
    expect(n->a, BROKEN);
    say(n, n->a, "MGET k j", "*2\r\n$6\r\ntheirs\r\n$-1\r\n");
    end(n);
}

static void test_watch_absent_key_made_before_the_entry_fails(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j mine", QUEUED);
    submit(n->b, "SET k theirs");
    submit_exec(n, n->a);
    settle(n);
    expect(n->a, BROKEN);
    buffer_clear(session_output(n->b));
    say(n, n->a, "GET j", NONE);
    end(n);
}

static void test_watch_removed_key_before_the_entry_fails(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "SET k 1", OK);
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j mine", QUEUED);
    submit(n->b, "DEL k");
    submit_exec(n, n->a);
    settle(n);
    expect(n->a, BROKEN);
    end(n);
}

/* In its place it is what the client saw: see transaction.h. */
static void test_watch_changed_back_before_the_entry_passes(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "SET k 1", OK);
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "INCR k", QUEUED);
    submit(n->b, "SET k 2");
    submit(n->b, "SET k 1");
    submit_exec(n, n->a);
    settle(n);
    expect(n->a, "*1\r\n:2\r\n");
    end(n);
}

static void test_watch_compares_the_expiry_too(void **state)
{
    struct node node, *n = make_leader(&node);
    struct bytes k = {(const uint8_t *)"k", 1};
    (void)state;
    say(n, n->a, "SET k 1", OK);
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "INCR j", QUEUED);
    submit_exec(n, n->a);
    assert_int_equal(store_set(n->replica.store, k,
                               (struct bytes){(const uint8_t *)"1", 1}, 0,
                               UINT64_C(1) << 50),
                     0);
    settle(n);
    expect(n->a, BROKEN);
    end(n);
}

/* Two read the same and write: one of them only. */
static void test_watch_lets_one_of_two_increments_pass(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "SET k 1", OK);
    say(n, n->a, "WATCH k", OK);
    say(n, n->b, "WATCH k", OK);
    say(n, n->a, "GET k", "$1\r\n1\r\n");
    say(n, n->b, "GET k", "$1\r\n1\r\n");
    submit(n->a, "MULTI");
    submit(n->a, "SET k 2");
    submit_exec(n, n->a);
    submit(n->b, "MULTI");
    submit(n->b, "SET k 2");
    submit_exec(n, n->b);
    assert_int_equal(n->replica.n_entries, 3);
    settle(n);
    expect(n->a, OK QUEUED "*1\r\n+OK\r\n");
    expect(n->b, OK QUEUED BROKEN);
    end(n);
}

/* ---- before EXEC ---- */

static void test_watch_broken_before_exec_proposes_nothing(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k", OK);
    say(n, n->b, "SET k 1", OK);
    say(n, n->b, "DEL k", ":1\r\n"); /* what it was: the reads may differ */
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    assert_int_equal(n->replica.n_entries, 2);
    submit(n->a, "EXEC");
    expect(n->a, BROKEN);
    assert_int_equal(n->replica.n_entries, 2);
    end(n);
}

/* Acknowledged anywhere before EXEC, and not yet applied on this node: EXEC
 * waits for it, and a change that leaves the value as it was counts too. */
static void test_watch_sees_what_was_acknowledged_before_exec(void **state)
{
    struct node leader, follower, *n = make_leader(&leader), *m = &follower;
    (void)state;
    make(m, 2, (struct service_options){0});
    submit(n->b, "SET k 1");
    apply(n, 1);
    apply_of(m, n, 0);
    submit(m->a, "WATCH k");
    confirm(m, 0);
    submit(m->a, "MULTI");
    submit(m->a, "SET j 1");
    submit(m->b, "SET k 1");
    deliver(m, 0, n);
    apply(n, 1);
    deliver(n, 0, m); /* the result comes before the entry */
    expect(m->b, OK);
    submit(m->a, "EXEC");
    assert_int_equal(m->replica.n_frames, 1);
    apply_of(m, n, 1);
    confirm(m, 0); /* not before this entry is applied */
    expect(m->a, OK OK QUEUED BROKEN);
    assert_int_equal(m->replica.n_frames, 1);
    end(m);
    end(n);
}

static void test_watch_exec_without_a_leader_is_not_executed(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    changed(n, 6, 0);
    submit(n->a, "EXEC");
    confirm(n, ERR_NOTLEADER);
    submit(n->a, "GET j");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n"
                 "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n");
    changed(n, 7, 1);
    settle(n);
    say(n, n->b, "SET k 1", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    say(n, n->a, "EXEC", "*1\r\n+OK\r\n");
    end(n);
}

static void test_watch_is_broken_by_a_snapshot(void **state)
{
    struct node node, *n = make_leader(&node);
    struct store *old = n->replica.store;
    (void)state;
    say(n, n->a, "WATCH k", OK);
    assert_int_equal(store_new(&n->replica.store), 0);
    n->events.jumped(n->events.ctx, 100, 5);
    store_free(old);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    say(n, n->a, "EXEC", BROKEN);
    /* What is watched from now on is watched in the new state. */
    say(n, n->a, "WATCH k", OK);
    say(n, n->b, "SET k 1", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "EXEC", BROKEN);
    end(n);
}

static void test_watch_is_a_linearizable_read(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    submit(n->a, "WATCH k");
    expect(n->a, "");
    assert_int_equal(n->replica.n_reads, 1);
    confirm(n, ERR_NOTLEADER);
    expect(n->a, "");
    changed(n, 6, 1);
    assert_int_equal(n->replica.n_reads, 2);
    confirm(n, 0);
    expect(n->a, OK);
    end(n);
}

/* ---- other nodes and leaders ---- */

static void test_watch_on_a_follower_is_compared_by_all(void **state)
{
    struct node leader, follower, *n = make_leader(&leader), *m = &follower;
    (void)state;
    make(m, 2, (struct service_options){0});
    submit(n->b, "SET k 1");
    apply(n, 1);
    apply_of(m, n, 0);
    submit(m->a, "WATCH k");
    confirm(m, 0);
    submit(m->a, "MULTI");
    submit(m->a, "SET k mine");
    expect(m->a, OK OK QUEUED);
    submit(n->b, "SET k theirs"); /* not applied on the follower */
    submit_exec(m, m->a);
    assert_int_equal(m->replica.n_frames, 1);
    deliver(m, 0, n);
    assert_int_equal(n->replica.n_entries, 3);
    apply(n, 2);
    apply_of(m, n, 1);
    apply_of(m, n, 2);
    expect(m->a, BROKEN);
    submit(m->a, "GET k");
    confirm(m, 0);
    expect(m->a, "$6\r\ntheirs\r\n");
    end(m);
    end(n);
}

static void test_watch_on_a_follower_is_answered_by_the_leader(void **state)
{
    struct node leader, follower, *n = make_leader(&leader), *m = &follower;
    (void)state;
    make(m, 2, (struct service_options){0});
    submit(m->a, "WATCH k");
    confirm(m, 0);
    submit(m->a, "MULTI");
    submit(m->a, "SET k mine");
    submit_exec(m, m->a);
    deliver(m, 0, n);
    apply(n, 1);
    deliver(n, 0, m); /* the result, before the entry is here */
    expect(m->a, OK OK QUEUED "*1\r\n+OK\r\n");
    apply_of(m, n, 0);
    expect(m->a, "");
    end(m);
    end(n);
}

/* The entry is lost with its leader and sent again to the next: once. */
static void test_watch_holds_over_a_change_of_leader(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "SET k 1", OK);
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "INCR k", QUEUED);
    submit_exec(n, n->a);
    assert_int_equal(n->replica.n_entries, 2);
    changed(n, 6, 1);
    n->replica.n_applied = 2; /* the entry of term 5 is cut off */
    assert_int_equal(n->replica.n_entries, 2);
    n->events.applied(n->events.ctx, ++n->replica.index, 6, NULL, NULL);
    assert_int_equal(n->replica.n_entries, 3);
    apply(n, 1);
    expect(n->a, "*1\r\n:2\r\n");
    /* And when the key was changed by the leader between. */
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "INCR k", QUEUED);
    submit_exec(n, n->a);
    changed(n, 7, 1);
    n->replica.n_applied = 4;
    assert_int_equal(store_set(n->replica.store,
                               (struct bytes){(const uint8_t *)"k", 1},
                               (struct bytes){(const uint8_t *)"7", 1}, 0, 0),
                     0);
    n->events.applied(n->events.ctx, ++n->replica.index, 7, NULL, NULL);
    apply(n, 1);
    expect(n->a, BROKEN);
    end(n);
}

/* ---- pipelines ---- */

static void test_watch_in_a_pipeline_is_read_before_exec_begins(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    submit(n->a, "WATCH k");
    submit(n->a, "GET k");
    submit(n->a, "MULTI");
    submit(n->a, "SET k 1");
    submit(n->a, "EXEC");
    assert_int_equal(n->replica.n_entries, 0);
    submit(n->b, "SET k 0");
    apply(n, 1);
    confirm(n, 0);
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 1);
    confirm(n, 0); /* that of EXEC */
    assert_int_equal(n->replica.n_entries, 2);
    apply(n, 1);
    expect(n->a, OK "$1\r\n0\r\n" OK QUEUED "*1\r\n+OK\r\n");
    end(n);
}

static void test_watch_given_up_in_a_pipeline_does_not_count(void **state)
{
    static const char *const forget[] = {"UNWATCH", "RESET", "DISCARD", "EXEC"};
    static const char *const answers[] = {OK, "+RESET\r\n", OK, BROKEN};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct node node, *n = make_leader(&node);
        char want[256];
        say(n, n->a, "WATCH k", OK);
        submit(n->a, "SET x 1"); /* not answered when the rest comes */
        if (i >= 2) {
            submit(n->a, "MULTI");
        }
        submit(n->a, forget[i]);
        submit(n->a, "MULTI");
        submit(n->a, "SET mark 1");
        submit(n->b, "SET k changed"); /* before an EXEC that came too early */
        submit(n->a, "EXEC");
        settle(n);
        snprintf(want, sizeof want, OK "%s%s" OK QUEUED "*1\r\n+OK\r\n",
                 i >= 2 ? OK : "", answers[i]);
        expect(n->a, want);
        end(n);
    }
}

/* One transaction behind the other, all under way at once. */
static void test_watch_in_a_pipeline_belongs_to_the_next_exec(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    submit(n->a, "WATCH k");
    submit(n->a, "MULTI");
    submit(n->a, "INCR n");
    submit(n->a, "EXEC");
    submit(n->a, "MULTI");
    submit(n->a, "INCR n");
    submit(n->a, "EXEC");
    submit(n->a, "WATCH j");
    submit(n->a, "MULTI");
    submit(n->a, "INCR n");
    submit(n->a, "EXEC");
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 0);
    confirm(n, 0); /* of the first EXEC, for which all others wait */
    assert_int_equal(n->replica.n_entries, 1);
    submit(n->b, "SET j 1");
    settle(n);
    expect(n->a, OK OK QUEUED "*1\r\n:1\r\n" OK QUEUED
                              "*1\r\n:2\r\n" OK OK QUEUED "*1\r\n:3\r\n");
    end(n);
}

static void test_watch_lost_to_its_time_limit_leaves_no_watch(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    submit(n->a, "WATCH k");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-CLUSTERDOWN no leader could confirm a read for 1000 ms; try "
                 "again\r\n");
    confirm(n, 0);
    assert_int_equal(transaction_bytes(n), 0);
    say(n, n->b, "SET k 1", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    say(n, n->a, "EXEC", "*1\r\n+OK\r\n");
    end(n);
}

/* Ids are used up: EXEC waits for new ones and still knows its watches. */
static void test_watch_waits_with_exec_for_ids(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    n->service->end_id = (n->service->end_id | UINT32_MAX) - 1;
    n->service->first_id = n->service->next_id = n->service->end_id;
    submit(n->b, "SET k 1");
    assert_int_equal(n->replica.n_entries, 1);
    submit(n->a, "EXEC");
    assert_int_equal(n->replica.n_entries, 1);
    settle(n);
    expect(n->b, OK);
    expect(n->a, BROKEN);
    assert_int_equal(n->replica.n_entries, 1);
    end(n);
}

/* The same, and nothing is executed before there is an id. */
static void test_watch_unbroken_waits_with_exec_for_ids(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    n->service->end_id = (n->service->end_id | UINT32_MAX) - 1;
    n->service->first_id = n->service->next_id = n->service->end_id;
    submit(n->b, "SET x 1");
    submit_exec(n, n->a);
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(store_count(n->replica.store), 0);
    expect(n->a, "");
    apply(n, 1);
    assert_int_equal(n->replica.n_entries, 2);
    assert_int_equal(store_count(n->replica.store), 1);
    apply(n, 1);
    expect(n->a, "*1\r\n+OK\r\n");
    expect(n->b, OK);
    end(n);
}

static void test_watch_session_may_end_while_it_waits(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    submit(n->a, "WATCH k");
    submit(n->a, "MULTI");
    submit(n->a, "SET j 1");
    submit(n->a, "EXEC");
    session_close(n->a);
    n->a = NULL;
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 0);
    end(n);
}

/* ---- keys that expire ---- */

static void set_expiring(struct node *n, const char *value, uint64_t expire_ms)
{
    struct bytes k = {(const uint8_t *)"k", 1};
    struct bytes v = {(const uint8_t *)value, strlen(value)};
    assert_int_equal(store_set(n->replica.store, k, v, 0, expire_ms), 0);
}

static void
test_watch_of_a_key_that_expires_before_the_entry_fails(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    set_expiring(n, "1", 5000);
    n->replica.clock_ms = 4999;
    say(n, n->a, "WATCH k", OK);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    n->replica.leader_clock_ms = 5000;
    submit_exec(n, n->a);
    settle(n);
    expect(n->a, BROKEN);
    end(n);
}

/* It was absent to the client, and its removal changes nothing. */
static void test_watch_of_an_expired_key_is_one_of_an_absent_key(void **state)
{
    struct node node, *n = make_leader(&node);
    size_t n_deleted;
    (void)state;
    set_expiring(n, "1", 5000);
    n->replica.clock_ms = n->replica.leader_clock_ms = 5000;
    say(n, n->a, "WATCH k", OK);
    assert_int_equal(store_expire(n->replica.store, 5000, 10, &n_deleted), 0);
    assert_int_equal(n_deleted, 1);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    say(n, n->a, "EXEC", "*1\r\n+OK\r\n");
    set_expiring(n, "1", 5000);
    say(n, n->a, "WATCH k", OK);
    set_expiring(n, "2", 0);
    say(n, n->a, "MULTI", OK);
    say(n, n->a, "SET j 1", QUEUED);
    say(n, n->a, "EXEC", BROKEN);
    end(n);
}

/* Due by the leader's clock and not by the state's: asked for again. */
static void test_watch_and_exec_of_a_due_key_wait_for_the_clock(void **state)
{
    struct node node, *n = make_leader(&node);
    (void)state;
    set_expiring(n, "1", 5000);
    n->replica.clock_ms = 4000;
    n->leader_ms = 5000;
    submit(n->a, "WATCH j k");
    confirm(n, 0);
    expect(n->a, "");
    assert_int_equal(transaction_bytes(n), 0);
    assert_int_equal(n->replica.n_reads, 2);
    assert_true(n->replica.reads[1].settle);
    n->replica.clock_ms = 5000;
    confirm(n, 0);
    expect(n->a, OK);
    set_expiring(n, "1", 6000); /* by somebody else */
    say(n, n->a, "UNWATCH", OK);
    n->leader_ms = 6000;
    submit(n->a, "MULTI");
    submit(n->a, "PING");
    submit(n->a, "GET k");
    submit(n->a, "EXEC");
    confirm(n, 0);
    expect(n->a, OK QUEUED QUEUED);
    n->replica.clock_ms = 6000;
    confirm(n, 0);
    expect(n->a, "*2\r\n+PONG\r\n$-1\r\n");
    end(n);
}

/* ---- limits ---- */

static void test_watch_beyond_its_limits_is_refused(void **state)
{
    static const char refused[] = "-ERR too many watched keys for one client "
                                  "(--client-watched-max)\r\n";
    struct node node, *n = &node;
    static uint8_t key[STORE_KEY_MAX];
    struct bytes argv[2] = {{(const uint8_t *)"WATCH", 5}, {key, sizeof key}};
    (void)state;
    make(n, 1, (struct service_options){.watched_max = 2});
    say(n, n->a, "WATCH a b a b", OK);
    say(n, n->a, "WATCH c", refused);
    say(n, n->a, "UNWATCH", OK);
    say(n, n->a, "WATCH c", OK);
    end(n);
    /* Their bytes have to fit into the entry. */
    make_leader(n);
    for (unsigned i = 0; i < 64; i++) {
        key[0] = (uint8_t)i;
        (void)session_submit(n->a, 2, argv);
        settle(n);
        expect(n->a, i < 63 ? OK : refused);
    }
    end(n);
}

static void test_watch_of_many_keys_and_sessions(void **state)
{
    enum { N = 200 };
    struct session *sessions[N];
    struct node node, *n = make_leader(&node);
    struct service_stats stats;
    char line[64];
    (void)state;
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(session_open(n->service, on_output, n, &sessions[i]),
                         0);
        snprintf(line, sizeof line, "WATCH all k%u j%u", i, i % 10);
        say(n, sessions[i], line, OK);
    }
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.n_watching, N);
    assert_int_equal(stats.n_watched, 3 * N);
    say(n, n->b, "SET j3 x", OK);
    say(n, n->b, "SET k100 x", OK);
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.n_watching, N - N / 10 - 1);
    for (unsigned i = 0; i < N; i++) {
        bool broken = i % 10 == 3 || i == 100;
        say(n, sessions[i], "MULTI", OK);
        say(n, sessions[i], "EXISTS all", QUEUED);
        say(n, sessions[i], "EXEC", broken ? BROKEN : "*1\r\n:0\r\n");
        say(n, sessions[i], "WATCH all", OK);
    }
    say(n, n->b, "SET all x", OK);
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.n_watching, 0);
    for (unsigned i = 0; i < N; i++) {
        session_close(sessions[i]);
    }
    end(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_watch_is_compared_where_the_entry_is_applied),
        cmocka_unit_test(test_watch_absent_key_made_before_the_entry_fails),
        cmocka_unit_test(test_watch_removed_key_before_the_entry_fails),
        cmocka_unit_test(test_watch_changed_back_before_the_entry_passes),
        cmocka_unit_test(test_watch_compares_the_expiry_too),
        cmocka_unit_test(test_watch_lets_one_of_two_increments_pass),
        cmocka_unit_test(test_watch_broken_before_exec_proposes_nothing),
        cmocka_unit_test(test_watch_sees_what_was_acknowledged_before_exec),
        cmocka_unit_test(test_watch_exec_without_a_leader_is_not_executed),
        cmocka_unit_test(test_watch_is_broken_by_a_snapshot),
        cmocka_unit_test(test_watch_is_a_linearizable_read),
        cmocka_unit_test(test_watch_on_a_follower_is_compared_by_all),
        cmocka_unit_test(test_watch_on_a_follower_is_answered_by_the_leader),
        cmocka_unit_test(test_watch_holds_over_a_change_of_leader),
        cmocka_unit_test(test_watch_in_a_pipeline_is_read_before_exec_begins),
        cmocka_unit_test(test_watch_given_up_in_a_pipeline_does_not_count),
        cmocka_unit_test(test_watch_in_a_pipeline_belongs_to_the_next_exec),
        cmocka_unit_test(test_watch_lost_to_its_time_limit_leaves_no_watch),
        cmocka_unit_test(test_watch_waits_with_exec_for_ids),
        cmocka_unit_test(test_watch_unbroken_waits_with_exec_for_ids),
        cmocka_unit_test(test_watch_session_may_end_while_it_waits),
        cmocka_unit_test(
            test_watch_of_a_key_that_expires_before_the_entry_fails),
        cmocka_unit_test(test_watch_of_an_expired_key_is_one_of_an_absent_key),
        cmocka_unit_test(test_watch_and_exec_of_a_due_key_wait_for_the_clock),
        cmocka_unit_test(test_watch_beyond_its_limits_is_refused),
        cmocka_unit_test(test_watch_of_many_keys_and_sessions),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
