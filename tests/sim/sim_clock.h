/* Virtual time and the events that wait for it.
 *
 * One heap of events, ordered by time and, at equal times, by the order in
 * which they were scheduled: nothing else decides what happens next, so equal
 * seeds give equal runs. Events own nothing: whoever schedules one keeps what
 * it points to and recognises events that have become stale. */
#ifndef SIM_CLOCK_H
#define SIM_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void (*sim_event_cb)(void *ctx, uint64_t a, uint64_t b);

struct sim_event {
    uint64_t at_us;
    uint64_t order;
    sim_event_cb cb;
    void *ctx;
    uint64_t a, b;
};

struct sim_clock {
    uint64_t now_us;
    uint64_t n_scheduled;
    uint64_t n_fired;
    struct sim_event *heap;
    size_t n;
    size_t capacity;
};

void sim_clock_init(struct sim_clock *c);
void sim_clock_close(struct sim_clock *c);
/* Call cb(ctx, a, b) when delay_us has passed. */
void sim_clock_after(struct sim_clock *c, uint64_t delay_us, sim_event_cb cb,
                     void *ctx, uint64_t a, uint64_t b);
/* Fire the next event if it is due at or before limit_us. When there is none,
 * time moves to limit_us and the answer is false. */
bool sim_clock_step(struct sim_clock *c, uint64_t limit_us);

#endif
