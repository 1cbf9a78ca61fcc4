/* A walk through the segment files of a log as they lie on disk, for looking
 * at them: nothing is repaired, nothing is written, and damage does not end
 * the walk.
 *
 * Frames are judged by the same rules as recovery (raftlog/recover.h): a frame
 * that is missing or broken although something says that it was durable is
 * damage; without such evidence the last one is a torn tail, which recovery
 * cuts. Behind a damaged place the walk goes on with the next sound frame.
 *
 * While a node runs on the directory its newest frame may look torn. */
#ifndef CLI_LOG_WALK_H
#define CLI_LOG_WALK_H

#include "cli/inspect.h"
#include "raftlog/file.h"
#include "raftlog/record.h"
#include "raftlog/recover.h"
#include "raftlog/segment.h"

/* What a segment file turned out to be. */
struct log_segment {
    char name[SEGMENT_NAME_MAX];
    char path[INSPECT_PATH_MAX];
    uint64_t id; /* of the name, until the header is read */
    uint64_t file_bytes;
    bool header_sound;
    struct segment_header header;
    uint64_t n_frames;
    uint64_t n_entries;
    uint64_t first_index; /* of its entries, if there are any */
    uint64_t last_index;
    uint64_t end;             /* behind the last sound frame */
    enum recover_case ending; /* what stands there */
};

struct log_walk {
    /* set by the caller */
    struct inspect_problems *problems;
    uint64_t watermark; /* the frame that the hard state says was durable */
    /* Called for each sound frame, and for each entry in it with the file's
     * offset of the entry's record. May be NULL. */
    void (*on_frame)(void *ctx, const struct log_segment *s, uint64_t offset,
                     const struct frame_header *h);
    void (*on_entry)(void *ctx, const struct log_segment *s, uint64_t offset,
                     uint64_t index, const struct raftlog_entry *e);
    void (*on_segment)(void *ctx, const struct log_segment *s, bool begin);
    void *ctx;

    /* results */
    struct log_segment *segments; /* by id */
    size_t n_segments;
    uint64_t oldest; /* segments below it may be gone */

    /* inside */
    size_t room;
    uint64_t sequence; /* of the next frame */
    uint64_t chain;
    bool chained; /* sequence and chain are known */
    uint64_t last_index;
    struct file *file;
    uint8_t *block;
    size_t block_room;
};

/* Find the segments: path is one file, a log directory, or a data directory
 * with log/ in it. Headers are read and judged. Errors: those of file_open;
 * ERR_NOMEM; ERR_NOTFOUND when there are no segments. */
int log_walk_open(struct log_walk *w, const char *path);
/* Go through all of them. Errors: ERR_IO, ERR_NOMEM. */
int log_walk_run(struct log_walk *w);
void log_walk_close(struct log_walk *w);

#endif
