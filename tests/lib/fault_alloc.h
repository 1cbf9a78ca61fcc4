/* The n-th allocation fails.
 *
 * A program that links library `fault_alloc` has the linker's --wrap put these
 * functions in front of malloc, calloc, realloc, strdup, posix_memalign, free,
 * and of what libraries make for us (xxHash states, lz4 contexts), in all code
 * that is linked into it, the tests' own too. Nothing happens before a test
 * arms it. What the C library allocates for itself is not seen.
 *
 * It also counts what is allocated and not freed, so that a leak is found in
 * every build; tests compare the count before and after. */
#ifndef TESTS_LIB_FAULT_ALLOC_H
#define TESTS_LIB_FAULT_ALLOC_H

#include <stdbool.h>

enum fault_alloc_mode {
    FAULT_ALLOC_ONCE,   /* only that one */
    FAULT_ALLOC_ONWARDS /* it and all that follow, until disarm */
};

/* The nth allocation from now on (from 1) fails. */
void fault_alloc_arm(unsigned long nth, enum fault_alloc_mode mode);
/* Back to normal; true when the fault has struck since arm. */
bool fault_alloc_disarm(void);
/* Allocations that are not freed. */
long fault_alloc_live(void);

#endif
