/* WAIT and CONCORDKV LEADER TRANSFER, asked by clients.
 *
 * WAIT answers how many nodes beside the leader have the session's writes on
 * disk: never more than really do. Values are written once each, so the judge
 * knows the index of an acknowledged write by its number. Under a weaker sync
 * policy "on disk" is what that policy calls so; what a power cut took since
 * then counts as had.
 *
 * A transfer that is answered with a node has made that node the leader of a
 * later term. That no write is lost or done twice on the way is judged by the
 * histories; how long nobody takes writes, when all is quiet (sim_plan.c). */
#include "tests/sim/sim.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "node/replica_state.h"

enum { WAIT_MS_MAX = 1500 };

struct sim_written_at {
    int64_t number;
    uint64_t index;
};

bool sim_is_ask(enum sim_op_kind kind)
{
    return kind == SIM_OP_WAIT || kind == SIM_OP_LEADER;
}

bool sim_takes_writes(struct sim *sim)
{
    for (unsigned id = 1; id <= sim->options.n_nodes; id++) {
        const struct sim_node *n = &sim->nodes[id];
        if (n->up && !n->paused && replica_is_leader(n->replica) &&
            replica_accepts(n->replica)) {
            return true;
        }
    }
    return false;
}

/* ---- asking ---- */

struct sim_op sim_ask_draw(struct sim_client *c)
{
    struct sim_random *random = &c->sim->client_random;
    unsigned n_nodes = c->sim->options.n_nodes;
    struct sim_op op = {.kind = SIM_OP_WAIT};

    if (sim_random_chance(random, 100)) {
        op.kind = SIM_OP_LEADER; /* of one, or of anybody */
        op.argument = (int64_t)sim_random_below(random, n_nodes + 1);
        return op;
    }
    op.argument = (int64_t)sim_random_below(random, n_nodes);
    op.ttl_ms = (int64_t)sim_random_delay(random, 1, WAIT_MS_MAX);
    return op;
}

static struct bytes put_number(char text[24], int64_t number)
{
    struct bytes b = {(const uint8_t *)text, 0};

    b.size = (size_t)snprintf(text, 24, "%" PRId64, number);
    return b;
}

static struct bytes word(const char *text)
{
    struct bytes b = {(const uint8_t *)text, strlen(text)};

    return b;
}

void sim_ask_submit(struct sim_client *c, const struct sim_op *op)
{
    struct bytes argv[4];
    char numbers[2][24];
    uint32_t argc = 3;

    if (op->kind == SIM_OP_WAIT) {
        argv[0] = word("WAIT");
        argv[1] = put_number(numbers[0], op->argument);
        argv[2] = put_number(numbers[1], op->ttl_ms);
        sim_trace(c->sim, "c%u n%u WAIT %" PRId64 " %" PRId64, c->id, c->node,
                  op->argument, op->ttl_ms);
    } else {
        argv[0] = word("CONCORDKV");
        argv[1] = word("LEADER");
        argv[2] = word("TRANSFER");
        if (op->argument != 0) {
            argv[argc++] = put_number(numbers[0], op->argument);
        }
        sim_trace(c->sim, "c%u n%u LEADER TRANSFER %" PRId64, c->id, c->node,
                  op->argument);
    }
    (void)session_submit(c->session, argc, argv);
}

/* ---- what was written, and where ---- */

void sim_ask_applied(struct sim *sim, const struct proposal *p, uint64_t index)
{
    struct sim_written *w = &sim->written;
    char text[24];
    size_t size;

    if (p->argc < 3 || p->argv[2].size < 2 || p->argv[2].data[0] != 'v') {
        return;
    }
    if (w->n == w->capacity) {
        w->capacity = w->capacity == 0 ? 256 : 2 * w->capacity;
        w->at = realloc(w->at, w->capacity * sizeof *w->at);
        assert(w->at != NULL);
    }
    size = p->argv[2].size - 1;
    size = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, p->argv[2].data + 1, size);
    text[size] = '\0';
    w->at[w->n++] = (struct sim_written_at){strtoll(text, NULL, 10), index};
}

void sim_ask_cut(struct sim *sim, uint64_t last)
{
    struct sim_written *w = &sim->written;

    while (w->n > 0 && w->at[w->n - 1].index > last) {
        w->n--;
    }
}

void sim_ask_wrote(struct sim_client *c, const struct sim_op *op)
{
    const struct sim_written *w = &c->sim->written;

    if ((op->kind != SIM_OP_SET && op->kind != SIM_OP_SETPX &&
         op->kind != SIM_OP_MSET) ||
        op->crossed) {
        return;
    }
    for (size_t i = w->n; i > 0; i--) {
        if (w->at[i - 1].number == op->argument) {
            if (w->at[i - 1].index > c->wrote_index) {
                c->wrote_index = w->at[i - 1].index;
            }
            return;
        }
    }
    sim_fail(c->sim, "client %u is told of a write that nobody has applied",
             c->id);
}

/* ---- answers ---- */

static bool led_throughout(const struct sim_node *n, const struct sim_op *op)
{
    return replica_is_leader(n->replica) && op->led &&
           replica_term(n->replica) == op->term;
}

static void check_wait(struct sim_client *c, const struct sim_op *op,
                       int64_t reply)
{
    struct sim *sim = c->sim;
    const struct sim_node *at = &sim->nodes[c->node];
    unsigned n_others = sim->options.n_nodes - 1;
    unsigned n_have = n_others;

    if (c->wrote_index != 0 && !op->crossed) {
        COVER(wait_answered);
        /* Another leader may have been asked; it is not counted, but may be
         * the one that lacks it. */
        n_have = sim_check_holders(sim, c->wrote_index,
                                   led_throughout(at, op) ? at->id : 0);
        n_have = n_have < n_others ? n_have : n_others;
    }
    if (reply < 0 || reply > (int64_t)n_have) {
        sim_fail(sim,
                 "WAIT tells client %u that %" PRId64
                 " other nodes have its write at index %" PRIu64 ", %u have it",
                 c->id, reply, c->wrote_index, n_have);
    }
    if (reply < op->argument) {
        COVER(wait_timed_out);
    }
}

static void check_transfer(struct sim_client *c, const struct sim_op *op,
                           int64_t reply)
{
    const struct sim *sim = c->sim;
    bool known = reply >= 1 && reply <= (int64_t)sim->options.n_nodes;
    const struct sim_node *n = known ? &sim->nodes[reply] : NULL;

    COVER(transfer_answered);
    if (n == NULL || (op->argument != 0 && reply != op->argument) ||
        (!sim_check_led(sim, n->id, op->term) &&
         !(n->up && replica_is_leader(n->replica) &&
           replica_term(n->replica) > op->term))) {
        sim_fail(c->sim,
                 "client %u is told that leadership went to %" PRId64
                 ", it asked for %" PRId64 " in term %" PRIu64,
                 c->id, reply, op->argument, op->term);
    }
}

void sim_ask_done(struct sim_client *c, const struct sim_op *op, int64_t reply)
{
    c->last_result = reply;
    if (op->kind == SIM_OP_WAIT) {
        check_wait(c, op, reply);
    } else {
        check_transfer(c, op, reply);
    }
}
