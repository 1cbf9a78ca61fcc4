/* INFO: the fields others rely on, sections, and what is left out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/info.h"

/* The one function of the replica that INFO needs. */
const char *replica_role_name(enum replica_role role)
{
    static const char *const names[] = {"follower", "candidate", "leader",
                                        "learner"};
    return names[role];
}

static struct service_stats service;
static struct replica_status status;
static struct raftlog_stats log_stats;
static struct info_process process;
static struct info_facts facts;
static char text[16384];

static int setup(void **state)
{
    static const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE] = {0xab, 1, 0xff};
    (void)state;
    memset(&service, 0, sizeof service);
    memset(&status, 0, sizeof status);
    memset(&log_stats, 0, sizeof log_stats);
    memset(&process, 0, sizeof process);
    memset(&facts, 0, sizeof facts);
    service.n_sessions = 3;
    service.n_commands = 77;
    service.n_unknown = 2;
    status.id = 2;
    status.role = REPLICA_LEADER;
    status.leader_id = 2;
    status.term = 9;
    status.last_index = 105;
    status.durable_index = 104;
    status.commit_index = 103;
    status.applied_index = 102;
    status.snapshot_index = 50;
    status.n_servers = 2;
    status.servers[0].id = 2;
    strcpy(status.servers[0].address, "127.0.0.1:7002");
    status.servers[0].role = RAFT_VOTER;
    status.servers[1].id = 3;
    strcpy(status.servers[1].address, "[::1]:7003");
    status.servers[1].role = RAFT_STANDBY;
    status.match[1] = 99;
    log_stats.bytes_on_disk = 67108864;
    log_stats.n_segments = 1;
    log_stats.n_frames = 4;
    log_stats.write_us_total = 400;
    log_stats.sync_method = "aio";
    process.version = "0.1.0";
    process.cluster_id = cluster_id;
    process.port = 6379;
    process.uptime_ms = 61500;
    process.rss_bytes = 12345678;
    status.snapshot_ms = 1700000000123;
    facts.process = &process;
    facts.service = &service;
    facts.status = &status;
    facts.log = &log_stats;
    facts.n_keys = 42;
    facts.state_hash.high = 1;
    facts.state_hash.low = 0xfedcba9876543210;
    return 0;
}

/* The text inside the bulk reply, whose length must be right. */
static void info(const char *section)
{
    struct bytes argv[2] = {{(const uint8_t *)"INFO", 4}, {NULL, 0}};
    struct buffer reply;
    const char *at;
    unsigned long size;
    char *end;
    if (section != NULL) {
        argv[1].data = (const uint8_t *)section;
        argv[1].size = strlen(section);
    }
    buffer_init(&reply);
    info_reply(&facts, section == NULL ? 1 : 2, argv, &reply);
    at = (const char *)buffer_data(&reply);
    assert_true(buffer_size(&reply) < sizeof text);
    assert_int_equal(at[0], '$');
    size = strtoul(at + 1, &end, 10);
    assert_memory_equal(end, "\r\n", 2);
    assert_int_equal((size_t)(end + 2 - at) + size + 2, buffer_size(&reply));
    memcpy(text, end + 2, size);
    text[size] = '\0';
    buffer_close(&reply);
}

static bool has_line(const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\r\n%s\r\n", line);
    return strstr(text, wanted) != NULL;
}

static bool has_field(const char *name)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\r\n%s:", name);
    return strstr(text, wanted) != NULL;
}

static void test_info_all_has_every_promised_field(void **state)
{
    static const char *const lines[] = {
        "node_id:2",
        "cluster_id:ab01ff00000000000000000000000000",
        "raft_role:leader",
        "raft_leader_id:2",
        "raft_term:9",
        "raft_last_index:105",
        "raft_commit_index:103",
        "raft_applied_index:102",
        "state_hash:0000000000000001fedcba9876543210",
        "log_size_bytes:67108864",
        "log_segments:1",
        "snapshot_index:50",
        "keys:42",
        "used_memory_rss:12345678",
        "uptime_in_seconds:61",
        "version:0.1.0",
        "tcp_port:6379",
        "log_write_us_mean:100",
        "log_sync_method:aio",
        "connected_clients:3",
        "unknown_replies:2",
        "raft_server0:id=2,address=127.0.0.1:7002,role=voter,match=0",
        "role:master",
        "connected_slaves:1",
        "rdb_last_save_time:1700000000",
        "cluster_enabled:1",
        "raft_server1:id=3,address=[::1]:7003,role=standby,match=99"};
    (void)state;
    info(NULL);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (!has_line(lines[i])) {
            fail_msg("no line %s in:\n%s", lines[i], text);
        }
    }
}

static void test_info_lines_have_the_form_of_redis(void **state)
{
    (void)state;
    info("everything");
    assert_memory_equal(text, "# Server\r\n", 10);
    for (const char *at = text; *at != '\0';) {
        const char *end = strstr(at, "\r\n");
        assert_non_null(end);
        assert_null(memchr(at, '\n', (size_t)(end - at)));
        if (end > at && at[0] != '#') {
            assert_non_null(memchr(at, ':', (size_t)(end - at)));
        }
        at = end + 2;
    }
}

static void test_info_section_gives_that_alone(void **state)
{
    (void)state;
    info("keySPACE");
    assert_memory_equal(text, "# Keyspace\r\n", 12);
    assert_true(has_line("keys:42"));
    assert_false(has_field("node_id"));
    info("replication");
    assert_true(has_field("raft_role"));
    assert_false(has_field("keys"));
    info("raft");
    assert_true(has_field("raft_role"));
    info("nosuch");
    assert_string_equal(text, "");
}

/* INFO with several sections; one given twice appears once. */
static void test_info_several_sections_come_in_their_order(void **state)
{
    struct bytes argv[4] = {{(const uint8_t *)"INFO", 4},
                            {(const uint8_t *)"keyspace", 8},
                            {(const uint8_t *)"CLUSTER", 7},
                            {(const uint8_t *)"keyspace", 8}};
    struct buffer reply;
    (void)state;
    facts.n_keys = 0;
    facts.status = NULL;
    buffer_init(&reply);
    info_reply(&facts, 4, argv, &reply);
    buffer_append(&reply, "", 1);
    assert_string_equal((const char *)buffer_data(&reply),
                        "$44\r\n# Cluster\r\ncluster_enabled:1\r\n\r\n"
                        "# Keyspace\r\n\r\n");
    buffer_close(&reply);
}

static void test_info_calls_are_shown_when_asked_for(void **state)
{
    unsigned n;
    const struct command *table = command_table(&n);
    uint64_t *calls = calloc(n, sizeof *calls);
    struct bytes get = {(const uint8_t *)"get", 3};
    (void)state;
    assert_non_null(calls);
    calls[command_find(get) - table] = 5;
    facts.calls = calls;
    info(NULL);
    assert_null(strstr(text, "# Commandstats"));
    info("default");
    assert_null(strstr(text, "# Commandstats"));
    info("all");
    assert_true(has_line("cmdstat_get:calls=5"));
    assert_false(has_field("cmdstat_set"));
    info("commandstats");
    assert_string_equal(text, "# Commandstats\r\ncmdstat_get:calls=5\r\n");
    facts.calls = NULL;
    free(calls);
}

static void test_info_roles_have_their_names(void **state)
{
    static const char *const lines[] = {
        "raft_role:follower", "raft_role:candidate", "raft_role:leader",
        "raft_role:learner"};
    (void)state;
    for (int role = REPLICA_FOLLOWER; role <= REPLICA_LEARNER; role++) {
        status.role = (enum replica_role)role;
        info("replication");
        assert_true(has_line(lines[role]));
        assert_int_equal(strstr(text, "match=") != NULL,
                         role == REPLICA_LEADER);
    }
}

static void test_info_unknown_facts_are_left_out(void **state)
{
    (void)state;
    facts.status = NULL;
    facts.log = NULL;
    info(NULL);
    assert_false(has_field("raft_term"));
    assert_false(has_field("log_size_bytes"));
    assert_false(has_field("keys"));
    assert_false(has_field("data_dir"));
    assert_true(has_field("used_memory_rss"));
    facts.process = NULL;
    info(NULL);
    assert_false(has_field("used_memory_rss"));
    assert_true(has_field("connected_clients"));
}

static void record(struct histogram *h, uint64_t value, unsigned n)
{
    memset(h, 0, sizeof *h);
    histogram_record_n(h, value, n);
}

static void test_info_percentiles_of_waits_and_compactions(void **state)
{
    static struct raftlog_latency latency;
    static struct replica_compactions compactions;
    static struct histogram loop;
    (void)state;
    record(&loop, 30, 1000);
    histogram_record(&loop, 5000);
    record(&latency.wait_us, 17, 4);
    record(&compactions.us, 20, 3);
    record(&compactions.written_bytes, 1000, 3);
    record(&compactions.saved_bytes, 31, 3);
    process.loop_us = &loop;
    facts.latency = &latency;
    facts.compactions = &compactions;
    info("latencystats");
    assert_true(has_line("latency_percentiles_usec_loop:p50=30,p99=30,"
                         "p99.9=30,max=5000,mean=35.0,n=1001"));
    assert_true(has_line("latency_percentiles_usec_log_wait:p50=17,p99=17,"
                         "p99.9=17,max=17,mean=17.0,n=4"));
    assert_true(has_line("latency_percentiles_usec_compaction:p50=20,p99=20,"
                         "p99.9=20,max=20,mean=20.0,n=3"));
    assert_true(has_line("compaction_bytes_written:p50=1000,p99=1000,"
                         "p99.9=1000,max=1000,mean=1000.0,n=3"));
    assert_true(has_line("compaction_bytes_saved:p50=31,p99=31,p99.9=31,"
                         "max=31,mean=31.0,n=3"));
    assert_false(has_field("latency_percentiles_usec_log_sync"));
    info("default");
    assert_false(has_field("latency_percentiles_usec_loop"));
}

#define TEST(name) cmocka_unit_test_setup(test_info_##name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_has_every_promised_field),
        TEST(lines_have_the_form_of_redis),
        TEST(section_gives_that_alone),
        TEST(roles_have_their_names),
        TEST(unknown_facts_are_left_out),
        TEST(several_sections_come_in_their_order),
        TEST(calls_are_shown_when_asked_for),
        TEST(percentiles_of_waits_and_compactions),
    };
    return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
