/* Decimal integers as Redis reads and writes them.
 *
 * The reader is strict: optional '-', no '+', no leading zeros, no spaces, the
 * whole run must be used. Text that it accepts is exactly what number_format
 * gives back for the value. */
#ifndef NODE_NUMBER_H
#define NODE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/byte.h"

enum { NUMBER_TEXT_MAX = 21 }; /* sign, 19 digits, terminator */

bool number_parse(struct bytes text, int64_t *out);
/* Length of the text, without the terminator that is written too. */
size_t number_format(char text[NUMBER_TEXT_MAX], int64_t v);

#endif
