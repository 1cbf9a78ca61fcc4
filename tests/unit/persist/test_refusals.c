/* What the library refuses, and with which errno and words: wrong arguments,
 * handles that are not open, directories that are none, bytes that are no
 * operation. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include <unistd.h>

#include "persist/directory.h"
#include "persist/entry.h"
#include "persist/error.h"
#include "raftlog/file.h"

/* The call has failed with this errno, and says so with these words. */
static void refused(int rv, int error, const char *words)
{
    assert_int_equal(rv, -1);
    assert_int_equal(errno, error);
    if (strstr(persist_errmsg(), words) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", persist_errmsg(), words);
    }
}

static void test_refusals_each_code_has_an_errno(void **state)
{
    static const struct {
        int code;
        int error;
    } table[] = {
        {ERR_NOMEM, ENOMEM},    {ERR_NOSPACE, ENOSPC}, {ERR_CORRUPT, EBADMSG},
        {ERR_VERSION, ENOTSUP}, {ERR_EXISTS, EEXIST},  {ERR_NOTFOUND, ENOENT},
        {ERR_CLUSTER, EINVAL},  {ERR_INVALID, EINVAL}, {ERR_BUSY, EBUSY},
        {ERR_LOCKED, EBUSY},    {ERR_RANGE, ERANGE},   {ERR_GAP, ERANGE},
        {ERR_TOOBIG, EMSGSIZE}, {ERR_AGAIN, EAGAIN},   {ERR_STOPPED, ECANCELED},
        {ERR_ACCESS, EACCES},   {ERR_IO, EIO},         {-9999, EIO},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(error_number(table[i].code), table[i].error);
    }
    assert_int_equal(error_return(0, NULL), 0);
    refused(error_return(ERR_NOSPACE, NULL), ENOSPC, err_text(ERR_NOSPACE));
    assert_string_not_equal(persist_version(), "");
}

static void test_refusals_options_out_of_range_or_unknown(void **state)
{
    struct fixture *x = *state;
    uint64_t value = 7;
    wal_t closed;
    memset(&closed, 0, sizeof closed);
    refused(wal_set_option(NULL, (enum wal_option)99, 1), EINVAL, "99");
    refused(wal_set_option(NULL, WAL_OPTION_COMPACT_RATIO, 101), EINVAL, "101");
    refused(wal_set_option(&closed, WAL_OPTION_BATCH_SIZE, 5), EINVAL,
            "not open");
    refused(wal_get_option(NULL, (enum wal_option)99, &value), EINVAL, "99");
    refused(wal_get_option(NULL, WAL_OPTION_BATCH_SIZE, NULL), EINVAL,
            "option");
    refused(wal_get_option(&closed, WAL_OPTION_BATCH_SIZE, &value), EINVAL,
            "not open");
    assert_int_equal(value, 7);
    fixture_open(x, 1);
    refused(wal_set_option(&x->wal, WAL_OPTION_FILE_SIZE, 1 << 20), EINVAL,
            "wal_init");
    assert_int_equal(wal_get_option(&x->wal, WAL_OPTION_BATCH_SIZE, &value), 0);
    assert_int_equal(value, INCREMENTAL_BATCH_SIZE);
}

static void test_refusals_handles_that_are_not_open(void **state)
{
    wal_t closed;
    wal_file_info_t file;
    persist_stats_t stats;
    size_t count;
    (void)state;
    memset(&closed, 0, sizeof closed);
    refused(wal_get_stats(NULL, &stats), EINVAL, "statistics");
    refused(wal_get_stats(&closed, &stats), EINVAL, "statistics");
    refused(wal_list_files(NULL, &file, 1, &count), EINVAL, "files");
    refused(wal_list_files(&closed, &file, 1, &count), EINVAL, "files");
    refused(persist_init(NULL, "x", 1), EINVAL, "NULL");
    refused(persist_get_stats(NULL, &stats), EINVAL, "statistics");
    wal_reset_stats(NULL);
    wal_reset_stats(&closed);
    persist_reset_stats(NULL);
    persist_destroy(NULL);
    wal_destroy(NULL);
    wal_destroy(&closed);
}

static void test_refusals_places_for_results_are_needed(void **state)
{
    struct fixture *x = *state;
    wal_file_info_t file;
    size_t count = 0;
    fixture_open(x, 1);
    refused(wal_get_stats(&x->wal, NULL), EINVAL, "statistics");
    refused(wal_list_files(&x->wal, NULL, 1, &count), EINVAL, "files");
    refused(wal_list_files(&x->wal, &file, 1, NULL), EINVAL, "files");
    assert_int_equal(wal_list_files(&x->wal, NULL, 0, &count), 0);
    assert_true(count > 0);
}

static void test_refusals_directories_that_are_none(void **state)
{
    struct fixture *x = *state;
    static char longest[DIRECTORY_PATH_MAX + 2];
    struct err_info info;
    char path[400];
    struct file *f = NULL;
    memset(longest, 'x', sizeof longest - 1);
    assert_int_equal(directory_make("", &info), ERR_INVALID);
    assert_non_null(strstr(info.message, "empty"));
    assert_int_equal(directory_make(longest, &info), ERR_INVALID);
    assert_non_null(strstr(info.message, "too long"));
    assert_int_equal(directory_make("/nowhere/at/all", &info), ERR_NOTFOUND);
    assert_int_equal(directory_make("/", &info), 0);
    assert_int_equal(directory_make(".", &info), 0);
    snprintf(path, sizeof path, "%s/one///", x->dir.path);
    assert_int_equal(directory_make(path, &info), 0);
    assert_int_equal(directory_make(path, &info), 0);
    snprintf(path, sizeof path, "%s/file", x->dir.path);
    assert_int_equal(file_open(path, FILE_WRITE | FILE_CREATE, &f), 0);
    file_close(f);
    assert_int_equal(wal_init(&x->wal, path, 1), -1);
    /* A directory whose name can not be made durable is no place for a log. */
    snprintf(path, sizeof path, "%s/two", x->dir.path);
    fault_file_arm(FAULT_SYNC_DIR, 1, ERR_IO, FAULT_ONCE);
    assert_int_equal(directory_make(path, &info), ERR_IO);
    assert_true(fault_file_disarm());
    fault_file_arm(FAULT_SYNC_DIR, 1, ERR_ACCESS, FAULT_ONCE);
    assert_int_equal(directory_make(path, &info), 0); /* found, not made */
    assert_true(fault_file_disarm());
}

static void test_refusals_streams_in_the_way_close_the_log_again(void **state)
{
    struct fixture *x = *state;
    persist_state_t both;
    struct file *f = NULL;
    char path[400];
    assert_int_equal(persist_init(&both, x->path, 1), 0);
    persist_destroy(&both);
    snprintf(path, sizeof path, "%s/streams", x->path);
    temp_dir_remove_path(path);
    assert_int_equal(file_open(path, FILE_WRITE | FILE_CREATE, &f), 0);
    file_close(f);
    assert_int_equal(persist_init(&both, x->path, 1), -1);
    /* Nothing stays locked. */
    assert_int_equal(file_unlink(path), 0);
    assert_int_equal(persist_init(&both, x->path, 1), 0);
    persist_destroy(&both);
}

static int one_key(void *engine, char ***keys, int *count)
{
    (void)engine;
    *keys = malloc(sizeof **keys);
    (*keys)[0] = strdup("key");
    *count = 1;
    return 0;
}

static int one_value(void *engine, const char *key, char **value)
{
    (void)engine;
    (void)key;
    *value = strdup("of the base");
    return 0;
}

/* Who removes the manifest by mistake finds all of it again with it. */
static void test_refusals_missing_manifest_costs_nothing(void **state)
{
    struct fixture *x = *state;
    char manifest[TEMP_DIR_MAX + 64];
    char aside[TEMP_DIR_MAX + 64];
    char value[3001];
    size_t n = 2;
    memset(value, 'v', 3000);
    value[3000] = '\0';
    fixture_open(x, 0);
    for (unsigned i = 0; i < 300; i++) { /* four files */
        fixture_set(x, "key", value);
    }
    assert_int_equal(wal_compact_logs(&x->wal, x, one_key, one_value), 0);
    for (unsigned i = 0; i < 5000 && n > 1; i++) {
        assert_int_equal(wal_list_files(&x->wal, NULL, 0, &n), 0);
        usleep(1000);
    }
    assert_int_equal(n, 1);
    wal_destroy(&x->wal);
    snprintf(manifest, sizeof manifest, "%s/snapshots/MANIFEST", x->path);
    snprintf(aside, sizeof aside, "%s/MANIFEST", x->dir.path);
    assert_int_equal(rename(manifest, aside), 0);
    assert_int_equal(wal_init(&x->wal, x->path, 0), -1);
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(persist_errmsg(), "snapshots/MANIFEST is missing"));
    assert_int_equal(rename(aside, manifest), 0);
    fixture_open(x, 0);
    fixture_recover(x);
    assert_int_equal(x->n_ops, 1);
    fixture_check_op(x, 0, WAL_OP_SET, "key", "of the base");
}

static void test_refusals_bytes_that_are_no_operation(void **state)
{
    static const uint8_t set[] = {3, 'k', 'e', 'y', 'v'};
    static const uint8_t beyond[] = {9, 'k'};
    static const uint8_t endless[] = {0x80};
    struct entry e;
    uint8_t out[8];
    (void)state;
    assert_int_equal(entry_decode(ENTRY_SET, set, sizeof set, &e), 0);
    assert_int_equal(e.key.size, 3);
    assert_int_equal(e.value.size, 1);
    assert_int_equal(entry_decode(ENTRY_DEL, set, sizeof set, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode(ENTRY_DEL, set, 4, &e), 0);
    assert_int_equal(entry_decode(ENTRY_MOD, beyond, 2, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode(ENTRY_MOD, endless, 1, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode(1, set, sizeof set, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode(ENTRY_MARK, set, 1, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode(ENTRY_MARK, set, 0, &e), 0);
    assert_int_equal(entry_size(&e), 0);
    entry_encode(&e, out);
}

#define test(f)                                                                \
    cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(test_refusals_each_code_has_an_errno),
        test(test_refusals_options_out_of_range_or_unknown),
        test(test_refusals_handles_that_are_not_open),
        test(test_refusals_places_for_results_are_needed),
        test(test_refusals_directories_that_are_none),
        test(test_refusals_streams_in_the_way_close_the_log_again),
        test(test_refusals_missing_manifest_costs_nothing),
        test(test_refusals_bytes_that_are_no_operation),
    };
    return cmocka_run_group_tests_name("refusals", tests, NULL, NULL);
}
