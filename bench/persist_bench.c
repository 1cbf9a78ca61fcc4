/* What the embedding API costs, beside a raw device in the same run.
 *
 *     persist_bench DIRECTORY [--json FILE] [--svg FILE] [--baseline FILE]
 *                   [--quick]
 *
 * Keys of 32 bytes and values of 128 unless a case says otherwise. The raw
 * device: pwrite into a file whose blocks were written before, and fdatasync,
 * with as many bytes as the log writes for the same batch. Cases that are
 * compared take turns, so that a busy machine strikes both. --baseline compares
 * the ratios and ends with 1 when one is worse than its tolerance. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench/persist_report.h"
#include "persist/kv_persist.h"

enum {
    RAW_FILE_BYTES = 16 * 1024 * 1024,
    ROUNDS = 10,
    THREADS_MAX = 8,
    KEY_SIZE = 32,
    VALUE_MAX = 64 * 1024,
    BATCH = 100
};

static struct report report;
static const char *directory;
static unsigned scale = 1; /* --quick divides counts by 10 */

static void die(const char *what)
{
    fprintf(stderr, "persist_bench: %s: %s\n", what,
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

static void check(int rv)
{
    if (rv != 0) {
        fprintf(stderr, "persist_bench: %s\n", persist_errmsg());
        exit(1);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double seconds_since(uint64_t start)
{
    return (double)(now_ns() - start) / 1e9;
}

static double rss_mib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size;
    unsigned long resident = 0;
    if (f == NULL || fscanf(f, "%lu %lu", &size, &resident) != 2) {
        die("/proc/self/statm");
    }
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1024 * 1024);
}

/* ---- the raw device -------------------------------------------------------*/

struct raw {
    int fd;
    char *block;
    size_t offset;
};

static void raw_open(struct raw *r)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/raw", directory);
    r->fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    r->block = calloc(1, RAW_FILE_BYTES);
    r->offset = 0;
    if (r->fd < 0 || r->block == NULL ||
        pwrite(r->fd, r->block, RAW_FILE_BYTES, 0) != RAW_FILE_BYTES ||
        fsync(r->fd) != 0) {
        die(path);
    }
}

static void raw_close(struct raw *r)
{
    close(r->fd);
    free(r->block);
}

static void raw_write(struct raw *r, size_t bytes, struct histogram *h)
{
    uint64_t start = now_ns();
    if (r->offset + bytes > RAW_FILE_BYTES) {
        r->offset = 0;
    }
    r->block[0]++;
    if (pwrite(r->fd, r->block, bytes, (off_t)r->offset) != (ssize_t)bytes ||
        fdatasync(r->fd) != 0) {
        die("raw file");
    }
    r->offset += bytes;
    histogram_record(h, now_ns() - start);
}

/* ---- the log --------------------------------------------------------------*/

static void wal_path(char out[4096], const char *name)
{
    snprintf(out, 4096, "%s/%s", directory, name);
}

static void open_wal(wal_t *wal, const char *name, int sync)
{
    char path[4096];
    wal_path(path, name);
    check(wal_init(wal, path, sync));
}

static char value_bytes[VALUE_MAX + 1];

static void set_value_size(size_t size)
{
    memset(value_bytes, 'v', size);
    value_bytes[size] = '\0';
}

static void make_key(char key[KEY_SIZE + 1], unsigned i)
{
    snprintf(key, KEY_SIZE + 1, "key-%028u", i);
}

static void append(wal_t *wal, unsigned i, struct histogram *h)
{
    char key[KEY_SIZE + 1];
    uint64_t start;
    make_key(key, i);
    start = now_ns();
    check(wal_append(wal, WAL_OP_SET, key, value_bytes));
    histogram_record(h, now_ns() - start);
}

struct worker {
    pthread_t thread;
    wal_t *wal;
    unsigned n;
    struct histogram ns;
};

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    for (unsigned i = 0; i < w->n; i++) {
        append(w->wal, i, &w->ns);
    }
    return NULL;
}

/* n appends by each of so many threads; seconds. */
static double run_threads(wal_t *wal, unsigned n_threads, unsigned n,
                          struct histogram *h)
{
    static struct worker workers[THREADS_MAX];
    uint64_t start = now_ns();
    double seconds;
    for (unsigned i = 0; i < n_threads; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].wal = wal;
        workers[i].n = n;
        if (pthread_create(&workers[i].thread, NULL, worker_main,
                           &workers[i]) != 0) {
            die("thread");
        }
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    seconds = seconds_since(start);
    for (unsigned i = 0; i < n_threads; i++) {
        histogram_merge(h, &workers[i].ns);
    }
    return seconds;
}

/* ---- cases ----------------------------------------------------------------*/

static void bench_sync(void)
{
    static const unsigned n_threads[] = {1, 4, 8};
    struct report_case *raw_case = report_case(&report, "raw fdatasync 4 KiB");
    struct report_case *cases[3];
    double seconds[3] = {0, 0, 0};
    unsigned n = 300 / scale;
    double raw_seconds = 0;
    struct raw raw;
    wal_t wal;
    cases[0] = report_case(&report, "sync append, 1 thread");
    cases[1] = report_case(&report, "sync append, 4 threads");
    cases[2] = report_case(&report, "sync append, 8 threads");
    set_value_size(128);
    raw_open(&raw);
    open_wal(&wal, "sync", 1);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now_ns();
        for (unsigned i = 0; i < n; i++) {
            raw_write(&raw, 4096, &raw_case->ns);
        }
        raw_seconds += seconds_since(start);
        for (unsigned c = 0; c < 3; c++) {
            seconds[c] += run_threads(&wal, n_threads[c], n, &cases[c]->ns);
        }
    }
    raw_case->per_second = ROUNDS * n / raw_seconds;
    for (unsigned c = 0; c < 3; c++) {
        cases[c]->per_second = ROUNDS * n * n_threads[c] / seconds[c];
    }
    wal_destroy(&wal);
    raw_close(&raw);
    report_ratio(&report, "sync_mean_to_raw",
                 histogram_mean(&cases[0]->ns) / histogram_mean(&raw_case->ns),
                 true);
    report_ratio(&report, "sync_4_threads_to_1",
                 cases[1]->per_second / cases[0]->per_second, false);
    report_ratio(&report, "sync_8_threads_to_1",
                 cases[2]->per_second / cases[0]->per_second, false);
}

/* After each batch of appends that wait for nothing, one force_sync; beside a
 * raw write of as many bytes. */
static void bench_force_sync(void)
{
    struct report_case *raw_case =
        report_case(&report, "raw fdatasync of a batch of 100");
    struct report_case *c = report_case(&report, "force_sync, batch of 100");
    static struct histogram ignored;
    persist_stats_t before;
    persist_stats_t after;
    size_t bytes;
    struct raw raw;
    wal_t wal;
    set_value_size(128);
    raw_open(&raw);
    open_wal(&wal, "force", 0);
    check(wal_set_option(&wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_INTERVAL));
    bytes = (112 + BATCH * (KEY_SIZE + 128 + 5) + 4095) / 4096 * 4096;
    check(wal_get_stats(&wal, &before));
    for (unsigned round = 0; round < 1000 / scale; round++) {
        uint64_t start;
        raw_write(&raw, bytes, &raw_case->ns);
        for (unsigned i = 0; i < BATCH; i++) {
            append(&wal, i, &ignored);
        }
        start = now_ns();
        check(wal_force_sync(&wal));
        histogram_record(&c->ns, now_ns() - start);
    }
    check(wal_get_stats(&wal, &after));
    if (after.total_log_size - before.total_log_size != 1000 / scale * bytes) {
        fprintf(stderr, "persist_bench: a batch is not of %zu bytes\n", bytes);
        exit(1);
    }
    wal_destroy(&wal);
    raw_close(&raw);
    report_ratio(&report, "force_sync_mean_to_raw",
                 histogram_mean(&c->ns) / histogram_mean(&raw_case->ns), true);
}

static void bench_async_threads(unsigned n_threads, size_t value_size,
                                unsigned n, const char *name)
{
    struct report_case *c = report_case(&report, name);
    char figure[REPORT_NAME_MAX];
    uint64_t start;
    double seconds;
    wal_t wal;
    n /= scale;
    set_value_size(value_size);
    open_wal(&wal, name, 0);
    start = now_ns();
    seconds = run_threads(&wal, n_threads, n / n_threads, &c->ns);
    c->per_second = n / seconds;
    check(wal_force_sync(&wal));
    seconds = seconds_since(start);
    snprintf(figure, sizeof figure, "%s, durable", name);
    report_figure(&report, figure, n / seconds, "per second");
    wal_destroy(&wal);
}

static void bench_async(void)
{
    bench_async_threads(1, 128, 1000000, "async append, 1 thread");
    bench_async_threads(4, 128, 1000000, "async append, 4 threads");
    bench_async_threads(1, 16, 1000000, "async append, 16 B values");
    bench_async_threads(1, 1024, 200000, "async append, 1 KiB values");
    bench_async_threads(1, 16384, 20000, "async append, 16 KiB values");
}

/* ---- compaction -----------------------------------------------------------*/

struct engine {
    unsigned n_keys;
    uint64_t n_replayed;
};

static int get_all_keys(void *engine, char ***keys, int *count)
{
    struct engine *e = engine;
    *keys = malloc(e->n_keys * sizeof **keys);
    if (*keys == NULL) {
        return -1;
    }
    for (unsigned i = 0; i < e->n_keys; i++) {
        (*keys)[i] = malloc(KEY_SIZE + 1);
        if ((*keys)[i] == NULL) {
            die("memory");
        }
        make_key((*keys)[i], i);
    }
    *count = (int)e->n_keys;
    return 0;
}

static int get_value(void *engine, const char *key, char **value)
{
    (void)engine;
    (void)key;
    *value = strdup(value_bytes);
    return *value == NULL ? -1 : 0;
}

/* Values that do not compress: what is saved is saved by keys. */
static void set_random_value(void)
{
    static uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < 128; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        value_bytes[i] = (char)('!' + x % 90);
    }
    value_bytes[128] = '\0';
}

static void fill_overwrites(wal_t *wal, unsigned n_keys, unsigned n_rounds)
{
    static struct histogram ignored;
    for (unsigned round = 0; round < n_rounds; round++) {
        for (unsigned i = 0; i < n_keys; i++) {
            set_random_value();
            append(wal, i, &ignored);
        }
    }
    check(wal_force_sync(wal));
}

static void bench_compaction(void)
{
    struct engine engine = {10000 / scale, 0};
    persist_stats_t before;
    persist_stats_t after;
    uint64_t start;
    wal_t wal;
    open_wal(&wal, "compact-hand", 0);
    fill_overwrites(&wal, engine.n_keys, 10);
    check(wal_get_stats(&wal, &before));
    start = now_ns();
    check(wal_compact_logs(&wal, &engine, get_all_keys, get_value));
    report_figure(&report, "compaction by hand, 100 k entries",
                  seconds_since(start), "s");
    wal_destroy(&wal);

    open_wal(&wal, "compact-log", 0);
    check(wal_set_option(&wal, WAL_OPTION_COMPACT_RATE, 0));
    check(wal_set_option(&wal, WAL_OPTION_COMPACT_CPU_PERCENT, 100));
    fill_overwrites(&wal, engine.n_keys, 10);
    check(wal_get_stats(&wal, &before));
    start = now_ns();
    check(wal_start_compaction(&wal, &engine, get_all_keys));
    do {
        usleep(1000);
        check(wal_get_stats(&wal, &after));
    } while (after.compact_seq < before.last_seq && seconds_since(start) < 60);
    report_figure(&report, "compaction by itself, 100 k entries",
                  seconds_since(start), "s");
    report_figure(&report, "log before it", (double)before.total_log_size / 1e6,
                  "MB");
    report_figure(&report, "base after it",
                  (double)after.compressed_log_size / 1e6, "MB");
    report_ratio(
        &report, "compaction_saves",
        1 - (double)(after.total_log_size + after.compressed_log_size) /
                (double)before.total_log_size,
        false);
    wal_destroy(&wal);
}

/* p99 of synced appends with compaction at work and without, in turns. */
static void bench_compaction_effect(void)
{
    struct report_case *off =
        report_case(&report, "sync append, no compaction");
    struct report_case *on = report_case(&report, "sync append, compaction on");
    struct engine engine = {10000, 0};
    static struct histogram ignored;
    persist_stats_t stats;
    wal_t wal;
    open_wal(&wal, "effect", 0);
    check(wal_set_option(&wal, WAL_OPTION_COMPACT_PAUSE_MS, 0));
    for (unsigned round = 0; round < ROUNDS; round++) {
        bool with = round % 2 == 1;
        check(wal_set_option(&wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_BATCH));
        for (unsigned i = 0; i < 50000 / scale; i++) {
            append(&wal, i % engine.n_keys, &ignored);
        }
        check(wal_force_sync(&wal));
        check(wal_set_option(&wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_ALWAYS));
        if (with) {
            check(wal_start_compaction(&wal, &engine, get_all_keys));
        } else {
            __atomic_store_n(&wal.compact_running, 0, __ATOMIC_RELAXED);
        }
        for (unsigned i = 0; i < 1000 / scale; i++) {
            append(&wal, i % engine.n_keys, with ? &on->ns : &off->ns);
        }
    }
    check(wal_get_stats(&wal, &stats));
    report_figure(&report, "compactions meanwhile", (double)stats.compact_ops,
                  "");
    report_ratio(&report, "p99_with_compaction_to_without",
                 (double)histogram_quantile(&on->ns, 0.99) /
                     (double)histogram_quantile(&off->ns, 0.99),
                 true);
    wal_destroy(&wal);
}

/* ---- recovery and memory --------------------------------------------------*/

static int count_op(void *engine, uint8_t op, const char *key,
                    const char *value)
{
    struct engine *e = engine;
    (void)op;
    (void)key;
    (void)value;
    e->n_replayed++;
    return 0;
}

struct watch {
    pthread_t thread;
    bool stop; /* atomic */
    double max_mib;
};

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        double mib = rss_mib();
        w->max_mib = mib > w->max_mib ? mib : w->max_mib;
        usleep(5000);
    }
    return NULL;
}

static void stage(struct watch *w, const char *name)
{
    char figure[REPORT_NAME_MAX];
    snprintf(figure, sizeof figure, "resident, %s", name);
    report_figure(&report, figure, w->max_mib, "MiB at most");
    w->max_mib = 0;
}

/* A million live keys: write, compact, reopen, replay. */
static void bench_memory(void)
{
    struct engine engine = {1000000 / scale, 0};
    struct watch watch;
    persist_stats_t stats;
    uint64_t start;
    wal_t wal;
    memset(&watch, 0, sizeof watch);
    if (pthread_create(&watch.thread, NULL, watch_main, &watch) != 0) {
        die("thread");
    }
    usleep(50000);
    stage(&watch, "before");
    open_wal(&wal, "memory", 0);
    fill_overwrites(&wal, engine.n_keys, 1);
    stage(&watch, "1 M keys appended");
    wal_destroy(&wal);
    start = now_ns();
    open_wal(&wal, "memory", 0);
    report_figure(&report, "open, 1 M entries", seconds_since(start), "s");
    start = now_ns();
    check(wal_recover(&wal, &engine, count_op));
    report_figure(&report, "replay, 1 M entries", seconds_since(start), "s");
    if (engine.n_replayed != engine.n_keys) {
        fprintf(stderr, "persist_bench: entries are missing\n");
        exit(1);
    }
    stage(&watch, "1 M entries replayed");
    check(wal_set_option(&wal, WAL_OPTION_COMPACT_RATE, 0));
    check(wal_set_option(&wal, WAL_OPTION_COMPACT_CPU_PERCENT, 100));
    check(wal_set_option(&wal, WAL_OPTION_COMPACT_LOG_BYTES, 1));
    start = now_ns();
    check(wal_start_compaction(&wal, &engine, get_all_keys));
    do {
        usleep(5000);
        check(wal_get_stats(&wal, &stats));
    } while (stats.compact_seq < stats.last_seq && seconds_since(start) < 120);
    report_figure(&report, "compaction, 1 M different keys",
                  seconds_since(start), "s");
    stage(&watch, "1 M keys compacted");
    engine.n_replayed = 0;
    start = now_ns();
    check(wal_recover(&wal, &engine, count_op));
    report_figure(&report, "replay, base of 1 M keys", seconds_since(start),
                  "s");
    stage(&watch, "base of 1 M keys replayed");
    wal_destroy(&wal);
    __atomic_store_n(&watch.stop, true, __ATOMIC_RELAXED);
    pthread_join(watch.thread, NULL);
}

/* ---- main -----------------------------------------------------------------*/

static int usage(void)
{
    fprintf(stderr, "usage: persist_bench DIRECTORY [--json FILE] [--svg FILE] "
                    "[--baseline FILE] [--quick]\n");
    return 2;
}

static void form(const char *path,
                 int (*make)(const struct report *, const char *))
{
    int rv = path == NULL ? 0 : make(&report, path);
    if (rv != 0) {
        errno = rv;
        die(path);
    }
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    const char *svg = NULL;
    const char *baseline = NULL;
    int n_worse = 0;
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--quick") == 0) {
            scale = 10;
        } else if (strcmp(argv[i], "--json") == 0 && has_value) {
            json = argv[++i];
        } else if (strcmp(argv[i], "--svg") == 0 && has_value) {
            svg = argv[++i];
        } else if (strcmp(argv[i], "--baseline") == 0 && has_value) {
            baseline = argv[++i];
        } else if (argv[i][0] != '-' && directory == NULL) {
            directory = argv[i];
        } else {
            return usage();
        }
    }
    if (directory == NULL) {
        return usage();
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        die(directory);
    }
    bench_memory(); /* first, while nothing else has taken any */
    bench_sync();
    bench_force_sync();
    bench_async();
    bench_compaction();
    bench_compaction_effect();
    report_table(&report, stdout);
    form(json, report_json);
    form(svg, report_svg);
    if (baseline != NULL) {
        printf("\n");
        n_worse = report_compare(&report, baseline, stdout);
        if (n_worse < 0) {
            fprintf(stderr, "persist_bench: cannot read %s\n", baseline);
        }
    }
    return n_worse == 0 ? 0 : 1;
}
