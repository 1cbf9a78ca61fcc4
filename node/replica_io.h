/* What floor 3 asks of the world: messages, blocking work, time and chance.
 *
 * The shell implements it with libuv, the simulator with its own network,
 * scheduler and clock. Nothing on floors 0-3 calls time, random, socket or
 * thread functions by another way. ctx is handed back in each call. All calls
 * are made on the loop thread. */
#ifndef NODE_REPLICA_IO_H
#define NODE_REPLICA_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "node/wire.h"
#include "raftlog/err.h"

enum trace_level { TRACE_ERROR, TRACE_WARN, TRACE_INFO, TRACE_DEBUG };

struct replica_io {
    void *ctx;
    /* Monotonic milliseconds; never goes back. */
    uint64_t (*now_ms)(void *ctx);
    /* Wall clock in ms since 1970; may jump. */
    uint64_t (*clock_ms)(void *ctx);
    uint64_t (*random)(void *ctx);
    /* Queue a frame to a peer: the head is copied, a reference to the body is
     * taken. Returns false when it was dropped (not connected, queue full):
     * whole messages are dropped, never parts, and order within a lane holds.
     */
    bool (*send)(void *ctx, uint64_t to, const struct wire_frame *frame);
    /* Bytes queued to a peer in a lane and not yet taken by the kernel. */
    uint64_t (*queued_bytes)(void *ctx, uint64_t to, enum wire_lane lane);
    /* Run work(arg) where blocking is allowed, then done(arg) on the loop; each
     * exactly once. Jobs may run in parallel. */
    void (*work)(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                 void *arg);
    /* The process must end: print the facts and stop. May return in the
     * simulator; the replica then does nothing any more. */
    void (*fatal)(void *ctx, const struct err_info *info);
    /* One line an event: "election_won term=4 index=17". */
    void (*trace)(void *ctx, enum trace_level level, const char *line);
    /* Lines below this level are not even formatted. */
    enum trace_level trace_max;
    /* Monotonic microseconds, for statistics only. NULL: now_ms times 1000. */
    uint64_t (*now_us)(void *ctx);
};

#endif
