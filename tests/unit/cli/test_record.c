/* One line of an import to one record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
static void test_record_json_expiry_is_understood(void **state)
{
    (void)state;
    struct record r;
    struct err_info info = {0, ""};
    char *line;
    assert_int_equal(parse(record_parse_json,
                           "{\"expire_at_ms\": 1700000000123 ,\"key\":\"k\","
                           "\"value\":\"v\"}",
                           &r, &line, &info),
                     0);
    assert_true(r.expire_at_ms == UINT64_C(1700000000123));
    free(line);
    static const char *const wrong[] = {"0",
                                        "-1",
                                        "1.5",
                                        "\"1\"",
                                        "",
                                        "99999999999999999999",
                                        "1,"
                                        "\"expire_at_ms\":2"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[120];
        snprintf(text, sizeof(text),
                 "{\"key\":\"k\",\"value\":\"v\",\"expire_at_ms\":%s}",
                 wrong[i]);
        assert_int_equal(parse(record_parse_json, text, &r, &line, &info),
                         ERR_INVALID);
        free(line);
    }
}

/* The result of parsing the first command of text, whose size is *used. */
static int parse_resp(const char *text, struct record *r, size_t *used,
                      struct err_info *info)
{
    static char *copy;
    size_t size = strlen(text);
    free(copy);
    copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    return record_parse_resp(r, copy, size, used, info);
}

#define RESP_SET "*3\r\n$3\r\nset\r\n$2\r\nk1\r\n$4\r\na\r\nb\r\n"

static void test_record_resp_commands_are_understood(void **state)
{
    (void)state;
    static const char *const texts[] = {
        RESP_SET,
        "*5\r\n$3\r\nSET\r\n$2\r\nk1\r\n$0\r\n\r\n$4\r\nPXAT\r\n$1\r\n9"
        "\r\n",
        "*4\r\n$3\r\nSET\r\n$2\r\nk1\r\n$1\r\nv\r\n$7\r\nKEEPTTL\r\n",
        "*2\r\n$3\r\nDEL\r\n$2\r\nk1\r\n",
        "*3\r\n$9\r\nPEXPIREAT\r\n$2\r\nk1\r\n$1\r\n9\r\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct record r;
        struct err_info info = {0, ""};
        size_t used = 0;
        char longer[200];
        snprintf(longer, sizeof(longer), "%s*1", texts[i]);
        int rc = parse_resp(longer, &r, &used, &info);
        if (rc != 1) {
            fail_msg("%s: %s", texts[i], info.message);
        }
        assert_int_equal(used, strlen(texts[i]));
        assert_int_equal(r.command_size, used);
        assert_memory_equal(r.command, texts[i], used);
        assert_int_equal(r.key_size, 2);
        assert_memory_equal(r.key, "k1", 2);
    }
}

static void test_record_resp_any_begin_is_not_complete(void **state)
{
    (void)state;
    char text[sizeof(RESP_SET)];
    for (size_t size = 0; size < strlen(RESP_SET); size++) {
        struct record r;
        struct err_info info = {0, ""};
        size_t used = 0;
        memcpy(text, RESP_SET, size);
        text[size] = '\0';
        assert_int_equal(parse_resp(text, &r, &used, &info), 0);
    }
}

static void test_record_resp_select_0_is_nothing_to_do(void **state)
{
    (void)state;
    struct record r;
    struct err_info info = {0, ""};
    size_t used = 0;
    assert_int_equal(
        parse_resp("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n", &r, &used, &info), 1);
    assert_null(r.key);
    assert_int_equal(
        parse_resp("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n", &r, &used, &info),
        ERR_INVALID);
}

static void test_record_resp_what_may_not_be_repeated_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "*2\r\n$4\r\nINCR\r\n$1\r\nk\r\n",
        "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$1\r\nv\r\n",
        "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n$2\r\nNX\r\n",
        "*3\r\n$3\r\nDEL\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1\r\nv\r\n",
        "*0\r\n",
        "*99\r\n",
        "*x\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n$1\r\nabcd",
        "*1\n",
        "SET a b\r\n",
        "*1111111111111111111111111111"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct record r;
        struct err_info info = {0, ""};
        size_t used = 0;
        if (parse_resp(texts[i], &r, &used, &info) != ERR_INVALID) {
            fail_msg("%s is not refused", texts[i]);
        }
        assert_true(info.message[0] != '\0');
    }
}

static void test_record_format_is_known_by_the_name(void **state)
{
    (void)state;
    assert_int_equal(record_format_choose(RECORD_AUTO, "a.tsv"), RECORD_TSV);
    assert_int_equal(record_format_choose(RECORD_AUTO, "a.jsonl"),
                     RECORD_JSONL);
    assert_int_equal(record_format_choose(RECORD_AUTO, "a.ndjson"),
                     RECORD_JSONL);
    assert_int_equal(record_format_choose(RECORD_AUTO, "a.resp"), RECORD_RESP);
    assert_int_equal(record_format_choose(RECORD_AUTO, ".tsv"), RECORD_AUTO);
    assert_int_equal(record_format_choose(RECORD_AUTO, "-"), RECORD_AUTO);
    assert_int_equal(record_format_choose(RECORD_RESP, "a.tsv"), RECORD_RESP);
}

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
        cmocka_unit_test(test_record_json_expiry_is_understood),
        cmocka_unit_test(test_record_resp_commands_are_understood),
        cmocka_unit_test(test_record_resp_any_begin_is_not_complete),
        cmocka_unit_test(test_record_resp_select_0_is_nothing_to_do),
        cmocka_unit_test(test_record_resp_what_may_not_be_repeated_is_refused),
        cmocka_unit_test(test_record_format_is_known_by_the_name),
        cmocka_unit_test(test_record_parse_random_bytes_stay_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
