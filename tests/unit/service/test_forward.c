/* Writes of a node that does not lead, or leads no more: on their way to the
 * leader, over changes of leaders and terms. For the leader's side see
 * test_forward_leader.c. */
#include "tests/unit/service/service_fixture.h"

/* The entry that frame i forwards is applied here. */
static void apply_forwarded(struct node *n, unsigned i, uint64_t term)
{
    const struct wire_message *m = frame(n, i, 1, WIRE_FORWARD);
    fake_apply(&n->replica, &n->events, term, m->as.forward.body.data,
               m->as.forward.body.size);
}

/* ---- one leader ---- */

static void test_forward_follower_write_is_forwarded(void **state)
{
    struct node *n = open_follower(state);
    const struct wire_message *m;
    struct proposal p;
    uint64_t id;
    submit(n->a, "SET k v");
    m = frame(n, 0, 1, WIRE_FORWARD);
    id = m->as.forward.request_id;
    assert_int_equal(m->as.forward.term, 5);
    assert_int_equal(
        proposal_decode(m->as.forward.body.data, m->as.forward.body.size, &p),
        0);
    assert_int_equal(p.origin, 2);
    assert_int_equal(p.request_id, id);
    proposal_clear(&p);
    answer(n, id, 5, 0, OK);
    expect(n->a, OK);
    /* The entry comes along later, and finds nobody waiting. */
    apply_forwarded(n, 0, 5);
    expect(n->a, "");
}

static void test_forward_follower_write_answers_when_applied(void **state)
{
    struct node *n = open_follower(state);
    pipeline(n->a, "INCR n", "INCR n");
    apply_forwarded(n, 0, 5);
    apply_forwarded(n, 1, 5);
    expect(n->a, ":1\r\n:2\r\n");
    answer(n, frame_id(n, 1), 5, 0, ":2\r\n"); /* late */
    expect(n->a, "");
}

static void test_forward_no_leader_writes_wait(void **state)
{
    struct node *n = open_follower(state);
    changed(n, 5, 0);
    submit(n->a, "SET k v");
    assert_int_equal(n->replica.n_frames, 0);
    n->replica.cut = UINT64_MAX;
    changed(n, 5, 1); /* known, but not connected */
    assert_int_equal(n->replica.n_frames, 0);
    n->replica.cut = 0;
    n->events.peer(n->events.ctx, 1, true);
    assert_int_equal(n->replica.n_frames, 1);
}

static void test_forward_invalid_write_is_answered(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "INCR n");
    answer(n, frame_id(n, 0), 5, ERR_INVALID, "");
    expect(n->a, "-ERR the write was refused: invalid argument\r\n");
}

/* ---- other leaders ---- */

static void test_forward_new_term_sends_again_in_order(void **state)
{
    struct node *n = open_follower(state);
    uint64_t first;
    pipeline(n->a, "INCR n", "INCR n");
    submit(n->b, "INCR n");
    first = frame_id(n, 0);
    changed(n, 6, 3);
    submit(n->b, "INCR n"); /* must not overtake */
    assert_int_equal(n->replica.n_frames, 3);
    /* The second was committed by the new leader. */
    apply_forwarded(n, 1, 5);
    expect(n->a, ""); /* in order */
    assert_int_equal(n->replica.n_frames, 3);
    apply_barrier(n, 6);
    assert_int_equal(n->replica.n_frames, 6);
    for (unsigned i = 3; i < 6; i++) {
        static const unsigned offset[] = {0, 2, 3};
        const struct wire_message *m = frame(n, i, 3, WIRE_FORWARD);
        assert_int_equal(m->as.forward.request_id, first + offset[i - 3]);
        assert_int_equal(m->as.forward.term, 6);
    }
    answer(n, first, 6, 0, ":2\r\n");
    expect(n->a, ":2\r\n:1\r\n");
}

static void test_forward_new_leader_here_proposes_a_copy(void **state)
{
    struct node *n = open_follower(state);
    struct proposal p;
    uint8_t before[64];
    const struct fake_frame *f;
    submit(n->a, "SET k v");
    f = &n->replica.frames[0];
    memcpy(before, f->body, block_size(f->body));
    changed(n, 6, 2);
    apply_barrier(n, 6);
    assert_int_equal(n->replica.n_entries, 1);
    /* The transport may still hold the old bytes: not written to. */
    assert_ptr_not_equal(n->replica.entries[0].block, f->body);
    assert_memory_equal(before, f->body, block_size(f->body));
    decode_entry(n, 0, &p);
    assert_int_equal(p.clock_ms, n->replica.leader_clock_ms);
    proposal_clear(&p);
    apply(n, 1);
    expect(n->a, OK);
}

static void test_forward_deposed_leader_waits_for_fate(void **state)
{
    struct node *n = open_leader(state);
    const struct wire_message *m;
    submit(n->a, "INCR n");
    submit(n->b, "INCR n");
    changed(n, 6, 3);
    assert_int_equal(n->replica.n_frames, 0);
    apply(n, 1); /* this one was committed */
    expect(n->a, ":1\r\n");
    apply_barrier(n, 6); /* that one never will be */
    assert_int_equal(n->replica.n_frames, 1);
    m = frame(n, 0, 3, WIRE_FORWARD);
    answer(n, m->as.forward.request_id, 6, 0, ":2\r\n");
    expect(n->b, ":2\r\n");
}

static void test_forward_same_term_again_sends_nothing_twice(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "INCR n");
    changed(n, 5, 0); /* no heartbeat for a while */
    submit(n->a, "INCR n");
    changed(n, 5, 1);
    assert_int_equal(n->replica.n_frames, 2);
    assert_int_equal(frame_id(n, 1), frame_id(n, 0) + 1);
}

static void test_forward_jump_makes_sent_writes_unknown(void **state)
{
    struct node *n = open_follower(state);
    pipeline(n->a, "INCR n", "INCR n");
    n->replica.cut = UINT64_MAX;
    submit(n->b, "INCR n");
    n->replica.cut = 0;
    n->events.jumped(n->events.ctx, 100, 5);
    expect_prefix(n->a, "-UNKNOWN the write may or may not have been applied");
    expect(n->b, "");
    assert_int_equal(n->replica.n_frames, 3); /* the third was not sent yet */
    answer(n, frame_id(n, 2), 5, 0, ":3\r\n");
    expect(n->b, ":3\r\n");
}

static void test_forward_jump_of_older_term_keeps_writes(void **state)
{
    struct node *n = open_follower(state);
    submit(n->a, "INCR n");
    n->events.jumped(n->events.ctx, 100, 4);
    expect(n->a, "");
    answer(n, frame_id(n, 0), 5, 0, ":1\r\n");
    expect(n->a, ":1\r\n");
}

/* ---- limits ---- */

static void test_forward_busy_leader_goes_on_with_room(void **state)
{
    struct node *n = open_leader(state);
    n->replica.propose_rv = ERR_AGAIN;
    n->replica.n_accepted_max = 1;
    pipeline(n->a, "INCR n", "INCR n");
    submit(n->b, "INCR n");
    assert_int_equal(n->replica.n_entries, 1);
    n->replica.n_accepted_max = 2;
    n->events.room(n->events.ctx);
    assert_int_equal(n->replica.n_entries, 2);
    n->replica.n_accepted_max = 3;
    pass(n, SERVICE_RETRY_MS); /* also when no event comes */
    assert_int_equal(n->replica.n_entries, 3);
    apply(n, 3);
    expect(n->a, ":1\r\n:2\r\n");
    expect(n->b, ":3\r\n");
}

static void test_forward_keeps_to_its_window(void **state)
{
    struct node *n = open_follower(state);
    static uint8_t value[6 * 1024 * 1024];
    struct bytes argv[3] = {{(const uint8_t *)"SET", 3},
                            {(const uint8_t *)"k", 1},
                            {value, sizeof value}};
    for (unsigned i = 0; i < 4; i++) {
        session_submit(n->a->session, 3, argv);
    }
    assert_int_equal(n->replica.n_frames, 2); /* of 16 MiB */
    answer(n, frame_id(n, 0), 5, 0, OK);
    assert_int_equal(n->replica.n_frames, 3);
    answer(n, frame_id(n, 1), 5, 0, OK);
    assert_int_equal(n->replica.n_frames, 4);
    expect(n->a, OK OK);
}

static void test_forward_used_up_ids_start_an_epoch(void **state)
{
    struct node *n =
        open_detached(state, 2, ((uint64_t)7 << 32) | (UINT32_MAX - 2),
                      (struct service_options){0});
    uint64_t last;
    attach(n);
    changed(n, 5, 1);
    pipeline(n->a, "INCR n", "INCR n", "INCR n", "INCR n");
    submit(n->b, "INCR n");
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
}

static void test_forward_ring_grows_with_holes(void **state)
{
    struct node *n = open_follower(state);
    char reply[16];
    uint64_t first;
    for (unsigned i = 0; i < 200; i++) {
        submit(i % 2 == 0 ? n->a : n->b, "INCR n");
        if (i == 50) {
            answer(n, frame_id(n, 20), 5, 0, ":21\r\n");
        }
    }
    first = frame_id(n, 0);
    for (unsigned i = 200; i-- > 0;) {
        snprintf(reply, sizeof reply, ":%u\r\n", i + 1);
        answer(n, first + i, 5, 0, reply);
    }
    expect_prefix(n->a, ":1\r\n:3\r\n:5\r\n");
    expect_prefix(n->b, ":2\r\n:4\r\n");
    assert_int_equal(service_pending(n->service), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_forward_follower_write_is_forwarded),
        TEST(test_forward_follower_write_answers_when_applied),
        TEST(test_forward_no_leader_writes_wait),
        TEST(test_forward_invalid_write_is_answered),
        TEST(test_forward_new_term_sends_again_in_order),
        TEST(test_forward_new_leader_here_proposes_a_copy),
        TEST(test_forward_deposed_leader_waits_for_fate),
        TEST(test_forward_same_term_again_sends_nothing_twice),
        TEST(test_forward_jump_makes_sent_writes_unknown),
        TEST(test_forward_jump_of_older_term_keeps_writes),
        TEST(test_forward_busy_leader_goes_on_with_room),
        TEST(test_forward_keeps_to_its_window),
        TEST(test_forward_used_up_ids_start_an_epoch),
        TEST(test_forward_ring_grows_with_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
