/* What the log costs: group commit against a raw fdatasync, rotation, reading
 * back and recovery, all in one run on one directory.
 *
 *     log_bench DIRECTORY [entry bytes] [seconds per case]
 *
 * "clients" are closed loops: each has one batch outstanding and hands over the
 * next one when the durable index has passed it. No consensus, no network. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "raftlog/block.h"
#include "raftlog/file.h"
#include "raftlog/raftlog.h"

enum {
    JOBS_MAX = 256,
    CLIENTS_MAX = 1024,
    SAMPLES_MAX = 1 << 20,
    RAW_WRITES = 2000
};

struct job {
    void (*work)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

struct job_list {
    struct job jobs[JOBS_MAX];
    size_t n;
};

struct client {
    uint64_t last; /* its batch is durable when this index is */
    uint64_t started_us;
};

struct bench {
    const char *dir;
    struct raftlog *log;
    uint32_t entry_bytes;
    double seconds;
    uint64_t last_index;
    uint64_t released;
    void *payload;
    uint32_t *samples; /* microseconds */
    size_t n_samples;
    uint64_t n_read;
    uint64_t read_next;

    pthread_t worker;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct job_list todo, finished;
    bool stop;
    int event;
};

static uint64_t now_us(void *ctx)
{
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t now_ms(void *ctx)
{
    return now_us(ctx) / 1000;
}

static void die(const char *what, const char *why)
{
    fprintf(stderr, "log_bench: %s: %s\n", what, why);
    exit(1);
}

/* ---- the owner's side of the log ------------------------------------------*/

static void *worker_main(void *arg)
{
    struct bench *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->stop || b->todo.n > 0) {
        uint64_t one = 1;
        struct job job;
        if (b->todo.n == 0) {
            pthread_cond_wait(&b->wake, &b->lock);
            continue;
        }
        job = b->todo.jobs[0];
        b->todo.n--;
        memmove(b->todo.jobs, b->todo.jobs + 1,
                b->todo.n * sizeof b->todo.jobs[0]);
        pthread_mutex_unlock(&b->lock);
        job.work(job.arg);
        pthread_mutex_lock(&b->lock);
        b->finished.jobs[b->finished.n++] = job;
        if (write(b->event, &one, sizeof one) < 0) {
            die("eventfd", strerror(errno));
        }
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct bench *b = ctx;
    struct job job = {work, done, arg};
    pthread_mutex_lock(&b->lock);
    if (b->todo.n == JOBS_MAX) {
        die("jobs", "too many");
    }
    b->todo.jobs[b->todo.n++] = job;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

static void deliver_jobs(struct bench *b)
{
    struct job_list list;
    pthread_mutex_lock(&b->lock);
    list = b->finished;
    b->finished.n = 0;
    pthread_mutex_unlock(&b->lock);
    for (size_t i = 0; i < list.n; i++) {
        list.jobs[i].done(list.jobs[i].arg);
    }
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    (void)ctx;
    die("fatal", info->message);
}

static void turn(struct bench *b)
{
    struct pollfd p[2] = {{.fd = raftlog_fd(b->log), .events = POLLIN},
                          {.fd = b->event, .events = POLLIN}};
    uint64_t value;
    if (poll(p, 2, 100) < 0 && errno != EINTR) {
        die("poll", strerror(errno));
    }
    if (p[1].revents & POLLIN) {
        if (read(b->event, &value, sizeof value) < 0) {
            die("eventfd", strerror(errno));
        }
        deliver_jobs(b);
    }
    if (p[0].revents & POLLIN) {
        raftlog_poll(b->log);
    }
}

static double open_log(struct bench *b, struct raftlog_report *report)
{
    struct raftlog_options options = {.cluster_id = {1}, .node_id = 1};
    struct raftlog_io io = {.ctx = b,
                            .work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = now_ms,
                            .now_us = now_us};
    struct err_info info;
    uint64_t start = now_us(NULL);
    if (raftlog_open(b->dir, &options, &io, &b->log, report, &info) != 0) {
        die("open", info.message);
    }
    b->last_index = report->last_index;
    return (double)(now_us(NULL) - start) / 1000;
}

/* ---- measuring ------------------------------------------------------------*/

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void sample(struct bench *b, uint64_t us)
{
    if (b->n_samples < SAMPLES_MAX) {
        b->samples[b->n_samples++] = (uint32_t)us;
    }
}

static uint32_t percentile(const struct bench *b, double part)
{
    return b->n_samples == 0
               ? 0
               : b->samples[(size_t)((double)(b->n_samples - 1) * part)];
}

static void print_row(struct bench *b, const char *name, double per_second)
{
    qsort(b->samples, b->n_samples, sizeof *b->samples, compare);
    printf("%-34s %10.0f/s  p50 %6u us  p99 %6u us  max %7u us\n", name,
           per_second, percentile(b, 0.5), percentile(b, 0.99),
           percentile(b, 1));
    b->n_samples = 0;
}

/* A blocking fdatasync of one block into blocks written before. */
static void bench_raw(struct bench *b)
{
    char path[4096];
    void *block;
    uint64_t start;
    int fd;
    snprintf(path, sizeof path, "%s/raw", b->dir);
    fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0600);
    if (fd < 0 || posix_memalign(&block, 4096, 4096) != 0) {
        die(path, strerror(errno));
    }
    memset(block, 1, 4096);
    for (int i = 0; i < RAW_WRITES; i++) {
        if (pwrite(fd, block, 4096, (off_t)i * 4096) != 4096) {
            die(path, strerror(errno));
        }
    }
    fsync(fd);
    start = now_us(NULL);
    for (int i = 0; i < RAW_WRITES; i++) {
        uint64_t before = now_us(NULL);
        if (pwrite(fd, block, 4096, (off_t)i * 4096) != 4096 ||
            fdatasync(fd) != 0) {
            die(path, strerror(errno));
        }
        sample(b, now_us(NULL) - before);
    }
    print_row(b, "raw pwrite + fdatasync, 4 KiB",
              RAW_WRITES * 1e6 / (double)(now_us(NULL) - start));
    close(fd);
    unlink(path);
    free(block);
}

static void hand_over(struct bench *b, struct client *c, size_t n)
{
    struct raftlog_entry entries[64];
    for (size_t i = 0; i < n; i++) {
        memset(&entries[i], 0, sizeof entries[i]);
        entries[i].term = 1;
        entries[i].kind = 1;
        entries[i].size = b->entry_bytes;
        entries[i].data = b->payload;
        entries[i].block = b->payload;
    }
    if (raftlog_append(b->log, b->last_index + 1, entries, n) != 0) {
        die("append", "refused");
    }
    b->last_index += n;
    c->last = b->last_index;
    c->started_us = now_us(NULL);
}

static void bench_clients(struct bench *b, size_t n_clients, size_t n_batch)
{
    static struct client clients[CLIENTS_MAX];
    struct raftlog_stats before;
    struct raftlog_stats after;
    uint64_t start = now_us(NULL);
    uint64_t tick = start;
    uint64_t from = b->last_index;
    double elapsed;
    char name[64];
    raftlog_get_stats(b->log, &before);
    for (size_t i = 0; i < n_clients; i++) {
        hand_over(b, &clients[i], n_batch);
    }
    while ((double)(now_us(NULL) - start) < b->seconds * 1e6) {
        uint64_t durable;
        turn(b);
        durable = raftlog_durable_index(b->log);
        for (size_t i = 0; i < n_clients; i++) {
            if (clients[i].last <= durable) {
                sample(b, now_us(NULL) - clients[i].started_us);
                hand_over(b, &clients[i], n_batch);
            }
        }
        if (now_us(NULL) - tick > 100000) {
            tick = now_us(NULL);
            raftlog_tick(b->log);
            if (durable > b->released + 2000000) { /* keep the disk small */
                b->released = durable - 1000000;
                raftlog_release(b->log, b->released);
            }
        }
    }
    while (raftlog_durable_index(b->log) < b->last_index) {
        turn(b);
    }
    elapsed = (double)(now_us(NULL) - start) / 1e6;
    raftlog_get_stats(b->log, &after);
    snprintf(name, sizeof name, "log, %zu client%s of %zu (%s)", n_clients,
             n_clients == 1 ? "" : "s", n_batch, after.sync_method);
    print_row(b, name, (double)(b->last_index - from) / elapsed);
    printf("%34s %10.0f frames/s, %.1f entries a frame, mean write %.0f us\n",
           "", (double)(after.n_frames - before.n_frames) / elapsed,
           (double)(after.n_appends - before.n_appends) /
               (double)(after.n_frames - before.n_frames),
           (double)(after.write_us_total - before.write_us_total) /
               (double)(after.n_frames - before.n_frames));
}

static void on_read(void *ctx, int status, uint64_t first,
                    const struct raftlog_entry *entries, size_t n)
{
    struct bench *b = ctx;
    (void)entries;
    if (status != 0) {
        die("read", err_text(status));
    }
    b->n_read += n;
    b->read_next = first + n;
}

static void bench_read(struct bench *b)
{
    uint64_t last = raftlog_last_index(b->log);
    uint64_t start = now_us(NULL);
    double elapsed;
    b->read_next = raftlog_first_index(b->log);
    while (b->read_next <= last &&
           (double)(now_us(NULL) - start) < b->seconds * 1e6) {
        uint64_t asked = b->read_next;
        if (raftlog_read(b->log, asked, last, 1 << 20, on_read, b) != 0) {
            die("read", "refused");
        }
        while (b->read_next == asked) {
            turn(b);
        }
    }
    elapsed = (double)(now_us(NULL) - start) / 1e6;
    printf("%-34s %10.0f entries/s, %.0f MB/s of payload\n",
           "read back, 1 MiB a read", (double)b->n_read / elapsed,
           (double)b->n_read * b->entry_bytes / elapsed / 1e6);
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct raftlog_report report;
    struct raftlog_stats stats;
    double ms;
    if (argc < 2) {
        fprintf(stderr, "use: %s DIRECTORY [entry bytes] [seconds]\n", argv[0]);
        return 2;
    }
    b.dir = argv[1];
    b.entry_bytes = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 256;
    b.seconds = argc > 3 ? strtod(argv[3], NULL) : 3;
    if (mkdir(b.dir, 0700) != 0 && errno != EEXIST) {
        die(b.dir, strerror(errno));
    }
    b.payload = block_new(b.entry_bytes > 0 ? b.entry_bytes : 1);
    b.samples = malloc(SAMPLES_MAX * sizeof *b.samples);
    b.event = eventfd(0, EFD_NONBLOCK);
    if (b.payload == NULL || b.samples == NULL || b.event < 0) {
        die("start", "out of memory");
    }
    memset(b.payload, 'x', b.entry_bytes);
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.wake, NULL);
    pthread_create(&b.worker, NULL, worker_main, &b);
    bench_raw(&b);
    ms = open_log(&b, &report);
    printf("%-34s %10.1f ms\n",
           report.created ? "create the log" : "open the log", ms);
    b.released = report.first_index - 1;
    bench_clients(&b, 1, 1);
    bench_clients(&b, 50, 1);
    bench_clients(&b, 256, 1);
    bench_clients(&b, 50, 16);
    raftlog_close(b.log);
    deliver_jobs(&b);
    ms = open_log(&b, &report);
    raftlog_get_stats(b.log, &stats);
    printf(
        "%-34s %10.1f ms: %llu entries, %llu frames, %.0f MB\n", "open again",
        ms, (unsigned long long)(report.last_index - report.first_index + 1),
        (unsigned long long)report.n_frames, (double)stats.bytes_on_disk / 1e6);
    bench_read(&b);
    raftlog_close(b.log);
    pthread_mutex_lock(&b.lock);
    b.stop = true;
    pthread_cond_signal(&b.wake);
    pthread_mutex_unlock(&b.lock);
    pthread_join(b.worker, NULL);
    deliver_jobs(&b);
    block_unref(b.payload);
    free(b.samples);
    close(b.event);
    return 0;
}
