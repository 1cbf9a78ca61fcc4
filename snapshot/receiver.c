/* Transfer of snapshot files in chunks, both sides.
 *
 * Receiving: open compares the wanted chain with the present one by content
 * id; what is missing grows as incoming/<id>.part, in order, from where an
 * earlier transfer left off, whichever node it came from: equal ids are equal
 * bytes. Every SNAPSHOT_SYNC_BYTES the file is synced. verify reads each file
 * back, checks the content id, all blocks and what the manifest says of it,
 * syncs it and renames it to incoming/<id>.ok, which chain_adopt takes.
 *
 * Failure cases: a power cut may leave a .part whose end was never written:
 * the content id does not hold, the file is removed and fetched again. A
 * failed sync does the same at once. No space: the chunk may be put again
 * when there is some.
 *
 * Sending is one positioned read; the sender keeps no state. Rates, order
 * among peers and what to do about silence are left to the caller. */
#include "snapshot/snapshot.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/format.h"

enum { LEFT_BEHIND_MAX = 256, RECEIVED_NAME_MAX = 2 * SNAPSHOT_ID_SIZE + 8 };

struct item {
    struct snapshot_file file;
    uint64_t written;
    uint64_t asked;
    bool verified;
};

struct snapshot_receiver {
    char dir[PATH_MAX];
    uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE];
    struct item items[SNAPSHOT_FILES_MAX];
    unsigned n_items;
    struct file *file; /* Of items[open_item], or NULL. */
    unsigned open_item;
    uint64_t synced; /* Of the open file. */
};

static int failed(struct err_info *info, int rv, const char *what,
                  const char *path)
{
    return err_set(info, rv, "cannot %s %.300s: %s", what, path, err_text(rv));
}

/* ---- opening --------------------------------------------------------------*/

struct left_behind {
    char names[LEFT_BEHIND_MAX][RECEIVED_NAME_MAX];
    unsigned n;
};

static int gather(void *ctx, const char *name)
{
    struct left_behind *l = ctx;
    size_t size = strlen(name) + 1;
    const char *dot = strrchr(name, '.');

    if (size <= RECEIVED_NAME_MAX && l->n < LEFT_BEHIND_MAX && dot != NULL &&
        (strcmp(dot, ".part") == 0 || strcmp(dot, ".ok") == 0)) {
        memcpy(l->names[l->n++], name, size);
    }
    return 0;
}

/* Remove what an earlier transfer left that this one does not want. */
static int remove_unwanted(const struct snapshot_receiver *r)
{
    struct left_behind *l = calloc(1, sizeof *l);
    char path[PATH_MAX];
    int rv;

    if (l == NULL) {
        return ERR_NOMEM;
    }
    rv = snapshot_path(path, r->dir, "incoming");
    if (rv == 0) {
        rv = file_list(path, gather, l);
    }
    for (unsigned i = 0; rv == 0 && i < l->n; i++) {
        bool wanted = false;
        for (unsigned k = 0; k < r->n_items; k++) {
            char hex[2 * SNAPSHOT_ID_SIZE + 1];
            snapshot_id_hex(r->items[k].file.id, hex);
            wanted =
                wanted || strncmp(l->names[i], hex, 2 * SNAPSHOT_ID_SIZE) == 0;
        }
        if (!wanted && snapshot_incoming_path(path, r->dir, l->names[i]) == 0) {
            (void)file_unlink(path);
        }
    }
    free(l);
    return rv;
}

/* Size of dir/incoming/<id><suffix>; 0 when it is not there. */
static int received_size(const struct snapshot_receiver *r,
                         const struct item *item, const char *suffix,
                         uint64_t *size)
{
    char path[PATH_MAX];
    struct file *f;
    int rv = snapshot_received_path(path, r->dir, item->file.id, suffix);

    *size = 0;
    if (rv == 0) {
        rv = file_open(path, FILE_READ, &f);
    }
    if (rv == ERR_NOTFOUND) {
        return 0;
    }
    if (rv == 0) {
        rv = file_size(f, size);
        file_close(f);
    }
    return rv;
}

/* How far an earlier transfer of this file came. */
static int resume_item(const struct snapshot_receiver *r, struct item *item)
{
    uint64_t size;
    int rv = received_size(r, item, ".ok", &size);

    if (rv == 0 && size == item->file.size) {
        item->written = size;
        item->asked = size;
        item->verified = true;
        return 0;
    }
    if (rv == 0) {
        rv = received_size(r, item, ".part", &size);
    }
    if (rv == 0 && size <= item->file.size) { /* Else begin anew. */
        item->written = size;
        item->asked = size;
    }
    return rv;
}

static int check_space(const struct snapshot_receiver *r, struct err_info *info)
{
    uint64_t done;
    uint64_t total;
    uint64_t available;
    int rv = file_free_bytes(r->dir, &available);

    if (rv != 0) {
        return failed(info, rv, "tell the free space of", r->dir);
    }
    snapshot_receiver_progress(r, &done, &total);
    if (total - done > available) {
        return err_set(info, ERR_NOSPACE,
                       "%llu bytes of snapshots do not fit into the %llu that "
                       "are free in %.300s; make room",
                       (unsigned long long)(total - done),
                       (unsigned long long)available, r->dir);
    }
    return 0;
}

int snapshot_receiver_open(const char *dir,
                           const struct snapshot_manifest *present,
                           const struct snapshot_manifest *wanted,
                           struct snapshot_receiver **out,
                           struct err_info *info)
{
    struct snapshot_receiver *r;
    const char *why;
    int rv = snapshot_manifest_check(wanted, &why);

    if (rv != 0) {
        return err_set(info, rv, "not a chain of snapshots: %s", why);
    }
    if (memcmp(present->cluster_id, wanted->cluster_id,
               SNAPSHOT_CLUSTER_ID_SIZE) != 0) {
        return err_set(info, ERR_CLUSTER,
                       "the snapshots offered belong to another cluster");
    }
    r = calloc(1, sizeof *r);
    if (r == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory for a transfer");
    }
    memcpy(r->cluster_id, wanted->cluster_id, SNAPSHOT_CLUSTER_ID_SIZE);
    rv = snapshot_dir_copy(r->dir, dir);
    for (unsigned i = 0; rv == 0 && i < wanted->n_files; i++) {
        if (snapshot_manifest_find(present, wanted->files[i].id) == NULL) {
            r->items[r->n_items].file = wanted->files[i];
            rv = resume_item(r, &r->items[r->n_items++]);
        }
    }
    if (rv == 0) {
        rv = remove_unwanted(r);
    }
    if (rv != 0) {
        failed(info, rv, "prepare a transfer into", dir);
    } else {
        rv = check_space(r, info);
    }
    if (rv != 0) {
        free(r);
        return rv;
    }
    *out = r;
    return 0;
}

/* ---- chunks ---------------------------------------------------------------*/

bool snapshot_receiver_next(struct snapshot_receiver *r, uint32_t chunk_max,
                            struct snapshot_range *out)
{
    for (unsigned i = 0; i < r->n_items && chunk_max > 0; i++) {
        struct item *item = &r->items[i];
        uint64_t left = item->file.size - item->asked;

        if (left == 0) {
            continue;
        }
        memcpy(out->id, item->file.id, SNAPSHOT_ID_SIZE);
        out->offset = item->asked;
        out->size = left < chunk_max ? (uint32_t)left : chunk_max;
        item->asked += out->size;
        return true;
    }
    return false;
}

void snapshot_receiver_retry(struct snapshot_receiver *r)
{
    for (unsigned i = 0; i < r->n_items; i++) {
        r->items[i].asked = r->items[i].written;
    }
}

/* Begin a file again from nothing. */
static void restart_item(struct snapshot_receiver *r, struct item *item)
{
    char path[PATH_MAX];

    if (r->file != NULL && item == &r->items[r->open_item]) {
        file_close(r->file);
        r->file = NULL;
    }
    item->written = 0;
    item->asked = 0;
    item->verified = false;
    if (snapshot_received_path(path, r->dir, item->file.id, ".part") == 0) {
        (void)file_unlink(path);
    }
}

/* Have the .part of item i open and cut to what counts as written. */
static int open_item(struct snapshot_receiver *r, unsigned i)
{
    char path[PATH_MAX];
    int rv;

    if (r->file != NULL && r->open_item == i) {
        return 0;
    }
    file_close(r->file);
    r->file = NULL;
    rv = snapshot_received_path(path, r->dir, r->items[i].file.id, ".part");
    if (rv == 0) {
        rv = file_open(path, FILE_WRITE | FILE_CREATE, &r->file);
    }
    if (rv == 0) {
        rv = file_truncate(r->file, r->items[i].written);
        if (rv != 0) {
            file_close(r->file);
            r->file = NULL;
        }
    }
    r->open_item = i;
    r->synced = r->items[i].written;
    return rv;
}

static int write_chunk(struct snapshot_receiver *r, unsigned i,
                       const struct snapshot_range *range, const void *data)
{
    struct item *item = &r->items[i];
    int rv = open_item(r, i);

    if (rv == 0) {
        rv = file_write_at(r->file, data, range->size, range->offset);
    }
    if (rv != 0) {
        return rv;
    }
    item->written += range->size;
    if (item->asked < item->written) {
        item->asked = item->written;
    }
    if (item->written - r->synced < SNAPSHOT_SYNC_BYTES &&
        item->written < item->file.size) {
        return 0;
    }
    rv = file_sync(r->file);
    if (rv != 0) {
        restart_item(r, item); /* What the disk holds is unknown. */
        return rv;
    }
    r->synced = item->written;
    if (item->written == item->file.size) {
        file_close(r->file);
        r->file = NULL;
    }
    return 0;
}

int snapshot_receiver_put(struct snapshot_receiver *r,
                          const struct snapshot_range *range, const void *data,
                          struct err_info *info)
{
    for (unsigned i = 0; i < r->n_items; i++) {
        const struct item *item = &r->items[i];
        int rv;

        if (memcmp(item->file.id, range->id, SNAPSHOT_ID_SIZE) != 0) {
            continue;
        }
        if (range->offset != item->written || range->size == 0 ||
            range->size > item->file.size - item->written) {
            return 0;
        }
        rv = write_chunk(r, i, range, data);
        return rv == 0 ? 0
                       : failed(info, rv, "write what was received of",
                                item->file.name);
    }
    return 0;
}

bool snapshot_receiver_complete(const struct snapshot_receiver *r)
{
    for (unsigned i = 0; i < r->n_items; i++) {
        if (r->items[i].written < r->items[i].file.size) {
            return false;
        }
    }
    return true;
}

void snapshot_receiver_progress(const struct snapshot_receiver *r,
                                uint64_t *bytes_done, uint64_t *bytes_total)
{
    *bytes_done = 0;
    *bytes_total = 0;
    for (unsigned i = 0; i < r->n_items; i++) {
        *bytes_done += r->items[i].written;
        *bytes_total += r->items[i].file.size;
    }
}

/* ---- the end --------------------------------------------------------------*/

/* A .part that an earlier process finished may not have been synced. */
static int sync_path(const char *path)
{
    struct file *f;
    int rv = file_open(path, FILE_WRITE, &f);

    if (rv == 0) {
        rv = file_sync(f);
        file_close(f);
    }
    return rv;
}

static int verify_item(struct snapshot_receiver *r, struct item *item,
                       struct err_info *info)
{
    char part[PATH_MAX];
    char ok[PATH_MAX];
    int rv = snapshot_received_path(part, r->dir, item->file.id, ".part");

    if (rv == 0) {
        rv = snapshot_received_path(ok, r->dir, item->file.id, ".ok");
    }
    if (rv != 0) {
        return failed(info, rv, "name", item->file.name);
    }
    rv = snapshot_file_verify(part, &item->file, r->cluster_id, info);
    if (rv != 0) {
        return rv;
    }
    rv = sync_path(part);
    if (rv == 0) {
        rv = file_rename(part, ok);
    }
    if (rv == 0) {
        item->verified = true;
        return 0;
    }
    return failed(info, rv, "keep", part);
}

int snapshot_receiver_verify(struct snapshot_receiver *r, struct err_info *info)
{
    char incoming[PATH_MAX];
    int result = 0;
    int rv;

    if (!snapshot_receiver_complete(r)) {
        return err_set(info, ERR_AGAIN, "the transfer is not complete");
    }
    file_close(r->file);
    r->file = NULL;
    for (unsigned i = 0; i < r->n_items; i++) {
        if (r->items[i].verified) {
            continue;
        }
        rv = verify_item(r, &r->items[i], info);
        if (rv == ERR_CORRUPT || rv == ERR_IO || rv == ERR_NOTFOUND) {
            restart_item(r, &r->items[i]);
        }
        if (rv != 0) {
            result = rv; /* The good ones need not come again. */
        }
    }
    rv = snapshot_path(incoming, r->dir, "incoming");
    if (rv == 0) {
        rv = file_sync_dir(incoming);
    }
    if (rv != 0 && result == 0) {
        result = failed(info, rv, "sync the directory", incoming);
    }
    return result;
}

void snapshot_receiver_close(struct snapshot_receiver *r)
{
    if (r != NULL) {
        file_close(r->file);
        free(r);
    }
}

/* ---- sending --------------------------------------------------------------*/

int snapshot_chunk_read(const char *dir, const struct snapshot_manifest *chain,
                        const struct snapshot_range *range, void *buf,
                        struct err_info *info)
{
    const struct snapshot_file *file = snapshot_manifest_find(chain, range->id);
    char path[PATH_MAX];
    struct file *f;
    size_t n = 0;
    int rv;

    if (file == NULL) {
        return err_set(info, ERR_NOTFOUND,
                       "a snapshot file was asked for that is not here");
    }
    if (range->offset > file->size ||
        range->size > file->size - range->offset) {
        return err_set(info, ERR_RANGE, "%s is shorter than what was asked for",
                       file->name);
    }
    rv = snapshot_path(path, dir, file->name);
    if (rv == 0) {
        rv = file_open(path, FILE_READ, &f);
    }
    if (rv == 0) {
        rv = file_read_at(f, buf, range->size, range->offset, &n);
        file_close(f);
        if (rv == 0 && n != range->size) {
            rv = ERR_CORRUPT; /* Cut short since it was adopted. */
        }
    }
    return rv == 0 ? 0 : failed(info, rv, "read", path);
}
