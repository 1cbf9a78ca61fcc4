/* Fuzz target: what a peer connection reads. What begins as a hello or welcome
 * is taken for one, also with its checksum made good; of anything else the
 * first byte chooses: hello, welcome, or a stream of frames that is fed in
 * pieces whose sizes come from the input too. Each frame that passes is
 * decoded.
 *
 * A frame made from the input must come back as it was; random bytes seldom
 * have a right checksum, so without this nothing behind it would be reached.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/handshake.h"
#include "node/transport_frame.h"
#include "node/wire.h"
#include "raftlog/block.h"
#include "raftlog/byte.h"
#include "raftlog/checksum.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition) {
        abort();
    }
}

/* Feed a stream; returns the number of frames. */
static unsigned read_stream(const uint8_t *data, size_t size, size_t piece)
{
    struct frame_reader r;
    unsigned n_frames = 0;
    size_t at = 0;

    frame_reader_init(&r);
    while (at < size) {
        size_t n = size - at < piece ? size - at : piece;
        uint32_t block_size;
        void *block;
        size_t used;
        int rc = frame_reader_feed(&r, data + at, n, &used, &block, &block_size,
                                   NULL);

        must(used <= n && (used > 0 || rc != FRAME_MORE));
        at += used;
        if (rc < 0) {
            break;
        }
        if (rc == FRAME_READY) {
            struct wire_message m;

            must(block_size > 0 && block_size <= WIRE_FRAME_MAX);
            if (wire_decode(2, block, block_size, &m, NULL) == 0) {
                wire_message_clear(&m);
            }
            block_unref(block);
            n_frames++;
        }
    }
    frame_reader_close(&r);
    return n_frames;
}

static void round_trip(const uint8_t *data, size_t size, size_t piece)
{
    uint32_t head_size = (uint32_t)(size < 16 ? size : 16);
    uint32_t body_size = (uint32_t)size - head_size;
    uint8_t *stream = malloc(FRAME_HEADER_SIZE + size);

    must(stream != NULL);
    frame_header(stream, data, head_size, data + head_size, body_size);
    memcpy(stream + FRAME_HEADER_SIZE, data, size);
    must(read_stream(stream, FRAME_HEADER_SIZE + size, piece) == 1);
    free(stream);
}

static void greet(const uint8_t *data, size_t size)
{
    uint8_t out[HANDSHAKE_MAX];
    struct welcome welcome;
    struct hello hello;
    size_t used = 0;

    if (hello_decode(data, size, &hello, &used, NULL) == 0) {
        must(used <= size && hello_encode(&hello, out) <= used);
    }
    if (welcome_decode(data, size, &welcome, &used, NULL) == 0) {
        must(used <= size && welcome_encode(&welcome, out) <= used);
    }
}

/* As it is, and with the length and checksum that its bytes have. */
static void greet_both(const uint8_t *data, size_t size)
{
    size_t body = size - HANDSHAKE_HEADER_SIZE;
    uint8_t *good;
    struct byte_writer w;

    greet(data, size);
    if (size < HANDSHAKE_HEADER_SIZE || body > HANDSHAKE_MAX) {
        return;
    }
    good = malloc(size);
    must(good != NULL);
    memcpy(good, data, size);
    w = byte_writer(good + 8, 16);
    byte_put_u16(&w, WIRE_VERSION);
    byte_put_u16(&w, (uint16_t)body);
    byte_put_u32(&w, 0);
    byte_put_u64(&w,
                 checksum(good + HANDSHAKE_HEADER_SIZE, body, WIRE_VERSION));
    greet(good, size);
    free(good);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct welcome welcome;
    struct hello hello;
    size_t used = 0;
    size_t piece;

    if (size < 3) {
        return 0;
    }
    if (data[0] == 'C' && data[1] == 'K') {
        greet_both(data, size);
        return 0;
    }
    piece = data[1] + 1U;
    switch (data[0] % 4) {
    case 0:
        if (hello_decode(data + 2, size - 2, &hello, &used, NULL) == 0) {
            must(used <= size - 2);
        }
        break;
    case 1:
        if (welcome_decode(data + 2, size - 2, &welcome, &used, NULL) == 0) {
            must(used <= size - 2);
        }
        break;
    case 2:
        read_stream(data + 2, size - 2, piece);
        break;
    default:
        round_trip(data + 2, size - 2, piece);
        break;
    }
    return 0;
}

#include "tests/fuzz/fuzz.h"
