/* One line of an import to one record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/record.h"

typedef int (*parse_cb)(struct record *r, char *line, size_t size,
                        struct err_info *info);

/* Parse a copy of exactly the line's size, so that the address sanitizer sees
 * a read behind it. */
static int parse(parse_cb how, const char *text, struct record *r, char **line,
                 struct err_info *info)
{
    size_t size = strlen(text);
    *line = malloc(size > 0 ? size : 1);
    memcpy(*line, text, size);
    return how(r, *line, size, info);
}

static void check(parse_cb how, const char *text, const char *key,
                  size_t key_size, const char *value, size_t value_size)
{
    struct record r;
    struct err_info info = {0, ""};
    char *line;
    int rc = parse(how, text, &r, &line, &info);
    if (rc != 0) {
        fail_msg("%s: %s", text, info.message);
    }
    assert_int_equal(r.key_size, key_size);
    assert_memory_equal(r.key, key, key_size);
    assert_int_equal(r.value_size, value_size);
    assert_memory_equal(r.value, value, value_size);
    free(line);
}

static void check_refused(parse_cb how, const char *text, const char *words)
{
    struct record r;
    struct err_info info = {0, ""};
    char *line;
    assert_int_equal(parse(how, text, &r, &line, &info), ERR_INVALID);
    if (strstr(info.message, words) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", text, info.message, words);
    }
    free(line);
}

static void test_record_tsv_lines_are_understood(void **state)
{
    (void)state;
    check(record_parse_tsv, "k\tv", "k", 1, "v", 1);
    check(record_parse_tsv, "k\t", "k", 1, "", 0);
    check(record_parse_tsv, "k\tv\r", "k", 1, "v", 1);
    check(record_parse_tsv, "k\tv\\r", "k", 1, "v\r", 2);
    check(record_parse_tsv, "a\\tb\tc\\nd\\\\e\\x00f", "a\tb", 3, "c\nd\\e\0f",
          7);
    check(record_parse_tsv, "k\t\xff\xfe", "k", 1, "\xff\xfe", 2);
    check(record_parse_tsv, "k\t{\"a\":1}", "k", 1, "{\"a\":1}", 7);
}

static void test_record_tsv_wrong_lines_are_refused(void **state)
{
    (void)state;
    check_refused(record_parse_tsv, "no tab", "no tab");
    check_refused(record_parse_tsv, "", "no tab");
    check_refused(record_parse_tsv, "a\tb\tc", "more than one tab");
    check_refused(record_parse_tsv, "\tvalue", "key is empty");
    check_refused(record_parse_tsv, "a\\q\tb", "column 2");
    check_refused(record_parse_tsv, "ab\tc\\", "column 5");
}

static void test_record_json_objects_are_understood(void **state)
{
    (void)state;
    check(record_parse_json, "{\"key\":\"k\",\"value\":\"v\"}", "k", 1, "v", 1);
    check(record_parse_json, " { \"value\" : \"\" ,\t\"key\" : \"k\" } \r", "k",
          1, "", 0);
    check(record_parse_json,
          "{\"key\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"value\":\"v\"}",
          "\"\\/\b\f\n\r\t", 8, "v", 1);
    check(record_parse_json,
          "{\"key\":\"\\u0041\\u00fC\\u20ac\\uD83D\\uDE00\","
          "\"value\":\"\\u0000\"}",
          "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 10, "\0", 1);
    check(record_parse_json, "{\"key\":\"\xc3\xbc\",\"value\":\"\x7f\"}",
          "\xc3\xbc", 2, "\x7f", 1);
    check(record_parse_json, "{\"key_base64\":\"AP8=\",\"value_base64\":\"\"}",
          "\0\xff", 2, "", 0);
    /* A member's name may be escaped like any other string. */
    check(record_parse_json, "{\"\\u006bey\":\"k\",\"value\":\"v\"}", "k", 1,
          "v", 1);
}

static void test_record_json_wrong_syntax_is_refused(void **state)
{
    (void)state;
    check_refused(record_parse_json, "", "object");
    check_refused(record_parse_json, "[1]", "object");
    check_refused(record_parse_json, "{}", "double quotes");
    check_refused(record_parse_json, "{\"key\":\"k\"", "',' or '}'");
    check_refused(record_parse_json, "{\"key\" \"k\"}", "':'");
    check_refused(record_parse_json, "{\"key\":1,\"value\":\"v\"}",
                  "double quotes");
    check_refused(record_parse_json, "{\"key\":\"k\",}", "double quotes");
    check_refused(record_parse_json, "{\"key\":\"k\",\"value\":\"v\"} x",
                  "follows");
    check_refused(record_parse_json, "{\"key\":\"k", "ends inside");
    check_refused(record_parse_json, "{\"key\":\"k\\", "ends inside");
    check_refused(record_parse_json, "{\"key\":\"a\nb\",\"value\":\"\"}",
                  "control");
    check_refused(record_parse_json, "{\"key\":\"\\a\",\"value\":\"\"}",
                  "escape");
}

static void test_record_json_wrong_unicode_is_refused(void **state)
{
    (void)state;
    check_refused(record_parse_json, "{\"key\":\"\\u12\"}", "four");
    check_refused(record_parse_json, "{\"key\":\"\\u12g4\"}", "four");
    check_refused(record_parse_json, "{\"key\":\"\\u1", "four");
    check_refused(record_parse_json, "{\"key\":\"\\udc00\"}", "surrogate");
    check_refused(record_parse_json, "{\"key\":\"\\ud800\"}", "surrogate");
    check_refused(record_parse_json, "{\"key\":\"\\ud800\\u0041\"}",
                  "surrogate");
    check_refused(record_parse_json, "{\"key\":\"\\ud800\\u", "surrogate");
    check_refused(record_parse_json, "{\"key\":\"\xff\",\"value\":\"\"}",
                  "not UTF-8");
    check_refused(record_parse_json, "{\"key\":\"\xc3\\u0041\",\"value\":\"\"}",
                  "not UTF-8");
}

static void test_record_json_wrong_members_are_refused(void **state)
{
    (void)state;
    check_refused(record_parse_json, "{\"key\":\"k\"}", "no \"value\"");
    check_refused(record_parse_json, "{\"value\":\"v\"}", "no \"key\"");
    check_refused(record_parse_json, "{\"key\":\"\",\"value\":\"v\"}",
                  "key is empty");
    check_refused(record_parse_json,
                  "{\"key\":\"k\",\"key\":\"k\",\"value\":\"v\"}", "twice");
    check_refused(record_parse_json,
                  "{\"key\":\"k\",\"value\":\"v\",\"value_base64\":\"\"}",
                  "twice");
    check_refused(record_parse_json, "{\"key\":\"k\",\"ttl\":\"5\"}",
                  "unknown member \"ttl\"");
    check_refused(record_parse_json, "{\"key_base64\":\"A\",\"value\":\"v\"}",
                  "base64");
}

/* Whatever the bytes, the parsers stay inside the line. */
static void test_record_parse_random_bytes_stay_inside(void **state)
{
    (void)state;
    static const char alphabet[] = "{}\":,\\ukeyvalu_bs64dDcC80\t\x80\xc3\n";
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        char text[48];
        size_t size = (size_t)rand_r(&seed) % (sizeof(text) - 1);
        for (size_t i = 0; i < size; i++) {
            text[i] = alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
        }
        text[size] = '\0';
        struct record r;
        char *line;
        if (parse(round % 2 == 0 ? record_parse_tsv : record_parse_json, text,
                  &r, &line, NULL) == 0) {
            assert_true(r.key >= line && r.key + r.key_size <= line + size);
            assert_true(r.value >= line &&
                        r.value + r.value_size <= line + size);
        }
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_tsv_lines_are_understood),
        cmocka_unit_test(test_record_tsv_wrong_lines_are_refused),
        cmocka_unit_test(test_record_json_objects_are_understood),
        cmocka_unit_test(test_record_json_wrong_syntax_is_refused),
        cmocka_unit_test(test_record_json_wrong_unicode_is_refused),
        cmocka_unit_test(test_record_json_wrong_members_are_refused),
        cmocka_unit_test(test_record_parse_random_bytes_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
