/* Identity of a data directory and its lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/identity.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/temp_dir.h"

struct fixture {
    struct temp_dir dir;
    struct identity wanted;
    struct identity found;
    bool created;
    struct err_info info;
};

static int setup(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    temp_dir_make(&x->dir);
    memset(x->wanted.cluster_id, 7, sizeof x->wanted.cluster_id);
    memset(x->wanted.instance_id, 9, sizeof x->wanted.instance_id);
    x->wanted.node_id = 2;
    strcpy(x->wanted.membership, "1=a:1,2=b:2");
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *x = *state;
    fault_file_disarm();
    temp_dir_remove(&x->dir);
    free(x);
    return 0;
}

static int open_identity(struct fixture *x)
{
    return identity_open(x->dir.path, &x->wanted, &x->found, &x->created,
                         &x->info);
}

static void test_identity_first_start_writes_it(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(open_identity(x), 0);
    assert_true(x->created);
    memset(&x->found, 0, sizeof x->found);
    /* Later starts need nothing. */
    memset(&x->wanted, 0, sizeof x->wanted);
    assert_int_equal(open_identity(x), 0);
    assert_false(x->created);
    assert_int_equal(x->found.node_id, 2);
    assert_int_equal(x->found.cluster_id[5], 7);
    assert_int_equal(x->found.instance_id[15], 9);
    assert_string_equal(x->found.membership, "1=a:1,2=b:2");
}

static void test_identity_another_node_is_refused_with_words(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(open_identity(x), 0);
    x->wanted.node_id = 3;
    assert_int_equal(open_identity(x), ERR_CLUSTER);
    assert_non_null(strstr(x->info.message, "node 2"));
    assert_non_null(strstr(x->info.message, "--id says 3"));
}

static void test_identity_another_cluster_is_refused_with_words(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(open_identity(x), 0);
    x->wanted.cluster_id[0] = 8;
    assert_int_equal(open_identity(x), ERR_CLUSTER);
    assert_non_null(strstr(x->info.message, "cluster 0707"));
    assert_non_null(strstr(x->info.message, "cluster 0807"));
}

static void test_identity_new_directory_needs_an_id(void **state)
{
    struct fixture *x = *state;
    x->wanted.node_id = 0;
    assert_int_equal(open_identity(x), ERR_INVALID);
    assert_non_null(strstr(x->info.message, "--id"));
}

static void test_identity_missing_beside_a_log_is_refused(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(file_make_dir(temp_dir_path(&x->dir, "log")), 0);
    assert_int_equal(open_identity(x), ERR_CORRUPT);
    assert_non_null(strstr(x->info.message, "identity is missing"));
}

static void test_identity_any_damage_is_refused(void **state)
{
    struct fixture *x = *state;
    const char *path = temp_dir_path(&x->dir, "identity");
    uint8_t *data;
    size_t size;
    assert_int_equal(open_identity(x), 0);
    assert_int_equal(file_read_all(path, 1 << 20, (void **)&data, &size), 0);
    for (size_t i = 0; i < size; i++) {
        int rv;
        data[i] ^= 0x20;
        rv = identity_decode(data, size, &x->found);
        assert_true(rv == ERR_CORRUPT || (rv == ERR_VERSION && i < 12));
        data[i] ^= 0x20;
    }
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(identity_decode(data, n, &x->found), ERR_CORRUPT);
    }
    data[30] ^= 1;
    assert_int_equal(file_replace(path, data, size), 0);
    assert_int_equal(open_identity(x), ERR_CORRUPT);
    assert_non_null(strstr(x->info.message, "damaged"));
    data[30] ^= 1;
    data[8] = 2;
    assert_int_equal(file_replace(path, data, size), 0);
    assert_int_equal(open_identity(x), ERR_VERSION);
    free(data);
}

static void test_identity_crash_leaves_none_or_all(void **state)
{
    struct fixture *x = *state;
    for (unsigned long n = 1;; n++) {
        struct identity nothing;
        bool struck;
        int rv;
        temp_dir_remove(&x->dir);
        temp_dir_make(&x->dir);
        fault_file_arm(FAULT_CHANGES, n, ERR_IO, FAULT_TORN);
        rv = open_identity(x);
        struck = fault_file_disarm();
        assert_true(rv == 0 || struck);
        memset(&nothing, 0, sizeof nothing);
        rv = identity_open(x->dir.path, &nothing, &x->found, &x->created,
                           &x->info);
        assert_true(rv == 0 || rv == ERR_INVALID);
        assert_int_equal(open_identity(x), 0);
        assert_string_equal(x->found.membership, x->wanted.membership);
        if (!struck) {
            break;
        }
    }
}

static void test_identity_lock_is_held_until_closed(void **state)
{
    struct fixture *x = *state;
    struct file *lock = NULL;
    struct file *second = NULL;
    assert_int_equal(identity_lock(x->dir.path, &lock, &x->info), 0);
    assert_int_equal(identity_lock(x->dir.path, &second, &x->info), ERR_LOCKED);
    assert_non_null(strstr(x->info.message, "in use"));
    file_close(lock);
    assert_int_equal(identity_lock(x->dir.path, &lock, &x->info), 0);
    file_close(lock);
}

/* The start before may have been killed behind the rename. */
static void test_identity_later_start_makes_the_name_durable(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(open_identity(x), 0);
    fault_file_arm(FAULT_SYNC_DIR, 1, ERR_IO, FAULT_ONCE);
    assert_int_equal(open_identity(x), ERR_IO);
    assert_true(fault_file_disarm());
    assert_non_null(strstr(x->info.message, "cannot sync"));
    assert_int_equal(open_identity(x), 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_identity_first_start_writes_it),
        test(test_identity_another_node_is_refused_with_words),
        test(test_identity_another_cluster_is_refused_with_words),
        test(test_identity_new_directory_needs_an_id),
        test(test_identity_missing_beside_a_log_is_refused),
        test(test_identity_any_damage_is_refused),
        test(test_identity_crash_leaves_none_or_all),
        test(test_identity_later_start_makes_the_name_durable),
        test(test_identity_lock_is_held_until_closed),
    };
    return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}
