/* The estimate of different keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "persist/distinct.h"

static void add(struct distinct *d, unsigned i)
{
    char text[32];
    struct bytes key;
    int n = snprintf(text, sizeof text, "key-%u", i);
    key.data = (const uint8_t *)text;
    key.size = (size_t)n;
    distinct_add(d, key);
}

/* Within four standard errors. */
static void check(const struct distinct *d, double n)
{
    double count = distinct_count(d);
    if (count < n * 0.93 - 2 || count > n * 1.07 + 2) {
        fail_msg("%.0f keys were estimated as %.1f", n, count);
    }
}

static void test_distinct_count_is_near_at_all_sizes(void **state)
{
    struct distinct d;
    unsigned next = 10;
    (void)state;
    distinct_clear(&d);
    assert_true(distinct_count(&d) < 0.001);
    for (unsigned i = 1; i <= 1000000; i++) {
        add(&d, i);
        if (i == next) {
            check(&d, i);
            next = next * 3 / 2;
        }
    }
}

static void test_distinct_repeated_keys_count_once(void **state)
{
    struct distinct d;
    (void)state;
    distinct_clear(&d);
    for (unsigned i = 0; i < 50000; i++) {
        add(&d, i % 500);
    }
    check(&d, 500);
}

static void test_distinct_merge_counts_the_union(void **state)
{
    struct distinct a;
    struct distinct b;
    (void)state;
    distinct_clear(&a);
    distinct_clear(&b);
    for (unsigned i = 0; i < 20000; i++) {
        add(&a, i);
        add(&b, i + 10000);
    }
    distinct_merge(&a, &b);
    check(&a, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_distinct_count_is_near_at_all_sizes),
        cmocka_unit_test(test_distinct_repeated_keys_count_once),
        cmocka_unit_test(test_distinct_merge_counts_the_union),
    };
    return cmocka_run_group_tests_name("distinct", tests, NULL, NULL);
}
