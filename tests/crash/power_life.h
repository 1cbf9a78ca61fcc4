/* One life of a child between two power cuts: how it says what it found, and
 * how its parent ends it. */
#ifndef TESTS_CRASH_POWER_LIFE_H
#define TESTS_CRASH_POWER_LIFE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "raftlog/err.h"
#include "tests/lib/power_disk.h"

/* In memory that parent and child share. */
struct power_life {
    bool is_cut; /* the power, by the parent: written before it is */
    char words[400];
};

/* The child found something wrong: say it and end. */
void power_life_bad(struct power_life *l, const char *words, const char *more)
    __attribute__((noreturn));
/* The same when rv is not 0; but if the power was cut before it came so far
 * nothing can be told, and the next life looks again: some calls fail then, for
 * others the disk is read-only. */
void power_life_look(struct power_life *l, int rv, const char *words,
                     const struct err_info *info);

/* Has the child ended by itself? It can still be waited for. */
bool power_life_ended(pid_t child);
/* Cut the power under the child, end it, and bring the disk back. Without a
 * disk: only SIGKILL. False after a line on stderr: it found something wrong,
 * or ended in a way that a child does not. */
bool power_life_end(struct power_life *l, struct power_disk *disk, pid_t child,
                    const char *name, uint64_t seed);

#endif
