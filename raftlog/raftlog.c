/* The log's public functions: open and close, what is in the log, and how it
 * changes. See raftlog.h for the contract and README.md for the design.
 *
 * A change here is memory only. commit_queue.c makes it durable, space.c keeps
 * segments for it, reader.c brings it back, recover.c finds it again. */
#include "raftlog/raftlog.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/internal.h"
#include "raftlog/recover.h"

enum {
    SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024,
    SEGMENT_BLOCKS_MIN = 16,
    CACHE_BYTES_DEFAULT = 64 * 1024 * 1024,
    BATCH_BYTES_DEFAULT = 8 * 1024 * 1024,
    PREPARED_DEFAULT = 1,
    POOLED_DEFAULT = 4,
    FILES_MAX = 1024,
    CLOSE_POLL_MS = 100,
    CLOSE_POLLS_MAX = 600, /* a disk that is silent for a minute is given up */
    DATA_DIR_MAX = SEGMENT_PATH_MAX - 2 * SEGMENT_NAME_MAX - 16
};
static const uint64_t segment_bytes_max = (uint64_t)1 << 32;

/* ---- helpers of the other files -------------------------------------------*/

void raftlog_internal_fail(struct raftlog *log, const struct err_info *info)
{
    if (!log->stopped) {
        sync_note_failure(log);
        log->stopped = true;
        log->io.fatal(log->io.ctx, info);
    }
}

void raftlog_internal_progress(struct raftlog *log)
{
    if (log->changed && !log->stopped && !log->closing) {
        log->changed = false;
        log->io.progress(log->io.ctx);
    }
}

void raftlog_internal_segment_unref(struct segment *segment)
{
    assert(segment->refs > 0);
    segment->refs--;
    if (segment->refs == 0) {
        file_close(segment->file);
        free(segment);
    }
}

/* ---- open -----------------------------------------------------------------*/

static int check_options(struct raftlog_options *o, size_t align,
                         struct err_info *info)
{
    o->segment_bytes =
        o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES_DEFAULT;
    o->cache_bytes = o->cache_bytes ? o->cache_bytes : CACHE_BYTES_DEFAULT;
    o->batch_bytes_max =
        o->batch_bytes_max ? o->batch_bytes_max : BATCH_BYTES_DEFAULT;
    o->n_prepared = o->n_prepared ? o->n_prepared : PREPARED_DEFAULT;
    o->n_pooled_max = o->n_pooled_max ? o->n_pooled_max : POOLED_DEFAULT;
    sync_fill_defaults(&o->sync);
    o->segment_bytes = (o->segment_bytes + align - 1) / align * align;
    if (o->segment_bytes < SEGMENT_BLOCKS_MIN * align ||
        o->segment_bytes > segment_bytes_max) {
        return err_set(info, ERR_INVALID,
                       "segment size must be from %zu to %" PRIu64 " bytes",
                       SEGMENT_BLOCKS_MIN * align, segment_bytes_max);
    }
    if (o->batch_bytes_max > RAFTLOG_ENTRY_BYTES_MAX) {
        return err_set(info, ERR_INVALID,
                       "a batch can not be larger than %d bytes",
                       RAFTLOG_ENTRY_BYTES_MAX);
    }
    if (o->n_prepared > FILES_MAX || o->n_pooled_max > FILES_MAX) {
        return err_set(info, ERR_INVALID,
                       "at most %d segments can be prepared or pooled",
                       FILES_MAX);
    }
    return 0;
}

static char *path_dup(const char *dir, const char *name)
{
    char path[SEGMENT_PATH_MAX];
    return segment_path(path, dir, name) == 0 ? strdup(path) : NULL;
}

/* Everything but the disk's content. */
static int prepare(struct raftlog *log, const char *data_dir,
                   struct err_info *info)
{
    size_t align = 0;
    int rv;
    if (strlen(data_dir) > DATA_DIR_MAX) {
        return err_set(info, ERR_INVALID,
                       "the data directory's path is "
                       "too long");
    }
    rv = file_direct_alignment(data_dir, &align);
    if (rv != 0) {
        return err_set(info, rv, "cannot use %s: %s", data_dir, err_text(rv));
    }
    /* Smaller blocks would share a physical sector with a durable frame. */
    log->align = align > RECORD_BLOCK_MIN ? align : RECORD_BLOCK_MIN;
    rv = check_options(&log->options, log->align, info);
    if (rv != 0) {
        return rv;
    }
    log->data_dir = strdup(data_dir);
    log->log_dir = path_dup(data_dir, "log");
    log->pool_dir = path_dup(data_dir, "log/pool");
    log->pool_capacity =
        (size_t)log->options.n_pooled_max + log->options.n_prepared + 8;
    log->pool = calloc(log->pool_capacity, sizeof *log->pool);
    log->hard.block = file_buffer_new(log->align);
    if (log->data_dir == NULL || log->log_dir == NULL ||
        log->pool_dir == NULL || log->pool == NULL || log->hard.block == NULL ||
        log_index_init(&log->index, 0, 0) != 0) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    cache_init(&log->cache, 1);
    return 0;
}

static int queue_open(struct raftlog *log, struct err_info *info)
{
    struct file_queue_options options = {log->options.aio_filesystems};
    int rv = file_queue_new(log->log_dir, &options, &log->queue);
    return rv == 0 ? 0
                   : err_set(info, rv,
                             "cannot start the write queue of %s: "
                             "%s",
                             log->log_dir, err_text(rv));
}

static void log_free(struct raftlog *log)
{
    file_queue_free(log->queue); /* waits: buffers and files come after */
    for (unsigned i = 0; i < HARDSTATE_SLOTS; i++) {
        file_close(log->hard.files[i]);
    }
    while (log->segments != NULL) {
        struct segment *s = log->segments;
        log->segments = s->next;
        raftlog_internal_segment_unref(s);
    }
    file_buffer_free(log->hard.block, log->align);
    file_buffer_free(log->frame_buffer, log->frame_buffer_bytes);
    cache_close(&log->cache);
    log_index_close(&log->index);
    free(log->pool);
    free(log->data_dir);
    free(log->log_dir);
    free(log->pool_dir);
    free(log);
}

int raftlog_open(const char *data_dir, const struct raftlog_options *options,
                 const struct raftlog_io *io, struct raftlog **out,
                 struct raftlog_report *report, struct err_info *info)
{
    struct raftlog_report unused;
    struct raftlog *log = calloc(1, sizeof *log);
    int rv;
    if (log == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    log->options = *options;
    log->io = *io;
    rv = prepare(log, data_dir, info);
    rv = rv == 0 ? recover_run(log, report == NULL ? &unused : report, info)
                 : rv;
    rv = rv == 0 ? queue_open(log, info) : rv;
    if (rv != 0) {
        log_free(log);
        return rv;
    }
    space_maintain(log);
    commit_pump(log); /* the mark of sync.c, when it has changed */
    *out = log;
    return 0;
}

/* ---- close ----------------------------------------------------------------*/

/* Run everything that can still go on: writes, and jobs that they wait for. */
static void drain(struct raftlog *log)
{
    unsigned n_silent = 0;
    while (n_silent < CLOSE_POLLS_MAX) {
        job_settle_all(log);
        commit_pump(log);
        if (commit_busy(log)) {
            int rv = file_queue_wait(log->queue, CLOSE_POLL_MS);
            n_silent = rv == 0 ? 0 : n_silent + 1;
            commit_reap(log);
        } else if (log->jobs == NULL) {
            return;
        }
    }
}

void raftlog_close(struct raftlog *log)
{
    if (log == NULL) {
        return;
    }
    log->closing = true;
    drain(log);
    sync_clear_mark(log);
    drain(log);
    commit_mark_clean(log);
    drain(log);
    if (log->clean) {
        commit_mirror(log);
        drain(log);
    }
    job_settle_all(log);
    log_free(log);
}

void raftlog_abandon(struct raftlog *log)
{
    if (log == NULL) {
        return;
    }
    log->stopped = true;
    job_abandon_all(log);
    log_free(log);
}

/* ---- changes --------------------------------------------------------------*/

static int check_entries(const struct raftlog *log, uint64_t first,
                         const struct raftlog_entry *entries, size_t n,
                         size_t *n_runs)
{
    uint64_t term = log_index_term(&log->index, first - 1);
    *n_runs = 0;
    for (size_t i = 0; i < n; i++) {
        if (entries[i].size > RAFTLOG_ENTRY_BYTES_MAX) {
            return ERR_TOOBIG;
        }
        *n_runs += entries[i].term != term;
        term = entries[i].term;
    }
    return 0;
}

/* Take entries that no frame holds out of the accounts again. */
static void unframe(struct raftlog *log, uint64_t from)
{
    for (uint64_t i = from; i <= log->index.last; i++) {
        log->unframed_bytes -= record_size(cache_get(&log->cache, i));
    }
}

/* Cut off the entries from `from` on. If a frame holds some of them, the next
 * frame must say so; entries in no frame yet simply go. */
static void truncate_from(struct raftlog *log, uint64_t from)
{
    if (from < log->unframed_first) {
        unframe(log, log->unframed_first);
        log->unframed_first = from;
        /* After a reset no frame of the present log holds anything. */
        log->truncate_pending = !log->reset_pending;
    } else {
        unframe(log, from);
    }
    log_index_truncate(&log->index, from);
    cache_truncate(&log->cache, from);
    if (log->cache.n == 0) {
        cache_clear(&log->cache, from);
    }
    commit_clamp(log, from);
    log->epoch++;
    log->stats.n_truncations++;
}

int raftlog_append(struct raftlog *log, uint64_t first,
                   const struct raftlog_entry *entries, size_t n)
{
    size_t n_runs;
    int rv;
    assert(n > 0);
    if (log->stopped || log->closing) {
        return ERR_STOPPED;
    }
    if (first > log->index.last + 1 || first <= log->index.base) {
        return ERR_GAP;
    }
    rv = check_entries(log, first, entries, n, &n_runs);
    if (rv == 0) {
        rv = cache_reserve(&log->cache, n);
    }
    if (rv == 0) {
        rv = log_index_reserve(&log->index, n_runs, 0);
    }
    if (rv != 0) {
        return rv;
    }
    if (first <= log->index.last) {
        truncate_from(log, first);
    }
    if (log->unframed_first > log->index.last) {
        log->waiting_since_us = 0;
    }
    for (size_t i = 0; i < n; i++) {
        cache_push(&log->cache, &entries[i]);
        log_index_push(&log->index, entries[i].term);
        log->unframed_bytes += record_size(&entries[i]);
    }
    log->stats.n_appends += n;
    commit_appended(log);
    return 0;
}

int raftlog_set_hard_state(struct raftlog *log, uint64_t term,
                           uint64_t voted_for)
{
    struct hardstate *h = &log->hard.wanted;
    if (log->stopped || log->closing) {
        return ERR_STOPPED;
    }
    if (h->term != term || h->voted_for != voted_for) {
        h->term = term;
        h->voted_for = voted_for;
        h->sequence++;
    }
    commit_pump(log);
    return 0;
}

bool raftlog_hard_state_durable(const struct raftlog *log)
{
    return log->hard.wanted.sequence == log->hard.durable_sequence;
}

void raftlog_release(struct raftlog *log, uint64_t through)
{
    if (through > log->durable) {
        through = log->durable;
    }
    if (through <= log->index.base || log->stopped) {
        return;
    }
    log_index_trim(&log->index, through);
    cache_trim(&log->cache, through);
    space_update_oldest(log);
}

int raftlog_reset(struct raftlog *log, uint64_t index, uint64_t term)
{
    if (log->stopped || log->closing) {
        return ERR_STOPPED;
    }
    log_index_reset(&log->index, index, term);
    cache_clear(&log->cache, index + 1);
    log->frame.last = 0; /* nothing that is in flight counts any more */
    sync_reset(log, index);
    log->durable = index;
    log->unframed_first = index + 1;
    log->unframed_bytes = 0;
    log->truncate_pending = false;
    log->reset_pending = true;
    log->epoch++;
    log->stats.n_truncations++;
    log->changed = true;
    commit_pump(log);
    return 0;
}

/* ---- events ---------------------------------------------------------------*/

void raftlog_poll(struct raftlog *log)
{
    if (log->stopped) {
        return;
    }
    commit_reap(log);
    commit_pump(log);
    raftlog_internal_progress(log);
}

int raftlog_fd(const struct raftlog *log)
{
    return file_queue_fd(log->queue);
}

void raftlog_tick(struct raftlog *log)
{
    if (log->stopped) {
        return;
    }
    commit_pump(log);
    commit_tick(log);
    space_release(log);
    space_maintain(log);
}

/* ---- questions ------------------------------------------------------------*/

uint64_t raftlog_first_index(const struct raftlog *log)
{
    return log->index.base + 1;
}

uint64_t raftlog_last_index(const struct raftlog *log)
{
    return log->index.last;
}

uint64_t raftlog_durable_index(const struct raftlog *log)
{
    return log->durable;
}

uint64_t raftlog_term(const struct raftlog *log, uint64_t index)
{
    return log_index_term(&log->index, index);
}

uint64_t raftlog_epoch(const struct raftlog *log)
{
    return log->epoch;
}

int raftlog_get(struct raftlog *log, uint64_t index, struct raftlog_entry *out)
{
    const struct raftlog_entry *e;
    if (index <= log->index.base || index > log->index.last) {
        return ERR_NOTFOUND;
    }
    e = cache_get(&log->cache, index);
    if (e == NULL) {
        return ERR_AGAIN;
    }
    *out = *e;
    return 0;
}

bool raftlog_has_room(const struct raftlog *log, size_t bytes)
{
    return space_has_room(log, bytes);
}

const struct raftlog_latency *raftlog_latency(const struct raftlog *log)
{
    return &log->latency;
}

void raftlog_reset_latency(struct raftlog *log)
{
    memset(&log->latency, 0, sizeof log->latency);
    log->stats.write_us_max = 0;
    log->stats.sync_us_max = 0;
}

void raftlog_get_stats(const struct raftlog *log, struct raftlog_stats *out)
{
    const struct frame_write *w = &log->frame;
    *out = log->stats;
    out->n_segments = log->n_segments;
    out->n_pooled = log->n_pool;
    out->pending_bytes = log->unframed_bytes + (w->active ? w->payload : 0);
    out->cache_bytes = log->cache.bytes;
    out->unsynced_bytes = log->unsynced_bytes;
    out->unsynced_entries = log->unsynced_entries;
    out->sync = log->options.sync;
    out->sync_policy = raftlog_sync_name(log->options.sync.policy);
    if (w->active) {
        uint64_t age = log->io.now_ms(log->io.ctx) - w->started_ms;
        out->oldest_write_ms = age > 0 ? age : 1;
    } else if (sync_holds(log)) {
        uint64_t age = log->io.now_ms(log->io.ctx) - log->unsynced_since_ms;
        out->oldest_write_ms = age > 0 ? age : 1;
    }
    out->no_space = log->no_space;
    out->sync_method =
        file_queue_kind(log->queue) == FILE_QUEUE_AIO ? "aio" : "thread";
}
