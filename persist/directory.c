/* Creating directories; see directory.h. */
#include "persist/directory.h"

#include <string.h>

#include "raftlog/file.h"

int directory_make(const char *dir, struct err_info *info)
{
    int rv;

    if (dir[0] == '\0' || strlen(dir) > DIRECTORY_PATH_MAX) {
        return err_set(info, ERR_INVALID, "the path of the directory is %s",
                       dir[0] == '\0' ? "empty" : "too long");
    }
    rv = file_make_dir_durable(dir);
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
