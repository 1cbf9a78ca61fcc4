/* The table of peers, the listening socket and the public functions. */
#include "node/transport.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/listen.h"
#include "node/peer.h"
#include "node/trace.h"

enum { SWEEP_MS = 500 };

/* splitmix64: jitter needs no more. */
uint64_t transport_random(struct transport *t)
{
    uint64_t z = (t->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct peer *transport_find(const struct transport *t, uint64_t id)
{
    for (unsigned i = 0; i < t->n_peers; i++) {
        if (t->peers[i]->id == id) {
            return t->peers[i];
        }
    }
    return NULL;
}

void transport_handle_closed(struct transport *t)
{
    assert(t->n_handles > 0);
    t->n_handles--;
    if (t->n_handles == 0) {
        assert(t->closing);
        free(t);
    }
}

static void own_handle_closed(uv_handle_t *handle)
{
    transport_handle_closed(handle->data);
}

static void incoming(uv_stream_t *listener, int status)
{
    if (status == 0) {
        peer_in_accept(listener->data);
    }
}

/* Whoever connects and says nothing is not waited for. */
static void sweep(uv_timer_t *timer)
{
    struct transport *t = timer->data;
    struct peer_in *next;

    for (struct peer_in *in = t->pending; in != NULL; in = next) {
        next = in->next;
        if (uv_now(t->loop) - in->since_ms > PEER_ATTEMPT_MS) {
            peer_in_close(in);
        }
    }
}

int transport_open(uv_loop_t *loop, const struct transport_options *options,
                   const struct transport_events *events,
                   struct transport **out, struct err_info *info)
{
    struct transport *t = calloc(1, sizeof *t);
    int rc;

    if (t == NULL) {
        return err_set(info, ERR_NOMEM, "no memory for the transport");
    }
    t->loop = loop;
    t->events = *events;
    t->queue_bytes_max = options->queue_bytes_max;
    t->silence_ms = options->silence_ms;
    t->random = options->random_seed;
    uv_tcp_init(loop, &t->listener);
    t->listener.data = t;
    uv_timer_init(loop, &t->sweep);
    t->sweep.data = t;
    t->n_handles = 2;
    rc = listen_start(&t->listener, options->listen_address, "listen-peer",
                      incoming, info);
    if (rc != 0) {
        transport_close(t);
        return rc;
    }
    uv_timer_start(&t->sweep, sweep, SWEEP_MS, SWEEP_MS);
    *out = t;
    return 0;
}

void transport_set_self(struct transport *t, const struct handshake_node *self)
{
    t->self = *self;
}

void transport_close(struct transport *t)
{
    t->closing = true;
    while (t->n_peers > 0) {
        peer_close(t->peers[--t->n_peers]);
    }
    while (t->pending != NULL) {
        peer_in_close(t->pending);
    }
    uv_close((uv_handle_t *)&t->sweep, own_handle_closed);
    uv_close((uv_handle_t *)&t->listener, own_handle_closed);
}

static void insert_peer(struct transport *t, struct peer *p)
{
    unsigned i = t->n_peers++;

    while (i > 0 && t->peers[i - 1]->id > p->id) {
        t->peers[i] = t->peers[i - 1];
        i--;
    }
    t->peers[i] = p;
}

int transport_set_peer(struct transport *t, uint64_t id, const char *address)
{
    struct peer *p = transport_find(t, id);
    struct address parsed;
    int rc;

    if (id == t->self.id ||
        (p != NULL && strcmp(p->address_text, address) == 0)) {
        return 0;
    }
    rc = address_parse(address, &parsed, NULL);
    if (rc != 0) {
        return rc;
    }
    if (p == NULL) {
        if (t->n_peers == TRANSPORT_PEERS_MAX) {
            return ERR_TOOBIG;
        }
        rc = peer_new(t, id, &p);
        if (rc != 0) {
            return rc;
        }
        insert_peer(t, p);
    }
    p->address = parsed;
    memset(p->address_text, 0, sizeof p->address_text);
    memcpy(p->address_text, address, strlen(address));
    for (int lane = 0; lane < WIRE_N_LANES; lane++) {
        peer_out_redial(&p->out[lane]);
    }
    return 0;
}

void transport_remove_peer(struct transport *t, uint64_t id)
{
    for (unsigned i = 0; i < t->n_peers; i++) {
        struct peer *p = t->peers[i];

        if (p->id != id) {
            continue;
        }
        t->n_peers--;
        memmove(&t->peers[i], &t->peers[i + 1],
                (t->n_peers - i) * sizeof(struct peer *));
        if (p->connected) {
            t->events.peer(t->events.ctx, id, false);
        }
        peer_close(p);
        return;
    }
}

void transport_set_instance(struct transport *t, uint64_t id,
                            const uint8_t *instance)
{
    struct peer *p = transport_find(t, id);

    if (p != NULL) {
        p->has_instance = true;
        memcpy(p->instance, instance, sizeof p->instance);
    }
}

bool transport_send(struct transport *t, uint64_t to,
                    const struct wire_frame *frame)
{
    struct peer *p = transport_find(t, to);

    if (p == NULL || !p->connected) {
        return false;
    }
    return peer_out_send(&p->out[frame->lane], frame);
}

uint64_t transport_queued_bytes(const struct transport *t, uint64_t to,
                                enum wire_lane lane)
{
    const struct peer *p = transport_find(t, to);

    return p != NULL ? p->out[lane].queued_bytes : 0;
}

void transport_flush(struct transport *t)
{
    while (t->dirty != NULL) {
        struct peer_out *o = t->dirty;

        t->dirty = o->dirty_next;
        o->dirty = false;
        peer_out_flush(o);
    }
}

bool transport_get_peer(const struct transport *t, unsigned i,
                        struct transport_peer *out)
{
    const struct peer *p;

    if (i >= t->n_peers) {
        return false;
    }
    p = t->peers[i];
    memset(out, 0, sizeof *out);
    out->id = p->id;
    memcpy(out->address, p->address_text, sizeof out->address);
    memcpy(out->client_address, p->client_address, sizeof out->client_address);
    out->connected = p->connected;
    out->queued_bytes = p->out[WIRE_LANE_MAIN].queued_bytes +
                        p->out[WIRE_LANE_BULK].queued_bytes;
    out->n_sent = p->n_sent;
    out->n_received = p->n_received;
    out->n_dropped = p->n_dropped;
    out->sent_bytes = p->sent_bytes;
    out->received_bytes = p->received_bytes;
    out->n_connects = p->n_connects;
    out->refusal = p->refused_us.reason;
    return true;
}

const char *transport_client_address(const struct transport *t, uint64_t id)
{
    const struct peer *p = transport_find(t, id);

    if (id == t->self.id) {
        return t->self.client_address;
    }
    return p != NULL ? p->client_address : "";
}
