/* The log through its API: append, recover, reopen, arguments, damage. */
#include "tests/unit/persist/wal_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "raftlog/identity.h"

static void test_wal_operations_come_back_in_order(void **state)
{
    struct fixture *x = *state;
    for (int round = 0; round < 2; round++) {
        if (round == 0) {
            fixture_open(x, 1);
            fixture_set(x, "a", "1");
            fixture_set(x, "b", "");
            assert_int_equal(wal_append(&x->wal, WAL_OP_MOD, "a", "2"), 0);
            assert_int_equal(wal_append(&x->wal, WAL_OP_DEL, "b", NULL), 0);
            assert_int_equal(wal_append(&x->wal, WAL_OP_DEL, "c", "gone"), 0);
        } else {
            fixture_reopen(x, 1);
        }
        fixture_recover(x);
        assert_int_equal(x->n_ops, 5);
        fixture_check_op(x, 0, WAL_OP_SET, "a", "1");
        fixture_check_op(x, 1, WAL_OP_SET, "b", "");
        fixture_check_op(x, 2, WAL_OP_MOD, "a", "2");
        fixture_check_op(x, 3, WAL_OP_DEL, "b", NULL);
        fixture_check_op(x, 4, WAL_OP_DEL, "c", NULL);
    }
}

static void test_wal_sequence_continues_after_reopening(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 1);
    assert_int_equal(wal_last_seq(&x->wal), 0);
    for (unsigned life = 1; life <= 3; life++) {
        for (unsigned i = 0; i < 50; i++) {
            fixture_set_numbered(x, i, life);
        }
        assert_int_equal(wal_last_seq(&x->wal), life * 50);
        assert_int_equal(wal_durable_seq(&x->wal), life * 50);
        fixture_reopen(x, 1);
        assert_int_equal(wal_last_seq(&x->wal), life * 50);
    }
    fixture_recover(x);
    assert_int_equal(x->n_ops, 150);
    assert_string_equal(fixture_get(x, "key-000007"), "value-7-3");
}

static void test_wal_synced_append_is_durable_on_return(void **state)
{
    struct fixture *x = *state;
    char copy[TEMP_DIR_MAX + 16];
    fixture_open(x, 1);
    for (unsigned i = 0; i < 20; i++) {
        fixture_set_numbered(x, i, 1);
    }
    snprintf(copy, sizeof copy, "%s/copy", x->dir.path);
    fixture_copy(x->path, copy);
    wal_destroy(&x->wal);
    memcpy(x->path, copy, sizeof copy);
    fixture_open(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 20);
}

static void test_wal_rotation_keeps_all_entries(void **state)
{
    struct fixture *x = *state;
    wal_t *wal = &x->wal;
    char value[3000];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    fixture_open(x, 1);
    for (unsigned i = 0; i < 500; i++) { /* 1.5 MB in files of 256 KiB */
        char key[32];
        snprintf(key, sizeof key, "key-%u", i);
        fixture_set(x, key, value);
    }
    assert_int_equal(wal_last_seq(wal), 500);
    fixture_reopen(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 500);
    assert_string_equal(x->ops[499].key, "key-499");
    assert_int_equal(strlen(x->ops[250].value), sizeof value - 1);
}

static void test_wal_value_larger_than_a_file_is_kept(void **state)
{
    struct fixture *x = *state;
    size_t size = 1000 * 1000;
    char *value = malloc(size + 1);
    assert_non_null(value);
    memset(value, 'x', size);
    value[size] = '\0';
    fixture_open(x, 1);
    fixture_set(x, "before", "1");
    fixture_set(x, "large", value);
    fixture_set(x, "after", "2");
    fixture_reopen(x, 0);
    fixture_set(x, "large again", value);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 4);
    assert_string_equal(x->ops[1].value, value);
    assert_string_equal(x->ops[3].value, value);
    free(value);
}

static void test_wal_force_sync_makes_all_durable(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    for (unsigned i = 0; i < 30; i++) {
        fixture_set_numbered(x, i, 1);
    }
    assert_int_equal(wal_last_seq(&x->wal), 30);
    assert_int_equal(wal_durable_seq(&x->wal), 0);
    assert_int_equal(wal_force_sync(&x->wal), 0);
    assert_int_equal(wal_durable_seq(&x->wal), 30);
    assert_int_equal(wal_force_sync(&x->wal), 0);
}

static void test_wal_incremental_sync_waits_for_a_batch(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    x->wal.incremental_running = 0;
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_INTERVAL), 0);
    for (unsigned i = 1; i <= INCREMENTAL_BATCH_SIZE; i++) {
        assert_int_equal(wal_incremental_sync(&x->wal, NULL), 0);
        assert_int_equal(wal_durable_seq(&x->wal), 0);
        fixture_set_numbered(x, i, 1);
    }
    assert_int_equal(wal_incremental_sync(&x->wal, x), 0);
    assert_int_equal(wal_durable_seq(&x->wal), INCREMENTAL_BATCH_SIZE);
}

/* Poll, bounded, until so many entries are durable. */
static void wait_durable(struct fixture *x, uint64_t seq)
{
    for (unsigned i = 0; i < 20000 && wal_durable_seq(&x->wal) < seq; i++) {
        usleep(1000);
    }
    assert_true(wal_durable_seq(&x->wal) >= seq);
}

static void test_wal_batch_is_written_by_itself(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    x->wal.incremental_running = 0;
    for (unsigned i = 0; i < INCREMENTAL_BATCH_SIZE; i++) {
        fixture_set_numbered(x, i, 1);
    }
    wait_durable(x, INCREMENTAL_BATCH_SIZE);
}

static void test_wal_interval_is_kept_for_a_single_entry(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_INTERVAL), 0);
    assert_int_equal(wal_set_option(&x->wal, WAL_OPTION_SYNC_INTERVAL_MS, 20),
                     0);
    fixture_set(x, "a", "1");
    wait_durable(x, 1);
    x->wal.incremental_running = 0;
    fixture_set(x, "b", "2");
    assert_int_equal(wal_start_incremental_sync(&x->wal, NULL), 0);
    wait_durable(x, 2);
}

static void test_wal_policy_can_change_at_run_time(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    fixture_set(x, "a", "1");
    assert_int_equal(
        wal_set_option(&x->wal, WAL_OPTION_SYNC_POLICY, WAL_SYNC_ALWAYS), 0);
    fixture_set(x, "b", "2");
    assert_int_equal(wal_durable_seq(&x->wal), 2);
}

static void test_wal_recover_sees_what_is_not_durable(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 0);
    fixture_set(x, "a", "1");
    fixture_recover(x);
    assert_int_equal(x->n_ops, 1);
    fixture_set(x, "b", "2");
    fixture_recover(x);
    assert_int_equal(x->n_ops, 2);
}

static void test_wal_failing_callback_ends_the_replay(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 1);
    for (unsigned i = 0; i < 10; i++) {
        fixture_set_numbered(x, i, 1);
    }
    x->stop_at = 4;
    assert_int_equal(wal_recover(&x->wal, x, fixture_apply), -1);
    assert_int_equal(errno, ECANCELED);
    assert_int_equal(x->n_ops, 4);
    x->stop_at = 0;
    fixture_recover(x);
    assert_int_equal(x->n_ops, 10);
}

static void check_refused(int rv, int code)
{
    assert_int_equal(rv, -1);
    assert_int_equal(errno, code);
    assert_true(strlen(persist_errmsg()) > 10);
}

static void test_wal_wrong_arguments_are_refused(void **state)
{
    struct fixture *x = *state;
    wal_t closed;
    uint64_t value;
    memset(&closed, 0, sizeof closed);
    check_refused(wal_init(NULL, x->path, 1), EINVAL);
    check_refused(wal_init(&x->wal, NULL, 1), EINVAL);
    check_refused(wal_init(&x->wal, "", 1), EINVAL);
    check_refused(wal_append(NULL, WAL_OP_SET, "k", "v"), EINVAL);
    check_refused(wal_append(&closed, WAL_OP_SET, "k", "v"), EINVAL);
    check_refused(wal_force_sync(NULL), EINVAL);
    check_refused(wal_incremental_sync(NULL, NULL), EINVAL);
    check_refused(wal_start_incremental_sync(NULL, NULL), EINVAL);
    fixture_open(x, 1);
    check_refused(wal_append(&x->wal, WAL_OP_SET, NULL, "v"), EINVAL);
    check_refused(wal_append(&x->wal, WAL_OP_SET, "k", NULL), EINVAL);
    check_refused(wal_append(&x->wal, WAL_OP_MOD, "k", NULL), EINVAL);
    check_refused(wal_append(&x->wal, 0, "k", "v"), EINVAL);
    check_refused(wal_append(&x->wal, 4, "k", "v"), EINVAL);
    check_refused(wal_recover(&x->wal, x, NULL), EINVAL);
    check_refused(wal_recover(NULL, x, fixture_apply), EINVAL);
    check_refused(wal_set_option(&x->wal, (enum wal_option)0, 1), EINVAL);
    check_refused(wal_set_option(&x->wal, (enum wal_option)99, 1), EINVAL);
    check_refused(wal_set_option(&x->wal, WAL_OPTION_SYNC_POLICY, 9), EINVAL);
    check_refused(wal_set_option(&x->wal, WAL_OPTION_FILE_SIZE, 1 << 20),
                  EINVAL);
    check_refused(wal_get_option(&x->wal, WAL_OPTION_BATCH_SIZE, NULL), EINVAL);
    assert_int_equal(wal_get_option(&x->wal, WAL_OPTION_BATCH_SIZE, &value), 0);
    assert_int_equal(value, 100);
    assert_int_equal(wal_last_seq(&x->wal), 0);
    wal_destroy(NULL);
    wal_destroy(&closed);
}

static void test_wal_too_long_key_is_refused(void **state)
{
    struct fixture *x = *state;
    char *key = malloc(WAL_KEY_MAX + 2);
    assert_non_null(key);
    memset(key, 'k', WAL_KEY_MAX + 1);
    key[WAL_KEY_MAX + 1] = '\0';
    fixture_open(x, 1);
    check_refused(wal_append(&x->wal, WAL_OP_SET, key, "v"), EMSGSIZE);
    key[WAL_KEY_MAX] = '\0';
    fixture_set(x, key, "v");
    fixture_recover(x);
    assert_int_equal(x->n_ops, 1);
    assert_string_equal(x->ops[0].key, key);
    free(key);
}

static void test_wal_missing_parent_is_refused(void **state)
{
    struct fixture *x = *state;
    char path[TEMP_DIR_MAX + 32];
    snprintf(path, sizeof path, "%s/no/such", x->dir.path);
    check_refused(wal_init(&x->wal, path, 1), ENOENT);
    assert_non_null(strstr(persist_errmsg(), path));
}

static void test_wal_second_handle_is_refused(void **state)
{
    struct fixture *x = *state;
    wal_t other;
    fixture_open(x, 1);
    check_refused(wal_init(&other, x->path, 1), EBUSY);
    fixture_set(x, "a", "1");
}

/* The path of a file under log/ whose name ends so. */
static void find_segment(const struct fixture *x, char *out, size_t size)
{
    char log_dir[TEMP_DIR_MAX + 32];
    struct dirent *e;
    DIR *dir;
    snprintf(log_dir, sizeof log_dir, "%s/log", x->path);
    dir = opendir(log_dir);
    assert_non_null(dir);
    out[0] = '\0';
    while ((e = readdir(dir)) != NULL) {
        if (strstr(e->d_name, ".seg") != NULL) {
            snprintf(out, size, "%.200s/%.60s", log_dir, e->d_name);
        }
    }
    closedir(dir);
    assert_true(out[0] != '\0');
}

static void test_wal_damaged_file_is_refused_and_unchanged(void **state)
{
    struct fixture *x = *state;
    char path[512];
    char before[64];
    char after[64];
    int fd;
    fixture_open(x, 1);
    for (unsigned i = 0; i < 5; i++) {
        fixture_set_numbered(x, i, 1);
    }
    wal_destroy(&x->wal);
    find_segment(x, path, sizeof path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, before, sizeof before, 2 * 4096 + 100), 64);
    before[10] ^= 1;
    assert_int_equal(pwrite(fd, before, sizeof before, 2 * 4096 + 100), 64);
    check_refused(wal_init(&x->wal, x->path, 1), EBADMSG);
    assert_non_null(strstr(persist_errmsg(), ".seg"));
    assert_int_equal(pread(fd, after, sizeof after, 2 * 4096 + 100), 64);
    assert_memory_equal(before, after, sizeof after);
    before[10] ^= 1;
    assert_int_equal(pwrite(fd, before, sizeof before, 2 * 4096 + 100), 64);
    close(fd);
    fixture_open(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 5);
}

static void test_wal_failed_write_stops_the_handle(void **state)
{
    struct fixture *x = *state;
    fixture_open(x, 1);
    fixture_set(x, "a", "1");
    fault_file_arm(FAULT_COMPLETE, 1, ERR_IO, FAULT_ONCE);
    check_refused(wal_append(&x->wal, WAL_OP_SET, "b", "2"), EIO);
    assert_true(fault_file_disarm());
    check_refused(wal_append(&x->wal, WAL_OP_SET, "c", "3"), EIO);
    check_refused(wal_force_sync(&x->wal), EIO);
    fixture_reopen(x, 1);
    fixture_recover(x);
    assert_true(x->n_ops >= 1);
    assert_null(fixture_get(x, "c"));
    fixture_set(x, "d", "4");
}

/* A disk that takes no new file: what fits the files that are there is
 * accepted, the rest refused, and all goes on when there is room again. */
static void test_wal_full_disk_refuses_and_goes_on(void **state)
{
    struct fixture *x = *state;
    char value[2000];
    unsigned n = 0;
    unsigned n_refused = 0;
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    fixture_open(x, 1);
    fixture_set(x, "first", "1");
    for (unsigned i = 0; i < 2000 && n_refused < 3; i++) {
        char key[32];
        fault_file_arm(FAULT_FILL, 1, ERR_NOSPACE, FAULT_ONCE);
        snprintf(key, sizeof key, "key-%u", n);
        if (wal_append(&x->wal, WAL_OP_SET, key, value) == 0) {
            n++;
        } else {
            assert_int_equal(errno, ENOSPC);
            n_refused++;
        }
    }
    (void)fault_file_disarm();
    assert_int_equal(n_refused, 3);
    assert_int_equal(wal_last_seq(&x->wal), n + 1);
    for (unsigned i = 0; i < 2000; i++) {
        if (wal_append(&x->wal, WAL_OP_SET, "again", "2") == 0) {
            break;
        }
        usleep(10000);
    }
    assert_int_equal(wal_last_seq(&x->wal), n + 2);
    fixture_reopen(x, 1);
    fixture_recover(x);
    assert_int_equal(x->n_ops, n + 2);
    assert_string_equal(x->ops[n + 1].key, "again");
}

static void test_wal_missing_identity_is_refused(void **state)
{
    struct fixture *x = *state;
    char path[TEMP_DIR_MAX + 32];
    fixture_open(x, 1);
    wal_destroy(&x->wal);
    snprintf(path, sizeof path, "%s/identity", x->path);
    assert_int_equal(unlink(path), 0);
    check_refused(wal_init(&x->wal, x->path, 1), EBADMSG);
}

static void test_wal_directory_of_a_node_is_refused(void **state)
{
    struct fixture *x = *state;
    struct identity *id = calloc(1, sizeof *id);
    bool created;
    assert_non_null(id);
    id->node_id = 1;
    memset(id->cluster_id, 7, sizeof id->cluster_id);
    strcpy(id->membership, "1=a:1");
    assert_int_equal(mkdir(x->path, 0700), 0);
    assert_int_equal(identity_open(x->path, id, id, &created, NULL), 0);
    free(id);
    check_refused(wal_init(&x->wal, x->path, 1), EINVAL);
    assert_non_null(strstr(persist_errmsg(), "node"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_wal_operations_come_back_in_order),
        fixture_test(test_wal_sequence_continues_after_reopening),
        fixture_test(test_wal_synced_append_is_durable_on_return),
        fixture_test(test_wal_rotation_keeps_all_entries),
        fixture_test(test_wal_value_larger_than_a_file_is_kept),
        fixture_test(test_wal_force_sync_makes_all_durable),
        fixture_test(test_wal_incremental_sync_waits_for_a_batch),
        fixture_test(test_wal_batch_is_written_by_itself),
        fixture_test(test_wal_interval_is_kept_for_a_single_entry),
        fixture_test(test_wal_policy_can_change_at_run_time),
        fixture_test(test_wal_recover_sees_what_is_not_durable),
        fixture_test(test_wal_failing_callback_ends_the_replay),
        fixture_test(test_wal_wrong_arguments_are_refused),
        fixture_test(test_wal_too_long_key_is_refused),
        fixture_test(test_wal_missing_parent_is_refused),
        fixture_test(test_wal_second_handle_is_refused),
        fixture_test(test_wal_damaged_file_is_refused_and_unchanged),
        fixture_test(test_wal_failed_write_stops_the_handle),
        fixture_test(test_wal_full_disk_refuses_and_goes_on),
        fixture_test(test_wal_missing_identity_is_refused),
        fixture_test(test_wal_directory_of_a_node_is_refused),
    };
    return cmocka_run_group_tests_name("wal", tests, NULL, NULL);
}
