/* A second, trivially right store for the tests of the first: a sorted array
 * of malloc'd pairs, and a source of keys that are hard on a tree (shared
 * beginnings, prefixes of each other, zero bytes). */
#ifndef TESTS_UNIT_MODEL_STORE_MODEL_H
#define TESTS_UNIT_MODEL_STORE_MODEL_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/store.h"

struct model_pair {
    uint8_t *key, *value;
    size_t key_size, value_size;
};

struct model {
    struct model_pair *pairs;
    size_t n, capacity;
};

static inline uint64_t model_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline struct bytes model_bytes(const void *data, size_t size)
{
    struct bytes b = {data, size};
    return b;
}

static inline uint8_t *model_copy(const uint8_t *data, size_t size)
{
    uint8_t *p = malloc(size + 1);
    assert(p != NULL);
    memcpy(p, data, size);
    return p;
}

/* First place whose key is not less. */
static inline size_t model_lower(const struct model *m, struct bytes key,
                                 bool *found)
{
    size_t lo = 0;
    size_t hi = m->n;

    *found = false;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct model_pair *p = &m->pairs[mid];
        size_t n = p->key_size < key.size ? p->key_size : key.size;
        int c = memcmp(p->key, key.data, n);
        if (c == 0) {
            c = (p->key_size > key.size) - (p->key_size < key.size);
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            *found |= c == 0;
            hi = mid;
        }
    }
    return lo;
}

static inline void model_set(struct model *m, struct bytes key,
                             struct bytes value)
{
    bool found;
    size_t i = model_lower(m, key, &found);

    if (!found) {
        if (m->n == m->capacity) {
            m->capacity = m->capacity * 2 + 64;
            m->pairs = realloc(m->pairs, m->capacity * sizeof *m->pairs);
            assert(m->pairs != NULL);
        }
        memmove(&m->pairs[i + 1], &m->pairs[i], (m->n - i) * sizeof *m->pairs);
        m->n++;
        m->pairs[i].key = model_copy(key.data, key.size);
        m->pairs[i].key_size = key.size;
    } else {
        free(m->pairs[i].value);
    }
    m->pairs[i].value = model_copy(value.data, value.size);
    m->pairs[i].value_size = value.size;
}

static inline bool model_delete(struct model *m, struct bytes key)
{
    bool found;
    size_t i = model_lower(m, key, &found);

    if (found) {
        free(m->pairs[i].key);
        free(m->pairs[i].value);
        m->n--;
        memmove(&m->pairs[i], &m->pairs[i + 1], (m->n - i) * sizeof *m->pairs);
    }
    return found;
}

static inline void model_clear(struct model *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->pairs[i].key);
        free(m->pairs[i].value);
    }
    free(m->pairs);
    memset(m, 0, sizeof *m);
}

static inline void model_clone(struct model *to, const struct model *from)
{
    memset(to, 0, sizeof *to);
    for (size_t i = 0; i < from->n; i++) {
        const struct model_pair *p = &from->pairs[i];
        model_set(to, model_bytes(p->key, p->key_size),
                  model_bytes(p->value, p->value_size));
    }
}

static inline bool model_pair_is(const struct model_pair *p,
                                 const struct store_item *item)
{
    struct bytes key = store_item_key(item);
    struct bytes value = store_item_value(item);

    return key.size == p->key_size && value.size == p->value_size &&
           memcmp(key.data, p->key, key.size) == 0 &&
           memcmp(value.data, p->value, value.size) == 0;
}

enum { MODEL_KEY_MAX = 64 };

/* One of about n different keys. */
static inline struct bytes model_key(uint64_t *random, unsigned n,
                                     uint8_t out[MODEL_KEY_MAX])
{
    unsigned i = (unsigned)(model_random(random) % n);
    int size = 0;

    memset(out, 0, MODEL_KEY_MAX);
    switch (i % 5) {
    case 0: /* counted, with a long beginning in common */
        size = snprintf((char *)out, MODEL_KEY_MAX, "user:profile:%08u", i);
        break;
    case 1: /* zero bytes only: each a prefix of the next */
        size = (int)(i / 5 % (MODEL_KEY_MAX - 1));
        break;
    case 2: /* big-endian numbers */
        out[0] = (uint8_t)(i >> 16);
        out[1] = (uint8_t)(i >> 8);
        out[2] = (uint8_t)i;
        size = 3;
        break;
    case 3: /* high bytes */
        memset(out, 0xff, 8);
        out[i % 8] = (uint8_t)(i >> 3);
        size = (int)(i % 9);
        break;
    default:
        size = snprintf((char *)out, MODEL_KEY_MAX, "%u", i);
        break;
    }
    return model_bytes(out, (size_t)size);
}

enum { MODEL_VALUE_MAX = 200 };

static inline struct bytes model_value(uint64_t *random,
                                       uint8_t out[MODEL_VALUE_MAX])
{
    uint64_t r = model_random(random);
    size_t size = (size_t)(r % MODEL_VALUE_MAX);

    memset(out, (int)(r >> 32 & 0xff), size);
    return model_bytes(out, size);
}

#endif
