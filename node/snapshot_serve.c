/* Snapshots for other nodes: files by content id, served in chunks.
 *
 * The leader's core asks to install a snapshot on a follower; the follower is
 * offered our manifest and then pulls what it has not got, over the bulk lane.
 * So no state is kept here but when each peer asked last, and a transfer goes
 * on after a restart of either side, and after a change of leader if the new
 * one has the same files.
 *
 * While a peer installs what it was offered, and goes on from there, the leader
 * keeps the log that it needs next (serve_needs): with few trailing entries and
 * many writes it would be behind the log again when it is through, and again
 * with the next snapshot. So long as it is connected, and not for ever: who
 * falls further behind than a few snapshots' worth of log gets the next one.
 *
 * Repeated offers are swallowed while a peer fetches (one transfer per peer),
 * because the core repeats them with every rejected heartbeat; the fields of an
 * offer are those of the manifest that is sent with it (C-RAFT.md 1.7). */
#include "node/replica_state.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

void serve_offer(struct replica *r, const struct raft_message *m)
{
    struct replica_peer *peer = replica_find_peer(r, m->server_id);
    uint64_t now = replica_now(r);
    struct wire_message out;
    struct wire_frame frame;
    const struct snapshot_file *last;
    void *data;
    size_t size;

    if (peer == NULL || r->manifest.n_files == 0 ||
        (peer->offered_ms != 0 &&
         now - peer->offered_ms < SNAPSHOT_OFFER_INTERVAL_MS) ||
        (peer->fetched_ms != 0 &&
         now - peer->fetched_ms < SNAPSHOT_FETCH_TIMEOUT_MS)) {
        return;
    }
    if (snapshot_manifest_encode(&r->manifest, &data, &size) != 0) {
        return;
    }
    last = &r->manifest.files[r->manifest.n_files - 1];
    memset(&out, 0, sizeof out);
    out.type = WIRE_INSTALL_SNAPSHOT;
    out.as.raft.type = RAFT_INSTALL_SNAPSHOT;
    out.as.raft.install_snapshot.term = m->install_snapshot.term;
    out.as.raft.install_snapshot.last_index = last->to;
    out.as.raft.install_snapshot.last_term = last->to_term;
    out.as.raft.install_snapshot.conf_index = r->manifest.configuration_index;
    wire_encode(&out, &frame);
    frame.body = block_new(size);
    if (frame.body != NULL) {
        memcpy(frame.body, data, size);
        frame.body_at = frame.body;
        frame.body_size = (uint32_t)size;
        peer->offered_ms = now;
        peer->offered_index = last->to;
        replica_trace(r, TRACE_INFO, "snapshot_offered to=%llu index=%llu",
                      (unsigned long long)peer->id,
                      (unsigned long long)last->to);
        outbound_send(r, peer->id, &frame);
    }
    free(data);
}

/* Log that is kept for one peer, in snapshots' worth of it. */
enum { NEEDED_SNAPSHOTS_MAX = 4 };

/* The entry that the next AppendEntries of a peer is anchored at. */
static uint64_t anchor_of(const struct replica *r,
                          const struct replica_peer *peer)
{
    raft_index match = 0;
    (void)raft_match_index(&r->raft, peer->id, &match);
    return match > peer->offered_index ? match : peer->offered_index;
}

uint64_t serve_needs(const struct replica *r, uint64_t index)
{
    const struct replica_options *o = &r->options;
    uint64_t bytes_max = o->log_retention_bytes > 0
                             ? o->log_retention_bytes
                             : NEEDED_SNAPSHOTS_MAX * o->snapshot_log_bytes;
    uint64_t entries_max = NEEDED_SNAPSHOTS_MAX * o->snapshot_entries;
    uint64_t n = 0;
    struct raftlog_stats log;

    raftlog_get_stats(r->log, &log);
    if (r->raft.state != RAFT_LEADER || log.no_space) {
        return 0;
    }
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_peer *peer = &r->peers[i];
        uint64_t at;
        if (peer->id == 0 || !peer->connected) {
            continue;
        }
        at = anchor_of(r, peer);
        if (at + n <= index && at >= raftlog_first_index(r->log) &&
            index - at < entries_max &&
            raftlog_frame_bytes(r->log, at) <= bytes_max) {
            n = index - at + 1;
        }
    }
    return n;
}

bool serve_active(const struct replica *r)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_peer *peer = &r->peers[i];
        if (peer->id != 0 && peer->fetched_ms != 0 &&
            r->last_time - peer->fetched_ms < SNAPSHOT_SENDING_IDLE_MS) {
            return true;
        }
    }
    return false;
}

/* One chunk on its way from disk to a peer. Those of a peer are read one after
 * the other, because the receiver takes them in order. */
struct chunk_job {
    struct replica *replica; /* NULL: closed meanwhile */
    struct chunk_job *next;  /* of the same peer */
    bool reading;            /* the first one may be in the pool */
    uint64_t to;
    struct snapshot_range range;
    char *dir;
    struct snapshot_manifest chain;
    void *block;
    int status;
};

static void chunk_free(struct chunk_job *job)
{
    snapshot_manifest_clear(&job->chain);
    block_unref(job->block);
    free(job->dir);
    free(job);
}

static void chunk_work(void *arg)
{
    struct chunk_job *job = arg;
    struct err_info info;
    job->status = snapshot_chunk_read(job->dir, &job->chain, &job->range,
                                      job->block, &info);
}

static void chunk_send(struct replica *r, const struct chunk_job *job)
{
    struct wire_message m;
    struct wire_frame frame;
    memset(&m, 0, sizeof m);
    m.type = WIRE_SNAPSHOT_CHUNK;
    m.as.snapshot.range = job->range;
    m.as.snapshot.status = job->status;
    wire_encode(&m, &frame);
    if (job->status == 0) {
        frame.body = block_ref(job->block);
        frame.body_at = job->block;
        frame.body_size = job->range.size;
    }
    outbound_send(r, job->to, &frame);
}

/* Bytes that this peer may have now, by rate. */
static bool take_credit(struct replica *r, struct replica_peer *peer,
                        uint32_t size)
{
    uint64_t now = replica_now(r);
    uint64_t rate = r->options.snapshot_rate_bytes;
    uint64_t burst = rate / 4 + 2 * SNAPSHOT_CHUNK_BYTES;
    uint64_t elapsed = now - peer->fetch_credit_ms;
    peer->fetch_credit_ms = now;
    peer->fetch_credit += (elapsed > 1000 ? 1000 : elapsed) * rate / 1000;
    if (peer->fetch_credit > burst) {
        peer->fetch_credit = burst;
    }
    if (peer->fetch_credit < size) {
        return false;
    }
    peer->fetch_credit -= size;
    return true;
}

static void chunk_done(void *arg);

/* Start reading the first chunk, if the rate allows; else the tick does. */
static void chunk_start(struct replica *r, struct replica_peer *peer)
{
    struct chunk_job *job = peer->chunks;
    if (job != NULL && !job->reading && take_credit(r, peer, job->range.size)) {
        job->reading = true;
        r->io.work(r->io.ctx, chunk_work, chunk_done, job);
    }
}

static void chunk_done(void *arg)
{
    struct chunk_job *job = arg;
    struct replica *r = job->replica;
    struct replica_peer *peer;

    if (r == NULL) {
        chunk_free(job);
        return;
    }
    peer = replica_find_peer(r, job->to);
    peer->chunks = job->next;
    peer->n_chunks--;
    if (!r->failed) {
        chunk_send(r, job);
        chunk_start(r, peer);
    }
    chunk_free(job);
}

static void chunk_queue(struct replica *r, struct replica_peer *peer,
                        struct chunk_job *job)
{
    struct chunk_job **at = &peer->chunks;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = job;
    peer->n_chunks++;
    chunk_start(r, peer);
}

void serve_fetch(struct replica *r, const struct wire_message *m)
{
    struct replica_peer *peer = replica_find_peer(r, m->from);
    struct chunk_job *job;

    if (peer == NULL) {
        return;
    }
    peer->fetched_ms = replica_now(r);
    if (peer->n_chunks >= 2 * SNAPSHOT_WINDOW ||
        r->io.queued_bytes(r->io.ctx, peer->id, WIRE_LANE_BULK) >
            4 * SNAPSHOT_WINDOW * SNAPSHOT_CHUNK_BYTES) {
        return; /* the peer asks again */
    }
    job = calloc(1, sizeof *job);
    if (job == NULL) {
        return;
    }
    job->replica = r;
    job->to = m->from;
    job->range = m->as.snapshot.range;
    job->dir = strdup(r->snapshot_dir);
    job->block = block_new(job->range.size);
    if (job->dir == NULL || job->block == NULL ||
        snapshot_manifest_copy(&job->chain, &r->manifest) != 0) {
        chunk_free(job);
        return;
    }
    chunk_queue(r, peer, job);
}

void serve_tick(struct replica *r)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        chunk_start(r, &r->peers[i]);
    }
}

void serve_close(struct replica *r)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        struct chunk_job *waiting = r->peers[i].chunks;
        if (waiting != NULL && waiting->reading) {
            waiting->replica = NULL; /* in the pool: its done frees it */
            waiting = waiting->next;
        }
        while (waiting != NULL) {
            struct chunk_job *next = waiting->next;
            chunk_free(waiting);
            waiting = next;
        }
        r->peers[i].chunks = NULL;
    }
}
