/* What a client has sent, on its way into its session: answered, refused,
 * queued by MULTI, or a request that session_advance.c begins. */
#include "node/service_private.h"

#include <assert.h>

#include "node/key_slot.h"
#include "node/resp.h"

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
        session_told(session);
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

/* It is begun when its turn comes. */
static void line_up(struct session *session, struct request *r,
                    enum request_kind kind)
{
    r->kind = kind;
    r->resp3 = session->resp3;
    if (session->unstarted == NULL) {
        session->unstarted = r;
    }
    session_activate(session);
}

void session_begin_later(struct session *session, struct request *r,
                         enum request_kind kind)
{
    struct service *s = session->service;
    request_time(r);
    if (kind == REQUEST_READ) {
        s->stats.n_reads++;
    } else {
        s->stats.n_writes++;
    }
    line_up(session, r, kind);
}

static void submit_in_line(struct session *session,
                           const struct command *command,
                           enum request_kind kind, uint32_t argc,
                           const struct bytes *argv)
{
    struct request *r = request_new(session, command, true, argc, argv);
    if (r != NULL) {
        line_up(session, r, kind);
    }
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
        (void)session_run_command(s, command, argc, argv, 0, session->resp3,
                                  &s->scratch);
        if (session->resp3) {
            resp3_convert(&s->scratch, 0);
        }
    } else {
        /* What it tells of the node is to include what was sent before it. */
        submit_in_line(session, command,
                       command->code == COMMAND_CODE_CLUSTER &&
                               command_is(argv[1], "COUNTKEYSINSLOT")
                           ? REQUEST_LATER
                           : REQUEST_LOCAL,
                       argc, argv);
        return;
    }
    (void)session_reply_scratch(session);
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
    bool write = command_writes(command, argc);
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
        started = session_start(session, r, argc, argv);
        assert(started);
        (void)started;
        return;
    }
    r->readonly = session->readonly;
    session_begin_later(session, r, write ? REQUEST_WRITE : REQUEST_READ);
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
    /* A limit of this node may be below that of the store. */
    if (command != NULL && s->options.key_bytes_max < STORE_KEY_MAX &&
        !command_keys_fit(command, argc, argv, s->options.key_bytes_max,
                          &s->scratch)) {
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
        submit_in_line(session, command, REQUEST_LATER, argc, argv);
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
