/* See power_disk.h. */
#include "tests/lib/power_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* XFS_IOC_GOINGDOWN; ext4 and f2fs take the same. 2: do not write the log. */
#define SHUTDOWN_IOCTL _IOR('X', 125, uint32_t)
enum { SHUTDOWN_NO_LOG_FLUSH = 2, RETRIES_MAX = 200, RETRY_US = 10000 };

static bool failed(const char *what, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", what, strerror(errno));
    return false;
}

/* Run a program to its end; its exit status, -1 if it could not. */
static int run(const char *const *argv)
{
    pid_t pid = fork();
    int status;
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

static bool make_image(struct power_disk *d, unsigned megabytes, char *why,
                       size_t why_size)
{
    const char *path = temp_dir_path(&d->image, "image");
    char program[32];
    const char *argv[] = {program, "-q", path, NULL};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int status;
    if (fd < 0 || ftruncate(fd, (off_t)megabytes << 20) != 0) {
        return failed("image file", why, why_size);
    }
    close(fd);
    snprintf(program, sizeof program, "mkfs.%s", d->filesystem);
    status = run(argv);
    if (status != 0) {
        snprintf(why, why_size, "%s ended with %d", program, status);
    }
    return status == 0;
}

static bool attach(struct power_disk *d, char *why, size_t why_size)
{
    struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
    char name[32];
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int image = open(temp_dir_path(&d->image, "image"), O_RDWR | O_CLOEXEC);
    bool ok = false;
    int number;
    if (control < 0 || image < 0) {
        ok = failed("/dev/loop-control", why, why_size);
        goto out;
    }
    /* Somebody else may take the free one first. */
    for (unsigned i = 0; i < RETRIES_MAX && !ok; i++) {
        number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) {
            (void)failed("LOOP_CTL_GET_FREE", why, why_size);
            break;
        }
        d->loop_number = (unsigned)number;
        snprintf(name, sizeof name, "/dev/loop%u", d->loop_number);
        d->loop = open(name, O_RDWR | O_CLOEXEC);
        if (d->loop < 0) {
            (void)failed(name, why, why_size);
            break;
        }
        ok = ioctl(d->loop, LOOP_SET_FD, image) == 0;
        if (!ok) {
            (void)failed("LOOP_SET_FD", why, why_size);
            close(d->loop);
            d->loop = -1;
        }
    }
    /* The device goes away with its last user, however this ends. */
    ok = ok && ioctl(d->loop, LOOP_SET_STATUS64, &info) == 0;
out:
    if (control >= 0) {
        close(control);
    }
    if (image >= 0) {
        close(image);
    }
    return ok;
}

static bool mount_it(struct power_disk *d)
{
    char name[32];
    snprintf(name, sizeof name, "/dev/loop%u", d->loop_number);
    d->is_mounted = mount(name, d->mounted.path, d->filesystem, 0, NULL) == 0;
    return d->is_mounted;
}

bool power_disk_open(struct power_disk *d, const char *filesystem,
                     unsigned megabytes, char *why, size_t why_size)
{
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : NULL;
    memset(d, 0, sizeof *d);
    d->loop = -1;
    d->filesystem = filesystem;
    temp_dir_make_in(&d->image, parent);
    temp_dir_make(&d->mounted);
    /* Mounts of our own vanish with the last process that sees them. */
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        (void)failed("mounts of our own", why, why_size);
        goto err;
    }
    if (!make_image(d, megabytes, why, why_size) || !attach(d, why, why_size)) {
        goto err;
    }
    if (!mount_it(d)) {
        (void)failed("mount of the image", why, why_size);
        goto err;
    }
    return true;
err:
    power_disk_close(d);
    return false;
}

void power_disk_cut(struct power_disk *d)
{
    uint32_t flags = SHUTDOWN_NO_LOG_FLUSH;
    int fd = open(d->mounted.path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, SHUTDOWN_IOCTL, &flags) != 0) {
        perror("shutdown of the file system");
        power_disk_close(d);
        exit(1);
    }
    close(fd);
}

/* A process that has just ended may hold it for a moment. */
static bool unmount(struct power_disk *d)
{
    int rv = -1;
    for (unsigned i = 0; i < RETRIES_MAX && rv != 0; i++) {
        rv = umount(d->mounted.path);
        if (rv != 0 && errno == EBUSY) {
            usleep(RETRY_US);
        }
    }
    d->is_mounted = rv != 0;
    return rv == 0;
}

void power_disk_restart(struct power_disk *d)
{
    if (!unmount(d) || !mount_it(d)) {
        perror("mounting the file system again");
        power_disk_close(d);
        exit(1);
    }
}

void power_disk_close(struct power_disk *d)
{
    if (d->is_mounted && !unmount(d)) {
        umount2(d->mounted.path, MNT_DETACH);
    }
    if (d->loop >= 0) {
        close(d->loop);
        d->loop = -1;
    }
    temp_dir_remove(&d->mounted);
    temp_dir_remove(&d->image);
}
