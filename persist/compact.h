/* Compaction: the steps that turn a range of the log into files of the chain.
 *
 * All functions want compact_lock held, and no other lock. A failure or a crash
 * anywhere leaves the chain as it was before the step, or after it; what lies
 * about is removed by the next open. */
#ifndef PERSIST_COMPACT_H
#define PERSIST_COMPACT_H

#include "persist/internal.h"

/* What a compaction may use. Limited ones sleep, and end with ERR_STOPPED
 * when the automatic compaction is stopped. */
struct pace {
    struct wal_private *w;
    bool limited;
    uint64_t bytes;     /* spent */
    uint64_t unchecked; /* of them, since the clock was read */
    uint64_t start_ns;
    uint64_t cpu_start_ns;
};
void pace_start(struct pace *p, struct wal_private *w, bool limited);
/* Bytes were read or written; sleeps, and says whether to go on. */
int pace_spend(void *pace, uint64_t bytes);

/* Reduce the entries behind the chain through `to`, which is durable, to one
 * delta or more; merge all when that is due. */
int compact_range(struct wal_private *w, uint64_t to, struct pace *pace,
                  struct err_info *info);
/* Make one file of the chain's files from `first` on: a base if it is 0. */
int compact_merge(struct wal_private *w, unsigned first, struct pace *pace,
                  struct err_info *info);

/* Begin and end a file of the chain. finish verifies it and makes it the last
 * one, instead of those that it covers. */
int compact_begin(struct wal_private *w, uint64_t from, uint64_t to,
                  struct snapshot_writer **out, struct err_info *info);
int compact_finish(struct wal_private *w, struct snapshot_writer *writer,
                   struct pace *pace, struct err_info *info);

/* Bytes of the files of a chain from this one on. */
uint64_t compact_chain_bytes(const struct snapshot_manifest *chain,
                             unsigned first);
/* Let go of segments that the chain covers, except those that the options
 * retain. */
void compact_release(struct wal_private *w);

/* ---- compact_space.c: the full disk ---- */
/* Have so many bytes free for a file, out of the reserve if it must be, and a
 * little more, so that no file of ours takes the last block. Errors:
 * ERR_NOSPACE. */
int compact_space_take(struct wal_private *w, uint64_t bytes,
                       struct err_info *info);
/* How large a file can be now. */
uint64_t compact_space_free(struct wal_private *w);
/* Make or keep the reserve if the disk has plenty. */
void compact_space_keep(struct wal_private *w);

/* ---- compact_auto.c ---- */
int compact_auto_start(struct wal_private *w, struct err_info *info);
void compact_auto_stop(struct wal_private *w);
/* Whether the automatic compaction would begin now. No lock is held. */
bool compact_is_due(struct wal_private *w);
/* The estimated share of entries behind the chain that later ones supersede. */
double compact_superseded(struct wal_private *w);
/* Take the entries appended so far as the range of the next compaction: the
 * estimate begins anew behind them. Returns the last one. */
uint64_t compact_cut(struct wal_private *w);
/* A compaction of what was cut ended so: the counters and the estimate. */
void compact_covered(struct wal_private *w, int rv, uint64_t started_ns);
/* Count the keys that a former process appended. */
int compact_count_old(struct wal_private *w, struct pace *pace,
                      struct err_info *info);
/* One automatic compaction, due or not; takes compact_lock itself. */
int compact_now(struct wal_private *w, bool limited, struct err_info *info);

#endif
