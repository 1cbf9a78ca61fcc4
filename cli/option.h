/* Options of the command line: one table for parsing and for --help.
 *
 * An option may stand before or behind its verb. Which verb takes which is
 * the verb's bit mask; the table knows nothing of verbs. */
#ifndef CLI_OPTION_H
#define CLI_OPTION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/record.h"
#include "raftlog/err.h"

enum output_format { OUTPUT_TABLE, OUTPUT_JSON };

/* X(id, name, type, field, value, min, max, help)
 * FLAG: bool. TEXT: const char *. COUNT: uint64_t in min..max. TIME: int64_t
 * milliseconds. CHOICE: int, the position in value, words parted by '|'. */
#define OPTION_LIST(X)                                                         \
    X(HELP, "help", FLAG, help, NULL, 0, 0, "explain the verb and exit")       \
    X(ENDPOINTS, "endpoints", TEXT, endpoints, "HOST:PORT,...", 0, 0,          \
      "client addresses of the nodes; environment: CONCORDKV_ENDPOINTS; "      \
      "default 127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003")                  \
    X(OUTPUT, "output", CHOICE, output, "table|json", 0, 0,                    \
      "form of the result; default table")                                     \
    X(FOLLOW, "follow", FLAG, follow, NULL, 0, 0,                              \
      "go on as more is written, until Ctrl-C")                                \
    X(TIMEOUT, "timeout", TIME, timeout_ms, "TIME", 0, 0,                      \
      "how long to keep trying: 5, 2.5, 300ms, 1m; seconds unless said")       \
    X(DIRECT, "direct", FLAG, direct, NULL, 0, 0,                              \
      "use the endpoints as given, do not look for the leader")                \
    X(RAW, "raw", FLAG, raw, NULL, 0, 0,                                       \
      "exactly the value's bytes, without a newline")                          \
    X(VALUE_FILE, "value-file", TEXT, value_file, "FILE", 0, 0,                \
      "take the value from a file, or from - (stdin), byte for byte")          \
    X(MATCH, "match", TEXT, match, "PATTERN", 0, 0,                            \
      "only keys that match, as in SCAN: * ? [a-z]")                           \
    X(COUNT, "count", COUNT, count, "N", 1, 1000000,                           \
      "keys to ask for at a time, default 1000; ping: how many, default 100")  \
    X(INTERVAL, "interval", TIME, interval_ms, "TIME", 0, 0,                   \
      "from one round to the next; default of ping 20ms, of stats 1s")         \
    X(WATCH, "watch", FLAG, watch, NULL, 0, 0, "go on until Ctrl-C")           \
    X(LIMIT, "limit", COUNT, limit, "N", 1, UINT64_MAX,                        \
      "stop after N keys, entries or records")                                 \
    X(VALUES, "values", FLAG, values, NULL, 0, 0,                              \
      "the values too, in a form that `import` reads")                         \
    X(FORMAT, "format", CHOICE, format, "auto|tsv|jsonl|resp", 0, 0,           \
      "form of the records; auto: by the file's name, else import looks at "   \
      "the first byte and export writes jsonl")                                \
    X(WINDOW, "window", COUNT, window, "N", 1, 100000,                         \
      "records sent and not yet acknowledged; default 1024")                   \
    X(FROM_LINE, "from-line", COUNT, from_line, "N", 1, UINT64_MAX,            \
      "leave out the lines (of RESP: commands) before N, to resume")           \
    X(LINE_BYTES, "line-bytes-max", COUNT, line_bytes_max, "BYTES", 1024,      \
      1 << 30, "longest line (of RESP: command) accepted; default 64 MiB")     \
    X(QUIET, "quiet", FLAG, quiet, NULL, 0, 0, "no progress display")          \
    X(ENTRIES, "entries", FLAG, entries, NULL, 0, 0,                           \
      "list each entry of a log, each record of a snapshot")                   \
    X(FROM_INDEX, "from-index", COUNT, from_index, "N", 1, UINT64_MAX,         \
      "list entries from this index on")                                       \
    X(LINES, "lines", COUNT, lines, "N", 1, 1000000,                           \
      "how many lines of the end to show; default 20")                         \
    X(HASH, "hash", FLAG, hash, NULL, 0, 0,                                    \
      "a column with the state hash (json always has it)")                     \
    X(ADDRESS, "address", FLAG, address, NULL, 0, 0,                           \
      "only the leader's client address")                                      \
    X(NODES, "nodes", COUNT, nodes, "N", 1, 64, "number of nodes")             \
    X(SAME_HASH, "same-hash", FLAG, same_hash, NULL, 0, 0,                     \
      "also wait until all nodes show the same state hash; nodes that "        \
      "differ at the same entry are an error at once")                         \
    X(DIR, "dir", TEXT, dir, "DIRECTORY", 0, 0,                                \
      "where the cluster's files are; default concordkv/local under "          \
      "$XDG_STATE_HOME or ~/.local/state")                                     \
    X(SERVER, "server", TEXT, server, "FILE", 0, 0,                            \
      "the concordkv program; default: beside concordctl")                     \
    X(PORT, "port", COUNT, port, "N", 1, 65535,                                \
      "client port of node 1, counting up; default 7001")                      \
    X(PEER_PORT, "peer-port", COUNT, peer_port, "N", 1, 65535,                 \
      "peer port of node 1, counting up; default 7101")                        \
    X(NODE, "node", TEXT, node, "N|leader", 0, 0, "which node")                \
    X(NO_WAIT, "no-wait", FLAG, no_wait, NULL, 0, 0,                           \
      "do not wait until the cluster is healthy")

enum option_id {
#define OPTION_ENUM(id, name, type, field, value, min, max, help) OPTION_##id,
    OPTION_LIST(OPTION_ENUM)
#undef OPTION_ENUM
        OPTION_N
};

#define OPTION_BIT(id) (UINT64_C(1) << OPTION_##id)

#define OPTION_TYPE_FLAG bool
#define OPTION_TYPE_TEXT const char *
#define OPTION_TYPE_COUNT uint64_t
#define OPTION_TYPE_TIME int64_t
#define OPTION_TYPE_CHOICE int

struct options {
    uint64_t seen; /* bit of each option that was given */
#define OPTION_FIELD(id, name, type, field, value, min, max, help)             \
    OPTION_TYPE_##type field;
    OPTION_LIST(OPTION_FIELD)
#undef OPTION_FIELD
};

/* Take the option at args[at] ("--name", "--name=value", "--name value").
 * Returns how many of the n_args words it used; values are borrowed.
 * Errors: ERR_INVALID with words, and a guess where there is one. */
int option_take(struct options *o, char **args, int n_args, int at,
                struct err_info *info);

const char *option_name(enum option_id id);
/* Its one-letter form, '\0' if it has none. */
char option_letter(enum option_id id);
/* What its value is called ("N", or the words "a|b" of a choice); NULL: a
 * flag. */
const char *option_value(enum option_id id);
bool option_is_choice(enum option_id id);
const char *option_help(enum option_id id);
/* Lines of help for the options in the mask. */
void option_print_help(FILE *out, uint64_t mask);

#endif
