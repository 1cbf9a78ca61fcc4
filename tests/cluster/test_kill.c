/* kill -9 under load: of the leader, of a follower, of all at once. The long
 * form of the first is the program cluster_torture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/cluster/torture.h"

enum { ACKED_MIN = 300 }; /* a run with less is void */

/* A cluster under load. */
static struct load *begin(struct cluster *c, uint64_t seed)
{
    struct load_options options = {.pause_us = 500, .seed = seed};
    cluster_open(c, NULL);
    cluster_start(c);
    return load_start(c, &options);
}

static void test_kill_leader_in_a_loop_keeps_every_promise(void **state)
{
    struct torture_options options = {
        .n_cycles = 6, .seed = 7, .load = {.pause_us = 500, .seed = 7}};
    struct torture_result result;
    struct cluster c;
    (void)state;

    cluster_open(&c, NULL);
    cluster_start(&c);
    torture_run(&c, &options, NULL, &result);
    torture_print(&result);
    if (result.n_broken != 0) {
        cluster_fail(&c, "%llu broken promises",
                     (unsigned long long)result.n_broken);
    }
    assert_int_equal(result.n_cycles, options.n_cycles);
    assert_true(result.counts.n_acked >= ACKED_MIN);
    torture_result_free(&result);
    cluster_close(&c);
}

static void test_kill_follower_writes_go_on_and_it_catches_up(void **state)
{
    struct cluster c;
    struct load *load = begin(&c, 11);
    (void)state;

    for (unsigned round = 0; round < 3; round++) {
        unsigned victim = (cluster_wait_leader(&c) + 1) % c.n_nodes;
        load_wait_acked(load, 100);
        cluster_node_kill(&c, victim);
        load_wait_acked(load, 100);
        cluster_node_start(&c, victim);
        cluster_wait_applied(
            &c, victim,
            cluster_info_u64(&c, cluster_wait_leader(&c), "raft_commit_index"));
    }
    load_finish(load, ACKED_MIN);
    cluster_close(&c);
}

static void test_kill_all_at_once_keeps_every_promise(void **state)
{
    struct cluster c;
    struct load *load = begin(&c, 13);
    (void)state;

    for (unsigned round = 0; round < 3; round++) {
        load_wait_acked(load, 150);
        cluster_kill_all(&c);
        cluster_start(&c);
    }
    load_wait_acked(load, 50);
    load_finish(load, ACKED_MIN);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_leader_in_a_loop_keeps_every_promise),
        cmocka_unit_test(test_kill_follower_writes_go_on_and_it_catches_up),
        cmocka_unit_test(test_kill_all_at_once_keeps_every_promise),
    };
    return cmocka_run_group_tests_name("kill", tests, NULL, NULL);
}
