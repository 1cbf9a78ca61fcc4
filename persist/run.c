/* Sorting a range of operations in memory; see run.h. */
#include "persist/run.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE = 1024 * 1024, ITEMS_MIN = 1024, RECORD_OVERHEAD = 80 };

struct run_item {
    const uint8_t *key; /* the value follows it */
    uint32_t key_size;
    uint32_t value_size;
    uint64_t seq;
    uint8_t kind;
};

struct run_chunk {
    struct run_chunk *next;
    size_t used;
    size_t size;
    uint8_t data[];
};

void run_init(struct run *r)
{
    memset(r, 0, sizeof *r);
}

void run_clear(struct run *r)
{
    while (r->chunks != NULL) {
        struct run_chunk *chunk = r->chunks;
        r->chunks = chunk->next;
        free(chunk);
    }
    r->n = 0;
    r->bytes = 0;
}

void run_close(struct run *r)
{
    run_clear(r);
    free(r->items);
    r->items = NULL;
    r->capacity = 0;
}

static uint8_t *take(struct run *r, size_t size)
{
    struct run_chunk *chunk = r->chunks;
    size_t chunk_size = size > CHUNK_SIZE ? size : CHUNK_SIZE;

    if (chunk == NULL || chunk->size - chunk->used < size) {
        chunk = malloc(sizeof *chunk + chunk_size);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = r->chunks;
        chunk->used = 0;
        chunk->size = chunk_size;
        r->chunks = chunk;
    }
    chunk->used += size;
    return chunk->data + chunk->used - size;
}

static int grow(struct run *r)
{
    size_t capacity = r->capacity == 0 ? ITEMS_MIN : r->capacity * 2;
    struct run_item *grown;

    if (r->n < r->capacity) {
        return 0;
    }
    grown = realloc(r->items, capacity * sizeof *grown);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    r->items = grown;
    r->capacity = capacity;
    return 0;
}

int run_add(struct run *r, uint64_t seq, const struct entry *e)
{
    size_t size = e->key.size + e->value.size;
    struct run_item *item;
    uint8_t *data;

    if (e->kind == ENTRY_MARK) {
        return 0;
    }
    data = grow(r) == 0 ? take(r, size) : NULL;
    if (data == NULL) {
        return ERR_NOMEM;
    }
    if (e->key.size > 0) {
        memcpy(data, e->key.data, e->key.size);
    }
    if (e->value.size > 0) {
        memcpy(data + e->key.size, e->value.data, e->value.size);
    }
    item = &r->items[r->n++];
    item->key = data;
    item->key_size = (uint32_t)e->key.size;
    item->value_size = (uint32_t)e->value.size;
    item->seq = seq;
    item->kind = (uint8_t)e->kind;
    /* Sorting takes the items a second time. */
    r->bytes += size + 2 * sizeof *item;
    return 0;
}

uint64_t run_file_bytes_max(const struct run *r)
{
    uint64_t raw = r->bytes + (uint64_t)RECORD_OVERHEAD * r->n;
    return raw + raw / 64 + 128 * 1024;
}

static int compare_keys(const struct run_item *a, const struct run_item *b)
{
    struct bytes x = {a->key, a->key_size};
    struct bytes y = {b->key, b->key_size};

    return bytes_compare(x, y);
}

static int by_key_and_seq(const void *a, const void *b)
{
    const struct run_item *x = a;
    const struct run_item *y = b;
    int order = compare_keys(x, y);

    if (order != 0) {
        return order;
    }
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void describe(const struct run_item *item, struct snapshot_record *out)
{
    memset(out, 0, sizeof *out);
    out->kind = item->kind == ENTRY_DEL ? SNAPSHOT_TOMBSTONE : SNAPSHOT_KEY;
    out->key.data = item->key;
    out->key.size = item->key_size;
    if (item->kind != ENTRY_DEL) {
        out->value.data = item->key + item->key_size;
        out->value.size = item->value_size;
    }
}

int run_write(struct run *r, bool is_base, struct snapshot_writer *writer,
              run_spend_cb spend, void *ctx)
{
    int rv = 0;

    if (r->n > 1) {
        qsort(r->items, r->n, sizeof *r->items, by_key_and_seq);
    }
    for (size_t i = 0; rv == 0 && i < r->n; i++) {
        const struct run_item *item = &r->items[i];
        struct snapshot_record record;

        if (i + 1 < r->n && compare_keys(item, item + 1) == 0) {
            continue; /* a later one follows */
        }
        if (is_base && item->kind == ENTRY_DEL) {
            continue; /* nothing older remains */
        }
        describe(item, &record);
        rv = snapshot_writer_add(writer, &record);
        if (rv == 0) {
            rv = spend(ctx, record.key.size + record.value.size);
        }
    }
    return rv;
}
