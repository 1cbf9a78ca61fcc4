/* For the tests of recovery: a log whose files are damaged by hand, and what
 * opening it must do. */
#ifndef TESTS_UNIT_RAFTLOG_RECOVER_FIXTURE_H
#define TESTS_UNIT_RAFTLOG_RECOVER_FIXTURE_H

#define FIXTURE_IN_MEMORY 1
#include "tests/unit/raftlog/log_fixture.h"

#include <dirent.h>
#include <sys/stat.h>

#include "raftlog/checksum.h"

enum { BLOCK = 4096, PATH = 1024 };

/* ---- files ----------------------------------------------------------------*/

static inline const char *log_path(const struct fixture *x, const char *name)
{
    static char path[2][PATH];
    static unsigned next;
    char *p = path[next++ % 2];
    snprintf(p, PATH, "%s/log/%.500s", x->dir.path, name);
    return p;
}

static inline void change(const char *path, uint64_t offset, const void *data,
                          size_t size)
{
    struct file *f;
    assert_int_equal(file_open(path, FILE_WRITE, &f), 0);
    assert_int_equal(file_write_at(f, data, size, offset), 0);
    assert_int_equal(file_sync(f), 0);
    file_close(f);
}

static inline void flip(const char *path, uint64_t offset)
{
    struct file *f;
    uint8_t byte;
    size_t n;
    assert_int_equal(file_open(path, FILE_READ, &f), 0);
    assert_int_equal(file_read_at(f, &byte, 1, offset, &n), 0);
    assert_int_equal(n, 1);
    file_close(f);
    byte ^= 0x10;
    change(path, offset, &byte, 1);
}

static inline void zero(const char *path, uint64_t offset, size_t size)
{
    void *zeroes = calloc(1, size);
    assert_non_null(zeroes);
    change(path, offset, zeroes, size);
    free(zeroes);
}

/* A whole file; given. */
static inline uint8_t *read_whole(const char *path, size_t *size)
{
    void *data;
    assert_int_equal(file_read_all(path, 1 << 20, &data, size), 0);
    return data;
}

/* Hash of all names and contents below a directory. */
static inline void hash_tree(const char *dir, uint64_t *sum)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        char path[PATH];
        struct stat st;
        void *data;
        size_t size;
        if (e->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof path, "%.500s/%.255s", dir, e->d_name);
        assert_int_equal(stat(path, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            hash_tree(path, sum);
            continue;
        }
        assert_int_equal(file_read_all(path, 1 << 26, &data, &size), 0);
        *sum += checksum(path, strlen(path), checksum(data, size, 1));
        free(data);
    }
    closedir(d);
}

static inline uint64_t state_of(const struct fixture *x)
{
    uint64_t sum = 0;
    hash_tree(x->dir.path, &sum);
    return sum;
}

/* ---- expectations ---------------------------------------------------------*/

/* Open refuses with this case's code, says which, and changes nothing. */
static inline void expect_refused(struct fixture *x, enum recover_case c,
                                  const char *words)
{
    uint64_t before = state_of(x);
    char name[64];
    int rv = fixture_try_open(x);
    if (rv != recover_case_code(c)) {
        print_error("%s: %s\n", err_name(rv), x->info.message);
    }
    assert_int_equal(rv, recover_case_code(c));
    snprintf(name, sizeof name, "[%s]", recover_case_name(c));
    if (strstr(x->info.message, name) == NULL ||
        strstr(x->info.message, words) == NULL) {
        fail_msg("no %s and %s in: %s", name, words, x->info.message);
    }
    assert_true(state_of(x) == before);
}

/* The same without one of the files, which is put back. */
static inline void expect_refused_without(struct fixture *x, const char *path,
                                          enum recover_case c,
                                          const char *words)
{
    char aside[PATH];
    snprintf(aside, sizeof aside, "%s/aside", x->dir.path);
    assert_int_equal(file_rename(path, aside), 0);
    expect_refused(x, c, words);
    assert_int_equal(file_rename(aside, path), 0);
}

/* Open takes this row; a second recovery finds the same log and nothing to
 * repair. The log is left open. */
static inline void expect_opened(struct fixture *x, enum recover_case c,
                                 uint64_t first, uint64_t last)
{
    uint64_t before;
    fixture_open(x);
    assert_true(fixture_recovered_as(x, c));
    fixture_check_bounds(x, first, last);
    fixture_crash(x);
    before = state_of(x);
    fixture_open(x);
    fixture_check_bounds(x, first, last);
    assert_int_equal(x->report.torn_bytes, 0);
    assert_false(fixture_recovered_as(x, RECOVER_TORN));
    assert_false(fixture_recovered_as(x, RECOVER_LEFTOVER));
    assert_false(fixture_recovered_as(x, RECOVER_HARD_ONE));
    fixture_crash(x);
    assert_true(state_of(x) == before);
    fixture_open(x);
}

/* The path of the segment that is being written. */
static inline void tail_path(const struct fixture *x, char path[PATH])
{
    snprintf(path, PATH, "%s", log_path(x, x->log->active->name));
}

/* The names of the first, the second and the last segment. */
struct scene {
    char first[SEGMENT_NAME_MAX];
    char second[SEGMENT_NAME_MAX];
    char tail[SEGMENT_NAME_MAX];
};

/* n frames of one 3000-byte entry, then a crash. */
static inline void build(struct fixture *x, uint64_t n, struct scene *s)
{
    fixture_open(x);
    fixture_append_each(x, 1, n, 1, 3000);
    memset(s, 0, sizeof *s);
    memcpy(s->first, x->log->segments->name, SEGMENT_NAME_MAX);
    if (x->log->segments->next != NULL) {
        memcpy(s->second, x->log->segments->next->name, SEGMENT_NAME_MAX);
    }
    memcpy(s->tail, x->log->active->name, SEGMENT_NAME_MAX);
    fixture_crash(x);
}

#endif
