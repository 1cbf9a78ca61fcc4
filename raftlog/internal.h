/* The inside of struct raftlog, shared by raftlog.c, commit_queue.c, space.c,
 * reader.c and recover.c and by nobody else.
 *
 *   raftlog.c       the public functions: what is in the log
 *   commit_queue.c  from memory to disk: hard state, then one frame
 *   sync.c          from disk to durable, and what a weaker policy must not
 *                   forget
 *   space.c         segments: prepare, rotate, release; is there room
 *   reader.c        from disk back to memory
 *   recover.c       from disk to struct raftlog, once, at open
 *
 * All fields belong to the loop thread. */
#ifndef RAFTLOG_INTERNAL_H
#define RAFTLOG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/cache.h"
#include "raftlog/file.h"
#include "raftlog/hardstate.h"
#include "raftlog/job.h"
#include "raftlog/log_index.h"
#include "raftlog/raftlog.h"
#include "raftlog/record.h"
#include "raftlog/segment.h"

enum {
    /* Blocks that entries leave free at the end of a segment: one for the
     * watermark, one for the act that lets segments go, one for the clean
     * mark. Without the second a full disk could not be emptied. */
    SPACE_RESERVED_BLOCKS = 3,
    SPACE_RETRY_MS = 1000
};

/* The frame that is being written; one at a time. */
struct frame_write {
    bool active;
    bool weak; /* not durable when it completes: sync.c */
    struct frame_header header;
    struct segment *segment;
    uint64_t offset;
    /* Last entry of it that still counts: clamped by truncations while the
     * write is in flight; below header.first_index when none does. */
    uint64_t last;
    uint64_t payload; /* bytes of entries, for the statistics */
    uint64_t started_ms;
    uint64_t started_us;
};

struct hard_write {
    struct file *files[HARDSTATE_SLOTS];
    void *block;             /* one aligned block, in use while in_flight */
    struct hardstate wanted; /* the newest given */
    uint64_t durable_sequence;
    unsigned slot; /* that holds durable_sequence */
    bool mirrored; /* the other one holds it too */
    bool in_flight;
    bool in_flight_mirror;
    uint64_t in_flight_sequence;
};

/* How far something reaches: frames, entries, and what their headers record. */
struct sync_state {
    uint64_t sequence; /* of the newest frame */
    uint64_t act;      /* of the newest one with entries or an act */
    uint64_t recorded; /* watermark in its header */
    uint64_t oldest;   /* oldest segment in its header */
    uint64_t last;     /* entry; clamped by truncations */
};

/* The sync that is under way; one at a time, beside a frame. */
struct sync_write {
    bool active;
    struct sync_state covers;
    uint64_t n_entries, n_bytes;
    uint64_t started_us;
};

struct pool_file {
    uint64_t id;
    uint64_t bytes;
};

struct raftlog {
    struct raftlog_options options; /* with defaults filled in */
    struct raftlog_io io;
    char *data_dir;
    char *log_dir;
    char *pool_dir;
    size_t align; /* frames of new segments are padded to this */
    struct file_queue *queue;
    bool stopped; /* after fatal: nothing is written any more */
    bool closing;
    bool changed; /* progress is due */

    /* What is in the log. index.base is the released index. */
    struct log_index index;
    struct cache cache;
    uint64_t durable; /* durable through this entry */
    uint64_t epoch;

    /* What is handed over but in no frame yet: the entries from unframed_first
     * on, and the acts that must stand in the same frame before them. Later
     * acts swallow earlier ones, so no list is needed. */
    uint64_t unframed_first;
    uint64_t unframed_bytes; /* as records */
    /* Since when the oldest of them waits for its frame; 0: nothing did so
     * longer than one call. */
    uint64_t waiting_since_us;
    bool truncate_pending;
    bool reset_pending;

    struct frame_write frame;
    uint8_t *frame_buffer;
    size_t frame_buffer_bytes;
    struct hard_write hard;

    /* What is written; what is durable too stands below. */
    struct sync_state written;
    struct sync_write syncing;
    uint64_t unsynced_entries, unsynced_bytes; /* in frames only written */
    uint64_t unsynced_since_ms;
    uint64_t sync_wanted; /* frames through this one: by raftlog_force_sync */
    char boot[FILE_BOOT_ID_SIZE];

    /* The chain of frames. */
    uint64_t next_sequence;
    uint64_t chain;             /* checksum of the last frame */
    uint64_t durable_sequence;  /* last durable frame */
    uint64_t act_sequence;      /* last durable frame with entries or an act */
    uint64_t recorded_sequence; /* watermark that is on disk */
    uint64_t oldest_wanted;     /* segments below may go */
    uint64_t oldest_recorded;   /* and a durable frame says so */
    bool clean;                 /* the last frame is a clean mark */
    uint64_t n_frames_at_tick;

    /* Segments, oldest first; the last one is written to. */
    struct segment *segments;
    struct segment *active;
    unsigned n_segments;
    uint64_t next_segment_id;
    struct pool_file *pool; /* files ready for use */
    size_t n_pool, pool_capacity;
    struct job *jobs;
    bool preparing, rotating, releasing;
    bool no_space;
    uint64_t reserve_bytes; /* of the disk, not for new segments */
    uint64_t prepare_at_ms, rotate_at_ms; /* not tried again before */
    unsigned n_reads;

    uint32_t recovery_cases; /* bits of enum recover_case */
    struct raftlog_stats stats;
    struct raftlog_latency latency;
};

/* Monotonic microseconds, and the wall clock; 0 when it is not known. */
static inline uint64_t raftlog_internal_now_us(const struct raftlog *log)
{
    return log->io.now_us != NULL ? log->io.now_us(log->io.ctx)
                                  : log->io.now_ms(log->io.ctx) * 1000;
}
static inline uint64_t raftlog_internal_clock_ms(const struct raftlog *log)
{
    return log->io.clock_ms != NULL ? log->io.clock_ms(log->io.ctx) : 0;
}

/* ---- raftlog.c ---- */
/* Report a failure once and stop for good. */
void raftlog_internal_fail(struct raftlog *log, const struct err_info *info);
/* Call io.progress if something changed. */
void raftlog_internal_progress(struct raftlog *log);
void raftlog_internal_segment_unref(struct segment *segment);

/* ---- commit_queue.c ---- */
/* Start whatever write is due and possible. */
void commit_pump(struct raftlog *log);
/* The same when entries were handed over: what finds no frame waits from now
 * on. */
void commit_appended(struct raftlog *log);
/* Reap finished writes. */
void commit_reap(struct raftlog *log);
/* Clamp the frame in flight: entries from `from` on do not count. */
void commit_clamp(struct raftlog *log, uint64_t from);
/* Idle work: mirror of the hard state, watermark, release act. */
void commit_tick(struct raftlog *log);
/* Whether anything is in flight, or waits and can go on. */
bool commit_busy(const struct raftlog *log);
/* Queue the clean mark and the last copy of the hard state (closing). */
void commit_mark_clean(struct raftlog *log);
void commit_mirror(struct raftlog *log);

/* ---- sync.c ---- */
void sync_fill_defaults(struct raftlog_sync_policy *p);
/* After recovery: whether something may be forgotten; set or clear the mark. */
void sync_adopt(struct raftlog *log, struct raftlog_report *report);
/* Whether frames need not be durable when they count. */
bool sync_is_weak(const struct raftlog *log);
/* Whether frames are written that are not durable. */
bool sync_is_pending(const struct raftlog *log);
/* Whether the policy asks for a sync now. */
bool sync_is_due(const struct raftlog *log);
/* Whether so much was written beside a sync that the next frame waits for it.
 */
bool sync_holds(const struct raftlog *log);
/* Start one unless one is under way. */
void sync_start(struct raftlog *log);
void sync_complete(struct raftlog *log);
/* A frame was written weakly; a frame became durable by itself. */
void sync_written(struct raftlog *log, const struct frame_write *w);
void sync_durable(struct raftlog *log);
/* Truncation and reset, as commit_clamp. */
void sync_clamp(struct raftlog *log, uint64_t from);
void sync_reset(struct raftlog *log, uint64_t index);
/* Everything is durable: nothing can be forgotten any more. */
void sync_clear_mark(struct raftlog *log);
/* The log is about to stop by a failure. */
void sync_note_failure(struct raftlog *log);

/* ---- space.c ---- */
/* Bytes of frames that entries may still take in the active segment. */
uint64_t space_left(const struct raftlog *log);
/* Begin to switch to a segment with at least frame_bytes of room. */
void space_rotate(struct raftlog *log, uint64_t frame_bytes);
/* Keep enough files ready in the pool. */
void space_maintain(struct raftlog *log);
/* Recompute which segments are not needed (oldest_wanted). */
void space_update_oldest(struct raftlog *log);
/* Move segments out of the log that a durable frame lets go. */
void space_release(struct raftlog *log);
bool space_has_room(const struct raftlog *log, size_t bytes);
void space_pool_add(struct raftlog *log, uint64_t id, uint64_t bytes);

/* ---- reader.c ---- */
/* An aligned buffer and the part of a segment file that it holds. */
struct reader_buffer {
    uint8_t *data;
    size_t capacity;
    const struct segment *segment;
    uint64_t begin;
    size_t size;
};
struct reader_frame {
    struct segment *segment;
    uint64_t offset;
    uint32_t frame_bytes;
    uint64_t first; /* live entries */
    uint64_t last;
};

#endif
