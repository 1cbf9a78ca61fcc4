/* What the connections of one peer add up to: connected or not, who it is.
 *
 * events.peer tells connected = outgoing and incoming main connection are both
 * up. When the outgoing one breaks, the peer may be dead with its last bytes
 * still in our incoming socket: the loss is told when the incoming one has
 * ended too, or after PEER_GRACE_MS. An incoming connection that ends has
 * delivered everything, so its loss is told at once. */
#include "node/peer.h"

#include <stdlib.h>
#include <string.h>

#include "node/trace.h"

static void grace_over(uv_timer_t *timer)
{
    peer_update(timer->data);
}

int peer_new(struct transport *t, uint64_t id, struct peer **out)
{
    struct peer *p = calloc(1, sizeof *p);

    if (p == NULL) {
        return ERR_NOMEM;
    }
    p->transport = t;
    p->id = id;
    uv_timer_init(t->loop, &p->grace);
    p->grace.data = p;
    p->n_handles = 1;
    for (int lane = 0; lane < WIRE_N_LANES; lane++) {
        peer_out_init(&p->out[lane], p, (enum wire_lane)lane);
    }
    t->n_handles++;
    *out = p;
    return 0;
}

static void grace_closed(uv_handle_t *handle)
{
    peer_handle_closed(handle->data);
}

void peer_handle_closed(struct peer *p)
{
    struct transport *t = p->transport;

    p->n_handles--;
    if (p->n_handles == 0) {
        free(p);
        transport_handle_closed(t);
    }
}

void peer_close(struct peer *p)
{
    p->closing = true;
    for (int lane = 0; lane < WIRE_N_LANES; lane++) {
        peer_out_close(&p->out[lane]);
        if (p->in[lane] != NULL) {
            peer_in_close(p->in[lane]);
        }
    }
    uv_close((uv_handle_t *)&p->grace, grace_closed);
}

static void tell(struct peer *p, bool connected)
{
    struct transport *t = p->transport;

    p->connected = connected;
    if (connected) {
        p->n_connects++;
    }
    trace_event(TRACE_INFO, "%s peer=%llu address=%s client_address=%s",
                connected ? "peer_up" : "peer_down", (unsigned long long)p->id,
                p->address_text, p->client_address);
    t->events.peer(t->events.ctx, p->id, connected);
}

void peer_update(struct peer *p)
{
    bool up =
        p->out[WIRE_LANE_MAIN].state == OUT_UP && p->in[WIRE_LANE_MAIN] != NULL;

    if (p->closing) {
        return;
    }
    if (p->connected && (p->broken || !up)) {
        if (uv_is_active((uv_handle_t *)&p->grace)) {
            return;
        }
        p->broken = false;
        tell(p, false);
    }
    if (!p->connected && up) {
        p->broken = false;
        tell(p, true);
    }
}

void peer_broken(struct peer *p, enum wire_lane lane)
{
    if (lane != WIRE_LANE_MAIN || p->closing) {
        return;
    }
    p->broken = p->connected;
    if (p->connected && p->out[WIRE_LANE_MAIN].state != OUT_UP &&
        p->in[WIRE_LANE_MAIN] != NULL) {
        if (!uv_is_active((uv_handle_t *)&p->grace)) {
            uv_timer_start(&p->grace, grace_over, PEER_GRACE_MS, 0);
        }
        return;
    }
    uv_timer_stop(&p->grace);
    peer_update(p);
}

void peer_learn(struct peer *p, const struct handshake_node *node)
{
    struct transport *t = p->transport;

    memcpy(p->client_address, node->client_address, sizeof p->client_address);
    if (!p->has_instance) {
        p->has_instance = true;
        memcpy(p->instance, node->instance, sizeof p->instance);
        t->events.learned(t->events.ctx, p->id, p->instance);
    }
}

struct handshake_known peer_known(const struct peer *p)
{
    struct handshake_known known;

    memset(&known, 0, sizeof known);
    if (p != NULL) {
        known.member = true;
        known.has_instance = p->has_instance;
        memcpy(known.instance, p->instance, sizeof known.instance);
    }
    return known;
}

bool peer_may_log(struct peer_log_limit *limit, uint64_t now_ms,
                  uint64_t interval_ms, unsigned reason)
{
    if (limit->reason == reason && limit->last_ms != 0 &&
        now_ms - limit->last_ms < interval_ms) {
        return false;
    }
    limit->reason = reason;
    limit->last_ms = now_ms;
    return true;
}
