/* A node that may have forgotten what it acknowledged: it gives no vote and
 * asks for none until that is here again.
 *
 * How it comes to that: under a weaker sync policy (raftlog/sync.c) entries are
 * acknowledged before they are durable, and the machine stopped without a clean
 * close. Term and vote are always durable, so no vote is given twice; but a
 * vote also says "my log holds what I acknowledged" (Raft 5.4.1), and that may
 * be untrue. What is missing was acknowledged in `term` (raftlog_report.forgot_
 * term) or before.
 *
 * Happy path: the node raises its term by one when it opens. Who led in the old
 * term steps down at the first answer (and with it goes its belief of what this
 * node holds, from which it could not be moved: it takes a lost entry for a
 * late reject). Another node is elected without our vote, sends its log, and
 * begins it with an entry of its own term. As soon as an entry of a later term
 * than `term` is durable here, everything that was forgotten and can ever have
 * been committed stands before it, and the node counts again. The proof is in
 * REPLICA.md, "A node that forgot".
 *
 * When too many have forgotten for a majority without them (a power cut for the
 * whole cluster): the node asks each voter for the end of its log. An answer
 * that was given in a later term than `term` promises as much as a vote: what
 * its sender has acknowledged so far is in it, and it acknowledges nothing of
 * the old terms any more. With the answers of ALL voters the node knows the
 * best log there is, and may vote for, and be, a candidate whose log is as
 * good. So nothing is lost that any voter still has.
 *
 * The only voter of a cluster has nobody to ask and goes on at once.
 *
 * Failure cases: a voter stays away and the others are no majority without
 * those that forgot: no leader, as with any lost majority. A voter forgets
 * after it has answered: its connection has closed meanwhile, which voids the
 * answer. The node crashes again, with or without power: the log reports the
 * same. */
#include "node/replica_state.h"

#include <string.h>

/* Whether a log that ends with the first pair is at least as good as one that
 * ends with the second (Raft 5.4.1). */
static bool is_as_good(uint64_t index_a, uint64_t term_a, uint64_t index_b,
                       uint64_t term_b)
{
    return term_a > term_b || (term_a == term_b && index_a >= index_b);
}

/* ---- remembering
 * ------------------------------------------------------------*/

static void remember(struct replica *r, const char *why)
{
    int rv = raftlog_remember(r->log);
    if (rv != 0) {
        driver_fatal(r, rv, "cannot note that nothing is forgotten: %s",
                     err_text(rv));
        return;
    }
    r->forgot.active = false;
    replica_trace(r, TRACE_INFO, "remembered term=%llu last=%llu why=%s",
                  (unsigned long long)r->forgot.term,
                  (unsigned long long)raftlog_last_index(r->log), why);
}

int forgot_open(struct replica *r, struct raftlog_report *report,
                bool only_voter)
{
    if (!report->forgot) {
        return 0;
    }
    r->forgot.active = true;
    r->forgot.term = report->forgot_term;
    replica_trace(r, TRACE_WARN,
                  "may_have_forgotten term=%llu last=%llu (the machine stopped "
                  "under a weaker sync policy; no vote until a leader has "
                  "brought this node up to date)",
                  (unsigned long long)r->forgot.term,
                  (unsigned long long)report->last_index);
    if (only_voter) {
        remember(r, "only_voter");
        return 0;
    }
    if (report->current_term > r->forgot.term) {
        return 0;
    }
    report->current_term = r->forgot.term + 1;
    report->voted_for = 0;
    return raftlog_set_hard_state(r->log, report->current_term, 0);
}

void forgot_check(struct replica *r)
{
    uint64_t durable;
    if (!r->forgot.active || r->failed || r->installing) {
        return;
    }
    durable = raftlog_durable_index(r->log);
    if (raftlog_term(r->log, durable) > r->forgot.term) {
        remember(r, "later_term");
    } else if (raftlog_term(r->log, raftlog_persisted_index(r->log)) >
               r->forgot.term) {
        raftlog_force_sync(r->log);
    }
}

/* ---- when too many forgot
 * ---------------------------------------------------*/

/* The best end of a log that a voter has told; false unless all have. */
static bool best_of_all(const struct replica *r, uint64_t *index,
                        uint64_t *term)
{
    *index = 0;
    *term = 0;
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        const struct raft_server *s = &r->raft.configuration.servers[i];
        const struct replica_peer *peer = NULL;
        if (s->role != RAFT_VOTER || s->id == r->options.id) {
            continue;
        }
        for (unsigned k = 0; k < REPLICA_SERVERS_MAX; k++) {
            if (r->peers[k].id == s->id) {
                peer = &r->peers[k];
            }
        }
        if (peer == NULL || peer->told_in_term <= r->forgot.term) {
            return false;
        }
        if (!is_as_good(*index, *term, peer->told_index, peer->told_term)) {
            *index = peer->told_index;
            *term = peer->told_term;
        }
    }
    return true;
}

bool forgot_may_campaign(const struct replica *r)
{
    uint64_t best_index, best_term, index, term;
    if (!r->forgot.active) {
        return true;
    }
    replica_log_end(r, &index, &term);
    return best_of_all(r, &best_index, &best_term) &&
           is_as_good(index, term, best_index, best_term);
}

/* The core refuses a candidate with an empty log and still learns, and tells,
 * the term; only when our own is empty too would it not. */
bool forgot_filter_vote(const struct replica *r, struct raft_request_vote *m)
{
    uint64_t best_index, best_term;
    if (!r->forgot.active || (best_of_all(r, &best_index, &best_term) &&
                              is_as_good(m->last_log_index, m->last_log_term,
                                         best_index, best_term))) {
        return true;
    }
    m->last_log_index = 0;
    m->last_log_term = 0;
    return raftlog_last_index(r->log) > 0;
}

static void send_log_end(struct replica *r, uint64_t to, enum wire_type type)
{
    struct wire_message m;
    struct wire_frame frame;
    memset(&m, 0, sizeof m);
    m.type = type;
    m.as.log_end.term = raft_current_term(&r->raft);
    replica_log_end(r, &m.as.log_end.last_index, &m.as.log_end.last_term);
    wire_encode(&m, &frame);
    outbound_send(r, to, &frame);
}

void forgot_tick(struct replica *r)
{
    forgot_check(r);
    if (!r->forgot.active || replica_leader(r) != 0) {
        return;
    }
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_peer *peer = &r->peers[i];
        if (peer->id != 0 && peer->connected && replica_is_voter(r, peer->id)) {
            send_log_end(r, peer->id, WIRE_LOG_QUESTION);
        }
    }
}

/* Only an answer of a later term helps the one who asks, so without a leader
 * of ours we go to its term: a vote request that nobody grants. */
void forgot_asked(struct replica *r, const struct wire_message *m)
{
    struct raft_message request;
    if (m->as.log_end.term > raft_current_term(&r->raft) &&
        replica_leader(r) == 0 && !r->installing &&
        raftlog_last_index(r->log) > 0) {
        memset(&request, 0, sizeof request);
        request.type = RAFT_REQUEST_VOTE;
        request.server_id = m->from;
        request.server_address = "";
        request.request_vote.term = m->as.log_end.term;
        request.request_vote.candidate_id = m->from;
        driver_receive(r, &request);
    }
    if (!r->failed) {
        send_log_end(r, m->from, WIRE_LOG_ANSWER);
    }
}

void forgot_told(struct replica *r, const struct wire_message *m)
{
    struct replica_peer *peer = replica_find_peer(r, m->from);
    if (peer != NULL && m->as.log_end.term > r->forgot.term) {
        peer->told_in_term = m->as.log_end.term;
        peer->told_index = m->as.log_end.last_index;
        peer->told_term = m->as.log_end.last_term;
    }
}
