/* The key/value state: ordered, binary-safe, hashed, and readable at one log
 * index while it changes.
 *
 * Keys are kept in byte order in a tree of small nodes, so nothing ever grows
 * by a pause. The state hash is the sum over all entries (mod 2^128) of
 * XXH3-128 of the entry, so each change updates it in O(1) and equal contents
 * give equal hashes whatever the history.
 *
 * Keys that expire stand a second time in an index by (expiry, key), so what is
 * due is found in order, and keys that do not expire cost nothing. The store
 * itself never looks at a clock: an item whose time has come stays until
 * store_expire or a write takes it out.
 *
 * A frozen view lets a snapshot read the state of the moment of the freeze in
 * slices while writes go on: the first write to a key the view has not passed
 * yet keeps the old item aside for it; memory is spent only for what is
 * overwritten meanwhile.
 *
 * Thread: one (the loop, or a pool thread that builds a store nobody else
 * sees). Items are immutable and counted, so a pool thread may read an item
 * that the loop has replaced. */
#ifndef NODE_STORE_H
#define NODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/byte.h"
#include "raftlog/checksum.h"

enum { STORE_KEY_MAX = 64 * 1024, STORE_VALUE_MAX = 64 * 1024 * 1024 };

/* One key with its value; counted. Never changed once another owner than the
 * store holds a reference. */
struct store_item;
struct bytes store_item_key(const struct store_item *item);
struct bytes store_item_value(const struct store_item *item);
uint8_t store_item_type(const struct store_item *item);       /* 0: string */
uint64_t store_item_expire_ms(const struct store_item *item); /* 0: never */
struct store_item *store_item_ref(struct store_item *item);
void store_item_unref(struct store_item *item); /* any thread */

struct store;
int store_new(struct store **out); /* ERR_NOMEM */
void store_free(struct store *s);

/* The item of a key, borrowed until the next change; NULL when absent. */
struct store_item *store_get(struct store *s, struct bytes key);
/* Set a key. Errors: ERR_NOMEM (unchanged), ERR_TOOBIG. */
int store_set(struct store *s, struct bytes key, struct bytes value,
              uint8_t type, uint64_t expire_ms);
/* Errors: ERR_NOTFOUND; ERR_NOMEM (unchanged) only while a view is open. */
int store_delete(struct store *s, struct bytes key);
/* Delete keys whose expiry is not later than now_ms: at most n_max of them, the
 * earliest first, at equal times in order of keys. *n: how many. Errors:
 * ERR_NOMEM as store_delete; *n were deleted before it. */
int store_expire(struct store *s, uint64_t now_ms, size_t n_max, size_t *n);
/* Remove everything, in O(1) for the caller; memory goes back in
 * store_reclaim. */
int store_clear(struct store *s);
/* Free at most about n items of what store_clear left; true while more is. */
bool store_reclaim(struct store *s, size_t n);

uint64_t store_count(const struct store *s);
/* Keys that have an expiry, and the earliest of them (0: there is none). */
uint64_t store_n_expires(const struct store *s);
uint64_t store_next_expiry(const struct store *s);
/* Mean time from now_ms to the expiries, 0 when there are none or most have
 * passed. Right as long as the sum of these times is below 2^63 ms. */
uint64_t store_mean_ttl(const struct store *s, uint64_t now_ms);
struct checksum128 store_hash(const struct store *s);
/* What has happened to items since the store was made, and the bytes of keys
 * and values that are there. */
struct store_counts {
    uint64_t n_added;    /* keys that were not there */
    uint64_t n_replaced; /* items replaced or deleted */
    uint64_t n_cleared;  /* store_clear */
    uint64_t data_bytes;
};
void store_get_counts(const struct store *s, struct store_counts *out);
/* Bytes of items, index and tree nodes, as asked from the allocator. */
uint64_t store_memory(const struct store *s);

/* Visit in order the items with key > after (key >= first when after.data is
 * NULL: from the start). Stops when cb returns false. Items are borrowed. */
typedef bool (*store_visit_cb)(void *ctx, struct store_item *item);
void store_visit(struct store *s, struct bytes after, store_visit_cb cb,
                 void *ctx);

/* Be told of each change of a key, when it is done: set (present) or removed;
 * key NULL: everything was removed. key is borrowed. cb must not touch the
 * store; NULL: nobody wants to know, which is the usual state and costs one
 * comparison. */
typedef void (*store_touch_cb)(void *ctx, const struct bytes *key,
                               bool present);
void store_on_touch(struct store *s, store_touch_cb cb, void *ctx);

/* ---- frozen view -----------------------------------------------------------
 * At most one at a time. */
struct store_view;
/* ERR_BUSY: there is one already. O(1). */
int store_view_open(struct store *s, struct store_view **out);
/* The next items in order: at most n_max items and about bytes_max bytes of
 * them (at least one item), each with a reference given to the caller.
 * *n == 0: the end. Errors: ERR_NOMEM. */
int store_view_next(struct store_view *v, struct store_item **items,
                    size_t n_max, size_t bytes_max, size_t *n);
/* Bytes kept aside for this view. */
uint64_t store_view_memory(const struct store_view *v);
void store_view_close(struct store_view *v);

#endif
