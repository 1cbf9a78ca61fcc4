/* Golden files: what a format looked like when its version was made.
 *
 *     golden_check(__FILE__, "peers-v1-book", bytes, size);
 *
 * holds the bytes that a test has just encoded against tests/golden/<name>.
 * GOLDEN_WRITE in the environment writes the file anew: only for a new version
 * of a format, whose files get new names. Files of older versions stay, and
 * golden_read gives them to the test that they can still be read. */
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

enum { GOLDEN_PATH_MAX = 1024, GOLDEN_BYTES_MAX = 1 << 16 };

static inline void golden_path(const char *source, const char *name,
                               char path[GOLDEN_PATH_MAX])
{
    const char *end = strstr(source, "tests/unit/");
    assert_non_null(end);
    snprintf(path, GOLDEN_PATH_MAX, "%.*stests/golden/%s", (int)(end - source),
             source, name);
}

/* What the file holds; borrowed until the next call. */
static inline const uint8_t *golden_read(const char *source, const char *name,
                                         size_t *size)
{
    static uint8_t data[GOLDEN_BYTES_MAX];
    char path[GOLDEN_PATH_MAX];
    FILE *f;
    golden_path(source, name, path);
    f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s can not be read", path);
    }
    *size = fread(data, 1, sizeof data, f);
    fclose(f);
    return data;
}

static inline void golden_check(const char *source, const char *name,
                                const void *bytes, size_t size)
{
    const uint8_t *data;
    size_t n;
    if (getenv("GOLDEN_WRITE") != NULL) {
        char path[GOLDEN_PATH_MAX];
        FILE *f;
        golden_path(source, name, path);
        f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, size, f), size);
        assert_int_equal(fclose(f), 0);
    }
    data = golden_read(source, name, &n);
    if (n != size || memcmp(data, bytes, size) != 0) {
        fail_msg("%s: a format is written otherwise than it was", name);
    }
}

#endif
