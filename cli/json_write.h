/* JSON output, streamed to a FILE; commas are put by the writer.
 *
 * Bytes that are not UTF-8 never become a JSON string: json_bytes_member then
 * writes <name>_base64 instead of <name>, the form `import` reads. */
#ifndef CLI_JSON_WRITE_H
#define CLI_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_writer {
    FILE *out; /* borrowed */
    bool need_comma;
};

static inline struct json_writer json_writer(FILE *out)
{
    struct json_writer w = {out, false};
    return w;
}

/* open is '{' or '['; close the matching one. */
void json_open(struct json_writer *w, char open);
void json_close(struct json_writer *w, char close);
void json_name(struct json_writer *w, const char *name);
void json_null(struct json_writer *w);
void json_bool(struct json_writer *w, bool v);
void json_uint(struct json_writer *w, uint64_t v);
void json_int(struct json_writer *w, int64_t v);
/* Three decimals. */
void json_real(struct json_writer *w, double v);
void json_text(struct json_writer *w, const char *text);
/* A string, or {"base64": ...} for what is not UTF-8. */
void json_bytes(struct json_writer *w, const void *data, size_t size);
void json_bytes_member(struct json_writer *w, const char *name,
                       const void *data, size_t size);
/* End the document with a newline; the writer can begin another. */
void json_end(struct json_writer *w);

#endif
