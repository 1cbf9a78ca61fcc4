/* JSON output. */
#include "tests/unit/cli/printed.h"

#include "cli/json_write.h"
#include "cli/record.h"

static void test_json_write_commas_stand_between_values(void **state)
{
    (void)state;
    struct printed p;
    printed_open(&p);
    struct json_writer w = json_writer(p.out);
    json_open(&w, '{');
    json_name(&w, "a");
    json_open(&w, '[');
    json_uint(&w, UINT64_MAX);
    json_int(&w, -1);
    json_open(&w, '{');
    json_close(&w, '}');
    json_null(&w);
    json_close(&w, ']');
    json_name(&w, "b");
    json_bool(&w, true);
    json_name(&w, "c");
    json_real(&w, 1.5);
    json_close(&w, '}');
    json_end(&w);
    json_text(&w, "again");
    json_end(&w);
    printed_expect(&p, "{\"a\":[18446744073709551615,-1,{},null],"
                       "\"b\":true,\"c\":1.500}\n\"again\"\n");
}

static void test_json_write_controls_are_escaped(void **state)
{
    (void)state;
    struct printed p;
    printed_open(&p);
    struct json_writer w = json_writer(p.out);
    json_bytes(&w, "\"\\\n\r\t\b\f\x01\x7f\0\xc3\xbc", 12);
    printed_expect(&p, "\"\\\"\\\\\\n\\r\\t\\b\\f\\u0001"
                       "\\u007f\\u0000\xc3\xbc\"");
}

static void test_json_write_not_utf8_becomes_base64(void **state)
{
    (void)state;
    struct printed p;
    printed_open(&p);
    struct json_writer w = json_writer(p.out);
    json_open(&w, '{');
    json_bytes_member(&w, "key", "ok", 2);
    json_bytes_member(&w, "value", "\xff", 1);
    json_name(&w, "x");
    json_bytes(&w, "\xff", 1);
    json_close(&w, '}');
    printed_expect(&p, "{\"key\":\"ok\",\"value_base64\":\"/w==\","
                       "\"x\":{\"base64\":\"/w==\"}}");
}

/* What scan --values prints is what import reads. */
static void test_json_write_any_record_is_read_back(void **state)
{
    (void)state;
    unsigned seed = 2;
    for (int round = 0; round < 2000; round++) {
        char key[40];
        char value[40];
        size_t key_size = 1 + (size_t)rand_r(&seed) % sizeof(key);
        size_t value_size = (size_t)rand_r(&seed) % sizeof(value);
        int mask = round % 2 == 0 ? 0x7f : 0xff;
        for (size_t i = 0; i < sizeof(key); i++) {
            key[i] = (char)(rand_r(&seed) & mask);
            value[i] = (char)(rand_r(&seed) & mask);
        }
        struct printed p;
        printed_open(&p);
        struct json_writer w = json_writer(p.out);
        json_open(&w, '{');
        json_bytes_member(&w, "key", key, key_size);
        json_bytes_member(&w, "value", value, value_size);
        json_close(&w, '}');
        printed_end(&p);
        struct record r;
        assert_int_equal(record_parse_json(&r, p.text, p.size, NULL), 0);
        assert_int_equal(r.key_size, key_size);
        assert_memory_equal(r.key, key, key_size);
        assert_int_equal(r.value_size, value_size);
        assert_memory_equal(r.value, value, value_size);
        printed_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_write_commas_stand_between_values),
        cmocka_unit_test(test_json_write_controls_are_escaped),
        cmocka_unit_test(test_json_write_not_utf8_becomes_base64),
        cmocka_unit_test(test_json_write_any_record_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
