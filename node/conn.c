/* Between a client's socket and its session. See conn.h for the states. */
#include "node/conn.h"

#include <stdlib.h>
#include <string.h>

#include "node/listen.h"
#include "node/trace.h"

static void closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    struct server *s = c->server;

    free(c->chunk);
    resp_parser_close(&c->parser);
    buffer_close(&c->in);
    free(c);
    server_handle_closed(s);
}

void conn_close(struct conn *c)
{
    struct server *s = c->server;

    if (c->state == CONN_CLOSED) {
        return;
    }
    c->state = CONN_CLOSED;
    LIST_REMOVE(c, all);
    if (c->dirty) {
        LIST_REMOVE(c, dirty_entry);
    }
    if (c->paused) {
        LIST_REMOVE(c, paused_entry);
        s->stats.n_paused--;
    }
    if (c->session != NULL) {
        session_close(c->session);
        c->session = NULL;
        s->stats.n_clients--;
    }
    if (c->refused) {
        s->n_refused_here--;
    }
    s->stats.query_bytes -= c->in_counted;
    uv_close((uv_handle_t *)&c->tcp, closed);
}

/* ---- writing ---- */

static void shut(uv_shutdown_t *req, int status)
{
    (void)req;
    (void)status; /* The sweep closes it if the client does not. */
}

static void read_start(struct conn *c);

static void linger(struct conn *c)
{
    c->state = CONN_LINGER;
    c->progress_ms = uv_now(c->server->loop);
    buffer_clear(&c->in);
    if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, shut) != 0) {
        conn_close(c);
        return;
    }
    read_start(c);
}

size_t conn_waiting_bytes(const struct conn *c)
{
    return c->session == NULL
               ? 0
               : c->chunk_size + buffer_size(session_output(c->session));
}

static void written(uv_write_t *req, int status)
{
    struct conn *c = req->data;

    if (c->state == CONN_CLOSED) {
        return;
    }
    free(c->chunk);
    c->chunk = NULL;
    c->server->stats.output_bytes += c->chunk_size;
    c->chunk_size = 0;
    if (status != 0) {
        conn_close(c);
        return;
    }
    c->progress_ms = uv_now(c->server->loop);
    conn_flush(c);
}

/* The kernel takes no more at once: lend it a copy, because the session may
 * move its buffer meanwhile. */
static void write_later(struct conn *c, struct buffer *out)
{
    size_t size = buffer_size(out);
    uv_buf_t buf;

    if (size > CONN_CHUNK_BYTES) {
        size = CONN_CHUNK_BYTES;
    }
    c->chunk = malloc(size);
    if (c->chunk == NULL) {
        conn_close(c);
        return;
    }
    memcpy(c->chunk, buffer_data(out), size);
    c->chunk_size = size;
    buffer_consume(out, size);
    buf = uv_buf_init((char *)c->chunk, (unsigned)size);
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, written) != 0) {
        conn_close(c);
    }
}

static unsigned io_size(size_t size)
{
    return size < (1U << 30) ? (unsigned)size : 1U << 30;
}

void conn_flush(struct conn *c)
{
    struct buffer *out;

    if (c->session == NULL || c->state >= CONN_LINGER) {
        return;
    }
    if (session_failed(c->session)) {
        conn_close(c); /* Also when it takes nothing of what waits. */
        return;
    }
    if (c->chunk != NULL) {
        return;
    }
    out = session_output(c->session);
    if (out->failed) {
        conn_close(c); /* A reply is incomplete: nothing true can follow. */
        return;
    }
    while (buffer_size(out) > 0) {
        uv_buf_t buf;
        int n;

        buf.base = (char *)(uintptr_t)buffer_data(out);
        buf.len = io_size(buffer_size(out));
        n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
        if (n == UV_EAGAIN) {
            write_later(c, out);
            return;
        }
        if (n < 0) {
            conn_close(c);
            return;
        }
        buffer_consume(out, (size_t)n);
        c->server->stats.output_bytes += (uint64_t)n;
        c->progress_ms = uv_now(c->server->loop);
        if (buffer_size(out) == 0) {
            session_resume(c->session); /* It may put out more. */
        }
    }
    buffer_clear(out);
    if (!session_finished(c->session)) {
        return;
    }
    if (c->eof) {
        conn_close(c); /* Nothing unread is there that could reset it. */
    } else {
        linger(c);
    }
}

static void output_added(void *ctx)
{
    struct conn *c = ctx;

    if (!c->dirty && c->state != CONN_CLOSED) {
        c->dirty = true;
        LIST_INSERT_HEAD(&c->server->dirty, c, dirty_entry);
    }
}

/* ---- reading ---- */

static bool may_read(const struct conn *c)
{
    return !c->server->stopped_reading && session_ready(c->session) &&
           conn_waiting_bytes(c) <= c->server->options.output_bytes;
}

void conn_pause(struct conn *c)
{
    if (!c->paused) {
        c->paused = true;
        LIST_INSERT_HEAD(&c->server->paused, c, paused_entry);
        c->server->stats.n_paused++;
    }
    if (c->reading) {
        c->reading = false;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

/* Give complete requests at the front of data to the session, as long as the
 * limits allow. Returns how many bytes are done with. */
static size_t take_requests(struct conn *c, const uint8_t *data, size_t size)
{
    const struct bytes *argv;
    enum resp_status status;
    size_t done = 0;
    uint32_t argc;
    size_t used;

    while (done < size && c->state == CONN_OPEN && !c->paused) {
        status = resp_parse(&c->parser, data + done, size - done, &used, &argc,
                            &argv);
        if (status == RESP_MORE) {
            return done;
        }
        if (status == RESP_ERROR) {
            c->server->stats.n_protocol_errors++;
            c->state = CONN_FINISHING;
            session_fail(c->session, c->parser.error);
            return size;
        }
        if (argc > 0 && !session_submit(c->session, argc, argv)) {
            conn_pause(c);
        }
        done += used;
        if (session_finished(c->session)) {
            c->state = CONN_FINISHING;
            return size;
        }
        if (!c->paused && !may_read(c)) {
            conn_pause(c);
        }
    }
    return c->state == CONN_OPEN ? done : size;
}

/* The session's last word, behind all replies. */
static void fail(struct conn *c, const char *error)
{
    c->state = CONN_FINISHING;
    buffer_clear(&c->in);
    session_fail(c->session, error);
}

/* What is kept of commands that are not complete has a limit for all clients
 * together. */
static void count_in(struct conn *c)
{
    struct server *s = c->server;
    size_t size = buffer_size(&c->in);

    s->stats.query_bytes += size - c->in_counted;
    c->in_counted = size;
    if (s->stats.query_bytes > s->options.query_bytes && size > 0 &&
        c->state == CONN_OPEN) {
        s->stats.n_query_refused++;
        fail(c, "ERR too many bytes of incomplete commands are held in this "
                "node; try again later");
        s->stats.query_bytes -= c->in_counted;
        c->in_counted = 0;
    }
}

static void take_from_in(struct conn *c)
{
    buffer_consume(&c->in,
                   take_requests(c, buffer_data(&c->in), buffer_size(&c->in)));
    if (buffer_size(&c->in) == 0) {
        buffer_clear(&c->in);
    }
    count_in(c);
}

static void take_from_scratch(struct conn *c, const uint8_t *data, size_t size)
{
    size_t done = take_requests(c, data, size);
    size_t wanted;

    if (done == size) {
        return;
    }
    /* Make room for the whole request at once when its size is known. */
    wanted = resp_wanted(&c->parser);
    if (wanted > size - done) {
        buffer_reserve(&c->in, wanted);
    }
    buffer_append(&c->in, data + done, size - done);
    if (c->in.failed) {
        conn_close(c);
        return;
    }
    count_in(c);
}

static void read_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct conn *c = handle->data;
    struct server *s = c->server;
    size_t have = buffer_size(&c->in);
    size_t room = CONN_SCRATCH_BYTES;
    size_t wanted;
    uint8_t *at;

    (void)suggested;
    if (have == 0 || c->state != CONN_OPEN) {
        *buf = uv_buf_init((char *)s->scratch, sizeof s->scratch);
        return;
    }
    wanted = resp_wanted(&c->parser);
    if (wanted > have && wanted - have > room) {
        room = wanted - have;
    }
    at = buffer_reserve(&c->in, room);
    /* Room of size 0 makes the read fail with UV_ENOBUFS, which closes. */
    *buf = uv_buf_init((char *)at, at != NULL ? io_size(room) : 0);
}

/* The client has shut its side, as a pipe into a socket does at its end: what
 * it has sent is answered before the connection closes. */
static void half_closed(struct conn *c)
{
    c->eof = true;
    c->reading = false;
    c->state = CONN_FINISHING;
    c->read_ms = uv_now(c->server->loop);
    buffer_clear(&c->in);
    count_in(c);
    session_end(c->session);
    output_added(c);
}

static void read_done(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    struct server *s = c->server;

    if (n == 0 || c->state == CONN_CLOSED) {
        return;
    }
    if (n == UV_EOF && c->state < CONN_LINGER) {
        half_closed(c);
        return;
    }
    if (n < 0) {
        conn_close(c);
        return;
    }
    if (c->state != CONN_OPEN) {
        return; /* Thrown away, see LINGER. */
    }
    s->stats.input_bytes += (uint64_t)n;
    c->read_ms = uv_now(s->loop);
    if ((uint8_t *)buf->base == s->scratch) {
        take_from_scratch(c, s->scratch, (size_t)n);
    } else {
        buffer_commit(&c->in, (size_t)n);
        take_from_in(c);
    }
}

static void read_start(struct conn *c)
{
    if (!c->reading) {
        c->reading = true;
        if (uv_read_start((uv_stream_t *)&c->tcp, read_alloc, read_done) != 0) {
            conn_close(c);
        }
    }
}

void conn_resume(struct conn *c)
{
    if (!c->paused || c->state != CONN_OPEN || !may_read(c)) {
        return;
    }
    c->paused = false;
    LIST_REMOVE(c, paused_entry);
    c->server->stats.n_paused--;
    if (buffer_size(&c->in) > 0) {
        c->server->resumed = true;
        take_from_in(c);
    }
    if (!c->paused && c->state == CONN_OPEN) {
        read_start(c);
    }
}

/* ---- life ---- */

static void refuse(struct conn *c)
{
    static const char text[] = "-ERR max number of clients reached\r\n";
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, sizeof text - 1);

    c->server->stats.n_refused++;
    /* A fresh socket takes these few bytes or is not worth waiting for. */
    uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (c->server->n_refused_here >= CONN_REFUSED_MAX) {
        conn_close(c); /* The words may be lost with it. */
        return;
    }
    c->refused = true;
    c->server->n_refused_here++;
    linger(c);
}

void conn_accept(struct server *s)
{
    struct conn *c = calloc(1, sizeof *c);
    char name[LISTEN_NAME_MAX], own[LISTEN_NAME_MAX];

    if (c == NULL) {
        return;
    }
    c->server = s;
    c->read_ms = uv_now(s->loop);
    c->progress_ms = c->read_ms;
    resp_parser_init(&c->parser, &s->options.limits);
    buffer_init(&c->in);
    uv_tcp_init(s->loop, &c->tcp);
    c->tcp.data = c;
    s->n_handles++;
    LIST_INSERT_HEAD(&s->all, c, all);
    if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->tcp) != 0) {
        conn_close(c);
        return;
    }
    listen_tune(&c->tcp, 60, 0);
    if (s->stats.n_clients >= s->options.max_clients) {
        refuse(c);
        return;
    }
    if (session_open(s->service, output_added, c, &c->session) != 0) {
        c->session = NULL;
        conn_close(c);
        return;
    }
    s->stats.n_clients++;
    listen_peer_name(&c->tcp, name);
    listen_own_name(&c->tcp, own);
    session_set_address(c->session, name, own);
    read_start(c);
}

void conn_evict(struct conn *c)
{
    char name[LISTEN_NAME_MAX];

    listen_peer_name(&c->tcp, name);
    trace_event(TRACE_WARN, "client_too_slow address=%s waiting_bytes=%zu",
                name, conn_waiting_bytes(c));
    conn_close(c);
}

void conn_check_time(struct conn *c, uint64_t now_ms)
{
    const struct server_options *o = &c->server->options;

    if (c->state == CONN_LINGER) {
        if (now_ms - c->progress_ms > CONN_LINGER_MS) {
            conn_close(c);
        }
        return;
    }
    if (c->chunk == NULL) {
        c->progress_ms = now_ms;
    } else if (now_ms - c->progress_ms > o->write_timeout_ms) {
        c->server->stats.n_slow++;
        conn_evict(c);
        return;
    }
    if (c->eof && c->chunk == NULL &&
        now_ms - c->read_ms > o->write_timeout_ms) {
        conn_close(c); /* It may be gone: only a write would tell. */
        return;
    }
    if (c->state == CONN_OPEN && !c->paused && buffer_size(&c->in) > 0 &&
        o->partial_timeout_ms > 0 &&
        now_ms - c->read_ms > o->partial_timeout_ms) {
        c->server->stats.n_partial++;
        fail(c, "ERR a command was begun and not completed in time (see "
                "--client-partial-timeout-ms)");
        count_in(c);
        return;
    }
    if (o->idle_timeout_ms > 0 && !c->paused && c->chunk == NULL &&
        now_ms - c->read_ms > o->idle_timeout_ms) {
        conn_close(c);
    }
}
