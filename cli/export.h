/* Bulk export: all keys with their values, out of the cluster into a file.
 *
 * Happy path: SCAN gives a page of keys; the next SCAN goes out at once, and
 * behind it GET and PEXPIRETIME for each key of the page. So there is always a
 * page on its way while another is asked for, and never more than two.
 *
 *   sent     SCAN | SCAN GET.. | SCAN GET.. | ...
 *   replies       | page 1     | page 2, values of 1 | ...
 *
 * Failures, and what is done:
 * - connection lost, no reply for EXPORT_STALL_MS, or an error that says "not
 *   now": find a node again, ask again for what is not here yet. All of it is
 *   reading, so nothing can be done twice;
 * - the new node does not know the cursor: go on behind the last key (scan.h);
 * - nothing for timeout_ms: end, unreachable;
 * - any other refusal, or a file that cannot be written: end.
 * A key that goes between SCAN and GET is left out; so is one that holds no
 * string (on a plain Redis), which is counted.
 *
 * Value and expiry of a key are read one right after the other, not at one
 * moment: a key that is set anew in between may come with its new expiry. */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "cli/client.h"
#include "cli/progress.h"
#include "cli/record_write.h"
#include "cli/scan.h"

enum { EXPORT_STALL_MS = 3000, EXPORT_RETRY_MS = 100 };

/* Keys of one SCAN reply whose values are due. */
struct export_page {
    redisReply *reply;      /* owned; NULL: no page */
    const redisReply *keys; /* inside it */
    size_t at;              /* the first key that is not written yet */
    bool with_expiry;       /* two replies for each key */
    redisReply *value;      /* of that key, its expiry is still due */
};

/* Replies that are due, in the order of asking. */
enum export_due { EXPORT_DUE_NONE, EXPORT_DUE_SCAN, EXPORT_DUE_PAGE };
enum { EXPORT_DUE_MAX = 4 };

struct export
{
    /* set by the caller */
    struct client client;
    struct scan scan;
    struct progress progress;
    FILE *out;
    enum record_format format;
    int64_t timeout_ms;

    /* results */
    uint64_t n_records;
    uint64_t n_other_types; /* keys that hold no string */
    uint64_t n_expiring;    /* records with an expiry, written or not */
    uint64_t n_interruptions;
    int64_t interrupted_ms;
    int code;
    struct err_info info;

    /* inside */
    struct export_page pages[2]; /* the older one first */
    enum export_due due[EXPORT_DUE_MAX];
    size_t n_due;
    char *request; /* encoded commands */
    size_t request_size;
    size_t request_room;
    size_t request_sent;
    bool no_expiry;       /* the node does not know PEXPIRETIME */
    int64_t heard_ms;     /* the last sign of progress */
    int64_t connected_ms; /* when the connection was made */
    bool waiting;         /* since heard_ms, for the cluster */
};

/* Run until the end; code, info and the counts tell how it went. Returns
 * code. The caller looks at ferror(out) too. */
int export_run(struct export *ex);
void export_close(struct export *ex);

#endif
