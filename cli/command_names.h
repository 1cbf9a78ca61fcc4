/* The Redis commands that a node knows, for completion and for telling which
 * may be sent again. The table is the node's own (node/command.h). */
#ifndef CLI_COMMAND_NAMES_H
#define CLI_COMMAND_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* The i-th name in upper case, NULL behind the last. */
const char *command_names_get(size_t i);

/* Does it change nothing, so that sending it again does no harm? name may be
 * in any case; what only a plain Redis knows counts too. */
bool command_names_is_read(const char *name);

/* "Get the value of a key" and the number of arguments as Redis counts them
 * (with the name; negative: at least so many). False if it is not known. */
bool command_names_describe(const char *name, const char **summary, int *arity);

#endif
