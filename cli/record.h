/* Records of an import: one key and its value, out of one line of text.
 *
 * TSV   key TAB value, both with the escapes \t \n \r \\ \xNN. Every other
 *       byte stands for itself; a carriage return before the line's end is
 *       dropped. Exactly one tab.
 * JSONL {"key": string, "value": string} in any order; key_base64 and
 *       value_base64 instead carry what is not UTF-8. Nothing else is
 *       accepted: an unknown or repeated member is an error, not skipped data.
 *
 * Parsing works in place and takes no memory. Pure. */
#ifndef CLI_RECORD_H
#define CLI_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"

enum record_format { RECORD_AUTO, RECORD_TSV, RECORD_JSONL };

struct record {
    char *key; /* borrowed from the line */
    size_t key_size;
    char *value;
    size_t value_size;
};

/* Parse one line without its newline; the line's bytes are overwritten.
 * Errors: ERR_INVALID with words about what is wrong and where. */
int record_parse_tsv(struct record *r, char *line, size_t size,
                     struct err_info *info);
int record_parse_json(struct record *r, char *line, size_t size,
                      struct err_info *info);

#endif
