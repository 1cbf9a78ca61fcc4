/* Memory over time at a million live keys, and recovery beside reading the same
 * files. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/persist_bench.h"

enum {
    N_KEYS = 1000000,
    LOOK_US = 5000,
    SAMPLE_MS = 100,
    ROUNDS = 3,
    FILES_MAX = 64,
    READ_BYTES = 1024 * 1024,
    COMPACT_SECONDS_MAX = 120
};

static double resident_mib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size;
    unsigned long resident = 0;
    if (f == NULL || fscanf(f, "%lu %lu", &size, &resident) != 2) {
        bench_die("/proc/self/statm");
    }
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1024 * 1024);
}

/* ---- the watch ------------------------------------------------------------*/

/* Looks often and keeps the highest of each SAMPLE_MS. */
struct watch {
    pthread_t thread;
    pthread_mutex_t lock; /* guards the report's memory */
    bool stop;            /* atomic */
    uint64_t start_ns;
};

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    uint64_t next_ns = w->start_ns;
    double highest = 0;
    while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
        double mib = resident_mib();
        uint64_t now = bench_now_ns();
        pthread_mutex_lock(&w->lock);
        report_stage_saw(&bench.report, mib);
        highest = mib > highest ? mib : highest;
        if (now >= next_ns) {
            report_memory(&bench.report, (double)(now - w->start_ns) / 1e9,
                          highest);
            next_ns += (uint64_t)SAMPLE_MS * 1000000;
            highest = 0;
        }
        pthread_mutex_unlock(&w->lock);
        usleep(LOOK_US);
    }
    return NULL;
}

static void watch_start(struct watch *w)
{
    pthread_mutex_init(&w->lock, NULL);
    w->stop = false;
    w->start_ns = bench_now_ns();
    if (pthread_create(&w->thread, NULL, watch_main, w) != 0) {
        bench_die("thread");
    }
}

static void watch_stop(struct watch *w)
{
    __atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
}

static void stage(struct watch *w, const char *name)
{
    pthread_mutex_lock(&w->lock);
    report_stage(&bench.report, name,
                 (double)(bench_now_ns() - w->start_ns) / 1e9);
    pthread_mutex_unlock(&w->lock);
}

/* ---- memory ---------------------------------------------------------------*/

static int count_op(void *engine, uint8_t op, const char *key,
                    const char *value)
{
    uint64_t *n = engine;
    (void)op;
    (void)key;
    (void)value;
    (*n)++;
    return 0;
}

/* Seconds. */
static double replay(wal_t *wal, uint64_t n_expected)
{
    uint64_t start = bench_now_ns();
    uint64_t n = 0;
    bench_check(wal_recover(wal, &n, count_op));
    if (n != n_expected) {
        bench_fail("replay gives another number of entries");
    }
    return bench_seconds_since(start);
}

static void start_compaction(wal_t *wal)
{
    bench_option(wal, WAL_OPTION_COMPACT_RATE, 0);
    bench_option(wal, WAL_OPTION_COMPACT_CPU_PERCENT, 100);
    bench_option(wal, WAL_OPTION_COMPACT_LOG_BYTES, 1);
    bench_check(wal_start_compaction(wal, NULL, bench_no_keys));
}

/* Until the base covers everything; seconds. */
static double await_compaction(wal_t *wal)
{
    uint64_t start = bench_now_ns();
    persist_stats_t stats;
    do {
        usleep(LOOK_US);
        bench_check(wal_get_stats(wal, &stats));
        if (bench_seconds_since(start) > COMPACT_SECONDS_MAX) {
            bench_fail("a compaction does not end");
        }
    } while (stats.compact_seq < stats.last_seq);
    return bench_seconds_since(start);
}

/* A million live keys: write, reopen, replay, compact, write them again while
 * that is compacted, replay. */
void bench_memory(void)
{
    static struct watch watch;
    unsigned n = N_KEYS / bench.scale;
    wal_t wal;
    watch_start(&watch);
    stage(&watch, "nothing yet");
    usleep(3 * SAMPLE_MS * 1000);
    stage(&watch, "append 1 M keys");
    bench_open_wal(&wal, "memory", 0);
    bench_overwrite(&wal, n, 1);
    stage(&watch, "close and open");
    wal_destroy(&wal);
    bench_open_wal(&wal, "memory", 0);
    stage(&watch, "replay the log");
    (void)replay(&wal, n);
    stage(&watch, "compact 1 M keys");
    start_compaction(&wal);
    report_figure(&bench.report, "compaction, 1 M different keys",
                  await_compaction(&wal), "s");
    stage(&watch, "overwrite all, compacting");
    bench_overwrite(&wal, n, 1);
    (void)await_compaction(&wal);
    stage(&watch, "replay the base");
    (void)replay(&wal, n);
    stage(&watch, "close");
    wal_destroy(&wal);
    usleep(3 * SAMPLE_MS * 1000);
    watch_stop(&watch);
}

/* ---- recovery -------------------------------------------------------------*/

struct part {
    char path[BENCH_PATH_MAX];
    uint64_t bytes;
};

struct parts {
    struct part files[FILES_MAX];
    size_t n;
};

static void list_log(wal_t *wal, const char *name, struct parts *p)
{
    static wal_file_info_t files[FILES_MAX];
    bench_check(wal_list_files(wal, files, FILES_MAX, &p->n));
    if (p->n > FILES_MAX) {
        bench_fail("too many files");
    }
    for (size_t i = 0; i < p->n; i++) {
        char in[256];
        snprintf(in, sizeof in, "%.100s/log/%.64s", name, files[i].name);
        bench_path(p->files[i].path, in);
        p->files[i].bytes = files[i].used_bytes;
    }
}

/* So that neither reader finds them in memory. */
static void forget(const struct parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        int fd = open(p->files[i].path, O_RDONLY);
        if (fd < 0 || fdatasync(fd) != 0 ||
            (errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)) != 0) {
            bench_die(p->files[i].path);
        }
        close(fd);
    }
}

/* Seconds. */
static double read_raw(const struct parts *p, uint64_t *bytes)
{
    static char buffer[READ_BYTES];
    uint64_t start = bench_now_ns();
    for (size_t i = 0; i < p->n; i++) {
        uint64_t left = p->files[i].bytes;
        int fd = open(p->files[i].path, O_RDONLY);
        if (fd < 0) {
            bench_die(p->files[i].path);
        }
        *bytes += left;
        while (left > 0) {
            ssize_t got =
                read(fd, buffer, left < READ_BYTES ? left : READ_BYTES);
            if (got <= 0) {
                bench_die(p->files[i].path);
            }
            left -= (uint64_t)got;
        }
        close(fd);
    }
    return bench_seconds_since(start);
}

/* A log of a million entries: read it, open it, replay it, in turns, each from
 * the disk. */
void bench_recovery(void)
{
    static struct parts parts;
    struct report *r = &bench.report;
    unsigned n = N_KEYS / bench.scale;
    double read_seconds = 0;
    double open_seconds = 0;
    double replay_seconds = 0;
    uint64_t bytes = 0;
    wal_t wal;
    bench_open_wal(&wal, "recovery", 0);
    bench_overwrite(&wal, n, 1);
    list_log(&wal, "recovery", &parts);
    wal_destroy(&wal);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t start;
        forget(&parts);
        read_seconds += read_raw(&parts, &bytes);
        forget(&parts);
        start = bench_now_ns();
        bench_open_wal(&wal, "recovery", 0);
        open_seconds += bench_seconds_since(start);
        forget(&parts);
        replay_seconds += replay(&wal, n);
        wal_destroy(&wal);
    }
    report_figure(r, "log of 1 M entries", (double)bytes / ROUNDS / 1e6, "MB");
    report_figure(r, "read it raw", read_seconds / ROUNDS, "s");
    report_figure(r, "open it", open_seconds / ROUNDS, "s");
    report_figure(r, "replay it", replay_seconds / ROUNDS, "s");
    report_ratio(r, "open_to_raw_read", open_seconds / read_seconds, true);
    report_ratio(r, "replay_to_raw_read", replay_seconds / read_seconds, true);
}
