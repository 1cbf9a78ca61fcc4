/* Inside of the store: the ordered tree of items (a B+tree).
 *
 *                 inner   [ -inf | "d" | "pk" ]           keys: separators
 *                          /       |        \
 *      leaf [apt bash]  [dpkg gcc less]  [procps vim]     keys: items
 *
 * A node holds up to TREE_WIDTH keys. Beside each key stand the four bytes of
 * it that follow what all keys of the node have in common, so that a search
 * touches the memory of hardly more than one key per node.
 *
 * Insertion splits full nodes on its way down, so a failed allocation leaves a
 * valid tree. Deletion joins neighbours that together fill no more than three
 * quarters of a node. The cost of any operation is bounded by the depth. */
#ifndef NODE_STORE_TREE_H
#define NODE_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/store_item.h"

enum {
    TREE_WIDTH = 64,    /* keys of a node */
    TREE_DEPTH_MAX = 24 /* far beyond what fits in memory */
};

struct tree_node;

struct tree {
    struct tree_node *root; /* NULL: empty */
    uint64_t n_items;
    uint64_t n_bytes; /* of nodes, separators and items */
};

struct tree_iter {
    struct {
        const struct tree_node *node;
        unsigned at;
    } path[TREE_DEPTH_MAX];
    unsigned depth; /* 0: at the end */
};

/* Where the pointer to the item of a key is kept; NULL when absent. */
struct store_item **tree_find(const struct tree *t, struct bytes key);
/* Put another item of the same key in a slot of tree_find. The new item is
 * taken, the old one given. */
struct store_item *tree_swap(struct tree *t, struct store_item **slot,
                             struct store_item *item);
/* Add an item (taken) whose key is not there. ERR_NOMEM: not taken. */
int tree_insert(struct tree *t, struct store_item *item);
/* Take an item out (given); NULL when absent. */
struct store_item *tree_remove(struct tree *t, struct bytes key);
/* The item with the smallest key, borrowed; NULL when empty. */
struct store_item *tree_first(const struct tree *t);

/* Start behind a key (inclusive: at it), or at the start when from is NULL.
 * The tree must not change while the iterator is used. */
void tree_seek(struct tree_iter *it, const struct tree *t,
               const struct bytes *from, bool inclusive);
/* The next item, borrowed; NULL at the end. */
struct store_item *tree_next(struct tree_iter *it);
/* The first item from here on that was made before the epoch, borrowed; the
 * iterator stays at it. Each newer item passed takes one from *steps; when they
 * are used up the search gives the item it has come to, which may be newer.
 * NULL: the end. */
struct store_item *tree_peek_before(struct tree_iter *it, uint32_t epoch,
                                    size_t *steps);

/* Trees that are no longer needed, freed bit by bit. */
struct tree_garbage {
    struct tree_node *roots;
    uint64_t n_bytes;
};
/* Empties the tree in O(1). */
void tree_discard(struct tree *t, struct tree_garbage *g);
/* Free about n items; true while there is more. */
bool tree_garbage_free(struct tree_garbage *g, size_t n);

/* Assert everything that must hold between nodes (for tests). */
void tree_check(const struct tree *t);

#endif
