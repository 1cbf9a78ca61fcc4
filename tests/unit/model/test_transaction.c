/* Transactions of log entries: the fixed bytes, damage, and carrying out. */
#include "tests/unit/model/proposal_damage.h"

#include <stdio.h>

#include "node/command.h"
#include "node/transaction.h"
#include "raftlog/block.h"
#include "tests/lib/golden.h"
#include "tests/lib/line.h"

static struct bytes text(const char *s)
{
    struct bytes b = {(const uint8_t *)s, strlen(s)};

    return b;
}

struct fixture {
    struct command_env env;
    struct buffer watches, commands, reply;
    struct transaction t;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (f == NULL || store_new(&f->env.store) != 0) {
        return -1;
    }
    buffer_init(&f->watches);
    buffer_init(&f->commands);
    buffer_init(&f->reply);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    store_free(f->env.store);
    buffer_close(&f->watches);
    buffer_close(&f->commands);
    buffer_close(&f->reply);
    free(f);
    return 0;
}

static void add(struct fixture *f, const char *line)
{
    uint64_t size = buffer_size(&f->commands);
    struct line l;

    line_parse(&l, line);
    size += transaction_command_size(l.argc, l.argv);
    transaction_put_command(&f->commands, command_find(l.argv[0]), l.argc,
                            l.argv);
    line_clear(&l);
    assert_int_equal(buffer_size(&f->commands), size);
    f->t.n_commands++;
}

static void watch(struct fixture *f, const char *key)
{
    struct transaction_watch w;

    transaction_look(&f->env, text(key), &w);
    transaction_put_watch(&f->watches, &w);
    f->t.n_watches++;
}

/* The entry, whose transaction borrows from the fixture. */
static void *encode(struct fixture *f, uint32_t *size)
{
    struct proposal p = {.kind = PROPOSAL_TRANSACTION,
                         .origin = 3,
                         .request_id = 0x0102030405060708u,
                         .clock_ms = 0x1112131415161718u};
    void *block;

    f->t.watches.data = buffer_data(&f->watches);
    f->t.watches.size = buffer_size(&f->watches);
    f->t.commands.data = buffer_data(&f->commands);
    f->t.commands.size = buffer_size(&f->commands);
    p.transaction = f->t;
    block = proposal_encode(&p, size);
    assert_non_null(block);
    assert_int_equal(block_size(block), *size);
    return block;
}

/* Decode it and carry it out, as a node does; the reply stands in f->reply.
 * Returns the most arguments that a command has. */
static uint32_t carry_out(struct fixture *f)
{
    struct proposal p;
    uint32_t size;
    void *block = encode(f, &size);
    uint32_t argc_max;

    assert_int_equal(proposal_decode(block, size, &p), 0);
    argc_max = p.transaction.argc_max;
    buffer_clear(&f->reply);
    proposal_run(&p, &f->env, &f->reply);
    assert_int_equal(f->env.error, 0);
    proposal_clear(&p);
    block_unref(block);
    return argc_max;
}

static void run(struct fixture *f, const char *want)
{
    (void)carry_out(f);
    if (buffer_size(&f->reply) != strlen(want) ||
        memcmp(buffer_data(&f->reply), want, strlen(want)) != 0) {
        fail_msg("want %s\n  got  %.*s", want, (int)buffer_size(&f->reply),
                 (const char *)buffer_data(&f->reply));
    }
}

static void set(struct fixture *f, const char *key, const char *value)
{
    assert_int_equal(store_set(f->env.store, text(key), text(value), 0, 0), 0);
}

/* ---- bytes ---- */

/* clang-format off */
static const uint8_t golden[] = {
    1, PROPOSAL_TRANSACTION, 3,                     /* version, kind, origin */
    8, 7, 6, 5, 4, 3, 2, 1,                         /* request id */
    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* clock */
    2,                                              /* watches: */
    0, 1, 'n',                                      /* absent; key */
    1, 1, 2, 3, 4, 5, 6, 7, 8,                      /* present; its hash, */
    9, 10, 11, 12, 13, 14, 15, 16, 1, 'k',          /* its key */
    2,                                              /* commands: */
    COMMAND_CODE_SET, 0, 2, 1, 'k', 2, 'v', 'w',    /* code, argc, arguments */
    COMMAND_CODE_GET, 0, 1, 1, 'k'};
/* clang-format on */

enum { AT_WATCHES = 19, AT_PRESENT = 23, AT_COMMANDS = 43 };

static void test_transaction_bytes_are_fixed(void **state)
{
    struct fixture *f = *state;
    struct transaction_watch present = {.key = text("k"), .present = true};
    uint32_t size;
    void *block;

    present.hash.low = 0x0807060504030201u;
    present.hash.high = 0x100f0e0d0c0b0a09u;
    watch(f, "n");
    transaction_put_watch(&f->watches, &present);
    f->t.n_watches++;
    add(f, "SET k vw");
    add(f, "GET k");
    block = encode(f, &size);
    assert_int_equal(size, sizeof golden);
    assert_memory_equal(block, golden, sizeof golden);
    block_unref(block);
}

static void test_transaction_golden_file_is_version_1(void **state)
{
    struct fixture *f = *state;
    uint32_t size;
    void *block;

    watch(f, "n");
    add(f, "SET k vw");
    add(f, "INCR n");
    add(f, "MGET k n");
    add(f, "RANDOMKEY");
    block = encode(f, &size);
    proposal_set_clock(block, size, 0x18bcfe568u);
    golden_check(__FILE__, "proposal-v1-transaction", block, size);
    block_unref(block);
}

static void test_transaction_decodes_what_was_encoded(void **state)
{
    struct proposal p;

    (void)state;
    assert_int_equal(proposal_decode(golden, sizeof golden, &p), 0);
    assert_int_equal(p.kind, PROPOSAL_TRANSACTION);
    assert_int_equal(p.origin, 3);
    assert_true(p.request_id == 0x0102030405060708u);
    assert_int_equal(p.argc, 0);
    assert_int_equal(p.transaction.n_watches, 2);
    assert_int_equal(p.transaction.n_commands, 2);
    assert_int_equal(p.transaction.argc_max, 3);
    assert_true(p.transaction.writes);
    assert_ptr_equal(p.transaction.commands.data, golden + AT_COMMANDS);
    proposal_clear(&p);
}

static void test_transaction_cut_anywhere_is_corrupt(void **state)
{
    (void)state;
    assert_only_whole(golden, sizeof golden);
}

static void assert_changed(size_t at, uint8_t to, int want)
{
    assert_int_equal(decode_changed(golden, sizeof golden, at, to), want);
}

/* What follows is taken for something else. */
static void assert_shifted(size_t at, uint8_t to)
{
    int rc = decode_changed(golden, sizeof golden, at, to);

    assert_true(rc == ERR_CORRUPT || rc == ERR_VERSION);
}

static void test_transaction_wrong_fields_are_refused(void **state)
{
    static const uint16_t not_queued[] = {
        COMMAND_CODE_INFO, COMMAND_CODE_MULTI, COMMAND_CODE_EXEC,
        COMMAND_CODE_SCAN, COMMAND_CODE_KEYS,  COMMAND_CODE_WATCH};

    (void)state;
    assert_shifted(AT_WATCHES, 1);
    assert_shifted(AT_WATCHES, 3);
    assert_shifted(AT_WATCHES, 0x80);
    assert_changed(AT_WATCHES + 1, 2, ERR_CORRUPT);
    assert_shifted(AT_PRESENT, 0);
    assert_changed(AT_PRESENT, 2, ERR_CORRUPT);
    assert_changed(AT_COMMANDS - 1, 0, ERR_CORRUPT);
    assert_changed(AT_COMMANDS - 1, 1, ERR_CORRUPT);
    assert_changed(AT_COMMANDS - 1, 3, ERR_CORRUPT);
    assert_changed(AT_COMMANDS + 1, 255, ERR_VERSION); /* not known yet */
    assert_changed(AT_COMMANDS + 2, 1, ERR_CORRUPT);   /* arity */
    assert_changed(AT_COMMANDS + 2, 200, ERR_CORRUPT);
    assert_changed(AT_COMMANDS, COMMAND_CODE_MGET, ERR_CORRUPT); /* no write */
    for (size_t i = 0; i < sizeof not_queued / sizeof not_queued[0]; i++) {
        assert_changed(AT_COMMANDS + 8, (uint8_t)not_queued[i], ERR_CORRUPT);
    }
}

static void test_transaction_key_beyond_the_limit_is_refused(void **state)
{
    struct fixture *f = *state;
    struct transaction_watch w = {.present = false};
    uint8_t *key = calloc(1, STORE_KEY_MAX + 1);

    assert_non_null(key);
    w.key.data = key;
    add(f, "SET k v");
    f->t.n_watches = 1;
    for (size_t more = 0; more < 2; more++) {
        struct proposal p;
        uint32_t size;
        void *block;
        buffer_clear(&f->watches);
        w.key.size = STORE_KEY_MAX + more;
        transaction_put_watch(&f->watches, &w);
        block = encode(f, &size);
        assert_int_equal(proposal_decode(block, size, &p),
                         more == 0 ? 0 : ERR_CORRUPT);
        if (more == 0) {
            proposal_clear(&p);
        }
        block_unref(block);
    }
    free(key);
}

/* Whatever the bytes, the answer is one of the errors, or sound. */
static void test_transaction_damaged_bytes_are_never_trusted(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[sizeof golden];
    struct proposal p;
    unsigned n_sound = 0;

    srand(5);
    for (unsigned i = 0; i < 100000; i++) {
        if (!decode_damaged(golden, sizeof golden, 2, bytes, &p)) {
            continue;
        }
        n_sound++;
        buffer_clear(&f->reply);
        proposal_run(&p, &f->env, &f->reply);
        assert_true(buffer_size(&f->reply) > 0);
        proposal_clear(&p);
    }
    assert_true(n_sound > 1000);
}

/* ---- carrying out ---- */

static void test_transaction_replies_stand_in_order(void **state)
{
    struct fixture *f = *state;

    add(f, "SET k v");
    add(f, "INCR k");
    add(f, "PING");
    add(f, "MGET k none");
    add(f, "DEL k");
    add(f, "GET k");
    run(f, "*6\r\n+OK\r\n-ERR value is not an integer or out of range\r\n"
           "+PONG\r\n*2\r\n$1\r\nv\r\n$-1\r\n:1\r\n$-1\r\n");
}

static void test_transaction_with_a_changed_key_does_nothing(void **state)
{
    struct fixture *f = *state;

    set(f, "a", "1");
    set(f, "b", "1");
    watch(f, "a");
    watch(f, "none");
    watch(f, "b");
    add(f, "INCR a");
    add(f, "FLUSHALL");
    set(f, "b", "2");
    run(f, "*-1\r\n");
    assert_int_equal(store_count(f->env.store), 2);
    set(f, "b", "1");
    set(f, "none", "1");
    run(f, "*-1\r\n");
    assert_int_equal(store_delete(f->env.store, text("none")), 0);
    assert_int_equal(store_delete(f->env.store, text("a")), 0);
    run(f, "*-1\r\n");
    set(f, "a", "1");
    run(f, "*2\r\n:2\r\n+OK\r\n");
    assert_int_equal(store_count(f->env.store), 0);
}

static void test_transaction_many_arguments_and_commands(void **state)
{
    enum { N = 3000 };
    struct fixture *f = *state;
    struct bytes *argv = calloc(2 * N + 1, sizeof *argv);
    char(*keys)[8] = calloc(N, sizeof *keys);
    const char *end;

    assert_non_null(argv);
    assert_non_null(keys);
    argv[0] = text("MSET");
    for (unsigned i = 0; i < N; i++) {
        snprintf(keys[i], sizeof keys[i], "k%u", i);
        argv[2 * i + 1] = argv[2 * i + 2] = text(keys[i]);
    }
    transaction_put_command(&f->commands, command_find(argv[0]), 2 * N + 1,
                            argv);
    f->t.n_commands++;
    for (unsigned i = 0; i < N; i++) {
        add(f, "INCR n");
    }
    assert_int_equal(carry_out(f), 2 * N + 1);
    assert_int_equal(store_count(f->env.store), N + 1);
    end = (const char *)buffer_data(&f->reply) + buffer_size(&f->reply) - 7;
    assert_memory_equal(end, ":3000\r\n", 7);
    free(argv);
    free(keys);
}

/* Replies are made on every node: all of them together have a limit. */
static void test_transaction_replies_beyond_the_limit_are_errors(void **state)
{
    struct fixture *f = *state;
    size_t size = (size_t)TRANSACTION_REPLY_MAX / 2;
    uint8_t *value = calloc(1, size);
    struct bytes big = {value, size};
    const char *end;

    assert_non_null(value);
    assert_int_equal(store_set(f->env.store, text("k"), big, 0, 0), 0);
    add(f, "GET k");
    add(f, "GET k");
    add(f, "SET k small GET");
    add(f, "GET k");
    (void)carry_out(f);
    assert_in_range(buffer_size(&f->reply), size, size + 300);
    end = (const char *)buffer_data(&f->reply) + buffer_size(&f->reply);
    assert_memory_equal(end - 11, "$5\r\nsmall\r\n", 11);
    assert_non_null(memmem(end - 200, 200, "-ERR reply is longer", 20));
    free(value);
}

/* A node that can not carry it out must stop, not go on with a part. */
static void test_transaction_error_of_a_command_is_handed_up(void **state)
{
    struct fixture *f = *state;
    struct transaction t;
    struct byte_reader r;
    struct bytes argv[3];
    struct buffer all;

    add(f, "SET k v");
    add(f, "SET j v");
    buffer_init(&all);
    buffer_append(&all, "\0\2", 2);
    buffer_append(&all, buffer_data(&f->commands), buffer_size(&f->commands));
    r = byte_reader(buffer_data(&all), buffer_size(&all));
    assert_int_equal(transaction_decode(&r, &t), 0);
    f->env.error = ERR_NOMEM;
    transaction_run(&t, &f->env, argv, &f->reply);
    assert_int_equal(store_count(f->env.store), 0);
    buffer_close(&all);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_transaction_bytes_are_fixed),
        TEST(test_transaction_golden_file_is_version_1),
        TEST(test_transaction_decodes_what_was_encoded),
        TEST(test_transaction_cut_anywhere_is_corrupt),
        TEST(test_transaction_wrong_fields_are_refused),
        TEST(test_transaction_key_beyond_the_limit_is_refused),
        TEST(test_transaction_damaged_bytes_are_never_trusted),
        TEST(test_transaction_replies_stand_in_order),
        TEST(test_transaction_with_a_changed_key_does_nothing),
        TEST(test_transaction_many_arguments_and_commands),
        TEST(test_transaction_replies_beyond_the_limit_are_errors),
        TEST(test_transaction_error_of_a_command_is_handed_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
