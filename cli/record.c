/* One line to one record; see record.h. */
#include "cli/record.h"

#include <string.h>

#include "cli/text.h"

enum record_format record_format_choose(enum record_format format,
                                        const char *path)
{
    static const struct {
        const char *end;
        enum record_format format;
    } rows[] = {{".tsv", RECORD_TSV},
                {".jsonl", RECORD_JSONL},
                {".ndjson", RECORD_JSONL},
                {".resp", RECORD_RESP}};
    size_t size = strlen(path);
    for (size_t i = 0; format == RECORD_AUTO && i < 4; i++) {
        size_t end_size = strlen(rows[i].end);
        if (size > end_size &&
            strcmp(path + size - end_size, rows[i].end) == 0) {
            format = rows[i].format;
        }
    }
    return format;
}

static int record_check_key(const struct record *r, struct err_info *info)
{
    if (r->key_size == 0) {
        return err_set(info, ERR_INVALID, "the key is empty");
    }
    return 0;
}

int record_parse_tsv(struct record *r, char *line, size_t size,
                     struct err_info *info)
{
    char *tab = memchr(line, '\t', size);
    size_t bad = 0;
    memset(r, 0, sizeof(*r));
    if (size > 0 && line[size - 1] == '\r') {
        size--;
    }
    if (tab == NULL) {
        return err_set(info, ERR_INVALID,
                       "no tab between key and value (escape a tab inside "
                       "them as \\t)");
    }
    r->key = line;
    r->key_size = (size_t)(tab - line);
    r->value = tab + 1;
    r->value_size = size - r->key_size - 1;
    if (memchr(r->value, '\t', r->value_size) != NULL) {
        return err_set(info, ERR_INVALID,
                       "more than one tab: write a tab inside the value as "
                       "\\t");
    }
    if (text_unescape(r->key, &r->key_size, &bad) != 0) {
        return err_set(info, ERR_INVALID,
                       "column %zu: wrong escape; \\t \\n \\r \\\\ \\xNN are "
                       "known, a backslash itself is \\\\",
                       bad + 1);
    }
    if (text_unescape(r->value, &r->value_size, &bad) != 0) {
        return err_set(info, ERR_INVALID,
                       "column %zu: wrong escape; \\t \\n \\r \\\\ \\xNN are "
                       "known, a backslash itself is \\\\",
                       (size_t)(tab + 1 - line) + bad + 1);
    }
    return record_check_key(r, info);
}

/* The rest of the line; positions in messages count from its begin. */
struct cursor {
    char *begin;
    char *at;
    char *end;
    struct err_info *info;
};

static int cursor_fail(const struct cursor *c, const char *what)
{
    return err_set(c->info, ERR_INVALID, "column %zu: %s",
                   (size_t)(c->at - c->begin) + 1, what);
}

static void cursor_skip_blanks(struct cursor *c)
{
    while (c->at < c->end &&
           (*c->at == ' ' || *c->at == '\t' || *c->at == '\r')) {
        c->at++;
    }
}

static bool cursor_take(struct cursor *c, char wanted)
{
    cursor_skip_blanks(c);
    if (c->at == c->end || *c->at != wanted) {
        return false;
    }
    c->at++;
    return true;
}

/* Four hexadecimal digits after \u; -1 if they are not there. */
static int32_t cursor_take_hex4(struct cursor *c)
{
    int32_t v = 0;
    if (c->end - c->at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int digit = text_hex_value(c->at[i]);
        if (digit < 0) {
            return -1;
        }
        v = v * 16 + digit;
    }
    c->at += 4;
    return v;
}

static char *put_utf8(char *to, uint32_t v)
{
    if (v < 0x80) {
        *to++ = (char)v;
    } else if (v < 0x800) {
        *to++ = (char)(0xc0 | (v >> 6));
        *to++ = (char)(0x80 | (v & 0x3f));
    } else if (v < 0x10000) {
        *to++ = (char)(0xe0 | (v >> 12));
        *to++ = (char)(0x80 | ((v >> 6) & 0x3f));
        *to++ = (char)(0x80 | (v & 0x3f));
    } else {
        *to++ = (char)(0xf0 | (v >> 18));
        *to++ = (char)(0x80 | ((v >> 12) & 0x3f));
        *to++ = (char)(0x80 | ((v >> 6) & 0x3f));
        *to++ = (char)(0x80 | (v & 0x3f));
    }
    return to;
}

/* The code point of a \u escape, the cursor behind the 'u'. What lies outside
 * the basic plane is a pair of two escapes (RFC 8259 section 7). */
static int take_code_point(struct cursor *c, uint32_t *out)
{
    int32_t high = cursor_take_hex4(c);
    if (high < 0) {
        return cursor_fail(c, "\\u needs four hexadecimal digits");
    }
    *out = (uint32_t)high;
    if (high >= 0xdc00 && high <= 0xdfff) {
        return cursor_fail(c, "a low surrogate without the high one before");
    }
    if (high >= 0xd800 && high <= 0xdbff) {
        int32_t low = -1;
        if (c->end - c->at >= 2 && c->at[0] == '\\' && c->at[1] == 'u') {
            c->at += 2;
            low = cursor_take_hex4(c);
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return cursor_fail(c, "a high surrogate without the low one after");
        }
        *out = 0x10000 + (((uint32_t)high - 0xd800) << 10) +
               ((uint32_t)low - 0xdc00);
    }
    return 0;
}

/* Decode the escape whose backslash was just taken; *to moves on. An escape
 * is never shorter than what it stands for, so in place is safe. */
static int take_escape(struct cursor *c, char **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (c->at == c->end) {
        return cursor_fail(c, "the line ends inside a string");
    }
    char name = *c->at;
    if (name == 'u') {
        uint32_t v = 0;
        c->at++;
        int rc = take_code_point(c, &v);
        if (rc == 0) {
            *to = put_utf8(*to, v);
        }
        return rc;
    }
    const char *found = name == '\0' ? NULL : strchr(names, name);
    if (found == NULL) {
        return cursor_fail(c, "wrong escape in a string");
    }
    c->at++;
    *(*to)++ = meanings[found - names];
    return 0;
}

static int take_string(struct cursor *c, char **out, size_t *out_size)
{
    cursor_skip_blanks(c);
    if (c->at == c->end || *c->at != '"') {
        return cursor_fail(c, "a string in double quotes is needed here");
    }
    char *begin = ++c->at;
    char *to = begin;
    for (;;) {
        char *run = c->at;
        while (c->at < c->end && *c->at != '"' && *c->at != '\\' &&
               (unsigned char)*c->at >= 0x20) {
            c->at++;
        }
        memmove(to, run, (size_t)(c->at - run));
        to += c->at - run;
        if (c->at == c->end) {
            return cursor_fail(c, "the line ends inside a string");
        }
        if (*c->at == '"') {
            break;
        }
        if (*c->at != '\\') {
            return cursor_fail(c, "a control character must be escaped");
        }
        c->at++;
        int rc = take_escape(c, &to);
        if (rc != 0) {
            return rc;
        }
    }
    c->at++;
    if (!text_is_utf8(begin, (size_t)(to - begin))) {
        return cursor_fail(c, "the string is not UTF-8; binary data goes into "
                              "key_base64 and value_base64");
    }
    *out = begin;
    *out_size = (size_t)(to - begin);
    return 0;
}

/* A whole number, digits only, above 0. */
static int take_number(struct cursor *c, uint64_t *out)
{
    char digits[TEXT_NUMBER_MAX];
    size_t n = 0;
    cursor_skip_blanks(c);
    while (c->at < c->end && n < sizeof(digits) - 1 && *c->at >= '0' &&
           *c->at <= '9') {
        digits[n++] = *c->at++;
    }
    digits[n] = '\0';
    if (text_parse_count(digits, 1, INT64_MAX, out) != 0) {
        return cursor_fail(c, "a whole number of milliseconds above 0 is "
                              "needed here");
    }
    return 0;
}

static bool name_is(const char *name, size_t size, const char *wanted)
{
    return size == strlen(wanted) && memcmp(name, wanted, size) == 0;
}

static int take_member(struct cursor *c, struct record *r)
{
    char *name;
    size_t name_size;
    int rc = take_string(c, &name, &name_size);
    if (rc != 0) {
        return rc;
    }
    if (name_is(name, name_size, "expire_at_ms")) {
        if (r->expire_at_ms != 0) {
            return cursor_fail(c, "expire_at_ms is given twice");
        }
        return cursor_take(c, ':') ? take_number(c, &r->expire_at_ms)
                                   : cursor_fail(c, "':' is missing");
    }
    bool base64 = name_is(name, name_size, "key_base64") ||
                  name_is(name, name_size, "value_base64");
    bool is_key = base64 ? name[0] == 'k' : name_is(name, name_size, "key");
    if (!base64 && !is_key && !name_is(name, name_size, "value")) {
        char shown[64];
        err_escape(shown, sizeof(shown), name, name_size);
        return err_set(c->info, ERR_INVALID,
                       "unknown member \"%s\"; key, value, key_base64, "
                       "value_base64 and expire_at_ms are known",
                       shown);
    }
    char **data = is_key ? &r->key : &r->value;
    size_t *size = is_key ? &r->key_size : &r->value_size;
    if (*data != NULL) {
        return cursor_fail(c, is_key ? "the key is given twice"
                                     : "the value is given twice");
    }
    if (!cursor_take(c, ':')) {
        return cursor_fail(c, "':' is missing");
    }
    rc = take_string(c, data, size);
    if (rc == 0 && base64 && text_decode_base64(*data, size) != 0) {
        rc = cursor_fail(c, "the string before is not base64");
    }
    return rc;
}

int record_parse_json(struct record *r, char *line, size_t size,
                      struct err_info *info)
{
    struct cursor c = {line, line, line + size, info};
    memset(r, 0, sizeof(*r));
    if (!cursor_take(&c, '{')) {
        return cursor_fail(&c, "a JSON object {\"key\":..., \"value\":...} is "
                               "needed on each line");
    }
    do {
        int rc = take_member(&c, r);
        if (rc != 0) {
            return rc;
        }
    } while (cursor_take(&c, ','));
    if (!cursor_take(&c, '}')) {
        return cursor_fail(&c, "',' or '}' is missing");
    }
    cursor_skip_blanks(&c);
    if (c.at != c.end) {
        return cursor_fail(&c, "something follows the object on its line");
    }
    if (r->key == NULL || r->value == NULL) {
        return err_set(info, ERR_INVALID, "the object has no \"%s\"",
                       r->key == NULL ? "key" : "value");
    }
    return record_check_key(r, info);
}
