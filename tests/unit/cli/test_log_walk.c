/* Looking at a log offline: what is there is found, what is damaged is named
 * with its place, and nothing is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/log_walk.h"
#include "tests/lib/temp_dir.h"

enum { BLOCK = 4096, N_FRAMES = 5, FILE_BYTES = 10 * BLOCK };

static struct temp_dir dir;
static struct inspect_problems problems;
static struct log_walk walk;
static uint64_t n_entries_seen;
static uint64_t sequence;
static uint64_t chain;
static uint64_t index_next;
static const uint8_t cluster_id[RAFTLOG_CLUSTER_ID_SIZE] = {7};

static int set_up(void **state)
{
    (void)state;
    temp_dir_make(&dir);
    sequence = 1;
    chain = 0;
    index_next = 1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* A frame of two entries of 100 bytes at block. */
static void make_frame(uint8_t *at, uint64_t segment_id, uint16_t flags)
{
    uint8_t payload[100];
    struct frame_header h;
    struct byte_writer w = byte_writer(at + FRAME_HEADER_SIZE, 2000);
    memset(payload, 'p', sizeof(payload));
    memset(&h, 0, sizeof(h));
    for (int i = 0; i < 2; i++) {
        struct raftlog_entry e = {
            .term = 3, .kind = 'S', .size = 100, .data = payload};
        record_encode(&w, &e);
    }
    h.flags = flags;
    h.segment_id = segment_id;
    h.sequence = sequence++;
    h.durable_sequence = h.sequence - 1;
    h.oldest_segment_id = 1;
    h.previous_checksum = chain;
    h.first_index = index_next;
    h.previous_term = index_next > 1 ? 3 : 0;
    h.n_entries = 2;
    h.body_bytes = (uint32_t)(w.at - (at + FRAME_HEADER_SIZE));
    h.frame_bytes = BLOCK;
    frame_seal(&h, cluster_id, at);
    chain = h.checksum;
    index_next += 2;
}

/* The next segment, which goes on where the one before ended. */
static void make_segment(uint64_t id, const char **path)
{
    static uint8_t data[FILE_BYTES];
    char name[SEGMENT_NAME_MAX];
    struct segment_header h;
    memset(data, 0, sizeof(data));
    memset(&h, 0, sizeof(h));
    memcpy(h.cluster_id, cluster_id, sizeof(cluster_id));
    h.node_id = 1;
    h.segment_id = id;
    h.previous_id = id - 1;
    h.first_index = index_next;
    h.previous_term = index_next > 1 ? 3 : 0;
    h.first_sequence = sequence;
    h.previous_checksum = chain;
    h.file_bytes = FILE_BYTES;
    h.block_bytes = BLOCK;
    segment_header_encode(&h, data, BLOCK);
    segment_name(name, h.first_index, id);
    for (int i = 1; i <= N_FRAMES; i++) {
        make_frame(data + i * BLOCK, id, 0);
    }
    *path = temp_dir_path(&dir, name);
    FILE *out = fopen(*path, "w");
    assert_int_equal(fwrite(data, 1, sizeof(data), out), sizeof(data));
    fclose(out);
}

static void flip(const char *path, long offset)
{
    FILE *f = fopen(path, "r+");
    fseek(f, offset, SEEK_SET);
    int c = getc(f);
    fseek(f, offset, SEEK_SET);
    putc(c ^ 0x10, f);
    fclose(f);
}

static void count_entry(void *ctx, const struct log_segment *s, uint64_t offset,
                        uint64_t index, const struct raftlog_entry *e)
{
    (void)ctx;
    assert_true(offset > BLOCK && offset < s->file_bytes);
    assert_true(index > 0);
    assert_int_equal(e->kind, 'S');
    assert_int_equal(e->size, 100);
    n_entries_seen++;
}

static int run(const char *path, uint64_t watermark)
{
    memset(&walk, 0, sizeof(walk));
    inspect_problems_init(&problems);
    n_entries_seen = 0;
    walk.problems = &problems;
    walk.watermark = watermark;
    walk.on_entry = count_entry;
    int rc = log_walk_open(&walk, path);
    return rc != 0 ? rc : log_walk_run(&walk);
}

static void done(void)
{
    log_walk_close(&walk);
    inspect_problems_close(&problems);
}

static void check_problem(size_t i, const char *file, uint64_t offset,
                          const char *words)
{
    assert_true(i < problems.n_items);
    assert_string_equal(problems.items[i].file, file);
    assert_int_equal(problems.items[i].offset, offset);
    if (strstr(problems.items[i].what, words) == NULL) {
        fail_msg("'%s' does not say '%s'", problems.items[i].what, words);
    }
}

static void test_log_walk_whole_log_has_no_problems(void **state)
{
    (void)state;
    const char *first;
    const char *second;
    make_segment(1, &first);
    make_segment(2, &second);
    assert_int_equal(run(dir.path, 0), 0);
    assert_int_equal(problems.n_all, 0);
    assert_int_equal(walk.n_segments, 2);
    assert_int_equal(n_entries_seen, 4 * N_FRAMES);
    assert_int_equal(walk.segments[0].ending, RECOVER_SEALED);
    assert_int_equal(walk.segments[1].ending, RECOVER_END);
    assert_int_equal(walk.segments[1].first_index, 11);
    assert_int_equal(walk.segments[1].last_index, 20);
    assert_int_equal(walk.segments[1].end, (N_FRAMES + 1) * BLOCK);
    done();
    /* One file alone, and the directory above. */
    assert_int_equal(run(second, 0), 0);
    assert_int_equal(problems.n_all, 0);
    assert_int_equal(n_entries_seen, 2 * N_FRAMES);
    done();
}

static void test_log_walk_rot_is_named_and_the_rest_is_read(void **state)
{
    (void)state;
    const char *path;
    make_segment(1, &path);
    flip(path, 3 * BLOCK + FRAME_HEADER_SIZE + 20); /* body of the third */
    assert_int_equal(run(dir.path, 0), 0);
    assert_int_equal(problems.n_all, 1);
    check_problem(0, path, 3 * BLOCK, "frame 3, which begins with entry 5");
    assert_non_null(strstr(problems.items[0].what, "broken body [ROT]"));
    assert_int_equal(n_entries_seen, 2 * (N_FRAMES - 1));
    done();
    flip(path, 3 * BLOCK); /* now its header too */
    assert_int_equal(run(dir.path, 0), 0);
    assert_int_equal(problems.n_all, 1);
    check_problem(0, path, 3 * BLOCK, "is missing [ROT]");
    done();
}

/* Any byte of any frame but the last; the last one may be a torn write. */
static void test_log_walk_any_flipped_byte_is_found(void **state)
{
    (void)state;
    const char *path;
    make_segment(1, &path);
    for (long at = BLOCK; at < N_FRAMES * BLOCK; at += 97) {
        flip(path, at);
        assert_int_equal(run(path, 0), 0);
        assert_int_equal(problems.n_all, 1);
        assert_int_equal(problems.items[0].offset, at / BLOCK * BLOCK);
        done();
        flip(path, at);
    }
    for (long at = 0; at < SEGMENT_HEADER_SIZE; at++) {
        flip(path, at);
        assert_int_equal(run(path, 0), 0);
        assert_true(problems.n_all > 0);
        assert_true(problems.items[0].offset <= 8);
        done();
        flip(path, at);
    }
}

static void test_log_walk_last_frame_is_torn_without_evidence(void **state)
{
    (void)state;
    const char *path;
    make_segment(1, &path);
    flip(path, N_FRAMES * BLOCK + 200);
    assert_int_equal(run(path, 0), 0);
    assert_int_equal(problems.n_all, 0);
    assert_int_equal(walk.segments[0].ending, RECOVER_TORN);
    done();
    /* The hard state says that it was durable. */
    assert_int_equal(run(path, N_FRAMES), 0);
    assert_int_equal(problems.n_all, 1);
    check_problem(0, path, N_FRAMES * BLOCK, "[ROT]");
    done();
}

static void test_log_walk_damaged_segment_leaves_the_next_readable(void **state)
{
    (void)state;
    const char *first;
    const char *second;
    make_segment(1, &first);
    make_segment(2, &second);
    flip(first, N_FRAMES * BLOCK + 200);
    assert_int_equal(run(dir.path, 0), 0);
    assert_int_equal(problems.n_all, 1);
    check_problem(0, first, N_FRAMES * BLOCK, "[ROT]");
    assert_int_equal(n_entries_seen, 4 * N_FRAMES - 2);
    done();
    flip(first, 5); /* nothing of the first can be read any more */
    assert_int_equal(run(dir.path, 0), 0);
    assert_int_equal(problems.n_all, 1);
    check_problem(0, first, 0, "damaged segment header");
    assert_int_equal(n_entries_seen, 2 * N_FRAMES);
    done();
}

static void test_log_walk_missing_segment_is_named(void **state)
{
    (void)state;
    const char *first;
    const char *second;
    const char *third;
    make_segment(1, &first);
    make_segment(2, &second);
    make_segment(3, &third);
    unlink(second);
    assert_int_equal(run(dir.path, 0), 0);
    assert_true(problems.n_all >= 1);
    check_problem(problems.n_items - 1, third, 48, "segment 2");
    done();
}

static void test_log_walk_short_file_is_named(void **state)
{
    (void)state;
    const char *path;
    make_segment(1, &path);
    assert_int_equal(truncate(path, 4 * BLOCK + 100), 0);
    assert_int_equal(run(path, 0), 0);
    assert_true(problems.n_all >= 1);
    check_problem(0, path, 4 * BLOCK + 100, "the file ends here");
    assert_int_equal(n_entries_seen, 6);
    done();
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(run(path, 0), 0);
    check_problem(0, path, 0, "damaged segment header");
    done();
}

static void test_log_walk_renamed_file_is_named(void **state)
{
    (void)state;
    const char *path;
    make_segment(1, &path);
    const char *other =
        temp_dir_path(&dir, "00000000000000000009-0000000004.seg");
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(run(dir.path, 0), 0);
    check_problem(0, other, 0, "contradicts the header");
    done();
}

static void test_log_walk_nothing_there_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(run(dir.path, 0), ERR_NOTFOUND);
    done();
    assert_int_equal(run(temp_dir_path(&dir, "no"), 0), ERR_NOTFOUND);
    done();
}

static void test_log_walk_changes_nothing(void **state)
{
    (void)state;
    const char *path;
    struct stat before;
    struct stat after;
    make_segment(1, &path);
    flip(path, N_FRAMES * BLOCK + 200);
    assert_int_equal(stat(dir.path, &before), 0);
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(run(dir.path, 0), 0);
    done();
    assert_int_equal(stat(dir.path, &after), 0);
    assert_true(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
                before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, FILE_BYTES);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_log_walk_whole_log_has_no_problems),
        TEST(test_log_walk_rot_is_named_and_the_rest_is_read),
        TEST(test_log_walk_any_flipped_byte_is_found),
        TEST(test_log_walk_last_frame_is_torn_without_evidence),
        TEST(test_log_walk_damaged_segment_leaves_the_next_readable),
        TEST(test_log_walk_missing_segment_is_named),
        TEST(test_log_walk_short_file_is_named),
        TEST(test_log_walk_renamed_file_is_named),
        TEST(test_log_walk_nothing_there_is_not_found),
        TEST(test_log_walk_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
