/* Patterns of SCAN and CONFIG GET, as Redis understands them:
 *   *  any run     ?  any byte     [abc] [a-c] [^a]  one of, one not of
 *   \x the byte x itself, also in brackets
 * A bracket without end reaches to the end of the pattern. */
#ifndef NODE_GLOB_H
#define NODE_GLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "raftlog/byte.h"

/* Time is at most the product of both sizes, whatever the pattern. steps, if
 * not NULL, grows by the work done. */
bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case,
                uint64_t *steps);

#endif
