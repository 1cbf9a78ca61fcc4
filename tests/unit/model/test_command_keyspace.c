/* Keys as such: deleting, counting, SCAN; replies byte for byte as Redis 7
 * gives them, where the command is the same. */
#include "tests/unit/model/command_fixture.h"

/* ---- keyspace ---- */

static void test_command_del_exists_dbsize(void **state)
{
    struct fixture *f = *state;

    check(f, "MSET a 1 b 2 c 3", OK);
    check(f, "EXISTS a b none a", ":3\r\n");
    check(f, "DBSIZE", ":3\r\n");
    check(f, "DEL a a none", ":1\r\n");
    check(f, "DEL none", ":0\r\n");
    check(f, "DBSIZE", ":2\r\n");
    check(f, "DEL b c", ":2\r\n");
    check(f, "DBSIZE", ":0\r\n");
}

static void test_command_flush_empties(void **state)
{
    static const char *const lines[] = {"FLUSHALL", "FLUSHALL ASYNC",
                                        "flushall sync", "FLUSHDB",
                                        "FLUSHDB async"};
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        check(f, "MSET a 1 b 2", OK);
        check(f, lines[i], OK);
        check(f, "DBSIZE", ":0\r\n");
    }
    check(f, "FLUSHALL now", SYNTAX);
    check(f, "FLUSHALL ASYNC SYNC", SYNTAX);
    check(f, "FLUSHDB now", SYNTAX);
}

/* ---- scan ---- */

/* The next cursor and the number of keys of a SCAN reply. */
static void scan_parse(struct fixture *f, char cursor[32], unsigned *n)
{
    const char *at = (const char *)buffer_data(&f->reply);
    size_t size = buffer_size(&f->reply);
    char text[64];
    int used = 0;

    assert_in_range(size, 10, 1000000);
    size = size < sizeof text ? size : sizeof text - 1;
    memcpy(text, at, size);
    text[size] = '\0';
    assert_int_equal(sscanf(text, "*2 $%*d %31[0-9] *%u%n", cursor, n, &used),
                     2);
    assert_true(used > 0);
}

static unsigned scan_all(struct fixture *f, const char *options,
                         unsigned *n_calls)
{
    char cursor[32] = "0";
    char line[128];
    unsigned total = 0;
    unsigned n;

    *n_calls = 0;
    do {
        (void)snprintf(line, sizeof line, "SCAN %s %s", cursor, options);
        run(f, line);
        scan_parse(f, cursor, &n);
        total += n;
        assert_in_range(++*n_calls, 1, 10000);
    } while (strcmp(cursor, "0") != 0);
    return total;
}

static void test_command_scan_small_is_whole(void **state)
{
    struct fixture *f = *state;

    check(f, "SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n");
    check(f, "MSET b 1 a 2 c 3", OK);
    check(f, "SCAN 0",
          "*2\r\n$1\r\n0\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    check(f, "SCAN \"\" COUNT 3",
          "*2\r\n$1\r\n0\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    check(f, "SCAN 0 match [ac]",
          "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nc\r\n");
    check(f, "SCAN 0 TYPE string MATCH b COUNT 100",
          "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n");
    check(f, "SCAN 0 TYPE hash", "*2\r\n$1\r\n0\r\n*0\r\n");
}

static void test_command_scan_gives_each_key_once(void **state)
{
    struct fixture *f = *state;
    char line[64];
    unsigned n_calls;

    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(line, sizeof line, "SET key:%u x", i);
        check(f, line, OK);
    }
    assert_int_equal(scan_all(f, "", &n_calls), 1000);
    assert_int_equal(n_calls, 100);
    assert_int_equal(scan_all(f, "COUNT 1", &n_calls), 1000);
    assert_int_equal(n_calls, 1000);
    assert_int_equal(scan_all(f, "COUNT 1000000", &n_calls), 1000);
    assert_int_equal(n_calls, 1);
    assert_int_equal(scan_all(f, "MATCH key:1*", &n_calls), 111);
    assert_int_equal(n_calls, 100);
    assert_int_equal(scan_all(f, "MATCH none", &n_calls), 0);
}

/* Keys that stay are found although others come and go around the cursor. */
static void test_command_scan_survives_changes(void **state)
{
    struct fixture *f = *state;
    char cursor[32] = "0";
    char line[64];
    unsigned n;

    check(f, "MSET a 1 b 1 c 1 d 1 e 1", OK);
    run(f, "SCAN 0 COUNT 2");
    scan_parse(f, cursor, &n);
    assert_int_equal(n, 2);
    check(f, "DEL b c", ":2\r\n");
    check(f, "SET bb 1", OK);
    (void)snprintf(line, sizeof line, "SCAN %s", cursor);
    check(f, line, "*2\r\n$1\r\n0\r\n*3\r\n$2\r\nbb\r\n$1\r\nd\r\n$1\r\ne\r\n");
    /* A cursor may be used again. */
    check(f, line, "*2\r\n$1\r\n0\r\n*3\r\n$2\r\nbb\r\n$1\r\nd\r\n$1\r\ne\r\n");
}

static void test_command_scan_after_goes_on_behind_a_key(void **state)
{
    struct fixture *f = *state;

    check(f, "MSET a 1 b 1 c 1 cc 1", OK);
    check(f, "SCAN 0 AFTER b",
          "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nc\r\n$2\r\ncc\r\n");
    /* The key itself need not be there. */
    check(f, "SCAN 0 AFTER bb MATCH cc COUNT 5",
          "*2\r\n$1\r\n0\r\n*1\r\n$2\r\ncc\r\n");
    check(f, "SCAN 0 AFTER cc", "*2\r\n$1\r\n0\r\n*0\r\n");
    check(f, "SCAN 0 AFTER", SYNTAX);
    check(f, "SCAN 7 AFTER b", "-ERR AFTER goes with cursor 0\r\n");
}

static void test_command_scan_bad_arguments_are_told(void **state)
{
    struct fixture *f = *state;

    check(f, "SCAN", ARITY("scan"));
    check(f, "SCAN x", "-ERR invalid cursor\r\n");
    check(f, "SCAN 1x", "-ERR invalid cursor\r\n");
    check(f, "SCAN 18446744073709551616", "-ERR invalid cursor\r\n");
    check(f, "SCAN 0 COUNT", SYNTAX);
    check(f, "SCAN 0 COUNT 0", SYNTAX);
    check(f, "SCAN 0 COUNT -1", SYNTAX);
    check(f, "SCAN 0 COUNT x", NOT_INTEGER);
    check(f, "SCAN 0 FOO bar", SYNTAX);
    check(f, "SCAN 0 MATCH", SYNTAX);
    check(f, "SCAN 12345",
          "-ERR unknown cursor: it is too old or of another node; start again "
          "from 0\r\n");
}

static void test_command_scan_oversized_pattern_is_refused(void **state)
{
    struct fixture *f = *state;
    struct bytes argv[4] = {{(const uint8_t *)"SCAN", 4},
                            {(const uint8_t *)"0", 1},
                            {(const uint8_t *)"MATCH", 5}};

    check_pattern_limit(f, 4, argv, "*2\r\n$1\r\n0\r\n*0\r\n");
}

/* ---- replies with a limit ---- */

static void test_command_reply_beyond_limit_becomes_an_error(void **state)
{
    static const char want[] =
        "-ERR reply is longer than the limit of 100 bytes\r\n";
    struct fixture *f = *state;
    char line[300];
    char value[201];
    char cursor[32];
    unsigned n;

    memset(value, 'x', 200);
    value[200] = '\0';
    (void)snprintf(line, sizeof line, "SET big %s", value);
    check(f, line, OK);
    (void)snprintf(line, sizeof line, "MSET a %.60s b %.60s", value, value);
    check(f, line, OK);
    f->env.reply_max = 100;
    check(f, "GET big", want);
    check(f, "MGET a b", want);
    check(f, "MGET a big", want);
    /* The write happens all the same: it has been agreed on. */
    check(f, "GETSET big small", want);
    check(f, "GET big", "$5\r\nsmall\r\n");
    /* A scan gives what fits and goes on later. */
    (void)snprintf(line, sizeof line, "MSET %.90s1 v %.90s2 v", value, value);
    check(f, line, OK);
    run(f, "SCAN 0");
    scan_parse(f, cursor, &n);
    assert_in_range(n, 3, 4);
    assert_string_not_equal(cursor, "0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_command_del_exists_dbsize),
        TEST(test_command_flush_empties),
        TEST(test_command_scan_small_is_whole),
        TEST(test_command_scan_gives_each_key_once),
        TEST(test_command_scan_survives_changes),
        TEST(test_command_scan_after_goes_on_behind_a_key),
        TEST(test_command_scan_bad_arguments_are_told),
        TEST(test_command_scan_oversized_pattern_is_refused),
        TEST(test_command_reply_beyond_limit_becomes_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
