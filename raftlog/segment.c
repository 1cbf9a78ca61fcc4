/* Segment files on disk; see segment.h.
 *
 * Crash cases, each a row of the table in recover.c:
 *  segment_fill      before the rename only <id>.tmp exists: removed at open
 *  segment_activate  before the rename is durable the file is in the pool,
 *                    with a header that nobody reads; after it the log has an
 *                    empty last segment. The frames come later.
 *  segment_recycle   before the rename is durable the segment is still in the
 *                    log, below the oldest id that a durable frame names:
 *                    recovery finishes the work. */
#include "raftlog/segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int segment_path(char *out, const char *dir, const char *name)
{
    int n = snprintf(out, SEGMENT_PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= SEGMENT_PATH_MAX ? ERR_INVALID : 0;
}

void segment_name(char out[SEGMENT_NAME_MAX], uint64_t first_index, uint64_t id)
{
    (void)snprintf(out, SEGMENT_NAME_MAX, "%020" PRIu64 "-%010" PRIu64 ".seg",
                   first_index, id);
}

void segment_pool_name(char out[SEGMENT_NAME_MAX], uint64_t id)
{
    (void)snprintf(out, SEGMENT_NAME_MAX, "%010" PRIu64 ".free", id);
}

/* Decimal digits; at least `width`, and no more leading zeroes than that. */
static const char *parse_digits(const char *at, size_t width, uint64_t *out)
{
    size_t n = strspn(at, "0123456789");
    uint64_t v = 0;
    if (n < width || n > 20 || (n > width && at[0] == '0')) {
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(at[i] - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            return NULL;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return at + n;
}

bool segment_name_parse(const char *name, uint64_t *first_index, uint64_t *id)
{
    uint64_t index;
    uint64_t number;
    const char *at = parse_digits(name, 20, &index);
    if (at == NULL || *at != '-') {
        return false;
    }
    at = parse_digits(at + 1, 10, &number);
    if (at == NULL || strcmp(at, ".seg") != 0) {
        return false;
    }
    *first_index = index;
    *id = number;
    return true;
}

bool segment_pool_name_parse(const char *name, uint64_t *id)
{
    uint64_t number;
    const char *at = parse_digits(name, 10, &number);
    if (at == NULL || strcmp(at, ".free") != 0) {
        return false;
    }
    *id = number;
    return true;
}

static int fail(struct err_info *info, int code, const char *what,
                const char *path)
{
    return err_set(info, code, "%s %s: %s", what, path, err_text(code));
}

/* A file that can not be opened is no damage: mostly the process has too many
 * open. Nothing was written, so it can be tried again. */
static int retriable(int code)
{
    return code == ERR_IO ? ERR_AGAIN : code;
}

/* A sync that failed is no damage that passes, whatever the system calls it:
 * the kernel reports it once, and a second one would prove nothing. */
static int final(int code)
{
    return code == 0 ? 0 : ERR_IO;
}

int segment_fill(const char *pool_dir, uint64_t id, uint64_t bytes,
                 struct err_info *info)
{
    char name[SEGMENT_NAME_MAX];
    char path[SEGMENT_PATH_MAX];
    char temporary[SEGMENT_PATH_MAX];
    struct file *file = NULL;
    int rv;
    segment_pool_name(name, id);
    (void)segment_path(path, pool_dir, name);
    (void)snprintf(name, sizeof name, "%010" PRIu64 ".tmp", id);
    (void)segment_path(temporary, pool_dir, name);
    rv = file_open(temporary, FILE_WRITE | FILE_CREATE, &file);
    if (rv != 0) {
        return fail(info, retriable(rv), "cannot create", temporary);
    }
    rv = file_fill(file, 0, bytes);
    if (rv != 0) {
        (void)fail(info, rv, "cannot fill", temporary);
        goto err_unlink;
    }
    file_drop_cache(file);
    file_close(file);
    file = NULL;
    rv = file_rename(temporary, path);
    if (rv != 0) {
        (void)fail(info, rv, "cannot rename", temporary);
        goto err_unlink;
    }
    rv = final(file_sync_dir(pool_dir));
    return rv == 0 ? 0 : fail(info, rv, "cannot sync", pool_dir);

err_unlink:
    file_close(file);
    (void)file_unlink(temporary);
    return rv;
}

static int write_header(struct file *file, const struct segment_header *header)
{
    void *block = file_buffer_new(header->block_bytes);
    int rv;
    if (block == NULL) {
        return ERR_NOMEM;
    }
    segment_header_encode(header, block, header->block_bytes);
    rv = file_write_at(file, block, header->block_bytes, 0);
    if (rv == 0) {
        rv = final(file_sync(file));
    }
    file_buffer_free(block, header->block_bytes);
    return rv;
}

int segment_activate(const char *log_dir, const char *pool_dir,
                     uint64_t pool_id, const struct segment_header *header,
                     struct file **out, struct err_info *info)
{
    char name[SEGMENT_NAME_MAX];
    char from[SEGMENT_PATH_MAX];
    char to[SEGMENT_PATH_MAX];
    struct file *file = NULL;
    int rv;
    segment_pool_name(name, pool_id);
    (void)segment_path(from, pool_dir, name);
    segment_name(name, header->first_index, header->segment_id);
    (void)segment_path(to, log_dir, name);
    rv = file_open(from, FILE_WRITE | FILE_DIRECT, &file);
    if (rv != 0) {
        return fail(info, retriable(rv), "cannot open", from);
    }
    rv = write_header(file, header);
    if (rv != 0) {
        (void)fail(info, rv, "cannot write the header of", from);
        goto err_close;
    }
    rv = file_rename(from, to);
    if (rv != 0) {
        (void)fail(info, rv, "cannot rename to", to);
        goto err_close;
    }
    /* The new name first: losing only the old one would lose the file. */
    rv = final(file_sync_dir(log_dir));
    if (rv == 0) {
        rv = final(file_sync_dir(pool_dir));
    }
    if (rv != 0) {
        (void)fail(info, rv, "cannot sync the directory of", to);
        goto err_close;
    }
    *out = file;
    return 0;

err_close:
    file_close(file);
    return rv;
}

int segment_recycle(const char *log_dir, const char *pool_dir, const char *name,
                    uint64_t id, bool *keep, struct err_info *info)
{
    char pool_name[SEGMENT_NAME_MAX];
    char from[SEGMENT_PATH_MAX];
    char to[SEGMENT_PATH_MAX];
    int rv;
    (void)segment_path(from, log_dir, name);
    segment_pool_name(pool_name, id);
    (void)segment_path(to, pool_dir, pool_name);
    rv = *keep ? file_rename(from, to) : file_unlink(from);
    if (rv == ERR_NOSPACE && *keep) {
        *keep = false;
        rv = file_unlink(from);
    }
    if (rv != 0) {
        return fail(info, rv, "cannot take out of the log:", from);
    }
    rv = *keep ? final(file_sync_dir(pool_dir)) : 0;
    if (rv == 0) {
        rv = final(file_sync_dir(log_dir));
    }
    return rv == 0 ? 0 : fail(info, rv, "cannot sync", log_dir);
}
