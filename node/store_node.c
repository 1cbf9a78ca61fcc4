/* One node of the tree: search by heads, moves of keys. Knows nothing of the
 * nodes around it. */
#include "node/store_node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t common_prefix(struct bytes a, struct bytes b, size_t max)
{
    size_t n = a.size < b.size ? a.size : b.size;
    size_t i = 0;

    if (n > max) {
        n = max;
    }
    while (i < n && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

struct separator *separator_new(struct bytes left, struct bytes right)
{
    size_t size = common_prefix(left, right, SIZE_MAX) + 1;
    struct separator *s;

    assert(size <= right.size);
    s = malloc(sizeof *s + size);
    if (s != NULL) {
        s->size = (uint32_t)size;
        memcpy(s->data, right.data, size);
    }
    return s;
}

size_t separator_bytes(const struct separator *s)
{
    return sizeof *s + s->size;
}

struct tree_node *node_new(bool leaf)
{
    struct tree_node *n =
        malloc(leaf ? sizeof(struct tree_node) : sizeof(struct tree_inner));

    if (n != NULL) {
        n->next = NULL;
        n->n = 0;
        n->leaf = leaf;
        n->skip = 0;
        /* An inner node has no items; this keeps visits from passing it. */
        n->oldest = leaf ? UINT32_MAX : 0;
        n->heads[0] = 0;
        n->keys[0] = NULL;
    }
    return n;
}

size_t node_bytes(const struct tree_node *n)
{
    return n->leaf ? sizeof(struct tree_node) : sizeof(struct tree_inner);
}

struct bytes node_key(const struct tree_node *n, unsigned i)
{
    if (n->leaf) {
        return store_item_key(n->keys[i]);
    } else {
        const struct separator *s = n->keys[i];
        struct bytes key = {s->data, s->size};
        return key;
    }
}

/* Where the keys of a node begin. */
static unsigned node_first(const struct tree_node *n)
{
    return n->leaf ? 0 : 1;
}

static uint32_t key_head(struct bytes key, size_t skip)
{
    uint8_t b[4] = {0, 0, 0, 0};

    if (key.size > skip) {
        size_t left = key.size - skip;
        memcpy(b, key.data + skip, left < 4 ? left : 4);
    }
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
           b[3];
}

/* Compute the heads anew for what the keys have in common now. As they are in
 * order, all share what the first and the last share. */
static void node_set_heads(struct tree_node *n, size_t skip_max)
{
    unsigned first = node_first(n);

    /* Most keys are not in the cache: wait for all of them at once. */
    for (unsigned i = first; i < n->n; i++) {
        __builtin_prefetch(n->keys[i]);
    }
    n->skip = 0;
    if (n->n > first + 1) {
        n->skip = (uint32_t)common_prefix(node_key(n, first),
                                          node_key(n, n->n - 1u), skip_max);
    }
    for (unsigned i = first; i < n->n; i++) {
        n->heads[i] = key_head(node_key(n, i), n->skip);
    }
}

static void node_set_oldest(struct tree_node *n)
{
    n->oldest = UINT32_MAX;
    for (unsigned i = 0; i < n->n; i++) {
        const struct store_item *item = n->keys[i];
        if (item->epoch < n->oldest) {
            n->oldest = item->epoch;
        }
    }
}

/* The first head in lo..hi-1 not less than h (not greater, with h + 1). */
static unsigned heads_lower(const uint32_t *heads, unsigned lo, unsigned hi,
                            uint64_t h)
{
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (heads[mid] < h) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

unsigned node_lower(const struct tree_node *n, struct bytes key, bool *found)
{
    unsigned lo = node_first(n);
    unsigned hi = n->n;
    uint64_t head;

    *found = false;
    if (lo >= hi) {
        return lo;
    }
    if (n->skip > 0) {
        size_t m = key.size < n->skip ? key.size : n->skip;
        int c = m > 0 ? memcmp(key.data, node_key(n, lo).data, m) : 0;
        if (c < 0 || (c == 0 && key.size < n->skip)) {
            return lo;
        }
        if (c > 0) {
            return hi;
        }
    }
    head = key_head(key, n->skip);
    lo = heads_lower(n->heads, lo, hi, head);
    if (lo == hi || n->heads[lo] != head) {
        return lo;
    }
    if (lo + 1 < hi && n->heads[lo + 1] == head) {
        hi = heads_lower(n->heads, lo + 1, hi, head + 1);
    } else {
        hi = lo + 1;
    }
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        int c = store_key_compare(node_key(n, mid), key);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

unsigned node_find(const struct tree_node *n, struct bytes key)
{
    uint32_t head = key_head(key, n->skip);
    unsigned i = heads_lower(n->heads, 0, n->n, head);
    unsigned hi = n->n;

    if (i + 1 < n->n && n->heads[i] == head && n->heads[i + 1] == head) {
        hi = heads_lower(n->heads, i + 1, n->n, (uint64_t)head + 1);
    }
    /* The keys i..hi-1 are the only ones it can be. If it does not begin as
     * they do, it is none of them, and where the search goes is all one. */
    while (i < hi && n->heads[i] == head) {
        unsigned mid = (i + hi) / 2;
        int c = n->heads[mid] == head ? store_key_compare(node_key(n, mid), key)
                                      : 1;
        if (c == 0) {
            return mid;
        }
        if (c < 0) {
            i = mid + 1;
        } else {
            hi = mid;
        }
    }
    return n->n;
}

static void node_shift(struct tree_node *n, unsigned from, unsigned to)
{
    size_t count = (size_t)n->n - from;

    memmove(&n->heads[to], &n->heads[from], count * sizeof n->heads[0]);
    memmove(&n->keys[to], &n->keys[from], count * sizeof n->keys[0]);
    if (!n->leaf) {
        struct tree_node **children = node_children(n);
        memmove(&children[to], &children[from], count * sizeof children[0]);
    }
}

void node_add(struct tree_node *n, unsigned i, void *key,
              struct tree_node *child)
{
    unsigned first = node_first(n);
    struct bytes bytes;

    assert(n->n < TREE_WIDTH && i >= first && i <= n->n);
    node_shift(n, i, i + 1);
    n->keys[i] = key;
    n->n++;
    if (n->leaf) {
        const struct store_item *item = key;
        if (item->epoch < n->oldest) {
            n->oldest = item->epoch;
        }
    } else {
        node_children(n)[i] = child;
    }
    bytes = node_key(n, i);
    if (n->n == first + 1) {
        n->skip = 0;
    }
    if (n->n == 8 || n->n == 16 || n->n == 32) {
        /* Time to find out whether the keys have more in common than was
         * known: rare enough to cost little. */
        node_set_heads(n, SIZE_MAX);
    } else if (n->skip > 0 &&
               common_prefix(bytes, node_key(n, i > first ? first : first + 1),
                             n->skip) < n->skip) {
        node_set_heads(n, n->skip);
    } else {
        n->heads[i] = key_head(bytes, n->skip);
    }
}

void node_remove_key(struct tree_node *n, unsigned i)
{
    assert(i < n->n);
    node_shift(n, i + 1, i);
    n->n--;
}

void node_remove_child(struct tree_node *n, unsigned i)
{
    node_remove_key(n, i);
    /* The former second child is now before everything. */
    if (i == 0) {
        n->keys[0] = NULL;
        n->heads[0] = 0;
    }
}

void node_move_tail(struct tree_node *n, unsigned at, struct tree_node *right)
{
    unsigned count = n->n - at;

    assert(right->n == 0 && at > node_first(n) && count > 0);
    memcpy(right->keys, &n->keys[at], count * sizeof n->keys[0]);
    if (!n->leaf) {
        memcpy(node_children(right), &node_children(n)[at],
               count * sizeof(struct tree_node *));
        right->keys[0] = NULL;
        right->heads[0] = 0;
    }
    right->n = (uint16_t)count;
    n->n = (uint16_t)at;
    node_set_heads(n, SIZE_MAX);
    node_set_heads(right, SIZE_MAX);
    if (n->leaf) {
        node_set_oldest(n);
        node_set_oldest(right);
    }
}

void node_append_all(struct tree_node *n, struct tree_node *right)
{
    assert(n->n + right->n <= TREE_WIDTH);
    memcpy(&n->keys[n->n], right->keys, right->n * sizeof n->keys[0]);
    if (!n->leaf) {
        memcpy(&node_children(n)[n->n], node_children(right),
               right->n * sizeof(struct tree_node *));
    } else if (right->oldest < n->oldest) {
        n->oldest = right->oldest;
    }
    n->n = (uint16_t)(n->n + right->n);
    right->n = 0;
    node_set_heads(n, SIZE_MAX);
}
