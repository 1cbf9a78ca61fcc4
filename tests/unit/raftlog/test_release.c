/* Releasing a prefix: segments go to the pool after a durable frame says so,
 * and are used again. */
#include "tests/unit/raftlog/log_fixture.h"

/* 60 entries in five segments. */
static void fill(struct fixture *x)
{
    fixture_open(x);
    fixture_append_each(x, 1, 60, 1, 3000);
    assert_int_equal(x->log->n_segments, 5);
}

static void test_release_hides_entries_at_once(void **state)
{
    struct fixture *x = *state;
    struct raftlog_entry e;
    fill(x);
    raftlog_release(x->log, 30);
    fixture_check_bounds(x, 31, 60);
    assert_int_equal(raftlog_get(x->log, 30, &e), ERR_NOTFOUND);
    assert_int_equal(raftlog_term(x->log, 30), 1);
    assert_int_equal(raftlog_term(x->log, 29), 0);
    assert_int_equal(fixture_append(x, 30, 1, 1, 10), ERR_GAP);
    raftlog_release(x->log, 10); /* going back changes nothing */
    fixture_check_bounds(x, 31, 60);
}

static void test_release_keeps_segments_until_a_frame_says_so(void **state)
{
    struct fixture *x = *state;
    fill(x);
    raftlog_release(x->log, 40);
    assert_int_equal(x->log->n_segments, 5);
    x->hold_jobs = true;
    raftlog_tick(x->log);
    assert_int_equal(x->log->n_segments, 5);
    assert_true(x->log->frame.active);
    fixture_settle(x);
    assert_int_equal(x->log->n_segments, 2);
    x->hold_jobs = false;
    fixture_settle(x);
    assert_true(x->log->n_pool >= 3);
    fixture_restart(x);
    assert_int_equal(x->report.n_segments, 2);
    assert_true(x->report.first_index <= 41);
    assert_int_equal(x->report.last_index, 60);
    fixture_check_range(x, x->report.first_index, 60, 1, 3000);
}

static void test_release_interrupted_is_finished_by_recovery(void **state)
{
    struct fixture *x = *state;
    fill(x);
    raftlog_release(x->log, 40);
    x->hold_jobs = true;
    raftlog_tick(x->log);
    fixture_settle(x);
    assert_int_equal(x->log->n_segments, 2);
    fixture_crash(x); /* the job never ran: cancelled */
    fixture_open(x);
    assert_true(fixture_recovered_as(x, RECOVER_LEFTOVER));
    assert_int_equal(x->report.n_segments, 2);
    assert_int_equal(x->report.last_index, 60);
    fixture_check_range(x, x->report.first_index, 60, 1, 3000);
    fixture_restart(x);
    assert_false(fixture_recovered_as(x, RECOVER_LEFTOVER));
}

static void test_release_recycles_files_with_stale_frames(void **state)
{
    struct fixture *x = *state;
    fill(x);
    for (uint64_t i = 61; i <= 400; i++) {
        fixture_append_durable(x, i, 1, 1 + i / 100, 3000);
        raftlog_release(x->log, i - 20);
        fixture_tick(x);
    }
    assert_true(x->log->n_segments <= 4);
    assert_true(x->log->n_pool <= 5);
    fixture_restart(x);
    assert_int_equal(x->report.last_index, 400);
    assert_int_equal(x->report.torn_bytes, 0);
    fixture_check_range(x, 390, 399, 4, 3000);
    assert_true(x->report.first_index <= 381);
}

static void test_release_everything_leaves_an_empty_log(void **state)
{
    struct fixture *x = *state;
    fill(x);
    raftlog_release(x->log, 1000); /* clipped to the durable index */
    fixture_check_bounds(x, 61, 60);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->n_segments, 1);
    fixture_append_durable(x, 61, 1, 3, 10);
    fixture_restart(x);
    assert_int_equal(x->report.last_index, 61);
    assert_int_equal(raftlog_term(x->log, 60), 1);
    fixture_check_range(x, 61, 61, 3, 10);
}

static void test_release_after_reset_lets_longer_segments_go(void **state)
{
    struct fixture *x = *state;
    fill(x);
    assert_int_equal(raftlog_reset(x->log, 30, 2), 0);
    fixture_settle(x);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->n_segments, 1);
    fixture_restart(x);
    fixture_check_bounds(x, 31, 30);
}

static void test_release_waits_for_a_durable_truncation(void **state)
{
    struct fixture *x = *state;
    fill(x);
    /* Entries 60.. down to 6 are cut off, but not durably. */
    assert_int_equal(raftlog_set_hard_state(x->log, 2, 1), 0);
    assert_int_equal(fixture_append(x, 6, 1, 2, 10), 0);
    raftlog_release(x->log, 6);
    fixture_check_bounds(x, 6, 6); /* clipped to 5 */
    assert_int_equal(x->log->oldest_wanted, x->log->segments->id);
    fixture_settle(x);
    raftlog_release(x->log, 6);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->n_segments, 1);
    fixture_restart(x);
    assert_int_equal(x->report.last_index, 6);
    assert_int_equal(raftlog_term(x->log, 6), 2);
}

static void test_release_pool_is_bounded(void **state)
{
    struct fixture *x = *state;
    x->options.n_pooled_max = 2;
    fill(x);
    raftlog_release(x->log, 60);
    fixture_tick(x);
    fixture_tick(x);
    assert_int_equal(x->log->n_segments, 1);
    assert_true(x->log->n_pool <= 2);
    fixture_restart(x);
    assert_true(x->log->n_pool <= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_release_hides_entries_at_once),
        fixture_test(test_release_keeps_segments_until_a_frame_says_so),
        fixture_test(test_release_interrupted_is_finished_by_recovery),
        fixture_test(test_release_recycles_files_with_stale_frames),
        fixture_test(test_release_everything_leaves_an_empty_log),
        fixture_test(test_release_after_reset_lets_longer_segments_go),
        fixture_test(test_release_waits_for_a_durable_truncation),
        fixture_test(test_release_pool_is_bounded),
    };
    return cmocka_run_group_tests_name("release", tests, NULL, NULL);
}
