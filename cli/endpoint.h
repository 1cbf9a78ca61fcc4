/* host:port addresses and lists of them. Pure: names are resolved later, at
 * every connect, because the addresses of containers change. */
#ifndef CLI_ENDPOINT_H
#define CLI_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"

enum {
    ENDPOINT_HOST_MAX = 255, /* the longest DNS name */
    ENDPOINT_TEXT_MAX = ENDPOINT_HOST_MAX + sizeof("[]:65535"),
    ENDPOINT_LIST_MAX = 64
};

struct endpoint {
    char host[ENDPOINT_HOST_MAX + 1]; /* an IPv6 address without brackets */
    uint16_t port;
};

struct endpoint_list {
    struct endpoint items[ENDPOINT_LIST_MAX];
    size_t n_items;
};

/* "host:port" or "[v6]:port". Errors: ERR_INVALID. */
int endpoint_parse(struct endpoint *e, const char *text, size_t size,
                   struct err_info *info);
/* out has ENDPOINT_TEXT_MAX bytes; returns out. */
char *endpoint_format(char *out, const struct endpoint *e);

/* "a:1,b:2"; blanks around commas are allowed, an endpoint named twice counts
 * once. Errors: ERR_INVALID, ERR_TOOBIG. */
int endpoint_list_parse(struct endpoint_list *list, const char *text,
                        struct err_info *info);
bool endpoint_list_has(const struct endpoint_list *list,
                       const struct endpoint *e);

#endif
