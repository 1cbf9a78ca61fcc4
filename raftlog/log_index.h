/* Which entries the log has: terms as runs, and where on disk they stand.
 *
 * runs: sorted by index; a run lasts until the next one begins. The first run
 * covers `base`, the index before the first entry, so that the term there
 * is known too. Memory is O(terms), as Raft's log matching needs no more.
 *
 * frames: one reference for each live frame that holds entries, sorted by
 * index and without gaps from base + 1 on; a truncation pops or shortens the
 * last ones, a release drops the first ones. */
#ifndef RAFTLOG_LOG_INDEX_H
#define RAFTLOG_LOG_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct segment;

struct term_run {
    uint64_t first;
    uint64_t term;
};

struct frame_ref {
    uint64_t first; /* first entry that is live in this frame */
    uint64_t last;  /* last one; the frame may hold dead ones behind it */
    struct segment *segment;
    uint64_t offset;
    uint32_t frame_bytes;
};

struct log_index {
    uint64_t base; /* index before the first entry */
    uint64_t last; /* last entry; == base when empty */
    struct term_run *runs;
    size_t runs_head, n_runs, runs_capacity;
    struct frame_ref *frames;
    size_t frames_head, n_frames, frames_capacity;
};

/* Errors: ERR_NOMEM. */
int log_index_init(struct log_index *x, uint64_t base, uint64_t base_term);
void log_index_close(struct log_index *x);
/* Forget everything; never fails. */
void log_index_reset(struct log_index *x, uint64_t base, uint64_t base_term);
/* Room for that many more runs and frames. Errors: ERR_NOMEM. */
int log_index_reserve(struct log_index *x, size_t n_runs, size_t n_frames);
/* The entry at last + 1 has this term. Room was reserved. */
void log_index_push(struct log_index *x, uint64_t term);
/* A frame with live entries stands on disk (or is on its way). */
void log_index_push_frame(struct log_index *x, const struct frame_ref *frame);
/* Drop the entries from `from` (> base) on. */
void log_index_truncate(struct log_index *x, uint64_t from);
/* Drop the entries through `through` (<= last). */
void log_index_trim(struct log_index *x, uint64_t through);
/* Term of an index in base..last, else 0. */
uint64_t log_index_term(const struct log_index *x, uint64_t index);
/* The frame that holds an entry; borrowed until the index changes; NULL when
 * no frame has it. Consecutive frames follow each other in memory. */
const struct frame_ref *log_index_frame(const struct log_index *x,
                                        uint64_t index);
/* One past the last frame reference. */
const struct frame_ref *log_index_frames_end(const struct log_index *x);

#endif
