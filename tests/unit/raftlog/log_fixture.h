/* A raftlog in a fresh directory, driven by hand: jobs wait in a list until
 * the test runs them, time stands still until the test moves it, and what the
 * log tells its owner is counted. */
#ifndef TESTS_UNIT_RAFTLOG_LOG_FIXTURE_H
#define TESTS_UNIT_RAFTLOG_LOG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/file.h"
#include "raftlog/internal.h"
#include "raftlog/raftlog.h"
#include "raftlog/recover.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/job_list.h"
#include "tests/lib/temp_dir.h"

enum { FIXTURE_SEGMENT = 16 * 4096 };

struct fixture {
    struct temp_dir dir;
    struct raftlog_options options;
    struct raftlog *log;
    struct raftlog_report report;
    struct err_info info;
    struct job_list jobs;
    uint64_t now_ms;
    uint64_t clock_ms; /* 0: the log has none */
    unsigned n_progress;
    unsigned n_fatal;
    struct err_info fatal;
    bool hold_jobs; /* fixture_settle leaves them alone */
};

static inline void fixture_work(void *ctx, void (*work)(void *arg),
                                void (*done)(void *arg), void *arg)
{
    struct fixture *x = ctx;
    assert_true(job_list_add(&x->jobs, work, done, arg));
}

static inline void fixture_progress(void *ctx)
{
    ((struct fixture *)ctx)->n_progress++;
}

static inline void fixture_fatal(void *ctx, const struct err_info *info)
{
    struct fixture *x = ctx;
    x->n_fatal++;
    x->fatal = *info;
}

static inline uint64_t fixture_now(void *ctx)
{
    return ((struct fixture *)ctx)->now_ms;
}

static inline uint64_t fixture_clock(void *ctx)
{
    return ((struct fixture *)ctx)->clock_ms;
}

static inline void fixture_run_jobs(struct fixture *x)
{
    job_list_run_all(&x->jobs);
}

/* A test that makes hundreds of directories and needs no real disk defines
 * FIXTURE_IN_MEMORY before it includes this. */
static inline void fixture_make_dir(struct fixture *x)
{
    const char *parent = NULL;
#ifdef FIXTURE_IN_MEMORY
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0) {
        parent = "/dev/shm";
    }
#endif
    temp_dir_make_in(&x->dir, parent);
}

static inline void fixture_fresh_dir(struct fixture *x)
{
    temp_dir_remove(&x->dir);
    fixture_make_dir(x);
}

static inline void fixture_init(struct fixture *x)
{
    memset(x, 0, sizeof *x);
    fixture_make_dir(x);
    memset(x->options.cluster_id, 0xc1, sizeof x->options.cluster_id);
    x->options.node_id = 1;
    x->options.segment_bytes = FIXTURE_SEGMENT;
    x->now_ms = 1000;
}

/* The code of raftlog_open; words are in x->info, facts in x->report. */
static inline int fixture_try_open(struct fixture *x)
{
    struct raftlog_io io = {.ctx = x,
                            .work = fixture_work,
                            .progress = fixture_progress,
                            .fatal = fixture_fatal,
                            .now_ms = fixture_now,
                            .clock_ms = fixture_clock};
    x->info.message[0] = 0;
    return raftlog_open(x->dir.path, &x->options, &io, &x->log, &x->report,
                        &x->info);
}

static inline void fixture_open(struct fixture *x)
{
    int rv = fixture_try_open(x);
    if (rv != 0) {
        print_error("open: %s: %s\n", err_name(rv), x->info.message);
    }
    assert_int_equal(rv, 0);
}

/* One round: jobs, then whatever completed within a second. */
static inline void fixture_turn(struct fixture *x)
{
    struct pollfd p = {.fd = raftlog_fd(x->log), .events = POLLIN};
    if (!x->hold_jobs) {
        fixture_run_jobs(x);
    }
    if (!x->log->stopped && (x->log->frame.active || x->log->syncing.active ||
                             x->log->hard.in_flight)) {
        assert_int_equal(poll(&p, 1, 10000), 1);
    }
    raftlog_poll(x->log);
}

/* Until nothing goes on by itself. */
static inline void fixture_settle(struct fixture *x)
{
    do {
        fixture_turn(x);
    } while (!x->log->stopped &&
             (x->log->frame.active || x->log->syncing.active ||
              x->log->hard.in_flight || (x->jobs.n > 0 && !x->hold_jobs)));
}

static inline void fixture_tick(struct fixture *x)
{
    x->now_ms += 100;
    raftlog_tick(x->log);
    fixture_settle(x);
}

/* A process crash: what was written stays, what was queued is lost. */
static inline void fixture_crash(struct fixture *x)
{
    raftlog_abandon(x->log);
    x->log = NULL;
    fixture_run_jobs(x);
}

/* A process crash, and the next start. */
static inline void fixture_restart(struct fixture *x)
{
    fixture_crash(x);
    fixture_open(x);
}

static inline void fixture_close_log(struct fixture *x)
{
    raftlog_close(x->log);
    x->log = NULL;
    fixture_run_jobs(x);
}

static inline void fixture_close(struct fixture *x)
{
    if (x->log != NULL) {
        fixture_close_log(x);
    }
    temp_dir_remove(&x->dir);
    assert_int_equal(block_bytes_in_use(), 0);
}

/* An entry with `size` bytes that follow from index and term. */
static inline struct raftlog_entry fixture_entry(uint64_t index, uint64_t term,
                                                 uint32_t size)
{
    struct raftlog_entry e = {0};
    uint8_t *data = block_new(size == 0 ? 1 : size);
    assert_non_null(data);
    for (uint32_t i = 0; i < size; i++) {
        data[i] = (uint8_t)(index * 131 + term * 31 + i * 7);
    }
    e.term = term;
    e.kind = (uint8_t)(1 + index % 3);
    e.size = size;
    e.data = data;
    e.block = data;
    return e;
}

static inline void fixture_check_entry(const struct raftlog_entry *e,
                                       uint64_t index, uint64_t term,
                                       uint32_t size)
{
    const uint8_t *data = e->data;
    assert_int_equal(e->term, term);
    assert_int_equal(e->kind, 1 + index % 3);
    assert_int_equal(e->size, size);
    for (uint32_t i = 0; i < size; i++) {
        if (data[i] != (uint8_t)(index * 131 + term * 31 + i * 7)) {
            fail_msg("entry %llu differs at byte %u", (unsigned long long)index,
                     i);
        }
    }
}

/* Append n entries of one term and size; the code of raftlog_append. */
static inline int fixture_append(struct fixture *x, uint64_t first, size_t n,
                                 uint64_t term, uint32_t size)
{
    struct raftlog_entry *entries = calloc(n, sizeof *entries);
    int rv;
    assert_non_null(entries);
    for (size_t i = 0; i < n; i++) {
        entries[i] = fixture_entry(first + i, term, size);
    }
    rv = raftlog_append(x->log, first, entries, n);
    for (size_t i = 0; i < n; i++) {
        block_unref(entries[i].block);
    }
    free(entries);
    return rv;
}

static inline void fixture_append_durable(struct fixture *x, uint64_t first,
                                          size_t n, uint64_t term,
                                          uint32_t size)
{
    assert_int_equal(fixture_append(x, first, n, term, size), 0);
    fixture_settle(x);
    assert_int_equal(raftlog_durable_index(x->log), first + n - 1);
}

/* Entries first..last, each in a frame of its own. */
static inline void fixture_append_each(struct fixture *x, uint64_t first,
                                       uint64_t last, uint64_t term,
                                       uint32_t size)
{
    for (uint64_t i = first; i <= last; i++) {
        fixture_append_durable(x, i, 1, term, size);
    }
}

/* Entries of 3000 bytes from 1 on until the log is about to begin its next
 * segment, whose job waits. Returns the last of them: the segment's first. */
static inline uint64_t fixture_append_until_rotating(struct fixture *x)
{
    uint64_t last = 0;
    while (!x->log->rotating) {
        fixture_run_jobs(x);
        last++;
        assert_int_equal(fixture_append(x, last, 1, 1, 3000), 0);
        while (x->log->frame.active) {
            (void)file_queue_wait(x->log->queue, 10000);
            raftlog_poll(x->log);
        }
    }
    return last;
}

struct fixture_range {
    uint64_t next;
    uint64_t term;
    uint32_t size;
};

static inline int fixture_on_scan(void *ctx, uint64_t index,
                                  const struct raftlog_entry *e)
{
    struct fixture_range *range = ctx;
    assert_int_equal(index, range->next);
    fixture_check_entry(e, index, range->term, range->size);
    range->next++;
    return 0;
}

/* first..last are there with this term and size. */
static inline void fixture_check_range(struct fixture *x, uint64_t first,
                                       uint64_t last, uint64_t term,
                                       uint32_t size)
{
    struct fixture_range range = {first, term, size};
    int rv =
        raftlog_scan(x->log, first, last, fixture_on_scan, &range, &x->info);
    if (rv != 0) {
        print_error("scan: %s\n", x->info.message);
    }
    assert_int_equal(rv, 0);
    assert_int_equal(range.next, last + 1);
    for (uint64_t i = first; i <= last; i++) {
        assert_int_equal(raftlog_term(x->log, i), term);
    }
}

static inline void fixture_check_bounds(const struct fixture *x, uint64_t first,
                                        uint64_t last)
{
    assert_int_equal(raftlog_first_index(x->log), first);
    assert_int_equal(raftlog_last_index(x->log), last);
}

static inline bool fixture_recovered_as(const struct fixture *x,
                                        enum recover_case c)
{
    return (x->log->recovery_cases >> c & 1) != 0;
}

/* Fixtures are made and removed by cmocka around each test. */
static inline int fixture_setup(void **state)
{
    struct fixture *x = malloc(sizeof *x);
    fixture_init(x);
    *state = x;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    fault_file_disarm();
    fixture_close(*state);
    free(*state);
    return 0;
}

#define fixture_test(f)                                                        \
    cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
