/* file.h on simulated disks: linked instead of raftlog/file*.c.
 *
 * Each function finds the disk by the path, lets the fault hooks see the
 * operation, and works on names and contents in memory. Everything is
 * immediate; only queued writes take (virtual) time. */
#include "raftlog/file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/checksum.h"
#include "raftlog/err.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/sim_disk_private.h"

/* Return a code with errno set as the real door does. */
static int fail(int code)
{
    switch (code) {
    case ERR_NOTFOUND:
        errno = ENOENT;
        break;
    case ERR_EXISTS:
        errno = EEXIST;
        break;
    case ERR_NOSPACE:
        errno = ENOSPC;
        break;
    default:
        errno = EIO;
        break;
    }
    return code;
}

static int done(int code)
{
    return code == 0 ? 0 : fail(code);
}

static bool parent_exists(const struct sim_disk *d, const char *path)
{
    char dir[512];
    size_t n = sim_disk_dir_size(path);

    assert(n < sizeof dir);
    memcpy(dir, path, n);
    dir[n] = '\0';
    return sim_disk_is_dir(d, dir);
}

static struct file *handle_new(struct sim_inode *inode, unsigned flags,
                               const char *path)
{
    struct file *f = calloc(1, sizeof *f);

    assert(f != NULL);
    f->inode = sim_inode_ref(inode);
    f->flags = flags;
    f->path = strdup(path);
    assert(f->path != NULL);
    return f;
}

/* The file of a path, made when missing. */
static int find_or_create(struct sim_disk *d, const char *path, unsigned flags,
                          struct sim_inode **out)
{
    struct sim_inode *inode = sim_disk_find(d, path);

    if (inode != NULL) {
        if ((flags & FILE_CREATE) && (flags & FILE_EXCLUSIVE)) {
            return ERR_EXISTS;
        }
        *out = inode;
        return inode->is_dir ? ERR_IO : 0;
    }
    if (!(flags & FILE_CREATE) || !parent_exists(d, path)) {
        return ERR_NOTFOUND;
    }
    sim_disk_before(d, SIM_DISK_CREATE, path);
    if (d->frozen) {
        return ERR_IO;
    }
    *out = sim_disk_create(d, path, false);
    sim_disk_after(d, SIM_DISK_CREATE, path);
    return 0;
}

int file_open(const char *path, unsigned flags, struct file **out)
{
    struct sim_disk *d = sim_disk_of(path);
    struct sim_inode *inode = NULL;
    int rv;

    if (d->frozen) {
        return fail(ERR_IO);
    }
    rv = find_or_create(d, path, flags, &inode);
    if (rv != 0) {
        return fail(rv);
    }
    *out = handle_new(inode, flags, path);
    return 0;
}

void file_close(struct file *f)
{
    if (f == NULL) {
        return;
    }
    if (f->has_lock) {
        f->inode->locked = false;
    }
    sim_inode_unref(f->inode);
    free(f->path);
    free(f);
}

static void check_direct(struct file *f, const void *buf, size_t size,
                         uint64_t offset)
{
    struct sim_disk *d = f->inode->disk;

    if ((f->flags & FILE_DIRECT) &&
        ((uintptr_t)buf % d->alignment != 0 || size % d->alignment != 0 ||
         offset % d->alignment != 0)) {
        sim_disk_misuse(d, "direct access is not aligned");
    }
}

int file_read_at(struct file *f, void *buf, size_t size, uint64_t offset,
                 size_t *n_read)
{
    struct sim_inode *inode = f->inode;
    struct sim_disk *d = inode->disk;
    uint64_t left = offset < inode->size ? inode->size - offset : 0;

    check_direct(f, buf, size, offset);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (d->fail_reads > 0 && d->fail_reads_after > 0) {
        d->fail_reads_after--;
    } else if (d->fail_reads > 0) {
        d->fail_reads--;
        d->stats.n_errors_injected++;
        return fail(ERR_IO);
    }
    *n_read = left < size ? (size_t)left : size;
    if (*n_read > 0) {
        memcpy(buf, inode->data + offset, *n_read);
    }
    sim_disk_after(d, SIM_DISK_READ, f->path);
    return 0;
}

int file_write_at(struct file *f, const void *buf, size_t size, uint64_t offset)
{
    struct sim_disk *d = f->inode->disk;
    int rv;

    check_direct(f, buf, size, offset);
    if (!(f->flags & FILE_WRITE) && !f->has_lock) {
        sim_disk_misuse(d, "write to a file that is open for reading");
    }
    if (d->frozen) {
        return fail(ERR_IO);
    }
    sim_disk_before(d, SIM_DISK_WRITE, f->path);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    rv = sim_inode_write(f->inode, buf, size, offset);
    sim_disk_after(d, SIM_DISK_WRITE, f->path);
    return done(d->frozen ? ERR_IO : rv);
}

int file_sync(struct file *f)
{
    struct sim_disk *d = f->inode->disk;

    if (d->frozen) {
        return fail(ERR_IO);
    }
    sim_disk_before(d, SIM_DISK_SYNC, f->path);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (d->fail_syncs > 0) {
        d->fail_syncs--;
        d->stats.n_errors_injected++;
        sim_inode_doom(f->inode);
        return fail(ERR_IO);
    }
    d->stats.n_syncs++;
    sim_inode_sync(f->inode);
    sim_disk_after(d, SIM_DISK_SYNC, f->path);
    return d->frozen ? fail(ERR_IO) : 0;
}

int file_size(struct file *f, uint64_t *size)
{
    if (f->inode->disk->frozen) {
        return fail(ERR_IO);
    }
    *size = f->inode->size;
    return 0;
}

int file_truncate(struct file *f, uint64_t size)
{
    struct sim_disk *d = f->inode->disk;
    int rv;

    if (d->frozen) {
        return fail(ERR_IO);
    }
    sim_disk_before(d, SIM_DISK_TRUNCATE, f->path);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    rv = sim_inode_truncate(f->inode, size);
    sim_disk_after(d, SIM_DISK_TRUNCATE, f->path);
    return done(d->frozen ? ERR_IO : rv);
}

int file_fill(struct file *f, uint64_t offset, uint64_t size)
{
    static const uint8_t zeroes[1024 * 1024];
    struct sim_disk *d = f->inode->disk;
    uint64_t part = size;
    int rv = 0;

    if (d->frozen) {
        return fail(ERR_IO);
    }
    sim_disk_before(d, SIM_DISK_FILL, f->path);
    if (d->frozen) {
        /* The crash came in the middle of it. */
        part = sim_random_below(&d->random, size + 1);
    } else if (f->inode->size < offset + size &&
               d->used_bytes + (offset + size - f->inode->size) >
                   d->capacity_bytes) {
        part = size / 2;
        rv = ERR_NOSPACE;
    }
    while (part > 0) {
        size_t n = part < sizeof zeroes ? (size_t)part : sizeof zeroes;
        if (sim_inode_write(f->inode, zeroes, n, offset) != 0) {
            break;
        }
        offset += n;
        part -= n;
    }
    if (d->frozen || rv != 0) {
        return fail(d->frozen ? ERR_IO : rv);
    }
    if (d->hooks.half_done != NULL) {
        d->hooks.half_done(d->hooks.ctx);
    }
    sim_inode_sync(f->inode);
    sim_disk_after(d, SIM_DISK_FILL, f->path);
    return d->frozen ? fail(ERR_IO) : 0;
}

void file_drop_cache(struct file *f)
{
    (void)f;
}

int file_rename(const char *from, const char *to)
{
    struct sim_disk *d = sim_disk_of(from);

    assert(sim_disk_of(to) == d);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (sim_disk_find(d, from) == NULL || !parent_exists(d, to)) {
        return fail(ERR_NOTFOUND);
    }
    sim_disk_before(d, SIM_DISK_RENAME, to);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    sim_disk_rename(d, from, to);
    sim_disk_after(d, SIM_DISK_RENAME, to);
    return d->frozen ? fail(ERR_IO) : 0;
}

int file_unlink(const char *path)
{
    struct sim_disk *d = sim_disk_of(path);

    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (sim_disk_find(d, path) == NULL) {
        return fail(ERR_NOTFOUND);
    }
    sim_disk_before(d, SIM_DISK_UNLINK, path);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    sim_disk_unlink(d, path);
    sim_disk_after(d, SIM_DISK_UNLINK, path);
    return d->frozen ? fail(ERR_IO) : 0;
}

int file_make_dir(const char *path)
{
    struct sim_disk *d = sim_disk_of(path);

    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (sim_disk_find(d, path) != NULL) {
        return sim_disk_is_dir(d, path) ? 0 : fail(ERR_EXISTS);
    }
    if (!parent_exists(d, path)) {
        return fail(ERR_NOTFOUND);
    }
    sim_disk_before(d, SIM_DISK_CREATE, path);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    (void)sim_disk_create(d, path, true);
    sim_disk_after(d, SIM_DISK_CREATE, path);
    return d->frozen ? fail(ERR_IO) : 0;
}

int file_sync_dir(const char *path)
{
    struct sim_disk *d = sim_disk_of(path);

    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (!sim_disk_is_dir(d, path)) {
        return fail(ERR_NOTFOUND);
    }
    sim_disk_before(d, SIM_DISK_SYNC_DIR, path);
    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (d->fail_syncs > 0) {
        d->fail_syncs--;
        d->stats.n_errors_injected++;
        return fail(ERR_IO);
    }
    d->stats.n_syncs++;
    sim_disk_sync_names(d, path);
    sim_disk_after(d, SIM_DISK_SYNC_DIR, path);
    return d->frozen ? fail(ERR_IO) : 0;
}

int file_exists(const char *path, bool *out)
{
    struct sim_disk *d = sim_disk_of(path);

    if (d->frozen) {
        return fail(ERR_IO);
    }
    *out = sim_disk_find(d, path) != NULL;
    return 0;
}

int file_list(const char *path, file_list_cb cb, void *ctx)
{
    struct sim_disk *d = sim_disk_of(path);
    size_t dir_size = strlen(path);
    char **names;
    size_t n = 0;
    int rv = 0;

    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (!sim_disk_is_dir(d, path)) {
        return fail(ERR_NOTFOUND);
    }
    /* cb may remove files: list a copy. */
    names = calloc(d->n_live + 1, sizeof *names);
    assert(names != NULL);
    for (size_t i = 0; i < d->n_live; i++) {
        const char *p = d->live[i].path;
        if (sim_disk_dir_size(p) == dir_size &&
            memcmp(p, path, dir_size) == 0) {
            names[n] = strdup(p + dir_size + 1);
            assert(names[n] != NULL);
            n++;
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (rv == 0) {
            rv = cb(ctx, names[i]);
        }
        free(names[i]);
    }
    free(names);
    return rv;
}

int file_lock(const char *path, struct file **out)
{
    struct file *f;
    int rv = file_open(path, FILE_READ | FILE_WRITE | FILE_CREATE, &f);

    if (rv != 0) {
        return rv;
    }
    if (f->inode->locked) {
        file_close(f);
        return fail(ERR_LOCKED);
    }
    f->inode->locked = true;
    f->has_lock = true;
    *out = f;
    return 0;
}

int file_free_bytes(const char *path, uint64_t *out)
{
    struct sim_disk *d = sim_disk_of(path);

    if (d->frozen) {
        return fail(ERR_IO);
    }
    *out = d->used_bytes < d->capacity_bytes ? d->capacity_bytes - d->used_bytes
                                             : 0;
    return 0;
}

/* The door does not say whose boot is asked for: it is that of the node that
 * runs now. */
int file_boot_id(char out[FILE_BOOT_ID_SIZE])
{
    memcpy(out, sim_disk_current()->boot_id, FILE_BOOT_ID_SIZE);
    return 0;
}

int file_direct_alignment(const char *dir, size_t *out)
{
    struct sim_disk *d = sim_disk_of(dir);

    if (d->frozen) {
        return fail(ERR_IO);
    }
    *out = d->alignment;
    return 0;
}

void *file_buffer_new(size_t size)
{
    void *p;

    return posix_memalign(&p, 4096, size > 0 ? size : 1) == 0 ? p : NULL;
}

void file_buffer_free(void *buffer, size_t size)
{
    (void)size;
    free(buffer);
}

/* ---- queued durable writes ---- */

int file_queue_new(const char *dir, const struct file_queue_options *options,
                   struct file_queue **out)
{
    struct sim_disk *d = sim_disk_of(dir);
    struct file_queue *q;

    (void)options;
    if (d->frozen) {
        return fail(ERR_IO);
    }
    q = calloc(1, sizeof *q);
    assert(q != NULL);
    q->disk = d;
    *out = q;
    return 0;
}

static struct sim_disk_transfer *transfer_of(struct file_queue *q)
{
    struct sim_disk_transfer *t = q->disk->transfers;

    while (t != NULL && t->queue != q) {
        t = t->next;
    }
    return t;
}

void file_queue_free(struct file_queue *q)
{
    struct sim_disk_transfer *t;

    if (q == NULL) {
        return;
    }
    while ((t = transfer_of(q)) != NULL) {
        sim_disk_transfer_finish(q->disk, t);
    }
    free(q);
}

enum file_queue_kind file_queue_kind(const struct file_queue *q)
{
    (void)q;
    return FILE_QUEUE_AIO;
}

int file_queue_fd(const struct file_queue *q)
{
    (void)q;
    return -1;
}

/* A queued write has had its time. A stalled disk makes it wait on. */
static void transfer_due(void *ctx, uint64_t number, uint64_t unused)
{
    struct sim_disk *d = ctx;
    struct sim_disk_transfer *t = d->transfers;

    (void)unused;
    while (t != NULL && t->number != number) {
        t = t->next;
    }
    if (t == NULL) {
        return;
    }
    if (d->clock->now_us < d->stall_until_us) {
        sim_clock_after(d->clock, d->stall_until_us - d->clock->now_us,
                        transfer_due, d, number, 0);
        return;
    }
    sim_disk_before(d, SIM_DISK_COMPLETE, t->path);
    if (!d->frozen) {
        sim_disk_transfer_finish(d, t);
    }
    if (d->hooks.completed != NULL) {
        d->hooks.completed(d->hooks.ctx);
    }
}

static int transfer_start(struct file_queue *q, enum sim_transfer_kind kind,
                          struct file *f, const void *buf, size_t size,
                          uint64_t offset, void *tag)
{
    struct sim_disk *d = q->disk;
    struct sim_disk_transfer *t;

    if (d->frozen) {
        return fail(ERR_IO);
    }
    if (q->failed != 0) {
        return fail(q->failed);
    }
    if (q->n_in_flight == FILE_QUEUE_DEPTH_MAX) {
        return ERR_AGAIN;
    }
    if ((uintptr_t)buf % d->alignment != 0 || size % d->alignment != 0 ||
        offset % d->alignment != 0) {
        sim_disk_misuse(d, "queued write is not aligned");
    }
    t = calloc(1, sizeof *t);
    assert(t != NULL);
    t->kind = kind;
    t->number = d->n_transfers++;
    t->queue = q;
    t->inode = sim_inode_ref(f->inode);
    t->path = strdup(f->path);
    assert(t->path != NULL);
    t->buf = buf;
    t->buf_checksum = size > 0 ? checksum(buf, size, 0) : 0;
    t->size = size;
    t->offset = offset;
    t->through = f->inode->n_changes;
    t->tag = tag;
    t->next = d->transfers;
    d->transfers = t;
    q->n_in_flight++;
    sim_clock_after(
        d->clock,
        sim_random_delay(&d->random, d->write_us_min, d->write_us_max) +
            size / 256 + (kind == SIM_TRANSFER_SYNC ? d->sync_us : 0),
        transfer_due, d, t->number, 0);
    sim_disk_after(d, SIM_DISK_SUBMIT, f->path);
    return 0;
}

int file_queue_submit(struct file_queue *q, struct file *f, const void *buf,
                      size_t size, uint64_t offset, void *tag)
{
    return transfer_start(q, SIM_TRANSFER_DURABLE, f, buf, size, offset, tag);
}

int file_queue_write(struct file_queue *q, struct file *f, const void *buf,
                     size_t size, uint64_t offset, void *tag)
{
    return transfer_start(q, SIM_TRANSFER_WRITE, f, buf, size, offset, tag);
}

int file_queue_sync(struct file_queue *q, struct file *f, void *tag)
{
    return transfer_start(q, SIM_TRANSFER_SYNC, f, NULL, 0, 0, tag);
}

size_t file_queue_reap(struct file_queue *q, struct file_completion *out,
                       size_t max)
{
    size_t n = q->n_done < max ? q->n_done : max;

    memcpy(out, q->done, n * sizeof *out);
    memmove(q->done, q->done + n, (q->n_done - n) * sizeof *out);
    q->n_done -= n;
    q->n_in_flight -= n;
    return n;
}

int file_queue_wait(struct file_queue *q, int timeout_ms)
{
    struct sim_disk_transfer *t = transfer_of(q);

    (void)timeout_ms;
    /* Blocking takes no virtual time: what is waited for is done now. */
    if (q->n_done == 0 && t != NULL) {
        sim_disk_transfer_finish(q->disk, t);
    }
    return q->n_done > 0 ? 0 : ERR_AGAIN;
}
