/* Strings and counters: replies byte for byte as Redis 7 gives them. */
#include "tests/unit/model/command_fixture.h"

/* ---- strings ---- */

static void test_command_set_and_get(void **state)
{
    struct fixture *f = *state;

    check(f, "GET k", NONE);
    check(f, "SET k v", OK);
    check(f, "GET k", "$1\r\nv\r\n");
    check(f, "set k \"a\\x00b\\r\\n\"", OK);
    run(f, "GET k");
    assert_int_equal(buffer_size(&f->reply), 11);
    assert_memory_equal(buffer_data(&f->reply), "$5\r\na\0b\r\n\r\n", 11);
    check(f, "SET k \"\"", OK);
    check(f, "GET k", "$0\r\n\r\n");
    check(f, "SET \"\" empty", OK);
    check(f, "GET \"\"", "$5\r\nempty\r\n");
}

static void test_command_set_options(void **state)
{
    struct fixture *f = *state;

    check(f, "SET k 1 XX", NONE);
    check(f, "GET k", NONE);
    check(f, "SET k 1 NX", OK);
    check(f, "SET k 2 nx", NONE);
    check(f, "GET k", "$1\r\n1\r\n");
    check(f, "SET k 3 xx", OK);
    check(f, "SET k 4 GET", "$1\r\n3\r\n");
    check(f, "SET new 5 GET", NONE);
    check(f, "GET new", "$1\r\n5\r\n");
    check(f, "SET k 6 NX GET", "$1\r\n4\r\n");
    check(f, "GET k", "$1\r\n4\r\n");
    check(f, "SET k 7 GET XX", "$1\r\n4\r\n");
    check(f, "GET k", "$1\r\n7\r\n");
    check(f, "SET none 7 GET XX", NONE);
    check(f, "EXISTS none", ":0\r\n");
    check(f, "SET k 1 NX XX", SYNTAX);
    check(f, "SET k 1 FOO", SYNTAX);
    check(f, "SET k 1 EX", SYNTAX);
    check(f, "SET k 1 \"\"", SYNTAX);
}

static void test_command_getset_setnx_strlen(void **state)
{
    struct fixture *f = *state;

    check(f, "GETSET k 1", NONE);
    check(f, "GETSET k 22", "$1\r\n1\r\n");
    check(f, "STRLEN k", ":2\r\n");
    check(f, "STRLEN none", ":0\r\n");
    check(f, "SETNX k 3", ":0\r\n");
    check(f, "SETNX k2 3", ":1\r\n");
    check(f, "MGET k k2", "*2\r\n$2\r\n22\r\n$1\r\n3\r\n");
}

static void test_command_append_joins(void **state)
{
    struct fixture *f = *state;

    check(f, "APPEND k abc", ":3\r\n");
    check(f, "APPEND k \"\"", ":3\r\n");
    check(f, "APPEND k de", ":5\r\n");
    check(f, "GET k", "$5\r\nabcde\r\n");
    check(f, "APPEND e \"\"", ":0\r\n");
    check(f, "EXISTS e", ":1\r\n");
    check(f, "APPEND e x", ":1\r\n");
}

static void test_command_mset_and_mget(void **state)
{
    struct fixture *f = *state;

    check(f, "MSET a 1 b 2 a 3", OK);
    check(f, "MGET a none b a",
          "*4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    check(f, "MSET a 1 b", ARITY("mset"));
    check(f, "MSET a", ARITY("mset"));
    check(f, "MGET", ARITY("mget"));
}

static void test_command_other_type_is_refused(void **state)
{
    static const char *const lines[] = {"GET k",      "INCR k",   "APPEND k x",
                                        "GETSET k x", "STRLEN k", "SET k x GET",
                                        NULL};
    struct fixture *f = *state;

    check_other_type(f, lines);
    check(f, "MGET k", "*1\r\n$-1\r\n");
    check(f, "SET k x NX", NONE);
    check(f, "SETNX k x", ":0\r\n");
    check(f, "SET k x", OK);
    check(f, "GET k", "$1\r\nx\r\n");
}

/* ---- counters ---- */

static void test_command_counters_count(void **state)
{
    struct fixture *f = *state;

    check(f, "INCR n", ":1\r\n");
    check(f, "INCRBY n 41", ":42\r\n");
    check(f, "DECR n", ":41\r\n");
    check(f, "DECRBY n 50", ":-9\r\n");
    check(f, "INCRBY n -1", ":-10\r\n");
    check(f, "DECRBY n -11", ":1\r\n");
    check(f, "DECR d", ":-1\r\n");
    check(f, "GET n", "$1\r\n1\r\n");
}

static void test_command_counters_at_the_borders(void **state)
{
    static const char overflow[] =
        "-ERR increment or decrement would overflow\r\n";
    struct fixture *f = *state;

    check(f, "SET n 9223372036854775807", OK);
    check(f, "INCR n", overflow);
    check(f, "INCRBY n 1", overflow);
    check(f, "DECRBY n -1", overflow);
    check(f, "INCRBY n 0", ":9223372036854775807\r\n");
    check(f, "SET n -9223372036854775808", OK);
    check(f, "DECR n", overflow);
    check(f, "INCRBY n -1", overflow);
    check(f, "INCRBY n 9223372036854775807", ":-1\r\n");
    check(f, "INCRBY n -9223372036854775808", overflow);
    check(f, "SET n 0", OK);
    check(f, "INCRBY n -9223372036854775808", ":-9223372036854775808\r\n");
    check(f, "DECRBY n -9223372036854775808",
          "-ERR decrement would overflow\r\n");
    check(f, "GET n", "$20\r\n-9223372036854775808\r\n");
}

static void test_command_counters_want_integers(void **state)
{
    static const char *const bad[] = {"abc",    "1.5",  "\" 1\"",
                                      "\"1 \"", "\"\"", "01",
                                      "+1",     "1e3",  "9223372036854775808"};
    struct fixture *f = *state;
    char line[128];

    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(line, sizeof line, "INCRBY n %s", bad[i]);
        check(f, line, NOT_INTEGER);
        (void)snprintf(line, sizeof line, "DECRBY n %s", bad[i]);
        check(f, line, NOT_INTEGER);
        (void)snprintf(line, sizeof line, "SET s %s", bad[i]);
        check(f, line, OK);
        check(f, "INCR s", NOT_INTEGER);
    }
    check(f, "EXISTS n", ":0\r\n");
}

/* What a later version stores with a key must outlive a counter. */
static void test_command_counter_and_append_keep_expiry(void **state)
{
    struct fixture *f = *state;
    struct bytes key = {(const uint8_t *)"k", 1};
    struct bytes one = {(const uint8_t *)"1", 1};

    assert_int_equal(store_set(f->env.store, key, one, 0, NOW_MS + 777), 0);
    check(f, "INCR k", ":2\r\n");
    check(f, "APPEND k 0", ":2\r\n");
    assert_int_equal(expire_ms_of(f, "k"), NOW_MS + 777);
    check(f, "SET k 1", OK);
    assert_int_equal(expire_ms_of(f, "k"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_command_set_and_get),
        TEST(test_command_set_options),
        TEST(test_command_getset_setnx_strlen),
        TEST(test_command_append_joins),
        TEST(test_command_mset_and_mget),
        TEST(test_command_other_type_is_refused),
        TEST(test_command_counters_count),
        TEST(test_command_counters_at_the_borders),
        TEST(test_command_counters_want_integers),
        TEST(test_command_counter_and_append_keep_expiry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
