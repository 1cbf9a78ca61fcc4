/* One connection; see conn.h. */
#include "cli/conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "cli/clock.h"

int conn_fail(const struct conn *c, int code, const char *what, const char *why,
              struct err_info *info)
{
    char peer[ENDPOINT_TEXT_MAX];
    return err_set(info, code, "%s %s: %.200s", what,
                   endpoint_format(peer, &c->peer), why);
}

void conn_close(struct conn *c)
{
    if (c->redis != NULL) {
        redisFree(c->redis);
        c->redis = NULL;
    }
}

bool conn_is_open(const struct conn *c)
{
    return c->redis != NULL;
}

int conn_write(struct conn *c, const struct iovec *parts, int n_parts,
               size_t *written, struct err_info *info)
{
    struct msghdr message;
    memset(&message, 0, sizeof(message));
    message.msg_iov = (struct iovec *)parts;
    message.msg_iovlen = (size_t)n_parts;
    /* MSG_NOSIGNAL: SIGPIPE stays as it is, so `scan | head` ends quietly. */
    ssize_t n = sendmsg(c->redis->fd, &message, MSG_NOSIGNAL);
    if (n < 0) {
        *written = 0;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) {
            return 0;
        }
        return conn_fail(c, ERR_IO, "lost the connection to", strerror(errno),
                         info);
    }
    *written = (size_t)n;
    return 0;
}

int conn_fill(struct conn *c, struct err_info *info)
{
    if (redisBufferRead(c->redis) != REDIS_OK) {
        return conn_fail(c, ERR_IO, "lost the connection to", c->redis->errstr,
                         info);
    }
    return 0;
}

int conn_take_reply(struct conn *c, redisReply **reply, struct err_info *info)
{
    void *parsed = NULL;
    if (redisReaderGetReply(c->redis->reader, &parsed) != REDIS_OK) {
        return conn_fail(c, ERR_PROTOCOL, "malformed reply from",
                         c->redis->reader->errstr, info);
    }
    *reply = parsed;
    return 0;
}

int conn_encode(const struct command *command, char **data, size_t *size)
{
    /* int in hiredis 0.14, long long since 1.0. */
    long long n = redisFormatCommandArgv(data, command->n_args, command->args,
                                         command->sizes);
    if (n < 0) {
        return ERR_NOMEM;
    }
    *size = (size_t)n;
    return 0;
}

/* Write the rest of a command if the socket takes it, and wait for it to take
 * more or for the reply to come. */
static int conn_push(struct conn *c, const char *data, size_t size,
                     size_t *offset, int64_t deadline_ms, struct err_info *info)
{
    struct pollfd ready = {.fd = c->redis->fd, .events = POLLIN};
    if (*offset < size) {
        struct iovec part = {(char *)data + *offset, size - *offset};
        size_t written;
        int rc = conn_write(c, &part, 1, &written, info);
        if (rc != 0) {
            return rc;
        }
        *offset += written;
        ready.events |= *offset < size ? POLLOUT : 0;
    }
    if (poll(&ready, 1, clock_left_ms(deadline_ms)) > 0 &&
        (ready.revents & ~POLLOUT) != 0) {
        return conn_fill(c, info);
    }
    return 0;
}

int conn_call(struct conn *c, const struct command *command,
              int64_t deadline_ms, redisReply **reply, bool *sent,
              struct err_info *info)
{
    char *data = NULL;
    size_t size = 0;
    size_t offset = 0;
    *sent = false;
    *reply = NULL;
    int rc = conn_encode(command, &data, &size);
    if (rc != 0) {
        return conn_fail(c, rc, "cannot send to", "out of memory", info);
    }
    while (rc == 0 && *reply == NULL) {
        if (clock_interrupted()) {
            rc = conn_fail(c, ERR_STOPPED, "waiting for", "interrupted", info);
        } else if (clock_now_ms() >= deadline_ms) {
            rc = conn_fail(c, ERR_AGAIN, "waiting for", "no reply in time",
                           info);
        } else {
            rc = conn_push(c, data, size, &offset, deadline_ms, info);
        }
        if (rc == 0) {
            rc = conn_take_reply(c, reply, info);
        }
    }
    *sent = offset > 0;
    redisFreeCommand(data);
    return rc;
}

int conn_ask_info(struct conn *c, int64_t deadline_ms, struct node_info *out,
                  struct err_info *info)
{
    const char *args[] = {"INFO"};
    struct command command = {1, args, NULL};
    redisReply *reply;
    bool sent;
    int rc = conn_call(c, &command, deadline_ms, &reply, &sent, info);
    if (rc != 0) {
        return rc;
    }
    if (reply->type != REDIS_REPLY_STRING) {
        char shown[120] = "an unexpected reply";
        if (reply->type == REDIS_REPLY_ERROR) {
            err_escape(shown, sizeof(shown), reply->str, reply->len);
        }
        rc = conn_fail(c, ERR_PROTOCOL, "INFO is refused by", shown, info);
    } else {
        info_parse(out, reply->str, reply->len);
    }
    freeReplyObject(reply);
    return rc;
}
