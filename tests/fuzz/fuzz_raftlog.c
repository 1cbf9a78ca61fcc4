/* Segments, hard state slots and identities from arbitrary bytes.
 *
 * The input is given to each decoder, and then a log is opened whose only
 * segment it is, on a simulated disk: once as it is, once with the checksums of
 * header and frames made good, so that what lies behind them is reached too.
 * Recovery must refuse with words or open; what it opens must be readable to
 * the last entry, and opening it again must give the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/checksum.h"
#include "raftlog/file.h"
#include "raftlog/hardstate.h"
#include "raftlog/identity.h"
#include "raftlog/raftlog.h"
#include "raftlog/record.h"
#include "raftlog/segment.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/job_list.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

enum { BLOCK = 4096, FILE_BYTES_MAX = 1 << 16 };

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

static const uint8_t cluster[16] = {1, 2,  3,  4,  5,  6,  7,  8,
                                    9, 10, 11, 12, 13, 14, 15, 16};

static struct job_list jobs;

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    (void)ctx;
    CHECK(job_list_add(&jobs, work, done, arg));
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    (void)ctx;
    (void)info;
}

static uint64_t on_now(void *ctx)
{
    (void)ctx;
    return 0;
}

static int on_entry(void *ctx, uint64_t index,
                    const struct raftlog_entry *entry)
{
    const uint8_t *data = entry->data;
    uint64_t *sum = ctx;
    *sum += index;
    for (uint32_t i = 0; i < entry->size; i++) {
        *sum += data[i];
    }
    return 0;
}

/* Segment header and frames get the checksums that their bytes have. */
static void make_good(uint8_t *data, size_t size)
{
    struct segment_header s;
    struct byte_writer w;
    if (size < SEGMENT_HEADER_SIZE) {
        return;
    }
    w = byte_writer(data + SEGMENT_HEADER_SIZE - 8, 8);
    byte_put_u64(&w, checksum(data, SEGMENT_HEADER_SIZE - 8, 0));
    if (segment_header_decode(data, size, &s) != 0) {
        return;
    }
    for (size_t at = BLOCK; at + BLOCK <= size; at += BLOCK) {
        struct byte_reader r = byte_reader(data + at, FRAME_HEADER_SIZE);
        uint64_t id, sequence, chain;
        uint32_t bytes;
        (void)byte_get(&r, 8);
        id = byte_get_u64(&r);
        sequence = byte_get_u64(&r);
        (void)byte_get(&r, 32);
        chain = byte_get_u64(&r);
        (void)byte_get(&r, 24);
        bytes = byte_get_u32(&r);
        if (bytes < FRAME_HEADER_SIZE || bytes > size - at) {
            continue;
        }
        w = byte_writer(data + at + FRAME_HEADER_SIZE - 16, 8);
        byte_put_u64(&w, checksum(data + at + FRAME_HEADER_SIZE,
                                  bytes - FRAME_HEADER_SIZE, chain));
        w = byte_writer(data + at + FRAME_HEADER_SIZE - 8, 8);
        byte_put_u64(&w, checksum(data + at, FRAME_HEADER_SIZE - 8,
                                  frame_salt(cluster, id, sequence)));
    }
}

static void put(const char *path, const void *data, size_t size)
{
    CHECK(file_replace(path, data, size) == 0);
}

/* What recovery makes of these bytes as the only segment of a log. */
static void recover(const uint8_t *data, size_t size)
{
    struct raftlog_options options = {.node_id = 3,
                                      .segment_bytes = FILE_BYTES_MAX};
    struct raftlog_io io = {.work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = on_now};
    struct sim_disk_hooks hooks = {0};
    struct sim_clock clock;
    struct sim_random random;
    struct sim_disk *disk = calloc(1, sizeof *disk);
    struct raftlog_report report, again;
    struct err_info info;
    struct raftlog *log = NULL;
    struct hardstate hard = {.node_id = 3, .sequence = 4, .term = 9};
    uint8_t block[BLOCK];
    uint8_t *file = calloc(1, FILE_BYTES_MAX);
    uint64_t sum = 0;
    CHECK(disk != NULL && file != NULL);
    memcpy(file, data, size < FILE_BYTES_MAX ? size : FILE_BYTES_MAX);
    memcpy(options.cluster_id, cluster, sizeof cluster);
    memcpy(hard.cluster_id, cluster, sizeof cluster);
    sim_clock_init(&clock);
    sim_random_init(&random, 1);
    sim_disk_init(disk, 1, &random, &clock, &hooks);
    sim_disk_select(disk);
    hardstate_encode(&hard, block, sizeof block);
    put("/n1/hardstate.0", block, sizeof block);
    put("/n1/hardstate.1", block, sizeof block);
    CHECK(file_make_dir("/n1/log") == 0);
    put("/n1/log/00000000000000001001-0000000012.seg", file, FILE_BYTES_MAX);
    if (raftlog_open("/n1", &options, &io, &log, &report, &info) == 0) {
        if (report.first_index <= report.last_index) {
            CHECK(raftlog_scan(log, report.first_index, report.last_index,
                               on_entry, &sum, &info) == 0);
        }
        raftlog_abandon(log);
        job_list_run_all(&jobs);
        CHECK(raftlog_open("/n1", &options, &io, &log, &again, &info) == 0);
        CHECK(again.last_index == report.last_index);
        CHECK(again.torn_bytes == 0);
        raftlog_abandon(log);
        job_list_run_all(&jobs);
    }
    sim_disk_close(disk);
    sim_clock_close(&clock);
    free(disk);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct identity identity;
    struct segment_header s;
    struct frame_header f;
    struct hardstate h;
    struct raftlog_entry e;
    struct byte_reader r = byte_reader(data, size);
    uint8_t *good;
    (void)identity_decode(data, size, &identity);
    (void)hardstate_decode(data, size, &h);
    (void)segment_header_decode(data, size, &s);
    if (frame_header_decode(data, size, cluster, &f) == 0 &&
        f.frame_bytes <= size) {
        (void)frame_body_valid(&f, data);
    }
    while (byte_left(&r) > 0 && record_decode(&r, &e) == 0) {
        CHECK(e.size == 0 || (const uint8_t *)e.data + e.size <= data + size);
    }
    if (size < BLOCK) {
        return 0;
    }
    good = malloc(size);
    CHECK(good != NULL);
    memcpy(good, data, size);
    make_good(good, size);
    recover(data, size);
    recover(good, size);
    free(good);
    return 0;
}
