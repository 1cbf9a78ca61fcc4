/* Workload: everything that changes the files of a log. */
#include <string.h>

#include "tests/crash/enumerate.h"
#include "tests/crash/log_model.h"

static void play_appends(struct log_owner *o)
{
    log_owner_hard_state(o);
    log_owner_append(o, 1, 2, 1);
    log_owner_settle(o);
    /* Group commit, and a hard state beside a frame in flight. */
    log_owner_append(o, 3, 1, 1);
    log_owner_append(o, 4, 2, 1);
    log_owner_hard_state(o);
    log_owner_append(o, 6, 1, 2);
    log_owner_settle(o);
    log_owner_tick(o); /* watermark, */
    log_owner_tick(o); /* and the mirror of the hard state */
    /* Over the end of a segment. */
    for (uint64_t i = 7; i <= 15; i += 3) {
        log_owner_append(o, i, 3, 2);
        log_owner_settle(o);
    }
}

static void play_truncations(struct log_owner *o)
{
    log_owner_append(o, 14, 2, 3);
    log_owner_settle(o);
    /* In flight, cut off, and cut off again. */
    log_owner_append(o, 16, 3, 3);
    log_owner_append(o, 17, 1, 4);
    log_owner_append(o, 12, 1, 5);
    log_owner_hard_state(o);
    log_owner_settle(o);
    log_owner_append(o, 13, 9, 5);
    log_owner_settle(o);
}

/* Released, recycled, and used again. */
static void play_release(struct log_owner *o)
{
    log_owner_release(o, 10);
    log_owner_tick(o);
    log_owner_tick(o);
    log_owner_append(o, 22, 3, 5); /* one has a segment of its own */
    log_owner_settle(o);
    log_owner_release(o, 20);
    log_owner_tick(o);
    log_owner_append(o, 25, 12, 6);
    log_owner_settle(o);
    log_owner_release(o, 30);
    log_owner_tick(o);
    log_owner_tick(o);
    log_owner_append(o, 37, 12, 6);
    log_owner_settle(o);
}

/* A snapshot was installed: behind the end, and inside the log. */
static void play_resets(struct log_owner *o)
{
    log_owner_reset(o, 60, 7);
    log_owner_append(o, 61, 2, 7);
    log_owner_settle(o);
    log_owner_append(o, 63, 2, 7);
    log_owner_reset(o, 62, 8);
    log_owner_settle(o);
    log_owner_append(o, 63, 3, 9);
    log_owner_settle(o);
}

static void play(void *model, struct sim_clock *clock)
{
    struct log_model *m = model;
    struct raftlog_report report;
    struct log_owner o;
    log_owner_open(&o, m, clock, "/n1", &report);
    play_appends(&o);
    play_truncations(&o);
    play_release(&o);
    log_owner_close(&o);
    log_owner_open(&o, m, clock, "/n1", &report);
    play_resets(&o);
    log_owner_hard_state(&o);
    log_owner_append(&o, 66, 1, 10);
    log_owner_kill(&o);
    /* What was in flight may be durable or not: nothing was promised. */
    log_owner_open(&o, m, clock, "/n1", &report);
    m->now.last = report.last_index;
    m->now.durable = report.last_index;
    m->hard_given = m->hard_durable = report.current_term;
    log_owner_append(&o, report.last_index + 1, 2, 11);
    log_owner_settle(&o);
    log_owner_close(&o);
}

static void recover(const void *model, const char *dir, struct sim_clock *clock,
                    void *after, bool go_on)
{
    struct log_model *back = after;
    struct log_owner o;
    log_model_recover(model, dir, clock, back, &o);
    crash_promise(back);
    if (go_on) {
        /* Into both slots, whichever of their names was durable before. */
        for (unsigned i = 0; i < 2; i++) {
            log_owner_hard_state(&o);
            log_owner_settle(&o);
        }
        log_owner_append(&o, back->now.last + 1, 1, LOG_MODEL_TERMS_MAX - 1);
        log_owner_settle(&o);
        crash_check(back->now.durable == back->now.last,
                    "a recovered log takes no entries");
    }
    log_owner_kill(&o);
}

const struct crash_workload crash_log = {"log", sizeof(struct log_model), play,
                                         recover};
