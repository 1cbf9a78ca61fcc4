/* CONCORDKV: what operators ask of a cluster, beyond the commands of Redis.
 *
 * To add a subcommand: a row in the table below, with a function that answers
 * the request at once (request_done) or begins an operation
 * (service_operation.c). argv is that of the whole command. */
#include "node/service_private.h"

#include <stdio.h>

#include "node/resp.h"

static void help(struct request *r, uint32_t argc, const struct bytes *argv);

static const struct subcommand {
    const char *first, *second; /* words, upper case; second NULL: one word */
    uint32_t argc_min, argc_max;
    void (*run)(struct request *r, uint32_t argc, const struct bytes *argv);
    const char *syntax, *text; /* for HELP */
} subcommands[] = {
    {"LEADER", "TRANSFER", 3, 4, transfer_begin, "LEADER TRANSFER [<id>]",
     "Hand leadership over to this voter, or to the one that fits best. "
     "Returns the id of the new leader."},
    {"COMPACT", NULL, 2, 2, compact_begin, "COMPACT",
     "Compact this node's log now. Returns the index of its snapshot."},
    {"LOG", "LIST", 3, 3, log_list, "LOG LIST",
     "The files of this node's log: name, indexes, bytes, state."},
    {"HELP", NULL, 2, 2, help, "HELP", "Print this help."},
};

enum { N_SUBCOMMANDS = sizeof subcommands / sizeof subcommands[0] };

static void help(struct request *r, uint32_t argc, const struct bytes *argv)
{
    char line[256];
    (void)argc;
    (void)argv;
    resp_array(&r->reply, 1 + 2 * N_SUBCOMMANDS);
    resp_simple(&r->reply, "CONCORDKV <subcommand> [<arg> ...]. Subcommands "
                           "are:");
    for (unsigned i = 0; i < N_SUBCOMMANDS; i++) {
        resp_simple(&r->reply, subcommands[i].syntax);
        (void)snprintf(line, sizeof line, "    %s", subcommands[i].text);
        resp_simple(&r->reply, line);
    }
    request_done(r);
}

static const struct subcommand *find(uint32_t argc, const struct bytes *argv)
{
    for (unsigned i = 0; i < N_SUBCOMMANDS; i++) {
        const struct subcommand *c = &subcommands[i];
        if (command_is(argv[1], c->first) &&
            (c->second == NULL ||
             (argc > 2 && command_is(argv[2], c->second)))) {
            return c;
        }
    }
    return NULL;
}

void operator_begin(struct request *r)
{
    uint32_t argc = r->argc;
    const struct bytes *argv = r->argv;
    const struct subcommand *c = find(argc, argv);
    char shown[64];
    if (c == NULL) {
        request_error(
            r, "ERR unknown subcommand '%s'. Try CONCORDKV HELP.",
            err_escape(shown, sizeof shown, argv[1].data, argv[1].size));
    } else if (argc < c->argc_min || argc > c->argc_max) {
        request_error(r, "ERR wrong number of arguments; it is CONCORDKV %s",
                      c->syntax);
    } else {
        c->run(r, argc, argv);
    }
}
