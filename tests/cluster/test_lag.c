/* A follower that was away, or never there, comes back after the log it would
 * need has been released: it must be caught up by a snapshot, by files, and
 * then stand equal. Small segments and frequent snapshots bring that about with
 * a few thousand writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"

enum { N_KEYS = 4000, VALUE_BYTES = 1000, BATCH = 200 };

static const struct cluster_options small_logs = {
    .args = {"--segment-bytes", "1m", "--snapshot-entries", "500",
             "--trailing-entries", "50", "--snapshot-log-bytes", "1m", NULL}};

/* Write N_KEYS keys through the leader, in pipelines. */
static void fill(struct cluster *c, const char *prefix)
{
    char value[VALUE_BYTES + 1];
    redisContext *r = cluster_connect(c, cluster_wait_leader(c));

    for (int first = 0; first < N_KEYS; first += BATCH) {
        for (int n = first; n < first + BATCH; n++) {
            memset(value, 'a' + n % 26, VALUE_BYTES);
            value[VALUE_BYTES] = '\0';
            redisAppendCommand(r, "SET %s:%d %s", prefix, n, value);
        }
        for (int n = first; n < first + BATCH; n++) {
            cluster_expect(c, cluster_next_reply(c, r), "OK");
        }
    }
    redisFree(r);
}

static void check(struct cluster *c, unsigned i)
{
    redisReply *reply = cluster_command(c, i, "DBSIZE");
    assert_int_equal(reply->integer, N_KEYS * 2);
    freeReplyObject(reply);
    reply = cluster_command(c, i, "GET second:%d", N_KEYS - 1);
    assert_int_equal(reply->len, VALUE_BYTES);
    assert_int_equal(reply->str[0], 'a' + (N_KEYS - 1) % 26);
    freeReplyObject(reply);
}

static void test_follower_behind_the_log_is_caught_up_by_snapshot(void **state)
{
    struct cluster c;
    unsigned leader, away;
    uint64_t applied;
    (void)state;

    cluster_open(&c, &small_logs);
    cluster_start(&c);
    fill(&c, "first");
    cluster_wait_equal(&c, NULL);
    leader = cluster_wait_leader(&c);
    away = (leader + 1) % 3;
    applied = cluster_info_u64(&c, away, "raft_applied_index");
    cluster_node_kill(&c, away);
    fill(&c, "second");
    leader = cluster_wait_leader(&c);
    /* Beyond what it has, trailing entries included: only a snapshot helps. */
    cluster_wait_info(&c, leader, "snapshot_index", applied + 201);
    cluster_node_start(&c, away);
    cluster_wait_applied(&c, away,
                         cluster_info_u64(&c, leader, "raft_commit_index"));
    cluster_wait_equal(&c, NULL);
    check(&c, away);
    if (cluster_info_u64(&c, away, "snapshot_index") <= applied) {
        cluster_fail(&c, "void: the follower was not sent a snapshot");
    }
    cluster_close(&c);
}

static void test_blank_follower_is_caught_up_by_snapshot(void **state)
{
    struct cluster c;
    unsigned leader;
    (void)state;

    cluster_open(&c, &small_logs);
    cluster_node_start(&c, 0);
    cluster_node_start(&c, 1);
    cluster_wait_leader(&c);
    fill(&c, "first");
    fill(&c, "second");
    leader = cluster_wait_leader(&c);
    cluster_wait_info(&c, leader, "snapshot_index", N_KEYS + 1);
    cluster_node_start(&c, 2);
    cluster_wait_applied(&c, 2,
                         cluster_info_u64(&c, leader, "raft_commit_index"));
    cluster_wait_equal(&c, NULL);
    check(&c, 2);
    cluster_close(&c);
}

static void
test_restart_from_snapshot_and_log_finds_the_same_state(void **state)
{
    char before[64], after[64];
    struct cluster c;
    (void)state;

    cluster_open(&c, &small_logs);
    cluster_start(&c);
    fill(&c, "first");
    fill(&c, "second");
    for (unsigned i = 0; i < 3; i++) {
        cluster_wait_info(&c, i, "snapshot_index", 1);
    }
    cluster_wait_equal(&c, before);
    cluster_kill_all(&c);
    cluster_start(&c);
    cluster_wait_equal(&c, after);
    assert_string_equal(before, after);
    check(&c, 0);
    cluster_close(&c);
}

static void test_kills_while_snapshots_run_keep_every_promise(void **state)
{
    struct load_options options = {
        .pause_us = 200, .seed = 17, .value_size = 500};
    struct load *load;
    struct cluster c;
    (void)state;

    cluster_open(&c, &small_logs);
    cluster_start(&c);
    load = load_start(&c, &options);
    for (unsigned round = 0; round < 5; round++) {
        unsigned victim = (cluster_wait_leader(&c) + round) % 3;
        load_wait_acked(load, 600);
        cluster_node_kill(&c, victim);
        load_wait_acked(load, 700);
        cluster_node_start(&c, victim);
    }
    load_finish(load, 3000);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follower_behind_the_log_is_caught_up_by_snapshot),
        cmocka_unit_test(test_blank_follower_is_caught_up_by_snapshot),
        cmocka_unit_test(
            test_restart_from_snapshot_and_log_finds_the_same_state),
        cmocka_unit_test(test_kills_while_snapshots_run_keep_every_promise),
    };
    return cmocka_run_group_tests_name("lag", tests, NULL, NULL);
}
