/* What the driver owes the core, rule by rule (node/REPLICA.md has the table):
 * how it is set up and started, what is stepped and what is not, who owns what.
 * Defects of the core are in test_cures.c, reads in test_reads.c, what may be
 * proposed in test_proposals.c, what rests on the disk in test_durable.c. */
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
    server = s.servers[0];
    s.servers[0] = s.servers[2];
    s.servers[2] = server;
    s.options.id = 2;
    solo_reopen_blank(&s);
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
    solo_follow(&s, 3);
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
    solo_follow(&s, 3);
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
    assert_int_equal(solo_status(&s).last_index, 2);
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
    solo_follow(&s, 3);
    solo_append(&s, 2, 2, 3, 2, 4, "c", 2, 3);
    /* Committed by the others; our own write is in flight. */
    assert_int_equal(solo_status(&s).applied_index, 4);
    assert_true(s.r->raft.last_stored < 4);
    assert_int_equal(replica_snapshot(s.r), ERR_AGAIN);
    solo_settle(&s);
    solo_snapshot(&s);
    assert_int_equal(solo_status(&s).snapshot_index, 4);
    solo_close(&s);
}

/* ---- 1.6: timers ---- */

static void test_driver_heartbeats_keep_a_fixed_cadence(void **state)
{
    size_t n;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    for (int i = 0; i < 40; i++) {
        if (i == 10) { /* it has settled down */
            solo_forget(&s);
        }
        solo_advance(&s, 10);
        solo_ack(&s, 2, replica_term(s.r), raftlog_last_index(s.r->log));
        solo_ack(&s, 3, replica_term(s.r), raftlog_last_index(s.r->log));
    }
    /* Election timeout 300 ms: a follower hears us at least five times, but
     * not at each heartbeat timeout of the core (1.6). */
    n = solo_count(&s, 2, WIRE_APPEND_ENTRIES);
    assert_true(n >= 5 && n <= 12);
    solo_close(&s);
}

/* ---- 1.7: snapshots ---- */

static void test_driver_snapshot_names_the_applied_configuration(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    s.r->options.trailing_entries = 1;
    /* Committed and applied at 4; another one at 5 is open. */
    solo_append(&s, 2, 2, 3, 2, 4, "C", 2, 2);
    solo_append(&s, 2, 2, 4, 2, 4, "C", 2, 3);
    solo_settle(&s);
    assert_int_equal(s.r->raft.configuration.n, 3);
    solo_snapshot(&s);
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
    job_list_run_all(&s.jobs);
    return rv;
}

static void close_for_open_again(void)
{
    last_io = s.r->io;
    last_events = s.r->events;
    replica_close(s.r);
    job_list_run_all(&s.jobs);
    solo_forget(&s);
}

static void test_driver_log_without_its_snapshot_is_refused(void **state)
{
    (void)state;
    solo_follow(&s, 9);
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
    solo_follow(&s, 9);
    solo_snapshot(&s);
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
    solo_follow(&s, 9);
    solo_snapshot(&s);
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
    struct wire_message m = solo_message(WIRE_INSTALL_SNAPSHOT);
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
    assert_int_equal(solo_status(&s).n_dropped_frames, 0); /* never looked at */
    solo_close(&s);
}

static void test_driver_offer_unlike_its_manifest_is_refused(void **state)
{
    struct wire_message m = solo_message(WIRE_INSTALL_SNAPSHOT);
    (void)state;
    solo_follow(&s, 3);
    m.as.raft.install_snapshot.term = 2;
    m.as.raft.install_snapshot.last_index = 100;
    m.as.raft.install_snapshot.last_term = 2;
    m.as.raft.install_snapshot.conf_index = 1;
    solo_receive(&s, 2, &m); /* without any manifest */
    solo_settle(&s);
    assert_null(s.r->fetch);
    assert_int_equal(solo_status(&s).n_dropped_frames, 1);
    solo_close(&s);
}

static void test_driver_pre_vote_grant_of_a_far_term_is_dropped(void **state)
{
    (void)state;
    solo_open(&s, 1, 3);
    solo_stand(&s);
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

static void test_driver_second_leader_of_a_term_is_ignored(void **state)
{
    uint64_t term;
    (void)state;
    solo_open(&s, 1, 3);
    solo_lead(&s);
    term = replica_term(s.r);
    solo_forget(&s);
    solo_append(&s, 2, term, 1, 1, 1, "c", term, 3);
    solo_settle(&s);
    assert_true(replica_is_leader(s.r));
    assert_int_equal(replica_term(s.r), term);
    /* Not even looked at: the core would write over the leader's state. */
    assert_int_equal(solo_count(&s, 2, WIRE_APPEND_ENTRIES_RESULT), 0);
    solo_propose(&s, "a", "1");
    solo_settle(&s);
    solo_ack(&s, 2, term, raftlog_last_index(s.r->log));
    solo_settle(&s);
    assert_int_equal(s.r->commit, raftlog_last_index(s.r->log));
    solo_close(&s);
}

static void test_driver_vote_result_as_follower_is_ignored(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    solo_vote(&s, 3, 2, false);
    solo_vote(&s, 3, 3, true);
    solo_settle(&s);
    assert_int_equal(raft_state(&s.r->raft), RAFT_FOLLOWER);
    assert_int_equal(replica_term(s.r), 2);
    solo_close(&s);
    /* Without a leader, what the core reads for its own there is zero. */
    solo_open(&s, 1, 3);
    solo_vote(&s, 3, 5, false);
    assert_int_equal(replica_term(s.r), 1);
    solo_close(&s);
}

static void test_driver_frame_from_own_id_is_dropped(void **state)
{
    (void)state;
    solo_follow(&s, 3);
    solo_append(&s, 1, 2, 3, 2, 3, "c", 2, 3);
    assert_int_equal(solo_status(&s).n_dropped_frames, 1);
    assert_int_equal(solo_status(&s).last_index, 3);
    solo_close(&s);
}

static void test_driver_timeout_now_counts_from_the_leader_only(void **state)
{
    struct wire_message m = solo_message(WIRE_TIMEOUT_NOW);
    (void)state;
    solo_follow(&s, 3);
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
    solo_follow(&s, 3);
    solo_append(&s, 2, 2, 3, 2, 3, "c", 2, 3); /* in flight */
    s.now_ms += 301;
    solo_ask_vote(&s, 3, 2, 1, 2, false); /* the leader is forgotten */
    solo_settle(&s);
    assert_int_equal(replica_leader(s.r), 0);
    assert_int_equal(solo_status(&s).durable_index, 4);
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
    solo_follow(&s, 3);
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
        cmocka_unit_test(test_driver_heartbeats_keep_a_fixed_cadence),
        cmocka_unit_test(test_driver_snapshot_names_the_applied_configuration),
        cmocka_unit_test(test_driver_log_without_its_snapshot_is_refused),
        cmocka_unit_test(test_driver_snapshot_without_its_log_is_refused),
        cmocka_unit_test(test_driver_term_is_not_below_its_snapshot),
        cmocka_unit_test(test_driver_change_is_alone_behind_what_gathered),
        cmocka_unit_test(test_driver_offer_to_a_leader_is_dropped),
        cmocka_unit_test(test_driver_offer_unlike_its_manifest_is_refused),
        cmocka_unit_test(test_driver_pre_vote_grant_of_a_far_term_is_dropped),
        cmocka_unit_test(test_driver_second_leader_of_a_term_is_ignored),
        cmocka_unit_test(test_driver_vote_result_as_follower_is_ignored),
        cmocka_unit_test(test_driver_frame_from_own_id_is_dropped),
        cmocka_unit_test(test_driver_timeout_now_counts_from_the_leader_only),
        cmocka_unit_test(test_driver_nothing_goes_to_nobody),
        cmocka_unit_test(test_driver_no_candidacy_before_the_log_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
