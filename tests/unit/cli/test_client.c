/* Finding the leader; what is sent again and what is reported as unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/client.h"
#include "cli/clock.h"
#include "tests/unit/cli/fake_cluster.h"

static struct client client;
static struct err_info info;

static int setup(void **state)
{
    (void)state;
    struct endpoint_list list = fake_endpoints();
    fake_init();
    client_init(&client, &list, false);
    info.message[0] = '\0';
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    client_close(&client);
    fake_close();
    return 0;
}

static int call(enum client_kind kind, const char *name, const char *key,
                const char *value, int64_t timeout_ms, redisReply **reply)
{
    const char *args[] = {name, key, value};
    struct command command = {value == NULL ? 2 : 3, args, NULL};
    *reply = NULL;
    return client_call(&client, kind, &command, clock_now_ms() + timeout_ms,
                       reply, &info);
}

static int incr(int64_t timeout_ms)
{
    redisReply *reply;
    int code = call(CLIENT_WRITE, "INCRBY", "k0", "1", timeout_ms, &reply);
    if (reply != NULL) {
        freeReplyObject(reply);
    }
    return code;
}

static void test_client_connect_takes_the_leader(void **state)
{
    (void)state;
    fake.leader = 2;
    assert_int_equal(client_connect(&client, clock_now_ms() + 5000, &info), 0);
    assert_int_equal(client.conn.peer.port, FAKE_PORT + 2);
    assert_int_equal(client.info.role, INFO_ROLE_LEADER);
    /* One follower was asked; it said where the leader is. */
    assert_int_equal(fake_count(&fake.n_infos), 2);
}

static void test_client_connect_direct_takes_the_first(void **state)
{
    (void)state;
    client.direct = true;
    assert_int_equal(client_connect(&client, clock_now_ms() + 5000, &info), 0);
    assert_int_equal(client.conn.peer.port, FAKE_PORT);
    assert_int_equal(client.info.role, INFO_ROLE_FOLLOWER);
}

static void test_client_connect_waits_for_an_election(void **state)
{
    (void)state;
    fake.leader = -1;
    fake.leaderless_asks = 6;
    assert_int_equal(client_connect(&client, clock_now_ms() + 5000, &info), 0);
    assert_int_equal(client.info.role, INFO_ROLE_LEADER);
}

static void test_client_connect_without_leader_says_so(void **state)
{
    (void)state;
    fake.leader = -1;
    fake.leaderless_asks = 1000000;
    assert_int_equal(client_connect(&client, clock_now_ms() + 200, &info),
                     EXIT_CODE_UNREACHABLE);
    assert_non_null(strstr(info.message, "knows no leader"));
}

static void test_client_connect_all_down_names_a_node(void **state)
{
    (void)state;
    fake.down[0] = fake.down[1] = fake.down[2] = true;
    assert_int_equal(client_connect(&client, clock_now_ms() + 100, &info),
                     EXIT_CODE_UNREACHABLE);
    assert_non_null(strstr(info.message, "node:700"));
}

/* The follower's leader is at an address that does not answer and is none of
 * ours: the follower itself forwards. */
static void test_client_connect_leader_out_of_reach_uses_follower(void **state)
{
    (void)state;
    endpoint_list_parse(&client.endpoints, "node:7001", NULL);
    fake.leader = 1;
    fake.down[1] = true;
    assert_int_equal(client_connect(&client, clock_now_ms() + 5000, &info), 0);
    assert_int_equal(client.conn.peer.port, FAKE_PORT);
}

static void test_client_call_write_of_dead_leader_is_unknown(void **state)
{
    (void)state;
    static const enum fake_fault faults[] = {FAKE_DIE_BEFORE, FAKE_DIE_AFTER,
                                             FAKE_DIE_IN_REPLY};
    for (uint64_t i = 0; i < 3; i++) {
        int64_t before, after;
        /* Nodes that died ended without a word, so only the lock orders what
         * they did and what is looked at here. */
        pthread_mutex_lock(&fake.lock);
        before = fake.number;
        memset(fake.down, 0, sizeof(fake.down));
        fake_add_fault(fake.n_commands + 1, faults[i]);
        pthread_mutex_unlock(&fake.lock);
        assert_int_equal(incr(5000), EXIT_CODE_UNKNOWN);
        assert_non_null(strstr(info.message, "unknown"));
        /* It was sent once only. */
        pthread_mutex_lock(&fake.lock);
        after = fake.number;
        pthread_mutex_unlock(&fake.lock);
        assert_int_equal(after, before + (i == 0 ? 0 : 1));
    }
    pthread_mutex_lock(&fake.lock);
    memset(fake.down, 0, sizeof(fake.down));
    pthread_mutex_unlock(&fake.lock);
    assert_int_equal(incr(5000), 0);
}

static void test_client_call_write_without_reply_is_unknown(void **state)
{
    (void)state;
    fake_add_fault(1, FAKE_HANG);
    assert_int_equal(incr(300), EXIT_CODE_UNKNOWN);
    assert_int_equal(fake_count(&fake.n_commands), 1);
}

static void test_client_call_unknown_error_is_unknown(void **state)
{
    (void)state;
    fake_add_fault(1, FAKE_UNKNOWN_LOST);
    assert_int_equal(incr(5000), EXIT_CODE_UNKNOWN);
    assert_int_equal(fake_count(&fake.n_commands), 1);
}

static void test_client_call_clusterdown_is_tried_again(void **state)
{
    (void)state;
    fake_add_fault(1, FAKE_CLUSTERDOWN);
    fake_add_fault(2, FAKE_CLUSTERDOWN);
    assert_int_equal(incr(5000), 0);
    assert_int_equal(fake.number, 1);
    assert_int_equal(fake_count(&fake.n_commands), 3);
}

static void test_client_call_refusal_is_final(void **state)
{
    (void)state;
    fake_add_fault(1, FAKE_REFUSE);
    fake_add_fault(2, FAKE_NOSPACE);
    assert_int_equal(incr(5000), EXIT_CODE_REFUSED);
    assert_string_equal(info.message, "ERR value too large");
    assert_int_equal(incr(5000), EXIT_CODE_REFUSED);
    assert_non_null(strstr(info.message, "NOSPACE"));
    assert_int_equal(fake_count(&fake.n_commands), 2);
    assert_int_equal(fake.n_conns, 2); /* the connection was kept */
}

static void test_client_call_read_survives_everything(void **state)
{
    (void)state;
    static const enum fake_fault faults[] = {FAKE_DIE_BEFORE, FAKE_UNKNOWN_LOST,
                                             FAKE_CLUSTERDOWN, FAKE_GARBAGE,
                                             FAKE_DIE_IN_REPLY};
    redisReply *reply;
    strcpy(fake.values[7], "seven");
    for (uint64_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        fake_add_fault(i + 1, faults[i]);
    }
    assert_int_equal(call(CLIENT_READ, "GET", "k7", NULL, 10000, &reply), 0);
    assert_string_equal(reply->str, "seven");
    freeReplyObject(reply);
    assert_int_equal(fake_count(&fake.n_commands), 6);
}

static void test_client_classify_takes_the_first_word(void **state)
{
    (void)state;
    redisReply reply = {.type = REDIS_REPLY_ERROR};
    static const struct {
        const char *text;
        enum reply_class class;
    } rows[] = {{"CLUSTERDOWN x", REPLY_NOT_NOW},
                {"LOADING", REPLY_NOT_NOW},
                {"UNKNOWN y", REPLY_UNKNOWN},
                {"NOSPACE", REPLY_NO_SPACE},
                {"ERR UNKNOWN", REPLY_REFUSED},
                {"UNKNOWNX", REPLY_REFUSED},
                {"", REPLY_REFUSED}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        reply.str = (char *)rows[i].text;
        assert_int_equal(client_classify(&reply), rows[i].class);
    }
    reply.type = REDIS_REPLY_STATUS;
    reply.str = (char *)"UNKNOWN";
    assert_int_equal(client_classify(&reply), REPLY_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_client_connect_takes_the_leader,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_connect_direct_takes_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_connect_waits_for_an_election, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_connect_without_leader_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_connect_all_down_names_a_node, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_connect_leader_out_of_reach_uses_follower, setup,
            teardown),
        cmocka_unit_test_setup_teardown(
            test_client_call_write_of_dead_leader_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_call_write_without_reply_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_call_unknown_error_is_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_call_clusterdown_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_call_refusal_is_final,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_call_read_survives_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_client_classify_takes_the_first_word, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
