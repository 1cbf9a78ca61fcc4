/* The replies of CLUSTER, in the forms of Redis 7. See cluster_command.h. */
#include "node/cluster_command.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/address.h"
#include "node/command.h"
#include "node/key_slot.h"
#include "node/resp.h"

enum { NODE_ID_SIZE = 41 }; /* 40 hexadecimal digits and NUL */

/* The same on every node: half of the cluster id, then the node's. */
static void node_id(const struct cluster_facts *f, uint64_t id,
                    char out[NODE_ID_SIZE])
{
    for (unsigned i = 0; i < 12; i++) {
        snprintf(out + 2 * (size_t)i, 3, "%02x", f->cluster_id[i]);
    }
    snprintf(out + 24, NODE_ID_SIZE - 24, "%016" PRIx64, id);
}

/* Host and port of a text; an empty host and 0 when it is none. */
static void split(const char *text, struct address *out, uint64_t *port)
{
    memset(out, 0, sizeof *out);
    *port = 0;
    if (text[0] != '\0' && address_parse(text, out, NULL) == 0) {
        *port = strtoull(out->port, NULL, 10);
    }
}

static bool has_leader(const struct cluster_facts *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (f->leader_id != 0 && f->nodes[i].id == f->leader_id) {
            return true;
        }
    }
    return false;
}

static void reply_buffer(struct buffer *reply, struct buffer *text)
{
    if (text->failed) {
        resp_error(reply, "ERR out of memory");
    } else {
        resp_bulk(reply, buffer_data(text), buffer_size(text));
    }
    buffer_close(text);
}

/* ---- INFO and NODES ---- */

static void info(const struct cluster_facts *f, struct buffer *reply)
{
    struct buffer b;
    bool ok = has_leader(f);

    buffer_init(&b);
    buffer_printf(&b,
                  "cluster_state:%s\r\ncluster_slots_assigned:%d\r\n"
                  "cluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\n"
                  "cluster_slots_fail:%d\r\ncluster_known_nodes:%u\r\n"
                  "cluster_size:1\r\n",
                  ok ? "ok" : "fail", KEY_SLOTS, ok ? KEY_SLOTS : 0,
                  ok ? 0 : KEY_SLOTS, f->n);
    buffer_printf(&b,
                  "cluster_current_epoch:%" PRIu64
                  "\r\ncluster_my_epoch:%" PRIu64
                  "\r\ncluster_stats_messages_sent:%" PRIu64
                  "\r\ncluster_stats_messages_received:%" PRIu64
                  "\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n",
                  f->term, f->term, f->n_sent, f->n_received);
    reply_buffer(reply, &b);
}

static void put_node(const struct cluster_facts *f,
                     const struct cluster_node *node, struct buffer *b)
{
    bool leads = node->id == f->leader_id;
    char id[NODE_ID_SIZE], master[NODE_ID_SIZE] = "-";
    struct address client, peer;
    uint64_t client_port, peer_port;

    node_id(f, node->id, id);
    if (!leads && has_leader(f)) {
        node_id(f, f->leader_id, master);
    }
    split(node->client_address, &client, &client_port);
    split(node->peer_address, &peer, &peer_port);
    buffer_printf(b, "%s %s:%" PRIu64 "@%" PRIu64 " %s%s%s%s %s 0 0 %" PRIu64,
                  id, client.host, client_port, peer_port,
                  node->id == f->self_id ? "myself," : "",
                  leads ? "master" : "slave", node->connected ? "" : ",fail?",
                  client_port == 0 ? ",noaddr" : "", master, f->term);
    buffer_printf(b, " %s%s\n", node->connected ? "connected" : "disconnected",
                  leads ? " 0-16383" : "");
}

static void nodes(const struct cluster_facts *f, struct buffer *reply)
{
    struct buffer b;

    buffer_init(&b);
    for (unsigned i = 0; i < f->n; i++) {
        put_node(f, &f->nodes[i], &b);
    }
    reply_buffer(reply, &b);
}

/* ---- SLOTS and SHARDS ---- */

/* A client could not connect to one without an address. */
static bool is_reachable(const struct cluster_node *node)
{
    return node->connected && node->client_address[0] != '\0';
}

static void slots_node(const struct cluster_facts *f,
                       const struct cluster_node *node, struct buffer *reply)
{
    char id[NODE_ID_SIZE];
    struct address address;
    uint64_t port;

    node_id(f, node->id, id);
    split(node->client_address, &address, &port);
    resp_array(reply, 4);
    resp_text(reply, address.host);
    resp_integer(reply, (int64_t)port);
    resp_text(reply, id);
    resp_pairs(reply, f->resp3, 0);
}

/* One range, its master first. */
static void slots(const struct cluster_facts *f, struct buffer *reply)
{
    const struct cluster_node *leader = NULL;
    size_t n_replicas = 0;

    for (unsigned i = 0; i < f->n; i++) {
        if (!is_reachable(&f->nodes[i])) {
            continue;
        }
        if (f->nodes[i].id == f->leader_id) {
            leader = &f->nodes[i];
        } else {
            n_replicas++;
        }
    }
    if (leader == NULL) {
        resp_array(reply, 0);
        return;
    }
    resp_array(reply, 1);
    resp_array(reply, 3 + n_replicas);
    resp_integer(reply, 0);
    resp_integer(reply, KEY_SLOTS - 1);
    slots_node(f, leader, reply);
    for (unsigned i = 0; i < f->n; i++) {
        if (is_reachable(&f->nodes[i]) && &f->nodes[i] != leader) {
            slots_node(f, &f->nodes[i], reply);
        }
    }
}

static void shards_node(const struct cluster_facts *f,
                        const struct cluster_node *node, struct buffer *reply)
{
    char id[NODE_ID_SIZE];
    struct address address;
    uint64_t port;

    node_id(f, node->id, id);
    split(node->client_address, &address, &port);
    resp_pairs(reply, f->resp3, 7);
    resp_text(reply, "id");
    resp_text(reply, id);
    resp_text(reply, "port");
    resp_integer(reply, (int64_t)port);
    resp_text(reply, "ip");
    resp_text(reply, address.host);
    resp_text(reply, "endpoint");
    resp_text(reply, address.host);
    resp_text(reply, "role");
    resp_text(reply, node->id == f->leader_id ? "master" : "replica");
    resp_text(reply, "replication-offset");
    resp_integer(reply, (int64_t)f->applied_index);
    resp_text(reply, "health");
    resp_text(reply, is_reachable(node) ? "online" : "failed");
}

static void shards(const struct cluster_facts *f, struct buffer *reply)
{
    bool served = has_leader(f);

    resp_array(reply, 1);
    resp_pairs(reply, f->resp3, 2);
    resp_text(reply, "slots");
    resp_array(reply, served ? 2 : 0);
    if (served) {
        resp_integer(reply, 0);
        resp_integer(reply, KEY_SLOTS - 1);
    }
    resp_text(reply, "nodes");
    resp_array(reply, f->n);
    for (unsigned i = 0; i < f->n; i++) {
        shards_node(f, &f->nodes[i], reply);
    }
}

static void help(struct buffer *reply)
{
    static const char *const lines[] = {
        "CLUSTER <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "COUNTKEYSINSLOT <slot>",
        "    Return the number of keys in <slot>.",
        "INFO",
        "    Return information about the cluster.",
        "KEYSLOT <key>",
        "    Return the hash slot for <key>.",
        "MYID",
        "    Return the node id.",
        "NODES",
        "    Return cluster configuration seen by node. Output format:",
        "    <id> <ip:port> <flags> <master> <pings> <pongs> <epoch> <link> "
        "<slot> ...",
        "SHARDS",
        "    Return information about slot range mappings and the nodes "
        "associated with them.",
        "SLOTS",
        "    Return information about slots range mappings. Each range is made "
        "of:",
        "    start, end, master and replicas IP addresses, ports and ids",
        "HELP",
        "    Prints this help.",
    };

    resp_lines(reply, lines, sizeof lines / sizeof *lines);
}

void cluster_command(const struct cluster_facts *f, uint32_t argc,
                     const struct bytes *argv, struct buffer *reply)
{
    char id[NODE_ID_SIZE];

    (void)argc;
    if (command_is(argv[1], "INFO")) {
        info(f, reply);
    } else if (command_is(argv[1], "NODES")) {
        nodes(f, reply);
    } else if (command_is(argv[1], "SLOTS")) {
        slots(f, reply);
    } else if (command_is(argv[1], "SHARDS")) {
        shards(f, reply);
    } else if (command_is(argv[1], "MYID")) {
        node_id(f, f->self_id, id);
        resp_text(reply, id);
    } else if (command_is(argv[1], "KEYSLOT")) {
        resp_integer(reply, key_slot(argv[2]));
    } else {
        help(reply);
    }
}
