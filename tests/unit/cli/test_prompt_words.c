/* A line of the prompt to words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/prompt_words.h"

static void check(const char *line, int n, const char *const *wanted)
{
    struct prompt_words w;
    struct err_info info = {0, ""};
    if (prompt_words_split(&w, line, &info) != 0) {
        fail_msg("%s: %s", line, info.message);
    }
    assert_int_equal(w.n_words, n);
    for (int i = 0; i < n; i++) {
        assert_string_equal(w.words[i], wanted[i]);
        assert_int_equal(w.sizes[i], strlen(wanted[i]));
    }
    prompt_words_close(&w);
}

static void test_prompt_words_blanks_part(void **state)
{
    (void)state;
    check("", 0, NULL);
    check(" \t\r\n", 0, NULL);
    check("  set a\tb \n", 3, (const char *const[]){"set", "a", "b"});
}

static void test_prompt_words_quotes_keep_together(void **state)
{
    (void)state;
    check("set \"a b\" 'c \"d'", 3,
          (const char *const[]){"set", "a b", "c \"d"});
    check("set \"\" ''", 3, (const char *const[]){"set", "", ""});
    check("'it\\'s' '\\n'", 2, (const char *const[]){"it's", "\\n"});
    check("\"\\n\\t\\r\\b\\a\\\\\\\"\\x41\\q\"", 1,
          (const char *const[]){"\n\t\r\b\a\\\"Aq"});
    check("back\\slash", 1, (const char *const[]){"back\\slash"});
}

static void test_prompt_words_bytes_may_be_zero(void **state)
{
    (void)state;
    struct prompt_words w;
    assert_int_equal(prompt_words_split(&w, "\"a\\x00b\" c", NULL), 0);
    assert_int_equal(w.n_words, 2);
    assert_int_equal(w.sizes[0], 3);
    assert_memory_equal(w.words[0], "a\0b", 4);
    prompt_words_close(&w);
}

static void test_prompt_words_wrong_quotes_are_told(void **state)
{
    (void)state;
    static const char *const lines[] = {"get \"a", "get 'a", "get \"a\"b",
                                        "get 'a'b", "\"a\\"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct prompt_words w;
        struct err_info info = {0, ""};
        if (prompt_words_split(&w, lines[i], &info) != ERR_INVALID) {
            fail_msg("%s is not refused", lines[i]);
        }
        assert_true(info.message[0] != '\0');
    }
}

static void test_prompt_words_too_many_are_refused(void **state)
{
    (void)state;
    static char line[2 * PROMPT_WORDS_MAX + 3];
    struct prompt_words w;
    struct err_info info = {0, ""};
    for (int i = 0; i <= PROMPT_WORDS_MAX; i++) {
        strcpy(line + 2 * i, "a ");
    }
    assert_int_equal(prompt_words_split(&w, line, &info), ERR_TOOBIG);
    line[2 * PROMPT_WORDS_MAX] = '\0';
    assert_int_equal(prompt_words_split(&w, line, &info), 0);
    assert_int_equal(w.n_words, PROMPT_WORDS_MAX);
    prompt_words_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompt_words_blanks_part),
        cmocka_unit_test(test_prompt_words_quotes_keep_together),
        cmocka_unit_test(test_prompt_words_bytes_may_be_zero),
        cmocka_unit_test(test_prompt_words_wrong_quotes_are_told),
        cmocka_unit_test(test_prompt_words_too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
