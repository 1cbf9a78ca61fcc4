/* XXH3-64, the checksum of every record, block and peer frame. */
#ifndef RAFTLOG_CHECKSUM_H
#define RAFTLOG_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Checksum of data, chained: seed is the checksum that stands before it, or a
 * salt, or 0. Source: xxHash specification, XXH3_64bits_withSeed. */
uint64_t checksum(const void *data, size_t size, uint64_t seed);

/* 128-bit hash, for the state hash and for content ids. */
struct checksum128 {
    uint64_t low;
    uint64_t high;
};
struct checksum128 checksum128(const void *data, size_t size, uint64_t seed);

/* Incremental forms for data that arrives in pieces. */
struct checksum_stream;
struct checksum_stream *checksum_stream_new(uint64_t seed); /* NULL: NOMEM */
void checksum_stream_add(struct checksum_stream *s, const void *p, size_t n);
struct checksum128 checksum_stream_128(const struct checksum_stream *s);
void checksum_stream_free(struct checksum_stream *s); /* NULL is allowed */

#endif
