/* The running node: everything below it put together on one libuv loop.
 *
 * A loop turn: timers and I/O callbacks change state and queue what is to be
 * sent; before the loop sleeps again, one flush lets the replica submit what
 * gathered, hands messages to the peers' sockets and replies to the clients'
 * (daemon_flush). Threads: the loop, and libuv's pool for work that blocks.
 *
 * End: SIGTERM or SIGINT stops accepting and hands leadership over; then no
 * more requests are read, those in progress are answered up to
 * --drain-timeout-ms, everything is closed and the process ends with 0. A
 * second signal skips the waiting. */
#ifndef NODE_DAEMON_H
#define NODE_DAEMON_H

#include "node/config.h"
#include "raftlog/err.h"

enum {
    DAEMON_EXIT_OK = 0,
    DAEMON_EXIT_START = 1, /* could not start; the reason was told */
    DAEMON_EXIT_USAGE = 2, /* bad options */
    DAEMON_EXIT_FATAL = 3  /* a write of the log failed, or data is damaged */
};

/* Start, run until a signal, stop. The config is completed from the data
 * directory. Returns the exit status; info says why a start failed. */
int daemon_run(struct config *config, struct err_info *info);

#endif
