/* What the parts of persist_bench share; see persist_bench.h. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/persist_bench.h"

enum { THREADS_MAX = 8 };

struct bench bench = {.scale = 1};

static char value_bytes[BENCH_VALUE_MAX + 1];

void bench_die(const char *what)
{
    fprintf(stderr, "persist_bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

void bench_fail(const char *what)
{
    fprintf(stderr, "persist_bench: %s\n", what);
    exit(1);
}

void bench_check(int rv)
{
    if (rv != 0) {
        fprintf(stderr, "persist_bench: %s\n", persist_errmsg());
        exit(1);
    }
}

uint64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

double bench_seconds_since(uint64_t start_ns)
{
    return (double)(bench_now_ns() - start_ns) / 1e9;
}

/* ---- the raw device -------------------------------------------------------*/

void raw_open(struct raw *r, size_t size)
{
    char path[BENCH_PATH_MAX];
    bench_path(path, "raw");
    r->size = (size + RAW_PIECE_MAX - 1) / RAW_PIECE_MAX * RAW_PIECE_MAX;
    r->offset = 0;
    r->fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    r->block = malloc(RAW_PIECE_MAX);
    if (r->fd < 0 || r->block == NULL) {
        bench_die(path);
    }
    memset(r->block, 'r', RAW_PIECE_MAX);
    for (size_t at = 0; at < r->size; at += RAW_PIECE_MAX) {
        raw_write(r, RAW_PIECE_MAX);
    }
    if (fsync(r->fd) != 0) {
        bench_die(path);
    }
    r->offset = 0;
}

void raw_close(struct raw *r)
{
    close(r->fd);
    free(r->block);
}

void raw_write(struct raw *r, size_t bytes)
{
    if (r->offset + bytes > r->size) {
        r->offset = 0;
    }
    r->block[0]++;
    if (pwrite(r->fd, r->block, bytes, (off_t)r->offset) != (ssize_t)bytes) {
        bench_die("raw file");
    }
    r->offset += bytes;
}

void raw_sync(struct raw *r)
{
    if (fdatasync(r->fd) != 0) {
        bench_die("raw file");
    }
}

/* ---- the log --------------------------------------------------------------*/

void bench_path(char out[BENCH_PATH_MAX], const char *name)
{
    if (snprintf(out, BENCH_PATH_MAX, "%s/%s", bench.directory, name) >=
        BENCH_PATH_MAX) {
        errno = ENAMETOOLONG;
        bench_die(bench.directory);
    }
}

void bench_open_wal(wal_t *wal, const char *name, int sync)
{
    char path[BENCH_PATH_MAX];
    bench_path(path, name);
    bench_check(wal_init(wal, path, sync));
}

void bench_option(wal_t *wal, enum wal_option option, uint64_t value)
{
    bench_check(wal_set_option(wal, option, value));
}

void bench_set_value(size_t size)
{
    memset(value_bytes, 'v', size);
    value_bytes[size] = '\0';
}

void bench_set_random_value(void)
{
    static uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < BENCH_VALUE_SIZE; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        value_bytes[i] = (char)('!' + x % 90);
    }
    value_bytes[BENCH_VALUE_SIZE] = '\0';
}

const char *bench_value(void)
{
    return value_bytes;
}

/* A number of 28 digits behind "key-". By hand: printf takes longer than an
 * append. */
void bench_make_key(char key[BENCH_KEY_SIZE + 1], unsigned i)
{
    memcpy(key, "key-0000000000000000000000000000", BENCH_KEY_SIZE + 1);
    for (unsigned at = BENCH_KEY_SIZE; i > 0; i /= 10) {
        key[--at] = (char)('0' + i % 10);
    }
}

void bench_append(wal_t *wal, unsigned i, struct histogram *h)
{
    char key[BENCH_KEY_SIZE + 1];
    uint64_t start;
    bench_make_key(key, i);
    if (h == NULL) {
        bench_check(wal_append(wal, WAL_OP_SET, key, value_bytes));
        return;
    }
    start = bench_now_ns();
    bench_check(wal_append(wal, WAL_OP_SET, key, value_bytes));
    histogram_record(h, bench_now_ns() - start);
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
        bench_append(w->wal, i, &w->ns);
    }
    return NULL;
}

double bench_append_threads(wal_t *wal, unsigned n_threads, unsigned n,
                            struct histogram *h)
{
    static struct worker workers[THREADS_MAX];
    uint64_t start = bench_now_ns();
    double seconds;
    for (unsigned i = 0; i < n_threads; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].wal = wal;
        workers[i].n = n;
        if (pthread_create(&workers[i].thread, NULL, worker_main,
                           &workers[i]) != 0) {
            bench_die("thread");
        }
    }
    for (unsigned i = 0; i < n_threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    seconds = bench_seconds_since(start);
    for (unsigned i = 0; i < n_threads; i++) {
        histogram_merge(h, &workers[i].ns);
    }
    return seconds;
}

void bench_overwrite(wal_t *wal, unsigned n_keys, unsigned n_rounds)
{
    for (unsigned round = 0; round < n_rounds; round++) {
        for (unsigned i = 0; i < n_keys; i++) {
            bench_set_random_value();
            bench_append(wal, i, NULL);
        }
    }
    bench_check(wal_force_sync(wal));
}

int bench_no_keys(void *engine, char ***keys, int *count)
{
    (void)engine;
    *keys = NULL;
    *count = 0;
    return 0;
}
