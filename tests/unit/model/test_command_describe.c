/* COMMAND and CONFIG: what the node tells of its own commands. */
#include "tests/unit/model/command_fixture.h"

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
        assert_reply_prefix(f, want);
    }
}

static void test_command_command_limits_names_and_patterns(void **state)
{
    static const char *const words[] = {"DOCS", "INFO"};
    static struct bytes argv[2 + 1025];
    struct bytes list[5] = {{(const uint8_t *)"COMMAND", 7},
                            {(const uint8_t *)"LIST", 4},
                            {(const uint8_t *)"FILTERBY", 8},
                            {(const uint8_t *)"PATTERN", 7}};
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
    check_pattern_limit(f, 5, list, "*0\r\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_command_command_describes),
        TEST(test_command_command_lists_are_complete),
        TEST(test_command_command_limits_names_and_patterns),
        TEST(test_command_subcommand_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
