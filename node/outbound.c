/* What the core wants to send, turned into frames.
 *
 * Happy path: the core names a range of entries, they are in the log's cache,
 * one block is encoded (and shared by the frames to all followers that get the
 * same range), the frame goes to the transport in the same turn.
 * Otherwise:
 *   - term or vote not durable yet: frames are held, in order (Raft figure 3.1:
 *     persistent state is updated before responding);
 *   - entries only on disk (a lagging follower), or more of them than one turn
 *     of the loop should encode: the AppendEntries waits in the peer's queue
 *     for log reads, later ones with entries queue behind it, heartbeats do
 *     not: they are anchored anew at the follower's match index, where they
 *     are always accepted;
 *   - the log was truncated meanwhile: the message is dropped, as by a network;
 *   - the log has let go of them: the follower is offered the snapshot;
 *   - peer not connected, queue or transport full: dropped; the core notices
 *     at a heartbeat.
 * An AppendEntries is cut before each configuration entry (B1) and at
 * OUTBOUND_PIECE_BYTES; the pieces together are what the core asked for. */
#include "node/replica_state.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

/* ---- frames
 * ----------------------------------------------------------------*/

static bool transmit(struct replica *r, uint64_t to,
                     const struct wire_frame *frame)
{
    return !r->failed && r->io.send(r->io.ctx, to, frame);
}

bool outbound_send(struct replica *r, uint64_t to, struct wire_frame *frame)
{
    const struct replica_peer *peer;
    struct held_frame *held;
    bool sent;
    if (r->held == NULL && raftlog_hard_state_durable(r->log)) {
        sent = transmit(r, to, frame);
        wire_frame_clear(frame);
        return sent;
    }
    peer = replica_find_peer(r, to);
    held = peer != NULL && peer->connected && r->n_held < HELD_FRAMES_MAX
               ? malloc(sizeof *held)
               : NULL;
    if (held == NULL) {
        wire_frame_clear(frame);
        return false;
    }
    held->next = NULL;
    held->to = to;
    held->frame = *frame;
    *r->held_tail = held;
    r->held_tail = &held->next;
    r->n_held++;
    return true;
}

void outbound_release_held(struct replica *r)
{
    if (!raftlog_hard_state_durable(r->log)) {
        return;
    }
    while (r->held != NULL) {
        struct held_frame *held = r->held;
        r->held = held->next;
        transmit(r, held->to, &held->frame);
        wire_frame_clear(&held->frame);
        free(held);
    }
    r->held_tail = &r->held;
    r->n_held = 0;
}

/* What was held for a connection is lost with it, like what was on its way:
 * nothing of an old connection comes in the new one (replica_io.h; forward.c
 * relies on it). to 0: of all peers. */
static void drop_held(struct replica *r, uint64_t to)
{
    struct held_frame **at = &r->held;
    while (*at != NULL) {
        struct held_frame *held = *at;
        if (to != 0 && held->to != to) {
            at = &held->next;
            continue;
        }
        *at = held->next;
        r->n_held--;
        wire_frame_clear(&held->frame);
        free(held);
    }
    r->held_tail = at;
}

/* ---- AppendEntries
 * ---------------------------------------------------------*/

/* How many of n entries (from memory) go into one piece. */
static size_t piece_length(const struct raftlog_entry *entries, size_t n,
                           size_t *bytes)
{
    size_t i;
    *bytes = 0;
    for (i = 0; i < n && i < WIRE_ENTRIES_MAX; i++) {
        size_t size = wire_entry_size(entries[i].term, entries[i].size);
        if (i > 0 && (*bytes + size > OUTBOUND_PIECE_BYTES ||
                      entries[i].kind == RAFT_CHANGE)) {
            break;
        }
        *bytes += size;
    }
    return i;
}

static void *encode_entries(const struct raftlog_entry *entries, size_t n,
                            size_t bytes)
{
    void *block = block_new(bytes);
    struct byte_writer w = byte_writer(block, block != NULL ? bytes : 0);
    for (size_t i = 0; block != NULL && i < n; i++) {
        wire_entry_put(&w, entries[i].kind, entries[i].term, entries[i].data,
                       entries[i].size);
    }
    return block;
}

/* Send the piece that entries begin with; returns how many went: 0 when there
 * is no memory or the transport has not taken it. */
static size_t send_piece(struct replica *r, struct replica_peer *peer,
                         const struct raft_append_entries *args,
                         uint64_t prev_index, uint64_t prev_term,
                         const struct raftlog_entry *entries, size_t n)
{
    struct wire_message m;
    struct wire_frame frame;
    size_t bytes;
    size_t count = piece_length(entries, n, &bytes);

    memset(&m, 0, sizeof m);
    m.type = WIRE_APPEND_ENTRIES;
    m.as.raft.type = RAFT_APPEND_ENTRIES;
    m.as.raft.append_entries = *args;
    m.as.raft.append_entries.prev_log_index = prev_index;
    m.as.raft.append_entries.prev_log_term = prev_term;
    m.as.raft.append_entries.n_entries = (unsigned)count;
    m.as.raft.append_entries.entries = NULL;
    wire_encode(&m, &frame);
    if (count > 0) {
        frame.body = encode_entries(entries, count, bytes);
        if (frame.body == NULL) {
            return 0;
        }
        frame.body_at = frame.body;
        frame.body_size = (uint32_t)bytes;
    }
    return outbound_send(r, peer->id, &frame) ? count : 0;
}

static void send_empty(struct replica *r, struct replica_peer *peer,
                       const struct raft_append_entries *args)
{
    send_piece(r, peer, args, args->prev_log_index, args->prev_log_term, NULL,
               0);
}

/* A heartbeat that overtakes queued entries: anchored at the match index, where
 * the follower's log is known to agree. */
static void send_anchored(struct replica *r, struct replica_peer *peer,
                          const struct raft_append_entries *args)
{
    raft_index match;
    uint64_t term;
    if (raft_match_index(&r->raft, peer->id, &match) != 0 || match == 0) {
        send_empty(r, peer, args);
        return;
    }
    term = raftlog_term(r->log, match);
    if (term == 0) {
        send_empty(r, peer, args);
        return;
    }
    send_piece(r, peer, args, match, term, NULL, 0);
}

static void start_read(struct replica *r, struct replica_peer *peer);

static void queue_pop(struct replica_peer *peer)
{
    struct outbound_item *item = peer->queue;
    peer->queue = item->next;
    if (peer->queue == NULL) {
        peer->queue_tail = &peer->queue;
    }
    peer->n_queued--;
    free(item);
}

void outbound_clear_peer(struct replica_peer *peer)
{
    while (peer->queue != NULL) {
        queue_pop(peer);
    }
}

void outbound_peer_lost(struct replica *r, struct replica_peer *peer)
{
    outbound_clear_peer(peer);
    drop_held(r, peer->id);
}

void outbound_close(struct replica *r)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        outbound_clear_peer(&r->peers[i]);
    }
    drop_held(r, 0);
}

/* Send entries of the head item; what is left of it stays at the head. */
static void send_read(struct replica *r, struct replica_peer *peer,
                      uint64_t first, const struct raftlog_entry *entries,
                      size_t n)
{
    struct outbound_item *item = peer->queue;
    struct raft_append_entries *args = &item->args;
    if (first != args->prev_log_index + 1) {
        return;
    }
    while (n > 0) {
        size_t count = send_piece(r, peer, args, args->prev_log_index,
                                  args->prev_log_term, entries, n);
        if (count == 0) {
            /* Lost, as by a network, and with it what stands behind it. */
            outbound_clear_peer(peer);
            return;
        }
        args->prev_log_index += count;
        args->prev_log_term = entries[count - 1].term;
        args->n_entries -= (unsigned)count;
        entries += count;
        n -= count;
    }
    if (args->n_entries == 0) {
        queue_pop(peer);
    }
}

static void read_done(void *ctx, int status, uint64_t first,
                      const struct raftlog_entry *entries, size_t n)
{
    struct replica_peer *peer = ctx;
    struct replica *r = peer->replica;
    struct outbound_item *item = peer->queue;
    peer->reading = false;
    if (status == ERR_STOPPED || r->failed) {
        return;
    }
    if (item != NULL) {
        if (status == 0 && item->epoch == raftlog_epoch(r->log) &&
            raft_state(&r->raft) == RAFT_LEADER &&
            item->args.term == raft_current_term(&r->raft)) {
            send_read(r, peer, first, entries, n);
        } else {
            /* Another log than the one the core meant. */
            outbound_clear_peer(peer);
        }
    }
    start_read(r, peer);
}

/* Whether the transport has as much for a peer as it should hold. */
static bool is_full(struct replica *r, const struct replica_peer *peer)
{
    return r->io.queued_bytes(r->io.ctx, peer->id, WIRE_LANE_MAIN) >
           OUTBOUND_PEER_BYTES;
}

/* The log has let go of what a follower needs, and the core does not know
 * (retention.c): it would ask for these entries until the next snapshot. When
 * this one is installed, the follower's answer moves the core on; until then
 * the follower must hear that there is a leader. */
static void offer_instead(struct replica *r, struct replica_peer *peer,
                          const struct raft_append_entries *args)
{
    struct raft_message m;
    if (args->prev_log_index + 1 >= raftlog_first_index(r->log) ||
        raft_state(&r->raft) != RAFT_LEADER ||
        args->term != raft_current_term(&r->raft)) {
        return;
    }
    memset(&m, 0, sizeof m);
    m.type = RAFT_INSTALL_SNAPSHOT;
    m.server_id = peer->id;
    m.install_snapshot.term = args->term;
    serve_offer(r, &m);
    send_anchored(r, peer, args);
}

/* While the transport is full the queue waits; each heartbeat looks again. */
static void start_read(struct replica *r, struct replica_peer *peer)
{
    while (peer->queue != NULL && !peer->reading && !is_full(r, peer)) {
        struct raft_append_entries *args = &peer->queue->args;
        int rv = raftlog_read(r->log, args->prev_log_index + 1,
                              args->prev_log_index + args->n_entries,
                              OUTBOUND_PIECE_BYTES, read_done, peer);
        if (rv == 0) {
            peer->reading = true;
        } else {
            if (rv == ERR_NOTFOUND) {
                offer_instead(r, peer, args);
            }
            queue_pop(peer);
        }
    }
}

static void queue_push(struct replica *r, struct replica_peer *peer,
                       const struct raft_append_entries *args)
{
    struct outbound_item *item;
    if (peer->n_queued >= OUTBOUND_QUEUE_MAX) {
        return;
    }
    item = malloc(sizeof *item);
    if (item == NULL) {
        return;
    }
    item->next = NULL;
    item->args = *args;
    item->args.entries = NULL;
    item->epoch = raftlog_epoch(r->log);
    *peer->queue_tail = item;
    peer->queue_tail = &item->next;
    peer->n_queued++;
    start_read(r, peer);
}

/* Entries [prev + 1, prev + n] of the log as it is now (C-RAFT.md 1.3.4). What
 * is more than the loop should encode in one turn goes by way of the queue. */
static void send_entries(struct replica *r, struct replica_peer *peer,
                         const struct raft_append_entries *asked)
{
    struct raft_append_entries args = *asked;
    struct raftlog_entry entries[256];
    size_t total = 0;

    while (args.n_entries > 0) {
        size_t n = 0;
        size_t sent = 0;
        size_t bytes = 0;
        while (total < OUTBOUND_TURN_BYTES && n < args.n_entries &&
               n < sizeof entries / sizeof entries[0] &&
               bytes < OUTBOUND_PIECE_BYTES &&
               raftlog_get(r->log, args.prev_log_index + 1 + n, &entries[n]) ==
                   0) {
            bytes += entries[n].size;
            n++;
        }
        if (n == 0) {
            queue_push(r, peer, &args);
            return;
        }
        total += bytes;
        while (sent < n) {
            size_t count =
                send_piece(r, peer, &args, args.prev_log_index,
                           args.prev_log_term, entries + sent, n - sent);
            if (count == 0) {
                return;
            }
            sent += count;
            args.prev_log_index += count;
            args.prev_log_term = entries[sent - 1].term;
            args.n_entries -= (unsigned)count;
        }
    }
}

static void send_append_entries(struct replica *r, struct replica_peer *peer,
                                const struct raft_append_entries *args)
{
    if (!peer->connected) {
        return; /* a window of entries would be encoded for nothing */
    }
    if (args->n_entries == 0) {
        if (peer->queue != NULL) {
            send_anchored(r, peer, args);
            start_read(r, peer);
        } else {
            send_empty(r, peer, args);
        }
    } else if (peer->queue != NULL) {
        queue_push(r, peer, args);
    } else if (is_full(r, peer)) {
        /* A slow link: the heartbeat keeps the follower, and the core learns
         * from its answers that entries are missing. */
        send_anchored(r, peer, args);
    } else {
        send_entries(r, peer, args);
    }
}

/* ---- all messages
 * ----------------------------------------------------------*/

void outbound_message(struct replica *r, const struct raft_message *m)
{
    struct replica_peer *peer = replica_find_peer(r, m->server_id);
    struct wire_message out;
    struct wire_frame frame;

    if (peer == NULL) {
        return;
    }
    if (m->type == RAFT_APPEND_ENTRIES) {
        send_append_entries(r, peer, &m->append_entries);
        return;
    }
    if (m->type == RAFT_INSTALL_SNAPSHOT) {
        serve_offer(r, m);
        return;
    }
    memset(&out, 0, sizeof out);
    out.type = (enum wire_type)m->type;
    out.as.raft = *m;
    if (m->type == RAFT_APPEND_ENTRIES_RESULT && r->reply_stale) {
        /* Uninitialised in the core for requests of a lower term (B13). */
        out.as.raft.append_entries_result.last_log_index = 0;
    }
    if (m->type == RAFT_REQUEST_VOTE_RESULT &&
        out.as.raft.request_vote_result.pre_vote &&
        !out.as.raft.request_vote_result.vote_granted &&
        raft_current_term(&r->raft) > out.as.raft.request_vote_result.term) {
        /* The core answers with the candidate's own term, which then never
         * learns ours (B10). */
        out.as.raft.request_vote_result.term = raft_current_term(&r->raft);
    }
    wire_encode(&out, &frame);
    outbound_send(r, m->server_id, &frame);
}
