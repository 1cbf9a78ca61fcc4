/* A snapshot file as a stdio stream: what the program writes lies in records of
 * 64 KiB, numbered, so that neither side holds more than a piece in memory and
 * each piece has its checksum. */
#ifndef PERSIST_STREAM_H
#define PERSIST_STREAM_H

#include <stdio.h>

#include "raftlog/err.h"
#include "snapshot/snapshot.h"

struct stream;

/* Write into the writer, which stays the caller's. *file is given: the caller
 * hands it to the program and then calls stream_finish. Errors: ERR_NOMEM. */
int stream_to(struct snapshot_writer *writer, struct stream **out, FILE **file);
/* Read the records of the reader, which stays the caller's. */
int stream_from(struct snapshot_reader *reader, struct stream **out,
                FILE **file);
/* Write what is buffered, close the file, free. The first failure below the
 * stream, 0 if there was none. */
int stream_finish(struct stream *s, FILE *file, struct err_info *info);

#endif
