/* ConcordKV's persistence engine for a program of its own, without Raft: a
 * write-ahead log of key/value operations with group commit, incremental sync
 * and key-level compaction, and chained LZ4 snapshots of whatever the program
 * writes into a stream.
 *
 * Calling sequence:
 *   wal_init              open a directory, recover
 *   wal_recover           replay what it holds into the program's own store
 *   wal_append ...        from any thread
 *   wal_destroy           stop the threads, sync, close
 *
 * Return values: 0, or -1 with errno set and words for a person in
 * persist_errmsg(). NULL where a pointer is needed is -1 with EINVAL. After a
 * failed write or sync of the log (EIO) a handle refuses everything: what was
 * acknowledged is on disk, destroy it and open the directory again.
 *
 * Strings are NUL-terminated, keys at most 65,536 bytes, values at most 128
 * MiB (EMSGSIZE). The library copies what it is given; what a callback returns
 * with malloc the library frees.
 *
 * Threads: the functions of one handle may be called from any thread at the
 * same time, except init and destroy. A callback must not call functions of the
 * handle that called it.
 *
 * Formats, durability by policy, what each call costs: persist/README.md. A
 * guide with examples: docs/EMBEDDING.md. */
#ifndef KV_PERSIST_H
#define KV_PERSIST_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Operations. MOD stores a value as SET does and is handed back as MOD. */
#define WAL_OP_SET 1
#define WAL_OP_DEL 2
#define WAL_OP_MOD 3

/* Defaults; each can be changed at run time, see wal_set_option. */
#define WAL_COMPACT_THRESHOLD 1000           /* entries */
#define WAL_COMPACT_RATIO 0.3                /* superseded share */
#define WAL_MAX_FILE_SIZE (64 * 1024 * 1024) /* bytes of a segment file */
#define INCREMENTAL_SYNC_INTERVAL 5          /* seconds */
#define INCREMENTAL_BATCH_SIZE 100           /* entries */

/* Words for the last failure of this thread; never NULL, valid until the next
 * failure in it. */
const char *persist_errmsg(void);
/* "0.1.0" */
const char *persist_version(void);

/* ---- the log ------------------------------------------------------------- */

struct wal_private;

typedef struct {
    /* 1 while the automatic thread works; a caller may store 0 to stop it.
     * It stops before its next step and starts again with the function that
     * starts it. */
    int compact_running;     /* wal_start_compaction */
    int incremental_running; /* wal_start_incremental_sync, wal_init */
    struct wal_private *wal_private;
} wal_t;

/* Create the last component of dir if it is missing (its parent must exist),
 * lock it against other processes, recover. sync_write != 0: policy
 * WAL_SYNC_ALWAYS, each append is durable when it returns. 0: policy
 * WAL_SYNC_BATCH, and the background sync is started.
 * errno: ENOENT no parent; EBUSY in use; ENOSPC; EBADMSG damaged, the message
 * says which file and where, and nothing was changed; ENOTSUP newer format;
 * EINVAL not a directory of this library; ENOMEM; EIO; EACCES. */
int wal_init(wal_t *wal, const char *dir, int sync_write);

/* Stop the threads, write and sync what was appended, close. Who has to know
 * whether that went well calls wal_force_sync before. NULL and a handle whose
 * init failed are allowed. */
void wal_destroy(wal_t *wal);

/* Add one operation. value: needed for SET and MOD, ignored for DEL.
 * errno: EINVAL, EMSGSIZE, ENOSPC (nothing was appended; later calls succeed
 * again when there is room), EIO, ENOMEM. */
int wal_append(wal_t *wal, uint8_t op, const char *key, const char *value);

/* Replay everything appended so far, in order: first the base (each key once,
 * as WAL_OP_SET, by key), then the entries behind it. value is NULL for DEL.
 * Key and value are borrowed during the call. A non-zero return of apply stops
 * with ECANCELED. errno: EBADMSG, EIO, ENOMEM, ECANCELED, ENOSPC (some of it is
 * in memory only). */
int wal_recover(wal_t *wal, void *engine,
                int (*apply)(void *engine, uint8_t op, const char *key,
                             const char *value));

/* Everything appended so far is durable on return. */
int wal_force_sync(wal_t *wal);

/* Sequence numbers count the appended operations from 1, also across restarts.
 * The last one given out, and the last one that is durable. 0: none. */
uint64_t wal_last_seq(wal_t *wal);
uint64_t wal_durable_seq(wal_t *wal);

/* ---- incremental sync ---- */

enum wal_sync_policy {
    WAL_SYNC_ALWAYS = 1, /* durable on return */
    WAL_SYNC_BATCH = 2,  /* after a batch or the interval, whichever first */
    WAL_SYNC_INTERVAL = 3
};

/* Start the background sync, which keeps the interval (engine is not used and
 * may be NULL). Sync now if a batch has gathered. */
int wal_start_incremental_sync(wal_t *wal, void *engine);
int wal_incremental_sync(wal_t *wal, void *engine);

/* ---- compaction ---- */

/* Compact in the background from now on: when WAL_COMPACT_THRESHOLD entries
 * have gathered and WAL_COMPACT_RATIO of them are estimated to be superseded,
 * or when the log's bytes or age demand it. The log itself says which state of
 * a key is the last, so the callback is not called; it must not be NULL. */
int wal_start_compaction(wal_t *wal, void *engine,
                         int (*get_all_keys)(void *engine, char ***keys,
                                             int *count));
/* Compact now: the keys and values that the callbacks return become the base,
 * and the entries appended before this call go. The callbacks must see every
 * operation whose wal_append has returned when they are called: a program with
 * threads holds one lock around wal_append and the change of its own, and takes
 * it in the callbacks. Keys, the array and values are
 * malloc'd and freed by the library. get_value: 0 with a value, 0 with *value
 * NULL when the key is gone by now, else the compaction ends with ECANCELED and
 * nothing has changed. errno: ECANCELED, ENOSPC, EIO, ENOMEM, EMSGSIZE. */
int wal_compact_logs(wal_t *wal, void *engine,
                     int (*get_all_keys)(void *engine, char ***keys,
                                         int *count),
                     int (*get_value)(void *engine, const char *key,
                                      char **value));
/* Drop segment files all of whose entries are below before_seq and covered by
 * a base. What recovery needs always stays. */
void wal_cleanup_old_logs(wal_t *wal, uint64_t before_seq);

/* One segment file of the log. */
typedef struct {
    char name[64];
    uint64_t first_seq; /* first_seq > last_seq: no entry */
    uint64_t last_seq;
    uint64_t file_bytes;
    uint64_t used_bytes;
    int sealed; /* 0: appends go here */
} wal_file_info_t;
/* Fill at most max of files, oldest first; *count is how many there are. */
int wal_list_files(wal_t *wal, wal_file_info_t *files, size_t max,
                   size_t *count);

/* ---- options ---- */

enum wal_option {
    WAL_OPTION_SYNC_POLICY = 1,     /* enum wal_sync_policy */
    WAL_OPTION_BATCH_SIZE,          /* entries, INCREMENTAL_BATCH_SIZE */
    WAL_OPTION_SYNC_INTERVAL_MS,    /* INCREMENTAL_SYNC_INTERVAL * 1000 */
    WAL_OPTION_UNSYNCED_MAX,        /* entries that may wait to become durable
                                       before append waits too; 0: no limit */
    WAL_OPTION_PENDING_BYTES_MAX,   /* memory for them, 16 MiB; append waits */
    WAL_OPTION_FILE_SIZE,           /* WAL_MAX_FILE_SIZE; only before init */
    WAL_OPTION_COMPACT_THRESHOLD,   /* entries */
    WAL_OPTION_COMPACT_RATIO,       /* percent, 30 */
    WAL_OPTION_COMPACT_LOG_BYTES,   /* compact from so many, 512 MiB; 0: no */
    WAL_OPTION_COMPACT_AGE_S,       /* or when the oldest entry is so old; 0 */
    WAL_OPTION_COMPACT_PAUSE_MS,    /* between two automatic ones, 1000 */
    WAL_OPTION_COMPACT_RATE,        /* bytes/s read and written, 32 MiB; 0: no
                                       limit; a call by hand has none */
    WAL_OPTION_COMPACT_CPU_PERCENT, /* of one core, 25 */
    WAL_OPTION_COMPACT_MEMORY,      /* bytes for sorting, 16 MiB */
    WAL_OPTION_RETAIN_BYTES,        /* keep so many bytes of files that a base
                                       covers, 0 */
    WAL_OPTION_RETAIN_SECONDS       /* and those that were appended to in the
                                       last so many, 0; a full disk takes what
                                       both keep. For files of a process
                                       before, set it before init */
};
/* wal NULL: the default of handles that are opened later by this process.
 * errno: EINVAL unknown option or value. */
int wal_set_option(wal_t *wal, enum wal_option option, uint64_t value);
int wal_get_option(wal_t *wal, enum wal_option option, uint64_t *value);

/* ---- snapshots ----------------------------------------------------------- */

struct snapshot_private;

typedef struct {
    struct snapshot_private *snapshot_private;
} snapshot_t;

/* Create the last component of dir if it is missing; files that an interrupted
 * call left behind are removed by the next one that writes. */
int snapshot_init(snapshot_t *snap, const char *dir);
void snapshot_destroy(snapshot_t *snap);

/* The callback writes the whole state into the stream, which it must not close;
 * when it returns 0 the file is read back and becomes the new base, in one
 * step, and replaces base and increments before it. Any failure leaves what was
 * there. errno: ECANCELED the callback failed; ENOSPC; EIO; EBUSY another
 * process is at work in the directory; EBADMSG; ENOMEM. */
int snapshot_create(snapshot_t *snap, void *engine,
                    int (*save)(void *engine, FILE *stream));
/* As above, and says which sequence the state stands at: the first increment
 * must begin there. */
int snapshot_create_at(snapshot_t *snap, void *engine, uint64_t seq,
                       int (*save)(void *engine, FILE *stream));
/* The callback reads the base from the stream. The whole chain is verified
 * first, so no damaged byte reaches it. errno: ENOENT there is no base. */
int snapshot_load(snapshot_t *snap, void *engine,
                  int (*load)(void *engine, FILE *stream));

/* Add what changed in (from, to], from < to, behind base and increments. At
 * most 63 increments follow a base (EMSGSIZE: create a base). */
int snapshot_create_incremental(snapshot_t *snap, void *engine, uint64_t from,
                                uint64_t to,
                                int (*save)(void *engine, FILE *stream,
                                            uint64_t from, uint64_t to));
/* Call apply for each increment in order, a stream each: all of them, or after
 * snapshot_load and earlier calls with this handle those not yet applied.
 * Nothing is applied when one of them does not begin where the one before ends
 * (ERANGE), when the first does not begin at the sequence of its base (ERANGE),
 * when they belong to another base, or when a file is damaged (EBADMSG). */
int snapshot_apply_incremental(snapshot_t *snap, void *engine,
                               int (*apply)(void *engine, FILE *stream));

/* ---- both together, and statistics --------------------------------------- */

/* Microseconds. */
typedef struct {
    uint64_t count;
    double mean;
    double p50;
    double p99;
    double p999;
    double max;
} persist_latency_t;

typedef struct {
    uint64_t write_ops;   /* appends that succeeded */
    uint64_t sync_ops;    /* durable writes of the log */
    uint64_t compact_ops; /* compactions that succeeded */

    double avg_write_latency; /* microseconds; see write */
    double p99_write_latency;
    double avg_sync_latency;
    double p99_sync_latency;
    double write_throughput; /* appends per second since init or reset */

    uint64_t total_log_size;      /* bytes of entries no base covers */
    uint64_t compressed_log_size; /* bytes of base and deltas */
    uint64_t disk_bytes; /* all segment files, also prepared ones, and base */

    /* Appends that need not wait are measured one in sixteen. */
    persist_latency_t write;
    persist_latency_t sync;          /* one durable write */
    persist_latency_t batch_entries; /* entries of one, not microseconds */
    persist_latency_t compaction;
    uint64_t write_bytes; /* keys and values */
    uint64_t stalls;      /* appends that waited for memory or UNSYNCED_MAX */
    double stall_ms;      /* together */
    uint64_t compact_in;  /* bytes of entries read by compactions */
    uint64_t compact_out; /* bytes of files written by them */
    uint64_t compact_failures;
    uint64_t pending_entries; /* appended, not durable */
    uint64_t pending_bytes;
    uint64_t last_seq;
    uint64_t durable_seq;
    uint64_t compact_seq; /* the base covers entries through it */
    double superseded;    /* estimated share of the entries behind it, 0..1 */
    int no_space;         /* 1: the disk is full, appends are refused */

    /* Later fields come at the end, so that those above stay where they are. */
    persist_latency_t stall; /* each append that waited */
    persist_latency_t
        compact_size; /* bytes of files of one, not microseconds */
    persist_latency_t compact_gain; /* bytes that one saved */
    uint64_t space_saved;           /* by all: read less written, of each */
} persist_stats_t;

int wal_get_stats(wal_t *wal, persist_stats_t *out);
void wal_reset_stats(wal_t *wal);

typedef struct {
    wal_t wal;       /* in data_dir itself */
    snapshot_t snap; /* in data_dir/streams */
} persist_state_t;

/* Both of one data directory; as wal_init. */
int persist_init(persist_state_t *state, const char *data_dir, int sync_write);
void persist_destroy(persist_state_t *state);
int persist_get_stats(persist_state_t *state, persist_stats_t *out);
void persist_reset_stats(persist_state_t *state);

#ifdef __cplusplus
}
#endif

#endif
