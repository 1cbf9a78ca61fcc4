/* A simulated disk under one seed, for tests that draw what is done to it, when
 * it crashes and how. */
#ifndef TESTS_CRASH_SEEDED_DISK_H
#define TESTS_CRASH_SEEDED_DISK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

struct seeded_disk {
    uint64_t seed;
    struct sim_clock clock;
    struct sim_random random;
    struct sim_disk disk;
    uint64_t freeze_in; /* operations; 0: never */
};

static inline uint64_t below(struct seeded_disk *d, uint64_t n)
{
    return sim_random_below(&d->random, n);
}

static inline bool chance(struct seeded_disk *d, unsigned permille)
{
    return sim_random_chance(&d->random, permille);
}

static inline void seeded_disk_operation(void *ctx,
                                         enum sim_disk_operation operation,
                                         const char *path, bool after)
{
    struct seeded_disk *d = ctx;
    (void)operation;
    (void)path;
    if (!after && d->freeze_in > 0 && --d->freeze_in == 0) {
        sim_disk_freeze(&d->disk);
    }
}

static inline void seeded_disk_misuse(void *ctx, const char *text)
{
    fail_msg("seed %llu: file.h misused: %s",
             (unsigned long long)((struct seeded_disk *)ctx)->seed, text);
}

/* Begin with an empty disk; from now on it is the one behind file.h. */
static inline void seeded_disk_open(struct seeded_disk *d, uint64_t seed)
{
    struct sim_disk_hooks hooks = {.ctx = d,
                                   .operation = seeded_disk_operation,
                                   .misuse = seeded_disk_misuse};
    d->seed = seed;
    d->freeze_in = 0;
    sim_clock_init(&d->clock);
    sim_random_init(&d->random, seed);
    sim_disk_init(&d->disk, 1, &d->random, &d->clock, &hooks);
    sim_disk_select(&d->disk);
}

static inline void seeded_disk_close(struct seeded_disk *d)
{
    sim_disk_close(&d->disk);
    sim_clock_close(&d->clock);
}

/* The arguments of such a test: [first seed] [number of seeds]. */
static inline void seeds_from_args(int argc, char **argv, uint64_t *first,
                                   uint64_t *n)
{
    if (argc > 1) {
        *first = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2) {
        *n = strtoull(argv[2], NULL, 10);
    }
}

#endif
