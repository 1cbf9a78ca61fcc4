/* The engine under a real node: sync policies changed live and killed
 * processes, the log compacted by itself and by hand, what INFO tells of it. */
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/group.h"

enum { SEGMENT = 1024 * 1024, PIPELINE = 200 };

static int setup(void **state)
{
    static const struct cluster_options options = {
        .args = {"--segment-bytes", "1m", "--compact-threshold", "500",
                 "--trailing-entries", "4000", NULL}};
    (void)state;
    return group_start(&options);
}

static void set_all(const char *name, const char *value)
{
    for (unsigned i = 0; i < 3; i++) {
        cluster_expect(
            &cluster,
            cluster_command(&cluster, i, "CONFIG SET %s %s", name, value),
            "OK");
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
            cluster_expect(&cluster, cluster_next_reply(&cluster, r), "OK");
        }
    }
    redisFree(r);
}

static void test_engine_killed_processes_lose_nothing_under_interval(void **s)
{
    unsigned leader = cluster_wait_leader(&cluster);
    char policy[32];
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
    cluster_kill_all(&cluster);
    cluster_start(&cluster);
    cluster_expect(&cluster, cluster_command(&cluster, leader, "GET last"),
                   "word");
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
    cluster_wait_info(&cluster, leader, "log_durable_index", persisted);
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
    assert_non_null(strstr(reply->str, "latency_percentiles_usec_log_wait:"));
    assert_non_null(strstr(reply->str, "latency_percentiles_usec_loop:p50="));
    assert_non_null(strstr(reply->str, "latency_percentiles_usec_compaction:"));
    freeReplyObject(reply);
    freeReplyObject(cluster_command(&cluster, leader, "CONFIG RESETSTAT"));
    reply = cluster_command(&cluster, leader, "INFO latencystats");
    assert_null(strstr(reply->str, "latency_percentiles_usec_write:"));
    assert_null(strstr(reply->str, "latency_percentiles_usec_compaction:"));
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
    return cmocka_run_group_tests(tests, setup, group_teardown);
}
