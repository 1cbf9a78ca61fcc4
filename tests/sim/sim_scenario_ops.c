/* Scenario commands that act as a client, and those that expect something. */
#include <inttypes.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/sim_scenario.h"

static bool starts(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* ---- operations ---- */

static const struct {
    const char *name;
    enum sim_op_kind kind;
    unsigned n_arguments;
} operations[] = {
    {"write", SIM_OP_SET, 1},      {"read", SIM_OP_GET, 0},
    {"incr", SIM_OP_INCR, 0},      {"delete", SIM_OP_DEL, 0},
    {"setnx", SIM_OP_SETNX, 1},    {"exists", SIM_OP_EXISTS, 0},
    {"write-px", SIM_OP_SETPX, 2}, {"persist", SIM_OP_PERSIST, 0},
};

/* OPERATION KEY [VALUE [MS]] via NODE; returns how many words it used, 0: none.
 */
static unsigned parse_operation(struct scenario *s, unsigned n, char **w,
                                struct sim_op *op, unsigned *at)
{
    for (unsigned i = 0; i < sizeof operations / sizeof operations[0]; i++) {
        unsigned n_arguments = operations[i].n_arguments;
        unsigned via = 2 + n_arguments;
        if (strcmp(w[0], operations[i].name) != 0) {
            continue;
        }
        if (n < via + 2 || strcmp(w[via], "via") != 0) {
            break;
        }
        *op = (struct sim_op){.kind = operations[i].kind, .n_keys = 1};
        op->key[0] = sim_key_find(s->sim, w[1]);
        op->argument = n_arguments > 0 ? (int64_t)scenario_number(s, w[2])
                                       : operations[i].kind == SIM_OP_INCR;
        op->ttl_ms = n_arguments > 1 ? (int64_t)scenario_number(s, w[3]) : 0;
        *at = scenario_node(s, w[via + 1])->id;
        return via + 2;
    }
    scenario_fail(s, "OPERATION KEY [VALUE [MS]] via NODE");
    return 0;
}

static void detach(struct scenario *s, struct sim_client *c, unsigned at)
{
    if (c->session != NULL && c->node != at) {
        struct sim_node *old = &s->sim->nodes[c->node];
        if (sim_node_enter(old)) {
            session_close(c->session);
            c->session = NULL;
            c->n_pending = 0;
            sim_node_leave(old);
        }
    }
    c->wanted_node = at;
}

/* Submit and wait for the answer; false: none came in time. */
static bool perform(struct scenario *s, struct sim_op op, unsigned at,
                    uint64_t limit_us)
{
    struct sim_client *c = &s->sim->clients[0];

    detach(s, c, at);
    if (!sim_client_submit(c, op)) {
        return false;
    }
    limit_us += s->sim->clock.now_us;
    while (!s->sim->failed && c->n_pending > 0 &&
           s->sim->clock.now_us < limit_us) {
        sim_advance(s->sim, 100);
    }
    return c->n_pending == 0;
}

void scenario_operation(struct scenario *s, unsigned n, char **w)
{
    struct sim_client *c = &s->sim->clients[0];
    struct sim_op op;
    unsigned at;

    if (parse_operation(s, n, w, &op, &at) == 0) {
        return;
    }
    if (!perform(s, op, at, SCENARIO_OPERATION_US_MAX)) {
        scenario_fail(s, "%s %s: no answer", w[0], w[1]);
    } else if (!c->last_ok) {
        scenario_fail(s, "%s %s: -%s", w[0], w[1], c->last_error);
    }
}

/* begin OPERATION ...: do not wait; its outcome may stay unknown. */
void scenario_begin(struct scenario *s, unsigned n, char **w)
{
    struct sim_client *c;
    struct sim_op op;
    unsigned at;

    if (s->sim->n_clients == SIM_CLIENTS_MAX) {
        scenario_fail(s, "too many operations begun");
        return;
    }
    c = &s->sim->clients[s->sim->n_clients];
    if (parse_operation(s, n - 1, w + 1, &op, &at) == 0) {
        return;
    }
    s->sim->n_clients++;
    c->wanted_node = at;
    if (!sim_client_submit(c, op)) {
        scenario_fail(s, "node %u takes no operations", at);
    }
}

/* try OPERATION ... -> ok|none|ERROR: the answer within the time limit. */
void scenario_try(struct scenario *s, unsigned n, char **w)
{
    struct sim_client *c = &s->sim->clients[0];
    const char *expected = w[n - 1];
    const char *got = "none";
    struct sim_op op;
    unsigned at;

    if (parse_operation(s, n - 1, w + 1, &op, &at) == 0) {
        return;
    }
    if (perform(s, op, at, SCENARIO_OPERATION_US_MAX)) {
        got = c->last_ok ? "ok" : c->last_error;
    }
    if (!starts(got, expected)) {
        scenario_fail(s, "expected %s, got %s", expected, got);
    }
}

/* Ask through a node and wait. false: no answer. */
static bool ask(struct scenario *s, enum sim_op_kind kind, int64_t argument,
                int64_t ms, unsigned at, uint64_t *gap_us)
{
    struct sim_client *c = &s->sim->clients[0];
    struct sim_op op = {.kind = kind, .argument = argument, .ttl_ms = ms};
    uint64_t limit_us = s->sim->clock.now_us + SCENARIO_OPERATION_US_MAX;
    uint64_t since_us = s->sim->clock.now_us;

    *gap_us = 0;
    detach(s, c, at);
    if (!sim_client_submit(c, op)) {
        return false;
    }
    while (!s->sim->failed && c->n_pending > 0 &&
           s->sim->clock.now_us < limit_us) {
        sim_advance(s->sim, 100);
        if (sim_takes_writes(s->sim)) {
            since_us = s->sim->clock.now_us;
        } else if (s->sim->clock.now_us - since_us > *gap_us) {
            *gap_us = s->sim->clock.now_us - since_us;
        }
    }
    return c->n_pending == 0;
}

/* wait N MS via NODE = COUNT */
void scenario_wait(struct scenario *s, unsigned n, char **w)
{
    const struct sim_client *c = &s->sim->clients[0];
    uint64_t gap_us;

    (void)n;
    if (strcmp(w[3], "via") != 0 || strcmp(w[5], "=") != 0) {
        scenario_fail(s, "wait N MS via NODE = COUNT");
    } else if (!ask(s, SIM_OP_WAIT, (int64_t)scenario_number(s, w[1]),
                    (int64_t)scenario_number(s, w[2]),
                    scenario_node(s, w[4])->id, &gap_us) ||
               !c->last_ok ||
               c->last_result != (int64_t)scenario_number(s, w[6])) {
        scenario_fail(s, "wait gives %" PRId64 " %s", c->last_result,
                      c->last_error);
    }
}

/* transfer NODE|any via NODE [-> ERROR]: done, and writes waited no longer than
 * an election may take; or refused. */
void scenario_transfer(struct scenario *s, unsigned n, char **w)
{
    const struct sim_client *c = &s->sim->clients[0];
    int64_t target = strcmp(w[1], "any") == 0 ? 0 : scenario_node(s, w[1])->id;
    const char *expected = n == 6 ? w[5] : "ok";
    const char *got = "none";
    uint64_t gap_us;

    if (strcmp(w[2], "via") != 0 || (n == 6 && strcmp(w[4], "->") != 0) ||
        n == 5) {
        scenario_fail(s, "transfer NODE|any via NODE [-> ERROR]");
        return;
    }
    if (ask(s, SIM_OP_LEADER, target, 0, scenario_node(s, w[3])->id, &gap_us)) {
        got = c->last_ok ? "ok" : c->last_error;
    }
    if (!starts(got, expected)) {
        scenario_fail(s, "expected %s, got %s", expected, got);
    } else if (n == 4 &&
               gap_us > (uint64_t)s->options.election_timeout_ms * 1000) {
        scenario_fail(s, "nobody took writes for %" PRIu64 " ms",
                      gap_us / 1000);
    }
}

/* writes N KEY SIZE via NODE: N writes one after the other. */
void scenario_writes(struct scenario *s, unsigned n, char **w)
{
    uint64_t count = scenario_number(s, w[1]);
    unsigned at = scenario_node(s, w[n - 1])->id;

    s->sim->value_padding = (int64_t)scenario_number(s, w[3]);
    for (uint64_t i = 0; i < count && !s->failed && !s->sim->failed; i++) {
        struct sim_op op = {.kind = SIM_OP_SET, .n_keys = 1};
        op.key[0] = sim_key_find(s->sim, w[2]);
        op.argument = 1000000 + ++s->sim->n_values;
        if (!perform(s, op, at, SCENARIO_OPERATION_US_MAX) ||
            !s->sim->clients[0].last_ok) {
            scenario_fail(s, "write %" PRIu64 " of %" PRIu64 ": -%s", i, count,
                          s->sim->clients[0].last_error);
        }
    }
    s->sim->value_padding = 0;
}

/* ---- expectations ---- */

/* expect get KEY = VALUE|absent via NODE */
static void expect_get(struct scenario *s, unsigned n, char **w)
{
    struct sim_client *c = &s->sim->clients[0];
    struct sim_op op = {.kind = SIM_OP_GET, .n_keys = 1};
    bool absent;

    if (n != 7 || strcmp(w[3], "=") != 0 || strcmp(w[5], "via") != 0) {
        scenario_fail(s, "expect get KEY = VALUE via NODE");
        return;
    }
    absent = strcmp(w[4], "absent") == 0;
    op.key[0] = sim_key_find(s->sim, w[2]);
    if (!perform(s, op, scenario_node(s, w[6])->id,
                 SCENARIO_OPERATION_US_MAX) ||
        !c->last_ok) {
        scenario_fail(s, "get %s: no answer (%s)", w[2], c->last_error);
    } else if (c->last_absent != absent ||
               (!absent &&
                c->last_result != (int64_t)scenario_number(s, w[4]))) {
        scenario_fail(s, "get %s is %" PRId64 "%s", w[2], c->last_result,
                      c->last_absent ? " (absent)" : "");
    }
}

static void expect_hash(struct scenario *s)
{
    scenario_wait_for(s, scenario_up_converged, "hash equal");
    sim_check_final(s->sim);
}

static void expect_cover(struct scenario *s, const char *name)
{
    for (unsigned i = 0; i < SIM_COVER_N; i++) {
        if (strcmp(sim_cover_name(i), name) == 0) {
            if (sim_cover_counts[i] == s->cover_before[i]) {
                scenario_fail(s, "%s did not happen", name);
            }
            return;
        }
    }
    scenario_fail(s, "unknown coverage point \"%s\"", name);
}

void scenario_expect(struct scenario *s, unsigned n, char **w)
{
    struct sim_node *leader = sim_leader(s->sim);

    if (strcmp(w[1], "get") == 0) {
        expect_get(s, n, w);
    } else if (strcmp(w[1], "hash") == 0) {
        expect_hash(s);
    } else if (strcmp(w[1], "happened") == 0 && n == 3) {
        expect_cover(s, w[2]);
    } else if (strcmp(w[1], "no-leader") == 0) {
        if (scenario_leader_ready(s->sim)) {
            scenario_fail(s, "node %u leads", leader->id);
        }
    } else if (strcmp(w[1], "leader") == 0 && n == 3) {
        if (leader == NULL || leader != scenario_node(s, w[2])) {
            scenario_fail(s, "node %u leads", leader != NULL ? leader->id : 0);
        }
    } else if (strcmp(w[1], "not-leader") == 0 && n == 3) {
        if (leader == scenario_node(s, w[2])) {
            scenario_fail(s, "node %u leads", leader->id);
        }
    } else if (strcmp(w[1], "up") == 0 && n == 3) {
        if (!scenario_node(s, w[2])->up) {
            scenario_fail(s, "node %s is down", w[2]);
        }
    } else if (strcmp(w[1], "down") == 0 && n == 3) {
        if (scenario_node(s, w[2])->up) {
            scenario_fail(s, "node %s is up", w[2]);
        }
    } else {
        scenario_fail(s, "expect what?");
    }
}
