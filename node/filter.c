/* What may go into the core: the checks that depend on this node's state, and
 * the rewrites that keep known defects of the core from being reached.
 *
 * wire.c has checked what the bytes alone tell. The numbers refer to
 * C-RAFT.md: section 2 (preconditions), B1.. (defects). A message that fails is
 * dropped as if the network had lost it, which Raft allows at any time. */
#include "node/replica_state.h"

#include <string.h>

/* 2.5, B3, B4: entries that are committed here are not looked at again. The
 * core takes compacted entries for missing ones and would append them at the
 * end, and it lets the commit index go back. What is committed here is in the
 * log of every leader of the present or a later term (Leader Completeness), so
 * the message may be shortened to begin behind it. Unless all voters have lost
 * it in power cuts under a weaker sync policy and this node, which has no vote,
 * has not: then the leader's entry is another one, and what was applied here
 * can not be taken back. False: that is so, and the node has ended. */
static bool rewrite_committed(struct replica *r, struct raft_append_entries *ae)
{
    uint64_t commit = r->commit;
    uint64_t skip;
    uint64_t term;
    if (ae->prev_log_index >= commit) {
        return true;
    }
    term = raftlog_term(r->log, commit);
    if (term == 0) {
        return true;
    }
    skip = commit - ae->prev_log_index;
    if (skip > ae->n_entries) {
        skip = ae->n_entries;
    } else if (ae->entries[skip - 1].term != term) {
        driver_contradicted(r);
        return false;
    }
    ae->n_entries -= (unsigned)skip;
    if (ae->n_entries > 0) {
        memmove(ae->entries, ae->entries + skip,
                ae->n_entries * sizeof *ae->entries);
    }
    ae->prev_log_index = commit;
    ae->prev_log_term = term;
    return true;
}

static bool filter_append_entries(struct replica *r,
                                  struct raft_append_entries *ae)
{
    size_t bytes = 0;
    if (ae->term < raft_current_term(&r->raft)) {
        return true; /* the core answers with our term */
    }
    if (ae->term == raft_current_term(&r->raft) &&
        raft_state(&r->raft) == RAFT_LEADER) {
        /* 2.2: two leaders in one term. The core would write a follower's
         * fields over the leader's. */
        replica_trace(r, TRACE_ERROR, "second_leader term=%llu",
                      (unsigned long long)ae->term);
        return false;
    }
    if (r->installing) {
        return true;
    }
    if (!rewrite_committed(r, ae)) {
        return false;
    }
    for (unsigned i = 0; i < ae->n_entries; i++) {
        bytes += ae->entries[i].buf.len + 64;
    }
    if (ae->n_entries > 0 && !raftlog_has_room(r->log, bytes)) {
        /* Full disk: entries are sent again, heartbeats still count. */
        ae->n_entries = 0;
    }
    return true;
}

/* 2.6, B15: in the probe state the core takes a late reject of something that
 * matches for news and then never sends entries again. */
static bool filter_append_result(struct replica *r, uint64_t from,
                                 const struct raft_append_entries_result *res)
{
    raft_index match;
    if (raft_state(&r->raft) != RAFT_LEADER) {
        /* A higher term must still reach a candidate. */
        return res->term > raft_current_term(&r->raft);
    }
    if (res->term == raft_current_term(&r->raft) && res->rejected > 0 &&
        raft_match_index(&r->raft, from, &match) == 0 &&
        res->rejected <= match) {
        return false;
    }
    return true;
}

/* 2.7: the core reads candidate fields in any state. */
static bool filter_vote_result(struct replica *r,
                               const struct raft_request_vote_result *res)
{
    uint64_t term = raft_current_term(&r->raft);
    if (raft_state(&r->raft) != RAFT_CANDIDATE) {
        return false;
    }
    if (res->pre_vote && res->vote_granted && res->term > term + 1) {
        return false;
    }
    return true;
}

/* B12: a follower refuses votes as long as it has a leader, and it forgets its
 * leader only when its own timer has run out. A leader unheard of for the
 * minimum election timeout is none (Raft thesis 4.2.3 asks no more), nor is
 * one that a majority has lost. */
void filter_silent_leader(struct replica *r)
{
    struct raft *raft = &r->raft;
    if (raft->state == RAFT_FOLLOWER &&
        raft->follower_state.current_leader.id != 0 &&
        (replica_now(r) - raft->election_timer_start >=
             r->options.election_timeout_ms ||
         handover_is_lost(r, raft->follower_state.current_leader.id))) {
        raft->follower_state.current_leader.id = 0;
    }
}

bool filter_message(struct replica *r, struct raft_message *m)
{
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        return filter_append_entries(r, &m->append_entries);
    case RAFT_APPEND_ENTRIES_RESULT:
        return filter_append_result(r, m->server_id, &m->append_entries_result);
    case RAFT_REQUEST_VOTE:
        filter_silent_leader(r);
        return forgot_filter_vote(r, &m->request_vote);
    case RAFT_REQUEST_VOTE_RESULT:
        return filter_vote_result(r, &m->request_vote_result);
    case RAFT_INSTALL_SNAPSHOT:
        /* Stepped by snapshot_fetch.c once the files are here; as a leader
         * of the same term never (2.2). */
        return raft_state(&r->raft) != RAFT_LEADER ||
               m->install_snapshot.term > raft_current_term(&r->raft);
    case RAFT_TIMEOUT_NOW:
        return forgot_may_campaign(r);
    }
    return false;
}

/* B2: a second configuration must not reach the core before it was told that
 * the first is committed, or the first one's event is ignored and a rollback
 * goes too far back. So the part before it is stepped on its own; and if a
 * change is still open below it, the second one in a leader's log proves that
 * the first is committed (a leader starts no change before the last one is). */
void filter_before_change(struct replica *r, const struct raft_message *m)
{
    const struct raft_append_entries *ae = &m->append_entries;
    struct raft_message before = *m;
    uint64_t open;

    if (ae->n_entries == 0 || ae->entries[0].type != RAFT_CHANGE ||
        ae->term < raft_current_term(&r->raft) || r->installing) {
        return;
    }
    before.append_entries.n_entries = 0;
    before.append_entries.entries = NULL;
    driver_receive(r, &before);
    open = r->raft.configuration_uncommitted_index;
    if (!r->failed && open != 0 && open <= ae->prev_log_index &&
        raftlog_term(r->log, ae->prev_log_index) == ae->prev_log_term) {
        apply_deliver_changes(r, open);
    }
}
