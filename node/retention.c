/* How much log stays below a snapshot: for followers that are a little behind,
 * who then need no snapshot, and for whoever wants to look at it.
 *
 * At least trailing_entries; with log_retention_s also the files that were
 * sealed less than so long ago; but of these no more files than
 * log_retention_bytes, unless the core has more in flight (B3); and what those
 * who were behind at the snapshot need (snapshot_serve.c). The age of a file is
 * the log's own (raftlog_sealed_before) and outlives a restart. Each tick lets
 * go of what has become too old, or too much because an option was changed.
 *
 * A full disk comes first. When it has little more room than the next base and
 * the log of the next moments need, files that only their age keeps go, the
 * oldest first and as many as it takes: so a disk that is too small for the
 * time asked for holds as much of it as it can.
 *
 * The core's trail is cut by snapshots only, so between two of them it may know
 * entries that the log has let go. A follower that needs such a one is offered
 * the snapshot (outbound.c). */
#include "node/replica_state.h"

enum {
    SPARE_SEGMENTS = 2,
    SPARE_TICKS = 2 /* at the speed of the last one */
};

static uint64_t in_flight(const struct replica *r)
{
    return r->options.inflight_entries < r->options.trailing_entries
               ? r->options.inflight_entries
               : r->options.trailing_entries;
}

/* keep, or less, so that the files stay within log_retention_bytes. */
static uint64_t bounded(const struct replica *r, uint64_t index, uint64_t keep)
{
    uint64_t limit = r->options.log_retention_bytes;
    if (limit > 0) {
        uint64_t through = raftlog_beyond(r->log, index, limit);
        uint64_t most = through < index ? index - through : 0;
        keep = keep < most ? keep : most;
    }
    return keep > in_flight(r) ? keep : in_flight(r);
}

uint64_t retention_keep(const struct replica *r, uint64_t index)
{
    uint64_t keep = r->options.trailing_entries;
    if (r->options.log_retention_ms > 0) {
        uint64_t old =
            raftlog_sealed_before(r->log, r->options.log_retention_ms);
        uint64_t gone = raftlog_first_index(r->log) - 1;
        uint64_t young;
        old = old > gone ? old : gone;
        young = old < index ? index - old : 0;
        keep = young > keep ? young : keep;
    }
    keep = bounded(r, index, keep);
    keep = keep > r->peers_need ? keep : r->peers_need;
    return keep < UINT32_MAX ? keep : UINT32_MAX; /* the core's width */
}

/* Through which entry files may go when the disk is full. */
static uint64_t dispensable(const struct replica *r)
{
    uint64_t keep = bounded(r, r->snapshot_index, r->options.trailing_entries);
    return r->snapshot_index > keep ? r->snapshot_index - keep : 0;
}

bool retention_can_yield(const struct replica *r)
{
    return raftlog_oldest(r->log, 0) <= dispensable(r);
}

/* What the log may need before the next ticks have had their effect. */
static uint64_t spare(struct replica *r)
{
    uint64_t most = SPARE_SEGMENTS * r->options.segment_bytes;
    struct raftlog_stats stats;
    uint64_t written;
    raftlog_get_stats(r->log, &stats);
    written = stats.written_bytes - r->written_at_tick;
    r->written_at_tick = stats.written_bytes;
    return SPARE_TICKS * written > most ? SPARE_TICKS * written : most;
}

/* A file that was released is the oldest one until it leaves the log, so it is
 * counted again until then, and does not go twice. */
static void yield(struct replica *r, uint64_t missing)
{
    uint64_t through = raftlog_oldest(r->log, missing);
    uint64_t most = dispensable(r);
    through = through < most ? through : most;
    if (through < raftlog_first_index(r->log)) {
        return;
    }
    r->compaction.stats.n_yielded++;
    replica_trace(r, TRACE_WARN,
                  "retention_yields through=%llu missing_bytes=%llu (the disk "
                  "is full: the log is kept for less than log-retention-s)",
                  (unsigned long long)through, (unsigned long long)missing);
    raftlog_release(r->log, through);
}

void retention_release(struct replica *r)
{
    uint64_t keep = retention_keep(r, r->snapshot_index);
    if (r->snapshot_index > keep) {
        raftlog_release(r->log, r->snapshot_index - keep);
    }
}

/* The tick may be too late for a small disk and many writes: there is room for
 * what is left of a segment. */
void retention_progress(struct replica *r)
{
    struct raftlog_stats stats;
    if (r->options.log_retention_ms == 0 || r->snapshot_index == 0 ||
        r->installing) {
        return;
    }
    raftlog_get_stats(r->log, &stats);
    if (stats.no_space && retention_can_yield(r)) {
        yield(r, SPARE_SEGMENTS * r->options.segment_bytes);
    }
}

void retention_tick(struct replica *r)
{
    if (r->snapshot_index == 0 || r->installing) {
        return;
    }
    retention_release(r);
    if (r->options.log_retention_ms > 0) {
        uint64_t missing = compaction_missing(r, spare(r));
        if (missing > 0 && retention_can_yield(r)) {
            yield(r, missing);
        }
    }
}
