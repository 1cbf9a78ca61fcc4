/* What a file of a program's stream says of itself. It stands in the
 * configuration bytes of the snapshot file:
 *
 *     8   magic "CKVSTRM1", whose last character is the version
 *     1   kind: 1 base, 2 no base (there was none when the first increment
 *         came; the file holds nothing), 3 increment
 *     8   from, 8 to: sequences of the program; of a base, to is 0 when it was
 *         not said
 *     16  content id of the base; zeroes in a base */
#ifndef PERSIST_NOTE_H
#define PERSIST_NOTE_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot/snapshot.h"

enum {
    NOTE_SIZE = 8 + 1 + 8 + 8 + SNAPSHOT_ID_SIZE,
    NOTE_BASE = 1,
    NOTE_NO_BASE = 2,
    NOTE_INCREMENT = 3
};

struct note {
    uint8_t kind;
    uint64_t from;
    uint64_t to;
    uint8_t base[SNAPSHOT_ID_SIZE];
};

void note_encode(const struct note *n, uint8_t out[NOTE_SIZE]);
/* Errors: ERR_CORRUPT, also for a kind that is none of the three. */
int note_decode(const void *data, size_t size, struct note *out);

#endif
