/* What a session knows of its client: HELLO, RESET, CLIENT, and replies of both
 * protocol versions, also where a write was begun under another one. */
#include "tests/unit/service/fake_replica.h"

#include <stdio.h>

#include "node/service_private.h"

struct node {
    struct replica replica;
    struct service *service;
    struct replica_events events;
    uint64_t now_ms;
    struct session *a, *b;
};

static uint64_t io_now_ms(void *ctx)
{
    return ((struct node *)ctx)->now_ms;
}

static uint64_t io_clock_ms(void *ctx)
{
    (void)ctx;
    return 1700000000000;
}

static uint64_t io_random(void *ctx)
{
    (void)ctx;
    return 100;
}

/* INFO and CONFIG of the shell. */
static void local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    (void)ctx;
    (void)session;
    (void)argc;
    (void)argv;
    if (command->code == COMMAND_CODE_INFO) {
        resp_bulk(reply, "text", 4);
    } else if (command->code == COMMAND_CODE_CONFIG) {
        resp_array(reply, 2);
        resp_bulk(reply, "a", 1);
        resp_bulk(reply, "1", 1);
    } else {
        resp_error(reply, "ERR none");
    }
}

static void output(void *ctx)
{
    (void)ctx;
}

static int setup(void **state)
{
    struct node *n = calloc(1, sizeof *n);
    struct service_options options;
    struct replica_io io;
    memset(&options, 0, sizeof options);
    memset(&io, 0, sizeof io);
    if (n == NULL) {
        return -1;
    }
    n->now_ms = 10000;
    io.ctx = n;
    io.now_ms = io_now_ms;
    io.clock_ms = io_clock_ms;
    io.random = io_random;
    fake_open(&n->replica, 1);
    if (service_new(&options, &io, local, n, &n->service) != 0) {
        return -1;
    }
    service_events(n->service, &n->events);
    if (session_open(n->service, output, n, &n->a) != 0 ||
        session_open(n->service, output, n, &n->b) != 0) {
        return -1;
    }
    service_attach(n->service, &n->replica);
    n->replica.term = 5;
    n->replica.leader_id = 1;
    n->replica.leading = true;
    n->events.changed(n->events.ctx);
    *state = n;
    return 0;
}

static int teardown(void **state)
{
    struct node *n = *state;
    if (n->a != NULL) {
        session_close(n->a);
    }
    session_close(n->b);
    service_free(n->service);
    fake_close(&n->replica);
    free(n);
    return 0;
}

static void submit(struct session *session, const char *line)
{
    struct bytes argv[16];
    uint32_t argc = 0;
    char copy[256];
    char *save = NULL;
    assert_true(strlen(line) < sizeof copy);
    strcpy(copy, line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save)) {
        argv[argc].data = (const uint8_t *)w;
        argv[argc++].size = strlen(w);
    }
    session_submit(session, argc, argv);
}

static void expect(struct session *session, const char *text)
{
    struct buffer *out = session_output(session);
    char got[4096];
    size_t size = buffer_size(out);
    assert_true(size < sizeof got);
    if (size > 0) {
        memcpy(got, buffer_data(out), size);
    }
    got[size] = '\0';
    buffer_consume(out, size);
    assert_string_equal(got, text);
}

static void say(struct session *session, const char *line, const char *text)
{
    submit(session, line);
    expect(session, text);
}

/* Apply what was proposed, confirm what was asked. */
static void settle(struct node *n)
{
    struct replica *r = &n->replica;
    while (r->n_applied < r->n_entries) {
        struct fake_entry *e = &r->entries[r->n_applied++];
        fake_apply(r, &n->events, e->term, e->block, e->size);
    }
    while (r->n_called < r->n_reads) {
        r->n_called++;
        r->reads[r->n_called - 1].cb(r->reads[r->n_called - 1].ctx, 0, 0);
    }
}

#define HELLO_BODY(proto, id)                                                  \
    "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n"          \
    "$5\r\nproto\r\n:" proto "\r\n$2\r\nid\r\n:" id "\r\n$4\r\nmode\r\n"       \
    "$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n"     \
    "*0\r\n"

static void test_client_hello_chooses_the_version(void **state)
{
    struct node *n = *state;
    say(n->a, "HELLO", "*14\r\n" HELLO_BODY("2", "1"));
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->a, "HELLO", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->b, "hello 2 setname bob", "*14\r\n" HELLO_BODY("2", "2"));
    say(n->b, "CLIENT GETNAME", "$3\r\nbob\r\n");
    say(n->a, "CLIENT GETNAME", "_\r\n");
    say(n->a, "HELLO 2", "*14\r\n" HELLO_BODY("2", "1"));
    say(n->a, "CLIENT GETNAME", "$-1\r\n");
}

static void test_client_hello_refused_changes_nothing(void **state)
{
    struct node *n = *state;
    say(n->a, "HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    say(n->a, "HELLO 3 AUTH default x",
        "-ERR AUTH <password> called without any password configured for the "
        "default user. Are you sure your configuration is correct?\r\n");
    say(n->a, "HELLO 3 SETNAME ok FOO",
        "-ERR Syntax error in HELLO option 'FOO'\r\n");
    say(n->a, "CLIENT GETNAME", "$-1\r\n");
}

/* Each request is answered in the version it was sent under. */
static void test_client_version_changes_within_a_pipeline(void **state)
{
    struct node *n = *state;
    submit(n->a, "GETSET k 1");
    submit(n->a, "HELLO 3");
    submit(n->a, "GETDEL k");
    submit(n->a, "GETDEL k");
    submit(n->a, "GET k");
    submit(n->a, "RESET");
    submit(n->a, "MGET k");
    expect(n->a, "");
    settle(n);
    settle(n);
    expect(n->a,
           "$-1\r\n%7\r\n" HELLO_BODY("3", "1") "$1\r\n1\r\n_\r\n_\r\n"
                                                "+RESET\r\n*1\r\n$-1\r\n");
}

/* The entry is the same whatever the session speaks, and so is its effect. */
static void test_client_version_does_not_reach_the_log(void **state)
{
    struct node *n = *state;
    struct fake_entry *e;
    struct proposal p, q;
    say(n->a, "HELLO 3 SETNAME x", "%7\r\n" HELLO_BODY("3", "1"));
    submit(n->a, "SET k v XX GET");
    submit(n->b, "SET k v XX GET");
    assert_int_equal(n->replica.n_entries, 2);
    e = n->replica.entries;
    assert_int_equal(e[0].size, e[1].size);
    assert_int_equal(proposal_decode(e[0].block, e[0].size, &p), 0);
    assert_int_equal(proposal_decode(e[1].block, e[1].size, &q), 0);
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
    expect(n->b, "$-1\r\n");
}

static void test_client_nulls_among_values_are_converted(void **state)
{
    struct node *n = *state;
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    submit(n->a, "MSET a $-1 b *-1");
    submit(n->b, "MGET a none b none");
    settle(n);
    expect(n->a, "+OK\r\n");
    settle(n);
    expect(n->b, "*4\r\n$3\r\n$-1\r\n$-1\r\n$3\r\n*-1\r\n$-1\r\n");
    submit(n->a, "MGET a none b none");
    submit(n->a, "MGET");
    submit(n->a, "RANDOMKEY");
    settle(n);
    expect(n->a, "*4\r\n$3\r\n$-1\r\n_\r\n$3\r\n*-1\r\n_\r\n"
                 "-ERR wrong number of arguments for 'mget' command\r\n"
                 "$1\r\na\r\n");
}

static void test_client_maps_and_texts_of_the_shell(void **state)
{
    struct node *n = *state;
    say(n->a, "INFO", "$4\r\ntext\r\n");
    say(n->a, "CONFIG GET a", "*2\r\n$1\r\na\r\n$1\r\n1\r\n");
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->a, "INFO", "=8\r\ntxt:text\r\n");
    say(n->a, "CONFIG GET a", "%1\r\n$1\r\na\r\n$1\r\n1\r\n");
    say(n->a, "LASTSAVE", "-ERR none\r\n");
    say(n->a, "TIME", "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n");
    say(n->a, "COMMAND INFO none", "*1\r\n_\r\n");
    say(n->a, "COMMAND DOCS none", "%0\r\n");
}

static void test_client_names_and_ids(void **state)
{
    struct node *n = *state;
    say(n->a, "CLIENT ID", ":1\r\n");
    say(n->b, "CLIENT ID", ":2\r\n");
    say(n->a, "CLIENT SETNAME alice", "+OK\r\n");
    say(n->a, "CLIENT GETNAME", "$5\r\nalice\r\n");
    say(n->a, "CLIENT SETINFO LIB-NAME py", "+OK\r\n");
    say(n->a, "CLIENT SETINFO lib-ver 1.2", "+OK\r\n");
    say(n->a, "CLIENT SETINFO foo 1.2", "-ERR Unrecognized option 'foo'\r\n");
    say(n->a, "CLIENT SETINFO lib-ver \x01",
        "-ERR lib-ver cannot contain spaces, newlines or special "
        "characters.\r\n");
    session_set_address(n->a, "127.0.0.1:5", "127.0.0.1:6");
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
    say(n->a, "CLIENT GETNAME", "$-1\r\n");
    say(n->a, "HELLO 3", "%7\r\n" HELLO_BODY("3", "1"));
    say(n->a, "CLIENT LIST ID 77", "=4\r\ntxt:\r\n");
}

static void test_client_list_shows_all_oldest_first(void **state)
{
    struct node *n = *state;
    submit(n->b, "CLIENT LIST");
    {
        struct buffer *out = session_output(n->b);
        char text[1024];
        assert_true(buffer_size(out) < sizeof text);
        memcpy(text, buffer_data(out), buffer_size(out));
        text[buffer_size(out)] = '\0';
        assert_non_null(strstr(text, "\nid=1 "));
        assert_non_null(strstr(text, "cmd=NULL"));
        assert_true(strstr(text, "id=2 ") > strstr(text, "id=1 "));
    }
}

static void test_client_kill_ends_the_session(void **state)
{
    struct node *n = *state;
    say(n->b, "CLIENT KILL ID 77", ":0\r\n");
    say(n->b, "CLIENT KILL ID 2", ":0\r\n");
    assert_false(session_finished(n->b));
    say(n->b, "CLIENT KILL ID 1", ":1\r\n");
    assert_true(session_finished(n->a));
    assert_false(session_ready(n->a));
    session_close(n->a);
    n->a = NULL;
    say(n->b, "CLIENT KILL ID 1", ":0\r\n");
    say(n->b, "CLIENT KILL ID 2 SKIPME no", ":1\r\n");
    assert_true(session_finished(n->b));
}

static void test_client_kill_by_address_is_answered_by_a_word(void **state)
{
    struct node *n = *state;
    session_set_address(n->a, "10.0.0.1:5", "10.0.0.9:6379");
    session_set_address(n->b, "10.0.0.2:5", "10.0.0.9:6379");
    say(n->b, "CLIENT KILL 10.0.0.1:6", "-ERR No such client\r\n");
    say(n->b, "CLIENT KILL 10.0.0.1:5", "+OK\r\n");
    assert_true(session_finished(n->a));
    /* The old form does not spare the one who asks. */
    say(n->b, "CLIENT KILL 10.0.0.2:5", "+OK\r\n");
    assert_true(session_finished(n->b));
}

static void test_client_kill_filters_have_to_fit_all(void **state)
{
    struct node *n = *state;
    session_set_address(n->a, "10.0.0.1:5", "10.0.0.9:6379");
    session_set_address(n->b, "10.0.0.2:5", "10.0.0.9:6379");
    say(n->b, "CLIENT KILL ADDR 10.0.0.1:5 ID 2", ":0\r\n");
    say(n->b, "CLIENT KILL ADDR 10.0.0.1:5 TYPE pubsub", ":0\r\n");
    say(n->b, "CLIENT KILL LADDR 10.0.0.8:6379", ":0\r\n");
    say(n->b, "CLIENT KILL USER nobody", "-ERR No such user 'nobody'\r\n");
    say(n->b, "CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    say(n->b, "CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n");
    assert_false(session_finished(n->a));
    say(n->b, "CLIENT KILL TYPE normal USER default LADDR 10.0.0.9:6379",
        ":1\r\n");
    assert_true(session_finished(n->a));
    assert_false(session_finished(n->b));
    say(n->b, "CLIENT KILL SKIPME no", ":1\r\n");
    assert_true(session_finished(n->b));
}

static void test_client_list_by_type(void **state)
{
    struct node *n = *state;
    say(n->a, "CLIENT LIST TYPE pubsub", "$0\r\n\r\n");
    say(n->a, "CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    submit(n->a, "CLIENT LIST TYPE NORMAL");
    assert_true(buffer_size(session_output(n->a)) > 100);
}

/* A write that was sent is carried out although its client is killed. */
static void test_client_kill_leaves_a_sent_write(void **state)
{
    struct node *n = *state;
    submit(n->a, "SET k v");
    say(n->b, "CLIENT KILL ID 1", ":1\r\n");
    session_close(n->a);
    n->a = NULL;
    settle(n);
    submit(n->b, "GET k");
    settle(n);
    expect(n->b, "$1\r\nv\r\n");
}

static void test_client_name_beyond_limit_is_refused(void **state)
{
    static char name[1026];
    struct node *n = *state;
    struct bytes argv[3] = {{(const uint8_t *)"CLIENT", 6},
                            {(const uint8_t *)"SETNAME", 7},
                            {(const uint8_t *)name, 1024}};
    memset(name, 'x', sizeof name);
    session_submit(n->a, 3, argv);
    expect(n->a, "+OK\r\n");
    argv[2].size++;
    session_submit(n->a, 3, argv);
    expect(n->a, "-ERR client name is larger than 1024 bytes\r\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
