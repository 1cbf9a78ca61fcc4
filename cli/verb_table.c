/* The table of verbs: names, usage, help, options, limits. Everything that
 * lists verbs (help, prompt, completion, manual page) reads it here. */
#include "cli/verb_table.h"

#include <limits.h>
#include <string.h>

#define CLIENT_OPTIONS (OPTION_BIT(ENDPOINTS) | OPTION_BIT(DIRECT))

const struct verb verb_table[] = {
    {.name = "get",
     .usage = "KEY",
     .summary = "print the value of a key",
     .details = "On a terminal bytes that it would interpret are shown as "
                "\\t \\n \\r \\\\ \\xNN;\ninto a pipe or file the value goes "
                "as it is.",
     .options = CLIENT_OPTIONS | OPTION_BIT(RAW),
     .min_args = 1,
     .max_args = 1,
     .timeout_ms = 10000,
     .run = verb_get},
    {.name = "mget",
     .usage = "KEY...",
     .summary = "print the values of several keys",
     .details = "A line for each key that there is, key TAB value, escaped as "
                "`import` reads it.\nExit code 1 if one is missing.",
     .options = CLIENT_OPTIONS,
     .min_args = 1,
     .max_args = INT_MAX,
     .timeout_ms = 10000,
     .run = verb_mget},
    {.name = "put",
     .usage = "KEY VALUE | KEY --value-file FILE",
     .summary = "set a key to a value",
     .options = CLIENT_OPTIONS | OPTION_BIT(VALUE_FILE),
     .min_args = 1,
     .max_args = 2,
     .timeout_ms = 10000,
     .run = verb_put},
    {.name = "del",
     .usage = "KEY...",
     .summary = "delete keys, print how many there were",
     .options = CLIENT_OPTIONS,
     .min_args = 1,
     .max_args = INT_MAX,
     .timeout_ms = 10000,
     .run = verb_del},
    {.name = "incr",
     .usage = "KEY [BY]",
     .summary = "add to the number in a key, print the sum",
     .options = CLIENT_OPTIONS,
     .min_args = 1,
     .max_args = 2,
     .timeout_ms = 10000,
     .run = verb_incr},
    {.name = "scan",
     .usage = "",
     .summary = "list keys, with --values also what they hold",
     .details = "A line for each key, escaped as `import` reads it: TSV, or "
                "with --output json\none JSON object. As with SCAN, a key "
                "that is there all the time is listed,\none that comes or "
                "goes meanwhile may be.",
     .options = CLIENT_OPTIONS | OPTION_BIT(MATCH) | OPTION_BIT(COUNT) |
                OPTION_BIT(LIMIT) | OPTION_BIT(VALUES),
     .max_args = 0,
     .timeout_ms = 10000,
     .run = verb_scan},
    {.name = "exec",
     .usage = "COMMAND [ARGUMENT...]",
     .summary = "send any command and print the reply",
     .details = "Options go before COMMAND; behind it every word is sent as "
                "it is.",
     .options = CLIENT_OPTIONS,
     .min_args = 1,
     .max_args = INT_MAX,
     .timeout_ms = 10000,
     .verbatim = true,
     .run = verb_exec},
    {.name = "prompt",
     .usage = "",
     .summary = "type commands one by one; also what runs without a verb",
     .details = "A line is a Redis command or a verb of concordctl. On a "
                "terminal there are history\nand completion; from a pipe, a "
                "line is a command, and the exit code is that of\nthe last "
                "one that failed.",
     .options = CLIENT_OPTIONS,
     .timeout_ms = 10000,
     .run = verb_prompt},
    {.name = "import",
     .usage = "[FILE]",
     .summary = "set many keys from a file or stdin",
     .details =
         "TSV: key TAB value, each with the escapes \\t \\n \\r \\\\ \\xNN.\n"
         "JSON lines: {\"key\":\"..\",\"value\":\"..\"}; binary data in "
         "key_base64, value_base64;\nexpire_at_ms is when a key ends. RESP: "
         "commands as `redis-cli --pipe` takes\nthem, those on one key that "
         "may be sent twice.\n\n"
         "A failover is waited out for as long as --timeout without any "
         "acknowledgement;\nwhat was not acknowledged is sent again. Where a "
         "key comes twice, the later\nline wins. Ctrl-C stops with a summary.",
     .options = CLIENT_OPTIONS | OPTION_BIT(FORMAT) | OPTION_BIT(WINDOW) |
                OPTION_BIT(FROM_LINE) | OPTION_BIT(LINE_BYTES) |
                OPTION_BIT(QUIET),
     .max_args = 1,
     .timeout_ms = 60000,
     .run = verb_import},
    {.name = "export",
     .usage = "[FILE]",
     .summary = "write all keys to a file or stdout, as `import` reads them",
     .details =
         "A FILE is there whole or not at all. Keys come in the order of their "
         "bytes. A key\nthat is there during the whole export is in it exactly "
         "once, also when the leader\ndies meanwhile; one that comes or goes "
         "meanwhile may be. It is no picture of\none moment. When a key ends "
         "is kept by jsonl and resp, not by tsv.",
     .options = CLIENT_OPTIONS | OPTION_BIT(FORMAT) | OPTION_BIT(MATCH) |
                OPTION_BIT(COUNT) | OPTION_BIT(QUIET),
     .max_args = 1,
     .timeout_ms = 60000,
     .run = verb_export},
    {.name = "status",
     .usage = "",
     .summary = "show every node of the cluster",
     .details = "LAG is how many committed entries a node has still to apply. "
                "Exit code 5 if no\nnode leads.",
     .options = OPTION_BIT(ENDPOINTS) | OPTION_BIT(HASH),
     .timeout_ms = 1000,
     .run = verb_status},
    {.name = "leader",
     .usage = "",
     .summary = "show which node leads, waiting for one",
     .options = OPTION_BIT(ENDPOINTS) | OPTION_BIT(ADDRESS),
     .timeout_ms = 10000,
     .run = verb_leader},
    {.name = "leader transfer",
     .usage = "[ID]",
     .summary = "let another node lead, and wait until it does",
     .details = "ID is a node's id as `status` shows it; without one the "
                "cluster chooses.",
     .options = OPTION_BIT(ENDPOINTS),
     .max_args = 1,
     .timeout_ms = 10000,
     .run = verb_leader_transfer},
    {.name = "wait-healthy",
     .usage = "",
     .summary = "wait until all nodes follow one leader and are caught up",
     .details = "Healthy: one leader that all nodes agree on, --nodes nodes "
                "reachable (default:\nas many as there are endpoints), and "
                "each has applied what was committed when\nthey were asked "
                "before.",
     .options =
         OPTION_BIT(ENDPOINTS) | OPTION_BIT(NODES) | OPTION_BIT(SAME_HASH),
     .timeout_ms = 30000,
     .run = verb_wait_healthy},
    {.name = "ping",
     .usage = "",
     .summary = "measure how fast each node answers",
     .details = "P50, P99 and MAX of the times from sending PING to its reply, "
                "and how many fell\nbelow each bound. Exit code 5 if a node "
                "never answers; --timeout is for one PING.",
     .options =
         OPTION_BIT(ENDPOINTS) | OPTION_BIT(COUNT) | OPTION_BIT(INTERVAL),
     .timeout_ms = 1000,
     .run = verb_ping},
    {.name = "config get",
     .usage = "[PATTERN]",
     .summary = "show options of every node",
     .details = "PATTERN as in SCAN: * ? [a-z]. Nodes that differ get a row "
                "each.",
     .options = OPTION_BIT(ENDPOINTS),
     .max_args = 1,
     .timeout_ms = 5000,
     .run = verb_config_get},
    {.name = "config set",
     .usage = "NAME VALUE",
     .summary = "change an option of every node while it runs",
     .details = "All endpoints are told, one after the other; name one alone "
                "with --endpoints.\nA restarted node has the options of its "
                "command line again.",
     .options = OPTION_BIT(ENDPOINTS),
     .min_args = 2,
     .max_args = 2,
     .timeout_ms = 5000,
     .run = verb_config_set},
    {.name = "stats",
     .usage = "",
     .summary = "show throughput and latency of every node, live with --watch",
     .details = "What happened in one --interval (default 1s): rates, mean "
                "times in microseconds,\nentries in a durable write. P99 is "
                "since the node started or CONFIG RESETSTAT.",
     .options =
         OPTION_BIT(ENDPOINTS) | OPTION_BIT(WATCH) | OPTION_BIT(INTERVAL),
     .timeout_ms = 2000,
     .run = verb_stats},
    {.name = "compact",
     .usage = "",
     .summary = "compact the log of every node now",
     .details = "One node after the other, so that not all write a snapshot "
                "at once; name one alone\nwith --endpoints. Nodes compact by "
                "themselves: this is for before a backup.",
     .options = OPTION_BIT(ENDPOINTS),
     .timeout_ms = 600000,
     .run = verb_compact},
    {.name = "log list",
     .usage = "",
     .summary = "list the files of every node's log",
     .options = OPTION_BIT(ENDPOINTS),
     .timeout_ms = 5000,
     .run = verb_log_list},
    {.name = "inspect log",
     .usage = "FILE|DIR",
     .summary = "check the segment files of a log offline, list its entries",
     .details = "DIR is a node's data directory or its log/. Nothing is "
                "written. A damaged place\nis named with file, offset and what "
                "is wrong (exit code 3), and the rest is read.\nWhile a node "
                "runs there its newest frame may look torn. Entries of the "
                "embedding API are\nshown as its operations, those that are "
                "neither by kind, size and first bytes.",
     .options =
         OPTION_BIT(ENTRIES) | OPTION_BIT(FROM_INDEX) | OPTION_BIT(LIMIT),
     .min_args = 1,
     .max_args = 1,
     .run = verb_inspect_log},
    {.name = "inspect snapshot",
     .usage = "FILE|DIR",
     .summary = "check a snapshot file or the whole chain offline",
     .details = "DIR is a node's data directory or its snapshots/: every file "
                "that MANIFEST names\nis read and checked against it. "
                "Nothing is written. Exit code 3 if something is\ndamaged or "
                "missing.",
     .options = OPTION_BIT(ENTRIES) | OPTION_BIT(LIMIT),
     .min_args = 1,
     .max_args = 1,
     .run = verb_inspect_snapshot},
    {.name = "inspect hardstate",
     .usage = "FILE|DIR",
     .summary = "show term and vote of a node offline, both slots",
     .details = "The valid slot with the higher sequence counts. Nothing is "
                "written. Exit code 3 if\na slot is damaged or missing.",
     .min_args = 1,
     .max_args = 1,
     .run = verb_inspect_hardstate},
    {.name = "local up",
     .usage = "[-- NODE OPTIONS]",
     .summary = "run a cluster on this machine, or what is missing of it",
     .details = "The first time makes a cluster of --nodes (default 3); later "
                "calls need only the\nsame --dir and start what does not run. "
                "Words behind -- are given to every node,\nfor example: -- "
                "--election-timeout-ms 500.",
     .options = OPTION_BIT(DIR) | OPTION_BIT(SERVER) | OPTION_BIT(NODES) |
                OPTION_BIT(PORT) | OPTION_BIT(PEER_PORT) | OPTION_BIT(NO_WAIT),
     .timeout_ms = 30000,
     .extra = true,
     .run = verb_local_up},
    {.name = "local down",
     .usage = "",
     .summary = "stop all nodes, keep their data",
     .details = "SIGTERM, and SIGKILL for what still runs after --timeout.",
     .options = OPTION_BIT(DIR),
     .timeout_ms = 15000,
     .run = verb_local_down},
    {.name = "local kill",
     .usage = "--node N|leader",
     .summary = "kill -9 one node",
     .options = OPTION_BIT(DIR) | OPTION_BIT(NODE),
     .timeout_ms = 10000,
     .run = verb_local_kill},
    {.name = "local pause",
     .usage = "--node N|leader",
     .summary = "stop one node without ending it, as a machine that hangs",
     .details = "SIGSTOP. `local resume` lets it go on, `local down` ends it.",
     .options = OPTION_BIT(DIR) | OPTION_BIT(NODE),
     .timeout_ms = 10000,
     .run = verb_local_pause},
    {.name = "local resume",
     .usage = "[--node N]",
     .summary = "let a paused node go on; all of them if none is named",
     .options = OPTION_BIT(DIR) | OPTION_BIT(NODE),
     .timeout_ms = 10000,
     .run = verb_local_resume},
    {.name = "local restart",
     .usage = "[--node N|leader]",
     .summary = "stop a node (if it runs) and start it; all in turn if none "
                "is named",
     .options = OPTION_BIT(DIR) | OPTION_BIT(NODE) | OPTION_BIT(NO_WAIT),
     .timeout_ms = 30000,
     .run = verb_local_restart},
    {.name = "local status",
     .usage = "",
     .summary = "show the processes, ports and logs of the local cluster",
     .options = OPTION_BIT(DIR),
     .run = verb_local_status},
    {.name = "local logs",
     .usage = "[N]",
     .summary = "show the end of a node's log; of all nodes if none is named",
     .options = OPTION_BIT(DIR) | OPTION_BIT(FOLLOW) | OPTION_BIT(LINES),
     .max_args = 1,
     .run = verb_local_logs},
};

const size_t verb_table_size = sizeof(verb_table) / sizeof(verb_table[0]);

const struct verb *verb_table_find(const char *name)
{
    for (size_t i = 0; i < verb_table_size; i++) {
        if (strcmp(verb_table[i].name, name) == 0) {
            return &verb_table[i];
        }
    }
    return NULL;
}
