/* Options of a replica: what they are when not given, and which of them may be
 * others while it runs. */
#include "node/replica_state.h"

static void default_u64(uint64_t *v, uint64_t value)
{
    if (*v == 0) {
        *v = value;
    }
}

static void default_unsigned(unsigned *v, unsigned value)
{
    if (*v == 0) {
        *v = value;
    }
}

void replica_options_fill(struct replica_options *o)
{
    default_unsigned(&o->election_timeout_ms, 300);
    default_unsigned(&o->heartbeat_ms, o->election_timeout_ms / 30 < 5
                                           ? 5
                                           : o->election_timeout_ms / 30);
    default_u64(&o->snapshot_log_bytes, (uint64_t)256 << 20);
    default_u64(&o->snapshot_entries, 1000000);
    default_u64(&o->segment_bytes, (uint64_t)64 << 20);
    default_u64(&o->compact_threshold, 1000);
    default_unsigned(&o->compact_ratio_percent, 30);
    default_unsigned(&o->compact_base_percent, 100);
    default_u64(&o->compact_rate_bytes, (uint64_t)64 << 20);
    default_u64(&o->trailing_entries, 16384);
    default_u64(&o->loaded_entries_max, (uint64_t)2 << 20);
    default_u64(&o->snapshot_rate_bytes, (uint64_t)128 << 20);
    default_unsigned(&o->inflight_entries, 4096);
    default_u64(&o->uncommitted_entries_max, 8192);
    default_u64(&o->uncommitted_bytes_max, (uint64_t)128 << 20);
    default_u64(&o->batch_bytes, 1 << 20);
    default_unsigned(&o->batch_delay_ms, 5);
    if (o->trailing_entries > UINT32_MAX) {
        o->trailing_entries = UINT32_MAX; /* as wide as the core counts them */
    }
}

void replica_configure(struct replica *r, const struct replica_options *options,
                       enum trace_level trace_max)
{
    struct replica_options o = *options;
    replica_options_fill(&o);
    r->options.snapshot_log_bytes = o.snapshot_log_bytes;
    r->options.snapshot_entries = o.snapshot_entries;
    r->options.snapshot_rate_bytes = o.snapshot_rate_bytes;
    r->options.trailing_entries = o.trailing_entries;
    r->options.log_retention_ms = o.log_retention_ms;
    r->options.log_retention_bytes = o.log_retention_bytes;
    r->options.compact_threshold = o.compact_threshold;
    r->options.compact_ratio_percent = o.compact_ratio_percent;
    r->options.compact_base_percent = o.compact_base_percent;
    r->options.compact_reserve_percent = o.compact_reserve_percent;
    r->options.compact_age_ms = o.compact_age_ms;
    r->options.compact_rate_bytes = o.compact_rate_bytes;
    r->options.uncommitted_entries_max = o.uncommitted_entries_max;
    r->options.uncommitted_bytes_max = o.uncommitted_bytes_max;
    r->options.batch_bytes = o.batch_bytes;
    r->options.batch_delay_ms = o.batch_delay_ms;
    r->options.sync = o.sync;
    (void)raftlog_set_sync(r->log, &o.sync); /* stopped: nothing to sync */
    r->io.trace_max = trace_max;
}
