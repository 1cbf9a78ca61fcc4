/* Requests in, replies out; see resp.h.
 *
 * A request is `*<n>\r\n` followed by n times `$<size>\r\n<bytes>\r\n`, or one
 * line of words (inline). `scanned` is the offset up to which the request has
 * been read, or searched for the end of a line; no byte before it is looked at
 * again. The checks and their words are those of Redis. */
#include "node/resp.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/number.h"

enum {
    STATE_START = 0, /* nothing known of the request */
    STATE_INLINE,    /* looking for the end of the line */
    STATE_COUNT,     /* in `*<n>` */
    STATE_SIZE,      /* in `$<size>` */
    STATE_BULK,      /* in the bytes of an argument */
    STATE_DONE,      /* argv belongs to the request given out */
    STATE_FAILED
};

enum {
    LINE_MAX_BYTES = 64 * 1024, /* of a count or size, as Redis */
    SPANS_FIRST = 8,
    SPANS_KEPT = 1024 /* after a request with many arguments */
};

void resp_parser_init(struct resp_parser *p, const struct resp_limits *limits)
{
    memset(p, 0, sizeof *p);
    p->limits = *limits;
}

void resp_parser_close(struct resp_parser *p)
{
    free(p->spans);
    free(p->argv);
    free(p->inline_copy);
    p->spans = NULL;
    p->argv = NULL;
    p->inline_copy = NULL;
    p->n_spans_cap = 0;
    p->n_argv_cap = 0;
    p->inline_cap = 0;
}

static enum resp_status resp_fail(struct resp_parser *p, const char *format,
                                  ...) __attribute__((format(printf, 2, 3)));

static enum resp_status resp_fail(struct resp_parser *p, const char *format,
                                  ...)
{
    static const char head[] = "ERR Protocol error: ";
    va_list args;

    memcpy(p->error, head, sizeof head);
    va_start(args, format);
    (void)vsnprintf(p->error + sizeof head - 1,
                    sizeof p->error - sizeof head + 1, format, args);
    va_end(args);
    p->state = STATE_FAILED;
    return RESP_ERROR;
}

static void resp_reset(struct resp_parser *p)
{
    p->state = STATE_START;
    p->scanned = 0;
    p->n_args = 0;
    p->n_done = 0;
    p->line = 0;
    if (p->n_spans_cap > SPANS_KEPT || p->n_argv_cap > SPANS_KEPT) {
        resp_parser_close(p);
    }
}

/* ---- arrays that grow with what has arrived, not with what was announced
 * ---*/

static uint32_t resp_grown(uint32_t cap)
{
    return cap == 0 ? SPANS_FIRST : cap * 2;
}

static bool resp_reserve_argv(struct resp_parser *p, uint32_t n)
{
    struct bytes *argv;

    if (n <= p->n_argv_cap) {
        return true;
    }
    argv = realloc(p->argv, n * sizeof *argv);
    if (argv == NULL) {
        return false;
    }
    p->argv = argv;
    p->n_argv_cap = n;
    return true;
}

static bool resp_add_span(struct resp_parser *p, size_t offset, size_t size)
{
    if (p->n_done == p->n_spans_cap) {
        uint32_t cap = resp_grown(p->n_spans_cap);
        void *spans = realloc(p->spans, cap * sizeof *p->spans);
        if (spans == NULL) {
            return false;
        }
        p->spans = spans;
        p->n_spans_cap = cap;
    }
    p->spans[p->n_done].offset = offset;
    p->spans[p->n_done].size = size;
    p->n_done++;
    return true;
}

/* ---- inline
 * ----------------------------------------------------------------*/

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (uint8_t)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte an escape in double quotes stands for; at is behind the backslash.
 * Returns how many bytes the escape has. */
static size_t inline_escape(const uint8_t *at, const uint8_t *end, char *out)
{
    if (at[0] == 'x' && end - at >= 3 && hex_value(at[1]) >= 0 &&
        hex_value(at[2]) >= 0) {
        *out = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
        return 3;
    }
    switch (at[0]) {
    case 'n':
        *out = '\n';
        break;
    case 'r':
        *out = '\r';
        break;
    case 't':
        *out = '\t';
        break;
    case 'b':
        *out = '\b';
        break;
    case 'a':
        *out = '\a';
        break;
    default:
        *out = (char)at[0];
        break;
    }
    return 1;
}

/* One word of a line, quotes and escapes undone, written to *out. NULL: a quote
 * is not closed, or is closed in the middle of a word. */
static const uint8_t *inline_word(const uint8_t *at, const uint8_t *end,
                                  char **out)
{
    uint8_t quote = 0;

    for (; at < end; at++) {
        if (quote == 0) {
            if (isspace(*at) && *at != '\v' && *at != '\f') {
                return at;
            }
            if (*at == '"' || *at == '\'') {
                quote = *at;
            } else {
                *(*out)++ = (char)*at;
            }
        } else if (*at == quote) {
            at++;
            return at == end || isspace(*at) ? at : NULL;
        } else if (quote == '"' && *at == '\\' && end - at >= 2) {
            at += inline_escape(at + 1, end, (*out)++);
        } else if (quote == '\'' && *at == '\\' && end - at >= 2 &&
                   at[1] == '\'') {
            *(*out)++ = '\'';
            at++;
        } else {
            *(*out)++ = (char)*at;
        }
    }
    return quote == 0 ? at : NULL;
}

static enum resp_status inline_split(struct resp_parser *p, const uint8_t *at,
                                     const uint8_t *end)
{
    size_t size = (size_t)(end - at);
    char *out;

    if (size > p->inline_cap) {
        char *copy = realloc(p->inline_copy, size);
        if (copy == NULL) {
            return resp_fail(p, "out of memory");
        }
        p->inline_copy = copy;
        p->inline_cap = size;
    }
    out = p->inline_copy;
    for (;;) {
        char *word = out;
        while (at < end && isspace(*at)) {
            at++;
        }
        if (at == end) {
            return RESP_REQUEST;
        }
        if (p->n_done == p->n_argv_cap &&
            !resp_reserve_argv(p, resp_grown(p->n_argv_cap))) {
            return resp_fail(p, "out of memory");
        }
        at = inline_word(at, end, &out);
        if (at == NULL) {
            return resp_fail(p, "unbalanced quotes in request");
        }
        if (p->n_done == p->limits.n_args_max) {
            return resp_fail(p, "too many arguments in inline request");
        }
        p->argv[p->n_done].data = (const uint8_t *)word;
        p->argv[p->n_done].size = (size_t)(out - word);
        p->n_done++;
    }
}

static enum resp_status resp_parse_inline(struct resp_parser *p,
                                          const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data + p->scanned, '\n', size - p->scanned);
    size_t line = end != NULL ? (size_t)(end - data) : size;

    p->scanned = line + (end != NULL);
    if (line > p->limits.inline_max) {
        return resp_fail(p, "too big inline request");
    }
    if (end == NULL) {
        return RESP_MORE;
    }
    if (end > data && end[-1] == '\r') {
        end--;
    }
    return inline_split(p, data, end);
}

/* ---- arrays of bulk strings
 * ------------------------------------------------*/

/* Find the end of the line that begins at p->line and leave what is between
 * its first byte and the end in *text. As in Redis the \n is taken on trust. */
static enum resp_status resp_line(struct resp_parser *p, const uint8_t *data,
                                  size_t size, const char *what,
                                  struct bytes *text)
{
    const uint8_t *end = memchr(data + p->scanned, '\r', size - p->scanned);
    size_t at = end != NULL ? (size_t)(end - data) : size;

    p->scanned = at;
    if (at - p->line > LINE_MAX_BYTES) {
        return resp_fail(p, "too big %s count string", what);
    }
    if (end == NULL || size - at < 2) {
        return RESP_MORE;
    }
    text->data = data + p->line + 1;
    text->size = at - p->line - 1;
    p->scanned = at + 2;
    return RESP_REQUEST;
}

static enum resp_status resp_parse_count(struct resp_parser *p,
                                         const uint8_t *data, size_t size)
{
    struct bytes text;
    int64_t n = 0;
    enum resp_status rc = resp_line(p, data, size, "mbulk", &text);

    if (rc != RESP_REQUEST) {
        return rc;
    }
    if (!number_parse(text, &n) || n > (int64_t)p->limits.n_args_max) {
        return resp_fail(p, "invalid multibulk length");
    }
    if (n <= 0) {
        return RESP_REQUEST;
    }
    p->n_args = (uint32_t)n;
    p->line = p->scanned;
    p->state = STATE_SIZE;
    return RESP_MORE;
}

static enum resp_status resp_parse_size(struct resp_parser *p,
                                        const uint8_t *data, size_t size)
{
    struct bytes text = {NULL, 0};
    int64_t n = 0;
    enum resp_status rc = resp_line(p, data, size, "bulk", &text);

    if (rc != RESP_REQUEST) {
        return rc;
    }
    if (data[p->line] != '$') {
        char got[8];
        unsigned char c = data[p->line];
        if (c == '\r' || c == '\n') {
            c = ' ';
        }
        (void)snprintf(got, sizeof got, c >= 32 && c < 127 ? "%c" : "\\x%02x",
                       c);
        return resp_fail(p, "expected '$', got '%s'", got);
    }
    if (!number_parse(text, &n) || n < 0 || (uint64_t)n > p->limits.bulk_max) {
        return resp_fail(p, "invalid bulk length");
    }
    p->bulk_size = (uint64_t)n;
    if (p->scanned + p->bulk_size + 2 > p->limits.request_max) {
        return resp_fail(p, "too big request");
    }
    p->state = STATE_BULK;
    return RESP_MORE;
}

static enum resp_status resp_parse_bulk(struct resp_parser *p, size_t size)
{
    if (size - p->scanned < p->bulk_size + 2) {
        return RESP_MORE;
    }
    if (!resp_add_span(p, p->scanned, (size_t)p->bulk_size)) {
        return resp_fail(p, "out of memory");
    }
    p->scanned += (size_t)p->bulk_size + 2;
    p->line = p->scanned;
    p->state = STATE_SIZE;
    return p->n_done == p->n_args ? RESP_REQUEST : RESP_MORE;
}

/* All arguments are there: point to them where the data is now. */
static enum resp_status resp_point(struct resp_parser *p, const uint8_t *data)
{
    if (p->n_args == 0) {
        return RESP_REQUEST;
    }
    if (!resp_reserve_argv(p, p->n_spans_cap)) {
        return resp_fail(p, "out of memory");
    }
    for (uint32_t i = 0; i < p->n_args; i++) {
        p->argv[i].data = data + p->spans[i].offset;
        p->argv[i].size = p->spans[i].size;
    }
    return RESP_REQUEST;
}

/* One step; RESP_MORE with the state changed asks for the next one. */
static enum resp_status resp_step(struct resp_parser *p, const uint8_t *data,
                                  size_t size)
{
    switch (p->state) {
    case STATE_START:
        p->state = data[0] == '*' ? STATE_COUNT : STATE_INLINE;
        return RESP_MORE;
    case STATE_INLINE:
        return resp_parse_inline(p, data, size);
    case STATE_COUNT:
        return resp_parse_count(p, data, size);
    case STATE_SIZE:
        return resp_parse_size(p, data, size);
    case STATE_BULK:
        return resp_parse_bulk(p, size);
    default:
        return RESP_ERROR;
    }
}

enum resp_status resp_parse(struct resp_parser *p, const uint8_t *data,
                            size_t size, size_t *used, uint32_t *argc,
                            const struct bytes **argv)
{
    enum resp_status rc;
    bool multi;

    if (p->state == STATE_DONE) {
        resp_reset(p);
    }
    if (size == 0 && p->state != STATE_FAILED) {
        return RESP_MORE;
    }
    for (;;) {
        int state = p->state;
        multi = state != STATE_INLINE;
        rc = resp_step(p, data, size);
        if (rc != RESP_MORE) {
            break;
        }
        if (p->state == state) {
            return RESP_MORE;
        }
    }
    if (rc == RESP_REQUEST && multi) {
        rc = resp_point(p, data);
    }
    if (rc == RESP_REQUEST) {
        p->state = STATE_DONE;
        *used = p->scanned;
        *argc = p->n_done;
        *argv = p->argv;
    }
    return rc;
}

size_t resp_wanted(const struct resp_parser *p)
{
    return p->state == STATE_BULK ? p->scanned + (size_t)p->bulk_size + 2 : 0;
}

/* ---- replies
 * ---------------------------------------------------------------*/

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

/* ---- version 3
 * -----------------------------------------------------------------*/

void resp_map(struct buffer *b, size_t n)
{
    resp_number(b, '%', (int64_t)n);
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
