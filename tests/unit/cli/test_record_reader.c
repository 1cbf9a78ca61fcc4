/* Records out of a descriptor: lines, limits, positions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include "cli/record_reader.h"

static int file_of(const char *data, size_t size)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

/* The next record, reading as needed; 0 at the end. */
static int next(struct record_reader *r, struct record *record,
                struct err_info *info)
{
    for (;;) {
        int rc = record_reader_next(r, record, info);
        if (rc != 0 || r->at_end) {
            /* At the end there may be a last line without newline. */
            return rc != 0 ? rc : record_reader_next(r, record, info);
        }
        rc = record_reader_fill(r, info);
        if (rc != 0) {
            return rc;
        }
    }
}

static void test_record_reader_lines_have_numbers_and_offsets(void **state)
{
    (void)state;
    static const char text[] = "a\t1\n\n\r\nb\t2\r\nc\t3";
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, fd, RECORD_AUTO, 100), 0);
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_memory_equal(record.key, "a", 1);
    assert_int_equal(r.line, 1);
    assert_int_equal(r.offset, 4);
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_memory_equal(record.key, "b", 1);
    assert_int_equal(record.value_size, 1);
    assert_int_equal(r.line, 4);
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_memory_equal(record.key, "c", 1);
    assert_int_equal(r.line, 5);
    assert_int_equal(r.offset, sizeof(text) - 1);
    assert_int_equal(next(&r, &record, NULL), 0);
    assert_int_equal(r.begin, r.end);
    record_reader_close(&r);
    close(fd);
}

#define RESP_K "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\nb\r\n"
#define RESP_SELECT "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"

static void test_record_reader_first_star_means_commands(void **state)
{
    (void)state;
    static const char text[] = RESP_SELECT RESP_K RESP_K;
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, fd, RECORD_AUTO, 100), 0);
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_int_equal(r.format, RECORD_RESP);
    assert_int_equal(r.line, 2);
    assert_int_equal(record.command_size, strlen(RESP_K));
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_int_equal(r.line, 3);
    assert_int_equal(r.offset, sizeof(text) - 1);
    assert_int_equal(next(&r, &record, NULL), 0);
    assert_int_equal(r.begin, r.end);
    record_reader_close(&r);
    close(fd);
}

/* A key may well begin with a star. */
static void test_record_reader_star_in_a_key_is_a_line(void **state)
{
    (void)state;
    static const char text[] = "*3\tv\n";
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, fd, RECORD_AUTO, 100), 0);
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_int_equal(r.format, RECORD_TSV);
    record_reader_close(&r);
    close(fd);
}

static void test_record_reader_half_a_command_is_an_error(void **state)
{
    (void)state;
    static const char text[] = RESP_K "*3\r\n$3\r\nSET\r\n$1\r\nk";
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    struct err_info info = {0, ""};
    assert_int_equal(record_reader_init(&r, fd, RECORD_RESP, 100), 0);
    assert_int_equal(next(&r, &record, &info), 1);
    assert_int_equal(next(&r, &record, &info), ERR_INVALID);
    assert_non_null(strstr(info.message, "command 2, the input ends inside"));
    record_reader_close(&r);
    close(fd);
}

/* Found by fuzz_record: the last line without a newline is taken back whole. */
static void
test_record_reader_end_behind_the_first_star_is_an_error(void **state)
{
    (void)state;
    static const char text[] = "\n*3\r";
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    struct err_info info = {0, ""};
    assert_int_equal(record_reader_init(&r, fd, RECORD_AUTO, 100), 0);
    assert_int_equal(next(&r, &record, &info), ERR_INVALID);
    assert_int_equal(r.begin, 1);
    assert_int_equal(r.offset, 1);
    assert_non_null(strstr(info.message, "the input ends inside"));
    record_reader_close(&r);
    close(fd);
}

/* Larger than the buffer, in many reads, and over the limit. */
static void test_record_reader_large_command_is_whole(void **state)
{
    (void)state;
    enum { VALUE = 1000000 };
    char *text = malloc(VALUE + 100);
    size_t head = (size_t)sprintf(text, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n",
                                  (int)VALUE);
    memset(text + head, 'v', VALUE);
    memcpy(text + head + VALUE, "\r\n", 2);
    int fd = file_of(text, head + VALUE + 2);
    struct record_reader r;
    struct record record;
    struct err_info info = {0, ""};
    assert_int_equal(record_reader_init(&r, fd, RECORD_AUTO, 2 * VALUE), 0);
    assert_int_equal(next(&r, &record, &info), 1);
    assert_int_equal(record.command_size, head + VALUE + 2);
    assert_memory_equal(record.command, text, record.command_size);
    record_reader_close(&r);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(record_reader_init(&r, fd, RECORD_RESP, 300000), 0);
    assert_int_equal(next(&r, &record, &info), ERR_TOOBIG);
    assert_non_null(strstr(info.message, "command 1 is longer than"));
    record_reader_close(&r);
    close(fd);
    free(text);
}

static void test_record_reader_first_brace_means_json_lines(void **state)
{
    (void)state;
    static const char text[] = "\n{\"key\":\"k\",\"value\":\"v\"}\n";
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, fd, RECORD_AUTO, 100), 0);
    assert_int_equal(next(&r, &record, NULL), 1);
    assert_int_equal(r.format, RECORD_JSONL);
    assert_memory_equal(record.value, "v", 1);
    record_reader_close(&r);
    close(fd);
}

static void test_record_reader_bad_line_is_named(void **state)
{
    (void)state;
    static const char text[] = "a\t1\nwrong\n";
    int fd = file_of(text, sizeof(text) - 1);
    struct record_reader r;
    struct record record;
    struct err_info info = {0, ""};
    assert_int_equal(record_reader_init(&r, fd, RECORD_TSV, 100), 0);
    assert_int_equal(next(&r, &record, &info), 1);
    assert_int_equal(next(&r, &record, &info), ERR_INVALID);
    assert_non_null(strstr(info.message, "line 2"));
    record_reader_close(&r);
    close(fd);
}

/* Lines around the first buffer's size, so that they are moved and grown. */
static void test_record_reader_long_lines_come_through_whole(void **state)
{
    (void)state;
    enum { BASE = 256 * 1024, N = 6 };
    static const size_t sizes[N] = {BASE - 3, BASE, BASE + 1,
                                    3 * BASE, 1,    BASE / 2};
    char *text = malloc(8 * BASE);
    size_t size = 0;
    for (int i = 0; i < N; i++) {
        text[size++] = (char)('a' + i);
        text[size++] = '\t';
        memset(text + size, 'A' + i, sizes[i]);
        size += sizes[i];
        text[size++] = '\n';
    }
    int fd = file_of(text, size);
    struct record_reader r;
    struct record record;
    assert_int_equal(record_reader_init(&r, fd, RECORD_TSV, 4 * BASE), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(next(&r, &record, NULL), 1);
        assert_int_equal(record.key[0], 'a' + i);
        assert_int_equal(record.value_size, sizes[i]);
        for (size_t at = 0; at < sizes[i]; at++) {
            assert_int_equal(record.value[at], 'A' + i);
        }
    }
    assert_int_equal(next(&r, &record, NULL), 0);
    assert_int_equal(r.offset, size);
    record_reader_close(&r);
    close(fd);
    free(text);
}

static void test_record_reader_line_over_the_limit_is_refused(void **state)
{
    (void)state;
    enum { MAX = 1024, MANY = 600 * 1024 };
    char *text = malloc(MANY + 1);
    struct record_reader r;
    struct record record;
    struct err_info info = {0, ""};
    memset(text, 'x', MANY);
    text[1] = '\t';
    text[MAX] = '\n';
    int fd = file_of(text, MANY);
    assert_int_equal(record_reader_init(&r, fd, RECORD_TSV, MAX), 0);
    assert_int_equal(next(&r, &record, &info), 1); /* exactly the limit */
    assert_int_equal(next(&r, &record, &info), ERR_TOOBIG);
    assert_non_null(strstr(info.message, "line 2"));
    /* Refused before the whole line was held. */
    assert_true(r.buffer_bytes <= 256 * 1024);
    record_reader_close(&r);
    close(fd);
    free(text);
}

static void test_record_reader_pipe_gives_what_is_there(void **state)
{
    (void)state;
    int fds[2];
    struct record_reader r;
    struct record record;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(record_reader_init(&r, fds[0], RECORD_TSV, 100), 0);
    assert_int_equal(write(fds[1], "a\t1\nb", 5), 5);
    assert_int_equal(record_reader_fill(&r, NULL), 0);
    assert_int_equal(record_reader_next(&r, &record, NULL), 1);
    assert_int_equal(record_reader_next(&r, &record, NULL), 0);
    assert_false(r.at_end);
    assert_int_equal(write(fds[1], "\t2", 2), 2);
    close(fds[1]);
    assert_int_equal(record_reader_fill(&r, NULL), 0);
    assert_int_equal(record_reader_fill(&r, NULL), 0);
    assert_true(r.at_end);
    assert_int_equal(record_reader_next(&r, &record, NULL), 1);
    assert_memory_equal(record.key, "b", 1);
    record_reader_close(&r);
    close(fds[0]);
}

static void test_record_reader_failed_read_is_an_error(void **state)
{
    (void)state;
    struct record_reader r;
    assert_int_equal(record_reader_init(&r, -1, RECORD_TSV, 100), 0);
    assert_int_equal(record_reader_fill(&r, NULL), ERR_IO);
    record_reader_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record_reader_lines_have_numbers_and_offsets),
        cmocka_unit_test(test_record_reader_first_star_means_commands),
        cmocka_unit_test(test_record_reader_star_in_a_key_is_a_line),
        cmocka_unit_test(test_record_reader_half_a_command_is_an_error),
        cmocka_unit_test(
            test_record_reader_end_behind_the_first_star_is_an_error),
        cmocka_unit_test(test_record_reader_large_command_is_whole),
        cmocka_unit_test(test_record_reader_first_brace_means_json_lines),
        cmocka_unit_test(test_record_reader_bad_line_is_named),
        cmocka_unit_test(test_record_reader_long_lines_come_through_whole),
        cmocka_unit_test(test_record_reader_line_over_the_limit_is_refused),
        cmocka_unit_test(test_record_reader_pipe_gives_what_is_there),
        cmocka_unit_test(test_record_reader_failed_read_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
