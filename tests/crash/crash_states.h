/* Every state that a crash can leave of a simulated disk.
 *
 * A disk is taken apart, as it stands in the middle of whatever goes on, into
 * what is durable and the units that are not: each sector of each unsynced
 * write, each truncation, each size that may be ahead of its data, each name.
 * A state is a choice for every unit. Nothing of the disk itself is changed.
 *
 * Calling sequence: new; then for each choice cut, and if the state was not
 * seen before (crash_states_hash) install, which makes it a disk of its own;
 * free. crash_choice walks over the choices: all of them when there are few
 * units, else the telling ones and a number of random ones.
 *
 * Model: that of tests/sim/sim_disk.h. The units of one file are independent
 * of each other and of names; a name that stands on a lost one is lost. */
#ifndef TESTS_CRASH_CRASH_STATES_H
#define TESTS_CRASH_CRASH_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/sim_disk.h"

/* What becomes of a unit. Only a sector that was on its way to the device can
 * be spoiled: it then holds neither the old nor the new bytes. */
enum crash_fate { CRASH_LOST = 0, CRASH_KEPT = 1, CRASH_SPOILED = 2 };

struct crash_states;

struct crash_states *crash_states_new(const struct sim_disk *d);
void crash_states_free(struct crash_states *s);
size_t crash_states_n_units(const struct crash_states *s);

/* Work out the state of these fates, one for each unit. */
void crash_states_cut(struct crash_states *s, const uint8_t *fates);
/* Names and contents of the state worked out last. */
uint64_t crash_states_hash(const struct crash_states *s);
/* Put it on a disk that sim_disk_init has just made; all of it is durable. */
void crash_states_install(const struct crash_states *s, struct sim_disk *d);
/* A process that was killed: all that programs saw is still there, and what
 * was not durable still is not. */
void crash_states_install_killed(const struct crash_states *s,
                                 struct sim_disk *d);

/* ---- choices --------------------------------------------------------------
 * Up to n_whole units: all choices. More: none, all, each first part, each
 * last part, all but one, only one, one spoiled among all, one spoiled among
 * its first part, and n_random more. */
struct crash_choice {
    const struct crash_states *states;
    unsigned n_whole;
    unsigned n_random;
    struct sim_random random;
    size_t n_units;
    unsigned family; /* inside */
    uint64_t at;
    uint8_t *fates; /* the present choice; owned */
};

void crash_choice_init(struct crash_choice *c, const struct crash_states *s,
                       unsigned n_whole, unsigned n_random, uint64_t seed);
/* The next choice is in c->fates. False: there are no more. */
bool crash_choice_next(struct crash_choice *c);
void crash_choice_close(struct crash_choice *c);

#endif
