/* What operators ask of a real cluster: leadership moved through any node, to a
 * named node or to whoever fits, and what stands in its way. */
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/group.h"

static void assert_error(redisReply *reply, const char *words)
{
    if (reply->type != REDIS_REPLY_ERROR || strstr(reply->str, words) == NULL) {
        cluster_fail(&cluster, "\"%s\" expected, type %d: %s", words,
                     reply->type, reply->str != NULL ? reply->str : "");
    }
    freeReplyObject(reply);
}

/* Through node `via`, to node `to`. A leader that is not yet known everywhere,
 * or that has just changed, may refuse: the tries are bounded. */
static void transfer(unsigned via, unsigned to)
{
    for (unsigned i = 0; i < 50; i++) {
        redisReply *reply = cluster_command(
            &cluster, via, "CONCORDKV LEADER TRANSFER %u", to + 1);
        bool done = reply->type == REDIS_REPLY_INTEGER;
        if (done) {
            assert_int_equal(reply->integer, to + 1);
        }
        freeReplyObject(reply);
        if (done) {
            return;
        }
        cluster_sleep_ms(100);
    }
    cluster_fail(&cluster, "leadership did not move to node %u", to);
}

static void test_operator_leadership_moves_through_every_node(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        unsigned leader = cluster_wait_leader(&cluster);
        unsigned to = (leader + 1 + i % 2) % 3;
        transfer(i % 3, to);
        assert_int_equal(cluster_wait_leader(&cluster), to);
        freeReplyObject(cluster_command(&cluster, i % 3, "INCR moved"));
    }
    cluster_expect(&cluster, cluster_command(&cluster, 0, "GET moved"), "6");
}

static void test_operator_refusals_name_the_reason(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_error(
            cluster_command(&cluster, i, "CONCORDKV LEADER TRANSFER 9"),
            "node 9 is not a member of this cluster");
        assert_error(cluster_command(&cluster, i,
                                     "CONCORDKV LEADER TRANSFER %u",
                                     leader + 1),
                     "leads already");
    }
}

static void test_operator_dead_target_is_refused(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    unsigned victim = (leader + 1) % 3, other = (leader + 2) % 3;
    bool refused = false;
    (void)state;
    cluster_node_kill(&cluster, victim);
    for (unsigned i = 0; i < 50 && !refused; i++) {
        redisReply *reply = cluster_command(
            &cluster, other, "CONCORDKV LEADER TRANSFER %u", victim + 1);
        assert_int_equal(reply->type, REDIS_REPLY_ERROR);
        refused = strstr(reply->str, "is not connected") != NULL;
        freeReplyObject(reply);
        if (!refused) {
            cluster_sleep_ms(20); /* it has not seen the end of it yet */
        }
    }
    assert_true(refused);
    transfer(leader, other);
    cluster_node_start(&cluster, victim);
    cluster_wait_equal(&cluster, NULL);
}

/* ---- WAIT ---- */

static void test_operator_wait_counts_the_disks_of_others(void **state)
{
    unsigned leader = cluster_wait_leader(&cluster);
    unsigned victim = (leader + 1) % 3;
    redisContext *r[3];
    redisReply *reply;
    (void)state;

    cluster_wait_equal(&cluster, NULL);
    for (unsigned i = 0; i < 3; i++) {
        r[i] = cluster_connect(&cluster, i);
        freeReplyObject(cluster_ask(&cluster, r[i], "INCR waited"));
        reply = cluster_ask(&cluster, r[i], "WAIT 2 20000");
        assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
        assert_int_equal(reply->integer, 2);
        freeReplyObject(reply);
    }
    redisFree(r[victim]);
    cluster_node_pause(&cluster, victim);
    for (unsigned i = 0; i < 3; i++) {
        if (i == victim) {
            continue;
        }
        freeReplyObject(cluster_ask(&cluster, r[i], "INCR waited"));
        reply = cluster_ask(&cluster, r[i], "WAIT 2 300");
        assert_int_equal(reply->integer, 1);
        freeReplyObject(reply);
        reply = cluster_ask(&cluster, r[i], "WAIT 1 0");
        assert_int_equal(reply->integer, 1);
        freeReplyObject(reply);
        /* One that blocks for ever, and a bystander. */
        redisAppendCommand(r[i], "WAIT 2 0");
        freeReplyObject(cluster_command(&cluster, i, "INCR waited"));
    }
    cluster_node_resume(&cluster, victim);
    for (unsigned i = 0; i < 3; i++) {
        if (i == victim) {
            continue;
        }
        reply = cluster_next_reply(&cluster, r[i]);
        assert_int_equal(reply->integer, 2);
        freeReplyObject(reply);
        redisFree(r[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_operator_leadership_moves_through_every_node),
        cmocka_unit_test(test_operator_refusals_name_the_reason),
        cmocka_unit_test(test_operator_dead_target_is_refused),
        cmocka_unit_test(test_operator_wait_counts_the_disks_of_others),
    };
    return cmocka_run_group_tests_name("operator", tests, group_setup,
                                       group_teardown);
}
