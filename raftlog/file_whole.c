/* Operations on whole small files, and on directories with their names, built
 * from the calls of file.h alone.
 *
 * They stand in a file of their own so that tests which make single calls of
 * file.h fail, and simulations which replace them, reach the steps in here. */
#include "raftlog/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/err.h"

static const char temporary_suffix[] = ".tmp";

/* The directory part of path: "." when there is none. */
static void directory_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 0 : (size_t)(slash - path);

    if (slash == NULL) {
        strcpy(out, ".");
    } else if (n == 0) {
        strcpy(out, "/");
    } else {
        memcpy(out, path, n);
        out[n] = '\0';
    }
}

static int write_synced(const char *path, const void *data, size_t size)
{
    struct file *f;
    int rv = file_open(path, FILE_WRITE | FILE_CREATE, &f);

    if (rv != 0) {
        return rv;
    }
    /* A crash may have left a longer one behind. */
    rv = file_truncate(f, 0);
    if (rv == 0) {
        rv = file_write_at(f, data, size, 0);
    }
    if (rv == 0) {
        rv = file_sync(f);
    }
    file_close(f);
    return rv;
}

int file_replace(const char *path, const void *data, size_t size)
{
    char temporary[PATH_MAX];
    char directory[PATH_MAX];
    size_t n = strlen(path);
    int saved;
    int rv;

    if (n + sizeof temporary_suffix > sizeof temporary) {
        errno = ENAMETOOLONG;
        return ERR_IO;
    }
    memcpy(temporary, path, n);
    memcpy(temporary + n, temporary_suffix, sizeof temporary_suffix);
    directory_of(path, directory);

    rv = write_synced(temporary, data, size);
    if (rv == 0) {
        rv = file_rename(temporary, path);
    }
    if (rv != 0) {
        saved = errno;
        (void)file_unlink(temporary);
        errno = saved;
        return rv;
    }
    return file_sync_dir(directory);
}

int file_read_all(const char *path, size_t size_max, void **out, size_t *size)
{
    struct file *f;
    uint64_t total;
    size_t n;
    uint8_t *data = NULL;
    int rv = file_open(path, FILE_READ, &f);

    if (rv != 0) {
        return rv;
    }
    rv = file_size(f, &total);
    if (rv != 0) {
        goto cleanup;
    }
    if (total > size_max || total >= SIZE_MAX) {
        rv = ERR_TOOBIG;
        goto cleanup;
    }
    data = malloc((size_t)total + 1);
    if (data == NULL) {
        rv = ERR_NOMEM;
        goto cleanup;
    }
    rv = file_read_at(f, data, (size_t)total, 0, &n);
    if (rv != 0) {
        goto cleanup;
    }
    data[n] = '\0';
    *out = data;
    *size = n;
    data = NULL;
cleanup:
    free(data);
    file_close(f);
    return rv;
}

int file_make_dir_durable(const char *path)
{
    char dir[PATH_MAX];
    char parent[PATH_MAX];
    size_t n = strlen(path);
    bool there = false;
    int rv;

    while (n > 1 && path[n - 1] == '/') {
        n--; /* behind them is no name */
    }
    if (n >= sizeof dir) {
        errno = ENAMETOOLONG;
        return ERR_IO;
    }
    memcpy(dir, path, n);
    dir[n] = '\0';
    directory_of(dir, parent);
    rv = file_exists(dir, &there);
    if (rv == 0) {
        rv = file_make_dir(dir);
    }
    if (rv == 0) {
        /* Also when it is there: a process that was killed behind making it has
         * left a name that a power cut can still take back, with all that is
         * written into it from now on. */
        rv = file_sync_dir(parent);
        rv = rv == ERR_ACCESS && there ? 0 : rv;
    }
    return rv;
}
