/* The clients' tour and load (README.md) with hiredis, as a program of a user
 * would be written: nothing of ConcordKV is linked.
 *
 * What is wrong is printed and ends the program with 1. */
#ifndef TESTS_CLIENTS_CLIENT_H
#define TESTS_CLIENTS_CLIENT_H

#include <hiredis/hiredis.h>
#include <stdbool.h>

enum {
    CLIENT_ADDRESSES_MAX = 8,
    CLIENT_PIPELINE = 1000, /* commands sent before the first reply is read */
    CLIENT_REPLY_S_MAX = 20
};

struct client_options {
    unsigned resp; /* 2 or 3 */
    const char *parts;
    const char *stop_file;
    const char *addresses[CLIENT_ADDRESSES_MAX]; /* host:port */
    unsigned n_addresses;
};

void client_die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* Whether the part is among --parts. */
bool client_has(const struct client_options *o, const char *part);

/* A connection that speaks the protocol version; NULL: nobody there. */
redisContext *client_connect(const struct client_options *o, unsigned address);

void client_sleep_ms(unsigned ms);

void client_tour(const struct client_options *o);
void client_load(const struct client_options *o);

#endif
