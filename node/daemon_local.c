/* The commands that are about the process: INFO, CONFIG, CLUSTER,
 * LASTSAVE. */
#include "node/daemon_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/cluster_command.h"
#include "node/config_command.h"
#include "node/info.h"
#include "node/resp.h"

#if defined(__SANITIZE_ADDRESS__)
#define DAEMON_BUILD "address"
#elif defined(__SANITIZE_THREAD__)
#define DAEMON_BUILD "thread"
#elif defined(CONCORDKV_DEBUG)
#define DAEMON_BUILD "debug"
#else
#define DAEMON_BUILD "release"
#endif

static uint64_t time_ms(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000;
}

static void fill_process(struct daemon *d, uint64_t leader,
                         struct info_process *p)
{
    const struct config *c = d->config;
    struct server_stats clients;
    struct address address;
    struct rusage usage;
    size_t rss = 0;

    memset(p, 0, sizeof *p);
    p->version = CONCORDKV_VERSION;
    p->build = DAEMON_BUILD;
    p->data_dir = c->data_dir;
    p->listen_client = c->listen_client;
    p->listen_peer = c->listen_peer;
    p->client_address = d->self.client_address;
    p->leader_client_address =
        leader != 0 ? transport_client_address(d->transport, leader) : NULL;
    p->cluster_id = d->self.cluster_id;
    p->pid = (uint64_t)getpid();
    if (address_parse(c->listen_client, &address, NULL) == 0) {
        p->port = strtoull(address.port, NULL, 10);
    }
    p->uptime_ms = daemon_now_ms() - d->start_ms;
    uv_resident_set_memory(&rss);
    p->rss_bytes = rss;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        p->rss_peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
        p->cpu_user_ms = time_ms(&usage.ru_utime);
        p->cpu_system_ms = time_ms(&usage.ru_stime);
    }
    server_get_stats(d->server, &clients);
    p->redirect = strcmp(c->redirect, "moved") == 0;
    p->clients_max = c->max_clients;
    p->n_clients_refused = clients.n_refused;
    p->n_clients_slow = clients.n_slow + clients.n_evicted;
    p->n_clients_partial = clients.n_partial + clients.n_query_refused;
    p->n_protocol_errors = clients.n_protocol_errors;
    p->query_bytes = clients.query_bytes;
    p->waiting_bytes = clients.waiting_bytes;
    p->net_in_bytes = clients.input_bytes;
    p->net_out_bytes = clients.output_bytes;
    p->loop_stall_us_max = d->stall_us_max;
    p->loop_us = &d->turn_us;
}

static void info_command(struct daemon *d, uint32_t argc,
                         const struct bytes *argv, struct buffer *reply)
{
    struct info_process process;

    fill_process(d, replica_leader(d->replica), &process);
    service_info(d->service, &process, argc, argv, reply);
}

static void reset_stats(void *ctx)
{
    struct daemon *d = ctx;

    service_reset_stats(d->service);
    server_reset_stats(d->server);
    d->stall_us_max = 0;
    histogram_reset(&d->turn_us);
}

/* Seconds since 1970, as in Redis; 0 when there is no snapshot. */
static void last_save(struct daemon *d, struct buffer *reply)
{
    struct replica_status status;

    replica_status(d->replica, &status);
    resp_integer(reply, (int64_t)(status.snapshot_ms / 1000));
}

static void cluster_nodes(struct daemon *d, const struct replica_status *st,
                          struct cluster_facts *f)
{
    struct transport_peer peer;

    for (unsigned i = 0; i < st->n_servers; i++) {
        struct cluster_node *node = &f->nodes[f->n++];
        node->id = st->servers[i].id;
        node->peer_address = st->servers[i].address;
        node->client_address =
            node->id == st->id
                ? d->self.client_address
                : transport_client_address(d->transport, node->id);
        node->connected = node->id == st->id;
    }
    for (unsigned i = 0; transport_get_peer(d->transport, i, &peer); i++) {
        f->n_sent += peer.n_sent;
        f->n_received += peer.n_received;
        for (unsigned k = 0; k < f->n; k++) {
            if (f->nodes[k].id == peer.id) {
                f->nodes[k].connected = peer.connected;
            }
        }
    }
}

static void cluster(struct daemon *d, bool resp3, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    struct replica_status status;
    struct cluster_facts facts;

    replica_status(d->replica, &status);
    memset(&facts, 0, sizeof facts);
    facts.cluster_id = d->self.cluster_id;
    facts.self_id = status.id;
    facts.leader_id = status.leader_id;
    facts.term = status.term;
    facts.applied_index = status.applied_index;
    facts.resp3 = resp3;
    cluster_nodes(d, &status, &facts);
    cluster_command(&facts, argc, argv, reply);
}

const char *daemon_client_address(void *ctx, uint64_t id)
{
    struct daemon *d = ctx;

    return d->transport != NULL ? transport_client_address(d->transport, id)
                                : "";
}

void daemon_local(void *ctx, struct session *session,
                  const struct command *command, uint32_t argc,
                  const struct bytes *argv, struct buffer *reply)
{
    struct daemon *d = ctx;
    const struct config_hooks hooks = {d, daemon_configure, reset_stats};

    switch (command->code) {
    case COMMAND_CODE_INFO:
        info_command(d, argc, argv, reply);
        break;
    case COMMAND_CODE_CONFIG:
        config_command(d->config, &hooks, argc, argv, reply);
        break;
    case COMMAND_CODE_CLUSTER:
        cluster(d, session_speaks_resp3(session), argc, argv, reply);
        break;
    case COMMAND_CODE_LASTSAVE:
        last_save(d, reply);
        break;
    default:
        resp_errorf(reply, "ERR '%s' is not carried out by this node",
                    command->name);
        break;
    }
}
