/* Inside of the store: one node of the tree. */
#ifndef NODE_STORE_NODE_H
#define NODE_STORE_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/store_tree.h"

/* The shortest run of bytes that is greater than every key to its left and not
 * greater than any key to its right. */
struct separator {
    uint32_t size;
    uint8_t data[];
};

/* A leaf; an inner node has its children behind it. keys[0] of an inner node
 * is NULL: it stands for "before everything". */
struct tree_node {
    struct tree_node *next; /* of the garbage list */
    uint16_t n;             /* keys of a leaf, children of an inner node */
    bool leaf;
    uint32_t skip;   /* bytes that all keys are known to begin with */
    uint32_t oldest; /* no item of this leaf is of an earlier epoch */
    /* The four bytes behind `skip` of each key, big-endian, zero-padded: they
     * order as the keys do, except that equal ones say nothing. */
    uint32_t heads[TREE_WIDTH];
    void *keys[TREE_WIDTH]; /* struct store_item or struct separator */
};

struct tree_inner {
    struct tree_node node;
    struct tree_node *children[TREE_WIDTH];
};

static inline struct tree_node **node_children(struct tree_node *n)
{
    return ((struct tree_inner *)(void *)n)->children;
}

static inline struct tree_node *const *
node_children_const(const struct tree_node *n)
{
    return ((const struct tree_inner *)(const void *)n)->children;
}

/* NULL: out of memory. */
struct tree_node *node_new(bool leaf);
size_t node_bytes(const struct tree_node *n);
struct bytes node_key(const struct tree_node *n, unsigned i);
/* The first key not less than this one, n->n when all are; *found: equal. */
unsigned node_lower(const struct tree_node *n, struct bytes key, bool *found);
/* The place of a key in a leaf, n->n when it is not there. Cheaper than
 * node_lower: what the keys have in common is not compared on its own. */
unsigned node_find(const struct tree_node *n, struct bytes key);
/* Begin to load what a search will look at. */
static inline void node_prefetch(const struct tree_node *n)
{
    const char *p = (const char *)n;

    for (size_t i = 0; i < offsetof(struct tree_node, keys); i += 64) {
        __builtin_prefetch(p + i);
    }
}
/* Add a key, and the child to the right of it in an inner node. */
void node_add(struct tree_node *n, unsigned i, void *key,
              struct tree_node *child);
void node_remove_key(struct tree_node *n, unsigned i);
/* Forget a child and the key to its left (right, for the first one), which the
 * caller has freed or moved. */
void node_remove_child(struct tree_node *n, unsigned i);
/* Move the keys from at on to an empty node. The key `at` of an inner node
 * becomes the caller's. */
void node_move_tail(struct tree_node *n, unsigned at, struct tree_node *right);
/* Move everything of the right neighbour into a node with room. */
void node_append_all(struct tree_node *n, struct tree_node *right);

/* NULL: out of memory. */
struct separator *separator_new(struct bytes left, struct bytes right);
size_t separator_bytes(const struct separator *s);

#endif
