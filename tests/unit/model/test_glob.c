/* Glob patterns: a table, a second matcher that is plainly right but slow, and
 * patterns that are exponential for careless matchers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/glob.h"

static bool match(const char *pattern, const char *text)
{
    struct bytes p = {(const uint8_t *)pattern, strlen(pattern)};
    struct bytes t = {(const uint8_t *)text, strlen(text)};

    return glob_match(p, t, false, NULL);
}

static void test_glob_table(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool want;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"*", "", true},
        {"**", "", true},
        {"*", "anything", true},
        {"h?llo", "hello", true},
        {"h?llo", "hllo", false},
        {"h*llo", "hllo", true},
        {"h*llo", "heeeello", true},
        {"h*llo", "heeeell", false},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-c]llo", "hbllo", true},
        {"h[c-a]llo", "hbllo", true},
        {"h[a-c]llo", "hdllo", false},
        {"[]", "a", false},
        {"[]", "", false},
        {"[^]", "a", true},
        {"[]a]", "a", false},
        {"[a", "a", true},
        {"[a-", "-", true},
        {"[a-]", "-", false},
        {"[\\]]", "]", true},
        {"[\\-a]", "-", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"a\\", "a\\", true},
        {"\\?x", "?x", true},
        {"*a*b*c*", "xxaxxbxxcxx", true},
        {"*a*b*c", "xxaxxbxxcx", false},
        {"*abc", "ababc", true},
        {"a*b?c*", "a12b3c", true},
        {"*.txt", "file.txt.txt", true},
        {"user:*:name", "user:1:2:name", true},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (match(rows[i].pattern, rows[i].text) != rows[i].want) {
            fail_msg("'%s' against '%s'", rows[i].pattern, rows[i].text);
        }
    }
}

static void test_glob_case_is_ignored_when_asked(void **state)
{
    struct bytes p = {(const uint8_t *)"A[B-D]*\\E", 9};
    struct bytes t = {(const uint8_t *)"acxxe", 5};

    (void)state;
    assert_true(glob_match(p, t, true, NULL));
    assert_false(glob_match(p, t, false, NULL));
}

static void test_glob_zero_bytes_are_bytes(void **state)
{
    struct bytes p = {(const uint8_t *)"a\0*\0b", 5};
    struct bytes t = {(const uint8_t *)"a\0xx\0b", 6};

    (void)state;
    assert_true(glob_match(p, t, false, NULL));
    t.size = 5;
    assert_false(glob_match(p, t, false, NULL));
}

/* Every star tries everything. Handles only what random_pattern makes. */
static bool slow_match(const char *p, const char *t)
{
    if (*p == '\0') {
        return *t == '\0';
    }
    if (*p == '*') {
        return slow_match(p + 1, t) || (*t != '\0' && slow_match(p, t + 1));
    }
    if (*t == '\0') {
        return false;
    }
    if (*p == '[') {
        /* [ab] or [^a] */
        bool in = p[1] == '^' ? *t != p[2] : *t == p[1] || *t == p[2];
        return in && slow_match(p + 4, t + 1);
    }
    return (*p == '?' || *p == *t) && slow_match(p + 1, t + 1);
}

static void random_pattern(char *out)
{
    static const char *const parts[] = {"*", "*", "?",    "a",
                                        "b", "c", "[ab]", "[^a]"};
    unsigned n = (unsigned)rand() % 8;

    out[0] = '\0';
    while (n-- > 0) {
        strcat(out, parts[(unsigned)rand() % 8]);
    }
}

static void test_glob_agrees_with_slow_matcher(void **state)
{
    unsigned n_matched = 0;

    (void)state;
    srand(7);
    for (unsigned i = 0; i < 200000; i++) {
        char pattern[64];
        char text[16];
        unsigned size = (unsigned)rand() % 10;
        bool want;
        random_pattern(pattern);
        for (unsigned j = 0; j < size; j++) {
            text[j] = (char)('a' + rand() % 3);
        }
        text[size] = '\0';
        want = slow_match(pattern, text);
        n_matched += want;
        if (match(pattern, text) != want) {
            fail_msg("'%s' against '%s'", pattern, text);
        }
    }
    /* The test is worth something only if both outcomes are common. */
    assert_in_range(n_matched, 20000, 180000);
}

static void test_glob_many_stars_take_no_exponential_time(void **state)
{
    char pattern[101];
    char text[1001];
    struct bytes p = {(const uint8_t *)pattern, 0};
    struct bytes t = {(const uint8_t *)text, sizeof text - 1};
    uint64_t steps = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i += 2) {
        memcpy(pattern + i, "a*", 2);
    }
    pattern[99] = 'b';
    p.size = 100;
    memset(text, 'a', sizeof text - 1);
    assert_false(glob_match(p, t, false, &steps));
    assert_in_range(steps, 1, 100 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob_table),
        cmocka_unit_test(test_glob_case_is_ignored_when_asked),
        cmocka_unit_test(test_glob_zero_bytes_are_bytes),
        cmocka_unit_test(test_glob_agrees_with_slow_matcher),
        cmocka_unit_test(test_glob_many_stars_take_no_exponential_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
