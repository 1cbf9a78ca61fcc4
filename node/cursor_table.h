/* SCAN cursors of a node: a number for the client, the key to go on from for
 * the node.
 *
 * The number is made from the key itself. A cursor that has gone from the table
 * is unknown, never mistaken for another, also after a restart or on another
 * node; and a scan that is repeated takes no more room. Numbers stay below
 * 2^53, which every client language can hold. */
#ifndef NODE_CURSOR_TABLE_H
#define NODE_CURSOR_TABLE_H

#include <stdint.h>

#include "node/command.h"
#include "raftlog/byte.h"

/* The number, not 0, of a key; 0: out of memory. The cursor used longest ago
 * goes when the table is full. */
uint64_t cursor_table_put(struct cursor_table *t, struct bytes key);
/* The key of a number, borrowed until the next put. Errors: ERR_NOTFOUND. */
int cursor_table_get(struct cursor_table *t, uint64_t number,
                     struct bytes *key);

#endif
