/* Writes on their way to the leader. Those of other nodes, when we lead, are in
 * forward_leader.c.
 *
 * Every write of this node has the next id and stands in a ring in the order of
 * ids. One place, next_id, divides it: what is below was proposed or forwarded
 * in sent_term, the rest waits. Everything goes out in order, so the place
 * moves back to send again, never around single writes.
 *
 * Happy path: the write is proposed here (we lead) or forwarded, and answered
 * when its entry is applied here, or a little earlier by the leader's result.
 *
 * Failure cases, and why none executes a write twice:
 * - The connection to the leader breaks: all unanswered writes are sent again
 *   in the same term. The leader drops ids it has proposed in this term.
 * - Another term begins: nothing is sent in it while a write may still be
 *   executed from an older one. The first entry of a higher term that is
 *   applied here ends that: terms in a log do not decrease, so what has not
 *   been seen by then is never committed, and everything goes to the new
 *   leader.
 * - The leader refuses a write (busy, not leader, no room): it was not
 *   executed by that sending. The leader then also refuses what follows it
 *   until the origin starts again at or behind the refused one, so nothing is
 *   overtaken. n_out counts sendings that were not refused; only a write that
 *   has none may be said not to be executed.
 * - A snapshot replaces the entries in which the write may have been: its fate
 *   is unknown, and the client is told so.
 * - The origin restarts: its ids have a new high half (the epoch), and the
 *   leader starts its memory of it anew.
 *
 * This relies on the transport: frames of a connection arrive in order and
 * once, and nothing of an old connection arrives after the new one is up. */
#include "node/service_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

enum { RING_SIZE_MIN = 64 };

static void start_epoch(struct service *s)
{
    uint64_t id = s->io.random(s->io.ctx);
    if (forward_epoch(id) == forward_epoch(s->end_id)) {
        id += (uint64_t)1 << 32;
    }
    if ((uint32_t)id == UINT32_MAX) {
        id -= UINT32_MAX;
    }
    s->first_id = s->next_id = s->end_id = id;
}

void forward_init(struct service *s)
{
    start_epoch(s);
    s->window_bytes = FORWARD_WINDOW_MAX;
}

void forward_close(struct service *s)
{
    for (uint64_t id = s->first_id; id != s->end_id; id++) {
        struct write *w = &s->ring[id & (s->ring_size - 1)];
        if (w->request != NULL) {
            block_unref(w->payload);
            request_free(w->request);
        }
    }
    free(s->ring);
}

/* ---- the ring ---- */

static struct write *slot(const struct service *s, uint64_t id)
{
    return &s->ring[id & (s->ring_size - 1)];
}

/* NULL: not here any more, or never was. */
static struct write *find(const struct service *s, uint64_t id)
{
    struct write *w;
    if (id < s->first_id || id >= s->end_id) {
        return NULL;
    }
    w = slot(s, id);
    return w->request == NULL ? NULL : w;
}

static int ring_grow(struct service *s)
{
    uint64_t size = s->ring_size == 0 ? RING_SIZE_MIN : 2 * s->ring_size;
    struct write *ring;
    if (s->end_id - s->first_id < s->ring_size) {
        return 0;
    }
    ring = calloc(size, sizeof *ring);
    if (ring == NULL) {
        return ERR_NOMEM;
    }
    for (uint64_t id = s->first_id; id != s->end_id; id++) {
        ring[id & (size - 1)] = *slot(s, id);
    }
    free(s->ring);
    s->ring = ring;
    s->ring_size = size;
    return 0;
}

/* Everything from id on has to be sent (again). */
static void send_from(struct service *s, uint64_t id)
{
    for (uint64_t i = id; i < s->next_id; i++) {
        struct write *w = slot(s, i);
        if (w->request != NULL) {
            s->sent_bytes -= w->size;
        }
    }
    if (id < s->next_id) {
        s->next_id = id;
    }
}

/* Take the write out and give its request. */
static struct request *take(struct service *s, uint64_t id)
{
    struct write *w = slot(s, id);
    struct request *request = w->request;
    if (w->n_out > 0) {
        s->n_live--;
    }
    if (id < s->next_id) {
        s->sent_bytes -= w->size;
    }
    block_unref(w->payload);
    memset(w, 0, sizeof *w);
    while (s->first_id != s->end_id && slot(s, s->first_id)->request == NULL) {
        s->first_id++;
    }
    if (s->next_id < s->first_id) {
        s->next_id = s->first_id;
    }
    return request;
}

bool forward_has_ids(const struct service *s)
{
    return (uint32_t)s->end_id != UINT32_MAX || s->first_id == s->end_id;
}

int forward_add(struct service *s, struct request *request, struct proposal *p)
{
    struct write *w;
    void *payload;
    uint32_t size;
    int rv;

    if (!forward_has_ids(s)) {
        /* Ids of two epochs must not be on their way together: the leader
         * could not tell a repetition from a restart of ours. */
        s->id_wait = true;
        return ERR_AGAIN;
    }
    if ((uint32_t)s->end_id == UINT32_MAX) {
        start_epoch(s);
    }
    rv = ring_grow(s);
    if (rv != 0) {
        return rv;
    }
    p->origin = s->self_id;
    p->request_id = s->end_id;
    payload = proposal_encode(p, &size);
    if (payload == NULL) {
        return ERR_NOMEM;
    }
    if (size > FORWARD_PAYLOAD_MAX) {
        block_unref(payload);
        return ERR_TOOBIG;
    }
    w = slot(s, s->end_id);
    memset(w, 0, sizeof *w);
    w->request = request;
    w->payload = payload;
    w->size = size;
    request->write_id = s->end_id++;
    return 0;
}

bool forward_may_run(const struct service *s, uint64_t id)
{
    const struct write *w = find(s, id);
    return w != NULL && w->n_out > 0;
}

bool forward_remove(struct service *s, uint64_t id)
{
    bool may_run = forward_may_run(s, id);
    assert(find(s, id) != NULL);
    (void)take(s, id);
    return may_run;
}

/* ---- sending ---- */

static void hold(struct service *s)
{
    s->write_hold_ms = service_now_ms(s) + SERVICE_RETRY_MS;
    service_arm_retry(s);
}

/* Answer a write that was refused for good and has not been executed. */
static void refuse_finally(struct service *s, uint64_t id, int status)
{
    struct request *request = take(s, id);
    s->stats.n_refused++;
    if (status == ERR_NOSPACE) {
        request_error(request, "NOSPACE the disk of the leader is full: "
                               "make room there; writes are refused, reads "
                               "work");
    } else {
        request_error(request, "ERR the write was refused: %s",
                      err_text(status));
    }
}

bool forward_is_final(int status)
{
    switch (status) {
    case ERR_NOSPACE:
    case ERR_TOOBIG:
    case ERR_INVALID:
        return true;
    default:
        return false;
    }
}

static void mark_sent(struct service *s, struct write *w)
{
    if (w->n_out++ == 0) {
        s->n_live++;
    }
    w->n_flying++;
    if (w->shared) {
        s->stats.n_retried++;
    }
    w->shared = true;
    s->sent_bytes += w->size;
    s->next_id++;
}

/* Propose the write at next_id here. False: stop sending for now. */
static bool propose_next(struct service *s)
{
    struct write *w = slot(s, s->next_id);
    int rv;
    if (w->shared) {
        /* A queue or a log may still refer to the bytes: the clock must not
         * be written into them. */
        void *copy = block_new(w->size);
        if (copy == NULL) {
            hold(s);
            return false;
        }
        memcpy(copy, w->payload, w->size);
        block_unref(w->payload);
        w->payload = copy;
    }
    proposal_set_clock(w->payload, w->size, replica_leader_clock(s->replica));
    rv = replica_propose(s->replica, s->sent_term, w->payload, w->size);
    if (rv == 0) {
        mark_sent(s, w);
        return true;
    }
    if (forward_is_final(rv) && w->n_out == 0) {
        refuse_finally(s, s->next_id, rv);
        return true;
    }
    hold(s);
    return false;
}

bool forward_send(struct service *s, uint64_t to, enum wire_type type,
                  uint64_t id, uint64_t term, int status, void *body,
                  uint32_t body_size)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = type;
    m.from = s->self_id;
    m.as.forward.request_id = id;
    m.as.forward.term = term;
    m.as.forward.status = status;
    return service_send(s, to, &m, body, body_size);
}

/* Forward the write at next_id. False: stop sending for now. */
static bool forward_next(struct service *s)
{
    struct write *w = slot(s, s->next_id);
    if (s->sent_bytes > 0 && s->sent_bytes + w->size > s->window_bytes) {
        return false; /* goes on when something is answered */
    }
    if (!forward_send(s, s->sent_to, WIRE_FORWARD, s->next_id, s->sent_term, 0,
                      w->payload, w->size)) {
        hold(s);
        return false;
    }
    s->stats.n_forwarded++;
    mark_sent(s, w);
    return true;
}

void forward_dispatch(struct service *s)
{
    bool leading, more = true;
    uint64_t term;
    if (s->replica == NULL || s->stopping || s->next_id == s->end_id) {
        return;
    }
    if (service_now_ms(s) < s->write_hold_ms) {
        service_arm_retry(s);
        return;
    }
    leading = replica_is_leader(s->replica);
    term = replica_term(s->replica);
    if (term != s->sent_term) {
        if (s->n_live > 0) {
            return; /* forward_applied goes on */
        }
        send_from(s, s->first_id);
        s->sent_term = term;
    }
    s->sent_to = leading ? s->self_id : replica_leader(s->replica);
    if (s->sent_to == 0 || (!leading && s->sent_to == s->self_id)) {
        return; /* changed goes on */
    }
    while (more && s->next_id != s->end_id) {
        if (slot(s, s->next_id)->request == NULL) {
            s->next_id++;
        } else {
            more = leading ? propose_next(s) : forward_next(s);
        }
    }
}

/* ---- answers ---- */

static void answer(struct service *s, uint64_t id, const void *reply,
                   size_t size)
{
    uint64_t bytes = slot(s, id)->size;
    struct request *request = take(s, id);
    if (s->window_bytes < FORWARD_WINDOW_MAX) {
        s->window_bytes += bytes;
    }
    if (size > 0) {
        buffer_append(&request->reply, reply, size);
    }
    request_done(request);
}

/* No write of sent_term that is still here will ever be executed. */
static void forget_term(struct service *s)
{
    for (uint64_t id = s->first_id; id != s->end_id; id++) {
        slot(s, id)->n_out = 0;
        slot(s, id)->n_flying = 0;
    }
    s->n_live = 0;
    s->write_hold_ms = 0;
    send_from(s, s->first_id);
}

void forward_applied(struct service *s, uint64_t term, const struct proposal *p,
                     const struct buffer *reply)
{
    if (p != NULL && p->origin != s->self_id) {
        forward_tell(s, term, p, reply);
    } else if (p != NULL && find(s, p->request_id) != NULL) {
        answer(s, p->request_id, buffer_data(reply), buffer_size(reply));
    }
    if (term > s->applied_term) {
        s->applied_term = term;
        if (term > s->sent_term && s->n_live > 0) {
            forget_term(s);
        }
    }
}

void forward_jumped(struct service *s, uint64_t term)
{
    uint64_t id = s->first_id;
    if (term > s->applied_term) {
        s->applied_term = term;
    }
    if (s->sent_term > term) {
        return;
    }
    while (id != s->end_id) {
        struct write *w = slot(s, id);
        if (w->request != NULL && w->n_out > 0) {
            struct request *request = take(s, id);
            s->stats.n_unknown++;
            request_error(request, "UNKNOWN the write may or may not have been "
                                   "applied: this node fell behind and took "
                                   "over a snapshot");
        }
        id++;
    }
    s->write_hold_ms = 0;
    send_from(s, s->first_id);
}

void forward_peer(struct service *s, uint64_t id)
{
    if (id != s->sent_to || id == s->self_id) {
        return;
    }
    for (uint64_t i = s->first_id; i != s->end_id; i++) {
        slot(s, i)->n_flying = 0;
    }
    s->write_hold_ms = 0;
    send_from(s, s->first_id);
}

static void receive_refusal(struct service *s, const struct wire_message *m)
{
    uint64_t id = m->as.forward.request_id;
    struct write *w = find(s, id);
    int status = m->as.forward.status;
    if (w == NULL || w->n_out == 0 || m->as.forward.term != s->sent_term) {
        return;
    }
    if (w->n_flying > 0) {
        w->n_flying--;
    }
    if (--w->n_out == 0) {
        s->n_live--;
        if (forward_is_final(status)) {
            refuse_finally(s, id, status);
            return;
        }
    }
    /* With another sending on its way this is the late answer to an older one:
     * starting again here would overtake what was sent again before it and is
     * refused too. */
    if (w->n_flying == 0 && id < s->next_id) {
        /* What was sent behind it is refused as well, see receive_forward. */
        send_from(s, id);
        s->window_bytes /= 2;
        if (s->window_bytes < FORWARD_WINDOW_MIN) {
            s->window_bytes = FORWARD_WINDOW_MIN;
        }
        hold(s);
    }
}

static void receive_result(struct service *s, const struct wire_message *m)
{
    uint64_t id = m->as.forward.request_id;
    if (m->as.forward.status != 0) {
        receive_refusal(s, m);
    } else if (find(s, id) != NULL) {
        answer(s, id, m->as.forward.body.data, m->as.forward.body.size);
    }
}

void forward_message(struct service *s, const struct wire_message *m)
{
    if (s->replica == NULL || s->stopping) {
        return;
    }
    if (m->type == WIRE_FORWARD) {
        forward_receive(s, m);
    } else if (m->type == WIRE_FORWARD_RESULT) {
        receive_result(s, m);
    }
}
