/* The reply of INFO: "field:value" lines in sections, as Redis does it.
 *
 * Pure: everything it says comes in through struct info_facts. Field names are
 * an interface: concordctl and the tests read them; one that is there keeps
 * its name and meaning. */
#ifndef NODE_INFO_H
#define NODE_INFO_H

#include <stdint.h>

#include "node/buffer.h"
#include "node/command.h"
#include "node/replica.h"
#include "node/service.h"
#include "raftlog/checksum.h"

/* The version of Redis whose commands these are, for tools that ask. */
#define INFO_REDIS_VERSION "7.0.0"

/* What only the process knows. Strings are borrowed; NULL: left out. */
struct info_process {
    const char *version;
    const char *build; /* "release", "debug", "address" ... */
    const char *data_dir;
    const char *listen_client; /* as configured */
    const char *listen_peer;
    const char *client_address;        /* advertised */
    const char *leader_client_address; /* of the leader, when known */
    const uint8_t *cluster_id;         /* RAFTLOG_CLUSTER_ID_SIZE bytes */
    uint64_t pid;
    uint64_t port;
    uint64_t uptime_ms;
    uint64_t rss_bytes, rss_peak_bytes;
    uint64_t cpu_user_ms, cpu_system_ms;
    bool redirect; /* --redirect moved */
    uint64_t clients_max;
    uint64_t n_clients_refused;
    uint64_t n_clients_slow, n_clients_partial; /* closed for it */
    uint64_t n_protocol_errors;
    uint64_t query_bytes, waiting_bytes; /* of all clients, now */
    uint64_t net_in_bytes, net_out_bytes;
    uint64_t loop_stall_us_max;      /* longest turn of the loop */
    const struct histogram *loop_us; /* all of them; borrowed */
};

struct info_facts {
    const struct info_process *process;
    const struct service_stats *service;
    const uint64_t *calls; /* by place in the table of commands; may be NULL */
    uint64_t n_pending;
    /* Of the replica; NULL before it is open. */
    const struct replica_status *status;
    const struct raftlog_stats *log;
    const struct raftlog_latency *latency;
    const struct replica_compaction *compaction;
    const struct replica_compactions *compactions;
    /* Times of requests in us; borrowed, may be NULL. */
    const struct histogram *read_us, *write_us;
    uint64_t n_keys;
    uint64_t n_expires,
        mean_ttl_ms; /* keys that expire; by the state's clock */
    uint64_t store_bytes;
    struct checksum128 state_hash;
};

/* argv: INFO [section ...]; none and "default" mean all but the counters of
 * commands, "all" and "everything" those too. Unknown sections give nothing, as
 * in Redis. */
void info_reply(const struct info_facts *facts, uint32_t argc,
                const struct bytes *argv, struct buffer *reply);

#endif
