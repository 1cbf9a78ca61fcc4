/* Replies for people and for programs. */
#ifndef CLI_REPLY_PRINT_H
#define CLI_REPLY_PRINT_H

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "cli/json_write.h"

/* A value and a newline: the bytes themselves, or, where a terminal would
 * interpret them, escaped. */
void reply_print_value(FILE *out, const char *data, size_t size, bool terminal);

/* Any reply: one line each; the elements of an array indented under it. */
void reply_print_text(FILE *out, const redisReply *reply, bool terminal);
void reply_print_json(struct json_writer *w, const redisReply *reply);

/* As redis-cli shows it: strings quoted, elements numbered, (integer), (nil).
 */
void reply_print_typed(FILE *out, const redisReply *reply);

/* A key and its value in a form that `import` reads: a line of TSV, or a JSON
 * object without its newline. value NULL: only the key, or in JSON with
 * `null_value` the value null. */
void pair_print_text(FILE *out, const char *key, size_t key_size,
                     const redisReply *value);
void pair_print_json(struct json_writer *w, const char *key, size_t key_size,
                     const redisReply *value, bool null_value);

#endif
