/* Chains of snapshots that a script hands over one after the other, and what
 * it was promised of them. A version of the chain is known by its number;
 * version 0 is the empty chain. */
#ifndef TESTS_CRASH_CHAIN_MODEL_H
#define TESTS_CRASH_CHAIN_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "snapshot/snapshot.h"

enum { CHAIN_VERSIONS_MAX = 32 };

struct chain_model {
    uint32_t promised; /* adopt of this version has returned */
    uint32_t handed;   /* this one may be found too */
};

extern const uint8_t chain_cluster[SNAPSHOT_CLUSTER_ID_SIZE];

/* Forget all versions of an earlier script. */
void chain_known_clear(void);
const struct snapshot_manifest *chain_known(uint32_t version);

/* Write the file (from, to] with n records into dir/incoming/. */
struct snapshot_file chain_write(const char *dir, uint64_t from, uint64_t to,
                                 unsigned n);
/* Write, and make it the next version. */
void chain_take(struct chain_model *m, const char *dir, uint64_t from,
                uint64_t to, unsigned n);
/* snapshot_chain_open, which must give a version that the model allows, whole
 * and without litter; its number. */
uint32_t chain_recover(const struct chain_model *m, const char *dir);
/* Open an empty chain, or what the model promises, in a script. */
void chain_open(const struct chain_model *m, const char *dir);

#endif
