/* Clients that know Redis Cluster, and reads after READONLY, against a real
 * cluster: what CLUSTER tells leads to the leader, -MOVED too, and a node that
 * has lost everybody goes on reading for a bounded time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/group.h"

static int setup(void **state)
{
    static const struct cluster_options options = {
        .args = {"--redirect", "moved", "--request-timeout-ms", "1000", NULL}};
    (void)state;
    return group_start(&options);
}

/* A write through node i, following -MOVED once, as clients do. Returns the
 * port of the node that took it. */
static unsigned write_through(unsigned i, const char *value)
{
    redisReply *reply = cluster_command(&cluster, i, "SET {t}k %s", value);
    unsigned port = cluster.nodes[i].client_port;

    if (reply->type == REDIS_REPLY_ERROR) {
        redisContext *r;
        unsigned slot;
        if (sscanf(reply->str, "MOVED %u 127.0.0.1:%u", &slot, &port) != 2) {
            cluster_fail(&cluster, "node %u: %s", i, reply->str);
        }
        assert_int_equal(slot, 15891); /* of "t" */
        freeReplyObject(reply);
        r = redisConnect("127.0.0.1", (int)port);
        assert_non_null(r);
        assert_int_equal(r->err, 0);
        reply = cluster_ask(&cluster, r, "SET {t}k %s", value);
        redisFree(r);
    }
    assert_string_equal(reply->str, "OK");
    freeReplyObject(reply);
    return port;
}

static void test_redirect_moved_leads_to_the_leader(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(write_through(i, "v"),
                         cluster.nodes[leader].client_port);
    }
}

static void test_redirect_slots_name_the_leader_first(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        redisReply *reply = cluster_command(&cluster, i, "CLUSTER SLOTS");
        redisReply *nodes;
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        assert_int_equal(reply->elements, 1);
        nodes = reply->element[0];
        assert_int_equal(nodes->elements, 5);
        assert_int_equal(nodes->element[0]->integer, 0);
        assert_int_equal(nodes->element[1]->integer, 16383);
        assert_string_equal(nodes->element[2]->element[0]->str, "127.0.0.1");
        assert_int_equal(nodes->element[2]->element[1]->integer,
                         cluster.nodes[leader].client_port);
        freeReplyObject(reply);
        reply = cluster_command(&cluster, i, "CLUSTER NODES");
        assert_non_null(strstr(reply->str, "myself,"));
        assert_non_null(strstr(reply->str, " connected 0-16383\n"));
        freeReplyObject(reply);
        reply = cluster_command(&cluster, i, "CLUSTER INFO");
        assert_non_null(strstr(reply->str, "cluster_state:ok\r\n"));
        freeReplyObject(reply);
    }
}

static void test_redirect_lonely_node_reads_for_a_bounded_time(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    unsigned last = (leader + 1) % 3;
    redisContext *r = cluster_connect(&cluster, last);
    bool refused = false;
    (void)state;

    write_through(last, "w");
    cluster_expect(
        &cluster, cluster_ask(&cluster, r, "CONFIG SET stale-read-max-ms 3000"),
        "OK");
    cluster_expect(&cluster, cluster_ask(&cluster, r, "READONLY"), "OK");
    cluster_expect(&cluster, cluster_ask(&cluster, r, "GET {t}k"), "w");
    cluster_node_kill(&cluster, leader);
    cluster_node_kill(&cluster, (leader + 2) % 3);
    /* Each of these waits a second for a leader once the bound has passed. */
    for (unsigned i = 0; i < 3000 && !refused; i++) {
        redisReply *reply = cluster_ask(&cluster, r, "GET {t}k");
        if (reply->type == REDIS_REPLY_ERROR) {
            assert_int_equal(strncmp(reply->str, "STALE ", 6), 0);
            refused = true;
        } else {
            assert_string_equal(reply->str, "w");
            cluster_sleep_ms(10);
        }
        freeReplyObject(reply);
    }
    assert_true(refused);
    assert_true(cluster_info_u64(&cluster, last, "stale_reads") > 0);
    redisFree(r);
    cluster_node_start(&cluster, leader);
    cluster_node_start(&cluster, (leader + 2) % 3);
    cluster_wait_equal(&cluster, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redirect_moved_leads_to_the_leader),
        cmocka_unit_test(test_redirect_slots_name_the_leader_first),
        cmocka_unit_test(test_redirect_lonely_node_reads_for_a_bounded_time),
    };
    return cmocka_run_group_tests_name("redirect", tests, setup,
                                       group_teardown);
}
