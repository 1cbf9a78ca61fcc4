/* What the inspect verbs share: the places that are damaged, and words for
 * bytes. The files are opened for reading only, through raftlog/file.h. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/json_write.h"
#include "cli/verb.h"
#include "raftlog/err.h"

enum {
    INSPECT_PATH_MAX = 4096,
    INSPECT_WHAT_MAX = 400,
    INSPECT_PROBLEMS_MAX = 100 /* the rest is only counted */
};

struct inspect_problem {
    char file[INSPECT_PATH_MAX];
    uint64_t offset;
    char what[INSPECT_WHAT_MAX];
};

struct inspect_problems {
    struct inspect_problem *items; /* INSPECT_PROBLEMS_MAX of them */
    size_t n_items;
    uint64_t n_all;
};

/* Running out of memory ends the process: nothing has been changed. */
void inspect_problems_init(struct inspect_problems *p);
void inspect_problems_close(struct inspect_problems *p);
void inspect_problem_add(struct inspect_problems *p, const char *file,
                         uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Say them on stderr, with what to do next; returns the exit code. */
int inspect_problems_report(const struct inspect_problems *p);
/* A member "problems" of the open object. */
void inspect_problems_print_json(const struct inspect_problems *p,
                                 struct json_writer *w);

/* dir/name; out has INSPECT_PATH_MAX bytes. False if it is too long. */
bool inspect_path(char *out, const char *dir, const char *name);
bool inspect_is_dir(const char *path);
/* "cannot open FILE: why", with the exit code for that. */
int inspect_fail_open(const char *path, int code);

/* 2 * size digits and NUL into out. */
char *inspect_hex(char *out, const void *data, size_t size);

/* Bytes for a person: quoted and escaped, cut with "..." after max bytes. */
void inspect_print_bytes(FILE *out, const void *data, size_t size, size_t max);

#endif
