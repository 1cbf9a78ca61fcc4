/* INCRBYFLOAT: numbers with a fraction, kept as text.
 *
 * The result is computed where the entry is applied, so it must come out alike
 * on every node, to the last digit. The arithmetic is that of Redis: the 80 bit
 * long double of x86-64, whose sum is rounded once, with text read and written
 * exactly as IEEE 754 asks (correctly rounded; glibc does this). Where long
 * double is another type the last digits differ: such a node refuses the
 * command, and stops rather than apply one that another node took. */
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/command_internal.h"
#include "raftlog/err.h"

enum {
    FLOAT_TEXT_MAX = 5 * 1024, /* of what is read and written, as Redis */
    FLOAT_IS_X87 = LDBL_MANT_DIG == 64 && LDBL_MAX_EXP == 16384
};

static const char error_float[] = "ERR value is not a valid float";
static const char error_format[] =
    "ERR INCRBYFLOAT needs the 80 bit numbers of x86-64 in every node";

/* Decimal, hexadecimal, or "inf"; nothing around it. */
static bool float_parse(struct bytes text, long double *out)
{
    char copy[FLOAT_TEXT_MAX];
    char *end;
    long double v;

    if (text.size == 0 || text.size >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    errno = 0;
    v = strtold(copy, &end);
    if (isspace((unsigned char)copy[0]) || end != copy + text.size ||
        (errno == ERANGE && (isinf(v) || fpclassify(v) == FP_ZERO)) ||
        isnan(v)) {
        return false;
    }
    *out = v;
    return true;
}

/* Seventeen digits behind the point, without zeros at the end. */
static size_t float_format(char text[FLOAT_TEXT_MAX], long double v)
{
    int n = snprintf(text, FLOAT_TEXT_MAX, "%.17Lf", v);
    size_t size = (size_t)n;

    while (text[size - 1] == '0') {
        size--;
    }
    if (text[size - 1] == '.') {
        size--;
    }
    if (size == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        size = 1;
    }
    return size;
}

bool command_float_fits(struct buffer *reply)
{
    if (!FLOAT_IS_X87) {
        resp_error(reply, error_format);
    }
    return FLOAT_IS_X87;
}

bool command_check_incrbyfloat(uint32_t argc, const struct bytes *argv,
                               struct buffer *reply)
{
    long double by;

    (void)argc;
    if (!command_float_fits(reply)) {
        return false;
    }
    if (!float_parse(argv[2], &by)) {
        resp_error(reply, error_float);
        return false;
    }
    return true;
}

void command_incrbyfloat(struct command_env *env, uint32_t argc,
                         const struct bytes *argv, struct buffer *reply)
{
    char text[FLOAT_TEXT_MAX];
    struct store_item *item;
    struct bytes value;
    uint64_t expire_ms = 0;
    long double by = 0;
    long double v = 0;

    (void)argc;
    if (!FLOAT_IS_X87) {
        env->error = ERR_VERSION;
        resp_error(reply, error_format);
        return;
    }
    if (!command_lookup_string(env, argv[1], &item, reply)) {
        return;
    }
    if ((item != NULL && !float_parse(store_item_value(item), &v)) ||
        !float_parse(argv[2], &by)) {
        resp_error(reply, error_float);
        return;
    }
    v += by;
    if (isnan(v) || isinf(v)) {
        resp_error(reply, "ERR increment would produce NaN or Infinity");
        return;
    }
    if (item != NULL) {
        expire_ms = store_item_expire_ms(item);
    }
    value.size = float_format(text, v);
    value.data = (const uint8_t *)text;
    if (command_store_string(env, argv[1], value, expire_ms, reply)) {
        resp_bulk(reply, value.data, value.size);
    }
}
