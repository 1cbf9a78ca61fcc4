/* host:port addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/endpoint.h"

static void test_endpoint_parse_good_addresses_come_back(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:7001", "node-1.example:1",
                                       "[::1]:65535"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct endpoint e;
        char text[ENDPOINT_TEXT_MAX];
        assert_int_equal(endpoint_parse(&e, good[i], strlen(good[i]), NULL), 0);
        assert_string_equal(endpoint_format(text, &e), good[i]);
    }
}

static void test_endpoint_parse_bad_addresses_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       "host",    ":7001",    "host:",
        "host:0", "h:70000", "h:7a",     "[::1]",
        "[::1:1", "[]:1",    "::1:7001", "h:12345678901234567890",
        "h:-1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct endpoint e;
        struct err_info info = {0, ""};
        assert_int_equal(endpoint_parse(&e, bad[i], strlen(bad[i]), &info),
                         ERR_INVALID);
        assert_non_null(strstr(info.message, bad[i]));
    }
}

static void test_endpoint_parse_longest_host_fits_longer_does_not(void **state)
{
    (void)state;
    char text[400];
    struct endpoint e;
    memset(text, 'h', sizeof(text));
    memcpy(text + ENDPOINT_HOST_MAX, ":1", 2);
    assert_int_equal(endpoint_parse(&e, text, ENDPOINT_HOST_MAX + 2, NULL), 0);
    assert_int_equal(strlen(e.host), ENDPOINT_HOST_MAX);
    text[ENDPOINT_HOST_MAX] = 'h';
    memcpy(text + ENDPOINT_HOST_MAX + 1, ":1", 2);
    assert_int_equal(endpoint_parse(&e, text, ENDPOINT_HOST_MAX + 3, NULL),
                     ERR_INVALID);
}

static void test_endpoint_list_blanks_and_repeats_are_dropped(void **state)
{
    (void)state;
    struct endpoint_list list;
    assert_int_equal(endpoint_list_parse(&list, "a:1, b:2 ,a:1", NULL), 0);
    assert_int_equal(list.n_items, 2);
    assert_string_equal(list.items[1].host, "b");
    assert_true(endpoint_list_has(&list, &list.items[1]));
}

static void test_endpoint_list_empty_item_is_refused(void **state)
{
    (void)state;
    struct endpoint_list list;
    assert_int_equal(endpoint_list_parse(&list, "a:1,,b:2", NULL), ERR_INVALID);
    assert_int_equal(endpoint_list_parse(&list, "a:1,", NULL), ERR_INVALID);
    assert_int_equal(endpoint_list_parse(&list, "", NULL), ERR_INVALID);
}

static void test_endpoint_list_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct endpoint_list list;
    char text[ENDPOINT_LIST_MAX * 8 + 16] = "";
    for (int i = 0; i < ENDPOINT_LIST_MAX; i++) {
        char item[16];
        snprintf(item, sizeof(item), "%sh:%d", i > 0 ? "," : "", i + 1);
        strcat(text, item);
    }
    assert_int_equal(endpoint_list_parse(&list, text, NULL), 0);
    assert_int_equal(list.n_items, ENDPOINT_LIST_MAX);
    strcat(text, ",h:999");
    assert_int_equal(endpoint_list_parse(&list, text, NULL), ERR_TOOBIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_endpoint_parse_good_addresses_come_back),
        cmocka_unit_test(test_endpoint_parse_bad_addresses_are_named),
        cmocka_unit_test(test_endpoint_parse_longest_host_fits_longer_does_not),
        cmocka_unit_test(test_endpoint_list_blanks_and_repeats_are_dropped),
        cmocka_unit_test(test_endpoint_list_empty_item_is_refused),
        cmocka_unit_test(test_endpoint_list_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
