/* Opening and closing a replica: the data directory, what is in it
 * (replica_load.c), and the end of everything in the right order. */
#include "node/replica_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/file.h"

static char *join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) {
        snprintf(path, size, "%s/%s", dir, name);
    }
    return path;
}

static int open_core(struct replica *r, const struct replica_options *o,
                     struct err_info *info)
{
    const char *address = "-";
    for (unsigned i = 0; i < o->n_initial; i++) {
        if (o->initial[i].id == o->id) {
            address = o->initial[i].address;
        }
    }
    if (raft_init(&r->raft, NULL, NULL, o->id, address) != 0) {
        return err_set(info, ERR_NOMEM, "cannot start the consensus core");
    }
    r->raft.tracer = NULL;
    raft_seed(&r->raft, (unsigned)r->io.random(r->io.ctx));
    raft_set_pre_vote(&r->raft, true);
    raft_set_election_timeout(&r->raft, r->options.election_timeout_ms);
    raft_set_heartbeat_timeout(&r->raft, r->options.heartbeat_ms);
    raft_set_max_inflight_entries(&r->raft, r->options.inflight_entries);
    /* The core's own 30 s would be the wait of a follower whose fetch ended;
     * offers to one that fetches are swallowed (snapshot_serve.c). */
    raft_set_install_snapshot_timeout(&r->raft, SNAPSHOT_REOFFER_MS);
    return 0;
}

static int open_parts(struct replica *r, const struct replica_options *o,
                      struct err_info *info)
{
    struct raftlog_report report;
    int rv = file_make_dir_durable(r->data_dir);
    if (rv != 0) {
        return err_set(info, rv, "cannot create the data directory %s: %s",
                       r->data_dir, err_text(rv));
    }
    rv = replica_load(r, o, &report, info);
    if (rv == 0) {
        rv = open_core(r, o, info);
    }
    if (rv == 0) {
        rv = replica_open_barrier(r);
    }
    if (rv != 0) {
        return rv;
    }
    r->tick_ms = replica_now(r);
    r->compaction.last_ms = r->tick_ms;
    if (r->snapshot_index == 0 && raftlog_last_index(r->log) > 0) {
        r->change_delivered = 1; /* START takes entry 1 for committed */
    }
    return replica_start(r, &report, info);
}

static void release(struct replica *r)
{
    outbound_close(r);
    for (size_t i = 0; i < r->n_gathered; i++) {
        block_unref(r->gathered[i].block);
    }
    free(r->gathered);
    apply_truncate_changes(r, 0);
    free(r->changes);
    block_unref(r->configuration);
    if (r->raft.id != 0) {
        raft_close(&r->raft, NULL);
    }
    if (r->store != NULL) {
        store_free(r->store);
    }
    if (r->old_store != NULL) {
        store_free(r->old_store);
    }
    snapshot_manifest_clear(&r->manifest);
    buffer_close(&r->reply);
    free(r->data_dir);
    free(r->snapshot_dir);
    free(r);
}

int replica_open(const struct replica_options *options,
                 const struct replica_io *io,
                 const struct replica_events *events, struct replica **out,
                 struct err_info *info)
{
    struct replica *r;
    int rv;

    replica_heap_install();
    if (options->id == 0 || options->n_initial > REPLICA_SERVERS_MAX) {
        return err_set(info, ERR_INVALID, "node id 0 or too many servers");
    }
    r = calloc(1, sizeof *r);
    if (r == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for a replica");
    }
    r->options = *options;
    replica_options_fill(&r->options);
    r->options.data_dir = NULL;
    r->options.initial = NULL;
    r->options.aio_filesystems = NULL;
    r->io = *io;
    r->events = *events;
    r->opening = true;
    r->held_tail = &r->held;
    buffer_init(&r->reply);
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        r->peers[i].replica = r;
        r->peers[i].queue_tail = &r->peers[i].queue;
    }
    r->data_dir = strdup(options->data_dir);
    r->snapshot_dir = join(options->data_dir, "snapshots");
    if (r->data_dir == NULL || r->snapshot_dir == NULL) {
        rv = err_set(info, ERR_NOMEM, "no memory for a path");
        goto err;
    }
    rv = open_parts(r, options, info);
    if (rv != 0) {
        goto err;
    }
    for (unsigned i = 0; i < options->n_initial; i++) {
        replica_add_peer(r, options->initial[i].id,
                         options->initial[i].address);
    }
    replica_sync_peers(r);
    r->opening = false;
    r->apply_more = true;
    *out = r;
    return 0;

err:
    replica_abandon(r);
    return rv;
}

void replica_close(struct replica *r)
{
    if (r == NULL) {
        return;
    }
    r->closing = !r->failed;
    r->failed = true; /* nothing is stepped any more */
    read_barrier_close(r->barrier);
    r->barrier = NULL;
    serve_close(r);
    fetch_close(r);
    snapshotter_abort(r);
    raftlog_close(r->log);
    release(r);
}

void replica_abandon(struct replica *r)
{
    if (r == NULL) {
        return;
    }
    r->failed = true;
    if (r->barrier != NULL) {
        read_barrier_abandon(r->barrier);
    }
    serve_close(r);
    fetch_close(r);
    snapshotter_abort(r);
    if (r->log != NULL) {
        raftlog_abandon(r->log);
    }
    release(r);
}
