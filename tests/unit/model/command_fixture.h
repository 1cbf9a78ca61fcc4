/* Commands on a store of their own: check and run a line, look at the reply
 * byte for byte. */
#ifndef TESTS_UNIT_MODEL_COMMAND_FIXTURE_H
#define TESTS_UNIT_MODEL_COMMAND_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "node/command.h"

/* What the clock of env shows at first. */
static const uint64_t NOW_MS = 1700000000000;

struct fixture {
    struct command_env env;
    struct buffer reply;
    bool resp3; /* replies are of version 3 */
};

/* A test whose state is a fixture with an empty store. */
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int setup(void **state);
int teardown(void **state);

/* Check and run a command; its reply stands in f->reply. */
void run_args(struct fixture *f, uint32_t argc, const struct bytes *argv);
/* A line as typed into an inline connection. */
void run(struct fixture *f, const char *line);
bool reply_is(const struct fixture *f, const char *want, size_t size);
/* `line` is what a failure names. */
void assert_reply(const struct fixture *f, const char *line, const char *want);
/* The reply begins so. */
void assert_reply_prefix(const struct fixture *f, const char *want);
/* Run a line and look at the reply. */
void check(struct fixture *f, const char *line, const char *want);
/* Make k a key of a type that no command knows, and see that each of these
 * lines (NULL behind the last) is refused for it. */
void check_other_type(struct fixture *f, const char *const *lines);
/* The last argument is a pattern: the longest there may be is taken, with this
 * reply, and a longer one is refused. */
void check_pattern_limit(struct fixture *f, uint32_t argc, struct bytes *argv,
                         const char *want);
/* When a key that is there expires; 0: never. */
uint64_t expire_ms_of(const struct fixture *f, const char *key);

#define OK "+OK\r\n"
#define NONE "$-1\r\n"
#define SYNTAX "-ERR syntax error\r\n"
#define NOT_INTEGER "-ERR value is not an integer or out of range\r\n"
#define WRONG_TYPE                                                             \
    "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define TOO_LARGE                                                              \
    "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n"
#define ARITY_TEXT(name) "wrong number of arguments for '" name "' command\r\n"
#define ARITY(name) "-ERR " ARITY_TEXT(name)

#endif
