/* Bytes of segments, frames, records and hard state slots; the golden files
 * of each format version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/hardstate.h"
#include "raftlog/identity.h"
#include "raftlog/record.h"
#include "tests/lib/golden.h"

enum { BLOCK = 4096, N_BLOCKS = 4 };

static const uint8_t cluster[16] = {1, 2,  3,  4,  5,  6,  7,  8,
                                    9, 10, 11, 12, 13, 14, 15, 16};

static struct segment_header example_segment(void)
{
    struct segment_header h = {.node_id = 3,
                               .segment_id = 12,
                               .previous_id = 9,
                               .first_index = 1001,
                               .previous_term = 6,
                               .first_sequence = 500,
                               .previous_checksum = 0x1122334455667788,
                               .file_bytes = 65536,
                               .begun_ms = 1700000000123,
                               .block_bytes = BLOCK};
    memcpy(h.cluster_id, cluster, sizeof cluster);
    return h;
}

static struct frame_header example_frame(void)
{
    struct frame_header h = {.flags = FRAME_TRUNCATE,
                             .segment_id = 12,
                             .sequence = 500,
                             .durable_sequence = 499,
                             .durable_index = 1000,
                             .oldest_segment_id = 12,
                             .hard_sequence = 4,
                             .previous_checksum = 0x1122334455667788,
                             .first_index = 1001,
                             .previous_term = 6,
                             .n_entries = 3};
    return h;
}

static struct hardstate example_hardstate(void)
{
    struct hardstate h = {.node_id = 3,
                          .sequence = 9,
                          .term = 11,
                          .voted_for = 2,
                          .log_sequence = 500};
    memcpy(h.cluster_id, cluster, sizeof cluster);
    return h;
}

static void check_example_hardstate(const struct hardstate *h)
{
    assert_int_equal(h->sequence, 9);
    assert_int_equal(h->term, 11);
    assert_int_equal(h->voted_for, 2);
    assert_int_equal(h->log_sequence, 500);
}

/* The example segment: header, a frame of three records, an idle frame. */
static void build(uint8_t out[N_BLOCKS * BLOCK])
{
    static const char *const texts[] = {"first", "", "the third entry"};
    struct segment_header s = example_segment();
    struct frame_header f = example_frame();
    struct byte_writer w = byte_writer(out + BLOCK + FRAME_HEADER_SIZE, 200);
    memset(out, 0xee, (size_t)N_BLOCKS * BLOCK);
    segment_header_encode(&s, out, BLOCK);
    for (size_t i = 0; i < 3; i++) {
        struct raftlog_entry e = {.term = 7,
                                  .kind = (uint8_t)(i + 1),
                                  .size = (uint32_t)strlen(texts[i]),
                                  .data = texts[i]};
        record_encode(&w, &e);
    }
    assert_false(w.failed);
    f.body_bytes = (uint32_t)(w.at - (out + BLOCK + FRAME_HEADER_SIZE));
    f.frame_bytes = (uint32_t)frame_size(f.body_bytes, BLOCK);
    frame_seal(&f, cluster, out + BLOCK);
    f.flags = 0;
    f.sequence++;
    f.durable_sequence++;
    f.durable_index = 1003;
    f.previous_checksum = f.checksum;
    f.first_index = 1004;
    f.previous_term = 7;
    f.n_entries = 0;
    f.body_bytes = 0;
    f.frame_bytes = BLOCK;
    frame_seal(&f, cluster, out + 2 * BLOCK);
    memset(out + 3 * BLOCK, 0, BLOCK);
}

/* Of the first `size` bytes of a sound block: one whose version is another is
 * of another version, any other is damaged. */
static void every_flip_and_prefix_is_refused(uint8_t block[BLOCK], size_t size,
                                             int (*decode)(const uint8_t *data,
                                                           size_t size))
{
    for (size_t i = 0; i < size; i++) {
        int rv;
        block[i] ^= 0x40;
        rv = decode(block, BLOCK);
        assert_true(rv == ERR_CORRUPT || (rv == ERR_VERSION && i < 12));
        block[i] ^= 0x40;
    }
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(decode(block, i), ERR_CORRUPT);
    }
}

static int decode_segment_header(const uint8_t *data, size_t size)
{
    struct segment_header h;
    return segment_header_decode(data, size, &h);
}

static int decode_hardstate(const uint8_t *data, size_t size)
{
    struct hardstate h;
    return hardstate_decode(data, size, &h);
}

static void test_record_segment_header_round_trip(void **state)
{
    struct segment_header h = example_segment();
    struct segment_header back;
    uint8_t block[BLOCK];
    (void)state;
    segment_header_encode(&h, block, BLOCK);
    assert_int_equal(segment_header_decode(block, BLOCK, &back), 0);
    assert_memory_equal(back.cluster_id, cluster, sizeof cluster);
    assert_int_equal(back.node_id, h.node_id);
    assert_int_equal(back.segment_id, h.segment_id);
    assert_int_equal(back.previous_id, h.previous_id);
    assert_int_equal(back.first_index, h.first_index);
    assert_int_equal(back.previous_term, h.previous_term);
    assert_int_equal(back.first_sequence, h.first_sequence);
    assert_int_equal(back.previous_checksum, h.previous_checksum);
    assert_int_equal(back.file_bytes, h.file_bytes);
    assert_int_equal(back.begun_ms, h.begun_ms);
    assert_int_equal(back.block_bytes, h.block_bytes);
}

static void test_record_segment_header_any_flip_is_found(void **state)
{
    struct segment_header h = example_segment();
    uint8_t block[BLOCK];
    (void)state;
    segment_header_encode(&h, block, BLOCK);
    every_flip_and_prefix_is_refused(block, SEGMENT_HEADER_SIZE,
                                     decode_segment_header);
}

static void test_record_frame_any_flip_is_found(void **state)
{
    uint8_t segment[N_BLOCKS * BLOCK];
    uint8_t *frame = segment + BLOCK;
    struct frame_header h;
    (void)state;
    build(segment);
    assert_int_equal(frame_header_decode(frame, BLOCK, cluster, &h), 0);
    assert_true(frame_body_valid(&h, frame));
    for (size_t i = 0; i < BLOCK; i++) {
        struct frame_header back;
        int rv;
        frame[i] ^= 1;
        rv = frame_header_decode(frame, BLOCK, cluster, &back);
        assert_true(rv == ERR_CORRUPT ||
                    (rv == 0 && !frame_body_valid(&back, frame)));
        assert_true(i >= FRAME_HEADER_SIZE || rv == ERR_CORRUPT);
        frame[i] ^= 1;
    }
    for (size_t size = 0; size < FRAME_HEADER_SIZE; size++) {
        assert_int_equal(frame_header_decode(frame, size, cluster, &h),
                         ERR_CORRUPT);
    }
}

static void test_record_frame_of_another_life_is_refused(void **state)
{
    uint8_t segment[N_BLOCKS * BLOCK];
    uint8_t other[16];
    struct frame_header h;
    (void)state;
    build(segment);
    memcpy(other, cluster, sizeof other);
    other[15] ^= 1;
    assert_int_equal(frame_header_decode(segment + BLOCK, BLOCK, other, &h),
                     ERR_CORRUPT);
    assert_true(frame_salt(cluster, 12, 500) != frame_salt(cluster, 13, 500));
    assert_true(frame_salt(cluster, 12, 500) != frame_salt(cluster, 12, 501));
}

static void test_record_decode_gives_what_was_encoded(void **state)
{
    uint8_t body[64];
    struct raftlog_entry e = {.term = UINT64_MAX, .kind = 255};
    struct raftlog_entry back;
    struct byte_writer w = byte_writer(body, sizeof body);
    struct byte_reader r;
    (void)state;
    e.data = "abc";
    e.size = 3;
    record_encode(&w, &e);
    assert_int_equal((size_t)(w.at - body), record_size(&e));
    r = byte_reader(body, record_size(&e));
    assert_int_equal(record_decode(&r, &back), 0);
    assert_true(back.term == UINT64_MAX);
    assert_int_equal(back.kind, 255);
    assert_int_equal(back.size, 3);
    assert_memory_equal(back.data, "abc", 3);
    for (size_t size = 0; size < record_size(&e); size++) {
        r = byte_reader(body, size);
        assert_int_equal(record_decode(&r, &back), ERR_CORRUPT);
    }
}

static void test_record_frame_size_is_whole_blocks(void **state)
{
    (void)state;
    assert_int_equal(frame_size(0, BLOCK), BLOCK);
    assert_int_equal(frame_size(BLOCK - FRAME_HEADER_SIZE, BLOCK), BLOCK);
    assert_int_equal(frame_size(BLOCK - FRAME_HEADER_SIZE + 1, BLOCK),
                     2 * BLOCK);
}

static void test_hardstate_any_flip_is_found(void **state)
{
    struct hardstate h = example_hardstate();
    struct hardstate back;
    uint8_t block[BLOCK];
    (void)state;
    hardstate_encode(&h, block, BLOCK);
    assert_int_equal(hardstate_decode(block, BLOCK, &back), 0);
    check_example_hardstate(&back);
    every_flip_and_prefix_is_refused(block, HARDSTATE_SIZE, decode_hardstate);
}

/* ---- golden files ---------------------------------------------------------*/

static void test_record_golden_segment_is_version_2(void **state)
{
    uint8_t segment[N_BLOCKS * BLOCK];
    (void)state;
    build(segment);
    golden_check(__FILE__, "raftlog-v2-segment", segment, sizeof segment);
}

/* Only the header is another one: it did not say when it was begun. */
static void test_record_golden_segment_of_version_1_is_read(void **state)
{
    uint8_t segment[N_BLOCKS * BLOCK];
    struct segment_header h = example_segment();
    struct segment_header back;
    size_t size;
    const uint8_t *data = golden_read(__FILE__, "raftlog-v1-segment", &size);
    (void)state;
    build(segment);
    assert_int_equal(size, sizeof segment);
    assert_int_equal(segment_header_decode(data, size, &back), 0);
    assert_int_equal(back.begun_ms, 0);
    assert_int_equal(back.segment_id, h.segment_id);
    assert_int_equal(back.file_bytes, h.file_bytes);
    assert_int_equal(back.previous_checksum, h.previous_checksum);
    assert_memory_equal(data + BLOCK, segment + BLOCK, sizeof segment - BLOCK);
}

static void test_hardstate_golden_slot_is_version_2(void **state)
{
    struct hardstate h = example_hardstate();
    struct hardstate back;
    uint8_t block[BLOCK];
    (void)state;
    snprintf(h.weak_boot, sizeof h.weak_boot,
             "0f31a2c4-0000-4000-8000-0123456789ab");
    h.forgot = true;
    h.forgot_term = 10;
    hardstate_encode(&h, block, BLOCK);
    golden_check(__FILE__, "raftlog-v2-hardstate", block, sizeof block);
    assert_int_equal(hardstate_decode(block, BLOCK, &back), 0);
    assert_string_equal(back.weak_boot, h.weak_boot);
    assert_true(back.forgot);
    assert_int_equal(back.forgot_term, 10);
}

static void test_hardstate_golden_slot_of_version_1_is_read(void **state)
{
    struct hardstate back;
    size_t size;
    const uint8_t *data = golden_read(__FILE__, "raftlog-v1-hardstate", &size);
    (void)state;
    assert_int_equal(hardstate_decode(data, size, &back), 0);
    check_example_hardstate(&back);
    assert_string_equal(back.weak_boot, "");
    assert_false(back.forgot);
}

static void test_identity_golden_file_is_version_1(void **state)
{
    struct identity *id = calloc(1, sizeof *id);
    uint8_t *data = malloc(IDENTITY_SIZE_MAX);
    size_t size;
    (void)state;
    assert_non_null(id);
    assert_non_null(data);
    memcpy(id->cluster_id, cluster, sizeof cluster);
    memset(id->instance_id, 0xab, sizeof id->instance_id);
    id->node_id = 3;
    snprintf(id->membership, sizeof id->membership,
             "1=a:7001,2=b:7001,3=c:7001");
    identity_encode(id, data, &size);
    golden_check(__FILE__, "raftlog-v1-identity", data, size);
    free(data);
    free(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_segment_header_round_trip),
        cmocka_unit_test(test_record_segment_header_any_flip_is_found),
        cmocka_unit_test(test_record_frame_any_flip_is_found),
        cmocka_unit_test(test_record_frame_of_another_life_is_refused),
        cmocka_unit_test(test_record_decode_gives_what_was_encoded),
        cmocka_unit_test(test_record_frame_size_is_whole_blocks),
        cmocka_unit_test(test_hardstate_any_flip_is_found),
        cmocka_unit_test(test_record_golden_segment_is_version_2),
        cmocka_unit_test(test_record_golden_segment_of_version_1_is_read),
        cmocka_unit_test(test_hardstate_golden_slot_is_version_2),
        cmocka_unit_test(test_hardstate_golden_slot_of_version_1_is_read),
        cmocka_unit_test(test_identity_golden_file_is_version_1),
    };
    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
