/* Acts on the nodes of a local cluster that several verbs share. They say on
 * stderr what went wrong and return exit codes. */
#ifndef CLI_LOCAL_NODES_H
#define CLI_LOCAL_NODES_H

#include "cli/json_write.h"
#include "cli/local.h"
#include "cli/verb.h"

enum { LOCAL_PROCESS_POLL_MS = 20, LOCAL_KILL_WAIT_MS = 5000 };

/* Node numbers as a set: node n is bit n. */
struct node_set {
    uint64_t bits[LOCAL_NODES_MAX / 64 + 1];
};

void node_set_add(struct node_set *s, uint64_t node);
bool node_set_has(const struct node_set *s, uint64_t node);
bool node_set_is_empty(const struct node_set *s);
/* A member of the open object: the numbers as an array. */
void node_set_print_json(struct json_writer *w, const char *name,
                         const struct node_set *s);

/* Find the directory of --dir, lock it, read the cluster. */
int local_open(const struct invocation *in, struct local *l);
/* --node: a number, or whoever leads now. */
int local_choose_node(const struct invocation *in, const struct local *l,
                      uint64_t *node);
/* "killed node 2 (process 4711)" */
int local_print_done(const struct invocation *in, const char *what,
                     uint64_t node, pid_t pid);

struct node_set local_running(const struct local *l);

/* SIGKILL and wait until it is gone. */
int local_kill_process(const struct process *p, uint64_t node);

/* SIGTERM to those in the set, and SIGKILL to what is left at the deadline;
 * *killed tells which. */
int local_stop(const struct local *l, const struct node_set *which,
               int64_t deadline_ms, struct node_set *killed);

/* Wait until all nodes are healthy. Those watched must not end meanwhile; if
 * one does, the end of its log is shown. */
int local_wait_up(const struct invocation *in, const struct local *l,
                  const struct node_set *watched, uint64_t *leader_id);

#endif
