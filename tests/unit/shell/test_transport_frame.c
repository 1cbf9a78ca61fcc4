/* Framing: parts and whole, lies about lengths, every flipped bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "node/transport_frame.h"
#include "raftlog/block.h"
#include "tests/lib/golden.h"

/* head + body behind the header; returns the size. out must have room. */
static size_t make(uint8_t *out, const char *head, uint32_t head_size,
                   const uint8_t *body, uint32_t body_size)
{
    frame_header(out, head, head_size, body, body_size);
    memcpy(out + FRAME_HEADER_SIZE, head, head_size);
    if (body_size > 0) {
        memcpy(out + FRAME_HEADER_SIZE + head_size, body, body_size);
    }
    return FRAME_HEADER_SIZE + head_size + (size_t)body_size;
}

static void test_transport_frame_golden_stream_is_version_1(void **state)
{
    uint8_t stream[256];
    size_t size = make(stream, "head", 4, (const uint8_t *)"body!", 5);

    (void)state;
    size += make(stream + size, "x", 1, NULL, 0);
    golden_check(__FILE__, "frame-v1-stream", stream, size);
}

static void test_transport_frame_any_split_gives_the_same(void **state)
{
    uint8_t stream[256];
    size_t size = make(stream, "head", 4, (const uint8_t *)"body!", 5);
    struct frame_reader r;

    (void)state;
    size += make(stream + size, "x", 1, NULL, 0);
    for (size_t split = 0; split <= size; split++) {
        size_t at = 0, n_frames = 0;

        frame_reader_init(&r);
        while (at < size) {
            size_t end = at < split ? split : size;
            uint32_t block_size;
            void *block;
            size_t used;
            int rc = frame_reader_feed(&r, stream + at, end - at, &used, &block,
                                       &block_size, NULL);

            at += used;
            assert_true(rc == FRAME_MORE || rc == FRAME_READY);
            if (rc == FRAME_READY) {
                assert_int_equal(block_size, n_frames == 0 ? 9 : 1);
                assert_memory_equal(block, n_frames == 0 ? "headbody!" : "x",
                                    block_size);
                block_unref(block);
                n_frames++;
            }
        }
        assert_int_equal(n_frames, 2);
        frame_reader_close(&r);
    }
}

static void test_transport_frame_every_flipped_bit_is_found(void **state)
{
    uint8_t frame[64], bad[64];
    size_t size = make(frame, "head", 4, (const uint8_t *)"body", 4);

    (void)state;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        struct frame_reader r;
        struct err_info info;
        uint32_t block_size;
        void *block;
        size_t used;
        int rc;

        memcpy(bad, frame, size);
        bad[bit / 8] = (uint8_t)(bad[bit / 8] ^ (1U << (bit % 8)));
        frame_reader_init(&r);
        rc =
            frame_reader_feed(&r, bad, size, &used, &block, &block_size, &info);
        /* A larger size asks for bytes that never come. */
        assert_true(rc == ERR_CORRUPT || rc == ERR_PROTOCOL ||
                    (rc == FRAME_MORE && bit < 32));
        frame_reader_close(&r);
    }
}

static void expect_refused(uint32_t size, uint32_t head_size)
{
    uint8_t header[FRAME_HEADER_SIZE] = {0};
    struct frame_reader r;
    struct err_info info;
    size_t before = block_bytes_in_use();
    uint32_t block_size;
    void *block;
    size_t used;

    for (int i = 0; i < 4; i++) {
        header[i] = (uint8_t)(size >> (8 * i));
        header[4 + i] = (uint8_t)(head_size >> (8 * i));
    }
    frame_reader_init(&r);
    assert_int_equal(frame_reader_feed(&r, header, sizeof header, &used, &block,
                                       &block_size, &info),
                     ERR_PROTOCOL);
    assert_int_equal(block_bytes_in_use(), before);
    frame_reader_close(&r);
}

static void test_transport_frame_bad_length_takes_no_memory(void **state)
{
    (void)state;
    expect_refused(0, 0);
    expect_refused(WIRE_FRAME_MAX + 1, 1);
    expect_refused(UINT32_MAX, 1);
    expect_refused(10, 11);
}

static void test_transport_frame_large_length_alone_takes_little(void **state)
{
    uint8_t header[FRAME_HEADER_SIZE] = {0};
    struct frame_reader r;
    size_t before = block_bytes_in_use();
    uint32_t block_size;
    void *block;
    size_t used;

    (void)state;
    for (int i = 0; i < 4; i++) {
        header[i] = (uint8_t)((uint32_t)WIRE_FRAME_MAX >> (8 * i));
    }
    frame_reader_init(&r);
    assert_int_equal(frame_reader_feed(&r, header, sizeof header, &used, &block,
                                       &block_size, NULL),
                     FRAME_MORE);
    assert_true(block_bytes_in_use() - before <= FRAME_STEP);
    frame_reader_close(&r);
    assert_int_equal(block_bytes_in_use(), before);
}

/* Through the room of the block, and through feed, in turn. */
static void test_transport_frame_large_is_read_in_place(void **state)
{
    uint32_t body_size = 5 * FRAME_STEP + 12345;
    uint8_t *body = malloc(body_size);
    uint8_t *stream = malloc(body_size + 64);
    struct frame_reader r;
    size_t size, at = 0, n_direct = 0;
    uint32_t block_size = 0;
    void *block = NULL;
    int rc = FRAME_MORE;

    (void)state;
    for (uint32_t i = 0; i < body_size; i++) {
        body[i] = (uint8_t)(i * 31 + i / 4096);
    }
    size = make(stream, "head", 4, body, body_size);
    frame_reader_init(&r);
    while (rc == FRAME_MORE) {
        size_t room = 0, used = 0;
        uint8_t *to = frame_reader_room(&r, &room);

        if (to == NULL) {
            size_t n = size - at < 1000 ? size - at : 1000;
            rc = frame_reader_feed(&r, stream + at, n, &used, &block,
                                   &block_size, NULL);
        } else {
            used = room < 70000 ? room : 70000;
            memcpy(to, stream + at, used);
            n_direct += used;
            rc = frame_reader_feed_room(&r, used, &block, &block_size, NULL);
        }
        at += used;
    }
    assert_int_equal(rc, FRAME_READY);
    assert_int_equal(at, size);
    assert_int_equal(block_size, body_size + 4);
    assert_memory_equal((uint8_t *)block + 4, body, body_size);
    assert_true(n_direct > body_size / 2);
    block_unref(block);
    frame_reader_close(&r);
    free(body);
    free(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transport_frame_golden_stream_is_version_1),
        cmocka_unit_test(test_transport_frame_any_split_gives_the_same),
        cmocka_unit_test(test_transport_frame_every_flipped_bit_is_found),
        cmocka_unit_test(test_transport_frame_bad_length_takes_no_memory),
        cmocka_unit_test(test_transport_frame_large_length_alone_takes_little),
        cmocka_unit_test(test_transport_frame_large_is_read_in_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
