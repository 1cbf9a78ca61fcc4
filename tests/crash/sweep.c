/* The engine of the n-th fault sweep: fault_sweep [CASE...] */
#include "tests/crash/sweep.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "raftlog/block.h"
#include "tests/lib/fault_alloc.h"
#include "tests/lib/fault_call.h"
#include "tests/lib/fault_file.h"
#include "tests/lib/temp_dir.h"

enum { POINTS_MAX = 20000 };

static const struct sweep_case *const cases[] = {
    &sweep_log_new, &sweep_log_old, &sweep_chain_grow,  &sweep_chain_read,
    &sweep_receive, &sweep_home,    &sweep_persist_log, &sweep_persist_streams,
    &sweep_wal_new, &sweep_wal_old, &sweep_wal_hand};

enum door { DOOR_ALLOC, DOOR_FILE, DOOR_CALL };

/* One kind of thing that goes wrong. */
static const struct fault {
    const char *name;
    enum door door;
    int mode;
    int code; /* of DOOR_FILE */
    unsigned ops;
} faults[] = {
    {"allocation", DOOR_ALLOC, FAULT_ALLOC_ONCE, 0, 0},
    {"allocation and all after", DOOR_ALLOC, FAULT_ALLOC_ONWARDS, 0, 0},
    {"operation, EIO", DOOR_FILE, FAULT_ONCE, ERR_IO, FAULT_ALL},
    {"operation, ENOSPC", DOOR_FILE, FAULT_ONCE, ERR_NOSPACE, FAULT_CHANGES},
    {"operation, process ends", DOOR_FILE, FAULT_CRASH, ERR_IO, FAULT_CHANGES},
    {"write torn, process ends", DOOR_FILE, FAULT_TORN, ERR_IO, FAULT_WRITE},
    {"transfer cut short", DOOR_CALL, FAULT_CALL_SHORT, 0, 0},
    {"transfer interrupted", DOOR_CALL, FAULT_CALL_INTERRUPTED, 0, 0},
};

static struct {
    const struct sweep_case *sweep;
    const struct fault *fault;
    unsigned long nth;
    char dir[TEMP_DIR_MAX];
} now;

void sweep_failed(const char *file, int line, const char *condition,
                  const char *words)
{
    (void)fault_alloc_disarm();
    (void)fault_file_disarm();
    (void)fault_call_disarm();
    fprintf(stderr, "%s:%d: %s\n%s\ncase %s, fault: %s, number %lu, in %s\n",
            file, line, condition, words != NULL ? words : "", now.sweep->name,
            now.fault != NULL ? now.fault->name : "none", now.nth, now.dir);
    exit(1);
}

static void arm(const struct fault *f, unsigned long nth)
{
    switch (f->door) {
    case DOOR_ALLOC:
        fault_alloc_arm(nth, (enum fault_alloc_mode)f->mode);
        break;
    case DOOR_FILE:
        fault_file_arm(f->ops, nth, f->code, (enum fault_mode)f->mode);
        break;
    case DOOR_CALL:
        fault_call_arm(nth, (enum fault_call_mode)f->mode);
        break;
    }
}

static bool disarm(const struct fault *f)
{
    switch (f->door) {
    case DOOR_ALLOC:
        return fault_alloc_disarm();
    case DOOR_FILE:
        return fault_file_disarm();
    default:
        return fault_call_disarm();
    }
}

static unsigned count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;
    sweep_check(dir != NULL, "/proc/self/fd");
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Do the work with the n-th fault. False: it did not strike. */
static bool try_point(const struct sweep_case *c, const struct fault *f,
                      unsigned long nth)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL;
    struct temp_dir dir;
    struct sweep_told told;
    unsigned n_descriptors;
    uint64_t n_block_bytes;
    long n_live;
    bool struck;
    int rv;
    temp_dir_make_in(&dir, parent);
    memcpy(now.dir, dir.path, sizeof now.dir);
    now.nth = nth;
    if (c->prepare != NULL) {
        c->prepare(dir.path);
    }
    memset(&told, 0, sizeof told);
    n_descriptors = count_descriptors();
    n_live = fault_alloc_live();
    n_block_bytes = block_bytes_in_use();
    arm(f, nth);
    rv = c->work(dir.path, &told);
    struck = disarm(f);
    sweep_check(fault_alloc_live() == n_live, "memory was leaked");
    sweep_check(block_bytes_in_use() == n_block_bytes, "a block was leaked");
    sweep_check(count_descriptors() == n_descriptors,
                "a descriptor was left open");
    sweep_check(rv == 0 || (struck && told.info.message[0] != '\0'),
                "an error without a fault, or without words");
    sweep_check(struck || told.whole, "it does not come to its end");
    sweep_check(!struck || f->door != DOOR_CALL || rv == 0,
                "a short transfer is no error");
    /* One allocation that failed: refused with words, or done all the same. */
    sweep_check(rv != 0 || f->door != DOOR_ALLOC ||
                    f->mode != FAULT_ALLOC_ONCE || told.whole,
                "it did not get over it");
    c->check(dir.path, &told);
    temp_dir_remove(&dir);
    return struck;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(const struct sweep_case *c)
{
    size_t n_faults = sizeof faults / sizeof faults[0];
    double start = now_s();
    unsigned long all = 0;
    now.sweep = c;
    printf("%-11s", c->name);
    for (size_t i = 0; i < n_faults; i++) {
        unsigned long n = 1;
        now.fault = &faults[i];
        while (try_point(c, &faults[i], n)) {
            n++;
            sweep_check(n < POINTS_MAX, "there is no end of it");
        }
        printf(" %5lu", n - 1);
        all += n - 1;
    }
    printf("  %lu points, nothing lost, nothing leaked, %.1f s\n", all,
           now_s() - start);
    fflush(stdout);
    sweep_check(all >= 20, "too little was done"); /* A void run. */
}

int main(int argc, char **argv)
{
    size_t n_cases = sizeof cases / sizeof cases[0];
    int n_bad = 0;
    printf("columns: ");
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        printf("%s%s", i > 0 ? "; " : "", faults[i].name);
    }
    printf("\n");
    for (int a = 1; a < argc; a++) {
        size_t i = 0;
        while (i < n_cases && strcmp(cases[i]->name, argv[a]) != 0) {
            i++;
        }
        if (i == n_cases) {
            fprintf(stderr, "no case %s\n", argv[a]);
            n_bad++;
        } else {
            run(cases[i]);
        }
    }
    for (size_t i = 0; argc == 1 && i < n_cases; i++) {
        run(cases[i]);
    }
    return n_bad > 0 ? 2 : 0;
}
