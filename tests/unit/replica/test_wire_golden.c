/* Peer messages that carry a body, and the configuration that stands in log
 * entries and snapshots, against their golden files. Messages without a body
 * meet theirs in test_wire.c; between them every type has one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/wire.h"
#include "tests/lib/golden.h"
#include "tests/lib/solo.h"

/* The message, its body behind it, and back. */
static struct wire_message check(const struct wire_message *m, const void *body,
                                 size_t size)
{
    static uint8_t bytes[1024];
    struct wire_message out;
    struct wire_frame f;
    struct err_info info;
    char name[32];
    wire_encode(m, &f);
    assert_true(f.head_size + size <= sizeof bytes);
    memcpy(bytes, f.head, f.head_size);
    memcpy(bytes + f.head_size, body, size);
    snprintf(name, sizeof name, "wire-v1-type-%02d", (int)m->type);
    golden_check(__FILE__, name, bytes, f.head_size + size);
    assert_int_equal(wire_decode(2, bytes, f.head_size + size, &out, &info), 0);
    assert_int_equal(out.type, m->type);
    return out;
}

static void test_wire_entries_are_version_1(void **state)
{
    struct wire_message m = solo_message(WIRE_APPEND_ENTRIES);
    struct raft_append_entries *a = &m.as.raft.append_entries;
    struct wire_message out;
    uint8_t body[256];
    struct byte_writer w = byte_writer(body, sizeof body);
    (void)state;
    a->term = 5;
    a->prev_log_index = 10;
    a->prev_log_term = 3;
    a->leader_commit = 9;
    a->n_entries = 2;
    wire_entry_put(&w, RAFT_COMMAND, 4, "hello", 5);
    wire_entry_put(&w, RAFT_BARRIER, 300, "12345678", 8);
    a->term = 300;
    out = check(&m, body, (size_t)(w.at - body));
    assert_int_equal(out.as.raft.append_entries.n_entries, 2);
    assert_int_equal(out.as.raft.append_entries.entries[1].term, 300);
    wire_message_clear(&out);
}

static void test_wire_snapshot_messages_are_version_1(void **state)
{
    struct wire_message m = solo_message(WIRE_INSTALL_SNAPSHOT);
    struct wire_message out;
    (void)state;
    m.as.raft.install_snapshot.term = 6;
    m.as.raft.install_snapshot.last_index = 12;
    m.as.raft.install_snapshot.last_term = 5;
    m.as.raft.install_snapshot.conf_index = 1;
    out = check(&m, "manifest", 8);
    assert_int_equal(out.manifest.size, 8);

    m = solo_message(WIRE_SNAPSHOT_CHUNK);
    memset(m.as.snapshot.range.id, 0xab, SNAPSHOT_ID_SIZE);
    m.as.snapshot.range.offset = 12345;
    m.as.snapshot.range.size = 4;
    out = check(&m, "data", 4);
    assert_int_equal(out.as.snapshot.body.size, 4);
}

static void test_wire_forwarding_is_version_1(void **state)
{
    struct wire_message m = solo_message(WIRE_FORWARD);
    struct wire_message out;
    (void)state;
    m.as.forward.request_id = 0x0102030405060708u;
    m.as.forward.term = 7;
    out = check(&m, "payload", 7);
    assert_int_equal(out.as.forward.body.size, 7);

    m.type = WIRE_FORWARD_RESULT;
    m.as.forward.status = ERR_NOTLEADER;
    out = check(&m, "reply", 5);
    assert_int_equal(out.as.forward.status, ERR_NOTLEADER);
    assert_int_equal(out.as.forward.body.size, 5);

    m = solo_message(WIRE_TRANSFER_RESULT);
    m.as.transfer.request_id = 5;
    m.as.transfer.term = 7;
    m.as.transfer.status = ERR_NOTFOUND;
    out = check(&m, "words", 5);
    assert_int_equal(out.as.transfer.text.size, 5);
}

static void test_wire_questions_are_version_1(void **state)
{
    struct wire_message m = solo_message(WIRE_BARRIER_PONG);
    struct wire_message out;
    (void)state;
    m.as.barrier.term = 3;
    m.as.barrier.sequence = 77;
    out = check(&m, "", 0);
    assert_int_equal(out.as.barrier.sequence, 77);

    m = solo_message(WIRE_MATCH_RESULT);
    m.as.match.request_id = 5;
    m.as.match.term = 7;
    m.as.match.commit = 99;
    out = check(&m, "12345678", 8);
    assert_int_equal(out.as.match.body.size, 8);

    m = solo_message(WIRE_LOG_QUESTION);
    m.as.log_end.term = 7;
    m.as.log_end.last_index = 99;
    m.as.log_end.last_term = 6;
    out = check(&m, "", 0);
    assert_int_equal(out.as.log_end.last_index, 99);
    m.type = WIRE_LOG_ANSWER;
    out = check(&m, "", 0);
    assert_int_equal(out.as.log_end.last_term, 6);
}

/* What the core writes, not this tree: a file that is read and was written the
 * same is all there is to hold it to. */
static void test_wire_configuration_is_version_1(void **state)
{
    struct raft_configuration conf;
    struct raft_configuration back;
    struct raft_buffer buf;
    (void)state;
    raft_configuration_init(&conf);
    assert_int_equal(raft_configuration_add(&conf, 1, "one:7001", RAFT_VOTER),
                     0);
    assert_int_equal(raft_configuration_add(&conf, 300, "two:7002", RAFT_SPARE),
                     0);
    assert_int_equal(
        raft_configuration_add(&conf, 7, "[::1]:7003", RAFT_STANDBY), 0);
    assert_int_equal(raft_configuration_encode(&conf, &buf), 0);
    golden_check(__FILE__, "configuration-v1", buf.base, buf.len);
    assert_int_equal(wire_configuration_decode(buf.base, buf.len, &back), 0);
    assert_int_equal(back.n, 3);
    assert_int_equal(back.servers[1].id, 300);
    assert_int_equal(back.servers[1].role, RAFT_SPARE);
    assert_string_equal(back.servers[2].address, "[::1]:7003");
    raft_configuration_close(&back);
    raft_configuration_close(&conf);
    raft_free(buf.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wire_entries_are_version_1),
        cmocka_unit_test(test_wire_snapshot_messages_are_version_1),
        cmocka_unit_test(test_wire_forwarding_is_version_1),
        cmocka_unit_test(test_wire_questions_are_version_1),
        cmocka_unit_test(test_wire_configuration_is_version_1),
    };
    return cmocka_run_group_tests_name("wire_golden", tests, NULL, NULL);
}
