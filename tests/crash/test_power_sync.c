/* Power cuts on a real file system under logs that do not sync each write (L3).
 *
 *     test_power_sync [LIVES [ext4|xfs [SEED]]]        8 lives, ext4, seed 1
 *
 * A child opens the directory, checks it against what earlier lives were told,
 * and appends; in the middle of it the parent cuts the power. Two logs take
 * turns: the one of a node under `batch` and `interval`, and the embedding
 * library's. Both have a clock that only the child moves, so that "older than
 * the interval" is not a matter of how fast this machine is: when the clock has
 * gone on by an interval and the log was asked to do what is due, everything
 * from before has to be there. So has what was forced, and of the rest no more
 * may be missing than the policy says.
 *
 * The cut is one of the file system, not of its device: what the device has
 * taken stays, names and sizes go. That a device may forget as well is the
 * matter of crash/raftlog and of the simulator. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "persist/internal.h"
#include "raftlog/block.h"
#include "raftlog/hardstate.h"
#include "raftlog/internal.h"
#include "tests/crash/power_life.h"
#include "tests/lib/job_list.h"
#include "tests/sim/sim_random.h"

enum {
    DISK_MB = 96,
    SEGMENT = 1 << 18,
    BATCH = 40,
    INTERVAL_MS = 700,
    STEP_MS = 100, /* a log's ticks */
    APPEND_MAX = 8,
    /* Behind a batch that is synced another one may gather (raftlog/README.md);
     * frames here hold a turn's entries. */
    LOST_MAX = 2 * (BATCH - 1 + APPEND_MAX),
    AT_RISK_US = 500, /* the cut is to come when something can be lost */
    TURNS_MIN = 30,   /* of a life, before the cut */
    TURNS_MAX = 150,
    POLL_US = 500,
    POLLS_MAX = 40000
};

/* Shared with the parent; one for each of the two logs. */
struct told {
    uint64_t safe;    /* must be there */
    uint64_t written; /* was acknowledged */
    uint64_t n_starts, n_turns;
    uint64_t n_forced, n_aged;
    uint64_t n_missing; /* acknowledged and not there, in all */
    bool limited;       /* by the number of entries */
    struct power_life life;
};

/* Seeds that follow each other give one stream, one step apart: a life of its
 * own needs one of its own. */
static void random_of_life(struct sim_random *out, const char *whose,
                           uint64_t seed)
{
    struct sim_random root;
    sim_random_init(&root, seed);
    sim_random_fork(&root, whose, seed, out);
}

/* What came back reaches through `last`. */
static void check_end(struct told *t, uint64_t last)
{
    char more[160];
    snprintf(more, sizeof more,
             "%llu is the last, %llu were safe, %llu written",
             (unsigned long long)last, (unsigned long long)t->safe,
             (unsigned long long)t->written);
    if (last < t->safe) {
        power_life_bad(&t->life, "what had to be safe is lost", more);
    }
    if (t->limited && last + LOST_MAX < t->written) {
        power_life_bad(&t->life, "more is lost than the policy says", more);
    }
    if (last < t->written) {
        t->n_missing += t->written - last;
    }
    t->safe = last; /* what came back stays */
    t->written = last;
    t->limited = false;
    __atomic_add_fetch(&t->n_starts, 1, __ATOMIC_RELEASE);
}

static uint64_t clock_ms = 1000;

/* ---- the log of a node ----------------------------------------------------*/

struct node {
    struct told *told;
    struct raftlog *log;
    struct job_list jobs;
    bool fatal;
    struct sim_random random;
};

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct node *n = ctx;
    if (!job_list_add(&n->jobs, work, done, arg)) {
        power_life_bad(&n->told->life, "too many jobs", "");
    }
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    (void)info;
    ((struct node *)ctx)->fatal = true;
}

static uint64_t on_now(void *ctx)
{
    (void)ctx;
    return clock_ms;
}

static uint8_t byte_at(uint64_t index, uint32_t at)
{
    return (uint8_t)(index * 31 + at * 7 + (index >> 8));
}

static uint32_t size_of(uint64_t index)
{
    return (uint32_t)(8 + index * 2654435761u % 300);
}

static int on_scan(void *ctx, uint64_t index, const struct raftlog_entry *e)
{
    const uint8_t *data = e->data;
    bool same = e->size == size_of(index);
    for (uint32_t i = 0; same && i < e->size; i++) {
        same = data[i] == byte_at(index, i);
    }
    if (!same) {
        power_life_bad(&((struct told *)ctx)->life,
                       "an entry came back with other bytes", "");
    }
    return 0;
}

/* This machine was not started anew by the cut; a real one would have been. */
static void change_boot(struct told *t, const char *dir,
                        const struct raftlog_options *options)
{
    struct hardstate_loaded loaded;
    struct err_info info = {0};
    int rv = hardstate_load(dir, options, &loaded, &info);
    power_life_look(&t->life, rv, "the hard state can not be read", &info);
    if (loaded.missing || loaded.state.weak_boot[0] == '\0') {
        return;
    }
    memset(loaded.state.weak_boot, 0, sizeof loaded.state.weak_boot);
    memcpy(loaded.state.weak_boot, "another", 7);
    for (unsigned i = 0; i < HARDSTATE_SLOTS && rv == 0; i++) {
        rv = hardstate_create(dir, &loaded.state, i, 4096, &info);
    }
    power_life_look(&t->life, rv, "the hard state can not be written", &info);
}

static void node_open(struct node *n, const char *dir,
                      struct raftlog_sync_policy policy)
{
    struct raftlog_options options = {
        .node_id = 1, .segment_bytes = SEGMENT, .sync = policy};
    struct raftlog_io io = {.ctx = n,
                            .work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = on_now};
    struct raftlog_report report;
    struct err_info info = {0};
    int rv;
    memcpy(options.cluster_id, "power and sync", 15);
    rv = file_make_dir_durable(dir);
    power_life_look(&n->told->life, rv, "the directory can not be made", &info);
    change_boot(n->told, dir, &options);
    rv = raftlog_open(dir, &options, &io, &n->log, &report, &info);
    power_life_look(&n->told->life, rv, "the log does not open", &info);
    if (n->told->written > n->told->safe && !report.forgot) {
        power_life_bad(&n->told->life,
                       "the log does not know that it may have forgotten", "");
    }
    rv = raftlog_scan(n->log, report.first_index, report.last_index, on_scan,
                      n->told, &info);
    power_life_look(&n->told->life, rv, "the log can not be read", &info);
    check_end(n->told, report.last_index);
}

static void node_append(struct node *n)
{
    struct raftlog_entry entries[APPEND_MAX];
    size_t many = (size_t)sim_random_range(&n->random, 1, APPEND_MAX);
    uint64_t first = raftlog_last_index(n->log) + 1;
    memset(entries, 0, sizeof entries);
    for (size_t i = 0; i < many; i++) {
        uint32_t size = size_of(first + i);
        uint8_t *data = block_new(size);
        if (data == NULL) {
            power_life_bad(&n->told->life, "no memory", "");
        }
        for (uint32_t k = 0; k < size; k++) {
            data[k] = byte_at(first + i, k);
        }
        entries[i] = (struct raftlog_entry){
            .term = 1, .kind = 1, .size = size, .data = data, .block = data};
    }
    (void)raftlog_append(n->log, first, entries, many);
    for (size_t i = 0; i < many; i++) {
        block_unref(entries[i].block);
    }
}

static void node_turn(struct node *n)
{
    struct pollfd p = {.fd = raftlog_fd(n->log), .events = POLLIN};
    job_list_run_all(&n->jobs);
    (void)poll(&p, 1, 2);
    raftlog_poll(n->log);
    n->told->written = raftlog_persisted_index(n->log);
    if (n->fatal) {
        _exit(0); /* as the process ends whose log has failed */
    }
}

/* Until all that was given is written; a sync may go on. */
static void node_settle(struct node *n)
{
    while (raftlog_persisted_index(n->log) < raftlog_last_index(n->log)) {
        node_turn(n);
    }
}

static void node_let_time_pass(struct node *n, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i += STEP_MS) {
        clock_ms += STEP_MS;
        raftlog_tick(n->log);
        node_turn(n);
    }
    while (n->log->syncing.active) {
        node_turn(n);
    }
}

static void run_node(struct told *told, const char *dir, uint64_t seed)
{
    static struct node n;
    struct raftlog_sync_policy policy = {RAFTLOG_SYNC_BATCH, BATCH,
                                         INTERVAL_MS};
    if (seed % 4 >= 2) {
        policy.policy = RAFTLOG_SYNC_INTERVAL;
    }
    n.told = told;
    random_of_life(&n.random, "node", seed);
    node_open(&n, dir, policy);
    told->limited = policy.policy == RAFTLOG_SYNC_BATCH;
    for (;; __atomic_add_fetch(&told->n_turns, 1, __ATOMIC_RELEASE)) {
        uint64_t what = sim_random_below(&n.random, 100);
        uint64_t before = raftlog_last_index(n.log);
        if (!raftlog_has_room(n.log, APPEND_MAX * 400)) {
            power_life_bad(&told->life, "the disk is too small for this test",
                           "");
        }
        if (what < 90) {
            node_append(&n);
            node_settle(&n);
            usleep(AT_RISK_US);
        } else if (what < 95) {
            raftlog_force_sync(n.log);
            while (raftlog_durable_index(n.log) < before) {
                node_turn(&n);
            }
            told->safe = before;
            told->n_forced++;
        } else {
            /* Not asked what is durable: it has to be. */
            node_let_time_pass(&n, INTERVAL_MS + STEP_MS);
            told->safe = before;
            told->n_aged++;
        }
        if (raftlog_last_index(n.log) > 3000) {
            raftlog_release(n.log, raftlog_durable_index(n.log) / 2);
        }
    }
}

/* ---- the embedding library ------------------------------------------------*/

struct library {
    struct told *told;
    wal_t shown;
    struct wal_private *wal;
    uint64_t given;
    struct sim_random random;
};

static uint64_t library_now(void)
{
    return clock_ms * 1000000;
}

static const struct wal_environment environment = {.now_ns = library_now};

/* Each append has a key of its own, named by its number. */
static int on_replay(void *ctx, uint8_t op, const char *key, const char *value)
{
    struct library *l = ctx;
    char expected[32];
    snprintf(expected, sizeof expected, "k%llu",
             (unsigned long long)(l->given + 1));
    if (op != WAL_OP_SET || strcmp(key, expected) != 0 ||
        strcmp(value, expected) != 0) {
        power_life_bad(&l->told->life,
                       "what came back is not what was appended next", key);
    }
    l->given++;
    return 0;
}

static void library_append(struct library *l)
{
    char text[32];
    struct entry e = {ENTRY_SET, {NULL, 0}, {NULL, 0}};
    struct err_info info = {0};
    e.key.size = (size_t)snprintf(text, sizeof text, "k%llu",
                                  (unsigned long long)(l->given + 1));
    e.key.data = (const uint8_t *)text;
    e.value = e.key;
    power_life_look(&l->told->life, commit_append(l->wal, &e, &info), "append",
                    &info);
    l->told->written = ++l->given;
}

/* As the thread of the library would. */
static void library_do_due(struct library *l)
{
    uint64_t at_ns;
    pthread_mutex_lock(&l->wal->gather_lock);
    while (commit_due(l->wal, library_now(), &at_ns)) {
        if (commit_lead(l->wal) != 0) {
            _exit(0);
        }
    }
    service_tick(l->wal);
    pthread_mutex_unlock(&l->wal->gather_lock);
}

static void run_library(struct told *told, const char *dir, uint64_t seed)
{
    static struct library l;
    struct err_info info = {0};
    int rv;
    l.told = told;
    random_of_life(&l.random, "library", seed);
    (void)wal_set_option(NULL, WAL_OPTION_FILE_SIZE, SEGMENT);
    rv = wal_private_open(&l.shown, dir, false, &environment, &l.wal, &info);
    power_life_look(&told->life, rv, "the library's log does not open", &info);
    l.shown.wal_private = l.wal;
    rv = wal_recover(&l.shown, &l, on_replay);
    (void)snprintf(info.message, sizeof info.message, "%s", persist_errmsg());
    power_life_look(&told->life, rv, "replay", &info);
    check_end(told, l.given);
    l.wal->options[WAL_OPTION_SYNC_POLICY] =
        seed % 4 >= 2 ? WAL_SYNC_INTERVAL : WAL_SYNC_BATCH;
    l.wal->options[WAL_OPTION_BATCH_SIZE] = BATCH;
    l.wal->options[WAL_OPTION_SYNC_INTERVAL_MS] = INTERVAL_MS;
    l.shown.incremental_running = 1;
    told->limited = seed % 4 < 2;
    for (;; __atomic_add_fetch(&told->n_turns, 1, __ATOMIC_RELEASE)) {
        uint64_t what = sim_random_below(&l.random, 100);
        if (what < 90) {
            uint64_t many = sim_random_range(&l.random, 1, APPEND_MAX);
            for (uint64_t i = 0; i < many; i++) {
                library_append(&l);
            }
            library_do_due(&l);
            usleep(AT_RISK_US);
        } else if (what < 95) {
            power_life_look(&told->life, commit_force(l.wal, &info), "force",
                            &info);
            told->safe = l.given;
            told->n_forced++;
        } else {
            clock_ms += INTERVAL_MS;
            library_do_due(&l);
            told->safe = l.given;
            told->n_aged++;
        }
    }
}

/* ---- the parent -----------------------------------------------------------*/

/* False: the child found something wrong. */
static bool live_once(struct power_disk *disk, struct told *told, bool library,
                      uint64_t seed)
{
    struct sim_random random;
    uint64_t n_turns = told->n_turns;
    char dir[TEMP_DIR_MAX + 16];
    pid_t pid;
    snprintf(dir, sizeof dir, "%s/%s", disk->mounted.path,
             library ? "wal" : "node");
    pid = fork();
    if (pid == 0) {
        if (library) {
            run_library(told, dir, seed);
        }
        run_node(told, dir, seed);
    }
    random_of_life(&random, "parent", seed);
    n_turns += sim_random_range(&random, TURNS_MIN, TURNS_MAX);
    for (unsigned i = 0; i < POLLS_MAX; i++) {
        if (power_life_ended(pid) ||
            __atomic_load_n(&told->n_turns, __ATOMIC_ACQUIRE) >= n_turns) {
            break;
        }
        usleep(POLL_US);
    }
    return power_life_end(&told->life, disk, pid, library ? "library" : "node",
                          seed);
}

static bool report(const char *name, const struct told *t, uint64_t n_lives)
{
    printf("%s: %llu lives, %llu entries, forced %llu times, an interval "
           "passed %llu times; missing at last %llu\n",
           name, (unsigned long long)t->n_starts,
           (unsigned long long)t->written, (unsigned long long)t->n_forced,
           (unsigned long long)t->n_aged, (unsigned long long)t->n_missing);
    bool enough = t->n_starts * 2 >= n_lives && t->n_forced > 0 &&
                  t->n_aged > 0 && t->written > n_lives;
    if (!enough) {
        printf("void: too little was done to show anything; more lives?\n");
    }
    return enough;
}

int main(int argc, char **argv)
{
    uint64_t n_lives = argc > 1 ? strtoull(argv[1], NULL, 10) : 8;
    const char *filesystem = argc > 2 ? argv[2] : "ext4";
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    struct power_disk disk;
    struct told *told;
    char why[200] = "";
    bool ok;
    if (!power_disk_open(&disk, filesystem, DISK_MB, why, sizeof why)) {
        printf("not run: no file system whose power can be cut: %s\n", why);
        return POWER_DISK_EXIT_NOT_RUN;
    }
    told = mmap(NULL, 2 * sizeof *told, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ok = told != MAP_FAILED;
    for (uint64_t i = 0; ok && i < n_lives; i++) {
        ok = live_once(&disk, &told[i % 2], i % 2 == 1, seed + i);
    }
    power_disk_close(&disk);
    ok = ok && report("node", &told[0], n_lives / 2);
    ok = ok && report("library", &told[1], n_lives / 2);
    return ok ? 0 : 1;
}
