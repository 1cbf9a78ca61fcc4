/* Names, texts and formatting of the project's error codes.
 *
 * Pure: no I/O, no allocation, so that it works when memory is gone. What to
 * do about an error is left to the caller. */
#include "raftlog/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *err_text(int code)
{
    switch (code) {
    case 0:
        return "success";
#define ERR_TEXT_CASE(name, number, text)                                      \
    case -(number):                                                            \
        return text;
        ERR_LIST(ERR_TEXT_CASE)
#undef ERR_TEXT_CASE
    default:
        return "unknown error";
    }
}

const char *err_name(int code)
{
    switch (code) {
    case 0:
        return "OK";
#define ERR_NAME_CASE(name, number, text)                                      \
    case -(number):                                                            \
        return "ERR_" #name;
        ERR_LIST(ERR_NAME_CASE)
#undef ERR_NAME_CASE
    default:
        return "ERR_UNKNOWN";
    }
}

int err_set(struct err_info *info, int code, const char *format, ...)
{
    va_list args;
    int saved = errno; /* Callers may still want to print it. */

    if (info == NULL) {
        return code;
    }
    info->code = code;
    va_start(args, format);
    if (vsnprintf(info->message, sizeof info->message, format, args) < 0) {
        info->message[0] = '\0';
    }
    va_end(args);
    errno = saved;
    return code;
}

int err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return 0;
    case ENOMEM:
        return ERR_NOMEM;
    case ENOSPC:
    case EDQUOT:
        return ERR_NOSPACE;
    case ENOENT:
        return ERR_NOTFOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_ACCESS;
    case EAGAIN:
        return ERR_AGAIN;
    default:
        return ERR_IO;
    }
}

/* Printable form of one byte; returns its length. */
static size_t escape_byte(char out[5], uint8_t c)
{
    static const char digits[] = "0123456789abcdef";

    if (c >= 0x20 && c < 0x7f && c != '\\') {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = digits[c >> 4];
    out[3] = digits[c & 15];
    return 4;
}

char *err_escape(char *out, size_t out_size, const void *raw, size_t size)
{
    const uint8_t *p = raw;
    size_t used = 0;
    size_t fits = 0; /* Longest prefix that leaves room for "...". */
    char one[5];

    if (out_size == 0) {
        return out;
    }
    for (size_t i = 0; i < size; i++) {
        size_t n = escape_byte(one, p[i]);
        if (used + n + 1 > out_size) {
            size_t room = out_size - 1 - fits;
            memcpy(out + fits, "...", room < 3 ? room : 3);
            out[fits + (room < 3 ? room : 3)] = '\0';
            return out;
        }
        memcpy(out + used, one, n);
        used += n;
        if (used + 4 <= out_size) {
            fits = used;
        }
    }
    out[used] = '\0';
    return out;
}
