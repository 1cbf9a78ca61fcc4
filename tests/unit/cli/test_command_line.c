/* From argv to an invocation, and what is said about mistakes. */
#include "tests/unit/cli/printed.h"

#include "cli/command_line.h"

static const struct verb verbs[] = {
    {.name = "get",
     .usage = "KEY",
     .summary = "s",
     .options = OPTION_BIT(RAW) | OPTION_BIT(ENDPOINTS),
     .min_args = 1,
     .max_args = 1,
     .timeout_ms = 1000},
    {.name = "incr",
     .usage = "KEY [BY]",
     .summary = "s",
     .min_args = 1,
     .max_args = 2},
    {.name = "exec",
     .usage = "CMD",
     .summary = "s",
     .min_args = 1,
     .max_args = 99,
     .verbatim = true,
     .options = OPTION_BIT(DIRECT)},
    {.name = "leader", .usage = "", .summary = "s"},
    {.name = "leader transfer", .usage = "[ID]", .summary = "s", .max_args = 1},
    {.name = "local up",
     .usage = "",
     .summary = "s",
     .extra = true,
     .options = OPTION_BIT(NODES)},
    {.name = "local status", .usage = "", .summary = "s"},
};

enum { N_VERBS = sizeof(verbs) / sizeof(verbs[0]), WORDS_MAX = 16 };

static struct invocation in;
static struct err_info info;
static char *argv_copy[WORDS_MAX];

/* Parse words parted by blanks. */
static int parse(const char *line)
{
    static char text[200];
    int argc = 0;
    snprintf(text, sizeof(text), "%s", line);
    memset(argv_copy, 0, sizeof(argv_copy));
    info.message[0] = '\0';
    argv_copy[argc++] = (char *)"concordctl";
    for (char *word = strtok(text, " "); word != NULL;
         word = strtok(NULL, " ")) {
        argv_copy[argc++] = word;
    }
    return command_line_parse(&in, verbs, N_VERBS, argc, argv_copy, &info);
}

static void check_refused(const char *line, const char *words)
{
    assert_int_equal(parse(line), ERR_INVALID);
    if (strstr(info.message, words) == NULL) {
        fail_msg("'%s': '%s' does not say '%s'", line, info.message, words);
    }
}

static void test_command_line_options_stand_anywhere(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--output json get k --raw --timeout 2",
        "get -o json --raw --timeout=2s k", "-o=json get k --raw --timeout 2",
        "get --raw --timeout 2000ms -o json -- k"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        if (parse(lines[i]) != 0) {
            fail_msg("%s: %s", lines[i], info.message);
        }
        assert_string_equal(in.verb->name, "get");
        assert_int_equal(in.n_args, 1);
        assert_string_equal(in.args[0], "k");
        assert_int_equal(in.options.output, OUTPUT_JSON);
        assert_true(in.options.raw);
        assert_int_equal(in.options.timeout_ms, 2000);
    }
}

static void test_command_line_negative_number_is_an_argument(void **state)
{
    (void)state;
    assert_int_equal(parse("incr k -5"), 0);
    assert_string_equal(in.args[1], "-5");
    assert_int_equal(parse("incr -- --raw"), 0);
    assert_string_equal(in.args[0], "--raw");
}

static void test_command_line_exec_hands_everything_on(void **state)
{
    (void)state;
    assert_int_equal(parse("exec --direct SET k --raw -x"), 0);
    assert_true(in.options.direct);
    assert_int_equal(in.n_args, 4);
    assert_string_equal(in.args[2], "--raw");
    assert_false(in.options.raw);
}

static void test_command_line_local_has_two_words_and_extra(void **state)
{
    (void)state;
    assert_int_equal(parse("local --nodes 5 up -- --log-level debug"), 0);
    assert_string_equal(in.verb->name, "local up");
    assert_int_equal(in.options.nodes, 5);
    assert_int_equal(in.n_extra, 2);
    assert_string_equal(in.extra[0], "--log-level");
    check_refused("local status -- x", "local status");
    check_refused("local", "one of: up, status");
}

static void test_command_line_one_word_may_begin_another_verb(void **state)
{
    (void)state;
    assert_int_equal(parse("leader"), 0);
    assert_string_equal(in.verb->name, "leader");
    assert_int_equal(parse("leader -o json transfer 3"), 0);
    assert_string_equal(in.verb->name, "leader transfer");
    assert_int_equal(in.n_args, 1);
    assert_string_equal(in.args[0], "3");
    assert_int_equal(parse("help leader transfer"), ERR_EXISTS);
    assert_string_equal(in.verb->name, "leader transfer");
    check_refused("leader trasnfer", "'concordctl leader transfer'");
    /* A key called like the second word is none. */
    assert_int_equal(parse("get up"), 0);
    assert_string_equal(in.args[0], "up");
}

static void test_command_line_wrong_verb_is_guessed(void **state)
{
    (void)state;
    assert_int_equal(parse(""), ERR_NOTFOUND);
    assert_non_null(strstr(info.message, "no verb"));
    check_refused("gte k", "'concordctl get'");
    check_refused("set k v", "'concordctl put'");
    check_refused("start", "'concordctl local up'");
    check_refused("local statu", "'concordctl local status'");
    check_refused("frobnicate", "--help");
}

static void test_command_line_wrong_option_is_guessed(void **state)
{
    (void)state;
    check_refused("get k --rwa", "did you mean '--raw'");
    check_refused("get k --ouput=json", "did you mean '--output'");
    check_refused("get k --xyzzyxyzzy", "unknown option '--xyzzyxyzzy'");
    check_refused("get k -q", "unknown option '-q'");
    check_refused("get k -raw", "unknown option '-raw'");
}

static void test_command_line_wrong_value_is_named(void **state)
{
    (void)state;
    check_refused("get k --output yaml", "table|json");
    check_refused("get k --timeout never", "'never'");
    check_refused("get k --timeout", "needs a value");
    check_refused("get k --raw=1", "takes no value");
    check_refused("local up --nodes 0", "from 1 to 64");
    check_refused("local up --nodes 65", "from 1 to 64");
}

static void test_command_line_option_of_another_verb_is_refused(void **state)
{
    (void)state;
    check_refused("get k --nodes 3", "'get' takes no --nodes");
    check_refused("incr k --timeout 1", "'incr' takes no --timeout");
}

static void test_command_line_number_of_arguments_is_checked(void **state)
{
    (void)state;
    check_refused("get", "usage: concordctl get KEY");
    check_refused("get a b", "'b'");
}

static void test_command_line_help_is_asked_for_in_any_way(void **state)
{
    (void)state;
    assert_int_equal(parse("--help"), ERR_EXISTS);
    assert_null(in.verb);
    assert_int_equal(parse("help"), ERR_EXISTS);
    assert_null(in.verb);
    assert_int_equal(parse("get -h"), ERR_EXISTS);
    assert_string_equal(in.verb->name, "get");
    assert_int_equal(parse("help local up"), ERR_EXISTS);
    assert_string_equal(in.verb->name, "local up");
}

static void test_command_line_help_lists_verbs_options_and_codes(void **state)
{
    (void)state;
    struct printed p;
    printed_open(&p);
    command_line_print_help(p.out, verbs, N_VERBS);
    command_line_print_verb_help(p.out, &verbs[0]);
    printed_end(&p);
    assert_non_null(strstr(p.text, "  local up"));
    assert_non_null(strstr(p.text, "--endpoints"));
    assert_non_null(strstr(p.text, "  130 "));
    assert_non_null(strstr(p.text, "usage: concordctl get [OPTIONS] KEY"));
    assert_non_null(strstr(p.text, "  --raw"));
    for (char *line = strtok(p.text, "\n"); line != NULL;
         line = strtok(NULL, "\n")) {
        assert_true(strlen(line) <= 80);
    }
    printed_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line_options_stand_anywhere),
        cmocka_unit_test(test_command_line_negative_number_is_an_argument),
        cmocka_unit_test(test_command_line_exec_hands_everything_on),
        cmocka_unit_test(test_command_line_local_has_two_words_and_extra),
        cmocka_unit_test(test_command_line_one_word_may_begin_another_verb),
        cmocka_unit_test(test_command_line_wrong_verb_is_guessed),
        cmocka_unit_test(test_command_line_wrong_option_is_guessed),
        cmocka_unit_test(test_command_line_wrong_value_is_named),
        cmocka_unit_test(test_command_line_option_of_another_verb_is_refused),
        cmocka_unit_test(test_command_line_number_of_arguments_is_checked),
        cmocka_unit_test(test_command_line_help_is_asked_for_in_any_way),
        cmocka_unit_test(test_command_line_help_lists_verbs_options_and_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
