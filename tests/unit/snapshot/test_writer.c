/* The writer: what it takes, what it refuses, and what failures leave. */
#include "tests/unit/snapshot/fixture.h"

#include <unistd.h>

static int add_key(struct snapshot_writer *w, enum snapshot_record_kind kind,
                   const char *key)
{
    struct snapshot_record r;

    memset(&r, 0, sizeof r);
    r.kind = kind;
    r.key.data = (const uint8_t *)key;
    r.key.size = strlen(key);
    return snapshot_writer_add(w, &r);
}

static struct snapshot_writer *open_writer(struct fixture *fx, uint64_t from,
                                           uint64_t to)
{
    struct snapshot_meta meta = fixture_meta(from, to);
    struct snapshot_writer *w = NULL;

    assert_int_equal(snapshot_writer_new(fx->dir, &meta, &w, &fx->info), 0);
    return w;
}

static void test_writer_finish_file_says_what_was_asked(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 0, 100, 10);
    char expected[SNAPSHOT_NAME_MAX];
    struct file *f;
    uint64_t size;

    snprintf(expected, sizeof expected, "base-100-%02x%02x%02x%02x.lz4",
             file.id[0], file.id[1], file.id[2], file.id[3]);
    assert_string_equal(file.name, expected);
    assert_int_equal(file.from, 0);
    assert_int_equal(file.to, 100);
    assert_int_equal(file.to_term, 3);
    assert_int_equal(file.n_records, 10);
    assert_int_equal(file.state_hash.low, 700);
    assert_int_equal(file_open(fixture_incoming(fx, file.name), FILE_READ, &f),
                     0);
    assert_int_equal(file_size(f, &size), 0);
    file_close(f);
    assert_int_equal(size, file.size);
    assert_int_equal(snapshot_file_verify(fixture_incoming(fx, file.name),
                                          &file, fixture_cluster, &fx->info),
                     0);
}

static void test_writer_add_not_ascending_is_refused(void **state)
{
    static const struct {
        enum snapshot_record_kind kind_a;
        const char *a;
        enum snapshot_record_kind kind_b;
        const char *b;
    } cases[] = {
        {SNAPSHOT_KEY, "b", SNAPSHOT_KEY, "a"},
        {SNAPSHOT_KEY, "a", SNAPSHOT_KEY, "a"},
        {SNAPSHOT_KEY, "ab", SNAPSHOT_KEY, "a"},
        {SNAPSHOT_KEY, "a", SNAPSHOT_META, "b"},
        {SNAPSHOT_META, "b", SNAPSHOT_META, "b"},
        {SNAPSHOT_KEY, "a", SNAPSHOT_TOMBSTONE, "a"},
    };
    struct fixture *fx = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_writer *w = open_writer(fx, 5, 9);
        struct snapshot_file file;

        assert_int_equal(add_key(w, cases[i].kind_a, cases[i].a), 0);
        assert_int_equal(add_key(w, cases[i].kind_b, cases[i].b), ERR_INVALID);
        /* From then on nothing goes. */
        assert_int_equal(add_key(w, SNAPSHOT_KEY, "z"), ERR_INVALID);
        assert_int_equal(snapshot_writer_finish(w, &file, &fx->info),
                         ERR_INVALID);
    }
    assert_false(fixture_exists(fixture_incoming(fx, "writing-5-9.tmp")));
}

static void test_writer_add_order_is_by_unsigned_bytes(void **state)
{
    struct snapshot_writer *w = open_writer(*state, 0, 9);

    assert_int_equal(add_key(w, SNAPSHOT_META, "z"), 0);
    assert_int_equal(add_key(w, SNAPSHOT_KEY, ""), 0);
    assert_int_equal(add_key(w, SNAPSHOT_KEY, "a\x7f"), 0);
    assert_int_equal(add_key(w, SNAPSHOT_KEY, "a\x80"), 0);
    assert_int_equal(add_key(w, SNAPSHOT_KEY, "\xff"), 0);
    snapshot_writer_abort(w);
}

static void test_writer_add_tombstone_in_base_is_refused(void **state)
{
    struct snapshot_writer *w = open_writer(*state, 0, 9);

    assert_int_equal(add_key(w, SNAPSHOT_TOMBSTONE, "a"), ERR_INVALID);
    snapshot_writer_abort(w);
}

static void test_writer_add_tombstone_with_value_is_refused(void **state)
{
    struct snapshot_writer *w = open_writer(*state, 3, 9);
    struct snapshot_record r;

    memset(&r, 0, sizeof r);
    r.kind = SNAPSHOT_TOMBSTONE;
    r.value.data = (const uint8_t *)"x";
    r.value.size = 1;
    assert_int_equal(snapshot_writer_add(w, &r), ERR_INVALID);
    snapshot_writer_abort(w);
}

static void test_writer_add_over_limits_is_too_big(void **state)
{
    uint8_t *big = calloc(1, SNAPSHOT_KEY_MAX + 1);
    struct snapshot_writer *w = open_writer(*state, 0, 9);
    struct snapshot_record r;

    memset(&r, 0, sizeof r);
    r.kind = SNAPSHOT_KEY;
    r.key.data = big;
    r.key.size = SNAPSHOT_KEY_MAX;
    assert_int_equal(snapshot_writer_add(w, &r), 0);
    r.key.size = SNAPSHOT_KEY_MAX + 1;
    assert_int_equal(snapshot_writer_add(w, &r), ERR_TOOBIG);
    snapshot_writer_abort(w);
    w = open_writer(*state, 0, 9);
    r.key.size = 1;
    r.value.data = big; /* Refused before a byte of it is read. */
    r.value.size = (size_t)SNAPSHOT_VALUE_MAX + 1;
    assert_int_equal(snapshot_writer_add(w, &r), ERR_TOOBIG);
    snapshot_writer_abort(w);
    free(big);
}

static void test_writer_new_bad_meta_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_meta meta = fixture_meta(9, 9);
    struct snapshot_writer *w;

    assert_int_equal(snapshot_writer_new(fx->dir, &meta, &w, &fx->info),
                     ERR_INVALID);
    meta = fixture_meta(0, 9);
    meta.configuration_size = SNAPSHOT_CONFIGURATION_MAX + 1;
    assert_int_equal(snapshot_writer_new(fx->dir, &meta, &w, &fx->info),
                     ERR_TOOBIG);
}

static void test_writer_new_without_directory_is_not_found(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_meta meta = fixture_meta(0, 9);
    struct snapshot_writer *w;

    assert_int_equal(snapshot_writer_new("/nonexistent", &meta, &w, &fx->info),
                     ERR_NOTFOUND);
    assert_non_null(strstr(fx->info.message, "/nonexistent"));
}

static int count_names(void *ctx, const char *name)
{
    (void)name;
    *(unsigned *)ctx += 1;
    return 0;
}

static unsigned n_incoming(struct fixture *fx)
{
    unsigned n = 0;
    assert_int_equal(file_list(fixture_path(fx, "incoming"), count_names, &n),
                     0);
    return n;
}

static void test_writer_abort_leaves_nothing(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_writer *w = open_writer(fx, 0, 9);

    assert_int_equal(n_incoming(fx), 1);
    snapshot_writer_abort(w);
    snapshot_writer_abort(NULL);
    assert_int_equal(n_incoming(fx), 0);
}

static void test_writer_each_failing_operation_leaves_nothing(void **state)
{
    static const int codes[] = {ERR_NOSPACE, ERR_IO};
    struct fixture *fx = *state;
    unsigned n_struck = 0;

    for (size_t c = 0; c < 2; c++) {
        for (unsigned long n = 1;; n++) {
            struct snapshot_file file;
            int rv;

            fault_file_arm(FAULT_CHANGES & ~(unsigned)FAULT_UNLINK, n, codes[c],
                           FAULT_ONCE);
            rv = fixture_try_write(fx, 0, 50, 6000, &file);
            if (!fault_file_disarm()) {
                assert_int_equal(rv, 0);
                break;
            }
            n_struck++;
            assert_int_equal(rv, codes[c]);
            assert_int_equal(n_incoming(fx), 0);
        }
        assert_int_equal(n_incoming(fx), 1);
        assert_int_equal(fixture_exists(fixture_path(fx, "MANIFEST")), 0);
        fixture_restart(fx);
        assert_int_equal(n_incoming(fx), 0);
    }
    /* open, truncate, header, two blocks or more, index, footer, sync,
     * rename, sync of the directory: each of them, for each code. */
    assert_true(n_struck >= 2 * 10);
}

static void test_writer_same_records_give_the_same_id(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file a = fixture_write(fx, 0, 50, 100);
    struct snapshot_file b = fixture_write(fx, 0, 50, 100);
    struct snapshot_file c = fixture_write(fx, 0, 50, 101);

    assert_memory_equal(a.id, b.id, SNAPSHOT_ID_SIZE);
    assert_string_equal(a.name, b.name);
    assert_memory_not_equal(a.id, c.id, SNAPSHOT_ID_SIZE);
    assert_string_not_equal(a.name, c.name);
}

/* What the lz4 tool makes of a file is the records as README.md shows them. */
static void test_writer_lz4_tool_prints_the_records(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 4, 9, 7);
    static const char expected[] =
        "M 0 18446744073709551615 9 12\nsession-0\nvalue 0 0 0\n\n"
        "M 1 0 9 19\nsession-1\nvalue 1 9e3779b1 1\n\n";
    char command[600];
    char out[4096];
    size_t n;
    FILE *p;

    if (system("command -v lz4 >/dev/null 2>&1") != 0) {
        print_message("NOT RUN: the lz4 tool is not installed\n");
        skip();
    }
    snprintf(command, sizeof command, "lz4 -dc '%s' && lz4 -tq '%s'",
             fixture_incoming(fx, file.name), fixture_incoming(fx, file.name));
    p = popen(command, "r");
    assert_non_null(p);
    n = fread(out, 1, sizeof out - 1, p);
    out[n] = '\0';
    assert_int_equal(pclose(p), 0);
    assert_memory_equal(out, expected, strlen(expected));
    assert_non_null(strstr(out, "\nT 0 0 12 0\nkey:00000005\n\n"));
    assert_non_null(strstr(out, "\nkey:00000006\nvalue 6 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_writer_finish_file_says_what_was_asked),
        FIXTURE_TEST(test_writer_add_not_ascending_is_refused),
        FIXTURE_TEST(test_writer_add_order_is_by_unsigned_bytes),
        FIXTURE_TEST(test_writer_add_tombstone_in_base_is_refused),
        FIXTURE_TEST(test_writer_add_tombstone_with_value_is_refused),
        FIXTURE_TEST(test_writer_add_over_limits_is_too_big),
        FIXTURE_TEST(test_writer_new_bad_meta_is_refused),
        FIXTURE_TEST(test_writer_new_without_directory_is_not_found),
        FIXTURE_TEST(test_writer_abort_leaves_nothing),
        FIXTURE_TEST(test_writer_each_failing_operation_leaves_nothing),
        FIXTURE_TEST(test_writer_same_records_give_the_same_id),
        FIXTURE_TEST(test_writer_lz4_tool_prints_the_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
