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
 * Calling sequence: fill an array of linear_op in any order; linear_check.
 * Times are any strictly increasing numbers, unique in the whole history. */
#ifndef TESTS_LIB_LINEAR_H
#define TESTS_LIB_LINEAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum linear_kind {
    LINEAR_GET,   /* -> value, or absent */
    LINEAR_SET,   /* argument */
    LINEAR_DEL,   /* -> 1 it was there, 0 it was not */
    LINEAR_ADD,   /* argument -> new value; absent counts as 0 */
    LINEAR_SETNX, /* argument -> 1 set, 0 there was one already */
    LINEAR_EXISTS /* -> 1, 0 */
};

struct linear_state {
    bool present;
    int64_t value;
};

enum { LINEAR_NEVER = 0 };

struct linear_op {
    enum linear_kind kind;
    int64_t argument;
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

/* Apply op to *state. False: its result cannot be had from this state. For an
 * operation of unknown outcome any result will do. */
bool linear_apply(const struct linear_op *op, struct linear_state *state);

/* One line for a person. */
void linear_print(const struct linear_op *op, char *out, size_t size);

#endif
