/* Network addresses as people write them: host:port, [v6]:port.
 *
 * Pure text work; turning a name into numbers is left to whoever connects,
 * because the numbers behind a name change while the process lives. */
#ifndef NODE_ADDRESS_H
#define NODE_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

#include "node/buffer.h"
#include "node/replica.h"
#include "raftlog/err.h"

enum { ADDRESS_TEXT_MAX = REPLICA_ADDRESS_MAX };

struct address {
    char host[ADDRESS_TEXT_MAX + 1]; /* without brackets */
    char port[6];                    /* decimal, 1..65535 */
};

/* Errors: ERR_INVALID (info says what is wrong with the text). */
int address_parse(const char *text, struct address *out, struct err_info *info);

/* Parse "1=host:port,2=host:port" into at most n_max servers, sorted by id,
 * all voters. Errors: ERR_INVALID: syntax, an id or address named twice, too
 * many. An empty text gives none. */
int address_parse_cluster(const char *text, struct replica_server *out,
                          unsigned n_max, unsigned *n, struct err_info *info);

/* Write servers back in the same form, in the order given; the size of a
 * whole cluster text is bounded by ADDRESS_CLUSTER_MAX. */
enum { ADDRESS_CLUSTER_MAX = REPLICA_SERVERS_MAX * (ADDRESS_TEXT_MAX + 24) };
void address_print_cluster(const struct replica_server *servers, unsigned n,
                           char *out, size_t out_size);

#endif
