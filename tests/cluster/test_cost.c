/* What clients that do nothing, or do not read, cost a node: figures printed,
 * bounds asserted. Memory is the resident size of the leader's process, as INFO
 * tells it; CPU time is printed only, because it depends on the machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/cluster/group.h"

enum {
    N_SILENT = 1000,
    N_SLOW = 100,
    WINDOW_MS = 5000, /* of CPU time */
    VALUE_BYTES = 100 * 1024,
    /* Of the limits below: what waits for a slow reader, and one reply. */
    OUTPUT_BYTES = 1024 * 1024,
    SLOW_BYTES_MAX = OUTPUT_BYTES + VALUE_BYTES + 256 * 1024,
    SILENT_BYTES_MAX = 16 * 1024
};

static unsigned leader;

static int setup(void **state)
{
    struct rlimit limit;
    (void)state;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    cluster_open(&cluster, NULL);
    cluster_start(&cluster);
    leader = cluster_wait_leader(&cluster);
    return 0;
}

static uint64_t info(const char *field)
{
    return cluster_info_u64(&cluster, leader, field);
}

/* A sanitizer keeps much memory of its own, also what was freed: then only
 * what the node itself counts is compared. */
static bool resident_is_the_nodes(void)
{
    char build[32];
    return cluster_info(&cluster, leader, "build", build, sizeof build) &&
           (strcmp(build, "release") == 0 || strcmp(build, "debug") == 0);
}

static uint64_t cpu_ms(void)
{
    return info("used_cpu_user_ms") + info("used_cpu_sys_ms");
}

/* CPU time of the leader over a while of nothing, in percent of a core. */
static double cpu_percent(void)
{
    uint64_t from_us = cluster_now_us(), from_ms = cpu_ms();
    uint64_t us;
    cluster_sleep_ms(WINDOW_MS);
    us = cluster_now_us() - from_us;
    return (double)(cpu_ms() - from_ms) * 1000 * 100 / (double)us;
}

static void test_cost_of_nothing_and_of_silent_clients(void **state)
{
    static int fds[N_SILENT];
    uint64_t rss = info("used_memory_rss");
    double cpu = cpu_percent();
    uint64_t with;
    (void)state;

    print_message("           idle leader: %.1f MiB, %.2f %% of a core\n",
                  (double)rss / (1 << 20), cpu);
    for (unsigned i = 0; i < N_SILENT; i++) {
        fds[i] = cluster_socket(cluster.nodes[leader].client_port);
        if (fds[i] < 0) {
            cluster_fail(&cluster, "connection %u was refused", i);
        }
    }
    cluster_wait_info(&cluster, leader, "connected_clients", N_SILENT + 1);
    assert_int_equal(info("connected_clients"), N_SILENT + 1);
    with = info("used_memory_rss");
    with = with > rss ? with - rss : 0;
    cpu = cpu_percent();
    print_message("           with %d silent connections: +%.1f MiB (%.1f KiB "
                  "each), %.2f %% of a core\n",
                  (int)N_SILENT, (double)with / (1 << 20),
                  (double)with / 1024 / N_SILENT, cpu);
    assert_true(!resident_is_the_nodes() ||
                with <= (uint64_t)N_SILENT * SILENT_BYTES_MAX);
    for (unsigned i = 0; i < N_SILENT; i++) {
        close(fds[i]);
    }
}

static void test_cost_of_slow_readers_is_bounded(void **state)
{
    enum { N_GETS = 200 };
    char *value = malloc(VALUE_BYTES);
    char *gets = malloc(N_GETS * 16);
    int fds[N_SLOW];
    uint64_t rss, most = 0, held = 0, still = 0;
    size_t n = 0;
    redisContext *r = cluster_connect(&cluster, leader);
    redisReply *reply;
    (void)state;

    assert_non_null(value);
    assert_non_null(gets);
    memset(value, 'v', VALUE_BYTES);
    cluster_expect(
        &cluster,
        cluster_ask(&cluster, r, "SET big %b", value, (size_t)VALUE_BYTES),
        "OK");
    for (unsigned i = 0; i < N_GETS; i++) {
        memcpy(gets + n, "GET big\r\n", 9);
        n += 9;
    }
    rss = info("used_memory_rss");
    for (unsigned i = 0; i < N_SLOW; i++) {
        int small = 4096;
        fds[i] = cluster_socket(cluster.nodes[leader].client_port);
        assert_true(fds[i] >= 0);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        assert_true(send(fds[i], gets, n, MSG_NOSIGNAL) == (ssize_t)n);
    }
    /* Until it grows no more: each has asked for 20 MiB and takes nothing. */
    for (unsigned i = 0; i < 300 && still < 10; i++) {
        uint64_t now = info("used_memory_rss");
        still = now > most ? 0 : still + 1;
        most = now > most ? now : most;
        reply = cluster_ask(&cluster, r, "INCR bystander");
        assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
        freeReplyObject(reply);
        cluster_sleep_ms(100);
    }
    held = info("output_bytes");
    most = most > rss ? most - rss : 0;
    print_message("           %d slow readers that asked for %d MiB each: "
                  "%.1f MiB of replies held, +%.1f MiB resident\n",
                  (int)N_SLOW, N_GETS * VALUE_BYTES >> 20,
                  (double)held / (1 << 20), (double)most / (1 << 20));
    assert_true(held > 0 && held <= (uint64_t)N_SLOW * SLOW_BYTES_MAX);
    /* A buffer may have grown to twice what it holds. */
    assert_true(!resident_is_the_nodes() ||
                most <= 2 * (uint64_t)N_SLOW * SLOW_BYTES_MAX);
    for (unsigned i = 0; i < N_SLOW; i++) {
        close(fds[i]);
    }
    redisFree(r);
    free(value);
    free(gets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost_of_nothing_and_of_silent_clients),
        cmocka_unit_test(test_cost_of_slow_readers_is_bounded),
    };
    return cmocka_run_group_tests_name("cost", tests, setup, group_teardown);
}
