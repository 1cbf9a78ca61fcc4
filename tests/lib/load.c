/* Writers with a memory: see load.h. */
#include "tests/lib/load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WORKERS_MAX = 64,
    VALUE_MAX = 4096,
    VERIFY_BATCH = 200,
    REPLY_LIMIT_MS = 20000,
    COMPLAINTS_MAX = 5
};

enum fate { FATE_REFUSED, FATE_ACKED, FATE_UNKNOWN };

struct worker {
    struct load *load;
    pthread_t thread;
    unsigned number;
    uint64_t random;
    redisContext *context;
    unsigned node;  /* where the context leads */
    uint8_t *fates; /* of key number n */
    size_t n_keys, keys_max;
    uint64_t own_acked, own_unknown, own_last;
    uint64_t shared_unknown;
    uint64_t *shared; /* values of the acknowledged increments */
    size_t n_shared, shared_max;
    struct load_counts counts;
    unsigned n_complaints;
};

struct load {
    struct cluster *cluster;
    struct load_options options;
    bool stop;
    uint64_t n_acked, last_ack_us, gap_us;
    struct worker workers[WORKERS_MAX];
};

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Grow an array so that one more element fits. */
static void *grow(void *array, size_t n, size_t *max, size_t size)
{
    if (n == *max) {
        *max = *max == 0 ? 1024 : *max * 2;
        array = realloc(array, *max * size);
        if (array == NULL) {
            abort();
        }
    }
    return array;
}

static void complain(struct worker *w, uint64_t *counter, const char *what,
                     const char *key, const char *detail)
{
    __atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
    if (w->n_complaints++ < COMPLAINTS_MAX) {
        fprintf(stderr, "BROKEN PROMISE: %s: %s %s\n", what, key, detail);
    }
}

/* ---- keys and values -----------------------------------------------------*/

static void key_of(const struct worker *w, size_t n, char key[64])
{
    snprintf(key, 64, "key:%u:%zu", w->number, n);
}

/* A value that only this key has. */
static void value_of(const struct worker *w, size_t n, char *value)
{
    uint64_t state = w->load->options.seed + w->number * 1000003u + n;
    size_t size = w->load->options.value_size;
    for (size_t i = 0; i < size; i++) {
        value[i] = (char)('a' + random_next(&state) % 26);
    }
    value[size] = '\0';
}

/* ---- one request ---------------------------------------------------------*/

static void disconnect(struct worker *w)
{
    if (w->context != NULL) {
        redisFree(w->context);
        w->context = NULL;
    }
}

/* Be connected to some node that runs; false when asked to stop meanwhile. */
static bool connect_somewhere(struct worker *w)
{
    struct cluster *c = w->load->cluster;
    while (w->context == NULL) {
        if (__atomic_load_n(&w->load->stop, __ATOMIC_RELAXED)) {
            return false;
        }
        w->node = (w->node + 1) % c->n_nodes;
        w->context = cluster_try_connect(c, w->node, REPLY_LIMIT_MS);
        w->counts.n_reconnects++;
        if (w->context == NULL) {
            cluster_sleep_ms(1);
        }
    }
    return true;
}

static void note_ack(struct load *l)
{
    uint64_t now = cluster_now_us();
    uint64_t before =
        __atomic_exchange_n(&l->last_ack_us, now, __ATOMIC_RELAXED);
    uint64_t gap = now > before ? now - before : 0;
    uint64_t most = __atomic_load_n(&l->gap_us, __ATOMIC_RELAXED);
    while (gap > most &&
           !__atomic_compare_exchange_n(&l->gap_us, &most, gap, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
    __atomic_add_fetch(&l->n_acked, 1, __ATOMIC_RELAXED);
}

/* What a reply to a write says about it. A broken connection is unknown. */
static enum fate fate_of(struct worker *w, const redisReply *reply)
{
    if (reply == NULL) {
        w->counts.n_unknown++;
        return FATE_UNKNOWN;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        w->counts.n_acked++;
        note_ack(w->load);
        return FATE_ACKED;
    }
    if (strncmp(reply->str, "UNKNOWN", 7) == 0) {
        w->counts.n_unknown++;
        return FATE_UNKNOWN;
    }
    w->counts.n_refused++;
    return FATE_REFUSED;
}

/* Done with a reply; without one the connection is lost. */
static void let_go(struct worker *w, redisReply *reply)
{
    if (reply == NULL) {
        disconnect(w);
    }
    freeReplyObject(reply);
}

static void write_key(struct worker *w)
{
    char key[64], value[VALUE_MAX + 1];
    redisReply *reply;
    enum fate fate;

    key_of(w, w->n_keys, key);
    value_of(w, w->n_keys, value);
    reply = redisCommand(w->context, "SET %s %s", key, value);
    fate = fate_of(w, reply);
    w->fates = grow(w->fates, w->n_keys, &w->keys_max, 1);
    w->fates[w->n_keys++] = (uint8_t)fate;
    let_go(w, reply);
}

/* What an acknowledged one has made of the counter goes to *value. */
static enum fate increment(struct worker *w, const char *key, uint64_t *value)
{
    redisReply *reply = redisCommand(w->context, "INCR %s", key);
    enum fate fate = fate_of(w, reply);

    if (fate == FATE_ACKED) {
        *value = (uint64_t)reply->integer;
    }
    let_go(w, reply);
    return fate;
}

static void count_own(struct worker *w)
{
    char key[64], detail[160];
    uint64_t value;

    snprintf(key, sizeof key, "counter:%u", w->number);
    switch (increment(w, key, &value)) {
    case FATE_ACKED:
        /* Each earlier unknown one is done by now or may still come. */
        if (value <= w->own_last || value < w->own_acked + 1 ||
            value > w->own_acked + w->own_unknown + 1) {
            snprintf(detail, sizeof detail,
                     "is %llu after %llu acknowledged, %llu unknown, last %llu",
                     (unsigned long long)value,
                     (unsigned long long)w->own_acked,
                     (unsigned long long)w->own_unknown,
                     (unsigned long long)w->own_last);
            complain(w, &w->counts.n_doubled, "INCR", key, detail);
        }
        w->own_last = value;
        w->own_acked++;
        break;
    case FATE_UNKNOWN:
        w->own_unknown++;
        break;
    case FATE_REFUSED:
        break;
    }
}

static void count_shared(struct worker *w)
{
    uint64_t value;

    switch (increment(w, "counter:shared", &value)) {
    case FATE_ACKED:
        w->shared =
            grow(w->shared, w->n_shared, &w->shared_max, sizeof *w->shared);
        w->shared[w->n_shared++] = value;
        break;
    case FATE_UNKNOWN:
        w->shared_unknown++;
        break;
    case FATE_REFUSED:
        break;
    }
}

/* Read the own counter, half of the time through another node. */
static void read_own(struct worker *w)
{
    char key[64], detail[160];
    redisReply *reply;

    snprintf(key, sizeof key, "counter:%u", w->number);
    if (random_next(&w->random) % 2 == 0) {
        disconnect(w);
        if (!connect_somewhere(w)) {
            return;
        }
    }
    reply = redisCommand(w->context, "GET %s", key);
    if (reply != NULL &&
        (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_NIL)) {
        uint64_t value =
            reply->type == REDIS_REPLY_NIL ? 0 : strtoull(reply->str, NULL, 10);
        w->counts.n_reads++;
        if (value < w->own_last || value < w->own_acked ||
            value > w->own_acked + w->own_unknown) {
            snprintf(detail, sizeof detail,
                     "reads %llu on node %u after %llu acknowledged, "
                     "%llu unknown",
                     (unsigned long long)value, w->node + 1,
                     (unsigned long long)w->own_acked,
                     (unsigned long long)w->own_unknown);
            complain(w, &w->counts.n_stale, "GET", key, detail);
        }
        w->own_last = value;
    }
    let_go(w, reply);
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;

    while (!__atomic_load_n(&w->load->stop, __ATOMIC_RELAXED) &&
           connect_somewhere(w)) {
        uint64_t chance = random_next(&w->random) % 16;
        if (chance < 9) {
            write_key(w);
        } else if (chance < 12) {
            count_own(w);
        } else if (chance < 15) {
            count_shared(w);
        } else {
            read_own(w);
        }
        if (w->load->options.pause_us != 0) {
            struct timespec t = {0, (long)w->load->options.pause_us * 1000};
            nanosleep(&t, NULL);
        }
    }
    disconnect(w);
    return NULL;
}

/* ---- life ----------------------------------------------------------------*/

struct load *load_start(struct cluster *c, const struct load_options *options)
{
    struct load *l = calloc(1, sizeof *l);

    if (l == NULL) {
        abort();
    }
    l->cluster = c;
    if (options != NULL) {
        l->options = *options;
    }
    if (l->options.n_workers == 0) {
        l->options.n_workers = 8;
    }
    if (l->options.n_workers > WORKERS_MAX) {
        l->options.n_workers = WORKERS_MAX;
    }
    if (l->options.value_size == 0 || l->options.value_size > VALUE_MAX) {
        l->options.value_size = 64;
    }
    l->last_ack_us = cluster_now_us();
    for (unsigned i = 0; i < l->options.n_workers; i++) {
        struct worker *w = &l->workers[i];
        w->load = l;
        w->number = i;
        w->node = i;
        w->random = l->options.seed + i;
        if (pthread_create(&w->thread, NULL, run_worker, w) != 0) {
            abort();
        }
    }
    return l;
}

void load_stop(struct load *l)
{
    __atomic_store_n(&l->stop, true, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < l->options.n_workers; i++) {
        pthread_join(l->workers[i].thread, NULL);
    }
}

void load_free(struct load *l)
{
    for (unsigned i = 0; i < l->options.n_workers; i++) {
        free(l->workers[i].fates);
        free(l->workers[i].shared);
    }
    free(l);
}

uint64_t load_last_ack_us(const struct load *l)
{
    return __atomic_load_n(&l->last_ack_us, __ATOMIC_RELAXED);
}

void load_reset_gap(struct load *l)
{
    __atomic_store_n(&l->gap_us, 0, __ATOMIC_RELAXED);
}

uint64_t load_gap_us(const struct load *l)
{
    uint64_t gap = __atomic_load_n(&l->gap_us, __ATOMIC_RELAXED);
    uint64_t since = cluster_now_us() - load_last_ack_us(l);
    return gap > since ? gap : since;
}

static uint64_t n_acked(const struct load *l)
{
    return __atomic_load_n(&l->n_acked, __ATOMIC_RELAXED);
}

void load_wait_acked(struct load *l, uint64_t more)
{
    uint64_t goal = n_acked(l) + more;
    uint64_t end = cluster_now_us() + (uint64_t)CLUSTER_WAIT_MS * 1000;

    while (n_acked(l) < goal) {
        if (cluster_now_us() > end) {
            cluster_fail(l->cluster,
                         "%llu more writes were not acknowledged in %d ms",
                         (unsigned long long)more, CLUSTER_WAIT_MS);
        }
        cluster_sleep_ms(1);
    }
}

/* ---- the oracle ----------------------------------------------------------*/

static void verify_key(struct worker *w, size_t n, const redisReply *reply,
                       unsigned node)
{
    char key[64], value[VALUE_MAX + 1], detail[64];

    key_of(w, n, key);
    value_of(w, n, value);
    snprintf(detail, sizeof detail, "on node %u", node + 1);
    if (reply->type == REDIS_REPLY_NIL) {
        if (w->fates[n] == FATE_ACKED) {
            complain(w, &w->counts.n_lost, "acknowledged, gone", key, detail);
        }
    } else if (reply->type != REDIS_REPLY_STRING ||
               strcmp(reply->str, value) != 0) {
        complain(w, &w->counts.n_wrong, "another value", key, detail);
    } else if (w->fates[n] == FATE_REFUSED) {
        complain(w, &w->counts.n_undead, "refused, yet there", key, detail);
    }
}

static void verify_keys(struct worker *w, redisContext *r, unsigned node)
{
    struct cluster *c = w->load->cluster;

    for (size_t first = 0; first < w->n_keys; first += VERIFY_BATCH) {
        size_t end = first + VERIFY_BATCH;
        end = end < w->n_keys ? end : w->n_keys;
        for (size_t n = first; n < end; n++) {
            char key[64];
            key_of(w, n, key);
            redisAppendCommand(r, "GET %s", key);
        }
        for (size_t n = first; n < end; n++) {
            redisReply *reply = cluster_next_reply(c, r);
            if (reply->type == REDIS_REPLY_ERROR) {
                cluster_fail(c, "node %u answers GET with %s", node + 1,
                             reply->str);
            }
            verify_key(w, n, reply, node);
            freeReplyObject(reply);
        }
    }
}

static uint64_t read_counter(struct load *l, redisContext *r, const char *key)
{
    redisReply *reply = redisCommand(r, "GET %s", key);
    uint64_t value = 0;

    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        cluster_fail(l->cluster, "no answer to GET %s: %s", key,
                     reply != NULL ? reply->str : r->errstr);
    }
    if (reply->type == REDIS_REPLY_STRING) {
        value = strtoull(reply->str, NULL, 10);
    }
    freeReplyObject(reply);
    return value;
}

static void verify_counter(struct worker *w, uint64_t value, const char *key,
                           uint64_t acked, uint64_t unknown)
{
    char detail[160];

    snprintf(detail, sizeof detail, "is %llu, acknowledged %llu, unknown %llu",
             (unsigned long long)value, (unsigned long long)acked,
             (unsigned long long)unknown);
    if (value < acked) {
        complain(w, &w->counts.n_lost, "increments lost", key, detail);
    } else if (value > acked + unknown) {
        complain(w, &w->counts.n_doubled, "increments doubled", key, detail);
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* No two replies of the shared counter may be the same number. */
static void verify_shared(struct load *l, uint64_t *acked, uint64_t *unknown)
{
    uint64_t *all;
    size_t n = 0;

    *acked = *unknown = 0;
    for (unsigned i = 0; i < l->options.n_workers; i++) {
        *acked += l->workers[i].n_shared;
        *unknown += l->workers[i].shared_unknown;
    }
    all = calloc(*acked + 1, sizeof *all);
    if (all == NULL) {
        abort();
    }
    for (unsigned i = 0; i < l->options.n_workers; i++) {
        struct worker *w = &l->workers[i];
        if (w->n_shared != 0) {
            memcpy(all + n, w->shared, w->n_shared * sizeof *all);
            n += w->n_shared;
        }
    }
    qsort(all, n, sizeof *all, compare_u64);
    for (size_t i = 1; i < n; i++) {
        if (all[i] == all[i - 1]) {
            char detail[64];
            snprintf(detail, sizeof detail, "%llu was answered twice",
                     (unsigned long long)all[i]);
            complain(&l->workers[0], &l->workers[0].counts.n_doubled, "INCR",
                     "counter:shared", detail);
        }
    }
    free(all);
}

uint64_t load_verify(struct load *l, struct load_counts *out)
{
    struct cluster *c = l->cluster;
    struct load_counts sum;
    uint64_t acked, unknown;

    verify_shared(l, &acked, &unknown);
    for (unsigned node = 0; node < c->n_nodes; node++) {
        redisContext *r;
        if (c->nodes[node].pid == 0 || c->nodes[node].paused) {
            continue;
        }
        r = cluster_connect(c, node);
        for (unsigned i = 0; i < l->options.n_workers; i++) {
            struct worker *w = &l->workers[i];
            char key[64];
            snprintf(key, sizeof key, "counter:%u", w->number);
            verify_keys(w, r, node);
            verify_counter(w, read_counter(l, r, key), key, w->own_acked,
                           w->own_unknown);
        }
        verify_counter(&l->workers[0], read_counter(l, r, "counter:shared"),
                       "counter:shared", acked, unknown);
        redisFree(r);
    }
    memset(&sum, 0, sizeof sum);
    for (unsigned i = 0; i < l->options.n_workers; i++) {
        const struct load_counts *k = &l->workers[i].counts;
        sum.n_acked += k->n_acked, sum.n_refused += k->n_refused;
        sum.n_unknown += k->n_unknown, sum.n_reads += k->n_reads;
        sum.n_reconnects += k->n_reconnects;
        sum.n_lost += k->n_lost, sum.n_wrong += k->n_wrong;
        sum.n_doubled += k->n_doubled, sum.n_stale += k->n_stale;
        sum.n_undead += k->n_undead;
    }
    if (out != NULL) {
        *out = sum;
    }
    return sum.n_lost + sum.n_wrong + sum.n_doubled + sum.n_stale +
           sum.n_undead;
}

void load_finish(struct load *l, uint64_t acked_min)
{
    struct cluster *c = l->cluster;
    struct load_counts counts;
    uint64_t n_broken;

    load_stop(l);
    cluster_wait_leader(c);
    cluster_wait_equal(c, NULL);
    n_broken = load_verify(l, &counts);
    load_free(l);
    if (n_broken != 0) {
        cluster_fail(c, "%llu broken promises", (unsigned long long)n_broken);
    }
    if (counts.n_acked < acked_min) {
        cluster_fail(c, "void: only %llu writes were acknowledged, not %llu",
                     (unsigned long long)counts.n_acked,
                     (unsigned long long)acked_min);
    }
}
