/* The read barrier alone: the node around it and its peers are plain fields of
 * the fixture, and every message it sends is kept for the test to answer. The
 * points of C-RAFT.md section 4 are named at their tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/read_barrier.h"

enum { SENT_MAX = 64, READS_MAX = 16, PENDING = 1 };

struct sent {
    uint64_t to;
    struct wire_message m;
};

struct node {
    uint64_t id, term, leader_id, commit, applied, now_ms, random;
    bool leading, own_term_committed, down;
    uint64_t voters[READ_BARRIER_VOTERS_MAX];
    unsigned n_voters;
    struct sent sent[SENT_MAX];
    unsigned n_sent;
    uint64_t learned_term, learned_index;
    uint64_t clock_ms, settle_clock_ms;
    bool settled;       /* the answer of settle */
    bool apply_learned; /* learned applies at once, as the replica may */
    struct read_barrier *barrier;
    int status[READS_MAX];
    uint64_t told_ms[READS_MAX];
    unsigned order[READS_MAX], n_called;
};

struct read {
    struct node *n;
    unsigned i;
    bool again; /* ask once more from inside the callback */
};
static struct read reads[READS_MAX];

static uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static uint64_t io_random(void *ctx)
{
    return ((struct node *)ctx)->random;
}

static uint64_t node_term(void *ctx)
{
    return ((struct node *)ctx)->term;
}

static bool node_is_leader(void *ctx)
{
    return ((struct node *)ctx)->leading;
}

static uint64_t node_leader_id(void *ctx)
{
    return ((struct node *)ctx)->leader_id;
}

static uint64_t node_commit(void *ctx)
{
    return ((struct node *)ctx)->commit;
}

static uint64_t node_applied(void *ctx)
{
    return ((struct node *)ctx)->applied;
}

static bool node_own_term_committed(void *ctx)
{
    return ((struct node *)ctx)->own_term_committed;
}

static uint64_t node_clock_ms(void *ctx)
{
    return ((struct node *)ctx)->clock_ms;
}

static bool node_settle(void *ctx, uint64_t clock_ms)
{
    struct node *n = ctx;
    assert_true(n->leading);
    n->settle_clock_ms = clock_ms;
    return n->settled;
}

static unsigned node_voters(void *ctx, uint64_t *ids, unsigned max)
{
    struct node *n = ctx;
    assert_true(n->n_voters <= max);
    memcpy(ids, n->voters, n->n_voters * sizeof *ids);
    return n->n_voters;
}

static bool node_send(void *ctx, uint64_t to, const struct wire_message *m)
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

static void node_learned(void *ctx, uint64_t term, uint64_t index)
{
    struct node *n = ctx;
    n->learned_term = term;
    n->learned_index = index;
    if (n->apply_learned) {
        n->applied = index;
        read_barrier_applied(n->barrier);
    }
}

static void make(struct node *n, uint64_t random)
{
    struct replica_io io;
    struct read_barrier_node node = {n,
                                     node_term,
                                     node_is_leader,
                                     node_leader_id,
                                     node_commit,
                                     node_applied,
                                     node_own_term_committed,
                                     node_clock_ms,
                                     node_settle,
                                     node_voters,
                                     node_send,
                                     node_learned};
    memset(&io, 0, sizeof io);
    io.ctx = n;
    io.now_ms = io_now_ms;
    io.random = io_random;
    n->random = random;
    assert_int_equal(read_barrier_new(&io, n->id, &node, &n->barrier), 0);
}

/* Node 1 leads term 5 of three voters; everything to 10 is committed. */
static struct node *setup_leader(struct node *n)
{
    memset(n, 0, sizeof *n);
    n->id = 1;
    n->term = 5;
    n->leading = true;
    n->leader_id = 1;
    n->commit = 10;
    n->applied = 10;
    n->own_term_committed = true;
    n->now_ms = 1000;
    n->n_voters = 3;
    n->voters[0] = 1;
    n->voters[1] = 2;
    n->voters[2] = 3;
    make(n, 700);
    return n;
}

static struct node *setup_follower(struct node *n)
{
    setup_leader(n);
    n->leading = false;
    n->leader_id = 2;
    return n;
}

static void called(void *ctx, int status, uint64_t clock_ms)
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

static void ask_with(struct node *n, unsigned i, bool settle)
{
    reads[i].n = n;
    reads[i].i = i;
    reads[i].again = false;
    n->status[i] = PENDING;
    assert_int_equal(read_barrier_add(n->barrier, settle, called, &reads[i]),
                     0);
}

static void ask(struct node *n, unsigned i)
{
    ask_with(n, i, false);
}

static struct wire_message *sent(struct node *n, unsigned i, uint64_t to,
                                 enum wire_type type)
{
    assert_true(i < n->n_sent);
    assert_int_equal(n->sent[i].to, to);
    assert_int_equal(n->sent[i].m.type, type);
    assert_int_equal(n->sent[i].m.from, n->id);
    return &n->sent[i].m;
}

static void pong(struct node *n, uint64_t from, uint64_t term,
                 uint64_t sequence)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BARRIER_PONG;
    m.from = from;
    m.as.barrier.term = term;
    m.as.barrier.sequence = sequence;
    read_barrier_message(n->barrier, &m);
}

static void read_index(struct node *n, uint64_t from, uint64_t id,
                       uint64_t term)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_READ_INDEX;
    m.from = from;
    m.as.read_index.id = id;
    m.as.read_index.term = term;
    read_barrier_message(n->barrier, &m);
}

static void result(struct node *n, uint64_t from, uint64_t id, uint64_t index,
                   int status)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_READ_INDEX_RESULT;
    m.from = from;
    m.as.read_index.id = id;
    m.as.read_index.term = n->term;
    m.as.read_index.index = index;
    m.as.read_index.status = status;
    read_barrier_message(n->barrier, &m);
}

static void test_read_barrier_majority_answers_read_runs(void **state)
{
    struct node node, *n = setup_leader(&node);
    uint64_t sequence;
    (void)state;
    ask(n, 0);
    assert_int_equal(n->n_sent, 0);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 2);
    sequence = sent(n, 0, 2, WIRE_BARRIER_PING)->as.barrier.sequence;
    assert_int_equal(sent(n, 1, 3, WIRE_BARRIER_PING)->as.barrier.term, 5);
    assert_int_equal(n->status[0], PENDING);
    pong(n, 3, 5, sequence);
    assert_int_equal(n->status[0], 0);
    pong(n, 2, 5, sequence); /* late, harmless */
    assert_true(read_barrier_deadline_ms(n->barrier) == UINT64_MAX);
    read_barrier_close(n->barrier);
}

/* Point 1. */
static void test_read_barrier_own_term_not_committed_waits(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->own_term_committed = false;
    ask(n, 0);
    read_index(n, 2, 9, 5);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 0);
    n->own_term_committed = true;
    n->commit = 11;
    n->applied = 11;
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 2);
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(sent(n, 2, 2, WIRE_READ_INDEX_RESULT)->as.read_index.index,
                     11);
    read_barrier_close(n->barrier);
}

/* Point 2: R is the commit index at the start of the round, and the read waits
 * for the store to reach it. */
static void test_read_barrier_store_behind_waits_for_index(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->commit = 15;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    n->commit = 20; /* later commits need not be waited for */
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], PENDING);
    n->applied = 14;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->status[0], PENDING);
    n->applied = 15;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

/* Point 3: an answer to an older sequence proves nothing for this read. */
static void test_read_barrier_old_sequence_is_not_counted(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    ask(n, 1); /* behind the start of the round */
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->status[1], PENDING);
    read_barrier_flush(n->barrier);
    pong(n, 3, 5, 701);
    pong(n, 2, 5, 700);
    assert_int_equal(n->status[1], PENDING);
    pong(n, 3, 5, 702);
    assert_int_equal(n->status[1], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_many_reads_share_one_round(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct read_barrier_stats stats;
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    for (unsigned i = 1; i < 6; i++) {
        ask(n, i);
        read_barrier_flush(n->barrier); /* one outstanding, one queued */
    }
    assert_int_equal(n->n_sent, 2);
    pong(n, 2, 5, 701);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 4);
    pong(n, 2, 5, 702);
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(n->status[i], 0);
        assert_int_equal(n->order[i], i);
    }
    read_barrier_get_stats(n->barrier, &stats);
    assert_int_equal(stats.n_rounds, 2);
    assert_int_equal(stats.n_confirmed, 6);
    assert_int_equal(stats.n_waiting, 0);
    read_barrier_close(n->barrier);
}

/* Points 4 and 8: the answer is the term of the moment, whatever the role and
 * whoever asks. */
static void test_read_barrier_ping_answers_current_term(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct wire_message m;
    (void)state;
    memset(&m, 0, sizeof m);
    m.type = WIRE_BARRIER_PING;
    m.from = 3; /* not whom we take for the leader */
    m.as.barrier.term = 5;
    m.as.barrier.sequence = 44;
    read_barrier_message(n->barrier, &m);
    assert_int_equal(sent(n, 0, 3, WIRE_BARRIER_PONG)->as.barrier.term, 5);
    assert_int_equal(n->sent[0].m.as.barrier.sequence, 44);
    n->term = 6;
    n->leader_id = 0;
    read_barrier_message(n->barrier, &m);
    assert_int_equal(sent(n, 1, 3, WIRE_BARRIER_PONG)->as.barrier.term, 6);
    read_barrier_close(n->barrier);
}

/* Point 5: a majority of the voters of now, ourselves only as one of them. */
static void test_read_barrier_latest_voters_are_counted(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    n->n_voters = 4;
    n->voters[3] = 4;
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], PENDING); /* 2 of 4 */
    pong(n, 9, 5, 701);                      /* no voter */
    assert_int_equal(n->status[0], PENDING);
    n->now_ms += READ_BARRIER_RESEND_MS;
    n->n_sent = 0;
    read_barrier_timer(n->barrier);
    assert_int_equal(n->n_sent, 2); /* the new voter is asked as well */
    sent(n, 0, 3, WIRE_BARRIER_PING);
    sent(n, 1, 4, WIRE_BARRIER_PING);
    pong(n, 4, 5, 701);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_leader_no_voter_is_not_counted(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->n_voters = 3;
    n->voters[0] = 4;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 3);
    pong(n, 2, 5, 701);
    pong(n, 2, 5, 701); /* twice the same voter is one */
    assert_int_equal(n->status[0], PENDING);
    pong(n, 3, 5, 701);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_voter_removed_completes_round(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->n_voters = 4;
    n->voters[3] = 4;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], PENDING);
    n->n_voters = 3;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

/* Point 6: a higher answer fails the round; so does leading again in a later
 * term, also when nobody said that something has changed. */
static void test_read_barrier_higher_term_fails_read(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    pong(n, 2, 6, 701);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    pong(n, 3, 5, 701);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_leader_again_fails_read(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    n->term = 7;
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    ask(n, 1);
    read_barrier_flush(n->barrier);
    n->term = 8;
    pong(n, 2, 8, 702); /* the right term now, not then */
    assert_int_equal(n->status[1], ERR_NOTLEADER);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_step_down_fails_read(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_index(n, 3, 31, 5);
    read_barrier_flush(n->barrier);
    n->leading = false;
    n->leader_id = 0;
    n->n_sent = 0;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(
        sent(n, 0, 3, WIRE_READ_INDEX_RESULT)->as.read_index.status,
        ERR_NOTLEADER);
    read_barrier_close(n->barrier);
}

/* What is confirmed stays so when leadership is lost before it is applied. */
static void test_read_barrier_confirmed_survives_step_down(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->commit = 12;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    pong(n, 2, 5, 701);
    n->leading = false;
    n->term = 6;
    n->leader_id = 0;
    read_barrier_changed(n->barrier);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->status[0], PENDING);
    n->applied = 12;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

/* Point 7: while leadership is being handed over the node is leader still
 * (is_leader stays true) though no leader is named. */
static void test_read_barrier_transfer_read_runs(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->leader_id = 0;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    read_barrier_changed(n->barrier);
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_lower_term_is_asked_again(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    pong(n, 2, 4, 701);
    assert_int_equal(n->status[0], PENDING);
    n->now_ms += READ_BARRIER_RESEND_MS;
    n->n_sent = 0;
    read_barrier_timer(n->barrier);
    assert_int_equal(n->n_sent, 2);
    pong(n, 2, 5, 701);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_lost_ping_is_sent_again(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->down = true;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    assert_int_equal(read_barrier_deadline_ms(n->barrier),
                     1000 + READ_BARRIER_RESEND_MS);
    n->down = false;
    read_barrier_timer(n->barrier); /* too early */
    assert_int_equal(n->n_sent, 0);
    n->now_ms = 1000 + READ_BARRIER_RESEND_MS;
    read_barrier_timer(n->barrier);
    assert_int_equal(n->n_sent, 2);
    assert_int_equal(read_barrier_deadline_ms(n->barrier),
                     1000 + 2 * READ_BARRIER_RESEND_MS);
    read_barrier_peer(n->barrier, 3, false);
    assert_int_equal(n->n_sent, 2);
    read_barrier_peer(n->barrier, 3, true);
    assert_int_equal(n->n_sent, 3);
    assert_int_equal(sent(n, 2, 3, WIRE_BARRIER_PING)->as.barrier.sequence,
                     701);
    pong(n, 3, 5, 701);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_single_voter_runs_at_flush(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->n_voters = 1;
    ask(n, 0);
    assert_int_equal(n->status[0], PENDING); /* never from inside add */
    read_barrier_flush(n->barrier);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->n_sent, 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_restart_uses_other_ids(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->sent[0].m.as.barrier.sequence, 701);
    read_barrier_abandon(n->barrier);
    assert_int_equal(n->status[0], PENDING); /* a crash calls nobody */
    make(n, 90000);
    ask(n, 1);
    read_barrier_flush(n->barrier);
    pong(n, 2, 5, 701); /* meant for the boot before */
    assert_int_equal(n->status[1], PENDING);
    pong(n, 2, 5, 90001);
    assert_int_equal(n->status[1], 0);
    /* Leader's pings and follower's requests share the numbers. */
    n->leading = false;
    n->leader_id = 2;
    ask(n, 2);
    n->n_sent = 0;
    read_barrier_flush(n->barrier);
    assert_int_equal(sent(n, 0, 2, WIRE_READ_INDEX)->as.read_index.id, 90002);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_follower_asks_leader(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    ask(n, 0);
    ask(n, 1);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(sent(n, 0, 2, WIRE_READ_INDEX)->as.read_index.term, 5);
    result(n, 2, 701, 13, 0);
    assert_int_equal(n->learned_term, 5);
    assert_int_equal(n->learned_index, 13);
    assert_int_equal(n->status[0], PENDING);
    n->applied = 13;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->status[1], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_learned_may_apply_at_once(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    n->apply_learned = true;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    result(n, 2, 701, 13, 0);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_strange_result_is_ignored(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    result(n, 2, 700, 10, 0); /* of an older round */
    result(n, 3, 701, 10, 0); /* not whom we asked */
    assert_int_equal(n->status[0], PENDING);
    result(n, 2, 701, 10, 0);
    assert_int_equal(n->status[0], 0);
    result(n, 2, 701, 10, 0); /* again: nothing waits */
    read_barrier_close(n->barrier);
}

static void test_read_barrier_leader_refuses_read_fails(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct read_barrier_stats stats;
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    result(n, 2, 701, 0, ERR_NOTLEADER);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    read_barrier_get_stats(n->barrier, &stats);
    assert_int_equal(stats.n_failed, 1);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_no_leader_fails_at_flush(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    n->leader_id = 0;
    ask(n, 0);
    assert_int_equal(n->status[0], PENDING);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    assert_int_equal(n->n_sent, 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_other_leader_fails_read(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    read_barrier_changed(n->barrier); /* nothing of ours */
    assert_int_equal(n->status[0], PENDING);
    n->term = 6;
    n->leader_id = 3;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[0], ERR_NOTLEADER);
    ask(n, 1);
    n->n_sent = 0;
    read_barrier_flush(n->barrier);
    sent(n, 0, 3, WIRE_READ_INDEX);
    result(n, 2, 701, 10, 0); /* the old leader's, too late */
    assert_int_equal(n->status[1], PENDING);
    result(n, 3, 702, 10, 0);
    assert_int_equal(n->status[1], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_lost_request_is_sent_again(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    n->now_ms += READ_BARRIER_RESEND_MS;
    read_barrier_timer(n->barrier);
    read_barrier_peer(n->barrier, 3, true);
    assert_int_equal(n->n_sent, 2);
    read_barrier_peer(n->barrier, 2, true);
    assert_int_equal(n->n_sent, 3);
    assert_int_equal(sent(n, 2, 2, WIRE_READ_INDEX)->as.read_index.id, 701);
    result(n, 2, 701, 10, 0);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_leader_confirms_before_answering(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    read_index(n, 2, 31, 5);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 2); /* pings only */
    read_index(n, 2, 31, 5);        /* sent again: the round answers it */
    n->commit = 20;
    n->n_sent = 0;
    pong(n, 3, 5, 701);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(sent(n, 0, 2, WIRE_READ_INDEX_RESULT)->as.read_index.id,
                     31);
    assert_int_equal(n->sent[0].m.as.read_index.index, 10);
    assert_int_equal(n->sent[0].m.as.read_index.term, 5);
    assert_int_equal(n->sent[0].m.as.read_index.status, 0);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 1); /* the repetition started no round */
    read_barrier_close(n->barrier);
}

static void test_read_barrier_newer_request_replaces_older(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    read_index(n, 2, 31, 5);
    read_index(n, 2, 32, 5);
    read_barrier_flush(n->barrier);
    n->n_sent = 0;
    pong(n, 3, 5, 701);
    assert_int_equal(n->n_sent, 1);
    assert_int_equal(n->sent[0].m.as.read_index.id, 32);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_no_leader_refuses_request(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    read_index(n, 3, 31, 5);
    assert_int_equal(
        sent(n, 0, 3, WIRE_READ_INDEX_RESULT)->as.read_index.status,
        ERR_NOTLEADER);
    assert_int_equal(n->sent[0].m.as.read_index.id, 31);
    /* A leader that is asked in a later term is one no more. */
    n->leading = true;
    read_index(n, 3, 32, 6);
    assert_int_equal(n->sent[1].m.as.read_index.status, ERR_NOTLEADER);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_queue_after_step_down_is_refused(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->own_term_committed = false;
    ask(n, 0);
    read_index(n, 3, 31, 5);
    read_index(n, 2, 41, 5);
    read_barrier_flush(n->barrier);
    n->leading = false;
    n->term = 6;
    n->leader_id = 2;
    read_barrier_changed(n->barrier);
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 3);
    assert_int_equal(
        sent(n, 0, 3, WIRE_READ_INDEX_RESULT)->as.read_index.status,
        ERR_NOTLEADER);
    sent(n, 1, 2, WIRE_READ_INDEX_RESULT);
    sent(n, 2, 2, WIRE_READ_INDEX); /* our own read goes on there */
    result(n, 2, 701, 10, 0);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_callback_may_ask_again(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    ask(n, 0);
    reads[0].again = true;
    n->leader_id = 0;
    read_barrier_flush(n->barrier);
    assert_int_equal(n->status[0], PENDING); /* queued, not called in a loop */
    n->leader_id = 2;
    read_barrier_flush(n->barrier);
    result(n, 2, 701, 10, 0);
    assert_int_equal(n->status[0], 0);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_queued_read_wakes_the_loop(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    assert_true(read_barrier_deadline_ms(n->barrier) == UINT64_MAX);
    n->own_term_committed = false;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    assert_true(read_barrier_deadline_ms(n->barrier) == UINT64_MAX);
    n->own_term_committed = true;
    assert_int_equal(read_barrier_deadline_ms(n->barrier), 0);
    read_barrier_timer(n->barrier);
    assert_int_equal(n->n_sent, 0); /* it is flush that begins */
    read_barrier_flush(n->barrier);
    assert_int_equal(read_barrier_deadline_ms(n->barrier),
                     1000 + READ_BARRIER_RESEND_MS);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_close_calls_everything(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->commit = 12;
    ask(n, 0);
    read_barrier_flush(n->barrier);
    pong(n, 2, 5, 701); /* confirmed, not applied */
    ask(n, 1);
    read_barrier_flush(n->barrier); /* in the round */
    ask(n, 2);                      /* queued */
    reads[2].again = true;          /* refused while closing */
    read_barrier_close(n->barrier);
    assert_int_equal(n->status[0], ERR_STOPPED);
    assert_int_equal(n->status[1], ERR_STOPPED);
    assert_int_equal(n->status[2], PENDING);
}

/* ---- the leader's clock ---- */

/* Start the queued round; give its sequence. */
static uint64_t start(struct node *n)
{
    n->n_sent = 0;
    read_barrier_flush(n->barrier);
    assert_int_equal(n->n_sent, 2);
    return sent(n, 0, 2, WIRE_BARRIER_PING)->as.barrier.sequence;
}

static void test_read_barrier_clock_is_of_the_start(void **state)
{
    struct node node, *n = setup_leader(&node);
    uint64_t sequence;
    (void)state;
    n->clock_ms = 500;
    ask(n, 0);
    read_index(n, 3, 9, 5);
    sequence = start(n);
    n->clock_ms = 600;
    pong(n, 2, 5, sequence);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->told_ms[0], 500);
    assert_int_equal(
        sent(n, 2, 3, WIRE_READ_INDEX_RESULT)->as.read_index.clock_ms, 500);
    assert_int_equal(n->settle_clock_ms, 0); /* nobody asked for it */
    read_barrier_close(n->barrier);
}

static void test_read_barrier_follower_is_told_the_clock(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct wire_message m;
    (void)state;
    ask_with(n, 0, true);
    read_barrier_flush(n->barrier);
    assert_true(sent(n, 0, 2, WIRE_READ_INDEX)->as.read_index.settle);
    memset(&m, 0, sizeof m);
    m.type = WIRE_READ_INDEX_RESULT;
    m.from = 2;
    m.as.read_index.id = sent(n, 0, 2, WIRE_READ_INDEX)->as.read_index.id;
    m.as.read_index.term = 5;
    m.as.read_index.index = 10;
    m.as.read_index.clock_ms = 777;
    read_barrier_message(n->barrier, &m);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->told_ms[0], 777);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_settle_waits_others_pass(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->clock_ms = 500;
    ask_with(n, 0, true);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->status[0], PENDING);
    assert_int_equal(n->settle_clock_ms, 500);
    /* A round behind it. */
    ask(n, 1);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->status[1], 0);
    assert_int_equal(n->status[0], PENDING);
    n->settled = true;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->status[0], 0);
    assert_int_equal(n->told_ms[0], 500);
    read_barrier_close(n->barrier);
}

/* The asker has to apply the entry that settled the clock, too. */
static void test_read_barrier_asker_gets_the_settled_index(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct wire_message m;
    (void)state;
    n->clock_ms = 500;
    memset(&m, 0, sizeof m);
    m.type = WIRE_READ_INDEX;
    m.from = 3;
    m.as.read_index.id = 9;
    m.as.read_index.term = 5;
    m.as.read_index.settle = true;
    read_barrier_message(n->barrier, &m);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->n_sent, 2); /* the pings */
    n->settled = true;
    n->commit = n->applied = 11;
    read_barrier_applied(n->barrier);
    assert_int_equal(n->n_sent, 3);
    assert_int_equal(sent(n, 2, 3, WIRE_READ_INDEX_RESULT)->as.read_index.index,
                     11);
    assert_int_equal(
        sent(n, 2, 3, WIRE_READ_INDEX_RESULT)->as.read_index.clock_ms, 500);
    read_barrier_close(n->barrier);
}

static void test_read_barrier_step_down_ends_settling(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->clock_ms = 500;
    ask_with(n, 0, true);
    read_index(n, 3, 9, 5);
    pong(n, 2, 5, start(n));
    assert_int_equal(n->status[0], PENDING);
    n->leading = false;
    n->term = 6;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[0], 0); /* confirmed, but not settled */
    assert_int_equal(
        sent(n, 2, 3, WIRE_READ_INDEX_RESULT)->as.read_index.status, 0);
    /* Leader again, in another term: not that of the round. */
    n->term = 7;
    n->leading = true;
    ask_with(n, 1, true);
    pong(n, 2, 7, start(n));
    assert_int_equal(n->status[1], PENDING);
    n->term = 9;
    read_barrier_changed(n->barrier);
    assert_int_equal(n->status[1], 0);
    read_barrier_close(n->barrier);
}

static void ignore(void *ctx, int status, uint64_t clock_ms)
{
    assert_int_equal(clock_ms, 0);
    (*(uint64_t *)ctx)++;
    assert_int_equal(status, ERR_STOPPED);
}

static void test_read_barrier_too_many_reads_are_refused(void **state)
{
    struct node node, *n = setup_leader(&node);
    uint64_t n_called = 0;
    (void)state;
    for (uint64_t i = 0; i < READ_BARRIER_READS_MAX; i++) {
        assert_int_equal(read_barrier_add(n->barrier, false, ignore, &n_called),
                         0);
    }
    assert_int_equal(read_barrier_add(n->barrier, false, ignore, &n_called),
                     ERR_BUSY);
    read_barrier_close(n->barrier);
    assert_int_equal(n_called, READ_BARRIER_READS_MAX);
}

#define TEST(name) cmocka_unit_test(test_read_barrier_##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(majority_answers_read_runs),
        TEST(own_term_not_committed_waits),
        TEST(store_behind_waits_for_index),
        TEST(old_sequence_is_not_counted),
        TEST(many_reads_share_one_round),
        TEST(ping_answers_current_term),
        TEST(latest_voters_are_counted),
        TEST(leader_no_voter_is_not_counted),
        TEST(voter_removed_completes_round),
        TEST(higher_term_fails_read),
        TEST(leader_again_fails_read),
        TEST(step_down_fails_read),
        TEST(confirmed_survives_step_down),
        TEST(transfer_read_runs),
        TEST(lower_term_is_asked_again),
        TEST(lost_ping_is_sent_again),
        TEST(single_voter_runs_at_flush),
        TEST(restart_uses_other_ids),
        TEST(follower_asks_leader),
        TEST(learned_may_apply_at_once),
        TEST(strange_result_is_ignored),
        TEST(leader_refuses_read_fails),
        TEST(no_leader_fails_at_flush),
        TEST(other_leader_fails_read),
        TEST(lost_request_is_sent_again),
        TEST(leader_confirms_before_answering),
        TEST(newer_request_replaces_older),
        TEST(no_leader_refuses_request),
        TEST(queue_after_step_down_is_refused),
        TEST(callback_may_ask_again),
        TEST(queued_read_wakes_the_loop),
        TEST(close_calls_everything),
        TEST(too_many_reads_are_refused),
        TEST(clock_is_of_the_start),
        TEST(follower_is_told_the_clock),
        TEST(settle_waits_others_pass),
        TEST(asker_gets_the_settled_index),
        TEST(step_down_ends_settling),
    };
    return cmocka_run_group_tests_name("read_barrier", tests, NULL, NULL);
}
