/* What the shell and the service see of a replica: frames in, connections,
 * timers, proposals, reads, status; see replica.h and, for which file does what
 * behind it, replica_state.h. */
#include "node/replica_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

/* ---- what the read barrier asks ---- */

static uint64_t barrier_term(void *ctx)
{
    const struct replica *r = ctx;
    return raft_current_term(&r->raft);
}

static bool barrier_is_leader(void *ctx)
{
    struct replica *r = ctx;
    return raft_state(&r->raft) == RAFT_LEADER;
}

static uint64_t barrier_leader(void *ctx)
{
    return replica_leader(ctx);
}

static uint64_t barrier_commit(void *ctx)
{
    const struct replica *r = ctx;
    return r->commit;
}

static uint64_t barrier_applied(void *ctx)
{
    const struct replica *r = ctx;
    return r->applied;
}

static bool barrier_own_term(void *ctx)
{
    const struct replica *r = ctx;
    return r->own_term_index != 0 && r->commit >= r->own_term_index;
}

static uint64_t barrier_clock(void *ctx)
{
    return expiry_clock(ctx);
}

static bool barrier_settle(void *ctx, uint64_t clock_ms)
{
    return expiry_settle(ctx, clock_ms);
}

static unsigned barrier_voters(void *ctx, uint64_t *ids, unsigned max)
{
    const struct replica *r = ctx;
    unsigned n = 0;
    for (unsigned i = 0; i < r->raft.configuration.n && n < max; i++) {
        if (r->raft.configuration.servers[i].role == RAFT_VOTER) {
            ids[n++] = r->raft.configuration.servers[i].id;
        }
    }
    return n;
}

static bool barrier_send(void *ctx, uint64_t to, const struct wire_message *m)
{
    struct wire_frame frame;
    wire_encode(m, &frame);
    return outbound_send(ctx, to, &frame);
}

/* The leader of `term` has committed through `commit`. If our entry at that
 * index is of the same term, our log up to there is the leader's (Log
 * Matching), and an empty AppendEntries anchored there says nothing that the
 * leader would not say: the core raises its commit index at once instead of
 * with the next heartbeat. */
static void barrier_learned(void *ctx, uint64_t term, uint64_t commit)
{
    struct replica *r = ctx;
    struct raft_message m;
    uint64_t leader = replica_leader(r);
    if (r->failed || r->installing || commit <= r->commit || leader == 0 ||
        raft_state(&r->raft) != RAFT_FOLLOWER ||
        term != raft_current_term(&r->raft) ||
        raftlog_term(r->log, commit) != term) {
        return;
    }
    memset(&m, 0, sizeof m);
    m.type = RAFT_APPEND_ENTRIES;
    m.server_id = leader;
    m.server_address = "";
    m.append_entries.term = term;
    m.append_entries.prev_log_index = commit;
    m.append_entries.prev_log_term = term;
    m.append_entries.leader_commit = commit;
    driver_receive(r, &m);
}

int replica_open_barrier(struct replica *r)
{
    struct read_barrier_node node = {0};
    node.ctx = r;
    node.term = barrier_term;
    node.is_leader = barrier_is_leader;
    node.leader_id = barrier_leader;
    node.commit_index = barrier_commit;
    node.applied_index = barrier_applied;
    node.own_term_committed = barrier_own_term;
    node.clock_ms = barrier_clock;
    node.settle = barrier_settle;
    node.voters = barrier_voters;
    node.send = barrier_send;
    node.learned = barrier_learned;
    return read_barrier_new(&r->io, r->options.id, &node, &r->barrier);
}

/* ---- events from outside ---- */

static void receive_raft(struct replica *r, struct wire_message *m, void *block)
{
    struct raft_message *raft = &m->as.raft;
    struct replica_peer *peer = replica_find_peer(r, m->from);

    raft->server_address = peer != NULL ? peer->address : "";
    r->reply_stale = raft->type == RAFT_APPEND_ENTRIES &&
                     raft->append_entries.term < raft_current_term(&r->raft);
    if (filter_message(r, raft)) {
        if (raft->type == RAFT_INSTALL_SNAPSHOT) {
            fetch_offered(r, m);
        } else {
            if (raft->type == RAFT_APPEND_ENTRIES) {
                filter_before_change(r, raft);
            }
            if (raft->type == RAFT_APPEND_ENTRIES &&
                raft->append_entries.n_entries > 0) {
                /* One reference for the core, whatever it does with it. */
                block_ref(block);
                for (unsigned i = 0; i < raft->append_entries.n_entries; i++) {
                    raft->append_entries.entries[i].batch = block;
                }
            }
            driver_receive(r, raft);
        }
    }
    r->reply_stale = false;
}

void replica_receive(struct replica *r, uint64_t from, void *block, size_t size)
{
    struct wire_message m;
    struct err_info info;
    int rv;

    if (r->failed) {
        return;
    }
    rv = from == r->options.id || from == 0
             ? err_set(&info, ERR_PROTOCOL, "from this node's own id")
             : wire_decode(from, block, size, &m, &info);
    if (rv != 0) {
        r->n_dropped_frames++;
        replica_trace(r, TRACE_WARN, "frame_dropped from=%llu reason=\"%s\"",
                      (unsigned long long)from, info.message);
        return;
    }
    switch (m.type) {
    case WIRE_APPEND_ENTRIES:
    case WIRE_APPEND_ENTRIES_RESULT:
    case WIRE_REQUEST_VOTE:
    case WIRE_REQUEST_VOTE_RESULT:
    case WIRE_INSTALL_SNAPSHOT:
    case WIRE_TIMEOUT_NOW:
        receive_raft(r, &m, block);
        break;
    case WIRE_BARRIER_PING:
    case WIRE_BARRIER_PONG:
    case WIRE_READ_INDEX:
    case WIRE_READ_INDEX_RESULT:
        read_barrier_message(r->barrier, &m);
        break;
    case WIRE_FORWARD:
    case WIRE_FORWARD_RESULT:
    case WIRE_TRANSFER:
    case WIRE_TRANSFER_RESULT:
    case WIRE_MATCH:
    case WIRE_MATCH_RESULT:
        r->events.message(r->events.ctx, &m, block);
        break;
    case WIRE_SNAPSHOT_FETCH:
        serve_fetch(r, &m);
        break;
    case WIRE_SNAPSHOT_CHUNK:
        fetch_chunk(r, &m, block);
        break;
    case WIRE_LEADER_LOST:
        handover_leader_lost(r, &m);
        break;
    case WIRE_LOG_QUESTION:
        forgot_asked(r, &m);
        break;
    case WIRE_LOG_ANSWER:
        forgot_told(r, &m);
        break;
    }
    wire_message_clear(&m);
    driver_changed(r);
}

void replica_peer(struct replica *r, uint64_t id, bool connected)
{
    struct replica_peer *peer;
    if (replica_find_peer(r, id) == NULL && connected) {
        /* A joiner knows no configuration yet and must answer the leader; and
         * whoever is added later is connected already. */
        replica_add_peer(r, id, "");
    }
    peer = replica_find_peer(r, id);
    if (r->failed || id == 0 || peer == NULL || peer->connected == connected) {
        return;
    }
    peer->connected = connected;
    replica_trace(r, TRACE_INFO, "peer_%s id=%llu",
                  connected ? "connected" : "lost", (unsigned long long)id);
    read_barrier_peer(r->barrier, id, connected);
    if (connected) {
        handover_peer_found(r, id);
    } else {
        outbound_peer_lost(r, peer);
        peer->told_in_term = 0;
        peer->offered_index = 0;
        handover_peer_lost(r, id);
    }
    r->events.peer(r->events.ctx, id, connected);
    driver_changed(r);
}

uint64_t replica_deadline_ms(const struct replica *r)
{
    return driver_deadline_ms(r);
}

void replica_timer(struct replica *r)
{
    driver_timer(r);
    driver_changed(r);
}

int replica_fd(const struct replica *r)
{
    return raftlog_fd(r->log);
}

void replica_poll(struct replica *r)
{
    if (r->failed) {
        return;
    }
    raftlog_poll(r->log);
    driver_changed(r);
}

void replica_flush(struct replica *r)
{
    if (r->failed) {
        return;
    }
    read_barrier_flush(r->barrier); /* may call reads that lead to proposals */
    expiry_flush(r);
    driver_submit(r, false);
    handover_poll(r);
    replica_sync_peers(r);
    driver_changed(r);
}

/* ---- for the service ---- */

/* Only a full disk is a reason to tell the client: while a segment is being
 * filled, or much waits for one, the write waits too. */
static int refuse_for_room(struct replica *r)
{
    struct raftlog_stats stats;
    raftlog_get_stats(r->log, &stats);
    r->refused++;
    return stats.no_space ? ERR_NOSPACE : ERR_BUSY;
}

int replica_propose(struct replica *r, uint64_t term, void *payload,
                    uint32_t size)
{
    uint64_t n_uncommitted =
        r->submitted > r->commit ? r->submitted - r->commit : 0;
    if (r->failed || raft_state(&r->raft) != RAFT_LEADER ||
        term != raft_current_term(&r->raft)) {
        return ERR_NOTLEADER;
    }
    if (!replica_accepts(r)) {
        return ERR_AGAIN;
    }
    if (n_uncommitted + r->n_gathered >= r->options.uncommitted_entries_max ||
        r->uncommitted_bytes + r->gathered_bytes >=
            r->options.uncommitted_bytes_max) {
        r->refused++;
        return ERR_BUSY;
    }
    if (!raftlog_has_room(r->log, r->gathered_bytes + size + 64)) {
        return refuse_for_room(r);
    }
    if (r->n_gathered == r->gathered_cap) {
        size_t cap = r->gathered_cap == 0 ? 64 : 2 * r->gathered_cap;
        struct proposal_waiting *p =
            realloc(r->gathered, cap * sizeof *r->gathered);
        if (p == NULL) {
            return ERR_NOMEM;
        }
        r->gathered = p;
        r->gathered_cap = cap;
    }
    if (r->n_gathered == 0) {
        r->gathered_since_ms = replica_now(r);
    }
    r->gathered[r->n_gathered].block = block_ref(payload);
    r->gathered[r->n_gathered].size = size;
    r->n_gathered++;
    r->gathered_bytes += size;
    return 0;
}

int replica_read(struct replica *r, bool settle, replica_read_cb cb, void *ctx)
{
    return r->failed ? ERR_STOPPED
                     : read_barrier_add(r->barrier, settle, cb, ctx);
}

bool replica_send(struct replica *r, uint64_t to, const struct wire_frame *f)
{
    struct wire_frame frame = *f;
    if (r->failed) {
        return false;
    }
    block_ref(frame.body);
    return outbound_send(r, to, &frame);
}

void replica_drain(struct replica *r, uint64_t target)
{
    handover_start(r, target, true);
    driver_changed(r);
}

int replica_snapshot(struct replica *r)
{
    return snapshotter_start(r);
}

int replica_match(struct replica *r, uint64_t *commit,
                  uint64_t match[REPLICA_SERVERS_MAX], unsigned *n)
{
    const struct raft_configuration *conf = &r->raft.configuration;
    if (r->failed || raft_state(&r->raft) != RAFT_LEADER) {
        return ERR_NOTLEADER;
    }
    if (r->own_term_index == 0 || r->commit < r->own_term_index) {
        return ERR_AGAIN;
    }
    *commit = r->commit;
    *n = 0;
    for (unsigned i = 0; i < conf->n && *n < REPLICA_SERVERS_MAX; i++) {
        raft_index index = 0;
        if (conf->servers[i].id != r->options.id) {
            raft_match_index(&r->raft, conf->servers[i].id, &index);
            match[(*n)++] = index;
        }
    }
    return 0;
}

struct store *replica_store(struct replica *r)
{
    return r->store;
}

const char *replica_role_name(enum replica_role role)
{
    switch (role) {
    case REPLICA_FOLLOWER:
        return "follower";
    case REPLICA_CANDIDATE:
        return "candidate";
    case REPLICA_LEADER:
        return "leader";
    case REPLICA_LEARNER:
        return "learner";
    }
    return "unknown";
}

static enum replica_role role_of(struct replica *r)
{
    switch (raft_state(&r->raft)) {
    case RAFT_LEADER:
        return REPLICA_LEADER;
    case RAFT_CANDIDATE:
        return REPLICA_CANDIDATE;
    default:
        return replica_is_voter(r, r->options.id) ? REPLICA_FOLLOWER
                                                  : REPLICA_LEARNER;
    }
}

void replica_status(struct replica *r, struct replica_status *out)
{
    memset(out, 0, sizeof *out);
    out->id = r->options.id;
    out->role = role_of(r);
    out->leader_id = replica_leader(r);
    out->term = raft_current_term(&r->raft);
    out->last_index = raftlog_last_index(r->log);
    out->durable_index = raftlog_durable_index(r->log);
    out->persisted_index = raftlog_persisted_index(r->log);
    out->forgot = r->forgot.active;
    out->commit_index = r->commit;
    out->applied_index = r->applied;
    out->clock_ms = r->clock_ms;
    out->n_expired = r->n_expired;
    out->snapshot_index = r->snapshot_index;
    out->snapshot_ms = r->snapshot_ms;
    for (unsigned i = 0; i < r->manifest.n_files; i++) {
        out->snapshot_bytes += r->manifest.files[i].size;
    }
    out->snapshot_running = r->snapshotter != NULL;
    out->installing = r->installing || r->fetch != NULL;
    fetch_progress(r, &out->install_bytes_done, &out->install_bytes_total);
    out->accepts = replica_accepts(r);
    out->n_elections_started = r->n_elections_started;
    out->n_elections_won = r->n_elections_won;
    out->n_dropped_frames = r->n_dropped_frames;
    out->snapshot_slice_us_max = r->snapshot_slice_us_max;
    for (unsigned i = 0;
         i < r->raft.configuration.n && out->n_servers < REPLICA_SERVERS_MAX;
         i++) {
        const struct raft_server *s = &r->raft.configuration.servers[i];
        struct replica_server *server = &out->servers[out->n_servers];
        raft_index match = 0;
        server->id = s->id;
        server->role = s->role;
        snprintf(server->address, sizeof server->address, "%s", s->address);
        if (out->role == REPLICA_LEADER) {
            raft_match_index(&r->raft, s->id, &match);
        }
        out->match[out->n_servers++] = match;
    }
}

bool replica_is_leader(const struct replica *r)
{
    return r->raft.state == RAFT_LEADER;
}

uint64_t replica_leader(const struct replica *r)
{
    switch (r->raft.state) {
    case RAFT_LEADER:
        return r->options.id;
    case RAFT_FOLLOWER:
        return r->raft.follower_state.current_leader.id;
    default:
        return 0;
    }
}

uint64_t replica_term(const struct replica *r)
{
    return raft_current_term(&r->raft);
}

uint64_t replica_clock(const struct replica *r)
{
    return r->clock_ms;
}

uint64_t replica_leader_clock(struct replica *r)
{
    return expiry_clock(r);
}

uint64_t replica_applied(const struct replica *r)
{
    return r->applied;
}

void replica_log_stats(struct replica *r, struct raftlog_stats *out)
{
    raftlog_get_stats(r->log, out);
}

size_t replica_log_files(const struct replica *r, struct raftlog_file *files,
                         size_t max)
{
    return raftlog_files(r->log, files, max);
}

const struct raftlog_latency *replica_log_latency(const struct replica *r)
{
    return raftlog_latency(r->log);
}

void replica_reset_stats(struct replica *r)
{
    raftlog_reset_latency(r->log);
    memset(&r->compaction.stats, 0, sizeof r->compaction.stats);
    memset(&r->compaction.each, 0, sizeof r->compaction.each);
    r->snapshot_slice_us_max = 0;
    r->n_elections_started = 0;
    r->n_elections_won = 0;
    r->n_dropped_frames = 0;
}
