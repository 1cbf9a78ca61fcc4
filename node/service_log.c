/* CONCORDKV COMPACT and LOG LIST: of the log of the node that is asked. */
#include "node/service_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "node/resp.h"

enum { POLL_MS = 20, LINE_MAX = 256 };

/* ---- COMPACT ---- */

/* Every 20 ms until a snapshot at or behind the index of the question is
 * there; a try that fails is made again by the replica. */
static void compact_poll(struct operation *o)
{
    struct compact *c = &o->as.compact;
    struct service *s = o->request->service;
    struct replica_status status;
    struct replica_compaction stats;
    int rv;
    replica_status(s->replica, &status);
    replica_compaction(s->replica, &stats);
    if (status.snapshot_index >= c->index) {
        resp_integer(&o->request->reply, (int64_t)status.snapshot_index);
        operation_done(o);
        return;
    }
    if (stats.n_failed + stats.n_without_room > c->n_failed || s->drained) {
        resp_error(&o->request->reply,
                   s->drained ? "ERR this node is stopping; ask another"
                   : stats.n_without_room > c->n_without_room
                       ? "NOSPACE the disk has no room for a snapshot"
                       : "ERR the snapshot failed; the node's event lines say "
                         "why (snapshot_failed)");
        operation_done(o);
        return;
    }
    rv = replica_compact(s->replica);
    if (rv == ERR_STOPPED) {
        resp_error(&o->request->reply,
                   "ERR this node is stopping; ask another");
        operation_done(o);
        return;
    }
    operation_due(o, service_now_ms(s) + POLL_MS);
}

void compact_begin(struct request *r, uint32_t argc, const struct bytes *argv)
{
    struct replica_status status;
    struct replica_compaction stats;
    struct operation *o;
    (void)argc;
    (void)argv;
    if (operation_new(r, compact_poll, &o) != 0) {
        request_error(r, "ERR out of memory");
        return;
    }
    replica_status(r->service->replica, &status);
    replica_compaction(r->service->replica, &stats);
    o->as.compact.index = status.applied_index;
    o->as.compact.n_failed = stats.n_failed + stats.n_without_room;
    o->as.compact.n_without_room = stats.n_without_room;
    compact_poll(o);
}

/* ---- LOG LIST ---- */

static const char *state_of(const struct raftlog_file *f, uint64_t durable)
{
    if (f->active) {
        return f->last_index > durable ? "active,unsynced" : "active";
    }
    return f->last_index < f->first_index ? "empty" : "sealed";
}

void log_list(struct request *r, uint32_t argc, const struct bytes *argv)
{
    struct replica *replica = r->service->replica;
    size_t n = replica_log_files(replica, NULL, 0);
    struct raftlog_file *files = calloc(n + 1, sizeof *files);
    struct replica_status status;
    (void)argc;
    (void)argv;
    if (files == NULL) {
        request_error(r, "ERR out of memory");
        return;
    }
    (void)replica_log_files(replica, files, n);
    replica_status(replica, &status);
    resp_array(&r->reply, n);
    for (size_t i = 0; i < n; i++) {
        const struct raftlog_file *f = &files[i];
        char line[LINE_MAX];
        int size =
            snprintf(line, sizeof line,
                     "file=%s first=%" PRIu64 " last=%" PRIu64 " bytes=%" PRIu64
                     " used=%" PRIu64 " state=%s sealed_s=%" PRIu64,
                     f->name, f->first_index, f->last_index, f->file_bytes,
                     f->used_bytes, state_of(f, status.durable_index),
                     f->sealed_ms / 1000);
        resp_bulk(&r->reply, line, (size_t)size);
    }
    free(files);
    request_done(r);
}
