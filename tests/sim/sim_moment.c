/* The order of what clients did: each invocation and each return has a moment
 * of its own, a number that only rises.
 *
 * A read that may be stale is allowed to see what was true some time before it
 * was asked for. To the judge that is a read that was invoked then: it gets a
 * moment in the past, behind all that had happened before that time. Moments
 * are given in large steps, so that there is room between them. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <stdlib.h>

static const uint64_t STEP = 1 << 20;

/* The first moment that was given at a time. */
struct sim_moment_at {
    uint64_t us, moment;
};

uint64_t sim_moment(struct sim *sim)
{
    struct sim_moments *m = &sim->moments;
    uint64_t now = sim->clock.now_us;

    m->last += STEP;
    if (m->n == 0 || m->at[m->n - 1].us < now) {
        if (m->n == m->capacity) {
            m->capacity = m->capacity == 0 ? 1024 : 2 * m->capacity;
            m->at = realloc(m->at, m->capacity * sizeof *m->at);
            assert(m->at != NULL);
        }
        m->at[m->n++] = (struct sim_moment_at){now, m->last};
    }
    return m->last;
}

uint64_t sim_moment_ago(struct sim *sim, uint64_t us)
{
    struct sim_moments *m = &sim->moments;
    uint64_t now = sim->clock.now_us;
    uint64_t then = us < now ? now - us : 0;
    size_t low = 0, high = m->n;

    /* The first that is not before that time. */
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (m->at[mid].us < then) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    m->n_ago++;
    assert(m->n_ago < STEP);
    return (low < m->n ? m->at[low].moment - STEP : m->last) + m->n_ago;
}

void sim_moments_close(struct sim *sim)
{
    free(sim->moments.at);
    sim->moments.at = NULL;
}
