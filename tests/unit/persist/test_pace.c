/* How fast the automatic compaction goes: it can be stopped wherever it is, and
 * nobody who waits for it waits for its limits. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include <unistd.h>

#include "persist/compact.h"

static int no_keys(void *engine, char ***keys, int *count)
{
    (void)engine;
    *keys = NULL;
    *count = 0;
    return 0;
}

static void set_large(struct fixture *x, unsigned n)
{
    char value[1001];
    memset(value, 'v', 1000);
    value[1000] = '\0';
    for (unsigned i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%u", i % 50);
        fixture_set(x, key, value);
    }
}

static void test_pace_count_of_a_former_process_can_be_stopped(void **state)
{
    struct fixture *x = *state;
    struct err_info info;
    struct wal_private *w;
    struct pace pace;
    fixture_open(x, 0);
    set_large(x, WAL_COMPACT_THRESHOLD);
    fixture_reopen(x, 0);
    w = x->wal.wal_private;
    assert_int_equal(x->wal.compact_running, 0);
    for (int limited = 1; limited >= 0; limited--) {
        int rv;
        pthread_mutex_lock(&w->compact_lock);
        pace_start(&pace, w, limited == 1);
        rv = compact_count_old(w, &pace, &info);
        pthread_mutex_unlock(&w->compact_lock);
        assert_int_equal(rv, limited == 1 ? ERR_STOPPED : 0);
        assert_int_equal(w->is_old_counted, limited == 0);
        assert_int_equal(compact_is_due(w), limited == 0);
    }
}

/* At a thousand bytes a second the compaction would take an hour. */
static void test_pace_does_not_make_a_replay_wait(void **state)
{
    struct fixture *x = *state;
    struct wal_private *w;
    fixture_open(x, 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_COMPACT_RATE, 1000), 0);
    set_large(x, 4 * WAL_COMPACT_THRESHOLD);
    assert_int_equal(wal_start_compaction(&x->wal, NULL, no_keys), 0);
    w = x->wal.wal_private;
    for (unsigned i = 0; pthread_mutex_trylock(&w->compact_lock) == 0; i++) {
        pthread_mutex_unlock(&w->compact_lock);
        assert_true(i < 20000);
        usleep(1000);
    }
    alarm(60);
    fixture_recover(x);
    alarm(0);
    assert_string_equal(fixture_get(x, "key-49"), fixture_get(x, "key-0"));
}

/* ---- the shares -----------------------------------------------------------*/

static uint64_t now; /* moves 10 ms with each look */

static uint64_t read_now(void)
{
    now += 10 * UINT64_C(1000000);
    return now;
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct wal_private *open_with_clock(struct fixture *x)
{
    struct wal_environment environment = {false, read_now, NULL};
    struct err_info info;
    assert_int_equal(wal_private_open(&x->wal, x->path, false, &environment,
                                      &x->wal.wal_private, &info),
                     0);
    x->wal.compact_running = 1;
    return x->wal.wal_private;
}

static void test_pace_bytes_take_the_time_of_their_rate(void **state)
{
    struct fixture *x = *state;
    struct wal_private *w = open_with_clock(x);
    struct pace pace;
    uint64_t start;
    w->options[WAL_OPTION_COMPACT_RATE] = 1024 * 1024;
    pace_start(&pace, w, true);
    start = now;
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(pace_spend(&pace, 512 * 1024), 0);
        assert_true(now - start >= i * UINT64_C(500000000));
    }
    pace_start(&pace, w, false); /* by hand: no limit */
    start = now;
    assert_int_equal(pace_spend(&pace, 512 * 1024), 0);
    assert_true(now == start);
}

static void test_pace_work_takes_its_share_of_a_core(void **state)
{
    struct fixture *x = *state;
    struct wal_private *w = open_with_clock(x);
    struct pace pace;
    uint64_t begun;
    uint64_t start;
    uint64_t spent;
    w->options[WAL_OPTION_COMPACT_RATE] = 0;
    w->options[WAL_OPTION_COMPACT_CPU_PERCENT] = 5;
    pace_start(&pace, w, true);
    start = now;
    begun = cpu_ns();
    while (cpu_ns() - begun < 10 * 1000000) { /* 10 ms of work */
    }
    spent = cpu_ns() - begun;
    assert_int_equal(pace_spend(&pace, 1024 * 1024), 0);
    assert_true(now - start >= spent / 5 * 100 - 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_pace_count_of_a_former_process_can_be_stopped),
        fixture_test(test_pace_does_not_make_a_replay_wait),
        fixture_test(test_pace_bytes_take_the_time_of_their_rate),
        fixture_test(test_pace_work_takes_its_share_of_a_core),
    };
    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
