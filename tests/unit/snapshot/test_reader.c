/* The reader: round trips, seeking, and every byte of damage. */
#include "tests/unit/snapshot/fixture.h"

#include "snapshot/block.h"
#include "snapshot/format.h"

static struct snapshot_reader *open_reader(struct fixture *fx,
                                           const struct snapshot_file *file)
{
    struct snapshot_reader *r = NULL;
    int rv =
        snapshot_reader_open(fixture_incoming(fx, file->name), &r, &fx->info);

    if (rv != 0) {
        print_message("%s\n", fx->info.message);
    }
    assert_int_equal(rv, 0);
    return r;
}

static void test_reader_base_round_trip(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 3, 100, 20000};
    struct fixture *fx = *state;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct snapshot_file file = fixture_write(fx, 0, 77, counts[i]);
        struct snapshot_reader *r = open_reader(fx, &file);

        assert_int_equal(snapshot_reader_n_records(r), counts[i]);
        fixture_expect(r, 0, counts[i], false);
        snapshot_reader_close(r);
    }
    snapshot_reader_close(NULL);
}

static void test_reader_delta_round_trip_keeps_tombstones(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 77, 99, 5000);
    struct snapshot_reader *r = open_reader(fx, &file);

    assert_int_equal(strncmp(file.name, "delta-77-99-", 12), 0);
    fixture_expect(r, 0, 5000, true);
    snapshot_reader_close(r);
}

static void test_reader_meta_is_what_was_written(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 5, 99, 1);
    struct snapshot_reader *r = open_reader(fx, &file);
    const struct snapshot_meta *m = snapshot_reader_meta(r);

    assert_memory_equal(m->cluster_id, fixture_cluster, 16);
    assert_int_equal(m->from, 5);
    assert_int_equal(m->to, 99);
    assert_int_equal(m->to_term, 3);
    assert_int_equal(m->clock_ms, 1234567);
    assert_int_equal(m->state_hash.low, 99 * 7);
    assert_int_equal(m->state_hash.high, 99 * 11);
    assert_int_equal(m->configuration_index, 1);
    assert_int_equal(m->configuration_size, 4);
    assert_memory_equal(m->configuration, "conf", 4);
    snapshot_reader_close(r);
}

static void test_reader_large_value_round_trip(void **state)
{
    enum { SIZE = 5 * 1024 * 1024 };
    struct fixture *fx = *state;
    struct snapshot_meta meta = fixture_meta(0, 9);
    struct snapshot_writer *w;
    struct snapshot_reader *r;
    struct snapshot_file file;
    struct snapshot_record rec;
    struct snapshot_record got;
    uint8_t *value = malloc(SIZE);
    uint32_t x = 1;

    /* Noise, so that lz4 stores it as it is. */
    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525u + 1013904223u;
        value[i] = (uint8_t)(x >> 24);
    }
    memset(&rec, 0, sizeof rec);
    rec.kind = SNAPSHOT_KEY;
    rec.key.data = (const uint8_t *)"k\0\n";
    rec.key.size = 3;
    rec.value.data = value;
    rec.value.size = SIZE;
    assert_int_equal(snapshot_writer_new(fx->dir, &meta, &w, &fx->info), 0);
    assert_int_equal(snapshot_writer_add(w, &rec), 0);
    rec.key.data = (const uint8_t *)"l";
    rec.key.size = 1;
    assert_int_equal(snapshot_writer_add(w, &rec), 0);
    assert_int_equal(snapshot_writer_finish(w, &file, &fx->info), 0);
    r = open_reader(fx, &file);
    assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 1);
    assert_int_equal(got.key.size, 3);
    assert_memory_equal(got.key.data, "k\0\n", 3);
    assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 1);
    fixture_same(&got, &rec);
    assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 0);
    snapshot_reader_close(r);
    free(value);
}

static void seek_to(struct fixture *fx, struct snapshot_reader *r,
                    const char *key)
{
    struct bytes b = {(const uint8_t *)key, strlen(key)};
    assert_int_equal(snapshot_reader_seek(r, b, &fx->info), 0);
}

static void test_reader_seek_finds_first_at_or_after(void **state)
{
    enum { N = 12000 };
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 0, 77, N);
    struct snapshot_reader *r = open_reader(fx, &file);
    struct snapshot_record got;
    char buf[FIXTURE_TEXT_MAX];
    char key[32];

    for (unsigned i = 2; i < N; i += 997) {
        struct snapshot_record expected = fixture_record(i, false, buf);
        snprintf(key, sizeof key, "key:%08u", i);
        seek_to(fx, r, key);
        assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 1);
        fixture_same(&got, &expected);
        /* Between two keys: the latter. */
        snprintf(key, sizeof key, "key:%08u!", i - 1);
        seek_to(fx, r, key);
        assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 1);
        fixture_same(&got, &expected);
    }
    seek_to(fx, r, "");
    fixture_expect(r, 2, N, false);
    seek_to(fx, r, "zzz");
    assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 0);
    seek_to(fx, r, "key:00011990");
    fixture_expect(r, 11990, N, false);
    snapshot_reader_close(r);
}

/* Keys that agree in more bytes than the index keeps of them. */
static void test_reader_seek_long_common_prefix_finds_each(void **state)
{
    enum { N = 600, PREFIX = 1000 };
    struct fixture *fx = *state;
    struct snapshot_meta meta = fixture_meta(0, 9);
    struct snapshot_writer *w;
    struct snapshot_reader *r;
    struct snapshot_file file;
    struct snapshot_record rec;
    struct snapshot_record got;
    char key[PREFIX + 8];

    memset(key, 'x', sizeof key);
    memset(&rec, 0, sizeof rec);
    rec.kind = SNAPSHOT_KEY;
    rec.key.data = (const uint8_t *)key;
    rec.key.size = PREFIX + 4;
    assert_int_equal(snapshot_writer_new(fx->dir, &meta, &w, &fx->info), 0);
    for (unsigned i = 0; i < N; i++) {
        snprintf(key + PREFIX, 8, "%04u", i);
        assert_int_equal(snapshot_writer_add(w, &rec), 0);
    }
    assert_int_equal(snapshot_writer_finish(w, &file, &fx->info), 0);
    r = open_reader(fx, &file);
    for (unsigned i = 0; i < N; i += 7) {
        snprintf(key + PREFIX, 8, "%04u", i);
        assert_int_equal(snapshot_reader_seek(r, rec.key, &fx->info), 0);
        assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 1);
        fixture_same(&got, &rec);
    }
    rec.key.size = 300;
    assert_int_equal(snapshot_reader_seek(r, rec.key, &fx->info), 0);
    assert_int_equal(snapshot_reader_next(r, &got, &fx->info), 1);
    assert_memory_equal(got.key.data + PREFIX, "0000", 4);
    snapshot_reader_close(r);
}

struct content {
    void *data;
    size_t size;
};

static struct content load(const char *path)
{
    struct content c;
    assert_int_equal(file_read_all(path, 1 << 24, &c.data, &c.size), 0);
    return c;
}

static void store(const char *path, const void *data, size_t size)
{
    struct file *f;
    assert_int_equal(file_open(path, FILE_WRITE | FILE_CREATE, &f), 0);
    assert_int_equal(file_truncate(f, 0), 0);
    assert_int_equal(file_write_at(f, data, size, 0), 0);
    file_close(f);
}

static void test_reader_damage_at_every_byte_is_detected(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 3, 9, 12);
    struct content c = load(fixture_incoming(fx, file.name));
    const char *path = fixture_path(fx, "damaged");
    uint8_t *bytes = c.data;

    assert_true(c.size > 300);
    for (size_t i = 0; i < c.size; i++) {
        static const uint8_t masks[] = {0x01, 0x80, 0xff};
        for (size_t m = 0; m < sizeof masks; m++) {
            int rv;
            bytes[i] ^= masks[m];
            store(path, bytes, c.size);
            rv = fixture_read_through(path, &fx->info);
            /* A damaged version number may be the number of a later one. */
            if (rv != ERR_CORRUPT && rv != ERR_VERSION) {
                fail_msg("byte %zu of %zu, mask %02x: %d", i, c.size, masks[m],
                         rv);
            }
            assert_non_null(strstr(fx->info.message, "damaged"));
            bytes[i] ^= masks[m];
        }
    }
    store(path, bytes, c.size);
    assert_int_equal(fixture_read_through(path, &fx->info), 0);
    free(c.data);
}

static void test_reader_torn_file_is_detected_at_every_length(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 0, 9, 12);
    struct content c = load(fixture_incoming(fx, file.name));
    const char *path = fixture_path(fx, "torn");
    uint8_t *longer = calloc(1, c.size + 100);

    for (size_t n = 0; n < c.size; n++) {
        store(path, c.data, n);
        assert_int_equal(fixture_read_through(path, &fx->info), ERR_CORRUPT);
        /* The length may be there and the contents not. */
        memcpy(longer, c.data, n);
        memset(longer + n, 0, c.size - n);
        store(path, longer, c.size);
        assert_int_equal(fixture_read_through(path, &fx->info), ERR_CORRUPT);
    }
    memcpy(longer, c.data, c.size);
    store(path, longer, c.size + 1);
    assert_int_equal(fixture_read_through(path, &fx->info), ERR_CORRUPT);
    free(longer);
    free(c.data);
}

static void test_reader_newer_version_is_refused(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 0, 9, 3);
    struct content c = load(fixture_incoming(fx, file.name));
    const char *path = fixture_path(fx, "newer");

    ((uint8_t *)c.data)[8 + 8] = SNAPSHOT_VERSION + 1;
    store(path, c.data, c.size);
    assert_int_equal(fixture_read_through(path, &fx->info), ERR_VERSION);
    assert_non_null(strstr(fx->info.message, "upgrade"));
    free(c.data);
}

/* Blocks of two files with equal layout must not pass for each other's. */
static void test_reader_block_of_another_file_is_detected(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file a = fixture_write(fx, 0, 9, 12);
    struct snapshot_file b = fixture_write(fx, 0, 10, 12);
    struct content ca = load(fixture_incoming(fx, a.name));
    struct content cb = load(fixture_incoming(fx, b.name));
    const char *path = fixture_path(fx, "mixed");
    size_t header = 8 + 24 + SNAPSHOT_HEADER_FIXED + 4;

    assert_int_equal(ca.size, cb.size);
    memcpy(cb.data, ca.data, header); /* The rest is b's. */
    store(path, cb.data, cb.size);
    assert_int_equal(fixture_read_through(path, &fx->info), ERR_CORRUPT);
    free(ca.data);
    free(cb.data);
}

/* A file put together by hand, all checksums right: what only a program with
 * another idea of the format writes. Up to two blocks of record text. */
struct forged {
    const char *block[2];
    unsigned n_records[2];
    const char *first_key[2];
    uint64_t from;
    size_t gap;           /* Bytes between blocks and index. */
    int records_too_many; /* In the footer. */
    int raw_off;          /* Raw size of the first entry. */
};

/* One block and its entry behind each other's. */
static void forge_block(const struct forged *fg, unsigned i, uint64_t seed,
                        struct byte_writer *file, struct byte_writer *index,
                        struct snapshot_footer *footer)
{
    struct snapshot_buffer stored = {NULL, 0, 0};
    struct snapshot_entry e;
    size_t size = strlen(fg->block[i]);

    assert_int_equal(
        snapshot_block_compress((const uint8_t *)fg->block[i], size, &stored),
        0);
    byte_put(file, stored.data, stored.size);
    memset(&e, 0, sizeof e);
    e.stored_size = (uint32_t)stored.size;
    e.raw_size = (uint32_t)((int)size + (i == 0 ? fg->raw_off : 0));
    e.n_records = fg->n_records[i];
    e.checksum = checksum(stored.data, stored.size, seed);
    e.rank = 2;
    e.separator = (const uint8_t *)fg->first_key[i];
    e.separator_size = (uint16_t)strlen(fg->first_key[i]);
    snapshot_entry_encode(index, &e);
    footer->n_blocks++;
    footer->n_records += e.n_records;
    footer->raw_bytes += e.raw_size;
    snapshot_buffer_free(&stored);
}

static int read_forged(struct fixture *fx, const struct forged *fg)
{
    struct snapshot_meta meta = fixture_meta(fg->from, 9);
    struct snapshot_footer footer;
    struct byte_writer file;
    struct byte_writer index;
    uint64_t seed;
    uint8_t *out = calloc(1, SNAPSHOT_HEADER_MAX + 8192);
    uint8_t frame[1024];
    int rv;

    memset(&footer, 0, sizeof footer);
    file = byte_writer(out, SNAPSHOT_HEADER_MAX + 8192);
    file.at += snapshot_header_encode(&meta, out, &seed);
    index = byte_writer(frame, sizeof frame);
    snapshot_envelope_begin(&index, SNAPSHOT_PART_INDEX);
    for (unsigned i = 0; i < 2 && fg->block[i] != NULL; i++) {
        forge_block(fg, i, seed, &file, &index, &footer);
    }
    snapshot_envelope_end(&index, frame, SNAPSHOT_PART_INDEX, seed);
    byte_put(&file, "gapgapgap", fg->gap);
    footer.index_offset = (uint64_t)(file.at - out);
    footer.index_size = (uint64_t)(index.at - frame);
    footer.n_records += (uint64_t)fg->records_too_many;
    byte_put(&file, frame, (size_t)(index.at - frame));
    snapshot_footer_encode(&footer, seed,
                           byte_put_room(&file, SNAPSHOT_FOOTER_SIZE));
    assert_false(file.failed || index.failed);
    store(fixture_path(fx, "forged"), out, (size_t)(file.at - out));
    free(out);
    rv = fixture_read_through(fixture_path(fx, "forged"), &fx->info);
    return rv;
}

static void test_reader_forged_file_is_refused(void **state)
{
    static const char a[] = "K 0 0 1 1\na\nx\nK 0 0 1 1\nb\nx\n";
    static const char c[] = "K 0 0 1 1\nc\nx\n";
    static const char b[] = "K 0 0 1 1\nb\nx\n";
    static const char t[] = "T 0 0 1 0\nc\n\n";
    static const char m[] = "M 0 0 1 1\nd\nx\n";
    static const struct {
        struct forged file;
        int rv;
    } cases[] = {
        {{{a, c}, {2, 1}, {"a", "c"}, 0, 0, 0, 0}, 0},
        {{{a, t}, {2, 1}, {"a", "c"}, 3, 0, 0, 0}, 0},
        /* a tombstone in a base */
        {{{a, t}, {2, 1}, {"a", "c"}, 0, 0, 0, 0}, ERR_CORRUPT},
        /* bytes that belong to nothing */
        {{{a, c}, {2, 1}, {"a", "c"}, 0, 3, 0, 0}, ERR_CORRUPT},
        /* counts that do not add up */
        {{{a, c}, {2, 1}, {"a", "c"}, 0, 0, 1, 0}, ERR_CORRUPT},
        {{{a, c}, {1, 1}, {"a", "c"}, 0, 0, 0, 0}, ERR_CORRUPT},
        {{{a, c}, {3, 1}, {"a", "c"}, 0, 0, 0, 0}, ERR_CORRUPT},
        {{{a, c}, {2, 1}, {"a", "c"}, 0, 0, 0, 1}, ERR_CORRUPT},
        {{{a, c}, {2, 1}, {"a", "c"}, 0, 0, 0, -1}, ERR_CORRUPT},
        {{{a, c}, {0, 1}, {"a", "c"}, 0, 0, 0, 0}, ERR_CORRUPT},
        /* an index that leads astray */
        {{{a, c}, {2, 1}, {"b", "c"}, 0, 0, 0, 0}, ERR_CORRUPT},
        {{{a, c}, {2, 1}, {"a", ""}, 0, 0, 0, 0}, ERR_CORRUPT},
        /* order broken between blocks and within one */
        {{{a, b}, {2, 1}, {"a", "b"}, 0, 0, 0, 0}, ERR_CORRUPT},
        {{{c, a}, {1, 2}, {"c", "a"}, 0, 0, 0, 0}, ERR_CORRUPT},
        {{{a, m}, {2, 1}, {"a", "d"}, 0, 0, 0, 0}, ERR_CORRUPT},
    };
    struct fixture *fx = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rv = read_forged(fx, &cases[i].file);
        if (rv != cases[i].rv) {
            fail_msg("case %zu: %d", i, rv);
        }
    }
}

static void test_reader_open_missing_is_not_found(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(fixture_read_through(fixture_path(fx, "no"), &fx->info),
                     ERR_NOTFOUND);
}

static void test_reader_each_failing_operation_is_told(void **state)
{
    struct fixture *fx = *state;
    struct snapshot_file file = fixture_write(fx, 0, 9, 6000);
    unsigned n_struck = 0;

    for (unsigned long n = 1;; n++) {
        int rv;
        fault_file_arm(FAULT_ALL, n, ERR_IO, FAULT_ONCE);
        rv = fixture_read_through(fixture_incoming(fx, file.name), &fx->info);
        if (!fault_file_disarm()) {
            assert_int_equal(rv, 0);
            break;
        }
        n_struck++;
        assert_int_equal(rv, ERR_IO);
        assert_int_equal(fx->info.code, ERR_IO);
    }
    /* open, size, header twice, footer, index, two blocks or more */
    assert_true(n_struck >= 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_reader_base_round_trip),
        FIXTURE_TEST(test_reader_delta_round_trip_keeps_tombstones),
        FIXTURE_TEST(test_reader_meta_is_what_was_written),
        FIXTURE_TEST(test_reader_large_value_round_trip),
        FIXTURE_TEST(test_reader_seek_finds_first_at_or_after),
        FIXTURE_TEST(test_reader_seek_long_common_prefix_finds_each),
        FIXTURE_TEST(test_reader_damage_at_every_byte_is_detected),
        FIXTURE_TEST(test_reader_torn_file_is_detected_at_every_length),
        FIXTURE_TEST(test_reader_newer_version_is_refused),
        FIXTURE_TEST(test_reader_block_of_another_file_is_detected),
        FIXTURE_TEST(test_reader_forged_file_is_refused),
        FIXTURE_TEST(test_reader_open_missing_is_not_found),
        FIXTURE_TEST(test_reader_each_failing_operation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
