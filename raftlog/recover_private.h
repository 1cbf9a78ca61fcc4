/* What recover.c (reads and judges) and repair.c (changes what must change)
 * share: the state of one recovery. */
#ifndef RAFTLOG_RECOVER_PRIVATE_H
#define RAFTLOG_RECOVER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/internal.h"
#include "raftlog/recover.h"

/* A part of a file in memory. */
struct window {
    uint8_t *data;
    size_t capacity;
    uint64_t offset;
    size_t size;
};

/* One segment file as found. */
struct found {
    char name[SEGMENT_NAME_MAX];
    uint64_t id;
    uint64_t first_index; /* from the name */
    uint64_t file_bytes;  /* of the file */
    struct segment_header header;
    struct segment *segment; /* NULL before it is replayed */
};

struct recovery {
    struct raftlog *log;
    struct raftlog_report *report;
    struct err_info *info;
    struct hardstate_loaded hard;
    struct found *found;
    size_t n_found, found_capacity;
    size_t first; /* found[first..] is one unbroken chain */
    struct window window;
    struct file *file; /* the segment that is being replayed */

    uint64_t sequence; /* of the next frame */
    uint64_t chain;
    uint64_t watermark; /* highest sequence known to have been durable */
    uint64_t act_sequence;
    uint64_t recorded;
    uint64_t oldest; /* highest oldest_segment_id of a frame */
    uint64_t hard_sequence;
    uint16_t last_flags;
    uint64_t n_frames;

    bool torn;
    uint64_t torn_offset;
    uint64_t torn_bytes;
    uint64_t torn_sequence;
};

/* ---- recover.c ---- */
void recover_note(struct recovery *r, enum recover_case c);
/* err_set for a file of the log directory. */
int recover_fail_io(struct recovery *r, int code, const char *name);
int recover_open_segment(struct recovery *r, const char *name, unsigned flags);
void recover_close_segment(struct recovery *r);
/* *out: size bytes at offset, borrowed until the next call. */
int recover_window(struct recovery *r, const char *name, uint64_t offset,
                   size_t size, const uint8_t **out);
/* One more file, as listed. Errors: ERR_NOMEM. */
int recover_add_found(struct recovery *r, const char *name);
/* Append it to the log's list as the active one. NULL: NOMEM. */
struct segment *recover_segment_new(struct recovery *r, struct found *f);

/* ---- repair.c ---- */
/* Nothing was refused: make the directory whole. */
int repair_run(struct recovery *r);
/* There is no log: make one. */
int repair_create(struct recovery *r);

#endif
