/* Connecting to a node; see conn.h. A file of its own, so that tests can put
 * a connected pair of sockets in its place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/time.h>

#include "cli/clock.h"
#include "cli/conn.h"

int conn_open(struct conn *c, const struct endpoint *peer, int64_t deadline_ms,
              struct err_info *info)
{
    int64_t left = deadline_ms - clock_now_ms();
    struct timeval limit;
    if (left < 1) {
        left = 1;
    }
    limit.tv_sec = (time_t)(left / 1000);
    limit.tv_usec = (suseconds_t)(left % 1000 * 1000);
    c->peer = *peer;
    c->redis = redisConnectWithTimeout(peer->host, peer->port, limit);
    if (c->redis == NULL) {
        return conn_fail(c, ERR_NOMEM, "cannot connect to", "out of memory",
                         info);
    }
    if (c->redis->err != 0) {
        int code = clock_now_ms() >= deadline_ms ? ERR_AGAIN : ERR_IO;
        int rc =
            conn_fail(c, code, "cannot connect to", c->redis->errstr, info);
        conn_close(c);
        return rc;
    }
    /* From here on all waiting is done by poll(2) with deadlines of ours. */
    int flags = fcntl(c->redis->fd, F_GETFL);
    if (flags < 0 || fcntl(c->redis->fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        int rc =
            conn_fail(c, ERR_IO, "cannot connect to", strerror(errno), info);
        conn_close(c);
        return rc;
    }
    c->redis->flags &= ~REDIS_BLOCK;
    return 0;
}
