/* Command entries of the log; the layout is in proposal.h, that of transactions
 * in transaction.h. Decoding trusts nothing: an entry may come from another
 * node of another version. */
#include "node/proposal.h"

#include <stdlib.h>
#include <string.h>

#include "node/command.h"
#include "raftlog/block.h"
#include "raftlog/err.h"

enum {
    N_INLINE = sizeof((struct proposal *)0)->inline_argv / sizeof(struct bytes)
};

static uint64_t proposal_command_size(const struct proposal *p)
{
    uint64_t n = 2 + byte_varint_size(p->argc - 1);

    for (uint32_t i = 1; i < p->argc; i++) {
        n += byte_varint_size(p->argv[i].size) + p->argv[i].size;
    }
    return n;
}

static void proposal_put_command(const struct proposal *p,
                                 struct byte_writer *w)
{
    byte_put_u16(w, p->code);
    byte_put_varint(w, p->argc - 1);
    for (uint32_t i = 1; i < p->argc; i++) {
        byte_put_varint(w, p->argv[i].size);
        byte_put(w, p->argv[i].data, p->argv[i].size);
    }
}

void *proposal_encode(const struct proposal *p, uint32_t *size)
{
    bool transaction = p->kind == PROPOSAL_TRANSACTION;
    uint64_t n = 2 + byte_varint_size(p->origin) + 8 + 8;
    struct byte_writer w;
    void *block;

    n += transaction ? transaction_size(&p->transaction)
                     : proposal_command_size(p);
    if (n > UINT32_MAX) {
        return NULL;
    }
    block = block_new((size_t)n);
    if (block == NULL) {
        return NULL;
    }
    w = byte_writer(block, (size_t)n);
    byte_put_u8(&w, PROPOSAL_VERSION);
    byte_put_u8(&w, p->kind);
    byte_put_varint(&w, p->origin);
    byte_put_u64(&w, p->request_id);
    byte_put_u64(&w, p->clock_ms);
    if (transaction) {
        transaction_encode(&p->transaction, &w);
    } else {
        proposal_put_command(p, &w);
    }
    *size = (uint32_t)n;
    return block;
}

void *proposal_encode_sweep(uint64_t clock_ms, uint64_t sweep_max,
                            uint32_t *size)
{
    size_t n = 2 + byte_varint_size(0) + 8 + 8 + byte_varint_size(sweep_max);
    struct byte_writer w;
    void *block = block_new(n);

    if (block == NULL) {
        return NULL;
    }
    w = byte_writer(block, n);
    byte_put_u8(&w, PROPOSAL_VERSION);
    byte_put_u8(&w, PROPOSAL_SWEEP);
    byte_put_varint(&w, 0);
    byte_put_u64(&w, 0);
    byte_put_u64(&w, clock_ms);
    byte_put_varint(&w, sweep_max);
    *size = (uint32_t)n;
    return block;
}

/* Room for argv. */
static int proposal_make_argv(struct proposal *p, uint32_t argc)
{
    p->argv = p->inline_argv;
    if (argc > N_INLINE) {
        p->argv = malloc(argc * sizeof *p->argv);
        if (p->argv == NULL) {
            return ERR_NOMEM;
        }
    }
    return 0;
}

static int proposal_decode_command(struct byte_reader *r, struct proposal *p)
{
    const struct command *c;
    uint64_t n_rest;
    int rc;

    p->code = byte_get_u16(r);
    n_rest = byte_get_varint(r);
    if (r->failed) {
        return ERR_CORRUPT;
    }
    c = command_by_code(p->code);
    if (c == NULL) {
        return ERR_VERSION;
    }
    /* Every argument takes a byte at least, so an announced count beyond what
     * is left takes no memory. */
    if ((c->flags & COMMAND_WRITE) == 0 || n_rest > byte_left(r) ||
        n_rest >= PROPOSAL_ARGS_MAX ||
        !command_arity_fits(c->arity, (uint32_t)n_rest + 1)) {
        return ERR_CORRUPT;
    }
    p->argc = (uint32_t)n_rest + 1;
    rc = proposal_make_argv(p, p->argc);
    if (rc != 0) {
        return rc;
    }
    p->argv[0].data = (const uint8_t *)c->name;
    p->argv[0].size = strlen(c->name);
    for (uint32_t i = 1; i < p->argc; i++) {
        uint64_t size = byte_get_varint(r);
        if (size > byte_left(r)) {
            r->failed = true;
            break;
        }
        p->argv[i].size = (size_t)size;
        p->argv[i].data = byte_get(r, (size_t)size);
    }
    return r->failed || byte_left(r) > 0 ? ERR_CORRUPT : 0;
}

/* One that only reads has no business in the log. */
static int proposal_decode_transaction(struct byte_reader *r,
                                       struct proposal *p)
{
    int rc = transaction_decode(r, &p->transaction);

    if (rc != 0) {
        return rc;
    }
    return p->transaction.writes
               ? proposal_make_argv(p, p->transaction.argc_max)
               : ERR_CORRUPT;
}

int proposal_decode(const void *data, size_t size, struct proposal *out)
{
    struct byte_reader r = byte_reader(data, size);
    uint8_t version = byte_get_u8(&r);
    int rc;

    memset(out, 0, sizeof *out);
    out->kind = byte_get_u8(&r);
    if (r.failed || version == 0 || out->kind == 0) {
        return ERR_CORRUPT;
    }
    if (version != PROPOSAL_VERSION || out->kind > PROPOSAL_TRANSACTION) {
        return ERR_VERSION;
    }
    out->origin = byte_get_varint(&r);
    out->request_id = byte_get_u64(&r);
    out->clock_ms = byte_get_u64(&r);
    if (r.failed) {
        return ERR_CORRUPT;
    }
    if (out->kind == PROPOSAL_SWEEP) {
        out->sweep_max = byte_get_varint(&r);
        return r.failed || byte_left(&r) > 0 ? ERR_CORRUPT : 0;
    }
    rc = out->kind == PROPOSAL_COMMAND ? proposal_decode_command(&r, out)
                                       : proposal_decode_transaction(&r, out);
    if (rc != 0) {
        proposal_clear(out);
    }
    return rc;
}

void proposal_clear(struct proposal *p)
{
    if (p->argv != p->inline_argv) {
        free(p->argv);
    }
    p->argv = NULL;
    p->argc = 0;
}

void proposal_run(const struct proposal *p, struct command_env *env,
                  struct buffer *reply)
{
    if (p->kind == PROPOSAL_COMMAND) {
        command_by_code(p->code)->run(env, p->argc, p->argv, reply);
        return;
    }
    /* Chance that is the same on every node, and another in each entry. */
    env->random = (p->request_id ^ p->origin) * 0x9e3779b97f4a7c15u;
    env->reply_max = TRANSACTION_REPLY_MAX;
    transaction_run(&p->transaction, env, p->argv, reply);
}

/* Read what stands before the clock; false: there is no room for one. */
static bool skip_to_clock(struct byte_reader *r)
{
    (void)byte_get_u16(r); /* version, kind */
    (void)byte_get_varint(r);
    (void)byte_get_u64(r);
    return byte_left(r) >= 8;
}

void proposal_set_clock(void *payload, uint32_t size, uint64_t clock_ms)
{
    struct byte_reader r = byte_reader(payload, size);
    struct byte_writer w;

    if (!skip_to_clock(&r)) {
        return;
    }
    w = byte_writer(payload, size);
    (void)byte_put_room(&w, size - byte_left(&r));
    byte_put_u64(&w, clock_ms);
}

uint64_t proposal_clock(const void *payload, size_t size)
{
    struct byte_reader r = byte_reader(payload, size);

    return skip_to_clock(&r) ? byte_get_u64(&r) : 0;
}
