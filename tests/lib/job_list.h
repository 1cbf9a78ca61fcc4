/* Jobs that a log or a replica has given to the pool of its owner (the work
 * callback of raftlog_io and replica_io). A test has no pool: they wait here
 * until it runs them, whole or in halves, in the order it likes. */
#ifndef TESTS_LIB_JOB_LIST_H
#define TESTS_LIB_JOB_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { JOB_LIST_MAX = 128 }; /* more than a log keeps reads waiting */

struct held_job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

/* Zeroed, it is empty. */
struct job_list {
    struct held_job jobs[JOB_LIST_MAX]; /* oldest first */
    size_t n;
};

/* False: there are too many. */
static inline bool job_list_add(struct job_list *l, void (*work)(void *arg),
                                void (*done)(void *arg), void *arg)
{
    struct held_job job = {work, done, arg};
    if (l->n == JOB_LIST_MAX) {
        return false;
    }
    l->jobs[l->n++] = job;
    return true;
}

/* Take out the i-th of those that wait; it is the caller's to run. */
static inline struct held_job job_list_take(struct job_list *l, size_t i)
{
    struct held_job job = l->jobs[i];
    l->n--;
    memmove(l->jobs + i, l->jobs + i + 1, (l->n - i) * sizeof *l->jobs);
    return job;
}

/* Run the i-th of those that wait; what it adds waits at the end. */
static inline void job_list_run(struct job_list *l, size_t i)
{
    struct held_job job = job_list_take(l, i);
    job.work(job.arg);
    job.done(job.arg);
}

/* Oldest first, also what they add, until none waits. */
static inline void job_list_run_all(struct job_list *l)
{
    while (l->n > 0) {
        job_list_run(l, 0);
    }
}

#endif
