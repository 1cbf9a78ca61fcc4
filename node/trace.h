/* What the process tells: one line an event, to stderr.
 *
 *   2026-01-31T12:00:00.123Z info node=1 peer_up peer=2 address=10.0.0.2:7379
 *
 * A line is the name of the event and its facts as key=value; free text is
 * quoted and escaped by trace_quote. Each line leaves in one write, so lines
 * of several processes into one file do not mix. Thread: any. */
#ifndef NODE_TRACE_H
#define NODE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/replica_io.h"

enum { TRACE_LINE_MAX = 1536 };

/* Before any thread is started. node_id 0: not known, left out. */
void trace_init(uint64_t node_id, enum trace_level max);
enum trace_level trace_max(void);

/* line: "event key=value ...", without a newline. */
void trace_line(enum trace_level level, const char *line);
void trace_event(enum trace_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "..." in quotes with what is not printable escaped; returns out. */
char *trace_quote(char *out, size_t out_size, const char *text);

const char *trace_level_name(enum trace_level level);
/* Errors: ERR_INVALID. */
int trace_level_parse(const char *text, enum trace_level *out);

/* The whole line with its newline into out; returns its size. Pure. */
size_t trace_format(char out[TRACE_LINE_MAX], uint64_t clock_ms,
                    enum trace_level level, uint64_t node_id, const char *line);

#endif
