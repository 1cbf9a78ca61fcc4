/* What the files of the scenario program share. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "tests/sim/sim.h"

enum {
    SCENARIO_WORDS_MAX = 16,
    SCENARIO_LINE_MAX = 512,
    SCENARIO_NAMES_MAX = 8
};
enum {
    SCENARIO_WAIT_US_MAX = 30 * 1000 * 1000,
    SCENARIO_OPERATION_US_MAX = 10 * 1000 * 1000
};

struct scenario {
    struct sim *sim;
    struct sim_options options;
    bool opened;
    bool failed;
    const char *path;
    unsigned line;
    struct {
        char name[16];
        unsigned node;
    } names[SCENARIO_NAMES_MAX];
    unsigned n_names;
    uint64_t cover_before[SIM_COVER_N];
};

/* The first failure is printed with its line. */
void scenario_fail(struct scenario *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t scenario_number(struct scenario *s, const char *word);
/* The node a word means; fails and gives node 1 when there is none. */
struct sim_node *scenario_node(struct scenario *s, const char *word);
bool scenario_leader_ready(struct sim *sim);
/* The nodes that are up agree. */
bool scenario_up_converged(struct sim *sim);
void scenario_wait_for(struct scenario *s, bool (*condition)(struct sim *sim),
                       const char *what);

/* ---- sim_scenario_ops.c: operations of clients, and expectations ---- */
void scenario_operation(struct scenario *s, unsigned n, char **w);
void scenario_begin(struct scenario *s, unsigned n, char **w);
void scenario_try(struct scenario *s, unsigned n, char **w);
void scenario_writes(struct scenario *s, unsigned n, char **w);
void scenario_wait(struct scenario *s, unsigned n, char **w);
void scenario_transfer(struct scenario *s, unsigned n, char **w);
void scenario_expect(struct scenario *s, unsigned n, char **w);

#endif
