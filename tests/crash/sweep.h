/* The n-th fault: a piece of work is done again and again, and each time
 * another single thing goes wrong: the n-th allocation, the n-th file
 * operation (EIO, ENOSPC, torn, or the end of the process), the n-th transfer
 * cut short or interrupted; for every n until none strikes. Afterwards nothing
 * that was promised is lost, nothing is leaked, no descriptor stays open, and
 * an error comes with words. */
#ifndef TESTS_CRASH_SWEEP_H
#define TESTS_CRASH_SWEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "raftlog/err.h"

/* What a piece of work was told before it ended. */
struct sweep_told {
    uint64_t durable; /* the work's own meaning */
    uint64_t term;
    bool whole;           /* it came to its end */
    struct err_info info; /* of the failure that ended it */
};

struct sweep_case {
    const char *name;
    /* Into a fresh directory; nothing fails. NULL: nothing to prepare. */
    void (*prepare)(const char *dir);
    /* The work; everything it took is given back when it returns. 0, or the
     * code that ended it, with info. */
    int (*work)(const char *dir, struct sweep_told *told);
    /* Nothing fails any more: what was told is there, and the work goes on. */
    void (*check)(const char *dir, const struct sweep_told *told);
};

extern const struct sweep_case sweep_log_new;
extern const struct sweep_case sweep_log_old;
extern const struct sweep_case sweep_chain_grow;
extern const struct sweep_case sweep_chain_read;
extern const struct sweep_case sweep_receive;
extern const struct sweep_case sweep_home;
extern const struct sweep_case sweep_persist_log;
extern const struct sweep_case sweep_persist_streams;
extern const struct sweep_case sweep_wal_new;
extern const struct sweep_case sweep_wal_old;
extern const struct sweep_case sweep_wal_hand;

void sweep_failed(const char *file, int line, const char *condition,
                  const char *words);
#define sweep_check(condition, words)                                          \
    do {                                                                       \
        if (!(condition)) {                                                    \
            sweep_failed(__FILE__, __LINE__, #condition, words);               \
        }                                                                      \
    } while (0)

#endif
