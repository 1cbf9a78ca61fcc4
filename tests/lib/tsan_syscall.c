/* Linked into the node of the thread sanitizer's build. libuv closes its
 * descriptors by syscall(SYS_close), which the sanitizer does not see: a pool
 * thread that then opens a file and gets the same number looks like a race with
 * the loop's last read of the socket. Here such a close goes through close(),
 * which the sanitizer knows. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_ARGUMENTS 6

typedef long (*syscall_fn)(long, ...);

long syscall(long number, ...)
{
    static syscall_fn next;
    long a[N_ARGUMENTS];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < N_ARGUMENTS; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_close)
        return close((int)a[0]);
    syscall_fn f = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (!f) {
        *(void **)&f = dlsym(RTLD_NEXT, "syscall");
        __atomic_store_n(&next, f, __ATOMIC_RELAXED);
    }
    return f(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
