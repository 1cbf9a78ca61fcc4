/* What the embedding library reads: operations as payloads of log entries, and
 * the note in a file of streams. The first byte says as what the rest is taken.
 * A note is put into a file of a chain that is sound otherwise; the library
 * must refuse it with words or work with it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/entry.h"
#include "persist/kv_persist.h"
#include "raftlog/file.h"
#include "snapshot/snapshot.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

#define CHECK(condition)                                                       \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                           \
        }                                                                      \
    } while (0)

static void fuzz_entry(uint8_t kind, const uint8_t *data, size_t size)
{
    struct entry e;
    struct entry again;
    uint8_t *out;
    if (entry_decode(kind, data, size, &e) != 0) {
        return;
    }
    CHECK(e.key.size + e.value.size <= size);
    out = malloc(entry_size(&e) + 1);
    CHECK(out != NULL);
    entry_encode(&e, out);
    CHECK(entry_decode(kind, out, entry_size(&e), &again) == 0);
    CHECK(again.key.size == e.key.size && again.value.size == e.value.size);
    CHECK(e.key.size == 0 ||
          memcmp(again.key.data, e.key.data, e.key.size) == 0);
    free(out);
}

static int take(void *engine, FILE *f)
{
    char buf[256];
    (void)engine;
    while (fread(buf, 1, sizeof buf, f) > 0) {
    }
    return 0;
}

static int save_range(void *engine, FILE *f, uint64_t from, uint64_t to)
{
    (void)engine;
    (void)from;
    (void)to;
    return fputs("x", f) < 0 ? -1 : 0;
}

/* A base or increment whose configuration bytes are the input. */
static void add_file(const char *dir, struct snapshot_manifest *chain,
                     const uint8_t *note, size_t size)
{
    struct snapshot_meta meta = {.from = chain->n_files,
                                 .to = chain->n_files + 1,
                                 .to_term = 1,
                                 .configuration = note,
                                 .configuration_size = size};
    struct snapshot_writer *w = NULL;
    struct snapshot_manifest next = *chain;
    struct snapshot_record r = {.kind = SNAPSHOT_KEY};
    struct err_info info;
    memcpy(meta.cluster_id, chain->cluster_id, sizeof meta.cluster_id);
    r.key.data = (const uint8_t *)"00000000";
    r.key.size = 8;
    r.value = r.key;
    CHECK(snapshot_writer_new(dir, &meta, &w, &info) == 0);
    CHECK(snapshot_writer_add(w, &r) == 0);
    CHECK(snapshot_writer_finish(w, &next.files[next.n_files++], &info) == 0);
    CHECK(snapshot_chain_adopt(dir, chain, &next, NULL, 0, &info) == 0);
    *chain = next;
}

static void use_streams(void)
{
    snapshot_t snap;
    CHECK(snapshot_init(&snap, "/n1/streams") == 0);
    if (snapshot_load(&snap, NULL, take) != 0) {
        CHECK(persist_errmsg()[0] != '\0');
    }
    if (snapshot_apply_incremental(&snap, NULL, take) != 0) {
        CHECK(persist_errmsg()[0] != '\0');
    }
    (void)snapshot_create_incremental(&snap, NULL, 7, 9, save_range);
    (void)snapshot_apply_incremental(&snap, NULL, take);
    snapshot_destroy(&snap);
}

static void fuzz_notes(const uint8_t *data, size_t size)
{
    static struct snapshot_manifest chain;
    struct sim_disk_hooks hooks = {0};
    struct sim_clock clock;
    struct sim_random random;
    struct sim_disk *disk = calloc(1, sizeof *disk);
    struct err_info info;
    size_t half = size < 2 * 41 ? size : 41;
    CHECK(disk != NULL);
    sim_clock_init(&clock);
    sim_random_init(&random, 1);
    sim_disk_init(disk, 1, &random, &clock, &hooks);
    sim_disk_select(disk);
    CHECK(snapshot_chain_open("/n1/streams",
                              (const uint8_t *)"concordkv-stream", &chain,
                              &info) == 0);
    add_file("/n1/streams", &chain, data, half);
    if (size > half) {
        add_file("/n1/streams", &chain, data + half,
                 size - half < 41 ? size - half : 41);
    }
    use_streams();
    sim_disk_close(disk);
    sim_clock_close(&clock);
    free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t kinds[] = {ENTRY_SET, ENTRY_DEL, ENTRY_MOD, ENTRY_MARK,
                                    0};
    if (size == 0) {
        return 0;
    }
    if (data[0] == 'n') {
        fuzz_notes(data + 1, size - 1);
    } else {
        fuzz_entry(data[0], data + 1, size - 1);
        fuzz_entry(kinds[data[0] % sizeof kinds], data + 1, size - 1);
    }
    return 0;
}
