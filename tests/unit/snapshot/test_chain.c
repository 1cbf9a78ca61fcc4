/* The chain on disk: adopting, restarting, failing in the middle. */
#include "tests/unit/snapshot/fixture.h"

/* Every file of the chain is there and whole. */
static void check_whole(struct fixture *fx)
{
    for (unsigned i = 0; i < fx->chain.n_files; i++) {
        const struct snapshot_file *f = &fx->chain.files[i];
        int rv = snapshot_file_verify(fixture_path(fx, f->name), f,
                                      fixture_cluster, &fx->info);
        if (rv != 0) {
            print_message("%s\n", fx->info.message);
        }
        assert_int_equal(rv, 0);
    }
}

static int count_files(void *ctx, const char *name)
{
    *(unsigned *)ctx += strstr(name, ".lz4") != NULL;
    return 0;
}

static unsigned n_files_in(const char *path)
{
    unsigned n = 0;
    assert_int_equal(file_list(path, count_files, &n), 0);
    return n;
}

static void test_chain_open_blank_directory_is_empty_chain(void **state)
{
    struct fixture *fx = *state;

    assert_int_equal(fx->chain.n_files, 0);
    assert_memory_equal(fx->chain.cluster_id, fixture_cluster, 16);
    assert_true(fixture_exists(fixture_path(fx, "incoming")));
    fixture_restart(fx);
    assert_int_equal(fx->chain.n_files, 0);
}

static void test_chain_adopt_base_and_deltas_survive_restart(void **state)
{
    struct fixture *fx = *state;

    fixture_append(fx, 0, 10, 100);
    fixture_append(fx, 10, 20, 30);
    fixture_append(fx, 20, 25, 0);
    fixture_restart(fx);
    assert_int_equal(fx->chain.n_files, 3);
    assert_int_equal(fx->chain.files[1].from, 10);
    assert_int_equal(fx->chain.files[2].to, 25);
    check_whole(fx);
    assert_int_equal(n_files_in(fixture_path(fx, "incoming")), 0);
}

static void test_chain_adopt_new_base_removes_the_old_chain(void **state)
{
    struct fixture *fx = *state;

    fixture_append(fx, 0, 10, 100);
    fixture_append(fx, 10, 20, 30);
    fixture_append(fx, 0, 30, 120);
    assert_int_equal(n_files_in(fx->dir), 1);
    fixture_restart(fx);
    assert_int_equal(fx->chain.n_files, 1);
    check_whole(fx);
}

/* A base taken here and one from a peer for the same index are other files. */
static void test_chain_adopt_same_range_other_content_keeps_apart(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file first = fixture_append(fx, 0, 10, 100);
    struct snapshot_file second = fixture_write(fx, 0, 10, 101);

    assert_string_not_equal(first.name, second.name);
    fault_file_arm(FAULT_RENAME, 2, ERR_IO, FAULT_CRASH); /* the manifest's */
    assert_int_equal(fixture_try_append(fx, &second), ERR_IO);
    assert_true(fault_file_disarm());
    fixture_restart(fx);
    assert_string_equal(fx->chain.files[0].name, first.name);
    check_whole(fx);
}

static void test_chain_adopt_kept_files_stay_until_a_later_call(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file old = fixture_append(fx, 0, 10, 100);
    struct snapshot_file base = fixture_write(fx, 0, 20, 100);
    struct snapshot_manifest next;
    uint8_t keep[1][SNAPSHOT_ID_SIZE];

    memcpy(keep[0], old.id, SNAPSHOT_ID_SIZE);
    assert_int_equal(snapshot_manifest_copy(&next, &fx->chain), 0);
    next.files[0] = base;
    assert_int_equal(snapshot_chain_adopt(fx->dir, &fx->chain, &next,
                                          (const uint8_t(*)[16])keep, 1,
                                          &fx->info),
                     0);
    assert_true(fixture_exists(fixture_path(fx, old.name)));
    assert_int_equal(
        snapshot_chain_adopt(fx->dir, &next, &next, NULL, 0, &fx->info), 0);
    assert_false(fixture_exists(fixture_path(fx, old.name)));
    assert_true(fixture_exists(fixture_path(fx, base.name)));
    snapshot_manifest_clear(&next);
}

static void test_chain_adopt_missing_file_is_not_found(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file base = fixture_append(fx, 0, 10, 100);
    struct snapshot_file file = fixture_write(fx, 10, 20, 100);

    assert_int_equal(file_unlink(fixture_incoming(fx, file.name)), 0);
    assert_int_equal(fixture_try_append(fx, &file), ERR_NOTFOUND);
    assert_non_null(strstr(fx->info.message, file.name));
    fixture_restart(fx);
    assert_int_equal(fx->chain.n_files, 1);
    assert_string_equal(fx->chain.files[0].name, base.name);
}

static void test_chain_adopt_cut_file_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 0, 20, 100);
    struct file *f;

    assert_int_equal(file_open(fixture_incoming(fx, file.name), FILE_WRITE, &f),
                     0);
    assert_int_equal(file_truncate(f, file.size - 1), 0);
    file_close(f);
    assert_int_equal(fixture_try_append(fx, &file), ERR_CORRUPT);
    assert_false(fixture_exists(fixture_path(fx, "MANIFEST")));
}

static void test_chain_adopt_gap_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file;

    fixture_append(fx, 0, 10, 100);
    file = fixture_write(fx, 11, 20, 100);
    assert_int_equal(fixture_try_append(fx, &file), ERR_INVALID);
    assert_non_null(strstr(fx->info.message, "continue"));
}

static void test_chain_adopt_other_cluster_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_manifest next;

    fixture_append(fx, 0, 10, 100);
    assert_int_equal(snapshot_manifest_copy(&next, &fx->chain), 0);
    next.cluster_id[0] ^= 1;
    assert_int_equal(
        snapshot_chain_adopt(fx->dir, &fx->chain, &next, NULL, 0, &fx->info),
        ERR_CLUSTER);
    snapshot_manifest_clear(&next);
}

static void test_chain_open_other_cluster_is_refused(void **state)
{
    struct fixture *fx = *state;
    uint8_t other[SNAPSHOT_CLUSTER_ID_SIZE] = "another cluster";
    struct snapshot_manifest m;

    fixture_append(fx, 0, 10, 100);
    assert_int_equal(snapshot_chain_open(fx->dir, other, &m, &fx->info),
                     ERR_CLUSTER);
    check_whole(fx);
}

static void test_chain_open_missing_or_cut_file_is_corrupt(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file a = fixture_append(fx, 0, 10, 100);
    struct snapshot_manifest m;
    struct file *f;

    assert_int_equal(file_open(fixture_path(fx, a.name), FILE_WRITE, &f), 0);
    assert_int_equal(file_truncate(f, a.size + 1), 0);
    file_close(f);
    assert_int_equal(
        snapshot_chain_open(fx->dir, fixture_cluster, &m, &fx->info),
        ERR_CORRUPT);
    assert_non_null(strstr(fx->info.message, a.name));
    assert_int_equal(file_unlink(fixture_path(fx, a.name)), 0);
    assert_int_equal(
        snapshot_chain_open(fx->dir, fixture_cluster, &m, &fx->info),
        ERR_CORRUPT);
    assert_non_null(strstr(fx->info.message, "missing"));
}

static void test_chain_open_damaged_manifest_is_corrupt(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_manifest m;
    void *data;
    size_t size;

    fixture_append(fx, 0, 10, 100);
    assert_int_equal(
        file_read_all(fixture_path(fx, "MANIFEST"), 1 << 20, &data, &size), 0);
    ((uint8_t *)data)[size / 2] ^= 1;
    assert_int_equal(file_replace(fixture_path(fx, "MANIFEST"), data, size), 0);
    assert_int_equal(
        snapshot_chain_open(fx->dir, fixture_cluster, &m, &fx->info),
        ERR_CORRUPT);
    free(data);
    /* Damage is no reason to remove anything. */
    assert_int_equal(n_files_in(fx->dir), 1);
}

static void test_chain_open_removes_ours_and_leaves_the_rest(void **state)
{
    static const char *const gone[] = {
        "base-9-00000000.lz4",
        "delta-1-2-00000000.lz4",
        "MANIFEST.tmp",
        "incoming/writing-0-9.tmp",
        "incoming/base-9-00000000.lz4",
    };
    static const char *const kept[] = {
        "notes.txt",
        "incoming/00112233445566778899aabbccddeeff.part",
        "incoming/10112233445566778899aabbccddeeff.ok",
    };
    struct fixture *fx = *state;

    fixture_append(fx, 0, 10, 100);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        assert_int_equal(file_replace(fixture_path(fx, gone[i]), "x", 1), 0);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_int_equal(file_replace(fixture_path(fx, kept[i]), "x", 1), 0);
    }
    fixture_restart(fx);
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        assert_false(fixture_exists(fixture_path(fx, gone[i])));
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_true(fixture_exists(fixture_path(fx, kept[i])));
    }
    check_whole(fx);
}

/* What must be durable before what. New contents before the names that lead
 * to them, the files before the manifest, the manifest before anything is
 * removed: o open, t truncate, w write, s sync, n rename, d sync_dir, u
 * unlink; looking is left out. */
static void check_trace(const char *expected)
{
    char seen[4096] = "";
    size_t n = 0;

    (void)fault_file_disarm();
    for (const char *p = fault_file_trace(); *p != '\0'; p++) {
        if (strchr("twsndu", *p) != NULL) {
            seen[n++] = *p;
        }
    }
    seen[n] = '\0';
    assert_string_equal(seen, expected);
}

static void test_chain_writer_syncs_before_it_names(void **state)
{
    struct snapshot_file file;

    fault_file_arm(FAULT_ALL, 0, ERR_IO, FAULT_ONCE);
    assert_int_equal(fixture_try_write(*state, 0, 10, 20, &file), 0);
    /* header, block, index, footer */
    check_trace("twwwwsnd");
}

static void
test_chain_adopt_syncs_names_then_manifest_then_removes(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file;

    fixture_append(fx, 0, 10, 20);
    file = fixture_write(fx, 0, 20, 20);
    fault_file_arm(FAULT_ALL, 0, ERR_IO, FAULT_ONCE);
    assert_int_equal(fixture_try_append(fx, &file), 0);
    check_trace("ndd"
                "twsnd"
                "u");
}

/* Directories that are there may have been made by a process that was killed
 * before it synced their names. */
static void test_chain_open_again_makes_the_names_durable(void **state)
{
    struct fixture *fx = *state;

    fault_file_arm(FAULT_ALL, 0, ERR_IO, FAULT_ONCE);
    fixture_restart(fx);
    /* The parent, the directory, and it again before anything is removed. */
    check_trace("ddd");
}

/* Take a new file and adopt it, with the n-th operation failing. */
static void fail_each(struct fixture *fx, enum fault_mode mode, uint64_t from)
{
    unsigned n_struck = 0;

    for (unsigned long n = 1;; n++) {
        uint64_t to = fx->chain.files[fx->chain.n_files - 1].to;
        struct snapshot_file file;
        bool struck;
        int rv;

        /* Each file of the chain costs operations, so keep it short, or the
         * end of them is never reached. */
        if (fx->chain.n_files > 2) {
            fixture_append(fx, 0, ++to, 20);
        }
        fault_file_arm(FAULT_CHANGES, n, ERR_NOSPACE, mode);
        rv = fixture_try_write(fx, from == 0 ? 0 : to, to + 1, 20, &file);
        if (rv == 0) {
            rv = fixture_try_append(fx, &file);
        }
        struck = fault_file_disarm();
        if (rv == 0 && mode == FAULT_ONCE) {
            check_whole(fx);
        }
        fixture_restart(fx);
        check_whole(fx);
        /* The old one or the new one, and the new one if it was promised. */
        assert_true(fx->chain.files[fx->chain.n_files - 1].to == to ||
                    fx->chain.files[fx->chain.n_files - 1].to == to + 1);
        if (rv == 0) {
            assert_int_equal(fx->chain.files[fx->chain.n_files - 1].to, to + 1);
        }
        assert_int_equal(n_files_in(fx->dir), fx->chain.n_files);
        assert_int_equal(n_files_in(fixture_path(fx, "incoming")), 0);
        if (!struck) {
            assert_int_equal(rv, 0);
            break;
        }
        n_struck++;
    }
    /* writer: open truncate 4 writes sync rename syncdir; adopt: rename,
     * 2 syncdirs, open truncate write sync rename syncdir */
    assert_true(n_struck >= 18);
}

static void test_chain_each_failing_operation_leaves_a_chain(void **state)
{
    fixture_append(*state, 0, 10, 100);
    fail_each(*state, FAULT_ONCE, 1);
}

static void test_chain_crash_at_each_operation_leaves_a_chain(void **state)
{
    fixture_append(*state, 0, 10, 100);
    fail_each(*state, FAULT_CRASH, 1);
}

static void test_chain_torn_write_at_each_operation_leaves_chain(void **state)
{
    fixture_append(*state, 0, 10, 100);
    fail_each(*state, FAULT_TORN, 1);
}

static void test_chain_crash_at_each_operation_of_a_new_base(void **state)
{
    fixture_append(*state, 0, 10, 100);
    fail_each(*state, FAULT_CRASH, 0);
}

static void test_chain_open_each_failing_operation_is_told(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_manifest m;
    unsigned n_struck = 0;

    fixture_append(fx, 0, 10, 100);
    for (unsigned long n = 1;; n++) {
        int rv;
        fault_file_arm(FAULT_ALL & ~(unsigned)FAULT_UNLINK, n, ERR_IO,
                       FAULT_ONCE);
        rv = snapshot_chain_open(fx->dir, fixture_cluster, &m, &fx->info);
        if (!fault_file_disarm()) {
            assert_int_equal(rv, 0);
            snapshot_manifest_clear(&m);
            break;
        }
        n_struck++;
        assert_int_equal(rv, ERR_IO);
    }
    assert_true(n_struck >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_chain_open_blank_directory_is_empty_chain),
        FIXTURE_TEST(test_chain_adopt_base_and_deltas_survive_restart),
        FIXTURE_TEST(test_chain_adopt_new_base_removes_the_old_chain),
        FIXTURE_TEST(test_chain_adopt_same_range_other_content_keeps_apart),
        FIXTURE_TEST(test_chain_adopt_kept_files_stay_until_a_later_call),
        FIXTURE_TEST(test_chain_adopt_missing_file_is_not_found),
        FIXTURE_TEST(test_chain_adopt_cut_file_is_refused),
        FIXTURE_TEST(test_chain_adopt_gap_is_refused),
        FIXTURE_TEST(test_chain_adopt_other_cluster_is_refused),
        FIXTURE_TEST(test_chain_open_other_cluster_is_refused),
        FIXTURE_TEST(test_chain_open_missing_or_cut_file_is_corrupt),
        FIXTURE_TEST(test_chain_open_damaged_manifest_is_corrupt),
        FIXTURE_TEST(test_chain_open_removes_ours_and_leaves_the_rest),
        FIXTURE_TEST(test_chain_writer_syncs_before_it_names),
        FIXTURE_TEST(test_chain_adopt_syncs_names_then_manifest_then_removes),
        FIXTURE_TEST(test_chain_open_again_makes_the_names_durable),
        FIXTURE_TEST(test_chain_each_failing_operation_leaves_a_chain),
        FIXTURE_TEST(test_chain_crash_at_each_operation_leaves_a_chain),
        FIXTURE_TEST(test_chain_torn_write_at_each_operation_leaves_chain),
        FIXTURE_TEST(test_chain_crash_at_each_operation_of_a_new_base),
        FIXTURE_TEST(test_chain_open_each_failing_operation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
