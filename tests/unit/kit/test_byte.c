/* Cursors: little endian, varints, and never past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "raftlog/byte.h"

static void test_byte_fixed_width_is_little_endian(void **state)
{
    static const uint8_t expected[] = {1, 2, 1, 4, 3, 2, 1, 8,
                                       7, 6, 5, 4, 3, 2, 1};
    uint8_t buf[15];
    struct byte_writer w = byte_writer(buf, sizeof buf);
    struct byte_reader r;

    (void)state;
    byte_put_u8(&w, 1);
    byte_put_u16(&w, 0x0102);
    byte_put_u32(&w, 0x01020304);
    byte_put_u64(&w, UINT64_C(0x0102030405060708));
    assert_false(w.failed);
    assert_memory_equal(buf, expected, sizeof expected);

    r = byte_reader(buf, sizeof buf);
    assert_int_equal(byte_get_u8(&r), 1);
    assert_int_equal(byte_get_u16(&r), 0x0102);
    assert_int_equal(byte_get_u32(&r), 0x01020304);
    assert_true(byte_get_u64(&r) == UINT64_C(0x0102030405060708));
    assert_int_equal(byte_left(&r), 0);
    assert_false(r.failed);
}

static void test_byte_reader_past_end_fails_for_good(void **state)
{
    const uint8_t data[5] = {1, 2, 3, 4, 5};
    struct byte_reader r = byte_reader(data, sizeof data);

    (void)state;
    assert_int_equal(byte_get_u32(&r), 0x04030201);
    assert_int_equal(byte_get_u16(&r), 0);
    assert_true(r.failed);
    /* One byte is left, but a failed cursor gives nothing. */
    assert_int_equal(byte_get_u8(&r), 0);
    assert_null(byte_get(&r, 0));
    assert_int_equal(byte_left(&r), 0);
}

static void test_byte_writer_past_end_writes_nothing(void **state)
{
    uint8_t buf[4] = {9, 9, 9, 9};
    struct byte_writer w = byte_writer(buf, 3);

    (void)state;
    byte_put_u32(&w, 0);
    assert_true(w.failed);
    byte_put_u8(&w, 0);
    assert_int_equal(buf[0], 9);
    assert_int_equal(buf[3], 9);
}

static void test_byte_varint_round_trip_at_every_width(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)delta;
            uint8_t buf[BYTE_VARINT_MAX];
            struct byte_writer w = byte_writer(buf, sizeof buf);
            struct byte_reader r;

            byte_put_varint(&w, v);
            assert_false(w.failed);
            assert_int_equal(w.at - buf, byte_varint_size(v));
            r = byte_reader(buf, (size_t)(w.at - buf));
            assert_true(byte_get_varint(&r) == v);
            assert_false(r.failed);
            assert_int_equal(byte_left(&r), 0);
        }
    }
}

static void test_byte_varint_over_64_bits_fails(void **state)
{
    uint8_t buf[11];
    struct byte_reader r;

    (void)state;
    memset(buf, 0xff, sizeof buf);
    r = byte_reader(buf, sizeof buf);
    assert_int_equal(byte_get_varint(&r), 0);
    assert_true(r.failed);
    buf[9] = 2; /* Bit 64. */
    r = byte_reader(buf, sizeof buf);
    byte_get_varint(&r);
    assert_true(r.failed);
    buf[9] = 1; /* All ones: the largest. */
    r = byte_reader(buf, sizeof buf);
    assert_true(byte_get_varint(&r) == UINT64_MAX);
    assert_false(r.failed);
}

static void test_byte_varint_cut_short_fails(void **state)
{
    const uint8_t data[2] = {0x80, 0x80};
    struct byte_reader r = byte_reader(data, sizeof data);

    (void)state;
    assert_int_equal(byte_get_varint(&r), 0);
    assert_true(r.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_fixed_width_is_little_endian),
        cmocka_unit_test(test_byte_reader_past_end_fails_for_good),
        cmocka_unit_test(test_byte_writer_past_end_writes_nothing),
        cmocka_unit_test(test_byte_varint_round_trip_at_every_width),
        cmocka_unit_test(test_byte_varint_over_64_bits_fails),
        cmocka_unit_test(test_byte_varint_cut_short_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
