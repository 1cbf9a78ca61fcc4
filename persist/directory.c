/* Creating directories; see directory.h. */
#include "persist/directory.h"

#include <stdbool.h>
#include <string.h>

#include "raftlog/file.h"

static void parent_of(char out[DIRECTORY_PATH_MAX + 1], const char *path)
{
    size_t n = strlen(path);
    const char *slash;

    while (n > 1 && path[n - 1] == '/') {
        n--;
    }
    memcpy(out, path, n);
    out[n] = '\0';
    slash = strrchr(out, '/');
    if (slash == NULL) {
        strcpy(out, ".");
    } else {
        out[slash == out ? 1 : (size_t)(slash - out)] = '\0';
    }
}

int directory_make(const char *dir, struct err_info *info)
{
    char parent[DIRECTORY_PATH_MAX + 1];
    bool there = false;
    int rv;

    if (dir[0] == '\0' || strlen(dir) > DIRECTORY_PATH_MAX) {
        return err_set(info, ERR_INVALID, "the path of the directory is %s",
                       dir[0] == '\0' ? "empty" : "too long");
    }
    parent_of(parent, dir);
    rv = file_exists(dir, &there);
    if (rv == 0 && !there) {
        rv = file_make_dir(dir);
    }
    if (rv == 0) {
        /* Also when it is there: a process that was killed behind making it
         * has left a name that a power cut can still take back, with all that
         * comes into it. A parent that may not be read was not made ready by
         * us. */
        rv = file_sync_dir(parent);
        rv = rv == ERR_ACCESS && there ? 0 : rv;
    }
    if (rv == ERR_NOTFOUND) {
        return err_set(info, rv,
                       "cannot create %s: the directory above it does not "
                       "exist; create that first",
                       dir);
    }
    return rv == 0
               ? 0
               : err_set(info, rv, "cannot create %s: %s", dir, err_text(rv));
}
