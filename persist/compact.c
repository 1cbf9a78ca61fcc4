/* The steps of a compaction; see compact.h.
 *
 * Happy path: entries behind the chain are read in pieces and gathered in a
 * run until its memory is used up; the run is sorted, written as a base (when
 * there is none) or a delta, read back, and named by the manifest; then the log
 * lets the entries go. When the deltas have become as large as the base, all
 * files are merged into a new base, streaming; when they have become many, the
 * newest of them into one delta.
 *
 * Crash cases: before the manifest is replaced the new file is a stranger that
 * the next open removes, and the log still has the entries. After it the log
 * may still have entries that the chain covers; the next open lets them go. */
#include "persist/compact.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "persist/merge.h"
#include "persist/run.h"

enum {
    MERGE_FILES = 8, /* or as many, without a merge */
    MERGE_BYTES_MIN = 1024 * 1024,
    /* Memory of a run that a full disk still leaves. */
    RUN_BYTES_MIN = 64 * 1024
};

/* ---- one file -------------------------------------------------------------*/

int compact_begin(struct wal_private *w, uint64_t from, uint64_t to,
                  struct snapshot_writer **out, struct err_info *info)
{
    struct snapshot_meta meta;

    memset(&meta, 0, sizeof meta);
    memcpy(meta.cluster_id, w->cluster_id, sizeof meta.cluster_id);
    meta.from = from;
    meta.to = to;
    meta.to_term = 1;
    return snapshot_writer_new(w->snapshot_dir, &meta, out, info);
}

static int verify(struct wal_private *w, const struct snapshot_file *file,
                  struct err_info *info)
{
    char path[WAL_PATH_MAX + 256];

    (void)snprintf(path, sizeof path, "%s/incoming/%s", w->snapshot_dir,
                   file->name);
    return snapshot_file_verify(path, file, w->cluster_id, info);
}

/* The chain with the file, instead of those that it covers. */
static int adopt(struct wal_private *w, const struct snapshot_file *file,
                 struct err_info *info)
{
    struct snapshot_manifest *next = malloc(sizeof *next);
    int rv;

    if (next == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    *next = w->chain;
    while (next->n_files > 0 &&
           next->files[next->n_files - 1].to > file->from) {
        next->n_files--;
    }
    assert(next->n_files < SNAPSHOT_FILES_MAX);
    next->files[next->n_files++] = *file;
    rv = snapshot_chain_adopt(w->snapshot_dir, &w->chain, next, NULL, 0, info);
    if (rv == 0) {
        w->chain = *next;
    }
    free(next);
    return rv;
}

int compact_finish(struct wal_private *w, struct snapshot_writer *writer,
                   struct pace *pace, struct err_info *info)
{
    struct snapshot_file file;
    int rv = snapshot_writer_finish(writer, &file, info);

    rv = rv == 0 ? verify(w, &file, info) : rv;
    rv = rv == 0 ? adopt(w, &file, info) : rv;
    if (rv != 0) {
        return rv;
    }
    pthread_mutex_lock(&w->gather_lock);
    w->counters.compact_out += file.size;
    w->compacting_out += file.size;
    pthread_mutex_unlock(&w->gather_lock);
    return pace_spend(pace, 2 * file.size);
}

/* ---- runs -----------------------------------------------------------------*/

struct collect {
    struct run *run;
    struct pace *pace;
    size_t bytes_max;
    uint64_t last; /* entry that the run holds */
};

enum { RUN_FULL = 1 };

static int on_entry(void *ctx, uint64_t seq, const struct entry *e)
{
    struct collect *c = ctx;
    int rv;

    if (c->run->bytes >= c->bytes_max) {
        return RUN_FULL;
    }
    rv = run_add(c->run, seq, e);
    if (rv == 0) {
        c->last = seq;
        rv = pace_spend(c->pace, e->key.size + e->value.size);
    }
    return rv;
}

/* Memory for a run: no more than what its file can find room for. */
static size_t run_bytes_max(struct wal_private *w)
{
    uint64_t memory = wal_option_get(w, WAL_OPTION_COMPACT_MEMORY);
    uint64_t space = compact_space_free(w) / 2;

    if (space < memory) {
        memory = space > RUN_BYTES_MIN ? space : RUN_BYTES_MIN;
    }
    return (size_t)memory;
}

static int write_run(struct wal_private *w, struct run *run, uint64_t to,
                     struct pace *pace, struct err_info *info)
{
    struct snapshot_writer *writer = NULL;
    uint64_t from = wal_chain_to(w);
    int rv = compact_space_take(w, run_file_bytes_max(run), info);

    rv = rv == 0 ? compact_begin(w, from, to, &writer, info) : rv;
    if (rv != 0) {
        return rv;
    }
    rv = run_write(run, from == 0, writer, pace_spend, pace);
    if (rv != 0) {
        snapshot_writer_abort(writer);
        return err_set(info, rv, "cannot write a base or delta in %s: %s",
                       w->snapshot_dir, err_text(rv));
    }
    return compact_finish(w, writer, pace, info);
}

/* One run from behind the chain on, at most through `to`. */
static int step(struct wal_private *w, struct run *run, uint64_t to,
                struct pace *pace, struct err_info *info)
{
    struct collect c = {run, pace, run_bytes_max(w), 0};
    int rv;

    run_clear(run);
    rv = log_read(w, wal_chain_to(w) + 1, to, on_entry, &c, info);
    if (rv == RUN_FULL) {
        rv = 0;
    }
    if (rv == 0) {
        rv = write_run(w, run, c.last, pace, info);
    }
    if (rv == 0) {
        pthread_mutex_lock(&w->gather_lock);
        w->counters.compact_in += run->bytes;
        w->compacting_in += run->bytes;
        pthread_mutex_unlock(&w->gather_lock);
        compact_release(w);
    }
    return rv;
}

/* ---- merging --------------------------------------------------------------*/

struct merge_target {
    struct snapshot_writer *writer;
    struct pace *pace;
};

static int on_record(void *ctx, const struct snapshot_record *record)
{
    struct merge_target *m = ctx;
    int rv = snapshot_writer_add(m->writer, record);

    return rv == 0 ? pace_spend(m->pace,
                                2 * (record->key.size + record->value.size))
                   : rv;
}

uint64_t compact_chain_bytes(const struct snapshot_manifest *chain,
                             unsigned first)
{
    uint64_t bytes = 0;

    for (unsigned i = first; i < chain->n_files; i++) {
        bytes += chain->files[i].size;
    }
    return bytes;
}

int compact_merge(struct wal_private *w, unsigned first, struct pace *pace,
                  struct err_info *info)
{
    struct merge_target m = {NULL, pace};
    uint64_t bytes = compact_chain_bytes(&w->chain, first);
    uint64_t from = w->chain.files[first].from;
    int rv = compact_space_take(w, bytes + bytes / 8, info);

    rv =
        rv == 0 ? compact_begin(w, from, wal_chain_to(w), &m.writer, info) : rv;
    if (rv != 0) {
        return rv;
    }
    info->message[0] = '\0';
    rv = merge_chain(w->snapshot_dir, &w->chain, first, on_record, &m, info);
    if (rv != 0) {
        snapshot_writer_abort(m.writer);
        return info->message[0] != '\0'
                   ? rv
                   : err_set(info, rv, "cannot merge the files in %s: %s",
                             w->snapshot_dir, err_text(rv));
    }
    return compact_finish(w, m.writer, pace, info);
}

/* From which file on a merge is due; the number of files when none is. The base
 * is written again only when the deltas are as large. Many deltas become one
 * without it: the newest, and those before them that are no larger than what
 * follows them. So a byte is written again as often as the files can double in
 * size, however small the deltas are beside the base. */
static unsigned merge_first(const struct wal_private *w)
{
    unsigned n = w->chain.n_files;
    uint64_t deltas = compact_chain_bytes(&w->chain, 1);
    unsigned first;
    uint64_t bytes;

    if (deltas >= MERGE_BYTES_MIN && deltas >= w->chain.files[0].size) {
        return 0;
    }
    if (n <= MERGE_FILES) {
        return n;
    }
    first = n - 2;
    bytes = compact_chain_bytes(&w->chain, first);
    while (first > 0 && w->chain.files[first - 1].size <= bytes) {
        first--;
        bytes += w->chain.files[first].size;
    }
    return first;
}

/* A merge that finds no room can wait until the chain is full. */
static int merge_if_due(struct wal_private *w, struct pace *pace,
                        struct err_info *info)
{
    unsigned first = merge_first(w);
    int rv = first < w->chain.n_files ? compact_merge(w, first, pace, info) : 0;

    return rv == ERR_NOSPACE && w->chain.n_files < SNAPSHOT_FILES_MAX ? 0 : rv;
}

int compact_range(struct wal_private *w, uint64_t to, struct pace *pace,
                  struct err_info *info)
{
    struct run run;
    int rv = 0;

    run_init(&run);
    if (w->chain.n_files == SNAPSHOT_FILES_MAX) {
        rv = merge_if_due(w, pace, info); /* one place, or nothing can come */
    }
    while (rv == 0 && wal_chain_to(w) < to) {
        rv = step(w, &run, to, pace, info);
        run_clear(&run);
        rv = rv == 0 ? merge_if_due(w, pace, info) : rv;
    }
    run_close(&run);
    compact_space_keep(w);
    return rv;
}

/* ---- letting go -----------------------------------------------------------*/

/* log_lock is held: through which entry files may go and still leave so many
 * bytes of files that the chain covers. */
static uint64_t enough_left(struct wal_private *w, uint64_t through,
                            uint64_t keep)
{
    size_t n = raftlog_files(w->log, NULL, 0);
    struct raftlog_file *files = calloc(n, sizeof *files);
    uint64_t left = 0;
    uint64_t result = 0;

    if (files == NULL) {
        return 0; /* another time */
    }
    n = raftlog_files(w->log, files, n);
    for (size_t i = 0; i < n; i++) {
        if (!files[i].active && files[i].last_index <= through) {
            left += files[i].file_bytes;
        }
    }
    for (size_t i = 0;
         i < n && !files[i].active && files[i].last_index <= through &&
         left - files[i].file_bytes >= keep;
         i++) {
        left -= files[i].file_bytes;
        result = files[i].last_index;
    }
    free(files);
    return result;
}

/* log_lock is held: through which entry nothing has to be kept. A full disk
 * comes before what is retained: the oldest file goes, and when it has gone the
 * next one if that was not enough. */
static uint64_t dispensable(struct wal_private *w, uint64_t covered)
{
    uint64_t seconds = wal_option_get(w, WAL_OPTION_RETAIN_SECONDS);
    uint64_t keep_bytes = wal_option_get(w, WAL_OPTION_RETAIN_BYTES);
    uint64_t through = covered;
    uint64_t oldest = raftlog_oldest(w->log, 0);
    struct raftlog_stats log;

    if (keep_bytes > 0) {
        through = enough_left(w, through, keep_bytes);
    }
    if (seconds > 0) {
        uint64_t old = raftlog_sealed_before(w->log, seconds * 1000);
        through = old < through ? old : through;
    }
    raftlog_get_stats(w->log, &log);
    return log.no_space && oldest <= covered && oldest > through ? oldest
                                                                 : through;
}

void compact_release(struct wal_private *w)
{
    pthread_mutex_lock(&w->log_lock);
    raftlog_release(w->log, dispensable(w, wal_chain_to(w)));
    pthread_mutex_unlock(&w->log_lock);
}
