/* Finding the leader and sending commands; see client.h. */
#include "cli/client.h"

#include <string.h>

#include "cli/clock.h"

void client_init(struct client *c, const struct endpoint_list *endpoints,
                 bool direct)
{
    memset(c, 0, sizeof(*c));
    c->endpoints = *endpoints;
    c->direct = direct;
}

void client_close(struct client *c)
{
    conn_close(&c->conn);
}

void client_disconnect(struct client *c)
{
    conn_close(&c->conn);
    c->first = (c->first + 1) % c->endpoints.n_items;
}

enum reply_class client_classify(const redisReply *reply)
{
    static const struct {
        const char *word;
        enum reply_class class;
    } rows[] = {
        {"CLUSTERDOWN", REPLY_NOT_NOW}, {"LOADING", REPLY_NOT_NOW},
        {"TRYAGAIN", REPLY_NOT_NOW},    {"MASTERDOWN", REPLY_NOT_NOW},
        {"MOVED", REPLY_NOT_NOW},       {"NOSPACE", REPLY_NO_SPACE},
        {"UNKNOWN", REPLY_UNKNOWN},
    };
    if (reply->type != REDIS_REPLY_ERROR) {
        return REPLY_FINE;
    }
    size_t size = strcspn(reply->str, " ");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (size == strlen(rows[i].word) &&
            memcmp(reply->str, rows[i].word, size) == 0) {
            return rows[i].class;
        }
    }
    return REPLY_REFUSED;
}

static int client_probe(struct conn *conn, const struct endpoint *peer,
                        struct node_info *out, int64_t deadline_ms,
                        struct err_info *info)
{
    int64_t limit = clock_now_ms() + CLIENT_PROBE_MS;
    limit = limit < deadline_ms ? limit : deadline_ms;
    int rc = conn_open(conn, peer, limit, info);
    if (rc == 0) {
        rc = conn_ask_info(conn, limit, out, info);
        if (rc != 0) {
            conn_close(conn);
        }
    }
    return rc;
}

static void client_adopt(struct client *c, struct conn *conn,
                         const struct node_info *info)
{
    conn_close(&c->conn);
    c->conn = *conn;
    c->info = *info;
    conn->redis = NULL;
}

/* Ask for the leader where this follower says it is. True if it is there and
 * adopted. *elsewhere is set if it is at an address that is none of ours and
 * does not answer: then no waiting will make it reachable. */
static bool client_follow(struct client *c, const struct node_info *follower,
                          int64_t deadline_ms, bool *elsewhere,
                          struct err_info *info)
{
    struct endpoint leader;
    struct node_info said;
    struct conn conn = {NULL, {{0}, 0}};
    const char *address = follower->leader_address;
    if (endpoint_parse(&leader, address, strlen(address), NULL) != 0) {
        return false;
    }
    if (client_probe(&conn, &leader, &said, deadline_ms, info) != 0) {
        *elsewhere = !endpoint_list_has(&c->endpoints, &leader);
        return false;
    }
    if (said.role != INFO_ROLE_LEADER) {
        conn_close(&conn);
        return false;
    }
    client_adopt(c, &conn, &said);
    return true;
}

/* One round over all endpoints; true once connected. */
static bool client_try_all(struct client *c, int64_t deadline_ms,
                           bool take_follower, struct err_info *info)
{
    bool asked_leader = false;
    bool found = false;
    size_t n = c->endpoints.n_items;
    for (size_t i = 0; i < n && !found && !clock_interrupted(); i++) {
        size_t at = (c->first + i) % n;
        struct conn conn = {NULL, {{0}, 0}};
        struct node_info said;
        char peer[ENDPOINT_TEXT_MAX];
        bool elsewhere = false;
        if (client_probe(&conn, &c->endpoints.items[at], &said, deadline_ms,
                         info) != 0) {
            continue;
        }
        endpoint_format(peer, &c->endpoints.items[at]);
        found = c->direct || said.role == INFO_ROLE_NONE ||
                said.role == INFO_ROLE_LEADER;
        if (!found && said.leader_id == 0) {
            err_set(info, ERR_AGAIN, "%s knows no leader (%s, term %llu)", peer,
                    info_role_name(said.role), (unsigned long long)said.term);
        } else if (!found) {
            if (!asked_leader) {
                asked_leader = true;
                if (client_follow(c, &said, deadline_ms, &elsewhere, info)) {
                    conn_close(&conn);
                    return true;
                }
            }
            found = elsewhere || take_follower;
        }
        if (found) {
            c->first = at;
            client_adopt(c, &conn, &said);
        }
        conn_close(&conn);
    }
    return found;
}

int client_connect(struct client *c, int64_t deadline_ms, struct err_info *info)
{
    int64_t grace_until_ms = clock_now_ms() + CLIENT_GRACE_MS;
    while (!conn_is_open(&c->conn)) {
        struct err_info why = {0, ""};
        bool take_follower = clock_now_ms() >= grace_until_ms;
        if (clock_interrupted()) {
            err_set(info, ERR_STOPPED, "interrupted");
            return EXIT_CODE_INTERRUPTED;
        }
        if (client_try_all(c, deadline_ms, take_follower, &why)) {
            break;
        }
        /* A round cut short by the deadline says nothing about the nodes. */
        if (clock_now_ms() < deadline_ms || info->message[0] == '\0') {
            *info = why;
        }
        c->first = (c->first + 1) % c->endpoints.n_items;
        if (clock_now_ms() >= deadline_ms) {
            return EXIT_CODE_UNREACHABLE;
        }
        clock_pause(CLIENT_PAUSE_MS, deadline_ms);
    }
    return EXIT_CODE_OK;
}

/* The exit code of a failed exchange, or -1 if it may be tried again. */
static int client_judge_failure(int rc, enum client_kind kind, bool sent,
                                struct err_info *info)
{
    if (rc == ERR_STOPPED && !(kind == CLIENT_WRITE && sent)) {
        return EXIT_CODE_INTERRUPTED;
    }
    if (kind == CLIENT_READ || !sent) {
        return -1;
    }
    char why[ERR_MESSAGE_MAX];
    memcpy(why, info->message, sizeof(why));
    err_set(info, rc,
            "the write was sent, but whether it happened is unknown: %.300s",
            why);
    return EXIT_CODE_UNKNOWN;
}

/* The exit code of a reply, or -1 if the command may be tried again. */
static int client_judge_reply(const redisReply *reply, enum client_kind kind,
                              struct err_info *info)
{
    enum reply_class class = client_classify(reply);
    if (class == REPLY_FINE) {
        return EXIT_CODE_OK;
    }
    err_escape(info->message, sizeof(info->message), reply->str, reply->len);
    info->code = ERR_INVALID;
    if (class == REPLY_NOT_NOW) {
        return -1;
    }
    if (class == REPLY_UNKNOWN) {
        return kind == CLIENT_READ ? -1 : EXIT_CODE_UNKNOWN;
    }
    return EXIT_CODE_REFUSED;
}

int client_call(struct client *c, enum client_kind kind,
                const struct command *command, int64_t deadline_ms,
                redisReply **reply, struct err_info *info)
{
    for (;;) {
        bool sent = false;
        int code = client_connect(c, deadline_ms, info);
        if (code != EXIT_CODE_OK) {
            return code;
        }
        int64_t limit = clock_now_ms() + CLIENT_READ_TRY_MS;
        if (kind == CLIENT_WRITE || limit > deadline_ms) {
            limit = deadline_ms;
        }
        int rc = conn_call(&c->conn, command, limit, reply, &sent, info);
        if (rc == 0) {
            code = client_judge_reply(*reply, kind, info);
            if (code == EXIT_CODE_OK) {
                return code;
            }
            freeReplyObject(*reply);
            *reply = NULL;
        } else {
            code = client_judge_failure(rc, kind, sent, info);
        }
        /* After a refusal the connection is as good as before. */
        if (code != EXIT_CODE_REFUSED) {
            client_disconnect(c);
        }
        if (code >= 0) {
            return code;
        }
        if (clock_now_ms() >= deadline_ms) {
            return EXIT_CODE_UNREACHABLE;
        }
        clock_pause(CLIENT_PAUSE_MS, deadline_ms);
    }
}
