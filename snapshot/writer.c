/* Writes one snapshot file, from header to footer, in one pass.
 *
 * Happy path: new writes the header to incoming/writing-<from>-<to>.tmp; add
 * gathers records until a block is full, compresses and writes it and notes
 * it in the index; finish writes index and footer, syncs, renames the file to
 * its final name within incoming/ (the name carries the content id, which is
 * known only now) and syncs that directory.
 *
 * Failure: any error makes the writer useless; abort, and finish on its own
 * failure, remove the file. A crash leaves a writing-* file that chain_open
 * removes.
 *
 * Memory: one raw block, one compressed block, and the index (below 300 bytes
 * for each 128 KiB of records). Moving the file into the chain is left to
 * chain.c. */
#include "snapshot/snapshot.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/block.h"
#include "snapshot/format.h"

struct snapshot_writer {
    char dir[PATH_MAX];
    char path[PATH_MAX];
    struct file *file;
    struct snapshot_meta meta; /* Without the configuration. */
    uint64_t seed;             /* Checksum of the header. */
    uint64_t offset;           /* End of what was written. */
    uint64_t synced;
    struct checksum_stream *content;
    struct snapshot_buffer raw;
    struct snapshot_buffer stored;
    struct snapshot_buffer index;
    struct snapshot_entry entry; /* Of the block being filled. */
    uint8_t separator[SNAPSHOT_SEPARATOR_MAX];
    struct snapshot_footer footer;
    struct snapshot_buffer last_key;
    uint8_t last_rank; /* 0: no record yet. */
    int failed;
};

/* Append to the file and to the content checksum. */
static int append(struct snapshot_writer *w, const void *data, size_t size)
{
    int rv = file_write_at(w->file, data, size, w->offset);

    if (rv != 0) {
        return rv;
    }
    checksum_stream_add(w->content, data, size);
    w->offset += size;
    if (w->offset - w->synced >= SNAPSHOT_SYNC_BYTES) {
        w->synced = w->offset;
        return file_sync(w->file);
    }
    return 0;
}

static void writer_free(struct snapshot_writer *w)
{
    file_close(w->file);
    checksum_stream_free(w->content);
    snapshot_buffer_free(&w->raw);
    snapshot_buffer_free(&w->stored);
    snapshot_buffer_free(&w->index);
    snapshot_buffer_free(&w->last_key);
    free(w);
}

void snapshot_writer_abort(struct snapshot_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->file != NULL) {
        file_close(w->file);
        w->file = NULL;
        (void)file_unlink(w->path);
    }
    writer_free(w);
}

static int check_meta(const struct snapshot_meta *meta, struct err_info *info)
{
    if (meta->from >= meta->to) {
        return err_set(info, ERR_INVALID,
                       "a snapshot cannot cover (%" PRIu64 ", %" PRIu64 "]",
                       meta->from, meta->to);
    }
    if (meta->configuration_size > SNAPSHOT_CONFIGURATION_MAX) {
        return err_set(info, ERR_TOOBIG,
                       "a configuration of %zu bytes is over the limit of %d",
                       meta->configuration_size, SNAPSHOT_CONFIGURATION_MAX);
    }
    return 0;
}

static int write_header(struct snapshot_writer *w,
                        const struct snapshot_meta *meta)
{
    uint8_t *header = malloc(SNAPSHOT_HEADER_MAX);
    size_t size;
    int rv;

    if (header == NULL) {
        return ERR_NOMEM;
    }
    size = snapshot_header_encode(meta, header, &w->seed);
    rv = append(w, header, size);
    free(header);
    return rv;
}

int snapshot_writer_new(const char *dir, const struct snapshot_meta *meta,
                        struct snapshot_writer **out, struct err_info *info)
{
    struct snapshot_writer *w;
    char name[SNAPSHOT_NAME_MAX];
    int rv = check_meta(meta, info);

    if (rv != 0) {
        return rv;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory for a snapshot writer");
    }
    w->meta = *meta;
    w->meta.configuration = NULL;
    snprintf(name, sizeof name, "writing-%" PRIu64 "-%" PRIu64 ".tmp",
             meta->from, meta->to);
    rv = snapshot_dir_copy(w->dir, dir);
    if (rv == 0) {
        rv = snapshot_incoming_path(w->path, dir, name);
    }
    if (rv == 0 && (w->content = checksum_stream_new(0)) == NULL) {
        rv = ERR_NOMEM;
    }
    if (rv == 0) {
        rv = file_open(w->path, FILE_WRITE | FILE_CREATE, &w->file);
    }
    if (rv == 0) {
        rv = file_truncate(w->file, 0);
    }
    if (rv == 0) {
        rv = write_header(w, meta);
    }
    if (rv != 0) {
        err_set(info, rv, "cannot begin the snapshot file %.300s: %s", w->path,
                err_text(rv));
        snapshot_writer_abort(w);
        return rv;
    }
    *out = w;
    return 0;
}

/* Write the block that has gathered and note it in the index. */
static int flush_block(struct snapshot_writer *w)
{
    struct snapshot_entry *entry = &w->entry;
    size_t size = SNAPSHOT_ENTRY_FIXED + entry->separator_size;
    struct byte_writer index;
    int rv;

    if (w->raw.size == 0) {
        return 0;
    }
    if (w->index.size + size > SNAPSHOT_INDEX_MAX) {
        return ERR_TOOBIG;
    }
    rv = snapshot_block_compress(w->raw.data, w->raw.size, &w->stored);
    if (rv == 0) {
        rv = snapshot_buffer_reserve(&w->index, size);
    }
    if (rv != 0) {
        return rv;
    }
    entry->raw_size = (uint32_t)w->raw.size;
    entry->stored_size = (uint32_t)w->stored.size;
    entry->checksum = checksum(w->stored.data, w->stored.size, w->seed);
    index = byte_writer(w->index.data + w->index.size, size);
    snapshot_entry_encode(&index, entry);
    w->index.size += size;
    w->footer.n_blocks++;
    w->footer.n_records += entry->n_records;
    w->footer.raw_bytes += entry->raw_size;
    snapshot_buffer_reset(&w->raw);
    return append(w, w->stored.data, w->stored.size);
}

/* The first record of a block is its address in the index. */
static void start_block(struct snapshot_writer *w,
                        const struct snapshot_record *record)
{
    size_t n = record->key.size < SNAPSHOT_SEPARATOR_MAX
                   ? record->key.size
                   : SNAPSHOT_SEPARATOR_MAX;

    if (n > 0) {
        memcpy(w->separator, record->key.data, n);
    }
    w->entry.rank = snapshot_record_rank(record->kind);
    w->entry.separator = w->separator;
    w->entry.separator_size = (uint16_t)n;
    w->entry.n_records = 0;
}

/* Remember the key that the next one must come after. */
static int remember_key(struct snapshot_writer *w,
                        const struct snapshot_record *record)
{
    int rv;

    w->last_key.size = 0;
    rv = snapshot_buffer_reserve(&w->last_key, record->key.size);
    if (rv == 0 && record->key.size > 0) {
        memcpy(w->last_key.data, record->key.data, record->key.size);
        w->last_key.size = record->key.size;
    }
    w->last_rank = snapshot_record_rank(record->kind);
    return rv;
}

static int add_record(struct snapshot_writer *w,
                      const struct snapshot_record *record)
{
    struct bytes last = {w->last_key.data, w->last_key.size};
    uint8_t rank = snapshot_record_rank(record->kind);
    size_t size = snapshot_record_size(record);
    struct byte_writer raw;
    int rv = snapshot_record_check(record, w->meta.from);

    if (rv != 0) {
        return rv;
    }
    if (w->last_rank != 0 &&
        snapshot_key_compare(w->last_rank, last, rank, record->key) >= 0) {
        return ERR_INVALID;
    }
    rv = snapshot_buffer_reserve(&w->raw, size);
    if (rv != 0) {
        return rv;
    }
    if (w->raw.size == 0) {
        start_block(w, record);
    }
    raw = byte_writer(w->raw.data + w->raw.size, size);
    snapshot_record_encode(&raw, record);
    w->raw.size += size;
    w->entry.n_records++;
    rv = remember_key(w, record);
    if (rv == 0 && w->raw.size >= SNAPSHOT_BLOCK_TARGET) {
        rv = flush_block(w);
    }
    return rv;
}

int snapshot_writer_add(struct snapshot_writer *w,
                        const struct snapshot_record *record)
{
    if (w->failed == 0) {
        w->failed = add_record(w, record);
    }
    return w->failed;
}

/* The index frame: its head was left out while entries gathered. */
static int write_index(struct snapshot_writer *w)
{
    size_t size = SNAPSHOT_SKIP_SIZE + SNAPSHOT_ENVELOPE_SIZE + w->index.size;
    uint8_t *frame = malloc(size);
    struct byte_writer out = byte_writer(frame, size);
    int rv;

    if (frame == NULL) {
        return ERR_NOMEM;
    }
    snapshot_envelope_begin(&out, SNAPSHOT_PART_INDEX);
    byte_put(&out, w->index.data, w->index.size);
    snapshot_envelope_end(&out, frame, SNAPSHOT_PART_INDEX, w->seed);
    w->footer.index_offset = w->offset;
    w->footer.index_size = size;
    rv = append(w, frame, size);
    free(frame);
    return rv;
}

/* Everything up to a complete, synced file under its temporary name. */
static int complete(struct snapshot_writer *w, struct checksum128 *content)
{
    uint8_t footer[SNAPSHOT_FOOTER_SIZE];
    int rv = w->failed;

    if (rv == 0) {
        rv = flush_block(w);
    }
    if (rv == 0) {
        rv = write_index(w);
    }
    if (rv == 0) {
        w->footer.content = checksum_stream_128(w->content);
        snapshot_footer_encode(&w->footer, w->seed, footer);
        rv = append(w, footer, sizeof footer);
    }
    if (rv == 0) {
        *content = checksum_stream_128(w->content);
        rv = file_sync(w->file);
    }
    return rv;
}

/* Give the file its final name within incoming/, durably. */
static int give_name(struct snapshot_writer *w, const char *name)
{
    char path[PATH_MAX];
    char incoming[PATH_MAX];
    int rv = snapshot_incoming_path(path, w->dir, name);

    if (rv == 0) {
        rv = snapshot_path(incoming, w->dir, "incoming");
    }
    if (rv == 0) {
        rv = file_rename(w->path, path);
    }
    if (rv == 0) {
        memcpy(w->path, path, sizeof path); /* What abort has to remove. */
        rv = file_sync_dir(incoming);
    }
    return rv;
}

int snapshot_writer_finish(struct snapshot_writer *w,
                           struct snapshot_file *file, struct err_info *info)
{
    struct snapshot_file f;
    struct checksum128 content;
    int rv = complete(w, &content);

    if (rv == 0) {
        memset(&f, 0, sizeof f);
        snapshot_id_encode(content, f.id);
        f.size = w->offset;
        f.from = w->meta.from;
        f.to = w->meta.to;
        f.to_term = w->meta.to_term;
        f.n_records = w->footer.n_records;
        f.state_hash = w->meta.state_hash;
        snapshot_name(&f, f.name);
        rv = give_name(w, f.name);
    }
    if (rv != 0) {
        err_set(info, rv,
                "cannot write the snapshot file %.300s: %s; the chain of "
                "snapshots is unchanged",
                w->path, err_text(rv));
        snapshot_writer_abort(w);
        return rv;
    }
    file_drop_cache(w->file); /* Read again only after a restart. */
    writer_free(w);
    *file = f;
    return 0;
}
