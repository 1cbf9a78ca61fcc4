/* The connection we dial to a peer in one lane: dialling and sending.
 *
 * A frame that was accepted into the queue is sent whole or, when the
 * connection breaks, dropped with all behind it. At the end of a loop turn the
 * queue goes out in one gathering write; what the kernel does not take is lent
 * to a uv_write, and nothing more is written until that is through. */
#include "node/peer.h"

#include <stdlib.h>
#include <string.h>

#include "node/listen.h"
#include "node/trace.h"
#include "raftlog/block.h"

struct peer_dial {
    struct peer_out *out; /* NULL: given up, waits for its callbacks */
    uv_getaddrinfo_t resolve;
    bool resolving;
    uv_tcp_t tcp;
    bool tcp_closed;
    uv_connect_t connect;
    uv_write_t write;
    uint8_t hello[HANDSHAKE_MAX];
    uint8_t welcome[HANDSHAKE_MAX];
    size_t n_welcome;
};

static void dial_release(struct peer_dial *d)
{
    struct transport *t;

    if (d->resolving || !d->tcp_closed) {
        return;
    }
    t = d->tcp.data;
    free(d);
    transport_handle_closed(t);
}

static void dial_closed(uv_handle_t *handle)
{
    struct peer_dial *d =
        (struct peer_dial *)((char *)handle - offsetof(struct peer_dial, tcp));

    d->tcp_closed = true;
    dial_release(d);
}

/* ---- the queue
 * -------------------------------------------------------------*/

static void pop_frame(struct peer_out *o)
{
    struct peer_frame *f = o->first;

    o->first = f->next;
    if (o->first == NULL) {
        o->last = NULL;
    }
    block_unref(f->body);
    free(f);
}

static void drop_queue(struct peer_out *o)
{
    while (o->first != NULL) {
        pop_frame(o);
        o->peer->n_dropped++;
    }
    o->queued_bytes = 0;
    o->first_sent = 0;
    o->n_writing = 0;
}

/* size bytes from the front were taken by the kernel. */
static void consume(struct peer_out *o, size_t size)
{
    o->queued_bytes -= size;
    o->peer->sent_bytes += size;
    while (size > 0) {
        size_t left =
            o->first->front_size + (size_t)o->first->body_size - o->first_sent;

        if (size < left) {
            o->first_sent += size;
            return;
        }
        size -= left;
        o->first_sent = 0;
        o->peer->n_sent++;
        pop_frame(o);
    }
}

bool peer_out_send(struct peer_out *o, const struct wire_frame *frame)
{
    struct transport *t = o->peer->transport;
    uint32_t front_size = FRAME_HEADER_SIZE + frame->head_size;
    uint64_t size = (uint64_t)front_size + frame->body_size;
    struct peer_frame *f = NULL;

    /* One frame always fits, however small the limit. */
    if (o->state == OUT_UP && (o->queued_bytes == 0 ||
                               o->queued_bytes + size <= t->queue_bytes_max)) {
        f = malloc(sizeof *f + front_size);
    }
    if (f == NULL) {
        o->peer->n_dropped++;
        return false;
    }
    f->next = NULL;
    f->body = block_ref(frame->body);
    f->body_at = frame->body_at;
    f->body_size = frame->body_size;
    f->front_size = front_size;
    frame_header(f->front, frame->head, frame->head_size, frame->body_at,
                 frame->body_size);
    memcpy(f->front + FRAME_HEADER_SIZE, frame->head, frame->head_size);
    if (o->last != NULL) {
        o->last->next = f;
    } else {
        o->first = f;
    }
    o->last = f;
    o->queued_bytes += size;
    if (!o->dirty) {
        o->dirty = true;
        o->dirty_next = t->dirty;
        t->dirty = o;
    }
    return true;
}

/* ---- back-off
 * --------------------------------------------------------------*/

static void waited(uv_timer_t *timer)
{
    peer_out_dial(timer->data);
}

/* The attempt or the connection is over: drop it and wait. */
static void lost(struct peer_out *o, bool patient)
{
    struct peer *p = o->peer;
    bool was_up = o->state == OUT_UP;
    struct peer_dial *d = o->dial;
    uint64_t delay;

    if (d != NULL) {
        o->dial = NULL;
        d->out = NULL;
        if (d->resolving) {
            uv_cancel((uv_req_t *)&d->resolve);
        }
        uv_close((uv_handle_t *)&d->tcp, dial_closed);
    }
    drop_queue(o);
    o->state = OUT_WAITING;
    if (p->closing) {
        return;
    }
    if (patient) {
        o->backoff_ms = PEER_BACKOFF_MAX_MS;
    }
    /* Between half of the back-off and all of it. */
    delay = o->backoff_ms / 2 +
            transport_random(p->transport) % (o->backoff_ms / 2 + 1);
    o->backoff_ms = o->backoff_ms * 2 < PEER_BACKOFF_MAX_MS
                        ? o->backoff_ms * 2
                        : PEER_BACKOFF_MAX_MS;
    uv_timer_start(&o->timer, waited, delay, 0);
    if (was_up) {
        peer_broken(p, o->lane);
    }
}

static void failed(struct peer_out *o, const char *what, int uv_code)
{
    struct peer *p = o->peer;
    bool was_up = o->state == OUT_UP;
    char text[128];

    if (was_up || peer_may_log(&o->failures, uv_now(p->transport->loop),
                               PEER_FAILURE_LOG_MS, (unsigned)-uv_code)) {
        trace_event(o->lane == WIRE_LANE_MAIN ? TRACE_INFO : TRACE_DEBUG,
                    "%s peer=%llu lane=%d address=%s at=%s error=%s",
                    was_up ? "peer_connection_lost" : "peer_unreachable",
                    (unsigned long long)p->id, (int)o->lane, p->address_text,
                    what, trace_quote(text, sizeof text, uv_strerror(uv_code)));
    }
    lost(o, false);
}

/* ---- the connection once it is up
 * ------------------------------------------*/

static size_t gather(struct peer_out *o, uv_buf_t *bufs, unsigned *n_bufs,
                     unsigned *n_frames)
{
    size_t skip = o->first_sent;
    size_t total = 0;

    *n_bufs = 0;
    *n_frames = 0;
    for (struct peer_frame *f = o->first;
         f != NULL && *n_frames < PEER_WRITE_FRAMES; f = f->next) {
        const uint8_t *body = f->body_at;

        if (skip < f->front_size) {
            bufs[(*n_bufs)++] = uv_buf_init((char *)f->front + skip,
                                            f->front_size - (unsigned)skip);
            total += f->front_size - skip;
            skip = 0;
        } else {
            skip -= f->front_size;
        }
        if (f->body_size > skip) {
            uv_buf_t b;
            b.base = (char *)(uintptr_t)(body + skip);
            b.len = f->body_size - skip;
            bufs[(*n_bufs)++] = b;
            total += b.len;
        }
        skip = 0;
        (*n_frames)++;
    }
    return total;
}

static void written(uv_write_t *req, int status)
{
    struct peer_dial *d = req->data;
    struct peer_out *o = d->out;
    size_t size = 0;
    struct peer_frame *f;

    if (o == NULL) {
        return;
    }
    if (status != 0) {
        failed(o, "write", status);
        return;
    }
    f = o->first;
    for (unsigned i = 0; i < o->n_writing; i++, f = f->next) {
        size += f->front_size + (size_t)f->body_size;
    }
    size -= o->first_sent;
    o->n_writing = 0;
    consume(o, size);
    peer_out_flush(o);
}

void peer_out_flush(struct peer_out *o)
{
    uv_buf_t bufs[2 * PEER_WRITE_FRAMES];
    unsigned n_bufs, n_frames;
    uv_stream_t *stream;
    size_t size;
    int n;

    if (o->state != OUT_UP) {
        return;
    }
    stream = (uv_stream_t *)&o->dial->tcp;
    while (o->first != NULL && o->n_writing == 0) {
        size = gather(o, bufs, &n_bufs, &n_frames);
        n = uv_try_write(stream, bufs, n_bufs);
        if (n < 0 && n != UV_EAGAIN) {
            failed(o, "write", n);
            return;
        }
        if (n > 0) {
            consume(o, (size_t)n);
        }
        if (n > 0 && (size_t)n == size) {
            continue;
        }
        gather(o, bufs, &n_bufs, &n_frames);
        o->dial->write.data = o->dial;
        n = uv_write(&o->dial->write, stream, bufs, n_bufs, written);
        if (n != 0) {
            failed(o, "write", n);
            return;
        }
        o->n_writing = n_frames;
    }
}

/* ---- dialling
 * --------------------------------------------------------------*/

static void refused(struct peer_out *o, enum handshake_reason reason,
                    const char *by, const char *text)
{
    struct peer *p = o->peer;
    char quoted[HANDSHAKE_TEXT_MAX + 8];

    if (peer_may_log(&p->refused_us, uv_now(p->transport->loop),
                     PEER_REFUSAL_LOG_MS, reason)) {
        trace_event(TRACE_WARN,
                    "peer_refused peer=%llu lane=%d address=%s by=%s reason=%s "
                    "text=%s",
                    (unsigned long long)p->id, (int)o->lane, p->address_text,
                    by, handshake_reason_name(reason),
                    trace_quote(quoted, sizeof quoted, text));
    }
    lost(o, true);
}

/* The welcome is complete: it accepts us, and we accept who sent it. */
static void welcomed(struct peer_out *o, const struct welcome *w)
{
    struct peer *p = o->peer;
    struct handshake_known known = peer_known(p);
    enum handshake_reason reason;
    char text[HANDSHAKE_TEXT_MAX + 1];

    if (w->reason != HANDSHAKE_ACCEPTED) {
        refused(o, (enum handshake_reason)w->reason, "them", w->text);
        return;
    }
    reason =
        handshake_judge(&p->transport->self, &w->from, p->id, &known, text);
    if (reason != HANDSHAKE_ACCEPTED) {
        refused(o, reason, "us", text);
        return;
    }
    uv_timer_stop(&o->timer);
    p->refused_us.reason = HANDSHAKE_ACCEPTED;
    p->refused_us.last_ms = 0;
    o->failures.last_ms = 0;
    o->state = OUT_UP;
    o->backoff_ms = PEER_BACKOFF_MIN_MS;
    peer_learn(p, &w->from);
    peer_update(p);
}

static void read_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer_dial *d =
        (struct peer_dial *)((char *)handle - offsetof(struct peer_dial, tcp));

    (void)suggested;
    *buf = uv_buf_init((char *)d->welcome + d->n_welcome,
                       (unsigned)(sizeof d->welcome - d->n_welcome));
}

/* Only the welcome ever comes; afterwards we read to see the end. */
static void read_done(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer_dial *d =
        (struct peer_dial *)((char *)stream - offsetof(struct peer_dial, tcp));
    struct peer_out *o = d->out;
    struct err_info info;
    struct welcome w;
    size_t used;
    int rc;

    (void)buf;
    if (o == NULL || n == 0) {
        return;
    }
    if (n < 0) {
        failed(o, o->state == OUT_UP ? "read" : "greeting", (int)n);
        return;
    }
    if (o->state == OUT_UP) {
        failed(o, "unexpected_bytes", UV_EPROTO);
        return;
    }
    d->n_welcome += (size_t)n;
    rc = welcome_decode(d->welcome, d->n_welcome, &w, &used, &info);
    if (rc == ERR_AGAIN && d->n_welcome < sizeof d->welcome) {
        return;
    }
    if (rc != 0) {
        refused(o, rc == ERR_VERSION ? HANDSHAKE_VERSION : HANDSHAKE_MALFORMED,
                "us", rc == ERR_AGAIN ? "endless welcome" : info.message);
        return;
    }
    d->n_welcome = 0;
    welcomed(o, &w);
}

static void hello_written(uv_write_t *req, int status)
{
    struct peer_dial *d = req->data;

    if (d->out != NULL && status != 0) {
        failed(d->out, "greeting", status);
    }
}

static void connected(uv_connect_t *req, int status)
{
    struct peer_dial *d = req->data;
    struct peer_out *o = d->out;
    struct hello hello;
    uv_buf_t buf;
    int rc;

    if (o == NULL) {
        return;
    }
    if (status != 0) {
        failed(o, "connect", status);
        return;
    }
    listen_tune(&d->tcp, PEER_KEEPALIVE_S, o->peer->transport->silence_ms);
    memset(&hello, 0, sizeof hello);
    hello.from = o->peer->transport->self;
    hello.to = o->peer->id;
    hello.lane = o->lane;
    buf =
        uv_buf_init((char *)d->hello, (unsigned)hello_encode(&hello, d->hello));
    d->write.data = d;
    rc = uv_write(&d->write, (uv_stream_t *)&d->tcp, &buf, 1, hello_written);
    if (rc == 0) {
        rc = uv_read_start((uv_stream_t *)&d->tcp, read_alloc, read_done);
    }
    if (rc != 0) {
        failed(o, "greeting", rc);
    }
}

static void connect_to(struct peer_out *o, const struct sockaddr *address)
{
    struct peer_dial *d = o->dial;
    int rc;

    o->state = OUT_GREETING;
    d->connect.data = d;
    rc = uv_tcp_connect(&d->connect, &d->tcp, address, connected);
    if (rc != 0) {
        failed(o, "connect", rc);
    }
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct peer_dial *d = req->data;
    struct peer_out *o = d->out;
    struct addrinfo *at = list;
    unsigned count = 0;

    d->resolving = false;
    if (o == NULL) {
        uv_freeaddrinfo(list);
        dial_release(d);
        return;
    }
    if (status != 0 || list == NULL) {
        uv_freeaddrinfo(list);
        failed(o, "resolve", status != 0 ? status : UV_EAI_NODATA);
        return;
    }
    for (struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        count++;
    }
    for (unsigned i = o->n_attempts % count; i > 0; i--) {
        at = at->ai_next;
    }
    connect_to(o, at->ai_addr);
    uv_freeaddrinfo(list);
}

static void took_too_long(uv_timer_t *timer)
{
    failed(timer->data, "timeout", UV_ETIMEDOUT);
}

/* Numbers need no resolver. */
static bool connect_numeric(struct peer_out *o)
{
    const struct address *a = &o->peer->address;
    int port = atoi(a->port);
    struct sockaddr_in in;
    struct sockaddr_in6 in6;

    if (uv_ip4_addr(a->host, port, &in) == 0) {
        connect_to(o, (const struct sockaddr *)&in);
        return true;
    }
    if (uv_ip6_addr(a->host, port, &in6) == 0) {
        connect_to(o, (const struct sockaddr *)&in6);
        return true;
    }
    return false;
}

void peer_out_dial(struct peer_out *o)
{
    struct transport *t = o->peer->transport;
    struct addrinfo hints;
    struct peer_dial *d;
    int rc;

    if (o->state != OUT_WAITING || o->peer->closing) {
        return;
    }
    d = calloc(1, sizeof *d);
    if (d == NULL) {
        lost(o, true);
        return;
    }
    uv_tcp_init(t->loop, &d->tcp);
    d->tcp.data = t;
    t->n_handles++;
    d->out = o;
    o->dial = d;
    o->n_attempts++;
    o->state = OUT_RESOLVING;
    uv_timer_start(&o->timer, took_too_long, PEER_ATTEMPT_MS, 0);
    if (connect_numeric(o)) {
        return;
    }
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    d->resolve.data = d;
    d->resolving = true;
    rc = uv_getaddrinfo(t->loop, &d->resolve, resolved, o->peer->address.host,
                        o->peer->address.port, &hints);
    if (rc != 0) {
        d->resolving = false;
        failed(o, "resolve", rc);
    }
}

void peer_out_redial(struct peer_out *o)
{
    if (o->state != OUT_WAITING) {
        lost(o, false);
    }
    peer_out_dial(o);
}

int peer_out_init(struct peer_out *o, struct peer *p, enum wire_lane lane)
{
    o->peer = p;
    o->lane = lane;
    o->backoff_ms = PEER_BACKOFF_MIN_MS;
    o->timer.data = o;
    p->n_handles++;
    return uv_timer_init(p->transport->loop, &o->timer);
}

static void timer_closed(uv_handle_t *handle)
{
    struct peer_out *o = handle->data;

    peer_handle_closed(o->peer);
}

void peer_out_close(struct peer_out *o)
{
    struct transport *t = o->peer->transport;

    lost(o, false);
    for (struct peer_out **at = &t->dirty; *at != NULL;
         at = &(*at)->dirty_next) {
        if (*at == o) {
            *at = o->dirty_next;
            break;
        }
    }
    uv_close((uv_handle_t *)&o->timer, timer_closed);
}
