/* Framing of peer messages. */
#include "node/transport_frame.h"

#include <string.h>

#include "raftlog/block.h"
#include "raftlog/byte.h"
#include "raftlog/checksum.h"

/* Payload left to read from which a direct read into the block pays. */
enum { FRAME_DIRECT_MIN = 16 * 1024 };

static uint64_t frame_checksum(uint32_t head_size, const void *head,
                               uint32_t body_size, const void *body)
{
    uint64_t seed = ((uint64_t)head_size << 32) | (head_size + body_size);
    uint64_t sum = checksum(head, head_size, seed);

    return body_size > 0 ? checksum(body, body_size, sum) : sum;
}

void frame_header(uint8_t out[FRAME_HEADER_SIZE], const void *head,
                  uint32_t head_size, const void *body, uint32_t body_size)
{
    struct byte_writer w = byte_writer(out, FRAME_HEADER_SIZE);

    byte_put_u32(&w, head_size + body_size);
    byte_put_u32(&w, head_size);
    byte_put_u64(&w, frame_checksum(head_size, head, body_size, body));
}

void frame_reader_init(struct frame_reader *r)
{
    memset(r, 0, sizeof *r);
}

void frame_reader_close(struct frame_reader *r)
{
    block_unref(r->block);
    memset(r, 0, sizeof *r);
}

/* The header is complete: check the lengths and make the first room. */
static int begin(struct frame_reader *r, struct err_info *info)
{
    struct byte_reader b = byte_reader(r->header, sizeof r->header);

    r->size = byte_get_u32(&b);
    r->head_size = byte_get_u32(&b);
    r->checksum = byte_get_u64(&b);
    if (r->size == 0 || r->size > WIRE_FRAME_MAX || r->head_size > r->size) {
        return err_set(info, ERR_PROTOCOL,
                       "frame of %u bytes with a head of %u (limit %u)",
                       r->size, r->head_size, (unsigned)WIRE_FRAME_MAX);
    }
    r->have = 0;
    r->capacity = r->size < FRAME_STEP ? r->size : FRAME_STEP;
    r->block = block_new(r->capacity);
    if (r->block == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for a frame of %u bytes",
                       r->size);
    }
    return 0;
}

/* The block is full and the frame is not: double it. */
static int grow(struct frame_reader *r, struct err_info *info)
{
    uint32_t capacity = r->capacity > r->size / 2 ? r->size : r->capacity * 2;
    uint8_t *block = block_new(capacity);

    if (block == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for a frame of %u bytes",
                       r->size);
    }
    memcpy(block, r->block, r->have);
    block_unref(r->block);
    r->block = block;
    r->capacity = capacity;
    return 0;
}

static int finish(struct frame_reader *r, void **block, uint32_t *block_size,
                  struct err_info *info)
{
    uint64_t sum =
        frame_checksum(r->head_size, r->block, r->size - r->head_size,
                       r->block + r->head_size);

    if (sum != r->checksum) {
        return err_set(info, ERR_CORRUPT,
                       "checksum of a frame of %u bytes does not match",
                       r->size);
    }
    *block = r->block;
    *block_size = r->size;
    r->block = NULL;
    r->n_header = 0;
    return FRAME_READY;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

int frame_reader_feed(struct frame_reader *r, const void *data, size_t size,
                      size_t *used, void **block, uint32_t *block_size,
                      struct err_info *info)
{
    const uint8_t *at = data;
    const uint8_t *end = at + size;
    size_t n;
    int rc;

    *used = 0;
    if (r->n_header < FRAME_HEADER_SIZE) {
        n = smaller(size, FRAME_HEADER_SIZE - r->n_header);
        if (n > 0) {
            memcpy(r->header + r->n_header, at, n);
        }
        r->n_header += (uint32_t)n;
        at += n;
        *used = n;
        if (r->n_header < FRAME_HEADER_SIZE) {
            return FRAME_MORE;
        }
        rc = begin(r, info);
        if (rc != 0) {
            return rc;
        }
    }
    while (at < end && r->have < r->size) {
        rc = r->have == r->capacity ? grow(r, info) : 0;
        if (rc != 0) {
            return rc;
        }
        n = smaller((size_t)(end - at), r->capacity - r->have);
        memcpy(r->block + r->have, at, n);
        r->have += (uint32_t)n;
        at += n;
    }
    *used = (size_t)(at - (const uint8_t *)data);
    return r->have == r->size ? finish(r, block, block_size, info) : FRAME_MORE;
}

uint8_t *frame_reader_room(struct frame_reader *r, size_t *size)
{
    if (r->block == NULL || r->size - r->have < FRAME_DIRECT_MIN) {
        return NULL;
    }
    if (r->have == r->capacity && grow(r, NULL) != 0) {
        return NULL; /* The feed that follows meets the same and reports it. */
    }
    *size = r->capacity - r->have;
    return r->block + r->have;
}

int frame_reader_feed_room(struct frame_reader *r, size_t n, void **block,
                           uint32_t *block_size, struct err_info *info)
{
    r->have += (uint32_t)n;
    return r->have == r->size ? finish(r, block, block_size, info) : FRAME_MORE;
}
