/* The small files of a data directory from arbitrary bytes: hard state slots,
 * identity, book of peers. As they are and with their checksums made good. What
 * decodes must, encoded and decoded again, be the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/peer_book.h"
#include "raftlog/byte.h"
#include "raftlog/checksum.h"
#include "raftlog/hardstate.h"
#include "raftlog/identity.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

static void fuzz_hardstate(const uint8_t *data, size_t size)
{
    struct hardstate h;
    struct hardstate again;
    uint8_t block[4096];
    memset(&h, 0, sizeof h);
    memset(&again, 0, sizeof again);
    if (hardstate_decode(data, size, &h) != 0) {
        return;
    }
    hardstate_encode(&h, block, sizeof block);
    CHECK(hardstate_decode(block, sizeof block, &again) == 0);
    CHECK(memcmp(&h, &again, sizeof h) == 0);
}

static void fuzz_identity(const uint8_t *data, size_t size)
{
    static struct identity id;
    static uint8_t out[IDENTITY_SIZE_MAX];
    size_t n;
    if (identity_decode(data, size, &id) != 0) {
        return;
    }
    identity_encode(&id, out, &n);
    CHECK(n == size && memcmp(out, data, size) == 0);
}

static void fuzz_book(const uint8_t *data, size_t size)
{
    struct peer_book book;
    struct peer_book again;
    uint8_t out[PEER_BOOK_SIZE_MAX];
    size_t n;
    if (peer_book_decode(data, size, &book) != 0) {
        return;
    }
    CHECK(book.n <= PEER_BOOK_MAX);
    n = peer_book_encode(&book, out);
    CHECK(n <= size); /* an id that stands twice is kept once */
    CHECK(peer_book_decode(out, n, &again) == 0);
    CHECK(memcmp(&book, &again, sizeof book) == 0);
}

/* The checksum of data[0..size) with this seed, behind it. */
static void seal(uint8_t *data, size_t size, uint64_t seed)
{
    struct byte_writer w = byte_writer(data + size, 8);
    byte_put_u64(&w, checksum(data, size, seed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *good;
    fuzz_hardstate(data, size);
    fuzz_identity(data, size);
    fuzz_book(data, size);
    if (size < 8) {
        return 0;
    }
    good = malloc(size);
    CHECK(good != NULL);
    memcpy(good, data, size);
    seal(good, size - 8, 0);
    fuzz_identity(good, size);
    seal(good, size - 8, PEER_BOOK_VERSION);
    fuzz_book(good, size);
    if (size >= HARDSTATE_SIZE) {
        memcpy(good, data, size);
        seal(good, HARDSTATE_SIZE - 8, 0);
        fuzz_hardstate(good, size);
        /* Version 1 had its checksum elsewhere. */
        memcpy(good, data, size);
        seal(good, 88, 0);
        fuzz_hardstate(good, size);
    }
    free(good);
    return 0;
}
