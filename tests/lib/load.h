/* Clients that write to a cluster while it is being hurt, and remember what
 * they were promised.
 *
 * Each worker is a thread with a connection of its own. When it breaks, the
 * worker goes on at the next node. It writes keys that nobody else writes and
 * never twice, counts a counter of its own and one that all share, and reads
 * its own counter back through other nodes. Of each write it knows one of three
 * things: acknowledged, refused (certainly not done), or unknown (no answer,
 * or -UNKNOWN).
 *
 * load_verify is the oracle. On every node: each acknowledged key is there with
 * its value; no refused key is; a counter stands between the acknowledged and
 * the acknowledged plus the unknown increments. While running: each reply to
 * INCR of an own counter fits what came before it, a read of it is never older
 * than an acknowledged INCR, and no two replies of the shared counter are
 * equal. */
#ifndef TESTS_LIB_LOAD_H
#define TESTS_LIB_LOAD_H

#include <stdint.h>

#include "tests/lib/cluster.h"

struct load;

struct load_options {
    unsigned n_workers;  /* 0: 8 */
    unsigned value_size; /* 0: 64 */
    unsigned pause_us;   /* between two requests of a worker */
    uint64_t seed;
};

struct load_counts {
    uint64_t n_acked, n_refused, n_unknown, n_reads, n_reconnects;
    /* What must not be. */
    uint64_t n_lost, n_wrong, n_doubled, n_stale, n_undead;
};

struct load *load_start(struct cluster *c, const struct load_options *options);
/* Ask the workers to end and wait for them. */
void load_stop(struct load *l);
/* After load_stop; asks each running node for everything. Returns the number
 * of broken promises and prints the first of each worker and node. */
uint64_t load_verify(struct load *l, struct load_counts *out);
void load_free(struct load *l);

/* While it runs: time of the last acknowledged write; the longest time between
 * two of them since the last reset, the time since the last one included. */
uint64_t load_last_ack_us(const struct load *l);
void load_reset_gap(struct load *l);
uint64_t load_gap_us(const struct load *l);
/* Wait until so many more writes are acknowledged. */
void load_wait_acked(struct load *l, uint64_t more);
/* Stop, wait for one state on all running nodes, verify, free. The test ends
 * on a broken promise, or when fewer writes than acked_min were acknowledged (a
 * void run). */
void load_finish(struct load *l, uint64_t acked_min);

#endif
