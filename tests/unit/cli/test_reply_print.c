/* Replies as they are shown. */
#include "tests/unit/cli/printed.h"

#include "cli/reply_print.h"

enum how { TYPED, PLAIN, JSON };

static void check(enum how how, const char *protocol, const char *wanted)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    struct printed p;
    redisReaderFeed(reader, protocol, strlen(protocol));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    printed_open(&p);
    if (how == TYPED) {
        reply_print_typed(p.out, reply);
    } else if (how == PLAIN) {
        reply_print_text(p.out, reply, true);
    } else {
        struct json_writer w = json_writer(p.out);
        reply_print_json(&w, reply);
    }
    printed_expect(&p, wanted);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

static void test_reply_print_typed_is_as_in_redis_cli(void **state)
{
    (void)state;
    check(TYPED, "+OK\r\n", "OK\n");
    check(TYPED, ":-5\r\n", "(integer) -5\n");
    check(TYPED, "$-1\r\n", "(nil)\n");
    check(TYPED, "-ERR no\r\n", "(error) ERR no\n");
    check(TYPED, "$9\r\na \"b\\\n\x01\xc3\xa9\r\n",
          "\"a \\\"b\\\\\\n\\x01\xc3\xa9\"\n");
    check(TYPED, "*0\r\n", "(empty array)\n");
    check(TYPED, "*3\r\n:1\r\n$-1\r\n*2\r\n$1\r\na\r\n*0\r\n",
          "1) (integer) 1\n2) (nil)\n3) 1) \"a\"\n   2) (empty array)\n");
}

static void test_reply_print_typed_numbers_are_aligned(void **state)
{
    (void)state;
    check(TYPED,
          "*10\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n"
          "*2\r\n:0\r\n:1\r\n",
          " 1) (integer) 1\n 2) (integer) 2\n 3) (integer) 3\n"
          " 4) (integer) 4\n 5) (integer) 5\n 6) (integer) 6\n"
          " 7) (integer) 7\n 8) (integer) 8\n 9) (integer) 9\n"
          "10) 1) (integer) 0\n    2) (integer) 1\n");
}

static void test_reply_print_other_forms(void **state)
{
    (void)state;
    check(PLAIN, "*2\r\n:1\r\n*1\r\n$1\r\na\r\n", "1\n(1)\n  a\n");
    check(JSON, "*3\r\n:1\r\n$-1\r\n$1\r\na\r\n", "[1,null,\"a\"]");
    check(JSON, "$1\r\n\xff\r\n", "{\"base64\":\"/w==\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_print_typed_is_as_in_redis_cli),
        cmocka_unit_test(test_reply_print_typed_numbers_are_aligned),
        cmocka_unit_test(test_reply_print_other_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
