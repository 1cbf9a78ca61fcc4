/* The replicated clock, and the end of keys by it.
 *
 * Every command entry carries the leader's clock of the moment when it was
 * proposed, and the clock of the state at an index is the highest of all
 * entries through it. It alone says whether a key has expired, so all nodes
 * agree at every index; a snapshot carries it on.
 *
 * A leader's clock is its wall clock, but never less than what it gave before
 * nor than any entry it has seen in its log, committed or not. So it does not
 * go back when the wall clock does, nor with a leader whose wall clock is slow.
 * While the wall clock is behind, it goes on at half the speed of the monotonic
 * clock: keys live up to twice as long, none ends early, and the two meet
 * again. A wall clock that jumps ahead takes the clock with it at once: keys
 * end early by as much, which nothing can take back.
 *
 * As nothing is written while nothing happens, the state's clock may lag far
 * behind. Keys whose time has come by the leader's clock are found by a sweep
 * entry, which carries the clock and deletes a bounded number of them. Made
 *  - by the leader's tick, while the earliest expiry is due: none is written
 *    while nothing is, and the rest of many goes on in the next turn;
 *  - by a read round for a read that met a key that the leader's clock calls
 *    expired and the state does not (read_barrier.h).
 *
 * Failure cases: a sweep that is refused (handing over, no room) is made at a
 * later tick; one that is lost with the leadership, by the next leader. A
 * leader without room for it can not end keys: reads that met one wait. */
#include "node/replica_state.h"

#include "raftlog/block.h"

void expiry_saw(struct replica *r, uint64_t clock_ms)
{
    if (clock_ms > r->expiry.clock_ms) {
        r->expiry.clock_ms = clock_ms;
        r->expiry.given_ms = replica_now(r);
    }
}

uint64_t expiry_clock(struct replica *r)
{
    uint64_t wall = r->io.clock_ms(r->io.ctx);
    uint64_t gain = (replica_now(r) - r->expiry.given_ms) / 2;

    if (wall > r->expiry.clock_ms + gain) {
        expiry_saw(r, wall);
    } else {
        /* Odd milliseconds are kept for the next time. */
        r->expiry.clock_ms += gain;
        r->expiry.given_ms += 2 * gain;
    }
    return r->expiry.clock_ms;
}

/* Whether a sweep with at least this clock is gathered or in the log. */
static bool is_on_its_way(const struct replica *r, uint64_t clock_ms)
{
    return r->expiry.sweeping && r->expiry.sweep_clock_ms >= clock_ms;
}

static bool propose_sweep(struct replica *r)
{
    uint64_t clock_ms = expiry_clock(r);
    uint32_t size;
    void *payload;
    int rv;

    if (!replica_accepts(r)) {
        return false;
    }
    payload = proposal_encode_sweep(clock_ms, EXPIRY_SWEEP_MAX, &size);
    if (payload == NULL) {
        return false;
    }
    rv = replica_propose(r, raft_current_term(&r->raft), payload, size);
    block_unref(payload);
    if (rv != 0) {
        return false;
    }
    r->expiry.sweeping = true;
    r->expiry.sweep_clock_ms = clock_ms;
    return true;
}

bool expiry_settle(struct replica *r, uint64_t clock_ms)
{
    if (r->clock_ms >= clock_ms) {
        return true;
    }
    return !is_on_its_way(r, clock_ms) && !propose_sweep(r);
}

void expiry_tick(struct replica *r)
{
    uint64_t next_ms = store_next_expiry(r->store);

    if (next_ms != 0 && !r->expiry.sweeping && replica_accepts(r) &&
        next_ms <= expiry_clock(r)) {
        (void)propose_sweep(r);
    }
}

void expiry_flush(struct replica *r)
{
    if (r->expiry.more) {
        r->expiry.more = false;
        expiry_tick(r);
    }
}

int expiry_apply(struct replica *r, uint64_t term, const struct proposal *p)
{
    size_t n;
    int rv = store_expire(r->store, r->clock_ms, p->sweep_max, &n);

    r->n_expired += n;
    if (term == raft_current_term(&r->raft) &&
        p->clock_ms == r->expiry.sweep_clock_ms) {
        r->expiry.sweeping = false;
    }
    r->expiry.more = n == p->sweep_max;
    return rv;
}

void expiry_changed(struct replica *r)
{
    r->expiry.sweeping = false;
    r->expiry.more = false;
}
