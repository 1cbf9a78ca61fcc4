/* Workload: log and chain together, as a node uses them: a snapshot lets the
 * log go, and one that came from the leader takes the place of all of it. The
 * chain must always reach to where the log begins. */
#include <stdio.h>
#include <string.h>

#include "tests/crash/chain_model.h"
#include "tests/crash/enumerate.h"
#include "tests/crash/log_model.h"

struct model {
    struct chain_model chain;
    struct log_model log;
};

static const char dir[] = "/n1/snapshots";

static uint64_t chain_end(uint32_t version)
{
    const struct snapshot_manifest *chain = chain_known(version);
    return chain->n_files == 0 ? 0 : chain->files[chain->n_files - 1].to;
}

static void play(void *model, struct sim_clock *clock)
{
    struct model *m = model;
    struct raftlog_report report;
    struct log_owner o;
    chain_known_clear();
    chain_open(&m->chain, dir);
    log_owner_open(&o, &m->log, clock, "/n1", &report);
    log_owner_append(&o, 1, 10, 1);
    log_owner_settle(&o);
    log_owner_append(&o, 11, 8, 1);
    log_owner_settle(&o);
    chain_take(&m->chain, dir, 0, 12, 10);
    log_owner_release(&o, 11);
    log_owner_tick(&o);
    log_owner_append(&o, 19, 2, 1);
    chain_take(&m->chain, dir, 12, 18, 3);
    log_owner_settle(&o);
    log_owner_release(&o, 17);
    log_owner_tick(&o);
    /* Installed: first the chain, then the log forgets. */
    chain_take(&m->chain, dir, 0, 70, 12);
    log_owner_reset(&o, 70, 3);
    log_owner_append(&o, 71, 2, 3);
    log_owner_settle(&o);
    log_owner_tick(&o);
    log_owner_close(&o);
}

static void recover(const void *model, const char *root,
                    struct sim_clock *clock, void *after, bool go_on)
{
    const struct model *m = model;
    struct model *back = after;
    struct log_owner o;
    uint64_t end;
    char path[64];
    char words[96];
    snprintf(path, sizeof path, "%s/snapshots", root);
    back->chain.promised = chain_recover(&m->chain, path);
    back->chain.handed = back->chain.promised;
    log_model_recover(&m->log, root, clock, &back->log, &o);
    end = chain_end(back->chain.promised);
    snprintf(
        words, sizeof words, "snapshots end at %llu, the log begins at %llu",
        (unsigned long long)end, (unsigned long long)back->log.now.base + 1);
    crash_check(back->log.now.base <= end, words);
    crash_promise(back);
    if (go_on && back->log.now.last < end) {
        /* What a node does that finds its log behind its snapshot. */
        log_owner_reset(&o, end, LOG_MODEL_TERMS_MAX - 2);
    }
    if (go_on) {
        log_owner_append(&o, back->log.now.last + 1, 1,
                         LOG_MODEL_TERMS_MAX - 1);
        log_owner_settle(&o);
        crash_check(back->log.now.durable == back->log.now.last,
                    "a recovered log takes no entries");
    }
    log_owner_kill(&o);
}

const struct crash_workload crash_install = {"install", sizeof(struct model),
                                             play, recover};
