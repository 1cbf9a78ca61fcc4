/* A walk over all keys by SCAN that outlives the node it began on.
 *
 *   scan_init(&s, match, count)
 *   loop: scan_command(&s, &c); send it; scan_take(&s, reply, &page, info)
 *         until s.done
 *   scan_close(&s)
 *
 * A cursor belongs to the node that gave it, and not for ever. A node that
 * does not know it says so; then the walk goes on behind the last key that was
 * seen, by the option AFTER, which any node of ours understands because all of
 * them list keys in the order of their bytes. So a key that is there during
 * the whole walk is seen exactly once, also when the leader dies on the way; a
 * key that comes or goes meanwhile may be seen. A plain Redis keeps its
 * cursors valid and may show a key twice.
 *
 * Pure: sending is the caller's. */
#ifndef CLI_SCAN_H
#define CLI_SCAN_H

#include "cli/conn.h"
#include "cli/text.h"

enum { SCAN_ARGS_MAX = 8, SCAN_COUNT_DEFAULT = 1000 };

struct scan {
    const char *match; /* borrowed; NULL: all */
    char count[TEXT_NUMBER_MAX];
    char cursor[TEXT_NUMBER_MAX];
    char *last; /* the last key seen; NULL: none yet */
    size_t last_size;
    bool by_key; /* the cursor is lost: go on behind `last` */
    bool done;
    /* arguments of the command that scan_command made */
    const char *args[SCAN_ARGS_MAX];
    size_t sizes[SCAN_ARGS_MAX];
};

/* count 0: SCAN_COUNT_DEFAULT. */
void scan_init(struct scan *s, const char *match, uint64_t count);
void scan_close(struct scan *s);

/* The next SCAN; it borrows from s until the next call of any function. */
void scan_command(struct scan *s, struct command *command);

/* Take the reply to it. Returns 1: *keys is the page's array (borrowed from
 * reply); 0: the cursor is not known there, ask again with scan_command.
 * Errors: ERR_PROTOCOL, ERR_INVALID (the server's words), ERR_NOMEM. */
int scan_take(struct scan *s, const redisReply *reply, const redisReply **keys,
              struct err_info *info);

/* The same for an error whose words are in info (client_call hands errors on
 * as words). Returns 0: ask again; else info->code. */
int scan_refused(struct scan *s, const struct err_info *info);

#endif
