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

static const struct linear_state absent_state = {false, 0, 0};

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
    for (unsigned round = 0; round < 150000; round++) {
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

/* ---- leases ---- */

enum { LEASED_OPS = 5, LEASES = 3 };

/* Brute force with the ends of leases as moments of their own: the current one
 * may end when no operation still to go has returned before it may, and no
 * operation that was invoked behind its last moment finds it. */
static bool brute_leased(const struct linear_op *ops, unsigned n,
                         const struct linear_lease *leases, unsigned taken,
                         struct linear_state state)
{
    uint64_t first_return = UINT64_MAX;
    bool all = true;

    for (unsigned i = 0; i < n; i++) {
        bool left = !(taken >> i & 1) && ops[i].returned != LINEAR_NEVER;
        all = all && !left;
        if (left && ops[i].returned < first_return) {
            first_return = ops[i].returned;
        }
    }
    if (all) {
        return true;
    }
    if (state.lease != 0 && leases[state.lease - 1].may != LINEAR_NEVER &&
        leases[state.lease - 1].may < first_return &&
        brute_leased(ops, n, leases, taken, absent_state)) {
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        struct linear_state next = state;
        uint64_t must =
            state.lease != 0 ? leases[state.lease - 1].must : LINEAR_NEVER;
        if (!(taken >> i & 1) && ops[i].invoked < first_return &&
            (must == LINEAR_NEVER || ops[i].invoked < must) &&
            linear_apply(&ops[i], &next) &&
            brute_leased(ops, n, leases, taken | 1u << i, next)) {
            return true;
        }
    }
    return false;
}

static void draw_leased_op(struct sim_random *random, size_t *n_leases,
                           struct linear_op *op)
{
    static const enum linear_kind kinds[] = {
        LINEAR_SET,    LINEAR_SET,     LINEAR_GET, LINEAR_GET,   LINEAR_DEL,
        LINEAR_EXPIRE, LINEAR_PERSIST, LINEAR_TTL, LINEAR_EXISTS};
    static const int64_t ttls[] = {-2, -1, 1};

    op->kind = kinds[sim_random_below(random, 9)];
    if (op->kind == LINEAR_SET) {
        op->argument = (int64_t)sim_random_range(random, 1, 2);
    }
    if ((op->kind == LINEAR_SET || op->kind == LINEAR_EXPIRE) &&
        *n_leases < LEASES && sim_random_chance(random, 700)) {
        op->lease = ++*n_leases;
    }
    op->absent = op->kind == LINEAR_GET && sim_random_chance(random, 500);
    op->result = op->kind == LINEAR_TTL ? ttls[sim_random_below(random, 3)]
                 : op->kind == LINEAR_GET
                     ? (int64_t)sim_random_range(random, 1, 2)
                     : (int64_t)sim_random_below(random, 2);
}

static void draw_leased_history(struct sim_random *random,
                                struct linear_op *ops,
                                struct linear_lease *leases)
{
    uint64_t time = 1;
    size_t n_leases = 0;
    unsigned invoked = 0, open = 0;

    while (invoked < LEASED_OPS || open != 0) {
        unsigned i = (unsigned)sim_random_below(random, LEASED_OPS);
        /* Room for the moments of leases between those of operations. */
        time += 2;
        if (invoked < LEASED_OPS && sim_random_chance(random, 600)) {
            ops[invoked] = (struct linear_op){.invoked = time};
            draw_leased_op(random, &n_leases, &ops[invoked]);
            open |= sim_random_chance(random, 100) ? 0 : 1u << invoked;
            invoked++;
        } else if (open >> i & 1) {
            ops[i].returned = time;
            open &= ~(1u << i);
        }
    }
    for (unsigned i = 0; i < LEASES; i++) {
        uint64_t may = sim_random_below(random, time / 2 + 1) * 2;
        leases[i].may = may; /* 0: never */
        leases[i].must = LINEAR_NEVER;
        if (may != LINEAR_NEVER && sim_random_chance(random, 700)) {
            leases[i].must =
                may + 2 * sim_random_below(random, (time - may) / 2 + 1);
        }
    }
}

static void test_linear_leases_agree_with_brute_force(void **state)
{
    struct sim_random random;
    struct linear_op ops[LEASED_OPS];
    struct linear_lease leases[LEASES];
    uint64_t n_fine = 0, n_by_lease = 0;

    (void)state;
    sim_random_init(&random, 8);
    for (unsigned round = 0; round < 100000; round++) {
        static const struct linear_lease none[LEASES];
        bool expected;
        draw_leased_history(&random, ops, leases);
        expected = brute_leased(ops, LEASED_OPS, leases, 0, absent_state);
        assert_int_equal(linear_check_leases(ops, LEASED_OPS, leases,
                                             absent_state, STEPS_MAX),
                         expected ? LINEAR_YES : LINEAR_NO);
        n_fine += expected;
        n_by_lease +=
            expected != brute_leased(ops, LEASED_OPS, none, 0, absent_state);
    }
    print_message("100000 histories, %llu fine, %llu otherwise without ends\n",
                  (unsigned long long)n_fine, (unsigned long long)n_by_lease);
    assert_true(n_fine > 3000 && n_by_lease > 1000);
}

/* What it is for, one by one. */
static void test_linear_leases_in_words(void **state)
{
    struct linear_op ops[3] = {
        {.kind = LINEAR_SET,
         .argument = 1,
         .lease = 1,
         .invoked = 1,
         .returned = 2},
        {.kind = LINEAR_GET, .absent = true, .invoked = 11, .returned = 12},
        {.kind = LINEAR_GET, .absent = true, .invoked = 21, .returned = 22},
    };
    struct linear_lease lease = {10, 20};

    (void)state;
    assert_int_equal(linear_check_leases(ops, 3, &lease, absent_state, 1000),
                     LINEAR_YES);
    ops[1].absent = false; /* still there: it might be */
    ops[1].result = 1;
    assert_int_equal(linear_check_leases(ops, 3, &lease, absent_state, 1000),
                     LINEAR_YES);
    ops[2] = ops[1]; /* there when it had to be gone */
    ops[2].invoked = 21;
    ops[2].returned = 22;
    assert_int_equal(linear_check_leases(ops, 3, &lease, absent_state, 1000),
                     LINEAR_NO);
    ops[2].invoked = 13; /* gone, and there again */
    ops[2].returned = 14;
    ops[1].absent = true;
    assert_int_equal(linear_check_leases(ops, 3, &lease, absent_state, 1000),
                     LINEAR_NO);
    ops[1].invoked = 5; /* gone before it might */
    ops[1].returned = 6;
    assert_int_equal(linear_check_leases(ops, 2, &lease, absent_state, 1000),
                     LINEAR_NO);
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
        cmocka_unit_test(test_linear_leases_agree_with_brute_force),
        cmocka_unit_test(test_linear_leases_in_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
