/* The service itself: its events, its time limits, and in which order work is
 * settled. Requests are in session_advance.c, writes on their way in forward.c.
 *
 * Every event first changes state (a write is answered, a read confirmed, the
 * leader known), marking the sessions it touches; service_settle then does all
 * that has become possible and calls the owners last of all. So no function
 * here is ever entered again in the middle of its work. */
#include "node/service_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/info.h"

static void set_defaults(struct service_options *o)
{
    if (o->request_timeout_ms == 0) {
        o->request_timeout_ms = 5000;
    }
    if (o->session_pending_max == 0) {
        o->session_pending_max = 16384;
    }
    if (o->session_bytes_max == 0) {
        o->session_bytes_max = 64 * 1024 * 1024;
    }
    if (o->session_output_max == 0) {
        o->session_output_max = o->session_bytes_max;
    }
    if (o->key_bytes_max == 0) {
        o->key_bytes_max = STORE_KEY_MAX;
    }
    if (o->pending_bytes_max == 0) {
        o->pending_bytes_max = 256 * 1024 * 1024;
    }
    if (o->reply_bytes_max == 0) {
        o->reply_bytes_max = 256 * 1024 * 1024;
    }
    if (o->queued_max == 0) {
        o->queued_max = 16384;
    }
    if (o->queued_bytes_max == 0) {
        o->queued_bytes_max = 72 * 1024 * 1024;
    }
    if (o->watched_max == 0) {
        o->watched_max = 1024;
    }
    if (o->transaction_bytes_max == 0) {
        o->transaction_bytes_max = 256 * 1024 * 1024;
    }
}

void service_configure(struct service *s, const struct service_options *o)
{
    s->options = *o;
    set_defaults(&s->options);
    /* The list of time limits stays in order: a lower one holds for those that
     * wait, too. */
    if (s->oldest != NULL) {
        uint64_t latest = service_now_ms(s) + s->options.request_timeout_ms;
        for (struct request *r = s->oldest; r != NULL; r = r->newer) {
            r->deadline_ms = r->deadline_ms < latest ? r->deadline_ms : latest;
        }
    }
}

int service_new(const struct service_options *options,
                const struct replica_io *io, service_local_cb local,
                void *local_ctx, struct service **out)
{
    struct service *s = calloc(1, sizeof *s);
    unsigned n_commands;
    if (s == NULL) {
        return ERR_NOMEM;
    }
    if (cursor_table_new(SERVICE_CURSORS, &s->cursors) != 0) {
        free(s);
        return ERR_NOMEM;
    }
    (void)command_table(&n_commands);
    s->calls = calloc(n_commands, sizeof *s->calls);
    if (s->calls == NULL) {
        cursor_table_free(s->cursors);
        free(s);
        return ERR_NOMEM;
    }
    service_configure(s, options);
    s->io = *io;
    s->local = local;
    s->local_ctx = local_ctx;
    s->active_last = &s->active;
    s->dirty_last = &s->dirty;
    s->retry_ms = UINT64_MAX;
    s->operations_due_ms = UINT64_MAX;
    s->operation_id = io->random(io->ctx);
    s->match_id = io->random(io->ctx) >> 1; /* it is compared by size */
    buffer_init(&s->scratch);
    forward_init(s);
    *out = s;
    return 0;
}

void service_free(struct service *s)
{
    struct request *r;
    if (s == NULL) {
        return;
    }
    assert(s->sessions == NULL);
    forward_close(s);
    while ((r = s->orphans) != NULL) {
        s->orphans = r->newer;
        request_free(r);
    }
    assert(s->n_requests == 0);
    cursor_table_free(s->cursors);
    buffer_close(&s->scratch);
    free(s->calls);
    free(s);
}

void service_attach(struct service *s, struct replica *r)
{
    struct replica_status status;
    replica_status(r, &status);
    s->replica = r;
    s->self_id = status.id;
    for (struct session *at = s->sessions; at != NULL; at = at->next) {
        session_activate(at);
    }
    service_settle(s);
}

uint64_t service_now_ms(const struct service *s)
{
    return s->io.now_ms(s->io.ctx);
}

void service_arm_retry(struct service *s)
{
    if (s->retry_ms == UINT64_MAX) {
        s->retry_ms = service_now_ms(s) + SERVICE_RETRY_MS;
    }
}

bool service_send(struct service *s, uint64_t to, const struct wire_message *m,
                  void *body, uint32_t body_size)
{
    struct wire_frame frame;
    wire_encode(m, &frame);
    frame.body = body;
    frame.body_at = body;
    frame.body_size = body_size;
    return replica_send(s->replica, to, &frame);
}

bool service_turn_is_over(const struct service *s)
{
    return s->turn_steps >= SERVICE_TURN_STEPS;
}

static struct session *pop_active(struct service *s)
{
    struct session *session = s->active;
    if (session != NULL) {
        s->active = session->next_active;
        if (s->active == NULL) {
            s->active_last = &s->active;
        }
        session->active = false;
    }
    return session;
}

static struct session *pop_dirty(struct service *s)
{
    struct session *session = s->dirty;
    if (session != NULL) {
        s->dirty = session->next_dirty;
        if (s->dirty == NULL) {
            s->dirty_last = &s->dirty;
        }
        session->dirty = false;
    }
    return session;
}

void service_settle(struct service *s)
{
    struct session *session;
    do {
        while (!service_turn_is_over(s) && (session = pop_active(s)) != NULL) {
            session_advance(session);
        }
        if (s->id_wait && forward_has_ids(s)) {
            s->id_wait = false;
            for (session = s->sessions; session != NULL;
                 session = session->next) {
                session_activate(session);
            }
        }
        forward_dispatch(s); /* may refuse, and so answer */
    } while (s->active != NULL && !service_turn_is_over(s));
    while ((session = pop_dirty(s)) != NULL) {
        session->output_cb(session->ctx);
    }
}

/* ---- events ---- */

static void on_applied(void *ctx, uint64_t index, uint64_t term,
                       const struct proposal *p, const struct buffer *reply)
{
    struct service *s = ctx;
    (void)index;
    if (s->replica != NULL && !s->stopping) {
        forward_applied(s, term, p, reply);
        service_settle(s);
    }
}

static void on_jumped(void *ctx, uint64_t index, uint64_t term)
{
    struct service *s = ctx;
    (void)index;
    if (s->replica == NULL || s->stopping) {
        return;
    }
    watch_jumped(s);
    forward_jumped(s, term);
    service_settle(s);
}

static void on_changed(void *ctx)
{
    struct service *s = ctx;
    s->write_hold_ms = 0;
    request_retry_all(s);
    operations_poll(s, true);
    service_settle(s);
}

static void on_room(void *ctx)
{
    struct service *s = ctx;
    s->write_hold_ms = 0;
    service_settle(s);
}

static void on_message(void *ctx, const struct wire_message *m,
                       void *payload_block)
{
    struct service *s = ctx;
    (void)payload_block; /* a proposal has to start its block: copied */
    if (m->type == WIRE_TRANSFER || m->type == WIRE_TRANSFER_RESULT) {
        transfer_message(s, m);
    } else if (m->type == WIRE_MATCH || m->type == WIRE_MATCH_RESULT) {
        wait_message(s, m);
    } else {
        forward_message(s, m);
    }
    service_settle(s);
}

static void on_peer(void *ctx, uint64_t id, bool connected)
{
    struct service *s = ctx;
    (void)connected; /* what was lost is known from the first of the two on */
    forward_peer(s, id);
    service_settle(s);
}

static void on_drained(void *ctx)
{
    struct service *s = ctx;
    s->drained = true;
    operations_poll(s, true);
    service_settle(s);
}

static void on_transferred(void *ctx, bool done)
{
    struct service *s = ctx;
    transfer_ended(s, done);
    service_settle(s);
}

void service_events(struct service *s, struct replica_events *out)
{
    memset(out, 0, sizeof *out);
    out->ctx = s;
    out->applied = on_applied;
    out->jumped = on_jumped;
    out->changed = on_changed;
    out->room = on_room;
    out->message = on_message;
    out->peer = on_peer;
    out->drained = on_drained;
    out->transferred = on_transferred;
}

/* ---- time ---- */

uint64_t service_deadline_ms(const struct service *s)
{
    uint64_t deadline = service_turn_is_over(s) ? 0 : s->retry_ms;
    if (s->oldest != NULL && s->oldest->deadline_ms < deadline) {
        deadline = s->oldest->deadline_ms;
    }
    if (s->operations_due_ms < deadline) {
        deadline = s->operations_due_ms;
    }
    return deadline;
}

void service_timer(struct service *s)
{
    uint64_t now = service_now_ms(s);
    s->turn_steps = 0;
    while (s->oldest != NULL && s->oldest->deadline_ms <= now) {
        request_expire(s->oldest);
    }
    if (now >= s->operations_due_ms) {
        operations_poll(s, false);
    }
    if (now >= s->retry_ms) {
        /* What still has to wait arms it again. */
        s->retry_ms = UINT64_MAX;
        request_retry_all(s);
        for (struct session *at = s->sessions; at != NULL && s->n_stalled > 0;
             at = at->next) {
            if (at->stalled) {
                session_activate(at);
            }
        }
    }
    service_settle(s);
}

bool service_drained(const struct service *s)
{
    return s->drained;
}

uint64_t service_pending(const struct service *s)
{
    return s->n_requests;
}

void service_get_stats(const struct service *s, struct service_stats *out)
{
    *out = s->stats;
    out->transaction_bytes = s->transaction_bytes;
    out->n_watching = s->watches.n_sessions;
    out->n_watched = s->watches.n_watches;
}

void service_reset_stats(struct service *s)
{
    struct service_stats old = s->stats;
    unsigned n;
    (void)command_table(&n);
    memset(&s->stats, 0, sizeof s->stats);
    memset(s->calls, 0, n * sizeof *s->calls);
    memset(&s->read_us, 0, sizeof s->read_us);
    memset(&s->write_us, 0, sizeof s->write_us);
    if (s->replica != NULL) {
        replica_reset_stats(s->replica);
    }
    s->stats.n_sessions = old.n_sessions;
    s->stats.pending_bytes = old.pending_bytes;
}

void service_count_call(struct service *s, const struct command *command)
{
    unsigned n;
    s->calls[command - command_table(&n)]++;
}

void service_info(struct service *s, const struct info_process *process,
                  uint32_t argc, const struct bytes *argv, struct buffer *reply)
{
    struct service_stats stats;
    struct replica_status status;
    struct raftlog_stats log;
    struct replica_compaction compaction;
    struct info_facts facts;
    memset(&facts, 0, sizeof facts);
    facts.process = process;
    service_get_stats(s, &stats);
    facts.service = &stats;
    facts.calls = s->calls;
    facts.n_pending = s->n_requests;
    if (s->replica != NULL) {
        struct store *store = replica_store(s->replica);
        replica_status(s->replica, &status);
        replica_log_stats(s->replica, &log);
        facts.status = &status;
        replica_compaction(s->replica, &compaction);
        facts.log = &log;
        facts.latency = replica_log_latency(s->replica);
        facts.compaction = &compaction;
        facts.compactions = replica_compactions(s->replica);
        facts.read_us = &s->read_us;
        facts.write_us = &s->write_us;
        facts.n_keys = store_count(store);
        facts.n_expires = store_n_expires(store);
        facts.mean_ttl_ms = store_mean_ttl(store, replica_clock(s->replica));
        facts.state_hash = store_hash(store);
        facts.store_bytes = store_memory(store);
    }
    info_reply(&facts, argc, argv, reply);
}
