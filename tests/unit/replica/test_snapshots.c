/* Snapshots between two real replicas: a leader (node 1) that has let go of its
 * log, and a blank or lagging follower (node 3); node 2 is played by the test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "raftlog/block.h"
#include "tests/lib/solo.h"

static struct solo a; /* leader */
static struct solo b; /* follower */

enum { N_KEYS = 300 };

/* Deliver what `from` has sent to `to`, except what `drop` refuses. */
static size_t deliver(struct solo *from, struct solo *to,
                      bool (*drop)(const struct wire_message *m))
{
    size_t n = 0;
    size_t n_sent = from->n_sent;
    for (size_t i = 0; i < n_sent; i++) {
        struct solo_sent *sent = &from->sent[i];
        if (sent->to == to->options.id && (drop == NULL || !drop(&sent->m))) {
            replica_receive(to->r, from->options.id, sent->block,
                            block_size(sent->block));
            n++;
        }
    }
    solo_forget(from);
    return n;
}

/* Node 2 has all that the leader has. */
static void ack_by_2(void)
{
    solo_ack(&a, 2, replica_term(a.r), raftlog_last_index(a.r->log));
}

/* Time passes, and the leader has something to say. */
static void begin_turn(void)
{
    a.now_ms += 10;
    b.now_ms += 10;
    solo_settle(&a);
    ack_by_2();
}

/* The follower hears it and answers. */
static void end_turn(bool (*drop)(const struct wire_message *m))
{
    deliver(&a, &b, drop);
    solo_settle(&b);
    deliver(&b, &a, drop);
}

static void exchange(int turns, bool (*drop)(const struct wire_message *m))
{
    for (int i = 0; i < turns && !a.fatal && !b.fatal; i++) {
        begin_turn();
        end_turn(drop);
    }
}

static bool same_state(void)
{
    struct checksum128 x = store_hash(replica_store(a.r));
    struct checksum128 y = store_hash(replica_store(b.r));
    return x.low == y.low && x.high == y.high;
}

static void write_keys(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++) {
        char key[32];
        char value[400];
        snprintf(key, sizeof key, "key%06u", i);
        memset(value, 'a' + (int)(i % 26), sizeof value - 1);
        value[sizeof value - 1] = '\0';
        solo_propose(&a, key, value);
        if (i % 50 == 49) {
            solo_settle(&a);
            ack_by_2();
        }
    }
    solo_settle(&a);
    ack_by_2();
    solo_settle(&a);
}

/* A leader with a snapshot and no log below it, and a blank follower. */
static void setup(void)
{
    solo_open(&a, 1, 3);
    a.r->options.trailing_entries = 1;
    solo_lead(&a);
    replica_peer(a.r, 3, false); /* not there: no log is kept for it */
    write_keys(0, N_KEYS);
    solo_snapshot(&a);
    assert_int_equal(solo_status(&a).snapshot_index,
                     solo_status(&a).applied_index);
    replica_peer(a.r, 3, true);
    solo_open(&b, 3, 3);
    b.now_ms = a.now_ms;
    solo_connect_all(&b);
    solo_forget(&a);
    solo_forget(&b);
}

static void teardown(void)
{
    solo_close(&a);
    solo_close(&b);
}

static void test_blank_follower_installs_and_follows(void **state)
{
    (void)state;
    setup();
    exchange(60, NULL);
    assert_int_equal(solo_status(&b).snapshot_index,
                     solo_status(&a).snapshot_index);
    assert_int_equal(b.jumped_to, solo_status(&a).snapshot_index);
    assert_true(same_state());
    write_keys(N_KEYS, 20);
    exchange(30, NULL);
    assert_int_equal(solo_status(&b).applied_index,
                     solo_status(&a).applied_index);
    assert_true(same_state());
    assert_int_equal(store_count(replica_store(b.r)), N_KEYS + 20);
    teardown();
}

static void test_installed_snapshot_survives_restart(void **state)
{
    struct checksum128 before;
    struct checksum128 after;
    (void)state;
    setup();
    exchange(60, NULL);
    before = store_hash(replica_store(a.r));
    solo_reopen(&b);
    after = store_hash(replica_store(b.r));
    assert_int_equal(solo_status(&b).applied_index,
                     solo_status(&a).snapshot_index);
    assert_true(before.low == after.low && before.high == after.high);
    teardown();
}

static unsigned n_seen;

static bool drop_every_third_chunk(const struct wire_message *m)
{
    return m->type == WIRE_SNAPSHOT_CHUNK && n_seen++ % 3 == 0;
}

static void test_lost_chunks_are_asked_for_again(void **state)
{
    (void)state;
    setup();
    n_seen = 0;
    exchange(800, drop_every_third_chunk);
    assert_true(n_seen > 1);
    assert_int_equal(solo_status(&b).snapshot_index,
                     solo_status(&a).snapshot_index);
    assert_true(same_state());
    teardown();
}

static void test_offers_are_not_repeated_while_peer_is_served(void **state)
{
    size_t n = 0;
    (void)state;
    setup();
    /* The follower rejects each heartbeat until it has the snapshot, and each
     * time the core wants to send it again. */
    b.jobs_held = true;
    for (int i = 0; i < 30; i++) {
        begin_turn();
        n += solo_count(&a, 3, WIRE_INSTALL_SNAPSHOT);
        end_turn(NULL);
    }
    assert_int_equal(n, 1);
    b.jobs_held = false;
    teardown();
}

static bool is_offer(const struct wire_message *m)
{
    return m->type == WIRE_INSTALL_SNAPSHOT;
}

/* The first offer to node 3 that waits to be delivered, or NULL. Given. */
static void *copy_offer(void)
{
    for (size_t i = 0; i < a.n_sent; i++) {
        if (a.sent[i].to == 3 && is_offer(&a.sent[i].m)) {
            return block_ref(a.sent[i].block);
        }
    }
    return NULL;
}

/* Until the follower fetches, or, with one of its jobs run at a time, is caught
 * in the middle of an install. Its jobs stay held. Gives the leader's offer if
 * it is asked for. */
static void exchange_until(bool installing, void **offer)
{
    void *first = NULL;
    b.jobs_held = true;
    for (int i = 0;
         i < 100 && (installing ? !b.r->installing : b.r->fetch == NULL); i++) {
        begin_turn();
        if (first == NULL) {
            first = copy_offer();
        }
        deliver(&a, &b, NULL);
        solo_settle(&b);
        if (installing && !b.r->installing) {
            solo_run_jobs(&b);
        }
        deliver(&b, &a, NULL);
    }
    assert_true(b.r->installing == installing);
    assert_non_null(b.r->fetch);
    assert_non_null(first);
    if (offer != NULL) {
        *offer = first;
    } else {
        block_unref(first);
    }
}

static void test_offer_while_installing_is_not_stepped(void **state)
{
    void *offer;
    (void)state;
    setup();
    exchange_until(true, &offer);
    replica_receive(b.r, 1, offer, block_size(offer));
    assert_false(b.fatal);
    assert_true(b.r->installing);
    block_unref(offer);
    b.jobs_held = false;
    exchange(20, NULL);
    assert_true(same_state());
    teardown();
}

/* Crash after the chain was adopted, before the log was reset. */
static void test_crash_between_adopt_and_reset_is_reconciled(void **state)
{
    struct held_job install;
    (void)state;
    setup();
    /* Give the follower a log of its own that the snapshot overtakes. */
    solo_append(&b, 2, 1, 1, 1, 1, "cc", 1, 3);
    solo_settle(&b);
    assert_int_equal(raftlog_last_index(b.r->log), 3);
    exchange_until(true, NULL);
    assert_int_equal(b.jobs.n, 1);
    install = job_list_take(&b.jobs, 0);
    install.work(install.arg); /* adopts and loads ... */
    replica_abandon(b.r);      /* ... and the process dies */
    install.done(install.arg);
    b.jobs_held = false;
    solo_forget(&b);
    b.options.data_dir = b.dir.path;
    solo_restart(&b);
    assert_int_equal(solo_status(&b).applied_index,
                     solo_status(&a).snapshot_index);
    assert_int_equal(raftlog_last_index(b.r->log),
                     solo_status(&a).snapshot_index);
    assert_true(same_state());
    teardown();
}

/* A fetch is under way, and no thread has taken the leader's job of it yet. */
static void test_closing_in_mid_transfer_leaves_nothing(void **state)
{
    (void)state;
    setup();
    exchange_until(false, NULL);
    a.jobs_held = true;
    for (int i = 0; i < 100 && a.jobs.n == 0; i++) {
        solo_run_jobs(&b);
        solo_settle(&b);
        deliver(&b, &a, NULL);
        begin_turn();
        deliver(&a, &b, NULL);
    }
    assert_non_null(b.r->fetch);
    assert_true(a.jobs.n > 0);
    teardown(); /* the address sanitizer looks for other leaks */
    assert_int_equal(block_bytes_in_use(), 0);
}

static void test_snapshot_in_slices_keeps_its_moment(void **state)
{
    struct checksum128 at;
    uint64_t index;
    (void)state;
    solo_open(&a, 1, 3);
    solo_lead(&a);
    write_keys(0, 3000);
    at = store_hash(replica_store(a.r));
    index = solo_status(&a).applied_index;
    a.jobs_held = true;
    assert_int_equal(replica_snapshot(a.r), 0);
    /* Overwrite everything while the snapshot is being written. */
    write_keys(0, 3000);
    write_keys(5000, 500);
    a.jobs_held = false;
    solo_settle(&a);
    solo_settle(&a);
    assert_int_equal(solo_status(&a).snapshot_index, index);
    assert_true(a.r->manifest.files[0].state_hash.low == at.low &&
                a.r->manifest.files[0].state_hash.high == at.high);
    solo_reopen(&a);
    assert_true(solo_status(&a).applied_index >= index);
    solo_close(&a);
}

static void test_second_snapshot_is_refused_while_one_runs(void **state)
{
    (void)state;
    solo_open(&a, 1, 3);
    solo_lead(&a);
    write_keys(0, 10);
    a.jobs_held = true;
    assert_int_equal(replica_snapshot(a.r), 0);
    assert_int_equal(replica_snapshot(a.r), ERR_BUSY);
    a.jobs_held = false;
    solo_settle(&a);
    assert_int_equal(replica_snapshot(a.r), ERR_AGAIN);
    solo_close(&a);
}

/* ---- the ends of a fetch ---- */

static void test_backlog_does_not_spin_while_installing(void **state)
{
    (void)state;
    setup();
    exchange_until(true, NULL);
    /* As if there had been more to apply than fits into one turn. */
    b.r->apply_more = true;
    solo_turn(&b);
    assert_true(replica_deadline_ms(b.r) > b.now_ms);
    b.jobs_held = false;
    exchange(20, NULL);
    assert_true(same_state());
    teardown();
}

/* The leader's next snapshot takes the log below it along. */
static void snapshot_lets_go(void)
{
    solo_snapshot(&a);
    assert_int_equal(raftlog_first_index(a.r->log),
                     solo_status(&a).snapshot_index);
}

/* With hardly any trailing entries each snapshot of the leader would send those
 * who have just installed one back for the next, for as long as it writes. */
static void test_leader_keeps_its_log_for_who_installs(void **state)
{
    uint64_t first;
    (void)state;
    setup();
    first = solo_status(&a).snapshot_index;
    exchange_until(true, NULL);
    write_keys(N_KEYS, 200);
    solo_snapshot(&a);
    assert_true(solo_status(&a).snapshot_index > first + 200 - 10);
    assert_true(raftlog_first_index(a.r->log) <= first + 1);
    b.jobs_held = false;
    exchange(60, NULL);
    assert_int_equal(b.jumped_to, first);
    assert_int_equal(solo_status(&b).applied_index,
                     solo_status(&a).applied_index);
    assert_true(same_state());
    /* It has caught up: the next one lets go. */
    write_keys(N_KEYS + 200, 50);
    exchange(10, NULL);
    snapshot_lets_go();
    teardown();
}

/* But not for who is not there, nor for who falls ever further behind. */
static void test_leader_keeps_no_log_for_who_is_lost(void **state)
{
    (void)state;
    setup();
    exchange_until(true, NULL);
    replica_peer(a.r, 3, false);
    write_keys(N_KEYS, 200);
    snapshot_lets_go();
    teardown();
}

static void test_leader_keeps_no_more_log_than_a_limit(void **state)
{
    (void)state;
    setup();
    exchange_until(true, NULL);
    a.r->options.snapshot_log_bytes = 10000;
    write_keys(N_KEYS, 200);
    snapshot_lets_go();
    teardown();
}

static void test_fetch_ends_when_the_log_has_caught_up(void **state)
{
    char kinds[401];
    uint64_t wanted;
    (void)state;
    setup();
    wanted = solo_status(&a).snapshot_index;
    exchange_until(false, NULL);
    b.jobs_held = false;
    /* The sender dies; the next leader has the whole log. */
    memset(kinds, 'c', sizeof kinds - 1);
    kinds[sizeof kinds - 1] = '\0';
    solo_append(&b, 2, 9, 1, 1, wanted + 10, kinds, 9, 3);
    solo_settle(&b);
    assert_true(b.r->commit > wanted);
    solo_advance(&b, 200);
    assert_null(b.r->fetch);
    solo_snapshot(&b);
    teardown();
}

static void test_given_up_fetch_ends_before_the_next_begins(void **state)
{
    struct wire_message m = solo_message(WIRE_SNAPSHOT_CHUNK);
    size_t n_jobs;
    void *offer;
    (void)state;
    setup();
    exchange_until(false, &offer);
    n_jobs = b.jobs.n; /* a thread of the pool has the fetch */
    assert_true(n_jobs > 0);
    m.as.snapshot.status = ERR_NOTFOUND;
    m.as.snapshot.range.size = 1;
    solo_receive(&b, 1, &m);
    /* Both would write into incoming/. */
    replica_receive(b.r, 1, offer, block_size(offer));
    assert_int_equal(b.jobs.n, n_jobs);
    b.jobs_held = false;
    solo_settle(&b);
    assert_null(b.r->fetch);
    block_unref(offer);
    exchange(300, NULL);
    assert_true(same_state());
    teardown();
}

/* 2.8: what the core is told must be what the files are. */
static void test_offer_unlike_its_manifest_is_refused(void **state)
{
    /* Behind the type: term, last index, last term, index of configuration. */
    static const size_t at[] = {9, 17, 25};
    static const uint8_t flip[] = {1, 3, 2}; /* still possible values */
    uint64_t refused = 0;
    (void)state;
    setup();
    write_keys(N_KEYS, 10);
    solo_snapshot(&a);
    for (int i = 0; i < 100 && refused == 0; i++) {
        begin_turn();
        for (size_t j = 0; j < a.n_sent && refused == 0; j++) {
            uint8_t *offer = a.sent[j].block;
            if (a.sent[j].to != 3 || !is_offer(&a.sent[j].m)) {
                continue;
            }
            for (size_t k = 0; k < sizeof at / sizeof at[0]; k++) {
                offer[at[k]] ^= flip[k];
                replica_receive(b.r, 1, offer, block_size(offer));
                assert_null(b.r->fetch);
                offer[at[k]] ^= flip[k];
            }
            refused = solo_status(&b).n_dropped_frames;
        }
        end_turn(refused > 0 ? is_offer : NULL);
    }
    assert_int_equal(refused, sizeof at / sizeof at[0]);
    teardown();
}

/* Node 3 rejects what it has not got yet; how many offers that brings. */
static size_t reject_heartbeat(void)
{
    size_t n;
    solo_reject(&a, 3, replica_term(a.r), solo_status(&a).snapshot_index, 0);
    ack_by_2();
    solo_advance(&a, 100);
    n = solo_count(&a, 3, WIRE_INSTALL_SNAPSHOT);
    solo_forget(&a);
    return n;
}

/* The core wants to send it with every rejected heartbeat, for as long as the
 * transfer lasts. */
static void test_offers_are_swallowed_for_the_whole_transfer(void **state)
{
    struct wire_message fetch = solo_message(WIRE_SNAPSHOT_FETCH);
    size_t n = 0;
    (void)state;
    setup();
    fetch.as.snapshot.range.size = 1;
    for (int i = 0; i < 30; i++) {
        solo_receive(&a, 3, &fetch); /* it goes on */
        n += reject_heartbeat();
    }
    assert_true(n <= 1);
    /* It fetches no more: offered again. */
    for (int i = 0; i < 60 && n <= 1; i++) {
        n += reject_heartbeat();
    }
    assert_true(n > 1);
    teardown();
}

/* 1.3.6: the core's commit index is ahead of what is here. */
static void test_commit_waits_for_the_install(void **state)
{
    uint64_t to;
    (void)state;
    setup();
    to = solo_status(&a).snapshot_index;
    exchange_until(true, NULL);
    solo_append(&b, 1, replica_term(a.r), to, replica_term(a.r), to, "", 1, 3);
    assert_int_equal(raft_commit_index(&b.r->raft), to);
    assert_true(b.r->commit < to);
    assert_true(solo_status(&b).applied_index < to);
    b.jobs_held = false;
    exchange(20, NULL);
    assert_true(b.r->commit >= to);
    assert_true(same_state());
    teardown();
}

/* B14: a second one while one is being installed leaks in the core. */
static void test_old_offer_while_installing_is_not_stepped(void **state)
{
    void *offer;
    uint8_t *bytes;
    (void)state;
    setup();
    exchange_until(true, &offer);
    /* An offer of what it has: entry 1 of term 1. */
    bytes = offer;
    memset(bytes + 9, 0, 24);
    bytes[9] = bytes[17] = bytes[25] = 1;
    replica_receive(b.r, 1, offer, block_size(offer));
    assert_int_equal(solo_count(&b, 1, WIRE_APPEND_ENTRIES_RESULT), 0);
    block_unref(offer);
    b.jobs_held = false;
    exchange(20, NULL);
    assert_true(same_state());
    teardown(); /* the address sanitizer looks for leaks */
    assert_int_equal(block_bytes_in_use(), 0);
}

/* ---- when to take one ---- */

static void test_log_before_a_restart_counts_for_the_next(void **state)
{
    (void)state;
    solo_open(&a, 1, 3);
    a.options.snapshot_log_bytes = 200 * 1000;
    solo_reopen(&a);
    solo_lead(&a);
    write_keys(0, 300); /* of 400 bytes */
    solo_advance(&a, 200);
    assert_int_equal(solo_status(&a).snapshot_index, 0);
    solo_reopen(&a);
    solo_lead(&a);
    write_keys(0, 250);
    solo_advance(&a, 200);
    assert_true(solo_status(&a).snapshot_index > 0);
    solo_close(&a);
}

static void test_install_counts_as_a_snapshot_taken(void **state)
{
    struct raftlog_stats stats;
    (void)state;
    setup();
    exchange(60, NULL);
    assert_int_equal(solo_status(&b).snapshot_index,
                     solo_status(&a).snapshot_index);
    replica_log_stats(b.r, &stats);
    assert_true(stats.written_bytes > 0);
    assert_true(stats.written_bytes - b.r->written_at_snapshot < 64 * 1024);
    assert_true(b.r->written_at_snapshot > 0);
    teardown();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blank_follower_installs_and_follows),
        cmocka_unit_test(test_installed_snapshot_survives_restart),
        cmocka_unit_test(test_lost_chunks_are_asked_for_again),
        cmocka_unit_test(test_offers_are_not_repeated_while_peer_is_served),
        cmocka_unit_test(test_offer_while_installing_is_not_stepped),
        cmocka_unit_test(test_crash_between_adopt_and_reset_is_reconciled),
        cmocka_unit_test(test_closing_in_mid_transfer_leaves_nothing),
        cmocka_unit_test(test_snapshot_in_slices_keeps_its_moment),
        cmocka_unit_test(test_second_snapshot_is_refused_while_one_runs),
        cmocka_unit_test(test_backlog_does_not_spin_while_installing),
        cmocka_unit_test(test_leader_keeps_its_log_for_who_installs),
        cmocka_unit_test(test_leader_keeps_no_log_for_who_is_lost),
        cmocka_unit_test(test_leader_keeps_no_more_log_than_a_limit),
        cmocka_unit_test(test_fetch_ends_when_the_log_has_caught_up),
        cmocka_unit_test(test_given_up_fetch_ends_before_the_next_begins),
        cmocka_unit_test(test_offer_unlike_its_manifest_is_refused),
        cmocka_unit_test(test_offers_are_swallowed_for_the_whole_transfer),
        cmocka_unit_test(test_commit_waits_for_the_install),
        cmocka_unit_test(test_old_offer_while_installing_is_not_stepped),
        cmocka_unit_test(test_log_before_a_restart_counts_for_the_next),
        cmocka_unit_test(test_install_counts_as_a_snapshot_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
