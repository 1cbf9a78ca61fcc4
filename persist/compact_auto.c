/* When to compact, and how fast.
 *
 * Due is a compaction when enough entries have gathered behind the chain and
 * enough of them are superseded, or when their bytes or age demand it, or when
 * the disk is full. The superseded share is an estimate: entries less different
 * keys (distinct.h), by entries. Keys are counted as they are appended, in
 * `recent`; a compaction takes that count into `older`, so that it is lost
 * neither when the compaction fails nor while it runs. What a former process
 * appended is read once, when its number alone would make a compaction due.
 *
 * The thread sleeps between its steps so that it uses no more than its shares
 * of disk and processor; it ends in the middle when it is stopped, and sleeps
 * no more while a call of the API waits for it to end. */
#include "persist/compact.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

enum {
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    LOOK_MS = 200,
    SLEEP_MS = 1000,  /* while stopped */
    FAILED_MS = 5000, /* after what will hardly be better the next time */
    CHECK_BYTES = 16 * 1024, /* some 0.1 ms of work */
    NAP_NS_MAX = 100 * NS_PER_MS,
    TRIES = 5,
    TRY_NS = 20 * NS_PER_MS
};

static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool is_running(const struct wal_private *w)
{
    return service_is_set(&w->shown->compact_running);
}

/* ---- pace -----------------------------------------------------------------*/

void pace_start(struct pace *p, struct wal_private *w, bool limited)
{
    memset(p, 0, sizeof *p);
    p->w = w;
    p->limited = limited;
    p->start_ns = wal_now_ns(w);
    p->cpu_start_ns = cpu_ns();
}

/* When what was spent so far is within both shares. */
static uint64_t allowed_at(const struct pace *p)
{
    uint64_t rate = wal_option_get(p->w, WAL_OPTION_COMPACT_RATE);
    uint64_t percent = wal_option_get(p->w, WAL_OPTION_COMPACT_CPU_PERCENT);
    uint64_t cpu = (cpu_ns() - p->cpu_start_ns) / percent * 100;
    uint64_t io = 0;

    if (rate > 0) {
        io = (uint64_t)((double)p->bytes * NS_PER_S / (double)rate);
    }
    return p->start_ns + (cpu > io ? cpu : io);
}

/* gather_lock is held. */
static bool is_stopped(const struct wal_private *w)
{
    return w->stop || !is_running(w);
}

static bool is_in_hurry(const struct wal_private *w)
{
    return __atomic_load_n(&w->n_in_hurry, __ATOMIC_RELAXED) > 0;
}

void compact_enter(struct wal_private *w)
{
    __atomic_add_fetch(&w->n_in_hurry, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&w->gather_lock);
    pthread_cond_broadcast(&w->compact_wake);
    pthread_mutex_unlock(&w->gather_lock);
    pthread_mutex_lock(&w->compact_lock);
    __atomic_sub_fetch(&w->n_in_hurry, 1, __ATOMIC_RELAXED);
}

static bool stop_wanted(struct wal_private *w)
{
    bool stopped;

    pthread_mutex_lock(&w->gather_lock);
    stopped = is_stopped(w);
    pthread_mutex_unlock(&w->gather_lock);
    return stopped;
}

int pace_spend(void *pace, uint64_t bytes)
{
    struct pace *p = pace;
    struct wal_private *w = p->w;
    uint64_t until;
    bool stopped;

    p->bytes += bytes;
    p->unchecked += bytes;
    if (!p->limited || p->unchecked < CHECK_BYTES) {
        return 0;
    }
    p->unchecked = 0;
    until = allowed_at(p);
    pthread_mutex_lock(&w->gather_lock);
    stopped = is_stopped(w);
    while (!stopped && !is_in_hurry(w) && wal_now_ns(w) < until) {
        uint64_t nap = wal_now_ns(w) + NAP_NS_MAX;
        service_wait_until(&w->compact_wake, &w->gather_lock,
                           nap < until ? nap : until);
        stopped = is_stopped(w);
    }
    pthread_mutex_unlock(&w->gather_lock);
    return stopped ? ERR_STOPPED : 0;
}

/* ---- the estimate ---------------------------------------------------------*/

/* What the estimate is made from, copied: appends do not wait while it is
 * made. */
struct counted {
    uint64_t n_entries;
    struct distinct older;
    struct distinct recent;
};

/* gather_lock is held. */
static void copy_counted(const struct wal_private *w, struct counted *out)
{
    out->n_entries =
        w->last_seq > w->covered_seq ? w->last_seq - w->covered_seq : 0;
    out->older = w->older;
    out->recent = w->recent;
}

static double superseded(struct counted *c)
{
    double share;

    distinct_merge(&c->older, &c->recent);
    share = c->n_entries == 0
                ? 0
                : 1 - distinct_count(&c->older) / (double)c->n_entries;
    return share < 0 ? 0 : share;
}

double compact_superseded(struct wal_private *w)
{
    struct counted counted;

    pthread_mutex_lock(&w->gather_lock);
    copy_counted(w, &counted);
    pthread_mutex_unlock(&w->gather_lock);
    return superseded(&counted);
}

uint64_t compact_cut(struct wal_private *w)
{
    uint64_t last;

    pthread_mutex_lock(&w->gather_lock);
    last = w->last_seq;
    distinct_merge(&w->older, &w->recent);
    distinct_clear(&w->recent);
    w->recent_since_ns = wal_now_ns(w);
    pthread_mutex_unlock(&w->gather_lock);
    return last;
}

struct count {
    struct distinct keys;
    struct pace *pace;
};

static int on_old_entry(void *ctx, uint64_t seq, const struct entry *e)
{
    struct count *c = ctx;

    (void)seq;
    if (e->kind != ENTRY_MARK) {
        distinct_add(&c->keys, e->key);
    }
    return pace_spend(c->pace, e->key.size + e->value.size);
}

int compact_count_old(struct wal_private *w, struct pace *pace,
                      struct err_info *info)
{
    struct count c;
    uint64_t first = wal_chain_to(w) + 1;
    int rv = 0;

    distinct_clear(&c.keys);
    c.pace = pace;
    if (first <= w->opened_seq) {
        rv = log_read(w, first, w->opened_seq, on_old_entry, &c, info);
    }
    if (rv == 0) {
        pthread_mutex_lock(&w->gather_lock);
        distinct_merge(&w->older, &c.keys);
        w->is_old_counted = true;
        pthread_mutex_unlock(&w->gather_lock);
    }
    return rv;
}

/* ---- due or not -----------------------------------------------------------*/

enum verdict { NOT_DUE, COUNT_FIRST, DUE };

static bool bytes_demand(struct wal_private *w)
{
    uint64_t limit = wal_option_get(w, WAL_OPTION_COMPACT_LOG_BYTES);

    return limit > 0 && wal_log_bytes(w) >= limit;
}

/* gather_lock is held. */
static bool age_demands(const struct wal_private *w)
{
    uint64_t age = wal_option_get(w, WAL_OPTION_COMPACT_AGE_S);

    return age > 0 && wal_now_ns(w) - w->uncovered_since_ns >= age * NS_PER_S;
}

static enum verdict judge(struct wal_private *w)
{
    double ratio = (double)wal_option_get(w, WAL_OPTION_COMPACT_RATIO) / 100;
    enum verdict verdict = NOT_DUE;
    bool ask_ratio = false;
    struct counted counted;

    pthread_mutex_lock(&w->gather_lock);
    copy_counted(w, &counted);
    if (counted.n_entries > 0 && (w->no_space || age_demands(w))) {
        verdict = DUE;
    } else if (counted.n_entries >=
               wal_option_get(w, WAL_OPTION_COMPACT_THRESHOLD)) {
        ask_ratio = w->is_old_counted;
        verdict = ask_ratio ? NOT_DUE : COUNT_FIRST;
    }
    pthread_mutex_unlock(&w->gather_lock);
    if (ask_ratio && superseded(&counted) >= ratio) {
        verdict = DUE;
    }
    return verdict == NOT_DUE && counted.n_entries > 0 && bytes_demand(w)
               ? DUE
               : verdict;
}

bool compact_is_due(struct wal_private *w)
{
    return judge(w) == DUE;
}

/* ---- doing it -------------------------------------------------------------*/

/* What the compaction that ends took less than what it read. A merge writes
 * again what is no entry, so it can take more. */
static uint64_t gain_of(const struct wal_private *w)
{
    return w->compacting_in > w->compacting_out
               ? w->compacting_in - w->compacting_out
               : 0;
}

void compact_covered(struct wal_private *w, int rv, uint64_t started_ns)
{
    pthread_mutex_lock(&w->gather_lock);
    w->covered_seq = wal_chain_to(w);
    w->chain_bytes = compact_chain_bytes(&w->chain, 0);
    if (rv == 0) {
        distinct_clear(&w->older);
        w->is_old_counted = true;
        w->uncovered_since_ns = w->recent_since_ns;
        w->counters.n_compactions++;
        histogram_record(&w->counters.compact_ns, wal_now_ns(w) - started_ns);
        histogram_record(&w->counters.compact_size, w->compacting_out);
        histogram_record(&w->counters.compact_gain, gain_of(w));
    } else if (rv != ERR_STOPPED) {
        w->counters.n_compact_failures++;
    }
    w->compacting_in = 0;
    w->compacting_out = 0;
    pthread_mutex_unlock(&w->gather_lock);
}

int compact_now(struct wal_private *w, bool limited, struct err_info *info)
{
    uint64_t started = wal_now_ns(w);
    struct pace pace;
    uint64_t to;
    int rv;

    pthread_mutex_lock(&w->compact_lock);
    info->message[0] = '\0';
    to = compact_cut(w);
    rv = limited && stop_wanted(w) ? ERR_STOPPED : commit_force(w, info);
    if (rv == ERR_NOSPACE) {
        rv = 0; /* what is durable can make room for the rest */
    }
    if (rv == 0) {
        uint64_t durable = __atomic_load_n(&w->durable_seq, __ATOMIC_ACQUIRE);
        pace_start(&pace, w, limited);
        rv = compact_range(w, to < durable ? to : durable, &pace, info);
    }
    compact_covered(w, rv, started);
    pthread_mutex_unlock(&w->compact_lock);
    if (rv != 0 && info->message[0] == '\0') {
        (void)err_set(info, rv, "cannot compact %s: %s", w->dir, err_text(rv));
    }
    return rv;
}

/* A full disk is tried more than once: the log, too, tries to get a file, and
 * takes all space for a moment. */
static int compact_tries(struct wal_private *w, struct err_info *info)
{
    int rv = compact_now(w, true, info);

    for (int i = 0; i < TRIES && rv == ERR_NOSPACE; i++) {
        pthread_mutex_lock(&w->gather_lock);
        if (!w->stop) {
            service_wait_until(&w->compact_wake, &w->gather_lock,
                               wal_now_ns(w) + TRY_NS);
        }
        pthread_mutex_unlock(&w->gather_lock);
        rv = compact_now(w, true, info);
    }
    return rv;
}

static int look(struct wal_private *w)
{
    struct err_info info;
    enum verdict verdict = judge(w);
    int rv = 0;

    if (verdict == COUNT_FIRST) {
        struct pace pace;

        pthread_mutex_lock(&w->compact_lock);
        pace_start(&pace, w, true);
        rv = compact_count_old(w, &pace, &info);
        pthread_mutex_unlock(&w->compact_lock);
        verdict = rv == 0 ? judge(w) : NOT_DUE;
    }
    if (verdict == DUE) {
        rv = compact_tries(w, &info);
    }
    /* What the options retain becomes old by time alone. */
    pthread_mutex_lock(&w->compact_lock);
    compact_release(w);
    pthread_mutex_unlock(&w->compact_lock);
    return rv;
}

/* When to look again. */
static uint64_t pause_ms(const struct wal_private *w, int rv, bool compacted)
{
    if (compacted) {
        return wal_option_get(w, WAL_OPTION_COMPACT_PAUSE_MS);
    }
    return rv == 0 || rv == ERR_STOPPED || rv == ERR_NOSPACE ? LOOK_MS
                                                             : FAILED_MS;
}

static void *auto_main(void *arg)
{
    struct wal_private *w = arg;
    uint64_t next_ns = 0;

    pthread_mutex_lock(&w->gather_lock);
    while (!w->stop) {
        uint64_t now = wal_now_ns(w);
        if (is_running(w) && now >= next_ns && commit_failure(w, NULL) == 0) {
            uint64_t n = w->counters.n_compactions;
            int rv;
            pthread_mutex_unlock(&w->gather_lock);
            rv = look(w);
            pthread_mutex_lock(&w->gather_lock);
            next_ns =
                wal_now_ns(w) +
                pause_ms(w, rv, n != w->counters.n_compactions) * NS_PER_MS;
            continue;
        }
        service_wait_until(&w->compact_wake, &w->gather_lock,
                           is_running(w) && next_ns > now
                               ? next_ns
                               : now + (uint64_t)SLEEP_MS * NS_PER_MS);
    }
    pthread_mutex_unlock(&w->gather_lock);
    return NULL;
}

int compact_auto_start(struct wal_private *w, struct err_info *info)
{
    int rv = 0;

    compact_enter(w);
    compact_space_keep(w);
    if (!w->has_compact_thread && w->environment.threads) {
        rv = service_thread(&w->compact_thread, auto_main, w, info);
        w->has_compact_thread = rv == 0;
    }
    pthread_mutex_unlock(&w->compact_lock);
    pthread_mutex_lock(&w->gather_lock);
    if (rv == 0) {
        __atomic_store_n(&w->shown->compact_running, 1, __ATOMIC_RELAXED);
    }
    pthread_cond_broadcast(&w->compact_wake);
    pthread_mutex_unlock(&w->gather_lock);
    return rv;
}

void compact_auto_stop(struct wal_private *w)
{
    pthread_mutex_lock(&w->gather_lock);
    w->stop = true;
    pthread_cond_broadcast(&w->compact_wake);
    pthread_mutex_unlock(&w->gather_lock);
    if (w->has_compact_thread) {
        pthread_join(w->compact_thread, NULL);
        w->has_compact_thread = false;
    }
}
