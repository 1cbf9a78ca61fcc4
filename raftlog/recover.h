/* Recovery: what the files of a data directory mean, decided once at open.
 *
 * All decisions are rows of one table. First everything is read and judged;
 * only when no row refuses does anything on disk change, and what changes
 * (keep a torn tail aside and wipe it, finish a release, tidy the pool, make
 * names durable) leads to a directory that the next recovery reads the same
 * way: recovery is idempotent.
 *
 * Why the tail can be judged: one frame is in flight at a time, so a frame
 * that stands before another one was durable before that one was begun. Only
 * the newest frame can be torn. "Evidence" that a frame was durable is: a later
 * frame or segment exists, or the watermark in a frame or in a hard state slot
 * names it. */
#ifndef RAFTLOG_RECOVER_H
#define RAFTLOG_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "raftlog/err.h"
#include "raftlog/raftlog.h"

/* X(name, code, what is found and what is done) */
#define RECOVER_CASES(X)                                                       \
    /* the directory */                                                        \
    X(NEW, 0, "no segments, no hard state: create the log")                    \
    X(HALF_CREATED, 0,                                                         \
      "no segments, hard state never changed: creation was interrupted, "      \
      "finish it")                                                             \
    X(SEGMENTS_GONE, ERR_CORRUPT,                                              \
      "no segments, but the hard state is used: "                              \
      "refuse")                                                                \
    X(HARD_GONE, ERR_CORRUPT, "segments, but no hard state slot: refuse")      \
    /* hard state */                                                           \
    X(HARD_BOTH, 0, "both slots are valid: the higher sequence wins")          \
    X(HARD_ONE, 0,                                                             \
      "one slot is damaged or missing: use the other, write "                  \
      "it again")                                                              \
    X(HARD_NONE, ERR_CORRUPT, "both slots are damaged: refuse")                \
    X(HARD_BEHIND, ERR_CORRUPT,                                                \
      "a frame was written after a newer hard state than the slots hold: "     \
      "refuse")                                                                \
    /* segments */                                                             \
    X(OTHER_CLUSTER, ERR_CLUSTER, "another cluster's or node's: refuse")       \
    X(NEWER_VERSION, ERR_VERSION, "a newer format: refuse")                    \
    X(BAD_HEADER, ERR_CORRUPT,                                                 \
      "damaged segment header, or a file shorter "                             \
      "than it says: refuse")                                                  \
    X(EXTRA, ERR_CORRUPT,                                                      \
      "a name that contradicts the header, or two "                            \
      "segments of one id: refuse")                                            \
    X(MISSING, ERR_CORRUPT,                                                    \
      "a segment that a frame or a header names is "                           \
      "not there: refuse")                                                     \
    X(LEFTOVER, 0,                                                             \
      "segments below the oldest one that a frame names: a "                   \
      "release was interrupted, finish it")                                    \
    X(EMPTY_LAST, 0,                                                           \
      "the newest segment has no frame: a rotation was "                       \
      "interrupted, go on in it")                                              \
    /* what stands behind the last good frame of a segment */                  \
    X(SEALED, 0, "the next segment continues here: go on there")               \
    X(END, 0, "no frame, no evidence of one: the log ends")                    \
    X(TORN, 0,                                                                 \
      "a frame with a broken body, no evidence that it was "                   \
      "durable: keep it aside, cut it off")                                    \
    X(LOST, 0,                                                                 \
      "no frame, but later ones, and none says that it was durable: written "  \
      "under a weaker sync policy; keep them aside, cut them off")             \
    X(ROT, ERR_CORRUPT,                                                        \
      "no frame or a broken one, but evidence that it was "                    \
      "durable: refuse")                                                       \
    X(MISPLACED, ERR_CORRUPT,                                                  \
      "a sound frame that does not continue the "                              \
      "chain: refuse")

enum recover_case {
#define RECOVER_ENUM(name, code, text) RECOVER_##name,
    RECOVER_CASES(RECOVER_ENUM)
#undef RECOVER_ENUM
        RECOVER_N_CASES
};

const char *recover_case_name(enum recover_case c);
int recover_case_code(enum recover_case c);

/* What is known of the place behind the last good frame of a segment. */
struct recover_tail {
    bool header_sound;   /* a frame header of this segment decodes there */
    bool body_sound;     /* and its body is right */
    bool continues;      /* and sequence, chain, index and term fit */
    bool last_segment;   /* no segment follows */
    bool next_continues; /* one follows, and continues from here */
    bool later;          /* frames stand behind it */
    bool evidence;       /* the frame that should be here was durable */
};
/* Pure: the row for a place where no good frame stands. */
enum recover_case recover_judge_tail(const struct recover_tail *t);

/* Fill an opened but empty struct raftlog from its data directory, creating
 * the log if there is none. Errors: see raftlog_open. */
int recover_run(struct raftlog *log, struct raftlog_report *report,
                struct err_info *info);

#endif
