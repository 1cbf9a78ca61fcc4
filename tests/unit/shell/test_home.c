/* The data directory: its book of instance ids, and what a start finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/home.h"
#include "node/peer_book.h"
#include "tests/lib/golden.h"

static int make_dir(void **state)
{
    static char path[64];

    strcpy(path, "/tmp/test_home.XXXXXX");
    *state = mkdtemp(path);
    return *state == NULL;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"peers", "identity", "LOCK"};
    char path[128];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", (char *)*state, names[i]);
        remove(path);
    }
    return remove(*state);
}

static void test_peer_book_saved_is_loaded(void **state)
{
    struct peer_book book, found;
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE] = {1, 2, 3};

    assert_int_equal(peer_book_load(*state, &found), 0);
    assert_int_equal(found.n, 0);
    memset(&book, 0, sizeof book);
    assert_int_equal(peer_book_set(&book, 2, instance), 0);
    instance[0] = 7;
    assert_int_equal(peer_book_set(&book, 3, instance), 0);
    assert_int_equal(peer_book_set(&book, 3, instance), 0);
    assert_int_equal(peer_book_save(*state, &book), 0);
    assert_int_equal(peer_book_load(*state, &found), 0);
    assert_int_equal(found.n, 2);
    assert_int_equal(peer_book_find(&found, 2)[0], 1);
    assert_int_equal(peer_book_find(&found, 3)[0], 7);
    assert_null(peer_book_find(&found, 4));
}

static void test_peer_book_full_takes_no_more(void **state)
{
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE] = {0};
    struct peer_book book, out;
    uint8_t data[PEER_BOOK_SIZE_MAX];

    (void)state;
    memset(&book, 0, sizeof book);
    for (unsigned i = 0; i < PEER_BOOK_MAX; i++) {
        assert_int_equal(peer_book_set(&book, i + 1, instance), 0);
    }
    assert_int_equal(peer_book_set(&book, PEER_BOOK_MAX + 1, instance),
                     ERR_TOOBIG);
    assert_int_equal(
        peer_book_decode(data, peer_book_encode(&book, data), &out), 0);
    assert_int_equal(out.n, PEER_BOOK_MAX);
}

static void test_peer_book_every_damage_is_found(void **state)
{
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE] = {5};
    struct peer_book book, out;
    uint8_t data[PEER_BOOK_SIZE_MAX];
    size_t size;

    (void)state;
    memset(&book, 0, sizeof book);
    peer_book_set(&book, 1, instance);
    size = peer_book_encode(&book, data);
    for (size_t n = 0; n < size; n++) {
        assert_int_equal(peer_book_decode(data, n, &out), ERR_CORRUPT);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        int rc;

        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1U << (bit % 8)));
        rc = peer_book_decode(data, size, &out);
        assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION);
        data[bit / 8] = (uint8_t)(data[bit / 8] ^ (1U << (bit % 8)));
    }
}

static void test_peer_book_golden_file_is_version_1(void **state)
{
    uint8_t instance[HANDSHAKE_INSTANCE_SIZE] = {1, 2, 3};
    struct peer_book book;
    uint8_t data[PEER_BOOK_SIZE_MAX];

    (void)state;
    memset(&book, 0, sizeof book);
    assert_int_equal(peer_book_set(&book, 2, instance), 0);
    instance[0] = 7;
    assert_int_equal(peer_book_set(&book, 3, instance), 0);
    golden_check(__FILE__, "peers-v1-book", data,
                 peer_book_encode(&book, data));
}

static const char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

static void configure(struct config *c, const char *dir, const char *id,
                      const char *cluster)
{
    char *argv[] = {"concordkv",
                    "--data-dir",
                    (char *)(uintptr_t)dir,
                    "--id",
                    (char *)(uintptr_t)id,
                    "--initial-cluster",
                    (char *)(uintptr_t)cluster};
    struct err_info info;

    assert_int_equal(config_load(c, 7, argv, no_environment, &info), 0);
}

static void test_home_second_start_finds_who_it_is(void **state)
{
    struct handshake_node first, second;
    struct config *c = malloc(sizeof *c);
    struct file *lock;
    struct err_info info;

    configure(c, *state, "2", "1=a:1,2=b:2");
    assert_int_equal(home_open(c, &first, &lock, &info), 0);
    assert_string_equal(first.peer_address, "b:2");
    file_close(lock);
    configure(c, *state, "0", "");
    assert_int_equal(home_open(c, &second, &lock, &info), 0);
    file_close(lock);
    assert_int_equal(second.id, 2);
    assert_memory_equal(&first, &second, sizeof first);
    assert_int_equal(c->n_initial, 2);
    free(c);
}

static void test_home_other_cluster_or_id_is_refused(void **state)
{
    struct handshake_node self;
    struct config *c = malloc(sizeof *c);
    struct file *lock;
    struct err_info info;

    configure(c, *state, "0", "");
    assert_int_equal(home_open(c, &self, &lock, &info), ERR_INVALID);
    configure(c, *state, "2", "1=a:1,2=b:2");
    assert_int_equal(home_open(c, &self, &lock, &info), 0);
    file_close(lock);
    configure(c, *state, "1", "1=a:1,2=b:2");
    assert_int_equal(home_open(c, &self, &lock, &info), ERR_CLUSTER);
    configure(c, *state, "2", "1=a:1,2=b:3");
    assert_int_equal(home_open(c, &self, &lock, &info), ERR_CLUSTER);
    configure(c, "/nowhere/at/all", "1", "1=a:1");
    assert_true(home_open(c, &self, &lock, &info) < 0);
    assert_non_null(strstr(info.message, "--data-dir: cannot make"));
    free(c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        T(test_peer_book_saved_is_loaded),
        T(test_peer_book_full_takes_no_more),
        T(test_peer_book_every_damage_is_found),
        T(test_peer_book_golden_file_is_version_1),
        T(test_home_second_start_finds_who_it_is),
        T(test_home_other_cluster_or_id_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
