/* How much the service does in one turn of the loop: reads that look at many
 * keys let the others have their turn, and all of them are answered in the
 * end. */
#include "tests/unit/service/service_fixture.h"

enum { N_KEYS = 20000, N_PIPELINED = 48, TURNS_MAX = 100000 };

/* A leader with this many keys, half of them in slot 0. */
static struct node *open_with_keys(void **state, unsigned n_keys)
{
    struct node *n = open_leader(state);
    char key[32];
    for (unsigned i = 0; i < n_keys; i++) {
        int size = snprintf(key, sizeof key, "%s%06u",
                            i % 2 == 0 ? "{3560}" : "{b}", i);
        struct bytes b = {(const uint8_t *)key, (size_t)size};
        assert_int_equal(store_set(n->replica.store, b, b, 0, 0), 0);
    }
    return n;
}

/* Each looks at all keys and finds none. */
static void submit_slow_reads(struct client *c)
{
    for (unsigned i = 0; i < N_PIPELINED; i++) {
        submit(c, "KEYS none");
    }
}

static unsigned n_lines(const struct client *c)
{
    const struct buffer *out = session_output(c->session);
    unsigned n = 0;
    for (size_t i = 0; i < buffer_size(out); i++) {
        n += buffer_data(out)[i] == '\n';
    }
    return n;
}

/* The turns of the loop until nothing is to be done at once. */
static unsigned run_turns(struct node *n)
{
    unsigned n_turns = 0;
    while (service_deadline_ms(n->service) <= n->now_ms) {
        service_timer(n->service);
        assert_true(++n_turns < TURNS_MAX);
    }
    return n_turns;
}

static void test_turn_pipelined_keys_do_not_run_in_one_go(void **state)
{
    struct node *n = open_with_keys(state, N_KEYS);
    submit_slow_reads(n->a);
    settle(n);
    assert_in_range(n_lines(n->a), 1, N_PIPELINED / 2);
    assert_true(run_turns(n) > 1);
    assert_int_equal(n_lines(n->a), N_PIPELINED);
    assert_int_equal(service_pending(n->service), 0);
}

static void test_turn_others_are_served_between(void **state)
{
    struct node *n = open_with_keys(state, N_KEYS);
    submit_slow_reads(n->a);
    submit(n->b, "GET x");
    settle(n);
    service_timer(n->service); /* a, which was active before */
    service_timer(n->service);
    expect(n->b, NONE);
    assert_in_range(n_lines(n->a), 1, N_PIPELINED - 1);
    run_turns(n);
    assert_int_equal(n_lines(n->a), N_PIPELINED);
}

static void test_turn_writes_go_on_while_reads_wait(void **state)
{
    struct node *n = open_with_keys(state, N_KEYS);
    submit_slow_reads(n->a);
    settle(n);
    submit(n->b, "SET x 1");
    assert_int_equal(n->replica.n_entries, 1);
    apply(n, 1);
    service_timer(n->service);
    service_timer(n->service);
    expect(n->b, OK);
    assert_in_range(n_lines(n->a), 1, N_PIPELINED - 1);
    run_turns(n);
}

static void test_turn_session_closed_while_it_waits(void **state)
{
    struct node *n = open_with_keys(state, N_KEYS);
    submit_slow_reads(n->a);
    settle(n);
    hang_up(n->a);
    run_turns(n);
    assert_int_equal(service_pending(n->service), 0);
}

static void test_turn_count_of_a_slot_takes_several(void **state)
{
    struct node *n = open_with_keys(state, 4 * N_KEYS);
    pipeline(n->a, "CLUSTER COUNTKEYSINSLOT 0", "PING");
    expect(n->a, "");
    say(n->b, "PING", PONG);
    assert_true(run_turns(n) > 1);
    expect(n->a, ":40000\r\n" PONG);
}

static void test_turn_count_goes_on_where_it_was(void **state)
{
    static const struct bytes first = {(const uint8_t *)"{3560}000000", 12};
    struct node *n = open_with_keys(state, 4 * N_KEYS);
    submit(n->a, "CLUSTER COUNTKEYSINSLOT 0");
    /* What was counted stays so. */
    assert_int_equal(store_delete(n->replica.store, first), 0);
    run_turns(n);
    expect(n->a, ":40000\r\n");
}

static void test_turn_count_ends_with_its_client(void **state)
{
    struct node *n = open_with_keys(state, 4 * N_KEYS);
    submit(n->a, "CLUSTER COUNTKEYSINSLOT 0");
    hang_up(n->a);
    run_turns(n);
    assert_int_equal(service_pending(n->service), 0);
}

static void test_turn_count_refuses_what_is_no_slot(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CLUSTER COUNTKEYSINSLOT 16384", "-ERR Invalid slot\r\n");
    say(n->a, "CLUSTER COUNTKEYSINSLOT -1", "-ERR Invalid slot\r\n");
    say(n->a, "CLUSTER COUNTKEYSINSLOT x",
        "-ERR value is not an integer or out of range\r\n");
    say(n->a, "CLUSTER COUNTKEYSINSLOT 0", ":0\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_turn_pipelined_keys_do_not_run_in_one_go),
        TEST(test_turn_others_are_served_between),
        TEST(test_turn_writes_go_on_while_reads_wait),
        TEST(test_turn_session_closed_while_it_waits),
        TEST(test_turn_count_of_a_slot_takes_several),
        TEST(test_turn_count_goes_on_where_it_was),
        TEST(test_turn_count_ends_with_its_client),
        TEST(test_turn_count_refuses_what_is_no_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
