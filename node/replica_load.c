/* From the data directory to the core: the snapshot chain into the store, the
 * log, and RAFT_START with everything that was found.
 *
 * On a new directory of an initial member the first configuration is written
 * and closed before anything else happens. If the log ends before the snapshot
 * or disagrees with it, a crash came between adopting an installed snapshot and
 * resetting the log: the log is reset now (C-RAFT.md 1.5). What can not be made
 * to agree is refused with words: a log or snapshots that somebody removed. */
#include "node/replica_state.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

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

static uint64_t log_clock_ms(void *ctx)
{
    const struct replica *r = ctx;
    return r->io.clock_ms(r->io.ctx);
}

static int open_log(struct replica *r, const char *aio,
                    struct raftlog_report *report, struct err_info *info)
{
    struct raftlog_options o = {0};
    struct raftlog_io io = {r,          log_work,   driver_progress, log_fatal,
                            log_now_ms, log_now_us, log_clock_ms};
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

int replica_load(struct replica *r, const struct replica_options *o,
                 struct raftlog_report *report, struct err_info *info)
{
    int rv = load_snapshot(r, info);
    if (rv == 0) {
        rv = open_log(r, o->aio_filesystems, report, info);
    }
    if (rv == 0 && report->last_index == 0 && report->current_term <= 1 &&
        r->snapshot_index == 0 && o->n_initial > 0) {
        rv = bootstrap(r, o, info);
        if (rv == 0) {
            rv = open_log(r, o->aio_filesystems, report, info);
        }
    }
    if (rv != 0) {
        return rv;
    }
    replica_trace(r, TRACE_INFO,
                  "log first=%llu last=%llu term=%llu vote=%llu snapshot=%llu "
                  "torn_bytes=%llu clean=%d",
                  (unsigned long long)report->first_index,
                  (unsigned long long)report->last_index,
                  (unsigned long long)report->current_term,
                  (unsigned long long)report->voted_for,
                  (unsigned long long)r->snapshot_index,
                  (unsigned long long)report->torn_bytes, (int)report->clean);
    return reconcile(r, report, info);
}

/* ---- RAFT_START ---- */

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

/* A log that is kept for days can hold more entries below the snapshot than one
 * array should; the core needs none of them. */
static uint64_t first_loaded(const struct replica *r)
{
    uint64_t first = raftlog_first_index(r->log);
    uint64_t most = r->options.loaded_entries_max;
    return r->snapshot_index > most && first < r->snapshot_index - most + 1
               ? r->snapshot_index - most + 1
               : first;
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

int replica_start(struct replica *r, struct raftlog_report *report,
                  struct err_info *info)
{
    struct loading l = {r, NULL, first_loaded(r)};
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
