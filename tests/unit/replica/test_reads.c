/* Reads that go through a replica: a leader's after a round, a follower's by
 * the index that the leader gives. The rounds themselves are tested in
 * tests/unit/service/test_read_barrier.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/solo.h"

static struct solo s;

static int read_status;

static void on_read(void *ctx, int status, uint64_t clock_ms)
{
    (void)ctx;
    (void)clock_ms;
    read_status = status;
}

static void test_reads_leader_reads_after_a_round(void **state)
{
    struct wire_message m = solo_message(WIRE_BARRIER_PONG);
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_forget(&s);
    read_status = 1;
    assert_int_equal(replica_read(s.r, false, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(solo_count(&s, 2, WIRE_BARRIER_PING), 1);
    assert_int_equal(solo_count(&s, 3, WIRE_BARRIER_PING), 1);
    assert_int_equal(read_status, 1);
    m.as.barrier = solo_last(&s, 2, WIRE_BARRIER_PING)->as.barrier;
    assert_int_equal(m.as.barrier.term, replica_term(s.r));
    solo_receive(&s, 2, &m);
    assert_int_equal(read_status, 0);
    solo_close(&s);
}

static void test_reads_read_waits_for_the_own_entry(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_elect(&s);
    assert_int_equal(replica_read(s.r, false, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(solo_count(&s, 0, WIRE_BARRIER_PING), 0);
    solo_ack(&s, 2, 2, raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 2, WIRE_BARRIER_PING), 1);
    solo_close(&s);
}

/* Leadership ends in the middle of a round. */
static void test_reads_read_fails_when_the_term_ends(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    read_status = 1;
    assert_int_equal(replica_read(s.r, false, on_read, NULL), 0);
    replica_flush(s.r);
    solo_append(&s, 2, replica_term(s.r) + 1, 1, 1, 1, "", 1, 3);
    solo_settle(&s);
    assert_int_equal(read_status, ERR_NOTLEADER);
    solo_close(&s);
}

/* A follower asks, and takes the leader's index for news of what is
 * committed, but only of the leader's own entries. */
static void follower_reads(uint64_t leader_term, int status_now)
{
    struct wire_message m = solo_message(WIRE_READ_INDEX_RESULT);
    solo_follow(&s, 3);
    solo_append(&s, 2, 2, 3, 2, 3, "c", 2, 3);
    if (leader_term > 2) {
        solo_append(&s, 3, leader_term, 3, 2, 3, "", leader_term, 3);
    }
    solo_settle(&s);
    solo_forget(&s);
    read_status = 1;
    assert_int_equal(replica_read(s.r, false, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(solo_count(&s, 0, WIRE_READ_INDEX), 1);
    m.as.read_index = solo_last(&s, 0, WIRE_READ_INDEX)->as.read_index;
    assert_int_equal(m.as.read_index.term, leader_term);
    m.as.read_index.index = 4;
    solo_receive(&s, leader_term > 2 ? 3 : 2, &m);
    assert_int_equal(read_status, status_now);
}

static void test_reads_follower_commits_by_the_leaders_index(void **state)
{
    (void)state;
    follower_reads(2, 0);
    assert_int_equal(solo_status(&s).applied_index, 4);
    solo_close(&s);
}

static void
test_reads_follower_does_not_commit_another_terms_entry(void **state)
{
    (void)state;
    /* Entry 4 here is of term 2; the leader of term 3 has another one. */
    follower_reads(3, 1);
    assert_int_equal(solo_status(&s).applied_index, 3);
    solo_append(&s, 3, 3, 3, 2, 4, "b", 3, 3);
    solo_settle(&s);
    assert_int_equal(read_status, 0);
    assert_int_equal(raftlog_term(s.r->log, 4), 3);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_leader_reads_after_a_round),
        cmocka_unit_test(test_reads_read_waits_for_the_own_entry),
        cmocka_unit_test(test_reads_read_fails_when_the_term_ends),
        cmocka_unit_test(test_reads_follower_commits_by_the_leaders_index),
        cmocka_unit_test(
            test_reads_follower_does_not_commit_another_terms_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
