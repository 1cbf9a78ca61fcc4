/* Commands: replies and errors byte for byte as Redis 7 gives them, where the
 * command is the same; limits of our own; the table itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/command.h"
#include "node/cursor_table.h"
#include "node/resp.h"
#include "raftlog/err.h"

struct fixture {
    struct command_env env;
    struct buffer reply;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (f == NULL || store_new(&f->env.store) != 0 ||
        cursor_table_new(16, &f->env.cursors) != 0) {
        return -1;
    }
    buffer_init(&f->reply);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_free(f->env.store);
    cursor_table_free(f->env.cursors);
    buffer_close(&f->reply);
    free(f);
    return 0;
}

/* Check and run a command; its reply stands in f->reply. */
static void run_args(struct fixture *f, uint32_t argc, const struct bytes *argv)
{
    const struct command *c;

    buffer_clear(&f->reply);
    c = command_check(argc, argv, &f->reply);
    if (c == NULL) {
        assert_true(buffer_size(&f->reply) > 0);
        assert_int_equal(buffer_data(&f->reply)[0], '-');
        return;
    }
    assert_int_equal(buffer_size(&f->reply), 0);
    assert_non_null(c->run);
    c->run(&f->env, argc, argv, &f->reply);
    assert_false(f->reply.failed);
    assert_int_equal(f->env.error, 0);
}

/* A line as typed into an inline connection. */
static void run(struct fixture *f, const char *line)
{
    struct resp_limits limits = {100, 10000, 10000, 10000};
    struct resp_parser p;
    const struct bytes *argv;
    uint32_t argc;
    size_t used;
    char text[1024];
    int n = snprintf(text, sizeof text, "%s\n", line);

    resp_parser_init(&p, &limits);
    assert_int_equal(
        resp_parse(&p, (const uint8_t *)text, (size_t)n, &used, &argc, &argv),
        RESP_REQUEST);
    run_args(f, argc, argv);
    resp_parser_close(&p);
}

static void assert_reply(struct fixture *f, const char *line, const char *want)
{
    if (buffer_size(&f->reply) != strlen(want) ||
        memcmp(buffer_data(&f->reply), want, strlen(want)) != 0) {
        fail_msg("%s\n  want %s\n  got  %.*s", line, want,
                 (int)buffer_size(&f->reply),
                 (const char *)buffer_data(&f->reply));
    }
}

static void check(struct fixture *f, const char *line, const char *want)
{
    run(f, line);
    assert_reply(f, line, want);
}

#define SYNTAX "-ERR syntax error\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define ARITY_TEXT(name) "wrong number of arguments for '" name "' command\r\n"
#define ARITY(name) "-ERR " ARITY_TEXT(name)

/* ---- connection
 * ------------------------------------------------------------*/

static void test_command_ping_and_echo_answer(void **state)
{
    struct fixture *f = *state;

    check(f, "PING", "+PONG\r\n");
    check(f, "ping", "+PONG\r\n");
    check(f, "PiNg hello", "$5\r\nhello\r\n");
    check(f, "PING \"\"", "$0\r\n\r\n");
    check(f, "PING a b", ARITY("ping"));
    check(f, "ECHO \"a b\"", "$3\r\na b\r\n");
    check(f, "ECHO", ARITY("echo"));
    check(f, "ECHO a b", ARITY("echo"));
    check(f, "QUIT", "+OK\r\n");
    check(f, "QUIT now", "+OK\r\n");
}

static void test_command_select_knows_one_database(void **state)
{
    struct fixture *f = *state;

    check(f, "SELECT 0", "+OK\r\n");
    check(f, "SELECT 1", "-ERR DB index is out of range\r\n");
    check(f, "SELECT -1", "-ERR DB index is out of range\r\n");
    check(f, "SELECT x", NOT_INTEGER);
    check(f, "SELECT 99999999999",
          "-ERR value is out of range, value must between -2147483648 and "
          "2147483647\r\n");
    check(f, "SELECT", ARITY("select"));
}

/* ---- errors of every command
 * -----------------------------------------------*/

static void test_command_unknown_name_is_told_with_arguments(void **state)
{
    struct fixture *f = *state;
    struct bytes argv[2];
    char name[201];
    char want[600];

    check(f, "foo",
          "-ERR unknown command 'foo', with args beginning with: \r\n");
    check(f, "foo bar \"b z\"",
          "-ERR unknown command 'foo', with args beginning with: 'bar' 'b z' "
          "\r\n");
    check(f, "\"\"", "-ERR unknown command '', with args beginning with: \r\n");
    check(f, "GETX",
          "-ERR unknown command 'GETX', with args beginning with: \r\n");
    check(f, "\"GET\\x00\"",
          "-ERR unknown command 'GET', with args beginning with: \r\n");
    check(f, "\"a\\r\\nb\" \"c\\nd\"",
          "-ERR unknown command 'a  b', with args beginning with: 'c d' \r\n");
    /* Of each no more than 128 bytes. */
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    argv[0].data = (const uint8_t *)name;
    argv[0].size = sizeof name - 1;
    argv[1] = argv[0];
    run_args(f, 2, argv);
    (void)snprintf(want, sizeof want,
                   "-ERR unknown command '%.128s', with args beginning with: "
                   "'%.128s' \r\n",
                   name, name);
    assert_reply(f, "long name", want);
}

/* The list of arguments is cut, wherever it happens to end. */
static void test_command_unknown_name_with_many_arguments(void **state)
{
    struct fixture *f = *state;
    struct bytes argv[60];
    static const uint8_t text[200] = {'a'};

    for (unsigned size = 0; size < 140; size++) {
        for (unsigned i = 0; i < 60; i++) {
            argv[i].data = text;
            argv[i].size = i == 0 ? 3 : i % 2 == 0 ? size : 1;
        }
        run_args(f, 60, argv);
        assert_in_range(buffer_size(&f->reply), 100, 400);
        assert_memory_equal(buffer_data(&f->reply) + buffer_size(&f->reply) - 2,
                            "\r\n", 2);
    }
}

static void test_command_arity_is_checked_for_all(void **state)
{
    struct fixture *f = *state;
    unsigned n;
    const struct command *table = command_table(&n);

    for (unsigned i = 0; i < n; i++) {
        struct bytes argv[8];
        const struct command *c = &table[i];
        uint32_t least = (uint32_t)(c->arity < 0 ? -c->arity : c->arity);
        char want[128];
        char lower[32] = "";
        for (unsigned j = 0; c->name[j] != '\0'; j++) {
            lower[j] = (char)(c->name[j] | 0x20);
        }
        (void)snprintf(want, sizeof want, "-%s" ARITY_TEXT("%s"),
                       c->code == COMMAND_CODE_EXEC
                           ? "EXECABORT Transaction discarded because of: "
                           : "ERR ",
                       lower);
        for (unsigned j = 0; j < 8; j++) {
            argv[j].data = (const uint8_t *)c->name;
            argv[j].size = strlen(c->name);
        }
        if (least > 1) {
            run_args(f, least - 1, argv);
            assert_reply(f, c->name, want);
        }
        if (c->arity > 0) {
            run_args(f, least + 1, argv);
            assert_reply(f, c->name, want);
        }
    }
}

static void test_command_key_beyond_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t *big = calloc(1, STORE_KEY_MAX + 1);
    struct bytes argv[5] = {{(const uint8_t *)"MSET", 4},
                            {(const uint8_t *)"k", 1},
                            {big, STORE_KEY_MAX + 1},
                            {big, STORE_KEY_MAX},
                            {(const uint8_t *)"v", 1}};

    assert_non_null(big);
    /* As a value it passes, as a key it does not. */
    run_args(f, 5, argv);
    assert_reply(f, "MSET", "+OK\r\n");
    argv[3].size++;
    run_args(f, 5, argv);
    assert_reply(f, "MSET", "-ERR key is larger than 65536 bytes\r\n");
    assert_int_equal(store_count(f->env.store), 2);
    free(big);
}

static void test_command_value_beyond_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    uint8_t *big = calloc(1, STORE_VALUE_MAX + 1u);
    struct bytes argv[3] = {{(const uint8_t *)"SET", 3},
                            {(const uint8_t *)"k", 1},
                            {big, STORE_VALUE_MAX + 1u}};

    assert_non_null(big);
    run_args(f, 3, argv);
    assert_reply(f, "SET", "-ERR value is larger than 67108864 bytes\r\n");
    argv[2].size--;
    run_args(f, 3, argv);
    assert_reply(f, "SET", "+OK\r\n");
    check(f, "APPEND k x",
          "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    check(f, "STRLEN k", ":67108864\r\n");
    free(big);
}

/* ---- strings
 * ---------------------------------------------------------------*/

static void test_command_set_and_get(void **state)
{
    struct fixture *f = *state;

    check(f, "GET k", "$-1\r\n");
    check(f, "SET k v", "+OK\r\n");
    check(f, "GET k", "$1\r\nv\r\n");
    check(f, "set k \"a\\x00b\\r\\n\"", "+OK\r\n");
    run(f, "GET k");
    assert_int_equal(buffer_size(&f->reply), 11);
    assert_memory_equal(buffer_data(&f->reply), "$5\r\na\0b\r\n\r\n", 11);
    check(f, "SET k \"\"", "+OK\r\n");
    check(f, "GET k", "$0\r\n\r\n");
    check(f, "SET \"\" empty", "+OK\r\n");
    check(f, "GET \"\"", "$5\r\nempty\r\n");
}

static void test_command_set_options(void **state)
{
    struct fixture *f = *state;

    check(f, "SET k 1 XX", "$-1\r\n");
    check(f, "GET k", "$-1\r\n");
    check(f, "SET k 1 NX", "+OK\r\n");
    check(f, "SET k 2 nx", "$-1\r\n");
    check(f, "GET k", "$1\r\n1\r\n");
    check(f, "SET k 3 xx", "+OK\r\n");
    check(f, "SET k 4 GET", "$1\r\n3\r\n");
    check(f, "SET new 5 GET", "$-1\r\n");
    check(f, "GET new", "$1\r\n5\r\n");
    check(f, "SET k 6 NX GET", "$1\r\n4\r\n");
    check(f, "GET k", "$1\r\n4\r\n");
    check(f, "SET k 7 GET XX", "$1\r\n4\r\n");
    check(f, "GET k", "$1\r\n7\r\n");
    check(f, "SET none 7 GET XX", "$-1\r\n");
    check(f, "EXISTS none", ":0\r\n");
    check(f, "SET k 1 NX XX", SYNTAX);
    check(f, "SET k 1 FOO", SYNTAX);
    check(f, "SET k 1 EX", SYNTAX);
    check(f, "SET k 1 \"\"", SYNTAX);
}

static void test_command_getset_setnx_strlen(void **state)
{
    struct fixture *f = *state;

    check(f, "GETSET k 1", "$-1\r\n");
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

    check(f, "MSET a 1 b 2 a 3", "+OK\r\n");
    check(f, "MGET a none b a",
          "*4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n");
    check(f, "MSET a 1 b", ARITY("mset"));
    check(f, "MSET a", ARITY("mset"));
    check(f, "MGET", ARITY("mget"));
}

static void test_command_other_type_is_refused(void **state)
{
    static const char *const lines[] = {"GET k",      "INCR k",
                                        "APPEND k x", "GETSET k x",
                                        "STRLEN k",   "SET k x GET"};
    struct fixture *f = *state;
    struct bytes key = {(const uint8_t *)"k", 1};

    assert_int_equal(store_set(f->env.store, key, key, 1, 0), 0);
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        check(f, lines[i],
              "-WRONGTYPE Operation against a key holding the wrong kind of "
              "value\r\n");
    }
    check(f, "MGET k", "*1\r\n$-1\r\n");
    check(f, "SET k x NX", "$-1\r\n");
    check(f, "SETNX k x", ":0\r\n");
    check(f, "SET k x", "+OK\r\n");
    check(f, "GET k", "$1\r\nx\r\n");
}

/* ---- counters
 * --------------------------------------------------------------*/

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

    check(f, "SET n 9223372036854775807", "+OK\r\n");
    check(f, "INCR n", overflow);
    check(f, "INCRBY n 1", overflow);
    check(f, "DECRBY n -1", overflow);
    check(f, "INCRBY n 0", ":9223372036854775807\r\n");
    check(f, "SET n -9223372036854775808", "+OK\r\n");
    check(f, "DECR n", overflow);
    check(f, "INCRBY n -1", overflow);
    check(f, "INCRBY n 9223372036854775807", ":-1\r\n");
    check(f, "INCRBY n -9223372036854775808", overflow);
    check(f, "SET n 0", "+OK\r\n");
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
        check(f, line, "+OK\r\n");
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

    assert_int_equal(store_set(f->env.store, key, one, 0, 777), 0);
    check(f, "INCR k", ":2\r\n");
    check(f, "APPEND k 0", ":2\r\n");
    assert_int_equal(store_item_expire_ms(store_get(f->env.store, key)), 777);
    check(f, "SET k 1", "+OK\r\n");
    assert_int_equal(store_item_expire_ms(store_get(f->env.store, key)), 0);
}

/* ---- keyspace
 * --------------------------------------------------------------*/

static void test_command_del_exists_dbsize(void **state)
{
    struct fixture *f = *state;

    check(f, "MSET a 1 b 2 c 3", "+OK\r\n");
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
        check(f, "MSET a 1 b 2", "+OK\r\n");
        check(f, lines[i], "+OK\r\n");
        check(f, "DBSIZE", ":0\r\n");
    }
    check(f, "FLUSHALL now", SYNTAX);
    check(f, "FLUSHALL ASYNC SYNC", SYNTAX);
    check(f, "FLUSHDB now", SYNTAX);
}

/* ---- scan
 * ------------------------------------------------------------------*/

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
    check(f, "MSET b 1 a 2 c 3", "+OK\r\n");
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
        check(f, line, "+OK\r\n");
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

    check(f, "MSET a 1 b 1 c 1 d 1 e 1", "+OK\r\n");
    run(f, "SCAN 0 COUNT 2");
    scan_parse(f, cursor, &n);
    assert_int_equal(n, 2);
    check(f, "DEL b c", ":2\r\n");
    check(f, "SET bb 1", "+OK\r\n");
    (void)snprintf(line, sizeof line, "SCAN %s", cursor);
    check(f, line, "*2\r\n$1\r\n0\r\n*3\r\n$2\r\nbb\r\n$1\r\nd\r\n$1\r\ne\r\n");
    /* A cursor may be used again. */
    check(f, line, "*2\r\n$1\r\n0\r\n*3\r\n$2\r\nbb\r\n$1\r\nd\r\n$1\r\ne\r\n");
}

static void test_command_scan_after_goes_on_behind_a_key(void **state)
{
    struct fixture *f = *state;

    check(f, "MSET a 1 b 1 c 1 cc 1", "+OK\r\n");
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
    uint8_t *pattern = calloc(1, 4097);
    struct bytes argv[4] = {{(const uint8_t *)"SCAN", 4},
                            {(const uint8_t *)"0", 1},
                            {(const uint8_t *)"MATCH", 5},
                            {pattern, 4096}};

    assert_non_null(pattern);
    run_args(f, 4, argv);
    assert_reply(f, "SCAN", "*2\r\n$1\r\n0\r\n*0\r\n");
    argv[3].size++;
    run_args(f, 4, argv);
    assert_reply(f, "SCAN", "-ERR pattern is too long\r\n");
    free(pattern);
}

/* ---- replies with a limit
 * --------------------------------------------------*/

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
    check(f, line, "+OK\r\n");
    (void)snprintf(line, sizeof line, "MSET a %.60s b %.60s", value, value);
    check(f, line, "+OK\r\n");
    f->env.reply_max = 100;
    check(f, "GET big", want);
    check(f, "MGET a b", want);
    check(f, "MGET a big", want);
    /* The write happens all the same: it has been agreed on. */
    check(f, "GETSET big small", want);
    check(f, "GET big", "$5\r\nsmall\r\n");
    /* A scan gives what fits and goes on later. */
    (void)snprintf(line, sizeof line, "MSET %.90s1 v %.90s2 v", value, value);
    check(f, line, "+OK\r\n");
    run(f, "SCAN 0");
    scan_parse(f, cursor, &n);
    assert_in_range(n, 3, 4);
    assert_string_not_equal(cursor, "0");
}

/* Arguments that no check has seen come from the log. */
static void test_command_run_without_check_gives_errors(void **state)
{
    static const char *const lines[] = {
        "SET k v FOO",  "INCRBY k x", "DECRBY k x",     "MSET a 1 b",
        "FLUSHALL FOO", "SCAN x",     "SCAN 0 COUNT x", "SELECT x"};
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[64];
        struct bytes argv[8];
        uint32_t argc = 0;
        (void)snprintf(text, sizeof text, "%s", lines[i]);
        for (char *w = strtok(text, " "); w != NULL; w = strtok(NULL, " ")) {
            argv[argc].data = (const uint8_t *)w;
            argv[argc++].size = strlen(w);
        }
        buffer_clear(&f->reply);
        command_find(argv[0])->run(&f->env, argc, argv, &f->reply);
        assert_int_equal(buffer_data(&f->reply)[0], '-');
    }
    check(f, "DBSIZE", ":0\r\n");
}

/* ---- COMMAND and CONFIG
 * ----------------------------------------------------*/

static void test_command_command_describes(void **state)
{
    struct fixture *f = *state;
    unsigned n;
    char want[64];

    (void)command_table(&n);
    (void)snprintf(want, sizeof want, ":%u\r\n", n);
    check(f, "COMMAND COUNT", want);
    check(f, "COMMAND INFO get",
          "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n"
          ":1\r\n:1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n"
          "$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n"
          "$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n"
          ":1\r\n$9\r\nfind_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n"
          "$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n"
          "$5\r\nlimit\r\n:0\r\n*0\r\n");
    check(f, "COMMAND INFO none", "*1\r\n$-1\r\n");
    check(f, "COMMAND DOCS none", "*0\r\n");
    check(f, "COMMAND DOCS GET none",
          "*2\r\n$3\r\nget\r\n*6\r\n$7\r\nsummary\r\n"
          "$22\r\nGet the value of a key\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n"
          "$5\r\ngroup\r\n$6\r\nstring\r\n");
    check(f, "COMMAND LIST FILTERBY PATTERN get*",
          "*5\r\n$3\r\nget\r\n$6\r\ngetdel\r\n$5\r\ngetex\r\n"
          "$8\r\ngetrange\r\n$6\r\ngetset\r\n");
    check(f, "COMMAND LIST FILTERBY MODULE x", "*0\r\n");
    check(f, "COMMAND LIST FILTERBY ACLCAT dangerous",
          "*6\r\n$9\r\nconcordkv\r\n$8\r\nflushall\r\n$7\r\nflushdb\r\n"
          "$4\r\ninfo\r\n$4\r\nkeys\r\n$8\r\nlastsave\r\n");
    check(f, "COMMAND GETKEYS mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    check(f, "COMMAND GETKEYS get k", "*1\r\n$1\r\nk\r\n");
}

static void test_command_command_lists_are_complete(void **state)
{
    static const char *const lines[] = {"COMMAND", "COMMAND INFO",
                                        "COMMAND LIST", "COMMAND DOCS"};
    struct fixture *f = *state;
    unsigned n;
    char want[32];

    (void)command_table(&n);
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(want, sizeof want, "*%u\r\n", i == 3 ? 2 * n : n);
        run(f, lines[i]);
        assert_memory_equal(buffer_data(&f->reply), want, strlen(want));
    }
}

static void test_command_command_limits_names_and_patterns(void **state)
{
    static const char *const words[] = {"DOCS", "INFO"};
    static uint8_t long_pattern[4097];
    static struct bytes argv[2 + 1025];
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        argv[0] = (struct bytes){(const uint8_t *)"COMMAND", 7};
        argv[1] = (struct bytes){(const uint8_t *)words[i], 4};
        for (size_t k = 2; k < 2 + 1025; k++) {
            argv[k] = (struct bytes){(const uint8_t *)"get", 3};
        }
        run_args(f, 2 + 1025, argv);
        assert_reply(f, words[i], "-ERR more than 1024 command names\r\n");
        run_args(f, 2 + 1024, argv);
        assert_int_equal(buffer_data(&f->reply)[0], '*');
    }
    memset(long_pattern, '*', sizeof long_pattern);
    argv[1] = (struct bytes){(const uint8_t *)"LIST", 4};
    argv[2] = (struct bytes){(const uint8_t *)"FILTERBY", 8};
    argv[3] = (struct bytes){(const uint8_t *)"PATTERN", 7};
    argv[4] = (struct bytes){long_pattern, sizeof long_pattern};
    run_args(f, 5, argv);
    assert_reply(f, "LIST", "-ERR pattern is too long\r\n");
}

static void test_command_subcommand_errors(void **state)
{
    struct fixture *f = *state;

    check(f, "COMMAND FOO",
          "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n");
    check(f, "COMMAND COUNT 1", ARITY("command|count"));
    check(f, "COMMAND GETKEYS get", ARITY("command|getkeys"));
    check(f, "COMMAND GETKEYS foo bar", "-ERR Invalid command specified\r\n");
    check(f, "COMMAND GETKEYS ping a",
          "-ERR The command has no key arguments\r\n");
    check(f, "COMMAND GETKEYS get a b",
          "-ERR Invalid number of arguments specified for command\r\n");
    check(f, "COMMAND LIST FILTERBY x", SYNTAX);
    check(f, "COMMAND LIST FILTERBY x y", SYNTAX);
    check(f, "CONFIG", ARITY("config"));
    check(f, "CONFIG FOO",
          "-ERR unknown subcommand 'FOO'. Try CONFIG HELP.\r\n");
    check(f, "CONFIG GET", ARITY("config|get"));
}

/* ---- the table
 * -------------------------------------------------------------*/

static void test_command_table_is_sound(void **state)
{
    unsigned n;
    const struct command *table = command_table(&n);

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        const struct command *c = &table[i];
        struct bytes name = {(const uint8_t *)c->name, strlen(c->name)};
        uint16_t kinds =
            c->flags & (COMMAND_READ | COMMAND_WRITE | COMMAND_LOCAL);
        assert_true(i == 0 || strcmp(table[i - 1].name, c->name) < 0);
        assert_ptr_equal(command_find(name), c);
        assert_ptr_equal(command_by_code(c->code), c);
        assert_true(kinds == COMMAND_READ || kinds == COMMAND_WRITE ||
                    kinds == COMMAND_LOCAL);
        assert_true(c->arity != 0 && c->code != 0);
        assert_true(c->first_key == 0 || c->key_step > 0);
        assert_true(c->run != NULL || (c->flags & COMMAND_LOCAL) != 0);
    }
    assert_null(command_by_code(0));
    assert_null(command_by_code(60000));
}

/* The numbers are in logs on disk. A new command adds a line here. */
static void test_command_codes_never_change(void **state)
{
    static const struct {
        const char *name;
        unsigned code;
    } codes[] = {
        {"PING", 1},        {"ECHO", 2},         {"QUIT", 3},
        {"COMMAND", 4},     {"CONFIG", 5},       {"INFO", 6},
        {"TIME", 7},        {"DBSIZE", 8},       {"SELECT", 9},
        {"SET", 10},        {"GET", 11},         {"DEL", 12},
        {"EXISTS", 13},     {"INCR", 14},        {"DECR", 15},
        {"INCRBY", 16},     {"DECRBY", 17},      {"MGET", 18},
        {"MSET", 19},       {"SCAN", 20},        {"FLUSHALL", 21},
        {"FLUSHDB", 22},    {"STRLEN", 23},      {"APPEND", 24},
        {"GETSET", 25},     {"SETNX", 26},       {"GETDEL", 27},
        {"MSETNX", 28},     {"GETRANGE", 29},    {"SETRANGE", 30},
        {"SUBSTR", 31},     {"INCRBYFLOAT", 32}, {"UNLINK", 33},
        {"TYPE", 34},       {"KEYS", 35},        {"RANDOMKEY", 36},
        {"TOUCH", 37},      {"RENAME", 38},      {"RENAMENX", 39},
        {"COPY", 40},       {"HELLO", 41},       {"RESET", 42},
        {"CLIENT", 43},     {"EXPIRE", 44},      {"EXPIREAT", 45},
        {"EXPIRETIME", 46}, {"GETEX", 47},       {"PERSIST", 48},
        {"PEXPIRE", 49},    {"PEXPIREAT", 50},   {"PEXPIRETIME", 51},
        {"PSETEX", 52},     {"PTTL", 53},        {"SETEX", 54},
        {"TTL", 55},        {"UNWATCH", 56},     {"CONCORDKV", 200},
        {"LASTSAVE", 201},  {"CLUSTER", 202},    {"READONLY", 203},
        {"READWRITE", 204}, {"WAIT", 205},       {"MULTI", 210},
        {"EXEC", 211},      {"DISCARD", 212},    {"WATCH", 213},
    };
    unsigned n;

    (void)state;
    (void)command_table(&n);
    assert_int_equal(n, sizeof codes / sizeof codes[0]);
    for (unsigned i = 0; i < n; i++) {
        struct bytes name = {(const uint8_t *)codes[i].name,
                             strlen(codes[i].name)};
        assert_int_equal(command_find(name)->code, codes[i].code);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_command_ping_and_echo_answer),
        TEST(test_command_select_knows_one_database),
        TEST(test_command_unknown_name_is_told_with_arguments),
        TEST(test_command_unknown_name_with_many_arguments),
        TEST(test_command_arity_is_checked_for_all),
        TEST(test_command_key_beyond_limit_is_refused),
        TEST(test_command_value_beyond_limit_is_refused),
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
        TEST(test_command_del_exists_dbsize),
        TEST(test_command_flush_empties),
        TEST(test_command_scan_small_is_whole),
        TEST(test_command_scan_gives_each_key_once),
        TEST(test_command_scan_survives_changes),
        TEST(test_command_scan_after_goes_on_behind_a_key),
        TEST(test_command_scan_bad_arguments_are_told),
        TEST(test_command_scan_oversized_pattern_is_refused),
        TEST(test_command_reply_beyond_limit_becomes_an_error),
        TEST(test_command_run_without_check_gives_errors),
        TEST(test_command_command_describes),
        TEST(test_command_command_lists_are_complete),
        TEST(test_command_command_limits_names_and_patterns),
        TEST(test_command_subcommand_errors),
        cmocka_unit_test(test_command_table_is_sound),
        cmocka_unit_test(test_command_codes_never_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
