/* Rounds of the read barrier; see read_barrier.h.
 *
 * A read moves through three places: `queued` until a round starts, the
 * round's batch until the round is confirmed, and `confirmed` until the store
 * has been brought to the round's index. A read that is confirmed stays so
 * whatever happens to the leadership afterwards; a read in the round fails
 * when the node's term, role or leader is no longer the round's.
 *
 * Happy path, leader: flush notes R and the term, sends PING to every other
 * voter; PONGs with the same sequence and term make a majority; requests of
 * followers are answered with R, own reads are called when applied >= R.
 * Happy path, others: flush sends READ_INDEX to the leader; the result's R is
 * handed to the node (learned), the reads are called when applied >= R.
 *
 * A round with `settle` stays in `confirmed`, its askers too, until the node
 * says that the state's clock has come to the round's, and gives them the
 * applied index of that moment.
 *
 * Failure cases:
 * - The leadership ends before the clock is settled: the round is as good as
 *   one without; who needed the clock asks the next leader.
 * - A message is lost: sent again after READ_BARRIER_RESEND_MS or when the
 *   connection is back, with the same sequence. An answer to either copy
 *   proves the same: it was given after the round began.
 * - A late answer of an older round: its sequence is not the round's. No
 *   sequence comes twice, also not after a restart: the first is random.
 * - A voter answers with a lower term: it has not heard of this leader yet,
 *   and could still vote in a term between; no acknowledgement, asked again.
 * - A voter answers with a higher term: the round fails at once. The core
 *   steps down by itself soon.
 * - A leader has no entry of its term committed: the queue waits. Its commit
 *   index may be behind what its predecessor acknowledged.
 * - No majority answers: the core steps down after an election timeout, which
 *   arrives as read_barrier_changed. */
#include "node/read_barrier.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct read {
    read_barrier_cb cb;
    void *ctx;
};

/* A follower that waits for our index. */
struct asker {
    uint64_t peer;
    uint64_t id;
};

struct batch {
    struct batch *next; /* in confirmed */
    uint64_t index;
    uint64_t clock_ms;
    uint64_t term; /* in confirmed, with settle: we lead it */
    bool settle;
    struct read *reads;
    size_t n_reads, n_reads_cap;
    struct asker askers[READ_BARRIER_VOTERS_MAX];
    unsigned n_askers;
};

struct round {
    struct batch *batch; /* NULL: none outstanding */
    bool leading;        /* asked voters; else asked the leader */
    uint64_t term;
    uint64_t leader_id;
    uint64_t sequence;
    uint64_t index;    /* as leader */
    uint64_t clock_ms; /* as leader */
    uint64_t resend_ms;
    uint64_t acks[READ_BARRIER_VOTERS_MAX]; /* voters that have answered */
    unsigned n_acks;
};

struct read_barrier {
    struct replica_io io;
    struct read_barrier_node node;
    uint64_t self_id;
    uint64_t sequence; /* the last given out */
    struct batch *queued;
    struct round round;
    struct batch *confirmed, **confirmed_last;
    struct batch *spare; /* saves an allocation for each round */
    bool closing;
    struct read_barrier_stats stats;
};

int read_barrier_new(const struct replica_io *io, uint64_t self_id,
                     const struct read_barrier_node *node,
                     struct read_barrier **out)
{
    struct read_barrier *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return ERR_NOMEM;
    }
    b->io = *io;
    b->node = *node;
    b->self_id = self_id;
    b->sequence = io->random(io->ctx);
    b->confirmed_last = &b->confirmed;
    *out = b;
    return 0;
}

static void batch_free(struct batch *batch)
{
    if (batch != NULL) {
        free(batch->reads);
        free(batch);
    }
}

static struct batch *batch_get(struct read_barrier *b)
{
    struct batch *batch = b->spare;
    if (batch == NULL) {
        return calloc(1, sizeof *batch);
    }
    b->spare = NULL;
    batch->next = NULL;
    batch->settle = false;
    batch->n_reads = 0;
    batch->n_askers = 0;
    return batch;
}

static void batch_put(struct read_barrier *b, struct batch *batch)
{
    /* A burst must not pin its memory for ever. */
    if (b->spare == NULL && batch->n_reads_cap <= 1024) {
        b->spare = batch;
    } else {
        batch_free(batch);
    }
}

/* Call the reads of a batch that is in no list any more. */
static void batch_call(struct read_barrier *b, struct batch *batch, int status)
{
    assert(b->stats.n_waiting >= batch->n_reads);
    b->stats.n_waiting -= batch->n_reads;
    if (status == 0) {
        b->stats.n_confirmed += batch->n_reads;
    } else {
        b->stats.n_failed += batch->n_reads;
    }
    for (size_t i = 0; i < batch->n_reads; i++) {
        batch->reads[i].cb(batch->reads[i].ctx, status,
                           status == 0 ? batch->clock_ms : 0);
    }
    batch_put(b, batch);
}

int read_barrier_add(struct read_barrier *b, bool settle, read_barrier_cb cb,
                     void *ctx)
{
    struct batch *q = b->queued;
    if (b->closing) {
        return ERR_STOPPED;
    }
    if (b->stats.n_waiting >= READ_BARRIER_READS_MAX) {
        return ERR_BUSY;
    }
    if (q == NULL) {
        q = b->queued = batch_get(b);
        if (q == NULL) {
            return ERR_NOMEM;
        }
    }
    if (q->n_reads == q->n_reads_cap) {
        size_t cap = q->n_reads_cap == 0 ? 64 : 2 * q->n_reads_cap;
        struct read *reads = realloc(q->reads, cap * sizeof *reads);
        if (reads == NULL) {
            return ERR_NOMEM;
        }
        q->reads = reads;
        q->n_reads_cap = cap;
    }
    q->settle |= settle;
    q->reads[q->n_reads].cb = cb;
    q->reads[q->n_reads].ctx = ctx;
    q->n_reads++;
    b->stats.n_waiting++;
    return 0;
}

/* ---- messages out ---- */

static void send_barrier(struct read_barrier *b, uint64_t to,
                         enum wire_type type, uint64_t term, uint64_t sequence)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = type;
    m.from = b->self_id;
    m.as.barrier.term = term;
    m.as.barrier.sequence = sequence;
    (void)b->node.send(b->node.ctx, to, &m);
}

static void send_read_index(struct read_barrier *b, uint64_t to, uint64_t id,
                            bool settle)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_READ_INDEX;
    m.from = b->self_id;
    m.as.read_index.id = id;
    m.as.read_index.term = b->node.term(b->node.ctx);
    m.as.read_index.settle = settle;
    (void)b->node.send(b->node.ctx, to, &m);
}

static void send_result(struct read_barrier *b, const struct asker *asker,
                        uint64_t index, uint64_t clock_ms, int status)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_READ_INDEX_RESULT;
    m.from = b->self_id;
    m.as.read_index.id = asker->id;
    m.as.read_index.term = b->node.term(b->node.ctx);
    m.as.read_index.index = index;
    m.as.read_index.clock_ms = clock_ms;
    m.as.read_index.status = status;
    (void)b->node.send(b->node.ctx, asker->peer, &m);
}

/* They are answered for good. */
static void answer_askers(struct read_barrier *b, struct batch *batch,
                          uint64_t index, int status)
{
    for (unsigned i = 0; i < batch->n_askers; i++) {
        send_result(b, &batch->askers[i], index,
                    status == 0 ? batch->clock_ms : 0, status);
    }
    batch->n_askers = 0;
}

/* ---- the end of a round ---- */

static void fail_batch(struct read_barrier *b, struct batch *batch)
{
    answer_askers(b, batch, 0, ERR_NOTLEADER);
    batch_call(b, batch, ERR_NOTLEADER);
}

static void fail_round(struct read_barrier *b)
{
    struct batch *batch = b->round.batch;
    b->round.batch = NULL;
    fail_batch(b, batch);
}

static void confirm_round(struct read_barrier *b, uint64_t index,
                          uint64_t clock_ms)
{
    struct batch *batch = b->round.batch;
    b->round.batch = NULL;
    batch->index = index;
    batch->clock_ms = clock_ms;
    batch->term = b->round.term;
    batch->settle = batch->settle && b->round.leading;
    if (!batch->settle) {
        answer_askers(b, batch, index, 0);
    }
    batch->next = NULL;
    *b->confirmed_last = batch;
    b->confirmed_last = &batch->next;
    read_barrier_applied(b);
}

/* The state's clock need not come to the batch's, or has. */
static bool is_settled(const struct read_barrier *b, struct batch *batch)
{
    const struct read_barrier_node *n = &b->node;
    if (batch->settle &&
        (!n->is_leader(n->ctx) || n->term(n->ctx) != batch->term ||
         n->settle(n->ctx, batch->clock_ms))) {
        batch->settle = false;
    }
    return !batch->settle;
}

/* Indexes rise along the list; one that waits for the clock holds up no other.
 */
void read_barrier_applied(struct read_barrier *b)
{
    struct batch **at = &b->confirmed;
    uint64_t applied = b->node.applied_index(b->node.ctx);
    while (*at != NULL && (*at)->index <= applied) {
        struct batch *batch = *at;
        if (!is_settled(b, batch)) {
            at = &batch->next;
            continue;
        }
        *at = batch->next;
        if (*at == NULL) {
            b->confirmed_last = at;
        }
        answer_askers(b, batch, applied, 0);
        batch_call(b, batch, 0);
    }
}

/* Still the leader of the round's very term, or still asking whom we take for
 * its leader: "leader again" is not enough (C-RAFT.md 4, point 6). */
static bool round_is_valid(const struct read_barrier *b)
{
    const struct round *r = &b->round;
    const struct read_barrier_node *n = &b->node;
    if (r->leading != n->is_leader(n->ctx) || r->term != n->term(n->ctx)) {
        return false;
    }
    return r->leading || r->leader_id == n->leader_id(n->ctx);
}

static bool has_acked(const struct round *r, uint64_t id)
{
    for (unsigned i = 0; i < r->n_acks; i++) {
        if (r->acks[i] == id) {
            return true;
        }
    }
    return false;
}

/* Whether a majority of the voters of now has answered. Ourselves count
 * without a message, but only as a voter. */
static bool has_majority(const struct read_barrier *b)
{
    uint64_t ids[READ_BARRIER_VOTERS_MAX];
    unsigned n = b->node.voters(b->node.ctx, ids, READ_BARRIER_VOTERS_MAX);
    unsigned n_for = 0;
    for (unsigned i = 0; i < n; i++) {
        if (ids[i] == b->self_id || has_acked(&b->round, ids[i])) {
            n_for++;
        }
    }
    return n_for > n / 2;
}

void read_barrier_changed(struct read_barrier *b)
{
    read_barrier_applied(b); /* what was to be settled will not be */
    if (b->round.batch == NULL) {
        return;
    }
    if (!round_is_valid(b)) {
        fail_round(b);
    } else if (b->round.leading && has_majority(b)) {
        /* A voter less may have made the answers a majority. */
        confirm_round(b, b->round.index, b->round.clock_ms);
    }
}

/* ---- the start of a round ---- */

static void ask_peer(struct read_barrier *b, uint64_t id)
{
    if (b->round.leading) {
        send_barrier(b, id, WIRE_BARRIER_PING, b->round.term,
                     b->round.sequence);
    } else {
        send_read_index(b, id, b->round.sequence, b->round.batch->settle);
    }
}

/* Ask everyone who has not answered. Returns how many. */
static unsigned ask(struct read_barrier *b)
{
    uint64_t ids[READ_BARRIER_VOTERS_MAX];
    unsigned n, n_asked = 0;
    b->round.resend_ms = b->io.now_ms(b->io.ctx) + READ_BARRIER_RESEND_MS;
    if (!b->round.leading) {
        ask_peer(b, b->round.leader_id);
        return 1;
    }
    n = b->node.voters(b->node.ctx, ids, READ_BARRIER_VOTERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        if (ids[i] != b->self_id && !has_acked(&b->round, ids[i])) {
            ask_peer(b, ids[i]);
            n_asked++;
        }
    }
    return n_asked;
}

void read_barrier_flush(struct read_barrier *b)
{
    const struct read_barrier_node *n = &b->node;
    struct round *r = &b->round;
    bool leading = n->is_leader(n->ctx);
    uint64_t leader_id = leading ? b->self_id : n->leader_id(n->ctx);

    if (r->batch != NULL && !round_is_valid(b)) {
        fail_round(b);
    }
    if (r->batch != NULL || b->queued == NULL) {
        return;
    }
    if (leading && !n->own_term_committed(n->ctx)) {
        return;
    }
    r->batch = b->queued;
    b->queued = NULL;
    if (!leading && (leader_id == 0 || leader_id == b->self_id)) {
        fail_round(b);
        return;
    }
    if (!leading && r->batch->n_askers > 0) {
        /* Asked while we led; they have to find the new leader. */
        answer_askers(b, r->batch, 0, ERR_NOTLEADER);
        if (r->batch->n_reads == 0) {
            batch_put(b, r->batch);
            r->batch = NULL;
            return;
        }
    }
    r->leading = leading;
    r->term = n->term(n->ctx);
    r->leader_id = leader_id;
    r->sequence = ++b->sequence;
    r->index = n->commit_index(n->ctx);
    r->clock_ms = leading ? n->clock_ms(n->ctx) : 0;
    r->n_acks = 0;
    b->stats.n_rounds++;
    (void)ask(b);
    if (leading && has_majority(b)) {
        confirm_round(b, r->index, r->clock_ms);
    }
}

uint64_t read_barrier_deadline_ms(const struct read_barrier *b)
{
    const struct read_barrier_node *n = &b->node;
    if (b->round.batch != NULL) {
        return b->round.resend_ms;
    }
    if (b->queued == NULL ||
        (n->is_leader(n->ctx) && !n->own_term_committed(n->ctx))) {
        return UINT64_MAX;
    }
    /* Asked behind the flush of this turn: the loop must not sleep on it. */
    return 0;
}

void read_barrier_timer(struct read_barrier *b)
{
    if (b->round.batch == NULL ||
        b->io.now_ms(b->io.ctx) < b->round.resend_ms) {
        return;
    }
    if (!round_is_valid(b)) {
        fail_round(b);
        return;
    }
    b->stats.n_resent += ask(b);
}

void read_barrier_peer(struct read_barrier *b, uint64_t id, bool connected)
{
    uint64_t ids[READ_BARRIER_VOTERS_MAX];
    unsigned n;
    if (!connected || b->round.batch == NULL) {
        return;
    }
    if (!b->round.leading) {
        if (id == b->round.leader_id) {
            ask_peer(b, id);
            b->stats.n_resent++;
        }
        return;
    }
    n = b->node.voters(b->node.ctx, ids, READ_BARRIER_VOTERS_MAX);
    for (unsigned i = 0; i < n; i++) {
        if (ids[i] == id && id != b->self_id && !has_acked(&b->round, id)) {
            ask_peer(b, id);
            b->stats.n_resent++;
        }
    }
}

/* ---- messages in ---- */

static void receive_pong(struct read_barrier *b, const struct wire_message *m)
{
    struct round *r = &b->round;
    if (r->batch == NULL || !r->leading ||
        m->as.barrier.sequence != r->sequence) {
        return;
    }
    if (m->as.barrier.term > r->term || !round_is_valid(b)) {
        fail_round(b);
        return;
    }
    if (m->as.barrier.term < r->term || has_acked(r, m->from) ||
        r->n_acks == READ_BARRIER_VOTERS_MAX) {
        return;
    }
    r->acks[r->n_acks++] = m->from;
    if (has_majority(b)) {
        confirm_round(b, r->index, r->clock_ms);
    }
}

static void receive_read_index(struct read_barrier *b,
                               const struct wire_message *m)
{
    struct batch *q;
    uint64_t id = m->as.read_index.id;
    struct asker asker = {m->from, id};

    if (!b->node.is_leader(b->node.ctx) ||
        m->as.read_index.term > b->node.term(b->node.ctx)) {
        send_result(b, &asker, 0, 0, ERR_NOTLEADER);
        return;
    }
    if (b->round.batch != NULL) {
        for (unsigned i = 0; i < b->round.batch->n_askers; i++) {
            if (b->round.batch->askers[i].peer == m->from &&
                b->round.batch->askers[i].id == id) {
                return; /* sent again; the round will answer it */
            }
        }
    }
    if (b->queued == NULL) {
        b->queued = batch_get(b);
        if (b->queued == NULL) {
            return; /* it is sent again */
        }
    }
    q = b->queued;
    q->settle |= m->as.read_index.settle;
    for (unsigned i = 0; i < q->n_askers; i++) {
        if (q->askers[i].peer == m->from) {
            /* One outstanding request a node: the older is given up. */
            q->askers[i].id = id;
            return;
        }
    }
    if (q->n_askers == READ_BARRIER_VOTERS_MAX) {
        send_result(b, &asker, 0, 0, ERR_BUSY);
        return;
    }
    q->askers[q->n_askers++] = asker;
}

static void receive_read_index_result(struct read_barrier *b,
                                      const struct wire_message *m)
{
    uint64_t index = m->as.read_index.index;
    struct round *r = &b->round;
    bool mine = r->batch != NULL && !r->leading && m->from == r->leader_id &&
                m->as.read_index.id == r->sequence;

    if (m->as.read_index.status == 0 && b->node.learned != NULL) {
        b->node.learned(b->node.ctx, m->as.read_index.term, index);
        /* learned may have applied, but starts and ends no round. */
    }
    if (!mine) {
        return;
    }
    if (m->as.read_index.status == 0) {
        confirm_round(b, index, m->as.read_index.clock_ms);
    } else {
        fail_round(b);
    }
}

void read_barrier_message(struct read_barrier *b, const struct wire_message *m)
{
    switch (m->type) {
    case WIRE_BARRIER_PING:
        /* From whomever, in whatever role: the term says it all (C-RAFT.md 4,
         * points 4 and 8). */
        send_barrier(b, m->from, WIRE_BARRIER_PONG, b->node.term(b->node.ctx),
                     m->as.barrier.sequence);
        break;
    case WIRE_BARRIER_PONG:
        receive_pong(b, m);
        break;
    case WIRE_READ_INDEX:
        receive_read_index(b, m);
        break;
    case WIRE_READ_INDEX_RESULT:
        receive_read_index_result(b, m);
        break;
    default:
        break;
    }
}

/* ---- the end ---- */

void read_barrier_get_stats(const struct read_barrier *b,
                            struct read_barrier_stats *out)
{
    *out = b->stats;
}

void read_barrier_abandon(struct read_barrier *b)
{
    struct batch *batch;
    if (b == NULL) {
        return;
    }
    while ((batch = b->confirmed) != NULL) {
        b->confirmed = batch->next;
        batch_free(batch);
    }
    batch_free(b->queued);
    batch_free(b->round.batch);
    batch_free(b->spare);
    free(b);
}

void read_barrier_close(struct read_barrier *b)
{
    struct batch *batch;
    if (b == NULL) {
        return;
    }
    b->closing = true;
    while ((batch = b->confirmed) != NULL) {
        b->confirmed = batch->next;
        batch_call(b, batch, ERR_STOPPED);
    }
    if ((batch = b->round.batch) != NULL) {
        b->round.batch = NULL;
        batch_call(b, batch, ERR_STOPPED);
    }
    if ((batch = b->queued) != NULL) {
        b->queued = NULL;
        batch_call(b, batch, ERR_STOPPED);
    }
    read_barrier_abandon(b);
}
