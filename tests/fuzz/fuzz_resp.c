/* Bytes of a client, whole and in pieces: the parser must come to the same
 * requests and the same error either way, and what it accepts goes through the
 * checks and, if it needs no node, is run on a small store.
 *
 * clang -g -O1 -fsanitize=fuzzer,address,undefined; the first byte of the input
 * chooses the size of the pieces. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/command.h"
#include "node/cursor_table.h"
#include "node/resp.h"
#include "tests/fuzz/fuzz.h"

static const struct resp_limits limits = {
    .n_args_max = 64,
    .inline_max = 256,
    .bulk_max = 512,
    .request_max = 2048,
};

/* What a parser made of the input: the requests in a form that cannot be
 * mistaken, or the error. */
struct outcome {
    struct buffer requests;
    char error[128];
};

static void parse_all(const uint8_t *data, size_t size, size_t piece,
                      struct outcome *out)
{
    struct resp_parser p;
    size_t done = 0;
    size_t fed = 0;

    buffer_init(&out->requests);
    out->error[0] = '\0';
    resp_parser_init(&p, &limits);
    for (;;) {
        /* A block of exactly the bytes there are. */
        size_t n = fed - done;
        uint8_t *copy = malloc(n > 0 ? n : 1);
        const struct bytes *argv = NULL;
        uint32_t argc = 0;
        size_t used = 0;
        enum resp_status rc;
        assert(copy != NULL);
        if (n > 0) {
            memcpy(copy, data + done, n);
        }
        rc = resp_parse(&p, copy, n, &used, &argc, &argv);
        if (rc == RESP_REQUEST) {
            assert(used > 0 && used <= n && argc <= limits.n_args_max);
            resp_array(&out->requests, argc);
            for (uint32_t i = 0; i < argc; i++) {
                resp_bulk(&out->requests, argv[i].data, argv[i].size);
            }
            done += used;
        } else if (rc == RESP_ERROR) {
            memcpy(out->error, p.error, sizeof out->error);
        } else {
            assert(resp_wanted(&p) <= limits.request_max);
        }
        free(copy);
        if (rc == RESP_ERROR || (rc == RESP_MORE && fed == size)) {
            break;
        }
        if (rc == RESP_MORE) {
            fed = size - fed < piece ? size : fed + piece;
        }
    }
    resp_parser_close(&p);
}

/* A reply for RESP3 is no longer, and has nothing left to convert. */
static void convert(struct buffer *reply)
{
    size_t size = buffer_size(reply);

    resp3_convert(reply, 0);
    assert(buffer_size(reply) > 0 && buffer_size(reply) <= size);
    size = buffer_size(reply);
    resp3_convert(reply, 0);
    assert(buffer_size(reply) == size);
}

/* Parse what parse_all wrote down and run it. */
static void run_all(struct buffer *requests)
{
    struct command_env env = {.reply_max = 4096, .now_ms = 1};
    const struct resp_limits wide = {64, 4096, 4096, 1 << 20};
    struct resp_parser p;
    struct buffer reply;
    const struct bytes *argv;
    uint32_t argc;
    size_t used;

    if (store_new(&env.store) != 0 || cursor_table_new(4, &env.cursors) != 0) {
        abort();
    }
    buffer_init(&reply);
    resp_parser_init(&p, &wide);
    while (resp_parse(&p, buffer_data(requests), buffer_size(requests), &used,
                      &argc, &argv) == RESP_REQUEST) {
        const struct command *c = NULL;
        size_t before = buffer_size(&reply);
        if (argc > 0) {
            c = command_check(argc, argv, &reply);
            assert((c == NULL) == (buffer_size(&reply) > before));
        }
        if (c != NULL && c->run != NULL) {
            c->run(&env, argc, argv, &reply);
            assert(buffer_size(&reply) > before);
            convert(&reply);
        }
        buffer_clear(&reply);
        buffer_consume(requests, used);
    }
    assert(buffer_size(requests) == 0);
    resp_parser_close(&p);
    buffer_close(&reply);
    store_free(env.store);
    cursor_table_free(env.cursors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole;
    struct outcome pieces;
    size_t piece;

    if (size == 0) {
        return 0;
    }
    piece = 1u + data[0] % 8u;
    data++;
    size--;
    parse_all(data, size, size > 0 ? size : 1, &whole);
    parse_all(data, size, piece, &pieces);
    assert(strcmp(whole.error, pieces.error) == 0);
    assert(buffer_size(&whole.requests) == buffer_size(&pieces.requests));
    assert(buffer_size(&whole.requests) == 0 ||
           memcmp(buffer_data(&whole.requests), buffer_data(&pieces.requests),
                  buffer_size(&whole.requests)) == 0);
    if (buffer_size(&whole.requests) > 0) {
        run_all(&whole.requests);
    }
    buffer_close(&whole.requests);
    buffer_close(&pieces.requests);
    return 0;
}
