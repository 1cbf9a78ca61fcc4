/* Little-endian encoding through cursors that carry their end.
 *
 * A reader or writer that would pass its end sets `failed` and from then on
 * reads zeroes or writes nothing, so a decoder checks once, at the end of a
 * group of fields. Structs are never cast to bytes. */
#ifndef RAFTLOG_BYTE_H
#define RAFTLOG_BYTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct byte_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

struct byte_writer {
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct byte_reader byte_reader(const void *data, size_t size)
{
    struct byte_reader r = {data, (const uint8_t *)data + size, false};
    return r;
}

static inline struct byte_writer byte_writer(void *data, size_t size)
{
    struct byte_writer w = {data, (uint8_t *)data + size, false};
    return w;
}

static inline size_t byte_left(const struct byte_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->at);
}

/* The next size bytes, borrowed from the buffer; NULL once failed. */
static inline const uint8_t *byte_get(struct byte_reader *r, size_t size)
{
    const uint8_t *p = r->at;
    if (r->failed || (size_t)(r->end - r->at) < size) {
        r->failed = true;
        return NULL;
    }
    r->at += size;
    return p;
}

static inline uint64_t byte_get_uint(struct byte_reader *r, size_t size)
{
    const uint8_t *p = byte_get(r, size);
    uint64_t v = 0;
    if (p == NULL) {
        return 0;
    }
    for (size_t i = 0; i < size; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

static inline uint8_t byte_get_u8(struct byte_reader *r)
{
    return (uint8_t)byte_get_uint(r, 1);
}

static inline uint16_t byte_get_u16(struct byte_reader *r)
{
    return (uint16_t)byte_get_uint(r, 2);
}

static inline uint32_t byte_get_u32(struct byte_reader *r)
{
    return (uint32_t)byte_get_uint(r, 4);
}

static inline uint64_t byte_get_u64(struct byte_reader *r)
{
    return byte_get_uint(r, 8);
}

/* LEB128, at most ten bytes; a value over 64 bits fails the reader. */
static inline uint64_t byte_get_varint(struct byte_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = byte_get_u8(r);
        if (r->failed || (shift == 63 && b > 1)) {
            break;
        }
        v |= (uint64_t)(b & 0x7f) << shift;
        if ((b & 0x80) == 0) {
            return v;
        }
    }
    r->failed = true;
    return 0;
}

/* Room for the next size bytes, to be filled by the caller; NULL once failed.
 */
static inline uint8_t *byte_put_room(struct byte_writer *w, size_t size)
{
    uint8_t *p = w->at;
    if (w->failed || (size_t)(w->end - w->at) < size) {
        w->failed = true;
        return NULL;
    }
    w->at += size;
    return p;
}

static inline void byte_put(struct byte_writer *w, const void *data,
                            size_t size)
{
    uint8_t *p = byte_put_room(w, size);
    if (p != NULL && size > 0) {
        memcpy(p, data, size);
    }
}

static inline void byte_put_uint(struct byte_writer *w, uint64_t v, size_t size)
{
    uint8_t *p = byte_put_room(w, size);
    for (size_t i = 0; p != NULL && i < size; i++) {
        p[i] = (uint8_t)(v >> (8 * i));
    }
}

static inline void byte_put_u8(struct byte_writer *w, uint8_t v)
{
    byte_put_uint(w, v, 1);
}

static inline void byte_put_u16(struct byte_writer *w, uint16_t v)
{
    byte_put_uint(w, v, 2);
}

static inline void byte_put_u32(struct byte_writer *w, uint32_t v)
{
    byte_put_uint(w, v, 4);
}

static inline void byte_put_u64(struct byte_writer *w, uint64_t v)
{
    byte_put_uint(w, v, 8);
}

enum { BYTE_VARINT_MAX = 10 };

static inline void byte_put_varint(struct byte_writer *w, uint64_t v)
{
    while (v >= 0x80) {
        byte_put_u8(w, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    byte_put_u8(w, (uint8_t)v);
}

static inline size_t byte_varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* A run of bytes somewhere: borrowed, binary-safe. */
struct bytes {
    const uint8_t *data;
    size_t size;
};

/* Order as unsigned bytes, a shorter one first: negative, 0, positive. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t n = a.size < b.size ? a.size : b.size;
    int order = n == 0 ? 0 : memcmp(a.data, b.data, n);

    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

#endif
