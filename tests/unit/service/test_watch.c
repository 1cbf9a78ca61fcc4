/* WATCH between sessions, nodes and leaders: what counts until EXEC, what
 * between EXEC and the index at which it is applied, and pipelines. */
#include "tests/unit/service/service_fixture.h"

/* WATCH k, MULTI and a first command. */
static void watch_then_multi(struct client *c, const char *line)
{
    run(c, "WATCH k", OK);
    multi(c, line);
}

/* EXEC with watches is proposed when the barrier has confirmed. */
static void exec(struct client *c)
{
    submit(c, "EXEC");
    confirm(c->node, 0);
}

/* Give k another value, without an entry. */
static void set_k(struct node *n, const char *value, uint64_t expire_ms)
{
    struct bytes k = {(const uint8_t *)"k", 1};
    struct bytes v = {(const uint8_t *)value, strlen(value)};
    assert_int_equal(store_set(n->replica.store, k, v, 0, expire_ms), 0);
}

/* k is 1 on both nodes, and a client of the follower watches it. */
static void watch_on_follower(struct node *leader, struct node *follower)
{
    submit(leader->b, "SET k 1");
    apply(leader, 1);
    apply_of(follower, leader, 0);
    submit(follower->a, "WATCH k");
    confirm(follower, 0);
    expect(follower->a, OK);
}

/* The node has no request ids left before what it has proposed is applied. */
static void use_up_ids(struct node *n)
{
    struct service *s = n->service;
    s->end_id = (s->end_id | UINT32_MAX) - 1;
    s->first_id = s->next_id = s->end_id;
}

/* ---- between EXEC and its index ---- */

static void test_watch_is_compared_where_the_entry_is_applied(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k 1", OK);
    watch_then_multi(n->a, "SET k mine");
    run(n->a, "SET j mine", QUEUED);
    submit(n->b, "SET k theirs"); /* the entry before */
    exec(n->a);
    assert_int_equal(n->replica.n_entries, 3);
    settle(n);
    expect(n->b, OK);
    expect(n->a, BROKEN);
    run(n->a, "MGET k j", "*2\r\n$6\r\ntheirs\r\n$-1\r\n");
}

static void test_watch_absent_key_made_before_the_entry_fails(void **state)
{
    struct node *n = open_leader(state);
    watch_then_multi(n->a, "SET j mine");
    submit(n->b, "SET k theirs");
    exec(n->a);
    settle(n);
    expect(n->a, BROKEN);
    expect(n->b, OK);
    run(n->a, "GET j", NONE);
}

static void test_watch_removed_key_before_the_entry_fails(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k 1", OK);
    watch_then_multi(n->a, "SET j mine");
    submit(n->b, "DEL k");
    exec(n->a);
    settle(n);
    expect(n->a, BROKEN);
}

/* In its place it is what the client saw: see transaction.h. */
static void test_watch_changed_back_before_the_entry_passes(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k 1", OK);
    watch_then_multi(n->a, "INCR k");
    pipeline(n->b, "SET k 2", "SET k 1");
    exec(n->a);
    settle(n);
    expect(n->a, "*1\r\n:2\r\n");
}

static void test_watch_compares_the_expiry_too(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k 1", OK);
    watch_then_multi(n->a, "INCR j");
    exec(n->a);
    set_k(n, "1", UINT64_C(1) << 50);
    settle(n);
    expect(n->a, BROKEN);
}

/* Two read the same and write: one of them only. */
static void test_watch_lets_one_of_two_increments_pass(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k 1", OK);
    run(n->a, "WATCH k", OK);
    run(n->b, "WATCH k", OK);
    run(n->a, "GET k", "$1\r\n1\r\n");
    run(n->b, "GET k", "$1\r\n1\r\n");
    pipeline(n->a, "MULTI", "SET k 2");
    exec(n->a);
    pipeline(n->b, "MULTI", "SET k 2");
    exec(n->b);
    assert_int_equal(n->replica.n_entries, 3);
    settle(n);
    expect(n->a, OK QUEUED EXECUTED);
    expect(n->b, OK QUEUED BROKEN);
}

/* ---- before EXEC ---- */

static void test_watch_broken_before_exec_proposes_nothing(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "WATCH k", OK);
    run(n->b, "SET k 1", OK);
    run(n->b, "DEL k", ":1\r\n"); /* what it was: the reads may differ */
    multi(n->a, "SET j 1");
    assert_int_equal(n->replica.n_entries, 2);
    submit(n->a, "EXEC");
    expect(n->a, BROKEN);
    assert_int_equal(n->replica.n_entries, 2);
}

/* Acknowledged anywhere before EXEC, and not yet applied on this node: EXEC
 * waits for it, and a change that leaves the value as it was counts too. */
static void test_watch_sees_what_was_acknowledged_before_exec(void **state)
{
    struct node *n = open_leader(state), *m = open_follower(state);
    watch_on_follower(n, m);
    pipeline(m->a, "MULTI", "SET j 1");
    submit(m->b, "SET k 1");
    deliver(m, 0, n);
    apply(n, 1);
    deliver(n, 0, m); /* the result comes before the entry */
    expect(m->b, OK);
    submit(m->a, "EXEC");
    assert_int_equal(m->replica.n_frames, 1);
    apply_of(m, n, 1);
    confirm(m, 0); /* not before this entry is applied */
    expect(m->a, OK QUEUED BROKEN);
    assert_int_equal(m->replica.n_frames, 1);
}

static void test_watch_exec_without_a_leader_is_not_executed(void **state)
{
    struct node *n = open_leader(state);
    watch_then_multi(n->a, "SET j 1");
    changed(n, 6, 0);
    submit(n->a, "EXEC");
    confirm(n, ERR_NOTLEADER);
    submit(n->a, "GET j");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n"
                 "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n");
    changed(n, 7, 1);
    settle(n);
    run(n->b, "SET k 1", OK);
    multi(n->a, "SET j 1");
    run(n->a, "EXEC", EXECUTED);
}

static void test_watch_is_broken_by_a_snapshot(void **state)
{
    struct node *n = open_leader(state);
    struct store *old = n->replica.store;
    run(n->a, "WATCH k", OK);
    assert_int_equal(store_new(&n->replica.store), 0);
    n->events.jumped(n->events.ctx, 100, 5);
    store_free(old);
    multi(n->a, "SET j 1");
    run(n->a, "EXEC", BROKEN);
    /* What is watched from now on is watched in the new state. */
    run(n->a, "WATCH k", OK);
    run(n->b, "SET k 1", OK);
    run(n->a, "MULTI", OK);
    run(n->a, "EXEC", BROKEN);
}

static void test_watch_is_a_linearizable_read(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "WATCH k");
    expect(n->a, "");
    assert_int_equal(n->replica.n_reads, 1);
    confirm(n, ERR_NOTLEADER);
    expect(n->a, "");
    changed(n, 6, 1);
    assert_int_equal(n->replica.n_reads, 2);
    confirm(n, 0);
    expect(n->a, OK);
}

/* ---- other nodes and leaders ---- */

static void test_watch_on_a_follower_is_compared_by_all(void **state)
{
    struct node *n = open_leader(state), *m = open_follower(state);
    watch_on_follower(n, m);
    pipeline(m->a, "MULTI", "SET k mine");
    expect(m->a, OK QUEUED);
    submit(n->b, "SET k theirs"); /* not applied on the follower */
    exec(m->a);
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
}

static void test_watch_on_a_follower_is_answered_by_the_leader(void **state)
{
    struct node *n = open_leader(state), *m = open_follower(state);
    submit(m->a, "WATCH k");
    confirm(m, 0);
    pipeline(m->a, "MULTI", "SET k mine");
    exec(m->a);
    deliver(m, 0, n);
    apply(n, 1);
    deliver(n, 0, m); /* the result, before the entry is here */
    expect(m->a, OK OK QUEUED EXECUTED);
    apply_of(m, n, 0);
    expect(m->a, "");
}

/* The entry is lost with its leader and sent again to the next: once. */
static void test_watch_holds_over_a_change_of_leader(void **state)
{
    struct node *n = open_leader(state);
    run(n->a, "SET k 1", OK);
    watch_then_multi(n->a, "INCR k");
    exec(n->a);
    assert_int_equal(n->replica.n_entries, 2);
    changed(n, 6, 1);
    n->replica.n_applied = 2; /* the entry of term 5 is cut off */
    assert_int_equal(n->replica.n_entries, 2);
    apply_barrier(n, 6);
    assert_int_equal(n->replica.n_entries, 3);
    apply(n, 1);
    expect(n->a, "*1\r\n:2\r\n");
    /* And when the key was changed by the leader between. */
    watch_then_multi(n->a, "INCR k");
    exec(n->a);
    changed(n, 7, 1);
    n->replica.n_applied = 4;
    set_k(n, "7", 0);
    apply_barrier(n, 7);
    apply(n, 1);
    expect(n->a, BROKEN);
}

/* ---- pipelines ---- */

static void test_watch_in_a_pipeline_is_read_before_exec_begins(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "WATCH k", "GET k", "MULTI", "SET k 1", "EXEC");
    assert_int_equal(n->replica.n_entries, 0);
    submit(n->b, "SET k 0");
    apply(n, 1);
    confirm(n, 0);
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 1);
    confirm(n, 0); /* that of EXEC */
    assert_int_equal(n->replica.n_entries, 2);
    apply(n, 1);
    expect(n->a, OK "$1\r\n0\r\n" OK QUEUED EXECUTED);
}

static void test_watch_given_up_in_a_pipeline_does_not_count(void **state)
{
    static const char *const forget[] = {"UNWATCH", "RESET", "DISCARD", "EXEC"};
    static const char *const answers[] = {OK, "+RESET\r\n", OK, BROKEN};
    for (unsigned i = 0; i < 4; i++) {
        struct node *n = open_leader(state);
        char want[256];
        run(n->a, "WATCH k", OK);
        submit(n->a, "SET x 1"); /* not answered when the rest comes */
        if (i >= 2) {
            submit(n->a, "MULTI");
        }
        submit(n->a, forget[i]);
        pipeline(n->a, "MULTI", "SET mark 1");
        submit(n->b, "SET k changed"); /* before an EXEC that came too early */
        submit(n->a, "EXEC");
        settle(n);
        snprintf(want, sizeof want, OK "%s%s" OK QUEUED EXECUTED,
                 i >= 2 ? OK : "", answers[i]);
        expect(n->a, want);
    }
}

/* One transaction behind the other, all under way at once. */
static void test_watch_in_a_pipeline_belongs_to_the_next_exec(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "WATCH k", "MULTI", "INCR n", "EXEC", "MULTI", "INCR n",
             "EXEC", "WATCH j", "MULTI", "INCR n", "EXEC");
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 0);
    confirm(n, 0); /* of the first EXEC, for which all others wait */
    assert_int_equal(n->replica.n_entries, 1);
    submit(n->b, "SET j 1");
    settle(n);
    expect(n->a, OK OK QUEUED "*1\r\n:1\r\n" OK QUEUED
                              "*1\r\n:2\r\n" OK OK QUEUED "*1\r\n:3\r\n");
}

static void test_watch_lost_to_its_time_limit_leaves_no_watch(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "WATCH k");
    pass(n, TIMEOUT_MS);
    expect(n->a, "-CLUSTERDOWN no leader could confirm a read for 1000 ms; try "
                 "again\r\n");
    confirm(n, 0);
    assert_int_equal(stats_of(n).transaction_bytes, 0);
    run(n->b, "SET k 1", OK);
    multi(n->a, "SET j 1");
    run(n->a, "EXEC", EXECUTED);
}

/* Ids are used up: EXEC waits for new ones and still knows its watches. */
static void test_watch_waits_with_exec_for_ids(void **state)
{
    struct node *n = open_leader(state);
    watch_then_multi(n->a, "SET j 1");
    use_up_ids(n);
    submit(n->b, "SET k 1");
    assert_int_equal(n->replica.n_entries, 1);
    submit(n->a, "EXEC");
    assert_int_equal(n->replica.n_entries, 1);
    settle(n);
    expect(n->b, OK);
    expect(n->a, BROKEN);
    assert_int_equal(n->replica.n_entries, 1);
}

/* The same, and nothing is executed before there is an id. */
static void test_watch_unbroken_waits_with_exec_for_ids(void **state)
{
    struct node *n = open_leader(state);
    watch_then_multi(n->a, "SET j 1");
    use_up_ids(n);
    submit(n->b, "SET x 1");
    exec(n->a);
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(store_count(n->replica.store), 0);
    expect(n->a, "");
    apply(n, 1);
    assert_int_equal(n->replica.n_entries, 2);
    assert_int_equal(store_count(n->replica.store), 1);
    apply(n, 1);
    expect(n->a, EXECUTED);
    expect(n->b, OK);
}

static void test_watch_session_may_end_while_it_waits(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "WATCH k", "MULTI", "SET j 1", "EXEC");
    hang_up(n->a);
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 0);
}

/* ---- keys that expire ---- */

static void
test_watch_of_a_key_that_expires_before_the_entry_fails(void **state)
{
    struct node *n = open_leader(state);
    set_k(n, "1", 5000);
    n->replica.clock_ms = 4999;
    watch_then_multi(n->a, "SET j 1");
    n->replica.leader_clock_ms = 5000;
    exec(n->a);
    settle(n);
    expect(n->a, BROKEN);
}

/* It was absent to the client, and its removal changes nothing. */
static void test_watch_of_an_expired_key_is_one_of_an_absent_key(void **state)
{
    struct node *n = open_leader(state);
    size_t n_deleted;
    set_k(n, "1", 5000);
    n->replica.clock_ms = n->replica.leader_clock_ms = 5000;
    run(n->a, "WATCH k", OK);
    assert_int_equal(store_expire(n->replica.store, 5000, 10, &n_deleted), 0);
    assert_int_equal(n_deleted, 1);
    multi(n->a, "SET j 1");
    run(n->a, "EXEC", EXECUTED);
    set_k(n, "1", 5000);
    run(n->a, "WATCH k", OK);
    set_k(n, "2", 0);
    multi(n->a, "SET j 1");
    run(n->a, "EXEC", BROKEN);
}

/* Due by the leader's clock and not by the state's: asked for again. */
static void test_watch_and_exec_of_a_due_key_wait_for_the_clock(void **state)
{
    struct node *n = open_leader(state);
    set_k(n, "1", 5000);
    n->replica.clock_ms = 4000;
    n->leader_ms = 5000;
    submit(n->a, "WATCH j k");
    confirm(n, 0);
    expect(n->a, "");
    assert_int_equal(stats_of(n).transaction_bytes, 0);
    assert_int_equal(n->replica.n_reads, 2);
    assert_true(n->replica.reads[1].settle);
    n->replica.clock_ms = 5000;
    confirm(n, 0);
    expect(n->a, OK);
    set_k(n, "1", 6000); /* by somebody else */
    run(n->a, "UNWATCH", OK);
    n->leader_ms = 6000;
    pipeline(n->a, "MULTI", "PING", "GET k", "EXEC");
    confirm(n, 0);
    expect(n->a, OK QUEUED QUEUED);
    n->replica.clock_ms = 6000;
    confirm(n, 0);
    expect(n->a, "*2\r\n+PONG\r\n$-1\r\n");
}

/* ---- limits ---- */

static void test_watch_beyond_its_limits_is_refused(void **state)
{
    static const char refused[] = "-ERR too many watched keys for one client "
                                  "(--client-watched-max)\r\n";
    struct node *n =
        open_node(state, 1, (struct service_options){.watched_max = 2});
    static uint8_t key[STORE_KEY_MAX];
    struct bytes argv[2] = {{(const uint8_t *)"WATCH", 5}, {key, sizeof key}};
    run(n->a, "WATCH a b a b", OK);
    run(n->a, "WATCH c", refused);
    run(n->a, "UNWATCH", OK);
    run(n->a, "WATCH c", OK);
    /* Their bytes have to fit into the entry. */
    n = open_leader(state);
    for (unsigned i = 0; i < 64; i++) {
        key[0] = (uint8_t)i;
        (void)session_submit(n->a->session, 2, argv);
        settle(n);
        expect(n->a, i < 63 ? OK : refused);
    }
}

static void test_watch_of_many_keys_and_sessions(void **state)
{
    enum { N = 200 };
    static struct client clients[N];
    struct node *n = open_leader(state);
    char line[64];
    for (unsigned i = 0; i < N; i++) {
        connect_client(n, &clients[i]);
        snprintf(line, sizeof line, "WATCH all k%u j%u", i, i % 10);
        run(&clients[i], line, OK);
    }
    assert_int_equal(stats_of(n).n_watching, N);
    assert_int_equal(stats_of(n).n_watched, 3 * N);
    run(n->b, "SET j3 x", OK);
    run(n->b, "SET k100 x", OK);
    assert_int_equal(stats_of(n).n_watching, N - N / 10 - 1);
    for (unsigned i = 0; i < N; i++) {
        bool broken = i % 10 == 3 || i == 100;
        multi(&clients[i], "EXISTS all");
        run(&clients[i], "EXEC", broken ? BROKEN : "*1\r\n:0\r\n");
        run(&clients[i], "WATCH all", OK);
    }
    run(n->b, "SET all x", OK);
    assert_int_equal(stats_of(n).n_watching, 0);
    for (unsigned i = 0; i < N; i++) {
        hang_up(&clients[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_watch_is_compared_where_the_entry_is_applied),
        TEST(test_watch_absent_key_made_before_the_entry_fails),
        TEST(test_watch_removed_key_before_the_entry_fails),
        TEST(test_watch_changed_back_before_the_entry_passes),
        TEST(test_watch_compares_the_expiry_too),
        TEST(test_watch_lets_one_of_two_increments_pass),
        TEST(test_watch_broken_before_exec_proposes_nothing),
        TEST(test_watch_sees_what_was_acknowledged_before_exec),
        TEST(test_watch_exec_without_a_leader_is_not_executed),
        TEST(test_watch_is_broken_by_a_snapshot),
        TEST(test_watch_is_a_linearizable_read),
        TEST(test_watch_on_a_follower_is_compared_by_all),
        TEST(test_watch_on_a_follower_is_answered_by_the_leader),
        TEST(test_watch_holds_over_a_change_of_leader),
        TEST(test_watch_in_a_pipeline_is_read_before_exec_begins),
        TEST(test_watch_given_up_in_a_pipeline_does_not_count),
        TEST(test_watch_in_a_pipeline_belongs_to_the_next_exec),
        TEST(test_watch_lost_to_its_time_limit_leaves_no_watch),
        TEST(test_watch_waits_with_exec_for_ids),
        TEST(test_watch_unbroken_waits_with_exec_for_ids),
        TEST(test_watch_session_may_end_while_it_waits),
        TEST(test_watch_of_a_key_that_expires_before_the_entry_fails),
        TEST(test_watch_of_an_expired_key_is_one_of_an_absent_key),
        TEST(test_watch_and_exec_of_a_due_key_wait_for_the_clock),
        TEST(test_watch_beyond_its_limits_is_refused),
        TEST(test_watch_of_many_keys_and_sessions),
    };
    return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
