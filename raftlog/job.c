/* Jobs on the owner's threads; see job.h. */
#include "raftlog/job.h"

#include "raftlog/internal.h"

enum { JOB_QUEUED, JOB_RUNNING, JOB_FINISHED, JOB_CANCELLED };
enum { SETTLE_POLL_MS = 5 };

/* Exactly one caller may run a job: the pool's thread or job_settle. */
static bool claim(struct job *job, unsigned state)
{
    unsigned expected = JOB_QUEUED;
    return __atomic_compare_exchange_n(&job->state, &expected, state, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void run(struct job *job)
{
    job->run(job);
    __atomic_store_n(&job->state, JOB_FINISHED, __ATOMIC_RELEASE);
}

static void on_work(void *arg)
{
    struct job *job = arg;
    if (claim(job, JOB_RUNNING)) {
        run(job);
    }
}

static void unlink_job(struct job *job)
{
    struct job **at = &job->log->jobs;
    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
}

static void on_done(void *arg)
{
    struct job *job = arg;
    struct raftlog *log = job->log;
    if (log == NULL) {
        job->destroy(job);
        return;
    }
    unlink_job(job);
    job->finish(job);
    job->destroy(job);
    commit_pump(log);
    raftlog_internal_progress(log);
}

void job_start(struct raftlog *log, struct job *job)
{
    job->log = log;
    job->state = JOB_QUEUED;
    job->next = log->jobs;
    log->jobs = job;
    log->io.work(log->io.ctx, on_work, on_done, job);
}

void job_settle_all(struct raftlog *log)
{
    while (log->jobs != NULL) {
        struct job *job = log->jobs;
        if (claim(job, JOB_RUNNING)) {
            run(job);
        }
        while (__atomic_load_n(&job->state, __ATOMIC_ACQUIRE) != JOB_FINISHED) {
            (void)file_queue_wait(log->queue, SETTLE_POLL_MS);
        }
        unlink_job(job);
        job->finish(job);
        job->log = NULL; /* destroyed when done() comes */
    }
}

void job_abandon_all(struct raftlog *log)
{
    while (log->jobs != NULL) {
        struct job *job = log->jobs;
        log->jobs = job->next;
        (void)claim(job, JOB_CANCELLED);
        job->log = NULL;
    }
}
