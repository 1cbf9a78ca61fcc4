/* What an entry of a log says; see inspect_entry.h. */
#include "cli/inspect_entry.h"

#include <inttypes.h>

#include "cli/inspect.h"
#include "node/proposal.h"
#include "persist/entry.h"

enum {
    SHOW_PREFIX_BYTES = 16,
    SHOW_ARGUMENT_BYTES = 40,
    SHOW_ARGUMENTS_MAX = 8,
    SHOW_COMMANDS_MAX = 4
};

/* What a node writes; the numbers are raft.h's entry types. */
enum { KIND_COMMAND = 1, KIND_BARRIER = 2, KIND_CHANGE = 3 };

static const char *raft_kind_name(uint8_t kind)
{
    static const char *const names[] = {NULL, "command", "barrier", "change"};
    return kind >= KIND_COMMAND && kind <= KIND_CHANGE ? names[kind] : NULL;
}

static const char *operation_name(enum entry_kind kind)
{
    switch (kind) {
    case ENTRY_SET:
        return "SET";
    case ENTRY_DEL:
        return "DEL";
    case ENTRY_MOD:
        return "MOD";
    case ENTRY_MARK:
        return "MARK";
    }
    return "?";
}

/* ---- text -----------------------------------------------------------------*/

/* SET "key" "value" */
static void print_command(FILE *out, uint32_t argc, const struct bytes *argv)
{
    fwrite(argv[0].data, 1, argv[0].size, out);
    for (uint32_t i = 1; i < argc; i++) {
        if (i > SHOW_ARGUMENTS_MAX) {
            fprintf(out, " and %" PRIu32 " more", argc - i);
            break;
        }
        putc(' ', out);
        inspect_print_bytes(out, argv[i].data, argv[i].size,
                            SHOW_ARGUMENT_BYTES);
    }
}

/* MULTI (2 watched): SET "a" "1"; INCR "b" */
static void print_transaction(FILE *out, const struct proposal *p)
{
    const struct transaction *t = &p->transaction;
    struct byte_reader r = byte_reader(t->commands.data, t->commands.size);
    fprintf(out, "MULTI (%" PRIu32 " watched):", t->n_watches);
    for (uint32_t i = 0; i < t->n_commands; i++) {
        uint32_t argc = transaction_next(&r, p->argv);
        if (i >= SHOW_COMMANDS_MAX) {
            fprintf(out, " and %" PRIu32 " more", t->n_commands - i);
            break;
        }
        fputs(i == 0 ? " " : "; ", out);
        print_command(out, argc, p->argv);
    }
}

static void print_proposal(FILE *out, const struct proposal *p)
{
    switch (p->kind) {
    case PROPOSAL_SWEEP:
        fprintf(out, "sweep of at most %" PRIu64 " keys, clock %" PRIu64,
                p->sweep_max, p->clock_ms);
        break;
    case PROPOSAL_TRANSACTION:
        print_transaction(out, p);
        break;
    default:
        print_command(out, p->argc, p->argv);
        break;
    }
}

/* SET "key" "value", as the embedding API appended it. */
static void print_operation(FILE *out, const struct entry *o)
{
    fputs(operation_name(o->kind), out);
    if (o->kind != ENTRY_MARK) {
        putc(' ', out);
        inspect_print_bytes(out, o->key.data, o->key.size, SHOW_ARGUMENT_BYTES);
    }
    if (o->kind == ENTRY_SET || o->kind == ENTRY_MOD) {
        putc(' ', out);
        inspect_print_bytes(out, o->value.data, o->value.size,
                            SHOW_ARGUMENT_BYTES);
    }
}

/* Nobody's entry, or one of a newer version: then its first bytes tell. */
static void print_unknown(FILE *out, const struct raftlog_entry *e)
{
    char hex[2 * SHOW_PREFIX_BYTES + 1];
    size_t n = e->size < SHOW_PREFIX_BYTES ? e->size : SHOW_PREFIX_BYTES;
    if (raft_kind_name(e->kind) != NULL) {
        fprintf(out, "%s ", raft_kind_name(e->kind));
    } else {
        char letter = e->kind >= 'A' && e->kind <= 'Z' ? (char)e->kind : '-';
        fprintf(out, "kind %u (%c) ", e->kind, letter);
    }
    fprintf(out, "%s%s", inspect_hex(hex, e->data, n),
            e->size > n ? "..." : "");
}

void inspect_entry_print(FILE *out, const struct raftlog_entry *e)
{
    struct proposal p;
    struct entry o;
    if (e->kind == KIND_COMMAND && proposal_decode(e->data, e->size, &p) == 0) {
        print_proposal(out, &p);
        proposal_clear(&p);
    } else if (entry_decode(e->kind, e->data, e->size, &o) == 0) {
        print_operation(out, &o);
    } else {
        print_unknown(out, e);
    }
}

/* ---- JSON -----------------------------------------------------------------*/

static void json_command(struct json_writer *w, uint32_t argc,
                         const struct bytes *argv)
{
    json_open(w, '[');
    for (uint32_t i = 0; i < argc; i++) {
        json_bytes(w, argv[i].data, argv[i].size);
    }
    json_close(w, ']');
}

static void json_proposal(struct json_writer *w, const struct proposal *p)
{
    const struct transaction *t = &p->transaction;
    struct byte_reader r = byte_reader(t->commands.data, t->commands.size);
    if (p->kind == PROPOSAL_SWEEP) {
        json_name(w, "sweep");
        json_uint(w, p->sweep_max);
    } else if (p->kind == PROPOSAL_TRANSACTION) {
        json_name(w, "watched");
        json_uint(w, t->n_watches);
        json_name(w, "commands");
        json_open(w, '[');
        for (uint32_t i = 0; i < t->n_commands; i++) {
            uint32_t argc = transaction_next(&r, p->argv);
            json_command(w, argc, p->argv);
        }
        json_close(w, ']');
    } else {
        json_name(w, "command");
        json_command(w, p->argc, p->argv);
    }
    json_name(w, "origin");
    json_uint(w, p->origin);
    json_name(w, "request_id");
    json_uint(w, p->request_id);
    json_name(w, "clock_ms");
    json_uint(w, p->clock_ms);
}

static void json_operation(struct json_writer *w, const struct entry *o)
{
    json_name(w, "operation");
    json_text(w, operation_name(o->kind));
    if (o->kind != ENTRY_MARK) {
        json_bytes_member(w, "key", o->key.data, o->key.size);
    }
    if (o->kind == ENTRY_SET || o->kind == ENTRY_MOD) {
        json_bytes_member(w, "value", o->value.data, o->value.size);
    }
}

void inspect_entry_json(struct json_writer *w, const struct raftlog_entry *e)
{
    struct proposal p;
    struct entry o;
    json_name(w, "kind");
    json_uint(w, e->kind);
    json_name(w, "bytes");
    json_uint(w, e->size);
    if (e->kind == KIND_COMMAND && proposal_decode(e->data, e->size, &p) == 0) {
        json_proposal(w, &p);
        proposal_clear(&p);
    } else if (entry_decode(e->kind, e->data, e->size, &o) == 0) {
        json_operation(w, &o);
    } else {
        char hex[2 * SHOW_PREFIX_BYTES + 1];
        size_t n = e->size < SHOW_PREFIX_BYTES ? e->size : SHOW_PREFIX_BYTES;
        json_name(w, "hex");
        json_text(w, inspect_hex(hex, e->data, n));
    }
}
