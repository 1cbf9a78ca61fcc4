/* A result file is there whole or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include "cli/whole_file.h"
#include "tests/lib/temp_dir.h"

static struct temp_dir dir;
static char path[TEMP_DIR_MAX + 16];

static int set_up(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    snprintf(path, sizeof(path), "%s/result", dir.path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static void check_content(const char *wanted)
{
    char text[64] = "";
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t n = fread(text, 1, sizeof(text) - 1, in);
    fclose(in);
    text[n] = '\0';
    assert_string_equal(text, wanted);
}

static int count_files(void)
{
    DIR *d = opendir(dir.path);
    int n = 0;
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void write_file(const char *words, bool commit)
{
    struct whole_file f;
    struct err_info info;
    assert_int_equal(whole_file_open(&f, path, &info), 0);
    fputs(words, f.out);
    fflush(f.out);
    if (commit) {
        assert_int_equal(whole_file_commit(&f, &info), 0);
    } else {
        whole_file_abandon(&f);
    }
}

static void test_whole_file_commit_replaces_what_was_there(void **state)
{
    (void)state;
    write_file("one", true);
    check_content("one");
    write_file("two", true);
    check_content("two");
    assert_int_equal(count_files(), 1);
}

static void test_whole_file_abandon_leaves_what_was_there(void **state)
{
    (void)state;
    write_file("half", false);
    assert_int_equal(count_files(), 0);
    write_file("one", true);
    write_file("half", false);
    check_content("one");
    assert_int_equal(count_files(), 1);
}

static void test_whole_file_failed_write_leaves_what_was_there(void **state)
{
    (void)state;
    struct whole_file f;
    struct err_info info;
    write_file("one", true);
    assert_int_equal(whole_file_open(&f, path, &info), 0);
    /* A descriptor that takes nothing stands for a full disk. */
    fputs("two", f.out);
    close(fileno(f.out));
    assert_int_equal(whole_file_commit(&f, &info), ERR_IO);
    assert_non_null(strstr(info.message, "result"));
    check_content("one");
    assert_int_equal(count_files(), 1);
}

static void
test_whole_file_what_is_no_plain_file_is_written_as_it_is(void **state)
{
    (void)state;
    struct whole_file f;
    struct err_info info;
    assert_int_equal(whole_file_open(&f, "/dev/null", &info), 0);
    fputs("x", f.out);
    assert_int_equal(whole_file_commit(&f, &info), 0);
    assert_int_equal(access("/dev/null", W_OK), 0);
    assert_int_equal(whole_file_open(&f, "/dev/full", &info), 0);
    fputs("x", f.out);
    assert_int_equal(whole_file_commit(&f, &info), ERR_IO);
}

static void test_whole_file_missing_directory_is_named(void **state)
{
    (void)state;
    struct whole_file f;
    struct err_info info;
    snprintf(path, sizeof(path), "%s/no/file", dir.path);
    assert_int_equal(whole_file_open(&f, path, &info), ERR_IO);
    assert_non_null(strstr(info.message, "/no/file"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_whole_file_commit_replaces_what_was_there),
        TEST(test_whole_file_abandon_leaves_what_was_there),
        TEST(test_whole_file_failed_write_leaves_what_was_there),
        TEST(test_whole_file_what_is_no_plain_file_is_written_as_it_is),
        TEST(test_whole_file_missing_directory_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
