/* Writes of other nodes at their leader: what is repeated, refused and held
 * back, and what both ends make of it. */
#include "tests/unit/service/service_fixture.h"

/* Deliver frames first..last of one node to another. */
static void deliver_all(const struct node *from, unsigned first, unsigned last,
                        struct node *to)
{
    while (first <= last) {
        deliver(from, first++, to);
    }
}

/* What frame i answers to a forwarded write of `to`. */
static void assert_answered(const struct node *n, unsigned i, uint64_t to,
                            int status)
{
    const struct wire_message *m = frame(n, i, to, WIRE_FORWARD_RESULT);
    assert_int_equal(m->as.forward.status, status);
}

/* ---- with the node that sends them ---- */

static void test_forward_reconnect_leader_drops_repetitions(void **state)
{
    struct node *l = open_leader(state), *f = open_follower(state);
    pipeline(f->a, "INCR n", "INCR n", "INCR n", "INCR n");
    deliver(f, 0, l);
    deliver(f, 1, l); /* 2 and 3 are lost with the connection */
    f->replica.cut = UINT64_MAX;
    f->events.peer(f->events.ctx, 1, false);
    assert_int_equal(f->replica.n_frames, 4);
    submit(f->a, "INCR n");
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
    deliver_all(l, 0, 4, f);
    expect(f->a, ":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n");
}

static void test_forward_refused_write_is_not_overtaken(void **state)
{
    struct node *l = open_leader(state), *f = open_follower(state);
    l->replica.propose_rv = ERR_BUSY;
    l->replica.n_accepted_max = 1;
    pipeline(f->a, "INCR n", "INCR n", "INCR n", "INCR n");
    deliver(f, 0, l);
    deliver(f, 1, l); /* refused */
    assert_int_equal(l->replica.n_frames, 1);
    assert_answered(l, 0, 2, ERR_BUSY);
    l->replica.n_accepted_max = UINT32_MAX; /* there is room again */
    deliver(f, 2, l);
    deliver(l, 0, f);
    submit(f->b, "INCR n"); /* behind the refused ones, and held */
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
    deliver_all(f, 4, 7, l);
    assert_int_equal(l->replica.n_entries, 5);
    apply(l, 5);
    deliver_all(l, 3, 7, f);
    expect(f->a, ":1\r\n:2\r\n:3\r\n:4\r\n");
    expect(f->b, ":5\r\n");
}

static void test_forward_refused_and_given_up_lets_later_pass(void **state)
{
    struct node *l = open_leader(state), *f = open_follower(state);
    l->replica.propose_rv = ERR_BUSY;
    l->replica.n_accepted_max = 0;
    submit(f->a, "INCR n");
    deliver(f, 0, l);
    deliver(l, 0, f);
    f->now_ms += TIMEOUT_MS;
    f->replica.cut = UINT64_MAX;
    service_timer(f->service);
    expect_prefix(f->a, "-CLUSTERDOWN the leader took no writes");
    f->replica.cut = 0;
    l->replica.n_accepted_max = UINT32_MAX;
    submit(f->a, "INCR n");
    pass(f, SERVICE_RETRY_MS);
    deliver(f, 1, l); /* refused once: it might have been on its way */
    deliver(l, 1, f);
    pass(f, SERVICE_RETRY_MS);
    deliver(f, 2, l);
    assert_int_equal(l->replica.n_entries, 1);
}

static void test_forward_restarted_origin_starts_anew(void **state)
{
    struct node *l = open_leader(state), *f = open_follower(state);
    struct node *again =
        open_detached(state, 2, 5, (struct service_options){0});
    pipeline(f->a, "INCR n", "INCR n");
    deliver(f, 0, l);
    deliver(f, 1, l);
    attach(again);
    changed(again, 5, 1);
    submit(again->a, "INCR n");
    assert_true(frame_id(again, 0) < frame_id(f, 0));
    deliver(again, 0, l);
    assert_int_equal(l->replica.n_entries, 3);
}

static void test_forward_no_space_is_said(void **state)
{
    struct node *l = open_leader(state), *f = open_follower(state);
    l->replica.propose_rv = ERR_NOSPACE;
    l->replica.n_accepted_max = 0;
    submit(l->a, "SET k v");
    expect_prefix(l->a, "-NOSPACE the disk of the leader is full");
    pipeline(f->a, "SET k v", "SET k w");
    deliver(f, 0, l);
    l->replica.n_accepted_max = UINT32_MAX;
    deliver(f, 1, l); /* the next is taken as soon as there is room */
    apply(l, 1);
    deliver(l, 0, f);
    deliver(l, 1, f);
    expect(f->a, "-NOSPACE the disk of the leader is full: make room there; "
                 "writes are refused, reads work\r\n+OK\r\n");
    submit(l->a, "GET k");
    confirm(l, 0);
    expect(l->a, "$1\r\nw\r\n");
}

/* ---- with messages that the test has made ---- */

/* A node asks to propose this, or nothing (NULL), in its leader's term. */
static void forward(struct node *n, uint64_t from, uint64_t id, uint64_t term,
                    const struct proposal *p)
{
    uint32_t size = 0;
    void *block = p == NULL ? NULL : proposal_encode(p, &size);
    struct wire_message m = {.type = WIRE_FORWARD, .from = from};
    m.as.forward.request_id = id;
    m.as.forward.term = term;
    m.as.forward.body.data = block;
    m.as.forward.body.size = size;
    n->events.message(n->events.ctx, &m, block);
    block_unref(block);
}

/* A command of one argument; argv is kept. */
static struct proposal proposal_of(uint64_t origin, uint64_t id,
                                   const char *name, struct bytes argv[2])
{
    struct proposal p = {.kind = PROPOSAL_COMMAND,
                         .origin = origin,
                         .request_id = id,
                         .argc = 2,
                         .argv = argv};
    argv[0].data = (const uint8_t *)name;
    argv[0].size = strlen(name);
    argv[1].data = (const uint8_t *)"n";
    argv[1].size = 1;
    p.code = command_find(argv[0])->code;
    return p;
}

static void test_forward_of_other_term_is_refused(void **state)
{
    struct node *n = open_leader(state);
    struct bytes argv[2];
    struct proposal p = proposal_of(3, 9, "INCR", argv);
    forward(n, 3, 9, 4, &p);
    forward(n, 3, 9, 6, &p);
    changed(n, 5, 0);
    forward(n, 3, 9, 5, &p);
    assert_int_equal(n->replica.n_frames, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_answered(n, i, 3, ERR_NOTLEADER);
    }
    assert_int_equal(n->replica.frames[0].m.as.forward.term, 4);
    assert_int_equal(n->replica.n_entries, 0);
}

static void test_forward_of_strange_proposals_is_refused(void **state)
{
    struct node *n = open_leader(state);
    struct bytes argv[2];
    struct proposal good = proposal_of(3, 9, "INCR", argv), bad;
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
        assert_answered(n, i, 3, ERR_INVALID);
    }
    good = proposal_of(3, 9, "INCR", argv);
    forward(n, 3, 9, 5, &good);
    assert_int_equal(n->replica.n_entries, 1);
    apply(n, 1);
    assert_answered(n, 4, 3, 0);
    assert_memory_equal(n->replica.frames[4].m.as.forward.body.data, ":1\r\n",
                        4);
}

static void test_forward_many_origins_are_told_apart(void **state)
{
    struct node *n = open_leader(state);
    struct bytes argv[2];
    struct proposal p;
    for (uint64_t from = 2; from < 2 + FORWARD_ORIGINS_MAX; from++) {
        p = proposal_of(from, 9, "INCR", argv);
        forward(n, from, 9, 5, &p);
    }
    assert_int_equal(n->replica.n_entries, FORWARD_ORIGINS_MAX);
    p = proposal_of(500, 9, "INCR", argv);
    forward(n, 500, 9, 5, &p);
    assert_answered(n, 0, 500, ERR_BUSY);
    changed(n, 7, 1); /* another term has another memory */
    forward(n, 500, 9, 7, &p);
    assert_int_equal(n->replica.n_entries, FORWARD_ORIGINS_MAX + 1);
}

/* Whoever sent it: the leader writes its clock into what it proposes. */
static void test_forward_leader_writes_its_clock(void **state)
{
    struct node *n = open_leader(state);
    struct bytes argv[2];
    struct proposal p;
    submit(n->a, "INCR n");
    n->replica.leader_clock_ms += 7;
    p = proposal_of(3, 9, "INCR", argv);
    p.clock_ms = 99;
    forward(n, 3, 9, 5, &p);
    assert_int_equal(n->replica.n_entries, 2);
    for (unsigned i = 0; i < 2; i++) {
        const struct fake_entry *e = &n->replica.entries[i];
        assert_int_equal(proposal_clock(e->block, e->size), CLOCK_MS + 7 * i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_forward_reconnect_leader_drops_repetitions),
        TEST(test_forward_refused_write_is_not_overtaken),
        TEST(test_forward_refused_and_given_up_lets_later_pass),
        TEST(test_forward_restarted_origin_starts_anew),
        TEST(test_forward_no_space_is_said),
        TEST(test_forward_of_other_term_is_refused),
        TEST(test_forward_of_strange_proposals_is_refused),
        TEST(test_forward_many_origins_are_told_apart),
        TEST(test_forward_leader_writes_its_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
