/* Reads a whole file and holds it against what a manifest says of it.
 *
 * Two passes: the content id over the bytes as they are, then every block and
 * record through the reader. Used for what came from a peer, and before a
 * chain that something else depends on is given up. */
#include "snapshot/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/format.h"

enum { READ_SIZE = 256 * 1024 };

static int differs(struct err_info *info, const char *path, const char *what)
{
    return err_set(info, ERR_CORRUPT,
                   "snapshot file %.300s is not what the manifest names: %s "
                   "differs; fetch it again",
                   path, what);
}

static int hash_file(struct file *f, uint64_t size, struct checksum128 *out)
{
    struct checksum_stream *s = checksum_stream_new(0);
    uint8_t *buf = malloc(READ_SIZE);
    uint64_t offset = 0;
    int rv = 0;

    if (s == NULL || buf == NULL) {
        rv = ERR_NOMEM;
    }
    while (rv == 0 && offset < size) {
        size_t n =
            size - offset < READ_SIZE ? (size_t)(size - offset) : READ_SIZE;
        size_t got = 0;
        rv = file_read_at(f, buf, n, offset, &got);
        if (rv == 0 && got != n) {
            rv = ERR_CORRUPT;
        }
        if (rv == 0) {
            checksum_stream_add(s, buf, n);
            offset += n;
        }
    }
    if (rv == 0) {
        *out = checksum_stream_128(s);
    }
    free(buf);
    checksum_stream_free(s);
    return rv;
}

static int verify_bytes(const char *path, const struct snapshot_file *expected,
                        struct err_info *info)
{
    uint8_t id[SNAPSHOT_ID_SIZE];
    struct checksum128 hash = {0, 0};
    struct file *f;
    uint64_t size = 0;
    int rv = file_open(path, FILE_READ, &f);

    if (rv == 0) {
        rv = file_size(f, &size);
        if (rv == 0 && size == expected->size) {
            rv = hash_file(f, size, &hash);
        }
        file_close(f);
    }
    if (rv != 0) {
        return err_set(info, rv, "cannot read snapshot file %.300s: %s", path,
                       err_text(rv));
    }
    if (size != expected->size) {
        return differs(info, path, "size");
    }
    snapshot_id_encode(hash, id);
    if (memcmp(id, expected->id, SNAPSHOT_ID_SIZE) != 0) {
        return differs(info, path, "content id");
    }
    return 0;
}

static int verify_meta(const char *path, const struct snapshot_reader *r,
                       const struct snapshot_file *expected,
                       const uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE],
                       struct err_info *info)
{
    const struct snapshot_meta *meta = snapshot_reader_meta(r);

    if (memcmp(meta->cluster_id, cluster_id, SNAPSHOT_CLUSTER_ID_SIZE) != 0) {
        return err_set(info, ERR_CLUSTER,
                       "snapshot file %.300s belongs to another cluster", path);
    }
    if (meta->from != expected->from || meta->to != expected->to) {
        return differs(info, path, "range of indexes");
    }
    if (meta->to_term != expected->to_term) {
        return differs(info, path, "term");
    }
    if (meta->state_hash.low != expected->state_hash.low ||
        meta->state_hash.high != expected->state_hash.high) {
        return differs(info, path, "state hash");
    }
    if (snapshot_reader_n_records(r) != expected->n_records) {
        return differs(info, path, "number of records");
    }
    return 0;
}

int snapshot_file_verify(const char *path, const struct snapshot_file *expected,
                         const uint8_t cluster_id[SNAPSHOT_CLUSTER_ID_SIZE],
                         struct err_info *info)
{
    struct snapshot_record record;
    struct snapshot_reader *r;
    int rv = verify_bytes(path, expected, info);

    if (rv == 0) {
        rv = snapshot_reader_open(path, &r, info);
    }
    if (rv != 0) {
        return rv;
    }
    rv = verify_meta(path, r, expected, cluster_id, info);
    while (rv == 0) {
        int next = snapshot_reader_next(r, &record, info);
        if (next <= 0) {
            rv = next;
            break;
        }
    }
    snapshot_reader_close(r);
    return rv;
}
