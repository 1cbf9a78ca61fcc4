/* A simulated process: a replica and its service, and the world they see.
 *
 * Happy path: an event (message, timer, disk completion, a job's done, a
 * client's request) enters the node, calls into replica or service, and
 * leaves: replica_flush, invariants, next timer.
 *
 * A crash in the middle of an event: the disk is frozen and nothing is sent
 * any more (dying), the code runs on into the void until the event is over,
 * then the process is taken down: sessions, replica_abandon, service_free, the
 * jobs that are left (their files fail), and last the disk decides what
 * survives. So a crash can fall between any two operations of a blocking
 * function. Events of an earlier life are recognised by its number. */
#include "tests/sim/sim.h"
#include "tests/sim/sim_node_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/replica_state.h"
#include "raftlog/block.h"
#include "raftlog/internal.h"

/* A node whose timer fires this often in a second is in a busy loop. */
enum { TIMERS_PER_SECOND_MAX = 20000, LIFE_SHIFT = 8 };

static void node_event(void *ctx, uint64_t kind_and_life, uint64_t arg);

void sim_node_schedule(struct sim_node *n, uint64_t delay_us,
                       enum sim_node_event kind, uint64_t arg)
{
    sim_clock_after(&n->sim->clock, delay_us, node_event, n,
                    (uint64_t)kind | n->life << LIFE_SHIFT, arg);
}

/* ---- start ---- */

static void make_options(struct sim_node *n, struct replica_options *o,
                         struct replica_server *servers, char *dir,
                         size_t dir_size)
{
    const struct sim_options *s = &n->sim->options;

    memset(o, 0, sizeof *o);
    memset(servers, 0, SIM_NODES_MAX * sizeof *servers);
    for (unsigned i = 0; i < s->n_members; i++) {
        servers[i].id = i + 1;
        snprintf(servers[i].address, sizeof servers[i].address, "n%u:1", i + 1);
        servers[i].role = RAFT_VOTER;
    }
    snprintf(dir, dir_size, "/n%u/data", n->id);
    o->id = n->id;
    o->data_dir = dir;
    memcpy(o->cluster_id, "simulated-clustr", RAFTLOG_CLUSTER_ID_SIZE);
    o->initial = servers;
    o->n_initial = n->id <= s->n_members ? s->n_members : 0;
    o->election_timeout_ms = s->election_timeout_ms;
    o->segment_bytes = s->segment_bytes;
    o->cache_bytes = s->cache_bytes;
    o->snapshot_log_bytes = s->snapshot_log_bytes;
    o->snapshot_entries = s->snapshot_entries;
    o->trailing_entries = s->trailing_entries;
    o->log_retention_bytes = s->log_retention_bytes;
    o->log_retention_ms = s->log_retention_ms;
    o->compact_threshold = s->compact_threshold;
    o->compact_age_ms = s->compact_age_ms;
    o->compact_reserve_percent = 100;
    o->compact_rate_bytes = s->compact_rate_bytes;
    o->inflight_entries = s->inflight_entries;
    o->sync = n->sync;
}

static void reset_life(struct sim_node *n)
{
    n->life++;
    n->dying = false;
    n->dying_by_power = false;
    n->timer_at_us = UINT64_MAX;
    n->flush_pending = false;
    n->commit_seen = 0;
    n->applied_seen = 0;
    n->commit_checked = 0;
    n->truncations_seen = 0;
    n->log_first_seen = 0;
    n->segments_seen = 0;
    n->expired_seen = 0;
    n->was_leader = false;
    n->errors_before = n->disk.stats.n_errors_injected;
    sim_random_fork(&n->sim->random, "node", n->life << 8 | n->id, &n->random);
}

/* The start failed: fine only when a fault was the reason. */
static void start_failed(struct sim_node *n, int rv,
                         const struct err_info *info)
{
    bool hit = n->disk.stats.n_errors_injected > n->errors_before;
    /* Damage must be told as damage. */
    bool rot = n->rot.path[0] != '\0' &&
               (rv == ERR_CORRUPT || rv == ERR_VERSION || rv == ERR_CLUSTER);
    bool explained = n->dying || rv == ERR_NOSPACE || hit || rot;

    sim_trace(n->sim, "n%u did not start: %s (%s)", n->id, info->message,
              err_name(rv));
    if (n->dying) {
        COVER(crash_in_open);
    } else if (hit) {
        COVER(disk_error_in_open);
    } else if (rot) {
        COVER(rot_refused);
    }
    if (!explained) {
        sim_fail(n->sim, "node %u refuses to start: %s (%s)", n->id,
                 info->message, err_name(rv));
    }
    n->dying = true;
    sim_node_take_down(n);
}

bool sim_node_start(struct sim_node *n)
{
    struct replica_server servers[SIM_NODES_MAX];
    struct service_options service_options = {
        .request_timeout_ms = n->sim->options.request_timeout_ms,
        .stale_read_max_ms = n->sim->options.stale_read_max_ms};
    struct replica_events events;
    struct replica_options options;
    struct replica_io io;
    struct err_info info = {0};
    char dir[32];
    int rv;

    if (n->up || n->sim->failed) {
        return n->up;
    }
    if (n->sim->options.weak_syncs &&
        sim_random_chance(&n->sim->faults.random, 400)) {
        n->sync = sim_sync_draw(n->sim, &n->sim->faults.random);
    }
    reset_life(n);
    sim_disk_select(&n->disk);
    sim_node_make_io(n, &io);
    sim_node_make_events(n, &events);
    make_options(n, &options, servers, dir, sizeof dir);
    n->opening = true;
    n->inside = true;
    rv = service_new(&service_options, &io, NULL, NULL, &n->service);
    assert(rv == 0);
    service_events(n->service, &n->service_events);
    rv = replica_open(&options, &io, &events, &n->replica, &info);
    n->opening = false;
    n->inside = false;
    if (rv != 0 || n->dying) {
        start_failed(n, rv, &info);
        return false;
    }
    service_attach(n->service, n->replica);
    n->unsynced = false;
    n->up = true;
    n->paused = false;
    sim_trace(n->sim, "n%u started life=%llu", n->id,
              (unsigned long long)n->life);
    sim_check_started(n);
    sim_net_start(&n->sim->net, n->id);
    if (sim_node_enter(n)) {
        sim_node_leave(n);
    }
    return n->up;
}

/* ---- end ---- */

/* Jobs end with the process: what has not run finds a dead disk. */
static void drain_jobs(struct sim_node *n)
{
    while (n->jobs != NULL) {
        struct sim_job *job = n->jobs;
        n->jobs = job->next;
        if (!job->worked) {
            job->work(job->arg);
        }
        job->done(job->arg);
        free(job);
    }
}

static void forget_deferred(struct sim_node *n)
{
    while (n->deferred != NULL) {
        struct sim_deferred *d = n->deferred;
        n->deferred = d->next;
        free(d);
    }
    n->deferred_tail = &n->deferred;
}

static void end_service(struct sim_node *n)
{
    struct service_stats stats;

    service_get_stats(n->service, &stats);
    sim_cover_counts[SIM_COVER_write_retried] += stats.n_retried;
    service_free(n->service);
    n->service = NULL;
}

/* The power cut has taken, or may have, what was not synced. */
static void forget_unsynced(struct sim_node *n)
{
    if (n->unsynced) {
        sim_loss_cut(n, n->durable_index, n->persisted_index);
        n->persisted_index = n->durable_index;
        n->lossy = true;
        n->unsynced = false;
    }
}

void sim_node_take_down(struct sim_node *n)
{
    bool was_up = n->up;

    sim_disk_select(&n->disk);
    sim_disk_freeze(&n->disk);
    n->inside = true;
    if (was_up) {
        sim_check_crashed(n);
    }
    if (n->dying_by_power) {
        forget_unsynced(n);
    }
    sim_clients_node_down(n);
    n->up = false;
    replica_abandon(n->replica);
    n->replica = NULL;
    drain_jobs(n);
    end_service(n);
    n->inside = false;
    n->life++; /* Whatever is scheduled is void. */
    forget_deferred(n);
    n->paused = false;
    sim_disk_crash(&n->disk, n->dying_by_power);
    if (was_up) {
        sim_net_stop(&n->sim->net, n->id, n->dying_by_power);
    }
    if (n->dying_by_power) {
        COVER(power_cut);
    } else {
        COVER(process_crash);
    }
    n->aim.kind = SIM_AIM_NONE;
    n->sim->n_crashes++;
}

/* That nothing is lost is promised only while a majority keeps what it has: in
 * runs that count on it the process is killed instead. Without anything
 * unsynced there is nothing to take. */
static bool may_lose_power(const struct sim_node *n)
{
    const struct sim *sim = n->sim;
    unsigned n_lossy = 0;

    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        n_lossy += sim->nodes[id].lossy && id != n->id;
    }
    return !sim->options.weak_syncs || sim->options.majority_cuts ||
           !n->unsynced || n_lossy + 1 <= (sim->options.n_members - 1) / 2;
}

void sim_node_crash(struct sim_node *n, bool power_cut, const char *why)
{
    if ((!n->up && !n->opening) || n->dying) {
        return;
    }
    n->unsynced = n->up ? sync_is_pending(n->replica->log) : n->unsynced;
    if (n->stopping && n->up) {
        sim_check_crashed(n); /* a clean stop has synced since it began */
    }
    power_cut = power_cut && may_lose_power(n);
    sim_trace(n->sim, "n%u %s: %s", n->id,
              power_cut ? "loses power" : "is killed", why);
    if (n->up && replica_is_leader(n->replica)) {
        COVER(crash_leader);
    }
    n->dying = true;
    n->dying_by_power = power_cut;
    sim_disk_freeze(&n->disk);
    if (!n->inside) {
        sim_node_take_down(n);
    }
}

void sim_node_stop(struct sim_node *n)
{
    uint64_t n_errors = n->disk.stats.n_errors_injected;
    bool was_pending;

    if (!n->up || n->inside) {
        return;
    }
    was_pending = sync_is_pending(n->replica->log);
    sim_trace(n->sim, "n%u stops", n->id);
    COVER(clean_stop);
    sim_disk_select(&n->disk);
    n->inside = true;
    sim_check_crashed(n);
    sim_clients_node_down(n);
    n->stopping = true;
    replica_close(n->replica);
    n->up = false;
    n->replica = NULL;
    drain_jobs(n);
    end_service(n);
    n->inside = false;
    n->life++;
    forget_deferred(n);
    n->paused = false;
    n->stopping = false;
    n->aim.kind = SIM_AIM_NONE;
    if (!n->dying) {
        /* The end syncs all, if the disk lets it. */
        n->unsynced = was_pending && n->disk.stats.n_errors_injected > n_errors;
    } else if (n->dying_by_power) {
        forget_unsynced(n);
    }
    if (n->dying) {
        COVER(crash_in_stop);
    }
    /* Otherwise only lets go of locks. */
    sim_disk_crash(&n->disk, n->dying && n->dying_by_power);
    sim_net_stop(&n->sim->net, n->id, false);
}

void sim_node_wipe(struct sim_node *n)
{
    assert(!n->up);
    sim_disk_wipe(&n->disk);
    n->data_was_lost = true;
}

/* The sector of a flipped bit as it is now. */
static void look_around(const struct sim_node *n, int around[SIM_ROT_AROUND])
{
    uint64_t begin = n->rot.offset / SIM_ROT_AROUND * SIM_ROT_AROUND;

    for (unsigned i = 0; i < SIM_ROT_AROUND; i++) {
        around[i] = sim_disk_byte(&n->disk, n->rot.path, begin + i);
    }
}

bool sim_node_rot(struct sim_node *n, const char *path, uint64_t offset,
                  unsigned bit)
{
    struct sim_rot *rot = &n->rot;

    assert(!n->up && rot->path[0] == '\0');
    if (!sim_disk_rot(&n->disk, path, offset, bit)) {
        return false;
    }
    snprintf(rot->path, sizeof rot->path, "%s", path);
    rot->offset = offset;
    rot->bit = bit;
    look_around(n, rot->around);
    sim_trace(n->sim, "n%u bit %u of byte %llu of %s is flipped", n->id, bit,
              (unsigned long long)offset, path);
    return true;
}

void sim_node_unrot(struct sim_node *n)
{
    struct sim_rot *rot = &n->rot;
    int around[SIM_ROT_AROUND];

    /* Not what was written over it since: the byte alone can be the same by
     * chance, and the repair would be the damage. */
    look_around(n, around);
    if (rot->path[0] != '\0' &&
        memcmp(around, rot->around, sizeof around) == 0) {
        (void)sim_disk_rot(&n->disk, rot->path, rot->offset, rot->bit);
        sim_trace(n->sim, "n%u flipped bit is repaired", n->id);
    }
    rot->path[0] = '\0';
}

/* ---- running ---- */

bool sim_node_enter(struct sim_node *n)
{
    if (!n->up || n->sim->failed) {
        return false;
    }
    assert(!n->inside);
    n->inside = true;
    sim_disk_select(&n->disk);
    return true;
}

/* When the node's own clock shows at_ms. */
static uint64_t wake_us(const struct sim_node *n, uint64_t at_ms)
{
    uint64_t now_ms = sim_node_now_ms(n);
    uint64_t wait_ms;

    if (at_ms <= now_ms) {
        return n->sim->clock.now_us + 20;
    }
    wait_ms = at_ms - now_ms;
    if (wait_ms > 3600 * 1000) {
        wait_ms = 3600 * 1000;
    }
    return n->sim->clock.now_us + wait_ms * 1000;
}

static void arm_timer(struct sim_node *n)
{
    uint64_t at_ms = replica_deadline_ms(n->replica);
    uint64_t service_ms = service_deadline_ms(n->service);
    uint64_t at_us;

    if (service_ms < at_ms) {
        at_ms = service_ms;
    }
    if (at_ms == UINT64_MAX) {
        return;
    }
    at_us = wake_us(n, at_ms);
    if (at_us < n->timer_at_us) {
        n->timer_at_us = at_us;
        sim_node_schedule(n, at_us - n->sim->clock.now_us, SIM_NODE_TIMER,
                          ++n->timer_number);
    }
}

static void flush(struct sim_node *n)
{
    if (!n->sim->options.flush_late) {
        replica_flush(n->replica);
    } else if (!n->flush_pending) {
        n->flush_pending = true;
        sim_node_schedule(n, sim_random_below(&n->random, 100), SIM_NODE_FLUSH,
                          0);
    }
}

/* A server that a new configuration brought is dialled; here all links are
 * there already. */
static void greet_members(struct sim_node *n)
{
    for (unsigned id = 1; id <= n->sim->options.n_nodes && !n->dying; id++) {
        const struct replica_peer *peer =
            id != n->id ? replica_find_peer(n->replica, id) : NULL;
        if (peer != NULL && !peer->connected &&
            sim_net_told(&n->sim->net, n->id, id)) {
            replica_peer(n->replica, id, true);
        }
    }
}

void sim_node_leave(struct sim_node *n)
{
    if (!n->dying) {
        flush(n);
    }
    if (!n->dying && n->sim->options.n_members < n->sim->options.n_nodes) {
        greet_members(n);
    }
    if (!n->dying) {
        sim_check_node(n);
    }
    n->inside = false;
    if (n->dying) {
        sim_node_take_down(n);
        return;
    }
    arm_timer(n);
}

static void count_timer(struct sim_node *n)
{
    uint64_t now = n->sim->clock.now_us;

    if (now - n->timers_window_us > 1000000) {
        n->timers_window_us = now;
        n->timers_in_window = 0;
    }
    if (++n->timers_in_window > TIMERS_PER_SECOND_MAX) {
        sim_fail(n->sim, "node %u fires its timer in a busy loop", n->id);
    }
}

static void fire_timer(struct sim_node *n)
{
    uint64_t now = sim_node_now_ms(n);

    count_timer(n);
    n->timer_at_us = UINT64_MAX;
    if (replica_deadline_ms(n->replica) <= now) {
        replica_timer(n->replica);
    }
    if (!n->dying && service_deadline_ms(n->service) <= now) {
        service_timer(n->service);
    }
}

static struct sim_job *find_job(struct sim_node *n, uint64_t number)
{
    struct sim_job *job = n->jobs;

    while (job != NULL && job->number != number) {
        job = job->next;
    }
    return job;
}

static void run_work(struct sim_node *n, uint64_t number)
{
    struct sim_job *job = find_job(n, number);

    job->work(job->arg);
    job->worked = true;
    if (!n->dying) {
        sim_node_schedule(n, sim_random_delay(&n->disk.random, 5, 3000),
                          SIM_NODE_DONE, number);
    }
}

static void run_done(struct sim_node *n, uint64_t number)
{
    struct sim_job *job = find_job(n, number);
    struct sim_job **at = &n->jobs;

    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
    job->done(job->arg);
    free(job);
}

static void defer(struct sim_node *n, uint64_t kind, uint64_t arg)
{
    struct sim_deferred *d = calloc(1, sizeof *d);

    assert(d != NULL);
    d->kind = kind;
    d->arg = arg;
    *n->deferred_tail = d;
    n->deferred_tail = &d->next;
}

static void node_event(void *ctx, uint64_t kind_and_life, uint64_t arg)
{
    struct sim_node *n = ctx;
    enum sim_node_event kind = kind_and_life & ((1u << LIFE_SHIFT) - 1);

    if (kind_and_life >> LIFE_SHIFT != n->life || !n->up) {
        return;
    }
    if (kind == SIM_NODE_TIMER && arg != n->timer_number) {
        return; /* An earlier one was armed instead. */
    }
    if (n->paused) {
        defer(n, kind_and_life, arg);
        return;
    }
    if (!sim_node_enter(n)) {
        return;
    }
    switch (kind) {
    case SIM_NODE_TIMER:
        fire_timer(n);
        break;
    case SIM_NODE_POLL:
        replica_poll(n->replica);
        break;
    case SIM_NODE_WORK:
        run_work(n, arg);
        break;
    case SIM_NODE_DONE:
        run_done(n, arg);
        break;
    case SIM_NODE_FLUSH:
        replica_flush(n->replica);
        break;
    case SIM_NODE_CLIENT:
        sim_client_due(&n->sim->clients[arg], n);
        break;
    }
    sim_node_leave(n);
    /* Cleared behind leave, which would otherwise ask for the next flush. */
    if (kind == SIM_NODE_FLUSH) {
        n->flush_pending = false;
    }
}

void sim_node_call_client(struct sim_node *n, uint64_t delay_us,
                          uint64_t client)
{
    sim_node_schedule(n, delay_us, SIM_NODE_CLIENT, client);
}

void sim_node_receive(struct sim_node *n, unsigned from, void *block,
                      size_t size)
{
    if (sim_node_enter(n)) {
        replica_receive(n->replica, from, block, size);
        sim_node_leave(n);
    }
}

void sim_node_peer(struct sim_node *n, unsigned peer, bool connected)
{
    /* Also during a pause: the node learns late, which is the network's
     * doing; the net does not tell paused nodes. */
    if (sim_node_enter(n)) {
        replica_peer(n->replica, peer, connected);
        sim_node_leave(n);
    }
}

void sim_node_pause(struct sim_node *n, bool paused)
{
    struct sim_deferred *d;
    bool messages_first;

    if (!n->up || n->paused == paused) {
        return;
    }
    sim_trace(n->sim, "n%u %s", n->id, paused ? "is paused" : "goes on");
    n->at_risk.was_paused = true;
    n->paused = paused;
    if (paused) {
        sim_net_pause(&n->sim->net, n->id, true);
        COVER(pause);
        if (replica_is_leader(n->replica)) {
            COVER(pause_leader);
        }
        return;
    }
    /* What was missed comes in any order: messages first, or timers, clients
     * and completions first. */
    messages_first = sim_random_chance(&n->random, 500);
    if (messages_first) {
        sim_net_pause(&n->sim->net, n->id, false);
    }
    d = n->deferred;
    n->deferred = NULL;
    n->deferred_tail = &n->deferred;
    while (d != NULL) {
        struct sim_deferred *next = d->next;
        sim_clock_after(&n->sim->clock, 0, node_event, n, d->kind, d->arg);
        free(d);
        d = next;
    }
    if (!messages_first) {
        sim_net_pause(&n->sim->net, n->id, false);
    }
}

struct raftlog_sync_policy sim_sync_draw(const struct sim *sim,
                                         struct sim_random *random)
{
    struct raftlog_sync_policy p = {
        (enum raftlog_sync)sim_random_below(random, 3),
        sim_random_range(random, 1, 60), sim_random_delay(random, 20, 3000)};
    /* One node that syncs always keeps everything for the others. */
    if (sim->options.majority_cuts && p.policy == RAFTLOG_SYNC_ALWAYS &&
        sim_random_chance(random, 800)) {
        p.policy = RAFTLOG_SYNC_INTERVAL;
    }
    return p;
}

void sim_node_set_sync(struct sim_node *n,
                       const struct raftlog_sync_policy *policy)
{
    n->sync = *policy;
    if (n->up && !n->paused && sim_node_enter(n)) {
        sim_trace(n->sim, "n%u syncs %s", n->id,
                  raftlog_sync_name(policy->policy));
        (void)raftlog_set_sync(n->replica->log, policy);
        sim_node_leave(n);
    }
}

/* ---- life of the struct ---- */

void sim_node_init(struct sim_node *n, struct sim *sim, unsigned id)
{
    struct sim_disk_hooks hooks;
    struct sim_random random;

    memset(n, 0, sizeof *n);
    n->sim = sim;
    n->id = id;
    n->deferred_tail = &n->deferred;
    sim_node_make_hooks(n, &hooks);
    sim_disk_init(&n->disk, id, &sim->random, &sim->clock, &hooks);
    sim_random_fork(&sim->random, "clock", id, &random);
    n->monotonic_base = sim_random_below(&random, 1000000000);
    n->drift_ppm = (int64_t)sim_random_below(&random, 2001) - 1000;
    n->clock_skew_ms =
        (int64_t)sim_random_below(&random, 2 * sim->options.skew_ms_max + 1) -
        (int64_t)sim->options.skew_ms_max;
}

void sim_node_close(struct sim_node *n)
{
    if (n->up) {
        /* After a failure the node may be in any state: no more checks. */
        n->dying = true;
        sim_node_take_down(n);
    }
    forget_deferred(n);
    sim_loss_close(n);
    sim_disk_close(&n->disk);
}
