/* The instance ids of other nodes, remembered over restarts in data_dir/peers.
 *
 * A node that comes back with another instance id has lost its data directory
 * and must not be let in under its old id (node/handshake.h). Losing this file
 * only forgets such a change; so it is advisory, and damage to it is reported
 * and starts an empty book.
 *
 * Layout (little-endian): "CKVpeers" | u32 version 1 | u32 n |
 * n * (u64 id, instance id 16) | u64 XXH3-64 of everything before. */
#ifndef NODE_PEER_BOOK_H
#define NODE_PEER_BOOK_H

#include <stddef.h>
#include <stdint.h>

#include "node/handshake.h"
#include "node/transport.h"
#include "raftlog/err.h"

enum {
    PEER_BOOK_VERSION = 1,
    PEER_BOOK_MAX = TRANSPORT_PEERS_MAX,
    PEER_BOOK_ENTRY_SIZE = 8 + HANDSHAKE_INSTANCE_SIZE,
    PEER_BOOK_SIZE_MAX = 16 + PEER_BOOK_MAX * PEER_BOOK_ENTRY_SIZE + 8
};

struct peer_book {
    unsigned n;
    struct {
        uint64_t id;
        uint8_t instance[HANDSHAKE_INSTANCE_SIZE];
    } peers[PEER_BOOK_MAX];
};

/* The instance of a node, borrowed; NULL: never seen. */
const uint8_t *peer_book_find(const struct peer_book *b, uint64_t id);
/* Errors: ERR_TOOBIG the book is full. */
int peer_book_set(struct peer_book *b, uint64_t id, const uint8_t *instance);

/* Pure. Errors: ERR_CORRUPT, ERR_VERSION. */
size_t peer_book_encode(const struct peer_book *b,
                        uint8_t out[PEER_BOOK_SIZE_MAX]);
int peer_book_decode(const void *data, size_t size, struct peer_book *out);

/* Blocking. A missing file is an empty book. Errors: those of file.h and of
 * decode; *out is empty then. */
int peer_book_load(const char *data_dir, struct peer_book *out);
int peer_book_save(const char *data_dir, const struct peer_book *b);

#endif
