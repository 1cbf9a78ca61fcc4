/* What a test asks of the nodes of a cluster, and what it waits for: see
 * cluster.h. */
#include "tests/lib/cluster.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

redisContext *cluster_try_connect(const struct cluster *c, unsigned i,
                                  unsigned timeout_ms)
{
    struct timeval limit = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    redisContext *r;

    if (!cluster_node_running(c, i)) {
        return NULL;
    }
    r = redisConnectWithTimeout("127.0.0.1", c->nodes[i].client_port, limit);
    if (r != NULL && (r->err != 0 || redisSetTimeout(r, limit) != REDIS_OK)) {
        redisFree(r);
        r = NULL;
    }
    return r;
}

redisContext *cluster_connect(struct cluster *c, unsigned i)
{
    uint64_t end = cluster_now_us() + (uint64_t)CLUSTER_WAIT_MS * 1000;
    redisContext *r;

    while ((r = cluster_try_connect(c, i, CLUSTER_REPLY_MS)) == NULL) {
        if (cluster_now_us() > end) {
            cluster_fail(c, "node %u takes no connection on port %u", i + 1,
                         (unsigned)c->nodes[i].client_port);
        }
        cluster_sleep_ms(5);
    }
    return r;
}

bool cluster_info_field(const char *text, const char *field, char *value,
                        size_t size)
{
    size_t length = strlen(field), n = 0;

    while (text != NULL) {
        if (strncmp(text, field, length) == 0 && text[length] == ':') {
            text += length + 1;
            while (n + 1 < size && text[n] != '\0' && text[n] != '\r' &&
                   text[n] != '\n') {
                value[n] = text[n];
                n++;
            }
            value[n] = '\0';
            return true;
        }
        text = strchr(text, '\n');
        text = text != NULL ? text + 1 : NULL;
    }
    return false;
}

bool cluster_info(const struct cluster *c, unsigned i, const char *field,
                  char *value, size_t size)
{
    redisContext *r;
    redisReply *reply;
    bool found = false;

    if (c->nodes[i].paused) {
        return false;
    }
    r = cluster_try_connect(c, i, 2000);
    if (r == NULL) {
        return false;
    }
    reply = redisCommand(r, "INFO");
    if (reply != NULL && reply->type == REDIS_REPLY_STRING) {
        found = cluster_info_field(reply->str, field, value, size);
    }
    freeReplyObject(reply);
    redisFree(r);
    return found;
}

uint64_t cluster_info_u64(const struct cluster *c, unsigned i,
                          const char *field)
{
    char value[64];
    return cluster_info(c, i, field, value, sizeof value)
               ? strtoull(value, NULL, 10)
               : 0;
}

/* The running, unpaused node that says it leads, in the highest term; -1. */
static int leader_of(const struct cluster *c)
{
    uint64_t best_term = 0;
    int best = -1;

    for (unsigned i = 0; i < c->n_nodes; i++) {
        char role[32];
        if (c->nodes[i].pid > 0 && !c->nodes[i].paused &&
            cluster_info(c, i, "raft_role", role, sizeof role) &&
            strcmp(role, "leader") == 0) {
            uint64_t term = cluster_info_u64(c, i, "raft_term");
            if (best < 0 || term > best_term) {
                best_term = term;
                best = (int)i;
            }
        }
    }
    return best;
}

unsigned cluster_wait_leader(struct cluster *c)
{
    uint64_t end = cluster_now_us() + (uint64_t)CLUSTER_WAIT_MS * 1000;

    while (cluster_now_us() < end) {
        int leader = leader_of(c);
        redisContext *r =
            leader < 0 ? NULL : cluster_try_connect(c, (unsigned)leader, 2000);
        /* Committed in its term, or this would not be answered. */
        redisReply *reply = r == NULL ? NULL : redisCommand(r, "DBSIZE");
        bool ok = reply != NULL && reply->type == REDIS_REPLY_INTEGER;
        freeReplyObject(reply);
        if (r != NULL) {
            redisFree(r);
        }
        if (ok && leader_of(c) == leader) {
            return (unsigned)leader;
        }
        for (unsigned i = 0; i < c->n_nodes; i++) {
            if (c->nodes[i].pid > 0 &&
                waitpid(c->nodes[i].pid, NULL, WNOHANG) == c->nodes[i].pid) {
                c->nodes[i].pid = 0;
                cluster_fail(c, "node %u has ended by itself", i + 1);
            }
        }
        cluster_sleep_ms(5);
    }
    cluster_fail(c, "no leader after %d ms", CLUSTER_WAIT_MS);
}

/* Until the number is within these bounds. */
static void wait_info_within(struct cluster *c, unsigned i, const char *field,
                             uint64_t least, uint64_t most)
{
    uint64_t end = cluster_now_us() + (uint64_t)CLUSTER_WAIT_MS * 1000;
    char value[64];

    for (;;) {
        if (cluster_info(c, i, field, value, sizeof value)) {
            uint64_t now = strtoull(value, NULL, 10);
            if (now >= least && now <= most) {
                return;
            }
        }
        if (cluster_now_us() > end) {
            cluster_fail(c,
                         "%s of node %u is not within %llu..%llu after %d ms",
                         field, i + 1, (unsigned long long)least,
                         (unsigned long long)most, CLUSTER_WAIT_MS);
        }
        cluster_sleep_ms(2);
    }
}

void cluster_wait_info(struct cluster *c, unsigned i, const char *field,
                       uint64_t least)
{
    wait_info_within(c, i, field, least, UINT64_MAX);
}

void cluster_wait_info_at_most(struct cluster *c, unsigned i, const char *field,
                               uint64_t most)
{
    wait_info_within(c, i, field, 0, most);
}

void cluster_wait_applied(struct cluster *c, unsigned i, uint64_t index)
{
    cluster_wait_info(c, i, "raft_applied_index", index);
}

static bool nodes_equal(const struct cluster *c, char hash[64])
{
    char first_index[32] = "", first_hash[64] = "", index[32], other[64];

    for (unsigned i = 0; i < c->n_nodes; i++) {
        redisContext *r;
        redisReply *reply;
        bool ok;
        if (c->nodes[i].pid == 0 || c->nodes[i].paused) {
            continue;
        }
        r = cluster_try_connect(c, i, 2000);
        reply = r == NULL ? NULL : redisCommand(r, "INFO");
        ok = reply != NULL && reply->type == REDIS_REPLY_STRING &&
             cluster_info_field(reply->str, "raft_applied_index", index,
                                sizeof index) &&
             cluster_info_field(reply->str, "state_hash", other, sizeof other);
        freeReplyObject(reply);
        if (r != NULL) {
            redisFree(r);
        }
        if (!ok) {
            return false;
        }
        if (first_index[0] == '\0') {
            memcpy(first_index, index, sizeof first_index);
            memcpy(first_hash, other, sizeof first_hash);
        }
        if (strcmp(first_index, index) != 0 || strcmp(first_hash, other) != 0) {
            return false;
        }
    }
    if (hash != NULL) {
        memcpy(hash, first_hash, sizeof first_hash);
    }
    return first_hash[0] != '\0';
}

void cluster_wait_equal(struct cluster *c, char hash[64])
{
    uint64_t end = cluster_now_us() + (uint64_t)CLUSTER_WAIT_MS * 1000;

    while (!nodes_equal(c, hash)) {
        if (cluster_now_us() > end) {
            cluster_fail(c, "the nodes do not come to one state in %d ms",
                         CLUSTER_WAIT_MS);
        }
        cluster_sleep_ms(10);
    }
}

static redisReply *ask(struct cluster *c, redisContext *r, const char *format,
                       va_list args)
{
    redisReply *reply = redisvCommand(r, format, args);
    if (reply == NULL) {
        cluster_fail(c, "no answer to \"%s\": %s", format, r->errstr);
    }
    return reply;
}

redisReply *cluster_command(struct cluster *c, unsigned i, const char *format,
                            ...)
{
    redisContext *r = cluster_connect(c, i);
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = ask(c, r, format, args);
    va_end(args);
    redisFree(r);
    return reply;
}

redisReply *cluster_ask(struct cluster *c, redisContext *r, const char *format,
                        ...)
{
    redisReply *reply;
    va_list args;

    va_start(args, format);
    reply = ask(c, r, format, args);
    va_end(args);
    return reply;
}

redisReply *cluster_next_reply(struct cluster *c, redisContext *r)
{
    redisReply *reply;

    if (redisGetReply(r, (void **)&reply) != REDIS_OK) {
        cluster_fail(c, "no answer to a pipeline: %s", r->errstr);
    }
    return reply;
}

void cluster_expect(struct cluster *c, redisReply *reply, const char *text)
{
    if (reply->str == NULL || strcmp(reply->str, text) != 0) {
        cluster_fail(c, "\"%s\" expected, not \"%s\" (type %d)", text,
                     reply->str != NULL ? reply->str : "", reply->type);
    }
    freeReplyObject(reply);
}
