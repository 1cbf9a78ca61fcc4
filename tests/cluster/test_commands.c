/* Any node takes any command: reads on followers are never older than what was
 * acknowledged anywhere, writes through followers happen once and in order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/group.h"

enum { PIPELINE = 200 };

static int setup(void **state)
{
    /* Long pipelines on a slow disk: time is not what is tested here. */
    static const struct cluster_options options = {
        .args = {"--request-timeout-ms", "60000", NULL}};
    (void)state;
    return group_start(&options);
}

static void test_read_on_each_node_after_write_on_another_sees_it(void **state)
{
    redisContext *r[3];
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        r[i] = cluster_connect(&cluster, i);
    }
    for (unsigned n = 0; n < 150; n++) {
        unsigned writer = n % 3, reader = (n / 3) % 3;
        char value[32];
        redisReply *reply;
        snprintf(value, sizeof value, "v%u", n);
        reply = cluster_ask(&cluster, r[writer], "SET fresh %s", value);
        cluster_expect(&cluster, reply, "OK");
        reply = cluster_ask(&cluster, r[reader], "GET fresh");
        assert_int_equal(reply->type, REDIS_REPLY_STRING);
        assert_string_equal(reply->str, value);
        freeReplyObject(reply);
    }
    for (unsigned i = 0; i < 3; i++) {
        redisFree(r[i]);
    }
}

static void test_increments_through_all_nodes_each_happen_once(void **state)
{
    redisContext *r[3];
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        r[i] = cluster_connect(&cluster, i);
    }
    for (int n = 1; n <= 150; n++) {
        redisContext *via = r[n % 3];
        redisReply *reply = cluster_ask(&cluster, via, "INCR once");
        assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
        assert_int_equal(reply->integer, n);
        freeReplyObject(reply);
    }
    for (unsigned i = 0; i < 3; i++) {
        redisFree(r[i]);
    }
}

static void test_pipeline_through_follower_keeps_its_order(void **state)
{
    unsigned follower = (cluster_wait_leader(&cluster) + 1) % 3;
    redisContext *r = cluster_connect(&cluster, follower);
    (void)state;

    for (int n = 0; n < PIPELINE; n++) {
        redisAppendCommand(r, "SET order %d", n);
        redisAppendCommand(r, "INCR order-count");
        redisAppendCommand(r, "GET order");
    }
    for (int n = 0; n < PIPELINE; n++) {
        redisReply *reply;
        char value[16];
        snprintf(value, sizeof value, "%d", n);
        cluster_expect(&cluster, cluster_next_reply(&cluster, r), "OK");
        reply = cluster_next_reply(&cluster, r);
        assert_int_equal(reply->integer, n + 1);
        freeReplyObject(reply);
        cluster_expect(&cluster, cluster_next_reply(&cluster, r), value);
    }
    redisFree(r);
}

/* Count the keys SCAN gives for a pattern, following the cursor. */
static size_t scan_count(unsigned node, const char *pattern)
{
    redisContext *r = cluster_connect(&cluster, node);
    char cursor[64] = "0";
    size_t n = 0;

    do {
        redisReply *reply = cluster_ask(
            &cluster, r, "SCAN %s MATCH %s COUNT 50", cursor, pattern);
        assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
        assert_int_equal(reply->elements, 2);
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        n += reply->element[1]->elements;
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    redisFree(r);
    return n;
}

static void test_scan_on_each_node_gives_every_key_once(void **state)
{
    redisContext *r = cluster_connect(&cluster, 0);
    (void)state;

    for (int n = 0; n < 300; n++) {
        redisAppendCommand(r, "SET scan:%d x", n);
    }
    for (int n = 0; n < 300; n++) {
        cluster_expect(&cluster, cluster_next_reply(&cluster, r), "OK");
    }
    redisFree(r);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(scan_count(i, "scan:*"), 300);
    }
}

static void test_binary_key_and_value_come_back_unchanged(void **state)
{
    char key[256], value[256];
    redisContext *r = cluster_connect(&cluster, 1);
    redisReply *reply;
    (void)state;

    for (unsigned i = 0; i < 256; i++) {
        key[i] = (char)i;
        value[i] = (char)(255 - i);
    }
    reply = cluster_ask(&cluster, r, "SET %b %b", key, sizeof key, value,
                        sizeof value);
    cluster_expect(&cluster, reply, "OK");
    redisFree(r);
    r = cluster_connect(&cluster, 2);
    reply = cluster_ask(&cluster, r, "GET %b", key, sizeof key);
    assert_int_equal(reply->len, sizeof value);
    assert_memory_equal(reply->str, value, sizeof value);
    freeReplyObject(reply);
    redisFree(r);
}

static void test_info_has_the_fields_that_tools_read(void **state)
{
    static const char *const fields[] = {"node_id",
                                         "cluster_id",
                                         "raft_role",
                                         "raft_leader_id",
                                         "raft_term",
                                         "raft_last_index",
                                         "raft_commit_index",
                                         "raft_applied_index",
                                         "state_hash",
                                         "log_size_bytes",
                                         "log_segments",
                                         "snapshot_index",
                                         "keys",
                                         "used_memory_rss"};
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
            char value[128] = "";
            if (!cluster_info(&cluster, i, fields[f], value, sizeof value) ||
                value[0] == '\0') {
                cluster_fail(&cluster, "INFO of node %u has no %s", i + 1,
                             fields[f]);
            }
        }
        assert_int_equal(cluster_info_u64(&cluster, i, "node_id"), i + 1);
    }
}

static void test_flushall_on_follower_empties_every_node(void **state)
{
    unsigned follower = (cluster_wait_leader(&cluster) + 1) % 3;
    (void)state;

    cluster_expect(&cluster, cluster_command(&cluster, follower, "FLUSHALL"),
                   "OK");
    for (unsigned i = 0; i < 3; i++) {
        redisReply *reply = cluster_command(&cluster, i, "DBSIZE");
        assert_int_equal(reply->integer, 0);
        freeReplyObject(reply);
    }
    cluster_wait_equal(&cluster, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_on_each_node_after_write_on_another_sees_it),
        cmocka_unit_test(test_increments_through_all_nodes_each_happen_once),
        cmocka_unit_test(test_pipeline_through_follower_keeps_its_order),
        cmocka_unit_test(test_scan_on_each_node_gives_every_key_once),
        cmocka_unit_test(test_binary_key_and_value_come_back_unchanged),
        cmocka_unit_test(test_info_has_the_fields_that_tools_read),
        cmocka_unit_test(test_flushall_on_follower_empties_every_node),
    };
    return cmocka_run_group_tests_name("commands", tests, setup,
                                       group_teardown);
}
