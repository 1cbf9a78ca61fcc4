/* Entries from the log, for a reader that may wait: raftlog_read in pieces.
 *
 * Each piece is read by the job thread under no lock; the answer arrives under
 * log_lock, where references to its blocks are taken; the entries are visited
 * without any lock. So neither appends nor the log wait for a reader. */
#include "persist/internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

enum { PIECE_BYTES = 1024 * 1024 };

struct piece {
    struct raftlog_entry *entries; /* each holds a reference to its block */
    size_t n;
    size_t capacity;
    int status;
    bool arrived;
    pthread_cond_t wake; /* with log_lock */
};

static int grow(struct piece *p, size_t n)
{
    struct raftlog_entry *grown;

    if (n <= p->capacity) {
        return 0;
    }
    grown = realloc(p->entries, n * sizeof *grown);
    if (grown == NULL) {
        return ERR_NOMEM;
    }
    p->entries = grown;
    p->capacity = n;
    return 0;
}

static void on_read(void *ctx, int status, uint64_t first,
                    const struct raftlog_entry *entries, size_t n)
{
    struct piece *p = ctx;

    (void)first;
    p->status = status;
    if (status == 0) {
        p->status = grow(p, n);
    }
    for (size_t i = 0; p->status == 0 && i < n; i++) {
        p->entries[i] = entries[i];
        (void)block_ref(entries[i].block);
        p->n++;
    }
    p->arrived = true;
    pthread_cond_signal(&p->wake);
}

static void drop(struct piece *p)
{
    for (size_t i = 0; i < p->n; i++) {
        block_unref(p->entries[i].block);
    }
    p->n = 0;
}

/* Fill the piece with entries from first on. */
static int read_piece(struct wal_private *w, struct piece *p, uint64_t first,
                      uint64_t last)
{
    int rv;

    p->arrived = false;
    p->status = 0;
    pthread_mutex_lock(&w->log_lock);
    rv = raftlog_read(w->log, first, last, PIECE_BYTES, on_read, p);
    while (rv == 0 && !p->arrived) {
        if (w->environment.threads) {
            pthread_cond_wait(&p->wake, &w->log_lock);
        } else {
            service_wait_log(w, 1);
        }
    }
    pthread_mutex_unlock(&w->log_lock);
    return rv != 0 ? rv : p->status;
}

static int visit(const struct piece *p, uint64_t first, log_read_cb cb,
                 void *ctx, struct err_info *info)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct raftlog_entry *e = &p->entries[i];
        struct entry entry;
        int rv = entry_decode(e->kind, e->data, e->size, &entry);

        if (rv != 0) {
            return err_set(info, rv,
                           "entry %" PRIu64 " of the log is sound but not one "
                           "of this library: the directory was written by "
                           "something else",
                           first + i);
        }
        rv = cb(ctx, first + i, &entry);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int log_read(struct wal_private *w, uint64_t first, uint64_t last,
             log_read_cb cb, void *ctx, struct err_info *info)
{
    struct piece p;
    int rv = 0;

    memset(&p, 0, sizeof p);
    pthread_cond_init(&p.wake, NULL);
    while (rv == 0 && first <= last) {
        rv = read_piece(w, &p, first, last);
        if (rv != 0) {
            int failure = commit_failure(w, info);

            if (failure != 0) {
                rv = failure; /* why the log has stopped */
            } else {
                (void)err_set(info, rv,
                              "cannot read entry %" PRIu64 " of the log in "
                              "%s: %s",
                              first, w->dir, err_text(rv));
            }
            break;
        }
        assert(p.n > 0);
        rv = visit(&p, first, cb, ctx, info);
        first += p.n;
        drop(&p);
    }
    drop(&p);
    free(p.entries);
    pthread_cond_destroy(&p.wake);
    return rv;
}
