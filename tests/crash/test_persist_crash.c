/* The embedding API against a model, on a simulated disk that crashes.
 *
 * Each run is a few lives of one directory under one seed: appends that wait
 * and appends that do not, forced syncs, compactions from the log, merges,
 * compactions by hand, cleaning, and then an end: a clean close, a killed
 * process or a power cut, between two calls or before any single disk
 * operation, also inside recovery. There are no threads: the log's jobs run in
 * the caller.
 *
 * What must hold after each recovery, of L, the last sequence that came back:
 *  1. it opens (the disk tears, but it does not rot);
 *  2. what was told to be durable is there: L is not below it;
 *  3. L is not above what was given, and the state that is replayed is the one
 *     after the first L operations, no other;
 *  4. nothing lies about that no state of the directory explains;
 *  5. a second recovery finds the same.
 *
 * Arguments: [first seed] [number of seeds]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/compact.h"
#include "persist/internal.h"
#include "raftlog/block.h"
#include "tests/crash/seeded_disk.h"

enum { KEYS = 12, OPS_MAX = 20000, LIVES = 6, STEPS = 80, FILE_SIZE = 65536 };

static const char dir[] = "/n1/wal";

/* value 0: the key is deleted. */
struct op {
    unsigned key;
    unsigned value;
};

struct world {
    struct seeded_disk sim;
    wal_t shown;
    struct wal_private *wal;
    struct op *ops; /* by sequence */
    uint64_t given;
    uint64_t durable; /* as it was told */
    unsigned next_value;
    uint64_t n_crashes, n_ops, n_compactions, n_lost;
};

static struct world *present; /* the clock of the environment has no context */

static uint64_t now_ns(void)
{
    present->sim.clock.now_us += 200;
    return present->sim.clock.now_us * 1000;
}

static const struct wal_environment environment = {false, now_ns, NULL};

/* ---- the model ------------------------------------------------------------*/

static void state_at(const struct world *w, uint64_t seq, unsigned state[KEYS])
{
    memset(state, 0, KEYS * sizeof *state);
    for (uint64_t i = 1; i <= seq; i++) {
        if (w->ops[i].key < KEYS) {
            state[w->ops[i].key] = w->ops[i].value;
        }
    }
}

/* An operation that must not fail unless the disk is gone. */
static void expect(const struct world *w, int rv, const struct err_info *info)
{
    if (rv != 0 && !w->sim.disk.frozen) {
        fail_msg("seed %llu: %s", (unsigned long long)w->sim.seed,
                 info->message);
    }
}

static void observe(struct world *w)
{
    uint64_t durable = w->wal->durable_seq;
    assert_true(durable <= w->given);
    if (!w->sim.disk.frozen && durable > w->durable) {
        w->durable = durable;
    }
}

/* ---- steps ----------------------------------------------------------------*/

static void step_append(struct world *w)
{
    struct entry e = {ENTRY_SET, {NULL, 0}, {NULL, 0}};
    struct err_info info = {0, ""};
    char key[16];
    char value[4096];
    unsigned k = (unsigned)below(&w->sim, KEYS);
    bool waits = chance(&w->sim, 300);
    int n = snprintf(key, sizeof key, "key-%u", k);
    int rv;
    e.key.data = (const uint8_t *)key;
    e.key.size = (size_t)n;
    w->given++;
    assert_true(w->given < OPS_MAX);
    w->ops[w->given].key = k;
    w->ops[w->given].value = 0;
    if (chance(&w->sim, 800)) {
        unsigned v = ++w->next_value;
        memset(value, 'v', sizeof value);
        (void)snprintf(value, sizeof value, "%u", v);
        e.kind = chance(&w->sim, 200) ? ENTRY_MOD : ENTRY_SET;
        e.value.data = (const uint8_t *)value;
        e.value.size = 12 + (size_t)below(&w->sim, 4000);
        w->ops[w->given].value = v;
    } else {
        e.kind = ENTRY_DEL;
    }
    w->wal->options[WAL_OPTION_SYNC_POLICY] =
        waits ? WAL_SYNC_ALWAYS : WAL_SYNC_INTERVAL;
    rv = commit_append(w->wal, &e, &info);
    expect(w, rv, &info);
    if (rv == 0 && waits && !w->sim.disk.frozen) {
        assert_true(w->wal->durable_seq == w->given);
    }
    w->n_ops++;
}

static int list_keys(void *engine, char ***keys, int *count)
{
    struct world *w = engine;
    unsigned state[KEYS];
    state_at(w, w->given, state);
    *keys = calloc(KEYS, sizeof **keys);
    assert_non_null(*keys);
    *count = 0;
    for (unsigned k = 0; k < KEYS; k++) {
        if (state[k] != 0) {
            char key[16];
            snprintf(key, sizeof key, "key-%u", k);
            (*keys)[(*count)++] = strdup(key);
        }
    }
    return 0;
}

static int get_value(void *engine, const char *key, char **value)
{
    struct world *w = engine;
    unsigned state[KEYS];
    char text[16];
    state_at(w, w->given, state);
    snprintf(text, sizeof text, "%u", state[strtoul(key + 4, NULL, 10)]);
    *value = strdup(text);
    return 0;
}

static void step_compact(struct world *w)
{
    struct err_info info = {0, ""};
    uint64_t what = below(&w->sim, 10);
    struct pace pace;
    int rv;
    if (what < 5) {
        rv = compact_now(w->wal, false, &info);
    } else if (what < 7 && w->wal->chain.n_files > 0) {
        pthread_mutex_lock(&w->wal->compact_lock);
        pace_start(&pace, w->wal, false);
        rv = compact_merge(w->wal,
                           (unsigned)below(&w->sim, w->wal->chain.n_files),
                           &pace, &info);
        pthread_mutex_unlock(&w->wal->compact_lock);
    } else {
        if (w->given == 0) { /* it will stand at a mark */
            w->given = 1;
            w->ops[1].key = KEYS;
        }
        rv = wal_compact_logs(&w->shown, w, list_keys, get_value);
        (void)snprintf(info.message, sizeof info.message, "%s",
                       persist_errmsg());
    }
    expect(w, rv, &info);
    w->n_compactions += rv == 0;
}

static void step(struct world *w)
{
    struct err_info info = {0, ""};
    uint64_t what = below(&w->sim, 100);
    if (what < 75) {
        step_append(w);
    } else if (what < 85) {
        expect(w, commit_force(w->wal, &info), &info);
    } else if (what < 92) {
        step_compact(w);
    } else if (what < 95) {
        wal_cleanup_old_logs(&w->shown, below(&w->sim, w->given + 2));
    } else {
        pthread_mutex_lock(&w->wal->gather_lock);
        service_tick(w->wal);
        pthread_mutex_unlock(&w->wal->gather_lock);
    }
    observe(w);
}

/* ---- lives ----------------------------------------------------------------*/

static int try_open(struct world *w)
{
    struct err_info info = {0, ""};
    int rv;
    memset(&w->shown, 0, sizeof w->shown);
    rv = wal_private_open(&w->shown, dir, false, &environment, &w->wal, &info);
    expect(w, rv, &info);
    if (rv != 0) {
        w->wal = NULL;
        return rv;
    }
    w->shown.wal_private = w->wal;
    w->wal->options[WAL_OPTION_COMPACT_MEMORY] = 8192 + below(&w->sim, 100000);
    return 0;
}

static void let_go(struct world *w)
{
    if (w->wal != NULL) {
        wal_private_close(w->wal);
        w->wal = NULL;
        w->shown.wal_private = NULL;
    }
}

static void crash(struct world *w)
{
    bool power_cut = chance(&w->sim, 600);
    sim_disk_freeze(&w->sim.disk); /* what close would write never arrives */
    let_go(w);
    w->sim.freeze_in = 0;
    sim_disk_crash(&w->sim.disk, power_cut);
    w->n_crashes++;
}

static int on_replay(void *ctx, uint8_t op, const char *key, const char *value)
{
    unsigned *state = ctx;
    unsigned k = (unsigned)strtoul(key + 4, NULL, 10);
    assert_true(k < KEYS);
    state[k] = op == WAL_OP_DEL ? 0 : (unsigned)strtoul(value, NULL, 10);
    return 0;
}

static bool is_explained(const char *path)
{
    static const char *const ends[] = {
        "/identity",    "/LOCK",     "/reserve", "/hardstate.0",
        "/hardstate.1", "/MANIFEST", ".seg",     ".free"};
    const char *name = strrchr(path, '/') + 1;
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t m = strlen(ends[i]);
        if (n >= m && strcmp(path + n - m, ends[i]) == 0) {
            return true;
        }
    }
    return strncmp(name, "torn-", 5) == 0 ||
           (strstr(path, "/incoming/") == NULL &&
            (strncmp(name, "base-", 5) == 0 ||
             strncmp(name, "delta-", 6) == 0));
}

static void check(struct world *w)
{
    struct err_info info = {0, ""};
    unsigned expected[KEYS];
    unsigned found[KEYS] = {0};
    uint64_t last = w->wal->last_seq;
    if (last < w->durable || last > w->given) {
        fail_msg("seed %llu: %llu entries came back, %llu were durable, %llu "
                 "given",
                 (unsigned long long)w->sim.seed, (unsigned long long)last,
                 (unsigned long long)w->durable, (unsigned long long)w->given);
    }
    w->n_lost += w->given - last;
    state_at(w, last, expected);
    if (recover_replay(w->wal, on_replay, found, &info) != 0) {
        fail_msg("seed %llu: %s", (unsigned long long)w->sim.seed,
                 info.message);
    }
    for (unsigned k = 0; k < KEYS; k++) {
        if (found[k] != expected[k]) {
            fail_msg("seed %llu: key %u has value %u after %llu operations, "
                     "not %u",
                     (unsigned long long)w->sim.seed, k, found[k],
                     (unsigned long long)last, expected[k]);
        }
    }
    for (size_t i = 0; i < sim_disk_n_files(&w->sim.disk); i++) {
        uint64_t size;
        const char *path = sim_disk_file(&w->sim.disk, i, &size);
        if (!is_explained(path)) {
            fail_msg("seed %llu: %s is left", (unsigned long long)w->sim.seed,
                     path);
        }
    }
    w->given = last;
    w->durable = last;
}

static void begin_life(struct world *w)
{
    uint64_t last;
    while (chance(&w->sim, 300)) {
        w->sim.freeze_in = sim_random_range(&w->sim.random, 1, 40);
        (void)try_open(w);
        crash(w);
    }
    assert_int_equal(try_open(w), 0);
    if (chance(&w->sim, 300)) {
        last = w->wal->last_seq;
        crash(w);
        assert_int_equal(try_open(w), 0);
        assert_int_equal(w->wal->last_seq, last);
    }
    check(w);
}

static void end_life(struct world *w)
{
    if (w->sim.disk.frozen || chance(&w->sim, 700)) {
        crash(w);
        return;
    }
    if (chance(&w->sim, 400)) {
        w->sim.freeze_in = sim_random_range(&w->sim.random, 1, 20);
        let_go(w);
    } else {
        let_go(w);
        if (!w->sim.disk.frozen) {
            w->durable = w->given; /* a clean close takes all with it */
        }
    }
    crash(w);
}

static void world_open(struct world *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    present = w;
    seeded_disk_open(&w->sim, seed);
    w->ops = calloc(OPS_MAX, sizeof *w->ops);
    assert_non_null(w->ops);
}

static void world_close(struct world *w)
{
    seeded_disk_close(&w->sim);
    free(w->ops);
}

static uint64_t first_seed = 1;
static uint64_t n_seeds = 300;

static void test_crash_wal_keeps_what_was_durable(void **state)
{
    struct world *w = malloc(sizeof *w);
    uint64_t n_crashes = 0;
    uint64_t n_ops = 0;
    uint64_t n_compactions = 0;
    uint64_t n_lost = 0;
    (void)state;
    assert_non_null(w);
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FILE_SIZE), 0);
    for (uint64_t i = 0; i < n_seeds; i++) {
        world_open(w, first_seed + i);
        for (int life = 0; life < LIVES; life++) {
            uint64_t n = sim_random_range(&w->sim.random, 1, 2 * STEPS);
            begin_life(w);
            if (chance(&w->sim, 500)) {
                w->sim.freeze_in = sim_random_range(&w->sim.random, 1, 400);
            }
            while (n-- > 0 && !w->sim.disk.frozen) {
                step(w);
            }
            end_life(w);
        }
        n_crashes += w->n_crashes;
        n_ops += w->n_ops;
        n_compactions += w->n_compactions;
        n_lost += w->n_lost;
        world_close(w);
        assert_int_equal(block_bytes_in_use(), 0);
    }
    free(w);
    print_message("%llu seeds: %llu crashes, %llu operations, %llu "
                  "compactions, %llu lost that were not durable\n",
                  (unsigned long long)n_seeds, (unsigned long long)n_crashes,
                  (unsigned long long)n_ops, (unsigned long long)n_compactions,
                  (unsigned long long)n_lost);
    /* A run that did too little is void. */
    assert_true(n_crashes >= 5 * n_seeds && n_ops >= 100 * n_seeds);
    assert_true(n_compactions >= 5 * n_seeds && n_lost >= n_seeds);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crash_wal_keeps_what_was_durable),
    };
    seeds_from_args(argc, argv, &first_seed, &n_seeds);
    return cmocka_run_group_tests_name("persist_crash", tests, NULL, NULL);
}
