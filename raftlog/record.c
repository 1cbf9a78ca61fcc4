/* Encoding of segment headers, frames and records; see record.h. */
#include "raftlog/record.h"

#include <assert.h>

#include "raftlog/checksum.h"

static const uint8_t segment_magic[8] = {'C', 'K', 'V',  'S',
                                         'E', 'G', '\r', '\n'};
enum { FRAME_MAGIC = 0x46564b43 }; /* "CKVF" */

/* The checksum of the segment header stands in its last eight bytes. */
enum { SEGMENT_CHECKSUM_AT = SEGMENT_HEADER_SIZE - 8 };
/* The checksum of the frame header likewise. */
enum { FRAME_CHECKSUM_AT = FRAME_HEADER_SIZE - 8 };

void segment_header_encode(const struct segment_header *h, void *block,
                           size_t size)
{
    struct byte_writer w = byte_writer(block, SEGMENT_HEADER_SIZE);
    assert(size >= SEGMENT_HEADER_SIZE);
    memset(block, 0, size);
    byte_put(&w, segment_magic, sizeof segment_magic);
    byte_put_u32(&w, RECORD_VERSION);
    byte_put_u32(&w, h->block_bytes);
    byte_put(&w, h->cluster_id, sizeof h->cluster_id);
    byte_put_u64(&w, h->node_id);
    byte_put_u64(&w, h->segment_id);
    byte_put_u64(&w, h->previous_id);
    byte_put_u64(&w, h->first_index);
    byte_put_u64(&w, h->previous_term);
    byte_put_u64(&w, h->first_sequence);
    byte_put_u64(&w, h->previous_checksum);
    byte_put_u64(&w, h->file_bytes);
    byte_put_u64(&w, h->begun_ms);
    w.at = (uint8_t *)block + SEGMENT_CHECKSUM_AT;
    byte_put_u64(&w, checksum(block, SEGMENT_CHECKSUM_AT, 0));
    assert(!w.failed);
}

static bool block_bytes_valid(uint32_t n)
{
    return n >= RECORD_BLOCK_MIN && (n & (n - 1)) == 0;
}

int segment_header_decode(const void *data, size_t size,
                          struct segment_header *out)
{
    struct byte_reader r = byte_reader(data, size);
    struct segment_header h = {0};
    const uint8_t *magic = byte_get(&r, sizeof segment_magic);
    const uint8_t *id;
    uint32_t version;
    if (magic == NULL || memcmp(magic, segment_magic, sizeof segment_magic)) {
        return ERR_CORRUPT;
    }
    version = byte_get_u32(&r);
    if (version > RECORD_VERSION) {
        return ERR_VERSION;
    }
    if (version == 0 || size < SEGMENT_HEADER_SIZE) {
        return ERR_CORRUPT;
    }
    h.block_bytes = byte_get_u32(&r);
    id = byte_get(&r, sizeof h.cluster_id);
    memcpy(h.cluster_id, id, sizeof h.cluster_id);
    h.node_id = byte_get_u64(&r);
    h.segment_id = byte_get_u64(&r);
    h.previous_id = byte_get_u64(&r);
    h.first_index = byte_get_u64(&r);
    h.previous_term = byte_get_u64(&r);
    h.first_sequence = byte_get_u64(&r);
    h.previous_checksum = byte_get_u64(&r);
    h.file_bytes = byte_get_u64(&r);
    h.begun_ms = version >= 2 ? byte_get_u64(&r) : 0;
    r.at = (const uint8_t *)data + SEGMENT_CHECKSUM_AT;
    if (byte_get_u64(&r) != checksum(data, SEGMENT_CHECKSUM_AT, 0) ||
        !block_bytes_valid(h.block_bytes) || h.segment_id == 0 ||
        h.first_index == 0 || h.first_sequence == 0) {
        return ERR_CORRUPT;
    }
    *out = h;
    return 0;
}

uint64_t frame_salt(const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE],
                    uint64_t segment_id, uint64_t sequence)
{
    uint8_t buf[RAFTLOG_CLUSTER_ID_SIZE + 16];
    struct byte_writer w = byte_writer(buf, sizeof buf);
    byte_put(&w, cluster_id, RAFTLOG_CLUSTER_ID_SIZE);
    byte_put_u64(&w, segment_id);
    byte_put_u64(&w, sequence);
    return checksum(buf, sizeof buf, 0);
}

static void frame_header_encode(const struct frame_header *h, void *data)
{
    struct byte_writer w = byte_writer(data, FRAME_HEADER_SIZE);
    byte_put_u32(&w, FRAME_MAGIC);
    byte_put_u32(&w, h->flags | (uint32_t)FRAME_HEADER_SIZE << 16);
    byte_put_u64(&w, h->segment_id);
    byte_put_u64(&w, h->sequence);
    byte_put_u64(&w, h->durable_sequence);
    byte_put_u64(&w, h->durable_index);
    byte_put_u64(&w, h->oldest_segment_id);
    byte_put_u64(&w, h->hard_sequence);
    byte_put_u64(&w, h->previous_checksum);
    byte_put_u64(&w, h->first_index);
    byte_put_u64(&w, h->previous_term);
    byte_put_u32(&w, h->n_entries);
    byte_put_u32(&w, h->body_bytes);
    byte_put_u32(&w, h->frame_bytes);
    byte_put_u32(&w, 0);
    byte_put_u64(&w, h->body_checksum);
    byte_put_u64(&w, h->checksum);
    assert(!w.failed && w.at == w.end);
}

/* The body checksum covers the padding too: every byte of a frame counts. */
static uint64_t body_checksum(const struct frame_header *h, const void *frame)
{
    return checksum((const uint8_t *)frame + FRAME_HEADER_SIZE,
                    h->frame_bytes - FRAME_HEADER_SIZE, h->previous_checksum);
}

void frame_seal(struct frame_header *h,
                const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE], void *frame)
{
    size_t used = FRAME_HEADER_SIZE + (size_t)h->body_bytes;
    assert(used <= h->frame_bytes && h->frame_bytes <= FRAME_BYTES_MAX);
    memset((uint8_t *)frame + used, 0, h->frame_bytes - used);
    h->body_checksum = body_checksum(h, frame);
    h->checksum = 0;
    frame_header_encode(h, frame);
    h->checksum = checksum(frame, FRAME_CHECKSUM_AT,
                           frame_salt(cluster_id, h->segment_id, h->sequence));
    frame_header_encode(h, frame);
}

/* The limits that a header must keep even if its checksum is right. */
static bool frame_header_plausible(const struct frame_header *h)
{
    return h->frame_bytes <= FRAME_BYTES_MAX &&
           h->frame_bytes % RECORD_BLOCK_MIN == 0 &&
           h->frame_bytes >= FRAME_HEADER_SIZE &&
           h->body_bytes <= h->frame_bytes - FRAME_HEADER_SIZE &&
           (h->flags & ~FRAME_FLAGS_ALL) == 0 && h->first_index > 0 &&
           h->n_entries <= h->body_bytes && h->sequence > 0 &&
           h->durable_sequence < h->sequence &&
           h->oldest_segment_id <= h->segment_id &&
           h->first_index <= UINT64_MAX - h->n_entries;
}

int frame_header_decode(const void *data, size_t size,
                        const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE],
                        struct frame_header *out)
{
    struct byte_reader r = byte_reader(data, size);
    struct frame_header h;
    uint16_t header_size;
    if (size < FRAME_HEADER_SIZE || byte_get_u32(&r) != FRAME_MAGIC) {
        return ERR_CORRUPT;
    }
    h.flags = byte_get_u16(&r);
    header_size = byte_get_u16(&r);
    h.segment_id = byte_get_u64(&r);
    h.sequence = byte_get_u64(&r);
    h.durable_sequence = byte_get_u64(&r);
    h.durable_index = byte_get_u64(&r);
    h.oldest_segment_id = byte_get_u64(&r);
    h.hard_sequence = byte_get_u64(&r);
    h.previous_checksum = byte_get_u64(&r);
    h.first_index = byte_get_u64(&r);
    h.previous_term = byte_get_u64(&r);
    h.n_entries = byte_get_u32(&r);
    h.body_bytes = byte_get_u32(&r);
    h.frame_bytes = byte_get_u32(&r);
    (void)byte_get_u32(&r);
    h.body_checksum = byte_get_u64(&r);
    h.checksum = byte_get_u64(&r);
    if (r.failed || header_size != FRAME_HEADER_SIZE ||
        !frame_header_plausible(&h) ||
        h.checksum !=
            checksum(data, FRAME_CHECKSUM_AT,
                     frame_salt(cluster_id, h.segment_id, h.sequence))) {
        return ERR_CORRUPT;
    }
    *out = h;
    return 0;
}

bool frame_body_valid(const struct frame_header *h, const void *frame)
{
    return body_checksum(h, frame) == h->body_checksum;
}

size_t record_size(const struct raftlog_entry *entry)
{
    return 1 + byte_varint_size(entry->term) + byte_varint_size(entry->size) +
           entry->size;
}

size_t frame_size(size_t body_bytes, size_t block_bytes)
{
    size_t used = FRAME_HEADER_SIZE + body_bytes;
    return (used + block_bytes - 1) / block_bytes * block_bytes;
}

void record_encode(struct byte_writer *w, const struct raftlog_entry *entry)
{
    byte_put_u8(w, entry->kind);
    byte_put_varint(w, entry->term);
    byte_put_varint(w, entry->size);
    byte_put(w, entry->data, entry->size);
}

int record_decode(struct byte_reader *r, struct raftlog_entry *out)
{
    struct raftlog_entry e = {0};
    uint64_t size;
    e.kind = byte_get_u8(r);
    e.term = byte_get_varint(r);
    size = byte_get_varint(r);
    if (r->failed || size > byte_left(r)) {
        r->failed = true;
        return ERR_CORRUPT;
    }
    e.size = (uint32_t)size;
    e.data = byte_get(r, (size_t)size);
    *out = e;
    return 0;
}
