/* Records of an export: the forms that record.h reads, byte for byte back. */
#ifndef CLI_RECORD_WRITE_H
#define CLI_RECORD_WRITE_H

#include <stdio.h>

#include "cli/record.h"

/* Can the form say when a key ends? TSV cannot: it has no third column, so
 * that a tab too many is found as the mistake it is. */
bool record_format_has_expiry(enum record_format format);

/* Write one record; format is not RECORD_AUTO. Errors show in ferror(out). */
void record_write(FILE *out, enum record_format format,
                  const struct record *record);

#endif
