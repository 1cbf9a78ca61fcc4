/* The core's heap: what it allocates is a counted block (raftlog/block.h), so a
 * batch that it frees is a reference that goes back, whoever else holds one. */
#include "node/replica_state.h"

#include <assert.h>
#include <string.h>

#include "raftlog/block.h"

static void *heap_malloc(void *data, size_t size)
{
    (void)data;
    return block_new(size);
}

static void heap_free(void *data, void *ptr)
{
    (void)data;
    block_unref(ptr);
}

static void *heap_calloc(void *data, size_t n, size_t size)
{
    void *p;
    (void)data;
    if (size != 0 && n > SIZE_MAX / size) {
        return NULL;
    }
    p = block_new(n * size);
    if (p != NULL) {
        memset(p, 0, n * size);
    }
    return p;
}

static void *heap_realloc(void *data, void *ptr, size_t size)
{
    void *p = block_new(size);
    (void)data;
    if (p == NULL || ptr == NULL) {
        return p;
    }
    memcpy(p, ptr, block_size(ptr) < size ? block_size(ptr) : size);
    block_unref(ptr);
    return p;
}

static void *heap_aligned_alloc(void *data, size_t alignment, size_t size)
{
    (void)data;
    (void)alignment;
    (void)size;
    return NULL; /* only the uv backend of the library asks */
}

static void heap_aligned_free(void *data, size_t alignment, void *ptr)
{
    (void)data;
    (void)alignment;
    assert(ptr == NULL);
    (void)ptr;
}

void replica_heap_install(void)
{
    static struct raft_heap heap = {
        NULL,         heap_malloc,        heap_free,        heap_calloc,
        heap_realloc, heap_aligned_alloc, heap_aligned_free};
    raft_heap_set(&heap);
}
