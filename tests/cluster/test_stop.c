/* Orderly ends and pauses: SIGTERM hands over, a restart finds everything, a
 * paused leader that wakes up serves nothing old. The election timeout is made
 * long where a test must tell a hand-over from a timeout. */
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
    cluster_start(&c);
    cluster_wait_equal(&c, after);
    assert_string_equal(before, after);
    cluster_expect(&c, cluster_command(&c, 2, "GET k199"), "199");
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
    cluster_expect(&c, cluster_command(&c, (leader + 1) % 3, "SET seen after"),
                   "OK");
    /* The question lies in its socket when it wakes up believing to lead. */
    redisAppendCommand(old, "GET seen");
    for (int written = 0; written == 0;) {
        assert_int_equal(redisBufferWrite(old, &written), REDIS_OK);
    }
    cluster_node_resume(&c, leader);
    reply = cluster_next_reply(&c, old);
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

/* What node 0 has logged; to free. */
static char *log_of(const struct cluster *c)
{
    FILE *f = fopen(c->nodes[0].log_path, "r");
    char *text;
    long size;
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    rewind(f);
    text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    fclose(f);
    return text;
}

static void write_much(struct cluster *c)
{
    enum { N_VALUES = 50, VALUE_BYTES = 500 * 1000 };
    uint64_t random = 42;
    char *value = malloc(VALUE_BYTES);
    redisContext *r = cluster_connect(c, 0);
    assert_non_null(value);
    for (unsigned n = 0; n < N_VALUES; n++) {
        redisReply *reply;
        for (unsigned i = 0; i < VALUE_BYTES; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            value[i] = (char)(random >> 56); /* not to be packed */
        }
        reply = redisCommand(r, "SET k%u %b", n, value, (size_t)VALUE_BYTES);
        assert_non_null(reply);
        assert_int_equal(reply->type, REDIS_REPLY_STATUS);
        freeReplyObject(reply);
    }
    redisFree(r);
    free(value);
}

/* Enough entries for the next snapshot, at once: it is not waited for. */
static void write_many(struct cluster *c)
{
    enum { N_ENTRIES = 120 };
    redisContext *r = cluster_connect(c, 0);
    for (unsigned n = 0; n < N_ENTRIES; n++) {
        redisAppendCommand(r, "INCR n");
    }
    for (unsigned n = 0; n < N_ENTRIES; n++) {
        redisReply *reply;
        assert_int_equal(redisGetReply(r, (void **)&reply), REDIS_OK);
        freeReplyObject(reply);
    }
    redisFree(r);
}

/* A snapshot is made by one job after the other: none may follow when the loop
 * has ended, or SIGTERM waits for all of it. */
static void test_sigterm_does_not_wait_for_a_snapshot(void **state)
{
    struct cluster_options options = {.n_nodes = 1,
                                      .args = {"--snapshot-entries", "100",
                                               "--compact-rate-bytes", "1g",
                                               NULL}};
    struct cluster c;
    bool seen = false;
    (void)state;

    cluster_open(&c, &options);
    cluster_start(&c);
    write_much(&c);
    for (unsigned round = 0; round < 10 && !seen; round++) {
        const char *stopping = NULL;
        const char *started = NULL;
        char *text = log_of(&c);
        size_t before = strlen(text);
        free(text);
        write_many(&c);
        for (text = log_of(&c);
             (started = strstr(text + before, "snapshot_started")) == NULL;
             text = log_of(&c)) {
            free(text);
            cluster_sleep_ms(1);
        }
        free(text);
        assert_int_equal(cluster_node_stop(&c, 0, STOP_MS), 0);
        text = log_of(&c);
        stopping = strstr(text + before, "stopping");
        assert_non_null(stopping);
        if (strstr(stopping, "snapshot_taken") != NULL) {
            cluster_fail(&c, "the end of the process waited for a snapshot");
        }
        seen = strstr(text + before, "snapshot_taken") == NULL;
        free(text);
        if (!seen) {
            cluster_node_start(&c, 0);
            cluster_wait_leader(&c);
        }
    }
    if (!seen) {
        cluster_fail(&c, "void: each snapshot was ready before the signal");
    }
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sigterm_on_leader_hands_over_before_it_ends),
        cmocka_unit_test(test_killed_leader_is_replaced_before_the_timeout),
        cmocka_unit_test(test_sigterm_does_not_wait_for_a_snapshot),
        cmocka_unit_test(test_stop_and_start_of_all_nodes_keeps_the_state),
        cmocka_unit_test(test_paused_leader_wakes_up_and_reads_nothing_old),
        cmocka_unit_test(test_pauses_under_load_keep_every_promise),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
