/* Sweep: a chain that grows, one that is read, and one that is received. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/snapshot.h"
#include "tests/crash/sweep.h"

enum { N_BASE = 400, N_DELTA = 30, CHUNK = 3000, TEXT_MAX = 64 };

static const uint8_t cluster[SNAPSHOT_CLUSTER_ID_SIZE] = "swept cluster";

/* ---- a chain --------------------------------------------------------------*/

static const char *in(const char *dir, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.3900s/%.100s", dir, name);
    return out;
}

/* Write (from, to] with n records and adopt it behind the chain, which becomes
 * the new one. A code and words, or 0. */
static int grow(const char *dir, struct snapshot_manifest *chain, uint64_t to,
                unsigned n, struct err_info *info)
{
    uint64_t from =
        chain->n_files == 0 ? 0 : chain->files[chain->n_files - 1].to;
    struct snapshot_meta meta = {.from = from,
                                 .to = to,
                                 .to_term = 2,
                                 .state_hash = {to, to},
                                 .configuration = "voters",
                                 .configuration_size = 6};
    struct snapshot_writer *w = NULL;
    struct snapshot_manifest next;
    struct snapshot_file file;
    int rv;
    memcpy(meta.cluster_id, cluster, sizeof cluster);
    rv = snapshot_writer_new(dir, &meta, &w, info);
    for (unsigned i = 0; rv == 0 && i < n; i++) {
        char key[TEXT_MAX];
        char value[TEXT_MAX * 10] = "";
        struct snapshot_record r = {.kind = SNAPSHOT_KEY};
        snprintf(key, sizeof key, "key:%06u", i);
        for (size_t k = 0; k + 1 < sizeof value; k++) {
            value[k] = (char)('a' + (i * 7919 + k * k * 31 + to) % 26);
        }
        r.key.data = (const uint8_t *)key;
        r.key.size = strlen(key);
        r.value.data = (const uint8_t *)value;
        r.value.size = sizeof value - 1;
        rv = snapshot_writer_add(w, &r);
        if (rv != 0) {
            (void)err_set(info, rv, "record %u: %s", i, err_text(rv));
            snapshot_writer_abort(w);
            return rv;
        }
    }
    rv = rv == 0 ? snapshot_writer_finish(w, &file, info) : rv;
    if (rv != 0) {
        return rv;
    }
    rv = snapshot_manifest_copy(&next, chain);
    if (rv != 0) {
        return err_set(info, rv, "no memory for a manifest");
    }
    next.files[next.n_files++] = file;
    rv = snapshot_chain_adopt(dir, chain, &next, NULL, 0, info);
    if (rv == 0) {
        snapshot_manifest_clear(chain);
        *chain = next;
    } else {
        snapshot_manifest_clear(&next);
    }
    return rv;
}

static void prepare_chain(const char *root)
{
    struct snapshot_manifest chain;
    struct err_info info = {0};
    char dir[PATH_MAX];
    in(root, "snapshots", dir);
    sweep_check(snapshot_chain_open(dir, cluster, &chain, &info) == 0,
                info.message);
    sweep_check(grow(dir, &chain, 10, N_BASE, &info) == 0, info.message);
    snapshot_manifest_clear(&chain);
}

static uint64_t end_of(const struct snapshot_manifest *m)
{
    return m->n_files == 0 ? 0 : m->files[m->n_files - 1].to;
}

/* The chain on disk is whole; it is the caller's. */
static void open_whole(const char *dir, struct snapshot_manifest *chain)
{
    struct err_info info = {0};
    char path[PATH_MAX];
    sweep_check(snapshot_chain_open(dir, cluster, chain, &info) == 0,
                info.message);
    for (unsigned i = 0; i < chain->n_files; i++) {
        sweep_check(snapshot_file_verify(in(dir, chain->files[i].name, path),
                                         &chain->files[i], cluster, &info) == 0,
                    info.message);
    }
}

static int count_name(void *ctx, const char *name)
{
    (void)name;
    ++*(unsigned *)ctx;
    return 0;
}

static void check_litter(const char *dir, const struct snapshot_manifest *chain)
{
    unsigned n = 0;
    char path[PATH_MAX];
    sweep_check(file_list(dir, count_name, &n) == 0 &&
                    n == chain->n_files + 1 + (chain->n_files > 0),
                "files that the manifest does not name");
    n = 0;
    sweep_check(file_list(in(dir, "incoming", path), count_name, &n) == 0 &&
                    n == 0,
                "files in incoming/");
}

/* ---- growing --------------------------------------------------------------*/

static int work_grow(const char *root, struct sweep_told *told)
{
    struct snapshot_manifest chain;
    char dir[PATH_MAX];
    int rv;
    in(root, "snapshots", dir);
    rv = snapshot_chain_open(dir, cluster, &chain, &told->info);
    if (rv != 0) {
        return rv;
    }
    for (uint64_t to = 20; rv == 0 && to <= 40; to += 10) {
        rv = grow(dir, &chain, to, N_DELTA, &told->info);
        told->durable = rv == 0 ? to : told->durable;
    }
    told->whole = rv == 0;
    snapshot_manifest_clear(&chain);
    return rv;
}

static void check_grown(const char *root, const struct sweep_told *told)
{
    struct snapshot_manifest chain;
    struct err_info info = {0};
    char dir[PATH_MAX];
    in(root, "snapshots", dir);
    open_whole(dir, &chain);
    sweep_check(end_of(&chain) >= told->durable && end_of(&chain) >= 10 &&
                    end_of(&chain) <= told->durable + 20,
                "the chain is another one");
    check_litter(dir, &chain);
    sweep_check(grow(dir, &chain, end_of(&chain) + 5, 3, &info) == 0,
                info.message);
    snapshot_manifest_clear(&chain);
}

/* ---- reading --------------------------------------------------------------*/

static int read_through(const char *path, struct sweep_told *told)
{
    struct bytes key = {(const uint8_t *)"key:000200", 10};
    struct snapshot_record record;
    struct snapshot_reader *r = NULL;
    int rv = snapshot_reader_open(path, &r, &told->info);
    int next = 1;
    if (rv != 0) {
        return rv;
    }
    while (next == 1) {
        next = snapshot_reader_next(r, &record, &told->info);
        told->durable += next == 1;
    }
    rv = next;
    if (rv == 0) {
        rv = snapshot_reader_seek(r, key, &told->info);
    }
    if (rv == 0) {
        next = snapshot_reader_next(r, &record, &told->info);
        rv = next == 1 ? 0 : next;
        sweep_check(next != 0, "the key is not found");
        sweep_check(rv != 0 || memcmp(record.key.data, key.data, 10) == 0,
                    "another key is found");
    }
    snapshot_reader_close(r);
    return rv;
}

static int work_read(const char *root, struct sweep_told *told)
{
    struct snapshot_manifest chain;
    char dir[PATH_MAX];
    char path[PATH_MAX];
    int rv;
    in(root, "snapshots", dir);
    rv = snapshot_chain_open(dir, cluster, &chain, &told->info);
    if (rv != 0) {
        return rv;
    }
    in(dir, chain.files[0].name, path);
    rv = read_through(path, told);
    if (rv == 0) {
        rv = snapshot_file_verify(path, &chain.files[0], cluster, &told->info);
    }
    told->whole = rv == 0 && told->durable == N_BASE;
    snapshot_manifest_clear(&chain);
    return rv;
}

static void check_read(const char *root, const struct sweep_told *told)
{
    struct snapshot_manifest chain;
    char dir[PATH_MAX];
    sweep_check(told->durable <= N_BASE, "too many records");
    open_whole(in(root, "snapshots", dir), &chain);
    sweep_check(end_of(&chain) == 10, "the chain is another one");
    snapshot_manifest_clear(&chain);
}

/* ---- receiving ------------------------------------------------------------*/

static void prepare_receive(const char *root)
{
    struct snapshot_manifest chain;
    struct err_info info = {0};
    char dir[PATH_MAX];
    prepare_chain(root);
    in(root, "snapshots", dir);
    open_whole(dir, &chain);
    sweep_check(grow(dir, &chain, 20, N_DELTA, &info) == 0, info.message);
    snapshot_manifest_clear(&chain);
    in(root, "received", dir);
    sweep_check(snapshot_chain_open(dir, cluster, &chain, &info) == 0,
                info.message);
    snapshot_manifest_clear(&chain);
}

/* All chunks, verified and adopted. */
static int receive(const char *from, const struct snapshot_manifest *wanted,
                   const char *to, const struct snapshot_manifest *present,
                   struct err_info *info)
{
    struct snapshot_receiver *r = NULL;
    struct snapshot_range range;
    static uint8_t buf[CHUNK];
    int rv = snapshot_receiver_open(to, present, wanted, &r, info);
    while (rv == 0 && snapshot_receiver_next(r, CHUNK, &range)) {
        rv = snapshot_chunk_read(from, wanted, &range, buf, info);
        rv = rv == 0 ? snapshot_receiver_put(r, &range, buf, info) : rv;
    }
    rv = rv == 0 ? snapshot_receiver_verify(r, info) : rv;
    snapshot_receiver_close(r);
    return rv == 0 ? snapshot_chain_adopt(to, present, wanted, NULL, 0, info)
                   : rv;
}

static int work_receive(const char *root, struct sweep_told *told)
{
    struct snapshot_manifest wanted = {0};
    struct snapshot_manifest present = {0};
    char from[PATH_MAX];
    char to[PATH_MAX];
    int rv;
    in(root, "snapshots", from);
    in(root, "received", to);
    rv = snapshot_chain_open(from, cluster, &wanted, &told->info);
    if (rv == 0) {
        rv = snapshot_chain_open(to, cluster, &present, &told->info);
    }
    if (rv == 0) {
        rv = receive(from, &wanted, to, &present, &told->info);
    }
    told->whole = rv == 0;
    told->durable = rv == 0 ? 20 : 0;
    snapshot_manifest_clear(&wanted);
    snapshot_manifest_clear(&present);
    return rv;
}

static void check_received(const char *root, const struct sweep_told *told)
{
    struct snapshot_manifest wanted;
    struct snapshot_manifest present;
    struct err_info info = {0};
    char from[PATH_MAX];
    char to[PATH_MAX];
    in(root, "snapshots", from);
    in(root, "received", to);
    open_whole(from, &wanted);
    open_whole(to, &present);
    sweep_check(end_of(&wanted) == 20, "the sender's chain is another one");
    sweep_check(end_of(&present) == 20 ||
                    (end_of(&present) == 0 && !told->whole),
                "what was adopted is lost");
    if (end_of(&present) == 0) {
        sweep_check(receive(from, &wanted, to, &present, &info) == 0,
                    info.message);
    }
    snapshot_manifest_clear(&present);
    open_whole(to, &present);
    sweep_check(end_of(&present) == 20, "a transfer does not go on");
    check_litter(to, &present);
    snapshot_manifest_clear(&wanted);
    snapshot_manifest_clear(&present);
}

const struct sweep_case sweep_chain_grow = {"chain", prepare_chain, work_grow,
                                            check_grown};
const struct sweep_case sweep_chain_read = {"chain-read", prepare_chain,
                                            work_read, check_read};
const struct sweep_case sweep_receive = {"receive", prepare_receive,
                                         work_receive, check_received};
