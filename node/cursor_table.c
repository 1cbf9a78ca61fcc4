/* Table of SCAN cursors: chained hash by number, list by time of last use.
 * Slots are made once; only the copies of keys come and go. */
#include "node/cursor_table.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/checksum.h"
#include "raftlog/err.h"

#define CURSOR_NUMBER_MASK ((1ull << 53) - 1)

struct cursor {
    uint64_t number; /* 0: free */
    uint8_t *key;
    size_t key_size;
    struct cursor *chain;         /* of the same bucket */
    struct cursor *newer, *older; /* by last use */
};

struct cursor_table {
    unsigned n_max;
    struct cursor *cursors;
    struct cursor **buckets; /* n_max of them */
    struct cursor *newest, *oldest;
};

static void cursor_link_newest(struct cursor_table *t, struct cursor *c)
{
    c->newer = NULL;
    c->older = t->newest;
    if (t->newest != NULL) {
        t->newest->newer = c;
    } else {
        t->oldest = c;
    }
    t->newest = c;
}

static void cursor_unlink(struct cursor_table *t, struct cursor *c)
{
    if (c->newer != NULL) {
        c->newer->older = c->older;
    } else {
        t->newest = c->older;
    }
    if (c->older != NULL) {
        c->older->newer = c->newer;
    } else {
        t->oldest = c->newer;
    }
}

int cursor_table_new(unsigned n_max, struct cursor_table **out)
{
    struct cursor_table *t;

    if (n_max == 0) {
        return ERR_INVALID;
    }
    t = calloc(1, sizeof *t);
    if (t == NULL) {
        return ERR_NOMEM;
    }
    t->n_max = n_max;
    t->cursors = calloc(n_max, sizeof *t->cursors);
    t->buckets = calloc(n_max, sizeof *t->buckets);
    if (t->cursors == NULL || t->buckets == NULL) {
        cursor_table_free(t);
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < n_max; i++) {
        cursor_link_newest(t, &t->cursors[i]);
    }
    *out = t;
    return 0;
}

void cursor_table_free(struct cursor_table *t)
{
    if (t == NULL) {
        return;
    }
    for (unsigned i = 0; t->cursors != NULL && i < t->n_max; i++) {
        free(t->cursors[i].key);
    }
    free(t->cursors);
    free(t->buckets);
    free(t);
}

static struct cursor **cursor_bucket(struct cursor_table *t, uint64_t number)
{
    return &t->buckets[number % t->n_max];
}

static struct cursor *cursor_find(struct cursor_table *t, uint64_t number)
{
    struct cursor *c = *cursor_bucket(t, number);

    while (c != NULL && c->number != number) {
        c = c->chain;
    }
    return c;
}

static void cursor_touch(struct cursor_table *t, struct cursor *c)
{
    cursor_unlink(t, c);
    cursor_link_newest(t, c);
}

static void cursor_evict(struct cursor_table *t, struct cursor *c)
{
    struct cursor **at;

    if (c->number == 0) {
        return;
    }
    at = cursor_bucket(t, c->number);
    while (*at != c) {
        at = &(*at)->chain;
    }
    *at = c->chain;
    free(c->key);
    c->key = NULL;
    c->number = 0;
}

uint64_t cursor_table_put(struct cursor_table *t, struct bytes key)
{
    uint64_t number = checksum(key.data, key.size, 0) & CURSOR_NUMBER_MASK;
    struct cursor *c;
    uint8_t *copy;

    /* Another key of the same number: take the next one. */
    while (number == 0 || (c = cursor_find(t, number)) != NULL) {
        if (number != 0 && c->key_size == key.size &&
            (key.size == 0 || memcmp(c->key, key.data, key.size) == 0)) {
            cursor_touch(t, c);
            return number;
        }
        number = (number + 1) & CURSOR_NUMBER_MASK;
    }
    copy = malloc(key.size > 0 ? key.size : 1);
    if (copy == NULL) {
        return 0;
    }
    if (key.size > 0) {
        memcpy(copy, key.data, key.size);
    }
    c = t->oldest;
    cursor_evict(t, c);
    c->number = number;
    c->key = copy;
    c->key_size = key.size;
    c->chain = *cursor_bucket(t, number);
    *cursor_bucket(t, number) = c;
    cursor_touch(t, c);
    return number;
}

int cursor_table_get(struct cursor_table *t, uint64_t number, struct bytes *key)
{
    struct cursor *c = number != 0 ? cursor_find(t, number) : NULL;

    if (c == NULL) {
        return ERR_NOTFOUND;
    }
    cursor_touch(t, c);
    key->data = c->key;
    key->size = c->key_size;
    return 0;
}
