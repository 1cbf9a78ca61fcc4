/* What power cuts may take under the weaker sync policies (raftlog/README.md,
 * node/REPLICA.md "A node that forgot"), and what the judge does then.
 *
 * One node. A power cut takes no more than its policy says:
 *   always    nothing;
 *   batch     two batches, each with the frame that filled it: one that is
 *             being synced, and one that gathered meanwhile;
 *   interval  what was written in an interval and a tick before the last sync
 *             began, and what was begun in an interval since.
 * Times are those of the node's own clock, and not counted when it was paused.
 *
 * The cluster. A committed entry may be lost only if a majority of the voters
 * had it and lost it, none of them being up to date again, and no voter still
 * has it. That shows when somebody is elected who lacks it. Up to then it may
 * have been read, and everything that was seen must make one history. From then
 * on it must never be seen again: what follows is another history, whose keys
 * begin with what the first node holds that has applied the last entry left. An
 * operation that was pending may be in either, or in none. A write that was
 * answered and lost may come back once: a log that is left may hold an earlier
 * attempt of it, which had not been committed. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/replica_state.h"
#include "raftlog/internal.h"

/* Clocks are whole milliseconds, and what is due comes in an event. */
enum { SLACK_MS = 20 };

/* ---- one node ---- */

static void loosen(struct raftlog_sync_policy *p,
                   const struct raftlog_sync_policy *by)
{
    if (by->policy > p->policy) {
        p->policy = by->policy;
    }
    if (by->batch_entries > p->batch_entries) {
        p->batch_entries = by->batch_entries;
    }
    if (by->interval_ms > p->interval_ms) {
        p->interval_ms = by->interval_ms;
    }
}

static void note_persisted(struct sim_unsynced *u, uint64_t index, uint64_t ms)
{
    if (u->n > u->first && u->at[u->n - 1].index >= index) {
        return;
    }
    if (u->n == u->capacity) {
        u->capacity = u->capacity == 0 ? 64 : 2 * u->capacity;
        u->at = realloc(u->at, u->capacity * sizeof *u->at);
        assert(u->at != NULL);
    }
    u->at[u->n++] = (struct sim_written_until){index, ms};
}

void sim_loss_watch(struct sim_node *n)
{
    struct sim_unsynced *u = &n->at_risk;
    const struct raftlog *log = n->replica->log;
    const struct frame_write *w = &log->frame;

    if (!sync_is_pending(log)) {
        u->policy = log->options.sync;
        u->frame_max = 0;
        u->first = u->n = 0;
        u->was_paused = false;
    }
    loosen(&u->policy, &log->options.sync);
    if (w->active && w->weak) {
        u->frame_began_ms = w->started_ms;
        if (w->header.n_entries > u->frame_max) {
            u->frame_max = w->header.n_entries;
        }
    }
    /* A truncation takes entries back that were written. */
    while (u->n > u->first && u->n >= 2 &&
           u->at[u->n - 1].index > raftlog_persisted_index(log)) {
        u->n--;
    }
    while (u->first < u->n &&
           u->at[u->first].index <= raftlog_durable_index(log)) {
        u->first++;
    }
    if (sync_is_pending(log)) {
        note_persisted(u, raftlog_persisted_index(log), sim_node_now_ms(n));
    }
    if (log->stats.n_syncs != u->n_syncs) {
        u->n_syncs = log->stats.n_syncs;
        u->sync_ended_ms = sim_node_now_ms(n);
    }
    u->syncing = log->syncing.active;
    u->sync_began_ms = log->syncing.started_us / 1000;
}

void sim_loss_close(struct sim_node *n)
{
    free(n->at_risk.at);
    memset(&n->at_risk, 0, sizeof n->at_risk);
}

static void check_entries(struct sim_node *n, uint64_t n_lost)
{
    const struct sim_unsynced *u = &n->at_risk;
    uint64_t bound = 2 * (u->policy.batch_entries - 1 + u->frame_max);

    if (u->policy.policy == RAFTLOG_SYNC_BATCH && n_lost > bound) {
        sim_fail(n->sim,
                 "a power cut can take %" PRIu64 " entries from node %u, which "
                 "syncs after %" PRIu64 " and writes at most %" PRIu64
                 " at a time",
                 n_lost, n->id, u->policy.batch_entries, u->frame_max);
    }
}

static void check_time(struct sim_node *n)
{
    const struct sim_unsynced *u = &n->at_risk;
    uint64_t interval_ms = u->policy.interval_ms + TICK_MS + SLACK_MS;
    uint64_t began_ms = u->syncing ? u->sync_began_ms : sim_node_now_ms(n);
    uint64_t since_ms;

    if (u->was_paused || u->first == u->n) {
        return;
    }
    /* One at a time. */
    since_ms = u->at[u->first].ms;
    since_ms = u->sync_ended_ms > since_ms ? u->sync_ended_ms : since_ms;
    if (since_ms + interval_ms < began_ms) {
        sim_fail(n->sim,
                 "node %u has not synced within %" PRIu64
                 " ms what it wrote %" PRIu64 " ms before",
                 n->id, u->policy.interval_ms, began_ms - u->at[u->first].ms);
    }
    if (u->syncing && u->frame_began_ms > began_ms + interval_ms) {
        sim_fail(n->sim,
                 "node %u begins to write %" PRIu64
                 " ms behind a sync that does not end; its interval is %" PRIu64
                 " ms",
                 n->id, u->frame_began_ms - began_ms, u->policy.interval_ms);
    }
}

void sim_loss_check(struct sim_node *n, uint64_t durable, uint64_t persisted)
{
    if (persisted <= durable) {
        return;
    }
    if (n->at_risk.policy.policy == RAFTLOG_SYNC_ALWAYS) {
        sim_fail(n->sim,
                 "node %u syncs always and has not synced %" PRIu64
                 "..%" PRIu64,
                 n->id, durable + 1, persisted);
    }
    check_entries(n, persisted - durable);
    check_time(n);
}

void sim_loss_cut(struct sim_node *n, uint64_t durable, uint64_t persisted)
{
    struct sim_unsynced *u = &n->at_risk;

    if (persisted > durable) {
        COVER(acknowledged_at_risk);
    }
    if (!n->lossy || durable + 1 < u->lost_first) {
        u->lost_first = durable + 1;
    }
    if (!n->lossy || persisted > u->lost_last) {
        u->lost_last = persisted;
    }
}

bool sim_loss_took(const struct sim_node *n, uint64_t index)
{
    return n->lossy && index >= n->at_risk.lost_first &&
           index <= n->at_risk.lost_last;
}

bool sim_loss_explains(const struct sim_node *n, const char *words)
{
    return n->sim->loss.n_entries > 0 && n->replica != NULL &&
           !replica_is_voter(n->replica, n->id) &&
           n->applied_seen > n->sim->loss.last &&
           strncmp(words, "the leader's log contradicts", 28) == 0;
}

/* ---- the cluster ---- */

/* Most voters had it and lost it, and no other has it. */
static bool may_be_lost(struct sim_node *leader, uint64_t index)
{
    struct sim *sim = leader->sim;
    const struct raft_configuration *conf =
        &leader->replica->raft.configuration;
    uint64_t term = sim_check_entry(&sim->check, index)->term;
    unsigned n_voters = 0, n_lost = 0;

    for (unsigned i = 0; i < conf->n; i++) {
        const struct sim_node *n = &sim->nodes[conf->servers[i].id];
        if (conf->servers[i].role != RAFT_VOTER) {
            continue;
        }
        n_voters++;
        n_lost += sim_loss_took(n, index);
        if (n != leader && n->up &&
            raftlog_last_index(n->replica->log) >= index &&
            (index < raftlog_first_index(n->replica->log) ||
             raftlog_term(n->replica->log, index) == term)) {
            sim_fail(sim,
                     "node %u leads term %" PRIu64 " without the committed "
                     "entry %" PRIu64 " of term %" PRIu64 ", which node %u has",
                     leader->id, replica_term(leader->replica), index, term,
                     n->id);
            return false;
        }
    }
    if (2 * n_lost <= n_voters) {
        sim_fail(sim,
                 "node %u leads term %" PRIu64 " without the committed entry "
                 "%" PRIu64 " of term %" PRIu64
                 "; power cuts took it from %u of %u voters",
                 leader->id, replica_term(leader->replica), index, term, n_lost,
                 n_voters);
        return false;
    }
    return true;
}

static void cut_ledger(struct sim *sim, uint64_t last)
{
    struct sim_check *c = &sim->check;

    for (uint64_t i = last + 1; i < c->n_ledger; i++) {
        memset(&c->ledger[i], 0, sizeof c->ledger[i]);
    }
    c->commit = last;
    sim_ask_cut(sim, last);
}

static void cut_clients(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_clients; i++) {
        struct sim_client *c = &sim->clients[i];
        c->wrote_index = 0;
        for (unsigned k = 0; k < c->n_pending; k++) {
            c->pending[k].crossed = true;
        }
    }
}

bool sim_loss_found(struct sim_node *leader, uint64_t index)
{
    struct sim *sim = leader->sim;
    struct sim_loss *loss = &sim->loss;

    for (uint64_t i = index; i <= sim->check.commit; i++) {
        if (sim_check_entry(&sim->check, i)->term != 0 &&
            !may_be_lost(leader, i)) {
            return false;
        }
    }
    COVER(entries_lost);
    sim_trace(sim, "entries %" PRIu64 "..%" PRIu64 " are lost", index,
              sim->check.commit);
    loss->n_entries += sim->check.commit - index + 1;
    /* A second loss before the first one was looked at: nothing was answered in
     * between, so there is nothing to judge. */
    if (!loss->open) {
        sim_history_cut(
            sim,
            index > 1 ? sim_check_entry(&sim->check, index - 1)->moment : 0);
    }
    loss->open = true;
    loss->last = index - 1;
    loss->at_us = sim->clock.now_us;
    cut_ledger(sim, index - 1);
    cut_clients(sim);
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        if (sim->nodes[id].up) {
            sim_loss_applied(&sim->nodes[id],
                             replica_applied(sim->nodes[id].replica));
        }
    }
    return true;
}

/* ---- what is left ---- */

static size_t lease_of(struct sim *sim, const struct sim_key *key,
                       uint64_t expire_ms)
{
    for (size_t i = 0; i < key->n_leases; i++) {
        if (key->lease_facts[i].end_ms == expire_ms) {
            return i + 1;
        }
    }
    sim_fail(sim, "key %s expires at %" PRIu64 ", which nobody asked for",
             key->name, expire_ms);
    return 0;
}

static void restart_key(struct sim *sim, struct sim_key *key,
                        struct store *store)
{
    struct bytes name = {(const uint8_t *)key->name, strlen(key->name)};
    const struct store_item *item = store_get(store, name);
    struct linear_state *s = &key->initial;
    int64_t open = key->added_max - key->added_min;

    memset(s, 0, sizeof *s);
    if (item != NULL) {
        struct bytes value = store_item_value(item);
        struct sim_reply r = {.text = value.data, .size = value.size};
        s->present = true;
        s->value = sim_reply_number(&r);
        if (store_item_expire_ms(item) != 0) {
            s->lease = lease_of(sim, key, store_item_expire_ms(item));
        }
    }
    key->added_min = s->value;
    key->added_max = s->value + open;
}

void sim_loss_applied(struct sim_node *n, uint64_t index)
{
    struct sim *sim = n->sim;

    if (!sim->loss.open || index != sim->loss.last) {
        return;
    }
    sim->loss.open = false;
    sim_trace(sim, "n%u shows what is left at index %" PRIu64, n->id, index);
    for (unsigned i = 0; i < sim->n_keys; i++) {
        restart_key(sim, &sim->keys[i], replica_store(n->replica));
    }
    sim_accounts_restart(sim, replica_store(n->replica));
}
