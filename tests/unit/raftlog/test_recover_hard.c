/* The rows of the recovery table (raftlog/recover.h) that are about the hard
 * state. */
#include "tests/unit/raftlog/recover_fixture.h"

static void set_hard_state(struct fixture *x, uint64_t term, uint64_t voted_for)
{
    assert_int_equal(raftlog_set_hard_state(x->log, term, voted_for), 0);
    fixture_settle(x);
}

/* The path of the slot that was written last. */
static void newest_slot(const struct fixture *x, char path[PATH])
{
    snprintf(path, PATH, "%s",
             temp_dir_path(&x->dir,
                           x->log->hard.slot ? "hardstate.1" : "hardstate.0"));
}

static void test_recover_hard_both(void **state)
{
    struct fixture *x = *state;
    for (uint64_t term = 1; term <= 5; term++) {
        fixture_open(x);
        set_hard_state(x, term, term + 1);
        fixture_restart(x);
        assert_true(fixture_recovered_as(x, RECOVER_HARD_BOTH));
        assert_int_equal(x->report.current_term, term);
        assert_int_equal(x->report.voted_for, term + 1);
        fixture_crash(x);
    }
    fixture_open(x);
}

/* Whichever slot is damaged after the mirror was written, nothing is lost. */
static void test_recover_hard_one(void **state)
{
    struct fixture *x = *state;
    static const char *const slots[] = {"hardstate.0", "hardstate.1"};
    uint64_t term = 1;
    for (int how = 0; how < 6; how++) {
        const char *path = temp_dir_path(&x->dir, slots[how % 2]);
        fixture_open(x);
        term++;
        set_hard_state(x, term, 3);
        assert_false(x->log->hard.mirrored);
        fixture_tick(x);
        fixture_tick(x);
        assert_true(x->log->hard.mirrored);
        fixture_crash(x);
        if (how < 2) {
            flip(path, 40);
        } else if (how < 4) {
            zero(path, 0, BLOCK);
        } else {
            assert_int_equal(file_unlink(path), 0);
        }
        fixture_open(x);
        assert_true(fixture_recovered_as(x, RECOVER_HARD_ONE));
        assert_int_equal(x->report.current_term, term);
        assert_int_equal(x->report.voted_for, 3);
        fixture_restart(x);
        assert_true(fixture_recovered_as(x, RECOVER_HARD_BOTH));
        assert_int_equal(x->report.current_term, term);
        fixture_crash(x);
    }
    fixture_open(x);
}

/* A torn write of the newest slot, which nobody was told of, leaves the state
 * before it: at every sector, and every byte of a flip. */
static void test_recover_hard_torn_write_leaves_the_one_before(void **state)
{
    struct fixture *x = *state;
    char newest[PATH];
    uint8_t *good;
    size_t size;
    fixture_open(x);
    set_hard_state(x, 7, 1);
    set_hard_state(x, 8, 2);
    newest_slot(x, newest);
    fixture_crash(x);
    good = read_whole(newest, &size);
    assert_int_equal(size, BLOCK);
    for (uint64_t at = 0; at < HARDSTATE_SIZE; at++) {
        change(newest, 0, good, size);
        flip(newest, at);
        x->log = NULL;
        if (at >= 8 && at < 12) {
            continue; /* the version: refused, see NEWER_VERSION */
        }
        fixture_open(x);
        if (at < 12 || at >= 16) { /* the reserved field counts too */
            assert_int_equal(x->report.current_term, 7);
            assert_int_equal(x->report.voted_for, 1);
        }
        fixture_crash(x);
    }
    free(good);
    fixture_open(x);
}

static void test_recover_hard_none(void **state)
{
    struct fixture *x = *state;
    struct scene s;
    uint64_t before;
    build(x, 1, &s);
    flip(temp_dir_path(&x->dir, "hardstate.0"), 20);
    flip(temp_dir_path(&x->dir, "hardstate.1"), 90);
    before = state_of(x);
    assert_int_equal(fixture_try_open(x), ERR_CORRUPT);
    assert_non_null(strstr(x->info.message, "both damaged"));
    assert_true(state_of(x) == before);
}

static void test_recover_hard_behind(void **state)
{
    struct fixture *x = *state;
    char newest[PATH];
    fixture_open(x);
    set_hard_state(x, 7, 1);
    assert_int_equal(raftlog_set_hard_state(x->log, 8, 2), 0);
    assert_int_equal(fixture_append(x, 1, 1, 8, 100), 0);
    fixture_settle(x);
    newest_slot(x, newest);
    fixture_crash(x);
    flip(newest, 50);
    expect_refused(x, RECOVER_HARD_BEHIND, "vote");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_recover_hard_both),
        fixture_test(test_recover_hard_one),
        fixture_test(test_recover_hard_torn_write_leaves_the_one_before),
        fixture_test(test_recover_hard_none),
        fixture_test(test_recover_hard_behind),
    };
    return cmocka_run_group_tests_name("recover_hard", tests, NULL, NULL);
}
