/* One operation as the payload of a log entry.
 *
 * The entry's kind is the operation, a letter, so that nobody takes it for an
 * entry of a Raft node. Payload: key size (varint), key, value; the value is
 * what is left. A mark carries nothing: it stands for a sequence number. */
#ifndef PERSIST_ENTRY_H
#define PERSIST_ENTRY_H

#include <stdint.h>

#include "raftlog/byte.h"
#include "raftlog/err.h"

enum entry_kind {
    ENTRY_SET = 'S',
    ENTRY_DEL = 'D',
    ENTRY_MOD = 'M',
    ENTRY_MARK = 'N'
};

struct entry {
    enum entry_kind kind;
    struct bytes key;
    struct bytes value; /* empty for DEL and MARK */
};

/* Pure. out has room for entry_size bytes. Errors of decode: ERR_CORRUPT. */
size_t entry_size(const struct entry *e);
void entry_encode(const struct entry *e, void *out);
int entry_decode(uint8_t kind, const void *data, size_t size,
                 struct entry *out);

#endif
