/* What was appended and is not durable yet: a queue of operations whose bytes
 * lie one behind the other in counted blocks (raftlog/block.h), so that the
 * log can take them without a copy.
 *
 * Thread: guarded by its owner's lock. */
#ifndef PERSIST_GATHER_H
#define PERSIST_GATHER_H

#include <stdbool.h>

#include "persist/entry.h"
#include "raftlog/raftlog.h"

/* Somebody who waits until his operation is durable; on his stack. */
struct waiter {
    bool done;
    int status;
};

struct gathered {
    void *block; /* holds data; this holds a reference */
    const void *data;
    struct waiter *waiter; /* NULL: nobody waits */
    uint64_t ticket;       /* counts operations of this handle */
    uint32_t size;
    uint8_t kind;
};

struct gather {
    struct gathered *ring;
    size_t capacity; /* zero or a power of two */
    size_t head;
    size_t n;
    uint64_t bytes;   /* of memory: payload and gathered */
    uint64_t payload; /* with the log's overhead */
    size_t size_max;  /* of one payload since the queue was empty */
    size_t n_waiters;
    uint8_t *chunk; /* the block that is being filled */
    size_t chunk_used;
    size_t chunk_size;
};

void gather_init(struct gather *g);
void gather_close(struct gather *g);
/* Errors: ERR_NOMEM, then nothing has changed. */
int gather_put(struct gather *g, const struct entry *e, uint64_t ticket,
               struct waiter *waiter);
/* The i-th oldest, i < n. */
struct gathered *gather_at(const struct gather *g, size_t i);
/* Describe the oldest ones for the log, at most max and, from the second on,
 * within bytes_max; nothing is taken out. Returns how many. */
size_t gather_peek(const struct gather *g, struct raftlog_entry *out,
                   size_t max, size_t bytes_max);
/* Take the n oldest out and tell their waiters. */
void gather_pop(struct gather *g, size_t n, int status);
/* Take out all that somebody waits for, telling him; returns how many. */
size_t gather_refuse(struct gather *g, int status);

#endif
