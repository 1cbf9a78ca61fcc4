/* When the log is compacted: a base snapshot is taken and the segments below it
 * go back to the pool.
 *
 * A base holds the last state of every key, so it makes all entries up to its
 * index dispensable; what it costs is one pass over the live data. It is
 * taken, first reason first, when
 *   space   the disk has no room for another segment, any entry can go, and no
 *           file is there that only its age keeps (retention.c)
 *   asked   CONCORDKV COMPACT
 *   bytes   snapshot_log_bytes of log have gathered since the last one
 *   entries snapshot_entries have
 *   ratio   compact_threshold entries have, compact_ratio_percent of their
 *           bytes are superseded, and the log that gathered is worth the cost:
 *           at least one segment, because nothing less can be let go, and at
 *           least compact_base_percent of the live data, so that however small
 *           the share of live keys that are written, the bytes of bases stay
 *           below (100 / percent) times those of the log
 *   age     the last one is compact_age_s old and an entry has come since
 *
 * An entry counts as superseded for the part of its keys that were there before
 * it: for each of them some older entry, or record of the base, is dead now. An
 * entry that changed nothing is dead itself. Two subtractions for an entry; no
 * key is looked up for it.
 *
 * Space. A base is a new file beside the old one, so a full disk could make
 * itself permanent: no room for the file that would free the log. Therefore the
 * log takes no new segment from the last bytes that the next base needs
 * (raftlog_set_reserve; compact_reserve_percent of them, 0 turns it off), and
 * no base is begun that does not fit. */
#include "node/replica_state.h"

#include "raftlog/file.h"

enum {
    RECORD_OVERHEAD = 64, /* in a snapshot file, with its share of index */
    FILE_OVERHEAD = 256 * 1024
};

/* ---- what has gathered ---- */

void compaction_applied(struct replica *r, uint32_t size,
                        const struct store_counts *before)
{
    struct compaction *c = &r->compaction;
    struct store_counts after;
    uint64_t n_replaced, n_added;
    store_get_counts(r->store, &after);
    n_replaced = after.n_replaced - before->n_replaced;
    n_added = after.n_added - before->n_added;
    c->gathered_bytes += size;
    if (n_replaced + n_added == 0) {
        c->superseded_bytes += size;
    } else {
        c->superseded_bytes += size * n_replaced / (n_replaced + n_added);
    }
    if (after.n_cleared != before->n_cleared) {
        c->superseded_bytes = c->gathered_bytes;
    }
}

void compaction_started(struct replica *r)
{
    struct compaction *c = &r->compaction;
    c->gathered_at_start = c->gathered_bytes;
    c->superseded_at_start = c->superseded_bytes;
}

void compaction_done(struct replica *r, uint64_t us)
{
    struct compaction *c = &r->compaction;
    uint64_t ms = us / 1000;
    c->stats.n_done++;
    c->stats.log_bytes += c->gathered_at_start;
    c->stats.saved_bytes += c->superseded_at_start;
    c->stats.written_bytes += c->base_bytes;
    c->stats.ms_total += ms;
    if (ms > c->stats.ms_max) {
        c->stats.ms_max = ms;
    }
    histogram_record(&c->each.us, us);
    histogram_record(&c->each.written_bytes, c->base_bytes);
    histogram_record(&c->each.saved_bytes, c->superseded_at_start);
    c->gathered_bytes -= c->gathered_at_start;
    c->superseded_bytes -= c->superseded_at_start < c->superseded_bytes
                               ? c->superseded_at_start
                               : c->superseded_bytes;
    c->last_ms = replica_now(r);
}

void compaction_reset(struct replica *r)
{
    r->compaction.gathered_bytes = 0;
    r->compaction.superseded_bytes = 0;
    r->compaction.last_ms = replica_now(r);
    r->peers_need = 0; /* the log begins behind the new one */
}

static unsigned superseded_percent(const struct replica *r)
{
    const struct compaction *c = &r->compaction;
    return c->gathered_bytes == 0
               ? 0
               : (unsigned)(c->superseded_bytes * 100 / c->gathered_bytes);
}

/* ---- space ---- */

/* What the next base may take: like the last one, for each live byte, and a
 * quarter more; the first one as if nothing could be packed. */
static uint64_t bytes_needed(const struct replica *r)
{
    const struct compaction *c = &r->compaction;
    struct store_counts counts;
    uint64_t raw;
    store_get_counts(r->store, &counts);
    raw = counts.data_bytes + store_count(r->store) * RECORD_OVERHEAD;
    if (c->base_raw_bytes > 0 && c->base_bytes < c->base_raw_bytes) {
        double packed = (double)c->base_bytes / (double)c->base_raw_bytes;
        raw = (uint64_t)((double)raw * packed * 1.25);
    }
    return raw + FILE_OVERHEAD;
}

bool compaction_has_room(struct replica *r)
{
    struct compaction *c = &r->compaction;
    uint64_t need = bytes_needed(r);
    uint64_t available;
    if (file_free_bytes(r->snapshot_dir, &available) != 0 ||
        available >= need) {
        return true; /* not known: the write itself will tell */
    }
    c->stats.n_without_room++;
    replica_trace(r, TRACE_WARN,
                  "snapshot_waits_for_space need_bytes=%llu free_bytes=%llu",
                  (unsigned long long)need, (unsigned long long)available);
    return false;
}

uint64_t compaction_missing(const struct replica *r, uint64_t spare)
{
    uint64_t base = bytes_needed(r);
    uint64_t percent = r->options.compact_reserve_percent;
    uint64_t available, pooled, missing;
    struct raftlog_stats log;
    raftlog_get_stats(r->log, &log);
    base = percent > 100 ? base / 100 * percent : base;
    pooled = log.n_pooled * r->options.segment_bytes;
    spare = spare > pooled ? spare - pooled : 0;
    missing = log.no_space ? r->options.segment_bytes : 0;
    if (file_free_bytes(r->snapshot_dir, &available) == 0 &&
        available + missing < base + spare) {
        missing = base + spare - available;
    }
    return missing;
}

/* ---- is it due ---- */

static const char *reason(const struct replica *r,
                          const struct raftlog_stats *log)
{
    const struct replica_options *o = &r->options;
    uint64_t bytes = log->written_bytes - r->written_at_snapshot;
    uint64_t entries = r->applied - r->snapshot_index;
    struct store_counts counts;
    store_get_counts(r->store, &counts);
    if (log->no_space && log->n_segments > 1 && !retention_can_yield(r)) {
        return "space";
    }
    if (r->compaction.asked) {
        return "asked";
    }
    if (bytes >= o->snapshot_log_bytes) {
        return "bytes";
    }
    if (entries >= o->snapshot_entries) {
        return "entries";
    }
    if (entries >= o->compact_threshold &&
        superseded_percent(r) >= o->compact_ratio_percent &&
        bytes >= o->segment_bytes &&
        bytes / 100 >= counts.data_bytes / 10000 * o->compact_base_percent) {
        return "ratio";
    }
    if (o->compact_age_ms > 0 && r->last_time >= r->compaction.last_ms &&
        r->last_time - r->compaction.last_ms >= o->compact_age_ms) {
        return "age";
    }
    return NULL;
}

void compaction_tick(struct replica *r)
{
    const struct replica_options *o = &r->options;
    struct raftlog_stats stats;
    const char *why;
    bool much;

    raftlog_set_reserve(r->log,
                        bytes_needed(r) / 100 * o->compact_reserve_percent);
    if (r->snapshotter != NULL || r->installing || r->fetch != NULL ||
        replica_now(r) < r->snapshot_retry_ms ||
        r->applied <= r->snapshot_index) {
        return;
    }
    raftlog_get_stats(r->log, &stats);
    why = reason(r, &stats);
    if (why == NULL) {
        return;
    }
    much = (stats.written_bytes - r->written_at_snapshot) / 4 >=
               o->snapshot_log_bytes ||
           (r->applied - r->snapshot_index) / 4 >= o->snapshot_entries ||
           stats.no_space || r->compaction.asked;
    if (serve_active(r) && !much) {
        return;
    }
    r->compaction.why = why;
    (void)snapshotter_start(r);
}

void replica_compaction(struct replica *r, struct replica_compaction *out)
{
    *out = r->compaction.stats;
    out->gathered_bytes = r->compaction.gathered_bytes;
    out->gathered_entries = r->applied - r->snapshot_index;
    out->superseded_percent = superseded_percent(r);
    out->first_index = raftlog_first_index(r->log);
    out->kept_bytes =
        raftlog_kept_bytes(r->log, r->snapshot_index, &out->kept_ms);
    out->reserve_bytes =
        bytes_needed(r) / 100 * r->options.compact_reserve_percent;
}

const struct replica_compactions *replica_compactions(const struct replica *r)
{
    return &r->compaction.each;
}

int replica_compact(struct replica *r)
{
    if (r->failed) {
        return ERR_STOPPED;
    }
    if (r->snapshotter != NULL || r->installing || r->fetch != NULL) {
        return ERR_BUSY;
    }
    if (r->applied <= r->snapshot_index) {
        return ERR_NOTFOUND;
    }
    if (r->compaction.asked) {
        return 0; /* the tick tries until it can */
    }
    r->compaction.asked = true;
    r->snapshot_retry_ms = 0;
    return 0;
}
