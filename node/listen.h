/* Listening sockets, and the settings all our connections share. */
#ifndef NODE_LISTEN_H
#define NODE_LISTEN_H

#include <uv.h>

#include "raftlog/err.h"

/* Resolve address ("host:port"; blocking, for start-up) and listen there with
 * an initialised tcp. label is the option's name for the message.
 * Errors: ERR_INVALID the text, ERR_NOTFOUND the name, ERR_BUSY in use by
 * another process, ERR_ACCESS, ERR_IO; the message says what to do. */
int listen_start(uv_tcp_t *tcp, const char *address, const char *label,
                 uv_connection_cb cb, struct err_info *info);

/* No delay, and a dead other side is found: keepalive after idle_s seconds;
 * with unacknowledged_ms > 0 also sent bytes unacknowledged for so long. */
void listen_tune(uv_tcp_t *tcp, unsigned idle_s, unsigned unacknowledged_ms);

/* "1.2.3.4:567" of the other side, or "?". */
enum { LISTEN_NAME_MAX = 64 };
void listen_peer_name(const uv_tcp_t *tcp, char out[LISTEN_NAME_MAX]);
void listen_own_name(const uv_tcp_t *tcp, char out[LISTEN_NAME_MAX]);

#endif
