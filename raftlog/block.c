/* Counted memory: a small header in front of the bytes given out.
 *
 * The header is one aligned unit, so the bytes behind it are aligned for any
 * type. Who may write to a block, and when, is left to its owners (block.h). */
#include "raftlog/block.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

union header {
    struct {
        size_t size;
        size_t n_refs; /* Atomic. */
    } h;
    long double align_float;
    void *align_pointer;
    int64_t align_int;
};

static size_t bytes_in_use; /* Atomic. */

static union header *header_of(const void *block)
{
    return (union header *)(uintptr_t)block - 1;
}

void *block_new(size_t size)
{
    union header *header;

    if (size > SIZE_MAX - sizeof *header) {
        return NULL;
    }
    header = malloc(sizeof *header + size);
    if (header == NULL) {
        return NULL;
    }
    header->h.size = size;
    header->h.n_refs = 1;
    __atomic_add_fetch(&bytes_in_use, size, __ATOMIC_RELAXED);
    return header + 1;
}

void *block_ref(void *block)
{
    if (block != NULL) {
        /* Relaxed is enough: the caller already holds a reference, so the
         * count cannot reach zero meanwhile. */
        size_t before = __atomic_fetch_add(&header_of(block)->h.n_refs, 1,
                                           __ATOMIC_RELAXED);
        assert(before > 0);
        (void)before;
    }
    return block;
}

void block_unref(void *block)
{
    union header *header;
    size_t before;

    if (block == NULL) {
        return;
    }
    header = header_of(block);
    /* Release makes our reads of the bytes happen before the free, acquire
     * makes the freeing thread see those of all others. */
    before = __atomic_fetch_sub(&header->h.n_refs, 1, __ATOMIC_ACQ_REL);
    assert(before > 0);
    if (before == 1) {
        __atomic_sub_fetch(&bytes_in_use, header->h.size, __ATOMIC_RELAXED);
        free(header);
    }
}

size_t block_size(const void *block)
{
    return header_of(block)->h.size;
}

size_t block_bytes_in_use(void)
{
    return __atomic_load_n(&bytes_in_use, __ATOMIC_RELAXED);
}
