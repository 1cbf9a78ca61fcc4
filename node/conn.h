/* One client connection; internal to server.c and conn.c.
 *
 *   OPEN      reads requests and writes replies
 *   FINISHING the session takes no more (QUIT, protocol error, or the client
 *             has shut its side): its last replies are written
 *   LINGER    our side is shut; what still comes is thrown away until the
 *             client closes, because closing over unread bytes would reset the
 *             connection and could take the last reply with it
 *   CLOSED    waits for the close callback
 */
#ifndef NODE_CONN_H
#define NODE_CONN_H

#include <sys/queue.h>

#include "node/buffer.h"
#include "node/server.h"

enum {
    CONN_SCRATCH_BYTES = 128 * 1024,
    CONN_CHUNK_BYTES = 256 * 1024, /* lent to one uv_write */
    CONN_LINGER_MS = 1000,
    CONN_SWEEP_MS = 500,
    CONN_REFUSED_MAX = 64 /* beyond max_clients, told so and lingering */
};

enum conn_state { CONN_OPEN, CONN_FINISHING, CONN_LINGER, CONN_CLOSED };

struct conn {
    struct server *server;
    struct session *session; /* NULL: refused or closed */
    enum conn_state state;
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    uv_write_t write;
    uint8_t *chunk; /* lent to a uv_write in progress; NULL: none */
    size_t chunk_size;
    struct resp_parser parser;
    struct buffer in;     /* bytes of a request that is not complete, and
                           * those behind it while paused */
    bool paused;          /* not read: over a limit */
    bool reading;         /* uv_read_start is in effect */
    bool dirty;           /* in server->dirty */
    bool eof;             /* the client sends no more; it may still read */
    bool refused;         /* in server->n_refused_here */
    size_t in_counted;    /* of `in`, in server->stats.query_bytes */
    uint64_t read_ms;     /* last bytes from the client, or its end */
    uint64_t progress_ms; /* last time that it took reply bytes, or none
                           * waited */
    LIST_ENTRY(conn) all, dirty_entry, paused_entry;
};

LIST_HEAD(conn_list, conn);

struct server {
    uv_loop_t *loop;
    struct server_options options;
    struct service *service;
    uv_tcp_t listener;
    uv_timer_t sweep;
    struct conn_list all, dirty, paused;
    struct server_stats stats;
    bool stopped_accepting, stopped_reading, closing;
    bool resumed; /* a paused connection gave requests to its session */
    unsigned n_handles;
    unsigned n_refused_here; /* they count for no limit but their own */
    uint8_t scratch[CONN_SCRATCH_BYTES];
};

void conn_accept(struct server *s);
/* Write what is put out, close what is finished. */
void conn_flush(struct conn *c);
/* Go on reading if the limits allow it now. */
void conn_resume(struct conn *c);
void conn_pause(struct conn *c);
void conn_check_time(struct conn *c, uint64_t now_ms);
void conn_close(struct conn *c);
/* Replies that wait for the client to take them. */
size_t conn_waiting_bytes(const struct conn *c);
/* Close it because of them. */
void conn_evict(struct conn *c);

void server_handle_closed(struct server *s);

#endif
