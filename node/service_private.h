/* What the files of the service share; nobody else includes it.
 *
 *   service.c  the object, its events, time limits and the settling of work
 *   session.c  sessions: their life and their owner's side
 *   session_submit.c   what a client has sent, on its way in
 *   session_advance.c  requests in program order, replies in order
 *   session_client.c  HELLO, RESET and CLIENT: the session's own state
 *   session_transaction.c  MULTI, EXEC and their kin
 *   session_watch.c  watched keys
 *   request.c  one request: its life, its time limit, its read ticket
 *   forward.c  writes on their way to the leader
 *   forward_leader.c  those of other nodes, when we lead
 *   service_operation.c  requests that wait for something else
 *   service_operator.c   CONCORDKV, by subcommand
 *   service_transfer.c   CONCORDKV LEADER TRANSFER
 *   service_log.c        CONCORDKV COMPACT, LOG LIST
 *   service_wait.c       WAIT
 *   service_count.c      CLUSTER COUNTKEYSINSLOT */
#ifndef NODE_SERVICE_PRIVATE_H
#define NODE_SERVICE_PRIVATE_H

#include "node/service.h"

enum {
    SERVICE_RETRY_MS = 20, /* after a refusal that no event may end */
    SESSION_ADDRESS_MAX = 80,
    SERVICE_CURSORS = 4096, /* SCANs under way */
    WAIT_POLL_MS = 10,      /* between looks at how far the others are */
    WAIT_ASK_MS = 2,        /* between questions to the leader, at least */
    /* What reads may cost in one turn of the loop before everything else gets
     * its turn, in steps of some nanoseconds: ten milliseconds or so. The one
     * that passes it is completed, see KEYS_STEPS_MAX. */
    SERVICE_TURN_STEPS = 4 * 1000 * 1000,
    SERVICE_ARGUMENT_STEPS = 64,  /* each may be a key to be found */
    SERVICE_STEP_BYTES = 16,      /* copied in a step */
    COUNT_SLICE_KEYS = 32 * 1024, /* looked at in one go */
    /* Writes sent to the leader and not answered, in bytes: bounds what has to
     * be sent again, and what waits in the transport's queue. */
    FORWARD_WINDOW_MAX = 16 * 1024 * 1024,
    FORWARD_WINDOW_MIN = 64 * 1024,
    /* Larger replies do not travel: the origin applies the entry itself. */
    FORWARD_REPLY_MAX = 1024 * 1024,
    FORWARD_ORIGINS_MAX = 2 * REPLICA_SERVERS_MAX,
    /* A payload has to fit into a frame, alone in an AppendEntries too. */
    FORWARD_PAYLOAD_MAX = WIRE_FRAME_MAX - 1024 * 1024
};

enum request_kind {
    REQUEST_LOCAL,
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_LATER /* waits for something else, and all behind it for it */
};

enum request_state {
    REQUEST_WAITING,   /* behind others of its session */
    REQUEST_ASKED,     /* read: the barrier will call */
    REQUEST_RETRY,     /* read: to be asked again */
    REQUEST_READY,     /* read: confirmed, runs when it is the first */
    REQUEST_WRITING,   /* write: in the ring of writes */
    REQUEST_OPERATING, /* later: its operation will answer it */
    REQUEST_DONE       /* `reply` is complete */
};

/* What MULTI has begun. */
struct command_queue {
    struct service *service;
    struct buffer commands; /* see transaction_put_command */
    uint32_t n, argc_max;
    bool writes;      /* one of them does */
    bool aborted;     /* an error was told: EXEC refuses */
    uint64_t counted; /* of the service's transaction_bytes */
};

struct request {
    struct request *next; /* in the session, in order */
    /* All that have a time limit, oldest first; also those whose client is
     * gone. Requests of READY and DONE are not in it. */
    struct request *older, *newer;
    bool timed;
    bool asked;    /* the barrier holds a pointer to this */
    bool resp3;    /* what the session spoke when it came in */
    bool readonly; /* what the session allowed then */
    enum request_kind kind;
    enum request_state state;
    struct service *service;
    struct session *session; /* NULL: the client is gone */
    const struct command *command;
    struct operation *operation; /* NULL unless OPERATING */
    uint64_t deadline_ms;
    uint64_t started_us; /* for the statistics; 0: no clock of this kind */
    /* Read: the leader's clock of its ticket; whether the next ticket has to
     * settle it, because this read met a key that is due. */
    uint64_t clock_ms;
    bool settle;
    uint64_t settle_until_ms; /* its time limit from then on */
    uint64_t asked_ms;        /* read: of the ticket that it waits for */
    uint64_t write_id;
    uint64_t bytes;              /* counted in pending_bytes */
    bool changes_watches;        /* when it is answered */
    struct command_queue *queue; /* of EXEC, until it has begun; NULL: none */
    struct buffer reply;
    uint32_t argc;
    struct bytes *argv; /* own copy behind the struct; NULL: encoded */
};

/* What a request of kind LATER waits for. */
struct operation;
typedef void (*operation_poll_cb)(struct operation *o);

struct transfer {
    uint64_t id;          /* of its messages */
    uint64_t target;      /* 0: any */
    uint64_t asked, term; /* the leader that has it; 0: none yet */
    uint64_t deadline_ms;
};

struct wait {
    int64_t n_wanted, n_reached;
    uint64_t index; /* to be reached; 0: not known yet */
    bool wrote;
    uint64_t after_id; /* only answers to later questions count */
    uint64_t deadline_ms;
};

struct operation {
    struct operation *previous, *next; /* of the service */
    struct request *request;
    operation_poll_cb poll;
    operation_poll_cb forget; /* what `as` holds, at the end; NULL: nothing */
    uint64_t due_ms;          /* UINT64_MAX: not by time */
    union {
        struct transfer transfer;
        struct wait wait;
        struct compact {
            uint64_t index; /* applied when it was asked for */
            uint64_t n_failed, n_without_room;
        } compact;
        struct count {
            unsigned slot;
            int64_t n;
            struct store_item *last; /* looked at, a reference; NULL: none */
        } count;
    } as;
};

struct session {
    struct service *service;
    struct session *previous, *next; /* of the service */
    /* Lists of work; a session is in each at most once. */
    struct session *next_active, *next_dirty;
    bool active, dirty, stalled, ending, failed;
    session_output_cb output_cb;
    void *ctx;
    struct buffer output;
    struct request *first, **last;
    struct request *unstarted; /* first that is not begun; NULL: none */
    uint64_t n_requests;
    uint64_t n_reads, n_writes; /* started, not yet answered */
    uint64_t bytes;
    /* What HELLO and CLIENT set. None of it reaches a log entry. */
    uint64_t id; /* unique in this node since it began */
    uint64_t opened_ms, used_ms;
    const struct command *last_command;       /* NULL: none yet */
    struct bytes name, lib_name, lib_version; /* malloc'd */
    char address[SESSION_ADDRESS_MAX];        /* "": not known */
    char local[SESSION_ADDRESS_MAX];          /* the same of our side */
    bool resp3;
    bool readonly; /* READONLY: reads may be stale */
    bool wrote;    /* a write was answered, or given up */
    /* Transactions. */
    struct command_queue *queue; /* NULL: not in MULTI */
    struct watch *watches;
    uint32_t n_watches;
    uint64_t watch_bytes; /* in an entry */
    bool watch_broken;    /* a watched key was changed; no watches are left */
    struct session *next_broken;
    uint64_t n_watch_changes; /* requests that change watches, not answered */
};

/* Watches of all sessions, by key. */
struct watch_table {
    struct watch **buckets; /* NULL: there is no watch */
    uint64_t n_buckets;     /* power of two */
    uint64_t n_watches;
    uint64_t n_sessions; /* that have one */
};

/* A write that is not answered yet; its place is its id. */
struct write {
    struct request *request; /* NULL: a hole, resolved out of order */
    void *payload;           /* block */
    uint32_t size;
    /* Sendings in the current term that no refusal has taken back. While there
     * is one the write may be executed. */
    uint32_t n_out;
    /* Those of them that this connection to the leader may still answer. */
    uint32_t n_flying;
    bool shared; /* others may hold references to payload */
};

/* What the leader knows of one node's forwarded writes in its own term. */
struct origin {
    uint64_t id; /* 0: free */
    uint64_t term;
    uint64_t last; /* highest id proposed; lower ones are repetitions */
    bool seen;     /* last is set */
    bool gated;    /* refusing, so that nothing overtakes a refused write */
    uint64_t gate; /* highest id refused since */
    uint64_t epoch;
    int gate_status;
};

struct service {
    struct service_options options;
    struct replica_io io;
    struct replica *replica; /* NULL: not attached yet */
    uint64_t self_id;
    service_local_cb local;
    void *local_ctx;
    struct cursor_table *cursors;
    struct buffer scratch;
    bool drained, stopping;

    struct session *sessions;
    struct session *active, **active_last;
    struct session *dirty, **dirty_last;
    struct request *oldest, *newest;
    struct request *orphans; /* only the barrier holds them; linked by newer */
    uint64_t n_requests;
    uint64_t n_retry;    /* reads in RETRY */
    uint64_t n_stalled;  /* sessions whose reads wait for room in the output */
    uint64_t retry_ms;   /* UINT64_MAX: not armed */
    uint64_t turn_steps; /* of SERVICE_TURN_STEPS, since service_timer */

    uint64_t applied_term; /* highest of an applied entry */
    /* All that was acknowledged anywhere before this moment is in the store:
     * a read that was asked for then has been confirmed. */
    uint64_t fresh_ms;
    uint64_t fresh_clock_ms; /* what the leader's clock showed since then */
    bool fresh;              /* there was such a moment */

    /* Writes first_id .. end_id - 1; those below next_id were sent in
     * sent_term to sent_to, the others wait. */
    struct write *ring;
    uint64_t ring_size; /* power of two */
    uint64_t first_id, next_id, end_id;
    uint64_t sent_term, sent_to;
    uint64_t sent_bytes;
    uint64_t window_bytes;
    uint64_t n_live;        /* writes with n_out > 0 */
    uint64_t write_hold_ms; /* send nothing before */
    bool id_wait;           /* low half of the ids used up: drain first */

    struct watch_table watches;
    uint64_t transaction_bytes; /* queued by MULTI, and watches */

    struct origin origins[FORWARD_ORIGINS_MAX];

    struct operation *operations;
    uint64_t operations_due_ms; /* the earliest */
    uint64_t operation_id;      /* the last one used */
    /* Who asked for the transfer that this leader carries out; 0: nobody. */
    uint64_t transfer_from, transfer_id;
    uint64_t match_id, match_asked_ms; /* the last question of WAIT */

    struct service_stats stats;
    struct histogram read_us, write_us; /* from request to reply */
    uint64_t last_session_id;
    uint64_t *calls; /* by place in the table of commands; kept */
};

/* ---- service.c ---- */
uint64_t service_now_ms(const struct service *s);
void service_arm_retry(struct service *s);
/* body is NULL, or a block. False: not to be reached now. */
bool service_send(struct service *s, uint64_t to, const struct wire_message *m,
                  void *body, uint32_t body_size);
/* Enough was done in this turn: what is active stays so until service_timer,
 * which is due at once. */
bool service_turn_is_over(const struct service *s);
void service_count_call(struct service *s, const struct command *command);
/* Does all that has become possible, then tells the owners of sessions with
 * new output. The last act of every function the outside calls: a session may
 * be closed when it returns. */
void service_settle(struct service *s);

/* ---- session.c ---- */
void session_activate(struct session *session);
void session_mark_dirty(struct session *session);
/* Bytes were added to the output. */
void session_told(struct session *session);

/* ---- session_advance.c ---- */
/* Carry out and tell what can be. */
void session_advance(struct session *session);
/* False: the read met a key that is due by clock_ms and not by the store's
 * clock; what it wrote is no reply. */
bool session_run_command(struct service *s, const struct command *command,
                         uint32_t argc, const struct bytes *argv,
                         uint64_t clock_ms, bool resp3, struct buffer *reply);
/* Begin a read or a write; false: it has to wait. */
bool session_start(struct session *session, struct request *r, uint32_t argc,
                   const struct bytes *argv);

/* ---- session_submit.c ---- */
/* What stands in the service's scratch is the reply to the newest request.
 * Returns the request that keeps it until its turn; NULL: it is out already. */
struct request *session_reply_scratch(struct session *session);
/* A new request of this kind, to be begun when its turn comes. */
void session_begin_later(struct session *session, struct request *r,
                         enum request_kind kind);

/* ---- session_client.c ---- */
/* HELLO, RESET, CLIENT: checked, answered at once. */
void session_client(struct session *session, const struct command *command,
                    uint32_t argc, const struct bytes *argv,
                    struct buffer *reply);
void session_client_close(struct session *session);

/* ---- session_transaction.c ---- */
/* MULTI, EXEC, DISCARD, WATCH, UNWATCH: of the right form. */
void session_transaction(struct session *session, const struct command *command,
                         uint32_t argc, const struct bytes *argv);
/* Whether the command goes into the queue instead of being carried out. */
bool session_takes_for_queue(const struct session *session,
                             const struct command *command);
void session_queue(struct session *session, const struct command *command,
                   uint32_t argc, const struct bytes *argv);
/* The request of this name was refused; the error is in scratch. */
void session_refused(struct session *session, struct bytes name);
/* The queue goes at once, what is watched when the turn of the newest request
 * has come, whose reply is in scratch. */
void session_forget(struct session *session);
/* EXEC as a write, with what is watched. Errors: as forward_add. */
int session_exec_start(struct session *session, struct request *r);
/* EXEC of kind LATER, the first of its session: begin it, and go on when the
 * barrier has confirmed: then it is done or on its way. False: it has to come
 * again when there are ids. */
void session_exec_begin(struct session *session, struct request *r);
bool session_exec_confirmed(struct session *session, struct request *r);
/* EXEC as a read: carry it out. */
void session_exec_read(struct session *session, const struct request *r,
                       struct command_env *env, struct buffer *reply);
/* The request is answered: now it changes what is watched, if it is one that
 * does. */
void session_transaction_emitted(struct session *session,
                                 const struct request *r);
void session_transaction_close(struct session *session);
void command_queue_free(struct command_queue *q); /* NULL is allowed */

/* ---- session_watch.c ---- */
/* WATCH, when the store may be read. On an error, and when env says that a key
 * is due, nothing more is watched than before. */
void watch_keys(struct session *session, struct command_env *env, uint32_t argc,
                const struct bytes *argv, struct buffer *reply);
/* Nothing is watched any more, nor broken. */
void watch_forget(struct session *session);
/* A snapshot has replaced the state. */
void watch_jumped(struct service *s);
/* What is watched, for an entry: its bytes into out, and t describes them. */
void watch_put(const struct session *session, struct transaction *t,
               struct buffer *out);

/* ---- request.c ---- */
/* A request at the end of the session's list. With copy, its arguments are
 * copied behind it. NULL: out of memory, the session has failed. */
struct request *request_new(struct session *session,
                            const struct command *command, bool copy,
                            uint32_t argc, const struct bytes *argv);
/* Count bytes that it holds. */
void request_count(struct request *r, uint64_t bytes);
/* Its time limit runs from now on, or no more. */
void request_time(struct request *r);
void request_untime(struct request *r);
/* Read: get a ticket. */
void request_ask(struct request *r);
/* Read: it met a key that has expired by the leader's clock, but not by the
 * store's. It needs another ticket. */
void request_ask_settled(struct request *r);
/* Reads in RETRY are asked for again. */
void request_retry_all(struct service *s);
/* It is DONE: what was begun counts no longer in its session, so that the
 * other kind may begin. */
void request_end(struct request *r);
/* The reply is in r->reply; r may be freed by this and by what follows. */
void request_done(struct request *r);
void request_error(struct request *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Its time limit has come. */
void request_expire(struct request *r);
/* Its session has no more use for it, but the barrier may have. */
void request_release(struct request *r);
/* Nobody points to it any more but, at most, the list of time limits. */
void request_free(struct request *r);

/* ---- forward.c ---- */
void forward_init(struct service *s);
void forward_close(struct service *s);
/* Queue a write; p is borrowed and gets its origin and id. Sets
 * request->write_id. Errors: ERR_NOMEM; ERR_TOOBIG; ERR_AGAIN ids are used up,
 * start it when forward_has_ids. */
int forward_add(struct service *s, struct request *request, struct proposal *p);
bool forward_has_ids(const struct service *s);
/* Take a write out. Returns whether it may have been, or may yet be,
 * executed. */
bool forward_remove(struct service *s, uint64_t id);
bool forward_may_run(const struct service *s, uint64_t id);
void forward_dispatch(struct service *s);
void forward_applied(struct service *s, uint64_t term, const struct proposal *p,
                     const struct buffer *reply);
void forward_jumped(struct service *s, uint64_t term);
void forward_message(struct service *s, const struct wire_message *m);
void forward_peer(struct service *s, uint64_t id);
/* A refusal for good: the same write would be refused again, a later one need
 * not be. */
bool forward_is_final(int status);
/* A message about the write `id`; body is NULL, or a block. */
bool forward_send(struct service *s, uint64_t to, enum wire_type type,
                  uint64_t id, uint64_t term, int status, void *body,
                  uint32_t body_size);

/* ---- forward_leader.c ---- */
/* The high half of an id: another one after a restart of its origin. */
static inline uint64_t forward_epoch(uint64_t id)
{
    return id >> 32;
}
/* The entry of another node was applied here. */
void forward_tell(struct service *s, uint64_t term, const struct proposal *p,
                  const struct buffer *reply);
/* A write of another node. */
void forward_receive(struct service *s, const struct wire_message *m);

/* ---- service_operation.c ---- */
/* The request becomes OPERATING. Errors: ERR_NOMEM. */
int operation_new(struct request *r, operation_poll_cb poll,
                  struct operation **out);
/* Its request is answered by someone else, or not at all. */
void operation_free(struct operation *o);
/* The reply is in its request. */
void operation_done(struct operation *o);
/* Poll at this time, in service_now_ms. */
void operation_due(struct operation *o, uint64_t ms);
/* All of them, or those whose time has come. */
void operations_poll(struct service *s, bool all);

/* ---- service_operator.c ---- */
/* Begin a CONCORDKV command; r has its arguments. */
void operator_begin(struct request *r);

/* ---- service_wait.c ---- */
void wait_begin(struct request *r);
void wait_message(struct service *s, const struct wire_message *m);

/* ---- service_count.c ---- */
/* Begin CLUSTER COUNTKEYSINSLOT. */
void count_begin(struct request *r);

/* ---- service_transfer.c ---- */
void transfer_begin(struct request *r, uint32_t argc, const struct bytes *argv);
void transfer_message(struct service *s, const struct wire_message *m);
/* As events.transferred. */
void transfer_ended(struct service *s, bool done);

/* ---- service_log.c ---- */
void compact_begin(struct request *r, uint32_t argc, const struct bytes *argv);
void log_list(struct request *r, uint32_t argc, const struct bytes *argv);

#endif
