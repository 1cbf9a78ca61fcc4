/* Keys expire on all nodes alike, through a failover and a restart, and nothing
 * is written for it while nothing is due. */
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/group.h"

static int setup(void **state)
{
    static const struct cluster_options options = {
        .args = {"--request-timeout-ms", "60000", NULL}};
    (void)state;
    return group_start(&options);
}

static bool is_there(unsigned node, const char *key)
{
    redisReply *reply = cluster_command(&cluster, node, "GET %s", key);
    bool there = reply->type == REDIS_REPLY_STRING;
    if (!there && reply->type != REDIS_REPLY_NIL) {
        cluster_fail(&cluster, "GET %s: %s", key,
                     reply->str != NULL ? reply->str : "?");
    }
    freeReplyObject(reply);
    return there;
}

static void wait_gone(unsigned node, const char *key)
{
    uint64_t end_us = cluster_now_us() + CLUSTER_WAIT_MS * 1000u;
    while (is_there(node, key)) {
        if (cluster_now_us() > end_us) {
            cluster_fail(&cluster, "key %s does not expire", key);
        }
        cluster_sleep_ms(10);
    }
}

static long long integer(unsigned node, const char *word, const char *key)
{
    redisReply *reply = cluster_command(&cluster, node, "%s %s", word, key);
    long long v = reply->integer;
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    return v;
}

/* Once one node has said that a key is gone, all of them do, whoever leads. */
static void test_expiry_gone_is_gone_on_every_node(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        cluster_expect(&cluster,
                       cluster_command(&cluster, round % 3, "SET k v PX 150"),
                       "OK");
        wait_gone((round + 1) % 3, "k");
        for (unsigned i = 0; i < 3; i++) {
            assert_false(is_there(i, "k"));
            assert_int_equal(integer(i, "TTL", "k"), -2);
        }
    }
}

static void test_expiry_survives_failover_and_restart(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    unsigned other = (leader + 1) % 3;
    (void)state;

    freeReplyObject(cluster_command(&cluster, other, "SET short v PX 1000"));
    freeReplyObject(cluster_command(&cluster, other, "SET long v EX 3600"));
    freeReplyObject(cluster_command(&cluster, other, "SET kept v EX 3600"));
    freeReplyObject(cluster_command(&cluster, other, "PERSIST kept"));
    cluster_node_kill(&cluster, leader);
    (void)cluster_wait_leader(&cluster);
    wait_gone(other, "short");
    assert_false(is_there((leader + 2) % 3, "short"));
    assert_in_range(integer(other, "TTL", "long"), 3000, 3600);
    assert_int_equal(integer(other, "TTL", "kept"), -1);
    cluster_node_start(&cluster, leader);
    cluster_wait_equal(&cluster, NULL);
    assert_false(is_there(leader, "short"));
    assert_in_range(integer(leader, "TTL", "long"), 3000, 3600);
    cluster_kill_all(&cluster);
    cluster_start(&cluster);
    for (unsigned i = 0; i < 3; i++) {
        assert_false(is_there(i, "short"));
        assert_true(is_there(i, "long"));
        assert_int_equal(integer(i, "TTL", "kept"), -1);
    }
}

/* Many at once: swept in pieces, and then the log stands still. */
static void test_expiry_sweeps_all_and_then_rests(void **state)
{
    enum { N = 5000 };
    unsigned leader = cluster_wait_leader(&cluster);
    redisContext *r = cluster_connect(&cluster, leader);
    uint64_t index;
    (void)state;

    cluster_expect(&cluster, cluster_command(&cluster, leader, "FLUSHALL"),
                   "OK");
    for (int i = 0; i < N; i++) {
        redisAppendCommand(r, "SET many:%d v PX %d", i, 100 + i % 300);
    }
    for (int i = 0; i < N; i++) {
        cluster_expect(&cluster, cluster_next_reply(&cluster, r), "OK");
    }
    redisFree(r);
    cluster_wait_info_at_most(&cluster, leader, "keys", 0);
    cluster_wait_equal(&cluster, NULL);
    index = cluster_info_u64(&cluster, leader, "raft_last_index");
    cluster_sleep_ms(500); /* several ticks: it would write in each */
    assert_int_equal(cluster_info_u64(&cluster, leader, "raft_last_index"),
                     index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expiry_gone_is_gone_on_every_node),
        cmocka_unit_test(test_expiry_survives_failover_and_restart),
        cmocka_unit_test(test_expiry_sweeps_all_and_then_rests),
    };

    return cmocka_run_group_tests_name("expiry", tests, setup, group_teardown);
}
