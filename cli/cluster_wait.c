/* Wait until the cluster is healthy; see cluster_wait.h. */
#include "cli/cluster_wait.h"

#include "cli/clock.h"

int cluster_wait_healthy(const struct cluster_wait *wait,
                         struct cluster_view *view, struct err_info *info)
{
    uint64_t commit = UINT64_MAX; /* of the round before; none yet */
    err_set(info, ERR_AGAIN, "one look is not enough to be sure");
    for (;;) {
        cluster_view_ask(view, wait->endpoints, CLUSTER_NODE_MS);
        bool healthy = cluster_view_healthy(
            view, wait->n_nodes, commit == UINT64_MAX ? 0 : commit, info);
        if (healthy && wait->same_hash) {
            enum cluster_hash hash = cluster_view_hash(view, info);
            if (hash == CLUSTER_HASH_DIFFERS) {
                return EXIT_CODE_REFUSED;
            }
            healthy = hash == CLUSTER_HASH_SAME;
        }
        if (healthy && commit != UINT64_MAX) {
            return EXIT_CODE_OK;
        }
        commit = cluster_view_commit(view);
        if (clock_interrupted()) {
            err_set(info, ERR_STOPPED, "interrupted");
            return EXIT_CODE_INTERRUPTED;
        }
        if (wait->go_on != NULL && !wait->go_on(wait->data, info)) {
            return EXIT_CODE_REFUSED;
        }
        if (clock_now_ms() >= wait->deadline_ms) {
            return EXIT_CODE_UNREACHABLE;
        }
        clock_pause(CLUSTER_POLL_MS, wait->deadline_ms);
    }
}
