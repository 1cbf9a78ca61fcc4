/* What the embedding API costs, beside a raw device in the same run.
 *
 *     persist_bench DIRECTORY [--json FILE] [--svg FILE] [--baseline FILE]
 *                   [--quick] [--only PART]
 *
 * Keys of 32 bytes and values of 128 unless a case says otherwise. The raw
 * device: writes into a file whose blocks were written before, and fdatasync,
 * with as many bytes as the log writes for the same batch. Cases that are
 * compared take turns, so that a busy machine strikes both. --baseline compares
 * the ratios and ends with 1 when one is worse than its tolerance. --quick:
 * a tenth of everything, for a look; its ratios are not for the baseline.
 * --only: memory, sync, force, async, compaction, effect (of compaction on
 * appends) or recovery; a baseline has no sense then. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/persist_bench.h"

enum { ROUNDS = 10, BATCH = 100, BLOCK = 4096 };

/* ---- what syncs -----------------------------------------------------------*/

static void raw_durable_write(struct raw *r, size_t bytes, struct histogram *h)
{
    uint64_t start = bench_now_ns();
    raw_write(r, bytes);
    raw_sync(r);
    histogram_record(h, bench_now_ns() - start);
}

void bench_sync(void)
{
    static const unsigned n_threads[] = {1, 4, 8};
    struct report *r = &bench.report;
    struct report_case *raw_case = report_case(r, "raw fdatasync 4 KiB");
    struct report_case *cases[3];
    double seconds[3] = {0, 0, 0};
    unsigned n = 300 / bench.scale;
    double raw_seconds = 0;
    struct raw raw;
    wal_t wal;
    cases[0] = report_case(r, "sync append, 1 thread");
    cases[1] = report_case(r, "sync append, 4 threads");
    cases[2] = report_case(r, "sync append, 8 threads");
    bench_set_value(BENCH_VALUE_SIZE);
    raw_open(&raw, RAW_PIECE_MAX);
    bench_open_wal(&wal, "sync", 1);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = bench_now_ns();
        for (unsigned i = 0; i < n; i++) {
            raw_durable_write(&raw, BLOCK, &raw_case->ns);
        }
        raw_seconds += bench_seconds_since(start);
        for (unsigned c = 0; c < 3; c++) {
            seconds[c] +=
                bench_append_threads(&wal, n_threads[c], n, &cases[c]->ns);
        }
    }
    raw_case->per_second = ROUNDS * n / raw_seconds;
    for (unsigned c = 0; c < 3; c++) {
        cases[c]->per_second = ROUNDS * n * n_threads[c] / seconds[c];
    }
    wal_destroy(&wal);
    raw_close(&raw);
    report_ratio(r, "sync_mean_to_raw",
                 histogram_mean(&cases[0]->ns) / histogram_mean(&raw_case->ns),
                 true);
    report_ratio(r, "sync_4_threads_to_1",
                 cases[1]->per_second / cases[0]->per_second, false);
    report_ratio(r, "sync_8_threads_to_1",
                 cases[2]->per_second / cases[0]->per_second, false);
}

/* After each batch of appends that wait for nothing, one force_sync; beside a
 * raw write of as many bytes. */
void bench_force_sync(void)
{
    struct report *r = &bench.report;
    struct report_case *raw_case =
        report_case(r, "raw fdatasync of a batch of 100");
    struct report_case *c = report_case(r, "force_sync, batch of 100");
    unsigned n = 1000 / bench.scale;
    persist_stats_t before;
    persist_stats_t after;
    size_t bytes;
    struct raw raw;
    wal_t wal;
    bench_set_value(BENCH_VALUE_SIZE);
    raw_open(&raw, RAW_PIECE_MAX);
    bench_open_wal(&wal, "force", 0);
    bench_option(&wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_INTERVAL);
    bytes =
        (112 + BATCH * (BENCH_KEY_SIZE + BENCH_VALUE_SIZE + 5) + BLOCK - 1) /
        BLOCK * BLOCK;
    bench_check(wal_get_stats(&wal, &before));
    for (unsigned round = 0; round < n; round++) {
        uint64_t start;
        raw_durable_write(&raw, bytes, &raw_case->ns);
        for (unsigned i = 0; i < BATCH; i++) {
            bench_append(&wal, i, NULL);
        }
        start = bench_now_ns();
        bench_check(wal_force_sync(&wal));
        histogram_record(&c->ns, bench_now_ns() - start);
    }
    bench_check(wal_get_stats(&wal, &after));
    if (after.total_log_size - before.total_log_size != n * bytes) {
        bench_fail("a batch has not the bytes that the raw write has");
    }
    wal_destroy(&wal);
    raw_close(&raw);
    report_ratio(r, "force_sync_mean_to_raw",
                 histogram_mean(&c->ns) / histogram_mean(&raw_case->ns), true);
}

/* ---- main -----------------------------------------------------------------*/

struct part {
    const char *name;
    void (*run)(void);
};

/* Memory first, while nothing else has taken any. */
static const struct part parts[] = {
    {"memory", bench_memory},         {"sync", bench_sync},
    {"force", bench_force_sync},      {"async", bench_async},
    {"compaction", bench_compaction}, {"effect", bench_effect},
    {"recovery", bench_recovery}};

enum { N_PARTS = sizeof parts / sizeof parts[0] };

static int run_parts(const char *only)
{
    int n_run = 0;
    for (unsigned i = 0; i < N_PARTS; i++) {
        if (only == NULL || strcmp(only, parts[i].name) == 0) {
            parts[i].run();
            n_run++;
        }
    }
    return n_run;
}

static int usage(void)
{
    fprintf(stderr, "usage: persist_bench DIRECTORY [--json FILE] [--svg FILE] "
                    "[--baseline FILE] [--quick] [--only PART]\n");
    return 2;
}

static void form(const char *path,
                 int (*make)(const struct report *, const char *))
{
    int rv = path == NULL ? 0 : make(&bench.report, path);
    if (rv != 0) {
        errno = rv;
        bench_die(path);
    }
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    const char *svg = NULL;
    const char *baseline = NULL;
    const char *only = NULL;
    int n_worse = 0;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--quick") == 0) {
            bench.scale = 10;
        } else if (strcmp(argv[i], "--json") == 0 && has_value) {
            json = argv[++i];
        } else if (strcmp(argv[i], "--svg") == 0 && has_value) {
            svg = argv[++i];
        } else if (strcmp(argv[i], "--baseline") == 0 && has_value) {
            baseline = argv[++i];
        } else if (strcmp(argv[i], "--only") == 0 && has_value) {
            only = argv[++i];
        } else if (argv[i][0] != '-' && bench.directory == NULL) {
            bench.directory = argv[i];
        } else {
            return usage();
        }
    }
    if (bench.directory == NULL) {
        return usage();
    }
    if (mkdir(bench.directory, 0700) != 0 && errno != EEXIST) {
        bench_die(bench.directory);
    }
    if (run_parts(only) == 0) {
        return usage();
    }
    report_table(&bench.report, stdout);
    form(json, report_json);
    form(svg, report_svg);
    if (baseline != NULL) {
        printf("\n");
        n_worse = report_compare(&bench.report, baseline, stdout);
        if (n_worse < 0) {
            fprintf(stderr, "persist_bench: cannot read %s\n", baseline);
        }
    }
    return n_worse == 0 ? 0 : 1;
}
