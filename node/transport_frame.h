/* How a message travels between nodes: one frame behind the other.
 *
 * Layout of a frame (integers little-endian):
 *   u32 size of the payload (1..WIRE_FRAME_MAX)
 *   u32 size of its first part, the head (0..size); the rest is the body
 *   u64 XXH3-64 of the head, seeded with the 8 bytes before it as one number,
 *       chained over the body when there is one
 *   payload
 * The head is named apart so that a sender need not copy a shared body behind
 * it to make the checksum. Pure: no I/O.
 *
 * A reader takes a whole frame into one block. It reserves a large frame's
 * memory only as its bytes arrive (FRAME_STEP first, then doubling), so a
 * length that lies costs nothing. */
#ifndef NODE_TRANSPORT_FRAME_H
#define NODE_TRANSPORT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/wire.h"
#include "raftlog/err.h"

enum { FRAME_HEADER_SIZE = 16, FRAME_STEP = 1024 * 1024 };

/* Header of a frame of these parts (borrowed; body_size may be 0). */
void frame_header(uint8_t out[FRAME_HEADER_SIZE], const void *head,
                  uint32_t head_size, const void *body, uint32_t body_size);

struct frame_reader {
    uint8_t header[FRAME_HEADER_SIZE];
    uint32_t n_header; /* bytes of it that have arrived */
    uint32_t size;     /* of the payload */
    uint32_t head_size;
    uint64_t checksum;
    uint8_t *block;
    uint32_t have;     /* bytes of the payload in block */
    uint32_t capacity; /* of block */
};

void frame_reader_init(struct frame_reader *r);
void frame_reader_close(struct frame_reader *r); /* drops a part of a frame */

enum frame_status { FRAME_MORE = 0, FRAME_READY = 1 };

/* Take bytes of the stream up to the end of one frame; *used says how many.
 * FRAME_READY: *block (given, block.h) holds a payload of *size bytes.
 * Errors, after which the stream is lost: ERR_PROTOCOL a length is out of
 * range; ERR_CORRUPT the checksum does not match; ERR_NOMEM. */
int frame_reader_feed(struct frame_reader *r, const void *data, size_t size,
                      size_t *used, void **block, uint32_t *block_size,
                      struct err_info *info);

/* Where the next bytes of the stream belong when a large payload is being
 * read, so that they need no copy; NULL: read them elsewhere and feed. What was
 * read here is told by frame_reader_feed_room, else as frame_reader_feed. */
uint8_t *frame_reader_room(struct frame_reader *r, size_t *size);
int frame_reader_feed_room(struct frame_reader *r, size_t n, void **block,
                           uint32_t *block_size, struct err_info *info);

#endif
