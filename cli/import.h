/* Bulk import: records in, acknowledged SETs out.
 *
 * Happy path: records are read as room in the window allows, written to the
 * leader without waiting, and forgotten when acknowledged.
 *
 * Failures, and what is done:
 * - connection lost, or silence while another node leads: connect to the
 *   leader anew and send all that is not acknowledged again, in order;
 * - -CLUSTERDOWN, -UNKNOWN, -NOSPACE and the like for some items: send no
 *   more, take the outstanding replies, pause, then send the failed ones
 *   again before anything new;
 * - no acknowledgement for timeout_ms while some are due: end, unreachable;
 * - input that cannot be read or understood: bring in all before that line,
 *   then end, naming it;
 * - any other refusal: send no more, take the outstanding replies, end, naming
 *   the line;
 * - Ctrl-C: the same, within IMPORT_DRAIN_MS.
 * Sending a SET again is safe because it is idempotent and because no two
 * items of the same key are ever under way together (window.h). */
#ifndef CLI_IMPORT_H
#define CLI_IMPORT_H

#include "cli/client.h"
#include "cli/progress.h"
#include "cli/record_reader.h"
#include "cli/window.h"

enum {
    IMPORT_DRAIN_MS = 2000,
    IMPORT_STALL_MS = 1000,     /* silence, then it is asked who leads */
    IMPORT_STALL_MAX_MS = 8000, /* silence, then the peer counts as lost */
    IMPORT_RETRY_MS = 100,
    IMPORT_WINDOW_BYTES = 4 * 1024 * 1024,
    IMPORT_LINE_BYTES_MAX = 64 * 1024 * 1024
};

struct import {
    /* set by the caller */
    struct client client;
    struct record_reader reader;
    struct window window;
    struct progress progress;
    int64_t timeout_ms;
    uint64_t from_line;

    /* results */
    uint64_t n_acknowledged;
    uint64_t bytes_acknowledged; /* of encoded commands */
    uint64_t n_skipped;          /* before from_line, as asked */
    uint64_t n_sent_again;
    uint64_t n_interruptions; /* times it had to wait for the cluster */
    int64_t interrupted_ms;   /* in all */
    int64_t longest_ms;       /* the longest of them */
    int code;                 /* exit code, once it ends */
    struct err_info info;

    /* inside */
    struct record record; /* read, but its key is still under way */
    bool has_record;
    int input_code; /* why no more is read; EXIT_CODE_OK: it is read */
    struct err_info input_info;
    bool draining;           /* send no more until `sent` is empty */
    bool ending;             /* ... and then end with `code` */
    int64_t end_ms;          /* when draining is given up */
    int64_t acknowledged_ms; /* the last sign of progress */
    int64_t heard_ms;        /* the last reply, or question about the leader */
    int64_t connected_ms;
    int64_t waiting_ms; /* since when it waits for the cluster; 0: not */
};

/* Run until the end; code, info and the counts tell how it went. All that was
 * not acknowledged is still in the window. Returns code. */
int import_run(struct import *im);

#endif
