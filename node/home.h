/* The data directory of this process: made, locked, and whose it is.
 *
 * The first start writes who the node is into data_dir/identity
 * (raftlog/identity.h); a later one may leave --id and --initial-cluster out
 * and finds them there. */
#ifndef NODE_HOME_H
#define NODE_HOME_H

#include "node/config.h"
#include "node/handshake.h"
#include "raftlog/err.h"
#include "raftlog/file.h"

/* Open config->data_dir, complete the config from it, and fill self. *lock is
 * given: file_close gives the directory free. Blocking.
 * Errors: those of identity_lock and identity_open, ERR_INVALID, ERR_NOMEM. */
int home_open(struct config *config, struct handshake_node *self,
              struct file **lock, struct err_info *info);

#endif
