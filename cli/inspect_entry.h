/* What an entry of a log says, in words and as JSON: a proposal of a node, or
 * an operation of the embedding API. Whose it is tells its kind. */
#ifndef CLI_INSPECT_ENTRY_H
#define CLI_INSPECT_ENTRY_H

#include <stdio.h>

#include "cli/json_write.h"
#include "raftlog/raftlog.h"

/* Without a newline; long values are cut. */
void inspect_entry_print(FILE *out, const struct raftlog_entry *e);
/* Members of the open object. */
void inspect_entry_json(struct json_writer *w, const struct raftlog_entry *e);

#endif
