/* Snapshots of a program's own streams: bases, increments, their order, and
 * what failures leave. */
#define FIXTURE_IN_MEMORY 1
#include "tests/unit/persist/wal_fixture.h"

#include <fcntl.h>
#include <unistd.h>

struct engine {
    const char *text;
    size_t repeat; /* how often it is written */
    bool fails;
    char got[4][64]; /* what each stream began with */
    size_t got_bytes[4];
    unsigned n_got;
    unsigned fail_at; /* 0: never */
};

static int save(void *engine, FILE *f)
{
    struct engine *e = engine;
    for (size_t i = 0; i < e->repeat; i++) {
        (void)fputs(e->text, f);
    }
    return e->fails ? -1 : 0;
}

static int save_range(void *engine, FILE *f, uint64_t from, uint64_t to)
{
    (void)engine;
    (void)fprintf(f, "%llu-%llu", (unsigned long long)from,
                  (unsigned long long)to);
    return 0;
}

static int take(void *engine, FILE *f)
{
    struct engine *e = engine;
    char rest[1000];
    size_t n;
    assert_true(e->n_got < 4);
    n = fread(e->got[e->n_got], 1, sizeof e->got[0] - 1, f);
    e->got[e->n_got][n] = '\0';
    e->got_bytes[e->n_got] = n;
    while ((n = fread(rest, 1, sizeof rest, f)) > 0) {
        e->got_bytes[e->n_got] += n;
    }
    e->n_got++;
    return e->n_got == e->fail_at ? -1 : 0;
}

static void open_snap(struct fixture *x, snapshot_t *snap)
{
    if (snapshot_init(snap, x->path) != 0) {
        fail_msg("snapshot_init: %s", persist_errmsg());
    }
}

static void ok(int rv)
{
    if (rv != 0) {
        fail_msg("%s", persist_errmsg());
    }
}

static void refused(int rv, int code)
{
    assert_int_equal(rv, -1);
    assert_int_equal(errno, code);
    assert_true(strlen(persist_errmsg()) > 10);
}

static void test_snapshot_stream_comes_back(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "hello ", .repeat = 100000};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_load(&snap, &e, take));
    snapshot_destroy(&snap);
    open_snap(x, &snap);
    ok(snapshot_load(&snap, &e, take));
    assert_int_equal(e.n_got, 2);
    assert_int_equal(e.got_bytes[0], 600000);
    assert_int_equal(e.got_bytes[1], 600000);
    assert_memory_equal(e.got[1], "hello hello ", 12);
    snapshot_destroy(&snap);
    snapshot_destroy(&snap);
    snapshot_destroy(NULL);
}

static void test_snapshot_empty_stream_comes_back(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "", .repeat = 0};
    snapshot_t snap;
    open_snap(x, &snap);
    refused(snapshot_load(&snap, &e, take), ENOENT);
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_load(&snap, &e, take));
    assert_int_equal(e.got_bytes[0], 0);
    snapshot_destroy(&snap);
}

static void test_snapshot_increments_are_applied_in_order(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "base", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create_at(&snap, &e, 100, save));
    ok(snapshot_create_incremental(&snap, &e, 100, 200, save_range));
    ok(snapshot_create_incremental(&snap, &e, 200, 250, save_range));
    snapshot_destroy(&snap);
    open_snap(x, &snap);
    ok(snapshot_load(&snap, &e, take));
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.n_got, 3);
    assert_string_equal(e.got[0], "base");
    assert_string_equal(e.got[1], "100-200");
    assert_string_equal(e.got[2], "200-250");
    ok(snapshot_apply_incremental(&snap, &e, take)); /* all done already */
    assert_int_equal(e.n_got, 3);
    ok(snapshot_create_incremental(&snap, &e, 250, 251, save_range));
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_string_equal(e.got[3], "250-251");
    snapshot_destroy(&snap);
}

static void test_snapshot_increment_without_base_is_kept(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "base", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    refused(snapshot_apply_incremental(&snap, &e, take), ENOENT);
    ok(snapshot_create_incremental(&snap, &e, 100, 200, save_range));
    refused(snapshot_load(&snap, &e, take), ENOENT);
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.n_got, 1);
    assert_string_equal(e.got[0], "100-200");
    snapshot_destroy(&snap);
}

static void test_snapshot_gap_is_found_before_anything_is_applied(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "base", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_create_incremental(&snap, &e, 10, 20, save_range));
    ok(snapshot_create_incremental(&snap, &e, 30, 40, save_range));
    refused(snapshot_apply_incremental(&snap, &e, take), ERANGE);
    assert_int_equal(e.n_got, 0);
    ok(snapshot_create_at(&snap, &e, 50, save));
    ok(snapshot_create_incremental(&snap, &e, 49, 60, save_range));
    refused(snapshot_apply_incremental(&snap, &e, take), ERANGE);
    assert_int_equal(e.n_got, 0);
    ok(snapshot_create_at(&snap, &e, 60, save));
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.n_got, 0);
    snapshot_destroy(&snap);
}

static void test_snapshot_failed_apply_goes_on_behind_the_last(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "base", .repeat = 1, .fail_at = 2};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_create_incremental(&snap, &e, 1, 2, save_range));
    ok(snapshot_create_incremental(&snap, &e, 2, 3, save_range));
    refused(snapshot_apply_incremental(&snap, &e, take), ECANCELED);
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.n_got, 3);
    assert_string_equal(e.got[2], "2-3");
    snapshot_destroy(&snap);
}

static void test_snapshot_new_base_replaces_all(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "one", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_create_incremental(&snap, &e, 1, 2, save_range));
    e.text = "two";
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_load(&snap, &e, take));
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.n_got, 1);
    assert_string_equal(e.got[0], "two");
    snapshot_destroy(&snap);
}

/* What was written is read back before it takes the place of anything. */
static void test_snapshot_damaged_on_its_way_replaces_nothing(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "old", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save));
    e.text = "new";
    /* The first read is that of the manifest. */
    fault_file_arm(FAULT_READ, 2, ERR_CORRUPT, FAULT_ONCE);
    refused(snapshot_create(&snap, &e, save), EBADMSG);
    assert_true(fault_file_disarm());
    fault_file_arm(FAULT_READ, 3, ERR_CORRUPT, FAULT_ONCE);
    refused(snapshot_create_incremental(&snap, &e, 1, 2, save_range), EBADMSG);
    assert_true(fault_file_disarm());
    ok(snapshot_load(&snap, &e, take));
    assert_string_equal(e.got[0], "old");
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.n_got, 1);
    snapshot_destroy(&snap);
}

static void test_snapshot_failing_callback_changes_nothing(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "one", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save));
    e.text = "two";
    e.fails = true;
    refused(snapshot_create(&snap, &e, save), ECANCELED);
    ok(snapshot_load(&snap, &e, take));
    assert_string_equal(e.got[0], "one");
    e.fail_at = 2;
    refused(snapshot_load(&snap, &e, take), ECANCELED);
    snapshot_destroy(&snap);
}

static void test_snapshot_wrong_arguments_are_refused(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "one", .repeat = 1};
    char path[TEMP_DIR_MAX + 32];
    snapshot_t snap;
    snapshot_t closed = {NULL};
    snprintf(path, sizeof path, "%s/no/such", x->dir.path);
    refused(snapshot_init(NULL, x->path), EINVAL);
    refused(snapshot_init(&snap, NULL), EINVAL);
    refused(snapshot_init(&snap, path), ENOENT);
    refused(snapshot_create(&closed, &e, save), EINVAL);
    refused(snapshot_create(NULL, &e, save), EINVAL);
    open_snap(x, &snap);
    refused(snapshot_create(&snap, &e, NULL), EINVAL);
    refused(snapshot_load(&snap, &e, NULL), EINVAL);
    refused(snapshot_apply_incremental(&snap, &e, NULL), EINVAL);
    refused(snapshot_create_incremental(&snap, &e, 1, 2, NULL), EINVAL);
    refused(snapshot_create_incremental(&snap, &e, 2, 2, save_range), EINVAL);
    refused(snapshot_create_incremental(&snap, &e, 3, 2, save_range), EINVAL);
    snapshot_destroy(&snap);
}

static void test_snapshot_chain_has_a_limit(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "one", .repeat = 1};
    snapshot_t snap;
    open_snap(x, &snap);
    for (uint64_t i = 0; i < 63; i++) {
        ok(snapshot_create_incremental(&snap, &e, i, i + 1, save_range));
    }
    refused(snapshot_create_incremental(&snap, &e, 63, 64, save_range),
            EMSGSIZE);
    ok(snapshot_create(&snap, &e, save));
    ok(snapshot_create_incremental(&snap, &e, 63, 64, save_range));
    snapshot_destroy(&snap);
}

/* Several blocks that do not compress. */
static int save_much(FILE *f)
{
    uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < 80000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        if (fwrite(&x, sizeof x, 1, f) != 1) {
            return -1;
        }
    }
    return 0;
}

static int save_much_base(void *engine, FILE *f)
{
    (void)engine;
    return save_much(f);
}

static int save_much_range(void *engine, FILE *f, uint64_t from, uint64_t to)
{
    (void)engine;
    (void)from;
    (void)to;
    return save_much(f);
}

/* A flipped bit in the middle of any file of the chain is found before a byte
 * of it is handed out. */
static void test_snapshot_damage_is_never_handed_out(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "", .repeat = 0};
    snapshot_t snap;
    DIR *dir;
    struct dirent *d;
    unsigned n = 0;
    open_snap(x, &snap);
    ok(snapshot_create(&snap, &e, save_much_base));
    ok(snapshot_create_incremental(&snap, &e, 1, 2, save_much_range));
    dir = opendir(x->path);
    assert_non_null(dir);
    while ((d = readdir(dir)) != NULL) {
        char path[512];
        char byte;
        int fd;
        bool is_base = strncmp(d->d_name, "base-", 5) == 0;
        if (strstr(d->d_name, ".lz4") == NULL) {
            continue;
        }
        snprintf(path, sizeof path, "%.200s/%.100s", x->path, d->d_name);
        fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, 400000), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, 400000), 1);
        e.n_got = 0;
        if (is_base) {
            refused(snapshot_load(&snap, &e, take), EBADMSG);
        } else {
            refused(snapshot_apply_incremental(&snap, &e, take), EBADMSG);
        }
        assert_int_equal(e.n_got, 0);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, 400000), 1);
        close(fd);
        n++;
    }
    closedir(dir);
    assert_int_equal(n, 2);
    ok(snapshot_load(&snap, &e, take));
    ok(snapshot_apply_incremental(&snap, &e, take));
    assert_int_equal(e.got_bytes[0], 640000);
    assert_int_equal(e.got_bytes[1], 640000);
    snapshot_destroy(&snap);
}

static unsigned n_strangers(struct fixture *x)
{
    char command[512];
    unsigned n = 0;
    FILE *f;
    snprintf(command, sizeof command,
             "find %.200s -type f | grep -cvE "
             "'/(LOCK|MANIFEST|(base|delta)-[^/]*\\.lz4)$'",
             x->path);
    f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    pclose(f);
    return n;
}

/* The n-th operation on storage fails, and all after it, for every n: the old
 * snapshot is there, or the new one, and nothing else. */
static void sweep(struct fixture *x, enum fault_mode mode, int code)
{
    unsigned long n;
    for (n = 1; n < 1000; n++) {
        struct engine e = {.text = "old ", .repeat = 100};
        snapshot_t snap;
        int rv;
        open_snap(x, &snap);
        ok(snapshot_create(&snap, &e, save));
        e.text = "new ";
        fault_file_arm(FAULT_CHANGES, n, code, mode);
        rv = snapshot_create(&snap, &e, save);
        if (rv == 0) {
            rv = snapshot_create_incremental(&snap, &e, 1, 2, save_range);
        }
        if (!fault_file_disarm()) {
            assert_int_equal(rv, 0);
            snapshot_destroy(&snap);
            break;
        }
        snapshot_destroy(&snap);
        open_snap(x, &snap);
        ok(snapshot_load(&snap, &e, take));
        assert_int_equal(e.got_bytes[0], 400);
        assert_true(strncmp(e.got[0], "old ", 4) == 0 ||
                    strncmp(e.got[0], "new ", 4) == 0);
        ok(snapshot_apply_incremental(&snap, &e, take));
        assert_int_equal(n_strangers(x), 0);
        snapshot_destroy(&snap);
        temp_dir_remove_path(x->path);
    }
    assert_true(n > 20 && n < 1000);
}

static void test_snapshot_crash_anywhere_leaves_old_or_new(void **state)
{
    sweep(*state, FAULT_CRASH, ERR_IO);
}

static void test_snapshot_full_disk_anywhere_leaves_old_or_new(void **state)
{
    sweep(*state, FAULT_ONCE, ERR_NOSPACE);
}

static void test_state_opens_log_and_snapshots(void **state)
{
    struct fixture *x = *state;
    struct engine e = {.text = "one", .repeat = 1};
    persist_stats_t stats;
    persist_state_t p;
    refused(persist_init(NULL, x->path, 1), EINVAL);
    refused(persist_init(&p, NULL, 1), EINVAL);
    refused(persist_get_stats(NULL, &stats), EINVAL);
    ok(persist_init(&p, x->path, 1));
    assert_int_equal(p.wal.compact_running, 1);
    for (unsigned i = 0; i < 10; i++) {
        ok(wal_append(&p.wal, WAL_OP_SET, "key", "value"));
    }
    ok(snapshot_create(&p.snap, &e, save));
    ok(persist_get_stats(&p, &stats));
    assert_int_equal(stats.write_ops, 10);
    assert_int_equal(stats.sync_ops, 10);
    assert_int_equal(stats.write.count, 10);
    assert_int_equal(stats.write_bytes, 80);
    assert_int_equal(stats.last_seq, 10);
    assert_int_equal(stats.durable_seq, 10);
    assert_int_equal(stats.pending_entries, 0);
    assert_true(stats.avg_write_latency > 0);
    assert_true(stats.p99_write_latency >= stats.write.p50);
    assert_true(stats.write.max >= stats.write.p999);
    assert_true(stats.write_throughput > 0);
    assert_true(stats.total_log_size >= 10 * 4096);
    assert_true(stats.disk_bytes >= FIXTURE_FILE_SIZE);
    assert_true(stats.batch_entries.mean == 1);
    persist_reset_stats(&p);
    ok(persist_get_stats(&p, &stats));
    assert_int_equal(stats.write_ops, 0);
    assert_int_equal(stats.last_seq, 10);
    persist_destroy(&p);
    ok(persist_init(&p, x->path, 0));
    ok(snapshot_load(&p.snap, &e, take));
    persist_destroy(&p);
    persist_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(test_snapshot_stream_comes_back),
        fixture_test(test_snapshot_empty_stream_comes_back),
        fixture_test(test_snapshot_increments_are_applied_in_order),
        fixture_test(test_snapshot_increment_without_base_is_kept),
        fixture_test(test_snapshot_gap_is_found_before_anything_is_applied),
        fixture_test(test_snapshot_failed_apply_goes_on_behind_the_last),
        fixture_test(test_snapshot_new_base_replaces_all),
        fixture_test(test_snapshot_damaged_on_its_way_replaces_nothing),
        fixture_test(test_snapshot_failing_callback_changes_nothing),
        fixture_test(test_snapshot_wrong_arguments_are_refused),
        fixture_test(test_snapshot_chain_has_a_limit),
        fixture_test(test_snapshot_damage_is_never_handed_out),
        fixture_test(test_snapshot_crash_anywhere_leaves_old_or_new),
        fixture_test(test_snapshot_full_disk_anywhere_leaves_old_or_new),
        fixture_test(test_state_opens_log_and_snapshots),
    };
    return cmocka_run_group_tests_name("snapshots", tests, NULL, NULL);
}
