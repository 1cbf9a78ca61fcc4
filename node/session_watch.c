/* Watched keys of sessions: what each was when WATCH was answered, and whether
 * it has been changed since.
 *
 * A table by key, chained, of all watches of this node; each session has a list
 * of its own. While there is one, the store tells of every key it changes
 * (store_on_touch); without any, nothing is asked and nothing is told. A
 * session whose key was changed is marked and its watches go: its EXEC fails,
 * whatever else happens.
 *
 * What counts as a change is what Redis takes for one: each setting, also to
 * the same value, and each removal of what was there. A key that was not there
 * may be removed: that is an expired one, which was absent to the client too.
 * When a snapshot replaces the state, nothing is known of what happened to a
 * key meanwhile, and every watch counts as broken. */
#include "node/service_private.h"

#include <stdlib.h>
#include <string.h>

#include "node/resp.h"
#include "raftlog/checksum.h"

enum {
    WATCH_BUCKETS_MIN = 64,
    /* Of a session's watches in its entry, whose size is limited. */
    WATCH_ENTRY_BYTES_MAX = 4 * 1024 * 1024,
    WATCH_ENTRY_OVERHEAD = 32
};

struct watch {
    struct watch *next, **link; /* in its bucket */
    struct watch *of_session;   /* next of the same session */
    struct session *session;
    uint64_t hash; /* of the key */
    struct transaction_watch was;
    uint8_t key[]; /* was.key points here */
};

static uint64_t hash_of(struct bytes key)
{
    return checksum(key.data, key.size, 0);
}

static bool same_key(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static struct watch **bucket_of(const struct service *s, uint64_t hash)
{
    return &s->watches.buckets[hash & (s->watches.n_buckets - 1)];
}

/* ---- the table ---- */

static void table_link(struct service *s, struct watch *w)
{
    struct watch **bucket = bucket_of(s, w->hash);
    w->next = *bucket;
    w->link = bucket;
    if (w->next != NULL) {
        w->next->link = &w->next;
    }
    *bucket = w;
}

/* More buckets, before there is more than one watch for each. When there is no
 * memory for them, chains grow. False: there is no table at all. */
static bool table_grow(struct service *s)
{
    struct watch_table *t = &s->watches;
    struct watch **old = t->buckets;
    uint64_t n_old = t->n_buckets;
    uint64_t n = n_old == 0 ? WATCH_BUCKETS_MIN : 2 * n_old;
    struct watch **buckets;
    if (t->n_watches < n_old) {
        return true;
    }
    buckets = calloc(n, sizeof *buckets);
    if (buckets == NULL) {
        return n_old > 0;
    }
    t->buckets = buckets;
    t->n_buckets = n;
    for (uint64_t i = 0; i < n_old; i++) {
        struct watch *w = old[i];
        while (w != NULL) {
            struct watch *next = w->next;
            table_link(s, w);
            w = next;
        }
    }
    free(old);
    return true;
}

static uint64_t watch_bytes(const struct watch *w)
{
    return sizeof *w + w->was.key.size;
}

/* The newest watches of a session go, but for the oldest n. */
static void drop(struct session *session, uint32_t n_kept)
{
    struct service *s = session->service;
    if (session->n_watches > 0 && n_kept == 0) {
        s->watches.n_sessions--;
    }
    while (session->n_watches > n_kept) {
        struct watch *w = session->watches;
        session->watches = w->of_session;
        session->n_watches--;
        session->watch_bytes -= WATCH_ENTRY_OVERHEAD + w->was.key.size;
        *w->link = w->next;
        if (w->next != NULL) {
            w->next->link = w->link;
        }
        s->watches.n_watches--;
        s->transaction_bytes -= watch_bytes(w);
        free(w);
    }
    if (s->watches.n_watches == 0 && s->watches.buckets != NULL) {
        free(s->watches.buckets);
        s->watches.buckets = NULL;
        s->watches.n_buckets = 0;
        store_on_touch(replica_store(s->replica), NULL, NULL);
    }
}

static void break_session(struct session *session)
{
    session->watch_broken = true;
    drop(session, 0);
}

/* ---- changes ---- */

static bool breaks(const struct watch *w, uint64_t hash, struct bytes key,
                   bool present)
{
    return w->hash == hash && (present || w->was.present) &&
           same_key(w->was.key, key);
}

static void key_touched(struct service *s, struct bytes key, bool present)
{
    uint64_t hash = hash_of(key);
    struct session *broken = NULL;
    /* To drop watches while walking along a chain of them would not do. */
    for (struct watch *w = *bucket_of(s, hash); w != NULL; w = w->next) {
        if (breaks(w, hash, key, present) && !w->session->watch_broken) {
            w->session->watch_broken = true;
            w->session->next_broken = broken;
            broken = w->session;
        }
    }
    while (broken != NULL) {
        struct session *next = broken->next_broken;
        break_session(broken);
        broken = next;
    }
}

/* Everything is removed: what was absent stays so. */
static void all_removed(struct service *s)
{
    for (struct session *at = s->sessions; at != NULL; at = at->next) {
        for (struct watch *w = at->watches; w != NULL; w = w->of_session) {
            if (w->was.present) {
                break_session(at);
                break;
            }
        }
    }
}

static void on_touch(void *ctx, const struct bytes *key, bool present)
{
    struct service *s = ctx;
    if (key == NULL) {
        all_removed(s);
    } else {
        key_touched(s, *key, present);
    }
}

void watch_jumped(struct service *s)
{
    for (struct session *at = s->sessions;
         at != NULL && s->watches.n_watches > 0; at = at->next) {
        if (at->watches != NULL) {
            break_session(at);
        }
    }
}

/* ---- of a session ---- */

static bool is_watched(const struct session *session, struct bytes key)
{
    uint64_t hash = hash_of(key);
    const struct watch *w = NULL;
    if (session->n_watches > 0) {
        w = *bucket_of(session->service, hash);
    }
    while (w != NULL && (w->session != session || w->hash != hash ||
                         !same_key(w->was.key, key))) {
        w = w->next;
    }
    return w != NULL;
}

/* NULL, or why the key can not be watched. */
static const char *add(struct session *session, struct command_env *env,
                       struct bytes key)
{
    struct service *s = session->service;
    uint64_t entry_bytes = WATCH_ENTRY_OVERHEAD + key.size;
    struct watch *w;
    if (session->n_watches >= s->options.watched_max ||
        session->watch_bytes + entry_bytes > WATCH_ENTRY_BYTES_MAX) {
        return "ERR too many watched keys for one client "
               "(--client-watched-max)";
    }
    if (s->transaction_bytes + sizeof *w + key.size >
        s->options.transaction_bytes_max) {
        return "BUSY too many watched keys and queued commands in this node "
               "(--transaction-bytes-max); try again";
    }
    w = table_grow(s) ? malloc(sizeof *w + key.size) : NULL;
    if (w == NULL) {
        return "ERR out of memory";
    }
    if (key.size > 0) {
        memcpy(w->key, key.data, key.size);
    }
    transaction_look(env, (struct bytes){w->key, key.size}, &w->was);
    w->hash = hash_of(key);
    w->session = session;
    w->of_session = session->watches;
    session->watches = w;
    table_link(s, w);
    if (s->watches.n_watches++ == 0) {
        store_on_touch(env->store, on_touch, s);
    }
    if (session->n_watches++ == 0) {
        s->watches.n_sessions++;
    }
    session->watch_bytes += entry_bytes;
    s->transaction_bytes += watch_bytes(w);
    return NULL;
}

void watch_keys(struct session *session, struct command_env *env, uint32_t argc,
                const struct bytes *argv, struct buffer *reply)
{
    uint32_t n_before = session->n_watches;
    const char *error = NULL;
    for (uint32_t i = 1; i < argc && error == NULL && !session->watch_broken;
         i++) {
        if (!is_watched(session, argv[i])) {
            error = add(session, env, argv[i]);
        }
    }
    if (error != NULL || env->due) {
        drop(session, n_before);
    }
    if (error != NULL) {
        resp_error(reply, error);
    } else {
        resp_simple(reply, "OK");
    }
}

void watch_forget(struct session *session)
{
    if (session->watches != NULL) {
        drop(session, 0);
    }
    session->watch_broken = false;
}

void watch_put(const struct session *session, struct transaction *t,
               struct buffer *out)
{
    for (const struct watch *w = session->watches; w != NULL;
         w = w->of_session) {
        transaction_put_watch(out, &w->was);
    }
    t->n_watches = session->n_watches;
    t->watches.data = buffer_data(out);
    t->watches.size = buffer_size(out);
}
