/* Golden files: what a format looked like when its version was made.
 *
 *     golden_check(__FILE__, "peers-v1-book", bytes, size);
 *
 * holds the bytes that a test has just encoded against tests/golden/<name>.
 * GOLDEN_WRITE in the environment writes the file anew: only for a new version
 * of a format, whose files get new names. */
#ifndef TESTS_LIB_GOLDEN_H
#define TESTS_LIB_GOLDEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void golden_check(const char *source, const char *name,
                                const void *bytes, size_t size)
{
    const char *end = strstr(source, "tests/unit/");
    static uint8_t data[1 << 16];
    char path[1024];
    size_t n;
    FILE *f;

    assert_non_null(end);
    snprintf(path, sizeof path, "%.*stests/golden/%s", (int)(end - source),
             source, name);
    if (getenv("GOLDEN_WRITE") != NULL) {
        f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
    }
    f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s can not be read", path);
    }
    n = fread(data, 1, sizeof data, f);
    fclose(f);
    if (n != size || memcmp(data, bytes, size) != 0) {
        fail_msg("%s: a format is written otherwise than it was", path);
    }
}

#endif
