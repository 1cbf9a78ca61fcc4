/* Listening sockets and common socket settings. */
#include "node/listen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "node/address.h"

enum { LISTEN_BACKLOG = 1024 };

static int refuse(struct err_info *info, const char *label, const char *address,
                  int uv_code)
{
    const char *advice = "";
    int code = ERR_IO;

    switch (uv_code) {
    case UV_EADDRINUSE:
        code = ERR_BUSY;
        advice = "; another program listens there: stop it or choose "
                 "another port";
        break;
    case UV_EACCES:
        code = ERR_ACCESS;
        advice = "; ports below 1024 need privileges";
        break;
    case UV_EADDRNOTAVAIL:
        advice = "; the address is not one of this machine";
        break;
    default:
        break;
    }
    return err_set(info, code, "--%s: cannot listen on %s: %s%s", label,
                   address, uv_strerror(uv_code), advice);
}

int listen_start(uv_tcp_t *tcp, const char *address, const char *label,
                 uv_connection_cb cb, struct err_info *info)
{
    struct addrinfo hints;
    struct address parsed;
    struct err_info detail;
    uv_getaddrinfo_t request;
    int rc;

    rc = address_parse(address, &parsed, &detail);
    if (rc != 0) {
        return err_set(info, rc, "--%s: %.300s", label, detail.message);
    }
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    /* Without a callback the call is blocking. */
    rc = uv_getaddrinfo(tcp->loop, &request, NULL, parsed.host, parsed.port,
                        &hints);
    if (rc != 0) {
        return err_set(info, ERR_NOTFOUND,
                       "--%s: cannot find the address of %s: %s", label,
                       address, uv_strerror(rc));
    }
    rc = uv_tcp_bind(tcp, request.addrinfo->ai_addr, 0);
    uv_freeaddrinfo(request.addrinfo);
    if (rc == 0) {
        rc = uv_listen((uv_stream_t *)tcp, LISTEN_BACKLOG, cb);
    }
    return rc == 0 ? 0 : refuse(info, label, address, rc);
}

void listen_tune(uv_tcp_t *tcp, unsigned idle_s, unsigned unacknowledged_ms)
{
    uv_os_fd_t fd;

    /* Each of these only makes things better; none is needed. */
    uv_tcp_nodelay(tcp, 1);
    uv_tcp_keepalive(tcp, 1, idle_s);
    if (unacknowledged_ms > 0 && uv_fileno((uv_handle_t *)tcp, &fd) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms,
                   sizeof unacknowledged_ms);
    }
}

static void print_name(const struct sockaddr_storage *name,
                       char out[LISTEN_NAME_MAX])
{
    char host[INET6_ADDRSTRLEN + 1];

    if (name->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, name, sizeof in6);
        if (uv_ip6_name(&in6, host, sizeof host) == 0) {
            snprintf(out, LISTEN_NAME_MAX, "[%s]:%u", host,
                     (unsigned)ntohs(in6.sin6_port));
        }
    } else if (name->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, name, sizeof in);
        if (uv_ip4_name(&in, host, sizeof host) == 0) {
            snprintf(out, LISTEN_NAME_MAX, "%s:%u", host,
                     (unsigned)ntohs(in.sin_port));
        }
    }
}

void listen_peer_name(const uv_tcp_t *tcp, char out[LISTEN_NAME_MAX])
{
    struct sockaddr_storage name;
    int size = sizeof name;

    snprintf(out, LISTEN_NAME_MAX, "?");
    memset(&name, 0, sizeof name);
    if (uv_tcp_getpeername(tcp, (struct sockaddr *)&name, &size) == 0) {
        print_name(&name, out);
    }
}

void listen_own_name(const uv_tcp_t *tcp, char out[LISTEN_NAME_MAX])
{
    struct sockaddr_storage name;
    int size = sizeof name;

    snprintf(out, LISTEN_NAME_MAX, "?");
    memset(&name, 0, sizeof name);
    if (uv_tcp_getsockname(tcp, (struct sockaddr *)&name, &size) == 0) {
        print_name(&name, out);
    }
}
