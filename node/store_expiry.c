/* The index of keys that expire, by (expiry, key); a tree of its own of the
 * same make as that of the keys, so it grows without a pause and goes to the
 * same garbage. Adding comes before the change it belongs to and removing
 * after, as only adding can fail. */
#include <assert.h>
#include <string.h>

#include "node/store_internal.h"
#include "raftlog/err.h"

static struct bytes index_key(struct store *s, struct bytes key,
                              uint64_t expire_ms)
{
    struct bytes out = {s->expiry_key, EXPIRY_KEY_HEAD + key.size};

    assert(key.size <= STORE_KEY_MAX);
    for (unsigned i = 0; i < EXPIRY_KEY_HEAD; i++) {
        s->expiry_key[i] = (uint8_t)(expire_ms >> (56 - 8 * i));
    }
    if (key.size > 0) {
        memcpy(s->expiry_key + EXPIRY_KEY_HEAD, key.data, key.size);
    }
    return out;
}

static uint64_t index_expire_ms(const struct store_item *item)
{
    struct bytes key = store_item_key(item);
    uint64_t ms = 0;

    for (unsigned i = 0; i < EXPIRY_KEY_HEAD; i++) {
        ms = ms << 8 | key.data[i];
    }
    return ms;
}

int expiry_index_add(struct store *s, struct bytes key, uint64_t expire_ms)
{
    static const struct bytes none = {NULL, 0};
    struct store_item *item;
    int rc;

    if (expire_ms == 0) {
        return 0;
    }
    item = store_item_new(index_key(s, key, expire_ms), none, 0, 0, s->epoch);
    if (item == NULL) {
        return ERR_NOMEM;
    }
    rc = tree_insert(&s->expiry, item);
    if (rc != 0) {
        store_item_unref(item);
        return rc;
    }
    s->expiry_sum += expire_ms;
    return 0;
}

void expiry_index_remove(struct store *s, struct bytes key, uint64_t expire_ms)
{
    struct store_item *item;

    if (expire_ms == 0) {
        return;
    }
    item = tree_remove(&s->expiry, index_key(s, key, expire_ms));
    assert(item != NULL);
    store_item_unref(item);
    s->expiry_sum -= expire_ms;
}

void expiry_index_clear(struct store *s)
{
    tree_discard(&s->expiry, &s->garbage);
    s->expiry_sum = 0;
}

int store_expire(struct store *s, uint64_t now_ms, size_t n_max, size_t *n)
{
    struct store_item *first;

    for (*n = 0; *n < n_max; (*n)++) {
        struct bytes key;
        int rc;
        first = tree_first(&s->expiry);
        if (first == NULL || index_expire_ms(first) > now_ms) {
            break;
        }
        /* The key to delete lies in the item of the index. */
        key = store_item_key(first);
        key.data += EXPIRY_KEY_HEAD;
        key.size -= EXPIRY_KEY_HEAD;
        store_item_ref(first);
        rc = store_delete(s, key);
        store_item_unref(first);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

uint64_t store_n_expires(const struct store *s)
{
    return s->expiry.n_items;
}

uint64_t store_next_expiry(const struct store *s)
{
    const struct store_item *first = tree_first(&s->expiry);

    return first != NULL ? index_expire_ms(first) : 0;
}

uint64_t store_mean_ttl(const struct store *s, uint64_t now_ms)
{
    uint64_t n = s->expiry.n_items;
    uint64_t sum = s->expiry_sum - n * now_ms;

    return n == 0 || sum > INT64_MAX ? 0 : sum / n;
}

void expiry_index_check(const struct store *s)
{
    struct tree_iter it;
    const struct store_item *item;
    uint64_t n = 0;
    uint64_t sum = 0;

    tree_check(&s->expiry);
    tree_seek(&it, &s->tree, NULL, false);
    while ((item = tree_next(&it)) != NULL) {
        n += store_item_expire_ms(item) != 0;
    }
    assert(n == s->expiry.n_items);
    tree_seek(&it, &s->expiry, NULL, false);
    while ((item = tree_next(&it)) != NULL) {
        struct bytes key = store_item_key(item);
        struct store_item **slot;
        key.data += EXPIRY_KEY_HEAD;
        key.size -= EXPIRY_KEY_HEAD;
        slot = tree_find(&s->tree, key);
        assert(slot != NULL);
        assert(store_item_expire_ms(*slot) == index_expire_ms(item));
        sum += index_expire_ms(item);
    }
    assert(sum == s->expiry_sum);
}
