/* What sim_node.c and sim_node_io.c share. */
#ifndef SIM_NODE_PRIVATE_H
#define SIM_NODE_PRIVATE_H

#include "tests/sim/sim.h"

enum sim_node_event {
    SIM_NODE_TIMER,
    SIM_NODE_POLL,
    SIM_NODE_WORK,
    SIM_NODE_DONE,
    SIM_NODE_FLUSH,
    SIM_NODE_CLIENT
};

/* An event of this life of the node; arg is its kind's. */
void sim_node_schedule(struct sim_node *n, uint64_t delay_us,
                       enum sim_node_event kind, uint64_t arg);
/* The process ends now, as dying says. */
void sim_node_take_down(struct sim_node *n);

void sim_node_make_io(struct sim_node *n, struct replica_io *io);
void sim_node_make_events(struct sim_node *n, struct replica_events *events);
void sim_node_make_hooks(struct sim_node *n, struct sim_disk_hooks *hooks);

#endif
