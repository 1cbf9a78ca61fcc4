/* Clients' transactions: increments under WATCH, transfers between accounts,
 * and audits of all accounts at one moment.
 *
 * An increment under WATCH is two operations: WATCH and GET of a counter, and,
 * when both are answered, SET of the number that was read and one more in a
 * MULTI. If it is executed it is to the history an increment by one with this
 * result, so a lost update is one that is not linearizable. A transfer takes
 * from one account and gives to another in one MULTI; accounts begin at
 * nothing, so every audit must give the sum 0, and what an account holds at
 * last lies between what was acknowledged and what was tried.
 *
 * EXEC forgets what is watched, so a client begins no other transaction between
 * the two operations of an increment. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const accounts[SIM_ACCOUNTS] = {"a0", "a1", "a2"};

bool sim_is_transaction(enum sim_op_kind kind)
{
    return kind >= SIM_OP_WATCH;
}

/* ---- drawing ---- */

struct sim_op sim_transaction_next(struct sim_client *c)
{
    struct sim_op op = {.kind = SIM_OP_CAS, .n_keys = 1, .argument = 1};

    assert(c->watch == SIM_WATCH_READ);
    c->watch = SIM_WATCH_NONE;
    op.key[0] = c->watch_key;
    op.result = c->watch_value + 1;
    return op;
}

struct sim_op sim_transaction_draw(struct sim_client *c, unsigned counter)
{
    struct sim_random *random = &c->sim->client_random;
    uint64_t draw = sim_random_below(random, 100);
    struct sim_op op = {.kind = SIM_OP_AUDIT};

    if (draw < 45) {
        op.kind = SIM_OP_WATCH;
        op.n_keys = 1;
        op.key[0] = counter;
        c->watch = SIM_WATCH_ASKED;
        c->watch_refused = false;
    } else if (draw < 80) {
        op.kind = SIM_OP_TRANSFER;
        op.argument = (int64_t)sim_random_range(random, 1, 9);
        op.account[0] = (unsigned)sim_random_below(random, SIM_ACCOUNTS);
        op.account[1] = (op.account[0] + 1 +
                         (unsigned)sim_random_below(random, SIM_ACCOUNTS - 1)) %
                        SIM_ACCOUNTS;
    } else {
        op.argument = (int64_t)sim_random_below(random, 2);
    }
    return op;
}

/* ---- sending ---- */

static void submit(struct sim_client *c, const char *name, const char *key,
                   int64_t number, bool has_number)
{
    struct bytes argv[3] = {{(const uint8_t *)name, strlen(name)}};
    uint32_t argc = 1;
    char text[32];

    if (key != NULL) {
        argv[argc].data = (const uint8_t *)key;
        argv[argc++].size = strlen(key);
    }
    if (has_number) {
        int n = snprintf(text, sizeof text, "%" PRId64, number);
        argv[argc].data = (const uint8_t *)text;
        argv[argc++].size = (size_t)n;
    }
    /* The session may have been closed by what an answer led to. */
    if (c->session != NULL) {
        (void)session_submit(c->session, argc, argv);
    }
}

static void submit_audit(struct sim_client *c, bool multi)
{
    struct bytes argv[1 + SIM_ACCOUNTS] = {{(const uint8_t *)"MGET", 4}};

    if (!multi) {
        for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
            argv[1 + i].data = (const uint8_t *)accounts[i];
            argv[1 + i].size = strlen(accounts[i]);
        }
        (void)session_submit(c->session, 1 + SIM_ACCOUNTS, argv);
        return;
    }
    submit(c, "MULTI", NULL, 0, false);
    for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
        submit(c, "GET", accounts[i], 0, false);
    }
    submit(c, "EXEC", NULL, 0, false);
}

void sim_transaction_submit(struct sim_client *c, const struct sim_op *op)
{
    const char *key =
        op->n_keys > 0 ? c->sim->keys[op->key[0]].name : accounts[0];

    switch (op->kind) {
    case SIM_OP_WATCH:
        sim_trace(c->sim, "c%u n%u WATCH, GET %s", c->id, c->node, key);
        submit(c, "WATCH", key, 0, false);
        submit(c, "GET", key, 0, false);
        break;
    case SIM_OP_CAS:
        sim_trace(c->sim, "c%u n%u MULTI, SET %s %" PRId64 ", EXEC", c->id,
                  c->node, key, op->result);
        submit(c, "MULTI", NULL, 0, false);
        submit(c, "SET", key, op->result, true);
        submit(c, "EXEC", NULL, 0, false);
        break;
    case SIM_OP_TRANSFER:
        sim_trace(c->sim, "c%u n%u MULTI, %" PRId64 " from a%u to a%u, EXEC",
                  c->id, c->node, op->argument, op->account[0], op->account[1]);
        submit(c, "MULTI", NULL, 0, false);
        submit(c, "DECRBY", accounts[op->account[0]], op->argument, true);
        submit(c, "INCRBY", accounts[op->account[1]], op->argument, true);
        submit(c, "EXEC", NULL, 0, false);
        break;
    default:
        sim_trace(c->sim, "c%u n%u audit of all accounts", c->id, c->node);
        submit_audit(c, op->argument != 0);
        break;
    }
}

unsigned sim_transaction_replies(const struct sim_op *op)
{
    switch (op->kind) {
    case SIM_OP_WATCH:
        return 2;
    case SIM_OP_CAS:
        return 3;
    case SIM_OP_TRANSFER:
        return 4;
    case SIM_OP_AUDIT:
        return op->argument != 0 ? 2 + SIM_ACCOUNTS : 1;
    default:
        return 1;
    }
}

/* ---- accounts ---- */

/* What an account may hold at least and at most, when the transfer's fate
 * changes: tried, and then done or not. */
static void tally(struct sim_account *a, int64_t by, bool begun, bool done)
{
    int64_t *open = by > 0 ? &a->max : &a->min;
    int64_t *sure = by > 0 ? &a->min : &a->max;

    if (begun) {
        *open += by;
    } else if (done) {
        *sure += by;
        a->sure += by;
    } else {
        *open -= by;
    }
}

static void tally_transfer(struct sim *sim, const struct sim_op *op, bool begun,
                           bool done)
{
    if (op->kind == SIM_OP_TRANSFER) {
        tally(&sim->accounts[op->account[0]], -op->argument, begun, done);
        tally(&sim->accounts[op->account[1]], op->argument, begun, done);
    }
}

void sim_transaction_invoked(struct sim *sim, const struct sim_op *op)
{
    tally_transfer(sim, op, true, false);
}

void sim_transaction_failed(struct sim_client *c, const struct sim_op *op)
{
    tally_transfer(c->sim, op, false, false);
    if (op->kind == SIM_OP_WATCH) {
        c->watch = SIM_WATCH_NONE;
    }
}

static void check_audit(struct sim *sim, const uint8_t *at, const uint8_t *end)
{
    struct sim_reply head, item;
    int64_t sum = 0;

    (void)sim_reply_parse(&at, end, &head);
    for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
        (void)sim_reply_parse(&at, end, &item);
        sim->accounts[i].last = item.null ? 0 : sim_reply_number(&item);
        sum += sim->accounts[i].last;
    }
    if (head.integer != SIM_ACCOUNTS || sum != 0) {
        sim_fail(sim,
                 "an audit found %" PRId64 ", %" PRId64 " and %" PRId64
                 ": a transfer was seen in part, or done in part",
                 sim->accounts[0].last, sim->accounts[1].last,
                 sim->accounts[2].last);
    }
}

void sim_accounts_check(struct sim *sim)
{
    /* A transfer that was lost may have come back (sim_loss.c). */
    if (sim->loss.n_entries > 0) {
        return;
    }
    for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
        const struct sim_account *a = &sim->accounts[i];
        if (!sim->failed && (a->last < a->min || a->last > a->max)) {
            sim_fail(sim,
                     "account %u ends at %" PRId64
                     ", what was acknowledged and tried is from %" PRId64
                     " to %" PRId64,
                     i, a->last, a->min, a->max);
        }
    }
}

void sim_accounts_restart(struct sim *sim, struct store *store)
{
    for (unsigned i = 0; i < SIM_ACCOUNTS; i++) {
        struct sim_account *a = &sim->accounts[i];
        struct bytes name = {(const uint8_t *)accounts[i], strlen(accounts[i])};
        const struct store_item *item = store_get(store, name);
        struct bytes value = {NULL, 0};
        struct sim_reply r = {0};
        int64_t was = a->sure;

        if (item != NULL) {
            value = store_item_value(item);
            r.text = value.data;
            r.size = value.size;
        }
        a->sure = item != NULL ? sim_reply_number(&r) : 0;
        a->min += a->sure - was;
        a->max += a->sure - was;
    }
}

/* ---- answers ---- */

void sim_transaction_part(struct sim_client *c, const struct sim_op *op,
                          const struct sim_reply *r)
{
    if (op->kind == SIM_OP_WATCH && r->type == '-') {
        c->watch_refused = true;
    }
}

bool sim_transaction_done(struct sim_client *c, struct sim_op *op,
                          const uint8_t *at, const uint8_t *end)
{
    const uint8_t *peek = at;
    struct sim_reply r;

    (void)sim_reply_parse(&peek, end, &r);
    if (op->kind == SIM_OP_WATCH) {
        c->watch = c->watch_refused ? SIM_WATCH_NONE : SIM_WATCH_READ;
        c->watch_key = op->key[0];
        c->watch_value = r.null ? 0 : sim_reply_number(&r);
        return true;
    }
    if (r.null) {
        COVER(transaction_broken);
        return false;
    }
    if (op->kind == SIM_OP_AUDIT) {
        check_audit(c->sim, at, end);
        return true;
    }
    COVER(transaction_executed);
    if (!op->crossed) {
        tally_transfer(c->sim, op, false, true);
    }
    return true;
}
