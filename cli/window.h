/* What an import has read and not yet got acknowledged: a bounded queue of
 * encoded commands, mostly SET. Pure.
 *
 *   push -> [unsent] -> sent -> [sent] -> acknowledge -> gone
 *                                      -> fail        -> [failed]
 *   rewind: failed, sent, unsent become unsent again, in their first order
 *
 * Replies come in the order of sending, so acknowledge and fail mean the
 * oldest sent item. Each command is encoded once and written from where it
 * lies, also when it is sent again; nothing is copied together.
 *
 * An item whose key is still in the window must not be pushed: a copy that
 * has to be sent again could overwrite the later value. window_has_key tells;
 * the caller waits until the earlier item is gone. */
#ifndef CLI_WINDOW_H
#define CLI_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "cli/record.h"

struct window_item {
    struct window_item *next;      /* in its list */
    struct window_item *hash_next; /* in its bucket */
    uint64_t line;
    uint64_t offset_after; /* of the input, behind this record */
    size_t key_offset;     /* in bytes */
    size_t key_size;
    size_t size;
    char bytes[]; /* the encoded command */
};

struct window_list {
    struct window_item *first;
    struct window_item **last; /* where the next one is hung */
    size_t n_items;
};

struct window {
    struct window_list unsent;
    struct window_list sent;
    struct window_list failed;
    size_t part_sent; /* bytes of the first unsent item that went out */
    size_t n_items_max;
    size_t bytes_max; /* an item alone may be larger */
    size_t n_items;
    size_t bytes;
    size_t n_buckets; /* a power of two */
    struct window_item **buckets;
};

enum { WINDOW_PARTS_MAX = 64 };

/* Errors: ERR_NOMEM. */
int window_init(struct window *w, size_t n_items_max, size_t bytes_max);
void window_close(struct window *w);

bool window_has_room(const struct window *w);
bool window_has_key(const struct window *w, const char *key, size_t size);

/* Encode SET, or take the record's own command, and hang it on; the record is
 * borrowed. Errors: ERR_NOMEM. */
int window_push(struct window *w, const struct record *record, uint64_t line,
                uint64_t offset_after);

/* The next bytes to write; at most n_parts (WINDOW_PARTS_MAX) parts. */
int window_parts(const struct window *w, struct iovec *parts, int n_parts);
/* So many of them went out. */
void window_advance(struct window *w, size_t n_bytes);

/* The oldest sent item is done with; there must be one. Its payload (key and
 * value bytes are most of it) is returned as the size of its command. */
size_t window_acknowledge(struct window *w, uint64_t *offset_after);
void window_fail(struct window *w);
const struct window_item *window_oldest_sent(const struct window *w);

/* All that is here goes out again; returns how many items had been sent, the
 * one sent in part included. */
size_t window_rewind(struct window *w);

/* The lowest line that is not acknowledged; 0 if the window is empty. */
uint64_t window_first_line(const struct window *w);

#endif
