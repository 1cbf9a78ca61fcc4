/* CONCORDKV LEADER TRANSFER: leadership handed over because an operator asks.
 *
 * Any node takes the command. One that does not lead passes it to the leader,
 * for the leader's present term. Success needs no message: every node sees who
 * leads in a higher term. The leader answers only when it refuses, or gives
 * up; it serves one transfer at a time.
 *
 * Failure cases:
 * - No leader, or the message can not be sent: tried again until the time
 *   limit, then -CLUSTERDOWN. Nothing was begun.
 * - The message or the refusal is lost: nothing is sent again in a term,
 *   because the transfer may be under way. At the time limit -UNKNOWN says
 *   so.
 * - Another node than the one asked for is elected: an error names it. */
#include "node/service_private.h"

#include <string.h>

#include "node/number.h"
#include "node/resp.h"
#include "raftlog/block.h"

static void refuse(struct operation *o, const char *text)
{
    resp_errorf(&o->request->reply, "ERR %s", text);
    operation_done(o);
}

/* A leader of a higher term than that in which it was asked for. */
static void conclude(struct operation *o, uint64_t leader)
{
    const struct transfer *t = &o->as.transfer;
    if (t->target == 0 ? leader != t->asked : leader == t->target) {
        resp_integer(&o->request->reply, (int64_t)leader);
    } else {
        resp_errorf(&o->request->reply,
                    "ERR leadership was not handed over as asked: node %llu "
                    "was elected",
                    (unsigned long long)leader);
    }
    operation_done(o);
}

static void expire(struct operation *o)
{
    const struct transfer *t = &o->as.transfer;
    struct service *s = o->request->service;
    unsigned ms = s->options.request_timeout_ms;
    if (s->drained && t->asked != s->self_id) {
        resp_error(&o->request->reply, "CLUSTERDOWN this node is stopping");
    } else if (t->asked == 0) {
        s->stats.n_clusterdown++;
        resp_errorf(&o->request->reply,
                    "CLUSTERDOWN no leader to be reached for %u ms; try again",
                    ms);
    } else {
        s->stats.n_unknown++;
        resp_errorf(&o->request->reply,
                    "UNKNOWN leadership may or may not move: node %llu was "
                    "asked and no other was seen to lead within %u ms",
                    (unsigned long long)t->asked, ms);
    }
    operation_done(o);
}

/* True: leader has it now, or the operation has ended. */
static bool ask(struct operation *o, uint64_t leader, uint64_t term)
{
    struct transfer *t = &o->as.transfer;
    struct service *s = o->request->service;
    struct wire_message m;
    struct err_info info;
    if (leader == s->self_id) {
        if (replica_transfer(s->replica, t->target, &info) != 0) {
            refuse(o, info.message);
            return true;
        }
        s->transfer_from = s->self_id;
        s->transfer_id = t->id;
    } else {
        memset(&m, 0, sizeof m);
        m.type = WIRE_TRANSFER;
        m.as.transfer.request_id = t->id;
        m.as.transfer.term = term;
        m.as.transfer.target = t->target;
        if (!service_send(s, leader, &m, NULL, 0)) {
            return false;
        }
    }
    t->asked = leader;
    t->term = term;
    operation_due(o, t->deadline_ms);
    return true;
}

static void transfer_poll(struct operation *o)
{
    struct transfer *t = &o->as.transfer;
    struct service *s = o->request->service;
    uint64_t term = replica_term(s->replica);
    uint64_t leader =
        replica_is_leader(s->replica) ? s->self_id : replica_leader(s->replica);
    uint64_t now = service_now_ms(s);
    bool late = s->drained || now >= t->deadline_ms;
    bool moved = t->asked != 0 && term > t->term && leader != 0;
    /* A follower that has only voted in the new term still names the leader
     * of the old one. */
    if (moved && (leader != t->asked || leader == s->self_id || late)) {
        conclude(o, leader);
    } else if (late) {
        expire(o);
    } else if (t->asked == 0 && (leader == 0 || !ask(o, leader, term))) {
        uint64_t again = now + SERVICE_RETRY_MS;
        operation_due(o, again < t->deadline_ms ? again : t->deadline_ms);
    }
}

void transfer_begin(struct request *r, uint32_t argc, const struct bytes *argv)
{
    struct service *s = r->service;
    struct operation *o;
    int64_t target = 0;
    if (argc > 3 && (!number_parse(argv[3], &target) || target < 1)) {
        request_error(r, "ERR node id is not a number from 1");
        return;
    }
    if (operation_new(r, transfer_poll, &o) != 0) {
        request_error(r, "ERR out of memory");
        return;
    }
    o->as.transfer.id = ++s->operation_id;
    o->as.transfer.target = (uint64_t)target;
    o->as.transfer.deadline_ms =
        service_now_ms(s) + s->options.request_timeout_ms;
    transfer_poll(o);
}

/* ---- as leader ---- */

static void send_refusal(struct service *s, uint64_t to, uint64_t id,
                         uint64_t term, const struct err_info *info)
{
    size_t size = strlen(info->message);
    struct wire_message m;
    void *body = block_new(size);
    if (body == NULL) {
        return; /* the other side has a time limit */
    }
    memcpy(body, info->message, size);
    memset(&m, 0, sizeof m);
    m.type = WIRE_TRANSFER_RESULT;
    m.as.transfer.request_id = id;
    m.as.transfer.term = term;
    m.as.transfer.status = info->code;
    (void)service_send(s, to, &m, body, (uint32_t)size);
    block_unref(body);
}

static void receive_transfer(struct service *s, const struct wire_message *m)
{
    uint64_t term = m->as.transfer.term;
    struct err_info info;
    int rv = term == replica_term(s->replica)
                 ? replica_transfer(s->replica, m->as.transfer.target, &info)
                 : err_set(&info, ERR_NOTLEADER, "the term has ended");
    if (rv != 0) {
        send_refusal(s, m->from, m->as.transfer.request_id, term, &info);
        return;
    }
    s->transfer_from = m->from;
    s->transfer_id = m->as.transfer.request_id;
}

/* ---- answers ---- */

static void receive_refusal(struct service *s, uint64_t id, uint64_t term,
                            int status, struct bytes text)
{
    char words[ERR_MESSAGE_MAX];
    struct operation *o = s->operations;
    while (o != NULL && (o->poll != transfer_poll || o->as.transfer.id != id)) {
        o = o->next;
    }
    if (o == NULL || o->as.transfer.asked == 0 || o->as.transfer.term != term) {
        return;
    }
    if (status == ERR_NOTLEADER) {
        /* It did not lead any more: whoever does is asked. */
        o->as.transfer.asked = 0;
        operation_due(o, service_now_ms(s) + SERVICE_RETRY_MS);
        return;
    }
    refuse(o, err_escape(words, sizeof words, text.data, text.size));
}

void transfer_message(struct service *s, const struct wire_message *m)
{
    if (s->replica == NULL || s->stopping) {
        return;
    }
    if (m->type == WIRE_TRANSFER) {
        receive_transfer(s, m);
    } else if (m->as.transfer.status != 0) {
        receive_refusal(s, m->as.transfer.request_id, m->as.transfer.term,
                        m->as.transfer.status, m->as.transfer.text);
    }
}

void transfer_ended(struct service *s, bool done)
{
    uint64_t term = replica_term(s->replica);
    struct err_info info;
    if (!done && s->transfer_from != 0) {
        err_set(&info, ERR_AGAIN,
                "leadership was not handed over in time; node %llu still "
                "leads",
                (unsigned long long)s->self_id);
        if (s->transfer_from == s->self_id) {
            struct bytes text = {(const uint8_t *)info.message,
                                 strlen(info.message)};
            receive_refusal(s, s->transfer_id, term, ERR_AGAIN, text);
        } else {
            send_refusal(s, s->transfer_from, s->transfer_id, term, &info);
        }
    }
    s->transfer_from = 0;
}
