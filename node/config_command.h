/* CONFIG GET: the options of the node by pattern, and the few parameters under
 * Redis' own names that its tools ask for. */
#ifndef NODE_CONFIG_COMMAND_H
#define NODE_CONFIG_COMMAND_H

#include "node/buffer.h"
#include "node/config.h"
#include "raftlog/byte.h"

/* argv is that of a checked CONFIG command. */
void config_command(const struct config *c, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply);

#endif
