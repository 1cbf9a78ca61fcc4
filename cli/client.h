/* A client of the whole cluster: finds the leader, keeps one connection to
 * it, and sends commands again when that is safe.
 *
 * Finding: the endpoints are asked for INFO in turn. The leader is taken at
 * once; a follower's word about the leader's address is followed. A follower
 * itself is used only if its leader cannot be reached from here (addresses
 * inside a container network) or after CLIENT_GRACE_MS, because while the old
 * leader has just died a command forwarded to it would end as unknown. A
 * server without raft_role (a plain Redis) is used as it is.
 *
 * Sending again: a read always; a write only if it certainly was not carried
 * out (not a byte sent, or a -CLUSTERDOWN). A write whose fate is unknown is
 * reported as that, never hidden by a second try. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "cli/conn.h"
#include "cli/exit_code.h"

enum {
    CLIENT_PROBE_MS = 1000, /* connect and INFO of one node */
    CLIENT_GRACE_MS = 2000,
    CLIENT_PAUSE_MS = 50,     /* between rounds over all endpoints */
    CLIENT_READ_TRY_MS = 5000 /* then a read is tried elsewhere */
};

struct client {
    struct endpoint_list endpoints;
    bool direct;  /* use the endpoints as they are, leader or not */
    size_t first; /* where the next round begins */
    struct conn conn;
    struct node_info info; /* of the connected node, when it was found */
};

enum client_kind { CLIENT_READ, CLIENT_WRITE };

/* What an error reply means for a command; REFUSED is everything else. */
enum reply_class {
    REPLY_FINE,
    REPLY_NOT_NOW, /* certainly not carried out; another time or node may */
    REPLY_NO_SPACE,
    REPLY_UNKNOWN,
    REPLY_REFUSED
};

enum reply_class client_classify(const redisReply *reply);

void client_init(struct client *c, const struct endpoint_list *endpoints,
                 bool direct);
void client_close(struct client *c);

/* Be connected to a usable node. Returns EXIT_CODE_OK, UNREACHABLE or
 * INTERRUPTED; info says which node failed how. */
int client_connect(struct client *c, int64_t deadline_ms,
                   struct err_info *info);

/* The present connection is not worth keeping: ask another node first. */
void client_disconnect(struct client *c);

/* Carry out one command. EXIT_CODE_OK comes with a reply (given) that is no
 * error; REFUSED carries the server's words in info. */
int client_call(struct client *c, enum client_kind kind,
                const struct command *command, int64_t deadline_ms,
                redisReply **reply, struct err_info *info);

#endif
