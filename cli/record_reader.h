/* Records out of a file or pipe, in bounded memory.
 *
 *   record_reader_init(&r, fd, format, line_max)
 *   loop: record_reader_next -> 1: a record | 0: needs data -> fill, or the
 *         end if r.at_end
 *   record_reader_close(&r)
 *
 * The buffer grows only for a line that does not fit, doubling, up to
 * line_bytes_max; each byte is searched for a newline once. Who waits for the
 * descriptor to be readable is the caller's business, so that one poll(2) can
 * watch it beside the connection. */
#ifndef CLI_RECORD_READER_H
#define CLI_RECORD_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/record.h"

struct record_reader {
    int fd; /* borrowed */
    enum record_format format;
    size_t line_bytes_max;
    char *buffer;
    size_t buffer_bytes;
    size_t begin;    /* the current line */
    size_t searched; /* no newline in begin..searched */
    size_t end;
    bool at_end;     /* the descriptor has no more */
    uint64_t line;   /* number of the last line (of RESP: command), from 1 */
    uint64_t offset; /* bytes handed out so far, newlines included */
};

/* Errors: ERR_NOMEM. */
int record_reader_init(struct record_reader *r, int fd,
                       enum record_format format, size_t line_bytes_max);
void record_reader_close(struct record_reader *r);

/* One read(2). Errors: ERR_IO, ERR_NOMEM, ERR_TOOBIG (a line over the limit).
 * An interrupted or would-block read is no error. */
int record_reader_fill(struct record_reader *r, struct err_info *info);

/* 1 and a record (borrowed until the next call of fill or next), 0 if more
 * data is needed or, with at_end, nothing is left. Blank lines are passed
 * over. Errors: ERR_INVALID, naming the line. */
int record_reader_next(struct record_reader *r, struct record *record,
                       struct err_info *info);

#endif
