/* The changes that recovery makes once nothing was refused: a torn tail is kept
 * aside and wiped, an interrupted release or creation is finished, the pool is
 * tidied, and all that was read is made durable. Each step leads to a directory
 * that recovery reads the same way, so that a crash in here, or a second
 * recovery, changes nothing more. */
#include "raftlog/recover_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TORN_FILES_MAX = 8,
    TORN_BYTES_MAX = 16 * 1024 * 1024,
    REWRITE_BYTES = 1024 * 1024
};

/* ---- repair ---------------------------------------------------------------*/

static int on_torn_name(void *ctx, const char *name)
{
    struct recovery *r = ctx;
    char path[SEGMENT_PATH_MAX];
    uint64_t sequence;
    if (sscanf(name, "torn-%20" SCNu64 "-", &sequence) == 1 &&
        sequence + TORN_FILES_MAX < r->torn_sequence &&
        segment_path(path, r->log->log_dir, name) == 0) {
        (void)file_unlink(path);
    }
    return 0;
}

/* Copy the torn tail (of what a weaker policy lost, the beginning) into a file
 * of its own. A full disk must not keep the
 * node from starting: then there is no copy, and the report says so. */
static int keep_torn(struct recovery *r, const struct segment *s)
{
    char name[SEGMENT_NAME_MAX * 2];
    char path[SEGMENT_PATH_MAX];
    const uint8_t *at;
    size_t size =
        r->torn_bytes < TORN_BYTES_MAX ? (size_t)r->torn_bytes : TORN_BYTES_MAX;
    int rv = recover_window(r, s->name, r->torn_offset, size, &at);
    if (rv != 0) {
        return rv;
    }
    (void)snprintf(name, sizeof name, "torn-%020" PRIu64 "-%010" PRIu64,
                   r->torn_sequence, s->id);
    (void)segment_path(path, r->log->log_dir, name);
    rv = file_replace(path, at, size);
    if (rv == 0) {
        (void)snprintf(r->report->torn_path, sizeof r->report->torn_path,
                       "log/%s", name);
        (void)file_list(r->log->log_dir, on_torn_name, r);
    } else if (rv != ERR_NOSPACE) {
        return recover_fail_io(r, rv, name);
    }
    return 0;
}

/* Overwrite the torn tail, so that no later recovery meets it again. */
static int wipe_torn(struct recovery *r, const struct segment *s)
{
    int rv = file_fill(r->file, r->torn_offset, r->torn_bytes);
    return rv == 0 ? 0 : recover_fail_io(r, rv, s->name);
}

/* Under a weaker sync policy the process may have ended because a sync failed.
 * Then what stands in the page cache counts as clean, and no later sync would
 * save it: write the newest segment again as it was read. */
static int write_again(struct recovery *r, const struct segment *s)
{
    uint64_t at = r->found[r->n_found - 1].header.block_bytes;
    int rv = 0;
    while (rv == 0 && at < s->end) {
        size_t size =
            s->end - at < REWRITE_BYTES ? (size_t)(s->end - at) : REWRITE_BYTES;
        const uint8_t *data;
        rv = recover_window(r, s->name, at, size, &data);
        if (rv == 0) {
            rv = file_write_at(r->file, data, size, at);
            rv = rv == 0 ? 0 : recover_fail_io(r, rv, s->name);
        }
        at += size;
    }
    return rv;
}

/* What was read may still be in the page cache only, of this boot's killed
 * process: make it durable before anybody relies on it. */
static int settle_tail(struct recovery *r)
{
    struct segment *s = r->log->active;
    int rv = recover_open_segment(r, s->name, FILE_WRITE);
    if (rv == 0 && r->torn) {
        r->report->torn_bytes = r->torn_bytes;
        rv = keep_torn(r, s);
    }
    if (rv == 0 && r->torn) {
        rv = wipe_torn(r, s);
    }
    if (rv == 0 && r->hard.state.weak_boot[0] != '\0') {
        rv = write_again(r, s);
    }
    if (rv == 0) {
        rv = file_sync(r->file);
        rv = rv == 0 ? 0 : recover_fail_io(r, rv, s->name);
    }
    recover_close_segment(r);
    return rv;
}

/* Finish an interrupted release: take the leftovers out of log and index. */
static int remove_leftovers(struct recovery *r)
{
    struct raftlog *log = r->log;
    for (size_t i = 0; i < r->n_found; i++) {
        struct found *f = &r->found[i];
        struct segment *s = f->segment;
        bool keep = f->file_bytes == log->options.segment_bytes;
        int rv;
        if (f->id >= r->oldest) {
            break;
        }
        recover_note(r, RECOVER_LEFTOVER);
        rv = segment_recycle(log->log_dir, log->pool_dir, f->name, f->id, &keep,
                             r->info);
        if (rv != 0) {
            return rv;
        }
        if (s != NULL) {
            const struct frame_ref *end = log_index_frames_end(&log->index);
            while (log->index.n_frames > 0 &&
                   (end - log->index.n_frames)->segment == s) {
                log_index_trim(&log->index, (end - log->index.n_frames)->last);
            }
            log->segments = s->next;
            log->n_segments--;
            log->stats.bytes_on_disk -= s->bytes;
            raftlog_internal_segment_unref(s);
            f->segment = NULL;
        }
    }
    return 0;
}

static int open_files(struct recovery *r)
{
    struct raftlog *log = r->log;
    for (struct segment *s = log->segments; s != NULL; s = s->next) {
        unsigned access = s == log->active ? FILE_WRITE : FILE_READ;
        char path[SEGMENT_PATH_MAX];
        int rv;
        (void)segment_path(path, log->log_dir, s->name);
        rv = file_open(path, access | FILE_DIRECT, &s->file);
        if (rv != 0) {
            return recover_fail_io(r, rv, s->name);
        }
    }
    return 0;
}

/* ---- the pool -------------------------------------------------------------*/

struct pool_scan {
    struct recovery *r;
    uint64_t highest_id;
};

/* A pool file that is also a live segment: a file system that does not rename
 * atomically left both names. It must not be written to. */
static bool is_live(struct recovery *r, const char *path)
{
    uint8_t block[SEGMENT_HEADER_SIZE];
    struct segment_header h;
    struct file *file = NULL;
    size_t n_read = 0;
    bool live = false;
    if (file_open(path, FILE_READ, &file) != 0) {
        return true;
    }
    if (file_read_at(file, block, sizeof block, 0, &n_read) == 0 &&
        segment_header_decode(block, n_read, &h) == 0) {
        for (const struct segment *s = r->log->segments; s != NULL;
             s = s->next) {
            live = live || s->id == h.segment_id;
        }
    }
    file_close(file);
    return live;
}

static int on_pool_name(void *ctx, const char *name)
{
    struct pool_scan *scan = ctx;
    struct raftlog *log = scan->r->log;
    char path[SEGMENT_PATH_MAX];
    struct file *file = NULL;
    uint64_t id = 0;
    uint64_t bytes = 0;
    bool named = segment_pool_name_parse(name, &id);
    size_t wanted = (size_t)log->options.n_pooled_max + log->options.n_prepared;
    if (segment_path(path, log->pool_dir, name) != 0) {
        return 0;
    }
    if (named && id > scan->highest_id) {
        scan->highest_id = id;
    }
    if (file_open(path, FILE_READ, &file) == 0) {
        (void)file_size(file, &bytes);
        file_close(file);
    }
    if (named && bytes == log->options.segment_bytes && log->n_pool < wanted &&
        !is_live(scan->r, path)) {
        space_pool_add(log, id, bytes);
    } else if (named || strstr(name, ".tmp") != NULL) {
        (void)file_unlink(path);
    }
    return 0;
}

/* Count what is ready for use, remove what is unfinished, of another size, or
 * too much; choose ids that no file has. */
static int tidy_pool(struct recovery *r)
{
    struct raftlog *log = r->log;
    struct pool_scan scan = {r, 0};
    int rv = file_list(log->pool_dir, on_pool_name, &scan);
    if (rv != 0) {
        return recover_fail_io(r, rv, "pool");
    }
    for (size_t i = 0; i < r->n_found; i++) {
        if (r->found[i].id > scan.highest_id) {
            scan.highest_id = r->found[i].id;
        }
    }
    log->next_segment_id = scan.highest_id + 1;
    return 0;
}

static int sync_names(struct recovery *r)
{
    const char *dirs[3];
    dirs[0] = r->log->pool_dir;
    dirs[1] = r->log->log_dir;
    dirs[2] = r->log->data_dir;
    for (size_t i = 0; i < 3; i++) {
        int rv = file_sync_dir(dirs[i]);
        if (rv != 0) {
            return err_set(r->info, rv, "cannot sync %s: %s", dirs[i],
                           err_text(rv));
        }
    }
    return 0;
}
/* Open the slots for writing; a missing or short one is made first. */
static int open_hard(struct recovery *r)
{
    struct raftlog *log = r->log;
    struct hard_write *h = &log->hard;
    struct hardstate *state = &r->hard.state;
    if (r->hard.missing) {
        memcpy(state->cluster_id, log->options.cluster_id,
               sizeof state->cluster_id);
        state->node_id = log->options.node_id;
    }
    if (r->hard.missing || !r->hard.both) {
        int rv =
            hardstate_create(log->data_dir, state,
                             r->hard.missing ? HARDSTATE_SLOTS : !r->hard.slot,
                             log->align, r->info);
        if (rv != 0) {
            return rv;
        }
        r->hard.mirrored = true;
    }
    for (unsigned i = 0; i < HARDSTATE_SLOTS; i++) {
        char path[SEGMENT_PATH_MAX];
        int rv;
        (void)segment_path(path, log->data_dir,
                           i == 0 ? "hardstate.0" : "hardstate.1");
        rv = file_open(path, FILE_WRITE | FILE_DIRECT, &h->files[i]);
        rv = rv == 0 ? file_sync(h->files[i]) : rv;
        if (rv != 0) {
            return err_set(r->info, rv, "cannot open %s: %s", path,
                           err_text(rv));
        }
    }
    h->wanted = *state;
    h->durable_sequence = state->sequence;
    h->slot = r->hard.slot;
    h->mirrored = r->hard.mirrored;
    return 0;
}

/* ---- creation -------------------------------------------------------------*/

static int make_dirs(struct recovery *r)
{
    int rv = file_make_dir(r->log->log_dir);
    rv = rv == 0 ? file_make_dir(r->log->pool_dir) : rv;
    return rv == 0 ? 0
                   : err_set(r->info, rv, "cannot create %s: %s",
                             r->log->pool_dir, err_text(rv));
}

/* The first segment of a new log. The hard state stands before it, so that
 * segments without hard state always mean a loss. */
static int create_first(struct recovery *r)
{
    struct raftlog *log = r->log;
    struct found *f;
    int rv = 0;
    if (log->n_pool == 0) {
        uint64_t id = log->next_segment_id++;
        rv = segment_fill(log->pool_dir, id, log->options.segment_bytes,
                          r->info);
        if (rv != 0) {
            return rv;
        }
        space_pool_add(log, id, log->options.segment_bytes);
    }
    r->n_found = 0;
    if (recover_add_found(r, "00000000000000000001-0000000001.seg") != 0) {
        return err_set(r->info, ERR_NOMEM, "out of memory");
    }
    f = &r->found[0];
    f->id = log->next_segment_id++;
    segment_name(f->name, 1, f->id);
    memcpy(f->header.cluster_id, log->options.cluster_id,
           sizeof f->header.cluster_id);
    f->header.node_id = log->options.node_id;
    f->header.segment_id = f->id;
    f->header.first_index = 1;
    f->header.first_sequence = 1;
    f->header.file_bytes = log->options.segment_bytes;
    f->header.block_bytes = (uint32_t)log->align;
    f->header.begun_ms = raftlog_internal_clock_ms(log);
    if (recover_segment_new(r, f) == NULL) {
        return err_set(r->info, ERR_NOMEM, "out of memory");
    }
    log->n_pool--;
    log->stats.bytes_on_disk -= log->pool[log->n_pool].bytes;
    r->sequence = 1;
    r->oldest = f->id;
    return segment_activate(log->log_dir, log->pool_dir,
                            log->pool[log->n_pool].id, &f->header,
                            &log->active->file, r->info);
}

/* ---- the running log ------------------------------------------------------*/

/* When the segments were begun, by what has passed on the wall clock since: not
 * later than the next one. One that does not say, or says the future, begins
 * now: for whoever keeps a log for a time that is too long rather than too
 * short. */
static void date_segments(struct recovery *r)
{
    struct raftlog *log = r->log;
    uint64_t clock = raftlog_internal_clock_ms(log);
    uint64_t age = 0;
    for (size_t i = r->n_found; i-- > 0 && r->found[i].segment != NULL;) {
        uint64_t then = r->found[i].header.begun_ms;
        uint64_t own = then > 0 && clock > then ? clock - then : 0;
        age = own > age ? own : age;
        r->found[i].segment->begun_ms =
            (int64_t)log->io.now_ms(log->io.ctx) - (int64_t)age;
    }
}

static void adopt(struct recovery *r)
{
    struct raftlog *log = r->log;
    struct raftlog_report *report = r->report;
    log->durable = log->index.last;
    log->unframed_first = log->index.last + 1;
    cache_clear(&log->cache, log->unframed_first);
    log->next_sequence = r->sequence;
    log->chain = r->chain;
    log->durable_sequence = r->sequence - 1;
    log->act_sequence = r->act_sequence;
    log->recorded_sequence = r->recorded;
    log->oldest_wanted = log->segments->id;
    log->oldest_recorded = log->segments->id;
    date_segments(r);
    sync_durable(log);
    log->written.last = log->durable;
    log->clean = r->n_frames > 0 && (r->last_flags & FRAME_CLEAN) != 0;
    if (r->n_found > 0 &&
        r->found[r->n_found - 1].header.block_bytes != log->align) {
        log->active->end = log->active->bytes; /* the next frame rotates */
    }
    report->first_index = log->index.base + 1;
    report->last_index = log->index.last;
    report->current_term = log->hard.wanted.term;
    report->voted_for = log->hard.wanted.voted_for;
    report->clean = log->clean || report->created;
    report->n_segments = log->n_segments;
    report->n_frames = r->n_frames;
    sync_adopt(log, report);
}

int repair_create(struct recovery *r)
{
    int rv = make_dirs(r);
    recover_note(r, r->hard.missing ? RECOVER_NEW : RECOVER_HALF_CREATED);
    r->report->created = true;
    rv = rv == 0 ? open_hard(r) : rv;
    rv = rv == 0 ? tidy_pool(r) : rv;
    rv = rv == 0 ? sync_names(r) : rv;
    rv = rv == 0 ? create_first(r) : rv;
    if (rv == 0) {
        adopt(r);
    }
    return rv;
}

int repair_run(struct recovery *r)
{
    int rv = make_dirs(r);
    rv = rv == 0 ? settle_tail(r) : rv;
    rv = rv == 0 ? remove_leftovers(r) : rv;
    rv = rv == 0 ? open_hard(r) : rv;
    rv = rv == 0 ? open_files(r) : rv;
    rv = rv == 0 ? tidy_pool(r) : rv;
    rv = rv == 0 ? sync_names(r) : rv;
    if (rv == 0) {
        adopt(r);
    }
    return rv;
}
