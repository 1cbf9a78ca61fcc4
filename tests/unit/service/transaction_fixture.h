/* Nodes with two sessions each, for the tests of transactions: on top of
 * fake_replica.h, entries are applied and reads confirmed when the test says
 * so. */
#ifndef TESTS_UNIT_SERVICE_TRANSACTION_FIXTURE_H
#define TESTS_UNIT_SERVICE_TRANSACTION_FIXTURE_H

#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/service_private.h"

enum { TIMEOUT_MS = 1000 };

struct node {
    struct replica replica;
    struct service *service;
    struct replica_events events;
    uint64_t now_ms, random;
    uint64_t leader_ms; /* the leader's clock, as reads are told */
    struct session *a, *b;
};

static inline uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static inline uint64_t io_clock_ms(void *ctx)
{
    (void)ctx;
    return 1700000000000;
}

static inline uint64_t io_random(void *ctx)
{
    return ((struct node *)ctx)->random++;
}

static inline void io_local(void *ctx, struct session *session,
                            const struct command *command, uint32_t argc,
                            const struct bytes *argv, struct buffer *reply)
{
    (void)ctx;
    (void)session;
    (void)command;
    (void)argc;
    (void)argv;
    resp_simple(reply, "LOCAL");
}

static inline void on_output(void *ctx)
{
    (void)ctx;
}

static inline void changed(struct node *n, uint64_t term, uint64_t leader_id)
{
    n->replica.term = term;
    n->replica.leader_id = leader_id;
    n->replica.leading = leader_id == n->replica.id;
    n->events.changed(n->events.ctx);
}

/* Node `id` with the given options (their time limit is set); node 1 leads in
 * term 5. */
static inline void make(struct node *n, uint64_t id,
                        struct service_options options)
{
    struct replica_io io;
    memset(n, 0, sizeof *n);
    memset(&io, 0, sizeof io);
    n->now_ms = 10000;
    n->random = id << 40 | 100;
    io.ctx = n;
    io.now_ms = io_now_ms;
    io.clock_ms = io_clock_ms;
    io.random = io_random;
    options.request_timeout_ms = TIMEOUT_MS;
    fake_open(&n->replica, id);
    assert_int_equal(service_new(&options, &io, io_local, n, &n->service), 0);
    service_events(n->service, &n->events);
    assert_int_equal(session_open(n->service, on_output, n, &n->a), 0);
    assert_int_equal(session_open(n->service, on_output, n, &n->b), 0);
    service_attach(n->service, &n->replica);
    changed(n, 5, 1);
}

static inline struct node *make_leader(struct node *n)
{
    make(n, 1, (struct service_options){0});
    return n;
}

static inline uint64_t transaction_bytes(const struct node *n)
{
    struct service_stats stats;
    service_get_stats(n->service, &stats);
    return stats.transaction_bytes;
}

/* Nothing may be left of any transaction. */
static inline void end(struct node *n)
{
    struct service_stats stats;
    if (n->a != NULL) {
        session_close(n->a);
    }
    if (n->b != NULL) {
        session_close(n->b);
    }
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.n_watching, 0);
    assert_int_equal(stats.n_watched, 0);
    assert_int_equal(stats.transaction_bytes, 0);
    service_free(n->service);
    fake_close(&n->replica);
}

/* A line as typed into an inline connection. */
static inline void submit(struct session *session, const char *line)
{
    struct resp_limits limits = {100, 10000, 10000, 10000};
    struct resp_parser p;
    const struct bytes *argv;
    uint32_t argc;
    size_t used;
    char text[1024];
    int n = snprintf(text, sizeof text, "%s\n", line);
    assert_in_range(n, 1, sizeof text - 1);
    resp_parser_init(&p, &limits);
    assert_int_equal(
        resp_parse(&p, (const uint8_t *)text, (size_t)n, &used, &argc, &argv),
        RESP_REQUEST);
    (void)session_submit(session, argc, argv);
    resp_parser_close(&p);
}

static inline void expect_bytes(struct session *session, const char *line,
                                const char *want, size_t size)
{
    struct buffer *out = session_output(session);
    if (buffer_size(out) != size ||
        (size > 0 && memcmp(buffer_data(out), want, size) != 0)) {
        fail_msg("%s\n  want %.*s\n  got  %.*s", line, (int)size, want,
                 (int)buffer_size(out), (const char *)buffer_data(out));
    }
    buffer_consume(out, size);
}

static inline void expect(struct session *session, const char *text)
{
    expect_bytes(session, "", text, strlen(text));
}

/* Apply the next entries that were proposed here. */
static inline void apply(struct node *n, unsigned n_entries)
{
    while (n_entries-- > 0) {
        struct replica *r = &n->replica;
        struct fake_entry *e = &r->entries[r->n_applied];
        assert_true(r->n_applied < r->n_entries);
        r->n_applied++;
        fake_apply(r, &n->events, e->term, e->block, e->size);
    }
}

/* Another node applies the entry that this one has proposed. */
static inline void apply_of(struct node *n, const struct node *leader,
                            unsigned i)
{
    const struct fake_entry *e = &leader->replica.entries[i];
    assert_true(i < leader->replica.n_entries);
    fake_apply(&n->replica, &n->events, e->term, e->block, e->size);
}

static inline void confirm(struct node *n, int status)
{
    struct replica *r = &n->replica;
    assert_true(r->n_called < r->n_reads);
    r->n_called++;
    r->reads[r->n_called - 1].cb(r->reads[r->n_called - 1].ctx, status,
                                 n->leader_ms);
}

/* EXEC with watches: proposed when the barrier has confirmed. */
static inline void submit_exec(struct node *n, struct session *session)
{
    submit(session, "EXEC");
    confirm(n, 0);
}

/* Everything that can be done is done, on a node that leads. */
static inline void settle(struct node *n)
{
    struct replica *r = &n->replica;
    while (r->n_called < r->n_reads || r->n_applied < r->n_entries) {
        if (r->n_applied < r->n_entries) {
            apply(n, 1);
        } else {
            confirm(n, 0);
        }
    }
}

static inline void say(struct node *n, struct session *session,
                       const char *line, const char *want)
{
    submit(session, line);
    settle(n);
    expect_bytes(session, line, want, strlen(want));
}

/* Deliver frame i of one node to another. */
static inline void deliver(struct node *from, unsigned i, struct node *to)
{
    struct fake_frame *f = &from->replica.frames[i];
    assert_true(i < from->replica.n_frames);
    assert_int_equal(f->to, to->replica.id);
    to->events.message(to->events.ctx, &f->m, f->block);
}

static inline void pass(struct node *n, uint64_t ms)
{
    n->now_ms += ms;
    if (service_deadline_ms(n->service) <= n->now_ms) {
        service_timer(n->service);
    }
}

#define OK "+OK\r\n"
#define QUEUED "+QUEUED\r\n"
#define NONE "$-1\r\n"
#define BROKEN "*-1\r\n"
#define ABORTED                                                                \
    "-EXECABORT Transaction discarded because of previous errors.\r\n"

#endif
