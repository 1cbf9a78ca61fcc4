/* Sessions: their life, the service's lists that they stand in, and what their
 * owner may ask of them. Requests come in by session_submit.c and are carried
 * out by session_advance.c. */
#include "node/service_private.h"

#include <assert.h>
#include <stdlib.h>

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

void session_told(struct session *session)
{
    if (session->output.failed) {
        session->failed = true;
    }
    session_mark_dirty(session);
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
