/* Links, streams and their events; the model is in sim_net.h.
 *
 * Happy path: send appends a message to the stream with the time at which it
 * will arrive; an event at that time pumps the stream, which delivers every
 * message at its head that is due. A cut or a paused receiver stops the pump;
 * heal and resume start it again.
 *
 * A break marks the end of each direction with a message of its own behind
 * what survives, so that the receiver learns of it after the last message. */
#include "tests/sim/sim_net.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "raftlog/block.h"

struct sim_net_message {
    struct sim_net_message *next;
    void *block; /* NULL: the connection ends here */
    size_t size;
    uint64_t at_us;
};

static struct sim_net_link *link_of(struct sim_net *net, unsigned a, unsigned b)
{
    return a < b ? &net->link[a][b] : &net->link[b][a];
}

static unsigned side_of(const struct sim_net_link *link, unsigned node)
{
    return link->node[1] == node;
}

static void message_free(struct sim_net_message *m)
{
    block_unref(m->block);
    free(m);
}

static void stream_clear(struct sim_net_stream *s)
{
    while (s->first != NULL) {
        struct sim_net_message *m = s->first;
        s->first = m->next;
        message_free(m);
    }
    s->last = NULL;
}

static void stream_append(struct sim_net_stream *s, struct sim_net_message *m)
{
    m->next = NULL;
    if (s->last != NULL) {
        s->last->next = m;
    } else {
        s->first = m;
    }
    s->last = m;
}

/* ---- delivering ---- */

static uint64_t stream_name(unsigned from, unsigned to, unsigned lane)
{
    return from | to << 8 | lane << 16;
}

static void tell(struct sim_net *net, struct sim_net_link *link, unsigned side,
                 bool connected)
{
    if (link->told[side] == connected || !net->up[link->node[side]]) {
        return;
    }
    link->told[side] = connected;
    net->hooks.peer(net->hooks.ctx, link->node[side], link->node[1 - side],
                    connected);
}

static void pump_due(void *ctx, uint64_t name, uint64_t epoch);

static void schedule_pump(struct sim_net *net, unsigned from, unsigned to,
                          unsigned lane, struct sim_net_stream *s)
{
    uint64_t at = s->first->at_us;
    uint64_t delay = at > net->clock->now_us ? at - net->clock->now_us : 0;

    sim_clock_after(net->clock, delay, pump_due, net,
                    stream_name(from, to, lane), s->epoch);
}

/* Deliver what is due; each message has an event of its own at its time, so
 * this need not schedule the next. */
static void pump(struct sim_net *net, unsigned from, unsigned to, unsigned lane)
{
    struct sim_net_link *link = link_of(net, from, to);
    struct sim_net_stream *s = &link->stream[side_of(link, from)][lane];

    while (s->first != NULL && s->first->at_us <= net->clock->now_us &&
           net->up[to] && !net->paused[to] &&
           (!net->cut[from][to] || s->first->block == NULL)) {
        struct sim_net_message *m = s->first;
        s->first = m->next;
        if (s->first == NULL) {
            s->last = NULL;
        }
        if (m->block == NULL) {
            if (lane == WIRE_LANE_MAIN) {
                tell(net, link, side_of(link, to), false);
            }
        } else {
            net->hooks.receive(net->hooks.ctx, to, from, m->block, m->size);
        }
        message_free(m);
    }
}

static void pump_due(void *ctx, uint64_t name, uint64_t epoch)
{
    struct sim_net *net = ctx;
    unsigned from = name & 0xff;
    unsigned to = name >> 8 & 0xff;
    unsigned lane = (unsigned)(name >> 16);
    struct sim_net_link *link = link_of(net, from, to);

    if (link->stream[side_of(link, from)][lane].epoch == epoch) {
        pump(net, from, to, lane);
    }
}

static void pump_from(struct sim_net *net, unsigned from, unsigned to)
{
    struct sim_net_link *link = link_of(net, from, to);

    for (unsigned lane = 0; lane < WIRE_N_LANES; lane++) {
        struct sim_net_stream *s = &link->stream[side_of(link, from)][lane];
        if (s->first != NULL) {
            schedule_pump(net, from, to, lane, s);
        }
    }
}

/* ---- connecting ---- */

static void dial_due(void *ctx, uint64_t name, uint64_t epoch);

static void dial_later(struct sim_net *net, struct sim_net_link *link)
{
    sim_clock_after(
        net->clock,
        sim_random_range(&net->random, 1000, net->options.dial_us_max),
        dial_due, net, stream_name(link->node[0], link->node[1], 0),
        link->epoch);
}

/* One side learns that the link is up. */
static void told_due(void *ctx, uint64_t name, uint64_t epoch)
{
    struct sim_net *net = ctx;
    unsigned node = name & 0xff;
    unsigned peer = name >> 8 & 0xff;
    struct sim_net_link *link = link_of(net, node, peer);

    if (link->epoch != epoch || !link->connected) {
        return;
    }
    if (net->paused[node]) {
        sim_clock_after(net->clock, 1000, told_due, net, name, epoch);
        return;
    }
    tell(net, link, side_of(link, node), true);
}

static bool reachable(const struct sim_net *net, unsigned a, unsigned b)
{
    return net->up[a] && net->up[b] && !net->cut[a][b] && !net->cut[b][a];
}

static void dial_due(void *ctx, uint64_t name, uint64_t epoch)
{
    struct sim_net *net = ctx;
    unsigned a = name & 0xff;
    unsigned b = name >> 8 & 0xff;
    struct sim_net_link *link = link_of(net, a, b);

    if (link->epoch != epoch || link->connected || !net->up[a] || !net->up[b]) {
        return;
    }
    /* The old connection must have been seen to end on both sides. */
    if (!reachable(net, a, b) || net->paused[a] || net->paused[b] ||
        link->told[0] || link->told[1]) {
        dial_later(net, link);
        return;
    }
    link->connected = true;
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned lane = 0; lane < WIRE_N_LANES; lane++) {
            struct sim_net_stream *s = &link->stream[side][lane];
            stream_clear(s);
            s->epoch++;
            s->busy_until_us = 0;
            s->delivers_at_us = 0;
        }
        sim_clock_after(
            net->clock,
            sim_random_range(&net->random, 0, 2 * net->options.latency_us_max),
            told_due, net,
            stream_name(link->node[side], link->node[1 - side], 0),
            link->epoch);
    }
}

/* ---- sending ---- */

static void *copy_frame(const struct wire_frame *frame)
{
    size_t size = (size_t)frame->head_size + frame->body_size;
    uint8_t *block = block_new(size);

    assert(block != NULL);
    memcpy(block, frame->head, frame->head_size);
    if (frame->body_size > 0) {
        memcpy(block + frame->head_size, frame->body_at, frame->body_size);
    }
    return block;
}

static void enqueue(struct sim_net *net, unsigned from, unsigned to,
                    unsigned lane, void *block, size_t size)
{
    struct sim_net_link *link = link_of(net, from, to);
    struct sim_net_stream *s = &link->stream[side_of(link, from)][lane];
    struct sim_net_message *m = calloc(1, sizeof *m);
    uint64_t now = net->clock->now_us;

    assert(m != NULL);
    if (s->busy_until_us < now) {
        s->busy_until_us = now;
    }
    s->busy_until_us += size * 1000000 / net->options.bytes_per_second;
    m->block = block;
    m->size = size;
    m->at_us = s->busy_until_us + sim_random_delay(&net->random,
                                                   net->options.latency_us_min,
                                                   net->options.latency_us_max);
    if (m->at_us < s->delivers_at_us) {
        m->at_us = s->delivers_at_us;
    }
    s->delivers_at_us = m->at_us;
    stream_append(s, m);
    sim_clock_after(net->clock, m->at_us - now, pump_due, net,
                    stream_name(from, to, lane), s->epoch);
}

static void replay_due(void *ctx, uint64_t number, uint64_t unused)
{
    struct sim_net *net = ctx;
    struct sim_net_replay **at = &net->replays;
    struct sim_net_replay *r;
    struct sim_net_link *link;

    (void)unused;
    while (*at != NULL && (*at)->number != number) {
        at = &(*at)->next;
    }
    r = *at;
    *at = r->next;
    link = link_of(net, r->from, r->to);
    if (link->connected && link->epoch == r->epoch) {
        enqueue(net, r->from, r->to, WIRE_LANE_MAIN, r->block, r->size);
    } else {
        block_unref(r->block);
    }
    free(r);
}

/* The message comes once more, after others that were sent later. */
static void replay_later(struct sim_net *net, unsigned from, unsigned to,
                         void *block, size_t size)
{
    struct sim_net_replay *r = calloc(1, sizeof *r);

    assert(r != NULL);
    r->number = net->n_replays++;
    r->from = from;
    r->to = to;
    r->epoch = link_of(net, from, to)->epoch;
    r->block = block_ref(block);
    r->size = size;
    r->next = net->replays;
    net->replays = r;
    sim_clock_after(
        net->clock,
        sim_random_delay(&net->random, 0, net->options.replay_us_max),
        replay_due, net, r->number, 0);
}

/* Swap the last message with the one before it. */
static void reorder(struct sim_net *net, struct sim_net_stream *s)
{
    struct sim_net_message *last = s->last;
    struct sim_net_message *m = s->first;
    void *block = last->block;
    size_t size = last->size;

    while (m != last && m->next != last) {
        m = m->next;
    }
    if (m == last || m->block == NULL) {
        return;
    }
    last->block = m->block;
    last->size = m->size;
    m->block = block;
    m->size = size;
    net->stats.n_reordered++;
}

uint64_t sim_net_queued(const struct sim_net *net, unsigned from, unsigned to,
                        enum wire_lane lane)
{
    const struct sim_net_link *link =
        from < to ? &net->link[from][to] : &net->link[to][from];
    const struct sim_net_stream *s = &link->stream[side_of(link, from)][lane];
    uint64_t now = net->clock->now_us;
    uint64_t bytes = 0;

    if (s->busy_until_us > now) {
        bytes =
            (s->busy_until_us - now) * net->options.bytes_per_second / 1000000;
    }
    /* What waits behind a cut or a pause is queued as well. */
    for (const struct sim_net_message *m = s->first;
         m != NULL && m->at_us <= now; m = m->next) {
        bytes += m->size;
    }
    return bytes;
}

bool sim_net_send(struct sim_net *net, unsigned from, unsigned to,
                  const struct wire_frame *frame)
{
    const struct sim_net_options *o = &net->options;
    size_t size = (size_t)frame->head_size + frame->body_size;
    struct sim_net_link *link;
    bool hostile = frame->lane == WIRE_LANE_MAIN;
    /* Forwarding counts its sendings: "once" rests on the connection. */
    bool twice = hostile && frame->head[0] != WIRE_FORWARD &&
                 frame->head[0] != WIRE_FORWARD_RESULT;
    void *block;

    if (to == 0 || to > net->n_nodes || to == from) {
        return false;
    }
    link = link_of(net, from, to);
    if (!link->connected || !link->told[side_of(link, from)] ||
        sim_net_queued(net, from, to, frame->lane) > o->queue_bytes_max) {
        return false;
    }
    if (hostile && sim_random_chance(&net->random, o->drop_permille)) {
        net->stats.n_dropped++;
        return true;
    }
    block = copy_frame(frame);
    enqueue(net, from, to, frame->lane, block, size);
    if (twice && sim_random_chance(&net->random, o->double_permille)) {
        net->stats.n_doubled++;
        replay_later(net, from, to, block, size);
    }
    if (hostile && sim_random_chance(&net->random, o->reorder_permille)) {
        reorder(net, &link->stream[side_of(link, from)][frame->lane]);
    }
    return true;
}

/* ---- breaking ---- */

/* Lose a tail of a stream and mark its end. all: lose everything. */
static void end_stream(struct sim_net *net, unsigned from, unsigned to,
                       unsigned lane, bool all, uint64_t delay_us)
{
    struct sim_net_link *link = link_of(net, from, to);
    struct sim_net_stream *s = &link->stream[side_of(link, from)][lane];
    struct sim_net_message **at = &s->first;
    size_t n = 0;
    uint64_t keep = 0;

    for (struct sim_net_message *m = s->first; m != NULL; m = m->next) {
        n++;
    }
    if (!all) {
        keep = sim_random_chance(&net->random, 500)
                   ? n
                   : sim_random_below(&net->random, n + 1);
    }
    s->last = NULL;
    for (uint64_t i = 0; i < keep; i++) {
        s->last = *at;
        at = &(*at)->next;
    }
    while (*at != NULL) {
        struct sim_net_message *m = *at;
        *at = m->next;
        message_free(m);
    }
    /* Not through enqueue: the end of a cut connection is local knowledge. */
    {
        struct sim_net_message *end = calloc(1, sizeof *end);
        uint64_t at_us = net->clock->now_us + delay_us;
        assert(end != NULL);
        if (s->last != NULL && s->last->at_us > at_us) {
            at_us = s->last->at_us;
        }
        end->at_us = at_us;
        stream_append(s, end);
        sim_clock_after(net->clock, at_us - net->clock->now_us, pump_due, net,
                        stream_name(from, to, lane), s->epoch);
    }
}

/* End both directions. silent_side: a node that sends nothing any more (dead),
 * or 2. */
static void end_link(struct sim_net *net, struct sim_net_link *link, bool all,
                     uint64_t delay_us)
{
    if (!link->connected) {
        return;
    }
    link->connected = false;
    link->epoch++;
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned lane = 0; lane < WIRE_N_LANES; lane++) {
            end_stream(net, link->node[side], link->node[1 - side], lane, all,
                       delay_us);
        }
    }
    dial_later(net, link);
}

void sim_net_break(struct sim_net *net, unsigned a, unsigned b)
{
    end_link(net, link_of(net, a, b), false,
             sim_random_range(&net->random, net->options.latency_us_min,
                              net->options.latency_us_max));
}

/* A cut has lasted for the silence limit. */
static void silence_due(void *ctx, uint64_t name, uint64_t epoch)
{
    struct sim_net *net = ctx;
    unsigned a = name & 0xff;
    unsigned b = name >> 8 & 0xff;
    struct sim_net_link *link = link_of(net, a, b);

    if (link->epoch == epoch && link->connected && (!reachable(net, a, b))) {
        end_link(net, link, true, 0);
    }
}

void sim_net_cut(struct sim_net *net, unsigned from, unsigned to, bool cut)
{
    struct sim_net_link *link = link_of(net, from, to);

    if (net->cut[from][to] == cut) {
        return;
    }
    net->cut[from][to] = cut;
    if (!cut) {
        pump_from(net, from, to);
        return;
    }
    sim_clock_after(net->clock,
                    sim_random_range(&net->random, net->options.silence_us / 2,
                                     net->options.silence_us),
                    silence_due, net, stream_name(from, to, 0), link->epoch);
}

void sim_net_heal(struct sim_net *net)
{
    for (unsigned a = 1; a <= net->n_nodes; a++) {
        for (unsigned b = 1; b <= net->n_nodes; b++) {
            sim_net_cut(net, a, b, false);
        }
    }
}

bool sim_net_told(const struct sim_net *net, unsigned node, unsigned peer)
{
    const struct sim_net_link *link =
        node < peer ? &net->link[node][peer] : &net->link[peer][node];

    return link->told[side_of(link, node)];
}

/* ---- nodes ---- */

void sim_net_start(struct sim_net *net, unsigned node)
{
    net->up[node] = true;
    net->paused[node] = false;
    for (unsigned peer = 1; peer <= net->n_nodes; peer++) {
        struct sim_net_link *link;
        if (peer == node) {
            continue;
        }
        link = link_of(net, node, peer);
        /* A peer that still believes in the old connection gets a reset. */
        if (link->connected) {
            end_link(net, link, true, net->options.latency_us_min);
        } else {
            dial_later(net, link);
        }
    }
}

void sim_net_stop(struct sim_net *net, unsigned node, bool silent)
{
    net->up[node] = false;
    for (unsigned peer = 1; peer <= net->n_nodes; peer++) {
        struct sim_net_link *link;
        if (peer == node) {
            continue;
        }
        link = link_of(net, node, peer);
        link->told[side_of(link, node)] = false;
        if (!link->connected) {
            continue;
        }
        if (silent) {
            sim_clock_after(
                net->clock,
                sim_random_range(&net->random, net->options.silence_us / 2,
                                 net->options.silence_us),
                silence_due, net, stream_name(node, peer, 0), link->epoch);
        } else {
            end_link(net, link, false,
                     sim_random_range(&net->random, net->options.latency_us_min,
                                      net->options.latency_us_max));
        }
    }
}

void sim_net_pause(struct sim_net *net, unsigned node, bool paused)
{
    net->paused[node] = paused;
    for (unsigned peer = 1; peer <= net->n_nodes && !paused; peer++) {
        if (peer != node) {
            pump_from(net, peer, node);
        }
    }
}

void sim_net_init(struct sim_net *net, unsigned n_nodes,
                  const struct sim_random *random, struct sim_clock *clock,
                  const struct sim_net_hooks *hooks)
{
    memset(net, 0, sizeof *net);
    assert(n_nodes <= SIM_NODES_MAX);
    net->n_nodes = n_nodes;
    sim_random_fork(random, "net", 0, &net->random);
    net->clock = clock;
    net->hooks = *hooks;
    net->options = (struct sim_net_options){
        .latency_us_min = 100,
        .latency_us_max = 2000,
        .bytes_per_second = 100 * 1000 * 1000,
        .queue_bytes_max = 8 * 1024 * 1024,
        .replay_us_max = 3 * 1000 * 1000,
        .silence_us = 2 * 1000 * 1000,
        .dial_us_max = 50 * 1000,
    };
    for (unsigned a = 1; a <= n_nodes; a++) {
        for (unsigned b = a + 1; b <= n_nodes; b++) {
            net->link[a][b].node[0] = a;
            net->link[a][b].node[1] = b;
        }
    }
}

void sim_net_close(struct sim_net *net)
{
    while (net->replays != NULL) {
        struct sim_net_replay *r = net->replays;
        net->replays = r->next;
        block_unref(r->block);
        free(r);
    }
    for (unsigned a = 1; a <= net->n_nodes; a++) {
        for (unsigned b = a + 1; b <= net->n_nodes; b++) {
            for (unsigned i = 0; i < 2 * WIRE_N_LANES; i++) {
                stream_clear(&net->link[a][b]
                                  .stream[i / WIRE_N_LANES][i % WIRE_N_LANES]);
            }
        }
    }
}
