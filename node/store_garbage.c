/* Freeing whole trees bit by bit, and the check of a tree for tests. */
#include <assert.h>
#include <stdlib.h>

#include "node/store_node.h"

void tree_discard(struct tree *t, struct tree_garbage *g)
{
    if (t->root != NULL) {
        t->root->next = g->roots;
        g->roots = t->root;
        g->n_bytes += t->n_bytes;
    }
    t->root = NULL;
    t->n_items = 0;
    t->n_bytes = 0;
}

/* Free the last node below a root that has no node below itself, or some of
 * its items. Returns how many were freed. */
static size_t garbage_free_last(struct tree_garbage *g, size_t n_max)
{
    struct tree_node *parent = NULL;
    struct tree_node *n = g->roots;
    size_t freed = 0;

    while (!n->leaf && n->n > 0) {
        parent = n;
        n = node_children(n)[n->n - 1];
    }
    while (n->leaf && n->n > 0 && freed < n_max) {
        struct store_item *item = n->keys[--n->n];
        g->n_bytes -= store_item_bytes(item);
        store_item_unref(item);
        freed++;
    }
    if (n->n > 0) {
        return freed;
    }
    if (parent == NULL) {
        g->roots = n->next;
    } else {
        struct separator *sep = parent->keys[--parent->n];
        if (sep != NULL) {
            g->n_bytes -= separator_bytes(sep);
            free(sep);
        }
    }
    g->n_bytes -= node_bytes(n);
    free(n);
    return freed + 1;
}

bool tree_garbage_free(struct tree_garbage *g, size_t n)
{
    while (g->roots != NULL && n > 0) {
        size_t freed = garbage_free_last(g, n);
        n -= freed < n ? freed : n;
    }
    return g->roots != NULL;
}

struct tree_checked {
    uint64_t n_items;
    uint64_t n_bytes;
    unsigned leaf_depth; /* 0: none seen yet */
};

static void tree_check_key(struct bytes key, const struct bytes *low,
                           const struct bytes *high)
{
    assert(low == NULL || store_key_compare(*low, key) <= 0);
    assert(high == NULL || store_key_compare(key, *high) < 0);
}

static void tree_check_leaf(const struct tree_node *n, const struct bytes *low,
                            const struct bytes *high, unsigned depth,
                            struct tree_checked *sum)
{
    assert(n->n > 0);
    assert(sum->leaf_depth == 0 || sum->leaf_depth == depth);
    sum->leaf_depth = depth;
    for (unsigned i = 0; i < n->n; i++) {
        const struct store_item *item = n->keys[i];
        bool found;
        tree_check_key(node_key(n, i), low, high);
        assert(i == 0 ||
               store_key_compare(node_key(n, i - 1), node_key(n, i)) < 0);
        assert(node_lower(n, node_key(n, i), &found) == i && found);
        assert(item->epoch >= n->oldest);
        sum->n_bytes += store_item_bytes(item);
    }
    sum->n_items += n->n;
}

static void tree_check_node(const struct tree_node *n, const struct bytes *low,
                            const struct bytes *high, unsigned depth,
                            struct tree_checked *sum)
{
    assert(n->n <= TREE_WIDTH && depth < TREE_DEPTH_MAX);
    sum->n_bytes += node_bytes(n);
    if (n->leaf) {
        tree_check_leaf(n, low, high, depth, sum);
        return;
    }
    assert(n->n > 0 && n->keys[0] == NULL);
    for (unsigned i = 0; i < n->n; i++) {
        struct bytes left = {NULL, 0};
        struct bytes right = {NULL, 0};
        if (i > 0) {
            left = node_key(n, i);
            tree_check_key(left, low, high);
            sum->n_bytes += separator_bytes(n->keys[i]);
        }
        if (i + 1u < n->n) {
            right = node_key(n, i + 1);
            assert(i == 0 || store_key_compare(left, right) < 0);
        }
        tree_check_node(node_children_const(n)[i], i > 0 ? &left : low,
                        i + 1u < n->n ? &right : high, depth + 1, sum);
    }
}

void tree_check(const struct tree *t)
{
    struct tree_checked sum = {0, 0, 0};

    if (t->root != NULL) {
        tree_check_node(t->root, NULL, NULL, 1, &sum);
    }
    assert(sum.n_items == t->n_items);
    assert(sum.n_bytes == t->n_bytes);
}
