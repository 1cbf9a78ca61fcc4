/* The simulated network between nodes: ordered connections that break.
 *
 * Each pair of nodes has a link; a link that is up carries, in each direction
 * and lane, one ordered stream, as the real transport does. Messages take time
 * (bandwidth, then latency) and are delivered whole. When a link breaks, each
 * direction loses a tail of what was under way, delivers the rest, and then
 * the receiving side is told that the peer is gone; later the link connects
 * again, each side being told at a moment of its own.
 *
 * Faults: cuts in one or both directions (data waits, as TCP retransmits,
 * until the cut heals or the connection gives up after silence_us), breaks,
 * process death (what the dead one sent is still delivered, then the end is
 * seen at once) and power loss (silence). The hostile mode drops, doubles and
 * reorders single messages of the main lane: more than TCP would do, less
 * than Raft must bear. Forwarded writes are dropped and overtaken, but never
 * doubled: "at most once" is what the ordered connection promises them. */
#ifndef SIM_NET_H
#define SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/wire.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_random.h"

enum { SIM_NODES_MAX = 9 };

struct sim_net_hooks {
    void *ctx;
    /* A message for a node that is up. The callee takes its own reference. */
    void (*receive)(void *ctx, unsigned to, unsigned from, void *block,
                    size_t size);
    /* The link of a node that is up to a peer came up or is gone. */
    void (*peer)(void *ctx, unsigned node, unsigned peer, bool connected);
};

struct sim_net_options {
    uint64_t latency_us_min, latency_us_max;
    uint64_t bytes_per_second; /* of a stream */
    uint64_t queue_bytes_max;  /* of a stream; beyond it sends are refused */
    uint64_t replay_us_max;    /* a doubled message comes again within */
    uint64_t silence_us;       /* a cut connection gives up after */
    uint64_t dial_us_max;      /* time to connect again */
    unsigned drop_permille, double_permille, reorder_permille; /* hostile */
};

struct sim_net_stats {
    uint64_t n_dropped, n_doubled, n_reordered; /* hostile mode */
};

struct sim_net_message;

/* A copy of a message that comes again later (hostile mode). */
struct sim_net_replay {
    struct sim_net_replay *next;
    uint64_t number;
    unsigned from, to;
    uint64_t epoch; /* only within the same connection */
    void *block;
    size_t size;
};

struct sim_net_stream {
    struct sim_net_message *first, *last;
    uint64_t busy_until_us;  /* sending what is queued takes till then */
    uint64_t delivers_at_us; /* of the last message: order is kept */
    uint64_t epoch;          /* stale events are recognised by it */
};

struct sim_net_link {
    unsigned node[2]; /* node[0] < node[1] */
    bool connected;   /* streams exist; sides may not know yet */
    bool told[2];     /* that side was told: up */
    uint64_t epoch;
    /* [direction: the sending side][lane] */
    struct sim_net_stream stream[2][WIRE_N_LANES];
};

struct sim_net {
    unsigned n_nodes;
    struct sim_random random;
    struct sim_clock *clock;
    struct sim_net_hooks hooks;
    struct sim_net_options options;
    struct sim_net_stats stats;
    struct sim_net_replay *replays;
    uint64_t n_replays;
    bool up[SIM_NODES_MAX + 1];
    bool paused[SIM_NODES_MAX + 1];
    bool cut[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1]; /* [from][to] */
    struct sim_net_link link[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1];
};

/* Nodes 1 .. n_nodes, all down. */
void sim_net_init(struct sim_net *net, unsigned n_nodes,
                  const struct sim_random *random, struct sim_clock *clock,
                  const struct sim_net_hooks *hooks);
void sim_net_close(struct sim_net *net);

/* replica_io.send and queued_bytes of node `from`. */
bool sim_net_send(struct sim_net *net, unsigned from, unsigned to,
                  const struct wire_frame *frame);
uint64_t sim_net_queued(const struct sim_net *net, unsigned from, unsigned to,
                        enum wire_lane lane);

void sim_net_start(struct sim_net *net, unsigned node);
/* The node's process has ended. silent: power loss, nobody is told. */
void sim_net_stop(struct sim_net *net, unsigned node, bool silent);
/* A paused node receives nothing until it goes on. */
void sim_net_pause(struct sim_net *net, unsigned node, bool paused);

void sim_net_cut(struct sim_net *net, unsigned from, unsigned to, bool cut);
void sim_net_heal(struct sim_net *net);
/* Break the link of two nodes; it connects again by itself. */
void sim_net_break(struct sim_net *net, unsigned a, unsigned b);
/* Whether `node` was told that its link to `peer` is up. */
bool sim_net_told(const struct sim_net *net, unsigned node, unsigned peer);

#endif
