/* Records of an import: one key and its value, out of one line of text or one
 * command.
 *
 * TSV   key TAB value, both with the escapes \t \n \r \\ \xNN. Every other
 *       byte stands for itself; a carriage return before the line's end is
 *       dropped. Exactly one tab.
 * JSONL {"key": string, "value": string} in any order; key_base64 and
 *       value_base64 instead carry what is not UTF-8; expire_at_ms, a number,
 *       is when it ends (Unix time in milliseconds). Nothing else is accepted:
 *       an unknown or repeated member is an error, not skipped data.
 * RESP  commands as arrays of bulk strings, what `redis-cli --pipe` takes. Only
 *       commands on one key that may be sent twice without harm: SET with EX
 *       PX EXAT PXAT KEEPTTL, SETEX PSETEX, DEL UNLINK, EXPIRE PEXPIRE EXPIREAT
 *       PEXPIREAT PERSIST; SELECT 0 is passed over.
 *
 * Parsing works in place and takes no memory. Pure. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"

enum record_format { RECORD_AUTO, RECORD_TSV, RECORD_JSONL, RECORD_RESP };

struct record {
    char *key; /* borrowed from the line */
    size_t key_size;
    char *value; /* NULL when there is a command instead */
    size_t value_size;
    uint64_t expire_at_ms; /* 0: never */
    const char *command;   /* encoded, to be sent as it is; NULL: a SET */
    size_t command_size;
};

/* format, or what the end of the file's name says if it is RECORD_AUTO, which
 * stays when the name says nothing. */
enum record_format record_format_choose(enum record_format format,
                                        const char *path);

/* Parse one line without its newline; the line's bytes are overwritten.
 * Errors: ERR_INVALID with words about what is wrong and where. */
int record_parse_tsv(struct record *r, char *line, size_t size,
                     struct err_info *info);
int record_parse_json(struct record *r, char *line, size_t size,
                      struct err_info *info);

/* Parse the command at data. Returns 1 and its size in *used (key NULL: there
 * is nothing to do), or 0 if it is not complete yet. The bytes stay as they
 * are. Errors: ERR_INVALID. */
int record_parse_resp(struct record *r, char *data, size_t size, size_t *used,
                      struct err_info *info);
/* Is this line, without its newline, the first of a command? */
bool record_is_resp(const char *line, size_t size);

#endif
