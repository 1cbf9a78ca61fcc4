/* The ordered tree of items; see store_tree.h for its shape. This file finds,
 * adds, removes and visits; freeing whole trees is in store_garbage.c. Order
 * and counts of the state are the store's business. */
#include "node/store_tree.h"

#include <assert.h>
#include <stdlib.h>

#include "node/store_node.h"
#include "raftlog/err.h"

/* ---- search ---- */

/* Which child of an inner node a key belongs to. */
static unsigned tree_child_of(const struct tree_node *n, struct bytes key)
{
    bool found;
    unsigned i = node_lower(n, key, &found);

    return found ? i : i - 1;
}

struct store_item **tree_find(const struct tree *t, struct bytes key)
{
    struct tree_node *n = t->root;
    unsigned i;

    if (n == NULL) {
        return NULL;
    }
    while (!n->leaf) {
        n = node_children(n)[tree_child_of(n, key)];
        node_prefetch(n);
    }
    i = node_find(n, key);
    return i < n->n ? (struct store_item **)&n->keys[i] : NULL;
}

struct store_item *tree_swap(struct tree *t, struct store_item **slot,
                             struct store_item *item)
{
    struct store_item *old = *slot;

    t->n_bytes -= store_item_bytes(old);
    t->n_bytes += store_item_bytes(item);
    *slot = item;
    return old;
}

struct store_item *tree_first(const struct tree *t)
{
    const struct tree_node *n = t->root;

    if (n == NULL) {
        return NULL;
    }
    while (!n->leaf) {
        n = node_children_const(n)[0];
    }
    return n->n > 0 ? n->keys[0] : NULL;
}

/* ---- insertion ---- */

/* Split the full child i of a node that has room. A key that goes behind all
 * others of the child is likely the next of a rising sequence: the left half
 * then stays nearly full. */
static int tree_split(struct tree *t, struct tree_node *parent, unsigned i,
                      struct bytes key)
{
    struct tree_node *left = node_children(parent)[i];
    struct tree_node *right = node_new(left->leaf);
    struct bytes last = node_key(left, left->n - 1u);
    unsigned at =
        store_key_compare(key, last) > 0 ? TREE_WIDTH * 7 / 8 : TREE_WIDTH / 2;
    struct separator *sep;

    if (right == NULL) {
        return ERR_NOMEM;
    }
    if (left->leaf) {
        sep = separator_new(node_key(left, at - 1), node_key(left, at));
        if (sep == NULL) {
            free(right);
            return ERR_NOMEM;
        }
        t->n_bytes += separator_bytes(sep);
    } else {
        sep = left->keys[at];
    }
    t->n_bytes += node_bytes(right);
    node_move_tail(left, at, right);
    node_add(parent, i + 1, sep, right);
    return 0;
}

/* Give the tree a root that has room. */
static int tree_prepare_root(struct tree *t)
{
    struct tree_node *root;

    if (t->root != NULL && t->root->n < TREE_WIDTH) {
        return 0;
    }
    root = node_new(t->root == NULL);
    if (root == NULL) {
        return ERR_NOMEM;
    }
    if (t->root != NULL) {
        node_children(root)[0] = t->root;
        root->n = 1;
    }
    t->n_bytes += node_bytes(root);
    t->root = root;
    return 0;
}

int tree_insert(struct tree *t, struct store_item *item)
{
    struct bytes key = store_item_key(item);
    struct tree_node *n;
    unsigned i;
    bool found;
    int rc = tree_prepare_root(t);

    if (rc != 0) {
        return rc;
    }
    n = t->root;
    while (!n->leaf) {
        i = tree_child_of(n, key);
        if (node_children(n)[i]->n == TREE_WIDTH) {
            rc = tree_split(t, n, i, key);
            if (rc != 0) {
                return rc;
            }
            i += store_key_compare(key, node_key(n, i + 1)) >= 0;
        }
        n = node_children(n)[i];
    }
    i = node_lower(n, key, &found);
    assert(!found);
    node_add(n, i, item, NULL);
    t->n_items++;
    t->n_bytes += store_item_bytes(item);
    return 0;
}

/* ---- removal ---- */

/* Forget a child of a node and the separator to the left of it (to the right
 * of the first child). */
static void tree_drop_child(struct tree *t, struct tree_node *parent,
                            unsigned i)
{
    unsigned k = i > 0 ? i : 1;
    struct separator *sep = k < parent->n ? parent->keys[k] : NULL;

    if (sep != NULL) {
        t->n_bytes -= separator_bytes(sep);
        free(sep);
    }
    node_remove_child(parent, i);
}

/* Move all of child i + 1 into child i if both fit well in one. */
static bool tree_join(struct tree *t, struct tree_node *parent, unsigned i)
{
    struct tree_node *left = node_children(parent)[i];
    struct tree_node *right = node_children(parent)[i + 1];

    if (left->n + right->n > TREE_WIDTH * 3 / 4) {
        return false;
    }
    if (!left->leaf) {
        /* The separator comes down: it now stands between two children. */
        right->keys[0] = parent->keys[i + 1];
        parent->keys[i + 1] = NULL;
    }
    node_append_all(left, right);
    tree_drop_child(t, parent, i + 1);
    t->n_bytes -= node_bytes(right);
    free(right);
    return true;
}

/* A child has become smaller: drop it when empty, join it with a neighbour
 * when that saves a node. True when the parent became smaller too. */
static bool tree_shrink_child(struct tree *t, struct tree_node *parent,
                              unsigned i)
{
    struct tree_node *n = node_children(parent)[i];

    if (n->n == 0) {
        t->n_bytes -= node_bytes(n);
        free(n);
        tree_drop_child(t, parent, i);
        return true;
    }
    if (n->n >= TREE_WIDTH / 2) {
        return false;
    }
    return (i > 0 && tree_join(t, parent, i - 1)) ||
           (i + 1u < parent->n && tree_join(t, parent, i));
}

static void tree_shrink_root(struct tree *t)
{
    struct tree_node *root = t->root;

    while ((!root->leaf && root->n == 1) || root->n == 0) {
        t->root = root->n == 0 ? NULL : node_children(root)[0];
        t->n_bytes -= node_bytes(root);
        free(root);
        root = t->root;
        if (root == NULL) {
            break;
        }
    }
}

struct store_item *tree_remove(struct tree *t, struct bytes key)
{
    struct tree_node *path[TREE_DEPTH_MAX];
    unsigned at[TREE_DEPTH_MAX];
    struct tree_node *n = t->root;
    struct store_item *item;
    unsigned depth = 0;
    unsigned i;
    bool found;

    if (n == NULL) {
        return NULL;
    }
    while (!n->leaf) {
        assert(depth < TREE_DEPTH_MAX);
        path[depth] = n;
        at[depth] = tree_child_of(n, key);
        n = node_children(n)[at[depth++]];
    }
    i = node_lower(n, key, &found);
    if (!found) {
        return NULL;
    }
    item = n->keys[i];
    node_remove_key(n, i);
    t->n_items--;
    t->n_bytes -= store_item_bytes(item);
    while (depth > 0 && tree_shrink_child(t, path[depth - 1], at[depth - 1])) {
        depth--;
    }
    tree_shrink_root(t);
    return item;
}

/* ---- visits ---- */

static void tree_iter_push(struct tree_iter *it, const struct tree_node *n,
                           unsigned at)
{
    assert(it->depth < TREE_DEPTH_MAX);
    it->path[it->depth].node = n;
    it->path[it->depth].at = at;
    it->depth++;
}

void tree_seek(struct tree_iter *it, const struct tree *t,
               const struct bytes *from, bool inclusive)
{
    const struct tree_node *n = t->root;
    unsigned i = 0;
    bool found;

    it->depth = 0;
    if (n == NULL) {
        return;
    }
    while (!n->leaf) {
        i = from != NULL ? tree_child_of(n, *from) : 0;
        tree_iter_push(it, n, i);
        n = node_children_const(n)[i];
    }
    i = 0;
    if (from != NULL) {
        i = node_lower(n, *from, &found);
        i += found && !inclusive;
    }
    tree_iter_push(it, n, i);
}

/* Go on to the first key of the next leaf. */
static void tree_iter_climb(struct tree_iter *it)
{
    const struct tree_node *n;

    it->depth--;
    while (it->depth > 0 &&
           ++it->path[it->depth - 1].at >= it->path[it->depth - 1].node->n) {
        it->depth--;
    }
    if (it->depth == 0) {
        return;
    }
    n = it->path[it->depth - 1].node;
    n = node_children_const(n)[it->path[it->depth - 1].at];
    while (!n->leaf) {
        tree_iter_push(it, n, 0);
        n = node_children_const(n)[0];
    }
    tree_iter_push(it, n, 0);
}

struct store_item *tree_next(struct tree_iter *it)
{
    while (it->depth > 0) {
        const struct tree_node *n = it->path[it->depth - 1].node;
        unsigned *at = &it->path[it->depth - 1].at;

        if (*at < n->n) {
            return n->keys[(*at)++];
        }
        tree_iter_climb(it);
    }
    return NULL;
}

struct store_item *tree_peek_before(struct tree_iter *it, uint32_t epoch,
                                    size_t *steps)
{
    while (it->depth > 0) {
        const struct tree_node *n = it->path[it->depth - 1].node;
        unsigned *at = &it->path[it->depth - 1].at;

        /* A leaf of only newer items is passed without touching them. */
        if (n->oldest >= epoch && *steps > 0) {
            *at = n->n;
            (*steps)--;
        }
        for (; *at < n->n; (*at)++) {
            struct store_item *item = n->keys[*at];
            if (item->epoch < epoch || *steps == 0) {
                return item;
            }
            (*steps)--;
        }
        tree_iter_climb(it);
    }
    return NULL;
}
