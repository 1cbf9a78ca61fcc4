/* kill -9 of a program that embeds the log, under each policy, and a disk that
 * becomes full under it: what README.md's table says can be lost is all that
 * is lost.
 *
 * The victim is a child process; it tells through shared memory what it was
 * told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "persist/kv_persist.h"
#include "raftlog/file.h"
#include "tests/lib/small_disk.h"
#include "tests/lib/temp_dir.h"

enum { KILLS = 8, KEYS = 50, POLL_US = 200, POLLS_MAX = 200000 };

struct told {
    uint64_t appended; /* atomic: appends that returned 0 */
    uint64_t durable;  /* atomic: as wal_durable_seq said */
};

struct victim {
    int sync;
    uint64_t batch, interval_ms, unsynced_max; /* 0: as it is */
    uint64_t n_appends;                        /* then it only waits */
    uint64_t n_left; /* of them need not become durable by themselves */
    bool compacts;
};

static struct told *told;

static int no_keys(void *engine, char ***keys, int *count)
{
    (void)engine;
    (void)keys;
    (void)count;
    return -1;
}

static void set(wal_t *wal, enum wal_option option, uint64_t value)
{
    if (value != 0 && wal_set_option(wal, option, value) != 0) {
        _exit(3);
    }
}

static void number(char key[32], char value[32], uint64_t seq)
{
    snprintf(key, 32, "key-%llu", (unsigned long long)(seq % KEYS));
    snprintf(value, 32, "%llu", (unsigned long long)seq);
}

/* Never returns. */
static void victim_main(const char *dir, const struct victim *v)
{
    wal_t wal;
    if (wal_init(&wal, dir, v->sync) != 0) {
        _exit(2);
    }
    set(&wal, WAL_OPTION_BATCH_SIZE, v->batch);
    set(&wal, WAL_OPTION_SYNC_INTERVAL_MS, v->interval_ms);
    set(&wal, WAL_OPTION_UNSYNCED_MAX, v->unsynced_max);
    set(&wal, WAL_OPTION_COMPACT_PAUSE_MS, v->compacts);
    if (v->compacts && wal_start_compaction(&wal, NULL, no_keys) != 0) {
        _exit(3);
    }
    for (uint64_t n = 0;; n++) {
        if (n < v->n_appends) {
            char key[32];
            char value[32];
            number(key, value, wal_last_seq(&wal) + 1);
            if (wal_append(&wal, WAL_OP_SET, key, value) != 0) {
                _exit(4);
            }
            __atomic_store_n(&told->appended, wal_last_seq(&wal),
                             __ATOMIC_SEQ_CST);
        } else {
            usleep(POLL_US);
        }
        __atomic_store_n(&told->durable, wal_durable_seq(&wal),
                         __ATOMIC_SEQ_CST);
    }
}

struct replay {
    uint64_t values[KEYS];
};

static int on_op(void *engine, uint8_t op, const char *key, const char *value)
{
    struct replay *r = engine;
    unsigned k = (unsigned)strtoul(key + 4, NULL, 10);
    uint64_t v = strtoull(value, NULL, 10);
    assert_int_equal(op, WAL_OP_SET);
    assert_true(k < KEYS && v > r->values[k]);
    r->values[k] = v;
    return 0;
}

/* Exactly the first `last` operations are there. */
static void check_prefix(wal_t *wal, uint64_t last)
{
    struct replay r;
    memset(&r, 0, sizeof r);
    assert_int_equal(wal_recover(wal, &r, on_op), 0);
    for (uint64_t k = 0; k < KEYS; k++) {
        uint64_t expected = last < k ? 0 : last - (last - k) % KEYS;
        assert_true(r.values[k] == expected);
    }
}

/* Start the victim, wait until `reached` says so, kill it. */
static void kill_victim(const char *dir, const struct victim *v,
                        uint64_t *counter, uint64_t at_least)
{
    pid_t pid;
    int status;
    unsigned i;
    told->durable = 0;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        victim_main(dir, v);
    }
    for (i = 0; i < POLLS_MAX; i++) {
        if (__atomic_load_n(counter, __ATOMIC_SEQ_CST) >= at_least) {
            break;
        }
        assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
        usleep(POLL_US);
    }
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_true(i < POLLS_MAX);
}

/* lost_max: how many of the appended ones may be gone; UINT64_MAX: only those
 * that were not told to be durable. */
static void run(const struct victim *v, uint64_t lost_max)
{
    struct temp_dir dir;
    const char *path;
    uint64_t last = 0;
    temp_dir_make(&dir);
    path = temp_dir_path(&dir, "wal");
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, 1024 * 1024),
                     0);
    for (unsigned i = 0; i < KILLS; i++) {
        uint64_t n = 50 + 137 * i;
        wal_t wal;
        told->appended = last;
        if (v->n_appends == UINT64_MAX) {
            kill_victim(path, v, &told->appended, last + n);
        } else {
            kill_victim(path, v, &told->durable,
                        last + v->n_appends - v->n_left);
        }
        assert_int_equal(wal_init(&wal, path, 1), 0);
        last = wal_last_seq(&wal);
        assert_true(last >= told->durable);
        if (lost_max != UINT64_MAX) {
            assert_true(last + lost_max >= told->appended);
        }
        check_prefix(&wal, last);
        wal_destroy(&wal);
    }
    temp_dir_remove(&dir);
}

static void test_kill_always_loses_nothing(void **state)
{
    struct victim v = {.sync = 1, .n_appends = UINT64_MAX};
    (void)state;
    run(&v, 0);
}

static void test_kill_always_with_compaction_loses_nothing(void **state)
{
    struct victim v = {.sync = 1, .n_appends = UINT64_MAX, .compacts = true};
    (void)state;
    run(&v, 0);
}

static void test_kill_unsynced_limit_bounds_the_loss(void **state)
{
    struct victim v = {.n_appends = UINT64_MAX, .unsynced_max = 20};
    (void)state;
    run(&v, 20);
}

static void test_kill_batch_loses_a_tail_at_most(void **state)
{
    struct victim v = {.n_appends = UINT64_MAX, .compacts = true};
    (void)state;
    run(&v, UINT64_MAX);
}

/* Full batches become durable by themselves, without a look at the time; less
 * than one is left. */
static void test_kill_batch_keeps_full_batches(void **state)
{
    struct victim v = {
        .n_appends = 250, .batch = 100, .interval_ms = 3600000, .n_left = 99};
    (void)state;
    run(&v, 99);
}

/* A few become durable when the interval has passed. */
static void test_kill_interval_keeps_what_is_older(void **state)
{
    struct victim v = {.n_appends = 7, .batch = 1000, .interval_ms = 30};
    (void)state;
    run(&v, 0);
}

/* ---- the full disk --------------------------------------------------------*/

static struct small_disk disk;

static void append_big(wal_t *wal, unsigned i, int *rv)
{
    static char value[20001];
    char key[32];
    memset(value, 'v', sizeof value - 1);
    for (size_t k = 0; k < sizeof value - 1; k++) { /* does not compress */
        value[k] = (char)('!' + (i * 31 + k * k * 7 + k) % 90);
    }
    snprintf(value, 12, "%010u", i);
    value[10] = ' ';
    snprintf(key, sizeof key, "key-%u", i % KEYS);
    *rv = wal_append(wal, WAL_OP_SET, key, value);
}

static int on_big(void *engine, uint8_t op, const char *key, const char *value)
{
    unsigned *last = engine;
    assert_int_equal(op, WAL_OP_SET);
    last[strtoul(key + 4, NULL, 10)] = (unsigned)strtoul(value, NULL, 10);
    return 0;
}

static void check_big(wal_t *wal, unsigned n)
{
    unsigned last[KEYS] = {0};
    assert_int_equal(wal_recover(wal, last, on_big), 0);
    for (unsigned k = 0; k < KEYS; k++) {
        unsigned expected = (n - 1) - ((n - 1) - k) % KEYS;
        assert_int_equal(last[k], expected);
    }
}

/* The log alone fills the disk; then compaction makes the room that it needs
 * out of nothing but its reserve, and appends go on. */
static void test_disk_full_is_cured_by_compaction(void **state)
{
    const char *path = temp_dir_path(&disk.dir, "wal");
    unsigned n = 0;
    unsigned n_more = 0;
    wal_t wal;
    int rv = 0;
    (void)state;
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, 1024 * 1024),
                     0);
    assert_int_equal(wal_init(&wal, path, 1), 0);
    assert_int_equal(wal_set_option(&wal, WAL_OPTION_COMPACT_PAUSE_MS, 0), 0);
    /* Makes its reserve and is stopped before there is anything to do. */
    assert_int_equal(wal_start_compaction(&wal, NULL, no_keys), 0);
    __atomic_store_n(&wal.compact_running, 0, __ATOMIC_RELAXED);
    while (n < 10000) {
        append_big(&wal, n, &rv);
        if (rv != 0) {
            break;
        }
        n++;
    }
    assert_int_equal(rv, -1);
    assert_int_equal(errno, ENOSPC);
    check_big(&wal, n);
    small_disk_leave(&disk, 0); /* to the last block */
    assert_int_equal(wal_start_compaction(&wal, NULL, no_keys), 0);
    /* However slow the disk: it goes on as long as room comes. */
    for (unsigned n_waits = 0; n_waits < POLLS_MAX && n_more < 3 * n;) {
        append_big(&wal, n + n_more, &rv);
        if (rv == 0) {
            n_more++;
            n_waits = 0;
        } else {
            assert_int_equal(errno, ENOSPC);
            n_waits++;
            usleep(POLL_US);
        }
    }
    assert_int_equal(n_more, 3 * n);
    check_big(&wal, n + n_more);
    wal_destroy(&wal);
    assert_int_equal(wal_init(&wal, path, 1), 0);
    check_big(&wal, n + n_more);
    wal_destroy(&wal);
    small_disk_relieve(&disk);
}

/* A store that is larger than the disk, given key by key. */
struct large_store {
    uint64_t left_least; /* free on the disk when a value was asked for */
};

static int many_keys(void *engine, char ***keys, int *count)
{
    (void)engine;
    *count = 2000;
    *keys = calloc((size_t)*count, sizeof **keys);
    assert_non_null(*keys);
    for (int i = 0; i < *count; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%05d", i);
        (*keys)[i] = strdup(key);
    }
    return 0;
}

static int large_value(void *engine, const char *key, char **value)
{
    struct large_store *s = engine;
    unsigned random = (unsigned)strtoul(key + 4, NULL, 10) + 1;
    uint64_t left = 0;
    assert_int_equal(file_free_bytes(disk.dir.path, &left), 0);
    s->left_least = left < s->left_least ? left : s->left_least;
    *value = malloc(20001);
    assert_non_null(*value);
    for (size_t i = 0; i < 20000; i++) {
        random = random * 1103515245 + 12345;
        (*value)[i] = (char)('!' + (random >> 16) % 90);
    }
    (*value)[20000] = '\0';
    return 0;
}

/* A base that does not fit ends before it has taken the last block from those
 * who append, and leaves nothing. */
static void test_disk_is_not_filled_by_a_base_of_keys(void **state)
{
    const char *path = temp_dir_path(&disk.dir, "by-hand");
    struct large_store s = {UINT64_MAX};
    wal_t wal;
    int rv = 0;
    (void)state;
    assert_int_equal(wal_set_option(NULL, WAL_OPTION_FILE_SIZE, 1024 * 1024),
                     0);
    assert_int_equal(wal_init(&wal, path, 1), 0);
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        append_big(&wal, i, &rv);
        assert_int_equal(rv, 0);
    }
    assert_int_equal(wal_compact_logs(&wal, &s, many_keys, large_value), -1);
    assert_int_equal(errno, ENOSPC);
    assert_true(s.left_least >= 256 * 1024 && s.left_least < UINT64_MAX);
    check_big(&wal, 2 * KEYS);
    append_big(&wal, 2 * KEYS, &rv);
    assert_int_equal(rv, 0);
    wal_destroy(&wal);
    temp_dir_remove_path(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disk_is_not_filled_by_a_base_of_keys),
        cmocka_unit_test(test_disk_full_is_cured_by_compaction),
        cmocka_unit_test(test_kill_always_loses_nothing),
        cmocka_unit_test(test_kill_always_with_compaction_loses_nothing),
        cmocka_unit_test(test_kill_unsynced_limit_bounds_the_loss),
        cmocka_unit_test(test_kill_batch_loses_a_tail_at_most),
        cmocka_unit_test(test_kill_batch_keeps_full_batches),
        cmocka_unit_test(test_kill_interval_keeps_what_is_older),
    };
    char why[200];
    int rv;
    if (!small_disk_open(&disk, 24, why, sizeof why)) {
        fprintf(stderr, "no small disk here: %s\n", why);
        return 1;
    }
    told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (told == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    rv = cmocka_run_group_tests_name("persist_kill", tests, NULL, NULL);
    small_disk_close(&disk);
    return rv;
}
