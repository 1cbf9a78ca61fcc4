/* A file that is there whole or not at all; see whole_file.h. */
#include "cli/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *what, const char *path, struct err_info *info)
{
    return err_set(info, ERR_IO, "cannot %s %.300s: %s", what, path,
                   strerror(errno));
}

bool whole_file_is_stdout(const struct whole_file *f)
{
    return f->out == stdout;
}

int whole_file_open(struct whole_file *f, const char *path,
                    struct err_info *info)
{
    struct stat st;
    memset(f, 0, sizeof(*f));
    if (strcmp(path, "-") == 0) {
        f->out = stdout;
        return 0;
    }
    if (strlen(path) >= sizeof(f->path)) {
        return err_set(info, ERR_TOOBIG, "the file's name is too long");
    }
    strcpy(f->path, path);
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        f->out = fopen(path, "we");
        return f->out == NULL ? fail("open", path, info) : 0;
    }
    snprintf(f->part, sizeof(f->part), "%s.%d.part", path, (int)getpid());
    f->out = fopen(f->part, "wxe");
    return f->out == NULL ? fail("make", f->part, info) : 0;
}

/* The name in the directory is durable. */
static int sync_parent(const char *path, struct err_info *info)
{
    char parent[WHOLE_FILE_PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        size_t size = slash == path ? 1 : (size_t)(slash - path);
        memcpy(parent, path, size);
        parent[size] = '\0';
    }
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail("open", parent, info);
    }
    int rc = fsync(fd) != 0 ? fail("sync", parent, info) : 0;
    close(fd);
    return rc;
}

int whole_file_commit(struct whole_file *f, struct err_info *info)
{
    int rc = 0;
    bool failed = ferror(f->out) || fflush(f->out) != 0;
    if (whole_file_is_stdout(f)) {
        return failed ? fail("write", "the result", info) : 0;
    }
    failed = failed || (f->part[0] != '\0' && fsync(fileno(f->out)) != 0);
    rc = failed ? fail("write", f->path, info) : 0;
    if (fclose(f->out) != 0 && rc == 0) {
        rc = fail("write", f->path, info);
    }
    f->out = NULL;
    if (f->part[0] == '\0') {
        return rc;
    }
    if (rc == 0 && rename(f->part, f->path) != 0) {
        rc = fail("rename the result to", f->path, info);
    }
    if (rc != 0) {
        (void)unlink(f->part);
        return rc;
    }
    return sync_parent(f->path, info);
}

void whole_file_abandon(struct whole_file *f)
{
    if (whole_file_is_stdout(f)) {
        (void)fflush(stdout);
    } else if (f->out != NULL) {
        (void)fclose(f->out);
        if (f->part[0] != '\0') {
            (void)unlink(f->part);
        }
    }
    f->out = NULL;
}
