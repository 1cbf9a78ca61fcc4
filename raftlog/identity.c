/* Identity of a data directory; see identity.h.
 *
 * Crash safety: file_replace writes the whole file under another name and
 * renames it, so that a crash leaves no identity or all of it. It comes before
 * the log and the hard state: those without an identity mean that it was lost.
 */
#include "raftlog/identity.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/byte.h"
#include "raftlog/checksum.h"

static const uint8_t identity_magic[8] = {'C', 'K', 'V', 'I',
                                          'D', 'E', 'N', '\n'};
enum { PATH_BYTES_MAX = 4096, HEX_ID_SIZE = 2 * IDENTITY_CLUSTER_ID_SIZE + 1 };

void identity_encode(const struct identity *id, uint8_t *out, size_t *size)
{
    struct byte_writer w = byte_writer(out, IDENTITY_SIZE_MAX);
    size_t n = strnlen(id->membership, IDENTITY_MEMBERSHIP_MAX - 1);
    memset(out, 0, IDENTITY_FIXED_SIZE);
    byte_put(&w, identity_magic, sizeof identity_magic);
    byte_put_u32(&w, IDENTITY_VERSION);
    byte_put_u32(&w, (uint32_t)n);
    byte_put(&w, id->cluster_id, sizeof id->cluster_id);
    byte_put_u64(&w, id->node_id);
    byte_put(&w, id->instance_id, sizeof id->instance_id);
    byte_put(&w, id->membership, n);
    byte_put_u64(&w, checksum(out, IDENTITY_FIXED_SIZE + n, 0));
    assert(!w.failed);
    *size = IDENTITY_FIXED_SIZE + n + 8;
}

int identity_decode(const void *data, size_t size, struct identity *out)
{
    struct byte_reader r = byte_reader(data, size);
    const uint8_t *magic = byte_get(&r, sizeof identity_magic);
    const uint8_t *cluster_id;
    const uint8_t *instance_id;
    const uint8_t *membership;
    uint64_t node_id;
    uint32_t version;
    uint32_t n;
    if (magic == NULL ||
        memcmp(magic, identity_magic, sizeof identity_magic) != 0) {
        return ERR_CORRUPT;
    }
    version = byte_get_u32(&r);
    if (version > IDENTITY_VERSION) {
        return ERR_VERSION;
    }
    n = byte_get_u32(&r);
    cluster_id = byte_get(&r, IDENTITY_CLUSTER_ID_SIZE);
    node_id = byte_get_u64(&r);
    instance_id = byte_get(&r, IDENTITY_INSTANCE_ID_SIZE);
    if (r.failed || version == 0 || n >= IDENTITY_MEMBERSHIP_MAX ||
        byte_left(&r) != (size_t)n + 8) {
        return ERR_CORRUPT;
    }
    membership = byte_get(&r, n);
    if (byte_get_u64(&r) != checksum(data, IDENTITY_FIXED_SIZE + n, 0) ||
        node_id == 0 || memchr(membership, 0, n) != NULL) {
        return ERR_CORRUPT;
    }
    memset(out, 0, sizeof *out);
    memcpy(out->cluster_id, cluster_id, sizeof out->cluster_id);
    out->node_id = node_id;
    memcpy(out->instance_id, instance_id, sizeof out->instance_id);
    memcpy(out->membership, membership, n);
    return 0;
}

static bool is_zero(const uint8_t *id)
{
    static const uint8_t zero[IDENTITY_CLUSTER_ID_SIZE];
    return memcmp(id, zero, sizeof zero) == 0;
}

static void to_hex(char out[HEX_ID_SIZE], const uint8_t *id)
{
    for (size_t i = 0; i < IDENTITY_CLUSTER_ID_SIZE; i++) {
        (void)snprintf(out + 2 * i, 3, "%02x", id[i]);
    }
}

static int check(const char *path, const struct identity *wanted,
                 const struct identity *found, struct err_info *info)
{
    char ours[HEX_ID_SIZE];
    char theirs[HEX_ID_SIZE];
    if (wanted->node_id != 0 && wanted->node_id != found->node_id) {
        return err_set(info, ERR_CLUSTER,
                       "%s belongs to node %" PRIu64 ", but --id says %" PRIu64
                       ": give --data-dir the directory of node %" PRIu64
                       " or an empty one",
                       path, found->node_id, wanted->node_id, wanted->node_id);
    }
    if (!is_zero(wanted->cluster_id) &&
        memcmp(wanted->cluster_id, found->cluster_id,
               sizeof found->cluster_id) != 0) {
        to_hex(ours, wanted->cluster_id);
        to_hex(theirs, found->cluster_id);
        return err_set(info, ERR_CLUSTER,
                       "%s belongs to cluster %s, but this start is for "
                       "cluster %s: give --data-dir the directory of a member "
                       "of that cluster or an empty one, or leave the initial "
                       "members out",
                       path, theirs, ours);
    }
    return 0;
}

/* A directory that was used must have had an identity. */
static int check_unused(const char *data_dir, struct err_info *info)
{
    static const char *const names[] = {"log", "hardstate.0", "hardstate.1"};
    char path[PATH_BYTES_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool exists = false;
        int rv;
        (void)snprintf(path, sizeof path, "%s/%s", data_dir, names[i]);
        rv = file_exists(path, &exists);
        if (rv != 0) {
            return err_set(info, rv, "cannot read %s: %s", path, err_text(rv));
        }
        if (exists) {
            return err_set(info, ERR_CORRUPT,
                           "%s/identity is missing although %s is there: "
                           "restore the file, or wipe the directory and let "
                           "the node join again",
                           data_dir, path);
        }
    }
    return 0;
}

static int create(const char *data_dir, const char *path,
                  const struct identity *wanted, struct err_info *info)
{
    uint8_t *data;
    size_t size;
    int rv = check_unused(data_dir, info);
    if (rv != 0) {
        return rv;
    }
    if (wanted->node_id == 0 || is_zero(wanted->cluster_id)) {
        return err_set(info, ERR_INVALID,
                       "%s is new: its first start needs --id and "
                       "--initial-cluster",
                       data_dir);
    }
    data = malloc(IDENTITY_SIZE_MAX);
    if (data == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    identity_encode(wanted, data, &size);
    rv = file_replace(path, data, size);
    free(data);
    return rv == 0
               ? 0
               : err_set(info, rv, "cannot write %s: %s", path, err_text(rv));
}

static int load(const char *path, const struct identity *wanted,
                const void *data, size_t size, struct identity *found,
                struct err_info *info)
{
    struct identity *read = malloc(sizeof *read);
    int rv = read == NULL ? ERR_NOMEM : identity_decode(data, size, read);
    if (rv == ERR_CORRUPT) {
        (void)err_set(info, rv,
                      "%s is damaged: restore it, or wipe the directory and "
                      "let the node join again",
                      path);
    } else if (rv == ERR_VERSION) {
        (void)err_set(info, rv,
                      "%s has a newer format than this program (%d): start "
                      "the newer program",
                      path, IDENTITY_VERSION);
    } else if (rv != 0) {
        (void)err_set(info, rv, "out of memory");
    } else {
        rv = check(path, wanted, read, info);
    }
    if (rv == 0) {
        *found = *read;
    }
    free(read);
    return rv;
}

int identity_open(const char *data_dir, const struct identity *wanted,
                  struct identity *found, bool *created, struct err_info *info)
{
    char path[PATH_BYTES_MAX];
    void *data = NULL;
    size_t size = 0;
    int rv;
    if (snprintf(path, sizeof path, "%s/identity", data_dir) >=
        PATH_BYTES_MAX - 64) {
        return err_set(info, ERR_INVALID,
                       "the data directory's path is too "
                       "long");
    }
    rv = file_read_all(path, IDENTITY_SIZE_MAX, &data, &size);
    if (rv == ERR_NOTFOUND) {
        rv = create(data_dir, path, wanted, info);
        if (rv == 0) {
            memmove(found, wanted, sizeof *found);
            *created = true;
        }
        return rv;
    }
    if (rv == ERR_TOOBIG) {
        return err_set(info, ERR_CORRUPT, "%s is damaged: it is too long",
                       path);
    }
    if (rv != 0) {
        return err_set(info, rv, "cannot read %s: %s", path, err_text(rv));
    }
    rv = load(path, wanted, data, size, found, info);
    free(data);
    if (rv != 0) {
        return rv;
    }
    /* A start that was killed behind the rename leaves an identity that we can
     * read and a power cut can still take back. */
    rv = file_sync_dir(data_dir);
    if (rv != 0) {
        return err_set(info, rv, "cannot sync %s: %s", data_dir, err_text(rv));
    }
    *created = false;
    return 0;
}

int identity_lock(const char *data_dir, struct file **out,
                  struct err_info *info)
{
    char path[PATH_BYTES_MAX];
    int rv;
    if (snprintf(path, sizeof path, "%s/LOCK", data_dir) >= PATH_BYTES_MAX) {
        return err_set(info, ERR_INVALID,
                       "the data directory's path is too "
                       "long");
    }
    rv = file_lock(path, out);
    if (rv == ERR_LOCKED) {
        return err_set(info, rv,
                       "%s is in use by another process: stop it, or give "
                       "this node a --data-dir of its own",
                       data_dir);
    }
    return rv == 0
               ? 0
               : err_set(info, rv, "cannot lock %s: %s", path, err_text(rv));
}
