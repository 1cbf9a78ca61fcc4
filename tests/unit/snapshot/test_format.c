/* The byte layout: records, the golden file, and standard lz4. */
#include "tests/unit/snapshot/fixture.h"

#include "snapshot/block.h"
#include "snapshot/format.h"

static int decode(const char *text, size_t size, struct snapshot_record *out)
{
    struct byte_reader r = byte_reader(text, size);
    int rv = snapshot_record_decode(&r, out);

    return rv == 0 && byte_left(&r) > 0 ? 1 : rv;
}

static void test_format_record_has_the_documented_form(void **state)
{
    static const char expected[] = "K 7 123 3 5\na\0b\nhello\n";
    struct snapshot_record r = {SNAPSHOT_KEY, 7, 123, {NULL, 3}, {NULL, 5}};
    struct snapshot_record got;
    uint8_t buf[64];
    struct byte_writer w = byte_writer(buf, sizeof buf);

    (void)state;
    r.key.data = (const uint8_t *)"a\0b";
    r.value.data = (const uint8_t *)"hello";
    assert_int_equal(snapshot_record_size(&r), sizeof expected - 1);
    snapshot_record_encode(&w, &r);
    assert_int_equal(w.at - buf, sizeof expected - 1);
    assert_memory_equal(buf, expected, sizeof expected - 1);
    assert_int_equal(decode(expected, sizeof expected - 1, &got), 0);
    fixture_same(&got, &r);
}

static void test_format_record_of_other_spelling_is_refused(void **state)
{
    static const char good[] = "K 255 18446744073709551615 1 0\na\n\n";
    static const char *const bad[] = {
        "",
        "K",
        "X 0 0 1 1\na\nb\n",
        "k 0 0 1 1\na\nb\n",
        "K 00 0 1 1\na\nb\n",
        "K 0 0 01 1\na\nb\n",
        "K +0 0 1 1\na\nb\n",
        "K 0  0 1 1\na\nb\n",
        "K  0 1 1\na\nb\n",
        "K 0 0 1 1 \na\nb\n",
        "K 0 0 1 1\ra\nb\n",
        "K 256 0 1 1\na\nb\n",
        "K 0 18446744073709551616 1 1\na\nb\n",
        "K 0 99999999999999999999 1 1\na\nb\n",
        "K 0 000000000000000000000 1 1\na\nb\n",
        "K 0 0 65537 1\na\nb\n",
        "K 0 0 1 134217729\na\nb\n",
        "K 0 0 1 1\na b\n",
        "K 0 0 1 1\na\nb ",
        "K 0 0 1 2\na\nb\n",
        "K 0 0 -1 1\na\nb\n",
    };
    struct snapshot_record got;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(decode(bad[i], strlen(bad[i]), &got), ERR_CORRUPT);
    }
    assert_int_equal(decode(good, strlen(good), &got), 0);
    assert_true(got.expire_ms == UINT64_MAX);
    assert_int_equal(got.type, 255);
}

static void test_format_record_cut_anywhere_is_refused(void **state)
{
    static const char text[] = "K 7 123 3 5\nabc\nhello\n";
    struct snapshot_record got;

    (void)state;
    for (size_t n = 0; n < sizeof text - 1; n++) {
        /* A copy of that size, so that a sanitizer sees each overrun. */
        char *copy = malloc(n + 1);
        memcpy(copy, text, n);
        assert_int_equal(decode(copy, n, &got), ERR_CORRUPT);
        free(copy);
    }
}

static void test_format_key_order_is_rank_then_bytes(void **state)
{
    const struct bytes a = {(const uint8_t *)"a", 1};
    const struct bytes ab = {(const uint8_t *)"ab", 2};
    const struct bytes high = {(const uint8_t *)"\xff", 1};
    const struct bytes none = {NULL, 0};

    (void)state;
    assert_true(snapshot_key_compare(1, high, 2, none) < 0);
    assert_true(snapshot_key_compare(2, a, 1, ab) > 0);
    assert_true(snapshot_key_compare(2, a, 2, ab) < 0);
    assert_true(snapshot_key_compare(2, ab, 2, high) < 0);
    assert_int_equal(snapshot_key_compare(2, a, 2, a), 0);
    assert_int_equal(snapshot_key_compare(2, none, 2, none), 0);
}

static void test_format_block_round_trip_at_every_size(void **state)
{
    struct snapshot_buffer stored = {NULL, 0, 0};
    struct snapshot_decoder *d;
    size_t sizes[] = {1, 2, 4095, 65536, 262143, 262144, 262145, 1000000};

    (void)state;
    assert_int_equal(snapshot_decoder_new(&d), 0);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *raw = malloc(sizes[i]);
        uint8_t *back = malloc(sizes[i] + 1);
        for (size_t k = 0; k < sizes[i]; k++) {
            raw[k] = (uint8_t)(k * k >> 7);
        }
        assert_int_equal(snapshot_block_compress(raw, sizes[i], &stored), 0);
        assert_true(stored.size <= snapshot_block_bound(sizes[i]));
        assert_int_equal(snapshot_block_decompress(d, stored.data, stored.size,
                                                   back, sizes[i]),
                         0);
        assert_memory_equal(raw, back, sizes[i]);
        /* Not a byte more or less, on either side. */
        assert_int_equal(snapshot_block_decompress(
                             d, stored.data, stored.size - 1, back, sizes[i]),
                         ERR_CORRUPT);
        assert_int_equal(snapshot_block_decompress(d, stored.data, stored.size,
                                                   back, sizes[i] + 1),
                         ERR_CORRUPT);
        assert_int_equal(snapshot_block_decompress(d, stored.data, stored.size,
                                                   back, sizes[i] - 1),
                         ERR_CORRUPT);
        free(raw);
        free(back);
    }
    snapshot_buffer_free(&stored);
    snapshot_decoder_free(d);
}

static void test_format_names_tell_range_and_content(void **state)
{
    struct snapshot_file f;
    char name[SNAPSHOT_NAME_MAX];

    (void)state;
    memset(&f, 0, sizeof f);
    memcpy(f.id, "\x01\x23\xab\xff", 4);
    f.to = UINT64_MAX;
    snapshot_name(&f, name);
    assert_string_equal(name, "base-18446744073709551615-0123abff.lz4");
    f.from = UINT64_MAX - 1;
    snapshot_name(&f, name);
    assert_string_equal(name, "delta-18446744073709551614-"
                              "18446744073709551615-0123abff.lz4");
}

/* Files of version 1 as they were first written: whatever this program
 * becomes, it must go on reading them. */
static const char *golden(const char *name)
{
    static char path[512];
    const char *slash = strrchr(__FILE__, '/');

    snprintf(path, sizeof path, "%.*s/../../golden/%s", (int)(slash - __FILE__),
             __FILE__, name);
    return path;
}

static void check_golden(const char *name, uint64_t from, uint64_t to)
{
    struct snapshot_meta expected = fixture_meta(from, to);
    const struct snapshot_meta *meta;
    struct snapshot_reader *r;
    struct err_info info;
    int rv = snapshot_reader_open(golden(name), &r, &info);

    if (rv != 0) {
        print_message("%s\n", info.message);
    }
    assert_int_equal(rv, 0);
    meta = snapshot_reader_meta(r);
    assert_memory_equal(meta->cluster_id, expected.cluster_id, 16);
    assert_int_equal(meta->from, from);
    assert_int_equal(meta->to, to);
    assert_int_equal(meta->to_term, expected.to_term);
    assert_int_equal(meta->clock_ms, expected.clock_ms);
    assert_int_equal(meta->state_hash.low, expected.state_hash.low);
    assert_int_equal(meta->state_hash.high, expected.state_hash.high);
    assert_int_equal(meta->configuration_index, 1);
    assert_int_equal(meta->configuration_size, 4);
    fixture_expect(r, 0, 40, from > 0);
    snapshot_reader_close(r);
}

static void test_format_golden_base_is_read(void **state)
{
    (void)state;
    check_golden("snapshot-v1-base.lz4", 0, 100);
}

static void test_format_golden_delta_is_read(void **state)
{
    (void)state;
    check_golden("snapshot-v1-delta.lz4", 100, 250);
}

/* The library's compression may change between its versions, so the manifest
 * alone is compared byte by byte. */
static void test_format_golden_manifest_is_read_and_written(void **state)
{
    struct snapshot_manifest m;
    struct err_info info;
    void *data;
    void *again;
    size_t size;
    size_t size_again;

    (void)state;
    assert_int_equal(
        file_read_all(golden("snapshot-v1-MANIFEST"), 1 << 20, &data, &size),
        0);
    assert_int_equal(snapshot_manifest_decode(data, size, &m, &info), 0);
    assert_int_equal(m.n_files, 2);
    assert_int_equal(m.files[1].from, 100);
    assert_int_equal(m.files[1].n_records, 40);
    assert_int_equal(snapshot_file_verify(golden("snapshot-v1-base.lz4"),
                                          &m.files[0], fixture_cluster, &info),
                     0);
    assert_int_equal(snapshot_file_verify(golden("snapshot-v1-delta.lz4"),
                                          &m.files[1], fixture_cluster, &info),
                     0);
    assert_int_equal(snapshot_manifest_encode(&m, &again, &size_again), 0);
    assert_int_equal(size, size_again);
    assert_memory_equal(data, again, size);
    free(data);
    free(again);
    snapshot_manifest_clear(&m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_record_has_the_documented_form),
        cmocka_unit_test(test_format_record_of_other_spelling_is_refused),
        cmocka_unit_test(test_format_record_cut_anywhere_is_refused),
        cmocka_unit_test(test_format_key_order_is_rank_then_bytes),
        cmocka_unit_test(test_format_block_round_trip_at_every_size),
        cmocka_unit_test(test_format_names_tell_range_and_content),
        cmocka_unit_test(test_format_golden_base_is_read),
        cmocka_unit_test(test_format_golden_delta_is_read),
        cmocka_unit_test(test_format_golden_manifest_is_read_and_written),
    };

    /* `test_format DIR` writes the golden files of the present version: see
     * snapshot/README.md before doing that. */
    if (argc == 2) {
        struct fixture fx;
        memset(&fx, 0, sizeof fx);
        snprintf(fx.dir, sizeof fx.dir, "%s", argv[1]);
        fixture_open_chain(&fx);
        fixture_append(&fx, 0, 100, 40);
        fixture_append(&fx, 100, 250, 40);
        snapshot_manifest_clear(&fx.chain);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
