/* Records out of a descriptor; see record_reader.h. */
#include "cli/record_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_READER_BUFFER_BYTES = 256 * 1024 };

int record_reader_init(struct record_reader *r, int fd,
                       enum record_format format, size_t line_bytes_max)
{
    memset(r, 0, sizeof(*r));
    r->fd = fd;
    r->format = format;
    r->line_bytes_max = line_bytes_max;
    r->buffer_bytes = RECORD_READER_BUFFER_BYTES;
    r->buffer = malloc(r->buffer_bytes);
    return r->buffer == NULL ? ERR_NOMEM : 0;
}

void record_reader_close(struct record_reader *r)
{
    free(r->buffer);
    memset(r, 0, sizeof(*r));
}

/* Make room behind end. Moving happens only when the line in hand is at most
 * half of the buffer, so a byte is moved O(1) times on average. */
static int record_reader_make_room(struct record_reader *r,
                                   struct err_info *info)
{
    size_t held = r->end - r->begin;
    if (r->end < r->buffer_bytes) {
        return 0;
    }
    if (held > r->line_bytes_max) {
        return err_set(info, ERR_TOOBIG,
                       "%s %" PRIu64 " is longer than %zu bytes; "
                       "--line-bytes-max raises the limit",
                       r->format == RECORD_RESP ? "command" : "line",
                       r->line + 1, r->line_bytes_max);
    }
    if (held > r->buffer_bytes / 2) {
        char *larger = realloc(r->buffer, r->buffer_bytes * 2);
        if (larger == NULL) {
            return err_set(info, ERR_NOMEM, "out of memory for a line");
        }
        r->buffer = larger;
        r->buffer_bytes *= 2;
    }
    memmove(r->buffer, r->buffer + r->begin, held);
    r->searched -= r->begin;
    r->begin = 0;
    r->end = held;
    return 0;
}

int record_reader_fill(struct record_reader *r, struct err_info *info)
{
    int rc = record_reader_make_room(r, info);
    if (rc != 0) {
        return rc;
    }
    ssize_t n = read(r->fd, r->buffer + r->end, r->buffer_bytes - r->end);
    if (n < 0) {
        if (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK) {
            return 0;
        }
        return err_set(info, ERR_IO, "cannot read the input: %s",
                       strerror(errno));
    }
    r->at_end = n == 0;
    r->end += (size_t)n;
    return 0;
}

/* The next line without its newline; false if it is not complete yet. */
static bool record_reader_take_line(struct record_reader *r, char **line,
                                    size_t *size)
{
    char *newline = memchr(r->buffer + r->searched, '\n', r->end - r->searched);
    if (newline == NULL) {
        r->searched = r->end;
        /* The last line may lack its newline. */
        if (!r->at_end || r->begin == r->end) {
            return false;
        }
        newline = r->buffer + r->end;
        r->offset--;
    }
    *line = r->buffer + r->begin;
    *size = (size_t)(newline - *line);
    r->begin += *size + 1;
    if (r->begin > r->end) {
        r->begin = r->end;
    }
    r->searched = r->begin;
    r->line++;
    r->offset += *size + 1;
    return true;
}

static bool is_blank(const char *line, size_t size)
{
    return size == 0 || (size == 1 && line[0] == '\r');
}

/* The last line taken was no line: it begins a command. The input may end
 * behind it, without a newline. */
static void record_reader_give_back(struct record_reader *r, const char *line,
                                    uint64_t offset)
{
    r->begin = (size_t)(line - r->buffer);
    r->searched = r->begin;
    r->offset = offset;
    r->line--;
}

/* The next command; SELECT 0 is passed over. */
static int record_reader_next_resp(struct record_reader *r,
                                   struct record *record, struct err_info *info)
{
    for (;;) {
        struct err_info why;
        size_t used = 0;
        int rc = record_parse_resp(record, r->buffer + r->begin,
                                   r->end - r->begin, &used, &why);
        /* Nothing is searched for: the sizes say where a command ends. */
        r->searched = r->begin;
        if (rc == 0 && r->at_end && r->begin < r->end) {
            rc = err_set(&why, ERR_INVALID, "the input ends inside a command");
        }
        if (rc == 0) {
            return 0;
        }
        r->line++;
        if (rc < 0) {
            return err_set(info, rc, "command %" PRIu64 ", %.400s", r->line,
                           why.message);
        }
        r->begin += used;
        r->searched = r->begin;
        r->offset += used;
        if (record->key != NULL) {
            return 1;
        }
    }
}

static int record_reader_next_line(struct record_reader *r,
                                   struct record *record, struct err_info *info)
{
    char *line;
    size_t size;
    uint64_t offset;
    do {
        offset = r->offset;
        if (!record_reader_take_line(r, &line, &size)) {
            return 0;
        }
    } while (is_blank(line, size));
    if (size > r->line_bytes_max) {
        return err_set(info, ERR_TOOBIG,
                       "line %" PRIu64 " is longer than %zu bytes; "
                       "--line-bytes-max raises the limit",
                       r->line, r->line_bytes_max);
    }
    if (r->format == RECORD_AUTO && record_is_resp(line, size)) {
        r->format = RECORD_RESP;
        record_reader_give_back(r, line, offset);
        return record_reader_next_resp(r, record, info);
    }
    if (r->format == RECORD_AUTO) {
        r->format = line[0] == '{' ? RECORD_JSONL : RECORD_TSV;
    }
    struct err_info why;
    int rc = r->format == RECORD_JSONL
                 ? record_parse_json(record, line, size, &why)
                 : record_parse_tsv(record, line, size, &why);
    if (rc != 0) {
        return err_set(info, rc, "line %" PRIu64 ", %.400s", r->line,
                       why.message);
    }
    return 1;
}

int record_reader_next(struct record_reader *r, struct record *record,
                       struct err_info *info)
{
    return r->format == RECORD_RESP ? record_reader_next_resp(r, record, info)
                                    : record_reader_next_line(r, record, info);
}
