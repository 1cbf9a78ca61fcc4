/* From the options of the node to those of its parts, at the start and again
 * after CONFIG SET. */
#include "node/daemon_private.h"

#include <assert.h>
#include <string.h>

#include "node/trace.h"

void daemon_service_options(const struct config *c, struct service_options *out)
{
    memset(out, 0, sizeof *out);
    out->request_timeout_ms = (unsigned)c->request_timeout_ms;
    out->session_pending_max = c->client_pending_max;
    out->session_bytes_max = c->client_bytes_max;
    out->session_output_max = c->client_output_bytes;
    out->key_bytes_max = c->client_key_bytes;
    out->pending_bytes_max = c->pending_bytes_max;
    out->reply_bytes_max = c->reply_bytes_max;
    out->redirect = strcmp(c->redirect, "moved") == 0;
    out->stale_read_max_ms = c->stale_read_max_ms;
    out->client_address = daemon_client_address;
    out->queued_max = c->client_queued_max;
    out->queued_bytes_max = c->client_queued_bytes;
    out->watched_max = c->client_watched_max;
    out->transaction_bytes_max = c->transaction_bytes_max;
}

void daemon_replica_options(const struct config *c, struct replica_options *out)
{
    memset(out, 0, sizeof *out);
    out->id = c->id;
    out->data_dir = c->data_dir;
    out->election_timeout_ms = (unsigned)c->election_timeout_ms;
    out->heartbeat_ms = (unsigned)c->heartbeat_ms;
    out->segment_bytes = c->segment_bytes;
    out->cache_bytes = c->cache_bytes;
    out->aio_filesystems = c->aio_filesystems;
    while (strcmp(raftlog_sync_name(out->sync.policy), c->sync) != 0) {
        assert(out->sync.policy < RAFTLOG_SYNC_INTERVAL);
        out->sync.policy++;
    }
    out->sync.batch_entries = c->sync_batch_entries;
    out->sync.interval_ms = c->sync_interval_ms;
    out->snapshot_log_bytes = c->snapshot_log_bytes;
    out->snapshot_entries = c->snapshot_entries;
    out->trailing_entries = c->trailing_entries;
    out->log_retention_ms = c->log_retention_s * 1000;
    out->log_retention_bytes = c->log_retention_bytes;
    out->compact_threshold = c->compact_threshold;
    out->compact_ratio_percent = (unsigned)c->compact_ratio_percent;
    out->compact_base_percent = (unsigned)c->compact_base_percent;
    out->compact_age_ms = c->compact_age_s * 1000;
    out->compact_reserve_percent = (unsigned)c->compact_reserve_percent;
    out->compact_rate_bytes = c->compact_rate_bytes;
    out->snapshot_rate_bytes = c->snapshot_rate_bytes;
    out->inflight_entries = (unsigned)c->inflight_entries;
    out->uncommitted_entries_max = c->uncommitted_entries_max;
    out->uncommitted_bytes_max = c->uncommitted_bytes_max;
    out->batch_bytes = c->batch_bytes;
    out->batch_delay_ms = (unsigned)c->batch_delay_ms;
}

void daemon_server_options(const struct config *c, struct server_options *out)
{
    memset(out, 0, sizeof *out);
    out->listen_address = c->listen_client;
    out->max_clients = c->max_clients;
    out->limits.n_args_max = (uint32_t)c->client_args_max;
    out->limits.inline_max = (uint32_t)c->client_inline_bytes;
    out->limits.bulk_max = c->client_bulk_bytes;
    out->limits.request_max = c->client_request_bytes;
    out->output_bytes = c->client_output_bytes;
    out->idle_timeout_ms = c->client_idle_timeout_ms;
    out->write_timeout_ms = c->client_write_timeout_ms;
    out->partial_timeout_ms = c->client_partial_timeout_ms;
    out->outputs_bytes = c->outputs_bytes_max;
    out->query_bytes = c->query_bytes_max;
}

void daemon_tell_sync(const struct config *c)
{
    if (strcmp(c->sync, raftlog_sync_name(RAFTLOG_SYNC_ALWAYS)) != 0) {
        trace_event(TRACE_WARN,
                    "weaker_sync policy=%s batch_entries=%llu interval_ms=%llu "
                    "(a power cut can take acknowledged writes from this "
                    "node; see --sync in the README)",
                    c->sync, (unsigned long long)c->sync_batch_entries,
                    (unsigned long long)c->sync_interval_ms);
    }
}

void daemon_configure(void *ctx)
{
    struct daemon *d = ctx;
    struct service_options service;
    struct replica_options replica;
    struct server_options server;
    struct raftlog_stats log;

    trace_init(d->config->id, d->config->trace_max);
    daemon_service_options(d->config, &service);
    service_configure(d->service, &service);
    daemon_replica_options(d->config, &replica);
    replica_log_stats(d->replica, &log);
    if (replica.sync.policy != log.sync.policy) {
        trace_event(TRACE_INFO, "sync policy=%s", d->config->sync);
        daemon_tell_sync(d->config);
    }
    replica_configure(d->replica, &replica, d->config->trace_max);
    daemon_server_options(d->config, &server);
    server_configure(d->server, &server);
}
