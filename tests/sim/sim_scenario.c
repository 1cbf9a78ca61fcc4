/* sim_scenario FILE...: scenarios as readable text.
 *
 * A file is a list of commands, one a line, `#` starts a comment; each file
 * opens with a comment that says what it proves. The cluster is built by the
 * first `start`; all invariants of sim_check hold all the time, and at the end
 * the history of every key must be linearizable. The commands are listed in
 * README.md and in the table below. */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "node/replica_state.h"
#include "tests/sim/sim.h"
#include "tests/sim/sim_scenario.h"

void scenario_fail(struct scenario *s, const char *format, ...)
{
    va_list args;

    if (s->failed) {
        return;
    }
    s->failed = true;
    fprintf(stderr, "%s:%u: ", s->path, s->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* ---- words ---- */

uint64_t scenario_number(struct scenario *s, const char *word)
{
    char *end;
    uint64_t v = strtoull(word, &end, 10);

    if (*word == '\0' || *end != '\0') {
        scenario_fail(s, "\"%s\" is not a number", word);
    }
    return v;
}

/* "500ms", "2s" */
static uint64_t duration_us(struct scenario *s, const char *word)
{
    char *end;
    uint64_t v = strtoull(word, &end, 10);

    if (strcmp(end, "ms") == 0) {
        return v * 1000;
    }
    if (strcmp(end, "s") == 0) {
        return v * 1000 * 1000;
    }
    scenario_fail(s, "\"%s\" is not a duration like 500ms or 2s", word);
    return 0;
}

/* A number, `leader`, `follower` (the first that is up and not the leader), or
 * a name given by `let`. */
struct sim_node *scenario_node(struct scenario *s, const char *word)
{
    struct sim_node *leader = sim_leader(s->sim);
    unsigned id = 0;

    if (strcmp(word, "leader") == 0) {
        id = leader != NULL ? leader->id : 0;
    } else if (strcmp(word, "follower") == 0) {
        for (unsigned i = s->options.n_nodes; i > 0; i--) {
            if (s->sim->nodes[i].up && &s->sim->nodes[i] != leader) {
                id = i;
            }
        }
    } else if (word[0] >= '0' && word[0] <= '9') {
        id = (unsigned)scenario_number(s, word);
    }
    for (unsigned i = 0; i < s->n_names; i++) {
        if (strcmp(s->names[i].name, word) == 0) {
            id = s->names[i].node;
        }
    }
    if (id < 1 || id > s->options.n_nodes) {
        scenario_fail(s, "there is no node \"%s\"", word);
        id = 1;
    }
    return &s->sim->nodes[id];
}

/* ---- building ---- */

static void open_cluster(struct scenario *s)
{
    if (!s->opened) {
        s->opened = true;
        sim_open(s->sim, &s->options);
        memcpy(s->cover_before, sim_cover_counts, sizeof s->cover_before);
        for (unsigned i = 0; i < SIM_CLIENTS_MAX; i++) {
            struct sim_client *c = &s->sim->clients[i];
            c->sim = s->sim;
            c->id = i;
            c->idle = true;
            c->pinned = true;
            c->patience_us = UINT64_MAX;
            c->pipeline = 1;
        }
        s->sim->n_clients = 1;
    }
}

static void do_option(struct scenario *s, unsigned n, char **w)
{
    uint64_t v = scenario_number(s, w[2]);

    (void)n;
    if (strcmp(w[1], "seed") == 0) {
        s->options.seed = v;
    } else if (strcmp(w[1], "segment-bytes") == 0) {
        s->options.segment_bytes = v;
    } else if (strcmp(w[1], "cache-bytes") == 0) {
        s->options.cache_bytes = v;
    } else if (strcmp(w[1], "snapshot-entries") == 0) {
        s->options.snapshot_entries = v;
    } else if (strcmp(w[1], "snapshot-log-bytes") == 0) {
        s->options.snapshot_log_bytes = v;
    } else if (strcmp(w[1], "trailing") == 0) {
        s->options.trailing_entries = v;
    } else if (strcmp(w[1], "inflight") == 0) {
        s->options.inflight_entries = (unsigned)v;
    } else if (strcmp(w[1], "election-timeout-ms") == 0) {
        s->options.election_timeout_ms = (unsigned)v;
    } else if (strcmp(w[1], "request-timeout-ms") == 0) {
        s->options.request_timeout_ms = (unsigned)v;
    } else {
        scenario_fail(s, "unknown option \"%s\"", w[1]);
    }
}

static void do_nodes(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    s->options.n_nodes = (unsigned)scenario_number(s, w[1]);
    s->options.n_members = s->options.n_nodes;
    if (s->options.n_nodes < 1 || s->options.n_nodes > SIM_NODES_MAX) {
        scenario_fail(s, "1 to %d nodes", SIM_NODES_MAX);
        s->options.n_nodes = 1;
    }
}

/* joiners N: nodes that are no members at first. */
static void do_joiners(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    s->options.n_nodes =
        s->options.n_members + (unsigned)scenario_number(s, w[1]);
    assert(s->options.n_nodes <= SIM_NODES_MAX);
}

static void do_start(struct scenario *s, unsigned n, char **w)
{
    open_cluster(s);
    for (unsigned i = 1; i < n; i++) {
        if (strcmp(w[i], "all") != 0) {
            if (!sim_node_start(scenario_node(s, w[i]))) {
                scenario_fail(s, "node %s does not start", w[i]);
            }
            continue;
        }
        for (unsigned id = 1; id <= s->options.n_nodes; id++) {
            if (!sim_node_start(&s->sim->nodes[id])) {
                scenario_fail(s, "node %u does not start", id);
            }
        }
    }
}

static void do_try_start(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    (void)sim_node_start(scenario_node(s, w[1]));
}

/* crash NODE: the process; power NODE: the machine; stop NODE: cleanly. */
static void do_end(struct scenario *s, unsigned n, char **w)
{
    bool all = strcmp(w[1], "all") == 0;
    unsigned first = all ? 1 : scenario_node(s, w[1])->id;
    unsigned last = all ? s->options.n_nodes : first;

    (void)n;
    for (unsigned id = first; id <= last; id++) {
        if (strcmp(w[0], "stop") == 0) {
            sim_node_stop(&s->sim->nodes[id]);
        } else {
            sim_node_crash(&s->sim->nodes[id], strcmp(w[0], "power") == 0,
                           "scenario");
        }
    }
}

/* sync NODE or all always|batch|interval [MS] */
static void do_sync(struct scenario *s, unsigned n, char **w)
{
    struct raftlog_sync_policy p = {RAFTLOG_SYNC_ALWAYS, 0, 0};
    bool all = strcmp(w[1], "all") == 0;
    unsigned first = all ? 1 : scenario_node(s, w[1])->id;
    unsigned last = all ? s->options.n_nodes : first;

    while (strcmp(raftlog_sync_name(p.policy), w[2]) != 0) {
        if (p.policy == RAFTLOG_SYNC_INTERVAL) {
            scenario_fail(s, "sync always, batch or interval");
            return;
        }
        p.policy++;
    }
    p.interval_ms = n == 4 ? scenario_number(s, w[3]) : 0;
    for (unsigned id = first; id <= last; id++) {
        sim_node_set_sync(&s->sim->nodes[id], &p);
    }
}

static void do_wipe(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    if (scenario_node(s, w[1])->up) {
        scenario_fail(s, "node %s is up", w[1]);
    } else {
        sim_node_wipe(scenario_node(s, w[1]));
    }
}

static void do_let(struct scenario *s, unsigned n, char **w)
{
    unsigned id = scenario_node(s, w[3])->id;
    unsigned i = 0;

    (void)n;
    while (i < s->n_names && strcmp(s->names[i].name, w[1]) != 0) {
        i++;
    }
    assert(i < SCENARIO_NAMES_MAX);
    snprintf(s->names[i].name, sizeof s->names[i].name, "%s", w[1]);
    s->names[i].node = id;
    s->n_names += i == s->n_names;
}

/* ---- faults ---- */

static void do_pause(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    sim_node_pause(scenario_node(s, w[1]), strcmp(w[0], "pause") == 0);
}

/* cut A B: both ways; cut A to B: one way. */
static void do_cut(struct scenario *s, unsigned n, char **w)
{
    bool one_way = n == 4 && strcmp(w[2], "to") == 0;
    unsigned a = scenario_node(s, w[1])->id;
    unsigned b = scenario_node(s, w[one_way ? 3 : 2])->id;

    sim_net_cut(&s->sim->net, a, b, true);
    if (!one_way) {
        sim_net_cut(&s->sim->net, b, a, true);
    }
}

static void do_isolate(struct scenario *s, unsigned n, char **w)
{
    unsigned id = scenario_node(s, w[1])->id;

    (void)n;
    for (unsigned other = 1; other <= s->options.n_nodes; other++) {
        if (other != id) {
            sim_net_cut(&s->sim->net, id, other, true);
            sim_net_cut(&s->sim->net, other, id, true);
        }
    }
}

static void do_heal(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    (void)w;
    sim_net_heal(&s->sim->net);
}

static void do_break(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    sim_net_break(&s->sim->net, scenario_node(s, w[1])->id,
                  scenario_node(s, w[2])->id);
}

/* net latency 5ms | drop P | double P | reorder P (permille) */
static void do_net(struct scenario *s, unsigned n, char **w)
{
    struct sim_net_options *o = &s->sim->net.options;

    (void)n;
    if (strcmp(w[1], "latency") == 0) {
        o->latency_us_max = duration_us(s, w[2]);
    } else if (strcmp(w[1], "drop") == 0) {
        o->drop_permille = (unsigned)scenario_number(s, w[2]);
    } else if (strcmp(w[1], "double") == 0) {
        o->double_permille = (unsigned)scenario_number(s, w[2]);
    } else if (strcmp(w[1], "reorder") == 0) {
        o->reorder_permille = (unsigned)scenario_number(s, w[2]);
    } else {
        scenario_fail(s, "net latency, drop, double or reorder");
    }
}

/* disk NODE full|room|eio|sync-eio|stall DURATION|slow DURATION|
 * slow-sync DURATION|forgetful */
static void do_disk(struct scenario *s, unsigned n, char **w)
{
    struct sim_disk *d = &scenario_node(s, w[1])->disk;

    if (strcmp(w[2], "full") == 0) {
        d->capacity_bytes = d->used_bytes;
    } else if (strcmp(w[2], "room") == 0) {
        d->capacity_bytes = UINT64_MAX / 2;
    } else if (strcmp(w[2], "eio") == 0) {
        d->fail_writes = 1;
    } else if (strcmp(w[2], "sync-eio") == 0) {
        d->fail_syncs = 1;
    } else if (strcmp(w[2], "stall") == 0 && n == 4) {
        d->stall_until_us = s->sim->clock.now_us + duration_us(s, w[3]);
    } else if (strcmp(w[2], "forgetful") == 0) {
        d->lose_all = true;
    } else if (strcmp(w[2], "slow-sync") == 0 && n == 4) {
        d->sync_us = duration_us(s, w[3]);
    } else if (strcmp(w[2], "slow") == 0 && n == 4) {
        d->write_us_min = d->write_us_max = duration_us(s, w[3]);
    } else {
        scenario_fail(s, "unknown disk fault \"%s\"", w[2]);
    }
}

/* aim NODE NAME [power] [after] [skip N] */
static void do_aim(struct scenario *s, unsigned n, char **w)
{
    struct sim_node *at = scenario_node(s, w[1]);

    if (!sim_aim_set(at, w[2], false)) {
        scenario_fail(s, "unknown aim \"%s\"", w[2]);
    }
    for (unsigned i = 3; i < n; i++) {
        if (strcmp(w[i], "power") == 0) {
            at->aim.power_cut = true;
        } else if (strcmp(w[i], "after") == 0) {
            at->aim.after = true;
        } else if (strcmp(w[i], "skip") == 0 && i + 1 < n) {
            at->aim.countdown = (unsigned)scenario_number(s, w[++i]);
        } else {
            scenario_fail(s, "aim: \"%s\"", w[i]);
        }
    }
}

static void do_clock(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    sim_node_set_wall(scenario_node(s, w[1]), strtoll(w[2], NULL, 10));
}

/* drain NODE, snapshot NODE */
static void do_ask(struct scenario *s, unsigned n, char **w)
{
    struct sim_node *at = scenario_node(s, w[1]);

    (void)n;
    if (!sim_node_enter(at)) {
        scenario_fail(s, "node %s is down", w[1]);
        return;
    }
    if (strcmp(w[0], "drain") == 0) {
        replica_drain(at->replica, 0);
    } else {
        int rv = replica_snapshot(at->replica);
        if (rv != 0) {
            scenario_fail(s, "snapshot: %s", err_text(rv));
        }
    }
    sim_node_leave(at);
}

/* add, promote, remove NODE: asked of the leader until it is done. */
static void do_member(struct scenario *s, unsigned n, char **w)
{
    unsigned id = scenario_node(s, w[1])->id;
    uint64_t limit_us = s->sim->clock.now_us + SCENARIO_WAIT_US_MAX;
    struct err_info info = {0};
    char address[16];
    int rv = ERR_NOTLEADER;

    (void)n;
    snprintf(address, sizeof address, "n%u:1", id);
    while (!s->sim->failed && rv != 0 && s->sim->clock.now_us < limit_us) {
        struct sim_node *leader = sim_leader(s->sim);
        if (leader != NULL && !leader->paused && sim_node_enter(leader)) {
            rv = w[0][0] == 'a'
                     ? replica_member_add(leader->replica, id, address, &info)
                 : w[0][0] == 'p'
                     ? replica_member_promote(leader->replica, id, &info)
                     : replica_member_remove(leader->replica, id, &info);
            sim_node_leave(leader);
        }
        sim_advance(s->sim, 10 * 1000);
    }
    if (rv != 0) {
        scenario_fail(s, "%s %s: %s", w[0], w[1], info.message);
    }
}

/* ---- time ---- */

static void do_advance(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    sim_advance(s->sim, duration_us(s, w[1]));
}

bool scenario_leader_ready(struct sim *sim)
{
    struct sim_node *leader = sim_leader(sim);

    return leader != NULL && !leader->paused &&
           replica_accepts(leader->replica);
}

/* The nodes that are up agree. */
bool scenario_up_converged(struct sim *sim)
{
    const struct sim_node *first = NULL;

    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        const struct sim_node *n = &sim->nodes[id];
        if (!n->up) {
            continue;
        }
        if (replica_applied(n->replica) < sim->check.commit ||
            (first != NULL &&
             replica_applied(n->replica) != replica_applied(first->replica))) {
            return false;
        }
        first = n;
    }
    return first != NULL;
}

void scenario_wait_for(struct scenario *s, bool (*condition)(struct sim *sim),
                       const char *what)
{
    uint64_t limit_us = s->sim->clock.now_us + SCENARIO_WAIT_US_MAX;

    while (!s->sim->failed && !condition(s->sim)) {
        if (s->sim->clock.now_us >= limit_us) {
            scenario_fail(s, "%s: not within %d s", what,
                          SCENARIO_WAIT_US_MAX / 1000000);
            return;
        }
        sim_advance(s->sim, 1000);
    }
}

static void do_wait_leader(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    scenario_wait_for(s, scenario_leader_ready, w[0]);
}

static void do_wait_converged(struct scenario *s, unsigned n, char **w)
{
    (void)n;
    scenario_wait_for(s, scenario_up_converged, w[0]);
}

static void do_wait_down(struct scenario *s, unsigned n, char **w)
{
    struct sim_node *at = scenario_node(s, w[1]);
    uint64_t limit_us = s->sim->clock.now_us + SCENARIO_WAIT_US_MAX;

    (void)n;
    while (!s->sim->failed && at->up && s->sim->clock.now_us < limit_us) {
        sim_advance(s->sim, 1000);
    }
    if (at->up) {
        scenario_fail(s, "node %u is still up", at->id);
    }
}

/* ---- running ---- */

static const struct {
    const char *name;
    unsigned n_min, n_max; /* words, the name included */
    bool before_start;
    void (*run)(struct scenario *s, unsigned n, char **w);
} commands[] = {
    {"option", 3, 3, true, do_option},
    {"nodes", 2, 2, true, do_nodes},
    {"joiners", 2, 2, true, do_joiners},
    {"start", 2, SCENARIO_WORDS_MAX, true, do_start},
    {"try-start", 2, 2, false, do_try_start},
    {"stop", 2, 2, false, do_end},
    {"crash", 2, 2, false, do_end},
    {"power", 2, 2, false, do_end},
    {"sync", 3, 4, false, do_sync},
    {"wipe", 2, 2, false, do_wipe},
    {"let", 4, 4, false, do_let},
    {"pause", 2, 2, false, do_pause},
    {"resume", 2, 2, false, do_pause},
    {"cut", 3, 4, false, do_cut},
    {"isolate", 2, 2, false, do_isolate},
    {"heal", 1, 1, false, do_heal},
    {"break", 3, 3, false, do_break},
    {"net", 3, 3, false, do_net},
    {"disk", 3, 4, false, do_disk},
    {"aim", 3, 7, false, do_aim},
    {"clock", 3, 3, false, do_clock},
    {"add", 2, 2, false, do_member},
    {"promote", 2, 2, false, do_member},
    {"remove", 2, 2, false, do_member},
    {"drain", 2, 2, false, do_ask},
    {"snapshot", 2, 2, false, do_ask},
    {"advance", 2, 2, false, do_advance},
    {"wait-leader", 1, 1, false, do_wait_leader},
    {"wait-converged", 1, 1, false, do_wait_converged},
    {"wait-down", 2, 2, false, do_wait_down},
    {"write", 5, 5, false, scenario_operation},
    {"read", 4, 4, false, scenario_operation},
    {"incr", 4, 4, false, scenario_operation},
    {"delete", 4, 4, false, scenario_operation},
    {"setnx", 5, 5, false, scenario_operation},
    {"write-px", 6, 6, false, scenario_operation},
    {"persist", 4, 4, false, scenario_operation},
    {"exists", 4, 4, false, scenario_operation},
    {"begin", 5, 7, false, scenario_begin},
    {"try", 7, 9, false, scenario_try},
    {"writes", 6, 6, false, scenario_writes},
    {"wait", 7, 7, false, scenario_wait},
    {"transfer", 4, 6, false, scenario_transfer},
    {"expect", 2, 7, false, scenario_expect},
};

static void run_line(struct scenario *s, char *line)
{
    char *words[SCENARIO_WORDS_MAX];
    char *comment = strchr(line, '#');
    unsigned n = 0;

    if (comment != NULL) {
        *comment = '\0';
    }
    for (char *w = strtok(line, " \t\r\n"); w != NULL && n < SCENARIO_WORDS_MAX;
         w = strtok(NULL, " \t\r\n")) {
        words[n++] = w;
    }
    if (n == 0) {
        return;
    }
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(words[0], commands[i].name) != 0) {
            continue;
        }
        if (n < commands[i].n_min || n > commands[i].n_max) {
            scenario_fail(s, "%s: wrong number of words", words[0]);
        } else if (!s->opened && !commands[i].before_start) {
            scenario_fail(s, "%s: nothing was started", words[0]);
        } else {
            sim_trace(s->sim, "line %u: %s", s->line, words[0]);
            commands[i].run(s, n, words);
        }
        return;
    }
    scenario_fail(s, "unknown command \"%s\"", words[0]);
}

static bool run_file(const char *path, bool trace)
{
    struct scenario s = {.path = path};
    char line[SCENARIO_LINE_MAX];
    FILE *in = fopen(path, "r");

    if (in == NULL) {
        fprintf(stderr, "cannot open %s\n", path);
        return false;
    }
    s.sim = calloc(1, sizeof *s.sim);
    assert(s.sim != NULL);
    sim_options_init(&s.options, 1);
    s.options.trace = trace;
    while (!s.failed && !s.sim->failed && fgets(line, sizeof line, in)) {
        s.line++;
        run_line(&s, line);
    }
    fclose(in);
    if (!s.opened) {
        scenario_fail(&s, "nothing was started");
    } else {
        if (!s.failed && !s.sim->failed) {
            (void)sim_history_check(s.sim);
        }
        if (s.sim->failed) {
            scenario_fail(&s, "%s", s.sim->failure);
        }
        sim_close(s.sim);
    }
    free(s.sim);
    printf("%s %s\n", s.failed ? "FAILED" : "ok", path);
    return !s.failed;
}

int main(int argc, char **argv)
{
    bool trace = false;
    unsigned n_failed = 0, n_run = 0;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0) {
            trace = true;
            continue;
        }
        n_failed += !run_file(argv[i], trace);
        n_run++;
    }
    if (n_run == 0) {
        fprintf(stderr, "usage: sim_scenario [--trace] FILE...\n");
        return 2;
    }
    return n_failed > 0;
}
