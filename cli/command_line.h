/* From argv to an invocation: finds the verb, checks options and number of
 * arguments, says what was probably meant. No I/O but messages. */
#ifndef CLI_COMMAND_LINE_H
#define CLI_COMMAND_LINE_H

#include "cli/verb.h"

/* Parse. in->args and in->extra point into argv, whose words are reordered.
 * Returns 0; ERR_INVALID with words in info; ERR_NOTFOUND if there is no verb;
 * or ERR_EXISTS if only help was asked for (in->verb is then the verb or
 * NULL). */
int command_line_parse(struct invocation *in, const struct verb *verbs,
                       size_t n_verbs, int argc, char **argv,
                       struct err_info *info);

/* Does the verb take these options and so many arguments? Done by
 * command_line_parse; for whoever sets in->verb afterwards. */
int command_line_check(const struct invocation *in, struct err_info *info);

/* The options that a verb takes, those of every verb included. */
uint64_t command_line_options(const struct verb *verb);

void command_line_print_help(FILE *out, const struct verb *verbs,
                             size_t n_verbs);
void command_line_print_verb_help(FILE *out, const struct verb *verb);

#endif
