/* From a directory to an open log, and back.
 *
 * Order at open: the directory, its lock, its identity, the log, the chain of
 * base and deltas, then threads. What the chain covers is let go in the log, so
 * a release that a crash interrupted is finished here. Each step of creation is
 * durable before the next, so a crash in between is met by the next open. */
#include "persist/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/compact.h"
#include "persist/directory.h"
#include "raftlog/checksum.h"
#include "raftlog/identity.h"

enum { NODE_ID = 1, POOLED_MAX = 2, CACHE_BYTES = 4096 };

/* Stands where a node names its members, and says that there are none. */
static const char identity_text[] = "concordkv-persist 1";

uint64_t wal_chain_to(const struct wal_private *w)
{
    return w->chain.n_files == 0 ? 0 : w->chain.files[w->chain.n_files - 1].to;
}

/* ---- the directory --------------------------------------------------------*/

/* Chance of this moment; two directories never share it. */
static void draw_id(const struct wal_private *w, struct identity *id)
{
    struct {
        uint64_t now_ns;
        int64_t seconds;
        const void *here;
        const void *heap;
        char boot[FILE_BOOT_ID_SIZE];
    } seed;
    struct checksum128 sum;
    struct byte_writer out = byte_writer(id->cluster_id, sizeof id->cluster_id);

    memset(&seed, 0, sizeof seed);
    seed.now_ns = wal_now_ns(w);
    seed.seconds = (int64_t)time(NULL);
    seed.here = &seed;
    seed.heap = w;
    (void)file_boot_id(seed.boot);
    sum = checksum128(&seed, sizeof seed, checksum(w->dir, strlen(w->dir), 0));
    byte_put_u64(&out, sum.low);
    byte_put_u64(&out, sum.high | 1);
    memcpy(id->instance_id, id->cluster_id, sizeof id->instance_id);
}

static int open_identity(struct wal_private *w, struct err_info *info)
{
    struct identity *id = calloc(1, sizeof *id);
    char path[WAL_PATH_MAX + 32];
    bool created = false;
    bool there = false;
    int rv;

    if (id == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    (void)snprintf(path, sizeof path, "%s/identity", w->dir);
    rv = file_exists(path, &there);
    if (rv == 0 && !there) {
        id->node_id = NODE_ID;
        draw_id(w, id);
        memcpy(id->membership, identity_text, sizeof identity_text);
    }
    rv = rv == 0 ? identity_open(w->dir, id, id, &created, info)
                 : err_set(info, rv, "cannot read %s: %s", path, err_text(rv));
    if (rv == 0 && strcmp(id->membership, identity_text) != 0) {
        rv = err_set(info, ERR_CLUSTER,
                     "%s is the data directory of a cluster's node, not of "
                     "this library: choose another directory",
                     w->dir);
    }
    if (rv == 0) {
        memcpy(w->cluster_id, id->cluster_id, sizeof w->cluster_id);
    }
    free(id);
    return rv;
}

/* ---- log and chain --------------------------------------------------------*/

static int open_log(struct wal_private *w, struct err_info *info)
{
    struct raftlog_options options;
    struct raftlog_report report;
    struct raftlog_io io;
    int rv;

    memset(&options, 0, sizeof options);
    memcpy(options.cluster_id, w->cluster_id, sizeof options.cluster_id);
    options.node_id = NODE_ID;
    options.segment_bytes = wal_option_get(w, WAL_OPTION_FILE_SIZE);
    options.batch_bytes_max = WAL_SLICE_BYTES;
    options.cache_bytes = CACHE_BYTES;
    options.n_pooled_max = POOLED_MAX;
    service_io(w, &io);
    rv = raftlog_open(w->dir, &options, &io, &w->log, &report, info);
    if (rv == 0) {
        w->last_seq = report.last_index;
        w->durable_seq = report.last_index;
    }
    return rv;
}

/* A log that has let entries go had a chain. Opening a directory of one removes
 * what no manifest names, so look whether it was lost before. */
static int check_manifest(const struct wal_private *w, struct err_info *info)
{
    char path[WAL_PATH_MAX + 64];
    bool there = false;
    int rv = 0;

    (void)snprintf(path, sizeof path, "%s/MANIFEST", w->snapshot_dir);
    if (raftlog_first_index(w->log) > 1) {
        rv = file_exists(path, &there);
        if (rv != 0) {
            return err_set(info, rv, "cannot read %s: %s", path, err_text(rv));
        }
        if (!there) {
            return err_set(info, ERR_CORRUPT,
                           "%s is missing, but the log begins at entry %" PRIu64
                           ": restore the file, or the directory from a copy",
                           path, raftlog_first_index(w->log));
        }
    }
    return 0;
}

static int open_chain(struct wal_private *w, struct err_info *info)
{
    uint64_t to;
    int rv = check_manifest(w, info);

    if (rv == 0) {
        rv = snapshot_chain_open(w->snapshot_dir, w->cluster_id, &w->chain,
                                 info);
    }
    if (rv != 0) {
        return rv;
    }
    to = wal_chain_to(w);
    if (to > raftlog_last_index(w->log) ||
        to + 1 < raftlog_first_index(w->log)) {
        return err_set(info, ERR_CORRUPT,
                       "%s: the base covers entries through %" PRIu64
                       ", the log holds %" PRIu64 "..%" PRIu64
                       ": entries are missing; restore the directory from a "
                       "copy",
                       w->dir, to, raftlog_first_index(w->log),
                       raftlog_last_index(w->log));
    }
    w->covered_seq = to;
    w->chain_bytes = compact_chain_bytes(&w->chain, 0);
    w->opened_seq = w->last_seq;
    w->is_old_counted = to == w->last_seq;
    w->recent_since_ns = wal_now_ns(w);
    w->uncovered_since_ns = w->recent_since_ns;
    compact_release(w);
    return 0;
}

/* ---- the handle -----------------------------------------------------------*/

static char *path_dup(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *out = malloc(size);

    if (out != NULL) {
        (void)snprintf(out, size, "%s/%s", dir, name);
    }
    return out;
}

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static struct wal_private *handle_new(wal_t *shown, const char *dir,
                                      const struct wal_environment *environment)
{
    struct wal_private *w = calloc(1, sizeof *w);

    if (w == NULL) {
        return NULL;
    }
    w->shown = shown;
    w->environment = *environment;
    w->counters.since_ns = environment->now_ns();
    wal_option_defaults(w->options);
    gather_init(&w->gather);
    pthread_mutex_init(&w->gather_lock, NULL);
    pthread_mutex_init(&w->log_lock, NULL);
    pthread_mutex_init(&w->jobs_lock, NULL);
    pthread_mutex_init(&w->compact_lock, NULL);
    cond_init(&w->settled);
    cond_init(&w->due);
    cond_init(&w->compact_wake);
    cond_init(&w->jobs_wake);
    w->dir = strdup(dir);
    w->snapshot_dir = path_dup(dir, "snapshots");
    w->slice = calloc(WAL_SLICE_ENTRIES, sizeof *w->slice);
    return w;
}

static void handle_free(struct wal_private *w)
{
    snapshot_manifest_clear(&w->chain);
    gather_close(&w->gather);
    pthread_cond_destroy(&w->jobs_wake);
    pthread_cond_destroy(&w->compact_wake);
    pthread_cond_destroy(&w->due);
    pthread_cond_destroy(&w->settled);
    pthread_mutex_destroy(&w->compact_lock);
    pthread_mutex_destroy(&w->jobs_lock);
    pthread_mutex_destroy(&w->log_lock);
    pthread_mutex_destroy(&w->gather_lock);
    file_close(w->lock);
    free(w->slice);
    free(w->snapshot_dir);
    free(w->dir);
    free(w);
}

/* Everything of which nobody waits for the end. */
static void shut(struct wal_private *w)
{
    service_stop(w);
    if (w->log != NULL) {
        pthread_mutex_lock(&w->log_lock);
        raftlog_close(w->log);
        w->log = NULL;
        pthread_mutex_unlock(&w->log_lock);
    }
    service_stop_jobs(w);
    handle_free(w);
}

int wal_private_open(wal_t *shown, const char *dir, bool sync,
                     const struct wal_environment *environment,
                     struct wal_private **out, struct err_info *info)
{
    struct wal_private *w;
    int rv = directory_make(dir, info);

    if (rv != 0) {
        return rv;
    }
    w = handle_new(shown, dir, environment);
    if (w == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    if (w->dir == NULL || w->snapshot_dir == NULL || w->slice == NULL) {
        handle_free(w);
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    if (sync) {
        w->options[WAL_OPTION_SYNC_POLICY] = WAL_SYNC_ALWAYS;
    }
    rv = identity_lock(dir, &w->lock, info);
    if (rv == ERR_LOCKED) {
        (void)err_set(info, rv,
                      "%s is open in another process or by another handle of "
                      "this one: close that first",
                      dir);
    }
    rv = rv == 0 ? open_identity(w, info) : rv;
    rv = rv == 0 ? open_log(w, info) : rv;
    rv = rv == 0 ? open_chain(w, info) : rv;
    rv = rv == 0 ? service_start(w, info) : rv;
    if (rv != 0) {
        shut(w);
        return rv;
    }
    *out = w;
    return 0;
}

void wal_private_close(struct wal_private *w)
{
    compact_auto_stop(w);
    service_stop(w);
    (void)commit_force(w, NULL);
    shut(w);
}
