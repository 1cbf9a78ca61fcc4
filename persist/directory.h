/* Directories that the API creates for its user. */
#ifndef PERSIST_DIRECTORY_H
#define PERSIST_DIRECTORY_H

#include "raftlog/err.h"

enum { DIRECTORY_PATH_MAX = 3800 };

/* Create dir, durably, if it is missing; its parent must exist. Errors, with
 * words: ERR_INVALID empty or too long; ERR_NOTFOUND no parent; ERR_EXISTS not
 * a directory; ERR_ACCESS; ERR_NOSPACE; ERR_IO. */
int directory_make(const char *dir, struct err_info *info);

#endif
