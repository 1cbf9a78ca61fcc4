/* What the embedding library reads: operations as payloads of log entries, and
 * the notes (note.h) in files of streams. What begins with the magic of a note
 * is taken for notes, of anything else the first byte says what the rest is.
 * Notes are put into the files of a chain that is sound otherwise; the library
 * must refuse them with words or work with them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/entry.h"
#include "persist/kv_persist.h"
#include "persist/note.h"
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

/* A base or increment whose configuration bytes are the input, with one piece
 * of a stream. */
static void add_file(const char *dir, struct snapshot_manifest *chain,
                     struct bytes note, struct bytes key)
{
    struct snapshot_meta meta = {.from = chain->n_files,
                                 .to = chain->n_files + 1,
                                 .to_term = 1,
                                 .configuration = note.data,
                                 .configuration_size = note.size};
    struct snapshot_writer *w = NULL;
    struct snapshot_manifest next = *chain;
    struct snapshot_record r = {.kind = SNAPSHOT_KEY, .key = key, .value = key};
    struct err_info info;
    memcpy(meta.cluster_id, chain->cluster_id, sizeof meta.cluster_id);
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

static void fuzz_note(const uint8_t *data, size_t size)
{
    uint8_t again[NOTE_SIZE];
    struct note n;
    if (note_decode(data, size, &n) == 0) {
        CHECK(size == NOTE_SIZE);
        note_encode(&n, again);
        CHECK(memcmp(again, data, NOTE_SIZE) == 0);
    }
}

static struct bytes take_bytes(struct bytes *from, size_t size)
{
    struct bytes b = {from->data, from->size < size ? from->size : size};
    from->data += b.size;
    from->size -= b.size;
    return b;
}

/* Two notes, then the key of the piece that both files have. good: the second
 * note names the base there is, else hardly any increment would be read. */
static void fuzz_notes(const uint8_t *data, size_t size, bool good)
{
    static const char first_piece[] = "0000000000000000";
    static struct snapshot_manifest chain;
    struct sim_disk_hooks hooks = {0};
    struct sim_clock clock;
    struct sim_random random;
    struct sim_disk *disk = calloc(1, sizeof *disk);
    struct err_info info;
    struct bytes rest = {data, size};
    struct bytes base = take_bytes(&rest, NOTE_SIZE);
    struct bytes increment = take_bytes(&rest, NOTE_SIZE);
    struct bytes key = {(const uint8_t *)first_piece, 16};
    uint8_t changed[NOTE_SIZE];
    key = rest.size > 0 ? take_bytes(&rest, 16) : key;
    CHECK(disk != NULL);
    sim_clock_init(&clock);
    sim_random_init(&random, 1);
    sim_disk_init(disk, 1, &random, &clock, &hooks);
    sim_disk_select(disk);
    CHECK(snapshot_chain_open("/n1/streams",
                              (const uint8_t *)"concordkv-stream", &chain,
                              &info) == 0);
    add_file("/n1/streams", &chain, base, key);
    if (good && increment.size == NOTE_SIZE) {
        memcpy(changed, increment.data, NOTE_SIZE);
        memcpy(changed + NOTE_SIZE - SNAPSHOT_ID_SIZE, chain.files[0].id,
               SNAPSHOT_ID_SIZE);
        increment.data = changed;
    }
    if (increment.size > 0) {
        add_file("/n1/streams", &chain, increment, key);
    }
    use_streams();
    sim_disk_close(disk);
    sim_clock_close(&clock);
    free(disk);
}

static void fuzz_streams(const uint8_t *data, size_t size)
{
    fuzz_note(data, size);
    fuzz_notes(data, size, false);
    fuzz_notes(data, size, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t kinds[] = {ENTRY_SET, ENTRY_DEL, ENTRY_MOD, ENTRY_MARK,
                                    0};
    if (size == 0) {
        return 0;
    }
    if (data[0] == 'n') {
        fuzz_streams(data + 1, size - 1);
    } else if (size >= 8 && memcmp(data, "CKVSTRM1", 8) == 0) {
        fuzz_streams(data, size);
    } else {
        fuzz_entry(data[0], data + 1, size - 1);
        fuzz_entry(kinds[data[0] % sizeof kinds], data + 1, size - 1);
    }
    return 0;
}
