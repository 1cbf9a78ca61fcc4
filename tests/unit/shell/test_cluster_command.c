/* Replies of CLUSTER byte for byte in the forms of Redis 7: a leader known or
 * not, members without an address or out of reach, both protocol versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/cluster_command.h"
#include "node/command.h"

#define ID "0102030405060708090a0b0c"
#define ID1 ID "0000000000000001"
#define ID2 ID "0000000000000002"
#define ID3 ID "0000000000000003"

static struct cluster_facts facts;

/* Node 1 is asked, node 2 leads, node 3 is down. */
static int setup(void **state)
{
    static const uint8_t cluster_id[16] = {1, 2,  3,  4,  5,  6,  7,  8,
                                           9, 10, 11, 12, 13, 14, 15, 16};
    (void)state;
    memset(&facts, 0, sizeof facts);
    facts.cluster_id = cluster_id;
    facts.self_id = 1;
    facts.leader_id = 2;
    facts.term = 7;
    facts.applied_index = 99;
    facts.n_sent = 5;
    facts.n_received = 6;
    facts.n = 3;
    facts.nodes[0] =
        (struct cluster_node){1, "127.0.0.1:6379", "127.0.0.1:7379", true};
    facts.nodes[1] = (struct cluster_node){2, "[::1]:6380", "[::1]:7380", true};
    facts.nodes[2] = (struct cluster_node){3, "", "c:7381", false};
    return 0;
}

static void expect(const char *a, const char *b, const char *want)
{
    struct bytes argv[3] = {{(const uint8_t *)"CLUSTER", 7},
                            {(const uint8_t *)a, strlen(a)},
                            {(const uint8_t *)b, strlen(b)}};
    uint32_t argc = b[0] != '\0' ? 3 : 2;
    struct buffer reply;
    buffer_init(&reply);
    if (command_check(argc, argv, &reply) != NULL) {
        cluster_command(&facts, argc, argv, &reply);
    }
    buffer_append(&reply, "", 1);
    assert_string_equal((const char *)buffer_data(&reply), want);
    buffer_close(&reply);
}

static void test_cluster_command_info(void **state)
{
    (void)state;
    expect("info", "",
           "$312\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
           "cluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
           "cluster_slots_fail:0\r\ncluster_known_nodes:3\r\n"
           "cluster_size:1\r\ncluster_current_epoch:7\r\n"
           "cluster_my_epoch:7\r\ncluster_stats_messages_sent:5\r\n"
           "cluster_stats_messages_received:6\r\n"
           "total_cluster_links_buffer_limit_exceeded:0\r\n\r\n");
    facts.leader_id = 0;
    expect("INFO", "",
           "$314\r\ncluster_state:fail\r\ncluster_slots_assigned:16384\r\n"
           "cluster_slots_ok:0\r\ncluster_slots_pfail:0\r\n"
           "cluster_slots_fail:16384\r\ncluster_known_nodes:3\r\n"
           "cluster_size:1\r\ncluster_current_epoch:7\r\n"
           "cluster_my_epoch:7\r\ncluster_stats_messages_sent:5\r\n"
           "cluster_stats_messages_received:6\r\n"
           "total_cluster_links_buffer_limit_exceeded:0\r\n\r\n");
}

static void test_cluster_command_nodes(void **state)
{
    (void)state;
    expect("NODES", "",
           "$347\r\n" ID1 " 127.0.0.1:6379@7379 myself,slave " ID2
           " 0 0 7 connected\n" ID2
           " ::1:6380@7380 master - 0 0 7 connected 0-16383\n" ID3
           " :0@7381 slave,fail?,noaddr " ID2 " 0 0 7 disconnected\n\r\n");
    facts.leader_id = 0;
    facts.n = 1;
    expect("NODES", "",
           "$92\r\n" ID1
           " 127.0.0.1:6379@7379 myself,slave - 0 0 7 connected\n\r\n");
}

static void test_cluster_command_slots(void **state)
{
    (void)state;
    expect("SLOTS", "",
           "*1\r\n*4\r\n:0\r\n:16383\r\n*4\r\n$3\r\n::1\r\n:6380\r\n$40\r\n" ID2
           "\r\n*0\r\n*4\r\n$9\r\n127.0.0.1\r\n:6379\r\n$40\r\n" ID1
           "\r\n*0\r\n");
    facts.resp3 = true;
    facts.n = 2;
    expect("SLOTS", "",
           "*1\r\n*4\r\n:0\r\n:16383\r\n*4\r\n$3\r\n::1\r\n:6380\r\n$40\r\n" ID2
           "\r\n%0\r\n*4\r\n$9\r\n127.0.0.1\r\n:6379\r\n$40\r\n" ID1
           "\r\n%0\r\n");
    facts.leader_id = 0;
    expect("SLOTS", "", "*0\r\n");
    facts.leader_id = 3; /* leads, but nobody knows where */
    expect("SLOTS", "", "*0\r\n");
}

static void test_cluster_command_shards(void **state)
{
    (void)state;
    facts.nodes[1] = facts.nodes[2];
    facts.n = 2;
    facts.leader_id = 1;
    expect("SHARDS", "",
           "*1\r\n*4\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n"
           "*2\r\n*14\r\n$2\r\nid\r\n$40\r\n" ID1
           "\r\n$4\r\nport\r\n:6379\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
           "$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
           "$18\r\nreplication-offset\r\n:99\r\n$6\r\nhealth\r\n"
           "$6\r\nonline\r\n*14\r\n$2\r\nid\r\n$40\r\n" ID3
           "\r\n$4\r\nport\r\n:0\r\n$2\r\nip\r\n$0\r\n\r\n"
           "$8\r\nendpoint\r\n$0\r\n\r\n$4\r\nrole\r\n$7\r\nreplica\r\n"
           "$18\r\nreplication-offset\r\n:99\r\n$6\r\nhealth\r\n"
           "$6\r\nfailed\r\n");
    facts.resp3 = true;
    facts.n = 1;
    facts.leader_id = 0;
    expect("SHARDS", "",
           "*1\r\n%2\r\n$5\r\nslots\r\n*0\r\n$5\r\nnodes\r\n"
           "*1\r\n%7\r\n$2\r\nid\r\n$40\r\n" ID1
           "\r\n$4\r\nport\r\n:6379\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"
           "$8\r\nendpoint\r\n$9\r\n127.0.0.1\r\n$4\r\nrole\r\n"
           "$7\r\nreplica\r\n$18\r\nreplication-offset\r\n:99\r\n"
           "$6\r\nhealth\r\n$6\r\nonline\r\n");
}

static void test_cluster_command_keys(void **state)
{
    (void)state;
    expect("KEYSLOT", "{a}b", ":15495\r\n");
    expect("MYID", "", "$40\r\n" ID1 "\r\n");
}

static void test_cluster_command_refusals(void **state)
{
    (void)state;
    expect("MYID", "x",
           "-ERR wrong number of arguments for 'cluster|myid' command\r\n");
    expect("KEYSLOT", "",
           "-ERR wrong number of arguments for 'cluster|keyslot' command\r\n");
    expect("FOO", "", "-ERR unknown subcommand 'FOO'. Try CLUSTER HELP.\r\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, NULL)
    const struct CMUnitTest tests[] = {
        T(test_cluster_command_info),  T(test_cluster_command_nodes),
        T(test_cluster_command_slots), T(test_cluster_command_shards),
        T(test_cluster_command_keys),  T(test_cluster_command_refusals),
    };
    return cmocka_run_group_tests_name("cluster_command", tests, NULL, NULL);
}
