/* host:port addresses; see endpoint.h. */
#include "cli/endpoint.h"

#include <stdio.h>
#include <string.h>

#include "cli/text.h"

/* Find where host and port lie; false if the shape is wrong. */
static bool endpoint_split(const char *text, size_t size, size_t *host_offset,
                           size_t *host_size, size_t *port_offset)
{
    const char *end;
    if (size > 0 && text[0] == '[') {
        end = memchr(text, ']', size);
        if (end == NULL || (size_t)(end - text) + 1 >= size || end[1] != ':') {
            return false;
        }
        *host_offset = 1;
        *host_size = (size_t)(end - text) - 1;
        *port_offset = (size_t)(end - text) + 2;
    } else {
        end = memchr(text, ':', size);
        if (end == NULL) {
            return false;
        }
        *host_offset = 0;
        *host_size = (size_t)(end - text);
        *port_offset = *host_size + 1;
    }
    return *host_size > 0 && *host_size <= ENDPOINT_HOST_MAX;
}

int endpoint_parse(struct endpoint *e, const char *text, size_t size,
                   struct err_info *info)
{
    size_t host_offset;
    size_t host_size;
    size_t port_offset;
    char shown[80];
    char digits[8];
    uint64_t port;
    err_escape(shown, sizeof(shown), text, size);
    if (!endpoint_split(text, size, &host_offset, &host_size, &port_offset)) {
        return err_set(info, ERR_INVALID,
                       "'%s' is not an address; write host:port, for example "
                       "127.0.0.1:7001 or [::1]:7001",
                       shown);
    }
    size_t n_digits = size - port_offset;
    digits[0] = '\0';
    if (n_digits < sizeof(digits)) {
        memcpy(digits, text + port_offset, n_digits);
        digits[n_digits] = '\0';
    }
    if (text_parse_count(digits, 1, 65535, &port) != 0) {
        return err_set(info, ERR_INVALID,
                       "'%s': the port must be a number from 1 to 65535",
                       shown);
    }
    memset(e, 0, sizeof(*e));
    memcpy(e->host, text + host_offset, host_size);
    e->port = (uint16_t)port;
    return 0;
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

char *endpoint_format(char *out, const struct endpoint *e)
{
    bool v6 = strchr(e->host, ':') != NULL;
    snprintf(out, ENDPOINT_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", e->host,
             (unsigned)e->port);
    return out;
}

bool endpoint_list_has(const struct endpoint_list *list,
                       const struct endpoint *e)
{
    for (size_t i = 0; i < list->n_items; i++) {
        if (endpoint_equal(&list->items[i], e)) {
            return true;
        }
    }
    return false;
}

int endpoint_list_parse(struct endpoint_list *list, const char *text,
                        struct err_info *info)
{
    const char *at = text;
    list->n_items = 0;
    for (;;) {
        size_t size = strcspn(at, ",");
        const char *word = at;
        size_t word_size = size;
        struct endpoint e;
        while (word_size > 0 && *word == ' ') {
            word++;
            word_size--;
        }
        while (word_size > 0 && word[word_size - 1] == ' ') {
            word_size--;
        }
        int rc = endpoint_parse(&e, word, word_size, info);
        if (rc != 0) {
            return rc;
        }
        if (!endpoint_list_has(list, &e)) {
            if (list->n_items == ENDPOINT_LIST_MAX) {
                return err_set(info, ERR_TOOBIG, "more than %d endpoints",
                               (int)ENDPOINT_LIST_MAX);
            }
            list->items[list->n_items++] = e;
        }
        if (at[size] == '\0') {
            return 0;
        }
        at += size + 1;
    }
}
