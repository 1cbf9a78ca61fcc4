/* The slot of a key, as in a Redis Cluster: CRC16 (XMODEM) of the key, or of
 * what stands between its first '{' and the next '}' when that is not empty,
 * modulo 16384. Here all slots belong to one group; clients ask nevertheless.
 * Pure. */
#ifndef NODE_KEY_SLOT_H
#define NODE_KEY_SLOT_H

#include <stdint.h>

#include "raftlog/byte.h"

enum { KEY_SLOTS = 16384 };

unsigned key_slot(struct bytes key);

#endif
