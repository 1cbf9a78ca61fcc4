/* The queue of operations on their way to the log; see gather.h. */
#include "persist/gather.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

enum { CHUNK_SIZE = 64 * 1024, RING_MIN = 64 };

void gather_init(struct gather *g)
{
    memset(g, 0, sizeof *g);
}

struct gathered *gather_at(const struct gather *g, size_t i)
{
    return &g->ring[(g->head + i) & (g->capacity - 1)];
}

static int grow(struct gather *g)
{
    size_t capacity = g->capacity == 0 ? RING_MIN : g->capacity * 2;
    struct gathered *ring;

    if (capacity > SIZE_MAX / sizeof *ring / 2) {
        return ERR_NOMEM;
    }
    ring = malloc(capacity * sizeof *ring);
    if (ring == NULL) {
        return ERR_NOMEM;
    }
    for (size_t i = 0; i < g->n; i++) {
        ring[i] = *gather_at(g, i);
    }
    free(g->ring);
    g->ring = ring;
    g->capacity = capacity;
    g->head = 0;
    return 0;
}

/* Room for size bytes in the present chunk, or in a new one. */
static int reserve(struct gather *g, size_t size)
{
    size_t chunk_size = size > CHUNK_SIZE / 4 ? size : CHUNK_SIZE;
    uint8_t *chunk;

    if (g->chunk != NULL && size <= g->chunk_size - g->chunk_used) {
        return 0;
    }
    chunk = block_new(chunk_size);
    if (chunk == NULL) {
        return ERR_NOMEM;
    }
    block_unref(g->chunk);
    g->chunk = chunk;
    g->chunk_size = chunk_size;
    g->chunk_used = 0;
    return 0;
}

static uint64_t cost(const struct gathered *e)
{
    return (uint64_t)e->size + sizeof *e;
}

int gather_put(struct gather *g, const struct entry *e, uint64_t ticket,
               struct waiter *waiter)
{
    size_t size = entry_size(e);
    struct gathered *to;
    int rv = g->n == g->capacity ? grow(g) : 0;

    rv = rv == 0 ? reserve(g, size) : rv;
    if (rv != 0) {
        return rv;
    }
    to = gather_at(g, g->n);
    to->block = block_ref(g->chunk);
    to->data = g->chunk + g->chunk_used;
    to->waiter = waiter;
    to->ticket = ticket;
    to->size = (uint32_t)size;
    to->kind = (uint8_t)e->kind;
    entry_encode(e, g->chunk + g->chunk_used);
    g->chunk_used += size;
    g->n++;
    g->n_waiters += waiter != NULL;
    g->bytes += cost(to);
    g->payload += size + RAFTLOG_ENTRY_OVERHEAD;
    g->size_max = size > g->size_max ? size : g->size_max;
    return 0;
}

size_t gather_peek(const struct gather *g, struct raftlog_entry *out,
                   size_t max, size_t bytes_max)
{
    size_t bytes = 0;
    size_t n = 0;

    while (n < g->n && n < max) {
        const struct gathered *e = gather_at(g, n);
        if (n > 0 && bytes + e->size > bytes_max) {
            break;
        }
        bytes += e->size;
        out[n].term = 1;
        out[n].kind = e->kind;
        out[n].size = e->size;
        out[n].data = e->data;
        out[n].block = e->block;
        n++;
    }
    return n;
}

/* What an entry leaves when it goes; its place in the ring is the caller's. */
static void drop(struct gather *g, const struct gathered *e, int status)
{
    g->bytes -= cost(e);
    g->payload -= (uint64_t)e->size + RAFTLOG_ENTRY_OVERHEAD;
    if (e->waiter != NULL) {
        g->n_waiters--;
        e->waiter->status = status;
        e->waiter->done = true;
    }
    block_unref(e->block);
}

static void if_empty(struct gather *g)
{
    if (g->n == 0) {
        g->head = 0;
        g->size_max = 0;
    }
}

void gather_pop(struct gather *g, size_t n, int status)
{
    assert(n <= g->n);
    for (size_t i = 0; i < n; i++) {
        drop(g, gather_at(g, i), status);
    }
    g->head = (g->head + n) & (g->capacity - 1);
    g->n -= n;
    if_empty(g);
}

size_t gather_refuse(struct gather *g, int status)
{
    size_t n_kept = 0;
    size_t n_before = g->n;

    for (size_t i = 0; i < n_before; i++) {
        struct gathered *e = gather_at(g, i);
        if (e->waiter != NULL) {
            drop(g, e, status);
        } else {
            *gather_at(g, n_kept++) = *e;
        }
    }
    g->n = n_kept;
    if_empty(g);
    return n_before - n_kept;
}

void gather_close(struct gather *g)
{
    if (g->n > 0) {
        gather_pop(g, g->n, ERR_STOPPED);
    }
    block_unref(g->chunk);
    free(g->ring);
    memset(g, 0, sizeof *g);
}
