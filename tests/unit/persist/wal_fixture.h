/* A log directory for one test, and a store of its own that a replay fills:
 * the last value of each key, and the operations in the order they came. */
#ifndef TESTS_UNIT_PERSIST_WAL_FIXTURE_H
#define TESTS_UNIT_PERSIST_WAL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "persist/internal.h"
#include "persist/kv_persist.h"
#include "raftlog/block.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/temp_dir.h"

enum { FIXTURE_OPS_MAX = 200000, FIXTURE_FILE_SIZE = 256 * 1024 };

struct fixture_op {
    uint8_t op;
    char *key;
    char *value;
};

struct fixture {
    struct temp_dir dir;
    char path[TEMP_DIR_MAX + 16];
    wal_t wal;
    struct fixture_op *ops;
    size_t n_ops;
    size_t stop_at; /* the callback fails at this operation; 0: never */
};

static inline void fixture_forget(struct fixture *x)
{
    for (size_t i = 0; i < x->n_ops; i++) {
        free(x->ops[i].key);
        free(x->ops[i].value);
    }
    x->n_ops = 0;
}

static inline int fixture_setup(void **state)
{
    static struct fixture x;
    const char *parent = NULL;
#ifdef FIXTURE_IN_MEMORY /* for who makes hundreds of directories */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0) {
        parent = "/dev/shm";
    }
#endif
    memset(&x, 0, sizeof x);
    temp_dir_make_in(&x.dir, parent);
    snprintf(x.path, sizeof x.path, "%s/data", x.dir.path);
    x.ops = calloc(FIXTURE_OPS_MAX, sizeof *x.ops);
    assert_non_null(x.ops);
    assert_int_equal(
        wal_set_option(NULL, WAL_OPTION_FILE_SIZE, FIXTURE_FILE_SIZE), 0);
    *state = &x;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *x = *state;
    wal_destroy(&x->wal);
    fixture_forget(x);
    free(x->ops);
    temp_dir_remove(&x->dir);
    assert_int_equal(block_bytes_in_use(), 0);
    return 0;
}

static inline void fixture_open(struct fixture *x, int sync)
{
    if (wal_init(&x->wal, x->path, sync) != 0) {
        fail_msg("wal_init: %s", persist_errmsg());
    }
}

static inline void fixture_reopen(struct fixture *x, int sync)
{
    wal_destroy(&x->wal);
    fixture_open(x, sync);
}

static inline void fixture_set(struct fixture *x, const char *key,
                               const char *value)
{
    if (wal_append(&x->wal, WAL_OP_SET, key, value) != 0) {
        fail_msg("wal_append: %s", persist_errmsg());
    }
}

/* key-<i> and value-<i>-<round>. */
static inline void fixture_set_numbered(struct fixture *x, unsigned i,
                                        unsigned round)
{
    char key[32];
    char value[64];
    snprintf(key, sizeof key, "key-%06u", i);
    snprintf(value, sizeof value, "value-%u-%u", i, round);
    fixture_set(x, key, value);
}

static inline int fixture_apply(void *engine, uint8_t op, const char *key,
                                const char *value)
{
    struct fixture *x = engine;
    struct fixture_op *to = &x->ops[x->n_ops];
    assert_true(x->n_ops < FIXTURE_OPS_MAX);
    to->op = op;
    to->key = strdup(key);
    to->value = value == NULL ? NULL : strdup(value);
    x->n_ops++;
    return x->n_ops == x->stop_at ? 1 : 0;
}

static inline void fixture_recover(struct fixture *x)
{
    fixture_forget(x);
    if (wal_recover(&x->wal, x, fixture_apply) != 0) {
        fail_msg("wal_recover: %s", persist_errmsg());
    }
}

/* The value after all operations; NULL when the key is not there. */
static inline const char *fixture_get(const struct fixture *x, const char *key)
{
    for (size_t i = x->n_ops; i-- > 0;) {
        if (strcmp(x->ops[i].key, key) == 0) {
            return x->ops[i].value;
        }
    }
    return NULL;
}

static inline void fixture_check_op(const struct fixture *x, size_t i,
                                    uint8_t op, const char *key,
                                    const char *value)
{
    assert_true(i < x->n_ops);
    assert_int_equal(x->ops[i].op, op);
    assert_string_equal(x->ops[i].key, key);
    if (value == NULL) {
        assert_null(x->ops[i].value);
    } else {
        assert_string_equal(x->ops[i].value, value);
    }
}

/* The directory as it is, as if the process had been killed and another one
 * had found it: a copy that is opened beside. */
static inline void fixture_copy(const char *from, const char *to)
{
    char command[2 * TEMP_DIR_MAX + 64];
    snprintf(command, sizeof command, "cp -r %.200s %.200s", from, to);
    assert_int_equal(system(command), 0);
}

#define fixture_test(f)                                                        \
    cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

#endif
