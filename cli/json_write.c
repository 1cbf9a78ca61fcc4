/* JSON output; see json_write.h. */
#include "cli/json_write.h"

#include <inttypes.h>
#include <string.h>

#include "cli/text.h"

static void json_begin_value(struct json_writer *w)
{
    if (w->need_comma) {
        putc(',', w->out);
    }
    w->need_comma = true;
}

void json_open(struct json_writer *w, char open)
{
    json_begin_value(w);
    putc(open, w->out);
    w->need_comma = false;
}

void json_close(struct json_writer *w, char close)
{
    putc(close, w->out);
    w->need_comma = true;
}

/* A string whose bytes are known to be UTF-8. */
static void json_put_string(FILE *out, const char *data, size_t size)
{
    static const char names[] = "\"\"\\\\\nn\rr\tt\bb\ff";
    putc('"', out);
    size_t run = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)data[i];
        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            continue;
        }
        (void)fwrite(data + run, 1, i - run, out);
        run = i + 1;
        size_t at = 0;
        while (names[at] != '\0' && names[at] != (char)c) {
            at += 2;
        }
        if (names[at] != '\0') {
            fprintf(out, "\\%c", names[at + 1]);
        } else {
            fprintf(out, "\\u%04x", c);
        }
    }
    (void)fwrite(data + run, 1, size - run, out);
    putc('"', out);
}

static void json_put_base64(FILE *out, const void *data, size_t size)
{
    putc('"', out);
    text_print_base64(out, data, size);
    putc('"', out);
}

void json_name(struct json_writer *w, const char *name)
{
    json_begin_value(w);
    json_put_string(w->out, name, strlen(name));
    putc(':', w->out);
    w->need_comma = false;
}

void json_null(struct json_writer *w)
{
    json_begin_value(w);
    fputs("null", w->out);
}

void json_bool(struct json_writer *w, bool v)
{
    json_begin_value(w);
    fputs(v ? "true" : "false", w->out);
}

void json_uint(struct json_writer *w, uint64_t v)
{
    json_begin_value(w);
    fprintf(w->out, "%" PRIu64, v);
}

void json_int(struct json_writer *w, int64_t v)
{
    json_begin_value(w);
    fprintf(w->out, "%" PRId64, v);
}

void json_real(struct json_writer *w, double v)
{
    json_begin_value(w);
    fprintf(w->out, "%.3f", v);
}

void json_text(struct json_writer *w, const char *text)
{
    json_bytes(w, text, strlen(text));
}

void json_bytes(struct json_writer *w, const void *data, size_t size)
{
    json_begin_value(w);
    if (text_is_utf8(data, size)) {
        json_put_string(w->out, data, size);
    } else {
        fputs("{\"base64\":", w->out);
        json_put_base64(w->out, data, size);
        putc('}', w->out);
    }
}

void json_bytes_member(struct json_writer *w, const char *name,
                       const void *data, size_t size)
{
    if (text_is_utf8(data, size)) {
        json_name(w, name);
        json_bytes(w, data, size);
        return;
    }
    json_begin_value(w);
    fprintf(w->out, "\"%s_base64\":", name);
    json_put_base64(w->out, data, size);
}

void json_end(struct json_writer *w)
{
    putc('\n', w->out);
    w->need_comma = false;
}
