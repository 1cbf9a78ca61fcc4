/* Settings of a running node: what CONFIG SET changes takes effect at once and
 * on that node alone; counters, times and sections that clients ask for. */
#include <stdlib.h>
#include <string.h>

#include "tests/cluster/group.h"

static void expect(unsigned i, const char *command, const char *text)
{
    cluster_expect(&cluster, cluster_command(&cluster, i, command), text);
}

static void test_settings_limit_of_clients_holds_at_once(void **state)
{
    redisContext *r = cluster_connect(&cluster, 0);
    redisContext *other;
    char words[128];
    long n;
    int fd;
    (void)state;

    cluster_expect(&cluster,
                   cluster_ask(&cluster, r, "CONFIG SET max-clients 1"), "OK");
    fd = cluster_socket(cluster.nodes[0].client_port);
    assert_true(fd >= 0);
    n = cluster_read_all(fd, words, sizeof words);
    assert_true(n > 0);
    assert_string_equal(words, "-ERR max number of clients reached\r\n");
    other = cluster_connect(&cluster, 1); /* has its own limit */
    redisFree(other);
    cluster_expect(
        &cluster, cluster_ask(&cluster, r, "CONFIG SET maxclients 1000"), "OK");
    redisFree(r);
    expect(0, "PING", "PONG");
}

static void test_settings_bound_at_the_start_are_refused(void **state)
{
    (void)state;
    expect(1, "CONFIG SET election-timeout-ms 100",
           "ERR CONFIG SET failed (possibly related to argument "
           "'election-timeout-ms') - can't set immutable config");
    expect(1, "CONFIG SET request-timeout-ms 6000 log-level debug", "OK");
    expect(1, "CONFIG SET log-level info", "OK");
}

static void test_settings_counters_start_again(void **state)
{
    (void)state;
    expect(2, "PING", "PONG");
    assert_true(cluster_info_u64(&cluster, 2, "total_commands_processed") > 0);
    expect(2, "CONFIG RESETSTAT", "OK");
    /* Our own question is counted, nothing before it. */
    assert_int_equal(cluster_info_u64(&cluster, 2, "total_commands_processed"),
                     1);
    assert_int_equal(cluster_info_u64(&cluster, 2, "connected_clients"), 1);
}

static void test_settings_last_save_follows_the_snapshots(void **state)
{
    redisReply *reply = cluster_command(&cluster, 0, "LASTSAVE");
    long long now;
    (void)state;

    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    assert_int_equal(reply->integer, 0);
    freeReplyObject(reply);
    expect(0, "CONFIG SET snapshot-entries 100", "OK");
    for (unsigned i = 0; i < 300; i++) {
        freeReplyObject(cluster_command(&cluster, 0, "SET k%u v", i));
    }
    cluster_wait_info(&cluster, 0, "snapshot_index", 1);
    reply = cluster_command(&cluster, 0, "TIME");
    assert_int_equal(reply->elements, 2);
    now = strtoll(reply->element[0]->str, NULL, 10);
    freeReplyObject(reply);
    reply = cluster_command(&cluster, 0, "LASTSAVE");
    assert_true(reply->integer > 1500000000 && reply->integer <= now);
    freeReplyObject(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_limit_of_clients_holds_at_once),
        cmocka_unit_test(test_settings_bound_at_the_start_are_refused),
        cmocka_unit_test(test_settings_counters_start_again),
        cmocka_unit_test(test_settings_last_save_follows_the_snapshots),
    };
    return cmocka_run_group_tests_name("settings", tests, group_setup,
                                       group_teardown);
}
