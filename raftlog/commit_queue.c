/* From memory to disk: group commit.
 *
 * Happy path: raftlog_append and raftlog_set_hard_state only change memory and
 * call commit_pump. The pump starts what is due:
 *   1. a hard state that is not durable: one block into the older slot;
 *   2. else, if no frame is in flight, one frame with the pending truncation
 *      or reset and as many entries as fit;
 *   3. nothing fits the active segment: space_rotate, whose job pumps again.
 * Under a weaker sync policy a frame of plain entries is written without being
 * synced (sync.c), unless a sync is behind; any other one, and a rotation,
 * waits until nothing before it is unsynced. A completion moves the durable
 * index and pumps again, so that whatever came meanwhile is in the next frame.
 * A hard state may be in flight beside a frame of entries that were handed over
 * earlier; a frame never starts while a hard state is not durable, so term and
 * vote are never later than the entries that follow them.
 *
 * Failure cases: a write that fails is reported through io.fatal and nothing
 * is written any more: after a failed sync nobody knows what the disk holds,
 * and a second sync would claim success. Out of memory before a write starts
 * changes nothing; raftlog_tick tries again. */
#include "raftlog/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { REAP_MAX = 4 };

/* ---- hard state -----------------------------------------------------------*/

static bool hard_due(const struct raftlog *log)
{
    return log->hard.wanted.sequence != log->hard.durable_sequence;
}

/* Write the newest hard state into the slot that does not hold the newest
 * durable one: a torn write leaves that one whole. */
static void hard_submit(struct raftlog *log, bool mirror)
{
    struct hard_write *h = &log->hard;
    struct err_info info;
    unsigned slot = !h->slot;
    int rv;
    h->wanted.log_sequence = log->act_sequence;
    hardstate_encode(&h->wanted, h->block, log->align);
    rv = file_queue_submit(log->queue, h->files[slot], h->block, log->align, 0,
                           h);
    if (rv == ERR_AGAIN || rv == ERR_NOMEM) {
        return;
    }
    if (rv != 0) {
        (void)err_set(&info, rv, "cannot write %s/hardstate.%u: %s",
                      log->data_dir, slot, err_text(rv));
        raftlog_internal_fail(log, &info);
        return;
    }
    h->in_flight = true;
    h->in_flight_mirror = mirror;
    h->in_flight_sequence = h->wanted.sequence;
}

static void hard_complete(struct raftlog *log)
{
    struct hard_write *h = &log->hard;
    h->in_flight = false;
    if (h->in_flight_mirror) {
        h->mirrored = true;
        return;
    }
    h->slot = !h->slot;
    h->durable_sequence = h->in_flight_sequence;
    h->mirrored = false;
    log->changed = true;
}

void commit_mirror(struct raftlog *log)
{
    if (!log->stopped && !log->hard.in_flight && !hard_due(log)) {
        hard_submit(log, true);
    }
}

/* ---- building a frame -----------------------------------------------------*/

struct plan {
    uint32_t n;
    size_t body_bytes;
    uint64_t payload;
    bool durable; /* holds an entry that has to be */
};

/* How many pending entries fit into room bytes of frame. */
static struct plan plan_entries(const struct raftlog *log, uint64_t room)
{
    struct plan p = {0, 0, 0, false};
    size_t block = log->align;
    uint64_t limit = room < FRAME_BYTES_MAX ? room : FRAME_BYTES_MAX;
    for (uint64_t i = log->unframed_first; i <= log->index.last; i++) {
        const struct raftlog_entry *e = cache_get(&log->cache, i);
        size_t size = record_size(e);
        if ((p.n > 0 && p.payload + e->size > log->options.batch_bytes_max) ||
            frame_size(p.body_bytes + size, block) > limit) {
            break;
        }
        p.durable = p.durable ||
                    (e->kind < 64 && log->options.sync_kinds >> e->kind & 1);
        p.n++;
        p.body_bytes += size;
        p.payload += e->size;
    }
    return p;
}

static int buffer_reserve(struct raftlog *log, size_t bytes)
{
    uint8_t *grown;
    if (bytes <= log->frame_buffer_bytes) {
        return 0;
    }
    bytes = frame_size(bytes + bytes / 2, log->align);
    grown = file_buffer_new(bytes);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    file_buffer_free(log->frame_buffer, log->frame_buffer_bytes);
    log->frame_buffer = grown;
    log->frame_buffer_bytes = bytes;
    return 0;
}

static void describe(const struct raftlog *log, struct frame_header *h,
                     uint16_t flags, uint32_t n, size_t body_bytes)
{
    memset(h, 0, sizeof *h);
    h->flags = flags;
    h->segment_id = log->active->id;
    h->sequence = log->next_sequence;
    h->durable_sequence = log->durable_sequence;
    h->durable_index = log->durable;
    h->oldest_segment_id = log->oldest_wanted;
    h->hard_sequence = log->hard.durable_sequence;
    h->previous_checksum = log->chain;
    h->first_index = log->unframed_first;
    h->previous_term = log_index_term(&log->index, log->unframed_first - 1);
    h->n_entries = n;
    h->body_bytes = (uint32_t)body_bytes;
    h->frame_bytes = (uint32_t)frame_size(body_bytes, log->align);
}

static void fail_frame(struct raftlog *log, const struct segment *s,
                       uint64_t offset, int code, int os_error)
{
    struct err_info info;
    (void)err_set(&info, code,
                  "durable write to %s/%s at offset %" PRIu64
                  " failed: %s (%s): nothing is written any more, the process "
                  "must end; check the disk, then start it again",
                  log->log_dir, s->name, offset, err_text(code),
                  os_error != 0 ? strerror(os_error) : "no errno");
    raftlog_internal_fail(log, &info);
}

/* Write the frame in the buffer; weak: its completion does not make it
 * durable. A durable one stands behind no unsynced one, so that its completion
 * speaks for all. False: not started, nothing changed. */
static bool frame_submit(struct raftlog *log, struct frame_header *h,
                         uint64_t payload, bool weak)
{
    struct segment *s = log->active;
    struct frame_write *w = &log->frame;
    int rv;
    frame_seal(h, log->options.cluster_id, log->frame_buffer);
    w->started_us = raftlog_internal_now_us(log);
    assert(weak || !sync_is_pending(log));
    rv = (weak ? file_queue_write : file_queue_submit)(
        log->queue, s->file, log->frame_buffer, h->frame_bytes, s->end, w);
    if (rv == ERR_AGAIN || rv == ERR_NOMEM) {
        return false;
    }
    if (rv != 0) {
        fail_frame(log, s, s->end, rv, 0);
        return false;
    }
    w->active = true;
    w->weak = weak;
    w->header = *h;
    w->segment = s;
    w->offset = s->end;
    w->last = h->first_index + h->n_entries - 1;
    w->payload = payload;
    w->started_ms = log->io.now_ms(log->io.ctx);
    s->end += h->frame_bytes;
    if (w->last > s->max_index && h->n_entries > 0) {
        s->max_index = w->last;
    }
    log->chain = h->checksum;
    log->next_sequence++;
    log->clean = false;
    log->stats.n_frames++;
    log->stats.written_bytes += h->frame_bytes;
    return true;
}

/* Whether the next frame need not be durable at once. */
static bool may_be_weak(const struct raftlog *log, const struct plan *p)
{
    return sync_is_weak(log) && !log->closing && p->n > 0 && !p->durable &&
           !log->truncate_pending && !log->reset_pending;
}

/* How long the first entry of the frame that was just begun waited for it.
 * `more` wait for the next one, from now on. */
static void time_waiting(struct raftlog *log, bool more)
{
    uint64_t since = log->waiting_since_us;
    uint64_t now = log->frame.started_us;
    histogram_record(&log->latency.wait_us, since > 0 ? now - since : 0);
    log->waiting_since_us = more ? now : 0;
}

/* The next frame of entries and acts. */
static void entries_submit(struct raftlog *log, const struct plan *p)
{
    struct frame_ref ref;
    struct frame_header h;
    struct byte_writer w;
    uint16_t flags = (uint16_t)((log->truncate_pending ? FRAME_TRUNCATE : 0) |
                                (log->reset_pending ? FRAME_RESET : 0));
    bool weak = may_be_weak(log, p);
    if (!weak && sync_is_pending(log)) {
        sync_start(log);
        return;
    }
    if (log_index_reserve(&log->index, 0, 1) != 0) {
        return;
    }
    describe(log, &h, flags, p->n, p->body_bytes);
    if (buffer_reserve(log, h.frame_bytes) != 0) {
        return;
    }
    w = byte_writer(log->frame_buffer + FRAME_HEADER_SIZE, p->body_bytes);
    for (uint32_t i = 0; i < p->n; i++) {
        record_encode(&w, cache_get(&log->cache, log->unframed_first + i));
    }
    assert(!w.failed && w.at == w.end);
    ref.first = log->unframed_first;
    ref.last = log->unframed_first + p->n - 1;
    ref.segment = log->active;
    ref.offset = log->active->end;
    ref.frame_bytes = h.frame_bytes;
    if (!frame_submit(log, &h, p->payload, weak)) {
        return;
    }
    if (p->n > 0) {
        log_index_push_frame(&log->index, &ref);
        time_waiting(log, ref.last < log->index.last);
    }
    log->unframed_first += p->n;
    log->unframed_bytes -= p->body_bytes;
    log->truncate_pending = false;
    log->reset_pending = false;
    log->stats.payload_bytes += p->payload;
}

/* A frame without entries: watermark and release act, or the clean mark. */
static void idle_submit(struct raftlog *log, uint16_t flags)
{
    struct frame_header h;
    char boot[FILE_BOOT_ID_SIZE] = "";
    size_t body = 0;
    if (flags & FRAME_CLEAN) {
        (void)file_boot_id(boot);
        body = sizeof boot;
    }
    describe(log, &h, flags, 0, body);
    if (buffer_reserve(log, h.frame_bytes) != 0) {
        return;
    }
    memcpy(log->frame_buffer + FRAME_HEADER_SIZE, boot, body);
    if (frame_submit(log, &h, 0, false)) {
        log->clean = (flags & FRAME_CLEAN) != 0;
    }
}

void commit_pump(struct raftlog *log)
{
    struct plan p;
    bool entries = log->unframed_first <= log->index.last;
    if (log->stopped) {
        return;
    }
    if (hard_due(log) && !log->hard.in_flight) {
        hard_submit(log, false);
    }
    if (sync_is_due(log)) {
        sync_start(log);
    }
    if (log->frame.active || log->rotating || hard_due(log) || log->stopped ||
        (!entries && !log->reset_pending) || sync_holds(log)) {
        return;
    }
    p = plan_entries(log, space_left(log));
    if (entries ? p.n > 0 : space_left(log) >= log->align) {
        entries_submit(log, &p);
        return;
    }
    if (sync_is_pending(log)) {
        sync_start(log);
        return;
    }
    space_rotate(log, entries
                          ? frame_size(record_size(cache_get(
                                           &log->cache, log->unframed_first)),
                                       log->align)
                          : log->align);
}

void commit_appended(struct raftlog *log)
{
    commit_pump(log);
    if (log->waiting_since_us == 0 && log->unframed_first <= log->index.last) {
        log->waiting_since_us = raftlog_internal_now_us(log);
    }
}

/* ---- completions ----------------------------------------------------------*/

void commit_clamp(struct raftlog *log, uint64_t from)
{
    if (log->frame.active && log->frame.last >= from) {
        log->frame.last = from - 1;
    }
    if (log->durable >= from) {
        log->durable = from - 1;
        log->changed = true;
    }
    sync_clamp(log, from);
}

/* A durable truncation or reset: what it cut off can not come back from the
 * older segments, so they are needed less long. */
static void act_complete(struct raftlog *log, const struct frame_write *w)
{
    const struct frame_header *h = &w->header;
    uint64_t keep = h->flags & FRAME_RESET ? 0 : h->first_index - 1;
    if ((h->flags & (FRAME_TRUNCATE | FRAME_RESET)) == 0) {
        return;
    }
    for (struct segment *s = log->segments; s != w->segment; s = s->next) {
        if (s->max_index > keep) {
            s->max_index = keep;
        }
    }
    w->segment->max_index = h->first_index + h->n_entries - 1;
}

static void time_complete(struct raftlog *log, const struct frame_write *w)
{
    uint64_t us = raftlog_internal_now_us(log) - w->started_us;
    histogram_record(&log->latency.write_us, us);
    if (w->header.n_entries > 0) {
        histogram_record(&log->latency.batch_entries, w->header.n_entries);
        histogram_record(&log->latency.batch_bytes, w->payload);
    }
    log->stats.write_us_total += us;
    if (us > log->stats.write_us_max) {
        log->stats.write_us_max = us;
    }
}

static void frame_complete(struct raftlog *log)
{
    struct frame_write *w = &log->frame;
    const struct frame_header *h = &w->header;
    w->active = false;
    time_complete(log, w);
    if (w->weak) {
        sync_written(log, w);
        return;
    }
    log->durable_sequence = h->sequence;
    log->recorded_sequence = h->durable_sequence;
    if (h->n_entries > 0 || (h->flags & (FRAME_TRUNCATE | FRAME_RESET)) != 0) {
        log->act_sequence = h->sequence;
    }
    if (h->n_entries > 0 && w->last >= h->first_index &&
        w->last > log->durable) {
        log->durable = w->last;
        cache_evict(&log->cache, log->options.cache_bytes, log->durable);
    }
    log->changed = true;
    act_complete(log, w);
    log->oldest_recorded = h->oldest_segment_id;
    sync_durable(log);
    space_update_oldest(log);
    space_release(log);
}

static void complete(struct raftlog *log, const struct file_completion *c)
{
    struct err_info info;
    if (log->stopped) {
        return;
    }
    if (c->tag == &log->hard) {
        if (c->status == 0) {
            hard_complete(log);
            return;
        }
        (void)err_set(&info, c->status,
                      "durable write to %s/hardstate.%u failed: %s (%s): "
                      "nothing is written any more, the process must end; "
                      "check the disk, then start it again",
                      log->data_dir, !log->hard.slot, err_text(c->status),
                      strerror(c->os_error));
        log->hard.in_flight = false; /* its slot is free for sync.c's note */
        raftlog_internal_fail(log, &info);
    } else if (c->tag == &log->syncing && c->status != 0) {
        (void)err_set(&info, c->status,
                      "sync of %s/%s failed: %s (%s): nothing is written any "
                      "more, the process must end; check the disk, then start "
                      "it again",
                      log->log_dir, log->active->name, err_text(c->status),
                      strerror(c->os_error));
        raftlog_internal_fail(log, &info);
    } else if (c->tag == &log->syncing) {
        sync_complete(log);
    } else if (c->status == 0) {
        frame_complete(log);
    } else {
        fail_frame(log, log->frame.segment, log->frame.offset, c->status,
                   c->os_error);
    }
}

void commit_reap(struct raftlog *log)
{
    struct file_completion done[REAP_MAX];
    size_t n;
    do {
        n = file_queue_reap(log->queue, done, REAP_MAX);
        for (size_t i = 0; i < n; i++) {
            complete(log, &done[i]);
        }
    } while (n > 0);
}

/* ---- idle -----------------------------------------------------------------*/

/* Nothing is in flight. */
static bool quiet(const struct raftlog *log)
{
    return !log->stopped && !log->frame.active && !log->rotating &&
           !log->syncing.active && !log->hard.in_flight && !hard_due(log);
}

/* Nothing is in flight and nothing waits. */
static bool idle(const struct raftlog *log)
{
    return quiet(log) && !log->reset_pending &&
           log->unframed_first > log->index.last;
}

bool commit_busy(const struct raftlog *log)
{
    return !log->stopped &&
           (log->frame.active || log->syncing.active || log->hard.in_flight);
}

/* Blocks left for frames without entries. */
static uint64_t blocks_left(const struct raftlog *log)
{
    return (log->active->bytes - log->active->end) / log->align;
}

/* What waits finds no segment: on a full disk only a release can help, so its
 * act (and pending ones, which need no room of their own) goes into a block
 * that is reserved for it. */
static void tick_stuck(struct raftlog *log)
{
    static const struct plan no_entries = {0, 0, 0, false};
    if (log->oldest_wanted > log->oldest_recorded &&
        blocks_left(log) >= SPACE_RESERVED_BLOCKS - 1) {
        entries_submit(log, &no_entries);
    }
}

void commit_tick(struct raftlog *log)
{
    bool watermark = log->act_sequence > log->recorded_sequence;
    bool release = log->oldest_wanted > log->oldest_recorded;
    bool unchanged = log->n_frames_at_tick == log->stats.n_frames;
    log->n_frames_at_tick = log->stats.n_frames;
    if (!quiet(log)) {
        return;
    }
    if (!idle(log)) {
        tick_stuck(log);
    } else if (sync_is_pending(log)) {
        return; /* acts come behind the sync, which has its own time */
    } else if ((release && blocks_left(log) >= SPACE_RESERVED_BLOCKS - 1) ||
               (watermark && unchanged &&
                blocks_left(log) >= SPACE_RESERVED_BLOCKS)) {
        idle_submit(log, 0);
    } else if (release) {
        space_rotate(log, log->align);
    } else if (unchanged && !log->hard.mirrored) {
        commit_mirror(log);
    }
}

void commit_mark_clean(struct raftlog *log)
{
    if (idle(log) && !sync_is_pending(log) && !log->clean &&
        blocks_left(log) >= 1) {
        idle_submit(log, FRAME_CLEAN);
    }
}
