/* What a session knows of its client: HELLO, RESET, CLIENT, and replies of both
 * protocol versions, also where a write was begun under another one. */
#include "tests/unit/service/service_fixture.h"

#define HELLO_BODY(proto, id)                                                  \
    "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n"          \
    "$5\r\nproto\r\n:" proto "\r\n$2\r\nid\r\n:" id "\r\n$4\r\nmode\r\n"       \
    "$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n"     \
    "*0\r\n"

static void test_client_hello_chooses_the_version(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "HELLO", "*14\r\n" HELLO_BODY("2", "1"));
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->a, "HELLO", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->b, "hello 2 setname bob", "*14\r\n" HELLO_BODY("2", "2"));
    say(n->b, "CLIENT GETNAME", "$3\r\nbob\r\n");
    say(n->a, "CLIENT GETNAME", "_\r\n");
    say(n->a, "HELLO 2", "*14\r\n" HELLO_BODY("2", "1"));
    say(n->a, "CLIENT GETNAME", NONE);
}

static void test_client_hello_refused_changes_nothing(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    say(n->a, "HELLO 3 AUTH default x",
        "-ERR AUTH <password> called without any password configured for the "
        "default user. Are you sure your configuration is correct?\r\n");
    say(n->a, "HELLO 3 SETNAME ok FOO",
        "-ERR Syntax error in HELLO option 'FOO'\r\n");
    say(n->a, "CLIENT GETNAME", NONE);
}

/* Each request is answered in the version it was sent under. */
static void test_client_version_changes_within_a_pipeline(void **state)
{
    struct node *n = open_leader(state);
    pipeline(n->a, "GETSET k 1", "HELLO 3", "GETDEL k", "GETDEL k", "GET k",
             "RESET", "MGET k");
    expect(n->a, "");
    settle(n);
    expect(n->a,
           "$-1\r\n%7\r\n" HELLO_BODY("3", "1") "$1\r\n1\r\n_\r\n_\r\n"
                                                "+RESET\r\n*1\r\n$-1\r\n");
}

/* The entry is the same whatever the session speaks, and so is its effect. */
static void test_client_version_does_not_reach_the_log(void **state)
{
    struct node *n = open_leader(state);
    const struct fake_entry *e = n->replica.entries;
    struct proposal p, q;
    say(n->a, "HELLO 3 SETNAME x", "%7\r\n" HELLO_BODY("3", "1"));
    submit(n->a, "SET k v XX GET");
    submit(n->b, "SET k v XX GET");
    assert_int_equal(n->replica.n_entries, 2);
    assert_int_equal(e[0].size, e[1].size);
    decode_entry(n, 0, &p);
    decode_entry(n, 1, &q);
    q.request_id = p.request_id;
    assert_int_equal(p.code, q.code);
    assert_int_equal(p.argc, q.argc);
    for (uint32_t i = 1; i < p.argc; i++) {
        assert_int_equal(p.argv[i].size, q.argv[i].size);
        assert_memory_equal(p.argv[i].data, q.argv[i].data, p.argv[i].size);
    }
    proposal_clear(&p);
    proposal_clear(&q);
    settle(n);
    expect(n->a, "_\r\n");
    expect(n->b, NONE);
}

static void test_client_nulls_among_values_are_converted(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    submit(n->a, "MSET a $-1 b *-1");
    submit(n->b, "MGET a none b none");
    settle(n);
    expect(n->a, OK);
    expect(n->b, "*4\r\n$3\r\n$-1\r\n$-1\r\n$3\r\n*-1\r\n$-1\r\n");
    pipeline(n->a, "MGET a none b none", "MGET", "RANDOMKEY");
    settle(n);
    expect(n->a, "*4\r\n$3\r\n$-1\r\n_\r\n$3\r\n*-1\r\n_\r\n"
                 "-ERR wrong number of arguments for 'mget' command\r\n"
                 "$1\r\na\r\n");
}

static void test_client_maps_and_texts_of_the_shell(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "INFO cluster", "$30\r\n# Cluster\r\ncluster_enabled:1\r\n\r\n");
    say(n->a, "CONFIG GET a", "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->a, "INFO cluster",
        "=34\r\ntxt:# Cluster\r\ncluster_enabled:1\r\n\r\n");
    say(n->a, "CONFIG GET a", "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
    say(n->a, "LASTSAVE", "-ERR none\r\n");
    say(n->a, "TIME", "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    say(n->a, "COMMAND INFO none", "*1\r\n_\r\n");
    say(n->a, "COMMAND DOCS none", "%0\r\n");
}

static void test_client_names_and_ids(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CLIENT ID", ":1\r\n");
    say(n->b, "CLIENT ID", ":2\r\n");
    say(n->a, "CLIENT SETNAME alice", OK);
    say(n->a, "CLIENT GETNAME", "$5\r\nalice\r\n");
    say(n->a, "CLIENT SETINFO LIB-NAME py", OK);
    say(n->a, "CLIENT SETINFO lib-ver 1.2", OK);
    say(n->a, "CLIENT SETINFO foo 1.2", "-ERR Unrecognized option 'foo'\r\n");
    say(n->a, "CLIENT SETINFO lib-ver \x01",
        "-ERR lib-ver cannot contain spaces, newlines or special "
        "characters.\r\n");
    session_set_address(n->a->session, "127.0.0.1:5", "127.0.0.1:6");
    n->now_ms += 3000;
    say(n->a, "CLIENT INFO",
        "$156\r\nid=1 addr=127.0.0.1:5 laddr=127.0.0.1:6 name=alice age=3 "
        "idle=0 flags=N db=0 multi=-1 watch=0 "
        "omem=0 cmd=client user=default lib-name=py lib-ver=1.2 resp=2\n\r\n");
    say(n->a, "CLIENT LIST ID 2 77",
        "$111\r\nid=2 name= age=3 idle=3 flags=N db=0 multi=-1 watch=0 omem=0 "
        "cmd=client "
        "user=default lib-name= lib-ver= resp=2\n\r\n");
    say(n->a, "CLIENT LIST ID 2x", "-ERR Invalid client ID\r\n");
    say(n->a, "CLIENT LIST ID 77", "$0\r\n\r\n");
    say(n->a, "RESET", "+RESET\r\n");
    say(n->a, "CLIENT GETNAME", NONE);
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->a, "CLIENT LIST ID 77", "=4\r\ntxt:\r\n");
}

static void test_client_list_shows_all_oldest_first(void **state)
{
    struct node *n = open_leader(state);
    submit(n->b, "CLIENT LIST");
    assert_shows(n->b, "\r\nid=1 ");
    assert_shows(n->b, "cmd=NULL");
    assert_shows(n->b, "resp=2\nid=2 ");
}

static void test_client_kill_ends_the_session(void **state)
{
    struct node *n = open_leader(state);
    say(n->b, "CLIENT KILL ID 77", ":0\r\n");
    say(n->b, "CLIENT KILL ID 2", ":0\r\n");
    assert_false(session_finished(n->b->session));
    say(n->b, "CLIENT KILL ID 1", ":1\r\n");
    assert_true(session_finished(n->a->session));
    assert_false(session_ready(n->a->session));
    hang_up(n->a);
    say(n->b, "CLIENT KILL ID 1", ":0\r\n");
    say(n->b, "CLIENT KILL ID 2 SKIPME no", ":1\r\n");
    assert_true(session_finished(n->b->session));
}

static void test_client_kill_by_address_is_answered_by_a_word(void **state)
{
    struct node *n = open_leader(state);
    session_set_address(n->a->session, "10.0.0.1:5", "10.0.0.9:6379");
    session_set_address(n->b->session, "10.0.0.2:5", "10.0.0.9:6379");
    say(n->b, "CLIENT KILL 10.0.0.1:6", "-ERR No such client\r\n");
    say(n->b, "CLIENT KILL 10.0.0.1:5", OK);
    assert_true(session_finished(n->a->session));
    /* The old form does not spare the one who asks. */
    say(n->b, "CLIENT KILL 10.0.0.2:5", OK);
    assert_true(session_finished(n->b->session));
}

static void test_client_kill_filters_have_to_fit_all(void **state)
{
    struct node *n = open_leader(state);
    session_set_address(n->a->session, "10.0.0.1:5", "10.0.0.9:6379");
    session_set_address(n->b->session, "10.0.0.2:5", "10.0.0.9:6379");
    say(n->b, "CLIENT KILL ADDR 10.0.0.1:5 ID 2", ":0\r\n");
    say(n->b, "CLIENT KILL ADDR 10.0.0.1:5 TYPE pubsub", ":0\r\n");
    say(n->b, "CLIENT KILL LADDR 10.0.0.8:6379", ":0\r\n");
    say(n->b, "CLIENT KILL USER nobody", "-ERR No such user 'nobody'\r\n");
    say(n->b, "CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    say(n->b, "CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n");
    assert_false(session_finished(n->a->session));
    say(n->b, "CLIENT KILL TYPE normal USER default LADDR 10.0.0.9:6379",
        ":1\r\n");
    assert_true(session_finished(n->a->session));
    assert_false(session_finished(n->b->session));
    say(n->b, "CLIENT KILL SKIPME no", ":1\r\n");
    assert_true(session_finished(n->b->session));
}

static void test_client_list_by_type(void **state)
{
    struct node *n = open_leader(state);
    say(n->a, "CLIENT LIST TYPE pubsub", "$0\r\n\r\n");
    say(n->a, "CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    submit(n->a, "CLIENT LIST TYPE NORMAL");
    assert_true(buffer_size(session_output(n->a->session)) > 100);
}

/* A write that was sent is carried out although its client is killed. */
static void test_client_kill_leaves_a_sent_write(void **state)
{
    struct node *n = open_leader(state);
    submit(n->a, "SET k v");
    say(n->b, "CLIENT KILL ID 1", ":1\r\n");
    hang_up(n->a);
    settle(n);
    run(n->b, "GET k", "$1\r\nv\r\n");
}

static void test_client_name_beyond_limit_is_refused(void **state)
{
    static char name[1026];
    struct node *n = open_leader(state);
    struct bytes argv[3] = {{(const uint8_t *)"CLIENT", 6},
                            {(const uint8_t *)"SETNAME", 7},
                            {(const uint8_t *)name, 1024}};
    memset(name, 'x', sizeof name);
    session_submit(n->a->session, 3, argv);
    expect(n->a, OK);
    argv[2].size++;
    session_submit(n->a->session, 3, argv);
    expect(n->a, "-ERR client name is larger than 1024 bytes\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_client_hello_chooses_the_version),
        TEST(test_client_hello_refused_changes_nothing),
        TEST(test_client_version_changes_within_a_pipeline),
        TEST(test_client_version_does_not_reach_the_log),
        TEST(test_client_nulls_among_values_are_converted),
        TEST(test_client_maps_and_texts_of_the_shell),
        TEST(test_client_names_and_ids),
        TEST(test_client_list_shows_all_oldest_first),
        TEST(test_client_kill_ends_the_session),
        TEST(test_client_kill_by_address_is_answered_by_a_word),
        TEST(test_client_kill_filters_have_to_fit_all),
        TEST(test_client_list_by_type),
        TEST(test_client_kill_leaves_a_sent_write),
        TEST(test_client_name_beyond_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
