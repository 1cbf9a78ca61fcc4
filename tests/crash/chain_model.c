/* Chains that scripts take, and judging what came back of them. */
#include "tests/crash/chain_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "tests/crash/enumerate.h"

const uint8_t chain_cluster[SNAPSHOT_CLUSTER_ID_SIZE] = "crashed cluster";

static struct snapshot_manifest known[CHAIN_VERSIONS_MAX];
static uint32_t n_known;

void chain_known_clear(void)
{
    for (uint32_t i = 0; i < n_known; i++) {
        snapshot_manifest_clear(&known[i]);
    }
    memset(&known[0], 0, sizeof known[0]);
    memcpy(known[0].cluster_id, chain_cluster, sizeof chain_cluster);
    n_known = 1;
}

static bool same_chain(const struct snapshot_manifest *a,
                       const struct snapshot_manifest *b)
{
    bool same = a->n_files == b->n_files;
    for (unsigned i = 0; same && i < a->n_files; i++) {
        same = memcmp(a->files[i].id, b->files[i].id, SNAPSHOT_ID_SIZE) == 0 &&
               strcmp(a->files[i].name, b->files[i].name) == 0 &&
               a->files[i].n_records == b->files[i].n_records;
    }
    return same && a->configuration_size == b->configuration_size;
}

/* The number of this version; a new one is copied. */
static uint32_t chain_known_add(const struct snapshot_manifest *m)
{
    for (uint32_t i = 0; i < n_known; i++) {
        if (same_chain(&known[i], m)) {
            return i;
        }
    }
    crash_check(n_known < CHAIN_VERSIONS_MAX, "too many versions");
    crash_check(snapshot_manifest_copy(&known[n_known], m) == 0, NULL);
    return n_known++;
}

const struct snapshot_manifest *chain_known(uint32_t version)
{
    return &known[version];
}

/* ---- taking ---------------------------------------------------------------*/

static struct snapshot_meta meta_of(uint64_t from, uint64_t to)
{
    struct snapshot_meta meta = {.from = from,
                                 .to = to,
                                 .to_term = 1 + to / 50,
                                 .clock_ms = to * 1000,
                                 .state_hash = {to * 7, to * 11},
                                 .configuration_index = 1,
                                 .configuration = "voters",
                                 .configuration_size = 6};
    memcpy(meta.cluster_id, chain_cluster, sizeof chain_cluster);
    return meta;
}

struct snapshot_file chain_write(const char *dir, uint64_t from, uint64_t to,
                                 unsigned n)
{
    struct snapshot_meta meta = meta_of(from, to);
    struct snapshot_writer *w = NULL;
    struct snapshot_file file;
    struct err_info info = {0};
    crash_check(snapshot_writer_new(dir, &meta, &w, &info) == 0, info.message);
    for (unsigned i = 0; i < n; i++) {
        char key[32];
        char value[64];
        struct snapshot_record r = {.kind = SNAPSHOT_KEY};
        snprintf(key, sizeof key, "key:%06u", i * 3);
        snprintf(value, sizeof value, "value %u of %llu",
                 i * 2654435761u ^ (unsigned)to, (unsigned long long)to);
        r.key.data = (const uint8_t *)key;
        r.key.size = strlen(key);
        r.value.data = (const uint8_t *)value;
        r.value.size = strlen(value);
        crash_check(snapshot_writer_add(w, &r) == 0, "add a record");
    }
    crash_check(snapshot_writer_finish(w, &file, &info) == 0, info.message);
    return file;
}

/* The chain with a delta behind it or, from being 0, a new base instead of it;
 * to be cleared. */
static struct snapshot_manifest
chain_with(const struct snapshot_manifest *chain,
           const struct snapshot_file *file)
{
    struct snapshot_manifest next;
    crash_check(snapshot_manifest_copy(&next, chain) == 0, NULL);
    next.n_files = file->from == 0 ? 0 : next.n_files;
    memset(&next.files[next.n_files], 0,
           (SNAPSHOT_FILES_MAX - next.n_files) * sizeof next.files[0]);
    next.files[next.n_files++] = *file;
    return next;
}

void chain_take(struct chain_model *m, const char *dir, uint64_t from,
                uint64_t to, unsigned n)
{
    const struct snapshot_manifest *chain = chain_known(m->promised);
    struct snapshot_file file = chain_write(dir, from, to, n);
    struct snapshot_manifest next = chain_with(chain, &file);
    struct err_info info = {0};
    m->handed = chain_known_add(&next);
    crash_check(snapshot_chain_adopt(dir, chain, &next, NULL, 0, &info) == 0,
                info.message);
    m->promised = m->handed;
    snapshot_manifest_clear(&next);
}

/* ---- judging --------------------------------------------------------------*/

struct litter {
    const struct snapshot_manifest *chain;
    bool incoming;
};

static int on_name(void *ctx, const char *name)
{
    const struct litter *l = ctx;
    const char *dot = strrchr(name, '.');
    bool fine = strcmp(name, "MANIFEST") == 0 || strcmp(name, "incoming") == 0;
    if (l->incoming) {
        fine = dot != NULL &&
               (strcmp(dot, ".part") == 0 || strcmp(dot, ".ok") == 0);
    }
    for (unsigned i = 0; !l->incoming && i < l->chain->n_files; i++) {
        fine = fine || strcmp(name, l->chain->files[i].name) == 0;
    }
    crash_check(fine, name);
    return 0;
}

static void check_files(const struct snapshot_manifest *chain, const char *dir)
{
    struct litter l = {chain, false};
    struct err_info info = {0};
    char path[256];
    for (unsigned i = 0; i < chain->n_files; i++) {
        snprintf(path, sizeof path, "%.180s/%.63s", dir, chain->files[i].name);
        crash_check(snapshot_file_verify(path, &chain->files[i], chain_cluster,
                                         &info) == 0,
                    info.message);
    }
    crash_check(file_list(dir, on_name, &l) == 0, "list");
    l.incoming = true;
    snprintf(path, sizeof path, "%s/incoming", dir);
    crash_check(file_list(path, on_name, &l) == 0, "list");
}

uint32_t chain_recover(const struct chain_model *m, const char *dir)
{
    struct snapshot_manifest chain;
    struct err_info info = {0};
    uint32_t version;
    char words[96];
    crash_check(snapshot_chain_open(dir, chain_cluster, &chain, &info) == 0,
                info.message);
    version =
        same_chain(&chain, chain_known(m->promised)) ? m->promised : m->handed;
    snprintf(words, sizeof words, "promised was version %u, handed over %u",
             m->promised, m->handed);
    crash_check(same_chain(&chain, chain_known(version)), words);
    check_files(&chain, dir);
    snapshot_manifest_clear(&chain);
    return version;
}

void chain_open(const struct chain_model *m, const char *dir)
{
    crash_check(chain_recover(m, dir) == m->promised, "another chain");
}
