/* Growing byte runs; see buffer.h. Leaves limits to the owner: a connection
 * decides how much it lets gather. */
#include "node/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BUFFER_FIRST = 256, /* first allocation, bytes */
    BUFFER_KEPT = 16384 /* what buffer_clear leaves allocated at most */
};

void buffer_init(struct buffer *b)
{
    memset(b, 0, sizeof *b);
}

void buffer_close(struct buffer *b)
{
    free(b->base);
    buffer_init(b);
}

/* Move the contents to the front. Only done when the free room in front is at
 * least as large as the contents, so that each byte is moved at most once for
 * each byte that was consumed. */
static void buffer_pack(struct buffer *b)
{
    if (b->start > 0) {
        memmove(b->base, b->base + b->start, buffer_size(b));
        b->end -= b->start;
        b->start = 0;
    }
}

uint8_t *buffer_reserve(struct buffer *b, size_t size)
{
    size_t used = buffer_size(b);
    size_t capacity;
    uint8_t *base;

    if (b->base != NULL && b->capacity - b->end >= size) {
        return b->base + b->end;
    }
    if (b->start >= used && b->base != NULL) {
        buffer_pack(b);
        if (b->capacity - b->end >= size) {
            return b->base + b->end;
        }
    }
    if (size > SIZE_MAX / 2 - b->end) {
        return NULL;
    }
    capacity = b->capacity > 0 ? b->capacity * 2 : BUFFER_FIRST;
    if (capacity < b->end + size) {
        capacity = b->end + size;
    }
    base = realloc(b->base, capacity);
    if (base == NULL) {
        return NULL;
    }
    b->base = base;
    b->capacity = capacity;
    return b->base + b->end;
}

void buffer_commit(struct buffer *b, size_t size)
{
    b->end += size;
}

void buffer_append(struct buffer *b, const void *data, size_t size)
{
    uint8_t *room;

    if (size == 0) {
        return;
    }
    room = buffer_reserve(b, size);
    if (room == NULL) {
        b->failed = true;
        return;
    }
    memcpy(room, data, size);
    b->end += size;
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    uint8_t *room;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    room = n < 0 ? NULL : buffer_reserve(b, (size_t)n + 1);
    if (room == NULL) {
        b->failed = true;
        return;
    }
    va_start(args, format);
    (void)vsnprintf((char *)room, (size_t)n + 1, format, args);
    va_end(args);
    b->end += (size_t)n;
}

void buffer_consume(struct buffer *b, size_t size)
{
    b->start += size;
    if (b->start == b->end) {
        b->start = 0;
        b->end = 0;
    }
}

void buffer_truncate(struct buffer *b, size_t size)
{
    if (size < buffer_size(b)) {
        b->end = b->start + size;
    }
}

void buffer_clear(struct buffer *b)
{
    if (b->capacity > BUFFER_KEPT) {
        buffer_close(b);
        return;
    }
    b->start = 0;
    b->end = 0;
    b->failed = false;
}
