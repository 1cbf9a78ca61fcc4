/* Progress: the line shown, and when. */
#include "tests/unit/cli/printed.h"

#include "cli/progress.h"

static struct progress progress_of(FILE *out, uint64_t total)
{
    struct progress p;
    progress_init(&p, out, "import", "records", 0);
    p.total = total;
    return p;
}

static struct progress half_done(void)
{
    struct progress p = progress_of(stderr, 1000);
    p.done = 500;
    p.n_items = 12345;
    p.rate = 2000.4;
    return p;
}

static void test_progress_format_known_total_shows_a_bar(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_MAX];
    struct progress p = half_done();
    assert_string_equal(progress_format(&p, 100, 3000, line),
                        "import  50% [===============>              ] "
                        "12,345 records, 2,000/s, 3.0 s left");
    p.done = 0; /* nothing tells how long it will take */
    assert_null(strstr(progress_format(&p, 100, 3000, line), "left"));
    p.done = 1000;
    progress_format(&p, 100, 3000, line);
    assert_non_null(strstr(line, "100% [==============================] "));
    p.done = 2000; /* more than the total is still no more than all */
    progress_format(&p, 100, 3000, line);
    assert_non_null(strstr(line, "100%"));
}

static void test_progress_format_narrow_keeps_the_bar(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_MAX];
    struct progress p = half_done();
    assert_string_equal(
        progress_format(&p, 55, 3000, line),
        "import  50% [========>       ] 12,345 records, 2,000/s");
    assert_string_equal(progress_format(&p, 40, 3000, line),
                        "import  50% [====>    ] 12,345, 2,000/s");
    assert_string_equal(progress_format(&p, 32, 3000, line),
                        "import  50% [=====>    ] 12,345");
}

static void test_progress_format_unknown_total_shows_the_count(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_MAX];
    struct progress p = progress_of(stderr, 0);
    p.n_items = 7;
    assert_string_equal(progress_format(&p, 80, 61000, line),
                        "import 7 records, 0/s, 1m 01s");
}

static void test_progress_format_fits_any_width(void **state)
{
    (void)state;
    char line[PROGRESS_LINE_MAX];
    struct progress p = progress_of(stderr, UINT64_MAX);
    p.done = UINT64_MAX / 3;
    p.n_items = UINT64_MAX;
    for (int width = 1; width <= 300; width++) {
        progress_format(&p, width, 1000, line);
        assert_true(strlen(line) < (size_t)width);
    }
}

static void test_progress_update_off_a_terminal_prints_few_lines(void **state)
{
    (void)state;
    struct printed shown;
    printed_open(&shown);
    struct progress p = progress_of(shown.out, 0);
    assert_false(p.tty);
    for (int64_t now = 0; now <= 10000; now += 10) {
        p.n_items = (uint64_t)now;
        progress_update(&p, now);
    }
    progress_finish(&p);
    printed_end(&shown);
    size_t n_lines = 0;
    for (size_t i = 0; i < shown.size; i++) {
        n_lines += shown.text[i] == '\n';
        assert_true(shown.text[i] != '\r' && shown.text[i] != '\033');
    }
    assert_int_equal(n_lines, 10000 / PROGRESS_PLAIN_EVERY_MS);
    assert_non_null(strstr(shown.text, "1,000/s"));
    printed_free(&shown);
}

static void test_progress_update_on_a_terminal_redraws_one_line(void **state)
{
    (void)state;
    struct printed shown;
    printed_open(&shown);
    struct progress p = progress_of(shown.out, 0);
    p.tty = true;
    progress_update(&p, 50);
    fflush(shown.out);
    assert_int_equal(shown.size, 0); /* too early */
    progress_update(&p, 100);
    progress_note(&p, "a %s", "note");
    progress_finish(&p); /* nothing is drawn any more */
    printed_expect(&shown, "\rimport 0 records, 0/s, 100 ms\033[K"
                           "\r\033[Ka note\n");
}

static void test_progress_update_quiet_draws_nothing(void **state)
{
    (void)state;
    struct printed shown;
    printed_open(&shown);
    struct progress p = progress_of(shown.out, 0);
    p.quiet = true;
    progress_update(&p, 100000);
    progress_note(&p, "said anyway");
    printed_expect(&shown, "said anyway\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress_format_known_total_shows_a_bar),
        cmocka_unit_test(test_progress_format_narrow_keeps_the_bar),
        cmocka_unit_test(test_progress_format_unknown_total_shows_the_count),
        cmocka_unit_test(test_progress_format_fits_any_width),
        cmocka_unit_test(test_progress_update_off_a_terminal_prints_few_lines),
        cmocka_unit_test(test_progress_update_on_a_terminal_redraws_one_line),
        cmocka_unit_test(test_progress_update_quiet_draws_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
