/* The verbs about the cluster itself: status leader wait-healthy. */
#include "cli/cluster_wait.h"

#include <inttypes.h>

#include "cli/clock.h"
#include "cli/json_write.h"
#include "cli/table.h"
#include "cli/verb.h"

static void look(const struct invocation *in, struct cluster_view *view)
{
    int64_t limit = verb_timeout_ms(in);
    cluster_view_ask(view, &in->endpoints,
                     limit < CLUSTER_NODE_MS ? limit : CLUSTER_NODE_MS);
}

int verb_status(const struct invocation *in)
{
    struct cluster_view view;
    look(in, &view);
    if (in->options.output == OUTPUT_JSON) {
        cluster_view_print_json(&view, stdout);
    } else {
        cluster_view_print_table(&view, in->options.hash, stdout);
        for (size_t i = 0; i < view.n_nodes; i++) {
            if (!view.nodes[i].reachable) {
                fflush(stdout);
                fprintf(stderr, "concordctl: %s\n",
                        view.nodes[i].error.message);
            }
        }
    }
    return verb_finish(view.leader >= 0 ? EXIT_CODE_OK : EXIT_CODE_UNREACHABLE);
}

/* The leader's address as clients are to use it: what the nodes advertise,
 * else where we found it. */
static const char *leader_address(const struct cluster_view *view, char *text)
{
    const struct cluster_node *leader = &view->nodes[view->leader];
    if (leader->info.leader_address[0] != '\0') {
        return leader->info.leader_address;
    }
    return endpoint_format(text, &leader->endpoint);
}

static void print_leader(const struct invocation *in,
                         const struct cluster_view *view)
{
    char text[ENDPOINT_TEXT_MAX];
    const char *address = leader_address(view, text);
    const struct node_info *info = &view->nodes[view->leader].info;
    if (in->options.output == OUTPUT_JSON) {
        struct json_writer w = json_writer(stdout);
        json_open(&w, '{');
        json_name(&w, "node_id");
        json_uint(&w, info->node_id);
        json_name(&w, "address");
        json_text(&w, address);
        json_name(&w, "term");
        json_uint(&w, info->term);
        json_close(&w, '}');
        json_end(&w);
    } else if (in->options.address) {
        puts(address);
    } else {
        struct table t;
        table_init(&t);
        table_column(&t, ">ID");
        table_column(&t, "ADDRESS");
        table_column(&t, ">TERM");
        table_cell(&t, "%" PRIu64, info->node_id);
        table_cell(&t, "%s", address);
        table_cell(&t, "%" PRIu64, info->term);
        table_print(&t, stdout);
        table_close(&t);
    }
}

int verb_leader(const struct invocation *in)
{
    struct cluster_view view;
    int64_t deadline = verb_deadline_ms(in);
    for (;;) {
        look(in, &view);
        if (view.leader >= 0) {
            print_leader(in, &view);
            return verb_finish(EXIT_CODE_OK);
        }
        if (clock_interrupted()) {
            return verb_fail(EXIT_CODE_INTERRUPTED, "interrupted");
        }
        if (clock_now_ms() >= deadline) {
            struct err_info info;
            err_set(&info, ERR_AGAIN, "no leader: %.400s",
                    view.nodes[0].reachable
                        ? "the nodes that answer have not elected one"
                        : view.nodes[0].error.message);
            return verb_fail_call(in, EXIT_CODE_UNREACHABLE, &info);
        }
        clock_pause(CLUSTER_POLL_MS, deadline);
    }
}

int verb_wait_healthy(const struct invocation *in)
{
    struct cluster_wait wait = {
        .endpoints = &in->endpoints,
        .n_nodes = (size_t)in->options.nodes,
        .same_hash = in->options.same_hash,
        .deadline_ms = verb_deadline_ms(in),
    };
    struct cluster_view view;
    struct err_info info = {0, ""};
    int64_t begin = clock_now_ms();
    if (wait.n_nodes == 0) {
        wait.n_nodes = in->endpoints.n_items;
    }
    int code = cluster_wait_healthy(&wait, &view, &info);
    int64_t waited = clock_now_ms() - begin;
    if (in->options.output == OUTPUT_JSON) {
        struct json_writer w = json_writer(stdout);
        json_open(&w, '{');
        json_name(&w, "healthy");
        json_bool(&w, code == EXIT_CODE_OK);
        json_name(&w, "waited_ms");
        json_int(&w, waited);
        if (code != EXIT_CODE_OK) {
            json_name(&w, "missing");
            json_text(&w, info.message);
        }
        json_close(&w, '}');
        json_end(&w);
        return verb_finish(code);
    }
    if (code != EXIT_CODE_OK) {
        return verb_fail(code, "not healthy: %s", info.message);
    }
    printf("healthy after %" PRId64 " ms: %zu nodes, node %" PRIu64
           " leads in term %" PRIu64 "\n",
           waited, view.n_nodes, view.nodes[view.leader].info.node_id,
           view.nodes[view.leader].info.term);
    return verb_finish(code);
}
