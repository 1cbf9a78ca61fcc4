/* Names of commands; see command_names.h. */
#include "cli/command_names.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "node/command.h"

enum { NAME_MAX_SIZE = 64 };

const char *command_names_get(size_t i)
{
    unsigned n;
    const struct command *table = command_table(&n);
    return i < n ? table[i].name : NULL;
}

static const struct command *find(const char *name)
{
    struct bytes bytes = {(const uint8_t *)name, strlen(name)};
    return bytes.size < NAME_MAX_SIZE ? command_find(bytes) : NULL;
}

bool command_names_is_read(const char *name)
{
    /* Of a plain Redis, where concordctl can be used as well. */
    static const char *const others[] = {
        "HGET",     "HMGET", "HGETALL",   "HLEN",   "LRANGE", "LLEN", "LINDEX",
        "SMEMBERS", "SCARD", "SISMEMBER", "ZRANGE", "ZSCORE", "ZCARD"};
    static const char *const local[] = {"PING", "ECHO", "INFO", "TIME",
                                        "COMMAND"};
    const struct command *c = find(name);
    if (c != NULL && (c->flags & COMMAND_READ) != 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcasecmp(name, others[i]) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
        if (strcasecmp(name, local[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool command_names_describe(const char *name, const char **summary, int *arity)
{
    const struct command *c = find(name);
    if (c == NULL) {
        return false;
    }
    *summary = c->summary;
    *arity = c->arity;
    return true;
}
