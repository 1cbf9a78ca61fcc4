/* Operations as bytes: the layout of README.md, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "persist/entry.h"
#include "tests/lib/golden.h"

static struct bytes bytes_of(const char *text)
{
    struct bytes b = {(const uint8_t *)text, strlen(text)};
    return b;
}

static void check_layout(struct entry e, const char *layout, size_t size)
{
    uint8_t out[300];
    struct entry back;
    assert_int_equal(entry_size(&e), size);
    entry_encode(&e, out);
    assert_memory_equal(out, layout, size);
    assert_int_equal(entry_decode((uint8_t)e.kind, out, size, &back), 0);
    assert_int_equal(back.kind, e.kind);
    assert_int_equal(back.key.size, e.key.size);
    assert_int_equal(back.value.size, e.value.size);
    if (e.key.size > 0) {
        assert_memory_equal(back.key.data, e.key.data, e.key.size);
    }
    if (e.value.size > 0) {
        assert_memory_equal(back.value.data, e.value.data, e.value.size);
    }
}

static void test_entry_layout_is_fixed(void **state)
{
    struct entry set = {ENTRY_SET, bytes_of("key"), bytes_of("value")};
    struct entry mod = {ENTRY_MOD, bytes_of("k"), bytes_of("")};
    struct entry del = {ENTRY_DEL, bytes_of("key"), {NULL, 0}};
    struct entry mark = {ENTRY_MARK, {NULL, 0}, {NULL, 0}};
    (void)state;
    assert_int_equal(ENTRY_SET, 0x53);
    assert_int_equal(ENTRY_DEL, 0x44);
    assert_int_equal(ENTRY_MOD, 0x4d);
    assert_int_equal(ENTRY_MARK, 0x4e);
    check_layout(set, "\3keyvalue", 9);
    check_layout(mod, "\1k", 2);
    check_layout(del, "\3key", 4);
    check_layout(mark, "", 0);
}

/* In the file the kind, which the log keeps beside the payload, comes first. */
static void check_golden(const char *name, struct entry e)
{
    uint8_t out[64];
    out[0] = (uint8_t)e.kind;
    entry_encode(&e, out + 1);
    golden_check(__FILE__, name, out, 1 + entry_size(&e));
}

static void test_entry_golden_files_are_version_1(void **state)
{
    struct entry set = {ENTRY_SET, bytes_of("key"), bytes_of("value")};
    struct entry mod = {ENTRY_MOD, bytes_of("key"), bytes_of("")};
    struct entry del = {ENTRY_DEL, bytes_of("key"), {NULL, 0}};
    struct entry mark = {ENTRY_MARK, {NULL, 0}, {NULL, 0}};
    (void)state;
    check_golden("persist-v1-set", set);
    check_golden("persist-v1-mod", mod);
    check_golden("persist-v1-del", del);
    check_golden("persist-v1-mark", mark);
}

static void test_entry_long_key_has_a_longer_size(void **state)
{
    char key[201];
    char layout[203];
    struct entry e = {ENTRY_SET, {NULL, 0}, {NULL, 0}};
    (void)state;
    memset(key, 'k', 200);
    key[200] = '\0';
    e.key = bytes_of(key);
    layout[0] = (char)0xc8; /* 200 as a varint */
    layout[1] = 1;
    memcpy(layout + 2, key, 200);
    check_layout(e, layout, 202);
}

static void test_entry_broken_bytes_are_refused(void **state)
{
    struct entry e;
    (void)state;
    assert_int_equal(entry_decode('S', "", 0, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode('S', "\4key", 4, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode('S', "\xff\xff\xff", 3, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode('D', "\3keyv", 5, &e), ERR_CORRUPT);
    assert_int_equal(entry_decode('N', "x", 1, &e), ERR_CORRUPT);
    for (unsigned kind = 0; kind < 256; kind++) {
        int rv = entry_decode((uint8_t)kind, "\3key", 4, &e);
        assert_int_equal(rv == 0, kind == 'S' || kind == 'D' || kind == 'M');
    }
}

/* Any bytes: refused, or what they say lies within them. */
static void test_entry_any_bytes_stay_within_bounds(void **state)
{
    uint8_t data[40];
    uint64_t x = 88172645463325252u;
    unsigned n_good = 0;
    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        struct entry e;
        size_t size = i % sizeof data;
        for (size_t k = 0; k < size; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            data[k] = (uint8_t)(k == 0 ? x % 45 : x);
        }
        if (entry_decode(i % 2 ? 'S' : 'D', data, size, &e) == 0) {
            n_good++;
            assert_true(e.key.size + e.value.size < size);
            assert_true(
                e.key.size == 0 ||
                (e.key.data >= data && e.key.data + e.key.size <= data + size));
        }
    }
    assert_true(n_good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entry_layout_is_fixed),
        cmocka_unit_test(test_entry_golden_files_are_version_1),
        cmocka_unit_test(test_entry_long_key_has_a_longer_size),
        cmocka_unit_test(test_entry_broken_bytes_are_refused),
        cmocka_unit_test(test_entry_any_bytes_stay_within_bounds),
    };
    return cmocka_run_group_tests_name("entry", tests, NULL, NULL);
}
