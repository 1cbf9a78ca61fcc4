/* What Tab offers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/prompt_complete.h"

static struct completion c;

/* The items, parted by blanks. */
static void check(const char *line, const char *wanted)
{
    char got[4096] = "";
    prompt_complete(&c, line);
    for (size_t i = 0; i < c.n_items; i++) {
        strcat(got, i > 0 ? " " : "");
        strcat(got, c.items[i]);
    }
    if (strcmp(got, wanted) != 0) {
        fail_msg("'%s': '%s', not '%s'", line, got, wanted);
    }
}

static bool offers(const char *line, const char *item)
{
    prompt_complete(&c, line);
    for (size_t i = 0; i < c.n_items; i++) {
        if (strcmp(c.items[i], item) == 0) {
            return true;
        }
    }
    return false;
}

static void test_prompt_complete_first_word_is_command_or_verb(void **state)
{
    (void)state;
    char common[COMPLETE_WORD_MAX];
    check("getra", "getrange");
    check("GETRA", "GETRANGE");
    check("  getra", "getrange");
    check("stat", "stats status");
    check("inspe", "inspect");
    check("xyzzy", "");
    assert_true(offers("", "get"));
    assert_true(offers("", "help"));
    assert_true(offers("ge", "getset"));
    completion_common(&c, common);
    assert_string_equal(common, "get");
    assert_int_equal(c.word_size, 2);
}

static void test_prompt_complete_second_word_of_a_verb(void **state)
{
    (void)state;
    check("leader t", "transfer");
    check("inspect ", "hardstate log snapshot");
    check("help local res", "restart resume");
    check("help stat", "stats status");
    check("get inspect ", "");
}

static void test_prompt_complete_options_of_the_verb(void **state)
{
    (void)state;
    check("status --ha", "--hash");
    check("status --output j", "json");
    check("export --format ", "auto jsonl resp tsv");
    check("leader transfer --en", "--endpoints");
    assert_false(offers("status --", "--node"));
    assert_true(offers("local kill --", "--node"));
    /* What goes to the server is none of ours. */
    check("get --ha", "");
}

static void test_prompt_complete_any_line_is_harmless(void **state)
{
    (void)state;
    static const char *const lines[] = {
        " ", "-", "--", "help ", "help  ", "status -", "a b c d", "status  --"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        prompt_complete(&c, lines[i]);
        for (size_t j = 0; j < c.n_items; j++) {
            assert_true(strlen(c.items[j]) >= c.word_size);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_complete_first_word_is_command_or_verb),
        cmocka_unit_test(test_prompt_complete_second_word_of_a_verb),
        cmocka_unit_test(test_prompt_complete_options_of_the_verb),
        cmocka_unit_test(test_prompt_complete_any_line_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
