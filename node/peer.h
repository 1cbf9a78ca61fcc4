/* One peer of the transport, and its connections; internal to transport.c,
 * peer.c, peer_in.c and peer_out.c.
 *
 * peer_out dials, greets and sends: resolve -> connect -> hello -> welcome ->
 * up. Any failure closes the attempt and waits (10 ms, doubled up to 500 ms,
 * with jitter); a refusal waits longest at once. The name is resolved anew for
 * each attempt, and of several numbers behind it the next one is tried.
 *
 * peer_in is a connection somebody dialled: hello -> welcome -> frames. It
 * belongs to no peer until its hello was accepted.
 *
 * Objects with libuv handles are freed in the close callback of the last. */
#ifndef NODE_PEER_H
#define NODE_PEER_H

#include "node/transport.h"
#include "node/transport_frame.h"

enum {
    PEER_BACKOFF_MIN_MS = 10,
    PEER_BACKOFF_MAX_MS = 500,
    PEER_ATTEMPT_MS = 2000, /* limit of resolve, connect and greeting */
    PEER_GRACE_MS = 10,     /* wait for the rest of a lost peer's bytes */
    PEER_PENDING_MAX = 64,  /* incoming connections before their hello */
    PEER_KEEPALIVE_S = 5,
    PEER_REFUSAL_LOG_MS = 10000, /* the same refusal is logged this often */
    PEER_FAILURE_LOG_MS = 60000, /* and the same failure to connect */
    PEER_SCRATCH_BYTES = 256 * 1024,
    PEER_WRITE_FRAMES = 256 /* frames of one write */
};

struct peer_frame {
    struct peer_frame *next;
    void *body; /* block */
    const void *body_at;
    uint32_t body_size;
    uint32_t front_size; /* header and head */
    uint8_t front[];
};

enum peer_out_state { OUT_WAITING, OUT_RESOLVING, OUT_GREETING, OUT_UP };

/* Logs what repeats now and then. */
struct peer_log_limit {
    unsigned reason;
    uint64_t last_ms;
};

struct peer_dial; /* the socket of one attempt */

struct peer_out {
    struct peer *peer;
    enum wire_lane lane;
    enum peer_out_state state;
    struct peer_dial *dial;
    uv_timer_t timer; /* OUT_WAITING: the back-off; else the attempt's limit */
    unsigned backoff_ms;
    unsigned n_attempts;
    struct peer_log_limit failures;
    struct peer_frame *first, *last;
    uint64_t queued_bytes;
    size_t first_sent;  /* bytes of the first frame that are sent */
    unsigned n_writing; /* frames lent to a uv_write in progress */
    bool dirty;
    struct peer_out *dirty_next;
};

struct peer_in {
    struct transport *transport;
    struct peer *peer; /* NULL before the hello was accepted */
    enum wire_lane lane;
    uv_tcp_t tcp;
    uv_write_t welcome;
    uint8_t buffer[HANDSHAKE_MAX]; /* the hello, then the welcome */
    size_t n_buffer;
    struct frame_reader reader;
    uint64_t since_ms; /* when it was accepted */
    bool refused;      /* the welcome says no: close when it is sent */
    bool closing;
    struct peer_in *next, **link; /* of transport->pending */
};

struct peer {
    struct transport *transport;
    uint64_t id;
    struct address address;
    char address_text[ADDRESS_TEXT_MAX + 1];
    char client_address[ADDRESS_TEXT_MAX + 1];
    bool has_instance;
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE];
    struct peer_out out[WIRE_N_LANES];
    struct peer_in *in[WIRE_N_LANES];
    bool connected; /* as last told by events.peer */
    bool broken;    /* an interruption that is still to be told */
    uv_timer_t grace;
    bool closing;
    unsigned n_handles;
    struct peer_log_limit refused_us, refused_them;
    uint64_t n_sent, n_received, n_dropped, n_connects;
    uint64_t sent_bytes, received_bytes;
};

struct transport {
    uv_loop_t *loop;
    struct handshake_node self;
    struct transport_events events;
    uint64_t queue_bytes_max;
    unsigned silence_ms;
    uint64_t random;
    uv_tcp_t listener;
    uv_timer_t sweep; /* closes incoming connections without a hello */
    struct peer *peers[TRANSPORT_PEERS_MAX]; /* by id */
    unsigned n_peers;
    struct peer_in *pending;
    unsigned n_pending;
    struct peer_out *dirty;
    struct peer_log_limit refused_strangers;
    bool closing;
    unsigned n_handles; /* own handles, peers and incoming connections */
    uint8_t scratch[PEER_SCRATCH_BYTES];
};

uint64_t transport_random(struct transport *t);
struct peer *transport_find(const struct transport *t, uint64_t id);
void transport_handle_closed(struct transport *t);

/* peer.c */
int peer_new(struct transport *t, uint64_t id, struct peer **out);
void peer_close(struct peer *p);
/* A connection of the main lane came up, went down or was replaced. */
void peer_update(struct peer *p);
void peer_broken(struct peer *p, enum wire_lane lane);
/* Client address and instance as told in a handshake that was accepted. */
void peer_learn(struct peer *p, const struct handshake_node *node);
struct handshake_known peer_known(const struct peer *p);
bool peer_may_log(struct peer_log_limit *limit, uint64_t now_ms,
                  uint64_t interval_ms, unsigned reason);
void peer_handle_closed(struct peer *p);

/* peer_out.c */
int peer_out_init(struct peer_out *o, struct peer *p, enum wire_lane lane);
void peer_out_close(struct peer_out *o);
void peer_out_dial(struct peer_out *o);   /* now, when it is waiting */
void peer_out_redial(struct peer_out *o); /* drop what is there, dial */
bool peer_out_send(struct peer_out *o, const struct wire_frame *frame);
void peer_out_flush(struct peer_out *o);

/* peer_in.c */
void peer_in_accept(struct transport *t);
void peer_in_close(struct peer_in *in);

#endif
