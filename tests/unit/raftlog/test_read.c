/* Read-back of entries for lagging followers. */
#include "tests/unit/raftlog/log_fixture.h"

struct answer {
    unsigned n_calls;
    int status;
    uint64_t first;
    size_t n;
    uint64_t term;
    uint32_t size;
};

static void on_read(void *ctx, int status, uint64_t first,
                    const struct raftlog_entry *entries, size_t n)
{
    struct answer *a = ctx;
    a->n_calls++;
    a->status = status;
    a->first = first;
    a->n = n;
    for (size_t i = 0; i < n; i++) {
        fixture_check_entry(&entries[i], first + i, a->term, a->size);
        assert_non_null(entries[i].block);
    }
}

static void fill(struct fixture *x, uint64_t last, uint32_t size)
{
    fixture_open(x);
    fixture_append_each(x, 1, last, 1, size);
}

static int read_range(struct fixture *x, uint64_t first, uint64_t last,
                      size_t bytes_max, struct answer *a)
{
    memset(a, 0, sizeof *a);
    a->term = 1;
    a->size = 3000;
    return raftlog_read(x->log, first, last, bytes_max, on_read, a);
}

static void test_read_from_memory_answers_later(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fill(x, 20, 3000);
    assert_int_equal(read_range(x, 5, 9, 1 << 20, &a), 0);
    assert_int_equal(a.n_calls, 0);
    fixture_run_jobs(x);
    assert_int_equal(a.n_calls, 1);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.first, 5);
    assert_int_equal(a.n, 5);
}

static void test_read_from_disk_gives_what_was_written(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fill(x, 60, 3000);
    fixture_restart(x); /* the cache is empty now */
    assert_int_equal(read_range(x, 1, 60, 1 << 20, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.n, 60);
    assert_int_equal(read_range(x, 33, 33, 1, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.n, 1); /* at least one, whatever the limit */
    assert_int_equal(a.first, 33);
    assert_int_equal(read_range(x, 10, 60, 9000, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.n, 3);
}

static void test_read_stops_where_the_cache_begins(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    x->options.cache_bytes = 20000;
    fill(x, 60, 3000);
    assert_true(x->log->cache.first > 50);
    assert_int_equal(read_range(x, 40, 60, 1 << 20, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.first + a.n, x->log->cache.first);
}

static void test_read_inside_a_frame_of_many_entries(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fixture_open(x);
    assert_int_equal(fixture_append(x, 1, 12, 1, 3000), 0);
    fixture_settle(x);
    fixture_restart(x);
    assert_int_equal(read_range(x, 4, 9, 1 << 20, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.status, 0);
    assert_int_equal(a.first, 4);
    assert_int_equal(a.n, 6);
    assert_int_equal(read_range(x, 4, 9, 7000, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.n, 2);
}

static void test_read_of_what_is_not_there_is_refused(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fill(x, 20, 3000);
    assert_int_equal(read_range(x, 21, 21, 100, &a), ERR_NOTFOUND);
    assert_int_equal(read_range(x, 20, 21, 100, &a), ERR_NOTFOUND);
    assert_int_equal(read_range(x, 0, 1, 100, &a), ERR_NOTFOUND);
    raftlog_release(x->log, 10);
    assert_int_equal(read_range(x, 10, 12, 100, &a), ERR_NOTFOUND);
    assert_int_equal(a.n_calls, 0);
}

static void test_read_with_a_truncation_meanwhile_is_not_found(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fill(x, 20, 3000);
    fixture_restart(x);
    assert_int_equal(read_range(x, 5, 20, 1 << 20, &a), 0);
    assert_int_equal(fixture_append(x, 10, 1, 2, 10), 0);
    fixture_run_jobs(x);
    assert_int_equal(a.n_calls, 1);
    assert_int_equal(a.status, ERR_NOTFOUND);
    assert_int_equal(a.n, 0);
    fixture_settle(x);
}

static void test_read_pins_segments_that_are_released(void **state)
{
    struct fixture *x = *state;
    struct held_job job;
    struct answer a;
    fill(x, 60, 3000);
    fixture_restart(x);
    fixture_run_jobs(x);
    assert_int_equal(read_range(x, 20, 30, 1 << 20, &a), 0);
    assert_int_equal(x->jobs.n, 1);
    job = job_list_take(&x->jobs, 0);
    raftlog_release(x->log, 60);
    fixture_tick(x);
    fixture_tick(x);
    /* The segments before the pinned ones are gone, these are not. */
    assert_true(x->log->n_segments > 1);
    job.work(job.arg); /* reads good bytes */
    assert_int_equal(a.n_calls, 0);
    job.done(job.arg);
    assert_int_equal(a.n_calls, 1);
    assert_int_equal(a.status, ERR_NOTFOUND);
    fixture_settle(x);
    assert_int_equal(x->log->n_segments, 1);
}

static void test_read_too_many_is_busy(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    unsigned n = 0;
    fill(x, 5, 3000);
    while (read_range(x, 1, 5, 1 << 20, &a) == 0) {
        n++;
    }
    assert_int_equal(n, RAFTLOG_READS_MAX);
    assert_int_equal(read_range(x, 1, 5, 1 << 20, &a), ERR_BUSY);
    fixture_run_jobs(x);
    assert_int_equal(a.n_calls, RAFTLOG_READS_MAX);
    assert_int_equal(read_range(x, 1, 5, 1 << 20, &a), 0);
    fixture_run_jobs(x);
}

static void test_read_pending_at_close_is_stopped(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fill(x, 5, 3000);
    fixture_restart(x);
    assert_int_equal(read_range(x, 1, 5, 1 << 20, &a), 0);
    raftlog_close(x->log);
    x->log = NULL;
    assert_int_equal(a.n_calls, 1);
    assert_int_equal(a.status, ERR_STOPPED);
    fixture_run_jobs(x);
    assert_int_equal(a.n_calls, 1);
}

static void test_read_of_damage_is_fatal(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    struct file *f;
    char path[512];
    uint8_t byte = 0x55;
    fill(x, 20, 3000);
    fixture_restart(x);
    snprintf(path, sizeof path, "%s/log/%s", x->dir.path,
             x->log->segments->name);
    assert_int_equal(file_open(path, FILE_WRITE, &f), 0);
    assert_int_equal(file_write_at(f, &byte, 1, 4096 + 1000), 0);
    assert_int_equal(file_sync(f), 0);
    file_close(f);
    assert_int_equal(read_range(x, 1, 5, 1 << 20, &a), 0);
    fixture_run_jobs(x);
    assert_int_equal(x->n_fatal, 1);
    assert_int_equal(a.status, ERR_STOPPED);
    assert_non_null(strstr(x->fatal.message, "offset 4096"));
    assert_int_equal(fixture_append(x, 21, 1, 1, 10), ERR_STOPPED);
    assert_int_equal(raftlog_set_hard_state(x->log, 9, 1), ERR_STOPPED);
}

static void test_read_io_error_is_fatal(void **state)
{
    struct fixture *x = *state;
    struct answer a;
    fill(x, 20, 3000);
    fixture_restart(x);
    fixture_run_jobs(x);
    assert_int_equal(read_range(x, 1, 5, 1 << 20, &a), 0);
    fault_file_arm(FAULT_READ, 1, ERR_IO, FAULT_ONCE);
    fixture_run_jobs(x);
    assert_true(fault_file_disarm());
    assert_int_equal(x->n_fatal, 1);
    assert_int_equal(a.status, ERR_STOPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_read_from_memory_answers_later),
        fixture_test(test_read_from_disk_gives_what_was_written),
        fixture_test(test_read_stops_where_the_cache_begins),
        fixture_test(test_read_inside_a_frame_of_many_entries),
        fixture_test(test_read_of_what_is_not_there_is_refused),
        fixture_test(test_read_with_a_truncation_meanwhile_is_not_found),
        fixture_test(test_read_pins_segments_that_are_released),
        fixture_test(test_read_too_many_is_busy),
        fixture_test(test_read_pending_at_close_is_stopped),
        fixture_test(test_read_of_damage_is_fatal),
        fixture_test(test_read_io_error_is_fatal),
    };
    return cmocka_run_group_tests_name("read", tests, NULL, NULL);
}
