/* The files of a chain as one sorted stream: the last state of each key. */
#ifndef PERSIST_MERGE_H
#define PERSIST_MERGE_H

#include "raftlog/err.h"
#include "snapshot/snapshot.h"

/* Visit, in order, the last state of each key in the files of the chain from
 * `first` on (below n_files): tombstones too, unless first is 0, since then
 * nothing older remains. Records are borrowed during the call. A non-zero
 * return stops and is returned. Memory: one block and the index of each file.
 * Errors: ERR_CORRUPT, ERR_IO, ERR_NOMEM, with words. */
typedef int (*merge_cb)(void *ctx, const struct snapshot_record *record);
int merge_chain(const char *dir, const struct snapshot_manifest *chain,
                unsigned first, merge_cb cb, void *ctx, struct err_info *info);

#endif
