/* The driver over raft_step: one event in, one update out, one `if` per part
 * of the update in fixed order (C-RAFT.md 1.3), and the timers.
 *
 * What goes in has passed filter.c; what the core wants to send goes through
 * outbound.c. Between them this file keeps the promises that the core leaves
 * to its driver:
 *   - term and vote are durable before any message of this or a later step
 *     leaves, and no later than entries of the new term: the log orders its
 *     writes, outbound_send holds frames meanwhile (Raft figure 3.1,
 *     persistent state);
 *   - entries are reported as persisted only from the log's contiguous
 *     persisted index (the durable one, unless the sync policy is weaker),
 *     which a truncation clamps (C-RAFT.md 1.4);
 *   - each leader commits an entry of its own term before anything else counts
 *     (Raft 5.4.2; B6);
 *   - timers never stand in the past (B9), a leader's heartbeats keep a fixed
 *     cadence (1.6), a candidate without a majority of connections does not
 *     raise its term (B11).
 * Errors of raft_step other than refused submits leave the core in a state
 * nobody can tell: they end the process. */
#include "node/replica_state.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

void driver_fatal(struct replica *r, int code, const char *format, ...)
{
    struct err_info info;
    va_list args;
    if (r->failed && !r->closing) {
        return;
    }
    r->failed = true;
    r->closing = false;
    info.code = code;
    va_start(args, format);
    vsnprintf(info.message, sizeof info.message, format, args);
    va_end(args);
    r->io.fatal(r->io.ctx, &info);
}

void driver_contradicted(struct replica *r)
{
    driver_fatal(r, ERR_CORRUPT,
                 "the leader's log contradicts what is committed here through "
                 "entry %llu: power cuts of a majority under a weaker --sync "
                 "have lost writes that this node still has; start it again, "
                 "and if it ends like this again remove it from the cluster, "
                 "empty its data directory and add it anew",
                 (unsigned long long)r->commit);
}

void replica_trace(const struct replica *r, enum trace_level level,
                   const char *format, ...)
{
    char line[ERR_MESSAGE_MAX + 128];
    va_list args;
    if (level > r->io.trace_max) {
        return;
    }
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    r->io.trace(r->io.ctx, level, line);
}

uint64_t replica_now(struct replica *r)
{
    uint64_t now = r->io.now_ms(r->io.ctx);
    /* The core subtracts times without a sign (C-RAFT.md 1.2). */
    if (now > r->last_time) {
        r->last_time = now;
    }
    return r->last_time;
}

void replica_log_end(const struct replica *r, uint64_t *index, uint64_t *term)
{
    *index = raftlog_last_index(r->log);
    *term = raftlog_term(r->log, *index);
}

/* ---- the parts of an update
 * ------------------------------------------------*/

static void handle_hard_state(struct replica *r)
{
    int rv = raftlog_set_hard_state(r->log, raft_current_term(&r->raft),
                                    raft_voted_for(&r->raft));
    if (rv != 0) {
        driver_fatal(r, rv, "cannot queue term %llu and vote: %s",
                     raft_current_term(&r->raft), err_text(rv));
    }
}

/* New entries for the log, and the truncation they imply. The log takes its
 * own references; ours go back here, except for a submit, whose payloads
 * driver_submit still holds. */
static void handle_entries(struct replica *r, const struct raft_event *event,
                           const struct raft_update *u)
{
    unsigned n = u->entries.n;
    uint64_t first = u->entries.index;
    struct raftlog_entry small[64];
    struct raftlog_entry *entries = small;
    void *batch = u->entries.batch[0].batch;
    int rv;

    if (n > sizeof small / sizeof small[0]) {
        entries = malloc(n * sizeof *entries);
        if (entries == NULL) {
            driver_fatal(r, ERR_NOMEM, "no memory to append %u entries", n);
            return;
        }
    }
    apply_truncate_changes(r, first);
    for (unsigned i = 0; i < n; i++) {
        const struct raft_entry *e = &u->entries.batch[i];
        entries[i].term = e->term;
        entries[i].kind = (uint8_t)e->type;
        entries[i].data = e->buf.base;
        entries[i].size = (uint32_t)e->buf.len;
        entries[i].block = e->batch;
        if (e->type == RAFT_CHANGE &&
            apply_note_change(r, first + i, e->buf.base,
                              (uint32_t)e->buf.len) != 0) {
            driver_fatal(r, ERR_NOMEM, "cannot keep configuration %llu",
                         (unsigned long long)(first + i));
        }
        if (e->type == RAFT_COMMAND) {
            expiry_saw(r, proposal_clock(e->buf.base, e->buf.len));
        }
    }
    rv = raftlog_append(r->log, first, entries, n);
    if (rv != 0) {
        driver_fatal(r, rv, "cannot append entries %llu to %llu: %s",
                     (unsigned long long)first,
                     (unsigned long long)(first + n - 1), err_text(rv));
    }
    if (entries != small) {
        free(entries);
    }
    if (u->entries.batch == &r->raft.barrier || event->type == RAFT_RECEIVE) {
        /* The core's own barrier, or the one block of a received message. */
        block_unref(batch);
    }
    if (raft_state(&r->raft) == RAFT_LEADER) {
        r->submitted = first + n - 1;
        if (r->own_term_index == 0) {
            r->own_term_index = first;
        }
    }
}

static void handle_messages(struct replica *r, const struct raft_update *u)
{
    for (unsigned i = 0; i < u->messages.n; i++) {
        const struct raft_message *m = &u->messages.batch[i];
        if (m->server_id == 0 || m->server_id == r->options.id) {
            continue; /* C-RAFT.md 2.18 */
        }
        outbound_message(r, m);
    }
}

/* A leadership begins: without an own entry nothing of earlier terms may be
 * taken for committed (Raft 5.4.2) and no configuration may change (B6). The
 * core appends a barrier only if something is uncommitted. */
static void begin_leadership(struct replica *r)
{
    struct raft_event event;
    struct raft_entry entry;
    int rv;

    if (r->own_term_index != 0) {
        return; /* the update carried the core's own barrier */
    }
    memset(&event, 0, sizeof event);
    memset(&entry, 0, sizeof entry);
    entry.term = raft_current_term(&r->raft);
    entry.type = RAFT_BARRIER;
    entry.buf.len = 8;
    entry.buf.base = block_new(entry.buf.len);
    if (entry.buf.base == NULL) {
        driver_fatal(r, ERR_NOMEM, "no memory for a barrier");
        return;
    }
    memset(entry.buf.base, 0, entry.buf.len);
    entry.batch = entry.buf.base;
    event.type = RAFT_SUBMIT;
    event.submit.entries = &entry;
    event.submit.n = 1;
    rv = driver_step(r, &event);
    block_unref(entry.batch);
    if (rv != 0) {
        driver_fatal(r, ERR_INVALID, "barrier refused: %s",
                     raft_errmsg(&r->raft));
    }
}

/* Never logged: the service learns it from the next leader's first entry, which
 * has a higher term. They must not wait for a later leadership of this node:
 * by then they may have been sent again. */
static void drop_gathered(struct replica *r)
{
    for (size_t i = 0; i < r->n_gathered; i++) {
        block_unref(r->gathered[i].block);
    }
    r->n_gathered = 0;
    r->gathered_bytes = 0;
}

static void handle_state(struct replica *r)
{
    int state = raft_state(&r->raft);
    uint64_t term = raft_current_term(&r->raft);
    if (state == (int)r->role_before && term == r->term_before) {
        return;
    }
    if (state == RAFT_CANDIDATE) {
        r->n_elections_started++;
    }
    drop_gathered(r);
    expiry_changed(r);
    if (state == RAFT_LEADER) {
        r->n_elections_won++;
        r->uncommitted_bytes = 0;
        r->timer_fired_ms = r->last_time;
        replica_trace(r, TRACE_INFO, "leader term=%llu last=%llu commit=%llu",
                      (unsigned long long)term,
                      (unsigned long long)raftlog_last_index(r->log),
                      (unsigned long long)r->commit);
    } else if (r->role_before == RAFT_LEADER) {
        replica_trace(r, TRACE_INFO, "leadership_ended term=%llu",
                      (unsigned long long)term);
    }
    r->loss.campaigning = false;
}

/* B7: who is asked for its vote may be a voter in a configuration that it has
 * not received, and the candidate may need it. It counts votes by its own
 * configuration, so a learner's answer harms nobody (Raft thesis 4.1: servers
 * vote whatever their own configuration says); but the core gives one only as
 * voter. Returns this node's server if it must be one for this step. */
static struct raft_server *voting_learner(struct replica *r,
                                          const struct raft_event *event)
{
    if (event->type != RAFT_RECEIVE ||
        event->receive.message->type != RAFT_REQUEST_VOTE) {
        return NULL;
    }
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        struct raft_server *s = &r->raft.configuration.servers[i];
        if (s->id == r->options.id && s->role == RAFT_STANDBY) {
            s->role = RAFT_VOTER;
            return s;
        }
    }
    return NULL;
}

int driver_step(struct replica *r, struct raft_event *event)
{
    struct raft_update u;
    struct raft_server *learner;
    bool became_leader;
    int rv;

    if (r->failed) {
        return RAFT_SHUTDOWN;
    }
    assert(!r->stepping);
    r->stepping = true;
    r->role_before = (enum raft_state)raft_state(&r->raft);
    r->term_before = raft_current_term(&r->raft);
    event->time = replica_now(r);
    event->capacity = 0;
    learner = voting_learner(r, event);
    rv = raft_step(&r->raft, event, &u);
    r->stepping = false;
    if (learner != NULL) {
        learner->role = RAFT_STANDBY;
    }
    if (rv != 0) {
        if ((event->type == RAFT_SUBMIT || event->type == RAFT_TRANSFER) &&
            rv != RAFT_NOMEM) {
            return rv;
        }
        if (event->type == RAFT_RECEIVE && rv == RAFT_SHUTDOWN) {
            driver_contradicted(r);
            return rv;
        }
        driver_fatal(r, ERR_INVALID, "consensus core refused event %d: %s (%s)",
                     (int)event->type, raft_strerror(rv),
                     raft_errmsg(&r->raft));
        return rv;
    }
    /* An own entry belongs to one leadership: forget the index when the role
     * or the term is another one, before entries of this update set it. */
    became_leader = raft_state(&r->raft) == RAFT_LEADER &&
                    (r->role_before != RAFT_LEADER ||
                     r->term_before != raft_current_term(&r->raft));
    if (became_leader || raft_state(&r->raft) != RAFT_LEADER) {
        r->own_term_index = 0;
    }
    if (u.flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) {
        handle_hard_state(r);
    }
    if (u.flags & (RAFT_UPDATE_ENTRIES)) {
        handle_entries(r, event, &u);
    }
    if (u.flags & (RAFT_UPDATE_SNAPSHOT)) {
        fetch_install(r, &u.snapshot.metadata);
    }
    if (u.flags & (RAFT_UPDATE_MESSAGES)) {
        handle_messages(r, &u);
    }
    handle_state(r);
    handover_stepped(r);
    if (u.flags & (RAFT_UPDATE_COMMIT_INDEX)) {
        apply_commit(r);
    }
    if (became_leader && raft_state(&r->raft) == RAFT_LEADER) {
        begin_leadership(r);
    }
    return 0;
}

/* ---- events
 * ----------------------------------------------------------------*/

void driver_receive(struct replica *r, struct raft_message *message)
{
    struct raft_event event;
    memset(&event, 0, sizeof event);
    event.type = RAFT_RECEIVE;
    event.receive.message = message;
    driver_step(r, &event);
}

/* Report the part of the log that the sync policy lets count. Not as candidate
 * (1.4: the core would shut down) and not while a snapshot replaces the log. */
static void report_persisted(struct replica *r)
{
    uint64_t durable = raftlog_persisted_index(r->log);
    struct raft_event event;
    int state = raft_state(&r->raft);
    if (r->installing || durable <= r->raft.last_stored ||
        durable > raft_last_index(&r->raft) ||
        (state != RAFT_LEADER && state != RAFT_FOLLOWER)) {
        return;
    }
    memset(&event, 0, sizeof event);
    event.type = RAFT_PERSISTED_ENTRIES;
    event.persisted_entries.index = durable;
    driver_step(r, &event);
}

void driver_progress(void *replica)
{
    struct replica *r = replica;
    if (r->failed || r->opening) {
        return;
    }
    outbound_release_held(r);
    report_persisted(r);
    retention_progress(r);
    forgot_check(r);
    driver_submit(r, false);
    if (r->refused > 0) {
        r->refused = 0;
        r->events.room(r->events.ctx);
    }
}

/* ---- proposals
 * -------------------------------------------------------------*/

/* One submit for everything that gathered while the batch before it was in
 * flight: each submit makes the core send one AppendEntries per follower, and
 * each of those wakes a process (DESIGN.md section 4). */
void driver_submit(struct replica *r, bool force)
{
    struct raft_event event;
    struct raft_entry *entries;
    size_t n = r->n_gathered;
    uint64_t bytes = r->gathered_bytes;

    if (n == 0 || r->failed) {
        return;
    }
    assert(raft_state(&r->raft) == RAFT_LEADER);
    if (raft_transferee(&r->raft) != 0) {
        return; /* the core refuses; a transfer ends by itself */
    }
    if (!force && r->submitted > r->commit && bytes < r->options.batch_bytes &&
        replica_now(r) - r->gathered_since_ms < r->options.batch_delay_ms) {
        return;
    }
    entries = calloc(n, sizeof *entries);
    if (entries == NULL) {
        driver_fatal(r, ERR_NOMEM, "no memory to submit %zu entries", n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        entries[i].term = raft_current_term(&r->raft);
        entries[i].type = RAFT_COMMAND;
        entries[i].buf.base = r->gathered[i].block;
        entries[i].buf.len = r->gathered[i].size;
        entries[i].batch = r->gathered[i].block;
    }
    memset(&event, 0, sizeof event);
    event.type = RAFT_SUBMIT;
    event.submit.entries = entries;
    event.submit.n = (unsigned)n;
    r->uncommitted_bytes += bytes;
    if (driver_step(r, &event) != 0) {
        driver_fatal(r, ERR_INVALID, "submit refused: %s",
                     raft_errmsg(&r->raft));
    }
    free(entries);
    drop_gathered(r);
}

bool replica_accepts(const struct replica *r)
{
    return r->raft.state == RAFT_LEADER && !r->handover.active &&
           raft_transferee(&r->raft) == 0 && r->own_term_index != 0 &&
           r->commit >= r->own_term_index;
}

/* ---- timers
 * ----------------------------------------------------------------*/

/* As leader a fixed cadence between RTT and E/5 (1.6): heartbeats, contact
 * check and probes all hang on RAFT_TIMEOUT. */
static uint64_t leader_cadence_ms(const struct replica *r)
{
    uint64_t cadence = r->options.election_timeout_ms / 6;
    return cadence < 10 ? 10 : cadence > 100 ? 100 : cadence;
}

static uint64_t core_deadline_ms(const struct replica *r)
{
    uint64_t deadline;
    if (r->raft.state == RAFT_LEADER) {
        return r->timer_fired_ms + leader_cadence_ms(r);
    }
    deadline = raft_timeout(&r->raft);
    if (deadline < r->timer_fired_ms + TIMER_STEP_MS) {
        deadline = r->timer_fired_ms + TIMER_STEP_MS;
    }
    return deadline;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t driver_deadline_ms(const struct replica *r)
{
    uint64_t deadline = core_deadline_ms(r);
    if (r->failed) {
        return UINT64_MAX;
    }
    if (r->apply_more) {
        return 0;
    }
    deadline = earlier(deadline, r->tick_ms + TICK_MS);
    if (r->n_gathered > 0) {
        deadline =
            earlier(deadline, r->gathered_since_ms + r->options.batch_delay_ms);
    }
    deadline = earlier(deadline, handover_deadline_ms(r));
    return earlier(deadline, read_barrier_deadline_ms(r->barrier));
}

static void fire_timeout(struct replica *r, uint64_t now)
{
    struct raft_event event;
    unsigned majority = replica_n_voters(r) / 2 + 1;
    r->timer_fired_ms = now;
    if (raft_state(&r->raft) == RAFT_CANDIDATE &&
        replica_n_voters_connected(r) < majority) {
        /* It could not win, only raise its term and depose a good leader when
         * it comes back (B11). */
        r->timer_fired_ms = now + r->options.election_timeout_ms / 4;
        return;
    }
    if (raft_state(&r->raft) == RAFT_FOLLOWER && !forgot_may_campaign(r)) {
        /* The core never lets go of its leader without a timeout, and as long
         * as there is one nobody asks for logs or goes to a later term. */
        filter_silent_leader(r);
        r->timer_fired_ms = now + r->options.election_timeout_ms / 4;
        return;
    }
    memset(&event, 0, sizeof event);
    event.type = RAFT_TIMEOUT;
    driver_step(r, &event);
}

static void tick(struct replica *r, uint64_t now)
{
    r->tick_ms = now;
    raftlog_tick(r->log);
    driver_progress(r);
    apply_commit(r);
    handover_tick(r);
    forgot_tick(r);
    expiry_tick(r);
    snapshotter_tick(r);
    retention_tick(r);
    compaction_tick(r);
    serve_tick(r);
    fetch_tick(r);
    /* About 0.2 us an item: the loop is not held for long. */
    if (r->old_store != NULL &&
        !store_reclaim(r->old_store, RECLAIM_ITEMS_PER_TICK)) {
        store_free(r->old_store);
        r->old_store = NULL;
    }
    store_reclaim(r->store, RECLAIM_ITEMS_PER_TICK);
    if (r->refused > 0) {
        r->refused = 0;
        r->events.room(r->events.ctx);
    }
}

void driver_timer(struct replica *r)
{
    uint64_t now = replica_now(r);
    if (r->failed) {
        return;
    }
    if (r->apply_more) {
        apply_commit(r);
    }
    if (now >= core_deadline_ms(r)) {
        fire_timeout(r, now);
    }
    handover_poll(r);
    if (now >= handover_deadline_ms(r)) {
        handover_tick(r);
    }
    if (now >= r->tick_ms + TICK_MS) {
        tick(r, now);
    }
    if (now >= read_barrier_deadline_ms(r->barrier)) {
        read_barrier_timer(r->barrier);
    }
}

void driver_changed(struct replica *r)
{
    int state = raft_state(&r->raft);
    uint64_t term = raft_current_term(&r->raft);
    uint64_t leader = replica_leader(r);
    bool accepts = replica_accepts(r);
    if (r->failed || r->opening ||
        (state == r->seen_state && term == r->seen_term &&
         leader == r->seen_leader && accepts == r->seen_accepts)) {
        return;
    }
    if (leader != r->seen_leader || term != r->seen_term) {
        replica_trace(r, TRACE_INFO, "role role=%s term=%llu leader=%llu",
                      replica_role_name((enum replica_role)(
                          state == RAFT_LEADER      ? REPLICA_LEADER
                          : state == RAFT_CANDIDATE ? REPLICA_CANDIDATE
                                                    : REPLICA_FOLLOWER)),
                      (unsigned long long)term, (unsigned long long)leader);
    }
    r->seen_state = state;
    r->seen_term = term;
    r->seen_leader = leader;
    r->seen_accepts = accepts;
    read_barrier_changed(r->barrier);
    r->events.changed(r->events.ctx);
}
