/* Encoding of operations; see entry.h. */
#include "persist/entry.h"

#include <assert.h>

size_t entry_size(const struct entry *e)
{
    if (e->kind == ENTRY_MARK) {
        return 0;
    }
    return byte_varint_size(e->key.size) + e->key.size + e->value.size;
}

void entry_encode(const struct entry *e, void *out)
{
    struct byte_writer w = byte_writer(out, entry_size(e));

    if (e->kind == ENTRY_MARK) {
        return;
    }
    byte_put_varint(&w, e->key.size);
    byte_put(&w, e->key.data, e->key.size);
    byte_put(&w, e->value.data, e->value.size);
    assert(!w.failed && w.at == w.end);
}

int entry_decode(uint8_t kind, const void *data, size_t size, struct entry *out)
{
    struct byte_reader r = byte_reader(data, size);
    struct entry e = {(enum entry_kind)kind, {NULL, 0}, {NULL, 0}};
    uint64_t key_size;

    switch (kind) {
    case ENTRY_MARK:
        if (size != 0) {
            return ERR_CORRUPT;
        }
        *out = e;
        return 0;
    case ENTRY_SET:
    case ENTRY_DEL:
    case ENTRY_MOD:
        break;
    default:
        return ERR_CORRUPT;
    }
    key_size = byte_get_varint(&r);
    if (r.failed || key_size > byte_left(&r)) {
        return ERR_CORRUPT;
    }
    e.key.size = (size_t)key_size;
    e.key.data = byte_get(&r, e.key.size);
    e.value.size = byte_left(&r);
    e.value.data = byte_get(&r, e.value.size);
    if (kind == ENTRY_DEL && e.value.size != 0) {
        return ERR_CORRUPT;
    }
    *out = e;
    return 0;
}
