/* concordctl: the command line tool of a ConcordKV cluster.
 *
 * Here: the table of verbs and the global set-up. The exit codes are in
 * exit_code.h, each group of verbs in its verbs_*.c. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/command_line.h"

#define DEFAULT_ENDPOINTS "127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003"

#define CLIENT_OPTIONS (OPTION_BIT(ENDPOINTS) | OPTION_BIT(DIRECT))

static const struct verb verbs[] = {
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
    {.name = "import",
     .usage = "[FILE]",
     .summary = "set many keys from a file or stdin",
     .details =
         "TSV: key TAB value, each with the escapes \\t \\n \\r \\\\ \\xNN.\n"
         "JSON lines: {\"key\":\"..\",\"value\":\"..\"}; binary data in "
         "key_base64, value_base64.\n\n"
         "A failover is waited out for as long as --timeout without any "
         "acknowledgement;\nwhat was not acknowledged is sent again. Where a "
         "key comes twice, the later\nline wins. Ctrl-C stops with a summary.",
     .options = CLIENT_OPTIONS | OPTION_BIT(FORMAT) | OPTION_BIT(WINDOW) |
                OPTION_BIT(FROM_LINE) | OPTION_BIT(LINE_BYTES) |
                OPTION_BIT(QUIET),
     .max_args = 1,
     .timeout_ms = 60000,
     .run = verb_import},
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
};

enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]) };

/* --endpoints, else the environment, else what `local up` uses. */
static int take_endpoints(struct invocation *in)
{
    struct err_info info;
    const char *text = in->options.endpoints;
    const char *source = "--endpoints: ";
    if (text == NULL) {
        text = getenv("CONCORDKV_ENDPOINTS");
        source = "CONCORDKV_ENDPOINTS: ";
    }
    if (text == NULL || text[0] == '\0') {
        text = DEFAULT_ENDPOINTS;
    }
    if (endpoint_list_parse(&in->endpoints, text, &info) != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s%s", source, info.message);
    }
    return EXIT_CODE_OK;
}

int main(int argc, char **argv)
{
    static struct invocation in;
    struct err_info info = {0, ""};
    int rc = command_line_parse(&in, verbs, N_VERBS, argc, argv, &info);
    if (rc == ERR_EXISTS) {
        if (in.verb != NULL) {
            command_line_print_verb_help(stdout, in.verb);
        } else {
            command_line_print_help(stdout, verbs, N_VERBS);
        }
        return verb_finish(EXIT_CODE_OK);
    }
    if (rc != 0) {
        return verb_fail(EXIT_CODE_USAGE, "%s", info.message);
    }
    if ((in.verb->options & OPTION_BIT(ENDPOINTS)) != 0) {
        rc = take_endpoints(&in);
        if (rc != EXIT_CODE_OK) {
            return rc;
        }
    }
    clock_catch_signals();
    return in.verb->run(&in);
}
