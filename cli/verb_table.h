/* All verbs of concordctl, for whoever runs or lists them. A new verb is a row
 * in verb_table.c, its run function in verb.h, and a case in the tests; help,
 * completion and manual page follow by themselves. */
#ifndef CLI_VERB_TABLE_H
#define CLI_VERB_TABLE_H

#include <stddef.h>

#include "cli/verb.h"

extern const struct verb verb_table[];
extern const size_t verb_table_size;

/* NULL if there is none. */
const struct verb *verb_table_find(const char *name);

#endif
