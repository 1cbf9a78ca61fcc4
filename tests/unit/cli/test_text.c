/* Text forms of bytes and numbers. */
#include "tests/unit/cli/printed.h"

#include "cli/text.h"
#include "raftlog/err.h"

static void test_text_utf8_wellformed_is_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "plain ascii, longer than eight bytes",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "12345678\xc3\xbc"
                                       "12345678"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(text_is_utf8(good[i], strlen(good[i])));
    }
}

static void test_text_utf8_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xe2\x82(",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf5\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "12345678\xff",
                                      "1234567\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
    }
}

static void test_text_escape_every_byte_comes_back(void **state)
{
    (void)state;
    char raw[256 + 4];
    struct printed shown;
    size_t bad;
    for (int i = 0; i < 256; i++) {
        raw[i] = (char)i;
    }
    memcpy(raw + 256, "\xc2\x85\xc3\xbc", 4);
    printed_open(&shown);
    text_print_escaped(shown.out, raw, sizeof(raw));
    printed_end(&shown);
    for (size_t i = 0; i < shown.size; i++) {
        unsigned char c = (unsigned char)shown.text[i];
        assert_true(c >= 0x20 && c != 0x7f);
    }
    assert_null(memmem(shown.text, shown.size, "\xc2\x85", 2));
    assert_non_null(memmem(shown.text, shown.size, "\xc3\xbc", 2));
    assert_int_equal(text_unescape(shown.text, &shown.size, &bad), 0);
    assert_int_equal(shown.size, sizeof(raw));
    assert_memory_equal(shown.text, raw, shown.size);
    printed_free(&shown);
}

static void test_text_unescape_wrong_escape_is_located(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t offset;
    } bad[] = {{"ab\\q", 2}, {"\\", 0},     {"\\t\\x", 2},
               {"\\x1", 0},  {"a\\xg1", 1}, {"\\x1", 0}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[16];
        size_t size = strlen(bad[i].text);
        size_t offset = 99;
        memcpy(text, bad[i].text, size);
        assert_int_equal(text_unescape(text, &size, &offset), ERR_INVALID);
        assert_int_equal(offset, bad[i].offset);
    }
}

static void test_text_base64_vectors_of_the_rfc_both_ways(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"},
                                          {"\xff\xfe\xfd", "//79"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct printed coded;
        printed_open(&coded);
        text_print_base64(coded.out, rows[i][0], strlen(rows[i][0]));
        printed_end(&coded);
        assert_string_equal(coded.text, rows[i][1]);
        assert_int_equal(text_decode_base64(coded.text, &coded.size), 0);
        assert_int_equal(coded.size, strlen(rows[i][0]));
        assert_memory_equal(coded.text, rows[i][0], coded.size);
        printed_free(&coded);
    }
}

static void test_text_base64_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Z",         "Zg",   "Zg=",     "Zh==",
                                      "Zm9=",      "Z===", "====",    "Zm v",
                                      "Zm9v\nZm9", "Z=m9", "Zg==Zg=="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[16];
        size_t size = strlen(bad[i]);
        memcpy(text, bad[i], size);
        assert_int_equal(text_decode_base64(text, &size), ERR_INVALID);
    }
}

static void test_text_numbers_are_shown_for_people(void **state)
{
    (void)state;
    char out[TEXT_NUMBER_MAX];
    assert_string_equal(text_count(out, 0), "0");
    assert_string_equal(text_count(out, 999), "999");
    assert_string_equal(text_count(out, 1000), "1,000");
    assert_string_equal(text_count(out, UINT64_MAX),
                        "18,446,744,073,709,551,615");
    assert_string_equal(text_bytes(out, 1023), "1023 B");
    assert_string_equal(text_bytes(out, 1536), "1.5 KiB");
    assert_string_equal(text_bytes(out, 64u << 20), "64.0 MiB");
    assert_string_equal(text_duration(out, -3), "0 ms");
    assert_string_equal(text_duration(out, 999), "999 ms");
    assert_string_equal(text_duration(out, 2500), "2.5 s");
    assert_string_equal(text_duration(out, 125000), "2m 05s");
    assert_string_equal(text_duration(out, 3720000), "1h 02m");
}

static void test_text_parse_count_keeps_its_bounds(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_int_equal(
        text_parse_count("18446744073709551615", 0, UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(
        text_parse_count("18446744073709551616", 0, UINT64_MAX, &v), ERR_RANGE);
    assert_int_equal(text_parse_count("0", 1, 9, &v), ERR_RANGE);
    assert_int_equal(text_parse_count("10", 1, 9, &v), ERR_RANGE);
    assert_int_equal(text_parse_count("", 0, 9, &v), ERR_INVALID);
    assert_int_equal(text_parse_count("-1", 0, 9, &v), ERR_INVALID);
    assert_int_equal(text_parse_count("1 ", 0, 9, &v), ERR_INVALID);
    assert_true(v == UINT64_MAX);
}

static void test_text_parse_duration_knows_its_units(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_int_equal(text_parse_duration("5", &ms), 0);
    assert_int_equal(ms, 5000);
    assert_int_equal(text_parse_duration("2.5", &ms), 0);
    assert_int_equal(ms, 2500);
    assert_int_equal(text_parse_duration("300ms", &ms), 0);
    assert_int_equal(ms, 300);
    assert_int_equal(text_parse_duration("1m", &ms), 0);
    assert_int_equal(ms, 60000);
    assert_int_equal(text_parse_duration("3s", &ms), 0);
    assert_int_equal(ms, 3000);
    assert_int_equal(text_parse_duration("0", &ms), ERR_RANGE);
    assert_int_equal(text_parse_duration("1e300", &ms), ERR_RANGE);
    assert_int_equal(text_parse_duration("25000m", &ms), ERR_RANGE);
    assert_int_equal(text_parse_duration("-1", &ms), ERR_INVALID);
    assert_int_equal(text_parse_duration("5h", &ms), ERR_INVALID);
    assert_int_equal(text_parse_duration("nan", &ms), ERR_INVALID);
    assert_int_equal(text_parse_duration("", &ms), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_utf8_wellformed_is_accepted),
        cmocka_unit_test(test_text_utf8_malformed_is_refused),
        cmocka_unit_test(test_text_escape_every_byte_comes_back),
        cmocka_unit_test(test_text_unescape_wrong_escape_is_located),
        cmocka_unit_test(test_text_base64_vectors_of_the_rfc_both_ways),
        cmocka_unit_test(test_text_base64_malformed_is_refused),
        cmocka_unit_test(test_text_numbers_are_shown_for_people),
        cmocka_unit_test(test_text_parse_count_keeps_its_bounds),
        cmocka_unit_test(test_text_parse_duration_knows_its_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
