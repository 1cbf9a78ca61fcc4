/* Bytes of a segment file: the segment header, frames and their records.
 *
 * A segment file is one header block and then frames, each a whole number of
 * blocks, so that no durable write ever touches a block that an earlier one
 * wrote. Byte layout: README.md, section "Layout".
 *
 * A frame is one durable write. Its header checksum covers the body checksum
 * and the checksum of the frame before it (the chain), and is salted with
 * cluster id, segment id and sequence, so that what a recycled file held in
 * its former life can not be taken for a live frame.
 *
 * Everything here is pure: no I/O, no state. */
#ifndef RAFTLOG_RECORD_H
#define RAFTLOG_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/byte.h"
#include "raftlog/raftlog.h"

enum {
    RECORD_VERSION = 2,
    RECORD_BLOCK_MIN = 4096, /* frames are padded to at least this */
    SEGMENT_HEADER_SIZE = 128,
    FRAME_HEADER_SIZE = 112,
    FRAME_BYTES_MAX = 0x7ffff000 /* the largest length a header may claim */
};

/* What the first block of a segment file says. */
struct segment_header {
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    uint64_t node_id;
    uint64_t segment_id;
    uint64_t previous_id;       /* segment before this one; 0: none */
    uint64_t first_index;       /* of the first frame, as planned */
    uint64_t previous_term;     /* term of entry first_index - 1 */
    uint64_t first_sequence;    /* of the first frame */
    uint64_t previous_checksum; /* of the frame before it: the chain goes on */
    uint64_t file_bytes;
    /* Wall clock in milliseconds when it became the active one, and the segment
     * before it was sealed. 0: not known, as in version 1. */
    uint64_t begun_ms;
    uint32_t block_bytes; /* alignment of the frames in this file */
};

enum frame_flag {
    FRAME_TRUNCATE = 1, /* entries from first_index on are cut off before */
    FRAME_RESET = 2,    /* all entries are forgotten before */
    FRAME_CLEAN = 4,    /* written by raftlog_close; body: the boot id */
    FRAME_FLAGS_ALL = 7
};

struct frame_header {
    uint16_t flags;
    uint64_t segment_id;
    uint64_t sequence;          /* counts the frames of the log's life */
    uint64_t durable_sequence;  /* watermark: durable when this was built */
    uint64_t durable_index;     /* the same as an entry index */
    uint64_t oldest_segment_id; /* segments below it may be gone */
    uint64_t hard_sequence;     /* hard state that was durable before */
    uint64_t previous_checksum;
    uint64_t first_index;   /* of the first record; last + 1 when n is 0 */
    uint64_t previous_term; /* term of entry first_index - 1 */
    uint32_t n_entries;
    uint32_t body_bytes;  /* records without padding */
    uint32_t frame_bytes; /* header, body and padding */
    uint64_t body_checksum;
    uint64_t checksum; /* of the header: the chain value of this frame */
};

/* Encode into block, which has room for size bytes (>= SEGMENT_HEADER_SIZE);
 * the rest is zeroed. */
void segment_header_encode(const struct segment_header *h, void *block,
                           size_t size);
/* Errors: ERR_CORRUPT not a segment header or damaged; ERR_VERSION. */
int segment_header_decode(const void *data, size_t size,
                          struct segment_header *out);

/* Seed of a frame's header checksum. */
uint64_t frame_salt(const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE],
                    uint64_t segment_id, uint64_t sequence);

/* Complete a frame whose body stands at frame + FRAME_HEADER_SIZE: zero the
 * padding, compute both checksums (stored in h too) and write the header. */
void frame_seal(struct frame_header *h,
                const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE], void *frame);
/* Decode and check a header alone. Errors: ERR_CORRUPT. */
int frame_header_decode(const void *data, size_t size,
                        const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE],
                        struct frame_header *out);
/* Check the body of a frame of which h is the decoded header. */
bool frame_body_valid(const struct frame_header *h, const void *frame);

/* Bytes of an entry in a body, and of a frame with such a body. */
size_t record_size(const struct raftlog_entry *entry);
size_t frame_size(size_t body_bytes, size_t block_bytes);
void record_encode(struct byte_writer *w, const struct raftlog_entry *entry);
/* The next record; data is borrowed from the body, block is NULL. Errors:
 * ERR_CORRUPT. */
int record_decode(struct byte_reader *r, struct raftlog_entry *out);

#endif
