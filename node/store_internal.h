/* Inside of the store: what store.c and store_view.c share. */
#ifndef NODE_STORE_INTERNAL_H
#define NODE_STORE_INTERNAL_H

#include "node/store_tree.h"

enum { EXPIRY_KEY_HEAD = 8 };

struct store {
    struct tree tree;
    struct checksum128 hash;
    /* Counts views. Items are stamped with it, so an item of an earlier epoch
     * than the open view's is one the view has to show. */
    uint32_t epoch;
    struct store_view *view; /* NULL: none open */
    struct tree_garbage garbage;
    /* One item for each key that expires, without a value; its key is
     * EXPIRY_KEY_HEAD bytes of the expiry, big-endian, and the key. */
    struct tree expiry;
    uint64_t expiry_sum; /* of all expiries, mod 2^64 */
    uint8_t expiry_key[EXPIRY_KEY_HEAD + STORE_KEY_MAX]; /* to search with */
    struct store_counts counts;
    store_touch_cb touch; /* NULL: nobody listens */
    void *touch_ctx;
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

/* ---- store_expiry.c: the index. A key with expiry 0 is not in it. ---- */

/* ERR_NOMEM: not added. */
int expiry_index_add(struct store *s, struct bytes key, uint64_t expire_ms);
/* What was added. key may lie in the item that expires. */
void expiry_index_remove(struct store *s, struct bytes key, uint64_t expire_ms);
void expiry_index_clear(struct store *s);
void expiry_index_check(const struct store *s);

/* Assert all invariants (for tests). */
void store_check(const struct store *s);

#endif
