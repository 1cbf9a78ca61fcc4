/* Hard state slots: codec, loading and creation; see hardstate.h. Writing
 * while the log runs is the commit queue's duty. */
#include "raftlog/hardstate.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/byte.h"
#include "raftlog/checksum.h"
#include "raftlog/file.h"
#include "raftlog/segment.h"

static const uint8_t hard_magic[8] = {'C', 'K', 'V', 'H', 'A', 'R', 'D', '\n'};
enum {
    CHECKSUM_AT = HARDSTATE_SIZE - 8,
    SIZE_1 = 96, /* of version 1, which ends before the mark */
    FLAG_FORGOT = 1,
    SLOT_BYTES_MAX = 1 << 20
};

void hardstate_encode(const struct hardstate *h, void *block, size_t size)
{
    struct byte_writer w = byte_writer(block, HARDSTATE_SIZE);
    assert(size >= HARDSTATE_SIZE);
    memset(block, 0, size);
    byte_put(&w, hard_magic, sizeof hard_magic);
    byte_put_u32(&w, HARDSTATE_VERSION);
    byte_put_u32(&w, h->forgot ? FLAG_FORGOT : 0);
    byte_put(&w, h->cluster_id, sizeof h->cluster_id);
    byte_put_u64(&w, h->node_id);
    byte_put_u64(&w, h->sequence);
    byte_put_u64(&w, h->term);
    byte_put_u64(&w, h->voted_for);
    byte_put_u64(&w, h->log_sequence);
    byte_put_u64(&w, h->forgot_term);
    byte_put(&w, h->weak_boot, sizeof h->weak_boot);
    byte_put_u64(&w, checksum(block, CHECKSUM_AT, 0));
    assert(!w.failed);
}

int hardstate_decode(const void *data, size_t size, struct hardstate *out)
{
    struct byte_reader r = byte_reader(data, size);
    struct hardstate h = {0};
    const uint8_t *magic = byte_get(&r, sizeof hard_magic);
    const uint8_t *id;
    uint32_t version;
    uint32_t flags;
    size_t whole;
    if (magic == NULL || memcmp(magic, hard_magic, sizeof hard_magic) != 0) {
        return ERR_CORRUPT;
    }
    version = byte_get_u32(&r);
    if (version > HARDSTATE_VERSION) {
        return ERR_VERSION;
    }
    whole = version == 1 ? SIZE_1 : HARDSTATE_SIZE;
    if (version == 0 || size < whole) {
        return ERR_CORRUPT;
    }
    flags = byte_get_u32(&r);
    id = byte_get(&r, sizeof h.cluster_id);
    memcpy(h.cluster_id, id, sizeof h.cluster_id);
    h.node_id = byte_get_u64(&r);
    h.sequence = byte_get_u64(&r);
    h.term = byte_get_u64(&r);
    h.voted_for = byte_get_u64(&r);
    h.log_sequence = byte_get_u64(&r);
    if (version > 1) {
        h.forgot = (flags & FLAG_FORGOT) != 0;
        h.forgot_term = byte_get_u64(&r);
        memcpy(h.weak_boot, byte_get(&r, sizeof h.weak_boot),
               sizeof h.weak_boot);
    }
    r.at = (const uint8_t *)data + whole - 8;
    if (byte_get_u64(&r) != checksum(data, whole - 8, 0) ||
        h.weak_boot[sizeof h.weak_boot - 1] != '\0') {
        return ERR_CORRUPT;
    }
    *out = h;
    return 0;
}

static int slot_path(char *out, const char *data_dir, unsigned slot)
{
    return segment_path(out, data_dir,
                        slot == 0 ? "hardstate.0" : "hardstate.1");
}

static int load_slot(const char *path, struct hardstate *out)
{
    void *data = NULL;
    size_t size = 0;
    int rv = file_read_all(path, SLOT_BYTES_MAX, &data, &size);
    if (rv == ERR_TOOBIG) {
        return ERR_CORRUPT;
    }
    if (rv != 0) {
        return rv;
    }
    rv = hardstate_decode(data, size, out);
    free(data);
    return rv;
}

static int check_owner(const struct hardstate *h,
                       const struct raftlog_options *options, const char *path,
                       struct err_info *info)
{
    if (memcmp(h->cluster_id, options->cluster_id, sizeof h->cluster_id) != 0) {
        return err_set(info, ERR_CLUSTER,
                       "%s belongs to another cluster: point --data-dir at "
                       "this node's own directory",
                       path);
    }
    if (h->node_id != options->node_id) {
        return err_set(info, ERR_CLUSTER,
                       "%s belongs to node %" PRIu64 ", not to node %" PRIu64
                       ": point --data-dir at this node's own directory",
                       path, h->node_id, options->node_id);
    }
    return 0;
}

/* The slots as read: which are valid decides, see hardstate_load. */
static int choose(const char *data_dir, const struct hardstate h[2],
                  const int rv[2], struct hardstate_loaded *out,
                  struct err_info *info)
{
    bool valid[2] = {rv[0] == 0, rv[1] == 0};
    if (!valid[0] && !valid[1]) {
        return err_set(info, ERR_CORRUPT,
                       "%s/hardstate.0 and hardstate.1 are both damaged or "
                       "missing: the node may have voted and must not vote "
                       "again; remove it from the cluster, wipe its data "
                       "directory and add it as a new member",
                       data_dir);
    }
    if (valid[0] && valid[1] && h[0].sequence == h[1].sequence &&
        (h[0].term != h[1].term || h[0].voted_for != h[1].voted_for)) {
        return err_set(info, ERR_CORRUPT,
                       "%s/hardstate.0 and hardstate.1 contradict each other "
                       "at sequence %" PRIu64 ": remove the node from the "
                       "cluster, wipe its data directory and add it again",
                       data_dir, h[0].sequence);
    }
    out->missing = false;
    out->slot = !valid[0] || (valid[1] && h[1].sequence > h[0].sequence);
    out->state = h[out->slot];
    out->both = valid[0] && valid[1];
    out->mirrored = out->both && h[0].sequence == h[1].sequence;
    out->log_sequence = out->state.log_sequence;
    if (valid[!out->slot] && h[!out->slot].log_sequence > out->log_sequence) {
        out->log_sequence = h[!out->slot].log_sequence;
    }
    return 0;
}

int hardstate_load(const char *data_dir, const struct raftlog_options *options,
                   struct hardstate_loaded *out, struct err_info *info)
{
    struct hardstate h[HARDSTATE_SLOTS];
    int rv[HARDSTATE_SLOTS];
    char path[SEGMENT_PATH_MAX];
    memset(h, 0, sizeof h);
    for (unsigned i = 0; i < HARDSTATE_SLOTS; i++) {
        int owner;
        (void)slot_path(path, data_dir, i);
        rv[i] = load_slot(path, &h[i]);
        if (rv[i] == ERR_VERSION) {
            return err_set(info, ERR_VERSION,
                           "%s has a newer format than this program (%d): "
                           "start the newer program",
                           path, HARDSTATE_VERSION);
        }
        if (rv[i] != 0 && rv[i] != ERR_CORRUPT && rv[i] != ERR_NOTFOUND) {
            return err_set(info, rv[i], "cannot read %s: %s", path,
                           err_text(rv[i]));
        }
        owner = rv[i] == 0 ? check_owner(&h[i], options, path, info) : 0;
        if (owner != 0) {
            return owner;
        }
    }
    if (rv[0] == ERR_NOTFOUND && rv[1] == ERR_NOTFOUND) {
        memset(out, 0, sizeof *out);
        out->missing = true;
        return 0;
    }
    return choose(data_dir, h, rv, out, info);
}

int hardstate_create(const char *data_dir, const struct hardstate *h,
                     unsigned only, size_t block_bytes, struct err_info *info)
{
    char path[SEGMENT_PATH_MAX];
    void *block = calloc(1, block_bytes);
    int rv = 0;
    if (block == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    hardstate_encode(h, block, block_bytes);
    for (unsigned i = 0; rv == 0 && i < HARDSTATE_SLOTS; i++) {
        if (only != HARDSTATE_SLOTS && only != i) {
            continue;
        }
        (void)slot_path(path, data_dir, i);
        rv = file_replace(path, block, block_bytes);
        if (rv != 0) {
            (void)err_set(info, rv, "cannot write %s: %s", path, err_text(rv));
        }
    }
    free(block);
    return rv;
}
