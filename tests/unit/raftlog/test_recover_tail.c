/* The rows of the recovery table (raftlog/recover.h) that are about the end of
 * a segment: what is cut as torn, and what is proof of damage. */
#include "tests/unit/raftlog/recover_fixture.h"

enum { SECTOR = 512 };

static void test_recover_sealed_and_end(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 60, &s);
    expect_opened(x, RECOVER_SEALED, 1, 60);
    assert_true(fixture_recovered_as(x, RECOVER_END));
    fixture_check_range(x, 1, 60, 1, 3000);
}

static void test_recover_torn_is_cut_and_kept_aside(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char path[PATH];
    uint8_t *tail;
    uint8_t *kept;
    size_t size;
    fixture_open(x);
    fixture_append_durable(x, 1, 5, 1, 100);
    fixture_append_durable(x, 6, 3, 1, 8000);
    memcpy(s.tail, x->log->active->name, SEGMENT_NAME_MAX);
    fixture_crash(x);
    flip(log_path(x, s.tail), 2 * BLOCK + 20000);
    tail = read_whole(log_path(x, s.tail), &size);
    fixture_open(x);
    assert_true(fixture_recovered_as(x, RECOVER_TORN));
    assert_int_equal(x->report.torn_bytes, 6 * BLOCK);
    snprintf(path, sizeof path, "%s/%s", x->dir.path, x->report.torn_path);
    kept = read_whole(path, &size);
    assert_int_equal(size, 6 * BLOCK);
    assert_memory_equal(kept, tail + 2 * BLOCK, size);
    free(kept);
    free(tail);
    fixture_check_bounds(x, 1, 5);
    fixture_check_range(x, 1, 5, 1, 100);
    fixture_crash(x);
    expect_opened(x, RECOVER_END, 1, 5);
    fixture_append_durable(x, 6, 1, 2, 10);
    fixture_restart(x);
    fixture_check_range(x, 6, 6, 2, 10);
}

static void test_recover_torn_with_a_full_disk_opens_all_the_same(void **s)
{
    struct fixture *x = *s;
    char tail[PATH];
    fixture_open(x);
    fixture_append_durable(x, 1, 2, 1, 3000);
    tail_path(x, tail);
    fixture_crash(x);
    flip(tail, BLOCK + 4000);
    fault_file_arm(FAULT_WRITE, 1, ERR_NOSPACE, FAULT_ONCE);
    fixture_open(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->report.torn_bytes, 2 * BLOCK);
    assert_string_equal(x->report.torn_path, "");
    fixture_check_bounds(x, 1, 0);
}

static void test_recover_torn_files_are_bounded(void **state)
{
    struct fixture *x = *state;
    unsigned n = 0;
    DIR *d;
    struct dirent *e;
    for (uint64_t i = 1; i <= 12; i++) {
        char tail[PATH];
        uint64_t end;
        fixture_open(x);
        fixture_append_durable(x, i, 1, 1, 10);
        end = x->log->active->end;
        fixture_append_durable(x, i + 1, 1, 1, 3000);
        tail_path(x, tail);
        fixture_crash(x);
        flip(tail, end + 2000);
    }
    fixture_open(x);
    d = opendir(log_path(x, ""));
    while ((e = readdir(d)) != NULL) {
        n += strncmp(e->d_name, "torn-", 5) == 0;
    }
    closedir(d);
    assert_true(n >= 8 && n <= 9);
}

/* The last frame of a script with every subset of its sectors missing, old
 * content being zeroes or a frame of the file's former life: it is there as a
 * whole or not at all. */
static void every_torn_write(struct fixture *x, bool recycled)
{
    uint8_t old[4 * BLOCK];
    uint8_t *whole;
    char tail[PATH];
    uint64_t offset;
    uint64_t last;
    size_t size;
    fixture_open(x);
    for (last = 1; last <= (recycled ? 60 : 5); last++) {
        fixture_append_durable(x, last, 1, 1, 3000);
        raftlog_release(x->log, last > 3 ? last - 3 : 0);
        fixture_tick(x);
        fixture_tick(x);
    }
    while (x->log->active->end > FIXTURE_SEGMENT / 2) {
        fixture_append_durable(x, last++, 1, 1, 3000);
    }
    offset = x->log->active->end;
    tail_path(x, tail);
    whole = read_whole(tail, &size);
    memcpy(old, whole + offset, sizeof old);
    free(whole);
    fixture_append_durable(x, last, 2, 1, 3000);
    fixture_crash(x);
    whole = read_whole(tail, &size);
    /* 6,120 bytes in 12 of 16 sectors: all prefixes and suffixes, each single
     * sector, and pseudo-random subsets. */
    for (unsigned step = 0; step < 16 + 16 + 16 + 40; step++) {
        uint32_t lost = step < 16   ? 0xffffu << step
                        : step < 32 ? 0xffffu >> (step - 16)
                        : step < 48 ? 1u << (step - 32)
                                    : step * 2654435761u >> 7;
        change(tail, offset, whole + offset, 2 * BLOCK);
        for (unsigned i = 0; i < 16; i++) {
            if (lost >> i & 1) {
                change(tail, offset + i * SECTOR, old + i * SECTOR, SECTOR);
            }
        }
        fixture_open(x);
        fixture_check_range(x, last - 1, last - 1, 1, 3000);
        if ((lost & 0xfff) != 0 || raftlog_last_index(x->log) < last) {
            assert_true((lost & 0xffff) != 0);
            assert_int_equal(raftlog_last_index(x->log), last - 1);
        } else {
            assert_int_equal(raftlog_last_index(x->log), last + 1);
            fixture_check_range(x, last, last + 1, 1, 3000);
        }
        fixture_crash(x);
    }
    free(whole);
    fixture_open(x);
}

static void test_recover_every_torn_write_in_a_new_segment(void **state)
{
    every_torn_write(*state, false);
}

static void test_recover_every_torn_write_in_a_recycled_segment(void **state)
{
    every_torn_write(*state, true);
}

static void test_recover_rot_in_a_sealed_segment(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    char words[64];
    build(x, 30, &s);
    flip(log_path(x, s.first), 3 * BLOCK + 700);
    snprintf(words, sizeof words, "offset %d", 3 * BLOCK);
    expect_refused(x, RECOVER_ROT, words);
    flip(log_path(x, s.first), 3 * BLOCK + 700);
    zero(log_path(x, s.first), 2 * BLOCK, BLOCK);
    expect_refused(x, RECOVER_ROT, "entry 2");
}

static void test_recover_rot_before_a_later_frame(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    build(x, 6, &s);
    flip(log_path(x, s.tail), 3 * BLOCK + 700);
    expect_refused(x, RECOVER_ROT,
                   "offset 12288: frame 3, which begins with "
                   "entry 3");
    flip(log_path(x, s.tail), 3 * BLOCK + 700);
    flip(log_path(x, s.tail), 3 * BLOCK + 2); /* its header */
    expect_refused(x, RECOVER_ROT, s.tail);
    flip(log_path(x, s.tail), 3 * BLOCK + 2);
    expect_opened(x, RECOVER_END, 1, 6);
}

/* The last frame, once the idle log has recorded the watermark. */
static void test_recover_rot_below_the_watermark_of_an_idle_log(void **state)
{
    struct fixture *x = *state;
    char tail[PATH];
    fixture_open(x);
    fixture_append_durable(x, 1, 1, 1, 3000);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->stats.n_frames, 2);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->stats.n_frames, 2); /* once is enough */
    tail_path(x, tail);
    fixture_crash(x);
    flip(tail, BLOCK + 700);
    expect_refused(x, RECOVER_ROT, "entry 1");
    flip(tail, BLOCK + 700);
    /* Damage to the watermark's own frame loses nothing. */
    flip(tail, 2 * BLOCK + 700);
    fixture_open(x);
    fixture_check_range(x, 1, 1, 1, 3000);
}

/* The hard state's watermark covers a log whose newest frame is gone. */
static void test_recover_rot_below_the_watermark_of_the_hard_state(void **s)
{
    struct fixture *x = *s;
    char tail[PATH];
    fixture_open(x);
    fixture_append_durable(x, 1, 1, 1, 3000);
    assert_int_equal(raftlog_set_hard_state(x->log, 2, 2), 0);
    fixture_settle(x);
    tail_path(x, tail);
    fixture_crash(x);
    zero(tail, BLOCK, BLOCK);
    expect_refused(x, RECOVER_ROT, "entry 1");
}

static void test_recover_misplaced(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint8_t *data;
    size_t size;
    build(x, 6, &s);
    data = read_whole(log_path(x, s.tail), &size);
    /* A sound frame of this segment at another place: a misdirected write. */
    change(log_path(x, s.tail), 3 * BLOCK, data + 5 * BLOCK, BLOCK);
    expect_refused(x, RECOVER_MISPLACED, "another one stands there");
    free(data);
}

/* A sound frame whose header says something that can not follow: another
 * chain, a gap, a truncation without the flag, another term before it. */
static void test_recover_misplaced_by_what_the_header_says(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint8_t *data;
    size_t size;
    build(x, 6, &s);
    data = read_whole(log_path(x, s.tail), &size);
    for (int how = 0; how < 4; how++) {
        uint8_t frame[BLOCK];
        struct frame_header h;
        memcpy(frame, data + 6 * BLOCK, BLOCK);
        assert_int_equal(
            frame_header_decode(frame, BLOCK, x->options.cluster_id, &h), 0);
        h.previous_checksum ^= how == 0;
        h.first_index += how == 1;
        h.first_index -= how == 2;
        h.previous_term += how == 3;
        frame_seal(&h, x->options.cluster_id, frame);
        change(log_path(x, s.tail), 6 * BLOCK, frame, BLOCK);
        expect_refused(x, RECOVER_MISPLACED, "offset 24576");
    }
    change(log_path(x, s.tail), 6 * BLOCK, data + 6 * BLOCK, BLOCK);
    free(data);
    expect_opened(x, RECOVER_END, 1, 6);
}

/* Flip one bit at every 37th offset of a small log whose watermark is
 * recorded: opened with everything, or refused; never less. */
static void test_recover_offset_sweep_never_loses_silently(void **state)
{
    struct fixture *x = *state;
    char tail[PATH];
    uint64_t end;
    unsigned n_refused = 0;
    fixture_open(x);
    fixture_append_durable(x, 1, 2, 1, 3000);
    fixture_append_durable(x, 3, 2, 1, 3000);
    end = x->log->active->end;
    tail_path(x, tail);
    fixture_close_log(x);
    for (uint64_t at = 0; at < end; at += 37) {
        int rv;
        flip(tail, at);
        rv = fixture_try_open(x);
        if (rv == 0) {
            fixture_check_bounds(x, 1, 4);
            fixture_check_range(x, 1, 4, 1, 3000);
            fixture_crash(x);
        } else {
            assert_true(rv == ERR_CORRUPT || rv == ERR_VERSION);
            n_refused++;
        }
        flip(tail, at);
    }
    assert_true(n_refused >= (end - BLOCK) / 37 - 1);
    fixture_open(x);
}

/* Frames of the file's last life stand behind the end: nothing is torn, and
 * nothing is lost. */
static void test_recover_recycled_segment_ends_where_it_ends(void **state)
{
    struct fixture *x = *state;
    uint64_t next = 1;
    fixture_open(x);
    for (unsigned i = 0; i < 100; i++) {
        fixture_append_durable(x, next++, 1, 1, 3000);
        raftlog_release(x->log, next - 2);
        fixture_tick(x);
    }
    for (unsigned i = 0; i < 20; i++) { /* wherever the end is */
        fixture_append_durable(x, next++, 1, 1, 3000);
        fixture_restart(x);
        assert_int_equal(x->report.torn_bytes, 0);
        assert_false(fixture_recovered_as(x, RECOVER_LOST));
    }
    assert_int_equal(raftlog_last_index(x->log), next - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_recover_sealed_and_end),
        fixture_test(test_recover_torn_is_cut_and_kept_aside),
        fixture_test(test_recover_torn_with_a_full_disk_opens_all_the_same),
        fixture_test(test_recover_torn_files_are_bounded),
        fixture_test(test_recover_every_torn_write_in_a_new_segment),
        fixture_test(test_recover_every_torn_write_in_a_recycled_segment),
        fixture_test(test_recover_rot_in_a_sealed_segment),
        fixture_test(test_recover_rot_before_a_later_frame),
        fixture_test(test_recover_rot_below_the_watermark_of_an_idle_log),
        fixture_test(test_recover_rot_below_the_watermark_of_the_hard_state),
        fixture_test(test_recover_misplaced),
        fixture_test(test_recover_misplaced_by_what_the_header_says),
        fixture_test(test_recover_offset_sweep_never_loses_silently),
        fixture_test(test_recover_recycled_segment_ends_where_it_ends),
    };
    return cmocka_run_group_tests_name("recover_tail", tests, NULL, NULL);
}
