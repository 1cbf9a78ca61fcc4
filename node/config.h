/* Options of the node: flags, CONCORDKV_* environment variables, defaults.
 *
 * One table (config_options.c) names each option with its unit, default, range
 * and help; parsing, --help and CONFIG GET and SET all read it. A flag wins
 * over the environment variable of the same name, that over the default. Pure
 * but for the environment, which comes in through a function. */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/address.h"
#include "node/replica_io.h"
#include "raftlog/byte.h"
#include "raftlog/err.h"

enum { CONFIG_PATH_MAX = 1024, CONFIG_NAME_MAX = 64, CONFIG_TEXT_MAX = 8192 };

struct config {
    /* Who and where. */
    uint64_t id;
    char data_dir[CONFIG_PATH_MAX];
    char cluster_name[CONFIG_NAME_MAX];
    char initial_cluster[CONFIG_TEXT_MAX];
    char listen_client[ADDRESS_TEXT_MAX + 1];
    char listen_peer[ADDRESS_TEXT_MAX + 1];
    char advertise_client[ADDRESS_TEXT_MAX + 1];
    char advertise_peer[ADDRESS_TEXT_MAX + 1];
    char log_level[8];
    /* Consensus. */
    uint64_t election_timeout_ms;
    uint64_t heartbeat_ms;
    uint64_t inflight_entries;
    uint64_t uncommitted_entries_max;
    uint64_t uncommitted_bytes_max;
    uint64_t batch_bytes;
    uint64_t batch_delay_ms;
    uint64_t peer_queue_bytes;
    uint64_t drain_timeout_ms;
    /* Log and snapshots. */
    uint64_t segment_bytes;
    uint64_t cache_bytes;
    char aio_filesystems[CONFIG_NAME_MAX];
    char sync[12];
    uint64_t sync_batch_entries;
    uint64_t sync_interval_ms;
    uint64_t snapshot_log_bytes;
    uint64_t snapshot_entries;
    uint64_t snapshot_rate_bytes;
    uint64_t trailing_entries;
    uint64_t log_retention_s;
    uint64_t log_retention_bytes;
    uint64_t compact_threshold;
    uint64_t compact_ratio_percent;
    uint64_t compact_base_percent;
    uint64_t compact_age_s;
    uint64_t compact_reserve_percent;
    uint64_t compact_rate_bytes;
    /* Clients. */
    char redirect[8];
    uint64_t stale_read_max_ms;
    uint64_t max_clients;
    uint64_t request_timeout_ms;
    uint64_t client_idle_timeout_ms;
    uint64_t client_write_timeout_ms;
    uint64_t client_partial_timeout_ms;
    uint64_t client_args_max;
    uint64_t client_inline_bytes;
    uint64_t client_key_bytes;
    uint64_t client_bulk_bytes;
    uint64_t client_request_bytes;
    uint64_t client_output_bytes;
    uint64_t outputs_bytes_max;
    uint64_t query_bytes_max;
    uint64_t client_pending_max;
    uint64_t client_bytes_max;
    uint64_t pending_bytes_max;
    uint64_t reply_bytes_max;
    uint64_t client_queued_max;
    uint64_t client_queued_bytes;
    uint64_t client_watched_max;
    uint64_t transaction_bytes_max;

    /* Derived; initial and the addresses that default to others by
     * config_complete. */
    enum trace_level trace_max;
    struct replica_server initial[REPLICA_SERVERS_MAX];
    unsigned n_initial;
};

enum config_result { CONFIG_RUN = 0, CONFIG_HELP = 1, CONFIG_VERSION = 2 };

/* Like getenv. */
typedef const char *(*config_env_cb)(const char *name);

/* Defaults, environment, flags, then the checks across options. Returns one of
 * enum config_result, or ERR_INVALID: info names the option and says what it
 * takes. */
int config_load(struct config *c, int argc, char *const *argv,
                config_env_cb env, struct err_info *info);

/* What was left open is filled in: id and members ("1=host:port,...") as the
 * data directory knows them (0 and "" when it is new), then the addresses.
 * Errors: ERR_INVALID. */
int config_complete(struct config *c, uint64_t id, const char *members,
                    struct err_info *info);

/* The text of --help into out, given NUL; returns its full size. */
size_t config_help(char *out, size_t out_size);

/* Name and value of the i-th option as text; false behind the last. */
enum { CONFIG_VALUE_MAX = CONFIG_TEXT_MAX };
bool config_show(const struct config *c, unsigned i, const char **name,
                 char value[CONFIG_VALUE_MAX]);

/* Set an option of a running node, when it is one that may change there; name
 * and value are raw text of a client. Errors: ERR_NOTFOUND no such option;
 * ERR_ACCESS it takes effect only at a start; ERR_INVALID, with words. */
int config_set(struct config *c, struct bytes name, struct bytes value,
               struct err_info *info);

#endif
