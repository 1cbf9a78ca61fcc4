/* The queue of durable writes, both kinds, and that each write really reaches
 * the device: the flush counter of the device is read before and after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "raftlog/err.h"
#include "raftlog/file.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/temp_dir.h"

enum { SIZE = 4096, FILE_BYTES = 64 * SIZE };

struct fixture {
    struct temp_dir dir;
    struct file *file;
    struct file_queue *queue;
    uint8_t *buf[FILE_QUEUE_DEPTH_MAX];
};

static const struct file_queue_options thread_only = {""};

static void open_fixture(struct fixture *fx,
                         const struct file_queue_options *options)
{
    temp_dir_make(&fx->dir);
    assert_int_equal(file_open(temp_dir_path(&fx->dir, "x"),
                               FILE_WRITE | FILE_CREATE | FILE_DIRECT,
                               &fx->file),
                     0);
    assert_int_equal(file_fill(fx->file, 0, FILE_BYTES), 0);
    assert_int_equal(file_queue_new(fx->dir.path, options, &fx->queue), 0);
    for (unsigned i = 0; i < FILE_QUEUE_DEPTH_MAX; i++) {
        fx->buf[i] = file_buffer_new(SIZE);
        assert_non_null(fx->buf[i]);
        memset(fx->buf[i], (int)('a' + i), SIZE);
    }
}

static void close_fixture(struct fixture *fx)
{
    file_queue_free(fx->queue);
    file_close(fx->file);
    for (unsigned i = 0; i < FILE_QUEUE_DEPTH_MAX; i++) {
        file_buffer_free(fx->buf[i], SIZE);
    }
    temp_dir_remove(&fx->dir);
}

/* Wait for the one completion there will be. The descriptor may be readable for
 * nothing before, for what was reaped already. */
static void reap_one(struct file_queue *q, struct file_completion *c)
{
    size_t n = 0;

    for (unsigned i = 0; i < FILE_QUEUE_DEPTH_MAX && n == 0; i++) {
        assert_int_equal(file_queue_wait(q, 10000), 0);
        n = file_queue_reap(q, c, 1);
    }
    assert_int_equal(n, 1);
}

/* Wait for n completions; all must carry status. */
static void reap_all(struct file_queue *q, size_t n, int status)
{
    struct file_completion c[FILE_QUEUE_DEPTH_MAX];

    while (n > 0) {
        size_t got;
        assert_int_equal(file_queue_wait(q, 10000), 0);
        got = file_queue_reap(q, c, FILE_QUEUE_DEPTH_MAX);
        for (size_t i = 0; i < got; i++) {
            assert_int_equal(c[i].status, status);
        }
        assert_true(got <= n);
        n -= got;
    }
}

static void full_depth(struct fixture *fx)
{
    uint8_t seen[FILE_QUEUE_DEPTH_MAX] = {0};
    struct file_completion c[3];
    uint8_t back[SIZE];
    size_t n_done = 0;
    size_t n;
    struct file *f;

    for (unsigned i = 0; i < FILE_QUEUE_DEPTH_MAX; i++) {
        assert_int_equal(file_queue_submit(fx->queue, fx->file, fx->buf[i],
                                           SIZE, (uint64_t)i * SIZE, &seen[i]),
                         0);
    }
    assert_int_equal(
        file_queue_submit(fx->queue, fx->file, fx->buf[0], SIZE, 0, NULL),
        ERR_AGAIN);
    while (n_done < FILE_QUEUE_DEPTH_MAX) {
        assert_int_equal(file_queue_wait(fx->queue, 10000), 0);
        /* Fewer than there are: the descriptor must stay readable. */
        n = file_queue_reap(fx->queue, c, 3);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(c[i].status, 0);
            *(uint8_t *)c[i].tag += 1;
        }
        n_done += n;
    }
    assert_int_equal(file_open(temp_dir_path(&fx->dir, "x"), FILE_READ, &f), 0);
    for (unsigned i = 0; i < FILE_QUEUE_DEPTH_MAX; i++) {
        assert_int_equal(seen[i], 1);
        assert_int_equal(file_read_at(f, back, SIZE, (uint64_t)i * SIZE, &n),
                         0);
        assert_memory_equal(back, fx->buf[i], SIZE);
    }
    file_close(f);
    assert_int_equal(file_queue_reap(fx->queue, c, 3), 0);
}

static void test_file_queue_full_depth_each_completes_once(void **state)
{
    struct fixture fx;
    (void)state;
    open_fixture(&fx, NULL);
    full_depth(&fx);
    close_fixture(&fx);
}

static void test_file_queue_thread_full_depth_each_completes_once(void **state)
{
    struct fixture fx;
    (void)state;
    open_fixture(&fx, &thread_only);
    assert_int_equal(file_queue_kind(fx.queue), FILE_QUEUE_THREAD);
    full_depth(&fx);
    close_fixture(&fx);
}

static void test_file_queue_kind_follows_the_file_system(void **state)
{
    struct fixture fx;
    struct statfs st;
    bool known;

    (void)state;
    open_fixture(&fx, NULL);
    assert_int_equal(statfs(fx.dir.path, &st), 0);
    known = st.f_type == 0xef53 || st.f_type == 0x58465342;
    assert_int_equal(file_queue_kind(fx.queue),
                     known ? FILE_QUEUE_AIO : FILE_QUEUE_THREAD);
    close_fixture(&fx);
}

static void test_file_queue_kind_name_must_match_whole(void **state)
{
    const struct file_queue_options options = {"ext,xf,ext4x,,overlayfs"};
    struct fixture fx;

    (void)state;
    open_fixture(&fx, &options);
    assert_int_equal(file_queue_kind(fx.queue), FILE_QUEUE_THREAD);
    close_fixture(&fx);
}

static void test_file_queue_new_missing_directory_is_not_found(void **state)
{
    struct file_queue *q = NULL;
    (void)state;
    assert_int_equal(file_queue_new("/nonexistent/x", NULL, &q), ERR_NOTFOUND);
    assert_null(q);
    file_queue_free(NULL);
}

static void test_file_queue_idle_wait_times_out(void **state)
{
    struct fixture fx;
    struct file_completion c;

    (void)state;
    open_fixture(&fx, NULL);
    assert_int_equal(file_queue_wait(fx.queue, 0), ERR_AGAIN);
    assert_int_equal(file_queue_reap(fx.queue, &c, 1), 0);
    close_fixture(&fx);
}

static void test_file_queue_idle_fd_is_not_readable_after_reap(void **state)
{
    struct fixture fx;
    struct pollfd p;
    struct file_completion c[2];

    (void)state;
    open_fixture(&fx, &thread_only);
    assert_int_equal(
        file_queue_submit(fx.queue, fx.file, fx.buf[0], SIZE, 0, NULL), 0);
    reap_all(fx.queue, 1, 0);
    assert_int_equal(file_queue_reap(fx.queue, c, 2), 0);
    p.fd = file_queue_fd(fx.queue);
    p.events = POLLIN;
    assert_int_equal(poll(&p, 1, 0), 0);
    close_fixture(&fx);
}

static void test_file_queue_free_waits_for_what_is_in_flight(void **state)
{
    const struct file_queue_options *options[] = {NULL, &thread_only};

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct fixture fx;
        uint8_t back[SIZE];
        size_t n;
        struct file *f;

        open_fixture(&fx, options[k]);
        for (unsigned i = 0; i < 8; i++) {
            assert_int_equal(file_queue_submit(fx.queue, fx.file, fx.buf[i],
                                               SIZE, (uint64_t)i * SIZE, NULL),
                             0);
        }
        file_queue_free(fx.queue);
        fx.queue = NULL;
        assert_int_equal(file_open(temp_dir_path(&fx.dir, "x"), FILE_READ, &f),
                         0);
        assert_int_equal(file_read_at(f, back, SIZE, 7 * SIZE, &n), 0);
        assert_memory_equal(back, fx.buf[7], SIZE);
        file_close(f);
        close_fixture(&fx);
    }
}

/* Weak writes and syncs complete like others, and in one queue with them. */
static void weak_writes(const struct file_queue_options *options)
{
    struct fixture fx;
    struct file_completion c;
    uint8_t back[SIZE];
    struct file *f;
    size_t n;

    open_fixture(&fx, options);
    assert_int_equal(
        file_queue_write(fx.queue, fx.file, fx.buf[1], SIZE, SIZE, NULL), 0);
    reap_all(fx.queue, 1, 0);
    assert_int_equal(
        file_queue_write(fx.queue, fx.file, fx.buf[2], SIZE, 2 * SIZE, NULL),
        0);
    assert_int_equal(
        file_queue_submit(fx.queue, fx.file, fx.buf[3], SIZE, 3 * SIZE, NULL),
        0);
    assert_int_equal(file_queue_sync(fx.queue, fx.file, NULL), 0);
    reap_all(fx.queue, 3, 0);
    assert_int_equal(file_queue_sync(fx.queue, fx.file, &fx), 0);
    reap_one(fx.queue, &c);
    assert_ptr_equal(c.tag, &fx);
    assert_int_equal(file_open(temp_dir_path(&fx.dir, "x"), FILE_READ, &f), 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(file_read_at(f, back, SIZE, (uint64_t)i * SIZE, &n),
                         0);
        assert_memory_equal(back, fx.buf[i], SIZE);
    }
    file_close(f);
    close_fixture(&fx);
}

static void test_file_queue_weak_writes_and_sync_complete(void **state)
{
    (void)state;
    weak_writes(NULL);
}

static void test_file_queue_thread_weak_writes_and_sync_complete(void **state)
{
    (void)state;
    weak_writes(&thread_only);
}

/* A file that is open for reading only makes the write fail for sure. */
static void failing(const struct file_queue_options *options)
{
    struct fixture fx;
    struct file *f;
    struct file_completion c;
    int rv;

    open_fixture(&fx, options);
    assert_int_equal(file_open(temp_dir_path(&fx.dir, "x"), FILE_READ, &f), 0);
    rv = file_queue_submit(fx.queue, f, fx.buf[0], SIZE, 0, &fx);
    if (rv == 0) {
        assert_int_equal(file_queue_wait(fx.queue, 10000), 0);
        assert_int_equal(file_queue_reap(fx.queue, &c, 1), 1);
        assert_ptr_equal(c.tag, &fx);
        assert_int_equal(c.status, ERR_IO);
        assert_int_equal(c.os_error, EBADF);
        /* Nothing that comes after a failure may claim to be durable. */
        rv = file_queue_submit(fx.queue, fx.file, fx.buf[0], SIZE, 0, NULL);
    }
    assert_int_equal(rv, ERR_IO);
    file_close(f);
    close_fixture(&fx);
}

static void test_file_queue_failed_write_is_told_and_stays(void **state)
{
    (void)state;
    failing(NULL);
}

static void test_file_queue_thread_failed_write_is_told_and_stays(void **state)
{
    (void)state;
    failing(&thread_only);
}

static void test_file_queue_injected_completion_failure_is_seen(void **state)
{
    struct fixture fx;

    (void)state;
    open_fixture(&fx, NULL);
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    assert_int_equal(
        file_queue_submit(fx.queue, fx.file, fx.buf[0], SIZE, 0, NULL), 0);
    reap_all(fx.queue, 1, ERR_IO);
    assert_true(fault_file_disarm());
    close_fixture(&fx);
}

/* Flush requests that the device under path has completed, or -1 where the
 * kernel does not tell (a file system without a device of its own). */
static long long flush_count(const char *path)
{
    struct stat st;
    char name[128];
    unsigned long long field = 0;
    FILE *f;
    int n = 0;

    if (stat(path, &st) != 0) {
        return -1;
    }
    snprintf(name, sizeof name, "/sys/dev/block/%u:%u/partition",
             major(st.st_dev), minor(st.st_dev));
    /* Flushes are counted on the whole disk, not on its partitions. */
    snprintf(name, sizeof name, "/sys/dev/block/%u:%u/%sstat", major(st.st_dev),
             minor(st.st_dev), access(name, F_OK) == 0 ? "../" : "");
    f = fopen(name, "r");
    if (f == NULL) {
        return -1;
    }
    while (n < 16 && fscanf(f, "%llu", &field) == 1) {
        n++;
    }
    fclose(f);
    return n == 16 ? (long long)field : -1;
}

/* What the device below has to show for writes of one in flight each. Others
 * on the machine flush too and could hide flushes that we left out, so the
 * quietest of several rounds counts. */
static void count_flushes(const struct file_queue_options *options,
                          bool separate)
{
    enum { N_WRITES = 50, N_ROUNDS = 5 };
    struct fixture fx;
    long long least = -1;

    open_fixture(&fx, options);
    for (unsigned round = 0; round < N_ROUNDS; round++) {
        long long before = flush_count(fx.dir.path);
        long long after;

        for (unsigned i = 0; i < N_WRITES; i++) {
            assert_int_equal((separate ? file_queue_write : file_queue_submit)(
                                 fx.queue, fx.file, fx.buf[0], SIZE,
                                 (uint64_t)i * SIZE, NULL),
                             0);
            reap_all(fx.queue, 1, 0);
            if (separate) {
                assert_int_equal(file_queue_sync(fx.queue, fx.file, NULL), 0);
                reap_all(fx.queue, 1, 0);
            }
        }
        after = flush_count(fx.dir.path);
        if (before < 0 || after == 0) {
            print_message("NOT RUN: no flush counter for the device of %s "
                          "(%s); durable writes were not checked here\n",
                          fx.dir.path,
                          before < 0 ? "no block device in sysfs"
                                     : "the device takes no flush requests");
            close_fixture(&fx);
            skip();
        }
        if (least < 0 || after - before < least) {
            least = after - before;
        }
    }
    print_message("%d durable writes, %lld device flushes\n", N_WRITES, least);
    close_fixture(&fx);
    assert_true(least >= N_WRITES);
}

static void test_file_queue_each_write_flushes_the_device(void **state)
{
    (void)state;
    count_flushes(NULL, false);
}

static void test_file_queue_thread_each_write_flushes_the_device(void **state)
{
    (void)state;
    count_flushes(&thread_only, false);
}

/* The sync of a weaker policy has to reach the device as well. */
static void test_file_queue_each_sync_flushes_the_device(void **state)
{
    (void)state;
    count_flushes(NULL, true);
}

static void test_file_queue_thread_each_sync_flushes_the_device(void **state)
{
    (void)state;
    count_flushes(&thread_only, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_queue_full_depth_each_completes_once),
        cmocka_unit_test(test_file_queue_thread_full_depth_each_completes_once),
        cmocka_unit_test(test_file_queue_kind_follows_the_file_system),
        cmocka_unit_test(test_file_queue_kind_name_must_match_whole),
        cmocka_unit_test(test_file_queue_new_missing_directory_is_not_found),
        cmocka_unit_test(test_file_queue_idle_wait_times_out),
        cmocka_unit_test(test_file_queue_idle_fd_is_not_readable_after_reap),
        cmocka_unit_test(test_file_queue_free_waits_for_what_is_in_flight),
        cmocka_unit_test(test_file_queue_failed_write_is_told_and_stays),
        cmocka_unit_test(test_file_queue_thread_failed_write_is_told_and_stays),
        cmocka_unit_test(test_file_queue_injected_completion_failure_is_seen),
        cmocka_unit_test(test_file_queue_each_write_flushes_the_device),
        cmocka_unit_test(test_file_queue_thread_each_write_flushes_the_device),
        cmocka_unit_test(test_file_queue_each_sync_flushes_the_device),
        cmocka_unit_test(test_file_queue_thread_each_sync_flushes_the_device),
        cmocka_unit_test(test_file_queue_weak_writes_and_sync_complete),
        cmocka_unit_test(test_file_queue_thread_weak_writes_and_sync_complete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
