/* Snapshot files and manifests from arbitrary bytes.
 *
 * Checksums would stop nearly every mutation at the door, so the input is also
 * given to what lies behind them: with the checksums of header and manifest
 * made good, and straight to the decoders of entries, records and blocks. What
 * decodes must encode to the same bytes again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "raftlog/file.h"
#include "snapshot/block.h"
#include "snapshot/format.h"
#include "snapshot/snapshot.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

/* Make length and checksum of an envelope what its bytes say. */
static void make_good(uint8_t *envelope, size_t size)
{
    struct byte_writer w;

    if (size < SNAPSHOT_ENVELOPE_SIZE) {
        return;
    }
    w = byte_writer(envelope + 12, 4);
    byte_put_u32(&w, (uint32_t)(size - SNAPSHOT_ENVELOPE_HEAD));
    w = byte_writer(envelope + size - 8, 8);
    byte_put_u64(&w, checksum(envelope, size - 8, 0));
}

static void fuzz_manifest(const uint8_t *data, size_t size, bool good)
{
    struct snapshot_manifest m;
    struct err_info info;
    uint8_t *copy = malloc(size > 0 ? size : 1);
    void *again;
    size_t size_again;

    CHECK(copy != NULL);
    memcpy(copy, data, size);
    if (good) {
        make_good(copy, size);
    }
    if (snapshot_manifest_decode(copy, size, &m, &info) == 0) {
        CHECK(snapshot_manifest_encode(&m, &again, &size_again) == 0);
        CHECK(size_again == size && memcmp(copy, again, size) == 0);
        free(again);
        snapshot_manifest_clear(&m);
    }
    free(copy);
}

static void fuzz_header(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    uint8_t *again = malloc(SNAPSHOT_HEADER_MAX);
    struct snapshot_meta meta;
    uint64_t sum;
    size_t n;

    CHECK(copy != NULL && again != NULL);
    memcpy(copy, data, size);
    if (size >= SNAPSHOT_SKIP_SIZE + SNAPSHOT_ENVELOPE_HEAD &&
        snapshot_header_size(copy, &n) == 0 && n <= size) {
        make_good(copy + SNAPSHOT_SKIP_SIZE, n - SNAPSHOT_SKIP_SIZE);
        if (snapshot_header_decode(copy, n, &meta, &sum) == 0) {
            CHECK(snapshot_header_encode(&meta, again, &sum) == n);
            CHECK(memcmp(again, copy, n) == 0);
        }
    }
    free(copy);
    free(again);
}

static void fuzz_records(const uint8_t *data, size_t size)
{
    struct byte_reader r = byte_reader(data, size);
    struct snapshot_record record;

    while (byte_left(&r) > 0) {
        const uint8_t *start = r.at;
        struct byte_writer w;
        uint8_t *again;
        size_t n;

        if (snapshot_record_decode(&r, &record) != 0) {
            return;
        }
        n = snapshot_record_size(&record);
        CHECK(n == (size_t)(r.at - start));
        again = malloc(n);
        CHECK(again != NULL);
        w = byte_writer(again, n);
        snapshot_record_encode(&w, &record);
        CHECK(!w.failed && memcmp(again, start, n) == 0);
        free(again);
    }
}

static void fuzz_entries(const uint8_t *data, size_t size)
{
    struct byte_reader r = byte_reader(data, size);
    struct snapshot_entry entry;

    while (byte_left(&r) > 0 && snapshot_entry_decode(&r, &entry) == 0) {
        CHECK(entry.separator_size <= SNAPSHOT_SEPARATOR_MAX);
        CHECK(entry.raw_size <= SNAPSHOT_BLOCK_RAW_MAX);
    }
}

static void fuzz_block(const uint8_t *data, size_t size)
{
    struct snapshot_decoder *d;
    size_t raw_size = 1 + size * 7 % 5000;
    uint8_t *raw = malloc(raw_size);

    CHECK(raw != NULL && snapshot_decoder_new(&d) == 0);
    (void)snapshot_block_decompress(d, data, size, raw, raw_size);
    snapshot_decoder_free(d);
    free(raw);
}

static void fuzz_file(const uint8_t *data, size_t size)
{
    static char path[64];
    struct snapshot_reader *r;
    struct snapshot_record record;
    struct bytes key = {data, size < 20 ? size : 20};
    struct err_info info;
    struct file *f;

    if (path[0] == '\0') {
        snprintf(path, sizeof path, "/tmp/fuzz-snapshot-%d", (int)getpid());
    }
    CHECK(file_open(path, FILE_WRITE | FILE_CREATE, &f) == 0);
    CHECK(file_truncate(f, 0) == 0);
    CHECK(file_write_at(f, data, size, 0) == 0);
    file_close(f);
    if (snapshot_reader_open(path, &r, &info) == 0) {
        while (snapshot_reader_next(r, &record, &info) == 1) {
            continue;
        }
        (void)snapshot_reader_seek(r, key, &info);
        (void)snapshot_reader_next(r, &record, &info);
        snapshot_reader_close(r);
    }
    (void)file_unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_manifest(data, size, false);
    fuzz_manifest(data, size, true);
    fuzz_header(data, size);
    fuzz_records(data, size);
    fuzz_entries(data, size);
    fuzz_block(data, size);
    fuzz_file(data, size);
    return 0;
}
