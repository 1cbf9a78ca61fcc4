/* Sync policies: what counts before it is durable, when it is synced, and how a
 * log knows that it may have forgotten. That power cuts lose only what they
 * may is shown in tests/crash. */
#include "tests/unit/raftlog/log_fixture.h"

#include "raftlog/hardstate.h"

static void open_with(struct fixture *x, enum raftlog_sync policy,
                      uint64_t entries, uint64_t ms)
{
    struct raftlog_sync_policy p = {policy, entries, ms};
    x->options.sync = p;
    fixture_open(x);
    fixture_settle(x);
}

static struct raftlog_stats stats_of(const struct fixture *x)
{
    struct raftlog_stats stats;
    raftlog_get_stats(x->log, &stats);
    return stats;
}

/* The newest slot on disk. */
static struct hardstate hard_of(struct fixture *x)
{
    struct hardstate_loaded loaded;
    assert_int_equal(
        hardstate_load(x->dir.path, &x->options, &loaded, &x->info), 0);
    return loaded.state;
}

/* As if the machine had been started anew since. */
static void change_boot(struct fixture *x, const char *boot)
{
    struct hardstate h = hard_of(x);
    memset(h.weak_boot, 0, sizeof h.weak_boot);
    memcpy(h.weak_boot, boot, strlen(boot));
    for (unsigned i = 0; i < HARDSTATE_SLOTS; i++) {
        assert_int_equal(hardstate_create(x->dir.path, &h, i, 4096, &x->info),
                         0);
    }
}

static void test_sync_always_persisted_is_durable(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_ALWAYS, 0, 0);
    fixture_append_durable(x, 1, 5, 1, 100);
    assert_int_equal(raftlog_persisted_index(x->log), 5);
    assert_int_equal(stats_of(x).n_syncs, 0);
    assert_int_equal(stats_of(x).unsynced_bytes, 0);
    assert_string_equal(hard_of(x).weak_boot, "");
}

static void test_sync_batch_waits_for_the_number_of_entries(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_BATCH, 10, 1000);
    assert_int_equal(fixture_append(x, 1, 9, 1, 100), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_persisted_index(x->log), 9);
    assert_int_equal(raftlog_durable_index(x->log), 0);
    assert_int_equal(stats_of(x).unsynced_entries, 9);
    assert_true(stats_of(x).unsynced_bytes >= 900);
    assert_int_equal(fixture_append(x, 10, 1, 1, 100), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 10);
    assert_int_equal(stats_of(x).n_syncs, 1);
    assert_int_equal(stats_of(x).unsynced_bytes, 0);
}

static void test_sync_interval_waits_for_the_time(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 1, 1000);
    assert_int_equal(fixture_append(x, 1, 50, 1, 100), 0);
    fixture_settle(x);
    for (unsigned i = 0; i < 9; i++) {
        fixture_tick(x);
        assert_int_equal(raftlog_durable_index(x->log), 0);
    }
    fixture_tick(x);
    assert_int_equal(raftlog_durable_index(x->log), 50);
    assert_int_equal(stats_of(x).n_syncs, 1);
}

static void test_sync_batch_also_waits_no_longer_than_the_interval(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_BATCH, 1000, 200);
    assert_int_equal(fixture_append(x, 1, 1, 1, 100), 0);
    fixture_settle(x);
    fixture_tick(x);
    assert_int_equal(raftlog_durable_index(x->log), 0);
    fixture_tick(x);
    assert_int_equal(raftlog_durable_index(x->log), 1);
}

static void test_sync_forced_is_at_once(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(fixture_append(x, 1, 3, 1, 100), 0);
    raftlog_force_sync(x->log); /* the frame is still on its way */
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 3);
}

static void test_sync_a_kind_can_be_excepted(void **state)
{
    struct fixture *x = *state;
    x->options.sync_kinds = 1 << 3; /* that of every third entry */
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(fixture_append(x, 1, 1, 1, 100), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 0);
    assert_int_equal(fixture_append(x, 2, 1, 1, 100), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 2);
    assert_int_equal(stats_of(x).n_syncs, 1);
}

static void test_sync_truncation_is_durable_under_any_policy(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(fixture_append(x, 1, 5, 1, 100), 0);
    fixture_settle(x);
    assert_int_equal(fixture_append(x, 3, 1, 2, 100), 0);
    assert_int_equal(raftlog_persisted_index(x->log), 2);
    fixture_settle(x);
    assert_int_equal(raftlog_persisted_index(x->log), 3);
    assert_int_equal(raftlog_durable_index(x->log), 3);
    fixture_restart(x);
    fixture_check_range(x, 1, 2, 1, 100);
    fixture_check_range(x, 3, 3, 2, 100);
}

static void test_sync_segment_is_synced_before_the_next_one(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    for (uint64_t i = 1; i <= 40; i++) {
        assert_int_equal(fixture_append(x, i, 1, 1, 3000), 0);
        fixture_settle(x);
    }
    assert_true(stats_of(x).n_segments > 2);
    assert_true(stats_of(x).n_syncs >= stats_of(x).n_segments - 1);
    fixture_restart(x);
    fixture_check_range(x, 1, 40, 1, 3000);
}

static void test_sync_killed_process_has_forgotten_nothing(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_string_equal(hard_of(x).weak_boot, x->log->boot);
    assert_int_equal(fixture_append(x, 1, 7, 1, 100), 0);
    fixture_settle(x);
    fixture_restart(x);
    assert_false(x->report.forgot);
    fixture_check_range(x, 1, 7, 1, 100);
    assert_int_equal(raftlog_durable_index(x->log), 7);
}

static void test_sync_clean_close_takes_the_mark_away(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(fixture_append(x, 1, 7, 1, 100), 0);
    fixture_close_log(x);
    assert_string_equal(hard_of(x).weak_boot, "");
    fixture_open(x);
    assert_false(x->report.forgot);
    assert_true(x->report.clean);
    fixture_check_range(x, 1, 7, 1, 100);
}

static void test_sync_mark_is_durable_before_the_first_weak_frame(void **state)
{
    struct fixture *x = *state;
    struct raftlog_sync_policy weak = {RAFTLOG_SYNC_INTERVAL, 0, 0};
    open_with(x, RAFTLOG_SYNC_ALWAYS, 0, 0);
    assert_int_equal(raftlog_set_sync(x->log, &weak), 0);
    assert_int_equal(fixture_append(x, 1, 1, 1, 100), 0);
    assert_true(x->log->hard.in_flight);
    assert_false(x->log->frame.active);
    fixture_settle(x);
    assert_int_equal(raftlog_persisted_index(x->log), 1);
    assert_string_equal(hard_of(x).weak_boot, x->log->boot);
}

static void test_sync_other_boot_is_reported_until_remembered(void **state)
{
    static const char *const boots[] = {"another", "?"};
    struct fixture *x = *state;
    for (unsigned i = 0; i < 2; i++) {
        open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
        assert_int_equal(raftlog_set_hard_state(x->log, 5 + i, 1), 0);
        fixture_settle(x);
        fixture_crash(x);
        change_boot(x, boots[i]);
        for (unsigned crash = 0; crash < 3; crash++) {
            open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
            assert_true(x->report.forgot);
            assert_int_equal(x->report.forgot_term, 5 + i);
            /* A later term is not what was forgotten. */
            assert_int_equal(raftlog_set_hard_state(x->log, 7 + i, 1), 0);
            fixture_settle(x);
            fixture_crash(x);
        }
        open_with(x, RAFTLOG_SYNC_ALWAYS, 0, 0);
        assert_true(x->report.forgot);
        assert_int_equal(raftlog_remember(x->log), 0);
        fixture_settle(x);
        fixture_restart(x);
        assert_false(x->report.forgot);
        assert_int_equal(raftlog_set_hard_state(x->log, 1, 1), 0);
        fixture_close_log(x);
    }
}

static void test_sync_back_to_always_syncs_and_clears_the_mark(void **state)
{
    struct fixture *x = *state;
    struct raftlog_sync_policy always = {RAFTLOG_SYNC_ALWAYS, 0, 0};
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(fixture_append(x, 1, 4, 1, 100), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_set_sync(x->log, &always), 0);
    assert_int_equal(fixture_append(x, 5, 1, 1, 100), 0);
    assert_false(x->log->frame.active); /* not before the sync */
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), 5);
    assert_int_equal(stats_of(x).n_syncs, 1);
    assert_string_equal(hard_of(x).weak_boot, "");
}

static void test_sync_failed_one_is_fatal_and_remembered(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(raftlog_set_hard_state(x->log, 9, 1), 0);
    assert_int_equal(fixture_append(x, 1, 4, 1, 100), 0);
    fixture_settle(x);
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    raftlog_force_sync(x->log);
    fixture_settle(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->n_fatal, 1);
    assert_non_null(strstr(x->fatal.message, "sync of "));
    fixture_restart(x);
    assert_true(x->report.forgot);
    assert_int_equal(x->report.forgot_term, 9);
}

static void test_sync_failed_hard_state_is_remembered_too(void **state)
{
    struct fixture *x = *state;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    assert_int_equal(fixture_append(x, 1, 4, 1, 100), 0);
    fixture_settle(x);
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    assert_int_equal(raftlog_set_hard_state(x->log, 9, 1), 0);
    fixture_settle(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->n_fatal, 1);
    assert_non_null(strstr(x->fatal.message, "hardstate."));
    fixture_crash(x);
    fixture_open(x);
    assert_true(x->report.forgot);
}

/* A power cut kept the third frame and took the second: both go, and what is
 * written there next does not meet the third one again. */
static void test_sync_frames_behind_a_lost_one_go_with_it(void **state)
{
    enum { BLOCK = 4096, SECOND = 2 * BLOCK };
    static const uint8_t zeroes[BLOCK];
    struct fixture *x = *state;
    char path[512];
    struct file *f;
    open_with(x, RAFTLOG_SYNC_INTERVAL, 0, 1000000);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(fixture_append(x, i, 1, 1, 100), 0);
        fixture_settle(x);
    }
    snprintf(path, sizeof path, "log/%s", x->log->active->name);
    fixture_crash(x);
    assert_int_equal(file_open(temp_dir_path(&x->dir, path), FILE_WRITE, &f),
                     0);
    assert_int_equal(file_write_at(f, zeroes, sizeof zeroes, SECOND), 0);
    file_close(f);
    fixture_open(x);
    fixture_check_bounds(x, 1, 1);
    assert_true(fixture_recovered_as(x, RECOVER_LOST));
    assert_int_equal(x->report.torn_bytes, 2 * BLOCK);
    assert_int_equal(fixture_append(x, 2, 1, 2, 100), 0);
    fixture_settle(x);
    fixture_restart(x);
    fixture_check_range(x, 1, 1, 1, 100);
    fixture_check_range(x, 2, 2, 2, 100);
    fixture_check_bounds(x, 1, 2);
}

static void test_sync_names_are_those_of_the_option(void **state)
{
    (void)state;
    assert_string_equal(raftlog_sync_name(RAFTLOG_SYNC_ALWAYS), "always");
    assert_string_equal(raftlog_sync_name(RAFTLOG_SYNC_BATCH), "batch");
    assert_string_equal(raftlog_sync_name(RAFTLOG_SYNC_INTERVAL), "interval");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_sync_always_persisted_is_durable),
        fixture_test(test_sync_batch_waits_for_the_number_of_entries),
        fixture_test(test_sync_interval_waits_for_the_time),
        fixture_test(test_sync_batch_also_waits_no_longer_than_the_interval),
        fixture_test(test_sync_forced_is_at_once),
        fixture_test(test_sync_a_kind_can_be_excepted),
        fixture_test(test_sync_truncation_is_durable_under_any_policy),
        fixture_test(test_sync_segment_is_synced_before_the_next_one),
        fixture_test(test_sync_killed_process_has_forgotten_nothing),
        fixture_test(test_sync_clean_close_takes_the_mark_away),
        fixture_test(test_sync_mark_is_durable_before_the_first_weak_frame),
        fixture_test(test_sync_other_boot_is_reported_until_remembered),
        fixture_test(test_sync_back_to_always_syncs_and_clears_the_mark),
        fixture_test(test_sync_failed_one_is_fatal_and_remembered),
        fixture_test(test_sync_failed_hard_state_is_remembered_too),
        fixture_test(test_sync_frames_behind_a_lost_one_go_with_it),
        cmocka_unit_test(test_sync_names_are_those_of_the_option),
    };
    return cmocka_run_group_tests_name("raftlog_sync", tests, NULL, NULL);
}
