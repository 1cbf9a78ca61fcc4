/* A snapshot from another node: fetched in chunks, checked, installed.
 *
 * Happy path: the leader offers its manifest; the files that are not here are
 * asked for, a window of chunks at a time, into incoming/; a pool thread
 * checks them; only then InstallSnapshot is stepped into the core; when the
 * core accepts, a pool thread adopts the chain and loads a new store, which
 * replaces the old one; the log is reset behind the snapshot; the core is told.
 *
 * Failure cases: a chunk does not come: asked for again, of the present leader.
 * The sender has not got the file any more: the fetch ends, the next offer
 * begins another, keeping what is complete. Damage: bad files are removed and
 * fetched again. No space: the fetch ends with a clear line and the next offer
 * tries again. A crash between adopting and resetting the log: replica_load.c
 * reconciles. Once the core has accepted, its trail is gone: if adopting fails
 * then for want of space, it is tried again until there is room; if it fails
 * otherwise, the process ends and starts again from its disk (C-RAFT.md 1.7).
 */
#include "node/replica_state.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

struct chunk_in {
    struct chunk_in *next;
    struct snapshot_range range;
    void *block;
    const void *data;
};

struct snapshot_fetch {
    struct replica *replica; /* NULL: given up, the job's done frees */
    uint64_t source;         /* node that is asked */
    struct snapshot_manifest wanted;
    struct snapshot_manifest present;
    struct snapshot_receiver *receiver;
    char *dir;
    unsigned n_asked; /* chunks on their way */
    uint64_t arrived_ms;
    struct chunk_in *chunks, **chunks_tail;
    struct chunk_in *writing; /* list in the pool thread */
    bool working;
    bool verified;
    bool stepped; /* the core has seen InstallSnapshot */
    bool ended;   /* given up: freed when the pool thread is through */
    int status;
    struct err_info info;
    /* Installing. */
    struct store *store;
    struct snapshot_meta meta;
    struct raft_snapshot_metadata metadata;
};

static void chunks_free(struct chunk_in *chunk)
{
    while (chunk != NULL) {
        struct chunk_in *next = chunk->next;
        block_unref(chunk->block);
        free(chunk);
        chunk = next;
    }
}

static void fetch_free(struct snapshot_fetch *f)
{
    chunks_free(f->chunks);
    chunks_free(f->writing);
    snapshot_receiver_close(f->receiver);
    snapshot_manifest_clear(&f->wanted);
    snapshot_manifest_clear(&f->present);
    raft_configuration_close(&f->metadata.configuration);
    if (f->store != NULL) {
        store_free(f->store);
    }
    free(f->dir);
    free(f);
}

/* Give up; what has arrived stays in incoming/ for the next try, which must
 * not begin before a pool thread has let go of it. */
static void fetch_end(struct replica *r, const char *why)
{
    struct snapshot_fetch *f = r->fetch;
    if (!f->ended) {
        replica_trace(r, TRACE_WARN, "snapshot_fetch_ended reason=\"%s\"", why);
    }
    f->ended = true;
    if (!f->working) {
        r->fetch = NULL;
        fetch_free(f);
    }
}

/* Ask for the next ranges, up to the window. */
static void fetch_ask(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    struct wire_message m;
    struct wire_frame frame;
    if (f->working || f->receiver == NULL || f->verified) {
        return;
    }
    memset(&m, 0, sizeof m);
    m.type = WIRE_SNAPSHOT_FETCH;
    while (f->n_asked < SNAPSHOT_WINDOW &&
           snapshot_receiver_next(f->receiver, SNAPSHOT_CHUNK_BYTES,
                                  &m.as.snapshot.range)) {
        f->n_asked++;
        wire_encode(&m, &frame);
        outbound_send(r, f->source, &frame);
    }
}

static void fetch_continue(struct replica *r);

/* Pool thread: open, or write what arrived, or verify. */
static void fetch_work(void *arg)
{
    struct snapshot_fetch *f = arg;
    struct chunk_in *chunk;
    if (f->receiver == NULL) {
        f->status = snapshot_receiver_open(f->dir, &f->present, &f->wanted,
                                           &f->receiver, &f->info);
    }
    for (chunk = f->writing; chunk != NULL && f->status == 0;
         chunk = chunk->next) {
        f->status = snapshot_receiver_put(f->receiver, &chunk->range,
                                          chunk->data, &f->info);
    }
    chunks_free(f->writing);
    f->writing = NULL;
    if (f->status == 0 && snapshot_receiver_complete(f->receiver)) {
        f->status = snapshot_receiver_verify(f->receiver, &f->info);
        f->verified = f->status == 0;
    }
}

static void fetch_done(void *arg)
{
    struct snapshot_fetch *f = arg;
    struct replica *r = f->replica;
    f->working = false;
    if (r == NULL) {
        fetch_free(f);
        return;
    }
    if (f->status != 0 || f->ended) {
        fetch_end(r, f->info.message);
        return;
    }
    fetch_continue(r);
}

static void fetch_run(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    f->writing = f->chunks;
    f->chunks = NULL;
    f->chunks_tail = &f->chunks;
    f->working = true;
    r->io.work(r->io.ctx, fetch_work, fetch_done, f);
}

/* Everything is here and checked: let the core decide. The snapshot covers
 * committed entries only, so every leader of a later term has them too and the
 * offer may be stepped in the present leader's name. */
static void fetch_step(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    const struct snapshot_file *last = &f->wanted.files[f->wanted.n_files - 1];
    struct raft_message m;
    uint64_t leader = replica_leader(r);

    if (raft_state(&r->raft) != RAFT_FOLLOWER || leader == 0 || r->installing ||
        r->snapshotter != NULL) {
        /* fetch_tick comes back. A snapshot of our own that is being taken
         * ends first: two chains are not adopted at a time. */
        return;
    }
    if (last->to <= r->commit) {
        fetch_end(r, "the log has caught up");
        return;
    }
    memset(&m, 0, sizeof m);
    m.type = RAFT_INSTALL_SNAPSHOT;
    m.server_id = leader;
    m.server_address = "";
    m.install_snapshot.term = raft_current_term(&r->raft);
    m.install_snapshot.last_index = last->to;
    m.install_snapshot.last_term = last->to_term;
    m.install_snapshot.conf_index = f->wanted.configuration_index;
    if (wire_configuration_decode(f->wanted.configuration,
                                  f->wanted.configuration_size,
                                  &m.install_snapshot.conf) != 0) {
        fetch_end(r, "its configuration is malformed");
        return;
    }
    f->stepped = true;
    driver_receive(r, &m);
    if (r->fetch == f && !r->installing && !r->failed) {
        fetch_end(r, "not needed any more");
    }
}

static void fetch_continue(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    if (f->verified) {
        fetch_step(r);
        return;
    }
    fetch_ask(r);
    if (f->chunks != NULL) {
        fetch_run(r);
    }
}

/* The follower's core still needs an answer when it has everything. */
static void step_known(struct replica *r, const struct wire_message *m)
{
    struct raft_message raft = m->as.raft;
    struct snapshot_manifest manifest;
    memset(&manifest, 0, sizeof manifest);
    if (snapshot_manifest_decode(m->manifest.data, m->manifest.size, &manifest,
                                 NULL) != 0) {
        return;
    }
    if (wire_configuration_decode(manifest.configuration,
                                  manifest.configuration_size,
                                  &raft.install_snapshot.conf) == 0) {
        raft.install_snapshot.data.base = NULL;
        raft.install_snapshot.data.len = 0;
        driver_receive(r, &raft);
    }
    snapshot_manifest_clear(&manifest);
}

/* Whether the running fetch serves this offer as well. */
static bool fetch_goes_on(struct replica *r, const struct wire_message *m)
{
    struct snapshot_fetch *f = r->fetch;
    uint64_t quiet = replica_now(r) - f->arrived_ms;
    const struct snapshot_file *last = &f->wanted.files[f->wanted.n_files - 1];
    if (f->working || f->verified || quiet < 2 * SNAPSHOT_FETCH_TIMEOUT_MS) {
        return true;
    }
    if (last->to == m->as.raft.install_snapshot.last_index) {
        f->source = m->from;
        return true;
    }
    return false;
}

static bool manifest_fits(struct replica *r, const struct wire_message *m,
                          const struct snapshot_manifest *manifest)
{
    const struct snapshot_file *last;
    if (manifest->n_files == 0 ||
        memcmp(manifest->cluster_id, r->options.cluster_id,
               sizeof manifest->cluster_id) != 0) {
        return false;
    }
    last = &manifest->files[manifest->n_files - 1];
    return last->to == m->as.raft.install_snapshot.last_index &&
           last->to_term == m->as.raft.install_snapshot.last_term &&
           manifest->configuration_index ==
               m->as.raft.install_snapshot.conf_index &&
           wire_configuration_check(manifest->configuration,
                                    manifest->configuration_size) == 0;
}

void fetch_offered(struct replica *r, const struct wire_message *m)
{
    const struct raft_install_snapshot *is = &m->as.raft.install_snapshot;
    struct snapshot_fetch *f;
    struct err_info info;
    int rv;

    if (is->term < raft_current_term(&r->raft) || r->installing) {
        return;
    }
    if (is->last_index <= r->commit) {
        /* The core answers and does not install: it has a newer snapshot or
         * this very entry. */
        if (is->last_index <= r->snapshot_index ||
            raftlog_term(r->log, is->last_index) == is->last_term) {
            step_known(r, m);
        }
        return;
    }
    if (r->fetch != NULL) {
        if (fetch_goes_on(r, m)) {
            return;
        }
        fetch_end(r, "replaced by a newer one");
    }
    f = calloc(1, sizeof *f);
    if (f == NULL) {
        return;
    }
    f->replica = r;
    f->source = m->from;
    f->chunks_tail = &f->chunks;
    f->arrived_ms = replica_now(r);
    f->dir = strdup(r->snapshot_dir);
    rv = f->dir == NULL
             ? err_set(&info, ERR_NOMEM, "no memory")
             : snapshot_manifest_decode(m->manifest.data, m->manifest.size,
                                        &f->wanted, &info);
    if (rv == 0) {
        rv = snapshot_manifest_copy(&f->present, &r->manifest);
    }
    if (rv != 0 || !manifest_fits(r, m, &f->wanted)) {
        r->n_dropped_frames++;
        replica_trace(r, TRACE_WARN, "snapshot_offer_refused from=%llu",
                      (unsigned long long)m->from);
        fetch_free(f);
        return;
    }
    replica_trace(r, TRACE_INFO, "snapshot_fetch from=%llu index=%llu",
                  (unsigned long long)m->from,
                  (unsigned long long)is->last_index);
    r->fetch = f;
    fetch_run(r);
}

void fetch_chunk(struct replica *r, const struct wire_message *m, void *block)
{
    struct snapshot_fetch *f = r->fetch;
    struct chunk_in *chunk;
    /* `verified` is the pool thread's while that works. */
    if (f == NULL || f->ended || m->from != f->source ||
        (!f->working && f->verified)) {
        return;
    }
    if (m->as.snapshot.status != 0) {
        fetch_end(r, "the sender has replaced this snapshot");
        return;
    }
    if (f->n_asked == 0) {
        return; /* nobody asked: late, after a time-out */
    }
    chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) {
        return;
    }
    f->n_asked--;
    f->arrived_ms = replica_now(r);
    chunk->range = m->as.snapshot.range;
    chunk->block = block_ref(block);
    chunk->data = m->as.snapshot.body.data;
    *f->chunks_tail = chunk;
    f->chunks_tail = &chunk->next;
    if (!f->working) {
        fetch_run(r);
    }
}

void fetch_progress(const struct replica *r, uint64_t *done, uint64_t *total)
{
    *done = 0;
    *total = 0;
    /* While a pool thread works the receiver is its own: ask that first. */
    if (r->fetch != NULL && !r->fetch->working && r->fetch->receiver != NULL) {
        snapshot_receiver_progress(r->fetch->receiver, done, total);
    }
}

/* ---- installing ---- */

static void install_work(void *arg)
{
    struct snapshot_fetch *f = arg;
    snapshot_receiver_close(f->receiver);
    f->receiver = NULL;
    f->status = snapshot_chain_adopt(f->dir, &f->present, &f->wanted, NULL, 0,
                                     &f->info);
    if (f->status == 0) {
        f->status =
            snapshotter_load(f->dir, &f->wanted, &f->store, &f->meta, &f->info);
    }
}

/* Chain on disk, new state in memory: switch. */
static void install_switch(struct replica *r, struct snapshot_fetch *f)
{
    struct raft_event event;
    struct raftlog_stats stats;
    int rv;

    if (r->old_store != NULL) {
        store_free(r->old_store);
    }
    store_clear(r->store);
    r->old_store = r->store; /* freed in slices by the tick */
    r->store = f->store;
    f->store = NULL;
    rv = apply_restore(r, &f->meta);
    if (rv == 0) {
        rv = raftlog_reset(r->log, f->meta.to, f->meta.to_term);
    }
    if (rv != 0) {
        driver_fatal(r, rv, "installing snapshot %llu: %s",
                     (unsigned long long)f->meta.to, err_text(rv));
        return;
    }
    snapshot_manifest_clear(&r->manifest);
    r->manifest = f->wanted;
    memset(&f->wanted, 0, sizeof f->wanted);
    r->installing = false;
    raftlog_get_stats(r->log, &stats);
    r->written_at_snapshot = stats.written_bytes;
    memset(&event, 0, sizeof event);
    event.type = RAFT_PERSISTED_SNAPSHOT;
    event.persisted_snapshot.metadata = f->metadata; /* moves to the core */
    raft_configuration_init(&f->metadata.configuration);
    event.persisted_snapshot.offset = 0;
    event.persisted_snapshot.last = true;
    replica_trace(r, TRACE_INFO, "snapshot_installed index=%llu term=%llu",
                  (unsigned long long)f->meta.to,
                  (unsigned long long)f->meta.to_term);
    driver_step(r, &event);
    r->events.jumped(r->events.ctx, f->meta.to, f->meta.to_term);
    read_barrier_applied(r->barrier);
}

static void install_done(void *arg);

static void install_start(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    f->status = 0;
    f->working = true;
    r->io.work(r->io.ctx, install_work, install_done, f);
}

static void install_done(void *arg)
{
    struct snapshot_fetch *f = arg;
    struct replica *r = f->replica;
    f->working = false;
    if (r == NULL) {
        fetch_free(f);
        return;
    }
    if (f->status == ERR_NOSPACE) {
        /* Nothing was replaced: the tick tries again until there is room. */
        replica_trace(r, TRACE_WARN, "snapshot_install_waits reason=\"%s\"",
                      f->info.message);
        f->arrived_ms = replica_now(r);
        return;
    }
    r->fetch = NULL;
    if (f->status != 0) {
        driver_fatal(r, f->status,
                     "installing a snapshot: %s; start the node again",
                     f->info.message);
    } else {
        install_switch(r, f);
    }
    fetch_free(f);
    if (!r->failed) {
        driver_changed(r);
    }
}

void fetch_install(struct replica *r, struct raft_snapshot_metadata *meta)
{
    struct snapshot_fetch *f = r->fetch;
    if (f == NULL || !f->stepped || f->working) {
        driver_fatal(r, ERR_INVALID,
                     "the core installs a snapshot (index %llu) that was not "
                     "fetched",
                     meta->index);
        return;
    }
    /* A snapshot of our own may have replaced the chain since the fetch began.
     */
    snapshot_manifest_clear(&f->present);
    if (snapshot_manifest_copy(&f->present, &r->manifest) != 0) {
        driver_fatal(r, ERR_NOMEM, "no memory for a manifest");
        return;
    }
    r->installing = true;
    /* Configurations of the old log mean nothing now. */
    apply_truncate_changes(r, 0);
    f->metadata = *meta;
    install_start(r);
}

void fetch_tick(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    if (f == NULL || f->working) {
        return;
    }
    if (r->installing) {
        if (replica_now(r) - f->arrived_ms >= SNAPSHOT_FETCH_TIMEOUT_MS) {
            install_start(r);
        }
        return;
    }
    if (f->wanted.files[f->wanted.n_files - 1].to <= r->commit) {
        /* Also as leader, whom nobody offers another one: a fetch that does
         * not end would keep this node from taking snapshots of its own. */
        fetch_end(r, "the log has caught up");
        return;
    }
    if (f->verified) {
        fetch_step(r);
        return;
    }
    if (replica_now(r) - f->arrived_ms < SNAPSHOT_FETCH_TIMEOUT_MS) {
        return;
    }
    /* Lost chunks or a lost leader: ask the present one again. */
    if (replica_leader(r) != 0 && replica_leader(r) != r->options.id) {
        f->source = replica_leader(r);
    }
    f->arrived_ms = replica_now(r);
    f->n_asked = 0;
    snapshot_receiver_retry(f->receiver);
    fetch_ask(r);
}

void fetch_close(struct replica *r)
{
    struct snapshot_fetch *f = r->fetch;
    if (f == NULL) {
        return;
    }
    r->fetch = NULL;
    f->replica = NULL;
    if (!f->working) {
        fetch_free(f);
    }
}
