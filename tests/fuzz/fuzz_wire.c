/* Fuzz target: one message of a peer, and a configuration, which comes in one,
 * in a log entry or in a snapshot. What is accepted and carries no body is
 * encoded again and must be the same bytes: there is one encoding of each
 * message, and nothing of the input is passed over. A configuration that is
 * accepted is the same when it was encoded and decoded again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void fuzz_configuration(const uint8_t *data, size_t size)
{
    struct raft_configuration conf;
    struct raft_configuration again;
    struct raft_buffer buf;
    int rv = wire_configuration_decode(data, size, &conf);
    check((rv == 0) == (wire_configuration_check(data, size) == 0));
    if (rv != 0) {
        return;
    }
    check(conf.n > 0 && raft_configuration_encode(&conf, &buf) == 0);
    check(wire_configuration_decode(buf.base, buf.len, &again) == 0);
    check(again.n == conf.n);
    for (unsigned i = 0; i < conf.n; i++) {
        check(again.servers[i].id == conf.servers[i].id &&
              again.servers[i].role == conf.servers[i].role &&
              strcmp(again.servers[i].address, conf.servers[i].address) == 0);
    }
    raft_configuration_close(&again);
    raft_configuration_close(&conf);
    raft_free(buf.base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_message m;
    struct wire_frame frame;
    fuzz_configuration(data, size);
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
