/* The prompt and the progress bar on a real pseudo terminal: what the screen
 * shows, at 80 and at 40 columns, also while the leader is killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/cluster.h"
#include "tests/lib/screen.h"

static struct cluster c;
static struct temp_dir state;
static struct screen s;

static int set_up(void **unused)
{
    struct cluster_options options = {.election_timeout_ms = 3000};
    char endpoints[CLUSTER_NODES_MAX * 32] = "";
    (void)unused;
    temp_dir_make(&state);
    setenv("XDG_STATE_HOME", state.path, 1);
    cluster_open(&c, &options);
    cluster_start(&c);
    for (unsigned i = 0; i < c.n_nodes; i++) {
        size_t at = strlen(endpoints);
        snprintf(endpoints + at, sizeof(endpoints) - at, "%s127.0.0.1:%u",
                 i > 0 ? "," : "", (unsigned)c.nodes[i].client_port);
    }
    setenv("CONCORDKV_ENDPOINTS", endpoints, 1);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    cluster_close(&c);
    temp_dir_remove(&state);
    return 0;
}

/* concordctl with one or two words, at that width. */
static void start(int columns, const char *verb, const char *argument)
{
    char *args[] = {(char *)CTL_PROGRAM, (char *)verb, (char *)argument, NULL};
    screen_start(&s, columns, args);
}

/* "leader N> " with what stands behind it. */
static const char *prompt_with(const char *typed)
{
    static char line[200];
    unsigned leader = cluster_wait_leader(&c);
    snprintf(line, sizeof(line), "leader %u>%s%s", leader + 1,
             typed[0] == '\0' ? "" : " ", typed);
    return line;
}

/* At the prompt: between two lines the terminal itself would take the key. */
static void leave(void)
{
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "\004");
    assert_int_equal(screen_wait(&s), 0);
}

static void test_prompt_commands_are_answered_as_by_redis_cli(void **unused)
{
    (void)unused;
    start(80, NULL, NULL);
    screen_expect(&s, "help explains, Ctrl-D leaves");
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "set greeting \"h\303\251llo w\"\r");
    screen_expect(&s, "OK");
    screen_type(&s, "get greeting\r");
    screen_expect(&s, "\"h\303\251llo w\"");
    screen_type(&s, "mget greeting none\r");
    screen_expect(&s, "2) (nil)");
    screen_type(&s, "incr greeting\r");
    screen_expect(&s, "(error) ERR value is not an integer");
    screen_type(&s, "get \"x\r");
    screen_expect(&s, "concordctl: a quote \" is not closed");
    screen_type(&s, "help get\r");
    screen_expect(&s, "Get the value of a key");
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "exit\r");
    assert_int_equal(screen_wait(&s), 0);
}

static void test_prompt_keys_edit_complete_and_recall(void **unused)
{
    (void)unused;
    start(80, NULL, NULL);
    screen_expect_line(&s, prompt_with(""));
    /* Unique: whole, with a blank. */
    screen_type(&s, "strl\tgreeting");
    screen_expect_line(&s, prompt_with("strlen greeting"));
    screen_type(&s, "\003"); /* Ctrl-C gives the line up */
    screen_expect_line(&s, prompt_with(""));
    /* Several: what they share, and with another Tab all of them. */
    screen_type(&s, "getr\t\t");
    screen_expect_line(&s, prompt_with("getrange"));
    screen_type(&s, "\025inspect \t");
    screen_expect(&s, "hardstate  log        snapshot");
    screen_expect_line(&s, prompt_with("inspect"));
    screen_type(&s, "\025get one\r");
    screen_expect(&s, "(nil)");
    screen_type(&s, " get secret\r");
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "\020"); /* Ctrl-P: the line before */
    screen_expect_line(&s, prompt_with("get one"));
    screen_type(&s, "\001\033d\013set one 1\r"); /* begin, word, rest */
    screen_expect(&s, "OK");
    screen_expect_line(&s, prompt_with(""));
    leave();

    /* Another session has the history, but not what began with a blank. */
    start(80, "prompt", NULL);
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "\020\020");
    screen_expect_line(&s, prompt_with("get one"));
    screen_type(&s, "\025");
    screen_expect_line(&s, prompt_with(""));
    leave();
}

static void test_prompt_goes_on_when_the_leader_dies(void **unused)
{
    char ready[200];
    unsigned leader = cluster_wait_leader(&c);
    (void)unused;
    start(80, NULL, NULL);
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "set before 1\r");
    screen_expect(&s, "OK");
    screen_expect_line(&s, prompt_with(""));
    cluster_node_kill(&c, leader);
    screen_type(&s, "get before\r");
    screen_expect(&s, "\"1\"");
    screen_expect_line(&s, prompt_with(""));
    snprintf(ready, sizeof(ready), "%s", prompt_with("incr n"));
    screen_type(&s, "incr n");
    screen_expect_line(&s, ready);
    screen_type(&s, "\r");
    screen_expect(&s, "(integer) 1");
    leave();
    cluster_node_start(&c, leader);
    cluster_wait_leader(&c);
}

/* "leader N (multi)> " */
static const char *multi_prompt(unsigned leader)
{
    static char line[64];
    snprintf(line, sizeof(line), "leader %u (multi)>", leader + 1);
    return line;
}

static void test_prompt_transaction_ends_with_its_connection(void **unused)
{
    unsigned leader = cluster_wait_leader(&c);
    (void)unused;
    start(80, NULL, NULL);
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "multi\r");
    screen_expect_line(&s, multi_prompt(leader));
    screen_type(&s, "append tx once\r");
    screen_expect(&s, "QUEUED");
    screen_expect_line(&s, multi_prompt(leader));
    screen_type(&s, "exec\r");
    screen_expect(&s, "1) (integer) 4");
    screen_expect_line(&s, prompt_with(""));

    screen_type(&s, "clear\r");
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "multi\r");
    screen_expect_line(&s, multi_prompt(leader));
    screen_type(&s, "append tx twice\r");
    screen_expect(&s, "QUEUED");
    screen_expect_line(&s, multi_prompt(leader));
    cluster_node_kill(&c, leader);
    /* Nothing of it may go to another node as a command of its own. */
    screen_type(&s, "append tx thrice\r");
    screen_expect(&s, "nothing of it happened; begin it again");
    screen_type(&s, "get tx\r");
    screen_expect(&s, "\"once\"");
    leave();
    cluster_node_start(&c, leader);
    cluster_wait_leader(&c);
}

static void test_prompt_40_columns_wrap_and_tables_become_blocks(void **unused)
{
    (void)unused;
    start(40, NULL, NULL);
    screen_expect_line(&s, prompt_with(""));
    /* 10 columns of prompt, 50 typed: the second row has the rest. */
    screen_type(&s, "set key "
                    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr");
    screen_expect_line(&s, "wxyzabcdefghijklmnopqr");
    screen_type(&s, "\025");
    screen_expect_line(&s, prompt_with(""));
    screen_type(&s, "leader\r");
    screen_expect(&s, "ID  ADDRESS");
    screen_type(&s, "status\r");
    screen_expect(&s, "LOG SIZE  ");
    screen_expect_line(&s, prompt_with(""));
    leave();
}

static void write_records(const char *path, int n)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    for (int i = 0; i < n; i++) {
        fprintf(out, "key%d\tvalue\n", i);
    }
    assert_int_equal(fclose(out), 0);
}

/* The leader alone can commit nothing, so the bar stands still to be looked at,
 * for as long as an election timeout at least. */
static void test_progress_bar_is_drawn_and_taken_away(void **unused)
{
    static const int widths[] = {80, 40};
    char path[TEMP_DIR_MAX + 32];
    (void)unused;
    snprintf(path, sizeof(path), "%s/records.tsv", state.path);
    write_records(path, 5000);
    for (size_t i = 0; i < 2; i++) {
        unsigned leader = cluster_wait_leader(&c);
        for (unsigned node = 0; node < c.n_nodes; node++) {
            if (node != leader) {
                cluster_node_pause(&c, node);
            }
        }
        start(widths[i], "import", path);
        screen_expect(&s, "import   0% [>");
        for (unsigned node = 0; node < c.n_nodes; node++) {
            if (node != leader) {
                cluster_node_resume(&c, node);
            }
        }
        assert_int_equal(screen_wait(&s), 0);
        assert_true(screen_has(&s, "acknowledged 5,000 records"));
        assert_false(screen_has(&s, "["));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        TEST(test_prompt_commands_are_answered_as_by_redis_cli),
        TEST(test_prompt_keys_edit_complete_and_recall),
        TEST(test_prompt_goes_on_when_the_leader_dies),
        TEST(test_prompt_transaction_ends_with_its_connection),
        TEST(test_prompt_40_columns_wrap_and_tables_become_blocks),
        TEST(test_progress_bar_is_drawn_and_taken_away),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
