/* A cluster of three pretended nodes inside the test, for the client and the
 * import: conn_open of this file takes the place of cli/conn_open.c and hands
 * out one end of a socket pair; a thread serves the other.
 *
 * The nodes share one store, as if replication were instant. Commands other
 * than INFO are counted over all nodes; a fault is bound to such a count and
 * strikes once. Include it in one file of a program only. */
#ifndef TESTS_UNIT_CLI_FAKE_CLUSTER_H
#define TESTS_UNIT_CLI_FAKE_CLUSTER_H

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/conn.h"

enum {
    FAKE_NODES = 3,
    FAKE_PORT = 7001,
    FAKE_KEYS = 20000, /* keys are "k0" .. */
    FAKE_FAULTS_MAX = 16,
    FAKE_REPLY_MAX = 16384,
    FAKE_CONNS_MAX = 4096
};

enum fake_fault {
    FAKE_NO_FAULT,
    FAKE_DIE_BEFORE,      /* kill -9: the command is not carried out */
    FAKE_DIE_AFTER,       /* carried out, but no reply */
    FAKE_DIE_IN_REPLY,    /* carried out, half a reply */
    FAKE_HANG,            /* no more replies from this node; another leads */
    FAKE_UNKNOWN_LOST,    /* -UNKNOWN, not carried out */
    FAKE_UNKNOWN_APPLIED, /* -UNKNOWN, carried out */
    FAKE_CLUSTERDOWN,
    FAKE_NOSPACE,
    FAKE_REFUSE,
    FAKE_GARBAGE,
    FAKE_INTERRUPT /* Ctrl-C for the whole process */
};

struct fake_conn {
    int node;
    int fd;
    pthread_t thread;
};

struct fake_cluster {
    pthread_mutex_t lock;
    bool down[FAKE_NODES];
    bool hung[FAKE_NODES];
    int leader;          /* index, -1: none */
    int leaderless_asks; /* so many INFO replies until one is elected */
    uint64_t term;
    char values[FAKE_KEYS][24]; /* "": no such key */
    int64_t number;             /* what INCRBY adds to */
    bool knows_expiry;          /* PEXPIRETIME is known */
    uint64_t n_lost_cursors;
    uint64_t n_commands;
    uint64_t n_infos;
    struct {
        uint64_t at;
        enum fake_fault fault;
    } faults[FAKE_FAULTS_MAX];
    size_t n_faults;
    struct fake_conn conns[FAKE_CONNS_MAX];
    size_t n_conns;
};

static struct fake_cluster fake;

static void fake_init(void)
{
    memset(&fake, 0, sizeof(fake));
    pthread_mutex_init(&fake.lock, NULL);
    fake.leader = 1;
    fake.term = 1;
}

/* All connections of the client must be closed. */
static void fake_close(void)
{
    for (size_t i = 0; i < fake.n_conns; i++) {
        pthread_join(fake.conns[i].thread, NULL);
        close(fake.conns[i].fd);
    }
    pthread_mutex_destroy(&fake.lock);
}

/* What a test looks at while threads may still serve. */
static inline uint64_t fake_count(const uint64_t *field)
{
    pthread_mutex_lock(&fake.lock);
    uint64_t count = *field;
    pthread_mutex_unlock(&fake.lock);
    return count;
}

static void fake_add_fault(uint64_t at, enum fake_fault fault)
{
    assert(fake.n_faults < FAKE_FAULTS_MAX);
    fake.faults[fake.n_faults].at = at;
    fake.faults[fake.n_faults++].fault = fault;
}

static struct endpoint_list fake_endpoints(void)
{
    struct endpoint_list list;
    endpoint_list_parse(&list, "node:7001,node:7002,node:7003", NULL);
    return list;
}

/* The next of the others takes over once it has been asked a few times. */
static void fake_depose(int node)
{
    fake.leader = -1;
    fake.leaderless_asks = 5;
    fake.term++;
    (void)node;
}

static void fake_elect(void)
{
    if (fake.leader >= 0 || --fake.leaderless_asks > 0) {
        return;
    }
    for (int i = 0; i < FAKE_NODES && fake.leader < 0; i++) {
        int node = (int)(fake.term + (uint64_t)i) % FAKE_NODES;
        if (!fake.down[node] && !fake.hung[node]) {
            fake.leader = node;
        }
    }
}

static void fake_kill(int node)
{
    fake.down[node] = true;
    for (size_t i = 0; i < fake.n_conns; i++) {
        if (fake.conns[i].node == node) {
            (void)shutdown(fake.conns[i].fd, SHUT_RDWR);
        }
    }
    fake_depose(node);
}

static int fake_info(int node, char *out, size_t size)
{
    char body[400];
    char address[40] = "";
    fake.n_infos++;
    fake_elect();
    if (fake.leader >= 0) {
        snprintf(address, sizeof(address), "node:%d", FAKE_PORT + fake.leader);
    }
    int n = snprintf(body, sizeof(body),
                     "# Replication\r\nnode_id:%d\r\nraft_role:%s\r\n"
                     "raft_leader_id:%d\r\nraft_leader_address:%s\r\n"
                     "raft_term:%d\r\nraft_commit_index:%d\r\n"
                     "raft_applied_index:%d\r\n",
                     node + 1, node == fake.leader ? "leader" : "follower",
                     fake.leader + 1, address, (int)fake.term,
                     (int)fake.n_commands, (int)fake.n_commands);
    return snprintf(out, size, "$%d\r\n%s\r\n", n, body);
}

/* SCAN cursor COUNT n [AFTER key]: keys in the order of their numbers. As with
 * a real node a cursor is known where it was given only. */
static int fake_scan(int node, const redisReply *command, char *out,
                     size_t size)
{
    enum { CURSOR_OF_NODE = 1000000 };
    char keys[FAKE_REPLY_MAX / 2];
    int cursor = atoi(command->element[1]->str);
    int count = atoi(command->element[3]->str);
    int at = cursor % CURSOR_OF_NODE;
    int n = 0;
    int used = 0;
    if (cursor != 0 && cursor / CURSOR_OF_NODE != node + 1) {
        fake.n_lost_cursors++;
        return snprintf(out, size, "-ERR unknown cursor: of another node\r\n");
    }
    if (command->elements > 5) {
        at = atoi(command->element[5]->str + 1) + 1;
    }
    for (; at < FAKE_KEYS && n < count && used < (int)sizeof(keys) - 40; at++) {
        if (fake.values[at][0] != '\0') {
            char key[24];
            int key_size = snprintf(key, sizeof(key), "k%d", at);
            used += snprintf(keys + used, sizeof(keys) - (size_t)used,
                             "$%d\r\n%s\r\n", key_size, key);
            n++;
        }
    }
    char next[24];
    int next_size =
        snprintf(next, sizeof(next), "%d",
                 at < FAKE_KEYS ? (node + 1) * CURSOR_OF_NODE + at : 0);
    return snprintf(out, size, "*2\r\n$%d\r\n%s\r\n*%d\r\n%.*s", next_size,
                    next, n, used, keys);
}

static int fake_dbsize(char *out, size_t size)
{
    int n = 0;
    for (int i = 0; i < FAKE_KEYS; i++) {
        n += fake.values[i][0] != '\0';
    }
    return snprintf(out, size, ":%d\r\n", n);
}

/* Carry out; the reply goes to out. */
static int fake_apply(int node, const redisReply *command, char *out,
                      size_t size)
{
    const char *name = command->element[0]->str;
    if (strcmp(name, "DBSIZE") == 0) {
        return fake_dbsize(out, size);
    }
    if (strcmp(name, "SCAN") == 0) {
        return fake_scan(node, command, out, size);
    }
    const char *key = command->element[1]->str;
    int at = atoi(key + 1);
    assert(at >= 0 && at < FAKE_KEYS);
    if (strcmp(name, "SET") == 0) {
        snprintf(fake.values[at], sizeof(fake.values[at]), "%s",
                 command->element[2]->str);
        return snprintf(out, size, "+OK\r\n");
    }
    if (strcmp(name, "GET") == 0) {
        return fake.values[at][0] == '\0'
                   ? snprintf(out, size, "$-1\r\n")
                   : snprintf(out, size, "$%zu\r\n%s\r\n",
                              strlen(fake.values[at]), fake.values[at]);
    }
    if (strcmp(name, "INCRBY") == 0) {
        fake.number += atoi(command->element[2]->str);
        return snprintf(out, size, ":%d\r\n", (int)fake.number);
    }
    if (strcmp(name, "PEXPIRETIME") == 0 && fake.knows_expiry) {
        /* Every third key ends some day. */
        return snprintf(out, size, ":%d\r\n", at % 3 == 0 ? 1000 + at : -1);
    }
    return snprintf(out, size, "-ERR unknown command\r\n");
}

static enum fake_fault fake_take_fault(void)
{
    for (size_t i = 0; i < fake.n_faults; i++) {
        if (fake.faults[i].at == fake.n_commands) {
            return fake.faults[i].fault;
        }
    }
    return FAKE_NO_FAULT;
}

/* The reply's size in out; 0: none. */
static int fake_command(int node, const redisReply *command, char *out,
                        size_t size)
{
    int n = 0;
    if (fake.leader < 0) {
        return snprintf(out, size, "-CLUSTERDOWN no leader\r\n");
    }
    fake.n_commands++;
    switch (fake_take_fault()) {
    case FAKE_NO_FAULT:
        n = fake_apply(node, command, out, size);
        break;
    case FAKE_DIE_AFTER:
        fake_apply(node, command, out, size);
        fake_kill(node);
        break;
    case FAKE_DIE_BEFORE:
        fake_kill(node);
        break;
    case FAKE_DIE_IN_REPLY:
        fake_apply(node, command, out, size);
        n = snprintf(out, size, "+O");
        fake_depose(node);
        fake.down[node] = true;
        break;
    case FAKE_HANG:
        fake.hung[node] = true;
        fake_depose(node);
        break;
    case FAKE_UNKNOWN_APPLIED:
        fake_apply(node, command, out, size);
        n = snprintf(out, size, "-UNKNOWN it may have happened\r\n");
        break;
    case FAKE_UNKNOWN_LOST:
        n = snprintf(out, size, "-UNKNOWN it may have happened\r\n");
        break;
    case FAKE_CLUSTERDOWN:
        n = snprintf(out, size, "-CLUSTERDOWN no leader\r\n");
        break;
    case FAKE_NOSPACE:
        n = snprintf(out, size, "-NOSPACE the disk is full\r\n");
        break;
    case FAKE_REFUSE:
        n = snprintf(out, size, "-ERR value too large\r\n");
        break;
    case FAKE_GARBAGE:
        n = snprintf(out, size, "nonsense\r\n");
        break;
    case FAKE_INTERRUPT:
        n = fake_apply(node, command, out, size);
        kill(getpid(), SIGINT);
        break;
    }
    return n;
}

/* Serve one parsed command. False: the node is gone. */
static bool fake_serve_one(const struct fake_conn *conn,
                           const redisReply *command)
{
    static __thread char out[FAKE_REPLY_MAX];
    int n = 0;
    pthread_mutex_lock(&fake.lock);
    if (!fake.down[conn->node] && !fake.hung[conn->node]) {
        n = strcmp(command->element[0]->str, "INFO") == 0
                ? fake_info(conn->node, out, sizeof(out))
                : fake_command(conn->node, command, out, sizeof(out));
    }
    bool down = fake.down[conn->node];
    pthread_mutex_unlock(&fake.lock);
    if (n > 0) {
        (void)send(conn->fd, out, (size_t)n, MSG_NOSIGNAL);
    }
    if (down) {
        (void)shutdown(conn->fd, SHUT_RDWR);
    }
    return !down;
}

static void *fake_serve(void *data)
{
    const struct fake_conn *conn = data;
    redisReader *reader = redisReaderCreate();
    char in[16384];
    bool up = true;
    while (up) {
        ssize_t n = read(conn->fd, in, sizeof(in));
        if (n <= 0) {
            break;
        }
        redisReaderFeed(reader, in, (size_t)n);
        void *command = NULL;
        while (up && redisReaderGetReply(reader, &command) == REDIS_OK &&
               command != NULL) {
            up = fake_serve_one(conn, command);
            freeReplyObject(command);
        }
    }
    redisReaderFree(reader);
    (void)shutdown(conn->fd, SHUT_RDWR);
    return NULL;
}

int conn_open(struct conn *c, const struct endpoint *peer, int64_t deadline_ms,
              struct err_info *info)
{
    int fds[2];
    int node = peer->port - FAKE_PORT;
    (void)deadline_ms;
    assert(node >= 0 && node < FAKE_NODES);
    c->peer = *peer;
    c->redis = NULL;
    pthread_mutex_lock(&fake.lock);
    if (fake.down[node]) {
        pthread_mutex_unlock(&fake.lock);
        return conn_fail(c, ERR_IO, "cannot connect to", "refused", info);
    }
    assert(fake.n_conns < FAKE_CONNS_MAX);
    int rc = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    assert(rc == 0);
    struct fake_conn *conn = &fake.conns[fake.n_conns++];
    conn->node = node;
    conn->fd = fds[1];
    rc = pthread_create(&conn->thread, NULL, fake_serve, conn);
    assert(rc == 0);
    pthread_mutex_unlock(&fake.lock);
    c->redis = redisConnectFd(fds[0]);
    rc = fcntl(fds[0], F_SETFL, O_NONBLOCK);
    assert(rc == 0);
    c->redis->flags &= ~REDIS_BLOCK;
    return 0;
}

#endif
