/* The simulated disks keep what was synced and lose the rest in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/err.h"
#include "raftlog/file.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_disk.h"

enum { ROUNDS = 300 };

struct fixture {
    struct sim_clock clock;
    struct sim_random random;
    struct sim_disk disk;
    unsigned n_completed;
    unsigned n_misuse;
    unsigned crash_at; /* freeze before this operation; 0: never */
    unsigned n_operations;
};

static void on_completed(void *ctx)
{
    ((struct fixture *)ctx)->n_completed++;
}

static void on_misuse(void *ctx, const char *text)
{
    (void)text;
    ((struct fixture *)ctx)->n_misuse++;
}

static void on_operation(void *ctx, enum sim_disk_operation operation,
                         const char *path, bool after)
{
    struct fixture *x = ctx;

    (void)operation;
    (void)path;
    if (!after && ++x->n_operations == x->crash_at) {
        sim_disk_freeze(&x->disk);
    }
}

static void fixture_open(struct fixture *x, uint64_t seed)
{
    struct sim_disk_hooks hooks = {
        .ctx = x,
        .operation = on_operation,
        .completed = on_completed,
        .misuse = on_misuse,
    };

    memset(x, 0, sizeof *x);
    sim_clock_init(&x->clock);
    sim_random_init(&x->random, seed);
    sim_disk_init(&x->disk, 1, &x->random, &x->clock, &hooks);
}

static void fixture_close(struct fixture *x)
{
    sim_disk_close(&x->disk);
    sim_clock_close(&x->clock);
}

static void put(const char *path, const void *data, size_t size,
                uint64_t offset, bool sync)
{
    struct file *f;

    assert_int_equal(file_open(path, FILE_WRITE | FILE_CREATE, &f), 0);
    assert_int_equal(file_write_at(f, data, size, offset), 0);
    if (sync) {
        assert_int_equal(file_sync(f), 0);
    }
    file_close(f);
}

/* The file and its name. */
static void put_durable(const char *path, const void *data, size_t size)
{
    put(path, data, size, 0, true);
    assert_int_equal(file_sync_dir("/n1"), 0);
}

/* The content, NUL-terminated, freed by the caller; NULL when missing. */
static uint8_t *get(const char *path, size_t *size)
{
    void *data;

    if (file_read_all(path, 1 << 20, &data, size) != 0) {
        return NULL;
    }
    return data;
}

static uint8_t first_byte_of(const char *path)
{
    size_t size;
    uint8_t *data = get(path, &size);
    uint8_t first;

    assert_non_null(data);
    assert_true(size > 0);
    first = data[0];
    free(data);
    return first;
}

/* A new file and a queue for it. */
static void open_queue(struct file **f, struct file_queue **q)
{
    assert_int_equal(file_open("/n1/a", FILE_WRITE | FILE_CREATE, f), 0);
    assert_int_equal(file_queue_new("/n1", NULL, q), 0);
}

static void test_sim_disk_synced_file_and_name_survive_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        size_t size;
        uint8_t *data;
        fixture_open(&x, seed);
        put_durable("/n1/a", "hello", 5);
        sim_disk_crash(&x.disk, true);
        data = get("/n1/a", &size);
        assert_non_null(data);
        assert_int_equal(size, 5);
        assert_memory_equal(data, "hello", 5);
        free(data);
        fixture_close(&x);
    }
}

static void test_sim_disk_unsynced_write_is_lost_kept_or_torn(void **state)
{
    unsigned n_old = 0, n_new = 0, n_torn = 0;

    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        uint8_t old[4 * SIM_SECTOR], fresh[4 * SIM_SECTOR];
        uint8_t *data;
        size_t size;
        unsigned n = 0;
        fixture_open(&x, seed);
        memset(old, 'o', sizeof old);
        memset(fresh, 'f', sizeof fresh);
        put_durable("/n1/a", old, sizeof old);
        put("/n1/a", fresh, sizeof fresh, 0, false);
        sim_disk_crash(&x.disk, true);
        data = get("/n1/a", &size);
        assert_non_null(data);
        assert_int_equal(size, sizeof old);
        for (unsigned i = 0; i < 4; i++) {
            const uint8_t *at = data + i * SIM_SECTOR;
            bool is_new = memcmp(at, fresh, SIM_SECTOR) == 0;
            assert_true(is_new || memcmp(at, old, SIM_SECTOR) == 0);
            n += is_new;
        }
        n_old += n == 0;
        n_new += n == 4;
        n_torn += n > 0 && n < 4;
        free(data);
        fixture_close(&x);
    }
    assert_true(n_old > 20 && n_new > 20 && n_torn > 20);
}

static void test_sim_disk_later_write_can_survive_an_earlier_one(void **state)
{
    unsigned n_reordered = 0;

    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        uint8_t *data;
        size_t size;
        fixture_open(&x, seed);
        put_durable("/n1/a", "....", 4);
        put("/n1/a", "1", 1, 0, false);
        put("/n1/a", "2", 1, SIM_SECTOR, false);
        sim_disk_crash(&x.disk, true);
        data = get("/n1/a", &size);
        n_reordered +=
            data[0] == '.' && size > SIM_SECTOR && data[SIM_SECTOR] == '2';
        free(data);
        fixture_close(&x);
    }
    assert_true(n_reordered > 5);
}

static void test_sim_disk_size_can_be_ahead_of_the_data(void **state)
{
    unsigned n_ahead = 0;

    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        uint8_t *data;
        size_t size;
        fixture_open(&x, seed);
        put_durable("/n1/a", "", 0);
        put("/n1/a", "data", 4, 0, false);
        sim_disk_crash(&x.disk, true);
        data = get("/n1/a", &size);
        n_ahead += size == 4 && memcmp(data, "\0\0\0\0", 4) == 0;
        free(data);
        fixture_close(&x);
    }
    assert_true(n_ahead > 5);
}

static void test_sim_disk_name_without_dir_sync_may_be_lost(void **state)
{
    unsigned n_lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        bool there;
        fixture_open(&x, seed);
        put("/n1/a", "x", 1, 0, true);
        sim_disk_crash(&x.disk, true);
        assert_int_equal(file_exists("/n1/a", &there), 0);
        n_lost += !there;
        fixture_close(&x);
    }
    assert_true(n_lost > 50 && n_lost < ROUNDS - 20);
}

static void test_sim_disk_replace_is_atomic_at_every_operation(void **state)
{
    unsigned n_old = 0, n_new = 0;

    (void)state;
    for (unsigned crash_at = 1; crash_at < 12; crash_at++) {
        for (uint64_t seed = 0; seed < 60; seed++) {
            struct fixture x;
            uint8_t *data;
            size_t size;
            int rv;
            fixture_open(&x, seed);
            assert_int_equal(file_replace("/n1/m", "old", 3), 0);
            x.crash_at = x.n_operations + crash_at;
            rv = file_replace("/n1/m", "newer", 5);
            sim_disk_crash(&x.disk, true);
            data = get("/n1/m", &size);
            assert_non_null(data);
            if (size == 5) {
                assert_memory_equal(data, "newer", 5);
                n_new++;
            } else {
                assert_int_equal(size, 3);
                assert_memory_equal(data, "old", 3);
                assert_int_not_equal(rv, 0);
                n_old++;
            }
            free(data);
            fixture_close(&x);
        }
    }
    assert_true(n_old > 50 && n_new > 50);
}

static void test_sim_disk_moved_and_reused_file_keeps_one_name(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        bool in_pool, in_log;
        fixture_open(&x, seed);
        assert_int_equal(file_make_dir("/n1/pool"), 0);
        assert_int_equal(file_make_dir("/n1/log"), 0);
        assert_int_equal(file_sync_dir("/n1"), 0);
        put("/n1/pool/1", "x", 1, 0, true);
        assert_int_equal(file_rename("/n1/pool/1", "/n1/log/1"), 0);
        assert_int_equal(file_sync_dir("/n1/log"), 0);
        sim_disk_crash(&x.disk, true);
        assert_int_equal(file_exists("/n1/pool/1", &in_pool), 0);
        assert_int_equal(file_exists("/n1/log/1", &in_log), 0);
        assert_true(in_log);
        assert_false(in_pool);
        fixture_close(&x);
    }
}

/* The calls of file_whole.c, on a disk that forgets. */
static void test_sim_disk_durable_directory_survives_power_cut(void **state)
{
    static const char *const paths[] = {"/n1/data", "/n1/data/", "/n1/data//"};
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        bool there;
        fixture_open(&x, seed);
        assert_int_equal(file_make_dir_durable(paths[seed % 3]), 0);
        put("/n1/data/a", "a", 1, 0, true);
        assert_int_equal(file_sync_dir("/n1/data"), 0);
        sim_disk_crash(&x.disk, true);
        assert_int_equal(file_exists("/n1/data/a", &there), 0);
        assert_true(there);
        /* Once more where it is, and where something else is. */
        assert_int_equal(file_make_dir_durable(paths[seed % 3]), 0);
        assert_int_equal(file_make_dir_durable("/n1/data/a"), ERR_EXISTS);
        fixture_close(&x);
    }
}

static void test_sim_disk_process_crash_keeps_what_a_later_cut_loses(void **s)
{
    unsigned n_lost = 0;

    (void)s;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        fixture_open(&x, seed);
        put_durable("/n1/a", "a", 1);
        put("/n1/a", "b", 1, 0, false);
        sim_disk_crash(&x.disk, false);
        assert_int_equal(first_byte_of("/n1/a"), 'b');
        sim_disk_crash(&x.disk, true);
        n_lost += first_byte_of("/n1/a") == 'a';
        fixture_close(&x);
    }
    assert_true(n_lost > 50);
}

static void test_sim_disk_failed_sync_dooms_what_it_held(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        struct file *f;
        fixture_open(&x, seed);
        put_durable("/n1/a", "a", 1);
        assert_int_equal(file_open("/n1/a", FILE_WRITE, &f), 0);
        assert_int_equal(file_write_at(f, "b", 1, 0), 0);
        x.disk.fail_syncs = 1;
        assert_int_equal(file_sync(f), ERR_IO);
        assert_int_equal(file_sync(f), 0); /* "Succeeds": proves nothing. */
        file_close(f);
        sim_disk_crash(&x.disk, true);
        assert_int_equal(first_byte_of("/n1/a"), 'a');
        fixture_close(&x);
    }
}

static void test_sim_disk_full_disk_refuses_growth_only(void **state)
{
    struct fixture x;
    struct file *f;
    uint64_t left;

    (void)state;
    fixture_open(&x, 1);
    x.disk.capacity_bytes = 10000;
    assert_int_equal(file_open("/n1/a", FILE_WRITE | FILE_CREATE, &f), 0);
    assert_int_equal(file_fill(f, 0, 8192), 0);
    assert_int_equal(file_fill(f, 8192, 8192), ERR_NOSPACE);
    assert_int_equal(file_truncate(f, 8192), 0);
    assert_int_equal(file_write_at(f, "x", 1, 0), 0);
    assert_int_equal(file_free_bytes("/n1", &left), 0);
    assert_int_equal(left, 10000 - 8192);
    file_close(f);
    assert_int_equal(file_unlink("/n1/a"), 0);
    assert_int_equal(file_sync_dir("/n1"), 0);
    assert_int_equal(file_free_bytes("/n1", &left), 0);
    assert_int_equal(left, 10000);
    fixture_close(&x);
}

static void test_sim_disk_queued_write_is_durable_when_complete(void **state)
{
    unsigned n_lost = 0, n_kept = 0;

    (void)state;
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct fixture x;
        struct file_queue *q;
        struct file_completion c;
        struct file *f;
        uint8_t *buf = file_buffer_new(4096);
        uint8_t *data;
        size_t size;
        fixture_open(&x, seed);
        open_queue(&f, &q);
        assert_int_equal(file_fill(f, 0, 8192), 0);
        assert_int_equal(file_sync_dir("/n1"), 0);
        memset(buf, 'q', 4096);
        assert_int_equal(file_queue_submit(q, f, buf, 4096, 0, buf), 0);
        assert_int_equal(file_queue_reap(q, &c, 1), 0);
        while (sim_clock_step(&x.clock, 1000000)) {
        }
        assert_int_equal(x.n_completed, 1);
        assert_int_equal(file_queue_reap(q, &c, 1), 1);
        assert_int_equal(c.status, 0);
        assert_ptr_equal(c.tag, buf);
        /* A second one is in flight at the power cut. */
        assert_int_equal(file_queue_submit(q, f, buf, 4096, 4096, NULL), 0);
        sim_disk_freeze(&x.disk);
        file_queue_free(q);
        file_close(f);
        sim_disk_crash(&x.disk, true);
        data = get("/n1/a", &size);
        assert_int_equal(size, 8192);
        assert_memory_equal(data, buf, 4096);
        n_lost += data[4096] == 0 && data[8191] == 0;
        n_kept += data[4096] == 'q' && data[8191] == 'q';
        free(data);
        file_buffer_free(buf, 4096);
        fixture_close(&x);
    }
    assert_true(n_lost > 50 && n_kept > 20);
}

static void test_sim_disk_buffer_changed_in_flight_is_misuse(void **state)
{
    struct fixture x;
    struct file_queue *q;
    struct file *f;
    uint8_t *buf = file_buffer_new(4096);

    (void)state;
    fixture_open(&x, 1);
    memset(buf, 0, 4096);
    open_queue(&f, &q);
    assert_int_equal(file_queue_submit(q, f, buf, 4096, 0, NULL), 0);
    buf[17] = 1;
    file_queue_free(q);
    assert_int_equal(x.n_misuse, 1);
    file_close(f);
    file_buffer_free(buf, 4096);
    fixture_close(&x);
}

static void test_sim_disk_stalled_disk_completes_when_it_ends(void **state)
{
    struct fixture x;
    struct file_queue *q;
    struct file *f;
    uint8_t *buf = file_buffer_new(4096);

    (void)state;
    fixture_open(&x, 1);
    memset(buf, 0, 4096);
    open_queue(&f, &q);
    x.disk.stall_until_us = 5000000;
    assert_int_equal(file_queue_submit(q, f, buf, 4096, 0, NULL), 0);
    while (sim_clock_step(&x.clock, 4999999)) {
    }
    assert_int_equal(x.n_completed, 0);
    while (sim_clock_step(&x.clock, 5000000)) {
    }
    assert_int_equal(x.n_completed, 1);
    file_queue_free(q);
    file_close(f);
    file_buffer_free(buf, 4096);
    fixture_close(&x);
}

static void test_sim_disk_frozen_disk_takes_nothing(void **state)
{
    struct fixture x;
    struct file *f;

    (void)state;
    fixture_open(&x, 1);
    put_durable("/n1/a", "a", 1);
    assert_int_equal(file_open("/n1/a", FILE_WRITE, &f), 0);
    sim_disk_freeze(&x.disk);
    assert_int_equal(file_write_at(f, "b", 1, 0), ERR_IO);
    assert_int_equal(file_sync(f), ERR_IO);
    assert_int_equal(file_unlink("/n1/a"), ERR_IO);
    file_close(f);
    sim_disk_crash(&x.disk, false);
    assert_int_equal(first_byte_of("/n1/a"), 'a');
    fixture_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sim_disk_synced_file_and_name_survive_power_cut),
        cmocka_unit_test(test_sim_disk_unsynced_write_is_lost_kept_or_torn),
        cmocka_unit_test(test_sim_disk_later_write_can_survive_an_earlier_one),
        cmocka_unit_test(test_sim_disk_size_can_be_ahead_of_the_data),
        cmocka_unit_test(test_sim_disk_name_without_dir_sync_may_be_lost),
        cmocka_unit_test(test_sim_disk_replace_is_atomic_at_every_operation),
        cmocka_unit_test(test_sim_disk_moved_and_reused_file_keeps_one_name),
        cmocka_unit_test(
            test_sim_disk_process_crash_keeps_what_a_later_cut_loses),
        cmocka_unit_test(test_sim_disk_durable_directory_survives_power_cut),
        cmocka_unit_test(test_sim_disk_failed_sync_dooms_what_it_held),
        cmocka_unit_test(test_sim_disk_full_disk_refuses_growth_only),
        cmocka_unit_test(test_sim_disk_queued_write_is_durable_when_complete),
        cmocka_unit_test(test_sim_disk_buffer_changed_in_flight_is_misuse),
        cmocka_unit_test(test_sim_disk_stalled_disk_completes_when_it_ends),
        cmocka_unit_test(test_sim_disk_frozen_disk_takes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
