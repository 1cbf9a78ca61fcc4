/* The verbs local pause and local resume: SIGSTOP and SIGCONT. A paused node
 * keeps its sockets open and answers nothing, like a machine that hangs. */
#include <inttypes.h>
#include <signal.h>

#include "cli/clock.h"
#include "cli/local_nodes.h"

enum { PAUSE_WAIT_MS = 2000 };

/* Signal one node and wait until the kernel shows it. */
static int set_paused(const struct local *l, uint64_t node, bool paused,
                      struct process *p)
{
    struct err_info info;
    int64_t deadline = clock_now_ms() + PAUSE_WAIT_MS;
    int rc = local_find(l, node, p, &info);
    if (rc == 0) {
        rc = process_signal(p, paused ? SIGSTOP : SIGCONT, &info);
    }
    if (rc != 0) {
        return verb_fail(rc == ERR_NOTFOUND ? EXIT_CODE_NOT_FOUND
                                            : EXIT_CODE_REFUSED,
                         "%s", info.message);
    }
    while (process_is_paused(p) != paused) {
        if (!process_is_alive(p) || clock_now_ms() >= deadline) {
            return verb_fail(EXIT_CODE_REFUSED,
                             "node %" PRIu64 " (process %d) does not %s", node,
                             (int)p->pid, paused ? "stop" : "go on");
        }
        clock_pause(LOCAL_PROCESS_POLL_MS, deadline);
    }
    return EXIT_CODE_OK;
}

int verb_local_pause(const struct invocation *in)
{
    static struct local l; /* large */
    struct process p;
    uint64_t node = 0;
    if (in->options.node == NULL) {
        return verb_fail(EXIT_CODE_USAGE,
                         "'local pause' needs --node N or --node leader");
    }
    int code = local_open(in, &l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    code = local_choose_node(in, &l, &node);
    if (code == EXIT_CODE_OK) {
        code = set_paused(&l, node, true, &p);
    }
    local_unlock(&l);
    return code != EXIT_CODE_OK ? code
                                : local_print_done(in, "paused", node, p.pid);
}

/* One node, or all that are paused. */
int verb_local_resume(const struct invocation *in)
{
    static struct local l; /* large */
    struct process p;
    uint64_t first = 1;
    bool any = false;
    int code = local_open(in, &l);
    if (code != EXIT_CODE_OK) {
        return code;
    }
    uint64_t last = l.config.n_nodes;
    if (in->options.node != NULL) {
        code = local_choose_node(in, &l, &first);
        last = first;
    }
    for (uint64_t node = first; code == EXIT_CODE_OK && node <= last; node++) {
        bool wanted =
            in->options.node != NULL ||
            (local_find(&l, node, &p, NULL) == 0 && process_is_paused(&p));
        if (wanted) {
            any = true;
            code = set_paused(&l, node, false, &p);
            code = code == EXIT_CODE_OK
                       ? local_print_done(in, "resumed", node, p.pid)
                       : code;
        }
    }
    local_unlock(&l);
    if (code == EXIT_CODE_OK && !any) {
        return verb_fail(EXIT_CODE_NOT_FOUND, "no node is paused");
    }
    return code;
}
