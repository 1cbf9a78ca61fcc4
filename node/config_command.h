/* CONFIG: the options of the node by pattern, changes of those that a running
 * node can take, and the few parameters under Redis' own names that its tools
 * ask for. */
#ifndef NODE_CONFIG_COMMAND_H
#define NODE_CONFIG_COMMAND_H

#include "node/buffer.h"
#include "node/config.h"
#include "raftlog/byte.h"

/* What CONFIG does to the process; either may be NULL. */
struct config_hooks {
    void *ctx;
    void (*changed)(void *ctx); /* the configuration: put it to use */
    void (*reset_stats)(void *ctx);
};

/* argv is that of a checked CONFIG command. Several pairs of one SET are set
 * all, or none when one of them is refused. */
void config_command(struct config *c, const struct config_hooks *hooks,
                    uint32_t argc, const struct bytes *argv,
                    struct buffer *reply);

#endif
