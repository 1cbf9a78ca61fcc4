/* The verbs on a cluster of this machine but local up: down kill restart
 * status. The directory's lock is held while processes are looked up, started
 * and signalled, not while waiting for the cluster to become healthy. */
#include <inttypes.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/cluster_wait.h"
#include "cli/local_nodes.h"
#include "cli/table.h"
#include "cli/text.h"

enum { PORT_WAIT_MS = 2000 };

static bool wants_json(const struct invocation *in)
{
    return in->options.output == OUTPUT_JSON;
}

int verb_local_down(const struct invocation *in)
{
    static struct local l;
    struct node_set killed = {{0, 0}};
    int code = local_open(in, &l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    struct node_set running = local_running(&l);
    code = local_stop(&l, &running, verb_deadline_ms(in), &killed);
    local_unlock(&l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (wants_json(in)) {
        struct json_writer w = json_writer(stdout);
        json_open(&w, '{');
        node_set_print_json(&w, "stopped", &running);
        node_set_print_json(&w, "killed", &killed);
        json_close(&w, '}');
        json_end(&w);
    } else if (node_set_is_empty(&running)) {
        puts("no node was running");
    } else {
        printf("all nodes are stopped; their data stay in %s\n", l.dir);
    }
    return verb_finish(EXIT_CODE_OK);
}

int verb_local_kill(const struct invocation *in)
{
    static struct local l;
    struct process p;
    struct err_info info;
    uint64_t node = 0;
    if (in->options.node == NULL) {
        return verb_fail(EXIT_CODE_USAGE,
                         "'local kill' needs --node N or --node leader");
    }
    int code = local_open(in, &l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    code = local_choose_node(in, &l, &node);
    if (code == EXIT_CODE_OK && local_find(&l, node, &p, &info) != 0) {
        code = verb_fail(info.code == ERR_NOTFOUND ? EXIT_CODE_NOT_FOUND
                                                   : EXIT_CODE_REFUSED,
                         "%s", info.message);
    }
    if (code == EXIT_CODE_OK) {
        code = local_kill_process(&p, node);
    }
    local_unlock(&l);
    return code != EXIT_CODE_OK ? code
                                : local_print_done(in, "killed", node, p.pid);
}

/* Stop a node if it runs, and start it. */
static int restart_node(const struct invocation *in, const struct local *l,
                        uint64_t node, struct process *p)
{
    struct node_set one = {{0, 0}};
    struct node_set killed = {{0, 0}};
    struct err_info info;
    int64_t ports_until = 0;
    node_set_add(&one, node);
    int code = local_stop(l, &one, verb_deadline_ms(in), &killed);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    /* The kernel may take a moment to let go of a dead process' sockets. */
    ports_until = clock_now_ms() + PORT_WAIT_MS;
    while (local_check_ports(l, node, &info) != 0) {
        if (clock_now_ms() >= ports_until || clock_interrupted()) {
            return verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
        }
        clock_pause(LOCAL_PROCESS_POLL_MS, ports_until);
    }
    if (local_start(l, node, &info) != 0 ||
        local_find(l, node, p, &info) != 0) {
        verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
        local_print_log_end(l, node, stderr);
        return EXIT_CODE_REFUSED;
    }
    return EXIT_CODE_OK;
}

/* Restart one node, and wait for the cluster unless told not to. The lock is
 * let go meanwhile. */
static int restart_and_wait(const struct invocation *in, struct local *l,
                            uint64_t node, bool wait)
{
    struct process p = {.pid = 0};
    struct node_set one = {{0, 0}};
    struct err_info info;
    uint64_t leader_id;
    int code = restart_node(in, l, node, &p);
    if (code == EXIT_CODE_OK) {
        code = local_print_done(in, "restarted", node, p.pid);
    }
    if (code != EXIT_CODE_OK || !wait) {
        return code;
    }
    node_set_add(&one, node);
    local_unlock(l);
    code = local_wait_up(in, l, &one, &leader_id);
    if (code == EXIT_CODE_OK && local_lock(l, &info) != 0) {
        code = verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
    }
    return code;
}

/* What does not run is started first, all of it: the cluster cannot become
 * healthy without. Then one after the other, so that it stays available. */
static int restart_all(const struct invocation *in, struct local *l)
{
    struct node_set running = local_running(l);
    uint64_t n_left = 0;
    int code = EXIT_CODE_OK;
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        n_left += node_set_has(&running, node) ? 0 : 1;
    }
    for (uint64_t node = 1; code == EXIT_CODE_OK && node <= l->config.n_nodes;
         node++) {
        if (!node_set_has(&running, node)) {
            n_left--;
            code = restart_and_wait(in, l, node,
                                    !in->options.no_wait && n_left == 0);
        }
    }
    for (uint64_t node = 1; code == EXIT_CODE_OK && node <= l->config.n_nodes;
         node++) {
        if (node_set_has(&running, node)) {
            code = restart_and_wait(in, l, node, !in->options.no_wait);
        }
    }
    return code;
}

int verb_local_restart(const struct invocation *in)
{
    static struct local l; /* large */
    uint64_t node = 0;
    int code = local_open(in, &l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (in->options.node == NULL) {
        code = restart_all(in, &l);
    } else {
        code = local_choose_node(in, &l, &node);
        if (code == EXIT_CODE_OK) {
            code = restart_and_wait(in, &l, node, !in->options.no_wait);
        }
    }
    local_unlock(&l);
    return verb_finish(code);
}

static const char *state_name(bool running, const struct process *p)
{
    if (!running) {
        return "stopped";
    }
    return process_is_paused(p) ? "paused" : "running";
}

static void print_local_json(const struct local *l)
{
    struct json_writer w = json_writer(stdout);
    char text[LOCAL_PATH_MAX + 64];
    char address[ENDPOINT_TEXT_MAX];
    json_open(&w, '{');
    json_name(&w, "dir");
    json_text(&w, l->dir);
    json_name(&w, "server");
    json_text(&w, l->config.server);
    json_name(&w, "nodes");
    json_open(&w, '[');
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        struct process p;
        struct endpoint e = local_endpoint(l, node);
        json_open(&w, '{');
        json_name(&w, "node_id");
        json_uint(&w, node);
        json_name(&w, "running");
        bool running = local_find(l, node, &p, NULL) == 0;
        json_bool(&w, running);
        json_name(&w, "paused");
        json_bool(&w, running && process_is_paused(&p));
        json_name(&w, "pid");
        if (running) {
            json_int(&w, p.pid);
        } else {
            json_null(&w);
        }
        json_name(&w, "address");
        json_text(&w, endpoint_format(address, &e));
        json_name(&w, "peer_port");
        json_uint(&w, l->config.peer_port + node - 1);
        json_name(&w, "data_dir");
        json_text(&w, local_path(l, node, "data", text));
        json_name(&w, "log");
        json_text(&w, local_path(l, node, "log", text));
        json_close(&w, '}');
    }
    json_close(&w, ']');
    json_close(&w, '}');
    json_end(&w);
}

static void print_local_table(const struct local *l)
{
    static const char *const columns[] = {">ID",     "STATE",      ">PID",
                                          "ADDRESS", ">PEER PORT", "LOG"};
    struct table t;
    char text[LOCAL_PATH_MAX + 64];
    char address[ENDPOINT_TEXT_MAX];
    table_init(&t);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        table_column(&t, columns[i]);
    }
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        struct process p;
        struct endpoint e = local_endpoint(l, node);
        bool running = local_find(l, node, &p, NULL) == 0;
        table_cell(&t, "%" PRIu64, node);
        table_cell(&t, "%s", state_name(running, &p));
        if (running) {
            table_cell(&t, "%d", (int)p.pid);
        } else {
            table_cell(&t, "-");
        }
        table_cell(&t, "%s", endpoint_format(address, &e));
        table_cell(&t, "%" PRIu64, l->config.peer_port + node - 1);
        table_cell(&t, "%s", local_path(l, node, "log", text));
    }
    table_print(&t, stdout);
    table_close(&t);
}

int verb_local_status(const struct invocation *in)
{
    static struct local l;
    struct err_info info;
    if (local_init(&l, in->options.dir, &info) != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    int rc = local_load(&l, &info);
    if (rc != 0) {
        return verb_fail(rc == ERR_NOTFOUND ? EXIT_CODE_NOT_FOUND
                                            : EXIT_CODE_REFUSED,
                         "%s", info.message);
    }
    if (wants_json(in)) {
        print_local_json(&l);
    } else {
        print_local_table(&l);
    }
    return verb_finish(EXIT_CODE_OK);
}
