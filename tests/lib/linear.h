/* Is the history of one key linearizable?
 *
 * A checker after Wing and Gong (1993) with Lowe's memory of visited states
 * (2017): operations are taken in every order that real time allows, each must
 * give the result that was seen, and a pair (set of operations taken, state)
 * that was tried before is not tried again. An operation whose outcome is
 * unknown may take effect at any time after its invocation, or never.
 *
 * The model is a key of the store: absent, or a number (a string value is
 * named by a number). Operations on several keys are checked key by key.
 *
 * A value may have a lease: it goes away by itself at some moment between two
 * known ones. Which operation comes before that moment and which behind is part
 * of the search.
 *
 * Calling sequence: fill an array of linear_op in any order; linear_check.
 * Times are any strictly increasing numbers, unique in the whole history. */
#ifndef TESTS_LIB_LINEAR_H
#define TESTS_LIB_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum linear_kind {
    LINEAR_GET,     /* -> value, or absent */
    LINEAR_SET,     /* argument */
    LINEAR_DEL,     /* -> 1 it was there, 0 it was not */
    LINEAR_ADD,     /* argument -> new value; absent counts as 0 */
    LINEAR_SETNX,   /* argument -> 1 set, 0 there was one already */
    LINEAR_EXISTS,  /* -> 1, 0 */
    LINEAR_EXPIRE,  /* gives a key its lease -> 1, 0 there was no key */
    LINEAR_PERSIST, /* -> 1 there was a lease, 0 there was none or no key */
    LINEAR_TTL      /* -> 1 there is a lease, -1 there is none, -2 no key */
};

struct linear_state {
    bool present;
    int64_t value;
    size_t lease; /* number, from 1; 0: none */
};

enum { LINEAR_NEVER = 0 };

/* When the key that has it goes away by itself. */
struct linear_lease {
    uint64_t may;  /* not before this moment; LINEAR_NEVER: not at all */
    uint64_t must; /* what is invoked behind it finds the key gone;
                    * LINEAR_NEVER: no such limit is known */
};

struct linear_op {
    enum linear_kind kind;
    int64_t argument;
    size_t lease; /* SET, EXPIRE: what it gives; 0: none */
    /* What the client saw; unused when the outcome is unknown. */
    bool absent; /* GET of a missing key */
    int64_t result;
    uint64_t invoked;
    uint64_t returned; /* LINEAR_NEVER: unknown outcome */
};

enum linear_verdict { LINEAR_YES, LINEAR_NO, LINEAR_UNDECIDED };

/* Check n operations from the initial state. UNDECIDED after steps_max tries
 * (a failure for the caller: no verdict is not a pass). */
enum linear_verdict linear_check(const struct linear_op *ops, size_t n,
                                 struct linear_state initial,
                                 uint64_t steps_max);

/* The same with leases; lease k is leases[k - 1]. */
enum linear_verdict linear_check_leases(const struct linear_op *ops, size_t n,
                                        const struct linear_lease *leases,
                                        struct linear_state initial,
                                        uint64_t steps_max);

/* Apply op to *state. False: its result cannot be had from this state. For an
 * operation of unknown outcome any result will do. */
bool linear_apply(const struct linear_op *op, struct linear_state *state);

/* One line for a person. */
void linear_print(const struct linear_op *op, char *out, size_t size);

#endif
