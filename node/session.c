/* Sessions: requests in program order, replies in the order of requests.
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

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/key_slot.h"
#include "node/resp.h"

/* ---- lists ---- */

void session_activate(struct session *session)
{
    struct service *s = session->service;
    if (!session->active) {
        session->active = true;
        session->next_active = NULL;
        *s->active_last = session;
        s->active_last = &session->next_active;
    }
}

void session_mark_dirty(struct session *session)
{
    struct service *s = session->service;
    if (!session->dirty) {
        session->dirty = true;
        session->next_dirty = NULL;
        *s->dirty_last = session;
        s->dirty_last = &session->next_dirty;
    }
}

static void unlink_active(struct session *session)
{
    struct service *s = session->service;
    struct session **at = &s->active;
    while (*at != session) {
        at = &(*at)->next_active;
    }
    *at = session->next_active;
    if (s->active_last == &session->next_active) {
        s->active_last = at;
    }
}

static void unlink_dirty(struct session *session)
{
    struct service *s = session->service;
    struct session **at = &s->dirty;
    while (*at != session) {
        at = &(*at)->next_dirty;
    }
    *at = session->next_dirty;
    if (s->dirty_last == &session->next_dirty) {
        s->dirty_last = at;
    }
}

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

/* False: the read met a key that is due by clock_ms and not by the store's
 * clock; what it wrote is no reply. */
static bool run_command(struct service *s, const struct command *command,
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
    return !env.due;
}

/* A read whose turn has come. False: as above. */
static bool run_read(struct session *session, struct request *r)
{
    struct service *s = session->service;
    struct command_env env;
    if ((r->command->flags & COMMAND_TRANSACTION) == 0) {
        return run_command(s, r->command, r->argc, r->argv, r->clock_ms,
                           r->resp3, &session->output);
    }
    make_env(s, r->clock_ms, &env);
    if (r->command->code == COMMAND_CODE_WATCH) {
        watch_keys(session, &env, r->argc, r->argv, &session->output);
    } else {
        env.random = s->io.random(s->io.ctx);
        session_exec_read(session, r, &env, &session->output);
    }
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

/* Begin a request; false: it has to wait. */
static bool start(struct session *session, struct request *r, uint32_t argc,
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
            if (!start(session, r, r->argc, r->argv)) {
                break;
            }
            progress = true;
        }
        session->unstarted = r->next;
    }
    return progress;
}

/* Bytes were added to the output. */
static void told(struct session *session)
{
    if (session->output.failed) {
        session->failed = true;
    }
    session_mark_dirty(session);
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
        if (r->command->code == COMMAND_CODE_EXEC) {
            session_exec_begin(session, r);
        } else if (r->command->code == COMMAND_CODE_WAIT) {
            wait_begin(r);
        } else {
            operator_begin(r);
        }
    }
    if (r->kind == REQUEST_LATER && r->state == REQUEST_READY &&
        !session_exec_confirmed(session, r)) {
        return false;
    }
    if (r->state == REQUEST_DONE) {
        if (r->reply.failed) {
            session->failed = true;
        }
        if (buffer_size(&r->reply) > 0) {
            buffer_append(&session->output, buffer_data(&r->reply),
                          buffer_size(&r->reply));
        }
    } else if (r->state == REQUEST_READY) {
        if (buffer_size(&session->output) >= s->options.session_output_max) {
            if (!session->stalled) {
                session->stalled = true;
                s->n_stalled++;
            }
            service_arm_retry(s);
            return false;
        }
        if (!run_read(session, r)) {
            buffer_truncate(&session->output, from);
            request_ask_settled(r);
            return false;
        }
        request_end(r);
    } else if (r->kind == REQUEST_LOCAL) {
        s->local(s->local_ctx, session, r->command, r->argc, r->argv,
                 &session->output);
    } else {
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
    told(session);
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
        }
        if (session->stalled) {
            break;
        }
        progress |= start_more(session);
    }
}

/* ---- the owner's side ---- */

int session_open(struct service *s, session_output_cb output, void *ctx,
                 struct session **out)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        return ERR_NOMEM;
    }
    session->service = s;
    session->output_cb = output;
    session->ctx = ctx;
    buffer_init(&session->output);
    session->last = &session->first;
    session->next = s->sessions;
    if (s->sessions != NULL) {
        s->sessions->previous = session;
    }
    s->sessions = session;
    s->stats.n_sessions++;
    s->stats.n_sessions_total++;
    session->id = ++s->last_session_id;
    session->opened_ms = session->used_ms = service_now_ms(s);
    *out = session;
    return 0;
}

struct request *session_reply_scratch(struct session *session)
{
    struct service *s = session->service;
    const uint8_t *data = buffer_data(&s->scratch);
    size_t size = buffer_size(&s->scratch);
    struct request *r = NULL;
    if (s->scratch.failed) {
        session->failed = true;
        session_mark_dirty(session);
        return NULL;
    }
    if (session->first == NULL) {
        buffer_append(&session->output, data, size);
        told(session);
        return NULL;
    }
    r = request_new(session, NULL, false, 0, NULL);
    if (r != NULL) {
        buffer_append(&r->reply, data, size);
        request_count(r, size);
        r->state = REQUEST_DONE;
    }
    return r;
}

void session_begin_later(struct session *session, struct request *r,
                         enum request_kind kind)
{
    struct service *s = session->service;
    r->kind = kind;
    r->resp3 = session->resp3;
    request_time(r);
    if (kind == REQUEST_READ) {
        s->stats.n_reads++;
    } else {
        s->stats.n_writes++;
    }
    if (session->unstarted == NULL) {
        session->unstarted = r;
    }
    session_activate(session);
}

static void submit_local(struct session *session, const struct command *command,
                         uint32_t argc, const struct bytes *argv)
{
    struct service *s = session->service;
    if (command->code == COMMAND_CODE_QUIT) {
        resp_simple(&s->scratch, "OK");
        session->ending = true;
    } else if (command->code == COMMAND_CODE_HELLO ||
               command->code == COMMAND_CODE_READONLY ||
               command->code == COMMAND_CODE_READWRITE ||
               command->code == COMMAND_CODE_RESET ||
               command->code == COMMAND_CODE_CLIENT) {
        session_client(session, command, argc, argv, &s->scratch);
        if (command->code == COMMAND_CODE_RESET) {
            session_forget(session);
            return;
        }
    } else if (command->run != NULL) {
        (void)run_command(s, command, argc, argv, 0, session->resp3,
                          &s->scratch);
        if (session->resp3) {
            resp3_convert(&s->scratch, 0);
        }
    } else {
        /* What it tells of the node is to include what was sent before it. */
        struct request *r = request_new(session, command, true, argc, argv);
        if (r != NULL) {
            r->kind = REQUEST_LOCAL;
            r->resp3 = session->resp3;
            session_activate(session);
        }
        return;
    }
    (void)session_reply_scratch(session);
}

static void submit_later(struct session *session, const struct command *command,
                         uint32_t argc, const struct bytes *argv)
{
    struct request *r = request_new(session, command, true, argc, argv);
    if (r == NULL) {
        return;
    }
    r->kind = REQUEST_LATER;
    r->resp3 = session->resp3;
    if (session->unstarted == NULL) {
        session->unstarted = r;
    }
    session_activate(session);
}

/* The way to the leader into scratch; false: this node is to carry it out. What
 * has no key is in no slot and is forwarded. */
static bool redirect(struct session *session, const struct command *command,
                     const struct bytes *argv)
{
    struct service *s = session->service;
    uint64_t leader = s->replica != NULL ? replica_leader(s->replica) : 0;
    const char *address = "";
    if (!s->options.redirect || command->first_key == 0 ||
        (s->replica != NULL && replica_is_leader(s->replica)) ||
        (session->readonly && (command->flags & COMMAND_READ) != 0)) {
        return false;
    }
    if (leader != 0 && leader != s->self_id &&
        s->options.client_address != NULL) {
        address = s->options.client_address(s->local_ctx, leader);
    }
    if (address[0] == '\0') {
        s->stats.n_clusterdown++;
        resp_error(&s->scratch, "CLUSTERDOWN Hash slot not served: no leader "
                                "is known; try again");
    } else {
        s->stats.n_moved++;
        resp_errorf(&s->scratch, "MOVED %u %s",
                    key_slot(argv[command->first_key]), address);
    }
    return true;
}

static void submit_queued(struct session *session,
                          const struct command *command, uint32_t argc,
                          const struct bytes *argv)
{
    struct service *s = session->service;
    bool write = (command->flags & COMMAND_WRITE) != 0;
    /* A write that can begin now is encoded from the caller's arguments. */
    bool now = write && session->unstarted == NULL && session->n_reads == 0 &&
               s->replica != NULL && !s->stopping && forward_has_ids(s);
    struct request *r = request_new(session, command, !now, argc, argv);
    if (r == NULL) {
        return;
    }
    if (now) {
        uint64_t size = 0;
        bool started;
        r->kind = REQUEST_WRITE;
        r->resp3 = session->resp3;
        request_time(r);
        s->stats.n_writes++;
        for (uint32_t i = 0; i < argc; i++) {
            size += argv[i].size;
        }
        request_count(r, size);
        started = start(session, r, argc, argv);
        assert(started);
        (void)started;
        return;
    }
    r->readonly = session->readonly;
    session_begin_later(session, r, write ? REQUEST_WRITE : REQUEST_READ);
}

/* A limit of this node below that of the store. False after an error reply. */
static bool check_keys(struct service *s, const struct command *command,
                       uint32_t argc, const struct bytes *argv)
{
    int last = command->last_key >= 0 ? command->last_key
                                      : (int)argc + command->last_key;
    for (int i = command->first_key; i > 0 && i <= last;
         i += command->key_step) {
        if (argv[i].size > s->options.key_bytes_max) {
            resp_errorf(&s->scratch, "ERR key is larger than %" PRIu64 " bytes",
                        s->options.key_bytes_max);
            return false;
        }
    }
    return true;
}

/* A web page can make a browser send a form here, whose body would be commands
 * (cross-protocol scripting): its header ends the connection before. */
static bool is_http(struct bytes name)
{
    return command_is(name, "POST") || command_is(name, "HOST:");
}

bool session_submit(struct session *session, uint32_t argc,
                    const struct bytes *argv)
{
    struct service *s = session->service;
    const struct command *command;
    bool ready;
    if (session->ending || session->failed) {
        return false;
    }
    if (argc == 0) {
        return session_ready(session);
    }
    s->stats.n_commands++;
    buffer_clear(&s->scratch);
    command = session->queue != NULL
                  ? command_check_form(argc, argv, &s->scratch)
                  : command_check(argc, argv, &s->scratch);
    if (command != NULL && s->options.key_bytes_max < STORE_KEY_MAX &&
        !check_keys(s, command, argc, argv)) {
        command = NULL;
    }
    session->used_ms = service_now_ms(s);
    if (command != NULL) {
        session->last_command = command;
        service_count_call(s, command);
    }
    if (command == NULL && is_http(argv[0])) {
        session_fail(session, "ERR Protocol error: this port speaks the Redis "
                              "protocol, not HTTP");
    } else if (command == NULL) {
        session_refused(session, argv[0]);
    } else if (s->stats.pending_bytes >= s->options.pending_bytes_max ||
               session->n_requests >= 2 * s->options.session_pending_max) {
        s->stats.n_refused++;
        resp_error(&s->scratch,
                   command->code == COMMAND_CODE_EXEC
                       ? "EXECABORT Transaction discarded because of: too many "
                         "requests are waiting in this node"
                       : "BUSY too many requests are waiting in this node; try "
                         "again");
        session_refused(session, argv[0]);
    } else if (redirect(session, command, argv)) {
        session_refused(session, argv[0]);
    } else if (session_takes_for_queue(session, command)) {
        session_queue(session, command, argc, argv);
    } else if ((command->flags & COMMAND_TRANSACTION) != 0) {
        session_transaction(session, command, argc, argv);
    } else if (command->code == COMMAND_CODE_CONCORDKV ||
               command->code == COMMAND_CODE_WAIT) {
        submit_later(session, command, argc, argv);
    } else if ((command->flags & COMMAND_LOCAL) != 0) {
        submit_local(session, command, argc, argv);
    } else {
        submit_queued(session, command, argc, argv);
    }
    ready = session_ready(session);
    service_settle(s);
    return ready;
}

void session_fail(struct session *session, const char *error)
{
    struct service *s = session->service;
    if (session->ending) {
        return;
    }
    session->ending = true;
    buffer_clear(&s->scratch);
    resp_error(&s->scratch, error);
    (void)session_reply_scratch(session);
    service_settle(s);
}

void session_end(struct session *session)
{
    session->ending = true;
}

bool session_speaks_resp3(const struct session *session)
{
    return session->first != NULL ? session->first->resp3 : session->resp3;
}

bool session_ready(const struct session *session)
{
    const struct service_options *o = &session->service->options;
    return !session->ending && !session->failed &&
           session->n_requests < o->session_pending_max &&
           session->bytes + buffer_size(&session->output) <
               o->session_bytes_max;
}

bool session_failed(const struct session *session)
{
    return session->failed;
}

bool session_finished(const struct session *session)
{
    return session->failed || (session->ending && session->first == NULL);
}

struct buffer *session_output(struct session *session)
{
    return &session->output;
}

void session_resume(struct session *session)
{
    if (session->stalled) {
        session_activate(session);
        service_settle(session->service);
    }
}

/* The session of r is being closed. */
static void request_drop(struct request *r)
{
    struct service *s = r->service;
    struct session *session = r->session;
    if (r->state == REQUEST_WRITING && forward_may_run(s, r->write_id)) {
        /* Completed and its reply dropped; it keeps its time limit. */
        session->bytes -= r->bytes;
        session->n_requests--;
        r->session = NULL;
        return;
    }
    if (r->state == REQUEST_WRITING) {
        (void)forward_remove(s, r->write_id);
    }
    if (r->operation != NULL) {
        operation_free(r->operation);
    }
    if (r->state != REQUEST_DONE) {
        request_end(r);
    }
    request_release(r);
}

void session_close(struct session *session)
{
    struct service *s = session->service;
    struct request *r = session->first;
    while (r != NULL) {
        struct request *next = r->next;
        r->next = NULL;
        request_drop(r);
        r = next;
    }
    assert(session->bytes == 0 && session->n_requests == 0);
    if (session->stalled) {
        s->n_stalled--;
    }
    if (session->active) {
        unlink_active(session);
    }
    if (session->dirty) {
        unlink_dirty(session);
    }
    if (session->previous != NULL) {
        session->previous->next = session->next;
    } else {
        s->sessions = session->next;
    }
    if (session->next != NULL) {
        session->next->previous = session->previous;
    }
    s->stats.n_sessions--;
    buffer_close(&session->output);
    session_client_close(session);
    session_transaction_close(session);
    free(session);
}
