/* The key/value state: counts, hash and memory around the tree of items. The
 * tree is in store_tree.c, the frozen view in store_view.c. */
#include "node/store.h"

#include <assert.h>
#include <stdlib.h>

#include "node/store_internal.h"
#include "raftlog/err.h"

int store_new(struct store **out)
{
    struct store *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    *out = s;
    return 0;
}

void store_free(struct store *s)
{
    if (s == NULL) {
        return;
    }
    assert(s->view == NULL);
    tree_discard(&s->tree, &s->garbage);
    expiry_index_clear(s);
    while (tree_garbage_free(&s->garbage, SIZE_MAX)) {
    }
    free(s);
}

/* ---- state hash ---- */

static void hash_add(struct checksum128 *sum, struct checksum128 v)
{
    sum->low += v.low;
    sum->high += v.high + (sum->low < v.low);
}

static void hash_subtract(struct checksum128 *sum, struct checksum128 v)
{
    uint64_t borrow = sum->low < v.low;

    sum->low -= v.low;
    sum->high -= v.high + borrow;
}

struct checksum128 store_hash(const struct store *s)
{
    return s->hash;
}

/* ---- items ---- */

struct store_item *store_get(struct store *s, struct bytes key)
{
    struct store_item **slot = tree_find(&s->tree, key);

    return slot != NULL ? *slot : NULL;
}

void store_on_touch(struct store *s, store_touch_cb cb, void *ctx)
{
    s->touch = cb;
    s->touch_ctx = ctx;
}

static void store_touched(const struct store *s, struct bytes key, bool present)
{
    if (s->touch != NULL) {
        s->touch(s->touch_ctx, &key, present);
    }
}

static uint64_t data_bytes(const struct store_item *item)
{
    return store_item_key(item).size + store_item_value(item).size;
}

void store_get_counts(const struct store *s, struct store_counts *out)
{
    *out = s->counts;
}

static bool store_must_keep(const struct store *s, const struct store_item *it)
{
    return s->view != NULL && store_view_needs(s->view, it);
}

/* Another value for a key that is there; the index is the caller's. */
static int replace_item(struct store *s, struct store_item **slot,
                        struct bytes value, uint8_t type, uint64_t expire_ms)
{
    struct store_item *old = *slot;
    bool keep = store_must_keep(s, old);
    struct checksum128 old_hash = store_item_hash(old);
    struct store_item *item;
    int rc;

    if (!keep && !store_item_shared(old) &&
        store_item_overwrite(old, value, type, expire_ms)) {
        hash_subtract(&s->hash, old_hash);
        hash_add(&s->hash, store_item_hash(old));
        return 0;
    }
    item =
        store_item_new(store_item_key(old), value, type, expire_ms, s->epoch);
    if (item == NULL) {
        return ERR_NOMEM;
    }
    if (keep) {
        rc = tree_insert(&s->view->aside, old);
        if (rc != 0) {
            store_item_unref(item);
            return rc;
        }
    }
    tree_swap(&s->tree, slot, item);
    hash_subtract(&s->hash, old_hash);
    hash_add(&s->hash, store_item_hash(item));
    if (!keep) {
        store_item_unref(old);
    }
    return 0;
}

static int store_replace(struct store *s, struct store_item **slot,
                         struct bytes value, uint8_t type, uint64_t expire_ms)
{
    uint64_t before_ms = store_item_expire_ms(*slot);
    int rc;

    if (before_ms == expire_ms) {
        return replace_item(s, slot, value, type, expire_ms);
    }
    rc = expiry_index_add(s, store_item_key(*slot), expire_ms);
    if (rc != 0) {
        return rc;
    }
    rc = replace_item(s, slot, value, type, expire_ms);
    expiry_index_remove(s, store_item_key(*slot),
                        rc == 0 ? before_ms : expire_ms);
    return rc;
}

static int store_add(struct store *s, struct bytes key, struct bytes value,
                     uint8_t type, uint64_t expire_ms)
{
    struct store_item *item =
        store_item_new(key, value, type, expire_ms, s->epoch);
    int rc;

    if (item == NULL) {
        return ERR_NOMEM;
    }
    rc = expiry_index_add(s, key, expire_ms);
    if (rc != 0) {
        goto err_item;
    }
    rc = tree_insert(&s->tree, item);
    if (rc != 0) {
        goto err_expiry;
    }
    hash_add(&s->hash, store_item_hash(item));
    s->counts.n_added++;
    s->counts.data_bytes += data_bytes(item);
    store_touched(s, store_item_key(item), true);
    return 0;

err_expiry:
    expiry_index_remove(s, key, expire_ms);
err_item:
    store_item_unref(item);
    return rc;
}

int store_set(struct store *s, struct bytes key, struct bytes value,
              uint8_t type, uint64_t expire_ms)
{
    struct store_item **slot;

    if (key.size > STORE_KEY_MAX || value.size > STORE_VALUE_MAX) {
        return ERR_TOOBIG;
    }
    slot = tree_find(&s->tree, key);
    if (slot != NULL) {
        uint64_t before = data_bytes(*slot);
        int rc = store_replace(s, slot, value, type, expire_ms);
        if (rc == 0) {
            s->counts.n_replaced++;
            s->counts.data_bytes += data_bytes(*slot) - before;
            store_touched(s, store_item_key(*slot), true);
        }
        return rc;
    }
    return store_add(s, key, value, type, expire_ms);
}

int store_delete(struct store *s, struct bytes key)
{
    struct store_item **slot = tree_find(&s->tree, key);
    struct store_item *item;
    bool keep;
    int rc;

    if (slot == NULL) {
        return ERR_NOTFOUND;
    }
    keep = store_must_keep(s, *slot);
    if (keep) {
        rc = tree_insert(&s->view->aside, *slot);
        if (rc != 0) {
            return rc;
        }
    }
    expiry_index_remove(s, key, store_item_expire_ms(*slot));
    /* The key given may be the item's own, so it goes last. */
    item = tree_remove(&s->tree, key);
    hash_subtract(&s->hash, store_item_hash(item));
    s->counts.n_replaced++;
    s->counts.data_bytes -= data_bytes(item);
    store_touched(s, store_item_key(item), false);
    if (!keep) {
        store_item_unref(item);
    }
    return 0;
}

int store_clear(struct store *s)
{
    if (s->touch != NULL) {
        s->touch(s->touch_ctx, NULL, false);
    }
    s->hash.low = 0;
    s->hash.high = 0;
    s->counts.n_cleared++;
    s->counts.data_bytes = 0;
    expiry_index_clear(s);
    if (s->view != NULL && !s->view->detached) {
        store_view_detach(s->view, &s->tree);
    } else {
        tree_discard(&s->tree, &s->garbage);
    }
    return 0;
}

bool store_reclaim(struct store *s, size_t n)
{
    return tree_garbage_free(&s->garbage, n);
}

uint64_t store_count(const struct store *s)
{
    return s->tree.n_items;
}

uint64_t store_memory(const struct store *s)
{
    uint64_t n = s->tree.n_bytes + s->expiry.n_bytes + s->garbage.n_bytes;

    if (s->view != NULL) {
        n += store_view_memory(s->view);
    }
    return n;
}

void store_visit(struct store *s, struct bytes after, store_visit_cb cb,
                 void *ctx)
{
    struct tree_iter it;
    struct store_item *item;

    tree_seek(&it, &s->tree, after.data != NULL ? &after : NULL, false);
    while ((item = tree_next(&it)) != NULL) {
        if (!cb(ctx, item)) {
            return;
        }
    }
}

void store_check(const struct store *s)
{
    struct checksum128 sum = {0, 0};
    struct tree_iter it;
    struct store_item *item;

    tree_check(&s->tree);
    expiry_index_check(s);
    tree_seek(&it, &s->tree, NULL, false);
    while ((item = tree_next(&it)) != NULL) {
        hash_add(&sum, store_item_hash(item));
    }
    assert(sum.low == s->hash.low && sum.high == s->hash.high);
    if (s->view != NULL) {
        tree_check(&s->view->base);
        tree_check(&s->view->aside);
    }
}
