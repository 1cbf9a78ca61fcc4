/* The table of options: each with its unit, default, range and help. A new
 * option is a row here and a field of struct config. */
#include "node/config_private.h"

#ifdef CONCORDKV_DEBUG
#define DEFAULT_LOG_LEVEL "debug"
#else
#define DEFAULT_LOG_LEVEL "info"
#endif

/* Read where it is used, or handed on by daemon_options.c, so that a running
 * node can take it; or bound to files, sockets or to what all nodes have agreed
 * on. */
#define LIVE true
#define START false

#define FIELD(field_)                                                          \
    .offset = offsetof(struct config, field_),                                 \
    .size = sizeof(((struct config *)0)->field_)
#define ROW(kind_, when_, name_, field_, unit_, value_, min_, max_, help_)     \
    .kind = (kind_), .live = (when_), .name = (name_), .unit = (unit_),        \
    .value = (value_), .min = (min_), .max = (max_), .help = (help_),          \
    FIELD(field_)
#define COUNT(when_, name_, field_, unit_, value_, min_, max_, help_)          \
    ROW(OPTION_COUNT, when_, name_, field_, unit_, value_, min_, max_, help_)
#define BYTES(when_, name_, field_, value_, min_, max_, help_)                 \
    ROW(OPTION_BYTES, when_, name_, field_, "bytes", value_, min_, max_, help_)
#define RATE(when_, name_, field_, value_, min_, max_, help_)                  \
    ROW(OPTION_BYTES, when_, name_, field_, "bytes/s", value_, min_, max_,     \
        help_)
#define TEXT(when_, name_, field_, unit_, value_, min_, help_)                 \
    ROW(OPTION_TEXT, when_, name_, field_, unit_, value_, min_, 0, help_)
#define ADDRESS(when_, name_, field_, value_, help_)                           \
    ROW(OPTION_ADDRESS, when_, name_, field_, "host:port", value_, 0, 0, help_)
#define LEVEL(when_, name_, field_, value_, help_)                             \
    ROW(OPTION_LEVEL, when_, name_, field_, "level", value_, 0, 0, help_)
#define CHOICE(when_, name_, field_, unit_, value_, help_)                     \
    ROW(OPTION_CHOICE, when_, name_, field_, unit_, value_, 0, 0, help_)

const struct config_option config_options[] = {
    {.section = "Node",
     COUNT(START, "id", id, "number", "0", 0, UINT64_C(1) << 62,
           "Id of this node in the cluster, from 1. Needed for the first "
           "start; 0: as in the data directory. Never give the id of a lost "
           "data directory to a new one.")},
    {TEXT(START, "data-dir", data_dir, "path", NULL, 1,
          "Directory of log, snapshots and identity; created when missing.")},
    {TEXT(START, "initial-cluster", initial_cluster, "list", "", 0,
          "First members with their peer addresses, the same on every node: "
          "\"1=host:port,2=host:port,3=host:port\". A node whose id is not in "
          "the list waits to be added. Empty: as in the data directory, and "
          "for a new one a cluster of this node alone.")},
    {TEXT(START, "cluster-name", cluster_name, "name", "concordkv", 1,
          "Part of the cluster id with the initial cluster; nodes of different "
          "clusters refuse each other.")},
    {ADDRESS(START, "listen-client", listen_client, "127.0.0.1:6379",
             "Where clients connect (Redis protocol).")},
    {ADDRESS(START, "listen-peer", listen_peer, "127.0.0.1:7379",
             "Where the other nodes connect.")},
    {ADDRESS(START, "advertise-client", advertise_client, "",
             "Client address told to others. Empty: listen-client, with the "
             "host of advertise-peer if that is every address of the machine "
             "(0.0.0.0, [::]).")},
    {ADDRESS(START, "advertise-peer", advertise_peer, "",
             "Peer address told to others. Empty: the one of the initial "
             "cluster, else listen-peer.")},
    {LEVEL(LIVE, "log-level", log_level, DEFAULT_LOG_LEVEL,
           "Events to stderr: error, warn, info or debug.")},

    {.section = "Consensus",
     COUNT(START, "election-timeout-ms", election_timeout_ms, "ms", "300", 50,
           60000,
           "Silence of the leader after which a follower asks for an election "
           "(a random time up to twice as long).")},
    {COUNT(START, "heartbeat-ms", heartbeat_ms, "ms", "0", 0, 10000,
           "Interval of heartbeats. 0: a thirtieth of the election timeout, at "
           "least 5.")},
    {COUNT(START, "inflight-entries", inflight_entries, "entries", "4096", 1,
           65536, "Entries sent to a follower and not yet acknowledged.")},
    {COUNT(LIVE, "uncommitted-entries-max", uncommitted_entries_max, "entries",
           "8192", 16, 1000000,
           "Entries of a leader that wait for a majority; more wait in the "
           "queue of requests.")},
    {BYTES(LIVE, "uncommitted-bytes-max", uncommitted_bytes_max, "128m", MIB,
           16 * GIB, "The same in bytes.")},
    {BYTES(LIVE, "batch-bytes", batch_bytes, "1m", 4 * KIB, 64 * MIB,
           "Gathered writes are submitted at once when they are this large, "
           "even while a batch is in flight.")},
    {COUNT(LIVE, "batch-delay-ms", batch_delay_ms, "ms", "5", 1, 1000,
           "Or when the oldest has waited this long.")},
    {BYTES(START, "peer-queue-bytes", peer_queue_bytes, "128m", MIB, 16 * GIB,
           "Messages waiting to be sent to one peer in one lane; what does not "
           "fit is dropped and sent again later.")},
    {COUNT(LIVE, "drain-timeout-ms", drain_timeout_ms, "ms", "5000", 0, 600000,
           "Longest time that SIGTERM waits for the handover of leadership and "
           "for replies in progress.")},

    {.section = "Log and snapshots",
     BYTES(START, "segment-bytes", segment_bytes, "64m", MIB, GIB,
           "Size of a segment file of the log.")},
    {BYTES(START, "cache-bytes", cache_bytes, "64m", MIB, 64 * GIB,
           "Durable log entries kept in memory for followers.")},
    {TEXT(
        START, "aio-filesystems", aio_filesystems, "names", "ext4,xfs", 0,
        "File systems on which durable writes go through native AIO; on others "
        "a thread calls fdatasync. Name only such that sync AIO writes.")},
    {CHOICE(LIVE, "sync", sync, "always|batch|interval", "always",
            "When a write counts as persisted here: always (it is durable), "
            "batch or interval (it is written; a power cut may take it before "
            "the next sync). README.md says what each can lose.")},
    {COUNT(LIVE, "sync-batch-entries", sync_batch_entries, "entries", "100", 1,
           1000000, "Entries after which the policy batch syncs.")},
    {COUNT(LIVE, "sync-interval-ms", sync_interval_ms, "ms", "5000", 1, 3600000,
           "Time after which the policies batch and interval sync.")},
    {BYTES(LIVE, "snapshot-log-bytes", snapshot_log_bytes, "256m", MIB,
           1024 * GIB, "A snapshot is taken after this much log.")},
    {COUNT(LIVE, "snapshot-entries", snapshot_entries, "entries", "1000000",
           100, UINT64_C(1) << 40, "Or after this many entries.")},
    {RATE(LIVE, "snapshot-rate-bytes", snapshot_rate_bytes, "128m", 64 * KIB,
          64 * GIB, "Speed limit of a snapshot sent to a peer.")},
    {COUNT(LIVE, "trailing-entries", trailing_entries, "entries", "16384", 0,
           UINT64_C(1) << 32,
           "Log entries kept below a snapshot, for followers that are a little "
           "behind.")},
    {COUNT(LIVE, "log-retention-s", log_retention_s, "s", "0", 0, 31536000,
           "And the segments with entries of at least the last so many "
           "seconds, for followers and for inspection, also across restarts; "
           "when the disk is full, the oldest of these go all the same. 0: not "
           "by age.")},
    {BYTES(LIVE, "log-retention-bytes", log_retention_bytes, "0", 0, 1024 * GIB,
           "But of the log that a snapshot covers no more than about this "
           "much. 0: as much as entries and time may be.")},
    {COUNT(
        LIVE, "compact-threshold", compact_threshold, "entries", "1000", 1,
        UINT64_C(1) << 40,
        "The log is compacted (a snapshot taken, what it covers let go) before "
        "it reaches the limits for a snapshot, when so many entries have "
        "gathered, enough of them is superseded, and it is worth the cost: at "
        "least one segment, and as much as --compact-base-percent says.")},
    {COUNT(LIVE, "compact-ratio-percent", compact_ratio_percent, "percent",
           "30", 1, 100,
           "Share of the gathered bytes that must be superseded by later "
           "writes.")},
    {COUNT(LIVE, "compact-base-percent", compact_base_percent, "percent", "100",
           1, 10000,
           "Gathered log for each 100 bytes of live keys and values; a "
           "snapshot writes all of these again.")},
    {COUNT(LIVE, "compact-age-s", compact_age_s, "s", "0", 0, 31536000,
           "Compact also when the last snapshot is this old and anything has "
           "been written since. 0: never for its age.")},
    {COUNT(LIVE, "compact-reserve-percent", compact_reserve_percent, "percent",
           "100", 0, 1000,
           "Of the disk, the log leaves this share of the next snapshot's size "
           "free, so that a full disk can be compacted.")},
    {RATE(LIVE, "compact-rate-bytes", compact_rate_bytes, "64m", 64 * KIB,
          64 * GIB,
          "Speed limit of compaction, in live bytes; none while the disk is "
          "full.")},

    {.section = "Clients",
     CHOICE(LIVE, "redirect", redirect, "forward|moved", "forward",
            "What a node that does not lead does with a command: pass it to "
            "the leader, or answer -MOVED with the leader's address if it "
            "names keys, for clients that know Redis Cluster.")},
    {COUNT(LIVE, "stale-read-max-ms", stale_read_max_ms, "ms", "10000", 0,
           86400000,
           "After READONLY, a node that does not lead reads what it has "
           "without asking the leader while that is surely not older than "
           "this; else it asks first. 0: it always asks.")},
    {COUNT(LIVE, "max-clients", max_clients, "connections", "10000", 1, 1000000,
           "Client connections at a time; one more is told so and closed.")},
    {COUNT(LIVE, "request-timeout-ms", request_timeout_ms, "ms", "5000", 100,
           3600000,
           "Wait for a leader or a commit before the answer is -CLUSTERDOWN or "
           "-UNKNOWN.")},
    {COUNT(LIVE, "client-idle-timeout-ms", client_idle_timeout_ms, "ms", "0", 0,
           UINT64_C(86400000) * 365,
           "A client that sends nothing for so long is closed. 0: never.")},
    {COUNT(LIVE, "client-write-timeout-ms", client_write_timeout_ms, "ms",
           "60000", 100, 86400000,
           "A client that takes none of its waiting replies for so long is "
           "closed.")},
    {COUNT(LIVE, "client-partial-timeout-ms", client_partial_timeout_ms, "ms",
           "60000", 0, 86400000,
           "A client that has sent part of a command and then nothing for so "
           "long is told so and closed. 0: never.")},
    {COUNT(LIVE, "client-args-max", client_args_max, "arguments", "1048576", 16,
           1048576, "Arguments of a command.")},
    {BYTES(LIVE, "client-inline-bytes", client_inline_bytes, "64k", KIB, MIB,
           "Length of an inline command.")},
    {BYTES(LIVE, "client-key-bytes", client_key_bytes, "64k", 16, 64 * KIB,
           "Length of a key.")},
    {BYTES(LIVE, "client-bulk-bytes", client_bulk_bytes, "64m", 64 * KIB,
           64 * MIB, "Size of one argument.")},
    {BYTES(LIVE, "client-request-bytes", client_request_bytes, "72m", 64 * KIB,
           72 * MIB, "Size of one command.")},
    {BYTES(LIVE, "client-output-bytes", client_output_bytes, "1m", KIB, GIB,
           "With more replies than this waiting, no more is read from the "
           "client until it has taken some.")},
    {BYTES(LIVE, "outputs-bytes-max", outputs_bytes_max, "2g", MIB, 1024 * GIB,
           "Replies waiting for clients that do not take them, of all clients; "
           "while there are more, the client with most is closed.")},
    {BYTES(LIVE, "query-bytes-max", query_bytes_max, "1g", MIB, 1024 * GIB,
           "Bytes of commands that are not complete, of all clients; one that "
           "sends more is told so and closed.")},
    {COUNT(LIVE, "client-pending-max", client_pending_max, "requests", "16384",
           1, 1048576,
           "Requests in progress for one client; more are not read yet.")},
    {BYTES(LIVE, "client-bytes-max", client_bytes_max, "96m", MIB, 16 * GIB,
           "Requests and replies in memory for one client.")},
    {BYTES(LIVE, "pending-bytes-max", pending_bytes_max, "256m", MIB, 64 * GIB,
           "Requests in memory that wait, of all clients.")},
    {BYTES(LIVE, "reply-bytes-max", reply_bytes_max, "256m", MIB, 4 * GIB,
           "Size of one reply.")},
    {COUNT(LIVE, "client-queued-max", client_queued_max, "commands", "16384", 1,
           1048576,
           "Commands queued by a client's MULTI; one more is refused, and EXEC "
           "with it. They run in one go on every node.")},
    {BYTES(LIVE, "client-queued-bytes", client_queued_bytes, "72m", KIB,
           72 * MIB, "The same in bytes.")},
    {COUNT(LIVE, "client-watched-max", client_watched_max, "keys", "1024", 1,
           65536, "Keys watched by a client at a time.")},
    {BYTES(LIVE, "transaction-bytes-max", transaction_bytes_max, "256m", MIB,
           64 * GIB,
           "Queued commands and watched keys in memory, of all clients.")},
};

const unsigned config_n_options =
    sizeof config_options / sizeof *config_options;
