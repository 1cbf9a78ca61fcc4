/* Taking a base snapshot of a running node, and loading a chain.
 *
 * The store is frozen at the applied index (O(1)); then, in turns, the loop
 * collects a slice of items (references, no copies) and a pool thread writes
 * it, so the loop is held for one slice at a time and memory is one slice plus
 * what writes replace meanwhile. When the file is complete the pool thread
 * makes it the chain; only then the core is told and the log lets go of what
 * the snapshot covers, except what retention.c keeps.
 *
 * Failure cases: no space or an I/O error: the file is removed, the chain stays
 * as it is, another try follows later. A snapshot arrives from the leader
 * meanwhile: it is stepped into the core only when ours has ended, so the core
 * never hears of one that it has left behind (C-RAFT.md 1.7). The node stops:
 * the half file is removed at the next start.
 *
 * When one is taken, and whether the disk has room, is compaction.c's. A new
 * base waits while a peer is fetching the present one, so that neither its
 * files nor the log behind it go away under the transfer; but not for ever: at
 * four times the threshold it is taken all the same. */
#include "node/replica_state.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

enum {
    SLICE_ITEMS = 256, /* about 0.2 ms of the loop */
    SLICE_BYTES = 512 * 1024,
    RETRY_MS = 5000
};

struct snapshotter {
    struct replica *replica; /* NULL: aborted, the job's done frees */
    struct store_view *view;
    struct snapshot_writer *writer;
    struct snapshot_meta meta;
    void *configuration; /* block behind meta.configuration */
    char *dir;
    struct snapshot_manifest previous;
    struct snapshot_manifest next;
    struct store_item *items[SLICE_ITEMS];
    size_t n_items;
    uint64_t started_ms, started_us;
    uint64_t written_bytes; /* of the log when it was begun */
    uint64_t raw_bytes;     /* keys and values collected so far */
    bool working;           /* a pool thread has it */
    bool paused;            /* too fast: the tick goes on */
    bool finishing;
    int status;
    struct err_info info;
};

static void snapshotter_free(struct snapshotter *s)
{
    for (size_t i = 0; i < s->n_items; i++) {
        store_item_unref(s->items[i]);
    }
    snapshot_writer_abort(s->writer);
    snapshot_manifest_clear(&s->previous);
    snapshot_manifest_clear(&s->next);
    block_unref(s->configuration);
    free(s->dir);
    free(s);
}

/* ---- pool thread ---- */

static void write_slice(struct snapshotter *s)
{
    for (size_t i = 0; i < s->n_items; i++) {
        const struct store_item *item = s->items[i];
        struct snapshot_record record = {0};
        record.kind = SNAPSHOT_KEY;
        record.type = store_item_type(item);
        record.expire_ms = store_item_expire_ms(item);
        record.key = store_item_key(item);
        record.value = store_item_value(item);
        if (s->status == 0) {
            s->status = snapshot_writer_add(s->writer, &record);
            if (s->status != 0) {
                err_set(&s->info, s->status, "writing a snapshot: %s",
                        err_text(s->status));
            }
        }
        store_item_unref(s->items[i]);
    }
    s->n_items = 0;
}

static void finish(struct snapshotter *s)
{
    struct snapshot_writer *writer = s->writer;
    s->writer = NULL;
    memcpy(s->next.cluster_id, s->meta.cluster_id, sizeof s->next.cluster_id);
    s->next.configuration_index = s->meta.configuration_index;
    s->next.configuration = malloc(s->meta.configuration_size);
    if (s->next.configuration == NULL) {
        snapshot_writer_abort(writer);
        s->status = err_set(&s->info, ERR_NOMEM, "no memory for a manifest");
        return;
    }
    s->next.configuration_size = s->meta.configuration_size;
    memcpy(s->next.configuration, s->meta.configuration,
           s->meta.configuration_size);
    s->status = snapshot_writer_finish(writer, &s->next.files[0], &s->info);
    if (s->status == 0) {
        s->next.n_files = 1;
        s->status = snapshot_chain_adopt(s->dir, &s->previous, &s->next, NULL,
                                         0, &s->info);
    }
}

static void work(void *arg)
{
    struct snapshotter *s = arg;
    /* Also on the last turn: an empty store has no other. */
    if (s->writer == NULL && s->status == 0) {
        s->status = snapshot_writer_new(s->dir, &s->meta, &s->writer, &s->info);
    }
    write_slice(s);
    if (s->finishing && s->status == 0) {
        finish(s);
    }
}

/* ---- loop ---- */

static void next_slice(struct snapshotter *s);

static uint64_t now_us(const struct replica *r)
{
    return r->io.now_us != NULL ? r->io.now_us(r->io.ctx)
                                : r->io.now_ms(r->io.ctx) * 1000;
}

/* Whether the loop and the disk have had as much of this as the rate allows. */
static bool is_too_fast(const struct snapshotter *s)
{
    struct replica *r = s->replica;
    uint64_t ms = replica_now(r) - s->started_ms + TICK_MS;
    struct raftlog_stats stats;
    raftlog_get_stats(r->log, &stats);
    return !stats.no_space &&
           s->raw_bytes / 1024 >
               ms * (r->options.compact_rate_bytes / 1024) / 1000;
}

/* The chain is on disk: tell the core, let go of the log. */
static void complete(struct replica *r, struct snapshotter *s)
{
    struct raft_event event;
    uint64_t index = s->meta.to;
    uint64_t keep;

    memset(&event, 0, sizeof event);
    event.type = RAFT_SNAPSHOT;
    event.snapshot.metadata.index = index;
    event.snapshot.metadata.term = s->meta.to_term;
    event.snapshot.metadata.configuration_index = s->meta.configuration_index;
    r->peers_need = serve_needs(r, index);
    keep = retention_keep(r, index);
    event.snapshot.trailing = (unsigned)keep;
    if (wire_configuration_decode(
            s->meta.configuration, s->meta.configuration_size,
            &event.snapshot.metadata.configuration) != 0) {
        driver_fatal(r, ERR_CORRUPT, "configuration of a snapshot");
        return;
    }
    snapshot_manifest_clear(&r->manifest);
    r->manifest = s->next;
    memset(&s->next, 0, sizeof s->next);
    r->snapshot_index = index;
    r->snapshot_ms = r->io.clock_ms(r->io.ctx);
    r->written_at_snapshot = s->written_bytes;
    replica_trace(r, TRACE_INFO,
                  "snapshot_taken index=%llu records=%llu bytes=%llu ms=%llu "
                  "slice_us_max=%llu",
                  (unsigned long long)index,
                  (unsigned long long)r->manifest.files[0].n_records,
                  (unsigned long long)r->manifest.files[0].size,
                  (unsigned long long)(replica_now(r) - s->started_ms),
                  (unsigned long long)r->snapshot_slice_us_max);
    driver_step(r, &event);
    retention_release(r);
    r->compaction.base_bytes = r->manifest.files[0].size;
    r->compaction.base_raw_bytes =
        s->raw_bytes + r->manifest.files[0].n_records * 64;
    compaction_done(r, now_us(r) - s->started_us);
}

static void done(void *arg)
{
    struct snapshotter *s = arg;
    struct replica *r = s->replica;
    s->working = false;
    if (r == NULL) {
        snapshotter_free(s);
        return;
    }
    if (s->status == 0 && !s->finishing) {
        s->paused = is_too_fast(s);
        if (!s->paused) {
            next_slice(s);
        }
        return;
    }
    if (s->status != 0) {
        replica_trace(r, TRACE_WARN, "snapshot_failed index=%llu reason=\"%s\"",
                      (unsigned long long)s->meta.to, s->info.message);
        r->snapshot_retry_ms = replica_now(r) + RETRY_MS;
        r->compaction.stats.n_failed++;
        if (s->view != NULL) {
            store_view_close(s->view);
        }
    } else {
        complete(r, s);
    }
    r->snapshotter = NULL;
    snapshotter_free(s);
    driver_changed(r);
}

static void next_slice(struct snapshotter *s)
{
    struct replica *r = s->replica;
    uint64_t start = now_us(r);
    uint64_t used;
    int rv = store_view_next(s->view, s->items, SLICE_ITEMS, SLICE_BYTES,
                             &s->n_items);
    if (rv != 0) {
        s->n_items = 0;
        s->status =
            err_set(&s->info, rv, "reading the store: %s", err_text(rv));
    } else if (s->n_items == 0) {
        store_view_close(s->view);
        s->view = NULL;
        s->finishing = true;
    }
    for (size_t i = 0; i < s->n_items; i++) {
        s->raw_bytes += store_item_key(s->items[i]).size +
                        store_item_value(s->items[i]).size;
    }
    used = now_us(r) - start;
    if (used > r->snapshot_slice_us_max) {
        r->snapshot_slice_us_max = used;
    }
    s->working = true;
    r->io.work(r->io.ctx, work, done, s);
}

int snapshotter_start(struct replica *r)
{
    struct raftlog_stats stats;
    struct snapshotter *s;
    int rv;

    if (r->failed || r->snapshotter != NULL || r->installing ||
        r->fetch != NULL) {
        return ERR_BUSY;
    }
    /* Never beyond what our own disk holds (C-RAFT.md 1.7). */
    if (r->applied <= r->snapshot_index || r->applied > r->raft.last_stored ||
        r->configuration == NULL) {
        return ERR_AGAIN;
    }
    if (!compaction_has_room(r)) {
        r->snapshot_retry_ms = replica_now(r) + RETRY_MS;
        return ERR_NOSPACE;
    }
    s = calloc(1, sizeof *s);
    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->dir = strdup(r->snapshot_dir);
    rv = s->dir == NULL ? ERR_NOMEM
                        : snapshot_manifest_copy(&s->previous, &r->manifest);
    if (rv == 0) {
        rv = store_view_open(r->store, &s->view);
    }
    if (rv != 0) {
        snapshotter_free(s);
        return rv;
    }
    memcpy(s->meta.cluster_id, r->options.cluster_id,
           sizeof s->meta.cluster_id);
    s->replica = r;
    s->meta.to = r->applied;
    s->meta.to_term = r->applied_term;
    s->meta.clock_ms = r->clock_ms;
    s->meta.state_hash = store_hash(r->store);
    s->configuration = block_ref(r->configuration);
    s->meta.configuration = r->configuration;
    s->meta.configuration_size = r->configuration_size;
    s->meta.configuration_index = r->configuration_index;
    s->started_ms = replica_now(r);
    s->started_us = now_us(r);
    raftlog_get_stats(r->log, &stats);
    s->written_bytes = stats.written_bytes;
    r->snapshotter = s;
    compaction_started(r);
    r->compaction.asked = false;
    replica_trace(r, TRACE_INFO, "snapshot_started index=%llu keys=%llu why=%s",
                  (unsigned long long)s->meta.to,
                  (unsigned long long)store_count(r->store),
                  r->compaction.why != NULL ? r->compaction.why : "asked");
    r->compaction.why = NULL;
    next_slice(s);
    return 0;
}

void snapshotter_abort(struct replica *r)
{
    struct snapshotter *s = r->snapshotter;
    if (s == NULL) {
        return;
    }
    r->snapshotter = NULL;
    s->replica = NULL;
    if (s->view != NULL) {
        store_view_close(s->view);
        s->view = NULL;
    }
    if (!s->working) {
        snapshotter_free(s);
    }
}

void snapshotter_tick(struct replica *r)
{
    struct snapshotter *s = r->snapshotter;
    if (s != NULL && s->paused && !is_too_fast(s)) {
        s->paused = false;
        next_slice(s);
    }
}

/* ---- loading ---- */

static int load_file(struct snapshot_reader *reader, struct store *store,
                     struct err_info *info)
{
    struct snapshot_record record;
    int rv;
    while ((rv = snapshot_reader_next(reader, &record, info)) == 1) {
        if (record.kind == SNAPSHOT_KEY) {
            rv = store_set(store, record.key, record.value, record.type,
                           record.expire_ms);
        } else if (record.kind == SNAPSHOT_TOMBSTONE) {
            rv = store_delete(store, record.key);
            rv = rv == ERR_NOTFOUND ? 0 : rv;
        } else {
            rv = 0;
        }
        if (rv != 0) {
            return err_set(info, rv, "loading a snapshot: %s", err_text(rv));
        }
    }
    return rv;
}

/* The last file's meta, with the manifest's configuration, which lives as long
 * as the manifest. */
static void keep_meta(const struct snapshot_reader *reader,
                      const struct snapshot_manifest *manifest,
                      struct snapshot_meta *meta)
{
    *meta = *snapshot_reader_meta(reader);
    meta->configuration = manifest->configuration;
    meta->configuration_size = manifest->configuration_size;
    meta->configuration_index = manifest->configuration_index;
}

int snapshotter_load(const char *dir, const struct snapshot_manifest *manifest,
                     struct store **out, struct snapshot_meta *meta,
                     struct err_info *info)
{
    struct store *store;
    struct checksum128 hash;
    int rv = store_new(&store);
    if (rv != 0) {
        return err_set(info, rv, "no memory for a store");
    }
    for (unsigned i = 0; i < manifest->n_files && rv == 0; i++) {
        const struct snapshot_file *file = &manifest->files[i];
        struct snapshot_reader *reader;
        size_t size = strlen(dir) + sizeof file->name + 2;
        char *path = malloc(size);
        if (path == NULL) {
            rv = err_set(info, ERR_NOMEM, "no memory for a path");
            break;
        }
        memcpy(path, dir, strlen(dir) + 1);
        strcat(strcat(path, "/"), file->name);
        rv = snapshot_reader_open(path, &reader, info);
        if (rv == 0) {
            rv = load_file(reader, store, info);
            keep_meta(reader, manifest, meta);
            snapshot_reader_close(reader);
        }
        hash = store_hash(store);
        if (rv == 0 && (hash.low != file->state_hash.low ||
                        hash.high != file->state_hash.high)) {
            rv = err_set(info, ERR_CORRUPT,
                         "%s: the state after it has another hash than it "
                         "says; restore this file from a copy or start with "
                         "an empty data directory under a new id",
                         path);
        }
        free(path);
    }
    if (rv != 0) {
        store_free(store);
        return rv;
    }
    *out = store;
    return 0;
}
