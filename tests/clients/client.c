/* The command line of the hiredis client, and its connections: see client.h. */
#include "tests/clients/client.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char all_parts[] =
    "session,strings,pipeline,scan,expiry,transaction";

void client_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    exit(1);
}

bool client_has(const struct client_options *o, const char *part)
{
    size_t size = strlen(part);

    for (const char *p = strstr(o->parts, part); p != NULL;
         p = strstr(p + 1, part)) {
        if ((p == o->parts || p[-1] == ',') &&
            (p[size] == ',' || p[size] == '\0')) {
            return true;
        }
    }
    return false;
}

void client_sleep_ms(unsigned ms)
{
    struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

redisContext *client_connect(const struct client_options *o, unsigned address)
{
    struct timeval connect_limit = {5, 0};
    struct timeval reply_limit = {CLIENT_REPLY_S_MAX, 0};
    const char *text = o->addresses[address];
    const char *colon = strrchr(text, ':');
    char host[64];
    redisReply *reply;
    redisContext *c;

    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        client_die("'%s' is no host:port", text);
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    c = redisConnectWithTimeout(host, atoi(colon + 1), connect_limit);
    if (c == NULL || c->err != 0 ||
        redisSetTimeout(c, reply_limit) != REDIS_OK) {
        redisFree(c);
        return NULL;
    }
    if (o->resp == 3) {
        reply = redisCommand(c, "HELLO 3");
        if (reply == NULL) {
            redisFree(c);
            return NULL;
        }
        if (reply->type == REDIS_REPLY_ERROR) {
            client_die("HELLO 3: %s", reply->str);
        }
        freeReplyObject(reply);
    }
    return c;
}

static void usage(void)
{
    client_die("usage: client version|tour|load [--resp 2|3] [--parts LIST] "
               "[--stop FILE] HOST:PORT...");
}

int main(int argc, char **argv)
{
    struct client_options o = {2, all_parts, "", {NULL}, 0};

    for (int i = 2; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--resp") == 0) {
            o.resp = (unsigned)atoi(value);
            i++;
        } else if (strcmp(argv[i], "--parts") == 0) {
            o.parts = value;
            i++;
        } else if (strcmp(argv[i], "--stop") == 0) {
            o.stop_file = value;
            i++;
        } else if (argv[i][0] != '-' && o.n_addresses < CLIENT_ADDRESSES_MAX) {
            o.addresses[o.n_addresses++] = argv[i];
        } else {
            usage();
        }
    }
    if (argc == 2 && strcmp(argv[1], "version") == 0) {
        printf("hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR,
               HIREDIS_PATCH);
        return 0;
    }
    if (argc < 3 || o.n_addresses == 0 || o.resp < 2 || o.resp > 3) {
        usage();
    }
#if HIREDIS_MAJOR < 1
    if (o.resp == 3) {
        printf("hiredis %d.%d speaks RESP2 only\n", HIREDIS_MAJOR,
               HIREDIS_MINOR);
        return 3;
    }
#endif
    signal(SIGPIPE, SIG_IGN); /* hiredis writes to connections that broke */
    if (strcmp(argv[1], "tour") == 0) {
        client_tour(&o);
    } else if (strcmp(argv[1], "load") == 0) {
        client_load(&o);
    } else {
        usage();
    }
    return 0;
}
