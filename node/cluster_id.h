/* The id that all nodes of one cluster share: made from what they were first
 * started with, so nobody has to hand it out. */
#ifndef NODE_CLUSTER_ID_H
#define NODE_CLUSTER_ID_H

#include <stdint.h>

#include "node/config.h"
#include "raftlog/raftlog.h"

/* XXH3-128 of the cluster's name, a zero byte and its first members in order
 * of their ids; low half first, little-endian. */
void cluster_id_make(const struct config *c,
                     uint8_t out[RAFTLOG_CLUSTER_ID_SIZE]);

#endif
