/* The inside of an open log directory (struct wal_private), shared by the
 * files of this folder and by its tests.
 *
 *   commit.c    from append to durable: group commit, back-pressure
 *   slice.c     what one leader writes: room for it, and its durable writes
 *   service.c   threads: the log's jobs; time: sync interval, ticks
 *   open.c      from a directory to struct wal_private, and back
 *   log_read.c  entries from the log, in pieces; recover.c replays them
 *   compact.c   when and what is compacted; run.c and merge.c how
 *   wal.c       the API: arguments, errno, words
 *
 * Locks, taken in this order:
 *   compact_lock  the chain of base and deltas; held during a compaction and a
 *                 replay, so that no file goes while it is read; by an API call
 *                 through compact_enter
 *   gather_lock   what waits to become durable, who writes it, statistics
 *   log_lock      struct raftlog: each of its functions is called under it
 *   jobs_lock     the list of the log's jobs */
#ifndef PERSIST_INTERNAL_H
#define PERSIST_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "persist/directory.h"
#include "persist/distinct.h"
#include "persist/gather.h"
#include "persist/kv_persist.h"
#include "raftlog/err.h"
#include "raftlog/file.h"
#include "raftlog/histogram.h"
#include "raftlog/raftlog.h"
#include "snapshot/snapshot.h"

enum {
    WAL_OPTION_END = WAL_OPTION_RETAIN_SECONDS + 1,
    WAL_KEY_MAX = SNAPSHOT_KEY_MAX,
    WAL_VALUE_MAX = SNAPSHOT_VALUE_MAX,
    WAL_PATH_MAX = DIRECTORY_PATH_MAX,
    /* One durable write takes so many entries and bytes at most. */
    WAL_SLICE_ENTRIES = 16 * 1024,
    WAL_SLICE_BYTES = 4 * 1024 * 1024,
    /* The log has RAFTLOG_READS_MAX reads and one each of prepare, rotate and
     * release under way at most; done() of those settled comes late. */
    WAL_JOBS_MAX = 256,
    /* Waiting appends are all measured, others one in so many. */
    WAL_SAMPLE = 16
};

struct wal_job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

/* What the process gives; tests give a simulation. */
struct wal_environment {
    bool threads; /* false: jobs run in the caller, nothing runs by itself */
    uint64_t (*now_ns)(void);
    uint64_t (*clock_ms)(void); /* wall clock; NULL: there is none */
};
extern const struct wal_environment wal_environment_default;

struct wal_counters {
    uint64_t since_ns;
    uint64_t n_appends;
    uint64_t n_syncs;
    uint64_t n_stalls;
    uint64_t stall_ns;
    uint64_t write_bytes;
    uint64_t n_compactions;
    uint64_t n_compact_failures;
    uint64_t compact_in;
    uint64_t compact_out;
    struct histogram write_ns;
    struct histogram sync_ns;
    struct histogram batch_entries;
    struct histogram compact_ns;
    struct histogram stall_each_ns;
    struct histogram compact_size;
    struct histogram compact_gain;
};

struct wal_private {
    wal_t *shown; /* its int fields: stored by the user, read atomically */
    struct wal_environment environment;
    char *dir;
    char *snapshot_dir;
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    struct file *lock;
    uint64_t options[WAL_OPTION_END]; /* atomic */

    /* ---- gather_lock ---- */
    pthread_mutex_t gather_lock;
    pthread_cond_t settled; /* a write has ended, or a failure came */
    pthread_cond_t due;     /* for the service thread */
    struct gather gather;
    bool leading;        /* somebody writes; only he takes out of gather */
    size_t n_arrived;    /* waiters that came during this write */
    size_t n_companions; /* who write at the same time, as last seen */
    uint64_t n_given;    /* tickets */
    uint64_t last_seq;
    uint64_t oldest_ns; /* when gather was last empty before an append */
    bool no_space;      /* appends ask for room first */
    bool stop;
    uint64_t retry_ns; /* not written by itself before, after no_space */
    /* Appends under way, by the generation in which they began, and the last
     * sequence of the older one: see commit_wait_returned. */
    unsigned generation;
    size_t n_inside[2];
    uint64_t cut_seq;
    /* For the estimate of superseded entries, see compact_auto.c. */
    uint64_t covered_seq; /* through which the chain covers */
    uint64_t chain_bytes;
    uint64_t opened_seq; /* the last one of former processes */
    bool is_old_counted;
    struct distinct older;
    struct distinct recent;
    uint64_t recent_since_ns;
    uint64_t uncovered_since_ns;
    pthread_cond_t compact_wake;
    struct wal_counters counters;
    /* Bytes of entries and files of the compaction under way. */
    uint64_t compacting_in, compacting_out;

    /* ---- log_lock ---- */
    pthread_mutex_t log_lock;
    struct raftlog *log;
    struct err_info failure;
    struct raftlog_entry *slice; /* the leader's, WAL_SLICE_ENTRIES */
    unsigned n_jobs_open;        /* given by the log and not done */

    /* ---- atomic ---- */
    uint64_t durable_seq;
    int failed;          /* code of the failure, 0 */
    unsigned n_in_hurry; /* who wait for compact_lock, see compact_enter */

    /* ---- jobs_lock ---- */
    pthread_mutex_t jobs_lock;
    pthread_cond_t jobs_wake;
    struct wal_job jobs[WAL_JOBS_MAX];
    size_t jobs_head, n_jobs;
    bool jobs_stop;

    pthread_t job_thread;
    pthread_t service_thread;
    bool has_job_thread, has_service_thread;

    /* ---- compact_lock ---- */
    pthread_mutex_t compact_lock;
    struct snapshot_manifest chain;
    bool gave_reserve; /* it was there, see compact_space.c */
    pthread_t compact_thread;
    bool has_compact_thread;
};

static inline uint64_t wal_now_ns(const struct wal_private *w)
{
    return w->environment.now_ns();
}

/* ---- open.c ---- */
int wal_private_open(wal_t *shown, const char *dir, bool sync,
                     const struct wal_environment *environment,
                     struct wal_private **out, struct err_info *info);
/* Everything appended is written and synced if it can be. */
void wal_private_close(struct wal_private *w);
/* The sequence through which the chain covers; compact_lock is held. */
uint64_t wal_chain_to(const struct wal_private *w);

/* Bytes of the entries that no base covers, as they lie in frames. */
uint64_t wal_log_bytes(struct wal_private *w);

/* ---- option.c ---- */
uint64_t wal_option_get(const struct wal_private *w, enum wal_option option);
void wal_option_defaults(uint64_t options[WAL_OPTION_END]);

/* ---- commit.c ---- */
int commit_append(struct wal_private *w, const struct entry *e,
                  struct err_info *info);
/* Make durable what was given so far. */
int commit_force(struct wal_private *w, struct err_info *info);
/* The same if a batch has gathered. */
int commit_batch(struct wal_private *w, struct err_info *info);
/* gather_lock is held: write the oldest ones, tell who waits. Nobody leads.
 * 0, or why nothing could be written. */
int commit_lead(struct wal_private *w);
/* gather_lock is held: what the service thread has to write now, and when it
 * has to look again (UINT64_MAX: when told). */
bool commit_due(const struct wal_private *w, uint64_t now_ns, uint64_t *at_ns);
/* A log without entries gets a mark; one with some stays as it is. */
int commit_mark(struct wal_private *w, struct err_info *info);
/* Wait until every append that is under way now has returned. The last sequence
 * of those that had begun: no operation through it comes later. compact_lock is
 * held. */
uint64_t commit_wait_returned(struct wal_private *w);
/* The failure that stopped the log, as a code with words. */
int commit_failure(struct wal_private *w, struct err_info *info);

/* ---- slice.c ---- */
/* Hand the first n entries of w->slice to the log and wait until they are
 * durable; the leader, without a lock. *n_done: how many are, also when the
 * rest failed. *full: the disk has no room for another segment. Errors:
 * ERR_NOSPACE, ERR_NOMEM, then the rest was not given to the log; that of a
 * handle that has failed. */
int slice_write(struct wal_private *w, size_t n, size_t *n_done, bool *full);
/* log_lock is held: the same question. */
bool slice_is_full(const struct wal_private *w);

/* ---- compact_auto.c ---- */
/* Take compact_lock; a compaction that has it goes on without its limits. */
void compact_enter(struct wal_private *w);

/* ---- service.c ---- */
/* Whether a field of wal_t is set that the user may clear at any time. */
bool service_is_set(const int *field);
/* What struct raftlog asks of its owner. */
void service_io(struct wal_private *w, struct raftlog_io *io);
int service_start(struct wal_private *w, struct err_info *info);
/* A thread that gets no signals. */
int service_thread(pthread_t *thread, void *(*main)(void *),
                   struct wal_private *w, struct err_info *info);
/* Stop what writes by itself; the log's jobs go on. */
void service_stop(struct wal_private *w);
/* The log is closed: bring its jobs to their end. */
void service_stop_jobs(struct wal_private *w);
/* log_lock is held, and let go meanwhile: wait for what the log has under way,
 * at most timeout_ms, and take it in. */
void service_wait_log(struct wal_private *w, int timeout_ms);
/* log_lock is held: nothing is written any more; the first failure counts. */
void service_fail(struct wal_private *w, const struct err_info *info);
/* gather_lock is held, and let go meanwhile: time passes for the log. */
void service_tick(struct wal_private *w);
/* On this condition until then; CLOCK_MONOTONIC. */
void service_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock,
                        uint64_t at_ns);

/* ---- log_read.c ---- */
/* Visit the entries first..last in order; no lock is held. A non-zero return
 * stops and is returned. */
typedef int (*log_read_cb)(void *ctx, uint64_t seq, const struct entry *e);
int log_read(struct wal_private *w, uint64_t first, uint64_t last,
             log_read_cb cb, void *ctx, struct err_info *info);

/* ---- recover.c ---- */
typedef int (*recover_cb)(void *ctx, uint8_t op, const char *key,
                          const char *value);
int recover_replay(struct wal_private *w, recover_cb cb, void *ctx,
                   struct err_info *info);

#endif
