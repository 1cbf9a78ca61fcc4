/* The nearest known word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/suggest.h"

static const char *const words[] = {"get",    "put",    "del",
                                    "status", "import", "wait-healthy"};

enum { N_WORDS = sizeof(words) / sizeof(words[0]) };

static void test_suggest_distance_counts_single_edits(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("status", "status"), 0);
    assert_int_equal(suggest_distance("statsu", "status"), 1);
    assert_int_equal(suggest_distance("stats", "status"), 1);
    assert_int_equal(suggest_distance("imprt", "import"), 1);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("ab", "ba"), 1);
}

static void test_suggest_nearest_finds_what_was_meant(void **state)
{
    (void)state;
    assert_string_equal(suggest_nearest("gte", words, N_WORDS), "get");
    assert_string_equal(suggest_nearest("staus", words, N_WORDS), "status");
    assert_string_equal(suggest_nearest("wait", words, N_WORDS),
                        "wait-healthy");
    assert_string_equal(suggest_nearest("imoprt", words, N_WORDS), "import");
}

static void test_suggest_nearest_far_word_has_no_guess(void **state)
{
    (void)state;
    char longer[200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_null(suggest_nearest("frobnicate", words, N_WORDS));
    assert_null(suggest_nearest("x", words, N_WORDS));
    assert_null(suggest_nearest(longer, words, N_WORDS));
    assert_null(suggest_nearest("get", words, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suggest_distance_counts_single_edits),
        cmocka_unit_test(test_suggest_nearest_finds_what_was_meant),
        cmocka_unit_test(test_suggest_nearest_far_word_has_no_guess),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
