/* The segmented write-ahead log that is the Raft log store, with the hard
 * state (term and vote) beside it.
 *
 * Appending and waiting for durability are two things: raftlog_append takes
 * the entries and returns; the durable index moves later, in order, and
 * raftlog_io.progress tells. One durable write is in flight at a time;
 * whatever was handed over meanwhile goes into the next one as one frame
 * (group commit).
 *
 * Durable means: after a power cut. Under a weaker sync policy entries count as
 * persisted before they are durable: raftlog_persisted_index; see sync.c and
 * README.md, "Sync policies".
 *
 * Calling sequence:
 *   raftlog_open      blocking: recovers, see raftlog_report
 *   raftlog_scan      blocking: the entries, for the RAFT_START event
 *   raftlog_append, raftlog_set_hard_state, raftlog_release, raftlog_reset
 *   raftlog_poll      when raftlog_fd is readable (the simulator calls it)
 *   raftlog_tick      about every 100 ms
 *   raftlog_close
 *
 * Thread: all functions on the loop thread. Work that may block (preparing a
 * segment, reading old entries) goes through raftlog_io.work.
 *
 * Terms: an index is the position of an entry, counted from 1; ranges are
 * first..last, inclusive; first > last is empty. */
#ifndef RAFTLOG_RAFTLOG_H
#define RAFTLOG_RAFTLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"
#include "raftlog/histogram.h"

struct raftlog;

enum { RAFTLOG_CLUSTER_ID_SIZE = 16 };

enum raftlog_sync {
    RAFTLOG_SYNC_ALWAYS,  /* persisted is durable */
    RAFTLOG_SYNC_BATCH,   /* a sync after so many entries, or so much time */
    RAFTLOG_SYNC_INTERVAL /* after so much time */
};
const char *raftlog_sync_name(enum raftlog_sync policy);

struct raftlog_sync_policy {
    enum raftlog_sync policy;
    uint64_t batch_entries; /* 0: 100 */
    uint64_t interval_ms;   /* from the first entry on; 0: 5000 */
};

struct raftlog_options {
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    uint64_t node_id;
    uint64_t segment_bytes;      /* size of a segment file; 0: 64 MiB */
    uint64_t cache_bytes;        /* durable entries kept in memory; 0: 64 MiB */
    uint64_t batch_bytes_max;    /* payload bytes of one frame; 0: 8 MiB */
    unsigned n_prepared;         /* segments filled ahead; 0: 1 */
    unsigned n_pooled_max;       /* released segments kept for reuse; 0: 4 */
    const char *aio_filesystems; /* see file_queue_options; borrowed */
    struct raftlog_sync_policy sync;
    /* Entries of these kinds (1 << kind, kinds below 64) are durable before
     * they count, under any policy. */
    uint64_t sync_kinds;
};

/* What the log asks of its owner. ctx is handed back in each call. */
struct raftlog_io {
    void *ctx;
    /* Run work(arg) where blocking is allowed, then done(arg) on the loop.
     * Both are called exactly once, also during close. Jobs may run in
     * parallel. */
    void (*work)(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                 void *arg);
    /* Durable index, hard state, or room for appends may have changed. Never
     * called from inside another raftlog function except raftlog_poll and a
     * job's done. */
    void (*progress)(void *ctx);
    /* A write or sync failed, or damage was found in committed data: the
     * process must end. May return (the simulator): then the log does
     * nothing any more. */
    void (*fatal)(void *ctx, const struct err_info *info);
    /* Monotonic milliseconds. */
    uint64_t (*now_ms)(void *ctx);
    /* Monotonic microseconds, for the statistics. NULL: now_ms times 1000. */
    uint64_t (*now_us)(void *ctx);
    /* Wall clock in milliseconds: from one life of the log to the next, how old
     * its files are. NULL: not known, they are as old as this life. */
    uint64_t (*clock_ms)(void *ctx);
};

/* Payload of one entry; a bigger one is ERR_TOOBIG. */
enum { RAFTLOG_ENTRY_BYTES_MAX = 256 * 1024 * 1024 };

/* One entry. kind is the caller's; data lies inside block (block.h). */
struct raftlog_entry {
    uint64_t term;
    uint8_t kind;
    uint32_t size;
    const void *data;
    void *block;
};

/* What recovery found. */
struct raftlog_report {
    uint64_t first_index;  /* of the first entry kept; last + 1 when empty */
    uint64_t last_index;   /* 0 in an empty new log */
    uint64_t current_term; /* hard state; 0, 0 in a new directory */
    uint64_t voted_for;
    bool created;        /* the directory held no log */
    bool clean;          /* closed by raftlog_close in this boot or before */
    uint64_t torn_bytes; /* cut from the tail and kept aside */
    char torn_path[256]; /* where; empty when nothing was cut */
    unsigned n_segments;
    uint64_t n_frames;
    /* Entries that were acknowledged under a weaker policy may be missing: the
     * machine stopped before they were synced. Stays true at each open until
     * raftlog_remember. Whatever is missing was acknowledged in forgot_term or
     * before. */
    bool forgot;
    uint64_t forgot_term;
};

/* Open or create the log in data_dir (which exists): data_dir/log/,
 * data_dir/log/pool/ and data_dir/hardstate.{0,1}. *out is given. io is
 * copied; its ctx must outlive the log.
 * Errors: ERR_CORRUPT damage at or below what was durable (message names file,
 * offset, index, and what to do), a missing or extra segment, or both hard
 * state slots damaged; ERR_CLUSTER the log of another cluster or node;
 * ERR_VERSION; ERR_NOSPACE; ERR_INVALID options; ERR_IO; ERR_NOMEM. Nothing on
 * disk is changed when it fails with CORRUPT, CLUSTER or VERSION. */
int raftlog_open(const char *data_dir, const struct raftlog_options *options,
                 const struct raftlog_io *io, struct raftlog **out,
                 struct raftlog_report *report, struct err_info *info);

/* Wait for what is queued, mark the log clean, free. NULL is allowed. */
void raftlog_close(struct raftlog *log);
/* Free without writing anything more (crash in the simulator, fatal error). */
void raftlog_abandon(struct raftlog *log);

/* Visit the entries first..last in order, reading from disk; blocking, for
 * start-up. entry is borrowed; a non-zero return stops and is returned. */
typedef int (*raftlog_scan_cb)(void *ctx, uint64_t index,
                               const struct raftlog_entry *entry);
int raftlog_scan(struct raftlog *log, uint64_t first, uint64_t last,
                 raftlog_scan_cb cb, void *ctx, struct err_info *info);

/* Hand over entries first..first + n - 1 (n >= 1). When first <= last index,
 * the log is truncated from first before: a logged act, durable with or before
 * the new entries. The log takes its own references to the blocks. Never
 * blocks; the caller keeps to raftlog_has_room.
 * Errors (nothing taken): ERR_GAP first > last + 1 or first <= released;
 * ERR_TOOBIG one entry over the limit; ERR_NOMEM; ERR_STOPPED after fatal. */
int raftlog_append(struct raftlog *log, uint64_t first,
                   const struct raftlog_entry *entries, size_t n);

/* Queue a new term and vote. It is durable when raftlog_hard_state_durable
 * returns true, and never later than entries appended after this call.
 * Errors: ERR_NOMEM, ERR_STOPPED. */
int raftlog_set_hard_state(struct raftlog *log, uint64_t term,
                           uint64_t voted_for);
/* Whether everything given to raftlog_set_hard_state is durable. */
bool raftlog_hard_state_durable(const struct raftlog *log);

/* Change the sync policy. Back to `always`: what is not durable is synced now,
 * and nothing new is written before. Errors: ERR_STOPPED. */
int raftlog_set_sync(struct raftlog *log,
                     const struct raftlog_sync_policy *policy);
/* Sync now what is handed to the disk; raftlog_durable_index tells when. */
void raftlog_force_sync(struct raftlog *log);
/* What may have been forgotten is here again, or lost for good with everybody's
 * consent: do not report it any more. Durable as the hard state is. Errors:
 * ERR_STOPPED. */
int raftlog_remember(struct raftlog *log);

/* Entries through..: not needed any more (a snapshot covers them). Whole
 * segments below go to the pool, in the background. Indexes that are released
 * can not be read. through is clipped to the durable index. */
void raftlog_release(struct raftlog *log, uint64_t through);

/* Forget all entries: the next append is at index + 1, and the entry before it
 * has this term (an installed snapshot). A logged act, in order with appends;
 * writes in flight are dropped from the durable index. */
int raftlog_reset(struct raftlog *log, uint64_t index, uint64_t term);

/* Collect finished writes and start the next. Call when raftlog_fd is
 * readable. */
void raftlog_poll(struct raftlog *log);
int raftlog_fd(const struct raftlog *log); /* -1 in the simulator */
/* Retry what waits for disk space, record the watermark of an idle log. */
void raftlog_tick(struct raftlog *log);

/* First index that can be read, last index handed over, and the highest index
 * up to which every entry of the present log is durable. A truncation at T
 * clamps the durable index and every write in flight to T - 1, so an entry
 * that was cut off and came back under the same index and term counts only
 * once its own write is durable. */
uint64_t raftlog_first_index(const struct raftlog *log);
uint64_t raftlog_last_index(const struct raftlog *log);
uint64_t raftlog_durable_index(const struct raftlog *log);
/* The same for entries that the policy lets count: at least the durable index,
 * and the same under `always`. A killed process does not lose them. */
uint64_t raftlog_persisted_index(const struct raftlog *log);
/* Term of an entry in first - 1..last; 0 outside. O(log terms). */
uint64_t raftlog_term(const struct raftlog *log, uint64_t index);
/* Counts truncations and resets: an answer of raftlog_read belongs to the
 * log's present content if this has not changed. */
uint64_t raftlog_epoch(const struct raftlog *log);

/* An entry from memory; *out borrows: take block_ref(out->block) to keep it.
 * Errors: ERR_AGAIN it is only on disk, use raftlog_read; ERR_NOTFOUND. */
int raftlog_get(struct raftlog *log, uint64_t index, struct raftlog_entry *out);

/* Read entries first..last, at most bytes_max of payload but at least one,
 * from memory or disk; cb runs later on the loop, never inside this call.
 * entries are borrowed during cb. status: 0, ERR_NOTFOUND (released or
 * truncated meanwhile), ERR_STOPPED (closing), ERR_NOMEM. Damage is fatal.
 * Errors: ERR_BUSY too many reads wait (RAFTLOG_READS_MAX); ERR_NOTFOUND. */
enum { RAFTLOG_READS_MAX = 64 };
typedef void (*raftlog_read_cb)(void *ctx, int status, uint64_t first,
                                const struct raftlog_entry *entries, size_t n);
int raftlog_read(struct raftlog *log, uint64_t first, uint64_t last,
                 size_t bytes_max, raftlog_read_cb cb, void *ctx);

/* Whether bytes more of payload can be appended now without waiting for disk
 * space. False: refuse client writes and drop incoming entries, try later.
 * The log's own acts and a reserve for Raft's entries are kept back. */
bool raftlog_has_room(const struct raftlog *log, size_t bytes);
/* Take no new segment from the last bytes that are free on the disk: the owner
 * needs them for what will release segments. */
void raftlog_set_reserve(struct raftlog *log, uint64_t bytes);

/* Bytes of entries (payload and RAFTLOG_ENTRY_OVERHEAD each), each of at most
 * entry_bytes_max of payload, that files which exist already can take beyond
 * what was handed over: a full disk can not keep them from becoming durable. 0
 * after fatal. */
enum { RAFTLOG_ENTRY_OVERHEAD = 16 };
uint64_t raftlog_room(const struct raftlog *log, size_t entry_bytes_max);
/* Whether raftlog_room finds room for an entry of this size as soon as there is
 * a fresh segment. If not, waiting for room is in vain: append it alone, and it
 * gets the rest of a segment, or a file of its own that is then made. */
bool raftlog_fits_segment(const struct raftlog *log, size_t entry_bytes);

/* For an owner without a loop: wait until raftlog_poll has something to do, at
 * most timeout_ms. Touches nothing of the log, so it may run beside other
 * calls. 0 or ERR_AGAIN. */
int raftlog_wait(const struct raftlog *log, int timeout_ms);

/* One segment file. first_index..last_index: the entries of the present log
 * that stand in it, empty when it holds none. */
struct raftlog_file {
    char name[64];
    uint64_t first_index;
    uint64_t last_index;
    uint64_t file_bytes;
    uint64_t used_bytes;
    uint64_t sealed_ms; /* since when; its entries are older. 0: not yet */
    bool active;        /* frames go here */
};
/* Bytes of frames on disk from the one that holds entry `first` on; 0 when
 * there is none. */
uint64_t raftlog_frame_bytes(const struct raftlog *log, uint64_t first);
/* Fill at most max of files, oldest first; returns how many there are. */
size_t raftlog_files(const struct raftlog *log, struct raftlog_file *files,
                     size_t max);
/* How far the log can be released so that what is asked for stays; whole files
 * go, so it matters only which file an index stands in. 0: nothing can.
 *
 * sealed_before: the files that were sealed less than age_ms ago stay.
 * beyond: of the files with entries at or below index, the newest stay, as many
 *   as have `bytes` together; the one that goes on behind index is one of them.
 * oldest: all files but the oldest stay, which have `bytes` together and are
 * one at least; UINT64_MAX: there is only the active one; 0 while
 *   files are leaving, of which one can not say yet what room they leave. */
uint64_t raftlog_sealed_before(const struct raftlog *log, uint64_t age_ms);
uint64_t raftlog_beyond(const struct raftlog *log, uint64_t index,
                        uint64_t bytes);
uint64_t raftlog_oldest(const struct raftlog *log, uint64_t bytes);
/* Bytes of the sealed files that hold no entry behind index, and since when the
 * oldest of them is sealed (0: there is none). */
uint64_t raftlog_kept_bytes(const struct raftlog *log, uint64_t index,
                            uint64_t *oldest_ms);

struct raftlog_stats {
    uint64_t bytes_on_disk; /* live segments, prepared and pool */
    uint64_t n_segments;    /* live */
    uint64_t n_pooled;
    uint64_t pending_bytes; /* handed over, not durable */
    uint64_t cache_bytes;
    uint64_t n_appends; /* entries */
    uint64_t n_frames;  /* durable writes */
    uint64_t n_truncations;
    uint64_t payload_bytes;
    uint64_t written_bytes;  /* with padding */
    uint64_t write_us_total; /* sum of durable write times */
    uint64_t write_us_max;
    uint64_t n_syncs; /* of a weaker policy; a durable write is none */
    uint64_t sync_us_total;
    uint64_t sync_us_max;
    uint64_t unsynced_bytes; /* persisted, not durable; with padding */
    uint64_t unsynced_entries;
    struct raftlog_sync_policy sync; /* in force */
    const char *sync_policy;         /* its name */
    /* Age of the write in flight, or of a sync that writes wait for; 0: none.
     */
    uint64_t oldest_write_ms;
    bool no_space;           /* a segment could not be prepared */
    const char *sync_method; /* "aio" or "thread" */
};
void raftlog_get_stats(const struct raftlog *log, struct raftlog_stats *out);
/* How long writes and syncs took, how long entries waited for a frame (for the
 * one before it, a new segment, room on the disk), and what a frame of entries
 * held, since the log was opened or raftlog_reset_latency. Borrowed until the
 * next call. */
struct raftlog_latency {
    struct histogram write_us; /* durable, or of a weaker policy written */
    struct histogram sync_us;
    struct histogram wait_us; /* of the oldest entry of a frame, for it */
    struct histogram batch_entries;
    struct histogram batch_bytes;
};
const struct raftlog_latency *raftlog_latency(const struct raftlog *log);
void raftlog_reset_latency(struct raftlog *log);

#endif
