/* concordctl: the command line tool of a ConcordKV cluster.
 *
 * Here: the global set-up. The table of verbs is verb_table.c, the exit codes
 * are in exit_code.h, each group of verbs in its verbs_*.c. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/command_line.h"
#include "cli/verb_table.h"

#define DEFAULT_ENDPOINTS "127.0.0.1:7001,127.0.0.1:7002,127.0.0.1:7003"

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
        in->endpoints_guessed = true;
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
    int rc =
        command_line_parse(&in, verb_table, verb_table_size, argc, argv, &info);
    if (rc == ERR_EXISTS) {
        if (in.verb != NULL) {
            command_line_print_verb_help(stdout, in.verb);
        } else {
            command_line_print_help(stdout, verb_table, verb_table_size);
        }
        return verb_finish(EXIT_CODE_OK);
    }
    if (rc == ERR_NOTFOUND && isatty(STDIN_FILENO)) {
        in.verb = verb_table_find("prompt");
        rc = command_line_check(&in, &info);
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
