/* Items of the store; see store_item.h. */
#include "node/store_item.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ITEM_HEAD = 8, /* the two size words */
    ITEM_EXPIRY = 8
};
#define ITEM_HAS_EXPIRY 0x80000000u
#define ITEM_KEY_MASK 0x00ffffffu

static void item_put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static uint32_t item_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static uint32_t item_key_word(const struct store_item *item)
{
    return item_get_u32(item->body);
}

static uint32_t item_value_word(const struct store_item *item)
{
    return item_get_u32(item->body + 4);
}

static size_t item_key_offset(const struct store_item *item)
{
    return (item_value_word(item) & ITEM_HAS_EXPIRY) != 0
               ? ITEM_HEAD + ITEM_EXPIRY
               : ITEM_HEAD;
}

static size_t item_body_size(const struct store_item *item)
{
    return item_key_offset(item) + (item_key_word(item) & ITEM_KEY_MASK) +
           (item_value_word(item) & ~ITEM_HAS_EXPIRY);
}

/* The allocator hands out steps of 16 bytes less its 8 of bookkeeping. Asking
 * for whole steps costs nothing and lets a value change its size a little in
 * place, without a field that says how much room there is. */
static size_t item_room(size_t body_size)
{
    size_t size = sizeof(struct store_item) + body_size;
    return ((size + 8 + 15) & ~(size_t)15) - 8;
}

static void item_fill_head(struct store_item *item, size_t key_size,
                           size_t value_size, uint8_t type, uint64_t expire_ms)
{
    uint32_t flag = expire_ms != 0 ? ITEM_HAS_EXPIRY : 0;

    item_put_u32(item->body, (uint32_t)key_size | (uint32_t)type << 24);
    item_put_u32(item->body + 4, (uint32_t)value_size | flag);
    if (expire_ms != 0) {
        item_put_u32(item->body + 8, (uint32_t)expire_ms);
        item_put_u32(item->body + 12, (uint32_t)(expire_ms >> 32));
    }
}

struct store_item *store_item_new(struct bytes key, struct bytes value,
                                  uint8_t type, uint64_t expire_ms,
                                  uint32_t epoch)
{
    size_t at = expire_ms != 0 ? ITEM_HEAD + ITEM_EXPIRY : ITEM_HEAD;
    struct store_item *item = malloc(item_room(at + key.size + value.size));

    if (item == NULL) {
        return NULL;
    }
    item->refs = 1;
    item->epoch = epoch;
    item_fill_head(item, key.size, value.size, type, expire_ms);
    if (key.size > 0) {
        memcpy(item->body + at, key.data, key.size);
    }
    if (value.size > 0) {
        memcpy(item->body + at + key.size, value.data, value.size);
    }
    return item;
}

bool store_item_overwrite(struct store_item *item, struct bytes value,
                          uint8_t type, uint64_t expire_ms)
{
    size_t at = item_key_offset(item);
    size_t key_size = item_key_word(item) & ITEM_KEY_MASK;
    bool has_expiry = at != ITEM_HEAD;

    if (has_expiry != (expire_ms != 0) ||
        item_room(at + key_size + value.size) !=
            item_room(item_body_size(item))) {
        return false;
    }
    if (value.size > 0) {
        memmove(item->body + at + key_size, value.data, value.size);
    }
    item_fill_head(item, key_size, value.size, type, expire_ms);
    return true;
}

bool store_item_shared(const struct store_item *item)
{
    /* Acquire: what another thread did with its reference comes before. */
    return __atomic_load_n(&item->refs, __ATOMIC_ACQUIRE) != 1;
}

struct checksum128 store_item_hash(const struct store_item *item)
{
    return checksum128(item->body, item_body_size(item), 0);
}

size_t store_item_bytes(const struct store_item *item)
{
    return item_room(item_body_size(item));
}

int store_key_compare(struct bytes a, struct bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int c = n > 0 ? memcmp(a.data, b.data, n) : 0;

    if (c != 0) {
        return c;
    }
    return (a.size > b.size) - (a.size < b.size);
}

struct bytes store_item_key(const struct store_item *item)
{
    struct bytes key = {item->body + item_key_offset(item),
                        item_key_word(item) & ITEM_KEY_MASK};
    return key;
}

struct bytes store_item_value(const struct store_item *item)
{
    struct bytes key = store_item_key(item);
    struct bytes value = {key.data + key.size,
                          item_value_word(item) & ~ITEM_HAS_EXPIRY};
    return value;
}

uint8_t store_item_type(const struct store_item *item)
{
    return (uint8_t)(item_key_word(item) >> 24);
}

uint64_t store_item_expire_ms(const struct store_item *item)
{
    if (item_key_offset(item) == ITEM_HEAD) {
        return 0;
    }
    return item_get_u32(item->body + 8) |
           (uint64_t)item_get_u32(item->body + 12) << 32;
}

struct store_item *store_item_ref(struct store_item *item)
{
    uint32_t before = __atomic_fetch_add(&item->refs, 1, __ATOMIC_RELAXED);
    assert(before > 0 && before < UINT32_MAX);
    (void)before;
    return item;
}

void store_item_unref(struct store_item *item)
{
    uint32_t before = __atomic_fetch_sub(&item->refs, 1, __ATOMIC_ACQ_REL);
    assert(before > 0);
    if (before == 1) {
        free(item);
    }
}
