/* WAIT: until so many other nodes have the session's writes on disk.
 *
 * A write is answered when a majority has it, so WAIT is about the nodes beyond
 * that. Only the leader knows how far each follower's disk is. A node that does
 * not lead asks it, once for all sessions that wait, for the leader's present
 * term, and again after a while as long as one waits. What has to be reached is
 * the leader's commit index after WAIT was begun: it covers every write of the
 * session, because those were answered before. It may cover writes of others,
 * so the answer is never too early. A session that has not written asks who
 * has acknowledged anything at all.
 *
 * The leader itself is not counted, as in Redis. The count never goes down:
 * what is on a disk stays there.
 *
 * Failure cases: no leader, or one that has committed nothing in its term yet:
 * it is asked again. A lost message: asked again. The time limit of the client,
 * or the end of this node: the count so far is the answer. */
#include "node/service_private.h"

#include <string.h>

#include "node/number.h"
#include "node/resp.h"
#include "raftlog/block.h"

enum { MATCH_SIZE = 8 }; /* of a number in the body of a result */

/* ---- how far the others are ---- */

/* An operation learns of a state that is not older than itself. */
static void learn(struct operation *o, uint64_t commit, const uint64_t *match,
                  unsigned n)
{
    struct wait *w = &o->as.wait;
    int64_t n_reached = 0;
    if (w->index == 0) {
        w->index = w->wrote ? commit : 1;
    }
    for (unsigned i = 0; i < n; i++) {
        n_reached += match[i] >= w->index;
    }
    if (n_reached > w->n_reached) {
        w->n_reached = n_reached;
    }
}

static void answer(struct operation *o)
{
    resp_integer(&o->request->reply, o->as.wait.n_reached);
    operation_done(o);
}

/* Ask the leader, unless that was done just now; then this comes again. */
static void ask_leader(struct service *s, uint64_t now)
{
    struct wire_message m;
    uint64_t leader = replica_leader(s->replica);
    if (leader == 0 || leader == s->self_id ||
        now < s->match_asked_ms + WAIT_ASK_MS) {
        return;
    }
    memset(&m, 0, sizeof m);
    m.type = WIRE_MATCH;
    m.as.match.request_id = ++s->match_id;
    m.as.match.term = replica_term(s->replica);
    s->match_asked_ms = now;
    (void)service_send(s, leader, &m, NULL, 0);
}

static void wait_poll(struct operation *o)
{
    struct wait *w = &o->as.wait;
    struct service *s = o->request->service;
    uint64_t match[REPLICA_SERVERS_MAX];
    uint64_t now = service_now_ms(s), again = now + WAIT_POLL_MS;
    uint64_t commit;
    unsigned n;
    if (replica_is_leader(s->replica)) {
        if (replica_match(s->replica, &commit, match, &n) == 0) {
            learn(o, commit, match, n);
        }
    } else {
        ask_leader(s, now);
    }
    if ((w->index != 0 && w->n_reached >= w->n_wanted) ||
        now >= w->deadline_ms || s->drained) {
        answer(o);
        return;
    }
    operation_due(o, again < w->deadline_ms ? again : w->deadline_ms);
}

void wait_begin(struct request *r)
{
    struct service *s = r->service;
    struct operation *o;
    int64_t n_wanted = 0, timeout_ms = 0;
    /* command_check has looked at both. */
    (void)number_parse(r->argv[1], &n_wanted);
    (void)number_parse(r->argv[2], &timeout_ms);
    if (operation_new(r, wait_poll, &o) != 0) {
        request_error(r, "ERR out of memory");
        return;
    }
    o->as.wait.n_wanted = n_wanted;
    o->as.wait.wrote = r->session->wrote;
    o->as.wait.after_id = s->match_id;
    if (timeout_ms == 0 && n_wanted <= 0) {
        timeout_ms = s->options.request_timeout_ms; /* only asks */
    }
    o->as.wait.deadline_ms =
        timeout_ms == 0 ? UINT64_MAX : service_now_ms(s) + (uint64_t)timeout_ms;
    wait_poll(o);
}

/* ---- messages ---- */

static void receive_question(struct service *s, const struct wire_message *q)
{
    uint64_t match[REPLICA_SERVERS_MAX];
    struct wire_message m;
    struct byte_writer w;
    uint64_t commit;
    unsigned n;
    void *body;
    if (q->as.match.term != replica_term(s->replica) ||
        replica_match(s->replica, &commit, match, &n) != 0) {
        return; /* it asks again */
    }
    body = block_new((size_t)n * MATCH_SIZE);
    if (body == NULL) {
        return;
    }
    w = byte_writer(body, (size_t)n * MATCH_SIZE);
    for (unsigned i = 0; i < n; i++) {
        byte_put_u64(&w, match[i]);
    }
    memset(&m, 0, sizeof m);
    m.type = WIRE_MATCH_RESULT;
    m.as.match.request_id = q->as.match.request_id;
    m.as.match.term = q->as.match.term;
    m.as.match.commit = commit;
    (void)service_send(s, q->from, &m, body, n * MATCH_SIZE);
    block_unref(body);
}

static void receive_answer(struct service *s, const struct wire_message *m)
{
    uint64_t match[REPLICA_SERVERS_MAX];
    struct byte_reader r =
        byte_reader(m->as.match.body.data, m->as.match.body.size);
    struct operation *next;
    unsigned n = 0;
    while (n < REPLICA_SERVERS_MAX && byte_left(&r) >= MATCH_SIZE) {
        match[n++] = byte_get_u64(&r);
    }
    for (struct operation *o = s->operations; o != NULL; o = next) {
        struct wait *w = &o->as.wait;
        next = o->next;
        if (o->poll != wait_poll || m->as.match.request_id <= w->after_id) {
            continue;
        }
        learn(o, m->as.match.commit, match, n);
        if (w->n_reached >= w->n_wanted) {
            answer(o);
        }
    }
}

void wait_message(struct service *s, const struct wire_message *m)
{
    if (s->replica == NULL || s->stopping) {
        return;
    }
    if (m->type == WIRE_MATCH) {
        receive_question(s, m);
    } else if (m->as.match.term == replica_term(s->replica)) {
        receive_answer(s, m);
    }
}
