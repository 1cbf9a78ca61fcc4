/* A result file that is there whole or not at all.
 *
 *   whole_file_open -> write to f->out -> whole_file_commit or _abandon
 *
 * The bytes go to PATH.<pid>.part beside it; commit syncs that, renames it to
 * PATH and syncs the directory. What is no plain file (a pipe, a terminal,
 * /dev/null) is written as it is. */
#ifndef CLI_WHOLE_FILE_H
#define CLI_WHOLE_FILE_H

#include <stdbool.h>
#include <stdio.h>

#include "raftlog/err.h"

enum { WHOLE_FILE_PATH_MAX = 4096 };

struct whole_file {
    FILE *out; /* owned, or stdout */
    char path[WHOLE_FILE_PATH_MAX];
    char part[WHOLE_FILE_PATH_MAX + 32]; /* empty: written as it is */
};

/* path "-" is stdout. Errors: ERR_IO, ERR_TOOBIG. */
int whole_file_open(struct whole_file *f, const char *path,
                    struct err_info *info);
/* Errors: ERR_IO; then nothing has changed under the name. */
int whole_file_commit(struct whole_file *f, struct err_info *info);
void whole_file_abandon(struct whole_file *f);
bool whole_file_is_stdout(const struct whole_file *f);

#endif
