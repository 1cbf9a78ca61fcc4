/* Invariants, checked from outside after every event of a node (PROOF.md).
 *
 * The ledger holds, for each log index that was ever seen committed, its term,
 * what was applied there and the state hash after it. Whatever a node says
 * later must agree with it, over all nodes and lives:
 *   - one leader for each term; one vote for each node and term, also over
 *     crashes (votes are observed on the wire);
 *   - a new leader has every committed entry in its log;
 *   - when an index is first seen committed, a majority has it on disk;
 *   - the commit index, the applied index and the term never go back in a
 *     life; the log is never cut at or below the commit index;
 *   - equal index, equal entry, equal state hash, equal clock; the clock never
 *     goes back, and is none that no leader can have had;
 *   - after a restart nothing is missing that the log had called durable, and
 *     the term is not below one that was sent in a message. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/replica_state.h"
#include "raftlog/internal.h"

enum { VOTES_MAX = 256, SWEPT_WITHIN_MS = 2000 };

/* ---- ledger ---- */

struct sim_ledger_entry *sim_check_entry(struct sim_check *c, uint64_t index)
{
    if (index >= c->n_ledger) {
        uint64_t n = c->n_ledger == 0 ? 1024 : 2 * c->n_ledger;
        while (n <= index) {
            n *= 2;
        }
        c->ledger = realloc(c->ledger, n * sizeof *c->ledger);
        assert(c->ledger != NULL);
        memset(c->ledger + c->n_ledger, 0,
               (n - c->n_ledger) * sizeof *c->ledger);
        c->n_ledger = n;
    }
    return &c->ledger[index];
}

void sim_check_close(struct sim_check *c)
{
    free(c->ledger);
    free(c->leaders);
    free(c->votes);
    memset(c, 0, sizeof *c);
}

static uint64_t *leader_at(struct sim_check *c, uint64_t term)
{
    if (term >= c->n_leaders) {
        uint64_t n = term + 256;
        c->leaders = realloc(c->leaders, n * sizeof *c->leaders);
        assert(c->leaders != NULL);
        memset(c->leaders + c->n_leaders, 0,
               (n - c->n_leaders) * sizeof *c->leaders);
        c->n_leaders = n;
    }
    return &c->leaders[term];
}

/* Whether the node's log has this entry on disk, or a snapshot that covers it;
 * or may have had it when it said so, before a power cut took what its sync
 * policy had left unsynced. */
static bool has_on_disk(const struct sim_node *n, uint64_t index, uint64_t term)
{
    const struct raftlog *log;

    if (sim_loss_took(n, index)) {
        return true;
    }
    if (!n->up) {
        return n->persisted_index >= index;
    }
    log = n->replica->log;
    if (index < raftlog_first_index(log)) {
        return true;
    }
    return raftlog_persisted_index(log) >= index &&
           raftlog_term(log, index) == term;
}

/* Whether most voters of a configuration have the entry on disk. */
static bool majority_has(struct sim *sim, const struct raft_configuration *conf,
                         uint64_t index, uint64_t term, unsigned *n_has)
{
    unsigned n_voters = 0;

    *n_has = 0;
    for (unsigned i = 0; i < conf->n; i++) {
        const struct raft_server *s = &conf->servers[i];
        if (s->role == RAFT_VOTER) {
            n_voters++;
            *n_has += has_on_disk(&sim->nodes[s->id], index, term);
        }
    }
    return 2 * *n_has > n_voters;
}

unsigned sim_check_holders(struct sim *sim, uint64_t index, unsigned except)
{
    uint64_t term = sim_check_entry(&sim->check, index)->term;
    unsigned n_has = 0;

    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        /* Told in the event that committed it: not known yet. */
        n_has += id != except &&
                 (term == 0 || has_on_disk(&sim->nodes[id], index, term));
    }
    return n_has;
}

/* Around a change of members either configuration may have decided. */
static void check_majority(struct sim *sim, const struct sim_node *by,
                           uint64_t index, uint64_t term)
{
    const struct raft *raft = &by->replica->raft;
    unsigned n_has, n_had;

    if (!majority_has(sim, &raft->configuration, index, term, &n_has) &&
        !majority_has(sim, &raft->configuration_committed, index, term,
                      &n_had)) {
        sim_fail(sim,
                 "node %u commits index %" PRIu64 " term %" PRIu64
                 ", which is on the disks of only %u of %u members",
                 by->id, index, term, n_has, raft->configuration.n);
    }
}

/* The node says that its entries through commit are committed. */
static void check_commit(struct sim_node *n, uint64_t commit)
{
    struct sim *sim = n->sim;
    struct sim_check *c = &sim->check;
    const struct raftlog *log = n->replica->log;
    uint64_t first = raftlog_first_index(log);
    uint64_t last = raftlog_last_index(log);
    uint64_t index = n->commit_checked + 1;

    if (index < first) {
        index = first;
    }
    for (; index <= commit && index <= last && !sim->failed; index++) {
        struct sim_ledger_entry *e = sim_check_entry(c, index);
        uint64_t term = raftlog_term(log, index);
        if (e->term == 0) {
            e->term = term;
            e->committed_in = replica_term(n->replica);
            /* Entry 1 is the agreed first configuration: every initial
             * member writes it itself and calls it committed. */
            if (index > 1) {
                check_majority(sim, n, index, term);
            }
            if (index > raftlog_durable_index(log)) {
                COVER(commit_before_own_disk);
            }
        } else if (e->term != term) {
            sim_fail(sim,
                     "node %u has term %" PRIu64 " at committed index %" PRIu64
                     ", committed was term %" PRIu64,
                     n->id, term, index, e->term);
        }
        n->commit_checked = index;
    }
    if (commit > c->commit) {
        c->commit = commit;
    }
}

/* ---- elections ---- */

/* Leader completeness (Raft figure 3.2): the log of a new leader holds every
 * entry that was committed in an earlier term, if it was not lost. */
static void check_complete(struct sim_node *n, bool elected)
{
    struct sim_check *c = &n->sim->check;
    const struct raftlog *log = n->replica->log;
    uint64_t first = raftlog_first_index(log);
    uint64_t last = raftlog_last_index(log);

    for (uint64_t i = first; i <= c->commit && !n->sim->failed; i++) {
        const struct sim_ledger_entry *e = sim_check_entry(c, i);
        if (e->term != 0 && e->committed_in < replica_term(n->replica) &&
            (i > last || raftlog_term(log, i) != e->term)) {
            if (elected) {
                (void)sim_loss_found(n, i);
                return;
            }
            sim_fail(n->sim,
                     "node %u ends in term %" PRIu64 " without the committed "
                     "entry %" PRIu64 " of term %" PRIu64,
                     n->id, replica_term(n->replica), i, e->term);
        }
    }
}

static void check_leader(struct sim_node *n, uint64_t term)
{
    uint64_t *leader = leader_at(&n->sim->check, term);

    if (*leader != 0 && *leader != n->id) {
        sim_fail(n->sim, "nodes %" PRIu64 " and %u both lead term %" PRIu64,
                 *leader, n->id, term);
    }
    if (*leader == 0) {
        *leader = n->id;
        n->sim->check.n_elections++;
    }
}

bool sim_check_led(const struct sim *sim, unsigned id, uint64_t above)
{
    const struct sim_check *c = &sim->check;

    for (uint64_t term = above + 1; term < c->n_leaders; term++) {
        if (c->leaders[term] == id) {
            return true;
        }
    }
    return false;
}

static void record_vote(struct sim_node *n, uint64_t term, unsigned candidate)
{
    struct sim_check *c = &n->sim->check;
    size_t n_kept = c->n_votes < VOTES_MAX ? c->n_votes : VOTES_MAX;

    if (c->votes == NULL) {
        c->votes = calloc(VOTES_MAX, sizeof *c->votes);
        assert(c->votes != NULL);
    }
    for (size_t i = 0; i < n_kept; i++) {
        const struct sim_vote *v = &c->votes[i];
        if (v->node != n->id || v->term != term) {
            continue;
        }
        if (v->candidate != candidate) {
            sim_fail(n->sim,
                     "node %u votes for both %u and %u in term %" PRIu64, n->id,
                     v->candidate, candidate, term);
        }
        return;
    }
    c->votes[c->n_votes++ % VOTES_MAX] =
        (struct sim_vote){term, n->id, candidate};
}

/* ---- what leaves a node ---- */

static void cover_sent(const struct wire_frame *frame, enum wire_type type)
{
    if (type == WIRE_FORWARD) {
        COVER(write_forwarded);
    } else if (type == WIRE_READ_INDEX_RESULT) {
        COVER(read_on_follower);
    } else if (type == WIRE_READ_INDEX &&
               frame->head[frame->head_size - 1] != 0) {
        COVER(read_settled);
    }
}

void sim_check_sent(struct sim_node *n, unsigned to,
                    const struct wire_frame *frame)
{
    struct byte_reader r = byte_reader(frame->head, frame->head_size);
    enum wire_type type = byte_get_u8(&r);
    uint64_t term = byte_get_u64(&r);
    bool durable = false; /* the term must be on disk before it leaves */

    cover_sent(frame, type);
    if (type == WIRE_APPEND_ENTRIES) {
        durable = true;
        check_leader(n, term);
    } else if (type == WIRE_APPEND_ENTRIES_RESULT) {
        uint64_t rejected = byte_get_u64(&r);
        uint64_t last = byte_get_u64(&r);
        durable = true;
        if (rejected == 0 && term == replica_term(n->replica) &&
            last > raftlog_persisted_index(n->replica->log)) {
            sim_fail(n->sim,
                     "node %u acknowledges index %" PRIu64
                     ", persisted is %" PRIu64,
                     n->id, last, raftlog_persisted_index(n->replica->log));
        }
    } else if (type == WIRE_REQUEST_VOTE) {
        bool pre_vote;
        (void)byte_get(&r, 17); /* last index, last term, disrupt */
        pre_vote = byte_get_u8(&r) != 0;
        if (!pre_vote) {
            durable = true;
            record_vote(n, term, n->id);
        }
    } else if (type == WIRE_REQUEST_VOTE_RESULT) {
        bool granted = byte_get_u8(&r) != 0;
        bool pre_vote = byte_get_u8(&r) != 0;
        if (granted && !pre_vote) {
            durable = true;
            record_vote(n, term, to);
        }
    }
    if (durable && term > n->sent_term) {
        n->sent_term = term;
    }
}

/* ---- what a node applies ---- */

static void check_clock(struct sim_node *n, struct sim_ledger_entry *e,
                        uint64_t index)
{
    uint64_t clock_ms = replica_clock(n->replica);
    uint64_t before_ms =
        index > 0 ? sim_check_entry(&n->sim->check, index - 1)->clock_ms : 0;

    if (e->has_hash && e->clock_ms != clock_ms) {
        sim_fail(n->sim,
                 "node %u has clock %" PRIu64 " at index %" PRIu64
                 ", another had %" PRIu64,
                 n->id, clock_ms, index, e->clock_ms);
    }
    if (clock_ms < before_ms || clock_ms > sim_clock_bound_ms(n->sim)) {
        sim_fail(n->sim,
                 "node %u has clock %" PRIu64 " at index %" PRIu64
                 ", after %" PRIu64 ", no leader's is above %" PRIu64,
                 n->id, clock_ms, index, before_ms, sim_clock_bound_ms(n->sim));
    }
    e->clock_ms = clock_ms;
}

static void check_hash(struct sim_node *n, struct sim_ledger_entry *e,
                       uint64_t index)
{
    struct checksum128 hash = store_hash(replica_store(n->replica));

    check_clock(n, e, index);
    if (!e->has_hash) {
        e->has_hash = true;
        e->hash = hash;
    } else if (e->hash.low != hash.low || e->hash.high != hash.high) {
        sim_fail(n->sim,
                 "node %u has another state at index %" PRIu64
                 " than was seen there before",
                 n->id, index);
    }
}

static uint64_t proposal_sum(const struct proposal *p)
{
    uint64_t sum = checksum(&p->request_id, sizeof p->request_id, p->origin);

    sum = checksum(&p->code, sizeof p->code, sum ^ p->clock_ms);
    for (uint32_t i = 1; i < p->argc; i++) {
        sum = checksum(p->argv[i].data, p->argv[i].size, sum + i);
    }
    sum =
        checksum(p->transaction.watches.data, p->transaction.watches.size, sum);
    sum = checksum(p->transaction.commands.data, p->transaction.commands.size,
                   sum);
    return sum | 1;
}

void sim_check_applied(struct sim_node *n, uint64_t index, uint64_t term,
                       const struct proposal *p)
{
    struct sim_ledger_entry *e = sim_check_entry(&n->sim->check, index);
    uint64_t payload = p != NULL ? proposal_sum(p) : 0;

    if (n->sim->options.trace) {
        sim_trace(n->sim,
                  "n%u applied index=%" PRIu64 " term=%" PRIu64
                  " origin=%" PRIu64 " id=%" PRIx64 " %.*s",
                  n->id, index, term, p != NULL ? p->origin : 0,
                  p != NULL ? p->request_id : 0,
                  p != NULL && p->argc > 1 ? (int)p->argv[1].size : 0,
                  p != NULL && p->argc > 1 ? (const char *)p->argv[1].data
                                           : "");
    }
    if (index <= n->applied_seen) {
        sim_fail(n->sim, "node %u applies index %" PRIu64 " after %" PRIu64,
                 n->id, index, n->applied_seen);
        return;
    }
    if (n->applied_seen != 0 && index != n->applied_seen + 1) {
        sim_fail(n->sim, "node %u skips from index %" PRIu64 " to %" PRIu64,
                 n->id, n->applied_seen, index);
        return;
    }
    n->applied_seen = index;
    if (e->term != 0 && e->term != term) {
        sim_fail(n->sim,
                 "node %u applies index %" PRIu64 " of term %" PRIu64
                 ", committed was term %" PRIu64,
                 n->id, index, term, e->term);
    }
    if (e->has_payload && e->payload != payload) {
        sim_fail(n->sim,
                 "node %u applies another entry at index %" PRIu64
                 " than was applied before",
                 n->id, index);
    }
    if (!e->has_payload) {
        e->moment = n->sim->moments.last;
        n->sim->check.n_applied++;
    }
    if (!e->has_payload && p != NULL) {
        sim_ask_applied(n->sim, p, index);
    }
    if (!e->has_payload && p != NULL && n->replica != NULL) {
        sim_lease_applied(n->sim, p, replica_clock(n->replica));
    }
    e->has_payload = true;
    e->payload = payload;
    /* Not here when replica_open applies: the replica is not known yet. */
    if (n->replica != NULL) {
        check_hash(n, e, index);
        sim_loss_applied(n, index);
    }
}

void sim_check_jumped(struct sim_node *n, uint64_t index, uint64_t term)
{
    struct sim_ledger_entry *e = sim_check_entry(&n->sim->check, index);

    if (index < n->applied_seen) {
        sim_fail(n->sim,
                 "node %u jumps back from index %" PRIu64 " to %" PRIu64, n->id,
                 n->applied_seen, index);
    }
    n->applied_seen = index;
    if (e->term != 0 && e->term != term) {
        sim_fail(n->sim,
                 "node %u installs a snapshot at index %" PRIu64
                 " of term %" PRIu64 ", committed was term %" PRIu64,
                 n->id, index, term, e->term);
    }
    if (n->replica != NULL) {
        check_hash(n, e, index);
        sim_loss_applied(n, index);
    }
}

/* ---- after each event ---- */

static void cover_log(struct sim_node *n)
{
    struct raftlog_stats stats;
    uint64_t first = raftlog_first_index(n->replica->log);

    replica_log_stats(n->replica, &stats);
    if (stats.n_truncations > n->truncations_seen) {
        COVER(log_truncated);
        sim_aim_truncated(n);
    }
    if (stats.n_segments > n->segments_seen && n->segments_seen > 0) {
        COVER(log_rotated);
    }
    if (first > n->log_first_seen && n->log_first_seen > 0) {
        COVER(log_released);
    }
    if (stats.no_space) {
        COVER(disk_full_refused);
    }
    n->truncations_seen = stats.n_truncations;
    n->segments_seen = stats.n_segments;
    n->log_first_seen = first;
}

static void cover_expiry(struct sim_node *n)
{
    const struct replica *r = n->replica;

    if (r->n_expired > n->expired_seen) {
        COVER(key_swept);
    }
    n->expired_seen = r->n_expired;
    if (replica_is_leader(r) && r->expiry.clock_ms > sim_node_wall_ms(n)) {
        COVER(leader_clock_ahead);
    }
}

/* Entries that were not even handed to the disk, or are still on their way,
 * are not durable, whatever was true before the log was cut (C-RAFT.md 1.4). */
static void check_durable(struct sim_node *n)
{
    const struct raftlog *log = n->replica->log;
    const struct frame_write *w = &log->frame;
    uint64_t durable = raftlog_persisted_index(log);

    if (durable > raftlog_durable_index(log)) {
        COVER(persisted_before_durable);
    }

    if (durable >= log->unframed_first ||
        (w->active && w->header.n_entries > 0 &&
         durable >= w->header.first_index &&
         w->last >= w->header.first_index)) {
        sim_fail(n->sim,
                 "node %u calls index %" PRIu64
                 " durable, which is not on its disk yet",
                 n->id, durable);
    }
}

/* When it is elected, even if it dies in the same event: what it wrote as a
 * leader stays. */
void sim_check_elected(struct sim_node *n)
{
    if (n->replica != NULL && !n->was_leader) {
        check_leader(n, replica_term(n->replica));
        check_complete(n, true);
        n->was_leader = true;
    }
}

void sim_check_node(struct sim_node *n)
{
    struct replica *r = n->replica;
    uint64_t commit = r->commit;
    uint64_t last = raftlog_last_index(r->log);
    bool leads = replica_is_leader(r);

    if (commit < n->commit_seen) {
        sim_fail(n->sim,
                 "node %u takes its commit index back from %" PRIu64
                 " to %" PRIu64,
                 n->id, n->commit_seen, commit);
    }
    if (last < commit && !r->installing) {
        sim_fail(n->sim,
                 "node %u has cut its log to %" PRIu64
                 ", below its commit index %" PRIu64,
                 n->id, last, commit);
    }
    if (replica_applied(r) > commit) {
        sim_fail(n->sim,
                 "node %u has applied %" PRIu64 ", committed is %" PRIu64,
                 n->id, replica_applied(r), commit);
    }
    /* Before anything is committed: it may lack what was lost. */
    if (leads) {
        check_leader(n, replica_term(r));
        sim_check_elected(n);
    }
    n->was_leader = leads;
    if (commit > n->commit_checked) {
        check_commit(n, commit);
    }
    n->commit_seen = commit;
    n->lossy = n->lossy && r->forgot.active;
    sim_loss_watch(n);
    check_durable(n);
    cover_log(n);
    cover_expiry(n);
}

void sim_check_started(struct sim_node *n)
{
    struct replica *r = n->replica;
    struct sim_ledger_entry *e;

    n->truncations_seen = 0;
    if (n->data_was_lost) {
        n->data_was_lost = false;
    } else {
        uint64_t last = raftlog_last_index(r->log);
        if (last < n->persisted_index) {
            sim_fail(n->sim,
                     "node %u restarts with last index %" PRIu64
                     ", but %" PRIu64 " was there",
                     n->id, last, n->persisted_index);
        }
        if (n->lossy && !r->forgot.active && replica_n_voters(r) > 1) {
            sim_fail(n->sim, "node %u does not know that it forgot", n->id);
        }
        if (replica_term(r) < n->sent_term) {
            sim_fail(n->sim,
                     "node %u restarts in term %" PRIu64
                     " after it sent messages of term %" PRIu64,
                     n->id, replica_term(r), n->sent_term);
        }
    }
    n->applied_seen = replica_applied(r);
    if (n->applied_seen > 0) {
        e = sim_check_entry(&n->sim->check, n->applied_seen);
        check_hash(n, e, n->applied_seen);
    }
    sim_loss_applied(n, n->applied_seen);
}

void sim_check_crashed(struct sim_node *n)
{
    n->durable_index = raftlog_durable_index(n->replica->log);
    n->persisted_index = raftlog_persisted_index(n->replica->log);
    sim_loss_check(n, n->durable_index, n->persisted_index);
}

/* ---- the end ---- */

bool sim_check_is_member(struct sim *sim, unsigned id)
{
    const struct sim_node *leader = sim_leader(sim);

    if (leader == NULL || sim->options.n_members == sim->options.n_nodes) {
        return true;
    }
    for (unsigned i = 0; i < leader->replica->raft.configuration.n; i++) {
        if (leader->replica->raft.configuration.servers[i].id == id) {
            return true;
        }
    }
    return false;
}

bool sim_check_converged(struct sim *sim)
{
    const struct sim_node *first = NULL;

    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        const struct sim_node *n = &sim->nodes[id];
        if (!sim_check_is_member(sim, id)) {
            continue;
        }
        if (!n->up) {
            return false;
        }
        if (replica_applied(n->replica) != n->replica->commit ||
            n->replica->commit < sim->check.commit) {
            return false;
        }
        if (first != NULL &&
            replica_applied(n->replica) != replica_applied(first->replica)) {
            return false;
        }
        first = n;
    }
    return true;
}

/* A leader that can write leaves nothing for long that is due. */
static void check_swept(struct sim *sim)
{
    const struct sim_node *n = sim_leader(sim);
    uint64_t next_ms =
        n != NULL ? store_next_expiry(replica_store(n->replica)) : 0;

    if (next_ms != 0 && next_ms + SWEPT_WITHIN_MS < sim_node_wall_ms(n)) {
        sim_fail(sim,
                 "leader %u has left a key that expired at %" PRIu64
                 ", its wall clock is %" PRIu64,
                 n->id, next_ms, sim_node_wall_ms(n));
    }
}

void sim_check_final(struct sim *sim)
{
    const struct checksum128 *hash = NULL;
    struct checksum128 hashes[SIM_NODES_MAX + 1];

    for (unsigned id = 1; id <= sim->options.n_nodes && !sim->failed; id++) {
        struct sim_node *n = &sim->nodes[id];
        if (!n->up) {
            continue;
        }
        n->commit_checked = 0;
        check_commit(n, n->replica->commit);
        if (!sim_check_is_member(sim, id)) {
            continue; /* Where it was when it was removed. */
        }
        check_complete(n, false);
        hashes[id] = store_hash(replica_store(n->replica));
        if (hash != NULL &&
            (hash->low != hashes[id].low || hash->high != hashes[id].high)) {
            sim_fail(sim, "node %u ends with another state than the others",
                     id);
        }
        hash = &hashes[id];
    }
    check_swept(sim);
}
