/* Error codes: texts, names, errno and printable text from raw input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "raftlog/err.h"

static void test_err_text_every_code_has_text_and_name(void **state)
{
    (void)state;
#define CHECK(name, number, text)                                              \
    assert_string_equal(err_text(ERR_##name), text);                           \
    assert_string_equal(err_name(ERR_##name), "ERR_" #name);
    ERR_LIST(CHECK)
#undef CHECK
    assert_string_equal(err_text(0), "success");
    assert_string_equal(err_text(-9999), "unknown error");
    assert_string_equal(err_name(7), "ERR_UNKNOWN");
}

static void test_err_set_long_message_is_cut_and_code_returned(void **state)
{
    struct err_info info;
    char text[2 * ERR_MESSAGE_MAX];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(err_set(&info, ERR_IO, "%s", text), ERR_IO);
    assert_int_equal(info.code, ERR_IO);
    assert_int_equal(strlen(info.message), ERR_MESSAGE_MAX - 1);
    assert_int_equal(err_set(NULL, ERR_BUSY, "%d", 1), ERR_BUSY);
}

static void test_err_set_keeps_errno(void **state)
{
    struct err_info info;

    (void)state;
    errno = EXDEV;
    err_set(&info, ERR_IO, "x");
    assert_int_equal(errno, EXDEV);
}

static void test_err_from_errno_known_values_have_their_code(void **state)
{
    (void)state;
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(ENOMEM), ERR_NOMEM);
    assert_int_equal(err_from_errno(ENOSPC), ERR_NOSPACE);
    assert_int_equal(err_from_errno(EDQUOT), ERR_NOSPACE);
    assert_int_equal(err_from_errno(ENOENT), ERR_NOTFOUND);
    assert_int_equal(err_from_errno(EEXIST), ERR_EXISTS);
    assert_int_equal(err_from_errno(EROFS), ERR_ACCESS);
    assert_int_equal(err_from_errno(EIO), ERR_IO);
    assert_int_equal(err_from_errno(ENOTDIR), ERR_IO);
}

static void test_err_escape_raw_bytes_become_printable(void **state)
{
    char out[64];

    (void)state;
    assert_string_equal(err_escape(out, sizeof out, "a\n\\\0\xff~", 6),
                        "a\\x0a\\x5c\\x00\\xff~");
    assert_string_equal(err_escape(out, sizeof out, "", 0), "");
}

static void test_err_escape_every_size_stays_inside(void **state)
{
    const char raw[] = "abc\001def\377ghi";
    char out[64];

    (void)state;
    for (size_t size = 0; size < sizeof out; size++) {
        memset(out, '#', sizeof out);
        err_escape(out, size, raw, sizeof raw - 1);
        assert_int_equal(out[size], '#');
        if (size > 0) {
            assert_non_null(memchr(out, '\0', size));
        }
        if (size > 3 && size <= 17) {
            assert_string_equal(out + strlen(out) - 3, "...");
        }
    }
    assert_string_equal(err_escape(out, 18, raw, sizeof raw - 1),
                        "abc\\x01def\\xffghi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err_text_every_code_has_text_and_name),
        cmocka_unit_test(test_err_set_long_message_is_cut_and_code_returned),
        cmocka_unit_test(test_err_set_keeps_errno),
        cmocka_unit_test(test_err_from_errno_known_values_have_their_code),
        cmocka_unit_test(test_err_escape_raw_bytes_become_printable),
        cmocka_unit_test(test_err_escape_every_size_stays_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
