/* Client connections: a listening socket, and between each socket and its
 * session (node/service.h) a parser and back-pressure both ways.
 *
 * Reading from a client stops while its session is over its limits or more
 * than output_bytes of replies wait; it goes on by itself. A client that takes
 * none of its waiting replies for write_timeout_ms is closed, and so is one
 * that has sent part of a command and nothing more for partial_timeout_ms. When
 * the clients together hold more than query_bytes or outputs_bytes, those are
 * closed that ask for more, or wait with most. Thread: the loop. */
#ifndef NODE_SERVER_H
#define NODE_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "node/resp.h"
#include "node/service.h"
#include "raftlog/err.h"

struct server;

struct server_options {
    const char *listen_address; /* borrowed */
    uint64_t max_clients;
    struct resp_limits limits;
    uint64_t output_bytes;
    uint64_t outputs_bytes;      /* of all clients together */
    uint64_t query_bytes;        /* incomplete commands, of all together */
    uint64_t partial_timeout_ms; /* of one of them; 0: never */
    uint64_t idle_timeout_ms;    /* 0: never */
    uint64_t write_timeout_ms;
};

/* Listen. Errors: those of listen_start, ERR_NOMEM. */
int server_open(uv_loop_t *loop, const struct server_options *options,
                struct service *service, struct server **out,
                struct err_info *info);
/* Write what sessions have put out and read on where that is possible again:
 * once at the end of each loop turn. True: sessions got new requests by this,
 * so the replica has to be flushed again. */
bool server_flush(struct server *s);

/* SIGTERM, in this order: no new connections; no new requests; whether all
 * replies have left; close all connections and free (memory goes once the loop
 * has run the close callbacks). */
void server_stop_accepting(struct server *s);
void server_stop_reading(struct server *s);
bool server_is_flushed(const struct server *s);
void server_close(struct server *s);

struct server_stats {
    uint64_t n_clients, n_refused, n_protocol_errors, n_slow;
    uint64_t n_paused; /* not read at the moment */
    uint64_t n_partial, n_query_refused, n_evicted;
    uint64_t query_bytes;   /* of incomplete commands, now */
    uint64_t waiting_bytes; /* replies, at the last sweep */
    uint64_t input_bytes, output_bytes;
};
/* New limits; the address to listen on stays. */
void server_configure(struct server *s, const struct server_options *options);
/* Counters to zero. */
void server_reset_stats(struct server *s);
void server_get_stats(const struct server *s, struct server_stats *out);

#endif
