/* Storage system calls, one at a time and blocking.
 *
 * Each function carries its call through EINTR and short transfers and turns
 * errno into a code; errno keeps the system's own word for it. What has to be
 * synced, and when, is left to the callers. Whole-file operations built from
 * these are in file_whole.c, queued durable writes in file_queue.c. */
#include "raftlog/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#include "raftlog/err.h"
#include "raftlog/file_private.h"

enum {
    DIRECT_ALIGNMENT_DEFAULT = 4096,
    DIRECT_ALIGNMENT_MIN = 512,
    FILL_CHUNK = 1024 * 1024,
    /* A buffer of this size has pages of its own. From the heap, buffers of
     * some MiB that come and go between longer-lived pieces leave holes that
     * stay resident: several times what is in use. */
    BUFFER_PAGES_MIN = 128 * 1024,
    FILE_MODE = 0640,
    DIR_MODE = 0750
};

/* The code of the call that just failed; never 0. */
static int last_error(void)
{
    return errno != 0 ? err_from_errno(errno) : ERR_IO;
}

static int open_fd(const char *path, int flags)
{
    int fd;

    do {
        fd = open(path, flags | O_CLOEXEC, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

/* close without disturbing errno: what failed before it matters more. */
static void close_fd(int fd)
{
    int saved = errno;
    close(fd);
    errno = saved;
}

static int wrap_fd(int fd, struct file **out)
{
    struct file *f = malloc(sizeof *f);

    if (f == NULL) {
        close_fd(fd);
        errno = ENOMEM;
        return ERR_NOMEM;
    }
    f->fd = fd;
    *out = f;
    return 0;
}

int file_open(const char *path, unsigned flags, struct file **out)
{
    int system_flags = (flags & FILE_WRITE) ? O_RDWR : O_RDONLY;
    int fd;

    if (flags & FILE_CREATE) {
        system_flags |= O_CREAT;
    }
    if (flags & FILE_EXCLUSIVE) {
        system_flags |= O_EXCL;
    }
    if (flags & FILE_DIRECT) {
        fd = open_fd(path, system_flags | O_DIRECT);
        if (fd >= 0 || errno != EINVAL) {
            goto opened;
        }
        /* The file system has no direct I/O. Some kernels create the file
         * before they find out, so O_EXCL would now see our own. */
        if (flags & FILE_EXCLUSIVE) {
            system_flags &= ~O_EXCL;
        }
    }
    fd = open_fd(path, system_flags);
opened:
    if (fd < 0) {
        return last_error();
    }
    return wrap_fd(fd, out);
}

void file_close(struct file *f)
{
    if (f != NULL) {
        close_fd(f->fd);
        free(f);
    }
}

int file_read_at(struct file *f, void *buf, size_t size, uint64_t offset,
                 size_t *n_read)
{
    uint8_t *to = buf;
    size_t done = 0;

    while (done < size) {
        ssize_t n =
            pread(f->fd, to + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return last_error();
        }
        if (n == 0) {
            break;
        }
        done += (size_t)n;
    }
    *n_read = done;
    return 0;
}

int file_private_write_all(int fd, const void *buf, size_t size,
                           uint64_t offset)
{
    const uint8_t *from = buf;

    while (size > 0) {
        ssize_t n = pwrite(fd, from, size, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        if (n == 0) {
            return EIO; /* No progress and no reason given. */
        }
        from += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

int file_write_at(struct file *f, const void *buf, size_t size, uint64_t offset)
{
    int rv = file_private_write_all(f->fd, buf, size, offset);

    if (rv != 0) {
        errno = rv;
    }
    return err_from_errno(rv);
}

int file_sync(struct file *f)
{
    /* Not retried, EINTR included: Linux does not return it here, and any
     * error may have dropped dirty pages. */
    return fdatasync(f->fd) == 0 ? 0 : last_error();
}

int file_size(struct file *f, uint64_t *size)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0) {
        return last_error();
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

int file_truncate(struct file *f, uint64_t size)
{
    int rv;

    do {
        rv = ftruncate(f->fd, (off_t)size);
    } while (rv != 0 && errno == EINTR);
    return rv == 0 ? 0 : last_error();
}

int file_fill(struct file *f, uint64_t offset, uint64_t size)
{
    size_t chunk = size < FILL_CHUNK ? (size_t)size : FILL_CHUNK;
    void *zeroes;
    int rv = 0;

    if (size == 0) {
        return file_sync(f);
    }
    zeroes = file_buffer_new(chunk);
    if (zeroes == NULL) {
        errno = ENOMEM;
        return ERR_NOMEM;
    }
    memset(zeroes, 0, chunk);
    while (size > 0 && rv == 0) {
        size_t n = size < chunk ? (size_t)size : chunk;
        rv = file_write_at(f, zeroes, n, offset);
        offset += n;
        size -= n;
        if (rv == 0) {
            /* Chunk by chunk, or a durable write of the log would wait behind
             * the whole file in the device's queue. */
            rv = file_sync(f);
        }
    }
    file_buffer_free(zeroes, chunk);
    return rv;
}

void file_drop_cache(struct file *f)
{
    int saved = errno;
    (void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
    errno = saved;
}

int file_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? 0 : last_error();
}

int file_unlink(const char *path)
{
    return unlink(path) == 0 ? 0 : last_error();
}

int file_make_dir(const char *path)
{
    struct stat st;

    if (mkdir(path, DIR_MODE) == 0) {
        return 0;
    }
    /* A file of that name is not the directory that was asked for. */
    if (errno == EEXIST && stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            return 0;
        }
        errno = EEXIST;
    }
    return last_error();
}

int file_sync_dir(const char *path)
{
    int fd = open_fd(path, O_RDONLY | O_DIRECTORY);
    int rv = 0;

    if (fd < 0) {
        return last_error();
    }
    if (fsync(fd) != 0) {
        rv = last_error();
    }
    close_fd(fd);
    return rv;
}

int file_exists(const char *path, bool *out)
{
    struct stat st;

    if (stat(path, &st) == 0) {
        *out = true;
        return 0;
    }
    if (errno == ENOENT) {
        *out = false;
        return 0;
    }
    return last_error();
}

int file_list(const char *path, file_list_cb cb, void *ctx)
{
    DIR *dir = opendir(path);
    int rv = 0;

    if (dir == NULL) {
        return last_error();
    }
    for (;;) {
        struct dirent *entry;
        errno = 0; /* The only way to tell the end from an error. */
        entry = readdir(dir);
        if (entry == NULL) {
            rv = err_from_errno(errno);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 ||
            strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        rv = cb(ctx, entry->d_name);
        if (rv != 0) {
            break;
        }
    }
    closedir(dir);
    return rv;
}

int file_lock(const char *path, struct file **out)
{
    int fd = open_fd(path, O_RDWR | O_CREAT);
    int rv;

    if (fd < 0) {
        return last_error();
    }
    /* flock belongs to the open file: it also keeps a second user in the same
     * process out, and goes away with the process however it ends. */
    do {
        rv = flock(fd, LOCK_EX | LOCK_NB);
    } while (rv != 0 && errno == EINTR);
    if (rv != 0) {
        rv = errno == EWOULDBLOCK ? ERR_LOCKED : last_error();
        close_fd(fd);
        return rv;
    }
    return wrap_fd(fd, out);
}

int file_free_bytes(const char *path, uint64_t *out)
{
    struct statvfs st;

    if (statvfs(path, &st) != 0) {
        return last_error();
    }
    *out = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
    return 0;
}

int file_boot_id(char out[FILE_BOOT_ID_SIZE])
{
    struct file *f = NULL;
    char text[FILE_BOOT_ID_SIZE] = {0};
    size_t n;
    int rv = file_open("/proc/sys/kernel/random/boot_id", FILE_READ, &f);

    if (rv != 0) {
        return rv;
    }
    rv = file_read_at(f, text, FILE_BOOT_ID_SIZE - 1, 0, &n);
    file_close(f);
    if (rv == 0 && n != FILE_BOOT_ID_SIZE - 1) {
        errno = EIO;
        rv = ERR_IO;
    }
    if (rv == 0) {
        memcpy(out, text, FILE_BOOT_ID_SIZE);
    }
    return rv;
}

/* What the kernel says about direct I/O to fd; 0 when it does not say. */
static size_t told_alignment(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx st;
    size_t align;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) != 0 ||
        (st.stx_mask & STATX_DIOALIGN) == 0) {
        return 0;
    }
    align = st.stx_dio_offset_align;
    if (align < st.stx_dio_mem_align) {
        align = st.stx_dio_mem_align;
    }
    if (align == 0 || (align & (align - 1)) != 0) {
        return 0; /* No direct I/O to this file. */
    }
    return align < DIRECT_ALIGNMENT_MIN ? DIRECT_ALIGNMENT_MIN : align;
#else
    (void)fd;
    return 0;
#endif
}

int file_direct_alignment(const char *dir, size_t *out)
{
    /* The kernel answers for regular files only, so ask with one that has no
     * name. A file system without O_TMPFILE gets the default. */
    size_t align = 0;
    int fd = open_fd(dir, O_TMPFILE | O_RDWR);

    if (fd >= 0) {
        align = told_alignment(fd);
        close_fd(fd);
    } else if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL) {
        return last_error();
    }
    *out = align > 0 ? align : DIRECT_ALIGNMENT_DEFAULT;
    return 0;
}

void *file_buffer_new(size_t size)
{
    void *p;

    if (size >= BUFFER_PAGES_MIN) {
        p = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? NULL : p;
    }
    /* One page satisfies every device in use; told_alignment may be larger
     * for offsets only. */
    if (posix_memalign(&p, DIRECT_ALIGNMENT_DEFAULT, size > 0 ? size : 1)) {
        return NULL;
    }
    return p;
}

void file_buffer_free(void *buffer, size_t size)
{
    if (size < BUFFER_PAGES_MIN) {
        free(buffer);
    } else if (buffer != NULL) {
        (void)munmap(buffer, size);
    }
}
