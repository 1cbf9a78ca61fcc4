/* The requests of a session in program order, replies in the order of requests.
 *
 * Requests stand in one list. Behind `unstarted` none has been begun. Reads
 * begin together until a write comes, writes together until a read comes; what
 * depends on neither (PING, errors) has its reply at once and only waits for
 * its turn to leave.
 *
 * A read has its own ticket of the read barrier (request.c), taken after the
 * request came in; with the ticket it may run at any later moment, and it runs
 * when it is the first of its session, so a reply goes straight into the
 * output and the reads of a session never go back in time.
 *
 * Failure cases:
 * - The owner does not take output: reads wait with it, and session_ready is
 *   false, so a session holds a bounded amount.
 * - The client goes: what the ring or the barrier still points to lives on
 *   without a session and is freed by them. */
#include "node/service_private.h"

#include <string.h>

#include "node/resp.h"

/* ---- carrying out ---- */

/* clock_ms: the leader's, for a read. */
static void make_env(struct service *s, uint64_t clock_ms,
                     struct command_env *env)
{
    memset(env, 0, sizeof *env);
    if (s->replica != NULL) {
        env->store = replica_store(s->replica);
        env->now_ms = replica_clock(s->replica);
    }
    env->cursors = s->cursors;
    env->leader_ms = clock_ms;
    env->reply_max = s->options.reply_bytes_max;
}

bool session_run_command(struct service *s, const struct command *command,
                         uint32_t argc, const struct bytes *argv,
                         uint64_t clock_ms, bool resp3, struct buffer *reply)
{
    struct command_env env;
    make_env(s, clock_ms, &env);
    if ((command->flags & COMMAND_LOCAL) != 0) {
        env.now_ms = s->io.clock_ms(s->io.ctx);
    }
    env.resp3 = resp3;
    if (command->code == COMMAND_CODE_RANDOMKEY) {
        env.random = s->io.random(s->io.ctx);
    }
    command->run(&env, argc, argv, reply);
    s->turn_steps += env.n_steps;
    return !env.due;
}

/* A read whose turn has come. False: as session_run_command. */
static bool run_read(struct session *session, struct request *r)
{
    struct service *s = session->service;
    struct command_env env;
    if ((r->command->flags & COMMAND_TRANSACTION) == 0) {
        return session_run_command(s, r->command, r->argc, r->argv, r->clock_ms,
                                   r->resp3, &session->output);
    }
    make_env(s, r->clock_ms, &env);
    if (r->command->code == COMMAND_CODE_WATCH) {
        watch_keys(session, &env, r->argc, r->argv, &session->output);
    } else {
        env.random = s->io.random(s->io.ctx);
        session_exec_read(session, r, &env, &session->output);
    }
    s->turn_steps += env.n_steps;
    return !env.due;
}

/* Replies that are texts for people have a type of their own in version 3. */
static bool is_text(const struct request *r)
{
    if (r->kind != REQUEST_LOCAL || r->command == NULL) {
        return false;
    }
    return r->command->code == COMMAND_CODE_INFO ||
           (r->command->code == COMMAND_CODE_CLUSTER &&
            (command_is(r->argv[1], "INFO") ||
             command_is(r->argv[1], "NODES")));
}

/* Bytes behind `from` are a reply as all nodes write it, for this client. */
static void speak(const struct request *r, struct buffer *reply, size_t from)
{
    if (!r->resp3) {
        return;
    }
    if (is_text(r)) {
        resp3_convert_text(reply, from);
    } else if (r->kind == REQUEST_LOCAL && r->command != NULL &&
               r->command->code == COMMAND_CODE_CONFIG &&
               command_is(r->argv[1], "GET")) {
        resp3_convert_map(reply, from);
    } else {
        resp3_convert(reply, from);
    }
}

/* ---- advancing ---- */

static int start_write(struct session *session, struct request *r,
                       uint32_t argc, const struct bytes *argv)
{
    struct proposal p;
    if (r->queue != NULL) {
        return session_exec_start(session, r);
    }
    memset(&p, 0, sizeof p);
    p.kind = PROPOSAL_COMMAND;
    p.code = r->command->code;
    p.argc = argc;
    p.argv = (struct bytes *)(uintptr_t)argv; /* not changed */
    return forward_add(session->service, r, &p);
}

/* Every confirmed read tells how old the store can be at most; a leader has no
 * reason to be older than now. No other clock than this node's own counts. */
static bool may_be_stale(const struct request *r)
{
    const struct service *s = r->service;
    return r->readonly && s->fresh && !replica_is_leader(s->replica) &&
           service_now_ms(s) - s->fresh_ms < s->options.stale_read_max_ms;
}

bool session_start(struct session *session, struct request *r, uint32_t argc,
                   const struct bytes *argv)
{
    struct service *s = session->service;
    int rv;
    if (s->replica == NULL || s->stopping) {
        return false;
    }
    if (r->kind == REQUEST_READ) {
        if (session->n_writes > 0) {
            return false;
        }
        session->n_reads++;
        if (may_be_stale(r)) {
            r->state = REQUEST_READY;
            /* What had expired then is not shown: it asks instead. */
            r->clock_ms = s->fresh_clock_ms;
            request_untime(r);
            s->stats.n_stale++;
        } else {
            request_ask(r);
        }
        return true;
    }
    if (session->n_reads > 0) {
        return false;
    }
    rv = start_write(session, r, argc, argv);
    if (rv == ERR_AGAIN) {
        return false;
    }
    if (rv != 0) {
        request_error(r, "ERR the write was not taken: %s", err_text(rv));
    } else {
        session->n_writes++;
        r->state = REQUEST_WRITING;
    }
    return true;
}

static bool start_more(struct session *session)
{
    bool progress = false;
    struct request *r;
    while ((r = session->unstarted) != NULL) {
        if (r->kind == REQUEST_LATER && r->state != REQUEST_DONE) {
            break; /* begins when it is the first */
        }
        if (r->state == REQUEST_WAITING && r->kind != REQUEST_LOCAL) {
            if (!session_start(session, r, r->argc, r->argv)) {
                break;
            }
            progress = true;
        }
        session->unstarted = r->next;
    }
    return progress;
}

/* Of a turn, beside what the command itself has counted. */
static void count_work(const struct request *r, size_t reply_bytes)
{
    r->service->turn_steps += SERVICE_ARGUMENT_STEPS * (r->argc + 2) +
                              (r->bytes + reply_bytes) / SERVICE_STEP_BYTES;
}

/* Its turn has come. */
static void begin_later(struct session *session, struct request *r)
{
    switch (r->command->code) {
    case COMMAND_CODE_EXEC:
        session_exec_begin(session, r);
        break;
    case COMMAND_CODE_WAIT:
        wait_begin(r);
        break;
    case COMMAND_CODE_CLUSTER:
        count_begin(r);
        break;
    default:
        operator_begin(r);
        break;
    }
}

static bool has_room(struct session *session)
{
    struct service *s = session->service;
    if (buffer_size(&session->output) < s->options.session_output_max) {
        return true;
    }
    if (!session->stalled) {
        session->stalled = true;
        s->n_stalled++;
    }
    service_arm_retry(s);
    return false;
}

/* The reply of the first request to the end of the output; false: it can not be
 * had now. */
static bool put_reply(struct session *session, struct request *r)
{
    struct service *s = session->service;
    struct buffer *output = &session->output;
    size_t from = buffer_size(output);
    if (r->state == REQUEST_DONE) {
        session->failed |= r->reply.failed;
        buffer_append(output, buffer_data(&r->reply), buffer_size(&r->reply));
        return true;
    }
    if (r->state == REQUEST_READY) {
        if (!has_room(session)) {
            return false;
        }
        if (!run_read(session, r)) {
            buffer_truncate(output, from);
            request_ask_settled(r);
            return false;
        }
        request_end(r);
    } else if (r->kind == REQUEST_LOCAL) {
        s->local(s->local_ctx, session, r->command, r->argc, r->argv, output);
    } else {
        return false;
    }
    count_work(r, buffer_size(output) - from);
    return true;
}

/* The reply of the first request goes out, if it can be had now. */
static bool emit_first(struct session *session)
{
    struct service *s = session->service;
    struct request *r = session->first;
    size_t from = buffer_size(&session->output);
    if (r->kind == REQUEST_LATER && r->state == REQUEST_WAITING) {
        if (s->replica == NULL || s->stopping) {
            return false;
        }
        begin_later(session, r);
    }
    if (r->kind == REQUEST_LATER && r->state == REQUEST_READY &&
        !session_exec_confirmed(session, r)) {
        return false;
    }
    if (!put_reply(session, r)) {
        return false;
    }
    speak(r, &session->output, from);
    session_transaction_emitted(session, r);
    if (session->unstarted == r) {
        session->unstarted = r->next;
    }
    session->first = r->next;
    if (session->first == NULL) {
        session->last = &session->first;
    }
    request_release(r);
    session_told(session);
    return true;
}

void session_advance(struct session *session)
{
    bool progress = true;
    if (session->stalled) {
        session->stalled = false;
        session->service->n_stalled--;
    }
    while (progress) {
        progress = false;
        while (session->first != NULL && emit_first(session)) {
            progress = true;
            if (service_turn_is_over(session->service)) {
                session_activate(session); /* behind the others */
                return;
            }
        }
        if (session->stalled) {
            break;
        }
        progress |= start_more(session);
    }
}
