/* Keys that expire, seen from outside: when may a key be gone, and from when on
 * must it be?
 *
 * Each time to live that a client asked for is a lease. When its entry is first
 * applied anywhere, the clock of the state there says when it ends. What a
 * leader's clock shows at a moment nobody outside knows, but its bounds are: a
 * leader's clock is not below its own wall clock, so not below the slowest of
 * all; and not above the highest wall clock ever shown, plus half of the time
 * since, as a clock that is ahead of its wall clock goes on at half speed. So a
 * key may be gone as soon as the upper bound has come to the end of its lease,
 * and what is asked for when the lower bound has come there must find it gone.
 * Moments are those of the histories; wall clocks that are set in between are
 * looked at before and after. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t slowest_ms(const struct sim *sim)
{
    uint64_t ms = UINT64_MAX;

    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        uint64_t wall = sim_node_wall_ms(&sim->nodes[id]);
        ms = wall < ms ? wall : ms;
    }
    return ms;
}

uint64_t sim_clock_bound_ms(struct sim *sim)
{
    struct sim_clock_bound *b = &sim->clock_bound;
    /* A little more than half: monotonic clocks drift. */
    uint64_t gain_us = (sim->clock.now_us - b->at_us) / 100 * 51;

    if (gain_us >= 1000) {
        b->ms += gain_us / 1000 + 1;
        b->at_us = sim->clock.now_us;
    }
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        uint64_t wall = sim_node_wall_ms(&sim->nodes[id]);
        if (wall >= b->ms) {
            b->ms = wall;
            b->at_us = sim->clock.now_us;
        }
    }
    return b->ms + 1;
}

static void update_key(struct sim *sim, struct sim_key *key, uint64_t high_ms,
                       uint64_t low_ms)
{
    for (size_t i = 0; i < key->n_leases; i++) {
        struct linear_lease *lease = &key->leases[i];
        uint64_t end_ms = key->lease_facts[i].end_ms;
        if (end_ms == 0) {
            continue; /* Not seen in the log. */
        }
        if (lease->may == LINEAR_NEVER && high_ms >= end_ms) {
            lease->may = sim_moment(sim);
        }
        if (low_ms < end_ms) {
            lease->must = LINEAR_NEVER;
        } else if (lease->must == LINEAR_NEVER) {
            lease->must = sim_moment(sim);
        }
    }
}

void sim_leases_update(struct sim *sim)
{
    uint64_t high_ms = sim_clock_bound_ms(sim);
    uint64_t low_ms = slowest_ms(sim);

    for (unsigned i = 0; i < sim->n_keys; i++) {
        update_key(sim, &sim->keys[i], high_ms, low_ms);
    }
}

void sim_node_set_wall(struct sim_node *n, int64_t by_ms)
{
    sim_leases_update(n->sim);
    n->clock_skew_ms += by_ms;
    sim_leases_update(n->sim);
}

size_t sim_lease_new(struct sim_key *key, enum sim_op_kind kind, int64_t tag)
{
    if (key->n_leases == key->leases_capacity) {
        size_t n = key->leases_capacity == 0 ? 64 : 2 * key->leases_capacity;
        key->leases = realloc(key->leases, n * sizeof *key->leases);
        key->lease_facts =
            realloc(key->lease_facts, n * sizeof *key->lease_facts);
        assert(key->leases != NULL && key->lease_facts != NULL);
        key->leases_capacity = n;
    }
    key->leases[key->n_leases] =
        (struct linear_lease){LINEAR_NEVER, LINEAR_NEVER};
    key->lease_facts[key->n_leases] =
        (struct sim_lease_fact){.kind = kind, .tag = tag};
    return ++key->n_leases;
}

static int64_t number_of(struct bytes text)
{
    char copy[32];
    size_t n = text.size < sizeof copy - 1 ? text.size : sizeof copy - 1;

    memcpy(copy, text.data, n);
    copy[n] = '\0';
    return strtoll(copy[0] == 'v' ? copy + 1 : copy, NULL, 10);
}

void sim_lease_applied(struct sim *sim, const struct proposal *p,
                       uint64_t clock_ms)
{
    bool set = p->code == COMMAND_CODE_SET && p->argc == 5;
    enum sim_op_kind kind = set ? SIM_OP_SETPX : SIM_OP_PEXPIRE;
    int64_t tag;

    if (!set && p->code != COMMAND_CODE_PEXPIRE) {
        return;
    }
    tag = number_of(p->argv[2]);
    for (unsigned i = 0; i < sim->n_keys; i++) {
        struct sim_key *key = &sim->keys[i];
        if (strlen(key->name) != p->argv[1].size ||
            memcmp(key->name, p->argv[1].data, p->argv[1].size) != 0) {
            continue;
        }
        for (size_t k = 0; k < key->n_leases; k++) {
            struct sim_lease_fact *fact = &key->lease_facts[k];
            if (fact->kind == kind && fact->tag == tag) {
                /* Applied before too, and lost: its moments are to come. */
                if (fact->end_ms != 0 && sim->loss.n_entries > 0) {
                    key->leases[k].may = LINEAR_NEVER;
                    key->leases[k].must = LINEAR_NEVER;
                }
                fact->end_ms =
                    clock_ms + (uint64_t)number_of(p->argv[set ? 4 : 2]);
            }
        }
    }
}
