/* Payload of a log entry: what is accepted must lie within the input, encode
 * to the same meaning, and run without harm on a small store. */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/command.h"
#include "node/proposal.h"
#include "raftlog/block.h"
#include "raftlog/err.h"
#include "tests/fuzz/fuzz.h"

static bool same(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static void check_round_trip(const struct proposal *p)
{
    struct proposal again;
    uint32_t size;
    void *block = proposal_encode(p, &size);

    assert(block != NULL);
    proposal_set_clock(block, size, p->clock_ms + 1);
    assert(proposal_decode(block, size, &again) == 0);
    assert(again.origin == p->origin && again.request_id == p->request_id);
    assert(again.clock_ms == p->clock_ms + 1 && again.code == p->code);
    assert(again.argc == p->argc && again.kind == p->kind);
    assert(same(again.transaction.watches, p->transaction.watches));
    assert(same(again.transaction.commands, p->transaction.commands));
    assert(again.transaction.n_watches == p->transaction.n_watches);
    assert(again.transaction.n_commands == p->transaction.n_commands);
    for (uint32_t i = 0; i < p->argc; i++) {
        assert(again.argv[i].size == p->argv[i].size);
        assert(memcmp(again.argv[i].data, p->argv[i].data, p->argv[i].size) ==
               0);
    }
    proposal_clear(&again);
    block_unref(block);
}

static void check_sweep(const struct proposal *p)
{
    struct proposal again;
    uint32_t size;
    void *block = proposal_encode_sweep(p->clock_ms, p->sweep_max, &size);

    assert(block != NULL && proposal_decode(block, size, &again) == 0);
    assert(again.kind == PROPOSAL_SWEEP && again.clock_ms == p->clock_ms);
    assert(again.sweep_max == p->sweep_max);
    block_unref(block);
}

static void run(const struct proposal *p)
{
    struct command_env env = {.reply_max = 4096, .now_ms = p->clock_ms};
    struct buffer reply;

    if (store_new(&env.store) != 0) {
        abort();
    }
    buffer_init(&reply);
    /* Twice: on an empty store and on what it left. */
    for (unsigned i = 0; i < 2; i++) {
        proposal_run(p, &env, &reply);
        assert(buffer_size(&reply) > 0);
        buffer_clear(&reply);
    }
    buffer_close(&reply);
    store_free(env.store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proposal p;
    int rc = proposal_decode(data, size, &p);
    uint64_t clock_ms = proposal_clock(data, size);

    if (rc != 0) {
        assert(rc == ERR_CORRUPT || rc == ERR_VERSION || rc == ERR_NOMEM);
        return 0;
    }
    assert(clock_ms == p.clock_ms);
    if (p.kind == PROPOSAL_SWEEP) {
        check_sweep(&p);
        return 0;
    }
    for (uint32_t i = 1; i < p.argc; i++) {
        assert(p.argv[i].data >= data &&
               p.argv[i].data + p.argv[i].size <= data + size);
    }
    check_round_trip(&p);
    run(&p);
    proposal_clear(&p);
    return 0;
}
