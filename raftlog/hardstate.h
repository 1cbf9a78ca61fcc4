/* Term and vote on disk: one record in two slot files.
 *
 * Slots hardstate.0 and hardstate.1 are written alternately, each write into
 * a block of its own, so that a torn write leaves the other slot whole; the
 * valid slot with the highest sequence wins. While the log is idle the newest
 * record is copied to the other slot (the mirror), so that a later single
 * damage loses nothing. When both are damaged nothing is guessed: a vote that
 * may have been given must not be given again (Raft figure 2, persistent
 * state).
 *
 * Layout: README.md, section "Layout". */
#ifndef RAFTLOG_HARDSTATE_H
#define RAFTLOG_HARDSTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"
#include "raftlog/raftlog.h"

enum {
    HARDSTATE_VERSION = 2,
    HARDSTATE_SIZE = 128, /* of the record at the start of the slot's block */
    HARDSTATE_SLOTS = 2,
    HARDSTATE_BOOT_SIZE = 40 /* a boot id, filled up with zeroes */
};

struct hardstate {
    uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE];
    uint64_t node_id;
    uint64_t sequence; /* counts changes; 0: as created, term 0 */
    uint64_t term;
    uint64_t voted_for;
    /* A frame of the log that was durable when this was written and that
     * holds entries or an act: recovery must find it. */
    uint64_t log_sequence;
    /* Entries may have been acknowledged under this boot id and not be synced;
     * empty: none. And: some may be forgotten that were acknowledged in
     * forgot_term or before. See sync.c. */
    char weak_boot[HARDSTATE_BOOT_SIZE];
    bool forgot;
    uint64_t forgot_term;
};

/* Pure. block has room for size bytes; the rest is zeroed. */
void hardstate_encode(const struct hardstate *h, void *block, size_t size);
/* Errors: ERR_CORRUPT, ERR_VERSION. */
int hardstate_decode(const void *data, size_t size, struct hardstate *out);

/* What hardstate_load found. */
struct hardstate_loaded {
    bool missing;           /* neither slot exists */
    struct hardstate state; /* of the slot that won */
    unsigned slot;          /* which one it was */
    bool both;              /* both slots are valid */
    bool mirrored;          /* and say the same */
    uint64_t log_sequence;  /* the highest of the valid slots */
};

/* Read both slots of a data directory. Changes nothing. Errors: ERR_CORRUPT
 * both are damaged; ERR_CLUSTER; ERR_VERSION; ERR_IO; ERR_NOMEM. */
int hardstate_load(const char *data_dir, const struct raftlog_options *options,
                   struct hardstate_loaded *out, struct err_info *info);
/* Write both slots of a new data directory, or the one that is missing
 * (`only`, or HARDSTATE_SLOTS for both). Blocking, durable. */
int hardstate_create(const char *data_dir, const struct hardstate *h,
                     unsigned only, size_t block_bytes, struct err_info *info);

#endif
