/* The request parser: every request at every split point, every error text,
 * limits before memory. And the replies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "node/resp.h"

static const struct resp_limits limits = {
    .n_args_max = 1024,
    .inline_max = 64 * 1024,
    .bulk_max = 1000,
    .request_max = 1024 * 1024,
};

/* Requests and their outcome as text: each request as its arguments in angle
 * brackets on a line, an error as its text, "..." for more bytes wanted. */
struct session {
    struct resp_parser parser;
    struct buffer in;
    struct buffer out;
    bool failed;
};

static void session_open(struct session *s)
{
    resp_parser_init(&s->parser, &limits);
    buffer_init(&s->in);
    buffer_init(&s->out);
    s->failed = false;
}

static void session_close(struct session *s)
{
    resp_parser_close(&s->parser);
    buffer_close(&s->in);
    buffer_close(&s->out);
}

static void session_feed(struct session *s, const void *data, size_t size)
{
    buffer_append(&s->in, data, size);
    while (!s->failed) {
        /* A copy of exactly the bytes there are, so that reading beyond them
         * is seen by the sanitizer, and at a new place each time. */
        size_t n = buffer_size(&s->in);
        uint8_t *copy = malloc(n > 0 ? n : 1);
        const struct bytes *argv = NULL;
        uint32_t argc = 0;
        size_t used = 0;
        enum resp_status rc;

        assert_non_null(copy);
        if (n > 0) {
            memcpy(copy, buffer_data(&s->in), n);
        }
        rc = resp_parse(&s->parser, copy, n, &used, &argc, &argv);
        if (rc == RESP_REQUEST) {
            assert_in_range(used, 1, n);
            for (uint32_t i = 0; i < argc; i++) {
                buffer_append(&s->out, "<", 1);
                buffer_append(&s->out, argv[i].data, argv[i].size);
                buffer_append(&s->out, ">", 1);
            }
            buffer_append(&s->out, "\n", 1);
            buffer_consume(&s->in, used);
        } else if (rc == RESP_ERROR) {
            buffer_printf(&s->out, "%s", s->parser.error);
            s->failed = true;
        }
        free(copy);
        if (rc == RESP_MORE) {
            return;
        }
    }
}

static void assert_out(struct session *s, const char *input, const char *want,
                       size_t want_size)
{
    if (buffer_size(&s->out) != want_size ||
        (want_size > 0 && memcmp(buffer_data(&s->out), want, want_size) != 0)) {
        fail_msg("input '%.60s'\n  want '%.*s'\n  got  '%.*s'", input,
                 (int)want_size, want, (int)buffer_size(&s->out),
                 buffer_size(&s->out) > 0 ? (const char *)buffer_data(&s->out)
                                          : "");
    }
}

/* In one piece, in two at every point, in three at every pair of points when
 * short, and byte by byte. */
static void check(const char *input, size_t size, const char *want,
                  size_t want_size)
{
    struct session s;

    for (size_t a = 0; a <= size; a++) {
        for (size_t b = size > 60 ? size : a; b <= size; b++) {
            session_open(&s);
            session_feed(&s, input, a);
            session_feed(&s, input + a, b - a);
            session_feed(&s, input + b, size - b);
            assert_out(&s, input, want, want_size);
            session_close(&s);
        }
    }
    session_open(&s);
    for (size_t i = 0; i < size; i++) {
        session_feed(&s, input + i, 1);
    }
    assert_out(&s, input, want, want_size);
    session_close(&s);
}

#define CHECK(input, want)                                                     \
    check(input, sizeof(input) - 1, want, sizeof(want) - 1)

static void test_resp_arrays_of_bulks_are_requests(void **state)
{
    (void)state;
    CHECK("*1\r\n$4\r\nPING\r\n", "<PING>\n");
    CHECK("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "<GET><>\n");
    CHECK("*2\r\n$1\r\na\r\n$7\r\n\0\r\n$*\xff\n\r\n", "<a><\0\r\n$*\xff\n>\n");
    CHECK("*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n"
          "$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n",
          "<0><1><2><3><4><5><6><7><8><9>\n");
}

static void test_resp_pipelined_requests_come_one_by_one(void **state)
{
    (void)state;
    CHECK("*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\n", "<a>\n<b>\n");
    CHECK("PING\r\n*1\r\n$1\r\nb\r\nECHO x\nGET", "<PING>\n<b>\n<ECHO><x>\n");
}

static void test_resp_empty_requests_are_empty(void **state)
{
    (void)state;
    CHECK("\r\n", "\n");
    CHECK("\n\n", "\n\n");
    CHECK("  \t \r\n", "\n");
    CHECK("*0\r\n*-1\r\n*-5\r\n*1\r\n$1\r\na\r\n", "\n\n\n<a>\n");
}

static void test_resp_incomplete_requests_wait(void **state)
{
    (void)state;
    CHECK("", "");
    CHECK("*", "");
    CHECK("*1\r", "");
    CHECK("*1\r\n$3\r\nab", "");
    CHECK("*1\r\n$3\r\nabc\r", "");
    CHECK("*2\r\n$3\r\nabc\r\n", "");
    CHECK("PING", "");
}

static void test_resp_inline_words_are_split_and_unquoted(void **state)
{
    (void)state;
    CHECK("PING\r\n", "<PING>\n");
    CHECK("  set \t a  b  \r\n", "<set><a><b>\n");
    CHECK("set k \"a b\"\n", "<set><k><a b>\n");
    CHECK("set k 'a \"b'\n", "<set><k><a \"b>\n");
    CHECK("set k \"\" ''\n", "<set><k><><>\n");
    CHECK("set k \"\\x41\\x00\\n\\r\\t\\b\\a\\\\\\\"\\q\"\n",
          "<set><k><A\0\n\r\t\b\a\\\"q>\n");
    CHECK("set k \"\\xzz\\x4\"\n", "<set><k><xzzx4>\n");
    CHECK("set k 'it\\'s \\n'\n", "<set><k><it's \\n>\n");
    CHECK("set k a\\nb\n", "<set><k><a\\nb>\n");
    CHECK("set k foo\"bar\"\n", "<set><k><foobar>\n");
    CHECK("a\rb\n", "<a><b>\n");
}

static void test_resp_unbalanced_quotes_are_an_error(void **state)
{
    static const char want[] =
        "ERR Protocol error: unbalanced quotes in request";

    (void)state;
    CHECK("set k \"abc\r\n", want);
    CHECK("set k 'abc\r\n", want);
    CHECK("set k \"a\"b\r\n", want);
    CHECK("set k 'a'b\r\n", want);
    CHECK("set k \"a\\\"\r\n", want);
    CHECK("\"\n", want);
}

static void test_resp_bad_count_is_an_error(void **state)
{
    static const char want[] = "ERR Protocol error: invalid multibulk length";

    (void)state;
    CHECK("*\r\n", want);
    CHECK("*x\r\n", want);
    CHECK("*1x\r\n", want);
    CHECK("* 1\r\n", want);
    CHECK("*+1\r\n", want);
    CHECK("*01\r\n", want);
    CHECK("*1025\r\n", want);
    CHECK("*2147483648\r\n", want);
    CHECK("*99999999999999999999\r\n", want);
}

static void test_resp_bad_bulk_length_is_an_error(void **state)
{
    static const char want[] = "ERR Protocol error: invalid bulk length";

    (void)state;
    CHECK("*1\r\n$\r\n", want);
    CHECK("*1\r\n$x\r\n", want);
    CHECK("*1\r\n$-1\r\n", want);
    CHECK("*1\r\n$1001\r\n", want);
    CHECK("*1\r\n$18446744073709551615\r\n", want);
    CHECK("*1\r\n$9223372036854775807\r\n", want);
}

static void test_resp_other_type_than_bulk_is_an_error(void **state)
{
    (void)state;
    CHECK("*1\r\n:1\r\n", "ERR Protocol error: expected '$', got ':'");
    CHECK("*1\r\nx\r\n", "ERR Protocol error: expected '$', got 'x'");
    CHECK("*1\r\n*1\r\n$1\r\na\r\n",
          "ERR Protocol error: expected '$', got '*'");
    CHECK("*2\r\n$1\r\na\r\n\r\n", "ERR Protocol error: expected '$', got ' '");
    CHECK("*1\r\n\0\r\n", "ERR Protocol error: expected '$', got '\\x00'");
}

/* A line that is too long, in pieces of 1000 bytes. */
static void check_long_line(const char *begin, const char *want)
{
    struct session s;
    char piece[1000];
    size_t fed = strlen(begin);

    session_open(&s);
    session_feed(&s, begin, fed);
    memset(piece, '1', sizeof piece);
    while (!s.failed && fed < 100000) {
        session_feed(&s, piece, sizeof piece);
        fed += sizeof piece;
    }
    assert_in_range(fed, 64 * 1024, 64 * 1024 + 2000);
    assert_out(&s, begin, want, strlen(want));
    /* It stays failed. */
    s.failed = false;
    session_feed(&s, "\r\n", 2);
    assert_true(s.failed);
    session_close(&s);
}

static void test_resp_lines_beyond_the_limit_are_errors(void **state)
{
    (void)state;
    check_long_line("GET ", "ERR Protocol error: too big inline request");
    check_long_line("*", "ERR Protocol error: too big mbulk count string");
    check_long_line("*2\r\n$1\r\na\r\n$",
                    "ERR Protocol error: too big bulk count string");
}

static void test_resp_inline_at_the_limit_passes(void **state)
{
    struct session s;
    char *line = malloc(limits.inline_max + 2u);

    (void)state;
    assert_non_null(line);
    memset(line, 'a', limits.inline_max);
    line[limits.inline_max] = '\n';
    session_open(&s);
    session_feed(&s, line, limits.inline_max + 1u);
    assert_false(s.failed);
    assert_int_equal(buffer_size(&s.out), limits.inline_max + 3u);
    session_close(&s);
    /* And one more byte does not, even in one piece. */
    line[limits.inline_max] = 'a';
    line[limits.inline_max + 1u] = '\n';
    session_open(&s);
    session_feed(&s, line, limits.inline_max + 2u);
    assert_true(s.failed);
    session_close(&s);
    free(line);
}

static void test_resp_inline_arguments_are_counted(void **state)
{
    struct session s;

    (void)state;
    session_open(&s);
    for (unsigned i = 0; i < limits.n_args_max; i++) {
        session_feed(&s, "a ", 2);
    }
    session_feed(&s, "\n", 1);
    assert_false(s.failed);
    for (unsigned i = 0; i < limits.n_args_max + 1; i++) {
        session_feed(&s, "a ", 2);
    }
    session_feed(&s, "\n", 1);
    assert_true(s.failed);
    assert_string_equal(s.parser.error, "ERR Protocol error: too many "
                                        "arguments in inline request");
    session_close(&s);
}

static void test_resp_request_beyond_the_limit_is_an_error(void **state)
{
    struct resp_limits small = limits;
    struct resp_parser p;
    const struct bytes *argv;
    uint32_t argc;
    size_t used;
    static const char input[] = "*2\r\n$4\r\naaaa\r\n$30\r\n";

    (void)state;
    small.request_max = 50;
    resp_parser_init(&p, &small);
    assert_int_equal(resp_parse(&p, (const uint8_t *)input, sizeof input - 1,
                                &used, &argc, &argv),
                     RESP_ERROR);
    assert_string_equal(p.error, "ERR Protocol error: too big request");
    resp_parser_close(&p);
}

static void test_resp_wanted_tells_the_size_of_a_bulk(void **state)
{
    struct resp_parser p;
    const struct bytes *argv;
    uint32_t argc;
    size_t used;
    static const char input[] = "*1\r\n$500\r\nab";

    (void)state;
    resp_parser_init(&p, &limits);
    assert_int_equal(resp_wanted(&p), 0);
    assert_int_equal(
        resp_parse(&p, (const uint8_t *)input, 5, &used, &argc, &argv),
        RESP_MORE);
    assert_int_equal(resp_wanted(&p), 0);
    assert_int_equal(resp_parse(&p, (const uint8_t *)input, sizeof input - 1,
                                &used, &argc, &argv),
                     RESP_MORE);
    assert_int_equal(resp_wanted(&p), 10 + 500 + 2);
    resp_parser_close(&p);
}

/* An announced count takes no memory before its arguments arrive. */
static void test_resp_announced_count_reserves_nothing(void **state)
{
    struct resp_limits large = limits;
    struct resp_parser p;
    const struct bytes *argv;
    uint32_t argc;
    size_t used;
    static const char input[] = "*1000000\r\n$1\r\na\r\n";

    (void)state;
    large.n_args_max = 1000000;
    resp_parser_init(&p, &large);
    assert_int_equal(resp_parse(&p, (const uint8_t *)input, sizeof input - 1,
                                &used, &argc, &argv),
                     RESP_MORE);
    assert_in_range(p.n_spans_cap, 1, 8);
    resp_parser_close(&p);
}

static double seconds(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Feed n bytes of a request byte by byte; the parser sees the whole prefix each
 * time, but must look at each byte once. */
static double byte_by_byte(const uint8_t *data, size_t size,
                           const struct resp_limits *large)
{
    struct resp_parser p;
    const struct bytes *argv;
    uint32_t argc;
    size_t used = 0;
    double start = seconds();

    resp_parser_init(&p, large);
    for (size_t n = 1; n < size; n++) {
        assert_int_equal(resp_parse(&p, data, n, &used, &argc, &argv),
                         RESP_MORE);
    }
    assert_int_equal(resp_parse(&p, data, size, &used, &argc, &argv),
                     RESP_REQUEST);
    assert_int_equal(used, size);
    resp_parser_close(&p);
    return seconds() - start;
}

/* A quadratic parser would take minutes for these. */
static void test_resp_byte_by_byte_is_linear(void **state)
{
    struct resp_limits large = {
        .n_args_max = 1 << 20,
        .inline_max = 4 << 20,
        .bulk_max = 4 << 20,
        .request_max = 64 << 20,
    };
    struct buffer b;

    (void)state;
    buffer_init(&b);
    buffer_printf(&b, "*200000\r\n");
    for (unsigned i = 0; i < 200000; i++) {
        buffer_append(&b, "$1\r\nx\r\n", 7);
    }
    assert_true(byte_by_byte(buffer_data(&b), buffer_size(&b), &large) < 10);
    buffer_clear(&b);
    for (unsigned i = 0; i < 1000000; i++) {
        buffer_append(&b, i % 2 == 0 ? "a" : " ", 1);
    }
    buffer_append(&b, "\r\n", 2);
    assert_true(byte_by_byte(buffer_data(&b), buffer_size(&b), &large) < 10);
    buffer_close(&b);
}

/* ---- replies
 * ---------------------------------------------------------------*/

static void test_resp_replies_have_their_form(void **state)
{
    struct buffer b;
    static const char want[] =
        "+OK\r\n-ERR no\r\n-ERR 7 x\r\n:0\r\n:-9223372036854775808\r\n"
        "$0\r\n\r\n$3\r\na\0\n\r\n$-1\r\n*0\r\n*12\r\n";

    (void)state;
    buffer_init(&b);
    resp_simple(&b, "OK");
    resp_error(&b, "ERR no");
    resp_errorf(&b, "ERR %d %s", 7, "x");
    resp_integer(&b, 0);
    resp_integer(&b, INT64_MIN);
    resp_bulk(&b, NULL, 0);
    resp_bulk(&b, "a\0\n", 3);
    resp_null(&b);
    resp_array(&b, 0);
    resp_array(&b, 12);
    assert_int_equal(buffer_size(&b), sizeof want - 1);
    assert_memory_equal(buffer_data(&b), want, sizeof want - 1);
    assert_false(b.failed);
    buffer_close(&b);
}

static void test_resp_error_text_cannot_begin_another_reply(void **state)
{
    struct buffer b;
    static const char want[] = "-ERR a  +OK  b\r\n";

    (void)state;
    buffer_init(&b);
    resp_errorf(&b, "ERR a%sb", "\r\n+OK\r\n");
    assert_int_equal(buffer_size(&b), sizeof want - 1);
    assert_memory_equal(buffer_data(&b), want, sizeof want - 1);
    buffer_close(&b);
}

/* ---- version 3
 * -----------------------------------------------------------------*/

static void test_resp_convert_changes_only_nulls(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"+OK\r\n", "+OK\r\n"},
        {":-1\r\n", ":-1\r\n"},
        {"-ERR $-1\r\n", "-ERR $-1\r\n"},
        {"$-1\r\n", "_\r\n"},
        {"*-1\r\n", "_\r\n"},
        {"$0\r\n\r\n", "$0\r\n\r\n"},
        {"*0\r\n", "*0\r\n"},
        {"$5\r\n$-1\r\n\r\n", "$5\r\n$-1\r\n\r\n"},
        {"*3\r\n$-1\r\n$2\r\n\r\n\r\n$-1\r\n",
         "*3\r\n_\r\n$2\r\n\r\n\r\n_\r\n"},
        {"*2\r\n*1\r\n$-1\r\n:5\r\n", "*2\r\n*1\r\n_\r\n:5\r\n"},
        /* Not a reply: nothing is touched, nothing beyond it read. */
        {"$-1", "$-1"},
        {"$9\r\nabc", "$9\r\nabc"},
        {"$x\r\n$-1\r\n", "$x\r\n$-1\r\n"},
        {"\n$-1\r\n", "\n$-1\r\n"},
        {"", ""},
    };
    struct buffer b;

    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_init(&b);
        buffer_append(&b, "$-1\r\n", 5);
        if (cases[i].from[0] != '\0') {
            buffer_append(&b, cases[i].from, strlen(cases[i].from));
        }
        resp3_convert(&b, 5);
        assert_int_equal(buffer_size(&b), 5 + strlen(cases[i].to));
        assert_memory_equal(buffer_data(&b), "$-1\r\n", 5);
        assert_memory_equal(buffer_data(&b) + 5, cases[i].to,
                            strlen(cases[i].to));
        buffer_close(&b);
    }
}

static void check_bytes(struct buffer *b, const char *want)
{
    assert_int_equal(buffer_size(b), strlen(want));
    assert_memory_equal(buffer_data(b), want, strlen(want));
    buffer_clear(b);
}

static void test_resp_convert_map_and_text(void **state)
{
    char text[996];
    struct buffer b;

    (void)state;
    buffer_init(&b);
    resp_array(&b, 2);
    resp_bulk(&b, "k", 1);
    resp_null(&b);
    resp3_convert_map(&b, 0);
    check_bytes(&b, "%1\r\n$1\r\nk\r\n_\r\n");
    resp_array(&b, 0);
    resp3_convert_map(&b, 0);
    check_bytes(&b, "%0\r\n");
    resp_error(&b, "ERR x");
    resp3_convert_map(&b, 0);
    resp3_convert_text(&b, 0);
    check_bytes(&b, "-ERR x\r\n");
    resp_simple(&b, "OK");
    resp_bulk(&b, "", 0);
    resp3_convert_text(&b, 5);
    check_bytes(&b, "+OK\r\n=4\r\ntxt:\r\n");
    /* The size gets another digit. */
    memset(text, 'x', sizeof text);
    resp_bulk(&b, text, sizeof text);
    resp3_convert_text(&b, 0);
    assert_int_equal(buffer_size(&b), 7 + 4 + 996 + 2);
    assert_memory_equal(buffer_data(&b), "=1000\r\ntxt:xxx", 14);
    assert_memory_equal(buffer_data(&b) + 1005, "xx\r\n", 4);
    resp_map(&b, 3);
    buffer_clear(&b);
    resp_map(&b, 3);
    resp_set(&b, 2);
    check_bytes(&b, "%3\r\n~2\r\n");
    buffer_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resp_arrays_of_bulks_are_requests),
        cmocka_unit_test(test_resp_pipelined_requests_come_one_by_one),
        cmocka_unit_test(test_resp_empty_requests_are_empty),
        cmocka_unit_test(test_resp_incomplete_requests_wait),
        cmocka_unit_test(test_resp_inline_words_are_split_and_unquoted),
        cmocka_unit_test(test_resp_unbalanced_quotes_are_an_error),
        cmocka_unit_test(test_resp_bad_count_is_an_error),
        cmocka_unit_test(test_resp_bad_bulk_length_is_an_error),
        cmocka_unit_test(test_resp_other_type_than_bulk_is_an_error),
        cmocka_unit_test(test_resp_lines_beyond_the_limit_are_errors),
        cmocka_unit_test(test_resp_inline_at_the_limit_passes),
        cmocka_unit_test(test_resp_inline_arguments_are_counted),
        cmocka_unit_test(test_resp_request_beyond_the_limit_is_an_error),
        cmocka_unit_test(test_resp_wanted_tells_the_size_of_a_bulk),
        cmocka_unit_test(test_resp_announced_count_reserves_nothing),
        cmocka_unit_test(test_resp_byte_by_byte_is_linear),
        cmocka_unit_test(test_resp_replies_have_their_form),
        cmocka_unit_test(test_resp_error_text_cannot_begin_another_reply),
        cmocka_unit_test(test_resp_convert_changes_only_nulls),
        cmocka_unit_test(test_resp_convert_map_and_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
