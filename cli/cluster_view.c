/* All nodes at one look; see cluster_view.h. */
#include "cli/cluster_view.h"

#include <inttypes.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/conn.h"
#include "cli/json_write.h"
#include "cli/table.h"
#include "cli/text.h"

static bool cluster_view_knows(const struct cluster_view *view, uint64_t id)
{
    for (size_t i = 0; i < view->n_nodes; i++) {
        const struct cluster_node *node = &view->nodes[i];
        if (node->reachable && info_has(&node->info, INFO_node_id) &&
            node->info.node_id == id) {
            return true;
        }
    }
    return false;
}

static void cluster_view_ask_one(struct cluster_view *view,
                                 const struct endpoint *endpoint,
                                 int64_t node_timeout_ms)
{
    struct cluster_node *node = &view->nodes[view->n_nodes];
    struct conn conn;
    int64_t deadline = clock_now_ms() + node_timeout_ms;
    memset(node, 0, sizeof(*node));
    node->endpoint = *endpoint;
    int rc = conn_open(&conn, endpoint, deadline, &node->error);
    if (rc == 0) {
        rc = conn_ask_info(&conn, deadline, &node->info, &node->error);
        conn_close(&conn);
    }
    node->reachable = rc == 0;
    bool twice = node->reachable && info_has(&node->info, INFO_node_id) &&
                 cluster_view_knows(view, node->info.node_id);
    if (!twice) {
        view->n_nodes++;
    }
}

void cluster_view_find_leader(struct cluster_view *view)
{
    view->leader = -1;
    for (size_t i = 0; i < view->n_nodes; i++) {
        const struct cluster_node *node = &view->nodes[i];
        /* A deposed leader may not know yet; the highest term tells. */
        if (node->reachable && node->info.role == INFO_ROLE_LEADER &&
            (view->leader < 0 ||
             node->info.term > view->nodes[view->leader].info.term)) {
            view->leader = (int)i;
        }
    }
}

void cluster_view_ask(struct cluster_view *view,
                      const struct endpoint_list *endpoints,
                      int64_t node_timeout_ms)
{
    memset(view, 0, sizeof(*view));
    for (size_t i = 0; i < endpoints->n_items && !clock_interrupted(); i++) {
        cluster_view_ask_one(view, &endpoints->items[i], node_timeout_ms);
    }
    size_t n = view->n_nodes;
    for (size_t i = 0; i < n; i++) {
        const struct node_info *info = &view->nodes[i].info;
        const char *address = info->leader_address;
        struct endpoint leader;
        if (view->nodes[i].reachable && info->leader_id != 0 &&
            !cluster_view_knows(view, info->leader_id) &&
            endpoint_parse(&leader, address, strlen(address), NULL) == 0 &&
            !endpoint_list_has(endpoints, &leader)) {
            cluster_view_ask_one(view, &leader, node_timeout_ms);
            break;
        }
    }
    cluster_view_find_leader(view);
}

uint64_t cluster_view_commit(const struct cluster_view *view)
{
    uint64_t commit = 0;
    for (size_t i = 0; i < view->n_nodes; i++) {
        const struct cluster_node *node = &view->nodes[i];
        if (node->reachable && node->info.commit_index > commit) {
            commit = node->info.commit_index;
        }
    }
    return commit;
}

uint64_t cluster_view_lag(const struct cluster_view *view,
                          const struct cluster_node *node)
{
    uint64_t commit = view->leader >= 0
                          ? view->nodes[view->leader].info.commit_index
                          : cluster_view_commit(view);
    /* The nodes are asked one after the other: a later one may be ahead. */
    return commit > node->info.applied_index ? commit - node->info.applied_index
                                             : 0;
}

bool cluster_view_healthy(const struct cluster_view *view, size_t n_nodes,
                          uint64_t applied_at_least, struct err_info *why)
{
    char name[ENDPOINT_TEXT_MAX];
    for (size_t i = 0; i < view->n_nodes; i++) {
        if (!view->nodes[i].reachable) {
            err_set(why, ERR_AGAIN, "%.500s", view->nodes[i].error.message);
            return false;
        }
    }
    if (view->n_nodes == 0 || (n_nodes > 0 && view->n_nodes != n_nodes)) {
        err_set(why, ERR_AGAIN, "%zu nodes answer, %zu are wanted",
                view->n_nodes, n_nodes);
        return false;
    }
    if (view->leader < 0) {
        err_set(why, ERR_AGAIN, "no leader is elected");
        return false;
    }
    const struct node_info *leader = &view->nodes[view->leader].info;
    for (size_t i = 0; i < view->n_nodes; i++) {
        const struct node_info *info = &view->nodes[i].info;
        endpoint_format(name, &view->nodes[i].endpoint);
        if (info->leader_id != leader->node_id || info->term != leader->term) {
            err_set(why, ERR_AGAIN,
                    "%s follows leader %" PRIu64 " of term %" PRIu64
                    ", not %" PRIu64 " of term %" PRIu64,
                    name, info->leader_id, info->term, leader->node_id,
                    leader->term);
            return false;
        }
        if (info->applied_index < applied_at_least) {
            err_set(why, ERR_AGAIN,
                    "%s has applied %" PRIu64 " of %" PRIu64 " entries", name,
                    info->applied_index, applied_at_least);
            return false;
        }
    }
    return true;
}

enum cluster_hash cluster_view_hash(const struct cluster_view *view,
                                    struct err_info *why)
{
    const struct cluster_node *first = &view->nodes[0];
    enum cluster_hash result = CLUSTER_HASH_SAME;
    for (size_t i = 0; i < view->n_nodes; i++) {
        const struct cluster_node *node = &view->nodes[i];
        char a[ENDPOINT_TEXT_MAX];
        char b[ENDPOINT_TEXT_MAX];
        endpoint_format(a, &first->endpoint);
        endpoint_format(b, &node->endpoint);
        if (!node->reachable || node->info.state_hash[0] == '\0') {
            err_set(why, ERR_AGAIN, "%s tells no state hash", b);
            return CLUSTER_HASH_WAIT;
        }
        if (node->info.applied_index != first->info.applied_index) {
            err_set(why, ERR_AGAIN,
                    "%s is at entry %" PRIu64 ", %s at %" PRIu64, a,
                    first->info.applied_index, b, node->info.applied_index);
            result = CLUSTER_HASH_WAIT;
        } else if (strcmp(node->info.state_hash, first->info.state_hash) != 0) {
            err_set(why, ERR_CORRUPT,
                    "the data differ at entry %" PRIu64
                    ": %s has state hash %.60s, %s has %.60s",
                    node->info.applied_index, a, first->info.state_hash, b,
                    node->info.state_hash);
            return CLUSTER_HASH_DIFFERS;
        }
    }
    return result;
}

static void print_number_cell(struct table *t, const struct node_info *info,
                              enum info_number number)
{
    if (info_has(info, number)) {
        table_cell(t, "%" PRIu64, info_number_value(info, number));
    } else {
        table_cell(t, "-");
    }
}

static void print_node_row(struct table *t, const struct cluster_view *view,
                           const struct cluster_node *node, bool hash)
{
    const struct node_info *info = &node->info;
    char text[ENDPOINT_TEXT_MAX];
    print_number_cell(t, info, INFO_node_id);
    table_cell(t, "%s", endpoint_format(text, &node->endpoint));
    table_cell(t, "%s",
               node->reachable ? info_role_name(info->role) : "unreachable");
    print_number_cell(t, info, INFO_term);
    print_number_cell(t, info, INFO_commit_index);
    print_number_cell(t, info, INFO_applied_index);
    table_cell(t, "%s",
               info_has(info, INFO_log_size_bytes)
                   ? text_bytes(text, info->log_size_bytes)
                   : "-");
    print_number_cell(t, info, INFO_snapshot_index);
    print_number_cell(t, info, INFO_keys);
    if (info_has(info, INFO_applied_index)) {
        table_cell(t, "%" PRIu64, cluster_view_lag(view, node));
    } else {
        table_cell(t, "-");
    }
    if (hash) {
        table_cell(t, "%s",
                   info->state_hash[0] != '\0' ? info->state_hash : "-");
    }
}

void cluster_view_print_table(const struct cluster_view *view, bool hash,
                              FILE *out)
{
    static const char *const columns[] = {
        ">ID",      "ADDRESS",   "ROLE",      ">TERM", ">COMMIT",
        ">APPLIED", ">LOG SIZE", ">SNAPSHOT", ">KEYS", ">LAG"};
    struct table t;
    table_init(&t);
    for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
        table_column(&t, columns[i]);
    }
    if (hash) {
        table_column(&t, "STATE HASH");
    }
    for (size_t i = 0; i < view->n_nodes; i++) {
        print_node_row(&t, view, &view->nodes[i], hash);
    }
    table_print(&t, out);
    table_close(&t);
}

static void print_node_json(struct json_writer *w,
                            const struct cluster_view *view,
                            const struct cluster_node *node)
{
    char address[ENDPOINT_TEXT_MAX];
    const struct node_info *info = &node->info;
    json_open(w, '{');
    json_name(w, "address");
    json_text(w, endpoint_format(address, &node->endpoint));
    json_name(w, "reachable");
    json_bool(w, node->reachable);
    if (!node->reachable) {
        json_name(w, "error");
        json_text(w, node->error.message);
        json_close(w, '}');
        return;
    }
    json_name(w, "role");
    if (info->role == INFO_ROLE_NONE) {
        json_null(w);
    } else {
        json_text(w, info_role_name(info->role));
    }
    for (unsigned i = 0; i < INFO_N_NUMBERS; i++) {
        if (info_has(info, (enum info_number)i)) {
            json_name(w, info_number_name((enum info_number)i));
            json_uint(w, info_number_value(info, (enum info_number)i));
        }
    }
    const char *const texts[][2] = {{"cluster_id", info->cluster_id},
                                    {"state_hash", info->state_hash},
                                    {"version", info->version}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i][1][0] != '\0') {
            json_name(w, texts[i][0]);
            json_text(w, texts[i][1]);
        }
    }
    if (info_has(info, INFO_applied_index)) {
        json_name(w, "lag");
        json_uint(w, cluster_view_lag(view, node));
    }
    json_close(w, '}');
}

void cluster_view_print_json(const struct cluster_view *view, FILE *out)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_name(&w, "leader_id");
    if (view->leader >= 0) {
        json_uint(&w, view->nodes[view->leader].info.node_id);
    } else {
        json_null(&w);
    }
    json_name(&w, "nodes");
    json_open(&w, '[');
    for (size_t i = 0; i < view->n_nodes; i++) {
        print_node_json(&w, view, &view->nodes[i]);
    }
    json_close(&w, ']');
    json_close(&w, '}');
    json_end(&w);
}
