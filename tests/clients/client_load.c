/* Several hiredis clients that write while the cluster is hurt, and what must
 * be there afterwards: see client.h.
 *
 * Each worker is a thread with a connection of its own, which goes on at the
 * next address when it breaks. It writes keys that nobody else writes, counts a
 * counter of its own by INCR and one that all share by a transaction. A SET is
 * repeated until it is acknowledged; an increment is not, since an unknown one
 * may have been done. In the end each acknowledged key is there on every
 * address, and a counter stands between the acknowledged and the acknowledged
 * plus the unknown increments. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/clients/client.h"

enum {
    N_WORKERS = 4,
    LOAD_S_MAX = 180,
    KEYS_MAX = 200000, /* of a worker */
    ROUNDS_A_LINE = 100,
    PIPELINE_EVERY = 200, /* rounds */
    RETRY_MS = 5,
    ERROR_NAMES_MAX = 8
};

enum fate { ACKED, REFUSED, UNKNOWN, CONFLICT, N_FATES };

struct load;

struct worker {
    struct load *load;
    pthread_t thread;
    unsigned number, address;
    redisContext *client;
    unsigned n_keys; /* key:0 to key:n-1 are acknowledged */
    long long own[N_FATES], shared[N_FATES];
};

struct load {
    const struct client_options *options;
    char prefix[32];
    time_t end;
    pthread_mutex_t lock; /* the fields below */
    unsigned n_rounds;
    struct {
        char name[32];
        unsigned n;
    } errors[ERROR_NAMES_MAX];
    struct worker workers[N_WORKERS];
};

static time_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

static bool is_late(const struct load *l)
{
    return now_s() > l->end;
}

static void note(struct load *l, const char *name)
{
    unsigned i = 0;

    pthread_mutex_lock(&l->lock);
    while (i < ERROR_NAMES_MAX - 1 && l->errors[i].n > 0 &&
           strcmp(l->errors[i].name, name) != 0) {
        i++;
    }
    snprintf(l->errors[i].name, sizeof l->errors[i].name, "%s", name);
    l->errors[i].n++;
    pthread_mutex_unlock(&l->lock);
}

/* ---- requests
 * --------------------------------------------------------------*/

static void disconnect(struct worker *w)
{
    redisFree(w->client);
    w->client = NULL;
}

static bool connect_next(struct worker *w)
{
    if (w->client == NULL) {
        w->address = (w->address + 1) % w->load->options->n_addresses;
        w->client = client_connect(w->load->options, w->address);
        if (w->client == NULL) {
            note(w->load, "connection");
        }
    }
    return w->client != NULL;
}

/* What a reply says about its write. A program may try again after a lost
 * connection and these errors; any other ends it. */
static enum fate fate_of(struct worker *w, const redisReply *reply)
{
    static const char *const retriable[] = {"CLUSTERDOWN", "TRYAGAIN",
                                            "LOADING", "UNKNOWN"};

    if (reply == NULL) {
        note(w->load, w->client->err == REDIS_ERR_IO && errno == EAGAIN
                          ? "timeout"
                          : "connection");
        disconnect(w);
        return UNKNOWN;
    }
    if (reply->type != REDIS_REPLY_ERROR) {
        return ACKED;
    }
    for (unsigned i = 0; i < sizeof retriable / sizeof retriable[0]; i++) {
        if (strncmp(reply->str, retriable[i], strlen(retriable[i])) == 0) {
            note(w->load, retriable[i]);
            return i == 0 ? REFUSED : UNKNOWN;
        }
    }
    client_die("worker %u: %s", w->number, reply->str);
}

/* Wait a moment before a repetition; the load must not take for ever. */
static void pause_before_retry(struct worker *w)
{
    if (is_late(w->load)) {
        client_die("worker %u: no acknowledgement for too long", w->number);
    }
    client_sleep_ms(RETRY_MS);
}

static void send_set(struct worker *w, unsigned n)
{
    bool expires = n % 2 == 0 && client_has(w->load->options, "expiry");

    redisAppendCommand(w->client,
                       expires ? "SET %s%u:%u value-%u-%u PX 3600000"
                               : "SET %s%u:%u value-%u-%u",
                       w->load->prefix, w->number, n, w->number, n);
}

/* Set the next n keys in one pipeline, again and again until all of it is
 * acknowledged. */
static void set_keys(struct worker *w, unsigned n)
{
    bool done = false;

    if (w->n_keys + n > KEYS_MAX) {
        client_die("worker %u has written too much", w->number);
    }
    while (!done) {
        done = connect_next(w);
        for (unsigned i = 0; done && i < n; i++) {
            send_set(w, w->n_keys + i);
        }
        for (unsigned i = 0; w->client != NULL && i < n; i++) {
            redisReply *reply = NULL;
            redisGetReply(w->client, (void **)&reply);
            done = fate_of(w, reply) == ACKED && done;
            freeReplyObject(reply);
        }
        if (!done) {
            pause_before_retry(w);
        }
    }
    w->n_keys += n;
}

static bool is_value(const struct worker *w, unsigned n,
                     const redisReply *reply)
{
    char want[64];

    snprintf(want, sizeof want, "value-%u-%u", w->number, n);
    return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, want) == 0;
}

/* What was just acknowledged must be seen on the next node. */
static void get_elsewhere(struct worker *w)
{
    unsigned n = w->n_keys - 1;
    bool done = false;

    disconnect(w);
    while (!done) {
        if (connect_next(w)) {
            redisReply *reply = redisCommand(w->client, "GET %s%u:%u",
                                             w->load->prefix, w->number, n);
            done = fate_of(w, reply) == ACKED;
            if (done && !is_value(w, n, reply)) {
                client_die("worker %u: GET of key %u is stale", w->number, n);
            }
            freeReplyObject(reply);
        }
        if (!done) {
            pause_before_retry(w);
        }
    }
}

static void count_own(struct worker *w)
{
    redisReply *reply;
    enum fate fate;

    if (!connect_next(w)) {
        return;
    }
    reply = redisCommand(w->client, "INCR %s%u:counter", w->load->prefix,
                         w->number);
    fate = fate_of(w, reply);
    w->own[fate]++;
    if (fate == ACKED && (reply->integer < w->own[ACKED] ||
                          reply->integer > w->own[ACKED] + w->own[UNKNOWN])) {
        client_die("worker %u: INCR gives %lld after %lld and %lld unknown",
                   w->number, reply->integer, w->own[ACKED], w->own[UNKNOWN]);
    }
    freeReplyObject(reply);
}

/* Read under WATCH; the value goes to *value. */
static bool watch_shared(struct worker *w, long long *value)
{
    const char *prefix = w->load->prefix;
    redisReply *reply;
    bool ok;

    if (!connect_next(w)) {
        return false;
    }
    reply = redisCommand(w->client, "WATCH %sshared", prefix);
    ok = fate_of(w, reply) == ACKED;
    freeReplyObject(reply);
    if (!ok) {
        return false;
    }
    reply = redisCommand(w->client, "GET %sshared", prefix);
    ok = fate_of(w, reply) == ACKED;
    *value = ok && reply->str != NULL ? strtoll(reply->str, NULL, 10) : 0;
    freeReplyObject(reply);
    return ok;
}

static void count_shared(struct worker *w)
{
    long long value;
    redisReply *reply;
    enum fate fate = ACKED;

    if (!watch_shared(w, &value)) {
        if (w->client != NULL) {
            disconnect(w); /* what was watched is forgotten with it */
        }
        return;
    }
    redisAppendCommand(w->client, "MULTI");
    redisAppendCommand(w->client, "SET %sshared %lld", w->load->prefix,
                       value + 1);
    redisAppendCommand(w->client, "EXEC");
    for (unsigned i = 0; fate == ACKED && i < 3; i++) {
        reply = NULL; /* stays so when the connection breaks */
        redisGetReply(w->client, (void **)&reply);
        fate = fate_of(w, reply);
        if (fate == ACKED && i == 2 && reply->type != REDIS_REPLY_ARRAY) {
            fate = CONFLICT;
        }
        freeReplyObject(reply);
    }
    w->shared[fate]++;
    if (fate != ACKED && fate != CONFLICT && w->client != NULL) {
        disconnect(w); /* replies may be left */
    }
}

/* ---- a worker
 * --------------------------------------------------------------*/

static void progress(struct load *l)
{
    pthread_mutex_lock(&l->lock);
    if (++l->n_rounds % ROUNDS_A_LINE == 0) {
        printf("rounds %u\n", l->n_rounds);
        fflush(stdout);
    }
    pthread_mutex_unlock(&l->lock);
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    const struct client_options *o = w->load->options;

    for (unsigned i = 0; access(o->stop_file, F_OK) != 0; i++) {
        if (is_late(w->load)) {
            client_die("nobody stopped the load");
        }
        set_keys(w, i % PIPELINE_EVERY == 100 ? CLIENT_PIPELINE : 1);
        if (i % 8 == 0) {
            get_elsewhere(w);
        }
        count_own(w);
        if (client_has(o, "transaction")) {
            count_shared(w);
        }
        progress(w->load);
    }
    if (w->client != NULL) {
        disconnect(w);
    }
    return NULL;
}

/* ---- the oracle
 * ------------------------------------------------------------*/

static redisReply *must(redisContext *c, redisReply *reply)
{
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        client_die("verifying: %s", reply == NULL ? c->errstr : reply->str);
    }
    return reply;
}

static void verify_keys(redisContext *c, const struct worker *w)
{
    for (unsigned first = 0; first < w->n_keys; first += CLIENT_PIPELINE) {
        unsigned end = first + CLIENT_PIPELINE;
        end = end < w->n_keys ? end : w->n_keys;
        for (unsigned n = first; n < end; n++) {
            redisAppendCommand(c, "GET %s%u:%u", w->load->prefix, w->number, n);
        }
        for (unsigned n = first; n < end; n++) {
            redisReply *reply = NULL;
            redisGetReply(c, (void **)&reply);
            if (!is_value(w, n, must(c, reply))) {
                client_die("worker %u: acknowledged key %u is lost", w->number,
                           n);
            }
            freeReplyObject(reply);
        }
    }
}

static void verify_counter(redisContext *c, const char *key,
                           const long long counts[N_FATES])
{
    redisReply *reply = must(c, redisCommand(c, "GET %s", key));
    long long n = reply->str == NULL ? 0 : strtoll(reply->str, NULL, 10);

    if (n < counts[ACKED] || n > counts[ACKED] + counts[UNKNOWN]) {
        client_die("%s is %lld after %lld acknowledged, %lld unknown", key, n,
                   counts[ACKED], counts[UNKNOWN]);
    }
    freeReplyObject(reply);
}

static void verify_expiry(redisContext *c, const struct worker *w)
{
    redisReply *reply =
        must(c, redisCommand(c, "PTTL %s%u:0", w->load->prefix, w->number));

    if (reply->integer <= 0) {
        client_die("key 0 of worker %u has lost its expiry", w->number);
    }
    freeReplyObject(reply);
}

/* Sum up over all workers. */
static void sum(const struct load *l, long long own[N_FATES],
                long long shared[N_FATES], unsigned *n_keys)
{
    memset(own, 0, N_FATES * sizeof *own);
    memset(shared, 0, N_FATES * sizeof *shared);
    *n_keys = 0;
    for (unsigned i = 0; i < N_WORKERS; i++) {
        *n_keys += l->workers[i].n_keys;
        for (unsigned f = 0; f < N_FATES; f++) {
            own[f] += l->workers[i].own[f];
            shared[f] += l->workers[i].shared[f];
        }
    }
}

static void verify_on(const struct load *l, unsigned address)
{
    redisContext *c = client_connect(l->options, address);
    long long own[N_FATES], shared[N_FATES];
    unsigned n_keys;
    char key[64];

    if (c == NULL) {
        client_die("%s does not answer", l->options->addresses[address]);
    }
    for (unsigned i = 0; i < N_WORKERS; i++) {
        verify_keys(c, &l->workers[i]);
        if (client_has(l->options, "expiry")) {
            verify_expiry(c, &l->workers[i]);
        }
        snprintf(key, sizeof key, "%s%u:counter", l->prefix, i);
        verify_counter(c, key, l->workers[i].own);
    }
    sum(l, own, shared, &n_keys);
    snprintf(key, sizeof key, "%sshared", l->prefix);
    verify_counter(c, key, shared);
    redisFree(c);
}

void client_load(const struct client_options *o)
{
    static struct load l;
    long long own[N_FATES], shared[N_FATES];
    unsigned n_keys;

    l.options = o;
    l.end = now_s() + LOAD_S_MAX;
    snprintf(l.prefix, sizeof l.prefix, "hiredis%u-load:", o->resp);
    pthread_mutex_init(&l.lock, NULL);
    for (unsigned i = 0; i < N_WORKERS; i++) {
        struct worker *w = &l.workers[i];
        w->load = &l;
        w->number = w->address = i;
        if (pthread_create(&w->thread, NULL, run_worker, w) != 0) {
            client_die("no thread");
        }
    }
    for (unsigned i = 0; i < N_WORKERS; i++) {
        pthread_join(l.workers[i].thread, NULL);
    }
    for (unsigned i = 0; i < o->n_addresses; i++) {
        verify_on(&l, i);
    }
    sum(&l, own, shared, &n_keys);
    printf("load: %u keys, %lld INCRs, %lld transactions acknowledged and "
           "found on %u addresses; errors:",
           n_keys, own[ACKED], shared[ACKED], o->n_addresses);
    for (unsigned i = 0; i < ERROR_NAMES_MAX && l.errors[i].n > 0; i++) {
        printf(" %s:%u", l.errors[i].name, l.errors[i].n);
    }
    printf("%s\n", l.errors[0].n == 0 ? " none" : "");
}
