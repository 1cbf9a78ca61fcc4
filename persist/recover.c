/* Replays what a directory holds into the program's store: base and deltas as
 * one sorted stream, then the entries behind them.
 *
 * compact_lock is held all the time, so that base, deltas and entries stay what
 * they were at the start; appends go on. */
#include "persist/internal.h"

#include <stdlib.h>
#include <string.h>

#include "persist/merge.h"

/* A string of the API from bytes: its memory is used again for the next. */
struct text {
    char *data;
    size_t capacity;
};

struct replay {
    recover_cb cb;
    void *ctx;
    struct text key;
    struct text value;
};

static int text_set(struct text *t, struct bytes from)
{
    if (from.size + 1 > t->capacity) {
        size_t capacity = from.size + 1 + from.size / 2;
        char *grown = realloc(t->data, capacity);
        if (grown == NULL) {
            return ERR_NOMEM;
        }
        t->data = grown;
        t->capacity = capacity;
    }
    if (from.size > 0) {
        memcpy(t->data, from.data, from.size);
    }
    t->data[from.size] = '\0';
    return 0;
}

static int give(struct replay *r, uint8_t op, struct bytes key,
                struct bytes value)
{
    int rv = text_set(&r->key, key);

    if (rv == 0 && op != WAL_OP_DEL) {
        rv = text_set(&r->value, value);
    }
    if (rv != 0) {
        return rv;
    }
    return r->cb(r->ctx, op, r->key.data,
                 op == WAL_OP_DEL ? NULL : r->value.data) == 0
               ? 0
               : ERR_STOPPED;
}

static int on_record(void *ctx, const struct snapshot_record *record)
{
    return give(ctx, WAL_OP_SET, record->key, record->value);
}

static int on_entry(void *ctx, uint64_t seq, const struct entry *e)
{
    (void)seq;
    switch (e->kind) {
    case ENTRY_SET:
        return give(ctx, WAL_OP_SET, e->key, e->value);
    case ENTRY_MOD:
        return give(ctx, WAL_OP_MOD, e->key, e->value);
    case ENTRY_DEL:
        return give(ctx, WAL_OP_DEL, e->key, e->value);
    case ENTRY_MARK:
        break;
    }
    return 0;
}

int recover_replay(struct wal_private *w, recover_cb cb, void *ctx,
                   struct err_info *info)
{
    struct replay r;
    uint64_t last;
    int rv = commit_force(w, info);

    if (rv != 0) {
        return rv;
    }
    memset(&r, 0, sizeof r);
    r.cb = cb;
    r.ctx = ctx;
    compact_enter(w);
    last = __atomic_load_n(&w->durable_seq, __ATOMIC_ACQUIRE);
    if (w->chain.n_files > 0) {
        rv = merge_chain(w->snapshot_dir, &w->chain, 0, on_record, &r, info);
    }
    if (rv == 0) {
        rv = log_read(w, wal_chain_to(w) + 1, last, on_entry, &r, info);
    }
    pthread_mutex_unlock(&w->compact_lock);
    if (rv == ERR_STOPPED && commit_failure(w, NULL) == 0) {
        (void)err_set(info, rv, "the replay was ended by its callback");
    } else if (rv == ERR_NOMEM) {
        (void)err_set(info, rv, "out of memory");
    }
    free(r.key.data);
    free(r.value.data);
    return rv;
}
