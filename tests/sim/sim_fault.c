/* Faults at random.
 *
 * Each run draws which kinds it uses and how dense they are (a run with few
 * kinds reaches states that a mixture never leaves alone long enough to
 * build). Crashes aimed at moments of the protocol are in sim_aim.c. */
#include "tests/sim/sim.h"

#include <string.h>

#include "node/replica_state.h"

/* ---- random faults ---- */

enum fault_kind {
    FAULT_CRASH,
    FAULT_AIM,
    FAULT_CRASH_ALL,
    FAULT_CLEAN_STOP,
    FAULT_PAUSE,
    FAULT_PARTITION,
    FAULT_BREAK,
    FAULT_HOSTILE,
    FAULT_DISK_STALL,
    FAULT_DISK_FULL,
    FAULT_DISK_ERROR,
    FAULT_CLOCK,
    FAULT_DRAIN,
    FAULT_SNAPSHOT,
    FAULT_SLOW_NET,
    FAULT_SLOW_DISK,
    FAULT_ROT,
    FAULT_MEMBER,
    FAULT_SYNC,
    FAULT_N
};

static void stop_node(struct sim_node *n);

static struct sim_node *any_node(struct sim *sim)
{
    struct sim_random *random = &sim->faults.random;
    struct sim_node *leader = sim_leader(sim);

    /* The leader is the interesting one. */
    if (leader != NULL && sim_random_chance(random, 400)) {
        return leader;
    }
    return &sim->nodes[1 + sim_random_below(random, sim->options.n_nodes)];
}

static bool is_leader(const struct sim_node *n)
{
    return n->up && replica_is_leader(n->replica);
}

enum { DISK_ERRORS = 1u << FAULT_DISK_ERROR };

/* An error while the node recovers: it must refuse to start, and must not take
 * what it could not read for the end of its log. */
static void fail_in_open(struct sim_node *n)
{
    struct sim_random *random = &n->sim->faults.random;

    if (sim_random_chance(random, 600)) {
        n->disk.fail_reads = 1;
        n->disk.fail_reads_after = (unsigned)sim_random_delay(random, 0, 100);
    } else {
        n->disk.fail_syncs = 1;
    }
}

/* A node that is down starts again; false: it did not, try later. */
static void restart_due(void *ctx, uint64_t unused_a, uint64_t unused_b)
{
    struct sim_node *n = ctx;
    struct sim_random *random = &n->sim->faults.random;

    (void)unused_a;
    (void)unused_b;
    if (n->up || n->sim->failed) {
        return;
    }
    /* Now and then the recovery itself is hit. */
    if (n->sim->faults.active && sim_random_chance(random, 100)) {
        n->aim = (struct sim_aim){
            .kind = SIM_AIM_DISK,
            .operations = SIM_DISK_ANY,
            .text = "/",
            .countdown = (unsigned)sim_random_below(random, 12),
            .power_cut = sim_random_chance(random, 500),
            .cover = SIM_COVER_crash_in_open,
        };
    }
    if (n->sim->faults.active && (n->sim->faults.weights & DISK_ERRORS) &&
        sim_random_chance(random, 100)) {
        fail_in_open(n);
    }
    if (!sim_node_start(n) && n->rot.path[0] != '\0') {
        /* Refused, as it must be: the operator puts the file back. */
        sim_node_unrot(n);
    }
}

/* Every node that is down is started again after a while: a chain of its own,
 * because nodes also go down by aims and by themselves. */
static void watch_due(void *ctx, uint64_t unused_a, uint64_t unused_b)
{
    struct sim *sim = ctx;
    struct sim_random *random = &sim->faults.random;

    (void)unused_a;
    (void)unused_b;
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        struct sim_node *n = &sim->nodes[id];
        if (!n->up && sim_random_chance(random, 150)) {
            sim_clock_after(&sim->clock, sim_random_below(random, 100000),
                            restart_due, n, 0, 0);
        }
    }
    if (sim->faults.active) {
        sim_clock_after(&sim->clock, sim_random_range(random, 20000, 200000),
                        watch_due, sim, 0, 0);
    }
}

static void resume_due(void *ctx, uint64_t life, uint64_t unused)
{
    struct sim_node *n = ctx;

    (void)unused;
    if (n->life == life) {
        sim_node_pause(n, false);
    }
}

static void heal_due(void *ctx, uint64_t unused_a, uint64_t unused_b)
{
    (void)unused_a;
    (void)unused_b;
    sim_trace(ctx, "the network is whole");
    sim_net_heal(&((struct sim *)ctx)->net);
}

static void calm_due(void *ctx, uint64_t unused_a, uint64_t unused_b)
{
    struct sim *sim = ctx;

    (void)unused_a;
    (void)unused_b;
    sim->net.options.drop_permille = 0;
    sim->net.options.double_permille = 0;
    sim->net.options.reorder_permille = 0;
    sim->net.options.latency_us_max = 2000;
    sim->net.options.bytes_per_second = 100 * 1000 * 1000;
}

static void room_due(void *ctx, uint64_t unused_a, uint64_t unused_b)
{
    struct sim_node *n = ctx;

    (void)unused_a;
    (void)unused_b;
    sim_trace(n->sim, "n%u has room on its disk", n->id);
    n->disk.capacity_bytes = UINT64_MAX / 2;
}

static void fault_crash_all(struct sim *sim)
{
    bool power_cut = sim_random_chance(&sim->faults.random, 700);
    unsigned first =
        (unsigned)sim_random_below(&sim->faults.random, sim->options.n_nodes);
    unsigned spared = 0;
    bool forgetful = false;

    COVER(crash_of_all);
    /* Of a majority, if that may be: the others go on. */
    if (sim->options.majority_cuts &&
        sim_random_chance(&sim->faults.random, 500)) {
        spared = (unsigned)sim_random_below(&sim->faults.random,
                                            (sim->options.n_nodes + 1) / 2);
    }
    if (sim->options.majority_cuts) {
        forgetful = sim_random_chance(&sim->faults.random, 500);
    }
    for (unsigned i = spared; i < sim->options.n_nodes; i++) {
        unsigned id = 1 + (first + i) % sim->options.n_nodes;
        sim->nodes[id].disk.lose_all = forgetful;
        sim_node_crash(&sim->nodes[id], power_cut, "all at once");
    }
}

static void fault_pause(struct sim *sim, struct sim_node *n)
{
    sim_node_pause(n, true);
    sim_clock_after(&sim->clock,
                    sim_random_delay(&sim->faults.random, 10000, 5000000),
                    resume_due, n, n->life, 0);
}

static void fault_partition(struct sim *sim)
{
    struct sim_random *random = &sim->faults.random;
    struct sim_node *leader = sim_leader(sim);
    unsigned n_nodes = sim->options.n_nodes;
    unsigned group = (unsigned)sim_random_below(random, 1u << n_nodes);
    uint64_t way = sim_random_below(random, 3); /* both, out, in */

    if (n_nodes < 2) {
        return;
    }
    if (sim_random_chance(random, 500)) {
        unsigned id = leader != NULL && sim_random_chance(random, 600)
                          ? leader->id
                          : 1 + (unsigned)sim_random_below(random, n_nodes);
        group = 1u << (id - 1);
    }
    for (unsigned a = 1; a <= n_nodes; a++) {
        for (unsigned b = 1; b <= n_nodes; b++) {
            bool out = (group >> (a - 1) & 1) && !(group >> (b - 1) & 1);
            bool in = (group >> (b - 1) & 1) && !(group >> (a - 1) & 1);
            if ((out && way != 2) || (in && way != 1)) {
                sim_net_cut(&sim->net, a, b, true);
            }
        }
    }
    sim_trace(sim, "partition group=%u way=%u", group, (unsigned)way);
    COVER(partition);
    if (way != 0) {
        COVER(partition_one_way);
    }
    if (leader != NULL && group == 1u << (leader->id - 1)) {
        COVER(partition_leader);
    }
    sim->faults.n_partitions++;
    sim_clock_after(&sim->clock, sim_random_delay(random, 50000, 8000000),
                    heal_due, sim, 0, 0);
}

static void fault_break(struct sim *sim)
{
    unsigned n_nodes = sim->options.n_nodes;
    unsigned a = 1 + (unsigned)sim_random_below(&sim->faults.random, n_nodes);
    unsigned b = 1 + (unsigned)sim_random_below(&sim->faults.random, n_nodes);

    if (a != b) {
        COVER(link_break);
        sim_trace(sim, "connection n%u n%u breaks", a, b);
        sim_net_break(&sim->net, a, b);
    }
}

static void fault_hostile(struct sim *sim)
{
    struct sim_random *random = &sim->faults.random;
    struct sim_net_options *o = &sim->net.options;

    if (sim_random_chance(random, 500)) {
        o->drop_permille = (unsigned)sim_random_below(random, 200);
    }
    if (sim_random_chance(random, 500)) {
        o->double_permille = (unsigned)sim_random_below(random, 200);
    }
    if (sim_random_chance(random, 500)) {
        o->reorder_permille = (unsigned)sim_random_below(random, 200);
    }
    sim_clock_after(&sim->clock, sim_random_delay(random, 100000, 5000000),
                    calm_due, sim, 0, 0);
}

static void fault_slow_net(struct sim *sim)
{
    struct sim_random *random = &sim->faults.random;

    sim->net.options.latency_us_max = sim_random_range(random, 5000, 400000);
    sim->net.options.bytes_per_second =
        sim_random_range(random, 200 * 1000, 10 * 1000 * 1000);
    sim_clock_after(&sim->clock, sim_random_delay(random, 100000, 5000000),
                    calm_due, sim, 0, 0);
}

static void fault_aim(struct sim *sim, struct sim_node *n)
{
    struct sim_random *random = &sim->faults.random;
    const char *name = sim_aim_draw(random);

    (void)sim_aim_set(n, name, sim_random_chance(random, 600));
    n->aim.after = sim_random_chance(random, 500);
    n->aim.countdown = (unsigned)sim_random_delay(random, 0, 12);
    sim_trace(sim, "n%u aim %s countdown=%u", n->id, name, n->aim.countdown);
    sim->faults.n_faults--; /* Counts when it strikes. */
}

static void fault_disk(struct sim *sim, struct sim_node *n,
                       enum fault_kind kind)
{
    struct sim_random *random = &sim->faults.random;

    if (kind == FAULT_DISK_STALL) {
        COVER(disk_stall);
        n->disk.stall_until_us =
            sim->clock.now_us + sim_random_delay(random, 10000, 5000000);
    } else if (kind == FAULT_SLOW_DISK && sim->options.weak_syncs &&
               sim_random_chance(random, 500)) {
        n->disk.sync_us = sim_random_delay(random, 2000, 3000000);
    } else if (kind == FAULT_SLOW_DISK) {
        n->disk.write_us_max = sim_random_delay(random, 2000, 300000);
    } else if (kind == FAULT_DISK_FULL) {
        COVER(disk_full);
        n->disk.capacity_bytes =
            n->disk.used_bytes + sim_random_below(random, 100000);
        sim_clock_after(&sim->clock, sim_random_delay(random, 100000, 5000000),
                        room_due, n, 0, 0);
    } else if (kind == FAULT_DISK_ERROR && n->up) {
        COVER(disk_error);
        if (sim_random_chance(random, 500)) {
            n->disk.fail_writes = 1;
        } else {
            n->disk.fail_syncs = 1;
        }
    }
    sim_trace(sim, "n%u disk fault %d", n->id, (int)kind);
}

/* Bit rot, in a node that was stopped cleanly: then the log knows how far it
 * was durable, and damage can not be taken for a torn tail. It is refused or
 * does not matter; what matters never is served. */
static void fault_rot(struct sim *sim, struct sim_node *n)
{
    struct sim_random *random = &sim->faults.random;
    size_t n_files;
    const char *path;
    uint64_t size;

    if (!n->up || n->paused) {
        return;
    }
    n->aim.kind = SIM_AIM_NONE; /* The stop must be clean. */
    sim_node_stop(n);
    sim_node_unrot(n);
    n_files = sim_disk_n_files(&n->disk);
    path = sim_disk_file(&n->disk, sim_random_below(random, n_files), &size);
    if (path == NULL || size == 0 ||
        !sim_node_rot(n, path,
                      sim_random_chance(random, 500)
                          ? sim_random_below(random, size)
                          : sim_random_below(random, size < 8192 ? size : 8192),
                      (unsigned)sim_random_below(random, 8))) {
        return;
    }
    if (sim_node_start(n)) {
        COVER(rot_harmless);
    } else {
        sim_node_unrot(n);
    }
}

static void fault_clock(struct sim *sim, struct sim_node *n)
{
    COVER(clock_jump);
    sim_node_set_wall(n, (int64_t)sim_random_below(&sim->faults.random, 20001) -
                             10000);
}

/* A clean stop, now and then hit by a crash on its way. */
static void stop_node(struct sim_node *n)
{
    struct sim_random *random = &n->sim->faults.random;

    if (n->up && sim_random_chance(random, 200)) {
        n->aim = (struct sim_aim){
            .kind = SIM_AIM_DISK,
            .operations = SIM_DISK_ANY,
            .text = "/",
            .after = sim_random_chance(random, 500),
            .countdown = (unsigned)sim_random_below(random, 3),
            .power_cut = sim_random_chance(random, 700),
            .cover = SIM_COVER_crash_in_stop,
        };
    }
    sim_node_stop(n);
}

/* SIGTERM's end: the process leaves when it has handed over, or anyway. */
static void stop_due(void *ctx, uint64_t life, uint64_t unused)
{
    struct sim_node *n = ctx;

    (void)unused;
    if (n->life == life && !n->paused) {
        sim_node_stop(n);
        if (!n->sim->faults.active) {
            (void)sim_node_start(n);
        }
    }
}

void sim_node_drained(struct sim_node *n)
{
    sim_clock_after(&n->sim->clock,
                    sim_random_delay(&n->sim->faults.random, 0, 200000),
                    stop_due, n, n->life, 0);
}

static void fault_ask(struct sim *sim, struct sim_node *n, enum fault_kind kind)
{
    if (n->paused || !sim_node_enter(n)) {
        return;
    }
    if (kind == FAULT_DRAIN) {
        sim_trace(sim, "n%u is asked to hand over", n->id);
        sim_aim_provoke(n, 50, "timeout-now", 0);
        replica_drain(n->replica, 0);
        sim_clock_after(&sim->clock, 3000000, stop_due, n, n->life, 0);
    } else {
        sim_trace(sim, "n%u is asked for a snapshot", n->id);
        (void)replica_snapshot(n->replica);
    }
    sim_node_leave(n);
}

/* Change the configuration; refusals are fine. Never below three voters
 * (C-RAFT.md 1.8). */
static void fault_member(struct sim *sim)
{
    struct sim_random *random = &sim->faults.random;
    unsigned id = 1 + (unsigned)sim_random_below(random, sim->options.n_nodes);
    struct sim_node *leader = sim_leader(sim);
    struct err_info info;
    char address[16];
    int rv;

    if (sim->options.n_members == sim->options.n_nodes || leader == NULL ||
        leader->paused || !sim_node_enter(leader)) {
        return;
    }
    snprintf(address, sizeof address, "n%u:1", id);
    if (!sim_check_is_member(sim, id)) {
        rv = replica_member_add(leader->replica, id, address, &info);
        sim_cover_counts[SIM_COVER_member_added] += rv == 0;
    } else if (!replica_is_voter(leader->replica, id)) {
        rv = replica_member_promote(leader->replica, id, &info);
        sim_cover_counts[SIM_COVER_member_promoted] += rv == 0;
    } else if (replica_n_voters(leader->replica) > 3) {
        rv = replica_member_remove(leader->replica, id, &info);
        sim_cover_counts[SIM_COVER_member_removed] += rv == 0;
    } else {
        rv = ERR_INVALID;
    }
    sim_trace(sim, "n%u change of member %u: %s", leader->id, id, err_text(rv));
    sim_node_leave(leader);
}

static void inject(struct sim *sim, enum fault_kind kind)
{
    struct sim_node *n = any_node(sim);

    sim->faults.n_faults++;
    switch (kind) {
    case FAULT_CRASH:
        sim_node_crash(n, sim_random_chance(&sim->faults.random, 600),
                       is_leader(n) ? "leader" : "node");
        break;
    case FAULT_AIM:
        fault_aim(sim, n);
        break;
    case FAULT_CRASH_ALL:
        fault_crash_all(sim);
        break;
    case FAULT_CLEAN_STOP:
        stop_node(n);
        break;
    case FAULT_PAUSE:
        fault_pause(sim, n);
        break;
    case FAULT_PARTITION:
        fault_partition(sim);
        break;
    case FAULT_BREAK:
        fault_break(sim);
        break;
    case FAULT_HOSTILE:
        fault_hostile(sim);
        break;
    case FAULT_SLOW_NET:
        fault_slow_net(sim);
        break;
    case FAULT_CLOCK:
        fault_clock(sim, n);
        break;
    case FAULT_MEMBER:
        fault_member(sim);
        break;
    case FAULT_ROT:
        fault_rot(sim, n);
        break;
    case FAULT_SYNC:
        if (sim->options.weak_syncs) {
            struct raftlog_sync_policy policy =
                sim_sync_draw(sim, &sim->faults.random);
            sim_node_set_sync(n, &policy);
        }
        break;
    case FAULT_DRAIN:
    case FAULT_SNAPSHOT:
        fault_ask(sim, n, kind);
        break;
    default:
        fault_disk(sim, n, kind);
        break;
    }
}

static void fault_due(void *ctx, uint64_t unused_a, uint64_t unused_b)
{
    struct sim *sim = ctx;
    struct sim_random *random = &sim->faults.random;
    unsigned kind = (unsigned)sim_random_below(random, FAULT_N);

    (void)unused_a;
    (void)unused_b;
    if (!sim->faults.active || sim->failed) {
        return;
    }
    while (!(sim->faults.weights >> kind & 1)) {
        kind = (kind + 1) % FAULT_N;
    }
    /* Joining takes three successful steps and leaving a fourth. */
    if (sim->options.n_members < sim->options.n_nodes &&
        sim_random_chance(random, 250)) {
        kind = FAULT_MEMBER;
    }
    /* What stands together with them has to come often enough to meet. */
    if (sim->options.majority_cuts && sim_random_chance(random, 100)) {
        kind = FAULT_CRASH_ALL;
    }
    /* Rare ones stay rare. */
    if ((kind != FAULT_CRASH_ALL && kind != FAULT_DISK_ERROR) ||
        sim_random_chance(random, 400)) {
        inject(sim, kind);
    }
    sim_clock_after(&sim->clock,
                    sim_random_delay(random, sim->faults.mean_gap_us / 4,
                                     sim->faults.mean_gap_us * 4),
                    fault_due, sim, 0, 0);
}

void sim_faults_start(struct sim *sim)
{
    struct sim_faults *f = &sim->faults;

    f->active = true;
    f->weights = (unsigned)sim_random_below(&f->random, 1u << FAULT_N);
    if (sim_random_chance(&f->random, 300)) {
        f->weights = (1u << FAULT_N) - 1;
    }
    if (sim->options.n_members < sim->options.n_nodes) {
        f->weights |= 1u << FAULT_MEMBER;
    }
    f->weights |=
        1u << (sim_random_chance(&f->random, 500) ? FAULT_CRASH : FAULT_AIM);
    f->mean_gap_us = sim_random_delay(&f->random, 100000, 2000000);
    sim_clock_after(&sim->clock, f->mean_gap_us, fault_due, sim, 0, 0);
    sim_clock_after(&sim->clock, 100000, watch_due, sim, 0, 0);
}

void sim_faults_stop(struct sim *sim)
{
    sim->faults.active = false;
    sim_trace(sim, "faults end");
    calm_due(sim, 0, 0);
    sim_net_heal(&sim->net);
    for (unsigned id = 1; id <= sim->options.n_nodes && !sim->failed; id++) {
        struct sim_node *n = &sim->nodes[id];
        n->aim.kind = SIM_AIM_NONE;
        n->disk.capacity_bytes = UINT64_MAX / 2;
        n->disk.stall_until_us = 0;
        n->disk.fail_writes = 0;
        n->disk.fail_syncs = 0;
        n->disk.fail_reads = 0;
        n->disk.write_us_max = 2000;
        n->disk.sync_us = 0;
        sim_node_unrot(n);
        sim_node_pause(n, false);
        if (!n->up) {
            (void)sim_node_start(n);
        }
    }
}
