/* The log against a model, on a simulated disk that crashes.
 *
 * Each run is a few lives of one log under one seed: random appends,
 * truncations, resets, releases and hard states, jobs that run late, and then
 * an end: a clean close, a killed process or a power cut, between two calls or
 * before any single disk operation, also inside recovery. Unsynced writes are
 * lost, kept or torn (tests/sim/sim_disk.h).
 *
 * What must hold after each recovery:
 *  1. it opens (the disk tears, but it does not rot);
 *  2. every entry through the durable index that the log had told is there, as
 *     it was last written; a truncation or reset that was durable stays;
 *  3. nothing is invented and nothing mixed: each entry follows the one it was
 *     appended behind;
 *  4. term and vote are the last durable ones, or ones given later;
 *  5. first index <= released + 1, and the term before it is known;
 *  6. a second recovery finds the same;
 *  7. under a weaker sync policy: what was persisted is there unless the power
 *     was cut, and if some of it is not, the log says that it forgot, at every
 *     opening until it is told to remember.
 *
 * Arguments: [first seed] [number of seeds]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/byte.h"
#include "raftlog/raftlog.h"
#include "tests/crash/seeded_disk.h"
#include "tests/lib/job_list.h"

enum {
    INDEX_MAX = 1 << 15,
    UID_MAX = 1 << 16,
    LIVES = 6,
    STEPS = 60,
    SEGMENT = 16 * 4096
};

static const char data_dir[] = "/n1";

/* One entry that was ever appended, and the root of each log. */
struct entry_fact {
    uint32_t before; /* the entry that stood before it */
    uint32_t size;
    uint64_t term;
    uint64_t index;
};

struct world {
    struct seeded_disk sim;
    struct raftlog_options options;
    struct raftlog *log;
    struct job_list jobs;
    unsigned n_fatal;

    /* The model: the log as handed over. */
    struct entry_fact *facts; /* by uid */
    uint32_t n_facts;
    uint32_t *uids; /* by index */
    uint64_t base;  /* entries through base are released or covered */
    uint64_t last;
    uint64_t term;
    /* Highest durable index that was told; entries through it as they were
     * then. After a reset that may be lost: the log before it. */
    uint64_t durable;
    uint64_t persisted; /* the same under the policy in force */
    bool power_was_cut; /* since the last recovery that was checked */
    bool closed_clean;
    bool must_report; /* that it forgot */
    bool reset_open;
    uint64_t reset_index;
    uint32_t *old_uids;
    uint64_t old_base, old_durable;
    /* Hard states are numbered by their term. */
    uint64_t hard_given, hard_durable;

    uint64_t n_crashes, n_entries, n_lost_resets, n_forgot;
};

/* ---- the owner of the log -------------------------------------------------*/

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct world *w = ctx;
    assert_true(job_list_add(&w->jobs, work, done, arg));
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    struct world *w = ctx;
    if (!w->sim.disk.frozen) {
        fail_msg("seed %llu: fatal: %s", (unsigned long long)w->sim.seed,
                 info->message);
    }
    w->n_fatal++;
}

static uint64_t on_now(void *ctx)
{
    return ((struct world *)ctx)->sim.clock.now_us / 1000;
}

/* ---- the model ------------------------------------------------------------*/

static uint32_t new_fact(struct world *w, uint32_t before, uint64_t index,
                         uint64_t term, uint32_t size)
{
    struct entry_fact *f = &w->facts[w->n_facts];
    assert_true(w->n_facts < UID_MAX);
    f->before = before;
    f->index = index;
    f->term = term;
    f->size = size;
    return w->n_facts++;
}

static uint8_t payload_byte(uint32_t uid, uint32_t at)
{
    return (uint8_t)(uid * 2654435761u >> (at % 24));
}

static struct raftlog_entry make_entry(const struct world *w, uint32_t uid)
{
    const struct entry_fact *f = &w->facts[uid];
    struct raftlog_entry e = {0};
    uint8_t *data = block_new(f->size);
    struct byte_writer writer = byte_writer(data, f->size);
    assert_non_null(data);
    byte_put_u32(&writer, uid);
    for (uint32_t i = 4; i < f->size; i++) {
        data[i] = payload_byte(uid, i);
    }
    e.term = f->term;
    e.kind = (uint8_t)(uid % 5);
    e.size = f->size;
    e.data = data;
    e.block = data;
    return e;
}

/* The uid of an entry that came from the log, all its bytes checked. */
static uint32_t check_entry(struct world *w, uint64_t index,
                            const struct raftlog_entry *e)
{
    const uint8_t *data = e->data;
    struct byte_reader r = byte_reader(e->data, e->size);
    uint32_t uid = byte_get_u32(&r);
    assert_false(r.failed);
    assert_true(uid < w->n_facts);
    assert_int_equal(w->facts[uid].index, index);
    assert_int_equal(w->facts[uid].term, e->term);
    assert_int_equal(w->facts[uid].size, e->size);
    assert_int_equal(e->kind, uid % 5);
    for (uint32_t i = 4; i < e->size; i++) {
        if (data[i] != payload_byte(uid, i)) {
            fail_msg("seed %llu: entry %llu differs at byte %u",
                     (unsigned long long)w->sim.seed, (unsigned long long)index,
                     i);
        }
    }
    return uid;
}

/* Look at what the log says is durable. */
static void observe(struct world *w)
{
    uint64_t durable;
    uint64_t persisted;
    if (w->n_fatal > 0 || w->sim.disk.frozen) {
        return;
    }
    durable = raftlog_durable_index(w->log);
    persisted = raftlog_persisted_index(w->log);
    assert_true(durable <= persisted && persisted <= w->last);
    w->persisted = persisted;
    if (w->reset_open && durable > w->reset_index) {
        w->reset_open = false;
    }
    w->durable = durable;
    if (raftlog_hard_state_durable(w->log)) {
        w->hard_durable = w->hard_given;
    }
}

/* ---- steps ----------------------------------------------------------------*/

static void step_append(struct world *w)
{
    struct raftlog_entry entries[8];
    size_t n = (size_t)sim_random_range(&w->sim.random, 1, 8);
    uint64_t first = w->last + 1;
    uint32_t before;
    int rv;
    if (chance(&w->sim, 150) && w->last > w->base) {
        first = w->last - below(&w->sim, w->last - w->base);
        w->term++;
    }
    w->term += chance(&w->sim, 50);
    before = w->uids[first - 1];
    for (size_t i = 0; i < n; i++) {
        uint32_t size = (uint32_t)sim_random_range(&w->sim.random, 4, 3000);
        if (chance(&w->sim, 10)) {
            size += (uint32_t)below(&w->sim, 2 * SEGMENT);
        }
        before = new_fact(w, before, first + i, w->term, size);
        w->uids[first + i] = before;
        entries[i] = make_entry(w, before);
    }
    w->last = first + n - 1;
    if (first <= w->durable) {
        w->durable = first - 1;
    }
    if (first <= w->persisted) {
        w->persisted = first - 1;
    }
    rv = raftlog_append(w->log, first, entries, n);
    for (size_t i = 0; i < n; i++) {
        block_unref(entries[i].block);
    }
    assert_true(rv == 0 || w->n_fatal > 0);
    w->n_entries += n;
}

static void step_reset(struct world *w)
{
    uint64_t index = w->base + below(&w->sim, w->last - w->base + 40);
    if (w->reset_open) {
        return; /* the model holds one log that may come back, not two */
    }
    memcpy(w->old_uids, w->uids, INDEX_MAX * sizeof *w->uids);
    w->old_base = w->base;
    w->old_durable = w->durable;
    w->reset_open = true;
    w->reset_index = index;
    w->term++;
    w->uids[index] = new_fact(w, 0, index, w->term, 0);
    w->base = index;
    w->last = index;
    w->durable = index;
    w->persisted = index;
    assert_true(raftlog_reset(w->log, index, w->term) == 0 || w->n_fatal > 0);
}

static void step_release(struct world *w)
{
    uint64_t through = w->base + below(&w->sim, w->durable - w->base + 1);
    raftlog_release(w->log, through);
    if (w->n_fatal == 0) {
        w->base = raftlog_first_index(w->log) - 1;
        assert_true(w->base == through);
    }
}

static void on_read(void *ctx, int status, uint64_t first,
                    const struct raftlog_entry *entries, size_t n)
{
    struct world *w = ctx;
    for (size_t i = 0; status == 0 && i < n; i++) {
        uint32_t uid = check_entry(w, first + i, &entries[i]);
        assert_int_equal(uid, w->uids[first + i]);
    }
}

static void step_read(struct world *w)
{
    uint64_t first;
    if (w->last == w->base) {
        return;
    }
    first = w->base + 1 + below(&w->sim, w->last - w->base);
    (void)raftlog_read(w->log, first, w->last, 10000, on_read, w);
}

static struct raftlog_sync_policy draw_policy(struct world *w)
{
    struct raftlog_sync_policy p = {(enum raftlog_sync)below(&w->sim, 3),
                                    sim_random_range(&w->sim.random, 1, 40),
                                    sim_random_range(&w->sim.random, 1, 200)};
    return p;
}

static void step_sync(struct world *w)
{
    struct raftlog_sync_policy policy = draw_policy(w);
    switch (below(&w->sim, 3)) {
    case 0:
        (void)raftlog_set_sync(w->log, &policy);
        break;
    case 1:
        raftlog_force_sync(w->log);
        break;
    default:
        (void)raftlog_remember(w->log);
        w->must_report = false;
        break;
    }
}

static void step(struct world *w)
{
    uint64_t what = below(&w->sim, 103);
    observe(w);
    if (what >= 100) {
        step_sync(w);
    } else if (what < 35) {
        step_append(w);
    } else if (what < 41) {
        w->hard_given++;
        (void)raftlog_set_hard_state(w->log, w->hard_given, w->hard_given + 7);
    } else if (what < 42) {
        step_reset(w);
    } else if (what < 48) {
        step_release(w);
    } else if (what < 54) {
        step_read(w);
    } else if (what < 62) {
        raftlog_tick(w->log);
    } else if (what < 75) {
        if (w->jobs.n > 0) {
            job_list_run(&w->jobs, (size_t)below(&w->sim, w->jobs.n));
        }
    } else {
        (void)sim_clock_step(&w->sim.clock, w->sim.clock.now_us + 100000);
        raftlog_poll(w->log);
    }
}

/* ---- lives ----------------------------------------------------------------*/

struct recovered {
    struct world *w;
    uint32_t *uids;
    uint64_t next;
};

static int on_scan(void *ctx, uint64_t index, const struct raftlog_entry *e)
{
    struct recovered *r = ctx;
    assert_int_equal(index, r->next);
    r->uids[index] = check_entry(r->w, index, e);
    r->next++;
    return 0;
}

/* Do the entries through `durable` of this log stand in what came back? */
static bool holds(const uint32_t *uids, uint64_t base, uint64_t durable,
                  const uint32_t *back, uint64_t first, uint64_t last)
{
    if (first > base + 1 || last < durable) {
        return false;
    }
    for (uint64_t i = base + 1; i <= durable; i++) {
        if (back[i] != uids[i]) {
            return false;
        }
    }
    return true;
}

/* Rules 2, 3 and 5; then the model becomes what came back. */
static void check_recovered(struct world *w,
                            const struct raftlog_report *report)
{
    uint64_t first = report->first_index;
    uint64_t last = report->last_index;
    uint32_t *back = calloc(INDEX_MAX, sizeof *back);
    struct recovered r = {w, back, first};
    struct err_info info;
    bool as_new;
    bool as_old;
    bool whole;
    assert_non_null(back);
    assert_true(last < INDEX_MAX - 100);
    assert_int_equal(raftlog_scan(w->log, first, last, on_scan, &r, &info), 0);
    assert_int_equal(r.next, last + 1);
    for (uint64_t i = first + 1; i <= last; i++) {
        assert_int_equal(w->facts[back[i]].before, back[i - 1]);
    }
    as_new = holds(w->uids, w->base, w->durable, back, first, last);
    as_old = w->reset_open &&
             holds(w->old_uids, w->old_base, w->old_durable, back, first, last);
    if (!as_new && !as_old) {
        fail_msg("seed %llu: durable entries lost: %llu..%llu came back, "
                 "%llu..%llu (base %llu) were durable",
                 (unsigned long long)w->sim.seed, (unsigned long long)first,
                 (unsigned long long)last, (unsigned long long)w->base + 1,
                 (unsigned long long)w->durable, (unsigned long long)w->base);
    }
    w->n_lost_resets += !as_new;
    whole = w->reset_open ||
            holds(w->uids, w->base, w->persisted, back, first, last);
    if (!whole && !w->power_was_cut) {
        fail_msg("seed %llu: a killed process lost entries: %llu came back, "
                 "%llu were persisted",
                 (unsigned long long)w->sim.seed, (unsigned long long)last,
                 (unsigned long long)w->persisted);
    }
    if ((!whole || w->must_report) && !report->forgot) {
        fail_msg("seed %llu: the log does not know that it forgot",
                 (unsigned long long)w->sim.seed);
    }
    if (report->forgot && w->closed_clean && !w->must_report) {
        fail_msg("seed %llu: forgot after a clean close",
                 (unsigned long long)w->sim.seed);
    }
    w->n_forgot += !whole;
    w->must_report = report->forgot;
    w->power_was_cut = false;
    w->closed_clean = false;
    w->persisted = last;
    if (last >= first) { /* the root of the log that came back */
        back[first - 1] = w->facts[back[first]].before;
        if (w->facts[back[first - 1]].index == first - 1) {
            assert_int_equal(raftlog_term(w->log, first - 1),
                             w->facts[back[first - 1]].term);
        }
    } else {
        back[last] = as_new ? w->uids[last] : w->old_uids[last];
        assert_int_equal(raftlog_term(w->log, last), w->facts[back[last]].term);
    }
    memcpy(w->uids, back, INDEX_MAX * sizeof *back);
    free(back);
    w->base = first - 1;
    w->last = last;
    w->durable = last;
    w->reset_open = false;
    assert_true(report->current_term >= w->hard_durable);
    assert_true(report->current_term <= w->hard_given);
    assert_true(report->voted_for ==
                (report->current_term == 0 ? 0 : report->current_term + 7));
    w->hard_durable = report->current_term;
    w->hard_given = report->current_term;
}

static int try_open(struct world *w, struct raftlog_report *report)
{
    struct raftlog_io io = {.ctx = w,
                            .work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = on_now};
    struct err_info info;
    int rv = raftlog_open(data_dir, &w->options, &io, &w->log, report, &info);
    if (rv != 0 && !w->sim.disk.frozen) {
        fail_msg("seed %llu: does not open: %s",
                 (unsigned long long)w->sim.seed, info.message);
    }
    return rv;
}

static void crash(struct world *w)
{
    bool power_cut = chance(&w->sim, 600);
    if (w->log != NULL) {
        if (power_cut) {
            sim_disk_freeze(&w->sim.disk);
        }
        raftlog_abandon(w->log);
        w->log = NULL;
    }
    job_list_run_all(&w->jobs);
    w->sim.freeze_in = 0;
    w->n_fatal = 0;
    sim_disk_crash(&w->sim.disk, power_cut);
    w->power_was_cut = w->power_was_cut || power_cut;
    w->n_crashes++;
}

/* Open, perhaps with crashes inside recovery, and check. */
static void begin_life(struct world *w)
{
    struct raftlog_report report;
    struct raftlog_report again;
    w->options.sync = draw_policy(w);
    w->options.sync_kinds = chance(&w->sim, 500) ? 1U << below(&w->sim, 5) : 0;
    while (chance(&w->sim, 300)) {
        w->sim.freeze_in = sim_random_range(&w->sim.random, 1, 25);
        if (try_open(w, &report) != 0) {
            w->log = NULL;
        }
        crash(w);
        w->closed_clean = false; /* the mark may have been set again */
    }
    assert_int_equal(try_open(w, &report), 0);
    if (chance(&w->sim, 300)) {
        crash(w);
        w->closed_clean = false;
        assert_int_equal(try_open(w, &again), 0);
        assert_int_equal(again.last_index, report.last_index);
        assert_int_equal(again.current_term, report.current_term);
        assert_int_equal(again.torn_bytes, 0);
        report = again;
    }
    check_recovered(w, &report);
}

static void end_life(struct world *w)
{
    observe(w);
    if (w->n_fatal > 0 || w->sim.disk.frozen || chance(&w->sim, 700)) {
        crash(w);
        return;
    }
    if (chance(&w->sim, 300)) {
        w->sim.freeze_in = sim_random_range(&w->sim.random, 1, 10);
    }
    raftlog_close(w->log);
    w->log = NULL;
    if (!w->sim.disk.frozen && w->n_fatal == 0) {
        w->durable = w->last; /* close waits for what is queued */
        w->persisted = w->last;
        w->closed_clean = true;
        w->hard_durable = w->hard_given;
        w->reset_open = false;
    }
    crash(w);
}

static void world_open(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    seeded_disk_open(&w->sim, seed);
    w->facts = calloc(UID_MAX, sizeof *w->facts);
    w->uids = calloc(INDEX_MAX, sizeof *w->uids);
    w->old_uids = calloc(INDEX_MAX, sizeof *w->old_uids);
    assert_non_null(w->facts);
    assert_non_null(w->uids);
    assert_non_null(w->old_uids);
    w->n_facts = 1; /* uid 0: the root of a new log */
    memset(w->options.cluster_id, 0x5a, sizeof w->options.cluster_id);
    w->options.node_id = 1;
    w->options.segment_bytes = SEGMENT;
    w->options.cache_bytes = sim_random_range(&w->sim.random, 1, 100000);
    w->options.batch_bytes_max = sim_random_range(&w->sim.random, 1000, 30000);
    w->options.n_pooled_max = 1 + (unsigned)below(&w->sim, 4);
}

static void world_close(struct world *w)
{
    seeded_disk_close(&w->sim);
    free(w->facts);
    free(w->uids);
    free(w->old_uids);
}

static uint64_t first_seed = 1;
static uint64_t n_seeds = 400;

static void test_crash_log_keeps_what_was_durable(void **state)
{
    uint64_t n_crashes = 0;
    uint64_t n_entries = 0;
    uint64_t n_lost_resets = 0;
    uint64_t n_torn = 0;
    uint64_t n_forgot = 0;
    (void)state;
    for (uint64_t i = 0; i < n_seeds; i++) {
        struct world *w = malloc(sizeof *w);
        assert_non_null(w);
        world_open(w, first_seed + i);
        for (int life = 0; life < LIVES; life++) {
            uint64_t n = sim_random_range(&w->sim.random, 1, 2 * STEPS);
            begin_life(w);
            if (chance(&w->sim, 500)) {
                w->sim.freeze_in = sim_random_range(&w->sim.random, 1, 150);
            }
            while (n-- > 0 && w->n_fatal == 0 && !w->sim.disk.frozen) {
                step(w);
            }
            end_life(w);
        }
        n_crashes += w->n_crashes;
        n_entries += w->n_entries;
        n_lost_resets += w->n_lost_resets;
        n_torn += w->sim.disk.stats.n_torn;
        n_forgot += w->n_forgot;
        world_close(w);
        free(w);
        assert_int_equal(block_bytes_in_use(), 0);
    }
    print_message("%llu seeds: %llu crashes, %llu entries, %llu torn writes, "
                  "%llu resets lost before they were durable, %llu times "
                  "persisted entries lost by a power cut\n",
                  (unsigned long long)n_seeds, (unsigned long long)n_crashes,
                  (unsigned long long)n_entries, (unsigned long long)n_torn,
                  (unsigned long long)n_lost_resets,
                  (unsigned long long)n_forgot);
    /* A run that did too little is void. */
    assert_true(n_crashes >= 5 * n_seeds && n_entries >= 100 * n_seeds);
    assert_true(n_seeds < 100 || (n_torn > n_seeds / 4 && n_lost_resets > 0 &&
                                  n_forgot > n_seeds / 10));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_log_keeps_what_was_durable),
    };
    seeds_from_args(argc, argv, &first_seed, &n_seeds);
    return cmocka_run_group_tests_name("raftlog_crash", tests, NULL, NULL);
}
