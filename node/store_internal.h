/* Inside of the store: what store.c and store_view.c share. */
#ifndef NODE_STORE_INTERNAL_H
#define NODE_STORE_INTERNAL_H

#include "node/store_tree.h"

struct store {
    struct tree tree;
    struct checksum128 hash;
    /* Counts views. Items are stamped with it, so an item of an earlier epoch
     * than the open view's is one the view has to show. */
    uint32_t epoch;
    struct store_view *view; /* NULL: none open */
    struct tree_garbage garbage;
};

struct store_view {
    struct store *store;
    struct store_item *last; /* the last one given out; NULL: at the start */
    /* Where the search in the tree stands: nothing to show lies before it. It
     * may be of any age, and gone from the tree. NULL: at the start. */
    struct store_item *ahead;
    bool tree_done;    /* nothing to show is left in the tree */
    bool at_end;       /* nor aside */
    bool detached;     /* the store was cleared: base is ours alone */
    struct tree base;  /* what the store held when it was cleared */
    struct tree aside; /* items replaced or deleted before they were passed */
};

/* Must this item of the store, about to be replaced or removed, be kept for
 * the view? */
bool store_view_needs(const struct store_view *v, const struct store_item *it);
/* Take over the whole tree of the store, which is left empty. */
void store_view_detach(struct store_view *v, struct tree *tree);
uint64_t store_view_bytes(const struct store_view *v);

/* Assert all invariants (for tests). */
void store_check(const struct store *s);

#endif
