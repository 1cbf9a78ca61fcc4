/* Counted memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "raftlog/block.h"

static void test_block_new_counts_bytes_until_last_unref(void **state)
{
    size_t before = block_bytes_in_use();
    void *b = block_new(100);

    (void)state;
    assert_non_null(b);
    assert_int_equal(block_size(b), 100);
    assert_int_equal(block_bytes_in_use(), before + 100);
    assert_ptr_equal(block_ref(b), b);
    block_unref(b);
    assert_int_equal(block_bytes_in_use(), before + 100);
    block_unref(b);
    assert_int_equal(block_bytes_in_use(), before);
}

static void test_block_new_is_aligned_for_any_type(void **state)
{
    (void)state;
    for (size_t size = 0; size < 70; size++) {
        void *b = block_new(size);
        assert_non_null(b);
        assert_int_equal((uintptr_t)b % 16, 0);
        memset(b, 0xa5, size);
        block_unref(b);
    }
}

static void test_block_new_size_that_overflows_is_refused(void **state)
{
    (void)state;
    assert_null(block_new(SIZE_MAX));
    assert_null(block_new(SIZE_MAX - 8));
}

static void test_block_null_is_allowed(void **state)
{
    (void)state;
    assert_null(block_ref(NULL));
    block_unref(NULL);
}

static void *take_and_drop(void *block)
{
    for (int i = 0; i < 20000; i++) {
        block_ref(block);
        block_unref(block);
    }
    block_unref(block);
    return NULL;
}

static void test_block_threads_last_one_frees_once(void **state)
{
    size_t before = block_bytes_in_use();
    pthread_t threads[4];
    void *b = block_new(64);

    (void)state;
    for (int i = 0; i < 4; i++) {
        block_ref(b);
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, b),
                         0);
    }
    block_unref(b);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(block_bytes_in_use(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_block_new_counts_bytes_until_last_unref),
        cmocka_unit_test(test_block_new_is_aligned_for_any_type),
        cmocka_unit_test(test_block_new_size_that_overflows_is_refused),
        cmocka_unit_test(test_block_null_is_allowed),
        cmocka_unit_test(test_block_threads_last_one_frees_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
