/* What an owner may look at from outside: files, room, and whether something
 * has happened. Changes nothing. */
#include "raftlog/internal.h"

#include <string.h>

/* kind, term and size of a record at their longest */
_Static_assert(RAFTLOG_ENTRY_OVERHEAD >= 1 + BYTE_VARINT_MAX + 5,
               "a record is larger than its owner is told");

/* A file may end with a gap as large as the largest entry; a frame costs its
 * header and the padding of its last block. */
static uint64_t usable(const struct raftlog *log, uint64_t bytes,
                       size_t entry_bytes_max)
{
    uint64_t gap = (uint64_t)entry_bytes_max + RAFTLOG_ENTRY_OVERHEAD;
    uint64_t n_frames = bytes / log->options.batch_bytes_max + 2;
    uint64_t lost = n_frames * (FRAME_HEADER_SIZE + log->align) + gap;
    return bytes > lost ? bytes - lost : 0;
}

/* The same of a file of the pool. */
static uint64_t usable_fresh(const struct raftlog *log, uint64_t file_bytes,
                             size_t entry_bytes_max)
{
    uint64_t own = (1 + SPACE_RESERVED_BLOCKS) * log->align;
    return usable(log, file_bytes > own ? file_bytes - own : 0,
                  entry_bytes_max);
}

bool raftlog_fits_segment(const struct raftlog *log, size_t entry_bytes)
{
    return usable_fresh(log, log->options.segment_bytes, entry_bytes) >=
           (uint64_t)entry_bytes + RAFTLOG_ENTRY_OVERHEAD;
}

uint64_t raftlog_room(const struct raftlog *log, size_t entry_bytes_max)
{
    uint64_t room;
    if (log->stopped || log->closing) {
        return 0;
    }
    room = log->rotating ? 0 : usable(log, space_left(log), entry_bytes_max);
    for (size_t i = 0; i < log->n_pool; i++) {
        room += usable_fresh(log, log->pool[i].bytes, entry_bytes_max);
    }
    return room > log->unframed_bytes ? room - log->unframed_bytes : 0;
}

int raftlog_wait(const struct raftlog *log, int timeout_ms)
{
    return file_queue_wait(log->queue, timeout_ms);
}

uint64_t raftlog_frame_bytes(const struct raftlog *log, uint64_t first)
{
    const struct frame_ref *f = NULL;
    uint64_t bytes;
    if (first > log->index.base && first <= log->index.last) {
        f = log_index_frame(&log->index, first);
    }
    if (f == NULL) {
        return 0;
    }
    bytes = f->segment->end - f->offset;
    for (const struct segment *s = f->segment->next; s != NULL; s = s->next) {
        bytes += s->end - log->align;
    }
    return bytes;
}

/* Since when a segment is sealed: since the next one was begun. */
static uint64_t sealed_ms(const struct raftlog *log, const struct segment *s)
{
    int64_t now = (int64_t)log->io.now_ms(log->io.ctx);
    return s->next != NULL && now > s->next->begun_ms
               ? (uint64_t)(now - s->next->begun_ms)
               : 0;
}

/* What the frames from *f on say of segment s; they follow each other as the
 * segments do. */
static void describe(const struct raftlog *log, const struct segment *s,
                     const struct frame_ref **f, struct raftlog_file *out)
{
    const struct frame_ref *end = log_index_frames_end(&log->index);
    memset(out, 0, sizeof *out);
    memcpy(out->name, s->name, sizeof out->name);
    out->file_bytes = s->bytes;
    out->used_bytes = s->end;
    out->active = s == log->active;
    out->sealed_ms = sealed_ms(log, s);
    out->first_index = s->first_index;
    out->last_index = s->first_index - 1;
    for (bool first = true; *f != NULL && *f < end && (*f)->segment == s;
         (*f)++) {
        out->first_index = first ? (*f)->first : out->first_index;
        out->last_index = (*f)->last;
        first = false;
    }
}

size_t raftlog_files(const struct raftlog *log, struct raftlog_file *files,
                     size_t max)
{
    const struct frame_ref *f = NULL;
    size_t n = 0;
    if (log->index.base < log->index.last) {
        f = log_index_frame(&log->index, log->index.base + 1);
    }
    for (const struct segment *s = log->segments; s != NULL; s = s->next) {
        struct raftlog_file file;
        describe(log, s, &f, &file);
        if (n < max) {
            files[n] = file;
        }
        n++;
    }
    return n;
}

/* ---- what may go ----------------------------------------------------------*/

uint64_t raftlog_sealed_before(const struct raftlog *log, uint64_t age_ms)
{
    uint64_t through = 0;
    for (const struct segment *s = log->segments;
         s != log->active && sealed_ms(log, s) >= age_ms; s = s->next) {
        through = s->max_index > through ? s->max_index : through;
    }
    return through;
}

uint64_t raftlog_beyond(const struct raftlog *log, uint64_t index,
                        uint64_t bytes)
{
    const struct segment *end = log->segments;
    uint64_t total = log->segments->bytes;
    uint64_t through = 0;
    while (end != log->active && end->max_index <= index) {
        end = end->next;
        total += end->bytes;
    }
    for (const struct segment *s = log->segments; s != end && total > bytes;
         s = s->next) {
        total -= s->bytes;
        through = s->max_index > through ? s->max_index : through;
    }
    return through;
}

uint64_t raftlog_oldest(const struct raftlog *log, uint64_t bytes)
{
    const struct segment *s = log->segments;
    uint64_t total = 0;
    uint64_t through = s == log->active ? UINT64_MAX : 0;
    if (log->releasing) {
        return 0;
    }
    while (s != log->active && (through == 0 || total < bytes)) {
        total += s->bytes;
        through = s->max_index > through ? s->max_index : through;
        s = s->next;
    }
    return through;
}

uint64_t raftlog_kept_bytes(const struct raftlog *log, uint64_t index,
                            uint64_t *oldest_ms)
{
    uint64_t bytes = 0;
    *oldest_ms = 0;
    for (const struct segment *s = log->segments;
         s != log->active && s->max_index <= index; s = s->next) {
        *oldest_ms = bytes == 0 ? sealed_ms(log, s) : *oldest_ms;
        bytes += s->bytes;
    }
    return bytes;
}
