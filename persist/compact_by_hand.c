/* Compaction from the program's own keys and values: they become the base.
 *
 * The base stands at the last sequence of the operations whose wal_append has
 * returned: appends that are under way at the call are waited for, so none is
 * covered that the program could not have put into its store yet. Values are
 * asked for one by one, in the order of keys, so memory holds the keys only.
 * How large the file becomes nobody knows, so room for it is asked for on the
 * way: it never takes the last blocks of the disk from those who append. */
#include "persist/compact.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "persist/error.h"

/* Room is asked for in steps of this. A record costs so much beside its key and
 * value; and so much of what was added may not be on the disk yet. */
enum {
    ROOM_BYTES = 1024 * 1024,
    RECORD_OVERHEAD = 80,
    UNWRITTEN_BYTES = 256 * 1024
};

struct keys {
    char **keys;
    int n;
};

static int by_bytes(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y); /* as unsigned bytes, as the files sort */
}

static void free_keys(struct keys *k)
{
    for (int i = 0; k->keys != NULL && i < k->n; i++) {
        free(k->keys[i]);
    }
    free(k->keys);
}

static int callback_failed(struct err_info *info, const char *what)
{
    return err_set(info, ERR_STOPPED,
                   "the compaction was ended by its callback: %s; nothing has "
                   "changed",
                   what);
}

static int get_keys(void *engine, int (*get_all_keys)(void *, char ***, int *),
                    struct keys *k, struct err_info *info)
{
    if (get_all_keys(engine, &k->keys, &k->n) != 0) {
        k->keys = NULL;
        k->n = 0;
        return callback_failed(info, "it could not list the keys");
    }
    if (k->n < 0 || (k->n > 0 && k->keys == NULL)) {
        k->n = 0;
        return callback_failed(info, "it gave a count without keys");
    }
    for (int i = 0; i < k->n; i++) {
        if (k->keys[i] == NULL) {
            return callback_failed(info, "it gave a key that is NULL");
        }
    }
    if (k->n > 1) {
        qsort(k->keys, (size_t)k->n, sizeof *k->keys, by_bytes);
    }
    return 0;
}

/* The base that is being written. */
struct target {
    struct wal_private *w;
    struct snapshot_writer *writer;
    uint64_t room; /* that was found and is not used up */
};

static int take_room(struct target *t, uint64_t bytes, struct err_info *info)
{
    bytes += RECORD_OVERHEAD;
    if (bytes > t->room) {
        int rv = compact_space_take(t->w, ROOM_BYTES + UNWRITTEN_BYTES + bytes,
                                    info);
        if (rv != 0) {
            return rv;
        }
        t->room = ROOM_BYTES + bytes;
    }
    t->room -= bytes;
    return 0;
}

static int write_key(struct target *t, void *engine,
                     int (*get_value)(void *, const char *, char **),
                     const char *key, struct err_info *info)
{
    struct snapshot_record record;
    char *value = NULL;
    int rv;

    if (get_value(engine, key, &value) != 0) {
        return callback_failed(info, "it could not get a value");
    }
    if (value == NULL) {
        return 0; /* gone meanwhile */
    }
    memset(&record, 0, sizeof record);
    record.kind = SNAPSHOT_KEY;
    record.key.data = (const uint8_t *)key;
    record.key.size = strlen(key);
    record.value.data = (const uint8_t *)value;
    record.value.size = strlen(value);
    rv = take_room(t, record.key.size + record.value.size, info);
    if (rv == 0) {
        rv = snapshot_writer_add(t->writer, &record);
        if (rv != 0) {
            (void)err_set(info, rv, "cannot write a key into a base: %s",
                          err_text(rv));
        }
    }
    free(value);
    return rv;
}

static int write_keys(struct wal_private *w, uint64_t to, const struct keys *k,
                      void *engine,
                      int (*get_value)(void *, const char *, char **),
                      struct err_info *info)
{
    struct target t = {w, NULL, 0};
    struct pace pace;
    int rv = take_room(&t, 0, info);

    rv = rv == 0 ? compact_begin(w, 0, to, &t.writer, info) : rv;
    if (rv != 0) {
        return rv;
    }
    pace_start(&pace, w, false);
    for (int i = 0; rv == 0 && i < k->n; i++) {
        if (i == 0 || strcmp(k->keys[i - 1], k->keys[i]) != 0) {
            rv = write_key(&t, engine, get_value, k->keys[i], info);
        }
    }
    if (rv != 0) {
        snapshot_writer_abort(t.writer);
        return rv;
    }
    return compact_finish(w, t.writer, &pace, info);
}

/* Where the base can stand: every operation through *to has returned to who
 * appended it, and is durable. A base needs a sequence, 1 at least, so an empty
 * log gets a mark first; an append that comes meanwhile stands behind it. */
static int find_end(struct wal_private *w, uint64_t *to, struct err_info *info)
{
    int rv;

    do { /* again when all that the log held was refused meanwhile */
        uint64_t durable;

        rv = commit_mark(w, info);
        if (rv != 0) {
            return rv;
        }
        (void)compact_cut(w);
        *to = commit_wait_returned(w);
        rv = commit_force(w, info);
        durable = __atomic_load_n(&w->durable_seq, __ATOMIC_ACQUIRE);
        *to = *to < durable ? *to : durable;
    } while (rv == 0 && *to == 0);
    if (rv == ERR_NOSPACE && *to > 0) {
        rv = 0; /* the rest stands behind the base and comes when it can */
    }
    return rv;
}

static int compact(struct wal_private *w, void *engine,
                   int (*get_all_keys)(void *, char ***, int *),
                   int (*get_value)(void *, const char *, char **),
                   struct err_info *info)
{
    struct keys k = {NULL, 0};
    uint64_t started = wal_now_ns(w);
    uint64_t bytes = wal_log_bytes(w);
    uint64_t to = 0;
    int rv = find_end(w, &to, info);

    rv = rv == 0 ? get_keys(engine, get_all_keys, &k, info) : rv;
    rv = rv == 0 ? write_keys(w, to, &k, engine, get_value, info) : rv;
    free_keys(&k);
    if (rv == 0) {
        pthread_mutex_lock(&w->gather_lock);
        w->counters.compact_in += bytes;
        w->compacting_in += bytes;
        pthread_mutex_unlock(&w->gather_lock);
        compact_release(w);
    }
    if (w->gave_reserve) {
        compact_space_keep(w);
    }
    compact_covered(w, rv, started);
    return rv;
}

int wal_compact_logs(wal_t *wal, void *engine,
                     int (*get_all_keys)(void *engine, char ***keys,
                                         int *count),
                     int (*get_value)(void *engine, const char *key,
                                      char **value))
{
    struct err_info info = {0, ""};
    struct wal_private *w;
    int rv;

    if (wal == NULL || wal->wal_private == NULL) {
        return error_say(ERR_INVALID, "the log is not open");
    }
    if (get_all_keys == NULL || get_value == NULL) {
        return error_say(ERR_INVALID, "a callback is NULL");
    }
    w = wal->wal_private;
    compact_enter(w);
    rv = compact(w, engine, get_all_keys, get_value, &info);
    pthread_mutex_unlock(&w->compact_lock);
    return error_return(rv, &info);
}

int wal_start_compaction(wal_t *wal, void *engine,
                         int (*get_all_keys)(void *engine, char ***keys,
                                             int *count))
{
    struct err_info info = {0, ""};

    (void)engine;
    if (wal == NULL || wal->wal_private == NULL) {
        return error_say(ERR_INVALID, "the log is not open");
    }
    if (get_all_keys == NULL) {
        return error_say(ERR_INVALID, "the callback is NULL");
    }
    return error_return(compact_auto_start(wal->wal_private, &info), &info);
}

void wal_cleanup_old_logs(wal_t *wal, uint64_t before_seq)
{
    struct wal_private *w = wal == NULL ? NULL : wal->wal_private;
    uint64_t through;

    if (w == NULL || before_seq == 0) {
        return;
    }
    compact_enter(w);
    through = wal_chain_to(w);
    if (before_seq - 1 < through) {
        through = before_seq - 1;
    }
    pthread_mutex_lock(&w->log_lock);
    raftlog_release(w->log, through);
    pthread_mutex_unlock(&w->log_lock);
    pthread_mutex_unlock(&w->compact_lock);
}
