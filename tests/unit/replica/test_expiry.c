/* The replicated clock, and the sweeps that end keys by it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/command.h"
#include "raftlog/block.h"
#include "tests/lib/solo.h"

static struct solo s;

static struct bytes text(const char *word)
{
    struct bytes b = {(const uint8_t *)word, strlen(word)};
    return b;
}

/* SET key v PXAT at_ms, stamped as the service does. */
static void set_until(const char *key, uint64_t at_ms)
{
    char number[32] = "";
    struct bytes argv[] = {text("SET"), text(key), text("v"), text("PXAT"),
                           text(number)};
    struct proposal p = {.kind = PROPOSAL_COMMAND,
                         .origin = 1,
                         .request_id = 7,
                         .code = COMMAND_CODE_SET,
                         .argc = 5,
                         .argv = argv};
    uint32_t size;
    void *payload;

    snprintf(number, sizeof number, "%llu", (unsigned long long)at_ms);
    argv[4] = text(number);
    p.clock_ms = replica_leader_clock(s.r);
    payload = proposal_encode(&p, &size);
    assert_non_null(payload);
    assert_int_equal(replica_propose(s.r, replica_term(s.r), payload, size), 0);
    block_unref(payload);
}

static uint64_t last(void)
{
    return raftlog_last_index(s.r->log);
}

/* A leader that is its whole cluster. */
static void lead(void)
{
    solo_open(&s, 1, 1);
    assert_true(replica_is_leader(s.r));
    solo_settle(&s);
}

/* ---- sweeps ---- */

static void test_expiry_nothing_due_writes_nothing(void **state)
{
    uint64_t index;
    (void)state;
    lead();
    set_until("k", s.clock_ms + 1000);
    solo_settle(&s);
    index = last();
    solo_advance(&s, 990);
    assert_int_equal(last(), index);
    assert_int_equal(store_count(s.r->store), 1);
    solo_close(&s);
}

static void test_expiry_due_key_is_swept_once(void **state)
{
    uint64_t index;
    (void)state;
    lead();
    set_until("a", s.clock_ms + 100);
    set_until("b", s.clock_ms + 101);
    set_until("c", s.clock_ms + 100000);
    solo_settle(&s);
    index = last();
    solo_advance(&s, 101 + TICK_MS);
    /* The disk takes its own time: the first sweep may have left one. */
    solo_advance(&s, 2 * TICK_MS);
    assert_int_equal(store_count(s.r->store), 1);
    assert_int_equal(solo_status(&s).n_expired, 2);
    assert_in_range(last(), index + 1, index + 2);
    index = last();
    solo_advance(&s, 20 * TICK_MS);
    assert_int_equal(last(), index);
    solo_close(&s);
}

/* No entry takes long to apply, and the next does not wait for a tick. */
static void test_expiry_many_due_keys_take_several_entries(void **state)
{
    enum { N = 2 * EXPIRY_SWEEP_MAX + 1 };
    uint64_t index;
    (void)state;
    lead();
    for (unsigned i = 0; i < N; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        set_until(key, s.clock_ms + 1000);
        if (i % 500 == 0) {
            solo_settle(&s);
        }
    }
    solo_settle(&s);
    assert_int_equal(store_count(s.r->store), N);
    index = last();
    solo_advance(&s, 1000 + TICK_MS);
    assert_int_equal(store_count(s.r->store), 0);
    assert_int_equal(solo_status(&s).n_expired, N);
    assert_int_equal(last(), index + 3);
    solo_close(&s);
}

static void test_expiry_follower_sweeps_only_what_it_is_told(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    assert_int_equal(store_set(s.r->store, text("k"), text("v"), 0, 5), 0);
    solo_append(&s, 2, 2, 1, 1, 1, "b", 2, 3);
    solo_settle(&s);
    solo_advance(&s, 3 * TICK_MS);
    assert_int_equal(last(), 2);
    assert_int_equal(store_count(s.r->store), 1);
    solo_close(&s);
}

/* ---- the clock ---- */

static void
test_expiry_clock_goes_on_when_the_wall_clock_goes_back(void **state)
{
    uint64_t before, later;
    (void)state;
    lead();
    before = replica_leader_clock(s.r);
    assert_int_equal(before, s.clock_ms);
    s.clock_ms -= 100;
    assert_int_equal(replica_leader_clock(s.r), before);
    /* At half the speed, asked for often or not, until they meet. */
    for (unsigned i = 0; i < 100; i++) {
        s.now_ms++;
        s.clock_ms++;
        later = replica_leader_clock(s.r);
        assert_int_equal(later, before + (i + 1) / 2);
    }
    s.now_ms += 100;
    s.clock_ms += 100;
    assert_int_equal(replica_leader_clock(s.r), s.clock_ms);
    assert_int_equal(s.clock_ms, before + 100);
    s.now_ms += 10;
    s.clock_ms += 10;
    assert_int_equal(replica_leader_clock(s.r), s.clock_ms);
    solo_close(&s);
}

static void test_expiry_clock_jumps_ahead_with_the_wall_clock(void **state)
{
    (void)state;
    lead();
    set_until("k", s.clock_ms + 3600000);
    solo_settle(&s);
    s.clock_ms += 3600000;
    assert_int_equal(replica_leader_clock(s.r), s.clock_ms);
    solo_advance(&s, 2 * TICK_MS);
    assert_int_equal(store_count(s.r->store), 0);
    solo_close(&s);
}

static void test_expiry_clock_survives_restart(void **state)
{
    uint64_t clock_ms;
    (void)state;
    lead();
    s.clock_ms += 5000;
    set_until("k", s.clock_ms + 100000);
    solo_settle(&s);
    clock_ms = s.clock_ms;
    assert_int_equal(replica_clock(s.r), clock_ms);
    s.clock_ms -= 4000;
    solo_reopen(&s); /* from the log */
    assert_int_equal(replica_clock(s.r), clock_ms);
    assert_true(replica_leader_clock(s.r) >= clock_ms);
    s.options.trailing_entries = 1;
    assert_int_equal(replica_snapshot(s.r), 0);
    for (unsigned i = 0; i < 100 && s.r->snapshotter != NULL; i++) {
        solo_settle(&s);
    }
    assert_null(s.r->snapshotter);
    solo_reopen(&s); /* from the snapshot */
    assert_true(s.r->snapshot_index > 2);
    assert_int_equal(replica_clock(s.r), clock_ms);
    assert_true(replica_leader_clock(s.r) >= clock_ms);
    assert_int_equal(store_next_expiry(s.r->store), clock_ms + 100000);
    solo_close(&s);
}

/* What an earlier leader wrote counts before it is committed, and also when it
 * came before a restart. */
static void clock_of_the_log(bool restart)
{
    uint64_t clock_ms;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    s.clock_ms += 60000;
    clock_ms = s.clock_ms;
    solo_append(&s, 2, 2, 1, 1, 1, "c", 2, 3);
    solo_settle(&s);
    s.clock_ms -= 60000;
    if (restart) {
        solo_reopen(&s);
    }
    assert_true(replica_clock(s.r) < clock_ms);
    assert_true(replica_leader_clock(s.r) >= clock_ms);
    solo_lead(&s);
    solo_propose(&s, "mine", "v"); /* the test's own stamp is behind */
    solo_settle(&s);
    solo_ack(&s, 2, replica_term(s.r), last());
    solo_settle(&s);
    assert_true(replica_clock(s.r) >= clock_ms);
    solo_close(&s);
}

static void test_expiry_clock_goes_on_from_uncommitted_entries(void **state)
{
    (void)state;
    clock_of_the_log(false);
}

static void test_expiry_clock_goes_on_from_entries_before_restart(void **state)
{
    (void)state;
    clock_of_the_log(true);
}

/* ---- reads ---- */

static int read_status;
static uint64_t read_clock_ms;

static void on_read(void *ctx, int status, uint64_t clock_ms)
{
    (void)ctx;
    read_status = status;
    read_clock_ms = clock_ms;
}

static void test_expiry_settling_read_brings_the_clock(void **state)
{
    uint64_t index, clock_ms;
    (void)state;
    lead();
    set_until("k", s.clock_ms + 50);
    solo_settle(&s);
    index = last();
    clock_ms = replica_clock(s.r);
    s.clock_ms += 50; /* between two ticks */
    read_status = 1;
    assert_int_equal(replica_read(s.r, false, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(read_status, 0);
    assert_int_equal(read_clock_ms, s.clock_ms);
    assert_int_equal(replica_clock(s.r), clock_ms);
    assert_int_equal(last(), index);
    read_status = 1;
    assert_int_equal(replica_read(s.r, true, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(read_status, 1);
    assert_int_equal(last(), index + 1);
    solo_settle(&s);
    assert_int_equal(read_status, 0);
    assert_int_equal(read_clock_ms, s.clock_ms);
    assert_int_equal(replica_clock(s.r), s.clock_ms);
    assert_int_equal(store_count(s.r->store), 0);
    solo_close(&s);
}

static void test_expiry_settling_reads_share_an_entry(void **state)
{
    uint64_t index;
    (void)state;
    lead();
    set_until("k", s.clock_ms + 50);
    solo_settle(&s);
    index = last();
    s.clock_ms += 50;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(replica_read(s.r, true, on_read, NULL), 0);
        replica_flush(s.r);
    }
    assert_int_equal(last(), index + 1);
    solo_settle(&s);
    /* And none is made when the clock is there. */
    assert_int_equal(replica_read(s.r, true, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(last(), index + 1);
    solo_close(&s);
}

/* The leadership is being given away: nothing can be written any more, and who
 * asked is told so by a clock that has not come. */
static void test_expiry_settling_read_without_entry_ends(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    replica_drain(s.r, 2);
    assert_false(replica_accepts(s.r));
    solo_forget(&s);
    read_status = 1;
    assert_int_equal(replica_read(s.r, true, on_read, NULL), 0);
    replica_flush(s.r);
    if (solo_count(&s, 2, WIRE_BARRIER_PING) == 1) {
        struct wire_message m = solo_message(WIRE_BARRIER_PONG);
        m.as.barrier = solo_last(&s, 2, WIRE_BARRIER_PING)->as.barrier;
        solo_receive(&s, 2, &m);
    }
    assert_int_equal(read_status, 0);
    assert_true(replica_clock(s.r) < read_clock_ms);
    solo_close(&s);
}

#define TEST(name) cmocka_unit_test(test_expiry_##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_due_writes_nothing),
        TEST(due_key_is_swept_once),
        TEST(many_due_keys_take_several_entries),
        TEST(follower_sweeps_only_what_it_is_told),
        TEST(clock_goes_on_when_the_wall_clock_goes_back),
        TEST(clock_jumps_ahead_with_the_wall_clock),
        TEST(clock_survives_restart),
        TEST(clock_goes_on_from_uncommitted_entries),
        TEST(clock_goes_on_from_entries_before_restart),
        TEST(settling_read_brings_the_clock),
        TEST(settling_reads_share_an_entry),
        TEST(settling_read_without_entry_ends),
    };
    return cmocka_run_group_tests_name("expiry", tests, NULL, NULL);
}
