/* Processes of ours; see process.h. */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/text.h"

enum { PROCESS_TEXT_MAX = 2048 };

bool process_parse_stat(const char *text, char *state, uint64_t *start_ticks)
{
    enum { FIELD_STATE = 3, FIELD_START = 22 };
    const char *at = strrchr(text, ')');
    char digits[24];
    if (at == NULL || at[1] != ' ' || at[2] == '\0') {
        return false;
    }
    at += 2;
    *state = *at;
    for (int field = FIELD_STATE; field < FIELD_START; field++) {
        at = strchr(at, ' ');
        if (at == NULL) {
            return false;
        }
        at++;
    }
    size_t size = strcspn(at, " \n");
    if (size >= sizeof(digits)) {
        return false;
    }
    memcpy(digits, at, size);
    digits[size] = '\0';
    return text_parse_count(digits, 0, UINT64_MAX, start_ticks) == 0;
}

bool process_parse_file(struct process *p, const char *text)
{
    int pid = 0;
    char start[24];
    char boot_id[PROCESS_BOOT_ID_MAX];
    if (sscanf(text, "%d %23s %63s", &pid, start, boot_id) != 3 || pid <= 1 ||
        text_parse_count(start, 0, UINT64_MAX, &p->start_ticks) != 0) {
        return false;
    }
    p->pid = pid;
    memcpy(p->boot_id, boot_id, sizeof(boot_id));
    return true;
}

/* A small file as a string. Returns 0 or an errno. */
static int read_text(const char *path, char *out, size_t out_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    ssize_t n = read(fd, out, out_size - 1);
    int failed = n < 0 ? errno : 0;
    close(fd);
    out[n < 0 ? 0 : n] = '\0';
    return failed;
}

static void read_boot_id(char *out)
{
    if (read_text("/proc/sys/kernel/random/boot_id", out,
                  PROCESS_BOOT_ID_MAX) != 0 ||
        out[0] == '\0') {
        strcpy(out, "-");
    }
    out[strcspn(out, "\n")] = '\0';
}

static bool read_stat(pid_t pid, char *state, uint64_t *start_ticks)
{
    char path[64];
    char text[PROCESS_TEXT_MAX];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    return read_text(path, text, sizeof(text)) == 0 &&
           process_parse_stat(text, state, start_ticks);
}

int process_load(struct process *p, const char *path, struct err_info *info)
{
    char text[PROCESS_TEXT_MAX];
    int failed = read_text(path, text, sizeof(text));
    if (failed == ENOENT) {
        return err_set(info, ERR_NOTFOUND, "%s does not exist", path);
    }
    if (failed != 0) {
        return err_set(info, ERR_IO, "cannot read %s: %s", path,
                       strerror(failed));
    }
    if (!process_parse_file(p, text)) {
        return err_set(info, ERR_CORRUPT,
                       "%s is not a pid file of concordctl; remove it if the "
                       "node is not running",
                       path);
    }
    return 0;
}

bool process_is_alive(const struct process *p)
{
    char boot_id[PROCESS_BOOT_ID_MAX];
    char state;
    uint64_t start_ticks;
    read_boot_id(boot_id);
    return strcmp(boot_id, p->boot_id) == 0 &&
           read_stat(p->pid, &state, &start_ticks) &&
           start_ticks == p->start_ticks && state != 'Z' && state != 'X';
}

bool process_is_paused(const struct process *p)
{
    char state;
    uint64_t start_ticks;
    return process_is_alive(p) && read_stat(p->pid, &state, &start_ticks) &&
           start_ticks == p->start_ticks && (state == 'T' || state == 't');
}

int process_signal(const struct process *p, int number, struct err_info *info)
{
    int failed = 0;
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (!process_is_alive(p)) {
        failed = ESRCH;
    } else if (fd < 0 ||
               syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) != 0) {
        failed = fd < 0 ? ENOSYS : errno;
    }
    if (failed == ENOSYS) {
        /* No pidfds here (an old kernel, a container's filter, valgrind, which
         * may know how to open one and not how to use it). */
        failed = kill(p->pid, number) != 0 ? errno : 0;
    }
    if (fd >= 0) {
        close(fd);
    }
    if (failed == 0) {
        return 0;
    }
    if (failed == ESRCH) {
        return err_set(info, ERR_NOTFOUND, "process %d has ended", (int)p->pid);
    }
    return err_set(info, failed == EPERM ? ERR_ACCESS : ERR_IO,
                   "cannot signal process %d: %s", (int)p->pid,
                   strerror(failed));
}

/* In the child: write our own pid file, completely or not at all. */
static int write_pid_file(const char *path)
{
    char temporary[4096 + 8];
    char text[PROCESS_TEXT_MAX];
    struct process self = {.pid = getpid()};
    char state;
    if (!read_stat(self.pid, &state, &self.start_ticks)) {
        return EIO;
    }
    read_boot_id(self.boot_id);
    int size = snprintf(text, sizeof(text), "%d %" PRIu64 " %s\n",
                        (int)self.pid, self.start_ticks, self.boot_id);
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        return errno;
    }
    int failed = write(fd, text, (size_t)size) == size ? 0 : EIO;
    close(fd);
    if (failed == 0 && rename(temporary, path) != 0) {
        failed = errno;
    }
    return failed;
}

/* In the child; returns what went wrong. */
static int become(char *const *args, int log_fd, const char *pid_path)
{
    sigset_t none;
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0 || setsid() < 0 || dup2(null_fd, 0) < 0 ||
        dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0) {
        return errno;
    }
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    int failed = write_pid_file(pid_path);
    if (failed != 0) {
        return failed;
    }
    execv(args[0], args);
    failed = errno;
    (void)unlink(pid_path);
    return failed;
}

int process_start(char *const *args, const char *log_path, const char *pid_path,
                  struct err_info *info)
{
    int pipe_fds[2];
    int failed = 0;
    int log_fd =
        open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_fd < 0) {
        return err_set(info, ERR_IO, "cannot open %s: %s", log_path,
                       strerror(errno));
    }
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        failed = errno;
        close(log_fd);
        return err_set(info, ERR_IO, "cannot make a pipe: %s",
                       strerror(failed));
    }
    pid_t pid = fork();
    if (pid == 0) {
        failed = become(args, log_fd, pid_path);
        ssize_t n = write(pipe_fds[1], &failed, sizeof(failed));
        _exit(n == sizeof(failed) ? 127 : 126);
    }
    failed = pid < 0 ? errno : 0;
    close(log_fd);
    close(pipe_fds[1]);
    /* The pipe closes by itself when the child has become the program. */
    if (pid > 0) {
        ssize_t n;
        do {
            n = read(pipe_fds[0], &failed, sizeof(failed));
        } while (n < 0 && errno == EINTR);
        if (n > 0) {
            (void)waitpid(pid, NULL, 0);
        } else {
            failed = 0;
        }
    }
    close(pipe_fds[0]);
    return failed == 0 ? 0
                       : err_set(info, ERR_IO, "cannot start %s: %s", args[0],
                                 strerror(failed));
}
