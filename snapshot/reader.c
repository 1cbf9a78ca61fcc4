/* Reads a snapshot file: as a stream, or from a key on.
 *
 * open checks header, footer and index, so that the size and checksum of each
 * block are known before the block is read; next loads one block at a time,
 * checks it, and hands out its records; seek finds the block through the
 * index. Together the checksums cover every byte of the file.
 *
 * Memory: the index, one stored and one raw block. */
#include "snapshot/snapshot.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/block.h"
#include "snapshot/format.h"

struct snapshot_reader {
    char path[PATH_MAX];
    struct file *file;
    uint64_t size;
    uint8_t *header; /* The meta's configuration borrows from it. */
    size_t header_size;
    uint64_t seed;
    struct snapshot_meta meta;
    struct snapshot_footer footer;
    uint8_t *index; /* The entries' separators borrow from it. */
    struct snapshot_entry *entries;
    struct snapshot_decoder *decoder;
    struct snapshot_buffer stored;
    struct snapshot_buffer raw;
    struct byte_reader at;         /* Within raw. */
    uint64_t next_block;           /* To load when `at` is used up. */
    uint64_t block;                /* Loaded last. */
    uint32_t n_left;               /* Records of the loaded block to come. */
    struct snapshot_record peeked; /* Found by seek, for next. */
    bool has_peeked;
    struct snapshot_buffer last_key;
    uint8_t last_rank; /* 0: nothing to compare with. */
};

static int damaged(const struct snapshot_reader *r, struct err_info *info,
                   const char *what, uint64_t offset)
{
    return err_set(info, ERR_CORRUPT,
                   "snapshot file %.300s is damaged: %s at byte %llu; fetch it "
                   "again from another node",
                   r->path, what, (unsigned long long)offset);
}

/* The message for a part that did not decode. */
static int refused(const struct snapshot_reader *r, struct err_info *info,
                   int rv, const char *what, uint64_t offset)
{
    if (rv == ERR_VERSION) {
        return err_set(info, rv,
                       "snapshot file %.300s was written by a newer version "
                       "of this program; upgrade this node",
                       r->path);
    }
    if (rv == ERR_CORRUPT) {
        return damaged(r, info, what, offset);
    }
    return err_set(info, rv, "cannot read snapshot file %.300s: %s", r->path,
                   err_text(rv));
}

/* Read exactly size bytes; the file was long enough when it was opened. */
static int read_exactly(struct snapshot_reader *r, void *buf, size_t size,
                        uint64_t offset)
{
    size_t n;
    int rv = file_read_at(r->file, buf, size, offset, &n);

    if (rv == 0 && n != size) {
        rv = ERR_CORRUPT;
    }
    return rv;
}

static int load_header(struct snapshot_reader *r)
{
    uint8_t head[SNAPSHOT_SKIP_SIZE + SNAPSHOT_ENVELOPE_HEAD];
    int rv = read_exactly(r, head, sizeof head, 0);

    if (rv == 0) {
        rv = snapshot_header_size(head, &r->header_size);
    }
    if (rv != 0) {
        return rv;
    }
    r->header = malloc(r->header_size);
    if (r->header == NULL) {
        return ERR_NOMEM;
    }
    rv = read_exactly(r, r->header, r->header_size, 0);
    if (rv == 0) {
        rv = snapshot_header_decode(r->header, r->header_size, &r->meta,
                                    &r->seed);
    }
    return rv;
}

static int load_footer(struct snapshot_reader *r)
{
    uint8_t data[SNAPSHOT_FOOTER_SIZE];
    struct snapshot_footer *f = &r->footer;
    uint64_t end;
    int rv;

    if (r->size < r->header_size + sizeof data) {
        return ERR_CORRUPT;
    }
    end = r->size - sizeof data;
    rv = read_exactly(r, data, sizeof data, end);
    if (rv == 0) {
        rv = snapshot_footer_decode(data, r->seed, f);
    }
    if (rv != 0) {
        return rv;
    }
    if (f->index_offset < r->header_size || f->index_offset > end ||
        f->index_size != end - f->index_offset ||
        f->index_size >
            SNAPSHOT_INDEX_MAX + SNAPSHOT_SKIP_SIZE + SNAPSHOT_ENVELOPE_SIZE ||
        f->n_blocks > f->index_size / SNAPSHOT_ENTRY_FIXED) {
        return ERR_CORRUPT;
    }
    return 0;
}

/* Decode the entries and check that they add up to the file. */
static int check_entries(struct snapshot_reader *r, struct byte_reader body)
{
    uint64_t offset = r->header_size;
    uint64_t n_records = 0;
    uint64_t raw_bytes = 0;

    for (uint64_t i = 0; i < r->footer.n_blocks; i++) {
        struct snapshot_entry *e = &r->entries[i];
        int rv = snapshot_entry_decode(&body, e);

        if (rv != 0) {
            return rv;
        }
        if (e->stored_size > snapshot_block_bound(e->raw_size)) {
            return ERR_CORRUPT;
        }
        e->offset = offset;
        offset += e->stored_size;
        n_records += e->n_records;
        raw_bytes += e->raw_size;
    }
    if (byte_left(&body) > 0 || offset != r->footer.index_offset ||
        n_records != r->footer.n_records || raw_bytes != r->footer.raw_bytes) {
        return ERR_CORRUPT;
    }
    return 0;
}

static int load_index(struct snapshot_reader *r)
{
    size_t size = (size_t)r->footer.index_size;
    struct byte_reader body;
    int rv;

    r->index = malloc(size);
    r->entries = calloc((size_t)r->footer.n_blocks + 1, sizeof *r->entries);
    if (r->index == NULL || r->entries == NULL) {
        return ERR_NOMEM;
    }
    rv = read_exactly(r, r->index, size, r->footer.index_offset);
    if (rv == 0) {
        rv = snapshot_index_open(r->index, size, r->seed, &body);
    }
    if (rv == 0) {
        rv = check_entries(r, body);
    }
    return rv;
}

static int load(struct snapshot_reader *r, struct err_info *info)
{
    int rv = file_open(r->path, FILE_READ, &r->file);

    if (rv == 0) {
        rv = file_size(r->file, &r->size);
    }
    if (rv == 0) {
        rv = snapshot_decoder_new(&r->decoder);
    }
    if (rv != 0) {
        return refused(r, info, rv, "", 0);
    }
    rv = load_header(r);
    if (rv != 0) {
        return refused(r, info, rv, "bad header", 0);
    }
    rv = load_footer(r);
    if (rv != 0) {
        return refused(r, info, rv, "bad or missing footer", r->size);
    }
    rv = load_index(r);
    if (rv != 0) {
        return refused(r, info, rv, "bad index", r->footer.index_offset);
    }
    r->at = byte_reader(NULL, 0);
    return 0;
}

int snapshot_reader_open(const char *path, struct snapshot_reader **out,
                         struct err_info *info)
{
    struct snapshot_reader *r = calloc(1, sizeof *r);
    size_t n = strlen(path);
    int rv;

    if (r == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory for a snapshot reader");
    }
    if (n >= sizeof r->path) {
        free(r);
        return err_set(info, ERR_INVALID, "path of a snapshot is too long");
    }
    memcpy(r->path, path, n + 1);
    rv = load(r, info);
    if (rv != 0) {
        snapshot_reader_close(r);
        return rv;
    }
    *out = r;
    return 0;
}

void snapshot_reader_close(struct snapshot_reader *r)
{
    if (r == NULL) {
        return;
    }
    file_close(r->file);
    snapshot_decoder_free(r->decoder);
    snapshot_buffer_free(&r->stored);
    snapshot_buffer_free(&r->raw);
    snapshot_buffer_free(&r->last_key);
    free(r->entries);
    free(r->index);
    free(r->header);
    free(r);
}

const struct snapshot_meta *
snapshot_reader_meta(const struct snapshot_reader *r)
{
    return &r->meta;
}

uint64_t snapshot_reader_n_records(const struct snapshot_reader *r)
{
    return r->footer.n_records;
}

/* ---- records --------------------------------------------------------------*/

/* Load, check and decompress the next block. */
static int load_block(struct snapshot_reader *r)
{
    const struct snapshot_entry *e = &r->entries[r->next_block];
    int rv;

    r->block = r->next_block;
    snapshot_buffer_reset(&r->stored);
    snapshot_buffer_reset(&r->raw);
    rv = snapshot_buffer_reserve(&r->stored, e->stored_size);
    if (rv == 0) {
        rv = snapshot_buffer_reserve(&r->raw, e->raw_size);
    }
    if (rv == 0) {
        rv = read_exactly(r, r->stored.data, e->stored_size, e->offset);
    }
    if (rv == 0 &&
        checksum(r->stored.data, e->stored_size, r->seed) != e->checksum) {
        rv = ERR_CORRUPT;
    }
    if (rv == 0) {
        rv =
            snapshot_block_decompress(r->decoder, r->stored.data,
                                      e->stored_size, r->raw.data, e->raw_size);
    }
    if (rv == 0) {
        r->at = byte_reader(r->raw.data, e->raw_size);
        r->n_left = e->n_records;
        r->next_block++;
    }
    return rv;
}

/* The index must name the block by its first key, or seek goes astray. */
static bool is_first_of_block(const struct snapshot_reader *r,
                              const struct snapshot_record *record)
{
    const struct snapshot_entry *e = &r->entries[r->block];
    size_t n = record->key.size < SNAPSHOT_SEPARATOR_MAX
                   ? record->key.size
                   : SNAPSHOT_SEPARATOR_MAX;

    return e->rank == snapshot_record_rank(record->kind) &&
           e->separator_size == n &&
           (n == 0 || memcmp(e->separator, record->key.data, n) == 0);
}

/* Records ascend strictly; remember this one for the next. */
static int check_order(struct snapshot_reader *r,
                       const struct snapshot_record *record)
{
    struct bytes last = {r->last_key.data, r->last_key.size};
    uint8_t rank = snapshot_record_rank(record->kind);
    int rv;

    if (r->last_rank != 0 &&
        snapshot_key_compare(r->last_rank, last, rank, record->key) >= 0) {
        return ERR_CORRUPT;
    }
    r->last_key.size = 0;
    rv = snapshot_buffer_reserve(&r->last_key, record->key.size);
    if (rv != 0) {
        return rv;
    }
    if (record->key.size > 0) {
        memcpy(r->last_key.data, record->key.data, record->key.size);
        r->last_key.size = record->key.size;
    }
    r->last_rank = rank;
    return 0;
}

static int next_record(struct snapshot_reader *r,
                       struct snapshot_record *record)
{
    bool first = r->n_left == 0;
    int rv = first ? load_block(r) : 0;

    if (rv == 0) {
        rv = snapshot_record_decode(&r->at, record);
    }
    if (rv == 0 && snapshot_record_check(record, r->meta.from) != 0) {
        rv = ERR_CORRUPT;
    }
    if (rv == 0 && first && !is_first_of_block(r, record)) {
        rv = ERR_CORRUPT;
    }
    if (rv == 0) {
        rv = check_order(r, record);
    }
    if (rv == 0) {
        r->n_left--;
        if (r->n_left == 0 && byte_left(&r->at) > 0) {
            rv = ERR_CORRUPT;
        }
    }
    return rv;
}

int snapshot_reader_next(struct snapshot_reader *r,
                         struct snapshot_record *record, struct err_info *info)
{
    struct snapshot_record out;
    int rv;

    if (r->has_peeked) {
        r->has_peeked = false;
        *record = r->peeked;
        return 1;
    }
    if (r->n_left == 0 && r->next_block == r->footer.n_blocks) {
        return 0;
    }
    rv = next_record(r, &out);
    if (rv != 0) {
        return refused(r, info, rv, "bad block", r->entries[r->block].offset);
    }
    *record = out;
    return 1;
}

/* Whether all records of the blocks before this one surely sort below key. The
 * index keeps only the head of a long key; a head that key begins with does
 * not say which of the two is larger. */
static bool starts_at_or_below(const struct snapshot_entry *e, struct bytes key)
{
    struct bytes separator = {e->separator, e->separator_size};

    if (e->separator_size < SNAPSHOT_SEPARATOR_MAX) {
        return snapshot_key_compare(e->rank, separator, 2, key) <= 0;
    }
    if (key.size > SNAPSHOT_SEPARATOR_MAX) {
        key.size = SNAPSHOT_SEPARATOR_MAX;
    }
    return snapshot_key_compare(e->rank, separator, 2, key) < 0;
}

int snapshot_reader_seek(struct snapshot_reader *r, struct bytes key,
                         struct err_info *info)
{
    uint64_t low = 0;
    uint64_t high = r->footer.n_blocks;
    struct snapshot_record record;
    int rv;

    /* low - 1 becomes the last block that starts at or below key. */
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (starts_at_or_below(&r->entries[middle], key)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    r->next_block = low > 0 ? low - 1 : 0;
    r->n_left = 0;
    r->last_rank = 0;
    r->has_peeked = false;
    while ((rv = snapshot_reader_next(r, &record, info)) == 1) {
        if (snapshot_key_compare(snapshot_record_rank(record.kind), record.key,
                                 2, key) >= 0) {
            r->peeked = record;
            r->has_peeked = true;
            return 0;
        }
    }
    return rv;
}
