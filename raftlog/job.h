/* Work that may block, handed to raftlog_io.work.
 *
 * A job owns all that its run function touches, so that it needs no lock. Its
 * end is decided on the loop thread: normally done() arrives and the job is
 * finished; raftlog_close takes jobs that no thread has begun and runs them
 * itself (job_settle); raftlog_abandon lets go of them. Whatever happens, the
 * memory lives until io.work has called done. */
#ifndef RAFTLOG_JOB_H
#define RAFTLOG_JOB_H

#include <stdbool.h>

struct raftlog;

struct job {
    struct raftlog *log;          /* NULL: abandoned or settled. Loop thread. */
    struct job *next;             /* in log->jobs. Loop thread. */
    unsigned state;               /* atomic, enum in job.c */
    void (*run)(struct job *job); /* any thread */
    void (*finish)(struct job *job);  /* loop thread, job->log is set */
    void (*destroy)(struct job *job); /* loop thread: free, also the job */
};

/* Hand the job to the owner's threads; it is taken. */
void job_start(struct raftlog *log, struct job *job);
/* Bring every job of the log to its end now, waiting for those that run. */
void job_settle_all(struct raftlog *log);
/* Let go of all: what has not begun never runs. */
void job_abandon_all(struct raftlog *log);

#endif
