/* Wrappers that the linker puts in front of raftlog/file.h: see the header. */
#include "tests/lib/fault_file.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "raftlog/err.h"
#include "raftlog/file.h"

static unsigned armed_ops; /* Atomic, and written last. */
static unsigned long armed_nth;
static int armed_code;
static enum fault_mode armed_mode;
static unsigned long n_counted; /* Atomic. */
static bool struck;             /* Atomic. */
static char trace[4001];
static unsigned long n_traced; /* Atomic. */

void fault_file_arm(unsigned ops, unsigned long nth, int code,
                    enum fault_mode mode)
{
    /* A thread of the program under test may be at work. */
    __atomic_store_n(&armed_ops, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&armed_nth, nth, __ATOMIC_SEQ_CST);
    __atomic_store_n(&armed_code, code, __ATOMIC_SEQ_CST);
    __atomic_store_n(&armed_mode, mode, __ATOMIC_SEQ_CST);
    __atomic_store_n(&n_counted, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&struck, false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&n_traced, 0, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < sizeof trace; i++) {
        __atomic_store_n(&trace[i], 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&armed_ops, ops, __ATOMIC_SEQ_CST);
}

bool fault_file_disarm(void)
{
    __atomic_store_n(&armed_ops, 0, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&struck, __ATOMIC_SEQ_CST);
}

unsigned long fault_file_count(void)
{
    return __atomic_load_n(&n_counted, __ATOMIC_SEQ_CST);
}

const char *fault_file_trace(void)
{
    return trace;
}

/* Each operation has its bit, and its letter at the place of the bit. */
static void note(unsigned kind)
{
    static const char letters[] = "orwstfnumdzlqc";
    unsigned long at = __atomic_fetch_add(&n_traced, 1, __ATOMIC_SEQ_CST);

    if (at < sizeof trace - 1) {
        __atomic_store_n(&trace[at], letters[__builtin_ctz(kind)],
                         __ATOMIC_RELAXED);
    }
}

static int set_errno(int code)
{
    errno = code == ERR_NOSPACE ? ENOSPC : EIO;
    return code;
}

/* 0: go on; *tear is set when this write is to be torn. */
static int strike(enum fault_op op, bool *tear)
{
    unsigned kind = (unsigned)op;
    unsigned ops = __atomic_load_n(&armed_ops, __ATOMIC_SEQ_CST);
    unsigned long nth = __atomic_load_n(&armed_nth, __ATOMIC_SEQ_CST);
    int code = __atomic_load_n(&armed_code, __ATOMIC_SEQ_CST);
    enum fault_mode mode = __atomic_load_n(&armed_mode, __ATOMIC_SEQ_CST);

    *tear = false;
    if (ops == 0) {
        return 0;
    }
    note(kind);
    if (mode != FAULT_ONCE && (kind & FAULT_CHANGES) &&
        __atomic_load_n(&struck, __ATOMIC_SEQ_CST)) {
        return set_errno(code);
    }
    if ((kind & ops) == 0 ||
        __atomic_add_fetch(&n_counted, 1, __ATOMIC_SEQ_CST) != nth) {
        return 0;
    }
    __atomic_store_n(&struck, true, __ATOMIC_SEQ_CST);
    *tear = mode == FAULT_TORN && op == FAULT_WRITE;
    return set_errno(code);
}

static int strikes(enum fault_op op)
{
    bool tear;
    return strike(op, &tear);
}

/* WRAP(kind, name, parameters, arguments): a call that fails or goes on. */
#define WRAP(op, name, parameters, arguments)                                  \
    int __real_##name parameters;                                              \
    int __wrap_##name parameters;                                              \
    int __wrap_##name parameters                                               \
    {                                                                          \
        int rv = strikes(op);                                                  \
        return rv != 0 ? rv : __real_##name arguments;                         \
    }

WRAP(FAULT_READ, file_read_at,
     (struct file * f, void *buf, size_t size, uint64_t offset, size_t *n),
     (f, buf, size, offset, n))
WRAP(FAULT_SYNC, file_sync, (struct file * f), (f))
WRAP(FAULT_TRUNCATE, file_truncate, (struct file * f, uint64_t size), (f, size))
WRAP(FAULT_FILL, file_fill, (struct file * f, uint64_t offset, uint64_t size),
     (f, offset, size))
WRAP(FAULT_RENAME, file_rename, (const char *from, const char *to), (from, to))
WRAP(FAULT_UNLINK, file_unlink, (const char *path), (path))
WRAP(FAULT_MAKE_DIR, file_make_dir, (const char *path), (path))
WRAP(FAULT_SYNC_DIR, file_sync_dir, (const char *path), (path))
WRAP(FAULT_SIZE, file_size, (struct file * f, uint64_t *size), (f, size))
WRAP(FAULT_SIZE, file_exists, (const char *path, bool *out), (path, out))
WRAP(FAULT_SIZE, file_free_bytes, (const char *path, uint64_t *out),
     (path, out))
WRAP(FAULT_LIST, file_list, (const char *path, file_list_cb cb, void *ctx),
     (path, cb, ctx))
WRAP(FAULT_OPEN, file_lock, (const char *path, struct file **out), (path, out))
WRAP(FAULT_SUBMIT, file_queue_submit,
     (struct file_queue * q, struct file *f, const void *buf, size_t size,
      uint64_t offset, void *tag),
     (q, f, buf, size, offset, tag))

int __real_file_open(const char *path, unsigned flags, struct file **out);
int __wrap_file_open(const char *path, unsigned flags, struct file **out);
int __wrap_file_open(const char *path, unsigned flags, struct file **out)
{
    int rv = 0;

    /* A dead process is asked nothing; opening to read changes nothing. */
    if ((flags & FILE_WRITE) ||
        __atomic_load_n(&armed_mode, __ATOMIC_SEQ_CST) == FAULT_ONCE) {
        rv = strikes(FAULT_OPEN);
    }
    return rv != 0 ? rv : __real_file_open(path, flags, out);
}

int __real_file_write_at(struct file *f, const void *buf, size_t size,
                         uint64_t offset);
int __wrap_file_write_at(struct file *f, const void *buf, size_t size,
                         uint64_t offset);
int __wrap_file_write_at(struct file *f, const void *buf, size_t size,
                         uint64_t offset)
{
    bool tear;
    int rv = strike(FAULT_WRITE, &tear);

    if (tear) {
        (void)__real_file_write_at(f, buf, size / 2, offset);
        return set_errno(rv);
    }
    return rv != 0 ? rv : __real_file_write_at(f, buf, size, offset);
}

size_t __real_file_queue_reap(struct file_queue *q, struct file_completion *out,
                              size_t max);
size_t __wrap_file_queue_reap(struct file_queue *q, struct file_completion *out,
                              size_t max);
size_t __wrap_file_queue_reap(struct file_queue *q, struct file_completion *out,
                              size_t max)
{
    size_t n = __real_file_queue_reap(q, out, max);

    for (size_t i = 0; i < n; i++) {
        int rv = strikes(FAULT_COMPLETE);
        if (rv != 0) {
            out[i].status = rv;
            out[i].os_error = errno;
        }
    }
    return n;
}
