/* Kill -9 of the leader, again and again, under load; the times without a
 * leader and without a write; and at the end the question whether every promise
 * was kept. Used by a short test and by the program cluster_torture. */
#ifndef TESTS_CLUSTER_TORTURE_H
#define TESTS_CLUSTER_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lib/cluster.h"
#include "tests/lib/load.h"

enum { TORTURE_CYCLES_MAX = 10000 };

struct torture_options {
    unsigned n_cycles;
    uint64_t seed;
    struct load_options load;
};

struct torture_cycle {
    unsigned killed;        /* node, from 0 */
    unsigned elected;       /* node, from 0 */
    uint64_t term;          /* of the new leader */
    uint64_t leaderless_us; /* from the kill until a node says it leads */
    uint64_t gap_us;        /* longest time without an acknowledged write */
    uint64_t rejoin_us;     /* from restart until it has caught up */
};

struct torture_result {
    struct torture_cycle *cycles; /* given */
    unsigned n_cycles;
    struct load_counts counts;
    uint64_t n_broken; /* promises */
    uint64_t duration_us;
    char state_hash[64];
};

/* The cluster is started already. progress (may be NULL) is called after each
 * cycle. */
void torture_run(struct cluster *c, const struct torture_options *options,
                 void (*progress)(unsigned n,
                                  const struct torture_cycle *cycle),
                 struct torture_result *out);
void torture_result_free(struct torture_result *r);

void torture_print(const struct torture_result *r);
bool torture_write_json(const struct torture_result *r, const char *path);

#endif
