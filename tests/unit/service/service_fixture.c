/* Nodes and their clients for the tests of the service: see the header. */
#include "tests/unit/service/service_fixture.h"

#include "node/info.h"
#include "node/resp.h"
#include "tests/lib/line.h"

/* ---- what the service is given ---- */

static uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static uint64_t io_clock_ms(void *ctx)
{
    return ((struct node *)ctx)->replica.leader_clock_ms;
}

/* Each another epoch of request ids. */
static uint64_t io_random(void *ctx)
{
    struct node *n = ctx;
    uint64_t v = n->random;
    n->random += (uint64_t)1 << 33;
    return v;
}

/* INFO and CONFIG of the shell. */
static void local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    struct node *n = ctx;
    struct info_process process;
    (void)session;
    memset(&process, 0, sizeof process);
    if (command->code == COMMAND_CODE_INFO) {
        service_info(n->service, &process, argc, argv, reply);
    } else if (command->code == COMMAND_CODE_CONFIG) {
        resp_array(reply, 2);
        resp_bulk(reply, "a", 1);
        resp_bulk(reply, "1", 1);
    } else {
        resp_error(reply, "ERR none");
    }
}

static void output(void *ctx)
{
    struct client *c = ctx;
    c->n_output++;
    if (c->close_in_output) {
        hang_up(c);
    }
}

/* ---- nodes ---- */

struct node *open_detached(void **state, uint64_t id, uint64_t random,
                           struct service_options options)
{
    struct node *n = calloc(1, sizeof *n);
    struct replica_io io;
    assert_non_null(n);
    n->now_ms = BEGIN_MS;
    n->random = random;
    memset(&io, 0, sizeof io);
    io.ctx = n;
    io.now_ms = io_now_ms;
    io.clock_ms = io_clock_ms;
    io.random = io_random;
    fake_open(&n->replica, id);
    n->replica.leader_clock_ms = CLOCK_MS;
    assert_int_equal(service_new(&options, &io, local, n, &n->service), 0);
    service_events(n->service, &n->events);
    n->a = &n->clients[0];
    n->b = &n->clients[1];
    connect_client(n, n->a);
    connect_client(n, n->b);
    n->next = *state;
    *state = n;
    return n;
}

void attach(struct node *n)
{
    service_attach(n->service, &n->replica);
}

struct node *open_node(void **state, uint64_t id,
                       struct service_options options)
{
    struct node *n = open_detached(state, id, id << 40 | 100, options);
    attach(n);
    changed(n, 5, 1);
    return n;
}

struct node *open_leader(void **state)
{
    return open_node(
        state, 1, (struct service_options){.request_timeout_ms = TIMEOUT_MS});
}

struct node *open_follower(void **state)
{
    return open_node(
        state, 2, (struct service_options){.request_timeout_ms = TIMEOUT_MS});
}

/* Nothing may be left of any transaction. */
static void close_node(struct node *n)
{
    struct service_stats stats;
    hang_up(n->a);
    hang_up(n->b);
    stats = stats_of(n);
    assert_int_equal(stats.n_watching, 0);
    assert_int_equal(stats.n_watched, 0);
    assert_int_equal(stats.transaction_bytes, 0);
    service_free(n->service);
    fake_close(&n->replica);
    free(n);
}

int close_nodes(void **state)
{
    while (*state != NULL) {
        struct node *n = *state;
        *state = n->next;
        close_node(n);
    }
    return 0;
}

void changed(struct node *n, uint64_t term, uint64_t leader_id)
{
    n->replica.term = term;
    n->replica.leader_id = leader_id;
    n->replica.leading = leader_id == n->replica.id;
    n->events.changed(n->events.ctx);
}

void elect(struct node *n, uint64_t leader_id)
{
    changed(n, n->replica.term + 1, leader_id);
}

void pass(struct node *n, uint64_t ms)
{
    n->now_ms += ms;
    if (service_deadline_ms(n->service) <= n->now_ms) {
        service_timer(n->service);
    }
}

struct service_stats stats_of(const struct node *n)
{
    struct service_stats stats;
    service_get_stats(n->service, &stats);
    return stats;
}

/* ---- clients ---- */

void connect_client(struct node *n, struct client *c)
{
    memset(c, 0, sizeof *c);
    c->node = n;
    assert_int_equal(session_open(n->service, output, c, &c->session), 0);
}

void hang_up(struct client *c)
{
    if (c->session != NULL) {
        session_close(c->session);
        c->session = NULL;
    }
}

bool submit(struct client *c, const char *line)
{
    struct line l;
    bool more;
    line_parse(&l, line);
    more = session_submit(c->session, l.argc, l.argv);
    line_clear(&l);
    return more;
}

void submit_all(struct client *c, const char *const *lines)
{
    while (*lines != NULL) {
        (void)submit(c, *lines++);
    }
}

void expect_bytes(struct client *c, const char *line, const char *want,
                  size_t size)
{
    struct buffer *out = session_output(c->session);
    if (buffer_size(out) != size ||
        (size > 0 && memcmp(buffer_data(out), want, size) != 0)) {
        fail_msg("%s\n  want %.*s\n  got  %.*s", line, (int)size, want,
                 (int)buffer_size(out), (const char *)buffer_data(out));
    }
    buffer_consume(out, size);
}

void expect(struct client *c, const char *want)
{
    expect_bytes(c, "", want, strlen(want));
}

void expect_prefix(struct client *c, const char *want)
{
    struct buffer *out = session_output(c->session);
    assert_true(buffer_size(out) >= strlen(want));
    assert_memory_equal(buffer_data(out), want, strlen(want));
    buffer_clear(out);
}

void assert_shows(const struct client *c, const char *text)
{
    struct buffer *out = session_output(c->session);
    if (memmem(buffer_data(out), buffer_size(out), text, strlen(text)) ==
        NULL) {
        fail_msg("no %s in %.*s", text, (int)buffer_size(out),
                 (const char *)buffer_data(out));
    }
}

void say(struct client *c, const char *line, const char *want)
{
    (void)submit(c, line);
    expect_bytes(c, line, want, strlen(want));
}

void run(struct client *c, const char *line, const char *want)
{
    (void)submit(c, line);
    settle(c->node);
    expect_bytes(c, line, want, strlen(want));
}

void multi(struct client *c, const char *line)
{
    run(c, "MULTI", OK);
    run(c, line, QUEUED);
}

/* ---- entries and reads ---- */

void apply(struct node *n, unsigned n_entries)
{
    while (n_entries-- > 0) {
        apply_of(n, n, n->replica.n_applied++);
    }
}

void apply_of(struct node *n, const struct node *leader, unsigned i)
{
    const struct fake_entry *e = &leader->replica.entries[i];
    assert_true(i < leader->replica.n_entries);
    fake_apply(&n->replica, &n->events, e->term, e->block, e->size);
}

void apply_barrier(struct node *n, uint64_t term)
{
    n->events.applied(n->events.ctx, ++n->replica.index, term, NULL, NULL);
}

void decode_entry(const struct node *n, unsigned i, struct proposal *out)
{
    const struct fake_entry *e = &n->replica.entries[i];
    assert_true(i < n->replica.n_entries);
    assert_int_equal(proposal_decode(e->block, e->size, out), 0);
}

void confirm(struct node *n, int status)
{
    struct replica *r = &n->replica;
    struct fake_read *read = &r->reads[r->n_called];
    assert_true(r->n_called < r->n_reads);
    r->n_called++;
    read->cb(read->ctx, status, n->leader_ms);
}

void settle(struct node *n)
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

/* ---- frames ---- */

const struct wire_message *frame(const struct node *n, unsigned i, uint64_t to,
                                 enum wire_type type)
{
    assert_true(i < n->replica.n_frames);
    assert_int_equal(n->replica.frames[i].to, to);
    assert_int_equal(n->replica.frames[i].m.type, type);
    return &n->replica.frames[i].m;
}

const struct wire_message *last_frame(const struct node *n, uint64_t to,
                                      enum wire_type type)
{
    assert_true(n->replica.n_frames > 0);
    return frame(n, n->replica.n_frames - 1, to, type);
}

uint64_t frame_id(const struct node *n, unsigned i)
{
    return frame(n, i, 1, WIRE_FORWARD)->as.forward.request_id;
}

void deliver(const struct node *from, unsigned i, struct node *to)
{
    const struct fake_frame *f = &from->replica.frames[i];
    assert_true(i < from->replica.n_frames);
    assert_int_equal(f->to, to->replica.id);
    to->events.message(to->events.ctx, &f->m, f->block);
}

void receive(struct node *n, const struct wire_message *m)
{
    n->events.message(n->events.ctx, m, NULL);
}

void answer(struct node *n, uint64_t id, uint64_t term, int status,
            const char *reply)
{
    struct wire_message m = {.type = WIRE_FORWARD_RESULT,
                             .from = n->replica.leader_id};
    m.as.forward.request_id = id;
    m.as.forward.term = term;
    m.as.forward.status = status;
    m.as.forward.body.data = (const uint8_t *)reply;
    m.as.forward.body.size = strlen(reply);
    receive(n, &m);
}
