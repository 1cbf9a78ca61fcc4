/* Wrappers that the linker puts in front of pread and pwrite. */
#include "tests/lib/fault_call.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

static unsigned long armed_nth; /* Atomic, as the others; 0: not armed. */
static unsigned long n_calls;
static enum fault_call_mode armed_mode;

void fault_call_arm(unsigned long nth, enum fault_call_mode mode)
{
    armed_mode = mode;
    __atomic_store_n(&n_calls, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&armed_nth, nth, __ATOMIC_SEQ_CST);
}

bool fault_call_disarm(void)
{
    unsigned long nth = __atomic_exchange_n(&armed_nth, 0, __ATOMIC_SEQ_CST);
    return nth != 0 && __atomic_load_n(&n_calls, __ATOMIC_SEQ_CST) >= nth;
}

/* The size to transfer; 0: be interrupted. */
static size_t cut(size_t size)
{
    unsigned long nth = __atomic_load_n(&armed_nth, __ATOMIC_SEQ_CST);
    if (nth == 0 || size == 0 ||
        __atomic_add_fetch(&n_calls, 1, __ATOMIC_SEQ_CST) != nth) {
        return size;
    }
    if (armed_mode == FAULT_CALL_INTERRUPTED) {
        errno = EINTR;
        return 0;
    }
    return size / 2 + size % 2;
}

ssize_t __real_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off_t offset)
{
    size_t n = cut(size);
    return n == 0 && size > 0 ? -1 : __real_pread(fd, buf, n, offset);
}

ssize_t __real_pwrite(int fd, const void *buf, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    size_t n = cut(size);
    return n == 0 && size > 0 ? -1 : __real_pwrite(fd, buf, n, offset);
}
