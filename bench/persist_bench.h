/* What the parts of persist_bench share: the report, the raw device, a log to
 * measure. Every failure ends the program. */
#ifndef BENCH_PERSIST_BENCH_H
#define BENCH_PERSIST_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "bench/persist_report.h"
#include "persist/kv_persist.h"

enum {
    BENCH_KEY_SIZE = 32,
    BENCH_VALUE_SIZE = 128,
    BENCH_VALUE_MAX = 64 * 1024,
    BENCH_PATH_MAX = 4096
};

struct bench {
    struct report report;
    const char *directory;
    unsigned scale; /* counts are divided by it */
};

/* The only one. */
extern struct bench bench;

/* Words and errno, and the end; and without errno. */
void bench_die(const char *what);
void bench_fail(const char *what);
/* The end unless rv is 0, in the library's words. */
void bench_check(int rv);
uint64_t bench_now_ns(void);
double bench_seconds_since(uint64_t start_ns);

/* ---- the raw device: a file whose blocks were written before ---- */

struct raw {
    int fd;
    char *block; /* what is written, RAW_PIECE_MAX bytes */
    size_t offset;
    size_t size;
};

enum { RAW_PIECE_MAX = 16 * 1024 * 1024 };

/* At least RAW_PIECE_MAX. */
void raw_open(struct raw *r, size_t size);
void raw_close(struct raw *r);
/* So many bytes behind the last ones, around at the end of the file. */
void raw_write(struct raw *r, size_t bytes);
void raw_sync(struct raw *r);

/* ---- the log ---- */

/* A directory of that name in the bench's. */
void bench_path(char out[BENCH_PATH_MAX], const char *name);
void bench_open_wal(wal_t *wal, const char *name, int sync);
void bench_option(wal_t *wal, enum wal_option option, uint64_t value);

/* What the next appends carry. Random values do not compress: what compaction
 * saves then is saved by keys. */
void bench_set_value(size_t size);
void bench_set_random_value(void);
const char *bench_value(void);
void bench_make_key(char key[BENCH_KEY_SIZE + 1], unsigned i);

/* h may be NULL. */
void bench_append(wal_t *wal, unsigned i, struct histogram *h);
/* n appends by each of so many threads; seconds. */
double bench_append_threads(wal_t *wal, unsigned n_threads, unsigned n,
                            struct histogram *h);
/* Random values for keys 0 .. n_keys - 1, round after round; durable. */
void bench_overwrite(wal_t *wal, unsigned n_keys, unsigned n_rounds);

/* A callback for functions that want one, of an engine without keys. */
int bench_no_keys(void *engine, char ***keys, int *count);

/* ---- the parts ---- */

void bench_sync(void);       /* persist_bench.c */
void bench_force_sync(void); /* the same */
void bench_async(void);      /* persist_async.c */
void bench_compaction(void); /* persist_compaction.c */
void bench_effect(void);     /* the same */
void bench_memory(void);     /* persist_memory.c */
void bench_recovery(void);   /* the same */

#endif
