/* splitmix64 and what is drawn from it. */
#include "tests/sim/sim_random.h"

#include <string.h>

#include "raftlog/checksum.h"

void sim_random_init(struct sim_random *r, uint64_t seed)
{
    /* The state moves by a constant: without mixing, the streams of seeds that
     * follow each other would be one, some steps apart. */
    r->state = seed;
    r->state = sim_random_next(r);
}

void sim_random_fork(const struct sim_random *from, const char *purpose,
                     uint64_t number, struct sim_random *out)
{
    sim_random_init(out, checksum(purpose, strlen(purpose),
                                  from->state ^ (number << 32 | number)));
}

uint64_t sim_random_next(struct sim_random *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t sim_random_below(struct sim_random *r, uint64_t n)
{
    /* The bias of the remainder is far below what a test could notice. */
    return n == 0 ? 0 : sim_random_next(r) % n;
}

uint64_t sim_random_range(struct sim_random *r, uint64_t low, uint64_t high)
{
    return low + sim_random_below(r, high - low + 1);
}

bool sim_random_chance(struct sim_random *r, unsigned permille)
{
    return sim_random_below(r, 1000) < permille;
}

uint64_t sim_random_delay(struct sim_random *r, uint64_t low, uint64_t high)
{
    uint64_t span = high - low + 1;

    switch (sim_random_below(r, 10)) {
    case 0:
        return low + sim_random_below(r, span);
    case 1:
    case 2:
        return low + sim_random_below(r, span / 4 + 1);
    default:
        return low + sim_random_below(r, span / 16 + 1);
    }
}
