/* Writes that other nodes have forwarded, when we lead: proposed once, in the
 * order of their ids. What the origin does, and why none is executed twice, is
 * told in forward.c. */
#include "node/service_private.h"

#include <string.h>

#include "raftlog/block.h"

/* The node that waits for this entry need not wait until it knows of the
 * commit. A result that is lost costs only that. */
void forward_tell(struct service *s, uint64_t term, const struct proposal *p,
                  const struct buffer *reply)
{
    size_t size = buffer_size(reply);
    void *body;
    if (!replica_is_leader(s->replica) || size > FORWARD_REPLY_MAX) {
        return;
    }
    body = block_new(size);
    if (body == NULL) {
        return;
    }
    if (size > 0) {
        memcpy(body, buffer_data(reply), size);
    }
    (void)forward_send(s, p->origin, WIRE_FORWARD_RESULT, p->request_id, term,
                       0, body, (uint32_t)size);
    block_unref(body);
}

/* The memory of a node, reset when the term or the node's boot is another. */
static struct origin *origin_of(struct service *s, uint64_t node, uint64_t term,
                                uint64_t epoch)
{
    struct origin *o = NULL;
    for (unsigned i = 0; i < FORWARD_ORIGINS_MAX && o == NULL; i++) {
        if (s->origins[i].id == node) {
            o = &s->origins[i];
        }
    }
    for (unsigned i = 0; i < FORWARD_ORIGINS_MAX && o == NULL; i++) {
        if (s->origins[i].id == 0 || s->origins[i].term != term) {
            o = &s->origins[i];
        }
    }
    if (o != NULL && (o->id != node || o->term != term || o->epoch != epoch)) {
        memset(o, 0, sizeof *o);
        o->id = node;
        o->term = term;
        o->epoch = epoch;
    }
    return o;
}

/* Copy, check, stamp and propose a forwarded payload. */
static int propose_forwarded(struct service *s, const struct wire_message *m)
{
    struct bytes body = m->as.forward.body;
    struct proposal p;
    void *payload;
    bool valid;
    int rv;

    if (body.size > FORWARD_PAYLOAD_MAX) {
        return ERR_TOOBIG;
    }
    rv = proposal_decode(body.data, body.size, &p);
    if (rv != 0) {
        return rv == ERR_NOMEM ? ERR_BUSY : ERR_INVALID;
    }
    valid = p.kind != PROPOSAL_SWEEP && p.origin == m->from &&
            p.request_id == m->as.forward.request_id;
    proposal_clear(&p);
    if (!valid) {
        return ERR_INVALID;
    }
    payload = block_new(body.size);
    if (payload == NULL) {
        return ERR_BUSY;
    }
    memcpy(payload, body.data, body.size);
    proposal_set_clock(payload, (uint32_t)body.size,
                       replica_leader_clock(s->replica));
    rv = replica_propose(s->replica, m->as.forward.term, payload,
                         (uint32_t)body.size);
    block_unref(payload);
    return rv == ERR_NOMEM ? ERR_BUSY : rv;
}

void forward_receive(struct service *s, const struct wire_message *m)
{
    uint64_t id = m->as.forward.request_id;
    uint64_t term = m->as.forward.term;
    struct origin *o = NULL;
    int rv = ERR_NOTLEADER;

    if (replica_is_leader(s->replica) && term == replica_term(s->replica)) {
        o = origin_of(s, m->from, term, forward_epoch(id));
        rv = o == NULL ? ERR_BUSY : 0;
    }
    if (o != NULL && o->seen && id <= o->last) {
        return; /* sent again after a reconnect; its entry will answer it */
    }
    if (o != NULL && o->gated && id > o->gate) {
        /* It was sent before the origin knew of the refusal. */
        o->gate = id;
        rv = o->gate_status;
    } else if (o != NULL) {
        /* A new write, or a repetition: the origin has started again at the
         * lowest one that was refused and that it has not given up. */
        rv = propose_forwarded(s, m);
        /* What is refused for good does not come again: nothing waits. */
        o->gated = rv != 0 && !forward_is_final(rv);
        o->gate = id;
        o->gate_status = rv;
        if (rv == 0 || (forward_is_final(rv) && rv != ERR_INVALID)) {
            /* The origin may have told its client already: a repetition must
             * not be executed, whatever has changed here. What is invalid
             * stays so, and its id may be anything. */
            o->last = id;
            o->seen = true;
        }
    }
    if (rv != 0) {
        s->stats.n_refused++;
        (void)forward_send(s, m->from, WIRE_FORWARD_RESULT, id, term, rv, NULL,
                           0);
    }
}
