/* The linearizability checker is right: it agrees with a brute-force checker
 * on all small histories, and finds every anomaly planted in large ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/linear.h"
#include "tests/sim/sim_random.h"

enum { OPS_MAX = 6, STEPS_MAX = 300000 };

static const struct linear_state absent_state = {false, 0};

/* ---- brute force: every order that real time allows ---- */

static bool brute(const struct linear_op *ops, unsigned n, unsigned taken,
                  struct linear_state state)
{
    bool all = true;

    for (unsigned i = 0; i < n; i++) {
        all = all && ((taken >> i & 1) || ops[i].returned == LINEAR_NEVER);
    }
    if (all) {
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        struct linear_state next = state;
        bool possible = !(taken >> i & 1);
        for (unsigned k = 0; k < n && possible; k++) {
            possible = (taken >> k & 1) || k == i ||
                       ops[k].returned == LINEAR_NEVER ||
                       ops[k].returned > ops[i].invoked;
        }
        if (possible && linear_apply(&ops[i], &next) &&
            brute(ops, n, taken | 1u << i, next)) {
            return true;
        }
    }
    return false;
}

/* One kind of operation of a small model. */
struct variant {
    enum linear_kind kind;
    int64_t argument;
    bool absent;
    int64_t result;
    bool unknown;
};

struct enumeration {
    const struct variant *variants;
    unsigned n_variants;
    unsigned n;
    struct linear_op ops[OPS_MAX];
    uint64_t n_histories, n_linearizable;
};

static void judge(struct enumeration *e)
{
    bool expected = brute(e->ops, e->n, 0, absent_state);
    enum linear_verdict verdict =
        linear_check(e->ops, e->n, absent_state, STEPS_MAX);

    e->n_histories++;
    e->n_linearizable += expected;
    if (verdict != (expected ? LINEAR_YES : LINEAR_NO)) {
        for (unsigned i = 0; i < e->n; i++) {
            char line[128];
            linear_print(&e->ops[i], line, sizeof line);
            print_error("%s\n", line);
        }
        fail_msg("expected %d, verdict %d", expected, (int)verdict);
    }
}

static void each_variant(struct enumeration *e, unsigned i)
{
    if (i == e->n) {
        judge(e);
        return;
    }
    for (unsigned v = 0; v < e->n_variants; v++) {
        uint64_t returned = e->ops[i].returned;
        e->ops[i].kind = e->variants[v].kind;
        e->ops[i].argument = e->variants[v].argument;
        e->ops[i].absent = e->variants[v].absent;
        e->ops[i].result = e->variants[v].result;
        if (e->variants[v].unknown) {
            e->ops[i].returned = LINEAR_NEVER;
        }
        each_variant(e, i + 1);
        e->ops[i].returned = returned;
    }
}

/* All ways to interleave n invocations (in order) and their returns. */
static void each_order(struct enumeration *e, uint64_t time, unsigned invoked,
                       unsigned open)
{
    if (invoked == e->n && open == 0) {
        each_variant(e, 0);
        return;
    }
    if (invoked < e->n) {
        e->ops[invoked].invoked = time;
        each_order(e, time + 1, invoked + 1, open | 1u << invoked);
    }
    for (unsigned i = 0; i < e->n; i++) {
        if (open >> i & 1) {
            e->ops[i].returned = time;
            each_order(e, time + 1, invoked, open & ~(1u << i));
        }
    }
}

static void enumerate(const struct variant *variants, unsigned n_variants,
                      unsigned n)
{
    struct enumeration e = {
        .variants = variants, .n_variants = n_variants, .n = n};

    each_order(&e, 1, 0, 0);
    print_message("%u operations, %u variants: %llu histories, %llu fine\n", n,
                  n_variants, (unsigned long long)e.n_histories,
                  (unsigned long long)e.n_linearizable);
    assert_true(e.n_linearizable > 0 && e.n_linearizable < e.n_histories);
}

static const struct variant register_variants[] = {
    {LINEAR_SET, 1, false, 0, false},   {LINEAR_GET, 0, false, 1, false},
    {LINEAR_GET, 0, true, 0, false},    {LINEAR_SET, 2, false, 0, false},
    {LINEAR_GET, 0, false, 2, false},   {LINEAR_SET, 2, false, 0, true},
    {LINEAR_DEL, 0, false, 1, false},   {LINEAR_DEL, 0, false, 0, true},
    {LINEAR_SETNX, 1, false, 0, false},
};

static const struct variant counter_variants[] = {
    {LINEAR_ADD, 1, false, 1, false}, {LINEAR_GET, 0, false, 1, false},
    {LINEAR_ADD, 1, false, 2, false}, {LINEAR_ADD, 1, false, 0, true},
    {LINEAR_GET, 0, false, 2, false}, {LINEAR_GET, 0, true, 0, false},
};

static void test_linear_register_agrees_with_brute_force(void **state)
{
    (void)state;
    enumerate(register_variants, 9, 2);
    enumerate(register_variants, 9, 3);
    enumerate(register_variants, 9, 4);
    enumerate(register_variants, 5, 5);
    enumerate(register_variants, 2, 6);
}

static void test_linear_counter_agrees_with_brute_force(void **state)
{
    (void)state;
    enumerate(counter_variants, 6, 2);
    enumerate(counter_variants, 6, 3);
    enumerate(counter_variants, 6, 4);
    enumerate(counter_variants, 4, 5);
    enumerate(counter_variants, 2, 6);
}

/* Six operations with every variant are too many to try all: draw. */
static void test_linear_random_six_agree_with_brute_force(void **state)
{
    struct sim_random random;
    struct enumeration e = {.n = OPS_MAX};
    uint64_t n_fine = 0;

    (void)state;
    sim_random_init(&random, 6);
    for (unsigned round = 0; round < 400000; round++) {
        const struct variant *variants =
            round % 2 == 0 ? register_variants : counter_variants;
        unsigned n_variants = round % 2 == 0 ? 9 : 6;
        uint64_t time = 1;
        unsigned invoked = 0, open = 0;
        while (invoked < OPS_MAX || open != 0) {
            unsigned i = (unsigned)sim_random_below(&random, OPS_MAX);
            if (invoked < OPS_MAX && sim_random_chance(&random, 600)) {
                const struct variant *v =
                    &variants[sim_random_below(&random, n_variants)];
                e.ops[invoked] = (struct linear_op){
                    .kind = v->kind,
                    .argument = v->argument,
                    .absent = v->absent,
                    .result = v->result,
                    .invoked = time++,
                };
                open |= v->unknown ? 0 : 1u << invoked;
                invoked++;
            } else if (open >> i & 1) {
                e.ops[i].returned = time++;
                open &= ~(1u << i);
            }
        }
        judge(&e);
    }
    n_fine = e.n_linearizable;
    assert_true(n_fine > 1000 && n_fine < e.n_histories - 1000);
}

/* ---- large histories with an anomaly planted ---- */

enum { LARGE = 300, CLIENTS = 6 };

/* A history made by a real register: each operation takes effect at a moment
 * between its invocation and its return. */
static size_t make_history(struct sim_random *random, bool counter,
                           struct linear_op *ops)
{
    struct linear_state s = absent_state;
    size_t running[CLIENTS];
    bool took[CLIENTS];
    bool busy[CLIENTS] = {false};
    uint64_t time = 1;
    size_t n = 0;

    while (n < LARGE) {
        unsigned c = (unsigned)sim_random_below(random, CLIENTS);
        if (!busy[c]) {
            uint64_t kind = sim_random_below(random, 10);
            struct linear_op op = {.kind = LINEAR_GET, .invoked = time++};
            if (counter) {
                op.kind = kind < 6 ? LINEAR_ADD : LINEAR_GET;
                op.argument = op.kind == LINEAR_ADD ? 1 : 0;
            } else if (kind < 5) {
                op.kind = kind < 4 ? LINEAR_SET : LINEAR_DEL;
                op.argument = kind < 4 ? (int64_t)n + 1 : 0;
            }
            ops[n] = op;
            running[c] = n++;
            busy[c] = true;
            took[c] = false;
        } else if (!took[c]) {
            struct linear_op *op = &ops[running[c]];
            bool was = s.present;
            op->absent = op->kind == LINEAR_GET && !s.present;
            (void)linear_apply(op, &s); /* Not returned yet: any result. */
            op->result = op->kind == LINEAR_DEL   ? was
                         : op->kind == LINEAR_SET ? 0
                                                  : s.value;
            took[c] = true;
            /* Some answers never arrive, whether it took effect or not. */
            if (op->kind != LINEAR_GET && sim_random_chance(random, 30)) {
                busy[c] = false;
            }
        } else {
            ops[running[c]].returned = time++;
            busy[c] = false;
        }
    }
    return n;
}

static void test_linear_true_large_histories_are_accepted(void **state)
{
    static struct linear_op ops[LARGE];

    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct sim_random random;
        size_t n;
        sim_random_init(&random, seed);
        n = make_history(&random, seed % 2 == 0, ops);
        assert_int_equal(linear_check(ops, n, absent_state, STEPS_MAX),
                         LINEAR_YES);
    }
}

/* A read far in the past of the register: between a write that had ended and
 * the read lie other completed writes, one after the other. */
static bool plant_stale_read(struct linear_op *ops, size_t n, size_t from)
{
    for (size_t g = from; g < n; g++) {
        const struct linear_op *old = NULL;
        if (ops[g].kind != LINEAR_GET || ops[g].returned == LINEAR_NEVER) {
            continue;
        }
        for (size_t i = 0; i < g && old == NULL; i++) {
            if (ops[i].kind == LINEAR_SET && ops[i].returned != LINEAR_NEVER) {
                old = &ops[i];
            }
        }
        for (size_t i = 0; old != NULL && i < g; i++) {
            if (ops[i].kind == LINEAR_SET && ops[i].invoked > old->returned &&
                ops[i].returned != LINEAR_NEVER &&
                ops[i].returned < ops[g].invoked) {
                ops[g].absent = false;
                ops[g].result = old->argument;
                return true;
            }
        }
    }
    return false;
}

/* Two increments that saw the same number: one of them was lost. */
static bool plant_lost_increment(struct linear_op *ops, size_t n, size_t from)
{
    for (size_t i = from; i < n; i++) {
        for (size_t k = 0; k < i; k++) {
            if (ops[i].kind == LINEAR_ADD && ops[k].kind == LINEAR_ADD &&
                ops[i].returned != LINEAR_NEVER &&
                ops[k].returned != LINEAR_NEVER) {
                ops[i].result = ops[k].result;
                return true;
            }
        }
    }
    return false;
}

/* An increment that was counted twice: all later results are one too high,
 * and the number between is seen by nobody. */
static bool plant_double_increment(struct linear_op *ops, size_t n, size_t from)
{
    int64_t at = -1;

    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == LINEAR_ADD && ops[i].returned == LINEAR_NEVER) {
            return false; /* An unknown one could explain it. */
        }
    }
    for (size_t i = from; i < n && at < 0; i++) {
        if (ops[i].kind == LINEAR_ADD) {
            at = ops[i].result;
        }
    }
    for (size_t i = 0; i < n; i++) {
        ops[i].result += !ops[i].absent && ops[i].result > at;
    }
    return at >= 0;
}

static bool plant_invention(struct linear_op *ops, size_t n, size_t from)
{
    for (size_t i = from; i < n; i++) {
        if (ops[i].kind == LINEAR_GET && ops[i].returned != LINEAR_NEVER) {
            ops[i].absent = false;
            ops[i].result = 1000000;
            return true;
        }
    }
    return false;
}

static void test_linear_planted_anomalies_are_found(void **state)
{
    static struct linear_op ops[LARGE];
    bool (*const plants[])(struct linear_op *, size_t,
                           size_t) = {plant_stale_read, plant_lost_increment,
                                      plant_double_increment, plant_invention};
    unsigned n_planted[4] = {0};
    unsigned n_proved = 0;

    (void)state;
    for (uint64_t seed = 0; seed < 800; seed++) {
        unsigned plant = (unsigned)(seed % 4);
        bool counter = plant == 1 || plant == 2;
        struct sim_random random;
        size_t n, from;
        enum linear_verdict verdict;
        sim_random_init(&random, 1000 + seed);
        n = make_history(&random, counter, ops);
        from = sim_random_below(&random, n - 20);
        if (plant == 2) {
            for (size_t i = 0; i < n; i++) {
                /* Let every answer arrive, in the end. */
                if (ops[i].returned == LINEAR_NEVER) {
                    ops[i].kind = LINEAR_GET;
                }
            }
            n = 0; /* Count only in histories without a gap. */
            for (size_t i = 0; i < 60; i++) {
                ops[n++] = (struct linear_op){
                    .kind = LINEAR_ADD,
                    .argument = 1,
                    .result = (int64_t)i + 1,
                    .invoked = 4 * i + 1 + sim_random_below(&random, 2),
                    .returned = 4 * i + 4 + 2 * sim_random_below(&random, 2),
                };
                ops[n - 1].returned += i + 1000 * i;
                ops[n - 1].invoked += i + 1000 * i;
            }
            from = sim_random_below(&random, 50);
        }
        if (!plants[plant](ops, n, from)) {
            continue;
        }
        n_planted[plant]++;
        verdict = linear_check(ops, n, absent_state, STEPS_MAX);
        n_proved += verdict == LINEAR_NO;
        /* "No verdict" fails a run too. */
        assert_int_not_equal(verdict, LINEAR_YES);
    }
    print_message("planted: %u stale, %u lost, %u double, %u invented; "
                  "%u proved wrong\n",
                  n_planted[0], n_planted[1], n_planted[2], n_planted[3],
                  n_proved);
    assert_true(n_proved >= 400);
    for (unsigned i = 0; i < 4; i++) {
        assert_true(n_planted[i] >= 100);
    }
}

static void test_linear_out_of_steps_is_no_verdict(void **state)
{
    static struct linear_op ops[LARGE];
    struct sim_random random;
    size_t n;

    (void)state;
    sim_random_init(&random, 1);
    n = make_history(&random, true, ops);
    assert_int_equal(linear_check(ops, n, absent_state, 10), LINEAR_UNDECIDED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear_register_agrees_with_brute_force),
        cmocka_unit_test(test_linear_counter_agrees_with_brute_force),
        cmocka_unit_test(test_linear_random_six_agree_with_brute_force),
        cmocka_unit_test(test_linear_true_large_histories_are_accepted),
        cmocka_unit_test(test_linear_planted_anomalies_are_found),
        cmocka_unit_test(test_linear_out_of_steps_is_no_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
