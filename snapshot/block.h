/* One block of a snapshot file: records as one LZ4 frame of its own, so that
 * it can be read alone and the plain lz4 tool reads all. Pure. */
#ifndef SNAPSHOT_BLOCK_H
#define SNAPSHOT_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot/format.h"

/* Compress raw into out (replaced). Errors: ERR_NOMEM. */
int snapshot_block_compress(const uint8_t *raw, size_t raw_size,
                            struct snapshot_buffer *out);
/* The most that raw_size bytes become. */
size_t snapshot_block_bound(size_t raw_size);

/* A decompressor is kept by the reader from block to block. */
struct snapshot_decoder;
int snapshot_decoder_new(struct snapshot_decoder **out);
void snapshot_decoder_free(struct snapshot_decoder *d); /* NULL is allowed */
/* Decompress exactly one frame into exactly raw_size bytes.
 * Errors: ERR_CORRUPT. */
int snapshot_block_decompress(struct snapshot_decoder *d, const uint8_t *stored,
                              size_t stored_size, uint8_t *raw,
                              size_t raw_size);

#endif
