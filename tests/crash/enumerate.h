/* Crash enumeration: a scripted workload runs once on a simulated disk, and
 * before each of its file operations (and where one is half done) every state
 * that a crash could leave at that moment is built on another disk and
 * recovered by the real code. The recovery's own operations are crashed in the
 * same way, and what it told its caller must then be there.
 *
 * A workload keeps a model of what it was told: flat memory without pointers,
 * zeroed at the start, so that models can be copied, compared and hashed. */
#ifndef TESTS_CRASH_ENUMERATE_H
#define TESTS_CRASH_ENUMERATE_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

struct crash_workload {
    const char *name;
    size_t model_size;
    /* Play the script on the disk "/n1". What the model promises at any
     * moment must hold whenever a crash comes: it is changed before the call
     * that may make a change true, and promises more only after. */
    void (*play)(void *model, struct sim_clock *clock);
    /* Recover what is in `dir` with the real code and hold it against the
     * model; *after is the model of what came back: crash_promise(after) says
     * when it is complete, and it is kept up to date from then on. go_on: use
     * what came back as well, which changes the disk. Ends the program by
     * crash_check when something is wrong. */
    void (*recover)(const void *model, const char *dir, struct sim_clock *clock,
                    void *after, bool go_on);
};

extern const struct crash_workload crash_log;
extern const struct crash_workload crash_snapshot;
extern const struct crash_workload crash_receive;
extern const struct crash_workload crash_install;
extern const struct crash_workload crash_home;
extern const struct crash_workload crash_persist;
extern const struct crash_workload crash_streams;

/* For recover: the recovery has told its caller so much. */
void crash_promise(const void *after);

/* Print where the enumeration stands, and these words, and end the program. */
void crash_check_failed(const char *file, int line, const char *condition,
                        const char *words);
/* words: more about it, or NULL. */
#define crash_check(condition, words)                                          \
    do {                                                                       \
        if (!(condition)) {                                                    \
            crash_check_failed(__FILE__, __LINE__, #condition, words);         \
        }                                                                      \
    } while (0)

#endif
