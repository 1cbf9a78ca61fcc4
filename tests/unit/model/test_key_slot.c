/* Slots of keys: what redis-server 7.0.15 answered to CLUSTER KEYSLOT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "node/key_slot.h"

static void test_key_slot_is_that_of_redis(void **state)
{
    static const struct {
        const char *key;
        unsigned slot;
    } cases[] = {
        {"", 0},          {"a", 15495},         {"{a}b", 15495},
        {"{}b", 6680},    {"{a", 10276},        {"a}", 5921},
        {"{{a}}", 10276}, {"foo", 12182},       {"foo{bar}{zap}", 5061},
        {"bar", 5061},    {"foo{}{bar}", 8363}, {"123456789", 12739},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes key = {(const uint8_t *)cases[i].key,
                            strlen(cases[i].key)};
        assert_int_equal(key_slot(key), cases[i].slot);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_slot_is_that_of_redis),
    };
    return cmocka_run_group_tests_name("key_slot", tests, NULL, NULL);
}
