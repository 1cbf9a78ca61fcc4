/* The files of a chain as one sorted stream: the last state of each key. */
#ifndef PERSIST_MERGE_H
#define PERSIST_MERGE_H

#include "raftlog/err.h"
#include "snapshot/snapshot.h"

/* Visit each key that is there at the end of the chain, in order; records are
 * borrowed during the call. A non-zero return stops and is returned. Memory:
 * one block and the index of each file. Errors: ERR_CORRUPT, ERR_IO, ERR_NOMEM,
 * with words. */
typedef int (*merge_cb)(void *ctx, const struct snapshot_record *record);
int merge_chain(const char *dir, const struct snapshot_manifest *chain,
                merge_cb cb, void *ctx, struct err_info *info);

#endif
