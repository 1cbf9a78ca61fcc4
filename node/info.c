/* Sections of INFO; see info.h. Each section is a function that writes its
 * lines; a NULL fact leaves its lines out, so a reader can tell "zero" from
 * "not known yet". */
#include "node/info.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "node/resp.h"

static void put_text(struct buffer *b, const char *name, const char *value)
{
    if (value != NULL) {
        buffer_printf(b, "%s:%s\r\n", name, value);
    }
}

static void put_number(struct buffer *b, const char *name, uint64_t value)
{
    buffer_printf(b, "%s:%" PRIu64 "\r\n", name, value);
}

static void put_hex(struct buffer *b, const char *name, const uint8_t *bytes,
                    size_t n)
{
    if (bytes == NULL) {
        return;
    }
    buffer_printf(b, "%s:", name);
    for (size_t i = 0; i < n; i++) {
        buffer_printf(b, "%02x", bytes[i]);
    }
    buffer_printf(b, "\r\n");
}

static void put_server(struct buffer *b, const struct info_facts *f)
{
    const struct info_process *p = f->process;
    put_text(b, "redis_version", INFO_REDIS_VERSION);
    put_text(b, "server_name", "concordkv");
    if (p == NULL) {
        return;
    }
    put_text(b, "redis_mode", p->redirect ? "cluster" : "standalone");
    put_text(b, "version", p->version);
    put_text(b, "build", p->build);
    put_number(b, "process_id", p->pid);
    put_number(b, "tcp_port", p->port);
    put_text(b, "listen_client", p->listen_client);
    put_text(b, "listen_peer", p->listen_peer);
    put_text(b, "advertise_client", p->client_address);
    put_text(b, "data_dir", p->data_dir);
    put_number(b, "uptime_in_seconds", p->uptime_ms / 1000);
    put_number(b, "uptime_in_days", p->uptime_ms / 86400000);
}

static void put_clients(struct buffer *b, const struct info_facts *f)
{
    put_number(b, "connected_clients", f->service->n_sessions);
    put_number(b, "pending_requests", f->n_pending);
    put_number(b, "pending_bytes", f->service->pending_bytes);
    put_number(b, "watching_clients", f->service->n_watching);
    put_number(b, "total_watched_keys", f->service->n_watched);
    put_number(b, "transaction_bytes", f->service->transaction_bytes);
    if (f->process != NULL) {
        put_number(b, "maxclients", f->process->clients_max);
        put_number(b, "query_bytes", f->process->query_bytes);
        put_number(b, "output_bytes", f->process->waiting_bytes);
    }
}

static void put_memory(struct buffer *b, const struct info_facts *f)
{
    if (f->process != NULL) {
        put_number(b, "used_memory_rss", f->process->rss_bytes);
        put_number(b, "used_memory_peak_rss", f->process->rss_peak_bytes);
    }
    if (f->status != NULL) {
        put_number(b, "used_memory_dataset", f->store_bytes);
    }
    if (f->log != NULL) {
        put_number(b, "log_cache_bytes", f->log->cache_bytes);
    }
}

static void put_compaction(struct buffer *b, const struct replica_compaction *c)
{
    put_number(b, "compaction_gathered_entries", c->gathered_entries);
    put_number(b, "compaction_gathered_bytes", c->gathered_bytes);
    put_number(b, "compaction_superseded_percent", c->superseded_percent);
    put_number(b, "compactions", c->n_done);
    put_number(b, "compactions_failed", c->n_failed);
    put_number(b, "compactions_without_room", c->n_without_room);
    put_number(b, "compaction_log_bytes", c->log_bytes);
    put_number(b, "compaction_saved_bytes", c->saved_bytes);
    put_number(b, "compaction_written_bytes", c->written_bytes);
    put_number(b, "compaction_ms_mean",
               c->n_done == 0 ? 0 : c->ms_total / c->n_done);
    put_number(b, "compaction_ms_max", c->ms_max);
    put_number(b, "compaction_reserve_bytes", c->reserve_bytes);
    put_number(b, "log_first_index", c->first_index);
    put_number(b, "log_retained_bytes", c->kept_bytes);
    put_number(b, "log_retained_s", c->kept_ms / 1000);
    put_number(b, "log_retention_yielded", c->n_yielded);
}

static void put_persistence(struct buffer *b, const struct info_facts *f)
{
    const struct raftlog_stats *l = f->log;
    const struct replica_status *st = f->status;
    if (l != NULL) {
        put_number(b, "log_size_bytes", l->bytes_on_disk);
        put_number(b, "log_segments", l->n_segments);
        put_number(b, "log_segments_pooled", l->n_pooled);
        put_number(b, "log_pending_bytes", l->pending_bytes);
        put_number(b, "log_appends", l->n_appends);
        put_number(b, "log_frames", l->n_frames);
        put_number(b, "log_truncations", l->n_truncations);
        put_number(b, "log_payload_bytes", l->payload_bytes);
        put_number(b, "log_written_bytes", l->written_bytes);
        put_number(b, "log_write_us_mean",
                   l->n_frames == 0 ? 0 : l->write_us_total / l->n_frames);
        put_number(b, "log_write_us_max", l->write_us_max);
        put_number(b, "log_oldest_write_ms", l->oldest_write_ms);
        put_number(b, "log_no_space", l->no_space ? 1 : 0);
        put_text(b, "log_sync_method", l->sync_method);
        put_text(b, "sync_policy", l->sync_policy);
        put_number(b, "sync_pending_bytes", l->unsynced_bytes);
        put_number(b, "sync_pending_entries", l->unsynced_entries);
        put_number(b, "log_syncs", l->n_syncs);
        put_number(b, "log_sync_us_mean",
                   l->n_syncs == 0 ? 0 : l->sync_us_total / l->n_syncs);
        put_number(b, "log_sync_us_max", l->sync_us_max);
    }
    if (st != NULL) {
        put_number(b, "log_durable_index", st->durable_index);
        put_number(b, "log_persisted_index", st->persisted_index);
        put_number(b, "log_forgot", st->forgot ? 1 : 0);
        put_number(b, "snapshot_index", st->snapshot_index);
        put_number(b, "snapshot_bytes", st->snapshot_bytes);
        put_number(b, "rdb_last_save_time", st->snapshot_ms / 1000);
        put_number(b, "snapshot_in_progress", st->snapshot_running ? 1 : 0);
        put_number(b, "snapshot_slice_us_max", st->snapshot_slice_us_max);
        put_number(b, "install_in_progress", st->installing ? 1 : 0);
        put_number(b, "install_bytes_done", st->install_bytes_done);
        put_number(b, "install_bytes_total", st->install_bytes_total);
    }
    if (f->compaction != NULL) {
        put_compaction(b, f->compaction);
    }
}

static void put_histogram(struct buffer *b, const char *name,
                          const struct histogram *h)
{
    if (h == NULL || h->n == 0) {
        return;
    }
    buffer_printf(b,
                  "%s:p50=%" PRIu64 ",p99=%" PRIu64 ",p99.9=%" PRIu64
                  ",max=%" PRIu64 ",mean=%.1f,n=%" PRIu64 "\r\n",
                  name, histogram_quantile(h, 0.5), histogram_quantile(h, 0.99),
                  histogram_quantile(h, 0.999), h->max, histogram_mean(h),
                  h->n);
}

/* As Redis, but whole microseconds and with the names of ours. */
static void put_latency(struct buffer *b, const struct info_facts *f)
{
    put_histogram(b, "latency_percentiles_usec_write", f->write_us);
    put_histogram(b, "latency_percentiles_usec_read", f->read_us);
    if (f->latency != NULL) {
        put_histogram(b, "latency_percentiles_usec_log_write",
                      &f->latency->write_us);
        put_histogram(b, "latency_percentiles_usec_log_sync",
                      &f->latency->sync_us);
        put_histogram(b, "latency_percentiles_usec_log_wait",
                      &f->latency->wait_us);
        put_histogram(b, "log_batch_entries", &f->latency->batch_entries);
        put_histogram(b, "log_batch_bytes", &f->latency->batch_bytes);
    }
    if (f->process != NULL) {
        put_histogram(b, "latency_percentiles_usec_loop", f->process->loop_us);
    }
    if (f->compactions != NULL) {
        put_histogram(b, "latency_percentiles_usec_compaction",
                      &f->compactions->us);
        put_histogram(b, "compaction_bytes_written",
                      &f->compactions->written_bytes);
        put_histogram(b, "compaction_bytes_saved",
                      &f->compactions->saved_bytes);
    }
}

static const char *server_role(int role)
{
    switch (role) {
    case RAFT_VOTER:
        return "voter";
    case RAFT_STANDBY:
        return "standby";
    default:
        return "spare";
    }
}

static void put_raft_servers(struct buffer *b, const struct replica_status *st)
{
    put_number(b, "raft_servers", st->n_servers);
    for (unsigned i = 0; i < st->n_servers && i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_server *server = &st->servers[i];
        buffer_printf(b, "raft_server%u:id=%" PRIu64 ",address=%s,role=%s", i,
                      server->id, server->address, server_role(server->role));
        if (st->role == REPLICA_LEADER) {
            buffer_printf(b, ",match=%" PRIu64, st->match[i]);
        }
        buffer_printf(b, "\r\n");
    }
}

/* The same in the words that Redis' own tools look for. */
static void put_redis_role(struct buffer *b, const struct info_facts *f)
{
    const struct replica_status *st = f->status;
    const char *leader =
        f->process != NULL ? f->process->leader_client_address : NULL;
    const char *port = leader != NULL ? strrchr(leader, ':') : NULL;
    unsigned n_online = 0;
    put_text(b, "role", st->role == REPLICA_LEADER ? "master" : "slave");
    if (st->role != REPLICA_LEADER) {
        if (port != NULL) {
            buffer_printf(b, "master_host:%.*s\r\n", (int)(port - leader),
                          leader);
            put_text(b, "master_port", port + 1);
        }
        put_text(b, "master_link_status", st->leader_id != 0 ? "up" : "down");
    }
    for (unsigned i = 0; i < st->n_servers && i < REPLICA_SERVERS_MAX; i++) {
        n_online += st->role == REPLICA_LEADER && st->match[i] > 0 &&
                    st->servers[i].id != st->id;
    }
    put_number(b, "connected_slaves", n_online);
    put_number(b, "master_repl_offset", st->applied_index);
}

static void put_replication(struct buffer *b, const struct info_facts *f)
{
    const struct replica_status *st = f->status;
    if (f->process != NULL) {
        put_hex(b, "cluster_id", f->process->cluster_id,
                RAFTLOG_CLUSTER_ID_SIZE);
    }
    if (st == NULL) {
        return;
    }
    put_redis_role(b, f);
    put_number(b, "node_id", st->id);
    put_text(b, "raft_role", replica_role_name(st->role));
    put_number(b, "raft_leader_id", st->leader_id);
    if (f->process != NULL) {
        put_text(b, "raft_leader_address", f->process->leader_client_address);
    }
    put_number(b, "raft_term", st->term);
    put_number(b, "raft_last_index", st->last_index);
    put_number(b, "raft_durable_index", st->durable_index);
    put_number(b, "raft_commit_index", st->commit_index);
    put_number(b, "raft_applied_index", st->applied_index);
    put_number(b, "raft_clock_ms", st->clock_ms);
    put_number(b, "raft_accepts_writes", st->accepts ? 1 : 0);
    put_number(b, "raft_elections_started", st->n_elections_started);
    put_number(b, "raft_elections_won", st->n_elections_won);
    put_number(b, "raft_dropped_frames", st->n_dropped_frames);
    put_raft_servers(b, st);
}

static void put_stats(struct buffer *b, const struct info_facts *f)
{
    const struct service_stats *s = f->service;
    put_number(b, "total_connections_received", s->n_sessions_total);
    put_number(b, "total_commands_processed", s->n_commands);
    put_number(b, "total_reads", s->n_reads);
    put_number(b, "total_writes", s->n_writes);
    put_number(b, "forwarded_writes", s->n_forwarded);
    put_number(b, "retried_requests", s->n_retried);
    put_number(b, "unknown_replies", s->n_unknown);
    put_number(b, "clusterdown_replies", s->n_clusterdown);
    put_number(b, "refused_requests", s->n_refused);
    put_number(b, "stale_reads", s->n_stale);
    put_number(b, "moved_replies", s->n_moved);
    if (f->status != NULL) {
        put_number(b, "expired_keys", f->status->n_expired);
    }
    if (f->process != NULL) {
        put_number(b, "rejected_connections", f->process->n_clients_refused);
        put_number(b, "slow_clients_closed", f->process->n_clients_slow);
        put_number(b, "partial_clients_closed", f->process->n_clients_partial);
        put_number(b, "protocol_errors", f->process->n_protocol_errors);
        put_number(b, "total_net_input_bytes", f->process->net_in_bytes);
        put_number(b, "total_net_output_bytes", f->process->net_out_bytes);
        put_number(b, "loop_stall_us_max", f->process->loop_stall_us_max);
    }
}

static void put_cpu(struct buffer *b, const struct info_facts *f)
{
    if (f->process != NULL) {
        put_number(b, "used_cpu_user_ms", f->process->cpu_user_ms);
        put_number(b, "used_cpu_sys_ms", f->process->cpu_system_ms);
    }
}

static void put_keyspace(struct buffer *b, const struct info_facts *f)
{
    if (f->status == NULL) {
        return;
    }
    put_number(b, "keys", f->n_keys);
    buffer_printf(b, "state_hash:%016" PRIx64 "%016" PRIx64 "\r\n",
                  f->state_hash.high, f->state_hash.low);
    put_number(b, "state_index", f->status->applied_index);
    if (f->n_keys > 0) {
        /* The line that Redis' own tools look for. */
        buffer_printf(b,
                      "db0:keys=%" PRIu64 ",expires=%" PRIu64
                      ",avg_ttl=%" PRIu64 "\r\n",
                      f->n_keys, f->n_expires, f->mean_ttl_ms);
    }
}

/* Only counted: to take the time of each command would cost more than many of
 * them. */
static void put_calls(struct buffer *b, const struct info_facts *f)
{
    unsigned n;
    const struct command *table = command_table(&n);
    char name[COMMAND_NAME_MAX];
    for (unsigned i = 0; i < n && f->calls != NULL; i++) {
        if (f->calls[i] == 0) {
            continue;
        }
        (void)command_name_lower(table[i].name, name);
        buffer_printf(b, "cmdstat_%s:calls=%" PRIu64 "\r\n", name, f->calls[i]);
    }
}

static void put_cluster(struct buffer *b, const struct info_facts *f)
{
    (void)f;
    put_number(b, "cluster_enabled", 1);
}

static const struct {
    const char *name;
    void (*put)(struct buffer *b, const struct info_facts *f);
    bool asked; /* only when asked for, or for everything */
} sections[] = {
    {"Server", put_server, false},
    {"Clients", put_clients, false},
    {"Memory", put_memory, false},
    {"Persistence", put_persistence, false},
    {"Stats", put_stats, false},
    {"Replication", put_replication, false},
    {"CPU", put_cpu, false},
    {"Commandstats", put_calls, true},
    {"Latencystats", put_latency, true},
    {"Cluster", put_cluster, false},
    {"Keyspace", put_keyspace, false},
};

static bool is_word(struct bytes b, const char *word)
{
    return b.size == strlen(word) &&
           strncasecmp((const char *)b.data, word, b.size) == 0;
}

static bool is_wanted(const char *name, bool asked, uint32_t argc,
                      const struct bytes *argv)
{
    for (uint32_t i = 1; i < argc; i++) {
        if (is_word(argv[i], name) || is_word(argv[i], "all") ||
            is_word(argv[i], "everything") ||
            (!asked && is_word(argv[i], "default"))) {
            return true;
        }
        /* The name the fields themselves carry. */
        if (is_word(argv[i], "raft") && strcmp(name, "Replication") == 0) {
            return true;
        }
    }
    return argc <= 1 && !asked;
}

void info_reply(const struct info_facts *facts, uint32_t argc,
                const struct bytes *argv, struct buffer *reply)
{
    struct buffer text;
    buffer_init(&text);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        if (is_wanted(sections[i].name, sections[i].asked, argc, argv)) {
            buffer_printf(&text, "%s# %s\r\n",
                          buffer_size(&text) == 0 ? "" : "\r\n",
                          sections[i].name);
            sections[i].put(&text, facts);
        }
    }
    if (text.failed) {
        resp_error(reply, "ERR out of memory");
    } else {
        resp_bulk(reply, buffer_data(&text), buffer_size(&text));
    }
    buffer_close(&text);
}
