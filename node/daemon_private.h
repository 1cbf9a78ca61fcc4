/* The daemon's state; internal to daemon.c and daemon_*.c. */
#ifndef NODE_DAEMON_PRIVATE_H
#define NODE_DAEMON_PRIVATE_H

#include <uv.h>

#include "node/daemon.h"
#include "node/peer_book.h"
#include "node/replica.h"
#include "node/server.h"
#include "node/service.h"
#include "node/transport.h"

enum {
    DAEMON_TICK_MS = 250,  /* changes of membership, waiting for the end */
    DAEMON_FLUSHES_MAX = 4 /* in one loop turn */
};

enum daemon_phase {
    DAEMON_RUNNING,
    DAEMON_DRAINING, /* leadership is being handed over */
    DAEMON_ENDING,   /* replies in progress leave */
    DAEMON_STOPPED
};

struct daemon {
    uv_loop_t loop;
    struct config *config;
    struct file *lock; /* of the data directory */
    enum daemon_phase phase;
    uint64_t end_ms; /* limit of DRAINING and ENDING */
    struct replica_io io;
    uint64_t random;
    uint64_t start_ms;
    /* Longest time that one loop turn was busy. */
    uint64_t stall_us_max;
    struct histogram turn_us; /* and of each turn */
    uint64_t turn_ns, turn_idle_ns;
    unsigned n_jobs; /* in the pool */
    struct handshake_node self;
    struct replica *replica;
    struct service *service;
    struct transport *transport;
    struct server *server;
    uv_timer_t deadline; /* of replica and service */
    uint64_t deadline_ms;
    uv_timer_t tick;
    uv_prepare_t prepare;
    uv_poll_t log_poll;
    uv_signal_t signals[2];
    struct peer_book book;
    bool book_changed, book_saving;
};

/* daemon_io.c: what the replica asks of the world. */
int daemon_io_init(struct daemon *d);
uint64_t daemon_now_ms(void);

/* daemon_options.c: what the parts are told of the options. */
void daemon_service_options(const struct config *c,
                            struct service_options *out);
void daemon_replica_options(const struct config *c,
                            struct replica_options *out);
void daemon_server_options(const struct config *c, struct server_options *out);
/* A line of warning when the sync policy is weaker than always. */
void daemon_tell_sync(const struct config *c);
/* The options have changed; ctx is the daemon. */
void daemon_configure(void *ctx);

/* daemon_local.c: INFO and CONFIG. */
void daemon_local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply);

/* Where clients reach a node; "" when not known. ctx is the daemon. */
const char *daemon_client_address(void *ctx, uint64_t id);

/* daemon_peers.c: who the peers are. */
void daemon_peers_load(struct daemon *d);
void daemon_peers_sync(struct daemon *d);
void daemon_peer_learned(void *ctx, uint64_t id, const uint8_t *instance);

#endif
