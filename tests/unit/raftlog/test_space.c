/* A full disk and a failing one. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/raftlog/log_fixture.h"

/* The next segment can not be filled. To be called before each step. */
static void disk_full(void)
{
    fault_file_arm(FAULT_FILL, 1, ERR_NOSPACE, FAULT_ONCE);
}

/* Append single entries until the log says there is no room; how many. */
static uint64_t fill_up(struct fixture *x)
{
    uint64_t i = 1;
    disk_full();
    fixture_tick(x);
    while (raftlog_has_room(x->log, 3000)) {
        disk_full();
        fixture_append_durable(x, i, 1, 1, 3000);
        i++;
        assert_true(i < 100);
    }
    return i - 1;
}

static void test_space_full_disk_refuses_and_recovers_alone(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats stats;
    uint64_t n;
    fixture_open(x);
    n = fill_up(x);
    assert_true(n >= 5 && n < 16);
    raftlog_get_stats(x->log, &stats);
    assert_true(stats.no_space);
    assert_int_equal(x->n_fatal, 0);
    /* Reads go on. */
    fixture_check_range(x, 1, n, 1, 3000);
    /* The reserve takes Raft's own entries. */
    fixture_append_durable(x, n + 1, 1, 2, 100);
    fault_file_disarm();
    for (int i = 0; i < 12; i++) {
        fixture_tick(x);
    }
    raftlog_get_stats(x->log, &stats);
    assert_false(stats.no_space);
    assert_true(raftlog_has_room(x->log, 3000));
    for (uint64_t i = n + 2; i <= n + 30; i++) {
        fixture_append_durable(x, i, 1, 2, 3000);
    }
}

static void test_space_entries_that_wait_go_on_when_space_is_back(void **s)
{
    struct fixture *x = *s;
    fixture_open(x);
    disk_full();
    fixture_tick(x);
    for (uint64_t i = 1; i <= 30; i++) { /* against has_room: still safe */
        disk_full();
        assert_int_equal(fixture_append(x, i, 1, 1, 3000), 0);
        fixture_settle(x);
    }
    assert_true(raftlog_durable_index(x->log) < 30);
    assert_false(raftlog_has_room(x->log, 1));
    fault_file_disarm();
    for (int i = 0; i < 24; i++) {
        fixture_tick(x);
    }
    assert_int_equal(raftlog_durable_index(x->log), 30);
    fixture_restart(x);
    fixture_check_range(x, 1, 30, 1, 3000);
}

static void test_space_release_makes_room_on_a_full_disk(void **state)
{
    struct fixture *x = *state;
    uint64_t n = 0;
    fixture_open(x);
    for (n = 1; n <= 20; n++) {
        fixture_append_durable(x, n, 1, 1, 3000);
    }
    n--;
    /* Full, and the active segment used up to the last reserved block. */
    fixture_run_jobs(x);
    while (x->log->n_pool > 0) {
        disk_full();
        fixture_append_durable(x, ++n, 1, 1, 3000);
    }
    while (space_left(x->log) > 0) {
        disk_full();
        fixture_append_durable(x, ++n, 1, 1, 3000);
    }
    disk_full();
    fixture_tick(x);
    disk_full();
    fixture_tick(x);
    assert_int_equal(fixture_append(x, n + 1, 1, 1, 3000), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), n);
    assert_true(x->log->n_segments > 1);
    raftlog_release(x->log, n);
    for (int i = 0; i < 5; i++) {
        disk_full();
        fixture_tick(x);
    }
    /* Recycled, without any new block on the disk. */
    assert_int_equal(raftlog_durable_index(x->log), n + 1);
    fault_file_disarm();
    assert_int_equal(x->n_fatal, 0);
}

static void test_space_release_idle_on_a_full_disk(void **state)
{
    struct fixture *x = *state;
    uint64_t n = 0;
    fixture_open(x);
    while (x->log->n_segments < 3) {
        fixture_append_durable(x, ++n, 1, 1, 3000);
    }
    while (space_left(x->log) > 0) {
        disk_full();
        fixture_append_durable(x, ++n, 1, 1, 3000);
    }
    /* Again and again: the acts must not run out of blocks. */
    for (uint64_t i = n - 30; i <= n; i++) {
        raftlog_release(x->log, i);
        disk_full();
        fixture_tick(x);
        fixture_tick(x);
    }
    assert_int_equal(x->log->n_segments, 1);
    assert_int_equal(x->n_fatal, 0);
    fault_file_disarm();
    fixture_append_durable(x, n + 1, 1, 1, 3000);
}

static void test_space_too_many_open_files_is_tried_again(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats stats;
    fixture_open(x);
    fault_file_arm(FAULT_OPEN, 1, ERR_IO, FAULT_ONCE);
    fixture_run_jobs(x);
    assert_true(fault_file_disarm());
    raftlog_get_stats(x->log, &stats);
    assert_true(stats.no_space);
    assert_int_equal(x->n_fatal, 0);
    for (int i = 0; i < 12; i++) {
        fixture_tick(x);
    }
    raftlog_get_stats(x->log, &stats);
    assert_false(stats.no_space);
    assert_int_equal(stats.n_pooled, 1);
}

static void test_space_failed_write_is_fatal_once(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fixture_append_durable(x, 1, 1, 1, 100);
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    assert_int_equal(fixture_append(x, 2, 1, 1, 100), 0);
    fixture_settle(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->n_fatal, 1);
    assert_int_equal(x->fatal.code, ERR_IO);
    assert_non_null(strstr(x->fatal.message, ".seg"));
    assert_non_null(strstr(x->fatal.message, "offset 8192"));
    assert_int_equal(raftlog_durable_index(x->log), 1);
    /* And then nothing is written any more: no retry of a failed sync. */
    fault_file_arm(FAULT_SUBMIT | FAULT_WRITE | FAULT_SYNC, 1, ERR_IO,
                   FAULT_ONCE);
    assert_int_equal(fixture_append(x, 3, 1, 1, 100), ERR_STOPPED);
    assert_int_equal(raftlog_reset(x->log, 9, 1), ERR_STOPPED);
    assert_false(raftlog_has_room(x->log, 1));
    raftlog_release(x->log, 1);
    raftlog_tick(x->log);
    raftlog_poll(x->log);
    fixture_close_log(x);
    assert_int_equal(fault_file_count(), 0);
    fault_file_disarm();
    assert_int_equal(x->n_fatal, 1);
}

static void test_space_failed_hard_state_is_fatal(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    assert_int_equal(raftlog_set_hard_state(x->log, 2, 1), 0);
    assert_int_equal(fixture_append(x, 1, 1, 2, 10), 0);
    fixture_settle(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->n_fatal, 1);
    assert_non_null(strstr(x->fatal.message, "hardstate."));
    assert_false(raftlog_hard_state_durable(x->log));
    assert_int_equal(raftlog_durable_index(x->log), 0);
}

/* What a sync that failed has left is not known, so it is not tried again, even
 * when the reason sounds like one that passes. */
static void test_space_failed_sync_is_fatal_whatever_its_reason(void **state)
{
    static const unsigned syncs[] = {FAULT_SYNC_DIR, FAULT_SYNC};
    struct fixture *x = *state;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t n = 0;
        fixture_fresh_dir(x);
        x->n_fatal = 0;
        fixture_open(x);
        if (syncs[i] == FAULT_SYNC) { /* the header of the next segment */
            fixture_run_jobs(x);
        }
        fault_file_arm(syncs[i], 1, ERR_NOSPACE, FAULT_ONCE);
        while (x->n_fatal == 0 && n < 40) {
            (void)fixture_append(x, ++n, 1, 1, 3000);
            fixture_settle(x);
            fixture_tick(x);
        }
        assert_true(fault_file_disarm());
        assert_int_equal(x->n_fatal, 1);
        assert_int_equal(x->fatal.code, ERR_IO);
        fixture_crash(x);
    }
}

static void test_space_refused_submit_is_fatal(void **state)
{
    struct fixture *x = *state;
    fixture_open(x);
    fault_file_arm(FAULT_SUBMIT, 1, ERR_IO, FAULT_ONCE);
    (void)fixture_append(x, 1, 1, 2, 10);
    assert_true(fault_file_disarm());
    assert_int_equal(x->n_fatal, 1);
    assert_int_equal(raftlog_durable_index(x->log), 0);
}

/* Each file operation of a script fails once; whatever happens, what was
 * reported durable is there afterwards, and there is no third outcome. */
static void run_script(struct fixture *x, uint64_t *durable, uint64_t *term)
{
    *durable = 0;
    *term = 0;
    if (fixture_try_open(x) != 0) {
        return;
    }
    (void)raftlog_set_hard_state(x->log, 4, 1);
    for (uint64_t i = 1; i <= 30 && x->n_fatal == 0; i++) {
        (void)fixture_append(x, i, 1, 4, 3000);
        fixture_settle(x);
        *durable = raftlog_durable_index(x->log);
        *term = raftlog_hard_state_durable(x->log) ? 4 : 0;
        if (i == 25 && x->n_fatal == 0) {
            raftlog_release(x->log, 20);
            fixture_tick(x);
            fixture_tick(x);
        }
    }
}

static void nth_fault(struct fixture *x, enum fault_mode mode)
{
    for (unsigned long n = 1;; n++) {
        uint64_t durable;
        uint64_t term;
        bool struck;
        fixture_fresh_dir(x);
        x->n_fatal = 0;
        fault_file_arm(FAULT_CHANGES, n, ERR_IO, mode);
        run_script(x, &durable, &term);
        struck = fault_file_disarm();
        if (x->log != NULL) {
            fixture_crash(x);
        }
        fixture_open(x);
        assert_true(raftlog_last_index(x->log) >= durable);
        assert_true(x->report.current_term >= term);
        if (raftlog_last_index(x->log) > 0) {
            fixture_check_range(x, raftlog_first_index(x->log),
                                raftlog_last_index(x->log), 4, 3000);
        }
        fixture_append_durable(x, raftlog_last_index(x->log) + 1, 1, 5, 10);
        fixture_crash(x);
        if (!struck) {
            assert_int_equal(durable, 30);
            return;
        }
    }
}

static void test_space_nth_operation_fails_once(void **state)
{
    nth_fault(*state, FAULT_ONCE);
}

static void test_space_nth_operation_ends_the_process(void **state)
{
    nth_fault(*state, FAULT_CRASH);
}

static void test_space_nth_write_is_torn(void **state)
{
    nth_fault(*state, FAULT_TORN);
}

static void test_space_nth_operation_finds_the_disk_full(void **state)
{
    struct fixture *x = *state;
    /* Only once: afterwards there is space again, but time stands still, so
     * appends may wait for the next tick; what is durable stays so. */
    for (unsigned long n = 1; n <= 60; n++) {
        uint64_t durable;
        uint64_t term;
        fixture_fresh_dir(x);
        x->n_fatal = 0;
        fault_file_arm(FAULT_FILL | FAULT_RENAME, n, ERR_NOSPACE, FAULT_ONCE);
        run_script(x, &durable, &term);
        (void)fault_file_disarm();
        assert_int_equal(x->n_fatal, 0);
        if (x->log != NULL) {
            for (int i = 0; i < 24; i++) {
                fixture_tick(x);
            }
            assert_int_equal(raftlog_durable_index(x->log), 30);
            fixture_crash(x);
        }
    }
}

/* What the owner needs for itself is not taken for segments. */
static void test_space_reserve_is_left_free(void **state)
{
    struct fixture *x = *state;
    struct raftlog_stats stats;
    uint64_t next = 1;
    fixture_open(x);
    fixture_settle(x);
    raftlog_set_reserve(x->log, UINT64_C(1) << 60);
    do {
        assert_int_equal(fixture_append(x, next++, 1, 1, 3000), 0);
        fixture_settle(x);
        raftlog_get_stats(x->log, &stats);
        assert_true(next < 100);
    } while (!stats.no_space);
    assert_true(stats.n_segments + stats.n_pooled <= 2);
    raftlog_set_reserve(x->log, 0);
    for (unsigned i = 0; i < 11; i++) {
        fixture_tick(x);
    }
    raftlog_get_stats(x->log, &stats);
    assert_false(stats.no_space);
    fixture_append_durable(x, next, 20, 1, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_space_reserve_is_left_free),
        fixture_test(test_space_full_disk_refuses_and_recovers_alone),
        fixture_test(test_space_entries_that_wait_go_on_when_space_is_back),
        fixture_test(test_space_release_makes_room_on_a_full_disk),
        fixture_test(test_space_release_idle_on_a_full_disk),
        fixture_test(test_space_too_many_open_files_is_tried_again),
        fixture_test(test_space_failed_write_is_fatal_once),
        fixture_test(test_space_failed_hard_state_is_fatal),
        fixture_test(test_space_failed_sync_is_fatal_whatever_its_reason),
        fixture_test(test_space_refused_submit_is_fatal),
        fixture_test(test_space_nth_operation_fails_once),
        fixture_test(test_space_nth_operation_ends_the_process),
        fixture_test(test_space_nth_write_is_torn),
        fixture_test(test_space_nth_operation_finds_the_disk_full),
    };
    return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
