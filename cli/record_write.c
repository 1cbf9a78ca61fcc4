/* Records to text or commands; see record_write.h. */
#include "cli/record_write.h"

#include <inttypes.h>

#include "cli/json_write.h"
#include "cli/text.h"

bool record_format_has_expiry(enum record_format format)
{
    return format != RECORD_TSV;
}

static void write_json(FILE *out, const struct record *r)
{
    struct json_writer w = json_writer(out);
    json_open(&w, '{');
    json_bytes_member(&w, "key", r->key, r->key_size);
    json_bytes_member(&w, "value", r->value, r->value_size);
    if (r->expire_at_ms != 0) {
        json_name(&w, "expire_at_ms");
        json_uint(&w, r->expire_at_ms);
    }
    json_close(&w, '}');
    json_end(&w);
}

static void write_bulk(FILE *out, const char *data, size_t size)
{
    fprintf(out, "$%zu\r\n", size);
    (void)fwrite(data, 1, size, out);
    fputs("\r\n", out);
}

static void write_resp(FILE *out, const struct record *r)
{
    fprintf(out, "*%d\r\n$3\r\nSET\r\n", r->expire_at_ms != 0 ? 5 : 3);
    write_bulk(out, r->key, r->key_size);
    write_bulk(out, r->value, r->value_size);
    if (r->expire_at_ms != 0) {
        char time[24];
        int size = snprintf(time, sizeof(time), "%" PRIu64, r->expire_at_ms);
        write_bulk(out, "PXAT", 4);
        write_bulk(out, time, (size_t)size);
    }
}

void record_write(FILE *out, enum record_format format,
                  const struct record *record)
{
    switch (format) {
    case RECORD_TSV:
        text_print_escaped(out, record->key, record->key_size);
        putc('\t', out);
        text_print_escaped(out, record->value, record->value_size);
        putc('\n', out);
        break;
    case RECORD_RESP:
        write_resp(out, record);
        break;
    case RECORD_AUTO:
    case RECORD_JSONL:
        write_json(out, record);
        break;
    }
}
