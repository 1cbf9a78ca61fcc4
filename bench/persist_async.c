/* Appends that wait for nothing. Each append costs a copy into memory; all of
 * them together cost as many bytes on the disk. So, beside them in turns: the
 * same records copied into memory and nothing else, and the same bytes in as
 * many pieces into a preallocated file, by write() with one fdatasync at the
 * end, and with one for each piece. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/persist_bench.h"

enum {
    ROUNDS = 3,
    ENTRIES = 1000000,
    MEMORY_BYTES = 16 * 1024 * 1024 /* what the log gathers in at most */
};

/* What the log made of one round's entries. */
struct written {
    uint64_t bytes;
    uint64_t n_writes;
    double append_seconds;
    double durable_seconds;
};

static void write_log(wal_t *wal, unsigned n, struct histogram *h,
                      struct written *out)
{
    persist_stats_t before;
    persist_stats_t after;
    uint64_t start;
    bench_check(wal_get_stats(wal, &before));
    start = bench_now_ns();
    out->append_seconds = bench_append_threads(wal, 1, n, h);
    bench_check(wal_force_sync(wal));
    out->durable_seconds = bench_seconds_since(start);
    bench_check(wal_get_stats(wal, &after));
    out->bytes = after.total_log_size - before.total_log_size;
    out->n_writes = after.sync_ops - before.sync_ops;
}

/* Seconds until everything is on the disk. */
static double write_raw(struct raw *raw, const struct written *w, bool sync_all,
                        struct histogram *h)
{
    size_t piece = (size_t)(w->bytes / w->n_writes);
    uint64_t start = bench_now_ns();
    for (uint64_t i = 0; i < w->n_writes; i++) {
        uint64_t began = bench_now_ns();
        raw_write(raw, piece);
        if (sync_all) {
            raw_sync(raw);
        }
        histogram_record(h, bench_now_ns() - began);
    }
    raw_sync(raw);
    return bench_seconds_since(start);
}

/* Sizes, key and value behind each other, as little as a log can do. */
static double copy_to_memory(uint8_t *memory, unsigned n, struct histogram *h)
{
    size_t value_size = strlen(bench_value());
    uint64_t start = bench_now_ns();
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        char key[BENCH_KEY_SIZE + 1];
        uint32_t sizes[2] = {BENCH_KEY_SIZE, (uint32_t)value_size};
        uint64_t began;
        bench_make_key(key, i);
        began = bench_now_ns();
        if (at + sizeof sizes + BENCH_KEY_SIZE + value_size > MEMORY_BYTES) {
            at = 0;
        }
        memcpy(memory + at, sizes, sizeof sizes);
        memcpy(memory + at + sizeof sizes, key, BENCH_KEY_SIZE);
        memcpy(memory + at + sizeof sizes + BENCH_KEY_SIZE, bench_value(),
               value_size);
        at += sizeof sizes + BENCH_KEY_SIZE + value_size;
        histogram_record(h, bench_now_ns() - began);
    }
    return bench_seconds_since(start);
}

static void bench_async_to_raw(void)
{
    struct report *r = &bench.report;
    struct report_case *log_case = report_case(r, "async append, 1 thread");
    struct report_case *copy_case = report_case(r, "copy into memory");
    struct report_case *write_case = report_case(r, "raw write, same pieces");
    struct report_case *sync_case =
        report_case(r, "raw write + fdatasync, same pieces");
    unsigned n = ENTRIES / bench.scale;
    uint8_t *memory = malloc(MEMORY_BYTES);
    struct written sum = {0, 0, 0, 0};
    double slowest = 0;
    double copy_seconds = 0;
    double write_seconds = 0;
    double sync_seconds = 0;
    struct raw raw;
    wal_t wal;
    if (memory == NULL) {
        bench_die("memory");
    }
    memset(memory, 1, MEMORY_BYTES);
    bench_set_value(BENCH_VALUE_SIZE);
    raw_open(&raw, (size_t)n * (BENCH_KEY_SIZE + BENCH_VALUE_SIZE + 16));
    bench_open_wal(&wal, "async", 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct written w;
        write_log(&wal, n, &log_case->ns, &w);
        sum.bytes += w.bytes;
        sum.n_writes += w.n_writes;
        sum.append_seconds += w.append_seconds;
        sum.durable_seconds += w.durable_seconds;
        slowest = w.append_seconds > slowest ? w.append_seconds : slowest;
        copy_seconds += copy_to_memory(memory, n, &copy_case->ns);
        raw.offset = 0;
        write_seconds += write_raw(&raw, &w, false, &write_case->ns);
        raw.offset = 0;
        sync_seconds += write_raw(&raw, &w, true, &sync_case->ns);
    }
    wal_destroy(&wal);
    raw_close(&raw);
    free(memory);
    log_case->per_second = ROUNDS * n / sum.append_seconds;
    copy_case->per_second = ROUNDS * n / copy_seconds;
    report_figure(r, "async append, slowest round", n / slowest, "per second");
    report_figure(r, "async append, until durable",
                  ROUNDS * n / sum.durable_seconds, "per second");
    report_figure(r, "copy into memory", copy_case->per_second, "per second");
    report_figure(r, "raw write and one fdatasync, as entries",
                  ROUNDS * n / write_seconds, "per second");
    report_figure(r, "raw write + fdatasync each, as entries",
                  ROUNDS * n / sync_seconds, "per second");
    report_figure(r, "bytes of a piece",
                  (double)sum.bytes / (double)sum.n_writes / 1024, "KiB");
    report_ratio(r, "async_append_to_copy", sum.append_seconds / copy_seconds,
                 true);
    report_ratio(r, "async_durable_to_raw_write",
                 sum.durable_seconds / write_seconds, true);
    report_ratio(r, "async_durable_to_raw_fdatasync",
                 sum.durable_seconds / sync_seconds, true);
}

static void bench_async_other(unsigned n_threads, size_t value_size, unsigned n,
                              const char *name)
{
    struct report_case *c = report_case(&bench.report, name);
    char figure[REPORT_NAME_MAX];
    uint64_t start;
    double seconds;
    wal_t wal;
    n /= bench.scale;
    bench_set_value(value_size);
    bench_open_wal(&wal, name, 0);
    start = bench_now_ns();
    seconds = bench_append_threads(&wal, n_threads, n / n_threads, &c->ns);
    c->per_second = n / seconds;
    bench_check(wal_force_sync(&wal));
    seconds = bench_seconds_since(start);
    snprintf(figure, sizeof figure, "%s, durable", name);
    report_figure(&bench.report, figure, n / seconds, "per second");
    wal_destroy(&wal);
}

void bench_async(void)
{
    bench_async_to_raw();
    bench_async_other(4, 128, 1000000, "async append, 4 threads");
    bench_async_other(1, 16, 1000000, "async append, 16 B values");
    bench_async_other(1, 1024, 200000, "async append, 1 KiB values");
    bench_async_other(1, 16384, 20000, "async append, 16 KiB values");
}
