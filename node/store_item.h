/* Inside of the store: one key with its value in one allocation.
 *
 * body: u32 key size | type << 24, u32 value size | has-expiry << 31,
 *       [u64 expiry, ms], key, value          (little-endian)
 *
 * The body is also what the state hash is computed over, so its layout is part
 * of the replicated state: nodes of one cluster must agree on it. */
#ifndef NODE_STORE_ITEM_H
#define NODE_STORE_ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/store.h"

struct store_item {
    uint32_t refs;  /* atomic */
    uint32_t epoch; /* of the store when the item was made */
    uint8_t body[];
};

/* A new item with one reference; NULL: out of memory. */
struct store_item *store_item_new(struct bytes key, struct bytes value,
                                  uint8_t type, uint64_t expire_ms,
                                  uint32_t epoch);
/* Put another value into an item nobody else refers to, if it fits without
 * wasting memory. value may lie in the item. */
bool store_item_overwrite(struct store_item *item, struct bytes value,
                          uint8_t type, uint64_t expire_ms);
bool store_item_shared(const struct store_item *item);
struct checksum128 store_item_hash(const struct store_item *item);
/* Bytes asked from the allocator. */
size_t store_item_bytes(const struct store_item *item);

/* Order of keys: as bytes, a prefix first. */
int store_key_compare(struct bytes a, struct bytes b);

#endif
