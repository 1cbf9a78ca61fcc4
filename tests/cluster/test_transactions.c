/* Transactions of several clients at all nodes while the leader is killed: no
 * increment under WATCH is lost, and no transfer is seen or done in part. Each
 * client knows of each transaction that it was executed (and with which
 * result), that it was not, or nothing. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"

enum {
    N_WORKERS = 6,
    N_ACCOUNTS = 4,
    N_KILLS = 4,
    VALUES_MAX = 1 << 20,
    EXECUTED_MIN = 150, /* between two kills; a run with less is void */
    REPLY_LIMIT_MS = 20000
};

enum fate { NOT_EXECUTED, EXECUTED, UNKNOWN };

struct worker {
    struct cluster *cluster;
    pthread_t thread;
    unsigned number, node;
    uint64_t random;
    redisContext *context;
    uint64_t n_increments, n_unknown, n_broken, n_transfers, n_audits;
    bool failed;
};

static struct worker workers[N_WORKERS];
static bool stop;
static uint64_t n_executed;
static uint8_t *values; /* written by an increment that was executed */

static uint64_t chance(struct worker *w, uint64_t n)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % n;
}

static void complain(struct worker *w, const char *what, long long detail)
{
    fprintf(stderr, "BROKEN PROMISE: worker %u: %s %lld\n", w->number, what,
            detail);
    w->failed = true;
}

static void disconnect(struct worker *w)
{
    if (w->context != NULL) {
        redisFree(w->context);
        w->context = NULL;
    }
}

/* The next reply; NULL: the connection is lost. Given. */
static redisReply *next_reply(struct worker *w)
{
    redisReply *reply = NULL;

    if (w->context != NULL &&
        redisGetReply(w->context, (void **)&reply) != REDIS_OK) {
        reply = NULL;
        disconnect(w);
    }
    return reply;
}

/* Replies that only say that something was taken; false: one did not. */
static bool skip_replies(struct worker *w, unsigned n)
{
    bool taken = true;

    for (unsigned i = 0; i < n; i++) {
        redisReply *reply = next_reply(w);
        taken &= reply != NULL && reply->type == REDIS_REPLY_STATUS;
        if (reply != NULL) {
            freeReplyObject(reply);
        }
    }
    return taken;
}

/* What the reply to EXEC says. */
static enum fate fate_of(struct worker *w, const redisReply *reply)
{
    if (reply == NULL || (reply->type == REDIS_REPLY_ERROR &&
                          strncmp(reply->str, "UNKNOWN", 7) == 0)) {
        return UNKNOWN;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        __atomic_add_fetch(&n_executed, 1, __ATOMIC_RELAXED);
        return EXECUTED;
    }
    w->n_broken += reply->type == REDIS_REPLY_NIL;
    return NOT_EXECUTED;
}

static enum fate exec_reply(struct worker *w)
{
    redisReply *reply = next_reply(w);
    enum fate fate = fate_of(w, reply);

    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return fate;
}

/* WATCH, GET; MULTI, SET of one more, EXEC. */
static void increment(struct worker *w)
{
    redisReply *reply;
    long long value = 0;
    bool read;

    redisAppendCommand(w->context, "WATCH counter");
    redisAppendCommand(w->context, "GET counter");
    read = skip_replies(w, 1);
    reply = next_reply(w);
    if (reply != NULL) {
        read &= reply->type != REDIS_REPLY_ERROR;
        value = reply->type == REDIS_REPLY_STRING ? atoll(reply->str) : 0;
        freeReplyObject(reply);
    }
    if (w->context == NULL || !read) {
        return;
    }
    value++;
    redisAppendCommand(w->context, "MULTI");
    redisAppendCommand(w->context, "SET counter %lld", value);
    redisAppendCommand(w->context, "EXEC");
    (void)skip_replies(w, 2);
    switch (exec_reply(w)) {
    case EXECUTED:
        w->n_increments++;
        if (value < 0 || value >= VALUES_MAX ||
            __atomic_exchange_n(&values[value], 1, __ATOMIC_RELAXED) != 0) {
            complain(w, "an update was lost: twice the counter was set to",
                     value);
        }
        break;
    case UNKNOWN:
        w->n_unknown++;
        break;
    default:
        break;
    }
}

static void transfer(struct worker *w)
{
    unsigned from = (unsigned)chance(w, N_ACCOUNTS);
    unsigned to = (from + 1 + (unsigned)chance(w, N_ACCOUNTS - 1)) % N_ACCOUNTS;
    int amount = 1 + (int)chance(w, 9);

    redisAppendCommand(w->context, "MULTI");
    redisAppendCommand(w->context, "DECRBY account%u %d", from, amount);
    redisAppendCommand(w->context, "INCRBY account%u %d", to, amount);
    redisAppendCommand(w->context, "EXEC");
    (void)skip_replies(w, 3);
    w->n_transfers += exec_reply(w) == EXECUTED;
}

/* All accounts at one moment. */
static void audit(struct worker *w)
{
    redisReply *reply;
    long long sum = 0;

    redisAppendCommand(w->context, "MULTI");
    for (unsigned i = 0; i < N_ACCOUNTS; i++) {
        redisAppendCommand(w->context, "GET account%u", i);
    }
    redisAppendCommand(w->context, "EXEC");
    (void)skip_replies(w, 1 + N_ACCOUNTS);
    reply = next_reply(w);
    if (reply != NULL && reply->type == REDIS_REPLY_ARRAY) {
        for (size_t i = 0; i < reply->elements; i++) {
            const redisReply *e = reply->element[i];
            sum += e->type == REDIS_REPLY_STRING ? atoll(e->str) : 0;
        }
        if (sum != 0) {
            complain(w, "a transfer was seen in part: the sum is", sum);
        }
        w->n_audits++;
    }
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        uint64_t draw = chance(w, 10);
        if (w->context == NULL) {
            w->node = (w->node + 1) % w->cluster->n_nodes;
            w->context =
                cluster_try_connect(w->cluster, w->node, REPLY_LIMIT_MS);
        }
        if (w->context == NULL) {
            cluster_sleep_ms(1);
        } else if (draw < 5) {
            increment(w);
        } else if (draw < 8) {
            transfer(w);
        } else {
            audit(w);
        }
    }
    disconnect(w);
    return NULL;
}

static void wait_executed(struct cluster *c, uint64_t more)
{
    uint64_t end = cluster_now_us() + (uint64_t)CLUSTER_WAIT_MS * 1000;
    uint64_t wanted = __atomic_load_n(&n_executed, __ATOMIC_RELAXED) + more;

    while (__atomic_load_n(&n_executed, __ATOMIC_RELAXED) < wanted) {
        if (cluster_now_us() > end) {
            cluster_fail(c, "no %llu transactions executed in %d ms",
                         (unsigned long long)more, CLUSTER_WAIT_MS);
        }
        cluster_sleep_ms(1);
    }
}

static void start_workers(struct cluster *c)
{
    values = calloc(VALUES_MAX, 1);
    assert_non_null(values);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        struct worker *w = &workers[i];
        memset(w, 0, sizeof *w);
        w->cluster = c;
        w->number = i;
        w->node = i;
        w->random = i + 17;
        assert_int_equal(pthread_create(&w->thread, NULL, work, w), 0);
    }
}

/* On every node: the counter is what was executed, and no account is short. */
static void verify(struct cluster *c, uint64_t n_increments, uint64_t n_unknown)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        redisReply *reply = cluster_command(c, i, "GET counter");
        uint64_t counter;
        long long sum = 0;
        assert_int_equal(reply->type, REDIS_REPLY_STRING);
        counter = strtoull(reply->str, NULL, 10);
        freeReplyObject(reply);
        if (counter < n_increments || counter > n_increments + n_unknown) {
            cluster_fail(c,
                         "node %u: the counter is %llu, %llu increments were "
                         "executed and %llu unknown",
                         i + 1, (unsigned long long)counter,
                         (unsigned long long)n_increments,
                         (unsigned long long)n_unknown);
        }
        for (unsigned a = 0; a < N_ACCOUNTS; a++) {
            reply = cluster_command(c, i, "GET account%u", a);
            sum += reply->type == REDIS_REPLY_STRING ? atoll(reply->str) : 0;
            freeReplyObject(reply);
        }
        if (sum != 0) {
            cluster_fail(c, "node %u: the accounts sum up to %lld", i + 1, sum);
        }
    }
}

static void test_transactions_hold_while_the_leader_is_killed(void **state)
{
    uint64_t n_increments = 0, n_unknown = 0, n_broken = 0, n_transfers = 0;
    uint64_t n_audits = 0;
    struct cluster c;
    bool failed = false;
    (void)state;

    cluster_open(&c, NULL);
    cluster_start(&c);
    start_workers(&c);
    for (unsigned i = 0; i < N_KILLS; i++) {
        unsigned leader;
        wait_executed(&c, EXECUTED_MIN);
        leader = cluster_wait_leader(&c);
        cluster_node_kill(&c, leader);
        wait_executed(&c, EXECUTED_MIN);
        cluster_node_start(&c, leader);
    }
    wait_executed(&c, EXECUTED_MIN);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        struct worker *w = &workers[i];
        pthread_join(w->thread, NULL);
        failed |= w->failed;
        n_increments += w->n_increments;
        n_unknown += w->n_unknown;
        n_broken += w->n_broken;
        n_transfers += w->n_transfers;
        n_audits += w->n_audits;
    }
    cluster_wait_leader(&c);
    cluster_wait_equal(&c, NULL);
    print_message("%llu increments, %llu of unknown fate, %llu broken watches; "
                  "%llu transfers, %llu audits\n",
                  (unsigned long long)n_increments,
                  (unsigned long long)n_unknown, (unsigned long long)n_broken,
                  (unsigned long long)n_transfers,
                  (unsigned long long)n_audits);
    if (failed) {
        cluster_fail(&c, "broken promises, see above");
    }
    verify(&c, n_increments, n_unknown);
    /* A run in which nobody got in another's way proves nothing. */
    assert_true(n_broken > 0 && n_audits > 0 && n_transfers > 0);
    free(values);
    cluster_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transactions_hold_while_the_leader_is_killed),
    };
    return cmocka_run_group_tests_name("transactions", tests, NULL, NULL);
}
