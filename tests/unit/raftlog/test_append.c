/* Appending, group commit, and what is back after a restart. */
#include "tests/unit/raftlog/log_fixture.h"

static void test_append_new_directory_is_empty(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_true(x->report.created);
    assert_true(x->report.clean);
    assert_int_equal(x->report.first_index, 1);
    assert_int_equal(x->report.last_index, 0);
    assert_int_equal(x->report.current_term, 0);
    fixture_check_bounds(x, 1, 0);
    assert_int_equal(raftlog_durable_index(x->log), 0);
    assert_int_equal(raftlog_term(x->log, 0), 0);
}

static void test_append_is_durable_only_after_the_write(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 1, 3, 1, 100), 0);
    assert_int_equal(raftlog_last_index(x->log), 3);
    assert_int_equal(raftlog_durable_index(x->log), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 3);
    assert_true(x->n_progress > 0);
}

static void test_append_survives_a_crash(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_durable(x, 1, 10, 1, 100);
    fixture_append_durable(x, 11, 5, 2, 5000);
    fixture_restart(x);
    assert_false(x->report.created);
    assert_false(x->report.clean);
    fixture_check_bounds(x, 1, 15);
    assert_int_equal(raftlog_durable_index(x->log), 15);
    fixture_check_range(x, 1, 10, 1, 100);
    fixture_check_range(x, 11, 15, 2, 5000);
}

static void test_append_while_a_write_is_in_flight_goes_in_one_frame(void **s)
{
    struct fixture *x = *s;
    struct raftlog_stats stats;
    fixture_open(x);
    for (uint64_t i = 1; i <= 50; i++) {
        assert_int_equal(fixture_append(x, i, 1, 1, 10), 0);
    }
    fixture_settle(x);
    raftlog_get_stats(x->log, &stats);
    assert_int_equal(stats.n_appends, 50);
    assert_int_equal(stats.n_frames, 2);
    assert_int_equal(stats.payload_bytes, 500);
    assert_int_equal(stats.pending_bytes, 0);
    assert_int_equal(raftlog_durable_index(x->log), 50);
}

/* The first frame waits for nothing; what comes while it is written waits for
 * its end, as long as the oldest of it. */
static void test_append_measures_the_wait_for_a_frame(void **state)
{
    struct fixture *x = *state;
    const struct histogram *wait;
    fixture_open(x);
    fixture_settle(x);
    wait = &raftlog_latency(x->log)->wait_us;
    assert_int_equal(fixture_append(x, 1, 1, 1, 100), 0);
    assert_int_equal(wait->n, 1);
    assert_int_equal(wait->max, 0);
    assert_int_equal(fixture_append(x, 2, 1, 1, 100), 0);
    x->now_ms += 3;
    assert_int_equal(fixture_append(x, 3, 1, 1, 100), 0);
    x->now_ms += 4;
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 3);
    assert_int_equal(wait->n, 2);
    assert_int_equal(wait->max, 7000);
    /* Cut off before it was written: the next one waits by itself. */
    assert_int_equal(fixture_append(x, 4, 1, 1, 100), 0);
    assert_int_equal(fixture_append(x, 5, 1, 1, 100), 0);
    x->now_ms += 50;
    assert_int_equal(fixture_append(x, 5, 1, 2, 100), 0);
    x->now_ms += 2;
    fixture_settle(x);
    assert_int_equal(wait->n, 4);
    assert_int_equal(wait->max, 7000);
    assert_int_equal(wait->sum, 9000);
    raftlog_reset_latency(x->log);
    assert_int_equal(raftlog_latency(x->log)->wait_us.n, 0);
}

static void test_append_over_the_batch_limit_is_split(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats stats;
    x->options.batch_bytes_max = 1000;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 1, 10, 1, 400), 0);
    fixture_settle(x);
    raftlog_get_stats(x->log, &stats);
    assert_int_equal(stats.n_frames, 5);
    assert_int_equal(raftlog_durable_index(x->log), 10);
}

static void test_append_across_segments_rotates(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats stats;
    fixture_open(x);
    for (uint64_t i = 1; i <= 60; i++) {
        fixture_append_durable(x, i, 1, 1 + i / 20, 3000);
    }
    raftlog_get_stats(x->log, &stats);
    assert_int_equal(stats.n_segments, 5);
    fixture_restart(x);
    assert_int_equal(x->report.n_segments, 5);
    fixture_check_bounds(x, 1, 60);
    fixture_check_range(x, 1, 19, 1, 3000);
    fixture_check_range(x, 20, 39, 2, 3000);
    fixture_check_range(x, 40, 59, 3, 3000);
    fixture_check_range(x, 60, 60, 4, 3000);
}

static void test_append_entry_over_a_segment_gets_its_own(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_durable(x, 1, 1, 1, 10);
    fixture_append_durable(x, 2, 1, 1, 3 * FIXTURE_SEGMENT);
    fixture_append_durable(x, 3, 1, 1, 10);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 3);
    fixture_check_range(x, 1, 1, 1, 10);
    fixture_check_range(x, 2, 2, 1, 3 * FIXTURE_SEGMENT);
    fixture_check_range(x, 3, 3, 1, 10);
}

static void test_append_empty_payload_is_kept(void **state)
{
    struct fixture *x = *state;
    struct raftlog_entry e = {.term = 7, .kind = 2};
    fixture_open(x);
    assert_int_equal(raftlog_append(x->log, 1, &e, 1), 0);
    fixture_settle(x);
    fixture_restart(x);
    fixture_check_bounds(x, 1, 1);
    assert_int_equal(raftlog_term(x->log, 1), 7);
}

static void test_append_with_a_gap_is_refused(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 2, 1, 1, 10), ERR_GAP);
    assert_int_equal(fixture_append(x, 0, 1, 1, 10), ERR_GAP);
    assert_int_equal(raftlog_last_index(x->log), 0);
}

static void test_append_too_big_an_entry_is_refused(void **state)
{
    struct fixture *x = *state;
    struct raftlog_entry e = {.term = 1, .size = RAFTLOG_ENTRY_BYTES_MAX + 1};
    fixture_open(x);
    assert_int_equal(raftlog_append(x->log, 1, &e, 1), ERR_TOOBIG);
    assert_int_equal(raftlog_last_index(x->log), 0);
}

static void test_append_hard_state_is_durable_before_later_entries(void **s)
{
    struct fixture *x = *s;
    fixture_open(x);
    assert_int_equal(raftlog_set_hard_state(x->log, 5, 2), 0);
    assert_int_equal(fixture_append(x, 1, 1, 5, 10), 0);
    assert_false(raftlog_hard_state_durable(x->log));
    /* The frame must not even be on its way. */
    assert_false(x->log->frame.active);
    fixture_settle(x);
    assert_true(raftlog_hard_state_durable(x->log));
    assert_int_equal(raftlog_durable_index(x->log), 1);
    fixture_restart(x);
    assert_int_equal(x->report.current_term, 5);
    assert_int_equal(x->report.voted_for, 2);
}

static void test_append_hard_states_are_coalesced(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    for (uint64_t term = 1; term <= 20; term++) {
        assert_int_equal(raftlog_set_hard_state(x->log, term, 1), 0);
    }
    fixture_turn(x);
    fixture_turn(x);
    assert_true(raftlog_hard_state_durable(x->log));
    fixture_restart(x);
    assert_int_equal(x->report.current_term, 20);
}

static void test_append_close_writes_what_is_queued_and_marks_clean(void **s)
{
    struct fixture *x = *s;
    fixture_open(x);
    for (uint64_t i = 1; i <= 40; i++) {
        assert_int_equal(fixture_append(x, i, 1, 1, 3000), 0);
    }
    assert_int_equal(raftlog_set_hard_state(x->log, 3, 1), 0);
    fixture_close_log(x);
    fixture_open(x);
    assert_true(x->report.clean);
    fixture_check_bounds(x, 1, 40);
    fixture_check_range(x, 1, 40, 1, 3000);
    assert_int_equal(x->report.current_term, 3);
    fixture_restart(x);
    assert_true(x->report.clean); /* nothing was written in between */
    fixture_append_durable(x, 41, 1, 1, 10);
    fixture_restart(x);
    assert_false(x->report.clean);
}

static void test_append_cache_is_bounded_but_holds_what_is_pending(void **s)
{
    struct fixture *x = *s;
    struct raftlog_entry e;
    struct raftlog_stats stats;
    x->options.cache_bytes = 10000;
    fixture_open(x);
    for (uint64_t i = 1; i <= 100; i++) {
        assert_int_equal(fixture_append(x, i, 1, 1, 1000), 0);
    }
    assert_int_equal(raftlog_get(x->log, 1, &e), 0);
    fixture_settle(x);
    raftlog_get_stats(x->log, &stats);
    assert_true(stats.cache_bytes <= 10000);
    assert_int_equal(raftlog_get(x->log, 1, &e), ERR_AGAIN);
    assert_int_equal(raftlog_get(x->log, 100, &e), 0);
    fixture_check_entry(&e, 100, 1, 1000);
    assert_int_equal(raftlog_get(x->log, 101, &e), ERR_NOTFOUND);
    fixture_check_range(x, 1, 100, 1, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_append_new_directory_is_empty),
        fixture_test(test_append_is_durable_only_after_the_write),
        fixture_test(test_append_survives_a_crash),
        fixture_test(test_append_while_a_write_is_in_flight_goes_in_one_frame),
        fixture_test(test_append_measures_the_wait_for_a_frame),
        fixture_test(test_append_over_the_batch_limit_is_split),
        fixture_test(test_append_across_segments_rotates),
        fixture_test(test_append_entry_over_a_segment_gets_its_own),
        fixture_test(test_append_empty_payload_is_kept),
        fixture_test(test_append_with_a_gap_is_refused),
        fixture_test(test_append_too_big_an_entry_is_refused),
        fixture_test(test_append_hard_state_is_durable_before_later_entries),
        fixture_test(test_append_hard_states_are_coalesced),
        fixture_test(test_append_close_writes_what_is_queued_and_marks_clean),
        fixture_test(test_append_cache_is_bounded_but_holds_what_is_pending),
    };
    return cmocka_run_group_tests_name("append", tests, NULL, NULL);
}
