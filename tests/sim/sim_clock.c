/* A binary heap of events. */
#include "tests/sim/sim_clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void sim_clock_init(struct sim_clock *c)
{
    memset(c, 0, sizeof *c);
}

void sim_clock_close(struct sim_clock *c)
{
    free(c->heap);
    memset(c, 0, sizeof *c);
}

static bool before(const struct sim_event *x, const struct sim_event *y)
{
    return x->at_us != y->at_us ? x->at_us < y->at_us : x->order < y->order;
}

static void sift_up(struct sim_clock *c, size_t i)
{
    struct sim_event e = c->heap[i];

    while (i > 0 && before(&e, &c->heap[(i - 1) / 2])) {
        c->heap[i] = c->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    c->heap[i] = e;
}

static void sift_down(struct sim_clock *c, struct sim_event e)
{
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= c->n) {
            break;
        }
        if (child + 1 < c->n && before(&c->heap[child + 1], &c->heap[child])) {
            child++;
        }
        if (!before(&c->heap[child], &e)) {
            break;
        }
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = e;
}

void sim_clock_after(struct sim_clock *c, uint64_t delay_us, sim_event_cb cb,
                     void *ctx, uint64_t a, uint64_t b)
{
    if (c->n == c->capacity) {
        c->capacity = c->capacity == 0 ? 256 : 2 * c->capacity;
        c->heap = realloc(c->heap, c->capacity * sizeof *c->heap);
        assert(c->heap != NULL);
    }
    c->heap[c->n] = (struct sim_event){
        .at_us = c->now_us + delay_us,
        .order = c->n_scheduled++,
        .cb = cb,
        .ctx = ctx,
        .a = a,
        .b = b,
    };
    sift_up(c, c->n++);
}

bool sim_clock_step(struct sim_clock *c, uint64_t limit_us)
{
    struct sim_event e;

    if (c->n == 0 || c->heap[0].at_us > limit_us) {
        if (c->now_us < limit_us) {
            c->now_us = limit_us;
        }
        return false;
    }
    e = c->heap[0];
    c->n--;
    if (c->n > 0) {
        sift_down(c, c->heap[c->n]);
    }
    c->now_us = e.at_us;
    c->n_fired++;
    e.cb(e.ctx, e.a, e.b);
    return true;
}
