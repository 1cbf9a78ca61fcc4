/* What is proposed: it gathers while a batch is on its way, and how much may
 * wait has a limit that is told apart from a full disk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftlog/block.h"
#include "tests/lib/solo.h"

static struct solo s;

/* Propose payloads of that many bytes, each gathered or sent on at once, until
 * the node is busy; how many it took. */
static unsigned propose_until_busy(uint32_t size, bool flush)
{
    unsigned n = 0;
    int rv = 0;
    while (rv == 0 && n < 1000) {
        void *payload = block_new(size);
        memset(payload, 0, size);
        rv = replica_propose(s.r, replica_term(s.r), payload, size);
        block_unref(payload);
        n += rv == 0;
        if (flush) {
            replica_flush(s.r);
        }
    }
    assert_int_equal(rv, ERR_BUSY);
    return n;
}

static void test_proposals_gather_while_a_batch_is_in_flight(void **state)
{
    uint64_t last;
    size_t n;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    last = raftlog_last_index(s.r->log);
    solo_forget(&s);
    solo_propose(&s, "a", "1");
    replica_flush(s.r);
    for (int i = 0; i < 20; i++) {
        solo_propose(&s, "b", "2");
        replica_flush(s.r);
    }
    n = solo_count(&s, 2, WIRE_APPEND_ENTRIES);
    assert_int_equal(n, 1);
    solo_settle(&s);
    solo_ack(&s, 2, replica_term(s.r), last + 1);
    solo_settle(&s);
    assert_int_equal(raftlog_last_index(s.r->log), last + 21);
    assert_int_equal(solo_count(&s, 2, WIRE_APPEND_ENTRIES), 2);
    solo_close(&s);
}

static void test_proposals_uncommitted_entries_are_bounded(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.uncommitted_entries_max = 100;
    solo_lead(&s);
    assert_true(propose_until_busy(16, false) <= 101);
    solo_close(&s);
}

static void
test_proposals_log_behind_with_its_segments_is_busy_not_full(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    /* The write in flight never ends and nothing is full: what waits for a
     * segment must not be called a full disk. */
    (void)propose_until_busy(64 * 1024, true);
    solo_close(&s);
}

static void
test_proposals_full_gathering_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.uncommitted_bytes_max = 1024 * 1024;
    solo_lead(&s);
    assert_true(propose_until_busy(60 * 1024, false) <= 19);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proposals_gather_while_a_batch_is_in_flight),
        cmocka_unit_test(test_proposals_uncommitted_entries_are_bounded),
        cmocka_unit_test(
            test_proposals_log_behind_with_its_segments_is_busy_not_full),
        cmocka_unit_test(
            test_proposals_full_gathering_is_refused_before_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
