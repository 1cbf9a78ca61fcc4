/* What the driver owes the core, rule by rule (node/REPLICA.md has the table):
 * how it is set up and started, what is stepped and what is not, who owns what,
 * and the reads that go through it. Defects of the core are in test_cures.c. */
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

static struct solo s;

static struct replica_status status_of(void)
{
    struct replica_status st;
    replica_status(s.r, &st);
    return st;
}

/* A follower of node 2 in term 2 with entries 2..last, committed. */
static void follow(uint64_t last)
{
    char kinds[64];
    size_t n = (size_t)(last - 1);
    memset(kinds, 'c', n);
    kinds[n] = '\0';
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    solo_append(&s, 2, 2, 1, 1, last, kinds, 2, 3);
    solo_settle(&s);
    assert_int_equal(status_of().applied_index, last);
    solo_forget(&s);
}

static struct wire_message message(enum wire_type type)
{
    struct wire_message m;
    memset(&m, 0, sizeof m);
    m.type = type;
    m.as.raft.type = (enum raft_message_type)type;
    return m;
}

static void receive_vote_request(uint64_t from, uint64_t term, uint64_t last)
{
    struct wire_message m = message(WIRE_REQUEST_VOTE);
    m.as.raft.request_vote.term = term;
    m.as.raft.request_vote.last_log_index = last;
    m.as.raft.request_vote.last_log_term = 2;
    solo_receive(&s, from, &m);
}

/* ---- 1.1, 1.5: set up and started ---- */

static void test_driver_core_is_set_up(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    assert_null(s.r->raft.tracer);
    assert_true(s.r->raft.pre_vote);
    assert_int_equal(s.r->raft.capacity_threshold, 0);
    assert_int_equal(s.r->raft.election_timeout, 300);
    assert_int_equal(s.r->raft.heartbeat_timeout, 10);
    assert_true(s.r->raft.max_inflight_entries >= 1024);
    assert_true(s.r->options.trailing_entries >=
                s.r->raft.max_inflight_entries);
    solo_close(&s);
}

struct first_entry {
    struct raftlog_entry entry;
    uint8_t bytes[512];
};

static int keep_entry(void *ctx, uint64_t index,
                      const struct raftlog_entry *entry)
{
    struct first_entry *first = ctx;
    assert_int_equal(index, 1);
    assert_true(entry->size <= sizeof first->bytes);
    first->entry = *entry;
    memcpy(first->bytes, entry->data, entry->size);
    return 0;
}

static void test_driver_first_entry_is_the_same_everywhere(void **state)
{
    static struct first_entry one;
    static struct first_entry other;
    struct replica_server server;
    struct err_info info;
    (void)state;
    solo_open(&s, 1, 3);
    assert_int_equal(raftlog_scan(s.r->log, 1, 1, keep_entry, &one, &info), 0);
    assert_int_equal(one.entry.term, 1);
    assert_int_equal(one.entry.kind, RAFT_CHANGE);
    assert_int_equal(replica_term(s.r), 1);
    assert_int_equal(raft_voted_for(&s.r->raft), 0);
    /* Another node that was given the members in another order. */
    replica_close(s.r);
    temp_dir_remove(&s.dir);
    temp_dir_make(&s.dir);
    server = s.servers[0];
    s.servers[0] = s.servers[2];
    s.servers[2] = server;
    s.options.id = 2;
    solo_restart(&s);
    assert_int_equal(raftlog_scan(s.r->log, 1, 1, keep_entry, &other, &info),
                     0);
    assert_int_equal(other.entry.size, one.entry.size);
    assert_memory_equal(other.bytes, one.bytes, one.entry.size);
    solo_close(&s);
}

static void test_driver_trailing_keeps_to_the_core(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    s.options.trailing_entries = (uint64_t)1 << 32;
    solo_reopen(&s);
    assert_int_equal(s.r->options.trailing_entries, UINT32_MAX);
    solo_close(&s);
}

/* ---- 1.2: events ---- */

static void test_driver_time_never_goes_back(void **state)
{
    uint64_t before;
    (void)state;
    follow(3);
    before = s.r->raft.now;
    s.now_ms -= 5000;
    solo_append(&s, 2, 2, 3, 2, 3, "", 2, 3);
    solo_settle(&s);
    assert_true(s.r->raft.now >= before);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_close(&s);
}

static void test_driver_refused_event_ends_the_process(void **state)
{
    struct raft_event event;
    (void)state;
    solo_open(&s, 1, 3);
    memset(&event, 0, sizeof event);
    event.type = (enum raft_event_type)99;
    assert_int_not_equal(driver_step(s.r, &event), 0);
    assert_true(s.fatal);
    assert_int_equal(replica_deadline_ms(s.r), UINT64_MAX);
    solo_close(&s);
}

static void test_driver_refused_submit_is_no_error(void **state)
{
    struct raft_event event;
    struct raft_entry entry;
    (void)state;
    follow(3);
    memset(&event, 0, sizeof event);
    memset(&entry, 0, sizeof entry);
    entry.term = 2;
    entry.type = RAFT_BARRIER;
    entry.buf.base = block_new(8);
    entry.buf.len = 8;
    entry.batch = entry.buf.base;
    event.type = RAFT_SUBMIT;
    event.submit.entries = &entry;
    event.submit.n = 1;
    assert_int_equal(driver_step(s.r, &event), RAFT_NOTLEADER);
    assert_false(s.fatal);
    block_unref(entry.batch);
    solo_close(&s);
}

/* Whatever the core does with the entries of a message, their block goes back
 * once: new, repeated, of a lower term, refused, cut off. */
static void test_driver_received_blocks_go_back(void **state)
{
    size_t before;
    (void)state;
    solo_open(&s, 1, 3);
    before = block_bytes_in_use();
    for (int i = 0; i < 3; i++) {
        solo_append(&s, 2, 2, 1, 1, 1, "cccc", 2, 3);
    }
    solo_append(&s, 3, 1, 1, 1, 1, "cc", 1, 3);  /* lower term */
    solo_append(&s, 2, 2, 50, 2, 1, "cc", 2, 3); /* a gap */
    solo_append(&s, 3, 3, 1, 1, 1, "b", 3, 3);   /* cuts all off */
    solo_settle(&s);
    assert_int_equal(status_of().last_index, 2);
    solo_forget(&s);
    /* The barrier in the log's cache, and what the core and the log keep. */
    assert_true(block_bytes_in_use() < before + 4096);
    solo_close(&s);
    assert_int_equal(block_bytes_in_use(), 0);
}

/* ---- 1.3.6: ahead of the own disk ---- */

static void
test_driver_applies_but_takes_no_snapshot_ahead_of_disk(void **state)
{
    (void)state;
    follow(3);
    solo_append(&s, 2, 2, 3, 2, 4, "c", 2, 3);
    /* Committed by the others; our own write is in flight. */
    assert_int_equal(status_of().applied_index, 4);
    assert_true(s.r->raft.last_stored < 4);
    assert_int_equal(replica_snapshot(s.r), ERR_AGAIN);
    solo_settle(&s);
    assert_int_equal(replica_snapshot(s.r), 0);
    solo_settle(&s);
    assert_int_equal(status_of().snapshot_index, 4);
    solo_close(&s);
}

/* ---- 1.7: snapshots ---- */

static void test_driver_snapshot_names_the_applied_configuration(void **state)
{
    (void)state;
    follow(3);
    s.r->options.trailing_entries = 1;
    /* Committed and applied at 4; another one at 5 is open. */
    solo_append(&s, 2, 2, 3, 2, 4, "C", 2, 2);
    solo_append(&s, 2, 2, 4, 2, 4, "C", 2, 3);
    solo_settle(&s);
    assert_int_equal(s.r->raft.configuration.n, 3);
    assert_int_equal(replica_snapshot(s.r), 0);
    solo_settle(&s);
    assert_int_equal(s.r->manifest.configuration_index, 4);
    {
        struct raft_configuration conf;
        assert_int_equal(
            wire_configuration_decode(s.r->manifest.configuration,
                                      s.r->manifest.configuration_size, &conf),
            0);
        assert_int_equal(conf.n, 2);
        raft_configuration_close(&conf);
    }
    /* Core and log have let go of the same entries. */
    assert_int_equal(raftlog_first_index(s.r->log), 4);
    assert_int_equal(s.r->raft.trail.offset, 3);
    solo_reopen(&s);
    assert_int_equal(s.r->raft.configuration_committed_index, 4);
    assert_int_equal(s.r->raft.configuration_uncommitted_index, 5);
    solo_close(&s);
}

static struct replica_io last_io;
static struct replica_events last_events;

/* Opens what the test has left; gives what replica_open said. */
static int open_again(void)
{
    struct replica_options options = s.options;
    struct replica *r = NULL;
    struct err_info info;
    int rv = replica_open(&options, &last_io, &last_events, &r, &info);
    assert_true(rv != 0 || r != NULL);
    if (r != NULL) {
        replica_close(r);
    }
    while (s.n_jobs > 0) {
        solo_run_jobs(&s);
    }
    return rv;
}

static void close_for_open_again(void)
{
    last_io = s.r->io;
    last_events = s.r->events;
    replica_close(s.r);
    while (s.n_jobs > 0) {
        solo_run_jobs(&s);
    }
    solo_forget(&s);
}

static void test_driver_log_without_its_snapshot_is_refused(void **state)
{
    (void)state;
    follow(9);
    /* The log behind an installed snapshot; but there is none. */
    assert_int_equal(raftlog_reset(s.r->log, 20, 2), 0);
    close_for_open_again();
    assert_int_equal(open_again(), ERR_CORRUPT);
    temp_dir_remove(&s.dir);
}

static void test_driver_snapshot_without_its_log_is_refused(void **state)
{
    static const char *const names[] = {"log", "hardstate.0", "hardstate.1"};
    char path[512];
    (void)state;
    follow(9);
    assert_int_equal(replica_snapshot(s.r), 0);
    solo_settle(&s);
    close_for_open_again();
    assert_int_equal(open_again(), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", s.dir.path, names[i]);
        if (unlink(path) != 0) {
            temp_dir_remove_path(path);
        }
    }
    assert_int_equal(open_again(), ERR_CORRUPT);
    temp_dir_remove(&s.dir);
}

/* An install may be on disk before the term in which it came. */
static void test_driver_term_is_not_below_its_snapshot(void **state)
{
    (void)state;
    follow(9);
    assert_int_equal(replica_snapshot(s.r), 0);
    solo_settle(&s);
    assert_int_equal(raftlog_set_hard_state(s.r->log, 1, 3), 0);
    close_for_open_again();
    solo_restart(&s);
    assert_int_equal(replica_term(s.r), 2);
    assert_int_equal(raft_voted_for(&s.r->raft), 0);
    solo_reopen(&s);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
}

/* ---- 1.8: changes ---- */

static void test_driver_change_is_alone_behind_what_gathered(void **state)
{
    struct err_info info;
    struct raftlog_entry entry;
    uint64_t last;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    last = raftlog_last_index(s.r->log);
    solo_propose(&s, "a", "1");
    assert_int_equal(replica_member_add(s.r, 4, "node4:1", &info), 0);
    assert_int_equal(raftlog_last_index(s.r->log), last + 2);
    assert_int_equal(raftlog_get(s.r->log, last + 1, &entry), 0);
    assert_int_equal(entry.kind, RAFT_COMMAND);
    assert_int_equal(raftlog_get(s.r->log, last + 2, &entry), 0);
    assert_int_equal(entry.kind, RAFT_CHANGE);
    assert_int_equal(s.r->raft.configuration_uncommitted_index, last + 2);
    solo_close(&s);
}

/* ---- section 2: what may go in ---- */

static void test_driver_offer_to_a_leader_is_dropped(void **state)
{
    struct wire_message m = message(WIRE_INSTALL_SNAPSHOT);
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    m.as.raft.install_snapshot.term = term;
    m.as.raft.install_snapshot.last_index = 100;
    m.as.raft.install_snapshot.last_term = term;
    m.as.raft.install_snapshot.conf_index = 1;
    solo_receive(&s, 2, &m);
    solo_settle(&s);
    assert_true(replica_is_leader(s.r));
    assert_null(s.r->fetch);
    assert_int_equal(status_of().n_dropped_frames, 0); /* never looked at */
    solo_close(&s);
}

static void test_driver_offer_unlike_its_manifest_is_refused(void **state)
{
    struct wire_message m = message(WIRE_INSTALL_SNAPSHOT);
    (void)state;
    follow(3);
    m.as.raft.install_snapshot.term = 2;
    m.as.raft.install_snapshot.last_index = 100;
    m.as.raft.install_snapshot.last_term = 2;
    m.as.raft.install_snapshot.conf_index = 1;
    solo_receive(&s, 2, &m); /* without any manifest */
    solo_settle(&s);
    assert_null(s.r->fetch);
    assert_int_equal(status_of().n_dropped_frames, 1);
    solo_close(&s);
}

static void test_driver_pre_vote_grant_of_a_far_term_is_dropped(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    for (int i = 0; i < 2000 && raft_state(&s.r->raft) != RAFT_CANDIDATE; i++) {
        solo_advance(&s, 1);
    }
    /* Not a grant of the term that was asked for: the core would take it for
     * a refusal and adopt the term. */
    solo_vote(&s, 2, 50, true);
    solo_settle(&s);
    assert_int_equal(replica_term(s.r), 1);
    solo_vote(&s, 2, 2, true);
    solo_settle(&s);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
}

static void test_driver_timeout_now_counts_from_the_leader_only(void **state)
{
    struct wire_message m = message(WIRE_TIMEOUT_NOW);
    (void)state;
    follow(3);
    m.as.raft.timeout_now.term = 2;
    m.as.raft.timeout_now.last_log_index = 3;
    m.as.raft.timeout_now.last_log_term = 2;
    solo_receive(&s, 3, &m);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    m.as.raft.timeout_now.last_log_index = 4;
    solo_receive(&s, 2, &m);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    m.as.raft.timeout_now.last_log_index = 3;
    solo_receive(&s, 2, &m);
    assert_int_equal(raft_state(&s.r->raft), RAFT_CANDIDATE);
    solo_close(&s);
}

/* 2.18: the core answers a leader that it has forgotten. */
static void test_driver_nothing_goes_to_nobody(void **state)
{
    (void)state;
    follow(3);
    solo_append(&s, 2, 2, 3, 2, 3, "c", 2, 3); /* in flight */
    s.now_ms += 301;
    receive_vote_request(3, 2, 1); /* the leader is forgotten */
    solo_settle(&s);
    assert_int_equal(replica_leader(s.r), 0);
    assert_int_equal(status_of().durable_index, 4);
    for (size_t i = 0; i < s.n_sent; i++) {
        assert_int_not_equal(s.sent[i].to, 0);
        assert_int_not_equal(s.sent[i].to, 1);
    }
    solo_close(&s);
}

/* 2.10, 1.4: a node whose disk is behind does not stand for election. */
static void test_driver_no_candidacy_before_the_log_is_durable(void **state)
{
    (void)state;
    follow(3);
    solo_append(&s, 2, 2, 3, 2, 3, "c", 2, 3);
    s.now_ms += 5000;
    replica_timer(s.r);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    solo_settle(&s);
    s.now_ms += 5000;
    solo_settle(&s);
    assert_int_equal(raft_state(&s.r->raft), RAFT_CANDIDATE);
    assert_int_equal(s.r->raft.last_stored, 4);
    assert_false(s.fatal);
    solo_close(&s);
}

/* ---- B17 ---- */

static void
test_driver_full_gathering_is_refused_before_it_is_sent(void **state)
{
    uint32_t size = 60 * 1024;
    int rv = 0;
    unsigned n;
    (void)state;
    solo_open(&s, 1, 3);
    s.r->options.uncommitted_bytes_max = 1024 * 1024;
    solo_lead(&s);
    for (n = 0; n < 1000 && rv == 0; n++) {
        void *payload = block_new(size);
        memset(payload, 0, size);
        rv = replica_propose(s.r, replica_term(s.r), payload, size);
        block_unref(payload);
    }
    assert_int_equal(rv, ERR_BUSY);
    assert_true(n <= 20);
    solo_close(&s);
}

/* ---- section 4: reads ---- */

static int read_status;

static void on_read(void *ctx, int status, uint64_t clock_ms)
{
    (void)ctx;
    (void)clock_ms;
    read_status = status;
}

static void test_driver_leader_reads_after_a_round(void **state)
{
    struct wire_message m = message(WIRE_BARRIER_PONG);
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

static void test_driver_read_waits_for_the_own_entry(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_connect_all(&s);
    for (int i = 0; i < 2000 && raft_state(&s.r->raft) != RAFT_CANDIDATE; i++) {
        solo_advance(&s, 1);
    }
    solo_vote(&s, 2, 2, true);
    solo_settle(&s);
    solo_vote(&s, 2, 2, false);
    solo_settle(&s);
    assert_true(replica_is_leader(s.r));
    assert_int_equal(replica_read(s.r, false, on_read, NULL), 0);
    replica_flush(s.r);
    assert_int_equal(solo_count(&s, 0, WIRE_BARRIER_PING), 0);
    solo_ack(&s, 2, 2, raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(solo_count(&s, 2, WIRE_BARRIER_PING), 1);
    solo_close(&s);
}

/* Leadership ends in the middle of a round. */
static void test_driver_read_fails_when_the_term_ends(void **state)
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
    struct wire_message m = message(WIRE_READ_INDEX_RESULT);
    follow(3);
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

static void test_driver_follower_commits_by_the_leaders_index(void **state)
{
    (void)state;
    follower_reads(2, 0);
    assert_int_equal(status_of().applied_index, 4);
    solo_close(&s);
}

static void
test_driver_follower_does_not_commit_another_terms_entry(void **state)
{
    (void)state;
    /* Entry 4 here is of term 2; the leader of term 3 has another one. */
    follower_reads(3, 1);
    assert_int_equal(status_of().applied_index, 3);
    solo_append(&s, 3, 3, 3, 2, 4, "b", 3, 3);
    solo_settle(&s);
    assert_int_equal(read_status, 0);
    assert_int_equal(raftlog_term(s.r->log, 4), 3);
    solo_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_driver_core_is_set_up),
        cmocka_unit_test(test_driver_first_entry_is_the_same_everywhere),
        cmocka_unit_test(test_driver_trailing_keeps_to_the_core),
        cmocka_unit_test(test_driver_time_never_goes_back),
        cmocka_unit_test(test_driver_refused_event_ends_the_process),
        cmocka_unit_test(test_driver_refused_submit_is_no_error),
        cmocka_unit_test(test_driver_received_blocks_go_back),
        cmocka_unit_test(
            test_driver_applies_but_takes_no_snapshot_ahead_of_disk),
        cmocka_unit_test(test_driver_snapshot_names_the_applied_configuration),
        cmocka_unit_test(test_driver_log_without_its_snapshot_is_refused),
        cmocka_unit_test(test_driver_snapshot_without_its_log_is_refused),
        cmocka_unit_test(test_driver_term_is_not_below_its_snapshot),
        cmocka_unit_test(test_driver_change_is_alone_behind_what_gathered),
        cmocka_unit_test(test_driver_offer_to_a_leader_is_dropped),
        cmocka_unit_test(test_driver_offer_unlike_its_manifest_is_refused),
        cmocka_unit_test(test_driver_pre_vote_grant_of_a_far_term_is_dropped),
        cmocka_unit_test(test_driver_timeout_now_counts_from_the_leader_only),
        cmocka_unit_test(test_driver_nothing_goes_to_nobody),
        cmocka_unit_test(test_driver_no_candidacy_before_the_log_is_durable),
        cmocka_unit_test(
            test_driver_full_gathering_is_refused_before_it_is_sent),
        cmocka_unit_test(test_driver_leader_reads_after_a_round),
        cmocka_unit_test(test_driver_read_waits_for_the_own_entry),
        cmocka_unit_test(test_driver_read_fails_when_the_term_ends),
        cmocka_unit_test(test_driver_follower_commits_by_the_leaders_index),
        cmocka_unit_test(
            test_driver_follower_does_not_commit_another_terms_entry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
