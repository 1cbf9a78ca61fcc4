/* A child between two power cuts; see power_life.h. */
#include "tests/crash/power_life.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STATUS_BAD = 3 };

void power_life_bad(struct power_life *l, const char *words, const char *more)
{
    snprintf(l->words, sizeof l->words, "%s: %.300s", words, more);
    _exit(STATUS_BAD);
}

void power_life_look(struct power_life *l, int rv, const char *words,
                     const struct err_info *info)
{
    if (rv != 0 && __atomic_load_n(&l->is_cut, __ATOMIC_ACQUIRE)) {
        _exit(0);
    }
    if (rv != 0) {
        power_life_bad(l, words, info->message);
    }
}

bool power_life_ended(pid_t child)
{
    siginfo_t info;

    memset(&info, 0, sizeof info);
    return waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) !=
               0 ||
           info.si_pid == child;
}

bool power_life_end(struct power_life *l, struct power_disk *disk, pid_t child,
                    const char *name, uint64_t seed)
{
    int status = 0;
    bool waited;
    bool fine;

    if (disk != NULL) {
        __atomic_store_n(&l->is_cut, true, __ATOMIC_RELEASE);
        power_disk_cut(disk);
    }
    kill(child, SIGKILL);
    waited = waitpid(child, &status, 0) == child;
    if (disk != NULL) {
        power_disk_restart(disk);
        l->is_cut = false;
    }
    fine = waited && (WIFEXITED(status)
                          ? WEXITSTATUS(status) == 0
                          : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (!fine) {
        fprintf(stderr, "%s, seed %" PRIu64 ": %s (wait status %#x)\n", name,
                seed, l->words[0] != '\0' ? l->words : "the child just ended",
                (unsigned)status);
    }
    return fine;
}
