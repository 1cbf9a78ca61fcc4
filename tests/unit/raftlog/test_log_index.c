/* Term runs, frame references and the entry cache against plain arrays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/cache.h"
#include "raftlog/log_index.h"

enum { INDEX_MAX = 4096, ROUNDS = 20000 };

static uint64_t state_of_chance = 42;

static uint64_t below(uint64_t n)
{
    state_of_chance = state_of_chance * 6364136223846793005u + 1;
    return (state_of_chance >> 33) % n;
}

static void check(const struct log_index *x, uint64_t base, uint64_t last,
                  const uint64_t *terms, const uint64_t *offsets)
{
    uint64_t i = base + below(last - base + 1);
    const struct frame_ref *f;
    assert_int_equal(x->base, base);
    assert_int_equal(x->last, last);
    assert_int_equal(log_index_term(x, i), terms[i]);
    assert_int_equal(log_index_term(x, last + 1), 0);
    assert_int_equal(log_index_term(x, base), terms[base]);
    if (base > 0) {
        assert_int_equal(log_index_term(x, base - 1), 0);
    }
    f = log_index_frame(x, i);
    if (i == base || offsets[i] == 0) {
        assert_true(f == NULL);
    } else {
        assert_non_null(f);
        assert_true(f->first <= i && i <= f->last);
        assert_int_equal(f->offset, offsets[i]);
    }
}

static void test_log_index_agrees_with_an_array(void **state)
{
    static uint64_t terms[INDEX_MAX];
    static uint64_t offsets[INDEX_MAX]; /* of the frame; 0: none */
    struct log_index x;
    uint64_t base = 0;
    uint64_t last = 0;
    uint64_t term = 1;
    uint64_t n_frames = 0;
    (void)state;
    assert_int_equal(log_index_init(&x, 0, 0), 0);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t what = below(10);
        if (what < 5 && last < INDEX_MAX - 20) {
            struct frame_ref f = {last + 1, last + 1 + below(10), NULL,
                                  ++n_frames, 4096};
            assert_int_equal(log_index_reserve(&x, 10, 1), 0);
            while (last < f.last) {
                term += below(4) == 0;
                last++;
                terms[last] = term;
                offsets[last] = f.offset;
                log_index_push(&x, term);
            }
            log_index_push_frame(&x, &f);
        } else if (what < 7 && last > base) {
            last -= 1 + below(last - base < 15 ? last - base : 15);
            log_index_truncate(&x, last + 1);
        } else if (what < 9) {
            base += below(last - base + 1) / 4;
            log_index_trim(&x, base);
        } else if (last >= INDEX_MAX - 20) {
            base = last = below(20);
            terms[base] = 77;
            log_index_reset(&x, base, 77);
        }
        check(&x, base, last, terms, offsets);
    }
    assert_true(n_frames > ROUNDS / 4);
    log_index_close(&x);
}

static void test_cache_agrees_with_a_counter(void **state)
{
    struct cache c;
    uint64_t first = 1;
    uint64_t last = 0;
    (void)state;
    cache_init(&c, 1);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t what = below(8);
        if (what < 5) {
            struct raftlog_entry e = {.term = last + 1, .size = 100};
            e.block = block_new(100);
            e.data = e.block;
            assert_int_equal(cache_reserve(&c, 1), 0);
            cache_push(&c, &e);
            block_unref(e.block);
            last++;
        } else if (what == 5 && last >= first) {
            last -= below(last - first + 1);
            cache_truncate(&c, last + 1);
        } else if (what == 6) {
            uint64_t max = below(50) * (100 + sizeof(struct raftlog_entry));
            cache_evict(&c, max, last);
            assert_true(c.bytes <= max);
            first = c.first;
        } else if (last >= first) {
            first += below(last - first + 2);
            cache_trim(&c, first - 1);
        }
        assert_int_equal(c.first, first);
        assert_int_equal(c.n, last + 1 - first);
        assert_int_equal(c.bytes, c.n * (100 + sizeof(struct raftlog_entry)));
        assert_true(cache_get(&c, first - 1) == NULL);
        assert_true(cache_get(&c, last + 1) == NULL);
        if (c.n > 0) {
            uint64_t i = first + below(c.n);
            assert_int_equal(cache_get(&c, i)->term, i);
        }
    }
    cache_close(&c);
    assert_int_equal(block_bytes_in_use(), 0);
}

static void test_cache_never_evicts_above_the_limit(void **state)
{
    struct cache c;
    (void)state;
    cache_init(&c, 1);
    for (uint64_t i = 1; i <= 10; i++) {
        struct raftlog_entry e = {.term = i};
        assert_int_equal(cache_reserve(&c, 1), 0);
        cache_push(&c, &e);
    }
    cache_evict(&c, 0, 4);
    assert_int_equal(c.first, 5);
    assert_int_equal(c.n, 6);
    cache_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log_index_agrees_with_an_array),
        cmocka_unit_test(test_cache_agrees_with_a_counter),
        cmocka_unit_test(test_cache_never_evicts_above_the_limit),
    };
    return cmocka_run_group_tests_name("log_index", tests, NULL, NULL);
}
