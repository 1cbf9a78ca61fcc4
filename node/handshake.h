/* The two messages that open a connection between nodes.
 *
 * The node that dials sends a hello and then, once welcomed, its frames of one
 * lane; the node that accepts sends a welcome and nothing more. Both check the
 * other one. A welcome that accepts tells, as the hello does, who the node is
 * and the addresses under which it wants to be known; one that refuses tells
 * the reason, with words, and nothing else, because it may be a stranger's.
 *
 * Layout of both (integers little-endian):
 *   8 bytes magic | u16 WIRE_VERSION | u16 body size | u32 zero |
 *   u64 XXH3-64 of the body, seeded with the version | body
 * hello body:   cluster id 16 | u64 from | u64 to | instance id 16 | u8 lane |
 *               u8 size, client address | u8 size, peer address
 * welcome body: cluster id 16 | u64 id | instance id 16 | u16 reason |
 *               u8 size, client address | u8 size, peer address |
 *               u8 size, text
 * The 24 bytes in front never change, so nodes of different versions can tell
 * each other so. Pure: no I/O.
 *
 * The instance id is made with a data directory. A node that comes back with
 * another one was wiped: it may have forgotten votes and acknowledged entries,
 * so it is refused (it has to join under a new id). */
#ifndef NODE_HANDSHAKE_H
#define NODE_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/address.h"
#include "node/wire.h"
#include "raftlog/err.h"
#include "raftlog/raftlog.h"

enum {
    HANDSHAKE_HEADER_SIZE = 24,
    HANDSHAKE_MAX = 1024, /* either message */
    HANDSHAKE_INSTANCE_SIZE = 16,
    HANDSHAKE_TEXT_MAX = 200
};

/* X(name, number, text for the log) */
#define HANDSHAKE_REASONS(X)                                                   \
    X(ACCEPTED, 0, "accepted")                                                 \
    X(VERSION, 1, "wrong_version")                                             \
    X(CLUSTER, 2, "wrong_cluster")                                             \
    X(UNKNOWN, 3, "unknown_node")                                              \
    X(SELF, 4, "self")                                                         \
    X(TARGET, 5, "wrong_target")                                               \
    X(INSTANCE, 6, "instance_changed")                                         \
    X(MALFORMED, 8, "malformed")

enum handshake_reason {
#define HANDSHAKE_ENUM(name, number, text) HANDSHAKE_##name = (number),
    HANDSHAKE_REASONS(HANDSHAKE_ENUM)
#undef HANDSHAKE_ENUM
};
const char *handshake_reason_name(unsigned reason);

/* Who a node is, as far as the other side can check it. */
struct handshake_node {
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    uint64_t id;
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE];
    char client_address[ADDRESS_TEXT_MAX + 1];
    char peer_address[ADDRESS_TEXT_MAX + 1];
};

struct hello {
    struct handshake_node from;
    uint64_t to;
    enum wire_lane lane;
};

struct welcome {
    struct handshake_node from; /* zeroes in a refusal */
    unsigned reason; /* enum handshake_reason; others may come later */
    char text[HANDSHAKE_TEXT_MAX + 1];
};

/* Return the size of the message. */
size_t hello_encode(const struct hello *h, uint8_t out[HANDSHAKE_MAX]);
size_t welcome_encode(const struct welcome *w, uint8_t out[HANDSHAKE_MAX]);

/* Errors: ERR_AGAIN more bytes are needed; ERR_PROTOCOL not this message, or
 * damaged; ERR_VERSION of another version (info names it). *used is its size.
 */
int hello_decode(const uint8_t *data, size_t size, struct hello *out,
                 size_t *used, struct err_info *info);
int welcome_decode(const uint8_t *data, size_t size, struct welcome *out,
                   size_t *used, struct err_info *info);

/* What a node remembers of another one. */
struct handshake_known {
    bool member;       /* it belongs to the cluster */
    bool has_instance; /* seen before as: */
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE];
};

/* Whether to talk to the other node. expected: the id dialled, 0 when it
 * dialled us. Fills text (HANDSHAKE_TEXT_MAX + 1) for a refusal. */
enum handshake_reason handshake_judge(const struct handshake_node *self,
                                      const struct handshake_node *other,
                                      uint64_t expected,
                                      const struct handshake_known *known,
                                      char *text);

#endif
