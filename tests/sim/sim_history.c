/* What clients did and saw, and the judgement of it.
 *
 * Each operation stands in the history of each of its keys from the moment it
 * was submitted; the answer completes it. "-UNKNOWN", a lost session and a
 * client that gave up leave it open for ever: it may have happened or not. Any
 * other error means that it has not happened, and is taken out. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LINEAR_STEPS_MAX = 10000000 };

/* ---- keys and history ---- */

unsigned sim_key_find(struct sim *sim, const char *name)
{
    struct sim_key *key;

    for (unsigned i = 0; i < sim->n_keys; i++) {
        if (strcmp(sim->keys[i].name, name) == 0) {
            return i;
        }
    }
    assert(sim->n_keys < SIM_KEYS_MAX);
    key = &sim->keys[sim->n_keys];
    snprintf(key->name, sizeof key->name, "%s", name);
    key->counter = name[0] == 'c';
    return sim->n_keys++;
}

static size_t history_add(struct sim_key *key, struct linear_op op)
{
    if (key->n_ops == key->capacity) {
        key->capacity = key->capacity == 0 ? 256 : 2 * key->capacity;
        key->ops = realloc(key->ops, key->capacity * sizeof *key->ops);
        assert(key->ops != NULL);
    }
    key->ops[key->n_ops] = op;
    return key->n_ops++;
}

/* An operation that did not happen: as a read that nobody waited for. */
static void history_void(struct sim_key *key, size_t at)
{
    key->ops[at].kind = LINEAR_GET;
    key->ops[at].returned = LINEAR_NEVER;
}

static enum linear_kind linear_kind_of(enum sim_op_kind kind)
{
    switch (kind) {
    case SIM_OP_SET:
    case SIM_OP_SETPX:
    case SIM_OP_MSET:
        return LINEAR_SET;
    case SIM_OP_PEXPIRE:
        return LINEAR_EXPIRE;
    case SIM_OP_PERSIST:
        return LINEAR_PERSIST;
    case SIM_OP_PTTL:
        return LINEAR_TTL;
    case SIM_OP_DEL:
        return LINEAR_DEL;
    case SIM_OP_INCR:
    case SIM_OP_INCRBY:
    case SIM_OP_CAS:
        return LINEAR_ADD;
    case SIM_OP_SETNX:
        return LINEAR_SETNX;
    case SIM_OP_EXISTS:
        return LINEAR_EXISTS;
    case SIM_OP_GET:
    case SIM_OP_MGET:
    case SIM_OP_WATCH:
    case SIM_OP_TRANSFER:
    case SIM_OP_AUDIT:
    case SIM_OP_WAIT:
    case SIM_OP_LEADER:
        break;
    }
    return LINEAR_GET;
}

/* The GET behind a WATCH too: it is not newer than others when WATCH is
 * refused. */
static bool is_read(enum sim_op_kind kind)
{
    switch (kind) {
    case SIM_OP_GET:
    case SIM_OP_EXISTS:
    case SIM_OP_MGET:
    case SIM_OP_PTTL:
    case SIM_OP_WATCH:
        return true;
    default:
        return false;
    }
}

/* A stale read saw what was true within the bound, as the node's clock measures
 * it: that runs fast or slow by at most one part in a thousand, and in whole
 * milliseconds. */
static uint64_t moment_of(struct sim_client *c, const struct sim_op *op)
{
    uint64_t bound_ms = c->sim->options.stale_read_max_ms;

    if (!c->readonly || !is_read(op->kind)) {
        return sim_moment(c->sim);
    }
    return sim_moment_ago(c->sim, (bound_ms + 2) * 1000 + bound_ms * 2);
}

void sim_history_invoked(struct sim_client *c, struct sim_op *op)
{
    struct sim *sim = c->sim;

    sim_leases_update(sim);
    sim_transaction_invoked(sim, op);
    op->started_us = sim->clock.now_us;
    op->term = replica_term(sim->nodes[c->node].replica);
    op->led = replica_is_leader(sim->nodes[c->node].replica);
    for (unsigned i = 0; i < op->n_keys; i++) {
        struct sim_key *key = &sim->keys[op->key[i]];
        struct linear_op l = {
            .kind = linear_kind_of(op->kind),
            .argument = op->argument,
            .invoked = moment_of(c, op),
        };
        if (op->kind == SIM_OP_SETPX || op->kind == SIM_OP_PEXPIRE) {
            l.lease = sim_lease_new(key, op->kind,
                                    op->kind == SIM_OP_SETPX ? op->argument
                                                             : op->ttl_ms);
        }
        op->at[i] = history_add(key, l);
        if (l.kind == LINEAR_ADD) {
            key->added_max += op->argument;
        } else if (l.kind != LINEAR_GET && l.kind != LINEAR_EXISTS) {
            key->tally_off = true;
        }
    }
}

void sim_history_unknown(struct sim_client *c)
{
    /* The history stands as it is: invoked, never returned. */
    c->n_unknown++;
    COVER(outcome_unknown);
}

static void note_failed(struct sim_client *c, const struct sim_op *op)
{
    sim_transaction_failed(c, op);
    for (unsigned i = 0; i < op->n_keys; i++) {
        struct sim_key *key = &c->sim->keys[op->key[i]];
        if (key->ops[op->at[i]].kind == LINEAR_ADD) {
            key->added_max -= op->argument;
        }
        history_void(key, op->at[i]);
    }
}

/* ---- replies ---- */

bool sim_reply_parse(const uint8_t **at, const uint8_t *end,
                     struct sim_reply *out)
{
    const uint8_t *line = *at;
    const uint8_t *cr =
        line < end ? memchr(line, '\r', (size_t)(end - line)) : NULL;

    if (cr == NULL || cr + 1 >= end) {
        return false;
    }
    memset(out, 0, sizeof *out);
    out->type = (char)line[0];
    out->text = line + 1;
    out->size = (size_t)(cr - line) - 1;
    *at = cr + 2;
    if (out->type == ':' || out->type == '$' || out->type == '*') {
        out->integer = strtoll((const char *)line + 1, NULL, 10);
        out->null = out->integer < 0 && out->type != ':';
    }
    if (out->type == '$' && !out->null) {
        if ((size_t)(end - *at) < (size_t)out->integer + 2) {
            return false;
        }
        out->text = *at;
        out->size = (size_t)out->integer;
        *at += out->size + 2;
    }
    return true;
}

static bool skip_one(const uint8_t **at, const uint8_t *end)
{
    struct sim_reply head, item;

    if (!sim_reply_parse(at, end, &head)) {
        return false;
    }
    for (int64_t i = 0; head.type == '*' && i < head.integer; i++) {
        if (!sim_reply_parse(at, end, &item)) {
            return false;
        }
    }
    return true;
}

/* "v17......" of a register, "17" of a counter. */
int64_t sim_reply_number(const struct sim_reply *r)
{
    char text[32];
    size_t n = r->size < sizeof text - 1 ? r->size : sizeof text - 1;

    memcpy(text, r->text, n);
    text[n] = '\0';
    return strtoll(text[0] == 'v' ? text + 1 : text, NULL, 10);
}

static void note_value(struct linear_op *l, const struct sim_reply *r)
{
    if (r->type == ':' && l->kind == LINEAR_TTL) {
        /* How long exactly is between the clocks. */
        l->result = r->integer < 0 ? r->integer : 1;
    } else if (r->type == ':') {
        l->result = r->integer;
    } else if (r->null) {
        l->absent = true;
    } else if (r->type == '$') {
        l->result = sim_reply_number(r);
    }
}

/* Both sides of a pair must show the same number. */
static void check_pair(struct sim *sim, const struct sim_op *op)
{
    const struct linear_op *a, *b;

    if (op->kind != SIM_OP_MGET || op->n_keys != 2 ||
        sim->keys[op->key[0]].name[0] != 'p' ||
        sim->keys[op->key[1]].name[0] != 'p') {
        return;
    }
    a = &sim->keys[op->key[0]].ops[op->at[0]];
    b = &sim->keys[op->key[1]].ops[op->at[1]];
    if (a->absent != b->absent || (!a->absent && a->result != b->result)) {
        sim_fail(sim, "MGET saw half of an MSET: %" PRId64 " beside %" PRId64,
                 a->result, b->result);
    }
}

/* A stale read behind a loss may show what was before it. */
static bool is_of_before(const struct sim_client *c, const struct sim_op *op)
{
    const struct sim *sim = c->sim;

    return c->readonly && is_read(op->kind) && sim->loss.n_entries > 0 &&
           sim->clock.now_us <
               sim->loss.at_us +
                   (sim->options.stale_read_max_ms + 2) * (uint64_t)1002;
}

static void note_ok(struct sim_client *c, const struct sim_op *op,
                    const uint8_t *at, const uint8_t *end)
{
    struct sim *sim = c->sim;
    struct sim_reply head, item;

    sim_leases_update(sim);
    (void)sim_reply_parse(&at, end, &head);
    if (head.type == '*' && !sim_is_transaction(op->kind) &&
        head.integer != (int64_t)op->n_keys) {
        sim_fail(sim, "MGET of %u keys gave %" PRId64 " values", op->n_keys,
                 head.integer);
        return;
    }
    for (unsigned i = 0; i < op->n_keys; i++) {
        struct sim_key *key = &sim->keys[op->key[i]];
        struct linear_op *l = &key->ops[op->at[i]];
        /* Of before a loss: whether what is left has it is not known. */
        bool sure = !op->crossed || is_read(op->kind);
        item = head;
        if (head.type == '*') {
            (void)sim_reply_parse(&at, end, &item);
        }
        if (op->kind == SIM_OP_CAS) {
            l->result = op->result;
        } else {
            note_value(l, &item);
        }
        if (sure && !is_of_before(c, op)) {
            l->returned = sim_moment(sim);
        }
        if (l->kind == LINEAR_ADD && sure) {
            key->added_min += op->argument;
        }
        c->last_absent = l->absent;
        c->last_result = l->result;
    }
    check_pair(sim, op);
    sim_ask_wrote(c, op);
    c->last_ok = true;
    sim->n_acknowledged++;
}

static void note_error(struct sim_client *c, const struct sim_op *op,
                       const struct sim_reply *r)
{
    snprintf(c->last_error, sizeof c->last_error, "%.*s", (int)r->size,
             (const char *)r->text);
    c->last_ok = false;
    sim_trace(c->sim, "c%u answer -%s", c->id, c->last_error);
    if (strncmp(c->last_error, "UNKNOWN", 7) == 0) {
        sim_history_unknown(c);
        return;
    }
    if (strncmp(c->last_error, "CLUSTERDOWN", 11) == 0) {
        COVER(answer_clusterdown);
        c->disappointed = true;
    } else if (strncmp(c->last_error, "STALE", 5) == 0) {
        COVER(stale_refused);
        c->disappointed = true;
    }
    note_failed(c, op);
}

size_t sim_history_answer(struct sim_client *c, const uint8_t *start,
                          const uint8_t *end)
{
    const uint8_t *at = start, *peek = start;
    struct sim_op *op = &c->pending[0];
    struct sim_reply r;

    if (!skip_one(&at, end)) {
        return 0;
    }
    if (c->n_pending == 0) {
        sim_fail(c->sim, "client %u got an answer that it did not ask for",
                 c->id);
        return 0;
    }
    (void)sim_reply_parse(&peek, end, &r);
    if (++op->n_replies < sim_transaction_replies(op)) {
        sim_transaction_part(c, op, &r);
        return (size_t)(at - start);
    }
    if (r.type == '-') {
        note_error(c, op, &r);
    } else if (sim_is_transaction(op->kind) &&
               !sim_transaction_done(c, op, start, end)) {
        note_failed(c, op);
        c->last_ok = false;
    } else {
        if (sim_is_ask(op->kind)) {
            sim_ask_done(c, op, r.integer);
        }
        note_ok(c, op, start, end);
    }
    c->n_pending--;
    memmove(&c->pending[0], &c->pending[1],
            c->n_pending * sizeof c->pending[0]);
    return (size_t)(at - start);
}

/* ---- verdict ---- */

static void print_key(struct sim *sim, const struct sim_key *key)
{
    for (size_t i = 0; i < key->n_ops && sim->options.trace; i++) {
        char line[128];
        linear_print(&key->ops[i], line, sizeof line);
        fprintf(sim->options.out, "history %s %s\n", key->name, line);
    }
    for (size_t i = 0; i < key->n_leases && sim->options.trace; i++) {
        fprintf(sim->options.out,
                "history %s lease %zu of %" PRId64 " ends %" PRIu64
                " may %" PRIu64 " must %" PRIu64 "\n",
                key->name, i + 1, key->lease_facts[i].tag,
                key->lease_facts[i].end_ms, key->leases[i].may,
                key->leases[i].must);
    }
}

/* The final value of a counter lies between the sum of what was acknowledged
 * and that plus everything of unknown fate. The last read in the history was
 * made when all was quiet. */
static void check_tally(struct sim *sim, const struct sim_key *key)
{
    const struct linear_op *last = NULL;
    int64_t value;

    for (size_t i = 0; i < key->n_ops; i++) {
        const struct linear_op *op = &key->ops[i];
        if (op->kind == LINEAR_GET && op->returned != LINEAR_NEVER &&
            (last == NULL || op->invoked > last->invoked)) {
            last = op;
        }
    }
    if (!key->counter || key->tally_off || last == NULL) {
        return;
    }
    value = last->absent ? 0 : last->result;
    if (value < key->added_min || value > key->added_max) {
        sim_fail(sim,
                 "counter %s ends at %" PRId64 ", acknowledged were %" PRId64
                 " and tried %" PRId64,
                 key->name, value, key->added_min, key->added_max);
    }
}

static bool check_keys(struct sim *sim, bool at_end)
{
    for (unsigned i = 0; i < sim->n_keys && !sim->failed; i++) {
        const struct sim_key *key = &sim->keys[i];
        enum linear_verdict verdict = linear_check_leases(
            key->ops, key->n_ops, key->leases, key->initial, LINEAR_STEPS_MAX);
        if (verdict == LINEAR_YES) {
            if (at_end) {
                check_tally(sim, key);
            }
            continue;
        }
        print_key(sim, key);
        sim_fail(
            sim, "history of key %s, %zu operations: %s", key->name, key->n_ops,
            verdict == LINEAR_NO ? "not linearizable" : "no verdict in time");
    }
    return !sim->failed;
}

bool sim_history_check(struct sim *sim)
{
    return check_keys(sim, true);
}

/* Where an operation of a key stands when those that ended are taken out. */
static void keep_open(struct sim *sim, unsigned k, uint64_t since)
{
    struct sim_key *key = &sim->keys[k];
    size_t n = 0;

    for (size_t at = 0; at < key->n_ops; at++) {
        struct linear_op *done = &key->ops[at];
        if (done->returned != LINEAR_NEVER &&
            (done->returned <= since || done->kind == LINEAR_GET ||
             done->kind == LINEAR_EXISTS || done->kind == LINEAR_TTL)) {
            continue;
        }
        if (done->returned != LINEAR_NEVER && done->kind == LINEAR_ADD) {
            key->added_min -= done->argument;
        }
        done->returned = LINEAR_NEVER;
        for (unsigned i = 0; i < sim->n_clients; i++) {
            struct sim_client *c = &sim->clients[i];
            for (unsigned p = 0; p < c->n_pending; p++) {
                struct sim_op *op = &c->pending[p];
                for (unsigned m = 0; m < op->n_keys; m++) {
                    if (op->key[m] == k && op->at[m] == at) {
                        op->at[m] = n;
                    }
                }
            }
        }
        key->ops[n++] = key->ops[at];
    }
    key->n_ops = n;
}

void sim_history_cut(struct sim *sim, uint64_t since)
{
    sim_leases_update(sim);
    if (check_keys(sim, false)) {
        for (unsigned k = 0; k < sim->n_keys; k++) {
            keep_open(sim, k, since);
        }
    }
}

void sim_history_write(struct sim *sim, FILE *out)
{
    static const char *const names[] = {"get",    "set",     "del",
                                        "incr",   "setnx",   "exists",
                                        "expire", "persist", "ttl"};

    for (unsigned i = 0; i < sim->n_keys; i++) {
        const struct sim_key *key = &sim->keys[i];
        for (size_t k = 0; k < key->n_ops; k++) {
            const struct linear_op *op = &key->ops[k];
            fprintf(out,
                    "{\"process\":%zu,\"type\":\"invoke\",\"f\":\"%s\","
                    "\"key\":\"%s\",\"value\":%" PRId64 ",\"time\":%" PRIu64
                    "}\n",
                    k, names[op->kind], key->name, op->argument, op->invoked);
            if (op->returned != LINEAR_NEVER) {
                char value[32] = "null";
                if (!op->absent) {
                    snprintf(value, sizeof value, "%" PRId64, op->result);
                }
                fprintf(out,
                        "{\"process\":%zu,\"type\":\"ok\",\"f\":\"%s\","
                        "\"key\":\"%s\",\"value\":%s,\"time\":%" PRIu64 "}\n",
                        k, names[op->kind], key->name, value, op->returned);
            }
        }
    }
}
