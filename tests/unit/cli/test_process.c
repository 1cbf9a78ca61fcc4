/* Processes of ours: told from strangers, started, signalled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/process.h"

static char dir[] = "/tmp/test_process_XXXXXX";

static const char *in_dir(const char *name)
{
    static char paths[4][100];
    static unsigned n;
    char *path = paths[n++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/test_process_XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(in_dir("pid"));
    (void)unlink(in_dir("log"));
    return rmdir(dir);
}

static void test_process_parse_stat_name_may_hold_anything(void **state)
{
    (void)state;
    static const char text[] =
        "42 (a) b) R (x) S 1 42 42 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 "
        "987654321 1000 5 18446744073709551615\n";
    char letter = '?';
    uint64_t start = 0;
    assert_true(process_parse_stat(text, &letter, &start));
    assert_int_equal(letter, 'S');
    assert_int_equal(start, 987654321);
}

static void test_process_parse_stat_malformed_is_refused(void **state)
{
    (void)state;
    char letter;
    uint64_t start;
    assert_false(process_parse_stat("", &letter, &start));
    assert_false(process_parse_stat("1 (a)", &letter, &start));
    assert_false(process_parse_stat("1 (a) ", &letter, &start));
    assert_false(process_parse_stat("1 (a) S 1 2 3", &letter, &start));
    assert_false(process_parse_stat(
        "1 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 x", &letter, &start));
}

static void test_process_parse_file_takes_three_words(void **state)
{
    (void)state;
    struct process p;
    assert_true(process_parse_file(&p, "42 1000 boot-id\n"));
    assert_int_equal(p.pid, 42);
    assert_int_equal(p.start_ticks, 1000);
    assert_string_equal(p.boot_id, "boot-id");
    assert_false(process_parse_file(&p, ""));
    assert_false(process_parse_file(&p, "42 1000"));
    assert_false(process_parse_file(&p, "42 x boot"));
    /* 0, 1 and negative numbers mean groups, init or everybody to kill(2). */
    assert_false(process_parse_file(&p, "1 1000 boot"));
    assert_false(process_parse_file(&p, "0 1000 boot"));
    assert_false(process_parse_file(&p, "-1 1000 boot"));
}

static void start_sleeper(struct process *p)
{
    char *args[] = {(char *)"/bin/sh", (char *)"-c",
                    (char *)"echo ready; kill -STOP $$", NULL};
    struct err_info info = {0, ""};
    if (process_start(args, in_dir("log"), in_dir("pid"), &info) != 0 ||
        process_load(p, in_dir("pid"), &info) != 0) {
        fail_msg("%s", info.message);
    }
}

static void test_process_start_is_found_and_killed(void **state)
{
    (void)state;
    struct process p;
    struct err_info info;
    start_sleeper(&p);
    assert_true(process_is_alive(&p));
    assert_int_equal(process_signal(&p, SIGKILL, &info), 0);
    assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
    assert_false(process_is_alive(&p));
    assert_int_equal(process_signal(&p, SIGKILL, &info), ERR_NOTFOUND);
}

static void test_process_signal_spares_a_stranger_with_the_pid(void **state)
{
    (void)state;
    struct process p;
    struct err_info info;
    start_sleeper(&p);
    struct process stranger = p;
    stranger.start_ticks--;
    assert_false(process_is_alive(&stranger));
    assert_int_equal(process_signal(&stranger, SIGKILL, &info), ERR_NOTFOUND);
    stranger = p;
    strcpy(stranger.boot_id, "another-boot");
    assert_false(process_is_alive(&stranger));
    assert_int_equal(process_signal(&stranger, SIGKILL, &info), ERR_NOTFOUND);
    assert_true(process_is_alive(&p));
    assert_int_equal(process_signal(&p, SIGKILL, &info), 0);
    assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
}

static void test_process_zombie_is_not_alive(void **state)
{
    (void)state;
    struct process p;
    siginfo_t ended;
    start_sleeper(&p);
    assert_int_equal(process_signal(&p, SIGKILL, NULL), 0);
    /* WNOWAIT leaves it a zombie. */
    assert_int_equal(waitid(P_PID, (id_t)p.pid, &ended, WEXITED | WNOWAIT), 0);
    assert_false(process_is_alive(&p));
    assert_int_equal(waitpid(p.pid, NULL, 0), p.pid);
}

static void test_process_start_missing_program_is_said(void **state)
{
    (void)state;
    char *args[] = {(char *)"/nonexistent/program", NULL};
    struct err_info info = {0, ""};
    assert_int_equal(process_start(args, in_dir("log"), in_dir("pid"), &info),
                     ERR_IO);
    assert_non_null(strstr(info.message, "/nonexistent/program"));
    struct process p;
    assert_int_equal(process_load(&p, in_dir("pid"), &info), ERR_NOTFOUND);
}

static void test_process_load_foreign_file_is_refused(void **state)
{
    (void)state;
    struct process p;
    struct err_info info = {0, ""};
    FILE *out = fopen(in_dir("pid"), "w");
    fputs("hello\n", out);
    fclose(out);
    assert_int_equal(process_load(&p, in_dir("pid"), &info), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_parse_stat_name_may_hold_anything),
        cmocka_unit_test(test_process_parse_stat_malformed_is_refused),
        cmocka_unit_test(test_process_parse_file_takes_three_words),
        cmocka_unit_test(test_process_start_is_found_and_killed),
        cmocka_unit_test(test_process_signal_spares_a_stranger_with_the_pid),
        cmocka_unit_test(test_process_zombie_is_not_alive),
        cmocka_unit_test(test_process_start_missing_program_is_said),
        cmocka_unit_test(test_process_load_foreign_file_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
