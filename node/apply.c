/* Committed entries: to the store, in order, and configurations to the core.
 *
 * The commit index kept here only rises (the core's own may go down, B4). A
 * configuration is delivered to the core as soon as it is committed, also when
 * the store is behind (C-RAFT.md 1.3.6); what a snapshot records is the
 * configuration of the applied index.
 *
 * Entries come from the log's cache; for those only on disk one read at a time
 * is under way and applying goes on when it is done. A long backlog is applied
 * in bounded turns. */
#include "node/replica_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/command.h"
#include "raftlog/block.h"

/* ---- configurations
 * --------------------------------------------------------*/

int apply_note_change(struct replica *r, uint64_t index, const void *data,
                      uint32_t size)
{
    struct pending_change *c;
    void *block;
    if (r->n_changes == r->changes_cap) {
        /* As many as stand in the log behind the applied index: a node that
         * lags may have all changes of the cluster's life before it. */
        unsigned cap = r->changes_cap == 0 ? 4 : 2 * r->changes_cap;
        c = realloc(r->changes, cap * sizeof *c);
        if (c == NULL) {
            return ERR_NOMEM;
        }
        r->changes = c;
        r->changes_cap = cap;
    }
    block = block_new(size);
    if (block == NULL) {
        return ERR_NOMEM;
    }
    memcpy(block, data, size);
    c = &r->changes[r->n_changes++];
    c->index = index;
    c->block = block;
    c->data = block;
    c->size = size;
    return 0;
}

void apply_truncate_changes(struct replica *r, uint64_t from)
{
    while (r->n_changes > 0 && r->changes[r->n_changes - 1].index >= from) {
        block_unref(r->changes[--r->n_changes].block);
    }
}

static void deliver_change(struct replica *r, const struct pending_change *c)
{
    struct raft_event event;
    memset(&event, 0, sizeof event);
    event.type = RAFT_CONFIGURATION;
    event.configuration.index = c->index;
    if (wire_configuration_decode(c->data, c->size,
                                  &event.configuration.conf) != 0) {
        driver_fatal(r, ERR_CORRUPT, "configuration entry %llu is malformed",
                     (unsigned long long)c->index);
        return;
    }
    replica_trace(r, TRACE_INFO, "configuration index=%llu servers=%u",
                  (unsigned long long)c->index, event.configuration.conf.n);
    driver_step(r, &event);
}

void apply_deliver_changes(struct replica *r, uint64_t commit)
{
    unsigned i = 0;
    /* A delivery may commit and apply more, which shifts the array: look from
     * the front each time. */
    while (i < r->n_changes && !r->failed) {
        struct pending_change c = r->changes[i];
        if (c.index > commit) {
            break;
        }
        if (c.index <= r->change_delivered) {
            i++;
            continue;
        }
        r->change_delivered = c.index;
        block_ref(c.block);
        deliver_change(r, &c);
        block_unref(c.block);
        i = 0;
    }
}

/* The applied index has reached a configuration entry. */
static void apply_change(struct replica *r, uint64_t index)
{
    unsigned i = 0;
    while (i < r->n_changes && r->changes[i].index <= index) {
        if (r->changes[i].index == index) {
            block_unref(r->configuration);
            r->configuration = block_ref(r->changes[i].block);
            r->configuration_size = r->changes[i].size;
            r->configuration_index = index;
        }
        block_unref(r->changes[i].block);
        i++;
    }
    r->n_changes -= i;
    if (i > 0) {
        memmove(r->changes, r->changes + i,
                r->n_changes * sizeof r->changes[0]);
    }
}

int apply_restore(struct replica *r, const struct snapshot_meta *meta)
{
    void *block = block_new(meta->configuration_size);
    if (block == NULL) {
        return ERR_NOMEM;
    }
    memcpy(block, meta->configuration, meta->configuration_size);
    block_unref(r->configuration);
    r->configuration = block;
    r->configuration_size = (uint32_t)meta->configuration_size;
    r->configuration_index = meta->configuration_index;
    r->change_delivered = meta->configuration_index;
    apply_truncate_changes(r, 0);
    r->applied = meta->to;
    r->applied_term = meta->to_term;
    if (r->commit < meta->to) {
        r->commit = meta->to;
    }
    if (r->clock_ms < meta->clock_ms) {
        r->clock_ms = meta->clock_ms;
    }
    expiry_saw(r, meta->clock_ms);
    r->snapshot_index = meta->to;
    compaction_reset(r);
    r->snapshot_ms = meta->clock_ms;
    return 0;
}

/* ---- entries
 * ---------------------------------------------------------------*/

/* Run what a client asked for; the reply is in r->reply. Errors: those of
 * command_env. */
static int run_request(struct replica *r, const struct proposal *p)
{
    struct command_env env = {0};

    env.store = r->store;
    env.now_ms = r->clock_ms;
    buffer_clear(&r->reply);
    proposal_run(p, &env, &r->reply);
    return env.error;
}

static void apply_command(struct replica *r, uint64_t index,
                          const struct raftlog_entry *entry)
{
    struct proposal p;
    int rv = proposal_decode(entry->data, entry->size, &p);
    bool sweep;

    if (rv != 0) {
        driver_fatal(r, rv,
                     "entry %llu can not be read: %s; was it written "
                     "by a newer version?",
                     (unsigned long long)index, err_text(rv));
        return;
    }
    if (p.clock_ms > r->clock_ms) {
        r->clock_ms = p.clock_ms;
    }
    sweep = p.kind == PROPOSAL_SWEEP;
    rv = sweep ? expiry_apply(r, entry->term, &p) : run_request(r, &p);
    if (rv != 0) {
        /* Another node may have applied it: going on would be another state
         * under the same index. */
        driver_fatal(r, rv,
                     "applying entry %llu (command %u): %s; was it written by "
                     "a newer version?",
                     (unsigned long long)index, (unsigned)p.code, err_text(rv));
        proposal_clear(&p);
        return;
    }
    r->applied = index;
    r->applied_term = entry->term;
    r->events.applied(r->events.ctx, index, entry->term, sweep ? NULL : &p,
                      sweep ? NULL : &r->reply);
    proposal_clear(&p);
}

static void apply_entry(struct replica *r, uint64_t index,
                        const struct raftlog_entry *entry)
{
    assert(index == r->applied + 1);
    if (r->uncommitted_bytes >= entry->size) {
        r->uncommitted_bytes -= entry->size;
    } else {
        r->uncommitted_bytes = 0;
    }
    if (entry->kind == RAFT_COMMAND) {
        struct store_counts before;
        store_get_counts(r->store, &before);
        apply_command(r, index, entry);
        if (!r->failed) {
            compaction_applied(r, entry->size, &before);
        }
        return;
    }
    if (entry->kind == RAFT_CHANGE) {
        apply_change(r, index);
    }
    r->applied = index;
    r->applied_term = entry->term;
    r->events.applied(r->events.ctx, index, entry->term, NULL, NULL);
}

static void apply_entries(struct replica *r);

static void read_done(void *ctx, int status, uint64_t first,
                      const struct raftlog_entry *entries, size_t n)
{
    struct replica *r = ctx;
    r->apply_reading = false;
    if (status == ERR_STOPPED || r->failed) {
        return;
    }
    if (status == ERR_NOMEM) {
        driver_fatal(r, status, "no memory to read entries %llu..",
                     (unsigned long long)first);
        return;
    }
    /* Committed entries are never truncated, so what was read is what was
     * asked for, unless a snapshot has replaced the state meanwhile. */
    for (size_t i = 0; status == 0 && i < n && !r->failed; i++) {
        if (first + i == r->applied + 1 && !r->installing &&
            first + i <= r->commit) {
            apply_entry(r, first + i, &entries[i]);
        }
    }
    apply_entries(r);
}

static void apply_entries(struct replica *r)
{
    size_t bytes = 0;
    unsigned n = 0;

    r->apply_more = false;
    while (r->applied < r->commit && !r->failed && !r->installing &&
           !r->apply_reading) {
        struct raftlog_entry entry;
        int rv;
        if (n >= APPLY_ENTRIES_PER_TURN || bytes >= APPLY_BYTES_PER_TURN) {
            r->apply_more = true;
            break;
        }
        rv = raftlog_get(r->log, r->applied + 1, &entry);
        if (rv == 0) {
            void *block = block_ref(entry.block);
            n++;
            bytes += entry.size;
            apply_entry(r, r->applied + 1, &entry);
            block_unref(block);
        } else if (rv == ERR_AGAIN) {
            rv = raftlog_read(r->log, r->applied + 1, r->commit,
                              OUTBOUND_PIECE_BYTES, read_done, r);
            if (rv == 0) {
                r->apply_reading = true;
            } else if (rv == ERR_BUSY) {
                break; /* the next tick asks again */
            }
        }
        if (rv != 0) {
            driver_fatal(r, rv,
                         "committed entry %llu is not in the log "
                         "(first %llu, last %llu): %s",
                         (unsigned long long)(r->applied + 1),
                         (unsigned long long)raftlog_first_index(r->log),
                         (unsigned long long)raftlog_last_index(r->log),
                         err_text(rv));
        }
    }
    read_barrier_applied(r->barrier);
}

void apply_commit(struct replica *r)
{
    uint64_t commit = raft_commit_index(&r->raft);
    if (r->installing || r->failed) {
        /* Heartbeats raise it before the snapshot is here (1.3.6). What was
         * left to apply is not due: the loop would spin on it. */
        r->apply_more = false;
        return;
    }
    if (commit > r->commit) {
        r->commit = commit;
    }
    apply_deliver_changes(r, r->commit);
    if (!r->opening) {
        apply_entries(r);
    }
}
