/* The n-th transfer is cut short or interrupted.
 *
 * A program that links library `fault_call` has the linker's --wrap put these
 * functions in front of pread and pwrite. Unlike the faults of fault_file.h
 * these are no errors: whoever calls must carry on. */
#ifndef TESTS_LIB_FAULT_CALL_H
#define TESTS_LIB_FAULT_CALL_H

#include <stdbool.h>

enum fault_call_mode {
    FAULT_CALL_SHORT,      /* half of it is transferred, at least a byte */
    FAULT_CALL_INTERRUPTED /* -1, EINTR */
};

void fault_call_arm(unsigned long nth, enum fault_call_mode mode);
/* Back to normal; true when it has struck since arm. */
bool fault_call_disarm(void);

#endif
