/* A cluster of node processes on this machine, and its directory:
 *
 *   <dir>/cluster.conf    what it was made with; later starts need no flags
 *   <dir>/lock            one `concordctl local` at a time
 *   <dir>/node-<n>/data   --data-dir of the node
 *   <dir>/node-<n>/log    its stderr and stdout, appended
 *   <dir>/node-<n>/pid    which process it is (process.h)
 *
 * All nodes listen on LOCAL_HOST only. Node n has client port client_port +
 * n - 1 and peer port peer_port + n - 1. */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/endpoint.h"
#include "cli/process.h"

#define LOCAL_HOST "127.0.0.1"

enum {
    LOCAL_PATH_MAX = 1024,
    LOCAL_NODES_MAX = 64,
    LOCAL_EXTRA_MAX = 64,
    LOCAL_EXTRA_BYTES_MAX = 512,
    LOCAL_FORMAT_VERSION = 1
};

struct local_config {
    uint64_t n_nodes;
    uint64_t client_port; /* of node 1 */
    uint64_t peer_port;
    char server[LOCAL_PATH_MAX];
    char extra[LOCAL_EXTRA_MAX][LOCAL_EXTRA_BYTES_MAX]; /* for every node */
    size_t n_extra;
};

struct local {
    char dir[LOCAL_PATH_MAX]; /* absolute */
    struct local_config config;
    int lock_fd; /* -1: not held */
};

/* cluster.conf: lines "name value". Unknown names and a newer version are
 * errors. Pure. */
void local_config_print(const struct local_config *c, FILE *out);
int local_config_parse(struct local_config *c, const char *text,
                       struct err_info *info);

/* Where the cluster is: dir, or the default place if NULL. Touches nothing.
 * Errors: ERR_INVALID, ERR_TOOBIG. */
int local_init(struct local *l, const char *dir, struct err_info *info);
/* Read cluster.conf. Errors: ERR_NOTFOUND if there is no cluster, ERR_CORRUPT,
 * ERR_VERSION, ERR_IO. */
int local_load(struct local *l, struct err_info *info);
/* Make the directories and write cluster.conf. Errors: ERR_IO. */
int local_create(struct local *l, struct err_info *info);
/* Be the only one at work here. Errors: ERR_LOCKED, ERR_IO. */
int local_lock(struct local *l, struct err_info *info);
void local_unlock(struct local *l);

struct endpoint local_endpoint(const struct local *l, uint64_t node);
void local_endpoints(const struct local *l, struct endpoint_list *out);
/* <dir>/node-<n>/<name>; out has LOCAL_PATH_MAX + 64 bytes; returns out. */
char *local_path(const struct local *l, uint64_t node, const char *name,
                 char *out);

/* The node's process, if it runs. Errors: ERR_NOTFOUND, ERR_CORRUPT, ERR_IO. */
int local_find(const struct local *l, uint64_t node, struct process *p,
               struct err_info *info);
/* Are the node's two ports free? Errors: ERR_BUSY, naming the port. */
int local_check_ports(const struct local *l, uint64_t node,
                      struct err_info *info);
/* Start its process. Errors: ERR_IO. */
int local_start(const struct local *l, uint64_t node, struct err_info *info);

/* The concordkv program to use: wanted, else CONCORDKV_SERVER, else beside
 * this program. Absolute, in out (LOCAL_PATH_MAX). Errors: ERR_NOTFOUND. */
int local_find_server(const char *wanted, char *out, struct err_info *info);

/* The last lines of the node's log, indented, for a message. */
void local_print_log_end(const struct local *l, uint64_t node, FILE *out);

#endif
