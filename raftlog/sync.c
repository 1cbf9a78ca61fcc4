/* When what was written becomes durable, and what a node may say before that.
 *
 * Policy `always`: each frame is one durable write; written and durable are the
 * same. Under `batch` and `interval` a frame is written without a sync and
 * counts as persisted when the write is done; a sync of its own makes durable
 * what gathered, after as many entries or as much time as the policy says.
 *
 *   frame written -> persisted index        (the process may be killed)
 *   sync done     -> durable index          (the power may go)
 *
 * A sync may take long. Beside it another batch may be written, or for another
 * interval; then the frames wait for its end, so that a power cut never takes
 * more than twice what the policy says, however slow the disk is.
 *
 * What stays as under `always`:
 *   - term and vote: each one is a durable write;
 *   - frames that carry an act (truncation, reset, clean mark, watermark) or
 *     an entry of options.sync_kinds, and the switch of segments: nothing may
 *     be unsynced before them, and they are durable writes themselves. So only
 *     plain entries of the newest segment can be lost, and recovery has to
 *     look nowhere else;
 *   - the watermark: it names frames that were synced, never those only
 *     written.
 *
 * The mark. Entries that were acknowledged and not synced can be forgotten. The
 * hard state therefore carries the boot id of the machine from before the first
 * frame without sync until after the last one was synced (a clean close, or
 * back to `always`). Whoever opens the log under another boot id, or under one
 * that nobody knows, finds that it may have forgotten: raftlog_report.forgot.
 * That is written down before anything else leaves this log, and stays until
 * raftlog_remember: over further crashes, of any kind and number.
 *
 * A write or sync that fails may lose the same entries, in the same boot. The
 * process ends then; the fact is written into the hard state on the way, as far
 * as the disk still takes it. */
#include "raftlog/internal.h"

#include <string.h>

enum {
    SYNC_BATCH_ENTRIES_DEFAULT = 100,
    SYNC_INTERVAL_MS_DEFAULT = 5000,
    FAILURE_WAIT_MS = 100,
    FAILURE_WAITS_MAX = 10
};

/* Of a machine that does not tell its boot id: equal to none. */
static const char unknown_boot[] = "?";

const char *raftlog_sync_name(enum raftlog_sync policy)
{
    switch (policy) {
    case RAFTLOG_SYNC_ALWAYS:
        return "always";
    case RAFTLOG_SYNC_BATCH:
        return "batch";
    case RAFTLOG_SYNC_INTERVAL:
        return "interval";
    }
    return "unknown";
}

bool sync_is_weak(const struct raftlog *log)
{
    return log->options.sync.policy != RAFTLOG_SYNC_ALWAYS;
}

bool sync_is_pending(const struct raftlog *log)
{
    return log->written.sequence > log->durable_sequence;
}

static bool weak_frame_in_flight(const struct raftlog *log)
{
    return log->frame.active && log->frame.weak;
}

/* ---- the mark -------------------------------------------------------------*/

static void change_hard(struct raftlog *log, const struct hardstate *next)
{
    uint64_t sequence = log->hard.wanted.sequence;
    log->hard.wanted = *next;
    log->hard.wanted.sequence = sequence + 1;
}

static void set_mark(struct raftlog *log, const char *boot)
{
    struct hardstate next = log->hard.wanted;
    if (strcmp(next.weak_boot, boot) != 0) {
        memset(next.weak_boot, 0, sizeof next.weak_boot);
        memcpy(next.weak_boot, boot, strlen(boot));
        change_hard(log, &next);
    }
}

void sync_adopt(struct raftlog *log, struct raftlog_report *report)
{
    struct hardstate next = log->hard.wanted;
    bool known = file_boot_id(log->boot) == 0;
    if (!known) {
        memcpy(log->boot, unknown_boot, sizeof unknown_boot);
    }
    if (next.weak_boot[0] != '\0' &&
        (!known || strcmp(next.weak_boot, log->boot) != 0)) {
        next.forgot = true;
        next.forgot_term = next.term;
        change_hard(log, &next);
    }
    /* Recovery has synced what it read, so the old mark has done its duty. */
    set_mark(log, sync_is_weak(log) ? log->boot : "");
    report->forgot = next.forgot;
    report->forgot_term = next.forgot_term;
}

void sync_clear_mark(struct raftlog *log)
{
    if (!log->stopped && !sync_is_pending(log) && !weak_frame_in_flight(log)) {
        set_mark(log, "");
    }
}

int raftlog_remember(struct raftlog *log)
{
    struct hardstate next = log->hard.wanted;
    if (log->stopped || log->closing) {
        return ERR_STOPPED;
    }
    if (next.forgot) {
        next.forgot = false;
        next.forgot_term = 0;
        change_hard(log, &next);
        commit_pump(log);
    }
    return 0;
}

/* A hard state in flight has the slot that we need: let it end. */
static bool wait_for_hard(struct raftlog *log)
{
    struct hard_write *h = &log->hard;
    for (unsigned i = 0; h->in_flight && i < FAILURE_WAITS_MAX; i++) {
        struct file_completion c;
        (void)file_queue_wait(log->queue, FAILURE_WAIT_MS);
        while (h->in_flight && file_queue_reap(log->queue, &c, 1) == 1) {
            if (c.tag == h) {
                h->in_flight = false;
                h->slot =
                    c.status == 0 && !h->in_flight_mirror ? !h->slot : h->slot;
            }
        }
    }
    return !h->in_flight;
}

void sync_note_failure(struct raftlog *log)
{
    struct hard_write *h = &log->hard;
    struct hardstate next = h->wanted;
    if (log->queue == NULL ||
        (!sync_is_pending(log) && !weak_frame_in_flight(log)) ||
        !wait_for_hard(log)) {
        return;
    }
    next.forgot = true;
    next.forgot_term = next.term;
    change_hard(log, &next);
    h->wanted.log_sequence = log->act_sequence;
    hardstate_encode(&h->wanted, h->block, log->align);
    if (file_write_at(h->files[!h->slot], h->block, log->align, 0) == 0) {
        (void)file_sync(h->files[!h->slot]);
    }
}

/* ---- the policy -----------------------------------------------------------*/

void sync_fill_defaults(struct raftlog_sync_policy *p)
{
    p->batch_entries =
        p->batch_entries ? p->batch_entries : SYNC_BATCH_ENTRIES_DEFAULT;
    p->interval_ms = p->interval_ms ? p->interval_ms : SYNC_INTERVAL_MS_DEFAULT;
}

int raftlog_set_sync(struct raftlog *log,
                     const struct raftlog_sync_policy *policy)
{
    if (log->stopped || log->closing) {
        return ERR_STOPPED;
    }
    log->options.sync = *policy;
    sync_fill_defaults(&log->options.sync);
    if (sync_is_weak(log)) {
        set_mark(log, log->boot);
    } else {
        sync_clear_mark(log);
    }
    commit_pump(log);
    return 0;
}

/* ---- syncs ----------------------------------------------------------------*/

void sync_written(struct raftlog *log, const struct frame_write *w)
{
    const struct frame_header *h = &w->header;
    struct sync_state *s = &log->written;
    if (!sync_is_pending(log)) {
        log->unsynced_since_ms = log->io.now_ms(log->io.ctx);
    }
    s->sequence = h->sequence;
    s->recorded = h->durable_sequence;
    s->oldest = h->oldest_segment_id;
    if (h->n_entries > 0) {
        s->act = h->sequence;
        if (w->last >= h->first_index && w->last > s->last) {
            s->last = w->last;
            cache_evict(&log->cache, log->options.cache_bytes, s->last);
        }
    }
    log->unsynced_entries += h->n_entries;
    log->unsynced_bytes += h->frame_bytes;
    log->changed = true;
}

void sync_durable(struct raftlog *log)
{
    struct sync_state *s = &log->written;
    s->sequence = log->durable_sequence;
    s->act = log->act_sequence;
    s->recorded = log->recorded_sequence;
    s->oldest = log->oldest_recorded;
    if (s->last < log->durable) {
        s->last = log->durable;
    }
}

bool sync_is_due(const struct raftlog *log)
{
    const struct raftlog_sync_policy *p = &log->options.sync;
    if (!sync_is_pending(log) || log->syncing.active) {
        return false;
    }
    return log->closing || log->sync_wanted > log->durable_sequence ||
           p->policy == RAFTLOG_SYNC_ALWAYS ||
           (p->policy == RAFTLOG_SYNC_BATCH &&
            log->unsynced_entries >= p->batch_entries) ||
           log->io.now_ms(log->io.ctx) - log->unsynced_since_ms >=
               p->interval_ms;
}

bool sync_holds(const struct raftlog *log)
{
    const struct raftlog_sync_policy *p = &log->options.sync;
    if (!log->syncing.active || !sync_is_weak(log)) {
        return false;
    }
    return (p->policy == RAFTLOG_SYNC_BATCH &&
            log->unsynced_entries - log->syncing.n_entries >=
                p->batch_entries) ||
           log->io.now_ms(log->io.ctx) - log->unsynced_since_ms >=
               p->interval_ms;
}

void sync_start(struct raftlog *log)
{
    struct sync_write *w = &log->syncing;
    struct err_info info;
    int rv;
    if (w->active || log->stopped) {
        return;
    }
    w->started_us = raftlog_internal_now_us(log);
    rv = file_queue_sync(log->queue, log->active->file, w);
    if (rv == ERR_AGAIN || rv == ERR_NOMEM) {
        return;
    }
    if (rv != 0) {
        (void)err_set(&info, rv, "cannot sync %s/%s: %s", log->log_dir,
                      log->active->name, err_text(rv));
        raftlog_internal_fail(log, &info);
        return;
    }
    w->active = true;
    w->covers = log->written;
    w->n_entries = log->unsynced_entries;
    w->n_bytes = log->unsynced_bytes;
    log->unsynced_since_ms = log->io.now_ms(log->io.ctx);
}

void sync_complete(struct raftlog *log)
{
    struct sync_write *w = &log->syncing;
    const struct sync_state *s = &w->covers;
    uint64_t us = raftlog_internal_now_us(log) - w->started_us;
    w->active = false;
    log->unsynced_entries -= w->n_entries;
    log->unsynced_bytes -= w->n_bytes;
    log->stats.n_syncs++;
    histogram_record(&log->latency.sync_us, us);
    log->stats.sync_us_total += us;
    if (us > log->stats.sync_us_max) {
        log->stats.sync_us_max = us;
    }
    log->durable_sequence = s->sequence;
    log->act_sequence = s->act;
    log->recorded_sequence = s->recorded;
    log->oldest_recorded = s->oldest;
    if (s->last > log->durable) {
        log->durable = s->last;
    }
    if (!sync_is_weak(log)) {
        sync_clear_mark(log);
    }
    log->changed = true;
    space_update_oldest(log);
    space_release(log);
}

void sync_clamp(struct raftlog *log, uint64_t from)
{
    if (log->written.last >= from) {
        log->written.last = from - 1;
        log->changed = true;
    }
    if (log->syncing.active && log->syncing.covers.last >= from) {
        log->syncing.covers.last = from - 1;
    }
}

void sync_reset(struct raftlog *log, uint64_t index)
{
    log->written.last = index;
    log->syncing.covers.last = 0;
}

void raftlog_force_sync(struct raftlog *log)
{
    if (log->stopped) {
        return;
    }
    log->sync_wanted = log->next_sequence - 1;
    commit_pump(log);
}

uint64_t raftlog_persisted_index(const struct raftlog *log)
{
    return log->written.last;
}
