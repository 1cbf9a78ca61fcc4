/* Connections between nodes: struct replica_io's send and queued_bytes over
 * libuv TCP.
 *
 * To each peer there are two lanes (node/wire.h), and in each lane two
 * connections: one that we dial and send on, one that the peer dialled and we
 * receive on. One connection carries frames in one direction only, so what a
 * dying peer has sent is still delivered when its other sockets are reset.
 *
 * A peer is connected when the main lane is up in both directions. It is told
 * as lost only after everything received from it was delivered. When a peer
 * dials again, its old connection is dropped with its undelivered bytes, and
 * the peer is told as lost and then as connected: order within one connected
 * period is what holds.
 *
 * Who may talk to us is in node/handshake.h, the bytes in
 * node/transport_frame.h. What frames mean is left to the replica.
 *
 * Thread: the loop. */
#ifndef NODE_TRANSPORT_H
#define NODE_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "node/handshake.h"
#include "node/wire.h"
#include "raftlog/err.h"

struct transport;

struct transport_options {
    const char *listen_address; /* borrowed */
    uint64_t queue_bytes_max;   /* per peer and lane */
    unsigned silence_ms;        /* unacknowledged bytes for so long: lost */
    uint64_t random_seed;
};

struct transport_events {
    void *ctx;
    /* A frame's payload; the callee takes its own reference. */
    void (*receive)(void *ctx, uint64_t from, void *block, uint32_t size);
    void (*peer)(void *ctx, uint64_t id, bool connected);
    /* A peer was seen for the first time with this instance id
     * (HANDSHAKE_INSTANCE_SIZE bytes): remember it over restarts. */
    void (*learned)(void *ctx, uint64_t id, const uint8_t *instance);
};

/* Listen; nothing is dialled yet. Errors: those of listen_start, ERR_NOMEM. */
int transport_open(uv_loop_t *loop, const struct transport_options *options,
                   const struct transport_events *events,
                   struct transport **out, struct err_info *info);
/* Close all connections, without events; memory goes once the loop has run
 * the close callbacks. */
void transport_close(struct transport *t);
/* Who this node is: before the loop runs and before any peer is set. (Listening
 * comes first, so that a port in use is found before a data directory is made.)
 */
void transport_set_self(struct transport *t, const struct handshake_node *self);

/* Make a node known (or change its address) and dial it; remove it. Its own
 * id is ignored. Errors: ERR_NOMEM, ERR_INVALID address, ERR_TOOBIG. */
enum { TRANSPORT_PEERS_MAX = 64 };
int transport_set_peer(struct transport *t, uint64_t id, const char *address);
void transport_remove_peer(struct transport *t, uint64_t id);
/* The instance id a known peer had before this start. */
void transport_set_instance(struct transport *t, uint64_t id,
                            const uint8_t *instance);

/* See struct replica_io. */
bool transport_send(struct transport *t, uint64_t to,
                    const struct wire_frame *frame);
uint64_t transport_queued_bytes(const struct transport *t, uint64_t to,
                                enum wire_lane lane);
/* Hand what was queued to the kernel: once at the end of each loop turn. */
void transport_flush(struct transport *t);

struct transport_peer {
    uint64_t id;
    char address[ADDRESS_TEXT_MAX + 1];
    char client_address[ADDRESS_TEXT_MAX + 1]; /* empty: not known yet */
    bool connected;
    uint64_t queued_bytes;                  /* both lanes */
    uint64_t n_sent, n_received, n_dropped; /* frames */
    uint64_t sent_bytes, received_bytes;
    uint64_t n_connects; /* times it became connected */
    unsigned refusal;    /* enum handshake_reason of the last attempt */
};
/* The i-th peer in order of ids; false behind the last. */
bool transport_get_peer(const struct transport *t, unsigned i,
                        struct transport_peer *out);
/* Client address of a peer, "" when not known; borrowed. */
const char *transport_client_address(const struct transport *t, uint64_t id);

#endif
