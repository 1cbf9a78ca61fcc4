/* One real replica among peers that a test plays by hand.
 *
 * Log and snapshots are real files in a temporary directory; time stands still
 * unless the test moves it; messages to peers are collected, decoded, for the
 * test to look at; messages from peers are made by the test. So a test can
 * show one rule of the driver at a time. */
#ifndef TESTS_LIB_SOLO_H
#define TESTS_LIB_SOLO_H

#include "node/replica_state.h"
#include "tests/lib/temp_dir.h"

enum { SOLO_SENT_MAX = 4096, SOLO_JOBS_MAX = 256 };

struct solo_sent {
    uint64_t to;
    struct wire_message m;
    void *block; /* m's pointers lie in it */
};

struct solo {
    struct replica *r;
    struct replica_options options;
    struct replica_server servers[5];
    struct temp_dir dir;
    uint64_t now_ms;
    uint64_t clock_ms;
    uint64_t random;
    struct solo_sent sent[SOLO_SENT_MAX];
    size_t n_sent;
    struct {
        void (*work)(void *);
        void (*done)(void *);
        void *arg;
    } jobs[SOLO_JOBS_MAX];
    size_t n_jobs;
    bool jobs_held; /* jobs wait until solo_run_jobs */
    bool fatal;
    char fatal_message[ERR_MESSAGE_MAX];
    uint64_t n_applied; /* commands */
    uint64_t n_drained, n_transferred;
    bool transferred; /* what the last of them said */
    uint64_t jumped_to;
};

/* Node `id` of n voters 1..n, in a new directory. */
void solo_open(struct solo *s, uint64_t id, unsigned n);
/* Stop cleanly and open again on the same directory. */
void solo_reopen(struct solo *s);
/* Open again after the test has abandoned the replica. */
void solo_restart(struct solo *s);
void solo_close(struct solo *s); /* removes the directory */

/* Let everything asynchronous come to rest: log writes, jobs, flush. */
void solo_settle(struct solo *s);
/* Run the loop without waiting for log writes. */
void solo_turn(struct solo *s);
void solo_run_jobs(struct solo *s);
/* Move time in steps of at most 1 ms to each deadline on the way. */
void solo_advance(struct solo *s, uint64_t ms);
void solo_connect_all(struct solo *s);

void solo_receive(struct solo *s, uint64_t from, const struct wire_message *m);
/* AppendEntries with n entries of `term` (kinds: one char each, 'c' command,
 * 'b' barrier, 'C' configuration of servers 1..n_servers). */
void solo_append(struct solo *s, uint64_t from, uint64_t term, uint64_t prev,
                 uint64_t prev_term, uint64_t commit, const char *kinds,
                 uint64_t entry_term, unsigned n_servers);
void solo_ack(struct solo *s, uint64_t from, uint64_t term, uint64_t index);
void solo_vote(struct solo *s, uint64_t from, uint64_t term, bool pre_vote);
/* Make the node leader of an otherwise quiet cluster: pre-vote, vote, barrier
 * committed. */
void solo_lead(struct solo *s);
/* Propose SET key value; asserts that it is taken. */
void solo_propose(struct solo *s, const char *key, const char *value);

/* The newest message of a type to a peer (0: any); NULL when there is none. */
const struct wire_message *solo_last(const struct solo *s, uint64_t to,
                                     enum wire_type type);
size_t solo_count(const struct solo *s, uint64_t to, enum wire_type type);
void solo_forget(struct solo *s);

#endif
