/* A sorted run: operations of a range of the log in memory, reduced to the
 * last one of each key and written as a base or a delta.
 *
 * Calling sequence: run_init; run_add until it is full; run_write; run_clear
 * for the next range. One thread. */
#ifndef PERSIST_RUN_H
#define PERSIST_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "persist/entry.h"
#include "snapshot/snapshot.h"

struct run_item;
struct run_chunk;

struct run {
    struct run_item *items;
    size_t n, capacity;
    struct run_chunk *chunks; /* newest first; keys and values lie here */
    size_t bytes;             /* of memory in use */
};

void run_init(struct run *r);
void run_close(struct run *r);
void run_clear(struct run *r);
/* Copy one operation; a MARK is passed over. Errors: ERR_NOMEM. */
int run_add(struct run *r, uint64_t seq, const struct entry *e);
/* Bytes that a file of this run can take at most. */
uint64_t run_file_bytes_max(const struct run *r);
/* Sort and add to the writer, in a base (is_base) without tombstones. spend is
 * told of each piece that was written; a non-zero return ends it. Errors: as
 * snapshot_writer_add. */
typedef int (*run_spend_cb)(void *ctx, uint64_t bytes);
int run_write(struct run *r, bool is_base, struct snapshot_writer *writer,
              run_spend_cb spend, void *ctx);

#endif
