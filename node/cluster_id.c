/* Making the cluster id. */
#include "node/cluster_id.h"

#include <string.h>

#include "raftlog/byte.h"
#include "raftlog/checksum.h"

void cluster_id_make(const struct config *c,
                     uint8_t out[RAFTLOG_CLUSTER_ID_SIZE])
{
    char text[CONFIG_NAME_MAX + ADDRESS_CLUSTER_MAX];
    size_t size = strlen(c->cluster_name) + 1;
    struct byte_writer w = byte_writer(out, RAFTLOG_CLUSTER_ID_SIZE);
    struct checksum128 sum;

    memcpy(text, c->cluster_name, size);
    address_print_cluster(c->initial, c->n_initial, text + size,
                          sizeof text - size);
    size += strlen(text + size);
    sum = checksum128(text, size, 0);
    byte_put_u64(&w, sum.low);
    byte_put_u64(&w, sum.high);
}
