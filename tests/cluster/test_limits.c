/* Every limit on what a client may cost, reached over a real socket: the words
 * it is answered with, that the connection survives or is closed as it should,
 * and that a bystander is served all the while. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/cluster/group.h"

static redisContext *bystander;

static int setup(void **state)
{
    static const struct cluster_options options = {
        .n_nodes = 1,
        .args = {"--client-args-max",
                 "16",
                 "--client-inline-bytes",
                 "1k",
                 "--client-bulk-bytes",
                 "64k",
                 "--client-request-bytes",
                 "128k",
                 "--client-key-bytes",
                 "32",
                 "--client-partial-timeout-ms",
                 "2000",
                 "--client-write-timeout-ms",
                 "3000",
                 "--client-output-bytes",
                 "64k",
                 "--query-bytes-max",
                 "1m",
                 "--client-pending-max",
                 "100",
                 NULL}};
    (void)state;
    group_start(&options);
    bystander = cluster_connect(&cluster, 0);
    return 0;
}

static int teardown(void **state)
{
    redisFree(bystander);
    return group_teardown(state);
}

static void assert_serving(void)
{
    redisReply *reply = redisCommand(bystander, "INCR alive");
    if (reply == NULL || reply->type != REDIS_REPLY_INTEGER) {
        cluster_fail(&cluster, "a bystander's connection was hurt");
    }
    freeReplyObject(reply);
}

static int client(void)
{
    int fd = cluster_socket(cluster.nodes[0].client_port);
    if (fd < 0) {
        cluster_fail(&cluster, "no connection");
    }
    return fd;
}

static void put(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0) {
            return; /* closed: what it said before is still to be read */
        }
        bytes += n;
        size -= (size_t)n;
    }
}

/* Read all there is until the node closes. */
static void expect_words(int fd, const char *words)
{
    char reply[8192];
    if (cluster_read_all(fd, reply, sizeof reply) < 0) {
        cluster_fail(&cluster, "not closed: \"%s\" expected", words);
    }
    if (strcmp(reply, words) != 0) {
        cluster_fail(&cluster, "\"%s\" expected, not \"%s\"", words, reply);
    }
}

static void expect_closed(const char *bytes, size_t size, const char *words)
{
    int fd = client();
    put(fd, bytes, size);
    expect_words(fd, words);
    assert_serving();
}

#define TEXT(text) text, sizeof(text) - 1

static void
test_limits_what_can_not_be_skipped_ends_the_connection(void **state)
{
    static char inline_command[2000];
    (void)state;
    memset(inline_command, 'x', sizeof inline_command);
    expect_closed(TEXT("*17\r\n"),
                  "-ERR Protocol error: invalid multibulk length\r\n");
    expect_closed(TEXT("*2\r\n$3\r\nGET\r\n$65537\r\n"),
                  "-ERR Protocol error: invalid bulk length\r\n");
    expect_closed(inline_command, sizeof inline_command,
                  "-ERR Protocol error: too big inline request\r\n");
    assert_true(cluster_info_u64(&cluster, 0, "protocol_errors") >= 3);
}

static void test_limits_of_a_whole_command_ends_the_connection(void **state)
{
    static char bytes[200000];
    size_t n = (size_t)snprintf(bytes, sizeof bytes, "*5\r\n$4\r\nMSET\r\n");
    (void)state;
    for (int i = 0; i < 2; i++) {
        n += (size_t)snprintf(bytes + n, sizeof bytes - n,
                              "$1\r\n%d\r\n$65536\r\n", i);
        memset(bytes + n, 'v', 65536);
        n += 65536;
        memcpy(bytes + n, "\r\n", 2);
        n += 2;
    }
    expect_closed(bytes, n, "-ERR Protocol error: too big request\r\n");
}

static void test_limits_of_keys_keep_the_connection(void **state)
{
    (void)state;
    cluster_expect(&cluster,
                   cluster_ask(&cluster, bystander, "SET %s v",
                               "abcdefghijklmnopqrstuvwxyz0123456"),
                   "ERR key is larger than 32 bytes");
    cluster_expect(&cluster,
                   cluster_ask(&cluster, bystander, "MSET a 1 %s v",
                               "abcdefghijklmnopqrstuvwxyz0123456"),
                   "ERR key is larger than 32 bytes");
    cluster_expect(&cluster,
                   cluster_ask(&cluster, bystander, "SET %s v",
                               "abcdefghijklmnopqrstuvwxyz012345"),
                   "OK");
}

static void test_limits_half_a_command_is_told_and_closed(void **state)
{
    (void)state;
    expect_closed(TEXT("*2\r\n$3\r\nGET\r\n$100\r\nabc"),
                  "-ERR a command was begun and not completed in time (see "
                  "--client-partial-timeout-ms)\r\n");
    assert_true(cluster_info_u64(&cluster, 0, "partial_clients_closed") > 0);
}

/* Many clients, each within its own limit, that never complete a command. */
static void test_limits_of_all_incomplete_commands_together(void **state)
{
    static char bytes[60000];
    int fds[40];
    char reply[256];
    uint64_t held = 0;
    unsigned n_told = 0;
    int n = snprintf(bytes, sizeof bytes, "*2\r\n$3\r\nGET\r\n$65536\r\n");
    (void)state;
    memset(bytes + n, 'x', sizeof bytes - (size_t)n);
    for (unsigned i = 0; i < 40; i++) {
        fds[i] = client();
        put(fds[i], bytes, sizeof bytes);
        if (i % 8 == 7) {
            uint64_t now = cluster_info_u64(&cluster, 0, "query_bytes");
            held = now > held ? now : held;
        }
    }
    assert_serving();
    for (unsigned i = 0; i < 40; i++) {
        long got = cluster_read_all(fds[i], reply, sizeof reply);
        n_told += got > 0 && strstr(reply, "too many bytes of incomplete "
                                           "commands") != NULL;
    }
    assert_true(held > 0 && held <= 1024 * 1024);
    assert_true(n_told > 0);
    assert_serving();
}

/* It asks for much and takes nothing. */
static void test_limits_slow_reader_is_bounded_and_closed(void **state)
{
    static char value[60000];
    char *bytes = malloc(20 * 2000);
    size_t n = 0;
    int fd = client();
    int small = 4096;
    bool closed = false;
    uint64_t most = 0;
    (void)state;
    assert_non_null(bytes);
    memset(value, 'v', sizeof value);
    cluster_expect(
        &cluster,
        cluster_ask(&cluster, bystander, "SET big %b", value, sizeof value),
        "OK");
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 0; i < 2000; i++) {
        memcpy(bytes + n, "GET big\r\n", 9);
        n += 9;
    }
    put(fd, bytes, n);
    free(bytes);
    for (unsigned i = 0; i < 200 && !closed; i++) {
        uint64_t held = cluster_info_u64(&cluster, 0, "output_bytes");
        most = held > most ? held : most;
        closed = cluster_info_u64(&cluster, 0, "slow_clients_closed") > 0;
        assert_serving();
        cluster_sleep_ms(100);
    }
    assert_true(closed);
    /* Its limit, a reply beyond it, and a piece lent to the socket. */
    assert_true(most > 0 && most <= 64 * 1024 + 60100 + 256 * 1024);
    close(fd);
}

/* A connection that asked for n values of 60,000 bytes and reads none. */
static int slow_reader(unsigned n)
{
    int fd = client();
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (unsigned i = 0; i < n; i++) {
        put(fd, TEXT("GET big\r\n"));
    }
    return fd;
}

static void set(const char *name, const char *value)
{
    cluster_expect(
        &cluster,
        cluster_ask(&cluster, bystander, "CONFIG SET %s %s", name, value),
        "OK");
}

static void test_limits_of_all_slow_readers_together(void **state)
{
    uint64_t closed = cluster_info_u64(&cluster, 0, "slow_clients_closed");
    int fds[60];
    (void)state;
    set("client-write-timeout-ms", "60000");
    for (unsigned i = 0; i < 60; i++) {
        fds[i] = slow_reader(200);
    }
    cluster_wait_info(&cluster, 0, "output_bytes", 1024 * 1024 + 1);
    set("outputs-bytes-max", "1m");
    cluster_wait_info(&cluster, 0, "slow_clients_closed", closed + 1);
    cluster_wait_info_at_most(&cluster, 0, "output_bytes", 1024 * 1024);
    assert_serving();
    for (unsigned i = 0; i < 60; i++) {
        close(fds[i]);
    }
    set("outputs-bytes-max", "2g");
    set("client-write-timeout-ms", "3000");
    cluster_wait_info_at_most(&cluster, 0, "connected_clients", 2);
}

static void test_limits_killed_slow_reader_goes_at_once(void **state)
{
    redisReply *reply;
    int fd;
    (void)state;
    set("client-write-timeout-ms", "60000");
    fd = slow_reader(200);
    cluster_wait_info(&cluster, 0, "output_bytes", 1);
    reply = cluster_ask(&cluster, bystander, "CLIENT KILL TYPE normal");
    assert_true(reply->integer >= 1);
    freeReplyObject(reply);
    cluster_wait_info_at_most(&cluster, 0, "connected_clients", 2);
    close(fd);
    set("client-write-timeout-ms", "3000");
}

static void test_limits_silent_client_goes_when_asked_for(void **state)
{
    bool closed = false;
    char byte;
    int fd = client();
    (void)state;
    set("client-idle-timeout-ms", "1000");
    for (unsigned i = 0; i < 200 && !closed; i++) {
        closed = recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
        assert_serving(); /* which keeps that one */
        cluster_sleep_ms(50);
    }
    assert_true(closed);
    set("client-idle-timeout-ms", "0");
    close(fd);
}

/* Whether a new client is served; the refused one stays open, as it would with
 * a client that does not look at its socket. */
static bool is_let_in(int *fd)
{
    static const char refusal[] = "-ERR max number of clients reached\r\n";
    char reply[64];
    ssize_t n;
    *fd = client();
    put(*fd, TEXT("PING\r\n"));
    n = recv(*fd, reply, sizeof reply - 1, 0);
    reply[n > 0 ? n : 0] = '\0';
    if (strcmp(reply, "+PONG\r\n") != 0 && strcmp(reply, refusal) != 0) {
        cluster_fail(&cluster, "\"%s\" is no answer to a new client", reply);
    }
    return reply[0] == '+';
}

/* Those that were refused take nobody's place while they go. */
static void test_limits_of_clients_lets_in_when_one_has_gone(void **state)
{
    enum { N_KEPT = 8, TRIES_MAX = 1000 };
    int kept[N_KEPT], first, fd;
    int n_tries = 0;
    (void)state;
    set("max-clients", "2");
    assert_true(is_let_in(&first));
    for (int i = 0; i < N_KEPT; i++) {
        assert_false(is_let_in(&kept[i]));
    }
    close(first);
    while (!is_let_in(&fd) && n_tries < TRIES_MAX) {
        close(kept[n_tries % N_KEPT]);
        kept[n_tries++ % N_KEPT] = fd;
        usleep(5000);
    }
    assert_in_range(n_tries, 0, TRIES_MAX - 1);
    close(fd);
    for (int i = 0; i < N_KEPT; i++) {
        close(kept[i]);
    }
    assert_serving();
    set("max-clients", "10000");
}

/* A pipeline without end: taken in as it is worked off, nothing is lost. */
static void test_limits_backlog_waits_in_the_socket(void **state)
{
    enum { N = 20000 };
    redisContext *r = cluster_connect(&cluster, 0);
    uint64_t most = 0;
    (void)state;
    for (int i = 0; i < N; i++) {
        redisAppendCommand(r, "INCR backlog");
    }
    for (int i = 1; i <= N; i++) {
        redisReply *reply = cluster_next_reply(&cluster, r);
        assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
        assert_int_equal(reply->integer, i);
        freeReplyObject(reply);
        if (i % 2000 == 0) {
            uint64_t now = cluster_info_u64(&cluster, 0, "pending_requests");
            most = now > most ? now : most;
        }
    }
    /* And INFO itself. */
    assert_true(most <= 2 * 100 + 1);
    redisFree(r);
}

static void test_limits_client_gone_in_mid_pipeline_costs_nothing(void **state)
{
    bool idle = false;
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        int fd = client();
        static const char bytes[] = "SET gone v\r\nGET gone\r\nINCR gone-n\r\n"
                                    "*2\r\n$3\r\nGET\r\n$9\r\nhalf";
        put(fd, bytes, sizeof bytes - 1);
        close(fd);
        assert_serving();
    }
    for (unsigned i = 0; i < 100 && !idle; i++) {
        idle = cluster_info_u64(&cluster, 0, "query_bytes") == 0 &&
               cluster_info_u64(&cluster, 0, "connected_clients") <= 2;
        cluster_sleep_ms(50);
    }
    assert_true(idle);
}

/* ---- a client that shuts its side first, as `printf ... | nc` does ---- */

static void expect_pipe(const char *bytes, const char *words)
{
    int fd = client();
    put(fd, bytes, strlen(bytes));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    expect_words(fd, words);
}

static void test_limits_pipe_into_a_socket_gets_its_replies(void **state)
{
    (void)state;
    expect_pipe("", "");
    expect_pipe("PING\r\n", "+PONG\r\n");
    expect_pipe("SET piped v\r\nGET piped\r\nPING\r\n",
                "+OK\r\n$1\r\nv\r\n+PONG\r\n");
    expect_pipe("SET piped w\r\nQUIT\r\n", "+OK\r\n+OK\r\n");
    expect_pipe("SET piped x\r\n*2\r\n$3\r\nGET\r\n$5\r\npi", "+OK\r\n");
    expect_pipe("SET piped y\r\n*x\r\n",
                "+OK\r\n-ERR Protocol error: invalid multibulk length\r\n");
    expect_pipe("SET piped z\r\nWAIT 0 100\r\nGET piped\r\n",
                "+OK\r\n:0\r\n$1\r\nz\r\n");
}

static void test_limits_long_pipe_gets_all_its_replies(void **state)
{
    enum { N = 3000 };
    char *bytes = malloc(N * 16);
    char *reply = malloc(N * 16);
    size_t n = 0, n_lines = 0;
    int fd = client();
    (void)state;
    assert_non_null(bytes);
    assert_non_null(reply);
    for (int i = 0; i < N; i++) {
        memcpy(bytes + n, "INCR pipe-n\r\n", 13);
        n += 13;
    }
    put(fd, bytes, n);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(cluster_read_all(fd, reply, N * 16) > 0);
    for (const char *c = reply; *c != '\0'; c++) {
        n_lines += *c == '\n';
    }
    assert_int_equal(n_lines, N);
    free(bytes);
    free(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_limits_what_can_not_be_skipped_ends_the_connection),
        cmocka_unit_test(test_limits_of_a_whole_command_ends_the_connection),
        cmocka_unit_test(test_limits_of_keys_keep_the_connection),
        cmocka_unit_test(test_limits_half_a_command_is_told_and_closed),
        cmocka_unit_test(test_limits_of_all_incomplete_commands_together),
        cmocka_unit_test(test_limits_slow_reader_is_bounded_and_closed),
        cmocka_unit_test(test_limits_of_all_slow_readers_together),
        cmocka_unit_test(test_limits_killed_slow_reader_goes_at_once),
        cmocka_unit_test(test_limits_silent_client_goes_when_asked_for),
        cmocka_unit_test(test_limits_of_clients_lets_in_when_one_has_gone),
        cmocka_unit_test(test_limits_backlog_waits_in_the_socket),
        cmocka_unit_test(test_limits_client_gone_in_mid_pipeline_costs_nothing),
        cmocka_unit_test(test_limits_pipe_into_a_socket_gets_its_replies),
        cmocka_unit_test(test_limits_long_pipe_gets_all_its_replies),
    };
    return cmocka_run_group_tests_name("limits", tests, setup, teardown);
}
