/* The embedding library under kill -9, or under power cuts: threads append, in
 * all sync policies, while it compacts by itself; then the process is killed,
 * opened again, and everything is held against what it was told.
 *
 *     stress_persist [LIVES [SEED [ext4|xfs]]]      20 lives, seed 1
 *
 * With the name of a file system each life ends with the power of one (root
 * and loop devices), else with SIGKILL. Each thread has keys of its own and
 * numbers its appends, so what comes back must be, for each thread, the state
 * after some number of its appends, and not before the last one that it was
 * told is durable. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "persist/kv_persist.h"
#include "tests/lib/power_disk.h"
#include "tests/sim/sim_random.h"

enum {
    N_THREADS = 4,
    N_KEYS = 300, /* of each thread */
    VALUE_MAX = 300,
    FILE_SIZE = 256 * 1024,
    DISK_MB = 1024, /* of a sparse file */
    LIFE_US_MIN = 100000,
    LIFE_US_MAX = 1200000,
    START_POLL_US = 1000,
    START_POLLS_MAX = 60000,
    STATUS_BAD = 3
};

/* Shared with the parent. Written by the child's threads, each its own. */
struct told {
    uint64_t durable[N_THREADS]; /* number of the last append known durable */
    uint64_t n_starts;
    uint64_t n_appends;
    uint64_t n_compactions;
    bool is_cut; /* the power, by the parent: written before it is */
    char words[400];
};

struct life {
    struct told *told;
    wal_t wal;
    int policy;
    uint64_t seed;
    uint64_t numbers[N_THREADS]; /* of the last append that came back */
};

struct writer {
    struct life *life;
    unsigned thread;
};

static void bad(struct told *t, const char *words)
{
    snprintf(t->words, sizeof t->words, "%.390s", words);
    _exit(STATUS_BAD);
}

/* The library refused. A disk that is gone refuses everything, in its own
 * words: some calls fail, for others it is read-only. */
static void refused(struct told *t, int error)
{
    char words[400];
    if (!__atomic_load_n(&t->is_cut, __ATOMIC_ACQUIRE)) {
        snprintf(words, sizeof words, "%s: %.300s", strerror(error),
                 persist_errmsg());
        bad(t, words);
    }
    _exit(0);
}

/* ---- what was appended ----------------------------------------------------*/

static bool is_delete(uint64_t number)
{
    return number % 13 == 5;
}

static unsigned key_of(uint64_t number)
{
    return (unsigned)(number * 7919 % N_KEYS);
}

static void make_value(unsigned thread, uint64_t number,
                       char out[VALUE_MAX + 1])
{
    size_t size = 40 + number * 31 % (VALUE_MAX - 40);
    memset(out, (int)('a' + (number + thread) % 26), size);
    out[size] = '\0';
    (void)snprintf(out, 32, "%020llu", (unsigned long long)number);
    out[20] = ' ';
}

struct replay {
    struct told *told;
    uint64_t last[N_THREADS][N_KEYS]; /* 0: the key is not there */
    uint64_t highest[N_THREADS];
};

static int on_replay(void *engine, uint8_t op, const char *key,
                     const char *value)
{
    struct replay *r = engine;
    unsigned thread = 0;
    unsigned k = 0;
    uint64_t number;
    char expected[VALUE_MAX + 1];
    if (sscanf(key, "t%u-%u", &thread, &k) != 2 || thread >= N_THREADS ||
        k >= N_KEYS) {
        bad(r->told, "a key came back that nobody appended");
    }
    if (op == WAL_OP_DEL) {
        r->last[thread][k] = 0;
        return 0;
    }
    number = strtoull(value, NULL, 10);
    make_value(thread, number, expected);
    if (key_of(number) != k || strcmp(value, expected) != 0) {
        bad(r->told, "a value came back that nobody appended");
    }
    r->last[thread][k] = number;
    if (number > r->highest[thread]) {
        r->highest[thread] = number;
    }
    return 0;
}

/* Is this the state of a thread after its first `number` appends? */
static bool is_state_of(const struct replay *r, unsigned thread,
                        uint64_t number)
{
    uint64_t seen[N_KEYS] = {0};
    uint64_t first = number > 2 * N_KEYS ? number - 2 * N_KEYS : 1;
    /* 7919 and N_KEYS have no common divisor: N_KEYS appends meet all keys. */
    for (uint64_t i = first; i <= number; i++) {
        seen[key_of(i)] = is_delete(i) ? 0 : i;
    }
    return memcmp(seen, r->last[thread], sizeof seen) == 0;
}

/* Deletes leave no number behind: look a little further than the highest. */
static void check(struct life *l, const struct replay *r)
{
    for (unsigned t = 0; t < N_THREADS; t++) {
        uint64_t durable = l->told->durable[t];
        uint64_t n = r->highest[t] > durable ? r->highest[t] : durable;
        uint64_t end = n + 3;
        char words[160];
        while (n < end && !is_state_of(r, t, n)) {
            n++;
        }
        if (n == end) {
            snprintf(words, sizeof words,
                     "thread %u: the state is that of no number of appends "
                     "from %llu (durable) on; the highest there is %llu",
                     t, (unsigned long long)durable,
                     (unsigned long long)r->highest[t]);
            bad(l->told, words);
        }
        l->numbers[t] = n;
        l->told->durable[t] = n; /* what came back is durable from now on */
    }
}

/* ---- the child ------------------------------------------------------------*/

static void *write_on(void *arg)
{
    struct writer *w = arg;
    struct life *l = w->life;
    struct sim_random random;
    uint64_t number = l->numbers[w->thread];
    sim_random_init(&random, l->seed * N_THREADS + w->thread);
    for (;;) {
        char key[32];
        char value[VALUE_MAX + 1];
        bool sync = sim_random_chance(&random, 20);
        number++;
        snprintf(key, sizeof key, "t%u-%u", w->thread, key_of(number));
        make_value(w->thread, number, value);
        if (wal_append(&l->wal, is_delete(number) ? WAL_OP_DEL : WAL_OP_SET,
                       key, is_delete(number) ? NULL : value) != 0) {
            refused(l->told, errno);
        }
        if (l->policy != WAL_SYNC_ALWAYS && sync &&
            wal_force_sync(&l->wal) != 0) {
            refused(l->told, errno);
        }
        if (l->policy == WAL_SYNC_ALWAYS || sync) {
            __atomic_store_n(&l->told->durable[w->thread], number,
                             __ATOMIC_RELEASE);
        }
        __atomic_add_fetch(&l->told->n_appends, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static int no_keys(void *engine, char ***keys, int *count)
{
    (void)engine;
    *keys = NULL;
    *count = 0;
    return 0;
}

static void set(wal_t *wal, struct told *t, enum wal_option option,
                uint64_t value)
{
    if (wal_set_option(wal, option, value) != 0) {
        bad(t, persist_errmsg());
    }
}

static void run_child(struct told *told, const char *dir, uint64_t seed)
{
    static struct life l;
    static struct replay r;
    struct writer writers[N_THREADS];
    pthread_t thread;
    persist_stats_t before;
    l.told = told;
    l.seed = seed;
    l.policy = (int)(seed % 3) + WAL_SYNC_ALWAYS;
    r.told = told;
    set(NULL, told, WAL_OPTION_FILE_SIZE, FILE_SIZE);
    if (wal_init(&l.wal, dir, l.policy == WAL_SYNC_ALWAYS) != 0 ||
        wal_recover(&l.wal, &r, on_replay) != 0) {
        refused(told, errno);
    }
    check(&l, &r);
    set(&l.wal, told, WAL_OPTION_SYNC_POLICY, (uint64_t)l.policy);
    set(&l.wal, told, WAL_OPTION_SYNC_INTERVAL_MS, 50);
    set(&l.wal, told, WAL_OPTION_COMPACT_THRESHOLD, 2000);
    set(&l.wal, told, WAL_OPTION_COMPACT_PAUSE_MS, 20);
    if (wal_start_compaction(&l.wal, NULL, no_keys) != 0) {
        refused(told, errno);
    }
    __atomic_add_fetch(&told->n_starts, 1, __ATOMIC_RELEASE);
    for (unsigned t = 0; t < N_THREADS; t++) {
        writers[t].life = &l;
        writers[t].thread = t;
        if (pthread_create(&thread, NULL, write_on, &writers[t]) != 0) {
            bad(told, "no thread can be had");
        }
    }
    for (uint64_t n = 0;; n = before.compact_ops) {
        usleep(START_POLL_US);
        if (wal_get_stats(&l.wal, &before) == 0 && before.compact_ops > n) {
            __atomic_add_fetch(&told->n_compactions, before.compact_ops - n,
                               __ATOMIC_RELAXED);
        }
    }
}

/* ---- the parent -----------------------------------------------------------*/

static bool live_once(struct power_disk *disk, const char *dir,
                      struct told *told, uint64_t seed)
{
    struct sim_random random;
    uint64_t n_starts = told->n_starts;
    bool ended = false;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        run_child(told, dir, seed);
    }
    /* Each fourth life may end while it recovers. */
    for (unsigned i = 0; seed % 4 != 0 && i < START_POLLS_MAX; i++) {
        ended = waitpid(pid, &status, WNOHANG) == pid;
        if (ended ||
            __atomic_load_n(&told->n_starts, __ATOMIC_ACQUIRE) > n_starts) {
            break;
        }
        usleep(START_POLL_US);
    }
    sim_random_init(&random, seed);
    usleep((useconds_t)sim_random_range(&random, LIFE_US_MIN, LIFE_US_MAX));
    if (disk != NULL) {
        __atomic_store_n(&told->is_cut, true, __ATOMIC_RELEASE);
        power_disk_cut(disk);
    }
    if (!ended) {
        kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    if (told->words[0] != '\0') {
        fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed,
                told->words);
        return false;
    }
    if (disk != NULL) {
        power_disk_restart(disk);
        told->is_cut = false;
    }
    return true;
}

int main(int argc, char **argv)
{
    uint64_t n_lives = argc > 1 ? strtoull(argv[1], NULL, 10) : 20;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    const char *filesystem = argc > 3 ? argv[3] : NULL;
    char dir[TEMP_DIR_MAX + 16];
    char why[200] = "";
    struct power_disk disk;
    struct temp_dir temp;
    struct told *told;
    bool ok;
    if (filesystem != NULL) {
        if (!power_disk_open(&disk, filesystem, DISK_MB, why, sizeof why)) {
            printf("not run: no file system whose power can be cut: %s\n", why);
            return POWER_DISK_EXIT_NOT_RUN;
        }
        snprintf(dir, sizeof dir, "%s/wal", disk.mounted.path);
    } else {
        temp_dir_make(&temp);
        snprintf(dir, sizeof dir, "%s/wal", temp.path);
    }
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok = told != MAP_FAILED;
    for (uint64_t i = 0; ok && i < n_lives; i++) {
        ok = live_once(filesystem != NULL ? &disk : NULL, dir, told, seed + i);
    }
    if (ok) {
        printf("%llu lives ended by %s: %llu appends in %llu starts, %llu "
               "compactions; all that was told is there\n",
               (unsigned long long)n_lives,
               filesystem != NULL ? "a power cut" : "kill -9",
               (unsigned long long)told->n_appends,
               (unsigned long long)told->n_starts,
               (unsigned long long)told->n_compactions);
        /* A run that did too little is void. */
        ok = told->n_starts * 2 >= n_lives && told->n_appends > n_lives * 20;
    }
    if (filesystem != NULL) {
        power_disk_close(&disk);
    } else if (ok) {
        temp_dir_remove(&temp);
    } else {
        fprintf(stderr, "the directory is kept: %s\n", dir);
    }
    return ok ? 0 : 1;
}
