/* Buckets, quantiles and merging of raftlog/histogram.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "raftlog/histogram.h"

static struct histogram h;

static void test_histogram_small_value_has_its_own_bucket(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 64; v++) {
        assert_int_equal(histogram_bucket(v), v);
        assert_int_equal(histogram_bucket_top(v), v);
    }
}

/* Every bucket ends where the next one begins, and none is missing. */
static void test_histogram_buckets_cover_all_values(void **state)
{
    (void)state;
    for (unsigned i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t top = histogram_bucket_top(i);
        assert_int_equal(histogram_bucket(top), i);
        assert_int_equal(histogram_bucket(top + 1), i + 1);
    }
    assert_true(histogram_bucket_top(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void test_histogram_empty_answers_zero(void **state)
{
    (void)state;
    histogram_reset(&h);
    assert_int_equal(histogram_quantile(&h, 0.5), 0);
    assert_true(histogram_mean(&h) == 0);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Against sorted values: never below, at most 1/32 above. */
static void test_histogram_quantile_is_within_its_bound(void **state)
{
    static const double shares[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1};
    enum { N = 5000 };
    uint64_t *values = calloc(N, sizeof *values);
    uint64_t x = 88172645463325252u;
    (void)state;
    assert_non_null(values);
    histogram_reset(&h);
    for (unsigned i = 0; i < N; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        values[i] = x >> (x % 60);
        histogram_record(&h, values[i]);
    }
    qsort(values, N, sizeof *values, by_value);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        double exact = shares[i] * N;
        size_t rank = (size_t)exact;
        uint64_t value;
        uint64_t told = histogram_quantile(&h, shares[i]);
        rank += (double)rank < exact;
        value = values[rank == 0 ? 0 : rank - 1];
        assert_true(told >= value);
        assert_true(told - value <= value / 32 + 1);
    }
    assert_true(h.min == values[0] && h.max == values[N - 1]);
    assert_true(histogram_quantile(&h, 1) == h.max);
    free(values);
}

static void test_histogram_merge_equals_recording_all(void **state)
{
    static struct histogram a;
    static struct histogram b;
    static struct histogram all;
    (void)state;
    for (uint64_t v = 1; v < 3000; v += 7) {
        histogram_record(v % 2 ? &a : &b, v * v);
        histogram_record(&all, v * v);
    }
    histogram_record_n(&a, 5, 1000);
    histogram_record_n(&all, 5, 1000);
    histogram_record_n(&a, 1, 0);
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof all);
    assert_int_equal(a.n, 1429);
    histogram_reset(&b);
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &all, sizeof all);
    histogram_merge(&b, &a);
    assert_memory_equal(&b, &all, sizeof all);
}

static void test_histogram_mean_is_exact(void **state)
{
    (void)state;
    histogram_reset(&h);
    histogram_record(&h, 1000);
    histogram_record_n(&h, 4000, 2);
    assert_true(histogram_mean(&h) == 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram_small_value_has_its_own_bucket),
        cmocka_unit_test(test_histogram_buckets_cover_all_values),
        cmocka_unit_test(test_histogram_empty_answers_zero),
        cmocka_unit_test(test_histogram_quantile_is_within_its_bound),
        cmocka_unit_test(test_histogram_merge_equals_recording_all),
        cmocka_unit_test(test_histogram_mean_is_exact),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
