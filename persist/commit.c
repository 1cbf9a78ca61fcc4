/* From append to durable: group commit.
 *
 * Happy path: an append puts its operation into `gather`. Who has to wait for
 * it, or the service thread when a batch or its time is due, becomes the
 * leader: he takes what has gathered, hands it to the log, waits for the
 * durable write, tells the others. There is one leader at a time; what comes
 * meanwhile gathers for the next one. An append that need not wait ends when
 * its operation is in `gather`.
 *
 * Companions: threads that sync all the time come back one after the other
 * when a write has ended. A leader who wrote at once would take the first of
 * them alone and let the others wait for two writes. So he yields until as many
 * have come as were there last time, but not longer than a part of what a write
 * takes. A single thread never waits.
 *
 * Back-pressure: `gather` has a limit in bytes (and, as an option, in entries
 * that are not durable); an append over it waits for the leader.
 *
 * Full disk: the log is given only what files that exist can hold, so what it
 * was given becomes durable. If the rest finds no room, those who wait get
 * ERR_NOSPACE and their operations are taken out again, as if they had never
 * come; what nobody waits for stays and is tried again.
 *
 * Failure: after a failed write nothing more is written; all get the code. */
#include "persist/internal.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    NS_PER_MS = 1000000,
    RETRY_MS = 200,
    /* A leader waits for companions at most this part of a mean write, and
     * never longer than this. */
    COMPANION_PART = 2,
    COMPANION_NS_MAX = 500 * 1000,
    /* Written by itself, whatever the policy says. */
    DUE_BYTES = 1024 * 1024
};

int commit_failure(struct wal_private *w, struct err_info *info)
{
    int code = __atomic_load_n(&w->failed, __ATOMIC_ACQUIRE);

    if (code != 0 && info != NULL) {
        *info = w->failure; /* written before `failed`, never again */
    }
    return code;
}

/* ---- the leader -----------------------------------------------------------*/

static void wait_for_companions(struct wal_private *w)
{
    uint64_t limit = (uint64_t)histogram_mean(&w->counters.sync_ns);
    uint64_t start;

    if (w->gather.n_waiters == 0 || w->gather.n_waiters >= w->n_companions) {
        return;
    }
    limit = limit / COMPANION_PART;
    limit = limit < COMPANION_NS_MAX ? limit : COMPANION_NS_MAX;
    start = wal_now_ns(w);
    while (w->gather.n_waiters < w->n_companions &&
           wal_now_ns(w) - start < limit) {
        pthread_mutex_unlock(&w->gather_lock);
        sched_yield();
        pthread_mutex_lock(&w->gather_lock);
    }
}

static int failed(const struct wal_private *w)
{
    return __atomic_load_n(&w->failed, __ATOMIC_ACQUIRE);
}

/* Those who wait get the code; what comes next takes their sequence numbers. So
 * a cut stands in front of them. */
static void refuse(struct wal_private *w, int rv)
{
    uint64_t settled_seq = w->last_seq - w->gather.n;
    size_t n_refused = gather_refuse(&w->gather, rv);

    w->last_seq -= n_refused;
    if (n_refused > 0 && w->cut_seq > settled_seq) {
        w->cut_seq = settled_seq;
    }
}

/* n_done of the n oldest became durable, then rv came. No other one had come
 * when the write started if `all`. */
static void settle(struct wal_private *w, size_t n, size_t n_done, bool all,
                   int rv, uint64_t started)
{
    uint64_t now = wal_now_ns(w);

    if (n_done > 0) {
        if (n_done == n && all) {
            w->oldest_ns = started; /* what is left came later */
        }
        gather_pop(&w->gather, n_done, 0);
        w->counters.n_syncs++;
        histogram_record(&w->counters.sync_ns, now - started);
        histogram_record(&w->counters.batch_entries, n_done);
        w->retry_ns = 0;
    }
    if (rv != 0) {
        refuse(w, rv);
        w->retry_ns = now + (uint64_t)RETRY_MS * NS_PER_MS;
    }
}

int commit_lead(struct wal_private *w)
{
    uint64_t started;
    size_t n_waiting;
    size_t n_done;
    size_t n;
    bool all;
    bool full;
    int rv;

    w->leading = true;
    wait_for_companions(w);
    n = gather_peek(&w->gather, w->slice, WAL_SLICE_ENTRIES, WAL_SLICE_BYTES);
    all = n == w->gather.n;
    n_waiting = w->gather.n_waiters;
    w->n_arrived = 0;
    started = wal_now_ns(w);
    pthread_mutex_unlock(&w->gather_lock);

    rv = slice_write(w, n, &n_done, &full);

    pthread_mutex_lock(&w->gather_lock);
    w->no_space = full || rv == ERR_NOSPACE;
    settle(w, n, n_done, all, rv, started);
    w->n_companions = n_waiting + w->n_arrived;
    w->leading = false;
    pthread_cond_broadcast(&w->settled);
    return n_done > 0 ? 0 : rv;
}

/* gather_lock is held: wait for the leader, or be it. */
static int lead_or_wait(struct wal_private *w)
{
    if (!w->leading) {
        return commit_lead(w);
    }
    pthread_cond_wait(&w->settled, &w->gather_lock);
    return 0;
}

/* ---- append ---------------------------------------------------------------*/

/* The disk was full: is it still? */
static int check_space(struct wal_private *w, size_t size)
{
    uint64_t need = w->gather.payload + size + RAFTLOG_ENTRY_OVERHEAD;
    size_t size_max = size > w->gather.size_max ? size : w->gather.size_max;
    int rv = 0;

    if (!w->no_space) {
        return 0;
    }
    pthread_mutex_lock(&w->log_lock);
    if (!w->leading) {
        raftlog_tick(w->log);
        service_wait_log(w, 0);
    }
    if (!slice_is_full(w)) {
        w->no_space = false;
    } else if (need > raftlog_room(w->log, size_max)) {
        rv = ERR_NOSPACE;
    }
    pthread_mutex_unlock(&w->log_lock);
    return rv;
}

static bool has_place(const struct wal_private *w, size_t size)
{
    const struct gather *g = &w->gather;
    uint64_t entries = wal_option_get(w, WAL_OPTION_UNSYNCED_MAX);

    if (g->n == 0) {
        return true;
    }
    if (entries != 0 && g->n >= entries) {
        return false;
    }
    return g->bytes + size + sizeof(struct gathered) <=
           wal_option_get(w, WAL_OPTION_PENDING_BYTES_MAX);
}

/* gather_lock is held: wait until there is memory for one more. */
static int admit(struct wal_private *w, size_t size)
{
    uint64_t started;
    int rv = check_space(w, size);

    if (rv != 0 || has_place(w, size)) {
        return rv != 0 ? rv : failed(w);
    }
    started = wal_now_ns(w);
    w->counters.n_stalls++;
    while (rv == 0 && failed(w) == 0 && !has_place(w, size)) {
        rv = lead_or_wait(w);
        rv = rv == 0 ? check_space(w, size) : rv;
    }
    started = wal_now_ns(w) - started;
    w->counters.stall_ns += started;
    histogram_record(&w->counters.stall_each_ns, started);
    return rv != 0 ? rv : failed(w);
}

/* Wake the service thread when it has something to do that it does not know
 * of: a batch is full, or there is a first entry whose time runs. */
static void tell_service(struct wal_private *w)
{
    uint64_t at_ns;

    if (w->leading || !w->environment.threads) {
        return;
    }
    if (w->gather.n == 1 || commit_due(w, 0, &at_ns)) {
        pthread_cond_signal(&w->due);
    }
}

static int put(struct wal_private *w, const struct entry *e,
               struct waiter *waiter)
{
    size_t size = entry_size(e);
    int rv = admit(w, size);

    if (rv == 0) {
        rv = gather_put(&w->gather, e, w->n_given + 1, waiter);
    }
    if (rv != 0) {
        return rv;
    }
    if (w->last_seq == w->covered_seq) {
        w->uncovered_since_ns = wal_now_ns(w);
    }
    w->n_given++;
    w->last_seq++;
    if (e->kind != ENTRY_MARK) {
        distinct_add(&w->recent, e->key);
    }
    if (w->gather.n == 1) {
        w->oldest_ns = wal_now_ns(w);
    }
    if (waiter == NULL) {
        tell_service(w);
        return 0;
    }
    w->n_arrived += w->leading;
    while (!waiter->done) {
        (void)lead_or_wait(w);
    }
    return waiter->status;
}

static int say(struct wal_private *w, int code, struct err_info *info)
{
    if (code == ERR_NOSPACE) {
        return err_set(info, code,
                       "no space left on the device that holds %s: nothing was "
                       "appended; make room, then append again",
                       w->dir);
    }
    if (code != 0 && commit_failure(w, info) == code) {
        return code;
    }
    return err_set(info, code, "cannot append to the log in %s: %s", w->dir,
                   err_text(code));
}

int commit_append(struct wal_private *w, const struct entry *e,
                  struct err_info *info)
{
    struct waiter waiter = {false, 0};
    bool wait = wal_option_get(w, WAL_OPTION_SYNC_POLICY) == WAL_SYNC_ALWAYS;
    uint64_t started = 0;
    unsigned generation;
    bool sample;
    int rv;

    pthread_mutex_lock(&w->gather_lock);
    generation = w->generation;
    w->n_inside[generation]++;
    sample = wait || w->counters.n_appends % WAL_SAMPLE == 0;
    if (sample) {
        started = wal_now_ns(w);
    }
    rv = put(w, e, wait ? &waiter : NULL);
    if (rv == 0) {
        w->counters.n_appends++;
        w->counters.write_bytes += e->key.size + e->value.size;
        if (sample) {
            histogram_record(&w->counters.write_ns, wal_now_ns(w) - started);
        }
    }
    w->n_inside[generation]--;
    if (generation != w->generation && w->n_inside[generation] == 0) {
        pthread_cond_broadcast(&w->settled);
    }
    pthread_mutex_unlock(&w->gather_lock);
    return rv == 0 ? 0 : say(w, rv, info);
}

int commit_mark(struct wal_private *w, struct err_info *info)
{
    const struct entry e = {ENTRY_MARK, {NULL, 0}, {NULL, 0}};
    int rv;

    pthread_mutex_lock(&w->gather_lock);
    rv = w->last_seq == 0 ? put(w, &e, NULL) : 0;
    pthread_mutex_unlock(&w->gather_lock);
    return rv == 0 ? 0 : say(w, rv, info);
}

/* Two generations are enough: only one caller at a time, who holds
 * compact_lock, and he waits until the older one is empty. */
uint64_t commit_wait_returned(struct wal_private *w)
{
    unsigned before;
    uint64_t cut;

    pthread_mutex_lock(&w->gather_lock);
    w->cut_seq = w->last_seq;
    before = w->generation;
    w->generation = !before;
    while (w->n_inside[before] > 0) {
        pthread_cond_wait(&w->settled, &w->gather_lock);
    }
    cut = w->cut_seq;
    pthread_mutex_unlock(&w->gather_lock);
    return cut;
}

/* ---- sync -----------------------------------------------------------------*/

/* gather_lock is held: until everything through this ticket has left. */
static int force_through(struct wal_private *w, uint64_t ticket)
{
    int rv = 0;

    while (rv == 0 && failed(w) == 0 && w->gather.n > 0 &&
           gather_at(&w->gather, 0)->ticket <= ticket) {
        rv = lead_or_wait(w);
    }
    return rv != 0 ? rv : failed(w);
}

static int say_sync(struct wal_private *w, int code, struct err_info *info)
{
    if (code == ERR_NOSPACE) {
        return err_set(info, code,
                       "no space left on the device that holds %s: some "
                       "entries are in memory only; make room, then sync again",
                       w->dir);
    }
    return say(w, code, info);
}

int commit_force(struct wal_private *w, struct err_info *info)
{
    int rv;

    pthread_mutex_lock(&w->gather_lock);
    rv = force_through(w, w->n_given);
    pthread_mutex_unlock(&w->gather_lock);
    return rv == 0 ? 0 : say_sync(w, rv, info);
}

int commit_batch(struct wal_private *w, struct err_info *info)
{
    int rv;

    pthread_mutex_lock(&w->gather_lock);
    rv = failed(w);
    if (rv == 0 && w->gather.n >= wal_option_get(w, WAL_OPTION_BATCH_SIZE)) {
        rv = force_through(w, w->n_given);
    }
    pthread_mutex_unlock(&w->gather_lock);
    return rv == 0 ? 0 : say_sync(w, rv, info);
}

bool commit_due(const struct wal_private *w, uint64_t now, uint64_t *at_ns)
{
    uint64_t policy = wal_option_get(w, WAL_OPTION_SYNC_POLICY);
    uint64_t interval_ms = wal_option_get(w, WAL_OPTION_SYNC_INTERVAL_MS);
    bool timed = service_is_set(&w->shown->incremental_running);

    *at_ns = UINT64_MAX;
    /* What somebody waits for is written by him. */
    if (w->gather.n == w->gather.n_waiters || failed(w) != 0) {
        return false;
    }
    *at_ns = w->retry_ns > now ? w->retry_ns : now;
    if (w->gather.bytes >= DUE_BYTES || policy == WAL_SYNC_ALWAYS ||
        (policy == WAL_SYNC_BATCH &&
         w->gather.n >= wal_option_get(w, WAL_OPTION_BATCH_SIZE))) {
        return *at_ns == now;
    }
    if (!timed) {
        *at_ns = UINT64_MAX;
        return false;
    }
    if (w->oldest_ns + interval_ms * NS_PER_MS > *at_ns) {
        *at_ns = w->oldest_ns + interval_ms * NS_PER_MS;
    }
    return *at_ns <= now;
}
