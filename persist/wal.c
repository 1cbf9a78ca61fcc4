/* The API of the log: checks arguments, gives the work to the files below,
 * turns codes into -1, errno and words. */
#include "persist/internal.h"

#include <string.h>

#include "persist/error.h"

/* The open log of a handle; NULL with errno and words. */
static struct wal_private *inside(wal_t *wal)
{
    if (wal == NULL) {
        (void)error_say(ERR_INVALID, "the log handle is NULL");
        return NULL;
    }
    if (wal->wal_private == NULL) {
        (void)error_say(ERR_INVALID, "the log is not open");
    }
    return wal->wal_private;
}

int wal_init(wal_t *wal, const char *dir, int sync_write)
{
    struct err_info info = {0, ""};
    int rv;

    if (wal == NULL) {
        return error_say(ERR_INVALID, "the log handle is NULL");
    }
    memset(wal, 0, sizeof *wal);
    if (dir == NULL) {
        return error_say(ERR_INVALID, "the directory is NULL");
    }
    wal->incremental_running = sync_write == 0;
    rv = wal_private_open(wal, dir, sync_write != 0, &wal_environment_default,
                          &wal->wal_private, &info);
    if (rv != 0) {
        memset(wal, 0, sizeof *wal);
    }
    return error_return(rv, &info);
}

void wal_destroy(wal_t *wal)
{
    if (wal != NULL && wal->wal_private != NULL) {
        wal_private_close(wal->wal_private);
        memset(wal, 0, sizeof *wal);
    }
}

static int check_operation(uint8_t op, const char *key, const char *value,
                           struct entry *e)
{
    static const enum entry_kind kinds[] = {ENTRY_SET, ENTRY_DEL, ENTRY_MOD};

    if (op < WAL_OP_SET || op > WAL_OP_MOD) {
        return error_say(ERR_INVALID, "there is no operation %d", op);
    }
    if (key == NULL) {
        return error_say(ERR_INVALID, "the key is NULL");
    }
    if (value == NULL && op != WAL_OP_DEL) {
        return error_say(ERR_INVALID, "the operation needs a value, not NULL");
    }
    memset(e, 0, sizeof *e);
    e->kind = kinds[op - WAL_OP_SET];
    e->key.data = (const uint8_t *)key;
    e->key.size = strlen(key);
    if (op != WAL_OP_DEL) {
        e->value.data = (const uint8_t *)value;
        e->value.size = strlen(value);
    }
    if (e->key.size > WAL_KEY_MAX || e->value.size > WAL_VALUE_MAX) {
        return error_say(ERR_TOOBIG,
                         "key or value are too long: %zu and %zu bytes, at "
                         "most %d and %d are taken",
                         e->key.size, e->value.size, WAL_KEY_MAX,
                         WAL_VALUE_MAX);
    }
    return 0;
}

int wal_append(wal_t *wal, uint8_t op, const char *key, const char *value)
{
    struct wal_private *w = inside(wal);
    struct err_info info;
    struct entry e;
    int rv;

    if (w == NULL || check_operation(op, key, value, &e) != 0) {
        return -1;
    }
    rv = commit_append(w, &e, &info);
    return rv == 0 ? 0 : error_return(rv, &info);
}

int wal_recover(wal_t *wal, void *engine,
                int (*apply)(void *engine, uint8_t op, const char *key,
                             const char *value))
{
    struct wal_private *w = inside(wal);
    struct err_info info = {0, ""};

    if (w == NULL) {
        return -1;
    }
    if (apply == NULL) {
        return error_say(ERR_INVALID, "the callback is NULL");
    }
    return error_return(recover_replay(w, apply, engine, &info), &info);
}

int wal_force_sync(wal_t *wal)
{
    struct wal_private *w = inside(wal);
    struct err_info info = {0, ""};

    return w == NULL ? -1 : error_return(commit_force(w, &info), &info);
}

int wal_incremental_sync(wal_t *wal, void *engine)
{
    struct wal_private *w = inside(wal);
    struct err_info info = {0, ""};

    (void)engine;
    return w == NULL ? -1 : error_return(commit_batch(w, &info), &info);
}

int wal_start_incremental_sync(wal_t *wal, void *engine)
{
    struct wal_private *w = inside(wal);

    (void)engine;
    if (w == NULL) {
        return -1;
    }
    __atomic_store_n(&wal->incremental_running, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&w->gather_lock);
    pthread_cond_signal(&w->due);
    pthread_mutex_unlock(&w->gather_lock);
    return 0;
}

uint64_t wal_last_seq(wal_t *wal)
{
    struct wal_private *w = inside(wal);
    uint64_t last;

    if (w == NULL) {
        return 0;
    }
    pthread_mutex_lock(&w->gather_lock);
    last = w->last_seq;
    pthread_mutex_unlock(&w->gather_lock);
    return last;
}

uint64_t wal_durable_seq(wal_t *wal)
{
    struct wal_private *w = inside(wal);

    return w == NULL ? 0 : __atomic_load_n(&w->durable_seq, __ATOMIC_ACQUIRE);
}
