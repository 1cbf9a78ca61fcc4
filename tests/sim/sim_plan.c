/* A run in four parts: work under faults, end of faults, proof of life, and
 * the judgement of everything that was seen.
 *
 * A run that did too little is void and fails: the fault phase is prolonged
 * until enough was committed and enough went wrong, up to a limit. */
#include "tests/sim/sim_plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/replica_state.h"
#include "raftlog/internal.h"

enum {
    COMMITS_MIN = 40,
    FAULTS_MIN = 3,
    FAULT_PHASE_US_MIN = 2 * 1000 * 1000,
    FAULT_PHASE_US_MAX = 18 * 1000 * 1000,
    PROLONG_US_MAX = 300 * 1000 * 1000,
    SETTLE_US_MAX = 40 * 1000 * 1000,
    PROOF_US_MAX = 30 * 1000 * 1000
};

static void draw_options(struct sim_options *o)
{
    struct sim_random r;
    uint64_t shape;

    sim_random_init(&r, o->seed ^ 0x6f7074696f6e73);
    shape = sim_random_below(&r, 100);
    o->n_nodes = shape < 72 ? 3 : shape < 90 ? 5 : shape < 95 ? 1 : 2;
    o->n_members = o->n_nodes;
    if (o->n_nodes == 3 && sim_random_chance(&r, 250)) {
        o->n_nodes += (unsigned)sim_random_range(&r, 1, 2);
    }
    o->election_timeout_ms = (unsigned)sim_random_range(&r, 150, 600);
    o->segment_bytes = sim_random_chance(&r, 700) ? 64 * 1024 : 256 * 1024;
    o->cache_bytes = sim_random_range(&r, 4, 128) * 1024;
    o->snapshot_log_bytes = sim_random_range(&r, 64, 512) * 1024;
    o->snapshot_entries = sim_random_range(&r, 20, 600);
    o->trailing_entries = sim_random_range(&r, 8, 100);
    o->inflight_entries = (unsigned)sim_random_range(&r, 4, 64);
    if (o->trailing_entries < o->inflight_entries) {
        o->trailing_entries = o->inflight_entries; /* C-RAFT.md B3 */
    }
    o->request_timeout_ms = (unsigned)sim_random_range(&r, 500, 3000);
    o->skew_ms_max = sim_random_chance(&r, 500)
                         ? 0
                         : (unsigned)sim_random_range(&r, 1, 2000);
    o->flush_late = sim_random_chance(&r, 500);
    o->weak_syncs = sim_random_chance(&r, 350);
    o->compact_threshold = sim_random_range(&r, 20, 400);
    if (sim_random_chance(&r, 300)) {
        o->compact_age_ms = sim_random_range(&r, 200, 3000);
    }
    if (sim_random_chance(&r, 300)) {
        o->compact_rate_bytes = sim_random_range(&r, 16, 256) * 1024;
    }
    if (sim_random_chance(&r, 300)) {
        o->log_retention_bytes = sim_random_range(&r, 64, 512) * 1024;
    }
    o->stale_read_max_ms =
        sim_random_chance(&r, 500) ? 0 : (unsigned)sim_random_range(&r, 5, 400);
    o->majority_cuts = o->weak_syncs && o->n_nodes == o->n_members &&
                       sim_random_chance(&r, 500);
    if (sim_random_chance(&r, 400)) {
        o->log_retention_ms = sim_random_range(&r, 100, 4000);
    }
}

static void run_until(struct sim *sim, uint64_t limit_us)
{
    while (sim_step(sim, limit_us)) {
    }
}

/* ---- work under faults ---- */

static bool did_enough(const struct sim *sim)
{
    return sim->check.n_applied >= COMMITS_MIN &&
           sim->n_acknowledged >= COMMITS_MIN / 2 &&
           sim->faults.n_faults >= FAULTS_MIN;
}

static void work_under_faults(struct sim *sim)
{
    struct sim_random *random = &sim->random;
    uint64_t end_us;

    if (sim->options.n_nodes == 1) {
        COVER(one_node);
    } else if (sim->options.n_members == 5) {
        COVER(five_nodes);
    }
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        if (sim->options.weak_syncs) {
            sim->nodes[id].sync = sim_sync_draw(sim, random);
        }
        (void)sim_node_start(&sim->nodes[id]);
        sim_advance(sim, sim_random_below(random, 50000));
    }
    sim_clients_open(sim, (unsigned)sim_random_range(random, 1, 6));
    sim_faults_start(sim);
    end_us = sim->clock.now_us +
             sim_random_delay(random, FAULT_PHASE_US_MIN, FAULT_PHASE_US_MAX);
    run_until(sim, end_us);
    while (!sim->failed && !did_enough(sim) &&
           sim->clock.now_us < PROLONG_US_MAX) {
        /* So dense that nothing gets done: thin out. */
        sim->faults.mean_gap_us += sim->faults.mean_gap_us / 8;
        sim_advance(sim, 1000 * 1000);
    }
    if (!sim->failed && !did_enough(sim)) {
        sim_fail(sim,
                 "void: %" PRIu64 " entries applied, %" PRIu64
                 " operations acknowledged, %" PRIu64 " faults in %.0f s",
                 sim->check.n_applied, sim->n_acknowledged,
                 sim->faults.n_faults, (double)sim->clock.now_us / 1e6);
    }
}

/* ---- everything comes back ---- */

static bool clients_quiet(const struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_clients; i++) {
        if (sim->clients[i].n_pending > 0) {
            return false;
        }
    }
    return true;
}

static void describe_nodes(struct sim *sim, char *out, size_t size)
{
    size_t n = 0;

    out[0] = '\0';
    for (unsigned id = 1; id <= sim->options.n_nodes && n < size; id++) {
        struct sim_node *node = &sim->nodes[id];
        struct replica_status s;
        if (!node->up) {
            n += (size_t)snprintf(out + n, size - n, " n%u down;", id);
            continue;
        }
        replica_status(node->replica, &s);
        n += (size_t)snprintf(
            out + n, size - n,
            " n%u %s term=%" PRIu64 " last=%" PRIu64 " durable=%" PRIu64
            " commit=%" PRIu64 " applied=%" PRIu64 "%s;",
            id, replica_role_name(s.role), s.term, s.last_index,
            s.durable_index, s.commit_index, s.applied_index,
            s.installing ? " installing" : "");
    }
}

/* An error that came before the end of the faults may be seen only now. */
static void restart_all(struct sim *sim)
{
    for (unsigned id = 1; id <= sim->options.n_nodes && !sim->failed; id++) {
        if (!sim->nodes[id].up) {
            (void)sim_node_start(&sim->nodes[id]);
        }
    }
}

static void settle(struct sim *sim)
{
    uint64_t limit_us = sim->clock.now_us + SETTLE_US_MAX;
    char text[SIM_FAILURE_MAX - 200];

    for (unsigned i = 0; i < sim->n_clients; i++) {
        sim->clients[i].patience_us = UINT64_MAX;
    }
    sim_faults_stop(sim);
    sim_advance(sim, 2000 * 1000);
    for (unsigned i = 0; i < sim->n_clients; i++) {
        sim->clients[i].idle = true;
    }
    while (!sim->failed && sim->clock.now_us < limit_us) {
        if (clients_quiet(sim) && sim_check_converged(sim) &&
            sim_leader(sim) != NULL) {
            return;
        }
        restart_all(sim);
        sim_advance(sim, 50 * 1000);
    }
    if (!sim->failed) {
        describe_nodes(sim, text, sizeof text);
        sim_fail(sim, "not settled %d s after the last fault:%s clients %s",
                 SETTLE_US_MAX / 1000000, text,
                 clients_quiet(sim) ? "quiet" : "waiting");
    }
}

/* ---- proof of life ---- */

/* One operation through one node, tried until it succeeds. Returns the longest
 * time that nobody took writes. */
static uint64_t do_surely(struct sim *sim, unsigned node, struct sim_op op,
                          uint64_t limit_us)
{
    struct sim_client *c = &sim->clients[sim->n_clients - 1];
    uint64_t since_us = sim->clock.now_us, gap_us = 0;

    while (!sim->failed && sim->clock.now_us < limit_us) {
        if (c->session != NULL && c->node != node) {
            struct sim_node *old = &sim->nodes[c->node];
            if (sim_node_enter(old)) {
                session_close(c->session);
                c->session = NULL;
                sim_node_leave(old);
            }
        }
        c->wanted_node = node;
        if (op.kind == SIM_OP_SET) {
            op.argument = ++sim->n_values;
        }
        if (sim_client_submit(c, op)) {
            while (!sim->failed && c->n_pending > 0 &&
                   sim->clock.now_us < limit_us) {
                sim_advance(sim, 1000);
                if (sim_takes_writes(sim)) {
                    since_us = sim->clock.now_us;
                } else if (sim->clock.now_us - since_us > gap_us) {
                    gap_us = sim->clock.now_us - since_us;
                }
            }
            if (c->n_pending == 0 && c->last_ok) {
                return gap_us;
            }
        }
        sim_advance(sim, 50 * 1000);
    }
    if (!sim->failed) {
        sim_fail(sim, "operation %d through node %u does not succeed (%s)",
                 (int)op.kind, node, c->last_error);
    }
    return gap_us;
}

/* When all is quiet WAIT counts everybody; but one that is about to stop
 * answers at once. */
static void prove_wait(struct sim *sim, unsigned node, uint64_t limit_us)
{
    const struct sim_client *c = &sim->clients[sim->n_clients - 1];
    struct sim_op op = {.kind = SIM_OP_WAIT, .ttl_ms = 5000};
    const struct sim_node *leader = sim_leader(sim);

    if (leader != NULL) {
        op.argument = (int64_t)leader->replica->raft.configuration.n - 1;
    }
    do {
        (void)do_surely(sim, node, op, limit_us);
        sim_advance(sim, 1000);
    } while (!sim->failed && c->last_result != op.argument &&
             sim->clock.now_us < limit_us);
    if (!sim->failed && c->last_result != op.argument) {
        sim_fail(sim,
                 "WAIT through node %u counts %" PRId64 ", all %" PRId64
                 " others are there",
                 node, c->last_result, op.argument);
    }
}

/* What was slow when the faults ended has come to its end. */
static bool disks_are_quiet(const struct sim *sim)
{
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        const struct sim_node *n = &sim->nodes[id];
        const struct raftlog *log = n->up ? n->replica->log : NULL;
        if (log != NULL && (log->frame.active || log->syncing.active ||
                            log->hard.in_flight || log->rotating)) {
            return false;
        }
    }
    return true;
}

/* To one, then to anybody: writes do not wait longer than for an election. */
static void prove_handover(struct sim *sim, uint64_t limit_us)
{
    struct sim_random *random = &sim->client_random;
    struct sim_op op = {.kind = SIM_OP_LEADER};
    const struct sim_node *leader;

    while (!sim->failed && sim->clock.now_us < limit_us &&
           !(disks_are_quiet(sim) && sim_takes_writes(sim))) {
        sim_advance(sim, 1000);
    }
    leader = sim_leader(sim);
    if (leader == NULL || replica_n_voters(leader->replica) < 2) {
        return;
    }
    for (unsigned i = 0; i < 2 && !sim->failed; i++) {
        unsigned via;
        uint64_t gap_us;
        do {
            via = 1 + (unsigned)sim_random_below(random, sim->options.n_nodes);
        } while (!sim_check_is_member(sim, via));
        while (i == 0 &&
               (op.argument == 0 || op.argument == leader->id ||
                !replica_is_voter(leader->replica, (uint64_t)op.argument))) {
            op.argument =
                1 + (int64_t)sim_random_below(random, sim->options.n_nodes);
        }
        gap_us = do_surely(sim, via, op, limit_us);
        if (!sim->failed && gap_us / 1000 > sim->options.election_timeout_ms) {
            sim_fail(sim,
                     "nobody took writes for %" PRIu64
                     " ms of a transfer to node %" PRId64
                     "; the election timeout is %u ms",
                     gap_us / 1000, op.argument,
                     sim->options.election_timeout_ms);
        }
        op.argument = 0;
    }
}

static void prove_life(struct sim *sim)
{
    uint64_t limit_us = sim->clock.now_us + PROOF_US_MAX;
    struct sim_client *c = &sim->clients[sim->n_clients++];

    memset(c, 0, sizeof *c);
    c->sim = sim;
    c->id = sim->n_clients - 1;
    c->idle = true;
    c->pinned = true;
    c->patience_us = UINT64_MAX;
    prove_handover(sim, limit_us);
    for (unsigned node = 1; node <= sim->options.n_nodes; node++) {
        struct sim_op op = {.kind = SIM_OP_SET, .n_keys = 1};
        if (!sim_check_is_member(sim, node)) {
            continue;
        }
        (void)do_surely(sim, node, op, limit_us);
        prove_wait(sim, node, limit_us);
        for (unsigned key = 0; key < sim->n_keys; key++) {
            op = (struct sim_op){.kind = SIM_OP_GET, .n_keys = 1};
            op.key[0] = key;
            (void)do_surely(sim, node, op, limit_us);
        }
        op = (struct sim_op){.kind = SIM_OP_AUDIT};
        (void)do_surely(sim, node, op, limit_us);
        sim_accounts_check(sim);
    }
    /* A leader of just now sweeps with its next tick. */
    sim_advance(sim, 1000 * 1000);
    while (!sim->failed && !sim_check_converged(sim) &&
           sim->clock.now_us < limit_us) {
        sim_advance(sim, 10 * 1000);
    }
    if (!sim->failed && !sim_check_converged(sim)) {
        sim_fail(sim, "nodes do not reach the same index");
    }
}

/* ---- the run ---- */

static void add_totals(const struct sim *sim, struct sim_totals *t)
{
    t->n_runs++;
    t->simulated_us += sim->clock.now_us;
    t->n_events += sim->clock.n_fired;
    t->n_crashes += sim->n_crashes;
    t->n_faults += sim->faults.n_faults;
    t->n_partitions += sim->faults.n_partitions;
    t->n_commits += sim->check.n_applied;
    t->n_operations += sim->n_acknowledged;
    t->n_elections += sim->check.n_elections;
    for (unsigned i = 0; i < sim->n_clients; i++) {
        t->n_unknown += sim->clients[i].n_unknown;
    }
}

static void cover_disks(const struct sim *sim)
{
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        const struct sim_disk_stats *s = &sim->nodes[id].disk.stats;
        sim_cover_counts[SIM_COVER_write_lost] += s->n_lost;
        sim_cover_counts[SIM_COVER_write_torn] += s->n_torn;
        sim_cover_counts[SIM_COVER_sector_spoiled] += s->n_spoiled;
        sim_cover_counts[SIM_COVER_name_lost] += s->n_names_lost;
    }
    sim_cover_counts[SIM_COVER_hostile_drop] += sim->net.stats.n_dropped;
    sim_cover_counts[SIM_COVER_hostile_double] += sim->net.stats.n_doubled;
    sim_cover_counts[SIM_COVER_hostile_reorder] += sim->net.stats.n_reordered;
}

bool sim_plan_run(uint64_t seed, FILE *trace, FILE *history,
                  struct sim_totals *totals, char *failure)
{
    struct sim *sim = malloc(sizeof *sim);
    struct sim_options options;
    bool fine;

    sim_options_init(&options, seed);
    draw_options(&options);
    options.trace = trace != NULL;
    options.out = trace;
    sim_open(sim, &options);
    work_under_faults(sim);
    if (!sim->failed) {
        settle(sim);
    }
    if (!sim->failed) {
        prove_life(sim);
    }
    if (!sim->failed) {
        sim_check_final(sim);
    }
    if (!sim->failed) {
        (void)sim_history_check(sim);
    }
    if (history != NULL) {
        sim_history_write(sim, history);
    }
    cover_disks(sim);
    add_totals(sim, totals);
    fine = !sim->failed;
    memcpy(failure, sim->failure, SIM_FAILURE_MAX);
    sim_close(sim);
    free(sim);
    return fine;
}
