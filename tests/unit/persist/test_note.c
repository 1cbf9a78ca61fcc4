/* Notes of streams as bytes, and a directory of streams as version 1 wrote it:
 * whatever this library becomes, it must go on reading them. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include "persist/note.h"
#include "raftlog/file.h"
#include "tests/lib/golden.h"

static struct note increment(void)
{
    struct note n = {NOTE_INCREMENT, 0x0102030405060708u, UINT64_MAX, {0}};
    for (unsigned i = 0; i < sizeof n.base; i++) {
        n.base[i] = (uint8_t)(0xa0 + i);
    }
    return n;
}

static void check_golden(const char *name, const struct note *n)
{
    uint8_t bytes[NOTE_SIZE];
    struct note back;
    note_encode(n, bytes);
    golden_check(__FILE__, name, bytes, sizeof bytes);
    assert_int_equal(note_decode(bytes, sizeof bytes, &back), 0);
    assert_int_equal(back.kind, n->kind);
    assert_true(back.from == n->from && back.to == n->to);
    assert_memory_equal(back.base, n->base, sizeof n->base);
}

static void test_note_golden_files_are_version_1(void **state)
{
    struct note base = {NOTE_BASE, 0, 7, {0}};
    struct note none = {NOTE_NO_BASE, 0, 0, {0}};
    struct note third = increment();
    (void)state;
    check_golden("stream-v1-note-base", &base);
    check_golden("stream-v1-note-no-base", &none);
    check_golden("stream-v1-note-increment", &third);
}

static void test_note_of_other_bytes_is_refused(void **state)
{
    struct note n = increment();
    struct note back = {0, 1, 2, {3}};
    uint8_t bytes[NOTE_SIZE + 1] = {0};
    (void)state;
    note_encode(&n, bytes);
    for (size_t size = 0; size < NOTE_SIZE; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1);
        assert_non_null(copy);
        memcpy(copy, bytes, size);
        assert_int_equal(note_decode(copy, size, &back), ERR_CORRUPT);
        free(copy);
    }
    assert_int_equal(note_decode(bytes, NOTE_SIZE + 1, &back), ERR_CORRUPT);
    for (unsigned i = 0; i < 8; i++) {
        bytes[i] ^= 1;
        assert_int_equal(note_decode(bytes, NOTE_SIZE, &back), ERR_CORRUPT);
        bytes[i] ^= 1;
    }
    for (unsigned kind = 0; kind < 256; kind++) {
        bytes[8] = (uint8_t)kind;
        assert_int_equal(note_decode(bytes, NOTE_SIZE, &back) == 0,
                         kind >= NOTE_BASE && kind <= NOTE_INCREMENT);
    }
    bytes[8] = 0;
    back.kind = 9;
    assert_int_equal(note_decode(bytes, NOTE_SIZE, &back), ERR_CORRUPT);
    assert_int_equal(back.kind, 9); /* untouched */
}

/* ---- a directory of version 1 ---------------------------------------------*/

struct got {
    char text[2][128];
    unsigned n;
};

static int take(void *engine, FILE *f)
{
    struct got *g = engine;
    size_t n;
    assert_true(g->n < 2);
    n = fread(g->text[g->n], 1, sizeof g->text[0] - 1, f);
    g->text[g->n++][n] = '\0';
    return 0;
}

static int save(void *engine, FILE *f)
{
    (void)engine;
    return fputs("the state at 7", f) < 0 ? -1 : 0;
}

static int save_range(void *engine, FILE *f, uint64_t from, uint64_t to)
{
    (void)engine;
    return fprintf(f, "changes (%llu, %llu]", (unsigned long long)from,
                   (unsigned long long)to) < 0
               ? -1
               : 0;
}

static void copy_file(const char *from, const char *to)
{
    void *data = NULL;
    size_t size = 0;
    assert_int_equal(file_read_all(from, 1 << 20, &data, &size), 0);
    assert_int_equal(file_replace(to, data, size), 0);
    free(data);
}

static const char *const golden_names[] = {
    "stream-v1-MANIFEST", "stream-v1-base.lz4", "stream-v1-increment.lz4"};

/* Names in the directory come from contents, so the manifest tells them. */
static void copy_directory(const char *dir, bool to_golden)
{
    struct snapshot_manifest m;
    struct err_info info;
    void *data = NULL;
    size_t size = 0;
    char golden[GOLDEN_PATH_MAX];
    char here[TEMP_DIR_MAX + 300];
    snprintf(here, sizeof here, "%s/MANIFEST", dir);
    golden_path(__FILE__, golden_names[0], golden);
    copy_file(to_golden ? here : golden, to_golden ? golden : here);
    assert_int_equal(file_read_all(here, 1 << 20, &data, &size), 0);
    assert_int_equal(snapshot_manifest_decode(data, size, &m, &info), 0);
    assert_int_equal(m.n_files, 2);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(here, sizeof here, "%s/%s", dir, m.files[i].name);
        golden_path(__FILE__, golden_names[1 + i], golden);
        copy_file(to_golden ? here : golden, to_golden ? golden : here);
    }
    snapshot_manifest_clear(&m);
    free(data);
}

static void ok(int rv)
{
    if (rv != 0) {
        fail_msg("%s", persist_errmsg());
    }
}

/* GOLDEN_WRITE in the environment writes the files anew, as golden.h says. */
static void test_note_golden_directory_is_read(void **state)
{
    struct fixture *x = *state;
    struct got got;
    snapshot_t snap;
    memset(&got, 0, sizeof got);
    ok(snapshot_init(&snap, x->path));
    if (getenv("GOLDEN_WRITE") != NULL) {
        ok(snapshot_create_at(&snap, NULL, 7, save));
        ok(snapshot_create_incremental(&snap, NULL, 7, 12, save_range));
        copy_directory(x->path, true);
    }
    copy_directory(x->path, false);
    ok(snapshot_load(&snap, &got, take));
    ok(snapshot_apply_incremental(&snap, &got, take));
    assert_int_equal(got.n, 2);
    assert_string_equal(got.text[0], "the state at 7");
    assert_string_equal(got.text[1], "changes (7, 12]");
    /* And goes on from there. */
    ok(snapshot_create_incremental(&snap, NULL, 12, 13, save_range));
    got.n = 0;
    ok(snapshot_apply_incremental(&snap, &got, take));
    assert_int_equal(got.n, 1);
    assert_string_equal(got.text[0], "changes (12, 13]");
    snapshot_destroy(&snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_note_golden_files_are_version_1),
        cmocka_unit_test(test_note_of_other_bytes_is_refused),
        fixture_test(test_note_golden_directory_is_read),
    };
    return cmocka_run_group_tests_name("note", tests, NULL, NULL);
}
