/* Text forms of bytes and numbers; see text.h. */
#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/err.h"

size_t text_utf8_size(const void *data, size_t size)
{
    const uint8_t *p = data;
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t n;
    if (size == 0 || p[0] < 0x80) {
        return size == 0 ? 0 : 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;
        high = p[0] == 0xed ? 0x9f : high;
    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    /* Only the first continuation byte has a narrower range. */
    if (size < n || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return n;
}

bool text_is_utf8(const void *data, size_t size)
{
    const uint8_t *p = data;
    while (size > 0) {
        uint64_t eight;
        /* Most data is ASCII: take eight bytes at a time. */
        while (size >= sizeof(eight)) {
            memcpy(&eight, p, sizeof(eight));
            if ((eight & 0x8080808080808080u) != 0) {
                break;
            }
            p += sizeof(eight);
            size -= sizeof(eight);
        }
        size_t n = text_utf8_size(p, size);
        if (size > 0 && n == 0) {
            return false;
        }
        p += n;
        size -= n;
    }
    return true;
}

int text_hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* Decode the escape at data (which begins with the backslash); returns its
 * length, 0 if it is none of ours. */
static size_t unescape_one(const char *data, size_t size, char *out)
{
    if (size < 2) {
        return 0;
    }
    switch (data[1]) {
    case 't':
        *out = '\t';
        return 2;
    case 'n':
        *out = '\n';
        return 2;
    case 'r':
        *out = '\r';
        return 2;
    case '\\':
        *out = '\\';
        return 2;
    case 'x':
        if (size < 4 || text_hex_value(data[2]) < 0 ||
            text_hex_value(data[3]) < 0) {
            return 0;
        }
        *out = (char)(text_hex_value(data[2]) * 16 + text_hex_value(data[3]));
        return 4;
    default:
        return 0;
    }
}

int text_unescape(char *data, size_t *size, size_t *bad_offset)
{
    size_t from = 0;
    size_t to = 0;
    while (from < *size) {
        const char *next = memchr(data + from, '\\', *size - from);
        size_t plain =
            next == NULL ? *size - from : (size_t)(next - (data + from));
        memmove(data + to, data + from, plain);
        from += plain;
        to += plain;
        if (next != NULL) {
            char c = 0;
            size_t n = unescape_one(data + from, *size - from, &c);
            if (n == 0) {
                *bad_offset = from;
                return ERR_INVALID;
            }
            data[to++] = c;
            from += n;
        }
    }
    *size = to;
    return 0;
}

void text_print_escaped(FILE *out, const void *data, size_t size)
{
    const uint8_t *p = data;
    while (size > 0) {
        size_t n = text_utf8_size(p, size);
        bool c1 = n == 2 && p[0] == 0xc2 && p[1] < 0xa0;
        if (n == 0 || c1 || p[0] < 0x20 || p[0] == 0x7f || p[0] == '\\') {
            const char *plain = "t\tn\nr\r\\\\";
            const char *name = NULL;
            for (size_t i = 0; plain[i] != '\0'; i += 2) {
                if ((uint8_t)plain[i + 1] == p[0]) {
                    name = plain + i;
                }
            }
            if (name != NULL) {
                fprintf(out, "\\%c", *name);
            } else {
                fprintf(out, "\\x%02x", p[0]);
            }
            n = 1;
            if (c1) {
                fprintf(out, "\\x%02x", p[1]);
                n = 2;
            }
        } else {
            (void)fwrite(p, 1, n, out);
        }
        p += n;
        size -= n;
    }
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_print_base64(FILE *out, const void *data, size_t size)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t v = (uint32_t)p[i] << 16;
        v |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
        v |= n > 2 ? (uint32_t)p[i + 2] : 0;
        putc(base64_digits[v >> 18], out);
        putc(base64_digits[(v >> 12) & 63], out);
        putc(n > 1 ? base64_digits[(v >> 6) & 63] : '=', out);
        putc(n > 2 ? base64_digits[v & 63] : '=', out);
    }
}

static int base64_value(char c)
{
    const char *at = c == '\0' ? NULL : strchr(base64_digits, c);
    return at == NULL ? -1 : (int)(at - base64_digits);
}

int text_decode_base64(char *data, size_t *size)
{
    size_t n = *size;
    size_t to = 0;
    size_t padding = 0;
    if (n % 4 != 0) {
        return ERR_INVALID;
    }
    while (padding < 2 && padding < n && data[n - 1 - padding] == '=') {
        padding++;
    }
    n -= padding;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    for (size_t i = 0; i < n; i++) {
        int v = base64_value(data[i]);
        if (v < 0) {
            return ERR_INVALID;
        }
        bits = ((bits << 6) | (uint32_t)v) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            data[to++] = (char)(uint8_t)(bits >> n_bits);
        }
    }
    if ((bits & ((1u << n_bits) - 1)) != 0) {
        return ERR_INVALID;
    }
    *size = to;
    return 0;
}

char *text_count(char *out, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%" PRIu64, n);
    size_t to = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out[to++] = ',';
        }
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}

char *text_bytes(char *out, uint64_t n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)n;
    size_t unit = 0;
    while (v >= 1024 && unit < 4) {
        v /= 1024;
        unit++;
    }
    snprintf(out, TEXT_NUMBER_MAX, unit == 0 ? "%.0f %s" : "%.1f %s", v,
             units[unit]);
    return out;
}

char *text_duration(char *out, int64_t ms)
{
    if (ms < 0) {
        ms = 0;
    }
    if (ms < 1000) {
        snprintf(out, TEXT_NUMBER_MAX, "%" PRId64 " ms", ms);
    } else if (ms < 60000) {
        snprintf(out, TEXT_NUMBER_MAX, "%.1f s", (double)ms / 1000);
    } else if (ms < 3600000) {
        snprintf(out, TEXT_NUMBER_MAX, "%dm %02ds", (int)(ms / 60000),
                 (int)(ms / 1000 % 60));
    } else {
        snprintf(out, TEXT_NUMBER_MAX, "%" PRId64 "h %02dm", ms / 3600000,
                 (int)(ms / 60000 % 60));
    }
    return out;
}

int text_parse_count(const char *text, uint64_t min, uint64_t max,
                     uint64_t *out)
{
    uint64_t v = 0;
    if (*text == '\0') {
        return ERR_INVALID;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9') {
            return ERR_INVALID;
        }
        unsigned digit = (unsigned)(*p - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            return ERR_RANGE;
        }
        v = v * 10 + digit;
    }
    if (v < min || v > max) {
        return ERR_RANGE;
    }
    *out = v;
    return 0;
}

int text_parse_duration(const char *text, int64_t *out_ms)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    char *end = NULL;
    double scale = 1000;
    if (!isdigit((unsigned char)text[0])) {
        return ERR_INVALID;
    }
    double v = strtod(text, &end);
    if (strcmp(end, "ms") == 0) {
        scale = 1;
    } else if (strcmp(end, "m") == 0) {
        scale = 60000;
    } else if (*end != '\0' && strcmp(end, "s") != 0) {
        return ERR_INVALID;
    }
    v *= scale;
    if (!(v >= 1 && v <= DAY_MS)) {
        return ERR_RANGE;
    }
    *out_ms = (int64_t)v;
    return 0;
}
