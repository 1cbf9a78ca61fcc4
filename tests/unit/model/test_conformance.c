/* Replies byte for byte as Redis 7 gives them, in both protocol versions: the
 * whole table of what a real server answered. Also: what has no fixed reply
 * there, borders of our own limits, and what differs on purpose. */
#include "tests/unit/model/command_fixture.h"

#include <float.h>

#include "tests/unit/model/conformance_table.h"

/* Valgrind computes long double with 64 bits: INCRBYFLOAT, and what depends on
 * it, can not be compared there. */
static void skip_without_x87(void)
{
    volatile long double one = 1;
    volatile long double sum = one + LDBL_EPSILON;

    if (LDBL_MANT_DIG != 64 || sum == one) {
        skip();
    }
}

static void check_table(struct fixture *f, bool resp3)
{
    size_t n = sizeof conformance_table / sizeof conformance_table[0];
    unsigned n_wrong = 0;

    skip_without_x87();
    f->resp3 = resp3;
    for (size_t i = 0; i < n; i++) {
        const struct conformance *c = &conformance_table[i];
        bool other = resp3 && c->resp3 != NULL;
        const char *want = other ? c->resp3 : c->resp2;
        run(f, c->line);
        if (!reply_is(f, want, other ? c->resp3_size : c->resp2_size)) {
            n_wrong++;
            print_error("%s\n  want %s\n  got  %.*s\n", c->line, want,
                        (int)buffer_size(&f->reply),
                        (const char *)buffer_data(&f->reply));
        }
    }
    assert_int_equal(n_wrong, 0);
}

static void test_conformance_resp2_replies_are_those_of_redis(void **state)
{
    check_table(*state, false);
}

static void test_conformance_resp3_replies_are_those_of_redis(void **state)
{
    check_table(*state, true);
}

/* ---- borders ---- */

static void test_conformance_float_overflow_is_refused(void **state)
{
    static const char overflow[] =
        "-ERR increment would produce NaN or Infinity\r\n";
    struct fixture *f = *state;

    skip_without_x87();
    check(f, "SET k 9e4931", OK);
    check(f, "INCRBYFLOAT k 9e4931", overflow);
    check(f, "INCRBYFLOAT k inf", overflow);
    check(f, "GET k", "$6\r\n9e4931\r\n");
    check(f, "SET k -inf", OK);
    check(f, "INCRBYFLOAT k inf", overflow);
    /* The longest result: 4933 digits; it can be read again. */
    check(f, "SET k 1e4932", OK);
    run(f, "INCRBYFLOAT k 0");
    assert_reply_prefix(f, "$4933\r\n");
    run(f, "INCRBYFLOAT k 1");
    assert_reply_prefix(f, "$4933\r\n");
}

static void test_conformance_float_text_beyond_limit_is_refused(void **state)
{
    static uint8_t digits[5 * 1024 + 1];
    struct fixture *f = *state;
    struct bytes argv[3] = {
        {(const uint8_t *)"INCRBYFLOAT", 11}, {digits, 1}, {digits, 5119}};

    memset(digits, '0', sizeof digits);
    run_args(f, 3, argv);
    assert_reply(f, "INCRBYFLOAT", "$1\r\n0\r\n");
    argv[2].size++;
    run_args(f, 3, argv);
    assert_reply_prefix(f, "-ERR value is not a valid");
}

static void test_conformance_setrange_up_to_the_limit(void **state)
{
    struct fixture *f = *state;

    check(f, "SETRANGE k 67108863 x", ":67108864\r\n");
    check(f, "SETRANGE k 67108864 x", TOO_LARGE);
    check(f, "SETRANGE k 67108863 xy", TOO_LARGE);
    check(f, "STRLEN k", ":67108864\r\n");
    run(f, "GETRANGE k -2 -1");
    assert_true(reply_is(f, "$2\r\n\0x\r\n", 8));
}

/* A value moves with its expiry; a new value has none unless told to. */
static void test_conformance_expiry_goes_with_the_value(void **state)
{
    struct fixture *f = *state;
    struct bytes a = {(const uint8_t *)"a", 1};

    assert_int_equal(store_set(f->env.store, a, a, 0, NOW_MS + 777), 0);
    check(f, "SETRANGE a 0 5", ":1\r\n");
    check(f, "INCRBYFLOAT a 1", "$1\r\n6\r\n");
    check(f, "SET a 1 KEEPTTL", OK);
    check(f, "COPY a b", ":1\r\n");
    assert_int_equal(expire_ms_of(f, "b"), NOW_MS + 777);
    check(f, "RENAME a b", OK);
    assert_int_equal(expire_ms_of(f, "b"), NOW_MS + 777);
    check(f, "RENAMENX b a", ":1\r\n");
    assert_int_equal(expire_ms_of(f, "a"), NOW_MS + 777);
    check(f, "MSETNX b 1", ":1\r\n");
    check(f, "SET b 1 KEEPTTL", OK);
    assert_int_equal(expire_ms_of(f, "b"), 0);
    check(f, "SET a 1", OK);
    assert_int_equal(expire_ms_of(f, "a"), 0);
}

/* ---- expired keys ---- */

/* What each command says of keys whose time has come, but that no sweep has
 * taken out yet: k, and l beside a live m. */
static void test_conformance_expired_keys_are_absent(void **state)
{
    static const struct {
        const char *line, *reply;
    } cases[] = {
        {"GET k", NONE},
        {"MGET k m", "*2\r\n$-1\r\n$1\r\nm\r\n"},
        {"STRLEN k", ":0\r\n"},
        {"GETRANGE k 0 -1", "$0\r\n\r\n"},
        {"EXISTS k l m", ":1\r\n"},
        {"TOUCH k", ":0\r\n"},
        {"TYPE k", "+none\r\n"},
        {"TTL k", ":-2\r\n"},
        {"PEXPIRETIME k", ":-2\r\n"},
        {"KEYS *", "*1\r\n$1\r\nm\r\n"},
        {"SCAN 0", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nm\r\n"},
        {"RANDOMKEY", "$1\r\nm\r\n"},
        {"DBSIZE", ":3\r\n"}, /* as in Redis, until they are swept */
        {"SET k v XX", NONE},
        {"SET k v IFEQ k", NONE},
        {"SET k v GET", NONE},
        {"SET k v KEEPTTL", OK},
        {"SETNX k v", ":1\r\n"},
        {"SET k v NX", OK},
        {"GETSET k v", NONE},
        {"GETDEL k", NONE},
        {"GETEX k PERSIST", NONE},
        {"MSETNX k 1 l 1", ":1\r\n"},
        {"APPEND k v", ":1\r\n"},
        {"SETRANGE k 1 v", ":2\r\n"},
        {"INCR k", ":1\r\n"},
        {"DECRBY k 5", ":-5\r\n"},
        {"DEL k l m", ":1\r\n"},
        {"UNLINK k", ":0\r\n"},
        {"RENAME k n", "-ERR no such key\r\n"},
        {"RENAME m k", OK},
        {"RENAMENX m k", ":1\r\n"},
        {"COPY k n", ":0\r\n"},
        {"COPY m k", ":1\r\n"},
        {"EXPIRE k 100", ":0\r\n"},
        {"PERSIST k", ":0\r\n"},
    };
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        f->env.now_ms = NOW_MS;
        check(f, "FLUSHALL", OK);
        check(f, "SET k k PX 10", OK);
        check(f, "SET l l PX 10", OK);
        check(f, "SET m m", OK);
        f->env.now_ms = NOW_MS + 10;
        check(f, cases[i].line, cases[i].reply);
    }
}

/* A write that finds an expired key leaves a new one, without its expiry. */
static void test_conformance_expired_key_leaves_no_expiry(void **state)
{
    static const char *const lines[] = {
        "SET k 1 KEEPTTL", "SETNX k 1",  "APPEND k 1",      "SETRANGE k 0 1",
        "INCR k",          "GETSET k 1", "INCRBYFLOAT k 1", "MSETNX k 1",
        "COPY m k",        "RENAME m k"};
    struct fixture *f = *state;

    skip_without_x87();
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        f->env.now_ms = NOW_MS;
        check(f, "FLUSHALL", OK);
        check(f, "SET k 1 PX 10", OK);
        check(f, "SET m 1", OK);
        f->env.now_ms = NOW_MS + 10;
        run(f, lines[i]);
        check(f, "TTL k", ":-1\r\n");
        check(f, "GET k", "$1\r\n1\r\n");
    }
}

/* The border, and what a time to live counts from. */
static void test_conformance_ttl_counts_from_the_later_clock(void **state)
{
    struct fixture *f = *state;

    check(f, "SET k v PX 1500", OK);
    check(f, "PTTL k", ":1500\r\n");
    check(f, "TTL k", ":2\r\n");
    f->env.leader_ms = NOW_MS + 1001;
    check(f, "PTTL k", ":499\r\n");
    check(f, "TTL k", ":0\r\n");
    f->env.leader_ms = NOW_MS + 1499;
    check(f, "PTTL k", ":1\r\n");
    assert_false(f->env.due);
    f->env.leader_ms = NOW_MS + 1500;
    run(f, "PTTL k");
    assert_true(f->env.due); /* no reply before the state's clock is there */
    f->env.due = false;
    f->env.now_ms = NOW_MS + 1500;
    check(f, "PTTL k", ":-2\r\n");
    assert_false(f->env.due);
}

static void test_conformance_time_to_live_up_to_the_limit(void **state)
{
    struct fixture *f = *state;

    f->env.now_ms = 7;
    check(f, "SET k v PX 9223372036854775800", OK);
    check(f, "PEXPIRETIME k", ":9223372036854775807\r\n");
    check(f, "EXPIRETIME k", ":9223372036854776\r\n");
    check(f, "SET k v PX 9223372036854775801",
          "-ERR invalid expire time in 'set' command\r\n");
    check(f, "PEXPIRE k 9223372036854775800", ":1\r\n");
    check(f, "PEXPIRE k 9223372036854775801",
          "-ERR invalid expire time in 'pexpire' command\r\n");
}

/* Of Redis 8, which the table's server is not. */
static void test_conformance_set_ifeq_compares(void **state)
{
    struct fixture *f = *state;

    check(f, "SET k v IFEQ v", NONE); /* makes no key */
    check(f, "EXISTS k", ":0\r\n");
    check(f, "SET k v", OK);
    check(f, "SET k w IFEQ x", NONE);
    check(f, "SET k w ifeq V", NONE);
    check(f, "SET k w IFEQ v GET", "$1\r\nv\r\n");
    check(f, "SET k x IFEQ v GET", "$1\r\nw\r\n"); /* not set */
    check(f, "SET k \"\" IFEQ w EX 100", OK);
    check(f, "TTL k", ":100\r\n");
    check(f, "SET k x KEEPTTL IFEQ \"\"", OK);
    check(f, "TTL k", ":100\r\n");
    check(f, "SET k IFEQ IFEQ x", OK);
    check(f, "GET k", "$4\r\nIFEQ\r\n");
    check(f, "SET k v IFEQ", SYNTAX);
    check(f, "SET k v IFEQ a IFEQ a", SYNTAX);
    check(f, "SET k v NX IFEQ a", SYNTAX);
    check(f, "SET k v IFEQ a XX", SYNTAX);
    assert_int_equal(store_set(f->env.store,
                               (struct bytes){(const uint8_t *)"t", 1},
                               (struct bytes){(const uint8_t *)"t", 1}, 1, 0),
                     0);
    check(f, "SET t v IFEQ t", WRONG_TYPE);
}

static void test_conformance_other_type_is_refused(void **state)
{
    static const char *const lines[] = {"GETDEL k",
                                        "GETRANGE k 0 1",
                                        "SUBSTR k 0 1",
                                        "SETRANGE k 0 x",
                                        "INCRBYFLOAT k 1",
                                        "SETRANGE k 0 \"\"",
                                        NULL};
    struct fixture *f = *state;

    check_other_type(f, lines);
    check(f, "MSETNX k 1", ":0\r\n");
    check(f, "RENAME k k2", OK);
    check(f, "TYPE k2", "+unknown\r\n");
}

/* With keys that resemble one another each is drawn in time. */
static void test_conformance_randomkey_draws_every_key(void **state)
{
    static const char *const keys[] = {"",      "a",      "aa", "key:1",
                                       "key:2", "key:21", "zz"};
    enum { N = sizeof keys / sizeof keys[0] };
    struct fixture *f = *state;
    unsigned n_drawn[N] = {0};

    for (unsigned i = 0; i < N; i++) {
        struct bytes key = {(const uint8_t *)keys[i], strlen(keys[i])};
        assert_int_equal(store_set(f->env.store, key, key, 0, 0), 0);
    }
    for (unsigned i = 0; i < 20000; i++) {
        bool known = false;
        char want[32];
        f->env.random = i;
        run(f, "RANDOMKEY");
        for (unsigned j = 0; j < N; j++) {
            int n = snprintf(want, sizeof want, "$%zu\r\n%s\r\n",
                             strlen(keys[j]), keys[j]);
            if (reply_is(f, want, (size_t)n)) {
                n_drawn[j]++;
                known = true;
            }
        }
        assert_true(known);
    }
    for (unsigned j = 0; j < N; j++) {
        assert_true(n_drawn[j] > 0);
    }
}

static void test_conformance_keys_beyond_limits_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bytes argv[2] = {{(const uint8_t *)"KEYS", 4}};

    check_pattern_limit(f, 2, argv, "*0\r\n");
    check(f, "MSET a 1 b 2 c 3", OK);
    f->env.reply_max = 10;
    check(f, "KEYS *", "-ERR reply is longer than the limit of 10 bytes\r\n");
    check(f, "KEYS c", "*1\r\n$1\r\nc\r\n");
    f->env.reply_max = 0;
    check(f, "KEYS *", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

/* What would hold up the node for long is not begun in full. */
static void test_conformance_keys_beyond_its_time_is_refused(void **state)
{
    static uint8_t key[60000];
    static uint8_t pattern[4001];
    struct fixture *f = *state;
    struct bytes name = {key, sizeof key};
    struct bytes argv[2] = {{(const uint8_t *)"KEYS", 4},
                            {pattern, sizeof pattern}};

    memset(key, 'a', sizeof key);
    for (unsigned i = 0; i < 4000; i++) {
        pattern[i] = i == 0 ? '*' : 'a';
    }
    pattern[4000] = 'b';
    assert_int_equal(store_set(f->env.store, name, name, 0, 0), 0);
    run_args(f, 2, argv);
    assert_reply_prefix(f, "-ERR too many keys");
}

static void test_conformance_differences_on_purpose(void **state)
{
    struct fixture *f = *state;

    /* One database. */
    check(f, "SELECT 1", "-ERR DB index is out of range\r\n");
    check(f, "SET a 1", OK);
    check(f, "COPY a b DB 1", "-ERR DB index is out of range\r\n");
    check(f, "EXISTS b", ":0\r\n");
    /* A key whose time has passed when it is set is not there to be counted. */
    check(f, "SET c 1 PXAT 1", OK);
    check(f, "DBSIZE", ":1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_conformance_resp2_replies_are_those_of_redis),
        TEST(test_conformance_resp3_replies_are_those_of_redis),
        TEST(test_conformance_float_overflow_is_refused),
        TEST(test_conformance_float_text_beyond_limit_is_refused),
        TEST(test_conformance_setrange_up_to_the_limit),
        TEST(test_conformance_expiry_goes_with_the_value),
        TEST(test_conformance_expired_keys_are_absent),
        TEST(test_conformance_expired_key_leaves_no_expiry),
        TEST(test_conformance_ttl_counts_from_the_later_clock),
        TEST(test_conformance_time_to_live_up_to_the_limit),
        TEST(test_conformance_set_ifeq_compares),
        TEST(test_conformance_other_type_is_refused),
        TEST(test_conformance_randomkey_draws_every_key),
        TEST(test_conformance_keys_beyond_limits_is_refused),
        TEST(test_conformance_keys_beyond_its_time_is_refused),
        TEST(test_conformance_differences_on_purpose),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
