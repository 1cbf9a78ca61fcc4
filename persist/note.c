/* Notes as bytes; see note.h. */
#include "persist/note.h"

#include <string.h>

#include "raftlog/byte.h"
#include "raftlog/err.h"

static const uint8_t note_magic[8] = {'C', 'K', 'V', 'S', 'T', 'R', 'M', '1'};

void note_encode(const struct note *n, uint8_t out[NOTE_SIZE])
{
    struct byte_writer w = byte_writer(out, NOTE_SIZE);

    byte_put(&w, note_magic, sizeof note_magic);
    byte_put_u8(&w, n->kind);
    byte_put_u64(&w, n->from);
    byte_put_u64(&w, n->to);
    byte_put(&w, n->base, sizeof n->base);
}

int note_decode(const void *data, size_t size, struct note *out)
{
    struct byte_reader r = byte_reader(data, size);
    const uint8_t *magic = byte_get(&r, sizeof note_magic);
    const uint8_t *base;
    struct note n;

    if (magic == NULL || memcmp(magic, note_magic, sizeof note_magic) != 0) {
        return ERR_CORRUPT;
    }
    n.kind = byte_get_u8(&r);
    n.from = byte_get_u64(&r);
    n.to = byte_get_u64(&r);
    base = byte_get(&r, sizeof n.base);
    if (r.failed || byte_left(&r) != 0 || n.kind < NOTE_BASE ||
        n.kind > NOTE_INCREMENT) {
        return ERR_CORRUPT;
    }
    memcpy(n.base, base, sizeof n.base);
    *out = n;
    return 0;
}
