/* Replies for people and for programs; see reply_print.h. */
#include "cli/reply_print.h"

#include <string.h>

#include "cli/text.h"

/* hiredis' reader refuses deeper replies itself; this bounds ours. */
enum { REPLY_DEPTH_MAX = 16 };

void reply_print_value(FILE *out, const char *data, size_t size, bool terminal)
{
    if (terminal) {
        text_print_escaped(out, data, size);
    } else {
        (void)fwrite(data, 1, size, out);
    }
    putc('\n', out);
}

static void print_text(FILE *out, const redisReply *reply, bool terminal,
                       int depth)
{
    fprintf(out, "%*s", depth * 2, "");
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        fprintf(out, "%lld\n", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        fputs("(nil)\n", out);
        break;
    case REDIS_REPLY_ARRAY:
        fprintf(out, "(%zu)\n", reply->elements);
        for (size_t i = 0; i < reply->elements && depth < REPLY_DEPTH_MAX;
             i++) {
            print_text(out, reply->element[i], terminal, depth + 1);
        }
        break;
    case REDIS_REPLY_ERROR:
        fputs("(error) ", out);
        reply_print_value(out, reply->str, reply->len, true);
        break;
    default:
        reply_print_value(out, reply->str, reply->len, terminal);
        break;
    }
}

void reply_print_text(FILE *out, const redisReply *reply, bool terminal)
{
    if (reply->type == REDIS_REPLY_ARRAY) {
        /* At the top the count is noise. */
        for (size_t i = 0; i < reply->elements; i++) {
            print_text(out, reply->element[i], terminal, 0);
        }
        return;
    }
    print_text(out, reply, terminal, 0);
}

static void print_json(struct json_writer *w, const redisReply *reply,
                       int depth)
{
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        json_int(w, reply->integer);
        break;
    case REDIS_REPLY_NIL:
        json_null(w);
        break;
    case REDIS_REPLY_ARRAY:
        json_open(w, '[');
        for (size_t i = 0; i < reply->elements && depth < REPLY_DEPTH_MAX;
             i++) {
            print_json(w, reply->element[i], depth + 1);
        }
        json_close(w, ']');
        break;
    case REDIS_REPLY_ERROR:
        json_open(w, '{');
        json_name(w, "error");
        json_bytes(w, reply->str, reply->len);
        json_close(w, '}');
        break;
    default:
        json_bytes(w, reply->str, reply->len);
        break;
    }
}

void reply_print_json(struct json_writer *w, const redisReply *reply)
{
    print_json(w, reply, 0);
}

/* "..." with the escapes that the prompt reads back. */
static void print_quoted(FILE *out, const char *data, size_t size)
{
    putc('"', out);
    while (size > 0) {
        const char *quote = memchr(data, '"', size);
        size_t n = quote == NULL ? size : (size_t)(quote - data);
        text_print_escaped(out, data, n);
        if (quote != NULL) {
            fputs("\\\"", out);
            n++;
        }
        data += n;
        size -= n;
    }
    putc('"', out);
}

static void print_typed(FILE *out, const redisReply *reply, int indent,
                        int depth)
{
    int width = 1;
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        fprintf(out, "(integer) %lld\n", reply->integer);
        break;
    case REDIS_REPLY_NIL:
        fputs("(nil)\n", out);
        break;
    case REDIS_REPLY_STRING:
        print_quoted(out, reply->str, reply->len);
        putc('\n', out);
        break;
    case REDIS_REPLY_ERROR:
        fputs("(error) ", out);
        reply_print_value(out, reply->str, reply->len, true);
        break;
    case REDIS_REPLY_ARRAY:
        if (reply->elements == 0) {
            fputs("(empty array)\n", out);
        }
        for (size_t n = reply->elements; n >= 10; n /= 10) {
            width++;
        }
        for (size_t i = 0; i < reply->elements && depth < REPLY_DEPTH_MAX;
             i++) {
            /* The first element stands on the line of its array's number. */
            fprintf(out, "%*s%*zu) ", i == 0 ? 0 : indent, "", width, i + 1);
            print_typed(out, reply->element[i], indent + width + 2, depth + 1);
        }
        break;
    default:
        reply_print_value(out, reply->str, reply->len, true);
        break;
    }
}

void reply_print_typed(FILE *out, const redisReply *reply)
{
    print_typed(out, reply, 0, 0);
}

void pair_print_text(FILE *out, const char *key, size_t key_size,
                     const redisReply *value)
{
    text_print_escaped(out, key, key_size);
    if (value != NULL) {
        putc('\t', out);
        text_print_escaped(out, value->str, value->len);
    }
    putc('\n', out);
}

void pair_print_json(struct json_writer *w, const char *key, size_t key_size,
                     const redisReply *value, bool null_value)
{
    json_open(w, '{');
    json_bytes_member(w, "key", key, key_size);
    if (value != NULL) {
        json_bytes_member(w, "value", value->str, value->len);
    } else if (null_value) {
        json_name(w, "value");
        json_null(w);
    }
    json_close(w, '}');
}
