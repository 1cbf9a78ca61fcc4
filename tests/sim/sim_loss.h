/* What power cuts under the weaker sync policies may take: see sim_loss.c. Part
 * of sim.h. */
#ifndef SIM_LOSS_H
#define SIM_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/raftlog.h"

struct sim;
struct sim_node;

/* When the log of a node first called an index persisted, by its clock. */
struct sim_written_until {
    uint64_t index, ms;
};

/* Of a node: what it has written and not synced. */
struct sim_unsynced {
    /* The loosest of all policies since everything was synced. */
    struct raftlog_sync_policy policy;
    uint64_t frame_max;      /* entries of the largest frame since then */
    uint64_t frame_began_ms; /* the last one */
    struct sim_written_until *at;
    size_t first, n, capacity;
    bool syncing;
    uint64_t n_syncs, sync_began_ms, sync_ended_ms;
    bool was_paused; /* since then: no time runs out in a pause */
    /* What a power cut took, as long as the node is lossy. */
    uint64_t lost_first, lost_last;
};

/* Of the whole cluster. */
struct sim_loss {
    bool open;          /* the state that is left is not known yet */
    uint64_t last;      /* that is left */
    uint64_t at_us;     /* when the last loss was found */
    uint64_t n_entries; /* lost in all */
};

/* After each event of a node. */
void sim_loss_watch(struct sim_node *n);
void sim_loss_close(struct sim_node *n);
/* A process ends: is what is written and not synced within its policy? */
void sim_loss_check(struct sim_node *n, uint64_t durable, uint64_t persisted);
/* And a power cut has taken it. */
void sim_loss_cut(struct sim_node *n, uint64_t durable, uint64_t persisted);
/* A node was elected that lacks the committed entry at `index`. False: that may
 * not be, and the run has failed. */
bool sim_loss_found(struct sim_node *leader, uint64_t index);
/* A node has applied this index: the state that is left may be there now. */
void sim_loss_applied(struct sim_node *n, uint64_t index);
/* Whether the node may end itself with these words: it has no vote, and what
 * was lost it has still. */
bool sim_loss_explains(const struct sim_node *n, const char *words);
/* Whether the node had this entry and a power cut took it. */
bool sim_loss_took(const struct sim_node *n, uint64_t index);

#endif
