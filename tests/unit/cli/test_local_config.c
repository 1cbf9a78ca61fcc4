/* cluster.conf of a local cluster. */
#include "tests/unit/cli/printed.h"

#include "cli/local.h"

static struct local_config a;
static struct local_config b;

static void test_local_config_printed_is_read_back(void **state)
{
    (void)state;
    struct printed p;
    a = (struct local_config){
        .n_nodes = 3, .client_port = 7001, .peer_port = 7101, .n_extra = 2};
    strcpy(a.server, "/opt/with blank/concordkv");
    strcpy(a.extra[0], "--log-level");
    strcpy(a.extra[1], "");
    printed_open(&p);
    local_config_print(&a, p.out);
    printed_end(&p);
    assert_int_equal(local_config_parse(&b, p.text, NULL), 0);
    assert_int_equal(b.n_nodes, 3);
    assert_int_equal(b.client_port, 7001);
    assert_int_equal(b.peer_port, 7101);
    assert_string_equal(b.server, a.server);
    assert_int_equal(b.n_extra, 2);
    assert_string_equal(b.extra[0], "--log-level");
    assert_string_equal(b.extra[1], "");
    printed_free(&p);
}

static void check_refused(const char *text, int code)
{
    struct err_info info = {0, ""};
    assert_int_equal(local_config_parse(&b, text, &info), code);
    assert_non_null(strstr(info.message, "cluster.conf"));
}

static void test_local_config_wrong_text_is_refused(void **state)
{
    (void)state;
    char text[3000];
    check_refused("", ERR_CORRUPT);
    check_refused("nodes\n", ERR_CORRUPT);
    check_refused("nodes 0\n", ERR_CORRUPT);
    check_refused("nodes 65\n", ERR_CORRUPT);
    check_refused("client-port 70000\n", ERR_CORRUPT);
    check_refused("colour blue\n", ERR_CORRUPT);
    check_refused("nodes 3\nclient-port 1\npeer-port 9\n", ERR_CORRUPT);
    check_refused("concordctl-local 2\n", ERR_VERSION);
    memset(text, 'x', sizeof(text));
    memcpy(text, "server ", 7);
    text[sizeof(text) - 1] = '\0';
    check_refused(text, ERR_CORRUPT);
    text[LOCAL_PATH_MAX + 20] = '\0';
    check_refused(text, ERR_CORRUPT);
}

static void test_local_config_too_many_extra_words_are_refused(void **state)
{
    (void)state;
    char text[(LOCAL_EXTRA_MAX + 1) * 8 + 1] = "";
    for (int i = 0; i <= LOCAL_EXTRA_MAX; i++) {
        strcat(text, "extra x\n");
    }
    check_refused(text, ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_config_printed_is_read_back),
        cmocka_unit_test(test_local_config_wrong_text_is_refused),
        cmocka_unit_test(test_local_config_too_many_extra_words_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
