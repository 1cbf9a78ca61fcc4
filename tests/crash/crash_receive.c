/* Workload: a chain comes from a peer in chunks, with a restart in between, is
 * verified and adopted instead of the chain that was there. Recovery goes on
 * with the transfer to its end: what is found there must not spoil it. */
#include <stdio.h>
#include <string.h>

#include "tests/crash/chain_model.h"
#include "tests/crash/enumerate.h"

enum { CHUNK = 900 };

static const char dir[] = "/n1/snapshots";
static const char source_dir[] = "/n4/snapshots";

/* The peer's disk: nothing crashes there. */
static struct sim_disk source;
static uint32_t wanted; /* version of the peer's chain */

static void make_source(struct sim_clock *clock)
{
    struct sim_disk_hooks hooks = {0};
    struct chain_model m = {0, 0};
    struct sim_random random;
    sim_random_init(&random, 4);
    sim_disk_init(&source, 4, &random, clock, &hooks);
    chain_open(&m, source_dir);
    chain_take(&m, source_dir, 0, 60, 50);
    chain_take(&m, source_dir, 60, 70, 20);
    wanted = m.promised;
}

/* At most n_max chunks; false: nothing more is missing. */
static bool bring(struct snapshot_receiver *r, unsigned n_max)
{
    struct snapshot_range range;
    struct err_info info = {0};
    uint8_t buf[CHUNK];
    for (unsigned i = 0; i < n_max; i++) {
        if (!snapshot_receiver_next(r, CHUNK, &range)) {
            return false;
        }
        crash_check(snapshot_chunk_read(source_dir, chain_known(wanted), &range,
                                        buf, &info) == 0,
                    info.message);
        crash_check(snapshot_receiver_put(r, &range, buf, &info) == 0,
                    info.message);
    }
    return true;
}

static struct snapshot_receiver *open_receiver(const char *to, uint32_t version)
{
    struct snapshot_receiver *r = NULL;
    struct err_info info = {0};
    crash_check(snapshot_receiver_open(to, chain_known(version),
                                       chain_known(wanted), &r, &info) == 0,
                info.message);
    return r;
}

/* To the end: a file that turns out bad is removed and fetched once more. */
static void finish(const char *to, uint32_t version)
{
    struct snapshot_receiver *r = open_receiver(to, version);
    struct err_info info = {0};
    int rv = ERR_AGAIN;
    for (unsigned i = 0; i < 3 && rv != 0; i++) {
        while (bring(r, 64)) {
        }
        rv = snapshot_receiver_verify(r, &info);
        crash_check(rv == 0 || rv == ERR_CORRUPT, info.message);
    }
    crash_check(rv == 0, info.message);
    snapshot_receiver_close(r);
    crash_check(snapshot_chain_adopt(to, chain_known(version),
                                     chain_known(wanted), NULL, 0, &info) == 0,
                info.message);
}

static void play(void *model, struct sim_clock *clock)
{
    struct chain_model *m = model;
    struct snapshot_receiver *r;
    chain_known_clear();
    make_source(clock);
    chain_open(m, dir);
    chain_take(m, dir, 0, 10, 20);
    m->handed = wanted;
    r = open_receiver(dir, m->promised);
    (void)bring(r, 2);
    snapshot_receiver_close(r);
    chain_open(m, dir);
    finish(dir, m->promised);
    m->promised = wanted;
    chain_open(m, dir);
    sim_disk_close(&source);
}

static void recover(const void *model, const char *root,
                    struct sim_clock *clock, void *after, bool go_on)
{
    const struct chain_model *m = model;
    struct chain_model *back = after;
    char path[64];
    (void)clock;
    (void)go_on;
    snprintf(path, sizeof path, "%s/snapshots", root);
    back->promised = chain_recover(m, path);
    back->handed = m->handed == wanted ? wanted : back->promised;
    crash_promise(back);
    if (back->handed != back->promised) {
        finish(path, back->promised);
        back->promised = wanted;
        chain_open(back, path);
    }
}

const struct crash_workload crash_receive = {
    "receive", sizeof(struct chain_model), play, recover};
