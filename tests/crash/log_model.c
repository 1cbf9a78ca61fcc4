/* The promises of a log, and an owner that keeps the books. */
#include "tests/crash/log_model.h"

#include <stdio.h>
#include <string.h>

#include "raftlog/block.h"
#include "tests/crash/enumerate.h"

enum { ROUNDS_MAX = 10000, TICK_US = 100000 };

/* Payload bytes of an entry of the scripts, a function of index and term. */
static uint32_t payload_size(uint64_t index, uint64_t term)
{
    if (index % 40 == 23) {
        return LOG_MODEL_SEGMENT + 5000; /* more than a segment holds */
    }
    if (index % 5 == 2) {
        return 9000;
    }
    return (uint32_t)(4 + (index * 37 + term * 11) % 3000);
}

static uint8_t payload_byte(uint64_t index, uint64_t term, uint32_t at)
{
    return (uint8_t)(index * 131 + term * 29 + at * 7 + at / 251);
}

/* ---- the owner ------------------------------------------------------------*/

static void on_work(void *ctx, void (*work)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct log_owner *o = ctx;
    crash_check(job_list_add(&o->jobs, work, done, arg), "too many jobs");
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void on_fatal(void *ctx, const struct err_info *info)
{
    (void)ctx;
    crash_check(false, info->message);
}

static uint64_t on_now(void *ctx)
{
    return ((struct log_owner *)ctx)->clock->now_us / 1000;
}

int log_owner_try_open(struct log_owner *o, struct log_model *m,
                       struct sim_clock *clock, const char *dir,
                       struct raftlog_report *report, struct err_info *info)
{
    struct raftlog_options options = {
        .node_id = 1, .segment_bytes = LOG_MODEL_SEGMENT, .n_pooled_max = 2};
    struct raftlog_io io = {.ctx = o,
                            .work = on_work,
                            .progress = on_progress,
                            .fatal = on_fatal,
                            .now_ms = on_now};
    memset(o, 0, sizeof *o);
    memset(options.cluster_id, 0x5a, sizeof options.cluster_id);
    o->model = m;
    o->clock = clock;
    return raftlog_open(dir, &options, &io, &o->log, report, info);
}

void log_owner_open(struct log_owner *o, struct log_model *m,
                    struct sim_clock *clock, const char *dir,
                    struct raftlog_report *report)
{
    struct err_info info = {0};
    crash_check(log_owner_try_open(o, m, clock, dir, report, &info) == 0,
                info.message);
}

/* What the log says now becomes the model's promise. */
static void observe(struct log_owner *o)
{
    struct log_model *m = o->model;
    uint64_t durable = raftlog_durable_index(o->log);
    crash_check(durable <= m->now.last, "durable beyond what was appended");
    if (m->reset_open && durable > m->reset_index) {
        m->reset_open = false;
        memset(&m->before_reset, 0, sizeof m->before_reset);
    }
    m->now.durable = durable;
    if (raftlog_hard_state_durable(o->log)) {
        m->hard_durable = m->hard_given;
    }
}

void log_owner_settle(struct log_owner *o)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        bool jobs = o->jobs.n > 0;
        bool writes;
        job_list_run_all(&o->jobs);
        /* Every write of the simulated disk ends within this time. */
        writes = sim_clock_step(o->clock, o->clock->now_us + TICK_US / 10);
        raftlog_poll(o->log);
        observe(o);
        if (!jobs && !writes && o->jobs.n == 0) {
            return;
        }
    }
    crash_check(false, "the log does not come to rest");
}

void log_owner_tick(struct log_owner *o)
{
    while (sim_clock_step(o->clock, o->clock->now_us + TICK_US)) {
    }
    raftlog_tick(o->log);
    log_owner_settle(o);
}

void log_owner_kill(struct log_owner *o)
{
    raftlog_abandon(o->log);
    o->log = NULL;
    job_list_run_all(&o->jobs);
}

void log_owner_close(struct log_owner *o)
{
    raftlog_close(o->log);
    o->log = NULL;
    job_list_run_all(&o->jobs);
    o->model->now.durable = o->model->now.last;
    o->model->hard_durable = o->model->hard_given;
    o->model->reset_open = false;
    memset(&o->model->before_reset, 0, sizeof o->model->before_reset);
}

/* ---- what an owner does ---------------------------------------------------*/

static struct raftlog_entry make_entry(uint64_t index, uint64_t term)
{
    struct raftlog_entry e = {.term = term,
                              .kind = (uint8_t)(index % 5),
                              .size = payload_size(index, term)};
    uint8_t *data = block_new(e.size);
    crash_check(data != NULL, NULL);
    for (uint32_t i = 0; i < e.size; i++) {
        data[i] = payload_byte(index, term, i);
    }
    e.data = data;
    e.block = data;
    return e;
}

void log_owner_append(struct log_owner *o, uint64_t first, unsigned n,
                      uint64_t term)
{
    struct log_model *m = o->model;
    struct raftlog_entry entries[16];
    int rv;
    crash_check(n <= 16 && first + n < LOG_MODEL_INDEX_MAX &&
                    term < LOG_MODEL_TERMS_MAX,
                "the script is too long for the model");
    m->mended = false;
    if (first <= m->now.durable) {
        m->now.durable = first - 1;
    }
    for (unsigned i = 0; i < n; i++) {
        uint64_t index = first + i;
        m->before[index][term] = (uint8_t)(m->now.terms[index - 1] + 1);
        m->now.terms[index] = (uint8_t)term;
        entries[i] = make_entry(index, term);
    }
    for (uint64_t i = first + n; i <= m->now.last; i++) {
        m->now.terms[i] = 0; /* cut off */
    }
    m->now.last = first + n - 1;
    rv = raftlog_append(o->log, first, entries, n);
    for (unsigned i = 0; i < n; i++) {
        block_unref(entries[i].block);
    }
    crash_check(rv == 0, "append");
}

void log_owner_hard_state(struct log_owner *o)
{
    struct log_model *m = o->model;
    m->hard_given++;
    crash_check(
        raftlog_set_hard_state(o->log, m->hard_given, m->hard_given + 7) == 0,
        "hard state");
}

void log_owner_release(struct log_owner *o, uint64_t through)
{
    o->model->now.base = through;
    raftlog_release(o->log, through);
    crash_check(raftlog_first_index(o->log) == through + 1, "release");
}

void log_owner_reset(struct log_owner *o, uint64_t index, uint64_t term)
{
    struct log_model *m = o->model;
    crash_check(!m->reset_open, "the model knows one open reset");
    m->before_reset = m->now;
    m->mended = false;
    m->reset_open = true;
    m->reset_index = index;
    memset(&m->now, 0, sizeof m->now);
    m->now.base = index;
    m->now.last = index;
    m->now.durable = index;
    m->now.terms[index] = (uint8_t)term;
    crash_check(raftlog_reset(o->log, index, term) == 0, "reset");
}

/* ---- judging a recovery ---------------------------------------------------*/

struct scan {
    const struct log_model *model;
    struct log_view *back;
    uint64_t next;
};

static int on_scan(void *ctx, uint64_t index, const struct raftlog_entry *e)
{
    struct scan *s = ctx;
    const uint8_t *data = e->data;
    bool same = true;
    crash_check(index == s->next && index < LOG_MODEL_INDEX_MAX, "order");
    crash_check(e->term < LOG_MODEL_TERMS_MAX &&
                    s->model->before[index][e->term] != 0,
                "an entry came back that nobody wrote");
    crash_check(e->kind == index % 5 && e->size == payload_size(index, e->term),
                "an entry came back with another kind or size");
    for (uint32_t i = 0; i < e->size; i++) {
        same = same && data[i] == payload_byte(index, e->term, i);
    }
    crash_check(same, "an entry came back with other bytes");
    s->back->terms[index] = (uint8_t)e->term;
    s->next++;
    return 0;
}

/* Does what came back hold all that this view has promised? */
static bool holds(const struct log_view *v, const struct log_view *back,
                  uint64_t first)
{
    if (first > v->base + 1 || back->last < v->durable) {
        return false;
    }
    for (uint64_t i = v->base + 1; i <= v->durable; i++) {
        if (back->terms[i] != v->terms[i]) {
            return false;
        }
    }
    return true;
}

static void check_view(const struct log_model *m, struct log_owner *o,
                       const struct raftlog_report *report,
                       struct log_view *back)
{
    uint64_t first = report->first_index;
    struct scan s = {m, back, first};
    struct err_info info = {0};
    char words[160];
    bool as_new;
    bool as_old;
    crash_check(raftlog_scan(o->log, first, report->last_index, on_scan, &s,
                             &info) == 0,
                info.message);
    crash_check(s.next == report->last_index + 1, "the scan is not complete");
    for (uint64_t i = first + 1; i <= back->last; i++) {
        crash_check(m->before[i][back->terms[i]] == back->terms[i - 1] + 1,
                    "an entry follows another one than it was appended to");
    }
    as_new = holds(&m->now, back, first);
    as_old = m->reset_open && holds(&m->before_reset, back, first);
    snprintf(words, sizeof words,
             "%llu..%llu came back, %llu..%llu was durable",
             (unsigned long long)first, (unsigned long long)back->last,
             (unsigned long long)m->now.base + 1,
             (unsigned long long)m->now.durable);
    crash_check(as_new || as_old, words);
    if (back->last >= first) {
        back->terms[first - 1] =
            (uint8_t)(m->before[first][back->terms[first]] - 1);
    } else {
        back->terms[back->last] = as_new ? m->now.terms[back->last]
                                         : m->before_reset.terms[back->last];
    }
    crash_check(raftlog_term(o->log, first - 1) == back->terms[first - 1],
                "the term before the log is another one");
}

void log_model_recover(const struct log_model *m, const char *dir,
                       struct sim_clock *clock, struct log_model *after,
                       struct log_owner *o)
{
    struct raftlog_report report;
    log_owner_open(o, after, clock, dir, &report);
    *after = *m;
    memset(&after->now, 0, sizeof after->now);
    memset(&after->before_reset, 0, sizeof after->before_reset);
    after->reset_open = false;
    after->reset_index = 0;
    after->mended = true;
    crash_check(!m->mended || report.torn_bytes == 0,
                "a torn tail is found again");
    after->now.base = report.first_index - 1;
    after->now.last = report.last_index;
    after->now.durable = report.last_index;
    crash_check(report.last_index < LOG_MODEL_INDEX_MAX, NULL);
    check_view(m, o, &report, &after->now);
    crash_check(report.current_term >= m->hard_durable &&
                    report.current_term <= m->hard_given,
                "a term came back that is not the last durable one");
    crash_check(report.voted_for ==
                    (report.current_term == 0 ? 0 : report.current_term + 7),
                "a vote came back that nobody gave");
    after->hard_durable = report.current_term;
    after->hard_given = report.current_term;
}
