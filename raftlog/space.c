/* Segments of a running log: prepared ahead, switched to, let go.
 *
 * All file work is done by jobs; here on the loop thread only the lists
 * change. Three kinds of job, at most one of each at a time:
 *
 *  prepare  fills a new pool file with zeroes. A full disk sets no_space and
 *           is tried again by raftlog_tick; nothing else depends on it.
 *  rotate   turns a pool file into the active segment. No frame is in flight
 *           and none starts before it is done, so the last frame of the old
 *           segment is durable: only the newest segment can have a torn tail.
 *  release  moves segments out of the log, oldest first, after a frame that
 *           names the oldest one still needed is durable. Recovery can so tell
 *           a released segment from a missing one. */
#include "raftlog/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Kept back for Raft's own entries when the disk is full: a barrier or a
 * configuration must get through although clients are refused. */
enum { RESERVE_BYTES_MAX = 1024 * 1024, RESERVE_PART = 8 };

static uint64_t later(const struct raftlog *log)
{
    return log->io.now_ms(log->io.ctx) + SPACE_RETRY_MS;
}

static bool waits_until(const struct raftlog *log, uint64_t at_ms)
{
    return log->io.now_ms(log->io.ctx) < at_ms;
}

static void set_no_space(struct raftlog *log, bool value)
{
    if (log->no_space != value) {
        log->no_space = value;
        log->changed = true;
    }
}

/* Failures of preparing that say nothing about the disk's health. */
static bool may_retry(int status)
{
    return status == ERR_NOSPACE || status == ERR_NOMEM || status == ERR_AGAIN;
}

/* ---- the pool -------------------------------------------------------------*/

/* The array has room for every file that may be in it, see raftlog_open. */
void space_pool_add(struct raftlog *log, uint64_t id, uint64_t bytes)
{
    assert(log->n_pool < log->pool_capacity);
    log->pool[log->n_pool].id = id;
    log->pool[log->n_pool].bytes = bytes;
    log->n_pool++;
    log->stats.bytes_on_disk += bytes;
}

/* The smallest file that is large enough; n_pool when there is none. */
static size_t pool_find(const struct raftlog *log, uint64_t bytes)
{
    size_t best = log->n_pool;
    for (size_t i = 0; i < log->n_pool; i++) {
        if (log->pool[i].bytes >= bytes &&
            (best == log->n_pool ||
             log->pool[i].bytes < log->pool[best].bytes)) {
            best = i;
        }
    }
    return best;
}

static struct pool_file pool_take(struct raftlog *log, size_t i)
{
    struct pool_file file = log->pool[i];
    log->n_pool--;
    log->pool[i] = log->pool[log->n_pool];
    log->stats.bytes_on_disk -= file.bytes;
    return file;
}

/* ---- prepare --------------------------------------------------------------*/

struct prepare_job {
    struct job job;
    char *pool_dir;
    uint64_t id;
    uint64_t bytes;
    uint64_t reserve; /* must be free beside it */
    int status;
    struct err_info info;
};

static void prepare_run(struct job *job)
{
    struct prepare_job *p = (struct prepare_job *)job;
    uint64_t available;
    if (p->reserve > 0 && file_free_bytes(p->pool_dir, &available) == 0 &&
        available < p->bytes + p->reserve) {
        p->status =
            err_set(&p->info, ERR_NOSPACE,
                    "%s: what is free is kept for a snapshot", p->pool_dir);
        return;
    }
    p->status = segment_fill(p->pool_dir, p->id, p->bytes, &p->info);
}

static void prepare_finish(struct job *job)
{
    struct prepare_job *p = (struct prepare_job *)job;
    struct raftlog *log = job->log;
    log->preparing = false;
    if (p->status == 0) {
        space_pool_add(log, p->id, p->bytes);
        set_no_space(log, false);
        log->changed = true;
        space_maintain(log);
    } else if (may_retry(p->status)) {
        set_no_space(log, true);
        log->prepare_at_ms = later(log);
    } else {
        raftlog_internal_fail(log, &p->info);
    }
}

static void prepare_destroy(struct job *job)
{
    struct prepare_job *p = (struct prepare_job *)job;
    free(p->pool_dir);
    free(p);
}

static void prepare_start(struct raftlog *log, uint64_t bytes)
{
    struct prepare_job *p;
    if (log->preparing || log->stopped ||
        log->n_pool + 1 >= log->pool_capacity ||
        waits_until(log, log->prepare_at_ms)) {
        return;
    }
    p = calloc(1, sizeof *p);
    if (p == NULL || (p->pool_dir = strdup(log->pool_dir)) == NULL) {
        free(p);
        log->prepare_at_ms = later(log);
        return;
    }
    p->job.run = prepare_run;
    p->job.finish = prepare_finish;
    p->job.destroy = prepare_destroy;
    p->id = log->next_segment_id++;
    p->bytes = bytes;
    p->reserve = log->reserve_bytes;
    log->preparing = true;
    job_start(log, &p->job);
}

void space_maintain(struct raftlog *log)
{
    size_t n_ready = 0;
    for (size_t i = 0; i < log->n_pool; i++) {
        n_ready += log->pool[i].bytes == log->options.segment_bytes;
    }
    if (n_ready < log->options.n_prepared && !log->closing) {
        prepare_start(log, log->options.segment_bytes);
    }
}

/* ---- rotate ---------------------------------------------------------------*/

struct rotate_job {
    struct job job;
    char *log_dir;
    char *pool_dir;
    struct pool_file file;
    struct segment_header header;
    struct segment *segment; /* becomes the active one */
    int status;
    struct err_info info;
};

static void rotate_run(struct job *job)
{
    struct rotate_job *r = (struct rotate_job *)job;
    r->status = segment_activate(r->log_dir, r->pool_dir, r->file.id,
                                 &r->header, &r->segment->file, &r->info);
}

static void rotate_finish(struct job *job)
{
    struct rotate_job *r = (struct rotate_job *)job;
    struct raftlog *log = job->log;
    log->rotating = false;
    if (r->status == 0) {
        log->active->next = r->segment;
        log->active = r->segment;
        log->n_segments++;
        log->stats.bytes_on_disk += r->file.bytes;
        r->segment = NULL;
        log->changed = true;
        space_update_oldest(log);
        space_maintain(log);
    } else if (may_retry(r->status)) {
        space_pool_add(log, r->file.id, r->file.bytes);
        set_no_space(log, true);
        log->rotate_at_ms = later(log);
    } else {
        raftlog_internal_fail(log, &r->info);
    }
}

static void rotate_destroy(struct job *job)
{
    struct rotate_job *r = (struct rotate_job *)job;
    if (r->segment != NULL) {
        raftlog_internal_segment_unref(r->segment);
    }
    free(r->log_dir);
    free(r->pool_dir);
    free(r);
}

static struct rotate_job *rotate_new(const struct raftlog *log)
{
    struct rotate_job *r = calloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->job.run = rotate_run;
    r->job.finish = rotate_finish;
    r->job.destroy = rotate_destroy;
    r->log_dir = strdup(log->log_dir);
    r->pool_dir = strdup(log->pool_dir);
    r->segment = calloc(1, sizeof *r->segment);
    if (r->log_dir == NULL || r->pool_dir == NULL || r->segment == NULL) {
        free(r->segment);
        r->segment = NULL;
        rotate_destroy(&r->job);
        return NULL;
    }
    r->segment->refs = 1;
    return r;
}

/* The header says what the next frame will be as far as it is known now. A
 * truncation or reset that comes before that frame is written makes the first
 * index of the header and of the name a mere plan; the frame's own is right. */
static void rotate_describe(const struct raftlog *log, struct rotate_job *r,
                            uint64_t id)
{
    struct segment_header *h = &r->header;
    memcpy(h->cluster_id, log->options.cluster_id, sizeof h->cluster_id);
    h->node_id = log->options.node_id;
    h->segment_id = id;
    h->previous_id = log->active->id;
    h->first_index = log->unframed_first;
    h->previous_term = log_index_term(&log->index, log->unframed_first - 1);
    h->first_sequence = log->next_sequence;
    h->previous_checksum = log->chain;
    h->file_bytes = r->file.bytes;
    h->block_bytes = (uint32_t)log->align;
    h->begun_ms = raftlog_internal_clock_ms(log);
    r->segment->begun_ms = (int64_t)log->io.now_ms(log->io.ctx);
    r->segment->id = id;
    r->segment->first_index = h->first_index;
    r->segment->bytes = h->file_bytes;
    r->segment->end = h->block_bytes;
    segment_name(r->segment->name, h->first_index, id);
}

static uint64_t file_bytes_for(const struct raftlog *log, uint64_t frame_bytes)
{
    uint64_t need = frame_bytes + (1 + SPACE_RESERVED_BLOCKS) * log->align;
    return need > log->options.segment_bytes ? need
                                             : log->options.segment_bytes;
}

void space_rotate(struct raftlog *log, uint64_t frame_bytes)
{
    uint64_t bytes = file_bytes_for(log, frame_bytes);
    size_t i = pool_find(log, bytes);
    struct rotate_job *r;
    assert(!log->frame.active);
    if (log->rotating || log->stopped || waits_until(log, log->rotate_at_ms)) {
        return;
    }
    if (i == log->n_pool) {
        prepare_start(log, bytes);
        return;
    }
    r = rotate_new(log);
    if (r == NULL) {
        log->rotate_at_ms = later(log);
        return;
    }
    r->file = pool_take(log, i);
    rotate_describe(log, r, log->next_segment_id++);
    log->rotating = true;
    job_start(log, &r->job);
}

/* ---- release --------------------------------------------------------------*/

struct release_job {
    struct job job;
    char *log_dir;
    char *pool_dir;
    struct segment *segments; /* oldest first, taken out of the log's list */
    unsigned n_keep;          /* how many may go to the pool */
    uint64_t keep_bytes;      /* only files of this size */
    struct pool_file *kept;   /* room for all */
    unsigned n_kept;
    int status;
    struct err_info info;
};

static void release_run(struct job *job)
{
    struct release_job *r = (struct release_job *)job;
    for (struct segment *s = r->segments; s != NULL && r->status == 0;
         s = s->next) {
        bool keep = r->n_kept < r->n_keep && s->bytes == r->keep_bytes;
        file_close(s->file);
        s->file = NULL;
        r->status = segment_recycle(r->log_dir, r->pool_dir, s->name, s->id,
                                    &keep, &r->info);
        if (r->status == 0 && keep) {
            r->kept[r->n_kept].id = s->id;
            r->kept[r->n_kept].bytes = s->bytes;
            r->n_kept++;
        }
    }
}

static void release_finish(struct job *job)
{
    struct release_job *r = (struct release_job *)job;
    struct raftlog *log = job->log;
    log->releasing = false;
    for (unsigned i = 0; i < r->n_kept; i++) {
        space_pool_add(log, r->kept[i].id, r->kept[i].bytes);
    }
    if (r->status != 0) {
        raftlog_internal_fail(log, &r->info);
        return;
    }
    /* Space has come back, in the pool or on the disk. */
    log->prepare_at_ms = 0;
    if (r->n_kept > 0) {
        set_no_space(log, false);
    }
    log->changed = true;
    space_maintain(log);
    space_release(log);
}

static void release_destroy(struct job *job)
{
    struct release_job *r = (struct release_job *)job;
    while (r->segments != NULL) {
        struct segment *s = r->segments;
        r->segments = s->next;
        raftlog_internal_segment_unref(s);
    }
    free(r->kept);
    free(r->log_dir);
    free(r->pool_dir);
    free(r);
}

void space_update_oldest(struct raftlog *log)
{
    const struct segment *s = log->segments;
    while (s != log->active && s->max_index <= log->index.base) {
        s = s->next;
    }
    if (s->id > log->oldest_wanted) {
        log->oldest_wanted = s->id;
    }
}

/* How many of the oldest segments may leave now: named by a durable frame and
 * not being read. */
static unsigned releasable(const struct raftlog *log)
{
    unsigned n = 0;
    for (const struct segment *s = log->segments;
         s != log->active && s->id < log->oldest_recorded && s->refs == 1;
         s = s->next) {
        n++;
    }
    return n;
}

/* Pool places that are still free, one kept for a prepare job under way. */
static unsigned pool_places(const struct raftlog *log)
{
    size_t max = log->options.n_pooled_max;
    size_t used = log->n_pool + (log->preparing ? 1 : 0);
    return used >= max ? 0 : (unsigned)(max - used);
}

void space_release(struct raftlog *log)
{
    unsigned n = releasable(log);
    struct release_job *r;
    struct segment **at;
    if (n == 0 || log->releasing || log->stopped || log->closing) {
        return;
    }
    r = calloc(1, sizeof *r);
    if (r == NULL) {
        return; /* tried again at the next occasion */
    }
    r->job.run = release_run;
    r->job.finish = release_finish;
    r->job.destroy = release_destroy;
    r->log_dir = strdup(log->log_dir);
    r->pool_dir = strdup(log->pool_dir);
    r->kept = calloc(n, sizeof *r->kept);
    r->n_keep = pool_places(log);
    r->keep_bytes = log->options.segment_bytes;
    if (r->log_dir == NULL || r->pool_dir == NULL || r->kept == NULL) {
        release_destroy(&r->job);
        return;
    }
    at = &r->segments;
    for (unsigned i = 0; i < n; i++) {
        struct segment *s = log->segments;
        log->segments = s->next;
        s->next = NULL;
        *at = s;
        at = &s->next;
        log->stats.bytes_on_disk -= s->bytes;
    }
    log->n_segments -= n;
    log->releasing = true;
    job_start(log, &r->job);
}

/* ---- room -----------------------------------------------------------------*/

void raftlog_set_reserve(struct raftlog *log, uint64_t bytes)
{
    log->reserve_bytes = bytes;
}

uint64_t space_left(const struct raftlog *log)
{
    const struct segment *s = log->active;
    uint64_t reserved = SPACE_RESERVED_BLOCKS * log->align;
    return s->end + reserved >= s->bytes ? 0 : s->bytes - s->end - reserved;
}

/* While preparing works, the limit is one of memory: what waits for a file to
 * be filled is held in the cache. Once the disk is full, it is what is left in
 * files that exist, less the reserve. */
bool space_has_room(const struct raftlog *log, size_t bytes)
{
    uint64_t reserve = log->options.segment_bytes / RESERVE_PART;
    uint64_t room = space_left(log);
    uint64_t need = log->unframed_bytes + bytes + 4 * log->align;
    if (log->stopped) {
        return false;
    }
    if (!log->no_space) {
        return log->unframed_bytes == 0 ||
               log->unframed_bytes + bytes <= log->options.segment_bytes;
    }
    if (reserve > RESERVE_BYTES_MAX) {
        reserve = RESERVE_BYTES_MAX;
    }
    for (size_t i = 0; i < log->n_pool; i++) {
        room += log->pool[i].bytes - (1 + SPACE_RESERVED_BLOCKS) * log->align;
    }
    return need + reserve <= room;
}
