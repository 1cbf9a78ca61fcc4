/* See small_disk.h. */
#include "tests/lib/small_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

enum { SHM_MEGABYTES_MAX = 256 };

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Become root of a user namespace with mounts of its own. */
static bool enter_namespace(void)
{
    char map[64];
    unsigned uid = (unsigned)getuid(), gid = (unsigned)getgid();

    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
        return false;
    }
    snprintf(map, sizeof map, "0 %u 1", uid);
    if (!write_text("/proc/self/uid_map", map)) {
        return false;
    }
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    return write_text("/proc/self/gid_map", map);
}

/* Mounts of our own vanish with the last process that sees them, however the
 * test ends. */
static bool enter_mounts(void)
{
    return unshare(CLONE_NEWNS) == 0 &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static bool mount_tmpfs(struct small_disk *d, unsigned megabytes)
{
    char options[32];
    snprintf(options, sizeof options, "size=%um", megabytes);
    return mount("concordkv-test", d->dir.path, "tmpfs", 0, options) == 0;
}

/* Write a file until no more than so much is left. */
static void fill(const struct small_disk *d, const char *name, uint64_t bytes)
{
    char block[4096];
    int fd =
        open(temp_dir_path(&d->dir, name), O_WRONLY | O_CREAT | O_APPEND, 0644);
    struct statvfs now;

    memset(block, 'x', sizeof block);
    while (fd >= 0 && fstatvfs(fd, &now) == 0 &&
           now.f_bavail * now.f_frsize > bytes &&
           write(fd, block, sizeof block) > 0) {
    }
    if (fd >= 0) {
        close(fd);
    }
}

bool small_disk_open(struct small_disk *d, unsigned megabytes, char *why,
                     unsigned why_size)
{
    struct statvfs shm;

    temp_dir_make(&d->dir);
    d->is_mounted = enter_mounts() && mount_tmpfs(d, megabytes);
    if (!d->is_mounted) {
        snprintf(why, why_size, "mount of a tmpfs: %s", strerror(errno));
        d->is_mounted = enter_namespace() && mount_tmpfs(d, megabytes);
    }
    if (d->is_mounted) {
        return true;
    }
    snprintf(why + strlen(why), why_size - strlen(why),
             "; in a user namespace: %s", strerror(errno));
    temp_dir_remove(&d->dir);
    if (statvfs("/dev/shm", &shm) == 0 &&
        shm.f_blocks * shm.f_frsize <= (uint64_t)SHM_MEGABYTES_MAX << 20 &&
        shm.f_bavail * shm.f_frsize >= (uint64_t)megabytes << 20) {
        temp_dir_make_in(&d->dir, "/dev/shm");
        fill(d, "ballast", (uint64_t)megabytes << 20);
        return true;
    }
    snprintf(why + strlen(why), why_size - strlen(why),
             "; /dev/shm is larger than %d MiB, or smaller than %u MiB",
             SHM_MEGABYTES_MAX, megabytes);
    return false;
}

void small_disk_close(struct small_disk *d)
{
    small_disk_relieve(d);
    if (d->is_mounted) {
        umount2(d->dir.path, MNT_DETACH);
    }
    temp_dir_remove(&d->dir);
}

void small_disk_leave(struct small_disk *d, uint64_t bytes)
{
    fill(d, "filler", bytes);
}

void small_disk_relieve(struct small_disk *d)
{
    unlink(temp_dir_path(&d->dir, "filler"));
}
