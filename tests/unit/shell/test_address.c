/* Addresses and member lists: what is taken, what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "node/address.h"

static void test_address_host_and_port_are_split(void **state)
{
    struct address a;

    (void)state;
    assert_int_equal(address_parse("node-1.example:7000", &a, NULL), 0);
    assert_string_equal(a.host, "node-1.example");
    assert_string_equal(a.port, "7000");
    assert_int_equal(address_parse("[fe80::1%eth0]:1", &a, NULL), 0);
    assert_string_equal(a.host, "fe80::1%eth0");
    assert_string_equal(a.port, "1");
    assert_int_equal(address_parse("10.0.0.1:065", &a, NULL), 0);
    assert_string_equal(a.port, "65");
}

static void test_address_malformed_is_refused_with_words(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "has no port"},
        {"host", "has no port"},
        {":7000", "no usable host name"},
        {"host:", "no port number"},
        {"host:0", "no port number"},
        {"host:65536", "no port number"},
        {"host:-1", "no port number"},
        {"host: 1", "no port number"},
        {"host:1x", "no port number"},
        {"host:000001", "no port number"},
        {"::1:7000", "in brackets"},
        {"[::1:7000", "[address]:port"},
        {"[]:7000", "no usable host name"},
        {"a b:7000", "no usable host name"},
        {"a\n:7000", "no usable host name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct address a = {"before", "1"};
        struct err_info info;

        assert_int_equal(address_parse(cases[i].text, &a, &info), ERR_INVALID);
        assert_non_null(strstr(info.message, cases[i].words));
        assert_null(strchr(info.message, '\n'));
        assert_string_equal(a.host, "before");
    }
}

static void test_address_longest_fits_longer_is_refused(void **state)
{
    char text[ADDRESS_TEXT_MAX + 2];
    struct address a;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + ADDRESS_TEXT_MAX - 2, ":1", 3);
    assert_int_equal(address_parse(text, &a, NULL), 0);
    assert_int_equal(strlen(a.host), ADDRESS_TEXT_MAX - 2);
    text[ADDRESS_TEXT_MAX - 2] = 'a';
    memcpy(text + ADDRESS_TEXT_MAX - 1, ":1", 3);
    assert_int_equal(address_parse(text, &a, NULL), ERR_INVALID);
}

static void test_address_cluster_is_sorted_by_id(void **state)
{
    struct replica_server s[4];
    char text[ADDRESS_CLUSTER_MAX];
    unsigned n;

    (void)state;
    assert_int_equal(
        address_parse_cluster("3=c:3,1=a:1,20=b:2,", s, 4, &n, NULL), 0);
    assert_int_equal(n, 3);
    assert_int_equal(s[0].id, 1);
    assert_int_equal(s[1].id, 3);
    assert_string_equal(s[2].address, "b:2");
    assert_int_equal(s[2].role, RAFT_VOTER);
    address_print_cluster(s, n, text, sizeof text);
    assert_string_equal(text, "1=a:1,3=c:3,20=b:2");
    assert_int_equal(address_parse_cluster("", s, 4, &n, NULL), 0);
    assert_int_equal(n, 0);
}

static void test_address_cluster_malformed_is_refused(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"1=a:1,1=b:1", "node 1 is named twice"},
        {"1=a:1,2=a:1", "address a:1 is given to two nodes"},
        {"a:1", "id=host:port"},
        {"0=a:1", "not a node id"},
        {"x=a:1", "id=host:port"},
        {"1x=a:1", "not a node id"},
        {"99999999999999999999=a:1", "not a node id"},
        {"1=a", "has no port"},
        {",1=a:1", "id=host:port"},
        {"1=a:1,2=b:1,3=c:1", "more than 2 nodes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct replica_server s[2];
        struct err_info info;
        unsigned n = 77;

        assert_int_equal(address_parse_cluster(cases[i].text, s, 2, &n, &info),
                         ERR_INVALID);
        assert_non_null(strstr(info.message, cases[i].words));
        assert_int_equal(n, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_address_host_and_port_are_split),
        cmocka_unit_test(test_address_malformed_is_refused_with_words),
        cmocka_unit_test(test_address_longest_fits_longer_is_refused),
        cmocka_unit_test(test_address_cluster_is_sorted_by_id),
        cmocka_unit_test(test_address_cluster_malformed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
