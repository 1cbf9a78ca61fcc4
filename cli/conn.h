/* One connection to one node, on hiredis.
 *
 * Happy path: open (connect with a limit, then the socket is non-blocking),
 * write bytes of encoded commands, wait, read parsed replies in order.
 * Failures: every function returns a code, after which the connection is of no
 * use and is to be closed; which command got how far is for the caller to
 * know. hiredis connects and parses; its output buffer is not used, because
 * it moves all its bytes after each partial write. */
#ifndef CLI_CONN_H
#define CLI_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <hiredis/hiredis.h>

#include "cli/endpoint.h"
#include "cli/info.h"
#include "raftlog/err.h"

struct conn {
    redisContext *redis; /* NULL: closed */
    struct endpoint peer;
};

/* A command as arguments; all pointers are borrowed. */
struct command {
    int n_args;
    const char **args;
    const size_t *sizes; /* NULL: the arguments are strings */
};

/* Errors: ERR_IO (refused, no such host, ...), ERR_AGAIN (no answer in time),
 * ERR_NOMEM. info names the peer. */
int conn_open(struct conn *c, const struct endpoint *peer, int64_t deadline_ms,
              struct err_info *info);
/* Fill info with "<what> <peer>: <why>" and return code. */
int conn_fail(const struct conn *c, int code, const char *what, const char *why,
              struct err_info *info);
void conn_close(struct conn *c);
bool conn_is_open(const struct conn *c);

/* Write what the socket takes at once; *written may be 0. Errors: ERR_IO. */
int conn_write(struct conn *c, const struct iovec *parts, int n_parts,
               size_t *written, struct err_info *info);

/* Read what has come. Errors: ERR_IO (closed by the peer included). */
int conn_fill(struct conn *c, struct err_info *info);

/* The next complete reply (given: freeReplyObject), or NULL if there is none
 * yet. Errors: ERR_PROTOCOL. */
int conn_take_reply(struct conn *c, redisReply **reply, struct err_info *info);

/* Encode a command; *data is given: redisFreeCommand. Errors: ERR_NOMEM. */
int conn_encode(const struct command *command, char **data, size_t *size);

/* Send one command and wait for its reply (given). *sent tells whether any of
 * its bytes went out, also on failure. Errors: ERR_IO, ERR_AGAIN (deadline),
 * ERR_STOPPED (Ctrl-C), ERR_PROTOCOL, ERR_NOMEM. */
int conn_call(struct conn *c, const struct command *command,
              int64_t deadline_ms, redisReply **reply, bool *sent,
              struct err_info *info);

/* Ask for INFO. A server that refuses INFO is an ERR_PROTOCOL. */
int conn_ask_info(struct conn *c, int64_t deadline_ms, struct node_info *out,
                  struct err_info *info);

#endif
