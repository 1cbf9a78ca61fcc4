/* The table of peers, and who of them votes.
 *
 * A peer is a node that this one talks to: a member of the configuration, or
 * one that has connected and whose membership is not known here yet. Its place
 * is taken by another only when it is no member and nothing under way refers to
 * it. */
#include "node/replica_state.h"

#include <stdio.h>
#include <string.h>

struct replica_peer *replica_find_peer(struct replica *r, uint64_t id)
{
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        if (r->peers[i].id == id) {
            return &r->peers[i];
        }
    }
    return NULL;
}

const struct raft_server *replica_find_server(const struct replica *r,
                                              uint64_t id)
{
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        if (r->raft.configuration.servers[i].id == id) {
            return &r->raft.configuration.servers[i];
        }
    }
    return NULL;
}

bool replica_is_voter(const struct replica *r, uint64_t id)
{
    const struct raft_server *s = replica_find_server(r, id);
    return s != NULL && s->role == RAFT_VOTER;
}

unsigned replica_n_voters(const struct replica *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        n += r->raft.configuration.servers[i].role == RAFT_VOTER;
    }
    return n;
}

unsigned replica_n_voters_connected(struct replica *r)
{
    unsigned n = replica_is_voter(r, r->options.id) ? 1 : 0;
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX; i++) {
        const struct replica_peer *peer = &r->peers[i];
        if (peer->id != 0 && peer->connected && replica_is_voter(r, peer->id)) {
            n++;
        }
    }
    return n;
}

/* A place for one more peer: a free one, or that of a node that is no member
 * any more and that nothing under way refers to. */
static struct replica_peer *free_peer(struct replica *r)
{
    struct replica_peer *peer = replica_find_peer(r, 0);
    for (unsigned i = 0; i < REPLICA_SERVERS_MAX && peer == NULL; i++) {
        struct replica_peer *old = &r->peers[i];
        if (replica_find_server(r, old->id) == NULL && !old->reading &&
            old->chunks == NULL) {
            outbound_clear_peer(old);
            memset(old, 0, sizeof *old);
            old->replica = r;
            old->queue_tail = &old->queue;
            peer = old;
        }
    }
    return peer;
}

void replica_add_peer(struct replica *r, uint64_t id, const char *address)
{
    struct replica_peer *peer = replica_find_peer(r, id);
    if (id == r->options.id || id == 0) {
        return;
    }
    if (peer == NULL) {
        peer = free_peer(r);
        if (peer == NULL) {
            return;
        }
        peer->id = id;
    }
    if (strcmp(peer->address, address) != 0) {
        snprintf(peer->address, sizeof peer->address, "%s", address);
    }
}

void replica_sync_peers(struct replica *r)
{
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        const struct raft_server *s = &r->raft.configuration.servers[i];
        replica_add_peer(r, s->id, s->address);
    }
}
