/* Client commands on any node: which are answered here, which are proposed,
 * which are forwarded, and in what order the replies leave.
 *
 * A session is one client connection without its socket. Replies leave in the
 * order of the requests. Consecutive reads run together, consecutive writes
 * run together; a read after a write waits for the write and the other way
 * round, so a client sees its own program order.
 *
 * A write has a request id (unique for this node and boot, ascending) and is
 * proposed or forwarded for a certain term T. It is answered when the entry is
 * applied here, or earlier by the leader's FORWARD_RESULT. If an entry of a
 * higher term is applied and the write has not been seen, it can never be
 * committed (terms in a log do not decrease), so it is sent again, in order, to
 * the new leader: a failover neither loses nor doubles it. When the
 * connection to the leader comes back in the same term, everything unanswered
 * is sent again; the leader drops what it has already seen (ids ascend). Only
 * a write that reaches its time limit after it was sent answers -UNKNOWN.
 *
 * EXEC is a write like any other, or a read when nothing in it writes: see
 * session_transaction.c.
 *
 * Thread: the loop. */
#ifndef NODE_SERVICE_H
#define NODE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "node/buffer.h"
#include "node/command.h"
#include "node/replica.h"

struct service;
struct session;
struct info_process; /* info.h */

struct service_options {
    unsigned request_timeout_ms;  /* wait for a leader or a commit; 0: 5000 */
    uint64_t session_pending_max; /* requests in a session; 0: 16384 */
    uint64_t session_bytes_max;   /* of requests and replies; 0: 64 MiB */
    uint64_t session_output_max;  /* replies waiting before reads wait; 0: as
                                   * session_bytes_max */
    uint64_t key_bytes_max;       /* 0: the store's */
    uint64_t pending_bytes_max;   /* of all waiting requests; 0: 256 MiB */
    uint64_t reply_bytes_max;     /* of one reply; 0: 256 MiB */
    /* Commands with keys are answered -MOVED unless this node leads. */
    bool redirect;
    /* What a READONLY session reads on a node that does not lead may be this
     * old; 0: not at all. */
    uint64_t stale_read_max_ms;
    /* Where clients reach a node, with service_new's local_ctx; "" when not
     * known. NULL: of none. Borrowed until the next call. */
    const char *(*client_address)(void *local_ctx, uint64_t id);
    uint64_t queued_max;       /* commands in a MULTI; 0: 16384 */
    uint64_t queued_bytes_max; /* of them; 0: 72 MiB */
    uint64_t watched_max;      /* keys of a session; 0: 1024 */
    /* Queued commands and watched keys of all sessions; 0: 256 MiB. */
    uint64_t transaction_bytes_max;
};

/* The parts of COMMAND_LOCAL commands that need the process (INFO's server
 * section, CONFIG): called with the checked command. */
typedef void (*service_local_cb)(void *ctx, struct session *session,
                                 const struct command *command, uint32_t argc,
                                 const struct bytes *argv,
                                 struct buffer *reply);

int service_new(const struct service_options *options,
                const struct replica_io *io, service_local_cb local,
                void *local_ctx, struct service **out);
/* The events to open the replica with, and the replica once it is open. */
void service_events(struct service *s, struct replica_events *out);
void service_attach(struct service *s, struct replica *r);
void service_free(struct service *s); /* all sessions closed before */

/* New limits, from the next request on. */
void service_configure(struct service *s, const struct service_options *o);

/* Time limits: call when service_deadline_ms has come (UINT64_MAX: never). */
uint64_t service_deadline_ms(const struct service *s);
void service_timer(struct service *s);
/* Whether drained was reported (SIGTERM: the process may end). */
bool service_drained(const struct service *s);
uint64_t service_pending(const struct service *s); /* requests waiting */

/* output is called when bytes were added to session_output; the owner consumes
 * them. It may be called from inside session_submit, session_fail and
 * session_resume, never from inside session_open and session_close. */
typedef void (*session_output_cb)(void *ctx);
int session_open(struct service *s, session_output_cb output, void *ctx,
                 struct session **out);
/* The client's address and the one it came to, for CLIENT LIST and KILL. */
void session_set_address(struct session *session, const char *address,
                         const char *local);
/* Whether the reply that is being written goes out in version 3. */
bool session_speaks_resp3(const struct session *session);
/* One request; argv is borrowed, what is needed is copied. Returns false when
 * the session is over its limits: stop reading until session_ready. */
bool session_submit(struct session *session, uint32_t argc,
                    const struct bytes *argv);
/* A protocol error: this reply goes out after all others, then
 * session_finished. Also QUIT ends a session this way. */
void session_fail(struct session *session, const char *error);
/* The client sends no more; what it has sent is answered, then
 * session_finished. */
void session_end(struct session *session);
bool session_ready(const struct session *session);    /* takes requests */
bool session_finished(const struct session *session); /* close when sent */
/* Killed, or out of memory: close at once. */
bool session_failed(const struct session *session);
struct buffer *session_output(struct session *session);
/* Output was consumed: reads that waited for room in it go on (they do so
 * after a while by themselves). */
void session_resume(struct session *session);
/* The client is gone. May be called from inside output. What was sent on is
 * completed and its reply dropped. */
void session_close(struct session *session);

/* Counters for INFO. */
struct service_stats {
    uint64_t n_sessions, n_sessions_total;
    uint64_t n_commands, n_reads, n_writes, n_forwarded, n_retried;
    uint64_t n_unknown, n_clusterdown, n_refused;
    uint64_t n_stale; /* reads answered without the leader */
    uint64_t n_moved; /* redirected */
    uint64_t pending_bytes;
    uint64_t transaction_bytes;     /* queued commands and watched keys */
    uint64_t n_watching, n_watched; /* sessions and keys */
};
void service_get_stats(const struct service *s, struct service_stats *out);
/* Counters to zero; what is now stays. */
void service_reset_stats(struct service *s);
/* Write the reply of INFO. process holds what only the shell knows. */
void service_info(struct service *s, const struct info_process *process,
                  uint32_t argc, const struct bytes *argv,
                  struct buffer *reply);

#endif
