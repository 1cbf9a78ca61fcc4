/* Asking every endpoint for itself: for what belongs to a node, not to the
 * cluster. */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "cli/verb.h"

/* What one node answered. */
struct answer {
    struct endpoint endpoint;
    redisReply *reply; /* given; NULL: none, see error */
    struct err_info error;
    int code;
};

/* Send command to each endpoint of the invocation, one after the other;
 * answers has a place for each. ask_free frees the replies. */
void ask_each(const struct invocation *in, const struct command *command,
              enum client_kind kind, struct answer *answers);
/* Say which nodes did not do it; the worst code. */
int ask_report(const struct answer *answers, size_t n);
void ask_free(struct answer *answers, size_t n);

#endif
