/* The life of a replica among peers that a test plays: see solo.h; what the
 * peers say is in solo_peers.c. */
#include "tests/lib/solo.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"
#include "raftlog/internal.h"

static uint64_t io_now(void *ctx)
{
    const struct solo *s = ctx;
    return s->now_ms;
}

static uint64_t io_clock(void *ctx)
{
    const struct solo *s = ctx;
    return s->clock_ms;
}

static uint64_t io_random(void *ctx)
{
    struct solo *s = ctx;
    s->random = s->random * 6364136223846793005u + 1442695040888963407u;
    return s->random >> 16;
}

static bool io_send(void *ctx, uint64_t to, const struct wire_frame *f)
{
    struct solo *s = ctx;
    struct solo_sent *sent = &s->sent[s->n_sent];
    struct err_info info;
    uint8_t *block = block_new(f->head_size + f->body_size);
    assert(s->n_sent < SOLO_SENT_MAX && block != NULL);
    memcpy(block, f->head, f->head_size);
    if (f->body_size > 0) {
        memcpy(block + f->head_size, f->body_at, f->body_size);
    }
    sent->to = to;
    sent->block = block;
    if (wire_decode(s->options.id, block, f->head_size + f->body_size, &sent->m,
                    &info) != 0) {
        fprintf(stderr, "own frame refused: %s\n", info.message);
        abort();
    }
    s->n_sent++;
    return true;
}

static uint64_t io_queued(void *ctx, uint64_t to, enum wire_lane lane)
{
    (void)ctx;
    (void)to;
    (void)lane;
    return 0;
}

static void io_work(void *ctx, void (*work)(void *), void (*done)(void *),
                    void *arg)
{
    struct solo *s = ctx;
    bool added = job_list_add(&s->jobs, work, done, arg);
    assert(added);
}

static void io_fatal(void *ctx, const struct err_info *info)
{
    struct solo *s = ctx;
    s->fatal = true;
    snprintf(s->fatal_message, sizeof s->fatal_message, "%s", info->message);
}

static void io_trace(void *ctx, enum trace_level level, const char *line)
{
    (void)ctx;
    if (getenv("SOLO_TRACE") != NULL) {
        fprintf(stderr, "%d %s\n", (int)level, line);
    }
}

static void on_applied(void *ctx, uint64_t index, uint64_t term,
                       const struct proposal *p, const struct buffer *reply)
{
    struct solo *s = ctx;
    (void)index;
    (void)term;
    (void)reply;
    s->n_applied += p != NULL;
}

static void on_jumped(void *ctx, uint64_t index, uint64_t term)
{
    struct solo *s = ctx;
    (void)term;
    s->jumped_to = index;
}

static void on_nothing(void *ctx)
{
    (void)ctx;
}

static void on_message(void *ctx, const struct wire_message *m, void *block)
{
    (void)ctx;
    (void)m;
    (void)block;
}

static void on_peer(void *ctx, uint64_t id, bool connected)
{
    (void)ctx;
    (void)id;
    (void)connected;
}

static void on_drained(void *ctx)
{
    struct solo *s = ctx;
    s->n_drained++;
}

static void on_transferred(void *ctx, bool done)
{
    struct solo *s = ctx;
    s->n_transferred++;
    s->transferred = done;
}

static void open_replica(struct solo *s)
{
    struct replica_io io = {s,        io_now,      io_clock, io_random,
                            io_send,  io_queued,   io_work,  io_fatal,
                            io_trace, TRACE_DEBUG, NULL};
    struct replica_events events = {s,          on_applied, on_jumped,
                                    on_nothing, on_nothing, on_message,
                                    on_peer,    on_drained, on_transferred};
    struct err_info info;
    s->options.data_dir = s->dir.path;
    s->options.initial = s->servers;
    if (replica_open(&s->options, &io, &events, &s->r, &info) != 0) {
        fprintf(stderr, "replica_open: %s\n", info.message);
        abort();
    }
    solo_settle(s);
}

void solo_open(struct solo *s, uint64_t id, unsigned n)
{
    memset(s, 0, sizeof *s);
    s->now_ms = 1000000;
    s->clock_ms = 1700000000000u;
    s->random = 42 + id;
    temp_dir_make(&s->dir);
    s->options.id = id;
    s->options.n_initial = n;
    s->options.election_timeout_ms = 300;
    s->options.segment_bytes = 4 * 1024 * 1024;
    for (unsigned i = 0; i < n; i++) {
        s->servers[i].id = i + 1;
        s->servers[i].role = RAFT_VOTER;
        snprintf(s->servers[i].address, sizeof s->servers[i].address,
                 "node%u:1", i + 1);
    }
    open_replica(s);
}

static void drain_jobs(struct solo *s)
{
    s->jobs_held = false;
    job_list_run_all(&s->jobs);
}

void solo_reopen(struct solo *s)
{
    replica_close(s->r);
    drain_jobs(s);
    solo_forget(s);
    open_replica(s);
}

void solo_reopen_blank(struct solo *s)
{
    replica_close(s->r);
    drain_jobs(s);
    solo_forget(s);
    temp_dir_remove(&s->dir);
    temp_dir_make(&s->dir);
    open_replica(s);
}

void solo_restart(struct solo *s)
{
    open_replica(s);
}

void solo_close(struct solo *s)
{
    if (s->fatal) {
        replica_abandon(s->r);
    } else {
        replica_close(s->r);
    }
    drain_jobs(s);
    solo_forget(s);
    temp_dir_remove(&s->dir);
}

void solo_run_jobs(struct solo *s)
{
    /* Not those that they add. */
    for (size_t n = s->jobs.n; n > 0; n--) {
        job_list_run(&s->jobs, 0);
    }
}

void solo_turn(struct solo *s)
{
    if (replica_deadline_ms(s->r) <= s->now_ms) {
        replica_timer(s->r);
    }
    replica_poll(s->r);
    if (!s->jobs_held) {
        solo_run_jobs(s);
    }
    replica_flush(s->r);
}

/* Nothing goes on by itself any more, but for proposals that are gathered: they
 * wait for a write, but also for a peer or for time. */
static bool is_at_rest(const struct solo *s)
{
    struct raftlog_stats stats;
    replica_log_stats(s->r, &stats);
    return stats.pending_bytes == 0 && (s->jobs.n == 0 || s->jobs_held) &&
           raftlog_hard_state_durable(s->r->log) &&
           raftlog_persisted_index(s->r->log) ==
               raftlog_last_index(s->r->log) &&
           !s->r->log->syncing.active && !s->r->apply_more;
}

void solo_settle(struct solo *s)
{
    /* Bounded: a write that takes ten seconds fails the test that waits. */
    for (int i = 0; i < 1000 && !s->fatal; i++) {
        struct pollfd p = {replica_fd(s->r), POLLIN, 0};
        solo_turn(s);
        if (is_at_rest(s)) {
            size_t n = s->r->n_gathered;
            solo_turn(s);
            if (is_at_rest(s) && s->r->n_gathered == n) {
                return;
            }
        }
        poll(&p, 1, 10);
    }
    if (!s->fatal) {
        fprintf(stderr, "the replica does not come to rest\n");
        abort();
    }
    solo_turn(s);
}

void solo_advance(struct solo *s, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        s->now_ms++;
        s->clock_ms++;
        solo_turn(s);
        if (s->r->failed) {
            return;
        }
    }
    solo_settle(s);
}

void solo_snapshot(struct solo *s)
{
    int rv = replica_snapshot(s->r);
    assert(rv == 0);
    solo_settle(s);
}

struct replica_compaction solo_compaction(const struct solo *s)
{
    struct replica_compaction c;
    replica_compaction(s->r, &c);
    return c;
}

void solo_connect_all(struct solo *s)
{
    for (unsigned i = 0; i < s->options.n_initial; i++) {
        replica_peer(s->r, s->servers[i].id, true);
    }
}

struct replica_status solo_status(const struct solo *s)
{
    struct replica_status st;
    replica_status(s->r, &st);
    return st;
}

void solo_forget(struct solo *s)
{
    for (size_t i = 0; i < s->n_sent; i++) {
        wire_message_clear(&s->sent[i].m);
        block_unref(s->sent[i].block);
    }
    s->n_sent = 0;
}
