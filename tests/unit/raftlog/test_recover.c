/* The rows of the recovery table (raftlog/recover.h) that are about the
 * directory and whole segments, and the table itself; those of the hard state
 * are in test_recover_hard.c, those of the ends of segments in
 * test_recover_tail.c. Recovery is idempotent and changes nothing when it
 * refuses. */
#include "tests/unit/raftlog/recover_fixture.h"

/* ---- the directory --------------------------------------------------------*/

static void test_recover_new(void **state)
{
    struct fixture *x = *state;
    expect_opened(x, RECOVER_NEW, 1, 0);
}

static void test_recover_half_created(void **state)
{
    struct fixture *x = *state;
    /* Every prefix of the creation. */
    for (unsigned long n = 1;; n++) {
        bool struck;
        fixture_fresh_dir(x);
        fault_file_arm(FAULT_CHANGES, n, ERR_IO, FAULT_CRASH);
        if (fixture_try_open(x) == 0) {
            fixture_crash(x);
        }
        struck = fault_file_disarm();
        fixture_open(x);
        fixture_check_bounds(x, 1, 0);
        fixture_append_durable(x, 1, 1, 1, 10);
        fixture_crash(x);
        if (!struck) {
            break;
        }
    }
    fixture_fresh_dir(x);
    fault_file_arm(FAULT_FILL, 1, ERR_IO, FAULT_CRASH);
    assert_int_equal(fixture_try_open(x), ERR_IO);
    fault_file_disarm();
    expect_opened(x, RECOVER_HALF_CREATED, 1, 0);
}

static void test_recover_segments_gone(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    fixture_open(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 1, 1), 0);
    fixture_settle(x);
    fixture_crash(x);
    build(x, 3, &s);
    assert_int_equal(file_unlink(log_path(x, s.tail)), 0);
    expect_refused(x, RECOVER_SEGMENTS_GONE, "no segments");
}

static void test_recover_hard_gone(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 3, &s);
    assert_int_equal(file_unlink(temp_dir_path(&x->dir, "hardstate.0")), 0);
    assert_int_equal(file_unlink(temp_dir_path(&x->dir, "hardstate.1")), 0);
    expect_refused(x, RECOVER_HARD_GONE, "hard state");
}

/* ---- segments -------------------------------------------------------------*/

static void test_recover_other_cluster(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint64_t before;
    build(x, 3, &s);
    before = state_of(x);
    x->options.cluster_id[3] ^= 1;
    assert_int_equal(fixture_try_open(x), ERR_CLUSTER);
    x->options.cluster_id[3] ^= 1;
    x->options.node_id = 2;
    assert_int_equal(fixture_try_open(x), ERR_CLUSTER);
    assert_non_null(strstr(x->info.message, "node 1"));
    x->options.node_id = 1;
    assert_true(state_of(x) == before);
    fixture_open(x);
}

/* A segment of another cluster in our directory, hard state being ours. */
static void test_recover_other_cluster_segment(void **state)
{
    struct fixture *x = *state;
    struct segment_header h;
    uint8_t block[BLOCK];
    struct file *f;
    struct scene s;
    size_t n;
    build(x, 3, &s);
    assert_int_equal(file_open(log_path(x, s.tail), FILE_READ, &f), 0);
    assert_int_equal(file_read_at(f, block, BLOCK, 0, &n), 0);
    file_close(f);
    assert_int_equal(segment_header_decode(block, BLOCK, &h), 0);
    h.cluster_id[0] ^= 1;
    segment_header_encode(&h, block, BLOCK);
    change(log_path(x, s.tail), 0, block, BLOCK);
    expect_refused(x, RECOVER_OTHER_CLUSTER, s.tail);
}

static void test_recover_newer_version(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint8_t version = RECORD_VERSION + 1;
    uint8_t old = RECORD_VERSION;
    build(x, 3, &s);
    change(log_path(x, s.tail), 8, &version, 1);
    expect_refused(x, RECOVER_NEWER_VERSION, "newer");
    change(log_path(x, s.tail), 8, &old, 1);
    version = HARDSTATE_VERSION + 1;
    old = HARDSTATE_VERSION;
    change(temp_dir_path(&x->dir, "hardstate.1"), 8, &version, 1);
    assert_int_equal(fixture_try_open(x), ERR_VERSION);
    change(temp_dir_path(&x->dir, "hardstate.1"), 8, &old, 1);
    fixture_open(x);
}

/* The header as the program before wrote it: without a clock. */
static void make_version_1(struct fixture *x, const char *name)
{
    struct segment_header h;
    uint8_t block[BLOCK];
    struct byte_writer w = byte_writer(block + SEGMENT_HEADER_SIZE - 8, 8);
    struct file *f;
    size_t n;
    assert_int_equal(file_open(log_path(x, name), FILE_READ, &f), 0);
    assert_int_equal(file_read_at(f, block, BLOCK, 0, &n), 0);
    file_close(f);
    assert_int_equal(segment_header_decode(block, BLOCK, &h), 0);
    assert_int_equal(h.begun_ms, x->clock_ms);
    h.begun_ms = 0;
    segment_header_encode(&h, block, BLOCK);
    block[8] = 1;
    byte_put_u64(&w, checksum(block, SEGMENT_HEADER_SIZE - 8, 0));
    change(log_path(x, name), 0, block, BLOCK);
}

static void test_recover_version_1_is_read_and_goes_on(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    struct raftlog_file files[4];
    x->clock_ms = UINT64_C(1700000000000);
    build(x, 20, &s); /* two segments */
    make_version_1(x, s.first);
    make_version_1(x, s.tail);
    x->clock_ms += 60000;
    fixture_open(x);
    fixture_check_bounds(x, 1, 20);
    fixture_check_range(x, 1, 20, 1, 3000);
    assert_int_equal(raftlog_sealed_before(x->log, 1), 0); /* as of now */
    for (uint64_t i = 21; i <= 30; i++) {
        fixture_append_durable(x, i, 1, 1, 3000); /* a third one */
    }
    fixture_crash(x);
    x->clock_ms += 60000;
    fixture_open(x);
    fixture_check_range(x, 1, 30, 1, 3000);
    /* The second was sealed when the third was begun, a minute ago; of the
     * first nothing is known but that it is not younger. */
    assert_int_equal(raftlog_files(x->log, files, 4), 3);
    assert_int_equal(files[0].sealed_ms, 60000);
    assert_int_equal(files[1].sealed_ms, 60000);
    fixture_close_log(x);
    fixture_open(x);
    fixture_check_bounds(x, 1, 30);
}

static void test_recover_bad_header(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    struct file *f;
    build(x, 30, &s);
    for (uint64_t at = 0; at < SEGMENT_HEADER_SIZE; at++) {
        if (at >= 8 && at < 12) {
            continue;
        }
        flip(log_path(x, s.second), at);
        expect_refused(x, RECOVER_BAD_HEADER, s.second);
        flip(log_path(x, s.second), at);
    }
    assert_int_equal(file_open(log_path(x, s.first), FILE_WRITE, &f), 0);
    assert_int_equal(file_truncate(f, FIXTURE_SEGMENT / 2), 0);
    file_close(f);
    expect_refused(x, RECOVER_BAD_HEADER, "shorter");
}

static void test_recover_extra(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char other[2][PATH];
    uint8_t *data;
    size_t size;
    build(x, 30, &s);
    /* A copy under another index, and one under another id: the name
     * contradicts the header. */
    snprintf(other[0], PATH, "%020d-%s", 7, strchr(s.tail, '-') + 1);
    snprintf(other[1], PATH, "%.21s%010d.seg", s.tail, 999);
    data = read_whole(log_path(x, s.tail), &size);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(file_replace(log_path(x, other[i]), data, size), 0);
        expect_refused(x, RECOVER_EXTRA, other[i]);
        assert_int_equal(file_unlink(log_path(x, other[i])), 0);
    }
    free(data);
    fixture_open(x);
}

static void test_recover_missing(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 60, &s);
    /* The first, or one in the middle. */
    expect_refused_without(x, log_path(x, s.first), RECOVER_MISSING, "missing");
    expect_refused_without(x, log_path(x, s.second), RECOVER_MISSING,
                           "missing");
    fixture_open(x);
    fixture_check_range(x, 1, 60, 1, 3000);
}

/* The newest: known from the watermark in the hard state of a clean close. */
static void test_recover_missing_last(void **state)
{
    struct fixture *x = *state;
    char tail[PATH];
    fixture_open(x);
    fixture_append_each(x, 1, 30, 1, 3000);
    tail_path(x, tail);
    fixture_close_log(x);
    expect_refused_without(x, tail, RECOVER_ROT, "durable");
    fixture_open(x);
    fixture_check_range(x, 1, 30, 1, 3000);
}

static void test_recover_leftover(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char path[PATH];
    uint8_t *data;
    size_t size;
    build(x, 60, &s);
    data = read_whole(log_path(x, s.first), &size);
    snprintf(path, sizeof path, "%s", log_path(x, s.first));
    fixture_open(x);
    raftlog_release(x->log, 40);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->n_segments, 2);
    fixture_crash(x);
    /* The first one is back, the second is not: names of a file system that
     * lost some of the renames. */
    assert_int_equal(file_replace(path, data, size), 0);
    free(data);
    expect_opened(x, RECOVER_LEFTOVER, 37, 60);
    fixture_check_range(x, 37, 60, 1, 3000);
}

static void test_recover_empty_last(void **state)
{
    struct fixture *x = *state;
    struct held_job rotation;
    uint64_t i;
    fixture_open(x);
    i = fixture_append_until_rotating(x);
    rotation = job_list_take(&x->jobs, 0);
    rotation.work(rotation.arg); /* the rotation happens, and then */
    raftlog_abandon(x->log);     /* the process ends */
    x->log = NULL;
    rotation.done(rotation.arg);
    assert_int_equal(x->jobs.n, 0);
    expect_opened(x, RECOVER_EMPTY_LAST, 1, i - 1);
    fixture_append_durable(x, i, 1, 1, 3000);
    fixture_check_range(x, 1, i, 1, 3000);
}

/* A pool file that a live segment still uses must not be written to. */
static void test_recover_pool_copy_of_a_live_segment_is_removed(void **state)
{
    struct fixture *x = *state;
    static const char *const copies[] = {"pool/0000000900.free",
                                         "pool/0000000901.tmp"};
    struct scene s;
    uint8_t *data;
    size_t size;
    build(x, 3, &s);
    data = read_whole(log_path(x, s.tail), &size);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(file_replace(log_path(x, copies[i]), data, size), 0);
    }
    free(data);
    fixture_open(x);
    for (unsigned i = 0; i < 2; i++) {
        bool exists = true;
        assert_int_equal(file_exists(log_path(x, copies[i]), &exists), 0);
        assert_false(exists);
    }
}

/* ---- the pure part --------------------------------------------------------*/
static void test_recover_judge_tail_is_total_and_never_cuts_evidence(void **s)
{
    (void)s;
    for (unsigned bits = 0; bits < 128; bits++) {
        struct recover_tail t = {bits & 1,  bits & 2,  bits & 4, bits & 8,
                                 bits & 16, bits & 32, bits & 64};
        enum recover_case c;
        if (t.continues || (t.body_sound && !t.header_sound)) {
            continue; /* a good frame; and a body needs a header */
        }
        c = recover_judge_tail(&t);
        if (recover_case_code(c) == 0 && c != RECOVER_SEALED) {
            assert_true(t.last_segment);
            assert_false(t.evidence);
        }
        if (c == RECOVER_SEALED) {
            assert_true(t.next_continues && !t.last_segment);
        }
        if (c == RECOVER_END) {
            assert_false(t.later);
        }
        assert_true(c == RECOVER_SEALED || c == RECOVER_END ||
                    c == RECOVER_LOST || c == RECOVER_TORN ||
                    c == RECOVER_ROT || c == RECOVER_MISPLACED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_recover_new),
        fixture_test(test_recover_half_created),
        fixture_test(test_recover_segments_gone),
        fixture_test(test_recover_hard_gone),
        fixture_test(test_recover_other_cluster),
        fixture_test(test_recover_other_cluster_segment),
        fixture_test(test_recover_newer_version),
        fixture_test(test_recover_version_1_is_read_and_goes_on),
        fixture_test(test_recover_bad_header),
        fixture_test(test_recover_extra),
        fixture_test(test_recover_missing),
        fixture_test(test_recover_missing_last),
        fixture_test(test_recover_leftover),
        fixture_test(test_recover_empty_last),
        fixture_test(test_recover_pool_copy_of_a_live_segment_is_removed),
        fixture_test(test_recover_judge_tail_is_total_and_never_cuts_evidence),
    };
    return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}
