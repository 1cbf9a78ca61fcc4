/* Transactions of log entries; layout and reasons are in transaction.h.
 *
 * Decoding trusts nothing and keeps nothing: it walks over the bytes once and
 * counts. Running walks over them again, so a transaction needs memory for the
 * arguments of its longest command only. */
#include "node/transaction.h"

#include <string.h>

#include "node/command_internal.h"
#include "node/proposal.h"
#include "node/store_item.h"
#include "raftlog/err.h"

/* ---- bytes ---- */

static void put_number(struct buffer *out, uint64_t v, size_t size)
{
    uint8_t bytes[8];
    struct byte_writer w = byte_writer(bytes, sizeof bytes);

    byte_put_uint(&w, v, size);
    buffer_append(out, bytes, size);
}

static void put_bytes(struct buffer *out, struct bytes b)
{
    uint8_t bytes[BYTE_VARINT_MAX];
    struct byte_writer w = byte_writer(bytes, sizeof bytes);

    byte_put_varint(&w, b.size);
    buffer_append(out, bytes, (size_t)(w.at - bytes));
    buffer_append(out, b.data, b.size);
}

static bool get_bytes(struct byte_reader *r, struct bytes *out)
{
    uint64_t size = byte_get_varint(r);

    if (size > byte_left(r)) {
        r->failed = true;
        return false;
    }
    out->size = (size_t)size;
    out->data = byte_get(r, (size_t)size);
    return !r->failed;
}

void transaction_put_watch(struct buffer *out,
                           const struct transaction_watch *watch)
{
    put_number(out, watch->present, 1);
    if (watch->present) {
        put_number(out, watch->hash.low, 8);
        put_number(out, watch->hash.high, 8);
    }
    put_bytes(out, watch->key);
}

static bool get_watch(struct byte_reader *r, struct transaction_watch *out)
{
    uint8_t present = byte_get_u8(r);

    if (r->failed || present > 1) {
        return false;
    }
    memset(out, 0, sizeof *out);
    out->present = present == 1;
    if (out->present) {
        out->hash.low = byte_get_u64(r);
        out->hash.high = byte_get_u64(r);
    }
    return get_bytes(r, &out->key) && out->key.size <= STORE_KEY_MAX;
}

uint64_t transaction_command_size(uint32_t argc, const struct bytes *argv)
{
    uint64_t n = 2 + byte_varint_size(argc - 1);

    for (uint32_t i = 1; i < argc; i++) {
        n += byte_varint_size(argv[i].size) + argv[i].size;
    }
    return n;
}

void transaction_put_command(struct buffer *out, const struct command *command,
                             uint32_t argc, const struct bytes *argv)
{
    uint8_t bytes[BYTE_VARINT_MAX];
    struct byte_writer w = byte_writer(bytes, sizeof bytes);

    put_number(out, command->code, 2);
    byte_put_varint(&w, argc - 1);
    buffer_append(out, bytes, (size_t)(w.at - bytes));
    for (uint32_t i = 1; i < argc; i++) {
        put_bytes(out, argv[i]);
    }
}

/* The next command, its arguments into argv unless that is NULL. 0, or an
 * error as in transaction_decode. */
static int get_command(struct byte_reader *r, const struct command **command,
                       uint32_t *argc, struct bytes *argv)
{
    uint16_t code = byte_get_u16(r);
    uint64_t n_rest = byte_get_varint(r);
    struct bytes argument;

    if (r->failed) {
        return ERR_CORRUPT;
    }
    *command = command_by_code(code);
    if (*command == NULL) {
        return ERR_VERSION;
    }
    /* Every argument takes a byte at least. */
    if (n_rest > byte_left(r) || n_rest >= PROPOSAL_ARGS_MAX ||
        !command_may_queue(*command) ||
        !command_arity_fits((*command)->arity, (uint32_t)n_rest + 1)) {
        return ERR_CORRUPT;
    }
    *argc = (uint32_t)n_rest + 1;
    for (uint32_t i = 1; i < *argc; i++) {
        if (!get_bytes(r, argv != NULL ? &argv[i] : &argument)) {
            return ERR_CORRUPT;
        }
    }
    if (argv != NULL) {
        argv[0].data = (const uint8_t *)(*command)->name;
        argv[0].size = strlen((*command)->name);
    }
    return 0;
}

uint32_t transaction_next(struct byte_reader *r, struct bytes *argv)
{
    const struct command *command;
    uint32_t argc;

    return get_command(r, &command, &argc, argv) == 0 ? argc : 0;
}

uint64_t transaction_size(const struct transaction *t)
{
    return byte_varint_size(t->n_watches) + t->watches.size +
           byte_varint_size(t->n_commands) + t->commands.size;
}

void transaction_encode(const struct transaction *t, struct byte_writer *w)
{
    byte_put_varint(w, t->n_watches);
    byte_put(w, t->watches.data, t->watches.size);
    byte_put_varint(w, t->n_commands);
    byte_put(w, t->commands.data, t->commands.size);
}

static int decode_watches(struct byte_reader *r, struct transaction *out)
{
    uint64_t n = byte_get_varint(r);
    struct transaction_watch watch;

    if (r->failed || n > TRANSACTION_WATCHES_MAX) {
        return ERR_CORRUPT;
    }
    out->n_watches = (uint32_t)n;
    out->watches.data = r->at;
    for (uint64_t i = 0; i < n; i++) {
        if (!get_watch(r, &watch)) {
            return ERR_CORRUPT;
        }
    }
    out->watches.size = (size_t)(r->at - out->watches.data);
    return 0;
}

static int decode_commands(struct byte_reader *r, struct transaction *out)
{
    uint64_t n = byte_get_varint(r);

    if (r->failed || n > TRANSACTION_COMMANDS_MAX) {
        return ERR_CORRUPT;
    }
    out->n_commands = (uint32_t)n;
    out->commands.data = r->at;
    for (uint64_t i = 0; i < n; i++) {
        const struct command *command;
        uint32_t argc;
        int rc = get_command(r, &command, &argc, NULL);
        if (rc != 0) {
            return rc;
        }
        out->argc_max = argc > out->argc_max ? argc : out->argc_max;
        out->writes |= (command->flags & COMMAND_WRITE) != 0;
    }
    out->commands.size = (size_t)(r->at - out->commands.data);
    return byte_left(r) > 0 ? ERR_CORRUPT : 0;
}

int transaction_decode(struct byte_reader *r, struct transaction *out)
{
    int rc;

    memset(out, 0, sizeof *out);
    rc = decode_watches(r, out);
    return rc != 0 ? rc : decode_commands(r, out);
}

/* ---- carrying out ---- */

void transaction_look(struct command_env *env, struct bytes key,
                      struct transaction_watch *out)
{
    const struct store_item *item = command_lookup(env, key);

    memset(out, 0, sizeof *out);
    out->key = key;
    out->present = item != NULL;
    if (item != NULL) {
        out->hash = store_item_hash(item);
    }
}

static bool watches_hold(const struct transaction *t, struct command_env *env)
{
    struct byte_reader r = byte_reader(t->watches.data, t->watches.size);
    struct transaction_watch was, is;

    for (uint32_t i = 0; i < t->n_watches; i++) {
        (void)get_watch(&r, &was);
        transaction_look(env, was.key, &is);
        if (is.present != was.present || is.hash.low != was.hash.low ||
            is.hash.high != was.hash.high) {
            return false;
        }
    }
    return true;
}

void transaction_run(const struct transaction *t, struct command_env *env,
                     struct bytes *argv, struct buffer *reply)
{
    struct byte_reader r = byte_reader(t->commands.data, t->commands.size);
    size_t start = buffer_size(reply);
    uint64_t reply_max = env->reply_max;
    uint64_t random = env->random;

    if (!watches_hold(t, env)) {
        resp_null_array(reply);
        return;
    }
    resp_array(reply, t->n_commands);
    for (uint32_t i = 0; i < t->n_commands && env->error == 0; i++) {
        const struct command *command;
        uint64_t used = buffer_size(reply) - start;
        uint32_t argc;
        if (get_command(&r, &command, &argc, argv) != 0) {
            break; /* decode has seen that it is sound */
        }
        if (reply_max > 0) {
            env->reply_max = used < reply_max ? reply_max - used : 1;
        }
        env->random = random + i;
        command->run(env, argc, argv, reply);
    }
    env->reply_max = reply_max;
    env->random = random;
}
