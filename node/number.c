/* Decimal integers; see number.h. */
#include "node/number.h"

bool number_parse(struct bytes text, int64_t *out)
{
    const uint8_t *p = text.data;
    size_t n = text.size;
    bool negative = false;
    uint64_t limit = INT64_MAX;
    uint64_t v = 0;

    if (n == 0 || n >= NUMBER_TEXT_MAX) {
        return false;
    }
    if (n == 1 && p[0] == '0') {
        *out = 0;
        return true;
    }
    if (p[0] == '-') {
        negative = true;
        limit = (uint64_t)INT64_MAX + 1;
        p++;
        n--;
    }
    if (n == 0 || p[0] == '0') {
        return false;
    }
    for (; n > 0; p++, n--) {
        unsigned digit = (unsigned)(p[0] - '0');
        if (p[0] < '0' || digit > 9 || v > (limit - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    /* 0 - v stays in range for v = 2^63, where -(int64_t)v would not. */
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

size_t number_format(char text[NUMBER_TEXT_MAX], int64_t v)
{
    char digits[NUMBER_TEXT_MAX];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    size_t n = 0;
    size_t at = 0;

    do {
        digits[n++] = (char)('0' + u % 10);
        u /= 10;
    } while (u > 0);
    if (v < 0) {
        text[at++] = '-';
    }
    while (n > 0) {
        text[at++] = digits[--n];
    }
    text[at] = '\0';
    return at;
}
