/* Requests that wait for something else than a read or a write.
 *
 * Such a request begins when it is the first of its session, and what follows
 * it begins when it has its reply, so that a client sees its own program
 * order. Each has an operation: what it waits for, asked whenever something
 * has changed (leader, term, a connection, the end of the node) and when its
 * own time has come. The reply ends the operation; so does the loss of the
 * client. */
#include "node/service_private.h"

#include <stdlib.h>

int operation_new(struct request *r, operation_poll_cb poll,
                  struct operation **out)
{
    struct service *s = r->service;
    struct operation *o = calloc(1, sizeof *o);
    if (o == NULL) {
        return ERR_NOMEM;
    }
    o->request = r;
    o->poll = poll;
    o->due_ms = UINT64_MAX;
    o->next = s->operations;
    if (s->operations != NULL) {
        s->operations->previous = o;
    }
    s->operations = o;
    r->operation = o;
    r->state = REQUEST_OPERATING;
    *out = o;
    return 0;
}

void operation_free(struct operation *o)
{
    struct service *s = o->request->service;
    if (o->previous != NULL) {
        o->previous->next = o->next;
    } else {
        s->operations = o->next;
    }
    if (o->next != NULL) {
        o->next->previous = o->previous;
    }
    if (o->forget != NULL) {
        o->forget(o);
    }
    o->request->operation = NULL;
    free(o);
}

void operation_due(struct operation *o, uint64_t ms)
{
    struct service *s = o->request->service;
    o->due_ms = ms;
    if (ms < s->operations_due_ms) {
        s->operations_due_ms = ms;
    }
}

void operation_done(struct operation *o)
{
    struct request *r = o->request;
    operation_free(o);
    request_done(r);
}

void operations_poll(struct service *s, bool all)
{
    uint64_t now = service_now_ms(s);
    struct operation *next;
    for (struct operation *o = s->operations; o != NULL; o = next) {
        next = o->next;
        if (all || o->due_ms <= now) {
            o->poll(o);
        }
    }
    s->operations_due_ms = UINT64_MAX;
    for (struct operation *o = s->operations; o != NULL; o = o->next) {
        if (o->due_ms < s->operations_due_ms) {
            s->operations_due_ms = o->due_ms;
        }
    }
}
