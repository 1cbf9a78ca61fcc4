/* Export through failures: every key is in it once, with its value and when it
 * ends, and the walk goes on where another node has to take over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/clock.h"
#include "cli/export.h"
#include "tests/unit/cli/fake_cluster.h"

enum { N_KEYS = 500, PAGE = 20 };

static struct export ex;
static char *text;
static size_t text_size;

static void begin(int n, enum record_format format)
{
    struct endpoint_list list = fake_endpoints();
    fake_init();
    fake.knows_expiry = true;
    for (int i = 0; i < n; i++) {
        snprintf(fake.values[i], sizeof(fake.values[i]), "v\t%d", i);
    }
    memset(&ex, 0, sizeof(ex));
    ex.timeout_ms = 20000;
    ex.format = format;
    ex.out = open_memstream(&text, &text_size);
    client_init(&ex.client, &list, false);
    scan_init(&ex.scan, NULL, PAGE);
    progress_init(&ex.progress, fopen("/dev/null", "w"), "export", "records",
                  clock_now_ms());
}

static void end(void)
{
    fclose(ex.progress.out);
    export_close(&ex);
    free(text);
    text = NULL;
    fake_close();
}

/* The lines k0..k<n-1> of TSV, each once and in order. */
static void check_complete(int n)
{
    fclose(ex.out);
    if (ex.code != 0) {
        fail_msg("code %d: %s", ex.code, ex.info.message);
    }
    assert_int_equal(ex.n_records, n);
    const char *at = text;
    for (int i = 0; i < n; i++) {
        char line[64];
        size_t size =
            (size_t)snprintf(line, sizeof(line), "k%d\tv\\t%d\n", i, i);
        if (strncmp(at, line, size) != 0) {
            fail_msg("line %d is '%.40s'", i, at);
        }
        at += size;
    }
    assert_int_equal(at - text, text_size);
}

static void test_export_without_failures_has_each_key_once(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    export_run(&ex);
    check_complete(N_KEYS);
    assert_int_equal(ex.n_interruptions, 0);
    assert_int_equal(ex.n_expiring, (N_KEYS + 2) / 3);
    assert_int_equal(ex.progress.done, N_KEYS);
    end();
}

static void test_export_of_nothing_is_empty(void **state)
{
    (void)state;
    begin(0, RECORD_TSV);
    export_run(&ex);
    check_complete(0);
    end();
}

static void test_export_when_keys_end_goes_with_them(void **state)
{
    (void)state;
    begin(4, RECORD_JSONL);
    assert_int_equal(export_run(&ex), 0);
    fclose(ex.out);
    assert_string_equal(
        text, "{\"key\":\"k0\",\"value\":\"v\\t0\",\"expire_at_ms\":1000}\n"
              "{\"key\":\"k1\",\"value\":\"v\\t1\"}\n"
              "{\"key\":\"k2\",\"value\":\"v\\t2\"}\n"
              "{\"key\":\"k3\",\"value\":\"v\\t3\",\"expire_at_ms\":1003}\n");
    end();

    begin(2, RECORD_RESP);
    assert_int_equal(export_run(&ex), 0);
    fclose(ex.out);
    assert_string_equal(text, "*5\r\n$3\r\nSET\r\n$2\r\nk0\r\n$3\r\nv\t0\r\n"
                              "$4\r\nPXAT\r\n$4\r\n1000\r\n"
                              "*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$3\r\nv\t1\r\n");
    end();
}

static void test_export_node_without_expiry_is_exported_too(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    fake.knows_expiry = false;
    export_run(&ex);
    check_complete(N_KEYS);
    assert_int_equal(ex.n_expiring, 0);
    end();
}

/* Each kind of failure, at any of the commands of a page and its SCAN. */
static void test_export_any_failure_is_waited_out(void **state)
{
    (void)state;
    static const enum fake_fault faults[] = {FAKE_DIE_BEFORE, FAKE_DIE_AFTER,
                                             FAKE_DIE_IN_REPLY,
                                             FAKE_CLUSTERDOWN, FAKE_GARBAGE};
    uint64_t n_lost_cursors = 0;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        for (uint64_t at = 1; at < 200; at += 23) {
            begin(N_KEYS, RECORD_TSV);
            fake_add_fault(at, faults[i]);
            export_run(&ex);
            check_complete(N_KEYS);
            assert_int_equal(ex.n_interruptions, 1);
            n_lost_cursors += fake_count(&fake.n_lost_cursors);
            end();
        }
    }
    /* The test has been where it was meant to be. */
    assert_true(n_lost_cursors > 5);
}

static void test_export_hung_leader_is_left_for_the_next(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    fake_add_fault(100, FAKE_HANG);
    export_run(&ex);
    check_complete(N_KEYS);
    assert_int_equal(ex.n_interruptions, 1);
    assert_true(ex.interrupted_ms >= EXPORT_STALL_MS);
    end();
}

static void test_export_refusal_ends_with_the_words(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    fake_add_fault(100, FAKE_REFUSE);
    assert_int_equal(export_run(&ex), EXIT_CODE_REFUSED);
    assert_non_null(strstr(ex.info.message, "value too large"));
    fclose(ex.out);
    end();
}

static void test_export_no_leader_for_too_long_ends(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    fake_add_fault(100, FAKE_DIE_BEFORE);
    fake.down[0] = fake.down[2] = true;
    ex.timeout_ms = 300;
    assert_int_equal(export_run(&ex), EXIT_CODE_UNREACHABLE);
    assert_non_null(strstr(ex.info.message, "node:700"));
    fclose(ex.out);
    end();
}

static void test_export_full_disk_ends(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    fclose(ex.out);
    ex.out = fopen("/dev/full", "w");
    setvbuf(ex.out, NULL, _IONBF, 0);
    assert_int_equal(export_run(&ex), EXIT_CODE_REFUSED);
    assert_non_null(strstr(ex.info.message, "No space left"));
    fclose(ex.out);
    end();
}

/* Last, because the flag of the signal stays. */
static void test_export_interrupted_ends(void **state)
{
    (void)state;
    begin(N_KEYS, RECORD_TSV);
    clock_catch_signals();
    fake_add_fault(100, FAKE_INTERRUPT);
    assert_int_equal(export_run(&ex), EXIT_CODE_INTERRUPTED);
    fclose(ex.out);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_export_without_failures_has_each_key_once),
        cmocka_unit_test(test_export_of_nothing_is_empty),
        cmocka_unit_test(test_export_when_keys_end_goes_with_them),
        cmocka_unit_test(test_export_node_without_expiry_is_exported_too),
        cmocka_unit_test(test_export_any_failure_is_waited_out),
        cmocka_unit_test(test_export_hung_leader_is_left_for_the_next),
        cmocka_unit_test(test_export_refusal_ends_with_the_words),
        cmocka_unit_test(test_export_no_leader_for_too_long_ends),
        cmocka_unit_test(test_export_full_disk_ends),
        cmocka_unit_test(test_export_interrupted_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
