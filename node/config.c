/* The table of options and everything that is read out of it. */
#include "node/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "node/trace.h"

enum option_kind {
    OPTION_NUMBER, /* a count, or milliseconds */
    OPTION_BYTES,  /* a number with an optional k, m or g */
    OPTION_TEXT,
    OPTION_ADDRESS,
    OPTION_LEVEL,
    OPTION_CHOICE /* one of the words of its unit, "this|that" */
};

struct option {
    const char *section; /* non-NULL starts a section of --help */
    const char *name;
    enum option_kind kind;
    const char *unit;
    const char *value; /* default; NULL: must be given */
    uint64_t min, max; /* of numbers */
    size_t offset, size;
    const char *help;
};

#define FIELD(name)                                                            \
    offsetof(struct config, name), sizeof(((struct config *)0)->name)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

#ifdef CONCORDKV_DEBUG
#define DEFAULT_LOG_LEVEL "debug"
#else
#define DEFAULT_LOG_LEVEL "info"
#endif

/* clang-format off */
static const struct option options[] = {
    {"Node", "id", OPTION_NUMBER, "number", "0", 0, UINT64_C(1) << 62,
     FIELD(id), "Id of this node in the cluster, from 1. Needed for the first "
     "start; 0: as in the data directory. Never give the id of a lost data "
     "directory to a new one."},
    {NULL, "data-dir", OPTION_TEXT, "path", NULL, 1, 0, FIELD(data_dir),
     "Directory of log, snapshots and identity; created when missing."},
    {NULL, "initial-cluster", OPTION_TEXT, "list", "", 0, 0,
     FIELD(initial_cluster), "First members with their peer addresses, the "
     "same on every node: \"1=host:port,2=host:port,3=host:port\". A node "
     "whose id is not in the list waits to be added. Empty: as in the data "
     "directory, and for a new one a cluster of this node alone."},
    {NULL, "cluster-name", OPTION_TEXT, "name", "concordkv", 1, 0,
     FIELD(cluster_name), "Part of the cluster id with the initial cluster; "
     "nodes of different clusters refuse each other."},
    {NULL, "listen-client", OPTION_ADDRESS, "host:port", "127.0.0.1:6379",
     0, 0, FIELD(listen_client), "Where clients connect (Redis protocol)."},
    {NULL, "listen-peer", OPTION_ADDRESS, "host:port", "127.0.0.1:7379", 0, 0,
     FIELD(listen_peer), "Where the other nodes connect."},
    {NULL, "advertise-client", OPTION_ADDRESS, "host:port", "", 0, 0,
     FIELD(advertise_client), "Client address told to others. Empty: "
     "listen-client, with the host of advertise-peer if that is every address "
     "of the machine (0.0.0.0, [::])."},
    {NULL, "advertise-peer", OPTION_ADDRESS, "host:port", "", 0, 0,
     FIELD(advertise_peer), "Peer address told to others. Empty: the one of "
     "the initial cluster, else listen-peer."},
    {NULL, "log-level", OPTION_LEVEL, "level", DEFAULT_LOG_LEVEL, 0, 0,
     FIELD(log_level), "Events to stderr: error, warn, info or debug."},

    {"Consensus", "election-timeout-ms", OPTION_NUMBER, "ms", "300", 50, 60000,
     FIELD(election_timeout_ms), "Silence of the leader after which a "
     "follower asks for an election (a random time up to twice as long)."},
    {NULL, "heartbeat-ms", OPTION_NUMBER, "ms", "0", 0, 10000,
     FIELD(heartbeat_ms), "Interval of heartbeats. 0: a thirtieth of the "
     "election timeout, at least 5."},
    {NULL, "inflight-entries", OPTION_NUMBER, "entries", "4096", 1, 65536,
     FIELD(inflight_entries), "Entries sent to a follower and not yet "
     "acknowledged."},
    {NULL, "uncommitted-entries-max", OPTION_NUMBER, "entries", "8192", 16,
     1000000, FIELD(uncommitted_entries_max), "Entries of a leader that wait "
     "for a majority; more wait in the queue of requests."},
    {NULL, "uncommitted-bytes-max", OPTION_BYTES, "bytes", "128m", MIB,
     16 * GIB, FIELD(uncommitted_bytes_max), "The same in bytes."},
    {NULL, "batch-bytes", OPTION_BYTES, "bytes", "1m", 4 * KIB, 64 * MIB,
     FIELD(batch_bytes), "Gathered writes are submitted at once when they "
     "are this large, even while a batch is in flight."},
    {NULL, "batch-delay-ms", OPTION_NUMBER, "ms", "5", 1, 1000,
     FIELD(batch_delay_ms), "Or when the oldest has waited this long."},
    {NULL, "peer-queue-bytes", OPTION_BYTES, "bytes", "128m", MIB, 16 * GIB,
     FIELD(peer_queue_bytes), "Messages waiting to be sent to one peer in one "
     "lane; what does not fit is dropped and sent again later."},
    {NULL, "drain-timeout-ms", OPTION_NUMBER, "ms", "5000", 0, 600000,
     FIELD(drain_timeout_ms), "Longest time that SIGTERM waits for the "
     "handover of leadership and for replies in progress."},

    {"Log and snapshots", "segment-bytes", OPTION_BYTES, "bytes", "64m",
     MIB, GIB, FIELD(segment_bytes), "Size of a segment file of the log."},
    {NULL, "cache-bytes", OPTION_BYTES, "bytes", "64m", MIB, 64 * GIB,
     FIELD(cache_bytes), "Durable log entries kept in memory for followers."},
    {NULL, "aio-filesystems", OPTION_TEXT, "names", "ext4,xfs", 0, 0,
     FIELD(aio_filesystems), "File systems on which durable writes go through "
     "native AIO; on others a thread calls fdatasync. Name only such that "
     "sync AIO writes."},
    {NULL, "sync", OPTION_CHOICE, "always|batch|interval", "always", 0, 0, FIELD(sync),
     "When a write counts as persisted here: always (it is durable), batch or "
     "interval (it is written; a power cut may take it before the next sync). "
     "README.md says what each can lose."},
    {NULL, "sync-batch-entries", OPTION_NUMBER, "entries", "100", 1, 1000000,
     FIELD(sync_batch_entries), "Entries after which the policy batch syncs."},
    {NULL, "sync-interval-ms", OPTION_NUMBER, "ms", "5000", 1, 3600000,
     FIELD(sync_interval_ms), "Time after which the policies batch and "
     "interval sync."},
    {NULL, "snapshot-log-bytes", OPTION_BYTES, "bytes", "256m", MIB,
     1024 * GIB, FIELD(snapshot_log_bytes), "A snapshot is taken after this "
     "much log."},
    {NULL, "snapshot-entries", OPTION_NUMBER, "entries", "1000000", 100,
     UINT64_C(1) << 40, FIELD(snapshot_entries), "Or after this many entries."},
    {NULL, "snapshot-rate-bytes", OPTION_BYTES, "bytes/s", "128m", 64 * KIB,
     64 * GIB, FIELD(snapshot_rate_bytes), "Speed limit of a snapshot sent to "
     "a peer."},
    {NULL, "trailing-entries", OPTION_NUMBER, "entries", "16384", 0,
     UINT64_C(1) << 32, FIELD(trailing_entries), "Log entries kept below a "
     "snapshot, for followers that are a little behind."},

    {NULL, "log-retention-bytes", OPTION_BYTES, "bytes", "0", 0, 1024 * GIB,
     FIELD(log_retention_bytes), "But of the log that a snapshot covers no more "
     "than about this much. 0: as many entries as that may be."},
    {NULL, "compact-threshold", OPTION_NUMBER, "entries", "1000", 1,
     UINT64_C(1) << 40, FIELD(compact_threshold), "The log is compacted (a "
     "snapshot taken, what it covers let go) before it reaches the limits for "
     "a snapshot, when so many entries have gathered, enough of them is "
     "superseded, and it is worth the cost: at least one segment, and as much "
     "as --compact-base-percent says."},
    {NULL, "compact-ratio-percent", OPTION_NUMBER, "percent", "30", 1, 100,
     FIELD(compact_ratio_percent), "Share of the gathered bytes that must be "
     "superseded by later writes."},
    {NULL, "compact-base-percent", OPTION_NUMBER, "percent", "100", 1, 10000,
     FIELD(compact_base_percent), "Gathered log for each 100 bytes of live "
     "keys and values; a snapshot writes all of these again."},
    {NULL, "compact-age-s", OPTION_NUMBER, "s", "0", 0, 31536000,
     FIELD(compact_age_s), "Compact also when the last snapshot is this old "
     "and anything has been written since. 0: never for its age."},
    {NULL, "compact-reserve-percent", OPTION_NUMBER, "percent", "100", 0,
     1000, FIELD(compact_reserve_percent), "Of the disk, the log leaves this "
     "share of the next snapshot's size free, so that a full disk can be "
     "compacted."},
    {NULL, "compact-rate-bytes", OPTION_BYTES, "bytes/s", "64m", 64 * KIB,
     64 * GIB, FIELD(compact_rate_bytes), "Speed limit of compaction, in live "
     "bytes; none while the disk is full."},
    {"Clients", "redirect", OPTION_CHOICE, "forward|moved", "forward", 0, 0,
     FIELD(redirect), "What a node that does not lead does with a command: "
     "pass it to the leader, or answer -MOVED with the leader's address if it "
     "names keys, for clients that know Redis Cluster."},
    {NULL, "stale-read-max-ms", OPTION_NUMBER, "ms", "10000", 0, 86400000,
     FIELD(stale_read_max_ms), "After READONLY, a node that does not lead "
     "reads what it has without asking the leader while that is surely not "
     "older than this; else it asks first. 0: it always asks."},
    {NULL, "max-clients", OPTION_NUMBER, "connections", "10000", 1,
     1000000, FIELD(max_clients), "Client connections at a time; one more is "
     "told so and closed."},
    {NULL, "request-timeout-ms", OPTION_NUMBER, "ms", "5000", 100, 3600000,
     FIELD(request_timeout_ms), "Wait for a leader or a commit before the "
     "answer is -CLUSTERDOWN or -UNKNOWN."},
    {NULL, "client-idle-timeout-ms", OPTION_NUMBER, "ms", "0", 0,
     UINT64_C(86400000) * 365, FIELD(client_idle_timeout_ms), "A client that "
     "sends nothing for so long is closed. 0: never."},
    {NULL, "client-write-timeout-ms", OPTION_NUMBER, "ms", "60000", 100,
     86400000, FIELD(client_write_timeout_ms), "A client that takes none of "
     "its waiting replies for so long is closed."},
    {NULL, "client-partial-timeout-ms", OPTION_NUMBER, "ms", "60000", 0,
     86400000, FIELD(client_partial_timeout_ms), "A client that has sent part "
     "of a command and then nothing for so long is told so and closed. 0: "
     "never."},
    {NULL, "client-args-max", OPTION_NUMBER, "arguments", "1048576", 16,
     1048576, FIELD(client_args_max), "Arguments of a command."},
    {NULL, "client-inline-bytes", OPTION_BYTES, "bytes", "64k", KIB, MIB,
     FIELD(client_inline_bytes), "Length of an inline command."},
    {NULL, "client-key-bytes", OPTION_BYTES, "bytes", "64k", 16, 64 * KIB,
     FIELD(client_key_bytes), "Length of a key."},
    {NULL, "client-bulk-bytes", OPTION_BYTES, "bytes", "64m", 64 * KIB,
     64 * MIB, FIELD(client_bulk_bytes), "Size of one argument."},
    {NULL, "client-request-bytes", OPTION_BYTES, "bytes", "72m", 64 * KIB,
     72 * MIB, FIELD(client_request_bytes), "Size of one command."},
    {NULL, "client-output-bytes", OPTION_BYTES, "bytes", "1m", KIB, GIB,
     FIELD(client_output_bytes), "With more replies than this waiting, no "
     "more is read from the client until it has taken some."},
    {NULL, "outputs-bytes-max", OPTION_BYTES, "bytes", "2g", MIB, 1024 * GIB,
     FIELD(outputs_bytes_max), "Replies waiting for clients that do not take "
     "them, of all clients; while there are more, the client with most is "
     "closed."},
    {NULL, "query-bytes-max", OPTION_BYTES, "bytes", "1g", MIB, 1024 * GIB,
     FIELD(query_bytes_max), "Bytes of commands that are not complete, of all "
     "clients; one that sends more is told so and closed."},
    {NULL, "client-pending-max", OPTION_NUMBER, "requests", "16384", 1,
     1048576, FIELD(client_pending_max), "Requests in progress for one "
     "client; more are not read yet."},
    {NULL, "client-bytes-max", OPTION_BYTES, "bytes", "96m", MIB, 16 * GIB,
     FIELD(client_bytes_max), "Requests and replies in memory for one "
     "client."},
    {NULL, "pending-bytes-max", OPTION_BYTES, "bytes", "256m", MIB, 64 * GIB,
     FIELD(pending_bytes_max), "Requests in memory that wait, of all "
     "clients."},
    {NULL, "reply-bytes-max", OPTION_BYTES, "bytes", "256m", MIB, 4 * GIB,
     FIELD(reply_bytes_max), "Size of one reply."},
    {NULL, "client-queued-max", OPTION_NUMBER, "commands", "16384", 1,
     1048576, FIELD(client_queued_max), "Commands queued by a client's MULTI; "
     "one more is refused, and EXEC with it. They run in one go on every "
     "node."},
    {NULL, "client-queued-bytes", OPTION_BYTES, "bytes", "72m", KIB, 72 * MIB,
     FIELD(client_queued_bytes), "The same in bytes."},
    {NULL, "client-watched-max", OPTION_NUMBER, "keys", "1024", 1, 65536,
     FIELD(client_watched_max), "Keys watched by a client at a time."},
    {NULL, "transaction-bytes-max", OPTION_BYTES, "bytes", "256m", MIB,
     64 * GIB, FIELD(transaction_bytes_max), "Queued commands and watched keys "
     "in memory, of all clients."},
};
/* clang-format on */

enum { N_OPTIONS = sizeof options / sizeof *options };

void config_env_name(const char *name, char *out, size_t out_size)
{
    snprintf(out, out_size, "CONCORDKV_%s", name);
    for (char *p = out; *p != '\0'; p++) {
        if (*p >= 'a' && *p <= 'z') {
            *p = (char)(*p - 'a' + 'A');
        } else if (*p == '-') {
            *p = '_';
        }
    }
}

static void *field_of(struct config *c, const struct option *o)
{
    return (char *)c + o->offset;
}

static const void *const_field_of(const struct config *c,
                                  const struct option *o)
{
    return (const char *)c + o->offset;
}

/* "64m": bytes with the largest suffix that divides them. */
static void print_bytes(char *out, size_t out_size, uint64_t v)
{
    const char *suffix = "";

    if (v != 0 && v % GIB == 0) {
        v /= GIB;
        suffix = "g";
    } else if (v != 0 && v % MIB == 0) {
        v /= MIB;
        suffix = "m";
    } else if (v != 0 && v % KIB == 0) {
        v /= KIB;
        suffix = "k";
    }
    snprintf(out, out_size, "%llu%s", (unsigned long long)v, suffix);
}

static void print_number(const struct option *o, char *out, size_t out_size,
                         uint64_t v)
{
    if (o->kind == OPTION_BYTES) {
        print_bytes(out, out_size, v);
    } else {
        snprintf(out, out_size, "%llu", (unsigned long long)v);
    }
}

static bool parse_number(const char *text, bool suffixes, uint64_t *out)
{
    unsigned long long v;
    uint64_t unit = 1;
    char *end;

    if (text[0] < '0' || text[0] > '9') {
        return false; /* strtoull would take signs and spaces. */
    }
    errno = 0;
    v = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    if (suffixes && *end != '\0') {
        switch (*end | 0x20) {
        case 'k':
            unit = KIB;
            break;
        case 'm':
            unit = MIB;
            break;
        case 'g':
            unit = GIB;
            break;
        default:
            return false;
        }
        end++;
    }
    if (*end != '\0' || v > UINT64_MAX / unit) {
        return false;
    }
    *out = v * unit;
    return true;
}

static int set_number(struct config *c, const struct option *o,
                      const char *label, const char *text,
                      struct err_info *info)
{
    char low[32], high[32], shown[64];
    uint64_t v;

    if (parse_number(text, o->kind == OPTION_BYTES, &v) && v >= o->min &&
        v <= o->max) {
        memcpy(field_of(c, o), &v, sizeof v);
        return 0;
    }
    print_number(o, low, sizeof low, o->min);
    print_number(o, high, sizeof high, o->max);
    return err_set(info, ERR_INVALID,
                   "%s: \"%s\" is not a number of %s from "
                   "%s to %s%s",
                   label, err_escape(shown, sizeof shown, text, strlen(text)),
                   o->unit, low, high,
                   o->kind == OPTION_BYTES ? " (k, m and g are understood)"
                                           : "");
}

static bool is_choice(const char *choices, const char *text)
{
    size_t size = strlen(text);

    for (;;) {
        size_t word = strcspn(choices, "|");
        if (word == size && strncmp(choices, text, size) == 0) {
            return true;
        }
        if (choices[word] == '\0') {
            return false;
        }
        choices += word + 1;
    }
}

static int set_text(struct config *c, const struct option *o, const char *label,
                    const char *text, struct err_info *info)
{
    size_t size = strlen(text);
    char *field = field_of(c, o);

    if (size < o->min) {
        return err_set(info, ERR_INVALID, "%s: must not be empty", label);
    }
    if (size >= o->size) {
        return err_set(info, ERR_INVALID, "%s: longer than %zu bytes", label,
                       o->size - 1);
    }
    memset(field, 0, o->size);
    memcpy(field, text, size);
    return 0;
}

/* label is what the person wrote: "--id" or "CONCORDKV_ID". */
static int set_option(struct config *c, const struct option *o,
                      const char *label, const char *text,
                      struct err_info *info)
{
    struct err_info detail;
    struct address address;
    enum trace_level level;
    char shown[64];

    switch (o->kind) {
    case OPTION_NUMBER:
    case OPTION_BYTES:
        return set_number(c, o, label, text, info);
    case OPTION_ADDRESS:
        if (text[0] != '\0' && address_parse(text, &address, &detail) != 0) {
            return err_set(info, ERR_INVALID, "%s: %.300s", label,
                           detail.message);
        }
        break;
    case OPTION_LEVEL:
        if (trace_level_parse(text, &level) != 0) {
            return err_set(info, ERR_INVALID,
                           "%s: \"%s\" is not one of error, warn, info, debug",
                           label,
                           err_escape(shown, sizeof shown, text, strlen(text)));
        }
        c->trace_max = level;
        break;
    case OPTION_CHOICE:
        if (!is_choice(o->unit, text)) {
            return err_set(
                info, ERR_INVALID, "%s: \"%s\" is not one of %s", label,
                err_escape(shown, sizeof shown, text, strlen(text)), o->unit);
        }
        break;
    case OPTION_TEXT:
        break;
    }
    return set_text(c, o, label, text, info);
}

static const struct option *find_option(const char *name, size_t size)
{
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (strncmp(options[i].name, name, size) == 0 &&
            options[i].name[size] == '\0') {
            return &options[i];
        }
    }
    return NULL;
}

/* What a running node can take: each is read where it is used, or handed on by
 * daemon_options.c. The others are bound to files, sockets or to what all nodes
 * have agreed on. */
static const char *const live_options[] = {
    "log-level",
    "uncommitted-entries-max",
    "uncommitted-bytes-max",
    "batch-bytes",
    "batch-delay-ms",
    "drain-timeout-ms",
    "sync",
    "sync-batch-entries",
    "sync-interval-ms",
    "snapshot-log-bytes",
    "snapshot-entries",
    "snapshot-rate-bytes",
    "trailing-entries",
    "log-retention-bytes",
    "compact-threshold",
    "compact-ratio-percent",
    "compact-base-percent",
    "compact-age-s",
    "compact-reserve-percent",
    "compact-rate-bytes",
    "redirect",
    "stale-read-max-ms",
    "max-clients",
    "request-timeout-ms",
    "client-idle-timeout-ms",
    "client-write-timeout-ms",
    "client-partial-timeout-ms",
    "client-args-max",
    "client-inline-bytes",
    "client-key-bytes",
    "client-bulk-bytes",
    "client-request-bytes",
    "client-output-bytes",
    "outputs-bytes-max",
    "query-bytes-max",
    "client-pending-max",
    "client-bytes-max",
    "pending-bytes-max",
    "reply-bytes-max",
    "client-queued-max",
    "client-queued-bytes",
    "client-watched-max",
    "transaction-bytes-max",
};

static bool is_live(const struct option *o)
{
    for (size_t i = 0; i < sizeof live_options / sizeof *live_options; i++) {
        if (strcmp(live_options[i], o->name) == 0) {
            return true;
        }
    }
    return false;
}

int config_set(struct config *c, struct bytes name, struct bytes value,
               struct err_info *info)
{
    char text[CONFIG_VALUE_MAX];
    const struct option *o = NULL;

    for (unsigned i = 0; i < N_OPTIONS && o == NULL; i++) {
        if (strlen(options[i].name) == name.size &&
            strncasecmp(options[i].name, (const char *)name.data, name.size) ==
                0) {
            o = &options[i];
        }
    }
    if (o == NULL) {
        return err_set(info, ERR_NOTFOUND, "no such option");
    }
    if (!is_live(o)) {
        return err_set(info, ERR_ACCESS, "can't set immutable config");
    }
    if (value.size >= sizeof text ||
        (value.size > 0 && memchr(value.data, 0, value.size) != NULL)) {
        return err_set(info, ERR_INVALID, "%s: not a text of this option",
                       o->name);
    }
    if (value.size > 0) {
        memcpy(text, value.data, value.size);
    }
    text[value.size] = '\0';
    return set_option(c, o, o->name, text, info);
}

/* How alike two names are: letters in common at the front and at the back. */
static size_t likeness(const char *a, size_t a_size, const char *b)
{
    size_t b_size = strlen(b);
    size_t least = a_size < b_size ? a_size : b_size;
    size_t front = 0;
    size_t back = 0;

    while (front < least && a[front] == b[front]) {
        front++;
    }
    while (front + back < least &&
           a[a_size - back - 1] == b[b_size - back - 1]) {
        back++;
    }
    return front + back;
}

static int refuse_unknown(const char *arg, size_t name_size,
                          struct err_info *info)
{
    const struct option *best = NULL;
    size_t best_score = 2;
    char shown[64];

    for (unsigned i = 0; name_size > 2 && i < N_OPTIONS; i++) {
        size_t score = likeness(arg + 2, name_size - 2, options[i].name);
        if (score > best_score) {
            best_score = score;
            best = &options[i];
        }
    }
    err_escape(shown, sizeof shown, arg, name_size);
    if (best != NULL) {
        return err_set(info, ERR_INVALID,
                       "%s is not an option; did you mean --%s? (--help "
                       "lists all)",
                       shown, best->name);
    }
    return err_set(info, ERR_INVALID, "%s is not an option (--help lists all)",
                   shown);
}

static int load_environment(struct config *c, config_env_cb env, bool *given,
                            struct err_info *info)
{
    char name[CONFIG_NAME_MAX];

    for (unsigned i = 0; i < N_OPTIONS; i++) {
        const char *text;
        int rc;

        config_env_name(options[i].name, name, sizeof name);
        text = env(name);
        if (text == NULL) {
            continue;
        }
        rc = set_option(c, &options[i], name, text, info);
        if (rc != 0) {
            return rc;
        }
        given[i] = true;
    }
    return 0;
}

static int load_flags(struct config *c, int argc, char *const *argv,
                      bool *given, struct err_info *info)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        size_t size = strcspn(arg, "=");
        const struct option *o = NULL;
        const char *value;
        char label[CONFIG_NAME_MAX];
        int rc;

        if (size > 2 && strncmp(arg, "--", 2) == 0) {
            o = find_option(arg + 2, size - 2);
        }
        if (o == NULL) {
            return refuse_unknown(arg, size, info);
        }
        snprintf(label, sizeof label, "--%s", o->name);
        if (arg[size] == '=') {
            value = arg + size + 1;
        } else if (i + 1 < argc) {
            value = argv[++i];
        } else {
            return err_set(info, ERR_INVALID, "%s: needs a value (%s)", label,
                           o->unit);
        }
        rc = set_option(c, o, label, value, info);
        if (rc != 0) {
            return rc;
        }
        given[o - options] = true;
    }
    return 0;
}

static int check_given(const bool *given, struct err_info *info)
{
    char env[CONFIG_NAME_MAX];

    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (options[i].value == NULL && !given[i]) {
            config_env_name(options[i].name, env, sizeof env);
            return err_set(info, ERR_INVALID,
                           "--%s (or %s) must be given; --help explains it",
                           options[i].name, env);
        }
    }
    return 0;
}

/* What no option can be checked for alone. */
static int check_together(struct config *c, struct err_info *info)
{
    struct err_info detail;

    if (address_parse_cluster(c->initial_cluster, c->initial,
                              REPLICA_SERVERS_MAX, &c->n_initial,
                              &detail) != 0) {
        return err_set(info, ERR_INVALID, "--initial-cluster: %.300s",
                       detail.message);
    }
    if (c->listen_client[0] == '\0' || c->listen_peer[0] == '\0') {
        return err_set(info, ERR_INVALID, "--listen-%s: must not be empty",
                       c->listen_client[0] == '\0' ? "client" : "peer");
    }
    if (c->heartbeat_ms * 3 > c->election_timeout_ms) {
        return err_set(info, ERR_INVALID,
                       "--heartbeat-ms: %llu is more than "
                       "a third of --election-timeout-ms (%llu)",
                       (unsigned long long)c->heartbeat_ms,
                       (unsigned long long)c->election_timeout_ms);
    }
    return 0;
}

/* 0.0.0.0 leads nobody here; the peers' way to us leads clients as well. */
static void advertise_listen_client(struct config *c)
{
    const char *port = strrchr(c->listen_client, ':');
    const char *end = strrchr(c->advertise_peer, ':');
    struct address listen;

    if (address_parse(c->listen_client, &listen, NULL) != 0 || port == NULL ||
        end == NULL ||
        (strcmp(listen.host, "0.0.0.0") != 0 &&
         strcmp(listen.host, "::") != 0)) {
        memcpy(c->advertise_client, c->listen_client,
               sizeof c->advertise_client);
        return;
    }
    snprintf(c->advertise_client, sizeof c->advertise_client, "%.*s%s",
             (int)(end - c->advertise_peer), c->advertise_peer, port);
}

int config_complete(struct config *c, uint64_t id, const char *members,
                    struct err_info *info)
{
    const char *own = NULL;
    int rc;

    if (c->id == 0) {
        c->id = id;
    }
    if (c->n_initial == 0 && members[0] != '\0') {
        rc = address_parse_cluster(members, c->initial, REPLICA_SERVERS_MAX,
                                   &c->n_initial, info);
        if (rc != 0) {
            return rc;
        }
    }
    for (unsigned i = 0; i < c->n_initial; i++) {
        if (c->initial[i].id == c->id) {
            own = c->initial[i].address;
        }
    }
    if (c->advertise_peer[0] == '\0') {
        snprintf(c->advertise_peer, sizeof c->advertise_peer, "%s",
                 own != NULL ? own : c->listen_peer);
    }
    if (c->advertise_client[0] == '\0') {
        advertise_listen_client(c);
    }
    if (c->n_initial == 0) {
        c->n_initial = 1;
        c->initial[0].id = c->id;
        c->initial[0].role = RAFT_VOTER;
        memcpy(c->initial[0].address, c->advertise_peer,
               sizeof c->advertise_peer);
    }
    return 0;
}

int config_load(struct config *c, int argc, char *const *argv,
                config_env_cb env, struct err_info *info)
{
    bool given[N_OPTIONS] = {false};
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return CONFIG_HELP;
        }
        if (strcmp(argv[i], "--version") == 0) {
            return CONFIG_VERSION;
        }
    }
    memset(c, 0, sizeof *c);
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (options[i].value != NULL) {
            rc = set_option(c, &options[i], options[i].name, options[i].value,
                            info);
            if (rc != 0) {
                return rc;
            }
        }
    }
    rc = load_environment(c, env, given, info);
    if (rc == 0) {
        rc = load_flags(c, argc, argv, given, info);
    }
    if (rc == 0) {
        rc = check_given(given, info);
    }
    if (rc == 0) {
        rc = check_together(c, info);
    }
    return rc;
}

bool config_show(const struct config *c, unsigned i, const char **name,
                 char value[CONFIG_VALUE_MAX])
{
    uint64_t v;

    if (i >= N_OPTIONS) {
        return false;
    }
    *name = options[i].name;
    if (options[i].kind == OPTION_NUMBER || options[i].kind == OPTION_BYTES) {
        memcpy(&v, const_field_of(c, &options[i]), sizeof v);
        snprintf(value, CONFIG_VALUE_MAX, "%llu", (unsigned long long)v);
    } else {
        snprintf(value, CONFIG_VALUE_MAX, "%s",
                 (const char *)const_field_of(c, &options[i]));
    }
    return true;
}

/* ---- --help ---------------------------------------------------------------*/

struct text {
    char *out;
    size_t size;
    size_t used; /* may pass size: then the rest was cut */
};

static void text_add(struct text *t, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++, t->used++) {
        if (t->used + 1 < t->size) {
            t->out[t->used] = s[i];
        }
    }
}

static void text_puts(struct text *t, const char *s)
{
    text_add(t, s, strlen(s));
}

/* Words of s in lines of at most 78 columns behind an indent of 6. */
static void text_wrap(struct text *t, const char *s)
{
    size_t column = 0;

    while (*s != '\0') {
        size_t word = strcspn(s, " ");

        if (column == 0 || column + 1 + word > 78) {
            text_puts(t, column == 0 ? "      " : "\n      ");
            column = 6;
        } else {
            text_puts(t, " ");
            column++;
        }
        text_add(t, s, word);
        column += word;
        s += word;
        s += strspn(s, " ");
    }
    text_puts(t, "\n");
}

static void help_option(struct text *t, const struct option *o)
{
    char line[256];
    char low[32], high[32];

    snprintf(line, sizeof line, "  --%s <%s>", o->name, o->unit);
    text_puts(t, line);
    if (o->value == NULL) {
        text_puts(t, "  (required");
    } else {
        snprintf(line, sizeof line, "  (default %s",
                 o->value[0] != '\0' ? o->value : "empty");
        text_puts(t, line);
    }
    if (o->kind == OPTION_NUMBER || o->kind == OPTION_BYTES) {
        print_number(o, low, sizeof low, o->min);
        print_number(o, high, sizeof high, o->max);
        snprintf(line, sizeof line, "; %s to %s", low, high);
        text_puts(t, line);
    }
    text_puts(t, ")\n");
    text_wrap(t, o->help);
}

size_t config_help(char *out, size_t out_size)
{
    struct text t = {out, out_size, 0};

    text_puts(&t, "concordkv: one node of a Raft-replicated key/value "
                  "cluster\n\n"
                  "Usage: concordkv --data-dir <path> --id <number> "
                  "--initial-cluster <list> ...\n\n"
                  "Each option is also read from the environment: "
                  "--data-dir is CONCORDKV_DATA_DIR,\nand so on; a flag wins. "
                  "Bytes take the suffixes k, m and g (1024-fold).\n");
    for (unsigned i = 0; i < N_OPTIONS; i++) {
        if (options[i].section != NULL) {
            text_puts(&t, "\n");
            text_puts(&t, options[i].section);
            text_puts(&t, ":\n");
        }
        help_option(&t, &options[i]);
    }
    text_puts(&t, "\nOther:\n  --help\n      This text.\n"
                  "  --version\n      The version.\n");
    if (out_size > 0) {
        out[t.used < out_size ? t.used : out_size - 1] = '\0';
    }
    return t.used;
}
