/* Fuzz target: one message of a peer. What is accepted and carries no body is
 * encoded again and must be the same bytes: there is one encoding of each
 * message, and nothing of the input is passed over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message m;
    struct wire_frame frame;
    if (wire_decode(2, data, size, &m, NULL) != 0) {
        return 0;
    }
    wire_encode(&m, &frame);
    if (frame.head_size > size || memcmp(frame.head, data, frame.head_size)) {
        abort();
    }
    wire_message_clear(&m);
    return 0;
}
