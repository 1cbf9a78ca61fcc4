/* Chance in the simulator: everything random comes from one seed.
 *
 * Each part of a run (disks, network, clients, faults) has a stream of its own,
 * forked from the seed by a name, so that a change in one part leaves the
 * choices of the others alone. Generator: splitmix64. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

void sim_random_init(struct sim_random *r, uint64_t seed);
/* A stream of its own, named by purpose and number. */
void sim_random_fork(const struct sim_random *from, const char *purpose,
                     uint64_t number, struct sim_random *out);

uint64_t sim_random_next(struct sim_random *r);
/* 0 .. n - 1; 0 when n is 0. */
uint64_t sim_random_below(struct sim_random *r, uint64_t n);
/* low .. high, inclusive. */
uint64_t sim_random_range(struct sim_random *r, uint64_t low, uint64_t high);
/* True with a probability of permille / 1000. */
bool sim_random_chance(struct sim_random *r, unsigned permille);
/* A delay: mostly near low, now and then up to high, as real latencies are. */
uint64_t sim_random_delay(struct sim_random *r, uint64_t low, uint64_t high);

#endif
