/* CLUSTER, for clients that know Redis Cluster: all slots belong to this one
 * group, its leader is their master and the other members are its replicas.
 * Pure: what it says comes in through struct cluster_facts. */
#ifndef NODE_CLUSTER_COMMAND_H
#define NODE_CLUSTER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "node/buffer.h"
#include "node/replica.h"

struct cluster_node {
    uint64_t id;
    const char *client_address; /* "": not known (yet) */
    const char *peer_address;
    bool connected; /* or this node itself */
};

struct cluster_facts {
    const uint8_t *cluster_id; /* RAFTLOG_CLUSTER_ID_SIZE bytes */
    uint64_t self_id;
    uint64_t leader_id; /* 0: none known */
    uint64_t term, applied_index;
    uint64_t n_sent, n_received; /* frames between nodes */
    unsigned n;
    struct cluster_node nodes[REPLICA_SERVERS_MAX];
    bool resp3; /* maps may be used */
};

/* argv is that of a checked CLUSTER command other than COUNTKEYSINSLOT, which
 * takes several turns of the loop (service_count.c). INFO and NODES are texts:
 * in version 3 the caller makes them such. */
void cluster_command(const struct cluster_facts *f, uint32_t argc,
                     const struct bytes *argv, struct buffer *reply);

#endif
