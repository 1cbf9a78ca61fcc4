/* Processes of ours that outlive us: start, find again, signal.
 *
 * A pid alone says nothing: the kernel gives it to another process later. What
 * a pid file names is pid, start time of the process in clock ticks since
 * boot (field 22 of /proc/<pid>/stat) and the boot id; all three together
 * never mean two processes. A signal goes through a pidfd that was opened
 * before the start time was compared, so it cannot hit a stranger. */
#ifndef CLI_PROCESS_H
#define CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "raftlog/err.h"

enum { PROCESS_BOOT_ID_MAX = 64 };

struct process {
    pid_t pid;
    uint64_t start_ticks;
    char boot_id[PROCESS_BOOT_ID_MAX];
};

/* Parse the content of /proc/<pid>/stat: state letter and start time. The
 * name in it may contain blanks and parentheses. False if malformed. Pure. */
bool process_parse_stat(const char *text, char *state, uint64_t *start_ticks);
/* "pid start boot\n", as in a pid file. Pure. */
bool process_parse_file(struct process *p, const char *text);

/* Read a pid file. Errors: ERR_NOTFOUND, ERR_CORRUPT, ERR_IO. */
int process_load(struct process *p, const char *path, struct err_info *info);

/* Is this very process alive (a zombie is not)? */
bool process_is_alive(const struct process *p);

/* Is it alive, and stopped by SIGSTOP? */
bool process_is_paused(const struct process *p);

/* Signal this very process. Errors: ERR_NOTFOUND if it has ended, ERR_ACCESS,
 * ERR_IO. */
int process_signal(const struct process *p, int number, struct err_info *info);

/* Start args[0] with the words of args (NULL at the end) in a session of its
 * own, stdin from /dev/null, stdout and stderr appended to log_path. The child
 * writes the pid file before it becomes the program, so that no process of
 * ours can be forgotten. Errors: ERR_IO with words: the program cannot be
 * executed, the log cannot be opened, ... */
int process_start(char *const *args, const char *log_path, const char *pid_path,
                  struct err_info *info);

#endif
