/* An estimate of how many different keys there are, in 4 KiB: HyperLogLog
 * with 4,096 registers, standard error 1.6%.
 *
 * Source: Flajolet et al., HyperLogLog, 2007; small counts by linear counting,
 * section 4. */
#ifndef PERSIST_DISTINCT_H
#define PERSIST_DISTINCT_H

#include <stdint.h>

#include "raftlog/byte.h"

enum { DISTINCT_BITS = 12, DISTINCT_REGISTERS = 1 << DISTINCT_BITS };

/* Zero bytes are an empty one. */
struct distinct {
    uint8_t registers[DISTINCT_REGISTERS];
};

void distinct_clear(struct distinct *d);
void distinct_add(struct distinct *d, struct bytes key);
/* Count what `from` has seen too. */
void distinct_merge(struct distinct *d, const struct distinct *from);
double distinct_count(const struct distinct *d);

#endif
