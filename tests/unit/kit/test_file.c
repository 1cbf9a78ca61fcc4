/* Blocking file operations on a real directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>

#include "raftlog/err.h"
#include "raftlog/file.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/temp_dir.h"

static int setup(void **state)
{
    struct temp_dir *t = malloc(sizeof *t);
    temp_dir_make(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    temp_dir_remove(*state);
    free(*state);
    return 0;
}

static struct file *open_new(void **state, const char *name)
{
    struct file *f = NULL;
    assert_int_equal(
        file_open(temp_dir_path(*state, name), FILE_WRITE | FILE_CREATE, &f),
        0);
    return f;
}

static void test_file_open_missing_is_not_found(void **state)
{
    struct file *f;
    assert_int_equal(file_open(temp_dir_path(*state, "no"), FILE_READ, &f),
                     ERR_NOTFOUND);
    assert_int_equal(errno, ENOENT);
}

static void test_file_open_exclusive_twice_exists(void **state)
{
    const unsigned flags = FILE_WRITE | FILE_CREATE | FILE_EXCLUSIVE;
    const char *path = temp_dir_path(*state, "x");
    struct file *f;
    struct file *g;

    assert_int_equal(file_open(path, flags, &f), 0);
    assert_int_equal(file_open(path, flags, &g), ERR_EXISTS);
    file_close(f);
    file_close(NULL);
}

static void test_file_read_at_end_is_short(void **state)
{
    struct file *f = open_new(state, "x");
    char buf[10];
    size_t n;
    uint64_t size;

    assert_int_equal(file_write_at(f, "hello", 5, 3), 0);
    assert_int_equal(file_sync(f), 0);
    assert_int_equal(file_size(f, &size), 0);
    assert_int_equal(size, 8);
    assert_int_equal(file_read_at(f, buf, sizeof buf, 2, &n), 0);
    assert_int_equal(n, 6);
    assert_memory_equal(buf, "\0hello", 6);
    assert_int_equal(file_read_at(f, buf, sizeof buf, 8, &n), 0);
    assert_int_equal(n, 0);
    file_drop_cache(f);
    file_close(f);
}

static void test_file_write_at_read_only_fails(void **state)
{
    struct file *f = open_new(state, "x");
    file_close(f);
    assert_int_equal(file_open(temp_dir_path(*state, "x"), FILE_READ, &f), 0);
    assert_int_equal(file_write_at(f, "a", 1, 0), ERR_IO);
    assert_int_equal(errno, EBADF);
    file_close(f);
}

static void test_file_truncate_sets_size(void **state)
{
    struct file *f = open_new(state, "x");
    uint64_t size;

    assert_int_equal(file_write_at(f, "hello", 5, 0), 0);
    assert_int_equal(file_truncate(f, 2), 0);
    assert_int_equal(file_size(f, &size), 0);
    assert_int_equal(size, 2);
    file_close(f);
}

static void test_file_fill_leaves_zeroes_and_neighbours(void **state)
{
    enum { SIZE = 3 * 1024 * 1024 };
    struct file *f = open_new(state, "x");
    char *buf = malloc(SIZE);
    size_t n;

    memset(buf, 1, SIZE);
    assert_int_equal(file_write_at(f, buf, SIZE, 0), 0);
    assert_int_equal(file_fill(f, 4096, SIZE - 8192), 0);
    assert_int_equal(file_read_at(f, buf, SIZE, 0, &n), 0);
    assert_int_equal(n, SIZE);
    for (size_t i = 0; i < SIZE; i++) {
        assert_int_equal(buf[i], i < 4096 || i >= SIZE - 4096);
    }
    free(buf);
    file_close(f);
}

static void test_file_write_at_over_the_limit_is_an_error(void **state)
{
    struct rlimit before;
    struct rlimit small;
    struct file *f = open_new(state, "x");
    char buf[8192] = {0};

    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    /* The first half fits: a short write that has to be carried on. */
    assert_int_equal(file_write_at(f, buf, sizeof buf, 0), ERR_IO);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(file_fill(f, 4096, 4096), ERR_IO);
    setrlimit(RLIMIT_FSIZE, &before);
    file_close(f);
}

static void test_file_rename_and_unlink_move_the_name(void **state)
{
    const char *a = temp_dir_path(*state, "a");
    const char *b = temp_dir_path(*state, "b");
    bool there;

    file_close(open_new(state, "a"));
    assert_int_equal(file_rename(a, b), 0);
    assert_int_equal(file_sync_dir(((struct temp_dir *)*state)->path), 0);
    assert_int_equal(file_exists(a, &there), 0);
    assert_false(there);
    assert_int_equal(file_exists(b, &there), 0);
    assert_true(there);
    assert_int_equal(file_unlink(b), 0);
    assert_int_equal(file_unlink(b), ERR_NOTFOUND);
    assert_int_equal(file_rename(a, b), ERR_NOTFOUND);
    assert_int_equal(file_sync_dir(a), ERR_NOTFOUND);
}

static void test_file_make_dir_twice_is_fine_but_not_over_a_file(void **state)
{
    const char *d = temp_dir_path(*state, "d");

    assert_int_equal(file_make_dir(d), 0);
    assert_int_equal(file_make_dir(d), 0);
    file_close(open_new(state, "f"));
    assert_int_equal(file_make_dir(temp_dir_path(*state, "f")), ERR_EXISTS);
    assert_int_equal(file_make_dir(temp_dir_path(*state, "no/d")),
                     ERR_NOTFOUND);
}

static int count_name(void *ctx, const char *name)
{
    unsigned *seen = ctx;
    assert_int_equal(strlen(name), 1);
    *seen |= 1u << (name[0] - 'a');
    return name[0] == 'c' ? 77 : 0;
}

static void test_file_list_gives_each_name_and_stops_on_demand(void **state)
{
    const char *dir = ((struct temp_dir *)*state)->path;
    unsigned seen = 0;

    file_close(open_new(state, "a"));
    file_close(open_new(state, "b"));
    assert_int_equal(file_list(dir, count_name, &seen), 0);
    assert_int_equal(seen, 3);
    file_close(open_new(state, "c"));
    assert_int_equal(file_list(dir, count_name, &seen), 77);
    assert_int_equal(file_list(temp_dir_path(*state, "no"), count_name, &seen),
                     ERR_NOTFOUND);
}

static void test_file_lock_second_holder_is_refused(void **state)
{
    const char *path = temp_dir_path(*state, "LOCK");
    struct file *f;
    struct file *g;

    assert_int_equal(file_lock(path, &f), 0);
    assert_int_equal(file_lock(path, &g), ERR_LOCKED);
    file_close(f);
    assert_int_equal(file_lock(path, &g), 0);
    file_close(g);
}

static void test_file_boot_id_is_stable_text(void **state)
{
    char a[FILE_BOOT_ID_SIZE];
    char b[FILE_BOOT_ID_SIZE];

    (void)state;
    assert_int_equal(file_boot_id(a), 0);
    assert_int_equal(file_boot_id(b), 0);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[8], '-');
    assert_string_equal(a, b);
}

static void test_file_free_bytes_tells_a_figure(void **state)
{
    uint64_t n = 0;
    assert_int_equal(file_free_bytes(((struct temp_dir *)*state)->path, &n), 0);
    assert_true(n > 0);
    assert_int_equal(file_free_bytes(temp_dir_path(*state, "no"), &n),
                     ERR_NOTFOUND);
}

static void test_file_direct_write_with_told_alignment_works(void **state)
{
    const char *dir = ((struct temp_dir *)*state)->path;
    struct file *f;
    size_t align = 0;
    size_t n;
    uint8_t *buf;

    assert_int_equal(file_direct_alignment(dir, &align), 0);
    assert_true(align >= 512 && (align & (align - 1)) == 0);
    assert_int_equal(file_direct_alignment(temp_dir_path(*state, "no"), &align),
                     ERR_NOTFOUND);
    buf = file_buffer_new(2 * align);
    assert_non_null(buf);
    assert_int_equal(file_open(temp_dir_path(*state, "d"),
                               FILE_WRITE | FILE_CREATE | FILE_DIRECT, &f),
                     0);
    memset(buf, 5, align);
    assert_int_equal(file_write_at(f, buf, align, align), 0);
    memset(buf, 0, 2 * align);
    assert_int_equal(file_read_at(f, buf, 2 * align, 0, &n), 0);
    assert_int_equal(n, 2 * align);
    assert_int_equal(buf[align - 1], 0);
    assert_int_equal(buf[align], 5);
    file_close(f);
    file_buffer_free(buf, 2 * align);
}

/* Its pages leave with it, whatever else the process has taken since. */
static void test_file_buffer_of_some_size_gives_its_pages_back(void **state)
{
    enum { LARGE = 1024 * 1024 };
    uint8_t *buf = file_buffer_new(LARGE);
    unsigned char resident[LARGE / 4096];
    void *later;

    (void)state;
    assert_non_null(buf);
    assert_int_equal((uintptr_t)buf % 4096, 0);
    memset(buf, 7, LARGE);
    later = malloc(100);
    assert_non_null(later);
    assert_int_equal(mincore(buf, LARGE, resident), 0);
    file_buffer_free(buf, LARGE);
    assert_int_equal(mincore(buf, LARGE, resident), -1);
    assert_int_equal(errno, ENOMEM); /* not mapped */
    free(later);
    file_buffer_free(NULL, LARGE);
    file_buffer_free(NULL, 0);
}

static void check_content(const char *path, const char *expected)
{
    void *data;
    size_t size;

    assert_int_equal(file_read_all(path, 100, &data, &size), 0);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(data, expected);
    free(data);
}

static void test_file_replace_gives_new_content(void **state)
{
    const char *path = temp_dir_path(*state, "x");

    assert_int_equal(file_replace(path, "long old one", 12), 0);
    check_content(path, "long old one");
    assert_int_equal(file_replace(path, "new", 3), 0);
    check_content(path, "new");
    assert_int_equal(file_replace(path, "", 0), 0);
    check_content(path, "");
}

static void test_file_replace_each_failing_step_leaves_old_or_new(void **state)
{
    const char *path = temp_dir_path(*state, "x");
    enum fault_mode modes[] = {FAULT_ONCE, FAULT_CRASH, FAULT_TORN};
    unsigned n_struck = 0;

    for (size_t m = 0; m < 3; m++) {
        for (unsigned long n = 1;; n++) {
            void *data;
            size_t size;
            int rv;

            assert_int_equal(file_replace(path, "old", 3), 0);
            fault_file_arm(FAULT_CHANGES, n, ERR_NOSPACE, modes[m]);
            rv = file_replace(path, "newer", 5);
            if (!fault_file_disarm()) {
                assert_int_equal(rv, 0);
                break;
            }
            n_struck++;
            assert_int_equal(rv, ERR_NOSPACE);
            assert_int_equal(file_read_all(path, 100, &data, &size), 0);
            assert_true(strcmp(data, "old") == 0 || strcmp(data, "newer") == 0);
            free(data);
        }
    }
    /* open, truncate, write, sync, rename, sync of the directory */
    assert_int_equal(n_struck, 3 * 6);
}

static void test_file_read_all_over_the_limit_is_too_big(void **state)
{
    const char *path = temp_dir_path(*state, "x");
    void *data = NULL;
    size_t size;

    assert_int_equal(file_replace(path, "12345", 5), 0);
    assert_int_equal(file_read_all(path, 4, &data, &size), ERR_TOOBIG);
    assert_null(data);
    assert_int_equal(file_read_all(path, 5, &data, &size), 0);
    free(data);
    assert_int_equal(
        file_read_all(temp_dir_path(*state, "no"), 5, &data, &size),
        ERR_NOTFOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_open_missing_is_not_found),
        TEST(test_file_open_exclusive_twice_exists),
        TEST(test_file_read_at_end_is_short),
        TEST(test_file_write_at_read_only_fails),
        TEST(test_file_truncate_sets_size),
        TEST(test_file_fill_leaves_zeroes_and_neighbours),
        TEST(test_file_write_at_over_the_limit_is_an_error),
        TEST(test_file_rename_and_unlink_move_the_name),
        TEST(test_file_make_dir_twice_is_fine_but_not_over_a_file),
        TEST(test_file_list_gives_each_name_and_stops_on_demand),
        TEST(test_file_lock_second_holder_is_refused),
        TEST(test_file_boot_id_is_stable_text),
        TEST(test_file_free_bytes_tells_a_figure),
        TEST(test_file_direct_write_with_told_alignment_works),
        TEST(test_file_buffer_of_some_size_gives_its_pages_back),
        TEST(test_file_replace_gives_new_content),
        TEST(test_file_replace_each_failing_step_leaves_old_or_new),
        TEST(test_file_read_all_over_the_limit_is_too_big),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
