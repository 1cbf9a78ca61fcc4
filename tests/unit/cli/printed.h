/* What is printed to a stream, as text.
 *
 *     struct printed p;
 *     printed_open(&p);
 *     ... writes to p.out ...
 *     printed_end(&p);
 *     ... p.text, of p.size bytes ...
 *     printed_free(&p);
 *
 * or printed_expect instead of the last two. */
#ifndef TESTS_UNIT_CLI_PRINTED_H
#define TESTS_UNIT_CLI_PRINTED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct printed {
    FILE *out;
    char *text; /* with a zero behind it; valid after flush and end */
    size_t size;
};

static inline void printed_open(struct printed *p)
{
    p->out = open_memstream(&p->text, &p->size);
    assert_non_null(p->out);
}

static inline void printed_end(struct printed *p)
{
    assert_int_equal(fclose(p->out), 0);
}

static inline void printed_free(struct printed *p)
{
    free(p->text);
}

/* This is all that was printed. */
static inline void printed_expect(struct printed *p, const char *want)
{
    printed_end(p);
    assert_string_equal(p->text, want);
    printed_free(p);
}

#endif
