/* What compaction takes, saves, and costs the appends beside it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/persist_bench.h"

enum {
    PAIRS = 10,
    FILL = 50000,          /* entries before each round */
    CHECK_EACH = 50,       /* appends; asking takes a lock */
    APPENDS_MIN = 1000,    /* of all rounds of a kind; below it a run is void */
    ROUND_SECONDS_MAX = 30 /* a compaction that has not ended by then never
                            * will */
};

struct engine {
    unsigned n_keys;
};

static int get_all_keys(void *engine, char ***keys, int *count)
{
    struct engine *e = engine;
    *keys = malloc(e->n_keys * sizeof **keys);
    if (*keys == NULL) {
        return -1;
    }
    for (unsigned i = 0; i < e->n_keys; i++) {
        (*keys)[i] = malloc(BENCH_KEY_SIZE + 1);
        if ((*keys)[i] == NULL) {
            bench_die("memory");
        }
        bench_make_key((*keys)[i], i);
    }
    *count = (int)e->n_keys;
    return 0;
}

static int get_value(void *engine, const char *key, char **value)
{
    (void)engine;
    (void)key;
    *value = strdup(bench_value());
    return *value == NULL ? -1 : 0;
}

static void stop_compaction(wal_t *wal)
{
    __atomic_store_n(&wal->compact_running, 0, __ATOMIC_RELAXED);
}

static uint64_t n_compactions(wal_t *wal)
{
    persist_stats_t stats;
    bench_check(wal_get_stats(wal, &stats));
    return stats.compact_ops;
}

/* ---- time and bytes -------------------------------------------------------*/

static void by_hand(struct engine *engine)
{
    uint64_t start;
    wal_t wal;
    bench_open_wal(&wal, "compact-hand", 0);
    bench_overwrite(&wal, engine->n_keys, 10);
    start = bench_now_ns();
    bench_check(wal_compact_logs(&wal, engine, get_all_keys, get_value));
    report_figure(&bench.report, "compaction by hand, 100 k entries",
                  bench_seconds_since(start), "s");
    wal_destroy(&wal);
}

static void by_itself(struct engine *engine)
{
    struct report *r = &bench.report;
    persist_stats_t before;
    persist_stats_t after;
    uint64_t start;
    wal_t wal;
    bench_open_wal(&wal, "compact-log", 0);
    bench_option(&wal, WAL_OPTION_COMPACT_RATE, 0);
    bench_option(&wal, WAL_OPTION_COMPACT_CPU_PERCENT, 100);
    bench_overwrite(&wal, engine->n_keys, 10);
    bench_check(wal_get_stats(&wal, &before));
    start = bench_now_ns();
    bench_check(wal_start_compaction(&wal, NULL, bench_no_keys));
    do {
        usleep(1000);
        bench_check(wal_get_stats(&wal, &after));
    } while (after.compact_seq < before.last_seq &&
             bench_seconds_since(start) < ROUND_SECONDS_MAX);
    report_figure(r, "compaction by itself, 100 k entries",
                  bench_seconds_since(start), "s");
    report_figure(r, "log before it", (double)before.total_log_size / 1e6,
                  "MB");
    report_figure(r, "base after it", (double)after.compressed_log_size / 1e6,
                  "MB");
    report_ratio(
        r, "compaction_saves",
        1 - (double)(after.total_log_size + after.compressed_log_size) /
                (double)before.total_log_size,
        false);
    wal_destroy(&wal);
}

void bench_compaction(void)
{
    struct engine engine = {10000 / bench.scale};
    by_hand(&engine);
    by_itself(&engine);
}

/* ---- what appends feel ----------------------------------------------------*/

/* FILL entries that are superseded for the most part: work for a compaction,
 * and the same writes before a round without one. */
static void fill(wal_t *wal, unsigned n_keys)
{
    bench_option(wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_BATCH);
    for (unsigned i = 0; i < FILL / bench.scale; i++) {
        bench_set_random_value();
        bench_append(wal, i % n_keys, NULL);
    }
    bench_check(wal_force_sync(wal));
    bench_option(wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_ALWAYS);
}

/* Synced appends: while a compaction runs, from its start to its end, or n of
 * them without one. Returns how many. */
static unsigned appends(wal_t *wal, unsigned n_keys, bool with, unsigned n,
                        struct histogram *h)
{
    uint64_t before = n_compactions(wal);
    uint64_t start = bench_now_ns();
    unsigned done = 0;
    if (with) {
        bench_check(wal_start_compaction(wal, NULL, bench_no_keys));
    }
    for (;;) {
        for (unsigned i = 0; i < CHECK_EACH; i++) {
            bench_append(wal, done++ % n_keys, h);
        }
        /* Asked in both, as asking has its price. */
        if (n_compactions(wal) > before ? with : !with && done >= n) {
            break;
        }
        if (bench_seconds_since(start) > ROUND_SECONDS_MAX) {
            bench_fail("a compaction beside appends does not end");
        }
    }
    stop_compaction(wal);
    return done;
}

static double ratio(const struct histogram *on, const struct histogram *off,
                    double share)
{
    return (double)histogram_quantile(on, share) /
           (double)histogram_quantile(off, share);
}

/* In pairs of rounds, first with compaction, then as many appends without. */
void bench_effect(void)
{
    struct report *r = &bench.report;
    struct report_case *off = report_case(r, "sync append, no compaction");
    struct report_case *on = report_case(r, "sync append while compacting");
    unsigned n_keys = 10000 / bench.scale;
    persist_stats_t stats;
    unsigned n = 0;
    wal_t wal;
    bench_open_wal(&wal, "effect", 0);
    bench_option(&wal, WAL_OPTION_COMPACT_PAUSE_MS, 0);
    for (unsigned pair = 0; pair < PAIRS; pair++) {
        fill(&wal, n_keys);
        n = appends(&wal, n_keys, true, 0, &on->ns);
        fill(&wal, n_keys);
        (void)appends(&wal, n_keys, false, n, &off->ns);
    }
    bench_check(wal_get_stats(&wal, &stats));
    if (stats.compact_ops < PAIRS || on->ns.n < APPENDS_MIN / bench.scale) {
        bench_fail("too little was compacted beside the appends");
    }
    report_figure(r, "compactions meanwhile", (double)stats.compact_ops, "");
    report_figure(r, "one of them, mean", stats.compaction.mean / 1000, "ms");
    report_figure(r, "appends beside each", (double)on->ns.n / PAIRS, "");
    report_ratio(r, "mean_with_compaction_to_without",
                 histogram_mean(&on->ns) / histogram_mean(&off->ns), true);
    report_ratio(r, "p99_with_compaction_to_without",
                 ratio(&on->ns, &off->ns, 0.99), true);
    report_ratio(r, "p99.9_with_compaction_to_without",
                 ratio(&on->ns, &off->ns, 0.999), true);
    wal_destroy(&wal);
}
