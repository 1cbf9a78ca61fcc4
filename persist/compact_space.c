/* Room for compaction on a disk that is nearly full.
 *
 * Compaction is what makes room, so it must not lack it. A file of zeroes keeps
 * space back: dir/reserve, as large as a run may be, made when the disk has
 * plenty. A compaction that finds too little removes it first; and it takes
 * only as many entries at once as its file can find room for, so step by step
 * it gets through with less. It never begins a file that might not fit. */
#include "persist/compact.h"

#include <inttypes.h>
#include <stdio.h>

enum { MARGIN_BYTES = 256 * 1024, PLENTY = 4 };

static void reserve_path(const struct wal_private *w,
                         char out[WAL_PATH_MAX + 32])
{
    (void)snprintf(out, WAL_PATH_MAX + 32, "%s/reserve", w->dir);
}

static uint64_t reserve_bytes(const struct wal_private *w)
{
    uint64_t run = wal_option_get(w, WAL_OPTION_COMPACT_MEMORY);
    uint64_t file = wal_option_get(w, WAL_OPTION_FILE_SIZE);

    return run < file ? run : file;
}

static uint64_t free_bytes(const struct wal_private *w)
{
    uint64_t bytes = 0;

    return file_free_bytes(w->dir, &bytes) == 0 ? bytes : 0;
}

static uint64_t reserved(const struct wal_private *w)
{
    char path[WAL_PATH_MAX + 32];
    struct file *f;
    uint64_t bytes = 0;

    reserve_path(w, path);
    if (file_open(path, FILE_READ, &f) != 0) {
        return 0;
    }
    if (file_size(f, &bytes) != 0) {
        bytes = 0;
    }
    file_close(f);
    return bytes;
}

uint64_t compact_space_free(struct wal_private *w)
{
    uint64_t bytes = free_bytes(w) + reserved(w);

    return bytes > MARGIN_BYTES ? bytes - MARGIN_BYTES : 0;
}

int compact_space_take(struct wal_private *w, uint64_t bytes,
                       struct err_info *info)
{
    char path[WAL_PATH_MAX + 32];

    if (free_bytes(w) >= bytes + MARGIN_BYTES) {
        return 0;
    }
    reserve_path(w, path);
    w->gave_reserve = file_unlink(path) == 0 || w->gave_reserve;
    if (free_bytes(w) >= bytes + MARGIN_BYTES) {
        return 0;
    }
    return err_set(info, ERR_NOSPACE,
                   "compaction in %s needs %" PRIu64
                   " bytes for its file: make room on the device",
                   w->dir, bytes);
}

void compact_space_keep(struct wal_private *w)
{
    char path[WAL_PATH_MAX + 32];
    uint64_t bytes = reserve_bytes(w);
    struct file *f;
    int rv;

    if (reserved(w) >= bytes || free_bytes(w) < PLENTY * bytes) {
        return;
    }
    reserve_path(w, path);
    rv = file_open(path, FILE_WRITE | FILE_CREATE, &f);
    if (rv != 0) {
        return;
    }
    rv = file_fill(f, 0, bytes);
    file_close(f);
    if (rv != 0) {
        (void)file_unlink(path); /* a part of it would look like all */
    } else {
        w->gave_reserve = false;
    }
}
