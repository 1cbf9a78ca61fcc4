/* Orderly ends and pauses: SIGTERM hands over, a restart finds everything, a
 * paused leader that wakes up serves nothing old. The election timeout is made
 * long where a test must tell a hand-over from a timeout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"

enum {
    LONG_TIMEOUT_MS =
        6000, /* no election by silence within a test's patience */
    HAND_OVER_MS = 3000,
    STOP_MS = 15000
};

static void test_sigterm_on_leader_hands_over_before_it_ends(void **state)
{
    struct cluster_options options = {.election_timeout_ms = LONG_TIMEOUT_MS};
    struct load_options load_options = {.pause_us = 500, .seed = 3};
    struct load *load;
    struct cluster c;
    unsigned leader;
    (void)state;

    cluster_open(&c, &options);
    cluster_start(&c);
    load = load_start(&c, &load_options);
    load_wait_acked(load, 200);
    leader = cluster_wait_leader(&c);
    load_reset_gap(load);
    assert_int_equal(cluster_node_stop(&c, leader, STOP_MS), 0);
    load_wait_acked(load, 50);
    if (load_gap_us(load) > HAND_OVER_MS * 1000) {
        cluster_fail(&c, "no write for %llu ms around the hand-over",
                     (unsigned long long)load_gap_us(load) / 1000);
    }
    cluster_node_start(&c, leader);
    load_finish(load, 100);
    cluster_close(&c);
}

static void test_killed_leader_is_replaced_before_the_timeout(void **state)
{
    struct cluster_options options = {.election_timeout_ms = LONG_TIMEOUT_MS};
    struct cluster c;
    uint64_t begin;
    (void)state;

    cluster_open(&c, &options);
    cluster_start(&c);
    begin = cluster_now_us();
    cluster_node_kill(&c, cluster_wait_leader(&c));
    cluster_wait_leader(&c);
    if (cluster_now_us() - begin > HAND_OVER_MS * 1000) {
        cluster_fail(&c,
                     "closed connections were not taken as a death: a new "
                     "leader took %llu ms",
                     (unsigned long long)(cluster_now_us() - begin) / 1000);
    }
    cluster_close(&c);
}

static void test_stop_and_start_of_all_nodes_keeps_the_state(void **state)
{
    struct cluster c;
    char before[64], after[64];
    redisReply *reply;
    (void)state;

    cluster_open(&c, NULL);
    cluster_start(&c);
    for (int n = 0; n < 200; n++) {
        freeReplyObject(
            cluster_command(&c, (unsigned)n % 3, "SET k%d %d", n, n));
    }
    cluster_wait_equal(&c, before);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cluster_node_stop(&c, i, STOP_MS), 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        cluster_node_start(&c, i);
    }
    cluster_wait_leader(&c);
    cluster_wait_equal(&c, after);
    assert_string_equal(before, after);
    reply = cluster_command(&c, 2, "GET k199");
    assert_string_equal(reply->str, "199");
    freeReplyObject(reply);
    cluster_close(&c);
}

static void test_paused_leader_wakes_up_and_reads_nothing_old(void **state)
{
    struct cluster c;
    redisContext *old;
    redisReply *reply;
    unsigned leader;
    (void)state;

    cluster_open(&c, NULL);
    cluster_start(&c);
    leader = cluster_wait_leader(&c);
    freeReplyObject(cluster_command(&c, leader, "SET seen before"));
    old = cluster_connect(&c, leader);
    cluster_node_pause(&c, leader);
    cluster_wait_leader(&c);
    reply = cluster_command(&c, (leader + 1) % 3, "SET seen after");
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    /* The question lies in its socket when it wakes up believing to lead. */
    redisAppendCommand(old, "GET seen");
    for (int written = 0; written == 0;) {
        assert_int_equal(redisBufferWrite(old, &written), REDIS_OK);
    }
    cluster_node_resume(&c, leader);
    assert_int_equal(redisGetReply(old, (void **)&reply), REDIS_OK);
    if (reply->type == REDIS_REPLY_STRING) {
        assert_string_equal(reply->str, "after");
    } else {
        assert_int_equal(reply->type, REDIS_REPLY_ERROR);
    }
    freeReplyObject(reply);
    redisFree(old);
    cluster_wait_equal(&c, NULL);
    cluster_close(&c);
}

static void test_pauses_under_load_keep_every_promise(void **state)
{
    struct load_options load_options = {.pause_us = 500, .seed = 5};
    struct load *load;
    struct cluster c;
    (void)state;

    cluster_open(&c, NULL);
    cluster_start(&c);
    load = load_start(&c, &load_options);
    for (unsigned round = 0; round < 4; round++) {
        unsigned leader = cluster_wait_leader(&c);
        unsigned victim = round % 2 == 0 ? leader : (leader + 1) % 3;
        load_wait_acked(load, 50);
        cluster_node_pause(&c, victim);
        cluster_wait_leader(&c);
        cluster_sleep_ms(200); /* of load while it is away */
        cluster_node_resume(&c, victim);
    }
    load_finish(load, 100);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigterm_on_leader_hands_over_before_it_ends),
        cmocka_unit_test(test_killed_leader_is_replaced_before_the_timeout),
        cmocka_unit_test(test_stop_and_start_of_all_nodes_keeps_the_state),
        cmocka_unit_test(test_paused_leader_wakes_up_and_reads_nothing_old),
        cmocka_unit_test(test_pauses_under_load_keep_every_promise),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
