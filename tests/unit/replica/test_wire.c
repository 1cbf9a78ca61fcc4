/* Peer messages: each comes back as it was, each precondition that the bytes
 * can tell is refused when it is broken, no prefix is read past its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/wire.h"
#include "raftlog/block.h"
#include "tests/lib/golden.h"
#include "tests/lib/solo.h"

static uint8_t bytes[4096];
static size_t n_bytes;

/* Encode with an optional body into bytes. */
static void encode(const struct wire_message *m, const void *body, size_t size)
{
    struct wire_frame f;
    wire_encode(m, &f);
    assert_true(f.head_size <= WIRE_HEAD_MAX);
    memcpy(bytes, f.head, f.head_size);
    if (size > 0) {
        memcpy(bytes + f.head_size, body, size);
    }
    n_bytes = f.head_size + size;
}

/* Decode a copy of exactly that size, so that a sanitizer sees a step beyond.
 */
static int decode(size_t size, struct wire_message *out)
{
    struct err_info info;
    uint8_t *copy = malloc(size > 0 ? size : 1);
    int rv;
    memcpy(copy, bytes, size);
    rv = wire_decode(2, copy, size, out, &info);
    if (rv == 0) {
        wire_message_clear(out);
    }
    free(copy);
    return rv;
}

/* The first message of each type that comes by is the one of its file. */
static void check_golden(enum wire_type type)
{
    static bool seen[WIRE_TYPE_MAX + 1];
    char name[32];
    if (!seen[type]) {
        seen[type] = true;
        snprintf(name, sizeof name, "wire-v1-type-%02d", (int)type);
        golden_check(__FILE__, name, bytes, n_bytes);
    }
}

/* A message without a body comes back whole and has no valid prefix. */
static struct wire_message round_trip(const struct wire_message *m)
{
    struct wire_message out;
    encode(m, NULL, 0);
    check_golden(m->type);
    assert_int_equal(decode(n_bytes, &out), 0);
    assert_int_equal(out.type, m->type);
    assert_int_equal(out.from, 2);
    for (size_t i = 0; i < n_bytes; i++) {
        struct wire_message ignored;
        assert_int_equal(decode(i, &ignored), ERR_PROTOCOL);
    }
    bytes[n_bytes] = 0;
    assert_int_equal(decode(n_bytes + 1, &(struct wire_message){0}),
                     ERR_PROTOCOL);
    return out;
}

static void test_wire_small_raft_messages_round_trip(void **state)
{
    struct wire_message m;
    struct wire_message out;
    (void)state;
    m = solo_message(WIRE_APPEND_ENTRIES_RESULT);
    m.as.raft.append_entries_result.term = 7;
    m.as.raft.append_entries_result.rejected = 8;
    m.as.raft.append_entries_result.last_log_index = 9;
    out = round_trip(&m);
    assert_int_equal(out.as.raft.append_entries_result.term, 7);
    assert_int_equal(out.as.raft.append_entries_result.rejected, 8);
    assert_int_equal(out.as.raft.append_entries_result.last_log_index, 9);

    m = solo_message(WIRE_REQUEST_VOTE);
    m.as.raft.request_vote.term = 7;
    m.as.raft.request_vote.last_log_index = 8;
    m.as.raft.request_vote.last_log_term = 6;
    m.as.raft.request_vote.pre_vote = true;
    out = round_trip(&m);
    assert_int_equal(out.as.raft.request_vote.candidate_id, 2);
    assert_true(out.as.raft.request_vote.pre_vote);
    assert_false(out.as.raft.request_vote.disrupt_leader);

    m = solo_message(WIRE_REQUEST_VOTE_RESULT);
    m.as.raft.request_vote_result.term = 7;
    m.as.raft.request_vote_result.vote_granted = true;
    out = round_trip(&m);
    assert_int_equal(out.as.raft.request_vote_result.version, 2);
    assert_true(out.as.raft.request_vote_result.vote_granted);

    m = solo_message(WIRE_TIMEOUT_NOW);
    m.as.raft.timeout_now.term = 7;
    m.as.raft.timeout_now.last_log_index = 8;
    m.as.raft.timeout_now.last_log_term = 6;
    out = round_trip(&m);
    assert_int_equal(out.as.raft.timeout_now.last_log_index, 8);
}

static void test_wire_own_messages_round_trip(void **state)
{
    struct wire_message m;
    struct wire_message out;
    (void)state;
    m = solo_message(WIRE_BARRIER_PING);
    m.as.barrier.term = 3;
    m.as.barrier.sequence = UINT64_MAX;
    out = round_trip(&m);
    assert_true(out.as.barrier.sequence == UINT64_MAX);

    m = solo_message(WIRE_READ_INDEX_RESULT);
    m.as.read_index.id = 5;
    m.as.read_index.term = 3;
    m.as.read_index.index = 99;
    m.as.read_index.clock_ms = UINT64_MAX;
    m.as.read_index.status = ERR_NOTLEADER;
    out = round_trip(&m);
    assert_true(out.as.read_index.clock_ms == UINT64_MAX);
    assert_int_equal(out.as.read_index.index, 99);
    assert_int_equal(out.as.read_index.status, ERR_NOTLEADER);

    m = solo_message(WIRE_READ_INDEX);
    m.as.read_index.id = 5;
    m.as.read_index.settle = true;
    out = round_trip(&m);
    assert_true(out.as.read_index.settle);

    m = solo_message(WIRE_SNAPSHOT_FETCH);
    memset(m.as.snapshot.range.id, 0xab, SNAPSHOT_ID_SIZE);
    m.as.snapshot.range.offset = 12345;
    m.as.snapshot.range.size = 678;
    out = round_trip(&m);
    assert_memory_equal(&out.as.snapshot.range.id, &m.as.snapshot.range.id,
                        SNAPSHOT_ID_SIZE);
    assert_int_equal(out.as.snapshot.range.offset, 12345);

    m = solo_message(WIRE_LEADER_LOST);
    m.as.leader_lost.term = 3;
    m.as.leader_lost.leader_id = 1;
    m.as.leader_lost.last_index = 10;
    m.as.leader_lost.last_term = 2;
    out = round_trip(&m);
    assert_int_equal(out.as.leader_lost.last_index, 10);
}

static void test_wire_match_round_trips(void **state)
{
    struct wire_message m;
    struct wire_message out;
    (void)state;
    m = solo_message(WIRE_MATCH);
    m.as.match.request_id = 5;
    m.as.match.term = 7;
    out = round_trip(&m);
    assert_int_equal(out.as.match.request_id, 5);
    assert_int_equal(out.as.match.term, 7);
    m.type = WIRE_MATCH_RESULT;
    m.as.match.commit = 99;
    encode(&m, "12345678", 8);
    assert_int_equal(decode(n_bytes, &out), 0);
    assert_int_equal(out.as.match.commit, 99);
    assert_int_equal(out.as.match.body.size, 8);
}

static void test_wire_transfer_round_trips(void **state)
{
    struct wire_message m;
    struct wire_message out;
    struct err_info info;
    (void)state;
    m = solo_message(WIRE_TRANSFER);
    m.as.transfer.request_id = UINT64_MAX;
    m.as.transfer.term = 7;
    m.as.transfer.target = 3;
    out = round_trip(&m);
    assert_true(out.as.transfer.request_id == UINT64_MAX);
    assert_int_equal(out.as.transfer.term, 7);
    assert_int_equal(out.as.transfer.target, 3);

    m.type = WIRE_TRANSFER_RESULT;
    m.as.transfer.status = ERR_NOTFOUND;
    encode(&m, "words", 5);
    assert_int_equal(decode(n_bytes, &out), 0);
    assert_int_equal(wire_decode(2, bytes, n_bytes, &out, &info), 0);
    assert_int_equal(out.as.transfer.status, ERR_NOTFOUND);
    assert_int_equal(out.as.transfer.text.size, 5);
    assert_memory_equal(out.as.transfer.text.data, "words", 5);
    wire_message_clear(&out);
}

static void test_wire_chunk_of_another_size_is_refused(void **state)
{
    struct wire_message m;
    struct wire_message out;
    (void)state;
    m = solo_message(WIRE_SNAPSHOT_CHUNK);
    m.as.snapshot.range.size = 4;
    encode(&m, "abcd", 4);
    assert_int_equal(decode(n_bytes, &out), 0);
    encode(&m, "abc", 3);
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
    m.as.snapshot.range.size = WIRE_CHUNK_MAX + 1;
    encode(&m, NULL, 0);
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
}

/* An AppendEntries of term 5 behind (index 10, term 3). */
static struct wire_message append(unsigned n)
{
    struct wire_message m = solo_message(WIRE_APPEND_ENTRIES);
    m.as.raft.append_entries.term = 5;
    m.as.raft.append_entries.prev_log_index = 10;
    m.as.raft.append_entries.prev_log_term = 3;
    m.as.raft.append_entries.leader_commit = 9;
    m.as.raft.append_entries.n_entries = n;
    return m;
}

static int decode_append(const struct wire_message *m, const void *body,
                         size_t size)
{
    struct wire_message out;
    encode(m, body, size);
    return decode(n_bytes, &out);
}

static size_t put(uint8_t *body, size_t at, uint8_t kind, uint64_t term,
                  const void *data, uint32_t size)
{
    struct byte_writer w = byte_writer(body + at, 1024 - at);
    wire_entry_put(&w, kind, term, data, size);
    assert_int_equal((size_t)(w.at - body) - at, wire_entry_size(term, size));
    return (size_t)(w.at - body);
}

static void test_wire_entries_round_trip(void **state)
{
    struct wire_message m = append(2);
    struct wire_message out;
    struct err_info info;
    uint8_t body[1024];
    size_t size = put(body, 0, RAFT_COMMAND, 4, "hello", 5);
    (void)state;
    size = put(body, size, RAFT_BARRIER, 5, "", 0);
    encode(&m, body, size);
    assert_int_equal(wire_decode(2, bytes, n_bytes, &out, &info), 0);
    assert_int_equal(out.as.raft.append_entries.n_entries, 2);
    assert_int_equal(out.as.raft.append_entries.entries[0].term, 4);
    assert_memory_equal(out.as.raft.append_entries.entries[0].buf.base, "hello",
                        5);
    assert_int_equal(out.as.raft.append_entries.entries[1].type, RAFT_BARRIER);
    wire_message_clear(&out);
    for (size_t i = 0; i < n_bytes; i++) {
        assert_int_equal(decode(i, &out), ERR_PROTOCOL);
    }
}

static void test_wire_bad_entries_are_refused(void **state)
{
    struct wire_message m = append(1);
    uint8_t body[1024];
    (void)state;
    /* Terms: below prev term, above the message's, decreasing; kinds. */
    assert_int_equal(
        decode_append(&m, body, put(body, 0, RAFT_COMMAND, 2, "x", 1)),
        ERR_PROTOCOL);
    assert_int_equal(
        decode_append(&m, body, put(body, 0, RAFT_COMMAND, 6, "x", 1)),
        ERR_PROTOCOL);
    assert_int_equal(decode_append(&m, body, put(body, 0, 0, 4, "x", 1)),
                     ERR_PROTOCOL);
    assert_int_equal(decode_append(&m, body, put(body, 0, 4, 4, "x", 1)),
                     ERR_PROTOCOL);
    m = append(2);
    assert_int_equal(
        decode_append(&m, body,
                      put(body, put(body, 0, RAFT_COMMAND, 5, "x", 1),
                          RAFT_COMMAND, 4, "x", 1)),
        ERR_PROTOCOL);
    m = append(1000000);
    assert_int_equal(
        decode_append(&m, body, put(body, 0, RAFT_COMMAND, 4, "x", 1)),
        ERR_PROTOCOL);
    /* prev index and term are zero together or not at all. */
    m = append(0);
    m.as.raft.append_entries.prev_log_term = 0;
    assert_int_equal(decode_append(&m, NULL, 0), ERR_PROTOCOL);
    m = append(0);
    m.as.raft.append_entries.prev_log_index = 0;
    assert_int_equal(decode_append(&m, NULL, 0), ERR_PROTOCOL);
    m = append(0);
    m.as.raft.append_entries.prev_log_term = 6;
    assert_int_equal(decode_append(&m, NULL, 0), ERR_PROTOCOL);
    /* A huge term would be adopted. */
    m = append(0);
    m.as.raft.append_entries.term = UINT64_MAX;
    assert_int_equal(decode_append(&m, NULL, 0), ERR_PROTOCOL);
    m.as.raft.append_entries.term = 0;
    assert_int_equal(decode_append(&m, NULL, 0), ERR_PROTOCOL);
}

static size_t put_server(uint8_t *at, uint64_t id, const char *address,
                         uint8_t role)
{
    struct byte_writer w = byte_writer(at, 256);
    byte_put_u64(&w, id);
    byte_put(&w, address, strlen(address) + 1);
    byte_put_u8(&w, role);
    return (size_t)(w.at - at);
}

static size_t configuration(uint8_t *out, uint64_t n, uint64_t id2,
                            const char *address2, uint8_t role2)
{
    struct byte_writer w = byte_writer(out, 9);
    size_t size = 9;
    byte_put_u8(&w, 1);
    byte_put_u64(&w, n);
    size += put_server(out + size, 1, "one:1", RAFT_VOTER);
    size += put_server(out + size, id2, address2, role2);
    return size;
}

static void test_wire_configuration_is_checked(void **state)
{
    uint8_t conf[1024];
    size_t size = configuration(conf, 2, 2, "two:2", RAFT_STANDBY);
    struct raft_configuration decoded;
    (void)state;
    assert_int_equal(wire_configuration_check(conf, size), 0);
    assert_int_equal(wire_configuration_decode(conf, size, &decoded), 0);
    assert_int_equal(decoded.n, 2);
    assert_string_equal(decoded.servers[1].address, "two:2");
    raft_configuration_close(&decoded);
    for (size_t i = 0; i < size; i++) {
        uint8_t *copy = malloc(i > 0 ? i : 1);
        memcpy(copy, conf, i);
        assert_int_equal(wire_configuration_check(copy, i), ERR_PROTOCOL);
        free(copy);
    }
    size = configuration(conf, 2, 1, "two:2", RAFT_VOTER); /* same id */
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
    size = configuration(conf, 2, 2, "one:1", RAFT_VOTER); /* same address */
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
    size = configuration(conf, 2, 0, "two:2", RAFT_VOTER);
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
    size = configuration(conf, 2, 2, "", RAFT_VOTER);
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
    size = configuration(conf, 2, 2, "two:2", 3);
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
    size = configuration(conf, UINT64_MAX, 2, "two:2", RAFT_VOTER);
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
    size = configuration(conf, 0, 2, "two:2", RAFT_VOTER);
    assert_int_equal(wire_configuration_check(conf, size), ERR_PROTOCOL);
}

static void test_wire_snapshot_offer_is_checked(void **state)
{
    struct wire_message m = solo_message(WIRE_INSTALL_SNAPSHOT);
    struct wire_message out;
    (void)state;
    m.as.raft.install_snapshot.term = 5;
    m.as.raft.install_snapshot.last_index = 10;
    m.as.raft.install_snapshot.last_term = 4;
    m.as.raft.install_snapshot.conf_index = 10;
    encode(&m, "manifest", 8);
    assert_int_equal(decode(n_bytes, &out), 0);
    m.as.raft.install_snapshot.conf_index = 11;
    encode(&m, "manifest", 8);
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
    m.as.raft.install_snapshot.conf_index = 0;
    encode(&m, "manifest", 8);
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
    m.as.raft.install_snapshot.conf_index = 1;
    m.as.raft.install_snapshot.last_term = 6;
    encode(&m, "manifest", 8);
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
}

static void test_wire_unknown_type_and_flags_are_refused(void **state)
{
    struct wire_message m = solo_message(WIRE_REQUEST_VOTE);
    struct wire_message out;
    (void)state;
    m.as.raft.request_vote.term = 1;
    encode(&m, NULL, 0);
    bytes[n_bytes - 1] = 2; /* a boolean is 0 or 1 */
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
    bytes[0] = 0;
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
    bytes[0] = WIRE_TYPE_MAX + 1;
    assert_int_equal(decode(n_bytes, &out), ERR_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_small_raft_messages_round_trip),
        cmocka_unit_test(test_wire_own_messages_round_trip),
        cmocka_unit_test(test_wire_match_round_trips),
        cmocka_unit_test(test_wire_transfer_round_trips),
        cmocka_unit_test(test_wire_chunk_of_another_size_is_refused),
        cmocka_unit_test(test_wire_entries_round_trip),
        cmocka_unit_test(test_wire_bad_entries_are_refused),
        cmocka_unit_test(test_wire_configuration_is_checked),
        cmocka_unit_test(test_wire_snapshot_offer_is_checked),
        cmocka_unit_test(test_wire_unknown_type_and_flags_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
