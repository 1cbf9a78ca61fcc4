/* XXH3 behind names of our own, so that one file knows the library.
 *
 * Source: xxHash specification, XXH3 64 and 128 bits with seed. What a
 * checksum covers and where it stands is left to the formats. */
#include "raftlog/checksum.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

struct checksum_stream {
    XXH3_state_t *state; /* From the library: it needs 64-byte alignment. */
};

static struct checksum128 from_xxh(XXH128_hash_t hash)
{
    struct checksum128 out = {hash.low64, hash.high64};
    return out;
}

uint64_t checksum(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

struct checksum128 checksum128(const void *data, size_t size, uint64_t seed)
{
    return from_xxh(XXH3_128bits_withSeed(data, size, seed));
}

struct checksum_stream *checksum_stream_new(uint64_t seed)
{
    struct checksum_stream *s = malloc(sizeof *s);

    if (s == NULL) {
        return NULL;
    }
    s->state = XXH3_createState();
    if (s->state == NULL ||
        XXH3_128bits_reset_withSeed(s->state, seed) != XXH_OK) {
        checksum_stream_free(s);
        return NULL;
    }
    return s;
}

void checksum_stream_add(struct checksum_stream *s, const void *p, size_t n)
{
    if (n > 0) { /* An empty run may come with a NULL pointer. */
        XXH_errorcode rv = XXH3_128bits_update(s->state, p, n);
        assert(rv == XXH_OK);
        (void)rv;
    }
}

struct checksum128 checksum_stream_128(const struct checksum_stream *s)
{
    return from_xxh(XXH3_128bits_digest(s->state));
}

void checksum_stream_free(struct checksum_stream *s)
{
    if (s != NULL) {
        XXH3_freeState(s->state);
        free(s);
    }
}
