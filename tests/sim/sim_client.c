/* Clients: what they do, and where.
 *
 * A client keeps up to `pipeline` operations under way in one session at some
 * node, in closed loop: the next is sent when one was answered. It loses the
 * session with the node, gives up what takes too long, and moves. What it saw
 * is kept and judged in sim_history.c.
 *
 * Keys: registers hold numbers written once each ("v17" and padding),
 * counters are only incremented, pairs are written by MSET with the same
 * number on both sides and must never be read with two different ones; leased
 * keys are registers that expire; accounts are in sim_transaction.c. */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { N_REGISTERS = 4, N_COUNTERS = 3, N_PAIRED = 2, N_LEASED = 2 };

/* Times to live that PEXPIRE gives in a run; each is another one. */
enum { TTLS_MAX = 1999 };

static void on_output(void *ctx)
{
    struct sim_client *c = ctx;
    struct buffer *b = session_output(c->session);
    size_t used = 1;

    if (c->telling) {
        buffer_consume(b, buffer_size(b)); /* +OK of an empty session */
        return;
    }
    /* Bytes of a dying process do not leave it. */
    if (c->sim->nodes[c->node].dying) {
        buffer_consume(b, buffer_size(b));
        return;
    }
    if (c->readonly) {
        struct service_stats stats;
        service_get_stats(c->sim->nodes[c->node].service, &stats);
        if (stats.n_stale > 0) {
            COVER(read_stale);
        }
    }
    while (used > 0) {
        used = sim_history_answer(c, buffer_data(b),
                                  buffer_data(b) + buffer_size(b));
        buffer_consume(b, used);
    }
    sim_client_wake(
        c, sim_random_range(&c->sim->client_random, 50, c->think_us_max));
}

/* ---- sending ---- */

static struct bytes text_bytes(const char *text)
{
    struct bytes b = {(const uint8_t *)text, strlen(text)};

    return b;
}

static size_t make_value(struct sim *sim, const struct sim_op *op, char *out,
                         size_t size)
{
    size_t n = (size_t)snprintf(out, size, "v%" PRId64 ".", op->argument);
    size_t padding = (size_t)sim->value_padding;

    if (sim->value_padding < 0) {
        padding = sim_random_chance(&sim->client_random, 300)
                      ? sim_random_below(&sim->client_random, size - n)
                      : 0;
    } else if (padding > size - n) {
        padding = size - n;
    }
    memset(out + n, 'x', padding);
    return n + padding;
}

static void submit_to_session(struct sim_client *c, const struct sim_op *op)
{
    static const char *const names[] = {
        "GET",  "SET",  "DEL", "INCR",    "INCRBY",  "SETNX", "EXISTS",
        "MGET", "MSET", "SET", "PEXPIRE", "PERSIST", "PTTL"};
    struct bytes argv[2 * SIM_OP_KEYS_MAX + 3];
    char value[6000];
    char number[32];
    size_t value_size = make_value(c->sim, op, value, sizeof value);
    uint32_t argc = 0;

    if (sim_is_transaction(op->kind)) {
        sim_transaction_submit(c, op);
        return;
    }
    if (sim_is_ask(op->kind)) {
        sim_ask_submit(c, op);
        return;
    }
    argv[argc++] = text_bytes(names[op->kind]);
    for (unsigned i = 0; i < op->n_keys; i++) {
        argv[argc++] = text_bytes(c->sim->keys[op->key[i]].name);
        if (op->kind == SIM_OP_SET || op->kind == SIM_OP_SETNX ||
            op->kind == SIM_OP_MSET || op->kind == SIM_OP_SETPX) {
            argv[argc++] = (struct bytes){(uint8_t *)value, value_size};
        } else if (op->kind == SIM_OP_INCRBY) {
            snprintf(number, sizeof number, "%" PRId64, op->argument);
            argv[argc++] = text_bytes(number);
        }
    }
    if (op->kind == SIM_OP_SETPX) {
        argv[argc++] = text_bytes("PX");
    }
    if (op->kind == SIM_OP_SETPX || op->kind == SIM_OP_PEXPIRE) {
        snprintf(number, sizeof number, "%" PRId64, op->ttl_ms);
        argv[argc++] = text_bytes(number);
    }
    sim_trace(c->sim, "c%u n%u %s %s %" PRId64 " %" PRId64, c->id, c->node,
              names[op->kind], c->sim->keys[op->key[0]].name, op->argument,
              op->ttl_ms);
    (void)session_submit(c->session, argc, argv);
}

static unsigned register_key(struct sim *sim)
{
    return (unsigned)sim_random_below(&sim->client_random, N_REGISTERS);
}

static unsigned counter_key(struct sim *sim)
{
    return N_REGISTERS +
           (unsigned)sim_random_below(&sim->client_random, N_COUNTERS);
}

static struct sim_op one_key(enum sim_op_kind kind, unsigned key,
                             int64_t argument)
{
    struct sim_op op = {.kind = kind, .n_keys = 1, .argument = argument};

    op.key[0] = key;
    return op;
}

static struct sim_op pair(enum sim_op_kind kind, int64_t argument)
{
    struct sim_op op = {.kind = kind, .n_keys = 2, .argument = argument};

    op.key[0] = N_REGISTERS + N_COUNTERS;
    op.key[1] = N_REGISTERS + N_COUNTERS + 1;
    return op;
}

static struct sim_op draw_leased_op(struct sim *sim)
{
    struct sim_random *random = &sim->client_random;
    unsigned key = N_REGISTERS + N_COUNTERS + N_PAIRED +
                   (unsigned)sim_random_below(random, N_LEASED);
    uint64_t draw = sim_random_below(random, 100);
    struct sim_op op;

    if (draw < 25) {
        op = one_key(SIM_OP_SETPX, key, ++sim->n_values);
        op.ttl_ms = (int64_t)sim_random_delay(random, 10, 3000);
        return op;
    }
    if (draw < 33 && sim->n_ttls < TTLS_MAX) {
        op = one_key(SIM_OP_PEXPIRE, key, 0);
        /* A prime: no time comes twice. */
        op.ttl_ms = 10 + sim->n_ttls++ * 577 % TTLS_MAX;
        return op;
    }
    if (draw < 75) {
        return one_key(SIM_OP_GET, key, 0);
    }
    if (draw < 80) {
        return one_key(SIM_OP_SET, key, ++sim->n_values);
    }
    if (draw < 85) {
        return one_key(SIM_OP_PERSIST, key, 0);
    }
    if (draw < 92) {
        return one_key(SIM_OP_PTTL, key, 0);
    }
    if (draw < 96) {
        return one_key(SIM_OP_SETNX, key, ++sim->n_values);
    }
    return draw < 98 ? one_key(SIM_OP_EXISTS, key, 0)
                     : one_key(SIM_OP_DEL, key, 0);
}

static struct sim_op draw_op(struct sim_client *c)
{
    struct sim *sim = c->sim;
    struct sim_random *random = &sim->client_random;
    uint64_t draw = sim_random_below(random, 100);

    if (c->watch == SIM_WATCH_READ) {
        return sim_transaction_next(c);
    }
    if (c->watch == SIM_WATCH_NONE && sim_random_chance(random, 200)) {
        return sim_transaction_draw(c, counter_key(sim));
    }
    if (sim_random_chance(random, 30)) {
        return sim_ask_draw(c);
    }
    if (sim_random_chance(random, 250)) {
        return draw_leased_op(sim);
    }

    if (draw < 22) {
        return one_key(SIM_OP_GET, register_key(sim), 0);
    }
    if (draw < 50) {
        return one_key(SIM_OP_SET, register_key(sim), ++sim->n_values);
    }
    if (draw < 68) {
        return one_key(SIM_OP_INCR, counter_key(sim), 1);
    }
    if (draw < 72) {
        /* One step of its own size: a value then tells how many of each
         * kind it holds, which keeps the judge's search short. */
        return one_key(SIM_OP_INCRBY, counter_key(sim), 1000);
    }
    if (draw < 77) {
        return one_key(SIM_OP_GET, counter_key(sim), 0);
    }
    if (draw < 81) {
        return one_key(SIM_OP_DEL, register_key(sim), 0);
    }
    if (draw < 85) {
        return one_key(SIM_OP_SETNX, register_key(sim), ++sim->n_values);
    }
    if (draw < 88) {
        return one_key(SIM_OP_EXISTS, register_key(sim), 0);
    }
    return draw < 94 ? pair(SIM_OP_MSET, ++sim->n_values)
                     : pair(SIM_OP_MGET, 0);
}

/* Whether reads of the session may be stale, from now on. Nothing is pending.
 */
static void tell_readonly(struct sim_client *c, bool readonly)
{
    struct bytes command = text_bytes(readonly ? "READONLY" : "READWRITE");

    if (c->readonly != readonly) {
        c->telling = true;
        (void)session_submit(c->session, 1, &command);
        c->telling = false;
        c->readonly = readonly;
    }
}

static void lose_session(struct sim_client *c)
{
    c->readonly = false;
    c->wrote_index = 0;
    c->disappointed = false;
    for (unsigned i = 0; i < c->n_pending; i++) {
        sim_history_unknown(c);
    }
    c->n_pending = 0;
    c->watch = SIM_WATCH_NONE;
    session_close(c->session);
    c->session = NULL;
    c->node = 0;
}

void sim_clients_node_down(struct sim_node *n)
{
    struct sim *sim = n->sim;

    for (unsigned i = 0; i < sim->n_clients; i++) {
        struct sim_client *c = &sim->clients[i];
        if (c->session != NULL && c->node == n->id) {
            lose_session(c);
            sim_client_wake(
                c, sim_random_delay(&sim->client_random, 1000, 200000));
        }
    }
}

void sim_client_due(struct sim_client *c, struct sim_node *n)
{
    unsigned n_new = 0;

    if (c->node != n->id) {
        if (c->session != NULL) {
            return;
        }
        if (session_open(n->service, on_output, c, &c->session) != 0) {
            c->session = NULL;
            return;
        }
        c->node = n->id;
        c->life = n->life;
        tell_readonly(c, c->content);
    }
    while (c->n_pending < c->pipeline && !c->idle && c->session != NULL &&
           n_new++ < c->pipeline) {
        struct sim_op op = draw_op(c);
        sim_history_invoked(c, &op);
        c->last_sent_us = c->sim->clock.now_us;
        c->pending[c->n_pending++] = op;
        submit_to_session(c, &op);
    }
}

bool sim_client_submit(struct sim_client *c, struct sim_op op)
{
    struct sim_node *n = &c->sim->nodes[c->wanted_node];

    c->last_ok = false;
    c->last_error[0] = '\0';
    if (!n->up || n->paused || c->n_pending == SIM_PIPELINE_MAX ||
        (c->session != NULL && c->node != n->id) || !sim_node_enter(n)) {
        return false;
    }
    if (c->session == NULL) {
        if (session_open(n->service, on_output, c, &c->session) != 0) {
            c->session = NULL;
            sim_node_leave(n);
            return false;
        }
        c->node = n->id;
        c->life = n->life;
    }
    if (c->n_pending == 0) {
        tell_readonly(c, false);
    }
    sim_history_invoked(c, &op);
    c->last_sent_us = c->sim->clock.now_us;
    c->pending[c->n_pending++] = op;
    submit_to_session(c, &op);
    sim_node_leave(n);
    return true;
}

static unsigned choose_node(struct sim_client *c)
{
    struct sim *sim = c->sim;

    if (c->session != NULL) {
        return c->node;
    }
    return c->pinned ? c->wanted_node
                     : 1 + (unsigned)sim_random_below(&sim->client_random,
                                                      sim->options.n_nodes);
}

/* Give up what takes too long; now and then move to another node. */
static void review_session(struct sim_client *c)
{
    struct sim_node *n = &c->sim->nodes[c->node];
    bool waited = c->n_pending > 0 &&
                  c->sim->clock.now_us - c->last_sent_us > c->patience_us;
    bool moves =
        c->n_pending == 0 && !c->pinned &&
        sim_random_chance(&c->sim->client_random, c->disappointed ? 300 : 20);

    if ((waited || moves) && !n->paused && sim_node_enter(n)) {
        if (waited) {
            COVER(client_gave_up);
        }
        lose_session(c);
        sim_node_leave(n);
    }
}

/* The client goes on. periodic: the one chain of events that never ends. */
static void client_event(void *ctx, uint64_t periodic, uint64_t unused)
{
    struct sim_client *c = ctx;
    struct sim_random *random = &c->sim->client_random;

    (void)unused;
    if (periodic) {
        sim_clock_after(&c->sim->clock, sim_random_range(random, 50000, 200000),
                        client_event, c, 1, 0);
    } else {
        c->scheduled = false;
    }
    if (c->session != NULL) {
        review_session(c);
    }
    if (!c->idle && c->n_pending < c->pipeline) {
        struct sim_node *n = &c->sim->nodes[choose_node(c)];
        if (n->up) {
            sim_node_call_client(n, sim_random_delay(random, 30, 2000), c->id);
        }
    }
}

void sim_client_wake(struct sim_client *c, uint64_t delay_us)
{
    if (!c->scheduled) {
        c->scheduled = true;
        sim_clock_after(&c->sim->clock, delay_us, client_event, c, 0, 0);
    }
}

void sim_clients_open(struct sim *sim, unsigned n_clients)
{
    char name[16];

    for (unsigned i = 0; i < N_REGISTERS; i++) {
        snprintf(name, sizeof name, "r%u", i);
        (void)sim_key_find(sim, name);
    }
    for (unsigned i = 0; i < N_COUNTERS; i++) {
        snprintf(name, sizeof name, "c%u", i);
        (void)sim_key_find(sim, name);
    }
    (void)sim_key_find(sim, "pa");
    (void)sim_key_find(sim, "pb");
    for (unsigned i = 0; i < N_LEASED; i++) {
        snprintf(name, sizeof name, "e%u", i);
        (void)sim_key_find(sim, name);
    }
    sim->value_padding = -1;
    sim->n_clients = n_clients;
    for (unsigned i = 0; i < n_clients; i++) {
        struct sim_client *c = &sim->clients[i];
        memset(c, 0, sizeof *c);
        c->sim = sim;
        c->id = i;
        c->pipeline = sim_random_chance(&sim->client_random, 500)
                          ? 1
                          : (unsigned)sim_random_range(&sim->client_random, 1,
                                                       SIM_PIPELINE_MAX);
        c->content = sim->options.stale_read_max_ms > 0 &&
                     sim_random_chance(&sim->client_random, 250);
        c->think_us_max = sim_random_delay(&sim->client_random, 10000, 300000);
        c->patience_us = sim_random_range(&sim->client_random, 500000, 8000000);
        sim_clock_after(&sim->clock,
                        sim_random_below(&sim->client_random, 500000),
                        client_event, c, 1, 0);
    }
}

void sim_clients_close(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_clients; i++) {
        struct sim_client *c = &sim->clients[i];
        if (c->session != NULL) {
            session_close(c->session);
            c->session = NULL;
        }
    }
    for (unsigned i = 0; i < sim->n_keys; i++) {
        free(sim->keys[i].ops);
        free(sim->keys[i].leases);
        free(sim->keys[i].lease_facts);
    }
}
