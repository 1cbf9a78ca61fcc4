/* Times of replies: percentiles, buckets, text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/latency.h"

static void test_latency_percentiles_are_the_nearest_rank(void **state)
{
    (void)state;
    struct latency l;
    assert_int_equal(latency_init(&l, 100), 0);
    assert_int_equal(latency_percentile(&l, 0.5), 0);
    for (int i = 100; i >= 1; i--) {
        latency_add(&l, i);
    }
    latency_add(&l, 1000); /* no room any more */
    assert_int_equal(latency_percentile(&l, 0.5), 50);
    assert_int_equal(latency_percentile(&l, 0.99), 99);
    assert_int_equal(latency_percentile(&l, 1), 100);
    assert_int_equal(latency_percentile(&l, 0), 1);
    latency_close(&l);
}

static void test_latency_one_time_is_every_percentile(void **state)
{
    (void)state;
    struct latency l;
    assert_int_equal(latency_init(&l, 1), 0);
    latency_add(&l, 7);
    assert_int_equal(latency_percentile(&l, 0.5), 7);
    assert_int_equal(latency_percentile(&l, 0.99), 7);
    latency_close(&l);
}

static void test_latency_buckets_double(void **state)
{
    (void)state;
    uint64_t buckets[LATENCY_BUCKETS];
    uint64_t sum = 0;
    struct latency l;
    assert_int_equal(latency_init(&l, 10), 0);
    latency_add(&l, 0);
    latency_add(&l, 15);
    latency_add(&l, 16);
    latency_add(&l, 31);
    latency_add(&l, 32);
    latency_add(&l, INT64_MAX);
    latency_buckets(&l, buckets);
    assert_int_equal(buckets[0], 2);
    assert_int_equal(buckets[1], 2);
    assert_int_equal(buckets[2], 1);
    assert_int_equal(buckets[LATENCY_BUCKETS - 1], 1);
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        sum += buckets[i];
    }
    assert_int_equal(sum, 6);
    latency_close(&l);
}

static void test_latency_text_has_a_fitting_unit(void **state)
{
    (void)state;
    char text[LATENCY_TEXT_MAX];
    assert_string_equal(latency_text(text, 999), "999 us");
    assert_string_equal(latency_text(text, 1000), "1.0 ms");
    assert_string_equal(latency_text(text, 2500000), "2.50 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latency_percentiles_are_the_nearest_rank),
        cmocka_unit_test(test_latency_one_time_is_every_percentile),
        cmocka_unit_test(test_latency_buckets_double),
        cmocka_unit_test(test_latency_text_has_a_fitting_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
