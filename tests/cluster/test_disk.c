/* A full disk: writes are refused with words, reads go on, no node dies, and
 * when there is room again writes are taken without anybody's help. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/small_disk.h"

enum {
    DISK_MB = 56,
    RETAINED_MB = 32,
    ROOM_MB = 6, /* left when the writing begins */
    VALUE_BYTES = 8000,
    WRITES_MAX = 8000,
    RECOVERY_MS = 30000
};

static char value[VALUE_BYTES + 1];

static void start_on_small_disk(struct cluster *c,
                                struct cluster_options *options,
                                struct small_disk *disk, unsigned mb)
{
    char why[400] = "";

    if (!small_disk_open(disk, mb, why, sizeof why)) {
        fail_msg("no small file system can be had here: %s", why);
    }
    options->parent = disk->dir.path;
    cluster_open(c, options);
    cluster_start(c);
    memset(value, 'v', VALUE_BYTES);
}

/* Write keys until one is refused. Returns how many were acknowledged; the
 * words of the refusal go to error. */
static unsigned write_until_refused(struct cluster *c, unsigned node,
                                    char *error, size_t error_size)
{
    redisContext *r = cluster_connect(c, node);
    unsigned n = 0;

    error[0] = '\0';
    for (; n < WRITES_MAX && error[0] == '\0'; n++) {
        redisReply *reply = redisCommand(r, "SET full:%d %s", n, value);
        if (reply == NULL) {
            cluster_fail(c, "no answer to write %u on a full disk: %s", n,
                         r->errstr);
        }
        if (reply->type == REDIS_REPLY_ERROR) {
            snprintf(error, error_size, "%s", reply->str);
        }
        freeReplyObject(reply);
    }
    redisFree(r);
    return n - 1;
}

static void assert_reads(struct cluster *c, unsigned n_acked)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        redisContext *r = cluster_connect(c, i);
        for (unsigned n = 0; n < n_acked; n += 1 + n_acked / 50) {
            redisReply *reply = redisCommand(r, "GET full:%d", n);
            if (reply == NULL || reply->type != REDIS_REPLY_STRING ||
                reply->len != VALUE_BYTES) {
                cluster_fail(c,
                             "acknowledged key full:%u is not read back on "
                             "node %u: %s",
                             n, i + 1,
                             reply != NULL && reply->str != NULL ? reply->str
                                                                 : "");
            }
            freeReplyObject(reply);
        }
        redisFree(r);
    }
}

static void wait_writes_taken(struct cluster *c)
{
    uint64_t end = cluster_now_us() + (uint64_t)RECOVERY_MS * 1000;
    bool is_taken = false;

    while (!is_taken) {
        redisReply *reply = cluster_command(c, 0, "SET after room");
        is_taken = reply->type == REDIS_REPLY_STATUS;
        if (!is_taken && cluster_now_us() > end) {
            cluster_fail(c,
                         "writes are still refused %d ms after there is "
                         "room: %s",
                         RECOVERY_MS, reply->str);
        }
        freeReplyObject(reply);
        cluster_sleep_ms(20);
    }
}

static void
test_full_disk_refuses_writes_serves_reads_and_recovers(void **state)
{
    /* The three share the disk here: without a reserve they fill it alike, and
     * none of them stops before the leader does. */
    struct cluster_options options = {.args = {"--segment-bytes", "1m",
                                               "--compact-reserve-percent", "0",
                                               NULL}};
    struct small_disk disk;
    struct cluster c;
    char error[200];
    unsigned n_acked;
    (void)state;

    start_on_small_disk(&c, &options, &disk, DISK_MB);
    small_disk_leave(&disk, (uint64_t)ROOM_MB << 20);

    n_acked = write_until_refused(&c, 0, error, sizeof error);
    printf("after %u writes: %s\n", n_acked, error);
    if (strncmp(error, "NOSPACE", 7) != 0) {
        cluster_fail(&c, "the refusal does not speak of space: %s", error);
    }
    assert_reads(&c, n_acked);
    for (unsigned i = 0; i < c.n_nodes; i++) {
        if (cluster_node_wait(&c, i, 0) >= 0) {
            cluster_fail(&c, "node %u ended on a full disk", i + 1);
        }
    }

    small_disk_relieve(&disk);
    wait_writes_taken(&c);
    cluster_wait_equal(&c, NULL);
    assert_reads(&c, n_acked);
    cluster_close(&c);
    small_disk_close(&disk);
}

/* Many times the disk's size is written to a few keys: compaction gives back
 * what is superseded before the disk is full, and no write is refused. */
static void test_full_disk_never_comes_of_overwrites(void **state)
{
    struct cluster_options options = {
        .n_nodes = 1,
        .args = {"--segment-bytes", "1m", "--compact-threshold", "100",
                 "--trailing-entries", "50", "--inflight-entries", "32", NULL}};
    struct small_disk disk;
    struct cluster c;
    redisContext *r;
    (void)state;

    start_on_small_disk(&c, &options, &disk, DISK_MB);
    r = cluster_connect(&c, 0);
    for (unsigned n = 0; n * VALUE_BYTES < 4u * DISK_MB << 20; n++) {
        redisReply *reply = redisCommand(r, "SET k%u %s", n % 20, value);
        if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
            cluster_fail(&c, "overwrite %u is refused: %s", n,
                         reply != NULL ? reply->str : r->errstr);
        }
        freeReplyObject(reply);
    }
    redisFree(r);
    assert_true(cluster_info_u64(&c, 0, "compactions") >= 3);
    cluster_close(&c);
    small_disk_close(&disk);
}

/* The log of an hour does not fit on the disk: neither a write nor a snapshot
 * is refused for it. */
static void test_full_disk_comes_before_retention(void **state)
{
    struct cluster_options options = {
        .n_nodes = 1,
        .args = {"--segment-bytes", "1m", "--compact-threshold", "100",
                 "--trailing-entries", "50", "--inflight-entries", "32",
                 "--log-retention-s", "3600", NULL}};
    struct small_disk disk;
    struct cluster c;
    redisReply *reply;
    redisContext *r;
    (void)state;

    start_on_small_disk(&c, &options, &disk, RETAINED_MB);
    r = cluster_connect(&c, 0);
    for (unsigned n = 0; n * VALUE_BYTES < (RETAINED_MB * 3 / 2) << 20;
         n += 4) {
        cluster_sleep_ms(1); /* not a disk's worth between two ticks */
        reply = redisCommand(r, "MSET a %s b %s c %s d %s", value, value, value,
                             value);
        if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
            cluster_fail(&c, "overwrite %u is refused: %s", n,
                         reply != NULL ? reply->str : r->errstr);
        }
        freeReplyObject(reply);
    }
    redisFree(r);
    assert_true(cluster_info_u64(&c, 0, "log_retention_yielded") >= 1);
    reply = cluster_command(&c, 0, "CONCORDKV COMPACT");
    assert_int_equal(reply->type, REDIS_REPLY_INTEGER);
    freeReplyObject(reply);
    cluster_expect(&c, cluster_command(&c, 0, "CONFIG SET log-retention-s 0"),
                   "OK");
    cluster_wait_info_at_most(&c, 0, "log_retained_bytes", 2 << 20);
    cluster_close(&c);
    small_disk_close(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_full_disk_refuses_writes_serves_reads_and_recovers),
        cmocka_unit_test(test_full_disk_never_comes_of_overwrites),
        cmocka_unit_test(test_full_disk_comes_before_retention),
    };
    return cmocka_run_group_tests_name("disk", tests, NULL, NULL);
}
