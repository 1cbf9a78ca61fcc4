/* Options: where they come from, what is refused by name, --help, CONFIG GET.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/cluster_id.h"
#include "node/config.h"
#include "node/command.h"
#include "node/config_command.h"

enum { ARGS_MAX = 16 };
static struct config config;
static struct err_info info;
static const char *env_name, *env_value;

static const char *environment(const char *name)
{
    return env_name != NULL && strcmp(name, env_name) == 0 ? env_value : NULL;
}

/* Load with --data-dir given and then args, ended by NULL. */
static int load(const char *first, ...)
{
    char *argv[ARGS_MAX] = {"concordkv", "--data-dir", "/d"};
    int argc = 3;
    va_list args;

    va_start(args, first);
    for (const char *a = first; a != NULL; a = va_arg(args, const char *)) {
        argv[argc++] = (char *)(uintptr_t)a;
    }
    va_end(args);
    return config_load(&config, argc, argv, environment, &info);
}

static int clear_env(void **state)
{
    (void)state;
    env_name = NULL;
    return 0;
}

static void test_config_nothing_given_has_the_defaults(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_string_equal(config.data_dir, "/d");
    assert_int_equal(config.election_timeout_ms, 300);
    assert_int_equal(config.segment_bytes, 64 << 20);
    assert_string_equal(config.aio_filesystems, "ext4,xfs");
}

static void test_config_flag_wins_over_environment_over_default(void **state)
{
    (void)state;
    env_name = "CONCORDKV_ELECTION_TIMEOUT_MS";
    env_value = "500";
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_int_equal(config.election_timeout_ms, 500);
    assert_int_equal(load("--election-timeout-ms", "700", NULL), CONFIG_RUN);
    assert_int_equal(config.election_timeout_ms, 700);
    assert_int_equal(load("--election-timeout-ms=800", NULL), CONFIG_RUN);
    assert_int_equal(config.election_timeout_ms, 800);
}

static void test_config_bytes_take_suffixes(void **state)
{
    (void)state;
    assert_int_equal(load("--segment-bytes", "8M", NULL), CONFIG_RUN);
    assert_int_equal(config.segment_bytes, 8 << 20);
    assert_int_equal(load("--segment-bytes", "1g", NULL), CONFIG_RUN);
    assert_int_equal(config.segment_bytes, 1 << 30);
    assert_int_equal(load("--segment-bytes", "2048k", NULL), CONFIG_RUN);
    assert_int_equal(config.segment_bytes, 2 << 20);
    assert_int_equal(load("--segment-bytes", "1048576", NULL), CONFIG_RUN);
    assert_int_equal(config.segment_bytes, 1 << 20);
}

static void test_config_bad_value_is_refused_by_name(void **state)
{
    static const char *const bad[] = {
        "",    "-1",  "x",    "49",  "60001",
        " 60", "60 ", "60ms", "6e1", "99999999999999999999"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(load("--election-timeout-ms", bad[i], NULL),
                         ERR_INVALID);
        assert_non_null(strstr(info.message, "--election-timeout-ms: "));
        assert_non_null(strstr(info.message, "ms from 50 to 60000"));
    }
    env_name = "CONCORDKV_MAX_CLIENTS";
    env_value = "many\n";
    assert_int_equal(load(NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "CONCORDKV_MAX_CLIENTS: \"many\\x0a"));
}

static void test_config_bytes_out_of_range_are_refused(void **state)
{
    static const char *const bad[] = {"1023k", "2g", "16x",
                                      "1mb",   "m",  "18446744073709551615g"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(load("--segment-bytes", bad[i], NULL), ERR_INVALID);
        assert_non_null(strstr(info.message, "from 1m to 1g"));
    }
}

static void test_config_malformed_command_line_is_explained(void **state)
{
    (void)state;
    assert_int_equal(load("--election-timeout", "1", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "did you mean --election-timeout-ms"));
    assert_int_equal(load("serve", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "serve is not an option"));
    assert_int_equal(load("--", NULL), ERR_INVALID);
    assert_int_equal(load("--id", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "--id: needs a value"));
    assert_int_equal(load("--log-level", "loud", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "error, warn, info, debug"));
    assert_int_equal(load("--listen-client", "nowhere", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "--listen-client: \"nowhere\""));
    assert_int_equal(load("--listen-peer", "", NULL), ERR_INVALID);
    assert_int_equal(load("--initial-cluster", "1=a", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "--initial-cluster: "));
    assert_int_equal(load("--heartbeat-ms", "200", NULL), ERR_INVALID);
    assert_int_equal(load("--data-dir", "", NULL), ERR_INVALID);
    assert_non_null(strstr(info.message, "--data-dir: must not be empty"));
}

static void test_config_required_option_missing_is_named(void **state)
{
    char *argv[] = {"concordkv"};

    (void)state;
    assert_int_equal(config_load(&config, 1, argv, environment, &info),
                     ERR_INVALID);
    assert_non_null(strstr(info.message, "CONCORDKV_DATA_DIR"));
}

static void test_config_text_at_its_limit_fits_longer_is_refused(void **state)
{
    char text[CONFIG_NAME_MAX + 1];

    (void)state;
    memset(text, 'n', sizeof text);
    text[CONFIG_NAME_MAX - 1] = '\0';
    assert_int_equal(load("--cluster-name", text, NULL), CONFIG_RUN);
    assert_string_equal(config.cluster_name, text);
    text[CONFIG_NAME_MAX - 1] = 'n';
    text[CONFIG_NAME_MAX] = '\0';
    assert_int_equal(load("--cluster-name", text, NULL), ERR_INVALID);
}

static void test_config_help_and_version_win_over_bad_options(void **state)
{
    (void)state;
    assert_int_equal(load("--nonsense", "--help", NULL), CONFIG_HELP);
    assert_int_equal(load("--version", NULL), CONFIG_VERSION);
}

static void test_config_help_names_every_option_in_80_columns(void **state)
{
    size_t size = config_help(NULL, 0);
    char *text = malloc(size + 1);
    char value[CONFIG_VALUE_MAX];
    const char *name;
    char flag[CONFIG_NAME_MAX + 8];

    (void)state;
    assert_non_null(text);
    assert_int_equal(config_help(text, size + 1), size);
    assert_int_equal(strlen(text), size);
    assert_int_equal(load(NULL), CONFIG_RUN);
    for (unsigned i = 0; config_show(&config, i, &name, value); i++) {
        snprintf(flag, sizeof flag, "\n  --%s <", name);
        assert_non_null(strstr(text, flag));
    }
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        assert_true(length <= 100 && (line[2] == '-' || length <= 80));
        line += length + 1;
    }
    free(text);
}

/* The sources' root, from the path of this file. */
static void root_path(const char *name, char *out, size_t out_size)
{
    static const char here[] = "tests/unit/shell/test_config.c";
    size_t root = strlen(__FILE__) - (sizeof here - 1);

    assert_string_equal(__FILE__ + root, here);
    snprintf(out, out_size, "%.*s%s", (int)root, __FILE__, name);
}

static void test_config_readme_has_the_text_of_help(void **state)
{
    size_t size = config_help(NULL, 0);
    char *help = malloc(size + 1);
    char *readme = calloc(1, 1 << 16);
    char path[1024];
    FILE *f;

    (void)state;
    root_path("node/README.md", path, sizeof path);
    f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(readme);
    assert_true(fread(readme, 1, (1 << 16) - 1, f) > size);
    fclose(f);
    config_help(help, size + 1);
#ifndef CONCORDKV_DEBUG /* which has another default of --log-level */
    assert_non_null(strstr(readme, help));
#endif
    free(help);
    free(readme);
}

static void test_config_complete_own_address_comes_from_the_list(void **state)
{
    (void)state;
    assert_int_equal(load("--id", "2", "--initial-cluster", "1=a:1,2=b:2",
                          "--listen-peer", "0.0.0.0:2", NULL),
                     CONFIG_RUN);
    assert_int_equal(config_complete(&config, 0, "", &info), 0);
    assert_string_equal(config.advertise_peer, "b:2");
    assert_string_equal(config.advertise_client, "127.0.0.1:6379");
}

static void test_config_complete_wildcard_is_not_advertised(void **state)
{
    (void)state;
    assert_int_equal(load("--id", "2", "--initial-cluster", "1=a:1,2=[::1]:2",
                          "--listen-client", "0.0.0.0:6000", NULL),
                     CONFIG_RUN);
    assert_int_equal(config_complete(&config, 0, "", &info), 0);
    assert_string_equal(config.advertise_client, "[::1]:6000");
    assert_int_equal(load("--id", "2", "--listen-client", "0.0.0.0:6000",
                          "--advertise-client", "b:1", NULL),
                     CONFIG_RUN);
    assert_int_equal(config_complete(&config, 0, "", &info), 0);
    assert_string_equal(config.advertise_client, "b:1");
}

static void test_config_complete_later_start_needs_only_the_dir(void **state)
{
    (void)state;
    assert_int_equal(load(NULL), CONFIG_RUN);
    assert_int_equal(config_complete(&config, 3, "1=a:1,3=c:3", &info), 0);
    assert_int_equal(config.id, 3);
    assert_int_equal(config.n_initial, 2);
    assert_string_equal(config.advertise_peer, "c:3");
}

static void test_config_complete_alone_is_a_cluster_of_one(void **state)
{
    (void)state;
    assert_int_equal(load("--id", "7", NULL), CONFIG_RUN);
    assert_int_equal(config_complete(&config, 0, "", &info), 0);
    assert_int_equal(config.n_initial, 1);
    assert_int_equal(config.initial[0].id, 7);
    assert_string_equal(config.initial[0].address, "127.0.0.1:7379");
}

static void test_cluster_id_depends_on_name_and_members_only(void **state)
{
    uint8_t a[16], b[16];

    (void)state;
    load("--initial-cluster", "1=a:1,2=b:2", "--id", "1", NULL);
    cluster_id_make(&config, a);
    load("--initial-cluster", "2=b:2,1=a:1", "--id", "2", NULL);
    cluster_id_make(&config, b);
    assert_memory_equal(a, b, sizeof a);
    load("--initial-cluster", "1=a:1,2=b:3", NULL);
    cluster_id_make(&config, b);
    assert_memory_not_equal(a, b, sizeof a);
    load("--initial-cluster", "1=a:1,2=b:2", "--cluster-name", "x", NULL);
    cluster_id_make(&config, b);
    assert_memory_not_equal(a, b, sizeof a);
}

/* ---- CONFIG GET
 * ------------------------------------------------------------*/

static unsigned n_changed, n_reset;

static void changed(void *ctx)
{
    (void)ctx;
    n_changed++;
}

static void reset(void *ctx)
{
    (void)ctx;
    n_reset++;
}

/* CONFIG and these words, separated by blanks; '_' stands for no bytes. */
static void expect_config(const char *words, const char *reply)
{
    const struct config_hooks hooks = {NULL, changed, reset};
    struct bytes argv[16] = {{(const uint8_t *)"CONFIG", 6}};
    char copy[512];
    char *save = NULL;
    uint32_t argc = 1;
    struct buffer b;

    assert_true(strlen(words) < sizeof copy);
    strcpy(copy, words);
    for (char *w = strtok_r(copy, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save)) {
        argv[argc].data = (const uint8_t *)w;
        argv[argc++].size = strcmp(w, "_") == 0 ? 0 : strlen(w);
    }
    buffer_init(&b);
    if (command_check(argc, argv, &b) != NULL) {
        config_command(&config, &hooks, argc, argv, &b);
    }
    buffer_append(&b, "", 1);
    assert_string_equal((const char *)buffer_data(&b), reply);
    buffer_close(&b);
}

static void expect_config_get(const char *pattern, const char *reply)
{
    char words[128];

    snprintf(words, sizeof words, "GET %s", pattern);
    expect_config(words, reply);
}

static void test_config_command_get_answers_by_glob(void **state)
{
    (void)state;
    load("--election-timeout-ms", "400", NULL);
    expect_config_get("ELECTION-*",
                      "*2\r\n$19\r\nelection-timeout-ms\r\n$3\r\n400\r\n");
    expect_config_get("save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
    expect_config_get("nothing", "*0\r\n");
    expect_config_get("append*", "*4\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n"
                                 "$11\r\nappendfsync\r\n$6\r\nalways\r\n");
}

static void test_config_command_get_repeats_the_name_as_asked(void **state)
{
    (void)state;
    load(NULL);
    expect_config_get("MaxClients",
                      "*2\r\n$10\r\nMaxClients\r\n$5\r\n10000\r\n");
    expect_config("GET timeout max-clients",
                  "*4\r\n$11\r\nmax-clients\r\n$5\r\n10000\r\n"
                  "$7\r\ntimeout\r\n$1\r\n0\r\n");
    expect_config_get("_", "*0\r\n");
    expect_config_get("nothing*", "*0\r\n");
}

static void test_config_command_set_changes_all_pairs_or_none(void **state)
{
    (void)state;
    load(NULL);
    n_changed = 0;
    expect_config("SET max-clients 7 Client-Output-Bytes 2m", "+OK\r\n");
    assert_int_equal(config.max_clients, 7);
    assert_int_equal(config.client_output_bytes, 2 << 20);
    assert_int_equal(n_changed, 1);
    expect_config("SET max-clients 8 data-dir /elsewhere",
                  "-ERR CONFIG SET failed (possibly related to argument "
                  "'data-dir') - can't set immutable config\r\n");
    expect_config("SET max-clients 8 foo 1",
                  "-ERR Unknown option or number of arguments for CONFIG SET "
                  "- 'foo'\r\n");
    expect_config("SET max-clients 8 MAX-CLIENTS 9",
                  "-ERR CONFIG SET failed (possibly related to argument "
                  "'MAX-CLIENTS') - duplicate parameter\r\n");
    expect_config("SET max-clients 8 batch-delay-ms soon",
                  "-ERR CONFIG SET failed (possibly related to argument "
                  "'batch-delay-ms') - batch-delay-ms: \"soon\" is not a "
                  "number of ms from 1 to 1000\r\n");
    expect_config("SET max-clients _",
                  "-ERR CONFIG SET failed (possibly related to argument "
                  "'max-clients') - max-clients: \"\" is not a number of "
                  "connections from 1 to 1000000\r\n");
    assert_int_equal(config.max_clients, 7);
    assert_int_equal(n_changed, 1);
}

static void test_config_command_set_takes_the_names_of_redis(void **state)
{
    (void)state;
    load(NULL);
    expect_config("SET maxclients 5 timeout 3", "+OK\r\n");
    assert_int_equal(config.max_clients, 5);
    assert_int_equal(config.client_idle_timeout_ms, 3000);
    expect_config("SET timeout -1",
                  "-ERR CONFIG SET failed (possibly related to argument "
                  "'timeout') - argument couldn't be parsed into an "
                  "integer\r\n");
    expect_config("SET appendonly no",
                  "-ERR CONFIG SET failed (possibly related to argument "
                  "'appendonly') - can't set immutable config\r\n");
    expect_config("SET log-level debug", "+OK\r\n");
    assert_int_equal(config.trace_max, TRACE_DEBUG);
}

static void test_config_command_get_limits_its_patterns(void **state)
{
    static uint8_t long_pattern[4097];
    static struct bytes argv[2 + 129];
    const struct config_hooks hooks = {NULL, changed, reset};
    struct buffer b;

    (void)state;
    load(NULL);
    buffer_init(&b);
    memset(long_pattern, '*', sizeof long_pattern);
    argv[0] = (struct bytes){(const uint8_t *)"CONFIG", 6};
    argv[1] = (struct bytes){(const uint8_t *)"GET", 3};
    for (size_t i = 2; i < 2 + 129; i++) {
        argv[i] = (struct bytes){(const uint8_t *)"id", 2};
    }
    config_command(&config, &hooks, 2 + 128, argv, &b);
    assert_int_equal(buffer_data(&b)[0], '*');
    buffer_clear(&b);
    config_command(&config, &hooks, 2 + 129, argv, &b);
    argv[2] = (struct bytes){long_pattern, sizeof long_pattern};
    config_command(&config, &hooks, 3, argv, &b);
    buffer_append(&b, "", 1);
    assert_string_equal((const char *)buffer_data(&b),
                        "-ERR more than 128 patterns\r\n"
                        "-ERR pattern is too long\r\n");
    buffer_close(&b);
}

/* Every option says whether it may be set, and those that may, can be. */
static void test_config_command_set_to_its_own_value_always_works(void **state)
{
    char value[CONFIG_VALUE_MAX];
    const char *name;
    unsigned n_live = 0, n_fixed = 0;

    (void)state;
    load(NULL);
    for (unsigned i = 0; config_show(&config, i, &name, value); i++) {
        struct bytes n = {(const uint8_t *)name, strlen(name)};
        struct bytes v = {(const uint8_t *)value, strlen(value)};
        int rc = config_set(&config, n, v, &info);
        assert_true(rc == 0 || rc == ERR_ACCESS);
        n_live += rc == 0;
        n_fixed += rc != 0;
    }
    assert_true(n_live >= 20 && n_fixed >= 10);
}

static void test_config_command_other_subcommands(void **state)
{
    (void)state;
    load(NULL);
    n_reset = 0;
    expect_config("RESETSTAT", "+OK\r\n");
    assert_int_equal(n_reset, 1);
    expect_config("RESETSTAT x", "-ERR wrong number of arguments for "
                                 "'config|resetstat' command\r\n");
    expect_config("REWRITE", "-ERR The server is running without a config "
                             "file\r\n");
    expect_config("SET a", "-ERR wrong number of arguments for 'config|set' "
                           "command\r\n");
    expect_config("SET a 1 b", "-ERR syntax error\r\n");
    expect_config("FOO", "-ERR unknown subcommand 'FOO'. Try CONFIG "
                         "HELP.\r\n");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, clear_env)
    const struct CMUnitTest tests[] = {
        T(test_config_nothing_given_has_the_defaults),
        T(test_config_flag_wins_over_environment_over_default),
        T(test_config_bytes_take_suffixes),
        T(test_config_bad_value_is_refused_by_name),
        T(test_config_bytes_out_of_range_are_refused),
        T(test_config_malformed_command_line_is_explained),
        T(test_config_required_option_missing_is_named),
        T(test_config_text_at_its_limit_fits_longer_is_refused),
        T(test_config_help_and_version_win_over_bad_options),
        T(test_config_help_names_every_option_in_80_columns),
        T(test_config_readme_has_the_text_of_help),
        T(test_config_complete_own_address_comes_from_the_list),
        T(test_config_complete_wildcard_is_not_advertised),
        T(test_config_complete_later_start_needs_only_the_dir),
        T(test_config_complete_alone_is_a_cluster_of_one),
        T(test_cluster_id_depends_on_name_and_members_only),
        T(test_config_command_get_answers_by_glob),
        T(test_config_command_get_repeats_the_name_as_asked),
        T(test_config_command_set_changes_all_pairs_or_none),
        T(test_config_command_set_takes_the_names_of_redis),
        T(test_config_command_get_limits_its_patterns),
        T(test_config_command_set_to_its_own_value_always_works),
        T(test_config_command_other_subcommands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
