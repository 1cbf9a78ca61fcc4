/* The cluster as a whole: opening, stepping, failing, tracing. */
#include "tests/sim/sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void sim_options_init(struct sim_options *o, uint64_t seed)
{
    *o = (struct sim_options){
        .seed = seed,
        .n_nodes = 3,
        .n_members = 3,
        .out = stdout,
        .election_timeout_ms = 300,
        .segment_bytes = 64 * 1024,
        .cache_bytes = 32 * 1024,
        .snapshot_log_bytes = 256 * 1024,
        .snapshot_entries = 300,
        .trailing_entries = 64,
        .inflight_entries = 32,
        .request_timeout_ms = 2000,
        .skew_ms_max = 1000,
    };
}

static void on_receive(void *ctx, unsigned to, unsigned from, void *block,
                       size_t size)
{
    struct sim *sim = ctx;

    sim_node_receive(&sim->nodes[to], from, block, size);
}

static void on_peer(void *ctx, unsigned node, unsigned peer, bool connected)
{
    struct sim *sim = ctx;

    sim_node_peer(&sim->nodes[node], peer, connected);
}

void sim_open(struct sim *sim, const struct sim_options *options)
{
    struct sim_net_hooks hooks = {sim, on_receive, on_peer};

    memset(sim, 0, sizeof *sim);
    sim->options = *options;
    sim_random_init(&sim->random, options->seed);
    sim_random_fork(&sim->random, "clients", 0, &sim->client_random);
    sim_random_fork(&sim->random, "faults", 0, &sim->faults.random);
    sim_clock_init(&sim->clock);
    sim_net_init(&sim->net, options->n_nodes, &sim->random, &sim->clock,
                 &hooks);
    for (unsigned id = 1; id <= options->n_nodes; id++) {
        sim_node_init(&sim->nodes[id], sim, id);
    }
}

void sim_close(struct sim *sim)
{
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        sim_node_close(&sim->nodes[id]);
    }
    sim_clients_close(sim);
    sim_moments_close(sim);
    free(sim->written.at);
    sim_net_close(&sim->net);
    sim_check_close(&sim->check);
    sim_clock_close(&sim->clock);
}

bool sim_step(struct sim *sim, uint64_t limit_us)
{
    return !sim->failed && sim_clock_step(&sim->clock, limit_us);
}

void sim_advance(struct sim *sim, uint64_t duration_us)
{
    uint64_t limit_us = sim->clock.now_us + duration_us;

    while (sim_step(sim, limit_us)) {
    }
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (sim->failed) {
        return;
    }
    sim->failed = true;
    va_start(args, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, args);
    va_end(args);
    sim_trace(sim, "FAILED: %s", sim->failure);
}

void sim_trace(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (!sim->options.trace) {
        return;
    }
    fprintf(sim->options.out, "%10.6f ", (double)sim->clock.now_us / 1e6);
    va_start(args, format);
    vfprintf(sim->options.out, format, args);
    va_end(args);
    fputc('\n', sim->options.out);
}

struct sim_node *sim_leader(struct sim *sim)
{
    struct sim_node *leader = NULL;

    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        struct sim_node *n = &sim->nodes[id];
        if (n->up && replica_is_leader(n->replica) &&
            (leader == NULL ||
             replica_term(n->replica) > replica_term(leader->replica))) {
            leader = n;
        }
    }
    return leader;
}
