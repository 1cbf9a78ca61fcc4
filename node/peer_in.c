/* A connection that somebody dialled to us: greeting, then frames.
 *
 * hello complete, accepted -> welcome is queued, the connection takes the place
 *                             of an older one of the same peer and lane, and
 *                             frames are delivered as they complete
 * hello refused             -> the welcome says why, then the connection closes
 * nothing for PEER_ATTEMPT_MS, the oldest of too many that say nothing, bytes
 * that are no frame         -> closed */
#include "node/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/listen.h"
#include "node/trace.h"
#include "raftlog/block.h"

static void closed(uv_handle_t *handle)
{
    struct peer_in *in = handle->data;
    struct transport *t = in->transport;

    frame_reader_close(&in->reader);
    free(in);
    transport_handle_closed(t);
}

static void leave_pending(struct peer_in *in)
{
    if (in->link == NULL) {
        return;
    }
    *in->link = in->next;
    if (in->next != NULL) {
        in->next->link = in->link;
    }
    in->link = NULL;
    in->transport->n_pending--;
}

void peer_in_close(struct peer_in *in)
{
    struct peer *p = in->peer;

    if (in->closing) {
        return;
    }
    in->closing = true;
    leave_pending(in);
    uv_close((uv_handle_t *)&in->tcp, closed);
    if (p != NULL && p->in[in->lane] == in) {
        p->in[in->lane] = NULL;
        in->peer = NULL;
        peer_broken(p, in->lane);
    }
}

static void welcome_written(uv_write_t *req, int status)
{
    struct peer_in *in = req->data;

    if (status != 0 || in->refused) {
        peer_in_close(in);
    }
}

static void send_welcome(struct peer_in *in, struct welcome *w)
{
    uv_buf_t buf;

    if (w->reason == HANDSHAKE_ACCEPTED) {
        w->from = in->transport->self; /* a stranger gets words, no facts */
    }
    buf = uv_buf_init((char *)in->buffer,
                      (unsigned)welcome_encode(w, in->buffer));
    in->refused = w->reason != HANDSHAKE_ACCEPTED;
    in->welcome.data = in;
    if (uv_write(&in->welcome, (uv_stream_t *)&in->tcp, &buf, 1,
                 welcome_written) != 0) {
        peer_in_close(in);
    }
}

static void refuse(struct peer_in *in, struct peer *p, uint64_t from,
                   struct welcome *w)
{
    struct transport *t = in->transport;
    struct peer_log_limit *limit =
        p != NULL ? &p->refused_them : &t->refused_strangers;
    char quoted[HANDSHAKE_TEXT_MAX + 8];
    char name[LISTEN_NAME_MAX];

    if (peer_may_log(limit, uv_now(t->loop), PEER_REFUSAL_LOG_MS, w->reason)) {
        listen_peer_name(&in->tcp, name);
        trace_event(TRACE_WARN,
                    "peer_refused peer=%llu address=%s by=us reason=%s "
                    "text=%s",
                    (unsigned long long)from, name,
                    handshake_reason_name(w->reason),
                    trace_quote(quoted, sizeof quoted, w->text));
    }
    uv_read_stop((uv_stream_t *)&in->tcp);
    send_welcome(in, w);
}

static void refuse_bytes(struct peer_in *in, int rc,
                         const struct err_info *info)
{
    struct welcome w;

    memset(&w, 0, sizeof w);
    w.reason = rc == ERR_VERSION ? HANDSHAKE_VERSION : HANDSHAKE_MALFORMED;
    err_escape(w.text, sizeof w.text, info->message, strlen(info->message));
    refuse(in, NULL, 0, &w);
}

/* The connection now is the peer's; an older one goes with its bytes. */
static void take_place(struct peer_in *in, struct peer *p, enum wire_lane lane)
{
    struct peer_in *old = p->in[lane];

    leave_pending(in);
    in->peer = p;
    in->lane = lane;
    in->n_buffer = 0;
    listen_tune(&in->tcp, PEER_KEEPALIVE_S, 0);
    if (old != NULL) {
        peer_in_close(old);
    }
    p->in[lane] = in;
    p->refused_them.reason = HANDSHAKE_ACCEPTED;
    p->refused_them.last_ms = 0;
}

static void greeted(struct peer_in *in, const struct hello *hello)
{
    struct transport *t = in->transport;
    struct peer *p = transport_find(t, hello->from.id);
    struct handshake_known known = peer_known(p);
    struct welcome w;

    memset(&w, 0, sizeof w);
    w.reason = handshake_judge(&t->self, &hello->from, 0, &known, w.text);
    if (w.reason == HANDSHAKE_ACCEPTED && hello->to != t->self.id) {
        w.reason = HANDSHAKE_TARGET;
        snprintf(w.text, sizeof w.text,
                 "node %llu was dialled, this is node %llu (compare the "
                 "addresses of --initial-cluster)",
                 (unsigned long long)hello->to, (unsigned long long)t->self.id);
    }
    if (w.reason != HANDSHAKE_ACCEPTED) {
        refuse(in, p, hello->from.id, &w);
        return;
    }
    take_place(in, p, hello->lane);
    send_welcome(in, &w);
    peer_learn(p, &hello->from);
    peer_update(p);
    /* The peer is there: do not sit out a back-off. */
    for (int lane = 0; lane < WIRE_N_LANES; lane++) {
        p->out[lane].backoff_ms = PEER_BACKOFF_MIN_MS;
        peer_out_dial(&p->out[lane]);
    }
}

static void broken_stream(struct peer_in *in, const struct err_info *info)
{
    char quoted[256];

    trace_event(TRACE_WARN, "peer_stream_broken peer=%llu lane=%d text=%s",
                (unsigned long long)in->peer->id, (int)in->lane,
                trace_quote(quoted, sizeof quoted, info->message));
    peer_in_close(in);
}

static void deliver(struct peer_in *in, void *block, uint32_t size)
{
    struct transport *t = in->transport;

    in->peer->n_received++;
    t->events.receive(t->events.ctx, in->peer->id, block, size);
    block_unref(block);
}

static void take_frames(struct peer_in *in, const uint8_t *data, size_t size)
{
    struct err_info info;
    uint32_t block_size;
    void *block;
    size_t used;
    int rc;

    in->peer->received_bytes += size;
    /* Whatever receives a frame may make this connection close. */
    while (size > 0 && !in->closing) {
        rc = frame_reader_feed(&in->reader, data, size, &used, &block,
                               &block_size, &info);
        if (rc < 0) {
            broken_stream(in, &info);
            return;
        }
        data += used;
        size -= used;
        if (rc == FRAME_READY) {
            deliver(in, block, block_size);
        }
    }
}

static void take_direct(struct peer_in *in, size_t n)
{
    struct err_info info;
    uint32_t block_size;
    void *block;
    int rc;

    in->peer->received_bytes += n;
    rc = frame_reader_feed_room(&in->reader, n, &block, &block_size, &info);
    if (rc < 0) {
        broken_stream(in, &info);
    } else if (rc == FRAME_READY) {
        deliver(in, block, block_size);
    }
}

static void take_hello(struct peer_in *in, size_t n)
{
    struct err_info info;
    struct hello hello;
    size_t used;
    int rc;

    in->n_buffer += n;
    rc = hello_decode(in->buffer, in->n_buffer, &hello, &used, &info);
    if (rc == ERR_AGAIN && in->n_buffer < sizeof in->buffer) {
        return;
    }
    if (rc == 0 && used != in->n_buffer) {
        rc = err_set(&info, ERR_PROTOCOL, "bytes behind the hello");
    }
    if (rc == ERR_AGAIN) {
        err_set(&info, rc, "endless hello");
    }
    if (rc != 0) {
        refuse_bytes(in, rc, &info);
        return;
    }
    greeted(in, &hello);
}

static void read_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct peer_in *in = handle->data;
    size_t size;
    uint8_t *room;

    (void)suggested;
    if (in->peer == NULL) {
        *buf = uv_buf_init((char *)in->buffer + in->n_buffer,
                           (unsigned)(sizeof in->buffer - in->n_buffer));
        return;
    }
    room = frame_reader_room(&in->reader, &size);
    if (room == NULL) {
        room = in->transport->scratch;
        size = sizeof in->transport->scratch;
    }
    *buf = uv_buf_init((char *)room, (unsigned)size);
}

static void read_done(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer_in *in = stream->data;

    if (n == 0 || in->closing) {
        return;
    }
    if (n < 0) {
        peer_in_close(in);
        return;
    }
    if (in->peer == NULL) {
        take_hello(in, (size_t)n);
    } else if ((uint8_t *)buf->base == in->transport->scratch) {
        take_frames(in, (const uint8_t *)buf->base, (size_t)n);
    } else {
        take_direct(in, (size_t)n);
    }
}

/* New ones stand in front. */
static struct peer_in *oldest_pending(struct transport *t)
{
    struct peer_in *in = t->pending;

    while (in->next != NULL) {
        in = in->next;
    }
    return in;
}

/* Of too many that have not said who they are, the one goes that has had the
 * longest time for it: a node speaks at once. */
void peer_in_accept(struct transport *t)
{
    struct peer_in *in = calloc(1, sizeof *in);

    if (in == NULL) {
        return; /* The dialler gives up and tries again. */
    }
    in->transport = t;
    in->since_ms = uv_now(t->loop);
    frame_reader_init(&in->reader);
    uv_tcp_init(t->loop, &in->tcp);
    in->tcp.data = in;
    t->n_handles++;
    in->next = t->pending;
    in->link = &t->pending;
    if (in->next != NULL) {
        in->next->link = &in->next;
    }
    t->pending = in;
    t->n_pending++;
    if (t->n_pending > PEER_PENDING_MAX) {
        peer_in_close(oldest_pending(t));
    }
    if (uv_accept((uv_stream_t *)&t->listener, (uv_stream_t *)&in->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&in->tcp, read_alloc, read_done) != 0) {
        peer_in_close(in);
    }
}
