/* What holds for all commands: the table, arity and limits of arguments and
 * replies, and the commands of a connection. Replies and errors byte for byte
 * as Redis 7 gives them, where the command is the same. */
#include "tests/lib/line.h"
#include "tests/unit/model/command_fixture.h"

/* ---- connection ---- */

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
    check(f, "QUIT", OK);
    check(f, "QUIT now", OK);
}

static void test_command_select_knows_one_database(void **state)
{
    struct fixture *f = *state;

    check(f, "SELECT 0", OK);
    check(f, "SELECT 1", "-ERR DB index is out of range\r\n");
    check(f, "SELECT -1", "-ERR DB index is out of range\r\n");
    check(f, "SELECT x", NOT_INTEGER);
    check(f, "SELECT 99999999999",
          "-ERR value is out of range, value must between -2147483648 and "
          "2147483647\r\n");
    check(f, "SELECT", ARITY("select"));
}

/* ---- errors of every command ---- */

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
    assert_reply(f, "MSET", OK);
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
    assert_reply(f, "SET", OK);
    check(f, "APPEND k x", TOO_LARGE);
    check(f, "STRLEN k", ":67108864\r\n");
    free(big);
}

/* Arguments that no check has seen come from the log. */
static void test_command_run_without_check_gives_errors(void **state)
{
    static const char *const lines[] = {
        "SET k v FOO",  "INCRBY k x", "DECRBY k x",     "MSET a 1 b",
        "FLUSHALL FOO", "SCAN x",     "SCAN 0 COUNT x", "SELECT x"};
    struct fixture *f = *state;

    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct line l;
        line_parse(&l, lines[i]);
        buffer_clear(&f->reply);
        command_find(l.argv[0])->run(&f->env, l.argc, l.argv, &f->reply);
        line_clear(&l);
        assert_int_equal(buffer_data(&f->reply)[0], '-');
    }
    check(f, "DBSIZE", ":0\r\n");
}

/* ---- the table ---- */

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
        TEST(test_command_run_without_check_gives_errors),
        cmocka_unit_test(test_command_table_is_sound),
        cmocka_unit_test(test_command_codes_never_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
