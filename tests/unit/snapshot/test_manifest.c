/* The manifest: what it may be, and its encoding. */
#include "tests/unit/snapshot/fixture.h"

#include "snapshot/format.h"

/* A valid chain of n files; the caller clears it. */
static struct snapshot_manifest make(unsigned n)
{
    struct snapshot_manifest m;

    memset(&m, 0, sizeof m);
    memcpy(m.cluster_id, fixture_cluster, sizeof m.cluster_id);
    m.n_files = n;
    for (unsigned i = 0; i < n; i++) {
        struct snapshot_file *f = &m.files[i];
        f->from = i * 10;
        f->to = i * 10 + 10;
        f->to_term = 1 + i / 2;
        f->size = 1000 + i;
        f->n_records = i;
        f->id[0] = (uint8_t)i;
        f->state_hash.low = i;
        f->state_hash.high = i + 1;
        snapshot_name(f, f->name);
    }
    m.configuration_index = 5;
    m.configuration_size = 100;
    m.configuration = malloc(100);
    memset(m.configuration, 'c', 100);
    return m;
}

static void check_same(const struct snapshot_manifest *a,
                       const struct snapshot_manifest *b)
{
    assert_memory_equal(a->cluster_id, b->cluster_id, sizeof a->cluster_id);
    assert_int_equal(a->n_files, b->n_files);
    for (unsigned i = 0; i < a->n_files; i++) {
        assert_memory_equal(&a->files[i], &b->files[i], sizeof a->files[i]);
    }
    assert_int_equal(a->configuration_index, b->configuration_index);
    assert_int_equal(a->configuration_size, b->configuration_size);
    if (a->configuration_size > 0) {
        assert_memory_equal(a->configuration, b->configuration,
                            a->configuration_size);
    }
}

static void test_manifest_round_trip_at_every_count(void **state)
{
    (void)state;
    for (unsigned n = 0; n <= SNAPSHOT_FILES_MAX; n += n < 3 ? 1 : 61) {
        struct snapshot_manifest m = make(n);
        struct snapshot_manifest back;
        struct err_info info;
        void *data;
        size_t size;

        assert_int_equal(snapshot_manifest_encode(&m, &data, &size), 0);
        assert_int_equal(snapshot_manifest_decode(data, size, &back, &info), 0);
        check_same(&m, &back);
        free(data);
        snapshot_manifest_clear(&m);
        snapshot_manifest_clear(&back);
        assert_null(back.configuration);
        assert_int_equal(back.n_files, 0);
    }
}

static void test_manifest_largest_fits_its_limit(void **state)
{
    struct snapshot_manifest m = make(0);
    struct snapshot_manifest back;
    struct err_info info;
    uint64_t step = UINT64_MAX / SNAPSHOT_FILES_MAX;
    void *data;
    size_t size;

    (void)state;
    free(m.configuration);
    m.configuration = calloc(1, SNAPSHOT_CONFIGURATION_MAX);
    m.configuration_size = SNAPSHOT_CONFIGURATION_MAX;
    m.n_files = SNAPSHOT_FILES_MAX;
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++) {
        m.files[i].from = i * step;
        m.files[i].to = (i + 1) * step;
        m.files[i].size = UINT64_MAX;
        snapshot_name(&m.files[i], m.files[i].name);
    }
    assert_int_equal(snapshot_manifest_encode(&m, &data, &size), 0);
    assert_true(size < SNAPSHOT_MANIFEST_MAX);
    assert_int_equal(snapshot_manifest_decode(data, size, &back, &info), 0);
    check_same(&m, &back);
    free(data);
    snapshot_manifest_clear(&m);
    snapshot_manifest_clear(&back);
}

static void test_manifest_copy_owns_its_configuration(void **state)
{
    struct snapshot_manifest m = make(2);
    struct snapshot_manifest copy;

    (void)state;
    assert_int_equal(snapshot_manifest_copy(&copy, &m), 0);
    check_same(&copy, &m);
    assert_ptr_not_equal(copy.configuration, m.configuration);
    snapshot_manifest_clear(&m);
    assert_int_equal(((char *)copy.configuration)[99], 'c');
    snapshot_manifest_clear(&copy);
}

static void test_manifest_damage_at_every_byte_is_detected(void **state)
{
    struct snapshot_manifest m = make(3);
    struct snapshot_manifest back;
    struct err_info info;
    void *data;
    uint8_t *bytes;
    size_t size;

    (void)state;
    assert_int_equal(snapshot_manifest_encode(&m, &data, &size), 0);
    bytes = data;
    for (size_t i = 0; i < size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            int rv;
            bytes[i] ^= (uint8_t)(1u << bit);
            rv = snapshot_manifest_decode(data, size, &back, &info);
            assert_true(rv == ERR_CORRUPT || (rv == ERR_VERSION && i < 12));
            bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t n = 0; n < size; n++) {
        uint8_t *copy = malloc(n + 1);
        memcpy(copy, data, n);
        assert_int_equal(snapshot_manifest_decode(copy, n, &back, &info),
                         ERR_CORRUPT);
        free(copy);
    }
    free(data);
    snapshot_manifest_clear(&m);
}

static void test_manifest_newer_version_is_refused(void **state)
{
    struct snapshot_manifest m = make(1);
    struct snapshot_manifest back;
    struct err_info info;
    void *data;
    size_t size;

    (void)state;
    assert_int_equal(snapshot_manifest_encode(&m, &data, &size), 0);
    ((uint8_t *)data)[8] = SNAPSHOT_VERSION + 1;
    assert_int_equal(snapshot_manifest_decode(data, size, &back, &info),
                     ERR_VERSION);
    free(data);
    snapshot_manifest_clear(&m);
}

/* What must not be written must not be believed either: the same bytes with a
 * good checksum, as a peer with other ideas would send them. */
static int decode_forged(struct snapshot_manifest *m, size_t at,
                         uint8_t new_byte)
{
    struct snapshot_manifest back;
    struct err_info info;
    struct byte_writer w;
    uint8_t *bytes;
    void *data;
    size_t size;
    int rv;

    assert_int_equal(snapshot_manifest_encode(m, &data, &size), 0);
    bytes = data;
    assert_int_not_equal(bytes[at], new_byte);
    bytes[at] = new_byte;
    w = byte_writer(bytes + size - 8, 8);
    byte_put_u64(&w, checksum(bytes, size - 8, 0));
    rv = snapshot_manifest_decode(data, size, &back, &info);
    if (rv == 0) {
        snapshot_manifest_clear(&back);
    }
    free(data);
    return rv;
}

static void test_manifest_forged_fields_are_refused(void **state)
{
    struct snapshot_manifest m = make(2);
    size_t files = SNAPSHOT_ENVELOPE_HEAD + SNAPSHOT_CLUSTER_ID_SIZE;
    size_t name = files + 4;
    size_t after_name = name + 1 + strlen(m.files[0].name);

    (void)state;
    assert_int_equal(decode_forged(&m, files, 65), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, files, 3), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, files, 1), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, name, 64), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, name + 1, '.'), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, name + 1, '/'), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, name + 1, 0), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, after_name, 9), ERR_CORRUPT); /* id */
    assert_int_equal(decode_forged(&m, after_name + 24, 1), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, after_name + 32, 11), ERR_CORRUPT);
    assert_int_equal(decode_forged(&m, after_name + 40, 9), ERR_CORRUPT);
    /* A record count is free to be anything. */
    assert_int_equal(decode_forged(&m, after_name + 48, 9), 0);
    snapshot_manifest_clear(&m);
}

static void expect_invalid(struct snapshot_manifest *m)
{
    void *data;
    size_t size;

    assert_int_equal(snapshot_manifest_encode(m, &data, &size), ERR_INVALID);
}

static void test_manifest_gap_or_overlap_is_refused(void **state)
{
    struct snapshot_manifest m = make(3);

    (void)state;
    m.files[1].to = 21; /* name does not follow */
    expect_invalid(&m);
    snapshot_name(&m.files[1], m.files[1].name);
    expect_invalid(&m); /* files[2] begins at 20 */
    m.files[2].from = 21;
    snapshot_name(&m.files[2], m.files[2].name);
    m.files[2].to_term = 0;
    expect_invalid(&m); /* terms go back */
    snapshot_manifest_clear(&m);
}

static void test_manifest_first_file_not_a_base_is_refused(void **state)
{
    struct snapshot_manifest m = make(2);

    (void)state;
    m.files[0] = m.files[1];
    m.n_files = 1;
    expect_invalid(&m);
    snapshot_manifest_clear(&m);
    m = make(2);
    m.files[1].from = 0; /* a second base */
    snapshot_name(&m.files[1], m.files[1].name);
    expect_invalid(&m);
    snapshot_manifest_clear(&m);
}

static void test_manifest_over_its_limits_is_refused(void **state)
{
    struct snapshot_manifest m = make(1);

    (void)state;
    m.n_files = SNAPSHOT_FILES_MAX + 1;
    expect_invalid(&m);
    m.n_files = 1;
    m.configuration_size = SNAPSHOT_CONFIGURATION_MAX + 1;
    expect_invalid(&m);
    snapshot_manifest_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest_round_trip_at_every_count),
        cmocka_unit_test(test_manifest_largest_fits_its_limit),
        cmocka_unit_test(test_manifest_copy_owns_its_configuration),
        cmocka_unit_test(test_manifest_damage_at_every_byte_is_detected),
        cmocka_unit_test(test_manifest_newer_version_is_refused),
        cmocka_unit_test(test_manifest_forged_fields_are_refused),
        cmocka_unit_test(test_manifest_gap_or_overlap_is_refused),
        cmocka_unit_test(test_manifest_first_file_not_a_base_is_refused),
        cmocka_unit_test(test_manifest_over_its_limits_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
