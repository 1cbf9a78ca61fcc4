/* Hello and welcome: round trip, damage, versions, and who is let in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "node/handshake.h"
#include "tests/lib/golden.h"

static struct handshake_node node(uint64_t id)
{
    struct handshake_node n;

    memset(&n, 0, sizeof n);
    memset(n.cluster_id, 0xc1, sizeof n.cluster_id);
    memset(n.instance, (int)id, sizeof n.instance);
    n.id = id;
    strcpy(n.client_address, "host:1");
    strcpy(n.peer_address, "host:2");
    return n;
}

static struct hello sample_hello(void)
{
    struct hello h;

    memset(&h, 0, sizeof h);
    h.from = node(2);
    h.to = 1;
    h.lane = WIRE_LANE_BULK;
    return h;
}

static void test_handshake_hello_comes_back_as_sent(void **state)
{
    struct hello h = sample_hello(), out;
    uint8_t data[HANDSHAKE_MAX];
    size_t used;
    size_t size = hello_encode(&h, data);

    (void)state;
    assert_int_equal(hello_decode(data, size, &out, &used, NULL), 0);
    assert_int_equal(used, size);
    assert_int_equal(out.from.id, 2);
    assert_int_equal(out.to, 1);
    assert_int_equal(out.lane, WIRE_LANE_BULK);
    assert_memory_equal(out.from.cluster_id, h.from.cluster_id, 16);
    assert_memory_equal(out.from.instance, h.from.instance, 16);
    assert_string_equal(out.from.client_address, "host:1");
    assert_string_equal(out.from.peer_address, "host:2");
}

static void test_handshake_longest_texts_fit(void **state)
{
    struct welcome w, out;
    uint8_t data[HANDSHAKE_MAX];
    size_t used;

    (void)state;
    memset(&w, 0, sizeof w);
    w.from = node(1);
    memset(w.from.client_address, 'a', ADDRESS_TEXT_MAX);
    memset(w.from.peer_address, 'b', ADDRESS_TEXT_MAX);
    memset(w.text, 'c', HANDSHAKE_TEXT_MAX);
    w.reason = HANDSHAKE_INSTANCE;
    assert_int_equal(
        welcome_decode(data, welcome_encode(&w, data), &out, &used, NULL), 0);
    assert_string_equal(out.text, w.text);
    assert_string_equal(out.from.peer_address, w.from.peer_address);
    assert_int_equal(out.reason, HANDSHAKE_INSTANCE);
}

static void test_handshake_every_prefix_asks_for_more(void **state)
{
    struct hello h = sample_hello(), out;
    uint8_t data[HANDSHAKE_MAX];
    size_t size = hello_encode(&h, data);
    size_t used;

    (void)state;
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(hello_decode(data, n, &out, &used, NULL), ERR_AGAIN);
    }
}

static void test_handshake_every_flipped_bit_is_refused(void **state)
{
    struct hello h = sample_hello(), out;
    uint8_t data[HANDSHAKE_MAX];
    size_t size = hello_encode(&h, data);
    size_t used;

    (void)state;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        int rc;

        if (bit / 8 >= 12 && bit / 8 < 16) {
            continue; /* reserved: a later version may use it */
        }
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1U << (bit % 8)));
        rc = hello_decode(data, size, &out, &used, NULL);
        assert_true(rc == ERR_PROTOCOL || rc == ERR_VERSION || rc == ERR_AGAIN);
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1U << (bit % 8)));
    }
}

static void test_handshake_other_version_is_named(void **state)
{
    struct welcome w, out;
    uint8_t data[HANDSHAKE_MAX];
    struct err_info info;
    size_t used;
    size_t size;

    (void)state;
    memset(&w, 0, sizeof w);
    w.from = node(1);
    size = welcome_encode(&w, data);
    data[8] = 9;
    assert_int_equal(welcome_decode(data, size, &out, &used, &info),
                     ERR_VERSION);
    assert_non_null(strstr(info.message, "version 9"));
}

static void test_handshake_redis_client_is_no_node(void **state)
{
    struct hello out;
    size_t used;

    (void)state;
    assert_int_equal(
        hello_decode((const uint8_t *)"*1\r\n", 4, &out, &used, NULL),
        ERR_PROTOCOL);
}

static void test_handshake_golden_messages_are_version_1(void **state)
{
    struct hello h = sample_hello();
    struct welcome w;
    uint8_t data[HANDSHAKE_MAX];

    (void)state;
    golden_check(__FILE__, "frame-v1-hello", data, hello_encode(&h, data));
    memset(&w, 0, sizeof w);
    w.from = node(1);
    w.reason = HANDSHAKE_UNKNOWN;
    strcpy(w.text, "no member");
    golden_check(__FILE__, "frame-v1-welcome", data, welcome_encode(&w, data));
}

/* ---- who is let in
 * ---------------------------------------------------------*/

static enum handshake_reason judge(const struct handshake_node *other,
                                   uint64_t expected,
                                   const struct handshake_known *known,
                                   const char *words)
{
    struct handshake_node self = node(1);
    char text[HANDSHAKE_TEXT_MAX + 1];
    enum handshake_reason reason =
        handshake_judge(&self, other, expected, known, text);

    assert_non_null(strstr(text, words));
    return reason;
}

static void test_handshake_judge_member_is_accepted(void **state)
{
    struct handshake_node other = node(2);
    struct handshake_known known = {true, false, {0}};

    (void)state;
    assert_int_equal(judge(&other, 2, &known, ""), HANDSHAKE_ACCEPTED);
    known.has_instance = true;
    memcpy(known.instance, other.instance, sizeof known.instance);
    assert_int_equal(judge(&other, 0, &known, ""), HANDSHAKE_ACCEPTED);
}

static void test_handshake_judge_each_reason_is_told(void **state)
{
    struct handshake_node other = node(2), self = node(1);
    struct handshake_known known = {true, true, {9}};
    struct handshake_known stranger = {false, false, {0}};

    (void)state;
    assert_int_equal(judge(&other, 2, &known, "another data directory"),
                     HANDSHAKE_INSTANCE);
    assert_int_equal(judge(&other, 0, &stranger, "no member"),
                     HANDSHAKE_UNKNOWN);
    assert_int_equal(judge(&other, 3, &known, "node 3 was expected"),
                     HANDSHAKE_TARGET);
    assert_int_equal(judge(&self, 2, &known, "has my id"), HANDSHAKE_SELF);
    other.cluster_id[0] ^= 1;
    assert_int_equal(judge(&other, 3, &stranger, "another cluster"),
                     HANDSHAKE_CLUSTER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake_hello_comes_back_as_sent),
        cmocka_unit_test(test_handshake_longest_texts_fit),
        cmocka_unit_test(test_handshake_every_prefix_asks_for_more),
        cmocka_unit_test(test_handshake_every_flipped_bit_is_refused),
        cmocka_unit_test(test_handshake_other_version_is_named),
        cmocka_unit_test(test_handshake_redis_client_is_no_node),
        cmocka_unit_test(test_handshake_golden_messages_are_version_1),
        cmocka_unit_test(test_handshake_judge_member_is_accepted),
        cmocka_unit_test(test_handshake_judge_each_reason_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
