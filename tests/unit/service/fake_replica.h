/* A replica made of plain fields, for tests of what stands on it: proposals,
 * reads and frames are kept for the test to look at and to answer. Commands
 * run on a real store when the test applies an entry. */
#ifndef TESTS_UNIT_SERVICE_FAKE_REPLICA_H
#define TESTS_UNIT_SERVICE_FAKE_REPLICA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/command.h"
#include "node/proposal.h"
#include "node/replica.h"
#include "node/service.h"
#include "raftlog/block.h"

struct fake_entry {
    uint64_t term;
    void *block;
    uint32_t size;
};

struct fake_read {
    bool settle;
    replica_read_cb cb;
    void *ctx;
};

struct fake_frame {
    uint64_t to;
    void *block; /* the whole message */
    size_t size;
    struct wire_message m;
    void *body; /* the sender's block, a reference */
};

struct replica {
    uint64_t id, term, leader_id;
    uint64_t clock_ms, leader_clock_ms; /* of the state; for proposals */
    bool leading;
    int propose_rv, read_rv;
    unsigned n_accepted_max; /* proposals taken before propose_rv is given */
    uint64_t cut;            /* bit of each peer to whom no frame can be sent */
    struct store *store;
    struct fake_entry *entries;
    unsigned n_entries, n_applied;
    struct fake_read *reads;
    unsigned n_reads, n_called;
    struct fake_frame *frames;
    unsigned n_frames;
    uint64_t index;
    uint64_t transfer_to; /* of the last replica_transfer taken */
    unsigned n_transfers;
    uint64_t compacted; /* index of the snapshot */
    int compact_rv;
    uint64_t n_compact_failed;
    int transfer_rv;
    size_t n_log_files;
    uint64_t match[4]; /* of the others, as leader */
    unsigned n_match;
};

enum { FAKE_MAX = 4096 };

void fake_open(struct replica *r, uint64_t id);
void fake_close(struct replica *r);
void fake_frame_clear(struct fake_frame *f);
/* Run an entry on the node's store and tell the service. */
void fake_apply(struct replica *r, const struct replica_events *events,
                uint64_t term, const void *payload, size_t size);

#endif
