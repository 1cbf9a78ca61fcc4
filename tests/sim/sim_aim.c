/* Aims: crashes at the moments a protocol depends on.
 *
 * An aim waits in a node until the named thing happens there (a vote leaves, a
 * segment is switched, the manifest is renamed) and crashes the node right
 * before or behind it. Random crashes hardly ever fall there: in a trial a
 * forgotten vote escaped 42,837 of them. */
#include "tests/sim/sim.h"

#include <string.h>

struct aim_name {
    const char *name;
    struct sim_aim aim;
};

enum {
    ANY_WRITE = SIM_DISK_WRITE | SIM_DISK_SYNC | SIM_DISK_SUBMIT |
                SIM_DISK_COMPLETE | SIM_DISK_TRUNCATE,
    ANY_NAME = SIM_DISK_RENAME | SIM_DISK_SYNC_DIR | SIM_DISK_CREATE
};

#define AIM_DISK(name_, operations_, text_, cover_)                            \
    {                                                                          \
        name_,                                                                 \
        {                                                                      \
            .kind = SIM_AIM_DISK, .operations = operations_, .text = text_,    \
            .cover = SIM_COVER_##cover_                                        \
        }                                                                      \
    }
#define AIM_SEND(name_, messages_, granted_, cover_)                           \
    {                                                                          \
        name_,                                                                 \
        {                                                                      \
            .kind = SIM_AIM_SEND, .messages = messages_,                       \
            .granted_only = granted_, .cover = SIM_COVER_##cover_              \
        }                                                                      \
    }

static const struct aim_name aims[] = {
    AIM_SEND("vote", 1u << WIRE_REQUEST_VOTE_RESULT, true, crash_after_vote),
    AIM_SEND("candidacy", 1u << WIRE_REQUEST_VOTE, false, crash_after_vote),
    AIM_SEND("ack", 1u << WIRE_APPEND_ENTRIES_RESULT, false, crash_after_ack),
    AIM_SEND("append", 1u << WIRE_APPEND_ENTRIES, false, crash_after_ack),
    AIM_SEND("forward", 1u << WIRE_FORWARD | 1u << WIRE_FORWARD_RESULT, false,
             crash_after_forward),
    AIM_SEND("timeout-now", 1u << WIRE_TIMEOUT_NOW, false,
             crash_after_timeout_now),
    AIM_SEND("offer", 1u << WIRE_INSTALL_SNAPSHOT, false, crash_in_install),
    AIM_SEND("fetch", 1u << WIRE_SNAPSHOT_FETCH | 1u << WIRE_SNAPSHOT_CHUNK,
             false, crash_in_install),
    AIM_DISK("hardstate", ANY_WRITE, "hardstate", crash_at_hardstate),
    AIM_DISK("log-write", SIM_DISK_SUBMIT, "/log/", crash_log_submitted),
    AIM_DISK("log-durable", SIM_DISK_COMPLETE, "/log/", crash_log_durable),
    AIM_DISK("segment", ANY_NAME, "/log", crash_at_segment_switch),
    AIM_DISK("fill", SIM_DISK_FILL, "/log", crash_at_segment_fill),
    AIM_DISK("manifest", SIM_DISK_ANY, "MANIFEST", crash_at_manifest),
    AIM_DISK("snapshot", SIM_DISK_ANY, "/snapshots", crash_at_snapshot_file),
    AIM_DISK("install", SIM_DISK_ANY, ".part", crash_in_install),
    AIM_DISK("unlink", SIM_DISK_UNLINK, "/", crash_at_unlink),
    {"truncation",
     {.kind = SIM_AIM_TRUNCATION,
      .operations = SIM_DISK_SUBMIT | SIM_DISK_COMPLETE,
      .text = "/log/",
      .cover = SIM_COVER_crash_after_truncation}},
    {"leader",
     {.kind = SIM_AIM_TRACE,
      .text = "leader ",
      .cover = SIM_COVER_crash_new_leader}},
    {"reset",
     {.kind = SIM_AIM_TRACE,
      .text = "log_reset",
      .cover = SIM_COVER_crash_in_install}},
    {"installed",
     {.kind = SIM_AIM_TRACE,
      .text = "snapshot_installed",
      .cover = SIM_COVER_crash_in_install}},
};

enum { N_AIMS = sizeof aims / sizeof aims[0] };

const char *sim_aim_draw(struct sim_random *random)
{
    return aims[sim_random_below(random, N_AIMS)].name;
}

bool sim_aim_set(struct sim_node *n, const char *name, bool power_cut)
{
    for (unsigned i = 0; i < N_AIMS; i++) {
        if (strcmp(aims[i].name, name) == 0) {
            n->aim = aims[i].aim;
            n->aim.power_cut = power_cut;
            return true;
        }
    }
    return false;
}

static void strike(struct sim_node *n)
{
    if (n->aim.countdown > 0) {
        n->aim.countdown--;
        return;
    }
    n->aim.kind = SIM_AIM_NONE;
    sim_cover_counts[n->aim.cover]++;
    n->sim->faults.n_faults++;
    sim_node_crash(n, n->aim.power_cut, sim_cover_name(n->aim.cover));
}

void sim_aim_disk(struct sim_node *n, enum sim_disk_operation operation,
                  const char *path, bool after)
{
    const struct sim_aim *a = &n->aim;

    if (a->kind == SIM_AIM_DISK && (a->operations & operation) &&
        a->after == after && strstr(path, a->text) != NULL) {
        strike(n);
    }
}

void sim_aim_sent(struct sim_node *n, const struct wire_frame *frame)
{
    const struct sim_aim *a = &n->aim;
    unsigned type = frame->head[0];

    if (a->kind != SIM_AIM_SEND || !(a->messages >> type & 1)) {
        return;
    }
    /* Behind type and term: granted, pre-vote. */
    if (a->granted_only && (frame->head[9] == 0 || frame->head[10] != 0)) {
        return;
    }
    strike(n);
}

/* Moments too rare to wait for with an aim drawn beforehand: when one begins,
 * an aim is sometimes set for what follows. */
void sim_aim_provoke(struct sim_node *n, unsigned permille, const char *name,
                     unsigned countdown_max)
{
    struct sim_random *random = &n->sim->faults.random;

    if (n->sim->faults.active && n->aim.kind == SIM_AIM_NONE && !n->dying &&
        sim_random_chance(random, permille)) {
        (void)sim_aim_set(n, name, sim_random_chance(random, 600));
        n->aim.after = sim_random_chance(random, 500);
        n->aim.countdown =
            (unsigned)sim_random_below(random, countdown_max + 1);
        sim_trace(n->sim, "n%u aim %s countdown=%u", n->id, name,
                  n->aim.countdown);
    }
}

void sim_aim_trace(struct sim_node *n, const char *line)
{
    const struct sim_aim *a = &n->aim;

    if (strncmp(line, "snapshot_fetch ", 15) == 0) {
        sim_aim_provoke(n, 100, "snapshot", 20);
        sim_aim_provoke(n, 100, "install", 10);
    } else if (strncmp(line, "snapshot_started", 16) == 0) {
        sim_aim_provoke(n, 5, "manifest", 6);
    }
    if (a->kind == SIM_AIM_TRACE &&
        strncmp(line, a->text, strlen(a->text)) == 0) {
        strike(n);
    }
}

void sim_aim_truncated(struct sim_node *n)
{
    sim_aim_provoke(n, 60, "truncation", 3);
    if (n->aim.kind == SIM_AIM_TRUNCATION) {
        n->aim.kind = SIM_AIM_DISK;
        n->aim.after = true;
        n->aim.countdown %= 4;
    }
}
