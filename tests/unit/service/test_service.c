/* The service on a fake replica: program order, and what becomes of writes and
 * reads when leaders, connections and disks fail. */
#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/info.h"
#include "node/service_private.h"

enum { TIMEOUT_MS = 1000 };

struct client {
    struct session *session;
    unsigned n_output; /* calls of output */
    bool close_in_output;
};

struct node {
    struct replica replica;
    struct service *service;
    struct replica_events events;
    uint64_t now_ms, random;
    struct client a, b;
};

static uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static uint64_t io_clock_ms(void *ctx)
{
    return ((struct node *)ctx)->replica.leader_clock_ms;
}

static uint64_t io_random(void *ctx)
{
    struct node *n = ctx;
    uint64_t v = n->random;
    n->random += (uint64_t)1 << 33;
    return v;
}

static void local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    struct node *n = ctx;
    struct info_process process;
    (void)session;
    memset(&process, 0, sizeof process);
    if (strcmp(command->name, "INFO") == 0) {
        service_info(n->service, &process, argc, argv, reply);
    } else {
        resp_simple(reply, "LOCAL");
    }
}

static void output(void *ctx)
{
    struct client *c = ctx;
    c->n_output++;
    if (c->close_in_output) {
        session_close(c->session);
        c->session = NULL;
    }
}

static void connect_client(struct node *n, struct client *c)
{
    memset(c, 0, sizeof *c);
    assert_int_equal(session_open(n->service, output, c, &c->session), 0);
}

static void make_with(struct node *n, uint64_t id, uint64_t random,
                      const struct service_options *options)
{
    struct replica_io io;
    memset(n, 0, sizeof *n);
    memset(&io, 0, sizeof io);
    n->now_ms = 10000;
    n->random = random;
    io.ctx = n;
    io.now_ms = io_now_ms;
    io.clock_ms = io_clock_ms;
    io.random = io_random;
    fake_open(&n->replica, id);
    n->replica.leader_clock_ms = 1700000000000;
    assert_int_equal(service_new(options, &io, local, n, &n->service), 0);
    service_events(n->service, &n->events);
    connect_client(n, &n->a);
    connect_client(n, &n->b);
}

static void make(struct node *n, uint64_t id)
{
    struct service_options options;
    memset(&options, 0, sizeof options);
    options.request_timeout_ms = TIMEOUT_MS;
    make_with(n, id, (id << 40) | 100, &options);
    service_attach(n->service, &n->replica);
}

static void changed(struct node *n, uint64_t term, uint64_t leader_id)
{
    n->replica.term = term;
    n->replica.leader_id = leader_id;
    n->replica.leading = leader_id == n->replica.id;
    n->events.changed(n->events.ctx);
}

static struct node *setup_leader(struct node *n)
{
    make(n, 1);
    changed(n, 5, 1);
    return n;
}

static struct node *setup_follower(struct node *n)
{
    make(n, 2);
    changed(n, 5, 1);
    return n;
}

static void teardown(struct node *n)
{
    if (n->a.session != NULL) {
        session_close(n->a.session);
    }
    if (n->b.session != NULL) {
        session_close(n->b.session);
    }
    service_free(n->service);
    fake_close(&n->replica);
}

/* Submit the words of a line. */
static bool submit(struct client *c, const char *line)
{
    struct bytes argv[16];
    uint32_t argc = 0;
    char copy[256];
    char *save = NULL;
    assert_true(strlen(line) < sizeof copy);
    strcpy(copy, line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save)) {
        argv[argc].data = (const uint8_t *)w;
        argv[argc].size = strlen(w);
        argc++;
    }
    return session_submit(c->session, argc, argv);
}

/* The whole output is text; it is consumed. */
static void expect(struct client *c, const char *text)
{
    struct buffer *out = session_output(c->session);
    char got[4096];
    size_t size = buffer_size(out);
    assert_true(size < sizeof got);
    if (size > 0) {
        memcpy(got, buffer_data(out), size);
    }
    got[size] = '\0';
    buffer_consume(out, size);
    assert_string_equal(got, text);
}

static void expect_prefix(struct client *c, const char *text)
{
    struct buffer *out = session_output(c->session);
    assert_true(buffer_size(out) >= strlen(text));
    assert_memory_equal(buffer_data(out), text, strlen(text));
    buffer_consume(out, buffer_size(out));
}

/* Apply the next entries that were proposed here. */
static void apply(struct node *n, unsigned n_entries)
{
    while (n_entries-- > 0) {
        struct replica *r = &n->replica;
        struct fake_entry *e = &r->entries[r->n_applied];
        assert_true(r->n_applied < r->n_entries);
        r->n_applied++;
        fake_apply(r, &n->events, e->term, e->block, e->size);
    }
}

/* An entry without a command: the barrier at the start of a term. */
static void apply_barrier(struct node *n, uint64_t term)
{
    n->events.applied(n->events.ctx, ++n->replica.index, term, NULL, NULL);
}

/* Answer the next read; the leader's clock when it was asked for. */
static void confirm_at(struct node *n, int status, uint64_t clock_ms)
{
    struct replica *r = &n->replica;
    assert_true(r->n_called < r->n_reads);
    r->n_called++;
    r->reads[r->n_called - 1].cb(r->reads[r->n_called - 1].ctx, status,
                                 clock_ms);
}

static void confirm(struct node *n, int status)
{
    confirm_at(n, status, 0);
}

static struct wire_message *frame(struct node *n, unsigned i, uint64_t to,
                                  enum wire_type type)
{
    assert_true(i < n->replica.n_frames);
    assert_int_equal(n->replica.frames[i].to, to);
    assert_int_equal(n->replica.frames[i].m.type, type);
    return &n->replica.frames[i].m;
}

/* Deliver frame i of one node to another. */
static void deliver(struct node *from, unsigned i, struct node *to)
{
    struct fake_frame *f = &from->replica.frames[i];
    assert_true(i < from->replica.n_frames);
    assert_int_equal(f->to, to->replica.id);
    to->events.message(to->events.ctx, &f->m, f->block);
}

static void answer(struct node *n, uint64_t id, uint64_t term, int status,
                   const char *reply)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = WIRE_FORWARD_RESULT;
    m.from = n->replica.leader_id;
    m.as.forward.request_id = id;
    m.as.forward.term = term;
    m.as.forward.status = status;
    m.as.forward.body.data = (const uint8_t *)reply;
    m.as.forward.body.size = strlen(reply);
    n->events.message(n->events.ctx, &m, NULL);
}

static void pass(struct node *n, uint64_t ms)
{
    n->now_ms += ms;
    if (service_deadline_ms(n->service) <= n->now_ms) {
        service_timer(n->service);
    }
}

static uint64_t frame_id(struct node *n, unsigned i)
{
    return frame(n, i, 1, WIRE_FORWARD)->as.forward.request_id;
}

/* ---- order ---- */

static void test_service_write_on_leader_answers_when_applied(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    assert_true(submit(&n->a, "SET k v"));
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.entries[0].term, 5);
    expect(&n->a, "");
    assert_int_equal(service_pending(n->service), 1);
    apply(n, 1);
    expect(&n->a, "+OK\r\n");
    assert_int_equal(n->a.n_output, 1);
    assert_int_equal(service_pending(n->service), 0);
    assert_true(service_deadline_ms(n->service) == UINT64_MAX);
    teardown(n);
}

static void test_service_pipelined_writes_go_together(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "INCR n");
    submit(&n->a, "INCR n");
    submit(&n->b, "INCR n");
    submit(&n->a, "INCR n");
    assert_int_equal(n->replica.n_entries, 4);
    apply(n, 4);
    expect(&n->a, ":1\r\n:2\r\n:4\r\n");
    expect(&n->b, ":3\r\n");
    teardown(n);
}

static void test_service_read_after_write_waits_for_it(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "SET k v");
    submit(&n->a, "GET k");
    submit(&n->a, "GET k");
    assert_int_equal(n->replica.n_reads, 0);
    apply(n, 1);
    expect(&n->a, "+OK\r\n");
    assert_int_equal(n->replica.n_reads, 2);
    confirm(n, 0);
    confirm(n, 0);
    expect(&n->a, "$1\r\nv\r\n$1\r\nv\r\n");
    teardown(n);
}

static void test_service_write_after_read_waits_for_it(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "GET k");
    submit(&n->a, "SET k v");
    submit(&n->a, "GET k");
    assert_int_equal(n->replica.n_entries, 0);
    confirm(n, 0);
    expect(&n->a, "$-1\r\n");
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.n_reads, 1);
    apply(n, 1);
    confirm(n, 0);
    expect(&n->a, "+OK\r\n$1\r\nv\r\n");
    teardown(n);
}

static void test_service_reads_run_in_order(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "GET k");
    submit(&n->a, "EXISTS k");
    n->replica.n_called = 1; /* the second is confirmed first */
    confirm(n, 0);
    expect(&n->a, "");
    submit(&n->b, "SET k v");
    apply(n, 1);
    n->replica.n_called = 0;
    confirm(n, 0);
    expect(&n->a, "$1\r\nv\r\n:1\r\n");
    expect(&n->b, "+OK\r\n");
    teardown(n);
}

static void test_service_local_replies_keep_their_place(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "SET k v");
    submit(&n->a, "PING");
    submit(&n->a, "NONSENSE");
    submit(&n->a, "SET k");
    submit(&n->a, "INCR n"); /* none of them holds it up */
    assert_int_equal(n->replica.n_entries, 2);
    submit(&n->b, "PING");
    expect(&n->b, "+PONG\r\n");
    expect(&n->a, "");
    apply(n, 2);
    expect(&n->a, "+OK\r\n+PONG\r\n"
                  "-ERR unknown command 'NONSENSE', with args beginning with: "
                  "\r\n"
                  "-ERR wrong number of arguments for 'set' command\r\n"
                  ":1\r\n");
    teardown(n);
}

static void test_service_info_waits_for_its_turn(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct buffer *out;
    (void)state;
    submit(&n->a, "SET k v");
    submit(&n->a, "INFO keyspace");
    submit(&n->a, "CONFIG GET save");
    expect(&n->a, "");
    apply(n, 1);
    out = session_output(n->a.session);
    assert_non_null(
        memmem(buffer_data(out), buffer_size(out), "\r\nkeys:1\r\n", 10));
    assert_non_null(
        memmem(buffer_data(out), buffer_size(out), "+LOCAL\r\n", 8));
    teardown(n);
}

static void test_service_quit_ends_after_replies(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "SET k v");
    assert_false(submit(&n->a, "QUIT"));
    assert_false(session_finished(n->a.session));
    assert_false(submit(&n->a, "SET k w"));
    apply(n, 1);
    expect(&n->a, "+OK\r\n+OK\r\n");
    assert_true(session_finished(n->a.session));
    assert_int_equal(n->replica.n_entries, 1);
    teardown(n);
}

static void test_service_protocol_error_goes_out_last(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "SET k v");
    session_fail(n->a.session, "ERR Protocol error: bad");
    session_fail(n->a.session, "ERR Protocol error: bad");
    assert_false(session_ready(n->a.session));
    assert_false(session_finished(n->a.session));
    apply(n, 1);
    expect(&n->a, "+OK\r\n-ERR Protocol error: bad\r\n");
    assert_true(session_finished(n->a.session));
    teardown(n);
}

static void test_service_not_attached_waits(void **state)
{
    struct node node, *n = &node;
    struct service_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    make_with(n, 1, 77, &options);
    submit(&n->a, "SET k v");
    submit(&n->b, "GET k");
    n->replica.leading = true;
    n->replica.leader_id = 1;
    service_attach(n->service, &n->replica);
    assert_int_equal(n->replica.n_entries, 1);
    assert_int_equal(n->replica.n_reads, 1);
    apply(n, 1);
    confirm(n, 0);
    expect(&n->a, "+OK\r\n");
    expect(&n->b, "$1\r\nv\r\n");
    teardown(n);
}

/* ---- writes of a follower ---- */

static void test_service_follower_write_is_forwarded(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct wire_message *m;
    struct proposal p;
    uint64_t id;
    (void)state;
    submit(&n->a, "SET k v");
    m = frame(n, 0, 1, WIRE_FORWARD);
    id = m->as.forward.request_id;
    assert_int_equal(m->as.forward.term, 5);
    assert_int_equal(
        proposal_decode(m->as.forward.body.data, m->as.forward.body.size, &p),
        0);
    assert_int_equal(p.origin, 2);
    assert_int_equal(p.request_id, id);
    proposal_clear(&p);
    answer(n, id, 5, 0, "+OK\r\n");
    expect(&n->a, "+OK\r\n");
    /* The entry comes along later, and finds nobody waiting. */
    fake_apply(&n->replica, &n->events, 5, m->as.forward.body.data,
               m->as.forward.body.size);
    expect(&n->a, "");
    teardown(n);
}

static void test_service_follower_write_answers_when_applied(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct wire_message *m;
    (void)state;
    submit(&n->a, "INCR n");
    submit(&n->a, "INCR n");
    for (unsigned i = 0; i < 2; i++) {
        m = frame(n, i, 1, WIRE_FORWARD);
        fake_apply(&n->replica, &n->events, 5, m->as.forward.body.data,
                   m->as.forward.body.size);
    }
    expect(&n->a, ":1\r\n:2\r\n");
    answer(n, frame_id(n, 1), 5, 0, ":2\r\n"); /* late */
    expect(&n->a, "");
    teardown(n);
}

static void test_service_no_leader_writes_wait(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    changed(n, 5, 0);
    submit(&n->a, "SET k v");
    assert_int_equal(n->replica.n_frames, 0);
    n->replica.cut = UINT64_MAX;
    changed(n, 5, 1); /* known, but not connected */
    assert_int_equal(n->replica.n_frames, 0);
    n->replica.cut = 0;
    n->events.peer(n->events.ctx, 1, true);
    assert_int_equal(n->replica.n_frames, 1);
    teardown(n);
}

static void test_service_new_term_sends_again_in_order(void **state)
{
    struct node node, *n = setup_follower(&node);
    uint64_t first;
    (void)state;
    submit(&n->a, "INCR n");
    submit(&n->a, "INCR n");
    submit(&n->b, "INCR n");
    first = frame_id(n, 0);
    changed(n, 6, 3);
    submit(&n->b, "INCR n"); /* must not overtake */
    assert_int_equal(n->replica.n_frames, 3);
    /* The second was committed by the new leader. */
    fake_apply(&n->replica, &n->events, 5,
               n->replica.frames[1].m.as.forward.body.data,
               n->replica.frames[1].m.as.forward.body.size);
    expect(&n->a, ""); /* in order */
    assert_int_equal(n->replica.n_frames, 3);
    apply_barrier(n, 6);
    assert_int_equal(n->replica.n_frames, 6);
    for (unsigned i = 3; i < 6; i++) {
        static const unsigned offset[] = {0, 2, 3};
        struct wire_message *m = frame(n, i, 3, WIRE_FORWARD);
        assert_int_equal(m->as.forward.request_id, first + offset[i - 3]);
        assert_int_equal(m->as.forward.term, 6);
    }
    answer(n, first, 6, 0, ":2\r\n");
    expect(&n->a, ":2\r\n:1\r\n");
    teardown(n);
}

static void test_service_new_leader_here_proposes_a_copy(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct proposal p;
    uint8_t before[64];
    struct fake_frame *f;
    (void)state;
    submit(&n->a, "SET k v");
    f = &n->replica.frames[0];
    memcpy(before, f->body, block_size(f->body));
    changed(n, 6, 2);
    apply_barrier(n, 6);
    assert_int_equal(n->replica.n_entries, 1);
    /* The transport may still hold the old bytes: not written to. */
    assert_ptr_not_equal(n->replica.entries[0].block, f->body);
    assert_memory_equal(before, f->body, block_size(f->body));
    assert_int_equal(proposal_decode(n->replica.entries[0].block,
                                     n->replica.entries[0].size, &p),
                     0);
    assert_int_equal(p.clock_ms, n->replica.leader_clock_ms);
    proposal_clear(&p);
    apply(n, 1);
    expect(&n->a, "+OK\r\n");
    teardown(n);
}

static void test_service_deposed_leader_waits_for_fate(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "INCR n");
    submit(&n->b, "INCR n");
    changed(n, 6, 3);
    assert_int_equal(n->replica.n_frames, 0);
    apply(n, 1); /* this one was committed */
    expect(&n->a, ":1\r\n");
    apply_barrier(n, 6); /* that one never will be */
    assert_int_equal(n->replica.n_frames, 1);
    answer(n, frame(n, 0, 3, WIRE_FORWARD)->as.forward.request_id, 6, 0,
           ":2\r\n");
    expect(&n->b, ":2\r\n");
    teardown(n);
}

static void test_service_same_term_again_sends_nothing_twice(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "INCR n");
    changed(n, 5, 0); /* no heartbeat for a while */
    submit(&n->a, "INCR n");
    changed(n, 5, 1);
    assert_int_equal(n->replica.n_frames, 2);
    assert_int_equal(frame_id(n, 1), frame_id(n, 0) + 1);
    teardown(n);
}

static void test_service_reconnect_leader_drops_repetitions(void **state)
{
    struct node leader, follower;
    struct node *l = setup_leader(&leader), *f = setup_follower(&follower);
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        submit(&f->a, "INCR n");
    }
    deliver(f, 0, l);
    deliver(f, 1, l); /* 2 and 3 are lost with the connection */
    f->replica.cut = UINT64_MAX;
    f->events.peer(f->events.ctx, 1, false);
    assert_int_equal(f->replica.n_frames, 4);
    submit(&f->a, "INCR n");
    f->replica.cut = 0;
    f->events.peer(f->events.ctx, 1, true);
    assert_int_equal(f->replica.n_frames, 9);
    for (unsigned i = 4; i < 9; i++) {
        assert_int_equal(frame_id(f, i), frame_id(f, 0) + i - 4);
        deliver(f, i, l);
    }
    assert_int_equal(l->replica.n_entries, 5);
    assert_int_equal(l->replica.n_frames, 0); /* silently */
    apply(l, 5);
    assert_int_equal(l->replica.n_frames, 5);
    for (unsigned i = 0; i < 5; i++) {
        deliver(l, i, f);
    }
    expect(&f->a, ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n");
    teardown(l);
    teardown(f);
}

static void test_service_refused_write_is_not_overtaken(void **state)
{
    struct node leader, follower;
    struct node *l = setup_leader(&leader), *f = setup_follower(&follower);
    (void)state;
    l->replica.propose_rv = ERR_BUSY;
    l->replica.n_accepted_max = 1;
    for (unsigned i = 0; i < 4; i++) {
        submit(&f->a, "INCR n");
    }
    deliver(f, 0, l);
    deliver(f, 1, l); /* refused */
    assert_int_equal(l->replica.n_frames, 1);
    assert_int_equal(frame(l, 0, 2, WIRE_FORWARD_RESULT)->as.forward.status,
                     ERR_BUSY);
    l->replica.n_accepted_max = UINT32_MAX; /* there is room again */
    deliver(f, 2, l);
    deliver(l, 0, f);
    submit(&f->b, "INCR n"); /* behind the refused ones, and held */
    assert_int_equal(f->replica.n_frames, 4);
    deliver(f, 3, l);
    assert_int_equal(l->replica.n_entries, 1);
    pass(f, SERVICE_RETRY_MS);
    assert_int_equal(f->replica.n_frames, 8);
    /* Late refusals of the first sendings change nothing. */
    deliver(l, 1, f);
    deliver(l, 2, f);
    pass(f, SERVICE_RETRY_MS);
    assert_int_equal(f->replica.n_frames, 8);
    for (unsigned i = 4; i < 8; i++) {
        deliver(f, i, l);
    }
    assert_int_equal(l->replica.n_entries, 5);
    apply(l, 5);
    for (unsigned i = 3; i < 8; i++) {
        deliver(l, i, f);
    }
    expect(&f->a, ":1\r\n:2\r\n:3\r\n:4\r\n");
    expect(&f->b, ":5\r\n");
    teardown(l);
    teardown(f);
}

static void test_service_refused_and_given_up_lets_later_pass(void **state)
{
    struct node leader, follower;
    struct node *l = setup_leader(&leader), *f = setup_follower(&follower);
    (void)state;
    l->replica.propose_rv = ERR_BUSY;
    l->replica.n_accepted_max = 0;
    submit(&f->a, "INCR n");
    deliver(f, 0, l);
    deliver(l, 0, f);
    f->now_ms += TIMEOUT_MS;
    f->replica.cut = UINT64_MAX;
    service_timer(f->service);
    expect_prefix(&f->a, "-CLUSTERDOWN the leader took no writes");
    f->replica.cut = 0;
    l->replica.n_accepted_max = UINT32_MAX;
    submit(&f->a, "INCR n");
    pass(f, SERVICE_RETRY_MS);
    deliver(f, 1, l); /* refused once: it might have been on its way */
    deliver(l, 1, f);
    pass(f, SERVICE_RETRY_MS);
    deliver(f, 2, l);
    assert_int_equal(l->replica.n_entries, 1);
    teardown(l);
    teardown(f);
}

static void test_service_restarted_origin_starts_anew(void **state)
{
    struct node leader, first, second;
    struct node *l = setup_leader(&leader), *f = setup_follower(&first);
    struct service_options options;
    (void)state;
    submit(&f->a, "INCR n");
    submit(&f->a, "INCR n");
    deliver(f, 0, l);
    deliver(f, 1, l);
    memset(&options, 0, sizeof options);
    make_with(&second, 2, 5, &options); /* lower ids */
    service_attach(second.service, &second.replica);
    changed(&second, 5, 1);
    submit(&second.a, "INCR n");
    deliver(&second, 0, l);
    assert_int_equal(l->replica.n_entries, 3);
    teardown(l);
    teardown(f);
    teardown(&second);
}

static void test_service_no_space_is_said(void **state)
{
    struct node leader, follower;
    struct node *l = setup_leader(&leader), *f = setup_follower(&follower);
    (void)state;
    l->replica.propose_rv = ERR_NOSPACE;
    l->replica.n_accepted_max = 0;
    submit(&l->a, "SET k v");
    expect_prefix(&l->a, "-NOSPACE the disk of the leader is full");
    submit(&f->a, "SET k v");
    submit(&f->a, "SET k w");
    deliver(f, 0, l);
    l->replica.n_accepted_max = UINT32_MAX;
    deliver(f, 1, l); /* the next is taken as soon as there is room */
    apply(l, 1);
    deliver(l, 0, f);
    deliver(l, 1, f);
    expect(&f->a, "-NOSPACE the disk of the leader is full; writes are "
                  "refused, reads work\r\n+OK\r\n");
    submit(&l->a, "GET k");
    confirm(l, 0);
    expect(&l->a, "$1\r\nw\r\n");
    teardown(l);
    teardown(f);
}

static void test_service_busy_leader_goes_on_with_room(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->replica.propose_rv = ERR_AGAIN;
    n->replica.n_accepted_max = 1;
    submit(&n->a, "INCR n");
    submit(&n->a, "INCR n");
    submit(&n->b, "INCR n");
    assert_int_equal(n->replica.n_entries, 1);
    n->replica.n_accepted_max = 2;
    n->events.room(n->events.ctx);
    assert_int_equal(n->replica.n_entries, 2);
    n->replica.n_accepted_max = 3;
    pass(n, SERVICE_RETRY_MS); /* also when no event comes */
    assert_int_equal(n->replica.n_entries, 3);
    apply(n, 3);
    expect(&n->a, ":1\r\n:2\r\n");
    expect(&n->b, ":3\r\n");
    teardown(n);
}

static void test_service_jump_makes_sent_writes_unknown(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "INCR n");
    submit(&n->a, "INCR n");
    n->replica.cut = UINT64_MAX;
    submit(&n->b, "INCR n");
    n->replica.cut = 0;
    n->events.jumped(n->events.ctx, 100, 5);
    expect_prefix(&n->a, "-UNKNOWN the write may or may not have been applied");
    expect(&n->b, "");
    assert_int_equal(n->replica.n_frames, 3); /* the third was not sent yet */
    answer(n, frame_id(n, 2), 5, 0, ":3\r\n");
    expect(&n->b, ":3\r\n");
    teardown(n);
}

static void test_service_jump_of_older_term_keeps_writes(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "INCR n");
    n->events.jumped(n->events.ctx, 100, 4);
    expect(&n->a, "");
    answer(n, frame_id(n, 0), 5, 0, ":1\r\n");
    expect(&n->a, ":1\r\n");
    teardown(n);
}

/* ---- time limits ---- */

static void test_service_never_sent_write_times_out(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    changed(n, 6, 0);
    submit(&n->a, "SET k v");
    assert_int_equal(service_deadline_ms(n->service), 10000 + TIMEOUT_MS);
    n->now_ms += TIMEOUT_MS - 1;
    service_timer(n->service);
    expect(&n->a, "");
    n->now_ms += 1;
    service_timer(n->service);
    expect(&n->a, "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n");
    changed(n, 6, 1);
    assert_int_equal(n->replica.n_frames, 0); /* and it is not sent later */
    teardown(n);
}

static void test_service_lower_time_limit_holds_behind_older_ones(void **state)
{
    struct service_options options = {.request_timeout_ms = TIMEOUT_MS / 10};
    struct node node, *n = setup_follower(&node);
    (void)state;
    changed(n, 6, 0);
    submit(&n->a, "SET k v");
    service_configure(n->service, &options);
    submit(&n->b, "SET k v");
    assert_int_equal(service_deadline_ms(n->service), 10000 + TIMEOUT_MS / 10);
    n->now_ms += TIMEOUT_MS / 10;
    service_timer(n->service);
    expect_prefix(&n->b, "-CLUSTERDOWN");
    expect_prefix(&n->a, "-CLUSTERDOWN");
    teardown(n);
}

/* Nothing to be written: no entry, and no wait for a disk. */
static void test_service_getex_without_options_is_a_read(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "SET k v");
    apply(n, 1);
    expect(&n->a, "+OK\r\n");
    submit(&n->a, "GETEX k");
    assert_int_equal(n->replica.n_entries, 1);
    confirm(n, 0);
    expect(&n->a, "$1\r\nv\r\n");
    submit(&n->a, "GETEX k PERSIST");
    assert_int_equal(n->replica.n_entries, 2);
    apply(n, 1);
    expect(&n->a, "$1\r\nv\r\n");
    teardown(n);
}

static void test_service_sent_write_times_out_unknown(void **state)
{
    struct node node, *n = setup_follower(&node);
    struct service_stats stats;
    (void)state;
    submit(&n->a, "SET k v");
    submit(&n->b, "SET k v");
    answer(n, frame_id(n, 1), 5, ERR_NOTLEADER, ""); /* not executed */
    changed(n, 5, 0);
    n->now_ms += TIMEOUT_MS;
    service_timer(n->service);
    expect_prefix(&n->a, "-UNKNOWN the write may or may not have been applied");
    expect_prefix(&n->b, "-CLUSTERDOWN");
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.n_unknown, 1);
    assert_int_equal(stats.n_clusterdown, 1);
    assert_int_equal(stats.pending_bytes, 0);
    teardown(n);
}

static void test_service_refused_after_reconnect_stays_unknown(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "SET k v");
    n->events.peer(n->events.ctx, 1, false);
    /* Sent twice, refused once: the other one may be in a log. */
    answer(n, frame_id(n, 0), 5, ERR_NOTLEADER, "");
    changed(n, 6, 3);
    assert_int_equal(n->replica.n_frames, 2);
    n->now_ms += TIMEOUT_MS;
    service_timer(n->service);
    expect_prefix(&n->a, "-UNKNOWN");
    teardown(n);
}

static void test_service_waiting_request_times_out_too(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "GET k");
    n->now_ms += 10;
    submit(&n->a, "SET k v");
    submit(&n->a, "PING");
    n->now_ms = 10000 + TIMEOUT_MS;
    service_timer(n->service);
    expect(&n->a, "-CLUSTERDOWN no leader could confirm a read for 1000 ms; "
                  "try again\r\n");
    assert_int_equal(n->replica.n_entries, 1); /* begun when it was its turn */
    n->now_ms += 10;
    service_timer(n->service);
    expect_prefix(&n->a, "-UNKNOWN");
    confirm(n, 0); /* the barrier is late */
    apply(n, 1);
    expect(&n->a, "");
    teardown(n);
}

/* ---- reads ---- */

static void test_service_unconfirmed_read_is_asked_again(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "GET k");
    confirm(n, ERR_NOTLEADER);
    assert_int_equal(n->replica.n_reads, 1); /* not in a loop */
    changed(n, 6, 3);
    assert_int_equal(n->replica.n_reads, 2);
    confirm(n, ERR_NOTLEADER);
    pass(n, SERVICE_RETRY_MS);
    assert_int_equal(n->replica.n_reads, 3);
    confirm(n, 0);
    expect(&n->a, "$-1\r\n");
    teardown(n);
}

static void test_service_read_without_leader_times_out(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "GET k");
    changed(n, 6, 0);
    confirm(n, ERR_NOTLEADER);
    pass(n, SERVICE_RETRY_MS);
    assert_int_equal(n->replica.n_reads, 1); /* nobody to ask */
    pass(n, TIMEOUT_MS);
    expect(&n->a, "-CLUSTERDOWN no leader known for 1000 ms; try again\r\n");
    teardown(n);
}

static void test_service_read_not_taken_is_retried(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    n->replica.read_rv = ERR_BUSY;
    submit(&n->a, "GET k");
    n->replica.read_rv = 0;
    pass(n, SERVICE_RETRY_MS);
    confirm(n, 0);
    expect(&n->a, "$-1\r\n");
    teardown(n);
}

static void test_service_stopped_replica_fails_reads(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "GET k");
    submit(&n->a, "SET k v");
    confirm(n, ERR_STOPPED);
    expect(&n->a, "-CLUSTERDOWN this node is stopping\r\n");
    assert_int_equal(n->replica.n_entries, 0); /* it is not called any more */
    teardown(n);
}

static void test_service_full_output_makes_reads_wait(void **state)
{
    struct node node, *n = &node;
    struct service_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.session_bytes_max = 1000;
    make_with(n, 1, 99, &options);
    service_attach(n->service, &n->replica);
    changed(n, 5, 1);
    for (unsigned i = 0; i < 3; i++) {
        buffer_append(session_output(n->a.session), "x", 1);
        submit(&n->a, "GET k");
    }
    while (buffer_size(session_output(n->a.session)) < 1000) {
        buffer_append(session_output(n->a.session), "x", 1);
    }
    assert_false(session_ready(n->a.session));
    for (unsigned i = 0; i < 3; i++) {
        confirm(n, 0);
    }
    assert_int_equal(buffer_size(session_output(n->a.session)), 1000);
    pass(n, SERVICE_RETRY_MS); /* still full */
    assert_int_equal(buffer_size(session_output(n->a.session)), 1000);
    buffer_consume(session_output(n->a.session), 1000);
    session_resume(n->a.session);
    expect(&n->a, "$-1\r\n$-1\r\n$-1\r\n");
    teardown(n);
}

static void test_service_full_output_goes_on_by_itself(void **state)
{
    struct node node, *n = &node;
    struct service_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.session_bytes_max = 1000;
    make_with(n, 1, 99, &options);
    service_attach(n->service, &n->replica);
    changed(n, 5, 1);
    submit(&n->a, "GET k");
    while (buffer_size(session_output(n->a.session)) < 1000) {
        buffer_append(session_output(n->a.session), "x", 1);
    }
    confirm(n, 0);
    buffer_consume(session_output(n->a.session), 1000);
    pass(n, SERVICE_RETRY_MS);
    expect(&n->a, "$-1\r\n");
    teardown(n);
}

/* ---- limits ---- */

static void test_service_many_pending_stop_reading(void **state)
{
    struct node node, *n = &node;
    struct service_options options;
    (void)state;
    memset(&options, 0, sizeof options);
    options.session_pending_max = 3;
    make_with(n, 1, 99, &options);
    service_attach(n->service, &n->replica);
    changed(n, 5, 1);
    assert_true(submit(&n->a, "INCR n"));
    assert_true(submit(&n->a, "INCR n"));
    assert_false(submit(&n->a, "INCR n"));
    assert_false(session_ready(n->a.session));
    assert_true(session_ready(n->b.session));
    apply(n, 1);
    assert_true(session_ready(n->a.session));
    for (unsigned i = 0; i < 5; i++) {
        submit(&n->a, "INCR n"); /* an owner that does not listen */
    }
    assert_int_equal(n->replica.n_entries, 3 + 4);
    apply(n, 6);
    expect(&n->a, ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n"
                  "-BUSY too many requests are waiting in this node; "
                  "try again\r\n");
    teardown(n);
}

static void test_service_many_bytes_are_busy(void **state)
{
    struct node node, *n = &node;
    struct service_options options;
    struct service_stats stats;
    (void)state;
    memset(&options, 0, sizeof options);
    options.pending_bytes_max = sizeof(struct request) + 20; /* of two */
    make_with(n, 1, 99, &options);
    service_attach(n->service, &n->replica);
    changed(n, 5, 1);
    submit(&n->a, "INCR n");
    submit(&n->a, "INCR n");
    submit(&n->b, "INCR n");
    expect_prefix(&n->b, "-BUSY");
    submit(&n->b, "PING");
    expect_prefix(&n->b, "-BUSY");
    apply(n, 2);
    expect(&n->a, ":1\r\n:2\r\n");
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.n_refused, 2);
    assert_int_equal(stats.pending_bytes, 0);
    teardown(n);
}

static void test_service_forwarding_keeps_to_its_window(void **state)
{
    struct node node, *n = setup_follower(&node);
    static uint8_t value[6 * 1024 * 1024];
    struct bytes argv[3] = {{(const uint8_t *)"SET", 3},
                            {(const uint8_t *)"k", 1},
                            {value, sizeof value}};
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        session_submit(n->a.session, 3, argv);
    }
    assert_int_equal(n->replica.n_frames, 2); /* of 16 MiB */
    answer(n, frame_id(n, 0), 5, 0, "+OK\r\n");
    assert_int_equal(n->replica.n_frames, 3);
    answer(n, frame_id(n, 1), 5, 0, "+OK\r\n");
    assert_int_equal(n->replica.n_frames, 4);
    expect(&n->a, "+OK\r\n+OK\r\n");
    teardown(n);
}

static void test_service_used_up_ids_start_an_epoch(void **state)
{
    struct node node, *n = &node;
    struct service_options options;
    uint64_t last;
    (void)state;
    memset(&options, 0, sizeof options);
    make_with(n, 2, ((uint64_t)7 << 32) | (UINT32_MAX - 2), &options);
    service_attach(n->service, &n->replica);
    changed(n, 5, 1);
    for (unsigned i = 0; i < 4; i++) {
        submit(&n->a, "INCR n");
    }
    submit(&n->b, "INCR n");
    assert_int_equal(n->replica.n_frames, 2);
    last = frame_id(n, 1);
    answer(n, frame_id(n, 0), 5, 0, ":1\r\n");
    assert_int_equal(n->replica.n_frames, 2); /* one of the old ids is out */
    answer(n, last, 5, 0, ":2\r\n");
    assert_int_equal(n->replica.n_frames, 4); /* two again, of the next */
    assert_true(frame_id(n, 2) >> 32 != last >> 32);
    answer(n, frame_id(n, 2), 5, 0, ":3\r\n");
    answer(n, frame_id(n, 3), 5, 0, ":4\r\n");
    assert_int_equal(n->replica.n_frames, 5);
    teardown(n);
}

static void test_service_ring_grows_with_holes(void **state)
{
    struct node node, *n = setup_follower(&node);
    char reply[16];
    uint64_t first;
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        submit(i % 2 == 0 ? &n->a : &n->b, "INCR n");
        if (i == 50) {
            answer(n, frame_id(n, 20), 5, 0, ":21\r\n");
        }
    }
    first = frame_id(n, 0);
    for (unsigned i = 200; i-- > 0;) {
        snprintf(reply, sizeof reply, ":%u\r\n", i + 1);
        answer(n, first + i, 5, 0, reply);
    }
    expect_prefix(&n->a, ":1\r\n:3\r\n:5\r\n");
    expect_prefix(&n->b, ":2\r\n:4\r\n");
    assert_int_equal(service_pending(n->service), 0);
    teardown(n);
}

/* ---- clients that go ---- */

static void test_service_closed_session_completes_quietly(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct service_stats stats;
    (void)state;
    submit(&n->a, "SET k v");
    submit(&n->a, "PING");
    submit(&n->a, "GET k");
    submit(&n->b, "GET k");
    submit(&n->b, "SET k w");
    session_close(n->a.session);
    n->a.session = NULL;
    session_close(n->b.session);
    n->b.session = NULL;
    assert_int_equal(service_pending(n->service), 2);
    apply(n, 1);
    confirm(n, 0);
    assert_int_equal(n->replica.n_entries, 1); /* what was not begun is gone */
    assert_int_equal(service_pending(n->service), 0);
    service_get_stats(n->service, &stats);
    assert_int_equal(stats.pending_bytes, 0);
    assert_int_equal(stats.n_sessions, 0);
    teardown(n);
}

static void test_service_closed_session_drops_unsent_write(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    changed(n, 6, 0);
    submit(&n->a, "SET k v");
    submit(&n->b, "SET k w");
    session_close(n->a.session);
    n->a.session = NULL;
    changed(n, 6, 1);
    assert_int_equal(n->replica.n_frames, 1);
    teardown(n);
}

static void test_service_closed_session_leaves_no_leak(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "SET k v"); /* in the ring for ever */
    submit(&n->b, "GET k");   /* with the barrier for ever */
    pass(n, TIMEOUT_MS);
    expect_prefix(&n->b, "-CLUSTERDOWN");
    submit(&n->b, "GET k");
    session_close(n->b.session);
    n->b.session = NULL;
    submit(&n->a, "SET k v");
    teardown(n); /* the sanitizer looks */
}

static void test_service_orphan_write_times_out(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "SET k v");
    session_close(n->a.session);
    n->a.session = NULL;
    assert_int_equal(service_pending(n->service), 1);
    pass(n, TIMEOUT_MS);
    assert_int_equal(service_pending(n->service), 0);
    teardown(n);
}

static void test_service_close_inside_output(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    submit(&n->a, "INCR n");
    submit(&n->a, "GET n");
    submit(&n->b, "INCR n");
    n->a.close_in_output = true;
    apply(n, 2);
    assert_null(n->a.session);
    expect(&n->b, ":2\r\n");
    confirm(n, 0);
    n->b.close_in_output = true;
    submit(&n->b, "PING");
    assert_null(n->b.session);
    teardown(n);
}

/* ---- as leader for others ---- */

static void forward(struct node *n, uint64_t from, uint64_t id, uint64_t term,
                    const struct proposal *p)
{
    struct wire_message m;
    uint32_t size = 0;
    void *block = p == NULL ? NULL : proposal_encode(p, &size);
    memset(&m, 0, sizeof m);
    m.type = WIRE_FORWARD;
    m.from = from;
    m.as.forward.request_id = id;
    m.as.forward.term = term;
    m.as.forward.body.data = block;
    m.as.forward.body.size = size;
    n->events.message(n->events.ctx, &m, block);
    block_unref(block);
}

static struct proposal proposal_of(uint64_t origin, uint64_t id,
                                   const char *name, struct bytes *argv)
{
    struct proposal p;
    memset(&p, 0, sizeof p);
    argv[0].data = (const uint8_t *)name;
    argv[0].size = strlen(name);
    argv[1].data = (const uint8_t *)"n";
    argv[1].size = 1;
    p.kind = PROPOSAL_COMMAND;
    p.origin = origin;
    p.request_id = id;
    p.code = command_find(argv[0])->code;
    p.argc = 2;
    p.argv = argv;
    return p;
}

static void test_service_forward_of_other_term_is_refused(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct bytes argv[2];
    struct proposal p = proposal_of(3, 9, "INCR", argv);
    (void)state;
    forward(n, 3, 9, 4, &p);
    forward(n, 3, 9, 6, &p);
    changed(n, 5, 0);
    forward(n, 3, 9, 5, &p);
    assert_int_equal(n->replica.n_frames, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(frame(n, i, 3, WIRE_FORWARD_RESULT)->as.forward.status,
                         ERR_NOTLEADER);
    }
    assert_int_equal(n->replica.frames[0].m.as.forward.term, 4);
    assert_int_equal(n->replica.n_entries, 0);
    teardown(n);
}

static void test_service_strange_forward_is_refused(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct bytes argv[2];
    struct proposal good = proposal_of(3, 9, "INCR", argv), bad;
    (void)state;
    bad = good;
    bad.origin = 4; /* another's name */
    forward(n, 3, 9, 5, &bad);
    bad = good;
    bad.request_id = 8;
    forward(n, 3, 9, 5, &bad);
    bad = proposal_of(3, 9, "GET", argv); /* no write */
    forward(n, 3, 9, 5, &bad);
    forward(n, 3, 9, 5, NULL); /* nothing */
    assert_int_equal(n->replica.n_entries, 0);
    assert_int_equal(n->replica.n_frames, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(frame(n, i, 3, WIRE_FORWARD_RESULT)->as.forward.status,
                         ERR_INVALID);
    }
    good = proposal_of(3, 9, "INCR", argv);
    forward(n, 3, 9, 5, &good);
    assert_int_equal(n->replica.n_entries, 1);
    apply(n, 1);
    assert_int_equal(frame(n, 4, 3, WIRE_FORWARD_RESULT)->as.forward.status, 0);
    assert_memory_equal(n->replica.frames[4].m.as.forward.body.data, ":1\r\n",
                        4);
    teardown(n);
}

static void test_service_invalid_write_is_answered(void **state)
{
    struct node node, *n = setup_follower(&node);
    (void)state;
    submit(&n->a, "INCR n");
    answer(n, frame_id(n, 0), 5, ERR_INVALID, "");
    expect(&n->a, "-ERR the write was refused: invalid argument\r\n");
    teardown(n);
}

static void test_service_many_origins_are_told_apart(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct bytes argv[2];
    (void)state;
    for (uint64_t from = 2; from < 2 + FORWARD_ORIGINS_MAX; from++) {
        struct proposal p = proposal_of(from, 9, "INCR", argv);
        forward(n, from, 9, 5, &p);
    }
    assert_int_equal(n->replica.n_entries, FORWARD_ORIGINS_MAX);
    struct proposal more = proposal_of(500, 9, "INCR", argv);
    forward(n, 500, 9, 5, &more);
    assert_int_equal(frame(n, 0, 500, WIRE_FORWARD_RESULT)->as.forward.status,
                     ERR_BUSY);
    changed(n, 7, 1); /* another term has another memory */
    forward(n, 500, 9, 7, &more);
    assert_int_equal(n->replica.n_entries, FORWARD_ORIGINS_MAX + 1);
    teardown(n);
}

/* Whoever sent it: the leader writes its clock into what it proposes. */
static void test_service_leader_writes_its_clock(void **state)
{
    struct node node, *n = setup_leader(&node);
    struct bytes argv[2];
    struct proposal p;
    (void)state;
    submit(&n->a, "INCR n");
    n->replica.leader_clock_ms += 7;
    p = proposal_of(3, 9, "INCR", argv);
    p.clock_ms = 99;
    forward(n, 3, 9, 5, &p);
    assert_int_equal(n->replica.n_entries, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct fake_entry *e = &n->replica.entries[i];
        assert_int_equal(proposal_clock(e->block, e->size),
                         1700000000000 + 7 * i);
    }
    teardown(n);
}

/* ---- keys that expire ---- */

/* k expires at 1700000000100 and the state's clock is at 1700000000000. */
static struct node *setup_expiring(struct node *n)
{
    setup_leader(n);
    submit(&n->a, "SET k v PX 100");
    apply(n, 1);
    expect(&n->a, "+OK\r\n");
    return n;
}

static void test_service_read_before_the_expiry_runs(void **state)
{
    struct node node, *n = setup_expiring(&node);
    (void)state;
    submit(&n->a, "GET k");
    submit(&n->a, "PTTL k");
    assert_false(n->replica.reads[0].settle);
    confirm_at(n, 0, 1700000000099);
    confirm_at(n, 0, 1700000000099);
    expect(&n->a, "$1\r\nv\r\n:1\r\n"); /* by the leader's clock */
    teardown(n);
}

/* Neither shown nor said to be gone before the state's clock says so: another
 * leader's clock might be behind. */
static void test_service_read_of_a_due_key_waits_for_the_clock(void **state)
{
    struct node node, *n = setup_expiring(&node);
    (void)state;
    submit(&n->a, "GET k");
    submit(&n->a, "GET other");
    confirm_at(n, 0, 1700000000100);
    confirm_at(n, 0, 1700000000100);
    expect(&n->a, "");
    assert_int_equal(n->replica.n_reads, 3);
    assert_true(n->replica.reads[2].settle);
    n->replica.clock_ms = 1700000000101;
    confirm_at(n, 0, 1700000000101);
    expect(&n->a, "$-1\r\n$-1\r\n");
    assert_int_equal(store_count(n->replica.store), 1); /* not swept yet */
    teardown(n);
}

static void test_service_every_read_looks_at_the_expiry(void **state)
{
    static const char *const lines[] = {
        "GET k",   "MGET a k",       "EXISTS k",  "STRLEN k",
        "TYPE k",  "TTL k",          "KEYS *",    "SCAN 0",
        "TOUCH k", "GETRANGE k 0 1", "RANDOMKEY",
    };
    static const char *const replies[] = {
        "$-1\r\n",   "*2\r\n$-1\r\n$-1\r\n",
        ":0\r\n",    ":0\r\n",
        "+none\r\n", ":-2\r\n",
        "*0\r\n",    "*2\r\n$1\r\n0\r\n*0\r\n",
        ":0\r\n",    "$0\r\n\r\n",
        "$-1\r\n",
    };
    struct node node, *n = setup_expiring(&node);
    (void)state;
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        n->replica.clock_ms = 1700000000000;
        submit(&n->a, lines[i]);
        confirm_at(n, 0, 1700000000200);
        expect(&n->a, "");
        n->replica.clock_ms = 1700000000200;
        confirm_at(n, 0, 1700000000200);
        expect(&n->a, replies[i]);
    }
    /* What waits to be swept is there to be counted. */
    submit(&n->a, "DBSIZE");
    confirm_at(n, 0, 1700000000200);
    expect(&n->a, ":1\r\n");
    teardown(n);
}

/* The leader could make no entry: asked again after a while, not in a loop,
 * and not for ever. */
static void test_service_read_of_a_due_key_times_out(void **state)
{
    struct node node, *n = setup_expiring(&node);
    unsigned n_asked = 0;
    (void)state;
    submit(&n->a, "GET k");
    confirm_at(n, 0, 1700000000100);
    for (unsigned i = 0;
         i < 200 && buffer_size(session_output(n->a.session)) == 0; i++) {
        if (n->replica.n_called < n->replica.n_reads) {
            confirm_at(n, 0, 1700000000100);
            n_asked++;
        }
        pass(n, 10);
    }
    assert_in_range(n_asked, 10, TIMEOUT_MS / 10);
    expect_prefix(&n->a, "-CLUSTERDOWN a key has expired");
    teardown(n);
}

static void test_service_write_on_an_expired_key_finds_none(void **state)
{
    struct node node, *n = setup_expiring(&node);
    (void)state;
    n->replica.leader_clock_ms = 1700000000100;
    submit(&n->a, "DEL k");
    apply(n, 1);
    expect(&n->a, ":0\r\n");
    teardown(n);
}

static void test_service_drained_is_remembered(void **state)
{
    struct node node, *n = setup_leader(&node);
    (void)state;
    assert_false(service_drained(n->service));
    n->events.drained(n->events.ctx);
    assert_true(service_drained(n->service));
    teardown(n);
}

#define TEST(name) cmocka_unit_test(test_service_##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(write_on_leader_answers_when_applied),
        TEST(pipelined_writes_go_together),
        TEST(read_after_write_waits_for_it),
        TEST(write_after_read_waits_for_it),
        TEST(reads_run_in_order),
        TEST(local_replies_keep_their_place),
        TEST(info_waits_for_its_turn),
        TEST(quit_ends_after_replies),
        TEST(protocol_error_goes_out_last),
        TEST(not_attached_waits),
        TEST(follower_write_is_forwarded),
        TEST(follower_write_answers_when_applied),
        TEST(no_leader_writes_wait),
        TEST(new_term_sends_again_in_order),
        TEST(new_leader_here_proposes_a_copy),
        TEST(deposed_leader_waits_for_fate),
        TEST(same_term_again_sends_nothing_twice),
        TEST(reconnect_leader_drops_repetitions),
        TEST(refused_write_is_not_overtaken),
        TEST(refused_and_given_up_lets_later_pass),
        TEST(restarted_origin_starts_anew),
        TEST(no_space_is_said),
        TEST(busy_leader_goes_on_with_room),
        TEST(jump_makes_sent_writes_unknown),
        TEST(jump_of_older_term_keeps_writes),
        TEST(never_sent_write_times_out),
        TEST(lower_time_limit_holds_behind_older_ones),
        TEST(getex_without_options_is_a_read),
        TEST(sent_write_times_out_unknown),
        TEST(refused_after_reconnect_stays_unknown),
        TEST(waiting_request_times_out_too),
        TEST(unconfirmed_read_is_asked_again),
        TEST(read_without_leader_times_out),
        TEST(read_not_taken_is_retried),
        TEST(stopped_replica_fails_reads),
        TEST(full_output_makes_reads_wait),
        TEST(full_output_goes_on_by_itself),
        TEST(many_pending_stop_reading),
        TEST(many_bytes_are_busy),
        TEST(forwarding_keeps_to_its_window),
        TEST(used_up_ids_start_an_epoch),
        TEST(ring_grows_with_holes),
        TEST(closed_session_completes_quietly),
        TEST(closed_session_drops_unsent_write),
        TEST(closed_session_leaves_no_leak),
        TEST(orphan_write_times_out),
        TEST(close_inside_output),
        TEST(forward_of_other_term_is_refused),
        TEST(strange_forward_is_refused),
        TEST(invalid_write_is_answered),
        TEST(many_origins_are_told_apart),
        TEST(leader_writes_its_clock),
        TEST(read_before_the_expiry_runs),
        TEST(read_of_a_due_key_waits_for_the_clock),
        TEST(every_read_looks_at_the_expiry),
        TEST(read_of_a_due_key_times_out),
        TEST(write_on_an_expired_key_finds_none),
        TEST(drained_is_remembered),
    };
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
