/* Ring of the newest entries; see cache.h. */
#include "raftlog/cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

static struct raftlog_entry *slot(const struct cache *c, size_t i)
{
    return &c->ring[(c->head + i) & (c->capacity - 1)];
}

static uint64_t cost(const struct raftlog_entry *e)
{
    return (uint64_t)e->size + sizeof *e;
}

void cache_init(struct cache *c, uint64_t first)
{
    memset(c, 0, sizeof *c);
    c->first = first;
}

void cache_close(struct cache *c)
{
    cache_clear(c, c->first);
    free(c->ring);
    c->ring = NULL;
    c->capacity = 0;
}

int cache_reserve(struct cache *c, size_t n)
{
    size_t capacity = c->capacity == 0 ? 64 : c->capacity;
    struct raftlog_entry *ring;
    if (n > SIZE_MAX / sizeof *ring / 4 - c->n) {
        return ERR_NOMEM;
    }
    while (capacity < c->n + n) {
        capacity *= 2;
    }
    if (capacity == c->capacity) {
        return 0;
    }
    ring = malloc(capacity * sizeof *ring);
    if (ring == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < c->n; i++) {
        ring[i] = *slot(c, i);
    }
    free(c->ring);
    c->ring = ring;
    c->capacity = capacity;
    c->head = 0;
    return 0;
}

void cache_push(struct cache *c, const struct raftlog_entry *entry)
{
    assert(c->n < c->capacity);
    *slot(c, c->n) = *entry;
    (void)block_ref(entry->block);
    c->n++;
    c->bytes += cost(entry);
}

const struct raftlog_entry *cache_get(const struct cache *c, uint64_t index)
{
    if (index < c->first || index - c->first >= c->n) {
        return NULL;
    }
    return slot(c, (size_t)(index - c->first));
}

static void drop(struct cache *c, const struct raftlog_entry *e)
{
    c->bytes -= cost(e);
    block_unref(e->block);
}

void cache_truncate(struct cache *c, uint64_t from)
{
    if (from < c->first) {
        from = c->first;
    }
    while (c->n > 0 && c->first + c->n > from) {
        c->n--;
        drop(c, slot(c, c->n));
    }
}

static void drop_first(struct cache *c)
{
    drop(c, slot(c, 0));
    c->head = (c->head + 1) & (c->capacity - 1);
    c->first++;
    c->n--;
}

void cache_trim(struct cache *c, uint64_t through)
{
    while (c->n > 0 && c->first <= through) {
        drop_first(c);
    }
    if (c->n == 0 && c->first <= through) {
        c->first = through + 1;
    }
}

void cache_clear(struct cache *c, uint64_t first)
{
    while (c->n > 0) {
        drop_first(c);
    }
    c->first = first;
}

void cache_evict(struct cache *c, uint64_t bytes_max, uint64_t through)
{
    while (c->n > 0 && c->bytes > bytes_max && c->first <= through) {
        drop_first(c);
    }
}
