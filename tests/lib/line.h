/* The words of a line, as if typed into an inline connection: quotes and
 * escapes are those of node/resp.h.
 *
 *     struct line l;
 *     line_parse(&l, "SET k \"a b\"");
 *     ... l.argc, l.argv ...
 *     line_clear(&l); */
#ifndef TESTS_LIB_LINE_H
#define TESTS_LIB_LINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "node/resp.h"

struct line {
    struct resp_parser parser;
    const struct bytes *argv; /* in the parser */
    uint32_t argc;
};

static inline void line_parse(struct line *l, const char *text)
{
    struct resp_limits limits = {100, 10000, 10000, 10000};
    char typed[2048];
    int n = snprintf(typed, sizeof typed, "%s\n", text);
    size_t used;

    assert_in_range(n, 1, sizeof typed - 1);
    resp_parser_init(&l->parser, &limits);
    assert_int_equal(resp_parse(&l->parser, (const uint8_t *)typed, (size_t)n,
                                &used, &l->argc, &l->argv),
                     RESP_REQUEST);
}

static inline void line_clear(struct line *l)
{
    resp_parser_close(&l->parser);
}

#endif
