/* Start, loop turn and end of the node. */
#include "node/daemon.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "node/daemon_private.h"
#include "node/home.h"
#include "node/trace.h"

/* ---- the loop turn
 * ---------------------------------------------------------*/

static void deadline_over(uv_timer_t *timer)
{
    struct daemon *d = timer->data;
    uint64_t now = daemon_now_ms();

    d->deadline_ms = UINT64_MAX;
    if (now >= replica_deadline_ms(d->replica)) {
        replica_timer(d->replica);
    }
    if (now >= service_deadline_ms(d->service)) {
        service_timer(d->service);
    }
}

static void arm_deadline(struct daemon *d, bool at_once)
{
    uint64_t a = replica_deadline_ms(d->replica);
    uint64_t b = service_deadline_ms(d->service);
    uint64_t due = a < b ? a : b;
    uint64_t now;

    if (at_once) {
        due = 0;
    }
    if (due == d->deadline_ms && uv_is_active((uv_handle_t *)&d->deadline)) {
        return;
    }
    d->deadline_ms = due;
    if (due == UINT64_MAX) {
        uv_timer_stop(&d->deadline);
        return;
    }
    now = daemon_now_ms();
    uv_update_time(&d->loop); /* The delay counts from the loop's time. */
    uv_timer_start(&d->deadline, deadline_over, due > now ? due - now : 0, 0);
}

/* The time since the last turn's end that was not spent sleeping. */
static void measure_turn(struct daemon *d)
{
    uint64_t now = uv_hrtime();
    uint64_t idle = uv_metrics_idle_time(&d->loop);
    uint64_t busy_us = (now - d->turn_ns - (idle - d->turn_idle_ns)) / 1000;

    if (d->turn_ns != 0) {
        histogram_record(&d->turn_us, busy_us);
        if (busy_us > d->stall_us_max) {
            d->stall_us_max = busy_us;
        }
    }
    d->turn_ns = now;
    d->turn_idle_ns = idle;
}

/* Right before the loop sleeps, so after all callbacks of the turn. */
static void flush(uv_prepare_t *prepare)
{
    struct daemon *d = prepare->data;
    bool again = true;

    if (d->phase == DAEMON_STOPPED) {
        return;
    }
    for (int i = 0; again && i < DAEMON_FLUSHES_MAX; i++) {
        replica_flush(d->replica);
        transport_flush(d->transport);
        again = server_flush(d->server);
    }
    arm_deadline(d, again);
    measure_turn(d);
}

static void log_readable(uv_poll_t *poll, int status, int events)
{
    struct daemon *d = poll->data;

    (void)status;
    (void)events;
    replica_poll(d->replica);
}

static void frame_received(void *ctx, uint64_t from, void *block, uint32_t size)
{
    struct daemon *d = ctx;

    replica_receive(d->replica, from, block, size);
}

static void peer_changed(void *ctx, uint64_t id, bool connected)
{
    struct daemon *d = ctx;

    replica_peer(d->replica, id, connected);
}

/* ---- the end
 * ---------------------------------------------------------------*/

static void close_handles(struct daemon *d)
{
    d->phase = DAEMON_STOPPED;
    uv_close((uv_handle_t *)&d->deadline, NULL);
    uv_close((uv_handle_t *)&d->tick, NULL);
    uv_close((uv_handle_t *)&d->prepare, NULL);
    uv_close((uv_handle_t *)&d->signals[0], NULL);
    uv_close((uv_handle_t *)&d->signals[1], NULL);
    if (d->log_poll.data != NULL) {
        uv_close((uv_handle_t *)&d->log_poll, NULL);
    }
    if (d->server != NULL) {
        server_close(d->server);
        d->server = NULL;
    }
    if (d->transport != NULL) {
        transport_close(d->transport);
        d->transport = NULL;
    }
}

static void end_waiting(struct daemon *d)
{
    if (d->phase == DAEMON_DRAINING &&
        (service_drained(d->service) || daemon_now_ms() >= d->end_ms)) {
        d->phase = DAEMON_ENDING;
        server_stop_reading(d->server);
    }
    if (d->phase == DAEMON_ENDING &&
        ((service_pending(d->service) == 0 && server_is_flushed(d->server)) ||
         daemon_now_ms() >= d->end_ms)) {
        trace_event(TRACE_INFO, "stopping unanswered=%llu",
                    (unsigned long long)service_pending(d->service));
        close_handles(d);
        /* The loop would go on while the pool has jobs, and the done of one
         * may begin the next: of a snapshot, to its end. */
        uv_stop(&d->loop);
    }
}

static void tick(uv_timer_t *timer)
{
    struct daemon *d = timer->data;

    if (d->phase == DAEMON_RUNNING) {
        daemon_peers_sync(d);
    } else {
        end_waiting(d);
    }
}

static void signalled(uv_signal_t *handle, int number)
{
    struct daemon *d = handle->data;

    if (d->phase == DAEMON_STOPPED) {
        return;
    }
    if (d->phase != DAEMON_RUNNING) {
        d->end_ms = 0;
        end_waiting(d);
        return;
    }
    trace_event(TRACE_INFO, "draining signal=%d", number);
    d->phase = DAEMON_DRAINING;
    d->end_ms = daemon_now_ms() + d->config->drain_timeout_ms;
    server_stop_accepting(d->server);
    replica_drain(d->replica, 0);
    uv_timer_start(&d->tick, tick, 5, 5); /* From now on for end_waiting. */
}

/* ---- start
 * -----------------------------------------------------------------*/

static void raise_file_limit(const struct config *c)
{
    uint64_t needed = c->max_clients + 256;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed) {
        trace_event(TRACE_WARN,
                    "few_files limit=%llu needed=%llu (raise the limit of "
                    "open files or lower --max-clients)",
                    (unsigned long long)limit.rlim_max,
                    (unsigned long long)needed);
    }
}

static void init_handles(struct daemon *d)
{
    uv_timer_init(&d->loop, &d->deadline);
    uv_timer_init(&d->loop, &d->tick);
    uv_prepare_init(&d->loop, &d->prepare);
    uv_signal_init(&d->loop, &d->signals[0]);
    uv_signal_init(&d->loop, &d->signals[1]);
    d->deadline.data = d;
    d->tick.data = d;
    d->prepare.data = d;
    d->signals[0].data = d;
    d->signals[1].data = d;
    d->deadline_ms = UINT64_MAX;
}

static int open_service(struct daemon *d, struct err_info *info)
{
    struct service_options so;
    int rc;

    daemon_service_options(d->config, &so);
    rc = service_new(&so, &d->io, daemon_local, d, &d->service);
    if (rc != 0) {
        return err_set(info, rc, "cannot start: %s", err_text(rc));
    }
    return 0;
}

static int open_replica(struct daemon *d, struct err_info *info)
{
    const struct config *c = d->config;
    struct replica_options ro;
    struct replica_events events;
    bool member = false;
    int rc;

    for (unsigned i = 0; i < c->n_initial; i++) {
        member |= c->initial[i].id == c->id;
    }
    daemon_replica_options(c, &ro);
    memcpy(ro.cluster_id, d->self.cluster_id, sizeof ro.cluster_id);
    ro.initial = c->initial;
    ro.n_initial = member ? c->n_initial : 0;
    service_events(d->service, &events);
    rc = replica_open(&ro, &d->io, &events, &d->replica, info);
    if (rc == 0) {
        service_attach(d->service, d->replica);
    }
    return rc;
}

static int open_transport(struct daemon *d, struct err_info *info)
{
    const struct config *c = d->config;
    struct transport_options to;
    struct transport_events te;

    memset(&to, 0, sizeof to);
    to.listen_address = c->listen_peer;
    to.queue_bytes_max = c->peer_queue_bytes;
    /* Lost sooner than this, a slow network would only be made slower. */
    to.silence_ms = (unsigned)c->election_timeout_ms * 4;
    if (to.silence_ms < 2000) {
        to.silence_ms = 2000;
    }
    to.random_seed = d->io.random(d);
    te.ctx = d;
    te.receive = frame_received;
    te.peer = peer_changed;
    te.learned = daemon_peer_learned;
    return transport_open(&d->loop, &to, &te, &d->transport, info);
}

static int open_server(struct daemon *d, struct err_info *info)
{
    struct server_options so;

    daemon_server_options(d->config, &so);
    return server_open(&d->loop, &so, d->service, &d->server, info);
}

/* The ports first: if one is in use, nothing has been touched yet. */
static int open_all(struct daemon *d, struct config *config,
                    struct err_info *info)
{
    int rc = open_service(d, info);

    if (rc == 0) {
        rc = open_transport(d, info);
    }
    if (rc == 0) {
        rc = open_server(d, info);
    }
    if (rc == 0) {
        rc = home_open(config, &d->self, &d->lock, info);
    }
    if (rc != 0) {
        return rc;
    }
    trace_init(config->id, config->trace_max);
    transport_set_self(d->transport, &d->self);
    rc = open_replica(d, info);
    if (rc == 0) {
        daemon_peers_load(d);
        daemon_peers_sync(d);
    }
    return rc;
}

static int start(struct daemon *d, struct config *config, struct err_info *info)
{
    int rc = open_all(d, config, info);

    if (rc != 0) {
        return rc;
    }
    rc = uv_poll_init(&d->loop, &d->log_poll, replica_fd(d->replica));
    if (rc != 0) {
        return err_set(info, ERR_IO, "cannot watch the log: %s",
                       uv_strerror(rc));
    }
    d->log_poll.data = d;
    uv_poll_start(&d->log_poll, UV_READABLE, log_readable);
    uv_prepare_start(&d->prepare, flush);
    uv_timer_start(&d->tick, tick, DAEMON_TICK_MS, DAEMON_TICK_MS);
    uv_signal_start(&d->signals[0], signalled, SIGTERM);
    uv_signal_start(&d->signals[1], signalled, SIGINT);
    return 0;
}

static void tell_start(const struct daemon *d)
{
    const struct config *c = d->config;
    char id[2 * RAFTLOG_CLUSTER_ID_SIZE + 1];

    for (size_t i = 0; i < RAFTLOG_CLUSTER_ID_SIZE; i++) {
        snprintf(id + 2 * i, 3, "%02x", d->self.cluster_id[i]);
    }
    trace_event(TRACE_INFO,
                "started version=" CONCORDKV_VERSION
                " cluster=%s data_dir=%s listen_client=%s listen_peer=%s",
                id, c->data_dir, c->listen_client, c->listen_peer);
    daemon_tell_sync(c);
}

int daemon_run(struct config *config, struct err_info *info)
{
    struct daemon *d = calloc(1, sizeof *d);
    int status = DAEMON_EXIT_OK;

    if (d == NULL || uv_loop_init(&d->loop) != 0) {
        free(d);
        err_set(info, ERR_NOMEM, "cannot start: out of memory");
        return DAEMON_EXIT_START;
    }
    uv_loop_configure(&d->loop, UV_METRICS_IDLE_TIME);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit(config);
    d->config = config;
    init_handles(d);
    if (daemon_io_init(d) != 0) {
        err_set(info, ERR_IO, "cannot start: the system gives no randomness");
        status = DAEMON_EXIT_START;
    } else if (start(d, config, info) != 0) {
        status = DAEMON_EXIT_START;
    }
    if (status == DAEMON_EXIT_OK) {
        tell_start(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
    } else {
        close_handles(d);
    }
    /* The replica first: its last writes and jobs end here; then what the
     * pool still holds is called back. */
    if (d->replica != NULL) {
        replica_close(d->replica);
    }
    uv_run(&d->loop, UV_RUN_DEFAULT);
    assert(d->n_jobs == 0);
    if (d->service != NULL) {
        service_free(d->service);
    }
    if (uv_loop_close(&d->loop) != 0) {
        assert(false); /* A handle was forgotten. */
    }
    file_close(d->lock);
    free(d);
    if (status == DAEMON_EXIT_OK) {
        trace_event(TRACE_INFO, "stopped");
    }
    return status;
}
