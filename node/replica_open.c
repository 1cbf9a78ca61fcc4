/* Opening and closing a replica.
 *
 * In order: the data directory; the snapshot chain into the store; the log (on
 * a new directory of an initial member first the first configuration, written
 * and closed before anything else happens); the core with everything that was
 * found. If the log ends before the snapshot or disagrees with it, a crash came
 * between adopting an installed snapshot and resetting the log: the log is
 * reset now (C-RAFT.md 1.5).
 *
 * The core's heap is block.h, so a batch that the core frees is a reference
 * that goes back. */
#include "node/replica_state.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/file.h"

/* ---- the core's heap is ours: a batch is a counted block ---- */

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return block_new(size);
}

static void heap_free(void *data, void *ptr)
{
    (void)data;
    block_unref(ptr);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    void *p;
    (void)data;
    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    p = block_new(n * size);
    if (p != NULL) {
        memset(p, 0, n * size);
    }
    return p;
}

static void *heap_realloc(void *data, void *ptr, size_t size)
{
    void *p = block_new(size);
    (void)data;
    if (p == NULL || ptr == NULL) {
        return p;
    }
    memcpy(p, ptr, block_size(ptr) < size ? block_size(ptr) : size);
    block_unref(ptr);
    return p;
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    (void)alignment;
    (void)size;
    return NULL; /* only the uv backend of the library asks */
}

static void heap_aligned_free(void *data, size_t alignment, void *ptr)
{
    (void)data;
    (void)alignment;
    assert(ptr == NULL);
    (void)ptr;
}

static void heap_install(void)
{
    static struct raft_heap heap = {
        NULL,         heap_malloc,        heap_free,        heap_calloc,
        heap_realloc, heap_aligned_alloc, heap_aligned_free};
    raft_heap_set(&heap);
}

/* ---- opening ---- */

static void default_u64(uint64_t *v, uint64_t value)
{
    if (*v == 0) {
        *v = value;
    }
}

static void default_unsigned(unsigned *v, unsigned value)
{
    if (*v == 0) {
        *v = value;
    }
}

static void fill_defaults(struct replica_options *o)
{
    default_unsigned(&o->election_timeout_ms, 300);
    default_unsigned(&o->heartbeat_ms, o->election_timeout_ms / 30 < 5
                                           ? 5
                                           : o->election_timeout_ms / 30);
    default_u64(&o->snapshot_log_bytes, (uint64_t)256 << 20);
    default_u64(&o->snapshot_entries, 1000000);
    default_u64(&o->segment_bytes, (uint64_t)64 << 20);
    default_u64(&o->compact_threshold, 1000);
    default_unsigned(&o->compact_ratio_percent, 30);
    default_unsigned(&o->compact_base_percent, 100);
    default_u64(&o->compact_rate_bytes, (uint64_t)64 << 20);
    default_u64(&o->trailing_entries, 16384);
    default_u64(&o->snapshot_rate_bytes, (uint64_t)128 << 20);
    default_unsigned(&o->inflight_entries, 4096);
    default_u64(&o->uncommitted_entries_max, 8192);
    default_u64(&o->uncommitted_bytes_max, (uint64_t)128 << 20);
    default_u64(&o->batch_bytes, 1 << 20);
    default_unsigned(&o->batch_delay_ms, 5);
    if (o->trailing_entries > UINT32_MAX) {
        o->trailing_entries = UINT32_MAX; /* as wide as the core counts them */
    }
}

void replica_configure(struct replica *r, const struct replica_options *options,
                       enum trace_level trace_max)
{
    struct replica_options o = *options;
    fill_defaults(&o);
    r->options.snapshot_log_bytes = o.snapshot_log_bytes;
    r->options.snapshot_entries = o.snapshot_entries;
    r->options.snapshot_rate_bytes = o.snapshot_rate_bytes;
    r->options.trailing_entries = o.trailing_entries;
    r->options.log_retention_bytes = o.log_retention_bytes;
    r->options.compact_threshold = o.compact_threshold;
    r->options.compact_ratio_percent = o.compact_ratio_percent;
    r->options.compact_base_percent = o.compact_base_percent;
    r->options.compact_reserve_percent = o.compact_reserve_percent;
    r->options.compact_age_ms = o.compact_age_ms;
    r->options.compact_rate_bytes = o.compact_rate_bytes;
    r->options.uncommitted_entries_max = o.uncommitted_entries_max;
    r->options.uncommitted_bytes_max = o.uncommitted_bytes_max;
    r->options.batch_bytes = o.batch_bytes;
    r->options.batch_delay_ms = o.batch_delay_ms;
    r->options.sync = o.sync;
    (void)raftlog_set_sync(r->log, &o.sync); /* stopped: nothing to sync */
    r->io.trace_max = trace_max;
}

static char *join(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) {
        snprintf(path, size, "%s/%s", dir, name);
    }
    return path;
}

/* The log's owner is the replica; what it cannot do itself goes on. */

static void log_work(void *ctx, void (*work)(void *arg),
                     void (*done)(void *arg), void *arg)
{
    struct replica *r = ctx;
    r->io.work(r->io.ctx, work, done, arg);
}

static void log_fatal(void *ctx, const struct err_info *info)
{
    driver_fatal(ctx, info->code, "%s", info->message);
}

static uint64_t log_now_ms(void *ctx)
{
    return replica_now(ctx);
}

static uint64_t log_now_us(void *ctx)
{
    const struct replica *r = ctx;
    return r->io.now_us != NULL ? r->io.now_us(r->io.ctx)
                                : r->io.now_ms(r->io.ctx) * 1000;
}

static int open_log(struct replica *r, const char *aio,
                    struct raftlog_report *report, struct err_info *info)
{
    struct raftlog_options o = {0};
    struct raftlog_io io = {r,         log_work,   driver_progress,
                            log_fatal, log_now_ms, log_now_us};
    memcpy(o.cluster_id, r->options.cluster_id, sizeof o.cluster_id);
    o.node_id = r->options.id;
    o.segment_bytes = r->options.segment_bytes;
    o.cache_bytes = r->options.cache_bytes;
    o.aio_filesystems = aio;
    o.sync = r->options.sync;
    /* Whose votes count must be known for certain (forgot.c). */
    o.sync_kinds = UINT64_C(1) << RAFT_CHANGE;
    return raftlog_open(r->data_dir, &o, &io, &r->log, report, info);
}

/* Entry 1 of an initial member: the first configuration, byte for byte the
 * same on each of them (servers in ascending order), in term 1. */
static int bootstrap(struct replica *r, const struct replica_options *o,
                     struct err_info *info)
{
    struct raft_configuration conf;
    struct raft_buffer buf = {NULL, 0};
    struct raftlog_entry entry = {0};
    uint64_t previous = 0;
    int rv = 0;

    raft_configuration_init(&conf);
    for (unsigned i = 0; i < o->n_initial; i++) {
        const struct replica_server *next = NULL;
        for (unsigned j = 0; j < o->n_initial; j++) {
            const struct replica_server *s = &o->initial[j];
            if (s->id > previous && (next == NULL || s->id < next->id)) {
                next = s;
            }
        }
        if (next == NULL ||
            raft_configuration_add(&conf, next->id, next->address,
                                   RAFT_VOTER) != 0) {
            raft_configuration_close(&conf);
            return err_set(info, ERR_INVALID,
                           "initial cluster: ids and addresses must differ");
        }
        previous = next->id;
    }
    rv = raft_configuration_encode(&conf, &buf);
    raft_configuration_close(&conf);
    if (rv != 0) {
        return err_set(info, ERR_NOMEM, "no memory for a configuration");
    }
    entry.term = 1;
    entry.kind = RAFT_CHANGE;
    entry.data = buf.base;
    entry.size = (uint32_t)buf.len;
    entry.block = buf.base;
    rv = raftlog_set_hard_state(r->log, 1, 0);
    if (rv == 0) {
        rv = raftlog_append(r->log, 1, &entry, 1);
    }
    block_unref(buf.base);
    if (rv != 0) {
        return err_set(info, rv, "cannot write the first configuration: %s",
                       err_text(rv));
    }
    raftlog_close(r->log); /* waits until it is durable */
    r->log = NULL;
    return 0;
}

struct loading {
    struct replica *replica;
    struct raft_entry *entries;
    uint64_t first;
};

static int load_entry(void *ctx, uint64_t index,
                      const struct raftlog_entry *entry)
{
    struct loading *l = ctx;
    struct raft_entry *e = &l->entries[index - l->first];
    if (index > l->replica->snapshot_index) {
        /* Log that no snapshot covers counts towards the next one as if this
         * process had written it (the counter is unsigned and wraps). */
        l->replica->written_at_snapshot -= entry->size;
    }
    e->term = entry->term;
    e->type = (enum raft_entry_type)entry->kind;
    if (entry->kind == RAFT_COMMAND) {
        expiry_saw(l->replica, proposal_clock(entry->data, entry->size));
    }
    if (entry->kind != RAFT_CHANGE) {
        return 0; /* the core looks at the payload of configurations only */
    }
    if (wire_configuration_check(entry->data, entry->size) != 0) {
        return ERR_CORRUPT;
    }
    e->buf.len = entry->size;
    e->buf.base = block_new(entry->size);
    if (e->buf.base == NULL) {
        return ERR_NOMEM;
    }
    memcpy(e->buf.base, entry->data, entry->size);
    e->batch = e->buf.base;
    /* Older ones only count if they come behind the snapshot's. */
    if (index > l->replica->configuration_index) {
        return apply_note_change(l->replica, index, entry->data, entry->size);
    }
    return 0;
}

/* Whether this node is the only voter of the newest configuration here. */
static bool is_only_voter(const struct replica *r)
{
    struct raft_configuration conf;
    const void *data = r->configuration;
    uint32_t size = r->configuration_size;
    unsigned n_voters = 0;
    bool self = false;

    if (r->n_changes > 0) {
        data = r->changes[r->n_changes - 1].data;
        size = r->changes[r->n_changes - 1].size;
    }
    if (data == NULL || wire_configuration_decode(data, size, &conf) != 0) {
        return false; /* START says what is wrong with it */
    }
    for (unsigned i = 0; i < conf.n; i++) {
        if (conf.servers[i].role == RAFT_VOTER) {
            n_voters++;
            self = self || conf.servers[i].id == r->options.id;
        }
    }
    raft_configuration_close(&conf);
    return n_voters == 1 && self;
}

/* B5: the only voter elects itself without raising its term. If it lost
 * entries that a learner has, it would write others under the same index and
 * term. The bump is queued before START's entries, so it is durable first. */
static int bump_single_voter(struct replica *r, struct raftlog_report *report)
{
    if (report->current_term == 0) {
        return 0;
    }
    report->current_term++;
    report->voted_for = r->options.id;
    return raftlog_set_hard_state(r->log, report->current_term,
                                  report->voted_for);
}

/* RAFT_START with the snapshot and everything the log holds. */
static int start_core(struct replica *r, struct raftlog_report *report,
                      struct err_info *info)
{
    struct loading l = {r, NULL, raftlog_first_index(r->log)};
    uint64_t last = raftlog_last_index(r->log);
    size_t n = last >= l.first ? (size_t)(last - l.first + 1) : 0;
    struct raft_snapshot_metadata metadata;
    struct raft_event event;
    int rv;

    memset(&event, 0, sizeof event);
    /* From the core's heap: it frees the array if it refuses the event. */
    l.entries = raft_calloc(n + 1, sizeof *l.entries);
    if (l.entries == NULL) {
        return err_set(info, ERR_NOMEM, "no memory to load %zu entries", n);
    }
    rv = n > 0 ? raftlog_scan(r->log, l.first, last, load_entry, &l, info) : 0;
    if (rv == 0 && r->snapshot_index > 0) {
        metadata.index = r->applied;
        metadata.term = r->applied_term;
        metadata.configuration_index = r->configuration_index;
        rv = wire_configuration_decode(r->configuration, r->configuration_size,
                                       &metadata.configuration);
        if (rv != 0) {
            rv = err_set(info, ERR_CORRUPT,
                         "the snapshot's configuration is "
                         "malformed");
        } else {
            event.start.metadata = &metadata;
        }
    }
    if (rv == 0) {
        bool only_voter = is_only_voter(r);
        rv = forgot_open(r, report, only_voter);
        rv = rv == 0 && only_voter ? bump_single_voter(r, report) : rv;
        rv = rv == 0 ? 0 : err_set(info, rv, "cannot queue the next term");
    }
    if (rv == 0 && r->failed) {
        /* Told already; the core would not see, and so not free, the event. */
        rv = err_set(info, ERR_IO, "the log failed while it was opened");
    }
    if (rv == 0) {
        event.type = RAFT_START;
        event.start.term = report->current_term;
        event.start.voted_for = report->voted_for;
        event.start.start_index = l.first;
        event.start.entries = l.entries;
        event.start.n_entries = (unsigned)n;
        if (driver_step(r, &event) != 0) {
            return err_set(info, ERR_INVALID,
                           "the consensus core refused what was loaded");
        }
    }
    for (size_t i = 0; i < n; i++) {
        block_unref(l.entries[i].batch);
    }
    raft_free(l.entries);
    if (rv != 0 && event.start.metadata != NULL) {
        raft_configuration_close(&metadata.configuration);
    }
    return rv;
}

/* The chain on disk into the store. */
static int load_snapshot(struct replica *r, struct err_info *info)
{
    struct snapshot_meta meta;
    int rv = snapshot_chain_open(r->snapshot_dir, r->options.cluster_id,
                                 &r->manifest, info);
    if (rv != 0) {
        return rv;
    }
    if (r->manifest.n_files == 0) {
        return store_new(&r->store);
    }
    rv =
        snapshotter_load(r->snapshot_dir, &r->manifest, &r->store, &meta, info);
    if (rv != 0) {
        return rv;
    }
    return apply_restore(r, &meta);
}

/* Make log and snapshot agree, or say that they can not (bug lists know this
 * as the gap or overlap after a restart). */
static int reconcile(struct replica *r, struct raftlog_report *report,
                     struct err_info *info)
{
    uint64_t first = raftlog_first_index(r->log);
    uint64_t last = raftlog_last_index(r->log);
    if (r->snapshot_index > 0 && report->created) {
        /* Votes, and entries that were acknowledged, went with it. */
        return err_set(info, ERR_CORRUPT,
                       "%s: there is a snapshot, but no log: it was removed; "
                       "restore it or start with an empty data directory "
                       "under a new id",
                       r->data_dir);
    }
    if (report->current_term < r->applied_term) {
        /* The snapshot was on disk before the term of its leader; nothing was
         * said in that term. The core takes no term below its log's. */
        int rv = raftlog_set_hard_state(r->log, r->applied_term, 0);
        if (rv != 0) {
            return err_set(info, rv, "cannot queue term %llu",
                           (unsigned long long)r->applied_term);
        }
        report->current_term = r->applied_term;
        report->voted_for = 0;
    }
    if (r->snapshot_index == 0) {
        if (first > 1) {
            return err_set(info, ERR_CORRUPT,
                           "%s: the log begins at index %llu, but there is no "
                           "snapshot of what came before; restore the "
                           "snapshots directory or start with an empty data "
                           "directory under a new id",
                           r->data_dir, (unsigned long long)first);
        }
        return 0;
    }
    if (last < r->snapshot_index ||
        (first <= r->snapshot_index + 1 &&
         raftlog_term(r->log, r->snapshot_index) != r->applied_term)) {
        replica_trace(r, TRACE_INFO, "log_reset snapshot=%llu last=%llu",
                      (unsigned long long)r->snapshot_index,
                      (unsigned long long)last);
        return raftlog_reset(r->log, r->snapshot_index, r->applied_term);
    }
    if (first > r->snapshot_index + 1) {
        return err_set(info, ERR_CORRUPT,
                       "%s: the snapshot ends at index %llu, but the log "
                       "begins at %llu: entries between them are missing; "
                       "start with an empty data directory under a new id",
                       r->data_dir, (unsigned long long)r->snapshot_index,
                       (unsigned long long)first);
    }
    return 0;
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

static bool is_member(const struct replica *r, uint64_t id)
{
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        if (r->raft.configuration.servers[i].id == id) {
            return true;
        }
    }
    return false;
}

/* A place for one more peer: a free one, or that of a node that is no member
 * any more and that nothing under way refers to. */
static struct replica_peer *free_peer(struct replica *r)
{
    struct replica_peer *peer = replica_find_peer(r, 0);
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX && peer == NULL; i++) {
        struct replica_peer *old = &r->peers[i];
        if (!is_member(r, old->id) && !old->reading && old->chunks == NULL) {
            outbound_clear_peer(old);
            memset(old, 0, sizeof *old);
            old->replica = r;
            old->queue_tail = &old->queue;
            peer = old;
        }
    }
    return peer;
}

void replica_add_peer(struct replica *r, uint64_t id, const char *address)
{
    struct replica_peer *peer = replica_find_peer(r, id);
    if (id == r->options.id || id == 0) {
        return;
    }
    if (peer == NULL) {
        peer = free_peer(r);
        if (peer == NULL) {
            return;
        }
        peer->id = id;
    }
    if (strcmp(peer->address, address) != 0) {
        snprintf(peer->address, sizeof peer->address, "%s", address);
    }
}

void replica_sync_peers(struct replica *r)
{
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        const struct raft_server *s = &r->raft.configuration.servers[i];
        replica_add_peer(r, s->id, s->address);
    }
}

static void release(struct replica *r)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        outbound_clear_peer(&r->peers[i]);
    }
    while (r->held != NULL) {
        struct held_frame *held = r->held;
        r->held = held->next;
        wire_frame_clear(&held->frame);
        free(held);
    }
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

/* The data directory with its name on disk: whoever made it, nothing in it
 * survives a power cut before its parent was synced. A parent that may not be
 * read was not made ready by us. */
static int make_data_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = malloc(strlen(path) + 2);
    int rv = file_make_dir(path);
    if (parent == NULL) {
        return ERR_NOMEM;
    }
    strcpy(parent, slash != NULL ? path : ".");
    if (slash != NULL) {
        parent[slash == path ? 1 : slash - path] = '\0';
    }
    if (rv == 0) {
        rv = file_sync_dir(parent);
        rv = rv == ERR_ACCESS ? 0 : rv;
    }
    free(parent);
    return rv;
}

static int open_parts(struct replica *r, const struct replica_options *o,
                      struct err_info *info)
{
    struct raftlog_report report;
    int rv = make_data_dir(r->data_dir);
    if (rv != 0) {
        return err_set(info, rv, "cannot create the data directory %s: %s",
                       r->data_dir, err_text(rv));
    }
    rv = load_snapshot(r, info);
    if (rv != 0) {
        return rv;
    }
    rv = open_log(r, o->aio_filesystems, &report, info);
    if (rv != 0) {
        return rv;
    }
    if (report.last_index == 0 && report.current_term <= 1 &&
        r->snapshot_index == 0 && o->n_initial > 0) {
        rv = bootstrap(r, o, info);
        if (rv == 0) {
            rv = open_log(r, o->aio_filesystems, &report, info);
        }
        if (rv != 0) {
            return rv;
        }
    }
    replica_trace(r, TRACE_INFO,
                  "log first=%llu last=%llu term=%llu vote=%llu snapshot=%llu "
                  "torn_bytes=%llu clean=%d",
                  (unsigned long long)report.first_index,
                  (unsigned long long)report.last_index,
                  (unsigned long long)report.current_term,
                  (unsigned long long)report.voted_for,
                  (unsigned long long)r->snapshot_index,
                  (unsigned long long)report.torn_bytes, (int)report.clean);
    rv = reconcile(r, &report, info);
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
    return start_core(r, &report, info);
}

int replica_open(const struct replica_options *options,
                 const struct replica_io *io,
                 const struct replica_events *events, struct replica **out,
                 struct err_info *info)
{
    struct replica *r;
    int rv;

    heap_install();
    if (options->id == 0 || options->n_initial > REPLICA_SERVERS_MAX) {
        return err_set(info, ERR_INVALID, "node id 0 or too many servers");
    }
    r = calloc(1, sizeof *r);
    if (r == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for a replica");
    }
    r->options = *options;
    fill_defaults(&r->options);
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
    r->data_dir = join(options->data_dir, "");
    r->snapshot_dir = join(options->data_dir, "snapshots");
    if (r->data_dir == NULL || r->snapshot_dir == NULL) {
        rv = err_set(info, ERR_NOMEM, "no memory for a path");
        goto err;
    }
    r->data_dir[strlen(r->data_dir) - 1] = '\0';
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
