/* The chain of a node on disk: opening it and changing it.
 *
 * adopt, happy path: check `next`; move the files it adds from incoming/ into
 * dir (their contents are already synced); sync both directories; replace
 * MANIFEST (temporary file, sync, rename, sync); remove what `next` does not
 * name.
 *
 * Crash or failure in the middle: before the rename of MANIFEST the old chain
 * is in force and all its files are there, since files of other content never
 * share a name; what was moved is removed by the next open. From the rename on
 * the new chain is in force, and open removes what was left of the old one.
 * A failure to remove is not an error: the name is not in the manifest. */
#include "snapshot/snapshot.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/format.h"

enum { SWEEP_MAX = 4096, SWEEP_NAME_MAX = 128 };

static const char manifest_name[] = "MANIFEST";

static int failed(struct err_info *info, int rv, const char *what,
                  const char *path)
{
    return err_set(info, rv, "cannot %s %.300s: %s", what, path, err_text(rv));
}

/* ---- removing what is not named -------------------------------------------*/

/* Names are gathered first: a directory is not changed while it is listed. */
struct sweep {
    char (*names)[SWEEP_NAME_MAX];
    size_t n;
    size_t capacity;
};

static int gather(void *ctx, const char *name)
{
    struct sweep *s = ctx;
    size_t size = strlen(name) + 1;

    if (size > SWEEP_NAME_MAX || s->n == SWEEP_MAX) {
        return 0; /* Not a name of ours; or the rest waits for next time. */
    }
    if (s->n == s->capacity) {
        size_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        void *names = realloc(s->names, capacity * SWEEP_NAME_MAX);
        if (names == NULL) {
            return ERR_NOMEM;
        }
        s->names = names;
        s->capacity = capacity;
    }
    memcpy(s->names[s->n++], name, size);
    return 0;
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

static bool is_named(const struct snapshot_manifest *m, const char *name)
{
    for (unsigned i = 0; i < m->n_files; i++) {
        if (strcmp(m->files[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Names carry the head of the content id, which is what is known of a file
 * that no manifest at hand names any more. */
static bool is_kept(const char *name, const uint8_t (*keep)[SNAPSHOT_ID_SIZE],
                    unsigned n_keep)
{
    const char *dash = strrchr(name, '-');
    char hex[2 * SNAPSHOT_ID_SIZE + 1];

    for (unsigned i = 0; dash != NULL && i < n_keep; i++) {
        snapshot_id_hex(keep[i], hex);
        if (strncmp(dash + 1, hex, 8) == 0) {
            return true;
        }
    }
    return false;
}

/* Remove files of ours from dir that nothing names. Files of unknown form are
 * somebody else's and stay. */
static int sweep_chain(const char *dir, const struct snapshot_manifest *m,
                       const uint8_t (*keep)[SNAPSHOT_ID_SIZE], unsigned n_keep)
{
    struct sweep s = {NULL, 0, 0};
    char path[PATH_MAX];
    int rv = file_list(dir, gather, &s);

    for (size_t i = 0; rv == 0 && i < s.n; i++) {
        const char *name = s.names[i];
        bool ours = begins(name, "base-") || begins(name, "delta-") ||
                    strcmp(name, "MANIFEST.tmp") == 0;
        if (ours && !is_named(m, name) && !is_kept(name, keep, n_keep) &&
            snapshot_path(path, dir, name) == 0) {
            (void)file_unlink(path);
        }
    }
    free(s.names);
    return rv;
}

/* In incoming/, what was written here and never adopted cannot be continued;
 * what came from a peer can. */
static int sweep_incoming(const char *dir, const char *incoming)
{
    struct sweep s = {NULL, 0, 0};
    char path[PATH_MAX];
    int rv = file_list(incoming, gather, &s);

    for (size_t i = 0; rv == 0 && i < s.n; i++) {
        const char *name = s.names[i];
        if ((begins(name, "base-") || begins(name, "delta-") ||
             begins(name, "writing-")) &&
            snapshot_incoming_path(path, dir, name) == 0) {
            (void)file_unlink(path);
        }
    }
    free(s.names);
    return rv;
}

/* ---- opening --------------------------------------------------------------*/

static int read_manifest(const char *dir,
                         const uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE],
                         struct snapshot_manifest *m, struct err_info *info)
{
    char path[PATH_MAX];
    void *data;
    size_t size;
    int rv = snapshot_path(path, dir, manifest_name);

    if (rv == 0) {
        rv = file_read_all(path, SNAPSHOT_MANIFEST_MAX, &data, &size);
    }
    if (rv == ERR_NOTFOUND) {
        memset(m, 0, sizeof *m);
        memcpy(m->cluster_id, cluster_id, SNAPSHOT_CLUSTER_ID_SIZE);
        return 0;
    }
    if (rv == ERR_TOOBIG) {
        rv = ERR_CORRUPT;
    }
    if (rv != 0) {
        return failed(info, rv, "read", path);
    }
    rv = snapshot_manifest_decode(data, size, m, info);
    free(data);
    if (rv != 0) {
        return rv;
    }
    if (memcmp(m->cluster_id, cluster_id, SNAPSHOT_CLUSTER_ID_SIZE) != 0) {
        snapshot_manifest_clear(m);
        return err_set(info, ERR_CLUSTER,
                       "%.300s belongs to another cluster; give this node a "
                       "data directory of its own",
                       path);
    }
    return 0;
}

/* The size of the file at path; ERR_NOTFOUND. */
static int size_of(const char *path, uint64_t *size)
{
    struct file *f;
    int rv = file_open(path, FILE_READ, &f);

    if (rv == 0) {
        rv = file_size(f, size);
        file_close(f);
    }
    return rv;
}

static int check_files(const char *dir, const struct snapshot_manifest *m,
                       struct err_info *info)
{
    for (unsigned i = 0; i < m->n_files; i++) {
        char path[PATH_MAX];
        uint64_t size = 0;
        int rv = snapshot_path(path, dir, m->files[i].name);

        if (rv == 0) {
            rv = size_of(path, &size);
        }
        if (rv == ERR_NOTFOUND || (rv == 0 && size != m->files[i].size)) {
            return err_set(info, ERR_CORRUPT,
                           "snapshot file %.300s %s; remove the data directory "
                           "of this node and let it join again",
                           path,
                           rv == 0 ? "has not the size that the manifest names"
                                   : "is missing");
        }
        if (rv != 0) {
            return failed(info, rv, "open", path);
        }
    }
    return 0;
}

int snapshot_chain_open(const char *dir,
                        const uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE],
                        struct snapshot_manifest *out, struct err_info *info)
{
    struct snapshot_manifest *m;
    char incoming[PATH_MAX];
    int rv = snapshot_path(incoming, dir, "incoming");

    if (rv == 0) {
        rv = file_make_dir_durable(dir);
    }
    if (rv == 0) {
        rv = file_make_dir_durable(incoming);
    }
    if (rv != 0) {
        return failed(info, rv, "make the directory", dir);
    }
    m = calloc(1, sizeof *m);
    if (m == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory for a manifest");
    }
    rv = read_manifest(dir, cluster_id, m, info);
    if (rv != 0) {
        goto cleanup;
    }
    rv = check_files(dir, m, info);
    if (rv == 0) {
        /* A process that was killed right behind the rename leaves a manifest
         * that we can read and a power cut can still take back: it must be on
         * disk before anything that only the older one names is removed, here
         * or in the log. */
        rv = file_sync_dir(dir);
        if (rv == 0) {
            rv = sweep_chain(dir, m, NULL, 0);
        }
        if (rv == 0) {
            rv = sweep_incoming(dir, incoming);
        }
        if (rv != 0) {
            failed(info, rv, "list", dir);
        }
    }
    if (rv != 0) {
        snapshot_manifest_clear(m);
        goto cleanup;
    }
    *out = *m;
cleanup:
    free(m);
    return rv;
}

/* ---- changing -------------------------------------------------------------*/

/* Find a file of the new chain and have it in dir; *moved tells of a rename. A
 * copy of the wrong size is passed over: another place may have a whole one. */
static int place_file(const char *dir, const struct snapshot_file *file,
                      bool *moved, struct err_info *info)
{
    char to[PATH_MAX];
    char from[PATH_MAX];
    int result = ERR_NOTFOUND;

    for (unsigned i = 0; i < 3; i++) {
        uint64_t size = 0;
        int rv = snapshot_path(to, dir, file->name);

        if (rv == 0 && i == 0) {
            rv = snapshot_path(from, dir, file->name);
        } else if (rv == 0 && i == 1) {
            rv = snapshot_received_path(from, dir, file->id, ".ok");
        } else if (rv == 0) {
            rv = snapshot_incoming_path(from, dir, file->name);
        }
        if (rv == 0) {
            rv = size_of(from, &size);
        }
        if (rv == ERR_NOTFOUND) {
            continue;
        }
        if (rv == 0 && size != file->size) {
            result = ERR_CORRUPT;
            continue;
        }
        if (rv == 0 && i > 0) {
            rv = file_rename(from, to);
            *moved = true;
        }
        result = rv;
        break;
    }
    return result == 0 ? 0 : failed(info, result, "take the snapshot file", to);
}

static int place_files(const char *dir, const struct snapshot_manifest *next,
                       struct err_info *info)
{
    char incoming[PATH_MAX];
    bool moved = false;
    int rv = snapshot_path(incoming, dir, "incoming");

    for (unsigned i = 0; rv == 0 && i < next->n_files; i++) {
        rv = place_file(dir, &next->files[i], &moved, info);
        if (rv != 0) {
            return rv;
        }
    }
    /* The new name first: between the two, a file may have both names or
     * the new one, but never none. */
    if (rv == 0) {
        rv = file_sync_dir(dir);
    }
    if (rv == 0 && moved) {
        rv = file_sync_dir(incoming);
    }
    return rv == 0 ? 0 : failed(info, rv, "sync the directory", dir);
}

static int write_manifest(const char *dir, const struct snapshot_manifest *m,
                          struct err_info *info)
{
    char path[PATH_MAX];
    void *data = NULL;
    size_t size = 0;
    int rv = snapshot_path(path, dir, manifest_name);

    if (rv == 0) {
        rv = snapshot_manifest_encode(m, &data, &size);
    }
    if (rv == 0) {
        rv = file_replace(path, data, size);
    }
    free(data);
    return rv == 0 ? 0 : failed(info, rv, "replace", path);
}

int snapshot_chain_adopt(const char *dir,
                         const struct snapshot_manifest *previous,
                         const struct snapshot_manifest *next,
                         const uint8_t (*keep)[SNAPSHOT_ID_SIZE],
                         unsigned n_keep, struct err_info *info)
{
    const char *why;
    int rv = snapshot_manifest_check(next, &why);

    if (rv != 0) {
        return err_set(info, rv, "not a chain of snapshots: %s", why);
    }
    if (memcmp(previous->cluster_id, next->cluster_id,
               SNAPSHOT_CLUSTER_ID_SIZE) != 0) {
        return err_set(info, ERR_CLUSTER,
                       "the snapshots offered belong to another cluster");
    }
    rv = place_files(dir, next, info);
    if (rv == 0) {
        rv = write_manifest(dir, next, info);
    }
    if (rv == 0) {
        (void)sweep_chain(dir, next, keep, n_keep);
    }
    return rv;
}
