/* Acts on the nodes of a local cluster; see local_nodes.h. */
#include "cli/local_nodes.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/cluster_wait.h"
#include "cli/text.h"

void node_set_add(struct node_set *s, uint64_t node)
{
    s->bits[node / 64] |= UINT64_C(1) << (node % 64);
}

bool node_set_has(const struct node_set *s, uint64_t node)
{
    return (s->bits[node / 64] >> (node % 64) & 1) != 0;
}

bool node_set_is_empty(const struct node_set *s)
{
    return s->bits[0] == 0 && s->bits[1] == 0;
}

void node_set_print_json(struct json_writer *w, const char *name,
                         const struct node_set *s)
{
    json_name(w, name);
    json_open(w, '[');
    for (uint64_t node = 1; node <= LOCAL_NODES_MAX; node++) {
        if (node_set_has(s, node)) {
            json_uint(w, node);
        }
    }
    json_close(w, ']');
}

struct node_set local_running(const struct local *l)
{
    struct node_set running = {{0, 0}};
    struct process p;
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        if (local_find(l, node, &p, NULL) == 0) {
            node_set_add(&running, node);
        }
    }
    return running;
}

/* Wait until the process is gone. False at the deadline. */
static bool wait_for_end(const struct process *p, int64_t deadline_ms)
{
    while (process_is_alive(p)) {
        if (clock_now_ms() >= deadline_ms || clock_interrupted()) {
            return false;
        }
        clock_pause(LOCAL_PROCESS_POLL_MS, deadline_ms);
    }
    return true;
}

int local_kill_process(const struct process *p, uint64_t node)
{
    struct err_info info;
    int rc = process_signal(p, SIGKILL, &info);
    if (rc != 0 && rc != ERR_NOTFOUND) {
        return verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
    }
    if (!wait_for_end(p, clock_now_ms() + LOCAL_KILL_WAIT_MS)) {
        return verb_fail(EXIT_CODE_REFUSED,
                         "process %d (node %" PRIu64
                         ") does not end after SIGKILL",
                         (int)p->pid, node);
    }
    return EXIT_CODE_OK;
}

int local_stop(const struct local *l, const struct node_set *which,
               int64_t deadline_ms, struct node_set *killed)
{
    struct process p;
    struct err_info info;
    int code = EXIT_CODE_OK;
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        if (node_set_has(which, node) && local_find(l, node, &p, &info) == 0 &&
            process_signal(&p, SIGTERM, &info) != 0 &&
            info.code != ERR_NOTFOUND) {
            code = verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
        } else if (node_set_has(which, node) && process_is_paused(&p)) {
            /* A paused process takes the signal when it is woken. */
            (void)process_signal(&p, SIGCONT, &info);
        }
    }
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        if (!node_set_has(which, node) || local_find(l, node, &p, &info) != 0 ||
            wait_for_end(&p, deadline_ms)) {
            continue;
        }
        if (clock_interrupted()) {
            return verb_fail(EXIT_CODE_INTERRUPTED,
                             "interrupted; node %" PRIu64 " still runs", node);
        }
        fprintf(stderr,
                "concordctl: node %" PRIu64
                " (process %d) did not end in time and is killed\n",
                node, (int)p.pid);
        node_set_add(killed, node);
        int rc = local_kill_process(&p, node);
        code = rc != EXIT_CODE_OK ? rc : code;
    }
    return code;
}

/* For the wait: a node that has ended will not become healthy. */
struct alive_check {
    const struct local *local;
    struct node_set nodes;
    uint64_t ended; /* the node that did, 0: none */
};

static bool check_alive(void *data, struct err_info *info)
{
    struct alive_check *check = data;
    struct process p;
    for (uint64_t node = 1; node <= check->local->config.n_nodes; node++) {
        if (node_set_has(&check->nodes, node) &&
            local_find(check->local, node, &p, NULL) != 0) {
            check->ended = node;
            err_set(info, ERR_STOPPED, "node %" PRIu64 " has ended", node);
            return false;
        }
    }
    return true;
}

int local_wait_up(const struct invocation *in, const struct local *l,
                  const struct node_set *watched, uint64_t *leader_id)
{
    struct endpoint_list endpoints;
    struct cluster_view view;
    struct err_info info = {0, ""};
    struct alive_check check = {l, *watched, 0};
    struct cluster_wait wait = {.endpoints = &endpoints,
                                .n_nodes = (size_t)l->config.n_nodes,
                                .deadline_ms = verb_deadline_ms(in),
                                .go_on = check_alive,
                                .data = &check};
    local_endpoints(l, &endpoints);
    int code = cluster_wait_healthy(&wait, &view, &info);
    if (code == EXIT_CODE_OK) {
        *leader_id = view.nodes[view.leader].info.node_id;
        return code;
    }
    verb_fail(code, "the cluster is not healthy: %s", info.message);
    if (check.ended != 0) {
        local_print_log_end(l, check.ended, stderr);
    }
    fprintf(stderr, "concordctl: nodes that run are left running; "
                    "'concordctl local down' stops them\n");
    return code;
}

int local_open(const struct invocation *in, struct local *l)
{
    struct err_info info;
    int rc = local_init(l, in->options.dir, &info);
    if (rc != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    /* Look before locking: locking makes the directory. */
    rc = local_load(l, &info);
    if (rc == 0) {
        rc = local_lock(l, &info);
    }
    if (rc != 0) {
        return verb_fail(rc == ERR_NOTFOUND ? EXIT_CODE_NOT_FOUND
                                            : EXIT_CODE_REFUSED,
                         "%s", info.message);
    }
    return EXIT_CODE_OK;
}

int local_choose_node(const struct invocation *in, const struct local *l,
                      uint64_t *node)
{
    struct endpoint_list endpoints;
    static struct cluster_view view; /* large */
    int64_t deadline = verb_deadline_ms(in);
    if (strcmp(in->options.node, "leader") != 0) {
        if (text_parse_count(in->options.node, 1, l->config.n_nodes, node) !=
            0) {
            return verb_fail(EXIT_CODE_USAGE,
                             "--node needs a number from 1 to %" PRIu64
                             " or the word leader",
                             l->config.n_nodes);
        }
        return EXIT_CODE_OK;
    }
    local_endpoints(l, &endpoints);
    for (;;) {
        cluster_view_ask(&view, &endpoints, CLUSTER_NODE_MS);
        if (view.leader >= 0) {
            *node = view.nodes[view.leader].info.node_id;
            return *node >= 1 && *node <= l->config.n_nodes
                       ? EXIT_CODE_OK
                       : verb_fail(EXIT_CODE_REFUSED,
                                   "the leader is none of this cluster's "
                                   "nodes");
        }
        if (clock_interrupted()) {
            return verb_fail(EXIT_CODE_INTERRUPTED, "interrupted");
        }
        if (clock_now_ms() >= deadline) {
            return verb_fail(EXIT_CODE_UNREACHABLE,
                             "no node of the cluster leads");
        }
        clock_pause(CLUSTER_POLL_MS, deadline);
    }
}

int local_print_done(const struct invocation *in, const char *what,
                     uint64_t node, pid_t pid)
{
    if (in->options.output == OUTPUT_JSON) {
        struct json_writer w = json_writer(stdout);
        json_open(&w, '{');
        json_name(&w, what);
        json_uint(&w, node);
        json_name(&w, "pid");
        json_int(&w, pid);
        json_close(&w, '}');
        json_end(&w);
    } else {
        printf("%s node %" PRIu64 " (process %d)\n", what, node, (int)pid);
    }
    return verb_finish(EXIT_CODE_OK);
}
