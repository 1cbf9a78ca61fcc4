/* Byte layout of snapshot files: envelopes, header, index, footer, names.
 *
 * A decoder checks magic, version, length and checksum in that order, then
 * that the body holds exactly what it should. Records are in record.c. */
#include "snapshot/format.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAGIC_SIZE = 8,
    LZ4_SKIP_MAGIC = 0x184d2a50, /* LZ4 frame format: 0x184D2A50..5F */
    BUFFER_KEEP = 1024 * 1024
};

static const char magics[4][MAGIC_SIZE + 1] = {
    "CKVsnapH",
    "CKVsnapI",
    "CKVsnapF",
    "CKVsnapM",
};

int snapshot_buffer_reserve(struct snapshot_buffer *b, size_t n)
{
    size_t capacity = b->capacity > 0 ? b->capacity : 4096;
    uint8_t *data;

    if (b->capacity - b->size >= n) {
        return 0;
    }
    if (n > SIZE_MAX / 4 || b->size > SIZE_MAX / 4) {
        return ERR_NOMEM;
    }
    while (capacity - b->size < n) {
        capacity += capacity / 2;
    }
    data = realloc(b->data, capacity);
    if (data == NULL) {
        return ERR_NOMEM;
    }
    b->data = data;
    b->capacity = capacity;
    return 0;
}

void snapshot_buffer_reset(struct snapshot_buffer *b)
{
    if (b->capacity > BUFFER_KEEP) {
        snapshot_buffer_free(b);
    }
    b->size = 0;
}

void snapshot_buffer_free(struct snapshot_buffer *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

/* ---- envelopes ------------------------------------------------------------*/

void snapshot_envelope_begin(struct byte_writer *w, enum snapshot_part part)
{
    if (part != SNAPSHOT_PART_MANIFEST) {
        byte_put_u32(w, LZ4_SKIP_MAGIC + (uint32_t)part);
        byte_put_u32(w, 0); /* Filled in by end. */
    }
    byte_put(w, magics[part], MAGIC_SIZE);
    byte_put_u32(w, SNAPSHOT_VERSION);
    byte_put_u32(w, 0);
}

uint64_t snapshot_envelope_end(struct byte_writer *w, uint8_t *start,
                               enum snapshot_part part, uint64_t seed)
{
    uint8_t *envelope = start;
    uint64_t sum;
    size_t size;
    struct byte_writer patch;

    if (w->failed) {
        return 0;
    }
    if (part != SNAPSHOT_PART_MANIFEST) {
        envelope += SNAPSHOT_SKIP_SIZE;
    }
    size = (size_t)(w->at - envelope) + 8;
    patch = byte_writer(envelope + MAGIC_SIZE + 4, 4);
    byte_put_u32(&patch, (uint32_t)(size - SNAPSHOT_ENVELOPE_HEAD));
    if (part != SNAPSHOT_PART_MANIFEST) {
        patch = byte_writer(start + 4, 4);
        byte_put_u32(&patch, (uint32_t)size);
    }
    sum = checksum(envelope, size - 8, seed);
    byte_put_u64(w, sum);
    return sum;
}

/* The head alone: magic, version, and the length it tells. */
static int envelope_head(const uint8_t *data, enum snapshot_part part,
                         uint32_t *length)
{
    struct byte_reader r = byte_reader(data, SNAPSHOT_ENVELOPE_HEAD);
    const uint8_t *magic = byte_get(&r, MAGIC_SIZE);
    uint32_t version = byte_get_u32(&r);

    if (memcmp(magic, magics[part], MAGIC_SIZE) != 0 || version == 0) {
        return ERR_CORRUPT;
    }
    if (version > SNAPSHOT_VERSION) {
        return ERR_VERSION;
    }
    *length = byte_get_u32(&r);
    return 0;
}

int snapshot_envelope_open(const void *data, size_t size,
                           enum snapshot_part part, uint64_t seed,
                           struct byte_reader *body, uint64_t *sum)
{
    const uint8_t *p = data;
    struct byte_reader tail;
    uint64_t expected;
    uint32_t length;
    int rv;

    if (size < SNAPSHOT_ENVELOPE_SIZE) {
        return ERR_CORRUPT;
    }
    rv = envelope_head(p, part, &length);
    if (rv != 0) {
        return rv;
    }
    if (length != size - SNAPSHOT_ENVELOPE_HEAD) {
        return ERR_CORRUPT;
    }
    tail = byte_reader(p + size - 8, 8);
    expected = byte_get_u64(&tail);
    if (checksum(p, size - 8, seed) != expected) {
        return ERR_CORRUPT;
    }
    *body =
        byte_reader(p + SNAPSHOT_ENVELOPE_HEAD, size - SNAPSHOT_ENVELOPE_SIZE);
    if (sum != NULL) {
        *sum = expected;
    }
    return 0;
}

/* Check a skippable frame around an envelope. */
static int frame_open(const uint8_t *data, size_t size, enum snapshot_part part,
                      uint64_t seed, struct byte_reader *body, uint64_t *sum)
{
    struct byte_reader r = byte_reader(data, size);
    uint32_t magic = byte_get_u32(&r);
    uint32_t inner = byte_get_u32(&r);

    if (r.failed || magic != LZ4_SKIP_MAGIC + (uint32_t)part ||
        inner != size - SNAPSHOT_SKIP_SIZE) {
        return ERR_CORRUPT;
    }
    return snapshot_envelope_open(data + SNAPSHOT_SKIP_SIZE, inner, part, seed,
                                  body, sum);
}

/* ---- header ---------------------------------------------------------------*/

static void put_hash(struct byte_writer *w, struct checksum128 hash)
{
    byte_put_u64(w, hash.low);
    byte_put_u64(w, hash.high);
}

static struct checksum128 get_hash(struct byte_reader *r)
{
    struct checksum128 hash;
    hash.low = byte_get_u64(r);
    hash.high = byte_get_u64(r);
    return hash;
}

size_t snapshot_header_encode(const struct snapshot_meta *meta, uint8_t *out,
                              uint64_t *sum)
{
    struct byte_writer w = byte_writer(out, SNAPSHOT_HEADER_MAX);

    snapshot_envelope_begin(&w, SNAPSHOT_PART_HEADER);
    byte_put(&w, meta->cluster_id, SNAPSHOT_CLUSTER_ID_SIZE);
    byte_put_u64(&w, meta->from);
    byte_put_u64(&w, meta->to);
    byte_put_u64(&w, meta->to_term);
    byte_put_u64(&w, meta->clock_ms);
    put_hash(&w, meta->state_hash);
    byte_put_u64(&w, meta->configuration_index);
    byte_put_u32(&w, (uint32_t)meta->configuration_size);
    byte_put(&w, meta->configuration, meta->configuration_size);
    *sum = snapshot_envelope_end(&w, out, SNAPSHOT_PART_HEADER, 0);
    return (size_t)(w.at - out);
}

int snapshot_header_size(const uint8_t *data, size_t *size)
{
    struct byte_reader r = byte_reader(data, SNAPSHOT_SKIP_SIZE);
    uint32_t magic = byte_get_u32(&r);
    uint32_t inner = byte_get_u32(&r);
    uint32_t length;
    int rv;

    if (magic != LZ4_SKIP_MAGIC) {
        return ERR_CORRUPT;
    }
    rv =
        envelope_head(data + SNAPSHOT_SKIP_SIZE, SNAPSHOT_PART_HEADER, &length);
    if (rv != 0) {
        return rv;
    }
    if (inner > SNAPSHOT_HEADER_MAX - SNAPSHOT_SKIP_SIZE ||
        inner < SNAPSHOT_ENVELOPE_SIZE + SNAPSHOT_HEADER_FIXED ||
        length != inner - SNAPSHOT_ENVELOPE_HEAD) {
        return ERR_CORRUPT;
    }
    *size = SNAPSHOT_SKIP_SIZE + (size_t)inner;
    return 0;
}

int snapshot_header_decode(const uint8_t *data, size_t size,
                           struct snapshot_meta *meta, uint64_t *sum)
{
    struct snapshot_meta m;
    struct byte_reader r;
    const uint8_t *id;
    int rv = frame_open(data, size, SNAPSHOT_PART_HEADER, 0, &r, sum);

    if (rv != 0) {
        return rv;
    }
    memset(&m, 0, sizeof m);
    id = byte_get(&r, SNAPSHOT_CLUSTER_ID_SIZE);
    m.from = byte_get_u64(&r);
    m.to = byte_get_u64(&r);
    m.to_term = byte_get_u64(&r);
    m.clock_ms = byte_get_u64(&r);
    m.state_hash = get_hash(&r);
    m.configuration_index = byte_get_u64(&r);
    m.configuration_size = byte_get_u32(&r);
    m.configuration = byte_get(&r, m.configuration_size);
    if (r.failed || byte_left(&r) > 0 || m.from >= m.to ||
        m.configuration_size > SNAPSHOT_CONFIGURATION_MAX) {
        return ERR_CORRUPT;
    }
    memcpy(m.cluster_id, id, SNAPSHOT_CLUSTER_ID_SIZE);
    *meta = m;
    return 0;
}

/* ---- footer and index -----------------------------------------------------*/

void snapshot_footer_encode(const struct snapshot_footer *footer, uint64_t seed,
                            uint8_t out[SNAPSHOT_FOOTER_SIZE])
{
    struct byte_writer w = byte_writer(out, SNAPSHOT_FOOTER_SIZE);

    snapshot_envelope_begin(&w, SNAPSHOT_PART_FOOTER);
    byte_put_u64(&w, footer->index_offset);
    byte_put_u64(&w, footer->index_size);
    byte_put_u64(&w, footer->n_blocks);
    byte_put_u64(&w, footer->n_records);
    byte_put_u64(&w, footer->raw_bytes);
    put_hash(&w, footer->content);
    snapshot_envelope_end(&w, out, SNAPSHOT_PART_FOOTER, seed);
}

int snapshot_footer_decode(const uint8_t data[SNAPSHOT_FOOTER_SIZE],
                           uint64_t seed, struct snapshot_footer *footer)
{
    struct byte_reader r;
    int rv = frame_open(data, SNAPSHOT_FOOTER_SIZE, SNAPSHOT_PART_FOOTER, seed,
                        &r, NULL);

    if (rv != 0) {
        return rv;
    }
    footer->index_offset = byte_get_u64(&r);
    footer->index_size = byte_get_u64(&r);
    footer->n_blocks = byte_get_u64(&r);
    footer->n_records = byte_get_u64(&r);
    footer->raw_bytes = byte_get_u64(&r);
    footer->content = get_hash(&r);
    return r.failed || byte_left(&r) > 0 ? ERR_CORRUPT : 0;
}

int snapshot_index_open(const uint8_t *data, size_t size, uint64_t seed,
                        struct byte_reader *body)
{
    return frame_open(data, size, SNAPSHOT_PART_INDEX, seed, body, NULL);
}

void snapshot_entry_encode(struct byte_writer *w,
                           const struct snapshot_entry *entry)
{
    byte_put_u32(w, entry->stored_size);
    byte_put_u32(w, entry->raw_size);
    byte_put_u32(w, entry->n_records);
    byte_put_u64(w, entry->checksum);
    byte_put_u8(w, entry->rank);
    byte_put_u16(w, entry->separator_size);
    byte_put(w, entry->separator, entry->separator_size);
}

int snapshot_entry_decode(struct byte_reader *r, struct snapshot_entry *entry)
{
    entry->stored_size = byte_get_u32(r);
    entry->raw_size = byte_get_u32(r);
    entry->n_records = byte_get_u32(r);
    entry->checksum = byte_get_u64(r);
    entry->rank = byte_get_u8(r);
    entry->separator_size = byte_get_u16(r);
    entry->separator = byte_get(r, entry->separator_size);
    if (r->failed || entry->stored_size == 0 || entry->raw_size == 0 ||
        entry->raw_size > SNAPSHOT_BLOCK_RAW_MAX || entry->n_records == 0 ||
        entry->rank < 1 || entry->rank > 2 ||
        entry->separator_size > SNAPSHOT_SEPARATOR_MAX) {
        return ERR_CORRUPT;
    }
    return 0;
}

/* ---- names ----------------------------------------------------------------*/

void snapshot_id_encode(struct checksum128 content,
                        uint8_t out[SNAPSHOT_ID_SIZE])
{
    struct byte_writer w = byte_writer(out, SNAPSHOT_ID_SIZE);
    put_hash(&w, content);
}

void snapshot_id_hex(const uint8_t id[SNAPSHOT_ID_SIZE],
                     char out[2 * SNAPSHOT_ID_SIZE + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < SNAPSHOT_ID_SIZE; i++) {
        out[2 * i] = digits[id[i] >> 4];
        out[2 * i + 1] = digits[id[i] & 15];
    }
    out[2 * SNAPSHOT_ID_SIZE] = '\0';
}

void snapshot_name(const struct snapshot_file *file,
                   char out[SNAPSHOT_NAME_MAX])
{
    char hex[2 * SNAPSHOT_ID_SIZE + 1];

    snapshot_id_hex(file->id, hex);
    memset(out, 0, SNAPSHOT_NAME_MAX);
    if (file->from == 0) {
        snprintf(out, SNAPSHOT_NAME_MAX, "base-%" PRIu64 "-%.8s.lz4", file->to,
                 hex);
    } else {
        snprintf(out, SNAPSHOT_NAME_MAX,
                 "delta-%" PRIu64 "-%" PRIu64 "-%.8s.lz4", file->from, file->to,
                 hex);
    }
}

static int join(char *out, const char *dir, const char *middle,
                const char *name, const char *suffix)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s%s", dir, middle, name, suffix);
    return n < 0 || n >= PATH_MAX ? ERR_INVALID : 0;
}

int snapshot_path(char *out, const char *dir, const char *name)
{
    return join(out, dir, "", name, "");
}

int snapshot_dir_copy(char *out, const char *dir)
{
    size_t n = strlen(dir);

    if (n >= PATH_MAX) {
        return ERR_INVALID;
    }
    memcpy(out, dir, n + 1);
    return 0;
}

int snapshot_incoming_path(char *out, const char *dir, const char *name)
{
    return join(out, dir, "incoming/", name, "");
}

int snapshot_received_path(char *out, const char *dir,
                           const uint8_t id[SNAPSHOT_ID_SIZE],
                           const char *suffix)
{
    char hex[2 * SNAPSHOT_ID_SIZE + 1];

    snapshot_id_hex(id, hex);
    return join(out, dir, "incoming/", hex, suffix);
}
