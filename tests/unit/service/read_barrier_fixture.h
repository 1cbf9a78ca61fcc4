/* The read barrier alone: the node around it and its peers are plain fields,
 * and every message it sends is kept for the test to look at and to answer. */
#ifndef TESTS_UNIT_SERVICE_READ_BARRIER_FIXTURE_H
#define TESTS_UNIT_SERVICE_READ_BARRIER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/read_barrier.h"

enum { BEGIN_MS = 1000, FIRST_ID = 701 };
enum { SENT_MAX = 64, READS_MAX = 16, PENDING = 1 };

struct sent {
    uint64_t to;
    struct wire_message m;
};

struct read {
    struct node *n;
    unsigned i;
    bool again; /* ask once more from inside the callback */
};

struct node {
    uint64_t id, term, leader_id, commit, applied, now_ms, random;
    bool leading, own_term_committed;
    bool down; /* nothing can be sent */
    uint64_t voters[READ_BARRIER_VOTERS_MAX];
    unsigned n_voters;
    struct sent sent[SENT_MAX];
    unsigned n_sent;
    uint64_t learned_term, learned_index;
    uint64_t clock_ms, settle_clock_ms;
    bool settled;       /* the answer of settle */
    bool apply_learned; /* learned applies at once, as the replica may */
    struct read_barrier *barrier; /* NULL: shut */
    struct read reads[READS_MAX];
    int status[READS_MAX];       /* what each read was told */
    uint64_t told_ms[READS_MAX]; /* the same: the leader's clock */
    unsigned order[READS_MAX], n_called;
};

/* ---- what the barrier is given ---- */

static inline uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static inline uint64_t io_random(void *ctx)
{
    return ((struct node *)ctx)->random;
}

static inline uint64_t node_term(void *ctx)
{
    return ((struct node *)ctx)->term;
}

static inline bool node_is_leader(void *ctx)
{
    return ((struct node *)ctx)->leading;
}

static inline uint64_t node_leader_id(void *ctx)
{
    return ((struct node *)ctx)->leader_id;
}

static inline uint64_t node_commit(void *ctx)
{
    return ((struct node *)ctx)->commit;
}

static inline uint64_t node_applied(void *ctx)
{
    return ((struct node *)ctx)->applied;
}

static inline bool node_own_term_committed(void *ctx)
{
    return ((struct node *)ctx)->own_term_committed;
}

static inline uint64_t node_clock_ms(void *ctx)
{
    return ((struct node *)ctx)->clock_ms;
}

static inline bool node_settle(void *ctx, uint64_t clock_ms)
{
    struct node *n = ctx;
    assert_true(n->leading);
    n->settle_clock_ms = clock_ms;
    return n->settled;
}

static inline unsigned node_voters(void *ctx, uint64_t *ids, unsigned max)
{
    struct node *n = ctx;
    assert_true(n->n_voters <= max);
    memcpy(ids, n->voters, n->n_voters * sizeof *ids);
    return n->n_voters;
}

static inline bool node_send(void *ctx, uint64_t to,
                             const struct wire_message *m)
{
    struct node *n = ctx;
    if (n->down) {
        return false;
    }
    assert_true(n->n_sent < SENT_MAX);
    n->sent[n->n_sent].to = to;
    n->sent[n->n_sent].m = *m;
    n->n_sent++;
    return true;
}

static inline void node_learned(void *ctx, uint64_t term, uint64_t index)
{
    struct node *n = ctx;
    n->learned_term = term;
    n->learned_index = index;
    if (n->apply_learned) {
        n->applied = index;
        read_barrier_applied(n->barrier);
    }
}

/* ---- nodes ---- */

/* A test that opens a node; it is closed behind it, also when it fails. */
#define TEST(name)                                                             \
    cmocka_unit_test_teardown(test_read_barrier_##name, close_node)

/* A barrier whose first round is random + 1. */
static inline void boot(struct node *n, uint64_t random)
{
    struct replica_io io = {.ctx = n, .now_ms = io_now_ms, .random = io_random};
    struct read_barrier_node node = {
        .ctx = n,
        .term = node_term,
        .is_leader = node_is_leader,
        .leader_id = node_leader_id,
        .commit_index = node_commit,
        .applied_index = node_applied,
        .own_term_committed = node_own_term_committed,
        .clock_ms = node_clock_ms,
        .settle = node_settle,
        .voters = node_voters,
        .send = node_send,
        .learned = node_learned,
    };
    n->random = random;
    assert_int_equal(read_barrier_new(&io, n->id, &node, &n->barrier), 0);
}

/* Reads that wait are told ERR_STOPPED. */
static inline void shut(struct node *n)
{
    if (n->barrier != NULL) {
        read_barrier_close(n->barrier);
        n->barrier = NULL;
    }
}

/* Node 1 leads term 5 of three voters; everything to 10 is committed. */
static inline struct node *open_leader(void **state)
{
    struct node *n = calloc(1, sizeof *n);
    assert_non_null(n);
    *state = n;
    n->id = 1;
    n->term = 5;
    n->leading = true;
    n->leader_id = 1;
    n->commit = 10;
    n->applied = 10;
    n->own_term_committed = true;
    n->now_ms = BEGIN_MS;
    n->n_voters = 3;
    n->voters[0] = 1;
    n->voters[1] = 2;
    n->voters[2] = 3;
    boot(n, FIRST_ID - 1);
    return n;
}

/* The same node, where node 2 leads. */
static inline struct node *open_follower(void **state)
{
    struct node *n = open_leader(state);
    n->leading = false;
    n->leader_id = 2;
    return n;
}

static inline int close_node(void **state)
{
    shut(*state);
    free(*state);
    return 0;
}

/* Another leads from now on; 0: nobody that is known. */
static inline void follow(struct node *n, uint64_t term, uint64_t leader_id)
{
    n->leading = false;
    n->term = term;
    n->leader_id = leader_id;
    read_barrier_changed(n->barrier);
}

static inline void apply(struct node *n, uint64_t index)
{
    n->applied = index;
    read_barrier_applied(n->barrier);
}

static inline void flush(struct node *n)
{
    read_barrier_flush(n->barrier);
}

/* It is time to send again; only what is sent now counts. */
static inline void resend(struct node *n)
{
    n->n_sent = 0;
    n->now_ms += READ_BARRIER_RESEND_MS;
    read_barrier_timer(n->barrier);
}

/* ---- reads ---- */

static inline void called(void *ctx, int status, uint64_t clock_ms)
{
    struct read *r = ctx;
    struct node *n = r->n;
    assert_int_equal(n->status[r->i], PENDING);
    n->status[r->i] = status;
    n->told_ms[r->i] = clock_ms;
    n->order[n->n_called++] = r->i;
    if (r->again) {
        r->again = false;
        n->status[r->i] = PENDING;
        n->n_called--;
        (void)read_barrier_add(n->barrier, false, called, r);
    }
}

static inline void ask_with(struct node *n, unsigned i, bool settle)
{
    struct read *r = &n->reads[i];
    r->n = n;
    r->i = i;
    r->again = false;
    n->status[i] = PENDING;
    assert_int_equal(read_barrier_add(n->barrier, settle, called, r), 0);
}

/* Read i waits for a round. */
static inline void ask(struct node *n, unsigned i)
{
    ask_with(n, i, false);
}

/* Read i, and a round if one may begin. */
static inline void ask_now(struct node *n, unsigned i)
{
    ask(n, i);
    flush(n);
}

/* ---- messages ---- */

/* Message i that was sent, to whom and of which type it was. */
static inline const struct wire_message *sent(const struct node *n, unsigned i,
                                              uint64_t to, enum wire_type type)
{
    assert_true(i < n->n_sent);
    assert_int_equal(n->sent[i].to, to);
    assert_int_equal(n->sent[i].m.type, type);
    assert_int_equal(n->sent[i].m.from, n->id);
    return &n->sent[i].m;
}

/* Message i is an answer to READ_INDEX with this status. */
static inline void assert_answered(const struct node *n, unsigned i,
                                   uint64_t to, int status)
{
    const struct wire_message *m = sent(n, i, to, WIRE_READ_INDEX_RESULT);
    assert_int_equal(m->as.read_index.status, status);
}

static inline void pong(struct node *n, uint64_t from, uint64_t term,
                        uint64_t sequence)
{
    struct wire_message m = {.type = WIRE_BARRIER_PONG, .from = from};
    m.as.barrier.term = term;
    m.as.barrier.sequence = sequence;
    read_barrier_message(n->barrier, &m);
}

static inline void read_index_with(struct node *n, uint64_t from, uint64_t id,
                                   uint64_t term, bool settle)
{
    struct wire_message m = {.type = WIRE_READ_INDEX, .from = from};
    m.as.read_index.id = id;
    m.as.read_index.term = term;
    m.as.read_index.settle = settle;
    read_barrier_message(n->barrier, &m);
}

static inline void read_index(struct node *n, uint64_t from, uint64_t id,
                              uint64_t term)
{
    read_index_with(n, from, id, term, false);
}

/* An answer to READ_INDEX; clock_ms is the leader's. */
static inline void result_at(struct node *n, uint64_t from, uint64_t id,
                             uint64_t index, int status, uint64_t clock_ms)
{
    struct wire_message m = {.type = WIRE_READ_INDEX_RESULT, .from = from};
    m.as.read_index.id = id;
    m.as.read_index.term = n->term;
    m.as.read_index.index = index;
    m.as.read_index.status = status;
    m.as.read_index.clock_ms = clock_ms;
    read_barrier_message(n->barrier, &m);
}

static inline void result(struct node *n, uint64_t from, uint64_t id,
                          uint64_t index, int status)
{
    result_at(n, from, id, index, status, 0);
}

#endif
