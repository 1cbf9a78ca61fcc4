/* Each thing a program does, once, with hiredis, on a server that nobody else
 * uses: see client.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/clients/client.h"

enum { POLL_MS = 10, POLL_N_MAX = 3000 };

struct tour {
    const struct client_options *options;
    redisContext *client, *other;
    char prefix[32];
    unsigned n_checks;
};

/* The next reply, which must come. Given: freeReplyObject. */
static redisReply *next_reply(redisContext *c, const char *what)
{
    redisReply *reply;

    if (redisGetReply(c, (void **)&reply) != REDIS_OK) {
        client_die("%s: %s", what, c->errstr);
    }
    return reply;
}

static const char *type_name(int type)
{
    switch (type) {
    case REDIS_REPLY_STRING:
        return "string";
    case REDIS_REPLY_INTEGER:
        return "integer";
    case REDIS_REPLY_NIL:
        return "nil";
    case REDIS_REPLY_STATUS:
        return "status";
    case REDIS_REPLY_ERROR:
        return "error";
    case REDIS_REPLY_ARRAY:
        return "array";
    default:
        return "another type";
    }
}

static void check_type(struct tour *t, const redisReply *reply, int type,
                       const char *what)
{
    t->n_checks++;
    if (reply->type != type) {
        client_die("%s: %s (%s), not %s", what, type_name(reply->type),
                   reply->str == NULL ? "" : reply->str, type_name(type));
    }
}

static void check_bytes(struct tour *t, const redisReply *reply,
                        const char *want, size_t size, const char *what)
{
    t->n_checks++;
    if (reply->str == NULL || reply->len != size ||
        memcmp(reply->str, want, size) != 0) {
        client_die("%s: '%s', not '%s'", what,
                   reply->str == NULL ? "" : reply->str, want);
    }
}

static redisReply *ask(redisContext *c, const char *format, va_list args)
{
    if (redisvAppendCommand(c, format, args) != REDIS_OK) {
        client_die("%s: %s", format, c->errstr);
    }
    return next_reply(c, format);
}

/* A command whose reply is a text: a status, a string, or what an error begins
 * with. */
static void expect(struct tour *t, int type, const char *want,
                   const char *format, ...)
{
    va_list args;
    redisReply *reply;

    va_start(args, format);
    reply = ask(t->client, format, args);
    va_end(args);
    check_type(t, reply, type, format);
    if (want != NULL) {
        size_t size = strlen(want);
        if (type == REDIS_REPLY_ERROR && reply->len > size) {
            reply->len = size;
        }
        check_bytes(t, reply, want, size, format);
    }
    freeReplyObject(reply);
}

/* A command whose reply is a number from..to. */
static void expect_number(struct tour *t, long long from, long long to,
                          const char *format, ...)
{
    va_list args;
    redisReply *reply;

    va_start(args, format);
    reply = ask(t->client, format, args);
    va_end(args);
    check_type(t, reply, REDIS_REPLY_INTEGER, format);
    if (reply->integer < from || reply->integer > to) {
        client_die("%s: %lld, not %lld..%lld", format, reply->integer, from,
                   to);
    }
    freeReplyObject(reply);
}

static void tour_session(struct tour *t)
{
    expect(t, REDIS_REPLY_STATUS, "PONG", "PING");
    expect(t, REDIS_REPLY_STRING, "x", "ECHO x");
    expect(t, REDIS_REPLY_STATUS, "OK", "CLIENT SETNAME tour");
    expect(t, REDIS_REPLY_STRING, "tour", "CLIENT GETNAME");
    expect(t, REDIS_REPLY_STATUS, "OK", "SELECT 0");
    expect_number(t, 0, 1000000000, "DBSIZE");
    expect_number(t, 41, 1000, "COMMAND COUNT");
    expect(t, REDIS_REPLY_ARRAY, NULL, "TIME");
}

static void tour_strings(struct tour *t)
{
    char value[256];
    redisReply *reply;

    for (unsigned i = 0; i < sizeof value; i++) {
        value[i] = (char)i;
    }
    expect(t, REDIS_REPLY_NIL, NULL, "GET %ss", t->prefix);
    expect(t, REDIS_REPLY_STATUS, "OK", "SET %ss %b", t->prefix, value,
           sizeof value);
    reply = redisCommand(t->client, "GET %ss", t->prefix);
    if (reply == NULL) {
        client_die("GET: %s", t->client->errstr);
    }
    check_bytes(t, reply, value, sizeof value, "GET");
    freeReplyObject(reply);
    expect(t, REDIS_REPLY_NIL, NULL, "SET %ss x NX", t->prefix);
    expect(t, REDIS_REPLY_STATUS, "OK", "SET %ss y XX", t->prefix);
    expect_number(t, 2, 2, "APPEND %ss z", t->prefix);
    expect(t, REDIS_REPLY_STRING, "yz", "GETRANGE %ss 0 -1", t->prefix);
    expect_number(t, 5, 5, "INCRBY %sn 5", t->prefix);
    expect_number(t, 4, 4, "DECR %sn", t->prefix);
    expect(t, REDIS_REPLY_STRING, "1.5", "INCRBYFLOAT %sf 1.5", t->prefix);
    expect(t, REDIS_REPLY_ERROR, "ERR value is not an integer", "INCR %ss",
           t->prefix);
    expect(t, REDIS_REPLY_ERROR, "ERR unknown command", "NOSUCH");
    expect_number(t, 3, 3, "DEL %ss %sn %sf", t->prefix, t->prefix, t->prefix);
}

static void tour_expiry(struct tour *t)
{
    unsigned n_polls = 0;
    bool gone = false;

    expect(t, REDIS_REPLY_STATUS, "OK", "SET %se v PX 60000", t->prefix);
    expect_number(t, 1, 60000, "PTTL %se", t->prefix);
    expect_number(t, 1, 1, "PERSIST %se", t->prefix);
    expect_number(t, -1, -1, "TTL %se", t->prefix);
    expect_number(t, 1, 1, "EXPIRE %se 100", t->prefix);
    expect_number(t, 1, 100, "TTL %se", t->prefix);
    expect(t, REDIS_REPLY_STRING, "v", "GETEX %se PX 20", t->prefix);
    while (!gone) {
        redisReply *reply = redisCommand(t->client, "GET %se", t->prefix);
        if (reply == NULL || n_polls++ > POLL_N_MAX) {
            client_die("a key of 20 ms does not expire");
        }
        gone = reply->type == REDIS_REPLY_NIL;
        freeReplyObject(reply);
        client_sleep_ms(gone ? 0 : POLL_MS);
    }
    expect_number(t, -2, -2, "TTL %se", t->prefix);
}

static void tour_transaction(struct tour *t)
{
    redisReply *reply;

    expect(t, REDIS_REPLY_STATUS, "OK", "SET %st 1", t->prefix);
    expect(t, REDIS_REPLY_STATUS, "OK", "WATCH %st", t->prefix);
    expect(t, REDIS_REPLY_STRING, "1", "GET %st", t->prefix);
    expect(t, REDIS_REPLY_STATUS, "OK", "MULTI");
    expect(t, REDIS_REPLY_STATUS, "QUEUED", "SET %st 2", t->prefix);
    expect(t, REDIS_REPLY_STATUS, "QUEUED", "INCR %st", t->prefix);
    reply = redisCommand(t->client, "EXEC");
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != 2 || reply->element[1]->integer != 3) {
        client_die("EXEC does not give [OK, 3]");
    }
    freeReplyObject(reply);

    /* Another client comes between, through another node where there is one. */
    expect(t, REDIS_REPLY_STATUS, "OK", "WATCH %st", t->prefix);
    reply = redisCommand(t->other, "SET %st 10", t->prefix);
    if (reply == NULL || reply->type != REDIS_REPLY_STATUS) {
        client_die("SET by another client fails");
    }
    freeReplyObject(reply);
    expect(t, REDIS_REPLY_STATUS, "OK", "MULTI");
    expect(t, REDIS_REPLY_STATUS, "QUEUED", "SET %st 4", t->prefix);
    expect(t, REDIS_REPLY_NIL, NULL, "EXEC");
    expect(t, REDIS_REPLY_STRING, "10", "GET %st", t->prefix);

    expect(t, REDIS_REPLY_STATUS, "OK", "MULTI");
    expect(t, REDIS_REPLY_ERROR, "ERR wrong number", "GET");
    expect(t, REDIS_REPLY_ERROR, "EXECABORT", "EXEC");
    expect(t, REDIS_REPLY_STATUS, "OK", "MULTI");
    expect(t, REDIS_REPLY_STATUS, "OK", "DISCARD");
    expect_number(t, 1, 1, "DEL %st", t->prefix);
}

static void tour_pipeline(struct tour *t)
{
    char want[32];

    for (unsigned i = 0; i < CLIENT_PIPELINE; i++) {
        redisAppendCommand(t->client, "SET %sp%u value-%u", t->prefix, i, i);
    }
    for (unsigned i = 0; i < CLIENT_PIPELINE; i++) {
        redisReply *reply = next_reply(t->client, "SET in a pipeline");
        check_bytes(t, reply, "OK", 2, "SET in a pipeline");
        freeReplyObject(reply);
    }
    for (unsigned i = 0; i < CLIENT_PIPELINE; i++) {
        redisAppendCommand(t->client, "GET %sp%u", t->prefix, i);
    }
    for (unsigned i = 0; i < CLIENT_PIPELINE; i++) {
        redisReply *reply = next_reply(t->client, "GET in a pipeline");
        int n = snprintf(want, sizeof want, "value-%u", i);
        check_bytes(t, reply, want, (size_t)n, "GET in a pipeline");
        freeReplyObject(reply);
    }
}

/* Each key of the pipeline is found, and none twice counts as two. */
static void tour_scan(struct tour *t)
{
    static bool found[CLIENT_PIPELINE];
    char cursor[32] = "0";
    unsigned n_found = 0, n_turns = 0;
    size_t size = strlen(t->prefix) + 1;

    do {
        redisReply *reply = redisCommand(
            t->client, "SCAN %s MATCH %sp* COUNT 97", cursor, t->prefix);
        if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
            reply->elements != 2 || n_turns++ > 100000) {
            client_die("SCAN fails");
        }
        snprintf(cursor, sizeof cursor, "%s", reply->element[0]->str);
        for (size_t i = 0; i < reply->element[1]->elements; i++) {
            const char *key = reply->element[1]->element[i]->str;
            unsigned long n = strtoul(key + size, NULL, 10);
            if (n >= CLIENT_PIPELINE) {
                client_die("SCAN gives %s", key);
            }
            n_found += !found[n];
            found[n] = true;
        }
        freeReplyObject(reply);
    } while (strcmp(cursor, "0") != 0);
    t->n_checks++;
    if (n_found != CLIENT_PIPELINE) {
        client_die("SCAN gives %u keys", n_found);
    }
    for (unsigned i = 0; i < CLIENT_PIPELINE; i++) {
        expect_number(t, 1, 1, "DEL %sp%u", t->prefix, i);
    }
}

void client_tour(const struct client_options *o)
{
    static const struct {
        const char *name;
        void (*run)(struct tour *t);
    } parts[] = {
        {"session", tour_session},   {"strings", tour_strings},
        {"pipeline", tour_pipeline}, {"scan", tour_scan},
        {"expiry", tour_expiry},     {"transaction", tour_transaction},
    };
    struct tour t = {o, NULL, NULL, "", 0};

    t.client = client_connect(o, 0);
    t.other = client_connect(o, o->n_addresses - 1);
    if (t.client == NULL || t.other == NULL) {
        client_die("no connection");
    }
    snprintf(t.prefix, sizeof t.prefix, "hiredis%u:", o->resp);
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (client_has(o, parts[i].name)) {
            parts[i].run(&t);
        }
    }
    redisFree(t.client);
    redisFree(t.other);
    printf("tour: %u checks\n", t.n_checks);
}
