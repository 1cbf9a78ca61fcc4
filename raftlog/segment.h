/* Segment files: their names, and the blocking steps of their life.
 *
 *   (nothing) --segment_fill--> pool/<id>.free --segment_activate-->
 *   log/<first index>-<id>.seg --segment_recycle--> pool/<id>.free or gone
 *
 * A file in the pool is complete: every block has been written and synced, so
 * a direct write into it neither allocates nor meets an unwritten extent.
 * These functions know nothing of struct raftlog and run on any thread. */
#ifndef RAFTLOG_SEGMENT_H
#define RAFTLOG_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raftlog/err.h"
#include "raftlog/file.h"
#include "raftlog/record.h"

enum { SEGMENT_PATH_MAX = 4096, SEGMENT_NAME_MAX = 64 };

/* A live segment. Loop thread only, except that a read job uses `file` while
 * it holds a reference. */
struct segment {
    struct segment *next; /* the segment after it, by id */
    uint64_t id;
    uint64_t first_index; /* as in its name */
    uint64_t bytes;       /* size of the file */
    uint64_t end;         /* offset behind the last frame */
    /* Highest entry that some recovery may still take from this file. */
    uint64_t max_index;
    /* When it became the active one, on the scale of io.now_ms; of a former
     * life by the wall clock, so it can lie before zero. */
    int64_t begun_ms;
    struct file *file;
    unsigned refs; /* the list's and one for each read */
    char name[SEGMENT_NAME_MAX];
};

/* dir + "/" + name into out, of SEGMENT_PATH_MAX bytes. Errors:
 * ERR_INVALID too long. */
int segment_path(char *out, const char *dir, const char *name);

/* Names: 20 digits of index, 10 of id at least; "<id>.free" in the pool. */
void segment_name(char out[SEGMENT_NAME_MAX], uint64_t first_index,
                  uint64_t id);
bool segment_name_parse(const char *name, uint64_t *first_index, uint64_t *id);
void segment_pool_name(char out[SEGMENT_NAME_MAX], uint64_t id);
bool segment_pool_name_parse(const char *name, uint64_t *id);

/* Create pool_dir/<id>.free of that size, written with zeroes and synced.
 * Errors: ERR_NOSPACE, ERR_NOMEM, ERR_AGAIN (too many open files) have left
 * nothing behind and may be tried again; ERR_IO (also any failed sync of a
 * directory), ERR_ACCESS. */
int segment_fill(const char *pool_dir, uint64_t id, uint64_t bytes,
                 struct err_info *info);

/* Turn pool_dir/<pool_id>.free into a live, empty segment as header says: the
 * header becomes durable before the name in log_dir does, and the name before
 * this returns. *file is given, open for direct writing. Errors: as above. */
int segment_activate(const char *log_dir, const char *pool_dir,
                     uint64_t pool_id, const struct segment_header *header,
                     struct file **file, struct err_info *info);

/* Take log_dir/name out of the log: into the pool if *keep, else (or when the
 * pool's directory can not take the name: *keep becomes false) remove it.
 * Durable when this returns, so that a crash leaves no hole in the sequence
 * of segments. Errors: ERR_IO. */
int segment_recycle(const char *log_dir, const char *pool_dir, const char *name,
                    uint64_t id, bool *keep, struct err_info *info);

#endif
