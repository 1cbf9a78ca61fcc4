/* Entries from disk back to memory: raftlog_read off the loop, raftlog_scan at
 * start-up.
 *
 * A read is answered from one consistent view: its job holds a reference to
 * each segment it reads, so that a release can not recycle the file under it,
 * and the answer is thrown away when the log was truncated or reset meanwhile
 * (raftlog_epoch). Only frames that are durable are read; newer entries are in
 * the cache. A frame that does not check is damage to what was acknowledged:
 * io.fatal. */
#include "raftlog/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

/* Frames that follow each other are read in pieces of up to this. */
enum { READ_AHEAD_MAX = 1024 * 1024 };

static int fail(struct err_info *info, int code,
                const struct reader_frame *frame, const char *what)
{
    return err_set(info, code,
                   "log segment %s: %s in the frame at offset %" PRIu64
                   " that holds entry %" PRIu64
                   ", which was durable: the disk has damaged it; wipe this "
                   "node's data directory and let it join again",
                   frame->segment->name, what, frame->offset, frame->first);
}

static int reserve(struct reader_buffer *buffer, size_t bytes)
{
    uint8_t *grown;
    if (bytes <= buffer->capacity) {
        return 0;
    }
    grown = file_buffer_new(bytes);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    file_buffer_free(buffer->data, buffer->capacity);
    buffer->data = grown;
    buffer->capacity = bytes;
    buffer->segment = NULL;
    return 0;
}

/* Have the whole frame in the buffer, and more if that is wanted: a log of
 * small frames would else cost a system call for each. */
static int fill(struct reader_buffer *buffer, const struct reader_frame *frame,
                uint64_t ahead, size_t align, struct err_info *info)
{
    uint64_t begin = frame->offset / align * align;
    uint64_t end = frame->offset + frame->frame_bytes;
    size_t size;
    int rv;
    if (buffer->segment == frame->segment && frame->offset >= buffer->begin &&
        end <= buffer->begin + buffer->size) {
        return 0;
    }
    if (ahead > begin + READ_AHEAD_MAX) {
        ahead = begin + READ_AHEAD_MAX;
    }
    end = ahead > end ? ahead : end;
    size = (size_t)((end - begin + align - 1) / align * align);
    rv = reserve(buffer, size);
    if (rv != 0) {
        return err_set(info, rv, "out of memory");
    }
    buffer->segment = NULL;
    rv = file_read_at(frame->segment->file, buffer->data, size, begin,
                      &buffer->size);
    if (rv != 0) {
        return err_set(
            info, ERR_IO,
            "log segment %s: cannot read the frame at offset %" PRIu64
            " that holds entry %" PRIu64
            ": %s; check the disk; when it can not be read there any "
            "more, wipe this node's data directory and let it join "
            "again",
            frame->segment->name, frame->offset, frame->first, err_text(rv));
    }
    if (begin + buffer->size < frame->offset + frame->frame_bytes) {
        return fail(info, ERR_CORRUPT, frame, "end of file");
    }
    buffer->segment = frame->segment;
    buffer->begin = begin;
    return 0;
}

/* Read one frame, and what stands behind it up to offset `ahead` of its
 * segment with it, so that the next call finds it in memory. *out borrows from
 * the buffer until the next call. Errors: ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
static int reader_load(struct reader_buffer *buffer,
                       const struct reader_frame *frame, uint64_t ahead,
                       const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE],
                       size_t align, struct frame_header *header,
                       const uint8_t **out, struct err_info *info)
{
    const uint8_t *at;
    int rv = fill(buffer, frame, ahead, align, info);
    if (rv != 0) {
        return rv;
    }
    at = buffer->data + (frame->offset - buffer->begin);
    if (frame_header_decode(at, frame->frame_bytes, cluster_id, header) != 0 ||
        header->segment_id != frame->segment->id ||
        header->frame_bytes != frame->frame_bytes ||
        header->first_index > frame->first ||
        header->first_index + header->n_entries <= frame->last) {
        return fail(info, ERR_CORRUPT, frame, "wrong header");
    }
    if (!frame_body_valid(header, at)) {
        return fail(info, ERR_CORRUPT, frame, "wrong checksum");
    }
    *out = at;
    return 0;
}

/* ---- raftlog_read ---------------------------------------------------------*/

struct read_job {
    struct job job;
    raftlog_read_cb cb;
    void *ctx;
    uint64_t first;
    uint64_t epoch;
    size_t bytes_max;
    size_t align;
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    struct reader_frame *frames; /* each holds a reference to its segment */
    size_t n_frames;
    struct raftlog_entry *entries; /* each holds one to its block */
    size_t n_entries, capacity;
    size_t bytes;
    int status;
    struct err_info info;
};

static int grow(struct read_job *r, size_t n)
{
    size_t capacity = r->capacity;
    struct raftlog_entry *grown;
    if (r->n_entries + n <= capacity) {
        return 0;
    }
    while (capacity < r->n_entries + n) {
        capacity = capacity == 0 ? 16 : capacity * 2;
    }
    grown = realloc(r->entries, capacity * sizeof *grown);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    r->entries = grown;
    r->capacity = capacity;
    return 0;
}

/* Whether one more entry keeps within the caller's limit. */
static bool fits(const struct read_job *r, size_t n, size_t bytes, size_t size)
{
    return n == 0 || bytes + size <= r->bytes_max;
}

/* Decode the wanted records of a body and copy them into one block. */
static int take_records(struct read_job *r, const struct reader_frame *frame,
                        const struct frame_header *h, const uint8_t *at)
{
    struct byte_reader reader =
        byte_reader(at + FRAME_HEADER_SIZE, h->body_bytes);
    size_t n_before = r->n_entries;
    size_t payload = 0;
    uint8_t *block;
    for (uint64_t i = h->first_index; i <= frame->last; i++) {
        struct raftlog_entry e;
        if (record_decode(&reader, &e) != 0) {
            r->n_entries = n_before;
            return ERR_CORRUPT;
        }
        if (i < frame->first) {
            continue;
        }
        if (!fits(r, r->n_entries, r->bytes + payload, e.size)) {
            break;
        }
        if (grow(r, 1) != 0) {
            r->n_entries = n_before;
            return ERR_NOMEM;
        }
        payload += e.size;
        r->entries[r->n_entries++] = e;
    }
    block = block_new(payload == 0 ? 1 : payload);
    if (block == NULL) {
        r->n_entries = n_before;
        return ERR_NOMEM;
    }
    r->bytes += payload;
    payload = 0;
    for (size_t i = n_before; i < r->n_entries; i++) {
        struct raftlog_entry *e = &r->entries[i];
        if (e->size > 0) {
            memcpy(block + payload, e->data, e->size);
        }
        e->data = block + payload;
        e->block = block_ref(block);
        payload += e->size;
    }
    block_unref(block);
    return 0;
}

/* Where the frames of the job in the segment of frame i end. */
static uint64_t piece_end(const struct read_job *r, size_t i)
{
    uint64_t end = r->frames[i].offset + r->frames[i].frame_bytes;
    for (i++;
         i < r->n_frames && r->frames[i].segment == r->frames[i - 1].segment;
         i++) {
        end = r->frames[i].offset + r->frames[i].frame_bytes;
    }
    return end;
}

static void read_run(struct job *job)
{
    struct read_job *r = (struct read_job *)job;
    struct reader_buffer buffer;
    uint64_t ahead = 0;
    memset(&buffer, 0, sizeof buffer);
    for (size_t i = 0; i < r->n_frames && r->status == 0; i++) {
        const struct reader_frame *frame = &r->frames[i];
        struct frame_header h;
        const uint8_t *at;
        if (r->n_entries > 0 && r->bytes >= r->bytes_max) {
            break;
        }
        if (i == 0 || frame->segment != r->frames[i - 1].segment) {
            ahead = piece_end(r, i);
        }
        r->status = reader_load(&buffer, frame, ahead, r->cluster_id, r->align,
                                &h, &at, &r->info);
        if (r->status != 0) {
            break;
        }
        r->status = take_records(r, frame, &h, at);
        if (r->status == ERR_CORRUPT) {
            (void)fail(&r->info, ERR_CORRUPT, frame, "a broken record");
        }
        if (r->first + r->n_entries <= frame->last) {
            break; /* the limit was reached inside this frame */
        }
    }
    file_buffer_free(buffer.data, buffer.capacity);
}

static void drop_segments(struct read_job *r)
{
    for (size_t i = 0; i < r->n_frames; i++) {
        raftlog_internal_segment_unref(r->frames[i].segment);
    }
    r->n_frames = 0;
}

static void read_finish(struct job *job)
{
    struct read_job *r = (struct read_job *)job;
    struct raftlog *log = job->log;
    int status = r->status;
    log->n_reads--;
    drop_segments(r);
    if (status == ERR_CORRUPT || status == ERR_IO) {
        raftlog_internal_fail(log, &r->info);
    }
    if (log->stopped || log->closing) {
        status = ERR_STOPPED;
    } else if (status == 0 &&
               (r->epoch != log->epoch || r->first <= log->index.base)) {
        status = ERR_NOTFOUND;
    }
    space_release(log);
    r->cb(r->ctx, status, r->first, status == 0 ? r->entries : NULL,
          status == 0 ? r->n_entries : 0);
}

static void read_destroy(struct job *job)
{
    struct read_job *r = (struct read_job *)job;
    drop_segments(r);
    for (size_t i = 0; i < r->n_entries; i++) {
        block_unref(r->entries[i].block);
    }
    free(r->entries);
    free(r->frames);
    free(r);
}

/* Reference cached entries from first on; no disk is needed. */
static int collect_cached(const struct raftlog *log, struct read_job *r,
                          uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++) {
        const struct raftlog_entry *e = cache_get(&log->cache, i);
        if (!fits(r, r->n_entries, r->bytes, e->size)) {
            break;
        }
        if (grow(r, 1) != 0) {
            return ERR_NOMEM;
        }
        r->entries[r->n_entries] = *e;
        (void)block_ref(e->block);
        r->n_entries++;
        r->bytes += e->size;
    }
    return 0;
}

/* Name the frames that hold first..last, but not more than the limit in bytes
 * on disk: that bounds what one read costs the disk. */
static int collect_frames(const struct raftlog *log, struct read_job *r,
                          uint64_t first, uint64_t last)
{
    const struct frame_ref *end = log_index_frames_end(&log->index);
    const struct frame_ref *begin = log_index_frame(&log->index, first);
    const struct frame_ref *f;
    size_t n = 0;
    uint64_t bytes = 0;
    assert(begin != NULL);
    for (f = begin; f < end && f->first <= last; f++) {
        n++;
        bytes += f->frame_bytes;
        if (bytes > r->bytes_max + READ_AHEAD_MAX) {
            break;
        }
    }
    r->frames = calloc(n, sizeof *r->frames);
    if (r->frames == NULL) {
        return ERR_NOMEM;
    }
    for (f = begin; r->n_frames < n; f++) {
        struct reader_frame *to = &r->frames[r->n_frames++];
        to->segment = f->segment;
        to->offset = f->offset;
        to->frame_bytes = f->frame_bytes;
        to->first = f->first > first ? f->first : first;
        to->last = f->last < last ? f->last : last;
        f->segment->refs++;
    }
    return 0;
}

int raftlog_read(struct raftlog *log, uint64_t first, uint64_t last,
                 size_t bytes_max, raftlog_read_cb cb, void *ctx)
{
    struct read_job *r;
    int rv;
    if (log->stopped || log->closing) {
        return ERR_STOPPED;
    }
    if (first <= log->index.base || first > last || last > log->index.last) {
        return ERR_NOTFOUND;
    }
    if (log->n_reads >= RAFTLOG_READS_MAX) {
        return ERR_BUSY;
    }
    r = calloc(1, sizeof *r);
    if (r == NULL) {
        return ERR_NOMEM;
    }
    r->job.run = read_run;
    r->job.finish = read_finish;
    r->job.destroy = read_destroy;
    r->cb = cb;
    r->ctx = ctx;
    r->first = first;
    r->epoch = log->epoch;
    r->bytes_max = bytes_max;
    r->align = log->align;
    memcpy(r->cluster_id, log->options.cluster_id, sizeof r->cluster_id);
    if (cache_get(&log->cache, first) != NULL) {
        rv = collect_cached(log, r, first, last);
    } else {
        if (last >= log->cache.first) {
            last = log->cache.first - 1; /* the rest is another read's */
        }
        rv = collect_frames(log, r, first, last);
    }
    if (rv != 0) {
        read_destroy(&r->job);
        return rv;
    }
    log->n_reads++;
    job_start(log, &r->job);
    return 0;
}

/* ---- raftlog_scan ---------------------------------------------------------*/

static int scan_frame(struct raftlog *log, struct reader_buffer *buffer,
                      const struct frame_ref *f, uint64_t first, uint64_t last,
                      raftlog_scan_cb cb, void *ctx, struct err_info *info)
{
    struct reader_frame frame = {f->segment, f->offset, f->frame_bytes,
                                 f->first, f->last};
    struct byte_reader reader;
    struct frame_header h;
    const uint8_t *at;
    int rv = reader_load(buffer, &frame, f->segment->end,
                         log->options.cluster_id, log->align, &h, &at, info);
    if (rv != 0) {
        return rv;
    }
    reader = byte_reader(at + FRAME_HEADER_SIZE, h.body_bytes);
    for (uint64_t i = h.first_index; i <= f->last && i <= last; i++) {
        struct raftlog_entry e;
        if (record_decode(&reader, &e) != 0) {
            return fail(info, ERR_CORRUPT, &frame, "a broken record");
        }
        rv = i < f->first || i < first ? 0 : cb(ctx, i, &e);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int raftlog_scan(struct raftlog *log, uint64_t first, uint64_t last,
                 raftlog_scan_cb cb, void *ctx, struct err_info *info)
{
    struct reader_buffer buffer;
    int rv = 0;
    memset(&buffer, 0, sizeof buffer);
    if (first > last) {
        return 0;
    }
    if (first <= log->index.base || last > log->index.last) {
        return err_set(info, ERR_NOTFOUND,
                       "entries %" PRIu64 "..%" PRIu64
                       " are not in the log (%" PRIu64 "..%" PRIu64 ")",
                       first, last, log->index.base + 1, log->index.last);
    }
    while (rv == 0 && first <= last) {
        const struct raftlog_entry *e = cache_get(&log->cache, first);
        if (e != NULL) {
            rv = cb(ctx, first, e);
            first++;
        } else {
            const struct frame_ref *f = log_index_frame(&log->index, first);
            uint64_t next = f->last + 1;
            rv = scan_frame(log, &buffer, f, first, last, cb, ctx, info);
            first = next;
        }
    }
    file_buffer_free(buffer.data, buffer.capacity);
    return rv;
}
