/* What a handle can tell: statistics and files. Nothing here changes the log.
 */
#include "persist/compact.h"

#include <string.h>

#include "persist/error.h"

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static void describe(const struct histogram *h, double unit,
                     persist_latency_t *out)
{
    out->count = h->n;
    out->mean = histogram_mean(h) / unit;
    out->p50 = (double)histogram_quantile(h, 0.5) / unit;
    out->p99 = (double)histogram_quantile(h, 0.99) / unit;
    out->p999 = (double)histogram_quantile(h, 0.999) / unit;
    out->max = (double)h->max / unit;
}

/* gather_lock is held. */
static void get_counters(struct wal_private *w, persist_stats_t *out)
{
    const struct wal_counters *c = &w->counters;
    uint64_t ns = wal_now_ns(w) - c->since_ns;

    out->write_ops = c->n_appends;
    out->sync_ops = c->n_syncs;
    out->compact_ops = c->n_compactions;
    describe(&c->write_ns, 1000, &out->write);
    describe(&c->sync_ns, 1000, &out->sync);
    describe(&c->batch_entries, 1, &out->batch_entries);
    describe(&c->compact_ns, 1000, &out->compaction);
    out->avg_write_latency = out->write.mean;
    out->p99_write_latency = out->write.p99;
    out->avg_sync_latency = out->sync.mean;
    out->p99_sync_latency = out->sync.p99;
    out->write_throughput =
        ns == 0 ? 0 : (double)c->n_appends * NS_PER_S / (double)ns;
    out->write_bytes = c->write_bytes;
    out->stalls = c->n_stalls;
    out->stall_ms = (double)c->stall_ns / NS_PER_MS;
    out->compact_in = c->compact_in;
    out->compact_out = c->compact_out;
    out->compact_failures = c->n_compact_failures;
    describe(&c->stall_each_ns, 1000, &out->stall);
    describe(&c->compact_size, 1, &out->compact_size);
    describe(&c->compact_gain, 1, &out->compact_gain);
    out->space_saved = c->compact_gain.sum;
    out->pending_entries = w->gather.n;
    out->pending_bytes = w->gather.bytes;
    out->last_seq = w->last_seq;
    out->compact_seq = w->covered_seq;
    out->no_space = w->no_space;
    out->compressed_log_size = w->chain_bytes;
}

uint64_t wal_log_bytes(struct wal_private *w)
{
    uint64_t first;
    uint64_t bytes;

    pthread_mutex_lock(&w->gather_lock);
    first = w->covered_seq + 1;
    pthread_mutex_unlock(&w->gather_lock);
    pthread_mutex_lock(&w->log_lock);
    bytes = raftlog_frame_bytes(w->log, first);
    pthread_mutex_unlock(&w->log_lock);
    return bytes;
}

static void get_all(struct wal_private *w, persist_stats_t *out)
{
    struct raftlog_stats log;

    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&w->gather_lock);
    get_counters(w, out);
    pthread_mutex_unlock(&w->gather_lock);
    out->superseded = compact_superseded(w);
    out->total_log_size = wal_log_bytes(w);
    out->durable_seq = __atomic_load_n(&w->durable_seq, __ATOMIC_ACQUIRE);
    pthread_mutex_lock(&w->log_lock);
    raftlog_get_stats(w->log, &log);
    pthread_mutex_unlock(&w->log_lock);
    out->disk_bytes = log.bytes_on_disk + out->compressed_log_size;
}

int wal_get_stats(wal_t *wal, persist_stats_t *out)
{
    if (wal == NULL || wal->wal_private == NULL || out == NULL) {
        return error_say(ERR_INVALID, "the log is not open, or there is no "
                                      "place for the statistics");
    }
    get_all(wal->wal_private, out);
    return 0;
}

void wal_reset_stats(wal_t *wal)
{
    struct wal_private *w = wal == NULL ? NULL : wal->wal_private;

    if (w == NULL) {
        return;
    }
    pthread_mutex_lock(&w->gather_lock);
    memset(&w->counters, 0, sizeof w->counters);
    w->counters.since_ns = wal_now_ns(w);
    pthread_mutex_unlock(&w->gather_lock);
}

int wal_list_files(wal_t *wal, wal_file_info_t *files, size_t max,
                   size_t *count)
{
    struct raftlog_file *found;
    struct wal_private *w;
    size_t n;

    if (wal == NULL || wal->wal_private == NULL || count == NULL ||
        (files == NULL && max > 0)) {
        return error_say(ERR_INVALID, "the log is not open, or there is no "
                                      "place for the files");
    }
    w = wal->wal_private;
    found = calloc(max > 0 ? max : 1, sizeof *found);
    if (found == NULL) {
        return error_return(ERR_NOMEM, NULL);
    }
    pthread_mutex_lock(&w->log_lock);
    n = raftlog_files(w->log, found, max);
    pthread_mutex_unlock(&w->log_lock);
    for (size_t i = 0; i < n && i < max; i++) {
        memset(&files[i], 0, sizeof files[i]);
        memcpy(files[i].name, found[i].name, sizeof files[i].name);
        files[i].first_seq = found[i].first_index;
        files[i].last_seq = found[i].last_index;
        files[i].file_bytes = found[i].file_bytes;
        files[i].used_bytes = found[i].used_bytes;
        files[i].sealed = !found[i].active;
    }
    *count = n;
    free(found);
    return 0;
}
