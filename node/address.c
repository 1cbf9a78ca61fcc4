/* Parsing of host:port and of the list that names the first cluster. */
#include "node/address.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool host_is_plain(const char *host, size_t size, bool bracketed)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)host[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';

        if (letter || digit || c == '.' || c == '-' || c == '_') {
            continue;
        }
        if (bracketed && (c == ':' || c == '%')) {
            continue;
        }
        return false;
    }
    return size > 0;
}

static int refuse(struct err_info *info, const char *text, const char *why)
{
    char shown[128];

    return err_set(info, ERR_INVALID, "\"%s\" %s",
                   err_escape(shown, sizeof shown, text, strlen(text)), why);
}

int address_parse(const char *text, struct address *out, struct err_info *info)
{
    const char *host = text;
    const char *colon = strrchr(text, ':');
    struct address address;
    size_t host_size;
    bool bracketed = text[0] == '[';
    char *end;
    unsigned long port;

    if (strlen(text) > ADDRESS_TEXT_MAX) {
        return refuse(info, text, "is too long for an address");
    }
    if (colon == NULL) {
        return refuse(info, text, "has no port: write host:port");
    }
    host_size = (size_t)(colon - text);
    if (bracketed) {
        if (host_size < 2 || colon[-1] != ']') {
            return refuse(info, text, "is not of the form [address]:port");
        }
        host++;
        host_size -= 2;
    }
    if (!host_is_plain(host, host_size, bracketed)) {
        return refuse(info, text,
                      "has no usable host name before the port (an IPv6 "
                      "address goes in brackets)");
    }
    if (colon[1] < '0' || colon[1] > '9' || strlen(colon + 1) > 5) {
        return refuse(info, text, "has no port number from 1 to 65535");
    }
    port = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || port < 1 || port > 65535) {
        return refuse(info, text, "has no port number from 1 to 65535");
    }
    memset(&address, 0, sizeof address);
    memcpy(address.host, host, host_size);
    snprintf(address.port, sizeof address.port, "%lu", port & 0xffff);
    *out = address;
    return 0;
}

/* One "id=host:port" of size bytes. */
static int parse_member(const char *text, size_t size,
                        struct replica_server *out, struct err_info *info)
{
    char copy[ADDRESS_TEXT_MAX + 32];
    struct address address;
    char *equals;
    char *end;
    int rc;

    if (size >= sizeof copy) {
        return err_set(info, ERR_INVALID, "a member is longer than %u bytes",
                       (unsigned)sizeof copy - 1);
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    equals = strchr(copy, '=');
    if (equals == NULL || copy[0] < '0' || copy[0] > '9') {
        return refuse(info, copy, "is not of the form id=host:port");
    }
    *equals = '\0';
    errno = 0;
    out->id = strtoull(copy, &end, 10);
    if (errno != 0 || *end != '\0' || out->id == 0) {
        return refuse(info, copy, "is not a node id (a number from 1 up)");
    }
    rc = address_parse(equals + 1, &address, info);
    if (rc != 0) {
        return rc;
    }
    memset(out->address, 0, sizeof out->address);
    memcpy(out->address, equals + 1, strlen(equals + 1));
    out->role = RAFT_VOTER;
    return 0;
}

static int compare_servers(const void *a, const void *b)
{
    uint64_t x = ((const struct replica_server *)a)->id;
    uint64_t y = ((const struct replica_server *)b)->id;

    return x < y ? -1 : x > y;
}

static int check_unique(const struct replica_server *s, unsigned n,
                        struct err_info *info)
{
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = i + 1; k < n; k++) {
            if (s[i].id == s[k].id) {
                return err_set(info, ERR_INVALID, "node %llu is named twice",
                               (unsigned long long)s[i].id);
            }
            if (strcmp(s[i].address, s[k].address) == 0) {
                return err_set(info, ERR_INVALID,
                               "address %s is given to two nodes",
                               s[i].address);
            }
        }
    }
    return 0;
}

int address_parse_cluster(const char *text, struct replica_server *out,
                          unsigned n_max, unsigned *n, struct err_info *info)
{
    const char *at = text;
    unsigned count = 0;
    int rc;

    while (*at != '\0') {
        size_t size = strcspn(at, ",");

        if (count == n_max) {
            return err_set(info, ERR_INVALID, "more than %u nodes", n_max);
        }
        rc = parse_member(at, size, &out[count], info);
        if (rc != 0) {
            return rc;
        }
        count++;
        at += size;
        if (*at == ',') {
            at++;
        }
    }
    qsort(out, count, sizeof *out, compare_servers);
    rc = check_unique(out, count, info);
    if (rc != 0) {
        return rc;
    }
    *n = count;
    return 0;
}

void address_print_cluster(const struct replica_server *servers, unsigned n,
                           char *out, size_t out_size)
{
    size_t used = 0;

    out[0] = '\0';
    for (unsigned i = 0; i < n && used < out_size; i++) {
        int size =
            snprintf(out + used, out_size - used, "%s%llu=%s", i > 0 ? "," : "",
                     (unsigned long long)servers[i].id, servers[i].address);
        if (size < 0) {
            return;
        }
        used += (size_t)size;
    }
}
