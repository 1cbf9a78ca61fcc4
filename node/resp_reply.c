/* Replies out, in version 2 of the protocol, and how they become those of
 * version 3; see resp.h. */
#include "node/resp.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/number.h"

void resp_simple(struct buffer *b, const char *text)
{
    buffer_append(b, "+", 1);
    buffer_append(b, text, strlen(text));
    buffer_append(b, "\r\n", 2);
}

void resp_error(struct buffer *b, const char *text)
{
    size_t size = strlen(text);
    uint8_t *room;

    buffer_append(b, "-", 1);
    room = buffer_reserve(b, size + 2);
    if (room == NULL) {
        b->failed = true;
        return;
    }
    /* A line end inside would begin another reply. */
    for (size_t i = 0; i < size; i++) {
        room[i] = (uint8_t)(text[i] == '\r' || text[i] == '\n' ? ' ' : text[i]);
    }
    room[size] = '\r';
    room[size + 1] = '\n';
    buffer_commit(b, size + 2);
}

void resp_errorf(struct buffer *b, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    resp_error(b, text);
}

/* `<mark><number>\r\n` */
static void resp_number(struct buffer *b, char mark, int64_t v)
{
    char text[NUMBER_TEXT_MAX + 3];
    size_t n = 1 + number_format(text + 1, v);

    text[0] = mark;
    text[n] = '\r';
    text[n + 1] = '\n';
    buffer_append(b, text, n + 2);
}

void resp_integer(struct buffer *b, int64_t v)
{
    resp_number(b, ':', v);
}

void resp_bulk(struct buffer *b, const void *data, size_t size)
{
    resp_number(b, '$', (int64_t)size);
    buffer_append(b, data, size);
    buffer_append(b, "\r\n", 2);
}

void resp_null(struct buffer *b)
{
    buffer_append(b, "$-1\r\n", 5);
}

void resp_null_array(struct buffer *b)
{
    buffer_append(b, "*-1\r\n", 5);
}

void resp_array(struct buffer *b, size_t n)
{
    resp_number(b, '*', (int64_t)n);
}

void resp_text(struct buffer *b, const char *text)
{
    resp_bulk(b, text, strlen(text));
}

void resp_lines(struct buffer *b, const char *const *lines, size_t n)
{
    resp_array(b, n);
    for (size_t i = 0; i < n; i++) {
        resp_simple(b, lines[i]);
    }
}

struct resp_shown resp_shown(struct bytes raw)
{
    struct resp_shown shown = {0, ""};

    if (raw.size > 0) {
        shown.size = raw.size < RESP_SHOWN_MAX ? (int)raw.size : RESP_SHOWN_MAX;
        shown.text = (const char *)raw.data;
    }
    return shown;
}

/* ---- version 3 ---- */

void resp_map(struct buffer *b, size_t n)
{
    resp_number(b, '%', (int64_t)n);
}

void resp_pairs(struct buffer *b, bool resp3, size_t n)
{
    if (resp3) {
        resp_map(b, n);
    } else {
        resp_array(b, 2 * n);
    }
}

void resp_set(struct buffer *b, size_t n)
{
    resp_number(b, '~', (int64_t)n);
}

/* The size of the first element of a reply: a line, and the bytes that belong
 * to it. *null: it stands for nothing. Malformed bytes are one element. */
static size_t element_size(const uint8_t *at, size_t size, bool *null,
                           int64_t *number)
{
    const uint8_t *end = memchr(at, '\n', size);
    struct bytes text = {at + 1, 0};
    size_t line;

    *null = false;
    if (end == NULL || end - at < 3) {
        return size;
    }
    line = (size_t)(end - at) + 1;
    if (at[0] != '$' && at[0] != '*') {
        return line;
    }
    text.size = line - 3;
    if (!number_parse(text, number)) {
        return size;
    }
    if (*number < 0) {
        *null = true;
        return line;
    }
    if (at[0] == '*') {
        return line;
    }
    if (size - line < 2 || (uint64_t)*number > size - line - 2) {
        return size;
    }
    return line + (size_t)*number + 2;
}

void resp3_convert(struct buffer *b, size_t from)
{
    size_t end = buffer_size(b);
    uint8_t *base;
    uint8_t *to;
    int64_t number;

    if (b->failed || end <= from) {
        return;
    }
    base = b->base + b->start;
    to = base + from;
    while (from < end) {
        bool null;
        size_t n = element_size(base + from, end - from, &null, &number);
        if (null) {
            memcpy(to, "_\r\n", 3);
            to += 3;
        } else {
            if (to != base + from) {
                memmove(to, base + from, n);
            }
            to += n;
        }
        from += n;
    }
    buffer_truncate(b, (size_t)(to - base));
}

/* Replace the line that a reply begins with. */
static void replace_line(struct buffer *b, size_t from, const char *line,
                         size_t size)
{
    uint8_t *base = b->base + b->start;
    size_t end = buffer_size(b);
    const uint8_t *eol = memchr(base + from, '\n', end - from);
    size_t old = (size_t)(eol - (base + from)) + 1;

    if (size > old && buffer_reserve(b, size - old) == NULL) {
        b->failed = true;
        return;
    }
    base = b->base + b->start; /* it may have moved */
    memmove(base + from + size, base + from + old, end - from - old);
    memcpy(base + from, line, size);
    if (size > old) {
        buffer_commit(b, size - old);
    } else {
        buffer_truncate(b, end - old + size);
    }
}

/* The number behind the mark of the first line; false: another mark, or -1. */
static bool first_number(const struct buffer *b, size_t from, uint8_t mark,
                         int64_t *number)
{
    const uint8_t *at = buffer_data(b);
    bool null;

    if (b->failed || buffer_size(b) <= from || at[from] != mark) {
        return false;
    }
    *number = -1;
    (void)element_size(at + from, buffer_size(b) - from, &null, number);
    return *number >= 0;
}

void resp3_convert_map(struct buffer *b, size_t from)
{
    char line[NUMBER_TEXT_MAX + 3];
    int64_t n;

    if (first_number(b, from, '*', &n)) {
        size_t size = 1 + number_format(line + 1, n / 2);
        line[0] = '%';
        line[size] = '\r';
        line[size + 1] = '\n';
        replace_line(b, from, line, size + 2);
        resp3_convert(b, from);
    }
}

void resp3_convert_text(struct buffer *b, size_t from)
{
    char line[NUMBER_TEXT_MAX + 8];
    int64_t n;

    if (first_number(b, from, '$', &n)) {
        int size =
            snprintf(line, sizeof line, "=%lld\r\ntxt:", (long long)n + 4);
        replace_line(b, from, line, (size_t)size);
    }
}
