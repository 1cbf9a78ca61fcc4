/* One run: from a seed to a verdict. */
#ifndef SIM_PLAN_H
#define SIM_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tests/sim/sim.h"

/* Sums over runs. */
struct sim_totals {
    uint64_t n_runs;
    uint64_t simulated_us;
    uint64_t n_events;
    uint64_t n_crashes, n_faults, n_partitions;
    uint64_t n_commits, n_operations, n_unknown, n_elections;
};

/* Run one seed; out receives the trace if wanted, and the failure goes to
 * `failure` (SIM_FAILURE_MAX). history: JSON lines of what clients saw, or
 * NULL. false: the run failed. */
bool sim_plan_run(uint64_t seed, FILE *trace, FILE *history,
                  struct sim_totals *totals, char *failure);

#endif
