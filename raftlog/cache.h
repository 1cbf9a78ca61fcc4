/* The newest entries in memory: a ring over one contiguous range of indexes.
 *
 * Entries that are not durable yet must be in it (the next frame is built from
 * them); durable ones may be evicted from the front. The cache holds one
 * reference to each entry's block. */
#ifndef RAFTLOG_CACHE_H
#define RAFTLOG_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "raftlog/raftlog.h"

struct cache {
    struct raftlog_entry *ring;
    size_t capacity; /* zero or a power of two */
    size_t head;
    size_t n;
    uint64_t first; /* index of the entry at head */
    uint64_t bytes; /* payload and the ring slot of each entry */
};

void cache_init(struct cache *c, uint64_t first);
void cache_close(struct cache *c);
/* Make room for n more entries. Errors: ERR_NOMEM. */
int cache_reserve(struct cache *c, size_t n);
/* Add the entry at first + n; room was reserved. Takes a reference. */
void cache_push(struct cache *c, const struct raftlog_entry *entry);
/* Borrowed; NULL when the index is not here. */
const struct raftlog_entry *cache_get(const struct cache *c, uint64_t index);
/* Drop the entries from `from` on; the next push is at `from` if that is in
 * the range, and the range is unchanged if it is not. */
void cache_truncate(struct cache *c, uint64_t from);
/* Drop the entries through `through`. */
void cache_trim(struct cache *c, uint64_t through);
/* Drop all; the next push is at `first`. */
void cache_clear(struct cache *c, uint64_t first);
/* Drop from the front until at most bytes_max are held, but nothing above
 * `through`. */
void cache_evict(struct cache *c, uint64_t bytes_max, uint64_t through);

#endif
