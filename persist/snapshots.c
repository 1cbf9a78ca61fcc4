/* The API of snapshots: streams of a program's own in files of a chain.
 *
 * The files of a chain follow each other by number: a base (0, n], increments
 * (n, n + 1], (n + 1, n + 2], so that the chain's own rules hold whatever
 * sequences the program names. Those stand in the note of each file (note.h).
 *
 * Each call locks the directory, reads the chain anew, and lets it go. So
 * several handles and processes may share a directory, one at a time. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "persist/directory.h"
#include "persist/error.h"
#include "persist/kv_persist.h"
#include "persist/note.h"
#include "persist/stream.h"
#include "raftlog/file.h"
#include "snapshot/snapshot.h"

/* All directories of streams belong to one "cluster". */
static const uint8_t stream_id[SNAPSHOT_CLUSTER_ID_SIZE] = "concordkv-stream";

struct snapshot_private {
    char *dir;
    pthread_mutex_t lock; /* guards what stands below; one call at a time */
    struct file *dir_lock;
    struct snapshot_manifest chain; /* during a call */
    /* What snapshot_apply_incremental has applied: files of the chain with
     * this base through this number. */
    uint8_t applied_base[SNAPSHOT_ID_SIZE];
    uint64_t applied_to;
};

/* ---- the chain during a call ----------------------------------------------*/

static int path_of(const struct snapshot_private *s, const char *name,
                   char out[PATH_MAX], struct err_info *info)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", s->dir, name);

    return n < PATH_MAX
               ? 0
               : err_set(info, ERR_INVALID, "the directory's path is too long");
}

static void leave(struct snapshot_private *s)
{
    snapshot_manifest_clear(&s->chain);
    file_close(s->dir_lock);
    s->dir_lock = NULL;
    pthread_mutex_unlock(&s->lock);
}

static int enter(struct snapshot_private *s, struct err_info *info)
{
    char path[PATH_MAX];
    int rv;

    pthread_mutex_lock(&s->lock);
    rv = path_of(s, "LOCK", path, info);
    if (rv == 0) {
        rv = file_lock(path, &s->dir_lock);
        if (rv != 0) {
            (void)err_set(info, rv, "cannot lock %s: %s", path, err_text(rv));
        }
    }
    rv = rv == 0 ? snapshot_chain_open(s->dir, stream_id, &s->chain, info) : rv;
    if (rv != 0) {
        leave(s);
        return rv;
    }
    if (s->chain.n_files == 0 ||
        memcmp(s->applied_base, s->chain.files[0].id, SNAPSHOT_ID_SIZE) != 0) {
        memset(s->applied_base, 0, sizeof s->applied_base);
        s->applied_to = 0;
    }
    return 0;
}

static uint64_t chain_to(const struct snapshot_private *s)
{
    return s->chain.n_files == 0 ? 0 : s->chain.files[s->chain.n_files - 1].to;
}

static int read_note(const struct snapshot_private *s, unsigned i,
                     struct note *out, struct err_info *info)
{
    const struct snapshot_meta *meta;
    struct snapshot_reader *reader;
    char path[PATH_MAX];
    int rv = path_of(s, s->chain.files[i].name, path, info);

    rv = rv == 0 ? snapshot_reader_open(path, &reader, info) : rv;
    if (rv != 0) {
        return rv;
    }
    meta = snapshot_reader_meta(reader);
    rv = note_decode(meta->configuration, meta->configuration_size, out);
    snapshot_reader_close(reader);
    if (rv == 0 && (out->kind == NOTE_INCREMENT) != (i > 0)) {
        rv = ERR_CORRUPT;
    }
    return rv == 0 ? 0
                   : err_set(info, rv,
                             "snapshot file %s was not written by this library",
                             path);
}

/* Read a file back, in the chain (folder "") or before it gets there. */
static int verify_file(const struct snapshot_private *s, const char *folder,
                       const struct snapshot_file *file, struct err_info *info)
{
    char name[SNAPSHOT_NAME_MAX + 16];
    char path[PATH_MAX];
    int rv;

    (void)snprintf(name, sizeof name, "%s%s", folder, file->name);
    rv = path_of(s, name, path, info);
    return rv == 0 ? snapshot_file_verify(path, file, stream_id, info) : rv;
}

/* ---- writing --------------------------------------------------------------*/

/* How one kind of callback is called, with what it needs. */
struct save_call {
    int (*save)(void *engine, FILE *stream);
    int (*save_range)(void *engine, FILE *stream, uint64_t from, uint64_t to);
    void *engine;
    uint64_t from;
    uint64_t to;
};

static int fill(struct snapshot_writer *writer, const struct save_call *call,
                struct err_info *info)
{
    struct stream *stream;
    FILE *file;
    int given;
    int rv = stream_to(writer, &stream, &file);

    if (rv != 0) {
        return err_set(info, rv, "out of memory");
    }
    given = call->save != NULL
                ? call->save(call->engine, file)
                : call->save_range(call->engine, file, call->from, call->to);
    rv = stream_finish(stream, file, info);
    if (rv == 0 && given != 0) {
        rv = err_set(info, ERR_STOPPED,
                     "the snapshot was ended by its callback; nothing has "
                     "changed");
    }
    return rv;
}

/* One file, (from, to] by number, written and read back but not in the chain:
 * what it will replace goes when it is. call NULL: an empty one. */
static int write_file(const struct snapshot_private *s, uint64_t from,
                      uint64_t to, const struct note *note,
                      const struct save_call *call, struct snapshot_file *file,
                      struct err_info *info)
{
    uint8_t encoded[NOTE_SIZE];
    struct snapshot_writer *writer;
    struct snapshot_meta meta;
    int rv;

    note_encode(note, encoded);
    memset(&meta, 0, sizeof meta);
    memcpy(meta.cluster_id, stream_id, sizeof meta.cluster_id);
    meta.from = from;
    meta.to = to;
    meta.to_term = 1;
    meta.configuration = encoded;
    meta.configuration_size = sizeof encoded;
    rv = snapshot_writer_new(s->dir, &meta, &writer, info);
    if (rv != 0) {
        return rv;
    }
    rv = call == NULL ? 0 : fill(writer, call, info);
    if (rv != 0) {
        snapshot_writer_abort(writer);
        return rv;
    }
    rv = snapshot_writer_finish(writer, file, info);
    return rv == 0 ? verify_file(s, "incoming/", file, info) : rv;
}

static int adopt(struct snapshot_private *s, const struct snapshot_file *first,
                 const struct snapshot_file *last, struct err_info *info)
{
    struct snapshot_manifest *next = malloc(sizeof *next);
    int rv;

    if (next == NULL) {
        return err_set(info, ERR_NOMEM, "out of memory");
    }
    *next = s->chain;
    if (first != NULL) {
        next->n_files = 1;
        next->files[0] = *first;
    }
    if (last != NULL) {
        next->files[next->n_files++] = *last;
    }
    rv = snapshot_chain_adopt(s->dir, &s->chain, next, NULL, 0, info);
    free(next);
    return rv;
}

static int create_base(struct snapshot_private *s, uint64_t seq,
                       const struct save_call *call, struct err_info *info)
{
    struct note note = {NOTE_BASE, 0, seq, {0}};
    struct snapshot_file file;
    int rv = write_file(s, 0, chain_to(s) + 1, &note, call, &file, info);

    return rv == 0 ? adopt(s, &file, NULL, info) : rv;
}

static int create_increment(struct snapshot_private *s,
                            const struct save_call *call, struct err_info *info)
{
    struct note note = {NOTE_INCREMENT, call->from, call->to, {0}};
    struct note none = {NOTE_NO_BASE, 0, 0, {0}};
    bool has_base = s->chain.n_files > 0;
    struct snapshot_file base;
    struct snapshot_file file;
    int rv = 0;

    if (s->chain.n_files == SNAPSHOT_FILES_MAX) {
        return err_set(info, ERR_TOOBIG,
                       "%s holds a base and %d increments, which is the limit: "
                       "create a base",
                       s->dir, SNAPSHOT_FILES_MAX - 1);
    }
    if (has_base) {
        base = s->chain.files[0];
    } else {
        rv = write_file(s, 0, 1, &none, NULL, &base, info);
    }
    if (rv != 0) {
        return rv;
    }
    memcpy(note.base, base.id, sizeof note.base);
    rv = write_file(s, has_base ? chain_to(s) : 1,
                    has_base ? chain_to(s) + 1 : 2, &note, call, &file, info);
    return rv == 0 ? adopt(s, has_base ? NULL : &base, &file, info) : rv;
}

/* ---- reading --------------------------------------------------------------*/

static int verify(const struct snapshot_private *s, unsigned first,
                  struct err_info *info)
{
    int rv = 0;

    for (unsigned i = first; rv == 0 && i < s->chain.n_files; i++) {
        rv = verify_file(s, "", &s->chain.files[i], info);
    }
    return rv;
}

/* Hand one file to the callback. */
static int give(const struct snapshot_private *s, unsigned i, void *engine,
                int (*take)(void *engine, FILE *stream), struct err_info *info)
{
    struct snapshot_reader *reader;
    struct stream *stream;
    char path[PATH_MAX];
    FILE *file;
    int taken;
    int rv = path_of(s, s->chain.files[i].name, path, info);

    rv = rv == 0 ? snapshot_reader_open(path, &reader, info) : rv;
    if (rv != 0) {
        return rv;
    }
    rv = stream_from(reader, &stream, &file);
    if (rv != 0) {
        (void)err_set(info, rv, "out of memory");
    } else {
        taken = take(engine, file);
        rv = stream_finish(stream, file, info);
        if (rv == 0 && taken != 0) {
            rv = err_set(info, ERR_STOPPED,
                         "the reading of %s was ended by its callback", path);
        }
    }
    snapshot_reader_close(reader);
    return rv;
}

/* The increments from file `first` on continue each other and their base. */
static int check_increments(const struct snapshot_private *s, unsigned first,
                            struct err_info *info)
{
    struct note before;
    int rv =
        first < s->chain.n_files ? read_note(s, first - 1, &before, info) : 0;

    for (unsigned i = first; rv == 0 && i < s->chain.n_files; i++) {
        struct note note;
        bool open_start = before.kind != NOTE_INCREMENT && before.to == 0;

        rv = read_note(s, i, &note, info);
        if (rv != 0) {
            break;
        }
        if (memcmp(note.base, s->chain.files[0].id, sizeof note.base) != 0) {
            return err_set(info, ERR_CORRUPT,
                           "increment %s/%s was made for another base", s->dir,
                           s->chain.files[i].name);
        }
        if (!open_start && note.from != before.to) {
            return err_set(
                info, ERR_RANGE,
                "increment %s/%s begins at %" PRIu64
                ", but what is before it ends at %" PRIu64 ": create a base",
                s->dir, s->chain.files[i].name, note.from, before.to);
        }
        before = note;
    }
    return rv;
}

static int apply_all(struct snapshot_private *s, void *engine,
                     int (*apply)(void *engine, FILE *stream),
                     struct err_info *info)
{
    unsigned first = 1;
    int rv;

    if (s->chain.n_files == 0) {
        return err_set(info, ERR_NOTFOUND, "%s holds no snapshot", s->dir);
    }
    while (first < s->chain.n_files &&
           s->chain.files[first].to <= s->applied_to) {
        first++;
    }
    rv = verify(s, first, info);
    rv = rv == 0 ? check_increments(s, first, info) : rv;
    for (unsigned i = first; rv == 0 && i < s->chain.n_files; i++) {
        rv = give(s, i, engine, apply, info);
        if (rv == 0) {
            memcpy(s->applied_base, s->chain.files[0].id,
                   sizeof s->applied_base);
            s->applied_to = s->chain.files[i].to;
        }
    }
    return rv;
}

static int load_base(struct snapshot_private *s, void *engine,
                     int (*load)(void *engine, FILE *stream),
                     struct err_info *info)
{
    struct note note;
    int rv = 0;

    note.kind = NOTE_NO_BASE;
    if (s->chain.n_files > 0) {
        rv = read_note(s, 0, &note, info);
    }
    if (rv == 0 && note.kind == NOTE_NO_BASE) {
        return err_set(info, ERR_NOTFOUND, "%s holds no base", s->dir);
    }
    rv = rv == 0 ? verify(s, 0, info) : rv;
    rv = rv == 0 ? give(s, 0, engine, load, info) : rv;
    if (rv == 0) {
        memcpy(s->applied_base, s->chain.files[0].id, sizeof s->applied_base);
        s->applied_to = s->chain.files[0].to;
    }
    return rv;
}

/* ---- the API --------------------------------------------------------------*/

static int refuse(const snapshot_t *snap, bool has_callback)
{
    if (snap == NULL || snap->snapshot_private == NULL) {
        return error_say(ERR_INVALID, "the snapshot handle is not open");
    }
    return has_callback ? 0 : error_say(ERR_INVALID, "the callback is NULL");
}

int snapshot_init(snapshot_t *snap, const char *dir)
{
    struct err_info info = {0, ""};
    struct snapshot_private *s;
    int rv;

    if (snap == NULL || dir == NULL) {
        return error_say(ERR_INVALID, "the handle or the directory is NULL");
    }
    memset(snap, 0, sizeof *snap);
    rv = directory_make(dir, &info);
    if (rv != 0) {
        return error_return(rv, &info);
    }
    s = calloc(1, sizeof *s);
    if (s == NULL || (s->dir = strdup(dir)) == NULL) {
        free(s);
        return error_return(ERR_NOMEM, NULL);
    }
    pthread_mutex_init(&s->lock, NULL);
    snap->snapshot_private = s;
    rv = enter(s, &info);
    if (rv == 0) {
        leave(s);
    } else if (rv != ERR_LOCKED) { /* somebody at work has a good one */
        snapshot_destroy(snap);
        return error_return(rv, &info);
    }
    return 0;
}

void snapshot_destroy(snapshot_t *snap)
{
    struct snapshot_private *s = snap == NULL ? NULL : snap->snapshot_private;

    if (s == NULL) {
        return;
    }
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s);
    memset(snap, 0, sizeof *snap);
}

int snapshot_create_at(snapshot_t *snap, void *engine, uint64_t seq,
                       int (*save)(void *engine, FILE *stream))
{
    struct save_call call = {save, NULL, engine, 0, 0};
    struct err_info info = {0, ""};
    int rv = refuse(snap, save != NULL);

    if (rv != 0) {
        return rv;
    }
    rv = enter(snap->snapshot_private, &info);
    if (rv == 0) {
        rv = create_base(snap->snapshot_private, seq, &call, &info);
        leave(snap->snapshot_private);
    }
    return error_return(rv, &info);
}

int snapshot_create(snapshot_t *snap, void *engine,
                    int (*save)(void *engine, FILE *stream))
{
    return snapshot_create_at(snap, engine, 0, save);
}

int snapshot_create_incremental(snapshot_t *snap, void *engine, uint64_t from,
                                uint64_t to,
                                int (*save)(void *engine, FILE *stream,
                                            uint64_t from, uint64_t to))
{
    struct save_call call = {NULL, save, engine, from, to};
    struct err_info info = {0, ""};
    int rv = refuse(snap, save != NULL);

    if (rv != 0) {
        return rv;
    }
    if (from >= to) {
        return error_say(ERR_INVALID,
                         "an increment must end behind its begin: %" PRIu64
                         " is not below %" PRIu64,
                         from, to);
    }
    rv = enter(snap->snapshot_private, &info);
    if (rv == 0) {
        rv = create_increment(snap->snapshot_private, &call, &info);
        leave(snap->snapshot_private);
    }
    return error_return(rv, &info);
}

int snapshot_load(snapshot_t *snap, void *engine,
                  int (*load)(void *engine, FILE *stream))
{
    struct err_info info = {0, ""};
    int rv = refuse(snap, load != NULL);

    if (rv != 0) {
        return rv;
    }
    rv = enter(snap->snapshot_private, &info);
    if (rv == 0) {
        rv = load_base(snap->snapshot_private, engine, load, &info);
        leave(snap->snapshot_private);
    }
    return error_return(rv, &info);
}

int snapshot_apply_incremental(snapshot_t *snap, void *engine,
                               int (*apply)(void *engine, FILE *stream))
{
    struct err_info info = {0, ""};
    int rv = refuse(snap, apply != NULL);

    if (rv != 0) {
        return rv;
    }
    rv = enter(snap->snapshot_private, &info);
    if (rv == 0) {
        rv = apply_all(snap->snapshot_private, engine, apply, &info);
        leave(snap->snapshot_private);
    }
    return error_return(rv, &info);
}
