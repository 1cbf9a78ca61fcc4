/* Strangers and mistakes: garbage on either port, a node of another cluster, a
 * data directory that belongs to somebody else, wrong flags. Each must cost the
 * one who makes it and nobody else. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/cluster/group.h"

static uint64_t random_state = 42;

static uint8_t random_byte(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t)(random_state >> 56);
}

/* Send bytes to a port, then read until the other side closes or `most` bytes
 * have come. Returns the bytes read into reply, NUL-terminated; -1 when the
 * other side neither answers nor closes. */
static long talk(unsigned short port, const void *bytes, size_t size,
                 char *reply, size_t most)
{
    int fd = cluster_socket(port);
    size_t n = 0;
    long got = 0;

    if (fd < 0) {
        cluster_fail(&cluster, "no connection to port %u", (unsigned)port);
    }
    /* The other side may close before it has read everything. */
    (void)!send(fd, bytes, size, MSG_NOSIGNAL);
    while (n + 1 < most && (got = recv(fd, reply + n, most - n - 1, 0)) > 0) {
        n += (size_t)got;
    }
    close(fd);
    reply[n] = '\0';
    return got < 0 && n == 0 ? -1 : (long)n;
}

static void assert_serving(redisContext *r)
{
    redisReply *reply = redisCommand(r, "INCR alive");
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
        cluster_fail(&cluster, "a bystander's connection was hurt");
    }
    freeReplyObject(reply);
}

static void
test_malformed_request_closes_that_connection_with_words(void **state)
{
    static const char *const requests[] = {
        "*1\r\n$-5\r\n", "*1\r\n$99999999999999999999\r\nx\r\n",
        "*99999999999999\r\n", "*2\r\n$3\r\nGET\r\n:5\r\n", "*x\r\n"};
    redisContext *bystander = cluster_connect(&cluster, 0);
    (void)state;

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        char reply[512];
        talk(cluster.nodes[0].client_port, requests[i], strlen(requests[i]),
             reply, sizeof reply);
        if (strncmp(reply, "-ERR Protocol error", 19) != 0) {
            cluster_fail(&cluster, "request %zu was answered with \"%s\"", i,
                         reply);
        }
        assert_serving(bystander);
    }
    redisFree(bystander);
}

/* Send to the client port, and print and compare what comes back. */
static void expect_words(const char *what, const char *bytes, const char *words)
{
    char reply[512];
    talk(cluster.nodes[0].client_port, bytes, strlen(bytes), reply,
         sizeof reply);
    print_message("           %s is told \"%.*s\"\n", what,
                  (int)strcspn(reply, "\r"), reply);
    if (strcmp(reply, words) != 0) {
        cluster_fail(&cluster, "%s: \"%s\" expected, not \"%s\"", what, words,
                     reply);
    }
}

static void test_garbage_on_client_port_is_told_what_it_is(void **state)
{
    redisContext *bystander = cluster_connect(&cluster, 0);
    redisReply *reply;
    (void)state;

    expect_words("a browser",
                 "POST / HTTP/1.1\r\nHost: a\r\n\r\nSET stolen 1\r\n",
                 "-ERR Protocol error: this port speaks the Redis protocol, "
                 "not HTTP\r\n");
    expect_words("a browser's GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                 "-ERR wrong number of arguments for 'get' command\r\n"
                 "-ERR Protocol error: this port speaks the Redis protocol, "
                 "not HTTP\r\n");
    expect_words("a word nobody knows", "\x16\x03\x01 hello\r\nQUIT\r\n",
                 "-ERR unknown command '\x16\x03\x01', with args beginning "
                 "with: 'hello' \r\n+OK\r\n");
    expect_words("a wrong length", "*1\r\n$-5\r\n",
                 "-ERR Protocol error: invalid bulk length\r\n");
    expect_words("a wrong type", "*1\r\n:5\r\n",
                 "-ERR Protocol error: expected '$', got ':'\r\n");
    reply = cluster_ask(&cluster, bystander, "EXISTS stolen");
    assert_int_equal(reply->integer, 0);
    freeReplyObject(reply);
    assert_serving(bystander);
    redisFree(bystander);
}

static void test_half_a_command_is_told_and_closed(void **state)
{
    static const char words[] =
        "-ERR a command was begun and not completed in time (see "
        "--client-partial-timeout-ms)\r\n";
    (void)state;

    freeReplyObject(cluster_command(
        &cluster, 0, "CONFIG SET client-partial-timeout-ms 500"));
    expect_words("half a command", "*3\r\n$3\r\nSET\r\n$1", words);
    freeReplyObject(cluster_command(
        &cluster, 0, "CONFIG SET client-partial-timeout-ms 60000"));
}

/* Whether the bytes that came back hold these words, also behind a NUL. */
static bool holds(const char *bytes, size_t size, const char *words)
{
    return memmem(bytes, size, words, strlen(words)) != NULL;
}

/* A welcome that refuses: who the node is, and where, stays its own. */
static void assert_tells_no_facts(const struct cluster_node *node,
                                  const char *reply, size_t size)
{
    enum { HEADER_SIZE = 24, ID_SIZE = 16 + 8 + 16 };
    static const char zeroes[ID_SIZE];
    const unsigned short ports[] = {node->client_port, node->peer_port};

    assert_true(size > HEADER_SIZE + ID_SIZE);
    assert_memory_equal(reply + HEADER_SIZE, zeroes, ID_SIZE);
    for (size_t i = 0; i < 2; i++) {
        char port[8];
        snprintf(port, sizeof port, ":%u", (unsigned)ports[i]);
        assert_false(holds(reply, size, port));
    }
}

static void test_stranger_on_peer_port_is_told_what_it_is(void **state)
{
    static const struct {
        const char *what, *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"a Redis client", "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", 28,
         "no ConcordKV node speaks here (wrong magic)"},
        {"a browser", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27,
         "no ConcordKV node speaks here (wrong magic)"},
        {"a newer node", "CKVhello\377\0\10\0\0\0\0\0yyyyyyyyyyyyyyyyyyyyyyyy",
         40, "peer protocol version 255, this node speaks 1"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char reply[512];
        long n = talk(cluster.nodes[0].peer_port, cases[i].bytes, cases[i].size,
                      reply, sizeof reply);
        if (n <= 0 || !holds(reply, (size_t)n, cases[i].words)) {
            cluster_fail(&cluster, "%s: not told \"%s\"", cases[i].what,
                         cases[i].words);
        }
        assert_tells_no_facts(&cluster.nodes[0], reply, (size_t)n);
        print_message("           %s on the peer port is told \"%s\"\n",
                      cases[i].what, cases[i].words);
    }
    assert_true(cluster_log_has(&cluster, 0,
                                "reason=malformed text=\"no ConcordKV node "
                                "speaks here (wrong magic)\""));
}

/* Silent connections take the places of those that are silent, not those of
 * nodes that come back. */
static void test_silent_strangers_keep_nobody_off_the_peer_port(void **state)
{
    enum { N_SILENT = 100 }; /* more than there are places */
    static const char hello[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    char reply[512];
    int fds[N_SILENT];
    long n;
    (void)state;

    for (unsigned i = 0; i < N_SILENT; i++) {
        fds[i] = cluster_socket(cluster.nodes[0].peer_port);
        assert_true(fds[i] >= 0);
    }
    n = talk(cluster.nodes[0].peer_port, hello, strlen(hello), reply,
             sizeof reply);
    if (n <= 0 || !holds(reply, (size_t)n, "no ConcordKV node speaks here")) {
        cluster_fail(&cluster, "who speaks is not heard among the silent");
    }
    for (unsigned i = 0; i < N_SILENT; i++) {
        close(fds[i]);
    }
}

static void test_random_bytes_on_client_port_hurt_nobody(void **state)
{
    redisContext *bystander = cluster_connect(&cluster, 0);
    (void)state;

    for (unsigned round = 0; round < 60; round++) {
        static const char starts[4] = {'*', '$', '\0', '\n'};
        uint8_t bytes[600];
        int fd = cluster_socket(cluster.nodes[round % 3].client_port);
        size_t size = 1 + random_byte() * 2u;
        assert_true(fd >= 0);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = random_byte();
        }
        bytes[0] = (uint8_t)starts[round % 4];
        (void)!send(fd, bytes, size, MSG_NOSIGNAL);
        close(fd);
        assert_serving(bystander);
    }
    redisFree(bystander);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(cluster_node_wait(&cluster, i, 0), -1);
    }
}

static void test_half_a_request_then_silence_blocks_nobody(void **state)
{
    redisContext *bystander = cluster_connect(&cluster, 0);
    int fds[50];
    (void)state;

    for (unsigned i = 0; i < 50; i++) {
        fds[i] = cluster_socket(cluster.nodes[0].client_port);
        assert_true(fds[i] >= 0);
        assert_true(send(fds[i], "*3\r\n$3\r\nSET\r\n$1", 15, 0) > 0);
    }
    assert_serving(bystander);
    for (unsigned i = 0; i < 50; i++) {
        close(fds[i]);
    }
    assert_serving(bystander);
    redisFree(bystander);
}

static void test_stranger_on_peer_port_is_turned_away(void **state)
{
    redisContext *bystander = cluster_connect(&cluster, 0);
    uint64_t term = cluster_info_u64(&cluster, 0, "raft_term");
    (void)state;

    for (unsigned round = 0; round < 30; round++) {
        uint8_t bytes[2048];
        char reply[512];
        size_t size = 64 + random_byte() * 7u;
        for (size_t i = 0; i < size; i++) {
            bytes[i] = random_byte();
        }
        /* Some look like a client, some like nothing at all. */
        if (round % 3 == 0) {
            memcpy(bytes, "*1\r\n$4\r\nPING\r\n", 14);
        }
        if (talk(cluster.nodes[round % 3].peer_port, bytes, size, reply,
                 sizeof reply) < 0) {
            cluster_fail(&cluster, "the peer port kept a stranger, round %u",
                         round);
        }
        assert_serving(bystander);
    }
    redisFree(bystander);
    assert_int_equal(cluster_info_u64(&cluster, 0, "raft_term"), term);
}

/* Show the first lines of node i's log that hold the words. */
static void print_log_lines(unsigned i, const char *words, unsigned most)
{
    FILE *f = fopen(cluster.nodes[i].log_path, "r");
    char line[1024];

    while (f != NULL && most > 0 && fgets(line, sizeof line, f) != NULL) {
        if (strstr(line, words) != NULL) {
            print_message("           node %u logs %s", i + 1, line);
            most--;
        }
    }
    if (f != NULL) {
        fclose(f);
    }
}

static void test_node_of_another_cluster_is_not_let_in(void **state)
{
    static const char *const other[] = {"--cluster-name", "another", NULL};
    static const char reason[] = "reason=wrong_cluster";
    unsigned victim = (cluster_wait_leader(&cluster) + 1) % 3;
    char own_dir[sizeof cluster.nodes[0].data_dir];
    uint64_t term, end_us;
    (void)state;

    cluster_node_kill(&cluster, victim);
    memcpy(own_dir, cluster.nodes[victim].data_dir, sizeof own_dir);
    snprintf(cluster.nodes[victim].data_dir, sizeof own_dir, "%s/stranger",
             cluster.dir.path);
    cluster_wait_leader(&cluster);
    term = cluster_info_u64(&cluster, (victim + 1) % 3, "raft_term");
    cluster_node_start_with(&cluster, victim, other);
    end_us = cluster_now_us() + CLUSTER_WAIT_MS * UINT64_C(1000);
    /* The operator finds it in either log. */
    while (!cluster_log_has(&cluster, victim, reason) &&
           !cluster_log_has(&cluster, (victim + 1) % 3, reason)) {
        if (cluster_now_us() > end_us) {
            cluster_fail(&cluster, "no log says %s", reason);
        }
        cluster_sleep_ms(20);
    }
    print_log_lines(victim, reason, 1);
    print_log_lines((victim + 1) % 3, reason, 1);
    for (unsigned n = 0; n < 10; n++) {
        freeReplyObject(
            cluster_command(&cluster, (victim + 1) % 3, "SET other %u", n));
        cluster_sleep_ms(100);
    }
    /* It answers, but got nothing and knows of no leader. */
    redisFree(cluster_connect(&cluster, victim));
    assert_true(cluster_info_u64(&cluster, victim, "node_id") == victim + 1);
    assert_int_equal(cluster_info_u64(&cluster, victim, "keys"), 0);
    assert_int_equal(cluster_info_u64(&cluster, victim, "raft_leader_id"), 0);
    assert_int_equal(cluster_info_u64(&cluster, (victim + 1) % 3, "raft_term"),
                     term);
    cluster_node_kill(&cluster, victim);
    memcpy(cluster.nodes[victim].data_dir, own_dir, sizeof own_dir);
    cluster_node_start(&cluster, victim);
    cluster_wait_equal(&cluster, NULL);
}

/* Start node i with wrong flags: it must end soon, not with 0, and its log
 * must hold the words. Leaves the node down. */
static void assert_refuses(unsigned i, const char *const *args,
                           const char *words)
{
    int status;

    unlink(cluster.nodes[i].log_path);
    cluster_node_start_with(&cluster, i, args);
    status = cluster_node_wait(&cluster, i, 10000);
    if (status <= 0 || status >= 128) {
        cluster_fail(&cluster, "%s %s: exit status %d, not a refusal", args[0],
                     args[1], status);
    }
    if (!cluster_log_has(&cluster, i, words)) {
        cluster_fail(&cluster, "%s %s: refused, but without \"%s\"", args[0],
                     args[1], words);
    }
}

static void test_wrong_flags_are_refused_by_name(void **state)
{
    static const struct {
        const char *const args[3];
        const char *words;
    } cases[] = {
        {{"--election-timeout-ms", "soon", NULL}, "election-timeout-ms"},
        {{"--listen-client", "nowhere", NULL}, "listen-client"},
        {{"--initial-cluster", "1:2:3", NULL}, "initial-cluster"},
        {{"--id", "first", NULL}, "--id"},
        {{"--elektion-timeout", "5", NULL}, "elektion-timeout"},
    };
    unsigned victim = (cluster_wait_leader(&cluster) + 1) % 3;
    (void)state;

    cluster_node_kill(&cluster, victim);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_refuses(victim, cases[i].args, cases[i].words);
    }
    cluster_node_start(&cluster, victim);
    cluster_wait_equal(&cluster, NULL);
}

static void test_data_directory_of_others_is_refused(void **state)
{
    const char *in_use[3] = {"--data-dir", NULL, NULL};
    static const char *const other_id[] = {"--id", "1", NULL};
    static const char *const other_cluster[] = {"--cluster-name", "another",
                                                NULL};
    unsigned victim = (cluster_wait_leader(&cluster) + 1) % 3;
    (void)state;

    if (victim == 0) { /* so that --id 1 is a wrong one */
        victim = (cluster_wait_leader(&cluster) + 2) % 3;
    }
    cluster_node_kill(&cluster, victim);
    in_use[1] = cluster.nodes[(victim + 1) % 3].data_dir;
    assert_refuses(victim, in_use, in_use[1]);
    assert_refuses(victim, other_id, cluster.nodes[victim].data_dir);
    assert_refuses(victim, other_cluster, cluster.nodes[victim].data_dir);
    cluster_node_start(&cluster, victim);
    cluster_wait_equal(&cluster, NULL);
}

static void test_port_in_use_is_said(void **state)
{
    const char *args[3] = {"--listen-client", NULL, NULL};
    unsigned victim = (cluster_wait_leader(&cluster) + 1) % 3;
    char address[32];
    (void)state;

    cluster_node_kill(&cluster, victim);
    snprintf(address, sizeof address, "127.0.0.1:%u",
             (unsigned)cluster.nodes[(victim + 1) % 3].client_port);
    args[1] = address;
    assert_refuses(victim, args, address);
    cluster_node_start(&cluster, victim);
    cluster_wait_equal(&cluster, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_malformed_request_closes_that_connection_with_words),
        cmocka_unit_test(test_garbage_on_client_port_is_told_what_it_is),
        cmocka_unit_test(test_half_a_command_is_told_and_closed),
        cmocka_unit_test(test_stranger_on_peer_port_is_told_what_it_is),
        cmocka_unit_test(test_silent_strangers_keep_nobody_off_the_peer_port),
        cmocka_unit_test(test_random_bytes_on_client_port_hurt_nobody),
        cmocka_unit_test(test_half_a_request_then_silence_blocks_nobody),
        cmocka_unit_test(test_stranger_on_peer_port_is_turned_away),
        cmocka_unit_test(test_node_of_another_cluster_is_not_let_in),
        cmocka_unit_test(test_wrong_flags_are_refused_by_name),
        cmocka_unit_test(test_data_directory_of_others_is_refused),
        cmocka_unit_test(test_port_in_use_is_said),
    };
    return cmocka_run_group_tests_name("hostile", tests, group_setup,
                                       group_teardown);
}
