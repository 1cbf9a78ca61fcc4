/* XXH3 against its published values, in one go and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "raftlog/checksum.h"

/* The xxHash specification's value for an empty input with seed 0; any other
 * algorithm or a wrong seed order fails here. */
static void test_checksum_empty_input_is_published_value(void **state)
{
    struct checksum128 c = checksum128("", 0, 0);

    (void)state;
    assert_true(checksum("", 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(c.high == UINT64_C(0x99aa06d3014798d8));
    assert_true(c.low == UINT64_C(0x6001c324468d497f));
}

static void fill(uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(i * 31 + 7);
    }
}

static void test_checksum_each_flipped_bit_changes_it(void **state)
{
    uint8_t data[300];
    uint64_t expected;

    (void)state;
    fill(data, sizeof data);
    expected = checksum(data, sizeof data, 5);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_true(checksum(data, sizeof data, 5) != expected);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_true(checksum(data, sizeof data, 6) != expected);
}

static void test_checksum_stream_any_split_equals_whole(void **state)
{
    uint8_t data[2000];

    (void)state;
    fill(data, sizeof data);
    for (size_t step = 1; step < sizeof data; step += 97) {
        struct checksum_stream *s = checksum_stream_new(11);
        struct checksum128 whole = checksum128(data, sizeof data, 11);
        struct checksum128 got;

        assert_non_null(s);
        checksum_stream_add(s, NULL, 0);
        for (size_t at = 0; at < sizeof data; at += step) {
            size_t left = sizeof data - at;
            checksum_stream_add(s, data + at, left < step ? left : step);
        }
        got = checksum_stream_128(s);
        assert_true(got.low == whole.low && got.high == whole.high);
        checksum_stream_free(s);
    }
    checksum_stream_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum_empty_input_is_published_value),
        cmocka_unit_test(test_checksum_each_flipped_bit_changes_it),
        cmocka_unit_test(test_checksum_stream_any_split_equals_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
