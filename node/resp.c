/* Requests in; see resp.h. Replies are in resp_reply.c.
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

/* ---- arrays that grow with what arrives, not with what is announced ---- */

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

/* ---- inline ---- */

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

/* ---- arrays of bulk strings ---- */

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
