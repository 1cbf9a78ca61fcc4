/* The verb local up: make a cluster on this machine, or start what is missing.
 *
 * Everything that may forbid it (a foreign directory, a port in use) is looked
 * at before anything is written. The directory's lock is held until all
 * processes are started, not while waiting for the cluster to become healthy,
 * so that a node can be killed during that wait. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/local_nodes.h"

enum {
    UP_NODES_DEFAULT = 3,
    UP_PORT_DEFAULT = 7001,
    UP_PEER_PORT_DEFAULT = 7101
};

/* A directory with somebody else's files is not ours to use. */
static int check_new_dir(const struct local *l)
{
    DIR *dir = opendir(l->dir);
    const struct dirent *entry;
    int code = EXIT_CODE_OK;
    if (dir == NULL && errno == ENOENT) {
        return EXIT_CODE_OK;
    }
    if (dir == NULL) {
        return verb_fail(EXIT_CODE_REFUSED, "cannot read %s: %s", l->dir,
                         strerror(errno));
    }
    while (code == EXIT_CODE_OK && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lock") != 0) {
            code = verb_fail(EXIT_CODE_REFUSED,
                             "%s is in use (it has '%s' and no cluster.conf); "
                             "empty it or choose another --dir",
                             l->dir, entry->d_name);
        }
    }
    closedir(dir);
    return code;
}

static bool ranges_meet(const struct local_config *c)
{
    return c->client_port < c->peer_port + c->n_nodes &&
           c->peer_port < c->client_port + c->n_nodes;
}

/* What the command line adds to the cluster's configuration. */
static int take_extra(const struct invocation *in, struct local_config *c)
{
    struct err_info info;
    bool has_server = c->server[0] != '\0' && in->options.server == NULL;
    if (!has_server &&
        local_find_server(in->options.server, c->server, &info) != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    if (in->n_extra > LOCAL_EXTRA_MAX) {
        return verb_fail(EXIT_CODE_USAGE, "more than %d words behind --",
                         (int)LOCAL_EXTRA_MAX);
    }
    for (int i = 0; i < in->n_extra; i++) {
        if (strlen(in->extra[i]) >= LOCAL_EXTRA_BYTES_MAX ||
            strchr(in->extra[i], '\n') != NULL) {
            return verb_fail(EXIT_CODE_USAGE,
                             "word %d behind -- is too long or has a newline",
                             i + 1);
        }
        strcpy(c->extra[i], in->extra[i]);
    }
    if (in->n_extra > 0) {
        c->n_extra = (size_t)in->n_extra;
    }
    return EXIT_CODE_OK;
}

static int configure_new(const struct invocation *in, struct local *l)
{
    const struct options *o = &in->options;
    struct local_config *c = &l->config;
    int code = check_new_dir(l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    memset(c, 0, sizeof(*c));
    c->n_nodes = o->nodes > 0 ? o->nodes : UP_NODES_DEFAULT;
    c->client_port = o->port > 0 ? o->port : UP_PORT_DEFAULT;
    c->peer_port = o->peer_port > 0 ? o->peer_port : UP_PEER_PORT_DEFAULT;
    if (c->client_port + c->n_nodes - 1 > 65535 ||
        c->peer_port + c->n_nodes - 1 > 65535 || ranges_meet(c)) {
        return verb_fail(EXIT_CODE_USAGE,
                         "the ports %" PRIu64 "+ and %" PRIu64 "+ of %" PRIu64
                         " nodes overlap or end above 65535; "
                         "choose others with --port and --peer-port",
                         c->client_port, c->peer_port, c->n_nodes);
    }
    return take_extra(in, c);
}

/* An existing cluster keeps its shape: its nodes remember each other. */
static int configure_again(const struct invocation *in, struct local *l)
{
    const struct options *o = &in->options;
    const struct local_config *c = &l->config;
    if ((o->nodes > 0 && o->nodes != c->n_nodes) ||
        (o->port > 0 && o->port != c->client_port) ||
        (o->peer_port > 0 && o->peer_port != c->peer_port)) {
        return verb_fail(EXIT_CODE_REFUSED,
                         "%s already has a cluster of %" PRIu64
                         " nodes, --port %" PRIu64 " --peer-port %" PRIu64
                         "; leave these options out, or choose another --dir",
                         l->dir, c->n_nodes, c->client_port, c->peer_port);
    }
    return take_extra(in, &l->config);
}

/* Start what does not run. If one cannot be started, what was started before
 * it is stopped again. */
static int start_missing(const struct local *l, struct node_set *started)
{
    struct node_set running = local_running(l);
    struct node_set killed = {{0, 0}};
    struct err_info info;
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        if (!node_set_has(&running, node) &&
            local_check_ports(l, node, &info) != 0) {
            return verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
        }
    }
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        if (node_set_has(&running, node)) {
            continue;
        }
        if (local_start(l, node, &info) != 0) {
            verb_fail(EXIT_CODE_REFUSED, "node %" PRIu64 ": %s", node,
                      info.message);
            local_stop(l, started, clock_now_ms() + LOCAL_KILL_WAIT_MS,
                       &killed);
            return EXIT_CODE_REFUSED;
        }
        node_set_add(started, node);
    }
    return EXIT_CODE_OK;
}

static void print_endpoints(const struct local *l, FILE *out)
{
    char text[ENDPOINT_TEXT_MAX];
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        struct endpoint e = local_endpoint(l, node);
        fprintf(out, "%s%s", node > 1 ? "," : "", endpoint_format(text, &e));
    }
}

static void print_up_json(const struct invocation *in, const struct local *l,
                          const struct node_set *started, uint64_t leader_id)
{
    struct json_writer w = json_writer(stdout);
    json_open(&w, '{');
    json_name(&w, "dir");
    json_text(&w, l->dir);
    json_name(&w, "nodes");
    json_uint(&w, l->config.n_nodes);
    node_set_print_json(&w, "started", started);
    json_name(&w, "endpoints");
    json_open(&w, '[');
    for (uint64_t node = 1; node <= l->config.n_nodes; node++) {
        char text[ENDPOINT_TEXT_MAX];
        struct endpoint e = local_endpoint(l, node);
        json_text(&w, endpoint_format(text, &e));
    }
    json_close(&w, ']');
    if (!in->options.no_wait) {
        json_name(&w, "leader_id");
        json_uint(&w, leader_id);
    }
    json_close(&w, '}');
    json_end(&w);
}

static void print_up(const struct invocation *in, const struct local *l,
                     const struct node_set *started, uint64_t leader_id)
{
    if (in->options.output == OUTPUT_JSON) {
        print_up_json(in, l, started, leader_id);
        return;
    }
    if (node_set_is_empty(started)) {
        printf("all %" PRIu64 " nodes were running already", l->config.n_nodes);
    } else {
        printf("%" PRIu64 " nodes are running", l->config.n_nodes);
    }
    if (!in->options.no_wait) {
        printf(", node %" PRIu64 " leads", leader_id);
    }
    printf("; data and logs: %s\nexport CONCORDKV_ENDPOINTS=", l->dir);
    print_endpoints(l, stdout);
    putchar('\n');
}

/* Decide what the cluster is to be. For a new one everything that may forbid
 * it is looked at, while nothing has been written yet. */
static int configure(const struct invocation *in, struct local *l)
{
    struct err_info info;
    int rc = local_load(l, &info);
    if (rc == 0) {
        return configure_again(in, l);
    }
    if (rc != ERR_NOTFOUND) {
        return verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
    }
    int code = configure_new(in, l);
    for (uint64_t node = 1; code == EXIT_CODE_OK && node <= l->config.n_nodes;
         node++) {
        if (local_check_ports(l, node, &info) != 0) {
            code = verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
        }
    }
    return code;
}

/* Under the lock: write the configuration and start what does not run. */
static int bring_up(const struct invocation *in, struct local *l,
                    struct node_set *started)
{
    struct err_info info;
    int code = configure(in, l);
    if (code == EXIT_CODE_OK && local_create(l, &info) != 0) {
        code = verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
    }
    return code == EXIT_CODE_OK ? start_missing(l, started) : code;
}

int verb_local_up(const struct invocation *in)
{
    static struct local l; /* large */
    struct node_set started = {{0, 0}};
    struct node_set all = {{0, 0}};
    struct err_info info;
    uint64_t leader_id = 0;
    if (local_init(&l, in->options.dir, &info) != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    /* Once before the lock too, because locking makes the directory. */
    int code = configure(in, &l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    if (local_lock(&l, &info) != 0) {
        return verb_fail(EXIT_CODE_REFUSED, "%s", info.message);
    }
    code = bring_up(in, &l, &started);
    local_unlock(&l);
    for (uint64_t node = 1; node <= l.config.n_nodes; node++) {
        node_set_add(&all, node);
    }
    if (code == EXIT_CODE_OK && !in->options.no_wait) {
        code = local_wait_up(in, &l, &all, &leader_id);
    }
    if (code != EXIT_CODE_OK) {
        return code;
    }
    print_up(in, &l, &started, leader_id);
    return verb_finish(code);
}
