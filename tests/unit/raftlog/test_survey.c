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

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_survey_files_partition_the_entries),
        fixture_test(test_survey_frame_bytes_are_those_behind_an_entry),
        fixture_test(test_survey_empty_log_has_one_empty_file),
        fixture_test(test_survey_room_is_kept_on_a_full_disk),
        fixture_test(test_survey_wait_ends_with_a_completion),
    };
    return cmocka_run_group_tests_name("survey", tests, NULL, NULL);
}
