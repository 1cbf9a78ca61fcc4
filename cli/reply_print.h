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

#endif
