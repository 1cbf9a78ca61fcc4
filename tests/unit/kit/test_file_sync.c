/* A sync that fails is told and never tried again: after a failure the pages
 * count as clean, so a second fdatasync succeeds without having written them.
 *
 * The fdatasync of this program stands in front of the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raftlog/err.h"
#include "raftlog/file.h"
#include "tests/lib/temp_dir.h"

static unsigned n_calls;
static int fail_with; /* errno of the next call; 0: none */

int fdatasync(int fd)
{
    n_calls++;
    if (fail_with != 0) {
        errno = fail_with;
        fail_with = 0;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static void test_file_sync_failure_is_told_and_not_retried(void **state)
{
    static const int errors[] = {EIO, ENOSPC, EINTR};
    struct temp_dir dir;
    struct file *f = NULL;
    (void)state;

    temp_dir_make(&dir);
    assert_int_equal(
        file_open(temp_dir_path(&dir, "x"), FILE_WRITE | FILE_CREATE, &f), 0);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        assert_int_equal(file_write_at(f, "data", 4, 0), 0);
        n_calls = 0;
        fail_with = errors[i];
        assert_int_equal(file_sync(f), err_from_errno(errors[i]));
        assert_int_equal(n_calls, 1);
    }
    n_calls = 0;
    assert_int_equal(file_sync(f), 0);
    assert_int_equal(n_calls, 1);
    file_close(f);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_sync_failure_is_told_and_not_retried),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
