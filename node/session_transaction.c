/* MULTI, EXEC, DISCARD, WATCH, UNWATCH: the session's part of transactions.
 *
 * MULTI opens a queue in which commands gather as the bytes of the log entry
 * that they will be (transaction.h). Whether a command is queued is decided
 * when it comes in, so that is where MULTI, the queue and DISCARD act. EXEC
 * makes the queue a request: a write, or a read when nothing in it writes; from
 * there on it is treated like any other (forwarded, sent again, -UNKNOWN), and
 * it is executed once or not at all.
 *
 * Watched keys change in the order of the requests, each when its turn to be
 * answered has come. EXEC with watches begins only then too, and what is behind
 * it waits for it. It asks the read barrier before it is proposed: what was
 * acknowledged anywhere before EXEC came in is then applied here, and has
 * broken the watch if it touched the key, even if the key holds the same as
 * before. Without watches EXEC does none of this.
 *
 * WATCH and an EXEC that reads are linearizable also after READONLY.
 *
 * Failure cases:
 * - A command that can not be queued (unknown, wrong arity, over a limit, not
 *   allowed, -MOVED): its error, and EXEC answers -EXECABORT.
 * - A watched key was changed, seen here: EXEC answers null, nothing is
 *   proposed. Not seen here yet: the entry carries what the key was and does
 *   nothing where it is applied.
 * - RESET, QUIT and the end of the connection: queue and watches go. An EXEC
 *   that was sent is completed and its reply dropped. */
#include "node/service_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/resp.h"

/* ---- the queue ---- */

static bool queue_open(struct session *session)
{
    struct command_queue *q = calloc(1, sizeof *q);
    if (q == NULL) {
        return false;
    }
    buffer_init(&q->commands);
    q->service = session->service;
    session->queue = q;
    return true;
}

void command_queue_free(struct command_queue *q)
{
    if (q != NULL) {
        q->service->transaction_bytes -= q->counted;
        buffer_close(&q->commands);
        free(q);
    }
}

static void queue_drop(struct session *session)
{
    command_queue_free(session->queue);
    session->queue = NULL;
}

/* EXEC is to refuse it: it takes no more memory. */
static void queue_abort(struct session *session)
{
    struct command_queue *q = session->queue;
    if (q != NULL && !q->aborted) {
        q->aborted = true;
        q->service->transaction_bytes -= q->counted;
        q->counted = 0;
        buffer_close(&q->commands);
    }
}

/* NULL, or why this can not be queued. */
static const char *queue_add(struct session *session,
                             const struct command *command, uint32_t argc,
                             const struct bytes *argv)
{
    struct service *s = session->service;
    struct command_queue *q = session->queue;
    uint64_t size = transaction_command_size(argc, argv);
    if (!command_may_queue(command)) {
        return "ERR Command not allowed inside a transaction";
    }
    if (q->n >= s->options.queued_max) {
        return "ERR too many commands in a transaction (--client-queued-max)";
    }
    if (buffer_size(&q->commands) + size > s->options.queued_bytes_max) {
        return "ERR the commands of a transaction take too many bytes "
               "(--client-queued-bytes)";
    }
    if (s->transaction_bytes + size > s->options.transaction_bytes_max) {
        return "BUSY too many watched keys and queued commands in this node "
               "(--transaction-bytes-max); try again";
    }
    transaction_put_command(&q->commands, command, argc, argv);
    if (q->commands.failed) {
        return "ERR out of memory";
    }
    q->n++;
    q->argc_max = argc > q->argc_max ? argc : q->argc_max;
    q->writes |= (command->flags & COMMAND_WRITE) != 0;
    q->counted += size;
    s->transaction_bytes += size;
    return NULL;
}

void session_queue(struct session *session, const struct command *command,
                   uint32_t argc, const struct bytes *argv)
{
    const char *error = NULL;
    if (!session->queue->aborted) {
        error = queue_add(session, command, argc, argv);
    } else if (!command_may_queue(command)) {
        error = "ERR Command not allowed inside a transaction";
    }
    if (error != NULL) {
        queue_abort(session);
        resp_error(&session->service->scratch, error);
    } else {
        resp_simple(&session->service->scratch, "QUEUED");
    }
    (void)session_reply_scratch(session);
}

/* ---- watched keys, in the order of the requests ---- */

/* Something is watched, or may be when the requests before are answered. */
static bool is_watching(const struct session *session)
{
    return session->n_watch_changes > 0 || session->n_watches > 0 ||
           session->watch_broken;
}

static void mark_change(struct session *session, struct request *r)
{
    r->changes_watches = true;
    session->n_watch_changes++;
}

void session_forget(struct session *session)
{
    struct request *r;
    queue_drop(session);
    if (session->first == NULL) {
        watch_forget(session);
    }
    r = session_reply_scratch(session);
    if (r != NULL && is_watching(session)) {
        mark_change(session, r);
    }
}

void session_transaction_emitted(struct session *session,
                                 const struct request *r)
{
    if (r->changes_watches) {
        session->n_watch_changes--;
        if (r->command == NULL || r->command->code != COMMAND_CODE_WATCH) {
            watch_forget(session);
        }
    }
}

/* ---- EXEC ---- */

/* watches has to outlive what is made of it. */
static void describe(const struct session *session,
                     const struct command_queue *q, struct buffer *watches,
                     struct transaction *t)
{
    memset(t, 0, sizeof *t);
    watch_put(session, t, watches);
    t->n_commands = q->n;
    t->argc_max = q->argc_max;
    t->writes = q->writes;
    t->commands.data = buffer_data(&q->commands);
    t->commands.size = buffer_size(&q->commands);
}

int session_exec_start(struct session *session, struct request *r)
{
    struct buffer watches;
    struct proposal p;
    int rv;
    buffer_init(&watches);
    memset(&p, 0, sizeof p);
    p.kind = PROPOSAL_TRANSACTION;
    describe(session, r->queue, &watches, &p.transaction);
    rv = watches.failed ? ERR_NOMEM : forward_add(session->service, r, &p);
    buffer_close(&watches);
    if (rv != ERR_AGAIN) {
        command_queue_free(r->queue);
        r->queue = NULL;
    }
    return rv;
}

void session_exec_begin(struct session *session, struct request *r)
{
    if (session->n_watches > 0) {
        request_ask(r);
    } else {
        r->state = REQUEST_READY; /* given up, or broken: nothing to ask */
        request_untime(r);
    }
}

bool session_exec_confirmed(struct session *session, struct request *r)
{
    int rv;
    if (session->watch_broken) {
        resp_null_array(&r->reply);
        request_done(r);
        return true;
    }
    rv = session_exec_start(session, r);
    if (rv == ERR_AGAIN) {
        return false; /* comes again when there are ids */
    }
    if (rv != 0) {
        request_error(r, "ERR the write was not taken: %s", err_text(rv));
        return true;
    }
    r->state = REQUEST_WRITING;
    session->wrote = true;
    request_time(r);
    return true;
}

void session_exec_read(struct session *session, const struct request *r,
                       struct command_env *env, struct buffer *reply)
{
    struct transaction t;
    struct buffer watches;
    struct bytes *argv;
    assert(!r->queue->writes);
    if (session->watch_broken) {
        resp_null_array(reply);
        return;
    }
    buffer_init(&watches);
    describe(session, r->queue, &watches, &t);
    argv = malloc((t.argc_max + 1) * sizeof *argv);
    if (argv == NULL || watches.failed) {
        resp_error(reply, "ERR out of memory");
    } else {
        transaction_run(&t, env, argv, reply);
        env->n_steps += (uint64_t)t.n_commands * SERVICE_ARGUMENT_STEPS;
    }
    free(argv);
    buffer_close(&watches);
}

static void submit_exec(struct session *session, const struct command *command)
{
    struct command_queue *q = session->queue;
    enum request_kind kind = q->writes ? REQUEST_WRITE : REQUEST_READ;
    struct request *r = request_new(session, command, false, 0, NULL);
    if (r == NULL) {
        return;
    }
    session->queue = NULL;
    r->queue = q;
    q->service->transaction_bytes -= q->counted;
    request_count(r, q->counted);
    q->counted = 0;
    if (is_watching(session)) {
        mark_change(session, r);
        kind = q->writes ? REQUEST_LATER : kind;
    }
    session_begin_later(session, r, kind);
}

/* ---- what comes in ---- */

static void submit_watch(struct session *session, const struct command *command,
                         uint32_t argc, const struct bytes *argv)
{
    struct request *r = request_new(session, command, true, argc, argv);
    if (r != NULL) {
        mark_change(session, r);
        session_begin_later(session, r, REQUEST_READ);
    }
}

static void exec(struct session *session, const struct command *command)
{
    struct buffer *reply = &session->service->scratch;
    if (session->queue == NULL) {
        resp_error(reply, "ERR EXEC without MULTI");
        (void)session_reply_scratch(session);
    } else if (session->queue->aborted) {
        resp_error(reply, "EXECABORT Transaction discarded because of previous "
                          "errors.");
        session_forget(session);
    } else {
        submit_exec(session, command);
    }
}

void session_transaction(struct session *session, const struct command *command,
                         uint32_t argc, const struct bytes *argv)
{
    struct buffer *reply = &session->service->scratch;
    bool open = session->queue != NULL;
    switch (command->code) {
    case COMMAND_CODE_EXEC:
        exec(session, command);
        return;
    case COMMAND_CODE_DISCARD:
    case COMMAND_CODE_UNWATCH:
        if (open || command->code == COMMAND_CODE_UNWATCH) {
            resp_simple(reply, "OK");
            session_forget(session);
            return;
        }
        resp_error(reply, "ERR DISCARD without MULTI");
        break;
    case COMMAND_CODE_WATCH:
        if (!open) {
            submit_watch(session, command, argc, argv);
            return;
        }
        resp_error(reply, "ERR WATCH inside MULTI is not allowed");
        break;
    default:
        if (open) {
            resp_error(reply, "ERR MULTI calls can not be nested");
        } else if (queue_open(session)) {
            resp_simple(reply, "OK");
        } else {
            resp_error(reply, "ERR out of memory");
        }
        break;
    }
    (void)session_reply_scratch(session);
}

void session_refused(struct session *session, struct bytes name)
{
    if (session->queue != NULL && command_is(name, "EXEC")) {
        session_forget(session);
        return;
    }
    queue_abort(session);
    (void)session_reply_scratch(session);
}

bool session_takes_for_queue(const struct session *session,
                             const struct command *command)
{
    if (session->queue == NULL || command->code == COMMAND_CODE_QUIT ||
        command->code == COMMAND_CODE_RESET) {
        return false;
    }
    return (command->flags & COMMAND_TRANSACTION) == 0 ||
           command->code == COMMAND_CODE_UNWATCH;
}

void session_transaction_close(struct session *session)
{
    queue_drop(session);
    watch_forget(session);
}
