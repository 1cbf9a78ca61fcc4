/* The only door to storage system calls.
 *
 * Everything on disk goes through these functions, so that the simulator can
 * link its own implementation (simulated disks with crashes) under the same
 * code. Paths are plain strings; every function returns 0 or a negative code
 * of err.h (ERR_NOTFOUND, ERR_EXISTS, ERR_NOSPACE, ERR_ACCESS, ERR_LOCKED,
 * ERR_NOMEM, else ERR_IO) and keeps errno. EINTR and short transfers are
 * handled inside. Safe from any thread; one struct file is used by one thread
 * at a time, except for file_read_at, which may run beside anything. */
#ifndef RAFTLOG_FILE_H
#define RAFTLOG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;

enum {
    FILE_READ = 1,      /* open for reading */
    FILE_WRITE = 2,     /* open for writing (and reading) */
    FILE_CREATE = 4,    /* create if missing */
    FILE_EXCLUSIVE = 8, /* with FILE_CREATE: ERR_EXISTS if it is there */
    FILE_DIRECT = 16    /* bypass the page cache where the system can */
};

/* Open path; *out is given, closed by file_close. */
int file_open(const char *path, unsigned flags, struct file **out);
void file_close(struct file *f); /* NULL is allowed */

/* Read up to size bytes at offset; *n_read is short only at end of file. */
int file_read_at(struct file *f, void *buf, size_t size, uint64_t offset,
                 size_t *n_read);
/* Write all of size bytes at offset; not durable before file_sync. */
int file_write_at(struct file *f, const void *buf, size_t size,
                  uint64_t offset);
/* fdatasync. After a failure the file's unsynced contents are unknown: the
 * caller must not retry (fsync reports an error once and forgets it). */
int file_sync(struct file *f);
int file_size(struct file *f, uint64_t *size);
int file_truncate(struct file *f, uint64_t size);
/* Write zeroes over [offset, offset + size), so that a later direct write
 * finds written blocks (an unwritten extent would make it block), then sync.
 * ERR_NOSPACE leaves a partly filled file behind. */
int file_fill(struct file *f, uint64_t offset, uint64_t size);
/* Ask the kernel to read ahead or to drop cached pages; never fails. */
void file_drop_cache(struct file *f);

int file_rename(const char *from, const char *to);
int file_unlink(const char *path);
int file_make_dir(const char *path); /* 0 also when it is there */
int file_sync_dir(const char *path); /* makes names durable */
int file_exists(const char *path, bool *out);
/* Call cb with each name in the directory (no "." and ".."), in no order; a
 * non-zero return of cb stops and is returned. */
typedef int (*file_list_cb)(void *ctx, const char *name);
int file_list(const char *path, file_list_cb cb, void *ctx);
/* Create and lock a lock file for the life of the process or until
 * file_close; ERR_LOCKED when another process holds it. */
int file_lock(const char *path, struct file **out);
/* Bytes free to this process on the file system that holds path. */
int file_free_bytes(const char *path, uint64_t *out);
/* Identity of this boot of the machine, NUL-terminated. */
enum { FILE_BOOT_ID_SIZE = 37 };
int file_boot_id(char out[FILE_BOOT_ID_SIZE]);

/* Write a whole small file so that a crash leaves the old or the new content:
 * write path.tmp, sync, rename, sync the directory. */
int file_replace(const char *path, const void *data, size_t size);
/* Make a directory, if it is missing, and make its name durable: whoever made
 * it, nothing in it survives a power cut before its parent was synced. A parent
 * that may not be read was not made ready by us: it is left alone when the
 * directory was there. */
int file_make_dir_durable(const char *path);
/* Read a whole file of at most size_max bytes into malloc'd memory, given;
 * one NUL byte is added behind it. ERR_TOOBIG when larger. */
int file_read_all(const char *path, size_t size_max, void **out, size_t *size);

/* Alignment that direct writes to files in this directory need, in bytes:
 * STATX_DIOALIGN where the kernel tells it, else 4096; buffers, offsets and
 * sizes are multiples of it. */
int file_direct_alignment(const char *dir, size_t *out);
/* Memory for direct reads and writes; freed by file_buffer_free, which is told
 * the same size. NULL is allowed there. NULL: NOMEM. */
void *file_buffer_new(size_t size);
void file_buffer_free(void *buffer, size_t size);

/* ---- Asynchronous durable writes -------------------------------------------
 *
 * A queue carries writes that are durable when they complete; and, for who may
 * lose something to a power cut, writes that are not, and the sync that makes
 * them so. On file systems
 * known to do it right (ext4, XFS) it is native AIO: io_submit of an O_DIRECT
 * write with RWF_DSYNC, completion through an eventfd. Elsewhere, and when
 * asked for, a thread of its own calls pwrite and fdatasync and then writes
 * the same kind of eventfd. (On overlayfs AIO completes without a sync, on
 * btrfs io_submit blocks.)
 *
 * Calling sequence: file_queue_new; file_queue_submit for each write;
 * when file_queue_fd is readable, file_queue_reap until it returns 0;
 * file_queue_free waits for what is in flight. One thread (the loop). */
struct file_queue;

enum file_queue_kind { FILE_QUEUE_AIO = 1, FILE_QUEUE_THREAD = 2 };

struct file_queue_options {
    /* Comma-separated names of file systems on which AIO is used: "ext4,xfs".
     * NULL: that default. Empty: never. Borrowed. */
    const char *aio_filesystems;
};

struct file_completion {
    void *tag;    /* as given to submit */
    int status;   /* 0 or a negative code; on failure the log must stop */
    int os_error; /* errno value of a failure */
};

enum { FILE_QUEUE_DEPTH_MAX = 16 };

int file_queue_new(const char *dir, const struct file_queue_options *options,
                   struct file_queue **out);
void file_queue_free(struct file_queue *q); /* NULL is allowed */
enum file_queue_kind file_queue_kind(const struct file_queue *q);
/* Readable when completions wait; -1 in the simulator, which calls the owner
 * of the queue when time has come. */
int file_queue_fd(const struct file_queue *q);
/* Start one durable write; buf (aligned, from file_buffer_new) and f are kept
 * until its completion has been reaped. ERR_AGAIN: FILE_QUEUE_DEPTH_MAX are in
 * flight. Writes may complete in any order. Once a failure has been reaped,
 * each later submit returns its code: nothing behind it counts as durable. */
int file_queue_submit(struct file_queue *q, struct file *f, const void *buf,
                      size_t size, uint64_t offset, void *tag);
/* Collect up to max completions without waiting; returns how many. */
size_t file_queue_reap(struct file_queue *q, struct file_completion *out,
                       size_t max);
/* The same without the sync: once it has completed, the end of this process
 * takes nothing back, but a power cut can, whole or in parts, and can keep a
 * later write while it takes an earlier one. */
int file_queue_write(struct file_queue *q, struct file *f, const void *buf,
                     size_t size, uint64_t offset, void *tag);
/* Start a sync: when it completes, every write to f that had completed before
 * this call is durable. A failure counts as one of a write. */
int file_queue_sync(struct file_queue *q, struct file *f, void *tag);
/* Block until at least one completion can be reaped or timeout_ms has passed
 * (for programs without a loop); 0 or ERR_AGAIN. */
int file_queue_wait(struct file_queue *q, int timeout_ms);

#endif
