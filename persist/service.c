/* Threads and time of an open log.
 *
 * The job thread runs what the log must not do itself: filling files, switching
 * and releasing them, reading old entries. The service thread writes what
 * nobody waits for when it is due, and lets time pass for the log. In a test
 * without threads the jobs run in whoever waits for the log. */
#include "persist/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

enum {
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    TICK_MS = 100,
    IDLE_TICK_MS = 1000,
    IDLE_TICKS = 30
};

static uint64_t monotonic_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t wall_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

const struct wal_environment wal_environment_default = {true, monotonic_ns,
                                                        wall_ms};

void service_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                        uint64_t at_ns)
{
    struct timespec t;

    t.tv_sec = (time_t)(at_ns / NS_PER_S);
    t.tv_nsec = (long)(at_ns % NS_PER_S);
    (void)pthread_cond_timedwait(cond, lock, &t);
}

/* The API lets a program clear the field by a plain store, which no reader can
 * be in step with: an int that is either seen now or at the next look. */
__attribute__((noinline, no_sanitize("thread"))) bool
service_is_set(const int *field)
{
    return *(const volatile int *)field != 0;
}

/* ---- what the log asks of us ----------------------------------------------*/

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct wal_private *w = ctx;
    struct wal_job job = {work, done, arg};

    pthread_mutex_lock(&w->jobs_lock);
    assert(w->n_jobs < WAL_JOBS_MAX);
    w->jobs[(w->jobs_head + w->n_jobs) % WAL_JOBS_MAX] = job;
    w->n_jobs++;
    pthread_cond_signal(&w->jobs_wake);
    pthread_mutex_unlock(&w->jobs_lock);
    w->n_jobs_open++;
}

/* Whoever waits for the log looks again by himself. */
static void on_progress(void *ctx)
{
    (void)ctx;
}

void service_fail(struct wal_private *w, const struct err_info *info)
{
    if (w->failed == 0) {
        w->failure = *info;
        __atomic_store_n(&w->failed, info->code != 0 ? info->code : ERR_IO,
                         __ATOMIC_RELEASE);
    }
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    service_fail(ctx, info);
}

static uint64_t on_now_ms(void *ctx)
{
    return ((struct wal_private *)ctx)->environment.now_ns() / NS_PER_MS;
}

static uint64_t on_now_us(void *ctx)
{
    return ((struct wal_private *)ctx)->environment.now_ns() / 1000;
}

static uint64_t on_clock_ms(void *ctx)
{
    const struct wal_private *w = ctx;

    return w->environment.clock_ms != NULL ? w->environment.clock_ms() : 0;
}

void service_io(struct wal_private *w, struct raftlog_io *io)
{
    memset(io, 0, sizeof *io);
    io->ctx = w;
    io->work = on_work;
    io->progress = on_progress;
    io->fatal = on_fatal;
    io->now_ms = on_now_ms;
    io->now_us = on_now_us;
    io->clock_ms = on_clock_ms;
}

/* ---- jobs -----------------------------------------------------------------*/

static bool take_job(struct wal_private *w, struct wal_job *job)
{
    if (w->n_jobs == 0) {
        return false;
    }
    *job = w->jobs[w->jobs_head];
    w->jobs_head = (w->jobs_head + 1) % WAL_JOBS_MAX;
    w->n_jobs--;
    return true;
}

/* log_lock is held, or nobody else is left. */
static void end_job(struct wal_private *w, const struct wal_job *job)
{
    job->done(job->arg);
    w->n_jobs_open--;
}

static void *job_main(void *arg)
{
    struct wal_private *w = arg;
    struct wal_job job;

    pthread_mutex_lock(&w->jobs_lock);
    for (;;) {
        while (w->n_jobs == 0 && !w->jobs_stop) {
            pthread_cond_wait(&w->jobs_wake, &w->jobs_lock);
        }
        if (!take_job(w, &job)) {
            break;
        }
        pthread_mutex_unlock(&w->jobs_lock);
        job.work(job.arg);
        pthread_mutex_lock(&w->log_lock);
        end_job(w, &job);
        pthread_mutex_unlock(&w->log_lock);
        pthread_mutex_lock(&w->jobs_lock);
    }
    pthread_mutex_unlock(&w->jobs_lock);
    return NULL;
}

/* Without threads; log_lock is held. */
static bool run_job_here(struct wal_private *w)
{
    struct wal_job job;
    bool taken;

    pthread_mutex_lock(&w->jobs_lock);
    taken = take_job(w, &job);
    pthread_mutex_unlock(&w->jobs_lock);
    if (taken) {
        job.work(job.arg);
        end_job(w, &job);
    }
    return taken;
}

void service_wait_log(struct wal_private *w, int timeout_ms)
{
    struct raftlog_stats stats;
    bool ran = !w->environment.threads && run_job_here(w);

    raftlog_get_stats(w->log, &stats);
    if (stats.oldest_write_ms == 0 && timeout_ms > 1) {
        timeout_ms = 1; /* no write: a job's end does not wake us */
    }
    pthread_mutex_unlock(&w->log_lock);
    (void)raftlog_wait(w->log, ran ? 0 : timeout_ms);
    pthread_mutex_lock(&w->log_lock);
    raftlog_poll(w->log);
}

/* ---- time -----------------------------------------------------------------*/

/* gather_lock is held. Only the leader polls: another one could take in the
 * completion that he sleeps for. */
void service_tick(struct wal_private *w)
{
    w->leading = true;
    pthread_mutex_unlock(&w->gather_lock);
    pthread_mutex_lock(&w->log_lock);
    raftlog_poll(w->log);
    raftlog_tick(w->log);
    pthread_mutex_unlock(&w->log_lock);
    pthread_mutex_lock(&w->gather_lock);
    w->leading = false;
    pthread_cond_broadcast(&w->settled);
}

static void *service_main(void *arg)
{
    struct wal_private *w = arg;
    uint64_t tick_ns = 0;
    uint64_t n_given = 0;
    unsigned n_idle = 0;

    pthread_mutex_lock(&w->gather_lock);
    while (!w->stop) {
        uint64_t now = wal_now_ns(w);
        uint64_t at_ns;

        if (now >= tick_ns && !w->leading) {
            n_idle = n_given == w->n_given ? n_idle + 1 : 0;
            n_given = w->n_given;
            tick_ns = now + (uint64_t)NS_PER_MS *
                                (n_idle > IDLE_TICKS ? IDLE_TICK_MS : TICK_MS);
            service_tick(w);
            continue;
        }
        if (commit_due(w, now, &at_ns) && !w->leading) {
            (void)commit_lead(w);
            continue;
        }
        if (w->leading) {
            pthread_cond_wait(&w->settled, &w->gather_lock);
        } else {
            service_wait_until(&w->due, &w->gather_lock,
                               at_ns < tick_ns ? at_ns : tick_ns);
        }
    }
    pthread_mutex_unlock(&w->gather_lock);
    return NULL;
}

/* ---- start and stop -------------------------------------------------------*/

/* Signals are the program's business. */
int service_thread(pthread_t *thread, void *(*main)(void *),
                   struct wal_private *w, struct err_info *info)
{
    sigset_t all;
    sigset_t before;
    int rv;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(thread, NULL, main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rv == 0 ? 0
                   : err_set(info, ERR_NOMEM, "cannot start a thread: %s",
                             strerror(rv));
}

int service_start(struct wal_private *w, struct err_info *info)
{
    int rv = 0;

    if (!w->environment.threads) {
        return 0;
    }
    if (!w->has_job_thread) {
        rv = service_thread(&w->job_thread, job_main, w, info);
        w->has_job_thread = rv == 0;
    }
    if (rv == 0 && !w->has_service_thread) {
        rv = service_thread(&w->service_thread, service_main, w, info);
        w->has_service_thread = rv == 0;
    }
    return rv;
}

void service_stop(struct wal_private *w)
{
    pthread_mutex_lock(&w->gather_lock);
    w->stop = true;
    pthread_cond_broadcast(&w->due);
    pthread_cond_broadcast(&w->settled);
    pthread_mutex_unlock(&w->gather_lock);
    if (w->has_service_thread) {
        pthread_join(w->service_thread, NULL);
        w->has_service_thread = false;
    }
}

void service_stop_jobs(struct wal_private *w)
{
    struct wal_job job;

    if (w->has_job_thread) {
        pthread_mutex_lock(&w->jobs_lock);
        w->jobs_stop = true;
        pthread_cond_signal(&w->jobs_wake);
        pthread_mutex_unlock(&w->jobs_lock);
        pthread_join(w->job_thread, NULL);
        w->has_job_thread = false;
    }
    while (take_job(w, &job)) {
        job.work(job.arg);
        end_job(w, &job);
    }
}
