/* Error codes of the whole project and the message that goes with one.
 *
 * What can fail returns 0 or a negative code of this list. Where a person will
 * read the failure, the function also fills a struct err_info with words that
 * name the file or peer and say what to do next. */
#ifndef RAFTLOG_ERR_H
#define RAFTLOG_ERR_H

#include <stddef.h>

/* X(name, number, text) */
#define ERR_LIST(X)                                                            \
    X(NOMEM, 1, "out of memory")                                               \
    X(IO, 2, "input/output error")                                             \
    X(NOSPACE, 3, "no space left on the device")                               \
    X(CORRUPT, 4, "damaged data")                                              \
    X(VERSION, 5, "format version is newer than this program")                 \
    X(CLUSTER, 6, "belongs to another cluster or node")                        \
    X(EXISTS, 7, "already exists")                                             \
    X(NOTFOUND, 8, "not found")                                                \
    X(INVALID, 9, "invalid argument")                                          \
    X(BUSY, 10, "busy")                                                        \
    X(RANGE, 11, "out of range")                                               \
    X(LOCKED, 12, "in use by another process")                                 \
    X(TOOBIG, 13, "larger than the limit")                                     \
    X(AGAIN, 14, "not available yet")                                          \
    X(STOPPED, 15, "stopped")                                                  \
    X(NOTLEADER, 16, "this node is not the leader")                            \
    X(PROTOCOL, 17, "malformed message")                                       \
    X(ACCESS, 18, "permission denied")                                         \
    X(GAP, 19, "does not continue what is there")

enum {
#define ERR_ENUM(name, number, text) ERR_##name = -(number),
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

enum { ERR_MESSAGE_MAX = 512 };

struct err_info {
    int code;                      /* 0 or one of the list */
    char message[ERR_MESSAGE_MAX]; /* one line, no newline */
};

/* The fixed text and the name ("ERR_IO") of a code; never NULL. */
const char *err_text(int code);
const char *err_name(int code);

/* Fill info (may be NULL) and return code. */
int err_set(struct err_info *info, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The code that stands for an errno value. */
int err_from_errno(int errno_value);

/* Copy at most size bytes of raw input into out as printable text: what is
 * not printable ASCII becomes \xNN, what does not fit ends in "...". */
char *err_escape(char *out, size_t out_size, const void *raw, size_t size);

#endif
