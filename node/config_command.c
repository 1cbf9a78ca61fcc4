/* CONFIG GET over the table of options. */
#include "node/config_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/glob.h"
#include "node/resp.h"

/* What redis-benchmark and client libraries ask for, answered as it is here:
 * every write is synced to the log, and snapshots have no such schedule. */
static const struct {
    const char *name, *value;
} redis_names[] = {
    {"appendonly", "yes"},
    {"appendfsync", "always"},
    {"save", ""},
    {"databases", "1"},
};

struct answer {
    const struct bytes *patterns;
    uint32_t n_patterns;
    struct buffer pairs;
    size_t n;
};

static struct bytes bytes_of(const char *text)
{
    struct bytes b = {(const uint8_t *)text, strlen(text)};
    return b;
}

static void offer(struct answer *a, const char *name, const char *value)
{
    for (uint32_t i = 0; i < a->n_patterns; i++) {
        if (glob_match(a->patterns[i], bytes_of(name), true, NULL)) {
            resp_bulk(&a->pairs, name, strlen(name));
            resp_bulk(&a->pairs, value, strlen(value));
            a->n += 2;
            return;
        }
    }
}

static void answer(struct answer *a, const struct config *c)
{
    char value[CONFIG_VALUE_MAX];
    const char *name;

    for (unsigned i = 0; config_show(c, i, &name, value); i++) {
        offer(a, name, value);
    }
    for (unsigned i = 0; i < sizeof redis_names / sizeof *redis_names; i++) {
        offer(a, redis_names[i].name, redis_names[i].value);
    }
    snprintf(value, sizeof value, "%llu", (unsigned long long)c->max_clients);
    offer(a, "maxclients", value);
    snprintf(value, sizeof value, "%llu",
             (unsigned long long)c->client_bulk_bytes);
    offer(a, "proto-max-bulk-len", value);
}

void config_command(const struct config *c, uint32_t argc,
                    const struct bytes *argv, struct buffer *reply)
{
    struct answer a;

    if (argc < 3) {
        resp_error(reply, "ERR wrong number of arguments for 'config' command");
        return;
    }
    memset(&a, 0, sizeof a);
    a.patterns = argv + 2;
    a.n_patterns = argc - 2;
    buffer_init(&a.pairs);
    answer(&a, c);
    if (a.pairs.failed) {
        resp_error(reply, "ERR out of memory");
    } else {
        resp_array(reply, a.n);
        buffer_append(reply, buffer_data(&a.pairs), buffer_size(&a.pairs));
    }
    buffer_close(&a.pairs);
}
