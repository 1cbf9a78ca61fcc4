/* Decimal integers: borders and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/number.h"

static bool parse(const char *s, int64_t *out)
{
    struct bytes text = {(const uint8_t *)s, strlen(s)};

    return number_parse(text, out);
}

static void test_number_accepted_text_comes_back_the_same(void **state)
{
    static const char *const texts[] = {"0",
                                        "1",
                                        "9",
                                        "10",
                                        "-1",
                                        "-10",
                                        "1234567890",
                                        "-9",
                                        "999",
                                        "42",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "9223372036854775799"};

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char out[NUMBER_TEXT_MAX];
        int64_t v = 7;
        assert_true(parse(texts[i], &v));
        assert_int_equal(number_format(out, v), strlen(texts[i]));
        assert_string_equal(out, texts[i]);
    }
}

static void test_number_other_text_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "-",
                                        "-0",
                                        "00",
                                        "01",
                                        "-01",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1.0",
                                        "1e3",
                                        "0x10",
                                        "abc",
                                        "1a",
                                        "--1",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "92233720368547758070",
                                        "99999999999999999999999999"};

    (void)state;
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t v = 7;
        if (parse(texts[i], &v)) {
            fail_msg("accepted: '%s'", texts[i]);
        }
        assert_int_equal(v, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number_accepted_text_comes_back_the_same),
        cmocka_unit_test(test_number_other_text_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
