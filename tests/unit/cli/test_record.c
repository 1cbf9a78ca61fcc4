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

/* What became of a text. */
struct parsed {
    int rc;
    struct record r; /* points into copy */
    struct err_info info;
    size_t used; /* by a command */
    char *copy;  /* of exactly the size of the text, so that the address
                  * sanitizer sees a read behind it */
};

static void parsed_init(struct parsed *p, const char *text)
{
    size_t size = strlen(text);
    memset(p, 0, sizeof(*p));
    p->copy = malloc(size > 0 ? size : 1);
    memcpy(p->copy, text, size);
}

static void parsed_free(struct parsed *p)
{
    free(p->copy);
}

static void parse(parse_cb how, const char *text, struct parsed *p)
{
    parsed_init(p, text);
    p->rc = how(&p->r, p->copy, strlen(text), &p->info);
}

/* The first command of text. */
static void parse_resp(const char *text, struct parsed *p)
{
    parsed_init(p, text);
    p->rc = record_parse_resp(&p->r, p->copy, strlen(text), &p->used, &p->info);
}

static void check(parse_cb how, const char *text, const char *key,
                  size_t key_size, const char *value, size_t value_size)
{
    struct parsed p;
    parse(how, text, &p);
    if (p.rc != 0) {
        fail_msg("%s: %s", text, p.info.message);
    }
    assert_int_equal(p.r.key_size, key_size);
    assert_memory_equal(p.r.key, key, key_size);
    assert_int_equal(p.r.value_size, value_size);
    assert_memory_equal(p.r.value, value, value_size);
    parsed_free(&p);
}

static void check_refused(parse_cb how, const char *text, const char *words)
{
    struct parsed p;
    parse(how, text, &p);
    assert_int_equal(p.rc, ERR_INVALID);
    if (strstr(p.info.message, words) == NULL) {
        fail_msg("%s: '%s' does not say '%s'", text, p.info.message, words);
    }
    parsed_free(&p);
}

static void tsv_is(const char *text, const char *key, size_t key_size,
                   const char *value, size_t value_size)
{
    check(record_parse_tsv, text, key, key_size, value, value_size);
}

static void tsv_refused(const char *text, const char *words)
{
    check_refused(record_parse_tsv, text, words);
}

static void json_is(const char *text, const char *key, size_t key_size,
                    const char *value, size_t value_size)
{
    check(record_parse_json, text, key, key_size, value, value_size);
}

static void json_refused(const char *text, const char *words)
{
    check_refused(record_parse_json, text, words);
}

static void test_record_tsv_lines_are_understood(void **state)
{
    (void)state;
    tsv_is("k\tv", "k", 1, "v", 1);
    tsv_is("k\t", "k", 1, "", 0);
    tsv_is("k\tv\r", "k", 1, "v", 1);
    tsv_is("k\tv\\r", "k", 1, "v\r", 2);
    tsv_is("a\\tb\tc\\nd\\\\e\\x00f", "a\tb", 3, "c\nd\\e\0f", 7);
    tsv_is("k\t\xff\xfe", "k", 1, "\xff\xfe", 2);
    tsv_is("k\t{\"a\":1}", "k", 1, "{\"a\":1}", 7);
}

static void test_record_tsv_wrong_lines_are_refused(void **state)
{
    (void)state;
    tsv_refused("no tab", "no tab");
    tsv_refused("", "no tab");
    tsv_refused("a\tb\tc", "more than one tab");
    tsv_refused("\tvalue", "key is empty");
    tsv_refused("a\\q\tb", "column 2");
    tsv_refused("ab\tc\\", "column 5");
}

static void test_record_json_objects_are_understood(void **state)
{
    (void)state;
    json_is("{\"key\":\"k\",\"value\":\"v\"}", "k", 1, "v", 1);
    json_is(" { \"value\" : \"\" ,\t\"key\" : \"k\" } \r", "k", 1, "", 0);
    json_is("{\"key\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"value\":\"v\"}",
            "\"\\/\b\f\n\r\t", 8, "v", 1);
    json_is("{\"key\":\"\\u0041\\u00fC\\u20ac\\uD83D\\uDE00\","
            "\"value\":\"\\u0000\"}",
            "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 10, "\0", 1);
    json_is("{\"key\":\"\xc3\xbc\",\"value\":\"\x7f\"}", "\xc3\xbc", 2, "\x7f",
            1);
    json_is("{\"key_base64\":\"AP8=\",\"value_base64\":\"\"}", "\0\xff", 2, "",
            0);
    /* A member's name may be escaped like any other string. */
    json_is("{\"\\u006bey\":\"k\",\"value\":\"v\"}", "k", 1, "v", 1);
}

static void test_record_json_wrong_syntax_is_refused(void **state)
{
    (void)state;
    json_refused("", "object");
    json_refused("[1]", "object");
    json_refused("{}", "double quotes");
    json_refused("{\"key\":\"k\"", "',' or '}'");
    json_refused("{\"key\" \"k\"}", "':'");
    json_refused("{\"key\":1,\"value\":\"v\"}", "double quotes");
    json_refused("{\"key\":\"k\",}", "double quotes");
    json_refused("{\"key\":\"k\",\"value\":\"v\"} x", "follows");
    json_refused("{\"key\":\"k", "ends inside");
    json_refused("{\"key\":\"k\\", "ends inside");
    json_refused("{\"key\":\"a\nb\",\"value\":\"\"}", "control");
    json_refused("{\"key\":\"\\a\",\"value\":\"\"}", "escape");
}

static void test_record_json_wrong_unicode_is_refused(void **state)
{
    (void)state;
    json_refused("{\"key\":\"\\u12\"}", "four");
    json_refused("{\"key\":\"\\u12g4\"}", "four");
    json_refused("{\"key\":\"\\u1", "four");
    json_refused("{\"key\":\"\\udc00\"}", "surrogate");
    json_refused("{\"key\":\"\\ud800\"}", "surrogate");
    json_refused("{\"key\":\"\\ud800\\u0041\"}", "surrogate");
    json_refused("{\"key\":\"\\ud800\\u", "surrogate");
    json_refused("{\"key\":\"\xff\",\"value\":\"\"}", "not UTF-8");
    json_refused("{\"key\":\"\xc3\\u0041\",\"value\":\"\"}", "not UTF-8");
}

static void test_record_json_wrong_members_are_refused(void **state)
{
    (void)state;
    json_refused("{\"key\":\"k\"}", "no \"value\"");
    json_refused("{\"value\":\"v\"}", "no \"key\"");
    json_refused("{\"key\":\"\",\"value\":\"v\"}", "key is empty");
    json_refused("{\"key\":\"k\",\"key\":\"k\",\"value\":\"v\"}", "twice");
    json_refused("{\"key\":\"k\",\"value\":\"v\",\"value_base64\":\"\"}",
                 "twice");
    json_refused("{\"key\":\"k\",\"ttl\":\"5\"}", "unknown member \"ttl\"");
    json_refused("{\"key_base64\":\"A\",\"value\":\"v\"}", "base64");
}

static void test_record_json_expiry_is_understood(void **state)
{
    (void)state;
    static const char *const wrong[] = {"0",
                                        "-1",
                                        "1.5",
                                        "\"1\"",
                                        "",
                                        "99999999999999999999",
                                        "1,\"expire_at_ms\":2"};
    struct parsed p;
    parse(record_parse_json,
          "{\"expire_at_ms\": 1700000000123 ,\"key\":\"k\","
          "\"value\":\"v\"}",
          &p);
    assert_int_equal(p.rc, 0);
    assert_true(p.r.expire_at_ms == UINT64_C(1700000000123));
    parsed_free(&p);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[120];
        snprintf(text, sizeof(text),
                 "{\"key\":\"k\",\"value\":\"v\",\"expire_at_ms\":%s}",
                 wrong[i]);
        json_refused(text, "");
    }
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
        struct parsed p;
        char longer[200];
        snprintf(longer, sizeof(longer), "%s*1", texts[i]);
        parse_resp(longer, &p);
        if (p.rc != 1) {
            fail_msg("%s: %s", texts[i], p.info.message);
        }
        assert_int_equal(p.used, strlen(texts[i]));
        assert_int_equal(p.r.command_size, p.used);
        assert_memory_equal(p.r.command, texts[i], p.used);
        assert_int_equal(p.r.key_size, 2);
        assert_memory_equal(p.r.key, "k1", 2);
        parsed_free(&p);
    }
}

static void test_record_resp_any_begin_is_not_complete(void **state)
{
    (void)state;
    char text[sizeof(RESP_SET)];
    for (size_t size = 0; size < strlen(RESP_SET); size++) {
        struct parsed p;
        memcpy(text, RESP_SET, size);
        text[size] = '\0';
        parse_resp(text, &p);
        assert_int_equal(p.rc, 0);
        parsed_free(&p);
    }
}

static void test_record_resp_select_0_is_nothing_to_do(void **state)
{
    (void)state;
    struct parsed p;
    parse_resp("*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n", &p);
    assert_int_equal(p.rc, 1);
    assert_null(p.r.key);
    parsed_free(&p);
    parse_resp("*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n", &p);
    assert_int_equal(p.rc, ERR_INVALID);
    parsed_free(&p);
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
        struct parsed p;
        parse_resp(texts[i], &p);
        if (p.rc != ERR_INVALID) {
            fail_msg("%s is not refused", texts[i]);
        }
        assert_true(p.info.message[0] != '\0');
        parsed_free(&p);
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
        parse_cb how = round % 2 == 0 ? record_parse_tsv : record_parse_json;
        struct parsed p;
        parsed_init(&p, text);
        /* Nobody wants to know what is wrong. */
        if (how(&p.r, p.copy, size, NULL) == 0) {
            const char *end = p.copy + size;
            assert_true(p.r.key >= p.copy && p.r.key + p.r.key_size <= end);
            assert_true(p.r.value >= p.copy &&
                        p.r.value + p.r.value_size <= end);
        }
        parsed_free(&p);
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
