/* What the suites of snapshot files share: a directory with an opened chain,
 * and files with records that are told by their number. */
#ifndef TESTS_UNIT_SNAPSHOT_FIXTURE_H
#define TESTS_UNIT_SNAPSHOT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/file.h"
#include "snapshot/snapshot.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/temp_dir.h"

static const uint8_t fixture_cluster[SNAPSHOT_CLUSTER_ID_SIZE] =
    "fixture cluster";

struct fixture {
    struct temp_dir temp;
    char dir[TEMP_DIR_MAX + 16];
    struct snapshot_manifest chain;
    struct err_info info;
};

static inline void fixture_open_chain(struct fixture *fx)
{
    assert_int_equal(
        snapshot_chain_open(fx->dir, fixture_cluster, &fx->chain, &fx->info),
        0);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fx = calloc(1, sizeof *fx);

    temp_dir_make(&fx->temp);
    snprintf(fx->dir, sizeof fx->dir, "%s/snapshots", fx->temp.path);
    fixture_open_chain(fx);
    *state = fx;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fx = *state;

    (void)fault_file_disarm();
    snapshot_manifest_clear(&fx->chain);
    temp_dir_remove(&fx->temp);
    free(fx);
    return 0;
}

/* dir/name, or dir/incoming/name. */
static inline const char *fixture_path(const struct fixture *fx,
                                       const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *p = paths[next++ % 4];

    snprintf(p, sizeof paths[0], "%s/%.200s", fx->dir, name);
    return p;
}

static inline const char *fixture_incoming(const struct fixture *fx,
                                           const char *name)
{
    char inner[256];
    snprintf(inner, sizeof inner, "incoming/%.200s", name);
    return fixture_path(fx, inner);
}

static inline bool fixture_exists(const char *path)
{
    bool there = false;
    assert_int_equal(file_exists(path, &there), 0);
    return there;
}

static inline struct snapshot_meta fixture_meta(uint64_t from, uint64_t to)
{
    struct snapshot_meta m;

    memset(&m, 0, sizeof m);
    memcpy(m.cluster_id, fixture_cluster, sizeof m.cluster_id);
    m.from = from;
    m.to = to;
    m.to_term = 3;
    m.clock_ms = 1234567;
    m.state_hash.low = to * 7;
    m.state_hash.high = to * 11;
    m.configuration_index = 1;
    m.configuration = "conf";
    m.configuration_size = 4;
    return m;
}

/* Record number i of a file: two META records, then keys; in a delta every
 * fifth is a tombstone. buf holds the bytes. */
enum { FIXTURE_TEXT_MAX = 600 };
static inline struct snapshot_record fixture_record(unsigned i, bool delta,
                                                    char *buf)
{
    struct snapshot_record r;
    int n;

    memset(&r, 0, sizeof r);
    if (i < 2) {
        r.kind = SNAPSHOT_META;
        n = snprintf(buf, FIXTURE_TEXT_MAX, "session-%u", i);
    } else {
        r.kind = delta && i % 5 == 0 ? SNAPSHOT_TOMBSTONE : SNAPSHOT_KEY;
        n = snprintf(buf, FIXTURE_TEXT_MAX, "key:%08u", i);
    }
    r.key.data = (const uint8_t *)buf;
    r.key.size = (size_t)n;
    if (r.kind != SNAPSHOT_TOMBSTONE) {
        char *value = buf + n + 1;
        r.type = (uint8_t)(i % 3);
        r.expire_ms = i % 4 == 0 ? UINT64_MAX - i : 0;
        n = snprintf(value, 400, "value %u %x %u\n", i, i * 2654435761u, i * i);
        r.value.data = (const uint8_t *)value;
        r.value.size = (size_t)n;
    }
    return r;
}

static inline void fixture_same(const struct snapshot_record *a,
                                const struct snapshot_record *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->type, b->type);
    assert_true(a->expire_ms == b->expire_ms);
    assert_int_equal(a->key.size, b->key.size);
    assert_memory_equal(a->key.data, b->key.data, a->key.size);
    assert_int_equal(a->value.size, b->value.size);
    if (a->value.size > 0) {
        assert_memory_equal(a->value.data, b->value.data, a->value.size);
    }
}

/* Write a file of n records; it ends up in incoming/. */
static inline int fixture_try_write(struct fixture *fx, uint64_t from,
                                    uint64_t to, unsigned n,
                                    struct snapshot_file *file)
{
    struct snapshot_meta meta = fixture_meta(from, to);
    struct snapshot_writer *w;
    char buf[FIXTURE_TEXT_MAX];
    int rv = snapshot_writer_new(fx->dir, &meta, &w, &fx->info);

    if (rv != 0) {
        return rv;
    }
    for (unsigned i = 0; i < n; i++) {
        struct snapshot_record r = fixture_record(i, from > 0, buf);
        rv = snapshot_writer_add(w, &r);
        if (rv != 0) {
            snapshot_writer_abort(w);
            return rv;
        }
    }
    return snapshot_writer_finish(w, file, &fx->info);
}

static inline struct snapshot_file
fixture_write(struct fixture *fx, uint64_t from, uint64_t to, unsigned n)
{
    struct snapshot_file file;
    int rv = fixture_try_write(fx, from, to, n, &file);

    if (rv != 0) {
        print_message("%s\n", fx->info.message);
    }
    assert_int_equal(rv, 0);
    return file;
}

/* Read all records from here on and compare with numbers first..n - 1. */
static inline void fixture_expect(struct snapshot_reader *r, unsigned first,
                                  unsigned n, bool delta)
{
    struct snapshot_record got;
    struct err_info info;
    char buf[FIXTURE_TEXT_MAX];

    for (unsigned i = first; i < n; i++) {
        struct snapshot_record expected = fixture_record(i, delta, buf);
        assert_int_equal(snapshot_reader_next(r, &got, &info), 1);
        fixture_same(&got, &expected);
    }
    assert_int_equal(snapshot_reader_next(r, &got, &info), 0);
    assert_int_equal(snapshot_reader_next(r, &got, &info), 0);
}

/* Open and read a file to its end: 0 or the first error. */
static inline int fixture_read_through(const char *path, struct err_info *info)
{
    struct snapshot_reader *r;
    struct snapshot_record record;
    int rv = snapshot_reader_open(path, &r, info);

    if (rv != 0) {
        return rv;
    }
    while ((rv = snapshot_reader_next(r, &record, info)) == 1) {
        continue;
    }
    snapshot_reader_close(r);
    return rv;
}

/* The chain fx->chain with one more file, adopted. */
static inline int fixture_try_append(struct fixture *fx,
                                     const struct snapshot_file *file)
{
    struct snapshot_manifest next;
    int rv;

    assert_int_equal(snapshot_manifest_copy(&next, &fx->chain), 0);
    if (file->from == 0) {
        next.n_files = 0;
    }
    memset(&next.files[next.n_files], 0,
           (SNAPSHOT_FILES_MAX - next.n_files) * sizeof *file);
    next.files[next.n_files++] = *file;
    rv = snapshot_chain_adopt(fx->dir, &fx->chain, &next, NULL, 0, &fx->info);
    if (rv == 0) {
        snapshot_manifest_clear(&fx->chain);
        fx->chain = next;
    } else {
        snapshot_manifest_clear(&next);
    }
    return rv;
}

static inline struct snapshot_file
fixture_append(struct fixture *fx, uint64_t from, uint64_t to, unsigned n)
{
    struct snapshot_file file = fixture_write(fx, from, to, n);
    int rv = fixture_try_append(fx, &file);

    if (rv != 0) {
        print_message("%s\n", fx->info.message);
    }
    assert_int_equal(rv, 0);
    return file;
}

/* Close and open the chain as a restart does. */
static inline void fixture_restart(struct fixture *fx)
{
    snapshot_manifest_clear(&fx->chain);
    fixture_open_chain(fx);
}

#define FIXTURE_TEST(name)                                                     \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
