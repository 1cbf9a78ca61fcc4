/* Event lines: their form, and that nothing breaks it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "node/trace.h"

static void test_trace_format_has_time_level_node_and_facts(void **state)
{
    char out[TRACE_LINE_MAX];
    size_t size = trace_format(out, UINT64_C(1767225600123), TRACE_WARN, 3,
                               "peer_down peer=2");

    (void)state;
    out[size] = '\0';
    assert_string_equal(out, "2026-01-01T00:00:00.123Z warn node=3 peer_down "
                             "peer=2\n");
    size = trace_format(out, 7, TRACE_DEBUG, 0, "x");
    out[size] = '\0';
    assert_string_equal(out, "1970-01-01T00:00:00.007Z debug x\n");
}

static void test_trace_format_one_event_is_one_line(void **state)
{
    char out[TRACE_LINE_MAX];
    char line[2 * TRACE_LINE_MAX];
    size_t size;

    (void)state;
    memset(line, '\n', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    size = trace_format(out, 0, TRACE_INFO, 1, line);
    assert_true(size < TRACE_LINE_MAX);
    assert_ptr_equal(memchr(out, '\n', size), out + size - 1);
}

static void test_trace_quote_keeps_the_end_findable(void **state)
{
    char out[16];

    (void)state;
    assert_string_equal(trace_quote(out, sizeof out, "a \"b\""), "\"a 'b'\"");
    assert_string_equal(trace_quote(out, sizeof out, "a\nb"), "\"a\\x0ab\"");
    trace_quote(out, sizeof out, "much longer than the room");
    assert_int_equal(strlen(out), sizeof out - 1);
    assert_string_equal(out + sizeof out - 5, "...\"");
}

static void test_trace_level_names_come_back(void **state)
{
    enum trace_level level;

    (void)state;
    for (int i = TRACE_ERROR; i <= TRACE_DEBUG; i++) {
        assert_int_equal(
            trace_level_parse(trace_level_name((enum trace_level)i), &level),
            0);
        assert_int_equal(level, i);
    }
    assert_int_equal(trace_level_parse("INFO", &level), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_format_has_time_level_node_and_facts),
        cmocka_unit_test(test_trace_format_one_event_is_one_line),
        cmocka_unit_test(test_trace_quote_keeps_the_end_findable),
        cmocka_unit_test(test_trace_level_names_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
