/* Leadership that moves on purpose: draining, transfer, a leader whose disk
 * stalls, and the agreed loss of a dead leader.
 *
 * Transfer (Raft thesis 3.10; C-RAFT.md B8): proposals are refused, what
 * gathered is submitted, and only when the target's log is as long as ours is
 * RAFT_TRANSFER stepped, because the core sends TimeoutNow once and the target
 * ignores it unless the ends of the logs are equal. After the time limit
 * proposals are taken again.
 *
 * Agreed loss (B12): a follower whose connection to the leader has closed tells
 * the others. When a majority of voters has lost the same leader of the same
 * term, the one with the longest log (then the lowest id) behaves as if the
 * leader had sent it TimeoutNow, again every few ms until its own log is
 * persisted. Election safety does not depend on timing, so a wrong guess costs
 * messages; the gain is an election within milliseconds. The chosen one waits
 * for nothing else: what the others know of its log they told with their loss,
 * after everything their closed connections had delivered.
 *
 * The chosen one may fail as well, or lose because a loss that it was told was
 * not the last word. So once the loss is agreed everybody hurries: for one
 * election timeout the timers run at a third, and votes are not refused for
 * the sake of the lost leader, until another one is heard. */
#include "node/replica_state.h"

#include <string.h>

enum { CAMPAIGN_STEP_MS = 2 };

/* ---- transfer
 * --------------------------------------------------------------*/

static void handover_end(struct replica *r, bool done)
{
    bool draining = r->handover.draining;
    bool asked = r->handover.asked;
    replica_trace(r, TRACE_INFO, "handover_%s leader=%llu",
                  done ? "done" : "given_up",
                  (unsigned long long)replica_leader(r));
    memset(&r->handover, 0, sizeof r->handover);
    r->handover.stalled_until_ms =
        replica_now(r) + 10 * (uint64_t)r->options.election_timeout_ms;
    if (draining) {
        /* No more proposals here: the process ends. */
        r->handover.active = raft_state(&r->raft) == RAFT_LEADER;
        r->handover.deadline_ms = UINT64_MAX;
        r->events.drained(r->events.ctx);
    }
    if (asked) {
        r->events.transferred(r->events.ctx, done);
    }
}

/* A connected voter whose log is as long as ours. */
static uint64_t best_target(struct replica *r)
{
    uint64_t last = raft_last_index(&r->raft);
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_peer *peer = &r->peers[i];
        raft_index match;
        if (peer->id == 0 || !peer->connected ||
            !replica_is_voter(r, peer->id) ||
            (r->handover.target != 0 && r->handover.target != peer->id)) {
            continue;
        }
        if (raft_match_index(&r->raft, peer->id, &match) == 0 &&
            match == last) {
            return peer->id;
        }
    }
    return 0;
}

static void handover_begin(struct replica *r, uint64_t target)
{
    memset(&r->handover, 0, sizeof r->handover);
    r->handover.active = true;
    r->handover.target = target;
    r->handover.deadline_ms =
        replica_now(r) + 4 * (uint64_t)r->options.election_timeout_ms;
}

void handover_start(struct replica *r, uint64_t target, bool draining)
{
    if (!r->handover.active) {
        handover_begin(r, target);
    }
    r->handover.draining = r->handover.draining || draining;
}

/* How far a voter is behind; it has to have everything before it may lead, and
 * proposals wait for it. */
static uint64_t lag_of(struct replica *r, uint64_t id)
{
    uint64_t last = raft_last_index(&r->raft) + r->n_gathered;
    raft_index match = 0;
    raft_match_index(&r->raft, id, &match);
    return last > match ? last - match : 0;
}

static int check_target(struct replica *r, uint64_t id, struct err_info *info)
{
    const struct replica_peer *peer = replica_find_peer(r, id);
    uint64_t lag = lag_of(r, id);
    if (peer == NULL || !peer->connected) {
        return err_set(info, ERR_AGAIN, "node %llu is not connected",
                       (unsigned long long)id);
    }
    if (lag > r->options.inflight_entries) {
        return err_set(info, ERR_AGAIN,
                       "node %llu is %llu entries behind; wait until it has "
                       "caught up",
                       (unsigned long long)id, (unsigned long long)lag);
    }
    return 0;
}

static int check_any_target(struct replica *r, struct err_info *info)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        uint64_t id = r->peers[i].id;
        if (id != 0 && replica_is_voter(r, id) &&
            check_target(r, id, NULL) == 0) {
            return 0;
        }
    }
    return err_set(info, ERR_AGAIN,
                   "no other voter is connected and has caught up; see "
                   "INFO replication");
}

static int check_member(struct replica *r, uint64_t id, struct err_info *info)
{
    const struct raft_server *server = replica_find_server(r, id);
    if (server == NULL) {
        return err_set(info, ERR_NOTFOUND,
                       "node %llu is not a member of this cluster",
                       (unsigned long long)id);
    }
    if (server->role != RAFT_VOTER) {
        return err_set(info, ERR_INVALID,
                       "node %llu is not a voter and can not lead",
                       (unsigned long long)id);
    }
    return check_target(r, id, info);
}

int replica_transfer(struct replica *r, uint64_t target, struct err_info *info)
{
    int rv;
    if (r->failed || raft_state(&r->raft) != RAFT_LEADER) {
        return err_set(info, ERR_NOTLEADER, "node %llu does not lead",
                       (unsigned long long)r->options.id);
    }
    if (target == r->options.id) {
        return err_set(info, ERR_EXISTS, "node %llu leads already",
                       (unsigned long long)target);
    }
    if (replica_n_voters(r) < 2) {
        return err_set(info, ERR_INVALID,
                       "node %llu is the only voter; nobody can follow it",
                       (unsigned long long)r->options.id);
    }
    rv =
        target == 0 ? check_any_target(r, info) : check_member(r, target, info);
    if (rv != 0) {
        return rv;
    }
    if (r->handover.active) {
        return err_set(info, ERR_BUSY,
                       "leadership is being handed over already");
    }
    handover_begin(r, target);
    r->handover.asked = true;
    return 0;
}

void handover_poll(struct replica *r)
{
    struct raft_event event;
    uint64_t target;
    if (!r->handover.active || r->handover.deadline_ms == UINT64_MAX ||
        r->failed) {
        return;
    }
    if (raft_state(&r->raft) != RAFT_LEADER) {
        handover_end(r, true);
        return;
    }
    if (replica_now(r) >= r->handover.deadline_ms || replica_n_voters(r) < 2) {
        handover_end(r, false);
        return;
    }
    if (r->handover.transferring) {
        if (raft_transferee(&r->raft) != 0) {
            return;
        }
        r->handover.transferring = false; /* expired in the core: once more */
    }
    driver_submit(r, true); /* what gathered before goes with it */
    target = best_target(r);
    if (target == 0) {
        return;
    }
    memset(&event, 0, sizeof event);
    event.type = RAFT_TRANSFER;
    event.transfer.server_id = target;
    if (driver_step(r, &event) == 0) {
        r->handover.transferring = true;
        replica_trace(r, TRACE_INFO, "handover to=%llu",
                      (unsigned long long)target);
    }
}

/* ---- agreed loss
 * -----------------------------------------------------------*/

/* A loss counts for as long as its sender can do without a leader: after two
 * election timeouts it has stood for election itself, or its connection was
 * only interrupted. */
static bool lost_same(const struct replica *r, const struct replica_peer *peer)
{
    return peer->id != 0 && peer->lost_term == r->loss.term &&
           peer->lost_leader == r->loss.leader && peer->id != r->loss.leader &&
           r->last_time - peer->lost_ms <=
               2 * (uint64_t)r->options.election_timeout_ms &&
           replica_is_voter(r, peer->id);
}

/* Whether a majority of voters, this one included, has lost the leader. */
static bool agreed(const struct replica *r)
{
    unsigned n = 1;
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        n += lost_same(r, &r->peers[i]);
    }
    return n >= replica_n_voters(r) / 2 + 1;
}

/* Whether this node is the one to follow the lost leader. */
static bool chosen(const struct replica *r)
{
    uint64_t index;
    uint64_t term;
    replica_log_end(r, &index, &term);
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_peer *peer = &r->peers[i];
        if (!lost_same(r, peer)) {
            continue;
        }
        if (peer->lost_last_term > term ||
            (peer->lost_last_term == term &&
             (peer->lost_last_index > index ||
              (peer->lost_last_index == index && peer->id < r->options.id)))) {
            return false;
        }
    }
    return true;
}

/* From now on, so that the chosen one has a while for itself. The timeout has
 * to leave room for a vote and two durable writes. */
static void hurry_start(struct replica *r, uint64_t now)
{
    unsigned timeout = r->options.election_timeout_ms / 3;
    if (r->loss.hurry_until_ms != 0) {
        return;
    }
    r->loss.hurry_until_ms = now + r->options.election_timeout_ms;
    r->raft.election_timer_start = now;
    raft_set_election_timeout(&r->raft, timeout < 10 ? 10 : timeout);
}

static void hurry_end(struct replica *r)
{
    if (r->loss.hurry_until_ms != 0) {
        r->loss.hurry_until_ms = 0;
        raft_set_election_timeout(&r->raft, r->options.election_timeout_ms);
    }
}

void handover_stepped(struct replica *r)
{
    uint64_t leader = replica_leader(r);
    /* A follower that only voted in a new term still names the old leader. */
    if (leader != 0 && leader != r->loss.leader) {
        hurry_end(r);
    }
}

bool handover_is_lost(const struct replica *r, uint64_t leader)
{
    return r->loss.hurry_until_ms != 0 && r->loss.leader == leader;
}

static void consider_campaign(struct replica *r)
{
    uint64_t now = replica_now(r);
    if (r->loss.term == 0 || r->loss.term != raft_current_term(&r->raft) ||
        raft_state(&r->raft) != RAFT_FOLLOWER ||
        replica_leader(r) != r->loss.leader ||
        !replica_is_voter(r, r->options.id) || !agreed(r) ||
        !forgot_may_campaign(r)) {
        return;
    }
    hurry_start(r, now);
    if (r->loss.campaigning || !chosen(r)) {
        return;
    }
    replica_trace(r, TRACE_INFO, "leader_lost_agreed leader=%llu term=%llu",
                  (unsigned long long)r->loss.leader,
                  (unsigned long long)r->loss.term);
    r->loss.campaigning = true;
    r->loss.next_ms = now;
    r->loss.deadline_ms = now + r->options.election_timeout_ms;
    handover_tick(r);
}

void handover_peer_lost(struct replica *r, uint64_t id)
{
    struct wire_message m;
    if (raft_state(&r->raft) != RAFT_FOLLOWER || replica_leader(r) != id ||
        id == 0) {
        return;
    }
    r->loss.term = raft_current_term(&r->raft);
    r->loss.leader = id;
    memset(&m, 0, sizeof m);
    m.type = WIRE_LEADER_LOST;
    m.as.leader_lost.term = r->loss.term;
    m.as.leader_lost.leader_id = id;
    if (forgot_may_campaign(r)) { /* else nobody should wait for us */
        replica_log_end(r, &m.as.leader_lost.last_index,
                        &m.as.leader_lost.last_term);
    }
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        struct wire_frame frame;
        if (r->peers[i].id != 0 && r->peers[i].id != id) {
            wire_encode(&m, &frame);
            outbound_send(r, r->peers[i].id, &frame);
        }
    }
    consider_campaign(r);
}

void handover_peer_found(struct replica *r, uint64_t id)
{
    if (r->loss.leader == id) {
        hurry_end(r);
        r->loss.term = 0;
        r->loss.leader = 0;
        r->loss.campaigning = false;
    }
}

void handover_leader_lost(struct replica *r, const struct wire_message *m)
{
    struct replica_peer *peer = replica_find_peer(r, m->from);
    if (peer == NULL) {
        return;
    }
    peer->lost_ms = replica_now(r);
    peer->lost_term = m->as.leader_lost.term;
    peer->lost_leader = m->as.leader_lost.leader_id;
    peer->lost_last_index = m->as.leader_lost.last_index;
    peer->lost_last_term = m->as.leader_lost.last_term;
    consider_campaign(r);
}

/* Step the TimeoutNow that the dead leader can not send. The core ignores it
 * until everything in our log is persisted. */
static void campaign(struct replica *r, uint64_t now)
{
    struct raft_message m;
    uint64_t index;
    uint64_t term;
    if (now >= r->loss.deadline_ms || raft_state(&r->raft) != RAFT_FOLLOWER ||
        raft_current_term(&r->raft) != r->loss.term ||
        replica_leader(r) != r->loss.leader) {
        r->loss.campaigning = false;
        return;
    }
    r->loss.next_ms = now + CAMPAIGN_STEP_MS;
    replica_log_end(r, &index, &term);
    memset(&m, 0, sizeof m);
    m.type = RAFT_TIMEOUT_NOW;
    m.server_id = r->loss.leader;
    m.server_address = "";
    m.timeout_now.term = r->loss.term;
    m.timeout_now.last_log_index = index;
    m.timeout_now.last_log_term = term;
    driver_receive(r, &m);
}

uint64_t handover_deadline_ms(const struct replica *r)
{
    uint64_t deadline = UINT64_MAX;
    if (r->loss.campaigning) {
        deadline = r->loss.next_ms;
    }
    if (r->loss.hurry_until_ms != 0 && r->loss.hurry_until_ms < deadline) {
        deadline = r->loss.hurry_until_ms;
    }
    if (r->handover.active && r->handover.deadline_ms < deadline) {
        deadline = r->handover.deadline_ms;
    }
    return deadline;
}

/* A leader whose own sync stalls still commits through the others, but its
 * successor may not have to wait for it: hand over (DESIGN.md section 8). */
static void watch_own_disk(struct replica *r)
{
    struct raftlog_stats stats;
    if (raft_state(&r->raft) != RAFT_LEADER || r->handover.active ||
        replica_n_voters(r) < 2 ||
        replica_now(r) < r->handover.stalled_until_ms) {
        return;
    }
    raftlog_get_stats(r->log, &stats);
    if (stats.oldest_write_ms > 3 * (uint64_t)r->options.election_timeout_ms) {
        replica_trace(r, TRACE_WARN, "disk_stalled write_ms=%llu",
                      (unsigned long long)stats.oldest_write_ms);
        handover_start(r, 0, false);
    }
}

void handover_tick(struct replica *r)
{
    uint64_t now = replica_now(r);
    watch_own_disk(r);
    if (r->loss.campaigning && now >= r->loss.next_ms) {
        campaign(r, now);
    }
    if (now >= r->loss.hurry_until_ms) {
        hurry_end(r);
    }
}
