/* The world as a simulated process sees it: struct replica_io, the events of
 * its replica watched on their way to the service, and the hooks of its disk.
 * When and how the process lives is in sim_node.c. */
#include "tests/sim/sim.h"
#include "tests/sim/sim_node_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- time ---- */

static uint64_t local_us(const struct sim_node *n, uint64_t us)
{
    return us + (uint64_t)((int64_t)(us / 1000) * n->drift_ppm / 1000);
}

uint64_t sim_node_now_ms(const struct sim_node *n)
{
    return n->monotonic_base + local_us(n, n->sim->clock.now_us) / 1000;
}

/* ---- struct replica_io ---- */

static uint64_t io_now_ms(void *ctx)
{
    return sim_node_now_ms(ctx);
}

static uint64_t io_now_us(void *ctx)
{
    const struct sim_node *n = ctx;

    return n->monotonic_base * 1000 + local_us(n, n->sim->clock.now_us);
}

uint64_t sim_node_wall_ms(const struct sim_node *n)
{
    return (uint64_t)((int64_t)(1700000000000 + n->sim->clock.now_us / 1000) +
                      n->clock_skew_ms);
}

static uint64_t io_clock_ms(void *ctx)
{
    return sim_node_wall_ms(ctx);
}

static uint64_t io_random(void *ctx)
{
    return sim_random_next(&((struct sim_node *)ctx)->random);
}

static bool io_send(void *ctx, uint64_t to, const struct wire_frame *frame)
{
    struct sim_node *n = ctx;
    bool sent;

    if (n->dying || n->stopping || !n->up) {
        return false;
    }
    sim_check_sent(n, (unsigned)to, frame);
    sent = sim_net_send(&n->sim->net, n->id, (unsigned)to, frame);
    if (sent) {
        sim_aim_sent(n, frame);
    }
    return sent;
}

static uint64_t io_queued_bytes(void *ctx, uint64_t to, enum wire_lane lane)
{
    struct sim_node *n = ctx;

    if (to == 0 || to > n->sim->options.n_nodes || to == n->id) {
        return 0;
    }
    return sim_net_queued(&n->sim->net, n->id, (unsigned)to, lane);
}

static void io_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct sim_node *n = ctx;
    struct sim_job *job = calloc(1, sizeof *job);

    assert(job != NULL);
    job->number = n->n_jobs++;
    job->work = work;
    job->done = done;
    job->arg = arg;
    job->next = n->jobs;
    n->jobs = job;
    sim_node_schedule(n, sim_random_delay(&n->disk.random, 5, 5000),
                      SIM_NODE_WORK, job->number);
}

static void io_fatal(void *ctx, const struct err_info *info)
{
    struct sim_node *n = ctx;
    /* A full disk ends a node only where the core has no way back: when an
     * accepted snapshot cannot be adopted (C-RAFT.md 1.7). */
    bool explained = n->disk.frozen ||
                     (info->code == ERR_NOSPACE &&
                      strncmp(info->message, "installing", 10) == 0) ||
                     n->disk.stats.n_errors_injected > n->errors_before ||
                     (info->code == ERR_CORRUPT && n->rot.path[0] != '\0') ||
                     sim_loss_explains(n, info->message);

    sim_trace(n->sim, "n%u fatal: %s", n->id, info->message);
    if (!explained) {
        sim_fail(n->sim, "node %u ended itself without a fault: %s", n->id,
                 info->message);
    }
    sim_node_crash(n, false, "fatal");
}

static void cover_line(const char *line)
{
    static const struct {
        const char *start;
        enum sim_cover_point point;
    } table[] = {
        {"leader_lost_agreed", SIM_COVER_leader_lost_agreed},
        {"leader ", SIM_COVER_leader_elected},
        {"handover_done", SIM_COVER_leadership_transferred},
        {"snapshot_taken", SIM_COVER_snapshot_taken},
        {"snapshot_fetch_ended", SIM_COVER_snapshot_fetch_ended},
        {"log_reset", SIM_COVER_log_reset},
        {"may_have_forgotten", SIM_COVER_forgot},
        {"remembered ", SIM_COVER_remembered},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strncmp(line, table[i].start, strlen(table[i].start)) == 0) {
            sim_cover_counts[table[i].point]++;
        }
    }
    {
        const char *torn = strstr(line, "torn_bytes=");
        if (torn != NULL && torn[11] != '0') {
            COVER(tail_cut);
        }
    }
}

static void io_trace(void *ctx, enum trace_level level, const char *line)
{
    struct sim_node *n = ctx;

    (void)level;
    sim_trace(n->sim, "n%u %s", n->id, line);
    if (strncmp(line, "leader term=", 12) == 0) {
        sim_check_elected(n);
    }
    if (!n->dying) {
        cover_line(line);
        sim_aim_trace(n, line);
    }
}

void sim_node_make_io(struct sim_node *n, struct replica_io *io)
{
    *io = (struct replica_io){
        .ctx = n,
        .now_ms = io_now_ms,
        .clock_ms = io_clock_ms,
        .random = io_random,
        .send = io_send,
        .queued_bytes = io_queued_bytes,
        .work = io_work,
        .fatal = io_fatal,
        .trace = io_trace,
        .trace_max = n->sim->options.trace ? TRACE_DEBUG : TRACE_INFO,
        .now_us = io_now_us,
    };
}

/* ---- events of the replica, watched and passed on ---- */

static void on_applied(void *ctx, uint64_t index, uint64_t term,
                       const struct proposal *p, const struct buffer *reply)
{
    struct sim_node *n = ctx;

    sim_check_applied(n, index, term, p);
    n->service_events.applied(n->service_events.ctx, index, term, p, reply);
}

static void on_jumped(void *ctx, uint64_t index, uint64_t term)
{
    struct sim_node *n = ctx;

    COVER(snapshot_installed);
    sim_check_jumped(n, index, term);
    n->service_events.jumped(n->service_events.ctx, index, term);
}

static void on_changed(void *ctx)
{
    struct sim_node *n = ctx;

    n->service_events.changed(n->service_events.ctx);
}

static void on_room(void *ctx)
{
    struct sim_node *n = ctx;

    n->service_events.room(n->service_events.ctx);
}

static void on_message(void *ctx, const struct wire_message *m, void *block)
{
    struct sim_node *n = ctx;

    n->service_events.message(n->service_events.ctx, m, block);
}

static void on_event_peer(void *ctx, uint64_t id, bool connected)
{
    struct sim_node *n = ctx;

    n->service_events.peer(n->service_events.ctx, id, connected);
}

static void on_drained(void *ctx)
{
    struct sim_node *n = ctx;

    n->service_events.drained(n->service_events.ctx);
    sim_node_drained(n);
}

static void on_transferred(void *ctx, bool done)
{
    struct sim_node *n = ctx;
    n->service_events.transferred(n->service_events.ctx, done);
}

void sim_node_make_events(struct sim_node *n, struct replica_events *events)
{
    *events = (struct replica_events){
        n,          on_applied,    on_jumped,  on_changed,    on_room,
        on_message, on_event_peer, on_drained, on_transferred};
}

/* ---- hooks of the disk ---- */

static void on_disk_operation(void *ctx, enum sim_disk_operation operation,
                              const char *path, bool after)
{
    struct sim_node *n = ctx;
    static const char *const names[] = {
        "create", "write",    "sync",   "truncate", "fill", "rename",
        "unlink", "sync_dir", "submit", "complete", "read"};
    bool inside = n->inside;

    if (after && n->sim->options.trace) {
        sim_trace(n->sim, "n%u disk %s %s", n->id,
                  names[__builtin_ctz(operation)], path);
    }
    if (operation == SIM_DISK_READ) {
        if (n->up && strstr(path, "/log/") != NULL) {
            COVER(log_read_back);
        }
        return;
    }
    /* A queued write completes outside of the node's code; if an aim strikes
     * there, the disk must be out of its function before the node goes. */
    n->inside = true;
    sim_aim_disk(n, operation, path, after);
    n->inside = inside;
}

static void on_disk_completed(void *ctx)
{
    struct sim_node *n = ctx;

    /* An aim may have struck outside of any event of the node. */
    if (n->dying && !n->inside && (n->up || n->opening)) {
        sim_node_take_down(n);
        return;
    }
    if (n->up) {
        sim_node_schedule(n, 0, SIM_NODE_POLL, 0);
    }
}

static void on_disk_misuse(void *ctx, const char *text)
{
    struct sim_node *n = ctx;

    sim_fail(n->sim, "node %u misuses its disk: %s", n->id, text);
}

void sim_node_make_hooks(struct sim_node *n, struct sim_disk_hooks *hooks)
{
    *hooks = (struct sim_disk_hooks){.ctx = n,
                                     .operation = on_disk_operation,
                                     .completed = on_disk_completed,
                                     .misuse = on_disk_misuse};
}
