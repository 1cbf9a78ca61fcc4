/* The search of linear.h.
 *
 * Completed operations stand in a list of their invocations and returns in
 * order of time. Those whose invocation comes before the first return in the
 * list may go next; a taken operation is lifted out of the list and put back
 * when the search steps back. Unknown operations stand apart, are tried after
 * the completed ones, and need not be taken at all: when no return is left,
 * the history is linearizable.
 *
 * A lease is part of the state. Each operation on a key that has one is tried
 * with the key still there, and with the key gone just before: the first unless
 * it was invoked behind the lease's end, the second if the end may come now,
 * that is, if it does not lie behind the return of an operation still to go.
 *
 * Three reductions keep many unknown operations cheap. Equal ones (same kind
 * and argument) are taken in order of invocation: any other order can be
 * swapped into this one. Values that nobody saw are taken for one value. And
 * first the history is tried without the unknown writes whose value nobody
 * saw; a success then is a success. */
#include "tests/lib/linear.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *previous, *next;
    size_t op;
    uint64_t time;
    bool is_return;
    struct node *match; /* of an invocation: its return */
};

struct frame {
    struct linear_state state;
    struct node *cursor; /* next completed operation to try */
    bool completed_tried;
    size_t unknown_next;
    /* The last candidate is to be tried again with the key gone. */
    bool again;
    size_t again_op;
    struct node *again_node;
    size_t taken;            /* operation that led to the frame above */
    struct node *taken_node; /* NULL: an unknown one */
};

struct key128 {
    uint64_t low, high;
};

struct search {
    const struct linear_op *ops;
    const struct linear_lease *leases;
    size_t n;
    struct node head; /* before the first */
    struct node *nodes;
    size_t n_completed_left;
    size_t *unknown; /* operations of unknown outcome, by invocation */
    size_t n_unknown;
    size_t *same_before; /* of each unknown: an equal one earlier, or n */
    bool *lifted;
    struct frame *frames;
    size_t depth;
    struct key128 taken_key;
    struct key128 *memory; /* open addressing; 0, 0: free */
    size_t memory_size, memory_used;
    uint64_t steps;
};

bool linear_apply(const struct linear_op *op, struct linear_state *s)
{
    bool known = op->returned != LINEAR_NEVER;
    struct linear_state old = *s;

    switch (op->kind) {
    case LINEAR_GET:
        return !known || (op->absent ? !s->present
                                     : s->present && s->value == op->result);
    case LINEAR_EXISTS:
        return !known || op->result == (int64_t)s->present;
    case LINEAR_SET:
        s->present = true;
        s->value = op->argument;
        s->lease = op->lease;
        return true;
    case LINEAR_DEL:
        *s = (struct linear_state){false, 0, 0};
        return !known || op->result == (int64_t)old.present;
    case LINEAR_ADD:
        s->value = (old.present ? old.value : 0) + op->argument;
        s->present = true;
        return !known || op->result == s->value;
    case LINEAR_SETNX:
        if (!old.present) {
            s->present = true;
            s->value = op->argument;
        }
        return !known || op->result == (int64_t)!old.present;
    case LINEAR_EXPIRE:
        s->lease = old.present ? op->lease : 0;
        return !known || op->result == (int64_t)old.present;
    case LINEAR_PERSIST:
        s->lease = 0;
        return !known || op->result == (int64_t)(old.lease != 0);
    case LINEAR_TTL:
        return !known || op->result == (!s->present     ? -2
                                        : s->lease == 0 ? -1
                                                        : 1);
    }
    return false;
}

void linear_print(const struct linear_op *op, char *out, size_t size)
{
    static const char *const names[] = {"GET",    "SET",     "DEL",
                                        "ADD",    "SETNX",   "EXISTS",
                                        "EXPIRE", "PERSIST", "TTL"};
    char result[32] = "unknown";

    if (op->returned != LINEAR_NEVER && op->absent) {
        snprintf(result, sizeof result, "absent");
    } else if (op->returned != LINEAR_NEVER) {
        snprintf(result, sizeof result, "%" PRId64, op->result);
    }
    snprintf(out, size,
             "[%" PRIu64 ", %" PRIu64 "] %s %" PRId64 " lease %zu -> %s",
             op->invoked, op->returned, names[op->kind], op->argument,
             op->lease, result);
}

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Sets are named by the sum of their members' random 128-bit numbers. */
static void toggle(struct search *s, size_t op)
{
    s->taken_key.low ^= mix(2 * op + 1);
    s->taken_key.high ^= mix(~(2 * op));
}

static void memory_put(struct key128 *memory, size_t size, struct key128 k)
{
    size_t i = k.low & (size - 1);

    while (memory[i].low != 0 || memory[i].high != 0) {
        i = (i + 1) & (size - 1);
    }
    memory[i] = k;
}

/* False when this set and state were visited before. */
static bool remember(struct search *s, const struct linear_state *state)
{
    struct key128 k = s->taken_key;
    size_t i;

    k.low ^= mix((uint64_t)state->value ^ 0x5bd1e995u) + state->present +
             mix(state->lease);
    k.high ^= mix(~(uint64_t)state->value) + 2 * (uint64_t)state->present;
    if (k.low == 0 && k.high == 0) {
        k.high = 1;
    }
    if (2 * s->memory_used >= s->memory_size) {
        size_t size = s->memory_size == 0 ? 1024 : 2 * s->memory_size;
        struct key128 *memory = calloc(size, sizeof *memory);
        assert(memory != NULL);
        for (i = 0; i < s->memory_size; i++) {
            if (s->memory[i].low != 0 || s->memory[i].high != 0) {
                memory_put(memory, size, s->memory[i]);
            }
        }
        free(s->memory);
        s->memory = memory;
        s->memory_size = size;
    }
    for (i = k.low & (s->memory_size - 1);
         s->memory[i].low != 0 || s->memory[i].high != 0;
         i = (i + 1) & (s->memory_size - 1)) {
        if (s->memory[i].low == k.low && s->memory[i].high == k.high) {
            return false;
        }
    }
    s->memory[i] = k;
    s->memory_used++;
    return true;
}

static void unlink_node(struct node *x)
{
    x->previous->next = x->next;
    if (x->next != NULL) {
        x->next->previous = x->previous;
    }
}

static void relink_node(struct node *x)
{
    x->previous->next = x;
    if (x->next != NULL) {
        x->next->previous = x;
    }
}

static void take(struct search *s, size_t op, struct node *x)
{
    toggle(s, op);
    s->lifted[op] = true;
    if (x != NULL) {
        unlink_node(x);
        unlink_node(x->match);
        s->n_completed_left--;
    }
}

static void put_back(struct search *s, size_t op, struct node *x)
{
    toggle(s, op);
    s->lifted[op] = false;
    if (x != NULL) {
        relink_node(x->match);
        relink_node(x);
        s->n_completed_left++;
    }
}

/* The next operation that may go now; false: none is left to try here. */
static bool candidate(struct search *s, struct frame *f, size_t *op,
                      struct node **x)
{
    uint64_t first_return;

    if (f->again) {
        *op = f->again_op;
        *x = f->again_node;
        return true;
    }
    if (!f->completed_tried && f->cursor != NULL && !f->cursor->is_return) {
        *x = f->cursor;
        *op = f->cursor->op;
        f->cursor = f->cursor->next;
        return true;
    }
    f->completed_tried = true;
    first_return = f->cursor != NULL ? f->cursor->time : UINT64_MAX;
    while (f->unknown_next < s->n_unknown) {
        size_t i = f->unknown_next++;
        size_t u = s->unknown[i];
        if (s->ops[u].invoked > first_return) {
            break;
        }
        if (!s->lifted[u] &&
            (s->same_before[i] == s->n || s->lifted[s->same_before[i]])) {
            *x = NULL;
            *op = u;
            return true;
        }
    }
    return false;
}

/* When the first of the completed operations that are left has returned. */
static uint64_t first_return_left(const struct search *s)
{
    const struct node *x = s->head.next;

    while (x != NULL && !x->is_return) {
        x = x->next;
    }
    return x != NULL ? x->time : UINT64_MAX;
}

/* The state before an operation, with the key gone or still there: false, it
 * can not be so. */
static bool lease_allows(const struct search *s, const struct linear_op *op,
                         bool gone, struct linear_state *state)
{
    const struct linear_lease *lease;

    if (state->lease == 0) {
        return !gone;
    }
    lease = &s->leases[state->lease - 1];
    if (!gone) {
        return lease->must == LINEAR_NEVER || op->invoked < lease->must;
    }
    *state = (struct linear_state){false, 0, 0};
    return lease->may != LINEAR_NEVER && lease->may < first_return_left(s);
}

static void enter(struct search *s, struct linear_state state)
{
    s->frames[s->depth++] = (struct frame){
        .state = state,
        .cursor = s->head.next,
    };
}

static enum linear_verdict run(struct search *s, struct linear_state initial,
                               uint64_t steps_max)
{
    enter(s, initial);
    while (s->n_completed_left > 0) {
        struct frame *f = &s->frames[s->depth - 1];
        struct linear_state state = f->state;
        struct node *x;
        size_t op;
        bool gone = f->again;
        if (!candidate(s, f, &op, &x)) {
            if (--s->depth == 0) {
                return LINEAR_NO;
            }
            f = &s->frames[s->depth - 1];
            put_back(s, f->taken, f->taken_node);
            continue;
        }
        if (++s->steps > steps_max) {
            return LINEAR_UNDECIDED;
        }
        f->again = !gone && state.lease != 0;
        f->again_op = op;
        f->again_node = x;
        if (!lease_allows(s, &s->ops[op], gone, &state) ||
            !linear_apply(&s->ops[op], &state)) {
            continue;
        }
        take(s, op, x);
        if (!remember(s, &state)) {
            put_back(s, op, x);
            continue;
        }
        f->taken = op;
        f->taken_node = x;
        enter(s, state);
    }
    return LINEAR_YES;
}

static int by_time(const void *x, const void *y)
{
    const struct node *a = x, *b = y;

    return a->time < b->time ? -1 : a->time > b->time;
}

static bool equal_unknown(const struct linear_op *x, const struct linear_op *y)
{
    return x->kind == y->kind && x->argument == y->argument &&
           x->lease == y->lease;
}

/* Sorted nodes, then links, then the pairs. */
static void build_list(struct search *s)
{
    struct node **invocation = calloc(s->n + 1, sizeof(struct node *));
    struct node *last = &s->head;
    size_t n = 0;

    assert(invocation != NULL);
    for (size_t i = 0; i < s->n; i++) {
        if (s->ops[i].returned != LINEAR_NEVER) {
            s->nodes[n++] = (struct node){.op = i, .time = s->ops[i].invoked};
            s->nodes[n++] = (struct node){
                .op = i, .time = s->ops[i].returned, .is_return = true};
            s->n_completed_left++;
        }
    }
    qsort(s->nodes, n, sizeof *s->nodes, by_time);
    for (size_t i = 0; i < n; i++) {
        struct node *x = &s->nodes[i];
        x->previous = last;
        last->next = x;
        last = x;
        if (x->is_return) {
            assert(invocation[x->op] != NULL);
            invocation[x->op]->match = x;
        } else {
            invocation[x->op] = x;
        }
    }
    free(invocation);
}

static void build_unknown(struct search *s, const bool *dropped)
{
    for (size_t i = 0; i < s->n; i++) {
        size_t k;
        if (s->ops[i].returned != LINEAR_NEVER || dropped[i] ||
            s->ops[i].kind == LINEAR_GET || s->ops[i].kind == LINEAR_EXISTS ||
            s->ops[i].kind == LINEAR_TTL) {
            continue; /* A read that nobody saw changes nothing. */
        }
        for (k = s->n_unknown;
             k > 0 && s->ops[s->unknown[k - 1]].invoked > s->ops[i].invoked;
             k--) {
            s->unknown[k] = s->unknown[k - 1];
        }
        s->unknown[k] = i;
        s->n_unknown++;
    }
    for (size_t i = 0; i < s->n_unknown; i++) {
        s->same_before[i] = s->n;
        for (size_t k = i; k-- > 0 && s->same_before[i] == s->n;) {
            if (equal_unknown(&s->ops[s->unknown[k]], &s->ops[s->unknown[i]])) {
                s->same_before[i] = s->unknown[k];
            }
        }
    }
}

static enum linear_verdict check(const struct linear_op *ops, size_t n,
                                 const struct linear_lease *leases,
                                 struct linear_state initial,
                                 uint64_t steps_max, const bool *dropped)
{
    struct search s = {.ops = ops, .leases = leases, .n = n};
    enum linear_verdict verdict;

    s.nodes = calloc(2 * n + 1, sizeof *s.nodes);
    s.unknown = calloc(n + 1, sizeof *s.unknown);
    s.same_before = calloc(n + 1, sizeof *s.same_before);
    s.lifted = calloc(n + 1, sizeof *s.lifted);
    s.frames = calloc(n + 2, sizeof *s.frames);
    assert(s.nodes != NULL && s.unknown != NULL && s.same_before != NULL &&
           s.lifted != NULL && s.frames != NULL);
    build_list(&s);
    build_unknown(&s, dropped);
    verdict = run(&s, initial, steps_max);
    free(s.nodes);
    free(s.unknown);
    free(s.same_before);
    free(s.lifted);
    free(s.frames);
    free(s.memory);
    return verdict;
}

static bool was_seen(const struct linear_op *ops, size_t n, int64_t value)
{
    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == LINEAR_GET && ops[i].returned != LINEAR_NEVER &&
            !ops[i].absent && ops[i].result == value) {
            return true;
        }
    }
    return false;
}

/* Values that nobody saw are as good as each other: with one name for all,
 * states and unknown writes that differ only in them are the same. Not where
 * values are counted with. Returns a copy, or NULL when there is an ADD. */
static struct linear_op *merge_unseen(const struct linear_op *ops, size_t n)
{
    struct linear_op *copy;

    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == LINEAR_ADD) {
            return NULL;
        }
    }
    copy = malloc((n + 1) * sizeof *copy);
    assert(copy != NULL);
    for (size_t i = 0; i < n; i++) {
        copy[i] = ops[i];
        if ((ops[i].kind == LINEAR_SET || ops[i].kind == LINEAR_SETNX) &&
            !was_seen(ops, n, ops[i].argument)) {
            copy[i].argument = INT64_MIN;
        }
    }
    return copy;
}

/* Mark the unknown writes whose value nobody saw; false: there are none. */
static bool drop_unseen(const struct linear_op *ops, size_t n, bool *dropped)
{
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        dropped[i] =
            ops[i].returned == LINEAR_NEVER &&
            (ops[i].kind == LINEAR_SET || ops[i].kind == LINEAR_SETNX) &&
            !was_seen(ops, n, ops[i].argument);
        any = any || dropped[i];
    }
    return any;
}

enum linear_verdict linear_check_leases(const struct linear_op *ops, size_t n,
                                        const struct linear_lease *leases,
                                        struct linear_state initial,
                                        uint64_t steps_max)
{
    bool *dropped = calloc(n + 1, sizeof *dropped);
    struct linear_op *merged = merge_unseen(ops, n);
    enum linear_verdict verdict = LINEAR_NO;

    assert(dropped != NULL);
    if (merged != NULL) {
        ops = merged;
    }
    if (drop_unseen(ops, n, dropped)) {
        verdict = check(ops, n, leases, initial, steps_max, dropped);
        memset(dropped, 0, n * sizeof *dropped);
    }
    if (verdict != LINEAR_YES) {
        verdict = check(ops, n, leases, initial, steps_max, dropped);
    }
    free(merged);
    free(dropped);
    return verdict;
}

enum linear_verdict linear_check(const struct linear_op *ops, size_t n,
                                 struct linear_state initial,
                                 uint64_t steps_max)
{
    return linear_check_leases(ops, n, NULL, initial, steps_max);
}
