/* Counted memory: immutable bytes that several owners share.
 *
 * A block is made once, filled by its maker, and from the moment a second
 * owner takes a reference nobody writes to it. Log cache, network writes, the
 * consensus core (whose heap is this one) and pool threads hold references to
 * the same bytes instead of copies. Counts are atomic: any thread may take or
 * drop a reference it is entitled to. */
#ifndef RAFTLOG_BLOCK_H
#define RAFTLOG_BLOCK_H

#include <stddef.h>

/* Memory for size bytes (aligned for any type) with one reference, given to
 * the caller. NULL when out of memory. Contents are not initialised. */
void *block_new(size_t size);

/* One more reference to a block; returns it. NULL is allowed. */
void *block_ref(void *block);

/* Drop a reference; the last one frees. NULL is allowed. */
void block_unref(void *block);

/* The size asked for at block_new. */
size_t block_size(const void *block);

/* Bytes in all live blocks of the process: 0 at the end, or one was leaked. */
size_t block_bytes_in_use(void);

#endif
