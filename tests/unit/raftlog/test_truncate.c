/* Truncation of a suffix and reset: logged acts, and the clamp of writes that
 * are in flight (raftlog_durable_index). */
#include "tests/unit/raftlog/log_fixture.h"

static void test_truncate_of_durable_entries_survives_a_crash(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    fixture_append_durable(x, 5, 2, 2, 100);
    fixture_check_bounds(x, 1, 6);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 6);
    fixture_check_range(x, 1, 4, 1, 100);
    fixture_check_range(x, 5, 6, 2, 100);
}

static void test_truncate_lost_before_its_write_leaves_the_old_tail(void **s)
{
    struct fixture *x = *s;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    /* A hard state in flight keeps the frame back: the crash comes first. */
    assert_int_equal(raftlog_set_hard_state(x->log, 2, 1), 0);
    assert_int_equal(fixture_append(x, 5, 2, 2, 100), 0);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 10);
    fixture_check_range(x, 1, 10, 1, 100);
}

static void test_truncate_moves_durable_index_and_epoch_at_once(void **state)
{
    struct fixture *x = *state;
    uint64_t epoch;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    epoch = raftlog_epoch(x->log);
    assert_int_equal(fixture_append(x, 5, 1, 2, 100), 0);
    assert_int_equal(raftlog_durable_index(x->log), 4);
    assert_int_equal(raftlog_last_index(x->log), 5);
    assert_int_equal(raftlog_term(x->log, 5), 2);
    assert_int_equal(raftlog_term(x->log, 6), 0);
    assert_true(raftlog_epoch(x->log) > epoch);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 5);
}

static void test_truncate_clamps_the_write_in_flight(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 1, 10, 1, 100), 0);
    assert_true(x->log->frame.active);
    assert_int_equal(fixture_append(x, 5, 6, 1, 100), 0); /* same terms! */
    /* Only the first write completes: 1..4 count, 5..10 are other entries
     * of the same index and term, and have a write of their own. */
    (void)file_queue_wait(x->log->queue, 10000);
    commit_reap(x->log);
    assert_int_equal(raftlog_durable_index(x->log), 4);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 10);
    fixture_restart(x);
    fixture_check_range(x, 1, 10, 1, 100);
}

static void test_truncate_below_the_write_in_flight_drops_it(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    assert_int_equal(fixture_append(x, 11, 5, 1, 100), 0);
    assert_true(x->log->frame.active);
    assert_int_equal(fixture_append(x, 3, 2, 2, 50), 0);
    (void)file_queue_wait(x->log->queue, 10000);
    commit_reap(x->log);
    assert_int_equal(raftlog_durable_index(x->log), 2);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 4);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 4);
    fixture_check_range(x, 1, 2, 1, 100);
    fixture_check_range(x, 3, 4, 2, 50);
}

static void test_truncate_of_entries_in_no_frame_needs_no_act(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 1, 4, 1, 100), 0);
    assert_int_equal(fixture_append(x, 5, 4, 1, 100), 0);
    assert_int_equal(fixture_append(x, 7, 1, 2, 100), 0);
    assert_false(x->log->truncate_pending);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 7);
    fixture_restart(x);
    fixture_check_range(x, 1, 6, 1, 100);
    fixture_check_range(x, 7, 7, 2, 100);
}

static void test_truncate_twice_before_a_frame_goes_to_the_lower_one(void **s)
{
    struct fixture *x = *s;
    fixture_open(x);
    fixture_append_durable(x, 1, 20, 1, 10);
    assert_int_equal(raftlog_set_hard_state(x->log, 2, 1), 0);
    assert_int_equal(fixture_append(x, 15, 3, 2, 10), 0);
    assert_int_equal(fixture_append(x, 10, 3, 3, 10), 0);
    assert_int_equal(fixture_append(x, 12, 3, 4, 10), 0);
    fixture_settle(x);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 14);
    fixture_check_range(x, 1, 9, 1, 10);
    fixture_check_range(x, 10, 11, 3, 10);
    fixture_check_range(x, 12, 14, 4, 10);
}

static void test_truncate_back_into_an_older_segment(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_each(x, 1, 60, 1, 3000);
    fixture_append_durable(x, 7, 1, 2, 3000);
    fixture_append_each(x, 8, 70, 2, 3000);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 70);
    fixture_check_range(x, 1, 6, 1, 3000);
    fixture_check_range(x, 7, 70, 2, 3000);
}

static void test_truncate_during_a_rotation(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    /* The new segment was planned for an entry that is cut off. */
    assert_true(fixture_append_until_rotating(x) > 3);
    assert_int_equal(fixture_append(x, 3, 2, 2, 100), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 4);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 4);
    fixture_check_range(x, 1, 2, 1, 3000);
    fixture_check_range(x, 3, 4, 2, 100);
    raftlog_release(x->log, 4);
    fixture_tick(x);
    fixture_tick(x);
    fixture_restart(x);
    fixture_check_bounds(x, 3, 4); /* whole segments only */
    fixture_check_range(x, 3, 4, 2, 100);
}

static void test_reset_forgets_everything_and_survives_a_crash(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    assert_int_equal(raftlog_reset(x->log, 100, 7), 0);
    fixture_check_bounds(x, 101, 100);
    assert_int_equal(raftlog_durable_index(x->log), 100);
    assert_int_equal(raftlog_term(x->log, 100), 7);
    assert_int_equal(raftlog_term(x->log, 10), 0);
    fixture_settle(x);
    fixture_restart(x);
    fixture_check_bounds(x, 101, 100);
    assert_int_equal(raftlog_term(x->log, 100), 7);
    fixture_append_durable(x, 101, 5, 7, 100);
    fixture_restart(x);
    fixture_check_range(x, 101, 105, 7, 100);
}

static void test_reset_with_entries_is_one_frame(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats before;
    struct raftlog_stats after;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    raftlog_get_stats(x->log, &before);
    assert_int_equal(raftlog_set_hard_state(x->log, 9, 1), 0);
    assert_int_equal(raftlog_reset(x->log, 5, 8), 0);
    assert_int_equal(fixture_append(x, 6, 3, 9, 100), 0);
    fixture_settle(x);
    raftlog_get_stats(x->log, &after);
    assert_int_equal(after.n_frames, before.n_frames + 1);
    fixture_restart(x);
    fixture_check_bounds(x, 6, 8);
    fixture_check_range(x, 6, 8, 9, 100);
    assert_int_equal(raftlog_term(x->log, 5), 8);
}

static void test_reset_drops_the_write_in_flight(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 1, 10, 1, 100), 0);
    assert_true(x->log->frame.active);
    assert_int_equal(raftlog_reset(x->log, 3, 5), 0);
    assert_int_equal(raftlog_durable_index(x->log), 3);
    (void)file_queue_wait(x->log->queue, 10000);
    commit_reap(x->log);
    assert_int_equal(raftlog_durable_index(x->log), 3);
    fixture_settle(x);
    fixture_check_bounds(x, 4, 3);
    assert_int_equal(fixture_append(x, 3, 1, 5, 10), ERR_GAP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_truncate_of_durable_entries_survives_a_crash),
        fixture_test(test_truncate_lost_before_its_write_leaves_the_old_tail),
        fixture_test(test_truncate_moves_durable_index_and_epoch_at_once),
        fixture_test(test_truncate_clamps_the_write_in_flight),
        fixture_test(test_truncate_below_the_write_in_flight_drops_it),
        fixture_test(test_truncate_of_entries_in_no_frame_needs_no_act),
        fixture_test(test_truncate_twice_before_a_frame_goes_to_the_lower_one),
        fixture_test(test_truncate_back_into_an_older_segment),
        fixture_test(test_truncate_during_a_rotation),
        fixture_test(test_reset_forgets_everything_and_survives_a_crash),
        fixture_test(test_reset_with_entries_is_one_frame),
        fixture_test(test_reset_drops_the_write_in_flight),
    };
    return cmocka_run_group_tests_name("truncate", tests, NULL, NULL);
}
