/* What a log has promised to its owner, for the workloads of crash enumeration
 * that have a log: in flat memory. An entry is known by index and term, as in
 * Raft, so each truncation and reset takes a new term. */
#ifndef TESTS_CRASH_LOG_MODEL_H
#define TESTS_CRASH_LOG_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "raftlog/raftlog.h"
#include "tests/lib/job_list.h"
#include "tests/sim/sim_clock.h"

enum {
    LOG_MODEL_INDEX_MAX = 256,
    LOG_MODEL_TERMS_MAX = 24,
    LOG_MODEL_SEGMENT = 16 * 4096
};

struct log_view {
    uint64_t base; /* entries through it are released or covered */
    uint64_t last;
    uint64_t durable;
    uint8_t terms[LOG_MODEL_INDEX_MAX]; /* of base..last */
};

struct log_model {
    struct log_view now;
    /* A reset that is not durable may be lost: the log before it. */
    struct log_view before_reset;
    bool reset_open;
    uint64_t reset_index;
    uint64_t hard_given, hard_durable; /* hard states are numbered by term */
    bool mended; /* recovered and not written to since: no torn tail is left */
    /* Term of the entry before (index, term), plus 1; 0: never appended. */
    uint8_t before[LOG_MODEL_INDEX_MAX][LOG_MODEL_TERMS_MAX];
};

/* The owner of a log: its jobs and its clock. */
struct log_owner {
    struct raftlog *log;
    struct log_model *model;
    struct sim_clock *clock;
    struct job_list jobs;
};

/* Open the log in dir: the code of raftlog_open, with its words in info. */
int log_owner_try_open(struct log_owner *o, struct log_model *m,
                       struct sim_clock *clock, const char *dir,
                       struct raftlog_report *report, struct err_info *info);
/* The same, and it must go well. */
void log_owner_open(struct log_owner *o, struct log_model *m,
                    struct sim_clock *clock, const char *dir,
                    struct raftlog_report *report);
/* The process is killed. */
void log_owner_kill(struct log_owner *o);
void log_owner_close(struct log_owner *o);
/* Jobs and writes until nothing goes on by itself; then the model holds what
 * the log promises. Bounded. */
void log_owner_settle(struct log_owner *o);
void log_owner_tick(struct log_owner *o); /* 100 ms later, and settle */

/* Append n entries from `first` on, of this term, without waiting. */
void log_owner_append(struct log_owner *o, uint64_t first, unsigned n,
                      uint64_t term);
void log_owner_hard_state(struct log_owner *o); /* the next term and vote */
void log_owner_release(struct log_owner *o, uint64_t through);
void log_owner_reset(struct log_owner *o, uint64_t index, uint64_t term);

/* Open the log in dir and hold it against `m`; *after is what came back. The
 * log stays open in o. */
void log_model_recover(const struct log_model *m, const char *dir,
                       struct sim_clock *clock, struct log_model *after,
                       struct log_owner *o);

#endif
