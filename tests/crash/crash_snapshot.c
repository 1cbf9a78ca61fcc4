/* Workload: a chain of snapshots grows, is merged and swept. */
#include <stdio.h>

#include "snapshot/format.h"
#include "tests/crash/chain_model.h"
#include "tests/crash/enumerate.h"

static const char dir[] = "/n1/snapshots";

static void play(void *model, struct sim_clock *clock)
{
    struct chain_model *m = model;
    (void)clock;
    chain_known_clear();
    chain_open(m, dir);
    chain_take(m, dir, 0, 10, 40);
    chain_take(m, dir, 10, 20, 10);
    chain_take(m, dir, 20, 25, 0);
    chain_open(m, dir);
    /* Written and never adopted, as by a process that was killed. */
    (void)chain_write(dir, 25, 31, 3);
    chain_open(m, dir);
    /* A new base, as merging makes it: the old chain goes. */
    chain_take(m, dir, 0, 30, 60);
    chain_take(m, dir, 30, 40, 5);
    chain_open(m, dir);
}

static void recover(const void *model, const char *root,
                    struct sim_clock *clock, void *after, bool go_on)
{
    struct chain_model *back = after;
    char path[64];
    (void)clock;
    snprintf(path, sizeof path, "%s/snapshots", root);
    back->promised = chain_recover(model, path);
    back->handed = back->promised;
    crash_promise(back);
    if (go_on) {
        const struct snapshot_manifest *chain = chain_known(back->promised);
        uint64_t to =
            chain->n_files == 0 ? 0 : chain->files[chain->n_files - 1].to;
        chain_take(back, path, to, to + 5, 4);
        chain_open(back, path);
    }
}

const struct crash_workload crash_snapshot = {
    "snapshot", sizeof(struct chain_model), play, recover};
