/* What an owner sees of files and room. */
#include "tests/unit/raftlog/log_fixture.h"

static void test_survey_files_partition_the_entries(void **state)
{
    struct fixture *x = *state;
    struct raftlog_file files[8];
    uint64_t next = 11;
    size_t n;
    fixture_open(x);
    fixture_append_each(x, 1, 60, 1, 3000);
    raftlog_release(x->log, 10);
    n = raftlog_files(x->log, files, 8);
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(files[i].active, i == n - 1);
        assert_int_equal(files[i].file_bytes, FIXTURE_SEGMENT);
        assert_true(files[i].used_bytes <= files[i].file_bytes);
        assert_true(strstr(files[i].name, ".seg") != NULL);
        if (files[i].last_index >= files[i].first_index) {
            assert_int_equal(files[i].first_index, next);
            next = files[i].last_index + 1;
        }
    }
    assert_int_equal(next, 61);
    assert_int_equal(raftlog_files(x->log, files, 0), 5);
}

static void test_survey_frame_bytes_are_those_behind_an_entry(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_int_equal(raftlog_frame_bytes(x->log, 1), 0);
    for (uint64_t i = 1; i <= 40; i++) { /* one block each, 12 in a file */
        fixture_append_durable(x, i, 1, 1, 3000);
    }
    assert_int_equal(raftlog_frame_bytes(x->log, 1), 40 * 4096);
    assert_int_equal(raftlog_frame_bytes(x->log, 31), 10 * 4096);
    assert_int_equal(raftlog_frame_bytes(x->log, 40), 4096);
    assert_int_equal(raftlog_frame_bytes(x->log, 41), 0);
    raftlog_release(x->log, 30);
    assert_int_equal(raftlog_frame_bytes(x->log, 30), 0);
    assert_int_equal(raftlog_frame_bytes(x->log, 31), 10 * 4096);
}

static void test_survey_empty_log_has_one_empty_file(void **state)
{
    struct fixture *x = *state;
    struct raftlog_file file;
    fixture_open(x);
    assert_int_equal(raftlog_files(x->log, &file, 1), 1);
    assert_true(file.active);
    assert_int_equal(file.first_index, 1);
    assert_int_equal(file.last_index, 0);
}

/* Whatever the room was said to be can be appended with the disk full. */
static void test_survey_room_is_kept_on_a_full_disk(void **state)
{
    struct fixture *x = *state;
    uint64_t index = 1;
    for (uint32_t size = 1; size < 9000; size = size * 3 + 7) {
        uint64_t room;
        fixture_fresh_dir(x);
        fixture_open(x);
        fixture_settle(x);
        index = 1;
        room = raftlog_room(x->log, size);
        assert_true(room > FIXTURE_SEGMENT);
        while (room >= size + 16) {
            fault_file_arm(FAULT_FILL, 1, ERR_NOSPACE, FAULT_ONCE);
            assert_int_equal(fixture_append(x, index, 1, 1, size), 0);
            fixture_settle(x);
            assert_int_equal(raftlog_durable_index(x->log), index);
            index++;
            x->now_ms += 1;
            room = raftlog_room(x->log, size);
        }
        (void)fault_file_disarm();
        assert_true(index > 2);
        fixture_close_log(x);
    }
    fixture_open(x);
}

static void test_survey_wait_ends_with_a_completion(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_settle(x);
    assert_int_equal(raftlog_wait(x->log, 0), ERR_AGAIN);
    assert_int_equal(fixture_append(x, 1, 1, 1, 100), 0);
    assert_int_equal(raftlog_wait(x->log, 10000), 0);
    raftlog_poll(x->log);
    assert_int_equal(raftlog_durable_index(x->log), 1);
}

/* ---- ages ---- */

enum { PER_FILE = 12 }; /* entries of one block each */

/* Files of entries 1..12, 13..24, ..., a minute apart. */
static void fill_by_minutes(struct fixture *x, unsigned n_files)
{
    for (uint64_t i = 1; i <= (uint64_t)n_files * PER_FILE; i++) {
        if (i > 1 && i % PER_FILE == 1) {
            x->now_ms += 60000;
            x->clock_ms += x->clock_ms > 0 ? 60000 : 0;
        }
        fixture_append_durable(x, i, 1, 1, 3000);
    }
    assert_int_equal(x->log->n_segments, n_files);
}

/* Sealed 3, 2, 1 and 0 minutes ago; the fifth is written to. */
static void check_by_minutes(struct fixture *x, uint64_t more_ms)
{
    struct raftlog_file files[8];
    assert_int_equal(raftlog_files(x->log, files, 8), 5);
    for (uint64_t i = 0; i < 4; i++) {
        assert_int_equal(files[i].sealed_ms, (3 - i) * 60000 + more_ms);
    }
    assert_int_equal(files[4].sealed_ms, 0);
    assert_int_equal(raftlog_sealed_before(x->log, 120000 + more_ms),
                     2 * PER_FILE);
    assert_int_equal(raftlog_sealed_before(x->log, 120001 + more_ms), PER_FILE);
    assert_int_equal(raftlog_sealed_before(x->log, 180001 + more_ms), 0);
    assert_int_equal(raftlog_sealed_before(x->log, 0), 4 * PER_FILE);
}

static void test_survey_a_file_is_as_old_as_its_seal(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fill_by_minutes(x, 5);
    check_by_minutes(x, 0);
    x->now_ms += 500;
    check_by_minutes(x, 500);
}

/* The monotonic clock begins anew, the wall clock says what has passed. */
static void test_survey_ages_outlive_a_restart(void **state)
{
    struct fixture *x = *state;
    x->clock_ms = UINT64_C(1700000000000);
    fixture_open(x);
    fill_by_minutes(x, 5);
    fixture_close_log(x);
    x->now_ms = 7;
    x->clock_ms += 10000;
    fixture_open(x);
    check_by_minutes(x, 10000);
    fixture_crash(x);
    x->clock_ms += 5000;
    fixture_open(x);
    check_by_minutes(x, 15000);
    x->clock_ms += 3600000; /* set while it runs: of no account */
    check_by_minutes(x, 15000);
}

/* Too young rather than too old. */
static void test_survey_ages_without_a_clock_begin_with_the_log(void **state)
{
    struct fixture *x = *state;
    struct raftlog_file files[8];
    fixture_open(x);
    fill_by_minutes(x, 5);
    fixture_close_log(x);
    x->clock_ms = UINT64_C(1700000000000);
    fixture_open(x);
    assert_int_equal(raftlog_sealed_before(x->log, 1), 0);
    x->now_ms += 1000;
    assert_int_equal(raftlog_files(x->log, files, 8), 5);
    assert_int_equal(files[0].sealed_ms, 1000);
    assert_int_equal(raftlog_sealed_before(x->log, 1000), 4 * PER_FILE);
}

static void test_survey_a_clock_set_back_makes_nothing_older(void **state)
{
    struct fixture *x = *state;
    x->clock_ms = UINT64_C(1700000000000);
    fixture_open(x);
    fill_by_minutes(x, 5);
    fixture_close_log(x);
    x->clock_ms -= 86400000;
    fixture_open(x);
    assert_int_equal(raftlog_sealed_before(x->log, 1), 0);
    assert_int_equal(raftlog_sealed_before(x->log, 0), 4 * PER_FILE);
}

static void test_survey_beyond_counts_files_up_to_an_entry(void **state)
{
    struct fixture *x = *state;
    uint64_t ms;
    fixture_open(x);
    fill_by_minutes(x, 5);
    /* Entry 30 stands in the third file, behind two that are whole. */
    assert_int_equal(raftlog_beyond(x->log, 30, 3 * FIXTURE_SEGMENT), 0);
    assert_int_equal(raftlog_beyond(x->log, 30, 3 * FIXTURE_SEGMENT - 1),
                     PER_FILE);
    assert_int_equal(raftlog_beyond(x->log, 30, FIXTURE_SEGMENT), 2 * PER_FILE);
    assert_int_equal(raftlog_beyond(x->log, 30, 0), 2 * PER_FILE);
    assert_int_equal(raftlog_beyond(x->log, 60, FIXTURE_SEGMENT), 4 * PER_FILE);
    assert_int_equal(raftlog_kept_bytes(x->log, 30, &ms), 2 * FIXTURE_SEGMENT);
    assert_int_equal(ms, 180000);
    assert_int_equal(raftlog_kept_bytes(x->log, 5, &ms), 0);
    assert_int_equal(ms, 0);
    assert_int_equal(raftlog_oldest(x->log, 0), PER_FILE);
    assert_int_equal(raftlog_oldest(x->log, FIXTURE_SEGMENT), PER_FILE);
    assert_int_equal(raftlog_oldest(x->log, FIXTURE_SEGMENT + 1), 2 * PER_FILE);
    assert_int_equal(raftlog_oldest(x->log, UINT64_MAX), 4 * PER_FILE);
    raftlog_release(x->log, 2 * PER_FILE);
    fixture_tick(x);
    assert_int_equal(raftlog_oldest(x->log, 0), 3 * PER_FILE);
    raftlog_release(x->log, 4 * PER_FILE);
    fixture_tick(x);
    assert_int_equal(raftlog_oldest(x->log, 0), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_survey_files_partition_the_entries),
        fixture_test(test_survey_frame_bytes_are_those_behind_an_entry),
        fixture_test(test_survey_empty_log_has_one_empty_file),
        fixture_test(test_survey_room_is_kept_on_a_full_disk),
        fixture_test(test_survey_wait_ends_with_a_completion),
        fixture_test(test_survey_a_file_is_as_old_as_its_seal),
        fixture_test(test_survey_ages_outlive_a_restart),
        fixture_test(test_survey_ages_without_a_clock_begin_with_the_log),
        fixture_test(test_survey_a_clock_set_back_makes_nothing_older),
        fixture_test(test_survey_beyond_counts_files_up_to_an_entry),
    };
    return cmocka_run_group_tests_name("survey", tests, NULL, NULL);
}
