/* A fresh directory for one test, removed with all it holds. */
#ifndef TESTS_LIB_TEMP_DIR_H
#define TESTS_LIB_TEMP_DIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMP_DIR_MAX = 200 };

struct temp_dir {
    char path[TEMP_DIR_MAX];
};

/* Under parent, or $TMPDIR, or /tmp. Ends the program on failure: no test can
 * go on without. */
static inline void temp_dir_make_in(struct temp_dir *t, const char *parent)
{
    if (parent == NULL) {
        parent = getenv("TMPDIR");
    }
    if (parent == NULL || strlen(parent) > TEMP_DIR_MAX - 32) {
        parent = "/tmp";
    }
    snprintf(t->path, sizeof t->path, "%.160s/concordkv-test-XXXXXX", parent);
    if (mkdtemp(t->path) == NULL) {
        perror(t->path);
        abort();
    }
}

static inline void temp_dir_make(struct temp_dir *t)
{
    temp_dir_make_in(t, NULL);
}

static inline void temp_dir_remove_path(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    char child[1024];

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        snprintf(child, sizeof child, "%.500s/%.500s", path, e->d_name);
        if (lstat(child, &st) == 0 && S_ISDIR(st.st_mode)) {
            temp_dir_remove_path(child);
        } else {
            unlink(child);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    rmdir(path);
}

static inline void temp_dir_remove(struct temp_dir *t)
{
    temp_dir_remove_path(t->path);
}

/* dir/name, in one of a few static buffers. */
static inline const char *temp_dir_path(const struct temp_dir *t,
                                        const char *name)
{
    static char buffers[4][TEMP_DIR_MAX + 256];
    static unsigned next;
    char *p = buffers[next++ % 4];
    snprintf(p, sizeof buffers[0], "%s/%.250s", t->path, name);
    return p;
}

#endif
