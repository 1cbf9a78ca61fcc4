/* Payloads of command entries: the fixed bytes, round trips, damage. */
#include "tests/unit/model/proposal_damage.h"

#include "node/command.h"
#include "raftlog/block.h"
#include "tests/lib/golden.h"

static struct bytes text(const char *s)
{
    struct bytes b = {(const uint8_t *)s, strlen(s)};

    return b;
}

static void *encode(uint16_t code, uint32_t argc, struct bytes *argv,
                    uint32_t *size)
{
    struct proposal p = {.kind = PROPOSAL_COMMAND,
                         .origin = 300,
                         .request_id = 0x0102030405060708u,
                         .clock_ms = 0x1112131415161718u,
                         .code = code,
                         .argc = argc,
                         .argv = argv};
    void *block = proposal_encode(&p, size);

    assert_non_null(block);
    assert_int_equal(block_size(block), *size);
    return block;
}

/* clang-format off */
static const uint8_t golden[] = {
    1, 1, 0xac, 0x02,                               /* version, kind, origin */
    8, 7, 6, 5, 4, 3, 2, 1,                         /* request id */
    0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, /* clock */
    COMMAND_CODE_SET, 0,                            /* code */
    2, 3, 'k', 'e', 'y', 2, 'v', 0};                /* argc, arguments */
/* clang-format on */

enum { AT_CLOCK = 12, AT_CODE = 20, AT_ARGC = 22, AT_KEY = 24 };

static void test_proposal_bytes_are_fixed(void **state)
{
    struct bytes argv[] = {text("SET"), text("key"), {(const uint8_t *)"v", 2}};
    uint32_t size;
    void *block = encode(COMMAND_CODE_SET, 3, argv, &size);

    (void)state;
    assert_int_equal(size, sizeof golden);
    assert_memory_equal(block, golden, sizeof golden);
    block_unref(block);
}

static void test_proposal_decodes_what_was_encoded(void **state)
{
    struct proposal p;

    (void)state;
    assert_int_equal(proposal_decode(golden, sizeof golden, &p), 0);
    assert_int_equal(p.kind, PROPOSAL_COMMAND);
    assert_int_equal(p.origin, 300);
    assert_true(p.request_id == 0x0102030405060708u);
    assert_true(p.clock_ms == 0x1112131415161718u);
    assert_int_equal(p.code, COMMAND_CODE_SET);
    assert_int_equal(p.argc, 3);
    assert_memory_equal(p.argv[0].data, "SET", 3);
    assert_ptr_equal(p.argv[1].data, golden + AT_KEY);
    assert_int_equal(p.argv[1].size, 3);
    assert_int_equal(p.argv[2].size, 2);
    assert_ptr_equal(p.argv, p.inline_argv);
    proposal_clear(&p);
    assert_null(p.argv);
}

static void test_proposal_many_arguments_come_back(void **state)
{
    enum { N = 1001 };
    struct bytes *argv = calloc(N, sizeof *argv);
    uint8_t *data = calloc(1, N);
    struct proposal p;
    uint32_t size;
    void *block;

    (void)state;
    assert_non_null(argv);
    assert_non_null(data);
    for (unsigned i = 0; i < N; i++) {
        argv[i].data = data;
        argv[i].size = i;
        data[i] = (uint8_t)i;
    }
    block = encode(COMMAND_CODE_MSET, N, argv, &size);
    assert_int_equal(proposal_decode(block, size, &p), 0);
    assert_int_equal(p.argc, N);
    for (unsigned i = 1; i < N; i++) {
        assert_int_equal(p.argv[i].size, i);
        assert_memory_equal(p.argv[i].data, data, i);
    }
    proposal_clear(&p);
    block_unref(block);
    free(argv);
    free(data);
}

static void test_proposal_command_without_arguments(void **state)
{
    struct bytes argv[] = {text("FLUSHALL")};
    struct proposal p;
    uint32_t size;
    void *block = encode(COMMAND_CODE_FLUSHALL, 1, argv, &size);

    (void)state;
    assert_int_equal(proposal_decode(block, size, &p), 0);
    assert_int_equal(p.argc, 1);
    assert_memory_equal(p.argv[0].data, "FLUSHALL", 8);
    proposal_clear(&p);
    block_unref(block);
}

static void test_proposal_clock_is_set_in_place(void **state)
{
    uint8_t bytes[sizeof golden];
    uint8_t want[sizeof golden];
    struct proposal p;

    (void)state;
    memcpy(bytes, golden, sizeof golden);
    memcpy(want, golden, sizeof golden);
    proposal_set_clock(bytes, sizeof bytes, 77);
    memset(want + AT_CLOCK, 0, 8);
    want[AT_CLOCK] = 77;
    assert_memory_equal(bytes, want, sizeof want);
    assert_int_equal(proposal_decode(bytes, sizeof bytes, &p), 0);
    assert_int_equal(p.clock_ms, 77);
    proposal_clear(&p);
    /* Too short to have a clock: nothing happens. */
    for (uint32_t n = 0; n < AT_CODE; n++) {
        memcpy(bytes, golden, sizeof golden);
        proposal_set_clock(bytes, n, 77);
        assert_memory_equal(bytes, golden, sizeof golden);
    }
}

static void test_proposal_cut_anywhere_is_corrupt(void **state)
{
    (void)state;
    assert_only_whole(golden, sizeof golden);
}

static void assert_changed(size_t at, uint8_t to, int want)
{
    assert_int_equal(decode_changed(golden, sizeof golden, at, to), want);
}

static void test_proposal_wrong_fields_are_refused(void **state)
{
    (void)state;
    assert_changed(0, 0, ERR_CORRUPT);
    assert_changed(0, 2, ERR_VERSION);
    assert_changed(1, 0, ERR_CORRUPT);
    assert_changed(1, PROPOSAL_SWEEP, ERR_CORRUPT);
    assert_changed(1, PROPOSAL_TRANSACTION + 1, ERR_VERSION);
    assert_changed(AT_CODE, 255, ERR_VERSION); /* a command not known yet */
    assert_changed(AT_CODE, COMMAND_CODE_GET, ERR_CORRUPT);  /* not a write */
    assert_changed(AT_CODE, COMMAND_CODE_INCR, ERR_CORRUPT); /* one too many */
    assert_changed(AT_ARGC, 1, ERR_CORRUPT);
    assert_changed(AT_ARGC, 3, ERR_CORRUPT);
    assert_changed(AT_ARGC, 127, ERR_CORRUPT);
    assert_changed(AT_KEY - 1, 200, ERR_CORRUPT);
}

static void test_proposal_sweep_bytes_are_fixed(void **state)
{
    static const uint8_t want[] = {1,    2,    0,    0,    0,    0,    0,
                                   0,    0,    0,    0,    0x18, 0x17, 0x16,
                                   0x15, 0x14, 0x13, 0x12, 0x11, 0xe8, 0x07};
    uint32_t size;
    uint8_t *block = proposal_encode_sweep(0x1112131415161718u, 1000, &size);
    struct proposal p;

    (void)state;
    assert_non_null(block);
    assert_int_equal(size, sizeof want);
    assert_memory_equal(block, want, sizeof want);
    proposal_set_clock(block, size, 77);
    assert_int_equal(proposal_clock(block, size), 77);
    assert_int_equal(proposal_decode(block, size, &p), 0);
    assert_int_equal(p.kind, PROPOSAL_SWEEP);
    assert_int_equal(p.origin, 0);
    assert_int_equal(p.clock_ms, 77);
    assert_int_equal(p.sweep_max, 1000);
    for (uint32_t n = 0; n < size; n++) {
        assert_int_equal(proposal_decode(block, n, &p), ERR_CORRUPT);
    }
    assert_int_equal(proposal_clock(block, 18), 0); /* too short */
    block_unref(block);
}

/* ---- golden files ---------------------------------------------------------*/

static const uint64_t golden_clock = 1700000000000u;
static const uint64_t golden_sweep_clock = 0x18bcfe568u;

/* Written as this version writes it, and read. */
static void check_golden(const char *name, void *block, uint32_t size,
                         struct proposal *out)
{
    assert_non_null(block);
    golden_check(__FILE__, name, block, size);
    assert_int_equal(proposal_decode(block, size, out), 0);
}

static void check_golden_command(const char *name, uint16_t code, uint32_t argc,
                                 struct bytes *argv)
{
    struct proposal p = {.kind = PROPOSAL_COMMAND,
                         .origin = 3,
                         .request_id = 7,
                         .clock_ms = golden_clock,
                         .code = code,
                         .argc = argc,
                         .argv = argv};
    struct proposal back;
    uint32_t size;
    void *block = proposal_encode(&p, &size);

    check_golden(name, block, size, &back);
    assert_int_equal(back.request_id, 7);
    assert_true(back.clock_ms == golden_clock);
    assert_int_equal(back.argc, argc);
    for (uint32_t i = 1; i < argc; i++) {
        assert_int_equal(back.argv[i].size, argv[i].size);
        assert_memory_equal(back.argv[i].data, argv[i].data, argv[i].size);
    }
    proposal_clear(&back);
    block_unref(block);
}

static void test_proposal_golden_files_are_version_1(void **state)
{
    struct bytes set[] = {text("SET"), text("key"), text("value")};
    struct bytes incr[] = {text("INCR"), text("counter")};
    struct bytes mset[] = {text("MSET"), text("a"), text("1"), text("b"),
                           text("2")};
    struct proposal p;
    uint32_t size;
    void *block;

    (void)state;
    check_golden_command("proposal-v1-set", COMMAND_CODE_SET, 3, set);
    check_golden_command("proposal-v1-incr", COMMAND_CODE_INCR, 2, incr);
    check_golden_command("proposal-v1-mset", COMMAND_CODE_MSET, 5, mset);
    block = proposal_encode_sweep(golden_sweep_clock, 1000, &size);
    check_golden("proposal-v1-sweep", block, size, &p);
    assert_true(p.clock_ms == golden_sweep_clock);
    assert_int_equal(p.sweep_max, 1000);
    block_unref(block);
}

/* Whatever the bytes, the answer is one of the errors, or sound. */
static void test_proposal_damaged_bytes_are_never_trusted(void **state)
{
    uint8_t bytes[sizeof golden];
    struct proposal p;

    (void)state;
    srand(3);
    for (unsigned i = 0; i < 100000; i++) {
        if (!decode_damaged(golden, sizeof golden, 3, bytes, &p)) {
            continue;
        }
        for (uint32_t j = 1; j < p.argc; j++) {
            assert_true(p.argv[j].data >= bytes &&
                        p.argv[j].data + p.argv[j].size <=
                            bytes + sizeof bytes);
        }
        proposal_clear(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proposal_bytes_are_fixed),
        cmocka_unit_test(test_proposal_decodes_what_was_encoded),
        cmocka_unit_test(test_proposal_many_arguments_come_back),
        cmocka_unit_test(test_proposal_command_without_arguments),
        cmocka_unit_test(test_proposal_clock_is_set_in_place),
        cmocka_unit_test(test_proposal_cut_anywhere_is_corrupt),
        cmocka_unit_test(test_proposal_wrong_fields_are_refused),
        cmocka_unit_test(test_proposal_sweep_bytes_are_fixed),
        cmocka_unit_test(test_proposal_golden_files_are_version_1),
        cmocka_unit_test(test_proposal_damaged_bytes_are_never_trusted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
