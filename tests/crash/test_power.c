/* Power cuts on a real file system under a process that writes a log and takes
 * snapshots as fast as it can (L3).
 *
 *     test_power [CYCLES [ext4|xfs|kill [SEED]]]      12 cycles, ext4, seed 1
 *
 * With `kill` there is no power cut but SIGKILL, on any file system.
 *
 * In each cycle a child opens the directory, checks all that earlier lives
 * were told is durable, and goes on; what it is told goes into memory that it
 * shares with its parent. At a random moment the parent cuts the power. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "raftlog/block.h"
#include "raftlog/raftlog.h"
#include "snapshot/snapshot.h"
#include "tests/crash/power_life.h"
#include "tests/lib/job_list.h"
#include "tests/sim/sim_random.h"

enum {
    DISK_MB = 96,
    SEGMENT = 1 << 20,
    KEPT = 3000, /* entries behind the last snapshot */
    CUT_US_MIN = 30000,
    CUT_US_MAX = 250000,
    START_POLL_US = 1000,
    START_POLLS_MAX = 20000
};

/* Shared with the parent: what was told. Each field but life is written by
 * the child alone and read by the parent when the child has ended. */
struct told {
    uint64_t durable;
    uint64_t term;
    uint64_t released;
    uint64_t snapshot; /* the chain reaches at least here */
    uint64_t n_starts;
    uint64_t n_torn;
    struct power_life life;
};

struct writer {
    struct told *told;
    struct raftlog *log;
    struct job_list jobs;
    bool fatal;
    char snapshots[TEMP_DIR_MAX + 32];
    struct snapshot_manifest chain;
    struct sim_random random;
    uint64_t term;
};

static const uint8_t cluster[16] = "power cut";

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct writer *w = ctx;
    if (!job_list_add(&w->jobs, work, done, arg)) {
        power_life_bad(&w->told->life, "too many jobs", "");
    }
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    (void)info;
    ((struct writer *)ctx)->fatal = true;
}

static uint64_t on_now(void *ctx)
{
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint32_t size_of(uint64_t index)
{
    return (uint32_t)(8 + index * 2654435761u % 700);
}

static uint8_t byte_at(uint64_t index, uint32_t at)
{
    return (uint8_t)(index * 31 + at * 7 + (index >> 8));
}

static int on_scan(void *ctx, uint64_t index, const struct raftlog_entry *e)
{
    struct told *t = ctx;
    const uint8_t *data = e->data;
    bool same = e->size == size_of(index);
    for (uint32_t i = 0; same && i < e->size; i++) {
        same = data[i] == byte_at(index, i);
    }
    if (!same) {
        power_life_bad(&t->life, "an entry came back with other bytes", "");
    }
    return 0;
}

/* ---- snapshots ------------------------------------------------------------*/

static uint64_t chain_end(const struct snapshot_manifest *m)
{
    return m->n_files == 0 ? 0 : m->files[m->n_files - 1].to;
}

static void open_chain(struct writer *w)
{
    struct err_info info = {0};
    char path[TEMP_DIR_MAX + 160];
    int rv = snapshot_chain_open(w->snapshots, cluster, &w->chain, &info);
    power_life_look(&w->told->life, rv, "the chain does not open", &info);
    if (chain_end(&w->chain) < w->told->snapshot) {
        power_life_bad(&w->told->life, "a snapshot is lost", "");
    }
    for (unsigned i = 0; i < w->chain.n_files; i++) {
        snprintf(path, sizeof path, "%s/%s", w->snapshots,
                 w->chain.files[i].name);
        rv = snapshot_file_verify(path, &w->chain.files[i], cluster, &info);
        power_life_look(&w->told->life, rv, "a snapshot is not whole", &info);
    }
}

/* A file up to `to`: a delta, or a new base when the chain is long. False: the
 * disk is gone. */
static bool take_snapshot(struct writer *w, uint64_t to)
{
    bool base = w->chain.n_files % 6 == 0;
    struct snapshot_meta meta = {
        .from = base ? 0 : chain_end(&w->chain), .to = to, .to_term = 1};
    struct snapshot_manifest next = w->chain;
    struct snapshot_writer *writer = NULL;
    struct snapshot_file file;
    struct err_info info = {0};
    memcpy(meta.cluster_id, cluster, sizeof cluster);
    if (snapshot_writer_new(w->snapshots, &meta, &writer, &info) != 0) {
        return false;
    }
    for (unsigned i = 0; i < 200; i++) {
        char key[32];
        struct snapshot_record r = {.kind = SNAPSHOT_KEY};
        snprintf(key, sizeof key, "k%08u-%llu", i, (unsigned long long)to);
        r.key.data = (const uint8_t *)key;
        r.key.size = strlen(key);
        r.value = r.key;
        if (snapshot_writer_add(writer, &r) != 0) {
            snapshot_writer_abort(writer);
            return false;
        }
    }
    if (snapshot_writer_finish(writer, &file, &info) != 0) {
        return false;
    }
    next.n_files = base ? 0 : next.n_files;
    next.files[next.n_files++] = file;
    if (snapshot_chain_adopt(w->snapshots, &w->chain, &next, NULL, 0, &info) !=
        0) {
        return false;
    }
    w->chain = next;
    w->told->snapshot = to;
    return true;
}

/* ---- the child ------------------------------------------------------------*/

static void open_all(struct writer *w, const char *dir)
{
    struct raftlog_options options = {.node_id = 1, .segment_bytes = SEGMENT};
    struct raftlog_io io = {.ctx = w,
                            .work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = on_now};
    struct raftlog_report report;
    struct err_info info = {0};
    struct told *t = w->told;
    int rv;
    snprintf(w->snapshots, sizeof w->snapshots, "%s/snapshots", dir);
    open_chain(w);
    memcpy(options.cluster_id, cluster, sizeof cluster);
    rv = raftlog_open(dir, &options, &io, &w->log, &report, &info);
    power_life_look(&t->life, rv, "the log does not open", &info);
    if (report.last_index < t->durable ||
        report.first_index > t->released + 1) {
        power_life_bad(&t->life, "durable entries are lost", "");
    }
    if (report.current_term < t->term) {
        power_life_bad(&t->life, "a durable term is lost", "");
    }
    rv = raftlog_scan(w->log, report.first_index, report.last_index, on_scan, t,
                      &info);
    power_life_look(&t->life, rv, "the log can not be read", &info);
    if (chain_end(&w->chain) + 1 < report.first_index) {
        power_life_bad(&t->life, "the log begins behind the snapshots", "");
    }
    t->n_torn += report.torn_bytes > 0;
    w->term = report.current_term;
    __atomic_add_fetch(&t->n_starts, 1, __ATOMIC_RELEASE);
}

static void append_some(struct writer *w)
{
    struct raftlog_entry entries[8];
    size_t n = (size_t)sim_random_range(&w->random, 1, 8);
    uint64_t first = raftlog_last_index(w->log) + 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t size = size_of(first + i);
        uint8_t *data = block_new(size);
        if (data == NULL) {
            power_life_bad(&w->told->life, "no memory", "");
        }
        for (uint32_t k = 0; k < size; k++) {
            data[k] = byte_at(first + i, k);
        }
        memset(&entries[i], 0, sizeof entries[i]);
        entries[i].term = 1;
        entries[i].kind = 1;
        entries[i].size = size;
        entries[i].data = data;
        entries[i].block = data;
    }
    (void)raftlog_append(w->log, first, entries, n);
    for (size_t i = 0; i < n; i++) {
        block_unref(entries[i].block);
    }
}

/* Until the disk is gone. */
static void write_on(struct writer *w)
{
    while (!w->fatal) {
        struct pollfd p = {.fd = raftlog_fd(w->log), .events = POLLIN};
        uint64_t durable;
        if (raftlog_has_room(w->log, 8 * 1024)) {
            append_some(w);
        }
        if (sim_random_chance(&w->random, 20)) {
            (void)raftlog_set_hard_state(w->log, ++w->term, 1);
        }
        job_list_run_all(&w->jobs);
        (void)poll(&p, 1, 5);
        raftlog_poll(w->log);
        if (w->fatal) {
            return;
        }
        durable = raftlog_durable_index(w->log);
        w->told->durable = durable;
        if (raftlog_hard_state_durable(w->log)) {
            w->told->term = w->term;
        }
        if (durable > chain_end(&w->chain) + KEPT) {
            if (!take_snapshot(w, durable)) {
                return;
            }
            w->told->released = durable - KEPT / 2;
            raftlog_release(w->log, durable - KEPT / 2);
        }
        if (sim_random_chance(&w->random, 50)) {
            raftlog_tick(w->log);
        }
    }
}

static void run_child(struct told *told, const char *dir, uint64_t seed)
{
    static struct writer w;
    w.told = told;
    sim_random_init(&w.random, seed);
    open_all(&w, dir);
    write_on(&w);
    _exit(0); /* as the process ends whose log has failed */
}

/* ---- the parent -----------------------------------------------------------*/

/* False: the child found something wrong. */
static bool cycle(struct power_disk *disk, const char *dir, struct told *told,
                  uint64_t n)
{
    struct sim_random random;
    uint64_t n_starts = told->n_starts;
    pid_t pid = fork();
    if (pid == 0) {
        run_child(told, dir, n);
    }
    /* Mostly it is to come to writing; each fourth time it may be caught while
     * it recovers. */
    for (unsigned i = 0; n % 4 != 0 && i < START_POLLS_MAX; i++) {
        if (__atomic_load_n(&told->n_starts, __ATOMIC_ACQUIRE) > n_starts) {
            break;
        }
        usleep(START_POLL_US);
    }
    sim_random_init(&random, n * 77);
    usleep((useconds_t)sim_random_range(&random, CUT_US_MIN, CUT_US_MAX));
    return power_life_end(&told->life, disk, pid, "log and snapshots", n);
}

int main(int argc, char **argv)
{
    uint64_t n_cycles = argc > 1 ? strtoull(argv[1], NULL, 10) : 12;
    const char *filesystem = argc > 2 ? argv[2] : "ext4";
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    bool killed = strcmp(filesystem, "kill") == 0;
    struct power_disk disk;
    struct temp_dir temp;
    struct told *told;
    char why[200] = "";
    bool ok = true;
    if (killed) {
        temp_dir_make(&temp);
    } else if (!power_disk_open(&disk, filesystem, DISK_MB, why, sizeof why)) {
        printf("not run: no file system whose power can be cut: %s\n", why);
        return POWER_DISK_EXIT_NOT_RUN;
    }
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok = told != MAP_FAILED;
    for (uint64_t n = 0; ok && n < n_cycles; n++) {
        ok = cycle(killed ? NULL : &disk,
                   killed ? temp.path : disk.mounted.path, told, seed + n);
    }
    if (!killed) {
        power_disk_close(&disk);
    } else if (ok) {
        temp_dir_remove(&temp);
    } else {
        fprintf(stderr, "the directory is kept: %s\n", temp.path);
    }
    if (ok) {
        printf("%llu ends by %s: %llu entries, snapshots to %llu, %llu "
               "terms, all that was told is there; %llu torn tails\n",
               (unsigned long long)n_cycles, killed ? "kill -9" : "a power cut",
               (unsigned long long)told->durable,
               (unsigned long long)told->snapshot,
               (unsigned long long)told->term,
               (unsigned long long)told->n_torn);
        /* A run that did too little is void. */
        ok = told->n_starts * 2 >= n_cycles && told->durable > n_cycles * 20;
    }
    return ok ? 0 : 1;
}
