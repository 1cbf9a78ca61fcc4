/* Fault injection under raftlog/file.h: the n-th storage operation fails.
 *
 * How to use it: every unit test of kit, raftlog, snapshot and replica is
 * linked with this (library `fault_file` in tests/CMakeLists.txt: the linker's
 * --wrap puts these functions in front of the real ones, also under the calls
 * that file_replace and file_read_all make). Nothing happens until a test arms
 * it:
 *
 *     for (unsigned long n = 1;; n++) {
 *         ...make a fresh directory...
 *         fault_file_arm(FAULT_CHANGES, n, ERR_IO, FAULT_CRASH);
 *         rv = the_operation_under_test(dir);
 *         if (!fault_file_disarm()) {
 *             break;                  -- fewer than n operations: all tried
 *         }
 *         ...reopen dir and check that old or new state is there...
 *     }
 *
 * Modes: FAULT_ONCE, only the n-th operation fails; FAULT_CRASH, it fails and
 * so does every later operation of any kind that changes something, as if the
 * process had ended there; FAULT_TORN, as CRASH, and when the n-th operation
 * is a write, the first half of it reaches the file.
 *
 * The operations reach the real file system; what an unsynced page cache would
 * lose is the simulator's business. Counters and arming are
 * atomic: threads may be at work. */
#ifndef TESTS_LIB_FAULT_FILE_H
#define TESTS_LIB_FAULT_FILE_H

#include <stdbool.h>

enum fault_op {
    FAULT_OPEN = 1, /* file_open, file_lock */
    FAULT_READ = 2, /* file_read_at */
    FAULT_WRITE = 4,
    FAULT_SYNC = 8,
    FAULT_TRUNCATE = 16,
    FAULT_FILL = 32,
    FAULT_RENAME = 64,
    FAULT_UNLINK = 128,
    FAULT_MAKE_DIR = 256,
    FAULT_SYNC_DIR = 512,
    FAULT_SIZE = 1024, /* file_size, file_exists, file_free_bytes */
    FAULT_LIST = 2048,
    FAULT_SUBMIT = 4096,   /* file_queue_submit itself */
    FAULT_COMPLETE = 8192, /* status of a completion that file_queue_reap
                              hands out; counted for each completion */
    FAULT_ALL = 16383,
    FAULT_CHANGES = FAULT_OPEN | FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE |
                    FAULT_FILL | FAULT_RENAME | FAULT_UNLINK | FAULT_MAKE_DIR |
                    FAULT_SYNC_DIR | FAULT_SUBMIT | FAULT_COMPLETE
};

enum fault_mode { FAULT_ONCE, FAULT_CRASH, FAULT_TORN };

/* The nth operation (from 1, counting from now) among ops fails with code. */
void fault_file_arm(unsigned ops, unsigned long nth, int code,
                    enum fault_mode mode);
/* Back to normal; true when the fault has struck since arm. */
bool fault_file_disarm(void);
/* Operations among ops since arm. */
unsigned long fault_file_count(void);
/* The operations of any kind since arm (also with nth 0, which never strikes),
 * a letter each, in order, for tests of what must happen before what: open o,
 * read r, write w, sync s, truncate t, fill f, rename n, unlink u, make_dir m,
 * sync_dir d, size z, list l, submit q, complete c. The first 4,000 of them.
 * Owned by this module, valid until the next arm. */
const char *fault_file_trace(void);

#endif
