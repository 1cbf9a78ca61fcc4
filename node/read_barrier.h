/* Linearizable reads by ReadIndex rounds (Raft thesis 6.4; C-RAFT.md 4).
 *
 * On the leader a round is: note R = commit index, ask every voter for its
 * term, and when a majority has answered with ours, everything that was asked
 * before the round started may be read from a store with applied >= R. On any
 * other node a round is one READ_INDEX request to the leader, whose answer
 * carries R. One round is outstanding, what is asked meanwhile waits for the
 * next, so the messages do not grow with the reads.
 *
 * A round also brings the leader's clock of its start, which says which keys
 * have expired for whom asks now. The state decides by its own clock, which may
 * be behind: a read that met a key between the two asks again with `settle`,
 * and its round ends only when the state's clock has come to the leader's, by
 * an entry that the leader makes for it.
 *
 * Calling sequence (all from the replica):
 *   read_barrier_add      a read was asked for; its cb comes later
 *   read_barrier_message  PING, PONG, READ_INDEX or READ_INDEX_RESULT came in
 *   read_barrier_applied  the applied index has risen
 *   read_barrier_changed  role, term or leader has changed
 *   read_barrier_peer     a connection opened or closed
 *   read_barrier_timer    when read_barrier_deadline_ms has come
 *   read_barrier_flush    at the end of each loop turn: starts the next round
 *   read_barrier_close
 * Callbacks may come from all of them but read_barrier_add; they may call
 * read_barrier_add and nothing else of this header.
 *
 * What it knows of the node comes from struct read_barrier_node alone. How
 * frames travel, and whether a sender may send at all, is left to others.
 *
 * Thread: the loop. */
#ifndef NODE_READ_BARRIER_H
#define NODE_READ_BARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "node/replica_io.h"
#include "node/wire.h"

struct read_barrier;

enum {
    READ_BARRIER_VOTERS_MAX = 16,
    READ_BARRIER_READS_MAX = 1 << 20, /* waiting at a time */
    READ_BARRIER_RESEND_MS = 50       /* a ping or request without answer */
};

/* The node, asked at the moment when the answer matters: nothing of it is
 * cached here (C-RAFT.md 4, points 4 and 6). */
struct read_barrier_node {
    void *ctx;
    /* raft_current_term() now, durable or not. */
    uint64_t (*term)(void *ctx);
    /* raft_state() is leader, also while leadership is being handed over. */
    bool (*is_leader)(void *ctx);
    /* Who leads the current term; 0: not known. Asked on others only. */
    uint64_t (*leader_id)(void *ctx);
    /* Highest commit index ever seen: the core's own may go down. */
    uint64_t (*commit_index)(void *ctx);
    uint64_t (*applied_index)(void *ctx);
    /* commit_index() covers an entry of term(). */
    bool (*own_term_committed)(void *ctx);
    /* The clock of this node as leader; never goes back. */
    uint64_t (*clock_ms)(void *ctx);
    /* As leader: false while an entry that brings the clock of the applied
     * state to this one is on its way; made when there is none. True: the clock
     * is there, or no entry can be made now. read_barrier_applied follows. */
    bool (*settle)(void *ctx, uint64_t clock_ms);
    /* Voters of the latest configuration, committed or not; returns how many,
     * at most max. */
    unsigned (*voters)(void *ctx, uint64_t *ids, unsigned max);
    /* Encode and send in the main lane; false: dropped, it is sent again. m is
     * borrowed and has no body. */
    bool (*send)(void *ctx, uint64_t to, const struct wire_message *m);
    /* The leader of `term` says that commit_index is committed: a follower may
     * commit what it has of it without waiting for the next AppendEntries. May
     * be NULL. Called before the callbacks of the reads concerned; must not
     * call into this header except read_barrier_applied. */
    void (*learned)(void *ctx, uint64_t term, uint64_t commit_index);
};

/* Same shape as replica_read_cb. status: 0 the store may be read from now on;
 * ERR_NOTLEADER not confirmed, ask again; ERR_STOPPED. clock_ms: of the leader
 * when the round began; 0 unless status is 0. */
typedef void (*read_barrier_cb)(void *ctx, int status, uint64_t clock_ms);

/* io (now_ms and random are used) and node are copied. Errors: ERR_NOMEM. */
int read_barrier_new(const struct replica_io *io, uint64_t self_id,
                     const struct read_barrier_node *node,
                     struct read_barrier **out);
/* Calls everything that waits with ERR_STOPPED, then frees. */
void read_barrier_close(struct read_barrier *b);
/* Frees without calling anything (a crash in the simulator). */
void read_barrier_abandon(struct read_barrier *b);

/* Errors: ERR_NOMEM; ERR_BUSY READ_BARRIER_READS_MAX are waiting. */
int read_barrier_add(struct read_barrier *b, bool settle, read_barrier_cb cb,
                     void *ctx);
/* m is borrowed; other types are ignored. */
void read_barrier_message(struct read_barrier *b, const struct wire_message *m);
void read_barrier_applied(struct read_barrier *b);
void read_barrier_changed(struct read_barrier *b);
void read_barrier_peer(struct read_barrier *b, uint64_t id, bool connected);
/* In io's now_ms; UINT64_MAX: never; 0: a flush is due. */
uint64_t read_barrier_deadline_ms(const struct read_barrier *b);
void read_barrier_timer(struct read_barrier *b);
void read_barrier_flush(struct read_barrier *b);

struct read_barrier_stats {
    uint64_t n_rounds;    /* started, on the leader and on others */
    uint64_t n_confirmed; /* reads */
    uint64_t n_failed;    /* reads: ERR_NOTLEADER */
    uint64_t n_resent;    /* pings and requests */
    uint64_t n_waiting;   /* reads now */
};
void read_barrier_get_stats(const struct read_barrier *b,
                            struct read_barrier_stats *out);

#endif
