/* All nodes at one look: ask each for INFO, then judge. Asking does I/O;
 * the judgement is pure. */
#ifndef CLI_CLUSTER_VIEW_H
#define CLI_CLUSTER_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/endpoint.h"
#include "cli/info.h"

struct cluster_node {
    struct endpoint endpoint;
    bool reachable;
    struct node_info info; /* if reachable */
    struct err_info error; /* if not */
};

struct cluster_view {
    struct cluster_node nodes[ENDPOINT_LIST_MAX + 1];
    size_t n_nodes;
    int leader; /* index of the leader of the highest term, -1: none */
};

/* Ask every endpoint, and the leader too if it is known but not among them.
 * Two endpoints of the same node (equal node_id) are shown once. */
void cluster_view_ask(struct cluster_view *view,
                      const struct endpoint_list *endpoints,
                      int64_t node_timeout_ms);

/* Fill in view->leader; for views made by hand. */
void cluster_view_find_leader(struct cluster_view *view);

/* The highest commit index that any node has told. */
uint64_t cluster_view_commit(const struct cluster_view *view);

/* Entries this node has still to apply to be where the leader's commit is. */
uint64_t cluster_view_lag(const struct cluster_view *view,
                          const struct cluster_node *node);

/* Healthy: one leader that all nodes agree on, n_nodes nodes (0: any number)
 * reachable, and each has applied at least up to applied_at_least. Words of
 * what is missing go to why. */
bool cluster_view_healthy(const struct cluster_view *view, size_t n_nodes,
                          uint64_t applied_at_least, struct err_info *why);

enum cluster_hash {
    CLUSTER_HASH_SAME,
    CLUSTER_HASH_WAIT,
    CLUSTER_HASH_DIFFERS
};

/* Compare the state hashes. Only hashes at the same applied index can be
 * compared: WAIT means that the nodes were seen at different ones. */
enum cluster_hash cluster_view_hash(const struct cluster_view *view,
                                    struct err_info *why);

void cluster_view_print_table(const struct cluster_view *view, bool hash,
                              FILE *out);
void cluster_view_print_json(const struct cluster_view *view, FILE *out);

#endif
