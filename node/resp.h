/* The Redis serialisation protocol: requests in, replies out (version 2, and
 * version 3 for clients that said so).
 *
 * The parser is incremental: it remembers how far it has read a request that
 * is not complete, so bytes are looked at once however they arrive. Every
 * length is checked against a limit before anything is reserved for it.
 * Source: Redis protocol specification (RESP2, inline commands). */
#ifndef NODE_RESP_H
#define NODE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node/buffer.h"
#include "raftlog/byte.h"

struct resp_limits {
    uint32_t n_args_max;  /* arguments of a command */
    uint32_t inline_max;  /* bytes of an inline command */
    uint64_t bulk_max;    /* bytes of one argument */
    uint64_t request_max; /* bytes of a whole request */
};

enum resp_status {
    RESP_MORE = 0,    /* not complete: feed more bytes */
    RESP_REQUEST = 1, /* argv is complete */
    RESP_ERROR = -1   /* malformed: `error` has the text of the reply */
};

struct resp_parser {
    struct resp_limits limits;
    /* Place in the request, as offsets from its first byte. */
    size_t scanned;
    size_t line;        /* where the line being read begins */
    uint32_t n_args;    /* announced */
    uint32_t n_done;    /* parsed */
    uint64_t bulk_size; /* of the argument being read */
    int state;
    struct {
        size_t offset;
        size_t size;
    } *spans;
    uint32_t n_spans_cap;
    struct bytes *argv; /* valid after RESP_REQUEST until the next parse */
    uint32_t n_argv_cap;
    char *inline_copy; /* unquoted arguments of an inline command */
    size_t inline_cap;
    char error[128]; /* "ERR Protocol error: ..." */
};

void resp_parser_init(struct resp_parser *p, const struct resp_limits *limits);
void resp_parser_close(struct resp_parser *p);
/* Look for one request at the front of data. On RESP_REQUEST, *argc and *argv
 * describe it (argv points into data, or into the parser for inline commands)
 * and *used is its size, to be consumed when argv is no longer needed. A
 * request may be empty (argc 0: a blank line). data must start at the first
 * byte of the unfinished request each time, and may have moved in memory. */
enum resp_status resp_parse(struct resp_parser *p, const uint8_t *data,
                            size_t size, size_t *used, uint32_t *argc,
                            const struct bytes **argv);
/* How many bytes in total the unfinished request is known to need, 0 when not
 * known: the reader makes room once instead of doubling. */
size_t resp_wanted(const struct resp_parser *p);

/* ---- replies ---- */
void resp_simple(struct buffer *b, const char *text); /* +text */
void resp_error(struct buffer *b, const char *text);  /* -text */
void resp_errorf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void resp_integer(struct buffer *b, int64_t v);
void resp_bulk(struct buffer *b, const void *data, size_t size);
void resp_null(struct buffer *b);                   /* $-1 */
void resp_null_array(struct buffer *b);             /* *-1 */
void resp_array(struct buffer *b, size_t n);        /* *n */
void resp_text(struct buffer *b, const char *text); /* resp_bulk of it */
/* What HELP tells: an array of simple strings. */
void resp_lines(struct buffer *b, const char *const *lines, size_t n);

/* The front of what a client sent, for "%.*s" of an error, which ends at a zero
 * byte; resp_error makes blanks of line ends. */
enum { RESP_SHOWN_MAX = 128 }; /* as Redis */
struct resp_shown {
    int size;
    const char *text; /* borrowed */
};
struct resp_shown resp_shown(struct bytes raw);

/* ---- version 3 ---- */
void resp_map(struct buffer *b, size_t n); /* %n: n pairs follow */
void resp_set(struct buffer *b, size_t n); /* ~n */
/* n pairs follow: a map, or an array of version 2. */
void resp_pairs(struct buffer *b, bool resp3, size_t n);
/* Turn the null replies in the bytes behind `from`, which are whole replies of
 * version 2, into those of version 3. In place; replies never grow. */
void resp3_convert(struct buffer *b, size_t from);
/* The same for one reply that is a flat list of names and values, or a text for
 * people; an error stays one. */
void resp3_convert_map(struct buffer *b, size_t from);
void resp3_convert_text(struct buffer *b, size_t from);

#endif
