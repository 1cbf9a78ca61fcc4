/* The INFO reply. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/info.h"

static void parse(struct node_info *info, const char *text)
{
    /* Exactly the text's size, for the address sanitizer. */
    size_t size = strlen(text);
    char *copy = malloc(size + 1);
    memcpy(copy, text, size);
    char *exact = realloc(copy, size > 0 ? size : 1);
    info_parse(info, exact, size);
    free(exact);
}

static void test_info_parse_fields_of_all_sections(void **state)
{
    (void)state;
    struct node_info info;
    parse(&info, "# Server\r\nversion:0.1.0\r\nuptime_in_seconds:7\r\n\r\n"
                 "# Replication\r\nnode_id:2\r\nraft_role:follower\r\n"
                 "raft_leader_id:1\r\nraft_leader_address:[::1]:7001\r\n"
                 "raft_term:5\r\nraft_commit_index:18446744073709551615\r\n"
                 "cluster_id:abc\r\nstate_hash:00ff\r\nunknown:1\r\n");
    assert_int_equal(info.node_id, 2);
    assert_int_equal(info.role, INFO_ROLE_FOLLOWER);
    assert_int_equal(info.leader_id, 1);
    assert_string_equal(info.leader_address, "[::1]:7001");
    assert_int_equal(info.term, 5);
    assert_true(info.commit_index == UINT64_MAX);
    assert_string_equal(info.cluster_id, "abc");
    assert_string_equal(info.state_hash, "00ff");
    assert_string_equal(info.version, "0.1.0");
    assert_true(info_has(&info, INFO_uptime_s));
    assert_false(info_has(&info, INFO_applied_index));
}

static void test_info_parse_plain_redis_has_no_role(void **state)
{
    (void)state;
    struct node_info info;
    parse(&info, "# Replication\nrole:master\nused_memory_rss:5");
    assert_int_equal(info.role, INFO_ROLE_NONE);
    assert_true(info_has(&info, INFO_memory_bytes));
    assert_int_equal(info_number_value(&info, INFO_memory_bytes), 5);
}

static void test_info_parse_bad_values_count_as_absent(void **state)
{
    (void)state;
    char text[1000];
    struct node_info info;
    parse(&info, "raft_term:x\nnode_id:-1\nkeys:\nraft_role:king\n:\n::\nx");
    assert_int_equal(info.present, 0);
    assert_int_equal(info.role, INFO_ROLE_NONE);
    /* A value over the limit is not cut but left out. */
    memset(text, 'a', sizeof(text));
    memcpy(text, "version:", 8);
    text[sizeof(text) - 1] = '\0';
    parse(&info, text);
    assert_string_equal(info.version, "");
    parse(&info, "");
    assert_int_equal(info.present, 0);
}

static void test_info_role_names_are_those_of_info(void **state)
{
    (void)state;
    static const char *const names[] = {"leader", "follower", "candidate",
                                        "learner"};
    for (size_t i = 0; i < 4; i++) {
        char text[64];
        struct node_info info;
        snprintf(text, sizeof(text), "raft_role:%s", names[i]);
        parse(&info, text);
        assert_string_equal(info_role_name(info.role), names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_parse_fields_of_all_sections),
        cmocka_unit_test(test_info_parse_plain_redis_has_no_role),
        cmocka_unit_test(test_info_parse_bad_values_count_as_absent),
        cmocka_unit_test(test_info_role_names_are_those_of_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
