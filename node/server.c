/* Listening for clients, and what is done for all connections. */
#include "node/server.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/conn.h"
#include "node/listen.h"

void server_handle_closed(struct server *s)
{
    assert(s->n_handles > 0);
    s->n_handles--;
    if (s->n_handles == 0) {
        assert(s->closing);
        free(s);
    }
}

static void own_handle_closed(uv_handle_t *handle)
{
    server_handle_closed(handle->data);
}

static void incoming(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;

    if (status == 0) {
        conn_accept(s);
    }
}

/* The client with most replies waiting goes, until the rest is within the
 * limit. */
static void evict(struct server *s)
{
    uint64_t total;

    do {
        struct conn *c, *most = NULL;

        total = 0;
        LIST_FOREACH(c, &s->all, all)
        {
            total += conn_waiting_bytes(c);
            if (most == NULL ||
                conn_waiting_bytes(c) > conn_waiting_bytes(most)) {
                most = c;
            }
        }
        if (total > s->options.outputs_bytes) {
            s->stats.n_evicted++;
            conn_evict(most);
        }
    } while (total > s->options.outputs_bytes);
    s->stats.waiting_bytes = total;
}

static void sweep(uv_timer_t *timer)
{
    struct server *s = timer->data;
    uint64_t now_ms = uv_now(s->loop);
    struct conn *next;

    for (struct conn *c = LIST_FIRST(&s->all); c != NULL; c = next) {
        next = LIST_NEXT(c, all);
        conn_check_time(c, now_ms);
    }
    evict(s);
}

int server_open(uv_loop_t *loop, const struct server_options *options,
                struct service *service, struct server **out,
                struct err_info *info)
{
    struct server *s = calloc(1, sizeof *s);
    int rc;

    if (s == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for the server");
    }
    s->loop = loop;
    s->options = *options;
    s->service = service;
    LIST_INIT(&s->all);
    LIST_INIT(&s->dirty);
    LIST_INIT(&s->paused);
    uv_tcp_init(loop, &s->listener);
    s->listener.data = s;
    uv_timer_init(loop, &s->sweep);
    s->sweep.data = s;
    s->n_handles = 2;
    rc = listen_start(&s->listener, options->listen_address, "listen-client",
                      incoming, info);
    s->options.listen_address = NULL;
    if (rc != 0) {
        server_close(s);
        return rc;
    }
    uv_timer_start(&s->sweep, sweep, CONN_SWEEP_MS, CONN_SWEEP_MS);
    *out = s;
    return 0;
}

bool server_flush(struct server *s)
{
    struct conn *c, *next;

    s->resumed = false;
    while ((c = LIST_FIRST(&s->dirty)) != NULL) {
        LIST_REMOVE(c, dirty_entry);
        c->dirty = false;
        conn_flush(c);
    }
    /* A connection that pauses again goes to the front, behind us. */
    for (c = LIST_FIRST(&s->paused); c != NULL; c = next) {
        next = LIST_NEXT(c, paused_entry);
        conn_resume(c);
    }
    return s->resumed;
}

void server_stop_accepting(struct server *s)
{
    if (!s->stopped_accepting) {
        s->stopped_accepting = true;
        uv_close((uv_handle_t *)&s->listener, own_handle_closed);
    }
}

void server_stop_reading(struct server *s)
{
    struct conn *c;

    s->stopped_reading = true;
    LIST_FOREACH(c, &s->all, all)
    {
        if (c->state == CONN_OPEN) {
            conn_pause(c);
        }
    }
}

bool server_is_flushed(const struct server *s)
{
    const struct conn *c;

    LIST_FOREACH(c, &s->all, all)
    {
        if (c->session != NULL &&
            (c->chunk != NULL || buffer_size(session_output(c->session)) > 0)) {
            return false;
        }
    }
    return true;
}

void server_close(struct server *s)
{
    struct conn *c;

    s->closing = true;
    while ((c = LIST_FIRST(&s->all)) != NULL) {
        conn_close(c);
    }
    server_stop_accepting(s);
    uv_close((uv_handle_t *)&s->sweep, own_handle_closed);
}

void server_get_stats(const struct server *s, struct server_stats *out)
{
    *out = s->stats;
}

void server_configure(struct server *s, const struct server_options *options)
{
    struct conn *c;

    s->options = *options;
    s->options.listen_address = NULL;
    LIST_FOREACH(c, &s->all, all)
    {
        c->parser.limits = options->limits;
    }
}

void server_reset_stats(struct server *s)
{
    struct server_stats old = s->stats;

    memset(&s->stats, 0, sizeof s->stats);
    s->stats.n_clients = old.n_clients;
    s->stats.n_paused = old.n_paused;
    s->stats.query_bytes = old.query_bytes;
    s->stats.waiting_bytes = old.waiting_bytes;
}
