/* Byte layout of snapshot files: what the files of this folder share.
 *
 * Pure: encodes into and decodes from memory, knows no file. The layout itself
 * is drawn in README.md. Not for use outside this folder. */
#ifndef SNAPSHOT_FORMAT_H
#define SNAPSHOT_FORMAT_H

#include "snapshot/snapshot.h"

enum {
    SNAPSHOT_VERSION = 1,
    /* A block is closed when it holds this many raw bytes. */
    SNAPSHOT_BLOCK_TARGET = 128 * 1024,
    /* "K type expire key_size value_size\n" at its longest. */
    SNAPSHOT_LINE_MAX = 64,
    SNAPSHOT_BLOCK_RAW_MAX = SNAPSHOT_BLOCK_TARGET + SNAPSHOT_LINE_MAX +
                             SNAPSHOT_KEY_MAX + SNAPSHOT_VALUE_MAX + 2,
    /* How much of a block's first key the index keeps. */
    SNAPSHOT_SEPARATOR_MAX = 256,
    SNAPSHOT_INDEX_MAX = 256 * 1024 * 1024,
    /* Lz4 skippable frame: magic and size. */
    SNAPSHOT_SKIP_SIZE = 8,
    /* Envelope: magic, version, length ... checksum. */
    SNAPSHOT_ENVELOPE_HEAD = 16,
    SNAPSHOT_ENVELOPE_SIZE = SNAPSHOT_ENVELOPE_HEAD + 8,
    SNAPSHOT_HEADER_FIXED = 16 + 4 * 8 + 16 + 8 + 4,
    SNAPSHOT_HEADER_MAX = SNAPSHOT_SKIP_SIZE + SNAPSHOT_ENVELOPE_SIZE +
                          SNAPSHOT_HEADER_FIXED + SNAPSHOT_CONFIGURATION_MAX,
    SNAPSHOT_FOOTER_SIZE =
        SNAPSHOT_SKIP_SIZE + SNAPSHOT_ENVELOPE_SIZE + 5 * 8 + 16,
    SNAPSHOT_ENTRY_FIXED = 4 + 4 + 4 + 8 + 1 + 2,
    /* Written files are synced in steps of this, so that the last sync does
     * not find gigabytes to write while the log waits for the same disk. */
    SNAPSHOT_SYNC_BYTES = 8 * 1024 * 1024
};

/* Magic numbers of the three skippable frames. */
enum snapshot_part {
    SNAPSHOT_PART_HEADER = 0,
    SNAPSHOT_PART_INDEX = 1,
    SNAPSHOT_PART_FOOTER = 2,
    SNAPSHOT_PART_MANIFEST = 3 /* not in a frame */
};

struct snapshot_footer {
    uint64_t index_offset; /* of the index frame */
    uint64_t index_size;   /* of the whole frame */
    uint64_t n_blocks;
    uint64_t n_records;
    uint64_t raw_bytes;
    struct checksum128 content; /* of every byte before the footer */
};

/* One block, as the index describes it. */
struct snapshot_entry {
    uint64_t offset; /* Derived: blocks follow each other. */
    uint32_t stored_size;
    uint32_t raw_size;
    uint32_t n_records;
    uint64_t checksum; /* of the stored bytes, seeded */
    uint8_t rank;      /* of the first record */
    uint16_t separator_size;
    const uint8_t *separator; /* Borrowed from the index. */
};

/* Growing memory. */
struct snapshot_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};
/* Room for n more bytes; 0 or ERR_NOMEM. */
int snapshot_buffer_reserve(struct snapshot_buffer *b, size_t n);
/* Make it empty, and give memory back that one large record took. */
void snapshot_buffer_reset(struct snapshot_buffer *b);
void snapshot_buffer_free(struct snapshot_buffer *b);

/* ---- envelopes: magic, version, length, body, checksum ------------------- */

/* Start an envelope (behind a skippable frame's head when framed) and end it;
 * end fills in the lengths and adds the checksum, which it returns. */
void snapshot_envelope_begin(struct byte_writer *w, enum snapshot_part part);
uint64_t snapshot_envelope_end(struct byte_writer *w, uint8_t *start,
                               enum snapshot_part part, uint64_t seed);
/* Check an envelope that fills data exactly; *body is what it holds and
 * *sum (may be NULL) its checksum. Errors: ERR_CORRUPT, ERR_VERSION. */
int snapshot_envelope_open(const void *data, size_t size,
                           enum snapshot_part part, uint64_t seed,
                           struct byte_reader *body, uint64_t *sum);

/* ---- parts of a file ------------------------------------------------------
 */

/* out has SNAPSHOT_HEADER_MAX bytes; *sum seeds all other checksums. */
size_t snapshot_header_encode(const struct snapshot_meta *meta, uint8_t *out,
                              uint64_t *sum);
/* The size of the header frame, from its first SNAPSHOT_SKIP_SIZE +
 * SNAPSHOT_ENVELOPE_HEAD bytes. Errors: ERR_CORRUPT, ERR_VERSION. */
int snapshot_header_size(const uint8_t *data, size_t *size);
/* meta->configuration borrows from data. */
int snapshot_header_decode(const uint8_t *data, size_t size,
                           struct snapshot_meta *meta, uint64_t *sum);

void snapshot_footer_encode(const struct snapshot_footer *footer, uint64_t seed,
                            uint8_t out[SNAPSHOT_FOOTER_SIZE]);
int snapshot_footer_decode(const uint8_t data[SNAPSHOT_FOOTER_SIZE],
                           uint64_t seed, struct snapshot_footer *footer);

/* *body runs over the entries. */
int snapshot_index_open(const uint8_t *data, size_t size, uint64_t seed,
                        struct byte_reader *body);
void snapshot_entry_encode(struct byte_writer *w,
                           const struct snapshot_entry *entry);
/* Everything but the offset. Errors: ERR_CORRUPT. */
int snapshot_entry_decode(struct byte_reader *r, struct snapshot_entry *entry);

/* ---- records --------------------------------------------------------------
 */

/* 0, or ERR_INVALID for what no record may be, ERR_TOOBIG. */
int snapshot_record_check(const struct snapshot_record *record, uint64_t from);
size_t snapshot_record_size(const struct snapshot_record *record);
void snapshot_record_encode(struct byte_writer *w,
                            const struct snapshot_record *record);
/* Key and value borrow from the reader's memory. Errors: ERR_CORRUPT. */
int snapshot_record_decode(struct byte_reader *r,
                           struct snapshot_record *record);
/* META is 1; KEY and TOMBSTONE, which share one name space, are 2. */
uint8_t snapshot_record_rank(enum snapshot_record_kind kind);
/* Order of (rank, key): negative, 0, positive. */
int snapshot_key_compare(uint8_t rank_a, struct bytes a, uint8_t rank_b,
                         struct bytes b);

/* ---- names ----------------------------------------------------------------
 */

/* base-<to>-<id8>.lz4 or delta-<from>-<to>-<id8>.lz4, id8 being the first
 * eight hex digits of the content id: files with other content never share a
 * name, so that adopting one cannot overwrite another. */
void snapshot_name(const struct snapshot_file *file,
                   char out[SNAPSHOT_NAME_MAX]);
void snapshot_id_hex(const uint8_t id[SNAPSHOT_ID_SIZE],
                     char out[2 * SNAPSHOT_ID_SIZE + 1]);
void snapshot_id_encode(struct checksum128 content,
                        uint8_t out[SNAPSHOT_ID_SIZE]);
/* out (PATH_MAX bytes) = dir/name or dir/incoming/name; ERR_INVALID when too
 * long. */
int snapshot_path(char *out, const char *dir, const char *name);
/* out (PATH_MAX bytes) = dir. */
int snapshot_dir_copy(char *out, const char *dir);
int snapshot_incoming_path(char *out, const char *dir, const char *name);
/* dir/incoming/<hex id><suffix>: ".part" grows, ".ok" has been verified. */
int snapshot_received_path(char *out, const char *dir,
                           const uint8_t id[SNAPSHOT_ID_SIZE],
                           const char *suffix);

/* ---- manifest -------------------------------------------------------------
 */

/* 0 when m is what a manifest may be, else ERR_INVALID and a word in *why. */
int snapshot_manifest_check(const struct snapshot_manifest *m,
                            const char **why);
/* The file with this content id, or NULL. */
const struct snapshot_file *
snapshot_manifest_find(const struct snapshot_manifest *m,
                       const uint8_t id[SNAPSHOT_ID_SIZE]);

#endif
