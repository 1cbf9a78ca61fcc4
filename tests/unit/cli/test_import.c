/* Import through failures: every record is acknowledged and in the store, and
 * where a key came twice its last value is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "cli/clock.h"
#include "cli/import.h"
#include "tests/unit/cli/fake_cluster.h"

static struct import im;
static int input;

/* An import of n records k0=v0.. ; every tenth line sets k0 anew. */
static void begin(int n, size_t window)
{
    struct endpoint_list list = fake_endpoints();
    fake_init();
    input = memfd_create("input", MFD_CLOEXEC);
    FILE *out = fdopen(dup(input), "w");
    for (int i = 0; i < n; i++) {
        fprintf(out, "k%d\tv%d\n", i, i);
        if (i % 10 == 9) {
            fprintf(out, "k0\tagain%d\n", i);
        }
    }
    fclose(out);
    lseek(input, 0, SEEK_SET);
    memset(&im, 0, sizeof(im));
    im.timeout_ms = 20000;
    client_init(&im.client, &list, false);
    progress_init(&im.progress, fopen("/dev/null", "w"), "import", "records",
                  clock_now_ms());
    assert_int_equal(record_reader_init(&im.reader, input, RECORD_TSV, 1000),
                     0);
    assert_int_equal(window_init(&im.window, window, 100000), 0);
}

static void end(void)
{
    fclose(im.progress.out);
    client_close(&im.client);
    record_reader_close(&im.reader);
    window_close(&im.window);
    close(input);
    fake_close();
}

static uint64_t n_lines(int n)
{
    return (uint64_t)(n + n / 10);
}

static void check_complete(int n)
{
    char wanted[24];
    if (im.code != 0) {
        fail_msg("code %d: %s", im.code, im.info.message);
    }
    assert_int_equal(im.n_acknowledged, n_lines(n));
    assert_int_equal(im.window.n_items, 0);
    for (int i = 1; i < n; i++) {
        snprintf(wanted, sizeof(wanted), "v%d", i);
        assert_string_equal(fake.values[i], wanted);
    }
    snprintf(wanted, sizeof(wanted), "again%d", n - 1);
    assert_string_equal(fake.values[0], wanted);
}

static void test_import_without_failures_sends_each_once(void **state)
{
    (void)state;
    begin(5000, 1024);
    import_run(&im);
    check_complete(5000);
    assert_int_equal(fake_count(&fake.n_commands), n_lines(5000));
    assert_int_equal(im.n_sent_again, 0);
    assert_int_equal(im.n_interruptions, 0);
    assert_true(im.progress.done == im.reader.offset);
    end();
}

static void test_import_window_of_one_is_enough(void **state)
{
    (void)state;
    begin(50, 1);
    import_run(&im);
    check_complete(50);
    end();
}

static void test_import_empty_input_is_complete(void **state)
{
    (void)state;
    begin(0, 10);
    assert_int_equal(import_run(&im), 0);
    assert_int_equal(im.n_acknowledged, 0);
    end();
}

/* Each kind of failure alone, early, in the middle and at the last record. */
static void test_import_any_failure_is_waited_out(void **state)
{
    (void)state;
    static const enum fake_fault faults[] = {
        FAKE_DIE_BEFORE,   FAKE_DIE_AFTER,       FAKE_DIE_IN_REPLY,
        FAKE_UNKNOWN_LOST, FAKE_UNKNOWN_APPLIED, FAKE_CLUSTERDOWN,
        FAKE_NOSPACE,      FAKE_GARBAGE};
    static const uint64_t places[] = {1, 150, 330};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (size_t j = 0; j < 3; j++) {
            begin(300, 64);
            fake_add_fault(places[j], faults[i]);
            import_run(&im);
            check_complete(300);
            assert_int_equal(im.n_interruptions, 1);
            assert_true(im.n_sent_again >= 1);
            end();
        }
    }
}

static void test_import_many_failures_are_waited_out(void **state)
{
    (void)state;
    begin(3000, 256);
    fake_add_fault(200, FAKE_UNKNOWN_LOST);
    fake_add_fault(203, FAKE_UNKNOWN_APPLIED);
    fake_add_fault(204, FAKE_CLUSTERDOWN);
    fake_add_fault(210, FAKE_DIE_AFTER);
    fake_add_fault(600, FAKE_UNKNOWN_LOST);
    fake_add_fault(601, FAKE_DIE_BEFORE);
    import_run(&im);
    check_complete(3000);
    end();
}

static void test_import_hung_leader_is_left_for_the_next(void **state)
{
    (void)state;
    begin(300, 64);
    fake_add_fault(100, FAKE_HANG);
    int64_t start = clock_now_ms();
    import_run(&im);
    check_complete(300);
    assert_int_equal(im.n_interruptions, 1);
    /* It waited since the last acknowledgement, not since it found out. */
    assert_true(im.interrupted_ms >= IMPORT_STALL_MS);
    assert_true(clock_now_ms() - start < IMPORT_STALL_MAX_MS);
    end();
}

static void test_import_refused_record_ends_and_is_named(void **state)
{
    (void)state;
    begin(300, 64);
    fake_add_fault(100, FAKE_REFUSE);
    assert_int_equal(import_run(&im), EXIT_CODE_REFUSED);
    assert_non_null(strstr(im.info.message, "value too large"));
    assert_non_null(strstr(im.info.message, "line 100,"));
    /* What was under way with it was taken; nothing before it is open. */
    assert_int_equal(window_first_line(&im.window), 100);
    assert_int_equal(im.window.sent.n_items, 0);
    assert_true(im.n_acknowledged >= 99);
    end();
}

static void test_import_wrong_line_ends_after_those_before(void **state)
{
    (void)state;
    begin(30, 64);
    assert_int_equal(pwrite(input, "xx xx", 5, 0), 5);
    assert_int_equal(import_run(&im), EXIT_CODE_USAGE);
    assert_int_equal(im.n_acknowledged, 0);
    assert_non_null(strstr(im.info.message, "line 1,"));
    end();

    begin(30, 64);
    char text[400];
    ssize_t size = pread(input, text, sizeof(text), 0);
    char *line = memmem(text, (size_t)size, "k20\t", 4);
    assert_non_null(line);
    assert_int_equal(pwrite(input, "wrong", 5, line - text), 5);
    assert_int_equal(import_run(&im), EXIT_CODE_USAGE);
    assert_int_equal(im.n_acknowledged, 22); /* k0..k19 and k0 twice again */
    assert_int_equal(im.window.n_items, 0);
    end();
}

static void test_import_from_line_leaves_the_first_out(void **state)
{
    (void)state;
    begin(300, 64);
    im.from_line = 12; /* k10 */
    assert_int_equal(import_run(&im), 0);
    assert_int_equal(im.n_skipped, 11);
    assert_string_equal(fake.values[9], "");
    assert_string_equal(fake.values[10], "v10");
    end();
}

static void test_import_no_leader_for_too_long_ends(void **state)
{
    (void)state;
    begin(300, 64);
    fake_add_fault(100, FAKE_DIE_BEFORE);
    fake.down[0] = fake.down[2] = true;
    im.timeout_ms = 300;
    assert_int_equal(import_run(&im), EXIT_CODE_UNREACHABLE);
    assert_true(im.n_acknowledged <= 99);
    assert_true(im.window.n_items > 0);
    assert_non_null(strstr(im.info.message, "node:700"));
    end();
}

static void test_import_full_disk_for_too_long_is_a_refusal(void **state)
{
    (void)state;
    begin(1, 64);
    for (uint64_t i = 1; i <= FAKE_FAULTS_MAX; i++) {
        fake_add_fault(i, FAKE_NOSPACE);
    }
    im.timeout_ms = 300;
    assert_int_equal(import_run(&im), EXIT_CODE_REFUSED);
    assert_non_null(strstr(im.info.message, "NOSPACE"));
    end();
}

/* Last, because the flag of the signal stays. */
static void test_import_interrupted_takes_what_is_under_way(void **state)
{
    (void)state;
    begin(10000, 64);
    clock_catch_signals();
    fake_add_fault(1000, FAKE_INTERRUPT);
    assert_int_equal(import_run(&im), EXIT_CODE_INTERRUPTED);
    assert_int_equal(im.window.sent.n_items, 0);
    assert_true(im.n_acknowledged >= 1000);
    assert_true(im.n_acknowledged < n_lines(10000));
    /* Acknowledged is exactly what the nodes carried out. */
    assert_int_equal(im.n_acknowledged, fake_count(&fake.n_commands));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_import_without_failures_sends_each_once),
        cmocka_unit_test(test_import_window_of_one_is_enough),
        cmocka_unit_test(test_import_empty_input_is_complete),
        cmocka_unit_test(test_import_any_failure_is_waited_out),
        cmocka_unit_test(test_import_many_failures_are_waited_out),
        cmocka_unit_test(test_import_hung_leader_is_left_for_the_next),
        cmocka_unit_test(test_import_refused_record_ends_and_is_named),
        cmocka_unit_test(test_import_wrong_line_ends_after_those_before),
        cmocka_unit_test(test_import_from_line_leaves_the_first_out),
        cmocka_unit_test(test_import_no_leader_for_too_long_ends),
        cmocka_unit_test(test_import_full_disk_for_too_long_is_a_refusal),
        cmocka_unit_test(test_import_interrupted_takes_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
