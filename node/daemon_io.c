/* struct replica_io over libuv: clocks, chance, messages, the thread pool, and
 * the end of the process when its disk can not be trusted. */
#include "node/daemon_private.h"

#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "node/trace.h"

uint64_t daemon_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

static uint64_t io_now_us(void *ctx)
{
    (void)ctx;
    return uv_hrtime() / 1000;
}

static uint64_t io_now_ms(void *ctx)
{
    (void)ctx;
    return daemon_now_ms();
}

static uint64_t io_clock_ms(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* xorshift64*: election timeouts and cursors need no more. */
static uint64_t io_random(void *ctx)
{
    struct daemon *d = ctx;

    d->random ^= d->random >> 12;
    d->random ^= d->random << 25;
    d->random ^= d->random >> 27;
    return d->random * UINT64_C(2685821657736338717);
}

static bool io_send(void *ctx, uint64_t to, const struct wire_frame *frame)
{
    struct daemon *d = ctx;

    return d->transport != NULL && transport_send(d->transport, to, frame);
}

static uint64_t io_queued_bytes(void *ctx, uint64_t to, enum wire_lane lane)
{
    struct daemon *d = ctx;

    return d->transport != NULL ? transport_queued_bytes(d->transport, to, lane)
                                : 0;
}

struct work {
    uv_work_t request;
    struct daemon *daemon;
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
};

static void work_run(uv_work_t *request)
{
    struct work *w = request->data;

    w->run(w->arg);
}

static void work_done(uv_work_t *request, int status)
{
    struct work *w = request->data;

    (void)status; /* Nothing is ever cancelled. */
    w->daemon->n_jobs--;
    w->done(w->arg);
    free(w);
}

static void io_fatal(void *ctx, const struct err_info *info)
{
    char text[ERR_MESSAGE_MAX + 8];

    (void)ctx;
    trace_event(TRACE_ERROR, "fatal error=%s text=%s", err_name(info->code),
                trace_quote(text, sizeof text, info->message));
    /* Nothing may be written any more, not even on the way out. */
    _exit(DAEMON_EXIT_FATAL);
}

static void io_work(void *ctx, void (*run)(void *arg), void (*done)(void *arg),
                    void *arg)
{
    struct daemon *d = ctx;
    struct work *w = malloc(sizeof *w);
    struct err_info info;

    if (w == NULL) {
        err_set(&info, ERR_NOMEM, "no memory to hand work to a thread");
        io_fatal(ctx, &info);
        return;
    }
    w->request.data = w;
    w->daemon = d;
    w->run = run;
    w->done = done;
    w->arg = arg;
    d->n_jobs++;
    /* Fails only without a callback. */
    uv_queue_work(&d->loop, &w->request, work_run, work_done);
}

static void io_trace(void *ctx, enum trace_level level, const char *line)
{
    (void)ctx;
    trace_line(level, line);
}

int daemon_io_init(struct daemon *d)
{
    ssize_t n = getrandom(&d->random, sizeof d->random, 0);

    if (n != (ssize_t)sizeof d->random) {
        return ERR_IO;
    }
    d->random |= 1; /* Zero would stay zero. */
    d->start_ms = daemon_now_ms();
    d->io.ctx = d;
    d->io.now_ms = io_now_ms;
    d->io.now_us = io_now_us;
    d->io.clock_ms = io_clock_ms;
    d->io.random = io_random;
    d->io.send = io_send;
    d->io.queued_bytes = io_queued_bytes;
    d->io.work = io_work;
    d->io.fatal = io_fatal;
    d->io.trace = io_trace;
    d->io.trace_max = trace_max();
    return 0;
}
