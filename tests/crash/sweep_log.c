/* Sweep: a log, from nothing and from what an earlier life left. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/file.h"
#include "raftlog/raftlog.h"
#include "tests/crash/sweep.h"
#include "tests/lib/job_list.h"

enum {
    N_ENTRIES = 26,
    ENTRY_SIZE = 3000,
    SEGMENT = 16 * 4096,
    ROUNDS_MAX = 2000,
    TERM_OLD = 3,
    TERM = 4
};

struct owner {
    struct raftlog *log;
    struct job_list jobs;
    uint64_t now_ms;
    unsigned n_fatal;
    unsigned n_read; /* entries that a read has brought */
    bool reading;
    struct err_info fatal;
};

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct owner *o = ctx;
    sweep_check(job_list_add(&o->jobs, work, done, arg), "too many jobs");
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    struct owner *o = ctx;
    o->n_fatal++;
    o->fatal = *info;
}

static uint64_t on_now(void *ctx)
{
    return ((struct owner *)ctx)->now_ms;
}

static uint8_t byte_at(uint64_t index, uint32_t at)
{
    return (uint8_t)(index * 131 + at * 7);
}

/* The caller's own memory is not what fails here: it is taken once. */
static void *blocks[N_ENTRIES + 1];

static void make_blocks(const char *dir)
{
    (void)dir;
    for (uint64_t index = 1; index <= N_ENTRIES; index++) {
        uint8_t *data = blocks[index];
        if (data != NULL) {
            continue;
        }
        data = block_new(ENTRY_SIZE);
        sweep_check(data != NULL, NULL);
        for (uint32_t i = 0; i < ENTRY_SIZE; i++) {
            data[i] = byte_at(index, i);
        }
        blocks[index] = data;
    }
}

static struct raftlog_entry entry_of(uint64_t index, uint64_t term)
{
    struct raftlog_entry e = {.term = term, .kind = 1, .size = ENTRY_SIZE};
    sweep_check(index <= N_ENTRIES, NULL);
    e.data = blocks[index];
    e.block = blocks[index];
    return e;
}

static int open_log(struct owner *o, const char *dir,
                    struct raftlog_report *report, struct err_info *info)
{
    struct raftlog_options options = {.node_id = 1,
                                      .segment_bytes = SEGMENT,
                                      .cache_bytes = 1,
                                      .aio_filesystems = "ext4,xfs"};
    struct raftlog_io io = {.ctx = o,
                            .work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = on_now};
    memset(o, 0, sizeof *o);
    o->now_ms = 1000;
    memset(options.cluster_id, 0xc1, sizeof options.cluster_id);
    return raftlog_open(dir, &options, &io, &o->log, report, info);
}

/* One round of a loop: jobs, completions, a tick. */
static void turn(struct owner *o)
{
    struct raftlog_stats stats;
    raftlog_get_stats(o->log, &stats);
    job_list_run_all(&o->jobs);
    if (stats.oldest_write_ms > 0 || !raftlog_hard_state_durable(o->log)) {
        struct pollfd p = {.fd = raftlog_fd(o->log), .events = POLLIN};
        (void)poll(&p, 1, 20);
    }
    raftlog_poll(o->log);
    o->now_ms += 100;
    raftlog_tick(o->log);
}

static void on_read(void *ctx, int status, uint64_t first,
                    const struct raftlog_entry *entries, size_t n)
{
    struct owner *o = ctx;
    o->reading = false;
    if (status != 0) {
        sweep_check(status == ERR_NOMEM || status == ERR_STOPPED ||
                        status == ERR_NOTFOUND,
                    err_text(status));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const uint8_t *data = entries[i].data;
        for (uint32_t k = 0; k < entries[i].size; k++) {
            sweep_check(data[k] == byte_at(first + i, k),
                        "an entry was read with other bytes");
        }
    }
    o->n_read += (unsigned)n;
}

/* Append up to N_ENTRIES, as an owner that tries again when memory is short. */
static void append_all(struct owner *o, struct sweep_told *told)
{
    for (unsigned i = 0; i < ROUNDS_MAX && o->n_fatal == 0; i++) {
        uint64_t next = raftlog_last_index(o->log) + 1;
        if (next <= N_ENTRIES && raftlog_has_room(o->log, ENTRY_SIZE)) {
            struct raftlog_entry e = entry_of(next, TERM);
            int rv = raftlog_append(o->log, next, &e, 1);
            sweep_check(rv == 0 || rv == ERR_NOMEM || rv == ERR_STOPPED,
                        err_text(rv));
        }
        turn(o);
        told->durable = raftlog_durable_index(o->log);
        if (raftlog_hard_state_durable(o->log)) {
            told->term = TERM;
        }
        if (told->durable == N_ENTRIES && told->term == TERM) {
            return;
        }
    }
}

/* Read all from disk, until it has come. */
static void read_all(struct owner *o)
{
    uint64_t first = raftlog_first_index(o->log);
    for (unsigned i = 0; i < ROUNDS_MAX && o->n_fatal == 0; i++) {
        if (first + o->n_read > N_ENTRIES) {
            return;
        }
        if (!o->reading) {
            o->reading = true;
            if (raftlog_read(o->log, first + o->n_read, N_ENTRIES, SEGMENT,
                             on_read, o) != 0) {
                o->reading = false;
            }
        }
        turn(o);
    }
}

static int work(const char *dir, struct sweep_told *told)
{
    struct raftlog_report report;
    struct owner o;
    uint64_t before;
    int rv = open_log(&o, dir, &report, &told->info);
    if (rv != 0) {
        job_list_run_all(&o.jobs);
        return rv;
    }
    before = report.last_index;
    told->durable = before;
    told->term = report.current_term;
    while (raftlog_set_hard_state(o.log, TERM, 1) == ERR_NOMEM) {
        turn(&o);
    }
    append_all(&o, told);
    read_all(&o);
    raftlog_release(o.log, 15);
    for (unsigned i = 0; i < 30 && o.n_fatal == 0; i++) {
        turn(&o);
    }
    told->whole = told->durable == N_ENTRIES &&
                  o.n_read == N_ENTRIES - report.first_index + 1 &&
                  o.n_fatal == 0;
    told->info = o.fatal;
    rv = o.n_fatal > 0 ? o.fatal.code : 0;
    if (rv == 0) {
        raftlog_close(o.log);
    } else {
        raftlog_abandon(o.log);
    }
    job_list_run_all(&o.jobs);
    if (rv == 0 && o.n_fatal > 0) {
        told->info = o.fatal; /* it came while closing */
        rv = o.fatal.code;
    }
    return rv;
}

static int on_scan(void *ctx, uint64_t index, const struct raftlog_entry *e)
{
    const uint8_t *data = e->data;
    (void)ctx;
    sweep_check(e->size == ENTRY_SIZE &&
                    (e->term == TERM || e->term == TERM_OLD),
                "an entry came back with another size or term");
    for (uint32_t i = 0; i < e->size; i++) {
        sweep_check(data[i] == byte_at(index, i),
                    "an entry came back with other bytes");
    }
    return 0;
}

static void check(const char *dir, const struct sweep_told *told)
{
    struct raftlog_report report;
    struct sweep_told again = {0};
    struct err_info info = {0};
    struct owner o;
    sweep_check(open_log(&o, dir, &report, &info) == 0, info.message);
    sweep_check(report.last_index >= told->durable, "durable entries are lost");
    sweep_check(report.current_term >= told->term, "a durable term is lost");
    sweep_check(raftlog_scan(o.log, report.first_index, report.last_index,
                             on_scan, NULL, &info) == 0,
                info.message);
    sweep_check(raftlog_set_hard_state(o.log, TERM, 1) == 0, NULL);
    append_all(&o, &again);
    sweep_check(o.n_fatal == 0 && again.durable == N_ENTRIES,
                "it does not go on");
    raftlog_abandon(o.log);
    job_list_run_all(&o.jobs);
}

/* An earlier life: two segments, and a hard state. */
static void prepare_old(const char *dir)
{
    struct raftlog_report report;
    struct err_info info = {0};
    struct owner o;
    make_blocks(dir);
    sweep_check(open_log(&o, dir, &report, &info) == 0, info.message);
    sweep_check(raftlog_set_hard_state(o.log, TERM_OLD, 1) == 0, NULL);
    for (uint64_t i = 1; i <= 20; i++) {
        struct raftlog_entry e = entry_of(i, TERM_OLD);
        sweep_check(raftlog_append(o.log, i, &e, 1) == 0, NULL);
        for (unsigned k = 0; k < ROUNDS_MAX && raftlog_durable_index(o.log) < i;
             k++) {
            turn(&o);
        }
        sweep_check(raftlog_durable_index(o.log) == i, NULL);
    }
    raftlog_abandon(o.log);
    job_list_run_all(&o.jobs);
}

const struct sweep_case sweep_log_new = {"log", make_blocks, work, check};
const struct sweep_case sweep_log_old = {"log-again", prepare_old, work, check};
