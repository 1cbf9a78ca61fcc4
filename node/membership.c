/* Changes of the configuration, one server at a time (Raft thesis 4.1), with
 * the rules that C-raft leaves to its driver (C-RAFT.md 1.8, B6, B7):
 *   - an entry of the own term is committed first (Ongaro's 2015 correction);
 *   - no change while another is open, and every voter must have the last one:
 *     a server that does not know that it is a voter never grants its vote;
 *   - a server becomes a voter only when its log is as long as the leader's;
 *   - a leader does not remove itself: transfer first. */
#include "node/replica_state.h"

#include <string.h>

#include "raftlog/block.h"

/* Whether a change may start now; `leaving` is the server it removes, or 0.
 * That one need not have the last change: it is no voter of the next
 * configuration, and it may be dead. */
static int check_quiet(struct replica *r, uint64_t leaving,
                       struct err_info *info)
{
    const struct raft_configuration *conf = &r->raft.configuration;
    if (raft_state(&r->raft) != RAFT_LEADER) {
        return err_set(info, ERR_NOTLEADER, "node %llu leads; ask it",
                       (unsigned long long)replica_leader(r));
    }
    if (!replica_accepts(r)) {
        return err_set(info, ERR_BUSY,
                       "the leader is new or handing over; try again");
    }
    if (r->raft.configuration_uncommitted_index != 0) {
        return err_set(info, ERR_BUSY,
                       "the change at index %llu is not committed yet",
                       r->raft.configuration_uncommitted_index);
    }
    for (unsigned i = 0; i < conf->n; i++) {
        raft_index match = 0;
        const struct raft_server *s = &conf->servers[i];
        if (s->role != RAFT_VOTER || s->id == r->options.id ||
            s->id == leaving) {
            continue;
        }
        raft_match_index(&r->raft, s->id, &match);
        if (match < r->raft.configuration_committed_index) {
            return err_set(info, ERR_BUSY,
                           "voter %llu has not got the last change (index "
                           "%llu); wait until it is up to date",
                           s->id, r->raft.configuration_committed_index);
        }
    }
    return 0;
}

static int submit_change(struct replica *r, struct raft_configuration *conf,
                         struct err_info *info)
{
    struct raft_event event;
    struct raft_entry entry;
    int rv;
    memset(&event, 0, sizeof event);
    memset(&entry, 0, sizeof entry);
    if (raft_configuration_encode(conf, &entry.buf) != 0) {
        return err_set(info, ERR_NOMEM, "no memory for a configuration");
    }
    /* What gathered goes first: a change is alone in its submit (1.8). */
    driver_submit(r, true);
    entry.type = RAFT_CHANGE;
    entry.term = raft_current_term(&r->raft);
    entry.batch = entry.buf.base;
    event.type = RAFT_SUBMIT;
    event.submit.entries = &entry;
    event.submit.n = 1;
    rv = driver_step(r, &event);
    block_unref(entry.batch);
    if (rv != 0) {
        return err_set(info, ERR_BUSY, "refused: %s", raft_strerror(rv));
    }
    driver_changed(r);
    return 0;
}

/* The present configuration, rebuilt: without `drop`, with `promote` as voter,
 * in the same order (progress is rebuilt only when the count changes). */
static int copy_configuration(const struct replica *r, uint64_t drop,
                              uint64_t promote, struct raft_configuration *out)
{
    raft_configuration_init(out);
    for (unsigned i = 0; i < r->raft.configuration.n; i++) {
        const struct raft_server *s = &r->raft.configuration.servers[i];
        int role = s->id == promote ? RAFT_VOTER : s->role;
        if (s->id == drop) {
            continue;
        }
        if (raft_configuration_add(out, s->id, s->address, role) != 0) {
            raft_configuration_close(out);
            return ERR_NOMEM;
        }
    }
    return 0;
}

int replica_member_add(struct replica *r, uint64_t id, const char *address,
                       struct err_info *info)
{
    struct raft_configuration conf;
    int rv = check_quiet(r, 0, info);
    if (rv != 0) {
        return rv;
    }
    if (id == 0 || address == NULL || address[0] == '\0' ||
        strlen(address) > REPLICA_ADDRESS_MAX) {
        return err_set(info, ERR_INVALID,
                       "a member has an id over 0 and an "
                       "address host:port");
    }
    if (replica_find_server(r, id) != NULL) {
        return err_set(info, ERR_EXISTS, "node %llu is a member already",
                       (unsigned long long)id);
    }
    if (r->raft.configuration.n >= REPLICA_SERVERS_MAX) {
        return err_set(info, ERR_TOOBIG, "at most %d members",
                       (int)REPLICA_SERVERS_MAX);
    }
    rv = copy_configuration(r, 0, 0, &conf);
    if (rv != 0) {
        return err_set(info, rv, "no memory");
    }
    rv = raft_configuration_add(&conf, id, address, RAFT_STANDBY);
    if (rv != 0) {
        rv = err_set(info, rv == RAFT_NOMEM ? ERR_NOMEM : ERR_EXISTS,
                     "cannot add %s: %s", address, raft_strerror(rv));
    } else {
        rv = submit_change(r, &conf, info);
    }
    raft_configuration_close(&conf);
    return rv;
}

int replica_member_promote(struct replica *r, uint64_t id,
                           struct err_info *info)
{
    struct raft_configuration conf;
    const struct raft_server *server;
    raft_index match = 0;
    int rv = check_quiet(r, 0, info);
    if (rv != 0) {
        return rv;
    }
    server = replica_find_server(r, id);
    if (server == NULL) {
        return err_set(info, ERR_NOTFOUND, "node %llu is not a member",
                       (unsigned long long)id);
    }
    if (server->role == RAFT_VOTER) {
        return err_set(info, ERR_EXISTS, "node %llu is a voter already",
                       (unsigned long long)id);
    }
    raft_match_index(&r->raft, id, &match);
    if (match < r->commit) {
        return err_set(info, ERR_AGAIN,
                       "node %llu has %llu of %llu entries; wait until it has "
                       "caught up",
                       (unsigned long long)id, match,
                       (unsigned long long)r->commit);
    }
    rv = copy_configuration(r, 0, id, &conf);
    if (rv != 0) {
        return err_set(info, rv, "no memory");
    }
    rv = submit_change(r, &conf, info);
    raft_configuration_close(&conf);
    return rv;
}

int replica_member_remove(struct replica *r, uint64_t id, struct err_info *info)
{
    struct raft_configuration conf;
    const struct raft_server *server;
    int rv = check_quiet(r, id, info);
    if (rv != 0) {
        return rv;
    }
    server = replica_find_server(r, id);
    if (server == NULL) {
        return err_set(info, ERR_NOTFOUND, "node %llu is not a member",
                       (unsigned long long)id);
    }
    if (id == r->options.id) {
        return err_set(info, ERR_INVALID,
                       "a leader does not remove itself: "
                       "hand leadership over first");
    }
    rv = copy_configuration(r, id, 0, &conf);
    if (rv != 0) {
        return err_set(info, rv, "no memory");
    }
    rv = submit_change(r, &conf, info);
    raft_configuration_close(&conf);
    return rv;
}
