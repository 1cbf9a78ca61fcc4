/* Queued writes and syncs: native AIO where it is right, a thread elsewhere.
 *
 * Happy path, AIO: submit fills an iocb (O_DIRECT descriptor, RWF_DSYNC, our
 * eventfd) and calls io_submit; the kernel writes, flushes the device cache,
 * puts the event into the ring and then signals the eventfd; reap collects.
 *
 * Happy path, thread: submit appends to `pending`; the thread takes all of
 * it, writes each, syncs each file once, moves the lot to `done` and signals
 * the eventfd; reap collects. What gathers during a sync shares the next one.
 *
 * A write without sync leaves the flush out. A sync of its own is IOCB_CMD_
 * FDSYNC, which the kernel hands to a worker: a durable write behind it does
 * not do, because with FUA it flushes itself alone.
 *
 * Failure cases:
 * - The file system is not on the list, or io_setup has no resources (EAGAIN
 *   from fs.aio-max-nr, ENOSYS or EPERM in a sandbox): thread kind.
 * - io_submit is refused for lack of resources: the write is done here and
 *   now, blocking, and its completion queued like any other.
 * - A short AIO write: the rest is submitted again; no progress is EIO.
 * - A write or sync fails: its completion carries the code, and from then on
 *   submit returns that code. A failed sync may have dropped older pages, so
 *   a later success would prove nothing.
 *
 * Why AIO only on listed file systems: on overlayfs AIO completes without any
 * flush (the inner request loses the flag), and on btrfs io_submit does all
 * the work before it returns. ext4 and XFS flush once for each write. */
#include "raftlog/file.h"

#include <assert.h>
#include <errno.h>
#include <libaio.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "raftlog/err.h"
#include "raftlog/file_private.h"

enum op_kind { OP_DURABLE, OP_WRITE, OP_SYNC };

struct op {
    struct op *next; /* In exactly one list, or with the kernel. */
    enum op_kind kind;
    int fd;
    const uint8_t *buf; /* What is left to write. */
    size_t size;
    uint64_t offset;
    void *tag;
    int os_error;
    struct iocb iocb;
};

struct op_list {
    struct op *first;
    struct op **last;
};

struct file_queue {
    enum file_queue_kind kind;
    int event_fd;
    io_context_t aio;
    unsigned n_in_flight; /* Submitted and not reaped. */
    int failed;           /* Code of the first failure, 0. */
    struct op ops[FILE_QUEUE_DEPTH_MAX];
    struct op_list unused;

    pthread_t thread;
    pthread_mutex_t mutex; /* Guards what stands below. */
    pthread_cond_t wake;
    struct op_list pending;
    struct op_list done;
    bool stop;
    bool thread_failed; /* Thread only: nothing is written any more. */
};

static void list_clear(struct op_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_push(struct op_list *l, struct op *op)
{
    op->next = NULL;
    *l->last = op;
    l->last = &op->next;
}

static struct op *list_pop(struct op_list *l)
{
    struct op *op = l->first;

    if (op != NULL) {
        l->first = op->next;
        if (l->first == NULL) {
            l->last = &l->first;
        }
    }
    return op;
}

/* Move everything from one list behind another. */
static void list_move(struct op_list *to, struct op_list *from)
{
    struct op *op;

    while ((op = list_pop(from)) != NULL) {
        list_push(to, op);
    }
}

static void signal_event(int fd)
{
    uint64_t one = 1;
    ssize_t n;

    do {
        n = write(fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
    /* EAGAIN means the counter is full, so the descriptor is readable. */
    assert(n == (ssize_t)sizeof one || errno == EAGAIN);
}

static void clear_event(int fd)
{
    uint64_t count;
    ssize_t n;

    do {
        n = read(fd, &count, sizeof count);
    } while (n < 0 && errno == EINTR);
}

/* ---- the kind ------------------------------------------------------------*/

/* Magic numbers of statfs(2). ext2 and ext3 share ext4's and, on kernels of
 * today, its driver. */
static const struct {
    const char *name;
    uint32_t magic;
} known_filesystems[] = {
    {"ext4", 0xef53},        {"xfs", 0x58465342},   {"btrfs", 0x9123683e},
    {"f2fs", 0xf2f52010},    {"tmpfs", 0x01021994}, {"nfs", 0x6969},
    {"overlay", 0x794c7630}, {"zfs", 0x2fc12fc1},
};

static bool list_names(const char *list, const char *name)
{
    size_t n = strlen(name);

    while (*list != '\0') {
        size_t span = strcspn(list, ",");
        if (span == n && memcmp(list, name, n) == 0) {
            return true;
        }
        list += span;
        list += *list == ',' ? 1 : 0;
    }
    return false;
}

static int choose_kind(const char *dir, const char *list,
                       enum file_queue_kind *kind)
{
    size_t n = sizeof known_filesystems / sizeof known_filesystems[0];
    struct statfs st;

    if (statfs(dir, &st) != 0) {
        return err_from_errno(errno);
    }
    *kind = FILE_QUEUE_THREAD;
    for (size_t i = 0; i < n; i++) {
        if ((uint32_t)st.f_type == known_filesystems[i].magic &&
            list_names(list, known_filesystems[i].name)) {
            *kind = FILE_QUEUE_AIO;
        }
    }
    return 0;
}

/* ---- the thread kind -----------------------------------------------------*/

/* Write all of a list, then sync each file once that something of the list is
 * to be durable in. */
static int write_list(struct op *first)
{
    int failure = 0;

    for (struct op *op = first; op != NULL; op = op->next) {
        op->os_error =
            op->kind == OP_SYNC
                ? 0
                : file_private_write_all(op->fd, op->buf, op->size, op->offset);
        if (op->os_error != 0) {
            failure = op->os_error;
        }
    }
    for (struct op *op = first; op != NULL; op = op->next) {
        bool synced = op->kind == OP_WRITE;
        int rv;

        for (struct op *o = first; o != op; o = o->next) {
            synced = synced || (o->fd == op->fd && o->kind != OP_WRITE);
        }
        if (synced) {
            continue;
        }
        rv = fdatasync(op->fd) == 0 ? 0 : errno;
        for (struct op *o = op; rv != 0 && o != NULL; o = o->next) {
            if (o->fd == op->fd && o->os_error == 0 && o->kind != OP_WRITE) {
                o->os_error = rv;
            }
        }
        failure = rv != 0 ? rv : failure;
    }
    return failure;
}

static void *thread_main(void *arg)
{
    struct file_queue *q = arg;
    struct op_list work;

    list_clear(&work);
    pthread_mutex_lock(&q->mutex);
    for (;;) {
        while (q->pending.first == NULL && !q->stop) {
            pthread_cond_wait(&q->wake, &q->mutex);
        }
        if (q->pending.first == NULL) {
            break;
        }
        list_move(&work, &q->pending);
        if (q->thread_failed) {
            for (struct op *op = work.first; op != NULL; op = op->next) {
                op->os_error = EIO;
            }
        } else {
            int failure;
            pthread_mutex_unlock(&q->mutex);
            failure = write_list(work.first);
            pthread_mutex_lock(&q->mutex);
            q->thread_failed = failure != 0;
        }
        list_move(&q->done, &work);
        signal_event(q->event_fd);
    }
    pthread_mutex_unlock(&q->mutex);
    return NULL;
}

static int start_thread(struct file_queue *q)
{
    sigset_t all;
    sigset_t before;
    int rv;

    /* Signals are the owner's business. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&q->thread, NULL, thread_main, q);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv == 0) {
        return 0;
    }
    errno = rv;
    return rv == EAGAIN ? ERR_NOMEM : err_from_errno(rv);
}

/* ---- the AIO kind --------------------------------------------------------*/

/* Give what is left of op to the kernel. Lack of resources is not an error of
 * the disk, so the write is then done here. */
static int aio_start(struct file_queue *q, struct op *op)
{
    struct iocb *iocb = &op->iocb;
    int rv;

    if (op->kind == OP_SYNC) {
        io_prep_fdsync(iocb, op->fd);
    } else {
        io_prep_pwrite(iocb, op->fd, (void *)(uintptr_t)op->buf, op->size,
                       (long long)op->offset);
        iocb->aio_rw_flags = op->kind == OP_DURABLE ? RWF_DSYNC : 0;
    }
    io_set_eventfd(iocb, q->event_fd);
    iocb->data = op;
    do {
        rv = io_submit(q->aio, 1, &iocb);
    } while (rv == -EINTR);
    if (rv == 1) {
        return 0;
    }
    /* A kernel without asynchronous fdatasync says EINVAL. */
    if (rv != -EAGAIN && rv != 0 && !(op->kind == OP_SYNC && rv == -EINVAL)) {
        return -rv;
    }
    op->next = NULL;
    (void)write_list(op);
    list_push(&q->done, op);
    signal_event(q->event_fd);
    return 0;
}

/* An event came back; true when its operation is over. */
static bool aio_finish(struct file_queue *q, const struct io_event *event)
{
    struct op *op = event->data;
    long res = (long)event->res;

    if (res < 0) {
        op->os_error = (int)-res;
        return true;
    }
    if ((size_t)res >= op->size) {
        return true;
    }
    if (res == 0) {
        op->os_error = EIO;
        return true;
    }
    op->buf += res;
    op->offset += (uint64_t)res;
    op->size -= (size_t)res;
    op->os_error = aio_start(q, op);
    return op->os_error != 0;
}

/* Collect up to max events into list; how many operations are over. */
static size_t aio_collect(struct file_queue *q, struct op_list *list,
                          size_t max)
{
    struct io_event events[FILE_QUEUE_DEPTH_MAX];
    struct timespec zero = {0, 0};
    size_t n_over = 0;
    int n;

    max = max < FILE_QUEUE_DEPTH_MAX ? max : FILE_QUEUE_DEPTH_MAX;
    do {
        n = io_getevents(q->aio, 0, (long)max, events, &zero);
    } while (n == -EINTR);
    assert(n >= 0); /* Fails only for a bad context or pointer. */
    for (int i = 0; i < n; i++) {
        if (aio_finish(q, &events[i])) {
            list_push(list, events[i].data);
            n_over++;
        }
    }
    return n_over;
}

/* ---- the door ------------------------------------------------------------*/

static int start_kind(struct file_queue *q)
{
    if (q->kind == FILE_QUEUE_AIO) {
        if (io_setup(FILE_QUEUE_DEPTH_MAX, &q->aio) == 0) {
            return 0;
        }
        q->kind = FILE_QUEUE_THREAD;
    }
    return start_thread(q);
}

int file_queue_new(const char *dir, const struct file_queue_options *options,
                   struct file_queue **out)
{
    const char *list = "ext4,xfs";
    struct file_queue *q = calloc(1, sizeof *q);
    int rv;

    if (q == NULL) {
        return ERR_NOMEM;
    }
    if (options != NULL && options->aio_filesystems != NULL) {
        list = options->aio_filesystems;
    }
    list_clear(&q->unused);
    list_clear(&q->pending);
    list_clear(&q->done);
    for (size_t i = 0; i < FILE_QUEUE_DEPTH_MAX; i++) {
        list_push(&q->unused, &q->ops[i]);
    }
    rv = choose_kind(dir, list, &q->kind);
    if (rv != 0) {
        goto err_free;
    }
    q->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (q->event_fd < 0) {
        rv = err_from_errno(errno);
        goto err_free;
    }
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->wake, NULL);
    rv = start_kind(q);
    if (rv != 0) {
        goto err_event;
    }
    *out = q;
    return 0;

err_event:
    pthread_cond_destroy(&q->wake);
    pthread_mutex_destroy(&q->mutex);
    close(q->event_fd);
err_free:
    free(q);
    return rv;
}

void file_queue_free(struct file_queue *q)
{
    struct file_completion ignored[FILE_QUEUE_DEPTH_MAX];

    if (q == NULL) {
        return;
    }
    if (q->kind == FILE_QUEUE_AIO) {
        while (q->n_in_flight > 0) {
            if (file_queue_reap(q, ignored, FILE_QUEUE_DEPTH_MAX) == 0) {
                (void)file_queue_wait(q, -1);
            }
        }
        io_destroy(q->aio);
    } else {
        pthread_mutex_lock(&q->mutex);
        q->stop = true;
        pthread_cond_signal(&q->wake);
        pthread_mutex_unlock(&q->mutex);
        pthread_join(q->thread, NULL);
    }
    pthread_cond_destroy(&q->wake);
    pthread_mutex_destroy(&q->mutex);
    close(q->event_fd);
    free(q);
}

enum file_queue_kind file_queue_kind(const struct file_queue *q)
{
    return q->kind;
}

int file_queue_fd(const struct file_queue *q)
{
    return q->event_fd;
}

static int start(struct file_queue *q, enum op_kind kind, struct file *f,
                 const void *buf, size_t size, uint64_t offset, void *tag)
{
    struct op *op;
    int rv = 0;

    if (q->failed != 0) {
        return q->failed;
    }
    op = list_pop(&q->unused);
    if (op == NULL) {
        return ERR_AGAIN;
    }
    op->kind = kind;
    op->fd = f->fd;
    op->buf = buf;
    op->size = size;
    op->offset = offset;
    op->tag = tag;
    op->os_error = 0;
    if (q->kind == FILE_QUEUE_AIO) {
        rv = aio_start(q, op);
    } else {
        pthread_mutex_lock(&q->mutex);
        list_push(&q->pending, op);
        pthread_cond_signal(&q->wake);
        pthread_mutex_unlock(&q->mutex);
    }
    if (rv != 0) {
        list_push(&q->unused, op);
        errno = rv;
        return err_from_errno(rv);
    }
    q->n_in_flight++;
    return 0;
}

int file_queue_submit(struct file_queue *q, struct file *f, const void *buf,
                      size_t size, uint64_t offset, void *tag)
{
    return start(q, OP_DURABLE, f, buf, size, offset, tag);
}

int file_queue_write(struct file_queue *q, struct file *f, const void *buf,
                     size_t size, uint64_t offset, void *tag)
{
    return start(q, OP_WRITE, f, buf, size, offset, tag);
}

int file_queue_sync(struct file_queue *q, struct file *f, void *tag)
{
    return start(q, OP_SYNC, f, NULL, 0, 0, tag);
}

size_t file_queue_reap(struct file_queue *q, struct file_completion *out,
                       size_t max)
{
    struct op_list over;
    struct op *op;
    size_t n = 0;

    /* The descriptor is cleared first: an event that comes later signals it
     * again, at worst for nothing. */
    clear_event(q->event_fd);
    if (q->n_in_flight == 0 || max == 0) {
        return 0;
    }
    list_clear(&over);
    pthread_mutex_lock(&q->mutex);
    while (n < max && (op = list_pop(&q->done)) != NULL) {
        list_push(&over, op);
        n++;
    }
    pthread_mutex_unlock(&q->mutex);
    if (q->kind == FILE_QUEUE_AIO && n < max) {
        n += aio_collect(q, &over, max - n);
    }
    for (size_t i = 0; i < n; i++) {
        op = list_pop(&over);
        out[i].tag = op->tag;
        out[i].os_error = op->os_error;
        out[i].status = err_from_errno(op->os_error);
        if (q->failed == 0) {
            q->failed = out[i].status;
        }
        list_push(&q->unused, op);
    }
    q->n_in_flight -= (unsigned)n;
    if (n == max && q->n_in_flight > 0) {
        signal_event(q->event_fd); /* More may wait; say so again. */
    }
    return n;
}

int file_queue_wait(struct file_queue *q, int timeout_ms)
{
    struct pollfd p = {q->event_fd, POLLIN, 0};
    struct timespec start;
    struct timespec now;
    int left = timeout_ms;
    int n;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        n = poll(&p, 1, left);
        if (n > 0) {
            return 0;
        }
        if (n == 0 || errno != EINTR) {
            return ERR_AGAIN;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (timeout_ms >= 0) {
            long long gone = (now.tv_sec - start.tv_sec) * 1000LL +
                             (now.tv_nsec - start.tv_nsec) / 1000000;
            left = gone >= timeout_ms ? 0 : (int)(timeout_ms - gone);
        }
    }
}
