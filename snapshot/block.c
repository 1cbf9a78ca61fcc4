/* LZ4 frames of blocks.
 *
 * Each frame tells its content size and carries lz4's own content checksum, so
 * that `lz4 -t` checks a file without us. The checksum that counts is the one
 * in the index: it covers the stored bytes and is checked before they reach
 * the decompressor. */
#include "snapshot/block.h"

#include <stdlib.h>
#include <string.h>

#include <lz4frame.h>

struct snapshot_decoder {
    LZ4F_dctx *lz4;
};

static LZ4F_preferences_t preferences(size_t raw_size)
{
    LZ4F_preferences_t p;

    memset(&p, 0, sizeof p);
    p.frameInfo.blockSizeID = LZ4F_max256KB;
    p.frameInfo.blockMode = LZ4F_blockIndependent;
    p.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
    p.frameInfo.contentSize = raw_size;
    return p;
}

size_t snapshot_block_bound(size_t raw_size)
{
    LZ4F_preferences_t p = preferences(raw_size);
    return LZ4F_compressFrameBound(raw_size, &p);
}

int snapshot_block_compress(const uint8_t *raw, size_t raw_size,
                            struct snapshot_buffer *out)
{
    LZ4F_preferences_t p = preferences(raw_size);
    int rv;
    size_t n;

    snapshot_buffer_reset(out);
    rv = snapshot_buffer_reserve(out, snapshot_block_bound(raw_size));
    if (rv != 0) {
        return rv;
    }
    n = LZ4F_compressFrame(out->data, out->capacity, raw, raw_size, &p);
    if (LZ4F_isError(n)) {
        return ERR_NOMEM; /* With room enough there is no other reason. */
    }
    out->size = n;
    return 0;
}

int snapshot_decoder_new(struct snapshot_decoder **out)
{
    struct snapshot_decoder *d = malloc(sizeof *d);

    if (d == NULL) {
        return ERR_NOMEM;
    }
    if (LZ4F_isError(LZ4F_createDecompressionContext(&d->lz4, LZ4F_VERSION))) {
        free(d);
        return ERR_NOMEM;
    }
    *out = d;
    return 0;
}

void snapshot_decoder_free(struct snapshot_decoder *d)
{
    if (d != NULL) {
        LZ4F_freeDecompressionContext(d->lz4);
        free(d);
    }
}

int snapshot_block_decompress(struct snapshot_decoder *d, const uint8_t *stored,
                              size_t stored_size, uint8_t *raw, size_t raw_size)
{
    size_t in_done = 0;
    size_t out_done = 0;
    size_t hint;

    LZ4F_resetDecompressionContext(d->lz4);
    do {
        size_t in = stored_size - in_done;
        size_t out = raw_size - out_done;

        hint = LZ4F_decompress(d->lz4, raw + out_done, &out, stored + in_done,
                               &in, NULL);
        in_done += in;
        out_done += out;
        if (LZ4F_isError(hint) || (in == 0 && out == 0)) {
            return ERR_CORRUPT; /* Damaged, or wants more than there is. */
        }
    } while (hint != 0);
    return in_done == stored_size && out_done == raw_size ? 0 : ERR_CORRUPT;
}
