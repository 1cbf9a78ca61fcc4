/* stdio over snapshot records; see stream.h.
 *
 * A failure below the stream is remembered, because the program that writes or
 * reads may well not look at what fwrite or fread return. */
#include "persist/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { PIECE_SIZE = 64 * 1024, KEY_SIZE = 16 };

struct stream {
    struct snapshot_writer *writer;
    struct snapshot_reader *reader;
    uint64_t n_pieces;
    int failed;
    struct err_info info;
    size_t used; /* writing: of piece; reading: given of value */
    struct bytes value;
    uint8_t piece[PIECE_SIZE];
    char buffer[PIECE_SIZE]; /* stdio's */
};

static int flush_piece(struct stream *s)
{
    char key[KEY_SIZE + 1];
    struct snapshot_record record;

    if (s->used == 0 || s->failed != 0) {
        return s->failed;
    }
    (void)snprintf(key, sizeof key, "%016" PRIu64, s->n_pieces++);
    memset(&record, 0, sizeof record);
    record.kind = SNAPSHOT_KEY;
    record.key.data = (const uint8_t *)key;
    record.key.size = KEY_SIZE;
    record.value.data = s->piece;
    record.value.size = s->used;
    s->failed = snapshot_writer_add(s->writer, &record);
    if (s->failed != 0) {
        (void)err_set(&s->info, s->failed, "cannot write the snapshot: %s",
                      err_text(s->failed));
    }
    s->used = 0;
    return s->failed;
}

static ssize_t on_write(void *cookie, const char *data, size_t size)
{
    struct stream *s = cookie;
    size_t left = size;

    while (left > 0 && s->failed == 0) {
        size_t n = PIECE_SIZE - s->used < left ? PIECE_SIZE - s->used : left;
        memcpy(s->piece + s->used, data, n);
        s->used += n;
        data += n;
        left -= n;
        if (s->used == PIECE_SIZE) {
            (void)flush_piece(s);
        }
    }
    if (s->failed != 0) {
        errno = s->failed == ERR_NOSPACE ? ENOSPC : EIO;
        return 0;
    }
    return (ssize_t)size;
}

static ssize_t on_read(void *cookie, char *data, size_t size)
{
    struct stream *s = cookie;
    struct snapshot_record record;
    size_t n;

    if (s->used == s->value.size && s->failed == 0) {
        int rv = snapshot_reader_next(s->reader, &record, &s->info);
        if (rv == 0) {
            return 0;
        }
        if (rv < 0) {
            s->failed = rv;
        } else {
            s->value = record.value;
            s->used = 0;
        }
    }
    if (s->failed != 0) {
        errno = EIO;
        return -1;
    }
    n = s->value.size - s->used < size ? s->value.size - s->used : size;
    memcpy(data, s->value.data + s->used, n);
    s->used += n;
    return (ssize_t)n;
}

static int open_file(struct stream *s, const char *mode,
                     cookie_io_functions_t functions, struct stream **out,
                     FILE **file)
{
    FILE *f = fopencookie(s, mode, functions);

    if (f == NULL) {
        free(s);
        return ERR_NOMEM;
    }
    (void)setvbuf(f, s->buffer, _IOFBF, sizeof s->buffer);
    *out = s;
    *file = f;
    return 0;
}

int stream_to(struct snapshot_writer *writer, struct stream **out, FILE **file)
{
    static const cookie_io_functions_t functions = {.write = on_write};
    struct stream *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->writer = writer;
    return open_file(s, "w", functions, out, file);
}

int stream_from(struct snapshot_reader *reader, struct stream **out,
                FILE **file)
{
    static const cookie_io_functions_t functions = {.read = on_read};
    struct stream *s = calloc(1, sizeof *s);

    if (s == NULL) {
        return ERR_NOMEM;
    }
    s->reader = reader;
    return open_file(s, "r", functions, out, file);
}

int stream_finish(struct stream *s, FILE *file, struct err_info *info)
{
    bool writes = s->writer != NULL;
    int rv;

    /* stdio's buffer is part of s, so the file goes first. A program that
     * ended in an error state has had its bytes refused below. */
    rv = fclose(file) != 0 && writes ? ERR_IO : 0;
    if (writes && s->failed == 0 && rv == 0) {
        (void)flush_piece(s);
    }
    if (s->failed != 0) {
        *info = s->info;
        rv = s->failed;
    } else if (rv != 0) {
        (void)err_set(info, rv, "the snapshot's stream could not be flushed");
    }
    free(s);
    return rv;
}
