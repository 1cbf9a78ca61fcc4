/* One real replica among peers that a test plays by hand.
 *
 * Log and snapshots are real files in a temporary directory; time stands still
 * unless the test moves it; messages to peers are collected, decoded, for the
 * test to look at; messages from peers are made by the test. So a test can
 * show one rule of the driver at a time. With SOLO_TRACE in the environment the
 * trace of the replica goes to stderr. */
#ifndef TESTS_LIB_SOLO_H
#define TESTS_LIB_SOLO_H

#include "node/replica_state.h"
#include "tests/lib/job_list.h"
#include "tests/lib/temp_dir.h"

enum { SOLO_SENT_MAX = 4096 };

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
    struct job_list jobs;
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
/* Stop cleanly and open again on the same directory, with the options as they
 * are now. */
void solo_reopen(struct solo *s);
/* The same in a new directory. */
void solo_reopen_blank(struct solo *s);
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
struct replica_status solo_status(const struct solo *s);

/* ---- what peers say ---- */

/* A message of this type; all else in it is zero. */
struct wire_message solo_message(enum wire_type type);
void solo_receive(struct solo *s, uint64_t from, const struct wire_message *m);
/* AppendEntries with n entries of `term` (kinds: one char each, 'c' command,
 * 'b' barrier, 'C' configuration of servers 1..n_servers). */
void solo_append(struct solo *s, uint64_t from, uint64_t term, uint64_t prev,
                 uint64_t prev_term, uint64_t commit, const char *kinds,
                 uint64_t entry_term, unsigned n_servers);
void solo_ack(struct solo *s, uint64_t from, uint64_t term, uint64_t index);
/* It has not got entry `rejected`: its log ends at last. */
void solo_reject(struct solo *s, uint64_t from, uint64_t term,
                 uint64_t rejected, uint64_t last);
void solo_vote(struct solo *s, uint64_t from, uint64_t term, bool pre_vote);
/* It asks for the node's vote; its log ends with this entry. */
void solo_ask_vote(struct solo *s, uint64_t from, uint64_t term, uint64_t last,
                   uint64_t last_term, bool pre_vote);
/* The same, until the node has answered: what it says. */
bool solo_gives_vote(struct solo *s, uint64_t from, uint64_t term,
                     uint64_t last, uint64_t last_term, bool pre_vote);
/* It has lost leader 2 of term 2; its log ends with entry `last` of term 2. */
void solo_leader_lost(struct solo *s, uint64_t from, uint64_t last);

/* ---- where the node stands ---- */

/* Open node 1 of 3 as a follower of node 2 in term 2, with entries 2..last of
 * that term, committed and applied. */
void solo_follow(struct solo *s, uint64_t last);
/* Connected to all, it asks for pre-votes. */
void solo_stand(struct solo *s);
/* Elected by another node; its own entry is not committed yet. */
void solo_elect(struct solo *s);
/* Leader of an otherwise quiet cluster, its own entry committed. */
void solo_lead(struct solo *s);
/* Take a snapshot, until it is there; asserts that it is begun. */
void solo_snapshot(struct solo *s);
struct replica_compaction solo_compaction(const struct solo *s);
/* Propose SET key value; asserts that it is taken. */
void solo_propose(struct solo *s, const char *key, const char *value);

/* ---- what the node says ---- */

/* The newest message of a type to a peer (0: any); NULL when there is none. */
const struct wire_message *solo_last(const struct solo *s, uint64_t to,
                                     enum wire_type type);
size_t solo_count(const struct solo *s, uint64_t to, enum wire_type type);
/* The newest answer to a peer; there must be one. */
const struct raft_append_entries_result *
solo_append_result(const struct solo *s, uint64_t to);
const struct raft_request_vote_result *solo_vote_result(const struct solo *s,
                                                        uint64_t to);
void solo_forget(struct solo *s);

#endif
