/* The engine under a real node: sync policies changed live and killed
 * processes, the log compacted by itself and by hand, what INFO tells of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"

static struct cluster cluster;

enum { SEGMENT = 1024 * 1024, PIPELINE = 200 };

static int setup(void **state)
{
    const struct cluster_options options = {
        .args = {"--segment-bytes", "1m", "--compact-threshold", "500",
                 "--trailing-entries", "4000", NULL}};
    (void)state;
    cluster_open(&cluster, &options);
    cluster_start(&cluster);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cluster_close(&cluster);
    return 0;
}

static void set_all(const char *name, const char *value)
{
    for (unsigned i = 0; i < 3; i++) {
        redisReply *reply =
            cluster_command(&cluster, i, "CONFIG SET %s %s", name, value);
        assert_string_equal(reply->str, "OK");
        freeReplyObject(reply);
    }
}

/* n SETs of the same few keys with 1,000 bytes each, through one node. */
static void overwrite(unsigned via, unsigned n)
{
    redisContext *r = cluster_connect(&cluster, via);
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    for (unsigned at = 0; at < n; at += PIPELINE) {
        for (unsigned i = 0; i < PIPELINE; i++) {
            redisAppendCommand(r, "SET key%u %s", i % 10, value);
        }
        for (unsigned i = 0; i < PIPELINE; i++) {
            void *reply = NULL;
            assert_int_equal(redisGetReply(r, &reply), REDIS_OK);
            assert_string_equal(((redisReply *)reply)->str, "OK");
            freeReplyObject(reply);
        }
    }
    redisFree(r);
}

/* Wait until a number of INFO is at least this. */
static void wait_info(unsigned i, const char *field, uint64_t least)
{
    uint64_t end_us = cluster_now_us() + CLUSTER_WAIT_MS * UINT64_C(1000);
    while (cluster_info_u64(&cluster, i, field) < least) {
        if (cluster_now_us() > end_us) {
            cluster_fail(&cluster, "node %u: %s stays below %llu", i, field,
                         (unsigned long long)least);
        }
        cluster_sleep_ms(20);
    }
}

static void test_engine_killed_processes_lose_nothing_under_interval(void **s)
{
    unsigned leader = cluster_wait_leader(&cluster);
    char policy[32];
    redisReply *reply;
    uint64_t persisted;
    (void)s;
    set_all("sync-interval-ms", "3600000");
    set_all("sync", "interval");
    assert_true(
        cluster_info(&cluster, leader, "sync_policy", policy, sizeof policy));
    assert_string_equal(policy, "interval");
    overwrite(leader, PIPELINE);
    freeReplyObject(cluster_command(&cluster, leader, "SET last word"));
    assert_true(cluster_info_u64(&cluster, leader, "sync_pending_bytes") > 0);
    persisted = cluster_info_u64(&cluster, leader, "log_persisted_index");
    assert_true(cluster_info_u64(&cluster, leader, "log_durable_index") <
                persisted);
    for (unsigned i = 0; i < 3; i++) {
        cluster_node_kill(&cluster, i);
    }
    for (unsigned i = 0; i < 3; i++) {
        cluster_node_start(&cluster, i);
    }
    leader = cluster_wait_leader(&cluster);
    reply = cluster_command(&cluster, leader, "GET last");
    assert_string_equal(reply->str, "word");
    freeReplyObject(reply);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cluster_info_u64(&cluster, i, "log_forgot"), 0);
    }
    cluster_wait_equal(&cluster, NULL);
}

static void test_engine_back_to_always_makes_durable(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    uint64_t persisted;
    (void)state;
    set_all("sync-interval-ms", "3600000");
    set_all("sync", "batch");
    set_all("sync-batch-entries", "1000000");
    overwrite(leader, PIPELINE);
    persisted = cluster_info_u64(&cluster, leader, "log_persisted_index");
    set_all("sync", "always");
    wait_info(leader, "log_durable_index", persisted);
    assert_int_equal(cluster_info_u64(&cluster, leader, "sync_pending_bytes"),
                     0);
    assert_true(cluster_log_has(&cluster, leader, "weaker_sync policy=batch"));
}

static void test_engine_log_stays_bounded_under_overwrites(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    unsigned n_done = 0;
    (void)state;
    for (unsigned round = 0; round < 200 && n_done < 3; round++) {
        overwrite(leader, 5 * PIPELINE);
        n_done = 0;
        for (unsigned i = 0; i < 3; i++) {
            assert_true(cluster_info_u64(&cluster, i, "log_size_bytes") <=
                        32 * (uint64_t)SEGMENT);
            n_done += cluster_info_u64(&cluster, i, "compactions") >= 5;
        }
    }
    assert_int_equal(n_done, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(cluster_info_u64(&cluster, i, "compaction_saved_bytes") >
                    SEGMENT);
    }
    cluster_wait_equal(&cluster, NULL);
}

static void test_engine_compact_and_list_by_hand(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    redisReply *reply;
    (void)state;
    overwrite(leader, PIPELINE);
    reply = cluster_command(&cluster, leader, "CONCORDKV COMPACT");
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    assert_true(cluster_info_u64(&cluster, leader, "snapshot_index") >=
                (uint64_t)reply->integer);
    freeReplyObject(reply);
    reply = cluster_command(&cluster, leader, "CONCORDKV LOG LIST");
    assert_int_equal(reply->type, REDIS_REPLY_ARRAY);
    assert_true(reply->elements >= 1);
    assert_non_null(
        strstr(reply->element[reply->elements - 1]->str, "state=active"));
    freeReplyObject(reply);
}

static void test_engine_latencies_start_anew(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    redisReply *reply;
    (void)state;
    overwrite(leader, PIPELINE);
    reply = cluster_command(&cluster, leader, "INFO latencystats");
    assert_non_null(strstr(reply->str, "latency_percentiles_usec_write:p50="));
    assert_non_null(strstr(reply->str, "log_batch_entries:p50="));
    freeReplyObject(reply);
    freeReplyObject(cluster_command(&cluster, leader, "CONFIG RESETSTAT"));
    reply = cluster_command(&cluster, leader, "INFO latencystats");
    assert_null(strstr(reply->str, "latency_percentiles_usec_write:"));
    freeReplyObject(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_engine_killed_processes_lose_nothing_under_interval),
        cmocka_unit_test(test_engine_back_to_always_makes_durable),
        cmocka_unit_test(test_engine_log_stays_bounded_under_overwrites),
        cmocka_unit_test(test_engine_compact_and_list_by_hand),
        cmocka_unit_test(test_engine_latencies_start_anew),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
