/* Faults at random, and crashes aimed at moments: see sim_fault.c, sim_aim.c.
 * Part of sim.h. */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/sim/sim_cover.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_random.h"

struct sim;
struct sim_node;
struct wire_frame;

enum sim_aim_kind {
    SIM_AIM_NONE,
    SIM_AIM_DISK,
    SIM_AIM_SEND,
    SIM_AIM_TRACE,
    SIM_AIM_TRUNCATION /* then DISK: the log's next writes */
};

/* A crash waiting for its moment. */
struct sim_aim {
    enum sim_aim_kind kind;
    unsigned operations; /* DISK: mask of enum sim_disk_operation */
    bool after;          /* DISK: behind the operation, else before it */
    const char *text;    /* DISK: part of the path; TRACE: start of the line */
    unsigned messages;   /* SEND: mask of 1 << enum wire_type */
    bool granted_only;   /* SEND: votes that were given */
    unsigned countdown;  /* let so many pass */
    bool power_cut;
    enum sim_cover_point cover;
};

struct sim_faults {
    struct sim_random random;
    bool active;
    unsigned weights; /* mask of the kinds this run uses */
    uint64_t mean_gap_us;
    uint64_t n_faults;
    uint64_t n_partitions;
};

void sim_faults_start(struct sim *sim);
/* No more faults; heal, resume, restart, make room. */
void sim_faults_stop(struct sim *sim);
/* A drain has ended: the process stops soon. */
void sim_node_drained(struct sim_node *n);
/* Arm the aim of this name ("vote", "manifest", ...); false: unknown. */
bool sim_aim_set(struct sim_node *n, const char *name, bool power_cut);
const char *sim_aim_draw(struct sim_random *random); /* any name */
/* Moments too rare to wait for with an aim drawn beforehand: when one begins,
 * an aim is sometimes set for what follows. */
void sim_aim_provoke(struct sim_node *n, unsigned permille, const char *name,
                     unsigned countdown_max);
/* From the hooks: whether the moment has come. */
void sim_aim_disk(struct sim_node *n, enum sim_disk_operation operation,
                  const char *path, bool after);
void sim_aim_sent(struct sim_node *n, const struct wire_frame *frame);
void sim_aim_trace(struct sim_node *n, const char *line);
void sim_aim_truncated(struct sim_node *n);

#endif
