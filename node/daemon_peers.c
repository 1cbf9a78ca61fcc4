/* Who the peers are: the first members, then the configuration of the replica;
 * and their instance ids in a file (node/peer_book.h). */
#include "node/daemon_private.h"

#include <stdlib.h>

#include "node/trace.h"

void daemon_peers_load(struct daemon *d)
{
    int rc = peer_book_load(d->config->data_dir, &d->book);

    if (rc != 0) {
        trace_event(TRACE_WARN,
                    "peer_book_ignored error=%s (a peer that lost its data "
                    "directory before this start is not recognised)",
                    err_name(rc));
    }
}

static void set_peer(struct daemon *d, const struct replica_server *server)
{
    const uint8_t *instance;
    int rc;

    rc = transport_set_peer(d->transport, server->id, server->address);
    if (rc != 0) {
        trace_event(
            TRACE_ERROR, "peer_not_usable peer=%llu address=%s error=%s",
            (unsigned long long)server->id, server->address, err_name(rc));
        return;
    }
    instance = peer_book_find(&d->book, server->id);
    if (instance != NULL) {
        transport_set_instance(d->transport, server->id, instance);
    }
}

static bool is_member(const struct daemon *d, const struct replica_status *s,
                      uint64_t id)
{
    for (unsigned i = 0; i < s->n_servers; i++) {
        if (s->servers[i].id == id) {
            return true;
        }
    }
    /* A node that has missed changes of the configuration still knows the
     * first members. */
    for (unsigned i = 0; i < d->config->n_initial; i++) {
        if (d->config->initial[i].id == id) {
            return true;
        }
    }
    return false;
}

void daemon_peers_sync(struct daemon *d)
{
    struct transport_peer peer;
    struct replica_status s;

    replica_status(d->replica, &s);
    for (unsigned i = 0; i < s.n_servers; i++) {
        set_peer(d, &s.servers[i]);
    }
    for (unsigned i = 0; i < d->config->n_initial; i++) {
        const struct replica_server *first = &d->config->initial[i];
        bool listed = false;

        for (unsigned k = 0; k < s.n_servers; k++) {
            listed |= s.servers[k].id == first->id;
        }
        if (!listed) {
            set_peer(d, first);
        }
    }
    for (unsigned i = 0; transport_get_peer(d->transport, i, &peer);) {
        if (is_member(d, &s, peer.id)) {
            i++;
        } else {
            transport_remove_peer(d->transport, peer.id);
        }
    }
}

/* ---- saving the book off the loop
 * ------------------------------------------*/

struct save {
    struct daemon *daemon;
    struct peer_book book;
    int status;
};

static void save_start(struct daemon *d);

static void save_run(void *arg)
{
    struct save *save = arg;

    save->status = peer_book_save(save->daemon->config->data_dir, &save->book);
}

static void save_done(void *arg)
{
    struct save *save = arg;
    struct daemon *d = save->daemon;

    if (save->status != 0) {
        trace_event(TRACE_WARN, "peer_book_not_saved error=%s",
                    err_name(save->status));
    }
    free(save);
    d->book_saving = false;
    if (d->book_changed) {
        save_start(d);
    }
}

static void save_start(struct daemon *d)
{
    struct save *save;

    if (d->book_saving) {
        return;
    }
    save = malloc(sizeof *save);
    if (save == NULL) {
        return; /* The next change tries again. */
    }
    save->daemon = d;
    save->book = d->book;
    d->book_changed = false;
    d->book_saving = true;
    d->io.work(d->io.ctx, save_run, save_done, save);
}

void daemon_peer_learned(void *ctx, uint64_t id, const uint8_t *instance)
{
    struct daemon *d = ctx;

    if (peer_book_set(&d->book, id, instance) == 0) {
        d->book_changed = true;
        save_start(d);
    }
}
