/* From the project's codes to what the API promises: -1, errno and words. */
#ifndef PERSIST_ERROR_H
#define PERSIST_ERROR_H

#include "raftlog/err.h"

/* Remember the words for this thread, set errno; returns -1. A code of 0 is
 * returned as 0 and changes nothing. info may be NULL, or empty: then the
 * code's own words are used. */
int error_return(int code, const struct err_info *info);
/* The same with words made here. */
int error_say(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The errno value that stands for a code. */
int error_number(int code);

#endif
