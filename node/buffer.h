/* A growing run of bytes: input of a connection, replies waiting to be sent.
 *
 * Bytes are added at the end and consumed at the front; consuming does not
 * move memory until half of it is free, so both are amortised O(1). */
#ifndef NODE_BUFFER_H
#define NODE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *base;
    size_t start; /* first byte not consumed */
    size_t end;   /* behind the last byte */
    size_t capacity;
    bool failed; /* an append ran out of memory; contents incomplete */
};

void buffer_init(struct buffer *b);
void buffer_close(struct buffer *b);
static inline const uint8_t *buffer_data(const struct buffer *b)
{
    /* Nothing is added to a null pointer, not even nothing. */
    return b->base != NULL ? b->base + b->start : NULL;
}
static inline size_t buffer_size(const struct buffer *b)
{
    return b->end - b->start;
}
/* Room for at least size bytes behind the end; NULL: out of memory. */
uint8_t *buffer_reserve(struct buffer *b, size_t size);
/* Bytes that were written into reserved room now count. */
void buffer_commit(struct buffer *b, size_t size);
void buffer_append(struct buffer *b, const void *data, size_t size);
void buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void buffer_consume(struct buffer *b, size_t size);
/* Forget all but the first size bytes of the contents. */
void buffer_truncate(struct buffer *b, size_t size);
void buffer_clear(struct buffer *b); /* keeps a little memory, frees a lot */

#endif
