/* Wait until the cluster is healthy. */
#ifndef CLI_CLUSTER_WAIT_H
#define CLI_CLUSTER_WAIT_H

#include "cli/cluster_view.h"
#include "cli/exit_code.h"

enum { CLUSTER_NODE_MS = 1000, CLUSTER_POLL_MS = 100 };

struct cluster_wait {
    const struct endpoint_list *endpoints; /* borrowed */
    size_t n_nodes;                        /* 0: as many as answer */
    bool same_hash;
    int64_t deadline_ms;
    /* Asked in each round; false ends the wait as refused, with info set by
     * it (a node process that ended will never answer). May be NULL. */
    bool (*go_on)(void *data, struct err_info *info);
    void *data;
};

/* Healthy as cluster_view_healthy says, each node having applied what was
 * committed one round before: under load the newest commit is always ahead.
 * Returns EXIT_CODE_OK; UNREACHABLE at the deadline, INTERRUPTED, or REFUSED
 * (the data differ; go_on said no), with what is missing in info. view holds
 * the last look. */
int cluster_wait_healthy(const struct cluster_wait *wait,
                         struct cluster_view *view, struct err_info *info);

#endif
