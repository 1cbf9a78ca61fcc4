/* One request: its life, its time limit, and its ticket of the read barrier.
 *
 * A request belongs to its session until its reply has gone out or the client
 * is gone. Two others may still point to it then: the ring of writes (a write
 * that may yet be executed is completed, its reply dropped) and the read
 * barrier (it cannot be told to forget one, so the request waits among the
 * orphans for its call). The last of them frees it. */
#include "node/service_private.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/resp.h"

void request_time(struct request *r)
{
    struct service *s = r->service;
    r->deadline_ms = service_now_ms(s) + s->options.request_timeout_ms;
    if (r->started_us == 0 && s->io.now_us != NULL) {
        r->started_us = s->io.now_us(s->io.ctx);
    }
    r->timed = true;
    r->older = s->newest;
    r->newer = NULL;
    if (s->newest != NULL) {
        s->newest->newer = r;
    } else {
        s->oldest = r;
    }
    s->newest = r;
}

void request_untime(struct request *r)
{
    struct service *s = r->service;
    if (!r->timed) {
        return;
    }
    r->timed = false;
    if (r->older != NULL) {
        r->older->newer = r->newer;
    } else {
        s->oldest = r->newer;
    }
    if (r->newer != NULL) {
        r->newer->older = r->older;
    } else {
        s->newest = r->older;
    }
    r->older = r->newer = NULL;
}

void request_count(struct request *r, uint64_t bytes)
{
    r->bytes += bytes;
    r->service->stats.pending_bytes += bytes;
    if (r->session != NULL) {
        r->session->bytes += bytes;
    }
}

struct request *request_new(struct session *session,
                            const struct command *command, bool copy,
                            uint32_t argc, const struct bytes *argv)
{
    struct service *s = session->service;
    struct request *r;
    size_t size = sizeof *r;
    uint8_t *at;
    if (copy) {
        size += argc * sizeof *argv;
        for (uint32_t i = 0; i < argc; i++) {
            size += argv[i].size;
        }
    }
    r = malloc(size);
    if (r == NULL) {
        session->failed = true;
        session_mark_dirty(session);
        return NULL;
    }
    memset(r, 0, sizeof *r);
    buffer_init(&r->reply);
    r->service = s;
    r->session = session;
    r->command = command;
    if (copy) {
        r->argc = argc;
        r->argv = (struct bytes *)(r + 1);
        at = (uint8_t *)(r->argv + argc);
        for (uint32_t i = 0; i < argc; i++) {
            r->argv[i].data = at;
            r->argv[i].size = argv[i].size;
            if (argv[i].size > 0) {
                memcpy(at, argv[i].data, argv[i].size);
            }
            at += argv[i].size;
        }
    }
    request_count(r, size);
    *session->last = r;
    session->last = &r->next;
    session->n_requests++;
    s->n_requests++;
    return r;
}

void request_free(struct request *r)
{
    struct service *s = r->service;
    request_untime(r);
    if (r->session != NULL) {
        r->session->bytes -= r->bytes;
        r->session->n_requests--;
    }
    s->stats.pending_bytes -= r->bytes;
    s->n_requests--;
    command_queue_free(r->queue);
    buffer_close(&r->reply);
    free(r);
}

void request_release(struct request *r)
{
    struct service *s = r->service;
    if (!r->asked) {
        request_free(r);
        return;
    }
    request_untime(r);
    r->session->bytes -= r->bytes;
    r->session->n_requests--;
    r->session = NULL;
    r->older = NULL;
    r->newer = s->orphans;
    if (s->orphans != NULL) {
        s->orphans->older = r;
    }
    s->orphans = r;
}

static void orphan_free(struct request *r)
{
    struct service *s = r->service;
    if (r->older != NULL) {
        r->older->newer = r->newer;
    } else {
        s->orphans = r->newer;
    }
    if (r->newer != NULL) {
        r->newer->older = r->older;
    }
    request_free(r);
}

void request_end(struct request *r)
{
    struct session *session = r->session;
    if (r->state == REQUEST_RETRY) {
        r->service->n_retry--;
    }
    if (session != NULL && r->state != REQUEST_WAITING) {
        if (r->kind == REQUEST_READ) {
            session->n_reads--;
        } else if (r->kind == REQUEST_WRITE) {
            session->n_writes--;
            session->wrote = true;
        }
    }
    r->state = REQUEST_DONE;
    request_untime(r);
}

static void count_time(const struct request *r)
{
    struct service *s = r->service;
    if (r->started_us != 0 && r->kind != REQUEST_LATER) {
        histogram_record(r->kind == REQUEST_WRITE ? &s->write_us : &s->read_us,
                         s->io.now_us(s->io.ctx) - r->started_us);
    }
}

void request_done(struct request *r)
{
    assert(r->state != REQUEST_DONE);
    count_time(r);
    request_end(r);
    if (r->session != NULL) {
        request_count(r, buffer_size(&r->reply));
        session_activate(r->session);
    } else {
        request_free(r);
    }
}

void request_error(struct request *r, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    resp_error(&r->reply, text);
    request_done(r);
}

void request_expire(struct request *r)
{
    struct service *s = r->service;
    unsigned ms = s->options.request_timeout_ms;
    bool led = s->replica != NULL && (replica_is_leader(s->replica) ||
                                      replica_leader(s->replica) != 0);
    if (r->state == REQUEST_WRITING && forward_remove(s, r->write_id)) {
        s->stats.n_unknown++;
        request_error(r,
                      "UNKNOWN the write may or may not have been applied: "
                      "not confirmed within %u ms",
                      ms);
        return;
    }
    s->stats.n_clusterdown++;
    if (r->kind == REQUEST_READ && r->readonly &&
        s->options.stale_read_max_ms > 0) {
        request_error(r,
                      "STALE no leader has confirmed for %" PRIu64
                      " ms what this node has, and none did within %u ms; ask "
                      "another node, or raise --stale-read-max-ms",
                      s->fresh ? service_now_ms(s) - s->fresh_ms
                               : s->options.stale_read_max_ms,
                      ms);
    } else if (!led) {
        request_error(r, "CLUSTERDOWN no leader known for %u ms; try again",
                      ms);
    } else if (r->state == REQUEST_WAITING) {
        request_error(r, "CLUSTERDOWN not begun within %u ms; try again", ms);
    } else if (r->kind == REQUEST_WRITE) {
        request_error(r,
                      "CLUSTERDOWN the leader took no writes for %u ms; "
                      "try again",
                      ms);
    } else if (r->settle) {
        request_error(r,
                      "CLUSTERDOWN a key has expired, and for %u ms the leader "
                      "could not write so; is its disk full?",
                      ms);
    } else {
        request_error(r,
                      "CLUSTERDOWN no leader could confirm a read for %u ms; "
                      "try again",
                      ms);
    }
}

/* ---- reads ---- */

static void read_confirmed(void *ctx, int status, uint64_t clock_ms)
{
    struct request *r = ctx;
    struct service *s = r->service;
    r->asked = false;
    if (r->session == NULL) {
        orphan_free(r);
        return;
    }
    if (r->state != REQUEST_ASKED) {
        return; /* its time limit has answered it */
    }
    if (status == 0 && (!s->fresh || r->asked_ms > s->fresh_ms)) {
        s->fresh = true;
        s->fresh_ms = r->asked_ms;
        s->fresh_clock_ms = clock_ms;
    }
    if (status == 0) {
        r->state = REQUEST_READY;
        r->clock_ms = clock_ms;
        request_untime(r);
        session_activate(r->session);
    } else if (status == ERR_STOPPED) {
        s->stopping = true;
        request_error(r, "CLUSTERDOWN this node is stopping");
    } else {
        r->state = REQUEST_RETRY;
        s->n_retry++;
        service_arm_retry(s);
    }
    service_settle(s);
}

void request_ask(struct request *r)
{
    struct service *s = r->service;
    r->asked_ms = service_now_ms(s);
    if (replica_read(s->replica, r->settle, read_confirmed, r) == 0) {
        r->state = REQUEST_ASKED;
        r->asked = true;
    } else {
        r->state = REQUEST_RETRY;
        s->n_retry++;
        service_arm_retry(s);
    }
}

void request_ask_settled(struct request *r)
{
    struct service *s = r->service;
    uint64_t now = service_now_ms(s);
    request_time(r);
    if (!r->settle) {
        r->settle = true;
        r->settle_until_ms = now + s->options.request_timeout_ms;
        request_ask(r);
    } else if (now >= r->settle_until_ms) {
        request_expire(r);
    } else {
        /* The leader could make no entry, or it is another one: not at once,
         * that would be a loop. */
        r->state = REQUEST_RETRY;
        s->n_retry++;
        service_arm_retry(s);
    }
}

void request_retry_all(struct service *s)
{
    struct request *r, *newer;
    if (s->n_retry == 0 || s->replica == NULL || s->stopping) {
        return;
    }
    if (!replica_is_leader(s->replica) && replica_leader(s->replica) == 0) {
        return; /* changed comes when there is one */
    }
    for (r = s->oldest; r != NULL; r = newer) {
        newer = r->newer;
        if (r->state == REQUEST_RETRY) {
            s->n_retry--;
            s->stats.n_retried++;
            request_ask(r);
        }
    }
}
